// Shape rules of random numbers and linear algebra: random, square, lu, tri_solve.
#include "ir/infer.h"

bool infer_random(infer *x) {
  const idx *const *dim;
  const size_t rank = ir_attr_idxs(x->m, &x->n, "shape", &dim);
  if (!infer_is_scalar(x, 0, DT_i32)) return false;
  if (rank > IR_MAX_RANK) return infer_attribute(x, "its `shape` has %zu dims; at most %d", rank, IR_MAX_RANK);
  infer_out(x, 0, infer_type(x, DT_f32, (uint32_t)rank, dim));
  return true;
}

static bool is_square(infer *x, ir_type t) {
  if (t.rank >= 2 && infer_same_dim(x, t.dim[t.rank - 2], t.dim[t.rank - 1])) return true;
  return infer_shape(x, "the last two axes of %s are not square", infer_type_text(x, t));
}

bool infer_square(infer *x) {
  const ir_type t = infer_in(x, 0);
  if (!is_square(x, t)) return false;
  infer_out(x, 0, t);
  return true;
}

bool infer_lu(infer *x) {
  const ir_type t = infer_in(x, 0);
  if (!is_square(x, t)) return false;
  infer_out(x, 0, t);
  infer_out(x, 1, infer_type(x, DT_i32, t.rank - 1, t.dim)); // one pivot a row
  return true;
}

bool infer_tri_solve(infer *x) {
  const ir_type a = infer_in(x, 0), b = infer_in(x, 1);
  if (!is_square(x, a)) return false;
  bool same = a.dt == b.dt && a.rank == b.rank;
  for (uint32_t i = 0; i + 1 < a.rank && same; i++) same = infer_same_dim(x, a.dim[i], b.dim[i]);
  if (!same) return infer_mismatch(x, a, b);
  infer_out(x, 0, b);
  return true;
}
