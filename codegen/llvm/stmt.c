// Statements, one after another; loops and copies have files of their own.
#include "codegen/llvm/cg.h"

static void emit_let(cg *g, const kir_stmt *s) {
  const idx *e = cg_subst(g, s->index);
  if (idx_mentions_read(e)) cg_bind(g, s->var, cg_index(g, e)); // its value now: the memory may change
  else vec_push(g->a, &g->bound, ((idx_binding){s->var, e}));
}

static void emit_load(cg *g, const kir_stmt *s) {
  if (cg_in_matrices(g, s->out)) return; // its product reads it
  uint32_t rows = s->out->rows, cols = s->out->cols;
  cg_shape(g, &rows, &cols);
  cg_set(g, s->out, cg_load(g, s->acc, rows, cols, s->where, s->imm));
}

static void emit_const(cg *g, const kir_stmt *s) {
  uint32_t rows = s->out->rows, cols = s->out->cols;
  cg_shape(g, &rows, &cols);
  cg_tile *out = cg_tile_new(g, s->out->dt, rows, cols);
  LLVMValueRef v = cg_scalar(g, s->imm);
  for (uint32_t i = 0; i < rows * out->n_chunks; i++) {
    out->v[i] = cg_splat_const(v, cg_chunk_lanes(g, cols, i % out->n_chunks));
  }
  cg_set(g, s->out, out);
}

// Lanes first, first+1, … of an index expression.
static LLVMValueRef index_lanes(cg *g, const idx *e, LLVMTypeRef type, uint32_t first, uint32_t lanes) {
  const idx *coef, *rest;
  int64_t k;
  if (lanes == 1) return LLVMBuildTruncOrBitCast(g->b, cg_index(g, kir_at_col(g->k, e, first)).v, type, "");
  if (idx_linear(g->k->ix, e, g->k->c, &coef, &rest) && idx_is_const(coef, &k)) {
    LLVMValueRef start = LLVMBuildTruncOrBitCast(g->b, cg_index(g, rest).v, type, "");
    LLVMValueRef c = LLVMBuildIntCast2(g->b, cg_lane_numbers(g, first, lanes), cg_vec(type, lanes), false, "");
    return cg_add(g, cg_splat(g, start, lanes), cg_mul(g, c, cg_int(g, c, k)));
  }
  LLVMValueRef v = LLVMGetPoison(cg_vec(type, lanes));
  for (uint32_t i = 0; i < lanes; i++) v = cg_insert(g, v, index_lanes(g, e, type, first + i, 1), i);
  return v;
}

static void emit_index(cg *g, const kir_stmt *s) {
  uint32_t rows = s->out->rows, cols = s->out->cols;
  cg_shape(g, &rows, &cols);
  cg_tile *out = cg_tile_new(g, s->out->dt, rows, cols);
  LLVMTypeRef type = cg_reg_type(g, s->out->dt);
  for (uint32_t i = 0; i < rows * out->n_chunks; i++) {
    uint32_t j = i % out->n_chunks;
    const idx *e = cg_at_row(g, s->index, i / out->n_chunks);
    out->v[i] = index_lanes(g, e, type, j * g->vl, cg_chunk_lanes(g, cols, j));
  }
  cg_set(g, s->out, out);
}

static void emit_select(cg *g, const kir_stmt *s) {
  const cg_tile *x = cg_get(g, s->in[0]);
  cg_tile *out = cg_tile_new(g, x->dt, x->rows, x->cols);
  LLVMValueRef otherwise = cg_scalar(g, s->imm);
  for (uint32_t r = 0; r < x->rows; r++) {
    cg_cond w = cg_where(g, s->where, r, x->cols);
    for (uint32_t j = 0; j < x->n_chunks; j++) {
      size_t at = (size_t)r * x->n_chunks + j;
      uint32_t lanes = cg_chunk_lanes(g, x->cols, j);
      LLVMValueRef mask = cg_lanewise(&w) ? cg_lane_mask(g, &w, j * g->vl, lanes) : w.row;
      out->v[at] =
          mask == NULL ? cg_chunk(g, x, at) : cg_select(g, mask, cg_chunk(g, x, at), cg_splat_const(otherwise, lanes));
    }
  }
  cg_set(g, s->out, out);
}

// Half of two chunks, lane by lane in turn, from `first` on.
static LLVMValueRef zipped(cg *g, LLVMValueRef x, LLVMValueRef y, uint32_t first, uint32_t n) {
  LLVMValueRef *at = ARENA_ARRAY(g->a, LLVMValueRef, n);
  uint32_t lanes = cg_lanes(x);
  for (uint32_t i = 0; i < n; i++) at[i] = LLVMConstInt(g->i32, first + i / 2 + (i % 2 ? lanes : 0), false);
  if (lanes > 1) return LLVMBuildShuffleVector(g->b, x, y, LLVMConstVector(at, n), "");
  LLVMValueRef both = LLVMGetPoison(LLVMVectorType(LLVMTypeOf(x), 2));
  return cg_insert(g, cg_insert(g, both, x, 0), y, 1);
}

static void emit_zip(cg *g, const kir_stmt *s) {
  const cg_tile *x = cg_get(g, s->in[0]), *y = cg_get(g, s->in[s->n_in - 1]);
  cg_tile *out = cg_tile_new(g, s->out->dt, s->out->rows, s->out->cols);
  for (uint32_t i = 0; i < out->rows * out->n_chunks; i++) {
    uint32_t r = i / out->n_chunks, j = i % out->n_chunks, lanes = cg_chunk_lanes(g, out->cols, j);
    size_t low = (size_t)r * x->n_chunks + j / 2, high = low; // each chunk makes two
    if (s->n_in == 1) low += (size_t)r * x->n_chunks, high = low + x->n_chunks;
    out->v[i] = zipped(g, cg_chunk(g, x, low), cg_chunk(g, y, high), j % 2 * g->vl / 2, lanes);
  }
  cg_set(g, s->out, out);
}

static void emit_store(cg *g, const kir_stmt *s) {
  uint32_t rows = s->rows, cols = s->cols;
  cg_shape(g, &rows, &cols);
  cg_store(g, s->acc, cg_get(g, s->in[0]), rows, cols, s->where);
}

static void emit_prefetch(cg *g, const kir_stmt *s) {
  LLVMValueRef at = cg_address(g, s->acc.buf, kir_at_col(g->k, cg_at_row(g, kir_offset(g->k, s->acc), 0), 0));
  LLVMValueRef read = LLVMConstInt(g->i32, 0, false), keep = LLVMConstInt(g->i32, 2, false);
  LLVMValueRef data = LLVMConstInt(g->i32, 1, false);
  (void)cg_intrinsic(g, "llvm.prefetch", 1, &g->ptr, 4, (LLVMValueRef[]){at, read, keep, data});
}

// The conditions hold somewhere: the fault word gets site + 1. Workers may write it at once: the store is atomic, any
// of them may stay.
static void emit_fault(cg *g, const kir_stmt *s) {
  LLVMValueRef any = NULL;
  for (uint32_t r = 0; r < s->rows; r++) {
    cg_cond w = cg_where(g, s->where, r, s->cols);
    for (uint32_t j = 0; j < cg_chunks(g, s->cols); j++) {
      LLVMValueRef here =
          cg_lanewise(&w) ? cg_any(g, cg_lane_mask(g, &w, j * g->vl, cg_chunk_lanes(g, s->cols, j))) : w.row;
      if (here == NULL) here = LLVMConstInt(g->i1, 1, false);
      any = any == NULL ? here : cg_or(g, any, here);
    }
  }
  LLVMBasicBlockRef found = cg_block(g, "fault"), after = cg_block(g, "checked");
  LLVMBuildCondBr(g->b, any, found, after);
  LLVMPositionBuilderAtEnd(g->b, found);
  LLVMValueRef store = LLVMBuildStore(g->b, cg_i64(g, s->site + 1), g->arg[ARG_fault]);
  LLVMSetAlignment(store, 8);
  LLVMSetOrdering(store, LLVMAtomicOrderingMonotonic);
  LLVMBuildBr(g->b, after);
  LLVMPositionBuilderAtEnd(g->b, after);
}

static void emit(cg *g, const kir_stmt *s) {
  switch (s->kind) {
  case KIR_let: emit_let(g, s); break;
  case KIR_load: emit_load(g, s); break;
  case KIR_const: emit_const(g, s); break;
  case KIR_index: emit_index(g, s); break;
  case KIR_dot: cg_dot(g, s); break;
  case KIR_op:
  case KIR_fma: cg_elementwise_stmt(g, s); break;
  case KIR_zip: emit_zip(g, s); break;
  case KIR_select: emit_select(g, s); break;
  case KIR_reduce: cg_reduce(g, s); break;
  case KIR_store: emit_store(g, s); break;
  case KIR_copy: cg_copy(g, s); break;
  case KIR_prefetch: emit_prefetch(g, s); break;
  case KIR_mma:
  case KIR_barrier: break; // of several workers, and here is one
  case KIR_fault: emit_fault(g, s); break;
  case KIR_for: cg_for(g, s); break;
  case KIR_if: cg_if(g, s); break;
  }
}

void cg_stmts(cg *g, const kir_block *b) {
  size_t outer = g->bound.n;
  for (const kir_stmt *s = b->first; s != NULL; s = s->next) emit(g, s);
  cg_flush(g);
  g->bound.n = outer;
}
