// The cache under bad conditions: no folder, one that cannot be written or trusted, a full disk, processes that are
// killed and processes at the same time. A run gives its numbers in every case, and the cache is never broken.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "child.h"

static const char model[] =
    "nnc: 1\nname: m\ninputs:\n  x: f32[4, 64]\nsteps:\n- y@fc: linear(x, 64)\n- z: tanh(y) + 1\n"
    "outputs:\n  z: z\n";

#define RUN(out) NNC("run", "m.yaml", "--weights", "random:3", "--in", "x=random:1", "--out", out)

static int setup(void **state) {
  int rc = scratch_open(state);
  if (!rc) scratch_file(*state, "m.yaml", STR(model));
  return rc;
}

// The environment that has the cache at `folder`, a name in the scratch.
static const char *const *cache_at(scratch *s, const char *folder) {
  const char **v = ARENA_ARRAY(s->a, const char *, 5);
  v[0] = "NNC_NO_CACHE", v[1] = "", v[2] = "NNC_CACHE_DIR", v[3] = scratch_path(s, folder);
  return v;
}

static str run_without_cache(scratch *s) {
  child_result r = child_run(
      s, NULL,
      NNC("run", "m.yaml", "--weights", "random:3", "--in", "x=random:1", "--no-cache", "--out", "z=want.npy"));
  assert_int_equal(r.status, 0);
  return scratch_bytes(s, scratch_path(s, "want.npy"));
}

// Runs, expects the right numbers and `said` on standard error, "" for nothing at all.
static bool run_is_right(scratch *s, const child_limits *limits, str want, const char *said) {
  child_result r = child_run(s, limits, RUN("z=got.npy"));
  bool spoke = said[0] ? strstr(r.err, said) != NULL : r.err[0] == 0;
  return r.status == 0 && spoke && str_eq(scratch_bytes(s, scratch_path(s, "got.npy")), want);
}

static void without_a_folder(void **state) {
  scratch *s = *state;
  str want = run_without_cache(s);
  child_limits nowhere = {.variables = (const char *const[]){"NNC_NO_CACHE", "", "NNC_CACHE_DIR", "", "XDG_CACHE_HOME",
                                                             "", "HOME", "", NULL}};
  assert_true(run_is_right(s, &nowhere, want, ""));
  child_limits below_a_file = {.variables = cache_at(s, "m.yaml/cache")};
  assert_true(run_is_right(s, &below_a_file, want, ""));
  child_limits unwritable = {.variables = cache_at(s, "cache"), .file_bytes = 2048};
  assert_true(run_is_right(s, &unwritable, want, ""));
  assert_string_equal(child_files(s, "cache"), ""); // nothing half written either
}

static void untrusted_folder(void **state) {
  scratch *s = *state;
  str want = run_without_cache(s);
  child_limits limits = {.variables = cache_at(s, "cache")};
  assert_int_equal(mkdir(scratch_path(s, "cache"), 0700), 0);
  assert_int_equal(chmod(scratch_path(s, "cache"), 0777), 0);
  assert_true(run_is_right(s, &limits, want, "is not used: others may write to it"));
  assert_string_equal(child_files(s, "cache"), "");
}

static int full(scratch *s) {
  str want = scratch_bytes(s, scratch_path(s, "want.npy"));
  child_limits limits = {.variables = cache_at(s, "disk/cache")};
  for (int i = 0; i < 2; i++)
    if (!run_is_right(s, &limits, want, "")) return 1;
  return child_files(s, "disk/cache")[0] ? 2 : 0;
}

static int read_only(scratch *s) {
  str want = scratch_bytes(s, scratch_path(s, "want.npy"));
  child_limits limits = {.variables = cache_at(s, "disk/cache")};
  if (!run_is_right(s, &limits, want, "")) return 1; // fills it
  const char *files = child_files(s, "disk/cache");
  if (!files[0] || mount(NULL, scratch_path(s, "disk"), NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0) return 2;
  if (!run_is_right(s, &limits, want, "")) return 3; // reads it
  limits.variables = cache_at(s, "disk/other");
  if (!run_is_right(s, &limits, want, "")) return 4; // cannot make it
  return strcmp(child_files(s, "disk/cache"), files) ? 5 : 0;
}

static void disks(void **state) {
  scratch *s = *state;
  run_without_cache(s);
  assert_int_equal(mkdir(scratch_path(s, "disk"), 0700), 0);
  int rc = child_on_disk(s, "size=8k", full);
  if (rc == CHILD_NOT_PERMITTED) skip(); // a disk of its own needs a mount namespace, which some sandboxes refuse
  assert_int_equal(rc, 0);
  assert_int_equal(child_on_disk(s, "size=1m", read_only), 0);
}

// Whatever a killed process has left, the next one is right, and no file in the folder is damaged.
static void kills_at_random_moments(void **state) {
  scratch *s = *state;
  str want = run_without_cache(s);
  child_limits limits = {.variables = cache_at(s, "cache")};
  child_result r = child_run(s, &limits, RUN("z=got.npy"));
  assert_int_equal(r.status, 0);
  const uint32_t whole_us = (uint32_t)(r.cpu_s * 1.2e6) + 5000;
  uint32_t seed = 1;
  int killed = 0;
  for (int i = 0; i < 50; i++) {
    assert_int_equal(child_run(s, &(child_limits){.variables = limits.variables}, NNC("cache", "--clear")).status, 0);
    seed = seed * 1664525 + 1013904223;
    limits.kill_after_us = 1 + (uint32_t)((uint64_t)whole_us * (seed >> 8) >> 24);
    r = child_run(s, &limits, RUN("z=other.npy"));
    killed += r.status == -9;
    assert_true(r.status == -9 || r.status == 0);
    limits.kill_after_us = 0;
    limits.out = "said";
    assert_int_equal(child_run(s, &limits, NNC("cache", "--verify")).status, 0);
    assert_non_null(strstr(str_dup(s->a, scratch_bytes(s, scratch_path(s, "said"))), "removed 0 files"));
    limits.out = NULL;
    assert_true(run_is_right(s, &limits, want, ""));
  }
  assert_true(killed > 10);
}

// Twelve processes that find the same empty folder, and two that clear it meanwhile.
static void many_at_once(void **state) {
  scratch *s = *state;
  str want = run_without_cache(s);
  const char *line =
      str_fmt(s->a,
              "cd '%s' && export NNC_NO_CACHE= NNC_CACHE_DIR='%s/cache' && unset LD_LIBRARY_PATH && for i in 1 2 3 4 5 "
              "6 7 8 9 10 11 "
              "12; do '%s/nnc' run m.yaml --weights random:3 --in x=random:1 --out z=z$i.npy || touch failed & "
              "if [ $i = 4 ] || [ $i = 8 ]; then '%s/nnc' cache --clear >/dev/null || touch failed & fi; done; wait",
              s->folder, s->folder, NNC_BINARY_DIR, NNC_BINARY_DIR);
  assert_int_equal(system(line), 0);
  assert_int_not_equal(access(scratch_path(s, "failed"), F_OK), 0);
  for (int i = 1; i <= 12; i++)
    assert_true(str_eq(scratch_bytes(s, scratch_path(s, str_fmt(s->a, "z%d.npy", i))), want));
  child_limits limits = {.variables = cache_at(s, "cache"), .out = "said"};
  assert_int_equal(child_run(s, &limits, NNC("cache", "--verify")).status, 0);
  assert_non_null(strstr(str_dup(s->a, scratch_bytes(s, scratch_path(s, "said"))), "removed 0 files"));
}

// `nnc cache` tells of damage and removes it.
static void verify_and_clear(void **state) {
  scratch *s = *state;
  child_limits limits = {.variables = cache_at(s, "cache"), .out = "said"};
  assert_int_equal(child_run(s, &(child_limits){.variables = limits.variables}, RUN("z=got.npy")).status, 0);
  const char *files = child_files(s, "cache");
  for (const char *extension = ".code"; extension; extension = extension[1] == 'c' ? ".weights" : NULL) {
    const char *end = strstr(files, extension), *begin = end;
    while (begin > files && begin[-1] != ' ') begin--;
    const char *path = scratch_path(s, str_fmt(s->a, "cache/%.*s%s", (int)(end - begin), begin, extension));
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, -1, SEEK_END);
    int last = fgetc(f);
    fseek(f, -1, SEEK_END);
    fputc(last ^ 1, f);
    fclose(f);
    assert_int_equal(child_run(s, &limits, NNC("cache", "--verify")).status, 0);
    assert_non_null(strstr(str_dup(s->a, scratch_bytes(s, scratch_path(s, "said"))), "removed 1 files"));
  }
  assert_string_equal(child_files(s, "cache"), "");
  assert_int_equal(child_run(s, &limits, RUN("z=got.npy")).status, 0);
  assert_int_equal(child_run(s, &limits, NNC("cache", "--clear", "--json")).status, 0);
  assert_non_null(strstr(str_dup(s->a, scratch_bytes(s, scratch_path(s, "said"))), "\"removed\": 2"));
  assert_string_equal(child_files(s, "cache"), "");
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(without_a_folder),        CASE(untrusted_folder), CASE(disks),
      CASE(kills_at_random_moments), CASE(many_at_once),     CASE(verify_and_clear),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
