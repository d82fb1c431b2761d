// Every rewrite rule of passes/rules.def on nasty values, both sides by the graph interpreter: exact rules give the
// same bits (NaN payloads aside); numeric ones stay within 4 units in the last place of what the left side is in double
// precision. And pairs of rules: where two can fire on one term, either order leads to the same node.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "passes/rules.h"

enum { MAX_VALUES = 40 };

typedef struct bench {
  arena *a;
  diag_list l;
  rule_set *set;
} bench;

static bench bench_open(void) {
  bench x = {.a = arena_new(NULL)};
  diag_init(&x.l, x.a);
  x.set = rules_parse(x.a, &x.l);
  return x;
}

static void bench_close(bench *x) { arena_free(x->a); }

// -- what a rule ranges over --

static size_t nasty_values(dtype t, scalar *out) {
  static const double floats[] = {
      0.0,      -0.0,      1,      -1,      2,        -2,      0.5,      -0.5,     3,         -7,
      0.1,      10,        88.7,   -103.9,  1e4,      1e-4,    1e10,     -1e10,    1e-10,     1.0000001,
      INFINITY, -INFINITY, NAN,    FLT_MAX, -FLT_MAX, FLT_MIN, -FLT_MIN, 0x1p-149, -0x1p-149, 0x1.fffffcp-127,
      65504,    0x1p-24,   0x1p-14};
  static const int64_t ints[] = {0,   1,    -1,  2,         -2,        7,         -7,        100,
                                 127, -128, 255, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 46341};
  size_t n = 0;
  if (dtype_is_float(t))
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) out[n++] = scalar_f(t, floats[i]);
  else
    for (size_t i = 0; i < (t == DT_bool ? 2 : sizeof ints / sizeof *ints); i++) out[n++] = scalar_i(t, ints[i]);
  return n;
}

// The dtype of each variable when the root has dtype t: conditions are bool, everything else is as its parent.
static void find_dtypes(const rule_term *t, dtype dt, dtype *var) {
  if (t->kind == RT_VAR || t->kind == RT_CONST_VAR) var[t->var] = dt;
  for (uint32_t i = 0; i < t->n; i++) find_dtypes(t->arg[i], t->op == OP_where && i == 0 ? DT_bool : dt, var);
}

static bool takes(const rule_term *t, dtype dt) { // do the operators have this dtype?
  if (t->kind != RT_OP) return true;
  bool ok = !(op_has(t->op, OPF_FLT) && !dtype_is_float(dt)) && !(op_has(t->op, OPF_NUM) && dt == DT_bool) &&
            !(op_has(t->op, OPF_BOOLEAN) && dt != DT_bool);
  for (uint32_t i = 0; ok && i < t->n; i++) ok = takes(t->arg[i], t->op == OP_where && i == 0 ? DT_bool : dt);
  return ok;
}

static bool ranges_over(const rule *r, dtype t) {
  bool is_float = dtype_is_float(t), is_int = dtype_is_int(t), ok = true;
  switch (r->dtypes) {
  case RULE_float: ok = is_float; break;
  case RULE_int: ok = is_int; break;
  case RULE_signed: ok = is_float || (is_int && t != DT_u8); break;
  case RULE_bool: ok = t == DT_bool; break;
  case RULE_any:
  default: break;
  }
  return ok && takes(r->left, t);
}

// -- one rule on one dtype --

typedef struct trial {
  bench *x;
  const rule *r;
  dtype var[RULE_MAX_VARS];
  scalar value[RULE_MAX_VARS][MAX_VALUES];
  size_t n[RULE_MAX_VARS], total;
  scalar constant; // of ?c
  size_t wrong;
} trial;

static ir_tensor *operand(const trial *t, uint32_t v, dtype as) {
  ir_tensor *x = ir_tensor_new(t->x->a, as, 1, (const int64_t[]){(int64_t)t->total});
  size_t stride = 1;
  for (uint32_t i = 0; i < v; i++) stride *= t->r->is_const[i] ? 1 : t->n[i];
  for (size_t i = 0; i < t->total; i++)
    scalar_store((char *)x->data + i * dtype_size(as), scalar_cast(t->value[v][i / stride % t->n[v]], as));
  return x;
}

// One side of the rule as a graph over the variables, run with the root's dtype `root` (f64 judges numeric rules).
static ir_tensor *side(const trial *t, const rule_term *term, dtype root) {
  bench *x = t->x;
  ir_module *m = ir_module_new(x->a, &x->l, "rule");
  ir_graph *g = ir_graph_new(m, "side", true);
  ir_builder b;
  ir_builder_init(&b, m, g->body);
  b.cse = NULL;
  ir_value *vars[RULE_MAX_VARS] = {0};
  const ir_tensor *in[RULE_MAX_VARS];
  uint32_t n = 0;
  ir_type like = ir_type_ints(m, root, 1, (const int64_t[]){(int64_t)t->total});
  for (uint32_t i = 0; i < t->r->n_vars; i++) {
    dtype dt = t->var[i] == DT_bool ? DT_bool : root;
    if (t->r->is_const[i]) {
      vars[i] = ir_const_scalar(&b, scalar_cast(t->constant, root), like.rank, like.dim);
      continue;
    }
    vars[i] = ir_graph_param(g, str_fmt(x->a, "x%u", i), ir_type_make(m, dt, like.rank, like.dim), NULL);
    in[n++] = operand(t, i, dt);
  }
  ir_value *v = rules_build(&b, term, vars, like);
  assert_non_null(v);
  ir_graph_output(g, "y", v);
  ir_tensor *out;
  assert_true(graph_verify(m));
  assert_true(interp_run(x->a, g, in, &out, NULL));
  return out;
}

static scalar element(const ir_tensor *t, size_t i) {
  return scalar_load(t->dt, (const char *)t->data + i * dtype_size(t->dt));
}

static double last_place(dtype t, double v) {
  int e;
  frexp(v, &e);
  int digits = t == DT_f16    ? 11
               : t == DT_bf16 ? 8
               : t == DT_f32  ? 24
                              : 53,
      least = t == DT_f16   ? -13
              : t == DT_f64 ? -1021
                            : -125;
  return ldexp(1, (e < least ? least : e) - digits);
}

// Numeric: `want` was computed in f64. Its rounding must be met within 4 last places; overflow and NaN must stay what
// they were.
static bool is_close(scalar got, double want, dtype t) {
  double rounded = scalar_f(t, want).v.f;
  if (isnan(want)) return isnan(got.v.f);
  if (isinf(rounded)) return got.v.f == rounded;
  return fabs(got.v.f - want) <= 4 * last_place(t, want);
}

static void complain(trial *t, dtype dt, size_t i, scalar got, scalar want) {
  if (t->wrong++) return; // one a dtype is enough to print
  strbuf b;
  sb_init(&b, t->x->a);
  size_t stride = 1;
  for (uint32_t v = 0; v < t->r->n_vars; v++) {
    if (t->r->is_const[v]) continue;
    scalar s = t->value[v][i / stride % t->n[v]];
    sb_fmt(&b, " %.9g", dtype_is_float(s.dt) ? s.v.f : (double)s.v.i);
    stride *= t->n[v];
  }
  bool is_float = dtype_is_float(want.dt);
  print_error("rule %s on %s: %s; values%s, constant %g: right %.17g, left %.17g\n", t->r->name, dtype_name(dt),
              t->r->text, sb_cstr(&b), t->constant.v.f, is_float ? got.v.f : (double)got.v.i,
              is_float ? want.v.f : (double)want.v.i);
}

static bool try_rule(bench *x, const rule *r, dtype dt, scalar constant) {
  trial t = {.x = x, .r = r, .total = 1, .constant = constant};
  find_dtypes(r->left, dt, t.var);
  for (uint32_t i = 0; i < r->n_vars; i++) {
    t.n[i] = nasty_values(t.var[i], t.value[i]);
    if (!r->is_const[i]) t.total *= t.n[i];
  }
  ir_tensor *right = side(&t, r->right, dt);
  if (r->mark == RULE_exact) {
    ir_tensor *left = side(&t, r->left, dt);
    for (size_t i = 0; i < t.total; i++)
      if (!scalar_same(element(left, i), element(right, i))) complain(&t, dt, i, element(right, i), element(left, i));
    return t.wrong == 0;
  }
  ir_tensor *left = side(&t, r->left, DT_f64);
  for (size_t i = 0; i < t.total; i++)
    if (!is_close(element(right, i), element(left, i).v.f, dt))
      complain(&t, dt, i, element(right, i), element(left, i));
  return t.wrong == 0;
}

// Constants that the rule's condition admits.
static size_t constants_of(const rule *r, dtype dt, scalar *out) {
  static const double powers[] = {2, 0.5, -4, 0x1p100, 0x1p-100, 1, -1};
  bool has = false;
  for (uint32_t i = 0; i < r->n_vars; i++) has = has || r->is_const[i];
  size_t n = 0;
  for (size_t i = 0; has && i < sizeof powers / sizeof *powers; i++) out[n++] = scalar_f(dt, powers[i]);
  if (!has) out[n++] = scalar_f(dt, 0);
  return n;
}

static void rules_hold_on_nasty_values(void **state) {
  (void)state;
  bench x = bench_open();
  size_t wrong = 0;
  for (size_t i = 0; i < x.set->rules.n; i++) {
    const rule *r = &x.set->rules.at[i];
    size_t dtypes = 0;
    for (int dt = 0; dt < DT_COUNT; dt++) {
      if (!ranges_over(r, (dtype)dt)) continue;
      if (r->mark == RULE_numeric && dt == DT_f64) continue; // nothing wider to judge by
      if (r->pow2 && dt == DT_f16) continue;                 // the condition leaves f16 out
      scalar c[8];
      size_t n = constants_of(r, (dtype)dt, c);
      for (size_t k = 0; k < n; k++) wrong += !try_rule(&x, r, (dtype)dt, c[k]);
      dtypes++;
    }
    assert_true(dtypes > 0);
  }
  assert_int_equal(wrong, 0);
  bench_close(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rules_hold_on_nasty_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
