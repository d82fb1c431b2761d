// Rounding to integers, and what divides into integers: floor, ceil, round, floordiv, mod. Exact.
//
// The rounding instructions came with SSE 4.1. At the baseline level adding and subtracting 2^23 (2^52 in f64) rounds
// to nearest even; the others follow from that by comparing.
#include "codegen/llvm/math.h"

#include <math.h>

static LLVMValueRef nearest(cg *g, LLVMValueRef x) {
  if (g->t->level >= CPU_x86_64_v3) return cg_unary_intrinsic(g, "llvm.roundeven", x);
  LLVMValueRef size = cg_abs(g, x), unit = cg_real(g, x, cg_is_double(g, x) ? 0x1p52 : 0x1p23);
  LLVMValueRef r = cg_sub(g, cg_add(g, size, unit), unit); // from there on every number is an integer
  return cg_copysign(g, cg_select(g, cg_fcmp(g, LLVMRealOLT, size, unit), r, size), x);
}

static LLVMValueRef floor_or_ceil(cg *g, op_code op, LLVMValueRef x) {
  if (g->t->level >= CPU_x86_64_v3) return cg_unary_intrinsic(g, op == OP_floor ? "llvm.floor" : "llvm.ceil", x);
  LLVMValueRef r = nearest(g, x), wrong = cg_fcmp(g, op == OP_floor ? LLVMRealOGT : LLVMRealOLT, r, x);
  LLVMValueRef moved = cg_add(g, r, cg_real(g, x, op == OP_floor ? -1 : 1));
  return cg_copysign(g, cg_select(g, wrong, moved, r), x); // a zero has the sign of x
}

static LLVMValueRef truncate(cg *g, LLVMValueRef x) {
  if (g->t->level >= CPU_x86_64_v3) return cg_unary_intrinsic(g, "llvm.trunc", x);
  return cg_copysign(g, floor_or_ceil(g, OP_floor, cg_abs(g, x)), x);
}

LLVMValueRef cg_rounding(cg *g, op_code op, LLVMValueRef x) {
  if (op == OP_round_even) return nearest(g, x);
  if (op == OP_floor || op == OP_ceil) return floor_or_ceil(g, op, x);
  LLVMValueRef size = cg_abs(g, x), whole = truncate(g, size);
  LLVMValueRef up = cg_fcmp(g, LLVMRealOGE, cg_sub(g, size, whole), cg_real(g, x, 0.5)); // the difference is exact
  return cg_copysign(g, cg_select(g, up, cg_add(g, whole, cg_real(g, x, 1)), whole), x);
}

// -- remainders --

// |x| modulo |y|, exact, for f32 values in f64: while the quotient q has more than 28 bits, y*2^k with a 28-bit
// quotient is taken off instead, k from q's exponent. Products of 28 and 24 bits are exact, and so is each difference.
// One round nearly always, ten at worst.
static LLVMValueRef remainder_of(cg *g, LLVMValueRef x, LLVMValueRef y) {
  LLVMBasicBlockRef from = LLVMGetInsertBlock(g->b), again = cg_block(g, "reduce"), after = cg_block(g, "remainder");
  LLVMBuildBr(g->b, again);
  LLVMPositionBuilderAtEnd(g->b, again);
  LLVMValueRef left = LLVMBuildPhi(g->b, LLVMTypeOf(x), "");
  LLVMValueRef q = cg_div(g, left, y), bits = cg_bits(g, q);
  LLVMValueRef exponent = cg_lshr(g, bits, 52), limit = cg_int(g, bits, 1023 + 27);
  LLVMValueRef excess =
      cg_select(g, cg_icmp(g, LLVMIntUGT, exponent, limit), cg_sub(g, exponent, limit), cg_int(g, bits, 0));
  LLVMValueRef scale = cg_from_bits(g, cg_shl(g, cg_add(g, excess, cg_int(g, bits, 1023)), 52));
  LLVMValueRef step = cg_mul(g, y, scale), times = truncate(g, cg_div(g, left, step));
  LLVMValueRef rest = cg_sub(g, left, cg_mul(g, times, step));
  LLVMValueRef below = cg_fcmp(g, LLVMRealOLT, rest, cg_real(g, rest, 0)); // the quotient was rounded up
  rest = cg_select(g, below, cg_add(g, rest, step), rest);
  LLVMValueRef more = cg_any(g, cg_fcmp(g, LLVMRealOGE, rest, y));
  LLVMAddIncoming(left, (LLVMValueRef[]){x, rest}, (LLVMBasicBlockRef[]){from, again}, 2);
  LLVMBuildCondBr(g->b, more, again, after);
  LLVMPositionBuilderAtEnd(g->b, after);
  return rest;
}

// r of C's fmod: the sign of x.
static LLVMValueRef fmod_f64(cg *g, LLVMValueRef x, LLVMValueRef y) {
  LLVMValueRef size = cg_abs(g, x), divisor = cg_abs(g, y), inf = cg_real(g, x, HUGE_VAL);
  // inf, NaN and zero divisors must not keep other lanes in the loop: they go through as 1
  LLVMValueRef usual = cg_and(g, cg_fcmp(g, LLVMRealOLT, size, inf), cg_fcmp(g, LLVMRealOLT, divisor, inf));
  usual = cg_and(g, usual, cg_fcmp(g, LLVMRealOGT, divisor, cg_real(g, x, 0)));
  LLVMValueRef one = cg_real(g, x, 1);
  LLVMValueRef r = remainder_of(g, cg_select(g, usual, size, one), cg_select(g, usual, divisor, one));
  LLVMValueRef none = cg_fcmp(g, LLVMRealOEQ, divisor, inf); // x itself, unless it is inf too
  LLVMValueRef finite = cg_fcmp(g, LLVMRealOLT, size, inf);
  LLVMValueRef odd = cg_select(g, cg_and(g, none, finite), size, cg_real(g, x, (double)NAN));
  return cg_copysign(g, cg_select(g, usual, r, odd), x);
}

static LLVMValueRef signs_differ(cg *g, LLVMValueRef x, LLVMValueRef y) { // of nonzero numbers
  LLVMValueRef zero = cg_real(g, x, 0);
  return LLVMBuildXor(g->b, cg_fcmp(g, LLVMRealOLT, x, zero), cg_fcmp(g, LLVMRealOLT, y, zero), "");
}

// As the operators' definition (ir/scalar.c), on the exact remainder. f64 takes that from libm.
LLVMValueRef cg_quotient(cg *g, op_code op, LLVMValueRef x, LLVMValueRef y) {
  bool wide = cg_is_double(g, x);
  x = cg_to_f64(g, x);
  y = cg_to_f64(g, y);
  LLVMValueRef zero = cg_real(g, x, 0), r = wide ? cg_libm(g, OP_mod, x, y) : fmod_f64(g, x, y);
  LLVMValueRef whole = cg_fcmp(g, LLVMRealOEQ, r, zero);
  LLVMValueRef crossed = cg_and(g, cg_fcmp(g, LLVMRealUNE, r, zero), signs_differ(g, r, y));
  if (op == OP_mod) return cg_select(g, whole, zero, cg_select(g, crossed, cg_add(g, r, y), r));
  LLVMValueRef q = cg_div(g, cg_sub(g, x, r), y), ratio = cg_div(g, x, y);
  q = nearest(g, cg_select(g, crossed, cg_sub(g, q, cg_real(g, q, 1)), q));
  q = cg_select(g, cg_fcmp(g, LLVMRealOEQ, q, zero), cg_copysign(g, zero, ratio), q);
  LLVMValueRef infinite = cg_fcmp(g, LLVMRealOEQ, cg_abs(g, x), cg_real(g, x, HUGE_VAL));
  LLVMValueRef simple = cg_or(g, cg_fcmp(g, LLVMRealOEQ, y, zero), infinite);
  return cg_select(g, simple, floor_or_ceil(g, OP_floor, ratio), q);
}
