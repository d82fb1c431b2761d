// Schedule of attention: one kernel that never holds more than a block of scores (online softmax: Milakov & Gimelshein
// 2018; tiling: Dao et al. 2022). Scratch does not depend on the number of queries or keys.
//
//   grid: batch…, blocks of MB queries
//   qt[depth, query] = q, turned once              top = -FLT_MAX   sum = 0   acc[query, width] = 0
//   for blocks of NB keys in [start, end)          start and end from the facts: emptied blocks are never computed
//     st[key, query] = score(Σ_depth k · qt)       queries side by side: statistics are lane-wise, k is read as it lies
//     m = max(top, max_key st)   st = exp(st - m)   f = exp(top - m)   sum = sum·f + Σ_key st   top = m
//     acc = acc·f + Σ_key st · v                    v is read as it lies where its columns stand side by side
//   out = acc / sum, epilogue, store
//
// Weights without a softmax have no statistics; the steps that keep them are left out, and sum is kept where it is read
// (attention_plain.c). Where they are linear in the scores, attention_linear.c goes over the queries.
//
// The first maximum is -FLT_MAX, not -inf: a row that sees nothing then has sum 0 instead of NaN, and one whose scores
// are all -FLT_MAX (a finite mask) keeps equal weights. Accumulation and statistics are f32.
#include "passes/flash_group.h"
#include <math.h>
#include <string.h>

// -- labels --

typedef struct label_use {
  const sym *s;
  bool found;
} label_use;

static void look_for(void *user, const sx *e) {
  label_use *u = user;
  if (e->at && idx_mentions(e->at, u->s)) u->found = true;
  for (uint32_t i = 0; i < e->n_guards; i++) u->found = u->found || idx_mentions(e->guards[i], u->s);
}

static bool uses(form_ctx *f, const sx *e, const sym *s) {
  label_use u = {s, false};
  if (e) form_walk(f, e, look_for, &u);
  return u.found;
}

typedef enum role { ROLE_batch, ROLE_row, ROLE_col } role;

// roots: q k v score columns rows
static role role_of(form_ctx *f, const sx *const *root, const sym *s) {
  bool q = uses(f, root[ROOT_q], s), k = uses(f, root[ROOT_k], s), v = uses(f, root[ROOT_v], s);
  if (q && !k && !v) return ROLE_row;
  bool scores = uses(f, root[ROOT_score], s) || uses(f, root[ROOT_columns], s) || uses(f, root[ROOT_rows], s);
  return v && !q && !k && !scores ? ROLE_col : ROLE_batch;
}

static bool is_accumulated(dtype dt) { return dt == DT_f32 || dt == DT_f16 || dt == DT_bf16; }

static bool is_short(const idx *e) {
  int64_t n;
  return idx_is_const(e, &n) && n >= 1 && n <= ATTENTION_MAX_WIDTH;
}

bool attention_fits(form_ctx *f, const attention *a, const domain *d, const char **why) {
  const sx *root[] = {a->q, a->k, a->v, a->score, a->columns, a->rows};
  uint32_t n_rows = 0, n_cols = 0;
  bool shared = false; // do several keys' blocks share one of values?
  bool narrow = is_short(a->depths);
  for (uint32_t i = 0; i < d->rank; i++) {
    if (idx_equals_int(d->dim[i], 1)) continue;
    role r = role_of(f, root, d->label[i]);
    n_rows += r == ROLE_row;
    n_cols += r == ROLE_col;
    shared = shared || (uses(f, a->k, d->label[i]) && !uses(f, a->v, d->label[i]));
    if (r == ROLE_col) narrow = narrow && is_short(d->dim[i]);
  }
  if (idx_equals_int(a->keys, 1)) return false; // there is no matrix
  if (n_rows == 0 && shared) return false;      // one query to a block of keys, many to one of values: a matrix product
  if (!is_accumulated(a->q->dt) || !is_accumulated(a->k->dt) || !is_accumulated(a->v->dt)) *why = "of its dtype";
  else if (n_cols != 1) *why = "its values have no columns of their own, or several";
  else if (!narrow) *why = "its heads are wider than 512, or their width is not constant";
  return *why == NULL;
}

// -- putting it together --

const idx *flash_bound(const flash *x, const splice *outer, uint32_t i, bool loosest, bool *from_above) {
  idx_ctx *c = x->g->m->ix, *kc = x->g->k->ix;
  const sx *fact = x->n.root[ROOT_facts + i];
  const idx *coef, *rest, *along, *unused;
  int64_t slope;
  if (fact->kind != SX_index || !idx_linear(c, fact->at, x->a.key, &coef, &rest)) return NULL;
  if (!idx_linear(c, rest, x->row->s, &along, &unused) || !idx_is_const(along, &slope)) return NULL;
  splice s = *outer; // rest is largest at the last query where its slope is positive
  splice_bind(&s, x->row->s, (slope > 0) == loosest ? idx_addi(kc, idx_add(kc, x->m0, x->len), -1) : x->m0);
  const idx *bound = splice_index(&s, rest);
  *from_above = idx_equals_int(coef, -1); // key <= rest; else key >= -rest
  return *from_above ? bound : idx_scale(kc, bound, -1);
}

// Keys that the facts leave to this block of queries.
static void bound_keys(flash *x, const splice *outer) {
  idx_ctx *kc = x->g->k->ix;
  x->start = idx_int(kc, 0);
  x->end = lower_dim_expr(x->g, x->a.keys);
  for (uint32_t i = 0; i < x->a.n_facts; i++) {
    bool above;
    const idx *bound = flash_bound(x, outer, i, true, &above);
    if (bound && above) x->end = idx_min(kc, x->end, idx_addi(kc, bound, 1));
    else if (bound) x->start = idx_max(kc, x->start, bound);
  }
}

static void add_root(nest *n, const sx *e, const idx *store) {
  n->root[n->n_roots] = e;
  n->store[n->n_roots++] = store;
}

static bool collect(flash *x) {
  lower_group *g = x->g;
  nest *n = &x->n;
  const attention *a = &x->a;
  const sx *none = form_const(g->form, scalar_f(DT_f32, 1)),
           *part[] = {a->q, a->k, a->v, a->score, a->columns, a->rows, a->sum_factor};
  for (uint32_t i = 0; i < g->dom.rank; i++)
    n->label[n->n_labels++] = (nest_label){g->dom.label[i], g->dom.dim[i], false};
  n->label[n->n_labels++] = (nest_label){a->key, a->keys, true};
  n->label[n->n_labels++] = (nest_label){a->depth, a->depths, true};
  for (uint32_t i = 0; i < ROOT_facts; i++) add_root(n, part[i] ? part[i] : none, NULL);
  for (uint32_t i = 0; i < a->n_facts; i++) add_root(n, form_index(g->form, a->fact[i]), NULL);
  x->first_yield = n->n_roots;
  if (g->region->n_yields > NEST_MAX_ROOTS - n->n_roots) return false;
  for (uint32_t i = 0; i < g->region->n_yields; i++) {
    const ir_value *y = g->region->yields[i];
    const idx *const *at = place_get(&g->place, y);
    add_root(n, form_at(g->form, y, at), index_flatten(g->m, y->type.rank, y->type.dim, at));
    if (!n->root[n->n_roots - 1]) return false;
  }
  nest_merge(n);
  for (uint32_t i = ROOT_columns; i < ROOT_facts; i++)
    if (!part[i]) n->root[i] = NULL;
  return true;
}

static bool classify(flash *x) {
  nest *n = &x->n;
  int64_t longest = -1;
  for (uint32_t i = 0; i < n->n_labels; i++) {
    if (n->label[i].reduced) continue;
    role r = role_of(x->g->form, n->root, n->label[i].s);
    if (r == ROLE_col) x->col = &n->label[i];
    int64_t hint = extent_hint(x->g, n->label[i].extent);
    if (r == ROLE_row && hint > longest) longest = hint, x->row = &n->label[i];
  }
  if (!x->col || n->n_labels > FLASH_MAX_OUTER) return false;
  if (!x->row) {
    idx_ctx *c = x->g->m->ix;
    x->single = (nest_label){.s = idx_fresh(c, "query"), .extent = idx_int(c, 1)};
    x->row = &x->single;
  }
  for (uint32_t i = 0; i < n->n_labels; i++)
    if (!n->label[i].reduced && &n->label[i] != x->row && &n->label[i] != x->col) x->batch[x->n_batch++] = n->label[i];
  return idx_is_const(x->col->extent, &x->width) && idx_is_const(x->a.depths, &x->depth);
}

static const char *const stat_name[STATS] = {"top", "sum", "scale"};

static bool is_unit_load(flash *x, const sx *e, const sym *s) {
  const idx *coef, *rest;
  return e->kind == SX_load && e->dt == DT_f32 && idx_linear(x->g->m->ix, e->at, s, &coef, &rest) &&
         idx_equals_int(coef, 1);
}

// May there be few queries, more than few? Where keys are as many, few of them are no work.
static void count_queries(flash *x) {
  int64_t least, most;
  bool known = idx_range(x->g->m->ix, x->row->extent, &least, &most);
  x->many = !known || most > FEW;
  if (x->a.kind == ATTENTION_linear && (!x->many || !flash_state_follows(x))) x->a.kind = ATTENTION_plain;
  x->few = (!known || least <= FEW) && x->a.kind != ATTENTION_linear && (!x->many || x->row->extent != x->a.keys);
}

static void make_scratch(flash *x, bool few, bool many) {
  kir_kernel *k = x->g->k;
  const target *t = x->g->c->target;
  uint32_t lanes = t->vector_bytes / 4;
  x->rows = t->n_vector_regs >= 32 ? 12 : 6;
  x->cols = 2 * lanes;
  x->out_rows = x->rows;
  x->out_cols = x->width <= lanes ? lanes : 2 * lanes;
  if (x->a.kind != ATTENTION_linear && x->width > x->out_cols && x->width <= 3 * (int64_t)lanes) {
    x->out_cols = 3 * lanes; // in whole tiles it would be four
    x->out_rows = t->n_vector_regs >= 32 ? 8 : 4;
  }
  int64_t padded = (x->width + x->out_cols - 1) / x->out_cols * x->out_cols;
  int64_t deep = (x->depth + x->cols - 1) / x->cols * x->cols;
  int64_t most = many ? MB : x->cols;
  if (few) flash_few_scratch(x);
  x->narrow = many && flash_is_narrow(x);
  if (x->narrow) flash_narrow_scratch(x, padded);
  else if (many) x->qt = kir_group(k, "qt", DT_f32, 2, (int64_t[]){x->depth, MB});
  if (many) x->st = kir_group(k, "st", DT_f32, 2, (int64_t[]){NB, MB});
  x->acc = kir_group(k, "acc", DT_f32, 2, (int64_t[]){many ? MB : FEW, padded});
  bool softmax = x->a.kind == ATTENTION_softmax;
  for (uint32_t i = 0; i < STATS; i++)
    if (softmax || (i == STAT_sum && x->a.sum)) x->stat[i] = kir_group(k, stat_name[i], DT_f32, 1, &most);
  if (x->a.kind == ATTENTION_linear) {
    int64_t deep_rows = (x->depth + x->rows - 1) / x->rows * x->rows;
    x->state = kir_group(k, "state", DT_f32, 2, (int64_t[]){deep_rows, padded});
    if (x->a.sum) x->total = kir_group(k, "total", DT_f32, 1, &deep_rows);
  }
  if (x->narrow && !few) return;
  const sx *key = x->n.root[ROOT_k];
  x->k_lies = is_unit_load(x, key, x->a.depth);
  x->v_lies = is_unit_load(x, x->n.root[ROOT_v], x->col->s);
  if (key->kind != SX_load || key->dt != DT_f32) x->ks = kir_group(k, "ks", DT_f32, 2, (int64_t[]){NB, deep});
  if (!x->v_lies || x->width % x->out_cols) x->vs = kir_group(k, "vs", DT_f32, 2, (int64_t[]){NB, padded});
}

typedef struct matching {
  lower_group *g;
  flash *x;
} matching;

static bool match(void *user, const attention_cone *c) {
  matching *u = user;
  const char *why;
  return attention_match(u->g->form, u->g->c->a, u->g->m, c, u->g->dom.at, &u->x->a, &why);
}

// What follows mix inside the group and may normalise it.
static const ir_node *after_mix(const lower_group *g, const ir_node *mix) {
  const ir_node *found = NULL;
  uint32_t readers = 0;
  for (const ir_node *n = mix->next; n; n = n->next)
    for (uint32_t i = 0; i < n->n_in; i++)
      if (n->in[i] == &mix->out[0]) readers++, found = attention_is_after(mix, n) ? n : NULL;
  for (uint32_t i = 0; i < g->region->n_yields; i++) readers += g->region->yields[i] == &mix->out[0];
  return readers == 1 ? found : NULL;
}

// Of a grid point with at most these queries and keys.
static double cost_of_point(flash *x, double heads, int64_t most_queries, int64_t most_keys) {
  lower_group *g = x->g;
  double m = (double)extent_hint(g, x->row->extent), n = (double)extent_hint(g, x->a.keys);
  double wide = (double)(x->depth + x->width), direct = wide / g->c->target->fma_per_ns + 0.3;
  if (x->a.kind == ATTENTION_linear) {
    double area = (double)(x->depth * x->width) / g->c->target->fma_per_ns;
    return heads * ((m + n) * area + (x->a.n_facts ? m * MB / 2 * direct : 0));
  }
  return heads * fmin(m, (double)most_queries) * fmin(n, (double)most_keys) * direct;
}

// The group's attention: its labels, scalars, and how many queries there may be.
static bool open_group(flash *x) {
  lower_group *g = x->g;
  x->n.g = g;
  const ir_node *root = g->region->first;
  for (int64_t i = ir_attr_int(g->node, "root", 0); root && i > 0; i--) root = root->next;
  if (!root || root->op != OP_contract) return false;
  if (!attention_cones(g->c->a, root, after_mix(g, root), match, &(matching){g, x})) return false;
  if (!collect(x) || !classify(x)) return false;
  count_queries(x);
  x->n_grid_batch = nest_order_batch(x->n_batch, x->batch);
  return true;
}

// The batch labels that the grid has no room for.
static kir_builder enter_batch(flash *x, splice *s, kir_stmt **loops, uint32_t *n_loops, double *times) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  kir_builder b = kir_begin(g->k);
  for (uint32_t i = x->n_grid_batch; i < x->n_batch; i++) {
    kir_stmt *loop = kir_for(&b, "i", idx_int(kc, 0), lower_dim_expr(g, x->batch[i].extent), 1, 1, 0, NULL);
    splice_bind(s, x->batch[i].s, idx_of(kc, loop->var));
    b = kir_for_body(&b, loop);
    loops[(*n_loops)++] = loop;
    *times *= (double)extent_hint(g, x->batch[i].extent);
  }
  return b;
}

static void leave_batch(kir_stmt **loops, uint32_t n_loops) {
  while (n_loops--) kir_for_end(loops[n_loops], NULL);
}

// By groups of workers, where the target has them.
static bool is_shared(const flash *x) {
  return x->g->c->target->workers && (x->a.kind != ATTENTION_linear || flash_group_follows(x));
}

bool schedule_attention_parts(lower_group *g) {
  flash x = {.g = g};
  if (!open_group(&x)) return false;
  if (!x.few || !flash_splits(&x)) return true;
  g->parts = flash_parts_new(&x);
  idx_ctx *kc = g->k->ix;
  splice s = {.g = g, .rows = 1, .cols = 1};
  nest_bind_grid(&s, x.n_grid_batch, x.batch);
  x.m0 = idx_int(kc, 0);
  x.len = lower_dim_expr(g, x.row->extent);
  if (is_shared(&x)) flash_group_scratch(&x, true, false);
  else make_scratch(&x, true, false);
  kir_stmt *loops[FLASH_MAX_OUTER];
  uint32_t n_loops = 0;
  double times = 1;
  kir_builder b = enter_batch(&x, &s, loops, &n_loops, &times);
  bound_keys(&x, &s);
  if (is_shared(&x)) flash_group_few(&x, &s, &b, FEW_part);
  else flash_part(&x, &s, &b);
  leave_batch(loops, n_loops);
  kir_place_barriers(g->k);
  g->k->cost_ns = cost_of_point(&x, times, FEW, FLASH_PART);
  return true;
}

static void many_queries(flash *x, const splice *s, kir_builder *b) {
  if (is_shared(x)) flash_group_block(x, s, b);
  else flash_block(x, s, b);
}

static void few_queries(flash *x, const splice *s, kir_builder *b) {
  if (is_shared(x)) flash_group_few(x, s, b, x->g->parts ? FEW_merge : FEW_all);
  else if (x->g->parts) flash_merge(x, s, b);
  else flash_few(x, s, b);
}

bool schedule_attention(lower_group *g) {
  flash x = {.g = g};
  if (!open_group(&x)) return false;
  bool linear = x.a.kind == ATTENTION_linear;
  int64_t block = is_shared(&x) ? flash_group_rows(&x) : MB;
  idx_ctx *kc = g->k->ix;
  splice s = {.g = g, .rows = 1, .cols = 1};
  nest_bind_grid(&s, x.n_grid_batch, x.batch);
  const idx *queries = lower_dim_expr(g, x.row->extent);
  x.m0 = linear ? idx_int(kc, 0) : idx_scale(kc, lower_grid(g, "gm", idx_ceildiv(kc, queries, block)), block);
  x.len = idx_min(kc, idx_sub(kc, queries, x.m0), idx_int(kc, block));
  if (g->k->n_grid == 0) kir_grid(g->k, "g", idx_int(kc, 1));
  if (is_shared(&x)) flash_group_scratch(&x, x.few, x.many || linear);
  else make_scratch(&x, x.few, x.many);
  kir_stmt *loops[FLASH_MAX_OUTER];
  uint32_t n_loops = 0;
  double times = 1;
  kir_builder b = enter_batch(&x, &s, loops, &n_loops, &times);
  if (linear && is_shared(&x)) {
    flash_group_linear(&x, &s, &b);
  } else if (linear) {
    flash_linear(&x, &s, &b);
  } else {
    bound_keys(&x, &s);
    kir_builder in_few = b, in_many = b;
    if (x.few && x.many) {
      kir_stmt *several = kir_if(&b, idx_addi(kc, queries, -FEW - 1));
      in_many = kir_then(&b, several);
      in_few = kir_else(&b, several);
    }
    if (x.many) many_queries(&x, &s, &in_many);
    if (x.few) few_queries(&x, &s, &in_few);
  }
  leave_batch(loops, n_loops);
  kir_place_barriers(g->k);
  g->k->cost_ns = cost_of_point(&x, times, block, INT64_MAX);
  return true;
}
