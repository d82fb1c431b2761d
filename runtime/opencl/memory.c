// The memory of a session on a device: a mirror for each buffer, and copies between the two sides.
//
// Arena buffers have the offsets that the executor gave them, in one block of the device. Constants, states, inputs and
// outputs have a block each: a driver may allow a quarter of its memory in one piece (CL_DEVICE_MAX_MEM_ALLOC_SIZE), so
// that the weights of a large model would not fit into one. A constant goes to the device when a kernel first reads it,
// and stays; so does a state, unless the host runs a kernel that writes it.
//
// Copies to the device wait where the next step may use the host's memory again; inputs and constants stay as they are
// until a run is over. Scalars that the host writes (the number of a loop's turn) are filled in, which takes their
// bytes along and waits for nothing.
#include "runtime/opencl/program.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_FILLED = 16, LEAST_BYTES = 64 };

maxima rt_cl_most(const rt_plan *p) {
  const rt_program *g = RT_ARRAY(p, rt_program, programs);
  maxima m = {0};
  for (uint64_t i = 0; i < p->programs.count; i++) {
    if (g[i].n_inputs > m.inputs) m.inputs = g[i].n_inputs;
    if (g[i].n_outputs > m.outputs) m.outputs = g[i].n_outputs;
    if (g[i].n_buffers > m.buffers) m.buffers = g[i].n_buffers;
  }
  return m;
}

rt_status rt_cl_memory_open(rt_device_session *d, rt_error *err) {
  const rt_plan *p = d->s->m->plan;
  maxima m = rt_cl_most(p);
  d->inputs = calloc(m.inputs + 1u, sizeof *d->inputs);
  d->outputs = calloc(m.outputs + 1u, sizeof *d->outputs);
  d->buffers = calloc(m.buffers + 1u, sizeof *d->buffers);
  d->constants = calloc(RT_ARRAY(p, rt_program, programs)->n_outputs + 1u, sizeof *d->constants);
  d->states = calloc(p->n_states + 1u, sizeof *d->states);
  if (!d->inputs || !d->outputs || !d->buffers || !d->constants || !d->states)
    return rt_fail(err, RT_E_MEMORY, "out of memory");
  return rt_cl_grow(d, &d->fault, sizeof(cl_ulong), "the fault word", err);
}

rt_status rt_cl_grow(rt_device_session *d, block *b, uint64_t bytes, const char *what, rt_error *err) {
  if (b->mem && b->bytes >= bytes) return RT_OK;
  const rt_opencl *cl = d->p->cl;
  const rt_opencl_device *limits = &cl->devices[d->p->number];
  uint64_t size = bytes > LEAST_BYTES ? bytes : LEAST_BYTES;
  if (size > limits->max_alloc_bytes)
    return rt_fail(err, RT_E_MEMORY, "%s needs %llu bytes of the device; it gives at most %llu at once", what,
                   (unsigned long long)size, (unsigned long long)limits->max_alloc_bytes);
  if (b->mem) cl->api.clReleaseMemObject(b->mem);
  *b = (block){.mem = NULL};
  cl_int code;
  cl_mem fresh = cl->api.clCreateBuffer(d->p->context, CL_MEM_READ_WRITE, size, NULL, &code);
  if (code) return rt_cl_fail(err, code, what);
  *b = (block){fresh, size, ++d->versions};
  return RT_OK;
}

static mirror *mirror_of(rt_device_session *d, const rt_program *g, uint32_t number) {
  const rt_buffer *b = RT_ARRAY(d->s->m->plan, rt_buffer, buffers) + number;
  switch ((rt_buffer_class)b->cls) {
  case RT_BUF_input: return &d->inputs[b->index];
  case RT_BUF_output: return &d->outputs[b->index];
  case RT_BUF_constant: return &d->constants[b->index];
  case RT_BUF_state: return &d->states[b->index];
  case RT_BUF_arena:
  case RT_BUF_CLASSES:
  default: return &d->buffers[number - g->first_buffer];
  }
}

static const rt_program *program_of(const rt_device_session *d) {
  return RT_ARRAY(d->s->m->plan, rt_program, programs) + d->program;
}

mirror *rt_cl_mirror_of(rt_device_session *d, const rt_step *step, uint32_t buffer) {
  return mirror_of(d, program_of(d), RT_ARRAY(d->s->m->plan, uint32_t, words)[step->buffers + buffer]);
}

// What was an own block stays one: the next call has the same sizes, mostly.
static void begin_own(mirror *m, void *host, uint64_t bytes, bool on_host) {
  *m = (mirror){.own = m->own, .in = &m->own, .bytes = bytes, .host = host, .on_host = on_host};
}

bool rt_cl_tensor_bytes(const rt_tensor *t, uint64_t *bytes) {
  *bytes = rt_dtype_size(t->dtype);
  for (uint32_t i = 0; i < t->rank && i < RT_MAX_RANK; i++)
    if (t->dim[i] < 0 || __builtin_mul_overflow(*bytes, (uint64_t)t->dim[i], bytes)) return false;
  return t->rank <= RT_MAX_RANK;
}

static uint64_t tensor_bytes(const rt_tensor *t) {
  uint64_t n;
  return rt_cl_tensor_bytes(t, &n) ? n : 0; // its sizes have been bound: it fits
}

// The caller's memory, for this run; an input's value is there.
static void begin_given(rt_device_session *d, mirror *m, const rt_tensor *t, const rt_opencl_tensor *given,
                        bool holds_value) {
  begin_own(m, t->data, tensor_bytes(t), false);
  m->given = (block){(cl_mem)given->mem, given->offset + m->bytes, ++d->versions};
  m->in = &m->given, m->offset = given->offset, m->on_device = holds_value;
}

// An optional input that is not given: its default value, as the executor has laid it out.
static uint64_t default_bytes(const rt_session *s, const rt_tensor_info *t) {
  uint64_t n = rt_dtype_size((rt_dtype)t->dtype);
  int64_t dim;
  for (uint32_t i = 0; i < t->rank; i++) {
    if (!rt_eval(s->m->plan, RT_ARRAY(s->m->plan, uint32_t, words)[t->dims + i], s->next, &dim)) return 0;
    n *= (uint64_t)dim;
  }
  return n;
}

static void begin_buffer(rt_device_session *d, const rt_program *g, uint32_t i) {
  const rt_session *s = d->s;
  const program_state *st = &s->programs[d->program];
  const rt_buffer *b = RT_ARRAY(s->m->plan, rt_buffer, buffers) + g->first_buffer + i;
  mirror *m = mirror_of(d, g, g->first_buffer + i);
  if (b->cls == RT_BUF_arena)
    *m = (mirror){.in = &d->arena, .offset = st->offset[i], .bytes = st->size[i], .host = s->arena + st->offset[i]};
  else if (b->cls == RT_BUF_constant && !m->host) {
    begin_own(m, (void *)(uintptr_t)s->m->constants[b->index], st->size[i], true);
    m->steady = true;
  }
}

rt_status rt_cl_memory_begin(rt_device_session *d, const rt_tensor *in, const rt_tensor *out, bool fresh_states,
                             rt_error *err) {
  const rt_session *s = d->s;
  const rt_program *g = program_of(d);
  const program_state *st = &s->programs[d->program];
  const rt_tensor_info *info = RT_ARRAY(s->m->plan, rt_tensor_info, tensors) + g->first_input;
  rt_status status = rt_cl_grow(d, &d->arena, st->arena_bytes, "the arena", err);
  if (status) return status;
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    if (d->given_in && d->given_in[i].mem) {
      begin_given(d, &d->inputs[i], &in[i], &d->given_in[i], true);
      continue;
    }
    if (in[i].data) begin_own(&d->inputs[i], in[i].data, tensor_bytes(&in[i]), true);
    else begin_own(&d->inputs[i], st->defaults + st->default_offset[i], default_bytes(s, &info[i]), true);
    d->inputs[i].steady = true;
  }
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    if (d->given_out && d->given_out[i].mem) begin_given(d, &d->outputs[i], &out[i], &d->given_out[i], false);
    else begin_own(&d->outputs[i], out[i].data, tensor_bytes(&out[i]), false);
  }
  for (uint32_t i = 0; fresh_states && i < s->m->plan->n_states; i++)
    begin_own(&d->states[i], s->states[i].data, s->states[i].bytes, true);
  for (uint32_t i = 0; i < g->n_buffers; i++) begin_buffer(d, g, i);
  return RT_OK;
}

// -- copies --

static bool is_filled(uint64_t bytes) { return bytes > 0 && bytes <= MOST_FILLED && !(bytes & (bytes - 1)); }

rt_status rt_cl_to_device(rt_device_session *d, mirror *m, rt_error *err) {
  const cl_api *api = &d->p->cl->api;
  rt_status status = m->in == &m->own ? rt_cl_grow(d, &m->own, m->bytes, "a tensor", err) : RT_OK;
  if (status || m->on_device || !m->on_host || m->bytes == 0) return status;
  cl_int code;
  if (is_filled(m->bytes))
    code = api->clEnqueueFillBuffer(d->queue, m->in->mem, m->host, m->bytes, m->offset, m->bytes, 0, NULL, NULL);
  else
    code = api->clEnqueueWriteBuffer(d->queue, m->in->mem, m->steady ? CL_FALSE : CL_TRUE, m->offset, m->bytes, m->host,
                                     0, NULL, NULL);
  if (code) return rt_cl_fail(err, code, "copying to the device");
  m->on_device = true;
  return RT_OK;
}

static rt_status read_back(rt_device_session *d, mirror *m, cl_bool wait, rt_error *err) {
  if (m->on_host || !m->on_device || m->bytes == 0) return RT_OK;
  cl_int code =
      d->p->cl->api.clEnqueueReadBuffer(d->queue, m->in->mem, wait, m->offset, m->bytes, m->host, 0, NULL, NULL);
  if (code) return rt_cl_fail(err, code, "copying from the device");
  m->on_host = true;
  return RT_OK;
}

rt_status rt_cl_to_host(rt_device_session *d, mirror *m, rt_error *err) { return read_back(d, m, CL_TRUE, err); }

rt_status rt_cl_outputs_home(rt_device_session *d, rt_error *err) {
  rt_status status = RT_OK;
  for (uint32_t i = 0; i < program_of(d)->n_outputs && !status; i++) {
    mirror *m = &d->outputs[i];
    status = m->in == &m->given ? rt_cl_to_device(d, m, err) : read_back(d, m, CL_FALSE, err);
  }
  return status;
}

static void free_mirrors(const cl_api *api, mirror *m, size_t n) {
  for (size_t i = 0; m && i < n; i++)
    if (m[i].own.mem) api->clReleaseMemObject(m[i].own.mem);
  free(m);
}

void rt_cl_memory_free(rt_device_session *d) {
  const cl_api *api = &d->p->cl->api;
  const rt_plan *p = d->s->m->plan;
  const cl_mem blocks[] = {d->arena.mem, d->scratch.mem, d->fault.mem};
  maxima m = rt_cl_most(p);
  free_mirrors(api, d->inputs, m.inputs);
  free_mirrors(api, d->outputs, m.outputs);
  free(d->buffers); // their memory is the arena's
  free_mirrors(api, d->constants, RT_ARRAY(p, rt_program, programs)->n_outputs);
  free_mirrors(api, d->states, p->n_states);
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
    if (blocks[i]) api->clReleaseMemObject(blocks[i]);
}
