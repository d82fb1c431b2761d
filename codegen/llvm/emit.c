// The vocabulary of emission: types, constants and operators on scalars and vectors alike.
//
// No fast-math flag is ever set: the code computes what the source says, in the order it says.
#include "codegen/llvm/cg.h"

#include <string.h>

// -- types --

LLVMTypeRef cg_vec(LLVMTypeRef element, uint32_t lanes) {
  return lanes == 1 ? element : LLVMVectorType(element, lanes);
}

static bool is_vector(LLVMTypeRef t) { return LLVMGetTypeKind(t) == LLVMVectorTypeKind; }

uint32_t cg_lanes(LLVMValueRef x) {
  LLVMTypeRef t = LLVMTypeOf(x);
  return is_vector(t) ? LLVMGetVectorSize(t) : 1;
}

LLVMTypeRef cg_element(LLVMValueRef x) {
  LLVMTypeRef t = LLVMTypeOf(x);
  return is_vector(t) ? LLVMGetElementType(t) : t;
}

LLVMTypeRef cg_like(LLVMValueRef x, LLVMTypeRef element) { return cg_vec(element, cg_lanes(x)); }

bool cg_is_double(const cg *g, LLVMValueRef x) { return cg_element(x) == g->f64; }

static bool is_float(const cg *g, LLVMValueRef x) {
  LLVMTypeRef t = cg_element(x);
  return t == g->f32 || t == g->f64;
}

// -- constants --

LLVMValueRef cg_splat_const(LLVMValueRef one, uint32_t lanes) {
  enum { MOST = 64 };
  LLVMValueRef v[MOST];
  if (lanes == 1) return one;
  for (uint32_t i = 0; i < lanes && i < MOST; i++) v[i] = one;
  return LLVMConstVector(v, lanes < MOST ? lanes : MOST);
}

LLVMValueRef cg_real(cg *g, LLVMValueRef like, double v) {
  (void)g;
  return cg_splat_const(LLVMConstReal(cg_element(like), v), cg_lanes(like));
}

LLVMValueRef cg_int(cg *g, LLVMValueRef like, int64_t v) {
  (void)g;
  return cg_splat_const(LLVMConstInt(cg_element(like), (uint64_t)v, true), cg_lanes(like));
}

LLVMValueRef cg_i64(cg *g, int64_t v) { return LLVMConstInt(g->i64, (uint64_t)v, true); }

LLVMValueRef cg_lane_numbers(cg *g, uint32_t first, uint32_t lanes) {
  if (lanes == 1) return LLVMConstInt(g->i32, first, false);
  LLVMValueRef *v = ARENA_ARRAY(g->a, LLVMValueRef, lanes);
  for (uint32_t i = 0; i < lanes; i++) v[i] = LLVMConstInt(g->i32, first + i, false);
  return LLVMConstVector(v, lanes);
}

// -- lanes --

LLVMValueRef cg_splat(cg *g, LLVMValueRef one, uint32_t lanes) {
  if (lanes == 1) return one;
  if (LLVMIsConstant(one)) return cg_splat_const(one, lanes);
  if (LLVMTypeOf(one) == g->i1) { // as integers: on splats of i1 LLVM 19's instruction combiner for AVX2 does not end
    LLVMValueRef wide = cg_splat(g, LLVMBuildZExt(g->b, one, g->i32, ""), lanes);
    return LLVMBuildICmp(g->b, LLVMIntNE, wide, LLVMConstNull(LLVMTypeOf(wide)), "");
  }
  LLVMTypeRef t = LLVMVectorType(LLVMTypeOf(one), lanes);
  LLVMValueRef first = LLVMBuildInsertElement(g->b, LLVMGetPoison(t), one, LLVMConstInt(g->i32, 0, false), "");
  return LLVMBuildShuffleVector(g->b, first, LLVMGetPoison(t), LLVMConstNull(LLVMVectorType(g->i32, lanes)), "");
}

LLVMValueRef cg_extract(cg *g, LLVMValueRef x, uint32_t lane) {
  return is_vector(LLVMTypeOf(x)) ? LLVMBuildExtractElement(g->b, x, LLVMConstInt(g->i32, lane, false), "") : x;
}

LLVMValueRef cg_insert(cg *g, LLVMValueRef x, LLVMValueRef v, uint32_t lane) {
  return is_vector(LLVMTypeOf(x)) ? LLVMBuildInsertElement(g->b, x, v, LLVMConstInt(g->i32, lane, false), "") : v;
}

// -- arithmetic --

LLVMValueRef cg_add(cg *g, LLVMValueRef x, LLVMValueRef y) {
  return is_float(g, x) ? LLVMBuildFAdd(g->b, x, y, "") : LLVMBuildAdd(g->b, x, y, "");
}

LLVMValueRef cg_sub(cg *g, LLVMValueRef x, LLVMValueRef y) {
  return is_float(g, x) ? LLVMBuildFSub(g->b, x, y, "") : LLVMBuildSub(g->b, x, y, "");
}

LLVMValueRef cg_mul(cg *g, LLVMValueRef x, LLVMValueRef y) {
  return is_float(g, x) ? LLVMBuildFMul(g->b, x, y, "") : LLVMBuildMul(g->b, x, y, "");
}

// LLVM 19 takes lanes where x and y are 0 for 0 in x / y, and drops the selection that would have made them so
// (SimplifyDemandedVectorElts); it does not see through a fence, which costs nothing.
LLVMValueRef cg_div(cg *g, LLVMValueRef x, LLVMValueRef y) {
  if (is_vector(LLVMTypeOf(y)) && !LLVMIsConstant(y)) y = cg_unary_intrinsic(g, "llvm.arithmetic.fence", y);
  return LLVMBuildFDiv(g->b, x, y, "");
}

LLVMValueRef cg_fma(cg *g, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z) {
  if (!g->t->has_fma) return cg_add(g, cg_mul(g, x, y), z);
  LLVMTypeRef t = LLVMTypeOf(x);
  return cg_intrinsic(g, "llvm.fma", 1, &t, 3, (LLVMValueRef[]){x, y, z});
}

LLVMValueRef cg_neg(cg *g, LLVMValueRef x) {
  return is_float(g, x) ? LLVMBuildFNeg(g->b, x, "") : LLVMBuildNeg(g->b, x, "");
}

LLVMValueRef cg_abs(cg *g, LLVMValueRef x) { return cg_unary_intrinsic(g, "llvm.fabs", x); }

LLVMValueRef cg_sqrt(cg *g, LLVMValueRef x) { return cg_unary_intrinsic(g, "llvm.sqrt", x); }

LLVMValueRef cg_copysign(cg *g, LLVMValueRef size, LLVMValueRef sign) {
  LLVMTypeRef t = LLVMTypeOf(size);
  return cg_intrinsic(g, "llvm.copysign", 1, &t, 2, (LLVMValueRef[]){size, sign});
}

LLVMValueRef cg_and(cg *g, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildAnd(g->b, x, y, ""); }

LLVMValueRef cg_or(cg *g, LLVMValueRef x, LLVMValueRef y) { return LLVMBuildOr(g->b, x, y, ""); }

LLVMValueRef cg_shl(cg *g, LLVMValueRef x, int64_t n) { return LLVMBuildShl(g->b, x, cg_int(g, x, n), ""); }

LLVMValueRef cg_lshr(cg *g, LLVMValueRef x, int64_t n) { return LLVMBuildLShr(g->b, x, cg_int(g, x, n), ""); }

LLVMValueRef cg_ashr(cg *g, LLVMValueRef x, int64_t n) { return LLVMBuildAShr(g->b, x, cg_int(g, x, n), ""); }

LLVMValueRef cg_fcmp(cg *g, LLVMRealPredicate p, LLVMValueRef x, LLVMValueRef y) {
  return LLVMBuildFCmp(g->b, p, x, y, "");
}

LLVMValueRef cg_icmp(cg *g, LLVMIntPredicate p, LLVMValueRef x, LLVMValueRef y) {
  return LLVMBuildICmp(g->b, p, x, y, "");
}

LLVMValueRef cg_select(cg *g, LLVMValueRef c, LLVMValueRef x, LLVMValueRef y) {
  return LLVMBuildSelect(g->b, c, x, y, "");
}

LLVMValueRef cg_any(cg *g, LLVMValueRef c) {
  return is_vector(LLVMTypeOf(c)) ? cg_unary_intrinsic(g, "llvm.vector.reduce.or", c) : c;
}

// -- floats and their bits --

LLVMValueRef cg_bits(cg *g, LLVMValueRef x) {
  return LLVMBuildBitCast(g->b, x, cg_like(x, cg_is_double(g, x) ? g->i64 : g->i32), "");
}

LLVMValueRef cg_from_bits(cg *g, LLVMValueRef x) {
  return LLVMBuildBitCast(g->b, x, cg_like(x, cg_element(x) == g->i64 ? g->f64 : g->f32), "");
}

LLVMValueRef cg_to_f64(cg *g, LLVMValueRef x) {
  return cg_is_double(g, x) ? x : LLVMBuildFPExt(g->b, x, cg_like(x, g->f64), "");
}

LLVMValueRef cg_to_f32(cg *g, LLVMValueRef x) {
  return cg_is_double(g, x) ? LLVMBuildFPTrunc(g->b, x, cg_like(x, g->f32), "") : x;
}

// -- calls and blocks --

LLVMValueRef cg_intrinsic(cg *g, const char *name, uint32_t n_types, LLVMTypeRef *types, uint32_t n,
                          LLVMValueRef *args) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  BUG_IF(g->l, id == 0, "this LLVM has no %s", name);
  LLVMValueRef f = LLVMGetIntrinsicDeclaration(g->mod, id, types, n_types);
  return LLVMBuildCall2(g->b, LLVMIntrinsicGetType(g->ctx, id, types, n_types), f, args, n, "");
}

LLVMValueRef cg_unary_intrinsic(cg *g, const char *name, LLVMValueRef x) {
  LLVMTypeRef t = LLVMTypeOf(x);
  return cg_intrinsic(g, name, 1, &t, 1, &x);
}

LLVMBasicBlockRef cg_block(cg *g, const char *name) { return LLVMAppendBasicBlockInContext(g->ctx, g->fn, name); }

LLVMValueRef cg_phi(cg *g, LLVMValueRef x, LLVMBasicBlockRef from_x, LLVMValueRef y, LLVMBasicBlockRef from_y) {
  LLVMValueRef phi = LLVMBuildPhi(g->b, LLVMTypeOf(x), "");
  LLVMAddIncoming(phi, (LLVMValueRef[]){x, y}, (LLVMBasicBlockRef[]){from_x, from_y}, 2);
  return phi;
}
