// Lowering of operators that are routines of the runtime (runtime/routines.h): steps like a kernel's, with the
// routine's symbol.
#include "passes/lower.h"
#include <string.h>

enum { MAX_BUFFERS = 4, MAX_SYMBOLS = 6, BLOCK = 1024 }; // BLOCK: elements of a row that a grid point has

typedef struct routine_call {
  const char *symbol;
  uint32_t n_in, n_out, n_symbols;
  const ir_value *value[MAX_BUFFERS]; // operands, then results
  const idx *symbols[MAX_SYMBOLS], *grid;
  double cost_ns; // of a grid point
} routine_call;

// A kernel without a body, one for each list of dtypes.
static uint32_t routine(lowering *l, const routine_call *r) {
  uint32_t n = r->n_in + r->n_out;
  for (size_t i = 0; i < l->out->kernels.n; i++) {
    const kir_kernel *k = l->out->kernels.at[i];
    bool same = k->routine && !strcmp(k->name, r->symbol);
    for (uint32_t b = 0; b < n && same; b++) same = k->params.at[b]->dt == r->value[b]->type.dt;
    if (same) return (uint32_t)i;
  }
  kir_kernel *k = kir_kernel_new(l->c->a, l->c->diags, r->symbol);
  k->routine = true;
  for (uint32_t b = 0; b < n; b++)
    kir_param(k, str_fmt(l->c->a, "b%u", b), b < r->n_in ? KIR_in : KIR_out, r->value[b]->type.dt, 0, NULL);
  for (uint32_t i = 0; i < r->n_symbols; i++) kir_fact_add(k, str_fmt(l->c->a, "s%u", i), 0, INT64_MAX, 1);
  kir_grid(k, "line", idx_int(k->ix, 1));
  vec_push(l->c->a, &l->out->kernels, k);
  return (uint32_t)l->out->kernels.n - 1;
}

static void add_call(lowering *l, const ir_node *n, const routine_call *r) {
  arena *a = l->c->a;
  uint32_t n_buffers = r->n_in + r->n_out, *buffers = ARENA_ARRAY(a, uint32_t, n_buffers);
  for (uint32_t i = 0; i < n_buffers; i++) buffers[i] = lower_buffer(l, r->value[i]);
  prog_step step = {.what = routine(l, r),
                    .n_buffers = n_buffers,
                    .n_symbols = r->n_symbols,
                    .n_grid = 1,
                    .buffers = buffers,
                    .symbols = arena_copy(a, r->symbols, r->n_symbols * sizeof *r->symbols),
                    .grid = arena_copy(a, &r->grid, sizeof r->grid),
                    .label = lower_label(l, n, op_get(n->op)->name),
                    .span = n->spans.n ? n->spans.at[0] : NO_SPAN,
                    .cost_ns = r->cost_ns};
  lower_add_step(l, l->p, step);
}

// Elements of an operand before, along and after an axis.
typedef struct axis_split {
  const idx *before, *along, *after;
} axis_split;

static axis_split split_at(lowering *l, ir_type t, int64_t axis) {
  idx_ctx *ix = l->m->ix;
  axis_split s = {idx_int(ix, 1), t.dim[axis], idx_int(ix, 1)};
  for (int64_t i = 0; i < (int64_t)t.rank; i++) {
    if (i < axis) s.before = idx_mul(ix, s.before, t.dim[i]);
    if (i > axis) s.after = idx_mul(ix, s.after, t.dim[i]);
  }
  return s;
}

// The least value of a size, as a guess at its cost.
static double least(lowering *l, const idx *size) {
  int64_t lo, hi;
  return idx_range(l->m->ix, size, &lo, &hi) ? (double)lo + 1 : 300;
}

// Blocks of a row: one at least, so that what counts rows runs where they are empty.
static const idx *blocks_of(lowering *l, const idx *row) {
  return idx_max(l->m->ix, idx_ceildiv(l->m->ix, row, BLOCK), idx_int(l->m->ix, 1));
}

static void order(lowering *l, const ir_node *n, const ir_value *x, int64_t axis, bool down, const ir_value *values,
                  const ir_value *indices) {
  axis_split s = split_at(l, x->type, axis);
  const idx *how = idx_int(l->m->ix, 2 * (int64_t)x->type.dt + down);
  routine_call r = {.symbol = "rt_order",
                    .n_in = 1,
                    .n_out = 2,
                    .n_symbols = 4,
                    .value = {x, values, indices},
                    .symbols = {s.along, values->type.dim[axis], s.after, how},
                    .grid = idx_mul(l->m->ix, s.before, s.after),
                    .cost_ns = 3 * least(l, s.along)};
  add_call(l, n, &r);
}

static void scatter(lowering *l, const ir_node *n) {
  static const char *const modes[] = {"set", "add", "max", "min"};
  int64_t mode = 0;
  while (strcmp(modes[mode], ir_attr_str(n, "mode", "set")) != 0) mode++;
  ir_type t = n->in[0]->type;
  axis_split s = split_at(l, t, ir_attr_int(n, "axis", 0));
  idx_ctx *ix = l->m->ix;
  const idx *taken = ir_type_count(l->m, n->in[1]->type);
  int64_t site = lower_fault_site(l, n->op, n->spans.n ? n->spans.at[0] : NO_SPAN);
  routine_call r = {.symbol = "rt_scatter",
                    .n_in = 3,
                    .n_out = 1,
                    .n_symbols = 6,
                    .value = {n->in[0], n->in[1], n->in[2], n->out},
                    .symbols = {s.along, s.after, taken, idx_int(ix, BLOCK), idx_int(ix, 4 * (int64_t)t.dt + mode),
                                idx_int(ix, site)},
                    .grid = idx_mul(ix, s.before, blocks_of(l, s.after)),
                    .cost_ns = least(l, s.along) + 2 * least(l, taken)};
  add_call(l, n, &r);
}

static void compact(lowering *l, const ir_node *n) {
  axis_split s = split_at(l, n->in[0]->type, 0);
  const idx *block = idx_int(l->m->ix, BLOCK);
  const idx *width = idx_int(l->m->ix, (int64_t)dtype_size(n->in[0]->type.dt));
  routine_call r = {.symbol = "rt_compact",
                    .n_in = 2,
                    .n_out = 2,
                    .n_symbols = 5,
                    .value = {n->in[0], n->in[1], &n->out[0], &n->out[1]},
                    .symbols = {s.along, s.after, n->out[0].type.dim[0], block, width},
                    .grid = blocks_of(l, s.after),
                    .cost_ns = 2 * least(l, s.along)};
  add_call(l, n, &r);
}

// The boxes' order first, in memory of lowering's own.
static void nms(lowering *l, const ir_node *n) {
  const ir_value *scores = n->in[1];
  ir_type indices = scores->type;
  indices.dt = DT_i32;
  const ir_value *sorted = lower_fresh(l, scores->type, PROG_arena, 0), *at = lower_fresh(l, indices, PROG_arena, 0);
  order(l, n, scores, 0, true, sorted, at);
  int64_t bits; // of the limit
  memcpy(&bits, &ir_attr_find(n, "iou")->v.f, sizeof bits);
  idx_ctx *ix = l->m->ix;
  routine_call r = {.symbol = "rt_nms",
                    .n_in = 2,
                    .n_out = 2,
                    .n_symbols = 3,
                    .value = {n->in[0], at, &n->out[0], &n->out[1]},
                    .symbols = {scores->type.dim[0], n->out[0].type.dim[0], idx_int(ix, bits)},
                    .grid = idx_int(ix, 1),
                    .cost_ns = 100 * least(l, scores->type.dim[0])};
  add_call(l, n, &r);
}

void lower_routine(lowering *l, const ir_node *n) {
  int64_t axis = ir_attr_int(n, "axis", 0);
  switch ((int)n->op) {
  case OP_scatter: scatter(l, n); break;
  case OP_compact: compact(l, n); break;
  case OP_nms: nms(l, n); break;
  case OP_topk: order(l, n, n->in[0], axis, true, &n->out[0], &n->out[1]); break;
  default: order(l, n, n->in[0], axis, ir_attr_int(n, "descending", 0) != 0, &n->out[0], &n->out[1]); // sort
  }
}
