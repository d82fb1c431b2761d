// Versions: after this pass every update group may write its target in place. The target is the last that is seen of
// that version: where a later operator, the group itself or an output reads it, or the memory is not the region's own
// (an input, a weight, a constant, a value of an outer region), a group before the update copies it.
//
// In a fused graph the order of nodes is the order in which they run, so that "later" is a number. Linear in nodes.
#include "passes/fuse.h"
#include <string.h>

typedef struct versions {
  arena *a;
  map *last_use; // ir_value * -> number of the last node of its own region that reads it; yields come after all nodes
  map *number;   // ir_node * -> its number in its region, from 1
} versions;

typedef struct enclosing { // the node whose region is walked
  const ir_region *region;
  uintptr_t at;
  const struct enclosing *outer;
} enclosing;

static const ir_region *home_of(const ir_value *v) { return v->def ? v->def->parent : v->param_of; }

// A use inside deeper regions counts where the node stands that holds them.
static void note_use(versions *x, const ir_value *v, const enclosing *e) {
  while (e->region != home_of(v)) e = e->outer;
  if (e->at > (uintptr_t)map_get_ptr(x->last_use, v)) map_put_ptr(x->last_use, v, (void *)e->at);
}

static void walk(versions *x, const ir_region *r, const enclosing *outer) {
  enclosing e = {r, 0, outer};
  for (const ir_node *n = r->first; n; n = n->next) {
    e.at++;
    map_put_ptr(x->number, n, (void *)e.at);
    for (uint32_t i = 0; i < n->n_in; i++) note_use(x, n->in[i], &e);
    for (uint32_t i = 0; n->op != OP_group && i < n->n_regions; i++) walk(x, n->regions[i], &e);
  }
  e.at++;
  for (uint32_t i = 0; i < r->n_yields; i++) note_use(x, r->yields[i], &e);
}

// Memory that the region may write: what its own operators stored, a carried value, a state in the graph's own body.
static bool is_own(const ir_value *v, const ir_region *r) {
  if (home_of(v) != r) return false;
  if (!v->def) return r->outer != NULL;
  if (v->def->op == OP_state) return r->outer == NULL;
  return op_get(v->def->op)->cls == OPC_control;
}

static bool is_last_use(const versions *x, const ir_node *update) {
  const ir_value *written = update->in[0];
  for (uint32_t i = 1; i < update->n_in; i++)
    if (update->in[i] == written) return false;
  return map_get_ptr(x->last_use, written) == map_get_ptr(x->number, update);
}

static ir_value *copy_of(ir_builder *b, ir_value *v) {
  ir_region *r = ir_region_new(b->region->graph, b->region, 1);
  ir_value *p = ir_region_param(r, v->type);
  ir_region_yield(r, 1, &p);
  ir_attr attrs[] = {attr_str(b->m, "kind", "elem"), attr_str(b->m, "name", "copy"), attr_int(b->m, "root", 0)};
  return &ir_build(b, OP_group, 1, &v, 3, attrs, 1, &v->type, 1, &r)->out[0];
}

static bool copy_target(void *user, ir_builder *b, const ir_node *n, map *values) {
  versions *x = user;
  if (n->op != OP_group || strcmp(ir_attr_str(n, "kind", ""), "update") != 0) return false;
  if (is_own(n->in[0], n->parent) && is_last_use(x, n)) return false;
  ir_value **in = ARENA_ARRAY(x->a, ir_value *, n->n_in);
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = map_get_ptr(values, n->in[i]);
  in[0] = copy_of(b, in[0]);
  ir_copy_node(b, n, in, values);
  return true;
}

bool pass_versions(pass_context *c, ir_module *m) {
  for (size_t g = 0; g < m->graphs.n; g++) {
    versions x = {c->a, map_new(c->a), map_new(c->a)};
    walk(&x, m->graphs.at[g]->body, NULL);
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], copy_target, &x));
  }
  return true;
}
