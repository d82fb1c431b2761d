// Schedule of row groups: reductions with the elementwise operators around them, a whole softmax or layer norm as one
// kernel.
//
// Each grid point owns one tuple of kept labels. Reductions are computed level by level (a reduction that needs
// another's result comes later); those of one level share one loop over the reduced labels. Loops carry whole tiles,
// and lanes are combined once, after the loop: Where a reduced label is the unit-stride direction, it is the vector
// label and `rowsum` combines the lanes; otherwise a kept label is, and each lane reduces on its own. Outputs over the
// whole domain are written by one last loop.
//
// Where work-items share local memory, several workers reduce a long row: neighbours take neighbouring tiles of the
// vector label, and `rowsum across` combines what they have.
#include "passes/schedule.h"
#include <math.h>

typedef struct anchor {
  const ir_value *v;
  op_code op;
  uint32_t input_at; // which root is its operand
  const sx *input;   // the same once labels are merged
  uint32_t level;
  dtype dt;             // of the accumulator
  uint32_t position_at; // arg reductions: which root is the element's position
  const idx *position;  // the same once labels are merged
  bool in_order;        // elements are met in the order of their positions
} anchor;

typedef struct row_schedule {
  lower_group *g;
  nest n;
  uint32_t vec; // vector label
  uint32_t n_anchors;
  anchor anchors[GROUP_MAX_REDUCTIONS];
  map *acc;          // finished reductions
  const sym *worker; // of the n_workers that share a row; NULL: there is one
  int64_t n_workers;
} row_schedule;

static bool is_arg(op_code op) { return op == OP_argmax || op == OP_argmin; }

static scalar identity(op_code op, dtype dt) {
  bool is_float = dtype_is_float(dt);
  switch ((int)op) {
  case OP_prod: return scalar_cast(scalar_i(DT_i64, 1), dt);
  case OP_amax:
  case OP_argmax:
    if (is_float) return scalar_f(dt, -INFINITY);
    return scalar_i(dt, dt == DT_i64 ? INT64_MIN : dt == DT_i32 ? INT32_MIN : dt == DT_i8 ? -128 : 0);
  case OP_amin:
  case OP_argmin:
    if (is_float) return scalar_f(dt, INFINITY);
    return scalar_i(dt, dt == DT_i64 ? INT64_MAX : dt == DT_i32 ? INT32_MAX : dt == DT_i8 ? 127 : 255);
  default: return scalar_cast(scalar_i(DT_i64, 0), dt);
  }
}

static dtype accumulator(const anchor *a) {
  dtype in = a->input->dt;
  if (a->op == OP_sum && in == DT_bool) return DT_i32;
  return in == DT_f16 || in == DT_bf16 ? DT_f32 : in;
}

static op_code combine(op_code op) {
  return op == OP_sum ? OP_add : op == OP_prod ? OP_mul : op == OP_amax ? OP_max : OP_min;
}

typedef struct find_level {
  row_schedule *r;
  uint32_t level;
} find_level;

static void see_acc(void *user, const sx *e) {
  find_level *f = user;
  for (uint32_t i = 0; e->kind == SX_acc && i < f->r->n_anchors; i++)
    if (f->r->anchors[i].v == e->value && f->r->anchors[i].level >= f->level) f->level = f->r->anchors[i].level + 1;
}

// Does x, at position `here`, come before the best one so far? NaN beats everything; the lowest position wins ties: it
// is the one that stays, where elements are met in the order of their positions.
static kir_tile *beats(kir_builder *b, const anchor *a, kir_tile *x, kir_tile *best, kir_tile *here, kir_tile *place) {
  bool is_float = dtype_is_float(x->dt);
  kir_tile *take = a->op == OP_argmax ? kir_op2(b, OP_lt, best, x) : kir_op2(b, OP_lt, x, best);
  kir_tile *nan = is_float ? kir_op1(b, OP_isnan, x) : NULL, *best_nan = is_float ? kir_op1(b, OP_isnan, best) : NULL;
  if (is_float) take = kir_op2(b, OP_or, take, kir_op2(b, OP_and, nan, kir_op1(b, OP_not, best_nan)));
  if (a->in_order) return take;
  kir_tile *tie = kir_op2(b, OP_eq, x, best);
  if (is_float) tie = kir_op2(b, OP_or, tie, kir_op2(b, OP_and, nan, best_nan));
  return kir_op2(b, OP_or, take, kir_op2(b, OP_and, tie, kir_op2(b, OP_lt, here, place)));
}

// The tile with lanes past the end replaced, so that they do not count.
static kir_tile *outside_is(splice *s, kir_tile *x, scalar neutral) {
  if (x->cols == s->cols) return kir_select(s->b, x, kir_conds(s->g->k, 1, &s->col_tail), neutral);
  kir_tile *place = kir_index(s->b, s->col_tail, DT_i64, 1, s->cols);
  kir_tile *inside = kir_op2(s->b, OP_le, kir_const(s->b, scalar_i(DT_i64, 0), 1, 1), place);
  return kir_op(s->b, OP_where, 3, (kir_tile *[]){inside, x, kir_const(s->b, neutral, 1, 1)});
}

// One step of the loop: each anchor's carried tiles meet the next tile of its input.
static void accumulate(row_schedule *r, splice *s, uint32_t level, kir_tile *const *carried, kir_tile **next) {
  uint32_t k = 0;
  for (uint32_t i = 0; i < r->n_anchors; i++) {
    anchor *a = &r->anchors[i];
    if (a->level != level) continue;
    kir_tile *x = kir_convert(s->b, splice_tile(s, a->input), a->dt);
    if (s->col_tail && r->n.label[r->vec].reduced) x = outside_is(s, x, identity(a->op, a->dt));
    if (!is_arg(a->op)) {
      next[k] = kir_op2(s->b, combine(a->op), carried[k], x);
      k++;
      continue;
    }
    const idx *at = splice_index(s, a->position);
    kir_tile *here = kir_index(s->b, at, DT_i32, 1, idx_mentions(at, r->g->k->c) ? s->cols : 1);
    kir_tile *take = beats(s->b, a, x, carried[k], here, carried[k + 1]);
    next[k] = kir_op(s->b, OP_where, 3, (kir_tile *[]){take, x, carried[k]});
    next[k + 1] = kir_op(s->b, OP_where, 3, (kir_tile *[]){take, here, carried[k + 1]});
    k += 2;
  }
}

typedef struct loop_nest { // the reduced labels, outer ones first, the vector label last
  uint32_t n;
  uint32_t label[IR_MAX_RANK * 2];
} loop_nest;

static loop_nest reduced_loops(const row_schedule *r) {
  loop_nest l = {.n = 0};
  for (uint32_t i = 0; i < r->n.n_labels; i++)
    if (r->n.label[i].reduced && i != r->vec) l.label[l.n++] = i;
  if (r->vec < r->n.n_labels && r->n.label[r->vec].reduced) l.label[l.n++] = r->vec;
  return l;
}

enum { OF_WORKER = 4, FEWEST_WORKERS = 8 }; // columns of a worker's tile: neighbours read what lies side by side

static tile_shape tile_of(const row_schedule *r, const idx *extent) { // of the vector label
  if (!r->worker) return pick_cols(r->g, extent);
  return (tile_shape){OF_WORKER, idx_divides(r->g->m->ix, OF_WORKER * r->n_workers, extent) == TRI_yes};
}

typedef void (*visit_fn)(row_schedule *r, splice *s, uint32_t level, kir_tile *const *carried, kir_tile **next);

// Loops over the reduced labels from depth on, carrying `n` tiles; the vector label is split into whole tiles and a
// masked rest.
static void loop_reduced(row_schedule *r, const splice *outer, kir_builder *b, const loop_nest *l, uint32_t depth,
                         uint32_t n_carry, kir_tile **carry, uint32_t level, visit_fn visit) {
  lower_group *g = r->g;
  idx_ctx *c = g->k->ix;
  if (depth == l->n) {
    splice s = *outer;
    kir_tile *next[2 * GROUP_MAX_REDUCTIONS];
    s.b = b;
    s.done = NULL;
    visit(r, &s, level, carry, next);
    for (uint32_t i = 0; i < n_carry; i++) carry[i] = next[i];
    return;
  }
  const nest_label *label = &r->n.label[l->label[depth]];
  const idx *extent = lower_dim_expr(g, label->extent);
  bool is_vec = l->label[depth] == r->vec;
  tile_shape shape = is_vec ? tile_of(r, label->extent) : (tile_shape){1, true};
  int64_t step = shape.cols * (is_vec ? r->n_workers : 1);
  const idx *full = shape.exact ? extent : idx_mul(c, idx_floordiv(c, extent, idx_int(c, step)), idx_int(c, step));
  for (int rest = 0; rest < (shape.exact ? 1 : 2); rest++) {
    int64_t trips;
    const idx *lo = rest ? full : idx_int(c, 0), *hi = rest ? extent : full;
    if (idx_is_const(idx_sub(c, hi, lo), &trips) && trips == 0) continue;
    kir_stmt *loop = kir_for(b, is_vec ? "k" : "i", lo, hi, step, 1, n_carry, carry);
    kir_builder body = kir_for_body(b, loop);
    kir_tile *inner[2 * GROUP_MAX_REDUCTIONS];
    for (uint32_t i = 0; i < n_carry; i++) inner[i] = loop->carry[i];
    splice s = *outer;
    const idx *at = is_vec ? idx_add(c, idx_of(c, loop->var), idx_of(c, g->k->c)) : idx_of(c, loop->var);
    if (is_vec && r->worker) at = idx_add(c, at, idx_scale(c, idx_of(c, r->worker), shape.cols));
    splice_bind(&s, label->s, at);
    if (is_vec) {
      s.cols = shape.cols;
      s.col_tail = rest ? idx_addi(c, idx_sub(c, extent, at), -1) : NULL;
    }
    loop_reduced(r, &s, &body, l, depth + 1, n_carry, inner, level, visit);
    kir_for_end(loop, inner);
    for (uint32_t i = 0; i < n_carry; i++) carry[i] = loop->result[i];
  }
}

// Combines the lanes of what a level's loop carried, and records the accumulators.
static void finish(row_schedule *r, kir_builder *b, uint32_t level, kir_tile *const *carry) {
  bool across = r->vec < r->n.n_labels && r->n.label[r->vec].reduced;
  uint32_t k = 0;
  for (uint32_t i = 0; i < r->n_anchors; i++) {
    anchor *a = &r->anchors[i];
    if (a->level != level) continue;
    kir_tile *t = carry[k];
    if (!is_arg(a->op)) {
      if (across) t = kir_reduce(b, a->op, t, r->worker);
      k++;
    } else {
      kir_tile *place = carry[k + 1];
      if (across) { // the best value, then the lowest index that has it
        kir_tile *best = kir_reduce(b, a->op == OP_argmax ? OP_amax : OP_amin, t, r->worker);
        kir_tile *same = kir_op2(b, OP_eq, t, best);
        if (dtype_is_float(t->dt))
          same = kir_op2(b, OP_or, same, kir_op2(b, OP_and, kir_op1(b, OP_isnan, t), kir_op1(b, OP_isnan, best)));
        place = kir_reduce(
            b, OP_amin,
            kir_op(b, OP_where, 3, (kir_tile *[]){same, place, kir_const(b, scalar_i(DT_i32, INT32_MAX), 1, 1)}),
            r->worker);
      }
      // Nothing beat the starting value: every element equals it, and the first one wins.
      kir_tile *none = kir_op2(b, OP_eq, place, kir_const(b, scalar_i(DT_i32, INT32_MAX), 1, 1));
      t = kir_op(b, OP_where, 3, (kir_tile *[]){none, kir_const(b, scalar_i(DT_i32, 0), 1, 1), place});
      k += 2;
    }
    map_put_ptr(r->acc, a->v, kir_convert(b, t, a->v->type.dt));
  }
}

static void reduce_level(row_schedule *r, const splice *s, kir_builder *b, uint32_t level) {
  kir_tile *carry[2 * GROUP_MAX_REDUCTIONS];
  uint32_t n = 0;
  uint32_t cols = r->vec < r->n.n_labels ? tile_of(r, r->n.label[r->vec].extent).cols : 1;
  for (uint32_t i = 0; i < r->n_anchors; i++) {
    anchor *a = &r->anchors[i];
    if (a->level != level) continue;
    carry[n++] = kir_const(b, identity(a->op, a->dt), 1, cols);
    if (is_arg(a->op)) carry[n++] = kir_const(b, scalar_i(DT_i32, INT32_MAX), 1, cols);
  }
  loop_nest l = reduced_loops(r);
  loop_reduced(r, s, b, &l, 0, n, carry, level, accumulate);
  finish(r, b, level, carry);
}

// Stores the outputs that mention reduced labels (whole = true) or those that do not.
static void store_outputs(row_schedule *r, splice *s, bool whole) {
  for (uint32_t i = 0; i < r->n.n_roots; i++) {
    if (!r->n.store[i]) continue;
    bool over = false;
    for (uint32_t k = 0; k < r->n.n_labels; k++)
      over = over || (r->n.label[k].reduced && idx_mentions(r->n.store[i], r->n.label[k].s));
    if (over == whole) splice_store(s, r->g->region->yields[i], r->n.store[i], splice_tile(s, r->n.root[i]));
  }
}

static void visit_store(row_schedule *r, splice *s, uint32_t level, kir_tile *const *carried, kir_tile **next) {
  (void)level, (void)carried, (void)next;
  store_outputs(r, s, true);
}

static void emit_row(row_schedule *r, splice *s, kir_builder *b) {
  uint32_t levels = 0;
  for (uint32_t i = 0; i < r->n_anchors; i++) levels = r->anchors[i].level >= levels ? r->anchors[i].level + 1 : levels;
  s->b = b;
  for (uint32_t level = 0; level < levels; level++) {
    s->done = NULL;
    reduce_level(r, s, b, level);
  }
  s->done = NULL;
  splice once = *s; // by one of the workers
  if (r->worker) once.cond[once.n_conds++] = idx_scale(r->g->k->ix, idx_of(r->g->k->ix, r->worker), -1);
  store_outputs(r, &once, false);
  bool whole = false;
  for (uint32_t i = 0; i < r->n.n_roots; i++)
    for (uint32_t k = 0; r->n.store[i] && k < r->n.n_labels; k++)
      whole = whole || (r->n.label[k].reduced && idx_mentions(r->n.store[i], r->n.label[k].s));
  loop_nest l = reduced_loops(r);
  if (whole) loop_reduced(r, s, b, &l, 0, 0, NULL, 0, visit_store);
}

// Row-major position of an element among the reduced axes of an arg reduction's operand, which stands at `at`.
static const idx *arg_position(const lower_group *g, const ir_node *q, const idx *const *at) {
  idx_ctx *c = g->m->ix;
  ir_type t = q->in[0]->type;
  const int64_t *axes;
  size_t n = ir_attr_ints(q, "axes", &axes);
  const idx *e = idx_int(c, 0);
  for (uint32_t d = 0; d < t.rank; d++)
    for (size_t i = 0; i < n; i++)
      if (axes[i] == (int64_t)d) e = idx_add(c, idx_mul(c, e, t.dim[d]), at[d]);
  return e;
}

// Collects roots: yields first, then the reductions' inputs and positions.
static bool collect(row_schedule *r) {
  lower_group *g = r->g;
  nest *n = &r->n;
  for (uint32_t i = 0; i < g->dom.rank; i++)
    n->label[n->n_labels++] = (nest_label){g->dom.label[i], g->dom.dim[i], g->dom.reduced[i]};
  if (g->region->n_yields > GROUP_MAX_NODES) return false;
  for (uint32_t i = 0; i < g->region->n_yields; i++) {
    const ir_value *y = g->region->yields[i];
    const idx *const *at = place_get(&g->place, y);
    n->root[n->n_roots] = form_at(g->form, y, at);
    n->store[n->n_roots++] = index_flatten(g->m, y->type.rank, y->type.dim, at);
  }
  for (const ir_node *q = g->region->first; q; q = q->next) {
    if (op_get(q->op)->cls != OPC_reduce) continue;
    if (r->n_anchors == GROUP_MAX_REDUCTIONS || n->n_roots + 2 > NEST_MAX_ROOTS) return false;
    const idx *const *place =
        place_get(&g->place, q->in[0]); // none: the operand comes from outside and has the domain's dims
    const sx *input = form_at(g->form, q->in[0], place ? place : g->dom.at);
    if (!input) return false;
    anchor *a = &r->anchors[r->n_anchors++];
    *a = (anchor){.v = &q->out[0], .op = q->op, .input_at = n->n_roots};
    n->store[n->n_roots] = NULL;
    n->root[n->n_roots++] = input;
    if (!is_arg(q->op)) continue;
    a->position_at = n->n_roots;
    n->store[n->n_roots] = NULL;
    n->root[n->n_roots++] = form_index(g->form, arg_position(g, q, place ? place : g->dom.at));
  }
  for (uint32_t i = 0; i < n->n_roots; i++)
    if (!n->root[i]) return false;
  return true;
}

// The row-major position in the order in which loops meet the elements.
static const idx *order_of_loops(const row_schedule *r) {
  idx_ctx *c = r->g->m->ix;
  loop_nest l = reduced_loops(r);
  const idx *at = idx_int(c, 0);
  for (uint32_t i = 0; i < l.n; i++) {
    const nest_label *label = &r->n.label[l.label[i]];
    at = idx_add(c, idx_mul(c, at, label->extent), idx_of(c, label->s));
  }
  return at;
}

static void resolve_anchors(row_schedule *r) {
  idx_ctx *c = r->g->m->ix;
  for (uint32_t i = 0; i < r->n_anchors; i++) {
    anchor *a = &r->anchors[i];
    a->input = r->n.root[a->input_at];
    find_level f = {r, 0};
    form_walk(r->g->form, a->input, see_acc, &f);
    a->level = f.level;
    a->dt = accumulator(a);
    if (!is_arg(a->op)) continue;
    const sx *position = r->n.root[a->position_at];
    a->position = position->kind == SX_index ? position->at : idx_int(c, position->imm.v.i);
    a->in_order = a->position == order_of_loops(r);
  }
}

// As many workers as have two tiles each of a row, if there are some.
static void share_row(row_schedule *r) {
  const nest_label *label = &r->n.label[r->vec];
  int64_t n = r->g->c->target->workers;
  if (!nest_may_share(&r->n, DT_f32) || r->vec == r->n.n_labels || !label->reduced) return;
  while (n > 1 && 2 * OF_WORKER * n > extent_hint(r->g, label->extent)) n /= 2;
  if (n < FEWEST_WORKERS) return;
  r->n_workers = n;
  r->worker = kir_worker(r->g->k, "w", n);
}

bool schedule_row(lower_group *g) {
  row_schedule r = {.g = g, .acc = map_new(g->c->a), .n_workers = 1};
  r.n.g = g;
  if (!collect(&r)) return false;
  nest_merge(&r.n);
  r.vec = r.n.n_labels;
  int best = -1;
  for (uint32_t i = 0; i < r.n.n_labels; i++) { // prefer reduced labels on equal terms: their lanes meet only once
    int score = 2 * nest_unit_score(&r.n, i) + r.n.label[i].reduced;
    if (score > best || (score == best && !r.n.label[i].reduced)) best = score, r.vec = i;
  }
  resolve_anchors(&r);

  splice s = {.g = g, .rows = 1, .cols = 1, .acc = r.acc};
  nest_frame frame;
  nest_enter(&r.n, &s, r.vec, &frame);
  share_row(&r);
  emit_row(&r, &s, &frame.b);
  nest_leave(&frame);
  kir_place_barriers(g->k);
  return true;
}
