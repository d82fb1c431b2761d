// Few queries and many keys: the keys are split, so that one head makes work for several threads. A first kernel does
// attention_few.c for each part of FLASH_PART keys and leaves what the online softmax knows of it; the group's own
// kernel merges the parts as if they were blocks of keys. The number of parts depends on sizes alone, so threads change
// no bit.
//
//   parts[head, part, query] = acc[width], top, sum     of the part's keys
//   for each part: m = max(top, its top)   acc, sum = acc, sum · exp(top - m) + its · exp(its top - m)   top = m
//
// Where there are more than FEW queries there are no parts: the first kernel has no grid then, and its memory no size.
#include "passes/flash.h"

// 1, or 0 where there are too many queries; over the module's dims.
static const idx *are_few(const flash *x) {
  idx_ctx *c = x->g->m->ix;
  if (!x->many) return idx_int(c, 1);
  const idx *room = idx_sub(c, idx_int(c, FEW + 1), x->row->extent);
  return idx_max(c, idx_int(c, 0), idx_min(c, idx_int(c, 1), room));
}

static const idx *rows_of(const flash *x) { return idx_min(x->g->m->ix, x->row->extent, idx_int(x->g->m->ix, FEW)); }

const idx *flash_parts_count(const flash *x) {
  idx_ctx *c = x->g->m->ix;
  return idx_mul(c, idx_ceildiv(c, x->a.keys, FLASH_PART), are_few(x));
}

bool flash_splits(const flash *x) { return extent_max(x->g, x->a.keys) > FLASH_PART; }

const ir_value *flash_parts_new(const flash *x) {
  lower_group *g = x->g;
  idx_ctx *c = g->m->ix;
  const idx *count = idx_scale(c, idx_mul(c, flash_parts_count(x), rows_of(x)), x->width + FLASH_STATISTICS);
  for (uint32_t i = 0; i < x->n_batch; i++) count = idx_mul(c, count, x->batch[i].extent);
  ir_value *v = ARENA_NEW(g->c->a, ir_value);
  v->id = g->m->next_value_id++;
  v->type = ir_type_make(g->m, DT_f32, 1, &count);
  return v;
}

const idx *flash_place(const flash *x, const splice *outer, const idx *part, const idx *query) {
  idx_ctx *kc = x->g->k->ix;
  splice s = *outer;
  const idx *at = idx_int(kc, 0);
  for (uint32_t i = 0; i < x->n_batch; i++)
    at = idx_add(kc, idx_mul(kc, at, lower_dim_expr(x->g, x->batch[i].extent)),
                 splice_index(&s, idx_of(x->g->m->ix, x->batch[i].s)));
  at = idx_add(kc, idx_mul(kc, at, lower_dim_expr(x->g, flash_parts_count(x))), part);
  at = idx_add(kc, idx_mul(kc, at, lower_dim_expr(x->g, rows_of(x))), query);
  return idx_scale(kc, at, x->width + FLASH_STATISTICS);
}

static const idx *plus(const flash *x, const idx *at, int64_t n) { return idx_addi(x->g->k->ix, at, n); }

// -- the first kernel --

static void leave(flash *x, kir_builder *b, const kir_buffer *to, const idx *i, const idx *at) {
  idx_ctx *kc = x->g->k->ix;
  kir_stmt *columns = flash_loop(b, "e", idx_int(kc, x->width), x->out_cols);
  kir_builder body = kir_for_body(b, columns);
  const idx *e = idx_add(kc, idx_of(kc, columns->var), idx_of(kc, x->g->k->c)), *from[] = {i, e};
  const idx *inside[] = {idx_addi(kc, idx_sub(kc, idx_int(kc, x->width), e), -1)}, *to_at = idx_add(kc, at, e);
  kir_store(&body, to, &to_at, kir_load(&body, x->acc, from, 1, x->out_cols, kir_always, flash_f32(0)), 1, x->out_cols,
            kir_conds(x->g->k, 1, inside));
  kir_for_end(columns, NULL);
  for (uint32_t s = 0; s < FLASH_STATISTICS; s++) {
    kir_buffer *stat = x->stat[s == 0 ? STAT_top : STAT_sum];
    const idx *column = plus(x, at, x->width + s);
    kir_store(b, to, &column,
              stat ? kir_load(b, stat, &i, 1, 1, kir_always, flash_f32(0)) : kir_const(b, flash_f32(0), 1, 1), 1, 1,
              kir_always);
  }
}

const idx *flash_part_enter(flash *x) {
  idx_ctx *kc = x->g->k->ix;
  const idx *part = lower_grid(x->g, "part", lower_dim_expr(x->g, flash_parts_count(x)));
  x->start = idx_max(kc, x->start, idx_scale(kc, part, FLASH_PART));
  x->end = idx_min(kc, x->end, idx_scale(kc, plus(x, part, 1), FLASH_PART));
  return part;
}

void flash_part(flash *x, const splice *outer, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  kir_buffer *to = lower_out(x->g, x->g->parts);
  const idx *part = flash_part_enter(x);
  flash few = flash_for_few(x);
  flash_few_weigh(&few, outer, b);
  kir_stmt *queries = flash_loop(b, "i", x->len, 1);
  kir_builder body = kir_for_body(b, queries);
  const idx *i = idx_of(kc, queries->var);
  leave(&few, &body, to, i, flash_place(x, outer, part, i));
  kir_for_end(queries, NULL);
}

// -- the second --

static kir_tile *known(kir_builder *b, const kir_buffer *parts, const idx *at) {
  return kir_load(b, parts, &at, 1, 1, kir_always, flash_f32(0));
}

static void merge_one(flash *x, kir_builder *b, const kir_buffer *parts, const idx *i, const idx *at) {
  idx_ctx *kc = x->g->k->ix;
  kir_tile *before = NULL, *more = NULL; // what acc and the part's are scaled by
  kir_tile *sum = known(b, parts, plus(x, at, x->width + 1));
  if (x->a.kind == ATTENTION_softmax) {
    kir_tile *old = kir_load(b, x->stat[STAT_top], &i, 1, 1, kir_always, flash_f32(0));
    kir_tile *its = known(b, parts, plus(x, at, x->width)), *top = kir_op2(b, OP_max, old, its);
    before = kir_op1(b, OP_exp, kir_op2(b, OP_sub, old, top));
    more = kir_op1(b, OP_exp, kir_op2(b, OP_sub, its, top));
    sum = kir_op2(b, OP_mul, sum, more);
    kir_store(b, x->stat[STAT_top], &i, top, 1, 1, kir_always);
  }
  if (x->stat[STAT_sum]) {
    kir_tile *s = kir_load(b, x->stat[STAT_sum], &i, 1, 1, kir_always, flash_f32(0));
    kir_store(b, x->stat[STAT_sum], &i, before ? kir_fma(b, s, before, sum) : kir_op2(b, OP_add, s, sum), 1, 1,
              kir_always);
  }
  kir_stmt *columns = flash_loop(b, "e", idx_int(kc, x->width), x->out_cols);
  kir_builder body = kir_for_body(b, columns);
  const idx *e = idx_add(kc, idx_of(kc, columns->var), idx_of(kc, x->g->k->c)), *to[] = {i, e};
  const idx *inside[] = {idx_addi(kc, idx_sub(kc, idx_int(kc, x->width), e), -1)}, *from = idx_add(kc, at, e);
  kir_tile *acc = kir_load(&body, x->acc, to, 1, x->out_cols, kir_always, flash_f32(0));
  kir_tile *its = kir_load(&body, parts, &from, 1, x->out_cols, kir_conds(x->g->k, 1, inside), flash_f32(0));
  if (before) acc = kir_op2(&body, OP_mul, acc, before);
  acc = before ? kir_fma(&body, its, more, acc) : kir_op2(&body, OP_add, acc, its);
  kir_store(&body, x->acc, to, acc, 1, x->out_cols, kir_always);
  kir_for_end(columns, NULL);
}

void flash_merge(const flash *all, const splice *outer, kir_builder *b) {
  flash x = flash_for_few(all);
  idx_ctx *kc = x.g->k->ix;
  const kir_buffer *from = lower_in(x.g, x.g->parts);
  flash_clear(&x, b);
  kir_stmt *each = flash_loop(b, "part", lower_dim_expr(x.g, flash_parts_count(all)), 1);
  kir_builder in_parts = kir_for_body(b, each);
  kir_stmt *queries = flash_loop(&in_parts, "i", x.len, 1);
  kir_builder body = kir_for_body(&in_parts, queries);
  const idx *i = idx_of(kc, queries->var);
  merge_one(&x, &body, from, i, flash_place(all, outer, idx_of(kc, each->var), i));
  kir_for_end(queries, NULL);
  kir_for_end(each, NULL);
  flash_finish(&x, outer, b);
}
