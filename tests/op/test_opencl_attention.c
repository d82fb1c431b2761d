// Attention by groups of workers, in every style (attention_cases.def) and at widths of many sizes: the graph
// interpreter and the kernel interpreter judge what a device computes (skipped, with the reason, where there is none).
//
//   NNC_SEED        first seed; else 1
//   NNC_CASES=all   every case on every target, and many widths; else they take turns
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op/agree.h"
#include "op/attention_cases.h"
#include "op/cl_agree.h"
#include "passes/program.h"
#include "support/kernel_judge.h"
#include "support/random.h"

// The driver's compiler takes the time, and under a sanitizer is not checked.
#ifdef __SANITIZE_ADDRESS__
enum { ONE_OF = 40, WIDTHS = 2 };
#else
enum { ONE_OF = 12, WIDTHS = 4 };
#endif

static const char *const targets[] = {"opencl-local", "opencl-local-64"};
enum { TARGETS = sizeof targets / sizeof *targets };

typedef struct tally {
  cl_host *host;
  uint64_t seed, failures;
  agree_counts counts;
} tally;

static void open_tally(tally *t, arena *a) {
  const char *seed = getenv("NNC_SEED");
  *t = (tally){.host = cl_host_or_skip(a, false), .seed = seed ? strtoull(seed, NULL, 10) : 1};
}

static void judge(tally *t, const attention_case *c, uint64_t seed, const char *cpu) {
  arena *a = arena_new(NULL);
  diag_list l;
  strbuf why;
  sb_init(&why, a);
  ir_module *m = attention_case_load(a, &l, c);
  agree_device device = {cpu, cl_host_engine, t->host};
  if (!m) sb_z(&why, messages_of(a, &l));
  if (!m || !engines_agree(a, m, seed, &device, &t->counts, &why)) {
    print_error("%s (%s; %s), seed %llu: %s\n", c->name, c->dims, c->inputs, (unsigned long long)seed, sb_cstr(&why));
    t->failures++;
  }
  arena_free(a);
}

static void close_tally(const tally *t) {
  print_message("%s: %llu tensors, %llu of them vague\n", cl_host_device(t->host),
                (unsigned long long)t->counts.tensors, (unsigned long long)t->counts.vague);
  assert_int_equal(t->failures, 0);
}

static void every_style(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  tally t;
  open_tally(&t, a);
  const char *cases = getenv("NNC_CASES");
  bool all = cases && !strcmp(cases, "all");
  for (size_t i = 0; i < attention_n_cases; i++)
    for (size_t k = 0; k < TARGETS; k++) {
      if (all || (i + t.seed) % ONE_OF == 2 * k) judge(&t, &attention_cases[i], t.seed + i, targets[k]);
    }
  close_tally(&t);
  arena_free(a);
}

// Heads of any width, few and many queries, masks, biases, grouped heads, in f32 and bf16.
static void every_width(void **state) {
  (void)state;
  static const int64_t widths[] = {1, 5, 16, 33, 40, 64, 96, 128, 260};
  static const char *const styles[] = {
      "attention(q, kk, vv)",
      "attention(q, kk, vv, causal=True)",
      "attention(q, kk, vv, causal=True, window=11)",
      "attention(q, kk, vv, bias)",
      "attention(q, kk, vv, bias[:, :1])",
      "linear_attention(q, kk, vv)",
      "linear_attention(q, kk, vv, causal=True)",
  };
  arena *a = arena_new(NULL);
  tally t;
  open_tally(&t, a);
  const char *cases = getenv("NNC_CASES");
  for (uint64_t i = 0; i < (cases && !strcmp(cases, "all") ? 24 : WIDTHS); i++) {
    uint64_t of = t.seed + 1000 * i;
    int64_t d = widths[random_below(&of, sizeof widths / sizeof *widths)];
    int64_t e = random_below(&of, 2) ? d : widths[random_below(&of, sizeof widths / sizeof *widths)];
    int64_t groups = 1 + (int64_t)random_below(&of, 3), few = random_below(&of, 3);
    const char *style = styles[random_below(&of, sizeof styles / sizeof *styles)];
    const char *dt = random_below(&of, 4) ? "f32" : "bf16";
    attention_case c = {.name = style};
    c.dims = few == 0 ? "m: 1..6; n: 1..70" : few == 1 ? "m: 1..70; n: 1..70" : "m: 20..70; n: 1..70";
    c.inputs = str_fmt(a, "q: f32[1, %d, m, %d]; k: %s[1, 2, n, %d]; v: %s[1, 2, n, %d]; bias: f32[1, %d, m, n]",
                       (int)(2 * groups), (int)d, dt, (int)d, dt, (int)e, (int)(2 * groups));
    c.steps = str_fmt(a, "- kk: cast(k, f32)\n- vv: cast(v, f32)\n- y: %s\n", style);
    judge(&t, &c, t.seed + i, targets[i % TARGETS]);
  }
  close_tally(&t);
  arena_free(a);
}

// Every kernel of attention has workers, and scratch that any device's local memory holds: 16 KB where heads are not
// wider than 128, 32 KB else. Linear ones whose state no registers hold are left to one worker.
static void scratch_fits(void **state) {
  (void)state;
  static const int widths[] = {1, 5, 40, 64, 80, 128, 256, 512};
  static const char *const steps[] = {"- y: attention(q, k, v)\n", "- y: linear_attention(q, k, v, causal=True)\n"};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
    for (size_t of = 0; of < TARGETS * sizeof steps / sizeof *steps; of++) {
      arena *a = arena_new(NULL);
      bool linear = of / TARGETS;
      int w = widths[i];
      attention_case c = {.name = "widths", .dims = "m: 1..700; n: 1..700", .steps = steps[linear]};
      c.inputs = str_fmt(a, "q: f32[1, 2, m, %d]; k: f32[1, 2, n, %d]; v: f32[1, 2, n, %d]", w, w, w);
      diag_list l;
      ir_module *m = attention_case_load(a, &l, &c);
      pass_context context = {.a = a, .diags = &l, .target = target_find(targets[of % TARGETS])};
      pass_options options = PASS_OPTIONS_INIT;
      program_set *set = m && pass_run_all(&context, m, &options, NULL) ? lower_module(&context, m) : NULL;
      if (!set) fail_msg("%s", messages_of(a, &l));
      for (size_t k = 0; k < set->kernels.n; k++) {
        const kir_kernel *kernel = set->kernels.at[k];
        int64_t bytes = 0, extent;
        for (size_t g = 0; g < kernel->group.n; g++)
          if (idx_is_const(kernel->group.at[g]->dim[0], &extent)) bytes += 4 * extent;
        if (!strstr(kernel->name, "attention") && !strstr(kernel->name, "parts")) continue;
        if (linear && w > 64) continue;
        assert_true(kernel->n_workers > 0);
        if (bytes > (w <= 128 ? 16 : 32) * 1024) fail_msg("width %d: %lld bytes", w, (long long)bytes);
      }
      arena_free(a);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(scratch_fits), cmocka_unit_test(every_style),
                                     cmocka_unit_test(every_width)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
