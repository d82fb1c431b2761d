// Indexed operators in the interpreter: gather, scatter, interp.
//
// An index outside the operand is a data error. gather {axis, batch}: the first `batch` dims are shared by operand,
// index and result; the axis is replaced by the index's other dims.
#include "ir/interp.h"

#include <math.h>
#include <string.h>

// The product of dims [from, to).
static int64_t extent(const ir_tensor *t, uint32_t from, uint32_t to) {
  int64_t n = 1;
  for (uint32_t i = from; i < to; i++) n *= t->dim[i];
  return n;
}

// [shared, before, places, after]: what a gather's result looks like; [shared, places] its index, [shared, before,
// axis, after] its operand.
typedef struct gather_shape {
  int64_t shared, before, places, after, n;
} gather_shape;

static bool bind_gather(interp *it, const ir_node *n, const ir_tensor *x, const ir_tensor *index, const ir_tensor *out,
                        gather_shape *s) {
  uint32_t axis, rank = 0;
  int64_t batch = ir_attr_int(n, "batch", 0), dim[IR_MAX_RANK];
  if (!interp_axis(it, n, "axis", x->rank, &axis)) return false;
  if (dtype_is_float(index->dt)) return interp_malformed(it, n, "its index is not of integers");
  if (batch < 0 || batch > axis || batch > index->rank)
    return interp_malformed(it, n, "its batch is not before its axis");
  uint32_t b = (uint32_t)batch;
  if (x->rank - 1 + index->rank - b > IR_MAX_RANK) return interp_malformed(it, n, "its result has too many dims");
  for (uint32_t i = 0; i < b; i++)
    if (index->dim[i] != x->dim[i]) return interp_same_shape(it, n, index, x);
  for (uint32_t i = 0; i < axis; i++) dim[rank++] = x->dim[i];
  for (uint32_t i = b; i < index->rank; i++) dim[rank++] = index->dim[i];
  for (uint32_t i = axis + 1; i < x->rank; i++) dim[rank++] = x->dim[i];
  *s = (gather_shape){.shared = extent(x, 0, b),
                      .before = extent(x, b, axis),
                      .places = extent(index, b, index->rank),
                      .after = extent(x, axis + 1, x->rank),
                      .n = x->dim[axis]};
  return interp_expect(it, n, out, rank, dim);
}

EVALUATOR(gather) {
  gather_shape s;
  if (!bind_gather(it, n, in[0], in[1], out[0], &s)) return false;
  size_t run = (size_t)s.after * dtype_size(out[0]->dt);
  for (int64_t b = 0; b < s.shared; b++)
    for (int64_t p = 0; p < s.before; p++)
      for (int64_t k = 0; k < s.places; k++) {
        int64_t at = interp_get(in[1], b * s.places + k).v.i;
        if (!interp_in_range(it, n, at, s.n)) return false;
        int64_t row = b * s.before + p;
        memcpy(interp_at(out[0], (row * s.places + k) * s.after), interp_at(in[0], (row * s.n + at) * s.after), run);
      }
  return true;
}

typedef enum scatter_mode { SCATTER_set, SCATTER_add, SCATTER_max, SCATTER_min, SCATTER_unknown } scatter_mode;

static scatter_mode scatter_mode_of(const char *name) {
  static const char *const names[] = {"set", "add", "max", "min"};
  int mode = 0;
  while (mode < SCATTER_unknown && strcmp(names[mode], name) != 0) mode++;
  return (scatter_mode)mode;
}

// Adds are made in the working copy, so that a sum of many is rounded once.
static void scatter_one(scatter_mode mode, ir_tensor *wide, int64_t at, scalar x) {
  static const op_code op[] = {[SCATTER_add] = OP_add, [SCATTER_max] = OP_max, [SCATTER_min] = OP_min};
  x.dt = wide->dt;
  if (mode != SCATTER_set) x = op_eval_scalar(op[mode], (const scalar[]){interp_get(wide, at), x}, wide->dt);
  interp_set(wide, at, x);
}

// Of several sources for one place, `set` keeps the last in row-major order.
EVALUATOR(scatter) {
  const ir_tensor *base = in[0], *index = in[1], *src = in[2];
  scatter_mode mode = scatter_mode_of(ir_attr_str(n, "mode", ""));
  gather_shape s;
  if (mode == SCATTER_unknown) return interp_malformed(it, n, "its mode is not set, add, max or min");
  if (!interp_same_shape(it, n, base, out[0]) || !bind_gather(it, n, base, index, src, &s)) return false;
  ir_tensor *wide = interp_widen(it, base);
  for (int64_t p = 0; p < s.before; p++)
    for (int64_t k = 0; k < s.places; k++) {
      int64_t at = interp_get(index, k).v.i;
      if (!interp_in_range(it, n, at, s.n)) return false;
      for (int64_t a = 0; a < s.after; a++)
        scatter_one(mode, wide, (p * s.n + at) * s.after + a, interp_get(src, (p * s.places + k) * s.after + a));
    }
  interp_narrow(wide, out[0]);
  interp_release(it, wide);
  return true;
}

// -- interp --

// One channel of one image.
typedef struct plane {
  const ir_tensor *t;
  int64_t first, h, w;
} plane;

// The pixel, or 0 outside (and at NaN).
static double pixel(plane p, double y, double x) {
  if (!(y >= 0 && y < (double)p.h && x >= 0 && x < (double)p.w)) return 0;
  return interp_get(p.t, p.first + (int64_t)y * p.w + (int64_t)x).v.f;
}

static double bilinear(plane p, double y, double x) {
  double y0 = floor(y), x0 = floor(x), sum = 0;
  for (int corner = 0; corner < 4; corner++) {
    double cy = y0 + corner / 2, cx = x0 + corner % 2;
    double weight = (1 - fabs(y - cy)) * (1 - fabs(x - cx));
    if (weight > 0) sum += weight * pixel(p, cy, cx); // a place on the grid reads no neighbour
  }
  return sum;
}

static double clamp(double v, int64_t n) { return fmin(fmax(v, 0), (double)(n - 1)); }

// Reads images [n, c, h, w] at places [n, oh, ow, 2] of (y, x) in pixels. `nearest` rounds ties to even. Border
// `zeros`: pixels outside are 0; `clamp`: the place is moved to the nearest inside.
EVALUATOR(interp) {
  const ir_tensor *x = in[0], *at = in[1];
  const char *mode = ir_attr_str(n, "mode", ""), *border = ir_attr_str(n, "border", "");
  bool nearest = strcmp(mode, "nearest") == 0, inside = strcmp(border, "clamp") == 0;
  if (!nearest && strcmp(mode, "bilinear") != 0) return interp_malformed(it, n, "its mode is not bilinear or nearest");
  if (!inside && strcmp(border, "zeros") != 0) return interp_malformed(it, n, "its border is not zeros or clamp");
  if (x->rank != 4 || at->rank != 4) return interp_malformed(it, n, "its operands do not have four dims");
  const int64_t images = x->dim[0], channels = x->dim[1], h = x->dim[2], w = x->dim[3], oh = at->dim[1],
                ow = at->dim[2];
  if (!interp_expect(it, n, at, 4, (const int64_t[]){images, oh, ow, 2}) ||
      !interp_expect(it, n, out[0], 4, (const int64_t[]){images, channels, oh, ow}))
    return false;
  for (int64_t i = 0, count = ir_tensor_count(out[0]); i < count; i++) {
    int64_t image = i / (channels * oh * ow), place = image * oh * ow + i % (oh * ow);
    double py = interp_get(at, 2 * place).v.f, px = interp_get(at, 2 * place + 1).v.f;
    if (inside) py = clamp(py, h), px = clamp(px, w);
    plane p = {x, i / (oh * ow) * h * w, h, w};
    interp_set(out[0], i, scalar_f(out[0]->dt, nearest ? pixel(p, rint(py), rint(px)) : bilinear(p, py, px)));
  }
  return true;
}
