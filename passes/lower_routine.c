// Lowering of operators that are routines of the runtime (runtime/routines.h): a step like a kernel's, with the
// routine's symbol.
#include "passes/lower.h"
#include <string.h>

// A kernel without a body, one for each dtype of its operand.
static uint32_t routine(lowering *l, const char *symbol, dtype dt, uint32_t n_in, uint32_t n_out, uint32_t n_symbols) {
  for (size_t i = 0; i < l->out->kernels.n; i++) {
    const kir_kernel *k = l->out->kernels.at[i];
    if (k->routine && !strcmp(k->name, symbol) && k->params.at[0]->dt == dt) return (uint32_t)i;
  }
  kir_kernel *k = kir_kernel_new(l->c->a, l->c->diags, symbol);
  k->routine = true;
  for (uint32_t i = 0; i < n_in + n_out; i++)
    kir_param(k, str_fmt(l->c->a, "b%u", i), i < n_in ? KIR_in : KIR_out, i + 1 < n_in + n_out ? dt : DT_i32, 0, NULL);
  for (uint32_t i = 0; i < n_symbols; i++) kir_fact_add(k, str_fmt(l->c->a, "s%u", i), 0, INT64_MAX, 1);
  kir_grid(k, "line", idx_int(k->ix, 1));
  vec_push(l->c->a, &l->out->kernels, k);
  return (uint32_t)l->out->kernels.n - 1;
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

enum { ORDER_NS = 3 }; // of one element, roughly

bool lower_order(lowering *l, const ir_node *n) {
  arena *a = l->c->a;
  ir_type t = n->in[0]->type;
  int64_t axis = ir_attr_int(n, "axis", 0);
  bool down = n->op == OP_topk || ir_attr_int(n, "descending", 0) != 0;
  axis_split s = split_at(l, t, axis);
  uint32_t *buffers = ARENA_ARRAY(a, uint32_t, 3);
  buffers[0] = lower_buffer(l, n->in[0]);
  for (uint32_t i = 0; i < 2; i++) buffers[i + 1] = lower_buffer(l, &n->out[i]);
  const idx **symbols = ARENA_ARRAY(a, const idx *, 4), **grid = ARENA_NEW(a, const idx *);
  symbols[0] = s.along;
  symbols[1] = n->out[0].type.dim[axis];
  symbols[2] = s.after;
  symbols[3] = idx_int(l->m->ix, 2 * (int64_t)t.dt + down);
  *grid = idx_mul(l->m->ix, s.before, s.after);
  int64_t lo, hi;
  prog_step step = {.what = routine(l, "rt_order", t.dt, 1, 2, 4),
                    .n_buffers = 3,
                    .n_symbols = 4,
                    .n_grid = 1,
                    .buffers = buffers,
                    .symbols = symbols,
                    .grid = grid,
                    .label = lower_label(l, n, op_get(n->op)->name),
                    .span = n->spans.n ? n->spans.at[0] : NO_SPAN,
                    .cost_ns = idx_range(l->m->ix, s.along, &lo, &hi) ? ORDER_NS * ((double)lo + 1) : 1000};
  lower_add_step(l, l->p, step);
  return true;
}
