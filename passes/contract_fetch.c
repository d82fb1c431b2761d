// What a contraction asks memory for before it needs it: the weights that the next turns, chunks and panels read, and
// what the epilogue of a tile reads and writes.
#include "passes/contract.h"

enum { LINE_BYTES = 64, AHEAD_BYTES = 1024 }; // memory answers after some hundred cycles

void contract_prefetch(contract *x, splice *s, const idx *panel, const sym *label, int64_t rows) {
  idx_ctx *kc = x->g->k->ix;
  for (uint32_t i = 0; i < x->n_leaves; i++) {
    const contract_leaf *leaf = &x->leaf[i];
    int64_t size = (int64_t)dtype_size(leaf->buf->dt), bytes = rows * x->cols * size;
    if (!contract_label_in(leaf->load, label)) continue;
    const idx *at = contract_packed_index(x, s, leaf->load, panel, idx_int(kc, AHEAD_BYTES / size));
    for (int64_t line = 0; line < bytes; line += LINE_BYTES) {
      const idx *next[] = {idx_addi(kc, at, line / size)};
      kir_prefetch(s->b, leaf->buf, next);
    }
  }
}

// While rows of tiles pass over one chunk of a packed B, memory brings the next one, a part with every tile. Chunks,
// and the panels after them, lie one behind the other. How many rows share the work is known when the block is.
contract_next contract_plan_next(contract *x, kir_builder *b, const contract_block *blk) {
  idx_ctx *kc = x->g->k->ix;
  const contract_leaf *leaf = &x->leaf[0];
  int64_t size = (int64_t)dtype_size(leaf->load->dt), per_line = LINE_BYTES / size, n = contract_extent(x, 0);
  if (x->n_leaves != 1 || extent_max(x->g, x->nn) * n * size <= (int64_t)x->g->c->target->l2_bytes / 2)
    return (contract_next){0};
  if (x->chunked) n = contract_extent(x, 1) * x->chunk;
  const idx *tiles = idx_ceildiv(kc, idx_sub(kc, blk->me, blk->m0), x->rows);
  const idx *lines = idx_int(kc, (n * x->cols + per_line - 1) / per_line);
  tiles = idx_max(kc, tiles, idx_int(kc, 1)); // as a proof that it divides
  return (contract_next){kir_let(b, "f", idx_floordiv(kc, idx_addi(kc, idx_add(kc, lines, tiles), -1), tiles)),
                         per_line};
}

void contract_fetch_next(contract *x, const splice *outer, kir_builder *b, const contract_block *blk,
                         const contract_next *next, const idx *at, const idx *i) {
  idx_ctx *kc = x->g->k->ix;
  splice s = *outer;
  s.b = b;
  if (!next->lines) return;
  for (uint32_t l = 0; l < x->n_k; l++) splice_bind(&s, x->k[l].s, l ? idx_int(kc, 0) : at);
  const idx *tile = idx_floordiv(kc, idx_sub(kc, i, blk->m0), idx_int(kc, x->rows));
  const idx *done = idx_scale(kc, idx_mul(kc, tile, next->lines), next->per_line);
  const idx *from = contract_packed_index(x, &s, x->leaf[0].load, blk->panel, done);
  kir_stmt *loop = kir_for(b, "z", idx_int(kc, 0), next->lines, 1, 1, 0, NULL);
  kir_builder body = kir_for_body(b, loop);
  const idx *line[] = {idx_add(kc, from, idx_scale(kc, idx_of(kc, loop->var), next->per_line))};
  kir_prefetch(&body, x->leaf[0].buf, line);
  kir_for_end(loop, NULL);
}

typedef struct ahead { // a place of the tile that its end will read and write
  contract *x;
  splice s;
} ahead;

static void fetch_load(void *user, const sx *e) {
  ahead *a = user;
  if (e->kind != SX_load || idx_mentions_read(e->at)) return; // a place that is read itself may lie behind the end
  if (contract_label_in(e, a->x->row) && contract_label_in(e, a->x->col)) splice_prefetch(&a->s, e);
}

// Lanes, and matrix registers: a tile is done before memory answers.
bool contract_fetches_epilogue(const contract *x) { return x->row && x->col && x->rows > 1 && !x->lanes && !x->staged; }

// What the epilogue reads and writes lies in short pieces, a row apart from each other, which no hardware foresees:
// memory brings them while the tile is computed.
void contract_fetch_epilogue(contract *x, const splice *outer, kir_builder *b, const contract_block *blk,
                             const idx *i) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  int64_t line = LINE_BYTES / (int64_t)dtype_size(x->acc_dt);
  for (int64_t r = 0; r < x->rows; r++)
    for (int64_t c = 0; c < x->cols; c += line) {
      ahead a = {x, *outer};
      a.s.b = b;
      splice_bind(&a.s, x->row, idx_addi(kc, i, r));
      splice_bind(&a.s, x->col, idx_addi(kc, blk->j, c));
      for (uint32_t k = 2; k < x->n.n_roots; k++) {
        form_walk(g->form, x->n.root[k], fetch_load, &a);
        const idx *to[] = {splice_index(&a.s, x->n.store[k])};
        kir_prefetch(b, lower_out(g, g->region->yields[k - 2]), to);
      }
    }
}
