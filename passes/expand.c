// Operators that are made of others, once constants are folded.
//
// interp: gathers and weights (passes/resample.c). random: elementwise arithmetic on positions, so that it fuses with
// what is done to the numbers and nothing but the seed is read.
//
//   random(seed) = (philox(position, seed) + 1/2) * 2^-23      exact in f32: 23 bits and one more
//
// Positions are i32: what may have more than 2^31 elements stays, and is named as not compiled.
#include "passes/pass.h"
#include "passes/resample.h"

static ir_value *splat_of(ir_builder *b, scalar s, ir_type like) { return ir_const_scalar(b, s, like.rank, like.dim); }

static ir_value *random_numbers(ir_builder *b, ir_value *seed, ir_type t) {
  const idx *count = ir_type_count(b->m, t);
  int64_t lo, hi;
  if (!idx_range(b->m->ix, count, &lo, &hi) || hi > INT32_MAX) return NULL;
  ir_value *at = ir_reshape(b, ir_iota(b, 1, &count, 0), t.rank, t.dim);
  ir_value *bits = ir_binary(b, OP_philox, at, ir_broadcast(b, seed, t.rank, t.dim));
  ir_value *x = ir_cast(b, bits, DT_f32);
  x = ir_binary(b, OP_add, x, splat_of(b, scalar_f(DT_f32, 0.5), x->type));
  return ir_binary(b, OP_mul, x, splat_of(b, scalar_f(DT_f32, 0x1p-23), x->type));
}

static bool expand_node(void *user, ir_builder *b, const ir_node *n, map *values) {
  (void)user;
  if (n->op != OP_random && n->op != OP_interp) return false;
  b->scope = n->scope;
  b->spans = n->spans;
  ir_value *x = map_get_ptr(values, n->in[0]);
  ir_value *v =
      n->op == OP_random ? random_numbers(b, x, n->out[0].type) : resample(b, n, x, map_get_ptr(values, n->in[1]));
  if (v) map_put_ptr(values, &n->out[0], v);
  return v != NULL;
}

bool pass_expand(pass_context *c, ir_module *m) {
  (void)c;
  for (size_t g = 0; g < m->graphs.n; g++)
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], expand_node, NULL));
  return true;
}
