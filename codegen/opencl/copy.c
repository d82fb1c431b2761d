// copy: the workers of a group move one rectangle, padded where its conditions fail, through an optional elementwise
// body.
//
// The rectangle is a row of pieces, each as wide as the widest vector whose length divides the columns; worker w moves
// pieces w, w + workers, … The statements inside see one piece through `g->view`.
#include "codegen/opencl/cl.h"

static uint32_t piece_cols(const cl *g, uint32_t cols) {
  uint32_t n = g->widest;
  while (cols % n != 0) n /= 2;
  return n;
}

static const idx *counted(cl *g, const char *name, int64_t most) {
  sym *s = idx_fresh(g->k->ix, name);
  s->lo = idx_int(g->k->ix, 0);
  s->hi = idx_int(g->k->ix, most);
  return idx_of(g->k->ix, s);
}

static void print_piece(cl *g, const kir_stmt *s) {
  cl_tile *x = cl_tile_new(g, s->from.buf->dt, 1, g->view.part_cols);
  cl_load(g, s->n_carry > 0 ? s->carry[0] : NULL, x, s->from, s->where, s->imm);
  if (s->n_carry > 0) {
    cl_set(g, s->carry[0], x);
    cl_stmts(g, &s->body);
  }
  cl_store(g, s->acc, s->n_carry > 0 ? cl_get(g, s->yield[0]) : x, 1, g->view.part_cols, (kir_where){0, NULL});
}

void cl_copy(cl *g, const kir_stmt *s) {
  uint32_t cols = piece_cols(g, s->cols), across = s->cols / cols, n = s->rows * across;
  const char *piece = cl_fresh(g, "piece");
  g->view = (cl_view){true, counted(g, "row", s->rows - 1), counted(g, "col", s->cols - cols), s->rows, s->cols, cols};
  cl_open(g, "for (int %s = %s; %s < %u; %s += %u)", piece, g->lanes == 1 ? "0" : "worker", piece, n, piece, g->lanes);
  const char *row = cl_index(g, g->view.row), *col = cl_index(g, g->view.col);
  cl_line(g, "const int %s = %s / %u, %s = %s %% %u * %u;", row, piece, across, col, piece, across, cols);
  print_piece(g, s);
  cl_close(g);
  g->view = (cl_view){0};
}
