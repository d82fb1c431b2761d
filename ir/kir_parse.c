// Reading kernel text: the lexer, the scope of names, and the header. ir/kir_parse_stmt.c reads the statements.
//
// A recursive-descent parser on bytes. It checks syntax, names, and that the operands of an operation fit; the rules of
// whole kernels are kir_verify's. The first error ends the reading. Facts bound the symbols that stand before them in
// the text, so the header is searched for facts before it is read.
#include "ir/kir_parser.h"

#include <string.h>

enum { MAX_NUMBER = 64 };

// -- errors --

bool parser_first_failure(parser *p) {
  bool first = !p->failed && !p->quiet;
  p->failed = true;
  return first;
}

diag_span parser_span(const parser *p, size_t from, size_t to) {
  return (diag_span){p->file, (uint32_t)from, (uint32_t)(to > from ? to : from + 1)};
}

void parser_unknown(parser *p, str word, const char *what, const char *const *candidates, size_t n) {
  if (!parser_first_failure(p)) return;
  size_t from = (size_t)(word.p - p->text.p);
  diag *d = diag_at(p->l, parser_span(p, from, from + word.n), kernel_unknown, what, STR_ARG(word));
  const char *near = str_suggest(word, candidates, n);
  if (near != NULL) diag_note_to(p->l, d, "did you mean `%s`?", near);
}

// -- lexing --

static bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static char peek(const parser *p, size_t ahead) { return p->at + ahead < p->text.n ? p->text.p[p->at + ahead] : '\0'; }

void parser_skip_space(parser *p) {
  for (; p->at < p->text.n; p->at++) {
    char c = p->text.p[p->at];
    if (c == '#') {
      while (p->at + 1 < p->text.n && p->text.p[p->at + 1] != '\n') p->at++;
    } else if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
      return;
    }
  }
}

bool parser_at_end(parser *p) {
  parser_skip_space(p);
  return p->at == p->text.n;
}

bool parser_accept(parser *p, const char *token) {
  parser_skip_space(p);
  size_t n = strlen(token);
  str rest = {p->text.p + p->at, p->text.n - p->at};
  if (p->failed || !str_starts(rest, (str){token, n})) return false;
  if (is_name_byte(token[n - 1]) && is_name_byte(peek(p, n))) return false;
  p->at += n;
  return true;
}

void parser_expect(parser *p, const char *token) {
  if (parser_accept(p, token)) return;
  PARSER_FAIL(p, p->at, p->at, kernel_expected, str_fmt(p->k->a, "`%s`", token));
}

static str take(parser *p, size_t n) {
  str s = {p->text.p + p->at, n};
  p->at += n;
  return s;
}

static size_t name_length(const parser *p, size_t ahead) {
  size_t n = 0;
  while (is_name_byte(peek(p, ahead + n))) n++;
  return n;
}

str parser_word(parser *p, const char *what) {
  parser_skip_space(p);
  bool digit = peek(p, 0) >= '0' && peek(p, 0) <= '9';
  size_t n = p->failed || digit ? 0 : name_length(p, 0);
  if (n == 0) PARSER_FAIL(p, p->at, p->at, kernel_expected, what);
  return take(p, n);
}

str parser_tile_name(parser *p) {
  parser_skip_space(p);
  size_t n = p->failed || peek(p, 0) != '%' ? 0 : name_length(p, 1);
  if (n > 0) return take(p, 1 + n);
  PARSER_FAIL(p, p->at, p->at, kernel_expected, "a tile (`%` and a name)");
  return take(p, 0);
}

str parser_number(parser *p) {
  parser_skip_space(p);
  size_t n = peek(p, 0) == '-';
  bool digit = peek(p, n) >= '0' && peek(p, n) <= '9';
  for (; n < MAX_NUMBER; n++) {
    char c = peek(p, n), before = n > 0 ? peek(p, n - 1) : '\0';
    bool sign = digit && (c == '+' || c == '-') && (before == 'e' || before == 'E');
    if (!is_name_byte(c) && !sign && !(digit && c == '.')) break;
  }
  if (p->failed || n == 0) PARSER_FAIL(p, p->at, p->at, kernel_expected, "a number");
  return take(p, p->failed ? 0 : n);
}

int64_t parser_int(parser *p, const char *what, int64_t lo, int64_t hi) {
  parser_skip_space(p);
  size_t n = peek(p, 0) == '-', from = p->at;
  while (peek(p, n) >= '0' && peek(p, n) <= '9') n++;
  int64_t v = lo;
  if (p->failed || n == 0) PARSER_FAIL(p, from, from, kernel_expected, what);
  else if (!parse_i64(take(p, n), &v) || v < lo || v > hi) {
    PARSER_FAIL(p, from, from + n, kernel_limit, what, (long long)lo, (long long)hi);
  }
  return p->failed ? lo : v;
}

dtype parser_dtype(parser *p) {
  str word = parser_word(p, "a dtype");
  dtype dt = DT_f32;
  if (p->failed || dtype_parse(word, &dt)) return dt;
  const char *names[DT_COUNT];
  for (int i = 0; i < DT_COUNT; i++) names[i] = dtype_name((dtype)i);
  parser_unknown(p, word, "dtype", names, DT_COUNT);
  return dt;
}

str parser_line(const parser *p, size_t from) {
  size_t to = from;
  while (to < p->text.n && p->text.p[to] != '\n') to++;
  while (to > from && (p->text.p[to - 1] == ' ' || p->text.p[to - 1] == '\r')) to--;
  return (str){p->text.p + from, to - from};
}

// -- names --

void parser_show(parser *p, str key, kir_tile *tile, const sym *symbol) {
  parser_name *n = map_get(p->names, key);
  if (n == NULL) {
    n = ARENA_NEW(p->k->a, parser_name);
    map_put(p->names, key, n);
  } else if (n->visible) { // a symbol's second definition failed before: this is a tile
    size_t from = (size_t)(key.p - p->text.p);
    PARSER_FAIL(p, from, from + key.n, kernel_duplicate, STR_ARG(key));
    return;
  }
  *n = (parser_name){tile, symbol, true};
  vec_push(p->k->a, &p->scope, n);
}

sym *parser_new_symbol(parser *p, str name) {
  const char *z = str_dup(p->k->a, name);
  if (!p->failed && !kir_name_taken(p->k, z)) return idx_symbol(p->k->ix, z);
  size_t from = (size_t)(name.p - p->text.p);
  PARSER_FAIL(p, from, from + name.n, kernel_duplicate, STR_ARG(name));
  return idx_fresh(p->k->ix, "unnamed");
}

static const sym *resolve(void *user, str name) {
  parser *p = user;
  parser_name *n = map_get(p->names, name);
  if (n != NULL && n->visible) return n->symbol;
  p->unknown = name;
  return NULL;
}

// Reports a name that is not visible; suggestions come from those that are.
static void unknown_symbol(parser *p) {
  size_t n = 0, count = map_count(p->names);
  const char **near = ARENA_ARRAY(p->k->a, const char *, count);
  for (size_t i = 0; i < count; i++) {
    const parser_name *name = map_value(p->names, i);
    if (name->visible && name->symbol != NULL) near[n++] = name->symbol->name;
  }
  parser_unknown(p, p->unknown, "symbol", near, n);
}

const idx *parser_index(parser *p) {
  parser_skip_space(p);
  const idx *none = idx_int(p->k->ix, 0);
  if (p->failed) return none;
  const char *at = p->text.p + p->at, *error = NULL;
  str line = parser_line(p, p->at);
  p->unknown = (str){NULL, 0};
  const idx *e = idx_parse(p->k->ix, &at, line.p + line.n, resolve, p, &error);
  p->at = (size_t)(at - p->text.p);
  if (e != NULL) return e;
  if (p->unknown.p != NULL) unknown_symbol(p);
  else PARSER_FAIL(p, p->at, p->at, kernel_index, error);
  return none;
}

// -- the header --

static uint32_t parse_dims(parser *p, const idx ***dim) {
  VEC(const idx *) at = {0};
  parser_expect(p, "[");
  if (!parser_accept(p, "]")) {
    do vec_push(p->k->a, &at, parser_index(p));
    while (parser_accept(p, ","));
    parser_expect(p, "]");
  }
  *dim = at.at;
  return (uint32_t)at.n;
}

static void parse_buffer(parser *p, kir_space space) {
  size_t from = p->at;
  str name = parser_word(p, "the name of a buffer");
  const char *z = str_dup(p->k->a, name);
  if (!p->failed && kir_name_taken(p->k, z)) { PARSER_FAIL(p, p->at - name.n, p->at, kernel_duplicate, STR_ARG(name)); }
  dtype dt = parser_dtype(p);
  const idx **dim;
  uint32_t rank = parse_dims(p, &dim);
  if (rank > KIR_MAX_RANK) {
    PARSER_FAIL(p, from, p->at, kernel_limit, "the number of axes", 0LL, (long long)KIR_MAX_RANK);
  }
  if (!p->failed) kir_buffer_new(p->k, z, space, dt, rank, dim);
}

static void parse_grid(parser *p) {
  do {
    size_t from = p->at;
    str name = parser_word(p, "the name of a grid axis");
    parser_expect(p, ":");
    const idx *extent = parser_index(p);
    if (p->k->n_grid == 3) PARSER_FAIL(p, from, p->at, kernel_limit, "the number of grid axes", 0LL, 3LL);
    sym *s = parser_new_symbol(p, name);
    if (p->failed) return;
    kir_add_grid(p->k, s, extent);
    parser_show(p, name, NULL, s);
  } while (parser_accept(p, ","));
}

static void parse_workers(parser *p) {
  do {
    size_t from = p->at;
    str name = parser_word(p, "the name of a worker axis");
    parser_expect(p, ":");
    int64_t extent = parser_int(p, "the number of workers", 1, KIR_MAX_WORKERS);
    if (p->k->n_workers == 2) PARSER_FAIL(p, from, p->at, kernel_limit, "the number of worker axes", 0LL, 2LL);
    sym *s = parser_new_symbol(p, name);
    if (p->failed) return;
    kir_add_worker(p->k, s, extent);
    parser_show(p, name, NULL, s);
  } while (parser_accept(p, ","));
}

static kir_fact *find_fact(parser *p, str name) {
  for (size_t i = 0; i < p->k->facts.n; i++) {
    if (str_is(name, p->k->facts.at[i].symbol->name)) return &p->k->facts.at[i];
  }
  return NULL;
}

// Looking ahead, a fact is added to the kernel; reading, it is checked.
static void parse_fact(parser *p) {
  str name = parser_word(p, "the name of a symbol");
  kir_fact *known = find_fact(p, name);
  if (parser_accept(p, "%")) {
    int64_t multiple = parser_int(p, "a divisor", 1, INT64_MAX);
    parser_expect(p, "==");
    (void)parser_int(p, "a remainder", 0, 0);
    if (known == NULL) {
      parser_unknown(p, name, "symbol", NULL, 0);
    } else if (p->quiet && !p->failed) {
      known->multiple = known->symbol->step = multiple;
    }
    return;
  }
  parser_expect(p, "in");
  int64_t lo = parser_int(p, "a bound", INT64_MIN, INT64_MAX);
  parser_expect(p, "..");
  int64_t hi = parser_int(p, "a bound", lo, INT64_MAX);
  if (!p->quiet) { // facts are read in the order in which they were found
    bool expected = known != NULL && known == &p->k->facts.at[p->facts_seen++];
    size_t from = (size_t)(name.p - p->text.p);
    if (!expected) PARSER_FAIL(p, from, from + name.n, kernel_duplicate, STR_ARG(name));
  } else if (!p->failed && known == NULL) {
    sym *s = parser_new_symbol(p, name);
    if (p->failed) return;
    kir_add_fact(p->k, s, lo, hi, 1);
    parser_show(p, name, NULL, s);
  }
}

static void find_facts(parser *p) {
  size_t begin = p->at;
  p->quiet = true;
  while (!parser_at_end(p) && peek(p, 0) != '{') {
    size_t n = name_length(p, 0);
    str word = take(p, n > 0 ? n : 1);
    if (!str_is(word, "fact")) continue;
    size_t after = p->at;
    parse_fact(p);
    if (p->failed) p->at = after; // not a fact, or a broken one: reading will tell
    p->failed = false;
  }
  p->quiet = false;
  p->at = begin;
}

static void parse_header(parser *p) {
  for (;;) {
    if (parser_accept(p, "inout")) parse_buffer(p, KIR_inout);
    else if (parser_accept(p, "in")) parse_buffer(p, KIR_in);
    else if (parser_accept(p, "out")) parse_buffer(p, KIR_out);
    else if (parser_accept(p, "group")) parse_buffer(p, KIR_group);
    else if (parser_accept(p, "grid")) parse_grid(p);
    else if (parser_accept(p, "workers")) parse_workers(p);
    else if (parser_accept(p, "fact")) parse_fact(p);
    else break;
  }
  if (parser_accept(p, "{")) return;
  PARSER_FAIL(p, p->at, p->at, kernel_expected, "`in`, `out`, `inout`, `group`, `grid`, `workers`, `fact` or `{`");
}

kir_kernel *kir_parse(arena *a, diag_list *l, uint32_t file) {
  parser p = {.k = kir_kernel_new(a, l, ""), .l = l, .file = file, .text = l->files.at[file - 1].text};
  p.names = map_new(a);
  parser_show(&p, STR("r"), NULL, p.k->r);
  parser_show(&p, STR("c"), NULL, p.k->c);
  size_t errors = l->n_errors;
  parser_expect(&p, "kernel");
  p.k->name = intern(p.k->names, parser_word(&p, "the name of the kernel"));
  if (!p.failed) find_facts(&p);
  parse_header(&p);
  parser_body(&p, &p.k->body);
  if (!parser_at_end(&p)) PARSER_FAIL(&p, p.at, p.at, kernel_expected, "the end of the text");
  return p.failed || l->n_errors > errors ? NULL : p.k;
}
