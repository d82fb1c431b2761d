// Operators on values of every kind: constants and tables are computed here and now, sizes stay polynomials where they
// can, and whatever meets a tensor becomes elementwise nodes of the graph.
//
// Types: tensors never change type by themselves. An integer (constant, table or size) takes the other side's numeric
// type; a float constant only a float's.
#include "frontend/elab.h"

#include <string.h>

static bool is_table_or_number(value v) { return value_is_number(v) || v.kind == V_table || v.kind == V_bool; }

static bool is_numeric(value v) { return is_table_or_number(v) || v.kind == V_size || v.kind == V_tensor; }

static value kinds_error(elab *e, const char *op, value a, value b, diag_span span) {
  elab_error(e, span, operand_kinds, op, value_describe(e->a, a), value_describe(e->a, b));
  return value_error();
}

// -- sizes --

static value size_compare(elab *e, arith op, const idx *a, const idx *b, bool *known) {
  idx_ctx *c = e->m->ix;
  tri t = TRI_unknown;
  bool invert = false;
  switch (op) {
  case AR_ne: invert = true; // fall through
  case AR_eq: t = idx_equal(c, a, b); break;
  case AR_lt: invert = true; // fall through
  case AR_ge: t = idx_nonneg(c, idx_sub(c, a, b)); break;
  case AR_gt: invert = true; // fall through
  case AR_le: t = idx_nonneg(c, idx_sub(c, b, a)); break;
  case AR_add:
  case AR_sub:
  case AR_mul:
  case AR_div:
  case AR_floordiv:
  case AR_mod:
  case AR_pow:
  case AR_min:
  case AR_max:
  case AR_and:
  case AR_or:
  case AR_COUNT: break;
  }
  *known = t != TRI_unknown;
  return value_bool((t == TRI_yes) != invert);
}

// Both integers, one a size. `known` false: only at run time.
static value size_binary(elab *e, arith op, value a, value b, diag_span span, bool *known) {
  idx_ctx *c = e->m->ix;
  const idx *x = value_idx(c, a), *y = value_idx(c, b);
  *known = true;
  switch (op) {
  case AR_add: return value_size(idx_add(c, x, y));
  case AR_sub: return value_size(idx_sub(c, x, y));
  case AR_mul: return value_size(idx_mul(c, x, y));
  case AR_min: return value_size(idx_min(c, x, y));
  case AR_max: return value_size(idx_max(c, x, y));
  case AR_floordiv:
  case AR_mod:
    if (idx_nonneg(c, idx_addi(c, y, -1)) != TRI_yes) {
      elab_error(e, span, size_divisor, value_describe(e->a, b));
      return value_error();
    }
    return value_size(op == AR_mod ? idx_mod(c, x, y) : idx_floordiv(c, x, y));
  case AR_pow:
    if (b.kind == V_int && b.v.i >= 0 && b.v.i <= 8) {
      const idx *p = idx_int(c, 1);
      for (int64_t i = 0; i < b.v.i; i++) p = idx_mul(c, p, x);
      return value_size(p);
    }
    break;
  case AR_eq:
  case AR_ne:
  case AR_lt:
  case AR_le:
  case AR_gt:
  case AR_ge: return size_compare(e, op, x, y, known);
  case AR_div:
  case AR_and:
  case AR_or:
  case AR_COUNT: break;
  }
  *known = false;
  return value_error();
}

// -- tensors --

typedef struct tensor_row {
  op_code op;
  bool swap, negate;
} tensor_row;

static const tensor_row tensor_rows[AR_COUNT] = {
    [AR_add] = {OP_add, false, false},
    [AR_sub] = {OP_sub, false, false},
    [AR_mul] = {OP_mul, false, false},
    [AR_div] = {OP_div, false, false},
    [AR_floordiv] = {OP_floordiv, false, false},
    [AR_mod] = {OP_mod, false, false},
    [AR_pow] = {OP_pow, false, false},
    [AR_min] = {OP_min, false, false},
    [AR_max] = {OP_max, false, false},
    [AR_eq] = {OP_eq, false, false},
    [AR_ne] = {OP_eq, false, true},
    [AR_lt] = {OP_lt, false, false},
    [AR_le] = {OP_le, false, false},
    [AR_gt] = {OP_lt, true, false},
    [AR_ge] = {OP_le, true, false},
    [AR_and] = {OP_and, false, false},
    [AR_or] = {OP_or, false, false},
};

static bool takes_dtype(value v, dtype dt) {
  switch (v.kind) {
  case V_int:
  case V_size: return dt != DT_bool;
  case V_float: return dtype_is_float(dt);
  case V_bool: return dt == DT_bool;
  case V_table:
    return v.v.table->dt == DT_f64 ? dtype_is_float(dt) : v.v.table->dt == DT_bool ? dt == DT_bool : dt != DT_bool;
  case V_tensor: return v.v.tensor->type.dt == dt;
  case V_error:
  case V_none:
  case V_string:
  case V_dtype:
  case V_tuple: break;
  }
  return false;
}

static value types_error(elab *e, const char *op, value a, value b, diag_span span) {
  diag *d = elab_error(e, span, operand_types, op, value_describe(e->a, a), value_describe(e->a, b));
  diag_note_to(e->l, d, "types never change by themselves: convert one side: `cast(..., %s)`",
               dtype_name(a.kind == V_tensor && dtype_is_float(a.v.tensor->type.dt)   ? a.v.tensor->type.dt
                          : b.kind == V_tensor && dtype_is_float(b.v.tensor->type.dt) ? b.v.tensor->type.dt
                                                                                      : DT_f32));
  elab_note_origins(e, d, a, b);
  return value_error();
}

// The dtype in which several operands meet: that of the first tensor; without one, f32 if any is a float, else i32 or
// bool. DT_COUNT: they do not.
static dtype common_dtype(size_t n, const value *v) {
  dtype dt = DT_COUNT;
  for (size_t i = 0; i < n && dt == DT_COUNT; i++) {
    if (v[i].kind == V_tensor) dt = v[i].v.tensor->type.dt;
  }
  if (dt == DT_COUNT) {
    bool some_float = false, some_bool = false;
    for (size_t i = 0; i < n; i++) {
      some_float |= v[i].kind == V_float || (v[i].kind == V_table && v[i].v.table->dt == DT_f64);
      some_bool |= v[i].kind == V_bool || (v[i].kind == V_table && v[i].v.table->dt == DT_bool);
    }
    dt = some_float ? DT_f32 : some_bool ? DT_bool : DT_i32;
  }
  for (size_t i = 0; i < n; i++) {
    if (!takes_dtype(v[i], dt)) return DT_COUNT;
  }
  return dt;
}

// All operands as tensors of one dtype and one shape. Numbers become splats of that shape.
static bool meet(elab *e, size_t n, const value *v, dtype dt, diag_span span, ir_value **out) {
  shaped with[3];
  size_t n_with = 0;
  for (size_t i = 0; i < n; i++) {
    out[i] = NULL;
    if (v[i].kind != V_tensor && v[i].kind != V_table) continue;
    out[i] = elab_tensor(e, v[i], dt, span);
    if (!out[i]) return false;
    with[n_with++] = (shaped){out[i]->type, v[i]};
  }
  uint32_t rank = 0;
  const idx *dim[IR_MAX_RANK];
  if (!elab_broadcast(e, n_with, with, span, &rank, dim)) return false;
  for (size_t i = 0; i < n; i++) {
    out[i] = out[i] ? elab_fit(e, out[i], rank, dim) : elab_splat(e, v[i], dt, rank, dim, span);
    if (!out[i]) return false;
  }
  return true;
}

static ir_value *small_power(elab *e, ir_value *x, int64_t n) {
  ir_value *r = NULL;
  for (; n > 0 && x; n >>= 1) {
    if (n & 1) r = r ? ir_binary(elab_nodes(e), OP_mul, r, x) : x;
    if (n > 1) x = ir_binary(elab_nodes(e), OP_mul, x, x);
  }
  return r;
}

// x ** n for a known integer. Floats up to the cube are products, as every framework has them; beyond that the power
// function is the more exact one.
static bool known_power(elab *e, value a, value b, value *out) {
  if (a.kind != V_tensor || b.kind != V_int || b.v.i < 1) return false;
  dtype dt = a.v.tensor->type.dt;
  if (dtype_is_float(dt) ? b.v.i > 3 : !dtype_is_int(dt) || b.v.i > 64) return false;
  *out = value_tensor(small_power(e, a.v.tensor, b.v.i));
  return true;
}

static value tensor_binary(elab *e, arith op, value a, value b, diag_span span) {
  value pair[2] = {a, b}, power;
  dtype dt = common_dtype(2, pair);
  if (dt == DT_COUNT) return types_error(e, arith_text(op), a, b, span);
  bool logic = op == AR_and || op == AR_or, equality = op == AR_eq || op == AR_ne;
  if (logic ? dt != DT_bool : dt == DT_bool && !equality) {
    elab_error(e, span, operator_dtype, arith_text(op), dtype_name(dt));
    return value_error();
  }
  if (op == AR_pow && known_power(e, a, b, &power)) return power;
  if ((op == AR_div || op == AR_pow) && dtype_is_int(dt)) {
    diag *d = elab_error(e, span, operator_dtype, arith_text(op), dtype_name(dt));
    if (op == AR_div) diag_note_to(e->l, d, "`//` divides integers; `cast(..., f32)` makes them numbers");
    return value_error();
  }
  ir_value *x[2];
  if (!meet(e, 2, pair, dt, span, x)) return value_error();
  tensor_row r = tensor_rows[op];
  ir_value *y = ir_binary(elab_nodes(e), r.op, x[r.swap], x[!r.swap]);
  if (y && r.negate) y = ir_unary(elab_nodes(e), OP_not, y);
  return value_tensor(y);
}

// -- every kind --

static bool too_long(elab *e, size_t n, diag_span span) {
  if (n <= VALUE_TABLE_MAX) return false;
  elab_error(e, span, value_too_long, n);
  return true;
}

static value concat_tuples(elab *e, value a, value b, diag_span span) {
  size_t n = a.v.tuple->n, k = b.v.tuple->n;
  if (too_long(e, n + k, span)) return value_error();
  value *at = ARENA_ARRAY(e->a, value, n + k);
  if (n) memcpy(at, a.v.tuple->at, n * sizeof *at);
  if (k) memcpy(at + n, b.v.tuple->at, k * sizeof *at);
  return value_tuple_of(e->a, n + k, at);
}

static value concat_strings(elab *e, str a, str b, diag_span span) {
  if (too_long(e, a.n + b.n, span)) return value_error();
  char *p = arena_alloc(e->a, a.n + b.n + 1);
  memcpy(p, a.p, a.n);
  memcpy(p + a.n, b.p, b.n);
  return value_str((str){p, a.n + b.n});
}

value elab_binary(elab *e, arith op, value a, value b, diag_span span) {
  if (value_is_error(a) || value_is_error(b)) return value_error();
  if (is_table_or_number(a) && is_table_or_number(b)) return const_binary(e, op, a, b, span);
  if (op == AR_add && a.kind == V_tuple && b.kind == V_tuple) return concat_tuples(e, a, b, span);
  if (op == AR_add && a.kind == V_string && b.kind == V_string) return concat_strings(e, a.v.s, b.v.s, span);
  bool equality = op == AR_eq || op == AR_ne;
  if (equality && (a.kind == V_none || b.kind == V_none)) return value_bool((a.kind == b.kind) == (op == AR_eq));
  bool tensors = a.kind == V_tensor || b.kind == V_tensor;
  if (!tensors && equality && a.kind != V_size && b.kind != V_size)
    return value_bool(const_equal(a, b) == (op == AR_eq));
  if (value_is_integer(a) && value_is_integer(b)) {
    bool known;
    value v = size_binary(e, op, a, b, span, &known);
    if (known) return v;
    if (op == AR_div) a = value_tensor(elab_tensor(e, a, DT_f32, span));
  }
  if (value_is_error(a)) return a;
  return is_numeric(a) && is_numeric(b) ? tensor_binary(e, op, a, b, span) : kinds_error(e, arith_text(op), a, b, span);
}

value elab_unary(elab *e, op_code op, value x, const char *name, diag_span span) {
  if (value_is_error(x)) return x;
  if (is_table_or_number(x)) return const_unary(e, op, x, span);
  if (x.kind == V_size) {
    if (op == OP_neg) return value_size(idx_scale(e->m->ix, x.v.size, -1));
    if (op == OP_abs && idx_nonneg(e->m->ix, x.v.size) == TRI_yes) return x;
    if (op == OP_floor || op == OP_ceil || op == OP_round_even) return x;
    x = value_tensor(elab_tensor(e, x, op_has(op, OPF_FLT) ? DT_f32 : DT_i32, span));
    if (value_is_error(x)) return x;
  }
  if (x.kind != V_tensor) {
    elab_error(e, span, operand_kind, name, value_describe(e->a, x));
    return value_error();
  }
  dtype dt = x.v.tensor->type.dt;
  if ((op_has(op, OPF_FLT) && !dtype_is_float(dt)) || (op_has(op, OPF_NUM) && dt == DT_bool)) {
    diag *d = elab_error(e, span, operator_dtype, name, dtype_name(dt));
    if (op_has(op, OPF_FLT)) diag_note_to(e->l, d, "types never change by themselves: `cast(..., f32)`");
    return value_error();
  }
  return value_tensor(ir_unary(elab_nodes(e), op, x.v.tensor));
}

value elab_not(elab *e, value x, diag_span span) {
  if (value_is_error(x)) return x;
  if (x.kind == V_bool) return value_bool(!x.v.i);
  if (x.kind == V_table && x.v.table->dt == DT_bool) return const_binary(e, AR_eq, x, value_bool(false), span);
  if (x.kind == V_tensor && x.v.tensor->type.dt == DT_bool)
    return value_tensor(ir_unary(elab_nodes(e), OP_not, x.v.tensor));
  elab_error(e, span, operand_kind, "not", value_describe(e->a, x));
  return value_error();
}

value elab_where(elab *e, value c, value a, value b, diag_span span) {
  if (value_is_error(c) || value_is_error(a) || value_is_error(b)) return value_error();
  if (c.kind == V_bool) return c.v.i ? a : b;
  if (c.kind == V_table && c.v.table->dt == DT_bool && is_table_or_number(a) && is_table_or_number(b))
    return const_where(e, c, a, b, span);
  bool bools =
      (c.kind == V_tensor && c.v.tensor->type.dt == DT_bool) || (c.kind == V_table && c.v.table->dt == DT_bool);
  if (!bools) {
    elab_error(e, span, where_condition, value_describe(e->a, c));
    return value_error();
  }
  value pair[2] = {a, b};
  dtype dt = common_dtype(2, pair);
  if (dt == DT_COUNT) return types_error(e, "where", a, b, span);
  // The condition decides the shape too, but not the dtype: the three meet as tensors that share only a shape.
  ir_value *x[3] = {elab_tensor(e, c, DT_bool, span), NULL, NULL};
  if (!x[0]) return value_error();
  shaped with[3] = {{x[0]->type, c}};
  size_t n = 1;
  for (size_t i = 0; i < 2; i++) {
    if (pair[i].kind != V_tensor && pair[i].kind != V_table) continue;
    x[i + 1] = elab_tensor(e, pair[i], dt, span);
    if (!x[i + 1]) return value_error();
    with[n++] = (shaped){x[i + 1]->type, pair[i]};
  }
  uint32_t rank;
  const idx *dim[IR_MAX_RANK];
  if (!elab_broadcast(e, n, with, span, &rank, dim)) return value_error();
  for (size_t i = 0; i < 3; i++) {
    x[i] = x[i] ? elab_fit(e, x[i], rank, dim) : elab_splat(e, pair[i - 1], dt, rank, dim, span);
    if (!x[i]) return value_error();
  }
  return value_tensor(ir_where(elab_nodes(e), x[0], x[1], x[2]));
}

value elab_cast(elab *e, value x, dtype to, diag_span span) {
  if (value_is_error(x)) return x;
  bool number = is_table_or_number(x) || x.kind == V_size;
  if (x.kind != V_tensor && !number) {
    elab_error(e, span, operand_kind, "cast", value_describe(e->a, x));
    return value_error();
  }
  if (x.kind != V_tensor && x.kind != V_table && x.kind != V_size) {
    scalar s = x.kind == V_float ? (scalar){.dt = DT_f64, .v.f = x.v.f} : (scalar){.dt = DT_i64, .v.i = x.v.i};
    return value_tensor(ir_const_scalar(elab_nodes(e), scalar_cast(s, to), 0, NULL));
  }
  ir_value *t = elab_tensor(e, x, x.kind == V_tensor || to == DT_bool ? DT_COUNT : to, span);
  return value_tensor(t ? ir_cast(elab_nodes(e), t, to) : NULL);
}

value elab_in(elab *e, value a, value b, bool negate, diag_span span) {
  if (value_is_error(a) || value_is_error(b)) return value_error();
  bool found = false;
  if (a.kind == V_string && b.kind == V_string) {
    for (size_t i = 0; !found && i + a.v.s.n <= b.v.s.n; i++) found = str_eq(a.v.s, (str){b.v.s.p + i, a.v.s.n});
  } else if (b.kind == V_tuple && a.kind != V_tensor) {
    for (size_t i = 0; !found && i < b.v.tuple->n; i++) found = const_equal(a, b.v.tuple->at[i]);
  } else if (b.kind == V_table && a.kind != V_tensor) {
    for (size_t i = 0; !found && i < b.v.table->n; i++) found = const_equal(a, value_table_at(b.v.table, i));
  } else {
    return kinds_error(e, "in", a, b, span);
  }
  return value_bool(found != negate);
}
