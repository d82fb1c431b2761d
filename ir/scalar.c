// Elementwise operators on scalars: the one definition that the graph interpreter and constant folding share.
//
// In: operands of one dtype (`where`: a bool, then two of the result's dtype), already rounded to it. Out: the result,
// rounded once. Floats are computed in double by libm; integers on 64 bits with wrap-around. `floordiv` and `mod` on
// floats go through fmod, so that floor sees the exact quotient: floor(1.0f/0.1f) is 9, not the 10 a rounded division
// gives. Special cases follow IEEE 754-2019: min and max give NaN if either is NaN, and order -0 below +0.
#include "ir/graph.h"

#include <assert.h>
#include <math.h>

// y with erf(y) = x. Start: S. Winitzki's elementary approximation (relative error 2e-3); then Halley's iteration,
// which triples the number of right digits, on erf near zero and on erfc in the tails, where 1 - |x| is exact and erf
// itself would cancel.
static double inverse_erf(double x) {
  double size = fabs(x), tail = 1 - size;
  if (!(size < 1)) return size == 1 ? copysign(INFINITY, x) : (double)NAN;
  if (size == 0) return x;
  const double a = 0.147, half_sqrt_pi = 0.88622692545275801365;
  double log_term = size < 0.5 ? log1p(-size * size) : log(tail) + log1p(size);
  double b = 2 / (3.14159265358979323846 * a) + log_term / 2;
  double y = size < 1e-4 ? size * half_sqrt_pi : sqrt(sqrt(b * b - log_term / a) - b);
  for (int i = 0; i < 3; i++) {
    double miss = size < 0.5 ? erf(y) - size : tail - erfc(y);
    double newton = miss * half_sqrt_pi * exp(y * y);
    y -= newton / (1 + y * newton);
  }
  return copysign(y, x);
}

static double sigmoid(double x) {
  if (x >= 0) return 1 / (1 + exp(-x));
  double e = exp(x); // keeps full precision where the result is small
  return e / (1 + e);
}

static double float_unary(op_code op, double x) {
  switch ((int)op) {
  case OP_neg: return -x;
  case OP_abs: return fabs(x);
  case OP_sign: return x > 0 ? 1 : x < 0 ? -1 : x;
  case OP_floor: return floor(x);
  case OP_ceil: return ceil(x);
  case OP_round_even: return rint(x);
  case OP_round_away: return round(x);
  case OP_sqrt: return sqrt(x);
  case OP_rsqrt: return 1 / sqrt(x);
  case OP_exp: return exp(x);
  case OP_expm1: return expm1(x);
  case OP_log: return log(x);
  case OP_log1p: return log1p(x);
  case OP_sin: return sin(x);
  case OP_cos: return cos(x);
  case OP_tan: return tan(x);
  case OP_atan: return atan(x);
  case OP_tanh: return tanh(x);
  case OP_sigmoid: return sigmoid(x);
  case OP_erf: return erf(x);
  case OP_erfinv: return inverse_erf(x);
  default: return (double)NAN;
  }
}

static double float_mod(double a, double b) {
  double r = fmod(a, b);
  if (r == 0) return 0;
  return (r < 0) != (b < 0) ? r + b : r;
}

static double float_floordiv(double a, double b) {
  if (b == 0 || isinf(a)) return floor(a / b);
  double r = fmod(a, b), q = (a - r) / b; // an integer but for its last rounding
  if (r != 0 && (r < 0) != (b < 0)) q -= 1;
  return q == 0 ? copysign(0, a / b) : rint(q);
}

static double float_binary(op_code op, double a, double b) {
  bool either_nan = isnan(a) || isnan(b), a_first = a < b || (a == b && signbit(a));
  switch ((int)op) {
  case OP_add: return a + b;
  case OP_sub: return a - b;
  case OP_mul: return a * b;
  case OP_div: return a / b;
  case OP_floordiv: return float_floordiv(a, b);
  case OP_mod: return float_mod(a, b);
  case OP_pow: return pow(a, b);
  case OP_min: return either_nan ? (double)NAN : a_first ? a : b;
  case OP_max: return either_nan ? (double)NAN : a_first ? b : a;
  default: return (double)NAN;
  }
}

static int64_t int_floordiv(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return (int64_t)(0 - (uint64_t)a); // INT64_MIN wraps
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

static int64_t int_unary(op_code op, int64_t x) {
  int64_t negative = (int64_t)(0 - (uint64_t)x);
  switch ((int)op) {
  case OP_neg: return negative;
  case OP_abs: return x < 0 ? negative : x;
  case OP_sign: return (x > 0) - (x < 0);
  case OP_not: return !x;
  default: return 0;
  }
}

// Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). Element i takes word i%4 of the
// block whose 128-bit counter is i/4 (low word first) and whose key is (seed, 0), without its low nine bits.
uint32_t op_random_bits(uint64_t index, uint32_t seed) {
  uint32_t x[4] = {(uint32_t)(index / 4), (uint32_t)(index / 4 >> 32), 0, 0}, key0 = seed, key1 = 0;
  for (int round = 0; round < 10; round++, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
    uint64_t a = (uint64_t)0xD2511F53u * x[0], b = (uint64_t)0xCD9E8D57u * x[2];
    uint32_t x1 = x[1], x3 = x[3];
    x[0] = (uint32_t)(b >> 32) ^ x1 ^ key0;
    x[1] = (uint32_t)b;
    x[2] = (uint32_t)(a >> 32) ^ x3 ^ key1;
    x[3] = (uint32_t)a;
  }
  return x[index % 4] >> 9;
}

static int64_t int_binary(op_code op, int64_t a, int64_t b) {
  uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
  switch ((int)op) {
  case OP_add: return (int64_t)(ua + ub);
  case OP_sub: return (int64_t)(ua - ub);
  case OP_mul: return (int64_t)(ua * ub);
  case OP_floordiv: return int_floordiv(a, b);
  case OP_mod: return b == 0 ? 0 : (int64_t)(ua - ub * (uint64_t)int_floordiv(a, b));
  case OP_min: return a < b ? a : b;
  case OP_max: return a < b ? b : a;
  case OP_and: return a & b;
  case OP_or: return a | b;
  case OP_philox: return op_random_bits((uint32_t)a, (uint32_t)b);
  default: return 0;
  }
}

static bool compare(op_code op, scalar a, scalar b) {
  bool is_float = dtype_is_float(a.dt);
  switch ((int)op) {
  case OP_eq: return is_float ? a.v.f == b.v.f : a.v.i == b.v.i;
  case OP_lt: return is_float ? a.v.f < b.v.f : a.v.i < b.v.i;
  case OP_le: return is_float ? a.v.f <= b.v.f : a.v.i <= b.v.i;
  default: return false;
  }
}

scalar op_eval_scalar(op_code op, const scalar *in, dtype out) {
  assert(op_is_elementwise(op));
  const scalar a = in[0];
  if (op == OP_cast) return scalar_cast(a, out);
  if (op == OP_where) return a.v.i ? in[1] : in[2];
  if (op == OP_isnan) return scalar_i(DT_bool, isnan(a.v.f));
  if (op == OP_isinf) return scalar_i(DT_bool, isinf(a.v.f) != 0);
  if (op_has(op, OPF_CMP)) return scalar_i(DT_bool, compare(op, a, in[1]));
  bool binary = op_get(op)->cls == OPC_binary;
  if (dtype_is_float(out)) return scalar_f(out, binary ? float_binary(op, a.v.f, in[1].v.f) : float_unary(op, a.v.f));
  return scalar_i(out, binary ? int_binary(op, a.v.i, in[1].v.i) : int_unary(op, a.v.i));
}
