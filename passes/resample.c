// interp as one gather and a sum: see resample.h.
//
// What depends on the places alone is the same for every channel, and is stored: for each of the pixels that a place
// reads (bilinear: 4 corners; nearest: 1) its flat index in the image, which always lies inside, its weight, and
// whether it counts. It does not where it lies outside, or where its weight is 0 or NaN: a place on the grid reads no
// neighbour, so that an infinity next to it is not met. With corners j, i and places p of the result
//
//   y[n, c, p] = sum over j, i of  weight[n, j, i, p] * (counts[n, j, i, p] ? x[n, c, index[n, j, i, p]] : 0)
//
// Sums and products are taken in f32 at least and rounded once. Four reads a pixel; no scratch but for the places.
#include "passes/resample.h"

#include <string.h>

enum { RANK = 5 };

typedef struct sampler {
  ir_builder *b;
  bool nearest, inside; // inside: a place beyond the border is moved onto it
  const idx *dim[RANK]; // of all that depends on places: images, corners by y and x (nearest: 1), rows, columns
} sampler;

typedef struct taps {                // along one axis, or of both
  ir_value *index, *counts, *weight; // i32, bool, float; weight: bilinear only
} taps;

static ir_value *spread(const sampler *s, ir_value *v) { return ir_broadcast(s->b, v, RANK, s->dim); }

static ir_value *number(const sampler *s, dtype dt, double v) {
  return ir_const_scalar(s->b, dtype_is_float(dt) ? scalar_f(dt, v) : scalar_i(dt, (int64_t)v), RANK, s->dim);
}

// A size less 1: the end of an iota, which nobody stores.
static ir_value *last_of(const sampler *s, const idx *size) {
  idx_ctx *c = s->b->m->ix;
  return spread(s, ir_slice(s->b, ir_iota(s->b, 1, &size, 0), 0, idx_addi(c, size, -1), idx_int(c, 1), 1));
}

static ir_value *binary(const sampler *s, op_code op, ir_value *x, ir_value *y) { return ir_binary(s->b, op, x, y); }

// Coordinate `axis` of the places; NaN stands at 0 where places are moved inside.
static ir_value *coordinate(const sampler *s, ir_value *at, uint32_t axis, ir_value *last) {
  idx_ctx *c = s->b->m->ix;
  const idx *one = idx_int(c, 1), *dim[] = {s->dim[0], one, one, s->dim[3], s->dim[4]};
  ir_value *v = ir_slice(s->b, at, 3, idx_int(c, axis), one, 1);
  v = spread(s, ir_reshape(s->b, v, RANK, dim));
  v = ir_cast(s->b, v, at->type.dt == DT_f64 ? DT_f64 : DT_f32);
  if (!v || !s->inside) return v;
  ir_value *zero = number(s, v->type.dt, 0);
  ir_value *within = binary(s, OP_min, v, ir_cast(s->b, last, v->type.dt));
  return ir_where(s->b, binary(s, OP_lt, zero, v), within, zero);
}

static taps along_axis(const sampler *s, ir_value *at, uint32_t axis, const idx *size) {
  ir_builder *b = s->b;
  ir_value *last = last_of(s, size), *zero = number(s, DT_i32, 0), *v = coordinate(s, at, axis, last);
  taps t = {0};
  ir_value *base = ir_unary(b, s->nearest ? OP_round_even : OP_floor, v), *place = ir_cast(b, base, DT_i32);
  if (s->nearest) {
    t.counts = ir_unary(b, OP_not, ir_unary(b, OP_isnan, v));
  } else {
    ir_value *to = ir_iota(b, RANK, s->dim, 1 + axis), *rest = binary(s, OP_sub, v, base);
    ir_value *at_base = binary(s, OP_eq, to, zero);
    t.weight = ir_where(b, at_base, binary(s, OP_sub, number(s, v->type.dt, 1), rest), rest);
    t.counts = binary(s, OP_lt, number(s, v->type.dt, 0), t.weight);
    place = binary(s, OP_add, place, to);
  }
  ir_value *room = binary(s, OP_and, binary(s, OP_le, zero, place), binary(s, OP_le, place, last));
  t.counts = binary(s, OP_and, t.counts, room);
  t.index = binary(s, OP_max, binary(s, OP_min, place, last), zero);
  return t;
}

// What each tap reads of the flat image, and how.
static taps corners(const sampler *s, ir_value *at, const idx *height, const idx *width) {
  taps y = along_axis(s, at, 0, height), x = along_axis(s, at, 1, width), t = {0};
  ir_value *stride = binary(s, OP_add, last_of(s, width), number(s, DT_i32, 1));
  t.index = binary(s, OP_add, binary(s, OP_mul, y.index, stride), x.index);
  t.counts = binary(s, OP_and, y.counts, x.counts);
  if (s->nearest) return t;
  t.weight = binary(s, OP_mul, y.weight, x.weight);
  t.weight = ir_where(s->b, t.counts, t.weight, number(s, t.weight->type.dt, 0)); // no NaN
  return t;
}

// What all channels share, as one of the dims of `like`.
static ir_value *for_channels(const sampler *s, ir_value *v, ir_type like) {
  const idx *dim[RANK + 1] = {s->dim[0], idx_int(s->b->m->ix, 1)};
  memcpy(dim + 2, s->dim + 1, (RANK - 1) * sizeof *dim);
  return ir_broadcast(s->b, ir_reshape(s->b, v, RANK + 1, dim), like.rank, like.dim);
}

// Flat indices are i32.
static bool check_pixels(ir_builder *b, const idx *pixels) {
  const idx *room = idx_sub(b->m->ix, idx_int(b->m->ix, INT32_MAX), pixels);
  const ir_attr attr[] = {attr_idx(b->m, "cond", room), attr_str(b->m, "text", "interp: an image fits i32 indices")};
  return idx_nonneg(b->m->ix, room) == TRI_yes || ir_build(b, OP_check, 0, NULL, 2, attr, 0, NULL, 0, NULL);
}

ir_value *resample(ir_builder *b, const ir_node *n, ir_value *x, ir_value *at) {
  idx_ctx *c = b->m->ix;
  const idx *const *dim = x->type.dim, *pixels = idx_mul(c, dim[2], dim[3]);
  const idx *flat[] = {dim[0], dim[1], pixels};
  sampler s = {.b = b,
               .nearest = !strcmp(ir_attr_str(n, "mode", ""), "nearest"),
               .inside = !strcmp(ir_attr_str(n, "border", ""), "clamp")};
  s.dim[0] = dim[0];
  s.dim[1] = s.dim[2] = idx_int(c, s.nearest ? 1 : 2);
  s.dim[3] = at->type.dim[1];
  s.dim[4] = at->type.dim[2];
  if (!check_pixels(b, pixels)) return NULL;
  taps t = corners(&s, at, dim[2], dim[3]);
  ir_value *y =
      ir_gather(b, ir_reshape(b, x, 3, flat), t.index, 2, 1); // [images, channels, corners, corners, rows, columns]
  dtype wide = x->type.dt == DT_f64 ? DT_f64 : DT_f32;
  y = ir_cast(b, y, wide);
  if (!y) return NULL;
  if (!s.nearest || !s.inside) { // else every tap counts
    ir_value *none = ir_const_scalar(b, scalar_f(wide, 0), RANK + 1, y->type.dim);
    y = ir_where(b, for_channels(&s, t.counts, y->type), y, none);
  }
  if (t.weight) {
    const int64_t axes[] = {2, 3};
    y = ir_binary(b, OP_mul, y, for_channels(&s, ir_cast(b, t.weight, wide), y->type));
    y = ir_reduce(b, OP_sum, y, 2, axes);
  }
  return ir_reshape(b, ir_cast(b, y, x->type.dt), 4, n->out[0].type.dim);
}
