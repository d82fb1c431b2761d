// Dead code elimination: a node lives when an output, a yield or an effect needs it. One backward walk, then one
// rebuild.
#include "passes/pass.h"

typedef struct liveness {
  map *live; // ir_node * -> itself
} liveness;

static void mark_region(liveness *l, const ir_region *r);

static void mark_node(liveness *l, const ir_node *n) {
  map_put_ptr(l->live, n, (void *)(uintptr_t)1);
  for (uint32_t i = 0; i < n->n_in; i++)
    if (n->in[i]->def) map_put_ptr(l->live, n->in[i]->def, (void *)(uintptr_t)1);
  for (uint32_t i = 0; i < n->n_regions; i++) mark_region(l, n->regions[i]);
}

// An update of what a pure operator made is no version of a state.
static bool is_pure_update(const ir_node *n) {
  return n->op == OP_update && n->in[0]->def && op_has(n->in[0]->def->op, OPF_PURE);
}

// Something in it is kept for what it does.
static bool has_effect(const ir_node *n) {
  if (is_pure_update(n)) return false;
  if (op_has(n->op, OPF_EFFECT)) return true;
  for (uint32_t i = 0; i < n->n_regions; i++)
    for (const ir_node *q = n->regions[i]->first; q; q = q->next)
      if (has_effect(q)) return true;
  return false;
}

// Nodes are in topological order, so walking them backwards sees every use before its definition.
static void mark_region(liveness *l, const ir_region *r) {
  for (uint32_t i = 0; i < r->n_yields; i++)
    if (r->yields[i]->def) map_put_ptr(l->live, r->yields[i]->def, (void *)(uintptr_t)1);
  const ir_node **order = NULL;
  arena *a = r->graph->module->a;
  order = ARENA_ARRAY(a, const ir_node *, r->n_nodes + 1);
  uint32_t n = 0;
  for (const ir_node *p = r->first; p; p = p->next) order[n++] = p;
  while (n--) {
    const ir_node *p = order[n];
    if (map_get_ptr(l->live, p) || has_effect(p)) mark_node(l, p);
  }
}

static bool copy_live(void *user, ir_builder *b, const ir_node *n, map *values) {
  (void)b, (void)values;
  return !map_get_ptr(((liveness *)user)->live, n); // true = handled: a dead node maps to nothing
}

bool pass_dce(pass_context *c, ir_module *m) {
  for (size_t g = 0; g < m->graphs.n; g++) {
    ir_graph *old = m->graphs.at[g];
    liveness l = {map_new(c->a)};
    mark_region(&l, old->body);
    ir_graph_replace(m, old, ir_rebuild(old, copy_live, &l));
  }
  return true;
}
