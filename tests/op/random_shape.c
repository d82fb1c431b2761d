// Random movement: see random_graph.h.
#include "op/random_gen.h"
#include <math.h>
#include <string.h>

static bool has_dims(gen *g, const rv *x) {
  (void)g;
  return x->v->type.rank > 0;
}

static bool is_any(gen *g, const rv *x) {
  (void)g, (void)x;
  return true;
}

static void push_moved(gen *g, const rv *x, ir_value *v) { gen_push(g, v, x->lo, x->hi, x->crisp, x->nasty); }

bool step_reshape(gen *g) {
  const rv *p = gen_pick(g, is_any);
  if (!p) return false;
  rv x = *p;
  ir_type t = x.v->type;
  const idx *dim[IR_MAX_RANK];
  uint32_t n = 0, at = t.rank ? below(g, t.rank) : 0, way = below(g, 4);
  int64_t extent;
  if (way == 0 && t.rank > 1) { // merge two neighbours
    at = below(g, t.rank - 1);
    for (uint32_t i = 0; i < t.rank; i++) {
      if (i == at) dim[n++] = idx_mul(g->m->ix, t.dim[i], t.dim[i + 1]), i++;
      else dim[n++] = t.dim[i];
    }
  } else if (way == 1 && t.rank > 0 && t.rank < GEN_MAX_RANK &&
             idx_is_const(t.dim[at], &extent)) { // split by a divisor
    int64_t d = 1 + below(g, (uint32_t)extent);
    while (extent % d) d--;
    for (uint32_t i = 0; i < t.rank; i++) {
      if (i == at) dim[n++] = idx_int(g->m->ix, d);
      dim[n++] = i == at ? idx_int(g->m->ix, extent / d) : t.dim[i];
    }
  } else if (way == 2 && t.rank < GEN_MAX_RANK) { // a new axis of 1
    for (uint32_t i = 0; i <= t.rank; i++) {
      if (i == at) dim[n++] = idx_int(g->m->ix, 1);
      if (i < t.rank) dim[n++] = t.dim[i];
    }
  } else { // flat
    dim[n++] = ir_type_count(g->m, t);
  }
  push_moved(g, &x, ir_reshape(&g->b, x.v, n, dim));
  return true;
}

ir_value *gen_transpose(gen *g, ir_value *v) {
  int64_t perm[IR_MAX_RANK];
  for (uint32_t i = 0; i < v->type.rank; i++) perm[i] = i;
  for (uint32_t i = v->type.rank; i > 1; i--) {
    uint32_t k = below(g, i);
    int64_t s = perm[i - 1];
    perm[i - 1] = perm[k];
    perm[k] = s;
  }
  return ir_transpose(&g->b, v, perm);
}

bool step_transpose(gen *g) {
  const rv *p = gen_pick(g, has_dims);
  if (!p || p->v->type.rank < 2) return false;
  rv x = *p;
  push_moved(g, &x, gen_transpose(g, x.v));
  return true;
}

bool step_broadcast(gen *g) {
  const rv *p = gen_pick(g, is_any);
  if (!p) return false;
  rv x = *p;
  ir_type t = x.v->type;
  const idx *dim[IR_MAX_RANK];
  uint32_t more = t.rank < GEN_MAX_RANK && chance(g, 60) ? 1 : 0;
  for (uint32_t i = 0; i < more; i++) dim[i] = gen_dim(g);
  for (uint32_t i = 0; i < t.rank; i++) dim[more + i] = idx_equals_int(t.dim[i], 1) ? gen_dim(g) : t.dim[i];
  if (gen_count(g, ir_type_make(g->m, t.dt, t.rank + more, dim)) > g->big) return false;
  push_moved(g, &x, ir_broadcast(&g->b, x.v, t.rank + more, dim));
  return true;
}

bool step_slice(gen *g) {
  const rv *p = gen_pick(g, has_dims);
  if (!p) return false;
  rv x = *p;
  idx_ctx *c = g->m->ix;
  uint32_t axis = below(g, x.v->type.rank);
  const idx *n = x.v->type.dim[axis];
  int64_t least = gen_extent(g, n, false), step = chance(g, 70) ? 1 : 2 + below(g, 2);
  if (least < 2) return false;
  int64_t lo = below(g, (uint32_t)least), drop = below(g, (uint32_t)(least - lo));
  const idx *size = idx_ceildiv(c, idx_addi(c, n, -lo - drop), step);
  push_moved(g, &x, ir_slice(&g->b, x.v, axis, idx_int(c, lo), size, step));
  return true;
}

bool step_concat(gen *g) {
  const rv *p = gen_pick(g, has_dims);
  if (!p) return false;
  rv x = *p;
  ir_type t = x.v->type;
  uint32_t axis = below(g, t.rank), n = 1;
  ir_value *part[4] = {x.v};
  for (uint32_t more = 1 + below(g, 3); more > 0; more--) {
    const idx *dim[IR_MAX_RANK];
    memcpy(dim, t.dim, t.rank * sizeof *dim);
    if (chance(g, 60)) dim[axis] = gen_dim(g);
    rv y = chance(g, 20) ? x : gen_leaf_of(g, t.dt, t.rank, dim);
    part[n++] = y.v;
    x.lo = fmin(x.lo, y.lo), x.hi = fmax(x.hi, y.hi), x.crisp = x.crisp && y.crisp, x.nasty = x.nasty || y.nasty;
  }
  if (chance(g, 50)) {
    ir_value *first = part[0];
    part[0] = part[n - 1];
    part[n - 1] = first;
  }
  ir_value *v = ir_concat(&g->b, n, part, axis);
  if (v && gen_count(g, v->type) > g->big) return true; // built, but too large to go on with
  push_moved(g, &x, v);
  return true;
}

bool step_pad(gen *g) {
  const rv *p = gen_pick(g, has_dims);
  if (!p) return false;
  rv x = *p;
  const idx *lo[IR_MAX_RANK], *hi[IR_MAX_RANK];
  for (uint32_t i = 0; i < x.v->type.rank; i++) {
    lo[i] = idx_int(g->m->ix, chance(g, 50) ? 0 : below(g, 4));
    hi[i] = idx_int(g->m->ix, chance(g, 50) ? 0 : below(g, 4));
  }
  scalar value = scalar_f(x.v->type.dt, chance(g, 50) ? 0 : (double)below(g, 5) - 2);
  ir_value *v = ir_pad(&g->b, x.v, lo, hi, value);
  x.lo = fmin(x.lo, -2), x.hi = fmax(x.hi, 2);
  if (v && gen_count(g, v->type) > g->big) return true;
  push_moved(g, &x, v);
  return true;
}

ir_value *gen_reverse(gen *g, ir_value *v) {
  int64_t axes[IR_MAX_RANK];
  size_t n = 0;
  while (n == 0)
    for (uint32_t i = 0; i < v->type.rank; i++)
      if (chance(g, 50)) axes[n++] = i;
  const ir_attr attr = attr_ints(g->m, "axes", n, axes);
  ir_node *node = ir_build(&g->b, OP_reverse, 1, &v, 1, &attr, 0, NULL, 0, NULL);
  return node ? &node->out[0] : NULL;
}

bool step_reverse(gen *g) {
  const rv *p = gen_pick(g, has_dims);
  if (!p) return false;
  rv x = *p;
  push_moved(g, &x, gen_reverse(g, x.v));
  return true;
}
