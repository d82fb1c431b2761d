// Reductions and scans in the interpreter.
//
// `axes`: every input element is folded into the element of the result that it belongs to. `map`: every window is read
// element by element, `else` (0 unless given) standing for what lies outside. Both accumulate in double or int64 and
// round once. An empty sum is 0, an empty product 1, an empty maximum the dtype's lowest value, an empty minimum its
// highest.
#include "ir/interp.h"

#include <math.h>
#include <string.h>

// sum, prod, amax, amin; `scan` names them sum, prod, max, min.
static op_code fold_of(const char *scan_op) {
  return strcmp(scan_op, "prod") == 0  ? OP_prod
         : strcmp(scan_op, "max") == 0 ? OP_amax
         : strcmp(scan_op, "min") == 0 ? OP_amin
                                       : OP_sum;
}

static scalar identity(op_code op, dtype of, dtype wide) {
  if (op == OP_sum || op == OP_prod) return scalar_f(wide, op == OP_prod);
  scalar s = scalar_f(of, op == OP_amax ? (double)-INFINITY : (double)INFINITY); // saturates on integers
  s.dt = wide;
  return s;
}

static double fold_float(op_code op, double acc, double x) {
  if (op == OP_sum) return acc + x;
  if (op == OP_prod) return acc * x;
  if (isnan(acc) || isnan(x)) return (double)NAN;
  return (op == OP_amax ? x > acc : x < acc) ? x : acc;
}

static int64_t fold_int(op_code op, int64_t acc, int64_t x) {
  if (op == OP_sum) return (int64_t)((uint64_t)acc + (uint64_t)x);
  if (op == OP_prod) return (int64_t)((uint64_t)acc * (uint64_t)x);
  return (op == OP_amax ? x > acc : x < acc) ? x : acc;
}

static void fold(op_code op, ir_tensor *acc, int64_t at, scalar x) {
  if (acc->dt == DT_f64) ((double *)acc->data)[at] = fold_float(op, ((double *)acc->data)[at], x.v.f);
  else ((int64_t *)acc->data)[at] = fold_int(op, ((int64_t *)acc->data)[at], x.v.i);
}

// The step along each input axis of the result's flat index (0 on reduced axes) and of the reduced index (0 on kept
// ones).
static bool split_axes(interp *it, const ir_node *n, const ir_tensor *x, const ir_tensor *out, int64_t *kept,
                       int64_t *reduced) {
  const int64_t *axes;
  size_t n_axes = ir_attr_ints(n, "axes", &axes);
  bool is_reduced[IR_MAX_RANK] = {false};
  for (size_t i = 0; i < n_axes; i++) {
    if (axes[i] < 0 || axes[i] >= (int64_t)x->rank) return interp_malformed(it, n, "an axis is not its operand's");
    is_reduced[axes[i]] = true;
  }
  int64_t kept_step = 1, reduced_step = 1, dim[IR_MAX_RANK];
  uint32_t rank = 0;
  for (uint32_t i = x->rank; i-- > 0;) {
    kept[i] = is_reduced[i] ? 0 : kept_step;
    reduced[i] = is_reduced[i] ? reduced_step : 0;
    *(is_reduced[i] ? &reduced_step : &kept_step) *= x->dim[i];
  }
  for (uint32_t i = 0; i < x->rank; i++)
    if (!is_reduced[i]) dim[rank++] = x->dim[i];
  return interp_expect(it, n, out, rank, dim);
}

static int64_t dot_index(uint32_t rank, const int64_t *index, const int64_t *step) {
  int64_t at = 0;
  for (uint32_t i = 0; i < rank; i++) at += index[i] * step[i];
  return at;
}

static bool reduce_axes(interp *it, const ir_node *n, const ir_tensor *x, const ir_tensor *out, ir_tensor *acc) {
  int64_t kept[IR_MAX_RANK], reduced[IR_MAX_RANK], index[IR_MAX_RANK] = {0};
  if (!split_axes(it, n, x, out, kept, reduced)) return false;
  for (int64_t i = 0, count = ir_tensor_count(x); i < count; i++) {
    fold(n->op, acc, dot_index(x->rank, index, kept), interp_get(x, i));
    interp_next(x->rank, x->dim, index);
  }
  return true;
}

static bool reduce_windows(interp *it, const ir_node *n, ir_tensor *const *in, const ir_tensor *out, ir_tensor *acc) {
  interp_map im;
  if (!interp_map_bind(it, n, in, out, &im)) return false;
  const ir_tensor *x = in[0];
  scalar outside = ir_attr_scalar(n, "else", x->dt, 0);
  int64_t label[INTERP_MAX_LABELS] = {0}, i = 0, from;
  bool empty = false;
  for (uint32_t k = 0; k < im.n_labels; k++) empty |= im.extent[k] == 0;
  if (empty) return true; // no elements, or empty windows: the identity stands
  do {
    do fold(n->op, acc, i, interp_map_read(&im.operand[0], label, &from, im.n_labels) ? interp_get(x, from) : outside);
    while (interp_map_next(&im, im.n_reduced, im.reduced, label));
    i++;
  } while (interp_map_next(&im, im.n_out, im.out, label));
  return true;
}

EVALUATOR(reduce) {
  if (n->op == OP_argmax || n->op == OP_argmin) return interp_eval_argreduce(it, n, in, out);
  ir_tensor *acc = interp_new(it, dtype_is_float(in[0]->dt) ? DT_f64 : DT_i64, out[0]->rank, out[0]->dim);
  interp_fill(acc, identity(n->op, out[0]->dt, acc->dt));
  bool ok = ir_attr_find(n, "map") ? reduce_windows(it, n, in, out[0], acc) : reduce_axes(it, n, in[0], out[0], acc);
  if (ok) interp_narrow(acc, out[0]);
  interp_release(it, acc);
  return ok;
}

// Does x come before `best`? NaN comes before everything, but not before another NaN.
static bool precedes(op_code op, scalar x, scalar best) {
  if (dtype_is_float(x.dt)) {
    if (isnan(x.v.f) || isnan(best.v.f)) return isnan(x.v.f) && !isnan(best.v.f);
    return op == OP_argmax ? x.v.f > best.v.f : x.v.f < best.v.f;
  }
  return op == OP_argmax ? x.v.i > best.v.i : x.v.i < best.v.i;
}

EVALUATOR(argreduce) {
  const ir_tensor *x = in[0];
  int64_t kept[IR_MAX_RANK], reduced[IR_MAX_RANK], index[IR_MAX_RANK] = {0};
  if (!split_axes(it, n, x, out[0], kept, reduced)) return false;
  int64_t count = ir_tensor_count(x), n_out = ir_tensor_count(out[0]);
  if (count == 0 && n_out > 0) return interp_malformed(it, n, "it has no element to choose from");
  ir_tensor *best = interp_new(it, x->dt, out[0]->rank, out[0]->dim);
  interp_fill(out[0], scalar_i(out[0]->dt, -1));
  for (int64_t i = 0; i < count; i++, interp_next(x->rank, x->dim, index)) {
    int64_t at = dot_index(x->rank, index, kept);
    scalar s = interp_get(x, i);
    // Row-major order over the input visits each result's candidates in the order of their index, so the lowest wins
    // ties.
    if (interp_get(out[0], at).v.i >= 0 && !precedes(n->op, s, interp_get(best, at))) continue;
    interp_set(best, at, s);
    interp_set(out[0], at, scalar_i(out[0]->dt, dot_index(x->rank, index, reduced)));
  }
  interp_release(it, best);
  return true;
}

EVALUATOR(scan) {
  const ir_tensor *x = in[0];
  uint32_t axis;
  if (!interp_axis(it, n, "axis", x->rank, &axis) || !interp_same_shape(it, n, x, out[0])) return false;
  op_code op = fold_of(ir_attr_str(n, "op", ""));
  bool reverse = ir_attr_int(n, "reverse", 0) != 0, exclusive = ir_attr_int(n, "exclusive", 0) != 0;
  interp_lines lines = interp_lines_of(x, axis);
  ir_tensor *acc = interp_new(it, dtype_is_float(x->dt) ? DT_f64 : DT_i64, 0, NULL);
  for (int64_t line = 0; line < lines.outer * lines.inner; line++) {
    interp_set(acc, 0, identity(op, out[0]->dt, acc->dt));
    for (int64_t step = 0; step < lines.n; step++) {
      int64_t k = reverse ? lines.n - 1 - step : step;
      int64_t at = interp_line_at(lines, line / lines.inner, k, line % lines.inner);
      scalar before = interp_get(acc, 0);
      fold(op, acc, 0, interp_get(x, at));
      scalar now = exclusive ? before : interp_get(acc, 0);
      now.dt = out[0]->dt;
      interp_set(out[0], at, scalar_round(now));
    }
  }
  interp_release(it, acc);
  return true;
}

EVALUATOR(linrec) {
  uint32_t axis;
  if (!interp_axis(it, n, "axis", out[0]->rank, &axis)) return false;
  if (!interp_same_shape(it, n, in[0], out[0]) || !interp_same_shape(it, n, in[1], out[0])) return false;
  interp_lines lines = interp_lines_of(out[0], axis);
  for (int64_t line = 0; line < lines.outer * lines.inner; line++) {
    double h = 0;
    for (int64_t k = 0; k < lines.n; k++) {
      int64_t at = interp_line_at(lines, line / lines.inner, k, line % lines.inner);
      h = interp_get(in[0], at).v.f * h + interp_get(in[1], at).v.f;
      interp_set(out[0], at, scalar_f(out[0]->dt, h));
    }
  }
  return true;
}
