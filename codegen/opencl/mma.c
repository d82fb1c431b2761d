// Products of a warp: a tile of 8R x 4C sums, of which each lane holds R x C, as steps of 16 x 8 by 16.
//
// What a step is, the text in runtime/opencl/matrix_text.h says, in two forms; who builds the program chooses by a
// define. Rows of A are loaded once a step of the depth, columns of B once for all rows: between a step's loads and its
// products nothing is stored.
#include "codegen/opencl/cl.h"
#include "runtime/opencl/matrix_text.h"

// Columns c and c + 1 of row r, which lie in one piece: columns are even, and so are the lanes of pieces.
static const char *pair_of(cl *g, const cl_tile *t, uint32_t r, uint32_t c) {
  uint32_t j = cl_pieces(g, t->cols) - 1;
  while (cl_piece_first(g, t->cols, j) > c) j--;
  uint32_t at = c - cl_piece_first(g, t->cols, j);
  return str_fmt(g->a, "%s.s%x%x", t->v[(size_t)r * t->n_pieces + j].text, at, at + 1);
}

static const char *load(cl *g, const char *what, kir_access acc, int64_t row, int64_t depth) {
  const idx *first;
  int64_t stride;
  bool good = kir_mma_operand(g->k, acc, &first, &stride);
  BUG_IF(g->l, !good || !g->is_local, "kernel %s: an operand of mma out of place", g->k->name);
  const char *name = cl_fresh(g, "part"), *at = cl_index(g, idx_addi(g->k->ix, first, row * stride + depth));
  cl_line(g, "const mma_%s %s = mma_load_%s(%s + %s, %lld, worker %% %d);", what, name, what, cl_name(g, acc.buf->name),
          at, (long long)stride, KIR_WARP);
  return name;
}

void cl_mma(cl *g, const kir_stmt *s) {
  const cl_tile *acc = cl_get(g, s->in[0]);
  cl_tile *out = cl_tile_new(g, acc->dt, acc->rows, acc->cols);
  g->uses_matrices = true;
  if (map_add(g->printed, STR("mma"), g)) sb_z(&g->functions, RT_OPENCL_MATRIX_TEXT);
  for (uint32_t i = 0; i < out->rows * out->n_pieces; i++) {
    uint32_t j = i % out->n_pieces;
    out->v[i] = cl_variable(g, s->out, out, i / out->n_pieces, j);
    cl_line(g, "%s %s = %s;", cl_type(g, out->dt, cl_piece_lanes(g, out->cols, j)), out->v[i].text, acc->v[i].text);
  }
  const char **rows = ARENA_ARRAY(g->a, const char *, out->rows / 2);
  for (uint32_t k = 0; k < s->cols; k += KIR_MMA_DEPTH) {
    for (uint32_t r = 0; r < out->rows; r += 2) rows[r / 2] = load(g, "rows", s->acc, r / 2 * KIR_MMA_ROWS, k);
    for (uint32_t c = 0; c < out->cols; c += 2) {
      const char *cols = load(g, "cols", s->from, c / 2 * KIR_MMA_COLS, k);
      for (uint32_t r = 0; r < out->rows; r += 2) {
        const char *sum = cl_fresh(g, "part"), *upper = pair_of(g, out, r, c), *lower = pair_of(g, out, r + 1, c);
        cl_line(g, "const float4 %s = mma_step(%s, %s, (float4)(%s, %s));", sum, rows[r / 2], cols, upper, lower);
        cl_line(g, "%s = %s.lo;", upper, sum);
        cl_line(g, "%s = %s.hi;", lower, sum);
      }
    }
  }
  cl_set(g, s->out, out);
}
