// nnc_run_async and nnc_wait on the CPU: the same bits as nnc_run, errors where they belong, and every wrong order of
// calls.
#include "digits_case.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

enum { SCORES = DIGITS_CASES * DIGITS_CLASSES };

typedef struct fixture {
  digits_case d;
  nnc_module *m;
  nnc_session *s;
  float logits[SCORES], probabilities[SCORES];
} fixture;

static int open_fixture(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  digits_case_open(&f->d);
  f->m = digits_module(NULL);
  assert_int_equal(nnc_session_new(&f->s, f->m, NULL), NNC_OK);
  *state = f;
  return 0;
}

static int close_fixture(void **state) {
  fixture *f = *state;
  nnc_session_free(f->s);
  nnc_module_free(f->m);
  digits_case_close(&f->d);
  free(f);
  return 0;
}

static nnc_status start(fixture *f, int64_t batch, int64_t rows_of_output) {
  nnc_tensor in = nnc_tensor_of(NNC_F32, (void *)(uintptr_t)f->d.images, 3, (const int64_t[]){batch, 8, 8});
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, f->logits, 2, (const int64_t[]){rows_of_output, DIGITS_CLASSES}),
                      nnc_tensor_of(NNC_F32, f->probabilities, 2, (const int64_t[]){rows_of_output, DIGITS_CLASSES})};
  return nnc_run_async(f->s, 0, &in, 1, out, 2); // the arrays are gone when it returns
}

static void the_same_bits(void **state) {
  fixture *f = *state;
  float logits[SCORES], probabilities[SCORES];
  for (int64_t batch = 1; batch <= DIGITS_CASES; batch += 5) {
    size_t bytes = (size_t)batch * DIGITS_CLASSES * sizeof(float);
    memset(f->logits, 0, sizeof f->logits);
    assert_int_equal(start(f, batch, batch), NNC_OK);
    assert_int_equal(nnc_wait(f->s), NNC_OK);
    assert_string_equal(nnc_session_error(f->s), "");
    assert_int_equal(digits_run(f->s, batch, f->d.images, logits, probabilities), NNC_OK);
    assert_memory_equal(logits, f->logits, bytes);
    assert_memory_equal(probabilities, f->probabilities, bytes);
  }
}

static void two_sessions_at_once(void **state) {
  fixture *f = *state, other = *f;
  assert_int_equal(nnc_session_new(&other.s, f->m, NULL), NNC_OK);
  for (int i = 0; i < 50; i++) {
    assert_int_equal(start(f, DIGITS_CASES, DIGITS_CASES), NNC_OK);
    assert_int_equal(start(&other, DIGITS_CASES, DIGITS_CASES), NNC_OK);
    assert_int_equal(nnc_wait(f->s), NNC_OK);
    assert_int_equal(nnc_wait(other.s), NNC_OK);
    assert_memory_equal(f->logits, other.logits, sizeof f->logits);
    memset(f->logits, 0, sizeof f->logits);
    memset(other.logits, 1, sizeof other.logits);
  }
  nnc_session_free(other.s);
}

static void calls_in_the_wrong_order(void **state) {
  fixture *f = *state;
  float logits[SCORES], probabilities[SCORES];
  nnc_tensor in = nnc_tensor_of(NNC_F32, (void *)(uintptr_t)f->d.images, 3, (const int64_t[]){1, 8, 8}), out[2];
  assert_int_equal(nnc_wait(NULL), NNC_E_ARGUMENT);
  assert_int_equal(nnc_wait(f->s), NNC_E_ARGUMENT);
  assert_string_equal(nnc_session_error(f->s), "no run is under way");
  assert_int_equal(start(f, 3, 3), NNC_OK);
  assert_int_equal(start(f, 3, 3), NNC_E_ARGUMENT);
  assert_string_equal(nnc_session_error(f->s), "a run is under way: nnc_wait comes first");
  assert_int_equal(digits_run(f->s, 1, f->d.images, logits, probabilities), NNC_E_ARGUMENT);
  assert_int_equal(nnc_shapes(f->s, 0, &in, 1, out, 2), NNC_E_ARGUMENT);
  assert_int_equal(nnc_session_set_dim(f->s, "batch", 1), NNC_E_ARGUMENT);
  assert_int_equal(nnc_session_reset(f->s), NNC_E_ARGUMENT);
  assert_int_equal(nnc_wait(f->s), NNC_OK); // and none of them has disturbed it
  assert_true(relative_error(f->logits, f->d.logits, 3 * DIGITS_CLASSES) < 1e-5);
  assert_int_equal(nnc_wait(f->s), NNC_E_ARGUMENT);
  assert_int_equal(digits_run(f->s, 1, f->d.images, logits, probabilities), NNC_OK);
}

static void what_is_wrong_at_once(void **state) {
  fixture *f = *state;
  assert_int_equal(nnc_run_async(NULL, 0, NULL, 0, NULL, 0), NNC_E_ARGUMENT);
  assert_int_equal(nnc_run_async(f->s, 9, NULL, 0, NULL, 0), NNC_E_ARGUMENT);
  assert_int_equal(start(f, 3, 4), NNC_E_MODEL);
  assert_non_null(strstr(nnc_session_error(f->s), "output `logits`: dim 0 is 4; expected 3"));
  assert_int_equal(nnc_wait(f->s), NNC_E_ARGUMENT); // nothing runs
  assert_int_equal(start(f, 3, 3), NNC_OK);
  assert_int_equal(nnc_wait(f->s), NNC_OK);
}

static void freed_while_it_runs(void **state) {
  fixture *f = *state;
  for (int i = 0; i < 20; i++) {
    assert_int_equal(start(f, DIGITS_CASES, DIGITS_CASES), NNC_OK);
    nnc_session_free(f->s); // waits: the memory below is the caller's again
    assert_true(relative_error(f->logits, f->d.logits, SCORES) < 1e-5);
    memset(f->logits, 0, sizeof f->logits);
    assert_int_equal(nnc_session_new(&f->s, f->m, NULL), NNC_OK);
  }
}

// -- data errors, state, traces --

static const char rows[] = "nnc: 1\nname: rows\nstate:\n  calls: i32 = 0\nentries:\n  forward:\n    inputs:\n"
                           "      x: f32[4, 3]\n      row: i32\n    steps:\n    - update calls: calls + 1\n"
                           "    - y: x[row] * 2\n    outputs:\n      y: y\n      calls: calls\n";

static void count_event(void *user, const nnc_trace_event *event) {
  (void)event;
  ++*(int *)user;
}

static void data_errors_come_with_the_wait(void **state) {
  (void)state;
  nnc_module *m;
  nnc_session *s;
  float x[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, y[3];
  int32_t row = 3, calls;
  int events = 0;
  assert_int_equal(nnc_module_compile(&m, rows, strlen(rows), "rows.yaml", NULL, NULL), NNC_OK);
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  nnc_session_trace(s, count_event, &events);
  nnc_tensor in[] = {nnc_tensor_of(NNC_F32, x, 2, (const int64_t[]){4, 3}), nnc_tensor_of(NNC_I32, &row, 0, NULL)};
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, y, 1, (const int64_t[]){3}), nnc_tensor_of(NNC_I32, &calls, 0, NULL)};
  for (int i = 1; i <= 2; i++) {
    row = 3;
    assert_int_equal(nnc_run_async(s, 0, in, 2, out, 2), NNC_OK);
    assert_int_equal(nnc_wait(s), NNC_OK);
    assert_true(calls == i && y[0] == 18 && y[2] == 22 && events > 0);
    row = 4;
    assert_int_equal(nnc_run_async(s, 0, in, 2, out, 2), NNC_OK);
    assert_int_equal(nnc_wait(s), NNC_E_DATA); // and the state is as it was
    assert_non_null(strstr(nnc_session_error(s), "line 12: a slice begins out of range"));
    events = 0;
  }
  nnc_session_free(s);
  nnc_module_free(m);
}

int main(void) {
#define ON_DIGITS(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)
  const struct CMUnitTest tests[] = {ON_DIGITS(the_same_bits),
                                     ON_DIGITS(two_sessions_at_once),
                                     ON_DIGITS(calls_in_the_wrong_order),
                                     ON_DIGITS(what_is_wrong_at_once),
                                     ON_DIGITS(freed_while_it_runs),
                                     cmocka_unit_test(data_errors_come_with_the_wait)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
