// Built-ins that read and write at computed places, and those that put elements in order.
#include "frontend/builtin.h"

#include <string.h>

static bool arg_index(call *c, size_t i, ir_value **out) {
  if (!arg_tensor(c, i, out)) return false;
  if ((*out)->type.dt != DT_i32) return arg_fail(c, i, "an i32 index"), false;
  return true;
}

value builtin_take(call *c) {
  ir_value *x, *index;
  uint32_t axis;
  if (!arg_tensor(c, 0, &x) || !arg_index(c, 1, &index) || !arg_axis(c, 2, x->type.rank, &axis)) return value_error();
  if (x->type.rank + index->type.rank > IR_MAX_RANK + 1) return call_fail(c, "the result has too many dims");
  return value_tensor(ir_gather(elab_nodes(c->e), x, index, axis, 0));
}

// x cut to the extents of `like` on every axis but one: torch's gather and scatter look no further.
static ir_value *cut_to(call *c, ir_value *x, value from, ir_value *like, uint32_t except) {
  for (uint32_t i = 0; x && i < x->type.rank; i++) {
    if (i == except || x->type.dim[i] == like->type.dim[i]) continue;
    const idx *room = idx_sub(c->e->m->ix, x->type.dim[i], like->type.dim[i]);
    if (idx_nonneg(c->e->m->ix, room) == TRI_no) {
      call_clash(c, c->arg[1], from, "the index %s reaches beyond %s", value_describe(c->e->a, value_tensor(like)),
                 value_describe(c->e->a, from));
      return NULL;
    }
    elab_check(c->e, room, "an index is no larger than what it reads");
    x = elab_axis_as(c->e, x, i, like->type.dim[i]);
  }
  return x;
}

static bool same_rank(call *c, ir_value *x, ir_value *index) {
  if (x->type.rank == index->type.rank && x->type.rank) return true;
  value a = value_tensor(x), b = value_tensor(index);
  call_clash(c, a, b, "needs an index of as many dims, found %s and %s", value_describe(c->e->a, a),
             value_describe(c->e->a, b));
  return false;
}

// With the axis last, the other dims are shared by operand and index.
value builtin_gather(call *c) {
  ir_value *x, *index;
  uint32_t axis;
  if (!arg_tensor(c, 0, &x) || !arg_index(c, 1, &index) || !arg_axis(c, 2, x->type.rank, &axis) ||
      !same_rank(c, x, index))
    return value_error();
  uint32_t last = x->type.rank - 1;
  x = cut_to(c, x, c->arg[0], index, axis);
  if (x) x = tensor_swap(c->e, x, axis, last);
  index = x ? tensor_swap(c->e, index, axis, last) : NULL;
  ir_value *y = index ? ir_gather(elab_nodes(c->e), x, index, last, last) : NULL;
  return value_tensor(y ? tensor_swap(c->e, y, axis, last) : NULL);
}

// The row-major place in x of each element that `index` points at; -1, which no operand has, where it points outside.
static value linear_places(call *c, ir_value *x, ir_value *index, uint32_t axis) {
  elab *e = c->e;
  value sum = value_int(0), at = value_tensor(index);
  const idx *stride = idx_int(e->m->ix, 1);
  for (uint32_t i = x->type.rank; i-- > 0;) {
    value here = at;
    if (i != axis) here = value_tensor(ir_iota(elab_nodes(e), index->type.rank, index->type.dim, i));
    sum = elab_binary(e, AR_add, elab_binary(e, AR_mul, here, value_size(stride), c->span), sum, c->span);
    stride = idx_mul(e->m->ix, stride, x->type.dim[i]);
  }
  value low = elab_binary(e, AR_ge, at, value_int(0), c->span);
  value high = elab_binary(e, AR_lt, at, value_size(x->type.dim[axis]), c->span);
  return elab_where(e, elab_binary(e, AR_and, low, high, c->span), sum, value_int(-1), c->span);
}

static ir_value *flattened(call *c, ir_value *x) {
  const idx *n = ir_type_count(c->e->m, x->type);
  return ir_reshape(elab_nodes(c->e), x, 1, &n);
}

// torch's scatter, element by element: a scatter of rows of one element into the flat operand.
value builtin_scatter(call *c) {
  ir_value *x, *index, *src;
  uint32_t axis;
  if (!arg_tensor(c, 0, &x) || !arg_index(c, 1, &index) || !arg_axis(c, 3, x->type.rank, &axis) ||
      !same_rank(c, x, index))
    return value_error();
  if (c->arg[2].kind == V_tensor) {
    if (!arg_tensor(c, 2, &src) || !same_rank(c, src, index)) return value_error();
    if (src->type.dt != x->type.dt) return arg_fail(c, 2, str_fmt(c->e->a, "a tensor of %s", dtype_name(x->type.dt)));
    src = cut_to(c, src, c->arg[2], index, UINT32_MAX);
  } else {
    src = elab_splat(c->e, c->arg[2], x->type.dt, index->type.rank, index->type.dim, c->at[2]);
  }
  if (!src || !cut_to(c, x, c->arg[0], index, axis)) return value_error();
  value places = linear_places(c, x, index, axis);
  if (value_is_error(places)) return places;
  ir_value *in[] = {flattened(c, x), flattened(c, places.v.tensor), flattened(c, src)};
  ir_module *m = c->e->m;
  ir_attr attr[] = {attr_int(m, "axis", 0), attr_str(m, "mode", strcmp(c->fn->name, "scatter") ? "add" : "set")};
  ir_node *n =
      in[0] && in[1] && in[2] ? ir_build(elab_nodes(c->e), OP_scatter, 3, in, 2, attr, 0, NULL, 0, NULL) : NULL;
  return value_tensor(n ? ir_reshape(elab_nodes(c->e), &n->out[0], x->type.rank, x->type.dim) : NULL);
}

// Rows of `new` [batch, heads, time, width] behind the at[b] rows that each element of the batch has: an update whose
// starts are apart.
value builtin_cache_append(call *c) {
  elab *e = c->e;
  ir_value *cache, *new, *at;
  if (!arg_tensor(c, 0, &cache) || !arg_tensor(c, 1, &new) || !arg_index(c, 2, &at)) return value_error();
  const idx *one = idx_int(e->m->ix, 1);
  bool fits = cache->type.rank == 4 && new->type.rank == 4 && cache->type.dt == new->type.dt && at->type.rank == 1 &&
              elab_same_dim(e, at->type.dim[0], cache->type.dim[0], "cache_append") != SAME_no;
  for (uint32_t i = 0; i < 4 && fits; i++)
    fits = i == 2 || elab_same_dim(e, new->type.dim[i], cache->type.dim[i], "cache_append") != SAME_no;
  if (!fits)
    return call_clash(c, c->arg[0], c->arg[1],
                      "needs a cache [batch, heads, capacity, width], rows [batch, heads, time, width] of its type and "
                      "at [batch], found %s, %s and %s",
                      value_describe(e->a, c->arg[0]), value_describe(e->a, c->arg[1]),
                      value_describe(e->a, c->arg[2]));
  const idx *size = new->type.dim[2], *dim[] = {at->type.dim[0], one, one, one};
  for (uint32_t i = 0; i < 4 && new; i++)
    if (i != 2) new = elab_axis_as(e, new, i, cache->type.dim[i]);
  at = elab_axis_as(e, at, 0, cache->type.dim[0]);
  dim[0] = cache->type.dim[0];
  ir_value *in[] = {cache, new, at ? ir_reshape(elab_nodes(e), at, 4, dim) : NULL};
  const int64_t axis = 2;
  ir_attr attr[] = {attr_ints(e->m, "axes", 1, &axis), attr_idxs(e->m, "sizes", 1, &size)};
  ir_node *n = in[1] && in[2] ? ir_build(elab_nodes(e), OP_update, 3, in, 2, attr, 0, NULL, 0, NULL) : NULL;
  return n ? value_tensor(&n->out[0]) : value_error();
}

// -- order --

static value two_results(call *c, const ir_node *n) {
  if (!n) return value_error();
  return value_tuple_of(c->e->a, 2, (value[]){value_tensor(&n->out[0]), value_tensor(&n->out[1])});
}

static bool arg_size(call *c, size_t i, const idx **out) {
  if (!value_is_integer(c->arg[i])) return arg_fail(c, i, "a size"), false;
  *out = value_idx(c->e->m->ix, c->arg[i]);
  return true;
}

value builtin_topk(call *c) {
  ir_value *x;
  uint32_t axis;
  const idx *k;
  if (!arg_tensor(c, 0, &x) || !arg_size(c, 1, &k) || !arg_axis(c, 2, x->type.rank, &axis)) return value_error();
  ir_module *m = c->e->m;
  const idx *room = idx_sub(m->ix, x->type.dim[axis], k);
  if (idx_nonneg(m->ix, room) == TRI_no || idx_nonneg(m->ix, k) == TRI_no)
    return call_clash(c, c->arg[0], value_none(), "wants %s of %s", value_describe(c->e->a, c->arg[1]),
                      value_idx_text(c->e->a, x->type.dim[axis]));
  elab_check(c->e, room, "topk: k elements exist");
  ir_attr attr[] = {attr_idx(m, "k", k), attr_int(m, "axis", axis)};
  return two_results(c, ir_build(elab_nodes(c->e), OP_topk, 1, &x, 2, attr, 0, NULL, 0, NULL));
}

value builtin_sort(call *c) {
  ir_value *x;
  uint32_t axis;
  bool descending;
  if (!arg_tensor(c, 0, &x) || !arg_axis(c, 1, x->type.rank, &axis) || !arg_bool(c, 2, &descending))
    return value_error();
  ir_attr attr[] = {attr_int(c->e->m, "axis", axis), attr_int(c->e->m, "descending", descending)};
  return two_results(c, ir_build(elab_nodes(c->e), OP_sort, 1, &x, descending ? 2 : 1, attr, 0, NULL, 0, NULL));
}

value builtin_nms(call *c) {
  ir_value *in[2];
  double iou;
  const idx *max;
  if (!arg_float_tensor(c, 0, &in[0]) || !arg_float_tensor(c, 1, &in[1]) || !arg_float(c, 2, &iou) ||
      !arg_size(c, 3, &max))
    return value_error();
  bool fits = in[0]->type.rank == 2 && idx_equals_int(in[0]->type.dim[1], 4) && in[1]->type.rank == 1 &&
              in[0]->type.dt == in[1]->type.dt &&
              elab_same_dim(c->e, in[0]->type.dim[0], in[1]->type.dim[0], "nms") != SAME_no;
  if (!fits)
    return call_clash(c, c->arg[0], c->arg[1], "needs boxes [n, 4] and scores [n], found %s and %s",
                      value_describe(c->e->a, c->arg[0]), value_describe(c->e->a, c->arg[1]));
  in[1] = elab_axis_as(c->e, in[1], 0, in[0]->type.dim[0]);
  ir_attr attr[] = {attr_float(c->e->m, "iou", iou), attr_idx(c->e->m, "max", max)};
  return two_results(c, in[1] ? ir_build(elab_nodes(c->e), OP_nms, 2, in, 2, attr, 0, NULL, 0, NULL) : NULL);
}

// Bilinear or nearest reads of images [n, c, h, w] at places [n, oh, ow, 2] of (y, x).
value builtin_interp(call *c) {
  ir_value *in[2];
  str mode, border;
  if (!arg_float_tensor(c, 0, &in[0]) || !arg_float_tensor(c, 1, &in[1]) || !arg_string(c, 2, &mode) ||
      !arg_string(c, 3, &border))
    return value_error();
  bool fits = in[0]->type.rank == 4 && in[1]->type.rank == 4 && idx_equals_int(in[1]->type.dim[3], 2) &&
              elab_same_dim(c->e, in[0]->type.dim[0], in[1]->type.dim[0], "batch") != SAME_no;
  if (!fits)
    return call_clash(c, c->arg[0], c->arg[1], "needs images [n, c, h, w] and places [n, h, w, 2], found %s and %s",
                      value_describe(c->e->a, c->arg[0]), value_describe(c->e->a, c->arg[1]));
  in[1] = elab_axis_as(c->e, in[1], 0, in[0]->type.dim[0]);
  ir_attr attr[] = {attr_str(c->e->m, "mode", elab_text(c->e, mode)),
                    attr_str(c->e->m, "border", elab_text(c->e, border))};
  ir_node *n = in[1] ? ir_build(elab_nodes(c->e), OP_interp, 2, in, 2, attr, 0, NULL, 0, NULL) : NULL;
  return n ? value_tensor(&n->out[0]) : value_error();
}
