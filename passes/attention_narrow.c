// Attention with bf16 operands where the target multiplies them in pairs (has_bf16): what lies side by side in lanes of
// 32 bits is, of a query, two neighbouring depths, then the weights of two neighbouring keys, and of a column of v, the
// values of two keys. Keys are read as they lie. Scores, statistics and sums stay f32; weights are rounded, once.
#include "passes/flash.h"

// What lies in memory as bf16, widened and nothing else.
static const sx *narrow_load(const sx *e) {
  const sx *load = form_narrow(e, DT_bf16);
  return load && load->kind == SX_load ? load : NULL;
}

bool flash_is_narrow(const flash *x) {
  const sx *q = narrow_load(x->n.root[ROOT_q]), *k = narrow_load(x->n.root[ROOT_k]),
           *v = narrow_load(x->n.root[ROOT_v]);
  return x->g->c->target->has_bf16 && x->a.kind == ATTENTION_softmax && q && k && v && x->depth % 2 == 0 &&
         !idx_mentions_read(k->at) && nest_is_unit(x->g, k, x->a.depth);
}

void flash_narrow_scratch(flash *x, int64_t padded) {
  kir_kernel *k = x->g->k;
  x->q2 = kir_group(k, "q2", DT_bf16, 2, (int64_t[]){x->depth / 2, 2 * MB});
  x->wt = kir_group(k, "wt", DT_bf16, 2, (int64_t[]){NB / 2, 2 * MB});
  x->v2 = kir_group(k, "v2", DT_bf16, 2, (int64_t[]){NB / 2, 2 * padded});
}

static kir_tile *narrow_tile(splice *s, const sx *e) { return splice_tile(s, narrow_load(e)); }

static const idx *half(idx_ctx *kc, const idx *e) { return idx_floordiv(kc, e, idx_int(kc, 2)); }

// q2[depth/2, 2*query + depth%2] of the depths and queries that `s` binds, from d and j on.
void flash_narrow_queries(flash *x, splice *s, const idx *d, const idx *j) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  const idx *to[] = {idx_add(kc, half(kc, d), r), idx_add(kc, idx_scale(kc, j, 2), c)};
  kir_tile *pairs = kir_zip(s->b, narrow_tile(s, x->n.root[ROOT_q]), NULL);
  kir_store(s->b, x->q2, to, pairs, s->rows / 2, 2 * x->cols, kir_always);
}

// v2[key/2, 2*column + key%2]; behind the last key it comes once more, for a weight that is 0.
void flash_narrow_values(flash *x, const splice *outer, kir_builder *b) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  kir_stmt *keys = flash_loop(b, "n", idx_sub(kc, x->ke, x->kb), 2);
  kir_builder in_keys = kir_for_body(b, keys);
  kir_stmt *columns = flash_loop(&in_keys, "e", idx_int(kc, x->width), x->out_cols);
  kir_builder body = kir_for_body(&in_keys, columns);
  const idx *n = idx_of(kc, keys->var), *e = idx_of(kc, columns->var), *at = idx_add(kc, e, c);
  const idx *key = idx_add(kc, x->kb, idx_add(kc, n, r));
  splice s = *outer;
  s.b = &body;
  s.rows = 2;
  s.cols = x->out_cols;
  splice_bind(&s, x->a.key, idx_min(kc, key, idx_addi(kc, x->ke, -1)));
  splice_bind(&s, x->col->s, at);
  s.col_tail = x->width % x->out_cols ? idx_addi(kc, idx_sub(kc, idx_int(kc, x->width), at), -1) : NULL;
  const idx *to[] = {half(kc, n), idx_add(kc, idx_scale(kc, e, 2), c)};
  kir_tile *pairs = kir_zip(&body, narrow_tile(&s, x->n.root[ROOT_v]), NULL);
  kir_store(&body, x->v2, to, pairs, 1, 2 * x->out_cols, kir_always);
  kir_for_end(columns, NULL);
  kir_for_end(keys, NULL);
}

kir_tile *flash_narrow_key(flash *x, const splice *s, kir_builder *b, const idx *d) {
  idx_ctx *kc = x->g->k->ix;
  splice k = *s;
  k.b = b;
  splice_bind(&k, x->a.depth, idx_add(kc, d, idx_of(kc, x->g->k->c)));
  const sx *load = narrow_load(x->n.root[ROOT_k]);
  const idx *at[] = {splice_index(&k, load->at)};
  return kir_load(b, lower_in(x->g, load->value), at, x->rows, 2, kir_always, scalar_f(DT_bf16, 0));
}

static kir_tile *load_pairs(flash *x, kir_builder *b, kir_buffer *from, const idx *row, const idx *column,
                            uint32_t cols) {
  idx_ctx *kc = x->g->k->ix;
  const idx *at[] = {row, idx_add(kc, idx_scale(kc, column, 2), idx_of(kc, x->g->k->c))};
  return kir_load(b, from, at, 1, 2 * cols, kir_always, scalar_f(DT_bf16, 0));
}

kir_tile *flash_narrow_query(flash *x, kir_builder *b, const idx *d, const idx *j) {
  return load_pairs(x, b, x->q2, half(x->g->k->ix, d), j, x->cols);
}

void flash_narrow_weights(flash *x, kir_builder *b, const idx *key, const idx *j, kir_tile *const *w) {
  idx_ctx *kc = x->g->k->ix;
  kir_tile *pairs = kir_zip(b, kir_convert(b, w[0], DT_bf16), kir_convert(b, w[1], DT_bf16));
  const idx *to[] = {half(kc, key), idx_add(kc, idx_scale(kc, j, 2), idx_of(kc, x->g->k->c))};
  kir_store(b, x->wt, to, pairs, 1, 2 * x->cols, kir_always);
}

kir_tile *flash_narrow_weight(const flash_product *p, kir_builder *b, const idx *n, const idx *query) {
  idx_ctx *kc = p->x->g->k->ix;
  const idx *at[] = {n, idx_add(kc, idx_scale(kc, query, 2), idx_of(kc, p->x->g->k->c))};
  return kir_load(b, p->x->wt, at, p->x->out_rows, 2, kir_always, scalar_f(DT_bf16, 0));
}

kir_tile *flash_narrow_value(const flash_product *p, kir_builder *b, const idx *n, const idx *e) {
  const idx *column = idx_sub(p->x->g->k->ix, e, idx_of(p->x->g->k->ix, p->x->g->k->c));
  return load_pairs(p->x, b, p->x->v2, n, column, p->x->out_cols);
}
