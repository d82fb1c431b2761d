// Lowering of what is no kernel: checks, bound dims, branches and loops.
//
// A loop becomes a step whose bodies are the steps that follow it (runtime/plan.h). A carried value has one buffer for
// the whole loop: what it begins with is copied there, unless its memory may be taken over, and at the end of a turn
// the new value is, unless it was made or updated in place. The results of a branch have buffers that both bodies
// write. Buffers that are alive when a loop begins and touched in it are alive to its end, for the next turn reads them
// again; what a turn makes is made anew in the next. Both happen in the arena: a state that is carried is copied there
// and committed at the end, like any version that does not lie where the state lives.
#include "passes/lower.h"
#include <string.h>

static diag_span span_of(const ir_node *n) { return n->spans.n ? n->spans.at[0] : NO_SPAN; }

// A check of dims that are known before the first step is made then, others where they stand.
void lower_check(lowering *l, const ir_node *n, bool nested) {
  prog_check k = {ir_attr_idx(l->m, n, "cond", NULL), ir_attr_str(n, "text", "sizes do not fit"), span_of(n)};
  if (!nested && !lower_is_late(l, k.cond)) {
    vec_push(l->c->a, &l->p->checks, k);
    return;
  }
  vec_push(l->c->a, &l->p->guards, k);
  prog_step s = {.kind = PROG_STEP_check, .what = (uint32_t)l->p->guards.n - 1, .label = "check", .span = k.span};
  lower_add_step(l, l->p, s);
}

// -- buffers --

static bool add_copy(lowering *l, const ir_node *n, const ir_value *from, const ir_value *to) {
  prog_step s;
  if (!lower_kernel(l, NULL, WORK_copy, from, to, &s)) return false;
  s.label = lower_label(l, n, "carry");
  s.span = span_of(n);
  lower_add_step(l, l->p, s);
  return true;
}

// A scalar that the executor reads: constants are not where it looks. false after a diagnostic.
static bool scalar_buffer(lowering *l, const ir_node *n, const ir_value *v, uint32_t *buffer) {
  *buffer = lower_buffer(l, v);
  if (l->p->buffers.at[*buffer].cls != PROG_constant) return true;
  const ir_value *copy = lower_fresh(l, v->type, PROG_arena, 0);
  *buffer = lower_buffer(l, copy);
  return add_copy(l, n, v, copy);
}

static void name_buffer(lowering *l, const ir_value *v, const ir_value *of) {
  map_put_ptr(l->buffer_of, v, lower_pointer(lower_buffer(l, of)));
}

bool lower_bind(lowering *l, const ir_node *n) {
  const sym *symbol = idx_is_symbol(ir_attr_idx(l->m, n, "dim", NULL));
  uint32_t *buffer = ARENA_NEW(l->c->a, uint32_t), dim = 0;
  if (!scalar_buffer(l, n, n->in[0], buffer)) return false;
  while (l->m->dims.at[dim]->symbol != symbol) dim++;
  prog_step s = {.kind = PROG_STEP_bind,
                 .what = dim,
                 .n_buffers = 1,
                 .buffers = buffer,
                 .label = str_fmt(l->c->a, "bind %s", symbol->name),
                 .span = span_of(n)};
  lower_add_step(l, l->p, s);
  return true;
}

// -- bodies --

// A value that a group of the region stores may be made where it is wanted in the end.
static void want(lowering *l, const ir_region *r, uint32_t yield, const ir_value *where) {
  const ir_value *v = r->yields[yield];
  if (!v->def || v->def->op != OP_group || value_region(v) != r || map_get_ptr(l->wanted, v)) return;
  map_put_ptr(l->wanted, v, lower_pointer(lower_buffer(l, where)));
}

// What the region gives, brought to where it is wanted. What lies in a place that is written here goes aside first.
static bool bring(lowering *l, const ir_node *n, const ir_region *r, const ir_value *const *where) {
  const ir_value **from = ARENA_ARRAY(l->c->a, const ir_value *, r->n_yields + 1);
  for (uint32_t i = 0; i < r->n_yields; i++) {
    from[i] = r->yields[i];
    uint32_t at = lower_buffer(l, from[i]);
    bool aside = false;
    for (uint32_t k = 0; k < r->n_yields; k++) aside = aside || (k != i && lower_buffer(l, where[k]) == at);
    if (!aside) continue;
    const ir_value *copy = lower_fresh(l, from[i]->type, PROG_arena, 0);
    if (!add_copy(l, n, from[i], copy)) return false;
    from[i] = copy;
  }
  for (uint32_t i = 0; i < r->n_yields; i++)
    if (lower_buffer(l, from[i]) != lower_buffer(l, where[i]) && !add_copy(l, n, from[i], where[i])) return false;
  return true;
}

static bool lower_nodes(lowering *l, const ir_region *r) {
  bool ok = true;
  for (const ir_node *n = r->first; n; n = n->next) ok = lower_node(l, n, true) && ok;
  return ok;
}

// The step of a control operator; its bodies are counted and its buffers set when they are known.
static size_t add_control(lowering *l, const ir_node *n, prog_step_kind kind) {
  prog_step s = {.kind = kind, .label = lower_label(l, n, op_get(n->op)->name), .span = span_of(n)};
  lower_add_step(l, l->p, s);
  return l->p->steps.n - 1;
}

static void set_buffers(lowering *l, size_t step, uint32_t n, const uint32_t *buffers) {
  l->p->steps.at[step].n_buffers = n;
  l->p->steps.at[step].buffers = arena_copy(l->c->a, buffers, n * sizeof *buffers);
}

static void touch(lowering *l, uint32_t buffer, size_t step) {
  if (l->p->buffers.at[buffer].last < step) l->p->buffers.at[buffer].last = (uint32_t)step;
}

// -- branches --

static const ir_value **newest_now(const lowering *l) {
  return arena_copy(l->c->a, l->newest, (l->m->states.n + 1) * sizeof *l->newest);
}

// Is the yield the newest version of the state after a body that left `after`, where `before` came in?
static bool gives_version(const lowering *l, const ir_value *v, size_t state, const ir_value *before,
                          const ir_value *after) {
  if (after != before) return v == after;
  return map_get_ptr(l->state_of, v) == lower_pointer(state) && (!before || v == before);
}

// After the operator the newest versions are among its results.
static bool join_states(lowering *l, const ir_node *n, const ir_value *const *before, const ir_value **const after[2]) {
  for (size_t s = 0; s < l->m->states.n; s++) {
    if (after[0][s] == before[s] && after[1][s] == before[s]) {
      l->newest[s] = before[s];
      continue;
    }
    uint32_t i = 0;
    while (i < n->n_out && !(gives_version(l, n->regions[0]->yields[i], s, before[s], after[0][s]) &&
                             gives_version(l, n->regions[1]->yields[i], s, before[s], after[1][s])))
      i++;
    if (i == n->n_out) return lower_refuse(l, n);
    l->newest[s] = &n->out[i];
  }
  for (uint32_t i = 0; i < n->n_out; i++) {
    void *state = map_get_ptr(l->state_of, n->regions[0]->yields[i]);
    if (state == map_get_ptr(l->state_of, n->regions[1]->yields[i])) map_put_ptr(l->state_of, &n->out[i], state);
  }
  return true;
}

static bool lower_if(lowering *l, const ir_node *n) {
  uint32_t condition;
  if (!scalar_buffer(l, n, n->in[0], &condition)) return false;
  const ir_value **where = ARENA_ARRAY(l->c->a, const ir_value *, n->n_out + 1);
  for (uint32_t i = 0; i < n->n_out; i++) where[i] = lower_fresh(l, n->out[i].type, PROG_arena, 0);
  size_t step = add_control(l, n, PROG_STEP_if);
  set_buffers(l, step, 1, &condition);
  touch(l, condition, step);
  const ir_value **before = newest_now(l), **after[2];
  for (uint32_t k = 0; k < 2; k++) {
    const ir_region *r = n->regions[k];
    size_t first = l->p->steps.n;
    memcpy(l->newest, before, l->m->states.n * sizeof *before);
    for (uint32_t i = 0; i < r->n_params; i++) {
      name_buffer(l, &r->params[i], n->in[i + 1]);
      map_put_ptr(l->state_of, &r->params[i], map_get_ptr(l->state_of, n->in[i + 1]));
    }
    for (uint32_t i = 0; i < r->n_yields; i++) want(l, r, i, where[i]);
    if (!lower_nodes(l, r) || !bring(l, n, r, where)) return false;
    l->p->steps.at[step].body[k] = (uint32_t)(l->p->steps.n - first);
    after[k] = newest_now(l);
  }
  for (uint32_t i = 0; i < n->n_out; i++) name_buffer(l, &n->out[i], where[i]);
  return join_states(l, n, before, after);
}

// -- loops --

typedef struct capture {
  const ir_value *v;
  bool found;
} capture;

static void is_captured(void *user, const ir_value *v) {
  capture *c = user;
  c->found = c->found || c->v == v;
}

// May the loop go on in the memory of the value that it begins with? Nothing else reads that again.
static bool takes_over(lowering *l, const ir_node *n, uint32_t operand) {
  const ir_value *v = n->in[operand];
  uint32_t uses = 0;
  for (uint32_t i = 0; i < n->n_in; i++) uses += n->in[i] == v;
  if (uses > 1 || !is_own_memory(&l->uses, v, n->parent) || !is_last_use(&l->uses, v, n)) return false;
  capture c = {v, false};
  fuse_captures(n, is_captured, &c);
  if (c.found || map_get_ptr(l->state_of, v)) return false;
  uint32_t buffer = lower_buffer(l, v); // may move the list
  return l->p->buffers.at[buffer].cls == PROG_arena;
}

// The buffers of carried values, holding what the loop begins with.
static const ir_value **begin_carried(lowering *l, const ir_node *n, uint32_t first) {
  const ir_value **where = ARENA_ARRAY(l->c->a, const ir_value *, n->n_in - first + 1);
  for (uint32_t i = first; i < n->n_in; i++) {
    const ir_value *v = n->in[i];
    where[i - first] = v;
    if (takes_over(l, n, i)) {
      map_put_ptr(l->shared, lower_pointer(lower_buffer(l, v)), l);
      continue;
    }
    where[i - first] = lower_fresh(l, v->type, PROG_arena, 0);
    if (!add_copy(l, n, v, where[i - first])) return NULL;
  }
  return where;
}

// The parameters after `index` are the carried values.
static void enter_body(lowering *l, const ir_node *n, const ir_region *r, uint32_t index, uint32_t first,
                       const ir_value *const *where) {
  for (uint32_t i = index; i < r->n_params; i++) {
    name_buffer(l, &r->params[i], where[i - index]);
    map_put_ptr(l->state_of, &r->params[i], map_get_ptr(l->state_of, n->in[first + i - index]));
  }
}

static bool lower_body(lowering *l, const ir_node *n, const ir_region *r, uint32_t index,
                       const ir_value *const *where) {
  for (uint32_t i = 0; i < r->n_yields; i++) {
    const ir_node *def = r->yields[i]->def;
    if (def && value_region(r->yields[i]) == r && is_used_before(&l->uses, &r->params[i + index], def))
      want(l, r, i, where[i]);
  }
  return lower_nodes(l, r) && bring(l, n, r, where);
}

// What is alive when the loop begins is so to its end.
static void widen(lowering *l, size_t step) {
  for (size_t i = 0; i < l->p->buffers.n; i++) {
    const prog_buffer *b = &l->p->buffers.at[i];
    if (b->cls == PROG_arena && b->first < step && b->last >= step) touch(l, (uint32_t)i, l->p->steps.n - 1);
  }
}

// After the loop the newest version of a state is the result that carries it.
static bool carry_states(lowering *l, const ir_node *n, const ir_region *r, uint32_t first,
                         const ir_value *const *before) {
  for (uint32_t i = 0; i < n->n_out; i++) {
    void *state = map_get_ptr(l->state_of, n->in[first + i]);
    if (state == map_get_ptr(l->state_of, r->yields[i])) map_put_ptr(l->state_of, &n->out[i], state);
  }
  for (size_t s = 0; s < l->m->states.n; s++) {
    if (l->newest[s] == before[s]) continue;
    uint32_t i = 0;
    while (i < n->n_out && !(r->yields[i] == l->newest[s] && map_get_ptr(l->state_of, &n->out[i]))) i++;
    if (i == n->n_out) return lower_refuse(l, n);
    l->newest[s] = &n->out[i];
  }
  return true;
}

static bool lower_loop(lowering *l, const ir_node *n) {
  const ir_region *r = n->regions[0];
  uint32_t buffers[2];
  const ir_value **before = newest_now(l);
  const ir_value **where = scalar_buffer(l, n, n->in[0], &buffers[0]) ? begin_carried(l, n, 1) : NULL;
  if (!where) return false;
  const ir_value *turn = lower_fresh(l, r->params[0].type, PROG_arena, 0);
  buffers[1] = lower_buffer(l, turn);
  size_t step = add_control(l, n, PROG_STEP_loop);
  set_buffers(l, step, 2, buffers);
  touch(l, buffers[0], step);
  name_buffer(l, &r->params[0], turn);
  enter_body(l, n, r, 1, 1, where);
  if (!lower_body(l, n, r, 1, where)) return false;
  l->p->steps.at[step].body[0] = (uint32_t)(l->p->steps.n - 1 - step);
  widen(l, step);
  for (uint32_t i = 0; i < n->n_out; i++) name_buffer(l, &n->out[i], where[i]);
  return carry_states(l, n, r, 1, before);
}

static bool lower_while(lowering *l, const ir_node *n) {
  const ir_region *test = n->regions[0], *r = n->regions[1];
  uint32_t condition;
  const ir_value **before = newest_now(l);
  const ir_value **where = begin_carried(l, n, 0);
  if (!where) return false;
  size_t step = add_control(l, n, PROG_STEP_while);
  const idx **most = ARENA_NEW(l->c->a, const idx *);
  *most = ir_attr_idx(l->m, n, "max", NULL);
  l->p->steps.at[step].symbols = most;
  l->p->steps.at[step].n_symbols = 1;
  enter_body(l, n, test, 0, 0, where);
  enter_body(l, n, r, 0, 0, where);
  if (!lower_nodes(l, test) || !scalar_buffer(l, n, test->yields[0], &condition)) return false;
  for (size_t s = 0; s < l->m->states.n; s++)
    if (l->newest[s] != before[s]) return lower_refuse(l, n);
  set_buffers(l, step, 1, &condition);
  touch(l, condition, l->p->steps.n - 1);
  uint32_t tested = (uint32_t)(l->p->steps.n - 1 - step);
  if (!lower_body(l, n, r, 0, where)) return false;
  l->p->steps.at[step].body[0] = tested;
  l->p->steps.at[step].body[1] = (uint32_t)(l->p->steps.n - 1 - step - tested);
  widen(l, step);
  for (uint32_t i = 0; i < n->n_out; i++) name_buffer(l, &n->out[i], where[i]);
  return carry_states(l, n, r, 0, before);
}

bool lower_control(lowering *l, const ir_node *n) {
  return n->op == OP_if ? lower_if(l, n) : n->op == OP_loop ? lower_loop(l, n) : lower_while(l, n);
}
