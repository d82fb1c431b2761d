// Conversions between element types, registers to registers: the `cast` operator, and the small floats.
//
// f16 and bf16 are kept as their bits. f16 uses the processor's conversions where it has them (level v3), integer
// arithmetic where not, so that no support routine is ever called. What narrows from f64 goes through an f32 rounded to
// odd, which makes the second rounding right (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums:
// proved algorithms using rounding to odd").
#include "codegen/llvm/cg.h"

// -- f16 and bf16 to f32: exact --

static bool has_f16c(const cg *g) { return g->t->level >= CPU_x86_64_v3; }

static LLVMValueRef widen_bf16(cg *g, LLVMValueRef x) {
  return cg_from_bits(g, cg_shl(g, LLVMBuildZExt(g->b, x, cg_like(x, g->i32), ""), 16));
}

static LLVMValueRef widen_f16(cg *g, LLVMValueRef x) {
  if (has_f16c(g)) {
    LLVMTypeRef half = LLVMHalfTypeInContext(g->ctx);
    return LLVMBuildFPExt(g->b, LLVMBuildBitCast(g->b, x, cg_like(x, half), ""), cg_like(x, g->f32), "");
  }
  LLVMValueRef h = LLVMBuildZExt(g->b, x, cg_like(x, g->i32), "");
  LLVMValueRef size = cg_shl(g, cg_and(g, h, cg_int(g, h, 0x7fff)), 13);
  LLVMValueRef sign = cg_shl(g, cg_and(g, h, cg_int(g, h, 0x8000)), 16);
  // Read as an f32 the exponent is 112 too small; the product puts that right, subnormals included.
  LLVMValueRef scaled = cg_from_bits(g, size);
  scaled = cg_bits(g, cg_mul(g, scaled, cg_real(g, scaled, 0x1p112)));
  LLVMValueRef special = cg_icmp(g, LLVMIntUGE, size, cg_int(g, size, 0x0f800000));
  LLVMValueRef bits = cg_select(g, special, cg_or(g, size, cg_int(g, size, 0x7f800000)), scaled);
  return cg_from_bits(g, cg_or(g, bits, sign));
}

LLVMValueRef cg_widen(cg *g, dtype dt, LLVMValueRef x) {
  if (dt == DT_f16) return widen_f16(g, x);
  return dt == DT_bf16 ? widen_bf16(g, x) : x;
}

// -- to f32, f16, bf16: rounded once, to nearest even --

// f64 to f32: toward zero, with the last bit set if anything was lost.
static LLVMValueRef round_to_odd(cg *g, LLVMValueRef x) {
  LLVMValueRef near = cg_to_f32(g, x), back = cg_to_f64(g, near), bits = cg_bits(g, near);
  LLVMValueRef above = cg_fcmp(g, LLVMRealOGT, cg_abs(g, back), cg_abs(g, x));
  LLVMValueRef lost = cg_fcmp(g, LLVMRealONE, back, x);
  bits = cg_select(g, above, cg_sub(g, bits, cg_int(g, bits, 1)), bits);
  return cg_from_bits(g, cg_select(g, lost, cg_or(g, bits, cg_int(g, bits, 1)), bits));
}

static LLVMValueRef to_i16(cg *g, LLVMValueRef x) { return LLVMBuildTrunc(g->b, x, cg_like(x, g->i16), ""); }

static LLVMValueRef round_bf16(cg *g, LLVMValueRef x) {
  LLVMValueRef bits = cg_bits(g, x);
  LLVMValueRef last = cg_and(g, cg_lshr(g, bits, 16), cg_int(g, bits, 1));
  LLVMValueRef rounded = cg_lshr(g, cg_add(g, cg_add(g, bits, cg_int(g, bits, 0x7fff)), last), 16);
  LLVMValueRef quiet = cg_or(g, cg_lshr(g, bits, 16), cg_int(g, bits, 0x40));
  return to_i16(g, cg_select(g, cg_fcmp(g, LLVMRealUNO, x, x), quiet, rounded));
}

static LLVMValueRef round_f16(cg *g, LLVMValueRef x) {
  if (has_f16c(g)) {
    LLVMTypeRef half = LLVMHalfTypeInContext(g->ctx);
    return LLVMBuildBitCast(g->b, LLVMBuildFPTrunc(g->b, x, cg_like(x, half), ""), cg_like(x, g->i16), "");
  }
  LLVMValueRef bits = cg_bits(g, x), size = cg_and(g, bits, cg_int(g, bits, 0x7fffffff));
  LLVMValueRef sign = cg_and(g, cg_lshr(g, bits, 16), cg_int(g, bits, 0x8000));
  // Normal results: rebias the exponent by -112, round at bit 13. A carry runs into the exponent, up to infinity.
  LLVMValueRef last = cg_and(g, cg_lshr(g, size, 13), cg_int(g, bits, 1));
  LLVMValueRef normal = cg_add(g, cg_sub(g, size, cg_int(g, size, ((int64_t)112 << 23) - 0xfff)), last);
  normal = cg_lshr(g, normal, 13);
  // Subnormal results: adding 1/2 lets the hardware round at 2^-24, the last place of 1/2.
  LLVMValueRef moved = cg_from_bits(g, size);
  moved = cg_bits(g, cg_add(g, moved, cg_real(g, moved, 0.5)));
  LLVMValueRef tiny = cg_sub(g, moved, cg_int(g, moved, 0x3f000000));
  LLVMValueRef h = cg_select(g, cg_icmp(g, LLVMIntULT, size, cg_int(g, size, 0x38800000)), tiny, normal);
  h = cg_select(g, cg_icmp(g, LLVMIntUGE, size, cg_int(g, size, 0x47800000)), cg_int(g, h, 0x7c00), h);
  h = cg_select(g, cg_icmp(g, LLVMIntUGT, size, cg_int(g, size, 0x7f800000)), cg_int(g, h, 0x7e00), h);
  return to_i16(g, cg_or(g, h, sign));
}

LLVMValueRef cg_round(cg *g, dtype dt, LLVMValueRef x) {
  if (dt == DT_f64) return cg_to_f64(g, x);
  if (dt == DT_f32) return cg_to_f32(g, x);
  if (cg_is_double(g, x)) x = round_to_odd(g, x);
  return dt == DT_f16 ? round_f16(g, x) : round_bf16(g, x);
}

// -- integers --

static LLVMValueRef resize(cg *g, dtype from, LLVMTypeRef element, LLVMValueRef x) {
  LLVMTypeRef t = cg_like(x, element);
  unsigned have = LLVMGetIntTypeWidth(cg_element(x)), want = LLVMGetIntTypeWidth(element);
  if (want < have) return LLVMBuildTrunc(g->b, x, t, "");
  if (want == have) return x;
  return from == DT_u8 || from == DT_bool ? LLVMBuildZExt(g->b, x, t, "") : LLVMBuildSExt(g->b, x, t, "");
}

// Beyond 2^53 an i64 loses bits in an f64: they are gathered in one bit that it keeps, so that a later rounding still
// sees them.
static LLVMValueRef keep_lost_bits(cg *g, LLVMValueRef x) {
  LLVMValueRef low = cg_and(g, x, cg_int(g, x, 0x7ff));
  LLVMValueRef sticky = cg_select(g, cg_icmp(g, LLVMIntNE, low, cg_int(g, x, 0)), cg_int(g, x, 0x400), cg_int(g, x, 0));
  LLVMValueRef shifted = cg_add(g, x, cg_int(g, x, (int64_t)1 << 53));
  LLVMValueRef large = cg_icmp(g, LLVMIntUGT, shifted, cg_int(g, x, (int64_t)1 << 54));
  return cg_select(g, large, cg_or(g, cg_sub(g, x, low), sticky), x);
}

static LLVMValueRef int_to_float(cg *g, dtype from, dtype to, LLVMValueRef x) {
  if (from == DT_bool || from == DT_i8 || from == DT_u8) x = resize(g, from, g->i32, x);
  if (to == DT_bf16 && from == DT_i64) x = keep_lost_bits(g, x);
  // f16 overflows long before an f32 drops bits of an integer; bf16 does not
  bool wide = to == DT_f64 || (to == DT_bf16 && (from == DT_i32 || from == DT_i64));
  return cg_round(g, to, LLVMBuildSIToFP(g->b, x, cg_like(x, wide ? g->f64 : g->f32), ""));
}

// Truncates; saturates at both ends, and NaN gives 0. The conversion itself only ever sees numbers in range.
static LLVMValueRef float_to_int(cg *g, dtype to, LLVMValueRef x) {
  int64_t low = to == DT_u8 ? 0 : to == DT_i8 ? INT8_MIN : to == DT_i32 ? INT32_MIN : INT64_MIN;
  int64_t high = to == DT_u8 ? UINT8_MAX : to == DT_i8 ? INT8_MAX : to == DT_i32 ? INT32_MAX : INT64_MAX;
  double above = to == DT_i32 ? 0x1p31 : to == DT_i64 ? 0x1p63 : (double)high;
  LLVMValueRef too_high = cg_fcmp(g, LLVMRealOGE, x, cg_real(g, x, above));
  LLVMValueRef too_low = cg_fcmp(g, LLVMRealOLE, x, cg_real(g, x, (double)low));
  LLVMValueRef inside = cg_and(g, cg_fcmp(g, LLVMRealOLT, x, cg_real(g, x, above)),
                               cg_fcmp(g, LLVMRealOGT, x, cg_real(g, x, (double)low)));
  LLVMValueRef safe = cg_select(g, inside, x, cg_real(g, x, 0));
  LLVMValueRef v = LLVMBuildFPToSI(g->b, safe, cg_like(x, to == DT_i64 ? g->i64 : g->i32), "");
  v = cg_select(g, too_high, cg_int(g, v, high), v);
  v = cg_select(g, too_low, cg_int(g, v, low), v);
  return resize(g, DT_i32, cg_reg_type(g, to), v);
}

LLVMValueRef cg_convert(cg *g, dtype from, dtype to, LLVMValueRef x) {
  if (from == to) return x;
  if (dtype_is_float(from)) {
    x = cg_widen(g, from, x);
    if (dtype_is_float(to)) return cg_round(g, to, x);
    if (to == DT_bool) return cg_fcmp(g, LLVMRealUNE, x, cg_real(g, x, 0));
    return float_to_int(g, to, x);
  }
  if (to == DT_bool) return cg_icmp(g, LLVMIntNE, x, cg_int(g, x, 0));
  return dtype_is_float(to) ? int_to_float(g, from, to, x) : resize(g, from, cg_reg_type(g, to), x);
}
