// The index form: see form.h. A walk over the graph with memoisation by (value, index tuple); scalars are hash-consed,
// so that equal subexpressions are one pointer and each is computed once in a kernel.
#include "passes/form.h"
#include <string.h>

struct form_ctx {
  arena *a;
  ir_module *m;
  form_stop (*classify)(void *user, const ir_value *v);
  void *user;
  bool (*check_acc)(void *user, const ir_value *v, const idx *const *at);
  void *check_user;
  bool (*inside)(void *user, const ir_value *v, const idx *last);
  void *inside_user;
  map *interned; // key bytes -> sx *
  map *memo;     // (value id, index ids) -> sx *
  map *reads;    // read name -> ir_value *
  uint32_t next_id;
};

form_ctx *form_new(arena *a, ir_module *m, form_stop (*classify)(void *user, const ir_value *v), void *user) {
  form_ctx *f = ARENA_NEW(a, form_ctx);
  *f = (form_ctx){.a = a,
                  .m = m,
                  .classify = classify,
                  .user = user,
                  .interned = map_new(a),
                  .memo = map_new(a),
                  .reads = map_new(a)};
  return f;
}

void form_check_acc(form_ctx *f, bool (*check)(void *user, const ir_value *v, const idx *const *at), void *user) {
  f->check_acc = check;
  f->check_user = user;
}

void form_trust_index(form_ctx *f, bool (*inside)(void *user, const ir_value *v, const idx *last), void *user) {
  f->inside = inside;
  f->inside_user = user;
}

const char *form_read_name(ir_module *m, const ir_value *v) { return intern_z(m->names, str_fmt(m->a, "%%%u", v->id)); }

const ir_value *form_read_value(form_ctx *f, const char *name) { return map_get(f->reads, str_of(name)); }

// The identity of a scalar: everything but its id and span.
typedef struct sx_key {
  uint64_t kind, dt, op, in[3], value, at, imm, guard[2];
} sx_key;

static const sx *make(form_ctx *f, sx e) {
  sx_key key = {(uint64_t)e.kind,
                (uint64_t)e.dt,
                (uint64_t)e.op,
                {0},
                e.value ? e.value->id + 1u : 0,
                e.at ? e.at->id + 1u : 0,
                0,
                {0}};
  for (uint32_t i = 0; i < e.n_in; i++) key.in[i] = e.in[i]->id + 1u;
  for (uint32_t i = 0; i < e.n_guards; i++) key.guard[i] = e.guards[i]->id + 1u;
  if (e.kind == SX_const) memcpy(&key.imm, &e.imm.v, sizeof key.imm);
  str bytes = {(const char *)&key, sizeof key};
  const sx *found = map_get(f->interned, bytes);
  if (found) return found;
  sx *s = arena_copy(f->a, &e, sizeof e);
  s->id = f->next_id++;
  map_put(f->interned, bytes, s);
  return s;
}

const sx *form_const(form_ctx *f, scalar v) { return make(f, (sx){.kind = SX_const, .dt = v.dt, .imm = v}); }

const sx *form_index(form_ctx *f, const idx *at) {
  int64_t v;
  if (idx_is_const(at, &v)) return form_const(f, scalar_i(DT_i32, v));
  return make(f, (sx){.kind = SX_index, .dt = DT_i32, .at = at});
}

static const sx *make_pick(form_ctx *f, const idx *cond, const sx *yes, const sx *no) {
  tri known = idx_nonneg(f->m->ix, cond);
  if (known == TRI_yes) return yes;
  if (known == TRI_no || yes == no) return no;
  return make(f, (sx){.kind = SX_pick, .dt = yes->dt, .n_in = 2, .in = {yes, no}, .at = cond});
}

// Integer arithmetic on indices stays symbolic, so that gathers by iota and masks by position remain index expressions.
// Index expressions are mathematical integers: NULL where i32 might wrap.
static const idx *index_arithmetic(form_ctx *f, op_code op, const sx *x, const sx *y) {
  idx_ctx *c = f->m->ix;
  bool fits = (x->kind == SX_index || x->kind == SX_const) && (y->kind == SX_index || y->kind == SX_const);
  if (!fits) return NULL;
  const idx *a = x->kind == SX_index ? x->at : idx_int(c, x->imm.v.i);
  const idx *b = y->kind == SX_index ? y->at : idx_int(c, y->imm.v.i), *e = NULL;
  bool divides = idx_is_const(b, NULL) && idx_nonneg(c, idx_addi(c, b, -1)) == TRI_yes;
  switch ((int)op) {
  case OP_add: e = idx_add(c, a, b); break;
  case OP_sub: e = idx_sub(c, a, b); break;
  case OP_mul: e = idx_mul(c, a, b); break;
  case OP_floordiv: e = divides ? idx_floordiv(c, a, b) : NULL; break;
  case OP_mod: e = divides ? idx_mod(c, a, b) : NULL; break;
  case OP_min: e = idx_min(c, a, b); break;
  case OP_max: e = idx_max(c, a, b); break;
  default: break;
  }
  int64_t lo, hi;
  return e && idx_range(c, e, &lo, &hi) && lo >= INT32_MIN && hi <= INT32_MAX ? e : NULL;
}

const sx *form_op(form_ctx *f, op_code op, dtype dt, uint32_t n, const sx *const *in) {
  scalar args[3];
  bool all_const = true;
  for (uint32_t i = 0; i < n; i++) {
    all_const = all_const && in[i]->kind == SX_const;
    args[i] = in[i]->imm;
  }
  if (all_const) return form_const(f, op_eval_scalar(op, args, dt));
  if (op == OP_where && in[0]->kind == SX_const) return in[0]->imm.v.i ? in[1] : in[2];
  if (n == 2 && dt == DT_i32 && in[0]->dt == DT_i32) {
    const idx *at = index_arithmetic(f, op, in[0], in[1]);
    if (at) return form_index(f, at);
  }
  sx e = {.kind = SX_op, .dt = dt, .op = op, .n_in = n};
  for (uint32_t i = 0; i < n; i++) e.in[i] = in[i];
  return make(f, e);
}

static const sx *make_load(form_ctx *f, const ir_value *v, const idx *const *at) {
  return make(
      f, (sx){.kind = SX_load, .dt = v->type.dt, .value = v, .at = index_flatten(f->m, v->type.rank, v->type.dim, at)});
}

static const sx *form_node(form_ctx *f, const ir_value *v, const idx *const *at);

const sx *form_at(form_ctx *f, const ir_value *v, const idx *const *at) {
  uint32_t key[IR_MAX_RANK + 1];
  key[0] = v->id;
  for (uint32_t i = 0; i < v->type.rank; i++) key[i + 1] = at[i]->id;
  str bytes = {(const char *)key, (v->type.rank + 1) * sizeof *key};
  const sx *e = map_get(f->memo, bytes);
  if (e) return e;
  switch (f->classify(f->user, v)) {
  case FORM_LOAD: e = make_load(f, v, at); break;
  case FORM_ACC:
    if (f->check_acc && !f->check_acc(f->check_user, v, at)) return NULL;
    e = make(f, (sx){.kind = SX_acc, .dt = v->type.dt, .value = v});
    break;
  case FORM_OPEN:
  default: e = v->def ? form_node(f, v, at) : NULL;
  }
  if (e) map_put(f->memo, bytes, (void *)(uintptr_t)e);
  return e;
}

static const sx *form_pad(form_ctx *f, const ir_node *n, const idx *const *at) {
  idx_ctx *c = f->m->ix;
  const idx *const *lo;
  uint32_t rank = n->in[0]->type.rank;
  ir_attr_idxs(f->m, n, "lo", &lo);
  const idx *inner[IR_MAX_RANK];
  for (uint32_t i = 0; i < rank; i++) inner[i] = idx_sub(c, at[i], lo[i]);
  const sx *e = form_at(f, n->in[0], inner);
  if (!e) return NULL;
  const sx *fill = form_const(f, ir_attr_scalar(n, "value", n->out[0].type.dt, 0));
  for (uint32_t i = 0; i < rank; i++) {
    e = make_pick(f, inner[i], e, fill);
    e = make_pick(f, idx_addi(c, idx_sub(c, n->in[0]->type.dim[i], inner[i]), -1), e, fill);
  }
  return e;
}

typedef struct concat_form {
  const ir_node *n;
  uint32_t axis;
  const idx *const *at, *const *end; // end[i]: where operand i ends on the axis
} concat_form;

// Of operands lo..hi-1: halves under a pick, so that few picks lie inside each other.
static const sx *concat_part(form_ctx *f, const concat_form *x, uint32_t lo, uint32_t hi) {
  idx_ctx *c = f->m->ix;
  if (hi - lo == 1) {
    const idx *inner[IR_MAX_RANK];
    memcpy(inner, x->at, x->n->out[0].type.rank * sizeof *inner);
    if (lo > 0) inner[x->axis] = idx_sub(c, x->at[x->axis], x->end[lo - 1]);
    return form_at(f, x->n->in[lo], inner);
  }
  uint32_t mid = lo + (hi - lo) / 2;
  const sx *first = concat_part(f, x, lo, mid), *rest = first ? concat_part(f, x, mid, hi) : NULL;
  return rest ? make_pick(f, idx_addi(c, idx_sub(c, x->end[mid - 1], x->at[x->axis]), -1), first, rest) : NULL;
}

static const sx *form_concat(form_ctx *f, const ir_node *n, const idx *const *at) {
  uint32_t axis = (uint32_t)ir_attr_int(n, "axis", 0);
  const idx *from = idx_int(f->m->ix, 0), **end = ARENA_ARRAY(f->a, const idx *, n->n_in);
  for (uint32_t i = 0; i < n->n_in; i++) end[i] = from = idx_add(f->m->ix, from, n->in[i]->type.dim[axis]);
  return concat_part(f, &(concat_form){n, axis, at, end}, 0, n->n_in);
}

// An integer as an index expression: a constant, an index, or an element read from memory. NULL: neither.
static const idx *form_place(form_ctx *f, const ir_value *v, const idx *const *at) {
  const sx *where = form_at(f, v, at);
  if (!where) return NULL;
  if (where->kind == SX_const) return idx_int(f->m->ix, where->imm.v.i);
  if (where->kind == SX_index) return where->at;
  if (where->kind != SX_load) return NULL;
  const char *name = form_read_name(f->m, where->value);
  map_put(f->reads, str_of(name), (void *)(uintptr_t)where->value);
  return idx_read(f->m->ix, name, where->at);
}

typedef struct misses { // conditions (>= 0) under which an index was out of range
  uint32_t n;
  const idx *at[2 * IR_MAX_RANK];
} misses;

// Is the place an element of memory that lies in 0..last?
static bool is_trusted(form_ctx *f, const idx *place, const idx *last) {
  if (!f->inside || place->n_terms != 1 || place->terms[0].coef != 1 || place->terms[0].n_factors != 1) return false;
  const atom *t = place->terms[0].factors[0];
  return t->kind == ATOM_read && f->inside(f->inside_user, form_read_value(f, t->buffer), last);
}

// Brings a place into 0..last, and notes when it was outside.
static const idx *form_clamp(form_ctx *f, const idx *place, const idx *last, misses *m) {
  idx_ctx *c = f->m->ix;
  uint32_t before = m->n;
  if (is_trusted(f, place, last)) return place;
  if (idx_nonneg(c, place) != TRI_yes) m->at[m->n++] = idx_addi(c, idx_scale(c, place, -1), -1);
  if (idx_nonneg(c, idx_sub(c, last, place)) != TRI_yes) m->at[m->n++] = idx_addi(c, idx_sub(c, place, last), -1);
  return m->n == before ? place : idx_min(c, idx_max(c, place, idx_int(c, 0)), last);
}

// Guards with two conditions each, for node `n`.
static const sx *form_guard(form_ctx *f, const ir_node *n, const sx *e, const misses *m) {
  for (uint32_t i = 0; e && i < m->n; i += 2) {
    sx guard = {.kind = SX_guard, .dt = e->dt, .op = n->op, .n_in = 1, .in = {e}};
    guard.n_guards = m->n - i < 2 ? 1 : 2;
    guard.guards = arena_copy(f->a, m->at + i, guard.n_guards * sizeof *m->at);
    guard.span = n->spans.n ? n->spans.at[0] : NO_SPAN;
    e = make(f, guard);
  }
  return e;
}

// gather: the index operand must be an index expression, or stored in memory; a stored one is clamped, and a guard
// records the misses.
static const sx *form_gather(form_ctx *f, const ir_node *n, const idx *const *at) {
  const ir_value *data = n->in[0], *index = n->in[1];
  uint32_t axis = (uint32_t)ir_attr_int(n, "axis", 0), batch = (uint32_t)ir_attr_int(n, "batch", 0);
  uint32_t index_rank = index->type.rank, k = 0;
  const idx *index_at[IR_MAX_RANK], *data_at[IR_MAX_RANK];
  for (uint32_t i = 0; i < batch; i++) index_at[k++] = at[i];
  for (uint32_t i = axis; k < index_rank; i++) index_at[k++] = at[i];
  const idx *place = form_place(f, index, index_at);
  if (!place) return NULL;
  misses m = {0};
  place = form_clamp(f, place, idx_addi(f->m->ix, data->type.dim[axis], -1), &m);
  uint32_t o = 0;
  for (uint32_t i = 0; i < axis; i++) data_at[i] = at[o++];
  data_at[axis] = place;
  o += index_rank - batch;
  for (uint32_t i = axis + 1; i < data->type.rank; i++) data_at[i] = at[o++];
  return form_guard(f, n, form_at(f, data, data_at), &m);
}

// Where the run of `size` elements by `step` that holds element `at` begins, clamped so that all of it lies in the
// axis. `start` is an i32 scalar, or has a dim for each of `at`.
static const idx *form_start(form_ctx *f, const ir_value *start, const idx *const *at, const idx *size, int64_t step,
                             const idx *dim, misses *m) {
  idx_ctx *c = f->m->ix;
  const idx *own[IR_MAX_RANK];
  for (uint32_t i = 0; i < start->type.rank; i++)
    own[i] = idx_equals_int(start->type.dim[i], 1) ? idx_int(c, 0) : at[i];
  const idx *place = form_place(f, start, own);
  const idx *run = idx_scale(c, idx_addi(c, size, -1), step);
  return place ? form_clamp(f, place, idx_sub(c, idx_addi(c, dim, -1), run), m) : NULL;
}

// A slice from a computed start.
static const sx *form_slice(form_ctx *f, const ir_node *n, const idx *const *at) {
  idx_ctx *c = f->m->ix;
  ir_type in = n->in[0]->type;
  uint32_t axis = (uint32_t)ir_attr_int(n, "axis", 0);
  int64_t step = ir_attr_int(n, "step", 1);
  misses m = {0};
  const idx *inner[IR_MAX_RANK];
  const idx *start = form_start(f, n->in[1], at, n->out[0].type.dim[axis], step, in.dim[axis], &m);
  if (!start) return NULL;
  memcpy(inner, at, in.rank * sizeof *inner);
  inner[axis] = idx_add(c, start, idx_scale(c, at[axis], step));
  return form_guard(f, n, form_at(f, n->in[0], inner), &m);
}

const sx *form_update(form_ctx *f, const ir_node *n, const idx *const *at, const idx **store_at) {
  idx_ctx *c = f->m->ix;
  ir_type t = n->in[0]->type;
  const int64_t *axes;
  const idx *const *sizes;
  size_t n_axes = ir_attr_ints(n, "axes", &axes);
  int64_t step = ir_attr_int(n, "step", 1);
  misses m = {0};
  ir_attr_idxs(f->m, n, "sizes", &sizes);
  memcpy(store_at, at, t.rank * sizeof *store_at);
  for (size_t k = 0; k < n_axes; k++) {
    const idx *start = form_start(f, n->in[2 + k], at, sizes[k], step, t.dim[axes[k]], &m);
    if (!start) return NULL;
    store_at[axes[k]] = idx_add(c, start, idx_scale(c, at[axes[k]], step));
  }
  return form_guard(f, n, form_at(f, n->in[1], at), &m);
}

static const sx *form_node(form_ctx *f, const ir_value *v, const idx *const *at) {
  const ir_node *n = v->def;
  const idx *operand_at[IR_MAX_RANK];
  scalar splat;
  if (n->op == OP_const) return ir_is_splat(v, &splat) ? form_const(f, splat) : NULL;
  if (n->op == OP_iota) return form_index(f, at[ir_attr_int(n, "axis", 0)]);
  if (op_is_elementwise(n->op)) {
    const sx *in[3];
    for (uint32_t i = 0; i < n->n_in; i++)
      if (!(in[i] = form_at(f, n->in[i], at))) return NULL;
    return form_op(f, n->op, v->type.dt, n->n_in, in);
  }
  if (n->op == OP_pad) return form_pad(f, n, at);
  if (n->op == OP_concat) return form_concat(f, n, at);
  if (n->op == OP_gather) return form_gather(f, n, at);
  if (n->op == OP_slice && n->n_in > 1) return form_slice(f, n, at);
  if (n->op == OP_update) return n->n_in == 2 ? form_at(f, n->in[1], at) : NULL; // all of it: the value itself
  if (index_through(f->m, n, at, operand_at)) return form_at(f, n->in[0], operand_at);
  return NULL;
}

static const sx *subst(form_ctx *f, const sx *e, size_t n, const idx_binding *b, map *done) {
  const sx *known = map_get_ptr(done, e);
  if (known) return known;
  sx copy = *e;
  if (e->at) copy.at = idx_subst(f->m->ix, e->at, n, b);
  for (uint32_t i = 0; i < e->n_in; i++) copy.in[i] = subst(f, e->in[i], n, b, done);
  if (e->n_guards) {
    const idx **guards = ARENA_ARRAY(f->a, const idx *, e->n_guards);
    for (uint32_t i = 0; i < e->n_guards; i++) guards[i] = idx_subst(f->m->ix, e->guards[i], n, b);
    copy.guards = guards;
  }
  const sx *out = e->kind == SX_index  ? form_index(f, copy.at)
                  : e->kind == SX_pick ? make_pick(f, copy.at, copy.in[0], copy.in[1])
                                       : make(f, copy);
  map_put_ptr(done, e, (void *)(uintptr_t)out);
  return out;
}

const sx *form_subst(form_ctx *f, const sx *e, size_t n, const idx_binding *b) {
  return n ? subst(f, e, n, b, map_new(f->a)) : e;
}

static void walk(const sx *e, map *seen, void (*visit)(void *user, const sx *e), void *user) {
  if (map_get_ptr(seen, e)) return;
  map_put_ptr(seen, e, (void *)(uintptr_t)e);
  for (uint32_t i = 0; i < e->n_in; i++) walk(e->in[i], seen, visit, user);
  visit(user, e);
}

void form_walk(form_ctx *f, const sx *e, void (*visit)(void *user, const sx *e), void *user) {
  walk(e, map_new(f->a), visit, user);
}

const sx *form_narrow(const sx *e, dtype narrow) {
  bool widens = e->kind == SX_op && e->op == OP_cast && dtype_size(e->dt) > dtype_size(narrow);
  const sx *of = widens ? e->in[0] : e;
  return of->dt == narrow ? of : NULL;
}
