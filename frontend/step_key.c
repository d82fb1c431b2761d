// Keys of steps: `a, b@scope`, `update x[i]`, `return@out`, `for`, `if`, `elif`, `else`, `loop`, `while`, `when`.
//
// A scope is read from the bytes, not from tokens: its text has no blanks and other characters than names, and only
// what stands in its braces is an expression.
#include "frontend/grammar.h"
#include "base/utf8.h"

#include <string.h>

static bool is_scope_text(char c) { return lex_is_name_char(c) || c == '.' || c == '-'; }

static void describe_scope(lexer *x, diag *d) {
  diag_note_to(
      x->l, d,
      "a scope is letters, digits, `_`, `-`, `.` between its parts, and `{expression}`; `@.` is the own scope");
  lex_stop(x);
}

// A `.` at either end, or two in a row, would make a part without a name.
static void check_parts(lexer *x, const ast_scope *scope) {
  for (size_t k = 0; k < scope->pieces.n; k++) {
    str text = scope->pieces.at[k].text;
    for (size_t i = 0; i < text.n; i++) {
      bool first = k == 0 && i == 0, last = k + 1 == scope->pieces.n && i + 1 == text.n;
      if (text.p[i] != '.' || !(first || last || (i + 1 < text.n && text.p[i + 1] == '.'))) continue;
      uint32_t at = scope->pieces.at[k].span.begin + (uint32_t)i;
      describe_scope(x, diag_at(x->l, lex_span(x, at, at + 1), syntax_scope_part));
      return;
    }
  }
}

static bool brace(lexer *x, ast_scope *scope, uint32_t *at) {
  diag_span piece = lex_span(x, *at, *at + 1);
  lex_resume(x, *at + 1);
  ast_expr *e = expr_parse(x);
  if (!e) return false;
  if (!lex_is(x, "}")) {
    lex_expected(x, "`}`");
    return false;
  }
  *at = piece.end = x->now.span.end;
  vec_reserve(x->a, &scope->pieces, scope->pieces.n + 1);
  scope->pieces.at[scope->pieces.n].text = (str){"", 0};
  scope->pieces.at[scope->pieces.n].expr = e;
  scope->pieces.at[scope->pieces.n++].span = piece;
  return true;
}

static void text_piece(lexer *x, ast_scope *scope, uint32_t *at) {
  uint32_t begin = *at;
  while (*at < x->end && is_scope_text(x->p[*at])) ++*at;
  vec_reserve(x->a, &scope->pieces, scope->pieces.n + 1);
  scope->pieces.at[scope->pieces.n].text = (str){x->p + begin, *at - begin};
  scope->pieces.at[scope->pieces.n].expr = NULL;
  scope->pieces.at[scope->pieces.n++].span = lex_span(x, begin, *at);
}

// With `@` ahead.
static bool scope_at(lexer *x, ast_scope *scope) {
  uint32_t at = x->now.span.end;
  scope->present = true;
  scope->span = x->now.span;
  while (at < x->end && (is_scope_text(x->p[at]) || x->p[at] == '{')) {
    if (x->p[at] != '{') text_piece(x, scope, &at);
    else if (!brace(x, scope, &at)) return false;
  }
  scope->span.end = at;
  bool blank_or_end = at >= x->end || strchr(" \t\r\n,", x->p[at]);
  if (!blank_or_end) {
    uint32_t n = (uint32_t)utf8_length((str){x->p + at, x->end - at});
    const char *found = str_dup(x->a, (str){x->p + at, n});
    describe_scope(x, diag_at(x->l, lex_span(x, at, at + n), syntax_scope, found));
    return false;
  }
  if (!scope->pieces.n) {
    describe_scope(x, diag_at(x->l, scope->span, syntax_expected, "a scope after `@`", "nothing"));
    return false;
  }
  scope->own = scope->pieces.n == 1 && str_is(scope->pieces.at[0].text, ".");
  if (scope->own) scope->pieces.n = 0;
  else check_parts(x, scope);
  lex_resume(x, at);
  return !x->failed;
}

static void add_name(lexer *x, ast_step *s, const char *what) {
  ast_name name;
  name.text = lex_want_name(x, what, &name.span);
  for (size_t i = 0; i < s->names.n && !x->failed; i++) {
    if (!str_eq(s->names.at[i].text, name.text) || str_is(name.text, "_")) continue;
    diag_at(x->l, name.span, syntax_name_twice, str_dup(x->a, name.text));
    lex_stop(x);
  }
  vec_push(x->a, &s->names, name);
}

static void name_list(lexer *x, ast_step *s, const char *what) {
  do add_name(x, s, what);
  while (!x->failed && lex_take(x, ","));
}

static void update_key(lexer *x, ast_step *s) {
  diag_span span = x->now.span;
  add_name(x, s, "the name to update");
  if (!lex_is(x, "[")) return;
  ast_expr *name = expr_new(x, EX_name, span);
  name->text = s->names.at[0].text;
  s->target = expr_parse_index(x, name);
}

static void loop_key(lexer *x, ast_step *s) {
  add_name(x, s, "a name");
  if (!lex_want(x, "in")) return;
  s->expr = expr_parse(x);
  if (!s->expr || (s->expr->kind == EX_call && str_is(s->expr->text, "range"))) return;
  diag *d = diag_at(x->l, s->expr->span, syntax_loop_range);
  diag_note_to(x->l, d, "`for` walks over other things, and is unrolled by the compiler");
  lex_stop(x);
}

static void while_key(lexer *x, ast_step *s) {
  s->expr = expr_parse(x);
  if (!s->expr) return;
  bool bounded = lex_take(x, ",") && lex_is(x, "max");
  if (!bounded && !x->failed) {
    diag *d = diag_at(x->l, s->span, syntax_while_bound);
    diag_note_to(x->l, d, "`while condition, max turns:`");
    lex_stop(x);
    return;
  }
  lex_next(x);
  s->limit = expr_parse(x);
}

static void bind_key(lexer *x, ast_step *s) {
  name_list(x, s, "a name");
  if (lex_is(x, "@")) scope_at(x, &s->scope);
}

typedef struct keyword {
  const char *text;
  ast_step_kind kind;
  step_word word;
} keyword;

static const keyword keywords[] = {
    {"update", ST_update, STEP_plain}, {"return", ST_return, STEP_plain}, {"for", ST_for, STEP_plain},
    {"if", ST_if, STEP_plain},         {"elif", ST_if, STEP_elif},        {"else", ST_if, STEP_else},
    {"loop", ST_loop, STEP_plain},     {"while", ST_while, STEP_plain},   {"when", ST_when, STEP_plain},
};

bool grammar_step_key(lexer *x, ast_step *s, step_word *word) {
  *word = STEP_plain;
  s->kind = ST_bind;
  s->span = lex_span(x, x->begin, x->end);
  const keyword *k = NULL;
  for (size_t i = 0; i < sizeof keywords / sizeof *keywords && !k; i++) {
    if (lex_is(x, keywords[i].text)) k = &keywords[i];
  }
  if (!k) {
    bind_key(x, s);
    return lex_want_end(x);
  }
  s->kind = k->kind;
  *word = k->word;
  lex_next(x);
  switch (k->kind) {
  case ST_update: update_key(x, s); break;
  case ST_return:
    if (lex_is(x, "@")) scope_at(x, &s->scope);
    break;
  case ST_for:
    name_list(x, s, "a name");
    if (lex_want(x, "in")) s->expr = expr_parse(x);
    break;
  case ST_loop: loop_key(x, s); break;
  case ST_while: while_key(x, s); break;
  case ST_if:
  case ST_when:
    if (k->word == STEP_else && lex_is(x, "if")) {
      diag_at(x->l, s->span, syntax_spelling, "else if", "elif");
      lex_stop(x);
    } else if (k->word != STEP_else) {
      s->expr = expr_parse(x);
    }
    break;
  case ST_bind: break;
  }
  return lex_want_end(x);
}
