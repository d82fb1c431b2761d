// Sessions of the public API: see session.h.
#include "api/session.h"
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(nnc_tensor) == sizeof(rt_tensor) && offsetof(nnc_tensor, data) == offsetof(rt_tensor, data) &&
                   offsetof(nnc_tensor, dim) == offsetof(rt_tensor, dim),
               "tensors are passed to the runtime as they are");
_Static_assert((int)NNC_F32 == (int)RT_f32 && (int)NNC_BOOL == (int)RT_bool && (int)NNC_MAX_RANK == (int)RT_MAX_RANK,
               "nnc_dtype is rt_dtype");
_Static_assert(sizeof(nnc_trace_event) == sizeof(rt_trace_event) &&
                   offsetof(nnc_trace_event, thread) == offsetof(rt_trace_event, thread) &&
                   offsetof(nnc_trace_event, yaml_line) == offsetof(rt_trace_event, line) &&
                   offsetof(nnc_trace_event, label) == offsetof(rt_trace_event, label) &&
                   offsetof(nnc_trace_event, yaml_file) == offsetof(rt_trace_event, file) &&
                   offsetof(nnc_trace_event, start_ns) == offsetof(rt_trace_event, start_ns) &&
                   offsetof(nnc_trace_event, bytes_written) == offsetof(rt_trace_event, bytes_written) &&
                   (int)NNC_TRACE_TURN == (int)RT_TRACE_turn,
               "events are passed on as they are");

nnc_status session_status(rt_status s) {
  switch (s) {
  case RT_OK: return NNC_OK;
  case RT_E_INVALID: return NNC_E_MODEL;
  case RT_E_MEMORY: return NNC_E_ENVIRONMENT;
  case RT_E_DATA: return NNC_E_DATA;
  case RT_E_UNSUPPORTED:
  case RT_E_FILE:
  case RT_E_DEVICE:
  default: return NNC_E_ENVIRONMENT;
  }
}

static bool options_fit(const nnc_session_options *o) {
  if (o->size != sizeof *o || (o->n_cpus > 0 && !o->cpus)) return false;
  return !o->executor || (o->executor->run && o->executor->threads > 0 && o->threads == 0 && o->n_cpus == 0);
}

// Without memory for a pool a session runs in its caller's thread.
static bool make_pool(nnc_session *s, const nnc_session_options *o) {
  if (o && o->executor) {
    rt_executor host = {o->executor->threads, o->executor->run, o->executor->user};
    s->pool = rt_pool_of(&host);
    return s->pool != NULL;
  }
  unsigned threads = o ? o->threads : 0;
  s->pool = threads == 1 ? NULL : rt_pool_new(threads);
  return !o || o->n_cpus == 0 || rt_pool_bind(s->pool, o->cpus, o->n_cpus);
}

nnc_status nnc_session_new(nnc_session **out, const nnc_module *m, const nnc_session_options *options) {
  if (!out) return NNC_E_ARGUMENT;
  *out = NULL;
  if (!m || (options && !options_fit(options))) return NNC_E_ARGUMENT;
  nnc_session *s = calloc(1, sizeof *s);
  if (!s) return NNC_E_ENVIRONMENT;
  s->m = m;
  if (!make_pool(s, options)) {
    nnc_session_free(s);
    return NNC_E_ENVIRONMENT;
  }
  rt_status status = rt_session_new(&s->rt, &m->rt, s->pool, options ? options->max_arena_bytes : 0, &s->error);
  if (status) {
    nnc_session_free(s);
    return session_status(status);
  }
  *out = s;
  return NNC_OK;
}

void nnc_session_free(nnc_session *s) {
  if (!s) return;
  if (s->running) nnc_wait(s);
  runner_free(s->runner);
  rt_session_free(s->rt);
  rt_pool_free(s->pool);
  free(s);
}

nnc_status nnc_session_set_dim(nnc_session *s, const char *name, int64_t value) {
  if (!s || !name || !session_is_idle(s)) return NNC_E_ARGUMENT;
  return session_status(rt_session_set_dim(s->rt, name, value, &s->error));
}

nnc_status nnc_session_reset(nnc_session *s) {
  if (!s || !session_is_idle(s)) return NNC_E_ARGUMENT;
  rt_session_reset(s->rt);
  return NNC_OK;
}

bool session_is_idle(nnc_session *s) {
  if (s->running) s->error = (rt_error){"a run is under way: nnc_wait comes first"};
  return !s->running;
}

bool session_fits(nnc_session *s, size_t entry, const void *in, size_t n_in, const void *out, size_t n_out) {
  const rt_program *g = s ? module_program(s->m, entry) : NULL;
  return g && n_in == g->n_inputs && n_out == g->n_outputs && (in || !n_in) && (out || !n_out) && session_is_idle(s);
}

nnc_status nnc_shapes(nnc_session *s, size_t entry, const nnc_tensor *inputs, size_t n_inputs, nnc_tensor *outputs,
                      size_t n_outputs) {
  if (!session_fits(s, entry, inputs, n_inputs, outputs, n_outputs)) return NNC_E_ARGUMENT;
  return session_status(rt_shapes(s->rt, (uint32_t)entry + 1, (const rt_tensor *)(const void *)inputs,
                                  (rt_tensor *)(void *)outputs, &s->error));
}

nnc_status nnc_run(nnc_session *s, size_t entry, const nnc_tensor *inputs, size_t n_inputs, nnc_tensor *outputs,
                   size_t n_outputs) {
  if (!session_fits(s, entry, inputs, n_inputs, outputs, n_outputs)) return NNC_E_ARGUMENT;
  return session_status(rt_run(s->rt, (uint32_t)entry + 1, (const rt_tensor *)(const void *)inputs,
                               (rt_tensor *)(void *)outputs, &s->error));
}

nnc_status nnc_run_async(nnc_session *s, size_t entry, const nnc_tensor *inputs, size_t n_inputs, nnc_tensor *outputs,
                         size_t n_outputs) {
  if (!session_fits(s, entry, inputs, n_inputs, outputs, n_outputs)) return NNC_E_ARGUMENT;
  bool device = s->m->rt.device != NULL;
  rt_status status = RT_OK;
  if (!device && !s->runner) status = runner_new(&s->runner, s->rt, &s->error);
  if (!status)
    status = rt_start(s->rt, (uint32_t)entry + 1, (const rt_tensor *)(const void *)inputs, (rt_tensor *)(void *)outputs,
                      &s->error);
  if (status) return session_status(status);
  if (!device) runner_start(s->runner);
  s->running = true;
  return NNC_OK;
}

nnc_status nnc_wait(nnc_session *s) {
  if (!s) return NNC_E_ARGUMENT;
  if (!s->running) {
    s->error = (rt_error){"no run is under way"};
    return NNC_E_ARGUMENT;
  }
  s->running = false;
  s->error.text[0] = 0;
  return session_status(s->m->rt.device ? rt_finish(s->rt, &s->error) : runner_wait(s->runner, &s->error));
}

const char *nnc_session_error(const nnc_session *s) { return s ? s->error.text : ""; }

static void hand_on(void *user, const rt_trace_event *event) {
  const nnc_session *s = user;
  s->trace(s->trace_user, (const nnc_trace_event *)(const void *)event);
}

void nnc_session_trace(nnc_session *s, nnc_trace_fn f, void *user) {
  if (!s || s->running) return;
  s->trace = f;
  s->trace_user = user;
  rt_session_trace(s->rt, f ? hand_on : NULL, s);
}

uint64_t nnc_session_arena_bytes(const nnc_session *s) { return s ? rt_session_arena_bytes(s->rt) : 0; }

nnc_tensor nnc_tensor_of(nnc_dtype type, void *data, uint32_t rank, const int64_t *dim) {
  nnc_tensor t = {.dtype = type, .rank = rank <= NNC_MAX_RANK ? rank : NNC_MAX_RANK, .data = data};
  for (uint32_t i = 0; i < t.rank; i++) t.dim[i] = dim[i];
  return t;
}

size_t nnc_tensor_bytes(const nnc_tensor *t) {
  size_t n = nnc_dtype_bytes(t->dtype);
  for (uint32_t i = 0; i < t->rank; i++)
    if (t->dim[i] < 0 || __builtin_mul_overflow(n, (size_t)t->dim[i], &n)) return SIZE_MAX;
  return n;
}

size_t nnc_dtype_bytes(nnc_dtype t) { return rt_dtype_size((rt_dtype)t); }

const char *nnc_dtype_name(nnc_dtype t) { return (unsigned)t < DT_COUNT ? dtype_name((dtype)t) : "?"; }

const char *nnc_status_text(nnc_status status) {
  switch (status) {
  case NNC_OK: return "ok";
  case NNC_E_MODEL: return "the model or an input is wrong";
  case NNC_E_ARGUMENT: return "the call is wrong";
  case NNC_E_ENVIRONMENT: return "a file, memory or the machine failed";
  case NNC_E_DATA: return "input values are out of range";
  case NNC_E_INTERNAL: return "internal error";
  default: return "unknown status";
  }
}

const char *nnc_version(void) { return NNC_VERSION; }
