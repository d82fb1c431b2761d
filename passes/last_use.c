// See last_use.h.
#include "passes/last_use.h"

typedef struct enclosing { // the node whose region is walked
  const ir_region *region;
  uintptr_t at;
  const struct enclosing *outer;
} enclosing;

const ir_region *value_region(const ir_value *v) { return v->def ? v->def->parent : v->param_of; }

static uintptr_t number_of(const map *m, const void *key) { return (uintptr_t)map_get_ptr(m, key); }

static void note_use(const last_uses *x, const ir_value *v, const enclosing *e) {
  while (e->region != value_region(v)) e = e->outer;
  if (e->at > number_of(x->last, v)) map_put_ptr(x->last, v, (void *)e->at);
}

static void walk(const last_uses *x, const ir_region *r, const enclosing *outer) {
  enclosing e = {r, 0, outer};
  for (const ir_node *n = r->first; n; n = n->next) {
    e.at++;
    map_put_ptr(x->number, n, (void *)e.at);
    for (uint32_t i = 0; i < n->n_in; i++) note_use(x, n->in[i], &e);
    for (uint32_t i = 0; n->op != OP_group && i < n->n_regions; i++) walk(x, n->regions[i], &e);
    if (n->op == OP_loop || n->op == OP_while) map_put_ptr(x->carries, n->regions[n->n_regions - 1], (void *)e.at);
  }
  e.at++;
  for (uint32_t i = 0; i < r->n_yields; i++) note_use(x, r->yields[i], &e);
}

last_uses last_uses_of(arena *a, const ir_region *body) {
  last_uses x = {map_new(a), map_new(a), map_new(a)};
  walk(&x, body, NULL);
  return x;
}

bool is_last_use(const last_uses *x, const ir_value *v, const ir_node *n) {
  return number_of(x->last, v) == number_of(x->number, n);
}

bool is_used_before(const last_uses *x, const ir_value *v, const ir_node *n) {
  return number_of(x->last, v) < number_of(x->number, n);
}

bool is_own_memory(const last_uses *x, const ir_value *v, const ir_region *r) {
  if (value_region(v) != r) return false;
  if (!v->def) return map_get_ptr(x->carries, r) != NULL;
  if (v->def->op == OP_state) return r->outer == NULL;
  return op_get(v->def->op)->cls == OPC_control || op_get(v->def->op)->cls == OPC_ordered;
}
