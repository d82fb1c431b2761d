// The cache folder itself: where it is, whom it trusts, what comes back, what is removed first.
#define _GNU_SOURCE // chown
#include "api/cache.h"
#include "unit/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static int setup(void **state) {
  static const char *const all[] = {"NNC_NO_CACHE", "XDG_CACHE_HOME", "NNC_CACHE_SIZE", "NNC_CACHE_WEIGHTS_SIZE"};
  int rc = scratch_open(state);
  for (size_t i = 0; i < 4; i++) unsetenv(all[i]);
  if (!rc) setenv("NNC_CACHE_DIR", scratch_path(*state, "cache"), 1);
  return rc;
}

static cache *open_cache(scratch *s) { return cache_open(s->a, &s->l, true); }

static sha256_digest key(int i) { return sha256_of((str){(const char *)&i, sizeof i}); }

static bool put(const cache *c, int i, const char *text) {
  sha256_digest k = key(i);
  const str parts[] = {str_of(text), STR("!")};
  return cache_put(c, CACHE_code, &k, 2, parts);
}

// What is under a key; NULL: nothing.
static const char *get(scratch *s, const cache *c, int i) {
  sha256_digest k = key(i);
  int fd = cache_find(c, CACHE_code, &k);
  if (fd < 0) return NULL;
  char *text = arena_alloc(s->a, 1 << 16);
  assert_true(read(fd, text, (1 << 16) - 1) >= 0);
  close(fd);
  return text;
}

static void files_come_back(void **state) {
  scratch *s = *state;
  cache *c = open_cache(s);
  assert_null(c->off);
  assert_null(get(s, c, 1));
  assert_true(put(c, 1, "one") && put(c, 2, "two"));
  assert_string_equal(get(s, c, 1), "one!");
  assert_string_equal(get(s, c, 2), "two!");
  assert_true(put(c, 1, "other"));
  assert_string_equal(get(s, c, 1), "other!");
  sha256_digest k = key(1);
  assert_int_equal(cache_find(c, CACHE_weights, &k), -1); // the kinds are apart
  cache_drop(c, CACHE_code, &k);
  assert_null(get(s, c, 1));
  assert_int_equal(cache_list(c).n, 1);
}

static void place_of_the_folder(void **state) {
  scratch *s = *state;
  const char *home = scratch_path(s, "home"), *old = getenv("HOME");
  char *kept = old ? str_dup(s->a, str_of(old)) : NULL;
  assert_int_equal(mkdir(home, 0755), 0);
  setenv("HOME", home, 1);
  assert_string_equal(open_cache(s)->path, scratch_path(s, "cache"));
  unsetenv("NNC_CACHE_DIR");
  assert_string_equal(open_cache(s)->path, scratch_path(s, "home/.cache/nnc"));
  setenv("XDG_CACHE_HOME", scratch_path(s, "xdg"), 1);
  assert_string_equal(open_cache(s)->path, scratch_path(s, "xdg/nnc"));
  setenv("XDG_CACHE_HOME", "relative", 1); // the standard: to be ignored
  assert_string_equal(open_cache(s)->path, scratch_path(s, "home/.cache/nnc"));
  struct stat st;
  assert_int_equal(stat(scratch_path(s, "xdg/nnc"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0700);
  assert_int_equal(stat(scratch_path(s, "xdg"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0700);
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  cache *c = open_cache(s);
  assert_string_equal(c->off, "there is no home folder");
  assert_false(put(c, 1, "one"));
  assert_int_equal(cache_list(c).n, 0);
  setenv("NNC_CACHE_DIR", scratch_path(s, "cache"), 1);
  setenv("NNC_NO_CACHE", "1", 1);
  assert_string_equal(open_cache(s)->off, "NNC_NO_CACHE is set");
  setenv("NNC_NO_CACHE", "", 1);
  assert_null(open_cache(s)->off);
  assert_null(cache_open(s->a, &s->l, false)->off);
  setenv("NNC_CACHE_DIR", scratch_path(s, "absent"), 1);
  assert_non_null(cache_open(s->a, &s->l, false)->off); // looking makes no folder
  assert_int_not_equal(access(scratch_path(s, "absent"), F_OK), 0);
  scratch_file(s, "file", STR("x"));
  setenv("NNC_CACHE_DIR", scratch_path(s, "file/cache"), 1);
  assert_non_null(open_cache(s)->off); // silently: there can be no folder
  scratch_expect_none(s);
  if (kept) setenv("HOME", kept, 1);
}

static void folders_that_are_not_trusted(void **state) {
  scratch *s = *state;
  assert_true(put(open_cache(s), 1, "one"));
  static const mode_t modes[] = {0770, 0707, 0777, 01777};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    assert_int_equal(chmod(scratch_path(s, "cache"), modes[i]), 0);
    cache *c = open_cache(s);
    scratch_expect(s, DIAG_ID_cache_refused, "others may write to it");
    assert_null(get(s, c, 1));
    assert_false(put(c, 2, "two"));
  }
  assert_int_equal(chmod(scratch_path(s, "cache"), 0755), 0); // others may read
  assert_string_equal(get(s, open_cache(s), 1), "one!");
  if (geteuid() != 0) return;
  assert_int_equal(chown(scratch_path(s, "cache"), 12345, (gid_t)-1), 0);
  assert_null(get(s, open_cache(s), 1));
  scratch_expect(s, DIAG_ID_cache_refused, "it belongs to another user");
}

static void files_that_are_not_trusted(void **state) {
  scratch *s = *state;
  cache *c = open_cache(s);
  assert_true(put(c, 1, "one"));
  const char *path = str_fmt(s->a, "%s/%s", c->path, cache_list(c).at[0].name);
  assert_int_equal(chmod(path, 0666), 0);
  assert_null(get(s, c, 1));
  assert_int_equal(chmod(path, 0600), 0);
  assert_string_equal(get(s, c, 1), "one!");
  const char *other = scratch_file(s, "elsewhere", STR("foreign"));
  assert_int_equal(unlink(path), 0);
  assert_int_equal(symlink(other, path), 0);
  assert_null(get(s, c, 1));
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_null(get(s, c, 1)); // and no wait
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_null(get(s, c, 1));
  assert_false(put(c, 1, "one")); // nor does it replace a folder
  assert_int_equal(cache_list(c).n, 1);
}

static void set_age(const cache *c, scratch *s, const char *name, int64_t seconds) {
  struct timespec t[2];
  clock_gettime(CLOCK_REALTIME, &t[0]);
  t[0].tv_sec -= seconds;
  t[1] = t[0];
  assert_int_equal(utimensat(AT_FDCWD, str_fmt(s->a, "%s/%s", c->path, name), t, 0), 0);
}

static const char *name_of(scratch *s, int i) {
  sha256_digest k = key(i);
  return str_fmt(s->a, "%s.code", sha256_hex(s->a, &k));
}

// Ten files of 1000 bytes under a cap of 4 KiB: those used last stay, and a file that was found counts as used.
static void the_cap_holds(void **state) {
  scratch *s = *state;
  char text[1000];
  memset(text, 'x', sizeof text - 1);
  text[999] = 0;
  setenv("NNC_CACHE_SIZE", "4K", 1);
  cache *c = open_cache(s);
  assert_int_equal(c->cap_bytes[CACHE_code], 4096);
  for (int i = 0; i < 10; i++) {
    assert_true(put(c, i, text));
    set_age(c, s, name_of(s, i), 1000 - i * 10);
    if (i == 3) assert_non_null(get(s, c, 0)); // used just now
    assert_true(cache_list(c).n <= 4);
  }
  assert_int_equal(cache_list(c).n, 4);
  static const bool stays[10] = {[0] = true, [7] = true, [8] = true, [9] = true};
  for (int i = 0; i < 10; i++) assert_int_equal(get(s, c, i) != NULL, stays[i]);
  setenv("NNC_CACHE_SIZE", "999", 1);
  c = open_cache(s);
  assert_false(put(c, 20, text)); // alone beyond the cap: nothing is removed for it
  assert_int_equal(cache_list(c).n, 4);
  setenv("NNC_CACHE_SIZE", "0", 1);
  assert_false(put(open_cache(s), 21, ""));
}

static void sizes_in_the_environment(void **state) {
  scratch *s = *state;
  static const struct {
    const char *text;
    uint64_t bytes;
  } cases[] = {{"1000", 1000}, {"2K", 2048},   {"3M", 3 << 20}, {"2G", UINT64_C(2) << 30}, {"1T", UINT64_C(1) << 40},
               {"", 1 << 30},  {"K", 1 << 30}, {"-1", 1 << 30}, {"many", 1 << 30},         {"9000000000T", 1 << 30},
               {"5k", 1 << 30}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    setenv("NNC_CACHE_SIZE", cases[i].text, 1);
    assert_true(open_cache(s)->cap_bytes[CACHE_code] == cases[i].bytes);
  }
  assert_true(open_cache(s)->cap_bytes[CACHE_weights] <= UINT64_C(8) << 30);
  setenv("NNC_CACHE_WEIGHTS_SIZE", "20G", 1);
  assert_true(open_cache(s)->cap_bytes[CACHE_weights] == UINT64_C(20) << 30);
}

// Temporary files of killed processes go after an hour; what is not the cache's stays.
static void what_was_left_behind(void **state) {
  scratch *s = *state;
  cache *c = open_cache(s);
  scratch_file(s, "cache/.tmp-1-0", STR("old"));
  scratch_file(s, "cache/.tmp-2-0", STR("young"));
  scratch_file(s, "cache/notes.txt", STR("mine"));
  scratch_file(s, "cache/abc.code", STR("no key"));
  set_age(c, s, ".tmp-1-0", 4000);
  set_age(c, s, "notes.txt", 4000);
  assert_int_equal(cache_list(c).n, 2);
  assert_true(put(c, 1, "one"));
  assert_int_not_equal(access(scratch_path(s, "cache/.tmp-1-0"), F_OK), 0);
  assert_int_equal(access(scratch_path(s, "cache/.tmp-2-0"), F_OK), 0);
  assert_int_equal(access(scratch_path(s, "cache/notes.txt"), F_OK), 0);
  assert_int_equal(access(scratch_path(s, "cache/abc.code"), F_OK), 0);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(files_come_back),
      CASE(place_of_the_folder),
      CASE(folders_that_are_not_trusted),
      CASE(files_that_are_not_trusted),
      CASE(the_cap_holds),
      CASE(sizes_in_the_environment),
      CASE(what_was_left_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
