// Attention that is linear in the scores, sums over keys first (Katharopoulos et al. 2020; in chunks: Hua et al. 2022).
//
//   state[depth, width] = Σ_key k · v    total[depth] = Σ_key k        of the keys in [0, start)
//   for blocks of MB queries
//     state, total += the keys in [start before, start)                 start: seen by every query of the block
//     acc[query, width] = Σ_depth q · state    sum[query] = Σ_depth q · total
//     the keys in [start, end) as in plain attention: scores, masked, times v
//
// Without a bound on the keys, start is their number. One grid point does one head from the first query to the last, so
// the time is linear in their number, and scratch does not depend on it. `start` is 0 where the sizes make the other
// order of sums cheaper: the choice is made when the kernel runs, and costs nothing.
#include "passes/flash.h"

// Keys that a state over them may hold: which of both orders takes fewer multiplications, by sizes known only when
// the kernel runs. 1 or 0.
static const idx *is_cheaper(const flash *x) {
  idx_ctx *kc = x->g->k->ix;
  const idx *m = lower_dim_expr(x->g, x->row->extent), *n = lower_dim_expr(x->g, x->a.keys);
  int64_t wide = x->depth + x->width, area = x->depth * x->width;
  const idx *gain; // per query: direct less rewritten
  if (x->a.n_facts) gain = idx_addi(kc, idx_scale(kc, n, wide), -(4 * area + MB * wide));
  else gain = idx_sub(kc, idx_scale(kc, idx_mul(kc, m, n), wide), idx_scale(kc, idx_add(kc, m, n), area));
  return idx_min(kc, idx_int(kc, 1), idx_max(kc, idx_int(kc, 0), gain));
}

// Keys that all queries of the block see, but for the last of them: then blocks begin at a multiple of their size.
const idx *flash_seen(const flash *x, const splice *outer) {
  idx_ctx *kc = x->g->k->ix;
  const idx *n = lower_dim_expr(x->g, x->a.keys);
  bool above;
  for (uint32_t i = 0; i < x->a.n_facts; i++) n = idx_min(kc, n, flash_bound(x, outer, i, false, &above));
  if (x->a.n_facts) n = idx_max(kc, n, idx_int(kc, 0));
  return idx_mul(kc, n, is_cheaper(x));
}

bool flash_state_follows(const flash *x) {
  idx_ctx *c = x->g->m->ix;
  for (uint32_t i = 0; i < x->a.n_facts; i++) {
    const sx *fact = x->n.root[ROOT_facts + i];
    const idx *coef, *rest, *along, *unused;
    int64_t slope;
    if (fact->kind != SX_index || !idx_linear(c, fact->at, x->a.key, &coef, &rest) || !idx_equals_int(coef, -1) ||
        !idx_linear(c, rest, x->row->s, &along, &unused) || !idx_is_const(along, &slope) || slope <= 0)
      return false;
  }
  return true;
}

// -- the state --

static void clear_state(flash *x, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  kir_stmt *tiles = flash_loop(b, "d", idx_int(kc, x->depth), x->out_rows);
  kir_builder in_tiles = kir_for_body(b, tiles);
  const idx *d = idx_add(kc, idx_of(kc, tiles->var), r);
  kir_tile *nothing = kir_const(&in_tiles, flash_f32(0), 1, 1);
  kir_stmt *columns = flash_loop(&in_tiles, "e", idx_int(kc, x->width), x->out_cols);
  kir_builder body = kir_for_body(&in_tiles, columns);
  const idx *to[] = {d, idx_add(kc, idx_of(kc, columns->var), c)};
  kir_store(&body, x->state, to, nothing, x->out_rows, x->out_cols, kir_always);
  kir_for_end(columns, NULL);
  if (x->total) kir_store(&in_tiles, x->total, &d, nothing, x->out_rows, 1, kir_always);
  kir_for_end(tiles, NULL);
}

// k times its column's factor, at a column of depths.
static kir_tile *key_at(const flash_product *p, kir_builder *b, const idx *key, const idx *depth) {
  flash *x = p->x;
  splice s = *p->outer;
  kir_tile *k;
  s.b = b;
  s.rows = x->rows;
  s.cols = 1;
  splice_bind(&s, x->a.key, key);
  splice_bind(&s, x->a.depth, depth);
  if (x->ks) {
    const idx *at[] = {idx_sub(x->g->k->ix, key, x->kb), depth};
    k = kir_load(b, x->ks, at, x->rows, 1, kir_always, flash_f32(0));
  } else {
    k = kir_convert(b, splice_tile(&s, x->n.root[ROOT_k]), DT_f32);
  }
  if (!x->n.root[ROOT_columns]) return k;
  s.rows = 1;
  s.done = NULL;
  return kir_op2(b, OP_mul, k, kir_convert(b, splice_tile(&s, x->n.root[ROOT_columns]), DT_f32));
}

// total += Σ k, of the block's keys.
static void add_total(const flash_product *p, kir_builder *b) {
  flash *x = p->x;
  idx_ctx *kc = x->g->k->ix;
  kir_stmt *tiles = flash_loop(b, "d", idx_int(kc, x->depth), x->rows);
  kir_builder body = kir_for_body(b, tiles);
  const idx *d = idx_add(kc, idx_of(kc, tiles->var), idx_of(kc, x->g->k->r));
  kir_tile *sum = kir_load(&body, x->total, &d, x->rows, 1, kir_always, flash_f32(0));
  kir_stmt *keys = kir_for(&body, "n", x->kb, x->ke, 1, 1, 1, &sum);
  kir_builder in_keys = kir_for_body(&body, keys);
  const idx *depth = idx_min(kc, d, idx_int(kc, x->depth - 1));
  kir_tile *next = kir_op2(&in_keys, OP_add, keys->carry[0], key_at(p, &in_keys, idx_of(kc, keys->var), depth));
  kir_for_end(keys, &next);
  kir_store(&body, x->total, &d, keys->result[0], x->rows, 1, kir_always);
  kir_for_end(tiles, NULL);
}

static void add_keys(flash *x, const splice *outer, kir_builder *b, const idx *from, const idx *to) {
  idx_ctx *kc = x->g->k->ix;
  kir_stmt *blocks = kir_for(b, "kb", from, to, NB, 1, 0, NULL);
  kir_builder body = kir_for_body(b, blocks);
  x->kb = idx_of(kc, blocks->var);
  x->ke = idx_min(kc, to, idx_addi(kc, x->kb, NB));
  flash_stage_keys(x, outer, &body);
  flash_product p = {.x = x,
                     .outer = outer,
                     .to = x->state,
                     .rows = idx_int(kc, x->depth),
                     .lo = x->kb,
                     .hi = x->ke,
                     .left = key_at,
                     .right = flash_value};
  flash_multiply(&p, &body);
  if (x->total) add_total(&p, &body);
  kir_for_end(blocks, NULL);
}

// -- reading it --

static kir_tile *query_at(const flash_product *p, kir_builder *b, const idx *depth, const idx *query) {
  const idx *at[] = {depth, query};
  return kir_load(b, p->x->qt, at, p->x->out_rows, 1, kir_always, flash_f32(0));
}

static kir_tile *state_at(const flash_product *p, kir_builder *b, const idx *depth, const idx *e) {
  const idx *at[] = {depth, e};
  return kir_load(b, p->x->state, at, 1, p->x->out_cols, kir_always, flash_f32(0));
}

static void read_total(flash *x, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  kir_stmt *columns = flash_loop(b, "j", x->len, x->cols);
  kir_builder body = kir_for_body(b, columns);
  const idx *query = idx_add(kc, idx_of(kc, columns->var), idx_of(kc, x->g->k->c));
  kir_tile *sum = kir_const(&body, flash_f32(0), 1, x->cols);
  kir_stmt *depths = kir_for(&body, "d", idx_int(kc, 0), idx_int(kc, x->depth), 1, 1, 1, &sum);
  kir_builder in_depths = kir_for_body(&body, depths);
  const idx *d = idx_of(kc, depths->var), *at[] = {d, query};
  kir_tile *next = kir_fma(&in_depths, kir_load(&in_depths, x->qt, at, 1, x->cols, kir_always, flash_f32(0)),
                           kir_load(&in_depths, x->total, &d, 1, 1, kir_always, flash_f32(0)), depths->carry[0]);
  kir_for_end(depths, &next);
  kir_store(&body, x->stat[STAT_sum], &query, depths->result[0], 1, x->cols, kir_always);
  kir_for_end(columns, NULL);
}

void flash_read_state(flash *x, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  kir_stmt *some = kir_if(b, idx_addi(kc, x->start, -1)); // else there is nothing in it
  kir_builder body = kir_then(b, some);
  flash_multiply(&(flash_product){.x = x,
                                  .to = x->acc,
                                  .rows = x->len,
                                  .lo = idx_int(kc, 0),
                                  .hi = idx_int(kc, x->depth),
                                  .fresh = true,
                                  .left = query_at,
                                  .right = state_at},
                 &body);
  if (x->total) read_total(x, &body);
}

// -- the whole --

const idx *flash_linear_enter(flash *x, const splice *outer, const idx *m0, int64_t block) {
  idx_ctx *kc = x->g->k->ix;
  x->m0 = idx_max(kc, idx_addi(kc, m0, -block), idx_int(kc, 0));
  const idx *before = flash_seen(x, outer);
  x->m0 = m0;
  x->len = idx_min(kc, idx_sub(kc, lower_dim_expr(x->g, x->row->extent), m0), idx_int(kc, block));
  x->start = flash_seen(x, outer);
  x->end = lower_dim_expr(x->g, x->a.keys);
  bool above;
  for (uint32_t i = 0; i < x->a.n_facts; i++)
    x->end = idx_min(kc, x->end, idx_addi(kc, flash_bound(x, outer, i, true, &above), 1));
  return before;
}

void flash_linear(flash *x, const splice *outer, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  const idx *queries = lower_dim_expr(x->g, x->row->extent);
  clear_state(x, b);
  x->m0 = idx_int(kc, 0);
  const idx *first = flash_seen(x, outer);
  if (!idx_equals_int(first, 0)) add_keys(x, outer, b, idx_int(kc, 0), first);
  kir_stmt *blocks = flash_loop(b, "mb", queries, MB);
  kir_builder body = kir_for_body(b, blocks);
  const idx *before = flash_linear_enter(x, outer, idx_of(kc, blocks->var), MB);
  if (x->a.n_facts) add_keys(x, outer, &body, before, x->start);
  flash_block(x, outer, &body);
  kir_for_end(blocks, NULL);
}
