// The reference vectors through the passes and schedules of the target `opencl`, and the kernels as OpenCL C on a
// device (skipped, with the reason, where there is none). What is a routine of the runtime runs as such.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op/cl_agree.h"
#include "op/engines.h"
#include "op/ref_cases.h"

#ifdef __SANITIZE_ADDRESS__ // what takes the time, the driver's compiler, is not checked
enum { ONE_OF = 12 };
#else
enum { ONE_OF = 6 };
#endif

static const char *const targets[] = {"opencl", "opencl-local", "opencl-local-64"}; // cases take turns

typedef struct tally {
  cl_host *host;
  size_t n_seen;
  bool all;
} tally;

static ref_verdict complain(const ref_case *c, const char *what, const char *why) {
  fprintf(stderr, "%s/%s (%s): %s: %s\n", c->file, c->name, what, c->text, why);
  return REF_failed;
}

static ref_verdict run_case(void *user, arena *a, const ref_case *c) {
  tally *t = user;
  op_code op;
  if (!ref_operator(c, &op) || !op_has(op, OPF_COMPILED)) return REF_skipped; // test_op_compiled has those not compiled
  if (t->n_seen++ % ONE_OF != 0 && !t->all) return REF_skipped; // building them all takes minutes: NNC_CASES=all
  const char *cpu = targets[t->n_seen / ONE_OF % (sizeof targets / sizeof *targets)];
  diag_list l;
  diag_init(&l, a);
  ir_module *m = ref_module(a, &l, c);
  engines e;
  ir_tensor *out[64];
  strbuf why;
  sb_init(&why, a);
  if (!m) return complain(c, "text", "the case does not parse");
  if (!engines_open(&e, a, m, cpu)) return complain(c, "compile", engines_messages(&e));
  if (!engines_run_kernels_by(&e, a, cl_host_engine, t->host, c->in, out))
    return complain(c, "device", engines_messages(&e));
  ref_case w = ref_in_f32(c, op);
  if (!ref_compare(&w, (const ir_tensor *const *)out, &why)) return complain(c, "device", sb_cstr(&why));
  return REF_passed;
}

static void meets_the_references(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  const char *cases = getenv("NNC_CASES");
  tally t = {.host = cl_host_or_skip(a, false), .all = getenv("NNC_CASE") || (cases && strcmp(cases, "all") == 0)};
  ref_totals totals = ref_for_each(NNC_SOURCE_DIR "/tests/ref", run_case, &t);
  print_message("%s: %zu cases passed, %zu failed\n", cl_host_device(t.host), totals.n_passed, totals.n_failed);
  arena_free(a);
  assert_int_equal(totals.n_failed, 0);
  if (!getenv("NNC_CASE")) assert_true(totals.n_passed > 600 / ONE_OF);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(meets_the_references)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
