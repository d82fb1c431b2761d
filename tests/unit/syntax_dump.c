#include "syntax_dump.h"

static void span(strbuf *out, diag_span s, uint32_t base) { sb_fmt(out, "[%u,%u)", s.begin - base, s.end - base); }

static void label(strbuf *out, const ast_expr *e) {
  switch (e->kind) {
  case EX_int: sb_fmt(out, "%lld", (long long)e->i); break;
  case EX_float: sb_f64(out, e->f); break;
  case EX_string: sb_quoted(out, e->text); break;
  case EX_bool: sb_z(out, e->i ? "True" : "False"); break;
  case EX_none: sb_z(out, "None"); break;
  case EX_dtype: sb_fmt(out, "<%s>", dtype_name(e->dt)); break;
  case EX_name: sb_fmt(out, STR_FMT, STR_ARG(e->text)); break;
  case EX_tuple: sb_z(out, "tuple"); break;
  case EX_list: sb_z(out, "list"); break;
  case EX_call: sb_fmt(out, "call:" STR_FMT, STR_ARG(e->text)); break;
  case EX_index: sb_z(out, "index"); break;
  case EX_slice: sb_z(out, "slice"); break;
  case EX_ellipsis: sb_z(out, "..."); break;
  case EX_unary:
  case EX_binary: sb_fmt(out, "`" STR_FMT "`", STR_ARG(e->text)); break;
  case EX_if: sb_z(out, "if"); break;
  }
}

static void children(strbuf *out, const ast_expr *e, uint32_t base) {
  const ast_expr *direct[] = {e->left, e->right, e->third};
  bool any = false, slots = e->kind == EX_slice;
  sb_char(out, '(');
  for (size_t i = 0; i < 3; i++) {
    if (!direct[i] && !slots) continue;
    if (any) sb_char(out, ' ');
    any = true;
    if (direct[i]) dump_expr(out, direct[i], base);
    else sb_char(out, '-');
  }
  for (size_t i = 0; i < e->items.n; i++) {
    if (any) sb_char(out, ' ');
    any = true;
    dump_expr(out, e->items.at[i], base);
  }
  for (size_t i = 0; i < e->named.n; i++) {
    sb_fmt(out, "%s" STR_FMT, any ? " " : "", STR_ARG(e->named.at[i].name));
    any = true;
    span(out, e->named.at[i].name_span, base);
    sb_char(out, '=');
    dump_expr(out, e->named.at[i].value, base);
  }
  sb_char(out, ')');
}

void dump_expr(strbuf *out, const ast_expr *e, uint32_t base) {
  if (!e) {
    sb_char(out, '-');
    return;
  }
  label(out, e);
  span(out, e->span, base);
  bool own_op = e->op_span.begin != e->span.begin || e->op_span.end != e->span.end;
  if (own_op) sb_fmt(out, "!%u,%u", e->op_span.begin - base, e->op_span.end - base);
  bool inner = e->left || e->right || e->third || e->items.n || e->named.n;
  bool holder = e->kind == EX_call || e->kind == EX_tuple || e->kind == EX_list || e->kind == EX_slice;
  if (inner || holder) children(out, e, base);
}

static void dump_step(strbuf *out, const ast_step *s, uint32_t base) {
  static const char *const kinds[] = {"bind", "update", "return", "for", "if", "loop", "while", "when"};
  sb_z(out, kinds[s->kind]);
  span(out, s->span, base);
  for (size_t i = 0; i < s->names.n; i++) {
    sb_fmt(out, " " STR_FMT, STR_ARG(s->names.at[i].text));
    span(out, s->names.at[i].span, base);
  }
  if (s->scope.present) {
    sb_fmt(out, " @%s", s->scope.own ? "own" : "");
    span(out, s->scope.span, base);
    for (size_t i = 0; i < s->scope.pieces.n; i++) {
      sb_char(out, '|');
      if (s->scope.pieces.at[i].expr) dump_expr(out, s->scope.pieces.at[i].expr, base);
      else sb_fmt(out, STR_FMT, STR_ARG(s->scope.pieces.at[i].text));
      span(out, s->scope.pieces.at[i].span, base);
    }
  }
  const ast_expr *parts[] = {s->target, s->expr, s->limit};
  static const char *const names[] = {" target=", " = ", " max="};
  for (size_t i = 0; i < 3; i++) {
    if (!parts[i]) continue;
    sb_z(out, names[i]);
    dump_expr(out, parts[i], base);
  }
  if (s->body.n) dump_steps(out, &s->body, base);
  for (size_t i = 0; i < s->elifs.n; i++) {
    sb_z(out, " elif");
    span(out, s->elifs.at[i].span, base);
    sb_char(out, ' ');
    dump_expr(out, s->elifs.at[i].cond, base);
    dump_steps(out, &s->elifs.at[i].body, base);
  }
  if (s->has_else) {
    sb_z(out, " else");
    dump_steps(out, &s->otherwise, base);
  }
}

void dump_steps(strbuf *out, const ast_steps *steps, uint32_t base) {
  sb_z(out, " {");
  for (size_t i = 0; i < steps->n; i++) {
    if (i) sb_z(out, "; ");
    dump_step(out, steps->at[i], base);
  }
  sb_char(out, '}');
}
