// Ordered operators in the interpreter: sort, topk, nms, compact.
//
// Order: values by <, NaN after everything (so first in descending order), ties by the lower index, both ways. Results
// of a declared maximum are filled up with zeros; the count tells how many are real.
#include "ir/interp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
  scalar value;
  int64_t index;
} entry;

static int order_values(scalar a, scalar b) {
  if (!dtype_is_float(a.dt)) return (a.v.i > b.v.i) - (a.v.i < b.v.i);
  if (isnan(a.v.f) || isnan(b.v.f)) return (isnan(a.v.f) != 0) - (isnan(b.v.f) != 0);
  return (a.v.f > b.v.f) - (a.v.f < b.v.f);
}

static int by_index(const entry *a, const entry *b) { return (a->index > b->index) - (a->index < b->index); }

static int ascending(const void *pa, const void *pb) {
  const entry *a = pa, *b = pb;
  int order = order_values(a->value, b->value);
  return order ? order : by_index(a, b);
}

static int descending(const void *pa, const void *pb) {
  const entry *a = pa, *b = pb;
  int order = order_values(b->value, a->value);
  return order ? order : by_index(a, b);
}

// Room for n entries that lives until it is released.
static ir_tensor *entries_new(interp *it, int64_t n, entry **at) {
  ir_tensor *t = interp_new(it, DT_i64, 2, (const int64_t[]){n, (sizeof(entry) + 7) / 8});
  *at = t->data;
  return t;
}

// Sorts every line of x along the axis and writes the first out[0]->dim[axis] of each.
static bool sort_lines(interp *it, const ir_node *n, const ir_tensor *x, ir_tensor **out, bool down) {
  uint32_t axis;
  if (!interp_axis(it, n, "axis", x->rank, &axis)) return false;
  int64_t dim[IR_MAX_RANK];
  for (uint32_t i = 0; i < x->rank; i++) dim[i] = x->dim[i];
  if (out[0]->rank == x->rank) dim[axis] = out[0]->dim[axis];
  if (!interp_expect(it, n, out[0], x->rank, dim) || !interp_expect(it, n, out[1], x->rank, dim)) return false;
  if (dim[axis] > x->dim[axis]) return interp_malformed(it, n, "it wants more elements than there are");
  interp_lines from = interp_lines_of(x, axis), to = interp_lines_of(out[0], axis);
  entry *e;
  ir_tensor *room = entries_new(it, from.n, &e);
  for (int64_t line = 0; line < from.outer * from.inner; line++) {
    int64_t outer = line / from.inner, inner = line % from.inner;
    for (int64_t k = 0; k < from.n; k++) e[k] = (entry){interp_get(x, interp_line_at(from, outer, k, inner)), k};
    qsort(e, (size_t)from.n, sizeof *e, down ? descending : ascending);
    for (int64_t k = 0; k < to.n; k++) {
      int64_t at = interp_line_at(to, outer, k, inner);
      interp_set(out[0], at, e[k].value);
      interp_set(out[1], at, scalar_i(out[1]->dt, e[k].index));
    }
  }
  interp_release(it, room);
  return true;
}

EVALUATOR(sort) { return sort_lines(it, n, in[0], out, ir_attr_int(n, "descending", 0) != 0); }

EVALUATOR(topk) { return sort_lines(it, n, in[0], out, true); }

// -- nms --

typedef struct box {
  double x1, y1, x2, y2, area;
} box;

static box box_at(const ir_tensor *boxes, int64_t i) {
  box b = {interp_get(boxes, 4 * i).v.f, interp_get(boxes, 4 * i + 1).v.f, interp_get(boxes, 4 * i + 2).v.f,
           interp_get(boxes, 4 * i + 3).v.f, 0};
  b.area = (b.x2 - b.x1) * (b.y2 - b.y1);
  return b;
}

// Intersection over union.
static double overlap(box a, box b) {
  double w = fmin(a.x2, b.x2) - fmax(a.x1, b.x1), h = fmin(a.y2, b.y2) - fmax(a.y1, b.y1);
  double both = fmax(w, 0) * fmax(h, 0);
  return both / (a.area + b.area - both);
}

static void set_count(ir_tensor *t, int64_t count) { interp_set(t, 0, scalar_i(t->dt, count)); }

// Boxes (x1, y1, x2, y2) in descending order of score; each is kept unless its overlap with one kept before exceeds
// `iou`.
EVALUATOR(nms) {
  const ir_tensor *boxes = in[0], *scores = in[1];
  int64_t count = scores->rank == 1 ? scores->dim[0] : 0, kept = 0;
  if (!interp_expect(it, n, boxes, 2, (const int64_t[]){count, 4}) ||
      !interp_expect(it, n, scores, 1, (const int64_t[]){count}) || !interp_expect(it, n, out[1], 0, NULL))
    return false;
  if (out[0]->rank != 1) return interp_malformed(it, n, "its indices are not one list");
  scalar limit = ir_attr_scalar(n, "iou", DT_f64, 0);
  entry *e;
  ir_tensor *room = entries_new(it, count, &e);
  for (int64_t i = 0; i < count; i++) e[i] = (entry){interp_get(scores, i), i};
  qsort(e, (size_t)count, sizeof *e, descending);
  interp_fill(out[0], scalar_i(out[0]->dt, 0));
  for (int64_t i = 0; i < count && kept < out[0]->dim[0]; i++) {
    bool keep = true;
    for (int64_t k = 0; k < kept && keep; k++)
      keep = !(overlap(box_at(boxes, interp_get(out[0], k).v.i), box_at(boxes, e[i].index)) > limit.v.f);
    if (keep) interp_set(out[0], kept++, scalar_i(out[0]->dt, e[i].index));
  }
  set_count(out[1], kept);
  interp_release(it, room);
  return true;
}

// Rows beyond the declared maximum are dropped; the count is of the rows written.
EVALUATOR(compact) {
  const ir_tensor *x = in[0], *mask = in[1];
  if (x->rank < 1 || out[0]->rank != x->rank) return interp_malformed(it, n, "its operand has no rows");
  if (!interp_expect(it, n, mask, 1, x->dim) || !interp_expect(it, n, out[1], 0, NULL)) return false;
  interp_lines from = interp_lines_of(x, 0), to = interp_lines_of(out[0], 0);
  int64_t dim[IR_MAX_RANK], kept = 0;
  memcpy(dim, x->dim, sizeof dim);
  dim[0] = to.n;
  if (!interp_expect(it, n, out[0], x->rank, dim)) return false;
  size_t row = (size_t)from.inner * dtype_size(x->dt);
  memset(out[0]->data, 0, (size_t)to.n * row);
  for (int64_t i = 0; i < from.n && kept < to.n; i++)
    if (interp_get(mask, i).v.i) memcpy(interp_at(out[0], kept++ * to.inner), interp_at(x, i * from.inner), row);
  set_count(out[1], kept);
  return true;
}
