// Every elementwise operator, and every cast, at every dtype it takes: machine code against op_eval_scalar, on special
// values, random bits and ordinary numbers, in tiles with ragged ends and in scalars.
//
// Operators that IEEE 754 defines, and all integer ones, must agree to the bit (any NaN is a NaN; of min and max, any
// zero is a zero). The transcendental ones have bounds; test_math.c proves tighter ones over all binades.
#include "llvm_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "ir/graph.h"

enum { ROWS = 60, WIDE = 21, COLS = WIDE + 1, N = ROWS * COLS };

// -- values --

static const double special_floats[] = {0.0,    -0.0,    1,        -1,      0.5,    -0.5,    1.5,    2.5,       -2.5,
                                        3,      -3,      7,        0.1,     1e-3,   1e-7,    127.5,  -128.5,    255.9,
                                        256,    65504,   65519.9,  65520,   1e-8,   -1e5,    1e10,   -3e38,     3.4e38,
                                        1e-38,  1e-40,   0x1p-149, 87,      -87.4,  88.8,    -104,   1e30,      9.1,
                                        0x1p31, -0x1p31, 0x1p63,   -0x1p63, 0x1p23, 8388609, 0x1p52, 0.49999997};
static const int64_t special_ints[] = {0,
                                       1,
                                       -1,
                                       2,
                                       -2,
                                       3,
                                       7,
                                       -7,
                                       127,
                                       -128,
                                       255,
                                       256,
                                       INT32_MAX,
                                       INT32_MIN,
                                       INT64_MAX,
                                       INT64_MIN,
                                       INT64_C(1) << 53,
                                       16777217,
                                       100,
                                       -100,
                                       1000,
                                       (INT64_C(1) << 62) + 1};

enum { N_FLOATS = sizeof special_floats / sizeof *special_floats, N_INTS = sizeof special_ints / sizeof *special_ints };

static scalar any_value(dtype dt, uint64_t *seed) {
  uint64_t r = llvm_random(seed), kind = r % 4;
  unsigned char raw[8];
  r = llvm_random(seed);
  if (dtype_is_float(dt)) {
    if (kind == 0) return scalar_f(dt, special_floats[r % N_FLOATS]);
    if (kind == 1)
      return scalar_f(dt, (r & 7) == 0   ? (double)NAN
                          : (r & 7) == 1 ? HUGE_VAL
                          : (r & 7) == 2 ? -HUGE_VAL
                                         : 10 * (double)llvm_uniform(seed));
    if (kind == 2) return scalar_f(dt, 4 * (double)llvm_uniform(seed));
  } else if (kind < 2) {
    return scalar_i(dt, special_ints[r % N_INTS]);
  } else if (kind == 2) {
    return scalar_i(dt, (int64_t)(r % 41) - 20);
  }
  memcpy(raw, &r, sizeof raw);
  return scalar_load(dt, raw); // any bits
}

// -- comparing --

static double distance_ulp(scalar got, scalar want) { // of floats, in units in the last place of `want`
  if (isnan(got.v.f) || isnan(want.v.f)) return isnan(got.v.f) && isnan(want.v.f) ? 0 : HUGE_VAL;
  if (got.v.f == want.v.f) return 0;
  if (isinf(got.v.f) || isinf(want.v.f)) return HUGE_VAL;
  int bits = want.dt == DT_f32   ? 24
             : want.dt == DT_f64 ? 53
             : want.dt == DT_f16 ? 11
                                 : 8,
      least = want.dt == DT_f64    ? -1074
              : want.dt == DT_f16  ? -24
              : want.dt == DT_bf16 ? -133
                                   : -149;
  int e = 0;
  frexp(want.v.f, &e);
  int unit = e - bits > least ? e - bits : least;
  return fabs(got.v.f - want.v.f) / ldexp(1, unit);
}

static bool is_approximate(op_code op) {
  switch ((int)op) {
  case OP_rsqrt:
  case OP_exp:
  case OP_expm1:
  case OP_log:
  case OP_log1p:
  case OP_sin:
  case OP_cos:
  case OP_tan:
  case OP_atan:
  case OP_tanh:
  case OP_sigmoid:
  case OP_erf:
  case OP_erfinv:
  case OP_pow: return true;
  default: return false;
  }
}

static bool flushes(op_code op) { return op == OP_exp || op == OP_sigmoid; }

static bool agrees(op_code op, scalar got, scalar want) {
  if (!dtype_is_float(want.dt)) return got.v.i == want.v.i;
  if (op == OP_min || op == OP_max) return got.v.f == want.v.f || (isnan(got.v.f) && isnan(want.v.f));
  if (!is_approximate(op)) return scalar_same(got, want);
  if (flushes(op) && fabs(want.v.f) < 0x1p-126 && got.v.f == 0) return true;
  double bound = want.dt == DT_f32 ? 2.5 : want.dt == DT_f64 ? 4 : 1;
  return distance_ulp(got, want) <= bound;
}

// -- one operator on one dtype --

typedef struct trial {
  op_code op;
  dtype in[3], out;
  uint32_t n_in;
} trial;

// Each row is computed twice over: WIDE columns as a tile with a ragged end, and the last column as a scalar.
static void add_statements(strbuf *b, const trial *t, const char *column, int cols) {
  for (uint32_t i = 0; i < t->n_in; i++) {
    sb_fmt(b, "%%%s%u = load p%u[i, %s] : %s 1x%d\n", column, i, i, column, dtype_name(t->in[i]), cols);
  }
  const char *x = column;
  if (t->op == OP_cast) sb_fmt(b, "%%%sq = convert %%%s0 to %s\n", x, x, dtype_name(t->out));
  else if (t->op == OP_where) sb_fmt(b, "%%%sq = pick %%%s0, %%%s1, %%%s2\n", x, x, x, x);
  else if (t->n_in == 2) sb_fmt(b, "%%%sq = %s %%%s0, %%%s1\n", x, op_get(t->op)->name, x, x);
  else sb_fmt(b, "%%%sq = %s %%%s0\n", x, op_get(t->op)->name, x);
  sb_fmt(b, "store q[i, %s] = %%%sq\n", column, x);
}

static const char *trial_text(llvm_run *f, const trial *t) {
  strbuf b;
  sb_init(&b, f->a);
  sb_z(&b, "kernel k\n");
  for (uint32_t i = 0; i < t->n_in; i++) sb_fmt(&b, "  in p%u %s[%d, %d]", i, dtype_name(t->in[i]), ROWS, COLS);
  sb_fmt(&b, "  out q %s[%d, %d]\n  grid i: %d\n{\n", dtype_name(t->out), ROWS, COLS, ROWS);
  add_statements(&b, t, "c", WIDE);
  add_statements(&b, t, "21", 1);
  sb_z(&b, "}\n");
  return sb_cstr(&b);
}

static const char *value_text(llvm_run *f, scalar s) {
  return dtype_is_float(s.dt) ? str_fmt(f->a, "%.17g", s.v.f) : str_fmt(f->a, "%lld", (long long)s.v.i);
}

static void run_trial(llvm_run *f, const char *level, const trial *t) {
  llvm_code c = llvm_load(f, level, llvm_parse(f, trial_text(f, t)));
  size_t out_bytes = dtype_size(t->out);
  void *p[4] = {NULL};
  uint64_t seed = 17 * (uint64_t)t->op + (uint64_t)t->in[0];
  for (uint32_t i = 0; i < t->n_in; i++) {
    size_t bytes = dtype_size(t->in[i]);
    p[i] = llvm_fenced(f, N * bytes);
    for (size_t e = 0; e < N; e++) scalar_store((char *)p[i] + e * bytes, any_value(t->in[i], &seed));
  }
  char *q = p[t->n_in] = llvm_fenced(f, N * out_bytes);
  llvm_call(f, c, p, NULL);
  for (size_t e = 0; e < N; e++) {
    scalar x[3] = {{.dt = DT_i32}, {.dt = DT_i32}, {.dt = DT_i32}};
    for (uint32_t i = 0; i < t->n_in; i++) x[i] = scalar_load(t->in[i], (char *)p[i] + e * dtype_size(t->in[i]));
    scalar want = op_eval_scalar(t->op, x, t->out), got = scalar_load(t->out, q + e * out_bytes);
    if (agrees(t->op, got, want)) continue;
    fail_msg("%s %s -> %s at %s, column %zu: f(%s, %s, %s) = %s, not %s", op_get(t->op)->name, dtype_name(t->in[0]),
             dtype_name(t->out), level, e % COLS, value_text(f, x[0]), value_text(f, x[1]), value_text(f, x[2]),
             value_text(f, got), value_text(f, want));
  }
}

static bool takes(op_code op, dtype dt) {
  if (op_has(op, OPF_FLT)) return dtype_is_float(dt);
  if (op_has(op, OPF_NUM)) return dt != DT_bool;
  if (op_has(op, OPF_BOOLEAN)) return dt == DT_bool;
  if (op_has(op, OPF_I32)) return dt == DT_i32;
  return true;
}

static void run_operators(llvm_run *f, const char *level) {
  if (!llvm_runnable(level)) skip();
  for (int o = 0; o < OP_COUNT; o++) {
    op_code op = (op_code)o;
    if (!op_is_elementwise(op) || op == OP_cast) continue;
    for (int d = 0; d < DT_COUNT; d++) {
      dtype dt = (dtype)d;
      if (!takes(op, dt)) continue;
      trial t = {op, {dt, dt, dt}, op_has(op, OPF_CMP) ? DT_bool : dt, op_get(op)->min_in};
      if (op == OP_where) t.in[0] = DT_bool;
      run_trial(f, level, &t);
    }
  }
}

static void run_casts(llvm_run *f, const char *level) {
  if (!llvm_runnable(level)) skip();
  for (int from = 0; from < DT_COUNT; from++) {
    for (int to = 0; to < DT_COUNT; to++) {
      if (from == to) continue;
      trial t = {OP_cast, {(dtype)from}, (dtype)to, 1};
      run_trial(f, level, &t);
    }
  }
}

static void test_operators_baseline(void **state) { run_operators(*state, "x86-64"); }

static void test_operators_v3(void **state) { run_operators(*state, "x86-64-v3"); }

static void test_operators_v4(void **state) { run_operators(*state, "x86-64-v4"); }

static void test_casts_baseline(void **state) { run_casts(*state, "x86-64"); }

static void test_casts_v3(void **state) { run_casts(*state, "x86-64-v3"); }

static void test_casts_v4(void **state) { run_casts(*state, "x86-64-v4"); }

#define TEST(f) cmocka_unit_test_setup_teardown(f, llvm_setup, llvm_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_operators_baseline), TEST(test_operators_v3), TEST(test_operators_v4),
                                     TEST(test_casts_baseline),     TEST(test_casts_v3),     TEST(test_casts_v4)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
