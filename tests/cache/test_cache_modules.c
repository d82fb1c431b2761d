// Modules opened through the public API: what makes a hit, what makes a miss, and that damage anywhere costs time only.
#define _GNU_SOURCE // utimensat, truncate
#include "base/clock.h"
#include "cached_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

// Weights 0 .. 5, shift 5, inner factor 10: y = 10 * (8, 26) + 5.
static void expect(outcome r, bool image, bool prepared, float y0) {
  assert_int_equal(r.image, image);
  assert_int_equal(r.prepared, prepared);
  assert_true(r.y[0] == y0);
}

static void hits(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s);
  expect(cached_run(s, &o), false, false, 85);
  assert_int_equal(cached_files(s, ".code"), 1);
  assert_int_equal(cached_files(s, ".weights"), 1);
  for (int i = 0; i < 3; i++) {
    outcome r = cached_run(s, &o);
    expect(r, true, true, 85);
    assert_true(r.y[1] == 265);
  }
  assert_int_equal(cached_files(s, ""), 2);
}

static void no_cache(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s);
  o.no_cache = 1;
  expect(cached_run(s, &o), false, false, 85);
  assert_int_not_equal(access(scratch_path(s, "cache"), F_OK), 0);
  o.no_cache = 0;
  expect(cached_run(s, &o), false, false, 85);
  o.no_cache = 1;
  expect(cached_run(s, &o), false, false, 85);
  o.no_cache = 0;
  o.size = offsetof(nnc_compile_options, no_cache); // a program built with an older header
  expect(cached_run(s, &o), true, true, 85);
  setenv("NNC_NO_CACHE", "1", 1);
  expect(cached_run(s, &o), false, false, 85);
}

// Whatever the compiler reads: changed, it is compiled again; changed back, too, for one key holds one version.
static void changed_sources(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s);
  expect(cached_run(s, &o), false, false, 85);
  str model = scratch_bytes(s, scratch_path(s, "m.yaml")), inner = scratch_bytes(s, scratch_path(s, "inner.yaml"));
  scratch_file(s, "c.json", STR("{\"shift\": 6}"));
  expect(cached_run(s, &o), false, false, 86);
  expect(cached_run(s, &o), true, true, 86);
  scratch_file(s, "inner.yaml", STR("nnc: 1\nblocks:\n  scaled(x):\n  - return: 20 * x\n"));
  expect(cached_run(s, &o), false, false, 166);
  expect(cached_run(s, &o), true, true, 166);
  scratch_file(s, "inner.yaml", inner);
  expect(cached_run(s, &o), false, false, 86);
  scratch_file(s, "m.yaml", str_of(str_fmt(s->a, "%.*s# a comment\n", (int)model.n, model.p)));
  expect(cached_run(s, &o), false, false, 86);
  expect(cached_run(s, &o), true, true, 86);
  assert_int_equal(unlink(scratch_path(s, "inner.yaml")), 0);
  nnc_module *m;
  assert_int_equal(nnc_module_open(&m, scratch_path(s, "m.yaml"), &o, NULL), NNC_E_ENVIRONMENT); // no hit hides that
}

static void changed_options(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s), plain = o;
  const nnc_setting seven = {"shift", "7"}, eight = {"shift", "8"};
  expect(cached_run(s, &o), false, false, 85);
  o.sets = &seven, o.n_sets = 1;
  expect(cached_run(s, &o), false, false, 87);
  o.sets = &eight;
  expect(cached_run(s, &o), false, false, 88);
  o.sets = &seven;
  expect(cached_run(s, &o), true, true, 87); // each has its own key
  o = plain;
  o.cpu = "x86-64";
  expect(cached_run(s, &o), false, false, 85);
  expect(cached_run(s, &o), true, true, 85);
  expect(cached_run(s, &plain), true, true, 85);
  o = plain;
  o.weights_dtype = "bf16"; // small integers are the same in it
  expect(cached_run(s, &o), false, false, 85);
  expect(cached_run(s, &o), true, true, 85);
  expect(cached_run(s, &plain), true, true, 85);
  o = plain;
  o.approx = "linear-attention=elu1"; // the model has nothing to approximate
  expect(cached_run(s, &o), false, false, 85);
  expect(cached_run(s, &plain), true, true, 85);
  o = plain;
  o.n_configs = 0;
  expect(cached_run(s, &o), false, false, 81);
}

// The image serves all weights; what was prepared serves one file as it was.
static void changed_weights(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s);
  const char *path = scratch_path(s, "w.safetensors");
  struct stat st;
  expect(cached_run(s, &o), false, false, 85);
  assert_int_equal(stat(path, &st), 0);
  cached_weights(s, "w.safetensors", 1); // another file under the same name
  expect(cached_run(s, &o), true, false, 145);
  expect(cached_run(s, &o), true, true, 145);
  // in place, the same size, and the old time of modification set again: only ctime tells
  str bytes = scratch_bytes(s, path);
  assert_int_equal(stat(path, &st), 0);
  int fd = open(path, O_WRONLY);
  float two = 2;
  assert_int_equal(pwrite(fd, &two, sizeof two, (off_t)(bytes.n - 32)), sizeof two); // of the weight, 1 before
  close(fd);
  const struct timespec times[] = {st.st_atim, st.st_mtim};
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
  settle();
  outcome r = cached_run(s, &o);
  assert_true(r.image && !r.prepared && (r.y[0] != 145 || r.y[1] != 325));
  outcome again = cached_run(s, &o);
  assert_true(again.prepared && memcmp(again.y, r.y, sizeof r.y) == 0);
  cached_weights(s, "w2.safetensors", 0);
  const char *other = scratch_path(s, "w2.safetensors");
  o.weights = &other;
  expect(cached_run(s, &o), true, false, 85);
  expect(cached_run(s, &o), true, true, 85);
  assert_int_equal(cached_files(s, ".weights"), 2);
  assert_int_equal(unlink(other), 0);
  nnc_module *m;
  assert_int_equal(nnc_module_open(&m, scratch_path(s, "m.yaml"), &o, NULL), NNC_E_ENVIRONMENT);
}

enum { QUICK_NS = 40000000 }; // less than what counts as fresh

// A file written a moment ago could change again at the same time: what is made of it is not kept.
static void fresh_weights(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s);
  str bytes = scratch_bytes(s, scratch_path(s, "w.safetensors"));
  expect(cached_run(s, &o), false, false, 85);
  int64_t took_ns = QUICK_NS + 1;
  for (int i = 0; i < 20 && took_ns > QUICK_NS; i++) { // to a slow run (a busy machine, sanitizers) nothing is fresh
    int64_t start = clock_ns();
    scratch_file(s, "w.safetensors", bytes);
    outcome made = cached_run(s, &o);
    took_ns = clock_ns() - start;
    if (took_ns <= QUICK_NS) expect(made, true, false, 85);
  }
  if (took_ns > QUICK_NS) skip(); // none of the runs was over while its weights were fresh: there was nothing to see
  settle();
  expect(cached_run(s, &o), true, false, 85);
  expect(cached_run(s, &o), true, true, 85);
}

static void random_weights(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s);
  const char *one = "random:1", *two = "random:2";
  o.weights = &one;
  outcome first = cached_run(s, &o), second = cached_run(s, &o);
  assert_true(!first.prepared && second.prepared && memcmp(first.y, second.y, sizeof first.y) == 0);
  o.weights = &two;
  second = cached_run(s, &o);
  assert_true(second.image && !second.prepared && memcmp(first.y, second.y, sizeof first.y) != 0);
}

// Warnings of the front end and of the weights are given again, once each, whatever was found in the cache.
static void warnings_are_repeated(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s);
  scratch_file(s, "c.json", STR("{\"shift\": 5, \"unheard\": 1}"));
  str model = scratch_bytes(s, scratch_path(s, "m.yaml"));
  const char *text = strstr(model.p, "- y@fc: linear(x, 2)");
  scratch_file(s, "m.yaml",
               str_of(str_fmt(s->a, "%.*s- y@fc: linear(x, 2, bias=False)%s", (int)(text - model.p), model.p,
                              text + strlen("- y@fc: linear(x, 2)"))));
  nnc_module *m;
  nnc_diagnostics *d;
  char *first[2] = {NULL, NULL};
  for (int i = 0; i < 4; i++) {
    if (i == 2) assert_int_equal(unlink(cached_file(s, ".weights")), 0);
    if (i == 3) assert_int_equal(unlink(cached_file(s, ".code")), 0);
    assert_int_equal(nnc_module_open(&m, scratch_path(s, "m.yaml"), &o, &d), NNC_OK);
    assert_int_equal(nnc_diagnostics_count(d), 2);
    assert_string_equal(nnc_diagnostics_get(d, 0)->id, "config_undeclared");
    assert_string_equal(nnc_diagnostics_get(d, 1)->id, "weights_unused");
    for (size_t k = 0; k < 2; k++) {
      if (!first[k]) first[k] = str_dup(s->a, str_of(nnc_diagnostics_get(d, k)->text));
      assert_string_equal(nnc_diagnostics_get(d, k)->text, first[k]);
      assert_int_equal(nnc_diagnostics_get(d, k)->severity, NNC_WARNING);
    }
    nnc_diagnostics_free(d);
    nnc_module_free(m);
  }
}

static void models_in_memory(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s);
  str text = scratch_bytes(s, scratch_path(s, "m.yaml"));
  const char *name = scratch_path(s, "m.yaml");
  nnc_module_stats stats;
  nnc_module *m;
  for (int i = 0; i < 3; i++) {
    char *copy = str_dup(s->a, text);
    if (i == 2) memcpy(strstr(copy, "name: m"), "name: n", 7);
    assert_int_equal(nnc_module_compile(&m, copy, text.n, name, &o, NULL), NNC_OK);
    assert_int_equal(nnc_module_get_stats(m, &stats), NNC_OK);
    assert_int_equal(stats.passes_ms == 0, i == 1);
    assert_string_equal(nnc_module_name(m), i == 2 ? "n" : "m");
    nnc_module_free(m);
  }
}

// What a module from the cache saves is what the compiled one saves, byte by byte.
static void saved_libraries_are_the_same(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s);
  str library[2], header[2];
  nnc_module *m;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(nnc_module_open(&m, scratch_path(s, "m.yaml"), &o, NULL), NNC_OK);
    assert_int_equal(nnc_module_save(m, scratch_path(s, "m.so"), NULL), NNC_OK);
    library[i] = scratch_bytes(s, scratch_path(s, "m.so"));
    header[i] = scratch_bytes(s, scratch_path(s, "m.h"));
    nnc_module_free(m);
  }
  assert_true(str_eq(library[0], library[1]) && str_eq(header[0], header[1]));
}

// -- damage --

static void restore(const char *path, str bytes) {
  int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
  assert_int_equal(write(fd, bytes.p, bytes.n), (ssize_t)bytes.n);
  close(fd);
}

// Bytes all over both files changed, and both cut there: the same numbers, and the file is right again. Each takes two
// compiles; under ThreadSanitizer, where one takes twenty times as long, a sixth of the places is tried, under
// AddressSanitizer a third.
#if defined(__SANITIZE_THREAD__)
enum { SPARSE = 6 };
#elif defined(__SANITIZE_ADDRESS__)
enum { SPARSE = 3 };
#else
enum { SPARSE = 1 };
#endif

static void damage(scratch *s, const char *extension, bool image, bool prepared) {
  nnc_compile_options o = cached_options(s);
  cached_run(s, &o);
  const char *path = cached_file(s, extension);
  str good = scratch_bytes(s, path);
  size_t step = good.n / 150 + 1, n_tried = 0;
  for (size_t i = 0; i < good.n; i += i < 64 || i + 64 > good.n ? SPARSE : SPARSE * step, n_tried++) {
    char *bad = arena_copy(s->a, good.p, good.n);
    bad[i] = (char)(bad[i] ^ (1 << i % 8));
    restore(path, (str){bad, good.n});
    expect(cached_run(s, &o), image, prepared, 85);
    restore(path, (str){good.p, i});
    expect(cached_run(s, &o), image, prepared, 85);
    expect(cached_run(s, &o), true, true, 85); // it was replaced
  }
  assert_true(n_tried > 200 / SPARSE);
  restore(path, (str){str_fmt(s->a, "%.*sx", (int)good.n, good.p), 0});
  expect(cached_run(s, &o), image, prepared, 85);
}

static void damaged_code(void **state) { damage(*state, ".code", false, false); }
static void damaged_weights(void **state) { damage(*state, ".weights", true, false); }

// Another model's file under this one's name is not believed.
static void exchanged_files(void **state) {
  scratch *s = *state;
  nnc_compile_options o = cached_options(s), other = o;
  const nnc_setting seven = {"shift", "7"};
  other.sets = &seven, other.n_sets = 1;
  cached_run(s, &o);
  const char *code = cached_file(s, ".code"), *weights = cached_file(s, ".weights");
  str code_bytes = scratch_bytes(s, code), weights_bytes = scratch_bytes(s, weights);
  assert_int_equal(unlink(code), 0);
  assert_int_equal(unlink(weights), 0);
  cached_run(s, &other);
  restore(cached_file(s, ".code"), code_bytes);
  restore(cached_file(s, ".weights"), weights_bytes);
  expect(cached_run(s, &other), false, false, 87);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, cached_open, cached_close)
  const struct CMUnitTest tests[] = {
      CASE(hits),
      CASE(no_cache),
      CASE(changed_sources),
      CASE(changed_options),
      CASE(changed_weights),
      CASE(fresh_weights),
      CASE(random_weights),
      CASE(warnings_are_repeated),
      CASE(models_in_memory),
      CASE(saved_libraries_are_the_same),
      CASE(damaged_code),
      CASE(damaged_weights),
      CASE(exchanged_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
