// The border of a padded value whose inside another kernel stores: the constant around it, side by side of every axis.
//
//   for each padded axis, for each of its sides:   for o in outer axes' elements { for k in the side's run { store } }
//
// A side is one run of memory for each element of the axes before its own. Corners are written twice.
#include "passes/schedule.h"

typedef struct border {
  lower_group *g;
  kir_builder *b;
  kir_buffer *to;
  scalar value;
  const idx *period, *run; // elements from one run to the next, and of a run; over the module's dims
} border;

static void fill_side(const border *x, const idx *outer, const idx *first) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  tile_shape shape = pick_cols(g, x->run);
  const idx *run = lower_dim_expr(g, x->run);
  kir_stmt *runs = kir_for(x->b, "o", idx_int(kc, 0), lower_dim_expr(g, outer), 1, 1, 0, NULL);
  kir_builder each = kir_for_body(x->b, runs);
  kir_stmt *parts = kir_for(&each, "k", idx_int(kc, 0), run, shape.cols, 1, 0, NULL);
  kir_builder body = kir_for_body(&each, parts);
  const idx *k = idx_add(kc, idx_of(kc, parts->var), idx_of(kc, g->k->c)),
            *inside[] = {idx_addi(kc, idx_sub(kc, run, k), -1)};
  const idx *at =
      idx_add(kc, idx_mul(kc, idx_of(kc, runs->var), lower_dim_expr(g, x->period)), lower_dim_expr(g, first));
  at = idx_add(kc, at, k);
  kir_store(&body, x->to, &at, kir_const(&body, x->value, 1, shape.cols), 1, shape.cols,
            shape.exact ? kir_always : kir_conds(g->k, 1, inside));
  kir_for_end(parts, NULL);
  kir_for_end(runs, NULL);
}

bool schedule_border(lower_group *g, const ir_value *padded) {
  idx_ctx *c = g->m->ix;
  const ir_node *pad = padded->def;
  ir_type in = pad->in[0]->type, out = padded->type;
  const idx *const *lo, *const *hi, *outer = idx_int(c, 1);
  ir_attr_idxs(g->m, pad, "lo", &lo);
  ir_attr_idxs(g->m, pad, "hi", &hi);
  border x = {.g = g, .to = lower_out(g, padded), .value = ir_attr_scalar(pad, "value", out.dt, 0)};
  kir_grid(g->k, "g", idx_int(g->k->ix, 1));
  kir_builder b = kir_begin(g->k);
  x.b = &b;
  for (uint32_t i = 0; i < out.rank; i++) {
    const idx *inner = idx_int(c, 1);
    for (uint32_t k = i + 1; k < out.rank; k++) inner = idx_mul(c, inner, out.dim[k]);
    x.period = idx_mul(c, out.dim[i], inner);
    for (uint32_t side = 0; side < 2; side++) {
      x.run = idx_mul(c, side ? hi[i] : lo[i], inner);
      if (!idx_equals_int(x.run, 0))
        fill_side(&x, outer, side ? idx_mul(c, idx_add(c, lo[i], in.dim[i]), inner) : idx_int(c, 0));
    }
    outer = idx_mul(c, outer, out.dim[i]);
  }
  g->k->cost_ns = 1000;
  return true;
}
