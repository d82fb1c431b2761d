// A session on an OpenCL device: what the executor asks of a device (runtime/device.h), done by one in-order queue.
//
// Kernels are enqueued one after another, and so are copies; the host waits where it reads what the device computes,
// and at the end of a run, for the run's last command: the copy of the fault word, whose event tells whether all went
// well.
#include "runtime/opencl/program.h"
#include <stdlib.h>

static void forget_last(rt_device_session *d) {
  if (d->last) d->p->cl->api.clReleaseEvent(d->last);
  d->last = NULL;
}

static void close_session(rt_device_session *d) {
  if (!d) return;
  const cl_api *api = &d->p->cl->api;
  if (d->queue) api->clFinish(d->queue);
  forget_last(d);
  rt_cl_launches_free(d);
  rt_cl_memory_free(d);
  rt_cl_shadows_free(d);
  if (d->queue) api->clReleaseCommandQueue(d->queue);
  free(d);
}

static rt_status open_queue(rt_device_session *d, rt_error *err) {
  const rt_opencl_program *p = d->p;
  cl_int code;
  d->queue = p->cl->api.clCreateCommandQueue(p->context, p->cl->ids[p->number], 0, &code);
  if (!code) return RT_OK;
  d->queue = NULL;
  return rt_cl_fail(err, code, "opening a queue of the OpenCL device");
}

static rt_status open_session(const rt_device *device, rt_session *s, rt_device_session **out, rt_error *err) {
  rt_device_session *d = calloc(1, sizeof *d);
  if (!d) return rt_fail(err, RT_E_MEMORY, "out of memory");
  *d = (rt_device_session){.p = (const rt_opencl_program *)(const void *)device, .s = s};
  rt_status status = rt_cl_memory_open(d, err);
  if (!status) status = open_queue(d, err);
  if (!status) status = rt_cl_launches_open(d, err);
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
  forget_last(d);
  cl_int code =
      d->p->cl->api.clEnqueueFillBuffer(d->queue, d->fault.mem, &none, sizeof none, 0, sizeof none, 0, NULL, NULL);
  return code ? rt_cl_fail(err, code, "starting a run on the device") : RT_OK;
}

static const rt_step *step_of(const rt_device_session *d, uint32_t step) {
  const rt_plan *p = d->s->m->plan;
  return RT_ARRAY(p, rt_step, steps) + (RT_ARRAY(p, rt_program, programs) + d->program)->first_step + step;
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
  *done = rt_cl_has_kernel(d, step);
  rt_status status = gather(d, step, k->n_buffers, *done, err);
  if (!status && *done && b->total > 0) status = rt_cl_launch(d, step, b, err);
  if (!status && *done && wait) status = finish(d, err);
  for (uint32_t i = 0; i < k->n_buffers && !status; i++) {
    if (!(RT_ARRAY(p, uint32_t, words)[k->access + i] & RT_WRITES)) continue;
    mirror *m = rt_cl_mirror_of(d, step, i);
    m->on_device = *done, m->on_host = !*done;
  }
  return status;
}

// -- what the host reads and writes --

static rt_status ask_for_fault(rt_device_session *d, rt_error *err) {
  forget_last(d);
  cl_int code = d->p->cl->api.clEnqueueReadBuffer(d->queue, d->fault.mem, CL_FALSE, 0, sizeof d->fault_word,
                                                  &d->fault_word, 0, NULL, &d->last);
  if (!code) return RT_OK;
  d->last = NULL;
  return rt_cl_fail(err, code, "running on the device");
}

static rt_status sync(rt_device_session *d, rt_error *err) {
  const cl_api *api = &d->p->cl->api;
  rt_status status = d->last ? RT_OK : ask_for_fault(d, err);
  if (status) { // nothing may be left that touches the caller's memory
    api->clFinish(d->queue);
    return status;
  }
  cl_int code = api->clWaitForEvents(1, &d->last), done = CL_COMPLETE;
  cl_int asked = api->clGetEventInfo(d->last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof done, &done, NULL);
  if (!asked && done < 0) code = done; // says more than that one failed
  forget_last(d);
  if (code) return rt_cl_fail(err, code, "running on the device");
  if (d->fault_word && !d->s->fault) d->s->fault = (int64_t)d->fault_word;
  return RT_OK;
}

static rt_status end(rt_device_session *d, rt_error *err) {
  rt_status status = rt_cl_outputs_home(d, err);
  if (!status) status = ask_for_fault(d, err);
  if (status) return status;
  cl_int code = d->p->cl->api.clFlush(d->queue);
  return code ? rt_cl_fail(err, code, "running on the device") : RT_OK;
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
                                       .end = end,
                                       .sync = sync};
