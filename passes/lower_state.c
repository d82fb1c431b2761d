// Lowering of states: where versions live, what a failed run takes back, and what a successful one commits.
//
// Versions of a state that are made by updates in the graph's own body, each the last use of the one before, are
// written where the state lives (an append to a cache moves its new rows and nothing else). Before such an update the
// elements that it overwrites are put aside; if the run fails, undo steps put them back, last first. Any other newest
// version (a whole new value, one made in a loop or a branch) lies in the arena, and a commit step copies it when all
// else is done.
#include "passes/lower.h"
#include <string.h>

bool lower_refuse(lowering *l, const ir_node *n) {
  diag_at(l->c->diags, n->spans.n ? n->spans.at[0] : NO_SPAN, op_not_compiled, op_get(n->op)->name);
  return false;
}

static void find_written(lowering *l, const ir_region *r) {
  for (const ir_node *n = r->first; n; n = n->next) {
    if (n->op == OP_group && !strcmp(ir_attr_str(n, "kind", ""), "update")) map_put_ptr(l->written, n->in[0], l);
    const idx *dim = n->op == OP_bind ? ir_attr_idx(l->m, n, "dim", NULL) : NULL;
    if (dim) map_put_ptr(l->late, idx_is_symbol(dim), l);
    for (uint32_t i = 0; n->op != OP_group && i < n->n_regions; i++) find_written(l, n->regions[i]);
  }
}

bool lower_states_begin(lowering *l) {
  arena *a = l->c->a;
  l->written = map_new(a);
  l->late = map_new(a);
  l->state_of = map_new(a);
  l->newest = ARENA_ARRAY(a, const ir_value *, l->m->states.n + 1);
  l->home = ARENA_ARRAY(a, const ir_value *, l->m->states.n + 1);
  const ir_region *body = l->graph->body;
  find_written(l, body);
  bool ok = true;
  for (uint32_t i = 0; i < body->n_yields; i++)
    for (uint32_t d = 0; d < body->yields[i]->type.rank; d++)
      if (lower_is_late(l, body->yields[i]->type.dim[d])) {
        diag_at(l->c->diags, NO_SPAN, output_size_late, l->graph->output_names[i]);
        ok = false;
      }
  return ok;
}

// -- sizes --

typedef struct late_search {
  const lowering *l;
  bool found;
} late_search;

static void is_late_symbol(void *user, const sym *s) {
  late_search *x = user;
  x->found = x->found || map_get_ptr(x->l->late, s);
}

bool lower_is_late(const lowering *l, const idx *e) {
  late_search x = {l, false};
  idx_symbols(e, is_late_symbol, &x);
  return x.found;
}

// e with every late dim at the end of its range that makes e largest (or smallest). Sizes are not negative, so that
// products are largest where their factors are.
static const idx *extreme(lowering *l, const idx *e, bool largest);

static const idx *extreme_atom(lowering *l, const atom *t, bool largest) {
  idx_ctx *c = l->m->ix;
  if (t->kind == ATOM_sym) {
    if (!map_get_ptr(l->late, t->symbol)) return idx_of(c, t->symbol);
    return extreme(l, largest ? t->symbol->hi : t->symbol->lo, largest); // a bound may be over other late dims
  }
  const idx *a = extreme(l, t->a, largest);
  switch ((int)t->kind) {
  case ATOM_floordiv: return idx_floordiv(c, a, extreme(l, t->b, !largest));
  case ATOM_mod: return largest ? idx_addi(c, extreme(l, t->b, true), -1) : idx_int(c, 0);
  case ATOM_min: return idx_min(c, a, extreme(l, t->b, largest));
  default: return idx_max(c, a, extreme(l, t->b, largest));
  }
}

static const idx *extreme(lowering *l, const idx *e, bool largest) {
  idx_ctx *c = l->m->ix;
  if (!lower_is_late(l, e)) return e;
  const idx *sum = idx_int(c, 0);
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const idx *term = idx_int(c, e->terms[i].coef);
    for (uint32_t k = 0; k < e->terms[i].n_factors; k++)
      term = idx_mul(c, term, extreme_atom(l, e->terms[i].factors[k], largest == (e->terms[i].coef > 0)));
    sum = idx_add(c, sum, term);
  }
  return sum;
}

const idx *lower_count(lowering *l, ir_type t) {
  const idx *count = idx_int(l->m->ix, 1);
  for (uint32_t i = 0; i < t.rank; i++) count = idx_mul(l->m->ix, count, extreme(l, t.dim[i], true));
  return count;
}

// -- versions --

static size_t state_index(const lowering *l, const char *name) {
  size_t i = 0;
  while (i < l->m->states.n && strcmp(l->m->states.at[i]->name, name) != 0) i++;
  return i;
}

static const ir_value *home_of(lowering *l, size_t state) {
  if (!l->home[state]) l->home[state] = lower_fresh(l, l->m->states.at[state]->type, PROG_state, (uint32_t)state);
  return l->home[state];
}

// The first version is what the last run left. Others are values of the graph: it reads them without this operator.
bool lower_state(lowering *l, const ir_node *n, bool nested) {
  size_t state = state_index(l, ir_attr_str(n, "name", ""));
  if (nested || state == l->m->states.n || l->newest[state]) return lower_refuse(l, n);
  map_put_ptr(l->buffer_of, &n->out[0], lower_pointer(lower_buffer(l, home_of(l, state))));
  map_put_ptr(l->state_of, &n->out[0], lower_pointer(state));
  return true;
}

void lower_trace(lowering *l, const ir_node *n) {
  const ir_region *r = n->regions[0];
  for (uint32_t i = 0; i < n->n_out; i++) {
    const ir_value *y = r->yields[i];
    bool update = y->def && y->def->op == OP_update;
    if (update) y = y->def->in[0];
    void *state = y->param_of == r ? map_get_ptr(l->state_of, n->in[y->index]) : NULL;
    if (!state) continue;
    map_put_ptr(l->state_of, &n->out[i], state);
    if (update) l->newest[lower_index(state)] = &n->out[i];
  }
}

static void keep_to_end(lowering *l, const prog_step *s) {
  for (uint32_t i = 0; i < s->n_buffers; i++) l->p->buffers.at[s->buffers[i]].last = (uint32_t)l->p->steps.n - 1;
}

bool lower_update(lowering *l, const ir_node *n) {
  uint32_t into = lower_buffer(l, n->in[0]);
  map_put_ptr(l->shared, lower_pointer(into), l);
  map_put_ptr(l->buffer_of, &n->out[0], lower_pointer(into));
  prog_step save, step, restore;
  bool undone = l->p->buffers.at[into].cls == PROG_state;
  const ir_value *aside = NULL;
  if (undone) {
    aside = lower_fresh(l, n->regions[0]->yields[0]->def->in[1]->type, PROG_arena, 0);
    if (!lower_kernel(l, n, WORK_save, NULL, aside, &save)) return false;
    lower_add_step(l, l->p, save);
  }
  if (!lower_kernel(l, n, WORK_group, NULL, NULL, &step)) return false;
  lower_add_step(l, l->p, step);
  if (!undone) return true;
  if (!lower_kernel(l, n, WORK_restore, aside, NULL, &restore)) return false;
  restore.undoes = (uint32_t)l->p->steps.n - 1;
  vec_push(l->c->a, &l->p->undo, restore);
  return true;
}

bool lower_states_end(lowering *l) {
  program *p = l->p;
  for (size_t i = 0; i < l->m->states.n; i++) {
    const ir_value *v = l->newest[i];
    prog_step copy;
    if (!v) continue;
    uint32_t buffer = lower_buffer(l, v); // may move the list
    if (p->buffers.at[buffer].cls == PROG_state) continue;
    if (!lower_kernel(l, NULL, WORK_copy, v, home_of(l, i), &copy)) return false;
    vec_push(l->c->a, &p->commit, copy);
  }
  for (size_t i = 0; i < p->undo.n / 2; i++) { // the last update is the first to be taken back
    prog_step first = p->undo.at[i];
    p->undo.at[i] = p->undo.at[p->undo.n - 1 - i];
    p->undo.at[p->undo.n - 1 - i] = first;
  }
  for (size_t i = 0; i < p->undo.n; i++) keep_to_end(l, &p->undo.at[i]);
  for (size_t i = 0; i < p->commit.n; i++) keep_to_end(l, &p->commit.at[i]);
  return true;
}
