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
// The first maximum is -FLT_MAX, not -inf: a row that sees nothing then has sum 0 instead of NaN, and one whose scores
// are all -FLT_MAX (a finite mask) keeps equal weights. Accumulation and statistics are f32.
#include "passes/attention.h"
#include "passes/schedule.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { MB = 96, NB = 60, MAX_OUTER = 12, STATS = 3 };
enum { ROOT_q, ROOT_k, ROOT_v, ROOT_score, ROOT_columns, ROOT_rows, ROOT_facts }; // then facts, then yields

typedef struct flash {
  lower_group *g;
  attention a;
  nest n;
  uint32_t first_yield;
  const nest_label *row, *col; // queries, columns of v
  uint32_t n_batch, n_grid_batch;
  nest_label batch[MAX_OUTER];
  uint32_t rows, cols, out_cols;                     // register tiles: keys or queries, queries, columns of v
  int64_t depth, width;                              // constants
  kir_buffer *qt, *st, *acc, *ks, *vs, *stat[STATS]; // ks, vs: NULL where k and v are read as they lie
  const idx *m0, *len;                               // the block's first query, and how many it has
  const idx *start, *end;                            // its keys
  const idx *kb, *ke;                                // the keys of the block being computed
} flash;

enum { STAT_top, STAT_sum, STAT_scale };

static const char *const stat_name[STATS] = {"top", "sum", "scale"};

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
  bool narrow = is_short(a->depths);
  for (uint32_t i = 0; i < d->rank; i++) {
    if (idx_equals_int(d->dim[i], 1)) continue;
    role r = role_of(f, root, d->label[i]);
    n_rows += r == ROLE_row;
    n_cols += r == ROLE_col;
    if (r == ROLE_col) narrow = narrow && is_short(d->dim[i]);
  }
  if (n_rows == 0 || idx_equals_int(a->keys, 1)) return false; // one query or key: there is no matrix
  if (!is_accumulated(a->q->dt) || !is_accumulated(a->k->dt) || !is_accumulated(a->v->dt)) *why = "of its dtype";
  else if (n_cols != 1) *why = "its values have no columns of their own, or several";
  else if (!narrow) *why = "its heads are wider than 512, or their width is not constant";
  return *why == NULL;
}

// -- small helpers --

static scalar f32_of(double v) { return scalar_f(DT_f32, v); }

static kir_tile *stat_load(flash *x, kir_builder *b, uint32_t which, const idx *at, uint32_t rows, uint32_t cols) {
  return kir_load(b, x->stat[which], &at, rows, cols, kir_always, f32_of(0));
}

static void stat_store(flash *x, kir_builder *b, uint32_t which, const idx *at, kir_tile *t) {
  kir_store(b, x->stat[which], &at, t, 1, x->cols, kir_always);
}

static kir_stmt *open_loop(kir_builder *b, const char *name, const idx *hi, uint32_t step) {
  return kir_for(b, name, idx_int(b->k->ix, 0), hi, step, 1, 0, NULL);
}

static kir_tile *f32_tile(splice *s, const sx *e) { return kir_convert(s->b, splice_tile(s, e), DT_f32); }

static bool is_unit_load(flash *x, const sx *e, const sym *s) {
  const idx *coef, *rest;
  return e->kind == SX_load && e->dt == DT_f32 && idx_linear(x->g->m->ix, e->at, s, &coef, &rest) &&
         idx_equals_int(coef, 1);
}

// -- staging --

// qt[depth, query]: q turned. Blocks of lanes x lanes are turned in registers; queries past the end are 0.
static void stage_queries(flash *x, const splice *outer, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  uint32_t lanes = x->g->c->target->vector_bytes / 4, rows = x->depth % lanes == 0 ? lanes : 1;
  kir_stmt *columns = open_loop(b, "j", x->len, x->cols);
  kir_builder in_columns = kir_for_body(b, columns);
  kir_stmt *depths = open_loop(&in_columns, "d", idx_int(kc, x->depth), rows);
  kir_builder body = kir_for_body(&in_columns, depths);
  const idx *j = idx_of(kc, columns->var), *d = idx_of(kc, depths->var);
  splice s = *outer;
  s.b = &body;
  s.rows = rows;
  s.cols = x->cols;
  splice_bind(&s, x->row->s, idx_add(kc, x->m0, idx_add(kc, j, c)));
  splice_bind(&s, x->a.depth, rows == 1 ? d : idx_add(kc, d, r));
  s.col_tail = idx_addi(kc, idx_sub(kc, x->len, idx_add(kc, j, c)), -1);
  const idx *to[] = {idx_add(kc, d, r), idx_add(kc, j, c)};
  kir_store(&body, x->qt, to, f32_tile(&s, x->n.root[ROOT_q]), rows, x->cols, kir_always);
  kir_for_end(depths, NULL);
  kir_for_end(columns, NULL);
}

// to[key - kb, column] = e for the block's keys: for operands that cannot be read as they lie.
static void stage_keys(flash *x, const splice *outer, kir_builder *b, kir_buffer *to, const sx *e, const sym *label,
                       int64_t width, uint32_t cols) {
  idx_ctx *kc = x->g->k->ix;
  const idx *c = idx_of(kc, x->g->k->c);
  kir_stmt *keys = open_loop(b, "n", idx_sub(kc, x->ke, x->kb), 1);
  kir_builder in_keys = kir_for_body(b, keys);
  kir_stmt *columns = open_loop(&in_keys, "e", idx_int(kc, width), cols);
  kir_builder body = kir_for_body(&in_keys, columns);
  const idx *n = idx_of(kc, keys->var), *at = idx_add(kc, idx_of(kc, columns->var), c);
  splice s = *outer;
  s.b = &body;
  s.rows = 1;
  s.cols = cols;
  splice_bind(&s, x->a.key, idx_add(kc, x->kb, n));
  splice_bind(&s, label, at);
  s.col_tail = width % cols ? idx_addi(kc, idx_sub(kc, idx_int(kc, width), at), -1) : NULL;
  const idx *place[] = {n, at};
  kir_store(&body, to, place, f32_tile(&s, e), 1, cols, kir_always);
  kir_for_end(columns, NULL);
  kir_for_end(keys, NULL);
}

static void clear(flash *x, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  kir_stmt *columns = open_loop(b, "j", x->len, x->cols);
  kir_builder body = kir_for_body(b, columns);
  const idx *at = idx_add(kc, idx_of(kc, columns->var), c);
  stat_store(x, &body, STAT_top, at, kir_const(&body, f32_of(-FLT_MAX), 1, x->cols));
  stat_store(x, &body, STAT_sum, at, kir_const(&body, f32_of(0), 1, x->cols));
  kir_for_end(columns, NULL);
  kir_stmt *tiles = open_loop(b, "i", x->len, x->rows);
  kir_builder in_tiles = kir_for_body(b, tiles);
  kir_stmt *out = open_loop(&in_tiles, "e", idx_int(kc, x->width), x->out_cols);
  kir_builder in_out = kir_for_body(&in_tiles, out);
  const idx *to[] = {idx_add(kc, idx_of(kc, tiles->var), r), idx_add(kc, idx_of(kc, out->var), c)};
  kir_store(&in_out, x->acc, to, kir_const(&in_out, f32_of(0), 1, 1), x->rows, x->out_cols, kir_always);
  kir_for_end(out, NULL);
  kir_for_end(tiles, NULL);
}

// -- one block of keys --

// st[key, query] for a column of queries: keys past the block's end are -inf.
static void scores(flash *x, const splice *outer, kir_builder *b, const idx *j) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  const idx *r = idx_of(kc, g->k->r), *c = idx_of(kc, g->k->c), *n = idx_sub(kc, x->ke, x->kb);
  kir_stmt *tiles = open_loop(b, "i", n, x->rows);
  kir_builder body = kir_for_body(b, tiles);
  const idx *i = idx_of(kc, tiles->var), *here = idx_add(kc, i, r);
  const idx *key = idx_add(kc, x->kb, idx_min(kc, here, idx_addi(kc, n, -1)));
  splice s = *outer;
  s.rows = x->rows;
  s.cols = x->cols;
  splice_bind(&s, x->a.key, key);
  splice_bind(&s, x->row->s, idx_add(kc, x->m0, idx_add(kc, j, c)));
  s.col_tail = idx_addi(kc, idx_sub(kc, x->len, idx_add(kc, j, c)), -1);
  kir_tile *zero = kir_const(&body, f32_of(0), x->rows, x->cols);
  kir_stmt *dot = kir_for(&body, "d", idx_int(kc, 0), idx_int(kc, x->depth), 1, x->depth > 1 ? 2 : 1, 1, &zero);
  kir_builder in_dot = kir_for_body(&body, dot);
  const idx *d = idx_of(kc, dot->var), *q_at[] = {d, idx_add(kc, j, c)};
  kir_tile *k;
  if (x->ks) {
    const idx *k_at[] = {idx_min(kc, here, idx_addi(kc, n, -1)), d};
    k = kir_load(&in_dot, x->ks, k_at, x->rows, 1, kir_always, f32_of(0));
  } else {
    splice operand = s;
    operand.b = &in_dot;
    splice_bind(&operand, x->a.depth, d);
    k = f32_tile(&operand, x->n.root[ROOT_k]);
  }
  kir_tile *q = kir_load(&in_dot, x->qt, q_at, 1, x->cols, kir_always, f32_of(0));
  kir_tile *next = kir_dot(&in_dot, dot->carry[0], k, q, "fma");
  kir_for_end(dot, &next);
  s.b = &body;
  s.acc = map_new(g->c->a);
  map_put_ptr(s.acc, &x->a.dot->out[0], kir_convert(&body, dot->result[0], x->a.dot->out[0].type.dt));
  const idx *inside[] = {idx_addi(kc, idx_sub(kc, n, here), -1)};
  kir_tile *t = kir_select(&body, f32_tile(&s, x->n.root[ROOT_score]), kir_conds(g->k, 1, inside), f32_of(-INFINITY));
  const idx *to[] = {here, idx_add(kc, j, c)};
  kir_store(&body, x->st, to, t, x->rows, x->cols, kir_always);
  kir_for_end(tiles, NULL);
}

// The maximum of the block's scores, taken over `ways` keys at a time so that no chain of dependent maxima is waited
// for; then the weights, their sum, and what earlier blocks are scaled by.
static void weights(flash *x, const splice *outer, kir_builder *b, const idx *j) {
  enum { WAYS = 6, PAIR = 2 };
  _Static_assert(NB % WAYS == 0 && NB % PAIR == 0, "whole steps");
  idx_ctx *kc = x->g->k->ix;
  const idx *column = idx_add(kc, j, idx_of(kc, x->g->k->c));
  const idx *n = idx_sub(kc, x->ke, x->kb);
  const idx *whole = idx_scale(kc, idx_ceildiv(kc, n, x->rows), x->rows); // what `scores` wrote
  kir_tile *old = stat_load(x, b, STAT_top, column, 1, x->cols), *best[WAYS], *sum[PAIR];
  for (uint32_t w = 0; w < WAYS; w++) best[w] = old;
  kir_stmt *maxima = kir_for(b, "n", idx_int(kc, 0), whole, WAYS, 1, WAYS, best);
  kir_builder body = kir_for_body(b, maxima);
  for (uint32_t w = 0; w < WAYS; w++) {
    const idx *at[] = {idx_addi(kc, idx_of(kc, maxima->var), w), column};
    best[w] = kir_op2(&body, OP_max, maxima->carry[w], kir_load(&body, x->st, at, 1, x->cols, kir_always, f32_of(0)));
  }
  kir_for_end(maxima, best);
  kir_tile *top = maxima->result[0];
  for (uint32_t w = 1; w < WAYS; w++) top = kir_op2(b, OP_max, top, maxima->result[w]);
  for (uint32_t w = 0; w < PAIR; w++) sum[w] = kir_const(b, f32_of(0), 1, x->cols);
  kir_stmt *keys = kir_for(b, "n", idx_int(kc, 0), whole, PAIR, 1, PAIR, sum);
  body = kir_for_body(b, keys);
  for (uint32_t w = 0; w < PAIR; w++) {
    const idx *key = idx_addi(kc, idx_of(kc, keys->var), w), *at[] = {key, column};
    kir_tile *t = kir_load(&body, x->st, at, 1, x->cols, kir_always, f32_of(0));
    t = kir_op1(&body, OP_exp, kir_op2(&body, OP_sub, t, top));
    sum[w] = kir_op2(&body, OP_add, keys->carry[w], t);
    if (x->n.root[ROOT_columns]) {
      splice s = *outer;
      s.b = &body;
      s.rows = 1;
      s.cols = x->cols;
      splice_bind(&s, x->a.key, idx_add(kc, x->kb, idx_min(kc, key, idx_addi(kc, n, -1))));
      splice_bind(&s, x->row->s, idx_add(kc, x->m0, column));
      s.col_tail = idx_addi(kc, idx_sub(kc, x->len, column), -1);
      t = kir_op2(&body, OP_mul, t, f32_tile(&s, x->n.root[ROOT_columns]));
    }
    kir_store(&body, x->st, at, t, 1, x->cols, kir_always);
  }
  kir_for_end(keys, sum);
  kir_tile *total = kir_op2(b, OP_add, keys->result[0], keys->result[1]);
  kir_tile *scale = kir_op1(b, OP_exp, kir_op2(b, OP_sub, old, top));
  stat_store(x, b, STAT_sum, column, kir_fma(b, stat_load(x, b, STAT_sum, column, 1, x->cols), scale, total));
  stat_store(x, b, STAT_top, column, top);
  stat_store(x, b, STAT_scale, column, scale);
}

// acc = acc · scale + st · v
static void mix(flash *x, const splice *outer, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  kir_stmt *columns = open_loop(b, "e", idx_int(kc, x->width), x->out_cols);
  kir_builder in_columns = kir_for_body(b, columns);
  kir_stmt *tiles = open_loop(&in_columns, "i", x->len, x->rows);
  kir_builder body = kir_for_body(&in_columns, tiles);
  const idx *i = idx_of(kc, tiles->var), *e = idx_add(kc, idx_of(kc, columns->var), c);
  const idx *query = idx_min(kc, idx_add(kc, i, r), idx_addi(kc, x->len, -1)), *to[] = {idx_add(kc, i, r), e};
  kir_tile *acc = kir_load(&body, x->acc, to, x->rows, x->out_cols, kir_always, f32_of(0));
  acc = kir_op2(&body, OP_mul, acc, stat_load(x, &body, STAT_scale, query, x->rows, 1));
  kir_stmt *keys = kir_for(&body, "n", x->kb, x->ke, 1, 2, 1, &acc);
  kir_builder in_keys = kir_for_body(&body, keys);
  const idx *key = idx_of(kc, keys->var), *row = idx_sub(kc, key, x->kb), *p_at[] = {row, query};
  kir_tile *p = kir_load(&in_keys, x->st, p_at, x->rows, 1, kir_always, f32_of(0)), *v;
  if (x->vs) {
    const idx *v_at[] = {row, e};
    v = kir_load(&in_keys, x->vs, v_at, 1, x->out_cols, kir_always, f32_of(0));
  } else {
    splice s = *outer;
    s.b = &in_keys;
    s.rows = 1;
    s.cols = x->out_cols;
    splice_bind(&s, x->a.key, key);
    splice_bind(&s, x->col->s, e);
    v = f32_tile(&s, x->n.root[ROOT_v]);
  }
  kir_tile *next = kir_dot(&in_keys, keys->carry[0], p, v, "fma");
  kir_for_end(keys, &next);
  kir_store(&body, x->acc, to, keys->result[0], x->rows, x->out_cols, kir_always);
  kir_for_end(tiles, NULL);
  kir_for_end(columns, NULL);
}

static void all_keys(flash *x, const splice *s, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  kir_stmt *blocks = kir_for(b, "kb", x->start, x->end, NB, 1, 0, NULL);
  kir_builder body = kir_for_body(b, blocks);
  x->kb = idx_of(kc, blocks->var);
  x->ke = idx_min(kc, x->end, idx_addi(kc, x->kb, NB));
  if (x->ks) stage_keys(x, s, &body, x->ks, x->n.root[ROOT_k], x->a.depth, x->depth, x->cols);
  if (x->vs) stage_keys(x, s, &body, x->vs, x->n.root[ROOT_v], x->col->s, x->width, x->out_cols);
  kir_stmt *columns = open_loop(&body, "j", x->len, x->cols);
  kir_builder in_columns = kir_for_body(&body, columns);
  scores(x, s, &in_columns, idx_of(kc, columns->var));
  weights(x, s, &in_columns, idx_of(kc, columns->var));
  kir_for_end(columns, NULL);
  mix(x, s, &body);
  kir_for_end(blocks, NULL);
}

// -- the end of a block --

static void finish(flash *x, const splice *outer, kir_builder *b) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  const idx *r = idx_of(kc, g->k->r), *c = idx_of(kc, g->k->c);
  kir_stmt *tiles = open_loop(b, "i", x->len, x->rows);
  kir_builder in_tiles = kir_for_body(b, tiles);
  kir_stmt *columns = open_loop(&in_tiles, "e", idx_int(kc, x->width), x->out_cols);
  kir_builder body = kir_for_body(&in_tiles, columns);
  const idx *i = idx_add(kc, idx_of(kc, tiles->var), r), *e = idx_add(kc, idx_of(kc, columns->var), c), *at[] = {i, e};
  splice s = *outer;
  s.b = &body;
  s.rows = x->rows;
  s.cols = x->out_cols;
  splice_bind(&s, x->row->s, idx_add(kc, x->m0, i));
  splice_bind(&s, x->col->s, e);
  s.row_tail = idx_addi(kc, idx_sub(kc, x->len, i), -1);
  s.col_tail = x->width % x->out_cols ? idx_addi(kc, idx_sub(kc, idx_int(kc, x->width), e), -1) : NULL;
  kir_tile *t = kir_load(&body, x->acc, at, x->rows, x->out_cols, kir_always, f32_of(0));
  kir_tile *sum = stat_load(x, &body, STAT_sum, idx_min(kc, i, idx_addi(kc, x->len, -1)), x->rows, 1);
  s.acc = map_new(g->c->a);
  if (x->a.sum) {
    map_put_ptr(s.acc, x->a.sum, kir_convert(&body, sum, x->a.sum->type.dt));
  } else {
    kir_tile *nothing = kir_op2(&body, OP_eq, sum, kir_const(&body, f32_of(0), 1, 1));
    t = kir_op2(&body, OP_div, t, sum);
    if (x->a.empty_is_zero)
      t = kir_op(&body, OP_where, 3, (kir_tile *[]){nothing, kir_const(&body, f32_of(0), 1, 1), t});
    if (x->n.root[ROOT_rows]) t = kir_op2(&body, OP_mul, t, f32_tile(&s, x->n.root[ROOT_rows]));
  }
  map_put_ptr(s.acc, &x->a.mix->out[0], kir_convert(&body, t, x->a.mix->out[0].type.dt));
  for (uint32_t y = x->first_yield; y < x->n.n_roots; y++)
    splice_store(&s, g->region->yields[y - x->first_yield], x->n.store[y], splice_tile(&s, x->n.root[y]));
  kir_for_end(columns, NULL);
  kir_for_end(tiles, NULL);
}

// -- putting it together --

// Keys that a fact leaves to this block of queries.
static void bound_keys(flash *x, const splice *outer) {
  idx_ctx *c = x->g->m->ix, *kc = x->g->k->ix;
  x->start = idx_int(kc, 0);
  x->end = lower_dim_expr(x->g, x->a.keys);
  for (uint32_t i = 0; i < x->a.n_facts; i++) {
    const sx *fact = x->n.root[ROOT_facts + i];
    const idx *coef, *rest, *along, *unused;
    int64_t slope;
    if (fact->kind != SX_index || !idx_linear(c, fact->at, x->a.key, &coef, &rest)) continue;
    if (!idx_linear(c, rest, x->row->s, &along, &unused) || !idx_is_const(along, &slope)) continue;
    splice s = *outer; // rest is largest at the last query where its slope is positive: the loosest bound
    splice_bind(&s, x->row->s, slope > 0 ? idx_addi(kc, idx_add(kc, x->m0, x->len), -1) : x->m0);
    const idx *bound = splice_index(&s, rest);
    if (idx_equals_int(coef, -1)) x->end = idx_min(kc, x->end, idx_addi(kc, bound, 1)); // key <= rest
    else x->start = idx_max(kc, x->start, idx_scale(kc, bound, -1));                    // key >= -rest
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
  const sx *none = form_const(g->form, f32_of(1)), *part[] = {a->q, a->k, a->v, a->score, a->columns, a->rows};
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
  for (uint32_t i = 0; i < 2; i++)
    if (!part[ROOT_columns + i]) n->root[ROOT_columns + i] = NULL;
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
  if (!x->row || !x->col || n->n_labels > MAX_OUTER) return false;
  for (uint32_t i = 0; i < n->n_labels; i++)
    if (!n->label[i].reduced && &n->label[i] != x->row && &n->label[i] != x->col) x->batch[x->n_batch++] = n->label[i];
  return idx_is_const(x->col->extent, &x->width) && idx_is_const(x->a.depths, &x->depth);
}

static void make_scratch(flash *x) {
  kir_kernel *k = x->g->k;
  const target *t = x->g->c->target;
  uint32_t lanes = t->vector_bytes / 4;
  x->rows = t->n_vector_regs >= 32 ? 12 : 6;
  x->cols = 2 * lanes;
  x->out_cols = x->width <= lanes ? lanes : 2 * lanes;
  int64_t padded = (x->width + x->out_cols - 1) / x->out_cols * x->out_cols;
  int64_t deep = (x->depth + x->cols - 1) / x->cols * x->cols;
  x->qt = kir_group(k, "qt", DT_f32, 2, (int64_t[]){x->depth, MB});
  x->st = kir_group(k, "st", DT_f32, 2, (int64_t[]){NB, MB});
  x->acc = kir_group(k, "acc", DT_f32, 2, (int64_t[]){MB, padded});
  for (uint32_t i = 0; i < STATS; i++) x->stat[i] = kir_group(k, stat_name[i], DT_f32, 1, (int64_t[]){MB});
  const sx *key = x->n.root[ROOT_k];
  if (key->kind != SX_load || key->dt != DT_f32) x->ks = kir_group(k, "ks", DT_f32, 2, (int64_t[]){NB, deep});
  if (!is_unit_load(x, x->n.root[ROOT_v], x->col->s) || x->width % x->out_cols)
    x->vs = kir_group(k, "vs", DT_f32, 2, (int64_t[]){NB, padded});
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

// The division that follows mix inside the group, if mix has no other reader.
static const ir_node *division_after(const lower_group *g, const ir_node *mix) {
  const ir_node *found = NULL;
  uint32_t readers = 0;
  for (const ir_node *n = mix->next; n; n = n->next)
    for (uint32_t i = 0; i < n->n_in; i++)
      if (n->in[i] == &mix->out[0]) readers++, found = n->op == OP_div && i == 0 ? n : NULL;
  for (uint32_t i = 0; i < g->region->n_yields; i++) readers += g->region->yields[i] == &mix->out[0];
  return readers == 1 ? found : NULL;
}

bool schedule_attention(lower_group *g) {
  flash x = {.g = g};
  x.n.g = g;
  const ir_node *root = g->region->first;
  for (int64_t i = ir_attr_int(g->node, "root", 0); root && i > 0; i--) root = root->next;
  if (!root || root->op != OP_contract) return false;
  if (!attention_cones(g->c->a, root, division_after(g, root), match, &(matching){g, &x})) return false;
  if (!collect(&x) || !classify(&x)) return false;
  x.n_grid_batch = nest_order_batch(x.n_batch, x.batch);
  idx_ctx *kc = g->k->ix;
  splice s = {.g = g, .rows = 1, .cols = 1};
  nest_bind_grid(&s, x.n_grid_batch, x.batch);
  const idx *queries = lower_dim_expr(g, x.row->extent);
  x.m0 = idx_scale(kc, lower_grid(g, "gm", idx_ceildiv(kc, queries, MB)), MB);
  x.len = idx_min(kc, idx_sub(kc, queries, x.m0), idx_int(kc, MB));
  if (g->k->n_grid == 0) kir_grid(g->k, "g", idx_int(kc, 1));
  make_scratch(&x);
  kir_builder b = kir_begin(g->k);
  kir_stmt *loops[MAX_OUTER];
  uint32_t n_loops = 0;
  double outer = 1;
  for (uint32_t i = x.n_grid_batch; i < x.n_batch; i++) {
    loops[n_loops] = open_loop(&b, "i", lower_dim_expr(g, x.batch[i].extent), 1);
    splice_bind(&s, x.batch[i].s, idx_of(kc, loops[n_loops]->var));
    b = kir_for_body(&b, loops[n_loops++]);
    outer *= (double)extent_hint(g, x.batch[i].extent);
  }
  bound_keys(&x, &s);
  stage_queries(&x, &s, &b);
  clear(&x, &b);
  all_keys(&x, &s, &b);
  finish(&x, &s, &b);
  while (n_loops--) kir_for_end(loops[n_loops], NULL);
  int64_t m = extent_hint(g, x.row->extent);
  double scored = (double)(m < MB ? m : MB) * (double)extent_hint(g, x.a.keys);
  g->k->cost_ns = outer * scored * ((double)(x.depth + x.width) / g->c->target->fma_per_ns + 0.3);
  return true;
}
