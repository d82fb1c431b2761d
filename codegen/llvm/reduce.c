// Row reductions.
//
// Reductions combine in a fixed order, whatever the values: the row's whole vectors pairwise, the halves of the vector
// that is left, and last the shorter tail. Sums and products of f16 and bf16 are kept in f32 and rounded once.
#include "codegen/llvm/cg.h"

typedef struct reduction {
  op_code op; // of two values
  dtype dt;
} reduction;

static LLVMValueRef combine(cg *g, reduction k, LLVMValueRef x, LLVMValueRef y) {
  return cg_elementwise(g, k.op, k.dt, k.dt, (LLVMValueRef[]){x, y});
}

static LLVMValueRef lanes_from(cg *g, LLVMValueRef x, uint32_t first, uint32_t n) {
  if (n == 1) return cg_extract(g, x, first);
  return LLVMBuildShuffleVector(g->b, x, LLVMGetPoison(LLVMTypeOf(x)), cg_lane_numbers(g, first, n), "");
}

static LLVMValueRef reduce_lanes(cg *g, reduction k, LLVMValueRef x) {
  uint32_t n = cg_lanes(x), half = 1;
  if (n == 1) return x;
  while (2 * half < n) half *= 2;
  LLVMValueRef low = lanes_from(g, x, 0, half), high = lanes_from(g, x, half, n - half);
  if (n == 2 * half) return reduce_lanes(g, k, combine(g, k, low, high));
  return combine(g, k, reduce_lanes(g, k, low), reduce_lanes(g, k, high));
}

static LLVMValueRef reduce_row(cg *g, reduction k, LLVMValueRef *v, uint32_t n) {
  LLVMValueRef tail = NULL;
  if (n > 1 && cg_lanes(v[n - 1]) != cg_lanes(v[0])) tail = v[--n];
  while (n > 1) {
    uint32_t half = n / 2;
    for (uint32_t i = 0; i < half; i++) v[i] = combine(g, k, v[i], v[i + n - half]);
    n -= half;
  }
  LLVMValueRef x = reduce_lanes(g, k, v[0]);
  return tail == NULL ? x : combine(g, k, x, reduce_lanes(g, k, tail));
}

void cg_reduce(cg *g, const kir_stmt *s) {
  const cg_tile *x = cg_get(g, s->in[0]);
  bool widen = x->dt == DT_f16 || x->dt == DT_bf16;
  op_code op = s->op == OP_sum ? OP_add : s->op == OP_prod ? OP_mul : s->op == OP_amax ? OP_max : OP_min;
  reduction k = {op, widen ? DT_f32 : x->dt};
  cg_tile *out = cg_tile_new(g, x->dt, x->rows, 1);
  LLVMValueRef *v = ARENA_ARRAY(g->a, LLVMValueRef, x->n_chunks);
  for (uint32_t r = 0; r < x->rows; r++) {
    for (uint32_t j = 0; j < x->n_chunks; j++) v[j] = cg_widen(g, x->dt, cg_chunk(g, x, (size_t)r * x->n_chunks + j));
    LLVMValueRef total = reduce_row(g, k, v, x->n_chunks);
    out->v[r] = widen ? cg_round(g, x->dt, total) : total;
  }
  cg_set(g, s->out, out);
}
