// The entry points of an AOT library: sessions over the model that the library itself holds. Only AOT libraries pull
// this file in.
#include "runtime/aot/session.h"
#include <stdlib.h>

static const rt_plan *plan_of(void) { return nnc_aot_model.plan; }

// Where each constant lies in the block: by the buffers that name it.
static void locate_constants(const rt_plan *p, const char *block, const void **constants) {
  const rt_buffer *b = (const rt_buffer *)(const void *)((const char *)p + p->buffers.offset);
  for (uint64_t i = 0; i < p->buffers.count; i++)
    if (b[i].cls == RT_BUF_constant) constants[b[i].index] = block + b[i].offset;
}

rt_aot_session *rt_aot_new(void) { return calloc(1, sizeof(rt_aot_session)); }

int rt_aot_start(rt_aot_session *s, unsigned threads, const void *block) {
  const rt_plan *p = plan_of();
  const rt_program *g = (const rt_program *)(const void *)((const char *)p + p->programs.offset);
  uint32_t most = 0;
  for (uint64_t i = 0; i < p->programs.count; i++)
    if (g[i].n_inputs + g[i].n_outputs > most) most = g[i].n_inputs + g[i].n_outputs;
  s->constants = calloc(g[0].n_outputs + 1u, sizeof *s->constants);
  s->tensors = calloc(most + 1u, sizeof *s->tensors);
  if (!s->constants || !s->tensors) return (int)rt_fail(&s->error, RT_E_MEMORY, "out of memory");
  s->pool = threads == 1 ? NULL : rt_pool_new(threads);
  locate_constants(p, block, s->constants);
  s->module =
      (rt_module){.plan = p, .kernels = nnc_aot_model.kernels, .constants = s->constants, .device = s->module.device};
  return (int)rt_session_new(&s->session, &s->module, s->pool, 0, &s->error);
}

int nnc_aot_open(rt_aot_session **out, unsigned threads) {
  rt_aot_session *s = *out = rt_aot_new();
  if (!s) return RT_E_MEMORY;
  rt_status st = rt_plan_check(plan_of(), plan_of()->size_bytes, &s->error);
  return st ? (int)st : rt_aot_start(s, threads, nnc_aot_model.constants);
}

void nnc_aot_close(rt_aot_session *s) {
  if (!s) return;
  rt_session_free(s->session);
  rt_pool_free(s->pool);
  if (s->device) s->close_device(s->device);
  rt_weights_close(&s->weights);
  free(s->tensors);
  free(s->constants);
  free(s);
}

int nnc_aot_call(rt_aot_session *s, unsigned entry, const int64_t *dims, void *const *args) {
  if (!s->session) return RT_E_INVALID; // it was not opened; the error says why
  rt_status st = rt_call(s->session, entry + 1, dims, args, s->tensors, &s->error);
  return (int)st;
}

void nnc_aot_reset(rt_aot_session *s) {
  if (s->session) rt_session_reset(s->session);
}

int nnc_aot_set_dim(rt_aot_session *s, const char *name, int64_t value) {
  return s->session ? (int)rt_session_set_dim(s->session, name, value, &s->error) : RT_E_INVALID;
}

const char *nnc_aot_error(const rt_aot_session *s) { return s ? s->error.text : "no session"; }
