// Attention that is linear in the scores, by groups of workers: one group goes over the queries of one head. The method
// and its state are those of attention_linear.c; here the state lies in the registers of the workers, tiles of 4 x 4 of
// [depth, width], and goes through scratch in lines of BLOCK_DEPTH depths where queries read it.
//
//   for blocks of 4·side queries
//     for blocks of BLOCK_DEPTH keys that the state does not hold yet: K and V into scratch, every worker adds its
//     products to its part of the state
//     for blocks of BLOCK_DEPTH depths: Q and the state into scratch, every worker adds its products to acc
//     the keys that only some of the queries see, as in attention_group_block.c
//
// Σ_key k is kept beside the state, by every worker for its own depths, and read through a column behind the slab.
#include "passes/flash_group.h"

enum { MOST_HELD = TEAM_REGISTERS + TEAM_REGISTERS / 2 }; // elements of the state and acc that a worker holds

typedef struct linear {
  flash_team t;
  uint32_t tall, wide;         // tiles of the state
  kir_tile *state[TEAM_TILES]; // [tall, wide]
  kir_tile *total[TEAM_TILES]; // columns [tall]; NULL where nobody asks
  kir_tile *sum;               // of the block's queries, over the keys that the state holds
} linear;

static linear linear_of(flash *x, const splice *outer) {
  linear l = {.t = flash_block_team(x, outer)};
  int64_t rows = (int64_t)l.t.rows * l.t.down;
  l.tall = (uint32_t)((x->depth + rows - 1) / rows);
  l.wide = flash_team_tiles(&l.t, x->width);
  return l;
}

bool flash_group_follows(const flash *x) {
  flash copy = *x;
  linear l = linear_of(&copy, NULL);
  return (l.tall + 1) * l.wide * l.t.rows * TEAM_QUAD <= MOST_HELD;
}

static const idx *first_depth(const linear *l, uint32_t part) {
  return idx_int(l->t.x->g->k->ix, (int64_t)part * l->t.rows * l->t.down);
}

// -- what loops carry --

static uint32_t list(const linear *l, kir_tile **out) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < l->tall * l->wide; i++) out[n++] = l->state[i];
  for (uint32_t i = 0; i < l->tall && l->total[i]; i++) out[n++] = l->total[i];
  return n;
}

static void set(linear *l, kir_tile *const *in) {
  for (uint32_t i = 0; i < l->tall * l->wide; i++) l->state[i] = *in++;
  for (uint32_t i = 0; i < l->tall && l->total[i]; i++) l->total[i] = *in++;
}

static void clear(linear *l, kir_builder *b) {
  for (uint32_t i = 0; i < l->tall * l->wide; i++) l->state[i] = kir_const(b, flash_f32(0), l->t.rows, TEAM_QUAD);
  for (uint32_t i = 0; i < l->tall && l->t.x->a.sum; i++) l->total[i] = kir_const(b, flash_f32(0), l->t.rows, 1);
}

// -- the state grows --

static const sx *weighted_key(const flash *x) { // k times its column's factor
  form_ctx *f = x->g->form;
  const sx *part[] = {x->n.root[ROOT_k], x->n.root[ROOT_columns]};
  if (!part[1]) return part[0];
  for (int i = 0; i < 2; i++)
    if (part[i]->dt != DT_f32) part[i] = form_op(f, OP_cast, DT_f32, 1, &part[i]);
  return form_op(f, OP_mul, DT_f32, 2, part);
}

// total += the sum of the lines of `left`.
static kir_tile *add_lines(const linear *l, kir_builder *b, kir_tile *total) {
  idx_ctx *kc = l->t.x->g->k->ix;
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), idx_int(kc, BLOCK_DEPTH), 1, 1, 1, &total);
  kir_builder body = kir_for_body(b, loop);
  kir_tile *next = kir_op2(&body, OP_add, loop->carry[0], flash_block_load(&l->t, &body, idx_of(kc, loop->var)));
  kir_for_end(loop, &next);
  return loop->result[0];
}

static void add_keys(linear *l, kir_builder *b, const idx *from, const idx *to) {
  flash *x = l->t.x;
  idx_ctx *kc = x->g->k->ix;
  const sx *k = weighted_key(x);
  kir_tile *carried[2 * TEAM_TILES];
  uint32_t n = list(l, carried), slab = flash_block_slab(&l->t);
  kir_stmt *loop = kir_for(b, "n", from, to, BLOCK_DEPTH, 1, n, carried);
  kir_builder body = kir_for_body(b, loop);
  const idx *key = idx_of(kc, loop->var);
  set(l, loop->carry);
  for (uint32_t i = 0; i < l->tall; i++) {
    group_stage s = {.e = k, .own = x->a.depth, .deep = x->a.key, .deep_first = key, .deep_end = to};
    s.own_first = first_depth(l, i);
    s.own_end = idx_int(kc, x->depth);
    s.along_deep = nest_is_unit(x->g, k, x->a.key) && !nest_is_unit(x->g, k, x->a.depth);
    flash_block_stage_left(&l->t, &body, s);
    if (l->total[i]) l->total[i] = add_lines(l, &body, l->total[i]);
    for (uint32_t first = 0; first < l->wide; first += slab) {
      uint32_t tiles = l->wide - first < slab ? l->wide - first : slab;
      flash_block_stage_values(&l->t, &body, first, tiles, key, to);
      flash_block_multiply(&l->t, &body, tiles, l->state + i * l->wide + first);
    }
  }
  (void)list(l, carried);
  kir_for_end(loop, carried);
  set(l, loop->result);
}

// -- and is read --

// sum += left's column of the worker's rows times the column of `right` behind the slab.
static kir_tile *add_totals(const linear *l, kir_builder *b, kir_tile *sum) {
  flash *x = l->t.x;
  idx_ctx *kc = x->g->k->ix;
  int64_t stride = flash_block_stride(&l->t);
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), idx_int(kc, BLOCK_DEPTH), 1, 1, 1, &sum);
  kir_builder body = kir_for_body(b, loop);
  const idx *line = idx_of(kc, loop->var), *at = idx_addi(kc, idx_scale(kc, line, stride), stride - 1);
  kir_tile *total = kir_load(&body, x->scratch[BLOCK_RIGHT], &at, 1, 1, kir_always, flash_f32(0));
  kir_tile *next = kir_fma(&body, flash_block_load(&l->t, &body, line), total, loop->carry[0]);
  kir_for_end(loop, &next);
  return loop->result[0];
}

// acc and sum of the block's queries += those of the depths of part `part`.
static void read_part(linear *l, flash_state *st, kir_builder *b, uint32_t part) {
  flash *x = l->t.x;
  kir_kernel *kernel = x->g->k;
  idx_ctx *kc = kernel->ix;
  uint32_t slab = flash_block_slab(&l->t), n = 0;
  int64_t stride = flash_block_stride(&l->t), rows = (int64_t)l->t.rows * l->t.down;
  int64_t depths = x->depth - part * rows < rows ? x->depth - part * rows : rows;
  kir_tile *carried[STATE_TILES];
  for (uint32_t i = 0; i < st->tiles; i++) carried[n++] = st->acc[i];
  if (l->sum) carried[n++] = l->sum;
  // None where the state holds nothing.
  const idx *end = idx_min(kc, idx_int(kc, depths), idx_scale(kc, x->start, depths));
  kir_stmt *loop = kir_for(b, "d", idx_int(kc, 0), end, BLOCK_DEPTH, 1, n, carried);
  kir_builder body = kir_for_body(b, loop);
  const idx *d = idx_of(kc, loop->var), *mine = idx_sub(kc, idx_scale(kc, l->t.y, l->t.rows), d);
  const idx *line = idx_scale(kc, idx_add(kc, mine, idx_of(kc, kernel->r)), stride);
  const idx *among[] = {mine, idx_sub(kc, idx_int(kc, BLOCK_DEPTH - l->t.rows), mine), idx_scale(kc, l->t.at, -1)};
  for (uint32_t i = 0; i < n; i++) carried[i] = loop->carry[i];
  flash_block_stage_queries(&l->t, &body, idx_add(kc, first_depth(l, part), d));
  if (l->sum) {
    const idx *to = idx_addi(kc, line, stride - 1);
    kir_store(&body, x->scratch[BLOCK_RIGHT], &to, l->total[part], l->t.rows, 1, kir_conds(kernel, 3, among));
    carried[n - 1] = add_totals(l, &body, carried[n - 1]);
  }
  for (uint32_t first = 0; first < l->wide; first += slab) {
    uint32_t tiles = l->wide - first < slab ? l->wide - first : slab;
    for (uint32_t i = 0; i < tiles; i++) {
      const idx *to = idx_add(kc, line, flash_team_column(&l->t, i));
      kir_store(&body, x->scratch[BLOCK_RIGHT], &to, l->state[part * l->wide + first + i], l->t.rows, TEAM_QUAD,
                kir_conds(kernel, 2, among));
    }
    flash_block_multiply(&l->t, &body, tiles, carried + first);
  }
  kir_for_end(loop, carried);
  for (uint32_t i = 0; i < st->tiles; i++) st->acc[i] = loop->result[i];
  if (l->sum) l->sum = loop->result[n - 1];
}

// -- the whole --

static void answer(linear *l, kir_builder *b) {
  flash *x = l->t.x;
  flash_state st = flash_state_new(&l->t, b);
  l->sum = st.sum;
  for (uint32_t i = 0; i < l->tall; i++) read_part(l, &st, b, i);
  if (x->start != x->end) flash_block_keys(&l->t, &st, b); // else the state holds every key
  else st.sum = NULL;
  if (l->sum) st.sum = st.sum ? kir_op2(b, OP_add, st.sum, l->sum) : l->sum;
  flash_state_write(&l->t, &st, b, NULL);
}

void flash_group_linear(flash *x, const splice *outer, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  linear l = linear_of(x, outer);
  int64_t block = (int64_t)l.t.rows * l.t.down;
  flash_team_layout(&l.t, b);
  clear(&l, b);
  x->m0 = idx_int(kc, 0);
  x->len = idx_int(kc, block);
  flash_block_enter(&l.t); // rows are depths here
  const idx *first = flash_seen(x, outer);
  if (!idx_equals_int(first, 0)) add_keys(&l, b, idx_int(kc, 0), first);
  kir_tile *carried[2 * TEAM_TILES];
  uint32_t n = list(&l, carried);
  kir_stmt *blocks = kir_for(b, "mb", idx_int(kc, 0), lower_dim_expr(x->g, x->row->extent), block, 1, n, carried);
  kir_builder body = kir_for_body(b, blocks);
  set(&l, blocks->carry);
  const idx *before = flash_linear_enter(x, outer, idx_of(kc, blocks->var), block);
  flash_block_enter(&l.t);
  if (x->a.n_facts) add_keys(&l, &body, before, x->start);
  answer(&l, &body);
  (void)list(&l, carried);
  kir_for_end(blocks, carried);
}
