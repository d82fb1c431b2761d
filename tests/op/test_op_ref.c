// The interpreter against the reference vectors: every operator case of tests/ref, computed by libraries that know
// nothing of nnc. Cases in the model language need the front end; they are counted as skipped here.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "op/ref_cases.h"

typedef struct coverage {
  bool op[OP_COUNT];
} coverage;

static ref_verdict complain(const ref_case *c, const char *why) {
  fprintf(stderr, "%s/%s: %s: %s\n", c->file, c->name, c->text, why);
  return REF_failed;
}

static ref_verdict run_case(void *user, arena *a, const ref_case *c) {
  coverage *seen = user;
  if (c->is_prelude) return REF_skipped;
  op_code op;
  if (op_find((str){c->text, strcspn(c->text, "(")}, &op)) seen->op[op] = true;
  diag_list l;
  diag_init(&l, a);
  strbuf why;
  sb_init(&why, a);
  ir_module *m = ref_module(a, &l, c);
  ir_tensor *got[64];
  if (m && graph_verify(m) && interp_run(a, m->graphs.at[0], c->in, got, NULL))
    return ref_compare(c, (const ir_tensor *const *)got, &why) ? REF_passed : complain(c, sb_cstr(&why));
  diag_render_all(&l, false, &why);
  return complain(c, sb_cstr(&why));
}

// Operators that need more than one application to mean something have unit tests instead.
static bool has_own_tests(op_code op) {
  const op_info *o = op_get(op);
  return o->cls == OPC_control || op == OP_input || op == OP_weight || op == OP_state || op == OP_check ||
         op == OP_bind;
}

static void interpreter_meets_the_references(void **state) {
  (void)state;
  coverage seen = {{false}};
  ref_totals totals = ref_for_each(NNC_SOURCE_DIR "/tests/ref", run_case, &seen);
  print_message("%zu files: %zu cases passed, %zu failed, %zu skipped\n", totals.n_files, totals.n_passed,
                totals.n_failed, totals.n_skipped);
  assert_int_equal(totals.n_failed, 0);
  assert_true(totals.n_passed > 500);
  for (int op = 0; op < OP_COUNT; op++)
    if (!seen.op[op] && !has_own_tests((op_code)op)) fail_msg("no reference case for `%s`", op_get((op_code)op)->name);
}

// The harness itself: what it must not accept.
static void comparison_finds_differences(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  const int64_t dim[] = {2, 2};
  ir_tensor *expected = ir_tensor_new(a, DT_f32, 2, dim), *got = ir_tensor_new(a, DT_f32, 2, dim);
  const float want[4] = {1, 0.0f, NAN, INFINITY};
  static const struct {
    const char *bound;
    float value[4];
    bool ok;
  } trials[] = {
      {"exact", {1, 0.0f, NAN, INFINITY}, true},          {"exact", {1, -0.0f, NAN, INFINITY}, false},
      {"exact", {1.0000001f, 0, NAN, INFINITY}, false},   {"exact", {1, 0, 0, INFINITY}, false},
      {"ulp:1", {1.0000001f, 0, NAN, INFINITY}, true},    {"ulp:1", {1.0000002f, 0, NAN, INFINITY}, false},
      {"ulp:1", {0.99999994f, 0, NAN, INFINITY}, true},   {"ulp:9", {1, -0.0f, NAN, INFINITY}, false},
      {"ulp:9", {1, 0, NAN, 3.4028235e38f}, false},       {"ulp:9", {1, 0, NAN, -INFINITY}, false},
      {"1e-3", {1.0009f, -0.0009f, NAN, INFINITY}, true}, {"1e-3", {1.002f, 0, NAN, INFINITY}, false},
      {"1e-3", {1, 0.002f, NAN, INFINITY}, false},        {"1e-3", {1, 0, NAN, NAN}, false},
      {"1e-3", {NAN, 0, NAN, INFINITY}, false},           {"2", {INFINITY, 0, NAN, INFINITY}, false},
  };
  memcpy(expected->data, want, sizeof want);
  for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
    ref_case c = {.bound = trials[i].bound, .n_out = 1, .out = (const ir_tensor *const[]){expected}};
    strbuf why;
    sb_init(&why, a);
    memcpy(got->data, trials[i].value, sizeof want);
    if (ref_compare(&c, (const ir_tensor *const[]){got}, &why) != trials[i].ok)
      fail_msg("trial %zu: %s", i, sb_cstr(&why));
    assert_true(trials[i].ok == (why.n == 0));
  }
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(comparison_finds_differences),
      cmocka_unit_test(interpreter_meets_the_references),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
