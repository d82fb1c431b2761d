// Running a bound program: its steps, branches and loops, then the steps that close the run.
//
// A run commits last. Kernels write new versions of states in place, after the rows that they overwrite were put aside;
// a run that fails puts them back (undo steps). Versions that could not be written in place are copied to where the
// state lives after everything else succeeded (commit steps). Nothing here allocates.
#include "runtime/session.h"
#include <string.h>

typedef struct program_run {
  rt_session *s;
  program_state *st;
  const rt_step *steps;
  rt_error *err;
} program_run;

void rt_run_chunk(void *user, int64_t begin, int64_t end, unsigned worker) {
  step_call *c = user;
  char *scratch = c->s->scratch ? c->s->scratch + worker * c->s->scratch_stride : NULL;
  c->b->kernel(c->b->buffers, c->b->symbols, c->b->grid, begin, end, scratch, &c->s->fault);
}

static rt_status overflow(const program_run *r, uint32_t step) {
  return rt_fail(r->err, RT_E_INVALID, "line %u: these sizes overflow", r->steps[step].line);
}

static rt_status run_kernel(program_run *r, uint32_t i) {
  rt_session *s = r->s;
  bound_step *b = &r->st->steps[i];
  if (b->late && b->bound_at != s->binds && !rt_bind_step(s, &r->steps[i], b)) return overflow(r, i);
  if (s->device) {
    bool done;
    int64_t start = s->trace ? rt_now_ns() : 0;
    rt_status status = s->m->device->kernel(s->device, i, s->trace != NULL, &done, r->err);
    if (!status && done && s->trace) rt_trace_kernel(s, &r->steps[i], i, start, b->total);
    if (status || done) return status;
  }
  step_call c = {s, b};
  if (s->trace) rt_run_traced(&c, &r->steps[i], i);
  else rt_pool_run(s->pool, b->total, b->chunk, rt_run_chunk, &c);
  return RT_OK;
}

// A data error that a kernel recorded. What depends on its values does not run.
static rt_status fault_of(const program_run *r) {
  const rt_plan *p = r->s->m->plan;
  if (r->s->fault <= 0 || (uint64_t)r->s->fault > p->faults.count) return RT_OK;
  const rt_fault_site *f = RT_ARRAY(p, rt_fault_site, faults) + (r->s->fault - 1);
  return rt_fail(r->err, RT_E_DATA, "line %u: %s", f->line, rt_string(p, f->text));
}

static int32_t read_i32(const void *p) {
  int32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

static rt_status run_bind(program_run *r, uint32_t i) {
  const rt_step *step = &r->steps[i];
  int32_t v = read_i32(r->st->steps[i].buffers[0]);
  rt_error ignored;
  if (rt_dim_in_range(r->s, "", step->what, v, &ignored)) {
    const rt_dim *d = RT_ARRAY(r->s->m->plan, rt_dim, dims) + step->what;
    return rt_fail(r->err, RT_E_DATA, "line %u: `%s` is %d; it must lie in %lld..%lld step %lld", step->line,
                   rt_string(r->s->m->plan, d->name), v, (long long)d->lo, (long long)d->hi, (long long)d->step);
  }
  r->s->next[step->what] = v;
  r->s->binds++;
  return RT_OK;
}

static rt_status run_check(program_run *r, uint32_t i) {
  const rt_plan *p = r->s->m->plan;
  const rt_check *c = RT_ARRAY(p, rt_check, checks) + r->steps[i].what;
  int64_t v;
  if (rt_eval(p, c->expr, r->s->next, &v) && v >= 0) return RT_OK;
  return rt_fail(r->err, RT_E_DATA, "line %u: %s", c->line, rt_string(p, c->text));
}

// Steps first .. first+n with their bodies; *stopped is the first of them that failed, else untouched.
static rt_status run_steps(program_run *r, uint32_t first, uint32_t n, uint32_t *stopped);

static rt_status run_turn(program_run *r, uint32_t i, uint32_t first, uint32_t n) {
  rt_session *s = r->s;
  uint32_t inside;
  int64_t start = s->trace ? rt_now_ns() : 0;
  rt_status status = run_steps(r, first, n, &inside);
  if (!status) status = fault_of(r);
  if (s->trace) rt_trace_turn(s, &r->steps[i], i, start);
  return status;
}

static rt_status run_loop(program_run *r, uint32_t i) {
  void **buffers = r->st->steps[i].buffers;
  rt_status status = RT_OK;
  for (int32_t turn = 0, turns = read_i32(buffers[0]); turn < turns && !status; turn++) {
    memcpy(buffers[1], &turn, sizeof turn);
    if (r->s->device) r->s->m->device->written(r->s->device, i, 1);
    status = run_turn(r, i, i + 1, r->steps[i].body[0]);
  }
  return status;
}

static bool holds(const program_run *r, uint32_t i) { return *(const uint8_t *)r->st->steps[i].buffers[0] != 0; }

// What the executor reads of step i, on the host, and no fault behind it.
static rt_status steering(program_run *r, uint32_t i) {
  rt_status status = rt_step_values(r->s, i, r->err);
  return status ? status : fault_of(r);
}

static rt_status run_while(program_run *r, uint32_t i) {
  const rt_step *step = &r->steps[i];
  const rt_plan *p = r->s->m->plan;
  int64_t most;
  if (!rt_eval(p, RT_ARRAY(p, uint32_t, words)[step->symbols], r->s->next, &most)) return overflow(r, i);
  for (int64_t turn = 0;; turn++) {
    rt_status status = run_turn(r, i, i + 1, step->body[0]);
    if (!status) status = steering(r, i);
    if (status || !holds(r, i)) return status;
    if (turn >= most)
      return rt_fail(r->err, RT_E_DATA, "line %u: the condition still holds after %lld turns", step->line,
                     (long long)most);
    status = run_turn(r, i, i + 1 + step->body[0], step->body[1]);
    if (status) return status;
  }
}

static rt_status run_if(program_run *r, uint32_t i) {
  const uint32_t *body = r->steps[i].body;
  uint32_t inside;
  return holds(r, i) ? run_steps(r, i + 1, body[0], &inside) : run_steps(r, i + 1 + body[0], body[1], &inside);
}

// What is not a kernel needs values to be right.
static rt_status run_step(program_run *r, uint32_t i) {
  rt_status status = r->steps[i].kind == RT_STEP_kernel ? RT_OK : steering(r, i);
  if (status) return status;
  switch ((rt_step_kind)r->steps[i].kind) {
  case RT_STEP_bind: return run_bind(r, i);
  case RT_STEP_check: return run_check(r, i);
  case RT_STEP_if: return run_if(r, i);
  case RT_STEP_loop: return run_loop(r, i);
  case RT_STEP_while: return run_while(r, i);
  case RT_STEP_kernel:
  case RT_STEP_KINDS:
  default: return run_kernel(r, i);
  }
}

static rt_status run_steps(program_run *r, uint32_t first, uint32_t n, uint32_t *stopped) {
  for (uint32_t i = first; i < first + n; i += 1 + r->steps[i].body[0] + r->steps[i].body[1]) {
    rt_status status = run_step(r, i);
    if (!status) continue;
    *stopped = i;
    return status;
  }
  return RT_OK;
}

static program_run run_of(rt_session *s, rt_error *err) {
  const rt_plan *p = s->m->plan;
  const rt_program *g = RT_ARRAY(p, rt_program, programs) + s->run.program;
  return (program_run){s, &s->programs[s->run.program], RT_ARRAY(p, rt_step, steps) + g->first_step, err};
}

void rt_run_steps(rt_session *s) {
  const rt_program *g = RT_ARRAY(s->m->plan, rt_program, programs) + s->run.program;
  program_run r = run_of(s, &s->run.error);
  s->fault = 0;
  s->run.stopped = g->n_steps;
  s->run.status = run_steps(&r, 0, g->n_steps, &s->run.stopped);
  if (!s->run.status && s->device) s->run.status = s->m->device->end(s->device, &s->run.error);
}

// The device is done with what the run gave it, whether that went well or not: memory is the caller's again.
static rt_status settle(rt_session *s, rt_status status, rt_error *err) {
  rt_error later;
  rt_status now = s->device ? s->m->device->sync(s->device, status ? &later : err) : RT_OK;
  return status ? status : now;
}

// Undoing and committing do not fail but where a device does. States are then partly old, partly new: they begin anew.
rt_status rt_close_run(rt_session *s, rt_error *err) {
  const rt_program *g = RT_ARRAY(s->m->plan, rt_program, programs) + s->run.program;
  program_run r = run_of(s, err);
  rt_error ignored;
  if (s->run.status && err) *err = s->run.error;
  rt_status status = settle(s, s->run.status, err);
  if (!status) status = fault_of(&r);
  uint32_t i = g->n_steps;
  rt_status undone = RT_OK;
  r.err = &ignored; // what failed before counts
  for (; i < g->n_steps + g->n_undo; i++)
    if (status && !undone && r.steps[i].undoes < s->run.stopped) undone = run_kernel(&r, i);
  r.err = err;
  for (; i < rt_all_steps(g) && !status; i++) undone = status = run_kernel(&r, i);
  if (g->n_undo + g->n_commit == 0) return status;
  undone = settle(s, undone, status ? &ignored : err);
  if (undone) rt_session_reset(s);
  return status ? status : undone;
}
