// Elementwise operators on scalars, where hand-written values and identities are the truth.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "ir/graph.h"

static double unary(op_code op, dtype dt, double x) {
  return op_eval_scalar(op, &(scalar){.dt = dt, .v.f = x}, dt).v.f;
}

static double binary(op_code op, dtype dt, double x, double y) {
  const scalar in[2] = {{.dt = dt, .v.f = x}, {.dt = dt, .v.f = y}};
  return op_eval_scalar(op, in, dt).v.f;
}

static int64_t ints(op_code op, dtype dt, int64_t x, int64_t y) {
  const scalar in[2] = {{.dt = dt, .v.i = x}, {.dt = dt, .v.i = y}};
  return op_eval_scalar(op, in, op_has(op, OPF_CMP) ? DT_bool : dt).v.i;
}

// erf has slope 2/sqrt(pi) exp(-y^2): an error of one ulp in y moves erf(y) by that much, and no more may be lost.
static void erfinv_inverts_erf(void **state) {
  (void)state;
  for (int i = -40; i <= 40; i++) {
    double x = i < 0 ? -pow(10, i / 4.0) : i == 0 ? 0.5 : 1 - pow(10, -i / 2.7);
    double y = unary(OP_erfinv, DT_f64, x), slope = 1.1283791670955126 * exp(-y * y);
    double miss = fabs(x) < 0.5 ? erf(y) - x : copysign(1 - fabs(x), x) - copysign(erfc(fabs(y)), x);
    assert_true(fabs(miss) <= 4 * 2.3e-16 * (fabs(y) * slope + (fabs(x) < 0.5 ? fabs(x) : erfc(fabs(y)))));
    assert_true(unary(OP_erfinv, DT_f64, -x) == -y);
  }
  assert_true(unary(OP_erfinv, DT_f64, 0.5) == 0.4769362762044698733814183536431305598);
  // of the doubles nearest to these decimals, to 22 digits
  assert_true(fabs(unary(OP_erfinv, DT_f64, 0.9999) - 2.751063905712079691743) < 4e-16 * 2.75);
  assert_true(fabs(unary(OP_erfinv, DT_f64, 0.999999999) - 4.320005388105362045945) < 4e-16 * 4.32);
  assert_true(fabs(unary(OP_erfinv, DT_f64, 0.51) - 0.4881220505159588224104) < 1.2e-16);
  assert_true(unary(OP_erfinv, DT_f64, 1e-300) == 8.862269254527580136e-301);
  assert_true(unary(OP_erfinv, DT_f64, 1) == INFINITY && unary(OP_erfinv, DT_f64, -1) == -INFINITY);
  assert_true(isnan(unary(OP_erfinv, DT_f64, 1.0000001)) && isnan(unary(OP_erfinv, DT_f64, NAN)));
  assert_true(signbit(unary(OP_erfinv, DT_f64, -0.0)));
}

static void floats_follow_the_table(void **state) {
  (void)state;
  assert_true(unary(OP_round_even, DT_f32, 2.5) == 2 && unary(OP_round_away, DT_f32, 2.5) == 3);
  assert_true(unary(OP_round_even, DT_f32, -3.5) == -4 && unary(OP_round_away, DT_f32, -0.5) == -1);
  assert_true(signbit(unary(OP_sign, DT_f32, -0.0)) && isnan(unary(OP_sign, DT_f32, NAN)));
  assert_true(unary(OP_sign, DT_f32, -INFINITY) == -1);
  assert_true(unary(OP_rsqrt, DT_f32, 4) == 0.5 && unary(OP_rsqrt, DT_f32, 0) == INFINITY);
  assert_true(unary(OP_sigmoid, DT_f64, -745) > 0 && unary(OP_sigmoid, DT_f64, 800) == 1);
  assert_true(unary(OP_exp, DT_f16, 12) == INFINITY &&
              unary(OP_exp, DT_bf16, 12) == 162816);              // e^12 = 162754.8 to 8 bits
  assert_true(binary(OP_floordiv, DT_f32, 1, (double)0.1f) == 9); // 0.1f is above 1/10
  assert_true(binary(OP_floordiv, DT_f32, -7, 2) == -4 && binary(OP_mod, DT_f32, -7, 2) == 1);
  assert_true(binary(OP_mod, DT_f32, 7, -2) == -1 && binary(OP_mod, DT_f32, -0.5, 3) == 2.5);
  assert_true(binary(OP_floordiv, DT_f32, 1, 0) == INFINITY && isnan(binary(OP_mod, DT_f32, 1, 0)));
  assert_true(binary(OP_floordiv, DT_f32, -0.0, 3) == 0 && signbit(binary(OP_floordiv, DT_f32, -0.0, 3)));
  assert_true(isnan(binary(OP_min, DT_f32, NAN, 1)) && isnan(binary(OP_max, DT_f32, 1, NAN)));
  assert_true(signbit(binary(OP_min, DT_f32, 0, -0.0)) && !signbit(binary(OP_max, DT_f32, -0.0, 0)));
  assert_true(binary(OP_pow, DT_f32, NAN, 0) == 1 && binary(OP_pow, DT_f32, -2, 3) == -8);
  // Rounded once: 1 + 2^-11 + 2^-40 in f16 is above the tie, though f32 would lose the last bit and then tie down.
  assert_true(binary(OP_add, DT_f16, 1, 0x1p-11) == 1);
  assert_true(scalar_f(DT_f16, 1 + 0x1p-11 + 0x1p-40).v.f == 1 + 0x1p-10);
}

static void integers_wrap(void **state) {
  (void)state;
  assert_int_equal(ints(OP_add, DT_i8, 127, 1), -128);
  assert_int_equal(ints(OP_sub, DT_u8, 0, 1), 255);
  assert_int_equal(ints(OP_mul, DT_i32, 65536, 65536), 0);
  assert_int_equal(ints(OP_mul, DT_i64, INT64_MAX, 2), -2);
  assert_int_equal(ints(OP_floordiv, DT_i64, INT64_MIN, -1), INT64_MIN);
  assert_int_equal(ints(OP_mod, DT_i64, INT64_MIN, -1), 0);
  assert_int_equal(ints(OP_floordiv, DT_i32, -7, 2), -4);
  assert_int_equal(ints(OP_mod, DT_i32, -7, 2), 1);
  assert_int_equal(ints(OP_mod, DT_i32, 7, -2), -1);
  assert_int_equal(ints(OP_floordiv, DT_i32, 7, 0), 0);
  assert_int_equal(ints(OP_mod, DT_i32, 7, 0), 0);
  assert_int_equal(ints(OP_neg, DT_i8, -128, 0), -128);
  assert_int_equal(ints(OP_abs, DT_i64, INT64_MIN, 0), INT64_MIN);
  assert_int_equal(ints(OP_lt, DT_i64, INT64_MIN, INT64_MAX), 1);
  assert_int_equal(ints(OP_le, DT_i64, INT64_MAX, INT64_MAX - 1), 0);
  assert_int_equal(ints(OP_not, DT_bool, 1, 0), 0);
  assert_int_equal(ints(OP_and, DT_bool, 1, 0), 0);
  assert_int_equal(ints(OP_or, DT_bool, 1, 0), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(erfinv_inverts_erf),
      cmocka_unit_test(floats_follow_the_table),
      cmocka_unit_test(integers_wrap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
