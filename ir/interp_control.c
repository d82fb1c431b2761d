// Control flow, calls, states and guards in the interpreter: operators that run regions, or that order matters to.
//
// A tensor remembers the state of which it is a version, through regions, loops and updates; so `update` of any version
// makes the newest one, and a later `state` node, here or in a called graph, reads it.
#include "ir/interp.h"

#include <string.h>

static bool scalar_operand(interp *it, const ir_node *n, const ir_tensor *t, int64_t *v) {
  if (!interp_expect(it, n, t, 0, NULL)) return false;
  if (dtype_is_float(t->dt)) return interp_malformed(it, n, "a scalar operand is not an integer or bool");
  *v = interp_get(t, 0).v.i;
  return true;
}

static bool wants_regions(interp *it, const ir_node *n, uint32_t n_regions, uint32_t n_yields) {
  if (n->n_regions != n_regions) return interp_malformed(it, n, "it has another number of regions");
  for (uint32_t i = 0; i < n_regions; i++)
    if (n->regions[i]->n_yields != (n->op == OP_while && i == 0 ? 1 : n_yields))
      return interp_malformed(it, n, "a region gives another number of values");
  return true;
}

EVALUATOR(if) {
  int64_t cond = 0;
  if (!wants_regions(it, n, 2, n->n_out) || !scalar_operand(it, n, in[0], &cond)) return false;
  return interp_region(it, n, n->regions[cond ? 0 : 1], n->n_in - 1, in + 1, out);
}

EVALUATOR(group) { return wants_regions(it, n, 1, n->n_out) && interp_region(it, n, n->regions[0], n->n_in, in, out); }

// Moves what a turn gave into the carried values; each holds one reference.
static void carry(interp *it, uint32_t n, ir_tensor **values, ir_tensor *const *next) {
  for (uint32_t i = 0; i < n; i++) {
    interp_release(it, values[i]);
    values[i] = next[i];
  }
}

EVALUATOR(loop) {
  int64_t turns = 0;
  uint32_t n_carried = n->n_in - 1;
  if (n->n_out != n_carried) return interp_malformed(it, n, "it gives another number of values than it carries");
  if (!wants_regions(it, n, 1, n_carried) || !scalar_operand(it, n, in[0], &turns)) return false;
  ir_tensor **next = ARENA_ARRAY(it->a, ir_tensor *, n_carried);
  ir_tensor **args = ARENA_ARRAY(it->a, ir_tensor *, n_carried + 1);
  for (uint32_t i = 0; i < n_carried; i++) out[i] = interp_retain(in[i + 1]);
  for (int64_t turn = 0; turn < turns; turn++) {
    args[0] = interp_new(it, DT_i32, 0, NULL);
    interp_set(args[0], 0, scalar_i(DT_i32, turn));
    memcpy(args + 1, out, n_carried * sizeof *out);
    if (!interp_region(it, n, n->regions[0], n_carried + 1, args, next)) return false;
    interp_release(it, args[0]);
    carry(it, n_carried, out, next);
  }
  return true;
}

EVALUATOR(while) {
  int64_t bound = 0;
  const idx *max = ir_attr_idx(it->m, n, "max", NULL);
  if (n->n_out != n->n_in) return interp_malformed(it, n, "it gives another number of values than it carries");
  if (!max) return interp_malformed(it, n, "it has no bound");
  if (!wants_regions(it, n, 2, n->n_in) || !interp_index(it, n, max, &bound)) return false;
  ir_tensor **next = ARENA_ARRAY(it->a, ir_tensor *, n->n_in);
  for (uint32_t i = 0; i < n->n_in; i++) out[i] = interp_retain(in[i]);
  for (int64_t turn = 0;; turn++) {
    ir_tensor *cond;
    int64_t more = 0;
    if (!interp_region(it, n, n->regions[0], n->n_in, out, &cond) || !scalar_operand(it, n, cond, &more)) return false;
    interp_release(it, cond);
    if (!more) return true;
    if (turn >= bound) return interp_error(it, n, interp_while_bound, (long long)bound);
    if (!interp_region(it, n, n->regions[1], n->n_in, out, next)) return false;
    carry(it, n->n_in, out, next);
  }
}

EVALUATOR(call) {
  const char *name = ir_attr_str(n, "graph", "");
  ir_graph *g = ir_graph_find(it->m, name);
  if (!g || g->body->n_params != n->n_in || g->body->n_yields != n->n_out)
    return interp_malformed(it, n, "there is no such graph, or it takes or gives another number of values");
  return interp_graph(it, n, g, in, out);
}

EVALUATOR(custom) {
  if (it->opt && it->opt->custom)
    return it->opt->custom(it->opt->custom_user, n, (const ir_tensor *const *)in, (ir_tensor *const *)out);
  return interp_error(it, n, interp_custom, ir_attr_str(n, "name", ""));
}

EVALUATOR(check) {
  (void)in;
  (void)out;
  int64_t v = 0;
  const idx *cond = ir_attr_idx(it->m, n, "cond", NULL);
  if (!cond) return interp_malformed(it, n, "it has no condition");
  if (!interp_index(it, n, cond, &v)) return false;
  return v >= 0 ? true : interp_error(it, n, interp_check, ir_attr_str(n, "text", ""));
}

// From here on, sizes that mention the dim have the scalar's value; inside a loop it is bound anew in each turn.
EVALUATOR(bind) {
  (void)out;
  int64_t v = 0;
  const idx *dim = ir_attr_idx(it->m, n, "dim", NULL);
  const sym *s = dim ? idx_is_symbol(dim) : NULL;
  if (!s) return interp_malformed(it, n, "its `dim` is not one dim");
  return scalar_operand(it, n, in[0], &v) && interp_bind_dim(it, n, s, v);
}

// -- update --

// Element [k...] of the value goes to element [start + k*step...] of the new version; axes not listed run over their
// whole dim. A start that is no scalar has the value's dims, or 1.
typedef struct update_run {
  const ir_tensor *start[IR_MAX_RANK]; // NULL: from 0
  int64_t step[IR_MAX_RANK];
} update_run;

static bool bind_start(interp *it, const ir_node *n, const ir_tensor *start, const ir_tensor *value) {
  bool fits = start->dt == DT_i32 && (start->rank == 0 || start->rank == value->rank);
  for (uint32_t i = 0; i < start->rank && fits; i++) fits = start->dim[i] == 1 || start->dim[i] == value->dim[i];
  return fits ? true : interp_malformed(it, n, "a start is no i32, or has dims of its own");
}

static bool bind_update(interp *it, const ir_node *n, ir_tensor *const *in, update_run *run) {
  const ir_tensor *x = in[0], *value = in[1];
  const int64_t *axes;
  const idx *const *sizes;
  size_t n_axes = ir_attr_ints(n, "axes", &axes);
  int64_t by = ir_attr_int(n, "step", 1), dim[IR_MAX_RANK];
  if (ir_attr_idxs(it->m, n, "sizes", &sizes) != n_axes || n->n_in != n_axes + 2)
    return interp_malformed(it, n, "its axes, sizes and starts differ in number");
  for (uint32_t i = 0; i < x->rank; i++) run->start[i] = NULL, run->step[i] = 1, dim[i] = x->dim[i];
  for (size_t k = 0; k < n_axes; k++) {
    if (axes[k] < 0 || axes[k] >= (int64_t)x->rank) return interp_malformed(it, n, "an axis is not its operand's");
    int64_t a = axes[k];
    run->step[a] = by;
    run->start[a] = in[2 + k];
    if (!interp_index(it, n, sizes[k], &dim[a]) || !bind_start(it, n, in[2 + k], value)) return false;
    for (int64_t i = 0, count = ir_tensor_count(in[2 + k]); i < count; i++)
      if (!interp_run_in_range(it, n, interp_get(in[2 + k], i).v.i, dim[a], by, x->dim[a])) return false;
  }
  return interp_expect(it, n, value, x->rank, dim);
}

static void new_version(interp *it, const ir_tensor *x, ir_tensor *t) {
  const ir_state *s = ((const interp_cell *)x)->state;
  if (!s) return;
  ((interp_cell *)t)->state = s;
  for (size_t i = 0; i < it->m->states.n; i++) {
    if (it->m->states.at[i] != s) continue;
    interp_release(it, it->states[i]);
    it->states[i] = interp_retain(t);
  }
}

// Where the run of axis k begins for this element of the value.
static int64_t start_at(const update_run *run, uint32_t k, const int64_t *index) {
  const ir_tensor *start = run->start[k];
  int64_t at = 0;
  for (uint32_t i = 0; start && i < start->rank; i++) at = at * start->dim[i] + (start->dim[i] == 1 ? 0 : index[i]);
  return start ? interp_get(start, at).v.i : 0;
}

EVALUATOR(update) {
  const ir_tensor *x = in[0], *value = in[1];
  int64_t stride[IR_MAX_RANK], index[IR_MAX_RANK] = {0};
  update_run run;
  if (!interp_same_shape(it, n, x, out[0]) || !bind_update(it, n, in, &run)) return false;
  interp_strides(x->rank, x->dim, stride);
  memcpy(out[0]->data, x->data, (size_t)ir_tensor_count(x) * dtype_size(x->dt));
  for (int64_t i = 0, count = ir_tensor_count(value); i < count; i++) {
    int64_t at = 0;
    for (uint32_t k = 0; k < x->rank; k++) at += (start_at(&run, k, index) + index[k] * run.step[k]) * stride[k];
    interp_set(out[0], at, interp_get(value, i));
    interp_next(value->rank, value->dim, index);
  }
  new_version(it, x, out[0]);
  return true;
}
