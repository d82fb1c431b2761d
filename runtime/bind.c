// Binding: from the inputs' shapes to dims, and from dims to sizes, arena offsets and grids. Nothing here runs a
// kernel.
//
// Arena placement: buffers by decreasing size, each in the lowest gap that holds it among those already placed that
// live at the same time. Offsets depend on the dims alone. Quadratic in the number of buffers; done once for each new
// tuple of dims. The smallest gap instead (Pisarchyk and Lee 2020, greedy by size) needs no less for any model of the
// zoo.
#include "runtime/session.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, CHUNK_NS = 20000, INLINE_NS = 8000 };

rt_status rt_fail(rt_error *err, rt_status s, const char *fmt, ...) {
  if (err) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
  }
  return s;
}

const char *rt_string(const rt_plan *p, uint32_t offset) { return (const char *)p + p->strings.offset + offset; }

size_t rt_dtype_size(rt_dtype t) {
  static const unsigned char sizes[RT_DTYPES] = {4, 2, 2, 8, 1, 1, 4, 8, 1};
  return (unsigned)t < RT_DTYPES ? sizes[t] : 0;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

bool rt_eval(const rt_plan *p, uint32_t expr, const int64_t *dims, int64_t *out) {
  const int64_t *code = RT_ARRAY(p, int64_t, code) + expr;
  int64_t stack[RT_MAX_STACK + 2];
  unsigned n = 0;
  for (;; code += 2) {
    int64_t b = n > 0 ? stack[n - 1] : 0, a = n > 1 ? stack[n - 2] : 0, v = 0;
    switch ((rt_code)code[0]) {
    case RT_PUSH: stack[n++] = code[1]; continue;
    case RT_DIM: stack[n++] = dims[code[1]]; continue;
    case RT_ADD:
      if (__builtin_add_overflow(a, b, &v)) return false;
      break;
    case RT_SUB:
      if (__builtin_sub_overflow(a, b, &v)) return false;
      break;
    case RT_MUL:
      if (__builtin_mul_overflow(a, b, &v)) return false;
      break;
    case RT_FLOORDIV:
      if (b <= 0) return false;
      v = floor_div(a, b);
      break;
    case RT_MOD:
      if (b <= 0) return false;
      v = a % b; // the sign of the divisor, as floor_div has it
      if (v < 0) v += b;
      break;
    case RT_MIN: v = a < b ? a : b; break;
    case RT_MAX: v = a > b ? a : b; break;
    case RT_END: *out = b; return true;
    case RT_CODES:
    default: return false;
    }
    stack[--n - 1] = v;
  }
}

// The dim that an expression names: exactly one dim, perhaps times a constant (`2*batch`).
static bool single_dim(const rt_plan *p, uint32_t expr, uint32_t *dim, int64_t *factor) {
  const int64_t *c = RT_ARRAY(p, int64_t, code) + expr;
  *factor = 1;
  if (c[0] == RT_PUSH && c[2] == RT_DIM && c[4] == RT_MUL && c[6] == RT_END && c[1] > 0) {
    *factor = c[1];
    *dim = (uint32_t)c[3];
    return true;
  }
  *dim = (uint32_t)c[1];
  return c[0] == RT_DIM && c[2] == RT_END;
}

static void shape_text(char *out, size_t size, const rt_tensor *t) {
  size_t n = (size_t)snprintf(out, size, "[");
  for (uint32_t i = 0; i < t->rank && i < RT_MAX_RANK && n < size; i++) // the caller's rank may be anything
    n += (size_t)snprintf(out + n, size - n, "%s%lld", i ? ", " : "", (long long)t->dim[i]);
  if (n < size) snprintf(out + n, size - n, "]");
}

rt_status rt_dim_in_range(const rt_session *s, const char *what, uint32_t d, int64_t value, rt_error *err) {
  const rt_dim *dim = RT_ARRAY(s->m->plan, rt_dim, dims) + d;
  if (value >= dim->lo && value <= dim->hi && value % dim->step == 0) return RT_OK;
  return rt_fail(err, RT_E_INVALID, "%s: `%s` is %lld; it must lie in %lld..%lld step %lld", what,
                 rt_string(s->m->plan, dim->name), (long long)value, (long long)dim->lo, (long long)dim->hi,
                 (long long)dim->step);
}

// The input that has given dim `d` its value: the first of the program that has it.
static const char *giver(const rt_session *s, uint32_t program, const rt_tensor *in, uint32_t d) {
  const rt_plan *p = s->m->plan;
  const rt_program *g = RT_ARRAY(p, rt_program, programs) + program;
  const rt_tensor_info *info = RT_ARRAY(p, rt_tensor_info, tensors) + g->first_input;
  for (uint32_t i = 0; i < g->n_inputs; i++)
    for (uint32_t k = 0; in[i].data && k < info[i].rank; k++) {
      uint32_t dim;
      int64_t factor;
      if (single_dim(p, RT_ARRAY(p, uint32_t, words)[info[i].dims + k], &dim, &factor) && dim == d)
        return rt_string(p, info[i].name);
    }
  return "";
}

static rt_status bind_dim(rt_session *s, uint32_t program, const rt_tensor *in, const char *input, uint32_t d,
                          int64_t value, rt_error *err) {
  const rt_dim *dim = RT_ARRAY(s->m->plan, rt_dim, dims) + d;
  const char *name = rt_string(s->m->plan, dim->name);
  if (s->programs[program].uses_states && s->fixed[d] != INT64_MIN && s->fixed[d] != value)
    return rt_fail(err, RT_E_DATA, "input `%s`: `%s` is %lld, and %lld in the session's state, until it is reset",
                   input, name, (long long)value, (long long)s->fixed[d]);
  if (s->given[d] != INT64_MIN && s->given[d] != value)
    return rt_fail(err, RT_E_INVALID, "input `%s`: `%s` is %lld, and was set to %lld", input, name, (long long)value,
                   (long long)s->given[d]);
  if (s->next[d] != INT64_MIN && s->next[d] != value)
    return rt_fail(err, RT_E_INVALID, "input `%s`: `%s` is %lld, and %lld in input `%s`", input, name, (long long)value,
                   (long long)s->next[d], giver(s, program, in, d));
  char what[128];
  snprintf(what, sizeof what, "input `%s`", input);
  rt_status st = rt_dim_in_range(s, what, d, value, err);
  if (!st) s->next[d] = value;
  return st;
}

rt_status rt_bind_inputs(rt_session *s, uint32_t program, const rt_tensor *in, rt_error *err) {
  const rt_plan *p = s->m->plan;
  const rt_program *g = RT_ARRAY(p, rt_program, programs) + program;
  const rt_tensor_info *info = RT_ARRAY(p, rt_tensor_info, tensors) + g->first_input;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  memcpy(s->next, s->given, p->dims.count * sizeof *s->next);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const char *name = rt_string(p, info[i].name);
    if (!in[i].data) {
      if (info[i].flags & RT_OPTIONAL) continue;
      return rt_fail(err, RT_E_INVALID, "input `%s` is missing", name);
    }
    if (in[i].dtype != (rt_dtype)info[i].dtype || in[i].rank != info[i].rank) {
      char got[128];
      shape_text(got, sizeof got, &in[i]);
      return rt_fail(err, RT_E_INVALID,
                     "input `%s` has the wrong type: dtype %d, shape %s; expected dtype %u with %u dims", name,
                     (int)in[i].dtype, got, info[i].dtype, info[i].rank);
    }
    for (uint32_t d = 0; d < info[i].rank; d++) {
      uint32_t dim;
      int64_t factor;
      if (in[i].dim[d] < 0) return rt_fail(err, RT_E_INVALID, "input `%s`: dim %u is negative", name, d);
      if (!single_dim(p, words[info[i].dims + d], &dim, &factor)) continue;
      if (in[i].dim[d] % factor)
        return rt_fail(err, RT_E_INVALID, "input `%s`: dim %u is %lld, not a multiple of %lld", name, d,
                       (long long)in[i].dim[d], (long long)factor);
      rt_status st = bind_dim(s, program, in, name, dim, in[i].dim[d] / factor, err);
      if (st) return st;
    }
  }
  if (s->programs[program].uses_states) rt_states_bind(s, &s->programs[program]);
  const rt_dim *dims = RT_ARRAY(p, rt_dim, dims);
  for (uint64_t d = 0; d < p->dims.count; d++)
    if (s->next[d] == INT64_MIN)
      s->next[d] = (dims[d].lo + dims[d].step - 1) / dims[d].step * dims[d].step; // named by no input of this program
  for (uint32_t i = 0; i < g->n_inputs; i++)
    for (uint32_t d = 0; in[i].data && d < info[i].rank; d++) {
      int64_t want;
      if (!rt_eval(p, words[info[i].dims + d], s->next, &want))
        return rt_fail(err, RT_E_INVALID, "input `%s`: its shape overflows", rt_string(p, info[i].name));
      if (want != in[i].dim[d])
        return rt_fail(err, RT_E_INVALID, "input `%s`: dim %u is %lld; expected %lld", rt_string(p, info[i].name), d,
                       (long long)in[i].dim[d], (long long)want);
    }
  const rt_check *checks = RT_ARRAY(p, rt_check, checks) + g->first_check;
  for (uint32_t i = 0; i < g->n_checks; i++) {
    int64_t v;
    if (!rt_eval(p, checks[i].expr, s->next, &v) || v < 0)
      return rt_fail(err, RT_E_INVALID, "line %u: %s", checks[i].line, rt_string(p, checks[i].text));
  }
  return RT_OK;
}

// Arena buffers by decreasing size into st->order; how many.
static uint32_t order_by_size(program_state *st, const rt_buffer *b, uint32_t n_buffers) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < n_buffers; i++) {
    if (b[i].cls != RT_BUF_arena) continue;
    uint32_t k = n++;
    for (; k > 0 && st->size[st->order[k - 1]] < st->size[i]; k--) st->order[k] = st->order[k - 1];
    st->order[k] = i;
  }
  return n;
}

// The lowest gap that holds buffer i among the `n` placed ones that live at the same time, else behind them.
static uint64_t lowest_gap(const program_state *st, const rt_buffer *b, uint32_t i, uint32_t n) {
  uint64_t end = 0;
  for (uint32_t k = 0; k < n; k++) {
    uint32_t o = st->placed[k];
    if (b[o].last < b[i].first || b[i].last < b[o].first) continue;
    if (st->offset[o] >= end && st->offset[o] - end >= st->size[i]) return end;
    uint64_t next = (st->offset[o] + st->size[o] + ALIGN - 1) / ALIGN * ALIGN;
    end = next > end ? next : end;
  }
  return end;
}

// Places arena buffers; returns false when the total overflows.
static bool place_buffers(program_state *st, const rt_buffer *b, uint32_t n_buffers) {
  uint32_t n = order_by_size(st, b, n_buffers);
  st->arena_bytes = 0;
  for (uint32_t placed = 0; placed < n; placed++) {
    uint32_t i = st->order[placed], k = placed;
    uint64_t at = lowest_gap(st, b, i, placed);
    st->offset[i] = at;
    if (at + st->size[i] < at || at + st->size[i] > RT_MOST_BYTES) return false;
    if (at + st->size[i] > st->arena_bytes) st->arena_bytes = at + st->size[i];
    for (; k > 0 && st->offset[st->placed[k - 1]] > at; k--) st->placed[k] = st->placed[k - 1];
    st->placed[k] = i;
  }
  return true;
}

// Never leaves NULL, also where nothing is needed: offsets are added to it.
static bool grow(char **block, uint64_t *have, uint64_t need) {
  if (*block && need <= *have) return true;
  uint64_t bytes = (need + 4096) / 4096 * 4096;
  char *fresh = aligned_alloc(4096, bytes);
  if (!fresh) return false;
  free(*block);
  *block = fresh;
  *have = bytes;
  return true;
}

static rt_status bind_defaults(rt_session *s, const rt_program *g, program_state *st, rt_error *err) {
  const rt_plan *p = s->m->plan;
  const rt_tensor_info *info = RT_ARRAY(p, rt_tensor_info, tensors) + g->first_input;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  for (int fill = 0; fill < 2; fill++) {
    uint64_t at = 0;
    for (uint32_t i = 0; i < g->n_inputs; i++) {
      if (!(info[i].flags & RT_OPTIONAL)) continue;
      uint64_t size = rt_dtype_size((rt_dtype)info[i].dtype), bytes = size;
      int64_t d;
      for (uint32_t k = 0; k < info[i].rank; k++)
        if (!rt_eval(p, words[info[i].dims + k], s->next, &d) || d < 0 ||
            __builtin_mul_overflow(bytes, (uint64_t)d, &bytes) || bytes > RT_MOST_BYTES)
          return rt_fail(err, RT_E_INVALID, "input `%s`: its shape overflows", rt_string(p, info[i].name));
      st->default_offset[i] = at;
      for (uint64_t b = 0; fill && b < bytes; b += size) memcpy(st->defaults + at + b, &info[i].dflt, size);
      at = (at + bytes + ALIGN - 1) / ALIGN * ALIGN;
      if (at > (s->max_arena_bytes ? s->max_arena_bytes : RT_MOST_BYTES))
        return rt_fail(err, RT_E_MEMORY, "these sizes need too much memory for default inputs");
    }
    if (!fill && !grow(&st->defaults, &st->defaults_bytes, at))
      return rt_fail(err, RT_E_MEMORY, "out of memory for default inputs");
  }
  return RT_OK;
}

bool rt_bind_step(rt_session *s, const rt_step *step, bound_step *b) {
  const rt_plan *p = s->m->plan;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  b->total = 1;
  if (step->kind != RT_STEP_kernel) return true;
  const rt_kernel_info *k = RT_ARRAY(p, rt_kernel_info, kernels) + step->what;
  for (uint32_t i = 0; i < k->n_symbols; i++)
    if (!rt_eval(p, words[step->symbols + i], s->next, &b->symbols[i])) return false;
  for (uint32_t i = 0; i < k->n_grid; i++)
    if (!rt_eval(p, words[step->grid + i], s->next, &b->grid[i]) || b->grid[i] < 0 ||
        __builtin_mul_overflow(b->total, b->grid[i], &b->total))
      return false;
  // Chunks of some twenty microseconds, so that a thread put aside delays nobody for long; what is shorter than waking
  // a thread stays whole.
  double cost = step->cost_ns > 0.01 ? step->cost_ns : 0.01;
  double points = CHUNK_NS / cost;
  b->chunk = points < 1 ? 1 : points > 1e9 ? INT64_C(1000000000) : (int64_t)points;
  if ((double)b->total * cost < INLINE_NS) b->chunk = b->total > 0 ? b->total : 1;
  b->bound_at = s->binds;
  return true;
}

// Of what the executor itself reads or writes in a step's arena buffers.
static size_t scalar_bytes(const rt_step *s) {
  if (s->kind == RT_STEP_kernel) return 0;
  return s->kind == RT_STEP_bind || s->kind == RT_STEP_loop ? sizeof(int32_t) : sizeof(bool);
}

rt_status rt_bind_steps(rt_session *s, uint32_t program, rt_error *err) {
  const rt_plan *p = s->m->plan;
  const rt_program *g = RT_ARRAY(p, rt_program, programs) + program;
  program_state *st = &s->programs[program];
  if (st->bound && !memcmp(st->dims, s->next, p->dims.count * sizeof *s->next)) return RT_OK;
  st->bound = false;
  const rt_buffer *b = RT_ARRAY(p, rt_buffer, buffers) + g->first_buffer;
  for (uint32_t i = 0; i < g->n_buffers; i++) {
    int64_t bytes;
    if (!rt_eval(p, b[i].size, s->next, &bytes) || bytes < 0) return rt_fail(err, RT_E_INVALID, "these sizes overflow");
    st->size[i] = (uint64_t)bytes;
  }
  if (!place_buffers(st, b, g->n_buffers)) return rt_fail(err, RT_E_MEMORY, "these sizes need more than 64 TiB");
  if (s->max_arena_bytes && st->arena_bytes > s->max_arena_bytes)
    return rt_fail(err, RT_E_MEMORY, "these sizes need an arena of %llu bytes; the limit is %llu",
                   (unsigned long long)st->arena_bytes, (unsigned long long)s->max_arena_bytes);
  if (!s->arena || st->arena_bytes > s->arena_bytes) { // other programs' pointers move with the arena
    if (!grow(&s->arena, &s->arena_bytes, st->arena_bytes))
      return rt_fail(err, RT_E_MEMORY, "out of memory: the arena needs %llu bytes",
                     (unsigned long long)st->arena_bytes);
    for (uint64_t i = 0; i < p->programs.count; i++) s->programs[i].bound = false;
  }
  rt_status status = bind_defaults(s, g, st, err);
  if (status) return status;
  const rt_step *steps = RT_ARRAY(p, rt_step, steps) + g->first_step;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  for (uint32_t i = 0; i < rt_all_steps(g); i++) {
    if (!st->steps[i].late && !rt_bind_step(s, &steps[i], &st->steps[i]))
      return rt_fail(err, RT_E_INVALID, "these sizes overflow");
    for (uint32_t q = 0; q < rt_step_buffers(p, &steps[i]); q++) {
      const rt_buffer *buf = &b[words[steps[i].buffers + q] - g->first_buffer];
      if (buf->cls == RT_BUF_arena && st->size[buf - b] < scalar_bytes(&steps[i]))
        return rt_fail(err, RT_E_INVALID, "these sizes leave no room for a scalar");
      if (buf->cls == RT_BUF_arena) st->steps[i].buffers[q] = s->arena + st->offset[buf - b];
      else if (buf->cls == RT_BUF_constant) st->steps[i].buffers[q] = (void *)(uintptr_t)s->m->constants[buf->index];
    }
  }
  memcpy(st->dims, s->next, p->dims.count * sizeof *s->next);
  st->bound = true;
  return RT_OK;
}
