// Movement operators in the interpreter: results whose elements are elements of the operand, or a constant.
//
// transpose, broadcast, slice and reverse are views: the operand is read at offset + sum of index * step, one step an
// axis of the result.
#include "ir/interp.h"

#include <string.h>

typedef struct view {
  int64_t offset, step[IR_MAX_RANK]; // in elements of the operand, by axis of the result
} view;

static void copy_view(const ir_tensor *from, const view *v, ir_tensor *to) {
  int64_t index[IR_MAX_RANK] = {0};
  size_t size = dtype_size(to->dt);
  for (int64_t i = 0, count = ir_tensor_count(to); i < count; i++) {
    int64_t at = v->offset;
    for (uint32_t k = 0; k < to->rank; k++) at += index[k] * v->step[k];
    memcpy(interp_at(to, i), interp_at(from, at), size);
    interp_next(to->rank, to->dim, index);
  }
}

EVALUATOR(reshape) {
  int64_t count = ir_tensor_count(out[0]);
  if (ir_tensor_count(in[0]) != count) return interp_same_shape(it, n, in[0], out[0]);
  memcpy(out[0]->data, in[0]->data, (size_t)count * dtype_size(out[0]->dt));
  return true;
}

EVALUATOR(transpose) {
  const ir_tensor *x = in[0];
  const int64_t *perm;
  int64_t stride[IR_MAX_RANK], dim[IR_MAX_RANK];
  view v = {0};
  if (ir_attr_ints(n, "perm", &perm) != x->rank) return interp_malformed(it, n, "its permutation has another rank");
  interp_strides(x->rank, x->dim, stride);
  for (uint32_t i = 0; i < x->rank; i++) {
    if (perm[i] < 0 || perm[i] >= (int64_t)x->rank) return interp_malformed(it, n, "its permutation leaves the rank");
    dim[i] = x->dim[perm[i]];
    v.step[i] = stride[perm[i]];
  }
  if (!interp_expect(it, n, out[0], x->rank, dim)) return false;
  copy_view(x, &v, out[0]);
  return true;
}

EVALUATOR(broadcast) {
  const ir_tensor *x = in[0];
  int64_t stride[IR_MAX_RANK];
  view v = {0};
  if (x->rank > out[0]->rank) return interp_same_shape(it, n, x, out[0]);
  interp_strides(x->rank, x->dim, stride);
  uint32_t added = out[0]->rank - x->rank;
  for (uint32_t i = 0; i < x->rank; i++) {
    if (x->dim[i] != 1 && x->dim[i] != out[0]->dim[i + added]) return interp_same_shape(it, n, x, out[0]);
    v.step[i + added] = x->dim[i] == 1 ? 0 : stride[i];
  }
  copy_view(x, &v, out[0]);
  return true;
}

// The result's dims are the operand's but for `size` on one axis.
static bool expect_resized(interp *it, const ir_node *n, const ir_tensor *x, const ir_tensor *out, uint32_t axis,
                           int64_t size) {
  int64_t dim[IR_MAX_RANK];
  for (uint32_t i = 0; i < x->rank; i++) dim[i] = i == axis ? size : x->dim[i];
  return interp_expect(it, n, out, x->rank, dim);
}

EVALUATOR(slice) {
  const ir_tensor *x = in[0];
  uint32_t axis;
  int64_t lo = 0, step = ir_attr_int(n, "step", 1), stride[IR_MAX_RANK];
  if (!interp_axis(it, n, "axis", x->rank, &axis)) return false;
  int64_t size = out[0]->dim[axis < out[0]->rank ? axis : 0];
  const idx *lo_idx = ir_attr_idx(it->m, n, "lo", NULL);
  if (n->n_in == 2) {
    if (!interp_expect(it, n, in[1], 0, NULL)) return false;
    lo = interp_get(in[1], 0).v.i;
  } else if (!lo_idx || !interp_index(it, n, lo_idx, &lo)) {
    return lo_idx ? false : interp_malformed(it, n, "it has no start");
  }
  if (!expect_resized(it, n, x, out[0], axis, size)) return false;
  if (!interp_run_in_range(it, n, lo, size, step, x->dim[axis])) return false;
  if (size == 0) lo = 0;
  interp_strides(x->rank, x->dim, stride);
  view v = {.offset = lo * stride[axis]};
  for (uint32_t i = 0; i < x->rank; i++) v.step[i] = stride[i] * (i == axis ? step : 1);
  copy_view(x, &v, out[0]);
  return true;
}

EVALUATOR(reverse) {
  const ir_tensor *x = in[0];
  const int64_t *axes;
  size_t n_axes = ir_attr_ints(n, "axes", &axes);
  view v = {0};
  if (!interp_same_shape(it, n, x, out[0])) return false;
  interp_strides(x->rank, x->dim, v.step);
  for (size_t i = 0; i < n_axes; i++) {
    if (axes[i] < 0 || axes[i] >= (int64_t)x->rank) return interp_malformed(it, n, "an axis is not its operand's");
    int64_t *step = &v.step[axes[i]];
    if (*step < 0) return interp_malformed(it, n, "it names an axis twice");
    v.offset += (x->dim[axes[i]] - 1) * *step;
    *step = -*step;
  }
  copy_view(x, &v, out[0]);
  return true;
}

EVALUATOR(pad) {
  const ir_tensor *x = in[0];
  const idx *const *lo_idx, *const *hi_idx;
  int64_t lo[IR_MAX_RANK], hi, dim[IR_MAX_RANK], index[IR_MAX_RANK] = {0}, stride[IR_MAX_RANK];
  if (ir_attr_idxs(it->m, n, "lo", &lo_idx) != x->rank || ir_attr_idxs(it->m, n, "hi", &hi_idx) != x->rank)
    return interp_malformed(it, n, "it pads another number of dims than it has");
  for (uint32_t i = 0; i < x->rank; i++) {
    if (!interp_index(it, n, lo_idx[i], &lo[i]) || !interp_index(it, n, hi_idx[i], &hi)) return false;
    if (!interp_bounded(it, n, lo[i], INT64_MAX / 4) || !interp_bounded(it, n, hi, INT64_MAX / 4)) return false;
    dim[i] = x->dim[i] + lo[i] + hi;
  }
  if (!interp_expect(it, n, out[0], x->rank, dim)) return false;
  interp_strides(x->rank, x->dim, stride);
  scalar value = ir_attr_scalar(n, "value", x->dt, 0);
  for (int64_t i = 0, count = ir_tensor_count(out[0]); i < count; i++, interp_next(x->rank, dim, index)) {
    int64_t from = 0;
    bool inside = true;
    for (uint32_t k = 0; k < x->rank; k++) {
      int64_t at = index[k] - lo[k];
      inside = inside && at >= 0 && at < x->dim[k];
      from += at * stride[k];
    }
    interp_set(out[0], i, inside ? interp_get(x, from) : value);
  }
  return true;
}

EVALUATOR(concat) {
  uint32_t axis;
  if (!interp_axis(it, n, "axis", out[0]->rank, &axis)) return false;
  int64_t total = 0, first = 0;
  for (uint32_t k = 0; k < n->n_in; k++) {
    if (in[k]->rank != out[0]->rank) return interp_same_shape(it, n, in[k], out[0]);
    if (!expect_resized(it, n, out[0], in[k], axis, in[k]->dim[axis])) return false;
    total += in[k]->dim[axis];
  }
  if (!expect_resized(it, n, out[0], out[0], axis, total)) return false;
  interp_lines to = interp_lines_of(out[0], axis);
  for (uint32_t k = 0; k < n->n_in; k++) {
    int64_t run = in[k]->dim[axis] * to.inner; // elements that stay together
    for (int64_t o = 0; o < to.outer; o++)
      memcpy(interp_at(out[0], interp_line_at(to, o, first, 0)), interp_at(in[k], o * run),
             (size_t)run * dtype_size(out[0]->dt));
    first += in[k]->dim[axis];
  }
  return true;
}
