// Random reductions and contractions: see random_graph.h.
#include "op/random_gen.h"
#include <math.h>

static bool has_dims(gen *g, const rv *x) {
  (void)g;
  return x->v->type.rank > 0;
}

static bool is_number_with_dims(gen *g, const rv *x) { return has_dims(g, x) && x->v->type.dt != DT_bool; }

// -- reductions --

bool step_reduce(gen *g) {
  static const op_code ops[] = {OP_sum, OP_sum, OP_sum, OP_prod, OP_amax, OP_amin, OP_argmax, OP_argmin};
  const rv *p = gen_pick(g, has_dims);
  if (!p) return false;
  rv x = *p;
  if (chance(g, 20)) x.v = gen_transpose(g, x.v);
  ir_type t = x.v->type;
  op_code op = t.dt == DT_bool ? OP_sum : ops[below(g, 8)];
  int64_t axes[IR_MAX_RANK], count = 1;
  size_t n = 0;
  while (n == 0)
    for (uint32_t i = 0; i < t.rank; i++)
      if (chance(g, t.rank == 1 ? 100 : 40)) axes[n++] = i;
  for (size_t i = 0; i < n; i++) count *= gen_extent(g, t.dim[axes[i]], true);
  double lo = x.lo, hi = x.hi, big = gen_magnitude(&x);
  bool is_float = gen_is_float(&x), crisp = x.crisp;
  if (op == OP_sum) lo = fmin(lo, 0) * (double)count, hi = fmax(hi, 0) * (double)count, crisp = crisp && !is_float;
  if (op == OP_prod) hi = pow(fmax(big, 1), (double)count), lo = -hi, crisp = crisp && !is_float;
  if ((op == OP_amax || op == OP_amin) && x.nasty) crisp = false; // of two zeros, either
  if ((op == OP_argmax || op == OP_argmin) && !x.crisp) return false;
  if (is_float && !x.nasty && fmax(fabs(lo), fabs(hi)) > (t.dt == DT_f16 ? 2e3 : 1e6)) return false;
  bool arg = op == OP_argmax || op == OP_argmin;
  ir_value *v = ir_reduce(&g->b, op, x.v, n, axes);
  gen_push(g, v, arg ? 0 : lo, arg ? 1e5 : hi, crisp, x.nasty && !arg);
  if (v && n == 1 && chance(g, 50)) { // kept as an axis of extent 1, and often used against the operand again
    const idx *kept[IR_MAX_RANK];
    for (uint32_t i = 0; i < t.rank; i++) kept[i] = i == axes[0] ? idx_int(g->m->ix, 1) : t.dim[i];
    gen_push(g, ir_reshape(&g->b, v, t.rank, kept), arg ? 0 : lo, arg ? 1e5 : hi, crisp, x.nasty && !arg);
  }
  return true;
}

// -- contractions --

typedef struct label {
  const idx *extent;
  bool in_x, in_y, in_out;
} label;

typedef struct labels {
  uint32_t n;
  label at[12];
} labels;

// Letters of the labels chosen, in random order.
static uint32_t arrange(gen *g, const labels *l, bool y, uint32_t *order) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < l->n; i++)
    if (y ? l->at[i].in_y : l->at[i].in_out) order[n++] = i;
  for (uint32_t i = n; i > 1; i--) {
    uint32_t k = chance(g, 50) ? i - 1 : below(g, i), t = order[i - 1];
    order[i - 1] = order[k];
    order[k] = t;
  }
  return n;
}

static void add_label(labels *l, const idx *extent, bool x, bool y, bool out) {
  l->at[l->n++] = (label){extent, x, y, out};
}

static double work(gen *g, const labels *l) {
  double n = 1;
  for (uint32_t i = 0; i < l->n; i++) n *= (double)gen_extent(g, l->at[i].extent, true);
  return n;
}

static void put_labels(strbuf *b, uint32_t n, const uint32_t *order) {
  for (uint32_t i = 0; i < n; i++) sb_fmt(b, "%s%c", i ? " " : "", 'a' + (int)order[i]);
}

bool step_contract(gen *g) {
  const rv *p = gen_pick(g, is_number_with_dims);
  if (!p) return false;
  rv x = *p;
  ir_type t = x.v->type;
  labels l = {.n = 0};
  for (uint32_t i = 0; i < t.rank; i++) { // batch, row, reduced, or reduced in x alone
    uint32_t role = below(g, 100);
    add_label(&l, t.dim[i], true, role < 70, role < 25 || (role >= 70 && role < 95));
  }
  for (uint32_t i = below(g, 3); i > 0; i--) {
    bool reduced = chance(g, 10);
    add_label(&l, chance(g, 30) ? idx_int(g->m->ix, 64 + below(g, 70)) : gen_dim(g), false, true, !reduced);
  }
  double most = chance(g, 10) ? 2e6 : 1e5;
  if (work(g, &l) > most) return false;
  double terms = 1;
  for (uint32_t i = 0; i < l.n; i++)
    if (!l.at[i].in_out) terms *= (double)gen_extent(g, l.at[i].extent, true);
  uint32_t order_y[12], order_out[12], nx = t.rank, ny = arrange(g, &l, true, order_y),
                                       no = arrange(g, &l, false, order_out);
  if (ny > GEN_MAX_RANK || no > GEN_MAX_RANK) return false;
  const idx *dim[IR_MAX_RANK];
  for (uint32_t i = 0; i < ny; i++) dim[i] = l.at[order_y[i]].extent;
  rv y = gen_leaf(g, gen_is_float(&x) ? "uuucn"[below(g, 5)] : 'i', t.dt, ny, dim);
  double big = gen_magnitude(&x) * gen_magnitude(&y) * terms;
  bool nasty = x.nasty || y.nasty;
  if (nasty && x.v->def && x.v->def->op == OP_contract) return false; // reassociated, an infinity meets other zeros
  if (gen_is_float(&x) && !nasty && big > (t.dt == DT_f16 ? 2e3 : 1e6)) return false;
  strbuf text;
  sb_init(&text, g->a);
  uint32_t order_x[12];
  for (uint32_t i = 0; i < nx; i++) order_x[i] = i;
  bool swap = chance(g, 40);
  put_labels(&text, swap ? ny : nx, swap ? order_y : order_x);
  sb_z(&text, ", ");
  put_labels(&text, swap ? nx : ny, swap ? order_x : order_y);
  sb_z(&text, " -> ");
  put_labels(&text, no, order_out);
  gen_push(g, ir_contract(&g->b, swap ? y.v : x.v, swap ? x.v : y.v, sb_cstr(&text)), -big, big, !gen_is_float(&x),
           nasty);
  return true;
}
