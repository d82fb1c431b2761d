// Index maps in the interpreter: contractions, windows, and the reading of one map element that windowed reductions use
// too.
//
// out[labels] = sum over the reduced labels of a[map_a] * b[map_b]. A term with a read outside an operand, or at a
// division that is not exact, adds nothing. Sums are in double or wrapping int64, rounded once. The innermost reduced
// label runs as a strided dot product over the part of its range that stays inside both operands; that is the only
// concession to speed.
#include "ir/interp.h"

// What keeps every index below 2^63: MAX_COEF * MAX_EXTENT * INTERP_MAX_LABELS + MAX_BASE.
#define MAX_COEF   ((int64_t)1 << 26)
#define MAX_EXTENT ((int64_t)1 << 31)
#define MAX_BASE   ((int64_t)1 << 61)

// -- maps --

static bool bind_access(interp *it, const ir_node *n, const ir_map *parsed, uint32_t operand, const ir_tensor *t,
                        interp_access *x) {
  *x = (interp_access){.rank = t->rank};
  if (parsed->operand[operand].rank != t->rank)
    return interp_malformed(it, n, "its map has another rank than its operand");
  interp_strides(t->rank, t->dim, x->stride);
  for (uint32_t i = 0; i < t->rank; i++) {
    const ir_axis *axis = &parsed->operand[operand].axes[i];
    const idx *rest = axis->at, *coef;
    x->extent[i] = t->dim[i];
    x->exact_div[i] = axis->exact_div;
    if (axis->exact_div < 1) return interp_malformed(it, n, "its map divides by less than 1");
    for (uint32_t k = 0; k < parsed->n_labels; k++)
      if (!idx_linear(it->m->ix, rest, parsed->labels[k].symbol, &coef, &rest))
        return interp_malformed(it, n, "its map is not affine");
      else if (!interp_index(it, n, coef, &x->coef[i][k]) || !interp_bounded(it, n, x->coef[i][k], MAX_COEF))
        return false;
    if (!interp_index(it, n, rest, &x->base[i]) || !interp_bounded(it, n, x->base[i], MAX_BASE)) return false;
  }
  return true;
}

bool interp_map_bind(interp *it, const ir_node *n, ir_tensor *const *in, const ir_tensor *out, interp_map *im) {
  const ir_map *m = ir_map_of(it->m, n);
  if (!m) return false;
  *im = (interp_map){.n_labels = m->n_labels, .n_out = m->out_rank};
  if (m->n_labels >= INTERP_MAX_LABELS || m->out_rank > IR_MAX_RANK || m->n_operands != n->n_in)
    return interp_malformed(it, n, "its map has too many labels or other operands");
  int64_t dim[IR_MAX_RANK];
  for (uint32_t k = 0; k < m->n_labels; k++) {
    int64_t *extent = &im->extent[k];
    if (!interp_index(it, n, m->labels[k].extent, extent) || !interp_bounded(it, n, *extent, MAX_EXTENT)) return false;
    if (*extent < 0) *extent = 0;
    if (!m->labels[k].in_out) im->reduced[im->n_reduced++] = k;
  }
  for (uint32_t i = 0; i < m->out_rank; i++) dim[i] = im->extent[im->out[i] = m->out_label[i]];
  for (uint32_t i = 0; i < m->n_operands; i++)
    if (!bind_access(it, n, m, i, in[i], &im->operand[i])) return false;
  return interp_expect(it, n, out, m->out_rank, dim);
}

// The index along axis i before its exact division.
static int64_t index_on(const interp_access *x, uint32_t i, const int64_t *label, uint32_t n_labels) {
  int64_t at = x->base[i];
  for (uint32_t k = 0; k < n_labels; k++) at += x->coef[i][k] * label[k];
  return at;
}

bool interp_map_read(const interp_access *x, const int64_t *label, int64_t *offset, uint32_t n_labels) {
  *offset = 0;
  for (uint32_t i = 0; i < x->rank; i++) {
    int64_t at = index_on(x, i, label, n_labels);
    if (at % x->exact_div[i] != 0) return false;
    at /= x->exact_div[i];
    if (at < 0 || at >= x->extent[i]) return false;
    *offset += at * x->stride[i];
  }
  return true;
}

bool interp_map_next(const interp_map *im, uint32_t n, const uint32_t *which, int64_t *label) {
  for (uint32_t i = n; i-- > 0;) {
    if (++label[which[i]] < im->extent[which[i]]) return true;
    label[which[i]] = 0;
  }
  return false;
}

// -- contraction --

// A stretch [lo, hi) of the innermost label along which each operand is read at offset + l * step.
typedef struct stretch {
  int64_t lo, hi, offset[2], step[2];
} stretch;

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0 && (a % b < 0) == (b < 0)); } // b > 0

// Narrows s to where axis index start + l*step lies in [0, extent).
static void clip(stretch *s, int64_t start, int64_t step, int64_t extent) {
  int64_t lo = s->lo, hi = s->hi;
  if (step > 0) {
    lo = ceil_div(-start, step);
    hi = ceil_div(extent - start, step);
  } else if (step < 0) {
    lo = ceil_div(start - extent + 1, -step);
    hi = ceil_div(start + 1, -step);
  } else if (start < 0 || start >= extent) {
    hi = lo;
  }
  if (lo > s->lo) s->lo = lo;
  if (hi < s->hi) s->hi = hi;
}

// The stretch of `inner` with the other labels fixed (label[inner] is 0). false: a division along it is not always
// exact.
static bool find_stretch(const interp_map *im, uint32_t inner, const int64_t *label, stretch *s) {
  *s = (stretch){.hi = im->extent[inner]};
  for (uint32_t o = 0; o < 2; o++) {
    const interp_access *x = &im->operand[o];
    for (uint32_t i = 0; i < x->rank; i++) {
      int64_t start = index_on(x, i, label, im->n_labels), step = x->coef[i][inner], d = x->exact_div[i];
      if (step % d != 0) return false;
      if (start % d != 0) s->hi = s->lo;
      start /= d;
      step /= d;
      clip(s, start, step, x->extent[i]);
      s->offset[o] += start * x->stride[i];
      s->step[o] += step * x->stride[i];
    }
  }
  return true;
}

typedef struct sum {
  double f;
  uint64_t i;
} sum;

static void add_term(sum *acc, const ir_tensor *const wide[2], int64_t at0, int64_t at1) {
  if (wide[0]->dt == DT_f64) acc->f += ((const double *)wide[0]->data)[at0] * ((const double *)wide[1]->data)[at1];
  else acc->i += ((const uint64_t *)wide[0]->data)[at0] * ((const uint64_t *)wide[1]->data)[at1];
}

static void add_inner(const interp_map *im, uint32_t inner, int64_t *label, const ir_tensor *const wide[2], sum *acc) {
  stretch s;
  if (find_stretch(im, inner, label, &s)) {
    for (int64_t l = s.lo; l < s.hi; l++) add_term(acc, wide, s.offset[0] + l * s.step[0], s.offset[1] + l * s.step[1]);
    return;
  }
  for (label[inner] = 0; label[inner] < im->extent[inner]; label[inner]++) {
    int64_t at[2];
    if (interp_map_read(&im->operand[0], label, &at[0], im->n_labels) &&
        interp_map_read(&im->operand[1], label, &at[1], im->n_labels))
      add_term(acc, wide, at[0], at[1]);
  }
  label[inner] = 0;
}

// Takes the reduced label with the largest extent out of the list, for the inner loop; a label of extent 1 where there
// is none.
static uint32_t take_inner(interp_map *im) {
  if (im->n_reduced == 0) {
    im->extent[im->n_labels] = 1;
    return im->n_labels;
  }
  uint32_t best = 0;
  for (uint32_t i = 1; i < im->n_reduced; i++)
    if (im->extent[im->reduced[i]] > im->extent[im->reduced[best]]) best = i;
  uint32_t label = im->reduced[best];
  im->reduced[best] = im->reduced[--im->n_reduced];
  return label;
}

static void contract(interp_map *im, const ir_tensor *const wide[2], ir_tensor *out) {
  int64_t label[INTERP_MAX_LABELS] = {0};
  for (uint32_t k = 0; k < im->n_out; k++)
    if (im->extent[im->out[k]] == 0) return;
  bool empty = false;
  for (uint32_t k = 0; k < im->n_reduced; k++) empty |= im->extent[im->reduced[k]] == 0;
  uint32_t inner = take_inner(im);
  int64_t i = 0;
  do {
    sum acc = {0, 0};
    do
      if (!empty) add_inner(im, inner, label, wide, &acc);
    while (interp_map_next(im, im->n_reduced, im->reduced, label));
    scalar s = {.dt = out->dt};
    if (wide[0]->dt == DT_f64) s.v.f = acc.f;
    else s.v.i = (int64_t)acc.i;
    interp_set(out, i++, scalar_round(s));
  } while (interp_map_next(im, im->n_out, im->out, label));
}

EVALUATOR(contract) {
  interp_map im;
  if (!interp_map_bind(it, n, in, out[0], &im)) return false;
  bool is_float = dtype_is_float(out[0]->dt);
  if (dtype_is_float(in[0]->dt) != is_float || dtype_is_float(in[1]->dt) != is_float)
    return interp_malformed(it, n, "it mixes floats and integers");
  ir_tensor *a = interp_widen(it, in[0]), *b = interp_widen(it, in[1]);
  contract(&im, (const ir_tensor *const[2]){a, b}, out[0]);
  interp_release(it, a);
  interp_release(it, b);
  return true;
}

EVALUATOR(window) {
  interp_map im;
  if (!interp_map_bind(it, n, in, out[0], &im)) return false;
  if (im.n_reduced != 0) return interp_malformed(it, n, "a label of its map is not in its result");
  int64_t label[INTERP_MAX_LABELS] = {0}, from;
  scalar zero = ir_attr_scalar(n, "else", in[0]->dt, 0);
  for (int64_t i = 0, count = ir_tensor_count(out[0]); i < count; i++) {
    bool inside = interp_map_read(&im.operand[0], label, &from, im.n_labels);
    interp_set(out[0], i, inside ? interp_get(in[0], from) : zero);
    interp_map_next(&im, im.n_out, im.out, label);
  }
  return true;
}
