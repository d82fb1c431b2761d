// The caller's OpenCL objects: a context that programs are made in, a queue that a session uses, and memory that inputs
// are read from and outputs are left in, so that what one run gives goes into the next without the host.
//
// A tensor in the caller's memory is a mirror whose block is borrowed for one run. Routines of the host may need it
// too: it has a shadow in host memory, of which nothing is used before such a step comes.
#include "runtime/opencl/program.h"
#include <stdlib.h>

enum { MOST_DEVICES_OF_A_CONTEXT = 64 };

rt_status rt_opencl_adopt(rt_opencl *cl, void *context, void *id, uint32_t *device, rt_error *err) {
  cl_device_id ids[MOST_DEVICES_OF_A_CONTEXT];
  size_t bytes = 0;
  cl_int code = cl->api.clGetContextInfo((cl_context)context, CL_CONTEXT_DEVICES, sizeof ids, ids, &bytes);
  if (code) return rt_cl_fail(err, code, "the caller's OpenCL context");
  bool found = false;
  for (size_t i = 0; i < bytes / sizeof *ids; i++) found = found || ids[i] == (cl_device_id)id;
  if (!found) return rt_fail(err, RT_E_INVALID, "the device is not of the caller's OpenCL context");
  for (*device = 0; *device < cl->n_devices; ++*device) {
    if (cl->ids[*device] != (cl_device_id)id) continue;
    cl->adopted = (cl_context)context;
    return RT_OK;
  }
  return rt_fail(err, RT_E_INVALID, "the caller's OpenCL device is not one of those that `nnc devices` lists");
}

void rt_opencl_objects(const rt_session *s, void **context, void **id, void **queue) {
  const rt_device_session *d = s->device;
  if (context) *context = d->p->context;
  if (id) *id = d->p->cl->ids[d->p->number];
  if (queue) *queue = d->queue;
}

rt_status rt_opencl_use_queue(rt_session *s, void *queue, rt_error *err) {
  rt_device_session *d = s->device;
  const cl_api *api = &d->p->cl->api;
  cl_command_queue q = (cl_command_queue)queue;
  cl_context context = NULL;
  cl_device_id id = NULL;
  cl_command_queue_properties properties = 0;
  cl_int code = api->clGetCommandQueueInfo(q, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
  if (!code) code = api->clGetCommandQueueInfo(q, CL_QUEUE_DEVICE, sizeof id, &id, NULL);
  if (!code) code = api->clGetCommandQueueInfo(q, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
  if (!code && (context != d->p->context || id != d->p->cl->ids[d->p->number]))
    return rt_fail(err, RT_E_INVALID, "the queue is not of the module's OpenCL context and device");
  if (!code && (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE))
    return rt_fail(err, RT_E_INVALID, "the queue does not keep its commands in order");
  if (!code) code = api->clRetainCommandQueue(q);
  if (code) return rt_cl_fail(err, code, "the caller's OpenCL queue");
  api->clReleaseCommandQueue(d->queue);
  d->queue = q;
  return RT_OK;
}

// -- tensors --

typedef struct place { // of a tensor, for messages
  const char *what;
  uint32_t i;
} place;

static rt_status check_memory(const rt_device_session *d, const rt_opencl_tensor *t, uint64_t bytes, place at,
                              rt_error *err) {
  const cl_api *api = &d->p->cl->api;
  cl_mem mem = (cl_mem)t->mem;
  cl_context context = NULL;
  cl_mem_object_type type = 0;
  size_t has = 0;
  cl_int code = api->clGetMemObjectInfo(mem, CL_MEM_CONTEXT, sizeof context, &context, NULL);
  if (!code) code = api->clGetMemObjectInfo(mem, CL_MEM_TYPE, sizeof type, &type, NULL);
  if (!code) code = api->clGetMemObjectInfo(mem, CL_MEM_SIZE, sizeof has, &has, NULL);
  if (code) return rt_cl_fail(err, code, "the caller's OpenCL memory");
  if (context != d->p->context || type != CL_MEM_OBJECT_BUFFER)
    return rt_fail(err, RT_E_INVALID, "%s %u: its cl_mem is no buffer of the session's OpenCL context", at.what, at.i);
  if (t->offset > has || has - t->offset < bytes)
    return rt_fail(err, RT_E_INVALID, "%s %u needs %llu bytes from %llu on; its cl_mem has %zu", at.what, at.i,
                   (unsigned long long)bytes, (unsigned long long)t->offset, has);
  return RT_OK;
}

static rt_status grow_shadow(shadow *s, uint64_t bytes, rt_error *err) {
  if (s->at && s->bytes >= bytes) return RT_OK;
  void *fresh = malloc(bytes + 1);
  if (!fresh) return rt_fail(err, RT_E_MEMORY, "out of memory");
  free(s->at);
  *s = (shadow){fresh, bytes};
  return RT_OK;
}

// The tensor as the executor knows it: in the caller's host memory, or in the shadow of the caller's cl_mem.
static rt_status lay_out(rt_device_session *d, const rt_opencl_tensor *t, uint32_t slot, place at, rt_error *err) {
  uint64_t bytes, size = rt_dtype_size(t->tensor.dtype);
  d->tensors[slot] = t->tensor;
  if (!t->mem) return RT_OK;
  if (t->tensor.data) return rt_fail(err, RT_E_INVALID, "%s %u has both data and a cl_mem", at.what, at.i);
  if (!rt_cl_tensor_bytes(&t->tensor, &bytes) || size == 0)
    return rt_fail(err, RT_E_INVALID, "%s %u: its shape overflows", at.what, at.i);
  if (t->offset % size)
    return rt_fail(err, RT_E_INVALID, "%s %u: its offset is no multiple of %u", at.what, at.i, (unsigned)size);
  rt_status status = check_memory(d, t, bytes, at, err);
  if (!status) status = grow_shadow(&d->shadows[slot], bytes, err);
  d->tensors[slot].data = d->shadows[slot].at;
  return status;
}

static size_t most_tensors(const rt_device_session *d) {
  maxima m = rt_cl_most(d->p->plan);
  return (size_t)m.inputs + m.outputs;
}

rt_status rt_opencl_start(rt_session *s, uint32_t program, const rt_opencl_tensor *in, const rt_opencl_tensor *out,
                          rt_error *err) {
  rt_device_session *d = s->device;
  const rt_program *g = RT_ARRAY(s->m->plan, rt_program, programs) + program;
  if (err) err->text[0] = 0;
  if (!d->shadows) d->shadows = calloc(most_tensors(d) + 1, sizeof *d->shadows);
  if (!d->tensors) d->tensors = calloc(most_tensors(d) + 1, sizeof *d->tensors);
  rt_status status = d->shadows && d->tensors ? RT_OK : rt_fail(err, RT_E_MEMORY, "out of memory");
  for (uint32_t i = 0; i < g->n_inputs && !status; i++) status = lay_out(d, &in[i], i, (place){"input", i}, err);
  for (uint32_t i = 0; i < g->n_outputs && !status; i++)
    status = lay_out(d, &out[i], g->n_inputs + i, (place){"output", i}, err);
  if (status) return status;
  d->given_in = in, d->given_out = out;
  status = rt_start(s, program, d->tensors, d->tensors + g->n_inputs, err);
  d->given_in = d->given_out = NULL;
  return status;
}

void rt_cl_shadows_free(rt_device_session *d) {
  for (size_t i = 0; d->shadows && i < most_tensors(d); i++) free(d->shadows[i].at);
  free(d->shadows);
  free(d->tensors);
}
