// The vector math of the LLVM back end over all of f32, at every CPU level this machine runs: its error in units in the
// last place against libm in double, which is exact enough to be the truth. The bounds are those of
// docs/vector-math.md.
//
// Arguments: every STRIDE-th bit pattern of the 2^32 (each binade of each sign many times), every pattern around the
// places where a method changes branch, and special values.
#include "llvm_run.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ir/graph.h"

enum { STRIDE = 3989, TILE = 64 }; // a prime: no bit of the mantissa stands still

typedef struct function {
  op_code op;
  double bound, bound_without_fma; // ulp
  bool flushes;                    // gives 0 for results below the smallest normal number
} function;

static const function functions[] = {
    {OP_exp, 1, 1.5, true},        {OP_expm1, 1.5, 1.5, false}, {OP_log, 1, 1, false},
    {OP_log1p, 1.5, 1.5, false},   {OP_tanh, 1.5, 1.5, false},  {OP_sigmoid, 2, 2.5, true},
    {OP_erf, 1.5, 1.5, false},     {OP_rsqrt, 1, 1, false},     {OP_sin, 0.51, 0.51, false},
    {OP_cos, 0.51, 0.51, false},   {OP_tan, 0.51, 0.51, false}, {OP_atan, 1.5, 1.5, false},
    {OP_erfinv, 0.51, 0.51, false}};

enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static double truth(op_code op, double x) {
  scalar s = {.dt = DT_f64, .v.f = x};
  return op_eval_scalar(op, &s, DT_f64).v.f;
}

// Distance of a result from the true value, in units in the last place of the f32 nearest to it.
static double error_ulp(float got, double want) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : HUGE_VAL;
  if (isinf((float)want) || isinf(got))
    return (float)want == got || (isinf((float)want) && fabsf(got) == 0x1.fffffep127f) ? 0 : HUGE_VAL;
  int e = 0;
  frexp(want, &e);
  return fabs((double)got - want) / ldexp(1, e - 24 > -149 ? e - 24 : -149);
}

// -- arguments --

typedef struct arguments {
  float *x;
  size_t n;
} arguments;

static const float places[] = {0.0f,    0x1p-126f,   0x1p-24f,   0.5f,      0.5625f,    0.62f,     0.70710678f, 0.9375f,
                               1.0f,    1.41421356f, 1.5707964f, 2.0f,      3.1415927f, 3.94f,     4.0f,        9.02f,
                               17.4f,   18.0f,       80.0f,      87.33654f, 88.722839f, 103.9721f, 0x1p23f,     0x1p24f,
                               0x1p30f, 0x1p31f,     0x1p52f,    0x1p120f,  0x1p126f,   0x1p127f,  INFINITY};

static arguments make_arguments(llvm_run *f) {
  enum { AROUND = 200, N_PLACES = sizeof places / sizeof *places };
  size_t n = ((size_t)1 << 32) / STRIDE + 1 + (size_t)N_PLACES * 2 * (2 * AROUND + 1);
  arguments a = {ARENA_ARRAY(f->a, float, n + TILE), 0};
  for (uint64_t b = 0; b < (uint64_t)1 << 32; b += STRIDE) a.x[a.n++] = float_of((uint32_t)b);
  for (size_t i = 0; i < N_PLACES; i++) {
    uint32_t bits;
    memcpy(&bits, &places[i], sizeof bits);
    for (uint32_t b = bits < AROUND ? 0 : bits - AROUND; b <= bits + AROUND; b++) {
      a.x[a.n++] = float_of(b);
      a.x[a.n++] = float_of(b | 0x80000000u);
    }
  }
  while (a.n % TILE != 0) a.x[a.n++] = 1;
  return a;
}

static kir_kernel *kernel_of(llvm_run *f, op_code op) {
  bool two = op_get(op)->min_in == 2;
  return llvm_parse(
      f, str_fmt(f->a,
                 "kernel math\n  in x f32[n, %d]  %s out z f32[n, %d]\n  grid i: n\n  fact n in 1..1000000000\n{\n"
                 "  %%0 = load x[i, c] : f32 1x%d\n  %s  %%2 = %s %%0%s\n  store z[i, c] = %%2\n}\n",
                 TILE, two ? "in y f32[n, 64] " : "", TILE, TILE, two ? "%1 = load y[i, c] : f32 1x64\n" : "",
                 op_get(op)->name, two ? ", %1" : ""));
}

static void check(llvm_run *f, const char *level, const function *fn, arguments a) {
  llvm_code c = llvm_load(f, level, kernel_of(f, fn->op));
  float *z = ARENA_ARRAY(f->a, float, a.n);
  llvm_call(c, (void *[]){a.x, z}, (int64_t[]){(int64_t)(a.n / TILE)});
  double bound = target_find(level)->has_fma ? fn->bound : fn->bound_without_fma, worst = 0;
  float at = 0;
  for (size_t i = 0; i < a.n; i++) {
    double want = truth(fn->op, (double)a.x[i]), e = error_ulp(z[i], want);
    if (fn->flushes && fabs(want) < 0x1p-126 && z[i] == 0) continue;
    if (z[i] == 0 && want == 0 && !signbit(z[i]) != !signbit(want)) e = HUGE_VAL;
    if (e <= worst) continue;
    worst = e;
    at = a.x[i];
    if (e > bound) {
      fail_msg("%s at %s: f(%a) is %a, not %a: %.3f ulp", op_get(fn->op)->name, level, (double)at, (double)z[i], want,
               e);
    }
  }
  if (getenv("NNC_TEST_VERBOSE") != NULL)
    print_message("%-8s %-9s %.3f ulp at %a\n", op_get(fn->op)->name, level, worst, (double)at);
}

static void check_all(llvm_run *f, const char *level) {
  if (!llvm_runnable(level)) skip();
  arguments a = make_arguments(f);
  for (size_t i = 0; i < N_FUNCTIONS; i++) check(f, level, &functions[i], a);
}

static void test_baseline(void **state) { check_all(*state, "x86-64"); }

static void test_v3(void **state) { check_all(*state, "x86-64-v3"); }

static void test_v4(void **state) { check_all(*state, "x86-64-v4"); }

// -- pow --

static void check_pow(llvm_run *f, const char *level) {
  static const float special[] = {0.0f,
                                  -0.0f,
                                  1,
                                  -1,
                                  0.5f,
                                  -0.5f,
                                  2,
                                  -2,
                                  3,
                                  -3,
                                  2.5f,
                                  -2.5f,
                                  0x1p-149f,
                                  -0x1p-149f,
                                  0x1p-126f,
                                  0x1.fffffep127f,
                                  -0x1.fffffep127f,
                                  INFINITY,
                                  -INFINITY,
                                  NAN,
                                  16777215,
                                  -16777215,
                                  16777216,
                                  0x1.000002p0f,
                                  0x1.fffffep-1f,
                                  1e9f,
                                  -1e9f,
                                  1e30f};
  enum { S = sizeof special / sizeof *special, RANDOM = 1 << 20 };
  if (!llvm_runnable(level)) skip();
  llvm_code c = llvm_load(f, level, kernel_of(f, OP_pow));
  size_t n = ((size_t)S * S + RANDOM + TILE - 1) / TILE * TILE;
  float *x = ARENA_ARRAY(f->a, float, n), *y = ARENA_ARRAY(f->a, float, n), *z = ARENA_ARRAY(f->a, float, n);
  uint64_t seed = 5;
  for (size_t i = 0; i < n; i++) {
    if (i < (size_t)S * S) {
      x[i] = special[i / S];
      y[i] = special[i % S];
      continue;
    }
    // x anywhere, y such that the result is mostly in range
    x[i] = float_of((uint32_t)random_next(&seed));
    double t = 300 * (double)random_float(&seed) / (fabs(log2(fabs((double)x[i]))) + 1e-3);
    y[i] = (random_next(&seed) & 3) == 0 ? (float)rint(t) : (float)t;
  }
  llvm_call(c, (void *[]){x, y, z}, (int64_t[]){(int64_t)(n / TILE)});
  double worst = 0;
  for (size_t i = 0; i < n; i++) {
    double want = pow((double)x[i], (double)y[i]), e = error_ulp(z[i], want);
    if (z[i] == 0 && want == 0 && !signbit(z[i]) != !signbit(want)) e = HUGE_VAL;
    if (e > 0.51)
      fail_msg("pow at %s: f(%a, %a) is %a, not %a: %.3f ulp", level, (double)x[i], (double)y[i], (double)z[i], want,
               e);
    worst = fmax(worst, e);
  }
  if (getenv("NNC_TEST_VERBOSE") != NULL) print_message("pow      %-9s %.3f ulp\n", level, worst);
}

static void test_pow_baseline(void **state) { check_pow(*state, "x86-64"); }

static void test_pow_v3(void **state) { check_pow(*state, "x86-64-v3"); }

static void test_pow_v4(void **state) { check_pow(*state, "x86-64-v4"); }

#define TEST(f) cmocka_unit_test_setup_teardown(f, llvm_setup, llvm_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_baseline),     TEST(test_v3),     TEST(test_v4),
                                     TEST(test_pow_baseline), TEST(test_pow_v3), TEST(test_pow_v4)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
