// Sums of products.
//
// `pairs` and `quads` are one instruction each where the target has it (AVX512_BF16, AVX512_VNNI). Of VDPBF16PS the
// manual says that it takes subnormal numbers as zero and rounds after each product: its sums differ from those made in
// steps in their last bits.
#include "codegen/llvm/cg.h"

// acc[r, c] + Σ a[r, k]*b[k, c] of bf16, widened to f32: fused steps in the order of k.
static void sum_depth(cg *g, const kir_stmt *s) {
  const cg_tile *acc = cg_get(g, s->in[0]), *a = cg_get(g, s->in[1]), *b = cg_get(g, s->in[2]);
  cg_tile *out = cg_tile_new(g, acc->dt, acc->rows, acc->cols);
  for (size_t i = 0; i < (size_t)out->rows * out->n_chunks; i++) out->v[i] = cg_chunk(g, acc, i);
  for (uint32_t k = 0; k < a->cols; k++)
    for (uint32_t r = 0; r < out->rows; r++) {
      LLVMValueRef row = cg_chunk(g, a, (size_t)r * a->n_chunks + k / g->vl);
      LLVMValueRef x = cg_widen(g, DT_bf16, cg_extract(g, row, k % g->vl));
      for (uint32_t j = 0; j < out->n_chunks; j++) {
        LLVMValueRef y = cg_widen(g, DT_bf16, cg_chunk(g, b, (size_t)k * b->n_chunks + j));
        size_t at = (size_t)r * out->n_chunks + j;
        out->v[at] = cg_multiply_add(g, DT_f32, cg_splat(g, x, cg_lanes(y)), y, out->v[at]);
      }
    }
  cg_set(g, s->out, out);
}

// -- interleaved: the values of a column that meet one another lie side by side in one element of 32 bits --

// Chunks of a tile that lie behind each other, as one vector.
static LLVMValueRef joined(cg *g, const cg_tile *t, uint32_t first, uint32_t n) {
  LLVMValueRef x = cg_chunk(g, t, first), last = cg_chunk(g, t, first + n - 1);
  if (n == 1) return x;
  if (cg_lanes(last) == cg_lanes(x) && n % 2 == 0) {
    LLVMValueRef low = joined(g, t, first, n / 2), high = joined(g, t, first + n / 2, n / 2);
    return LLVMBuildShuffleVector(g->b, low, high, cg_lane_numbers(g, 0, 2 * cg_lanes(low)), "");
  }
  uint32_t lanes = (n - 1) * cg_lanes(x) + cg_lanes(last); // the end of a row
  LLVMValueRef all = LLVMGetPoison(LLVMVectorType(cg_element(x), lanes));
  for (uint32_t i = 0; i < lanes; i++)
    all = cg_insert(g, all, cg_extract(g, cg_chunk(g, t, first + i / g->vl), i % g->vl), i);
  return all;
}

static LLVMValueRef as_words(cg *g, LLVMValueRef x, uint32_t lanes) {
  return LLVMBuildBitCast(g->b, x, lanes == 1 ? g->i32 : LLVMVectorType(g->i32, lanes), "");
}

// One product of pairs or quads in words of x and y, by an instruction where the target and the length have one.
static LLVMValueRef by_instruction(cg *g, uint32_t side, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef y) {
  if (!g->t->has_bf16 || cg_lanes(sum) != 16) return NULL;
  if (side == 4) return cg_intrinsic(g, "llvm.x86.avx512.vpdpbusd.512", 0, NULL, 3, (LLVMValueRef[]){sum, x, y});
  LLVMTypeRef pairs = LLVMVectorType(LLVMBFloatTypeInContext(g->ctx), 32);
  LLVMValueRef in[] = {sum, LLVMBuildBitCast(g->b, x, pairs, ""), LLVMBuildBitCast(g->b, y, pairs, "")};
  return cg_intrinsic(g, "llvm.x86.avx512bf16.dpbf16ps.512", 0, NULL, 3, in);
}

static LLVMValueRef by_steps(cg *g, uint32_t side, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef y) {
  for (uint32_t k = 0; k < side; k++) {
    int64_t bits = 32 / side, above = 32 - bits * (k + 1);
    LLVMValueRef u = cg_shl(g, x, above), v = cg_shl(g, y, above);
    if (side == 2) {
      u = cg_and(g, u, cg_int(g, u, -65536)), v = cg_and(g, v, cg_int(g, v, -65536));
      sum = cg_multiply_add(g, DT_f32, cg_from_bits(g, u), cg_from_bits(g, v), sum);
    } else {
      sum = cg_add(g, sum, cg_mul(g, cg_lshr(g, u, 24), cg_ashr(g, v, 24)));
    }
  }
  return sum;
}

static void sum_interleaved(cg *g, const kir_stmt *s) {
  const cg_tile *acc = cg_get(g, s->in[0]), *a = cg_get(g, s->in[1]), *b = cg_get(g, s->in[2]);
  cg_tile *out = cg_tile_new(g, acc->dt, acc->rows, acc->cols);
  uint32_t side = kir_dot_interleaved(s);
  LLVMValueRef *y = ARENA_ARRAY(g->a, LLVMValueRef, out->n_chunks);
  for (uint32_t j = 0; j < out->n_chunks; j++) {
    uint32_t left = b->n_chunks - j * side;
    y[j] = as_words(g, joined(g, b, j * side, left < side ? left : side), cg_chunk_lanes(g, out->cols, j));
  }
  for (uint32_t r = 0; r < out->rows; r++) {
    LLVMValueRef word = as_words(g, joined(g, a, r * a->n_chunks, a->n_chunks), 1), x = NULL;
    for (uint32_t j = 0; j < out->n_chunks; j++) {
      size_t at = (size_t)r * out->n_chunks + j;
      if (x == NULL || cg_lanes(x) != cg_lanes(y[j])) x = cg_splat(g, word, cg_lanes(y[j]));
      LLVMValueRef sum = by_instruction(g, side, cg_chunk(g, acc, at), x, y[j]);
      out->v[at] = sum ? sum : by_steps(g, side, cg_chunk(g, acc, at), x, y[j]);
    }
  }
  cg_set(g, s->out, out);
}

// acc[r, c] + a[r]*b[c], one fused step. On a target without fused multiply-add the product is rounded first.
void cg_dot(cg *g, const kir_stmt *s) {
  if (cg_in_matrices(g, s->in[0])) {
    cg_matrix_dot(g, s);
    return;
  }
  if (kir_dot_is(s, "bf16")) {
    sum_depth(g, s);
    return;
  }
  if (kir_dot_interleaved(s)) {
    sum_interleaved(g, s);
    return;
  }
  const cg_tile *acc = cg_get(g, s->in[0]), *a = cg_get(g, s->in[1]), *b = cg_get(g, s->in[2]);
  cg_tile *out = cg_tile_new(g, acc->dt, acc->rows, acc->cols);
  for (uint32_t r = 0; r < out->rows; r++) {
    LLVMValueRef x = NULL;
    for (uint32_t j = 0; j < out->n_chunks; j++) {
      LLVMValueRef y = cg_chunk(g, b, j);
      if (x == NULL || cg_lanes(x) != cg_lanes(y)) x = cg_splat(g, cg_chunk(g, a, r), cg_lanes(y));
      size_t at = (size_t)r * out->n_chunks + j;
      out->v[at] = cg_multiply_add(g, acc->dt, x, y, cg_chunk(g, acc, at));
    }
  }
  cg_set(g, s->out, out);
}
