// interp as gathers and a weighted sum: see resample.h.
//
// What depends on the places alone is the same for every channel, and is stored: for each pixel that a place reads
// (bilinear: 4 corners; nearest: 1) its flat index in the image, which always lies inside, its weight, and whether it
// counts. It does not where it lies outside, or where its weight is 0 or NaN: a place on the grid reads no neighbour,
// so that an infinity next to it is not met. With corners k and places p of the result
//
//   y[n, c, p] = sum over k of  weight_k[n, p] * (counts_k[n, p] ? x[n, c, index_k[n, p]] : 0)
//
// Sums and products are taken in f32 at least and rounded once. Four reads a pixel; no scratch but for the places.
#include "passes/resample.h"

#include <string.h>

typedef struct sampler {
  ir_builder *b;
  bool nearest, inside; // inside: a place beyond the border is moved onto it
  const idx *dim[3];    // of all that depends on places: images, rows, columns
} sampler;

typedef struct tap {                 // pixels along one axis, or of the image
  ir_value *index, *counts, *weight; // i32, bool, float; weight: bilinear only
} tap;

static ir_value *spread(const sampler *s, ir_value *v) { return ir_broadcast(s->b, v, 3, s->dim); }

static ir_value *number(const sampler *s, dtype dt, double v) {
  return ir_const_scalar(s->b, dtype_is_float(dt) ? scalar_f(dt, v) : scalar_i(dt, (int64_t)v), 3, s->dim);
}

// A size less 1: the end of an iota, which nobody stores.
static ir_value *last_of(const sampler *s, const idx *size) {
  idx_ctx *c = s->b->m->ix;
  return spread(s, ir_slice(s->b, ir_iota(s->b, 1, &size, 0), 0, idx_addi(c, size, -1), idx_int(c, 1), 1));
}

// Coordinate `axis` of the places; NaN stands at 0 where places are moved inside.
static ir_value *coordinate(const sampler *s, ir_value *at, uint32_t axis, ir_value *last) {
  idx_ctx *c = s->b->m->ix;
  ir_value *v = ir_slice(s->b, at, 3, idx_int(c, axis), idx_int(c, 1), 1);
  v = ir_cast(s->b, ir_reshape(s->b, v, 3, s->dim), at->type.dt == DT_f64 ? DT_f64 : DT_f32);
  if (!v || !s->inside) return v;
  ir_value *zero = number(s, v->type.dt, 0);
  ir_value *within = ir_binary(s->b, OP_min, v, ir_cast(s->b, last, v->type.dt));
  return ir_where(s->b, ir_binary(s->b, OP_lt, zero, v), within, zero);
}

// The pixel at `place` along an axis, if it is one and `counts`.
static tap tap_at(const sampler *s, ir_value *place, ir_value *last, ir_value *counts) {
  ir_value *zero = number(s, DT_i32, 0);
  ir_value *after = ir_binary(s->b, OP_le, zero, place), *before = ir_binary(s->b, OP_le, place, last);
  return (tap){.index = ir_binary(s->b, OP_max, ir_binary(s->b, OP_min, place, last), zero),
               .counts = ir_binary(s->b, OP_and, counts, ir_binary(s->b, OP_and, after, before))};
}

// Writes the one or two pixels along an axis that the places read.
static void taps_along(const sampler *s, ir_value *at, uint32_t axis, const idx *size, tap *out) {
  ir_builder *b = s->b;
  ir_value *last = last_of(s, size), *v = coordinate(s, at, axis, last);
  ir_value *base = ir_unary(b, s->nearest ? OP_round_even : OP_floor, v), *place = ir_cast(b, base, DT_i32);
  if (s->nearest) {
    *out = tap_at(s, place, last, ir_unary(b, OP_not, ir_unary(b, OP_isnan, v)));
    return;
  }
  ir_value *part = ir_binary(b, OP_sub, v, base), *zero = number(s, v->type.dt, 0);
  ir_value *weight[] = {ir_binary(b, OP_sub, number(s, v->type.dt, 1), part), part};
  for (int k = 0; k < 2; k++) {
    ir_value *here = k ? ir_binary(b, OP_add, place, number(s, DT_i32, 1)) : place;
    out[k] = tap_at(s, here, last, ir_binary(b, OP_lt, zero, weight[k]));
    out[k].weight = ir_where(b, out[k].counts, weight[k], zero); // no NaN
  }
}

// The pixel of the image in a row and a column.
static tap corner_of(const sampler *s, tap y, tap x, const idx *width) {
  ir_value *stride = ir_binary(s->b, OP_add, last_of(s, width), number(s, DT_i32, 1));
  return (tap){.index = ir_binary(s->b, OP_add, ir_binary(s->b, OP_mul, y.index, stride), x.index),
               .counts = ir_binary(s->b, OP_and, y.counts, x.counts),
               .weight = s->nearest ? NULL : ir_binary(s->b, OP_mul, y.weight, x.weight)};
}

// What all channels share, as one of the dims of `like`.
static ir_value *for_channels(const sampler *s, ir_value *v, ir_type like) {
  const idx *dim[] = {s->dim[0], idx_int(s->b->m->ix, 1), s->dim[1], s->dim[2]};
  return ir_broadcast(s->b, ir_reshape(s->b, v, 4, dim), like.rank, like.dim);
}

// The pixel of every channel, times its weight: of flat images.
static ir_value *read_tap(const sampler *s, ir_value *flat, tap t) {
  dtype wide = flat->type.dt == DT_f64 ? DT_f64 : DT_f32;
  ir_value *y = ir_cast(s->b, ir_gather(s->b, flat, t.index, 2, 1), wide);
  if (!y || (s->nearest && s->inside)) return y; // every tap counts
  ir_value *none = ir_const_scalar(s->b, scalar_f(wide, 0), 4, y->type.dim);
  y = ir_where(s->b, for_channels(s, t.counts, y->type), y, none);
  return t.weight ? ir_binary(s->b, OP_mul, y, for_channels(s, ir_cast(s->b, t.weight, wide), y->type)) : y;
}

// Flat indices are i32.
static bool check_pixels(ir_builder *b, const idx *pixels) {
  const idx *room = idx_sub(b->m->ix, idx_int(b->m->ix, INT32_MAX), pixels);
  const ir_attr attr[] = {attr_idx(b->m, "cond", room), attr_str(b->m, "text", "interp: an image fits i32 indices")};
  return idx_nonneg(b->m->ix, room) == TRI_yes || ir_build(b, OP_check, 0, NULL, 2, attr, 0, NULL, 0, NULL);
}

ir_value *resample(ir_builder *b, const ir_node *n, ir_value *x, ir_value *at) {
  const idx *const *dim = x->type.dim, *pixels = idx_mul(b->m->ix, dim[2], dim[3]);
  const idx *flat_dim[] = {dim[0], dim[1], pixels};
  const sampler s = {.b = b,
                     .nearest = !strcmp(ir_attr_str(n, "mode", ""), "nearest"),
                     .inside = !strcmp(ir_attr_str(n, "border", ""), "clamp"),
                     .dim = {dim[0], at->type.dim[1], at->type.dim[2]}};
  tap y[2], x_taps[2], corner[4];
  int side = s.nearest ? 1 : 2;
  if (!check_pixels(b, pixels)) return NULL;
  taps_along(&s, at, 0, dim[2], y);
  taps_along(&s, at, 1, dim[3], x_taps);
  for (int k = 0; k < side * side; k++) corner[k] = corner_of(&s, y[k / side], x_taps[k % side], dim[3]);
  ir_value *flat = ir_reshape(b, x, 3, flat_dim), *sum = flat ? read_tap(&s, flat, corner[0]) : NULL;
  for (int k = 1; sum && k < side * side; k++) sum = ir_binary(b, OP_add, sum, read_tap(&s, flat, corner[k]));
  return ir_cast(b, sum, x->type.dt);
}
