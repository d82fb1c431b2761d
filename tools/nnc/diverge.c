// The search for the first difference: see diverge.h.
//
// A plan's step belongs to the group whose name, scope and place in the YAML it carries; steps and groups are in the
// same order, and groups that depend on weights alone have no step. A kernel's outputs are matched with the group's
// results by dtype and size. Steps in the bodies of loops and branches are not compared, as their values are many.
#include "tools/nnc/diverge.h"
#include "runtime/session.h"

#include <string.h>

bool interpret(cli *c, const signature *s, ir_graph *g, const ir_tensor *const *in, ir_tensor **out, ir_tensor **states,
               void (*watch)(void *user, const ir_value *v, const ir_tensor *t), void *user) {
  const char **names = ARENA_ARRAY(c->a, const char *, s->dims.n + 1);
  int64_t *values = ARENA_ARRAY(c->a, int64_t, s->dims.n + 1);
  for (size_t i = 0; i < s->dims.n; i++) names[i] = s->dims.at[i].symbol->name, values[i] = s->dims.at[i].value;
  interp_options options = {
      .watch = watch, .user = user, .n_dims = s->dims.n, .dim_names = names, .dim_values = values, .states = states};
  return interp_run(c->a, g, in, out, &options);
}

// -- step by step --

typedef struct step_search {
  compile_job *j;
  const program *p;
  rt_session *session;
  uint32_t program;
  const ir_node **group; // [steps]: whose values the step stores, NULL when it could not be told
  map *values;           // ir_value * of a group's result -> the interpreter's ir_tensor *
  double bound;
  arena *a;
  divergence *out;
} step_search;

static void keep_group_values(void *user, const ir_value *v, const ir_tensor *t) {
  step_search *f = user;
  if (!v->def || v->def->op != OP_group) return;
  ir_tensor *copy = ir_tensor_new(f->a, t->dt, t->rank, t->dim);
  memcpy(copy->data, t->data, (size_t)ir_tensor_count(t) * dtype_size(t->dt));
  map_put_ptr(f->values, v, copy);
}

static bool is_step_of(const prog_step *s, const ir_node *n, arena *a) {
  const char *name = ir_attr_str(n, "name", "group");
  const char *label = n->scope && *n->scope ? str_fmt(a, "%s %s", name, n->scope) : name;
  diag_span span = n->spans.n ? n->spans.at[0] : NO_SPAN;
  return strcmp(label, s->label) == 0 && span.file == s->span.file && span.begin == s->span.begin;
}

static void match_groups(step_search *f) {
  const ir_node *n = f->p->graph->body->first;
  f->group = ARENA_ARRAY(f->a, const ir_node *, f->p->steps.n + 1);
  for (size_t i = 0; i < f->p->steps.n; i++) {
    const ir_node *found = n;
    while (found && (found->op != OP_group || !is_step_of(&f->p->steps.at[i], found, f->a))) found = found->next;
    f->group[i] = found;
    if (found) n = found->next;
    i += f->p->steps.at[i].body[0] + f->p->steps.at[i].body[1];
  }
}

// The closest of the group's results to what lies at `data`; false when none has this dtype and size.
static bool compare_stored(const step_search *f, const ir_node *n, dtype dt, uint64_t bytes, const void *data,
                           comparison *best) {
  bool any = false;
  for (uint32_t i = 0; i < n->n_out; i++) {
    const ir_tensor *want = map_get_ptr(f->values, &n->out[i]);
    if (!want || want->dt != dt || (uint64_t)ir_tensor_count(want) * dtype_size(dt) != bytes) continue;
    comparison by = tensors_compare(want, data, f->bound);
    if (!any || by.max_abs < best->max_abs) *best = by;
    any = true;
  }
  return any;
}

static void after_step(void *user, const rt_trace_event *event) {
  step_search *f = user;
  uint32_t step = event->step;
  if (event->kind != RT_TRACE_kernel || step >= f->p->steps.n || f->out->found || !f->group[step]) return;
  const prog_step *s = &f->p->steps.at[step];
  const kir_kernel *k = f->j->set->kernels.at[s->what];
  const program_state *st = &f->session->programs[f->program];
  rt_error err;
  if (rt_step_values(f->session, step, &err)) return; // the run fails next
  for (uint32_t q = 0; q < s->n_buffers; q++) {
    const kir_buffer *param = k->params.at[q];
    comparison by = {.ok = true};
    if (param->space == KIR_in) continue;
    if (!compare_stored(f, f->group[step], param->dt, st->size[s->buffers[q]], st->steps[step].buffers[q], &by) ||
        by.ok)
      continue;
    *f->out = (divergence){.found = true, .step = step, .label = event->label, .by = by};
    uint32_t column;
    diag_position(&f->j->diags, s->span, &f->out->file, &f->out->line, &column);
  }
}

// A copy: a run replaces the values.
static ir_tensor **states_of(cli *c, const ir_module *m, const call_history *h) {
  ir_tensor **states = ARENA_ARRAY(c->a, ir_tensor *, m->states.n + 1);
  for (size_t i = 0; i < m->states.n; i++) states[i] = h->states[i];
  return states;
}

bool find_divergence(cli *c, compile_job *j, const signature *s, compiled_run *r, const ir_tensor *const *in,
                     const call_history *h, divergence *out) {
  *out = (divergence){0};
  step_search f = {.j = j,
                   .p = j->set->entries.at[s->index],
                   .session = r->session,
                   .program = r->program,
                   .values = map_new(c->a),
                   .bound = c->opt.bound,
                   .a = c->a,
                   .out = out};
  match_groups(&f);
  ir_tensor **ignored = ARENA_ARRAY(c->a, ir_tensor *, s->outputs.n + 1);
  if (!interpret(c, s, j->m->graphs.at[s->index], in, ignored, states_of(c, j->m, h), keep_group_values, &f))
    return false;
  rt_session_reset(r->session);
  for (int64_t i = 0; i < h->calls; i++)
    if (!run_once(c, r)) return false;
  rt_session_trace(r->session, after_step, &f);
  bool ok = run_once(c, r);
  rt_session_trace(r->session, NULL, NULL);
  return ok;
}

// -- pass by pass --

bool find_pass(cli *c, const signature *s, const ir_tensor *const *in, const call_history *h, ir_tensor *const *want,
               const char **pass, exit_status *status) {
  *pass = NULL;
  for (size_t k = 1; k <= pass_count(); k++) {
    compile_job *j = job_begin(c, status);
    if (!j) return false;
    j->passes.limit = (int64_t)k;
    j->passes.n_print_after = 0;
    ir_tensor **got = ARENA_ARRAY(c->a, ir_tensor *, s->outputs.n + 1);
    if (!compile_frontend(j) || !compile_weights(j) || !compile_passes(j) ||
        !interpret(c, s, j->m->graphs.at[s->index], in, got, states_of(c, j->m, h), NULL, NULL)) {
      *status = job_fail(c, j);
      return false;
    }
    for (size_t i = 0; i < s->outputs.n; i++) {
      if (tensors_compare(want[i], got[i]->data, c->opt.bound).ok) continue;
      *pass = j->report.times.n ? j->report.times.at[j->report.times.n - 1].name : pass_at(k - 1)->name;
      return true;
    }
  }
  return true;
}
