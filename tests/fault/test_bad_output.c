// Places that cannot be written, disks that fill up, kills at any moment: a status and a message, and never a broken
// file under the name that was asked for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "child.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

// 64 x 64 outputs: files of 16 KB.
static const char model[] = "nnc: 1\nname: m\ninputs:\n  x: f32[64, 64]\nsteps:\n- y: x + 1\noutputs:\n  y: y\n";

static void prepare(scratch *s) {
  scratch_file(s, "m.yaml", STR(model));
  assert_int_equal(mkdir(scratch_path(s, "folder.so"), 0700), 0);
  assert_int_equal(mkdir(scratch_path(s, "folder.npy"), 0700), 0);
  assert_int_equal(mkfifo(scratch_path(s, "pipe.npy"), 0600), 0);
}

static const char before[] = "folder.npy folder.so m.yaml pipe.npy";

static void check_run(scratch *s, const char *destination, const char *part) {
  const char *out = str_fmt(s->a, "y=%s", destination);
  child_expect(s, 3, part, NNC("run", "m.yaml", "--in", "x=zeros", "--out", out));
  assert_string_equal(child_files(s, "."), before);
}

static void check_compile(scratch *s, const char *destination, const char *part) {
  child_expect(s, 3, part, NNC("compile", "m.yaml", "-o", destination));
  assert_string_equal(child_files(s, "."), before);
}

static void places_that_cannot_be_written(void **state) {
  scratch *s = *state;
  prepare(s);
  check_compile(s, "absent/m.so", "cannot write absent/m.so: No such file");
  check_compile(s, "m.yaml/m.so", "cannot write m.yaml/m.so: Not a directory");
  check_compile(s, "folder.so", "cannot write folder.so: it is a folder");
  check_compile(s, "/dev/null/m.so", "cannot write /dev/null/m.so: Not a directory");
  check_run(s, "absent/y.npy", "cannot write absent/y.npy: No such file");
  check_run(s, "absent/y.npz", "cannot write absent/y.npz: No such file");
  check_run(s, "absent/y.safetensors", "cannot write absent/y.safetensors: No such file");
  check_run(s, "absent/y.png", "cannot write absent/y.png: No such file");
  check_run(s, "folder.npy", "cannot write folder.npy: it is a folder");
  check_run(s, "pipe.npy", "cannot write pipe.npy: it is not a regular file");
  char *name = arena_alloc(s->a, 400);
  memset(name, 'n', 300);
  memcpy(name + 300, ".npy", 5);
  check_run(s, name, "File name too long");
  child_expect(s, 2, "is no place for a tensor", NNC("run", "m.yaml", "--in", "x=zeros", "--out", "y=y.txt"));
  child_expect(s, 1, "has no output `z`", NNC("run", "m.yaml", "--in", "x=zeros", "--out", "z=z.npy"));
  child_expect(s, 2, "FILE.so for a library", NNC("compile", "m.yaml", "-o", "m.txt"));
  assert_string_equal(child_files(s, "."), before);
}

// What stands there already stays as it was.
static void failures_leave_old_files(void **state) {
  scratch *s = *state;
  prepare(s);
  scratch_file(s, "y.npy", STR("old"));
  child_limits small = {.file_bytes = 4096};
  child_result r = child_run(s, &small, NNC("run", "m.yaml", "--in", "x=zeros", "--out", "y=y.npy"));
  if (r.status != 3 || !strstr(r.err, "cannot write")) fail_msg("exit status %d: %s", r.status, r.err);
  assert_true(str_is(scratch_bytes(s, scratch_path(s, "y.npy")), "old"));
  assert_string_equal(child_files(s, "."), "folder.npy folder.so m.yaml pipe.npy y.npy");
}

static void standard_output_that_fails(void **state) {
  scratch *s = *state;
  prepare(s);
  static const char *const commands[][6] = {{"check", "m.yaml"},
                                            {"check", "m.yaml", "--json"},
                                            {"run", "m.yaml", "--in", "x=zeros"},
                                            {"show", "m.yaml"},
                                            {"compile", "m.yaml", "--emit", "kernel"},
                                            {"ops"},
                                            {"help"}};
  child_limits full = {.out = "/dev/full"};
  for (size_t i = 0; i < N_OF(commands); i++) {
    child_result r = child_run(s, &full, commands[i]);
    if (r.status != 3 || !strstr(r.err, "cannot write standard output"))
      fail_msg("nnc %s: exit status %d: %s", commands[i][0], r.status, r.err);
  }
}

static void without_a_linker_or_room_for_its_files(void **state) {
  scratch *s = *state;
  prepare(s);
  child_limits no_linker = {.variables = (const char *const[]){"PATH", "/nonexistent", NULL}};
  child_result r = child_run(s, &no_linker, NNC("compile", "m.yaml", "-o", "m.so"));
  if (r.status != 3 || !strstr(r.err, "the system linker failed")) fail_msg("exit status %d: %s", r.status, r.err);
  child_limits no_folder = {.variables = (const char *const[]){"TMPDIR", "/nonexistent", NULL}};
  r = child_run(s, &no_folder, NNC("compile", "m.yaml", "-o", "m.so"));
  if (r.status != 3 || !strstr(r.err, "cannot write /nonexistent/")) fail_msg("exit status %d: %s", r.status, r.err);
  child_limits small = {.file_bytes = 4096, .variables = (const char *const[]){"TMPDIR", s->folder, NULL}};
  r = child_run(s, &small, NNC("compile", "m.yaml", "-o", "m.so"));
  if (r.status != 3 || !strstr(r.err, "error: ")) fail_msg("exit status %d: %s", r.status, r.err);
  assert_string_equal(child_files(s, "."), before);
}

// -- a full disk --

static int write_on_disk(scratch *s) {
  child_result r = child_run(s, NULL, NNC("run", "m.yaml", "--in", "x=zeros", "--out", "y=disk/y.npy"));
  if (r.status != 3 || !strstr(r.err, "cannot write disk/y.npy: No space left")) return 1;
  r = child_run(s, NULL, NNC("compile", "m.yaml", "-o", "disk/m.so"));
  if (r.status != 3 || !strstr(r.err, "cannot write disk/m.so: No space left")) return 2;
  return child_files(s, "disk")[0] ? 3 : 0;
}

// Room for the library, not for the header beside it: neither stays.
static int write_half_on_disk(scratch *s) {
  child_result r = child_run(s, NULL, NNC("compile", "m.yaml", "-o", "disk/m.so"));
  if (r.status != 3 || !strstr(r.err, "cannot write disk/m.h: No space left")) return 1;
  return child_files(s, "disk")[0] ? 2 : 0;
}

static void full_disks(void **state) {
  scratch *s = *state;
  prepare(s);
  assert_int_equal(mkdir(scratch_path(s, "disk"), 0700), 0);
  int rc = child_on_disk(s, "size=8k", write_on_disk);
  if (rc == CHILD_NOT_PERMITTED) skip(); // a disk of its own needs a mount namespace, which some sandboxes refuse
  assert_int_equal(rc, 0);
  child_expect(s, 0, "", NNC("compile", "m.yaml", "-o", "m.so"));
  struct stat library;
  assert_int_equal(stat(scratch_path(s, "m.so"), &library), 0);
  uint64_t pages = ((uint64_t)library.st_size + 4095) / 4096;
  assert_int_equal(child_on_disk(s, str_fmt(s->a, "size=%lluk", (unsigned long long)pages * 4), write_half_on_disk), 0);
}

// -- kills --

static bool same_file(scratch *s, const char *name, str want) {
  const char *path = scratch_path(s, name);
  return access(path, F_OK) != 0 || str_eq(scratch_bytes(s, path), want);
}

// At any moment a compile leaves under its names what was there, or all that it makes; temporary files may stay.
static void kills_at_random_moments(void **state) {
  scratch *s = *state;
  prepare(s);
  child_limits limits = {.variables = (const char *const[]){"TMPDIR", s->folder, NULL}};
  child_result r = child_run(s, &limits, NNC("compile", "m.yaml", "-o", "m.so"));
  assert_int_equal(r.status, 0);
  str library = scratch_bytes(s, scratch_path(s, "m.so")), header = scratch_bytes(s, scratch_path(s, "m.h"));
  const uint32_t whole_us = (uint32_t)(r.cpu_s * 1.5e6) + 20000;
  uint32_t seed = 1;
  int killed = 0;
  for (int i = 0; i < 50; i++) {
    unlink(scratch_path(s, "m.so"));
    unlink(scratch_path(s, "m.h"));
    seed = seed * 1664525 + 1013904223;
    limits.kill_after_us = 1 + (uint32_t)((uint64_t)whole_us * (seed >> 8) >> 24);
    r = child_run(s, &limits, NNC("compile", "m.yaml", "-o", "m.so"));
    killed += r.status == -9;
    assert_true(r.status == -9 || r.status == 0);
    assert_true(same_file(s, "m.so", library) && same_file(s, "m.h", header));
  }
  assert_true(killed > 10); // the others had ended: the moments reach beyond the end of a compile
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(places_that_cannot_be_written),
      CASE(failures_leave_old_files),
      CASE(standard_output_that_fails),
      CASE(without_a_linker_or_room_for_its_files),
      CASE(full_disks),
      CASE(kills_at_random_moments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
