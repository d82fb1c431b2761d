// Run-time control: `loop`, `while`, `when` become nodes with regions.
//
// A name bound before the body and rebound in it is carried round: it enters the region as a parameter and leaves it as
// a yield, and so does every state that the body may write. What is carried keeps its type. Tuples are carried element
// by element; compile-time values cannot change at run time.
#include "frontend/elab.h"

#include <string.h>

// A name that is carried, or a state (`slot`).
typedef struct carried {
  str name;
  state_slot *slot;
  value before;
} carried;

typedef struct carry_set {
  VEC(carried) at;
  VEC(ir_value *) init; // the tensors among them, in order
} carry_set;

static void flatten(elab *e, value v, carry_set *set) {
  if (v.kind == V_tensor) vec_push(e->a, &set->init, v.v.tensor);
  for (size_t i = 0; v.kind == V_tuple && i < v.v.tuple->n; i++) flatten(e, v.v.tuple->at[i], set);
}

// `like` with its tensors replaced, in order, by those at *next.
static value rebuild(elab *e, value like, ir_value *const **next) {
  if (like.kind == V_tensor) return value_tensor(*(*next)++);
  if (like.kind != V_tuple) return like;
  value *at = ARENA_ARRAY(e->a, value, like.v.tuple->n);
  for (size_t i = 0; i < like.v.tuple->n; i++) at[i] = rebuild(e, like.v.tuple->at[i], next);
  return value_tuple_of(e->a, like.v.tuple->n, at);
}

static void collect(elab *e, const ast_steps *steps, carry_set *set) {
  name_set names = {0};
  slot_set slots = {0};
  scan_rebound(e, steps, &names);
  scan_states(e, e->frame->u, e->frame->root_scope, steps, &slots);
  for (size_t i = 0; i < names.at.n; i++) {
    const value *v = elab_find_local(e->frame, names.at.at[i]);
    if (v) vec_push(e->a, &set->at, ((carried){names.at.at[i], NULL, *v}));
  }
  for (size_t i = 0; i < slots.at.n; i++) {
    state_slot *s = slots.at.at[i];
    if (s->wrong) continue;
    vec_push(e->a, &set->at, ((carried){str_of(s->name), s, value_tensor(elab_state_now(e, s))}));
  }
  for (size_t i = 0; i < set->at.n; i++) flatten(e, set->at.at[i].before, set);
}

// Gives every carried name and state its value from `from` (region parameters, results).
static void install(elab *e, const carry_set *set, ir_value *const *from) {
  for (size_t i = 0; i < set->at.n; i++) {
    const carried *c = &set->at.at[i];
    value v = rebuild(e, c->before, &from);
    if (c->slot) c->slot->now = v.v.tensor;
    else *elab_find_local(e->frame, c->name) = v;
  }
}

static value now(elab *e, const carried *c) {
  return c->slot ? value_tensor(c->slot->now) : *elab_find_local(e->frame, c->name);
}

static void carried_error(elab *e, const carried *c, value v, diag_span span) {
  if (value_is_error(v)) return;
  diag *d = elab_error(e, span, carried_type, elab_text(e, c->name), value_describe(e->a, c->before),
                       value_describe(e->a, v));
  if (c->before.kind == V_tensor)
    diag_note_to(e->l, d, "a value carried round a loop keeps its type; use another name for a different value");
  else
    diag_note_to(e->l, d,
                 "what the compiler knows cannot change at run time; `full(value, dtype=...)` makes it a tensor");
  elab_note_origins(e, d, c->before, v);
}

// Appends the tensors of `v`, which must have the structure and types of `like`. false: they differ.
static bool yield_like(elab *e, value like, value v, carry_set *out) {
  if (like.kind != V_tensor && like.kind != V_tuple) return value_same(like, v);
  if (v.kind != like.kind) {
    bool number = like.kind == V_tensor && (value_is_number(v) || v.kind == V_bool || v.kind == V_size);
    dtype dt = number ? like.v.tensor->type.dt : DT_COUNT;
    if (!number || (v.kind == V_float && !dtype_is_float(dt)) || (v.kind == V_bool) != (dt == DT_bool)) return false;
    ir_type t = like.v.tensor->type;
    if (t.rank) return false;
    vec_push(e->a, &out->init, elab_splat(e, v, dt, 0, NULL, NO_SPAN));
    return vec_last(&out->init) != NULL;
  }
  if (v.kind == V_tensor) {
    if (!ir_type_equal(like.v.tensor->type, v.v.tensor->type)) return false;
    vec_push(e->a, &out->init, v.v.tensor);
    return true;
  }
  if (like.v.tuple->n != v.v.tuple->n) return false;
  for (size_t i = 0; i < like.v.tuple->n; i++) {
    if (!yield_like(e, like.v.tuple->at[i], v.v.tuple->at[i], out)) return false;
  }
  return true;
}

// Yields every carried value from the current region; false after a diagnostic.
static bool yield_all(elab *e, const carry_set *set, diag_span span) {
  carry_set out = {0};
  bool ok = true;
  for (size_t i = 0; i < set->at.n; i++) {
    const carried *c = &set->at.at[i];
    value v = now(e, c);
    if (yield_like(e, c->before, v, &out)) continue;
    carried_error(e, c, v, span);
    ok = false;
  }
  if (ok) ir_region_yield(e->region->region, (uint32_t)out.init.n, out.init.at);
  return ok;
}

// -- bodies --

typedef struct body {
  ir_region *region;
  ir_builder builder, *outer;
  size_t n_names; // bound before
  size_t n_states;
  ir_value **state; // their versions before
} body;

static void enter(elab *e, body *b, size_t n_params) {
  *b = (body){.region = ir_region_new(e->graph, e->region->region, (uint32_t)n_params),
              .outer = e->region,
              .n_names = e->frame->names.n,
              .n_states = e->states.n};
  ir_builder_init(&b->builder, e->m, b->region);
  b->state = ARENA_ARRAY(e->a, ir_value *, e->states.n);
  for (size_t i = 0; i < e->states.n; i++) b->state[i] = e->states.at[i]->now;
  e->region = &b->builder;
  e->frame->runtime_depth++;
}

// Names first bound inside end with the body.
static void leave(elab *e, body *b) {
  e->region = b->outer;
  e->frame->names.n = b->n_names;
  e->frame->runtime_depth--;
}

static ir_value **add_params(elab *e, body *b, const carry_set *set) {
  ir_value **p = ARENA_ARRAY(e->a, ir_value *, set->init.n);
  for (size_t i = 0; i < set->init.n; i++) {
    p[i] = ir_region_param(b->region, set->init.at[i]->type);
    elab_comes_from(e, value_tensor(p[i]), elab_origin(e, value_tensor(set->init.at[i])));
  }
  return p;
}

// A state that changed without being carried: only a call of an included file's entry does that.
static bool states_carried(elab *e, const body *b, const carry_set *set, diag_span span) {
  for (size_t i = 0; i < e->states.n; i++) {
    state_slot *s = e->states.at[i];
    bool carried_here = false;
    for (size_t k = 0; k < set->at.n; k++) carried_here |= set->at.at[k].slot == s;
    ir_value *before = i < b->n_states ? b->state[i] : NULL;
    if (carried_here || s->now == before || (!before && s->now && s->now->def && s->now->def->op == OP_state)) continue;
    elab_error(e, span, state_not_carried, s->name);
    s->now = before;
    return false;
  }
  return true;
}

static void finish(elab *e, const ast_step *s, const carry_set *set, op_code op, size_t n_in, ir_value *const *in,
                   size_t n_regions, ir_region *const *regions, const ir_attr *attr, bool ok) {
  if (!set->init.n) return; // the body leaves nothing behind
  if (!e->frame->u->is_prelude) e->at = &s->span;
  ir_type *types = ARENA_ARRAY(e->a, ir_type, set->init.n);
  for (size_t i = 0; i < set->init.n; i++) types[i] = set->init.at[i]->type;
  ir_node *n = ok ? ir_build(elab_nodes(e), op, (uint32_t)n_in, in, attr ? 1 : 0, attr, (uint32_t)set->init.n, types,
                             (uint32_t)n_regions, regions)
                  : NULL;
  ir_value **out = ARENA_ARRAY(e->a, ir_value *, set->init.n);
  for (size_t i = 0; i < set->init.n; i++) out[i] = n ? &n->out[i] : set->init.at[i];
  install(e, set, out);
}

// -- loop --

typedef struct turns { // of `range(a, b, step)`
  value from, step;
  ir_value *count;
} turns;

static bool loop_turns(elab *e, const ast_step *s, turns *t) {
  const ast_expr *x = s->expr; // the grammar sees to `range(...)`
  if (x->items.n < 1 || x->items.n > 3 || x->named.n) {
    diag *d = elab_error(e, x->span, argument_count, "range", (size_t)3, x->items.n + x->named.n);
    diag_note_to(e->l, d, "range(a, b=None, step=1)");
    return false;
  }
  value v[3];
  bool ok = true;
  for (size_t i = 0; i < x->items.n; i++) {
    v[i] = elab_expr(e, x->items.at[i]);
    if (value_is_integer(v[i]) || elab_is_data(v[i])) continue;
    if (!value_is_error(v[i])) elab_error(e, x->items.at[i]->span, loop_bound, value_describe(e->a, v[i]));
    ok = false;
  }
  if (!ok) return false;
  e->at = e->frame->u->is_prelude ? e->at : &x->span;
  t->from = x->items.n > 1 ? v[0] : value_int(0);
  t->step = x->items.n > 2 ? v[2] : value_int(1);
  value n = x->items.n > 1 ? elab_binary(e, AR_sub, v[1], v[0], x->span) : v[0];
  if (x->items.n > 2) {
    if (t->step.kind != V_int || t->step.v.i < 1) {
      elab_error(e, x->items.at[2]->span, loop_step, value_describe(e->a, t->step));
      return false;
    }
    n = elab_binary(e, AR_add, n, value_int(t->step.v.i - 1), x->span);
    n = elab_binary(e, AR_floordiv, n, t->step, x->span);
  }
  t->count = value_is_error(n) ? NULL : elab_tensor(e, n, DT_i32, x->span);
  return t->count != NULL;
}

void elab_loop(elab *e, const ast_step *s) {
  turns t;
  if (!loop_turns(e, s, &t)) {
    elab_poison(e, &s->body);
    return;
  }
  carry_set set = {0};
  collect(e, &s->body, &set);
  str name = s->names.at[0].text;
  value *shadowed = elab_find_local(e->frame, name);
  value outer_value = shadowed ? *shadowed : value_none();
  body b;
  enter(e, &b, set.init.n + 1);
  value i = value_tensor(ir_region_param(b.region, ir_type_make(e->m, DT_i32, 0, NULL)));
  elab_comes_from(e, i, elab_span(e, s->names.at[0].span));
  install(e, &set, add_params(e, &b, &set));
  if (!value_same(t.step, value_int(1))) i = elab_binary(e, AR_mul, i, t.step, s->span);
  if (!value_same(t.from, value_int(0))) i = elab_binary(e, AR_add, i, t.from, s->span);
  elab_bind(e->frame, e->a, name, i);
  elab_steps(e, &s->body);
  bool ok = yield_all(e, &set, s->span) && states_carried(e, &b, &set, s->span);
  if (shadowed) elab_bind(e->frame, e->a, name, outer_value);
  leave(e, &b);
  ir_value **in = ARENA_ARRAY(e->a, ir_value *, set.init.n + 1);
  in[0] = t.count;
  for (size_t k = 0; k < set.init.n; k++) in[k + 1] = set.init.at[k];
  finish(e, s, &set, OP_loop, set.init.n + 1, in, 1, &b.region, NULL, ok);
}

// -- while --

// The bool scalar of a run-time condition; NULL after a diagnostic.
static ir_value *condition(elab *e, const ast_expr *x, const char *word) {
  value v = elab_expr(e, x);
  if (v.kind == V_bool) return elab_tensor(e, v, DT_bool, x->span);
  if (v.kind == V_tensor && v.v.tensor->type.dt == DT_bool && v.v.tensor->type.rank == 0) return v.v.tensor;
  if (!value_is_error(v)) elab_error(e, x->span, condition_scalar, word, value_describe(e->a, v));
  return NULL;
}

void elab_while(elab *e, const ast_step *s) {
  value limit = elab_expr(e, s->limit);
  if (!value_is_integer(limit)) {
    if (!value_is_error(limit)) elab_error(e, s->limit->span, while_limit, value_describe(e->a, limit));
    elab_poison(e, &s->body);
    return;
  }
  carry_set set = {0};
  collect(e, &s->body, &set);
  body b[2];
  enter(e, &b[0], set.init.n);
  install(e, &set, add_params(e, &b[0], &set));
  ir_value *c = condition(e, s->expr, "while");
  if (c) ir_region_yield(b[0].region, 1, &c);
  leave(e, &b[0]);
  enter(e, &b[1], set.init.n);
  install(e, &set, add_params(e, &b[1], &set));
  elab_steps(e, &s->body);
  bool ok = yield_all(e, &set, s->span) && states_carried(e, &b[1], &set, s->span) && c;
  leave(e, &b[1]);
  ir_attr max = attr_idx(e->m, "max", value_idx(e->m->ix, limit));
  ir_region *regions[] = {b[0].region, b[1].region};
  finish(e, s, &set, OP_while, set.init.n, set.init.at, 2, regions, &max, ok);
}

// -- when --

// What one branch leaves: the names that it binds, and the states.
static value *run_branch(elab *e, body *b, const ast_steps *steps, const carry_set *before, const name_set *names) {
  enter(e, b, 0);
  elab_steps(e, steps);
  value *out = ARENA_ARRAY(e->a, value, names->at.n + before->at.n);
  for (size_t i = 0; i < names->at.n; i++) {
    const value *v = elab_find_local(e->frame, names->at.at[i]);
    out[i] = v ? *v : value_none();
  }
  for (size_t i = 0; i < before->at.n; i++) {
    const carried *c = &before->at.at[i];
    if (c->slot) out[names->at.n + i] = value_tensor(c->slot->now);
  }
  leave(e, b);
  install(e, before, before->init.at); // the other branch begins where this one did
  return out;
}

void elab_when(elab *e, const ast_step *s) {
  ir_value *c = condition(e, s->expr, "when");
  carry_set before = {0}, set = {0};
  name_set names = {0};
  scan_rebound(e, &s->body, &names);
  scan_rebound(e, &s->otherwise, &names);
  ast_steps both = {0};
  for (size_t i = 0; i < s->body.n; i++) vec_push(e->a, &both, s->body.at[i]);
  for (size_t i = 0; i < s->otherwise.n; i++) vec_push(e->a, &both, s->otherwise.at[i]);
  collect(e, &both, &before);
  body b[2];
  value *got[2] = {run_branch(e, &b[0], &s->body, &before, &names),
                   run_branch(e, &b[1], &s->otherwise, &before, &names)};
  bool ok = c && states_carried(e, &b[0], &before, s->span);
  carry_set yields[2];
  memset(yields, 0, sizeof yields);
  for (size_t i = 0; i < names.at.n; i++) {
    value x = got[0][i], y = got[1][i], *was = elab_find_local(e->frame, names.at.at[i]);
    if (value_same(x, y) && x.kind != V_none) {
      elab_bind(e->frame, e->a, names.at.at[i], x);
      continue;
    }
    carry_set one = {0}, other = {0};
    flatten(e, x, &one);
    if (x.kind == V_none || y.kind == V_none || !one.init.n || !yield_like(e, x, y, &other)) {
      if (was && !value_is_error(x) && !value_is_error(y)) {
        diag *d = elab_error(e, s->span, branch_type, elab_text(e, names.at.at[i]), value_describe(e->a, x),
                             value_describe(e->a, y));
        elab_note_origins(e, d, x, y);
      }
      if (was) *was = value_error();
      continue;
    }
    vec_push(e->a, &set.at, ((carried){.name = names.at.at[i], .before = x}));
    for (size_t k = 0; k < one.init.n; k++) {
      vec_push(e->a, &set.init, one.init.at[k]);
      vec_push(e->a, &yields[0].init, one.init.at[k]);
      vec_push(e->a, &yields[1].init, other.init.at[k]);
    }
    if (!was) elab_bind(e->frame, e->a, names.at.at[i], x);
  }
  for (size_t i = 0; i < before.at.n; i++) {
    if (!before.at.at[i].slot) continue;
    value x = got[0][names.at.n + i], y = got[1][names.at.n + i];
    vec_push(e->a, &set.at, ((carried){.name = before.at.at[i].name, .slot = before.at.at[i].slot, .before = x}));
    vec_push(e->a, &set.init, x.v.tensor);
    vec_push(e->a, &yields[0].init, x.v.tensor);
    vec_push(e->a, &yields[1].init, y.v.tensor);
  }
  for (size_t k = 0; k < 2 && ok; k++) ir_region_yield(b[k].region, (uint32_t)yields[k].init.n, yields[k].init.at);
  ir_region *regions[] = {b[0].region, b[1].region};
  finish(e, s, &set, OP_if, 1, &c, 2, regions, NULL, ok);
}
