// The chains that models are made of, with random shapes: softmax, norms, linear layers with their epilogues,
// attention. See random_graph.h.
#include "op/random_gen.h"
#include <math.h>

static bool is_plain(gen *g, const rv *x) {
  (void)g;
  return x->v->type.rank > 0 && gen_is_float(x) && !x->nasty && gen_magnitude(x) < 100;
}

bool step_softmax(gen *g) {
  const rv *p = gen_pick(g, is_plain);
  if (!p) return false;
  rv x = *p;
  ir_type t = x.v->type;
  int64_t axis[] = {chance(g, 70) ? t.rank - 1 : below(g, t.rank)};
  const idx *kept[IR_MAX_RANK];
  for (uint32_t i = 0; i < t.rank; i++) kept[i] = i == axis[0] ? idx_int(g->m->ix, 1) : t.dim[i];
  ir_value *top = gen_broadcast(g, ir_reshape(&g->b, ir_reduce(&g->b, OP_amax, x.v, 1, axis), t.rank, kept), t);
  ir_value *e = ir_unary(&g->b, OP_exp, ir_binary(&g->b, OP_sub, x.v, top));
  ir_value *sum = gen_broadcast(g, ir_reshape(&g->b, ir_reduce(&g->b, OP_sum, e, 1, axis), t.rank, kept), t);
  if (chance(g, 30)) gen_push(g, e, 0, 1, false, false);
  gen_push(g, ir_binary(&g->b, OP_div, e, sum), 0, 1, false, false);
  return true;
}

bool step_norm(gen *g) { // layer norm, or without the mean: RMS norm
  const rv *p = gen_pick(g, is_plain);
  if (!p) return false;
  rv x = *p;
  ir_type t = x.v->type;
  uint32_t n_axes = t.rank > 1 && chance(g, 20) ? 2 : 1,
           first = chance(g, 80) ? t.rank - n_axes : below(g, t.rank - n_axes + 1);
  int64_t axes[] = {first, first + 1};
  const idx *kept[IR_MAX_RANK];
  int64_t n = 1;
  for (uint32_t i = 0; i < t.rank; i++) {
    bool reduced = i >= first && i < first + n_axes;
    kept[i] = reduced ? idx_int(g->m->ix, 1) : t.dim[i];
    if (!reduced) continue;
    if (!idx_is_const(t.dim[i], NULL)) return false; // the mean needs the number as a constant
    n *= gen_extent(g, t.dim[i], true);
  }
  ir_value *scale = ir_const_scalar(&g->b, scalar_f(t.dt, 1.0 / (double)n), t.rank, kept), *y = x.v;
  if (chance(g, 70)) {
    ir_value *mean =
        ir_binary(&g->b, OP_mul, ir_reshape(&g->b, ir_reduce(&g->b, OP_sum, x.v, n_axes, axes), t.rank, kept), scale);
    y = ir_binary(&g->b, OP_sub, x.v, gen_broadcast(g, mean, t));
  }
  ir_value *square = ir_binary(&g->b, OP_mul, y, y);
  ir_value *var =
      ir_binary(&g->b, OP_mul, ir_reshape(&g->b, ir_reduce(&g->b, OP_sum, square, n_axes, axes), t.rank, kept), scale);
  ir_value *eps = ir_const_scalar(&g->b, scalar_f(t.dt, 0.125), t.rank, kept);
  y = ir_binary(&g->b, OP_mul, y, gen_broadcast(g, ir_unary(&g->b, OP_rsqrt, ir_binary(&g->b, OP_add, var, eps)), t));
  rv like = x;
  if (chance(g, 60)) y = ir_binary(&g->b, OP_mul, y, gen_partner(g, &like, 'u').v);
  if (chance(g, 60)) y = ir_binary(&g->b, OP_add, y, gen_partner(g, &like, 'u').v);
  gen_push(g, y, -2 * sqrt((double)n) - 4, 2 * sqrt((double)n) + 4, false, false);
  return true;
}

bool step_linear(gen *g) {
  const rv *p = gen_pick(g, is_plain);
  if (!p) return false;
  rv x = *p;
  ir_type t = x.v->type;
  const idx *in = t.dim[t.rank - 1], *out = chance(g, 40) ? in : gen_dim(g), *dim[2] = {out, in};
  if (t.rank > 3 || (double)gen_count(g, t) * (double)gen_extent(g, out, true) > 2e5) return false;
  bool transposed = chance(g, 50);
  if (transposed) dim[0] = in, dim[1] = out;
  rv w = gen_leaf(g, 'u', t.dt, 2, dim);
  const char *lead;
  lead = t.rank == 1 ? "" : t.rank == 2 ? "s " : "m s ";
  ir_value *y = ir_contract(&g->b, x.v, w.v, str_fmt(g->a, "%si, %s -> %so", lead, transposed ? "i o" : "o i", lead));
  if (!y) return gen_push(g, y, 0, 0, false, false), true;
  double big = gen_magnitude(&x) * 2 * (double)gen_extent(g, in, true);
  rv r = {y, -big, big, false, false};
  if (chance(g, 70)) r.v = ir_binary(&g->b, OP_add, r.v, gen_partner(g, &r, 'u').v), big += 2;
  if (chance(g, 40)) { // gelu
    ir_type o = r.v->type;
    ir_value *half = ir_const_scalar(&g->b, scalar_f(o.dt, 0.5), o.rank, o.dim),
             *one = ir_const_scalar(&g->b, scalar_f(o.dt, 1), o.rank, o.dim);
    ir_value *root = ir_const_scalar(&g->b, scalar_f(o.dt, 0.70710678), o.rank, o.dim);
    ir_value *e = ir_binary(&g->b, OP_add, ir_unary(&g->b, OP_erf, ir_binary(&g->b, OP_mul, r.v, root)), one);
    r.v = ir_binary(&g->b, OP_mul, ir_binary(&g->b, OP_mul, r.v, half), e);
  }
  if (out == in && chance(g, 60)) r.v = ir_binary(&g->b, OP_add, r.v, x.v), big += gen_magnitude(&x);
  if (t.dt == DT_f16 && big > 2e3) return false;
  gen_push(g, r.v, -big, big, false, false);
  return true;
}

bool step_attention(gen *g) {
  idx_ctx *c = g->m->ix;
  const idx *batch = chance(g, 50) ? gen_dim(g) : idx_int(c, 1), *seq = gen_dim(g);
  int64_t heads = 1 + below(g, 3), size = 1 + below(g, 9);
  const idx *merged[] = {batch, seq, idx_int(c, heads * size)},
            *split[] = {batch, seq, idx_int(c, heads), idx_int(c, size)};
  double n = (double)gen_extent(g, batch, true) * (double)gen_extent(g, seq, true);
  if (n * (double)gen_extent(g, seq, true) * (double)(heads * size) > 2e5) return false;
  ir_value *in[3];
  static const int64_t perm[] = {0, 2, 1, 3};
  for (int i = 0; i < 3; i++)
    in[i] = ir_transpose(&g->b, ir_reshape(&g->b, gen_leaf(g, 'u', DT_f32, 3, merged).v, 4, split), perm);
  ir_value *s = ir_contract(&g->b, in[0], in[1], "b h m d, b h n d -> b h m n");
  if (!s) return gen_push(g, s, 0, 0, false, false), true;
  ir_type t = s->type;
  s = ir_binary(&g->b, OP_mul, s, ir_const_scalar(&g->b, scalar_f(DT_f32, 0.4), t.rank, t.dim));
  if (chance(g, 50)) { // causal
    ir_value *past = ir_binary(&g->b, OP_le, ir_iota(&g->b, t.rank, t.dim, 3), ir_iota(&g->b, t.rank, t.dim, 2));
    s = ir_where(&g->b, past, s,
                 ir_const_scalar(&g->b, scalar_f(DT_f32, chance(g, 50) ? -1e9 : -INFINITY), t.rank, t.dim));
  }
  int64_t axis[] = {3};
  const idx *kept[] = {t.dim[0], t.dim[1], t.dim[2], idx_int(c, 1)};
  ir_value *top = gen_broadcast(g, ir_reshape(&g->b, ir_reduce(&g->b, OP_amax, s, 1, axis), 4, kept), t);
  ir_value *e = ir_unary(&g->b, OP_exp, ir_binary(&g->b, OP_sub, s, top));
  ir_value *sum = gen_broadcast(g, ir_reshape(&g->b, ir_reduce(&g->b, OP_sum, e, 1, axis), 4, kept), t);
  ir_value *o = ir_contract(&g->b, ir_binary(&g->b, OP_div, e, sum), in[2], "b h m n, b h n d -> b h m d");
  o = ir_reshape(&g->b, ir_transpose(&g->b, o, perm), 3, merged);
  gen_push(g, o, -2.1, 2.1, false, false);
  return true;
}
