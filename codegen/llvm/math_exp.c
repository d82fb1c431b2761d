// exp and what is made of it: expm1, sigmoid, tanh, erf. f32.
//
// x = n*ln(2) + r with integer n and |r| <= ln(2)/2; exp(x) = 2^n * exp(r), with a minimax polynomial for exp(r) and
// 2^n added to the exponent bits (Cody and Waite 1980, "Software Manual for the Elementary Functions", ch. 6). n comes
// from adding 1.5*2^23, whose last bits then hold it: no conversion, so any x goes through without undefined behaviour.
// Lanes out of range compute nonsense in between, which comparisons replace at the end; nothing is clamped.
//
// Results below the smallest normal number are 0: subnormal ones cost an assist of the processor each, in just the
// lanes that a causal mask fills.
#include "codegen/llvm/math.h"
#include "codegen/llvm/math_coeffs.h"

#include <math.h>

static const double shifter = 0x1.8p23;     // its last bits are worth 1
static const double ln2_high = 0x1.62e4p-1; // times any n exact
static const double ln2_low = 0x1.7f7d1cf79abcap-20;
static const double exp_overflow = 0x1.62e42ep6; // the largest x whose exp is finite
static const double exp_flush = -0x1.5d589ep6;   // the smallest x whose exp is a normal number

LLVMValueRef cg_polynomial_f32(cg *g, LLVMValueRef x, const float *c, size_t n) {
  LLVMValueRef p = cg_real(g, x, (double)c[n - 1]);
  for (size_t i = n - 1; i-- > 0;) p = cg_fma(g, p, x, cg_real(g, x, (double)c[i]));
  return p;
}

LLVMValueRef cg_polynomial_f64(cg *g, LLVMValueRef x, const double *c, size_t n) {
  LLVMValueRef p = cg_real(g, x, c[n - 1]);
  for (size_t i = n - 1; i-- > 0;) p = cg_fma(g, p, x, cg_real(g, x, c[i]));
  return p;
}

// r, and n in the low bits of *n_bits, shifted to where the exponent is.
static LLVMValueRef reduce(cg *g, LLVMValueRef x, LLVMValueRef *n_bits) {
  LLVMValueRef t = cg_fma(g, x, cg_real(g, x, 1 / 0.693147180559945309417), cg_real(g, x, shifter));
  LLVMValueRef n = cg_sub(g, t, cg_real(g, x, shifter));
  *n_bits = cg_shl(g, cg_bits(g, t), 23);
  return cg_fma(g, n, cg_real(g, x, -ln2_low), cg_fma(g, n, cg_real(g, x, -ln2_high), x));
}

// exp(x) for x whose result is a normal number; anything for other x.
static LLVMValueRef exp_in_range(cg *g, LLVMValueRef x) {
  LLVMValueRef n_bits, r = reduce(g, x, &n_bits), one = cg_real(g, x, 1);
  LLVMValueRef p = cg_fma(g, cg_fma(g, CG_POLYNOMIAL(g, r, exp_q), r, one), r, one);
  return cg_from_bits(g, cg_add(g, cg_bits(g, p), n_bits));
}

static LLVMValueRef or_nan(cg *g, LLVMValueRef v, LLVMValueRef x) {
  return cg_select(g, cg_fcmp(g, LLVMRealUNO, x, x), x, v);
}

LLVMValueRef cg_exp(cg *g, LLVMValueRef x) {
  LLVMValueRef v = exp_in_range(g, x), above = cg_fcmp(g, LLVMRealUGT, x, cg_real(g, x, exp_overflow));
  v = cg_select(g, above, cg_add(g, x, cg_real(g, x, HUGE_VAL)), v); // inf, or NaN from NaN
  return cg_select(g, cg_fcmp(g, LLVMRealOLT, x, cg_real(g, x, exp_flush)), cg_real(g, x, 0), v);
}

// 2^n*(e + 1) - 1 with e = exp(r) - 1: as 2*(s*e + (s - 1/2)), s = 2^(n-1), so that n = 128 does not overflow.
LLVMValueRef cg_expm1(cg *g, LLVMValueRef x) {
  LLVMValueRef n_bits, r = reduce(g, x, &n_bits), half = cg_real(g, x, 0.5);
  LLVMValueRef e = cg_fma(g, cg_mul(g, r, r), CG_POLYNOMIAL(g, r, expm1_q), r);
  LLVMValueRef s = cg_from_bits(g, cg_add(g, n_bits, cg_bits(g, half)));
  LLVMValueRef v = cg_fma(g, s, e, cg_sub(g, s, half));
  v = cg_add(g, v, v);
  v = cg_select(g, cg_fcmp(g, LLVMRealOLT, x, cg_real(g, x, -18)), cg_real(g, x, -1), v);
  LLVMValueRef above = cg_fcmp(g, LLVMRealUGT, x, cg_real(g, x, exp_overflow));
  v = cg_select(g, above, cg_add(g, x, cg_real(g, x, HUGE_VAL)), v);
  return cg_copysign(g, v, x); // for -0
}

// z/(1 + z) below 0 and 1/(1 + z) above, z = exp(-|x|): neither cancels nor overflows. `lost` is what rounding took
// from the sum s = 1 + z; top/(s + lost) is top/s less its lost/s-th part, and 1/s is v itself above 0, 1 - v below.
LLVMValueRef cg_sigmoid(cg *g, LLVMValueRef x) {
  LLVMValueRef a = cg_neg(g, cg_abs(g, x)), z = exp_in_range(g, a), one = cg_real(g, x, 1), zero = cg_real(g, x, 0);
  z = cg_select(g, cg_fcmp(g, LLVMRealOLT, a, cg_real(g, x, exp_flush)), zero, z);
  LLVMValueRef below = cg_fcmp(g, LLVMRealOLT, x, zero), s = cg_add(g, one, z), lost = cg_sub(g, z, cg_sub(g, s, one));
  LLVMValueRef v = cg_div(g, cg_select(g, below, z, one), s), inverse = cg_select(g, below, cg_sub(g, one, v), v);
  return or_nan(g, cg_fma(g, cg_neg(g, cg_mul(g, v, lost)), inverse, v), x);
}

// An odd polynomial near 0, 1 - 2/(exp(2x) + 1) beyond. A NaN takes the polynomial.
LLVMValueRef cg_tanh(cg *g, LLVMValueRef x) {
  LLVMValueRef a = cg_abs(g, x), u = cg_mul(g, a, a), one = cg_real(g, x, 1), two = cg_real(g, x, 2);
  LLVMValueRef near = cg_fma(g, cg_mul(g, a, u), CG_POLYNOMIAL(g, u, tanh_q), a);
  LLVMValueRef e = exp_in_range(g, cg_add(g, a, a));
  LLVMValueRef far = cg_sub(g, one, cg_div(g, two, cg_add(g, e, one)));
  far = cg_select(g, cg_fcmp(g, LLVMRealOGT, a, cg_real(g, x, 9.02)), one, far);
  LLVMValueRef v = cg_select(g, cg_fcmp(g, LLVMRealULT, a, cg_real(g, x, 0.62)), near, far);
  return cg_copysign(g, v, x);
}

// x + x*q(x^2) near 0, 1 - exp(p(x)) beyond, p a polynomial for log(erfc). A NaN takes the first.
LLVMValueRef cg_erf(cg *g, LLVMValueRef x) {
  LLVMValueRef a = cg_abs(g, x), one = cg_real(g, x, 1);
  LLVMValueRef near = cg_fma(g, CG_POLYNOMIAL(g, cg_mul(g, a, a), erf_q), a, a);
  LLVMValueRef far = cg_sub(g, one, exp_in_range(g, CG_POLYNOMIAL(g, a, erfc_p)));
  far = cg_select(g, cg_fcmp(g, LLVMRealOGT, a, cg_real(g, x, 3.94)), one, far);
  LLVMValueRef v = cg_select(g, cg_fcmp(g, LLVMRealULT, a, cg_real(g, x, 0.9375)), near, far);
  return cg_copysign(g, v, x);
}
