// Attention by groups of workers, one block of queries (the tiling of Dao et al. 2022, "FlashAttention"): keys, values
// and queries go through scratch in blocks, as the operands of contract_group.c do; scores and the state of the online
// softmax stay in registers.
//
//   group: side x side workers, each a tile of `rows` queries x 4 keys of the scores and rows x 4·tiles of the result
//   for blocks of 4·side keys in [start, end)
//     for blocks of DEPTH depths: Q and K into scratch, every worker adds its products
//     the maximum of a row over its workers, through scratch; weights and their sums stay with the worker
//     for blocks of DEPTH keys: their weights and V into scratch, every worker adds its products
//   the sum of a row over its workers; division, epilogue, store
//
// Queries are staged anew for every block of keys: a third of what is staged, for scratch that does not grow with the
// width of heads. `left` holds Q, maxima and weights in turn, `right` K and V: 13 KB for 256 workers at most.
#include "passes/flash_group.h"
#include "passes/group_stage.h"

enum { DEPTH = BLOCK_DEPTH, SLAB = 128, UNROLL = 4 }; // SLAB: columns of v staged at a time

static uint32_t side_of(const flash *x) { return x->g->c->target->workers >= 256 ? 16 : 8; }

flash_team flash_block_team(flash *x, const splice *outer) {
  uint32_t side = side_of(x);
  flash_team t = {.x = x, .outer = outer, .down = side, .across = side, .rows = TEAM_QUAD};
  if (x->a.kind == ATTENTION_linear) return t; // rows are depths too
  uint32_t columns = flash_team_tiles(&t, x->width) * TEAM_QUAD;
  int64_t most = extent_max(x->g, x->row->extent);
  while (t.rows > 1 && (t.rows * columns > TEAM_REGISTERS || (int64_t)t.rows / 2 * side >= most)) t.rows /= 2;
  return t;
}

static int64_t left_stride(const flash_team *t) { return (int64_t)t->rows * t->down + GROUP_PAD; }

uint32_t flash_block_slab(const flash_team *t) {
  uint32_t all = flash_team_tiles(t, t->x->width), most = SLAB / (TEAM_QUAD * t->across);
  return all < most ? all : most;
}

int64_t flash_block_stride(const flash_team *t) {
  return (int64_t)flash_block_slab(t) * TEAM_QUAD * t->across + GROUP_PAD;
}

uint32_t flash_group_rows(const flash *x) {
  flash copy = *x;
  flash_team t = flash_block_team(&copy, NULL);
  return t.rows * t.down;
}

void flash_group_block_scratch(const flash *x, int64_t *size) {
  flash copy = *x;
  flash_team t = flash_block_team(&copy, NULL);
  const int64_t stride[] = {[BLOCK_LEFT] = left_stride(&t), [BLOCK_RIGHT] = flash_block_stride(&t)};
  for (uint32_t i = 0; i < sizeof stride / sizeof *stride; i++)
    if (size[i] < DEPTH * stride[i]) size[i] = DEPTH * stride[i];
}

// A value for each of the worker's rows, at a line of `left`.
const idx *flash_block_row(const flash_team *t, const idx *line) {
  idx_ctx *kc = t->x->g->k->ix;
  return idx_add(kc, idx_scale(kc, line, left_stride(t)), t->query);
}

kir_tile *flash_block_load(const flash_team *t, kir_builder *b, const idx *line) {
  const idx *at = flash_block_row(t, line);
  return kir_load(b, t->x->scratch[BLOCK_LEFT], &at, t->rows, 1, kir_always, flash_f32(0));
}

// acc[i] += left's column of the worker's rows · right's row of its columns, for lines in 0..n.
void flash_block_multiply(const flash_team *t, kir_builder *b, uint32_t tiles, kir_tile **acc) {
  flash *x = t->x;
  idx_ctx *kc = x->g->k->ix;
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), idx_int(kc, DEPTH), 1, UNROLL, tiles, acc);
  kir_builder body = kir_for_body(b, loop);
  const idx *k = idx_of(kc, loop->var);
  kir_tile *left = flash_block_load(t, &body, k), *next[TEAM_TILES];
  for (uint32_t i = 0; i < tiles; i++) {
    const idx *at = idx_add(kc, idx_scale(kc, k, flash_block_stride(t)), flash_team_column(t, i));
    kir_tile *right = kir_load(&body, x->scratch[BLOCK_RIGHT], &at, 1, TEAM_QUAD, kir_always, flash_f32(0));
    next[i] = kir_dot(&body, loop->carry[i], left, right, "fma");
  }
  kir_for_end(loop, next);
  for (uint32_t i = 0; i < tiles; i++) acc[i] = loop->result[i];
}

// A column combined over the workers that share its rows.
static kir_tile *exchange(const flash_team *t, kir_builder *b, op_code op, kir_tile *mine, kir_tile *with) {
  flash *x = t->x;
  idx_ctx *kc = x->g->k->ix;
  const idx *to = flash_block_row(t, t->at);
  kir_store(b, x->scratch[BLOCK_LEFT], &to, mine, t->rows, 1, kir_always);
  kir_stmt *loop = kir_for(b, "l", idx_int(kc, 0), idx_int(kc, t->across), 1, 1, 1, &with);
  kir_builder body = kir_for_body(b, loop);
  kir_tile *next = kir_op2(&body, op, loop->carry[0], flash_block_load(t, &body, idx_of(kc, loop->var)));
  kir_for_end(loop, &next);
  return loop->result[0];
}

static void stage(const flash_team *t, kir_builder *b, group_stage s) {
  s.g = t->x->g;
  s.depth = DEPTH;
  group_stage_block(&s, t->outer, b, t->x->worker, s.g->c->target->workers);
}

void flash_block_stage_left(const flash_team *t, kir_builder *b, group_stage s) {
  s.width = t->rows * t->down;
  s.to = t->x->scratch[BLOCK_LEFT];
  s.stride = left_stride(t);
  stage(t, b, s);
}

void flash_block_stage_values(const flash_team *t, kir_builder *b, uint32_t first, uint32_t tiles, const idx *key,
                              const idx *end) {
  flash *x = t->x;
  const sx *v = x->n.root[ROOT_v];
  group_stage s = {.e = v, .own = x->col->s, .deep = x->a.key, .deep_first = key, .deep_end = end};
  s.own_first = idx_int(x->g->k->ix, (int64_t)first * TEAM_QUAD * t->across);
  s.own_end = idx_int(x->g->k->ix, x->width);
  s.width = tiles * TEAM_QUAD * t->across;
  s.along_deep = nest_is_unit(x->g, v, x->a.key) && !nest_is_unit(x->g, v, x->col->s);
  s.to = x->scratch[BLOCK_RIGHT];
  s.stride = flash_block_stride(t);
  stage(t, b, s);
}

void flash_block_stage_queries(const flash_team *t, kir_builder *b, const idx *depth) {
  flash *x = t->x;
  const sx *q = x->n.root[ROOT_q];
  group_stage s = {.e = q, .own = x->row->s, .deep = x->a.depth, .deep_first = depth, .own_first = x->m0};
  s.own_end = lower_dim_expr(x->g, x->row->extent);
  s.deep_end = idx_int(x->g->k->ix, x->depth);
  s.along_deep = !nest_is_unit(x->g, q, s.own);
  flash_block_stage_left(t, b, s);
}

static void stage_keys(const flash_team *t, kir_builder *b, const idx *depth) {
  flash *x = t->x;
  const sx *k = x->n.root[ROOT_k];
  group_stage s = {.e = k, .own = x->a.key, .deep = x->a.depth, .deep_first = depth, .own_first = x->kb};
  s.own_end = x->end;
  s.deep_end = idx_int(x->g->k->ix, x->depth);
  s.width = TEAM_QUAD * t->across;
  s.along_deep = !nest_is_unit(x->g, k, s.own);
  s.to = x->scratch[BLOCK_RIGHT];
  s.stride = flash_block_stride(t);
  stage(t, b, s);
}

// Products of the block's queries and keys.
static kir_tile *products(const flash_team *t, kir_builder *b) {
  flash *x = t->x;
  idx_ctx *kc = x->g->k->ix;
  kir_tile *acc = kir_const(b, flash_f32(0), t->rows, TEAM_QUAD);
  kir_stmt *depths = kir_for(b, "d", idx_int(kc, 0), idx_int(kc, x->depth), DEPTH, 1, 1, &acc);
  kir_builder body = kir_for_body(b, depths);
  flash_block_stage_queries(t, &body, idx_of(kc, depths->var));
  stage_keys(t, &body, idx_of(kc, depths->var));
  acc = depths->carry[0];
  flash_block_multiply(t, &body, 1, &acc);
  kir_for_end(depths, &acc);
  return depths->result[0];
}

// acc += weights · v, the worker's weights being a tile of its rows x 4 keys.
static void add_values(const flash_team *t, flash_state *st, kir_builder *b, kir_tile *weights) {
  flash *x = t->x;
  idx_ctx *kc = x->g->k->ix;
  uint32_t slab = flash_block_slab(t);
  const idx *keys = idx_min(kc, idx_int(kc, (int64_t)TEAM_QUAD * t->across), idx_sub(kc, x->end, x->kb));
  kir_stmt *lines = kir_for(b, "n", idx_int(kc, 0), keys, DEPTH, 1, st->tiles, st->acc);
  kir_builder body = kir_for_body(b, lines);
  const idx *n = idx_of(kc, lines->var), *mine = idx_sub(kc, idx_scale(kc, t->at, TEAM_QUAD), n);
  const idx *to = flash_block_row(t, idx_add(kc, mine, idx_of(kc, x->g->k->c)));
  const idx *among[] = {mine, idx_sub(kc, idx_int(kc, DEPTH - TEAM_QUAD), mine)};
  kir_store(&body, x->scratch[BLOCK_LEFT], &to, weights, t->rows, TEAM_QUAD, kir_conds(x->g->k, 2, among));
  kir_tile *acc[TEAM_TILES];
  for (uint32_t i = 0; i < st->tiles; i++) acc[i] = lines->carry[i];
  for (uint32_t first = 0; first < st->tiles; first += slab) {
    uint32_t tiles = st->tiles - first < slab ? st->tiles - first : slab;
    flash_block_stage_values(t, &body, first, tiles, idx_add(kc, x->kb, n), x->end);
    flash_block_multiply(t, &body, tiles, acc + first);
  }
  kir_for_end(lines, acc);
  for (uint32_t i = 0; i < st->tiles; i++) st->acc[i] = lines->result[i];
}

static void add_keys(const flash_team *t, flash_state *st, kir_builder *b) {
  flash *x = t->x;
  idx_ctx *kc = x->g->k->ix;
  kir_tile *dot = products(t, b);
  splice s = flash_team_splice(t, b, TEAM_QUAD);
  const idx *key = idx_add(kc, x->kb, flash_team_column(t, 0));
  splice_bind(&s, x->a.key, key);
  s.col_tail = idx_addi(kc, idx_sub(kc, x->end, key), -1);
  kir_tile *score = flash_score(x, &s, dot, kir_conds(x->g->k, 1, &s.col_tail));
  if (st->top) flash_state_raise(st, b, exchange(t, b, OP_max, kir_reduce(b, OP_amax, score, NULL), st->top));
  add_values(t, st, b, flash_state_weigh(t, st, &s, score));
}

void flash_block_enter(flash_team *t) {
  flash *x = t->x;
  idx_ctx *kc = x->g->k->ix;
  t->query = idx_add(kc, idx_scale(kc, t->y, t->rows), idx_of(kc, x->g->k->r));
  t->inside = idx_addi(kc, idx_sub(kc, x->len, t->query), -1);
}

void flash_block_keys(const flash_team *t, flash_state *st, kir_builder *b) {
  flash *x = t->x;
  kir_tile *carried[STATE_TILES];
  uint32_t n = flash_state_list(st, carried);
  kir_stmt *blocks = kir_for(b, "kb", x->start, x->end, (int64_t)TEAM_QUAD * t->across, 1, n, carried);
  kir_builder body = kir_for_body(b, blocks);
  flash_state in = flash_state_of(st, blocks->carry);
  x->kb = idx_of(x->g->k->ix, blocks->var);
  add_keys(t, &in, &body);
  (void)flash_state_list(&in, carried);
  kir_for_end(blocks, carried);
  *st = flash_state_of(st, blocks->result);
  // Each worker has the sum over its own keys.
  if (st->sum) st->sum = exchange(t, b, OP_add, st->sum, kir_const(b, flash_f32(0), t->rows, 1));
}

void flash_group_block(flash *x, const splice *outer, kir_builder *b) {
  flash_team t = flash_block_team(x, outer);
  flash_team_layout(&t, b);
  flash_block_enter(&t);
  flash_state st = flash_state_new(&t, b);
  flash_block_keys(&t, &st, b);
  flash_state_write(&t, &st, b, NULL);
}
