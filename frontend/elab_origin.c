// Origins: where a value that takes part in a clash comes from, as a note under the message.
//
//   m.yaml:12:6: error: shapes [n, 16] and [n, 8] do not broadcast: 16 against 8 in dim -1
//      12 | - z: x + y
//         |      ^~~~~
//         = f32[n, 16] comes from m.yaml:8:9, `linear(a, 16)`
//         = f32[n, 8] comes from m.yaml:9:9, `linear(a, 8)`
//
// A tensor that a node computes comes from the user's expression that made the node; `elab_comes_from` tells of the
// others: inputs, states, what a loop carries, tables. Numbers and sizes have no place of their own: they stand in the
// expression that clashes, or are dims, which have names.
#include "base/utf8.h"
#include "frontend/elab.h"

enum { MAX_QUOTED = 60 }; // bytes of an expression

// What an origin is kept under; NULL: nothing.
static const void *key_of(value v) {
  return v.kind == V_tensor ? (const void *)v.v.tensor : v.kind == V_table ? (const void *)v.v.table : NULL;
}

void elab_comes_from(elab *e, value v, diag_span at) {
  const void *key = key_of(v);
  if (!key || !at.file || map_get_ptr(e->origins, key)) return;
  diag_span *kept = ARENA_NEW(e->a, diag_span);
  *kept = at;
  map_put_ptr(e->origins, key, kept);
}

diag_span elab_origin(const elab *e, value v) {
  const void *key = key_of(v);
  const diag_span *kept = key ? map_get_ptr(e->origins, key) : NULL;
  if (kept) return *kept;
  const ir_node *n = v.kind == V_tensor ? v.v.tensor->def : NULL;
  return n && n->spans.n ? n->spans.at[n->spans.n - 1] : NO_SPAN; // of equal expressions the one that came last
}

// The source text of a span: of its first line, so much as a note has room for.
static const char *quoted(elab *e, diag_span at) {
  str file = e->l->files.at[at.file - 1].text, s = {file.p + at.begin, at.end - at.begin};
  size_t n = 0;
  while (n < s.n && n < MAX_QUOTED && s.p[n] != '\n') n += utf8_length((str){s.p + n, s.n - n});
  return str_fmt(e->a, "%.*s%s", (int)n, s.p, n < s.n ? " ..." : "");
}

void elab_note_place(elab *e, diag *d, const char *what, diag_span at) {
  const char *file;
  uint32_t line, column;
  diag_position(e->l, at, &file, &line, &column);
  if (file) diag_note_to(e->l, d, "%s %s:%u:%u, `%s`", what, file, line, column, quoted(e, at));
}

void elab_note_origin(elab *e, diag *d, value v) {
  diag_span at = elab_origin(e, v);
  const char *what = value_describe(e->a, v);
  bool here = at.file == d->span.file && at.begin == d->span.begin && at.end == d->span.end;
  if (here && at.file) diag_note_to(e->l, d, "%s is computed here", what);
  else elab_note_place(e, d, str_fmt(e->a, "%s comes from", what), at);
}

void elab_note_origins(elab *e, diag *d, value a, value b) {
  elab_note_origin(e, d, a);
  elab_note_origin(e, d, b);
}

diag_span elab_decl_span(const ast_decl *x) {
  return (diag_span){x->name.span.file, x->name.span.begin, x->type.span.end};
}

diag_span elab_dim_span(const ast_dim *x) {
  return (diag_span){x->name.span.file, x->name.span.begin, x->step ? x->step->span.end : x->hi->span.end};
}
