// Conversions between element types: the `cast` operator, and rounding to the small floats.
//
// OpenCL's own conversions do nearly all of it: convert_T rounds to nearest even, convert_T_sat_rtz truncates and
// saturates. What would round twice goes through an f32 rounded to odd (Boldo and Melquiond 2008).
#include "codegen/opencl/cl.h"

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
