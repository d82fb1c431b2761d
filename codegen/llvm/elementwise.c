// Elementwise operators on values in registers, scalars and vectors alike.
//
// The meaning of each is in ir/ops.def and ir/scalar.c. f16 and bf16 compute in f32 (or what the function computes in)
// and round once at the end. Deviation: min and max of -0 and +0 give either.
#include "codegen/llvm/math.h"

#include <math.h>

// -- integers --

static bool is_unsigned(dtype dt) { return dt == DT_u8; }

static int64_t least(dtype dt) { return dt == DT_i8 ? INT8_MIN : dt == DT_i32 ? INT32_MIN : INT64_MIN; }

// The exponent of a constant power of two, -1 for other divisors.
static int exponent_of(LLVMValueRef y) {
  if (!LLVMIsConstant(y)) return -1;
  LLVMValueRef one = cg_lanes(y) == 1 ? y : LLVMGetAggregateElement(y, 0);
  if (one == NULL || !LLVMIsAConstantInt(one)) return -1;
  for (uint32_t i = 1; i < cg_lanes(y); i++)
    if (LLVMGetAggregateElement(y, i) != one) return -1;
  int64_t v = LLVMConstIntGetSExtValue(one);
  return v > 0 && (v & (v - 1)) == 0 ? __builtin_ctzll((unsigned long long)v) : -1;
}

// Rounded towards -inf; 0 for a divisor 0. The division instruction traps at 0 and at MIN / -1: both divide by 1
// instead.
static LLVMValueRef int_divide(cg *g, op_code op, dtype dt, LLVMValueRef x, LLVMValueRef y) {
  LLVMValueRef zero = cg_int(g, x, 0), one = cg_int(g, x, 1), by_zero = cg_icmp(g, LLVMIntEQ, y, zero);
  int exponent = is_unsigned(dt) ? -1 : exponent_of(y);
  if (exponent >= 0 && op == OP_mod) return cg_and(g, x, cg_int(g, x, (INT64_C(1) << exponent) - 1));
  if (exponent >= 0) return LLVMBuildAShr(g->b, x, cg_int(g, x, exponent), "");
  if (is_unsigned(dt)) {
    LLVMValueRef d = cg_select(g, by_zero, one, y);
    if (op == OP_mod) return LLVMBuildURem(g->b, x, d, ""); // x % 1 is 0
    return cg_select(g, by_zero, zero, LLVMBuildUDiv(g->b, x, d, ""));
  }
  LLVMValueRef wraps =
      cg_and(g, cg_icmp(g, LLVMIntEQ, x, cg_int(g, x, least(dt))), cg_icmp(g, LLVMIntEQ, y, cg_int(g, y, -1)));
  LLVMValueRef d = cg_select(g, cg_or(g, by_zero, wraps), one, y); // MIN / 1 is what MIN / -1 wraps to
  LLVMValueRef q = LLVMBuildSDiv(g->b, x, d, ""), r = cg_sub(g, x, cg_mul(g, q, d));
  LLVMValueRef crossed = cg_icmp(g, LLVMIntSLT, LLVMBuildXor(g->b, r, d, ""), zero);
  crossed = cg_and(g, crossed, cg_icmp(g, LLVMIntNE, r, zero));
  if (op == OP_mod) return cg_select(g, crossed, cg_add(g, r, d), r);
  q = cg_select(g, crossed, cg_sub(g, q, one), q);
  return cg_select(g, by_zero, zero, q);
}

static LLVMValueRef xor3(cg *g, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z) {
  return LLVMBuildXor(g->b, LLVMBuildXor(g->b, x, y, ""), z, "");
}

// The product of 32-bit words, low and high.
static void wide_product(cg *g, LLVMValueRef x, int64_t k, LLVMValueRef *low, LLVMValueRef *high) {
  LLVMTypeRef narrow = LLVMTypeOf(x), wide = LLVMInt64TypeInContext(g->ctx);
  if (cg_lanes(x) > 1) wide = LLVMVectorType(wide, cg_lanes(x));
  LLVMValueRef p = LLVMBuildZExt(g->b, x, wide, "");
  p = cg_mul(g, p, cg_int(g, p, k));
  *low = LLVMBuildTrunc(g->b, p, narrow, "");
  *high = LLVMBuildTrunc(g->b, cg_lshr(g, p, 32), narrow, "");
}

// op_random_bits of ir/scalar.c: the whole block for each element, of which it takes one word.
static LLVMValueRef philox(cg *g, LLVMValueRef index, LLVMValueRef seed) {
  LLVMValueRef zero = cg_int(g, index, 0), x[4] = {cg_lshr(g, index, 2), zero, zero, zero}, low[2], high[2];
  LLVMValueRef key0 = seed;
  for (uint32_t round = 0, key1 = 0; round < 10; round++, key1 += 0xBB67AE85u) {
    wide_product(g, x[0], 0xD2511F53, &low[0], &high[0]);
    wide_product(g, x[2], 0xCD9E8D57, &low[1], &high[1]);
    x[0] = xor3(g, high[1], x[1], key0);
    x[1] = low[1];
    x[2] = xor3(g, high[0], x[3], cg_int(g, zero, (int32_t)key1));
    x[3] = low[0];
    key0 = cg_add(g, key0, cg_int(g, key0, (int32_t)0x9E3779B9));
  }
  LLVMValueRef word = cg_and(g, index, cg_int(g, index, 3)), v = x[0];
  for (int i = 1; i < 4; i++) v = cg_select(g, cg_icmp(g, LLVMIntEQ, word, cg_int(g, word, i)), x[i], v);
  return cg_lshr(g, v, 9);
}

static LLVMValueRef int_op(cg *g, op_code op, dtype dt, LLVMValueRef *x) {
  bool u = is_unsigned(dt);
  LLVMValueRef zero = cg_int(g, x[0], 0);
  switch ((int)op) {
  case OP_neg: return cg_neg(g, x[0]);
  case OP_abs: return u ? x[0] : cg_select(g, cg_icmp(g, LLVMIntSLT, x[0], zero), cg_neg(g, x[0]), x[0]);
  case OP_sign: {
    LLVMValueRef some = cg_select(g, cg_icmp(g, LLVMIntNE, x[0], zero), cg_int(g, zero, 1), zero);
    return u ? some : cg_select(g, cg_icmp(g, LLVMIntSLT, x[0], zero), cg_int(g, zero, -1), some);
  }
  case OP_add: return cg_add(g, x[0], x[1]);
  case OP_sub: return cg_sub(g, x[0], x[1]);
  case OP_mul: return cg_mul(g, x[0], x[1]);
  case OP_floordiv:
  case OP_mod: return int_divide(g, op, dt, x[0], x[1]);
  case OP_min: return cg_select(g, cg_icmp(g, u ? LLVMIntULT : LLVMIntSLT, x[0], x[1]), x[0], x[1]);
  case OP_max: return cg_select(g, cg_icmp(g, u ? LLVMIntUGT : LLVMIntSGT, x[0], x[1]), x[0], x[1]);
  case OP_eq: return cg_icmp(g, LLVMIntEQ, x[0], x[1]);
  case OP_lt: return cg_icmp(g, u ? LLVMIntULT : LLVMIntSLT, x[0], x[1]);
  case OP_le: return cg_icmp(g, u ? LLVMIntULE : LLVMIntSLE, x[0], x[1]);
  case OP_philox: return philox(g, x[0], x[1]);
  default: return NULL;
  }
}

static LLVMValueRef bool_op(cg *g, op_code op, LLVMValueRef *x) {
  switch ((int)op) {
  case OP_not: return LLVMBuildNot(g->b, x[0], "");
  case OP_and: return cg_and(g, x[0], x[1]);
  case OP_or: return cg_or(g, x[0], x[1]);
  case OP_eq:
    return LLVMBuildNot(g->b, LLVMBuildXor(g->b, x[0], x[1], ""), ""); // icmp of <n x i1>: LLVM 19 does not end (AVX2)
  default: return NULL;
  }
}

// -- floats: f32 and f64 --

static bool is_number(LLVMValueRef x) { // a constant splat that is no NaN
  if (!LLVMIsConstant(x)) return false;
  LLVMValueRef one = cg_lanes(x) == 1 ? x : LLVMGetAggregateElement(x, 0);
  LLVMBool lossy;
  return one != NULL && LLVMIsAConstantFP(one) != NULL && !isnan(LLVMConstRealGetDouble(one, &lossy));
}

// NaN if either is. `x < y ? x : y` is one instruction, which gives y when either is NaN.
static LLVMValueRef float_min_max(cg *g, op_code op, LLVMValueRef x, LLVMValueRef y) {
  if (is_number(y)) { // then x must come second
    LLVMValueRef swap = x;
    x = y;
    y = swap;
  }
  LLVMValueRef v = cg_select(g, cg_fcmp(g, op == OP_min ? LLVMRealOLT : LLVMRealOGT, x, y), x, y);
  return is_number(x) ? v : cg_select(g, cg_fcmp(g, LLVMRealUNO, x, x), x, v);
}

static LLVMValueRef float_sign(cg *g, LLVMValueRef x) {
  LLVMValueRef zero = cg_real(g, x, 0);
  LLVMValueRef v = cg_select(g, cg_fcmp(g, LLVMRealOLT, x, zero), cg_real(g, x, -1), x);
  return cg_select(g, cg_fcmp(g, LLVMRealOGT, x, zero), cg_real(g, x, 1), v);
}

static LLVMValueRef transcendental(cg *g, op_code op, LLVMValueRef x, LLVMValueRef y) {
  if (cg_is_double(g, x)) return cg_libm(g, op, x, y);
  switch ((int)op) {
  case OP_exp: return cg_exp(g, x);
  case OP_expm1: return cg_expm1(g, x);
  case OP_log: return cg_log(g, x);
  case OP_log1p: return cg_log1p(g, x);
  case OP_sin:
  case OP_cos:
  case OP_tan: return cg_trig(g, op, x);
  case OP_atan: return cg_atan(g, x);
  case OP_tanh: return cg_tanh(g, x);
  case OP_sigmoid: return cg_sigmoid(g, x);
  case OP_erf: return cg_erf(g, x);
  case OP_erfinv: return cg_erfinv(g, x);
  case OP_pow: return cg_pow(g, x, y);
  default: return NULL;
  }
}

static LLVMValueRef float_op(cg *g, op_code op, LLVMValueRef *x) {
  switch ((int)op) {
  case OP_neg: return cg_neg(g, x[0]);
  case OP_abs: return cg_abs(g, x[0]);
  case OP_sign: return float_sign(g, x[0]);
  case OP_floor:
  case OP_ceil:
  case OP_round_even:
  case OP_round_away: return cg_rounding(g, op, x[0]);
  case OP_sqrt: return cg_sqrt(g, x[0]);
  case OP_rsqrt: return cg_is_double(g, x[0]) ? cg_div(g, cg_real(g, x[0], 1), cg_sqrt(g, x[0])) : cg_rsqrt(g, x[0]);
  case OP_isnan: return cg_fcmp(g, LLVMRealUNO, x[0], x[0]);
  case OP_isinf: return cg_fcmp(g, LLVMRealOEQ, cg_abs(g, x[0]), cg_real(g, x[0], HUGE_VAL));
  case OP_add: return cg_add(g, x[0], x[1]);
  case OP_sub: return cg_sub(g, x[0], x[1]);
  case OP_mul: return cg_mul(g, x[0], x[1]);
  case OP_div: return cg_div(g, x[0], x[1]);
  case OP_floordiv:
  case OP_mod: return cg_quotient(g, op, x[0], x[1]);
  case OP_min:
  case OP_max: return float_min_max(g, op, x[0], x[1]);
  case OP_eq: return cg_fcmp(g, LLVMRealOEQ, x[0], x[1]);
  case OP_lt: return cg_fcmp(g, LLVMRealOLT, x[0], x[1]);
  case OP_le: return cg_fcmp(g, LLVMRealOLE, x[0], x[1]);
  default: return transcendental(g, op, x[0], x[1]);
  }
}

// -- all --

LLVMValueRef cg_elementwise(cg *g, op_code op, dtype in, dtype out, LLVMValueRef *x) {
  if (op == OP_cast) return cg_convert(g, in, out, x[0]);
  if (op == OP_where) return cg_select(g, x[0], x[1], x[2]);
  if (in == DT_bool) return bool_op(g, op, x);
  if (dtype_is_int(in)) return int_op(g, op, in, x);
  bool binary = op_get(op)->cls == OPC_binary;
  LLVMValueRef wide[2] = {cg_widen(g, in, x[0]), binary ? cg_widen(g, in, x[1]) : NULL};
  LLVMValueRef v = float_op(g, op, wide);
  return out == DT_bool ? v : cg_round(g, out, v);
}

LLVMValueRef cg_multiply_add(cg *g, dtype dt, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z) {
  if (!dtype_is_float(dt)) return cg_add(g, cg_mul(g, x, y), z);
  return cg_round(g, dt, cg_fma(g, cg_widen(g, dt, x), cg_widen(g, dt, y), cg_widen(g, dt, z)));
}

// -- statements --

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

static dtype operand_dtype(const cg_tile *t) { return t->in[t->def->kind == KIR_op && t->def->op == OP_where]->dt; }

void cg_elementwise_stmt(cg *g, const kir_stmt *s) {
  uint32_t rows = 1, cols = 1;
  for (uint32_t i = 0; i < s->n_in; i++) {
    rows = larger(rows, cg_get(g, s->in[i])->rows);
    cols = larger(cols, cg_get(g, s->in[i])->cols);
  }
  cg_tile *out = cg_tile_new(g, s->out->dt, rows, cols);
  out->def = s;
  for (uint32_t i = 0; i < s->n_in; i++) out->in[i] = cg_get(g, s->in[i]);
  cg_set(g, s->out, out);
  vec_push(g->a, &g->pending, out);
}

LLVMValueRef cg_elementwise_chunk(cg *g, const cg_tile *t, size_t i) {
  const kir_stmt *s = t->def;
  LLVMValueRef x[3] = {NULL, NULL, NULL};
  uint32_t r = (uint32_t)(i / t->n_chunks), j = (uint32_t)(i % t->n_chunks);
  for (uint32_t p = 0; p < s->n_in; p++) x[p] = cg_part(g, t->in[p], r, j, t->cols);
  dtype in = operand_dtype(t);
  return s->kind == KIR_fma ? cg_multiply_add(g, in, x[0], x[1], x[2]) : cg_elementwise(g, s->op, in, t->dt, x);
}

void cg_flush(cg *g) { // the last first: each value is followed through its whole chain
  while (g->pending.n > 0) {
    const cg_tile *t = vec_pop(&g->pending);
    for (size_t i = 0; i < (size_t)t->rows * t->n_chunks; i++) (void)cg_chunk(g, t, i);
  }
}
