// Sessions on the caller's OpenCL objects: see nnc/nnc_opencl.h.
#include "nnc/nnc_opencl.h"
#include "api/session.h"
#include "runtime/opencl/opencl.h"

_Static_assert(sizeof(nnc_opencl_tensor) == sizeof(rt_opencl_tensor) &&
                   offsetof(nnc_opencl_tensor, mem) == offsetof(rt_opencl_tensor, mem) &&
                   offsetof(nnc_opencl_tensor, offset) == offsetof(rt_opencl_tensor, offset),
               "tensors are passed to the runtime as they are");

static bool on_device(nnc_session *s) {
  if (s->m->rt.device) return true;
  s->error = (rt_error){"the module is not for an OpenCL device"};
  return false;
}

nnc_status nnc_opencl_objects(const nnc_session *s, void **context, void **device, void **queue) {
  if (!s || !s->m->rt.device) return NNC_E_ARGUMENT;
  rt_opencl_objects(s->rt, context, device, queue);
  return NNC_OK;
}

nnc_status nnc_opencl_use_queue(nnc_session *s, void *queue) {
  if (!s || !queue || !session_is_idle(s) || !on_device(s)) return NNC_E_ARGUMENT;
  rt_status status = rt_opencl_use_queue(s->rt, queue, &s->error);
  return status == RT_E_INVALID ? NNC_E_ARGUMENT : session_status(status);
}

nnc_status nnc_opencl_run_async(nnc_session *s, size_t entry, const nnc_opencl_tensor *inputs, size_t n_inputs,
                                const nnc_opencl_tensor *outputs, size_t n_outputs) {
  if (!session_fits(s, entry, inputs, n_inputs, outputs, n_outputs) || !on_device(s)) return NNC_E_ARGUMENT;
  rt_status status = rt_opencl_start(s->rt, (uint32_t)entry + 1, (const rt_opencl_tensor *)(const void *)inputs,
                                     (const rt_opencl_tensor *)(const void *)outputs, &s->error);
  s->running = !status;
  return session_status(status);
}
