// Attention in fusion: which nodes become one online-softmax kernel, before anything else may claim them.
//
// For every contraction whose operand is a softmax over scores (attention.h), the nodes between the two contractions
// are the group, provided nobody else reads them: else the scores must exist anyway. Elementwise operators that make a
// matrix of queries times keys out of smaller things (masks, biases by position) are computed again inside the kernel,
// so that no such matrix is written either.
#include "passes/attention.h"
#include "passes/fuse.h"

enum { PLANE_OPS = 24, PLANE_FUNCTION = 6 }; // what an exponential and its kin count as

typedef struct attempt {
  fuse_plan *p;
  const attention_cone *c;
  fuse_cone *found;
  const char *why;
  bool varies;
} attempt;

static bool has_label(const ir_map *m, uint32_t operand, uint32_t label) {
  const sym *s = m->labels[label].symbol;
  for (uint32_t i = 0; i < m->operand[operand].rank; i++)
    if (idx_mentions(m->operand[operand].axes[i].at, s)) return true;
  return false;
}

// Does the type hold an axis of a label that only this operand of dot has? Returns the axis + 1.
static uint32_t own_axis(const ir_map *m, uint32_t operand, ir_type t, uint32_t taken) {
  for (uint32_t l = 0; l < m->n_labels; l++) {
    if (!m->labels[l].in_out || !has_label(m, operand, l) || has_label(m, 1 - operand, l)) continue;
    for (uint32_t i = 0; i < t.rank; i++)
      if (i + 1 != taken && t.dim[i] == m->labels[l].extent && !idx_equals_int(t.dim[i], 1)) return i + 1;
  }
  return 0;
}

// A matrix of queries times keys, in any order of axes.
static bool is_plane(const attempt *x, const ir_value *v) {
  const ir_map *m = ir_map_of(x->p->m, x->c->dot);
  uint32_t row = own_axis(m, 0, v->type, 0);
  return row && own_axis(m, 1, v->type, row);
}

// Is the plane made of smaller things by few operators?
static bool is_recomputed(const attempt *x, const ir_value *v, uint32_t *left) {
  if (!is_plane(x, v)) return true;
  const ir_node *n = v->def;
  if (n && op_get(n->op)->cls == OPC_leaf && fuse_is_free(x->p, n)) return true;
  bool movement = n && op_get(n->op)->cls == OPC_movement;
  if (!n || attention_in_cone(x->c, n) || (!movement && !op_is_elementwise(n->op))) return false;
  uint32_t cost = movement || fuse_is_cheap(n->op) ? 1 : PLANE_FUNCTION;
  if (*left < cost) return false;
  *left -= cost;
  for (uint32_t i = 0; i < n->n_in; i++)
    if (!is_recomputed(x, n->in[i], left)) return false;
  return true;
}

static bool opens(const attempt *x, const ir_value *v) {
  uint32_t left = PLANE_OPS;
  return v->def && op_is_elementwise(v->def->op) && is_plane(x, v) && is_recomputed(x, v, &left);
}

static form_stop classify(void *user, const ir_value *v) {
  const attempt *x = user;
  if (v->def && attention_in_cone(x->c, v->def)) {
    op_class cls = op_get(v->def->op)->cls;
    return cls == OPC_reduce || cls == OPC_contract ? FORM_ACC : FORM_OPEN;
  }
  return opens(x, v) ? FORM_OPEN : fuse_stops_at_memory(x->p, v);
}

static void recompute(const attempt *x, const ir_value *v) {
  if (!v->def || attention_in_cone(x->c, v->def) || !is_plane(x, v)) return;
  if (opens(x, v)) fuse_make_free(x->p, v->def);
  else if (!fuse_is_free(x->p, v->def)) return;
  for (uint32_t i = 0; i < v->def->n_in; i++) recompute(x, v->def->in[i]);
}

// Nobody outside reads what the kernel does not store.
static bool is_closed(const attempt *x) {
  const attention_cone *c = x->c;
  for (uint32_t i = 0; i <= c->n; i++) {
    const ir_value *v = i < c->n ? &c->node[i]->out[0] : &c->dot->out[0];
    uintptr_t inside = 0;
    for (uint32_t k = 0; k < c->n + 2; k++) {
      const ir_node *reader = k < c->n ? c->node[k] : k == c->n ? c->mix : c->after;
      for (uint32_t o = 0; reader && o < reader->n_in; o++) inside += reader->in[o] == v;
    }
    if (inside != fuse_uses(x->p, v)) return false;
  }
  return true;
}

// Is a scalar made of more than weights? A layer's two products are not attention over its hidden units.
static void look_for_input(void *user, const sx *e) {
  attempt *x = user;
  if (e->kind == SX_load && !map_get_ptr(x->p->fixed, e->value)) x->varies = true;
}

static bool varies(attempt *x, form_ctx *f, const sx *e) {
  x->varies = false;
  form_walk(f, e, look_for_input, x);
  return x->varies;
}

static bool is_taken(const attempt *x) { // by another attention
  bool taken = map_get_ptr(x->p->cones, x->c->dot) || map_get_ptr(x->p->cones, x->c->mix);
  for (uint32_t i = 0; i < x->c->n; i++) taken = taken || map_get_ptr(x->p->cones, x->c->node[i]);
  return taken;
}

static bool try_cone(void *user, const attention_cone *c) {
  attempt *x = user;
  fuse_plan *p = x->p;
  x->c = c;
  if (is_taken(x)) return false;
  domain d;
  attention found;
  const char *why = NULL;
  domain_init(p->m, &d, c->mix->out[0].type.rank, c->mix->out[0].type.dim);
  form_ctx *f = form_new(p->a, p->m, classify, x);
  bool ok = attention_match(f, p->a, p->m, c, d.at, &found, &why), softmax = found.kind == ATTENTION_softmax;
  if (ok && !softmax) ok = varies(x, f, found.q) && varies(x, f, found.k) && varies(x, f, found.v), why = NULL;
  if (ok && !is_closed(x)) ok = false, why = "something else reads the scores or the weights";
  if (ok) ok = attention_fits(f, &found, &d, &why);
  if (!ok) {
    if (why && softmax) x->why = why; // two contractions are not always meant as attention
    return false;
  }
  x->found = ARENA_NEW(p->a, fuse_cone);
  x->found->cone = *c;
  x->found->last = found.with ? found.with : c->mix;
  x->found->cone.after = found.with;
  x->found->kind = found.kind;
  map_put_ptr(p->cones, c->dot, x->found);
  map_put_ptr(p->cones, c->mix, x->found);
  map_put_ptr(p->cones, x->found->last, x->found);
  for (uint32_t i = 0; i < c->n; i++) {
    map_put_ptr(p->cones, c->node[i], x->found);
    for (uint32_t k = 0; k < c->node[i]->n_in; k++) recompute(x, c->node[i]->in[k]);
  }
  return true;
}

void fuse_find_attention(fuse_plan *p, const ir_node *n) {
  if (n->op != OP_contract || !fuse_has_schedule(p->m, n)) return;
  const ir_node *user = fuse_uses(p, &n->out[0]) == 1 ? map_get_ptr(p->user, &n->out[0]) : NULL;
  const ir_node *after = attention_is_after(n, user) ? user : NULL;
  attempt x = {.p = p};
  if (attention_cones(p->a, n, after, try_cone, &x) || !x.why) return;
  diag_at(p->m->diags, n->spans.n ? n->spans.at[0] : NO_SPAN, attention_not_tiled, x.why);
}
