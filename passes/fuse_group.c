// Fusion, step one: which operators become one kernel (graph-ir section 7).
//
// In topological order: a contraction opens a group; a reduction joins the row or elementwise group that feeds it, or
// opens a row group; an elementwise operator joins the latest group among its producers whose domain it fits, provided
// no other producer needs that group (groups stay convex). A residual add thus falls into the later contraction's
// epilogue, and a norm or softmax with its affine tail into one row group. At last an elementwise group of a few cheap
// operators that only one contraction, attention, update or elementwise group reads becomes part of it, computed first;
// of any number, and gathers, where the reader is elementwise over the same dims. A loop or a branch is a group that
// nobody joins, and so is a routine of the runtime; bodies are partitioned the same way.
#include "passes/fuse.h"
#include <string.h>

typedef struct membership {
  const fuse_plan *plan;
  const fuse_group *group;
} membership;

static bool is_member(void *user, const ir_value *v) {
  const membership *m = user;
  return v->def && map_get_ptr(m->plan->group_of, v->def) == m->group;
}

fuse_group *fuse_group_of(const fuse_plan *p, const ir_value *v) {
  return v->def ? map_get_ptr(p->group_of, v->def) : NULL;
}

bool fuse_reaches(const fuse_group *from, const fuse_group *to) {
  return (to->needs[from->id / 64] >> (from->id % 64) & 1) != 0;
}

bool fuse_is_control(const ir_node *n) { return n->op == OP_if || n->op == OP_loop || n->op == OP_while; }

bool fuse_is_alone(const ir_node *n) { return fuse_is_control(n) || op_is_routine(n->op); }

bool fuse_is_step(const ir_node *n) {
  return n->op == OP_state || n->op == OP_check || n->op == OP_bind || fuse_is_alone(n);
}

bool fuse_is_store(const ir_node *n) { return n->op == OP_update && n->n_in > 2; }

bool fuse_has_schedule(ir_module *m, const ir_node *n) {
  if (!op_has(n->op, OPF_COMPILED) || n->op == OP_group || n->op == OP_input || n->op == OP_random ||
      n->op == OP_interp || fuse_is_step(n))
    return false; // canon turns inputs into parameters, expand makes others of random and interp
  if (op_get(n->op)->cls == OPC_reduce) return !ir_attr_find(n, "map");
  const ir_map *labels = n->op == OP_contract || n->op == OP_window ? ir_map_of(m, n) : NULL;
  for (uint32_t o = 0; labels && o < labels->n_operands; o++)
    for (uint32_t i = 0; i < labels->operand[o].rank; i++)
      if (labels->operand[o].axes[i].may_miss || labels->operand[o].axes[i].exact_div != 1) return false;
  return true;
}

static fuse_group *new_group(fuse_plan *p, fuse_kind kind, const ir_node *root) {
  fuse_group *g = ARENA_NEW(p->a, fuse_group);
  g->id = (uint32_t)p->groups.n;
  g->kind = kind;
  g->root = root;
  g->needs = ARENA_ARRAY(p->a, uint64_t, p->max_groups / 64 + 1);
  vec_push(p->a, &p->groups, g);
  return g;
}

// The groups that produce what `v` is made of, seen through what no group holds. Such free trees are small.
static void producers(const fuse_plan *p, const ir_value *v, void (*f)(void *user, fuse_group *g), void *user) {
  fuse_group *g = fuse_group_of(p, v);
  if (g) f(user, g);
  for (uint32_t i = 0; !g && v->def && i < v->def->n_in; i++) producers(p, v->def->in[i], f, user);
}

typedef struct needing {
  fuse_plan *plan;
  fuse_group *group;
} needing;

static void add_need(void *user, fuse_group *producer) {
  needing *x = user;
  if (producer == x->group) return;
  x->group->needs[producer->id / 64] |= UINT64_C(1) << (producer->id % 64);
  for (uint32_t w = 0; w <= x->plan->max_groups / 64; w++) x->group->needs[w] |= producer->needs[w];
}

static void need_value(void *user, const ir_value *v) {
  needing *x = user;
  producers(x->plan, v, add_need, x);
}

// `at`: its place, or NULL where no reader outside may ask for it.
static void add_node(fuse_plan *p, fuse_group *g, const ir_node *n, const idx *const *at) {
  vec_push(p->a, &g->nodes, n);
  map_put_ptr(p->group_of, n, g);
  if (at) place_set(&p->place, &n->out[0], at);
  needing x = {p, g};
  for (uint32_t i = 0; i < n->n_in; i++) need_value(&x, n->in[i]);
  fuse_captures(n, need_value, &x);
  for (size_t i = 0; i < p->groups.n; i++) // who needs g needs what g now needs
    if (fuse_reaches(g, p->groups.at[i]))
      for (uint32_t w = 0; w <= p->max_groups / 64; w++) p->groups.at[i]->needs[w] |= g->needs[w];
}

typedef struct candidates { // groups of one region
  const ir_region *region;
  fuse_group *at[16];
  uint32_t n;
  bool overflow;
} candidates;

static void add_candidate(void *user, fuse_group *g) {
  candidates *c = user;
  if (g->root->parent != c->region) return;
  for (uint32_t i = 0; i < c->n; i++)
    if (c->at[i] == g) return;
  if (c->n == 16) c->overflow = true;
  else c->at[c->n++] = g;
}

// Would joining `g` close a cycle: does another producer need g?
static bool stays_convex(const candidates *c, const fuse_group *g) {
  for (uint32_t i = 0; i < c->n; i++)
    if (c->at[i] != g && fuse_reaches(g, c->at[i])) return false;
  return !c->overflow;
}

static void join_elementwise(fuse_plan *p, const ir_node *n) {
  candidates c = {.region = n->parent};
  for (uint32_t i = 0; i < n->n_in; i++) producers(p, n->in[i], add_candidate, &c);
  const idx *at[IR_MAX_RANK];
  for (;;) { // the latest group first
    fuse_group *g = NULL;
    uint32_t best = 0;
    for (uint32_t i = 0; i < c.n; i++)
      if (c.at[i] && (!g || c.at[i]->id > g->id)) g = c.at[i], best = i;
    if (!g) break;
    membership member = {p, g};
    candidates others = {.region = n->parent};
    for (uint32_t i = 0; i < n->n_in; i++) producers(p, n->in[i], add_candidate, &others);
    if (g->kind != FUSE_update && g->kind != FUSE_alone && g->nodes.n < GROUP_MAX_NODES && stays_convex(&others, g) &&
        place_elementwise(&p->place, &g->dom, n, is_member, &member, at)) {
      add_node(p, g, n, at);
      return;
    }
    c.at[best] = NULL;
  }
  fuse_group *g = new_group(p, FUSE_elem, n);
  domain_init(p->m, &g->dom, n->out[0].type.rank, n->out[0].type.dim);
  add_node(p, g, n, g->dom.at);
}

static bool has_room(const fuse_group *g) { // for a reduction
  uint32_t reductions = 0;
  for (size_t i = 0; i < g->nodes.n; i++) reductions += op_get(g->nodes.at[i]->op)->cls == OPC_reduce;
  return g->nodes.n < GROUP_MAX_NODES && reductions < GROUP_MAX_REDUCTIONS;
}

static void join_reduction(fuse_plan *p, const ir_node *n) {
  candidates c = {.region = n->parent};
  producers(p, n->in[0], add_candidate, &c);
  const idx *at[IR_MAX_RANK];
  bool reduced[IR_MAX_RANK];
  for (uint32_t i = 0; i < c.n; i++) {
    fuse_group *g = c.at[i];
    membership member = {p, g};
    bool takes = g->kind == FUSE_elem || g->kind == FUSE_row;
    if (!takes || !stays_convex(&c, g) || !has_room(g)) continue;
    if (!place_reduction(&p->place, &g->dom, n, is_member, &member, at, reduced)) continue;
    if (g->kind == FUSE_row && memcmp(reduced, g->dom.reduced, sizeof reduced) != 0) continue;
    g->kind = FUSE_row;
    memcpy(g->dom.reduced, reduced, sizeof reduced);
    add_node(p, g, n, at);
    return;
  }
  fuse_group *g = new_group(p, FUSE_row, n);
  membership none = {p, g};
  domain_init(p->m, &g->dom, n->in[0]->type.rank, n->in[0]->type.dim);
  place_reduction(&p->place, &g->dom, n, is_member, &none, at, g->dom.reduced);
  add_node(p, g, n, at);
}

form_stop fuse_stops_at_memory(void *user, const ir_value *v) {
  scalar splat;
  bool open = v->def && v->def->op != OP_weight && (v->def->op != OP_const || ir_is_splat(v, &splat)) &&
              fuse_is_free(user, v->def);
  return open ? FORM_OPEN : FORM_LOAD;
}

// An index is an index expression (of iota), or is read from memory: any other one is stored first.
static void pin_index(fuse_plan *p, const ir_value *index) {
  domain d;
  domain_init(p->m, &d, index->type.rank, index->type.dim);
  const sx *e = form_at(form_new(p->a, p->m, fuse_stops_at_memory, p), index, d.at);
  bool good = e && (e->kind == SX_const || e->kind == SX_index || e->kind == SX_load);
  if (!good && index->def && fuse_is_free(p, index->def)) map_put_ptr(p->pinned, index->def, p);
}

// Windows read an operand again and again: what moves it, or pads it, happens once, in memory. So does the padding of
// anything else that a contraction reads: its inner loop has no masks.
static void pin_windows(fuse_plan *p, const ir_node *n) {
  const ir_map *labels = ir_map_of(p->m, n);
  for (uint32_t o = 0; labels && o < 2; o++) {
    const ir_node *d = n->in[o]->def;
    bool windows = false;
    for (uint32_t i = 0; i < labels->operand[o].rank; i++)
      windows = windows || ir_axis_slides(labels->n_labels, labels->labels, &labels->operand[o].axes[i]);
    bool moves = d && (d->op == OP_pad || (windows && d->op == OP_transpose));
    if (moves && fuse_is_free(p, d)) map_put_ptr(p->pinned, d, p);
  }
}

// A broadcast in two steps (layout.c): what the first repeats is read side by side, from memory.
static void pin_repeated(fuse_plan *p, const ir_node *n) {
  const ir_node *d = n->in[0]->def;
  if (d && d->op == OP_broadcast && fuse_is_free(p, d) && !map_get_ptr(p->fixed, &d->out[0]))
    map_put_ptr(p->pinned, d, p);
}

// Operands that are read through must lie in memory; so must a value that is moved from the tensor that it updates.
static void pin_operands(fuse_plan *p, const ir_node *n) {
  if (n->op == OP_gather || (n->op == OP_slice && n->n_in > 1)) pin_index(p, n->in[1]);
  if (n->op == OP_contract) pin_windows(p, n);
  if (n->op == OP_broadcast) pin_repeated(p, n);
  if (!fuse_is_store(n)) return;
  for (uint32_t i = 2; i < n->n_in; i++) pin_index(p, n->in[i]);
  const ir_node *value = n->in[1]->def;
  if (value && value->n_in && fuse_reads(p, n->in[1], n->in[0])) map_put_ptr(p->pinned, value, p);
}

// A gather reads through its index, so the data and the index are stored; the result is an access map, and its copy an
// elementwise group. So is movement that must be stored.
static void open_copy(fuse_plan *p, const ir_node *n) {
  fuse_group *g = new_group(p, FUSE_elem, n);
  domain_init(p->m, &g->dom, n->out[0].type.rank, n->out[0].type.dim);
  add_node(p, g, n, g->dom.at);
}

static void open_scan(fuse_plan *p, const ir_node *n) {
  fuse_group *g = new_group(p, FUSE_scan, n);
  domain_init(p->m, &g->dom, n->out[0].type.rank, n->out[0].type.dim);
  add_node(p, g, n, g->dom.at);
}

static void open_update(fuse_plan *p, const ir_node *n) {
  fuse_group *g = new_group(p, FUSE_update, n);
  domain_init(p->m, &g->dom, n->in[1]->type.rank, n->in[1]->type.dim);
  add_node(p, g, n, g->dom.at);
}

static void open_contract(fuse_plan *p, const ir_node *n) {
  fuse_group *g = new_group(p, FUSE_contract, n);
  domain_init(p->m, &g->dom, n->out[0].type.rank, n->out[0].type.dim);
  add_node(p, g, n, g->dom.at);
}

static void open_alone(fuse_plan *p, const ir_node *n) { add_node(p, new_group(p, FUSE_alone, n), n, NULL); }

// The nodes of an attention; the last one opens the group. The domain's root stands behind all but a division that
// follows it: what comes after a root must have a place.
static void join_attention(fuse_plan *p, fuse_cone *c, const ir_node *n) {
  const ir_node *mix = c->cone.mix;
  if (n != mix && n != c->last) vec_push(p->a, &c->nodes, n);
  if (n != c->last) return;
  fuse_group *g = new_group(p, FUSE_attention, mix);
  domain_init(p->m, &g->dom, mix->out[0].type.rank, mix->out[0].type.dim);
  for (size_t i = 0; i < c->nodes.n; i++) add_node(p, g, c->nodes.at[i], NULL);
  add_node(p, g, mix, g->dom.at);
  if (n != mix) add_node(p, g, n, g->dom.at);
}

static void join_or_open(fuse_plan *p, const ir_node *n) {
  if (fuse_is_alone(n)) open_alone(p, n);
  if (!fuse_has_schedule(p->m, n) || fuse_is_free(p, n)) return;
  fuse_cone *cone = map_get_ptr(p->cones, n);
  if (cone) join_attention(p, cone, n);
  else if (op_is_elementwise(n->op)) join_elementwise(p, n);
  else if (op_get(n->op)->cls == OPC_reduce) join_reduction(p, n);
  else if (n->op == OP_contract) open_contract(p, n);
  else if (op_get(n->op)->cls == OPC_scan) open_scan(p, n);
  else if (fuse_is_store(n)) open_update(p, n);
  else open_copy(p, n);
}

fuse_plan *fuse_partition(arena *a, const ir_graph *g) {
  fuse_plan *p = ARENA_NEW(a, fuse_plan);
  p->a = a;
  p->m = g->module;
  p->graph = g;
  p->max_groups = fuse_count_nodes(g->body);
  p->group_of = map_new(a);
  p->uses = map_new(a);
  p->user = map_new(a);
  p->free = map_new(a);
  p->pinned = map_new(a);
  p->cones = map_new(a);
  p->remade = map_new(a);
  p->fixed = map_new(a);
  p->place = places_new(a, g->module);
  p->place.stored = p->pinned;
  fuse_count_uses(p);
  fuse_each_node(p, g->body, fuse_find_free);
  fuse_each_node(p, g->body, pin_operands);
  fuse_each_node(p, g->body, fuse_find_attention);
  fuse_each_node(p, g->body, join_or_open);
  fuse_merge_prologues(p);
  fuse_find_remade(p);
  return p;
}
