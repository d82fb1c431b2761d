// From options to compile jobs and modules: see job.h.
#include "tools/nnc/job.h"

#include <string.h>

bool job_is_library(const cli *c) { return ends_with(c->model, ".so"); }

static bool passes_exist(cli *c, const text_list *names) {
  for (size_t i = 0; i < names->n; i++) {
    if (pass_find(names->at[i]) || (names == &c->opt.print_after && strcmp(names->at[i], "all") == 0)) continue;
    const char **known = ARENA_ARRAY(c->a, const char *, pass_count());
    for (size_t k = 0; k < pass_count(); k++) known[k] = pass_at(k)->name;
    diag *d = diag_at(&c->diags, NO_SPAN, pass_unknown, names->at[i]);
    const char *near = str_suggest(str_of(names->at[i]), known, pass_count());
    if (near) diag_note_to(&c->diags, d, "did you mean `%s`?", near);
    strbuf all;
    sb_init(&all, c->a);
    for (size_t k = 0; k < pass_count(); k++) sb_fmt(&all, " %s", known[k]);
    diag_note_to(&c->diags, d, "in order:%s", sb_cstr(&all));
    return false;
  }
  return true;
}

compile_job *job_begin(cli *c, exit_status *status) {
  const cli_options *o = &c->opt;
  text_list stop = {0};
  if (o->stop_after) vec_push(c->a, &stop, o->stop_after);
  if (!passes_exist(c, &o->print_after) || !passes_exist(c, &o->skip) || !passes_exist(c, &stop)) {
    *status = fail(c);
    return NULL;
  }
  compile_job *j = ARENA_NEW(c->a, compile_job);
  frontend_options front = {o->configs.n, o->configs.at, o->sets.n,    o->sets.at, o->dims.n,
                            o->dims.at,   o->weights.at, o->weights.n, o->approx};
  bool ok = compile_begin(j, c->a, c->model, NULL, &front, o->cpu) &&
            compile_set_dtypes(j, o->weights_dtype, o->precision) && compile_set_device(j, o->device);
  c->job_diags = &j->diags;
  j->passes.print_after = o->print_after.at, j->passes.n_print_after = o->print_after.n;
  j->passes.skip = o->skip.at, j->passes.n_skip = o->skip.n;
  j->passes.stop_after = o->stop_after;
  j->passes.limit = o->pass_limit;
  j->passes.round_trip = o->round_trip;
  j->passes.dump = ARENA_NEW(c->a, strbuf);
  sb_init(j->passes.dump, c->a);
  if (o->explain) {
    j->context.explain = ARENA_NEW(c->a, strbuf);
    sb_init(j->context.explain, c->a);
  }
  if (ok) return j;
  *status = job_fail(c, j);
  return NULL;
}

void job_report(cli *c, compile_job *j) {
  if (j->passes.dump && j->passes.dump->n) fputs(sb_cstr(j->passes.dump), stderr);
  if (j->context.explain && j->context.explain->n) fputs(sb_cstr(j->context.explain), stderr);
  for (size_t i = 0; c->opt.time_passes && i < j->report.times.n; i++) {
    const pass_time *t = &j->report.times.at[i];
    fprintf(stderr, "%-16s%10.3f ms%10u nodes\n", t->name, t->ms, t->nodes);
  }
  report_diagnostics(&j->diags);
}

exit_status job_fail(cli *c, compile_job *j) {
  job_report(c, j);
  return failure_status(&j->diags);
}

// -- modules of the public API --

// The text of a message, coloured as the job's own are: place, severity, message; what follows stays plain.
static void print_message(void *user, const nnc_diagnostic *d) {
  ++*(size_t *)user;
  static const char *const colours[] = {"\033[1;36m", "\033[1;35m", "\033[1;31m"}, *const words[] = {"note", "warning",
                                                                                                     "error"};
  const char *rest = strchr(d->text, '\n');
  if (!colour_on(stderr) || !rest) {
    fputs(d->text, stderr);
    return;
  }
  if (d->line) fprintf(stderr, "\033[1m%s:%u:%u:\033[0m ", d->file, d->line, d->column);
  fprintf(stderr, "%s%s:\033[0m \033[1m%s\033[0m%s", colours[d->severity], words[d->severity], d->message, rest);
}

static void close_module(void *m) { nnc_module_free(m); }

nnc_module *open_module(cli *c, exit_status *status) {
  const cli_options *o = &c->opt;
  nnc_setting *sets = ARENA_ARRAY(c->a, nnc_setting, o->sets.n + 1),
              *dims = ARENA_ARRAY(c->a, nnc_setting, o->dims.n + 1);
  for (size_t i = 0; i < o->sets.n; i++) sets[i] = (nnc_setting){o->sets.at[i].key, o->sets.at[i].value};
  for (size_t i = 0; i < o->dims.n; i++) dims[i] = (nnc_setting){o->dims.at[i].key, o->dims.at[i].value};
  nnc_compile_options options = NNC_COMPILE_OPTIONS_INIT;
  options.configs = o->configs.at, options.n_configs = o->configs.n;
  options.sets = sets, options.n_sets = o->sets.n;
  options.weights = o->weights.at, options.n_weights = o->weights.n;
  options.cpu = o->cpu;
  options.approx = o->approx;
  options.weights_dtype = o->weights_dtype;
  options.precision = o->precision;
  options.device = o->device;
  options.threads = (unsigned)o->threads;
  size_t printed = 0;
  options.sink = print_message;
  options.sink_user = &printed;
  options.no_cache = o->no_cache || c->cmd->run == cmd_bench; // bench tells what compiling takes, and needs the graph
  if (!job_is_library(c)) {
    options.dims = dims, options.n_dims = o->dims.n;
  } else if (o->configs.n || o->sets.n || o->weights.n > 1 || o->weights_dtype || o->precision || o->cpu || o->approx) {
    diag_at(&c->diags, NO_SPAN, cli_combination,
            "--config, --set, --weights-dtype, --precision, --cpu, --approx and several --weights change how a .yaml "
            "is compiled; a "
            ".so is compiled already");
    *status = fail(c);
    return NULL;
  }
  nnc_module *m;
  nnc_status s = nnc_module_open(&m, c->model, &options, NULL);
  if (s && !printed) fprintf(stderr, "error: %s: %s\n", c->model, nnc_status_text(s));
  switch (s) {
  case NNC_OK: arena_defer(c->a, close_module, m); return m;
  case NNC_E_ARGUMENT: *status = EXIT_usage; break;
  case NNC_E_ENVIRONMENT:
  case NNC_E_INTERNAL: *status = EXIT_environment; break;
  case NNC_E_MODEL:
  case NNC_E_DATA: *status = EXIT_model; break;
  }
  return NULL;
}
