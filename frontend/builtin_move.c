// Built-ins that move elements: reshape, permute, concat, pad and the like. Dims may be sizes everywhere.
#include "frontend/builtin.h"

#include <string.h>

ir_value *tensor_swap(elab *e, ir_value *x, uint32_t a, uint32_t b) {
  if (a == b) return x;
  int64_t perm[IR_MAX_RANK];
  for (uint32_t i = 0; i < x->type.rank; i++) perm[i] = i;
  perm[a] = b;
  perm[b] = a;
  return ir_transpose(elab_nodes(e), x, perm);
}

// -- reshape --

// The extent that -1 stands for.
static const idx *missing_extent(call *c, const idx *total, const idx *rest) {
  idx_ctx *ix = c->e->m->ix;
  if (idx_nonneg(ix, idx_addi(ix, rest, -1)) == TRI_no) return NULL;
  const idx *q = idx_floordiv(ix, total, rest);
  const idx *left = idx_sub(ix, total, idx_mul(ix, q, rest));
  if (idx_equal(ix, left, idx_int(ix, 0)) == TRI_no) return NULL;
  elab_check(c->e, idx_scale(ix, left, -1), "reshape: the extents divide");
  return q;
}

value builtin_reshape(call *c) {
  ir_value *x;
  uint32_t n;
  const idx *dim[IR_MAX_RANK];
  if (!arg_tensor(c, 0, &x) || !arg_sizes(c, 1, &n, dim)) return value_error();
  idx_ctx *ix = c->e->m->ix;
  const idx *total = ir_type_count(c->e->m, x->type), *rest = idx_int(ix, 1);
  uint32_t free_axis = UINT32_MAX;
  const char *from = value_shape_text(c->e->a, x->type.rank, x->type.dim), *to = value_shape_text(c->e->a, n, dim);
  for (uint32_t i = 0; i < n; i++) {
    if (!idx_equals_int(dim[i], -1)) {
      if (idx_nonneg(ix, dim[i]) == TRI_no) return call_fail(c, "%s has a negative extent", to);
      rest = idx_mul(ix, rest, dim[i]);
    } else if (free_axis == UINT32_MAX) {
      free_axis = i;
    } else {
      return call_fail(c, "-1 may stand once, in %s", to);
    }
  }
  if (free_axis != UINT32_MAX) {
    dim[free_axis] = missing_extent(c, total, rest);
    if (!dim[free_axis]) return call_clash(c, c->arg[0], value_none(), "%s does not divide into %s", from, to);
  } else if (elab_same_dim(c->e, total, rest, "reshape") == SAME_no) {
    return call_clash(c, c->arg[0], value_none(), "%s and %s hold different numbers of elements", from, to);
  }
  return value_tensor(ir_reshape(elab_nodes(c->e), x, n, dim));
}

value builtin_unsqueeze(call *c) {
  ir_value *x;
  uint32_t axis;
  if (!arg_tensor(c, 0, &x) || !arg_axis(c, 1, x->type.rank + 1, &axis)) return value_error();
  return value_tensor(tensor_unsqueeze(c->e, x, axis));
}

// -- permutations --

value builtin_permute(call *c) {
  ir_value *x;
  const value_tuple *dims = c->arg[1].v.tuple;
  if (!arg_tensor(c, 0, &x)) return value_error();
  uint32_t rank = x->type.rank;
  int64_t perm[IR_MAX_RANK];
  bool used[IR_MAX_RANK] = {false};
  if (dims->n != rank)
    return call_clash(c, c->arg[0], value_none(), "%zu axes for %s", dims->n, value_describe(c->e->a, value_tensor(x)));
  for (uint32_t i = 0; i < rank; i++) {
    value v = dims->at[i];
    int64_t axis = v.kind == V_int ? v.v.i + (v.v.i < 0 ? rank : 0) : -1;
    if (axis < 0 || axis >= rank || used[axis]) return call_fail(c, "the axes are each of 0 to %u once", rank - 1);
    used[axis] = true;
    perm[i] = axis;
  }
  return value_tensor(ir_transpose(elab_nodes(c->e), x, perm));
}

value builtin_transpose(call *c) {
  ir_value *x;
  uint32_t a, b;
  if (!arg_tensor(c, 0, &x) || !arg_axis(c, 1, x->type.rank, &a) || !arg_axis(c, 2, x->type.rank, &b))
    return value_error();
  return value_tensor(tensor_swap(c->e, x, a, b));
}

value builtin_flip(call *c) {
  ir_value *x;
  size_t n;
  int64_t axes[IR_MAX_RANK];
  if (!arg_tensor(c, 0, &x) || !arg_axes(c, 1, x->type.rank, &n, axes)) return value_error();
  ir_attr attr = attr_ints(c->e->m, "axes", n, axes);
  ir_node *node = ir_build(elab_nodes(c->e), OP_reverse, 1, &x, 1, &attr, 0, NULL, 0, NULL);
  return node ? value_tensor(&node->out[0]) : value_error();
}

// -- putting together --

static bool joinable(call *c, ir_value *a, ir_value *b, uint32_t axis) {
  bool same = a->type.dt == b->type.dt && a->type.rank == b->type.rank;
  for (uint32_t i = 0; same && i < a->type.rank; i++)
    same = i == axis || elab_same_dim(c->e, a->type.dim[i], b->type.dim[i], c->fn->name) != SAME_no;
  return same;
}

value builtin_concat(call *c) {
  bool stack = !strcmp(c->fn->name, "stack");
  if (c->arg[0].kind != V_tuple || c->arg[0].v.tuple->n == 0) return arg_fail(c, 0, "a tuple of tensors");
  const value_tuple *xs = c->arg[0].v.tuple;
  ir_value **x = ARENA_ARRAY(c->e->a, ir_value *, xs->n);
  uint32_t axis = 0;
  for (size_t i = 0; i < xs->n; i++) {
    x[i] = elab_tensor(c->e, xs->at[i], DT_COUNT, c->at[0]);
    if (!x[i]) return value_error();
    if (!i && !arg_axis(c, 1, x[0]->type.rank + stack, &axis)) return value_error();
    if (stack && x[i]->type.rank == IR_MAX_RANK) return call_fail(c, "too many dims");
    if (stack) x[i] = tensor_unsqueeze(c->e, x[i], axis);
    if (!x[i]) return value_error();
    if (i && !joinable(c, x[0], x[i], axis))
      return call_clash(c, xs->at[0], xs->at[i], "%s and %s do not fit together", value_describe(c->e->a, xs->at[0]),
                        value_describe(c->e->a, xs->at[i]));
    for (uint32_t k = 0; i && k < x[0]->type.rank; k++) {
      if (k != axis) x[i] = elab_axis_as(c->e, x[i], k, x[0]->type.dim[k]);
    }
  }
  return value_tensor(xs->n == 1 ? x[0] : ir_concat(elab_nodes(c->e), (uint32_t)xs->n, x, axis));
}

// -- taking apart --

static value parts(call *c, ir_value *x, uint32_t axis, size_t n, const idx *const *size) {
  value *at = ARENA_ARRAY(c->e->a, value, n);
  const idx *lo = idx_int(c->e->m->ix, 0);
  for (size_t i = 0; i < n; i++) {
    at[i] = value_tensor(ir_slice(elab_nodes(c->e), x, axis, lo, size[i], 1));
    lo = idx_add(c->e->m->ix, lo, size[i]);
  }
  return value_tuple_of(c->e->a, n, at);
}

value builtin_chunk(call *c) {
  ir_value *x;
  int64_t n;
  uint32_t axis;
  if (!arg_tensor(c, 0, &x) || !arg_positive(c, 1, &n) || !arg_axis(c, 2, x->type.rank, &axis)) return value_error();
  idx_ctx *ix = c->e->m->ix;
  const idx *whole = x->type.dim[axis];
  tri exact = idx_divides(ix, n, whole);
  if (exact == TRI_no || n > VALUE_TABLE_MAX)
    return call_clash(c, c->arg[0], value_none(), "%s does not divide into %lld equal parts",
                      value_idx_text(c->e->a, whole), (long long)n);
  if (exact == TRI_unknown)
    elab_check(c->e, idx_scale(ix, idx_mod(ix, whole, idx_int(ix, n)), -1), "chunk: equal parts");
  const idx **size = ARENA_ARRAY(c->e->a, const idx *, (size_t)n);
  for (int64_t i = 0; i < n; i++) size[i] = idx_floordiv(ix, whole, idx_int(ix, n));
  return parts(c, x, axis, (size_t)n, size);
}

value builtin_split(call *c) {
  ir_value *x;
  uint32_t axis;
  if (!arg_tensor(c, 0, &x) || !arg_axis(c, 2, x->type.rank, &axis)) return value_error();
  if (c->arg[1].kind != V_tuple) return arg_fail(c, 1, "a tuple of sizes");
  const value_tuple *t = c->arg[1].v.tuple;
  idx_ctx *ix = c->e->m->ix;
  const idx **size = ARENA_ARRAY(c->e->a, const idx *, t->n), *sum = idx_int(ix, 0);
  for (size_t i = 0; i < t->n; i++) {
    if (!value_is_integer(t->at[i])) return arg_fail(c, 1, "a tuple of sizes");
    size[i] = value_idx(ix, t->at[i]);
    sum = idx_add(ix, sum, size[i]);
  }
  if (elab_same_dim(c->e, x->type.dim[axis], sum, "split") == SAME_no)
    return call_clash(c, c->arg[0], value_none(), "the sizes add up to %s, not %s", value_idx_text(c->e->a, sum),
                      value_idx_text(c->e->a, x->type.dim[axis]));
  return parts(c, x, axis, t->n, size);
}

// -- pad, expand --

// One pair (before, after); `pairs` is a tuple of them for the last dims, in order, or a single one for the last.
static bool read_pair(call *c, value v, const idx **lo, const idx **hi) {
  bool two = v.kind == V_tuple && v.v.tuple->n == 2 && value_is_integer(v.v.tuple->at[0]) &&
             value_is_integer(v.v.tuple->at[1]);
  if (!two) return arg_fail(c, 1, "pairs (before, after) for the last dims"), false;
  *lo = value_idx(c->e->m->ix, v.v.tuple->at[0]);
  *hi = value_idx(c->e->m->ix, v.v.tuple->at[1]);
  if (idx_nonneg(c->e->m->ix, *lo) != TRI_yes || idx_nonneg(c->e->m->ix, *hi) != TRI_yes)
    return arg_fail(c, 1, "amounts that are not negative"), false;
  return true;
}

value builtin_pad(call *c) {
  ir_value *x;
  value pairs = c->arg[1], fill = c->arg[2];
  if (!arg_tensor(c, 0, &x)) return value_error();
  if (pairs.kind == V_tuple && pairs.v.tuple->n == 2 && pairs.v.tuple->at[0].kind != V_tuple)
    pairs = value_tuple_of(c->e->a, 1, &pairs);
  if (pairs.kind != V_tuple || pairs.v.tuple->n > x->type.rank)
    return arg_fail(c, 1, "pairs (before, after) for the last dims");
  bool float_fill = fill.kind == V_float;
  if (!(value_is_number(fill) || fill.kind == V_bool) || (float_fill && !dtype_is_float(x->type.dt)))
    return arg_fail(c, 2, "a number of the tensor's type");
  const idx *lo[IR_MAX_RANK], *hi[IR_MAX_RANK];
  uint32_t rank = x->type.rank, n = (uint32_t)pairs.v.tuple->n;
  for (uint32_t i = 0; i < rank; i++) {
    lo[i] = hi[i] = idx_int(c->e->m->ix, 0);
    if (i + n >= rank && !read_pair(c, pairs.v.tuple->at[i + n - rank], &lo[i], &hi[i])) return value_error();
  }
  return value_tensor(ir_pad(elab_nodes(c->e), x, lo, hi, elab_scalar(fill, x->type.dt)));
}

value builtin_expand(call *c) {
  ir_value *x;
  uint32_t n;
  const idx *dim[IR_MAX_RANK];
  if (!arg_tensor(c, 0, &x) || !arg_sizes(c, 1, &n, dim)) return value_error();
  uint32_t rank = x->type.rank;
  if (n < rank)
    return call_clash(c, c->arg[0], value_none(), "%u dims for %s", n, value_describe(c->e->a, value_tensor(x)));
  for (uint32_t i = 0; i < n; i++) {
    const idx *mine = i + rank >= n ? x->type.dim[i + rank - n] : NULL;
    if (idx_equals_int(dim[i], -1) && mine) dim[i] = mine;
    if (!mine || idx_equals_int(mine, 1)) continue;
    if (elab_same_dim(c->e, dim[i], mine, "expand") == SAME_no)
      return call_clash(c, c->arg[0], value_none(), "%s does not expand to %s",
                        value_describe(c->e->a, value_tensor(x)), value_shape_text(c->e->a, n, dim));
  }
  return value_tensor(elab_fit(c->e, x, n, dim));
}
