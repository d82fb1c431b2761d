// Arithmetic of the compiler itself: on constants (i64, f64, bool) and tables of them, in the manner of Python: `/`
// gives a number, `//` and `%` floor, an integer that does not fit 64 bits is an error and never wraps.
#include "frontend/elab.h"

#include <math.h>

static const char *const texts[AR_COUNT] = {
    [AR_add] = "+",  [AR_sub] = "-",   [AR_mul] = "*",   [AR_div] = "/",   [AR_floordiv] = "//", [AR_mod] = "%",
    [AR_pow] = "**", [AR_min] = "min", [AR_max] = "max", [AR_eq] = "==",   [AR_ne] = "!=",       [AR_lt] = "<",
    [AR_le] = "<=",  [AR_gt] = ">",    [AR_ge] = ">=",   [AR_and] = "and", [AR_or] = "or",
};

bool arith_find(str text, arith *out) {
  for (int i = 0; i < AR_COUNT; i++) {
    if (!str_is(text, texts[i])) continue;
    *out = (arith)i;
    return true;
  }
  return false;
}

const char *arith_text(arith op) { return texts[op]; }

// -- one element --

typedef struct number {
  dtype dt; // DT_i64, DT_f64, DT_bool
  int64_t i;
  double f;
} number;

static number number_of(value v) {
  if (v.kind == V_float) return (number){.dt = DT_f64, .f = v.v.f};
  return (number){.dt = v.kind == V_bool ? DT_bool : DT_i64, .i = v.v.i};
}

static double as_f64(number x) { return x.dt == DT_f64 ? x.f : (double)x.i; }
static number from_f64(double f) { return (number){.dt = DT_f64, .f = f}; }
static number from_i64(int64_t i) { return (number){.dt = DT_i64, .i = i}; }
static number from_bool(bool b) { return (number){.dt = DT_bool, .i = b}; }

typedef enum arith_fault { FAULT_none, FAULT_overflow, FAULT_zero, FAULT_type } arith_fault;

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

static arith_fault int_power(int64_t base, int64_t exponent, int64_t *out) {
  int64_t r = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(r, base, &r)) return FAULT_overflow;
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) return FAULT_overflow;
  }
  *out = r;
  return FAULT_none;
}

static arith_fault int_binary(arith op, int64_t a, int64_t b, number *out) {
  int64_t r = 0;
  bool overflow = false;
  switch (op) {
  case AR_add: overflow = __builtin_add_overflow(a, b, &r); break;
  case AR_sub: overflow = __builtin_sub_overflow(a, b, &r); break;
  case AR_mul: overflow = __builtin_mul_overflow(a, b, &r); break;
  case AR_div:
    if (b == 0) return FAULT_zero;
    *out = from_f64((double)a / (double)b);
    return FAULT_none;
  case AR_floordiv:
  case AR_mod:
    if (b == 0) return FAULT_zero;
    if (b == -1) { // the one division that overflows
      if (op == AR_floordiv) overflow = __builtin_sub_overflow((int64_t)0, a, &r);
      break;
    }
    r = floor_div(a, b);
    if (op == AR_mod) r = a - r * b;
    break;
  case AR_pow:
    if (b < 0) {
      *out = from_f64(pow((double)a, (double)b));
      return FAULT_none;
    }
    if (int_power(a, b, &r) != FAULT_none) return FAULT_overflow;
    break;
  case AR_min: r = a < b ? a : b; break;
  case AR_max: r = a > b ? a : b; break;
  case AR_eq: *out = from_bool(a == b); return FAULT_none;
  case AR_ne: *out = from_bool(a != b); return FAULT_none;
  case AR_lt: *out = from_bool(a < b); return FAULT_none;
  case AR_le: *out = from_bool(a <= b); return FAULT_none;
  case AR_gt: *out = from_bool(a > b); return FAULT_none;
  case AR_ge: *out = from_bool(a >= b); return FAULT_none;
  case AR_and:
  case AR_or:
  case AR_COUNT: return FAULT_type;
  }
  *out = from_i64(r);
  return overflow ? FAULT_overflow : FAULT_none;
}

static arith_fault float_binary(arith op, double a, double b, number *out) {
  switch (op) {
  case AR_add: *out = from_f64(a + b); break;
  case AR_sub: *out = from_f64(a - b); break;
  case AR_mul: *out = from_f64(a * b); break;
  case AR_div: *out = from_f64(a / b); break;
  case AR_floordiv: *out = from_f64(floor(a / b)); break;
  case AR_mod: *out = from_f64(a - b * floor(a / b)); break;
  case AR_pow: *out = from_f64(pow(a, b)); break;
  case AR_min: *out = from_f64(a < b || isnan(a) ? a : b); break;
  case AR_max: *out = from_f64(a > b || isnan(a) ? a : b); break;
  case AR_eq: *out = from_bool(a == b); break;
  case AR_ne: *out = from_bool(!(a == b)); break;
  case AR_lt: *out = from_bool(a < b); break;
  case AR_le: *out = from_bool(a <= b); break;
  case AR_gt: *out = from_bool(a > b); break;
  case AR_ge: *out = from_bool(a >= b); break;
  case AR_and:
  case AR_or:
  case AR_COUNT: return FAULT_type;
  }
  return FAULT_none;
}

static arith_fault number_binary(arith op, number a, number b, number *out) {
  if (a.dt == DT_bool && b.dt == DT_bool) {
    bool x = a.i != 0, y = b.i != 0;
    if (op == AR_and || op == AR_or) *out = from_bool(op == AR_and ? x && y : x || y);
    else if (op == AR_eq || op == AR_ne) *out = from_bool((x == y) == (op == AR_eq));
    else return FAULT_type;
    return FAULT_none;
  }
  if (a.dt == DT_bool || b.dt == DT_bool) return FAULT_type;
  if (a.dt == DT_i64 && b.dt == DT_i64) return int_binary(op, a.i, b.i, out);
  return float_binary(op, as_f64(a), as_f64(b), out);
}

// The operators of ir/ops.def that the language shares with constants; others are no functions of numbers.
static arith_fault number_unary(op_code op, number x, number *out) {
  if (x.dt == DT_bool) return FAULT_type;
  bool whole = x.dt == DT_i64;
  double f = as_f64(x);
  if (op == OP_neg || op == OP_abs) {
    if (!whole) *out = from_f64(op == OP_neg ? -f : fabs(f));
    else if (x.i == INT64_MIN) return FAULT_overflow;
    else *out = from_i64(op == OP_neg || x.i < 0 ? -x.i : x.i);
    return FAULT_none;
  }
  if (op == OP_isnan || op == OP_isinf) {
    *out = from_bool(op == OP_isnan ? isnan(f) : isinf(f));
    return FAULT_none;
  }
  if (whole && (op == OP_floor || op == OP_ceil || op == OP_round_even)) {
    *out = x;
    return FAULT_none;
  }
  if (whole && op == OP_sign) {
    *out = from_i64((x.i > 0) - (x.i < 0));
    return FAULT_none;
  }
  scalar r = op_eval_scalar(op, &(scalar){.dt = DT_f64, .v.f = f}, DT_f64);
  *out = from_f64(r.v.f);
  return FAULT_none;
}

// -- constants and tables alike --

typedef struct row { // a constant, or a table, seen as numbers
  bool is_table;
  size_t n;
  value v;
} row;

static row row_of(value v) { return v.kind == V_table ? (row){true, v.v.table->n, v} : (row){false, 1, v}; }

static number row_at(row r, size_t i) { return number_of(r.is_table ? value_table_at(r.v.v.table, i) : r.v); }

static value number_value(number x) {
  if (x.dt == DT_f64) return value_float(x.f);
  return x.dt == DT_bool ? value_bool(x.i != 0) : value_int(x.i);
}

typedef struct builder { // collects the elements of a result; integers and numbers mixed become numbers
  elab *e;
  size_t n;
  number *at;
  dtype dt;
} builder;

static builder builder_new(elab *e, size_t n) {
  return (builder){.e = e, .at = ARENA_ARRAY(e->a, number, n), .dt = n ? DT_COUNT : DT_i64};
}

static void builder_add(builder *b, number x) {
  b->at[b->n++] = x;
  if (b->dt == DT_COUNT) b->dt = x.dt;
  else if (b->dt != x.dt) b->dt = DT_f64;
}

static value builder_value(builder *b, bool is_table) {
  if (!is_table) return number_value(b->at[0]);
  if (b->dt == DT_f64) {
    double *f = ARENA_ARRAY(b->e->a, double, b->n);
    for (size_t i = 0; i < b->n; i++) f[i] = as_f64(b->at[i]);
    return value_floats(b->e->a, b->n, f);
  }
  int64_t *v = ARENA_ARRAY(b->e->a, int64_t, b->n);
  for (size_t i = 0; i < b->n; i++) v[i] = b->at[i].i;
  return b->dt == DT_bool ? value_bools(b->e->a, b->n, v) : value_ints(b->e->a, b->n, v);
}

static value fault(elab *e, arith_fault f, const char *op, value a, value b, diag_span span) {
  if (f == FAULT_overflow) {
    elab_error(e, span, const_overflow, op);
  } else if (f == FAULT_zero) {
    elab_error(e, span, const_zero_division, op);
  } else {
    elab_error(e, span, operand_kinds, op, value_describe(e->a, a), value_describe(e->a, b));
  }
  return value_error();
}

value const_binary(elab *e, arith op, value a, value b, diag_span span) {
  row x = row_of(a), y = row_of(b);
  bool is_table = x.is_table || y.is_table;
  size_t n = x.is_table ? x.n : y.n;
  if (x.is_table && y.is_table && x.n != y.n) {
    elab_note_origins(e, elab_error(e, span, table_lengths, x.n, y.n), a, b);
    return value_error();
  }
  builder out = builder_new(e, n);
  for (size_t i = 0; i < n; i++) {
    number r;
    arith_fault f = number_binary(op, row_at(x, i), row_at(y, i), &r);
    if (f != FAULT_none) return fault(e, f, arith_text(op), a, b, span);
    builder_add(&out, r);
  }
  return builder_value(&out, is_table);
}

value const_unary(elab *e, op_code op, value v, diag_span span) {
  row x = row_of(v);
  builder out = builder_new(e, x.n);
  for (size_t i = 0; i < x.n; i++) {
    number r;
    arith_fault f = number_unary(op, row_at(x, i), &r);
    if (f == FAULT_overflow) return fault(e, f, op_get(op)->name, v, v, span);
    if (f != FAULT_none) {
      elab_error(e, span, operand_kind, op_get(op)->name, value_describe(e->a, v));
      return value_error();
    }
    builder_add(&out, r);
  }
  return builder_value(&out, x.is_table);
}

value const_where(elab *e, value c, value a, value b, diag_span span) {
  row x = row_of(a), y = row_of(b);
  size_t n = c.v.table->n;
  bool left = x.is_table && x.n != n, right = y.is_table && y.n != n;
  if (left || right) {
    elab_note_origins(e, elab_error(e, span, table_lengths, n, left ? x.n : y.n), c, left ? a : b);
    return value_error();
  }
  builder out = builder_new(e, n);
  for (size_t i = 0; i < n; i++) builder_add(&out, c.v.table->i[i] ? row_at(x, i) : row_at(y, i));
  return builder_value(&out, true);
}

bool const_equal(value a, value b) {
  if (value_is_number(a) && value_is_number(b)) {
    number r;
    return number_binary(AR_eq, number_of(a), number_of(b), &r) == FAULT_none && r.i;
  }
  if (a.kind == V_tuple && b.kind == V_tuple) {
    if (a.v.tuple->n != b.v.tuple->n) return false;
    for (size_t i = 0; i < a.v.tuple->n; i++) {
      if (!const_equal(a.v.tuple->at[i], b.v.tuple->at[i])) return false;
    }
    return true;
  }
  return value_same(a, b);
}
