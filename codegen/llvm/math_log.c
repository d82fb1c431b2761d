// log, log1p and rsqrt in f32; pow and erfinv in f64.
//
// x = 2^e * m with m in [sqrt(1/2), sqrt(2)): taken from the bits, after adding what moves sqrt(1/2) to a power of two.
// f32: log(m) is a minimax polynomial in f = m - 1, its leading terms f - f^2/2 exact enough to be added last. f64:
// log2(m) is an odd polynomial in s = (m - 1)/(m + 1). e*ln(2) is added in two parts (Cody and Waite 1980, ch. 5).
#include "codegen/llvm/math.h"
#include "codegen/llvm/math_coeffs.h"

#include <math.h>

static const double ln2_high = 0x1.62e4p-1; // times any e exact
static const double ln2_low = 0x1.7f7d1cf79abcap-20;

enum { SQRT_HALF_F32 = 0x3f3504f3 }; // the bits of sqrt(1/2)
static const int64_t sqrt_half_f64 = 0x3fe6a09e667f3bcd;
static const int64_t one_f64 = 0x3ff0000000000000;

// m of a positive normal x; *e as a float, *e_bits as an integer.
static LLVMValueRef split(cg *g, LLVMValueRef x, LLVMValueRef *e, LLVMValueRef *e_bits) {
  LLVMValueRef i = cg_bits(g, x);
  i = cg_sub(g, i, cg_int(g, i, SQRT_HALF_F32));
  *e_bits = cg_ashr(g, i, 23);
  *e = LLVMBuildSIToFP(g->b, *e_bits, LLVMTypeOf(x), "");
  return cg_from_bits(g, cg_add(g, cg_and(g, i, cg_int(g, i, 0x7fffff)), cg_int(g, i, SQRT_HALF_F32)));
}

// log(1 + f) + e*ln(2)
static LLVMValueRef log_of(cg *g, LLVMValueRef f, LLVMValueRef e) {
  LLVMValueRef h = cg_mul(g, f, f);
  LLVMValueRef v = cg_fma(g, cg_mul(g, f, h), CG_POLYNOMIAL(g, f, log_q), cg_mul(g, e, cg_real(g, f, ln2_low)));
  v = cg_add(g, cg_fma(g, h, cg_real(g, f, -0.5), v), f);
  return cg_fma(g, e, cg_real(g, f, ln2_high), v);
}

// log's values at inf, NaN, and below `pole`, where it is -inf.
static LLVMValueRef specials(cg *g, LLVMValueRef v, LLVMValueRef x, double pole) {
  v = cg_select(g, cg_fcmp(g, LLVMRealUEQ, x, cg_real(g, x, HUGE_VAL)), x, v);
  v = cg_select(g, cg_fcmp(g, LLVMRealOEQ, x, cg_real(g, x, pole)), cg_real(g, x, -HUGE_VAL), v);
  return cg_select(g, cg_fcmp(g, LLVMRealOLT, x, cg_real(g, x, pole)), cg_real(g, x, (double)NAN), v);
}

LLVMValueRef cg_log(cg *g, LLVMValueRef x) {
  LLVMValueRef subnormal = cg_fcmp(g, LLVMRealOLT, x, cg_real(g, x, 0x1p-126)), e, e_bits;
  LLVMValueRef normal = cg_select(g, subnormal, cg_mul(g, x, cg_real(g, x, 0x1p23)), x);
  LLVMValueRef m = split(g, normal, &e, &e_bits);
  e = cg_select(g, subnormal, cg_sub(g, e, cg_real(g, x, 23)), e);
  return specials(g, log_of(g, cg_sub(g, m, cg_real(g, x, 1)), e), x, 0);
}

// u = 1 + x rounded, c what the rounding lost (Knuth's two-sum); log(u + c) = log(2^e * (1 + (m - 1) + c/2^e)).
LLVMValueRef cg_log1p(cg *g, LLVMValueRef x) {
  LLVMValueRef one = cg_real(g, x, 1), u = cg_add(g, one, x), x_part = cg_sub(g, u, one), e, e_bits;
  LLVMValueRef c = cg_add(g, cg_sub(g, one, cg_sub(g, u, x_part)), cg_sub(g, x, x_part));
  LLVMValueRef m = split(g, u, &e, &e_bits);
  // beyond 2^126 c is nothing beside u, and 2^-e would not be normal
  LLVMValueRef most = cg_int(g, e_bits, 126);
  LLVMValueRef some = cg_select(g, cg_icmp(g, LLVMIntSLT, e_bits, most), e_bits, most);
  LLVMValueRef scale = cg_from_bits(g, cg_shl(g, cg_sub(g, cg_int(g, some, 127), some), 23));
  LLVMValueRef v = log_of(g, cg_fma(g, c, scale, cg_sub(g, m, one)), e);
  return specials(g, cg_copysign(g, v, x), x, -1);
}

// sqrt(1/x): the root halves the division's error, so this order is closer than 1/sqrt(x). What would overflow or
// underflow in between is scaled by powers of 4.
LLVMValueRef cg_rsqrt(cg *g, LLVMValueRef x) {
  LLVMValueRef one = cg_real(g, x, 1), size = cg_abs(g, x);
  LLVMValueRef small = cg_fcmp(g, LLVMRealOLT, size, cg_real(g, x, 0x1p-120));
  LLVMValueRef large = cg_fcmp(g, LLVMRealOGT, size, cg_real(g, x, 0x1p120));
  LLVMValueRef scale = cg_select(g, small, cg_real(g, x, 0x1p40), cg_select(g, large, cg_real(g, x, 0x1p-40), one));
  LLVMValueRef back = cg_select(g, small, cg_real(g, x, 0x1p20), cg_select(g, large, cg_real(g, x, 0x1p-20), one));
  LLVMValueRef inverse = cg_div(g, one, cg_mul(g, x, scale)), v = cg_mul(g, cg_sqrt(g, inverse), back);
  v = cg_select(g, cg_fcmp(g, LLVMRealOEQ, x, cg_real(g, x, -HUGE_VAL)), cg_real(g, x, (double)NAN), v);
  return cg_select(g, cg_fcmp(g, LLVMRealOEQ, x, cg_real(g, x, 0)), inverse, v); // -inf at -0
}

// -- in f64 --

// log2 of a positive normal f64.
static LLVMValueRef log2_f64(cg *g, LLVMValueRef x) {
  LLVMValueRef i = cg_bits(g, x);
  // The exponent of x/sqrt(1/2), still biased, hence not negative.
  LLVMValueRef biased = cg_lshr(g, cg_add(g, i, cg_int(g, i, one_f64 - sqrt_half_f64)), 52);
  LLVMValueRef e = cg_from_bits(g, cg_or(g, biased, cg_int(g, i, 0x4330000000000000))); // 2^52 + biased
  e = cg_sub(g, e, cg_real(g, e, 0x1p52 + 1023));
  LLVMValueRef m = cg_from_bits(g, cg_add(g, cg_sub(g, i, cg_shl(g, biased, 52)), cg_int(g, i, one_f64)));
  LLVMValueRef one = cg_real(g, x, 1), s = cg_div(g, cg_sub(g, m, one), cg_add(g, m, one));
  return cg_fma(g, s, CG_POLYNOMIAL(g, cg_mul(g, s, s), log2_q), e);
}

// 2^t for |t| <= 1000.
static LLVMValueRef exp2_f64(cg *g, LLVMValueRef t) {
  LLVMValueRef shifted = cg_add(g, t, cg_real(g, t, 0x1.8p52)), n = cg_sub(g, shifted, cg_real(g, t, 0x1.8p52));
  LLVMValueRef p = CG_POLYNOMIAL(g, cg_sub(g, t, n), exp2_q);
  return cg_from_bits(g, cg_add(g, cg_bits(g, p), cg_shl(g, cg_bits(g, shifted), 52)));
}

// 2^(y*log2|x|); f64 has the range and the precision for every f32 x and y. The special cases are those of C's pow.
LLVMValueRef cg_pow(cg *g, LLVMValueRef x32, LLVMValueRef y32) {
  LLVMValueRef x = cg_to_f64(g, x32), y = cg_to_f64(g, y32), size = cg_abs(g, x);
  LLVMValueRef zero = cg_real(g, x, 0), one = cg_real(g, x, 1), inf = cg_real(g, x, HUGE_VAL),
               most = cg_real(g, x, 300);
  LLVMValueRef log2 = log2_f64(g, size);
  log2 = cg_select(g, cg_fcmp(g, LLVMRealOEQ, size, zero), cg_neg(g, inf), log2);
  log2 = cg_select(g, cg_fcmp(g, LLVMRealOEQ, size, inf), inf, log2);
  LLVMValueRef t = cg_select(g, cg_fcmp(g, LLVMRealOEQ, size, one), zero, cg_mul(g, y, log2)); // 1^inf is 1
  t = cg_select(g, cg_fcmp(g, LLVMRealOLT, t, most), t, most); // far outside f32, well inside f64
  t = cg_select(g, cg_fcmp(g, LLVMRealOGT, t, cg_neg(g, most)), t, cg_neg(g, most));
  LLVMValueRef v = exp2_f64(g, t);

  LLVMValueRef half = cg_mul(g, y, cg_real(g, y, 0.5)), nearest = cg_rounding(g, OP_round_even, y);
  LLVMValueRef whole = cg_fcmp(g, LLVMRealOEQ, nearest, y), broken = cg_fcmp(g, LLVMRealUNE, nearest, y);
  LLVMValueRef odd = cg_and(g, whole, cg_fcmp(g, LLVMRealONE, cg_rounding(g, OP_round_even, half), half));
  v = cg_select(g, odd, cg_copysign(g, v, x), v);
  LLVMValueRef finite_below = cg_and(g, cg_fcmp(g, LLVMRealOLT, x, zero), cg_fcmp(g, LLVMRealOLT, size, inf));
  LLVMValueRef no_value = cg_or(g, cg_and(g, finite_below, broken), cg_fcmp(g, LLVMRealUNO, x, y));
  v = cg_select(g, no_value, cg_real(g, v, (double)NAN), v);
  LLVMValueRef is_one = cg_or(g, cg_fcmp(g, LLVMRealOEQ, x, one), cg_fcmp(g, LLVMRealOEQ, y, zero));
  return cg_select(g, is_one, one, v);
}

// x*q(w), w = -log2(1 - x^2), q in two pieces; the form is M. Giles 2012, "Approximating the erfinv function", the
// coefficients our own.
LLVMValueRef cg_erfinv(cg *g, LLVMValueRef x32) {
  LLVMValueRef x = cg_to_f64(g, x32), one = cg_real(g, x, 1), size = cg_abs(g, x);
  LLVMValueRef w = cg_neg(g, log2_f64(g, cg_mul(g, cg_sub(g, one, x), cg_add(g, one, x))));
  LLVMValueRef near = CG_POLYNOMIAL(g, cg_sub(g, w, cg_real(g, w, 3.5)), erfinv_near);
  LLVMValueRef far = CG_POLYNOMIAL(g, cg_sub(g, cg_sqrt(g, w), cg_real(g, w, 3.75)), erfinv_far);
  LLVMValueRef v = cg_mul(g, x, cg_select(g, cg_fcmp(g, LLVMRealOLT, w, cg_real(g, w, 7)), near, far));
  v = cg_select(g, cg_fcmp(g, LLVMRealOEQ, size, one), cg_copysign(g, cg_real(g, x, HUGE_VAL), x), v);
  return cg_select(g, cg_fcmp(g, LLVMRealUGT, size, one), cg_real(g, x, (double)NAN), v);
}
