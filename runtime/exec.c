// The executor: sessions and calls. What runs the steps is run.c.
#include "runtime/session.h"
#include <stdlib.h>
#include <string.h>

uint32_t rt_step_buffers(const rt_plan *p, const rt_step *s) {
  switch ((rt_step_kind)s->kind) {
  case RT_STEP_kernel: return (RT_ARRAY(p, rt_kernel_info, kernels) + s->what)->n_buffers;
  case RT_STEP_bind:
  case RT_STEP_if:
  case RT_STEP_while: return 1;
  case RT_STEP_loop: return 2;
  case RT_STEP_check:
  case RT_STEP_KINDS:
  default: return 0;
  }
}

static const rt_kernel_info *kernel_of(const rt_plan *p, const rt_step *s) {
  static const rt_kernel_info none;
  return s->kind == RT_STEP_kernel ? RT_ARRAY(p, rt_kernel_info, kernels) + s->what : &none;
}

static bool mentions_late(const rt_plan *p, uint32_t expr, const bool *late) {
  for (const int64_t *c = RT_ARRAY(p, int64_t, code) + expr; c[0] != RT_END; c += 2)
    if (c[0] == RT_DIM && late[c[1]]) return true;
  return false;
}

static bool is_late(const rt_plan *p, const rt_step *s, const bool *late) {
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  const rt_kernel_info *k = kernel_of(p, s);
  for (uint32_t i = 0; i < k->n_symbols; i++)
    if (mentions_late(p, words[s->symbols + i], late)) return true;
  for (uint32_t i = 0; i < k->n_grid; i++)
    if (mentions_late(p, words[s->grid + i], late)) return true;
  return false;
}

static void find_late(const rt_plan *p, const rt_program *g, program_state *st) {
  const rt_step *steps = RT_ARRAY(p, rt_step, steps) + g->first_step;
  const rt_buffer *b = RT_ARRAY(p, rt_buffer, buffers) + g->first_buffer;
  for (uint32_t i = 0; i < g->n_steps; i++)
    if (steps[i].kind == RT_STEP_bind) st->late[steps[i].what] = true;
  for (uint32_t i = 0; i < rt_all_steps(g); i++) st->steps[i].late = is_late(p, &steps[i], st->late);
  for (uint32_t i = 0; i < g->n_buffers; i++) st->uses_states = st->uses_states || b[i].cls == RT_BUF_state;
}

// One block for everything a program keeps: cut into arrays in two rounds, the first to learn the size.
static bool make_program(const rt_module *m, const rt_program *g, program_state *st) {
  const rt_plan *p = m->plan;
  const rt_step *steps = RT_ARRAY(p, rt_step, steps) + g->first_step;
  size_t n_steps = rt_all_steps(g), words = p->dims.count + 2 * (size_t)g->n_buffers + g->n_inputs;
  for (size_t i = 0; i < n_steps; i++) {
    const rt_kernel_info *k = kernel_of(p, &steps[i]);
    words += (size_t)rt_step_buffers(p, &steps[i]) + k->n_symbols + k->n_grid;
  }
  char *at = calloc(1, n_steps * sizeof(bound_step) + words * 8 + (size_t)g->n_buffers * 2 * sizeof(uint32_t) +
                           p->dims.count + 16);
  if (!at) return false;
  st->memory = at;
  st->steps = (bound_step *)(void *)at;
  int64_t *w = (int64_t *)(void *)(at + n_steps * sizeof(bound_step));
  st->dims = w, w += p->dims.count;
  st->offset = (uint64_t *)w, w += g->n_buffers;
  st->size = (uint64_t *)w, w += g->n_buffers;
  st->default_offset = (uint64_t *)w, w += g->n_inputs;
  for (size_t i = 0; i < n_steps; i++) {
    const rt_kernel_info *k = kernel_of(p, &steps[i]);
    bound_step *b = &st->steps[i];
    b->kernel = steps[i].kind == RT_STEP_kernel ? m->kernels[steps[i].what] : NULL;
    b->buffers = (void **)(void *)w, w += rt_step_buffers(p, &steps[i]);
    b->symbols = w, w += k->n_symbols;
    b->grid = w, w += k->n_grid;
  }
  st->order = (uint32_t *)(void *)w;
  st->placed = st->order + g->n_buffers;
  st->late = (bool *)(st->placed + g->n_buffers);
  find_late(p, g, st);
  return true;
}

rt_status rt_session_new(rt_session **out, const rt_module *m, rt_pool *pool, uint64_t max_arena_bytes, rt_error *err) {
  *out = NULL;
  if (err) err->text[0] = 0;
  const rt_plan *p = m->plan;
  rt_session *s = calloc(1, sizeof *s);
  if (!s) return rt_fail(err, RT_E_MEMORY, "out of memory");
  s->m = m;
  s->pool = pool;
  s->max_arena_bytes = max_arena_bytes;
  s->scratch_stride = ((uint64_t)p->scratch_bytes + 4095) / 4096 * 4096;
  s->given = calloc(p->dims.count + 1, sizeof *s->given);
  s->next = calloc(p->dims.count + 1, sizeof *s->next);
  s->programs = calloc(p->programs.count, sizeof *s->programs);
  s->shares = aligned_alloc(_Alignof(thread_share), rt_pool_threads(pool) * sizeof *s->shares);
  bool ok = s->given && s->next && s->programs && s->shares && rt_states_init(s);
  if (ok && s->scratch_stride)
    ok = (s->scratch = aligned_alloc(4096, s->scratch_stride * rt_pool_threads(pool))) != NULL;
  for (uint64_t i = 0; ok && i < p->dims.count; i++) s->given[i] = INT64_MIN;
  for (uint64_t i = 0; ok && i < p->programs.count; i++)
    ok = make_program(m, RT_ARRAY(p, rt_program, programs) + i, &s->programs[i]);
  if (!ok) {
    rt_session_free(s);
    return rt_fail(err, RT_E_MEMORY, "out of memory");
  }
  rt_status status = m->device ? m->device->open(m->device, s, &s->device, err) : RT_OK;
  if (status) rt_session_free(s);
  else *out = s;
  return status;
}

void rt_session_free(rt_session *s) {
  if (!s) return;
  if (s->device) s->m->device->close(s->device);
  for (uint64_t i = 0; s->programs && i < s->m->plan->programs.count; i++) {
    free(s->programs[i].memory);
    free(s->programs[i].defaults);
  }
  rt_states_fini(s);
  free(s->programs);
  free(s->given);
  free(s->next);
  free(s->arena);
  free(s->scratch);
  free(s->shares);
  free(s);
}

rt_status rt_session_set_dim(rt_session *s, const char *name, int64_t value, rt_error *err) {
  const rt_plan *p = s->m->plan;
  const rt_dim *dims = RT_ARRAY(p, rt_dim, dims);
  for (uint64_t i = 0; i < p->dims.count; i++) {
    if (strcmp(rt_string(p, dims[i].name), name)) continue;
    if (value < dims[i].lo || value > dims[i].hi || value % dims[i].step)
      return rt_fail(err, RT_E_INVALID, "`%s` is %lld; it must lie in %lld..%lld step %lld", name, (long long)value,
                     (long long)dims[i].lo, (long long)dims[i].hi, (long long)dims[i].step);
    s->given[i] = value;
    return RT_OK;
  }
  return rt_fail(err, RT_E_INVALID, "there is no dim `%s`", name);
}

static rt_status bad_program(const rt_session *s, uint32_t program, rt_error *err) {
  return program < s->m->plan->programs.count ? RT_OK : rt_fail(err, RT_E_INVALID, "there is no entry %u", program);
}

static rt_status output_shapes(rt_session *s, const rt_program *g, rt_tensor *out, bool fill, rt_error *err) {
  const rt_plan *p = s->m->plan;
  const rt_tensor_info *info = RT_ARRAY(p, rt_tensor_info, tensors) + g->first_output;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    const char *name = rt_string(p, info[i].name);
    if (fill) out[i].dtype = (rt_dtype)info[i].dtype, out[i].rank = info[i].rank;
    if (out[i].dtype != (rt_dtype)info[i].dtype || out[i].rank != info[i].rank)
      return rt_fail(err, RT_E_INVALID, "output `%s` has the wrong type", name);
    for (uint32_t d = 0; d < info[i].rank; d++) {
      int64_t want;
      if (!rt_eval(p, words[info[i].dims + d], s->next, &want))
        return rt_fail(err, RT_E_INVALID, "output `%s`: its shape overflows", name);
      if (fill) out[i].dim[d] = want;
      if (out[i].dim[d] != want)
        return rt_fail(err, RT_E_INVALID, "output `%s`: dim %u is %lld; expected %lld", name, d,
                       (long long)out[i].dim[d], (long long)want);
    }
    if (!fill && !out[i].data) return rt_fail(err, RT_E_INVALID, "output `%s` has no memory", name);
  }
  return RT_OK;
}

rt_status rt_shapes(rt_session *s, uint32_t program, const rt_tensor *in, rt_tensor *out, rt_error *err) {
  rt_status st = bad_program(s, program, err);
  if (!st) st = rt_bind_inputs(s, program, in, err);
  return st ? st : output_shapes(s, RT_ARRAY(s->m->plan, rt_program, programs) + program, out, true, err);
}

// Puts the caller's pointers where the steps expect them.
static void patch(rt_session *s, const rt_program *g, program_state *st, const rt_tensor *in, const rt_tensor *out) {
  const rt_plan *p = s->m->plan;
  const rt_buffer *b = RT_ARRAY(p, rt_buffer, buffers);
  const rt_step *steps = RT_ARRAY(p, rt_step, steps) + g->first_step;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  for (uint32_t i = 0; i < rt_all_steps(g); i++) {
    uint32_t n = rt_step_buffers(p, &steps[i]);
    for (uint32_t q = 0; q < n; q++) {
      const rt_buffer *buf = &b[words[steps[i].buffers + q]];
      void **at = &st->steps[i].buffers[q];
      if (buf->cls == RT_BUF_input)
        *at = in[buf->index].data ? in[buf->index].data : st->defaults + st->default_offset[buf->index];
      else if (buf->cls == RT_BUF_output) *at = out[buf->index].data;
      else if (buf->cls == RT_BUF_state) *at = s->states[buf->index].data;
    }
  }
}

rt_status rt_start(rt_session *s, uint32_t program, const rt_tensor *in, rt_tensor *out, rt_error *err) {
  if (err) err->text[0] = 0;
  rt_status status = bad_program(s, program, err);
  if (!status) status = rt_bind_inputs(s, program, in, err);
  if (!status) status = rt_bind_steps(s, program, err);
  if (status) return status;
  const rt_program *g = RT_ARRAY(s->m->plan, rt_program, programs) + program;
  status = output_shapes(s, g, out, false, err);
  program_state *st = &s->programs[program];
  bool fixes = st->uses_states && !s->states[0].data; // the first run that uses states
  if (!status && fixes) status = rt_states_open(s, err);
  if (status) return status;
  patch(s, g, st, in, out);
  s->run = (started_run){.program = program, .fixes = fixes};
  if (!s->device) return RT_OK;
  status = s->m->device->begin(s->device, program, in, out, fixes, err);
  if (!status) rt_run_steps(s);
  else if (fixes) rt_session_reset(s);
  return status;
}

rt_status rt_finish(rt_session *s, rt_error *err) {
  if (!s->device) rt_run_steps(s);
  rt_status status = rt_close_run(s, err);
  if (status && s->run.fixes) rt_session_reset(s);
  return status;
}

rt_status rt_run(rt_session *s, uint32_t program, const rt_tensor *in, rt_tensor *out, rt_error *err) {
  rt_status status = rt_start(s, program, in, out, err);
  return status ? status : rt_finish(s, err);
}

rt_status rt_call(rt_session *s, uint32_t program, const int64_t *dims, void *const *args, rt_tensor *room,
                  rt_error *err) {
  if (err) err->text[0] = 0;
  rt_status st = bad_program(s, program, err);
  if (st) return st;
  const rt_plan *p = s->m->plan;
  const rt_program *g = RT_ARRAY(p, rt_program, programs) + program;
  const rt_tensor_info *info = RT_ARRAY(p, rt_tensor_info, tensors);
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  uint32_t n = g->n_inputs + g->n_outputs;
  for (uint32_t i = 0; i < n; i++) {
    const rt_tensor_info *t = i < g->n_inputs ? &info[g->first_input + i] : &info[g->first_output + i - g->n_inputs];
    room[i] = (rt_tensor){.dtype = (rt_dtype)t->dtype, .rank = t->rank, .data = args[i]};
    for (uint32_t d = 0; d < t->rank; d++)
      if (!rt_eval(p, words[t->dims + d], dims, &room[i].dim[d]))
        return rt_fail(err, RT_E_INVALID, "the shape of `%s` overflows", rt_string(p, t->name));
  }
  return rt_run(s, program, room, room + g->n_inputs, err);
}

rt_status rt_step_values(rt_session *s, uint32_t step, rt_error *err) {
  return s->device ? s->m->device->values(s->device, step, err) : RT_OK;
}

uint64_t rt_session_arena_bytes(const rt_session *s) {
  uint64_t most = 0;
  for (uint64_t i = 1; i < s->m->plan->programs.count; i++)
    if (s->programs[i].bound && s->programs[i].arena_bytes > most) most = s->programs[i].arena_bytes;
  return most;
}
