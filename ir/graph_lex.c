// Reading the text form of graphs: words, names, numbers, types. Each reader skips white space and comments first, and
// reports what it expected, with the place, when it is not there.
#include "ir/graph_text.h"

#include <string.h>

diag_span graph_span(const graph_reader *r, const char *from, const char *to) {
  return (diag_span){r->file, (uint32_t)(from - r->begin), (uint32_t)(to - r->begin)};
}

bool graph_expected(graph_reader *r, const char *what) {
  const char *to = r->p < r->end ? r->p + 1 : r->p;
  diag_at(r->l, graph_span(r, r->p, to), graph_syntax, what);
  return false;
}

void graph_skip(graph_reader *r) {
  while (r->p < r->end) {
    if (*r->p == '#') {
      while (r->p < r->end && *r->p != '\n') r->p++;
    } else if (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r') {
      r->p++;
    } else {
      return;
    }
  }
}

bool graph_at_end(graph_reader *r) {
  graph_skip(r);
  return r->p == r->end;
}

static bool is_word(char ch) {
  return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '_';
}

bool graph_looking_at(graph_reader *r, const char *punctuation) {
  graph_skip(r);
  const size_t n = strlen(punctuation);
  return (size_t)(r->end - r->p) >= n && memcmp(r->p, punctuation, n) == 0;
}

bool graph_take(graph_reader *r, const char *punctuation) {
  if (!graph_looking_at(r, punctuation)) return false;
  r->p += strlen(punctuation);
  return true;
}

bool graph_want(graph_reader *r, const char *punctuation) {
  return graph_take(r, punctuation) || graph_expected(r, str_fmt(r->a, "`%s`", punctuation));
}

bool graph_take_word(graph_reader *r, const char *word) {
  const size_t n = strlen(word);
  if (!graph_looking_at(r, word) || (r->p + n < r->end && is_word(r->p[n]))) return false;
  r->p += n;
  return true;
}

bool graph_word(graph_reader *r, str *word, const char *what) {
  graph_skip(r);
  const char *from = r->p;
  while (r->p < r->end && is_word(*r->p)) r->p++;
  *word = (str){from, (size_t)(r->p - from)};
  return word->n > 0 || graph_expected(r, what);
}

static int hex_digit(char ch) {
  return ch >= '0' && ch <= '9'   ? ch - '0'
         : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
         : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                  : -1;
}

// After the backslash; false when it is no escape.
static bool read_escape(graph_reader *r, strbuf *b) {
  if (r->p == r->end) return false;
  const char ch = *r->p++;
  if (ch == 'n' || ch == 't') {
    sb_char(b, ch == 'n' ? '\n' : '\t');
  } else if (ch == 'x' && r->end - r->p >= 2 && hex_digit(r->p[0]) >= 0 && hex_digit(r->p[1]) >= 0) {
    const int byte = hex_digit(r->p[0]) * 16 + hex_digit(r->p[1]);
    if (byte == 0) return false; // names end at a NUL
    sb_char(b, (char)byte);
    r->p += 2;
  } else if (ch == '"' || ch == '\\') {
    sb_char(b, ch);
  } else {
    return false;
  }
  return true;
}

bool graph_string(graph_reader *r, const char **text) {
  if (!graph_take(r, "\"")) return graph_expected(r, "a quoted string");
  strbuf b;
  sb_init(&b, r->a);
  while (r->p < r->end && *r->p != '"' && *r->p != '\n') {
    const char ch = *r->p++;
    if (ch == '\0') return graph_expected(r, "text without a NUL");
    if (ch != '\\') sb_char(&b, ch);
    else if (!read_escape(r, &b)) return graph_expected(r, "an escape: \\\" \\\\ \\n \\t \\xNN");
  }
  if (r->p == r->end || *r->p != '"') return graph_expected(r, "the closing `\"`");
  r->p++;
  *text = intern(r->m->names, sb_str(&b));
  return true;
}

static bool read_name(graph_reader *r, const char **name, const char *what, const char *more) {
  graph_skip(r);
  if (r->p < r->end && *r->p == '"') return graph_string(r, name);
  const char *from = r->p;
  while (r->p < r->end && (is_word(*r->p) || (*r->p != '\0' && strchr(more, *r->p) != NULL))) r->p++;
  if (r->p == from) return graph_expected(r, what);
  *name = intern(r->m->names, (str){from, (size_t)(r->p - from)});
  return true;
}

bool graph_name(graph_reader *r, const char **name, const char *what) { return read_name(r, name, what, ".-"); }

bool graph_path(graph_reader *r, const char **name) { return read_name(r, name, "a path", ".-/"); }

// -- numbers --

static str number_text(graph_reader *r) {
  graph_skip(r);
  const char *q = r->p;
  if (q < r->end && *q == '-') q++;
  while (q < r->end && (is_word(*q) || (*q == '.' && !(q + 1 < r->end && q[1] == '.')) ||
                        ((*q == '+' || *q == '-') && (q[-1] == 'e' || q[-1] == 'E')))) {
    q++;
  }
  return (str){r->p, (size_t)(q - r->p)};
}

bool graph_int(graph_reader *r, int64_t *v) {
  const str text = number_text(r);
  if (!parse_i64(text, v)) return graph_expected(r, "an integer");
  r->p += text.n;
  return true;
}

bool graph_number_value(graph_reader *r, double *f, int64_t *i, bool *is_int) {
  const str text = number_text(r);
  *is_int = parse_i64(text, i);
  if (*is_int) *f = (double)*i;
  else if (!parse_f64(text, f)) return graph_expected(r, "a number");
  r->p += text.n;
  return true;
}

bool graph_scalar(graph_reader *r, dtype dt, scalar *s) {
  double f;
  int64_t i = 0;
  bool is_int;
  graph_skip(r);
  const char *from = r->p;
  if (!graph_number_value(r, &f, &i, &is_int)) return false;
  *s = dtype_is_float(dt) ? scalar_f(dt, f) : scalar_i(dt, i);
  if (dtype_is_float(dt) || (is_int && s->v.i == i)) return true;
  r->p = from;
  return graph_expected(r, str_fmt(r->a, "a value of %s", dtype_name(dt)));
}

// -- types --

static const sym *find_dim(void *user, str name) {
  const graph_reader *r = user;
  for (size_t i = 0; i < r->m->dims.n; i++) {
    if (str_is(name, r->m->dims.at[i]->symbol->name)) return r->m->dims.at[i]->symbol;
  }
  return NULL;
}

bool graph_idx(graph_reader *r, const idx **e) {
  graph_skip(r);
  r->l->here = graph_span(r, r->p, r->p);
  const char *error = NULL;
  *e = idx_parse(r->m->ix, &r->p, r->end, find_dim, r, &error);
  if (*e != NULL) return true;
  const char *to = r->p < r->end ? r->p + 1 : r->p;
  while (to < r->end && is_word(*to) && is_word(to[-1])) to++;
  diag_at(r->l, graph_span(r, r->p, to), graph_index, error);
  return false;
}

bool graph_type(graph_reader *r, ir_type *t) {
  str word;
  dtype dt;
  graph_skip(r);
  const char *from = r->p;
  if (!graph_word(r, &word, "a type")) return false;
  if (!dtype_parse(word, &dt)) {
    r->p = from;
    return graph_expected(r, "a dtype");
  }
  if (!graph_want(r, "[")) return false;
  const idx *dim[IR_MAX_RANK];
  uint32_t rank = 0;
  while (!graph_looking_at(r, "]")) {
    if (rank > 0 && !graph_want(r, ",")) return false;
    if (rank == IR_MAX_RANK) return graph_expected(r, str_fmt(r->a, "at most %d dims", IR_MAX_RANK));
    if (!graph_idx(r, &dim[rank++])) return false;
  }
  *t = ir_type_make(r->m, dt, rank, dim);
  if (!ir_type_fits(*t)) return graph_expected(r, "a type of at most 2^56 elements");
  return graph_want(r, "]");
}
