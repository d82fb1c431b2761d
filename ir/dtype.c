// Element types: names, sizes, and every conversion between them. In: numbers of one type; out: of another, rounded
// once. Small floats are packed from the bits of a double by one routine, so that all roundings have one home.
#include "ir/dtype.h"

#include <math.h>
#include <string.h>

typedef enum dtype_class { CLASS_float, CLASS_int, CLASS_boolean } dtype_class;

static const struct {
  const char *name;
  size_t size_bytes;
  dtype_class cls;
  int bits; // mantissa with the leading one, or value bits
} table[DT_COUNT] = {
#define T(name, bytes, cls, bits) {#name, bytes, CLASS_##cls, bits},
#include "ir/dtype.def"
#undef T
};

const char *dtype_name(dtype t) { return table[t].name; }

bool dtype_parse(str s, dtype *out) {
  for (int t = 0; t < DT_COUNT; t++) {
    if (!str_is(s, table[t].name)) continue;
    *out = (dtype)t;
    return true;
  }
  return false;
}

size_t dtype_size(dtype t) { return table[t].size_bytes; }

bool dtype_is_float(dtype t) { return table[t].cls == CLASS_float; }

bool dtype_is_int(dtype t) { return table[t].cls == CLASS_int; }

// Rounds to a float of 16 bits with `mantissa` stored bits and the rest, less the sign, exponent. To nearest, ties to
// even.
static uint16_t pack16(double d, int mantissa) {
  uint64_t bits;
  memcpy(&bits, &d, sizeof bits);
  const uint32_t sign = (uint32_t)(bits >> 63) << 15;
  const uint32_t infinity = ((1u << (15 - mantissa)) - 1) << mantissa;
  const int exponent = (int)(bits >> 52 & 0x7ff), bias = (1 << (14 - mantissa)) - 1;
  const uint64_t fraction = bits & 0xfffffffffffffu;
  if (exponent == 0x7ff && fraction != 0) { // quiet, with the top of the payload
    return (uint16_t)(sign | infinity | (uint32_t)(fraction >> (52 - mantissa)) | 1u << (mantissa - 1));
  }
  int target = exponent - 1023 + bias, shift = 52 - mantissa;
  if (target > 2 * bias) return (uint16_t)(sign | infinity);
  if (target <= 0) { // subnormal in the target: the exponent field is 0 and the point moves
    shift += 1 - target;
    target = 1;
    if (shift > 54) return (uint16_t)sign;
  }
  const uint64_t significand = fraction | (uint64_t)1 << 52;
  const uint64_t rest = significand & (((uint64_t)1 << shift) - 1), half = (uint64_t)1 << (shift - 1);
  uint64_t kept = significand >> shift;
  if (rest > half || (rest == half && (kept & 1) != 0)) kept++;
  // The leading one of a normal number adds 1 to the exponent field; so does a carry out of the rounding.
  const uint32_t magnitude = ((uint32_t)(target - 1) << mantissa) + (uint32_t)kept;
  return (uint16_t)(sign | (magnitude > infinity ? infinity : magnitude));
}

static float float_of_bits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

float f16_to_f32(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float subnormal = (float)fraction * 0x1p-24f;
  return sign != 0 ? -subnormal : subnormal;
}

uint16_t f64_to_f16(double d) { return pack16(d, 10); }

uint16_t f64_to_bf16(double d) { return pack16(d, 7); }

uint16_t f32_to_f16(float f) { return pack16((double)f, 10); }

float bf16_to_f32(uint16_t h) { return float_of_bits((uint32_t)h << 16); }

uint16_t f32_to_bf16(float f) { return pack16((double)f, 7); }

float f64_to_f32_once(double d) { return (float)d; }

scalar scalar_load(dtype t, const void *p) {
  scalar s = {.dt = t, .v.i = 0};
  switch (t) {
  case DT_f32: {
    float f;
    memcpy(&f, p, sizeof f);
    s.v.f = (double)f;
    break;
  }
  case DT_f16:
  case DT_bf16: {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    s.v.f = (double)(t == DT_f16 ? f16_to_f32(h) : bf16_to_f32(h));
    break;
  }
  case DT_f64: memcpy(&s.v.f, p, sizeof s.v.f); break;
  case DT_i8: {
    int8_t i;
    memcpy(&i, p, sizeof i);
    s.v.i = i;
    break;
  }
  case DT_u8:
  case DT_bool: {
    uint8_t u;
    memcpy(&u, p, sizeof u);
    s.v.i = t == DT_u8 ? u : u != 0;
    break;
  }
  case DT_i32: {
    int32_t i;
    memcpy(&i, p, sizeof i);
    s.v.i = i;
    break;
  }
  case DT_i64: memcpy(&s.v.i, p, sizeof s.v.i); break;
  case DT_COUNT: break;
  }
  return s;
}

void scalar_store(void *p, scalar s) {
  switch (s.dt) {
  case DT_f32: {
    const float f = (float)s.v.f;
    memcpy(p, &f, sizeof f);
    break;
  }
  case DT_f16:
  case DT_bf16: {
    const uint16_t h = s.dt == DT_f16 ? f64_to_f16(s.v.f) : f64_to_bf16(s.v.f);
    memcpy(p, &h, sizeof h);
    break;
  }
  case DT_f64: memcpy(p, &s.v.f, sizeof s.v.f); break;
  case DT_i8:
  case DT_u8:
  case DT_bool: {
    const uint8_t u = (uint8_t)s.v.i; // two's complement: the low byte serves i8 too
    memcpy(p, &u, sizeof u);
    break;
  }
  case DT_i32: {
    const uint32_t u = (uint32_t)s.v.i;
    memcpy(p, &u, sizeof u);
    break;
  }
  case DT_i64: memcpy(p, &s.v.i, sizeof s.v.i); break;
  case DT_COUNT: break;
  }
}

static double round_float(dtype t, double v) {
  if (t == DT_f32) return (double)(float)v;
  if (t == DT_f16) return (double)f16_to_f32(f64_to_f16(v));
  if (t == DT_bf16) return (double)bf16_to_f32(f64_to_bf16(v));
  return v;
}

// To 53 bits, inexact results made odd: a second rounding to a narrower float is then the right one.
static double int_to_odd_double(int64_t v) {
  uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
  int shift = 0;
  while (u >> 53 != 0) {
    u = u >> 1 | (u & 1);
    shift++;
  }
  const double d = ldexp((double)u, shift);
  return v < 0 ? -d : d;
}

static int64_t wrap_int(dtype t, int64_t v) {
  const uint64_t u = (uint64_t)v;
  if (t == DT_bool) return v != 0;
  if (t == DT_u8) return (int64_t)(u & 0xff);
  const int bits = table[t].bits;
  if (bits == 64) return v;
  const uint64_t sign = (uint64_t)1 << (bits - 1), low = u & ((sign << 1) - 1);
  return (int64_t)(low ^ sign) - (int64_t)sign;
}

static int64_t saturate(dtype t, double v) {
  if (isnan(v)) return 0;
  if (t == DT_u8) return v >= 255.0 ? 255 : v <= 0.0 ? 0 : (int64_t)v;
  const int bits = table[t].bits;
  const double limit = ldexp(1.0, bits - 1);
  if (v >= limit) return (int64_t)(((uint64_t)1 << (bits - 1)) - 1);
  if (v <= -limit) return -(int64_t)(((uint64_t)1 << (bits - 1)) - 1) - 1;
  return (int64_t)v;
}

scalar scalar_cast(scalar s, dtype to) {
  scalar r = {.dt = to, .v.i = 0};
  const bool from_float = dtype_is_float(s.dt);
  if (to == DT_bool) {
    r.v.i = from_float ? !(s.v.f == 0.0) : s.v.i != 0;
  } else if (dtype_is_float(to)) {
    if (from_float) {
      r.v.f = round_float(to, s.v.f);
    } else if (to == DT_f32) {
      r.v.f = (double)(float)s.v.i; // directly: the conversion itself rounds once
    } else {
      r.v.f = to == DT_f64 ? (double)s.v.i : round_float(to, int_to_odd_double(s.v.i));
    }
  } else {
    r.v.i = from_float ? saturate(to, s.v.f) : wrap_int(to, s.v.i);
  }
  return r;
}

scalar scalar_round(scalar s) {
  if (dtype_is_float(s.dt)) s.v.f = round_float(s.dt, s.v.f);
  else s.v.i = wrap_int(s.dt, s.v.i);
  return s;
}

scalar scalar_f(dtype t, double v) { return scalar_cast((scalar){.dt = DT_f64, .v.f = v}, t); }

scalar scalar_i(dtype t, int64_t v) { return scalar_cast((scalar){.dt = DT_i64, .v.i = v}, t); }

bool scalar_same(scalar a, scalar b) {
  if (a.dt != b.dt) return false;
  if (!dtype_is_float(a.dt)) return a.v.i == b.v.i;
  return (isnan(a.v.f) && isnan(b.v.f)) || memcmp(&a.v.f, &b.v.f, sizeof a.v.f) == 0;
}
