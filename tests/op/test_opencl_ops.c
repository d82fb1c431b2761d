// Every elementwise operator, and every cast, at every dtype it takes, as OpenCL C on a device: see support/trials.h.
// Skipped, with the reason, where there is no device.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "support/cl_host.h"
#include "support/trials.h"

enum { BATCH = 64 }; // kernels of one program

// What OpenCL 1.2 allows (7.4); f16 and bf16 round that once more.
static double bound_ulp(op_code op, dtype dt) {
  if (dt == DT_f16 || dt == DT_bf16) return 1;
  switch ((int)op) {
  case OP_log1p:
  case OP_rsqrt: return 2;
  case OP_exp:
  case OP_expm1:
  case OP_log: return 3;
  case OP_sin:
  case OP_cos: return 4;
  case OP_tan:
  case OP_atan:
  case OP_tanh: return 5;
  case OP_sigmoid: return 3 + 1.5; // of exp, a sum and a division
  default: return 16;              // erf, erfinv, pow
  }
}

static bool never(op_code op) {
  (void)op;
  return false;
}

typedef struct batch {
  arena *a;
  cl_host *host;
  size_t n, n_trials, n_failed;
  trial t[BATCH];
  kir_kernel *k[BATCH];
} batch;

static void run_one(batch *b, const cl_host_kernel *c, const trial *t) {
  void *p[4] = {NULL};
  int64_t fault;
  for (uint32_t i = 0; i < t->n_in; i++) p[i] = arena_alloc(b->a, TRIAL_N * dtype_size(t->in[i]));
  p[t->n_in] = arena_alloc(b->a, TRIAL_N * dtype_size(t->out));
  trial_fill(t, p);
  const char *why = cl_host_run(c, p, NULL, &fault);
  if (!why) why = trial_judge(b->a, t, &(trial_bounds){bound_ulp, never}, p);
  if (why) print_error("%s\n", why);
  b->n_failed += why != NULL;
  b->n_trials++;
}

static void run_batch(batch *b) {
  cl_host_kernel *c[BATCH];
  const char *why;
  if (b->n == 0) return;
  if (!cl_host_compile_all(b->host, b->a, b->n, b->k, c, &why)) fail_msg("%s", why);
  for (size_t i = 0; i < b->n; i++) run_one(b, c[i], &b->t[i]);
  b->n = 0;
}

static bool needs_fp64(const trial *t) {
  bool any = t->out == DT_f64;
  for (uint32_t i = 0; i < t->n_in; i++) any = any || t->in[i] == DT_f64;
  return any;
}

static void add_trial(void *user, const trial *t) {
  batch *b = user;
  diag_list l;
  diag_init(&l, b->a);
  if (needs_fp64(t) && !cl_host_has_fp64(b->host)) return;
  const char *text = trial_text(b->a, t, str_fmt(b->a, "k%zu", b->n));
  b->t[b->n] = *t;
  b->k[b->n] = kir_parse(b->a, &l, diag_add_file(&l, "trial", str_of(text)));
  assert_non_null(b->k[b->n]);
  if (++b->n == BATCH) run_batch(b);
}

static void run_all(void (*trials)(void (*run)(void *user, const trial *t), void *user), size_t least) {
  arena *a = arena_new(NULL);
  batch b = {.a = a, .host = cl_host_or_skip(a, false)};
  trials(add_trial, &b);
  run_batch(&b);
  print_message("%s: %zu trials\n", cl_host_device(b.host), b.n_trials);
  arena_free(a);
  assert_int_equal(b.n_failed, 0);
  assert_true(b.n_trials > least);
}

static void operators(void **state) {
  (void)state;
  run_all(trials_of_operators, 100);
}

static void casts(void **state) {
  (void)state;
  run_all(trials_of_casts, 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(operators), cmocka_unit_test(casts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
