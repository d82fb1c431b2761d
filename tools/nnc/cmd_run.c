// nnc run: one call of an entry, through the public API.
#include "base/clock.h"
#include "tools/nnc/job.h"
#include "tools/nnc/pin.h"
#include "tools/nnc/profile.h"
#include "tools/nnc/sink.h"
#include "tools/nnc/source.h"

static void close_session(void *s) { nnc_session_free(s); }

static exit_status run_failure(cli *c, nnc_session *s, nnc_status status) {
  const char *why = nnc_session_error(s);
  diag_at(&c->diags, NO_SPAN, run_failed, why[0] ? why : nnc_status_text(status));
  report_diagnostics(&c->diags);
  return status == NNC_E_ENVIRONMENT || status == NNC_E_INTERNAL ? EXIT_environment : EXIT_model;
}

static nnc_tensor view(const ir_tensor *t) { return nnc_tensor_of((nnc_dtype)t->dt, t->data, t->rank, t->dim); }

// An optional input that is not given: its type without data.
static nnc_tensor absent(const sig_tensor *input) {
  return (nnc_tensor){.dtype = (nnc_dtype)input->dt, .rank = input->rank};
}

static exit_status report(cli *c, const signature *s, ir_tensor *const *outputs, const profile *p) {
  if (c->opt.profile && !profile_write(c, p, s, c->opt.profile)) return fail(c);
  if (!sinks_write(c, s, outputs, !c->opt.json)) return fail(c);
  if (!c->opt.json) return EXIT_done;
  json_t *out = json_new(c), *list = json_array();
  json_object_set_new(out, "entry", json_string(s->entry));
  json_object_set_new(out, "outputs", list);
  for (size_t i = 0; i < s->outputs.n; i++)
    json_array_append_new(list, tensor_stats(s->outputs.at[i].name, outputs[i]));
  json_object_set_new(out, "run_ms", json_real((double)(p->end_ns - p->start_ns) * 1e-6));
  return print_json(c, out);
}

exit_status cmd_run(cli *c) {
  exit_status status = EXIT_environment;
  nnc_module *m = open_module(c, &status);
  if (!m) return status;
  signature *s = signature_of_module(c, m);
  if (!s || !sinks_check(c, s)) return fail(c);
  ir_tensor **in = inputs_make(c, s, false, job_is_library(c));
  if (!in) return fail(c);
  nnc_session_options options = NNC_SESSION_OPTIONS_INIT;
  cpu_list cpus;
  if (!pin_threads(c, &cpus)) return fail(c);
  options.cpus = cpus.at;
  options.n_cpus = cpus.n;
  options.threads = (unsigned)c->opt.threads;
  nnc_session *session = NULL;
  nnc_status st = nnc_session_new(&session, m, &options);
  if (st) return run_failure(c, session, st);
  arena_defer(c->a, close_session, session);
  for (size_t i = 0; i < s->dims.n && !st; i++)
    if (s->dims.at[i].bound) st = nnc_session_set_dim(session, s->dims.at[i].symbol->name, s->dims.at[i].value);
  nnc_tensor *inputs = ARENA_ARRAY(c->a, nnc_tensor, s->inputs.n + 1),
             *outputs = ARENA_ARRAY(c->a, nnc_tensor, s->outputs.n + 1);
  ir_tensor **results = ARENA_ARRAY(c->a, ir_tensor *, s->outputs.n + 1);
  for (size_t i = 0; i < s->inputs.n; i++) inputs[i] = in[i] ? view(in[i]) : absent(&s->inputs.at[i]);
  if (!st) st = nnc_shapes(session, s->index, inputs, s->inputs.n, outputs, s->outputs.n);
  for (size_t i = 0; i < s->outputs.n && !st; i++) {
    results[i] = ir_tensor_new(c->a, (dtype)outputs[i].dtype, outputs[i].rank, outputs[i].dim);
    outputs[i].data = results[i]->data;
  }
  profile *p = profile_new(c);
  if (c->opt.profile) nnc_session_trace(session, profile_note, p);
  p->start_ns = clock_ns();
  if (!st) st = nnc_run(session, s->index, inputs, s->inputs.n, outputs, s->outputs.n);
  p->end_ns = clock_ns();
  return st ? run_failure(c, session, st) : report(c, s, results, p);
}
