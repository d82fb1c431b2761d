// The text form of the graph IR: what printer, parser and verifier share. Nobody else includes this.
#ifndef NNC_IR_GRAPH_TEXT_H
#define NNC_IR_GRAPH_TEXT_H

#include "ir/graph.h"

enum { GRAPH_MAX_NESTING = 256, GRAPH_MAX_PARAMS = 256 };

// -- printing (ir/graph_print.c) --
map *graph_number(arena *a, const ir_graph *g); // value -> its number in the text, plus 1
// One node on one line, its regions left out as `{...}`.
void graph_print_node(strbuf *b, const map *numbers, const ir_node *n);

// -- reading (ir/graph_lex.c) --
typedef struct graph_reader {
  arena *a;
  diag_list *l;
  uint32_t file;
  const char *begin, *p, *end;
  ir_module *m;
  int depth;                 // of regions
  const ir_builder *builder; // of the innermost region being read; NULL outside
} graph_reader;

diag_span graph_span(const graph_reader *r, const char *from, const char *to);
bool graph_expected(graph_reader *r, const char *what); // reports at p; false
void graph_skip(graph_reader *r);                       // white space and `#` comments
bool graph_at_end(graph_reader *r);
bool graph_looking_at(graph_reader *r, const char *punctuation);
bool graph_take(graph_reader *r, const char *punctuation);             // skips, then takes it if it is there
bool graph_want(graph_reader *r, const char *punctuation);             // or reports
bool graph_take_word(graph_reader *r, const char *word);               // a whole word
bool graph_word(graph_reader *r, str *word, const char *what);         // [A-Za-z0-9_]+, or reports
bool graph_name(graph_reader *r, const char **name, const char *what); // [A-Za-z0-9_.-]+ or a quoted string; interned
bool graph_path(graph_reader *r, const char **name);                   // the same with `/`, and `:` ends it
bool graph_string(graph_reader *r, const char **text);                 // quoted; interned
bool graph_int(graph_reader *r, int64_t *v);
// A number; *is_int tells whether it is written as an integer (then *i is set too).
bool graph_number_value(graph_reader *r, double *f, int64_t *i, bool *is_int);
bool graph_idx(graph_reader *r, const idx **e); // over the module's dims
bool graph_type(graph_reader *r, ir_type *t);
bool graph_scalar(graph_reader *r, dtype dt, scalar *s);
bool graph_bare_name(const char *z, const char *more); // whether it prints without quotes

// -- parsing nodes (ir/graph_parse_node.c) --
typedef struct graph_scope {
  map *values; // name -> ir_value *; every name of the graph, also of regions that ended
  map *ended;  // ir_region * -> itself: regions whose values may no longer be used
} graph_scope;

// Nodes up to (not including) `stop`, a word.
bool graph_parse_nodes(graph_reader *r, graph_scope *s, ir_region *region, const char *stop);
bool graph_define(graph_reader *r, graph_scope *s, str name, ir_value *v);
bool graph_value_name(graph_reader *r, str *name); // `%` and a word
bool graph_value(graph_reader *r, graph_scope *s, ir_value **v);

#endif
