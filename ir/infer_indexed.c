// Shape rules of indexed and ordered operators: gather, scatter, interp, sort, topk, nms, compact.
#include "ir/infer.h"

// The type of x with its axis replaced by the dims of the index after the shared ones.
static bool place(infer *x, ir_type t, ir_type index, ir_type *out) {
  uint32_t axis, rank = 0;
  const int64_t batch = ir_attr_int(&x->n, "batch", 0);
  const idx *dim[2 * IR_MAX_RANK];
  if (!infer_axis(x, "axis", t.rank, &axis)) return false;
  if (index.dt != DT_i32) return infer_operand(x, "its index is %s; it takes i32", dtype_name(index.dt));
  if (batch < 0 || batch > axis || batch > index.rank) {
    return infer_attribute(x, "its `batch` is %lld; the axis is %u and the index has %u dims", (long long)batch, axis,
                           index.rank);
  }
  for (uint32_t i = 0; i < batch; i++) {
    if (!infer_same_dim(x, t.dim[i], index.dim[i])) return infer_mismatch(x, t, index);
  }
  for (uint32_t i = 0; i < axis; i++) dim[rank++] = t.dim[i];
  for (uint32_t i = (uint32_t)batch; i < index.rank; i++) dim[rank++] = index.dim[i];
  for (uint32_t i = axis + 1; i < t.rank; i++) dim[rank++] = t.dim[i];
  *out = infer_type(x, t.dt, rank, dim);
  return true;
}

bool infer_gather(infer *x) {
  ir_type out;
  if (!place(x, infer_in(x, 0), infer_in(x, 1), &out)) return false;
  infer_out(x, 0, out);
  return true;
}

bool infer_scatter(infer *x) {
  static const char *const modes[] = {"set", "add", "max", "min"};
  const ir_type base = infer_in(x, 0);
  ir_type src;
  if (!infer_one_of(x, "mode", modes, 4) || !place(x, base, infer_in(x, 1), &src)) return false;
  if (base.dt == DT_bool && ir_attr_str(&x->n, "mode", "")[0] != 's') {
    return infer_operand(x, "operand 0 is bool; it takes a number");
  }
  if (!infer_same_type(x, src, infer_in(x, 2))) return false;
  infer_out(x, 0, base);
  return true;
}

bool infer_interp(infer *x) {
  static const char *const modes[] = {"bilinear", "nearest"}, *const borders[] = {"zeros", "clamp"};
  const ir_type t = infer_in(x, 0), at = infer_in(x, 1);
  if (!infer_one_of(x, "mode", modes, 2) || !infer_one_of(x, "border", borders, 2)) return false;
  if (!dtype_is_float(t.dt) || !dtype_is_float(at.dt)) {
    return infer_operand(x, "its operands are %s and %s; it takes floats", dtype_name(t.dt), dtype_name(at.dt));
  }
  if (t.rank != 4 || at.rank != 4 || !infer_same_dim(x, t.dim[0], at.dim[0]) || !idx_equals_int(at.dim[3], 2)) {
    return infer_shape(x, "it reads [n,c,h,w] at [n,oh,ow,2], not %s at %s", infer_type_text(x, t),
                       infer_type_text(x, at));
  }
  const idx *const dim[] = {t.dim[0], t.dim[1], at.dim[1], at.dim[2]};
  infer_out(x, 0, infer_type(x, t.dt, 4, dim));
  return true;
}

bool infer_sort(infer *x) {
  const ir_type t = infer_in(x, 0);
  uint32_t axis;
  if (!infer_axis(x, "axis", t.rank, &axis)) return false;
  infer_out(x, 0, t);
  infer_out(x, 1, infer_type(x, DT_i32, t.rank, t.dim));
  return true;
}

// A declared size: at least 0 and, unless `most` is NULL, at most that.
static bool check_size(infer *x, const char *key, const idx *size, const idx *most) {
  idx_ctx *c = x->m->ix;
  if (infer_requires(x, size, "%s: %s must not be negative", x->info->name, infer_idx_text(x, size)) &&
      (most == NULL || infer_requires(x, idx_sub(c, most, size), "%s: %s exceeds %s", x->info->name,
                                      infer_idx_text(x, size), infer_idx_text(x, most)))) {
    return true;
  }
  return infer_shape(x, "its `%s` is %s%s%s", key, infer_idx_text(x, size), most == NULL ? "" : ", of ",
                     most == NULL ? "" : infer_idx_text(x, most));
}

bool infer_topk(infer *x) {
  const ir_type t = infer_in(x, 0);
  uint32_t axis;
  const idx *dim[IR_MAX_RANK], *k = ir_attr_idx(x->m, &x->n, "k", NULL);
  if (!infer_axis(x, "axis", t.rank, &axis) || !check_size(x, "k", k, t.dim[axis])) return false;
  for (uint32_t i = 0; i < t.rank; i++) dim[i] = i == axis ? k : t.dim[i];
  infer_out(x, 0, infer_type(x, t.dt, t.rank, dim));
  infer_out(x, 1, infer_type(x, DT_i32, t.rank, dim));
  return true;
}

bool infer_nms(infer *x) {
  const ir_type boxes = infer_in(x, 0), scores = infer_in(x, 1);
  const idx *max = ir_attr_idx(x->m, &x->n, "max", NULL);
  if (!dtype_is_float(boxes.dt) || boxes.dt != scores.dt) {
    return infer_operand(x, "its operands are %s and %s; it takes floats of one dtype", dtype_name(boxes.dt),
                         dtype_name(scores.dt));
  }
  if (boxes.rank != 2 || scores.rank != 1 || !idx_equals_int(boxes.dim[1], 4) ||
      !infer_same_dim(x, boxes.dim[0], scores.dim[0])) {
    return infer_shape(x, "it takes [n,4] and [n], not %s and %s", infer_type_text(x, boxes),
                       infer_type_text(x, scores));
  }
  if (!check_size(x, "max", max, NULL)) return false;
  infer_out(x, 0, infer_type(x, DT_i32, 1, &max));
  infer_out(x, 1, infer_scalar(DT_i32));
  return true;
}

bool infer_compact(infer *x) {
  const ir_type t = infer_in(x, 0), mask = infer_in(x, 1);
  const idx *dim[IR_MAX_RANK], *max = ir_attr_idx(x->m, &x->n, "max", NULL);
  if (mask.dt != DT_bool) return infer_operand(x, "operand 1 is %s; it takes bool", dtype_name(mask.dt));
  if (t.rank < 1 || mask.rank != 1 || !infer_same_dim(x, t.dim[0], mask.dim[0])) return infer_mismatch(x, t, mask);
  if (!check_size(x, "max", max, NULL)) return false;
  for (uint32_t i = 0; i < t.rank; i++) dim[i] = i == 0 ? max : t.dim[i];
  infer_out(x, 0, infer_type(x, t.dt, t.rank, dim));
  infer_out(x, 1, infer_scalar(DT_i32));
  return true;
}
