// Reading kernel text: statements. See ir/kir_parse.c for the method and ir/kir_parser.h for the tools.
#include "ir/kir_parser.h"

#include <string.h>

// What may begin a tile operation, besides the operators of ir/ops.def that need no special reading.
static const char *const tile_words[] = {"load",   "const",  "index",  "dot",     "mma",     "fma", "select",
                                         "rowsum", "rowmax", "rowmin", "rowprod", "convert", "pick"};
enum { N_TILE_WORDS = sizeof tile_words / sizeof *tile_words };

// -- pieces --

static kir_tile *parse_tile(parser *p) {
  str name = parser_tile_name(p);
  parser_name *n = p->failed ? NULL : map_get(p->names, name);
  if (n != NULL && n->visible) return n->tile;
  if (!p->failed) parser_unknown(p, name, "tile", NULL, 0);
  return NULL;
}

static void parse_shape(parser *p, uint32_t *rows, uint32_t *cols) {
  parser_skip_space(p);
  size_t from = p->at;
  int64_t r = parser_int(p, "rows x columns", 1, KIR_MAX_SIDE), c = 1;
  if (!p->failed && p->at < p->text.n && p->text.p[p->at] == 'x') {
    p->at++;
    c = parser_int(p, "columns", 1, KIR_MAX_SIDE);
  } else {
    PARSER_FAIL(p, p->at, p->at, kernel_expected, "`x` and the number of columns");
  }
  if (!kir_shape_legal(r, c)) {
    PARSER_FAIL(p, from, p->at, kernel_limit, "rows times columns", 1LL, (long long)KIR_MAX_ELEMENTS);
  }
  *rows = (uint32_t)r;
  *cols = (uint32_t)c;
}

static kir_access parse_access(parser *p) {
  str name = parser_word(p, "a buffer");
  const kir_buffer *buf = p->failed ? NULL : kir_buffer_find(p->k, str_dup(p->k->a, name));
  if (buf == NULL && !p->failed) {
    VEC(const char *) known = {0};
    for (size_t i = 0; i < p->k->params.n; i++) vec_push(p->k->a, &known, p->k->params.at[i]->name);
    for (size_t i = 0; i < p->k->group.n; i++) vec_push(p->k->a, &known, p->k->group.at[i]->name);
    parser_unknown(p, name, "buffer", known.at, known.n);
  }
  size_t from = (size_t)(name.p - p->text.p);
  VEC(const idx *) index = {0};
  parser_expect(p, "[");
  if (!parser_accept(p, "]")) {
    do vec_push(p->k->a, &index, parser_index(p));
    while (parser_accept(p, ","));
    parser_expect(p, "]");
  }
  if (!p->failed && index.n != buf->rank) {
    str line = parser_line(p, from);
    PARSER_FAIL(p, from, p->at, kernel_rank, buf->name, buf->rank, str_dup(p->k->a, line));
  }
  return (kir_access){buf, index.at};
}

static kir_where parse_where(parser *p) {
  VEC(const idx *) cond = {0};
  if (!parser_accept(p, "where")) return kir_always;
  do {
    vec_push(p->k->a, &cond, parser_index(p));
    parser_expect(p, ">=");
    (void)parser_int(p, "0", 0, 0);
  } while (parser_accept(p, ","));
  return (kir_where){(uint32_t)cond.n, cond.at};
}

static scalar number_of(parser *p, str word, dtype dt) {
  int64_t i = 0;
  double f = 0;
  bool good;
  if (dt == DT_bool) {
    i = str_is(word, "true");
    good = i != 0 || str_is(word, "false");
  } else if (dtype_is_float(dt)) {
    good = parse_f64(word, &f);
  } else {
    good = parse_i64(word, &i) && scalar_i(dt, i).v.i == i;
  }
  size_t from = (size_t)(word.p - p->text.p);
  if (!good) PARSER_FAIL(p, from, from + word.n, kernel_number, STR_ARG(word), dtype_name(dt));
  return dtype_is_float(dt) ? scalar_f(dt, f) : scalar_i(dt, i);
}

// [where … else constant]
static void parse_masked(parser *p, kir_stmt *s, dtype dt) {
  s->where = parse_where(p);
  s->imm = dtype_is_float(dt) ? scalar_f(dt, 0) : scalar_i(dt, 0);
  if (s->where.n == 0) return;
  parser_expect(p, "else");
  s->imm = number_of(p, parser_number(p), dt);
}

// -- scopes --

static void close_scope(parser *p, size_t mark) {
  while (p->scope.n > mark) vec_pop(&p->scope)->visible = false;
}

static void parse_stmt(parser *p, kir_block *block);

// Statements, the yields of what the block belongs to, and `}`.
static void parse_block(parser *p, kir_block *block, uint32_t n_yield, kir_tile **yield) {
  size_t mark = p->scope.n;
  if (++p->depth > KIR_MAX_DEPTH) {
    PARSER_FAIL(p, p->at, p->at, kernel_limit, "the depth of blocks", 1LL, (long long)KIR_MAX_DEPTH);
  }
  bool yielded = n_yield == 0;
  while (!p->failed && !parser_accept(p, "}")) {
    if (!yielded && parser_accept(p, "yield")) {
      for (uint32_t i = 0; i < n_yield; i++) {
        if (i > 0) parser_expect(p, ",");
        yield[i] = parse_tile(p);
      }
      parser_expect(p, "}");
      yielded = true;
      break;
    }
    parse_stmt(p, block);
  }
  if (!yielded) PARSER_FAIL(p, p->at - 1, p->at, kernel_expected, "`yield`");
  p->depth--;
  close_scope(p, mark);
}

void parser_body(parser *p, kir_block *block) { parse_block(p, block, 0, NULL); }

// -- tile operations --

static void parse_operands(parser *p, kir_stmt *s, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    if (i > 0) parser_expect(p, ",");
    s->in[i] = parse_tile(p);
  }
  s->n_in = n;
}

static void parse_variant(parser *p, kir_stmt *s) {
  str variant = STR("fma");
  if (parser_accept(p, "{")) {
    variant = parser_word(p, "a variant of dot");
    parser_expect(p, "}");
  }
  s->variant = intern(p->k->names, variant);
}

static void parse_across(parser *p, kir_stmt *s) {
  if (!parser_accept(p, "across")) return;
  str name = parser_word(p, "a worker axis");
  for (uint32_t i = 0; i < p->k->n_workers; i++) {
    if (str_is(name, p->k->workers[i]->name)) s->across = p->k->workers[i];
  }
  if (s->across != NULL || p->failed) return;
  const char *known[2] = {NULL, NULL};
  for (uint32_t i = 0; i < p->k->n_workers; i++) known[i] = p->k->workers[i]->name;
  parser_unknown(p, name, "worker axis", known, p->k->n_workers);
}

static void parse_type(parser *p, kir_type *t) {
  parser_expect(p, ":");
  t->dt = parser_dtype(p);
  parse_shape(p, &t->rows, &t->cols);
}

static void unknown_operation(parser *p, str word) {
  const char *known[N_TILE_WORDS + OP_COUNT];
  size_t n = 0;
  for (; n < N_TILE_WORDS; n++) known[n] = tile_words[n];
  for (int op = 0; op < OP_COUNT; op++) {
    if (kir_is_tile_op((op_code)op)) known[n++] = kir_op_word((op_code)op);
  }
  parser_unknown(p, word, "tile operation", known, n);
}

// What comes after the word; true when the type is written there, false when the operands tell it.
static bool parse_operation(parser *p, kir_stmt *s, str word, kir_type *t) {
  if (str_is(word, "load")) {
    s->kind = KIR_load;
    s->acc = parse_access(p);
    parse_type(p, t);
    parse_masked(p, s, t->dt);
    return true;
  }
  if (str_is(word, "const")) {
    s->kind = KIR_const;
    str number = parser_number(p);
    parse_type(p, t);
    s->imm = number_of(p, number, t->dt);
    return true;
  }
  if (str_is(word, "index")) {
    s->kind = KIR_index;
    s->index = parser_index(p);
    parse_type(p, t);
    return true;
  }
  if (str_is(word, "dot")) {
    s->kind = KIR_dot;
    parse_operands(p, s, 3);
    parse_variant(p, s);
  } else if (str_is(word, "mma")) {
    s->kind = KIR_mma;
    parse_operands(p, s, 1);
    parser_expect(p, ",");
    s->acc = parse_access(p);
    parser_expect(p, ",");
    s->from = parse_access(p);
    parser_expect(p, ":");
    s->cols = (uint32_t)parser_int(p, "a depth", 1, KIR_MAX_SIDE);
  } else if (str_is(word, "fma")) {
    s->kind = KIR_fma;
    parse_operands(p, s, 3);
  } else if (str_is(word, "zip") || str_is(word, "ziprows")) {
    s->kind = KIR_zip;
    parse_operands(p, s, str_is(word, "zip") ? 2 : 1);
  } else if (str_is(word, "select")) {
    s->kind = KIR_select;
    parse_operands(p, s, 1);
    if (!p->failed) parse_masked(p, s, s->in[0]->dt);
  } else if (kir_reduce_find(word, &s->op)) {
    s->kind = KIR_reduce;
    parse_operands(p, s, 1);
    parse_across(p, s);
  } else if (kir_op_find(word, &s->op)) {
    s->kind = KIR_op;
    parse_operands(p, s, op_get(s->op)->min_in);
    if (s->op == OP_cast) {
      parser_expect(p, "to");
      t->dt = parser_dtype(p);
    }
  } else {
    unknown_operation(p, word);
  }
  return false;
}

static void parse_definition(parser *p, kir_block *block, str name) {
  str word = parser_word(p, "a tile operation");
  size_t from = (size_t)(word.p - p->text.p);
  if (p->failed) return;
  kir_stmt *s = kir_append(p->k, block, KIR_op);
  kir_type t = {DT_f32, 1, 1};
  bool typed = parse_operation(p, s, word, &t);
  if (p->failed) return;
  diag_id wrong = typed ? DIAG_COUNT : kir_infer(s, t.dt, &t);
  if (wrong != DIAG_COUNT) {
    const char *line = str_dup(p->k->a, parser_line(p, (size_t)(name.p - p->text.p)));
    if (parser_first_failure(p)) diag_report(p->l, parser_span(p, from, p->at), wrong, line);
    return;
  }
  s->out = kir_tile_new(p->k, s, t.dt, t.rows, t.cols);
  parser_show(p, name, s->out, NULL);
}

// -- statements --

static void parse_let(parser *p, kir_block *block) {
  str name = parser_word(p, "a name");
  parser_expect(p, "=");
  const idx *value = parser_index(p);
  sym *s = parser_new_symbol(p, name);
  if (p->failed) return;
  kir_stmt *let = kir_append(p->k, block, KIR_let);
  let->var = s;
  let->index = value;
  kir_bound_let(s, value);
  parser_show(p, name, NULL, s);
}

static void parse_store(parser *p, kir_block *block) {
  kir_stmt *s = kir_append(p->k, block, KIR_store);
  s->acc = parse_access(p);
  parser_expect(p, "=");
  parse_operands(p, s, 1);
  if (p->failed) return;
  s->rows = s->in[0]->rows;
  s->cols = s->in[0]->cols;
  if (parser_accept(p, ":")) parse_shape(p, &s->rows, &s->cols);
  s->where = parse_where(p);
}

static void parse_copy(parser *p, kir_block *block) {
  kir_stmt *s = kir_append(p->k, block, KIR_copy);
  s->acc = parse_access(p);
  parser_expect(p, "=");
  s->from = parse_access(p);
  parser_expect(p, ":");
  parse_shape(p, &s->rows, &s->cols);
  if (p->failed) return;
  parse_masked(p, s, s->from.buf->dt);
  if (!parser_accept(p, "then")) return;
  str loaded = parser_tile_name(p);
  parser_expect(p, "{");
  if (p->failed) return;
  size_t mark = p->scope.n;
  parser_show(p, loaded, kir_loaded_new(p->k, s), NULL);
  parse_block(p, &s->body, 1, s->yield);
  close_scope(p, mark);
}

static void parse_fault(parser *p, kir_block *block) {
  kir_stmt *s = kir_append(p->k, block, KIR_fault);
  s->site = parser_int(p, "a site", 0, INT64_MAX - 1);
  parser_expect(p, ":");
  parse_shape(p, &s->rows, &s->cols);
  s->where = parse_where(p);
}

typedef VEC(str) name_list;

static void parse_carry(parser *p, kir_stmt *s, name_list *names) {
  VEC(kir_tile *) init = {0};
  if (!parser_accept(p, "carry")) return;
  parser_expect(p, "(");
  do {
    str name = parser_tile_name(p);
    parser_expect(p, "=");
    vec_push(p->k->a, names, name);
    vec_push(p->k->a, &init, parse_tile(p));
  } while (parser_accept(p, ","));
  parser_expect(p, ")");
  if (!p->failed) kir_carry_new(p->k, s, (uint32_t)init.n, init.at);
}

static void parse_for(parser *p, kir_block *block, const name_list *results) {
  kir_stmt *s = kir_append(p->k, block, KIR_for);
  str name = parser_word(p, "the name of a loop");
  parser_expect(p, "in");
  s->lo = parser_index(p);
  parser_expect(p, "..");
  s->hi = parser_index(p);
  parser_expect(p, "step");
  s->step = parser_int(p, "a step", 1, INT64_MAX);
  if (parser_accept(p, "unroll")) s->unroll = parser_int(p, "the unrolling", 1, KIR_MAX_UNROLL);
  name_list carried = {0};
  parse_carry(p, s, &carried);
  parser_skip_space(p);
  if (carried.n != results->n) PARSER_FAIL(p, p->at, p->at, kernel_expected, "as many carried tiles as results");
  sym *var = parser_new_symbol(p, name);
  parser_expect(p, "{");
  if (p->failed) return;
  kir_bound_loop(p->k, var, s->lo, s->hi, s->step);
  s->var = var;
  size_t mark = p->scope.n;
  parser_show(p, name, NULL, var);
  for (uint32_t i = 0; i < s->n_carry; i++) parser_show(p, carried.at[i], s->carry[i], NULL);
  parse_block(p, &s->body, s->n_carry, s->yield);
  close_scope(p, mark);
  for (uint32_t i = 0; i < s->n_carry; i++) parser_show(p, results->at[i], s->result[i], NULL);
}

static void parse_if(parser *p, kir_block *block) {
  kir_stmt *s = kir_append(p->k, block, KIR_if);
  s->index = parser_index(p);
  parser_expect(p, ">=");
  (void)parser_int(p, "0", 0, 0);
  parser_expect(p, "{");
  if (!p->failed) parse_block(p, &s->body, 0, NULL);
  if (!parser_accept(p, "else")) return;
  parser_expect(p, "{");
  if (!p->failed) parse_block(p, &s->other, 0, NULL);
}

static void parse_defining(parser *p, kir_block *block) {
  name_list names = {0};
  do vec_push(p->k->a, &names, parser_tile_name(p));
  while (parser_accept(p, ","));
  parser_expect(p, "=");
  if (parser_accept(p, "for")) parse_for(p, block, &names);
  else if (names.n == 1) parse_definition(p, block, names.at[0]);
  else PARSER_FAIL(p, p->at, p->at, kernel_expected, "`for`");
}

static void parse_stmt(parser *p, kir_block *block) {
  if (parser_accept(p, "let")) parse_let(p, block);
  else if (parser_accept(p, "store")) parse_store(p, block);
  else if (parser_accept(p, "copy")) parse_copy(p, block);
  else if (parser_accept(p, "prefetch")) kir_append(p->k, block, KIR_prefetch)->acc = parse_access(p);
  else if (parser_accept(p, "barrier")) kir_append(p->k, block, KIR_barrier);
  else if (parser_accept(p, "fault")) parse_fault(p, block);
  else if (parser_accept(p, "for")) parse_for(p, block, &(name_list){0});
  else if (parser_accept(p, "if")) parse_if(p, block);
  else if (p->at < p->text.n && p->text.p[p->at] == '%') parse_defining(p, block);
  else PARSER_FAIL(p, p->at, p->at, kernel_expected, "a statement or `}`");
}
