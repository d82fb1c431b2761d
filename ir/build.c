// Building nodes: checks and shape rule (infer.h), hash-consing of pure nodes, guards for dims that may differ.
//
// In: operator, operands, attributes. Out: a node appended to the builder's region, or the equal node that is already
// there. Two pure nodes are equal when operator, operands, attributes and given types are; their key is these, written
// out as bytes. Operands of commutative operators are ordered by value id first. Cost: one hash look-up a node.
#include "ir/infer.h"

#include <string.h>

enum { MAX_KEY_BYTES = 1 << 16 }; // larger constants are not merged

void ir_builder_init(ir_builder *b, ir_module *m, ir_region *r) {
  *b =
      (ir_builder){.m = m, .region = r, .scope = intern_z(m->names, ""), .cse = map_new(m->a), .checks = map_new(m->a)};
}

void ir_builder_init_inner(ir_builder *b, const ir_builder *outer, ir_region *r) {
  ir_builder_init(b, outer->m, r);
  if (outer->cse == NULL) b->cse = NULL;
  for (size_t i = 0; i < map_count(outer->checks); i++) map_put_ptr(b->checks, map_key_ptr(outer->checks, i), b);
}

// -- spans --

static uint32_t capacity(uint32_t n) {
  uint32_t c = 1;
  while (c < n) c *= 2;
  return c;
}

static ir_spans own_spans(arena *a, ir_spans s) {
  if (s.n == 0) return s;
  diag_span *at = ARENA_ARRAY(a, diag_span, capacity(s.n));
  memcpy(at, s.at, s.n * sizeof *at);
  return (ir_spans){s.n, at};
}

// A node's spans are its own array, as long as the power of two at or above n.
static void join_spans(arena *a, ir_spans *into, ir_spans more) {
  for (uint32_t i = 0; i < more.n; i++) {
    bool known = false;
    for (uint32_t k = 0; k < into->n && !known; k++) known = memcmp(&into->at[k], &more.at[i], sizeof more.at[i]) == 0;
    if (known) continue;
    diag_span *at = (diag_span *)(uintptr_t)into->at;
    if (into->n == 0 || capacity(into->n) == into->n) {
      at = ARENA_ARRAY(a, diag_span, capacity(into->n + 1));
      if (into->n > 0) memcpy(at, into->at, into->n * sizeof *at);
    }
    at[into->n] = more.at[i];
    *into = (ir_spans){into->n + 1, at};
  }
}

// -- keys --

static void key_attr(strbuf *k, const ir_attr *x) {
  sb_bytes(k, &x->key, sizeof x->key);
  sb_bytes(k, &x->kind, sizeof x->kind);
  switch (x->kind) {
  case ATTR_int: sb_bytes(k, &x->v.i, sizeof x->v.i); return;
  case ATTR_float: sb_bytes(k, &x->v.f, sizeof x->v.f); return;
  case ATTR_str: sb_bytes(k, &x->v.s, sizeof x->v.s); return;
  case ATTR_idx: sb_bytes(k, &x->v.x, sizeof x->v.x); return;
  case ATTR_dtype: sb_bytes(k, &x->v.dt, sizeof x->v.dt); return;
  case ATTR_ints:
  case ATTR_floats:
  case ATTR_idxs: {
    const size_t n = x->kind == ATTR_ints ? x->v.is.n : x->kind == ATTR_floats ? x->v.fs.n : x->v.xs.n;
    sb_bytes(k, &n, sizeof n);
    if (x->kind == ATTR_ints) sb_bytes(k, x->v.is.at, n * sizeof *x->v.is.at);
    if (x->kind == ATTR_floats) sb_bytes(k, x->v.fs.at, n * sizeof *x->v.fs.at);
    if (x->kind == ATTR_idxs) sb_bytes(k, x->v.xs.at, n * sizeof *x->v.xs.at);
    return;
  }
  }
}

static bool has_large_attr(const ir_node *n) {
  for (uint32_t i = 0; i < n->n_attrs; i++) {
    const ir_attr *x = &n->attrs[i];
    if (x->kind == ATTR_ints && x->v.is.n * sizeof(int64_t) > MAX_KEY_BYTES) return true;
    if (x->kind == ATTR_floats && x->v.fs.n * sizeof(double) > MAX_KEY_BYTES) return true;
  }
  return false;
}

// Empty when the node may not be merged.
static str merge_key(const ir_builder *b, const infer *x) {
  strbuf k;
  sb_init(&k, b->m->a);
  if (b->cse == NULL || (x->info->flags & OPF_PURE) == 0 || x->n.n_regions > 0 || has_large_attr(&x->n))
    return sb_str(&k);
  sb_bytes(&k, &x->n.op, sizeof x->n.op);
  sb_bytes(&k, &x->n.n_in, sizeof x->n.n_in);
  for (uint32_t i = 0; i < x->n.n_in; i++) sb_bytes(&k, &x->n.in[i]->id, sizeof x->n.in[i]->id);
  for (uint32_t i = 0; i < x->n.n_attrs; i++) key_attr(&k, &x->n.attrs[i]);
  if (x->info->cls == OPC_leaf) { // nothing else tells their type
    sb_bytes(&k, &x->out[0].dt, sizeof x->out[0].dt);
    sb_bytes(&k, x->out[0].dim, x->out[0].rank * sizeof *x->out[0].dim);
  }
  return sb_str(&k);
}

// -- nodes --

static ir_node *append(ir_builder *b, const infer *x) {
  arena *a = b->m->a;
  ir_node *n = ARENA_NEW(a, ir_node);
  *n = x->n;
  n->n_out = x->n_out;
  n->in = arena_copy(a, x->n.in, x->n.n_in * sizeof *n->in);
  n->regions = arena_copy(a, x->n.regions, x->n.n_regions * sizeof *n->regions);
  n->out = ARENA_ARRAY(a, ir_value, x->n_out);
  for (uint32_t i = 0; i < x->n_out; i++) {
    n->out[i] = (ir_value){.def = n, .index = i, .id = b->m->next_value_id++, .type = x->out[i]};
  }
  n->scope = b->scope == NULL ? intern_z(b->m->names, "") : b->scope;
  n->spans = own_spans(a, b->spans);
  n->parent = b->region;
  if (b->region->last != NULL) b->region->last->next = n;
  else b->region->first = n;
  b->region->last = n;
  b->region->n_nodes++;
  if (x->map != NULL) map_put_ptr(b->m->node_maps, n, (void *)(uintptr_t)x->map);
  return n;
}

static void note_check(ir_builder *b, const infer *x) {
  const idx *cond = ir_attr_idx(b->m, &x->n, "cond", NULL);
  if (b->checks != NULL && cond != NULL) map_put_ptr(b->checks, cond, b);
}

static bool add_checks(ir_builder *b, const infer *x) {
  for (size_t i = 0; i < x->required.n; i++) {
    const requirement *r = &x->required.at[i];
    if (b->checks != NULL && map_get_ptr(b->checks, r->nonneg) != NULL) continue;
    const ir_attr attrs[] = {attr_idx(b->m, "cond", r->nonneg), attr_str(b->m, "text", r->text)};
    if (ir_build(b, OP_check, 0, NULL, 2, attrs, 0, NULL, 0, NULL) == NULL) return false;
  }
  return true;
}

static ir_node *refuse(ir_builder *b, const infer *x) {
  const diag_span at = b->spans.n > 0 ? b->spans.at[0] : NO_SPAN;
  diag_report(b->m->diags, at, x->problem_id, op_get(x->n.op)->name, x->problem);
  return NULL;
}

// The dtype in which an attribute of kind `any` is held.
static dtype value_dtype(const infer *x) {
  if (x->n.op == OP_const) return x->n_declared == 1 ? x->declared[0].dt : DT_f32;
  return x->n.n_in > 0 ? infer_in(x, 0).dt : DT_f32;
}

ir_node *ir_build(ir_builder *b, op_code op, uint32_t n_in, ir_value *const *in, uint32_t n_attrs, const ir_attr *attrs,
                  uint32_t n_out, const ir_type *declared, uint32_t n_regions, ir_region *const *regions) {
  ir_module *m = b->m;
  for (uint32_t i = 0; i < n_in; i++) {
    if (in[i] == NULL) return NULL; // what failed before has been reported
  }
  if (b->spans.n > 0) m->diags->here = b->spans.at[0];
  infer x = {.m = m, .info = op_get(op), .n_declared = declared == NULL ? 0 : n_out, .declared = declared};
  ir_value *ordered[2];
  x.n = (ir_node){.op = op, .n_in = n_in, .n_attrs = n_attrs, .n_regions = n_regions};
  x.n.in = (ir_value **)(uintptr_t)in;
  x.n.regions = (ir_region **)(uintptr_t)regions;
  if (n_in == 2 && op_has(op, OPF_COMM) && in[0]->id > in[1]->id) {
    ordered[0] = in[1];
    ordered[1] = in[0];
    x.n.in = ordered;
  }
  if (!schema_apply(m, x.info, value_dtype(&x), n_attrs, attrs, &x.n.attrs, &x.problem)) {
    x.problem_id = DIAG_ID_graph_attribute;
    return refuse(b, &x);
  }
  if (!infer_node(&x)) return refuse(b, &x);
  if (!add_checks(b, &x)) return NULL;
  const str key = merge_key(b, &x);
  ir_node *n = key.n > 0 ? map_get(b->cse, key) : NULL;
  if (n != NULL) {
    join_spans(m->a, &n->spans, b->spans);
    return n;
  }
  n = append(b, &x);
  if (key.n > 0) map_put(b->cse, key, n);
  if (op == OP_check) note_check(b, &x);
  return n;
}
