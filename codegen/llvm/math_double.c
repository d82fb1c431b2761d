// Transcendental functions of f64: one libm call an element. f64 is rare in models, and f32 never comes here.
//
// The routines called are those of ir/libm.h, which the loader resolves by name; an ahead-of-time library links libm.
// erfinv, which libm lacks, is a function of its own in the module.
#include "codegen/llvm/math.h"

#include <math.h>
#include <string.h>

static LLVMValueRef declare(cg *g, const char *name, unsigned n_args) {
  LLVMValueRef f = LLVMGetNamedFunction(g->mod, name);
  if (f != NULL) return f;
  LLVMTypeRef types[2] = {g->f64, g->f64};
  f = LLVMAddFunction(g->mod, name, LLVMFunctionType(g->f64, types, n_args, false));
  unsigned kind = LLVMGetEnumAttributeKindForName("nounwind", strlen("nounwind"));
  LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(g->ctx, kind, 0));
  return f;
}

// f(x) or f(x, y), lane by lane.
static LLVMValueRef call(cg *g, LLVMValueRef f, LLVMValueRef x, LLVMValueRef y) {
  LLVMTypeRef type = LLVMGlobalGetValueType(f);
  LLVMValueRef v = LLVMGetPoison(LLVMTypeOf(x));
  for (uint32_t i = 0; i < cg_lanes(x); i++) {
    LLVMValueRef args[2] = {cg_extract(g, x, i), y == NULL ? NULL : cg_extract(g, y, i)};
    v = cg_insert(g, v, LLVMBuildCall2(g->b, type, f, args, y == NULL ? 1 : 2, ""), i);
  }
  return v;
}

static LLVMValueRef call_named(cg *g, const char *name, LLVMValueRef x, LLVMValueRef y) {
  return call(g, declare(g, name, y == NULL ? 1 : 2), x, y);
}

// y with erf(y) = x, as the operator's definition (ir/scalar.c) computes it: S. Winitzki's elementary approximation,
// then Halley's iteration, on erf near zero and on erfc in the tails, where 1 - |x| is exact.
static LLVMValueRef inverse_erf(cg *g, LLVMValueRef x) {
  static const double a = 0.147, half_sqrt_pi = 0.88622692545275801365;
  LLVMValueRef one = cg_real(g, x, 1), size = cg_abs(g, x), tail = cg_sub(g, one, size);
  LLVMValueRef near = cg_fcmp(g, LLVMRealOLT, size, cg_real(g, x, 0.5));
  LLVMValueRef small = call_named(g, "log1p", cg_neg(g, cg_mul(g, size, size)), NULL);
  LLVMValueRef log_term = cg_add(g, call_named(g, "log", tail, NULL), call_named(g, "log1p", size, NULL));
  log_term = cg_select(g, near, small, log_term);
  LLVMValueRef b = cg_add(g, cg_real(g, x, 2 / (3.14159265358979323846 * a)), cg_mul(g, log_term, cg_real(g, x, 0.5)));
  LLVMValueRef y = cg_sub(g, cg_mul(g, b, b), cg_mul(g, log_term, cg_real(g, x, 1 / a)));
  y = cg_sqrt(g, cg_sub(g, cg_sqrt(g, y), b));
  LLVMValueRef tiny = cg_fcmp(g, LLVMRealOLT, size, cg_real(g, x, 1e-4)), scale = cg_real(g, x, half_sqrt_pi);
  y = cg_select(g, tiny, cg_mul(g, size, scale), y);
  for (int i = 0; i < 3; i++) {
    LLVMValueRef miss_near = cg_sub(g, call_named(g, "erf", y, NULL), size);
    LLVMValueRef miss_far = cg_sub(g, tail, call_named(g, "erfc", y, NULL));
    LLVMValueRef miss = cg_mul(g, cg_select(g, near, miss_near, miss_far), scale);
    LLVMValueRef newton = cg_mul(g, miss, call_named(g, "exp", cg_mul(g, y, y), NULL));
    y = cg_sub(g, y, cg_div(g, newton, cg_add(g, one, cg_mul(g, y, newton))));
  }
  y = cg_select(g, cg_fcmp(g, LLVMRealOEQ, size, one), cg_real(g, x, HUGE_VAL), y);
  y = cg_select(g, cg_fcmp(g, LLVMRealUGT, size, one), cg_real(g, x, (double)NAN), y);
  return cg_select(g, cg_fcmp(g, LLVMRealOEQ, size, cg_real(g, x, 0)), x, cg_copysign(g, y, x));
}

static LLVMValueRef erfinv_function(cg *g) {
  static const char name[] = "erfinv.f64";
  LLVMValueRef f = LLVMGetNamedFunction(g->mod, name);
  if (f != NULL) return f;
  f = declare(g, name, 1);
  LLVMSetLinkage(f, LLVMPrivateLinkage);
  LLVMBasicBlockRef back = LLVMGetInsertBlock(g->b);
  LLVMPositionBuilderAtEnd(g->b, LLVMAppendBasicBlockInContext(g->ctx, f, "entry"));
  LLVMBuildRet(g->b, inverse_erf(g, LLVMGetParam(f, 0)));
  LLVMPositionBuilderAtEnd(g->b, back);
  return f;
}

// As the operator's definition computes it: exp(-|x|) neither overflows nor cancels.
static LLVMValueRef sigmoid(cg *g, LLVMValueRef x) {
  LLVMValueRef one = cg_real(g, x, 1), z = call_named(g, "exp", cg_neg(g, cg_abs(g, x)), NULL);
  LLVMValueRef top = cg_select(g, cg_fcmp(g, LLVMRealOLT, x, cg_real(g, x, 0)), z, one);
  return cg_div(g, top, cg_add(g, one, z));
}

LLVMValueRef cg_libm(cg *g, op_code op, LLVMValueRef x, LLVMValueRef y) {
  if (op == OP_erfinv) return call(g, erfinv_function(g), x, NULL);
  if (op == OP_sigmoid) return sigmoid(g, x);
  return call_named(g, op == OP_mod ? "fmod" : op_get(op)->name, x, y);
}
