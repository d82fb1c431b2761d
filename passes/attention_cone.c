// The nodes of an attention, found by walking back from mix: see attention.h.
#include "passes/attention.h"

enum { MAX_SEEN = 256 }; // a softmax and its masks are far smaller; long chains of residual additions are cut off

typedef struct back_walk {
  const ir_region *region; // of mix: a kernel does not reach out of a loop
  map *seen;
  uint32_t n, n_dots;
  const ir_node *node[MAX_SEEN]; // operands first
  const ir_node *dot[MAX_SEEN];
} back_walk;

static void walk_back(back_walk *w, const ir_value *v) {
  const ir_node *n = v->def;
  if (!n || n->parent != w->region || map_get_ptr(w->seen, n) || w->n + w->n_dots == MAX_SEEN) return;
  map_put_ptr(w->seen, n, w);
  if (n->op == OP_contract) {
    w->dot[w->n_dots++] = n;
    return;
  }
  op_class cls = op_get(n->op)->cls;
  if (!op_is_elementwise(n->op) && cls != OPC_movement && cls != OPC_reduce) return;
  for (uint32_t i = 0; i < n->n_in; i++) walk_back(w, n->in[i]);
  if (w->n + w->n_dots < MAX_SEEN) w->node[w->n++] = n;
}

bool attention_in_cone(const attention_cone *c, const ir_node *n) {
  bool found = n == c->dot || n == c->mix;
  for (uint32_t i = 0; i < c->n; i++) found = found || c->node[i] == n;
  return found;
}

bool attention_is_after(const ir_node *mix, const ir_node *reader) {
  const ir_value *v = &mix->out[0];
  return reader && reader->in[0] != reader->in[reader->n_in - 1] &&
         ((reader->op == OP_div && reader->in[0] == v) ||
          (reader->op == OP_mul && (reader->in[0] == v || reader->in[1] == v)));
}

// The seen nodes that depend on dot; false when they are too many.
static bool collect(const back_walk *w, attention_cone *c) {
  for (uint32_t i = 0; i < w->n; i++) {
    const ir_node *n = w->node[i];
    bool in = false;
    for (uint32_t k = 0; k < n->n_in; k++) in = in || (n->in[k]->def && attention_in_cone(c, n->in[k]->def));
    if (!in) continue;
    if (c->n == ATTENTION_MAX_CONE) return false;
    c->node[c->n++] = n;
    c->has_exp = c->has_exp || n->op == OP_exp;
  }
  return true;
}

bool attention_cones(arena *a, const ir_node *mix, const ir_node *after,
                     bool (*each)(void *user, const attention_cone *c), void *user) {
  back_walk w = {.region = mix->parent, .seen = map_new(a)};
  for (uint32_t i = 0; i < mix->n_in; i++) walk_back(&w, mix->in[i]);
  map_put_ptr(w.seen, mix, &w);
  if (after) walk_back(&w, after->in[after->in[0] == &mix->out[0]]);
  for (uint32_t i = 0; i < w.n_dots; i++) {
    attention_cone c = {.dot = w.dot[i], .mix = mix, .after = after};
    if (collect(&w, &c) && each(user, &c)) return true;
  }
  return false;
}
