// Fusion, step two: the graph rebuilt with one `group` node for each group of fuse_group.c. A group's region holds
// copies of its members and of the free nodes they read; it yields what others read. Where a value's only reader is a
// one-to-one movement, and the moved value's place is still affine in the labels, the moved value is what the group
// stores: the movement costs nothing. The bodies of loops and branches are rebuilt the same way; what they read of
// outer regions is stored there.
#include "passes/fuse.h"
#include "passes/last_use.h"
#include <string.h>

typedef struct frame { // a region that is being built
  const ir_region *old;
  ir_builder b;
  struct frame *outer;
} frame;

typedef struct rebuild {
  fuse_plan *plan;
  ir_graph *out;
  frame *frame;                 // where copies go; outer ones still grow
  map *values;                  // old value -> new value
  VEC(const ir_value *) stored; // old values that groups yield
  map *is_stored;               // old value -> group
  bool *emitted;
} rebuild;

typedef struct region_build { // one group's region
  rebuild *r;
  ir_region *region;
  ir_builder b;
  map *inner;                  // old value -> value in the region
  VEC(const ir_value *) outer; // old values that became parameters
  const fuse_group *group;
  ir_value *target; // of an update: the parameter that it writes, which is read by nothing
} region_build;

static bool is_affine(const domain *d, const idx *const *at, uint32_t rank, ir_module *m) {
  const idx *coef, *rest;
  for (uint32_t i = 0; i < rank; i++)
    for (uint32_t k = 0; k < d->rank; k++)
      if (idx_mentions(at[i], d->label[k]) && !idx_linear(m->ix, at[i], d->label[k], &coef, &rest)) return false;
  return true;
}

// Does a transposition take the last axis away from an attention, which reads through views and wants its widths there?
static bool turns_heads(const fuse_plan *p, const ir_node *u) {
  const int64_t *perm;
  const ir_node *reader = map_get_ptr(p->user, &u->out[0]);
  if (u->op != OP_transpose || !reader || !map_get_ptr(p->cones, reader)) return false;
  size_t n = ir_attr_ints(u, "perm", &perm);
  return perm[n - 1] != (int64_t)n - 1;
}

// A copy that pads what this group makes, in the same region: the group stores the inside, a kernel of its own what is
// around.
static bool takes_over_pad(const fuse_plan *p, const fuse_group *g, const ir_node *u) {
  const fuse_group *copy = map_get_ptr(p->group_of, u);
  bool stores = g->kind == FUSE_contract || g->kind == FUSE_row || g->kind == FUSE_elem;
  return stores && u->op == OP_pad && copy && copy->root == u && copy->nodes.n == 1 && u->parent == g->root->parent &&
         !map_get_ptr(p->fixed, &u->out[0]) && op_get(g->root->op)->cls != OPC_movement;
}

// Follows single-reader, one-to-one movement after `v`, and padding; sets places on the way.
static const ir_value *sink_store(fuse_plan *p, const fuse_group *g, const ir_value *v) {
  for (;;) {
    const ir_node *u = fuse_uses(p, v) == 1 ? map_get_ptr(p->user, v) : NULL;
    const idx *at[IR_MAX_RANK];
    bool pads = u && takes_over_pad(p, g, u);
    if (!u || (map_get_ptr(p->group_of, u) && !pads) || turns_heads(p, u) ||
        !index_stored(p->m, u, place_get(&p->place, v), at) || (u->op == OP_pad && !pads) ||
        !is_affine(&g->dom, at, u->out[0].type.rank, p->m))
      return v;
    if (pads) map_put_ptr(p->group_of, u, (void *)(uintptr_t)g);
    place_set(&p->place, &u->out[0], at);
    v = &u->out[0];
  }
}

// Does a group compute a value of another one again? Where it would do so once for each element.
static bool remakes(const rebuild *r, const fuse_group *reader, const ir_value *v) {
  bool once = reader && (reader->kind == FUSE_elem || reader->kind == FUSE_row);
  return once && map_get_ptr(r->plan->remade, v->def);
}

// Marks as stored every group value that lies under `v` outside of `reader`.
static void require(rebuild *r, const ir_value *v, const fuse_group *reader) {
  fuse_group *g = fuse_group_of(r->plan, v);
  if (g == reader && g) return;
  if (map_get_ptr(r->is_stored, v)) return;
  if (g && remakes(r, reader, v)) {
    for (uint32_t i = 0; i < v->def->n_in; i++) require(r, v->def->in[i], reader);
    return;
  }
  if (g) {
    map_put_ptr(r->is_stored, v, g);
    vec_push(r->plan->a, &r->stored, v);
    return;
  }
  if (v->def && fuse_is_free(r->plan, v->def))
    for (uint32_t i = 0; i < v->def->n_in; i++) require(r, v->def->in[i], reader);
}

// Values that members read through gather's data or index, or that operators outside groups and other regions read,
// are stored as they are read.
static void require_in(rebuild *r, const ir_region *region) {
  fuse_plan *p = r->plan;
  for (const ir_node *n = region->first; n; n = n->next) {
    for (uint32_t i = 0; i < n->n_regions; i++) require_in(r, n->regions[i]);
    if (map_get_ptr(p->group_of, n) || !fuse_is_free(p, n))
      for (uint32_t i = 0; i < n->n_in; i++) require(r, n->in[i], map_get_ptr(p->group_of, n));
    if (n->op == OP_update) require(r, &n->out[0], NULL); // a state's new version counts, read or not
  }
  for (uint32_t i = 0; i < region->n_yields; i++) require(r, region->yields[i], NULL);
}

static void find_stored(rebuild *r) {
  fuse_plan *p = r->plan;
  require_in(r, p->graph->body);
  for (size_t i = 0; i < r->stored.n; i++) {
    const ir_value *v = r->stored.at[i];
    if (!v) continue;
    fuse_group *home = map_get_ptr(r->is_stored, v);
    bool stays = v->def->op == OP_update || home->kind == FUSE_alone;
    const ir_value *sunk = stays ? v : sink_store(p, home, v);
    if (sunk == v) continue;
    map_put_ptr(r->is_stored, v, NULL);
    bool listed = map_get_ptr(r->is_stored, sunk) != NULL; // by the copy whose place the group takes
    map_put_ptr(r->is_stored, sunk, home);
    r->stored.at[i] = listed ? NULL : sunk;
  }
}

// Is an old value computed in the region: by a member, or a free node copied on demand? The others are parameters.
static bool is_inner(const region_build *rb, const ir_value *v) {
  const fuse_group *home = map_get_ptr(rb->r->is_stored, v);
  scalar splat;
  if (!v->def || (home && home != rb->group)) return false;
  if (v->def->op == OP_weight || (v->def->op == OP_const && !ir_is_splat(v, &splat)))
    return false; // they live in memory
  return (rb->group && fuse_group_of(rb->r->plan, v) == rb->group) || fuse_is_free(rb->r->plan, v->def) ||
         remakes(rb->r, rb->group, v);
}

// Finds the parameters that a value of the region needs. All come before the first node: values are numbered as they
// are made, and commutative operands ordered by number, so that the region's text reads back as it is.
static void find_parameters(region_build *rb, const ir_value *v, map *seen) {
  if (map_get_ptr(seen, v)) return;
  map_put_ptr(seen, v, rb);
  if (!is_inner(rb, v)) vec_push(rb->r->plan->a, &rb->outer, v);
  else
    for (uint32_t i = fuse_is_store(v->def) ? 1 : 0; i < v->def->n_in; i++) find_parameters(rb, v->def->in[i], seen);
}

// The region's value for an old value.
static ir_value *inside(region_build *rb, const ir_value *v) {
  ir_value *known = map_get_ptr(rb->inner, v);
  if (known) return known;
  ir_value **in = ARENA_ARRAY(rb->r->plan->a, ir_value *, v->def->n_in);
  for (uint32_t i = 0; i < v->def->n_in; i++)
    in[i] = i == 0 && fuse_is_store(v->def) ? rb->target : inside(rb, v->def->in[i]);
  return &ir_copy_node(&rb->b, v->def, in, rb->inner)->out[0];
}

static const char *kind_name(fuse_kind k) {
  static const char *const names[] = {
      [FUSE_elem] = "elem", [FUSE_row] = "row",       [FUSE_contract] = "contract", [FUSE_attention] = "attention",
      [FUSE_scan] = "scan", [FUSE_update] = "update", [FUSE_alone] = "alone"};
  return names[k];
}

// The name of a kernel: what its operators do, in order, shortened.
static const char *group_name(arena *a, const fuse_group *g) {
  if (!g) return "copy";
  if (g->kind == FUSE_attention) return "attention";
  strbuf b;
  sb_init(&b, a);
  for (size_t i = 0; i < g->nodes.n && b.n < 48; i++)
    sb_fmt(&b, "%s%s", i ? "_" : "", op_get(g->nodes.at[i]->op)->name);
  return sb_cstr(&b);
}

static ir_value *outer_value(rebuild *r, const ir_value *v);
static ir_value *copied_value(rebuild *r, const ir_value *v);

// The tensor that an update writes: what is computed by its readers gets memory of its own.
static ir_value *target_value(rebuild *r, const ir_value *v) {
  bool computed = v->def && !map_get_ptr(r->is_stored, v) && fuse_is_free(r->plan, v->def);
  return computed ? copied_value(r, v) : outer_value(r, v);
}

// What an operator without a kernel takes, and what a body gives: memory.
static ir_value *memory_value(rebuild *r, const ir_value *v) {
  scalar splat;
  bool lies = v->def && (v->def->op == OP_weight || (v->def->op == OP_const && !ir_is_splat(v, &splat)));
  return lies ? outer_value(r, v) : target_value(r, v);
}

// Builds one group node in the current frame; `yields` are old values.
static void emit_region(rebuild *r, const fuse_group *g, size_t n_yields, const ir_value *const *yields) {
  arena *a = r->plan->a;
  ir_module *m = r->plan->m;
  ir_builder *b = &r->frame->b;
  region_build rb = {.r = r, .inner = map_new(a), .group = g};
  map *seen = map_new(a);
  for (size_t i = 0; g && i < g->nodes.n; i++) find_parameters(&rb, &g->nodes.at[i]->out[0], seen);
  for (size_t i = 0; i < n_yields; i++) find_parameters(&rb, yields[i], seen);
  bool updates = g && g->kind == FUSE_update;
  rb.region = ir_region_new(r->out, b->region, (uint32_t)rb.outer.n + updates);
  ir_builder_init_inner(&rb.b, b, rb.region); // what guards the old nodes guards their copies
  if (updates) rb.target = ir_region_param(rb.region, g->root->in[0]->type);
  for (size_t i = 0; i < rb.outer.n; i++)
    map_put_ptr(rb.inner, rb.outer.at[i], ir_region_param(rb.region, rb.outer.at[i]->type));
  int64_t root = 0;
  for (size_t i = 0; g && i < g->nodes.n; i++) {
    const ir_value *v = inside(&rb, &g->nodes.at[i]->out[0]);
    if (g->nodes.at[i] != g->root) continue;
    for (const ir_node *q = rb.region->first; q && q != v->def; q = q->next) root++;
  }
  if (!g) root = -1;
  ir_value **inner = ARENA_ARRAY(a, ir_value *, n_yields + 1);
  ir_type *types = ARENA_ARRAY(a, ir_type, n_yields + 1);
  for (size_t i = 0; i < n_yields; i++) {
    inner[i] = inside(&rb, yields[i]);
    types[i] = yields[i]->type;
  }
  ir_region_yield(rb.region, (uint32_t)n_yields, inner);
  ir_value **in = ARENA_ARRAY(a, ir_value *, rb.outer.n + 1);
  if (updates) in[0] = target_value(r, g->root->in[0]);
  for (size_t i = 0; i < rb.outer.n; i++) in[i + updates] = outer_value(r, rb.outer.at[i]);
  if (!g) root = (int64_t)rb.region->n_nodes;
  ir_attr attrs[] = {attr_str(m, "kind", g ? kind_name(g->kind) : "elem"), attr_str(m, "name", group_name(a, g)),
                     attr_int(m, "root", root)};
  const ir_node *named = g ? g->root : yields[0]->def;
  b->scope = named ? named->scope : "";
  b->spans = named ? named->spans : (ir_spans){0, NULL};
  ir_region *regions[] = {rb.region};
  ir_node *n =
      ir_build(b, OP_group, (uint32_t)rb.outer.n + updates, in, 3, attrs, (uint32_t)n_yields, types, 1, regions);
  for (size_t i = 0; i < n_yields; i++) map_put_ptr(r->values, yields[i], &n->out[i]);
}

static void emit_nodes(rebuild *r, const ir_region *region);

static ir_region *rebuilt_body(rebuild *r, const ir_region *old) {
  frame f = {.old = old, .outer = r->frame};
  ir_region *body = ir_region_new(r->out, r->frame->b.region, old->n_params);
  ir_builder_init_inner(&f.b, &r->frame->b, body);
  for (uint32_t i = 0; i < old->n_params; i++)
    map_put_ptr(r->values, &old->params[i], ir_region_param(body, old->params[i].type));
  r->frame = &f;
  emit_nodes(r, old);
  ir_value **yields = ARENA_ARRAY(r->plan->a, ir_value *, old->n_yields + 1);
  for (uint32_t i = 0; i < old->n_yields; i++) yields[i] = memory_value(r, old->yields[i]);
  ir_region_yield(body, old->n_yields, yields);
  r->frame = f.outer;
  return body;
}

static void emit_alone(rebuild *r, const ir_node *n) {
  arena *a = r->plan->a;
  ir_value **in = ARENA_ARRAY(a, ir_value *, n->n_in + 1);
  ir_region **regions = ARENA_ARRAY(a, ir_region *, n->n_regions);
  ir_type *types = ARENA_ARRAY(a, ir_type, n->n_out + 1);
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = memory_value(r, n->in[i]);
  for (uint32_t i = 0; i < n->n_regions; i++) regions[i] = rebuilt_body(r, n->regions[i]);
  for (uint32_t i = 0; i < n->n_out; i++) types[i] = n->out[i].type;
  ir_builder *b = &r->frame->b;
  b->scope = n->scope;
  b->spans = n->spans;
  ir_node *made = ir_build(b, n->op, n->n_in, in, n->n_attrs, n->attrs, n->n_out, types, n->n_regions, regions);
  for (uint32_t i = 0; i < n->n_out; i++) map_put_ptr(r->values, &n->out[i], &made->out[i]);
}

// Copies go to the region again where what is copied stands. Returns the frame to go back to.
static frame *enter(rebuild *r, const ir_region *old) {
  frame *before = r->frame;
  while (r->frame->old != old) r->frame = r->frame->outer;
  return before;
}

static void emit_group(rebuild *r, const fuse_group *g) {
  if (r->emitted[g->id]) return;
  r->emitted[g->id] = true;
  frame *before = enter(r, g->root->parent);
  VEC(const ir_value *) yields = {0};
  for (size_t i = 0; i < r->stored.n; i++)
    if (r->stored.at[i] && map_get_ptr(r->is_stored, r->stored.at[i]) == g)
      vec_push(r->plan->a, &yields, r->stored.at[i]);
  if (g->kind == FUSE_alone) emit_alone(r, g->root);
  else if (yields.n) emit_region(r, g, yields.n, yields.at);
  r->frame = before;
}

// The new graph's value for an old one: emits what is needed first.
static ir_value *outer_value(rebuild *r, const ir_value *v) {
  ir_value *known = map_get_ptr(r->values, v);
  if (known) return known;
  const fuse_group *home = map_get_ptr(r->is_stored, v);
  if (home) {
    emit_group(r, home);
    return map_get_ptr(r->values, v);
  }
  const ir_node *n = v->def;
  frame *before = enter(r, n->parent);
  ir_value **in = ARENA_ARRAY(r->plan->a, ir_value *, n->n_in + 1);
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = outer_value(r, n->in[i]);
  ir_copy_node(&r->frame->b, n, in, r->values);
  r->frame = before;
  return map_get_ptr(r->values, v);
}

// A group of its own, in the current frame, that copies `v`, which keeps its place for other readers.
static ir_value *copied_value(rebuild *r, const ir_value *v) {
  const ir_value *copy[] = {v};
  ir_value *before = map_get_ptr(r->values, v);
  emit_region(r, NULL, 1, copy);
  ir_value *made = map_get_ptr(r->values, v);
  map_put_ptr(r->values, v, before);
  return made;
}

// In textual order; operators outside groups keep theirs.
static void emit_nodes(rebuild *r, const ir_region *region) {
  arena *a = r->plan->a;
  for (const ir_node *n = region->first; n; n = n->next) {
    const fuse_group *home = map_get_ptr(r->plan->group_of, n);
    if (home && home->nodes.at[home->nodes.n - 1] == n) emit_group(r, home);
    else if (!home && !fuse_is_free(r->plan, n) && n->n_out) outer_value(r, &n->out[0]);
    else if (!home && !n->n_out) { // checks
      ir_value **in = ARENA_ARRAY(a, ir_value *, n->n_in + 1);
      for (uint32_t i = 0; i < n->n_in; i++) in[i] = memory_value(r, n->in[i]);
      ir_copy_node(&r->frame->b, n, in, r->values);
    }
  }
}

static bool is_earlier_output(const ir_region *body, uint32_t output) {
  for (uint32_t i = 0; i < output; i++)
    if (body->yields[i] == body->yields[output]) return true;
  return false;
}

// An output that no group stores (an input, a weight, a constant, a moved value), or that is another output too, is
// copied by a group of its own: every output has memory of its own.
static ir_value *output_value(rebuild *r, const ir_region *body, uint32_t output) {
  const ir_value *v = body->yields[output];
  const fuse_group *home = map_get_ptr(r->is_stored, v);
  // the result of an update lies where its operand does, that of a loop where it is carried
  bool stored = home && home->kind != FUSE_update && !fuse_is_control(v->def);
  return stored && !is_earlier_output(body, output) ? outer_value(r, v) : copied_value(r, v);
}

static ir_graph *rebuild_graph(pass_context *c, ir_graph *g) {
  rebuild r = {.plan = fuse_partition(c->a, g), .values = map_new(c->a), .is_stored = map_new(c->a)};
  r.emitted = ARENA_ARRAY(c->a, bool, r.plan->groups.n + 1);
  r.out = ir_graph_new(g->module, g->name, false);
  frame body = {.old = g->body};
  ir_builder_init(&body.b, g->module, r.out->body);
  r.frame = &body;
  for (uint32_t i = 0; i < g->body->n_params; i++)
    map_put_ptr(r.values, &g->body->params[i],
                ir_graph_param(r.out, g->param_names[i], g->body->params[i].type, g->param_defaults[i]));
  find_stored(&r);
  emit_nodes(&r, g->body);
  for (uint32_t i = 0; i < g->body->n_yields; i++)
    ir_graph_output(r.out, g->output_names[i], output_value(&r, g->body, i));
  return r.out;
}

// A graph with an operator that has no schedule cannot run: it stays as it is, and lowering names what it lacks.
static bool can_run(const ir_region *r) {
  for (const ir_node *n = r->first; n; n = n->next) {
    if (!fuse_is_step(n) && !fuse_has_schedule(r->graph->module, n)) return false;
    for (uint32_t i = 0; i < n->n_regions; i++)
      if (!can_run(n->regions[i])) return false;
  }
  return true;
}

bool pass_fuse(pass_context *c, ir_module *m) {
  for (size_t g = 0; g < m->graphs.n; g++)
    if (can_run(m->graphs.at[g]->body)) ir_graph_replace(m, m->graphs.at[g], rebuild_graph(c, m->graphs.at[g]));
  return true;
}
