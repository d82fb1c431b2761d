// Products of values narrower than their sum, several at a time in each lane (target: has_bf16): pairs of bf16, and
// fours of bytes, unsigned by signed.
//
// Taken are operands that lie in memory as such and are widened and nothing else: A side by side along the last reduced
// label, B a packed constant. `--precision bf16` and `int8` make such operands. A's values of one step are one element
// of 32 bits, repeated over a row of the tile; B's panels are packed so that those of one column are such an element
// too: element (k, column) of a panel of C columns at (k//side)*side*C + side*column + k%side. All else is as for
// products of f32: tiles, chunks of long panels, what is fetched ahead.
#include "passes/contract.h"

static const nest_label *last_of(const contract *x) { return &x->k[x->n_k - 1]; }

const sx *contract_narrow_load(const contract *x, uint32_t operand, dtype dt) {
  const sx *load = form_narrow(x->n.root[operand], dt);
  return load && load->kind == SX_load ? load : NULL;
}

static bool is_packable(const contract *x, const sx *root) {
  bool ok = contract_is_constant(x, root) && contract_label_in(root, x->col) && idx_is_const(x->nn, NULL);
  ok = ok && (!x->row || !contract_label_in(root, x->row));
  for (uint32_t i = 0; i < x->n_k; i++)
    ok = ok && contract_label_in(root, x->k[i].s) && idx_is_const(x->k[i].extent, NULL);
  for (uint32_t i = 0; i < x->n_batch; i++)
    ok = ok && (!contract_label_in(root, x->batch[i].s) || idx_is_const(x->batch[i].extent, NULL));
  return ok;
}

bool contract_is_narrow(const contract *x, dtype a, dtype b, int64_t step) {
  int64_t depth;
  if (!x->col || x->lanes || !x->n_k) return false;
  if (!idx_is_const(last_of(x)->extent, &depth) || depth <= 0 || depth % step != 0) return false;
  const sx *left = contract_narrow_load(x, 0, a);
  return left && contract_narrow_load(x, 1, b) && !idx_mentions_read(left->at) &&
         contract_lies_along(x, left, last_of(x)->s) && is_packable(x, x->n.root[1]);
}

void contract_choose_sides(contract *x) {
  int64_t depth;
  if (!x->g->c->target->has_bf16 || !x->n_k || !idx_is_const(last_of(x)->extent, &depth) || depth <= MAX_EACH) return;
  if (x->acc_dt == DT_f32 && contract_is_narrow(x, DT_bf16, DT_bf16, 2)) x->side = 2;
  if (x->acc_dt == DT_i32 && contract_is_narrow(x, DT_u8, DT_i8, 4)) x->side = 4;
}

const idx *contract_packed_side(contract *x, splice *s, const sx *leaf, const idx *panel, const idx *c_at) {
  idx_ctx *kc = x->g->k->ix;
  const idx *k = contract_label_at(s, last_of(x)->s), *side = idx_int(kc, x->side);
  splice first = *s; // of those side by side: all but the last reduced label count multiples of x->side
  splice_bind(&first, last_of(x)->s, idx_mul(kc, idx_floordiv(kc, k, side), side));
  const idx *at = idx_add(kc, idx_mul(kc, c_at, side), idx_mod(kc, k, side));
  return contract_packed_index(x, &first, leaf, panel, at);
}

kir_tile *contract_multiply_sides(contract *x, splice *s, kir_builder *b, const idx *panel, kir_tile *acc) {
  idx_ctx *kc = x->g->k->ix;
  const sx *a = contract_narrow_load(x, 0, x->side == 2 ? DT_bf16 : DT_u8);
  const idx *c = idx_of(kc, x->g->k->c);
  splice side = *s;
  splice_bind(&side, last_of(x)->s, idx_add(kc, contract_label_at(s, last_of(x)->s), c));
  const idx *a_at[] = {splice_index(&side, a->at)};
  kir_tile *left = kir_load(b, lower_in(x->g, a->value), a_at, acc->rows, x->side, kir_always, scalar_i(a->dt, 0));
  const contract_leaf *leaf = &x->leaf[0];
  const idx *b_at[] = {contract_packed_index(x, s, leaf->load, panel, c)};
  kir_tile *right = kir_load(b, leaf->buf, b_at, 1, x->side * x->cols, kir_always, scalar_i(leaf->load->dt, 0));
  return kir_dot(b, acc, left, right, x->side == 2 ? "pairs" : "quads");
}
