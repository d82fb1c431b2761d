// nnc show: one intermediate form of a model, on standard output.
#include "api/handles.h"
#include "runtime/session.h"
#include "tools/nnc/job.h"
#include "tools/nnc/stage.h"

#include <string.h>

static bool is(const char *option, const char *word) { return option && strcmp(option, word) == 0; }

static exit_status print(strbuf *text) {
  fputs(sb_cstr(text), stdout);
  return EXIT_done;
}

static exit_status show_memory(cli *c, const rt_plan *plan, signature *s, bool strict_dims) {
  if (!s || !sig_bind_options(c, s, strict_dims)) return fail(c);
  sig_bind_rest(s);
  const rt_program *prepare = RT_ARRAY(plan, rt_program, programs);
  rt_module *m = ARENA_NEW(c->a, rt_module); // binding calls no kernel and reads no constant
  *m = (rt_module){plan, ARENA_ARRAY(c->a, rt_kernel, plan->kernels.count + 1),
                   ARENA_ARRAY(c->a, const void *, prepare->n_outputs + 1u)};
  strbuf text;
  sb_init(&text, c->a);
  return stage_memory(c, &text, m, s) ? print(&text) : fail(c);
}

static exit_status show_library(cli *c, const char *stage) {
  exit_status status = EXIT_environment;
  if (!is(stage, "plan") && !is(stage, "memory")) {
    diag_at(&c->diags, NO_SPAN, cli_combination, "a .so holds a plan only: --stage plan or --stage memory");
    return fail(c);
  }
  nnc_module *m = open_module(c, &status);
  if (!m) return status;
  if (is(stage, "memory")) return show_memory(c, m->rt.plan, signature_of_module(c, m), true);
  strbuf text;
  sb_init(&text, c->a);
  stage_plan(&text, m->rt.plan);
  return print(&text);
}

static exit_status show_job(cli *c, compile_job *j, const char *stage) {
  strbuf text;
  sb_init(&text, c->a);
  bool dot = is(c->opt.format, "dot"), fused = !is(stage, "graph"), lowered = fused && !is(stage, "fused");
  bool planned = is(stage, "plan") || is(stage, "memory");
  if (!compile_frontend(j) || (fused && !compile_passes(j)) || (lowered && !compile_lower(j)) ||
      (planned && !compile_object(j)))
    return job_fail(c, j);
  job_report(c, j);
  const rt_plan *plan = (const rt_plan *)(const void *)j->plan.blob.p;
  if (is(stage, "memory")) return show_memory(c, plan, signature_of_graphs(c, j->m), false);
  if (planned) stage_plan(&text, plan);
  else if (lowered) stage_kernels(&text, j->set);
  else if (dot) stage_dot(&text, j->m, j->m->name ? j->m->name : "model");
  else graph_print(&text, j->m, true);
  return print(&text);
}

exit_status cmd_show(cli *c) {
  const char *stage = c->opt.stage ? c->opt.stage : "graph";
  if (is(c->opt.format, "dot") && !is(stage, "graph") && !is(stage, "fused")) {
    diag_at(&c->diags, NO_SPAN, cli_combination, "--format dot draws --stage graph and --stage fused");
    return fail(c);
  }
  if (job_is_library(c)) return show_library(c, stage);
  exit_status status;
  compile_job *j = job_begin(c, &status);
  return j ? show_job(c, j, stage) : status;
}
