// Attention for few queries, as in decoding: one query and many keys. Time goes into reading keys and values, each once
// a head; tiles with queries side by side would leave most of their lanes empty, so here lanes run over the depth, then
// over the keys, then over the columns of v. The order of blocks, the statistics and their scratch are those of
// attention_block.c.
//
//   qs[query, depth] = q
//   for blocks of NB keys in [start, end)
//     sq[query, key] = Σ_depth k · qs              a vector of keys at a time: products lane by lane, then sums of rows
//     weights and statistics, keys side by side
//     acc = acc·f + Σ_key sq · v                   all columns of v side by side, as far as registers go
#include "passes/flash.h"
#include <float.h>

enum { SQ_KEYS = 64 }; // NB, and room for whole vectors
_Static_assert((int)NB <= (int)SQ_KEYS, "a block fits");

static uint32_t lanes_of(const flash *x) { return x->g->c->target->vector_bytes / 4; }

static int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

static void stage_queries(flash *x, const splice *outer, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  kir_stmt *queries = flash_loop(b, "i", x->len, 1);
  kir_builder in_queries = kir_for_body(b, queries);
  kir_stmt *depths = flash_loop(&in_queries, "d", idx_int(kc, x->depth), lanes_of(x));
  kir_builder body = kir_for_body(&in_queries, depths);
  const idx *i = idx_of(kc, queries->var), *d = idx_add(kc, idx_of(kc, depths->var), idx_of(kc, x->g->k->c));
  splice s = *outer;
  s.b = &body;
  s.rows = 1;
  s.cols = lanes_of(x);
  splice_bind(&s, x->row->s, idx_add(kc, x->m0, i));
  splice_bind(&s, x->a.depth, d);
  s.col_tail = x->depth % s.cols ? idx_addi(kc, idx_sub(kc, idx_int(kc, x->depth), d), -1) : NULL;
  const idx *to[] = {i, d};
  kir_tile *q = splice_zero_behind(x->g, &body, flash_tile(&s, x->n.root[ROOT_q]), 1, s.cols, s.col_tail);
  kir_store(&body, x->qs, to, q, 1, s.cols, kir_always);
  kir_for_end(depths, NULL);
  kir_for_end(queries, NULL);
}

// Products of one query with the block's keys.
static void dots(flash *x, const splice *outer, kir_builder *b, const idx *i) {
  idx_ctx *kc = x->g->k->ix;
  uint32_t lanes = lanes_of(x);
  const idx *n = idx_sub(kc, x->ke, x->kb);
  const idx *whole = idx_scale(kc, idx_ceildiv(kc, n, x->cols), x->cols); // what is read below
  kir_stmt *tiles = flash_loop(b, "n", whole, lanes);
  kir_builder body = kir_for_body(b, tiles);
  const idx *here = idx_add(kc, idx_of(kc, tiles->var), idx_of(kc, x->g->k->r));
  const idx *inside = idx_min(kc, here, idx_addi(kc, n, -1));
  kir_tile *zero = kir_const(&body, flash_f32(0), lanes, lanes);
  kir_stmt *depths = kir_for(&body, "d", idx_int(kc, 0), idx_int(kc, x->depth), lanes, 1, 1, &zero);
  kir_builder in_depths = kir_for_body(&body, depths);
  const idx *d = idx_add(kc, idx_of(kc, depths->var), idx_of(kc, x->g->k->c)), *q_at[] = {i, d};
  kir_tile *k;
  if (x->ks) {
    const idx *k_at[] = {inside, d};
    k = kir_load(&in_depths, x->ks, k_at, lanes, lanes, kir_always, flash_f32(0));
  } else {
    splice s = *outer;
    s.b = &in_depths;
    s.rows = s.cols = lanes;
    splice_bind(&s, x->a.key, idx_add(kc, x->kb, inside));
    splice_bind(&s, x->a.depth, d);
    s.col_tail = x->depth % lanes ? idx_addi(kc, idx_sub(kc, idx_int(kc, x->depth), d), -1) : NULL;
    k = flash_tile(&s, x->n.root[ROOT_k]);
  }
  kir_tile *q = kir_load(&in_depths, x->qs, q_at, 1, lanes, kir_always, flash_f32(0));
  kir_tile *next = kir_fma(&in_depths, k, q, depths->carry[0]);
  kir_for_end(depths, &next);
  const idx *to[] = {i, here};
  kir_store(&body, x->sq, to, kir_reduce(&body, OP_sum, depths->result[0], NULL), lanes, 1, kir_always);
  kir_for_end(tiles, NULL);
}

// A loop over the block's keys, a vector at a time: where it stands, for a scalar at (key, query).
typedef struct key_loop {
  kir_stmt *loop;
  kir_builder body;
  const idx *at[2]; // in sq
  kir_where inside;
  splice s;
} key_loop;

static key_loop over_keys(flash *x, const splice *outer, kir_builder *b, const idx *i, kir_tile *carried) {
  idx_ctx *kc = x->g->k->ix;
  key_loop l = {.s = *outer};
  const idx *n = idx_sub(kc, x->ke, x->kb);
  l.loop = kir_for(b, "n", idx_int(kc, 0), n, x->cols, 1, 1, &carried);
  l.body = kir_for_body(b, l.loop);
  const idx *key = idx_add(kc, idx_of(kc, l.loop->var), idx_of(kc, x->g->k->c));
  l.at[0] = i;
  l.at[1] = key;
  l.s.rows = 1;
  l.s.cols = x->cols;
  l.s.col_tail = idx_addi(kc, idx_sub(kc, n, key), -1);
  l.inside = kir_conds(x->g->k, 1, &l.s.col_tail);
  splice_bind(&l.s, x->a.key, idx_add(kc, x->kb, key));
  splice_bind(&l.s, x->row->s, idx_add(kc, x->m0, i));
  return l;
}

static kir_tile *score(flash *x, key_loop *l) {
  kir_tile *dot = kir_load(&l->body, x->sq, l->at, 1, x->cols, kir_always, flash_f32(0));
  l->s.b = &l->body;
  return flash_score(x, &l->s, dot, l->inside);
}

static void keep(flash *x, key_loop *l, kir_tile *t) { kir_store(&l->body, x->sq, l->at, t, 1, x->cols, kir_always); }

static void softmax_weights(flash *x, const splice *outer, kir_builder *b, const idx *i) {
  kir_tile *old = kir_load(b, x->stat[STAT_top], &i, 1, 1, kir_always, flash_f32(0));
  key_loop l = over_keys(x, outer, b, i, kir_const(b, flash_f32(-FLT_MAX), 1, x->cols));
  kir_tile *t = score(x, &l);
  keep(x, &l, t);
  t = kir_op2(&l.body, OP_max, l.loop->carry[0], t);
  kir_for_end(l.loop, &t);
  kir_tile *top = kir_op2(b, OP_max, old, kir_reduce(b, OP_amax, l.loop->result[0], NULL));
  l = over_keys(x, outer, b, i, kir_const(b, flash_f32(0), 1, x->cols));
  t = kir_load(&l.body, x->sq, l.at, 1, x->cols, kir_always, flash_f32(0));
  t = kir_op1(&l.body, OP_exp, kir_op2(&l.body, OP_sub, t, top));
  kir_tile *sum = kir_op2(&l.body, OP_add, l.loop->carry[0], t);
  if (x->n.root[ROOT_columns]) {
    l.s.b = &l.body;
    t = kir_op2(&l.body, OP_mul, t, flash_tile(&l.s, x->n.root[ROOT_columns]));
  }
  keep(x, &l, t);
  kir_for_end(l.loop, &sum);
  kir_tile *total = kir_reduce(b, OP_sum, l.loop->result[0], NULL);
  kir_tile *scale = kir_op1(b, OP_exp, kir_op2(b, OP_sub, old, top));
  kir_tile *before = kir_load(b, x->stat[STAT_sum], &i, 1, 1, kir_always, flash_f32(0));
  kir_store(b, x->stat[STAT_sum], &i, kir_fma(b, before, scale, total), 1, 1, kir_always);
  kir_store(b, x->stat[STAT_top], &i, top, 1, 1, kir_always);
  kir_store(b, x->stat[STAT_scale], &i, scale, 1, 1, kir_always);
}

static void plain_weights(flash *x, const splice *outer, kir_builder *b, const idx *i) {
  key_loop l = over_keys(x, outer, b, i, kir_const(b, flash_f32(0), 1, x->cols));
  kir_tile *t = score(x, &l);
  keep(x, &l, t);
  t = kir_op2(&l.body, OP_add, l.loop->carry[0], t);
  kir_for_end(l.loop, &t);
  if (!x->a.sum) return;
  kir_tile *total = kir_reduce(b, OP_sum, l.loop->result[0], NULL);
  kir_tile *before = kir_load(b, x->stat[STAT_sum], &i, 1, 1, kir_always, flash_f32(0));
  kir_store(b, x->stat[STAT_sum], &i, kir_op2(b, OP_add, before, total), 1, 1, kir_always);
}

static kir_tile *weight(const flash_product *p, kir_builder *b, const idx *key, const idx *query) {
  const idx *at[] = {query, idx_sub(p->x->g->k->ix, key, p->x->kb)};
  return kir_load(b, p->x->sq, at, 1, 1, kir_always, flash_f32(0));
}

static void weigh(flash *x, const splice *s, kir_builder *b) {
  kir_stmt *queries = flash_loop(b, "i", x->len, 1);
  kir_builder body = kir_for_body(b, queries);
  const idx *i = idx_of(x->g->k->ix, queries->var);
  dots(x, s, &body, i);
  if (x->a.kind == ATTENTION_softmax) softmax_weights(x, s, &body, i);
  else plain_weights(x, s, &body, i);
  kir_for_end(queries, NULL);
}

// Columns of v side by side: whole tiles of the other schedule, so that scratch serves both.
static uint32_t widest(const flash *x) {
  int64_t tiles = round_up(x->width, x->out_cols) / x->out_cols;
  uint32_t most = 8 * lanes_of(x) / x->out_cols;
  while (tiles % most) most--;
  return most * x->out_cols;
}

void flash_few_scratch(flash *x) {
  kir_kernel *k = x->g->k;
  x->qs = kir_group(k, "qs", DT_f32, 2, (int64_t[]){FEW, round_up(x->depth, lanes_of(x))});
  x->sq = kir_group(k, "sq", DT_f32, 2, (int64_t[]){FEW, SQ_KEYS});
}

flash flash_for_few(const flash *all) {
  flash x = *all;
  x.rows = x.out_rows = 1;
  x.out_cols = widest(all);
  x.narrow = false;
  return x;
}

void flash_few_weigh(flash *x, const splice *outer, kir_builder *b) {
  stage_queries(x, outer, b);
  flash_clear(x, b);
  flash_all_keys(x, outer, b, weigh, weight);
}

void flash_few(const flash *all, const splice *outer, kir_builder *b) {
  flash x = flash_for_few(all);
  flash_few_weigh(&x, outer, b);
  flash_finish(&x, outer, b);
}
