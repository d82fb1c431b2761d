// Linear algebra in the interpreter, on the last two axes and in double: LU by Gaussian elimination with partial
// pivoting, inverse by the same on [a | 1], triangular systems by substitution. (Golub and Van Loan, Matrix
// Computations, sections 3.1 and 3.4.) A singular matrix divides by zero: its results are not finite.
#include "ir/interp.h"

#include <math.h>

// The last two dims are [n, n]; everything before them is a batch.
static bool square(interp *it, const ir_node *n, const ir_tensor *t, int64_t *size, int64_t *batch) {
  if (t->rank < 2 || t->dim[t->rank - 1] != t->dim[t->rank - 2])
    return interp_malformed(it, n, "its operand's last two dims are not square");
  *size = t->dim[t->rank - 1];
  *batch = 1;
  for (uint32_t i = 0; i + 2 < t->rank; i++) *batch *= t->dim[i];
  return true;
}

static void swap_rows(double *a, int64_t width, int64_t i, int64_t k) {
  for (int64_t j = 0; j < width; j++) {
    double t = a[i * width + j];
    a[i * width + j] = a[k * width + j];
    a[k * width + j] = t;
  }
}

// The row from `k` on with the largest element in column k; NaN counts as largest.
static int64_t pivot_row(const double *a, int64_t n, int64_t width, int64_t k) {
  int64_t best = k;
  for (int64_t i = k; i < n; i++) {
    double size = fabs(a[i * width + k]), largest = fabs(a[best * width + k]);
    if (size > largest || (isnan(size) && !isnan(largest))) best = i;
  }
  return best;
}

// Row i minus `factor` times row k, in columns [from, width).
static void subtract_row(double *a, int64_t width, int64_t i, int64_t k, double factor, int64_t from) {
  for (int64_t j = from; j < width; j++) a[i * width + j] -= factor * a[k * width + j];
}

static void invert(double *both, int64_t n) { // [a | 1] of width 2n becomes [1 | inverse]
  int64_t width = 2 * n;
  for (int64_t k = 0; k < n; k++) {
    swap_rows(both, width, k, pivot_row(both, n, width, k));
    double pivot = both[k * width + k];
    for (int64_t j = 0; j < width; j++) both[k * width + j] /= pivot;
    for (int64_t i = 0; i < n; i++)
      if (i != k) subtract_row(both, width, i, k, both[i * width + k], 0);
  }
}

EVALUATOR(inverse) {
  int64_t size = 0, batch = 0;
  if (!square(it, n, in[0], &size, &batch) || !interp_same_shape(it, n, in[0], out[0])) return false;
  ir_tensor *work = interp_new(it, DT_f64, 2, (const int64_t[]){size, 2 * size});
  double *both = work->data;
  for (int64_t b = 0; b < batch; b++) {
    int64_t first = b * size * size;
    for (int64_t i = 0; i < size; i++)
      for (int64_t j = 0; j < size; j++) {
        both[i * 2 * size + j] = interp_get(in[0], first + i * size + j).v.f;
        both[i * 2 * size + size + j] = i == j;
      }
    invert(both, size);
    for (int64_t i = 0; i < size; i++)
      for (int64_t j = 0; j < size; j++)
        interp_set(out[0], first + i * size + j, scalar_f(out[0]->dt, both[i * 2 * size + size + j]));
  }
  interp_release(it, work);
  return true;
}

// lu holds U on and above the diagonal and L's multipliers below; at step k row k was swapped with row pivots[k] (from
// 0).
EVALUATOR(lu) {
  int64_t size = 0, batch = 0;
  if (!square(it, n, in[0], &size, &batch) || !interp_same_shape(it, n, in[0], out[0]) ||
      !interp_expect(it, n, out[1], in[0]->rank - 1, in[0]->dim))
    return false;
  ir_tensor *work = interp_widen(it, in[0]);
  for (int64_t b = 0; b < batch; b++) {
    double *a = (double *)work->data + b * size * size;
    for (int64_t k = 0; k < size; k++) {
      int64_t p = pivot_row(a, size, size, k);
      interp_set(out[1], b * size + k, scalar_i(out[1]->dt, p));
      swap_rows(a, size, k, p);
      for (int64_t i = k + 1; i < size; i++) {
        a[i * size + k] /= a[k * size + k];
        subtract_row(a, size, i, k, a[i * size + k], k + 1);
      }
    }
  }
  interp_narrow(work, out[0]);
  interp_release(it, work);
  return true;
}

EVALUATOR(tri_solve) {
  int64_t size = 0, batch = 0, dim[IR_MAX_RANK];
  if (!square(it, n, in[0], &size, &batch) || !interp_same_shape(it, n, in[1], out[0])) return false;
  if (in[1]->rank != in[0]->rank) return interp_same_shape(it, n, in[1], in[0]);
  for (uint32_t i = 0; i < in[0]->rank; i++) dim[i] = in[0]->dim[i];
  int64_t columns = dim[in[0]->rank - 1] = in[1]->dim[in[1]->rank - 1];
  if (!interp_expect(it, n, in[1], in[0]->rank, dim)) return false;
  bool upper = ir_attr_int(n, "upper", 0) != 0;
  ir_tensor *a = interp_widen(it, in[0]), *x = interp_widen(it, in[1]);
  for (int64_t b = 0; b < batch; b++) {
    const double *m = (const double *)a->data + b * size * size;
    double *y = (double *)x->data + b * size * columns;
    for (int64_t step = 0; step < size; step++) {
      int64_t k = upper ? size - 1 - step : step;
      for (int64_t j = 0; j < columns; j++) y[k * columns + j] /= m[k * size + k];
      for (int64_t i = upper ? 0 : k + 1; i < (upper ? k : size); i++)
        subtract_row(y, columns, i, k, m[i * size + k], 0);
    }
  }
  interp_narrow(x, out[0]);
  interp_release(it, a);
  interp_release(it, x);
  return true;
}
