// Operators that are made of others, once constants are folded.
//
// interp: gathers and weights (passes/resample.c). Operands of nms and scatter in the dtypes that their routines take.
// random: elementwise arithmetic on positions, so that it fuses with what is done to the numbers and nothing but the
// seed is read.
//
//   random(seed) = (philox(position, seed) + 1/2) * 2^-23      exact in f32: 23 bits and one more
//
// Positions are i32: what may have more than 2^31 elements stays, and is named as not compiled.
#include "passes/pass.h"
#include "passes/resample.h"
#include <string.h>

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

static ir_value *with_operands(ir_builder *b, const ir_node *n, ir_value *const *in) {
  ir_node *made = ir_build(b, n->op, n->n_in, in, n->n_attrs, n->attrs, 0, NULL, 0, NULL);
  return made ? made->out : NULL;
}

// Sums of narrow floats are taken in f32 and rounded once; narrow integers wrap the same in i32.
static ir_value *scatter_wide(ir_builder *b, const ir_node *n, ir_value *const *in) {
  dtype dt = in[0]->type.dt, wide = dtype_is_float(dt) ? DT_f32 : DT_i32;
  if (!strcmp(ir_attr_str(n, "mode", ""), "set") || dtype_size(dt) >= 4) return NULL;
  ir_value *wider[] = {ir_cast(b, in[0], wide), in[1], ir_cast(b, in[2], wide)};
  ir_value *y = with_operands(b, n, wider);
  return y ? ir_cast(b, y, dt) : NULL;
}

// Boxes are compared in f64, as the interpreter does it: which one stays must not hang on a rounding.
static ir_value *nms_wide(ir_builder *b, const ir_node *n, ir_value *const *in) {
  if (in[0]->type.dt == DT_f64) return NULL;
  ir_value *wide[] = {ir_cast(b, in[0], DT_f64), ir_cast(b, in[1], DT_f64)};
  return with_operands(b, n, wide);
}

static bool expand_node(void *user, ir_builder *b, const ir_node *n, map *values) {
  (void)user;
  ir_value *in[3], *v = NULL;
  if (n->op != OP_random && n->op != OP_interp && n->op != OP_scatter && n->op != OP_nms) return false;
  b->scope = n->scope;
  b->spans = n->spans;
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = map_get_ptr(values, n->in[i]);
  if (n->op == OP_random) v = random_numbers(b, in[0], n->out[0].type);
  if (n->op == OP_interp) v = resample(b, n, in[0], in[1]);
  if (n->op == OP_scatter) v = scatter_wide(b, n, in);
  if (n->op == OP_nms) v = nms_wide(b, n, in);
  for (uint32_t i = 0; v && i < n->n_out; i++) map_put_ptr(values, &n->out[i], v + i); // results lie side by side
  return v != NULL;
}

bool pass_expand(pass_context *c, ir_module *m) {
  (void)c;
  for (size_t g = 0; g < m->graphs.n; g++)
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], expand_node, NULL));
  return true;
}
