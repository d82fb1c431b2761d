// Leaves and elementwise operators in the interpreter.
//
// Elementwise: op_eval_scalar on each element. Random numbers: 23 bits k of op_random_bits give (k + 0.5) * 2^-23,
// which f32 holds exactly and which is never 0 or 1.
#include "ir/interp.h"

#include <string.h>

EVALUATOR(const) {
  (void)in;
  scalar s;
  if (ir_is_splat(&n->out[0], &s)) {
    interp_fill(out[0], s);
    return true;
  }
  const void *elems = ir_const_elems(it->m, &n->out[0]);
  if (!elems) return interp_malformed(it, n, "its elements do not fill its shape");
  memcpy(out[0]->data, elems, (size_t)ir_tensor_count(out[0]) * dtype_size(out[0]->dt));
  return true;
}

EVALUATOR(input) {
  (void)in;
  const char *name = ir_attr_str(n, "name", "");
  const ir_graph *g = it->frame->graph;
  for (uint32_t i = 0; i < g->body->n_params; i++) {
    if (strcmp(g->param_names[i], name) != 0) continue;
    ir_tensor *given = it->frame->params[i];
    if (given->dt != out[0]->dt) return interp_malformed(it, n, "the input has another dtype");
    if (!interp_same_shape(it, n, given, out[0])) return false;
    interp_release(it, out[0]);
    out[0] = interp_retain(given);
    return true;
  }
  return interp_malformed(it, n, "the graph has no such input");
}

EVALUATOR(weight) {
  (void)in;
  const char *name = ir_attr_str(n, "name", "");
  const ir_weight *w = ir_weight_find(it->m, name);
  if (!w || !w->data) return interp_error(it, n, interp_weight, name);
  int64_t dim[IR_MAX_RANK];
  if (w->type.dt != out[0]->dt) return interp_malformed(it, n, "the weight has another dtype");
  if (!interp_type_dims(it, n, w->type, dim) || !interp_expect(it, n, out[0], w->type.rank, dim)) return false;
  // A copy: the file's bytes may be unaligned.
  memcpy(out[0]->data, w->data, (size_t)ir_tensor_count(out[0]) * dtype_size(out[0]->dt));
  return true;
}

EVALUATOR(state) {
  (void)in;
  const char *name = ir_attr_str(n, "name", "");
  for (size_t i = 0; i < it->m->states.n; i++) {
    const ir_state *s = it->m->states.at[i];
    if (strcmp(s->name, name) != 0) continue;
    if (!it->states[i]) {
      interp_fill(out[0], s->init);
      ((interp_cell *)out[0])->state = s;
      it->states[i] = interp_retain(out[0]);
    }
    if (it->states[i]->dt != out[0]->dt) return interp_malformed(it, n, "the state has another dtype");
    if (!interp_same_shape(it, n, it->states[i], out[0])) return false;
    interp_release(it, out[0]);
    out[0] = interp_retain(it->states[i]);
    return true;
  }
  return interp_malformed(it, n, "the module has no such state");
}

EVALUATOR(iota) {
  (void)in;
  uint32_t axis;
  if (!interp_axis(it, n, "axis", out[0]->rank, &axis)) return false;
  interp_lines x = interp_lines_of(out[0], axis);
  for (int64_t i = 0, count = ir_tensor_count(out[0]); i < count; i++)
    interp_set(out[0], i, scalar_round((scalar){.dt = out[0]->dt, .v.i = i / x.inner % x.n}));
  return true;
}

EVALUATOR(elementwise) {
  for (uint32_t k = 0; k < n->n_in; k++)
    if (!interp_same_shape(it, n, in[k], out[0])) return false;
  for (int64_t i = 0, count = ir_tensor_count(out[0]); i < count; i++) {
    scalar operand[3];
    for (uint32_t k = 0; k < n->n_in && k < 3; k++) operand[k] = interp_get(in[k], i);
    interp_set(out[0], i, op_eval_scalar(n->op, operand, out[0]->dt));
  }
  return true;
}

EVALUATOR(random) {
  if (!interp_expect(it, n, in[0], 0, NULL)) return false;
  uint32_t seed = (uint32_t)interp_get(in[0], 0).v.i;
  for (int64_t i = 0, count = ir_tensor_count(out[0]); i < count; i++)
    interp_set(out[0], i, scalar_f(out[0]->dt, (op_random_bits((uint64_t)i, seed) + 0.5) * 0x1p-23));
  return true;
}
