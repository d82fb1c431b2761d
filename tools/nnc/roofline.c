// The roofline of a run: see roofline.h.
//
// A kernel that does f operations and moves b bytes takes at least max(f / peak, b / bandwidth). Both rates are
// measured, on as many threads as the run has; b counts each operand once, from memory. So a kernel may stay below its
// limit because it reads again what has left the cache, and one whose operands are still in a cache may pass it.
#include "tools/nnc/roofline.h"
#include "tools/nnc/peak.h"

#include <stdlib.h>

static roof_kernel *kernel_of(roofline *f, const rt_trace_event *e) {
  roof_kernel *k = map_get_ptr(f->by_symbol, e->kernel);
  if (k) return k;
  k = ARENA_NEW(f->a, roof_kernel);
  *k = (roof_kernel){.kernel = e->kernel, .label = e->label, .file = e->file, .line = e->line};
  map_put_ptr(f->by_symbol, e->kernel, k);
  vec_push(f->a, &f->kernels, k);
  return k;
}

static void note(void *user, const rt_trace_event *e) {
  if (e->kind != RT_TRACE_kernel) return;
  roof_kernel *k = kernel_of(user, e);
  k->calls++;
  k->flops += 2 * (double)e->macs;
  k->bytes += (double)(e->bytes_read + e->bytes_written);
  k->ms += (double)(e->end_ns - e->start_ns) * 1e-6;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int longest_first(const void *a, const void *b) {
  const roof_kernel *x = *(roof_kernel *const *)a, *y = *(roof_kernel *const *)b;
  return (x->ms < y->ms) - (x->ms > y->ms);
}

// Counts become those of one run, times the median of all.
static void finish(roofline *f, int64_t runs) {
  double all = 0;
  for (size_t i = 0; i < f->kernels.n; i++) {
    roof_kernel *k = f->kernels.at[i];
    k->calls /= (uint64_t)runs;
    k->flops /= (double)runs, k->bytes /= (double)runs;
    qsort(k->times_ms.at, k->times_ms.n, sizeof *k->times_ms.at, ascending);
    k->ms = k->times_ms.at[k->times_ms.n / 2];
    all += k->ms;
  }
  for (size_t i = 0; i < f->kernels.n; i++) f->kernels.at[i]->share = f->kernels.at[i]->ms / (all > 0 ? all : 1);
  if (f->kernels.n) qsort(f->kernels.at, f->kernels.n, sizeof *f->kernels.at, longest_first);
}

roofline *roofline_measure(cli *c, compiled_run *r, int64_t runs, double peak_gflops) {
  roofline *f = ARENA_NEW(c->a, roofline);
  *f = (roofline){.a = c->a, .peak_gflops = peak_gflops, .by_symbol = map_new(c->a)};
  f->read_gbytes_per_s = peak_gflops > 0 ? measure_reading(c, r->pool) : 0;
  if (f->read_gbytes_per_s <= 0) {
    diag_at(&c->diags, NO_SPAN, run_failed, "the machine's rates could not be measured");
    return NULL;
  }
  rt_session_trace(r->session, note, f);
  bool ok = true;
  for (int64_t i = 0; i < runs && ok; i++) {
    ok = run_once(c, r);
    for (size_t k = 0; k < f->kernels.n; k++) {
      vec_push(c->a, &f->kernels.at[k]->times_ms, f->kernels.at[k]->ms);
      f->kernels.at[k]->ms = 0;
    }
  }
  rt_session_trace(r->session, NULL, NULL);
  if (ok) finish(f, runs);
  return ok ? f : NULL;
}

double roof_intensity(const roof_kernel *k) { return k->bytes > 0 ? k->flops / k->bytes : 0; }

double roof_limit(const roofline *f, const roof_kernel *k) {
  double by_memory = roof_intensity(k) * f->read_gbytes_per_s;
  return by_memory < f->peak_gflops ? by_memory : f->peak_gflops;
}

double roof_percent(const roofline *f, const roof_kernel *k) {
  double arithmetic_ms = k->flops / f->peak_gflops * 1e-6, memory_ms = k->bytes / f->read_gbytes_per_s * 1e-6;
  return 100 * (arithmetic_ms > memory_ms ? arithmetic_ms : memory_ms) / (k->ms > 0 ? k->ms : 1e-6);
}

static double rate(double amount, const roof_kernel *k) { return amount / (k->ms > 0 ? k->ms : 1e-6) * 1e-6; }

void roofline_print(const roofline *f) {
  printf("\nroofline    %.4g GFLOP/s of multiply-adds, %.4g GB/s read from memory, both measured\n\n", f->peak_gflops,
         f->read_gbytes_per_s);
  puts("  #   time        ms   calls   GFLOP/s     GB/s   FLOP/B  limit GFLOP/s   of limit  kernel");
  for (size_t i = 0; i < f->kernels.n; i++) {
    const roof_kernel *k = f->kernels.at[i];
    printf("%3zu  %4.1f%%  %8.3g  %6llu  ", i + 1, 100 * k->share, k->ms, (unsigned long long)k->calls);
    if (k->flops > 0)
      printf("%8.4g %8.3g %8.3g  %13.4g", rate(k->flops, k), rate(k->bytes, k), roof_intensity(k), roof_limit(f, k));
    else printf("%8s %8.3g %8s  %13s", "-", rate(k->bytes, k), "-", "-");
    printf("  %8.1f%%  %s", roof_percent(f, k), k->kernel);
    if (k->line) printf("  %s:%u", k->file, k->line);
    putchar('\n');
  }
}

json_t *roofline_json(cli *c, const roofline *f) {
  json_t *out = json_object(), *list = json_array();
  json_object_set_new(out, "peak_gflops", json_real(f->peak_gflops));
  json_object_set_new(out, "read_gbytes_per_s", json_real(f->read_gbytes_per_s));
  json_object_set_new(out, "kernels", list);
  for (size_t i = 0; i < f->kernels.n; i++) {
    const roof_kernel *k = f->kernels.at[i];
    json_t *o = json_object();
    json_object_set_new(o, "kernel", json_string(k->kernel));
    json_object_set_new(o, "label", json_string(k->label));
    json_object_set_new(o, "yaml", k->line ? json_string(str_fmt(c->a, "%s:%u", k->file, k->line)) : json_null());
    json_object_set_new(o, "calls", json_integer((json_int_t)k->calls));
    json_object_set_new(o, "ms", json_real(k->ms));
    json_object_set_new(o, "share", json_real(k->share));
    json_object_set_new(o, "flops", json_integer((json_int_t)k->flops));
    json_object_set_new(o, "bytes_moved", json_integer((json_int_t)k->bytes));
    json_object_set_new(o, "gflops", json_real(rate(k->flops, k)));
    json_object_set_new(o, "gbytes_per_s", json_real(rate(k->bytes, k)));
    json_object_set_new(o, "flops_per_byte", json_real(roof_intensity(k)));
    json_object_set_new(o, "limit_gflops", json_real(roof_limit(f, k)));
    json_object_set_new(o, "percent_of_limit", json_real(roof_percent(f, k)));
    json_array_append_new(list, o);
  }
  return out;
}
