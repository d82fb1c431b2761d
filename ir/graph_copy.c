// Copying nodes and whole graphs: what passes that rebuild a graph are made of. Copies go through ir_build, so that
// they are checked and merged like any node.
#include "ir/graph.h"

typedef struct copier { // what ir_rebuild does with nodes; f NULL: plain copies
  bool (*f)(void *user, ir_builder *b, const ir_node *n, map *values);
  void *user;
} copier;

static ir_value *mapped(const map *values, const ir_value *v) { return map_get_ptr(values, v); }

static ir_node *copy_with(const copier *c, ir_builder *b, const ir_node *n, ir_value *const *in, map *values);

// One node of a region: handled by f, or copied.
static bool copy_in(const copier *c, ir_builder *b, const ir_node *n, map *values) {
  b->scope = n->scope;
  b->spans = n->spans;
  if (c->f && c->f(c->user, b, n, values)) return true;
  ir_value **in = ARENA_ARRAY(b->m->a, ir_value *, n->n_in);
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = mapped(values, n->in[i]);
  return copy_with(c, b, n, in, values) != NULL;
}

static ir_region *copy_region(const copier *c, ir_builder *b, const ir_region *r, map *values) {
  ir_region *to = ir_region_new(b->region->graph, b->region, r->n_params);
  ir_builder inner;
  ir_builder_init_inner(&inner, b, to); // a group's nodes are counted: no check is added
  for (uint32_t i = 0; i < r->n_params; i++) map_put_ptr(values, &r->params[i], ir_region_param(to, r->params[i].type));
  for (const ir_node *n = r->first; n != NULL; n = n->next)
    if (!copy_in(c, &inner, n, values)) return NULL;
  ir_value **yields = ARENA_ARRAY(b->m->a, ir_value *, r->n_yields);
  for (uint32_t i = 0; i < r->n_yields; i++) yields[i] = mapped(values, r->yields[i]);
  ir_region_yield(to, r->n_yields, yields);
  return to;
}

static ir_node *copy_with(const copier *c, ir_builder *b, const ir_node *n, ir_value *const *in, map *values) {
  arena *a = b->m->a;
  ir_region **regions = ARENA_ARRAY(a, ir_region *, n->n_regions);
  ir_type *types = ARENA_ARRAY(a, ir_type, n->n_out);
  const copier whole = {NULL, NULL};
  if (n->op == OP_group) c = &whole; // passes take a group as one operator
  for (uint32_t i = 0; i < n->n_regions; i++) {
    regions[i] = copy_region(c, b, n->regions[i], values);
    if (regions[i] == NULL) return NULL;
  }
  for (uint32_t i = 0; i < n->n_out; i++) types[i] = n->out[i].type;
  b->scope = n->scope;
  b->spans = n->spans;
  ir_node *to = ir_build(b, n->op, n->n_in, in, n->n_attrs, n->attrs, n->n_out, types, n->n_regions, regions);
  for (uint32_t i = 0; to != NULL && i < n->n_out; i++) map_put_ptr(values, &n->out[i], &to->out[i]);
  return to;
}

ir_node *ir_copy_node(ir_builder *b, const ir_node *n, ir_value *const *in, map *values) {
  return copy_with(&(copier){NULL, NULL}, b, n, in, values);
}

ir_graph *ir_rebuild(ir_graph *g, bool (*f)(void *user, ir_builder *b, const ir_node *n, map *values), void *user) {
  ir_module *m = g->module;
  ir_graph *to = ir_graph_new(m, g->name, false);
  map *values = map_new(m->a);
  ir_builder b;
  ir_builder_init(&b, m, to->body);
  for (uint32_t i = 0; i < g->body->n_params; i++) {
    const ir_value *p = &g->body->params[i];
    map_put_ptr(values, p, ir_graph_param(to, g->param_names[i], p->type, g->param_defaults[i]));
  }
  const copier c = {f, user};
  for (const ir_node *n = g->body->first; n != NULL; n = n->next) copy_in(&c, &b, n, values);
  for (uint32_t i = 0; i < g->body->n_yields; i++) {
    ir_graph_output(to, g->output_names[i], mapped(values, g->body->yields[i]));
  }
  return to;
}
