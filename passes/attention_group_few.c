// Attention by groups of workers for few queries, as in decoding: every key and value is read once and there is next to
// nothing to compute, so the keys are what is shared.
//
//   group: down x across workers; those of a line share keys, four neighbours of every row of k and v each at a time
//   for blocks of keys in [start, end): `keys` of them a line
//     every worker its part of the products; the sums over the line's workers through scratch
//     each line its own state of the online softmax; acc += weights · v
//   the states of the lines are merged in pairs, through scratch
//
// Keys that are split over groups are merged in the same way, from the states that attention_parts.c has one kernel
// leave to another. What workers write at one time lies in several buffers of scratch, so that no barrier stands
// between the stores: the products with each key, and columns, maxima and sums of states.
#include "passes/flash_group.h"
#include <float.h>

enum { MOST_ROWS = 4, WIDEST = 16, NARROWEST = 4, STATES = 2432 }; // STATES: elements; see most_rows
enum { KEYS_OF_ONE = 4, KEYS_OF_SEVERAL = 2 };                     // of a line at a time, by rows
enum { COLUMNS = 0, STATISTICS = 1 };                              // of states, among the buffers of scratch
_Static_assert((int)KEYS_OF_ONE <= (int)FEW_SCRATCH, "products with each key have scratch of their own");

typedef struct few {
  flash_team t;
  uint32_t keys, depth_tiles;
  kir_tile *q[TEAM_TILES];
} few;

// -- shapes --

// A line's workers: as many as have four columns each.
static uint32_t across_of(const flash *x) {
  int64_t widest = x->depth > x->width ? x->depth : x->width;
  uint32_t across = WIDEST;
  while (across > NARROWEST && (int64_t)TEAM_QUAD * across / 2 >= widest) across /= 2;
  return across;
}

static few few_of(flash *x, const splice *outer, uint32_t rows) {
  few f = {.t = {.x = x, .outer = outer, .across = across_of(x), .rows = rows}};
  f.t.down = x->g->c->target->workers / f.t.across;
  f.keys = rows == 1 ? KEYS_OF_ONE : KEYS_OF_SEVERAL;
  f.depth_tiles = flash_team_tiles(&f.t, x->depth);
  return f;
}

// Queries that a worker has at once: what registers and scratch hold.
static uint32_t most_rows(const flash *x) {
  flash copy = *x;
  few f = few_of(&copy, NULL, 1);
  uint32_t tiles = f.depth_tiles + flash_team_tiles(&f.t, x->width), rows = MOST_ROWS;
  while (rows > 1 && ((int64_t)rows / 2 >= extent_max(x->g, x->row->extent) ||
                      rows * tiles * TEAM_QUAD > TEAM_REGISTERS || f.t.down / 2 * rows * x->width > STATES))
    rows /= 2;
  return rows;
}

static int64_t parts_stride(const few *f) { return f->t.across + 1; } // lines on different banks

// Where the worker that stands at `at` in its line leaves its part of a product: the line's workers side by side.
static const idx *parts_at(const few *f, const idx *at) {
  idx_ctx *kc = f->t.x->g->k->ix;
  const idx *row = idx_add(kc, idx_scale(kc, f->t.y, f->t.rows), idx_of(kc, f->t.x->g->k->r));
  return idx_add(kc, idx_scale(kc, row, parts_stride(f)), at);
}

static void at_least(int64_t *size, int64_t n) {
  if (n > *size) *size = n;
}

void flash_group_few_scratch(const flash *x, int64_t *size) {
  flash copy = *x;
  for (uint32_t rows = 1; rows <= most_rows(x); rows *= 2) {
    few f = few_of(&copy, NULL, rows);
    int64_t lines = (int64_t)f.t.down * rows;
    for (uint32_t i = 0; i < f.keys; i++) at_least(&size[i], lines * parts_stride(&f));
    at_least(&size[COLUMNS], lines / 2 * x->width);
    for (uint32_t i = 0; i < FLASH_STATISTICS; i++) at_least(&size[STATISTICS + i], lines / 2);
  }
}

// -- states in memory --

typedef struct place { // of a state: the address of its first column, and of its statistics; with r in them
  kir_buffer *columns, *statistic[FLASH_STATISTICS];
  const idx *column_at, *statistic_at[FLASH_STATISTICS];
} place;

static place place_in_scratch(const flash_team *t, const idx *line) {
  flash *x = t->x;
  idx_ctx *kc = x->g->k->ix;
  const idx *row = idx_add(kc, idx_scale(kc, line, t->rows), idx_of(kc, x->g->k->r));
  place p = {.columns = x->scratch[COLUMNS], .column_at = idx_scale(kc, row, x->width)};
  for (uint32_t i = 0; i < FLASH_STATISTICS; i++) {
    p.statistic[i] = x->scratch[STATISTICS + i];
    p.statistic_at[i] = row;
  }
  return p;
}

static place place_in_parts(const flash_team *t, kir_buffer *parts, const idx *part) {
  place p = {.columns = parts, .column_at = flash_place(t->x, t->outer, part, t->query)};
  for (uint32_t i = 0; i < FLASH_STATISTICS; i++) {
    p.statistic[i] = parts;
    p.statistic_at[i] = idx_addi(t->x->g->k->ix, p.column_at, t->x->width + i);
  }
  return p;
}

// Of columns of acc: its address, and the condition that it is one.
static const idx *column_at(const flash_team *t, const idx *at, uint32_t tile, const idx **inside) {
  idx_ctx *kc = t->x->g->k->ix;
  const idx *e = flash_team_column(t, tile);
  *inside = idx_addi(kc, idx_sub(kc, idx_int(kc, t->x->width), e), -1);
  return idx_add(kc, at, e);
}

static kir_tile *statistic(const flash_team *t, kir_builder *b, const place *p, uint32_t which, kir_where w,
                           double none) {
  return kir_load(b, p->statistic[which], &p->statistic_at[which], t->rows, 1, w, flash_f32(none));
}

// The state at `p` joins the worker's own where the conditions hold.
static void merge(const flash_team *t, flash_state *s, kir_builder *b, const place *p, kir_where w) {
  kir_tile *scale = NULL;
  if (s->top) {
    kir_tile *its = statistic(t, b, p, 0, w, -FLT_MAX);
    flash_state_raise(s, b, kir_op2(b, OP_max, s->top, its));
    scale = kir_op1(b, OP_exp, kir_op2(b, OP_sub, its, s->top));
  }
  if (s->sum) {
    kir_tile *its = statistic(t, b, p, 1, w, 0);
    s->sum = scale ? kir_fma(b, its, scale, s->sum) : kir_op2(b, OP_add, s->sum, its);
  }
  for (uint32_t i = 0; i < s->tiles; i++) {
    const idx *inside, *column = column_at(t, p->column_at, i, &inside);
    kir_tile *its = kir_load(b, p->columns, &column, t->rows, TEAM_QUAD,
                             kir_both(t->x->g->k, w, kir_conds(t->x->g->k, 1, &inside)), flash_f32(0));
    s->acc[i] = scale ? kir_fma(b, its, scale, s->acc[i]) : kir_op2(b, OP_add, s->acc[i], its);
  }
}

static void leave(const flash_team *t, const flash_state *s, kir_builder *b, const place *p, kir_where w) {
  kir_kernel *k = t->x->g->k;
  kir_tile *statistics[FLASH_STATISTICS] = {s->top, s->sum};
  const idx *is_first = idx_scale(k->ix, t->at, -1);
  for (uint32_t i = 0; i < FLASH_STATISTICS; i++)
    if (statistics[i])
      kir_store(b, p->statistic[i], &p->statistic_at[i], statistics[i], t->rows, 1,
                kir_both(k, w, kir_conds(k, 1, &is_first)));
  for (uint32_t i = 0; i < s->tiles; i++) {
    const idx *inside, *column = column_at(t, p->column_at, i, &inside);
    kir_store(b, p->columns, &column, s->acc[i], t->rows, TEAM_QUAD, kir_both(k, w, kir_conds(k, 1, &inside)));
  }
}

// The states of all lines, in the first one's workers.
static void merge_lines(const flash_team *t, flash_state *s, kir_builder *b) {
  kir_kernel *k = t->x->g->k;
  idx_ctx *kc = k->ix;
  for (uint32_t half = t->down / 2; half > 0; half /= 2) {
    const idx *later = idx_addi(kc, t->y, -(int64_t)half);
    const idx *leaves[] = {later, idx_addi(kc, idx_scale(kc, later, -1), half - 1)};
    const idx *takes = idx_addi(kc, idx_scale(kc, later, -1), -1);
    place to = place_in_scratch(t, later), from = place_in_scratch(t, t->y);
    leave(t, s, b, &to, kir_conds(k, 2, leaves));
    merge(t, s, b, &from, kir_conds(k, 1, &takes));
  }
}

// -- keys --

// Four neighbours of a row of e at tile `tile` of `label`, whose extent is `width`; 0 behind it.
static kir_tile *neighbours(const flash_team *t, splice s, const sx *e, const sym *label, int64_t width,
                            uint32_t tile) {
  idx_ctx *kc = t->x->g->k->ix;
  const idx *at = flash_team_column(t, tile);
  s.cols = TEAM_QUAD;
  s.done = NULL;
  s.col_tail = idx_addi(kc, idx_sub(kc, idx_int(kc, width), at), -1);
  splice_bind(&s, label, at);
  return splice_zero_behind(t->x->g, s.b, flash_tile(&s, e), 1, TEAM_QUAD, s.col_tail);
}

static void load_queries(few *f, kir_builder *b) {
  flash *x = f->t.x;
  splice s = flash_team_splice(&f->t, b, TEAM_QUAD);
  for (uint32_t i = 0; i < f->depth_tiles; i++)
    f->q[i] = neighbours(&f->t, s, x->n.root[ROOT_q], x->a.depth, x->depth, i);
}

// The worker's share of the products with one key, left for its line.
static void multiply(const few *f, splice s, uint32_t key) {
  flash *x = f->t.x;
  kir_tile *sum = kir_const(s.b, flash_f32(0), f->t.rows, TEAM_QUAD);
  for (uint32_t i = 0; i < f->depth_tiles; i++)
    sum = kir_fma(s.b, f->q[i], neighbours(&f->t, s, x->n.root[ROOT_k], x->a.depth, x->depth, i), sum);
  const idx *to = parts_at(f, f->t.at);
  kir_store(s.b, x->scratch[key], &to, kir_reduce(s.b, OP_sum, sum, NULL), f->t.rows, 1, kir_always);
}

static kir_tile *product(const few *f, kir_builder *b, uint32_t key) {
  const idx *from = parts_at(f, idx_of(f->t.x->g->k->ix, f->t.x->g->k->c));
  kir_tile *parts = kir_load(b, f->t.x->scratch[key], &from, f->t.rows, f->t.across, kir_always, flash_f32(0));
  return kir_reduce(b, OP_sum, parts, NULL);
}

static void add_keys(const few *f, flash_state *st, kir_builder *b, const idx *first) {
  flash *x = f->t.x;
  idx_ctx *kc = x->g->k->ix;
  const idx *inside[KEYS_OF_ONE];
  splice at[KEYS_OF_ONE];
  kir_tile *score[KEYS_OF_ONE];
  for (uint32_t i = 0; i < f->keys; i++) {
    const idx *key = idx_add(kc, first, idx_addi(kc, idx_scale(kc, f->t.y, f->keys), i));
    inside[i] = idx_addi(kc, idx_sub(kc, x->end, key), -1);
    at[i] = flash_team_splice(&f->t, b, 1);
    splice_bind(&at[i], x->a.key, idx_min(kc, key, idx_addi(kc, x->end, -1)));
    multiply(f, at[i], i);
  }
  kir_tile *top = st->top;
  for (uint32_t i = 0; i < f->keys; i++) {
    score[i] = flash_score(x, &at[i], product(f, b, i), kir_conds(x->g->k, 1, &inside[i]));
    if (top) top = kir_op2(b, OP_max, top, score[i]);
  }
  if (top) flash_state_raise(st, b, top);
  for (uint32_t i = 0; i < f->keys; i++) {
    kir_tile *weight = flash_state_weigh(&f->t, st, &at[i], score[i]);
    for (uint32_t e = 0; e < st->tiles; e++) {
      kir_tile *v = neighbours(&f->t, at[i], x->n.root[ROOT_v], x->col->s, x->width, e);
      st->acc[e] = kir_dot(b, st->acc[e], weight, splice_zero_behind(x->g, b, v, 1, TEAM_QUAD, inside[i]), "fma");
    }
  }
}

// -- loops --

typedef void visit(const few *f, flash_state *st, kir_builder *b, const idx *at);

static flash_state over(const few *f, kir_builder *b, const idx *from, const idx *to, uint32_t step, visit *each) {
  flash_state st = flash_state_new(&f->t, b);
  kir_tile *carried[STATE_TILES];
  uint32_t n = flash_state_list(&st, carried);
  kir_stmt *loop = kir_for(b, "n", from, to, step, 1, n, carried);
  kir_builder body = kir_for_body(b, loop);
  flash_state in = flash_state_of(&st, loop->carry);
  each(f, &in, &body, idx_of(f->t.x->g->k->ix, loop->var));
  (void)flash_state_list(&in, carried);
  kir_for_end(loop, carried);
  return flash_state_of(&st, loop->result);
}

static void add_parts(const few *f, flash_state *st, kir_builder *b, const idx *first) {
  flash *x = f->t.x;
  idx_ctx *kc = x->g->k->ix;
  const idx *part = idx_add(kc, first, f->t.y);
  const idx *is_one[] = {idx_addi(kc, idx_sub(kc, lower_dim_expr(x->g, flash_parts_count(x)), part), -1), f->t.inside};
  place from = place_in_parts(&f->t, lower_in(x->g, x->g->parts), part);
  merge(&f->t, st, b, &from, kir_conds(x->g->k, 2, is_one));
}

// All of it for the queries from `first` on.
static void few_rows(few *f, kir_builder *b, const idx *first, flash_few_work work, const idx *part) {
  flash *x = f->t.x;
  idx_ctx *kc = x->g->k->ix;
  f->t.query = idx_add(kc, first, idx_of(kc, x->g->k->r));
  f->t.inside = idx_addi(kc, idx_sub(kc, x->len, f->t.query), -1);
  const idx *is_first = idx_scale(kc, f->t.y, -1), *leaves[] = {is_first, f->t.inside};
  flash_state st;
  if (work == FEW_merge) {
    st = over(f, b, idx_int(kc, 0), lower_dim_expr(x->g, flash_parts_count(x)), f->t.down, add_parts);
  } else {
    load_queries(f, b);
    st = over(f, b, x->start, x->end, f->t.down * f->keys, add_keys);
  }
  merge_lines(&f->t, &st, b);
  if (work != FEW_part) {
    flash_state_write(&f->t, &st, b, is_first);
    return;
  }
  place to = place_in_parts(&f->t, lower_out(x->g, x->g->parts), part);
  leave(&f->t, &st, b, &to, kir_conds(x->g->k, 2, leaves));
}

static void with_rows(flash *x, const splice *outer, kir_builder *b, uint32_t rows, flash_few_work work,
                      const idx *part) {
  few f = few_of(x, outer, rows);
  flash_team_layout(&f.t, b);
  if (extent_max(x->g, x->row->extent) <= (int64_t)rows) {
    few_rows(&f, b, idx_int(x->g->k->ix, 0), work, part);
    return;
  }
  kir_stmt *loop = flash_loop(b, "i", x->len, rows);
  kir_builder body = kir_for_body(b, loop);
  few_rows(&f, &body, idx_of(x->g->k->ix, loop->var), work, part);
  kir_for_end(loop, NULL);
}

// Several queries at once where there are several; one alone has tiles of one row.
void flash_group_few(flash *x, const splice *outer, kir_builder *b, flash_few_work work) {
  int64_t least, most;
  uint32_t rows = most_rows(x);
  const idx *part = work == FEW_part ? flash_part_enter(x) : NULL;
  bool may_be_one = !idx_range(x->g->m->ix, x->row->extent, &least, &most) || least <= 1;
  if (rows == 1 || !may_be_one) {
    with_rows(x, outer, b, rows, work, part);
    return;
  }
  kir_stmt *several = kir_if(b, idx_addi(x->g->k->ix, x->len, -2));
  kir_builder in_several = kir_then(b, several), in_one = kir_else(b, several);
  with_rows(x, outer, &in_several, rows, work, part);
  with_rows(x, outer, &in_one, 1, work, part);
}
