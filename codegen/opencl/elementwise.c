// Elementwise operators and conversions as C expressions.
//
// Floats use C's operators and OpenCL's built-in functions; what these define otherwise than ir/ops.def (min, max,
// sign, integers that wrap, division of integers) is a function of helper.c. f16 and bf16 compute in f32 and round once
// at the end. Errors are those that OpenCL 1.2, section 7.4 allows: exp, log, expm1 3 ulp, log1p, rsqrt 2, sin, cos 4,
// tan, atan, tanh 5, erf, pow 16. Deviations: min and max of -0 and +0 give either; subnormal f32 may be flushed to
// zero where the device does that.
//
// OpenCL's own conversions do nearly all of a cast: convert_T rounds to nearest even, convert_T_sat_rtz truncates and
// saturates. What would round twice goes through an f32 rounded to odd (Boldo and Melquiond 2008).
#include "codegen/opencl/cl.h"

// A comparison gives 0 or 1 for scalars, and lanes of 0 or -1 as wide as the operands for vectors.
const char *cl_bool(cl *g, dtype of, uint32_t lanes, const char *comparison) {
  if (lanes == 1) return str_fmt(g->a, "-(%s)", comparison);
  bool as_wide = dtype_size(of) == 4 || of == DT_f16 || of == DT_bf16 || of == DT_bool;
  return as_wide ? comparison : str_fmt(g->a, "convert_int%u(%s)", lanes, comparison);
}

// -- conversions --

static const char *convert(cl *g, dtype to, uint32_t lanes, const char *x) {
  return str_fmt(g->a, "convert_%s(%s)", cl_type(g, to, lanes), x);
}

const char *cl_round(cl *g, dtype dt, uint32_t lanes, const char *x) {
  if (dt == DT_f16) return cl_call(g, "to_f16", DT_f32, lanes, x);
  if (dt == DT_bf16) return cl_call(g, "to_bf16", DT_f32, lanes, x);
  return x;
}

static const char *float_to_float(cl *g, dtype from, dtype to, uint32_t lanes, const char *x) {
  if (to == DT_f64) return convert(g, to, lanes, x);
  if (from != DT_f64) return cl_round(g, to, lanes, x);
  return to == DT_f32 ? convert(g, to, lanes, x) : cl_round(g, to, lanes, cl_call(g, "odd", from, lanes, x));
}

static const char *int_to_float(cl *g, dtype from, dtype to, uint32_t lanes, const char *x) {
  if (to == DT_bf16 && dtype_size(from) >= 4) return cl_round(g, to, lanes, cl_call(g, "odd", from, lanes, x));
  // f16 overflows long before an f32 drops bits of an integer
  return cl_round(g, to, lanes, convert(g, to, lanes, x));
}

const char *cl_convert(cl *g, dtype from, dtype to, uint32_t lanes, const char *x) {
  if (from == to) return x;
  if (from == DT_bool) return convert(g, to, lanes, str_fmt(g->a, "%s & 1", x));
  if (to == DT_bool)
    return cl_bool(g, from, lanes,
                   str_fmt(g->a, "%s != %s", x, cl_splat(g, from, cl_scalar(g, scalar_i(from, 0)), lanes).text));
  if (!dtype_is_float(from)) return dtype_is_float(to) ? int_to_float(g, from, to, lanes, x) : convert(g, to, lanes, x);
  if (dtype_is_float(to)) return float_to_float(g, from, to, lanes, x);
  const char *name = str_fmt(g->a, "to_%s", dtype_name(to));
  return cl_call(g, name, from == DT_f64 ? DT_f64 : DT_f32, lanes, x);
}

// -- operators --

static const char *infix(cl *g, const char *op, const char *const *x) {
  return str_fmt(g->a, "%s %s %s", x[0], op, x[1]);
}

static const char *call1(cl *g, const char *f, const char *const *x) { return str_fmt(g->a, "%s(%s)", f, x[0]); }

static const char *call2(cl *g, const char *f, const char *const *x) {
  return str_fmt(g->a, "%s(%s, %s)", f, x[0], x[1]);
}

static const char *helper1(cl *g, const char *f, dtype dt, uint32_t lanes, const char *const *x) {
  return cl_call(g, f, dt, lanes, x[0]);
}

static const char *helper2(cl *g, const char *f, dtype dt, uint32_t lanes, const char *const *x) {
  return cl_call(g, f, dt, lanes, str_fmt(g->a, "%s, %s", x[0], x[1]));
}

static const char *bool_op(cl *g, op_code op, const char *const *x) {
  switch ((int)op) {
  case OP_not: return str_fmt(g->a, "~%s", x[0]);
  case OP_and: return infix(g, "&", x);
  case OP_or: return infix(g, "|", x);
  case OP_eq: return str_fmt(g->a, "~(%s ^ %s)", x[0], x[1]);
  default: return NULL;
  }
}

static const char *int_op(cl *g, op_code op, dtype dt, uint32_t n, const char *const *x) {
  switch ((int)op) {
  case OP_neg: return helper1(g, "neg", dt, n, x);
  case OP_abs: return dt == DT_u8 ? x[0] : helper1(g, "abs", dt, n, x);
  case OP_sign: return helper1(g, "sign", dt, n, x);
  case OP_add: return helper2(g, "add", dt, n, x);
  case OP_sub: return helper2(g, "sub", dt, n, x);
  case OP_mul: return helper2(g, "mul", dt, n, x);
  case OP_floordiv: return helper2(g, "floordiv", dt, n, x);
  case OP_mod: return helper2(g, "mod", dt, n, x);
  case OP_min: return call2(g, "min", x);
  case OP_max: return call2(g, "max", x);
  case OP_philox: return helper2(g, "philox", dt, n, x);
  default: return NULL;
  }
}

static const char *float_op(cl *g, op_code op, dtype dt, uint32_t n, const char *const *x) {
  switch ((int)op) {
  case OP_neg: return str_fmt(g->a, "-%s", x[0]);
  case OP_abs: return call1(g, "fabs", x);
  case OP_round_even: return call1(g, "rint", x);
  case OP_round_away: return call1(g, "round", x);
  case OP_floor:
  case OP_ceil:
  case OP_sqrt:
  case OP_rsqrt:
  case OP_exp:
  case OP_expm1:
  case OP_log:
  case OP_log1p:
  case OP_atan:
  case OP_tanh:
  case OP_erf: return call1(g, op_get(op)->name, x);
  case OP_sin:
  case OP_cos:
  case OP_tan: return n == 1 ? call1(g, op_get(op)->name, x) : helper1(g, op_get(op)->name, dt, n, x);
  case OP_sign: return helper1(g, "sign", dt, n, x);
  case OP_sigmoid: return helper1(g, "sigmoid", dt, n, x);
  case OP_erfinv: return helper1(g, "erfinv", dt, n, x);
  case OP_add: return infix(g, "+", x);
  case OP_sub: return infix(g, "-", x);
  case OP_mul: return infix(g, "*", x);
  case OP_div: return infix(g, "/", x);
  case OP_pow: return call2(g, "pow", x);
  case OP_floordiv: return helper2(g, "floordiv", dt, n, x);
  case OP_mod: return helper2(g, "mod", dt, n, x);
  case OP_min: return helper2(g, "min", dt, n, x);
  case OP_max: return helper2(g, "max", dt, n, x);
  default: return NULL;
  }
}

static const char *comparison(cl *g, op_code op, dtype dt, uint32_t n, const char *const *x) {
  switch ((int)op) {
  case OP_eq: return cl_bool(g, dt, n, infix(g, "==", x));
  case OP_lt: return cl_bool(g, dt, n, infix(g, "<", x));
  case OP_le: return cl_bool(g, dt, n, infix(g, "<=", x));
  case OP_isnan: return cl_bool(g, dt, n, call1(g, "isnan", x));
  case OP_isinf: return cl_bool(g, dt, n, call1(g, "isinf", x));
  default: return NULL;
  }
}

// select(other, x, mask), whose mask has lanes as wide as its operands.
static const char *pick(cl *g, dtype dt, uint32_t n, const char *const *x) {
  if (n == 1) return str_fmt(g->a, "%s ? %s : %s", x[0], x[1], x[2]);
  const char *mask = str_is(str_of(cl_int_type(g, dt, 1)), "int")
                         ? x[0]
                         : str_fmt(g->a, "convert_%s(%s)", cl_int_type(g, dt, n), x[0]);
  return str_fmt(g->a, "select(%s, %s, %s)", x[2], x[1], mask);
}

const char *cl_elementwise(cl *g, op_code op, dtype in, dtype out, uint32_t lanes, const char *const *x) {
  const char *text;
  if (op == OP_cast) return cl_convert(g, in, out, lanes, x[0]);
  if (op == OP_where) return pick(g, out, lanes, x);
  if (in == DT_bool) text = bool_op(g, op, x);
  else if (op_has(op, OPF_CMP)) text = comparison(g, op, in, lanes, x);
  else if (dtype_is_int(in)) text = int_op(g, op, in, lanes, x);
  else text = float_op(g, op, in == DT_f64 ? DT_f64 : DT_f32, lanes, x);
  BUG_IF(g->l, text == NULL, "kernel %s: no OpenCL for %s of %s", g->k->name, op_get(op)->name, dtype_name(in));
  return dtype_is_float(in) && out != DT_bool ? cl_round(g, out, lanes, text) : text;
}

const char *cl_multiply_add(cl *g, dtype dt, uint32_t lanes, const char *x, const char *y, const char *z) {
  if (dtype_is_float(dt)) return cl_round(g, dt, lanes, str_fmt(g->a, "FMA(%s, %s, %s)", x, y, z));
  const char *product = helper2(g, "mul", dt, lanes, (const char *[]){x, y});
  return helper2(g, "add", dt, lanes, (const char *[]){product, z});
}
