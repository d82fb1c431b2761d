// States: tensors that a session keeps between runs.
//
// A state's memory is made by the first run that uses states, with that run's sizes, and stays where it is until the
// session is reset: dims of states are fixed from then on. Pages that nothing touched yet cost nothing, so that a cache
// declared for its largest size costs what is used of it.
#define _GNU_SOURCE // MAP_ANONYMOUS
#include "runtime/session.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const rt_tensor_info *state_info(const rt_plan *p, uint32_t i) {
  return RT_ARRAY(p, rt_tensor_info, tensors) + p->first_state + i;
}

bool rt_states_init(rt_session *s) {
  const rt_plan *p = s->m->plan;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  s->states = calloc(p->n_states + (size_t)1, sizeof *s->states);
  s->state_dims = calloc(p->dims.count + 1, sizeof *s->state_dims);
  s->fixed = calloc(p->dims.count + 1, sizeof *s->fixed);
  if (!s->states || !s->state_dims || !s->fixed) return false;
  for (uint64_t d = 0; d < p->dims.count; d++) s->fixed[d] = INT64_MIN;
  for (uint32_t i = 0; i < p->n_states; i++)
    for (uint32_t k = 0; k < state_info(p, i)->rank; k++)
      for (const int64_t *c = RT_ARRAY(p, int64_t, code) + words[state_info(p, i)->dims + k]; c[0] != RT_END; c += 2)
        if (c[0] == RT_DIM) s->state_dims[c[1]] = true;
  return true;
}

void rt_session_reset(rt_session *s) {
  const rt_plan *p = s->m->plan;
  for (uint32_t i = 0; s->states && i < p->n_states; i++) {
    if (s->states[i].data) munmap(s->states[i].data, s->states[i].bytes);
    s->states[i].data = NULL;
  }
  for (uint64_t d = 0; s->fixed && d < p->dims.count; d++) s->fixed[d] = INT64_MIN;
}

void rt_states_fini(rt_session *s) {
  rt_session_reset(s);
  free(s->states);
  free(s->state_dims);
  free(s->fixed);
}

void rt_states_bind(rt_session *s, const program_state *st) {
  const rt_dim *dims = RT_ARRAY(s->m->plan, rt_dim, dims);
  for (uint64_t d = 0; d < s->m->plan->dims.count; d++) {
    if (!s->state_dims[d] || st->late[d]) continue;
    if (s->fixed[d] != INT64_MIN) s->next[d] = s->fixed[d];
    else if (s->next[d] == INT64_MIN) s->next[d] = dims[d].hi / dims[d].step * dims[d].step;
  }
}

static bool is_zero(const rt_tensor_info *t) {
  uint64_t none = 0;
  return !memcmp(&t->dflt, &none, rt_dtype_size((rt_dtype)t->dtype));
}

static rt_status open_state(rt_session *s, uint32_t i, rt_error *err) {
  const rt_plan *p = s->m->plan;
  const rt_tensor_info *t = state_info(p, i);
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  uint64_t size = rt_dtype_size((rt_dtype)t->dtype), bytes = size;
  for (uint32_t k = 0; k < t->rank; k++) {
    int64_t d;
    if (!rt_eval(p, words[t->dims + k], s->next, &d) || d < 0 || __builtin_mul_overflow(bytes, (uint64_t)d, &bytes) ||
        bytes > RT_MOST_BYTES)
      return rt_fail(err, RT_E_INVALID, "state `%s`: its shape overflows", rt_string(p, t->name));
  }
  // What is filled is used, all of it: it counts, and the system refuses what it has not got.
  bool filled = !is_zero(t);
  if (filled && s->max_arena_bytes && bytes > s->max_arena_bytes)
    return rt_fail(err, RT_E_MEMORY, "state `%s` needs %llu bytes; the limit is %llu", rt_string(p, t->name),
                   (unsigned long long)bytes, (unsigned long long)s->max_arena_bytes);
  state_memory *m = &s->states[i];
  m->bytes = bytes + 64; // mapped even when it is empty
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | (filled ? 0 : MAP_NORESERVE);
  void *at = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (at == MAP_FAILED)
    return rt_fail(err, RT_E_MEMORY, "out of memory: state `%s` needs %llu bytes", rt_string(p, t->name),
                   (unsigned long long)bytes);
  m->data = at;
  for (uint64_t b = 0; filled && b < bytes; b += size) memcpy((char *)at + b, &t->dflt, size);
  return RT_OK;
}

rt_status rt_states_open(rt_session *s, rt_error *err) {
  const rt_plan *p = s->m->plan;
  rt_status status = RT_OK;
  for (uint32_t i = 0; i < p->n_states && !status; i++) status = open_state(s, i, err);
  if (status) rt_session_reset(s);
  for (uint64_t d = 0; d < p->dims.count && !status; d++)
    if (s->state_dims[d]) s->fixed[d] = s->next[d];
  return status;
}
