// Kernels and plans as text: see stage.h.
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

static void print_work(strbuf *b, const sized_entry *e, const rt_step *s) {
  rt_work w = rt_step_work(e->session, s);
  sb_fmt(b, " reads %" PRIu64 " writes %" PRIu64, w.bytes_read, w.bytes_written);
  if (w.macs) sb_fmt(b, " multiply-adds %" PRIu64, w.macs);
}

typedef struct plan_view { // a program, and what is told of it besides
  strbuf *b;
  const rt_plan *p;
  const rt_program *g;
  const sized_entry *e; // NULL: it has no sizes
  const bool *on_host;  // [kernels]; NULL: all run on the CPU
} plan_view;

// `depth`: how many bodies it lies in.
static void print_step(const plan_view *v, uint32_t i, uint32_t depth) {
  static const char *const kinds[] = {[RT_STEP_bind] = "bind",
                                      [RT_STEP_check] = "check",
                                      [RT_STEP_if] = "if",
                                      [RT_STEP_loop] = "loop",
                                      [RT_STEP_while] = "while"};
  strbuf *b = v->b;
  const rt_plan *p = v->p;
  const rt_program *g = v->g;
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
  if (kernel && v->e) print_work(b, v->e, s);
  sb_fmt(b, "  // %s", rt_string(p, s->label));
  if (s->line) sb_fmt(b, ", %s:%u", rt_string(p, s->file), s->line);
  if (kernel && v->on_host && v->on_host[s->what]) sb_z(b, ", on the CPU");
  sb_char(b, '\n');
}

static void print_steps(const plan_view *v, uint32_t first, uint32_t n, uint32_t depth) {
  for (uint32_t i = first; i < first + n;) {
    const rt_step *s = RT_ARRAY(v->p, rt_step, steps) + v->g->first_step + i;
    print_step(v, i, depth);
    print_steps(v, i + 1, s->body[0], depth + 1);
    print_steps(v, i + 1 + s->body[0], s->body[1], depth + 1);
    i += 1 + s->body[0] + s->body[1];
  }
}

static void print_program(const plan_view *v) {
  strbuf *b = v->b;
  const rt_plan *p = v->p;
  const rt_program *g = v->g;
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
  print_steps(v, 0, rt_all_steps(g), 0);
  if (v->e) stage_totals(b, v->e);
}

void stage_plan(strbuf *b, const rt_plan *p, const sized_entry *e, const bool *on_host) {
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
  const rt_program *programs = RT_ARRAY(p, rt_program, programs);
  for (uint64_t i = 0; i < p->programs.count; i++)
    print_program(&(plan_view){b, p, &programs[i], e && e->program == &programs[i] ? e : NULL, on_host});
}
