// Trials of elementwise operators: see trials.h.
#include "support/trials.h"
#include "support/random.h"

#include <math.h>
#include <string.h>

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
  uint64_t r = random_next(seed), kind = r % 4;
  unsigned char raw[8];
  r = random_next(seed);
  if (dtype_is_float(dt)) {
    if (kind == 0) return scalar_f(dt, special_floats[r % N_FLOATS]);
    if (kind == 1)
      return scalar_f(dt, (r & 7) == 0   ? (double)NAN
                          : (r & 7) == 1 ? HUGE_VAL
                          : (r & 7) == 2 ? -HUGE_VAL
                                         : 10 * (double)random_float(seed));
    if (kind == 2) return scalar_f(dt, 4 * (double)random_float(seed));
  } else if (kind < 2) {
    return scalar_i(dt, special_ints[r % N_INTS]);
  } else if (kind == 2) {
    return scalar_i(dt, (int64_t)(r % 41) - 20);
  }
  memcpy(raw, &r, sizeof raw);
  return scalar_load(dt, raw); // any bits
}

void trial_fill(const trial *t, void *const *p) {
  uint64_t seed = 17 * (uint64_t)t->op + (uint64_t)t->in[0];
  for (uint32_t i = 0; i < t->n_in; i++) {
    size_t bytes = dtype_size(t->in[i]);
    for (size_t e = 0; e < TRIAL_N; e++) scalar_store((char *)p[i] + e * bytes, any_value(t->in[i], &seed));
  }
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

static bool agrees(op_code op, const trial_bounds *bounds, scalar got, scalar want) {
  if (!dtype_is_float(want.dt)) return got.v.i == want.v.i;
  if (op == OP_min || op == OP_max) return got.v.f == want.v.f || (isnan(got.v.f) && isnan(want.v.f));
  if (!is_approximate(op)) return scalar_same(got, want);
  if (bounds->flushes(op) && fabs(want.v.f) < 0x1p-126 && got.v.f == 0) return true;
  return distance_ulp(got, want) <= bounds->ulp(op, want.dt);
}

static const char *value_text(arena *a, scalar s) {
  return dtype_is_float(s.dt) ? str_fmt(a, "%.17g", s.v.f) : str_fmt(a, "%lld", (long long)s.v.i);
}

const char *trial_judge(arena *a, const trial *t, const trial_bounds *bounds, void *const *p) {
  const char *q = p[t->n_in];
  for (size_t e = 0; e < TRIAL_N; e++) {
    scalar x[3] = {{.dt = DT_i32}, {.dt = DT_i32}, {.dt = DT_i32}};
    for (uint32_t i = 0; i < t->n_in; i++) x[i] = scalar_load(t->in[i], (const char *)p[i] + e * dtype_size(t->in[i]));
    scalar want = op_eval_scalar(t->op, x, t->out), got = scalar_load(t->out, q + e * dtype_size(t->out));
    if (agrees(t->op, bounds, got, want)) continue;
    return str_fmt(a, "%s %s -> %s, column %zu: f(%s, %s, %s) = %s, not %s", op_get(t->op)->name, dtype_name(t->in[0]),
                   dtype_name(t->out), e % TRIAL_COLS, value_text(a, x[0]), value_text(a, x[1]), value_text(a, x[2]),
                   value_text(a, got), value_text(a, want));
  }
  return NULL;
}

// -- kernels --

// Each row is computed twice over: TRIAL_WIDE columns as a tile with a ragged end, and the last column as a scalar.
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

const char *trial_text(arena *a, const trial *t, const char *name) {
  strbuf b;
  sb_init(&b, a);
  sb_fmt(&b, "kernel %s\n", name);
  for (uint32_t i = 0; i < t->n_in; i++)
    sb_fmt(&b, "  in p%u %s[%d, %d]", i, dtype_name(t->in[i]), TRIAL_ROWS, TRIAL_COLS);
  sb_fmt(&b, "  out q %s[%d, %d]\n  grid i: %d\n{\n", dtype_name(t->out), TRIAL_ROWS, TRIAL_COLS, TRIAL_ROWS);
  add_statements(&b, t, "c", TRIAL_WIDE);
  add_statements(&b, t, "21", 1);
  sb_z(&b, "}\n");
  return sb_cstr(&b);
}

// -- all of them --

static bool takes(op_code op, dtype dt) {
  if (op_has(op, OPF_FLT)) return dtype_is_float(dt);
  if (op_has(op, OPF_NUM)) return dt != DT_bool;
  if (op_has(op, OPF_BOOLEAN)) return dt == DT_bool;
  if (op_has(op, OPF_I32)) return dt == DT_i32;
  return true;
}

void trials_of_operators(void (*run)(void *user, const trial *t), void *user) {
  for (int o = 0; o < OP_COUNT; o++) {
    op_code op = (op_code)o;
    if (!op_is_elementwise(op) || op == OP_cast) continue;
    for (int d = 0; d < DT_COUNT; d++) {
      dtype dt = (dtype)d;
      if (!takes(op, dt)) continue;
      trial t = {op, {dt, dt, dt}, op_has(op, OPF_CMP) ? DT_bool : dt, op_get(op)->min_in};
      if (op == OP_where) t.in[0] = DT_bool;
      run(user, &t);
    }
  }
}

void trials_of_casts(void (*run)(void *user, const trial *t), void *user) {
  for (int from = 0; from < DT_COUNT; from++) {
    for (int to = 0; to < DT_COUNT; to++) {
      trial t = {OP_cast, {(dtype)from}, (dtype)to, 1};
      if (from != to) run(user, &t);
    }
  }
}
