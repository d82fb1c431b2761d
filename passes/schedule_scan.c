// Schedule of scan groups: a running sum, product, maximum or minimum along an axis, or a linear recurrence, with the
// elementwise operators around it.
//
// The axis is one serial loop that carries what has been met so far. Lanes are neighbours of another axis, where there
// is one whose elements lie side by side; else a line is scanned element by element, and lines lie on the grid. Floats
// are carried in f64 and rounded once at each place, as in the interpreter: the loop waits for the carried value
// anyway.
#include "passes/schedule.h"
#include <math.h>
#include <string.h>

enum { MAX_OPERANDS = 2 };

typedef struct scan_schedule {
  const ir_node *q; // the operator
  nest n;
  uint32_t n_yields; // the first roots; operands follow
  map *acc;
} scan_schedule;

static op_code step_of(const ir_node *q) {
  const char *op = ir_attr_str(q, "op", "sum");
  return !strcmp(op, "sum") ? OP_add : !strcmp(op, "prod") ? OP_mul : !strcmp(op, "max") ? OP_max : OP_min;
}

static dtype carried_dtype(dtype dt) { return dtype_is_float(dt) ? DT_f64 : dt; }

static scalar begin_of(op_code step, dtype dt) {
  if (step == OP_mul) return scalar_cast(scalar_i(DT_i64, 1), dt);
  if (step == OP_add) return scalar_cast(scalar_i(DT_i64, 0), dt);
  return scalar_cast(scalar_f(DT_f64, step == OP_max ? -INFINITY : INFINITY), dt); // integers saturate
}

static bool collect(lower_group *g, scan_schedule *x) {
  nest *n = &x->n;
  n->g = g;
  for (uint32_t i = 0; i < g->dom.rank; i++)
    n->label[n->n_labels++] = (nest_label){g->dom.label[i], g->dom.dim[i], false};
  for (x->q = g->region->first; op_get(x->q->op)->cls != OPC_scan;) x->q = x->q->next;
  n->label[ir_attr_int(x->q, "axis", 0)].reduced = true;
  x->n_yields = g->region->n_yields;
  if (x->n_yields + MAX_OPERANDS > NEST_MAX_ROOTS) return false;
  for (uint32_t i = 0; i < x->n_yields; i++) {
    const ir_value *y = g->region->yields[i];
    const idx *const *at = place_get(&g->place, y);
    n->root[n->n_roots] = form_at(g->form, y, at);
    n->store[n->n_roots++] = index_flatten(g->m, y->type.rank, y->type.dim, at);
  }
  for (uint32_t i = 0; i < x->q->n_in; i++) n->root[n->n_roots++] = form_at(g->form, x->q->in[i], g->dom.at);
  for (uint32_t i = 0; i < n->n_roots; i++)
    if (!n->root[i]) return false;
  return true;
}

// One place of the axis: what is carried on; the operator's value there is known to the splice.
static kir_tile *visit(const scan_schedule *x, splice *s, kir_tile *before) {
  dtype dt = x->q->out[0].type.dt;
  kir_tile *in[MAX_OPERANDS], *after;
  for (uint32_t i = 0; i < x->q->n_in; i++)
    in[i] = kir_convert(s->b, splice_tile(s, x->n.root[x->n_yields + i]), before->dt);
  if (x->q->op == OP_linrec) after = kir_op2(s->b, OP_add, kir_op2(s->b, OP_mul, in[0], before), in[1]);
  else after = kir_op2(s->b, step_of(x->q), before, in[0]);
  kir_tile *value = ir_attr_int(x->q, "exclusive", 0) ? before : after;
  map_put_ptr(x->acc, &x->q->out[0], kir_convert(s->b, value, dt));
  s->done = NULL;
  for (uint32_t i = 0; i < x->n_yields; i++)
    splice_store(s, s->g->region->yields[i], x->n.store[i], splice_tile(s, x->n.root[i]));
  return after;
}

static void emit_line(scan_schedule *x, splice *s, kir_builder *b) {
  lower_group *g = s->g;
  idx_ctx *c = g->k->ix;
  dtype dt = carried_dtype(x->q->out[0].type.dt);
  scalar begin = x->q->op == OP_linrec ? scalar_f(dt, 0) : begin_of(step_of(x->q), dt);
  kir_tile *carried = kir_const(b, begin, 1, s->cols);
  uint32_t axis = 0;
  while (axis < x->n.n_labels && !x->n.label[axis].reduced) axis++;
  s->b = b;
  if (axis == x->n.n_labels) { // one place
    visit(x, s, carried);
    return;
  }
  const idx *extent = lower_dim_expr(g, x->n.label[axis].extent);
  kir_stmt *loop = kir_for(b, "t", idx_int(c, 0), extent, 1, 1, 1, &carried);
  kir_builder body = kir_for_body(b, loop);
  const idx *t = idx_of(c, loop->var);
  bool reverse = ir_attr_int(x->q, "reverse", 0) != 0;
  splice_bind(s, x->n.label[axis].s, reverse ? idx_sub(c, idx_addi(c, extent, -1), t) : t);
  s->b = &body;
  kir_tile *after = visit(x, s, loop->carry[0]);
  kir_for_end(loop, &after);
}

bool schedule_scan(lower_group *g) {
  scan_schedule x = {.acc = map_new(g->c->a)};
  if (!collect(g, &x)) return false;
  nest_merge(&x.n);
  uint32_t vec = x.n.n_labels;
  int best = 0;
  for (uint32_t i = 0; i < x.n.n_labels; i++) {
    int score = x.n.label[i].reduced ? 0 : nest_unit_score(&x.n, i);
    if (score > best) best = score, vec = i;
  }
  splice s = {.g = g, .rows = 1, .cols = 1, .acc = x.acc};
  nest_frame frame;
  nest_enter(&x.n, &s, vec, &frame);
  emit_line(&x, &s, &frame.b);
  nest_leave(&frame);
  return true;
}
