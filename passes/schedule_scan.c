// Schedule of scan groups: a running sum, product, maximum or minimum along an axis, or a linear recurrence, with the
// elementwise operators around it.
//
// The axis is one serial loop that carries what has been met so far. Lanes are neighbours of another axis, where there
// is one whose elements lie side by side; else a line is scanned element by element, and lines lie on the grid. Floats
// are carried in f64 and rounded once at each place, as in the interpreter: the loop waits for the carried value
// anyway.
//
// Where work-items share local memory, several workers scan a long axis, but not a recurrence, whose steps combined
// would need products that may overflow, nor sums and products of f64, which nothing wider rounds to what an order of
// their own would give. A turn takes four neighbouring places a worker: their sum goes to scratch, a
// scan over workers there (Hillis and Steele 1986) gives each what comes before its places, and it takes them in order.
#include "passes/schedule.h"
#include <math.h>
#include <string.h>

enum { MAX_OPERANDS = 2, OF_WORKER = 4, FEWEST_WORKERS = 8, MOST_SCRATCH = 8192 };

typedef struct scan_schedule {
  const ir_node *q; // the operator
  nest n;
  uint32_t n_yields; // the first roots; operands follow
  map *acc;
  const sym *worker; // of the n_workers that share the axis; NULL: there is one
  int64_t n_workers;
  kir_buffer *sums; // [n_workers, columns]
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

// Stores one place of the axis; the operator's value there is known to the splice.
static void put(const scan_schedule *x, splice *s, kir_tile *before, kir_tile *after) {
  kir_tile *value = ir_attr_int(x->q, "exclusive", 0) ? before : after;
  map_put_ptr(x->acc, &x->q->out[0], kir_convert(s->b, value, x->q->out[0].type.dt));
  s->done = NULL;
  for (uint32_t i = 0; i < x->n_yields; i++)
    splice_store(s, s->g->region->yields[i], x->n.store[i], splice_tile(s, x->n.root[i]));
}

static kir_tile *operand(const scan_schedule *x, splice *s, uint32_t i, dtype dt) {
  return kir_convert(s->b, splice_tile(s, x->n.root[x->n_yields + i]), dt);
}

// One place of the axis: what is carried on.
static kir_tile *visit(const scan_schedule *x, splice *s, kir_tile *before) {
  kir_tile *in[MAX_OPERANDS], *after;
  for (uint32_t i = 0; i < x->q->n_in; i++) in[i] = operand(x, s, i, before->dt);
  if (x->q->op == OP_linrec) after = kir_op2(s->b, OP_add, kir_op2(s->b, OP_mul, in[0], before), in[1]);
  else after = kir_op2(s->b, step_of(x->q), before, in[0]);
  put(x, s, before, after);
  return after;
}

static const idx *place_of(const scan_schedule *x, const idx *extent, const idx *t) {
  idx_ctx *c = x->n.g->k->ix;
  return ir_attr_int(x->q, "reverse", 0) ? idx_sub(c, idx_addi(c, extent, -1), t) : t;
}

// What all workers before this one have (of one turn), and all of them together.
static void scan_workers(const scan_schedule *x, kir_builder *b, kir_tile *mine, scalar begin, uint32_t cols,
                         kir_tile **before, kir_tile **all) {
  kir_kernel *k = x->n.g->k;
  idx_ctx *c = k->ix;
  const idx *w = idx_of(c, x->worker), *here[] = {w, idx_of(c, k->c)},
            *last[] = {idx_int(c, x->n_workers - 1), here[1]};
  for (int64_t d = 1;; d *= 2) {
    kir_store(b, x->sums, here, mine, 1, cols, kir_always);
    const idx *at = idx_addi(c, w, d < x->n_workers ? -d : -1), *there[] = {at, here[1]};
    kir_tile *other = kir_load(b, x->sums, there, 1, cols, kir_conds(k, 1, &at), begin);
    if (d >= x->n_workers) {
      *before = other;
      break;
    }
    mine = kir_op2(b, step_of(x->q), other, mine);
  }
  *all = kir_load(b, x->sums, last, 1, cols, kir_always, begin);
}

// One turn of all workers from place t on.
static kir_tile *visit_shared(const scan_schedule *x, const splice *outer, const sym *label, const idx *extent,
                              const idx *t, kir_tile *carried, scalar begin) {
  kir_kernel *k = x->n.g->k;
  idx_ctx *c = k->ix;
  kir_builder *b = outer->b;
  splice at[OF_WORKER];
  kir_tile *in[OF_WORKER], *mine = NULL, *before, *all;
  for (int i = 0; i < OF_WORKER; i++) {
    const idx *place = idx_add(c, t, idx_addi(c, idx_scale(c, idx_of(c, x->worker), OF_WORKER), i));
    const idx *inside = idx_addi(c, idx_sub(c, extent, place), -1);
    at[i] = *outer;
    at[i].done = NULL;
    at[i].cond[at[i].n_conds++] = inside;
    splice_bind(&at[i], label, place_of(x, extent, place));
    in[i] = kir_select(b, operand(x, &at[i], 0, carried->dt), kir_conds(k, 1, &inside), begin);
    mine = mine ? kir_op2(b, step_of(x->q), mine, in[i]) : in[i];
  }
  scan_workers(x, b, mine, begin, outer->cols, &before, &all);
  before = kir_op2(b, step_of(x->q), carried, before);
  for (int i = 0; i < OF_WORKER; i++) {
    kir_tile *after = kir_op2(b, step_of(x->q), before, in[i]);
    put(x, &at[i], before, after);
    before = after;
  }
  return kir_op2(b, step_of(x->q), carried, all);
}

// As many workers as have two turns each of the axis, if there are some.
static void share_axis(scan_schedule *x, const idx *extent, dtype dt, uint32_t cols) {
  lower_group *g = x->n.g;
  int64_t n = g->c->target->workers;
  bool any_order =
      !dtype_is_float(dt) || x->q->out[0].type.dt != dt || step_of(x->q) == OP_max || step_of(x->q) == OP_min;
  if (x->q->op == OP_linrec || !any_order || !nest_may_share(&x->n, dt)) return;
  while (n > 1 && (2 * OF_WORKER * n > extent_hint(g, extent) || n * cols * (int64_t)dtype_size(dt) > MOST_SCRATCH))
    n /= 2;
  if (n < FEWEST_WORKERS) return;
  x->n_workers = n;
  x->worker = kir_worker(g->k, "w", n);
  x->sums = kir_group(g->k, "sums", dt, 2, (int64_t[]){n, cols});
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
  const nest_label *label = &x->n.label[axis];
  const idx *extent = lower_dim_expr(g, label->extent);
  share_axis(x, label->extent, dt, s->cols);
  kir_stmt *loop = kir_for(b, "t", idx_int(c, 0), extent, x->worker ? OF_WORKER * x->n_workers : 1, 1, 1, &carried);
  kir_builder body = kir_for_body(b, loop);
  const idx *t = idx_of(c, loop->var);
  kir_tile *after;
  s->b = &body;
  if (x->worker) {
    after = visit_shared(x, s, label->s, extent, t, loop->carry[0], begin);
  } else {
    splice_bind(s, label->s, place_of(x, extent, t));
    after = visit(x, s, loop->carry[0]);
  }
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
  kir_place_barriers(g->k);
  return true;
}
