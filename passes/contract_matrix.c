// Contractions in matrix registers (target: has_amx): tiles of 32 x 32 sums, of which a step multiplies 32 x 32 bf16 of
// A with 32 x 32 of B.
//
// Taken are the operands of contract_narrow.c where the last reduced label's extent is a multiple of the step; other
// reduced labels (the windows of convolutions) are loops around that one. The last rows of a block are copied, clamped,
// to scratch, because registers are filled by a pointer and a stride; products of 32 rows for one cost little more than
// reading B. So are rows that lie at no one distance from each other.
#include "passes/contract.h"

enum { SIDE = 32, STEP = 32 };

static const nest_label *last_of(const contract *x) { return &x->k[x->n_k - 1]; }

// Are A's rows at one distance from each other?
static bool has_rows(const contract *x, const sx *load) {
  const idx *coef, *rest;
  if (!idx_linear(x->g->m->ix, load->at, x->row, &coef, &rest)) return false;
  for (uint32_t i = 0; i < x->n_k; i++)
    if (idx_mentions(coef, x->k[i].s)) return false;
  return true;
}

bool contract_choose_matrices(contract *x) {
  int64_t columns = extent_max(x->g, x->nn), rows = x->g->c->target->block_rows;
  if (!x->g->c->target->has_amx || !x->row || x->acc_dt != DT_f32) return false;
  if (!contract_is_narrow(x, DT_bf16, DT_bf16, STEP)) return false;
  x->side = 2;
  x->rows = SIDE;
  x->cols = columns <= SIDE / 2 ? SIDE / 2 : SIDE;
  x->mc = (uint32_t)(rows / SIDE * SIDE);
  x->staged = kir_group(x->g->k, "rows", DT_bf16, 2, (int64_t[]){SIDE, contract_extent(x, x->n_k - 1)});
  x->few_rows = !has_rows(x, contract_narrow_load(x, 0, DT_bf16));
  return true;
}

// Rows i.. of A, in scratch.
static void stage_rows(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *i) {
  idx_ctx *kc = x->g->k->ix;
  const sx *a = contract_narrow_load(x, 0, DT_bf16);
  kir_stmt *rows = kir_for(b, "r", idx_int(kc, 0), idx_int(kc, SIDE), 1, 1, 0, NULL);
  kir_builder in_rows = kir_for_body(b, rows);
  kir_stmt *depth = kir_for(&in_rows, "k", idx_int(kc, 0), lower_dim_expr(x->g, last_of(x)->extent), STEP, 1, 0, NULL);
  kir_builder body = kir_for_body(&in_rows, depth);
  const idx *row = idx_of(kc, rows->var), *k = idx_add(kc, idx_of(kc, depth->var), idx_of(kc, x->g->k->c));
  splice s = *outer;
  splice_bind(&s, x->row, idx_min(kc, idx_add(kc, i, row), idx_addi(kc, blk->m, -1)));
  splice_bind(&s, last_of(x)->s, k);
  const idx *to[] = {row, k}, *from[] = {splice_index(&s, a->at)};
  kir_copy(&body, x->staged, to, lower_in(x->g, a->value), from, 1, STEP, kir_always, scalar_f(DT_bf16, 0));
  kir_for_end(depth, NULL);
  kir_for_end(rows, NULL);
}

// The loop over the last reduced label.
static kir_tile *sum_run(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *i,
                         kir_tile *acc) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  const sx *a = contract_narrow_load(x, 0, DT_bf16);
  scalar none = scalar_f(DT_bf16, 0);
  if (x->few_rows) stage_rows(x, outer, b, blk, i);
  const idx *pairs = idx_int(kc, contract_extent(x, x->n_k - 1) / 2);
  kir_stmt *loop = kir_for(b, "q", idx_int(kc, 0), pairs, STEP / 2, 1, 1, &acc);
  kir_builder body = kir_for_body(b, loop);
  const idx *k = idx_scale(kc, idx_of(kc, loop->var), 2);
  splice s = *outer;
  splice_bind(&s, x->row, idx_add(kc, i, r));
  splice_bind(&s, last_of(x)->s, idx_add(kc, k, c));
  const idx *in_scratch[] = {r, idx_add(kc, k, c)}, *in_memory[] = {x->few_rows ? NULL : splice_index(&s, a->at)};
  kir_tile *left = x->few_rows ? kir_load(&body, x->staged, in_scratch, SIDE, STEP, kir_always, none)
                               : kir_load(&body, lower_in(x->g, a->value), in_memory, SIDE, STEP, kir_always, none);
  splice_bind(&s, last_of(x)->s, idx_add(kc, k, r));
  const idx *packed[] = {contract_packed_side(x, &s, x->leaf[0].load, blk->panel, c)};
  kir_tile *right = kir_load(&body, x->leaf[0].buf, packed, STEP, x->cols, kir_always, none);
  kir_tile *sum = kir_dot(&body, loop->carry[0], left, right, "bf16");
  kir_for_end(loop, &sum);
  return loop->result[0];
}

// The loops over reduced labels from `depth` on.
static kir_tile *sum_loops(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *i,
                           uint32_t depth, kir_tile *acc) {
  if (depth + 1 == x->n_k) return sum_run(x, outer, b, blk, i, acc);
  idx_ctx *kc = x->g->k->ix;
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), lower_dim_expr(x->g, x->k[depth].extent), 1, 1, 1, &acc);
  kir_builder body = kir_for_body(b, loop);
  splice s = *outer;
  splice_bind(&s, x->k[depth].s, idx_of(kc, loop->var));
  kir_tile *sum = sum_loops(x, &s, &body, blk, i, depth + 1, loop->carry[0]);
  kir_for_end(loop, &sum);
  return loop->result[0];
}

kir_tile *contract_matrix_sum(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *i,
                              kir_tile *acc) {
  return sum_loops(x, outer, b, blk, i, 0, acc);
}
