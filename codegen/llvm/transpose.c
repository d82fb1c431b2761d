// Tiles that lie turned in memory: neighbours in memory are rows of the tile, not columns (packing a transposed
// operand). Blocks of VL x VL are read or written as the vectors that lie in memory and transposed in registers, in
// log2(VL) rounds of exchanges between pairs of vectors.
#include "codegen/llvm/access.h"

// Round s exchanges, between vectors i and i + 2^s, the lanes whose number has bit s: afterwards v[i] lane l is what
// v[l] lane i was.
static void transpose_block(cg *g, LLVMValueRef *v) {
  uint32_t n = g->vl;
  LLVMValueRef mask[2][16];
  for (uint32_t s = 1; s < n; s *= 2) {
    for (uint32_t l = 0; l < n; l++) {
      mask[0][l] = LLVMConstInt(g->i32, (l & s) == 0 ? l : n + l - s, false);
      mask[1][l] = LLVMConstInt(g->i32, (l & s) == 0 ? l + s : n + l, false);
    }
    for (uint32_t i = 0; i < n; i++) {
      if ((i & s) != 0) continue;
      LLVMValueRef a = v[i], b = v[i + s];
      v[i] = LLVMBuildShuffleVector(g->b, a, b, LLVMConstVector(mask[0], n), "");
      v[i + s] = LLVMBuildShuffleVector(g->b, a, b, LLVMConstVector(mask[1], n), "");
    }
  }
}

bool cg_is_turned(cg *g, kir_access acc, uint32_t rows, uint32_t cols) {
  const idx *along_r, *along_c, *rest, *e = cg_subst(g, kir_offset(g->k, acc));
  if (rows % g->vl != 0 || cols % g->vl != 0 || g->vl > 16) return false;
  if (!idx_linear(g->k->ix, e, g->k->r, &along_r, &rest) || !idx_linear(g->k->ix, e, g->k->c, &along_c, &rest))
    return false;
  return idx_equals_int(along_r, 1) && !idx_equals_int(along_c, 0) && !idx_equals_int(along_c, 1);
}

// The expression with r and c exchanged, for the block whose first row and column are given.
static const idx *turned(cg *g, const idx *e, uint32_t row, uint32_t col) {
  idx_ctx *ix = g->k->ix;
  const idx *r = idx_addi(ix, idx_of(ix, g->k->c), row), *c = idx_addi(ix, idx_of(ix, g->k->r), col);
  if (g->view.row != NULL) r = idx_add(ix, r, g->view.row);
  if (g->view.col != NULL) c = idx_add(ix, c, g->view.col);
  return idx_subst(ix, e, 2, (idx_binding[]){{g->k->r, r}, {g->k->c, c}});
}

static kir_where turned_where(cg *g, kir_where w, uint32_t row, uint32_t col) {
  const idx **cond = ARENA_ARRAY(g->a, const idx *, w.n);
  for (uint32_t i = 0; i < w.n; i++) cond[i] = turned(g, w.cond[i], row, col);
  return (kir_where){w.n, cond};
}

cg_tile *cg_load_turned(cg *g, kir_access acc, uint32_t rows, uint32_t cols, kir_where w, scalar otherwise) {
  cg_tile *out = cg_tile_new(g, acc.buf->dt, rows, cols);
  const idx *offset = kir_offset(g->k, acc);
  cg_view view = g->view;
  uint32_t n = g->vl;
  for (uint32_t row = 0; row < rows; row += n) {
    for (uint32_t col = 0; col < cols; col += n) {
      const idx *here = turned(g, offset, row, col);
      kir_where conditions = turned_where(g, w, row, col);
      g->view = (cg_view){0}; // is in the expressions now
      cg_tile *block = cg_load_at(g, acc.buf, here, n, n, conditions, otherwise);
      g->view = view;
      transpose_block(g, block->v);
      for (uint32_t i = 0; i < n; i++) out->v[(size_t)(row + i) * out->n_chunks + col / n] = block->v[i];
    }
  }
  return out;
}

void cg_store_turned(cg *g, kir_access acc, const cg_tile *x, uint32_t rows, uint32_t cols, kir_where w) {
  const idx *offset = kir_offset(g->k, acc);
  cg_view view = g->view;
  uint32_t n = g->vl;
  for (uint32_t row = 0; row < rows; row += n) {
    for (uint32_t col = 0; col < cols; col += n) {
      const idx *here = turned(g, offset, row, col);
      kir_where conditions = turned_where(g, w, row, col);
      cg_tile *block = cg_tile_new(g, x->dt, n, n);
      for (uint32_t i = 0; i < n; i++) block->v[i] = cg_part(g, x, row + i, col / n, cols);
      transpose_block(g, block->v);
      g->view = (cg_view){0};
      cg_store_at(g, acc.buf, here, block, n, n, conditions);
      g->view = view;
    }
  }
}
