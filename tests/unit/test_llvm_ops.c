// Every elementwise operator, and every cast, at every dtype it takes, as machine code: see support/trials.h.
// test_math.c proves tighter bounds over all binades.
#include "llvm_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/trials.h"

static double bound_ulp(op_code op, dtype dt) {
  (void)op;
  return dt == DT_f32 ? 2.5 : dt == DT_f64 ? 4 : 1;
}

static bool flushes(op_code op) { return op == OP_exp || op == OP_sigmoid; }

typedef struct at_level {
  llvm_run *f;
  const char *level;
} at_level;

static void run_trial(void *user, const trial *t) {
  const at_level *x = user;
  llvm_code c = llvm_load(x->f, x->level, llvm_parse(x->f, trial_text(x->f->a, t, "k")));
  void *p[4] = {NULL};
  for (uint32_t i = 0; i < t->n_in; i++) p[i] = llvm_fenced(x->f, TRIAL_N * dtype_size(t->in[i]));
  p[t->n_in] = llvm_fenced(x->f, TRIAL_N * dtype_size(t->out));
  trial_fill(t, p);
  llvm_call(c, p, NULL);
  const char *why = trial_judge(x->f->a, t, &(trial_bounds){bound_ulp, flushes}, p);
  if (why) fail_msg("%s: %s", x->level, why);
}

static void run_operators(llvm_run *f, const char *level) {
  if (!llvm_runnable(level)) skip();
  trials_of_operators(run_trial, &(at_level){f, level});
}

static void run_casts(llvm_run *f, const char *level) {
  if (!llvm_runnable(level)) skip();
  trials_of_casts(run_trial, &(at_level){f, level});
}

static void test_operators_baseline(void **state) { run_operators(*state, "x86-64"); }

static void test_operators_v3(void **state) { run_operators(*state, "x86-64-v3"); }

static void test_operators_v4(void **state) { run_operators(*state, "x86-64-v4"); }

static void test_casts_baseline(void **state) { run_casts(*state, "x86-64"); }

static void test_casts_v3(void **state) { run_casts(*state, "x86-64-v3"); }

static void test_casts_v4(void **state) { run_casts(*state, "x86-64-v4"); }

#define TEST(f) cmocka_unit_test_setup_teardown(f, llvm_setup, llvm_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_operators_baseline), TEST(test_operators_v3), TEST(test_operators_v4),
                                     TEST(test_casts_baseline),     TEST(test_casts_v3),     TEST(test_casts_v4)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
