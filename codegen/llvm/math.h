// Vector math: operators as polynomials in vector code. docs/vector-math.md states the error bound of each;
// tests/unit/test_math.c proves it.
//
// f32 in; out f32, or f64 where the method computes in f64 (the caller rounds once, to the type it wants). No routine
// is called.
#ifndef NNC_CODEGEN_LLVM_MATH_H
#define NNC_CODEGEN_LLVM_MATH_H

#include "codegen/llvm/cg.h"

LLVMValueRef cg_polynomial_f32(cg *g, LLVMValueRef x, const float *c, size_t n); // c[0] + c[1]*x + …, Horner's scheme
LLVMValueRef cg_polynomial_f64(cg *g, LLVMValueRef x, const double *c, size_t n);
#define CG_POLYNOMIAL(g, x, c)                                                                                         \
  _Generic((c), const float *: cg_polynomial_f32, const double *: cg_polynomial_f64)((g), (x), (c), sizeof(c) / sizeof *(c))

// -- math_exp.c --
LLVMValueRef cg_exp(cg *g, LLVMValueRef x);
LLVMValueRef cg_expm1(cg *g, LLVMValueRef x);
LLVMValueRef cg_sigmoid(cg *g, LLVMValueRef x);
LLVMValueRef cg_tanh(cg *g, LLVMValueRef x);
LLVMValueRef cg_erf(cg *g, LLVMValueRef x);

// -- math_log.c --
LLVMValueRef cg_log(cg *g, LLVMValueRef x);
LLVMValueRef cg_log1p(cg *g, LLVMValueRef x);
LLVMValueRef cg_rsqrt(cg *g, LLVMValueRef x);
LLVMValueRef cg_pow(cg *g, LLVMValueRef x, LLVMValueRef y); // f64
LLVMValueRef cg_erfinv(cg *g, LLVMValueRef x);              // f64

// -- math_trig.c --
LLVMValueRef cg_trig(cg *g, op_code op, LLVMValueRef x); // f64; sin cos tan
LLVMValueRef cg_atan(cg *g, LLVMValueRef x);

// -- math_round.c: f32 and f64, exact --
LLVMValueRef cg_rounding(cg *g, op_code op, LLVMValueRef x);                 // floor ceil round_even round_away
LLVMValueRef cg_quotient(cg *g, op_code op, LLVMValueRef x, LLVMValueRef y); // f64 out; floordiv mod

// -- math_double.c: f64, one element at a time, by libm --
LLVMValueRef cg_libm(cg *g, op_code op, LLVMValueRef x, LLVMValueRef y); // y: pow, mod (C's fmod); otherwise NULL

#endif
