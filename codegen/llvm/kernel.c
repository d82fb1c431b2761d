// One kernel as one function: its frame, the loop over grid points, the layout of group scratch.
//
//   entry: if begin >= end return       start: what depends on symbols only; coordinates of `begin` by division
//   grid:  coordinates are phis, counted up like an odometer; the body; next grid point
#include "codegen/llvm/math.h"
#include "ir/libm.h"

#include <string.h>

// -- what this back end does not do --

// Distinct names are the caller's promise; that none is a libm routine's is nobody's.
static bool name_is_free(const cg *g, const char *name) {
  return libm_find(name) == NULL && LLVMGetNamedFunction(g->mod, name) == NULL;
}

static bool supported(cg *g, kir_kernel *k) {
  if (!name_is_free(g, k->name)) {
    diag_at(g->l, NO_SPAN, codegen_name, k->name);
    return false;
  }
  for (uint32_t i = 0; i < k->n_workers; i++) {
    if (k->worker_extent[i] == 1) continue;
    diag_at(g->l, NO_SPAN, codegen_workers, k->name, (long long)k->worker_extent[i]);
    return false;
  }
  return true;
}

// -- scratch: each group buffer begins on a cache line --

static bool lay_out_scratch(cg *g, kir_kernel *k, size_t *bytes) {
  enum { LINE = 64, MOST = 1 << 30 };
  g->group_offset = ARENA_ARRAY(g->a, size_t, k->group.n);
  *bytes = 0;
  for (size_t i = 0; i < k->group.n; i++) {
    const kir_buffer *b = k->group.at[i];
    uint64_t size = dtype_size(b->dt);
    g->group_offset[i] = *bytes;
    for (uint32_t d = 0; d < b->rank; d++) {
      int64_t n = 0;
      bool fits = idx_is_const(b->dim[d], &n) && n >= 0 && n <= MOST && (size *= (uint64_t)n) <= MOST;
      if (fits) continue;
      diag_at(g->l, NO_SPAN, codegen_scratch, k->name, b->name);
      return false;
    }
    *bytes += (size + LINE - 1) / LINE * LINE;
    if (*bytes > MOST) {
      diag_at(g->l, NO_SPAN, codegen_scratch, k->name, b->name);
      return false;
    }
  }
  return true;
}

// -- the function --

static void add_attribute(cg *g, const char *key, const char *value) {
  LLVMAttributeRef a = LLVMCreateStringAttribute(g->ctx, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
  LLVMAddAttributeAtIndex(g->fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

static void declare(cg *g, const kir_kernel *k) {
  LLVMTypeRef args[CG_KERNEL_ARGS] = {g->ptr, g->ptr, g->ptr, g->i64, g->i64, g->ptr, g->ptr};
  g->fn = LLVMAddFunction(g->mod, k->name, LLVMFunctionType(g->void_type, args, CG_KERNEL_ARGS, false));
  LLVMSetVisibility(g->fn, LLVMHiddenVisibility); // found inside one library, never outside
  static const char *const names[CG_KERNEL_ARGS] = {"buffers", "symbols", "grid", "begin", "end", "scratch", "fault"};
  for (unsigned i = 0; i < CG_KERNEL_ARGS; i++) {
    g->arg[i] = LLVMGetParam(g->fn, i);
    LLVMSetValueName2(g->arg[i], names[i], strlen(names[i]));
  }
  unsigned nounwind = LLVMGetEnumAttributeKindForName("nounwind", strlen("nounwind"));
  LLVMAttributeRef a = LLVMCreateEnumAttribute(g->ctx, nounwind, 0);
  LLVMAddAttributeAtIndex(g->fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
  const char *bits = g->t->vector_bytes == 64 ? "512" : g->t->vector_bytes == 32 ? "256" : "128";
  add_attribute(g, "prefer-vector-width", bits);
  add_attribute(g, "min-legal-vector-width", bits);
}

static void reset(cg *g, kir_kernel *k) {
  g->k = k;
  g->symbols = map_new(g->a);
  g->tiles = map_new(g->a);
  g->numbers = map_new(g->a);
  g->scopes.n = g->bound.n = g->pending.n = 0;
  g->serial = 0;
  g->dummy = NULL;
  g->guard = NULL;
  g->n_stores = 0;
  g->view = (cg_view){0};
  cg_find_matrices(g);
}

// -- the grid --

typedef struct grid {
  LLVMValueRef extent[3], first[3], phi[3], at[3], g_phi, g; // i64; `g` the linear number
  LLVMBasicBlockRef start, body;
} grid;

// The coordinates of `begin`. The grid has points, so no extent is zero.
static void decode(cg *g, grid *w) {
  uint32_t n = g->k->n_grid;
  LLVMValueRef left = g->arg[ARG_begin];
  for (uint32_t i = n; i-- > 0;) {
    LLVMValueRef place = LLVMBuildGEP2(g->b, g->i64, g->arg[ARG_grid], (LLVMValueRef[]){cg_i64(g, i)}, 1, "");
    w->extent[i] = LLVMBuildLoad2(g->b, g->i64, place, "extent");
    w->first[i] = i == 0 ? left : LLVMBuildURem(g->b, left, w->extent[i], "");
    if (i > 0) left = LLVMBuildUDiv(g->b, left, w->extent[i], "");
  }
}

static void open_grid(cg *g, grid *w) {
  LLVMBasicBlockRef done = cg_block(g, "return");
  g->entry = LLVMGetInsertBlock(g->b);
  w->start = cg_block(g, "start");
  w->body = cg_block(g, "grid");
  LLVMBuildCondBr(g->b, cg_icmp(g, LLVMIntSLT, g->arg[ARG_begin], g->arg[ARG_end]), w->start, done);
  LLVMPositionBuilderAtEnd(g->b, done);
  LLVMBuildRetVoid(g->b);
  LLVMPositionBuilderAtEnd(g->b, w->start);
  cg_matrices_open(g);
  cg_open_scope(g, NULL);
  decode(g, w);
  LLVMValueRef branch = LLVMBuildBr(g->b, w->body);
  LLVMPositionBuilderAtEnd(g->b, w->body);
  w->g_phi = LLVMBuildPhi(g->b, g->i64, "point");
  for (uint32_t i = 0; i < g->k->n_grid; i++) w->phi[i] = LLVMBuildPhi(g->b, g->i64, g->k->grid[i]->name);
  w->g = cg_hidden(g, w->g_phi);
  for (uint32_t i = 0; i < g->k->n_grid; i++) w->at[i] = cg_hidden(g, w->phi[i]);
  cg_open_scope(g, branch);
  for (uint32_t i = 0; i < g->k->n_grid; i++) cg_bind(g, g->k->grid[i], (cg_value){w->at[i], 1});
  for (uint32_t i = 0; i < g->k->n_workers; i++) cg_bind(g, g->k->workers[i], cg_constant(g, 0));
}

static void close_grid(cg *g, grid *w) {
  LLVMValueRef carry = cg_i64(g, 1), next = cg_add(g, w->g, carry);
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(g->b), incoming[2] = {w->start, latch};
  for (uint32_t i = g->k->n_grid; i-- > 0;) { // the last runs fastest
    LLVMValueRef up = cg_add(g, w->at[i], carry);
    if (i > 0) {
      LLVMValueRef wraps = cg_icmp(g, LLVMIntEQ, up, w->extent[i]);
      up = cg_select(g, wraps, cg_i64(g, 0), up);
      carry = LLVMBuildZExt(g->b, wraps, g->i64, "");
    }
    LLVMAddIncoming(w->phi[i], (LLVMValueRef[]){w->first[i], up}, incoming, 2);
  }
  LLVMAddIncoming(w->g_phi, (LLVMValueRef[]){g->arg[ARG_begin], next}, incoming, 2);
  LLVMBasicBlockRef out = cg_block(g, "end");
  LLVMBuildCondBr(g->b, cg_icmp(g, LLVMIntSLT, next, g->arg[ARG_end]), w->body, out);
  LLVMPositionBuilderAtEnd(g->b, out);
  cg_matrices_close(g);
  LLVMBuildRetVoid(g->b);
}

bool cg_kernel(cg *g, kir_kernel *k, size_t *scratch_bytes) {
  if (!supported(g, k) || !lay_out_scratch(g, k, scratch_bytes)) return false;
  reset(g, k);
  declare(g, k);
  LLVMPositionBuilderAtEnd(g->b, cg_block(g, "entry"));
  grid w = {0};
  open_grid(g, &w);
  cg_stmts(g, &k->body);
  close_grid(g, &w);
  return true;
}
