// The entry points of an AOT library: sessions over the model that the library itself holds. Only AOT libraries pull
// this file in.
#include "runtime/aot.h"
#include <stdlib.h>
#include <string.h>

struct rt_aot_session {
  rt_module module;
  rt_pool *pool;
  rt_session *session;
  rt_tensor *tensors; // [most inputs + outputs of any program]
  const void **constants;
  rt_error error;
};

static const rt_plan *plan_of(void) { return nnc_aot_model.plan; }

// Where each constant lies in the block: by the buffers that name it.
static void locate_constants(const rt_plan *p, const void **constants) {
  const rt_buffer *b = (const rt_buffer *)(const void *)((const char *)p + p->buffers.offset);
  for (uint64_t i = 0; i < p->buffers.count; i++)
    if (b[i].cls == RT_BUF_constant) constants[b[i].index] = (const char *)nnc_aot_model.constants + b[i].offset;
}

int nnc_aot_open(rt_aot_session **out, unsigned threads) {
  const rt_plan *p = plan_of();
  *out = NULL;
  rt_error err;
  rt_status st = rt_plan_check(p, p->size_bytes, &err);
  if (st) return (int)st;
  const rt_program *g = (const rt_program *)(const void *)((const char *)p + p->programs.offset);
  uint32_t most = 0;
  for (uint64_t i = 0; i < p->programs.count; i++)
    if (g[i].n_inputs + g[i].n_outputs > most) most = g[i].n_inputs + g[i].n_outputs;
  rt_aot_session *s = calloc(1, sizeof *s);
  if (!s) return RT_E_MEMORY;
  s->constants = calloc(g[0].n_outputs + 1u, sizeof *s->constants);
  s->tensors = calloc(most + 1u, sizeof *s->tensors);
  s->pool = threads == 1 ? NULL : rt_pool_new(threads);
  if (s->constants) locate_constants(p, s->constants);
  s->module = (rt_module){p, nnc_aot_model.kernels, s->constants};
  st = s->constants && s->tensors ? rt_session_new(&s->session, &s->module, s->pool, 0, &s->error) : RT_E_MEMORY;
  if (st) {
    nnc_aot_close(s);
    return (int)st;
  }
  *out = s;
  return RT_OK;
}

void nnc_aot_close(rt_aot_session *s) {
  if (!s) return;
  rt_session_free(s->session);
  rt_pool_free(s->pool);
  free(s->tensors);
  free(s->constants);
  free(s);
}

int nnc_aot_call(rt_aot_session *s, unsigned entry, const int64_t *dims, void *const *args) {
  rt_status st = rt_call(s->session, entry + 1, dims, args, s->tensors, &s->error);
  return (int)st;
}

const char *nnc_aot_error(const rt_aot_session *s) { return s ? s->error.text : "no session"; }
