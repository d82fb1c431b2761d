// Built-ins that make tensors from nothing, and those over matrices.
#include "frontend/builtin.h"

#include <string.h>

value builtin_full(call *c) {
  bool given = !strcmp(c->fn->name, "full"); // zeros and ones know their value
  value v = given ? c->arg[0] : value_int(!strcmp(c->fn->name, "ones"));
  size_t at = given;
  uint32_t n;
  const idx *dim[IR_MAX_RANK];
  dtype dt;
  if (!arg_sizes(c, at, &n, dim) || !arg_dtype(c, at + 1, &dt)) return value_error();
  for (uint32_t i = 0; i < n; i++) {
    if (idx_nonneg(c->e->m->ix, dim[i]) == TRI_no) return call_fail(c, "a dim is negative");
  }
  if (v.kind == V_tensor) { // repeats a scalar, in its own type unless another is asked for
    if (v.v.tensor->type.rank || (c->given[at + 1] && v.v.tensor->type.dt != dt))
      return arg_fail(c, 0, str_fmt(c->e->a, "a number, or a scalar of %s", dtype_name(dt)));
    return value_tensor(ir_broadcast(elab_nodes(c->e), v.v.tensor, n, dim));
  }
  bool number = v.kind == V_int || v.kind == V_size || v.kind == V_bool || (v.kind == V_float && dtype_is_float(dt));
  if (!number || (v.kind == V_bool) > (dt == DT_bool))
    return arg_fail(c, 0, str_fmt(c->e->a, "a number of type %s", dtype_name(dt)));
  return value_tensor(elab_splat(c->e, v, dt, n, dim, c->at[0]));
}

value builtin_iota(call *c) {
  value n = c->arg[0], start = c->arg[1];
  if (n.kind == V_int && start.kind == V_int) {
    if (n.v.i < 0 || n.v.i > VALUE_TABLE_MAX) return arg_fail(c, 0, "a length");
    int64_t *at = ARENA_ARRAY(c->e->a, int64_t, (size_t)n.v.i), last;
    if (__builtin_add_overflow(start.v.i, n.v.i, &last)) return arg_fail(c, 1, "a smaller number");
    for (int64_t i = 0; i < n.v.i; i++) at[i] = start.v.i + i;
    return value_ints(c->e->a, (size_t)n.v.i, at);
  }
  if (!value_is_integer(n)) {
    diag *d = elab_error(c->e, c->at[0], size_kind, c->fn->name, value_describe(c->e->a, n));
    if (elab_is_data(n))
      diag_note_to(c->e->l, d, "declare it under `dims:`; the step that sets it then gives the size");
    return value_error();
  }
  const idx *dim = value_idx(c->e->m->ix, n);
  value v = value_tensor(ir_iota(elab_nodes(c->e), 1, &dim, 0));
  return start.kind == V_int && start.v.i == 0 ? v : elab_binary(c->e, AR_add, v, start, c->span);
}

// Uniform in (0, 1); normal by the inverse of its distribution function: sqrt(2) * erfinv(2u - 1).
value builtin_random(call *c) {
  ir_value *seed;
  uint32_t n;
  const idx *dim[IR_MAX_RANK];
  if (!arg_tensor(c, 0, &seed) || !arg_sizes(c, 1, &n, dim)) return value_error();
  if (seed->type.dt != DT_i32 || seed->type.rank) return arg_fail(c, 0, "an i32 scalar");
  ir_attr shape = attr_idxs(c->e->m, "shape", n, dim);
  ir_node *node = ir_build(elab_nodes(c->e), OP_random, 1, &seed, 1, &shape, 0, NULL, 0, NULL);
  if (!node) return value_error();
  value u = value_tensor(&node->out[0]);
  if (!strcmp(c->fn->name, "uniform")) return u;
  value centred = elab_binary(c->e, AR_sub, elab_binary(c->e, AR_mul, u, value_int(2), c->span), value_int(1), c->span);
  value z = elab_unary(c->e, OP_erfinv, centred, c->fn->name, c->span);
  return elab_binary(c->e, AR_mul, z, value_float(1.4142135623730951), c->span);
}

// -- matrices --

static bool arg_square(call *c, ir_value **x) {
  if (!arg_float_tensor(c, 0, x)) return false;
  uint32_t rank = (*x)->type.rank;
  if (rank < 2 || elab_same_dim(c->e, (*x)->type.dim[rank - 2], (*x)->type.dim[rank - 1], "square") == SAME_no)
    return arg_fail(c, 0, "square matrices"), false;
  *x = elab_axis_as(c->e, *x, rank - 1, (*x)->type.dim[rank - 2]);
  return *x != NULL;
}

value builtin_inverse(call *c) {
  ir_value *x;
  if (!arg_square(c, &x)) return value_error();
  ir_node *n = ir_build(elab_nodes(c->e), OP_inverse, 1, &x, 0, NULL, 0, NULL, 0, NULL);
  return n ? value_tensor(&n->out[0]) : value_error();
}

value builtin_lu(call *c) {
  ir_value *x;
  if (!arg_square(c, &x)) return value_error();
  ir_node *n = ir_build(elab_nodes(c->e), OP_lu, 1, &x, 0, NULL, 0, NULL, 0, NULL);
  return n ? value_tensor(&n->out[0]) : value_error();
}

value builtin_triangular_solve(call *c) {
  ir_value *in[2];
  bool upper;
  if (!arg_square(c, &in[0]) || !arg_float_tensor(c, 1, &in[1]) || !arg_bool(c, 2, &upper)) return value_error();
  ir_type a = in[0]->type, b = in[1]->type;
  bool fits = a.rank == b.rank && a.dt == b.dt;
  for (uint32_t i = 0; fits && i + 1 < a.rank; i++)
    fits = elab_same_dim(c->e, a.dim[i], b.dim[i], c->fn->name) != SAME_no;
  if (!fits)
    return call_clash(c, c->arg[0], c->arg[1], "needs [..., n, n] and [..., n, m], found %s and %s",
                      value_describe(c->e->a, c->arg[0]), value_describe(c->e->a, c->arg[1]));
  for (uint32_t i = 0; in[1] && i + 1 < a.rank; i++) in[1] = elab_axis_as(c->e, in[1], i, a.dim[i]);
  ir_attr attr = attr_int(c->e->m, "upper", 1);
  ir_node *n = in[1] ? ir_build(elab_nodes(c->e), OP_tri_solve, 2, in, upper, &attr, 0, NULL, 0, NULL) : NULL;
  return n ? value_tensor(&n->out[0]) : value_error();
}
