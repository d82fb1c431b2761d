// Kernels, plans and memory as text: see stage.h.
#include "api/handles.h"
#include "runtime/session.h"
#include "tools/nnc/stage.h"

#include <inttypes.h>

void stage_kernels(strbuf *b, const program_set *set) {
  for (size_t i = 0; i < set->kernels.n; i++) {
    if (set->kernels.at[i]->routine) continue;
    if (i) sb_char(b, '\n');
    kir_print(b, set->kernels.at[i]);
  }
}

// -- the plan --

static void print_tensors(strbuf *b, const rt_plan *p, uint32_t first, uint32_t n) {
  const rt_tensor_info *t = RT_ARRAY(p, rt_tensor_info, tensors) + first;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  sb_char(b, '(');
  for (uint32_t i = 0; i < n; i++) {
    sb_fmt(b, "%s%s: %s", i ? ", " : "", rt_string(p, t[i].name), dtype_name((dtype)t[i].dtype));
    for (uint32_t d = 0; d < t[i].rank; d++)
      sb_fmt(b, "%s%s", d ? ", " : "[", plan_expr_text(b->a, p, words[t[i].dims + d]));
    if (t[i].rank) sb_char(b, ']');
  }
  sb_char(b, ')');
}

static void print_exprs(strbuf *b, const rt_plan *p, const char *name, uint32_t first, uint32_t n) {
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  if (n) sb_fmt(b, " %s ", name);
  for (uint32_t i = 0; i < n; i++) sb_fmt(b, "%s%s", i ? ", " : "", plan_expr_text(b->a, p, words[first + i]));
}

static void print_buffer(strbuf *b, const rt_plan *p, const rt_program *g, uint32_t i) {
  static const char *const classes[] = {[RT_BUF_input] = "input",
                                        [RT_BUF_output] = "output",
                                        [RT_BUF_arena] = "arena",
                                        [RT_BUF_constant] = "constant",
                                        [RT_BUF_state] = "state"};
  const rt_buffer *buf = RT_ARRAY(p, rt_buffer, buffers) + g->first_buffer + i;
  const rt_tensor_info *t = RT_ARRAY(p, rt_tensor_info, tensors);
  const rt_program *prepare = RT_ARRAY(p, rt_program, programs);
  sb_fmt(b, "  buffer b%u %s", i, classes[buf->cls]);
  if (buf->cls == RT_BUF_input) sb_fmt(b, " %s", rt_string(p, t[g->first_input + buf->index].name));
  if (buf->cls == RT_BUF_output) sb_fmt(b, " %s", rt_string(p, t[g->first_output + buf->index].name));
  if (buf->cls == RT_BUF_state) sb_fmt(b, " %s", rt_string(p, t[p->first_state + buf->index].name));
  if (buf->cls == RT_BUF_constant)
    sb_fmt(b, " %s at %" PRIu64, rt_string(p, t[prepare->first_output + buf->index].name), buf->offset);
  if (buf->cls == RT_BUF_arena) sb_fmt(b, " live %u..%u", buf->first, buf->last);
  sb_fmt(b, ", bytes %s\n", plan_expr_text(b->a, p, buf->size));
}

// `depth`: how many bodies it lies in.
static void print_step(strbuf *b, const rt_plan *p, const rt_program *g, uint32_t i, uint32_t depth) {
  static const char *const kinds[] = {[RT_STEP_bind] = "bind",
                                      [RT_STEP_check] = "check",
                                      [RT_STEP_if] = "if",
                                      [RT_STEP_loop] = "loop",
                                      [RT_STEP_while] = "while"};
  const rt_step *s = RT_ARRAY(p, rt_step, steps) + g->first_step + i;
  const uint32_t *words = RT_ARRAY(p, uint32_t, words);
  bool kernel = s->kind == RT_STEP_kernel;
  const rt_kernel_info *k = RT_ARRAY(p, rt_kernel_info, kernels) + (kernel ? s->what : 0);
  const char *when = i < g->n_steps ? "step" : i < g->n_steps + g->n_undo ? "undo" : "commit";
  sb_fmt(b, "  %*s%s %u %s", (int)(2 * depth), "", when, i, kernel ? rt_string(p, k->name) : kinds[s->kind]);
  if (s->kind == RT_STEP_bind) sb_fmt(b, " %s", rt_string(p, (RT_ARRAY(p, rt_dim, dims) + s->what)->name));
  sb_char(b, '(');
  for (uint32_t q = 0; q < rt_step_buffers(p, s); q++)
    sb_fmt(b, "%sb%u", q ? ", " : "", words[s->buffers + q] - g->first_buffer);
  sb_char(b, ')');
  if (kernel) print_exprs(b, p, "grid", s->grid, k->n_grid);
  if (kernel) print_exprs(b, p, "symbols", s->symbols, k->n_symbols);
  if (s->kind == RT_STEP_check)
    sb_fmt(b, " %s >= 0", plan_expr_text(b->a, p, (RT_ARRAY(p, rt_check, checks) + s->what)->expr));
  if (s->kind == RT_STEP_while) print_exprs(b, p, "at most", s->symbols, 1);
  if (s->kind >= RT_STEP_if) sb_fmt(b, " bodies %u, %u", s->body[0], s->body[1]);
  sb_fmt(b, "  // %s", rt_string(p, s->label));
  if (s->line) sb_fmt(b, ", line %u", s->line);
  sb_char(b, '\n');
}

static void print_steps(strbuf *b, const rt_plan *p, const rt_program *g, uint32_t first, uint32_t n, uint32_t depth) {
  for (uint32_t i = first; i < first + n;) {
    const rt_step *s = RT_ARRAY(p, rt_step, steps) + g->first_step + i;
    print_step(b, p, g, i, depth);
    print_steps(b, p, g, i + 1, s->body[0], depth + 1);
    print_steps(b, p, g, i + 1 + s->body[0], s->body[1], depth + 1);
    i += 1 + s->body[0] + s->body[1];
  }
}

static void print_program(strbuf *b, const rt_plan *p, const rt_program *g) {
  sb_fmt(b, "\nprogram %s", rt_string(p, g->name));
  print_tensors(b, p, g->first_input, g->n_inputs);
  sb_z(b, " -> ");
  print_tensors(b, p, g->first_output, g->n_outputs);
  sb_char(b, '\n');
  const rt_check *checks = RT_ARRAY(p, rt_check, checks) + g->first_check;
  for (uint32_t i = 0; i < g->n_checks; i++)
    sb_fmt(b, "  check %s >= 0  // %s, line %u\n", plan_expr_text(b->a, p, checks[i].expr),
           rt_string(p, checks[i].text), checks[i].line);
  for (uint32_t i = 0; i < g->n_buffers; i++) print_buffer(b, p, g, i);
  print_steps(b, p, g, 0, rt_all_steps(g), 0);
}

void stage_plan(strbuf *b, const rt_plan *p) {
  sb_fmt(b, "plan %s: version %u, %" PRIu64 " bytes, constants %" PRIu64 " bytes, scratch %u bytes a thread\n",
         rt_string(p, p->name), p->version, p->size_bytes, p->constants_bytes, p->scratch_bytes);
  const rt_dim *dims = RT_ARRAY(p, rt_dim, dims);
  for (uint64_t i = 0; i < p->dims.count; i++)
    sb_fmt(b, "dim %s in %" PRId64 "..%" PRId64 " step %" PRId64 "\n", rt_string(p, dims[i].name), dims[i].lo,
           dims[i].hi, dims[i].step);
  for (uint32_t i = 0; i < p->n_states; i++) {
    sb_z(b, "state ");
    print_tensors(b, p, p->first_state + i, 1);
    sb_char(b, '\n');
  }
  for (uint64_t i = 0; i < p->programs.count; i++) print_program(b, p, RT_ARRAY(p, rt_program, programs) + i);
}

// -- memory --

static void free_session(void *s) { rt_session_free(s); }

// A session whose steps are bound to the signature's dims; its kernels are never called.
static rt_session *bound_session(cli *c, const rt_module *m, const signature *s) {
  rt_session *session;
  rt_error err;
  uint32_t entry = (uint32_t)s->index + 1;
  rt_tensor *in = ARENA_ARRAY(c->a, rt_tensor, s->inputs.n + 1);
  static char no_data;
  for (size_t i = 0; i < s->inputs.n; i++) {
    const sig_tensor *t = &s->inputs.at[i];
    in[i] = (rt_tensor){.dtype = (rt_dtype)t->dt, .rank = t->rank, .data = &no_data}; // binding reads shapes only
    sig_shape(s, t, in[i].dim);
  }
  rt_status status = rt_session_new(&session, m, NULL, 0, &err);
  if (!status) arena_defer(c->a, free_session, session);
  for (size_t i = 0; i < s->dims.n && !status; i++)
    status = rt_session_set_dim(session, s->dims.at[i].symbol->name, s->dims.at[i].value, &err);
  if (!status) status = rt_bind_inputs(session, entry, in, &err);
  if (!status) status = rt_bind_steps(session, entry, &err);
  if (!status) return session;
  diag_at(&c->diags, NO_SPAN, run_failed, err.text);
  return NULL;
}

// The most bytes that live at one step: no placement needs less.
static uint64_t lower_bound(const rt_program *g, const rt_buffer *buffers, const program_state *st) {
  uint64_t most = 0;
  for (uint32_t step = 0; step < g->n_steps; step++) {
    uint64_t live = 0;
    for (uint32_t i = 0; i < g->n_buffers; i++)
      if (buffers[i].cls == RT_BUF_arena && buffers[i].first <= step && step <= buffers[i].last) live += st->size[i];
    most = live > most ? live : most;
  }
  return most;
}

bool stage_memory(cli *c, strbuf *b, const rt_module *m, const signature *s) {
  rt_session *session = bound_session(c, m, s);
  if (!session) return false;
  const rt_plan *p = m->plan;
  const rt_program *g = RT_ARRAY(p, rt_program, programs) + s->index + 1;
  const rt_buffer *buffers = RT_ARRAY(p, rt_buffer, buffers) + g->first_buffer;
  const rt_step *steps = RT_ARRAY(p, rt_step, steps) + g->first_step;
  const program_state *st = &session->programs[s->index + 1];
  sb_fmt(b, "entry %s", s->entry);
  for (size_t i = 0; i < s->dims.n; i++) sb_fmt(b, ", %s = %" PRId64, s->dims.at[i].symbol->name, s->dims.at[i].value);
  sb_fmt(b, "\narena %" PRIu64 " bytes; no placement needs less than %" PRIu64 "\nconstants %" PRIu64 " bytes\n",
         st->arena_bytes, lower_bound(g, buffers, st), p->constants_bytes);
  sb_z(b, "\n      offset       bytes  live      written by\n");
  for (uint32_t i = 0; i < g->n_buffers; i++) {
    if (buffers[i].cls != RT_BUF_arena) continue;
    sb_fmt(b, "%12" PRIu64 "%12" PRIu64 "  %-10s%s\n", st->offset[i], st->size[i],
           str_fmt(c->a, "%u..%u", buffers[i].first, buffers[i].last), rt_string(p, steps[buffers[i].first].label));
  }
  return true;
}
