// nnc show: one intermediate form of a model, on standard output.
#include "api/handles.h"
#include "api/opencl.h"
#include "runtime/session.h"
#include "tools/nnc/job.h"
#include "tools/nnc/stage.h"

#include <string.h>

static bool is(const char *option, const char *word) { return option && strcmp(option, word) == 0; }

static exit_status print(strbuf *text) {
  fputs(sb_cstr(text), stdout);
  return EXIT_done;
}

// The stages `plan` and `memory`: of the entry at the sizes that --dim gives. A plan that does not fit its smallest
// sizes is shown without.
static exit_status show_sized(cli *c, const rt_plan *plan, signature *s, bool strict_dims, const char *stage,
                              const bool *on_host) {
  if (!s || !sig_bind_options(c, s, strict_dims)) return fail(c);
  sig_bind_rest(s);
  const rt_program *prepare = RT_ARRAY(plan, rt_program, programs);
  rt_module *m = ARENA_NEW(c->a, rt_module); // binding calls no kernel and reads no constant
  *m = (rt_module){.plan = plan,
                   .kernels = ARENA_ARRAY(c->a, rt_kernel, plan->kernels.count + 1),
                   .constants = ARENA_ARRAY(c->a, const void *, prepare->n_outputs + 1u)};
  sized_entry e;
  rt_error err;
  bool fits = stage_bind(c, m, s, &e, &err);
  strbuf text;
  sb_init(&text, c->a);
  if (is(stage, "plan")) {
    stage_plan(&text, plan, fits ? &e : NULL, on_host);
    if (!fits) sb_fmt(&text, "// entry %s without sizes: %s\n", s->entry, err.text);
    return print(&text);
  }
  if (!fits) {
    diag_at(&c->diags, NO_SPAN, run_failed, err.text);
    return fail(c);
  }
  stage_memory(&text, &e);
  return print(&text);
}

static exit_status show_library(cli *c, const char *stage) {
  exit_status status = EXIT_environment;
  if (!is(stage, "plan") && !is(stage, "memory")) {
    diag_at(&c->diags, NO_SPAN, cli_combination, "a .so holds a plan only: --stage plan or --stage memory");
    return fail(c);
  }
  nnc_module *m = open_module(c, &status);
  if (!m) return status;
  return show_sized(c, m->rt.plan, signature_of_module(c, m), true, stage, NULL);
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
  if (planned)
    return show_sized(c, plan, signature_of_graphs(c, j->m), false, stage, j->opencl ? opencl_host_kernels(j) : NULL);
  if (lowered) stage_kernels(&text, j->set);
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
