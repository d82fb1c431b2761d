// Built-ins that run in the compiler: rows for `for`, shapes, tables.
#include "frontend/builtin.h"

#include <math.h>
#include <string.h>

static bool is_row(value v) { return v.kind == V_tuple || v.kind == V_table; }
static size_t row_length(value v) { return v.kind == V_tuple ? v.v.tuple->n : v.v.table->n; }
static value row_at(value v, size_t i) { return v.kind == V_tuple ? v.v.tuple->at[i] : value_table_at(v.v.table, i); }

value builtin_range(call *c) {
  int64_t v[3];
  for (size_t i = 0; i < 3; i++) {
    value a = c->arg[i];
    if (i == 1 && a.kind == V_none) continue;
    if (a.kind == V_size || a.kind == V_tensor) {
      diag *d = elab_error(c->e, c->span, for_run_time, value_describe(c->e->a, a));
      diag_note_to(c->e->l, d, "use `loop`");
      return value_error();
    }
    if (!arg_int(c, i, &v[i])) return value_error();
  }
  if (c->arg[1].kind == V_none) v[1] = v[0], v[0] = 0;
  if (v[2] == 0) return call_fail(c, "a step of 0 never ends");
  int64_t span, n = 0;
  if (__builtin_sub_overflow(v[1], v[0], &span)) return call_fail(c, "its bounds are too far apart");
  if ((span > 0) == (v[2] > 0) && span != 0) n = span / v[2] + (span % v[2] != 0);
  if (n > VALUE_TABLE_MAX) return call_fail(c, "%lld values are too many", (long long)n);
  int64_t *at = ARENA_ARRAY(c->e->a, int64_t, (size_t)n);
  for (int64_t i = 0; i < n; i++) at[i] = v[0] + i * v[2];
  return value_ints(c->e->a, (size_t)n, at);
}

value builtin_enumerate(call *c) {
  value xs = c->arg[0];
  if (!is_row(xs)) return arg_fail(c, 0, "a tuple or table");
  size_t n = row_length(xs);
  value *at = ARENA_ARRAY(c->e->a, value, n);
  for (size_t i = 0; i < n; i++) at[i] = value_tuple_of(c->e->a, 2, (value[]){value_int((int64_t)i), row_at(xs, i)});
  return value_tuple_of(c->e->a, n, at);
}

value builtin_zip(call *c) {
  const value_tuple *xs = c->arg[0].v.tuple;
  size_t n = SIZE_MAX;
  for (size_t k = 0; k < xs->n; k++) {
    if (!is_row(xs->at[k])) return call_fail(c, "needs tuples or tables, found %s", value_describe(c->e->a, xs->at[k]));
    size_t mine = row_length(xs->at[k]);
    if (k && mine != n)
      return call_clash(c, xs->at[k - 1], xs->at[k], "the rows have different lengths: %zu and %zu", n, mine);
    n = mine;
  }
  if (!xs->n) n = 0;
  value *at = ARENA_ARRAY(c->e->a, value, n), *one = ARENA_ARRAY(c->e->a, value, xs->n);
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < xs->n; k++) one[k] = row_at(xs->at[k], i);
    at[i] = value_tuple_of(c->e->a, xs->n, one);
  }
  return value_tuple_of(c->e->a, n, at);
}

value builtin_reversed(call *c) {
  value xs = c->arg[0];
  if (!is_row(xs)) return arg_fail(c, 0, "a tuple or table");
  size_t n = row_length(xs);
  value *at = ARENA_ARRAY(c->e->a, value, n);
  for (size_t i = 0; i < n; i++) at[i] = row_at(xs, n - 1 - i);
  value t = value_tuple_of(c->e->a, n, at);
  return xs.kind == V_tuple ? t : table_of_values(c, t);
}

value builtin_len(call *c) {
  value xs = c->arg[0];
  if (is_row(xs)) return value_int((int64_t)row_length(xs));
  if (xs.kind == V_string) return value_int((int64_t)xs.v.s.n);
  if (xs.kind == V_tensor && xs.v.tensor->type.rank) return value_size(xs.v.tensor->type.dim[0]);
  return arg_fail(c, 0, "a tuple, table or tensor");
}

value builtin_shape(call *c) {
  value x = c->arg[0];
  if (x.kind == V_table) return value_tuple_of(c->e->a, 1, (value[]){value_int((int64_t)x.v.table->n)});
  if (value_is_number(x) || x.kind == V_bool || x.kind == V_size) return value_tuple_of(c->e->a, 0, NULL);
  if (x.kind != V_tensor) return arg_fail(c, 0, "a tensor");
  value at[IR_MAX_RANK];
  ir_type t = x.v.tensor->type;
  for (uint32_t i = 0; i < t.rank; i++) at[i] = value_size(t.dim[i]);
  return value_tuple_of(c->e->a, t.rank, at);
}

value builtin_int(call *c) {
  value x = c->arg[0];
  if (value_is_integer(x)) return x;
  if (x.kind == V_bool) return value_int(x.v.i);
  if (x.kind == V_float && fabs(x.v.f) < 9.2e18) return value_int((int64_t)x.v.f);
  if (x.kind == V_table) {
    int64_t *at = ARENA_ARRAY(c->e->a, int64_t, x.v.table->n);
    for (size_t i = 0; i < x.v.table->n; i++) {
      value v = value_table_at(x.v.table, i);
      if (v.kind == V_float && !(fabs(v.v.f) < 9.2e18)) return arg_fail(c, 0, "numbers that fit an integer");
      at[i] = v.kind == V_float ? (int64_t)v.v.f : v.v.i;
    }
    return value_ints(c->e->a, x.v.table->n, at);
  }
  return arg_fail(c, 0, "a number known to the compiler (`cast(x, i32)` converts a tensor)");
}

value builtin_as_tuple(call *c) {
  int64_t n = 1;
  value x = c->arg[0];
  bool any = c->arg[1].kind == V_none;
  if (any && is_row(x)) return x;
  if (!any && !arg_int(c, 1, &n)) return value_error();
  if (n < 0 || n > VALUE_TABLE_MAX) return arg_fail(c, 1, "a length");
  if (is_row(x)) {
    if (row_length(x) != (size_t)n)
      return call_fail(c, "%zu values where %lld are wanted", row_length(x), (long long)n);
    return x;
  }
  value *at = ARENA_ARRAY(c->e->a, value, (size_t)n);
  for (int64_t i = 0; i < n; i++) at[i] = x;
  return value_tuple_of(c->e->a, (size_t)n, at);
}

value builtin_linspace(call *c) {
  double a, b;
  int64_t n;
  if (!arg_float(c, 0, &a) || !arg_float(c, 1, &b) || !arg_positive(c, 2, &n)) return value_error();
  if (n > VALUE_TABLE_MAX) return arg_fail(c, 2, "a smaller number");
  double *at = ARENA_ARRAY(c->e->a, double, (size_t)n);
  for (int64_t i = 0; i < n; i++) at[i] = n == 1 ? a : a + (b - a) * (double)i / (double)(n - 1);
  return value_floats(c->e->a, (size_t)n, at);
}

value table_of_values(call *c, value xs) {
  const value_tuple *t = xs.v.tuple;
  double *f = ARENA_ARRAY(c->e->a, double, t->n);
  int64_t *k = ARENA_ARRAY(c->e->a, int64_t, t->n);
  size_t n_float = 0, n_bool = 0;
  for (size_t i = 0; i < t->n; i++) {
    value v = t->at[i];
    if (value_is_error(v)) return v;
    if (!value_is_number(v) && v.kind != V_bool)
      return call_fail(c, "a table holds numbers, found %s", value_describe(c->e->a, v));
    n_float += v.kind == V_float;
    n_bool += v.kind == V_bool;
    f[i] = v.kind == V_float ? v.v.f : (double)v.v.i;
    k[i] = v.kind == V_float ? 0 : v.v.i;
  }
  if (n_bool && n_bool != t->n) return call_fail(c, "numbers and truth values in one table");
  if (n_float) return value_floats(c->e->a, t->n, f);
  return n_bool ? value_bools(c->e->a, t->n, k) : value_ints(c->e->a, t->n, k);
}

value builtin_table(call *c) {
  if (c->arg[0].kind == V_table) return c->arg[0];
  return c->arg[0].kind == V_tuple ? table_of_values(c, c->arg[0]) : arg_fail(c, 0, "a tuple of numbers");
}

// Does `--approx` make this attention linear? Said at each, and where it cannot.
value builtin_approximates(call *c) {
  elab *e = c->e;
  if (!e->opt || !e->opt->approx) return value_bool(false);
  value mask = c->arg[0];
  bool can = mask.kind == V_none || (mask.kind == V_tensor && mask.v.tensor->type.dt == DT_bool);
  diag_span at = elab_span(e, c->span);
  elab_once(e, can ? diag_at(e->l, at, attention_approximated) : diag_at(e->l, at, attention_stays_exact));
  e->n_approximated += can;
  return value_bool(can);
}

value builtin_fail(call *c) {
  str text;
  if (!arg_string(c, 0, &text)) return value_error();
  elab_error(c->e, c->span, prelude_refuses, elab_text(c->e, text));
  return value_error();
}
