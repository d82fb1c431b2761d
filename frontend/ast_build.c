// Checks and readings that every section uses.
#include "frontend/ast_build.h"
#include "base/utf8.h"

#include <string.h>

lexer build_lexer(builder *b, diag_span of) {
  lexer x;
  lex_init(&x, b->a, b->l, b->file, of.begin, of.end);
  return x;
}

static str raw(const builder *b, diag_span s) { return (str){b->text.p + s.begin, s.end - s.begin}; }

// One line of the source, cut short, for a message.
static const char *excerpt(builder *b, diag_span s) {
  enum { SHOWN = 40 };
  str t = raw(b, s);
  size_t n = 0;
  while (n < t.n && n < SHOWN && t.p[n] != '\n' && t.p[n] != '\r') n += utf8_length((str){t.p + n, t.n - n});
  return str_fmt(b->a, "`%.*s%s`", (int)n, t.p, n < t.n ? "..." : "");
}

static bool is_empty(const ynode *n) { return n->kind == YN_scalar && n->span.begin == n->span.end; }

static void report_empty(builder *b, const ynode *value, const ynode *key, const char *what) {
  diag_span at = key ? key->span : value->span;
  str name = key ? raw(b, key->span) : STR("-");
  diag *d = diag_at(b->l, at, yaml_empty, str_dup(b->a, name), what);
  uint32_t colon = at.end, hash;
  while (colon < b->text.n && (b->text.p[colon] == ' ' || b->text.p[colon] == ':')) colon++;
  if (colon > at.end && lex_comment_after(b->text, colon - 1, &hash))
    diag_note_to(b->l, d, "`#` after a space begins a comment");
}

bool build_want(builder *b, const ynode *value, ynode_kind kind, const ynode *key, const char *what) {
  if (value->kind == YN_broken || (key && key->kind == YN_broken)) return false;
  if (is_empty(value)) {
    report_empty(b, value, key, what);
    return false;
  }
  if (value->kind == kind) {
    if (!value->flow) return true;
    const char *name = key ? str_fmt(b->a, "`%.*s`", STR_ARG(raw(b, key->span))) : what;
    diag_span bracket = {b->file, value->span.begin, value->span.begin + 1};
    diag *d = diag_at(b->l, bracket, yaml_flow_style, name, kind == YN_map ? "{}" : "[]");
    diag_note_to(b->l, d, "only `config` may be in flow style: write one entry a line");
    return false;
  }
  if (value->kind == YN_scalar) {
    diag *d = diag_at(b->l, value->span, syntax_expected, what, excerpt(b, value->span));
    str t = raw(b, value->span);
    if (kind == YN_map && memchr(t.p, ':', t.n)) diag_note_to(b->l, d, "there must be a space after the colon");
    return false;
  }
  bool list = value->kind == YN_list;
  uint32_t at = value->span.begin;
  diag *d =
      diag_at(b->l, ((diag_span){b->file, at, at + 1}), syntax_expected, what, list ? "a YAML list" : "a YAML map");
  if (list && strcmp(what, "an expression") == 0) diag_note_to(b->l, d, "tuples are written `(a, b)`");
  return false;
}

bool build_name(builder *b, const ynode *key, const char *what, ast_name *out) {
  if (!build_want(b, key, YN_scalar, NULL, what)) return false;
  str text = raw(b, key->span);
  if (memchr(text.p, ':', text.n)) {
    diag *d = diag_at(b->l, key->span, yaml_pair);
    diag_note_to(b->l, d, "there must be a space after the colon");
    return false;
  }
  lexer x = build_lexer(b, key->span);
  out->text = lex_want_name(&x, what, &out->span);
  return lex_want_end(&x);
}

// Would the text between the quotes do something as an expression?
static bool is_quoted_expression(builder *b, const ynode *n) {
  if (!n->quote || n->span.end - n->span.begin < 2) return false;
  diag_list unheard;
  diag_init(&unheard, b->a);
  uint32_t file = diag_add_file(&unheard, "", b->text);
  lexer x;
  lex_init(&x, b->a, &unheard, file, n->span.begin + 1, n->span.end - 1);
  ast_expr *e = expr_parse_whole(&x);
  if (!e) return false;
  return e->kind == EX_call || e->kind == EX_index || e->kind == EX_binary || e->kind == EX_if || e->kind == EX_tuple;
}

ast_expr *build_expr(builder *b, const ynode *key, const ynode *value, bool strings) {
  if (!build_want(b, value, YN_scalar, key, "an expression")) return NULL;
  if (!strings && is_quoted_expression(b, value)) {
    diag *d = diag_at(b->l, value->span, yaml_quoted);
    diag_note_to(b->l, d, "write it without the quotes");
    return NULL;
  }
  lexer x = build_lexer(b, value->span);
  return expr_parse_whole(&x);
}

bool build_text(builder *b, const ynode *key, const ynode *value, const char *what, str *out) {
  if (!build_want(b, value, YN_scalar, key, what)) return false;
  *out = value->text;
  return true;
}

void build_unknown_key(builder *b, const ynode *key, const char *owner, const char *const *known, size_t n) {
  str name = raw(b, key->span);
  const char *shown = str_dup(b->a, name);
  diag *d =
      owner ? diag_at(b->l, key->span, section_key, owner, shown) : diag_at(b->l, key->span, section_unknown, shown);
  const char *meant = str_suggest(name, known, n);
  if (meant) {
    diag_note_to(b->l, d, "did you mean `%s`?", meant);
    return;
  }
  strbuf all;
  sb_init(&all, b->a);
  for (size_t i = 0; i < n; i++) sb_fmt(&all, "%s`%s`", i ? ", " : "", known[i]);
  diag_note_to(b->l, d, "it is one of %s", sb_cstr(&all));
}
