// Versions: after this pass every update group may write its target in place. The target is the last that is seen of
// that version: where a later operator, the group itself or an output reads it, or the memory is not the region's own
// (an input, a weight, a constant, a value of an outer region), a group before the update copies it.
//
// Linear in nodes.
#include "passes/fuse.h"
#include "passes/last_use.h"
#include <string.h>

typedef struct versions {
  arena *a;
  last_uses uses;
} versions;

static bool is_read_beside(const ir_node *update) {
  for (uint32_t i = 1; i < update->n_in; i++)
    if (update->in[i] == update->in[0]) return true;
  return false;
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
  if (is_own_memory(&x->uses, n->in[0], n->parent) && is_last_use(&x->uses, n->in[0], n) && !is_read_beside(n))
    return false;
  ir_value **in = ARENA_ARRAY(x->a, ir_value *, n->n_in);
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = map_get_ptr(values, n->in[i]);
  in[0] = copy_of(b, in[0]);
  ir_copy_node(b, n, in, values);
  return true;
}

bool pass_versions(pass_context *c, ir_module *m) {
  for (size_t g = 0; g < m->graphs.n; g++) {
    versions x = {c->a, last_uses_of(c->a, m->graphs.at[g]->body)};
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], copy_target, &x));
  }
  return true;
}
