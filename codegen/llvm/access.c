// Loads and stores of tiles.
//
// For each row the address is a polynomial in c. Its coefficient of c decides: 1 is a vector access, 0 one element for
// all columns, and anything else goes element by element. Conditions never branch lane by lane: those that bound c
// become the mask of a masked access; those of a whole row choose between the address and a dummy on the stack; one
// that all rows share is a branch around the whole access.
//
// Elements are assumed to be aligned to their own size only. Memory is never touched where a condition fails.
#include "codegen/llvm/access.h"

// -- one row --

typedef struct row_access {
  const kir_buffer *buf;
  const idx *offset; // mentions c
  const cg_cond *where;
  uint32_t cols;
} row_access;

typedef enum pattern { PATTERN_vector, PATTERN_same, PATTERN_elements } pattern;

// How c enters the address within one chunk; `at`: the offset of the chunk's first element.
static pattern pattern_of(cg *g, const row_access *x, uint32_t first, uint32_t lanes, const idx **at) {
  idx_ctx *ix = g->k->ix;
  const idx *coef, *rest;
  *at = kir_at_col(g->k, x->offset, first);
  if (lanes == 1) return PATTERN_vector;
  if (!idx_linear(ix, x->offset, g->k->c, &coef, &rest)) { // c//8 and c%8 may still be simple within these lanes
    sym *lane = idx_symbol(ix, str_fmt(g->a, "lane<%u", lanes));
    lane->lo = idx_int(ix, 0);
    lane->hi = idx_int(ix, lanes - 1);
    const idx *e = idx_subst1(ix, x->offset, g->k->c, idx_addi(ix, idx_of(ix, lane), first));
    if (!idx_linear(ix, e, lane, &coef, &rest)) return PATTERN_elements;
  }
  if (idx_equals_int(coef, 1)) return PATTERN_vector;
  return idx_equals_int(coef, 0) ? PATTERN_same : PATTERN_elements;
}

// The address of an element, or the dummy where `holds` is false (NULL: it holds).
static LLVMValueRef address(cg *g, const row_access *x, const idx *at, LLVMValueRef holds) {
  LLVMValueRef outer_guard = g->guard;
  if (holds != NULL) g->guard = holds;
  LLVMValueRef p = cg_address(g, x->buf, at);
  g->guard = outer_guard;
  return holds == NULL ? p : cg_select(g, holds, p, cg_dummy(g));
}

static unsigned alignment(const row_access *x) { return (unsigned)dtype_size(x->buf->dt); }

// An address under a mask; what it reads from index buffers needs some lane to hold.
static LLVMValueRef masked_address(cg *g, const row_access *x, const idx *at) {
  LLVMValueRef outer_guard = g->guard;
  if (idx_mentions_read(at)) g->guard = cg_somewhere(g, x->where);
  LLVMValueRef p = cg_address(g, x->buf, at);
  g->guard = outer_guard;
  return p;
}

// -- loads --

static LLVMValueRef plain_load(cg *g, const row_access *x, const idx *at, uint32_t lanes, LLVMValueRef holds,
                               LLVMValueRef otherwise) {
  LLVMValueRef p = address(g, x, at, holds);
  LLVMValueRef v = LLVMBuildLoad2(g->b, cg_vec(cg_mem_type(g, x->buf->dt), lanes), p, "");
  LLVMSetAlignment(v, alignment(x));
  v = cg_from_mem(g, x->buf->dt, v);
  return holds == NULL ? v : cg_select(g, holds, v, cg_splat_const(otherwise, lanes));
}

static LLVMValueRef masked_load(cg *g, const row_access *x, const idx *at, uint32_t lanes, LLVMValueRef mask,
                                LLVMValueRef otherwise) {
  LLVMValueRef fill = cg_splat_const(cg_to_mem(g, x->buf->dt, otherwise), lanes);
  LLVMTypeRef types[2] = {LLVMTypeOf(fill), g->ptr};
  LLVMValueRef args[4] = {masked_address(g, x, at), LLVMConstInt(g->i32, alignment(x), false), mask, fill};
  return cg_from_mem(g, x->buf->dt, cg_intrinsic(g, "llvm.masked.load", 2, types, 4, args));
}

static LLVMValueRef load_elements(cg *g, const row_access *x, uint32_t first, uint32_t lanes, LLVMValueRef otherwise) {
  LLVMValueRef v = LLVMGetPoison(cg_vec(cg_reg_type(g, x->buf->dt), lanes));
  for (uint32_t i = 0; i < lanes;
       i++) { // where a condition fails the dummy is read, and replaced for all lanes at once below
    LLVMValueRef p = address(g, x, kir_at_col(g->k, x->offset, first + i), cg_lane_cond(g, x->where, first + i));
    LLVMValueRef one = LLVMBuildLoad2(g->b, cg_mem_type(g, x->buf->dt), p, "");
    LLVMSetAlignment(one, alignment(x));
    v = cg_insert(g, v, cg_from_mem(g, x->buf->dt, one), i);
  }
  LLVMValueRef mask = cg_lanewise(x->where) ? cg_lane_mask(g, x->where, first, lanes) : x->where->row;
  return mask == NULL ? v : cg_select(g, mask, v, cg_splat_const(otherwise, lanes));
}

static LLVMValueRef load_same(cg *g, const row_access *x, const idx *at, uint32_t first, uint32_t lanes,
                              LLVMValueRef otherwise) {
  if (!cg_lanewise(x->where)) return cg_splat(g, plain_load(g, x, at, 1, x->where->row, otherwise), lanes);
  LLVMValueRef one = plain_load(g, x, at, 1, cg_somewhere(g, x->where), otherwise);
  LLVMValueRef mask = cg_lane_mask(g, x->where, first, lanes);
  return cg_select(g, mask, cg_splat(g, one, lanes), cg_splat_const(otherwise, lanes));
}

static void load_row(cg *g, const row_access *x, LLVMValueRef otherwise, LLVMValueRef *out) {
  for (uint32_t j = 0; j < cg_chunks(g, x->cols); j++) {
    uint32_t first = j * g->vl, lanes = cg_chunk_lanes(g, x->cols, j);
    const idx *at;
    pattern p = pattern_of(g, x, first, lanes, &at);
    if (p == PATTERN_same && x->where->n_general > 0) p = PATTERN_elements;
    if (p == PATTERN_elements) out[j] = load_elements(g, x, first, lanes, otherwise);
    else if (p == PATTERN_same) out[j] = load_same(g, x, at, first, lanes, otherwise);
    else if (lanes == 1) out[j] = plain_load(g, x, at, 1, cg_lane_cond(g, x->where, first), otherwise);
    else if (!cg_lanewise(x->where)) out[j] = plain_load(g, x, at, lanes, x->where->row, otherwise);
    else out[j] = masked_load(g, x, at, lanes, cg_lane_mask(g, x->where, first, lanes), otherwise);
  }
}

// -- stores --

static void plain_store(cg *g, const row_access *x, const idx *at, LLVMValueRef v, LLVMValueRef holds) {
  LLVMValueRef p = address(g, x, at, holds);
  LLVMSetAlignment(LLVMBuildStore(g->b, cg_to_mem(g, x->buf->dt, v), p), alignment(x));
}

static void masked_store(cg *g, const row_access *x, const idx *at, LLVMValueRef v, LLVMValueRef mask) {
  v = cg_to_mem(g, x->buf->dt, v);
  LLVMTypeRef types[2] = {LLVMTypeOf(v), g->ptr};
  LLVMValueRef args[4] = {v, masked_address(g, x, at), LLVMConstInt(g->i32, alignment(x), false), mask};
  (void)cg_intrinsic(g, "llvm.masked.store", 2, types, 4, args);
}

static void store_chunk(cg *g, const row_access *x, LLVMValueRef v, uint32_t first, uint32_t lanes) {
  const idx *at;
  if (pattern_of(g, x, first, lanes, &at) != PATTERN_vector) { // of equal places the last one stays
    for (uint32_t i = 0; i < lanes; i++) {
      const idx *place = kir_at_col(g->k, x->offset, first + i);
      plain_store(g, x, place, cg_extract(g, v, i), cg_lane_cond(g, x->where, first + i));
    }
  } else if (lanes == 1) {
    plain_store(g, x, at, v, cg_lane_cond(g, x->where, first));
  } else if (!cg_lanewise(x->where)) {
    plain_store(g, x, at, v, x->where->row);
  } else {
    masked_store(g, x, at, v, cg_lane_mask(g, x->where, first, lanes));
  }
}

// -- whole tiles --

typedef struct tile_access {
  const kir_buffer *buf;
  const idx *offset; // mentions r and c
  cg_cond *where;    // [rows]
  uint32_t rows, cols;
} tile_access;

static tile_access prepare(cg *g, const kir_buffer *buf, const idx *offset, uint32_t rows, uint32_t cols, kir_where w) {
  tile_access t = {buf, offset, ARENA_ARRAY(g->a, cg_cond, rows), rows, cols};
  for (uint32_t r = 0; r < rows; r++) t.where[r] = cg_where(g, w, r, cols);
  return t;
}

static row_access row_of(cg *g, const tile_access *t, uint32_t r) {
  return (row_access){t->buf, cg_at_row(g, t->offset, r), &t->where[r], t->cols};
}

// The one i1 that all rows of a tile of several vectors hang on, or NULL; the rows' conditions are then replaced by
// none.
static LLVMValueRef shared_condition(cg *g, tile_access *t) {
  LLVMValueRef shared = t->where[0].row;
  if (t->rows * cg_chunks(g, t->cols) < 2) return NULL;
  for (uint32_t r = 0; r < t->rows; r++) {
    if (cg_lanewise(&t->where[r]) || t->where[r].row != shared) return NULL;
  }
  for (uint32_t r = 0; shared != NULL && r < t->rows; r++) t->where[r] = (cg_cond){.cols = t->cols};
  return shared;
}

static void load_rows(cg *g, const tile_access *t, LLVMValueRef otherwise, cg_tile *out) {
  for (uint32_t r = 0; r < t->rows; r++) {
    row_access x = row_of(g, t, r);
    load_row(g, &x, otherwise, out->v + (size_t)r * out->n_chunks);
  }
}

cg_tile *cg_load_at(cg *g, const kir_buffer *buf, const idx *offset, uint32_t rows, uint32_t cols, kir_where w,
                    scalar otherwise) {
  cg_tile *out = cg_tile_new(g, buf->dt, rows, cols);
  tile_access t = prepare(g, buf, offset, rows, cols, w);
  LLVMValueRef fill = cg_scalar(g, otherwise), shared = shared_condition(g, &t);
  if (shared == NULL) {
    load_rows(g, &t, fill, out);
    return out;
  }
  LLVMBasicBlockRef from = LLVMGetInsertBlock(g->b), inside = cg_block(g, "load"), after = cg_block(g, "loaded");
  cg_open_scope(g, LLVMBuildCondBr(g->b, shared, inside, after));
  LLVMPositionBuilderAtEnd(g->b, inside);
  load_rows(g, &t, fill, out);
  LLVMBasicBlockRef end = LLVMGetInsertBlock(g->b);
  LLVMBuildBr(g->b, after);
  cg_close_scope(g);
  LLVMPositionBuilderAtEnd(g->b, after);
  for (uint32_t i = 0; i < rows * out->n_chunks; i++) {
    LLVMValueRef none = cg_splat_const(fill, cg_lanes(out->v[i]));
    out->v[i] = cg_phi(g, out->v[i], end, none, from);
  }
  return out;
}

static void store_rows(cg *g, const tile_access *t, const cg_tile *x) {
  for (uint32_t r = 0; r < t->rows; r++) {
    row_access row = row_of(g, t, r);
    for (uint32_t j = 0; j < cg_chunks(g, t->cols); j++) {
      store_chunk(g, &row, cg_part(g, x, r, j, t->cols), j * g->vl, cg_chunk_lanes(g, t->cols, j));
    }
  }
}

void cg_store_at(cg *g, const kir_buffer *buf, const idx *offset, const cg_tile *x, uint32_t rows, uint32_t cols,
                 kir_where w) {
  tile_access t = prepare(g, buf, offset, rows, cols, w);
  LLVMValueRef shared = shared_condition(g, &t);
  if (shared == NULL) {
    store_rows(g, &t, x);
  } else {
    cg_flush(g);
    LLVMBasicBlockRef inside = cg_block(g, "store"), after = cg_block(g, "stored");
    cg_open_scope(g, LLVMBuildCondBr(g->b, shared, inside, after));
    LLVMPositionBuilderAtEnd(g->b, inside);
    store_rows(g, &t, x);
    LLVMBuildBr(g->b, after);
    cg_close_scope(g);
    LLVMPositionBuilderAtEnd(g->b, after);
  }
  g->n_stores++;
}

cg_tile *cg_load(cg *g, kir_access acc, uint32_t rows, uint32_t cols, kir_where w, scalar otherwise) {
  if (cg_is_turned(g, acc, rows, cols)) return cg_load_turned(g, acc, rows, cols, w, otherwise);
  return cg_load_at(g, acc.buf, kir_offset(g->k, acc), rows, cols, w, otherwise);
}

void cg_store(cg *g, kir_access acc, const cg_tile *x, uint32_t rows, uint32_t cols, kir_where w) {
  if (cg_is_turned(g, acc, rows, cols)) cg_store_turned(g, acc, x, rows, cols, w);
  else cg_store_at(g, acc.buf, kir_offset(g->k, acc), x, rows, cols, w);
}
