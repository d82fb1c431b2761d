// Parsing, matching and expanding name patterns.
//
// Matching backtracks over (piece, position); a pair that failed once is remembered, so that the work is bounded by
// pieces x length^2 whatever the pattern.
#include "frontend/rename.h"
#include "base/utf8.h"
#include "frontend/lex.h"

#include <string.h>

static bool is_text(char c) { return lex_is_name_char(c) || c == '.' || c == '-'; }

typedef struct cursor {
  arena *a;
  diag_list *l;
  uint32_t file;
  const char *p;
  uint32_t at, end;
} cursor;

static void skip_blanks(cursor *c) {
  while (c->at < c->end && c->p[c->at] == ' ') c->at++;
}

static bool unexpected(cursor *c, const char *what) {
  const char *found = "the end";
  uint32_t n = 0;
  if (c->at < c->end) {
    n = (uint32_t)utf8_length((str){c->p + c->at, c->end - c->at});
    found = str_fmt(c->a, "`%.*s`", (int)n, c->p + c->at);
  }
  diag *d = diag_at(c->l, ((diag_span){c->file, c->at, c->at + n}), syntax_expected, what, found);
  if (n && c->p[c->at] == '/') diag_note_to(c->l, d, "`/` in the names of a checkpoint reads as `.`");
  return false;
}

static bool number_after_sign(cursor *c, name_piece *piece) {
  bool minus = c->p[c->at++] == '-';
  skip_blanks(c);
  uint32_t begin = c->at;
  while (c->at < c->end && c->p[c->at] >= '0' && c->p[c->at] <= '9') c->at++;
  if (c->at == begin || c->at - begin > 9) {
    c->at = begin;
    return unexpected(c, "a number of at most 9 digits");
  }
  for (uint32_t i = begin; i < c->at; i++) piece->add = piece->add * 10 + (c->p[i] - '0');
  if (minus) piece->add = -piece->add;
  piece->counts = true;
  return true;
}

// With `<` ahead.
static bool capture(cursor *c, bool target, name_piece *piece) {
  c->at++;
  skip_blanks(c);
  uint32_t begin = c->at;
  if (c->at < c->end && lex_is_name_start(c->p[c->at])) {
    while (c->at < c->end && lex_is_name_char(c->p[c->at])) c->at++;
  }
  if (c->at == begin) return unexpected(c, "the name of a capture");
  piece->capture = (str){c->p + begin, c->at - begin};
  skip_blanks(c);
  char next = c->at < c->end ? c->p[c->at] : 0;
  if (!target && c->end - c->at >= 2 && next == '.' && c->p[c->at + 1] == '.') {
    piece->dots = true;
    c->at += 2;
  } else if (target && (next == '+' || next == '-') && !number_after_sign(c, piece)) {
    return false;
  }
  skip_blanks(c);
  if (c->at >= c->end || c->p[c->at] != '>') return unexpected(c, target ? "`>`, `+` or `-`" : "`>` or `..>`");
  c->at++;
  return true;
}

bool name_pattern_parse(arena *a, diag_list *l, diag_span at, bool target, name_pattern *out) {
  cursor c = {a, l, at.file, l->files.at[at.file - 1].text.p, at.begin, at.end};
  memset(out, 0, sizeof *out);
  while (c.at < c.end) {
    name_piece piece = {0};
    uint32_t begin = c.at;
    if (c.p[c.at] == '<') {
      if (!capture(&c, target, &piece)) return false;
      if (!target && name_pattern_find(out, piece.capture)) {
        diag_at(l, ((diag_span){at.file, begin, c.at}), syntax_name_twice, str_dup(a, piece.capture));
        return false;
      }
    } else {
      while (c.at < c.end && is_text(c.p[c.at])) c.at++;
      if (c.at == begin) return unexpected(&c, "a letter, a digit, `_`, `-`, `.` or `<name>`");
      piece.text = (str){c.p + begin, c.at - begin};
    }
    vec_push(a, out, piece);
  }
  return out->n > 0 || unexpected(&c, target ? "a name" : "a pattern");
}

const name_piece *name_pattern_find(const name_pattern *p, str capture_name) {
  for (size_t i = 0; i < p->n; i++) {
    if (p->at[i].capture.n && str_eq(p->at[i].capture, capture_name)) return &p->at[i];
  }
  return NULL;
}

// -- matching --

static bool match_from(name_matcher *m, const name_pattern *p, str name, size_t piece, size_t at) {
  if (piece == p->n) return at == name.n;
  bool *failed = &m->failed.at[piece * (name.n + 1) + at];
  if (*failed) return false;
  const name_piece *q = &p->at[piece];
  str rest = {name.p + at, name.n - at};
  if (!q->capture.n) {
    if (str_starts(rest, q->text) && match_from(m, p, name, piece + 1, at + q->text.n)) return true;
  } else {
    size_t longest = 0;
    while (longest < rest.n && (q->dots || rest.p[longest] != '.')) longest++;
    for (size_t n = longest; n > 0; n--) {
      m->captured.at[piece] = (str){rest.p, n};
      if (match_from(m, p, name, piece + 1, at + n)) return true;
    }
  }
  *failed = true;
  return false;
}

bool name_pattern_match(arena *a, name_matcher *m, const name_pattern *p, str name) {
  enum { LONGEST = 1024 }; // of a weight's name; a longer one is matched by nothing
  if (name.n > LONGEST) return false;
  // Most rules fail at their first text; only the others need the table.
  if (p->n && !p->at[0].capture.n && !str_starts(name, p->at[0].text)) return false;
  size_t cells = p->n * (name.n + 1);
  vec_reserve(a, &m->captured, p->n);
  vec_reserve(a, &m->failed, cells);
  memset(m->failed.at, 0, cells);
  return match_from(m, p, name, 0, 0);
}

bool name_pattern_expand(const name_pattern *target, const name_pattern *source, const str *captured, strbuf *out) {
  for (size_t i = 0; i < target->n; i++) {
    const name_piece *q = &target->at[i];
    if (!q->capture.n) {
      sb_bytes(out, q->text.p, q->text.n);
      continue;
    }
    const name_piece *from = name_pattern_find(source, q->capture);
    str text = captured[from - source->at];
    int64_t number;
    if (!q->counts) {
      sb_bytes(out, text.p, text.n);
    } else {
      if (!parse_i64(text, &number) || number < 0 || number > INT32_MAX || number + q->add < 0) return false;
      sb_fmt(out, "%lld", (long long)(number + q->add));
    }
  }
  return true;
}
