// Fusion, after everybody has a group: small groups become the prologue of their only reader, and what row groups make
// cheaply is made again by its readers instead of being stored.
#include "passes/fuse.h"
#include <string.h>

enum { PROLOGUE_OPS = 4, PROLOGUE_COLUMNS = 48 };

// Is the value an index or a start? Those are read from memory.
static bool is_place(const ir_node *user, const ir_value *v) {
  uint32_t first = user->op == OP_gather || user->op == OP_slice ? 1 : fuse_is_store(user) ? 2 : user->n_in;
  for (uint32_t i = first; i < user->n_in; i++)
    if (user->in[i] == v) return true;
  return false;
}

// The one group that reads any value of g and may compute it, or NULL when there are several or a graph output is among
// the readers.
static fuse_group *only_reader(const fuse_plan *p, const fuse_group *g) {
  fuse_group *reader = NULL;
  for (size_t i = 0; i < g->nodes.n; i++) {
    const ir_value *v = &g->nodes.at[i]->out[0];
    for (;;) {
      if (fuse_uses(p, v) != 1) return NULL;
      const ir_node *u = map_get_ptr(p->user, v);
      if (!u || is_place(u, v)) return NULL; // no user: a graph output
      fuse_group *r = map_get_ptr(p->group_of, u);
      if (r == g) break;
      if (r && reader && r != reader) return NULL;
      if (r) {
        reader = r;
        break;
      }
      v = &u->out[0];
    }
  }
  return reader;
}

// Does an elementwise group read the tensor that the other one updates?
static bool reads_target(const fuse_plan *p, const fuse_group *g, const fuse_group *update) {
  for (size_t i = 0; i < g->nodes.n; i++)
    for (uint32_t k = 0; k < g->nodes.at[i]->n_in; k++)
      if (fuse_reads(p, g->nodes.at[i]->in[k], update->root->in[0])) return true;
  return false;
}

// What weights alone decide is computed once: a reader that needs more must not take it in.
static bool is_fixed(const fuse_plan *p, const fuse_group *g) {
  for (size_t i = 0; i < g->nodes.n; i++)
    if (!map_get_ptr(p->fixed, &g->nodes.at[i]->out[0])) return false;
  return true;
}

// Operators that may be computed again; gathers only where each element is read once.
static bool is_cheap(const fuse_group *g, bool *gathers) {
  *gathers = false;
  for (size_t k = 0; k < g->nodes.n; k++) {
    op_code op = g->nodes.at[k]->op;
    if (op == OP_gather) *gathers = true;
    else if (!fuse_is_cheap(op)) return false;
  }
  return true;
}

// Elementwise groups over the same dims: what one gives, the other reads once.
static bool reads_once(const fuse_group *reader, const fuse_group *g) {
  const domain *d = &reader->dom, *other = &g->dom;
  return reader->kind == FUSE_elem && d->rank == other->rank && !memcmp(d->dim, other->dim, d->rank * sizeof *d->dim);
}

// A product with weights reads its other operand once for each panel of columns, element by element: arithmetic on it
// is then worth its own pass over memory, a cast alone or few columns are not.
static bool reads_again(const fuse_plan *p, const fuse_group *reader, const fuse_group *g) {
  const ir_node *n = reader->root;
  const ir_map *labels = reader->kind == FUSE_contract ? ir_map_of(p->m, n) : NULL;
  bool casts = true;
  for (size_t i = 0; i < g->nodes.n; i++) casts = casts && g->nodes.at[i]->op == OP_cast;
  if (!labels || casts) return false;
  uint32_t o = map_get_ptr(p->fixed, n->in[0]) ? 1 : 0; // the one that is computed
  if (!map_get_ptr(p->fixed, n->in[1 - o])) return false;
  int64_t columns = 1, extent;
  for (uint32_t l = 0; l < labels->n_labels; l++) {
    bool own = false;
    for (uint32_t i = 0; i < labels->operand[o].rank; i++)
      own = own || idx_mentions(labels->operand[o].axes[i].at, labels->labels[l].symbol);
    if (own || !labels->labels[l].in_out) continue;
    if (!idx_is_const(labels->labels[l].extent, &extent) || extent > PROLOGUE_COLUMNS) return true;
    columns *= extent;
  }
  return columns > PROLOGUE_COLUMNS;
}

void fuse_merge_prologues(fuse_plan *p) {
  for (size_t i = 0; i < p->groups.n; i++) {
    fuse_group *g = p->groups.at[i];
    bool gathers;
    fuse_group *reader = g->kind == FUSE_elem && is_cheap(g, &gathers) ? only_reader(p, g) : NULL;
    if (!reader || (is_fixed(p, g) && !is_fixed(p, reader))) continue;
    if (!reads_once(reader, g) && (gathers || g->nodes.n > PROLOGUE_OPS)) continue;
    bool takes = reader->kind == FUSE_contract || reader->kind == FUSE_attention || reader->kind == FUSE_elem ||
                 reader->kind == FUSE_scan || (reader->kind == FUSE_update && !reads_target(p, g, reader));
    if (!takes || g->nodes.n + reader->nodes.n > GROUP_MAX_NODES || reads_again(p, reader, g)) continue;
    VEC(const ir_node *) joined = {0};
    for (size_t k = 0; k < g->nodes.n; k++) vec_push(p->a, &joined, g->nodes.at[k]);
    for (size_t k = 0; k < reader->nodes.n; k++) vec_push(p->a, &joined, reader->nodes.at[k]);
    memcpy(&reader->nodes, &joined, sizeof joined);
    for (size_t k = 0; k < g->nodes.n; k++) map_put_ptr(p->group_of, g->nodes.at[k], reader);
    g->merged = true;
  }
}

// Cheap arithmetic on one tensor from outside the group, and what is broadcast to it: a reader that loads the tensor
// instead of the result loads as much, and nobody stores the result.
static bool is_remade(const fuse_plan *p, const fuse_group *g, const ir_node *n) {
  uint32_t tensors = 0;
  scalar s;
  if (!op_is_elementwise(n->op) || !fuse_is_cheap(n->op)) return false;
  for (uint32_t i = 0; i < n->n_in; i++) {
    bool repeats = ir_is_splat(n->in[i], &s);
    if (fuse_group_of(p, fuse_behind(p, n->in[i], &repeats)) == g) return false;
    tensors += !repeats;
  }
  return tensors == 1;
}

void fuse_find_remade(fuse_plan *p) {
  for (size_t i = 0; i < p->groups.n; i++) {
    const fuse_group *g = p->groups.at[i];
    for (size_t k = 0; g->kind == FUSE_row && k < g->nodes.n; k++)
      if (is_remade(p, g, g->nodes.at[k])) map_put_ptr(p->remade, g->nodes.at[k], p);
  }
}
