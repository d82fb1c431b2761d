// The graph interpreter's driver: which evaluator each operator has, where values live, and the order of evaluation.
//
// In: a graph and its inputs. Out: its outputs, or diagnostics. Method: nodes in order; a value's tensor is dropped
// after the last node of its own region that reads it (directly or from a region nested in that node), so a long graph
// needs no more memory than its widest place. Graphs may call each other but not themselves.
#include "ir/interp.h"

#include <string.h>

// The row of an operator names its evaluator through its class; an operator without one does not link.
#define EVAL_leaf(name)     interp_eval_##name
#define EVAL_unary(name)    interp_eval_elementwise
#define EVAL_binary(name)   interp_eval_elementwise
#define EVAL_ternary(name)  interp_eval_elementwise
#define EVAL_cast(name)     interp_eval_elementwise
#define EVAL_reduce(name)   interp_eval_reduce
#define EVAL_contract(name) interp_eval_contract
#define EVAL_movement(name) interp_eval_##name
#define EVAL_indexed(name)  interp_eval_##name
#define EVAL_scan(name)     interp_eval_##name
#define EVAL_ordered(name)  interp_eval_##name
#define EVAL_random(name)   interp_eval_##name
#define EVAL_linalg(name)   interp_eval_##name
#define EVAL_control(name)  interp_eval_##name
#define EVAL_effect(name)   interp_eval_##name

static const interp_eval evaluators[OP_COUNT] = {
#define OP(name, cls, min_in, max_in, outs, flags, shape, attrs, yaml, doc) [OP_##name] = EVAL_##cls(name),
#include "ir/ops.def"
#undef OP
};

// Where a value is kept while its region runs.
typedef struct interp_slot {
  ir_tensor *t;
  const ir_node *last_use;       // in the value's own region; NULL: kept to the region's end
  struct interp_slot *next_dead; // others with the same last use
} interp_slot;

// What a node needs on every turn, allocated once.
typedef struct interp_work {
  ir_tensor **in, **out;
  interp_slot *dead; // values read here for the last time
} interp_work;

static interp_slot *slot_of(interp *it, const ir_value *v) {
  interp_slot *s = map_get_ptr(it->slots, v);
  if (!s) map_put_ptr(it->slots, v, s = ARENA_NEW(it->a, interp_slot));
  return s;
}

static interp_work *work_of(interp *it, const ir_node *n) {
  interp_work *w = map_get_ptr(it->work, n);
  if (w) return w;
  w = ARENA_NEW(it->a, interp_work);
  w->in = ARENA_ARRAY(it->a, ir_tensor *, n->n_in);
  w->out = ARENA_ARRAY(it->a, ir_tensor *, n->n_out);
  map_put_ptr(it->work, n, w);
  return w;
}

// -- last uses --

typedef struct enclosing {
  const ir_node *node;
  const struct enclosing *outer;
} enclosing;

static const ir_region *home_of(const ir_value *v) { return v->def ? v->def->parent : v->param_of; }

// Notes that `user`, inside the nodes `up`, reads v. What counts is the node of v's own region.
static void mark_use(interp *it, const ir_value *v, const ir_node *user, const enclosing *up) {
  for (; user && user->parent != home_of(v); up = up ? up->outer : NULL) user = up ? up->node : NULL;
  slot_of(it, v)->last_use = user;
}

static bool mark_region(interp *it, const ir_region *r, const enclosing *up, uint32_t depth) {
  if (depth > INTERP_MAX_DEPTH) return interp_malformed(it, up ? up->node : NULL, "regions are nested too deeply");
  for (const ir_node *n = r->first; n; n = n->next) {
    for (uint32_t i = 0; i < n->n_in; i++) mark_use(it, n->in[i], n, up);
    for (uint32_t i = 0; i < n->n_out; i++) mark_use(it, &n->out[i], n, up);
    for (uint32_t i = 0; i < n->n_regions; i++)
      if (!mark_region(it, n->regions[i], &(enclosing){n, up}, depth + 1)) return false;
  }
  for (uint32_t i = 0; i < r->n_yields; i++) mark_use(it, r->yields[i], up ? up->node : NULL, up ? up->outer : NULL);
  return true;
}

static bool prepare(interp *it, const ir_graph *g) {
  if (map_get_ptr(it->prepared, g)) return true;
  size_t before = map_count(it->slots);
  if (!mark_region(it, g->body, NULL, 0)) return false;
  for (size_t i = before; i < map_count(it->slots); i++) {
    interp_slot *s = map_value(it->slots, i);
    if (!s->last_use) continue;
    interp_work *w = work_of(it, s->last_use);
    s->next_dead = w->dead;
    w->dead = s;
  }
  map_put_ptr(it->prepared, g, it);
  return true;
}

// -- evaluation --

static void set_slot(interp *it, interp_slot *s, ir_tensor *t) {
  interp_release(it, s->t);
  s->t = t;
}

static bool make_results(interp *it, const ir_node *n, ir_tensor **out) {
  for (uint32_t i = 0; i < n->n_out; i++) {
    int64_t dim[IR_MAX_RANK];
    ir_type type = n->out[i].type;
    if (!interp_type_dims(it, n, type, dim)) return false;
    out[i] = interp_new(it, type.dt, type.rank, dim);
  }
  return true;
}

// The tensor has the declared type, seen with the frame's dims.
static bool fits_type(interp *it, const ir_node *at, const ir_tensor *t, ir_type type) {
  int64_t dim[IR_MAX_RANK];
  if (t->dt != type.dt) return interp_malformed(it, at, "a value has another dtype than declared");
  return interp_type_dims(it, at, type, dim) && interp_expect(it, at, t, type.rank, dim);
}

static void show(const interp *it, const ir_value *v, const ir_tensor *t) {
  if (it->opt && it->opt->watch) it->opt->watch(it->opt->user, v, t);
}

static bool run_node(interp *it, const ir_node *n) {
  interp_work *w = work_of(it, n);
  for (uint32_t i = 0; i < n->n_in; i++) {
    w->in[i] = slot_of(it, n->in[i])->t;
    if (!w->in[i]) return interp_malformed(it, n, "it reads a value that is not computed yet");
  }
  // results of control operators come from regions and graphs
  bool control = op_get(n->op)->cls == OPC_control && n->op != OP_custom;
  if (!control && !make_results(it, n, w->out)) return false;
  if (!evaluators[n->op](it, n, w->in, w->out)) return false;
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (control && !fits_type(it, n, w->out[i], n->out[i].type)) return false;
    set_slot(it, slot_of(it, &n->out[i]), w->out[i]);
    show(it, &n->out[i], w->out[i]);
  }
  for (interp_slot *s = w->dead; s; s = s->next_dead) set_slot(it, s, NULL);
  return true;
}

static bool run_region(interp *it, const ir_node *at, ir_region *r, ir_tensor *const *args, ir_tensor **yields) {
  for (uint32_t i = 0; i < r->n_params; i++) {
    if (!fits_type(it, at, args[i], r->params[i].type)) return false;
    set_slot(it, slot_of(it, &r->params[i]), interp_retain(args[i]));
    show(it, &r->params[i], args[i]);
  }
  for (const ir_node *n = r->first; n; n = n->next)
    if (!run_node(it, n)) return false;
  for (uint32_t i = 0; i < r->n_yields; i++) {
    ir_tensor *t = slot_of(it, r->yields[i])->t;
    if (!t) return interp_malformed(it, at, "a region gives a value that was not computed");
    yields[i] = interp_retain(t);
  }
  for (uint32_t i = 0; i < r->n_params; i++) set_slot(it, slot_of(it, &r->params[i]), NULL);
  for (const ir_node *n = r->first; n; n = n->next)
    for (uint32_t i = 0; i < n->n_out; i++) set_slot(it, slot_of(it, &n->out[i]), NULL);
  return true;
}

bool interp_region(interp *it, const ir_node *at, ir_region *r, uint32_t n_args, ir_tensor *const *args,
                   ir_tensor **yields) {
  if (r->n_params != n_args) return interp_malformed(it, at, "its region takes another number of values");
  if (++it->depth > INTERP_MAX_DEPTH) return interp_malformed(it, at, "calls are nested too deeply");
  bool ok = run_region(it, at, r, args, yields);
  it->depth--;
  return ok;
}

bool interp_graph(interp *it, const ir_node *at, ir_graph *g, ir_tensor *const *args, ir_tensor **out) {
  for (const interp_frame *f = it->frame; f; f = f->caller)
    if (f->graph == g) return interp_error(it, at, interp_recursion, g->name);
  interp_frame frame = {.graph = g, .caller = it->frame, .params = args};
  frame.dim_value = ARENA_ARRAY(it->a, int64_t, it->m->dims.n);
  frame.dim_bound = ARENA_ARRAY(it->a, bool, it->m->dims.n);
  it->frame = &frame;
  uint32_t n_params = g->body->n_params;
  ir_tensor **all = ARENA_ARRAY(it->a, ir_tensor *, n_params); // args, with defaults filled in
  bool ok = interp_bind_dims(it, at) && prepare(it, g);
  for (uint32_t i = 0; ok && i < n_params; i++) {
    int64_t dim[IR_MAX_RANK];
    ir_type type = g->body->params[i].type;
    if (args[i]) {
      all[i] = interp_retain(args[i]);
    } else if ((ok = interp_type_dims(it, at, type, dim))) {
      all[i] = interp_new(it, type.dt, type.rank, dim);
      interp_fill(all[i], scalar_cast(*g->param_defaults[i], type.dt));
    }
  }
  frame.params = all;
  ok = ok && interp_region(it, at, g->body, n_params, all, out);
  for (uint32_t i = 0; i < n_params; i++) interp_release(it, all[i]);
  it->frame = frame.caller;
  return ok;
}

// -- entry --

static void release_all(void *handle) {
  interp *it = handle;
  while (it->cells) {
    it->cells->refs = 1;
    interp_release(it, &it->cells->t);
  }
}

static ir_tensor *copy_out(arena *a, const ir_tensor *t) {
  ir_tensor *copy = ir_tensor_new(a, t->dt, t->rank, t->dim);
  memcpy(copy->data, t->data, (size_t)ir_tensor_count(t) * dtype_size(t->dt));
  return copy;
}

static interp *interp_begin(arena *a, ir_module *m, const interp_options *opt) {
  interp *it = ARENA_NEW(a, interp);
  *it = (interp){.a = a, .m = m, .l = m->diags, .opt = opt};
  it->slots = map_new(a);
  it->work = map_new(a);
  it->prepared = map_new(a);
  it->states = ARENA_ARRAY(a, ir_tensor *, m->states.n);
  arena_defer(a, release_all, it);
  for (size_t i = 0; opt && opt->states && i < m->states.n; i++) {
    if (!opt->states[i]) continue;
    it->states[i] = interp_borrow(it, opt->states[i]);
    ((interp_cell *)it->states[i])->state = m->states.at[i];
  }
  return it;
}

bool interp_run(arena *a, ir_graph *g, const ir_tensor *const *in, ir_tensor **out, const interp_options *opt) {
  interp *it = interp_begin(a, g->module, opt);
  ir_tensor **args = ARENA_ARRAY(a, ir_tensor *, g->body->n_params);
  ir_tensor **got = ARENA_ARRAY(a, ir_tensor *, g->body->n_yields);
  for (uint32_t i = 0; i < g->body->n_params; i++) args[i] = in[i] ? interp_borrow(it, in[i]) : NULL;
  bool ok = interp_graph(it, NULL, g, args, got);
  for (uint32_t i = 0; ok && i < g->body->n_yields; i++) out[i] = copy_out(a, got[i]);
  for (size_t i = 0; ok && opt && opt->states && i < it->m->states.n; i++)
    if (it->states[i]) opt->states[i] = copy_out(a, it->states[i]);
  release_all(it);
  return ok;
}
