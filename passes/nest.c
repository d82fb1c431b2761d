// The loop nest of a group: its labels, merged where every address allows, and what their accesses look like.
#include "passes/schedule.h"

typedef struct merge_test {
  nest *n;
  const sym *outer, *inner;
  const idx *extent; // of inner
  bool ok;
} merge_test;

// One step of the outer label is `extent` steps of the inner one, also inside of what is read for the address.
static bool runs_on(merge_test *t, const idx *address) {
  idx_ctx *c = t->n->g->m->ix;
  const idx_binding b[] = {{t->outer, idx_addi(c, idx_of(c, t->outer), 1)},
                           {t->inner, idx_sub(c, idx_of(c, t->inner), t->extent)}};
  return idx_subst(c, address, 2, b) == address;
}

static bool mentions_either(const merge_test *t, const idx *e) {
  return idx_mentions(e, t->outer) || idx_mentions(e, t->inner);
}

static void test_scalar(void *user, const sx *e) {
  merge_test *t = user;
  if (e->kind == SX_load || e->kind == SX_index) t->ok = t->ok && runs_on(t, e->at);
  else if (e->at) t->ok = t->ok && !mentions_either(t, e->at);
  for (uint32_t i = 0; i < e->n_guards; i++) t->ok = t->ok && runs_on(t, e->guards[i]);
}

static bool can_merge(nest *n, uint32_t i) {
  merge_test t = {n, n->label[i].s, n->label[i + 1].s, n->label[i + 1].extent,
                  n->label[i].reduced == n->label[i + 1].reduced};
  for (uint32_t k = 0; t.ok && k < n->n_roots; k++) {
    form_walk(n->g->form, n->root[k], test_scalar, &t);
    if (n->store[k]) t.ok = t.ok && runs_on(&t, n->store[k]);
  }
  return t.ok;
}

// Labels i and i+1 become one; `runs_on`: every address takes the inner one beyond its extent, and needs no outer one.
static void join(nest *n, uint32_t i, bool runs_on) {
  idx_ctx *c = n->g->m->ix;
  const idx *inner = n->label[i + 1].extent, *extent = idx_mul(c, n->label[i].extent, inner);
  sym *joined = idx_fresh(c, "d");
  joined->lo = idx_int(c, 0);
  joined->hi = idx_addi(c, extent, -1);
  const idx *at = idx_of(c, joined);
  idx_binding b[] = {{n->label[i].s, runs_on ? idx_int(c, 0) : idx_floordiv(c, at, inner)},
                     {n->label[i + 1].s, runs_on ? at : idx_mod(c, at, inner)}};
  for (uint32_t k = 0; k < n->n_roots; k++) {
    n->root[k] = form_subst(n->g->form, n->root[k], 2, b);
    if (n->store[k]) n->store[k] = idx_subst(c, n->store[k], 2, b);
  }
  n->label[i] = (nest_label){joined, extent, n->label[i].reduced};
  for (uint32_t k = i + 1; k + 1 < n->n_labels; k++) n->label[k] = n->label[k + 1];
  n->n_labels--;
}

void nest_join(nest *n, uint32_t i) { join(n, i, false); }

void nest_merge(nest *n) {
  for (uint32_t i = 0; i < n->n_labels;) { // labels of extent 1 loop over nothing: scalars already index them by 0
    if (!idx_equals_int(n->label[i].extent, 1)) {
      i++;
      continue;
    }
    for (uint32_t k = i; k + 1 < n->n_labels; k++) n->label[k] = n->label[k + 1];
    n->n_labels--;
  }
  for (uint32_t i = n->n_labels; i-- > 1;)
    if (can_merge(n, i - 1)) join(n, i - 1, true);
}

typedef struct unit_count {
  const nest *n;
  const sym *s;
  int score;
} unit_count;

static bool is_unit(const nest *n, const idx *address, const sym *s) {
  const idx *coef, *rest;
  return idx_linear(n->g->m->ix, address, s, &coef, &rest) && idx_equals_int(coef, 1);
}

static void count_units(void *user, const sx *e) {
  unit_count *u = user;
  if (e->kind == SX_load && is_unit(u->n, e->at, u->s)) u->score++;
}

// Does the store happen at every point of the domain, or once for all values of the reduced labels?
static bool is_whole(const nest *n, const idx *store) {
  bool any_reduced = false;
  for (uint32_t i = 0; i < n->n_labels; i++) {
    if (!n->label[i].reduced) continue;
    any_reduced = true;
    if (idx_mentions(store, n->label[i].s)) return true;
  }
  return !any_reduced;
}

int nest_unit_score(const nest *n, uint32_t i) {
  unit_count u = {n, n->label[i].s, 0};
  for (uint32_t k = 0; k < n->n_roots; k++) {
    form_walk(n->g->form, n->root[k], count_units, &u);
    if (n->store[k] && is_whole(n, n->store[k]) && is_unit(n, n->store[k], u.s)) u.score += 2;
  }
  return u.score;
}

int64_t extent_max(lower_group *g, const idx *e) {
  int64_t lo, hi;
  return idx_range(g->m->ix, e, &lo, &hi) ? hi : INT64_MAX;
}

typedef struct unit_test {
  idx_ctx *ix;
  const sym *s;
  bool unit;
} unit_test;

static void test_load(void *user, const sx *e) {
  unit_test *t = user;
  const idx *coef, *rest;
  if (e->kind == SX_load && idx_mentions(e->at, t->s))
    t->unit = t->unit && idx_linear(t->ix, e->at, t->s, &coef, &rest) && idx_equals_int(coef, 1);
}

bool nest_is_unit(lower_group *g, const sx *root, const sym *s) {
  unit_test t = {g->m->ix, s, true};
  form_walk(g->form, root, test_load, &t);
  return t.unit;
}

int64_t extent_hint(lower_group *g, const idx *e) {
  int64_t lo, hi;
  if (!idx_range(g->m->ix, e, &lo, &hi)) return 128;
  if (lo == hi) return lo;
  int64_t guess = lo > 0 ? lo : 1;
  while (guess * guess < hi * (lo > 0 ? lo : 1) && guess < hi) guess *= 2; // near the geometric mean of the range
  return guess < hi ? guess : hi;
}

static void see_f64(void *user, const sx *e) {
  bool *found = user;
  *found = *found || e->dt == DT_f64;
}

bool nest_may_share(const nest *n, dtype extra) {
  const target *t = n->g->c->target;
  bool f64 = extra == DT_f64;
  for (uint32_t i = 0; i < n->n_roots && t->workers && !t->shares_f64; i++)
    form_walk(n->g->form, n->root[i], see_f64, &f64);
  return t->workers && (t->shares_f64 || !f64);
}

static void add_cost(void *user, const sx *e) {
  double *ns = user;
  if (e->kind == SX_load) *ns += 0.05;
  if (e->kind != SX_op) return;
  switch ((int)e->op) { // sixteen lanes a vector; polynomials cost some twenty operations, scalar fallbacks more
  case OP_exp:
  case OP_tanh:
  case OP_sigmoid:
  case OP_erf:
  case OP_log: *ns += 0.3; break;
  case OP_sin:
  case OP_cos:
  case OP_tan:
  case OP_atan:
  case OP_pow:
  case OP_expm1:
  case OP_log1p:
  case OP_erfinv: *ns += 1.0; break;
  case OP_div:
  case OP_sqrt:
  case OP_rsqrt:
  case OP_floordiv:
  case OP_mod: *ns += 0.2; break;
  default: *ns += 0.03;
  }
}

double nest_cost_per_element(const nest *n) {
  double ns = 0.05;
  for (uint32_t k = 0; k < n->n_roots; k++) form_walk(n->g->form, n->root[k], add_cost, &ns);
  return ns;
}

tile_shape pick_cols(lower_group *g, const idx *extent) {
  uint32_t lanes = g->c->target->vector_bytes / 4, widest = 4 * lanes;
  int64_t n = extent_max(g, extent);
  uint32_t cols = widest;
  while (cols > lanes && (int64_t)cols / 2 >= n) cols /= 2;
  return (tile_shape){cols, idx_divides(g->m->ix, cols, extent) == TRI_yes};
}

uint32_t nest_order_batch(uint32_t n, nest_label *batch) {
  nest_label sized[IR_MAX_RANK * 2], constant[IR_MAX_RANK * 2];
  uint32_t n_sized = 0, n_constant = 0, k = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (idx_is_const(batch[i].extent, NULL)) constant[n_constant++] = batch[i];
    else sized[n_sized++] = batch[i];
  }
  if (n_sized) batch[k++] = sized[0];
  for (uint32_t i = 0; i < n_constant; i++) batch[k++] = constant[i];
  for (uint32_t i = 1; i < n_sized; i++) batch[k + i - 1] = sized[i];
  return k;
}

void nest_bind_grid(splice *s, uint32_t n, const nest_label *batch) {
  idx_ctx *kc = s->g->k->ix;
  const idx *points = idx_int(kc, 1);
  for (uint32_t i = 0; i < n; i++) points = idx_mul(kc, points, lower_dim_expr(s->g, batch[i].extent));
  const idx *at = lower_grid(s->g, "b", points);
  for (uint32_t i = n; i-- > 0;) { // the last one fastest
    const idx *extent = lower_dim_expr(s->g, batch[i].extent);
    splice_bind(s, batch[i].s, i ? idx_mod(kc, at, extent) : at);
    at = i ? idx_floordiv(kc, at, extent) : at;
  }
}

void nest_enter(nest *n, splice *s, uint32_t vec, nest_frame *f) {
  lower_group *g = n->g;
  idx_ctx *kc = g->k->ix;
  double cost = nest_cost_per_element(n);
  bool vec_kept = vec < n->n_labels && !n->label[vec].reduced;
  uint32_t limit = vec_kept ? 2 : 3, n_grid = 0;
  *f = (nest_frame){.b = kir_begin(g->k)};
  for (uint32_t i = 0; i < n->n_labels; i++) {
    const idx *extent = lower_dim_expr(g, n->label[i].extent);
    if (n->label[i].reduced) cost *= (double)extent_hint(g, n->label[i].extent);
    else if (i != vec && n_grid < limit) {
      splice_bind(s, n->label[i].s, lower_grid(g, "g", extent));
      n_grid++;
    }
  }
  if (vec_kept) {
    tile_shape shape = pick_cols(g, n->label[vec].extent);
    const idx *extent = lower_dim_expr(g, n->label[vec].extent);
    const idx *block = idx_scale(kc, lower_grid(g, "block", idx_ceildiv(kc, extent, shape.cols)), shape.cols);
    const idx *at = idx_add(kc, block, idx_of(kc, g->k->c));
    splice_bind(s, n->label[vec].s, at);
    s->cols = shape.cols;
    s->col_tail = shape.exact ? NULL : idx_addi(kc, idx_sub(kc, extent, at), -1);
    cost *= shape.cols / 4.0;
  }
  if (g->k->n_grid == 0) kir_grid(g->k, "g", idx_int(kc, 1));
  n_grid = 0;
  for (uint32_t i = 0; i < n->n_labels; i++) { // kept labels that found no place in the grid
    if (n->label[i].reduced || i == vec || n_grid++ < limit) continue;
    kir_stmt *loop = kir_for(&f->b, "i", idx_int(kc, 0), lower_dim_expr(g, n->label[i].extent), 1, 1, 0, NULL);
    splice_bind(s, n->label[i].s, idx_of(kc, loop->var));
    f->b = kir_for_body(&f->b, loop);
    f->loops[f->n_loops++] = loop;
    cost *= (double)extent_hint(g, n->label[i].extent);
  }
  g->k->cost_ns = cost;
}

void nest_leave(nest_frame *f) {
  while (f->n_loops) kir_for_end(f->loops[--f->n_loops], NULL);
}
