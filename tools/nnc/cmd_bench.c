// nnc bench: how long an entry takes, and what that is of the machine's peak.
//
// Arithmetic is that of the graph after the passes, the multiply-adds of contractions as two operations each; bytes
// moved are each operand of a kernel once. The plan tells both, so that a library is counted as well.
#include "api/handles.h"
#include "base/clock.h"
#include "runtime/session.h"
#include "tools/nnc/compare.h"
#include "tools/nnc/job.h"
#include "tools/nnc/peak.h"
#include "tools/nnc/profile.h"
#include "tools/nnc/roofline.h"
#include "tools/nnc/source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { LEAST_RUNS = 10, MOST_RUNS = 100000, MOST_ROOFLINE_RUNS = 100 };
static const double TIME_BUDGET_MS = 2000;

typedef struct timing {
  int64_t runs;
  double median_ms, p10_ms, p90_ms;
} timing;

// What the kernels of a run add up to.
static void count_work(const profile *p, double *flops, double *bytes) {
  for (size_t i = 0; i < p->events.n; i++) {
    const nnc_trace_event *e = &p->events.at[i];
    *flops += 2 * (double)e->macs;
    *bytes += (double)(e->bytes_read + e->bytes_written);
  }
}

// -- timing --

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static bool timed_run(cli *c, compiled_run *r, double *ms) {
  int64_t start = clock_ns();
  bool ok = run_once(c, r);
  *ms = (double)(clock_ns() - start) * 1e-6;
  return ok;
}

static bool measure(cli *c, compiled_run *r, timing *t, profile *work) {
  if (!profile_run(c, work, r)) return false; // binds sizes and touches memory: its time is never counted
  double first = (double)(work->end_ns - work->start_ns) * 1e-6, last = 0;
  for (int64_t i = 0; i < c->opt.warmup; i++)
    if (!timed_run(c, r, &last)) return false;
  double one = last > 0 ? last : first, fit = TIME_BUDGET_MS / (one > 1e-6 ? one : 1e-6);
  t->runs = c->opt.runs ? c->opt.runs : fit < LEAST_RUNS ? LEAST_RUNS : fit > MOST_RUNS ? MOST_RUNS : (int64_t)fit;
  double *ms = ARENA_ARRAY(c->a, double, (size_t)t->runs);
  for (int64_t i = 0; i < t->runs; i++)
    if (!timed_run(c, r, &ms[i])) return false;
  qsort(ms, (size_t)t->runs, sizeof *ms, ascending);
  t->median_ms = ms[t->runs / 2];
  t->p10_ms = ms[t->runs / 10];
  t->p90_ms = ms[t->runs - 1 - t->runs / 10];
  return true;
}

static bool profile_warm_run(cli *c, compiled_run *r, const signature *s) {
  profile *p = profile_new(c);
  return profile_run(c, p, r) && profile_write(c, p, s, c->opt.profile);
}

// -- reporting --

typedef struct bench_result {
  const signature *s;
  const rt_plan *plan;
  const compile_job *job; // NULL for a library
  timing time;
  nnc_module_stats stats;
  double flops, bytes, peak_gflops;
  const roofline *roof; // NULL unless asked for
  uint64_t arena_bytes, peak_rss_bytes;
  unsigned threads;
} bench_result;

static double gflops(const bench_result *b) { return b->flops / b->time.median_ms * 1e-6; }
static double percent(const bench_result *b) { return 100 * gflops(b) / b->peak_gflops; }

static const char *level_name(uint32_t level) {
  return level <= CPU_x86_64_v4_amx ? target_level_name((cpu_level)level) : "unknown";
}

static const char *device_of(const bench_result *b) { return b->job ? b->job->device : NULL; }

static exit_status print_as_json(cli *c, const bench_result *b) {
  json_t *out = json_new(c), *dims = json_object();
  bool rated = b->peak_gflops > 0;
  for (size_t i = 0; i < b->s->dims.n; i++)
    json_object_set_new(dims, b->s->dims.at[i].symbol->name, json_integer((json_int_t)b->s->dims.at[i].value));
  json_object_set_new(out, "model", json_string(c->model));
  json_object_set_new(out, "entry", json_string(b->s->entry));
  json_object_set_new(out, "dims", dims);
  json_object_set_new(out, "median_ms", json_real(b->time.median_ms));
  json_object_set_new(out, "p10_ms", json_real(b->time.p10_ms));
  json_object_set_new(out, "p90_ms", json_real(b->time.p90_ms));
  json_object_set_new(out, "runs", json_integer((json_int_t)b->time.runs));
  json_object_set_new(out, "compile_ms", json_real(b->stats.total_ms - b->stats.prepare_ms));
  json_object_set_new(out, "prepare_ms", json_real(b->stats.prepare_ms));
  json_object_set_new(out, "peak_rss_bytes", json_integer((json_int_t)b->peak_rss_bytes));
  json_object_set_new(out, "arena_bytes", json_integer((json_int_t)b->arena_bytes));
  json_object_set_new(out, "flops", json_integer((json_int_t)b->flops));
  json_object_set_new(out, "bytes_moved", json_integer((json_int_t)b->bytes));
  json_object_set_new(out, "gflops", json_real(gflops(b)));
  json_object_set_new(out, "gbytes_per_s", json_real(b->bytes / b->time.median_ms * 1e-6));
  json_object_set_new(out, "peak_gflops", rated ? json_real(b->peak_gflops) : json_null());
  json_object_set_new(out, "percent_of_peak", rated ? json_real(percent(b)) : json_null());
  json_object_set_new(out, "threads", json_integer(b->threads));
  json_object_set_new(out, "cpu", json_string(level_name(b->plan->cpu_level)));
  json_object_set_new(out, "device", json_string(device_of(b) ? device_of(b) : "cpu"));
  json_object_set_new(out, "kernels", json_integer((json_int_t)b->plan->kernels.count));
  if (b->roof) json_object_set_new(out, "roofline", roofline_json(c, b->roof));
  return print_json(c, out);
}

// The model, the entry, its sizes, and what it ran on: one line.
static const char *title_of(cli *c, const bench_result *b) {
  strbuf t;
  sb_init(&t, c->a);
  sb_fmt(&t, "%s, entry %s", c->model, b->s->entry);
  for (size_t i = 0; i < b->s->dims.n; i++)
    sb_fmt(&t, ", %s = %lld", b->s->dims.at[i].symbol->name, (long long)b->s->dims.at[i].value);
  if (device_of(b)) sb_fmt(&t, "; %s", device_of(b));
  else sb_fmt(&t, "; %s, %u thread%s", level_name(b->plan->cpu_level), b->threads, b->threads == 1 ? "" : "s");
  return sb_cstr(&t);
}

static exit_status print_as_text(cli *c, const bench_result *b) {
  printf("%s\n\n", title_of(c, b));
  printf("time        %.4g ms median, %.4g p10, %.4g p90, of %lld runs\n", b->time.median_ms, b->time.p10_ms,
         b->time.p90_ms, (long long)b->time.runs);
  printf("arithmetic  %.4g GFLOP/s, %.4g MFLOP a run", gflops(b), b->flops * 1e-6);
  if (b->peak_gflops > 0) printf("; %.1f%% of the measured peak, %.4g GFLOP/s", percent(b), b->peak_gflops);
  putchar('\n');
  printf("memory      %.4g GB/s, %s moved a run; arena %s, constants %s, peak RSS %s\n",
         b->bytes / b->time.median_ms * 1e-6, bytes_text(c->a, (uint64_t)b->bytes), bytes_text(c->a, b->arena_bytes),
         bytes_text(c->a, b->plan->constants_bytes), bytes_text(c->a, b->peak_rss_bytes));
  if (b->job)
    printf("compile     %.4g ms, prepare %.4g ms, %llu kernels\n", b->stats.total_ms - b->stats.prepare_ms,
           b->stats.prepare_ms, (unsigned long long)b->plan->kernels.count);
  if (b->roof) roofline_print(b->roof);
  return EXIT_done;
}

exit_status cmd_bench(cli *c) {
  exit_status status = EXIT_environment;
  if (c->opt.device && strcmp(c->opt.device, "cpu") && (c->opt.roofline || c->opt.svg)) {
    diag_at(&c->diags, NO_SPAN, cli_combination, "--roofline and --svg measure this CPU: they do not go with --device");
    return fail(c);
  }
  nnc_module *m = open_module(c, &status);
  if (!m) return status;
  signature *s = signature_of_module(c, m);
  ir_tensor **in = s ? inputs_make(c, s, true, job_is_library(c)) : NULL;
  compiled_run r;
  bench_result b = {.s = s, .plan = m->rt.plan, .job = m->job};
  profile *work = profile_new(c);
  if (!in || !run_prepare(c, &m->rt, s, in, &r) || !measure(c, &r, &b.time, work)) return fail(c);
  nnc_module_get_stats(m, &b.stats);
  count_work(work, &b.flops, &b.bytes);
  b.threads = rt_pool_threads(r.pool);
  b.arena_bytes = rt_session_arena_bytes(r.session);
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) == 0) b.peak_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
  if (!device_of(&b)) b.peak_gflops = measure_peak(c, r.pool); // of a device nothing is measured
  if (c->opt.profile && !profile_warm_run(c, &r, s)) return fail(c);
  if (c->opt.roofline || c->opt.svg) {
    int64_t runs = b.time.runs < MOST_ROOFLINE_RUNS ? b.time.runs : MOST_ROOFLINE_RUNS;
    b.roof = roofline_measure(c, &r, runs, b.peak_gflops);
    if (!b.roof || (c->opt.svg && !roofline_draw(c, b.roof, title_of(c, &b), c->opt.svg))) return fail(c);
  }
  return c->opt.json ? print_as_json(c, &b) : print_as_text(c, &b);
}
