// Where the column operand of a contraction comes from: packed once by `prepare` when it is constant, read as it lies
// when its columns stand side by side, else packed into group scratch, a chunk of the reduced label at a time.
#include "passes/contract.h"

bool contract_label_in(const sx *root, const sym *s) {
  bool found = root->at && idx_mentions(root->at, s);
  for (uint32_t i = 0; i < root->n_in; i++) found = found || contract_label_in(root->in[i], s);
  return found;
}

const idx *contract_label_at(const splice *s, const sym *label) {
  for (uint32_t i = 0; i < s->n_bound; i++)
    if (s->bound[i].label == label) return s->bound[i].at;
  return NULL;
}

static bool is_unit_in(contract *x, const sx *e, const sym *s) {
  const idx *coef, *rest;
  return e->kind == SX_load && idx_linear(x->g->m->ix, e->at, s, &coef, &rest) && idx_equals_int(coef, 1);
}

const idx *contract_packed_index(contract *x, splice *s, const idx *panel, const idx *c_at) {
  idx_ctx *kc = x->g->k->ix;
  const idx *at = idx_int(kc, 0);
  for (uint32_t i = 0; i < x->n_batch; i++)
    if (contract_label_in(x->n.root[1], x->batch[i].s))
      at = idx_add(kc, idx_mul(kc, at, lower_dim_expr(s->g, x->batch[i].extent)), contract_label_at(s, x->batch[i].s));
  at = idx_add(kc, idx_mul(kc, at, idx_ceildiv(kc, lower_dim_expr(s->g, x->nn), x->cols)), panel);
  for (uint32_t i = 0; i < x->n_k; i++)
    at = idx_add(kc, idx_mul(kc, at, lower_dim_expr(s->g, x->k[i].extent)), contract_label_at(s, x->k[i].s));
  return idx_add(kc, idx_scale(kc, at, x->cols), c_at);
}

// Builds the kernel that packs the constant operand, once, in `prepare`.
static void prepack(contract *x) {
  lower_group *g = x->g;
  const sx *b_root = x->n.root[1];
  lower_group p = *g;
  p.k = kir_kernel_new(g->c->a, g->c->diags, "pack");
  p.params = (__typeof__(p.params)){0};
  p.symbols = (__typeof__(p.symbols)){0};
  p.known = map_new(g->c->a);
  idx_ctx *kc = p.k->ix;
  contract y = *x;
  y.g = &p;
  splice s = {.g = &p, .rows = 1, .cols = x->cols};
  const idx *total = idx_int(g->m->ix, x->cols);
  for (uint32_t i = 0; i < x->n_batch; i++) {
    if (!contract_label_in(b_root, x->batch[i].s)) continue;
    splice_bind(
        &s, x->batch[i].s,
        idx_of(kc, kir_fresh(p.k, "b", idx_int(kc, 0), idx_addi(kc, lower_dim_expr(&p, x->batch[i].extent), -1))));
    total = idx_mul(g->m->ix, total, x->batch[i].extent);
  }
  const idx *panels = idx_ceildiv(g->m->ix, x->nn, x->cols);
  total = idx_mul(g->m->ix, total, panels);
  for (uint32_t i = 0; i < x->n_k; i++) total = idx_mul(g->m->ix, total, x->k[i].extent);
  const sym *panel = kir_grid(p.k, "panel", lower_dim_expr(&p, panels));
  kir_buffer *from = lower_in(&p, b_root->value);
  const idx *count[] = {lower_dim_expr(&p, total)};
  kir_buffer *to = kir_param(p.k, "packed", KIR_out, b_root->dt, 1, count);
  kir_builder b = kir_begin(p.k);
  kir_stmt *loops[2 * MAX_OUTER];
  uint32_t n_loops = 0, bound = s.n_bound;
  for (uint32_t i = 0; i < bound; i++) { // the batch symbols made above become loops
    const sym *v = idx_is_symbol(s.bound[i].at);
    kir_stmt *loop = kir_for(&b, "i", idx_int(kc, 0), idx_addi(kc, v->hi, 1), 1, 1, 0, NULL);
    s.bound[i].at = idx_of(kc, loop->var);
    b = kir_for_body(&b, loop);
    loops[n_loops++] = loop;
  }
  for (uint32_t i = 0; i < x->n_k; i++) {
    kir_stmt *loop = kir_for(&b, "k", idx_int(kc, 0), lower_dim_expr(&p, x->k[i].extent), 1, 1, 0, NULL);
    splice_bind(&s, x->k[i].s, idx_of(kc, loop->var));
    b = kir_for_body(&b, loop);
    loops[n_loops++] = loop;
  }
  const idx *column = idx_add(kc, idx_scale(kc, idx_of(kc, panel), x->cols), idx_of(kc, p.k->c));
  if (x->col) splice_bind(&s, x->col, column);
  const idx *inside[] = {idx_addi(kc, idx_sub(kc, lower_dim_expr(&p, x->nn), column), -1)};
  const idx *to_at[] = {contract_packed_index(&y, &s, idx_of(kc, panel), idx_of(kc, p.k->c))},
            *from_at[] = {splice_index(&s, b_root->at)};
  kir_copy(&b, to, to_at, from, from_at, 1, x->cols, kir_conds(p.k, 1, inside),
           scalar_cast(scalar_i(DT_i64, 0), b_root->dt));
  while (n_loops--) kir_for_end(loops[n_loops], NULL);
  x->packed_b = g->pack(g->user, g, b_root->value, p.k, total);
}

// A constant operand is packed when packing only reorders it: it has columns, and all its labels have constant extents.
static bool can_prepack(const contract *x) {
  const sx *b = x->n.root[1];
  bool ok = x->col && b->kind == SX_load && !idx_mentions_read(b->at) && x->g->is_constant(x->g->user, b->value) &&
            idx_is_const(x->nn, NULL);
  for (uint32_t i = 0; i < x->n_k; i++)
    ok = ok && contract_label_in(b, x->k[i].s) && idx_is_const(x->k[i].extent, NULL);
  for (uint32_t i = 0; i < x->n_batch; i++)
    ok = ok && (!contract_label_in(b, x->batch[i].s) || idx_is_const(x->batch[i].extent, NULL));
  return ok;
}

void contract_choose_operand(contract *x) {
  lower_group *g = x->g;
  const sx *b = x->n.root[1];
  int64_t k = 1;
  for (uint32_t i = 0; i < x->n_k; i++)
    k = extent_max(g, x->k[i].extent) < INT64_MAX / 4096 / k ? k * extent_max(g, x->k[i].extent) : INT64_MAX / 4096;
  if (can_prepack(x)) {
    prepack(x);
    return;
  }
  bool side_by_side = x->col && is_unit_in(x, b, x->col) && idx_divides(g->m->ix, x->cols, x->nn) == TRI_yes;
  // Several reduced labels that do not merge are packed whole, if they are short; else B is read where it lies.
  if (x->col && !side_by_side && (x->n_k == 1 || k <= 4 * KC)) {
    x->chunked = x->n_k == 1 && k > KC;
    int64_t dims[] = {x->chunked ? KC : (k > 0 ? k : 1), x->cols};
    x->panel = kir_group(g->k, "panel", b->dt, 2, dims);
    if (x->chunked) {
      int64_t tiles[] = {x->mc, x->cols};
      x->partial = kir_group(g->k, "partial", x->acc_dt, 2, tiles);
    }
  }
}

void contract_pack_panel(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *lo,
                         const idx *hi) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  splice s = *outer;
  s.rows = 1;
  s.cols = x->cols;
  s.done = NULL;
  const idx *col = idx_add(kc, blk->j, idx_of(kc, g->k->c)), *row = idx_int(kc, 0);
  if (x->col) splice_bind(&s, x->col, col);
  s.col_tail =
      x->col && idx_divides(g->m->ix, x->cols, x->nn) != TRI_yes ? idx_addi(kc, idx_sub(kc, blk->nn, col), -1) : NULL;
  kir_builder at = *b;
  kir_stmt *loops[MAX_OUTER];
  for (uint32_t i = 0; i < x->n_k; i++) {
    bool last = i + 1 == x->n_k;
    loops[i] =
        kir_for(&at, "k", last ? lo : idx_int(kc, 0), last ? hi : lower_dim_expr(g, x->k[i].extent), 1, 1, 0, NULL);
    at = kir_for_body(&at, loops[i]);
    splice_bind(&s, x->k[i].s, idx_of(kc, loops[i]->var));
    row = idx_add(kc, idx_mul(kc, row, lower_dim_expr(g, x->k[i].extent)), idx_of(kc, loops[i]->var));
  }
  s.b = &at;
  kir_tile *t = splice_tile(&s, x->n.root[1]);
  const idx *to[] = {x->n_k == 1 ? idx_sub(kc, row, lo) : row, idx_of(kc, g->k->c)};
  kir_store(&at, x->panel, to, t, 1, x->cols, kir_always);
  for (uint32_t i = x->n_k; i-- > 0;) kir_for_end(loops[i], NULL);
}
