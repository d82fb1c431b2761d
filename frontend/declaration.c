// Block headers, types, dims and signatures of custom operators.
#include "frontend/grammar.h"

// What other frameworks call the types.
typedef struct type_alias {
  const char *found;
  dtype dt;
} type_alias;

static const type_alias type_aliases[] = {
    {"float", DT_f32},   {"float32", DT_f32},   {"single", DT_f32}, {"half", DT_f16},
    {"float16", DT_f16}, {"bfloat16", DT_bf16}, {"double", DT_f64}, {"float64", DT_f64},
    {"int", DT_i32},     {"int32", DT_i32},     {"long", DT_i64},   {"int64", DT_i64},
    {"int8", DT_i8},     {"uint8", DT_u8},      {"byte", DT_u8},    {"boolean", DT_bool},
};

static void unknown_type(lexer *x) {
  token t = x->now;
  const char *meant = NULL;
  for (size_t i = 0; i < sizeof type_aliases / sizeof *type_aliases; i++) {
    if (str_is(t.text, type_aliases[i].found)) meant = dtype_name(type_aliases[i].dt);
  }
  const char *names[DT_COUNT];
  for (int i = 0; i < DT_COUNT; i++) names[i] = dtype_name((dtype)i);
  if (!meant) meant = str_suggest(t.text, names, DT_COUNT);
  diag *d = diag_at(x->l, t.span, syntax_type, str_dup(x->a, t.text));
  if (meant) diag_note_to(x->l, d, "did you mean `%s`?", meant);
  else diag_note_to(x->l, d, "the types are f64 f32 f16 bf16 i64 i32 i8 u8 bool");
  lex_stop(x);
}

static bool dtype_ahead(lexer *x, dtype *dt) {
  if (x->now.kind != TK_name) {
    lex_expected(x, "a type");
    return false;
  }
  if (!dtype_parse(x->now.text, dt)) {
    unknown_type(x);
    return false;
  }
  lex_next(x);
  return !x->failed;
}

bool grammar_type(lexer *x, ast_type *t) {
  t->span = lex_span(x, x->begin, x->end);
  if (!dtype_ahead(x, &t->dt)) return false;
  if (lex_take(x, "[")) {
    t->has_dims = true;
    if (!lex_is(x, "]")) {
      do {
        ast_expr *e = expr_parse(x);
        if (!e) return false;
        vec_push(x->a, &t->dims, e);
      } while (lex_take(x, ","));
    }
    if (!lex_is(x, "]")) lex_expected(x, "`,` or `]`");
    lex_next(x);
  }
  t->span.end = x->last_end;
  if (lex_take(x, "=")) t->dflt = expr_parse(x);
  return lex_want_end(x);
}

bool grammar_dim(lexer *x, ast_dim *d) {
  d->lo = expr_parse(x);
  if (!d->lo) return false;
  if (!lex_is(x, "..")) {
    if (x->now.kind == TK_end) {
      diag *g = diag_at(x->l, d->lo->span, syntax_expected, "a range", "one value");
      diag_note_to(x->l, g, "a dim is `low..high` or `low..high step n`; a fixed size stands in `config` or `let`");
      lex_stop(x);
    } else {
      lex_expected(x, "`..`");
    }
    return false;
  }
  lex_next(x);
  d->hi = expr_parse(x);
  if (d->hi && lex_take(x, "step")) d->step = expr_parse(x);
  return lex_want_end(x);
}

bool grammar_block_header(lexer *x, ast_block *b) {
  b->name = lex_want_name(x, "the name of a block", NULL);
  b->span = lex_span(x, x->begin, x->end);
  if (x->failed) return false;
  if (!lex_is(x, "(")) {
    diag *d = diag_at(x->l, b->span, syntax_block);
    diag_note_to(x->l, d, "write `%.*s(x):`, or `%.*s():` if it takes nothing", STR_ARG(b->name), STR_ARG(b->name));
    lex_stop(x);
    return false;
  }
  lex_next(x);
  while (!lex_is(x, ")")) {
    ast_param p = {0};
    p.name = lex_want_name(x, b->params.n ? "a parameter" : "a parameter or `)`", &p.span);
    if (lex_take(x, "=")) p.dflt = expr_parse(x);
    for (size_t i = 0; i < b->params.n && !x->failed; i++) {
      if (!str_eq(b->params.at[i].name, p.name)) continue;
      diag_at(x->l, p.span, syntax_name_twice, str_dup(x->a, p.name));
      lex_stop(x);
    }
    if (!x->failed && !p.dflt && b->params.n && vec_last(&b->params).dflt) {
      diag_at(x->l, p.span, syntax_param_order, str_dup(x->a, p.name));
      lex_stop(x);
    }
    if (x->failed) return false;
    vec_push(x->a, &b->params, p);
    if (!lex_is(x, ",") && !lex_is(x, ")")) lex_expected(x, "`,` or `)`");
    if (lex_take(x, ",") && lex_is(x, ")")) lex_expected(x, "a parameter");
    if (x->failed) return false;
  }
  lex_next(x);
  return lex_want_end(x);
}

// `[names]`, or nothing: then *dims stays without a pointer, and the argument is a scalar.
static void dim_names(lexer *x, str *dims) {
  *dims = (str){NULL, 0};
  if (!lex_is(x, "[")) return;
  uint32_t begin = x->now.span.end;
  lex_next(x);
  do {
    // A number is a fixed size; a name is bound by the first argument that has it.
    if (x->now.kind == TK_int) lex_next(x);
    else lex_want_name(x, "the name of a dim", NULL);
  } while (!x->failed && lex_take(x, ","));
  if (!lex_is(x, "]")) lex_expected(x, "`,` or `]`");
  *dims = (str){x->p + begin, x->now.span.begin - begin};
  lex_next(x);
}

enum { MAX_ARGUMENTS = 64 }; // of a custom operator

static void signature_parameter(lexer *x, ast_custom_op *op) {
  size_t n = op->params.n;
  if (n == MAX_ARGUMENTS) {
    diag_at(x->l, x->now.span, syntax_too_many, MAX_ARGUMENTS, "arguments");
    lex_stop(x);
    return;
  }
  vec_reserve(x->a, &op->params, n + 1);
  op->params.at[n].dflt = NULL;
  if (!dtype_ahead(x, &op->params.at[n].dt)) return;
  dim_names(x, &op->params.at[n].dims);
  if (x->failed) return;
  ast_name *name = &op->params.at[n].name;
  name->text = lex_want_name(x, "the name of an argument", &name->span);
  for (size_t i = 0; i < n && !x->failed; i++) {
    if (!str_eq(op->params.at[i].name.text, name->text)) continue;
    diag_at(x->l, name->span, syntax_name_twice, str_dup(x->a, name->text));
    lex_stop(x);
  }
  if (lex_take(x, "=")) op->params.at[n].dflt = expr_parse(x);
  if (!x->failed) op->params.n = n + 1;
}

bool grammar_signature(lexer *x, ast_custom_op *op) {
  op->span = lex_span(x, x->begin, x->end);
  if (!lex_want(x, "(")) return false;
  if (!lex_is(x, ")")) {
    do signature_parameter(x, op);
    while (!x->failed && lex_take(x, ","));
  }
  if (!lex_is(x, ")")) lex_expected(x, "`,` or `)`");
  lex_next(x);
  if (!lex_want(x, "->")) return false;
  do {
    size_t n = op->results.n;
    vec_reserve(x->a, &op->results, n + 1);
    if (!dtype_ahead(x, &op->results.at[n].dt)) return false;
    dim_names(x, &op->results.at[n].dims);
    op->results.n = n + 1;
  } while (!x->failed && lex_take(x, ","));
  return lex_want_end(x);
}
