// The generator's core: dims, leaves, the pool of values, the choice of steps and outputs. See random_graph.h.
#include "op/random_gen.h"
#include <math.h>
#include <string.h>

int64_t gen_extent(gen *g, const idx *e, bool largest) {
  int64_t lo, hi;
  if (!idx_range(g->m->ix, e, &lo, &hi)) return largest ? INT64_MAX : 0;
  return largest ? hi : lo;
}

int64_t gen_count(gen *g, ir_type t) { return gen_extent(g, ir_type_count(g->m, t), true); }

const idx *gen_dim(gen *g) {
  static const int64_t sizes[] = {1,  1,  2,  2,  3,  3,  4,  5,  5,  7,  8,  8,  12,
                                  13, 16, 17, 31, 32, 33, 48, 64, 65, 67, 96, 130};
  if (g->symbols.n && chance(g, 30)) return g->symbols.at[below(g, (uint32_t)g->symbols.n)];
  uint32_t n = sizeof sizes / sizeof *sizes;
  return idx_int(g->m->ix, sizes[chance(g, 70) ? below(g, n / 2) : below(g, n)]);
}

void gen_push(gen *g, ir_value *v, double lo, double hi, bool crisp, bool nasty) {
  if (v) vec_push(g->a, &g->pool, ((rv){v, lo, hi, crisp, nasty}));
  else g->failed = true;
}

// -- leaves --

static void bounds_of(char kind, rv *x) {
  x->crisp = kind != 'u' && kind != 'p';
  x->nasty = kind == 'n';
  x->lo = kind == 'p' ? 0.5 : kind == 'c' ? -4 : -2;
  x->hi = kind == 'p' || kind == 'c' ? 4 : 2;
  if (kind == 'i') x->lo = -9, x->hi = 9;
  if (kind == 'j') x->lo = -1e19, x->hi = 1e19;
}

static ir_value *constant(gen *g, char kind, ir_type t, bool splat) {
  int64_t dim[IR_MAX_RANK] = {0};
  for (uint32_t i = 0; i < t.rank; i++) dim[i] = splat ? 1 : gen_extent(g, t.dim[i], true);
  ir_tensor *data = ir_tensor_new(g->a, t.dt, t.rank, dim);
  random_fill(data, &kind, &g->state);
  if (!splat) return ir_const_data(&g->b, t, data->data);
  return ir_const_scalar(&g->b, scalar_load(t.dt, data->data), t.rank, t.dim);
}

rv gen_leaf(gen *g, char kind, dtype dt, uint32_t rank, const idx *const *dim) {
  rv x = {0};
  ir_type t = ir_type_make(g->m, dt, rank, dim);
  bool fixed = idx_is_const(ir_type_count(g->m, t), NULL);
  uint32_t way = below(g, 100);
  const char *name = str_fmt(g->a, "%c%u", kind, g->n_names++);
  bounds_of(kind, &x);
  if (way < 10) x.v = constant(g, kind, t, true);
  else if (way < 16 && fixed && gen_count(g, t) <= 64) x.v = constant(g, kind, t, false);
  else if (way < 40 && fixed) x.v = ir_weight_ref(&g->b, ir_weight_add(g->m, name, t, NO_SPAN));
  else x.v = ir_graph_param(g->g, name, t, NULL);
  return x;
}

rv gen_leaf_of(gen *g, dtype dt, uint32_t rank, const idx *const *dim) {
  static const char floats[] = "uuuuuppccccn", ints[] = "iiij";
  char kind = 'b';
  if (dtype_is_float(dt)) kind = floats[below(g, sizeof floats - 1)];
  else if (dt != DT_bool) kind = ints[below(g, sizeof ints - 1)];
  return gen_leaf(g, kind, dt, rank, dim);
}

static dtype some_dtype(gen *g) {
  static const dtype often[] = {DT_f32, DT_f32, DT_f32, DT_f32, DT_f32, DT_f32,
                                DT_f32, DT_f32, DT_i32, DT_i32, DT_bool};
  if (chance(g, 80)) return often[below(g, sizeof often / sizeof *often)];
  return (dtype)below(g, DT_COUNT);
}

bool step_leaf(gen *g) {
  const idx *dim[GEN_MAX_RANK];
  uint32_t rank = below(g, GEN_MAX_RANK + 1);
  dtype dt = some_dtype(g);
  do
    for (uint32_t i = 0; i < rank; i++) dim[i] = gen_dim(g);
  while (gen_count(g, ir_type_make(g->m, dt, rank, dim)) > g->big && rank-- > 1);
  rv x = gen_leaf_of(g, dt, rank, dim);
  vec_push(g->a, &g->pool, x);
  return true;
}

// -- the pool --

const rv *gen_pick(gen *g, bool (*suits)(gen *g, const rv *x)) {
  uint32_t n = (uint32_t)g->pool.n;
  for (int tries = 0; n && tries < 12; tries++) {
    uint32_t k = chance(g, 50) && n > 4 ? n - 1 - below(g, 4) : below(g, n);
    if (suits(g, &g->pool.at[k])) return &g->pool.at[k];
  }
  return NULL;
}

ir_value *gen_broadcast(gen *g, ir_value *v, ir_type like) { return ir_broadcast(&g->b, v, like.rank, like.dim); }

static bool fits_into(ir_type t, ir_type like) {
  if (t.dt != like.dt || t.rank > like.rank) return false;
  for (uint32_t i = 0; i < t.rank; i++)
    if (!idx_equals_int(t.dim[i], 1) && t.dim[i] != like.dim[like.rank - t.rank + i]) return false;
  return true;
}

rv gen_partner(gen *g, const rv *x, char kind) {
  ir_type like = x->v->type;
  rv y = *x;
  if (kind == 0 && like.rank > 0 &&
      chance(g, 12)) { // itself, moved: where fusion must see that elements do not line up
    y.v = chance(g, 50) ? gen_transpose(g, x->v) : gen_reverse(g, x->v);
    if (y.v && ir_type_equal(y.v->type, like)) return y;
  }
  for (int tries = 0; kind == 0 && tries < 6 && chance(g, 80); tries++) {
    const rv *z = &g->pool.at[below(g, (uint32_t)g->pool.n)];
    if (!fits_into(z->v->type, like)) continue;
    y = *z;
    y.v = gen_broadcast(g, y.v, like);
    return y;
  }
  const idx *dim[IR_MAX_RANK];
  uint32_t drop = chance(g, 50) ? below(g, like.rank + 1) : 0;
  for (uint32_t i = drop; i < like.rank; i++) dim[i] = chance(g, 20) ? idx_int(g->m->ix, 1) : like.dim[i];
  y = kind ? gen_leaf(g, kind, like.dt, like.rank - drop, dim + drop)
           : gen_leaf_of(g, like.dt, like.rank - drop, dim + drop);
  if (chance(g, 30)) vec_push(g->a, &g->pool, y);
  y.v = gen_broadcast(g, y.v, like);
  return y;
}

// -- graphs --

static const struct {
  bool (*step)(gen *g);
  uint32_t weight;
} steps[] = {
    {step_unary, 16},    {step_binary, 20}, {step_compare, 4},  {step_logic, 3},    {step_where, 5},
    {step_cast, 5},      {step_reduce, 14}, {step_contract, 9}, {step_reshape, 6},  {step_transpose, 6},
    {step_broadcast, 3}, {step_slice, 4},   {step_concat, 3},   {step_pad, 3},      {step_reverse, 2},
    {step_gather, 4},    {step_scatter, 2}, {step_interp, 2},   {step_topk, 2},     {step_select, 2},
    {step_iota, 2},      {step_leaf, 3},    {step_softmax, 3},  {step_norm, 3},     {step_attention, 2},
    {step_linear, 4},    {step_loop, 2},    {step_branch, 2},   {step_convolve, 6}, {step_pool, 4},
};

enum { N_STEPS = sizeof steps / sizeof *steps };

// Every graph likes some steps and leaves others out, so that rare combinations occur (Groce et al. 2012, "Swarm
// testing").
static void choose_weights(gen *g, uint32_t *weight) {
  for (size_t i = 0; i < N_STEPS; i++) {
    uint32_t mood = below(g, 10);
    weight[i] = mood < 3 ? 0 : mood < 8 ? steps[i].weight : 5 * steps[i].weight;
  }
  weight[0] += 1; // never none at all
}

void gen_one_step(gen *g) {
  uint32_t total = 0;
  for (size_t i = 0; i < N_STEPS; i++) total += g->weight[i];
  for (int tries = 0; tries < 20; tries++) {
    uint32_t k = below(g, total);
    size_t i = 0;
    while (k >= g->weight[i]) k -= g->weight[i++];
    if (steps[i].step(g)) return;
  }
}

static void add_dims(gen *g) {
  static const struct {
    const char *name;
    int64_t lo, hi, step;
  } kinds[] = {{"batch", 1, 5, 1}, {"seq", 2, 37, 1}, {"width", 8, 40, 8}, {"length", 1, 70, 1}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (!chance(g, 40)) continue;
    const ir_dim *d = ir_dim_add(g->m, kinds[i].name, kinds[i].lo, kinds[i].hi, kinds[i].step, NO_SPAN);
    const idx *e = idx_of(g->m->ix, d->symbol);
    vec_push(g->a, &g->symbols, e);
    // Some input names each dim alone: that is how it gets its value.
    gen_push(g, ir_graph_param(g->g, str_fmt(g->a, "c_%s", kinds[i].name), ir_type_make(g->m, DT_f32, 1, &e), NULL), -4,
             4, true, false);
  }
}

static void add_outputs(gen *g) {
  map *used = map_new(g->a);
  for (const ir_node *n = g->g->body->first; n; n = n->next)
    for (uint32_t i = 0; i < n->n_in; i++) map_put_ptr(used, n->in[i], g);
  uint32_t n = 0;
  for (size_t i = g->pool.n; i-- > 0 && n < 5;) { // the last values that nothing reads, and some that are read too
    ir_value *v = g->pool.at[i].v;
    if (map_get_ptr(used, v) ? !chance(g, 6) : i + 1 < g->pool.n && !chance(g, 70)) continue;
    ir_graph_output(g->g, str_fmt(g->a, "y%u", n++), v);
    if (chance(g, 3)) ir_graph_output(g->g, str_fmt(g->a, "y%u", n++), v); // the same value twice
  }
  if (n == 0) ir_graph_output(g->g, "y0", g->pool.at[g->pool.n - 1].v);
}

ir_module *random_graph(arena *a, diag_list *l, uint64_t seed) {
  gen g = {.a = a, .m = ir_module_new(a, l, "random"), .state = seed};
  g.g = ir_graph_new(g.m, "forward", true);
  ir_builder_init(&g.b, g.m, g.g->body);
  g.big = chance(&g, 15) ? 20000 : 3000;
  if (chance(&g, 60)) add_dims(&g);
  uint32_t weight[N_STEPS];
  choose_weights(&g, weight);
  g.weight = weight;
  for (uint32_t i = 1 + below(&g, 3); i > 0; i--) step_leaf(&g);
  for (uint32_t i = 1 + below(&g, chance(&g, 70) ? 8 : 24); i > 0; i--) gen_one_step(&g);
  add_outputs(&g);
  return g.failed || diag_failed(l) ? NULL : g.m;
}
