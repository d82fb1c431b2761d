// Parsing nodes and regions of the text form: operands, attributes by the operator's row, types, scope, spans.
#include "ir/graph_text.h"
#include "ir/infer.h"

#include <string.h>

enum { MAX_ATTRS = 16 };

typedef VEC(ir_value *) value_list;
typedef VEC(str) name_list;
typedef VEC(ir_type) type_list;
typedef VEC(ir_region *) region_list;
typedef VEC(diag_span) span_list;

// -- values --

bool graph_value_name(graph_reader *r, str *name) {
  if (!graph_looking_at(r, "%")) return graph_expected(r, "a value");
  const char *from = r->p++;
  if (r->p == r->end || strchr(" \t\r\n#", *r->p) != NULL || !graph_word(r, name, "the name of a value")) {
    r->p = from;
    return graph_expected(r, "a value");
  }
  *name = (str){from, (size_t)(r->p - from)};
  return true;
}

bool graph_define(graph_reader *r, graph_scope *s, str name, ir_value *v) {
  if (map_add(s->values, name, v)) return true;
  diag_at(r->l, graph_span(r, name.p, name.p + name.n), graph_duplicate, "value", str_dup(r->a, name));
  return false;
}

bool graph_value(graph_reader *r, graph_scope *s, ir_value **v) {
  str name;
  if (!graph_value_name(r, &name)) return false;
  *v = map_get(s->values, name);
  const ir_region *home = *v == NULL ? NULL : (*v)->def != NULL ? (*v)->def->parent : (*v)->param_of;
  if (home != NULL && map_get_ptr(s->ended, home) == NULL) return true;
  diag_at(r->l, graph_span(r, name.p, r->p), graph_unknown_value, str_dup(r->a, name));
  return false;
}

// -- attributes --

static bool parse_list(graph_reader *r, bool (*item)(graph_reader *r, void *list), void *list) {
  if (!graph_want(r, "[")) return false;
  for (size_t n = 0; !graph_looking_at(r, "]"); n++) {
    if ((n > 0 && !graph_want(r, ",")) || !item(r, list)) return false;
  }
  return graph_want(r, "]");
}

typedef struct number_list {
  VEC(double) f;
  VEC(int64_t) i;
  bool all_ints;
} number_list;

static bool add_number(graph_reader *r, void *list) {
  number_list *to = list;
  double f;
  int64_t i = 0;
  bool is_int;
  if (!graph_number_value(r, &f, &i, &is_int)) return false;
  to->all_ints = to->all_ints && is_int;
  vec_push(r->a, &to->f, f);
  vec_push(r->a, &to->i, i);
  return true;
}

static bool add_int(graph_reader *r, void *list) {
  number_list *to = list;
  int64_t i;
  if (!graph_int(r, &i)) return false;
  vec_push(r->a, &to->i, i);
  return true;
}

typedef VEC(const idx *) idx_list;

static bool add_idx(graph_reader *r, void *list) {
  const idx *e;
  if (!graph_idx(r, &e)) return false;
  vec_push(r->a, (idx_list *)list, e);
  return true;
}

static bool parse_attr_list(graph_reader *r, schema_kind kind, const char *key, ir_attr *x) {
  number_list numbers = {.all_ints = true};
  idx_list indices = {0};
  if (kind == SCHEMA_idxs) {
    if (!parse_list(r, add_idx, &indices)) return false;
    *x = attr_idxs(r->m, key, indices.n, indices.at);
    return true;
  }
  if (!parse_list(r, kind == SCHEMA_ints ? add_int : add_number, &numbers)) return false;
  *x = numbers.all_ints ? attr_ints(r->m, key, numbers.i.n, numbers.i.at)
                        : attr_floats(r->m, key, numbers.f.n, numbers.f.at);
  return true;
}

static bool parse_attr_value(graph_reader *r, schema_kind kind, const char *key, ir_attr *x) {
  int64_t i = 0;
  double f;
  bool is_int;
  const char *text;
  const idx *e;
  str word;
  dtype dt;
  switch (kind) {
  case SCHEMA_int:
    if (!graph_int(r, &i)) return false;
    *x = attr_int(r->m, key, i);
    return true;
  case SCHEMA_any:
    if (graph_looking_at(r, "[")) return parse_attr_list(r, kind, key, x);
    if (!graph_number_value(r, &f, &i, &is_int)) return false;
    *x = is_int ? attr_int(r->m, key, i) : attr_float(r->m, key, f);
    return true;
  case SCHEMA_float:
    if (!graph_number_value(r, &f, &i, &is_int)) return false;
    *x = attr_float(r->m, key, f);
    return true;
  case SCHEMA_str:
    if (!graph_string(r, &text)) return false;
    *x = attr_str(r->m, key, text);
    return true;
  case SCHEMA_idx:
    if (!graph_idx(r, &e)) return false;
    *x = attr_idx(r->m, key, e);
    return true;
  case SCHEMA_dtype:
    if (!graph_word(r, &word, "a dtype")) return false;
    if (!dtype_parse(word, &dt)) {
      r->p = word.p;
      return graph_expected(r, "a dtype");
    }
    *x = attr_dtype(r->m, key, dt);
    return true;
  case SCHEMA_ints:
  case SCHEMA_idxs: break;
  }
  return parse_attr_list(r, kind, key, x);
}

static bool parse_attrs(graph_reader *r, const op_info *info, ir_attr *attrs, uint32_t *n) {
  schema_item item;
  str word;
  do {
    if (!graph_word(r, &word, "an attribute")) return false;
    if (!schema_find(info, word, &item) || *n == MAX_ATTRS) {
      const char *problem = str_fmt(r->a, "it has no attribute `%.*s`", (int)word.n, word.p);
      diag_at(r->l, graph_span(r, word.p, r->p), graph_attribute, info->name, problem);
      return false;
    }
    const char *key = intern(r->m->names, word);
    if (!graph_want(r, "=") || !parse_attr_value(r, item.kind, key, &attrs[*n])) return false;
    ++*n;
  } while (graph_take(r, ","));
  return graph_want(r, "}");
}

// -- regions --

static bool parse_region(graph_reader *r, graph_scope *s, ir_region *outer, ir_region **out) {
  name_list names = {0};
  type_list types = {0};
  str name;
  ir_type t;
  if (++r->depth > GRAPH_MAX_NESTING) return graph_expected(r, "less deeply nested regions");
  while (!graph_looking_at(r, ")")) {
    if (names.n > 0 && !graph_want(r, ",")) return false;
    if (!graph_value_name(r, &name) || !graph_want(r, ":") || !graph_type(r, &t)) return false;
    vec_push(r->a, &names, name);
    vec_push(r->a, &types, t);
  }
  if (!graph_want(r, ")")) return false;
  ir_region *to = ir_region_new(outer->graph, outer, (uint32_t)names.n);
  for (size_t i = 0; i < names.n; i++) {
    if (!graph_define(r, s, names.at[i], ir_region_param(to, types.at[i]))) return false;
  }
  if (!graph_parse_nodes(r, s, to, "yield")) return false;
  value_list yields = {0};
  while (!graph_looking_at(r, "}")) {
    ir_value *v;
    if ((yields.n > 0 && !graph_want(r, ",")) || !graph_value(r, s, &v)) return false;
    vec_push(r->a, &yields, v);
  }
  ir_region_yield(to, (uint32_t)yields.n, yields.at);
  map_put_ptr(s->ended, to, to);
  r->depth--;
  *out = to;
  return graph_want(r, "}");
}

// -- trivia --

// The byte at line:column of a file, or NO_SPAN.
static diag_span find_place(const graph_reader *r, const char *file, int64_t line, int64_t column) {
  for (size_t i = 0; i < r->l->files.n; i++) {
    const diag_file *f = &r->l->files.at[i];
    if (strcmp(f->name, file) != 0) continue;
    size_t at = 0;
    for (; line > 1 && at < f->text.n; at++) line -= f->text.p[at] == '\n';
    for (; column > 1 && at < f->text.n; column--) {
      do at++; // columns count characters
      while (at < f->text.n && ((unsigned char)f->text.p[at] & 0xc0) == 0x80);
    }
    if (line == 1 && at <= f->text.n) return (diag_span){(uint32_t)i + 1, (uint32_t)at, (uint32_t)at};
  }
  return NO_SPAN;
}

static bool parse_trivia(graph_reader *r, const char **scope, span_list *spans) {
  if (graph_take(r, "@") && !graph_path(r, scope)) return false;
  while (graph_take(r, "!")) {
    const char *file;
    int64_t line, column;
    if (!graph_path(r, &file) || !graph_want(r, ":") || !graph_int(r, &line)) return false;
    if (!graph_want(r, ":") || !graph_int(r, &column)) return false;
    const diag_span at = find_place(r, file, line, column);
    if (at.file != 0) vec_push(r->a, spans, at);
  }
  return true;
}

// -- nodes --

typedef struct node_text {
  const char *from;
  name_list results;
  value_list in;
  region_list regions;
  type_list types;
  span_list spans;
  const char *scope;
  ir_attr attrs[MAX_ATTRS];
  uint32_t n_attrs;
  op_code op;
} node_text;

static bool parse_op(graph_reader *r, op_code *op) {
  str word;
  if (!graph_word(r, &word, "an operator")) return false;
  if (op_find(word, op)) return true;
  const char *names[OP_COUNT];
  for (int i = 0; i < OP_COUNT; i++) names[i] = op_get((op_code)i)->name;
  diag *d = diag_at(r->l, graph_span(r, word.p, r->p), graph_unknown_op, str_dup(r->a, word));
  const char *near = str_suggest(word, names, OP_COUNT);
  if (near != NULL) diag_note_to(r->l, d, "did you mean `%s`?", near);
  return false;
}

static bool parse_node(graph_reader *r, graph_scope *s, ir_region *region, node_text *t) {
  str name;
  ir_value *v;
  ir_type type;
  ir_region *inner = NULL;
  graph_skip(r);
  t->from = r->p;
  if (graph_looking_at(r, "%")) {
    do {
      if (!graph_value_name(r, &name)) return false;
      vec_push(r->a, &t->results, name);
    } while (graph_take(r, ","));
    if (!graph_want(r, "=")) return false;
  }
  if (!parse_op(r, &t->op) || !graph_want(r, "(")) return false;
  while (!graph_looking_at(r, ")")) {
    if ((t->in.n > 0 && !graph_want(r, ",")) || !graph_value(r, s, &v)) return false;
    vec_push(r->a, &t->in, v);
  }
  if (!graph_want(r, ")")) return false;
  while (graph_take(r, "{")) {
    if (!graph_take(r, "(")) {
      if (!parse_attrs(r, op_get(t->op), t->attrs, &t->n_attrs)) return false;
      continue;
    }
    if (!parse_region(r, s, region, &inner)) return false;
    vec_push(r->a, &t->regions, inner);
  }
  for (size_t i = 0; i < t->results.n; i++) {
    if (!graph_want(r, i == 0 ? ":" : ",") || !graph_type(r, &type)) return false;
    vec_push(r->a, &t->types, type);
  }
  const char *to = r->p;
  if (!parse_trivia(r, &t->scope, &t->spans)) return false;
  if (t->spans.n == 0) vec_push(r->a, &t->spans, graph_span(r, t->from, to));
  return true;
}

static bool build_node(graph_reader *r, graph_scope *s, ir_builder *b, const node_text *t) {
  const uint32_t n_out = (uint32_t)t->results.n;
  b->scope = t->scope;
  b->spans = (ir_spans){(uint32_t)t->spans.n, t->spans.at};
  const ir_node *n = ir_build(b, t->op, (uint32_t)t->in.n, t->in.at, t->n_attrs, t->attrs, n_out, t->types.at,
                              (uint32_t)t->regions.n, t->regions.at);
  if (n == NULL) return false;
  const diag_span at = graph_span(r, t->from, r->p);
  if (n->n_out != n_out) {
    diag_at(r->l, at, graph_result_count, op_get(t->op)->name, n->n_out, n_out);
    return false;
  }
  for (uint32_t i = 0; i < n_out; i++) {
    if (!ir_type_equal(n->out[i].type, t->types.at[i])) {
      strbuf is, written;
      sb_init(&is, r->a);
      sb_init(&written, r->a);
      ir_type_print(&is, n->out[i].type);
      ir_type_print(&written, t->types.at[i]);
      diag_at(r->l, at, graph_result_type, op_get(t->op)->name, i, sb_cstr(&is), sb_cstr(&written));
      return false;
    }
    if (!graph_define(r, s, t->results.at[i], &n->out[i])) return false;
  }
  return true;
}

bool graph_parse_nodes(graph_reader *r, graph_scope *s, ir_region *region, const char *stop) {
  const ir_builder *outer = r->builder;
  ir_builder b;
  if (outer) ir_builder_init_inner(&b, outer, region);
  else ir_builder_init(&b, r->m, region);
  b.cse = NULL; // node by node as written
  r->builder = &b;
  bool ok = true;
  while (ok && !graph_take_word(r, stop)) {
    node_text t = {.scope = intern_z(r->m->names, "")};
    ok = parse_node(r, s, region, &t) && build_node(r, s, &b, &t);
  }
  r->builder = outer;
  return ok;
}
