// Launching a kernel step of a session on an OpenCL device.
//
// A kernel's arguments are, in the order of the printer (codegen/opencl): of each buffer a cl_mem and a byte offset;
// each symbol; the extents of the grid; the fault word; scratch, where it has some. The grid runs along one dimension:
// a point is a group of `lanes` work-items, or one work-item where `lanes` is 1; then groups may be of any size, and
// surplus work-items do nothing. A kernel with scratch walks the grid in strides of what is launched, each of which has
// a slot of its own: so many are launched as keep the device busy, whatever the grid.
//
// Each step of the plan has a kernel object of its own, as many steps may run one kernel, each with other operands.
// What its arguments were set to is remembered, and only what differs is set again: nothing, where a run repeats the
// one before it. Blocks are remembered by version, for handles are used again.
//
// Cost of a step on the host: a comparison for each argument, a call of the driver for each that changed, and one to
// launch.
#include "runtime/opencl/program.h"
#include <stdlib.h>

static const uint64_t MOST_SCRATCH = UINT64_C(64) << 20; // of all slots
enum { GPU_GROUP = 64, SLOTS_A_UNIT = 32 };

// -- kernel objects --

static const rt_kernel_info *info_of(const rt_device_session *d, const rt_step *step) {
  return RT_ARRAY(d->s->m->plan, rt_kernel_info, kernels) + step->what;
}

bool rt_cl_has_kernel(const rt_device_session *d, const rt_step *step) { return !d->p->on_host[step->what]; }

static rt_status new_kernel(const rt_device_session *d, uint32_t i, cl_kernel *out, rt_error *err) {
  const rt_opencl_program *p = d->p;
  const char *name = rt_string(p->plan, (RT_ARRAY(p->plan, rt_kernel_info, kernels) + i)->name);
  cl_int code;
  *out = p->cl->api.clCreateKernel(p->program, name, &code);
  if (!code) return RT_OK;
  *out = NULL;
  return rt_cl_fail(err, code, name);
}

// A driver may allow a kernel smaller groups than the device, when it needs many registers.
static rt_status check_group(const rt_device_session *d, uint32_t i, rt_error *err) {
  const rt_opencl_program *p = d->p;
  const char *name = rt_string(p->plan, (RT_ARRAY(p->plan, rt_kernel_info, kernels) + i)->name);
  size_t most = 0;
  cl_int code = p->cl->api.clGetKernelWorkGroupInfo(d->kernels[i], p->cl->ids[p->number], CL_KERNEL_WORK_GROUP_SIZE,
                                                    sizeof most, &most, NULL);
  if (!code && p->source.kernels[i].lanes > most)
    return rt_fail(err, RT_E_DEVICE, "kernel `%s` needs work-groups of %u; the device runs it with at most %zu", name,
                   p->source.kernels[i].lanes, most);
  return RT_OK;
}

static size_t argument_count(const rt_device_session *d, const rt_step *step) {
  const rt_kernel_info *k = info_of(d, step);
  return 2 * (size_t)k->n_buffers + k->n_symbols + k->n_grid + 2;
}

rt_status rt_cl_launches_open(rt_device_session *d, rt_error *err) {
  const rt_plan *p = d->p->plan;
  const rt_step *steps = RT_ARRAY(p, rt_step, steps);
  size_t n = 0;
  for (uint64_t i = 0; i < p->steps.count; i++) n += steps[i].kind == RT_STEP_kernel ? argument_count(d, &steps[i]) : 0;
  d->kernels = calloc(p->kernels.count + 1, sizeof *d->kernels);
  d->launches = calloc(p->steps.count + 1, sizeof *d->launches);
  d->arguments = calloc(n + 1, sizeof *d->arguments);
  if (!d->kernels || !d->launches || !d->arguments) return rt_fail(err, RT_E_MEMORY, "out of memory");
  uint64_t *at = d->arguments;
  for (uint64_t i = 0; i < p->steps.count; i++) {
    d->launches[i].arguments = at;
    at += steps[i].kind == RT_STEP_kernel ? argument_count(d, &steps[i]) : 0;
  }
  rt_status status = RT_OK;
  for (uint32_t i = 0; !status && i < p->kernels.count; i++) {
    if (d->p->on_host[i]) continue;
    status = new_kernel(d, i, &d->kernels[i], err);
    if (!status) status = check_group(d, i, err);
  }
  return status;
}

void rt_cl_launches_free(rt_device_session *d) {
  const cl_api *api = &d->p->cl->api;
  for (uint64_t i = 0; d->kernels && i < d->p->plan->kernels.count; i++)
    if (d->kernels[i]) api->clReleaseKernel(d->kernels[i]);
  for (uint64_t i = 0; d->launches && i < d->p->plan->steps.count; i++)
    if (d->launches[i].kernel) api->clReleaseKernel(d->launches[i].kernel);
  free(d->kernels);
  free(d->launches);
  free(d->arguments);
}

// The step's kernel object: the session's first of that kernel while no step has it, else another.
static rt_status take_kernel(rt_device_session *d, const rt_step *step, launch *l, rt_error *err) {
  cl_kernel *first = &d->kernels[step->what];
  if (l->kernel) return RT_OK;
  if (!*first) return new_kernel(d, step->what, &l->kernel, err);
  l->kernel = *first, *first = NULL;
  return RT_OK;
}

// -- arguments --

typedef struct arguments { // set one after another; `code` of the first that failed
  const cl_api *api;
  launch *l;
  cl_uint n;
  cl_int code;
} arguments;

// `is` tells values apart.
static void set(arguments *a, uint64_t is, size_t bytes, const void *value) {
  launch *l = a->l;
  cl_uint i = a->n++;
  if ((i < l->n_known && l->arguments[i] == is) || a->code) return;
  a->code = a->api->clSetKernelArg(l->kernel, i, bytes, value);
  l->arguments[i] = is;
  if (a->code) l->n_known = 0;
  else if (i == l->n_known) l->n_known++;
}

static void set_number(arguments *a, int64_t v) { set(a, (uint64_t)v, sizeof v, &v); }
static void set_block(arguments *a, const block *b) { set(a, b->version, sizeof b->mem, &b->mem); }

static arguments set_arguments(rt_device_session *d, const rt_step *step, const bound_step *b, launch *l) {
  const rt_kernel_info *k = info_of(d, step);
  arguments a = {&d->p->cl->api, l, 0, CL_SUCCESS};
  for (uint32_t i = 0; i < k->n_buffers; i++) {
    const mirror *m = rt_cl_mirror_of(d, step, i);
    set_block(&a, m->in);
    set_number(&a, (int64_t)m->offset);
  }
  for (uint32_t i = 0; i < k->n_symbols; i++) set_number(&a, b->symbols[i]);
  for (uint32_t i = 0; i < k->n_grid; i++) set_number(&a, b->grid[i]);
  set_block(&a, &d->fault);
  return a;
}

// -- sizes --

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

rt_status rt_cl_launch(rt_device_session *d, const rt_step *step, const bound_step *b, rt_error *err) {
  const cl_api *api = &d->p->cl->api;
  const rt_opencl_kernel *k = &d->p->source.kernels[step->what];
  const char *label = rt_string(d->s->m->plan, step->label);
  const rt_opencl_device *limits = &d->p->cl->devices[d->p->number];
  launch *l = &d->launches[step - RT_ARRAY(d->p->plan, rt_step, steps)];
  uint64_t points = (uint64_t)b->total;
  if (points > (SIZE_MAX >> 1) / k->lanes)
    return rt_fail(err, RT_E_INVALID, "line %u: these sizes overflow", step->line);
  size_t group = k->lanes > 1 ? k->lanes : group_of_points(limits);
  rt_status status = take_kernel(d, step, l, err);
  if (status) return status;
  arguments a = set_arguments(d, step, b, l);
  if (k->scratch_bytes) {
    points = slots_for(limits, k, points, k->lanes > 1 ? 1 : group);
    uint64_t slots = k->lanes > 1 ? points : (points + group - 1) / group * group;
    status = rt_cl_grow(d, &d->scratch, slots * k->scratch_bytes, "the kernels' scratch", err);
    if (status) return status;
    set_block(&a, &d->scratch);
  }
  if (a.code) return rt_cl_fail(err, a.code, label);
  const size_t items = k->lanes > 1 ? points * k->lanes : (points + group - 1) / group * group;
  cl_int code = api->clEnqueueNDRangeKernel(d->queue, l->kernel, 1, NULL, &items, &group, 0, NULL, NULL);
  return code ? rt_cl_fail(err, code, label) : RT_OK;
}
