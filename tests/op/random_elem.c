// Random elementwise operators. Bounds of floats are followed through each one, so that values stay finite and
// operators stay inside their domains; what may hold infinities and NaN is exempt. See random_graph.h.
#include "op/random_gen.h"
#include <math.h>

static const double TOO_BIG =
    1e6; // below the largest f16 only by luck: half-precision values may overflow to inf in every engine alike

static bool is_number(gen *g, const rv *x) {
  (void)g;
  return x->v->type.dt != DT_bool;
}

static bool is_bool(gen *g, const rv *x) {
  (void)g;
  return x->v->type.dt == DT_bool;
}

static bool is_any(gen *g, const rv *x) {
  (void)g, (void)x;
  return true;
}

static bool is_crisp(gen *g, const rv *x) {
  (void)g;
  return x->crisp;
}

static double largest_of(dtype dt) { return dt == DT_f16 ? 2e3 : TOO_BIG; }

// -- unary --

// No finite operand is an edge where a rounding makes NaN or infinity of a number.
static bool is_smooth(op_code op) {
  switch ((int)op) {
  case OP_neg:
  case OP_abs:
  case OP_exp:
  case OP_expm1:
  case OP_tanh:
  case OP_sigmoid:
  case OP_erf:
  case OP_atan:
  case OP_isnan:
  case OP_isinf: return true;
  default: return false;
  }
}

// Where each function is smooth and neither overflows nor loses everything.
static bool in_domain(op_code op, const rv *x) {
  double big = gen_magnitude(x), top = x->v->type.dt == DT_f16 ? 6 : 9;
  if (x->nasty) return x->crisp || is_smooth(op);
  switch ((int)op) {
  case OP_sqrt:
  case OP_rsqrt:
  case OP_log: return x->lo > 0.01;
  case OP_exp:
  case OP_expm1: return x->hi < top;
  case OP_log1p: return x->lo > -0.9;
  case OP_sin:
  case OP_cos: return big < 1000;
  case OP_tan: return big < 1.2;
  case OP_erfinv: return big < 0.95;
  case OP_floor:
  case OP_ceil:
  case OP_round_even:
  case OP_round_away:
  case OP_sign: return x->crisp;
  default: return true;
  }
}

static void bounds_after(op_code op, const rv *x, double *lo, double *hi) {
  double big = gen_magnitude(x);
  *lo = -big - 1, *hi = big + 1;
  switch ((int)op) {
  case OP_neg: *lo = -x->hi, *hi = -x->lo; break;
  case OP_abs: *lo = x->lo > 0 ? x->lo : x->hi < 0 ? -x->hi : 0, *hi = big; break;
  case OP_exp: *lo = exp(x->lo) * 0.99, *hi = exp(x->hi) * 1.01; break;
  case OP_expm1: *lo = -1, *hi = exp(x->hi); break;
  case OP_sqrt: *lo = sqrt(x->lo) * 0.99, *hi = sqrt(x->hi) * 1.01; break;
  case OP_rsqrt: *lo = 0.99 / sqrt(x->hi), *hi = 1.01 / sqrt(x->lo); break;
  case OP_log: *lo = log(x->lo) - 0.01, *hi = log(x->hi) + 0.01; break;
  case OP_log1p: *lo = log1p(x->lo) - 0.01, *hi = log1p(x->hi) + 0.01; break;
  case OP_sin:
  case OP_cos:
  case OP_tanh:
  case OP_erf:
  case OP_sign: *lo = -1, *hi = 1; break;
  case OP_sigmoid: *lo = 0.99 / (1 + exp(-x->lo)), *hi = 1; break;
  case OP_atan: *lo = -1.6, *hi = 1.6; break;
  case OP_tan:
  case OP_erfinv: *lo = -3, *hi = 3; break;
  case OP_isnan:
  case OP_isinf: *lo = 0, *hi = 1; break;
  default: break;
  }
}

static bool keeps_crisp(op_code op) {
  switch ((int)op) {
  case OP_neg:
  case OP_abs:
  case OP_sign:
  case OP_floor:
  case OP_ceil:
  case OP_round_even:
  case OP_round_away:
  case OP_isnan:
  case OP_isinf: return true;
  default: return false;
  }
}

bool step_unary(gen *g) {
  static const op_code floats[] = {OP_neg,        OP_abs,  OP_sign,   OP_floor, OP_ceil,  OP_round_even,
                                   OP_round_away, OP_sqrt, OP_rsqrt,  OP_exp,   OP_expm1, OP_log,
                                   OP_log1p,      OP_sin,  OP_cos,    OP_tan,   OP_atan,  OP_tanh,
                                   OP_sigmoid,    OP_erf,  OP_erfinv, OP_isnan, OP_isinf};
  static const op_code ints[] = {OP_neg, OP_abs, OP_sign};
  const rv *x = gen_pick(g, is_number);
  if (!x) return false;
  op_code op = gen_is_float(x) ? floats[below(g, sizeof floats / sizeof *floats)] : ints[below(g, 3)];
  rv in = *x;
  double lo, hi;
  if (gen_is_float(x) && !in_domain(op, x)) return false;
  bounds_after(op, x, &lo, &hi);
  bool crisp = in.crisp && (!gen_is_float(&in) || keeps_crisp(op));
  bool nasty = in.nasty && op != OP_isnan && op != OP_isinf;
  gen_push(g, ir_unary(&g->b, op, in.v), lo, hi, crisp || op == OP_isnan || op == OP_isinf, nasty);
  return true;
}

// -- binary --

static bool push_float(gen *g, op_code op, const rv *x, const rv *y) {
  double corners[] = {x->lo * y->lo, x->lo * y->hi, x->hi * y->lo, x->hi * y->hi}, lo = corners[0], hi = corners[0];
  bool nasty = x->nasty || y->nasty, chooses = op == OP_min || op == OP_max; // of two zeros, either
  bool crisp = x->crisp && y->crisp && (op == OP_floordiv || op == OP_mod || (chooses && !nasty));
  for (int i = 1; i < 4; i++) lo = fmin(lo, corners[i]), hi = fmax(hi, corners[i]);
  switch ((int)op) {
  case OP_add: lo = x->lo + y->lo, hi = x->hi + y->hi; break;
  case OP_sub: lo = x->lo - y->hi, hi = x->hi - y->lo; break;
  case OP_min: lo = fmin(x->lo, y->lo), hi = fmin(x->hi, y->hi); break;
  case OP_max: lo = fmax(x->lo, y->lo), hi = fmax(x->hi, y->hi); break;
  case OP_div: lo = -gen_magnitude(x) / y->lo, hi = -lo; break; // y is positive
  case OP_floordiv: lo = -gen_magnitude(x) / y->lo - 1, hi = -lo; break;
  case OP_mod: lo = 0, hi = y->hi; break;
  case OP_pow: lo = 0, hi = pow(fmax(x->hi, 1 / x->lo), gen_magnitude(y)); break; // x is positive
  default: break;
  }
  if (!nasty && fmax(fabs(lo), fabs(hi)) > largest_of(x->v->type.dt)) return false;
  gen_push(g, ir_binary(&g->b, op, x->v, y->v), lo, hi, crisp, nasty);
  return true;
}

bool step_binary(gen *g) {
  static const op_code ints[] = {OP_add, OP_sub, OP_mul, OP_floordiv, OP_mod, OP_min, OP_max};
  static const op_code floats[] = {OP_add, OP_add, OP_sub,      OP_mul, OP_mul, OP_div,
                                   OP_min, OP_max, OP_floordiv, OP_mod, OP_pow};
  const rv *p = gen_pick(g, is_number);
  if (!p) return false;
  rv x = *p;
  if (!gen_is_float(&x)) {
    rv y = gen_partner(g, &x, 0);
    gen_push(g, ir_binary(&g->b, ints[below(g, 7)], x.v, y.v), -1e19, 1e19, true, false);
    return true;
  }
  op_code op = floats[below(g, sizeof floats / sizeof *floats)];
  if ((op == OP_floordiv || op == OP_mod) && !x.crisp) return false;
  if (op == OP_pow && (x.nasty ? !x.crisp : x.lo < 0.1)) return false;
  bool divides = op == OP_div || op == OP_floordiv || op == OP_mod;
  rv y = gen_partner(g, &x, 0);
  if (divides && (y.nasty ? !y.crisp : y.lo < 0.1)) y = gen_partner(g, &x, op == OP_div ? 'p' : 'n');
  if ((op == OP_floordiv || op == OP_mod) && !y.crisp) return false;
  if (op == OP_pow && (y.nasty ? !y.crisp : gen_magnitude(&y) > 4)) y = gen_partner(g, &x, 'u');
  return push_float(g, op, &x, &y);
}

bool step_compare(gen *g) {
  static const op_code ops[] = {OP_eq, OP_lt, OP_le};
  const rv *p = gen_pick(g, is_crisp);
  if (!p) return false;
  rv x = *p;
  op_code op = x.v->type.dt == DT_bool ? OP_eq : ops[below(g, 3)];
  rv y = gen_partner(g, &x, 0);
  if (!y.crisp) y = gen_partner(g, &x, 'c');
  gen_push(g, ir_binary(&g->b, op, x.v, y.v), 0, 1, true, false);
  return true;
}

bool step_logic(gen *g) {
  const rv *p = gen_pick(g, is_bool);
  if (!p) return false;
  rv x = *p;
  if (chance(g, 30)) {
    gen_push(g, ir_unary(&g->b, OP_not, x.v), 0, 1, true, false);
    return true;
  }
  rv y = gen_partner(g, &x, 0);
  gen_push(g, ir_binary(&g->b, chance(g, 50) ? OP_and : OP_or, x.v, y.v), 0, 1, true, false);
  return true;
}

bool step_where(gen *g) {
  const rv *p = gen_pick(g, is_any);
  if (!p) return false;
  rv x = *p, like = x;
  like.v = ir_const_scalar(&g->b, scalar_i(DT_bool, 0), x.v->type.rank, x.v->type.dim); // only its type is used
  rv c = gen_partner(g, &like, 0), y = gen_partner(g, &x, 0);
  gen_push(g, ir_where(&g->b, c.v, x.v, y.v), fmin(x.lo, y.lo), fmax(x.hi, y.hi), x.crisp && y.crisp,
           x.nasty || y.nasty);
  return true;
}

bool step_cast(gen *g) {
  const rv *p = gen_pick(g, is_any);
  if (!p) return false;
  rv x = *p;
  dtype from = x.v->type.dt, to = chance(g, 50) ? DT_f32 : (dtype)below(g, DT_COUNT);
  if (to == from || (!dtype_is_float(to) && !x.crisp)) return false;
  if (dtype_is_float(to) && !x.nasty && gen_magnitude(&x) > largest_of(to)) return false;
  bool narrows =
      gen_is_float(&x) && dtype_is_float(to) && (dtype_size(to) < dtype_size(from) || to == DT_bf16 || to == DT_f16);
  bool nasty = x.nasty && dtype_is_float(to);
  bool wraps = !dtype_is_float(to);
  gen_push(g, ir_cast(&g->b, x.v, to), wraps ? -1e19 : x.lo * 1.01 - 0.01, wraps ? 1e19 : x.hi * 1.01 + 0.01,
           x.crisp && !narrows, nasty);
  return true;
}

bool step_iota(gen *g) {
  const idx *dim[GEN_MAX_RANK];
  uint32_t rank = 1 + below(g, 3);
  for (uint32_t i = 0; i < rank; i++) dim[i] = gen_dim(g);
  if (gen_count(g, ir_type_make(g->m, DT_i32, rank, dim)) > g->big) return false;
  gen_push(g, ir_iota(&g->b, rank, dim, below(g, rank)), 0, 130, true, false);
  return true;
}
