// Built-in functions: the table, binding of arguments by a row's own text, and the reading of arguments.
#include "frontend/builtin.h"

#include <stdarg.h>
#include <string.h>

static const builtin table[] = {
#define B(id, name, params, weighted) {name, params, builtin_##id, weighted},
#include "frontend/builtin.def"
#undef B
};

enum { N_BUILTINS = sizeof table / sizeof *table, MAX_PARAMS = 8 };

typedef struct param {
  str name;
  bool variadic, required;
  value dflt;
} param;

typedef struct builtin_entry { // a row with its parameters read, on first use
  const builtin *fn;
  size_t n;
  param *at;
} builtin_entry;

static value literal(elab *e, str s) {
  int64_t i;
  double f;
  dtype dt;
  if (str_is(s, "None")) return value_none();
  if (str_is(s, "True") || str_is(s, "False")) return value_bool(s.p[0] == 'T');
  if (s.n >= 2 && s.p[0] == '\'') return value_str((str){s.p + 1, s.n - 2});
  if (dtype_parse(s, &dt)) return value_dtype(dt);
  if (parse_i64(s, &i)) return value_int(i);
  BUG_IF(e->l, !parse_f64(s, &f), "no literal: " STR_FMT, STR_ARG(s));
  return value_float(f);
}

static void read_params(elab *e, builtin_entry *b) {
  VEC(param) v = {0};
  const char *p = b->fn->params;
  while (*p) {
    size_t n = strcspn(p, ",");
    param q = {.variadic = *p == '*'};
    const char *eq = memchr(p, '=', n), *from = p + q.variadic;
    q.name = (str){from, (size_t)((eq ? eq : p + n) - from)};
    q.required = !eq && !q.variadic;
    if (eq) q.dflt = literal(e, (str){eq + 1, (size_t)(p + n - eq) - 1});
    vec_push(e->a, &v, q);
    p += n;
    p += strspn(p, ", ");
  }
  b->at = v.at;
  b->n = v.n;
}

static builtin_entry *entry_of(elab *e, str name) {
  if (!e->builtins) {
    e->builtins = map_new(e->a);
    builtin_entry *rows = ARENA_ARRAY(e->a, builtin_entry, N_BUILTINS);
    for (size_t i = 0; i < N_BUILTINS; i++) {
      rows[i].fn = &table[i];
      map_put(e->builtins, str_of(table[i].name), &rows[i]);
    }
  }
  return map_get(e->builtins, name);
}

const builtin *builtin_find(elab *e, str name) {
  const builtin_entry *b = entry_of(e, name);
  return b ? b->fn : NULL;
}

void builtin_names(elab *e, const char ***at, size_t *n, size_t *cap) {
  for (size_t i = 0; i < N_BUILTINS; i++) {
    if (table[i].name[0] == '_') continue;
    *at = *n < *cap ? *at : vec_grow(e->a, *at, *n, cap, *n + 1, sizeof **at);
    (*at)[(*n)++] = table[i].name;
  }
}

const char *builtin_signature(elab *e, const builtin *fn) { return str_fmt(e->a, "%s(%s)", fn->name, fn->params); }

// -- binding --

typedef struct binder {
  elab *e;
  const builtin_entry *b;
  const ast_expr *x;
  value arg[MAX_PARAMS];
  diag_span at[MAX_PARAMS];
  bool given[MAX_PARAMS];
  VEC(value) rest;
  bool ok;
} binder;

static void wrong_call(binder *w, diag *d) {
  diag_note_to(w->e->l, d, "%s", builtin_signature(w->e, w->b->fn));
  w->ok = false;
}

static void bind_positional(binder *w) {
  const builtin_entry *b = w->b;
  size_t k = 0;
  for (size_t i = 0; i < w->x->items.n; i++) {
    const ast_expr *a = w->x->items.at[i];
    value v = elab_expr(w->e, a);
    if (k == b->n) {
      if (w->ok) wrong_call(w, elab_error(w->e, a->span, argument_count, b->fn->name, b->n, w->x->items.n));
    } else if (b->at[k].variadic) {
      if (!w->rest.n) w->at[k] = a->span;
      vec_push(w->e->a, &w->rest, v);
    } else {
      w->arg[k] = v;
      w->at[k] = a->span;
      w->given[k++] = true;
    }
  }
}

static void bind_by_name(binder *w) {
  const builtin_entry *b = w->b;
  for (size_t i = 0; i < w->x->named.n; i++) {
    const ast_arg *a = &w->x->named.at[i];
    value v = elab_expr(w->e, a->value);
    size_t k = 0;
    while (k < b->n && !str_eq(b->at[k].name, a->name)) k++;
    if (k < b->n && b->at[k].variadic) {
      wrong_call(w, elab_error(w->e, a->name_span, argument_by_place, b->fn->name, elab_text(w->e, a->name)));
    } else if (k == b->n) {
      diag *d = elab_error(w->e, a->name_span, argument_unknown, b->fn->name, elab_text(w->e, a->name));
      const char *names[MAX_PARAMS];
      for (size_t j = 0; j < b->n; j++) names[j] = elab_text(w->e, b->at[j].name);
      const char *best = str_suggest(a->name, names, b->n);
      if (best) diag_note_to(w->e->l, d, "did you mean `%s`?", best);
      wrong_call(w, d);
    } else if (w->given[k]) {
      wrong_call(w, elab_error(w->e, a->name_span, argument_twice, b->fn->name, elab_text(w->e, a->name)));
    } else {
      w->arg[k] = v;
      w->at[k] = a->value->span;
      w->given[k] = true;
    }
  }
}

static value run(elab *e, const builtin_entry *b, binder *w, diag_span span) {
  for (size_t k = 0; k < b->n; k++) {
    if (b->at[k].variadic) {
      bool one = w->rest.n == 1 && w->rest.at[0].kind == V_tuple;
      w->arg[k] = one ? w->rest.at[0] : value_tuple_of(e->a, w->rest.n, w->rest.at);
      if (!w->rest.n) w->at[k] = span;
      w->given[k] = true;
    } else if (!w->given[k]) {
      w->arg[k] = b->at[k].dflt;
      w->at[k] = span;
    }
  }
  call c = {e, b->fn, span, b->n, w->arg, w->at, w->given};
  return arg_errors(&c) ? value_error() : b->fn->run(&c);
}

value builtin_call(elab *e, const builtin *fn, const ast_expr *x) {
  builtin_entry *b = entry_of(e, str_of(fn->name));
  if (!b->at) read_params(e, b);
  binder w = {.e = e, .b = b, .x = x, .ok = true};
  bind_positional(&w);
  bind_by_name(&w);
  for (size_t k = 0; k < b->n && w.ok; k++) {
    if (b->at[k].required && !w.given[k])
      wrong_call(&w, elab_error(e, x->op_span, argument_missing, fn->name, elab_text(e, b->at[k].name)));
  }
  if (!w.ok) return value_error();
  if (!e->frame->u->is_prelude) e->at = &x->span;
  return run(e, b, &w, x->span);
}

// -- reading --

static bool holds_error(value v) {
  if (v.kind != V_tuple) return value_is_error(v);
  for (size_t i = 0; i < v.v.tuple->n; i++) {
    if (holds_error(v.v.tuple->at[i])) return true;
  }
  return false;
}

bool arg_errors(const call *c) {
  for (size_t i = 0; i < c->n; i++) {
    if (holds_error(c->arg[i])) return true;
  }
  return false;
}

static const char *param_name(call *c, size_t i) {
  const builtin_entry *b = entry_of(c->e, str_of(c->fn->name));
  return elab_text(c->e, b->at[i].name);
}

value arg_fail(call *c, size_t i, const char *expected) {
  diag *d = elab_error(c->e, c->at[i], argument_kind, c->fn->name, expected, param_name(c, i),
                       value_describe(c->e->a, c->arg[i]));
  if (c->fn->name[0] != '_') diag_note_to(c->e->l, d, "%s", builtin_signature(c->e, c->fn));
  return value_error();
}

__attribute__((format(printf, 2, 0))) static diag *call_error(call *c, const char *fmt, va_list ap) {
  strbuf b;
  sb_init(&b, c->e->a);
  sb_vfmt(&b, fmt, ap);
  return elab_error(c->e, c->span, call_invalid, c->fn->name + (c->fn->name[0] == '_'), sb_cstr(&b));
}

value call_fail(call *c, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  call_error(c, fmt, ap);
  va_end(ap);
  return value_error();
}

value call_clash(call *c, value x, value y, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  elab_note_origins(c->e, call_error(c, fmt, ap), x, y);
  va_end(ap);
  return value_error();
}

bool arg_int(call *c, size_t i, int64_t *out) {
  if (c->arg[i].kind != V_int) return arg_fail(c, i, "an integer"), false;
  *out = c->arg[i].v.i;
  return true;
}

bool arg_positive(call *c, size_t i, int64_t *out) {
  if (c->arg[i].kind != V_int || c->arg[i].v.i < 1) return arg_fail(c, i, "a positive integer"), false;
  *out = c->arg[i].v.i;
  return true;
}

bool arg_float(call *c, size_t i, double *out) {
  if (!value_is_number(c->arg[i])) return arg_fail(c, i, "a number"), false;
  *out = c->arg[i].kind == V_int ? (double)c->arg[i].v.i : c->arg[i].v.f;
  return true;
}

bool arg_bool(call *c, size_t i, bool *out) {
  if (c->arg[i].kind != V_bool) return arg_fail(c, i, "True or False"), false;
  *out = c->arg[i].v.i != 0;
  return true;
}

bool arg_string(call *c, size_t i, str *out) {
  if (c->arg[i].kind != V_string) return arg_fail(c, i, "a string"), false;
  *out = c->arg[i].v.s;
  return true;
}

bool arg_dtype(call *c, size_t i, dtype *out) {
  if (c->arg[i].kind != V_dtype) return arg_fail(c, i, "a type such as f32"), false;
  *out = c->arg[i].v.dt;
  return true;
}

bool arg_tensor(call *c, size_t i, ir_value **out) {
  value v = c->arg[i];
  bool fits = v.kind == V_tensor || v.kind == V_table || v.kind == V_size || value_is_number(v) || v.kind == V_bool;
  if (!fits) return arg_fail(c, i, "a tensor"), false;
  *out = elab_tensor(c->e, v, DT_COUNT, c->at[i]);
  return *out != NULL;
}

bool arg_float_tensor(call *c, size_t i, ir_value **out) {
  if (!arg_tensor(c, i, out)) return false;
  if (!dtype_is_float((*out)->type.dt)) return arg_fail(c, i, "a tensor of floats"), false;
  return true;
}

static bool axis_of(call *c, size_t i, value v, uint32_t rank, int64_t *out) {
  if (v.kind != V_int) return arg_fail(c, i, "an integer"), false;
  int64_t axis = v.v.i < 0 ? v.v.i + rank : v.v.i;
  if (axis < 0 || axis >= rank) {
    diag *d = elab_error(c->e, c->at[i], axis_range, c->fn->name, (long long)v.v.i, rank);
    elab_note_origin(c->e, d, c->arg[0]);
    return false;
  }
  *out = axis;
  return true;
}

bool arg_axis(call *c, size_t i, uint32_t rank, uint32_t *out) {
  int64_t axis;
  if (!axis_of(c, i, c->arg[i], rank, &axis)) return false;
  *out = (uint32_t)axis;
  return true;
}

bool arg_axes(call *c, size_t i, uint32_t rank, size_t *n, int64_t *out) {
  value v = c->arg[i];
  *n = 0;
  if (v.kind == V_none) {
    while (*n < rank) out[*n] = (int64_t)*n, ++*n;
    return true;
  }
  size_t k = v.kind == V_tuple ? v.v.tuple->n : 1;
  for (size_t j = 0; j < k; j++) {
    int64_t axis;
    if (!axis_of(c, i, v.kind == V_tuple ? v.v.tuple->at[j] : v, rank, &axis)) return false;
    size_t at = *n; // in order, for the operators want them so
    for (; at > 0 && out[at - 1] >= axis; at--) {
      if (out[at - 1] == axis) return call_fail(c, "axis %lld is given twice", (long long)axis), false;
      out[at] = out[at - 1];
    }
    out[at] = axis;
    ++*n;
  }
  return true;
}

static bool add_sizes(call *c, size_t i, value v, uint32_t *n, const idx **out) {
  if (v.kind == V_tuple || v.kind == V_table) {
    size_t k = v.kind == V_tuple ? v.v.tuple->n : v.v.table->n;
    for (size_t j = 0; j < k; j++) {
      if (!add_sizes(c, i, v.kind == V_tuple ? v.v.tuple->at[j] : value_table_at(v.v.table, j), n, out)) return false;
    }
    return true;
  }
  if (!value_is_integer(v)) {
    diag *d = elab_error(c->e, c->at[i], size_kind, c->fn->name, value_describe(c->e->a, v));
    if (elab_is_data(v))
      diag_note_to(c->e->l, d, "declare it under `dims:`; the step that sets it then gives the size");
    return false;
  }
  if (*n == IR_MAX_RANK) {
    elab_error(c->e, c->span, too_many_dims, (size_t)*n + 1, (int)IR_MAX_RANK);
    return false;
  }
  out[(*n)++] = value_idx(c->e->m->ix, v);
  return true;
}

bool arg_sizes(call *c, size_t i, uint32_t *n, const idx **out) {
  *n = 0;
  return add_sizes(c, i, c->arg[i], n, out);
}

bool arg_ints(call *c, size_t i, size_t n, int64_t *out) {
  value v = c->arg[i];
  if (v.kind == V_int) {
    for (size_t k = 0; k < n; k++) out[k] = v.v.i;
    return true;
  }
  const char *expected = str_fmt(c->e->a, "an integer or a tuple of %zu integers", n);
  if (v.kind != V_tuple || v.v.tuple->n != n) return arg_fail(c, i, expected), false;
  for (size_t k = 0; k < n; k++) {
    if (v.v.tuple->at[k].kind != V_int) return arg_fail(c, i, expected), false;
    out[k] = v.v.tuple->at[k].v.i;
  }
  return true;
}
