// Lists of steps.
//
// A step is a map of one pair; `if` and `when` take `elif` and `else` as further keys of the same item.
#include "frontend/ast_build.h"

#include <string.h>

static void step_mistake(builder *b, const ynode *item) {
  str text = {b->text.p + item->span.begin, item->span.end - item->span.begin};
  diag *d = diag_at(b->l, item->span, syntax_step);
  bool colon = memchr(text.p, ':', text.n) != NULL;
  diag_note_to(b->l, d, "write `- name: expression`%s", colon ? "; there must be a space after the colon" : "");
}

static void quoted_key(builder *b, const ynode *key) {
  diag *d = diag_at(b->l, key->span, yaml_quoted);
  diag_note_to(b->l, d, "write it without the quotes");
}

static void continuation_mistake(builder *b, const ynode *key, const char *word, bool when) {
  diag *d = diag_at(b->l, key->span, syntax_stray_else, word, when ? "`if`" : "`if` or `when`");
  if (when) diag_note_to(b->l, d, "branches of `when` nest: put a `when` under its `else`");
  else diag_note_to(b->l, d, "it is a key of the item of its `if`: without a dash, aligned with the `if`");
}

// A key of the item after the first.
static void continuation(builder *b, const ynode *key, const ynode *value, ast_step *s) {
  ast_step part = {0};
  step_word word;
  lexer x = build_lexer(b, key->span);
  if (!grammar_step_key(&x, &part, &word)) return;
  if (word == STEP_plain || (s->kind != ST_if && s->kind != ST_when)) {
    if (word != STEP_plain) {
      continuation_mistake(b, key, word == STEP_elif ? "elif" : "else", false);
      return;
    }
    diag *d = diag_at(b->l, key->span, syntax_one_step);
    diag_note_to(b->l, d, "every step begins with its own `- `");
  } else if (word == STEP_elif && s->kind == ST_when) {
    continuation_mistake(b, key, "elif", true);
  } else if (s->has_else) { // a second `else` is a duplicate key, reported as such
    if (word == STEP_elif) diag_at(b->l, key->span, syntax_after_else);
  } else if (word == STEP_elif) {
    size_t n = s->elifs.n;
    vec_reserve(b->a, &s->elifs, n + 1);
    memset(&s->elifs.at[n], 0, sizeof s->elifs.at[n]);
    s->elifs.at[n].cond = part.expr;
    s->elifs.at[n].span = key->span;
    s->elifs.n = n + 1;
    build_steps(b, key, value, &s->elifs.at[n].body);
  } else {
    s->has_else = true;
    build_steps(b, key, value, &s->otherwise);
  }
}

static bool holds_steps(ast_step_kind kind) { return kind != ST_bind && kind != ST_update && kind != ST_return; }

static void step(builder *b, const ynode *item, ast_steps *out) {
  const ynode *key = item->pairs.at[0].key, *value = item->pairs.at[0].value;
  if (key->kind == YN_broken) return;
  if (!build_want(b, key, YN_scalar, NULL, "a name")) return;
  if (key->quote) {
    quoted_key(b, key);
    return;
  }
  ast_step *s = ARENA_NEW(b->a, ast_step);
  step_word word;
  lexer x = build_lexer(b, key->span);
  if (!grammar_step_key(&x, s, &word)) return;
  if (word != STEP_plain) {
    continuation_mistake(b, key, word == STEP_elif ? "elif" : "else", false);
    return;
  }
  if (holds_steps(s->kind)) build_steps(b, key, value, &s->body);
  else s->expr = build_expr(b, key, value, false);
  for (size_t i = 1; i < item->pairs.n; i++) {
    const ynode *more = item->pairs.at[i].key;
    if (more->kind != YN_broken && build_want(b, more, YN_scalar, NULL, "`elif` or `else`")) {
      continuation(b, more, item->pairs.at[i].value, s);
    }
  }
  vec_push(b->a, out, s);
}

void build_steps(builder *b, const ynode *key, const ynode *value, ast_steps *out) {
  if (!build_want(b, value, YN_list, key, "a list of steps")) return;
  for (size_t i = 0; i < value->items.n; i++) {
    const ynode *item = value->items.at[i];
    if (item->kind == YN_broken) continue;
    if (item->kind != YN_map) step_mistake(b, item);
    else if (build_want(b, item, YN_map, NULL, "a step") && item->pairs.n) step(b, item, out);
  }
}
