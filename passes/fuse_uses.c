// Who uses a value, across the bodies of loops and branches: see fuse.h.
#include "passes/fuse.h"
#include "passes/last_use.h"

uintptr_t fuse_uses(const fuse_plan *p, const ir_value *v) { return (uintptr_t)map_get_ptr(p->uses, v); }

static void count(fuse_plan *p, const ir_value *v, uintptr_t uses, const ir_node *user) {
  map_put_ptr(p->uses, v, (void *)(fuse_uses(p, v) + uses));
  map_put_ptr(p->user, v, (void *)(uintptr_t)user);
}

// An output, and what another region reads, is never an inner value.
static void count_yields(fuse_plan *p, const ir_region *r) {
  for (uint32_t i = 0; i < r->n_yields; i++) count(p, r->yields[i], 2, NULL);
}

static void count_operands(fuse_plan *p, const ir_node *n) {
  for (uint32_t i = 0; i < n->n_in; i++) {
    bool near = value_region(n->in[i]) == n->parent;
    count(p, n->in[i], near ? 1 : 2, near ? n : NULL);
  }
  for (uint32_t i = 0; i < n->n_regions; i++) count_yields(p, n->regions[i]);
}

void fuse_count_uses(fuse_plan *p) {
  fuse_each_node(p, p->graph->body, count_operands);
  count_yields(p, p->graph->body);
}

void fuse_each_node(fuse_plan *p, const ir_region *r, void (*f)(fuse_plan *p, const ir_node *n)) {
  for (const ir_node *n = r->first; n; n = n->next) {
    for (uint32_t i = 0; i < n->n_regions; i++) fuse_each_node(p, n->regions[i], f);
    f(p, n);
  }
}

uint32_t fuse_count_nodes(const ir_region *r) {
  uint32_t count = r->n_nodes;
  for (const ir_node *n = r->first; n; n = n->next)
    for (uint32_t i = 0; i < n->n_regions; i++) count += fuse_count_nodes(n->regions[i]);
  return count;
}

typedef struct capture_walk {
  const ir_region *outside; // where the operator stands
  void (*f)(void *user, const ir_value *v);
  void *user;
} capture_walk;

static void meet(const capture_walk *w, const ir_region *r, const ir_value *v) {
  for (; r != w->outside; r = r->outer)
    if (value_region(v) == r) return;
  w->f(w->user, v);
}

static void walk(const capture_walk *w, const ir_region *r) {
  for (const ir_node *n = r->first; n; n = n->next) {
    for (uint32_t i = 0; i < n->n_in; i++) meet(w, r, n->in[i]);
    for (uint32_t i = 0; i < n->n_regions; i++) walk(w, n->regions[i]);
  }
  for (uint32_t i = 0; i < r->n_yields; i++) meet(w, r, r->yields[i]);
}

void fuse_captures(const ir_node *n, void (*f)(void *user, const ir_value *v), void *user) {
  capture_walk w = {n->parent, f, user};
  for (uint32_t i = 0; i < n->n_regions; i++) walk(&w, n->regions[i]);
}
