// Random loops and branches around random steps: see random_graph.h. Bodies read values from outside; what they carry
// goes through tanh, so that it stays where it began.
#include "op/random_gen.h"

enum { MAX_DEPTH = 2, MAX_STEPS = 4 };

static bool is_carried(gen *g, const rv *x) {
  return gen_is_float(x) && !x->nasty && gen_count(g, x->v->type) <= g->big;
}

static ir_value *scalar_input(gen *g, const char *kind, dtype dt) {
  const char *name = str_fmt(g->a, "%s_%u", kind, g->n_names++);
  return ir_graph_param(g->g, name, ir_type_make(g->m, dt, 0, NULL), NULL);
}

typedef struct body {
  ir_builder outer;
  size_t pool; // values known outside
} body;

static ir_region *enter(gen *g, body *b, uint32_t n_params) {
  ir_region *r = ir_region_new(g->g, g->b.region, n_params);
  *b = (body){g->b, g->pool.n};
  ir_builder_init_inner(&g->b, &b->outer, r);
  g->depth++;
  return r;
}

static void leave(gen *g, const body *b, ir_region *r, uint32_t n, ir_value *const *yields) {
  ir_region_yield(r, n, yields);
  g->b = b->outer;
  g->pool.n = b->pool;
  g->depth--;
}

// A new value of x's type, within [-1, 1].
static ir_value *some_of(gen *g, const rv *x) {
  const rv from = *x;
  for (uint32_t i = below(g, MAX_STEPS + 1); i > 0; i--) gen_one_step(g);
  const rv *y = &from;
  for (size_t i = g->pool.n; i-- > 0 && chance(g, 90);) {
    const rv *z = &g->pool.at[i];
    if (z->nasty || !ir_type_equal(z->v->type, from.v->type)) continue;
    y = z;
    break;
  }
  return ir_unary(&g->b, OP_tanh, y->v);
}

// The first carried value is made anew, the second is what the first one was.
bool step_loop(gen *g) {
  const rv *x = g->depth < MAX_DEPTH ? gen_pick(g, is_carried) : NULL;
  if (!x) return false;
  double lo = x->lo < -1 ? x->lo : -1, hi = x->hi > 1 ? x->hi : 1;
  uint32_t n = 1 + below(g, 2);
  ir_value *in[] = {scalar_input(g, "g4", DT_i32), x->v, x->v}, *p[2], *yields[2];
  body b;
  ir_region *r = enter(g, &b, n + 1);
  gen_push(g, ir_region_param(r, in[0]->type), 0, 3, true, false);
  for (uint32_t i = 0; i < n; i++) gen_push(g, p[i] = ir_region_param(r, in[1]->type), lo, hi, false, false);
  yields[0] = some_of(g, &g->pool.at[g->pool.n - 1]);
  yields[1] = p[0];
  if (!yields[0]) return g->failed = true;
  leave(g, &b, r, n, yields);
  ir_type types[] = {in[1]->type, in[1]->type};
  ir_node *loop = ir_build(&g->b, OP_loop, n + 1, in, 0, NULL, n, types, 1, &r);
  for (uint32_t i = 0; i < n; i++) gen_push(g, loop ? &loop->out[i] : NULL, lo, hi, false, false);
  return true;
}

bool step_branch(gen *g) {
  const rv *x = g->depth < MAX_DEPTH ? gen_pick(g, is_carried) : NULL;
  if (!x) return false;
  const rv from = *x;
  double lo = x->lo < -1 ? x->lo : -1, hi = x->hi > 1 ? x->hi : 1;
  ir_value *c = scalar_input(g, "b", DT_bool), *yields[2];
  ir_region *r[2];
  for (uint32_t k = 0; k < 2; k++) {
    body b;
    r[k] = enter(g, &b, 0);
    yields[k] = k && chance(g, 50) ? from.v : some_of(g, &from);
    if (!yields[k]) return g->failed = true;
    leave(g, &b, r[k], 1, &yields[k]);
  }
  ir_node *n = ir_build(&g->b, OP_if, 1, &c, 0, NULL, 1, &from.v->type, 2, r);
  gen_push(g, n ? &n->out[0] : NULL, lo, hi, false, false);
  return true;
}
