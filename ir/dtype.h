// Element types and their conversions. Integers wrap (two's complement); floats follow IEEE 754, round to nearest even.
#ifndef NNC_IR_DTYPE_H
#define NNC_IR_DTYPE_H

#include "base/str.h"

typedef enum dtype {
#define T(name, bytes, cls, bits) DT_##name,
#include "ir/dtype.def"
#undef T
  DT_COUNT
} dtype;

const char *dtype_name(dtype t);     // "f32"
bool dtype_parse(str s, dtype *out); // "f32" -> DT_f32
size_t dtype_size(dtype t);          // bytes
bool dtype_is_float(dtype t);        // f32 f16 bf16 f64
bool dtype_is_int(dtype t);          // i8 u8 i32 i64 (not bool)

float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f); // nearest even; overflow to inf; NaN stays NaN
float bf16_to_f32(uint16_t h);
uint16_t f32_to_bf16(float f);
uint16_t f64_to_f16(double d); // rounded once, not through f32
uint16_t f64_to_bf16(double d);
float f64_to_f32_once(double d); // (float)d; here so that all roundings have one home

// A scalar of any dtype: floats live in `f`, integers and bool in `i`.
typedef struct scalar {
  dtype dt;
  union {
    double f;
    int64_t i;
  } v;
} scalar;

scalar scalar_load(dtype t, const void *p); // reads one element of type t
void scalar_store(void *p, scalar s);       // writes one element of s.dt; s must already be rounded to s.dt
// Converts as the `cast` operator does: float -> int truncates towards zero, saturates, NaN gives 0; int -> int wraps;
// anything -> bool is `!= 0` (NaN is true); bool -> number is 0 or 1; float -> float rounds once.
scalar scalar_cast(scalar s, dtype to);
scalar scalar_round(scalar s);      // rounds/wraps the wide value to what s.dt can hold
scalar scalar_f(dtype t, double v); // value rounded to t (t may be int: cast)
scalar scalar_i(dtype t, int64_t v);
bool scalar_same(scalar a, scalar b); // same dtype and bits; all NaNs are alike

#endif
