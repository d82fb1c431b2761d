// The prelude, compiled, against the reference vectors: every case of tests/ref that is an expression of the model
// language and whose operators are all compiled goes through the passes, the schedules and the back end, with constant
// extents and with dims in their place.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "op/engines.h"
#include "op/prelude_cases.h"

static const char *const variant[] = {"constant extents", "first extent open", "all extents open"};

typedef struct tally {
  size_t n_compiled, n_refused, n_images;
} tally;

static ref_verdict complain(const ref_case *c, extents how, const char *why) {
  fprintf(stderr, "%s/%s (%s): %s: %s\n", c->file, c->name, variant[how], c->text, why);
  return REF_failed;
}

static bool only_refused(const engines *e) {
  for (size_t i = 0; i < e->job.diags.items.n; i++)
    if (e->job.diags.items.at[i]->id != DIAG_ID_op_not_compiled) return false;
  return e->job.diags.items.n > 0;
}

// Compiled sums are taken in f32, lane by lane, the interpreter's in f64, which most bounds are made for.
static ref_case widened(const ref_case *c) {
  ref_case w = *c;
  char *end;
  double bound = strtod(c->bound, &end);
  if (*end == 0 && bound < 1e-5) w.bound = "1e-5";
  return w;
}

static ref_verdict run_variant(tally *t, arena *a, const ref_case *c, extents how) {
  diag_list l;
  diag_init(&l, a);
  str text = prelude_case_text(a, c, how);
  const char *why = "it does not load";
  ir_module *m = frontend_load(a, &l, "case.yaml", &text, NULL);
  if (!m && how != EXT_constant) return REF_skipped; // a weight's width, a count that must be known
  if (!m || !prelude_case_weights(m, a, c->store, str_fmt(a, "%s.", c->name), &why)) return complain(c, how, why);
  engines e;
  ir_tensor *out[64];
  if (!engines_open(&e, a, m, NULL)) {
    if (!only_refused(&e)) return complain(c, how, engines_messages(&e));
    t->n_refused++;
    return REF_skipped;
  }
  if (!engines_run_jit(&e, a, c->in, out, 1)) return complain(c, how, engines_messages(&e));
  ref_case w = widened(c);
  strbuf differs;
  sb_init(&differs, a);
  if (!ref_compare(&w, (const ir_tensor *const *)out, &differs)) return complain(c, how, sb_cstr(&differs));
  t->n_compiled++;
  t->n_images += strcmp(c->file, "resampled") == 0;
  return REF_passed;
}

static ref_verdict run_case(void *user, arena *a, const ref_case *c) {
  const char *only = getenv("NNC_CASE");
  if (!c->is_prelude || (only && !strstr(c->name, only))) return REF_skipped;
  ref_verdict v = run_variant(user, a, c, EXT_constant);
  return v == REF_failed || run_variant(user, a, c, EXT_all_open) == REF_failed ? REF_failed : v;
}

static void compiled_prelude_meets_the_references(void **state) {
  (void)state;
  tally t = {0};
  ref_totals totals = ref_for_each(NNC_SOURCE_DIR "/tests/ref", run_case, &t);
  print_message("%zu models compiled, %zu not compiled and saying so, %zu cases failed\n", t.n_compiled, t.n_refused,
                totals.n_failed);
  assert_int_equal(totals.n_failed, 0);
  if (getenv("NNC_CASE")) return;
  assert_true(t.n_compiled > 300);
  assert_true(t.n_images >= 35); // all of them
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(compiled_prelude_meets_the_references)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
