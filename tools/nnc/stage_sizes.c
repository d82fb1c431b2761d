// An entry at sizes: what its steps move, and where its buffers lie. See stage.h.
//
// Lower bounds. Of bytes moved: what every form of the entry must read of inputs, weights and states, and write of
// outputs and states; intermediate values could stay in registers. Of the arena: the most bytes that live at one step.
#include "runtime/session.h"
#include "tools/nnc/stage.h"

#include <inttypes.h>

static void free_session(void *s) { rt_session_free(s); }

bool stage_bind(cli *c, const rt_module *m, const signature *s, sized_entry *out, rt_error *err) {
  uint32_t index = (uint32_t)s->index + 1;
  rt_tensor *in = ARENA_ARRAY(c->a, rt_tensor, s->inputs.n + 1);
  static char no_data;
  for (size_t i = 0; i < s->inputs.n; i++) {
    const sig_tensor *t = &s->inputs.at[i];
    in[i] = (rt_tensor){.dtype = (rt_dtype)t->dt, .rank = t->rank, .data = &no_data}; // binding reads shapes only
    sig_shape(s, t, in[i].dim);
  }
  rt_session *session;
  rt_status status = rt_session_new(&session, m, NULL, 0, err);
  if (!status) arena_defer(c->a, free_session, session);
  for (size_t i = 0; i < s->dims.n && !status; i++)
    status = rt_session_set_dim(session, s->dims.at[i].symbol->name, s->dims.at[i].value, err);
  if (!status) status = rt_bind_inputs(session, index, in, err);
  if (!status) status = rt_bind_steps(session, index, err);
  *out = (sized_entry){s, session, RT_ARRAY(m->plan, rt_program, programs) + index,
                       status ? NULL : &session->programs[index]};
  return status == RT_OK;
}

static void print_dims(strbuf *b, const signature *s) {
  for (size_t i = 0; i < s->dims.n; i++) sb_fmt(b, ", %s = %" PRId64, s->dims.at[i].symbol->name, s->dims.at[i].value);
}

static uint64_t least_arena(const sized_entry *e) {
  const rt_buffer *buffers = RT_ARRAY(e->session->m->plan, rt_buffer, buffers) + e->program->first_buffer;
  uint64_t most = 0;
  for (uint32_t step = 0; step < e->program->n_steps; step++) {
    uint64_t live = 0;
    for (uint32_t i = 0; i < e->program->n_buffers; i++)
      if (buffers[i].cls == RT_BUF_arena && buffers[i].first <= step && step <= buffers[i].last)
        live += e->state->size[i];
    most = live > most ? live : most;
  }
  return most;
}

// Of one buffer, the most that a single step reads or writes: what several read may be the same.
static uint64_t most_of(const sized_entry *e, uint32_t buffer, uint32_t access) {
  const rt_plan *p = e->session->m->plan;
  const rt_step *steps = RT_ARRAY(p, rt_step, steps) + e->program->first_step;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  uint64_t most = 0;
  for (uint32_t i = 0; i < e->program->n_steps; i++) {
    if (steps[i].kind != RT_STEP_kernel) continue;
    const rt_kernel_info *k = RT_ARRAY(p, rt_kernel_info, kernels) + steps[i].what;
    for (uint32_t q = 0; q < k->n_buffers; q++) {
      if (words[steps[i].buffers + q] - e->program->first_buffer != buffer || !(words[k->access + q] & access))
        continue;
      uint64_t bytes = rt_operand_bytes(e->session, &steps[i], q);
      most = bytes > most ? bytes : most;
    }
  }
  return most;
}

static uint64_t least_moved(const sized_entry *e) {
  const rt_buffer *buffers = RT_ARRAY(e->session->m->plan, rt_buffer, buffers) + e->program->first_buffer;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < e->program->n_buffers; i++) {
    uint32_t cls = buffers[i].cls;
    if (cls == RT_BUF_input || cls == RT_BUF_constant || cls == RT_BUF_state) bytes += most_of(e, i, RT_READS);
    if (cls == RT_BUF_output || cls == RT_BUF_state) bytes += most_of(e, i, RT_WRITES);
  }
  return bytes;
}

static void print_ratio(strbuf *b, const char *what, uint64_t bytes, uint64_t least) {
  sb_fmt(b, "  %s %" PRIu64 " bytes, at least %" PRIu64, what, bytes, least);
  if (least) sb_fmt(b, ": %.2f times", (double)bytes / (double)least);
  sb_char(b, '\n');
}

void stage_totals(strbuf *b, const sized_entry *e) {
  const rt_step *steps = RT_ARRAY(e->session->m->plan, rt_step, steps) + e->program->first_step;
  rt_work all = {0};
  for (uint32_t i = 0; i < e->program->n_steps; i++) {
    if (steps[i].kind != RT_STEP_kernel) continue;
    rt_work w = rt_step_work(e->session, &steps[i]);
    all.macs += w.macs, all.bytes_read += w.bytes_read, all.bytes_written += w.bytes_written;
  }
  sb_fmt(b, "  all steps once%s", e->s->dims.n ? ", at" : "");
  strbuf dims;
  sb_init(&dims, b->a);
  print_dims(&dims, e->s);
  sb_fmt(b, "%s: %" PRIu64 " multiply-adds\n", dims.n ? sb_cstr(&dims) + 1 : "", all.macs);
  print_ratio(b, "moved", all.bytes_read + all.bytes_written, least_moved(e));
  print_ratio(b, "arena", e->state->arena_bytes, least_arena(e));
}

void stage_memory(strbuf *b, const sized_entry *e) {
  const rt_plan *p = e->session->m->plan;
  const rt_buffer *buffers = RT_ARRAY(p, rt_buffer, buffers) + e->program->first_buffer;
  const rt_step *steps = RT_ARRAY(p, rt_step, steps) + e->program->first_step;
  sb_fmt(b, "entry %s", e->s->entry);
  print_dims(b, e->s);
  sb_fmt(b, "\narena %" PRIu64 " bytes; no placement needs less than %" PRIu64 "\nconstants %" PRIu64 " bytes\n",
         e->state->arena_bytes, least_arena(e), p->constants_bytes);
  sb_z(b, "\n      offset       bytes  live      written by\n");
  for (uint32_t i = 0; i < e->program->n_buffers; i++) {
    if (buffers[i].cls != RT_BUF_arena) continue;
    sb_fmt(b, "%12" PRIu64 "%12" PRIu64 "  %-10s%s\n", e->state->offset[i], e->state->size[i],
           str_fmt(b->a, "%u..%u", buffers[i].first, buffers[i].last), rt_string(p, steps[buffers[i].first].label));
  }
}
