// sin, cos, tan (in f64, to be rounded once) and atan (f32).
//
// x = j*pi/2 + r with |r| <= pi/4, in f64. Below 2^30 j*pi/2 is subtracted in parts whose products are exact (Cody and
// Waite 1980, ch. 8). From 2^30 on, x*2/pi modulo 4 is formed from the bits of 2/pi that matter for x's exponent (Payne
// and Hanek 1983, "Radian reduction for trigonometric functions"); that code runs only when some lane is so large.
// Every finite f32 gets full precision.
#include "codegen/llvm/math.h"
#include "codegen/llvm/math_coeffs.h"

#include <math.h>

typedef struct reduced {
  LLVMValueRef r, j; // f64; i64, of which the last two bits count
} reduced;

static const double large = 0x1p30;
static const double shifter = 0x1.8p52; // its last bits are worth 1

static reduced reduce_small(cg *g, LLVMValueRef x) {
  LLVMValueRef t = cg_fma(g, x, cg_real(g, x, 0.63661977236758134308), cg_real(g, x, shifter));
  LLVMValueRef n = cg_sub(g, t, cg_real(g, x, shifter)), r = x;
  static const double parts_fma[] = {-0x1.921fb54442d18p+0, -0x1.1a62633145c07p-54};
  static const double parts[] = {-0x1.921fbp+0, -0x1.5110b4p-22,
                                 -0x1.8469898cc517p-48}; // 21 and 23 bits: products are exact
  size_t n_parts = g->t->has_fma ? 2 : 3;
  for (size_t i = 0; i < n_parts; i++) r = cg_fma(g, n, cg_real(g, x, (g->t->has_fma ? parts_fma : parts)[i]), r);
  return (reduced){r, cg_bits(g, t)};
}

// -- large arguments --

enum {
  FIRST_EXPONENT = 157, // the exponent field of an f32 of 2^30
  LAST_EXPONENT = 254,
  N_WINDOWS = LAST_EXPONENT - FIRST_EXPONENT + 1
};

// `n` (<= 64) bits of 2/pi from bit `from` behind the binary point.
static uint64_t two_over_pi_bits(unsigned from, unsigned n) {
  uint64_t v = 0;
  for (unsigned i = from; i < from + n; i++) v = v << 1 | (two_over_pi[i / 64] >> (63 - i % 64) & 1);
  return v;
}

// For x = m * 2^s, s the exponent less 23: 2^s * 2/pi modulo 4 as a sum of three doubles; the products of the first
// two, of 28 bits, with the 24 bits of m are exact.
static LLVMValueRef window_table(cg *g, unsigned part) {
  static const char *const names[] = {"two_over_pi.0", "two_over_pi.1", "two_over_pi.2"};
  LLVMValueRef table = LLVMGetNamedGlobal(g->mod, names[part]);
  if (table != NULL) return table;
  LLVMValueRef v[N_WINDOWS];
  for (unsigned i = 0; i < N_WINDOWS; i++) {
    unsigned s = FIRST_EXPONENT - 150 + i, from = s - 2 + 28 * part, bits = part == 2 ? 53 : 28;
    int unit = 1 - 28 * (int)part - ((int)bits - 1); // of the last bit
    v[i] = LLVMConstReal(g->f64, ldexp((double)two_over_pi_bits(from, bits), unit));
  }
  table = LLVMAddGlobal(g->mod, LLVMArrayType2(g->f64, N_WINDOWS), names[part]);
  LLVMSetInitializer(table, LLVMConstArray2(g->f64, v, N_WINDOWS));
  LLVMSetGlobalConstant(table, true);
  LLVMSetLinkage(table, LLVMPrivateLinkage);
  return table;
}

static LLVMValueRef look_up(cg *g, LLVMValueRef table, LLVMValueRef index) {
  LLVMValueRef v = LLVMGetPoison(cg_like(index, g->f64));
  for (uint32_t i = 0; i < cg_lanes(index); i++) {
    LLVMValueRef at = cg_extract(g, index, i);
    LLVMValueRef place = LLVMBuildGEP2(g->b, g->f64, table, &at, 1, "");
    v = cg_insert(g, v, LLVMBuildLoad2(g->b, g->f64, place, ""), i);
  }
  return v;
}

static reduced reduce_large(cg *g, LLVMValueRef x32) {
  LLVMValueRef bits = cg_bits(g, x32), exponent = cg_and(g, cg_lshr(g, bits, 23), cg_int(g, bits, 255));
  LLVMValueRef low = cg_int(g, bits, FIRST_EXPONENT), high = cg_int(g, bits, LAST_EXPONENT); // other lanes: any window
  exponent = cg_select(g, cg_icmp(g, LLVMIntULT, exponent, low), low, exponent);
  exponent = cg_select(g, cg_icmp(g, LLVMIntUGT, exponent, high), high, exponent);
  LLVMValueRef index = LLVMBuildZExt(g->b, cg_sub(g, exponent, low), cg_like(bits, g->i64), "");
  LLVMValueRef mantissa = cg_or(g, cg_and(g, bits, cg_int(g, bits, 0x7fffff)), cg_int(g, bits, 0x800000));
  LLVMValueRef m = LLVMBuildSIToFP(g->b, mantissa, cg_like(bits, g->f64), "");
  LLVMValueRef part[3];
  for (unsigned i = 0; i < 3; i++) part[i] = cg_mul(g, m, look_up(g, window_table(g, i), index));
  // part[0] < 2^26 in steps of 2^-26, part[1] < 1/4 in steps of 2^-54: what is left of them after subtracting an
  // integer is exact
  LLVMValueRef t = cg_add(g, cg_add(g, part[0], part[1]), cg_real(g, m, shifter));
  LLVMValueRef n = cg_sub(g, t, cg_real(g, m, shifter));
  LLVMValueRef f = cg_add(g, cg_add(g, cg_sub(g, part[0], n), part[1]), part[2]);
  LLVMValueRef r = cg_mul(g, f, cg_real(g, m, 1.57079632679489661923)), j = cg_bits(g, t);
  LLVMValueRef below = cg_fcmp(g, LLVMRealOLT, x32, cg_real(g, x32, 0));
  return (reduced){cg_select(g, below, cg_neg(g, r), r), cg_select(g, below, cg_neg(g, j), j)};
}

static reduced reduce(cg *g, LLVMValueRef x32) {
  reduced small = reduce_small(g, cg_to_f64(g, x32));
  LLVMValueRef size = cg_abs(g, x32), finite = cg_fcmp(g, LLVMRealOLT, size, cg_real(g, x32, HUGE_VAL));
  LLVMValueRef is_large = cg_and(g, finite, cg_fcmp(g, LLVMRealOGE, size, cg_real(g, x32, large)));
  LLVMBasicBlockRef rare = cg_block(g, "large"), after = cg_block(g, "reduced"), from = LLVMGetInsertBlock(g->b);
  LLVMBuildCondBr(g->b, cg_any(g, is_large), rare, after);
  LLVMPositionBuilderAtEnd(g->b, rare);
  reduced other = reduce_large(g, x32);
  LLVMValueRef r = cg_select(g, is_large, other.r, small.r), j = cg_select(g, is_large, other.j, small.j);
  LLVMBuildBr(g->b, after);
  LLVMPositionBuilderAtEnd(g->b, after);
  return (reduced){cg_phi(g, r, rare, small.r, from), cg_phi(g, j, rare, small.j, from)};
}

// -- the functions --

LLVMValueRef cg_trig(cg *g, op_code op, LLVMValueRef x32) {
  reduced a = reduce(g, x32);
  LLVMValueRef u = cg_mul(g, a.r, a.r), one = cg_real(g, u, 1), zero = cg_real(g, u, 0);
  LLVMValueRef sine = cg_fma(g, cg_mul(g, a.r, u), CG_POLYNOMIAL(g, u, sin_q), a.r);
  LLVMValueRef cosine = cg_fma(g, cg_mul(g, u, u), CG_POLYNOMIAL(g, u, cos_q), cg_fma(g, u, cg_real(g, u, -0.5), one));
  LLVMValueRef odd = cg_icmp(g, LLVMIntNE, cg_and(g, a.j, cg_int(g, a.j, 1)), cg_int(g, a.j, 0)), v;
  if (op == OP_tan) {
    v = cg_div(g, cg_select(g, odd, cosine, sine), cg_select(g, odd, cg_neg(g, sine), cosine));
  } else {
    LLVMValueRef j = op == OP_cos ? cg_add(g, a.j, cg_int(g, a.j, 1)) : a.j; // cos(x) = sin(x + pi/2)
    v = op == OP_cos ? cg_select(g, odd, sine, cosine) : cg_select(g, odd, cosine, sine);
    LLVMValueRef sign = cg_shl(g, cg_and(g, j, cg_int(g, j, 2)), 62);
    v = cg_from_bits(g, LLVMBuildXor(g->b, cg_bits(g, v), sign, ""));
  }
  if (op == OP_cos) return v;
  LLVMValueRef x = cg_to_f64(g, x32);
  return cg_select(g, cg_fcmp(g, LLVMRealOEQ, x, zero), x, v); // for -0
}

// An odd polynomial on [-1, 1]; pi/2 - atan(1/x) beyond.
LLVMValueRef cg_atan(cg *g, LLVMValueRef x) {
  LLVMValueRef a = cg_abs(g, x), one = cg_real(g, x, 1), inverted = cg_fcmp(g, LLVMRealOGT, a, one);
  LLVMValueRef z = cg_div(g, cg_select(g, inverted, one, a), cg_select(g, inverted, a, one)), u = cg_mul(g, z, z);
  LLVMValueRef v = cg_fma(g, cg_mul(g, z, u), CG_POLYNOMIAL(g, u, atan_q), z);
  LLVMValueRef rest = cg_sub(g, v, cg_real(g, x, -0x1.777a5cp-25)); // pi/2 is its f32 and this much
  v = cg_select(g, inverted, cg_sub(g, cg_real(g, x, 0x1.921fb6p0), rest), v);
  return cg_copysign(g, v, x);
}
