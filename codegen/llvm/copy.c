// copy: moves a rectangle from one place to another, padded where its conditions fail, through an optional elementwise
// body.
//
// Small rectangles are straight-line code. Large ones are a loop over rows and, for long rows, one over column blocks;
// what lies turned in memory on either side goes by square blocks. The statements inside see one piece of the rectangle
// through `g->view`.
#include "codegen/llvm/access.h"

enum { STRAIGHT_CHUNKS = 32, ROW_CHUNKS = 8 };

// The piece that the view names, of part_rows x part_cols.
static void piece(cg *g, const kir_stmt *s) {
  uint32_t rows = s->rows, cols = s->cols;
  cg_shape(g, &rows, &cols);
  const cg_tile *x = cg_load(g, s->from, rows, cols, s->where, s->imm);
  if (s->n_carry > 0) {
    cg_set(g, s->carry[0], x);
    cg_stmts(g, &s->body);
    x = cg_get(g, s->yield[0]);
  }
  cg_store(g, s->acc, x, rows, cols, (kir_where){0, NULL});
}

// A loop 0, step, … below a positive multiple of step; the builder is in its body. Returns its variable.
static const idx *open_loop(cg *g, const char *name, int64_t step, bool innermost) {
  LLVMBasicBlockRef inside = cg_block(g, name);
  LLVMValueRef enter = LLVMBuildBr(g->b, inside);
  LLVMPositionBuilderAtEnd(g->b, inside);
  cg_counter *c = cg_count(g, name, enter, cg_i64(g, 0), step, innermost);
  cg_open_loop(g, c);
  sym *var = idx_fresh(g->k->ix, name);
  var->lo = idx_int(g->k->ix, 0);
  cg_bind(g, var, (cg_value){c->value, (uint32_t)g->scopes.n - 1});
  return idx_of(g->k->ix, var);
}

static void close_loop(cg *g, int64_t n) {
  cg_counter *c = vec_last(&g->scopes).counter;
  LLVMBasicBlockRef after = cg_block(g, "done");
  LLVMValueRef next = cg_count_on(g, c);
  LLVMBuildCondBr(g->b, cg_icmp(g, LLVMIntSLT, next, cg_i64(g, n)), c->head, after);
  cg_close_scope(g);
  LLVMPositionBuilderAtEnd(g->b, after);
}

static void set_columns(cg *g, const idx *col, uint32_t n) {
  g->view.col = col;
  g->view.part_cols = n;
}

// Pieces of part_rows rows, side by side in blocks of `block` columns.
static void pieces_of_rows(cg *g, const kir_stmt *s, uint32_t block) {
  uint32_t whole = s->cols / block * block;
  if (s->cols <= block) {
    set_columns(g, NULL, s->cols);
    piece(g, s);
    return;
  }
  set_columns(g, open_loop(g, "col", block, true), block);
  piece(g, s);
  close_loop(g, whole);
  if (whole == s->cols) return;
  set_columns(g, idx_int(g->k->ix, whole), s->cols - whole);
  piece(g, s);
}

void cg_copy(cg *g, const kir_stmt *s) {
  cg_flush(g);
  bool turned = cg_is_turned(g, s->from, s->rows, s->cols) || cg_is_turned(g, s->acc, s->rows, s->cols);
  uint32_t part_rows = turned ? g->vl : 1, block = turned ? g->vl : g->vl * ROW_CHUNKS;
  g->view = (cg_view){true, NULL, NULL, s->rows, s->cols, s->rows, s->cols};
  if ((uint64_t)s->rows * cg_chunks(g, s->cols) <= STRAIGHT_CHUNKS) {
    piece(g, s);
  } else if (s->rows <= part_rows) {
    pieces_of_rows(g, s, block);
  } else {
    g->view.row = open_loop(g, "row", part_rows, s->cols <= block);
    g->view.part_rows = part_rows;
    pieces_of_rows(g, s, block);
    close_loop(g, s->rows);
  }
  g->view = (cg_view){0};
}
