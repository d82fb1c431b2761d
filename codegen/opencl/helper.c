// Functions of the printed program: what OpenCL C has no operator or built-in function for.
//
// One row a function, written once for scalars and vectors of every length; it is printed under a name that tells dtype
// and lanes (add_i32x4) when it is first called. In the text: $T the operands' type; $I, $U signed and unsigned
// integers as wide; $R, $J float and int with as many lanes; $N the number of lanes as types have it, $L as a
// number; $M the least integer; $S the scalar function lane by lane; $P, $Q polynomials of erfinv. Masks: vectors
// compare to lanes of -1, scalars to 1; select() takes both once they are as wide as what it selects.
#include "codegen/llvm/math_coeffs.h"
#include "codegen/opencl/cl.h"

#include <string.h>

typedef enum family { FAMILY_float, FAMILY_double, FAMILY_signed, FAMILY_unsigned } family; // double: of f64 alone

typedef struct function {
  const char *name, *result;
  family of;
  uint32_t n_args;
  const char *text;
} function;

#define CROSSED "convert_$I((r != ($T)(0)) & ((r < ($T)(0)) != (y < ($T)(0))))"
#define WIDE_DIVISOR                                                                                                   \
  "  $T d = select(y, ($T)(1), convert_$I((y == ($T)(0)) | ((x == ($T)($M)) & (y == ($T)(-1)))));\n"                   \
  "  $T q = ($T)(x / d), r = ($T)(x - q * d);\n"                                                                       \
  "  $I crossed = convert_$I((r != ($T)(0)) & ((r ^ d) < ($T)(0)));\n"
#define PLAIN_DIVISOR "  $T d = select(y, ($T)(1), convert_$I(y == ($T)(0)));\n"

#define ERFINV_START                                                                                                   \
  "  $T w = -log2((($T)(1) - x) * (($T)(1) + x)), near = w - ($T)(3.5f), far = sqrt(w) - ($T)(3.75f);\n"               \
  "  $T q = select($Q, $P, convert_$I(w < ($T)(7)));\n"                                                                \
  "  $T v = select(x * q, copysign(($T)(INFINITY), x), convert_$I(fabs(x) == ($T)(1)));\n"

static const function functions[] = {
    // floats: f32 and f64
    {"min", "$T", FAMILY_float, 2, "  return select(y, x, convert_$I((x < y) | (x != x)));\n"},
    {"max", "$T", FAMILY_float, 2, "  return select(y, x, convert_$I((x > y) | (x != x)));\n"},
    {"sign", "$T", FAMILY_float, 1,
     "  $T above = select(x, ($T)(1), convert_$I(x > ($T)(0)));\n"
     "  return select(above, ($T)(-1), convert_$I(x < ($T)(0)));\n"},
    {"sigmoid", "$T", FAMILY_float, 1,
     "  $T e = exp(-fabs(x)); // never infinite, and exact where the result is small\n"
     "  return select(($T)(1), e, convert_$I(x < ($T)(0))) / (($T)(1) + e);\n"},
    // lane by lane: PoCL's vectors give sin(0.001) = 0.008 where another lane is huge
    {"sin", "$T", FAMILY_float, 1, "  return ($T)($S);\n"},
    {"cos", "$T", FAMILY_float, 1, "  return ($T)($S);\n"},
    {"tan", "$T", FAMILY_float, 1, "  return ($T)($S);\n"},
    {"mod", "$T", FAMILY_float, 2,
     "  $T r = fmod(x, y);\n"
     "  return select(select(r, r + y, " CROSSED "), ($T)(0), convert_$I(r == ($T)(0)));\n"},
    // x - r is n + lost, exactly; what n / y and a quotient one less lose is added last
    {"floordiv", "$T", FAMILY_float, 2,
     "  $T r = fmod(x, y), n = x - r, lost = (x - n) - r, ratio = x / y, q = n / y;\n"
     "  $T one = select(($T)(0), ($T)(1), " CROSSED ");\n"
     "  $T better = q + ((fma(-q, y, n) + lost) / y - one);\n"
     "  q = select(q - one, better, convert_$I(better == better));\n"
     "  q = select(rint(q), copysign(($T)(0), ratio), convert_$I(q == ($T)(0)));\n"
     "  return select(q, floor(ratio), convert_$I((y == ($T)(0)) | (fabs(x) == ($T)(INFINITY))));\n"},
    {"erfinv", "$T", FAMILY_float, 1, ERFINV_START "  return select(v, ($T)(NAN), convert_$I(fabs(x) > ($T)(1)));\n"},
    {"erfinv", "$T", FAMILY_double, 1, // and a step of Halley's, on erfc in the tails, where erf would cancel
     ERFINV_START "  $T size = fabs(x), y = fabs(v);\n"
                  "  $T miss = select(erfc(y) - (1 - size), size - erf(y), convert_$I(size < ($T)(0.5)));\n"
                  "  $T newton = -miss * ($T)(0.88622692545275801365) * exp(y * y);\n"
                  "  y = select(y, y - newton / (1 + y * newton), convert_$I((size > ($T)(0)) & (size < ($T)(1))));\n"
                  "  return select(copysign(y, x), ($T)(NAN), convert_$I(size > ($T)(1)));\n"},
    {"to_f16", "$T", FAMILY_float, 1,
     "  ushort h[$L];\n"
     "  vstore_half$N_rte(x, 0, (__private half *)h);\n"
     "  return vload_half$N(0, (const __private half *)h);\n"},
    {"to_bf16", "$T", FAMILY_float, 1,
     "  $U b = as_$U(x), high = ($U)(0xffff0000u);\n"
     "  $U rounded = (b + ($U)(0x7fff) + ((b >> 16) & ($U)(1))) & high;\n"
     "  return select(as_$T(rounded), as_$T((b | ($U)(0x400000)) & high), convert_$I(x != x));\n"},
    {"odd", "$R", FAMILY_float, 1, // f64 to f32: toward zero, the last bit set if anything was lost
     "  $R near = convert_$R(x);\n"
     "  $T back = convert_$T(near);\n"
     "  $J bits = as_$J(near) - (convert_$J(fabs(back) > fabs(x)) & 1);\n"
     "  return as_$R(bits | (convert_$J(back != x) & 1));\n"},
    {"to_i8", "char$N", FAMILY_float, 1,
     "  return select(convert_char$N_sat_rtz(x), (char$N)(0), convert_char$N(x != x));\n"},
    {"to_u8", "uchar$N", FAMILY_float, 1,
     "  return select(convert_uchar$N_sat_rtz(x), (uchar$N)(0), convert_char$N(x != x));\n"},
    {"to_i32", "int$N", FAMILY_float, 1,
     "  return select(convert_int$N_sat_rtz(x), (int$N)(0), convert_int$N(x != x));\n"},
    {"to_i64", "long$N", FAMILY_float, 1,
     "  return select(convert_long$N_sat_rtz(x), (long$N)(0), convert_long$N(x != x));\n"},
    // integers wrap
    {"neg", "$T", FAMILY_signed, 1, "  return as_$T(($U)(-as_$U(x)));\n"},
    {"add", "$T", FAMILY_signed, 2, "  return as_$T(($U)(as_$U(x) + as_$U(y)));\n"},
    {"sub", "$T", FAMILY_signed, 2, "  return as_$T(($U)(as_$U(x) - as_$U(y)));\n"},
    {"mul", "$T", FAMILY_signed, 2, "  return as_$T(($U)(as_$U(x) * as_$U(y)));\n"},
    {"neg", "$T", FAMILY_unsigned, 1, "  return ($T)(-x);\n"},
    {"add", "$T", FAMILY_unsigned, 2, "  return ($T)(x + y);\n"},
    {"sub", "$T", FAMILY_unsigned, 2, "  return ($T)(x - y);\n"},
    {"mul", "$T", FAMILY_unsigned, 2, "  return ($T)(x * y);\n"},
    {"abs", "$T", FAMILY_signed, 1, "  return as_$T(abs(x));\n"},
    {"sign", "$T", FAMILY_signed, 1, "  return clamp(x, ($T)(-1), ($T)(1));\n"},
    {"sign", "$T", FAMILY_unsigned, 1, "  return min(x, ($T)(1));\n"},
    // floor division; by 0 it gives 0, and MIN / -1 wraps, which is MIN / 1
    {"floordiv", "$T", FAMILY_signed, 2,
     WIDE_DIVISOR "  return select(select(q, ($T)(q - ($T)(1)), crossed), ($T)(0), convert_$I(y == ($T)(0)));\n"},
    {"mod", "$T", FAMILY_signed, 2, WIDE_DIVISOR "  return select(r, ($T)(r + d), crossed);\n"},
    {"floordiv", "$T", FAMILY_unsigned, 2,
     PLAIN_DIVISOR "  return select(($T)(x / d), ($T)(0), convert_$I(y == ($T)(0)));\n"},
    {"mod", "$T", FAMILY_unsigned, 2, PLAIN_DIVISOR "  return ($T)(x % d);\n"},
    {"odd", "$R", FAMILY_signed, 1, // to f32: toward zero, the last bit set if anything was lost
     "  $R near = convert_$R_rtz(x);\n"
     "  return as_$R(as_$J(near) | (convert_$J(convert_$T(near) != x) & 1));\n"},
    // Philox 4x32-10: the whole block for each element, of which it takes one word
    {"philox", "$T", FAMILY_signed, 2,
     "  $U a = as_$U(x) >> 2, b = ($U)(0), c = ($U)(0), d = ($U)(0), key = as_$U(y), word = as_$U(x) & ($U)(3);\n"
     "  uint other = 0;\n"
     "  for (int round = 0; round < 10; round++) {\n"
     "    $U p = mul_hi(a, ($U)(0xD2511F53u)), q = mul_hi(c, ($U)(0xCD9E8D57u));\n"
     "    $U low = a * ($U)(0xD2511F53u);\n"
     "    a = q ^ b ^ key;\n"
     "    b = c * ($U)(0xCD9E8D57u);\n"
     "    c = p ^ d ^ ($U)(other);\n"
     "    d = low;\n"
     "    key += ($U)(0x9E3779B9u);\n"
     "    other += 0xBB67AE85u;\n"
     "  }\n"
     "  $U first = select(a, b, convert_$I(word == ($U)(1))), second = select(c, d, convert_$I(word == ($U)(3)));\n"
     "  return as_$T(select(first, second, convert_$I(word > ($U)(1))) >> 9);\n"},
};

enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

// -- expansion --

static const char *polynomial(cl *g, const char *x, size_t n, const double *coef, dtype dt, uint32_t lanes) {
  const char *sum = cl_splat(g, dt, cl_scalar(g, scalar_f(dt, coef[n - 1])), lanes).text;
  while (n-- > 1) {
    const char *next = cl_splat(g, dt, cl_scalar(g, scalar_f(dt, coef[n - 1])), lanes).text;
    sum = str_fmt(g->a, "FMA(%s, %s, %s)", sum, x, next);
  }
  return sum;
}

static const char *unsigned_type(cl *g, dtype dt, uint32_t lanes) {
  return str_fmt(g->a, "u%s", cl_int_type(g, dt, lanes));
}

static const char *least(dtype dt) { return dt == DT_i8 ? "CHAR_MIN" : dt == DT_i32 ? "INT_MIN" : "LONG_MIN"; }

// The scalar function of that name for each lane of x.
static const char *lane_by_lane(cl *g, const char *name, uint32_t lanes) {
  strbuf b;
  sb_init(&b, g->a);
  for (uint32_t i = 0; i < lanes; i++) sb_fmt(&b, "%s%s(x.s%x)", i == 0 ? "" : ", ", name, i);
  return sb_cstr(&b);
}

static const char *replacement(cl *g, const function *f, char what, dtype dt, uint32_t lanes) {
  enum { NEAR = sizeof erfinv_near / sizeof *erfinv_near, FAR = sizeof erfinv_far / sizeof *erfinv_far };
  switch (what) {
  case 'T': return cl_type(g, dt, lanes);
  case 'I': return cl_int_type(g, dt, lanes);
  case 'U': return unsigned_type(g, dt, lanes);
  case 'R': return cl_type(g, DT_f32, lanes);
  case 'J': return cl_type(g, DT_i32, lanes);
  case 'N': return lanes == 1 ? "" : str_fmt(g->a, "%u", lanes);
  case 'L': return str_fmt(g->a, "%u", lanes);
  case 'M': return least(dt);
  case 'S': return lane_by_lane(g, f->name, lanes);
  case 'P': return polynomial(g, "near", NEAR, erfinv_near, dt, lanes);
  case 'Q': return polynomial(g, "far", FAR, erfinv_far, dt, lanes);
  default: return "$";
  }
}

static void expand(cl *g, strbuf *b, const function *f, const char *text, dtype dt, uint32_t lanes) {
  for (; *text != '\0'; text++) {
    if (*text == '$') sb_z(b, replacement(g, f, *++text, dt, lanes));
    else sb_char(b, *text);
  }
}

static const function *find(family of, const char *name) {
  for (size_t i = 0; i < N_FUNCTIONS; i++)
    if (functions[i].of == of && strcmp(functions[i].name, name) == 0) return &functions[i];
  return NULL;
}

const char *cl_call(cl *g, const char *name, dtype dt, uint32_t lanes, const char *args) {
  family of = dtype_is_float(dt) ? FAMILY_float : dt == DT_u8 ? FAMILY_unsigned : FAMILY_signed;
  const char *full = str_fmt(g->a, "%s_%sx%u", name, dtype_name(dt), lanes);
  const function *f = dt == DT_f64 ? find(FAMILY_double, name) : NULL;
  if (f == NULL) f = find(of, name);
  BUG_IF(g->l, f == NULL, "kernel %s: no function %s", g->k->name, full);
  if (map_add(g->printed, str_of(full), g)) {
    strbuf b;
    sb_init(&b, g->a);
    const char *type = cl_type(g, dt, lanes);
    expand(g, &b, f, f->result, dt, lanes);
    sb_fmt(&b, " %s(%s x", full, type);
    if (f->n_args == 2) sb_fmt(&b, ", %s y", type);
    sb_z(&b, ") {\n");
    expand(g, &b, f, f->text, dt, lanes);
    sb_fmt(&g->functions, "%s}\n\n", sb_cstr(&b));
  }
  return str_fmt(g->a, "%s(%s)", full, args);
}
