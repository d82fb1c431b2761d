// Places of values in a group's domain: see place.h. Used by fusion, which decides who may join, and by lowering, which
// finds the same places again from the group's region.
#include "passes/place.h"
#include <string.h>

void domain_init(ir_module *m, domain *d, uint32_t rank, const idx *const *dim) {
  memset(d, 0, sizeof *d);
  d->rank = rank;
  for (uint32_t i = 0; i < rank; i++) {
    sym *s = idx_fresh(m->ix, "d");
    s->lo = idx_int(m->ix, 0);
    s->hi = idx_addi(m->ix, dim[i], -1);
    d->dim[i] = dim[i];
    d->label[i] = s;
    d->at[i] = idx_equals_int(dim[i], 1) ? idx_int(m->ix, 0) : idx_of(m->ix, s);
  }
}

places places_new(arena *a, ir_module *m) { return (places){a, m, map_new(a), NULL}; }

void place_set(places *p, const ir_value *v, const idx *const *at) {
  map_put_ptr(p->at, v, arena_copy(p->a, at, v->type.rank * sizeof *at));
}

const idx *const *place_get(const places *p, const ir_value *v) { return map_get_ptr(p->at, v); }

// Movement that is looked through.
static bool is_movement(const places *p, const ir_value *v) {
  return v->def && op_get(v->def->op)->cls == OPC_movement && !(p->stored && map_get_ptr(p->stored, v->def));
}

// No member may be met at all (used below operators whose index maps are not followed).
static bool meets_none(const places *p, const ir_value *v, bool (*member)(void *user, const ir_value *v), void *user) {
  if (member(user, v)) return false;
  if (!is_movement(p, v)) return true;
  for (uint32_t i = 0; i < v->def->n_in; i++)
    if (!meets_none(p, v->def->in[i], member, user)) return false;
  return true;
}

bool place_agrees(const places *p, const ir_value *v, const idx *const *at,
                  bool (*member)(void *user, const ir_value *v), void *user) {
  if (member(user, v)) {
    const idx *const *place = place_get(p, v);
    for (uint32_t i = 0; place && i < v->type.rank; i++)
      if (place[i] != at[i]) return false;
    return place != NULL;
  }
  if (!is_movement(p, v)) return true;
  const idx *inner[IR_MAX_RANK];
  if (index_through(p->m, v->def, at, inner)) return place_agrees(p, v->def->in[0], inner, member, user);
  for (uint32_t i = 0; i < v->def->n_in; i++)
    if (!meets_none(p, v->def->in[i], member, user)) return false;
  return true;
}

// The place of a value reached from a member by one-to-one movement.
static bool place_forward(const places *p, const ir_value *v, bool (*member)(void *user, const ir_value *v), void *user,
                          const idx **at) {
  if (member(user, v)) {
    const idx *const *place = place_get(p, v);
    if (place) memcpy(at, place, v->type.rank * sizeof *at);
    return place != NULL;
  }
  if (!is_movement(p, v)) return false;
  const idx *inner[IR_MAX_RANK];
  return place_forward(p, v->def->in[0], member, user, inner) && index_forward(p->m, v->def, inner, at);
}

static bool all_agree(const places *p, const ir_node *n, const idx *const *at,
                      bool (*member)(void *user, const ir_value *v), void *user) {
  for (uint32_t i = 0; i < n->n_in; i++)
    if (!place_agrees(p, n->in[i], at, member, user)) return false;
  return true;
}

static bool same_dims(const domain *d, ir_type t) {
  if (d->rank != t.rank) return false;
  for (uint32_t i = 0; i < t.rank; i++)
    if (d->dim[i] != t.dim[i]) return false;
  return true;
}

bool place_elementwise(const places *p, const domain *d, const ir_node *n,
                       bool (*member)(void *user, const ir_value *v), void *user, const idx **at) {
  for (uint32_t i = 0; i < n->n_in; i++)
    if (place_forward(p, n->in[i], member, user, at)) return all_agree(p, n, at, member, user);
  bool joined = false; // a node with no way to a member has no place here
  for (uint32_t i = 0; i < n->n_in; i++) joined = joined || !meets_none(p, n->in[i], member, user);
  if (!joined || !same_dims(d, n->out[0].type)) return false;
  memcpy(at, d->at, d->rank * sizeof *at);
  return all_agree(p, n, at, member, user);
}

int domain_label(const domain *d, const idx *at) {
  const sym *s = idx_is_symbol(at);
  for (uint32_t i = 0; s && i < d->rank; i++)
    if (d->label[i] == s) return (int)i;
  return -1;
}

bool place_reduction(const places *p, const domain *d, const ir_node *n, bool (*member)(void *user, const ir_value *v),
                     void *user, const idx **result_at, bool *reduced) {
  ir_type in = n->in[0]->type;
  const idx *at[IR_MAX_RANK];
  if (!place_forward(p, n->in[0], member, user, at)) {
    if (!same_dims(d, in)) return false;
    memcpy(at, d->at, d->rank * sizeof *at);
  }
  if (!place_agrees(p, n->in[0], at, member, user)) return false;
  const int64_t *axes;
  size_t n_axes = ir_attr_ints(n, "axes", &axes);
  bool dropped[IR_MAX_RANK] = {false};
  memset(reduced, 0, IR_MAX_RANK * sizeof *reduced);
  for (size_t i = 0; i < n_axes; i++) {
    dropped[axes[i]] = true;
    if (idx_equals_int(in.dim[axes[i]], 1)) continue;
    int label = domain_label(d, at[axes[i]]);
    if (label < 0) return false;
    reduced[label] = true;
  }
  uint32_t k = 0;
  for (uint32_t i = 0; i < in.rank; i++)
    if (!dropped[i]) result_at[k++] = at[i];
  for (uint32_t i = 0; i < k; i++)
    for (uint32_t j = 0; j < d->rank; j++)
      if (reduced[j] && idx_mentions(result_at[i], d->label[j])) return false;
  return true;
}

static bool has_place(void *user, const ir_value *v) { return place_get(user, v) != NULL; }

bool places_of_group(places *p, domain *d, const ir_node *group) {
  const ir_region *r = group->regions[0];
  int64_t root = ir_attr_int(group, "root", 0), position = 0;
  const ir_node *n = r->first;
  for (; n && position < root; position++) n = n->next;
  if (!n) { // no operator at all: a copy of a parameter or of moved elements
    ir_type t = r->yields[0]->type;
    domain_init(p->m, d, t.rank, t.dim);
    place_set(p, r->yields[0], d->at);
    return true;
  }
  bool first = true;
  for (; n; n = n->next) {
    const idx *at[IR_MAX_RANK];
    bool reduced[IR_MAX_RANK];
    op_class cls = op_get(n->op)->cls;
    if (first && cls == OPC_reduce) domain_init(p->m, d, n->in[0]->type.rank, n->in[0]->type.dim);
    else if (first) domain_init(p->m, d, n->out[0].type.rank, n->out[0].type.dim);
    if (cls == OPC_reduce) {
      if (!place_reduction(p, d, n, has_place, p, at, reduced)) return false;
      d->n_reduced = 0;
      for (uint32_t i = 0; i < d->rank; i++) d->n_reduced += d->reduced[i] = reduced[i];
      place_set(p, &n->out[0], at);
    } else if (first) {
      place_set(p, &n->out[0], d->at);
    } else if (op_is_elementwise(n->op)) {
      if (place_elementwise(p, d, n, has_place, p, at)) place_set(p, &n->out[0], at);
    } else if (cls == OPC_movement && n->n_in == 1 && place_get(p, n->in[0]) &&
               index_stored(p->m, n, place_get(p, n->in[0]), at)) {
      place_set(p, &n->out[0], at);
    }
    first = false;
  }
  for (uint32_t i = 0; i < r->n_yields; i++)
    if (!place_get(p, r->yields[i])) return false;
  return true;
}
