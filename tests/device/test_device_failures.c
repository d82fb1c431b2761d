// A driver that fails at any call: when a module is opened, when a session is, in the middle of a run, once or for
// good. Each time: an error in words, nothing left behind, and what can go on goes on.
#include "device_case.h"
#include "api/compile.h"
#include "counted_api.h"
#include "runtime/session.h"
#include "watched_api.h"
#include <string.h>

// State updated in place, in a loop and in a branch (undo and commit steps), and a routine that the host
// runs, for the device's groups are too small.
static const char model[] = "nnc: 1\nname: m\nstate:\n  table: f32[8, 3] = 1\n  odd: i32 = 0\nentries:\n"
                            "  forward:\n    inputs:\n      x: f32[3]\n      turns: i32\n    steps:\n"
                            "    - update table[0]: table[0] + 1\n"
                            "    - loop i in range(turns):\n"
                            "      - update table[1 + i]: x * cast(i, f32) + table[0]\n"
                            "      - when i % 2 == 1:\n        - update odd: odd + 1\n"
                            "    - best, where: topk(x * 2, 2)\n"
                            "    outputs:\n      sums: sum(table, dim=1)\n      odd: odd\n      best: best\n";

typedef struct fixture {
  arena *a;
  compile_job *j;
  rt_module m;
  rt_error err;
} fixture;

// A module whose driver's calls are counted; `path` NULL: of the text above.
static bool open_fixture(fixture *f, const char *path, int failing) {
  *f = (fixture){.a = arena_new(NULL)};
  assert_non_null(f->a);
  if (setjmp(*arena_guard(f->a))) fail_msg("out of memory");
  f->j = ARENA_NEW(f->a, compile_job);
  str *text = ARENA_NEW(f->a, str);
  *text = str_of(model);
  static const char *const weights[] = {"random:1"};
  const frontend_options front = {.n_weights = 1, .weights = weights};
  assert_true(compile_begin(f->j, f->a, path ? path : "m.yaml", path ? NULL : text, &front, NULL));
  assert_true(compile_set_device(f->j, "opencl") && compile_image(f->j, true));
  f->j->opencl->devices[f->j->device_number].max_group = 8;
  count_objects(&f->j->opencl->api);
  watch_calls(&f->j->opencl->api);
  if (failing >= 0) fail_after(WATCHED_ALL, failing, CL_OUT_OF_RESOURCES, true);
  return compile_module(f->j, &f->m, NULL);
}

static void close_fixture(fixture *f) {
  arena_free(f->a);
  assert_int_equal(objects_alive(), 0);
}

typedef struct results {
  float sums[8], best[2];
  int32_t odd;
} results;

static rt_status run(fixture *f, rt_session *s, int32_t turns, results *r) {
  float x[3] = {1, 2, 3};
  rt_tensor in[] = {{.dtype = RT_f32, .rank = 1, .dim = {3}, .data = x}, {.dtype = RT_i32, .data = &turns}};
  rt_tensor out[] = {{.dtype = RT_f32, .rank = 1, .dim = {8}, .data = r->sums},
                     {.dtype = RT_i32, .data = &r->odd},
                     {.dtype = RT_f32, .rank = 1, .dim = {2}, .data = r->best}};
  return rt_run(s, 1, in, out, &f->err);
}

static void is_an_error_of_the_device(const fixture *f, rt_status status) {
  assert_true(status == RT_E_DEVICE || status == RT_E_MEMORY);
  if (!strstr(f->err.text, "(CL_")) fail_msg("no code in: %s", f->err.text);
}

static bool same(const results *a, const results *b) {
  return !memcmp(a->sums, b->sums, sizeof a->sums) && !memcmp(a->best, b->best, sizeof a->best) && a->odd == b->odd;
}

// What three calls give when nothing fails: the state goes on from call to call.
enum { CALLS = 3 };
static results want[CALLS];

static void run_all(fixture *f, results *to) {
  rt_session *s;
  assert_int_equal(rt_session_new(&s, &f->m, NULL, 0, &f->err), RT_OK);
  for (int i = 0; i < CALLS; i++) assert_int_equal(run(f, s, 3, &to[i]), RT_OK);
  rt_session_free(s);
}

// The second of the calls meets a failure at its first call of the driver, its second, ... The third then goes on from
// the state that the first left, or, where it was the undoing or the commit that failed, from the initial one.
static void a_call_that_fails_once(void **state) {
  (void)state;
  needs_device();
  fixture f;
  assert_true(open_fixture(&f, NULL, -1));
  run_all(&f, want);
  int n = 0, went_on = 0, began_anew = 0;
  for (;; n++) {
    rt_session *s;
    results r = {{0}, {0}, 0};
    int alive = objects_alive();
    count_from_here();
    assert_int_equal(rt_session_new(&s, &f.m, NULL, 0, &f.err), RT_OK);
    assert_int_equal(run(&f, s, 3, &r), RT_OK);
    fail_after(WATCHED_ALL, n, CL_OUT_OF_RESOURCES, true);
    rt_status status = run(&f, s, 3, &r);
    if (!has_failed()) {
      assert_int_equal(status, RT_OK);
      rt_session_free(s);
      break;
    }
    is_an_error_of_the_device(&f, status);
    assert_int_equal(run(&f, s, 3, &r), RT_OK);
    went_on += same(&r, &want[1]), began_anew += same(&r, &want[0]);
    assert_true(same(&r, &want[1]) || same(&r, &want[0]));
    rt_session_free(s);
    assert_int_equal(objects_alive(), alive);
  }
  assert_true(n > 20 && went_on > 20 && began_anew > 0 && began_anew < went_on);
  close_fixture(&f);
}

static void a_device_that_is_lost(void **state) {
  (void)state;
  needs_device();
  fixture f;
  assert_true(open_fixture(&f, NULL, -1));
  run_all(&f, want);
  for (int n = 0;; n += 3) {
    rt_session *s;
    results r;
    int alive = objects_alive();
    count_from_here();
    assert_int_equal(rt_session_new(&s, &f.m, NULL, 0, &f.err), RT_OK);
    fail_after(WATCHED_ALL, n, CL_INVALID_COMMAND_QUEUE, false);
    rt_status status = run(&f, s, 3, &r);
    bool lost = has_failed();
    if (lost) {
      is_an_error_of_the_device(&f, status);
      is_an_error_of_the_device(&f, run(&f, s, 3, &r)); // and so is every run from now on
      assert_non_null(strstr(f.err.text, "the device was lost"));
    }
    rt_session_free(s); // while it is lost
    assert_int_equal(objects_alive(), alive);
    count_from_here();
    if (!lost) break;
  }
  results again[CALLS];
  run_all(&f, again); // it is back
  for (int i = 0; i < CALLS; i++) assert_true(same(&again[i], &want[i]));
  close_fixture(&f);
}

static void opening_a_session(void **state) {
  (void)state;
  needs_device();
  fixture f;
  rt_session *s;
  assert_true(open_fixture(&f, NULL, -1));
  int n = 0, alive = objects_alive();
  for (;; n++) {
    fail_after(WATCHED_ALL, n, CL_OUT_OF_HOST_MEMORY, true);
    rt_status status = rt_session_new(&s, &f.m, NULL, 0, &f.err);
    if (!status) break;
    assert_int_equal(status, RT_E_MEMORY);
    assert_null(s);
    assert_int_equal(objects_alive(), alive);
  }
  assert_true(n >= 3); // the fault word, the queue, kernels
  rt_session_free(s);
  close_fixture(&f);
}

// With the program's build and the preparing of weights, which runs kernels.
static void opening_a_module(void **state) {
  (void)state;
  needs_device();
  int n = 0;
  for (;; n++) {
    fixture f;
    bool ok = open_fixture(&f, NNC_SOURCE_DIR "/tests/cli/tiny.yaml", n);
    bool failed = has_failed(); // what closes a session may fail, and nothing follows from it
    assert_true(ok || failed);
    if (!ok) {
      const diag *d = f.j->diags.items.at[f.j->diags.items.n - 1];
      assert_true(d->id == DIAG_ID_device_failed || d->id == DIAG_ID_prepare_failed);
      assert_non_null(strstr(d->text, "(CL_OUT_OF_RESOURCES, -5)"));
    }
    close_fixture(&f);
    if (!failed) break;
  }
  assert_true(n > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_call_that_fails_once), cmocka_unit_test(a_device_that_is_lost),
                                     cmocka_unit_test(opening_a_session), cmocka_unit_test(opening_a_module)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
