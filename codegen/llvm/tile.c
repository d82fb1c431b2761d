// Tiles in registers: chunks, element types in registers and in memory, broadcasting.
#include "codegen/llvm/cg.h"

uint32_t cg_chunks(const cg *g, uint32_t cols) { return (cols + g->vl - 1) / g->vl; }

uint32_t cg_chunk_lanes(const cg *g, uint32_t cols, uint32_t chunk) {
  uint32_t left = cols - chunk * g->vl;
  return left < g->vl ? left : g->vl;
}

// -- element types --

LLVMTypeRef cg_mem_type(const cg *g, dtype dt) {
  switch (dt) {
  case DT_f32: return g->f32;
  case DT_f64: return g->f64;
  case DT_f16:
  case DT_bf16: return g->i16;
  case DT_i8:
  case DT_u8:
  case DT_bool: return g->i8;
  case DT_i32: return g->i32;
  case DT_i64: return g->i64;
  case DT_COUNT: break;
  }
  return NULL;
}

LLVMTypeRef cg_reg_type(const cg *g, dtype dt) { return dt == DT_bool ? g->i1 : cg_mem_type(g, dt); }

LLVMValueRef cg_from_mem(cg *g, dtype dt, LLVMValueRef x) {
  return dt == DT_bool ? cg_icmp(g, LLVMIntNE, x, cg_int(g, x, 0)) : x;
}

LLVMValueRef cg_to_mem(cg *g, dtype dt, LLVMValueRef x) {
  return dt == DT_bool ? LLVMBuildZExt(g->b, x, cg_like(x, g->i8), "") : x;
}

LLVMValueRef cg_scalar(cg *g, scalar s) {
  switch (s.dt) {
  case DT_f32: return LLVMConstReal(g->f32, s.v.f);
  case DT_f64: return LLVMConstReal(g->f64, s.v.f);
  case DT_f16: return LLVMConstInt(g->i16, f64_to_f16(s.v.f), false);
  case DT_bf16: return LLVMConstInt(g->i16, f64_to_bf16(s.v.f), false);
  case DT_bool: return LLVMConstInt(g->i1, s.v.i != 0, false);
  case DT_i8:
  case DT_u8:
  case DT_i32:
  case DT_i64:
  case DT_COUNT: break;
  }
  return LLVMConstInt(cg_mem_type(g, s.dt), (uint64_t)s.v.i, true);
}

// -- tiles --

cg_tile *cg_tile_new(cg *g, dtype dt, uint32_t rows, uint32_t cols) {
  cg_tile *t = ARENA_NEW(g->a, cg_tile);
  *t = (cg_tile){.rows = rows, .cols = cols, .n_chunks = cg_chunks(g, cols), .dt = dt};
  t->v = ARENA_ARRAY(g->a, LLVMValueRef, (size_t)rows * t->n_chunks);
  return t;
}

void cg_set(cg *g, const kir_tile *t, const cg_tile *value) {
  map_put_ptr(g->tiles, t, arena_copy(g->a, value, sizeof *value));
}

const cg_tile *cg_get(cg *g, const kir_tile *t) {
  const cg_tile *value = map_get_ptr(g->tiles, t);
  BUG_IF(g->l, value == NULL, "kernel %s: tile %u has no value", g->k->name, t->id);
  return value;
}

static LLVMValueRef read_chunk(cg *g, const cg_tile *t, size_t i) {
  uint32_t r = (uint32_t)(i / t->n_chunks), j = (uint32_t)(i % t->n_chunks);
  LLVMValueRef at[] = {cg_i64(g, (int64_t)r * t->cols + j * g->vl)}, p;
  p = LLVMBuildGEP2(g->b, cg_mem_type(g, t->dt), t->memory, at, 1, "");
  LLVMValueRef v = LLVMBuildLoad2(g->b, cg_vec(cg_mem_type(g, t->dt), cg_chunk_lanes(g, t->cols, j)), p, "");
  LLVMSetAlignment(v, (unsigned)dtype_size(t->dt));
  return v;
}

LLVMValueRef cg_chunk(cg *g, const cg_tile *t, size_t i) {
  if (t->v[i] == NULL) t->v[i] = t->memory ? read_chunk(g, t, i) : cg_elementwise_chunk(g, t, i);
  return t->v[i];
}

LLVMValueRef cg_part(cg *g, const cg_tile *t, uint32_t r, uint32_t j, uint32_t cols) {
  if (t->rows == 1) r = 0;
  if (t->cols == 1) return cg_splat(g, cg_chunk(g, t, r), cg_chunk_lanes(g, cols, j));
  return cg_chunk(g, t, (size_t)r * t->n_chunks + j);
}

void cg_shape(const cg *g, uint32_t *rows, uint32_t *cols) {
  if (!g->view.active) return;
  if (*rows == g->view.rows) *rows = g->view.part_rows;
  if (*cols == g->view.cols) *cols = g->view.part_cols;
}
