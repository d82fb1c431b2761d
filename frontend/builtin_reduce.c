// Built-ins: reductions and scans. Tables and tuples are reduced here and now, tensors by nodes.
#include "frontend/builtin.h"

#include <string.h>

static op_code reduction_of(const char *name) {
  op_code op = OP_sum;
  op_find(str_of(name), &op);
  return op;
}

ir_value *tensor_unsqueeze(elab *e, ir_value *x, uint32_t axis) {
  const idx *dim[IR_MAX_RANK + 1];
  for (uint32_t i = 0; i <= x->type.rank; i++) {
    dim[i] = i == axis ? idx_int(e->m->ix, 1) : x->type.dim[i - (i > axis)];
  }
  return ir_reshape(elab_nodes(e), x, x->type.rank + 1, dim);
}

value tensor_reduce(elab *e, op_code op, ir_value *x, size_t n, const int64_t *axes, bool keep) {
  ir_type before = x->type;
  ir_value *y = n ? ir_reduce(elab_nodes(e), op, x, n, axes) : x;
  if (!y || !keep) return value_tensor(y);
  const idx *dim[IR_MAX_RANK];
  for (uint32_t i = 0; i < before.rank; i++) dim[i] = before.dim[i];
  for (size_t k = 0; k < n; k++) dim[axes[k]] = idx_int(e->m->ix, 1);
  return value_tensor(ir_reshape(elab_nodes(e), y, before.rank, dim));
}

// -- rows of values the compiler knows --

static size_t row_length(value v) { return v.kind == V_tuple ? v.v.tuple->n : v.v.table->n; }
static value row_at(value v, size_t i) { return v.kind == V_tuple ? v.v.tuple->at[i] : value_table_at(v.v.table, i); }

static value as_count(value v) { return v.kind == V_bool ? value_int(v.v.i) : v; }

static value extreme_index(call *c, value row, bool largest) {
  size_t best = 0;
  for (size_t i = 1; i < row_length(row); i++) {
    value better = elab_binary(c->e, largest ? AR_gt : AR_lt, row_at(row, i), row_at(row, best), c->span);
    if (better.kind != V_bool) return value_error();
    if (better.v.i) best = i;
  }
  return value_int((int64_t)best);
}

static arith folding(op_code op) {
  return op == OP_sum ? AR_add : op == OP_prod ? AR_mul : op == OP_amax ? AR_max : AR_min;
}

static value reduce_row(call *c, op_code op, value row) {
  size_t n = row_length(row);
  uint32_t axis;
  if (c->arg[1].kind != V_none && !arg_axis(c, 1, 1, &axis)) return value_error();
  if (n == 0) {
    if (op == OP_sum || op == OP_prod) return value_int(op == OP_prod);
    return call_fail(c, "the row is empty");
  }
  if (op == OP_argmax || op == OP_argmin) return extreme_index(c, row, op == OP_argmax);
  value v = as_count(row_at(row, 0));
  for (size_t i = 1; i < n; i++) v = elab_binary(c->e, folding(op), v, as_count(row_at(row, i)), c->span);
  return v;
}

value builtin_reduce(call *c) {
  op_code op = reduction_of(c->fn->name);
  if (c->arg[0].kind == V_table || c->arg[0].kind == V_tuple) return reduce_row(c, op, c->arg[0]);
  ir_value *x;
  size_t n;
  int64_t axes[IR_MAX_RANK];
  bool keep;
  if (!arg_tensor(c, 0, &x) || !arg_axes(c, 1, x->type.rank, &n, axes) || !arg_bool(c, 2, &keep)) return value_error();
  if (x->type.dt == DT_bool && op_has(op, OPF_NUM)) return arg_fail(c, 0, "a tensor of numbers");
  return tensor_reduce(c->e, op, x, n, axes, keep);
}

value builtin_count(call *c) {
  if (c->arg[0].kind == V_table || c->arg[0].kind == V_tuple) return value_int((int64_t)row_length(c->arg[0]));
  ir_value *x;
  size_t n;
  int64_t axes[IR_MAX_RANK];
  if (!arg_tensor(c, 0, &x) || !arg_axes(c, 1, x->type.rank, &n, axes)) return value_error();
  const idx *count = idx_int(c->e->m->ix, 1);
  for (size_t i = 0; i < n; i++) count = idx_mul(c->e->m->ix, count, x->type.dim[axes[i]]);
  return value_size(count);
}

// -- scans --

static value scan_row(call *c, arith op, value row) {
  size_t n = row_length(row);
  uint32_t axis;
  if (!arg_axis(c, 1, 1, &axis)) return value_error();
  value *at = ARENA_ARRAY(c->e->a, value, n);
  for (size_t i = 0; i < n; i++) at[i] = i ? elab_binary(c->e, op, at[i - 1], row_at(row, i), c->span) : row_at(row, i);
  value as_tuple = value_tuple_of(c->e->a, n, at);
  return row.kind == V_tuple ? as_tuple : table_of_values(c, as_tuple);
}

value builtin_scan(call *c) {
  bool sum = !strcmp(c->fn->name, "cumsum"), prod = !strcmp(c->fn->name, "cumprod");
  if (c->arg[0].kind == V_table || c->arg[0].kind == V_tuple)
    return scan_row(c, sum ? AR_add : prod ? AR_mul : AR_max, c->arg[0]);
  ir_value *x;
  uint32_t axis;
  if (!arg_tensor(c, 0, &x) || !arg_axis(c, 1, x->type.rank, &axis)) return value_error();
  if (x->type.dt == DT_bool) return arg_fail(c, 0, "a tensor of numbers");
  ir_module *m = c->e->m;
  ir_attr attr[] = {attr_str(m, "op", sum ? "sum" : prod ? "prod" : "max"), attr_int(m, "axis", axis)};
  ir_node *n = ir_build(elab_nodes(c->e), OP_scan, 1, &x, 2, attr, 0, NULL, 0, NULL);
  return n ? value_tensor(&n->out[0]) : value_error();
}
