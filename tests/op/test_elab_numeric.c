// The prelude against the reference vectors: each case of tests/ref that is an expression of the model language becomes
// a small model, which is elaborated and interpreted. Then again with sizes in place of constant extents: what
// elaborates so must give the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/frontend.h"
#include "op/prelude_cases.h"

static const char *const variant[] = {"constant extents", "first extent open", "all extents open"};

static ref_verdict complain(const ref_case *c, extents how, const char *why) {
  fprintf(stderr, "%s/%s (%s): %s: %s\n", c->file, c->name, variant[how], c->text, why);
  return REF_failed;
}

static size_t n_open[3]; // cases that elaborate so

static ref_verdict run_variant(arena *a, const ref_case *c, extents how) {
  diag_list l;
  diag_init(&l, a);
  strbuf why;
  sb_init(&why, a);
  str text = prelude_case_text(a, c, how);
  ir_module *m = frontend_load(a, &l, "case.yaml", &text, NULL);
  if (!m && how != EXT_constant) return REF_skipped; // a weight's width, a count that must be known
  const char *problem = "";
  if (m && !graph_verify(m)) problem = "the graph does not verify";
  else if (m && !prelude_case_weights(m, a, c->store, str_fmt(a, "%s.", c->name), &problem)) m = NULL;
  else if (m) {
    ir_tensor **got = ARENA_ARRAY(a, ir_tensor *, c->n_out);
    if (interp_run(a, m->graphs.at[0], c->in, got, NULL)) {
      n_open[how]++;
      return ref_compare(c, (const ir_tensor *const *)got, &why) ? REF_passed : complain(c, how, sb_cstr(&why));
    }
  }
  sb_z(&why, problem);
  sb_char(&why, '\n');
  diag_render_all(&l, false, &why);
  return complain(c, how, sb_cstr(&why));
}

static ref_verdict run_case(void *user, arena *a, const ref_case *c) {
  size_t *n = user;
  if (!c->is_prelude) return REF_skipped;
  ++*n;
  ref_verdict v = run_variant(a, c, EXT_constant);
  for (extents how = EXT_first_open; how <= EXT_all_open && v == REF_passed; how++) {
    if (run_variant(a, c, how) == REF_failed) v = REF_failed;
  }
  return v;
}

static void prelude_meets_the_references(void **state) {
  (void)state;
  size_t n = 0;
  ref_totals t = ref_for_each(NNC_SOURCE_DIR "/tests/ref", run_case, &n);
  print_message(
      "%zu cases of the language; %zu passed, %zu failed; %zu also with the first extent open, %zu with all\n", n,
      t.n_passed, t.n_failed, n_open[EXT_first_open], n_open[EXT_all_open]);
  assert_int_equal(t.n_failed, 0);
  assert_true(n >= 200 && t.n_passed == n);
  assert_true(n_open[EXT_first_open] * 10 >= n * 8);
  assert_true(n_open[EXT_all_open] * 10 >= n * 6);
}

// A trained model, judged by the framework that trained it.
static void digits_are_read(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  ir_module *m = frontend_load(a, &l, NNC_SOURCE_DIR "/models/vision/digits.yaml", NULL, NULL);
  const st_file *weights = st_open(a, &l, NNC_SOURCE_DIR "/models/vision/digits.safetensors");
  const st_file *expected = st_open(a, &l, NNC_SOURCE_DIR "/tests/data/digits_expected.safetensors");
  assert_true(m && weights && expected);
  const char *problem = "";
  if (!prelude_case_weights(m, a, weights, "", &problem)) fail_msg("%s", problem);
  const ir_tensor *image = st_copy(a, st_find(expected, "image"));
  ir_tensor *got[2];
  assert_true(interp_run(a, m->graphs.at[0], &image, got, NULL));
  const char *const names[] = {"logits", "probabilities"};
  for (size_t i = 0; i < 2; i++) {
    const ir_tensor *want = st_copy(a, st_find(expected, names[i]));
    for (int64_t k = 0; k < ir_tensor_count(want); k++)
      assert_float_equal(((const float *)got[i]->data)[k], ((const float *)want->data)[k], i == 1 ? 1e-6f : 1e-4f);
  }
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(prelude_meets_the_references), cmocka_unit_test(digits_are_read)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
