// Attention, one block of queries: staging, scores of a block of keys, their weights, the weighted sum, the end. The
// method is at the head of schedule_attention.c.
#include "passes/flash.h"
#include <float.h>
#include <math.h>

static kir_tile *stat_load(flash *x, kir_builder *b, uint32_t which, const idx *at, uint32_t rows, uint32_t cols) {
  return kir_load(b, x->stat[which], &at, rows, cols, kir_always, flash_f32(0));
}

static void stat_store(flash *x, kir_builder *b, uint32_t which, const idx *at, kir_tile *t) {
  kir_store(b, x->stat[which], &at, t, 1, x->cols, kir_always);
}

kir_stmt *flash_loop(kir_builder *b, const char *name, const idx *hi, uint32_t step) {
  return kir_for(b, name, idx_int(b->k->ix, 0), hi, step, 1, 0, NULL);
}

// -- staging --

// qt[depth, query]: q turned, or in pairs. Blocks of lanes x lanes are turned in registers; queries past the end are 0.
static void stage_queries(flash *x, const splice *outer, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  uint32_t lanes = x->g->c->target->vector_bytes / 4, rows = x->depth % lanes == 0 ? lanes : x->narrow ? 2 : 1;
  kir_stmt *columns = flash_loop(b, "j", x->len, x->cols);
  kir_builder in_columns = kir_for_body(b, columns);
  kir_stmt *depths = flash_loop(&in_columns, "d", idx_int(kc, x->depth), rows);
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
  if (x->narrow) flash_narrow_queries(x, &s, d, j);
  else kir_store(&body, x->qt, to, flash_tile(&s, x->n.root[ROOT_q]), rows, x->cols, kir_always);
  kir_for_end(depths, NULL);
  kir_for_end(columns, NULL);
}

// to[key - kb, column] = e for the block's keys: for operands that cannot be read as they lie.
static void stage_keys(flash *x, const splice *outer, kir_builder *b, kir_buffer *to, const sx *e, const sym *label,
                       int64_t width, uint32_t cols) {
  idx_ctx *kc = x->g->k->ix;
  const idx *c = idx_of(kc, x->g->k->c);
  kir_stmt *keys = flash_loop(b, "n", idx_sub(kc, x->ke, x->kb), 1);
  kir_builder in_keys = kir_for_body(b, keys);
  kir_stmt *columns = flash_loop(&in_keys, "e", idx_int(kc, width), cols);
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
  kir_store(&body, to, place, flash_tile(&s, e), 1, cols, kir_always);
  kir_for_end(columns, NULL);
  kir_for_end(keys, NULL);
}

void flash_stage_keys(flash *x, const splice *outer, kir_builder *b) {
  if (x->narrow) {
    flash_narrow_values(x, outer, b);
    return;
  }
  if (x->ks) stage_keys(x, outer, b, x->ks, x->n.root[ROOT_k], x->a.depth, x->depth, x->cols);
  if (x->vs) stage_keys(x, outer, b, x->vs, x->n.root[ROOT_v], x->col->s, x->width, x->out_cols);
}

void flash_clear(flash *x, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  if (x->stat[STAT_sum]) {
    kir_stmt *columns = flash_loop(b, "j", x->len, x->cols);
    kir_builder body = kir_for_body(b, columns);
    const idx *at = idx_add(kc, idx_of(kc, columns->var), c);
    if (x->stat[STAT_top]) stat_store(x, &body, STAT_top, at, kir_const(&body, flash_f32(-FLT_MAX), 1, x->cols));
    stat_store(x, &body, STAT_sum, at, kir_const(&body, flash_f32(0), 1, x->cols));
    kir_for_end(columns, NULL);
  }
  kir_stmt *tiles = flash_loop(b, "i", x->len, x->out_rows);
  kir_builder in_tiles = kir_for_body(b, tiles);
  kir_stmt *out = flash_loop(&in_tiles, "e", idx_int(kc, x->width), x->out_cols);
  kir_builder in_out = kir_for_body(&in_tiles, out);
  const idx *to[] = {idx_add(kc, idx_of(kc, tiles->var), r), idx_add(kc, idx_of(kc, out->var), c)};
  kir_store(&in_out, x->acc, to, kir_const(&in_out, flash_f32(0), 1, 1), x->out_rows, x->out_cols, kir_always);
  kir_for_end(out, NULL);
  kir_for_end(tiles, NULL);
}

// -- one block of keys --

// Rows of keys and values of the next block, on their way to the second-level cache while this one is computed: each
// tile of scores asks for its share.
static void fetch_row(const flash *x, splice s, const sx *e, const sym *label, int64_t width) {
  enum { LINE = 16 };
  for (int64_t at = 0; at < width; at += LINE) {
    splice_bind(&s, label, idx_int(x->g->k->ix, at));
    splice_prefetch(&s, e);
  }
}

static void fetch_ahead(flash *x, const splice *outer, kir_builder *b, const idx *i, const idx *j) {
  idx_ctx *kc = x->g->k->ix;
  uint32_t share = (x->rows * x->cols + MB - 1) / MB;
  const idx *first = idx_add(kc, idx_addi(kc, x->kb, NB),
                             idx_add(kc, i, idx_scale(kc, idx_floordiv(kc, j, idx_int(kc, x->cols)), share)));
  const idx *last = idx_addi(kc, lower_dim_expr(x->g, x->a.keys), -1);
  for (uint32_t row = 0; row < share; row++) {
    splice s = *outer;
    s.b = b;
    splice_bind(&s, x->a.key, idx_min(kc, idx_addi(kc, first, row), last));
    if (x->k_lies) fetch_row(x, s, x->n.root[ROOT_k], x->a.depth, x->depth);
    if (x->v_lies) fetch_row(x, s, x->n.root[ROOT_v], x->col->s, x->width);
  }
}

kir_tile *flash_score(const flash *x, splice *s, kir_tile *dot, kir_where inside) {
  double nothing = x->a.kind == ATTENTION_softmax ? -INFINITY : 0;
  s->acc = map_new(x->g->c->a);
  map_put_ptr(s->acc, &x->a.dot->out[0], kir_convert(s->b, dot, x->a.dot->out[0].type.dt));
  return kir_select(s->b, flash_tile(s, x->n.root[ROOT_score]), inside, flash_f32(nothing));
}

// st[key, query] for a column of queries. Keys past the block's end weigh nothing.
static void scores(flash *x, const splice *outer, kir_builder *b, const idx *j) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  const idx *r = idx_of(kc, g->k->r), *c = idx_of(kc, g->k->c), *n = idx_sub(kc, x->ke, x->kb);
  kir_stmt *tiles = flash_loop(b, "i", n, x->rows);
  kir_builder body = kir_for_body(b, tiles);
  const idx *i = idx_of(kc, tiles->var), *here = idx_add(kc, i, r);
  const idx *key = idx_add(kc, x->kb, idx_min(kc, here, idx_addi(kc, n, -1)));
  splice s = *outer;
  s.rows = x->rows;
  s.cols = x->cols;
  splice_bind(&s, x->a.key, key);
  splice_bind(&s, x->row->s, idx_add(kc, x->m0, idx_add(kc, j, c)));
  s.col_tail = idx_addi(kc, idx_sub(kc, x->len, idx_add(kc, j, c)), -1);
  fetch_ahead(x, outer, &body, i, j);
  kir_tile *zero = kir_const(&body, flash_f32(0), x->rows, x->cols);
  int64_t step = x->narrow ? 2 : 1;
  kir_stmt *dot = kir_for(&body, "d", idx_int(kc, 0), idx_int(kc, x->depth), step, x->depth > step ? 2 : 1, 1, &zero);
  kir_builder in_dot = kir_for_body(&body, dot);
  const idx *d = idx_of(kc, dot->var), *q_at[] = {d, idx_add(kc, j, c)};
  kir_tile *k;
  if (x->narrow) {
    k = flash_narrow_key(x, &s, &in_dot, d);
  } else if (x->ks) {
    const idx *k_at[] = {idx_min(kc, here, idx_addi(kc, n, -1)), d};
    k = kir_load(&in_dot, x->ks, k_at, x->rows, 1, kir_always, flash_f32(0));
  } else {
    splice operand = s;
    operand.b = &in_dot;
    splice_bind(&operand, x->a.depth, d);
    k = flash_tile(&operand, x->n.root[ROOT_k]);
  }
  kir_tile *q = x->narrow ? flash_narrow_query(x, &in_dot, d, j)
                          : kir_load(&in_dot, x->qt, q_at, 1, x->cols, kir_always, flash_f32(0));
  kir_tile *next = kir_dot(&in_dot, dot->carry[0], k, q, x->narrow ? "pairs" : "fma");
  kir_for_end(dot, &next);
  s.b = &body;
  const idx *inside[] = {idx_addi(kc, idx_sub(kc, n, here), -1)};
  kir_tile *t = flash_score(x, &s, dot->result[0], kir_conds(g->k, 1, inside));
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
  kir_tile *old = stat_load(x, b, STAT_top, column, 1, x->cols), *best[WAYS], *sum[PAIR], *weight[PAIR];
  for (uint32_t w = 0; w < WAYS; w++) best[w] = old;
  kir_stmt *maxima = kir_for(b, "n", idx_int(kc, 0), whole, WAYS, 1, WAYS, best);
  kir_builder body = kir_for_body(b, maxima);
  for (uint32_t w = 0; w < WAYS; w++) {
    const idx *at[] = {idx_addi(kc, idx_of(kc, maxima->var), w), column};
    best[w] =
        kir_op2(&body, OP_max, maxima->carry[w], kir_load(&body, x->st, at, 1, x->cols, kir_always, flash_f32(0)));
  }
  kir_for_end(maxima, best);
  kir_tile *top = maxima->result[0];
  for (uint32_t w = 1; w < WAYS; w++) top = kir_op2(b, OP_max, top, maxima->result[w]);
  for (uint32_t w = 0; w < PAIR; w++) sum[w] = kir_const(b, flash_f32(0), 1, x->cols);
  kir_stmt *keys = kir_for(b, "n", idx_int(kc, 0), whole, PAIR, 1, PAIR, sum);
  body = kir_for_body(b, keys);
  for (uint32_t w = 0; w < PAIR; w++) {
    const idx *key = idx_addi(kc, idx_of(kc, keys->var), w), *at[] = {key, column};
    kir_tile *t = kir_load(&body, x->st, at, 1, x->cols, kir_always, flash_f32(0));
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
      t = kir_op2(&body, OP_mul, t, flash_tile(&s, x->n.root[ROOT_columns]));
    }
    weight[w] = t;
    if (!x->narrow) kir_store(&body, x->st, at, t, 1, x->cols, kir_always);
  }
  if (x->narrow) flash_narrow_weights(x, &body, idx_of(kc, keys->var), j, weight);
  kir_for_end(keys, sum);
  kir_tile *total = keys->result[0];
  for (uint32_t w = 1; w < PAIR; w++) total = kir_op2(b, OP_add, total, keys->result[w]);
  kir_tile *scale = kir_op1(b, OP_exp, kir_op2(b, OP_sub, old, top));
  stat_store(x, b, STAT_sum, column, kir_fma(b, stat_load(x, b, STAT_sum, column, 1, x->cols), scale, total));
  stat_store(x, b, STAT_top, column, top);
  stat_store(x, b, STAT_scale, column, scale);
}

// The sum of the block's weights, without a softmax.
static void sum_weights(flash *x, kir_builder *b, const idx *j) {
  idx_ctx *kc = x->g->k->ix;
  const idx *column = idx_add(kc, j, idx_of(kc, x->g->k->c));
  kir_tile *sum = stat_load(x, b, STAT_sum, column, 1, x->cols);
  kir_stmt *keys = kir_for(b, "n", idx_int(kc, 0), idx_sub(kc, x->ke, x->kb), 1, 2, 1, &sum);
  kir_builder body = kir_for_body(b, keys);
  const idx *at[] = {idx_of(kc, keys->var), column};
  kir_tile *next =
      kir_op2(&body, OP_add, keys->carry[0], kir_load(&body, x->st, at, 1, x->cols, kir_always, flash_f32(0)));
  kir_for_end(keys, &next);
  stat_store(x, b, STAT_sum, column, keys->result[0]);
}

// -- products --

void flash_multiply(const flash_product *p, kir_builder *b) {
  flash *x = p->x;
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  kir_stmt *tiles = flash_loop(b, "i", p->rows, x->out_rows);
  kir_builder in_tiles = kir_for_body(b, tiles);
  kir_stmt *columns = flash_loop(&in_tiles, "e", idx_int(kc, x->width), x->out_cols);
  kir_builder body = kir_for_body(&in_tiles, columns);
  const idx *i = idx_of(kc, tiles->var), *e = idx_add(kc, idx_of(kc, columns->var), c);
  const idx *row = idx_min(kc, idx_add(kc, i, r), idx_addi(kc, p->rows, -1)), *to[] = {idx_add(kc, i, r), e};
  kir_tile *acc = p->fresh ? kir_const(&body, flash_f32(0), x->out_rows, x->out_cols)
                           : kir_load(&body, p->to, to, x->out_rows, x->out_cols, kir_always, flash_f32(0));
  if (p->scale)
    acc = kir_op2(&body, OP_mul, acc, kir_load(&body, p->scale, &row, x->out_rows, 1, kir_always, flash_f32(0)));
  kir_stmt *sum = kir_for(&body, "n", p->lo, p->hi, 1, 2, 1, &acc);
  kir_builder in_sum = kir_for_body(&body, sum);
  const idx *n = idx_of(kc, sum->var);
  kir_tile *left = p->left(p, &in_sum, n, row), *right = p->right(p, &in_sum, n, e);
  kir_tile *next = kir_dot(&in_sum, sum->carry[0], left, right, p->variant ? p->variant : "fma");
  kir_for_end(sum, &next);
  kir_store(&body, p->to, to, sum->result[0], x->out_rows, x->out_cols, kir_always);
  kir_for_end(columns, NULL);
  kir_for_end(tiles, NULL);
}

kir_tile *flash_value(const flash_product *p, kir_builder *b, const idx *key, const idx *e) {
  flash *x = p->x;
  if (x->vs) {
    const idx *at[] = {idx_sub(x->g->k->ix, key, x->kb), e};
    return kir_load(b, x->vs, at, 1, x->out_cols, kir_always, flash_f32(0));
  }
  splice s = *p->outer;
  s.b = b;
  s.rows = 1;
  s.cols = x->out_cols;
  splice_bind(&s, x->a.key, key);
  splice_bind(&s, x->col->s, e);
  return flash_tile(&s, x->n.root[ROOT_v]);
}

static kir_tile *weight(const flash_product *p, kir_builder *b, const idx *key, const idx *query) {
  const idx *at[] = {idx_sub(p->x->g->k->ix, key, p->x->kb), query};
  return kir_load(b, p->x->st, at, p->x->out_rows, 1, kir_always, flash_f32(0));
}

static void weigh(flash *x, const splice *s, kir_builder *b) {
  kir_stmt *columns = flash_loop(b, "j", x->len, x->cols);
  kir_builder body = kir_for_body(b, columns);
  const idx *j = idx_of(x->g->k->ix, columns->var);
  scores(x, s, &body, j);
  if (x->a.kind == ATTENTION_softmax) weights(x, s, &body, j);
  else if (x->a.sum) sum_weights(x, &body, j);
  kir_for_end(columns, NULL);
}

void flash_all_keys(flash *x, const splice *s, kir_builder *b, flash_weigh *weigh_block, flash_operand *weight_of) {
  idx_ctx *kc = x->g->k->ix;
  kir_stmt *blocks = kir_for(b, "kb", x->start, x->end, NB, 1, 0, NULL);
  kir_builder body = kir_for_body(b, blocks);
  x->kb = idx_of(kc, blocks->var);
  x->ke = idx_min(kc, x->end, idx_addi(kc, x->kb, NB));
  flash_stage_keys(x, s, &body);
  weigh_block(x, s, &body);
  flash_product p = {.x = x,
                     .outer = s,
                     .to = x->acc,
                     .rows = x->len,
                     .lo = x->kb,
                     .hi = x->ke,
                     .scale = x->a.kind == ATTENTION_softmax ? x->stat[STAT_scale] : NULL,
                     .left = weight_of,
                     .right = flash_value};
  if (x->narrow) { // by pairs of the block's keys
    p.lo = idx_int(kc, 0);
    p.hi = idx_ceildiv(kc, idx_sub(kc, x->ke, x->kb), 2);
    p.left = flash_narrow_weight;
    p.right = flash_narrow_value;
    p.variant = "pairs";
  }
  flash_multiply(&p, &body);
  kir_for_end(blocks, NULL);
}

// -- the end of a block --

void flash_write(const flash *x, splice *s, kir_tile *t, kir_tile *sum) {
  s->acc = map_new(x->g->c->a);
  if (x->a.sum) {
    if (x->n.root[ROOT_sum_factor]) sum = kir_op2(s->b, OP_mul, sum, flash_tile(s, x->n.root[ROOT_sum_factor]));
    map_put_ptr(s->acc, x->a.sum, kir_convert(s->b, sum, x->a.sum->type.dt));
  } else if (x->a.kind == ATTENTION_softmax) {
    kir_tile *nothing = kir_op2(s->b, OP_eq, sum, kir_const(s->b, flash_f32(0), 1, 1));
    t = kir_op2(s->b, OP_div, t, sum);
    if (x->a.empty_is_zero)
      t = kir_op(s->b, OP_where, 3, (kir_tile *[]){nothing, kir_const(s->b, flash_f32(0), 1, 1), t});
  }
  if (x->n.root[ROOT_rows]) t = kir_op2(s->b, OP_mul, t, flash_tile(s, x->n.root[ROOT_rows]));
  map_put_ptr(s->acc, &x->a.mix->out[0], kir_convert(s->b, t, x->a.mix->out[0].type.dt));
  for (uint32_t y = x->first_yield; y < x->n.n_roots; y++)
    splice_store(s, x->g->region->yields[y - x->first_yield], x->n.store[y], splice_tile(s, x->n.root[y]));
}

void flash_finish(flash *x, const splice *outer, kir_builder *b) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  const idx *r = idx_of(kc, g->k->r), *c = idx_of(kc, g->k->c);
  kir_stmt *tiles = flash_loop(b, "i", x->len, x->out_rows);
  kir_builder in_tiles = kir_for_body(b, tiles);
  kir_stmt *columns = flash_loop(&in_tiles, "e", idx_int(kc, x->width), x->out_cols);
  kir_builder body = kir_for_body(&in_tiles, columns);
  const idx *i = idx_add(kc, idx_of(kc, tiles->var), r), *e = idx_add(kc, idx_of(kc, columns->var), c), *at[] = {i, e};
  splice s = *outer;
  s.b = &body;
  s.rows = x->out_rows;
  s.cols = x->out_cols;
  splice_bind(&s, x->row->s, idx_add(kc, x->m0, i));
  splice_bind(&s, x->col->s, e);
  s.row_tail = idx_addi(kc, idx_sub(kc, x->len, i), -1);
  s.col_tail = x->width % x->out_cols ? idx_addi(kc, idx_sub(kc, idx_int(kc, x->width), e), -1) : NULL;
  kir_tile *t = kir_load(&body, x->acc, at, x->out_rows, x->out_cols, kir_always, flash_f32(0));
  kir_tile *sum = NULL;
  if (x->stat[STAT_sum]) sum = stat_load(x, &body, STAT_sum, idx_min(kc, i, idx_addi(kc, x->len, -1)), x->out_rows, 1);
  flash_write(x, &s, t, sum);
  kir_for_end(columns, NULL);
  kir_for_end(tiles, NULL);
}

void flash_block(flash *x, const splice *outer, kir_builder *b) {
  stage_queries(x, outer, b);
  flash_clear(x, b);
  if (x->state) flash_read_state(x, b);
  if (x->start != x->end) flash_all_keys(x, outer, b, weigh, weight); // else the state holds every key
  flash_finish(x, outer, b);
}
