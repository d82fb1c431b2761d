// Shape rules of control flow and effects: control (if, loop, while, group), call, custom, update, check, bind.
//
// Regions take and give what the operator says: `if`'s both take the operands after the condition and give the results;
// `loop`'s takes an i32 index and the carried values; `while` has a condition region, giving one bool, and a body;
// `group`'s takes the operands. Carried values keep their types.
#include "ir/infer.h"

// Region r takes (index, if any, and) operands first...; named r of the operator.
static bool takes(infer *x, uint32_t region, bool index, uint32_t first) {
  const ir_region *r = x->n.regions[region];
  const uint32_t n = x->n.n_in - first + index;
  if (r->n_params != n) return infer_operand(x, "region %u takes %u values, not %u", region, r->n_params, n);
  if (index && (r->params[0].type.dt != DT_i32 || r->params[0].type.rank != 0)) {
    return infer_operand(x, "region %u must take an i32[] index first", region);
  }
  for (uint32_t i = first; i < x->n.n_in; i++) {
    if (!infer_same_type(x, infer_in(x, i), r->params[i - first + index].type)) return false;
  }
  return true;
}

static bool gives(infer *x, uint32_t region, uint32_t n, const ir_type *types) {
  const ir_region *r = x->n.regions[region];
  if (r->n_yields != n) return infer_operand(x, "region %u gives %u values, not %u", region, r->n_yields, n);
  for (uint32_t i = 0; i < n; i++) {
    if (!infer_same_type(x, r->yields[i]->type, types[i])) return false;
  }
  return true;
}

static bool declare(infer *x, uint32_t n, const ir_type *types) {
  if (x->n_declared != 0 && x->n_declared != n) return infer_operand(x, "it has %u results, not %u", n, x->n_declared);
  x->n_out = n;
  for (uint32_t i = 0; i < n; i++) {
    infer_out(x, i, types[i]);
    if (x->n_declared != 0 && !infer_same_type(x, x->declared[i], types[i])) return false;
    if (x->n_declared != 0) infer_out(x, i, x->declared[i]);
  }
  return true;
}

static ir_type *types_of_operands(infer *x, uint32_t first) {
  ir_type *types = ARENA_ARRAY(x->m->a, ir_type, x->n.n_in);
  for (uint32_t i = first; i < x->n.n_in; i++) types[i - first] = infer_in(x, i);
  return types;
}

static ir_type *types_of_yields(infer *x, const ir_region *r) {
  ir_type *types = ARENA_ARRAY(x->m->a, ir_type, r->n_yields);
  for (uint32_t i = 0; i < r->n_yields; i++) types[i] = r->yields[i]->type;
  return types;
}

bool infer_control(infer *x) {
  static const ir_type bool_scalar = {.dt = DT_bool, .rank = 0, .dim = NULL};
  const uint32_t wanted = x->n.op == OP_if || x->n.op == OP_while ? 2 : 1;
  if (x->n.n_regions != wanted) return infer_operand(x, "it has %u regions, not %u", wanted, x->n.n_regions);
  const ir_region *r = x->n.regions[0];
  if (x->n.op == OP_if) {
    const ir_type *types = types_of_yields(x, r);
    return infer_is_scalar(x, 0, DT_bool) && takes(x, 0, false, 1) && takes(x, 1, false, 1) &&
           gives(x, 1, r->n_yields, types) && declare(x, r->n_yields, types);
  }
  if (x->n.op == OP_group) return takes(x, 0, false, 0) && declare(x, r->n_yields, types_of_yields(x, r));
  const bool loop = x->n.op == OP_loop;
  const uint32_t first = loop ? 1 : 0, n = x->n.n_in - first;
  const ir_type *types = types_of_operands(x, first);
  if (loop && !infer_is_scalar(x, 0, DT_i32)) return false;
  if (!loop && (!takes(x, 1, false, 0) || !gives(x, 0, 1, &bool_scalar))) return false;
  return takes(x, 0, loop, first) && gives(x, loop ? 0 : 1, n, types) && declare(x, n, types);
}

// Dims of the called graph are bound afresh by its inputs: here only dtypes and ranks must fit.
bool infer_call(infer *x) {
  const char *name = ir_attr_str(&x->n, "graph", "");
  const ir_graph *g = ir_graph_find(x->m, name);
  if (g == NULL) return infer_attribute(x, "the module has no graph `%s`", name);
  if (g->body->n_params != x->n.n_in || g->body->n_yields != x->n_declared) {
    return infer_operand(x, "`%s` takes %u values and gives %u, not %u and %u", name, g->body->n_params,
                         g->body->n_yields, x->n.n_in, x->n_declared);
  }
  for (uint32_t i = 0; i < x->n.n_in; i++) {
    const ir_type is = infer_in(x, i), should = g->body->params[i].type;
    if (is.dt != should.dt || is.rank != should.rank) return infer_mismatch(x, is, should);
  }
  for (uint32_t i = 0; i < x->n_declared; i++) {
    const ir_type is = x->declared[i], should = g->body->yields[i]->type;
    if (is.dt != should.dt || is.rank != should.rank) return infer_mismatch(x, is, should);
  }
  return declare(x, x->n_declared, x->declared);
}

bool infer_custom(infer *x) {
  if (x->n_declared == 0) return infer_operand(x, "its result types must be given");
  return declare(x, x->n_declared, x->declared);
}

// A start is one for all, or has the value's dims, 1 on the axes that start somewhere: its elements then begin their
// rows apart, and no two rows meet.
static bool is_start(infer *x, uint32_t operand, ir_type value, const bool *starts) {
  const ir_type t = infer_in(x, operand);
  if (t.rank == 0 || t.rank != value.rank || t.dt != DT_i32) return infer_is_scalar(x, operand, DT_i32);
  for (uint32_t i = 0; i < t.rank; i++) {
    if (idx_equals_int(t.dim[i], 1) || (!starts[i] && infer_same_dim(x, t.dim[i], value.dim[i]))) continue;
    return infer_mismatch(x, t, value);
  }
  return true;
}

bool infer_update(infer *x) {
  const ir_type t = infer_in(x, 0), value = infer_in(x, 1);
  const int64_t *axes;
  const idx *const *sizes, *dim[IR_MAX_RANK];
  bool has[IR_MAX_RANK];
  const size_t n = ir_attr_ints(&x->n, "axes", &axes), n_sizes = ir_attr_idxs(x->m, &x->n, "sizes", &sizes);
  const int64_t step = ir_attr_int(&x->n, "step", 1);
  if (!infer_axes(x, "axes", t.rank, has)) return false;
  if (n_sizes != n || x->n.n_in != n + 2) {
    return infer_attribute(x, "it has %zu axes, %zu sizes and %u starts", n, n_sizes, x->n.n_in - 2);
  }
  if (step < 1) return infer_attribute(x, "its `step` is %lld; it must be positive", (long long)step);
  for (uint32_t i = 0; i < t.rank; i++) dim[i] = t.dim[i];
  for (size_t k = 0; k < n; k++) {
    if (!is_start(x, (uint32_t)k + 2, value, has)) return false;
    idx_ctx *c = x->m->ix;
    const idx *room = idx_sub(c, idx_addi(c, t.dim[axes[k]], -1), idx_scale(c, idx_addi(c, sizes[k], -1), step));
    dim[axes[k]] = sizes[k];
    if (!infer_requires(x, room, "update: %s elements exceed %s", infer_idx_text(x, sizes[k]),
                        infer_idx_text(x, t.dim[axes[k]]))) {
      return infer_mismatch(x, t, value);
    }
  }
  if (!infer_same_type(x, infer_type(x, t.dt, t.rank, dim), value)) return false;
  infer_out(x, 0, t);
  return true;
}

bool infer_check(infer *x) {
  x->n_out = 0;
  return true;
}

bool infer_bind(infer *x) {
  const idx *dim = ir_attr_idx(x->m, &x->n, "dim", NULL);
  if (idx_is_symbol(dim) == NULL) return infer_attribute(x, "its `dim` is %s, not a dim", infer_idx_text(x, dim));
  x->n_out = 0;
  return infer_is_scalar(x, 0, DT_i32);
}
