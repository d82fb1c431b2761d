// A session on an OpenCL device: what the executor asks of a device (runtime/device.h), done by one in-order queue.
//
// A kernel's arguments are, in the order of the printer (codegen/opencl): of each buffer a cl_mem and a byte offset;
// each symbol; the extents of the grid; the fault word; scratch, where it has some. The grid runs along one dimension:
// a point is a group of `lanes` work-items, or one work-item where `lanes` is 1; then groups may be of any size, and
// surplus work-items do nothing. A kernel with scratch walks the grid in strides of what is launched, each of which has
// a slot of its own: so many are launched as keep the device busy, whatever the grid.
//
// Cost of a step on the host: two calls of the driver for each buffer, one for each number, and one to launch.
#include "runtime/opencl/program.h"
#include <stdlib.h>

static const uint64_t MOST_SCRATCH = UINT64_C(64) << 20; // of all slots
enum { GPU_GROUP = 64, SLOTS_A_UNIT = 32 };

static void close_session(rt_device_session *d) {
  if (!d) return;
  const cl_api *api = &d->p->cl->api;
  if (d->queue) api->clFinish(d->queue);
  for (uint64_t i = 0; d->kernels && i < d->s->m->plan->kernels.count; i++)
    if (d->kernels[i]) api->clReleaseKernel(d->kernels[i]);
  rt_cl_memory_free(d);
  if (d->queue) api->clReleaseCommandQueue(d->queue);
  free(d->kernels);
  free(d);
}

// A driver may allow a kernel smaller groups than the device, when it needs many registers.
static rt_status open_kernel(rt_device_session *d, uint32_t i, rt_error *err) {
  const rt_opencl_program *p = d->p;
  const cl_api *api = &p->cl->api;
  const char *name = rt_string(p->plan, (RT_ARRAY(p->plan, rt_kernel_info, kernels) + i)->name);
  const cl_device_id id = p->cl->ids[p->number];
  cl_int code;
  size_t most = 0;
  d->kernels[i] = api->clCreateKernel(p->program, name, &code);
  if (code) {
    d->kernels[i] = NULL;
    return rt_cl_fail(err, code, name);
  }
  code = api->clGetKernelWorkGroupInfo(d->kernels[i], id, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
  if (!code && p->source.kernels[i].lanes > most)
    return rt_fail(err, RT_E_DEVICE, "kernel `%s` needs work-groups of %u; the device runs it with at most %zu", name,
                   p->source.kernels[i].lanes, most);
  return RT_OK;
}

static rt_status open_session(const rt_device *device, rt_session *s, rt_device_session **out, rt_error *err) {
  const rt_opencl_program *p = (const rt_opencl_program *)(const void *)device;
  const cl_api *api = &p->cl->api;
  rt_device_session *d = calloc(1, sizeof *d);
  if (!d) return rt_fail(err, RT_E_MEMORY, "out of memory");
  *d = (rt_device_session){.p = p, .s = s};
  rt_status status = rt_cl_memory_open(d, err);
  d->kernels = calloc(p->plan->kernels.count + 1, sizeof(cl_kernel));
  if (!status && !d->kernels) status = rt_fail(err, RT_E_MEMORY, "out of memory");
  cl_int code = CL_SUCCESS;
  if (!status) d->queue = api->clCreateCommandQueue(p->context, p->cl->ids[p->number], 0, &code);
  if (!status && code) status = rt_cl_fail(err, code, "opening a queue of the OpenCL device");
  for (uint32_t i = 0; !status && i < p->plan->kernels.count; i++)
    if (p->source.kernels[i].lanes) status = open_kernel(d, i, err);
  if (status) close_session(d);
  else *out = d;
  return status;
}

static rt_status begin(rt_device_session *d, uint32_t program, const rt_tensor *in, const rt_tensor *out,
                       bool fresh_states, rt_error *err) {
  const cl_ulong none = 0;
  d->program = program;
  rt_status status = rt_cl_memory_begin(d, in, out, fresh_states, err);
  if (status) return status;
  cl_int code =
      d->p->cl->api.clEnqueueFillBuffer(d->queue, d->fault, &none, sizeof none, 0, sizeof none, 0, NULL, NULL);
  return code ? rt_cl_fail(err, code, "starting a run on the device") : RT_OK;
}

static const rt_step *step_of(const rt_device_session *d, uint32_t step) {
  const rt_plan *p = d->s->m->plan;
  return RT_ARRAY(p, rt_step, steps) + (RT_ARRAY(p, rt_program, programs) + d->program)->first_step + step;
}

// -- launching --

typedef struct arguments { // set one after another; `code` of the first that failed
  const cl_api *api;
  cl_kernel kernel;
  cl_uint n;
  cl_int code;
} arguments;

static void set(arguments *a, size_t bytes, const void *value) {
  cl_int code = a->api->clSetKernelArg(a->kernel, a->n++, bytes, value);
  if (!a->code) a->code = code;
}

static arguments set_arguments(rt_device_session *d, const rt_step *step, const bound_step *b) {
  const rt_kernel_info *k = RT_ARRAY(d->s->m->plan, rt_kernel_info, kernels) + step->what;
  arguments a = {&d->p->cl->api, d->kernels[step->what], 0, CL_SUCCESS};
  for (uint32_t i = 0; i < k->n_buffers; i++) {
    const mirror *m = rt_cl_mirror_of(d, step, i);
    cl_ulong offset = m->offset;
    set(&a, sizeof m->mem, &m->mem);
    set(&a, sizeof offset, &offset);
  }
  for (uint32_t i = 0; i < k->n_symbols; i++) set(&a, sizeof(cl_long), &b->symbols[i]);
  for (uint32_t i = 0; i < k->n_grid; i++) set(&a, sizeof(cl_long), &b->grid[i]);
  set(&a, sizeof d->fault, &d->fault);
  return a;
}

// Work-items of a group whose points have one each. On a CPU a group is what one thread takes at a time: one point is
// work enough, and the driver's loop over work-items would be around all of it.
static uint64_t group_of_points(const rt_opencl_device *d) {
  uint64_t n = d->type == RT_OPENCL_cpu ? 1 : GPU_GROUP;
  return n < d->max_group ? n : d->max_group;
}

// Slots for a kernel with scratch: enough for the device, no more than points, nor than memory should go there.
static uint64_t slots_for(const rt_opencl_device *d, const rt_opencl_kernel *k, uint64_t points, uint64_t group) {
  uint64_t most = MOST_SCRATCH < d->max_alloc_bytes ? MOST_SCRATCH : d->max_alloc_bytes;
  uint64_t n = (uint64_t)d->compute_units * SLOTS_A_UNIT * group, fit = most / k->scratch_bytes;
  n = n < points ? n : points;
  n = n < fit ? n : fit;
  return n > 0 ? n : 1;
}

static rt_status launch(rt_device_session *d, const rt_step *step, const bound_step *b, rt_error *err) {
  const cl_api *api = &d->p->cl->api;
  const rt_opencl_kernel *k = &d->p->source.kernels[step->what];
  const char *label = rt_string(d->s->m->plan, step->label);
  const rt_opencl_device *limits = &d->p->cl->devices[d->p->number];
  uint64_t points = (uint64_t)b->total;
  if (points > (SIZE_MAX >> 1) / k->lanes)
    return rt_fail(err, RT_E_INVALID, "line %u: these sizes overflow", step->line);
  size_t group = k->lanes > 1 ? k->lanes : group_of_points(limits);
  arguments a = set_arguments(d, step, b);
  if (k->scratch_bytes) {
    points = slots_for(limits, k, points, k->lanes > 1 ? 1 : group);
    uint64_t slots = k->lanes > 1 ? points : (points + group - 1) / group * group;
    rt_status status =
        rt_cl_grow(d, &d->scratch, &d->scratch_capacity, slots * k->scratch_bytes, "the kernels' scratch", err);
    if (status) return status;
    set(&a, sizeof d->scratch, &d->scratch);
  }
  if (a.code) return rt_cl_fail(err, a.code, label);
  const size_t items = k->lanes > 1 ? points * k->lanes : (points + group - 1) / group * group;
  cl_int code = api->clEnqueueNDRangeKernel(d->queue, a.kernel, 1, NULL, &items, &group, 0, NULL, NULL);
  return code ? rt_cl_fail(err, code, label) : RT_OK;
}

static rt_status finish(rt_device_session *d, rt_error *err) {
  cl_int code = d->p->cl->api.clFinish(d->queue);
  return code ? rt_cl_fail(err, code, "running on the device") : RT_OK;
}

// Each operand's value to the side that the step runs on. Of one that is only written too: a kernel may write a part.
static rt_status gather(rt_device_session *d, const rt_step *step, uint32_t n, bool on_device, rt_error *err) {
  rt_status status = RT_OK;
  for (uint32_t i = 0; i < n && !status; i++) {
    mirror *m = rt_cl_mirror_of(d, step, i);
    status = on_device ? rt_cl_to_device(d, m, err) : rt_cl_to_host(d, m, err);
  }
  return status;
}

static rt_status run_kernel(rt_device_session *d, uint32_t number, bool wait, bool *done, rt_error *err) {
  const rt_plan *p = d->s->m->plan;
  const rt_step *step = step_of(d, number);
  const rt_kernel_info *k = RT_ARRAY(p, rt_kernel_info, kernels) + step->what;
  const bound_step *b = &d->s->programs[d->program].steps[number];
  *done = d->kernels[step->what] != NULL;
  rt_status status = gather(d, step, k->n_buffers, *done, err);
  if (!status && *done && b->total > 0) status = launch(d, step, b, err);
  if (!status && *done && wait) status = finish(d, err);
  for (uint32_t i = 0; i < k->n_buffers && !status; i++) {
    if (!(RT_ARRAY(p, uint32_t, words)[k->access + i] & RT_WRITES)) continue;
    mirror *m = rt_cl_mirror_of(d, step, i);
    m->on_device = *done, m->on_host = !*done;
  }
  return status;
}

// -- what the host reads and writes --

static rt_status sync(rt_device_session *d, rt_error *err) {
  cl_ulong fault = 0;
  cl_int code = d->p->cl->api.clEnqueueReadBuffer(d->queue, d->fault, CL_TRUE, 0, sizeof fault, &fault, 0, NULL, NULL);
  if (code) return rt_cl_fail(err, code, "running on the device");
  if (fault && !d->s->fault) d->s->fault = (int64_t)fault;
  return RT_OK;
}

static rt_status values(rt_device_session *d, uint32_t number, rt_error *err) {
  const rt_step *step = step_of(d, number);
  rt_status status = gather(d, step, rt_step_buffers(d->s->m->plan, step), false, err);
  return status ? status : sync(d, err);
}

static void written(rt_device_session *d, uint32_t number, uint32_t buffer) {
  mirror *m = rt_cl_mirror_of(d, step_of(d, number), buffer);
  m->on_host = true, m->on_device = false;
}

const rt_device rt_opencl_functions = {.open = open_session,
                                       .close = close_session,
                                       .begin = begin,
                                       .kernel = run_kernel,
                                       .values = values,
                                       .written = written,
                                       .sync = sync,
                                       .end = rt_cl_outputs_to_host};
