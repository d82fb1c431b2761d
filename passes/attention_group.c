// Attention by groups of workers: what a worker holds of its queries while it meets keys, and how that becomes the
// result. Nothing here knows how keys reach the worker.
#include "passes/flash_group.h"
#include <float.h>

void flash_team_layout(flash_team *t, kir_builder *b) {
  idx_ctx *kc = t->x->g->k->ix;
  const idx *worker = idx_of(kc, t->x->worker), *across = idx_int(kc, t->across);
  t->y = kir_let(b, "y", idx_floordiv(kc, worker, across));
  t->at = kir_let(b, "x", idx_mod(kc, worker, across));
}

uint32_t flash_team_tiles(const flash_team *t, int64_t width) {
  int64_t step = (int64_t)TEAM_QUAD * t->across;
  return (uint32_t)((width + step - 1) / step);
}

const idx *flash_team_column(const flash_team *t, uint32_t tile) {
  idx_ctx *kc = t->x->g->k->ix;
  const idx *first = idx_addi(kc, idx_scale(kc, t->at, TEAM_QUAD), (int64_t)tile * TEAM_QUAD * t->across);
  return idx_add(kc, first, idx_of(kc, t->x->g->k->c));
}

splice flash_team_splice(const flash_team *t, kir_builder *b, uint32_t cols) {
  idx_ctx *kc = t->x->g->k->ix;
  splice s = *t->outer;
  s.b = b;
  s.rows = t->rows;
  s.cols = cols;
  s.done = NULL;
  s.row_tail = t->inside;
  s.col_tail = NULL;
  splice_bind(&s, t->x->row->s, idx_add(kc, t->x->m0, t->query));
  return s;
}

flash_state flash_state_new(const flash_team *t, kir_builder *b) {
  const attention *a = &t->x->a;
  bool softmax = a->kind == ATTENTION_softmax;
  flash_state s = {.tiles = flash_team_tiles(t, t->x->width)};
  if (softmax) s.top = kir_const(b, flash_f32(-FLT_MAX), t->rows, 1);
  if (softmax || a->sum) s.sum = kir_const(b, flash_f32(0), t->rows, 1);
  for (uint32_t i = 0; i < s.tiles; i++) s.acc[i] = kir_const(b, flash_f32(0), t->rows, TEAM_QUAD);
  return s;
}

uint32_t flash_state_list(const flash_state *s, kir_tile **out) {
  uint32_t n = 0;
  if (s->top) out[n++] = s->top;
  if (s->sum) out[n++] = s->sum;
  for (uint32_t i = 0; i < s->tiles; i++) out[n++] = s->acc[i];
  return n;
}

flash_state flash_state_of(const flash_state *like, kir_tile *const *in) {
  flash_state s = {.tiles = like->tiles};
  if (like->top) s.top = *in++;
  if (like->sum) s.sum = *in++;
  for (uint32_t i = 0; i < s.tiles; i++) s.acc[i] = in[i];
  return s;
}

void flash_state_raise(flash_state *s, kir_builder *b, kir_tile *top) {
  kir_tile *scale = kir_op1(b, OP_exp, kir_op2(b, OP_sub, s->top, top));
  s->top = top;
  s->sum = kir_op2(b, OP_mul, s->sum, scale);
  for (uint32_t i = 0; i < s->tiles; i++) s->acc[i] = kir_op2(b, OP_mul, s->acc[i], scale);
}

kir_tile *flash_state_weigh(const flash_team *t, flash_state *s, splice *at, kir_tile *score) {
  const flash *x = t->x;
  bool softmax = x->a.kind == ATTENTION_softmax;
  kir_tile *w = softmax ? kir_op1(at->b, OP_exp, kir_op2(at->b, OP_sub, score, s->top)) : score;
  if (s->sum) s->sum = kir_op2(at->b, OP_add, s->sum, w->cols > 1 ? kir_reduce(at->b, OP_sum, w, NULL) : w);
  if (softmax && x->n.root[ROOT_columns]) w = kir_op2(at->b, OP_mul, w, flash_tile(at, x->n.root[ROOT_columns]));
  return w;
}

void flash_state_write(const flash_team *t, const flash_state *s, kir_builder *b, const idx *only) {
  flash *x = t->x;
  idx_ctx *kc = x->g->k->ix;
  for (uint32_t i = 0; i < s->tiles; i++) {
    const idx *e = flash_team_column(t, i);
    splice at = flash_team_splice(t, b, TEAM_QUAD);
    splice_bind(&at, x->col->s, e);
    at.col_tail = idx_addi(kc, idx_sub(kc, idx_int(kc, x->width), e), -1);
    if (only) at.cond[at.n_conds++] = only;
    flash_write(x, &at, s->acc[i], s->sum);
  }
}

void flash_group_scratch(flash *x, bool few, bool block) {
  static const char *const name[FEW_SCRATCH] = {"right", "left", "third", "fourth"};
  int64_t size[FEW_SCRATCH] = {0};
  x->worker = kir_worker(x->g->k, "w", x->g->c->target->workers);
  if (few) flash_group_few_scratch(x, size);
  if (block) flash_group_block_scratch(x, size);
  for (uint32_t i = 0; i < FEW_SCRATCH; i++)
    if (size[i]) x->scratch[i] = kir_group(x->g->k, name[i], DT_f32, 1, &size[i]);
}
