// nnc run --profile, bench --profile: traces that a viewer can read, whose times nest and whose counts are right.
#include "spawn.h"
#include "base/file.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#define EXPECTED NNC_SOURCE_DIR "/tests/data/digits_expected.safetensors" // 32 images

// Times are decimals of microseconds with nanoseconds: what two of them differ by may round.
static const double ROUNDING_US = 1e-6;

static double number(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  if (!json_is_number(v)) fail_msg("`%s` is no number", key);
  return json_number_value(v);
}

static const char *text(const json_t *o, const char *key) {
  const char *v = json_string_value(json_object_get(o, key));
  if (!v) fail_msg("`%s` is no text", key);
  return v;
}

static const json_t *read_events(workplace *w, const char *name) {
  str file;
  assert_true(file_read(w->a, &w->l, in_folder(w, name), 1 << 26, &file));
  const json_t *events = json_object_get(parse_json(w, file.p), "traceEvents");
  assert_true(json_is_array(events));
  return events;
}

static bool is(const json_t *e, const char *key, const char *value) { return strcmp(text(e, key), value) == 0; }
static double end_of(const json_t *e) { return number(e, "ts") + number(e, "dur"); }
static const json_t *args(const json_t *e) { return json_object_get(e, "args"); }

// Complete events of one thread nest or lie apart, all of them inside the run, whose event comes first; every thread
// with events has a name. Returns the run's event.
static const json_t *expect_sound(const json_t *events) {
  const json_t *run = NULL, *e, *other;
  size_t i, k;
  bool named[64] = {false};
  double busy[64] = {0};
  json_array_foreach(events, i, e) {
    size_t thread = (size_t)number(e, "tid");
    assert_in_range(thread, 0, 63);
    if (is(e, "ph", "M")) {
      named[thread] = named[thread] || is(e, "name", "thread_name");
      continue;
    }
    assert_true(is(e, "ph", "X") && number(e, "pid") == 1 && number(e, "dur") >= 0 && named[thread]);
    if (is(e, "cat", "run")) run = e;
    assert_non_null(run);
    assert_true(number(e, "ts") >= number(run, "ts") && end_of(e) <= end_of(run) + ROUNDING_US);
    if (is(e, "cat", "kernel") || is(e, "cat", "share")) busy[thread] += number(e, "dur");
    for (k = 0; k < i; k++) {
      other = json_array_get(events, k);
      if (is(other, "ph", "M") || (size_t)number(other, "tid") != thread) continue;
      double a = number(e, "ts"), b = end_of(e), c = number(other, "ts"), d = end_of(other), r = ROUNDING_US;
      bool apart = b <= c + r || d <= a + r, within = (a + r >= c && b <= d + r) || (c + r >= a && d <= b + r);
      if (!apart && !within) fail_msg("events %zu and %zu of thread %zu overlap", k, i, thread);
    }
  }
  for (i = 0; i < 64; i++) assert_true(busy[i] <= number(run, "dur"));
  return run;
}

static const json_t *find_event(const json_t *events, const char *category, const char *part) {
  const json_t *e;
  size_t i;
  json_array_foreach(events, i,
                     e) if (is(e, "ph", "X") && is(e, "cat", category) && strstr(text(e, "name"), part)) return e;
  fail_msg("no event of `%s` with `%s`", category, part);
  return NULL;
}

static void a_run_as_a_trace(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "run %s --in image=%s:image --threads 2 --profile p.json", DIGITS, EXPECTED);
  const json_t *events = read_events(w, "p.json"), *run = expect_sound(events), *e;
  assert_string_equal(text(run, "name"), "forward");
  assert_int_equal(number(args(run), "batch"), 32);
  size_t i;
  double products = 0;
  json_array_foreach(events, i, e) {
    if (!is(e, "ph", "X") || !is(e, "cat", "kernel")) continue;
    assert_int_equal(number(e, "tid"), 0);
    products += number(args(e), "multiply_adds");
    double ns = number(e, "dur") * 1000, bytes = number(args(e), "bytes_read") + number(args(e), "bytes_written");
    assert_true(number(args(e), "gbytes_per_s") <= bytes / ns * 1.01 + 1e-3);
    assert_true(number(args(e), "gbytes_per_s") >= bytes / ns * 0.99 - 1e-3);
  }
  // By hand, for one image: see bench_counts_and_measures.
  assert_true(products == 32 * (16.0 * 4 * 64 + 2 * (16.0 * (4 * 64 * 64 + 2 * 64 * 128) + 2 * 16 * 16 * 64) + 640));
  e = find_event(events, "kernel", "patch_embedding");
  assert_string_equal(text(args(e), "yaml"), "digits.yaml:34");
  // 32 images of 64 pixels, 64x4 weights, 64 biases, 16x64 positions; 16 tokens of 64.
  assert_int_equal(number(args(e), "bytes_read"), 4 * (32 * 64 + 64 * 4 + 64 + 16 * 64));
  assert_int_equal(number(args(e), "bytes_written"), 4 * 32 * 16 * 64);
}

// Of a table only the rows are read that the indices name; of a part that is sliced, no more than the part.
static void parts_of_operands(void **state) {
  workplace *w = *state;
  write_text(w, "rows.yaml",
             "nnc: 1\nname: rows\ndims:\n  n: 1..1000\ninputs:\n  x: f32[500, 8]\n  row: i32[n]\nsteps:\n"
             "- y: take(x, row) * 2\n- z: x[3:5, :4] + 1\noutputs:\n  y: y\n  z: z\n");
  expect_status(w, 0, "run rows.yaml --in x=iota --in row=3 --dim n=10 --profile few.json");
  expect_status(w, 0, "run rows.yaml --in x=iota --in row=3 --dim n=900 --profile many.json");
  const json_t *few = read_events(w, "few.json"), *many = read_events(w, "many.json"), *e;
  size_t i;
  double read = 0, read_many = 0, written = 0;
  expect_sound(few);
  json_array_foreach(few, i, e) {
    if (!is(e, "ph", "X") || !is(e, "cat", "kernel")) continue;
    read += number(args(e), "bytes_read"), written += number(args(e), "bytes_written");
  }
  json_array_foreach(many, i, e) if (is(e, "ph", "X") && is(e, "cat", "kernel")) read_many +=
      number(args(e), "bytes_read");
  assert_int_equal(read, 4 * (10 + 10 * 8) + 4 * 2 * 4);
  assert_int_equal(written, 4 * 10 * 8 + 4 * 2 * 4);
  assert_int_equal(read_many, 4 * (900 + 500 * 8) + 4 * 2 * 4); // the whole table, once
}

// The padding between two convolutions is stored by two kernels: products count once, and each byte of it.
static void padding_between_convolutions(void **state) {
  workplace *w = *state;
  write_text(w, "conv.yaml",
             "nnc: 1\nname: conv\ninputs:\n  x: f32[1, 16, 12, 12]\nsteps:\n- y@a: conv2d(x, 32, 3, padding=1)\n"
             "- z@b: conv2d(relu(y), 8, 3, padding=1)\noutputs:\n  z: z\n");
  expect_status(w, 0, "run conv.yaml --weights random --in x=random --profile p.json");
  const json_t *events = read_events(w, "p.json"), *e;
  expect_sound(events);
  size_t i;
  double products = 0, border = 0, inside = 0;
  json_array_foreach(events, i, e) {
    if (!is(e, "ph", "X") || !is(e, "cat", "kernel")) continue;
    products += number(args(e), "multiply_adds");
    if (strstr(text(e, "name"), "border")) border += number(args(e), "bytes_written");
    if (strstr(text(e, "name"), "max")) inside += number(args(e), "bytes_written");
  }
  assert_true(products == 12.0 * 12 * 9 * (16 * 32 + 32 * 8));
  assert_int_equal(border, 4 * 32 * (14 * 14 - 12 * 12));
  assert_int_equal(inside, 4 * 32 * 12 * 12);
}

static void turns_of_a_loop(void **state) {
  workplace *w = *state;
  write_text(w, "turns.yaml",
             "nnc: 1\nname: turns\ninputs:\n  x: f32[8, 8]\n  n: i32\nsteps:\n- y: x\n- loop i in range(n):\n"
             "  - y: tanh(matmul(y, x))\noutputs:\n  y: y\n");
  expect_status(w, 0, "run turns.yaml --in x=random --in n=5 --profile p.json");
  const json_t *events = read_events(w, "p.json"), *e, *last = NULL;
  expect_sound(events);
  size_t i, n_turns = 0;
  double products = 0;
  json_array_foreach(events, i, e) {
    if (!is(e, "ph", "X")) continue;
    if (is(e, "cat", "turn")) last = e, n_turns++;
    if (is(e, "cat", "kernel")) products += number(args(e), "multiply_adds");
  }
  assert_int_equal(n_turns, 5);
  assert_true(products == 5 * 8 * 8 * 8);
  e = find_event(events, "kernel", "contract");
  assert_string_equal(text(args(e), "yaml"), "turns.yaml:9");
  assert_true(number(last, "dur") > 0);
}

static void a_warm_run_of_a_library(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "compile %s", DIGITS);
  expect_status(w, 0, "bench digits.so --dim batch=2 --runs 3 --profile p.json");
  const json_t *events = read_events(w, "p.json");
  expect_sound(events);
  assert_string_equal(text(args(find_event(events, "kernel", "patch_embedding")), "yaml"), "digits.yaml:34");
}

static void runs_that_fail_leave_no_trace(void **state) {
  workplace *w = *state;
  write_text(
      w, "rows.yaml",
      "nnc: 1\nname: rows\ninputs:\n  x: f32[4, 2]\n  row: i32[3]\nsteps:\n- y: take(x, row)\noutputs:\n  y: y\n");
  expect_error(w, 1, "line 7: index out of range", "run rows.yaml --in x=iota --in row=4 --profile none.json");
  assert_int_not_equal(access(in_folder(w, "none.json"), F_OK), 0);
  expect_error(w, 3, "cannot write", "run rows.yaml --in x=iota --in row=1 --profile absent/p.json");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_run_as_a_trace),
      cmocka_unit_test(parts_of_operands),
      cmocka_unit_test(padding_between_convolutions),
      cmocka_unit_test(turns_of_a_loop),
      cmocka_unit_test(a_warm_run_of_a_library),
      cmocka_unit_test(runs_that_fail_leave_no_trace),
  };
  return cmocka_run_group_tests(tests, workplace_open, workplace_close);
}
