// Shape rules of movement: reshape, transpose, broadcast, slice, pad, concat.
#include "ir/infer.h"

bool infer_reshape(infer *x) {
  const ir_type t = infer_in(x, 0);
  const idx *const *dim;
  const size_t rank = ir_attr_idxs(x->m, &x->n, "shape", &dim);
  if (rank > IR_MAX_RANK) return infer_attribute(x, "its `shape` has %zu dims; at most %d", rank, IR_MAX_RANK);
  const ir_type to = infer_type(x, t.dt, (uint32_t)rank, dim);
  for (size_t i = 0; i < rank; i++) {
    if (!infer_requires(x, dim[i], "reshape: %s must not be negative", infer_idx_text(x, dim[i])))
      return infer_mismatch(x, t, to);
  }
  if (!infer_same_dim(x, ir_type_count(x->m, t), ir_type_count(x->m, to))) return infer_mismatch(x, t, to);
  infer_out(x, 0, to);
  return true;
}

bool infer_transpose(infer *x) {
  const ir_type t = infer_in(x, 0);
  const idx *dim[IR_MAX_RANK];
  const int64_t *perm;
  bool has[IR_MAX_RANK];
  const size_t n = ir_attr_ints(&x->n, "perm", &perm);
  if (n != t.rank) return infer_attribute(x, "its `perm` has %zu axes; its operand has %u dims", n, t.rank);
  if (!infer_axes(x, "perm", t.rank, has)) return false;
  for (uint32_t i = 0; i < t.rank; i++) dim[i] = t.dim[perm[i]];
  infer_out(x, 0, infer_type(x, t.dt, t.rank, dim));
  return true;
}

bool infer_broadcast(infer *x) {
  const ir_type t = infer_in(x, 0);
  const idx *const *dim;
  const size_t rank = ir_attr_idxs(x->m, &x->n, "shape", &dim);
  if (rank > IR_MAX_RANK) return infer_attribute(x, "its `shape` has %zu dims; at most %d", rank, IR_MAX_RANK);
  const ir_type to = infer_type(x, t.dt, (uint32_t)rank, dim);
  if (rank < t.rank) return infer_mismatch(x, t, to);
  for (uint32_t i = 0; i < t.rank; i++) {
    const idx *from = t.dim[i], *into = dim[rank - t.rank + i];
    if (!idx_equals_int(from, 1) && !infer_same_dim(x, from, into)) return infer_mismatch(x, t, to);
  }
  infer_out(x, 0, to);
  return true;
}

// The last element read, lo + (size-1)*step, lies inside; an lo known only at run time is checked there.
static bool check_slice(infer *x, ir_type t, uint32_t axis, const idx *lo, const idx *size, int64_t step) {
  idx_ctx *c = x->m->ix;
  const idx *last = idx_scale(c, idx_addi(c, size, -1), step), *n = t.dim[axis];
  if (lo != NULL) last = idx_add(c, last, lo);
  const idx *room = idx_sub(c, idx_addi(c, n, -1), last);
  const char *from = lo == NULL ? "?" : infer_idx_text(x, lo);
  const bool good = infer_requires(x, size, "slice: %s must not be negative", infer_idx_text(x, size)) &&
                    (lo == NULL || infer_requires(x, lo, "slice: %s must not be negative", from)) &&
                    infer_requires(x, room, "slice: %s elements from %s by %lld exceed %s", infer_idx_text(x, size),
                                   from, (long long)step, infer_idx_text(x, n));
  return good ? true
              : infer_shape(x, "%s elements from %s by %lld do not lie in axis %u of %s", infer_idx_text(x, size), from,
                            (long long)step, axis, infer_type_text(x, t));
}

bool infer_slice(infer *x) {
  const ir_type t = infer_in(x, 0);
  uint32_t axis;
  const idx *dim[IR_MAX_RANK];
  const idx *lo = ir_attr_idx(x->m, &x->n, "lo", NULL), *size = ir_attr_idx(x->m, &x->n, "size", NULL);
  const int64_t step = ir_attr_int(&x->n, "step", 1);
  if (!infer_axis(x, "axis", t.rank, &axis)) return false;
  if ((lo != NULL) == (x->n.n_in == 2)) return infer_attribute(x, "it needs `lo` either as attribute or as operand");
  if (x->n.n_in == 2 && !infer_is_scalar(x, 1, DT_i32)) return false;
  if (step < 1) return infer_attribute(x, "its `step` is %lld; it must be positive", (long long)step);
  if (!check_slice(x, t, axis, lo, size, step)) return false;
  for (uint32_t i = 0; i < t.rank; i++) dim[i] = i == axis ? size : t.dim[i];
  infer_out(x, 0, infer_type(x, t.dt, t.rank, dim));
  return true;
}

bool infer_pad(infer *x) {
  const ir_type t = infer_in(x, 0);
  const idx *dim[IR_MAX_RANK];
  const idx *const *lo, *const *hi;
  const size_t n_lo = ir_attr_idxs(x->m, &x->n, "lo", &lo), n_hi = ir_attr_idxs(x->m, &x->n, "hi", &hi);
  if (n_lo != t.rank || n_hi != t.rank) {
    return infer_attribute(x, "its `lo` and `hi` have %zu and %zu entries; its operand has %u dims", n_lo, n_hi,
                           t.rank);
  }
  for (uint32_t i = 0; i < t.rank; i++) {
    const char *low = infer_idx_text(x, lo[i]), *high = infer_idx_text(x, hi[i]);
    if (!infer_requires(x, lo[i], "pad: %s must not be negative", low) ||
        !infer_requires(x, hi[i], "pad: %s must not be negative", high)) {
      return infer_shape(x, "axis %u of %s cannot be padded by %s and %s", i, infer_type_text(x, t), low, high);
    }
    dim[i] = idx_add(x->m->ix, t.dim[i], idx_add(x->m->ix, lo[i], hi[i]));
  }
  infer_out(x, 0, infer_type(x, t.dt, t.rank, dim));
  return true;
}

bool infer_concat(infer *x) {
  const ir_type t = infer_in(x, 0);
  uint32_t axis;
  const idx *dim[IR_MAX_RANK];
  if (!infer_axis(x, "axis", t.rank, &axis)) return false;
  for (uint32_t k = 0; k < t.rank; k++) dim[k] = t.dim[k];
  for (uint32_t i = 1; i < x->n.n_in; i++) {
    const ir_type u = infer_in(x, i);
    bool same = u.dt == t.dt && u.rank == t.rank;
    for (uint32_t k = 0; k < t.rank && same; k++) same = k == axis || infer_same_dim(x, t.dim[k], u.dim[k]);
    if (!same) return infer_mismatch(x, t, u);
    dim[axis] = idx_add(x->m->ix, dim[axis], u.dim[axis]);
  }
  infer_out(x, 0, infer_type(x, t.dt, t.rank, dim));
  return true;
}
