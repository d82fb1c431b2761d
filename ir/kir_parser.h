// What ir/kir_parse.c (lexing, header) and ir/kir_parse_stmt.c (statements) share. Nobody else includes this.
#ifndef NNC_IR_KIR_PARSER_H
#define NNC_IR_KIR_PARSER_H

#include "ir/kir_priv.h"

// A tile (key "%name") or a symbol (key "name"); no longer visible once its block has ended.
typedef struct parser_name {
  kir_tile *tile;
  const sym *symbol;
  bool visible;
} parser_name;

typedef struct parser {
  kir_kernel *k;
  diag_list *l;
  uint32_t file;
  str text;
  size_t at;   // byte offset
  bool failed; // the first error ends parsing: every function below then gives nothing, quietly
  bool quiet;  // looking ahead: no diagnostics
  map *names;  // -> parser_name
  VEC(parser_name *) scope;
  str unknown; // what the index parser last asked for in vain
  size_t facts_seen;
  int depth;
} parser;

bool parser_first_failure(parser *p); // true when this failure is to be reported
diag_span parser_span(const parser *p, size_t from, size_t to);
#define PARSER_FAIL(p, from, to, ...)                                                                                  \
  (parser_first_failure(p) ? (void)diag_at((p)->l, parser_span((p), (from), (to)), __VA_ARGS__) : (void)0)

// -- lexing: white space, line ends and comments (# to the end of the line) are skipped first --
void parser_skip_space(parser *p);
bool parser_accept(parser *p, const char *token); // a word only where it ends there
void parser_expect(parser *p, const char *token);
bool parser_at_end(parser *p);
str parser_word(parser *p, const char *what); // an identifier; empty after a failure
str parser_tile_name(parser *p);              // with its %
str parser_number(parser *p);                 // the spelling of a number, inf, nan, true or false
int64_t parser_int(parser *p, const char *what, int64_t lo, int64_t hi);
dtype parser_dtype(parser *p);
str parser_line(const parser *p, size_t from); // from there to the end of the line

// -- names and expressions --
const idx *parser_index(parser *p); // up to what cannot continue it, at most to the end of the line; never NULL
sym *parser_new_symbol(parser *p, str name); // not visible yet; never NULL
void parser_show(parser *p, str key, kir_tile *tile, const sym *symbol);
void parser_unknown(parser *p, str word, const char *what, const char *const *candidates, size_t n);

void parser_body(parser *p, kir_block *block); // statements up to and with `}`

#endif
