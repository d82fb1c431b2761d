// Profiles: see profile.h.
//
// One complete event ("ph": "X") for the run, and inside it one for each kernel and each turn of a loop, on the track
// of the thread that called; each other thread has a track with its share of the kernels. Times count microseconds from
// the begin of the run, with their nanoseconds as decimals. The format: "Trace Event Format", the Chromium authors.
#include "tools/nnc/profile.h"
#include "base/clock.h"
#include "base/file.h"

#include <math.h>

profile *profile_new(cli *c) {
  profile *p = ARENA_NEW(c->a, profile);
  p->a = c->a;
  return p;
}

void profile_note(void *user, const nnc_trace_event *event) {
  profile *p = user;
  vec_push(p->a, &p->events, *event);
}

// Events of the runtime are laid out as those of the public API (api/session.c).
static void note_runtime(void *user, const rt_trace_event *event) { profile_note(user, (const void *)event); }

bool profile_run(cli *c, profile *p, compiled_run *r) {
  rt_session_trace(r->session, note_runtime, p);
  p->start_ns = clock_ns();
  bool ok = run_once(c, r);
  p->end_ns = clock_ns();
  rt_session_trace(r->session, NULL, NULL);
  return ok;
}

// -- JSON, one event a line --

static int append(const char *text, size_t n, void *user) {
  sb_bytes(user, text, n);
  return 0;
}

static void add_line(strbuf *b, json_t *object) {
  if (b->p[b->n - 1] != '\n') sb_z(b, ",\n");
  json_dump_callback(object, append, b, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15));
  json_decref(object);
}

static void set(json_t *object, const char *key, json_t *value) { json_object_set_new(object, key, value); }
static json_t *rate(double v) { return json_real(round(v * 1000) / 1000); }
static json_t *count(uint64_t n) { return json_integer((json_int_t)n); }

static json_t *event_new(const char *phase, const char *name, unsigned thread, json_t *args) {
  json_t *e = json_object();
  set(e, "ph", json_string(phase));
  set(e, "pid", json_integer(1));
  set(e, "tid", count(thread));
  set(e, "name", json_string(name));
  set(e, "args", args);
  return e;
}

static void add_name(strbuf *b, const char *what, unsigned thread, const char *name) {
  json_t *args = json_object();
  set(args, "name", json_string(name));
  add_line(b, event_new("M", what, thread, args));
}

static void add_span(strbuf *b, const profile *p, const char *category, int64_t start_ns, int64_t end_ns, json_t *e) {
  set(e, "cat", json_string(category));
  set(e, "ts", json_real((double)(start_ns - p->start_ns) * 1e-3));
  set(e, "dur", json_real((double)(end_ns - start_ns) * 1e-3));
  add_line(b, e);
}

static void add_event(strbuf *b, const profile *p, const nnc_trace_event *e) {
  static const char *const categories[] = {
      [NNC_TRACE_KERNEL] = "kernel", [NNC_TRACE_SHARE] = "share", [NNC_TRACE_TURN] = "turn"};
  json_t *args = json_object();
  double ns = (double)(e->end_ns > e->start_ns ? e->end_ns - e->start_ns : 1);
  if (e->yaml_line) set(args, "yaml", json_string(str_fmt(b->a, "%s:%u", e->yaml_file, e->yaml_line)));
  set(args, "step", count(e->step));
  if (e->kind != NNC_TRACE_TURN) {
    set(args, "kernel", json_string(e->kernel));
    set(args, "points", json_integer(e->points));
  }
  if (e->kind == NNC_TRACE_KERNEL) {
    set(args, "multiply_adds", count(e->macs));
    set(args, "bytes_read", count(e->bytes_read));
    set(args, "bytes_written", count(e->bytes_written));
    set(args, "gflops", rate(2 * (double)e->macs / ns));
    set(args, "gbytes_per_s", rate((double)(e->bytes_read + e->bytes_written) / ns));
  }
  json_t *event = event_new("X", e->label, e->thread, args);
  add_span(b, p, categories[e->kind], e->start_ns, e->end_ns, event);
}

bool profile_write(cli *c, const profile *p, const signature *s, const char *path) {
  unsigned threads = 1;
  for (size_t i = 0; i < p->events.n; i++)
    if (p->events.at[i].thread >= threads) threads = p->events.at[i].thread + 1;
  strbuf b;
  sb_init(&b, c->a);
  sb_z(&b, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n");
  add_name(&b, "process_name", 0, str_fmt(c->a, "nnc %s", c->model));
  for (unsigned i = 0; i < threads; i++) add_name(&b, "thread_name", i, i ? str_fmt(c->a, "worker %u", i) : "caller");
  json_t *dims = json_object();
  for (size_t i = 0; i < s->dims.n; i++) set(dims, s->dims.at[i].symbol->name, json_integer(s->dims.at[i].value));
  add_span(&b, p, "run", p->start_ns, p->end_ns, event_new("X", s->entry, 0, dims));
  for (size_t i = 0; i < p->events.n; i++) add_event(&b, p, &p->events.at[i]);
  sb_z(&b, "\n]}\n");
  return file_write(c->a, &c->diags, path, sb_str(&b), 0644);
}
