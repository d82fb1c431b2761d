// nnc_run_async and nnc_wait on a device: nothing waits before nnc_wait, not for a routine either; errors of
// the driver and of the data come with the wait.
#include "device_case.h"
#include "api/handles.h"
#include "watched_api.h"
#include <string.h>

enum { CLASSES = 10 };

typedef struct fixture {
  nnc_module *m;
  nnc_session *s;
} fixture;

static fixture open_text(const char *path, const char *text) {
  fixture f = {.m = open_on("opencl", path, text, NULL)};
  watch_calls(&f.m->job->opencl->api);
  assert_int_equal(nnc_session_new(&f.s, f.m, NULL), NNC_OK);
  return f;
}

static void close_text(fixture *f) {
  nnc_session_free(f->s);
  nnc_module_free(f->m);
}

static float images[3 * 64], logits[2][3 * CLASSES], probabilities[2][3 * CLASSES];

static nnc_status digits(fixture *f, int which, int64_t rows, bool wait) {
  nnc_tensor in = nnc_tensor_of(NNC_F32, images, 3, (const int64_t[]){rows, 8, 8});
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, logits[which], 2, (const int64_t[]){rows, CLASSES}),
                      nnc_tensor_of(NNC_F32, probabilities[which], 2, (const int64_t[]){rows, CLASSES})};
  return wait ? nnc_run(f->s, 0, &in, 1, out, 2) : nnc_run_async(f->s, 0, &in, 1, out, 2);
}

static void nothing_waits_before_the_wait(void **state) {
  (void)state;
  needs_device();
  fixture f = open_text(NNC_SOURCE_DIR "/models/vision/digits.yaml", NULL);
  for (int i = 0; i < 3 * 64; i++) images[i] = (float)(i % 17) / 16;
  assert_int_equal(digits(&f, 0, 3, true), NNC_OK);
  for (int call = 0; call < 3; call++) {
    memset(logits[1], 0, sizeof logits[1]);
    count_from_here();
    assert_int_equal(digits(&f, 1, 3, false), NNC_OK);
    assert_int_equal(waits(), 0);
    assert_true(calls_of(WATCHED_clEnqueueNDRangeKernel) > 0 && calls_of(WATCHED_clFlush) == 1);
    int enqueued = calls_of(WATCHED_ALL);
    assert_int_equal(digits(&f, 1, 3, true), NNC_E_ARGUMENT);
    assert_int_equal(calls_of(WATCHED_ALL), enqueued);
    assert_int_equal(nnc_wait(f.s), NNC_OK);
    assert_int_equal(waits(), 1);
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    assert_memory_equal(probabilities[0], probabilities[1], sizeof probabilities[0]);
    assert_int_equal(nnc_wait(f.s), NNC_E_ARGUMENT);
  }
  memset(logits[1], 0, sizeof logits[1]);
  assert_int_equal(digits(&f, 1, 3, false), NNC_OK);
  nnc_session_free(f.s); // waits, and gives the outputs
  assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
  f.s = NULL;
  close_text(&f);
}

static void the_driver_fails_in_between(void **state) {
  (void)state;
  needs_device();
  fixture f = open_text(NNC_SOURCE_DIR "/models/vision/digits.yaml", NULL);
  assert_int_equal(digits(&f, 0, 3, true), NNC_OK);
  count_from_here();
  fail_after(WATCHED_clWaitForEvents, 0, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, true);
  assert_int_equal(digits(&f, 1, 3, false), NNC_OK);
  assert_int_equal(nnc_wait(f.s), NNC_E_ENVIRONMENT);
  assert_string_equal(nnc_session_error(f.s), "running on the device: a command before this one failed "
                                              "(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, -14)");
  fail_after(WATCHED_clEnqueueNDRangeKernel, 1, CL_OUT_OF_RESOURCES, true); // in the middle of enqueuing: told later
  assert_int_equal(digits(&f, 1, 3, false), NNC_OK);
  assert_int_equal(nnc_wait(f.s), NNC_E_ENVIRONMENT);
  assert_non_null(strstr(nnc_session_error(f.s), "CL_OUT_OF_RESOURCES"));
  assert_int_equal(digits(&f, 1, 3, false), NNC_OK); // the next is none the worse
  assert_int_equal(nnc_wait(f.s), NNC_OK);
  assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
  close_text(&f);
}

// The second step is a routine. A row out of range is found by a kernel; the state then stays as it was.
static const char text[] = "nnc: 1\nname: rows\nstate:\n  calls: i32 = 0\nentries:\n  forward:\n    inputs:\n"
                           "      x: f32[4, 3]\n      row: i32\n    steps:\n    - update calls: calls + 1\n"
                           "    - best, where: topk(exp(x), 2)\n    - y: best[row] * 2\n"
                           "    outputs:\n      y: y\n      calls: calls\n";

static void data_errors(void **state) {
  (void)state;
  needs_device();
  fixture f = open_text(NULL, text);
  float x[12] = {0}, y[2];
  int32_t row, calls;
  nnc_tensor in[] = {nnc_tensor_of(NNC_F32, x, 2, (const int64_t[]){4, 3}), nnc_tensor_of(NNC_I32, &row, 0, NULL)};
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, y, 1, (const int64_t[]){2}), nnc_tensor_of(NNC_I32, &calls, 0, NULL)};
  for (int i = 1; i <= 2; i++) {
    row = 3;
    count_from_here();
    assert_int_equal(nnc_run_async(f.s, 0, in, 2, out, 2), NNC_OK);
    assert_int_equal(waits(), i == 1); // the state goes to the device once
    assert_int_equal(nnc_wait(f.s), NNC_OK);
    assert_true(calls == i && y[0] == 2 && y[1] == 2);
    row = 4;
    assert_int_equal(nnc_run_async(f.s, 0, in, 2, out, 2), NNC_OK);
    assert_int_equal(nnc_wait(f.s), NNC_E_DATA);
    assert_non_null(strstr(nnc_session_error(f.s), "line 13: a slice begins out of range"));
  }
  close_text(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_waits_before_the_wait),
                                     cmocka_unit_test(the_driver_fails_in_between), cmocka_unit_test(data_errors)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
