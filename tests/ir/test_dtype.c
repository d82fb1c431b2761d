// Conversions of element types against exact arithmetic done another way: small floats are decoded by ldexp, rounding
// is found by searching the neighbours for the nearest.
#include "ir/dtype.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static double decode(uint16_t h, int mantissa) {
  const int bias = (1 << (14 - mantissa)) - 1, top = (1 << (15 - mantissa)) - 1;
  const int exponent = h >> mantissa & top, fraction = h & ((1 << mantissa) - 1);
  const double sign = h >> 15 ? -1.0 : 1.0;
  if (exponent == top) return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
  if (exponent == 0) return sign * ldexp(fraction, 1 - bias - mantissa);
  return sign * ldexp((1 << mantissa) + fraction, exponent - bias - mantissa);
}

static int same(double a, double b) { return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b)); }

static void small_floats_decode(void **state) {
  (void)state;
  for (uint32_t h = 0; h < 65536; h++) {
    assert_true(same((double)f16_to_f32((uint16_t)h), decode((uint16_t)h, 10)));
    assert_true(same((double)bf16_to_f32((uint16_t)h), decode((uint16_t)h, 7)));
    if (isnan(decode((uint16_t)h, 10))) assert_true(isnan(decode(f64_to_f16(decode((uint16_t)h, 10)), 10)));
    else assert_int_equal(f32_to_f16(f16_to_f32((uint16_t)h)), h);
    if (isnan(decode((uint16_t)h, 7))) assert_true(isnan(decode(f32_to_bf16(bf16_to_f32((uint16_t)h)), 7)));
    else assert_int_equal(f32_to_bf16(bf16_to_f32((uint16_t)h)), h);
  }
}

// The nearest magnitude, ties to the even code, found by bisection over the codes 0 .. infinity.
static uint16_t nearest(double d, int mantissa) {
  const uint16_t sign = signbit(d) ? 0x8000 : 0, infinity = (uint16_t)(((1 << (15 - mantissa)) - 1) << mantissa);
  const double v = fabs(d);
  uint32_t lo = 0, hi = infinity;
  while (hi - lo > 1) {
    const uint32_t mid = (lo + hi) / 2;
    if (decode((uint16_t)mid, mantissa) <= v) lo = mid;
    else hi = mid;
  }
  // Beyond the largest number, the next would be one step further.
  const double below = decode((uint16_t)lo, mantissa),
               step = hi == infinity ? below - decode((uint16_t)(lo - 1), mantissa) : 0;
  const double above = hi == infinity ? below + step : decode((uint16_t)hi, mantissa);
  const double down = v - below, up = above - v;
  const uint32_t code = down < up ? lo : up < down ? hi : lo % 2 == 0 ? lo : hi;
  return (uint16_t)(sign | (isinf(v) ? infinity : code));
}

static void small_floats_round(void **state) {
  (void)state;
  uint64_t seed = 5;
  for (int i = 0; i < 300000; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    const int exponent = (int)(seed >> 40 & 511) - 256;
    double d = ldexp((double)(seed >> 11) * 0x1p-53, exponent % 40 - (i % 4 == 0 ? 130 : 0));
    if (i % 3 == 0) { // close to a tie
      d = (decode((uint16_t)(seed >> 20 & 0x7bff), i % 2 ? 10 : 7) +
           decode((uint16_t)((seed >> 20 & 0x7bff) + 1), i % 2 ? 10 : 7)) /
          2;
      if (!isfinite(d)) continue;
      if (i % 9 == 3) d = nextafter(d, 0);
      if (i % 9 == 6) d = nextafter(d, HUGE_VAL);
    }
    if (seed & 1) d = -d;
    assert_int_equal(f64_to_f16(d), nearest(d, 10));
    assert_int_equal(f64_to_bf16(d), nearest(d, 7));
    assert_int_equal(f32_to_f16((float)d), nearest((double)(float)d, 10));
    assert_int_equal(f32_to_bf16((float)d), nearest((double)(float)d, 7));
  }
  assert_int_equal(f64_to_f16(65519.999), 0x7bff);
  assert_int_equal(f64_to_f16(65520), 0x7c00);
  assert_int_equal(f64_to_f16(-INFINITY), 0xfc00);
  assert_int_equal(f64_to_f16(0x1p-25), 0);
  assert_int_equal(f64_to_f16(nextafter(0x1p-25, 1)), 1);
  assert_int_equal(f64_to_f16(-0.0), 0x8000);
  assert_int_equal(f64_to_bf16(DBL_MAX), 0x7f80);
  assert_int_equal(f64_to_bf16(5e-324), 0);
}

static scalar from_f(dtype dt, double v) { return (scalar){.dt = dt, .v.f = v}; }

static scalar from_i(dtype dt, int64_t v) { return (scalar){.dt = dt, .v.i = v}; }

static void casts(void **state) {
  (void)state;
  static const struct {
    double f;
    int64_t i8, u8, i32, i64;
  } to_int[] = {{1.9, 1, 1, 1, 1},
                {-1.9, -1, 0, -1, -1},
                {127.5, 127, 127, 127, 127},
                {300, 127, 255, 300, 300},
                {-300, -128, 0, -300, -300},
                {1e300, 127, 255, INT32_MAX, INT64_MAX},
                {-1e300, -128, 0, INT32_MIN, INT64_MIN},
                {(double)INFINITY, 127, 255, INT32_MAX, INT64_MAX},
                {-0x1p63, -128, 0, INT32_MIN, INT64_MIN},
                {0x1p31, 127, 255, INT32_MAX, (int64_t)1 << 31},
                {-0.0, 0, 0, 0, 0},
                {(double)NAN, 0, 0, 0, 0}};
  for (size_t i = 0; i < sizeof to_int / sizeof *to_int; i++) {
    const scalar s = from_f(DT_f64, to_int[i].f);
    assert_int_equal(scalar_cast(s, DT_i8).v.i, to_int[i].i8);
    assert_int_equal(scalar_cast(s, DT_u8).v.i, to_int[i].u8);
    assert_int_equal(scalar_cast(s, DT_i32).v.i, to_int[i].i32);
    assert_int_equal(scalar_cast(s, DT_i64).v.i, to_int[i].i64);
    assert_int_equal(scalar_cast(s, DT_bool).v.i, isnan(to_int[i].f) || to_int[i].f != 0);
  }
  assert_int_equal(scalar_cast(from_i(DT_i32, 300), DT_u8).v.i, 44); // integers wrap
  assert_int_equal(scalar_cast(from_i(DT_i32, 200), DT_i8).v.i, -56);
  assert_int_equal(scalar_cast(from_i(DT_i64, ((int64_t)1 << 40) + 5), DT_i32).v.i, 5);
  assert_int_equal(scalar_cast(from_i(DT_i64, INT64_MIN), DT_i64).v.i, INT64_MIN);
  assert_int_equal(scalar_cast(from_i(DT_i32, -7), DT_bool).v.i, 1);
  assert_true(scalar_cast(from_i(DT_bool, 1), DT_f16).v.f == 1.0);
  // Once, not through a double that is itself rounded: 2^60 + 2^52 + 1 lies above the tie.
  const int64_t above_tie = ((int64_t)1 << 60) + ((int64_t)1 << 52) + 1;
  assert_true(scalar_cast(from_i(DT_i64, above_tie), DT_bf16).v.f == 0x1.02p60);
  assert_true(scalar_cast(from_i(DT_i64, -above_tie), DT_bf16).v.f == -0x1.02p60);
  assert_true(scalar_cast(from_i(DT_i64, above_tie - 1), DT_bf16).v.f == 0x1p60);
  assert_true(scalar_cast(from_i(DT_i64, (1 << 24) + 1), DT_f32).v.f == 0x1p24);
  assert_true(scalar_cast(from_i(DT_i64, INT64_MAX), DT_f32).v.f == 0x1p63);
  assert_true(isinf(scalar_cast(from_i(DT_i32, 65520), DT_f16).v.f));
  assert_true(scalar_cast(from_f(DT_f64, 1 + 0x1p-11 + 0x1p-40), DT_f16).v.f == 1 + 0x1p-10); // not through f32
}

static void storing(void **state) {
  (void)state;
  static const struct {
    scalar s;
    unsigned char bytes[8];
    size_t n;
  } cases[] = {{{.dt = DT_f32, .v.f = 1}, {0, 0, 0x80, 0x3f}, 4},
               {{.dt = DT_f16, .v.f = -2}, {0, 0xc0}, 2},
               {{.dt = DT_bf16, .v.f = 1}, {0x80, 0x3f}, 2},
               {{.dt = DT_f64, .v.f = 1}, {0, 0, 0, 0, 0, 0, 0xf0, 0x3f}, 8},
               {{.dt = DT_i8, .v.i = -1}, {0xff}, 1},
               {{.dt = DT_u8, .v.i = 255}, {0xff}, 1},
               {{.dt = DT_i32, .v.i = -2}, {0xfe, 0xff, 0xff, 0xff}, 4},
               {{.dt = DT_i64, .v.i = 258}, {2, 1}, 8},
               {{.dt = DT_bool, .v.i = 1}, {1}, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    unsigned char p[9] = {0};
    scalar_store(p + 1, cases[i].s); // unaligned
    assert_int_equal(dtype_size(cases[i].s.dt), cases[i].n);
    assert_memory_equal(p + 1, cases[i].bytes, cases[i].n);
    assert_true(scalar_same(scalar_load(cases[i].s.dt, p + 1), cases[i].s));
    dtype back;
    assert_true(dtype_parse(str_of(dtype_name(cases[i].s.dt)), &back) && back == cases[i].s.dt);
  }
  assert_int_equal(scalar_load(DT_bool, "\x07").v.i, 1);
  dtype dt;
  assert_false(dtype_parse(STR("f31"), &dt));
  assert_true(dtype_is_float(DT_bf16) && !dtype_is_float(DT_i8) && dtype_is_int(DT_u8) && !dtype_is_int(DT_bool));
  assert_true(scalar_same(scalar_f(DT_f32, (double)NAN), scalar_f(DT_f32, -(double)NAN)));
  assert_false(scalar_same(scalar_f(DT_f32, 0.0), scalar_f(DT_f32, -0.0)));
  assert_true(scalar_round(from_f(DT_f32, 1 + 0x1p-30)).v.f == 1);
  assert_int_equal(scalar_round(from_i(DT_i8, 130)).v.i, -126);
  assert_int_equal(scalar_i(DT_bool, 8).v.i, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(small_floats_decode), cmocka_unit_test(small_floats_round),
                                     cmocka_unit_test(casts), cmocka_unit_test(storing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
