// Short forms of ir_build for operators that are built by hand all over: each returns the first result, or NULL after a
// diagnostic, and what would change nothing is the operand itself.
#include "ir/graph.h"

#include <string.h>

static ir_value *first(ir_node *n) { return n == NULL ? NULL : &n->out[0]; }

static ir_value *build(ir_builder *b, op_code op, uint32_t n_in, ir_value *const *in, uint32_t n_attrs,
                       const ir_attr *attrs, const ir_type *declared) {
  return first(ir_build(b, op, n_in, in, n_attrs, attrs, declared == NULL ? 0 : 1, declared, 0, NULL));
}

static bool has_dims(const ir_value *x, uint32_t rank, const idx *const *dim) {
  return x != NULL && x->type.rank == rank && (rank == 0 || memcmp(x->type.dim, dim, rank * sizeof *dim) == 0);
}

ir_value *ir_unary(ir_builder *b, op_code op, ir_value *x) { return build(b, op, 1, &x, 0, NULL, NULL); }

ir_value *ir_binary(ir_builder *b, op_code op, ir_value *x, ir_value *y) {
  ir_value *const in[] = {x, y};
  return build(b, op, 2, in, 0, NULL, NULL);
}

ir_value *ir_where(ir_builder *b, ir_value *c, ir_value *x, ir_value *y) {
  ir_value *const in[] = {c, x, y};
  return build(b, OP_where, 3, in, 0, NULL, NULL);
}

ir_value *ir_cast(ir_builder *b, ir_value *x, dtype to) {
  if (x == NULL || x->type.dt == to) return x;
  const ir_attr attr = attr_dtype(b->m, "to", to);
  return build(b, OP_cast, 1, &x, 1, &attr, NULL);
}

ir_value *ir_const_scalar(ir_builder *b, scalar s, uint32_t rank, const idx *const *dim) {
  const ir_type t = ir_type_make(b->m, s.dt, rank, dim);
  const ir_attr attr = dtype_is_float(s.dt) ? attr_float(b->m, "value", s.v.f) : attr_int(b->m, "value", s.v.i);
  return build(b, OP_const, 0, NULL, 1, &attr, &t);
}

ir_value *ir_const_data(ir_builder *b, ir_type t, const void *data) {
  int64_t n;
  BUG_IF(b->m->diags, !idx_is_const(ir_type_count(b->m, t), &n) || n < 0, "constant data of symbolic dims");
  const bool is_float = dtype_is_float(t.dt);
  ir_attr attr = is_float ? attr_floats(b->m, "value", 0, NULL) : attr_ints(b->m, "value", 0, NULL);
  double *floats = ARENA_ARRAY(b->m->a, double, is_float ? (size_t)n : 0);
  int64_t *ints = ARENA_ARRAY(b->m->a, int64_t, is_float ? 0 : (size_t)n);
  for (size_t i = 0; i < (size_t)n; i++) {
    const scalar s = scalar_load(t.dt, (const char *)data + i * dtype_size(t.dt));
    if (is_float) floats[i] = s.v.f;
    else ints[i] = s.v.i;
  }
  if (is_float) {
    attr.v.fs.at = floats;
    attr.v.fs.n = (size_t)n;
  } else {
    attr.v.is.at = ints;
    attr.v.is.n = (size_t)n;
  }
  return build(b, OP_const, 0, NULL, 1, &attr, &t);
}

ir_value *ir_weight_ref(ir_builder *b, const ir_weight *w) {
  const ir_attr attr = attr_str(b->m, "name", w->name);
  return build(b, OP_weight, 0, NULL, 1, &attr, &w->type);
}

ir_value *ir_iota(ir_builder *b, uint32_t rank, const idx *const *dim, uint32_t axis) {
  const ir_type t = ir_type_make(b->m, DT_i32, rank, dim);
  const ir_attr attr = attr_int(b->m, "axis", axis);
  return build(b, OP_iota, 0, NULL, 1, &attr, &t);
}

ir_value *ir_reduce(ir_builder *b, op_code op, ir_value *x, size_t n_axes, const int64_t *axes) {
  const ir_attr attr = attr_ints(b->m, "axes", n_axes, axes);
  return build(b, op, 1, &x, 1, &attr, NULL);
}

ir_value *ir_contract(ir_builder *b, ir_value *x, ir_value *y, const char *labels) {
  ir_value *const in[] = {x, y};
  const ir_attr attr = attr_str(b->m, "map", labels);
  return build(b, OP_contract, 2, in, 1, &attr, NULL);
}

ir_value *ir_reshape(ir_builder *b, ir_value *x, uint32_t rank, const idx *const *dim) {
  if (has_dims(x, rank, dim)) return x;
  const ir_attr attr = attr_idxs(b->m, "shape", rank, dim);
  return build(b, OP_reshape, 1, &x, 1, &attr, NULL);
}

ir_value *ir_transpose(ir_builder *b, ir_value *x, const int64_t *perm) {
  if (x == NULL) return NULL;
  bool identity = true;
  for (uint32_t i = 0; i < x->type.rank; i++) identity = identity && perm[i] == (int64_t)i;
  if (identity) return x;
  const ir_attr attr = attr_ints(b->m, "perm", x->type.rank, perm);
  return build(b, OP_transpose, 1, &x, 1, &attr, NULL);
}

ir_value *ir_broadcast(ir_builder *b, ir_value *x, uint32_t rank, const idx *const *dim) {
  if (has_dims(x, rank, dim)) return x;
  const ir_attr attr = attr_idxs(b->m, "shape", rank, dim);
  return build(b, OP_broadcast, 1, &x, 1, &attr, NULL);
}

ir_value *ir_slice(ir_builder *b, ir_value *x, uint32_t axis, const idx *lo, const idx *size, int64_t step) {
  if (x == NULL) return NULL;
  const bool whole = axis < x->type.rank && idx_equals_int(lo, 0) && step == 1 && x->type.dim[axis] == size;
  if (whole) return x;
  const ir_attr attrs[] = {attr_int(b->m, "axis", axis), attr_idx(b->m, "lo", lo), attr_idx(b->m, "size", size),
                           attr_int(b->m, "step", step)};
  return build(b, OP_slice, 1, &x, step == 1 ? 3 : 4, attrs, NULL);
}

ir_value *ir_pad(ir_builder *b, ir_value *x, const idx *const *lo, const idx *const *hi, scalar value) {
  if (x == NULL) return NULL;
  const ir_attr v =
      dtype_is_float(value.dt) ? attr_float(b->m, "value", value.v.f) : attr_int(b->m, "value", value.v.i);
  const ir_attr attrs[] = {attr_idxs(b->m, "lo", x->type.rank, lo), attr_idxs(b->m, "hi", x->type.rank, hi), v};
  return build(b, OP_pad, 1, &x, 3, attrs, NULL);
}

ir_value *ir_concat(ir_builder *b, uint32_t n, ir_value *const *x, uint32_t axis) {
  if (n == 1) return x[0];
  const ir_attr attr = attr_int(b->m, "axis", axis);
  return build(b, OP_concat, n, x, 1, &attr, NULL);
}

ir_value *ir_gather(ir_builder *b, ir_value *x, ir_value *index, uint32_t axis, uint32_t batch) {
  ir_value *const in[] = {x, index};
  const ir_attr attrs[] = {attr_int(b->m, "axis", axis), attr_int(b->m, "batch", batch)};
  return build(b, OP_gather, 2, in, batch == 0 ? 1 : 2, attrs, NULL);
}
