// Schedule of elementwise groups (gathers, copies, concatenations included): one pass over the output domain in rows of
// vectors.
//
//   grid: outer labels, and blocks of the vector label when it is long      body: other labels serial, then
//   for k in lo..full step C { load… store … }      and one masked tile for the rest
#include "passes/schedule.h"

static void emit_tile(nest *n, const splice *outer, kir_builder *b, uint32_t vec, const idx *k, const idx *end,
                      bool masked, uint32_t cols) {
  lower_group *g = n->g;
  splice s = *outer;
  idx_ctx *c = g->k->ix;
  const idx *at = idx_add(c, k, idx_of(c, g->k->c));
  s.b = b;
  s.rows = 1;
  s.cols = cols;
  s.done = NULL;
  if (vec < n->n_labels) splice_bind(&s, n->label[vec].s, at);
  s.col_tail = masked ? idx_addi(c, idx_sub(c, end, at), -1) : NULL;
  for (uint32_t i = 0; i < n->n_roots; i++) splice_store(&s, n->stored[i], n->store[i], splice_tile(&s, n->root[i]));
}

// The vector loop over [lo, hi): whole tiles, then a masked one.
static void emit_vector_loop(nest *n, const splice *s, kir_builder *b, uint32_t vec, const idx *lo, const idx *hi) {
  idx_ctx *c = n->g->k->ix;
  tile_shape shape = pick_cols(n->g, n->label[vec].extent);
  const idx *length = idx_sub(c, hi, lo), *cols = idx_int(c, shape.cols);
  const idx *full = shape.exact ? hi : idx_add(c, lo, idx_mul(c, idx_floordiv(c, length, cols), cols));
  int64_t trips;
  bool none = idx_is_const(idx_sub(c, full, lo), &trips) && trips == 0;
  if (!none) {
    kir_stmt *loop = kir_for(b, "k", lo, full, shape.cols, 1, 0, NULL);
    kir_builder body = kir_for_body(b, loop);
    emit_tile(n, s, &body, vec, idx_of(c, loop->var), hi, false, shape.cols);
    kir_for_end(loop, NULL);
  }
  if (shape.exact) return;
  kir_stmt *rest = kir_for(b, "k", full, hi, shape.cols, 1, 0, NULL);
  kir_builder body = kir_for_body(b, rest);
  emit_tile(n, s, &body, vec, idx_of(c, rest->var), hi, true, shape.cols);
  kir_for_end(rest, NULL);
}

// Elements of a label that accesses find side by side, as far as they fill a vector: an image's three colours do not.
static int64_t vector_score(const nest *n, uint32_t i) {
  int64_t lanes = n->g->c->target->vector_bytes / 4, extent = extent_hint(n->g, n->label[i].extent);
  return nest_unit_score(n, i) * (extent < lanes ? extent : lanes);
}

bool schedule_stores(nest *n) {
  lower_group *g = n->g;
  idx_ctx *kc = g->k->ix;
  nest_merge(n);

  uint32_t vec = n->n_labels;
  int64_t best = -1;
  for (uint32_t i = 0; i < n->n_labels; i++)
    if (vector_score(n, i) >= best) best = vector_score(n, i), vec = i;

  splice s = {.g = g};
  int64_t block = g->c->target->block_elements;
  bool blocked = vec < n->n_labels && extent_max(g, n->label[vec].extent) > 2 * block;
  uint32_t n_grid = 0, limit = blocked ? 2 : 3;
  double cost = nest_cost_per_element(n) / 4;
  bool serial[IR_MAX_RANK * 2] = {false};
  for (uint32_t i = 0; i < n->n_labels; i++) {
    if (i == vec) continue;
    if (n_grid < limit) {
      splice_bind(&s, n->label[i].s, lower_grid(g, "g", lower_dim_expr(g, n->label[i].extent)));
      n_grid++;
    } else {
      serial[i] = true;
      cost *= (double)extent_hint(g, n->label[i].extent);
    }
  }
  const idx *lo = idx_int(kc, 0), *hi = vec < n->n_labels ? lower_dim_expr(g, n->label[vec].extent) : idx_int(kc, 1);
  if (blocked) {
    lo = idx_scale(kc, lower_grid(g, "block", idx_ceildiv(kc, hi, block)), block);
    hi = idx_min(kc, hi, idx_addi(kc, lo, block));
    cost *= (double)block;
  } else if (vec < n->n_labels) {
    cost *= (double)extent_hint(g, n->label[vec].extent);
  }
  if (g->k->n_grid == 0) kir_grid(g->k, "g", idx_int(kc, 1));
  g->k->cost_ns = cost;

  kir_builder b = kir_begin(g->k);
  kir_stmt *loops[IR_MAX_RANK * 2];
  uint32_t n_loops = 0;
  for (uint32_t i = 0; i < n->n_labels; i++) {
    if (!serial[i]) continue;
    kir_stmt *loop = kir_for(&b, "i", idx_int(kc, 0), lower_dim_expr(g, n->label[i].extent), 1, 1, 0, NULL);
    splice_bind(&s, n->label[i].s, idx_of(kc, loop->var));
    b = kir_for_body(&b, loop);
    loops[n_loops++] = loop;
  }
  if (vec < n->n_labels) emit_vector_loop(n, &s, &b, vec, lo, hi);
  else emit_tile(n, &s, &b, vec, lo, hi, false, 1);
  while (n_loops--) kir_for_end(loops[n_loops], NULL);
  return true;
}

static void add_labels(nest *n) {
  const domain *d = &n->g->dom;
  for (uint32_t i = 0; i < d->rank; i++) n->label[n->n_labels++] = (nest_label){d->label[i], d->dim[i], false};
}

static bool add_store(nest *n, const ir_value *to, const idx *const *at, const sx *value) {
  n->stored[n->n_roots] = to;
  n->root[n->n_roots] = value;
  n->store[n->n_roots++] = index_flatten(n->g->m, to->type.rank, to->type.dim, at);
  return value != NULL;
}

bool schedule_elem(lower_group *g) {
  nest n = {.g = g};
  if (g->region->n_yields > NEST_MAX_ROOTS) return false;
  add_labels(&n);
  for (uint32_t i = 0; i < g->region->n_yields; i++) {
    const ir_value *y = g->region->yields[i];
    const idx *const *at = place_get(&g->place, y);
    if (!add_store(&n, y, at, form_at(g->form, y, at))) return false;
  }
  return schedule_stores(&n);
}

// -- updates, and copies of memory --

// The group's update and where its value goes; the domain is the value's.
static const sx *update_value(lower_group *g, const idx **store_at) {
  const ir_node *u = g->region->yields[0]->def;
  domain_init(g->m, &g->dom, u->in[1]->type.rank, u->in[1]->type.dim);
  return form_update(g->form, u, g->dom.at, store_at);
}

bool schedule_update(lower_group *g) {
  nest n = {.g = g};
  const idx *at[IR_MAX_RANK];
  const sx *value = update_value(g, at);
  add_labels(&n);
  return add_store(&n, g->region->yields[0], at, value) && schedule_stores(&n);
}

bool schedule_save(lower_group *g, const ir_value *aside) {
  nest n = {.g = g};
  const idx *at[IR_MAX_RANK];
  if (!update_value(g, at)) return false;
  add_labels(&n);
  return add_store(&n, aside, g->dom.at, form_at(g->form, g->region->params, at)) && schedule_stores(&n);
}

bool schedule_restore(lower_group *g, const ir_value *aside) {
  nest n = {.g = g};
  const idx *at[IR_MAX_RANK];
  if (!update_value(g, at)) return false;
  add_labels(&n);
  return add_store(&n, g->region->yields[0], at, form_at(g->form, aside, g->dom.at)) && schedule_stores(&n);
}

bool schedule_copy(lower_group *g, const ir_value *from, const ir_value *to) {
  nest n = {.g = g};
  domain_init(g->m, &g->dom, to->type.rank, to->type.dim);
  add_labels(&n);
  return add_store(&n, to, g->dom.at, form_at(g->form, from, g->dom.at)) && schedule_stores(&n);
}
