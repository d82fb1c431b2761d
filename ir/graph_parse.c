// Parsing modules: declarations and graphs. The grammar is that of docs/graph-ir.md; the first error ends it. Nodes are
// built by ir_build without merging, so that the text of any module reads back node by node.
#include "ir/graph_text.h"

static const int64_t MAX_DIM = (int64_t)1 << 40;

// -- declarations --

static bool declared_twice(graph_reader *r, const char *from, const char *what, const char *name) {
  diag_at(r->l, graph_span(r, from, r->p), graph_duplicate, what, name);
  return false;
}

static bool parse_dim(graph_reader *r) {
  str word;
  graph_skip(r);
  const char *from = r->p;
  if (!graph_word(r, &word, "the name of a dim")) return false;
  const char *name = intern(r->m->names, word);
  if (*from >= '0' && *from <= '9') {
    r->p = from;
    return graph_expected(r, "a name that begins with a letter");
  }
  if (idx_find_symbol(r->m->ix, name) != NULL) return declared_twice(r, from, "dim", name);
  const diag_span at = graph_span(r, from, r->p);
  int64_t lo, hi, step = 1, least;
  const idx *top;
  if (!graph_take_word(r, "in")) return graph_expected(r, "`in`");
  if (!graph_int(r, &lo) || !graph_want(r, "..")) return false;
  const char *range = r->p;
  if (!graph_idx(r, &top)) return false;
  if (!idx_range(r->m->ix, top, &least, &hi)) hi = INT64_MAX;
  if (graph_take_word(r, "step") && !graph_int(r, &step)) return false;
  const bool empty = lo > hi || (lo >= 0 && step > 0 && (hi / step) * step < lo);
  if (step < 1 || empty || lo < 0 || hi > MAX_DIM || step > MAX_DIM) {
    r->p = range;
    return graph_expected(r, "a range of 0 .. 2^40 that is not empty");
  }
  const ir_dim *d = ir_dim_add(r->m, name, lo, hi, step, at);
  if (!idx_is_const(top, NULL)) d->symbol->hi = top;
  return true;
}

static bool parse_weight_attr(graph_reader *r, ir_weight *w) {
  int64_t buffer;
  double f;
  bool is_int;
  if (graph_take_word(r, "init")) return graph_want(r, "=") && graph_string(r, &w->init);
  if (graph_take_word(r, "scale")) {
    if (!graph_want(r, "=") || !graph_number_value(r, &f, &buffer, &is_int)) return false;
    w->init_scale = f;
    return true;
  }
  if (!graph_take_word(r, "buffer")) return graph_expected(r, "`init`, `scale` or `buffer`");
  if (!graph_want(r, "=") || !graph_int(r, &buffer)) return false;
  w->is_buffer = buffer != 0;
  return true;
}

static bool parse_weight(graph_reader *r) {
  const char *name;
  ir_type t;
  graph_skip(r);
  const char *from = r->p;
  if (!graph_name(r, &name, "the name of a weight")) return false;
  if (ir_weight_find(r->m, name) != NULL) return declared_twice(r, from, "weight", name);
  const diag_span at = graph_span(r, from, r->p);
  if (!graph_want(r, ":") || !graph_type(r, &t)) return false;
  ir_weight *w = ir_weight_add(r->m, name, t, at);
  if (!graph_take(r, "{")) return true;
  do {
    if (!parse_weight_attr(r, w)) return false;
  } while (graph_take(r, ","));
  return graph_want(r, "}");
}

static bool parse_state(graph_reader *r) {
  const char *name;
  ir_type t;
  scalar init;
  graph_skip(r);
  const char *from = r->p;
  if (!graph_name(r, &name, "the name of a state")) return false;
  for (size_t i = 0; i < r->m->states.n; i++) {
    if (r->m->states.at[i]->name == name) return declared_twice(r, from, "state", name);
  }
  const diag_span at = graph_span(r, from, r->p);
  if (!graph_want(r, ":") || !graph_type(r, &t) || !graph_want(r, "=") || !graph_scalar(r, t.dt, &init)) return false;
  ir_state_add(r->m, name, t, init, at);
  return true;
}

// -- graphs --

static bool parse_params(graph_reader *r, graph_scope *s, ir_graph *g) {
  while (!graph_looking_at(r, ")")) {
    str value;
    const char *name;
    ir_type t;
    scalar dflt;
    if (g->body->n_params > 0 && !graph_want(r, ",")) return false;
    if (g->body->n_params == GRAPH_MAX_PARAMS) return graph_expected(r, "at most 256 parameters");
    if (!graph_value_name(r, &value) || !graph_name(r, &name, "the name of the parameter")) return false;
    for (uint32_t i = 0; i < g->body->n_params; i++) {
      if (g->param_names[i] == name) return declared_twice(r, r->p - 1, "parameter", name);
    }
    if (!graph_want(r, ":") || !graph_type(r, &t)) return false;
    const bool optional = graph_take(r, "=");
    if (optional && !graph_scalar(r, t.dt, &dflt)) return false;
    if (!graph_define(r, s, value, ir_graph_param(g, name, t, optional ? &dflt : NULL))) return false;
  }
  return graph_want(r, ")");
}

static bool parse_outputs(graph_reader *r, graph_scope *s, ir_graph *g) {
  while (!graph_looking_at(r, "}")) {
    const char *name;
    ir_value *v;
    if (g->body->n_yields > 0 && !graph_want(r, ",")) return false;
    if (!graph_name(r, &name, "the name of an output")) return false;
    for (uint32_t i = 0; i < g->body->n_yields; i++) {
      if (g->output_names[i] == name) return declared_twice(r, r->p - 1, "output", name);
    }
    if (!graph_want(r, ":") || !graph_value(r, s, &v)) return false;
    ir_graph_output(g, name, v);
  }
  return graph_want(r, "}");
}

static bool parse_graph(graph_reader *r) {
  const char *name;
  graph_skip(r);
  const char *from = r->p;
  if (!graph_name(r, &name, "the name of a graph")) return false;
  if (ir_graph_find(r->m, name) != NULL) return declared_twice(r, from, "graph", name);
  ir_graph *g = ir_graph_new(r->m, name, false);
  graph_scope s = {.values = map_new(r->a), .ended = map_new(r->a)};
  if (!graph_want(r, "(") || !parse_params(r, &s, g) || !graph_want(r, "{")) return false;
  if (!graph_parse_nodes(r, &s, g->body, "return") || !parse_outputs(r, &s, g)) return false;
  vec_push(r->a, &r->m->graphs, g); // only now: a graph does not call itself
  return true;
}

ir_module *graph_parse(arena *a, diag_list *l, uint32_t file) {
  const diag_file *f = &l->files.at[file - 1];
  const size_t errors = l->n_errors;
  graph_reader r = {.a = a, .l = l, .file = file, .begin = f->text.p, .p = f->text.p, .end = f->text.p + f->text.n};
  r.m = ir_module_new(a, l, f->name);
  bool good = true;
  while (good && !graph_at_end(&r)) {
    if (graph_take_word(&r, "dim")) good = parse_dim(&r);
    else if (graph_take_word(&r, "weight")) good = parse_weight(&r);
    else if (graph_take_word(&r, "state")) good = parse_state(&r);
    else if (graph_take_word(&r, "graph")) good = parse_graph(&r);
    else good = graph_expected(&r, "`dim`, `weight`, `state` or `graph`");
  }
  return good && l->n_errors == errors ? r.m : NULL;
}
