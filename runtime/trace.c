// Traces of a run: see rt_session_trace in runtime/rt.h.
//
// A traced step is run by a wrapper of the kernel that notes, for each thread, when it began its first chunk and when
// it ended its last. The pool has made these notes visible when it returns; then the caller's thread reports them. So
// events of one thread never overlap, and a turn of a loop lies around the events of its steps.
#include "runtime/session.h"

#include <string.h>
#include <time.h>

int64_t rt_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void rt_session_trace(rt_session *s, void (*f)(void *user, const rt_trace_event *event), void *user) {
  s->trace = f;
  s->trace_user = user;
}

static uint64_t amount(const rt_session *s, uint32_t expr) {
  int64_t v;
  return rt_eval(s->m->plan, expr, s->next, &v) && v > 0 ? (uint64_t)v : 0;
}

uint64_t rt_operand_bytes(const rt_session *s, const rt_step *step, uint32_t i) {
  return amount(s, RT_ARRAY(s->m->plan, uint32_t, words)[step->bytes + i]);
}

rt_work rt_step_work(const rt_session *s, const rt_step *step) {
  const rt_plan *p = s->m->plan;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  const rt_kernel_info *k = RT_ARRAY(p, rt_kernel_info, kernels) + step->what;
  rt_work w = {.macs = amount(s, step->macs)};
  for (uint32_t i = 0; i < k->n_buffers; i++) {
    uint64_t bytes = rt_operand_bytes(s, step, i);
    if (words[k->access + i] & RT_READS) w.bytes_read += bytes;
    if (words[k->access + i] & RT_WRITES) w.bytes_written += bytes;
  }
  return w;
}

static rt_trace_event event_of(const rt_session *s, rt_trace_kind kind, const rt_step *step, uint32_t index) {
  const rt_plan *p = s->m->plan;
  bool kernel = step->kind == RT_STEP_kernel;
  const char *symbol = kernel ? rt_string(p, (RT_ARRAY(p, rt_kernel_info, kernels) + step->what)->name) : "";
  return (rt_trace_event){.kind = kind,
                          .step = index,
                          .line = step->line,
                          .label = rt_string(p, step->label),
                          .kernel = symbol,
                          .file = rt_string(p, step->file)};
}

static void run_noted(void *user, int64_t begin, int64_t end, unsigned worker) {
  const step_call *c = user;
  thread_share *t = &c->s->shares[worker];
  if (!t->points) t->start_ns = rt_now_ns();
  rt_run_chunk(user, begin, end, worker);
  t->end_ns = rt_now_ns();
  t->points += end - begin;
}

void rt_trace_kernel(rt_session *s, const rt_step *step, uint32_t index, int64_t start_ns, int64_t points) {
  rt_trace_event e = event_of(s, RT_TRACE_kernel, step, index);
  e.start_ns = start_ns, e.end_ns = rt_now_ns();
  e.points = points;
  rt_work w = rt_step_work(s, step);
  e.macs = w.macs, e.bytes_read = w.bytes_read, e.bytes_written = w.bytes_written;
  s->trace(s->trace_user, &e);
}

void rt_run_traced(step_call *c, const rt_step *step, uint32_t index) {
  rt_session *s = c->s;
  unsigned n_threads = rt_pool_threads(s->pool);
  memset(s->shares, 0, n_threads * sizeof *s->shares);
  int64_t start_ns = rt_now_ns();
  rt_pool_run(s->pool, c->b->total, c->b->chunk, run_noted, c);
  rt_trace_kernel(s, step, index, start_ns, c->b->total);
  for (unsigned i = 1; i < n_threads; i++) {
    if (!s->shares[i].points) continue;
    rt_trace_event e = event_of(s, RT_TRACE_share, step, index);
    e.thread = i;
    e.start_ns = s->shares[i].start_ns, e.end_ns = s->shares[i].end_ns;
    e.points = s->shares[i].points;
    s->trace(s->trace_user, &e);
  }
}

void rt_trace_turn(rt_session *s, const rt_step *step, uint32_t index, int64_t start_ns) {
  rt_trace_event e = event_of(s, RT_TRACE_turn, step, index);
  e.start_ns = start_ns, e.end_ns = rt_now_ns();
  s->trace(s->trace_user, &e);
}
