// Random initialisation, for trying a model without its weights.
//
// Bits: splitmix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators") as a counter-based
// generator: element pair i of a weight is a hash of (seed, the weight's name, i), so nothing depends on the order of
// weights. Normal numbers by Box & Muller 1958. Orthogonal: Gram-Schmidt on a normal matrix, each row twice, which
// keeps the rows orthogonal to rounding ("twice is enough", Giraud et al. 2005); the smaller side is the orthonormal
// one.
#include "frontend/weights.h"

#include <math.h>
#include <string.h>

static const double two_pi = 6.28318530717958647692;

static uint64_t splitmix64(uint64_t key, uint64_t counter) {
  uint64_t z = key + (counter + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

// Two independent standard normal numbers; the uniform under the logarithm is in (0, 1].
static void normal_pair(uint64_t key, uint64_t i, double out[2]) {
  double u = (double)((splitmix64(key, 2 * i) >> 11) + 1) * 0x1p-53,
         v = (double)(splitmix64(key, 2 * i + 1) >> 11) * 0x1p-53;
  double r = sqrt(-2 * log(u));
  out[0] = r * cos(two_pi * v);
  out[1] = r * sin(two_pi * v);
}

static double dot(const double *x, const double *y, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
  return sum;
}

// Rows made orthonormal; at most `width` of them.
static void orthonormal_rows(double *q, size_t rows, size_t width) {
  for (size_t r = 0; r < rows; r++) {
    double *row = q + r * width;
    for (int twice = 0; twice < 2; twice++) {
      for (size_t k = 0; k < r; k++) {
        double part = dot(row, q + k * width, width);
        for (size_t i = 0; i < width; i++) row[i] -= part * q[k * width + i];
      }
    }
    double length = sqrt(dot(row, row, width));
    for (size_t i = 0; i < width; i++) row[i] /= length;
  }
}

typedef struct fill {
  unsigned char *to;
  dtype dt;
  size_t count;
  uint64_t key;
} fill;

static void put(const fill *f, size_t i, double v) { scalar_store(f->to + i * dtype_size(f->dt), scalar_f(f->dt, v)); }

static void fill_constant(const fill *f, double v) {
  for (size_t i = 0; i < f->count; i++) put(f, i, v);
}

static void fill_normal(const fill *f, double deviation) {
  for (size_t i = 0; i < f->count; i += 2) {
    double pair[2];
    normal_pair(f->key, i / 2, pair);
    put(f, i, deviation * pair[0]);
    if (i + 1 < f->count) put(f, i + 1, deviation * pair[1]);
  }
}

static void fill_orthogonal(arena *a, const fill *f, size_t rows) {
  size_t columns = f->count / rows;
  bool wide = columns >= rows;
  size_t n = wide ? rows : columns, width = wide ? columns : rows;
  double *q = ARENA_ARRAY(a, double, f->count + 1), pair[2];
  for (size_t i = 0; i < f->count; i += 2) {
    normal_pair(f->key, i / 2, pair);
    q[i] = pair[0];
    q[i + 1] = pair[1];
  }
  orthonormal_rows(q, n, width);
  for (size_t i = 0; i < f->count; i++) put(f, i, wide ? q[i] : q[i % columns * width + i / columns]);
}

void weights_init_random(weight_binder *b, weight_slot *s, uint64_t seed) {
  const ir_weight *w = s->w;
  fill f = {.dt = w->type.dt, .count = 1, .key = hash_bytes(w->name, strlen(w->name), seed)};
  for (uint32_t i = 0; i < w->type.rank; i++) {
    if (__builtin_mul_overflow(f.count, (size_t)s->dim[i], &f.count)) arena_unwind(b->a, 1);
  }
  f.to = arena_array(b->a, f.count, dtype_size(f.dt));
  s->w->data = f.to;
  if (!f.count) return;
  // Without a rule of its own: what keeps the size of activations for a matrix, zeros for a bias.
  const char *init = w->init ? w->init : w->type.rank >= 2 ? "normal" : "zeros";
  if (!dtype_is_float(f.dt) && strcmp(init, "ones") != 0) init = "zeros";
  double fan_in = w->type.rank >= 2 ? (double)(f.count / (size_t)s->dim[0]) : 1;
  double scale = !w->init ? 1 / sqrt(fan_in) : w->init_scale > 0 ? w->init_scale : 1;
  if (strcmp(init, "ones") == 0) fill_constant(&f, 1);
  else if (strcmp(init, "normal") == 0) fill_normal(&f, scale);
  else if (strcmp(init, "orthogonal") == 0) fill_orthogonal(b->a, &f, w->type.rank ? (size_t)s->dim[0] : 1);
}
