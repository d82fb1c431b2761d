// Modules, dims, weights, states, graphs, regions and types: what holds the nodes of the graph IR. Building nodes is in
// ir/build.c; reading attributes in ir/graph_attr.c; copying in ir/graph_copy.c. Everything lives in the module's
// arena.
#include "ir/graph.h"

#include <string.h>

enum { MAX_GRAPH_PARAMS = 256 };

ir_module *ir_module_new(arena *a, diag_list *l, const char *name) {
  ir_module *m = ARENA_NEW(a, ir_module);
  m->a = a;
  m->names = interner_new(a);
  m->ix = idx_ctx_new(a, m->names, l);
  m->diags = l;
  m->name = intern_z(m->names, name);
  m->weight_by_name = map_new(a);
  m->node_maps = map_new(a);
  m->node_elems = map_new(a);
  return m;
}

ir_dim *ir_dim_add(ir_module *m, const char *name, int64_t lo, int64_t hi, int64_t step, diag_span at) {
  ir_dim *d = ARENA_NEW(m->a, ir_dim);
  *d = (ir_dim){.symbol = idx_symbol(m->ix, name), .lo = lo, .hi = hi, .step = step < 1 ? 1 : step, .span = at};
  d->symbol->step = d->step;
  d->symbol->lo =
      idx_int(m->ix, lo >= 0 ? (lo + d->step - 1) / d->step * d->step : lo); // the multiples inside the range
  d->symbol->hi = idx_int(m->ix, hi >= 0 ? hi / d->step * d->step : hi);
  vec_push(m->a, &m->dims, d);
  return d;
}

ir_weight *ir_weight_find(const ir_module *m, const char *name) { return map_get(m->weight_by_name, str_of(name)); }

ir_weight *ir_weight_add(ir_module *m, const char *name, ir_type type, diag_span at) {
  ir_weight *w = ir_weight_find(m, name);
  if (w != NULL) return w;
  w = ARENA_NEW(m->a, ir_weight);
  w->name = intern_z(m->names, name);
  w->type = type;
  w->span = at;
  vec_push(m->a, &m->weights, w);
  map_put(m->weight_by_name, str_of(name), w);
  return w;
}

ir_state *ir_state_add(ir_module *m, const char *name, ir_type type, scalar init, diag_span at) {
  ir_state *s = ARENA_NEW(m->a, ir_state);
  *s = (ir_state){.name = intern_z(m->names, name), .type = type, .init = init, .span = at};
  vec_push(m->a, &m->states, s);
  return s;
}

ir_graph *ir_graph_find(const ir_module *m, const char *name) {
  for (size_t i = 0; i < m->graphs.n; i++) {
    if (strcmp(m->graphs.at[i]->name, name) == 0) return m->graphs.at[i];
  }
  return NULL;
}

void ir_graph_replace(ir_module *m, ir_graph *old, ir_graph *with) {
  for (size_t i = 0; i < m->graphs.n; i++) {
    if (m->graphs.at[i] == old) m->graphs.at[i] = with;
  }
}

// -- graphs and regions --

ir_graph *ir_graph_new(ir_module *m, const char *name, bool add_to_module) {
  ir_graph *g = ARENA_NEW(m->a, ir_graph);
  g->name = intern_z(m->names, name);
  g->module = m;
  g->param_names = ARENA_ARRAY(m->a, const char *, MAX_GRAPH_PARAMS);
  g->param_defaults = ARENA_ARRAY(m->a, const scalar *, MAX_GRAPH_PARAMS);
  g->body = ir_region_new(g, NULL, MAX_GRAPH_PARAMS);
  if (add_to_module) vec_push(m->a, &m->graphs, g);
  return g;
}

ir_region *ir_region_new(ir_graph *g, ir_region *outer, uint32_t max_params) {
  ir_region *r = ARENA_NEW(g->module->a, ir_region);
  r->graph = g;
  r->outer = outer;
  r->params = ARENA_ARRAY(g->module->a, ir_value, max_params);
  return r;
}

ir_value *ir_region_param(ir_region *r, ir_type type) {
  ir_value *v = &r->params[r->n_params];
  *v = (ir_value){.param_of = r, .index = r->n_params++, .id = r->graph->module->next_value_id++, .type = type};
  return v;
}

ir_value *ir_graph_param(ir_graph *g, const char *name, ir_type type, const scalar *dflt) {
  const uint32_t n = g->body->n_params;
  BUG_IF(g->module->diags, n >= MAX_GRAPH_PARAMS, "graph `%s` has too many parameters", g->name);
  g->param_names[n] = intern_z(g->module->names, name);
  if (dflt != NULL) g->param_defaults[n] = arena_copy(g->module->a, dflt, sizeof *dflt);
  return ir_region_param(g->body, type);
}

// Appends to an array that is as long as the power of two at or above n.
static void *grow_by_one(arena *a, const void *at, uint32_t n, size_t elem_bytes) {
  if (n > 0 && (n & (n - 1)) != 0) return (void *)(uintptr_t)at;
  void *to = arena_array(a, n == 0 ? 1 : 2 * (size_t)n, elem_bytes);
  if (n > 0) memcpy(to, at, n * elem_bytes);
  return to;
}

void ir_graph_output(ir_graph *g, const char *name, ir_value *v) {
  arena *a = g->module->a;
  ir_region *r = g->body;
  g->output_names = grow_by_one(a, g->output_names, r->n_yields, sizeof *g->output_names);
  r->yields = grow_by_one(a, r->yields, r->n_yields, sizeof(ir_value *));
  g->output_names[r->n_yields] = intern_z(g->module->names, name);
  r->yields[r->n_yields++] = v;
}

void ir_region_yield(ir_region *r, uint32_t n, ir_value *const *v) {
  r->yields = arena_array(r->graph->module->a, n, sizeof(ir_value *));
  for (uint32_t i = 0; i < n; i++) r->yields[i] = v[i];
  r->n_yields = n;
}

// -- types --

ir_type ir_type_make(ir_module *m, dtype dt, uint32_t rank, const idx *const *dim) {
  return (ir_type){.dt = dt, .rank = rank, .dim = arena_copy(m->a, dim, rank * sizeof *dim)};
}

ir_type ir_type_ints(ir_module *m, dtype dt, uint32_t rank, const int64_t *dim) {
  const idx *at[IR_MAX_RANK];
  BUG_IF(m->diags, rank > IR_MAX_RANK, "a type of rank %u", rank);
  for (uint32_t i = 0; i < rank; i++) at[i] = idx_int(m->ix, dim[i]);
  return ir_type_make(m, dt, rank, at);
}

bool ir_type_equal(ir_type a, ir_type b) {
  if (a.dt != b.dt || a.rank != b.rank) return false;
  for (uint32_t i = 0; i < a.rank; i++) {
    if (a.dim[i] != b.dim[i]) return false;
  }
  return true;
}

bool ir_type_fits(ir_type t) {
  const int64_t most = (int64_t)1 << 56;
  int64_t count = 1, n;
  for (uint32_t i = 0; i < t.rank; i++) {
    if (!idx_is_const(t.dim[i], &n) || n <= 0) continue;
    if (n > most / count) return false;
    count *= n;
  }
  return true;
}

const idx *ir_type_count(ir_module *m, ir_type t) { return idx_product(m->ix, t.rank, t.dim); }

void ir_type_print(strbuf *b, ir_type t) {
  sb_fmt(b, "%s[", dtype_name(t.dt));
  for (uint32_t i = 0; i < t.rank; i++) {
    if (i > 0) sb_char(b, ',');
    idx_print(b, t.dim[i]);
  }
  sb_char(b, ']');
}
