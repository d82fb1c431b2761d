// The `rename` section: patterns of checkpoint names on the left, our names or a transformation on the right.
#include "frontend/ast_build.h"
#include "frontend/rename.h"
#include "ir/graph.h"

#include <string.h>

typedef struct form {
  const char *name;
  ast_rename_kind kind;
} form;

static const form forms[] = {
    {"transpose", RN_transpose}, {"permute", RN_permute}, {"split", RN_split}, {"concat", RN_concat}};

static diag_span trimmed(const builder *b, uint32_t begin, uint32_t end) {
  const char *p = b->text.p;
  while (begin < end && strchr(" \t\r\n", p[begin])) begin++;
  while (end > begin && strchr(" \t\r\n", p[end - 1])) end--;
  return (diag_span){b->file, begin, end};
}

static str raw(const builder *b, diag_span s) { return (str){b->text.p + s.begin, s.end - s.begin}; }

// The next piece of a comma-separated list; *begin moves behind its comma. False at the end.
static bool next_piece(const builder *b, uint32_t *begin, uint32_t end, diag_span *piece) {
  if (*begin > end) return false;
  uint32_t at = *begin;
  while (at < end && b->text.p[at] != ',') at++;
  *piece = trimmed(b, *begin, at);
  *begin = at + 1;
  return true;
}

// Every capture of the target, and of every pattern, stands in the first pattern too.
static bool captures_known(builder *b, const name_pattern *p, const name_pattern *first, diag_span at) {
  for (size_t i = 0; i < p->n; i++) {
    if (!p->at[i].capture.n || name_pattern_find(first, p->at[i].capture)) continue;
    diag_at(b->l, at, rename_capture, str_dup(b->a, p->at[i].capture));
    return false;
  }
  return true;
}

static bool patterns(builder *b, const ynode *key, ast_rename *r, name_pattern *first) {
  uint32_t begin = key->span.begin;
  diag_span piece;
  while (next_piece(b, &begin, key->span.end, &piece)) {
    name_pattern p;
    if (!name_pattern_parse(b->a, b->l, piece, false, &p)) return false;
    if (!r->patterns.n) *first = p;
    else if (!captures_known(b, &p, first, piece) || !captures_known(b, first, &p, piece)) return false;
    ast_name name = {raw(b, piece), piece};
    vec_push(b->a, &r->patterns, name);
  }
  return true;
}

static bool add_target(builder *b, ast_rename *r, const name_pattern *first, diag_span at) {
  name_pattern target;
  if (!name_pattern_parse(b->a, b->l, at, true, &target)) return false;
  if (!captures_known(b, &target, first, at)) return false;
  ast_name name = {raw(b, at), at};
  vec_push(b->a, &r->targets, name);
  return true;
}

static bool expected(builder *b, diag_span at, const char *what) {
  const char *found = at.begin < at.end ? str_fmt(b->a, "`%.*s`", STR_ARG(raw(b, at))) : "nothing";
  diag_at(b->l, at, syntax_expected, what, found);
  return false;
}

static bool integer(builder *b, diag_span at, int64_t *out) {
  return parse_i64(raw(b, at), out) || expected(b, at, "an integer");
}

// `dim=N`, as the last argument of split and concat.
static bool is_dim(const builder *b, diag_span at, diag_span *number) {
  str t = raw(b, at);
  if (!str_starts(t, STR("dim"))) return false;
  diag_span rest = trimmed(b, at.begin + 3, at.end);
  if (rest.begin == rest.end || b->text.p[rest.begin] != '=') return false;
  *number = trimmed(b, rest.begin + 1, rest.end);
  return true;
}

static bool argument(builder *b, ast_rename *r, const name_pattern *first, diag_span at, bool last) {
  diag_span number;
  int64_t axis;
  bool joins = r->kind == RN_split || r->kind == RN_concat;
  if (joins && last && r->targets.n && is_dim(b, at, &number)) return integer(b, number, &r->dim);
  if (r->kind == RN_permute && r->targets.n) {
    if (!integer(b, at, &axis)) return false;
    vec_push(b->a, &r->numbers, axis);
    return true;
  }
  if (r->targets.n && r->kind != RN_split) return expected(b, at, r->kind == RN_concat ? "`dim=...`" : "one target");
  return add_target(b, r, first, at);
}

static bool is_permutation(const ast_rename *r) {
  if (r->numbers.n > IR_MAX_RANK) return false;
  for (size_t i = 0; i < r->numbers.n; i++) {
    bool found = false;
    for (size_t k = 0; k < r->numbers.n; k++) found = found || r->numbers.at[k] == (int64_t)i;
    if (!found) return false;
  }
  return r->numbers.n > 0;
}

// What the form needs beyond its grammar.
static bool check_form(builder *b, const ast_rename *r, diag_span at) {
  const char *problem = NULL;
  if (r->kind == RN_concat && r->patterns.n < 2)
    problem = "`concat` joins several tensors: `a.<p..>, b.<p..>: concat(...)`";
  else if (r->kind != RN_concat && r->kind != RN_ignore && r->patterns.n > 1)
    problem = "several patterns on the left need `concat(...)`";
  else if (r->kind == RN_split && r->targets.n < 2) problem = "`split` needs several targets";
  else if (r->kind == RN_permute && !is_permutation(r)) problem = "`permute` needs every axis once, from 0";
  if (problem) diag_at(b->l, at, rename_form, problem);
  return !problem;
}

static bool right_side(builder *b, ast_rename *r, const name_pattern *first, diag_span at) {
  str t = raw(b, at);
  if (str_is(t, "ignore")) {
    r->kind = RN_ignore;
    return true;
  }
  const char *bracket = memchr(t.p, '(', t.n);
  if (!bracket) return add_target(b, r, first, at) && check_form(b, r, at);
  uint32_t open = at.begin + (uint32_t)(bracket - t.p);
  diag_span name = trimmed(b, at.begin, open);
  const form *f = NULL;
  const char *names[sizeof forms / sizeof *forms];
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    names[i] = forms[i].name;
    if (str_is(raw(b, name), forms[i].name)) f = &forms[i];
  }
  if (!f) {
    const ynode key = {.kind = YN_scalar, .span = name};
    build_unknown_key(b, &key, "rename", names, sizeof names / sizeof *names);
    return false;
  }
  if (t.p[t.n - 1] != ')') return expected(b, (diag_span){b->file, at.end, at.end}, "`)`");
  r->kind = f->kind;
  uint32_t begin = open + 1, end = at.end - 1;
  for (diag_span piece; next_piece(b, &begin, end, &piece);) {
    if (!argument(b, r, first, piece, begin > end)) return false;
  }
  return check_form(b, r, at);
}

void build_renames(builder *b, const ynode *key, const ynode *value) {
  if (!build_want(b, value, YN_map, key, "a map `pattern: target`")) return;
  for (size_t i = 0; i < value->pairs.n; i++) {
    const ynode *left = value->pairs.at[i].key, *right = value->pairs.at[i].value;
    ast_rename r = {.kind = RN_target, .span = left->span};
    name_pattern first = {0};
    if (!build_want(b, left, YN_scalar, NULL, "a pattern") || !build_want(b, right, YN_scalar, left, "a target"))
      continue;
    if (patterns(b, left, &r, &first) && right_side(b, &r, &first, right->span)) vec_push(b->a, &b->m->renames, r);
  }
}
