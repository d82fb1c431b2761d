// Files: what is read is what was written; everything that is no regular file is refused at once; a failed write
// leaves the old content and no temporary file.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

typedef struct place {
  char folder[32];
  arena *a;
  diag_list l;
} place;

static int place_open(void **state) {
  place *p = calloc(1, sizeof *p);
  if (!p) return -1;
  strcpy(p->folder, "./nnc-file-XXXXXX");
  if (!mkdtemp(p->folder)) return -1;
  p->a = arena_new(NULL);
  diag_init(&p->l, p->a);
  *state = p;
  return 0;
}

static int place_close(void **state) {
  place *p = *state;
  char command[64];
  snprintf(command, sizeof command, "rm -rf '%s'", p->folder);
  int rc = system(command);
  arena_free(p->a);
  free(p);
  return rc;
}

static const char *in(place *p, const char *name) { return str_fmt(p->a, "%s/%s", p->folder, name); }

static void expect_only(place *p, diag_id id, const char *part) {
  assert_int_equal(p->l.items.n, 1);
  assert_int_equal(p->l.items.at[0]->id, id);
  if (!strstr(p->l.items.at[0]->text, part)) fail_msg("no `%s` in: %s", part, p->l.items.at[0]->text);
  diag_init(&p->l, p->a);
}

static int n_entries(place *p) {
  DIR *d = opendir(p->folder);
  int n = -2; // . and ..
  while (readdir(d)) n++;
  closedir(d);
  return n;
}

static void round_trip(void **state) {
  place *p = *state;
  static char big[3000001];
  for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i * 31 >> 3);
  const str contents[] = {STR(""), STR("x"), STR("line\0two\n"), {big, sizeof big}};
  for (size_t i = 0; i < 4; i++) {
    str got;
    assert_true(file_write(p->a, &p->l, in(p, "f"), contents[i], 0640));
    assert_true(file_read(p->a, &p->l, in(p, "f"), contents[i].n, &got));
    assert_true(str_eq(got, contents[i]));
    assert_int_equal(got.p[got.n], '\0');
    assert_true(file_map(p->a, &p->l, in(p, "f"), &got, NULL));
    assert_true(str_eq(got, contents[i]));
    assert_int_equal(n_entries(p), 1);
  }
  assert_int_equal(p->l.items.n, 0);
  struct stat s;
  assert_int_equal(stat(in(p, "f"), &s), 0);
  assert_int_equal(s.st_mode & 0777, 0640);
}

static void mode_respects_umask(void **state) {
  place *p = *state;
  mode_t before = umask(027);
  assert_true(file_write(p->a, &p->l, in(p, "f"), STR("x"), 0666));
  umask(before);
  struct stat s;
  assert_int_equal(stat(in(p, "f"), &s), 0);
  assert_int_equal(s.st_mode & 0777, 0640);
}

static void limits_size(void **state) {
  place *p = *state;
  str got;
  assert_true(file_write(p->a, &p->l, in(p, "f"), STR("12345"), 0600));
  assert_false(file_read(p->a, &p->l, in(p, "f"), 4, &got));
  assert_int_equal(got.n, 0);
  expect_only(p, DIAG_ID_file_too_large, "f has 5 bytes; at most 4 are read");
}

// Files of /proc say that they have 0 bytes.
static void reads_past_the_stated_size(void **state) {
  place *p = *state;
  str got;
  assert_true(file_read(p->a, &p->l, "/proc/self/status", 1 << 20, &got));
  assert_true(str_starts(got, STR("Name:")));
  assert_false(file_read(p->a, &p->l, "/proc/self/status", 10, &got));
  expect_only(p, DIAG_ID_file_too_large, "at most 10 are read");
}

// A hang would be killed by the alarm, which fails the test.
static void refuses_what_is_no_file(void **state) {
  place *p = *state;
  str got;
  assert_int_equal(mkfifo(in(p, "fifo"), 0600), 0);
  assert_int_equal(mkdir(in(p, "dir"), 0700), 0);
  const char *const paths[] = {in(p, "fifo"), in(p, "dir"), "/dev/zero"};
  const char *const reasons[] = {"not a regular file", "it is a folder", "not a regular file"};
  alarm(20);
  for (int i = 0; i < 3; i++) {
    assert_false(file_read(p->a, &p->l, paths[i], 1 << 20, &got));
    expect_only(p, DIAG_ID_file_read, reasons[i]);
    assert_false(file_map(p->a, &p->l, paths[i], &got, NULL));
    expect_only(p, DIAG_ID_file_read, reasons[i]);
    assert_false(file_write(p->a, &p->l, paths[i], STR("x"), 0600));
    expect_only(p, DIAG_ID_file_write, reasons[i]);
  }
  alarm(0);
  assert_int_equal(n_entries(p), 2);
  assert_false(file_read(p->a, &p->l, in(p, "none"), 10, &got));
  expect_only(p, DIAG_ID_file_open, "/none: No such file or directory");
  assert_false(file_map(p->a, &p->l, in(p, "none"), &got, NULL));
  expect_only(p, DIAG_ID_file_open, "No such file or directory");
  assert_false(file_write(p->a, &p->l, in(p, "none/f"), STR("x"), 0600));
  expect_only(p, DIAG_ID_file_write, "No such file or directory");
}

static void follows_links_when_writing(void **state) {
  place *p = *state;
  str got;
  struct stat s;
  assert_true(file_write(p->a, &p->l, in(p, "target"), STR("old"), 0600));
  assert_int_equal(symlink("target", in(p, "link")), 0);
  assert_true(file_write(p->a, &p->l, in(p, "link"), STR("new"), 0600));
  assert_int_equal(lstat(in(p, "link"), &s), 0);
  assert_true(S_ISLNK(s.st_mode));
  assert_true(file_read(p->a, &p->l, in(p, "target"), 10, &got));
  assert_true(str_is(got, "new"));
  assert_int_equal(symlink("nowhere", in(p, "broken")), 0);
  assert_false(file_write(p->a, &p->l, in(p, "broken"), STR("x"), 0600));
  expect_only(p, DIAG_ID_file_write, "broken");
  assert_int_equal(n_entries(p), 3);
}

// The disk is full half-way: simulated by a limit on file sizes, which makes write() fail after some bytes.
static void failed_write_changes_nothing(void **state) {
  place *p = *state;
  str got;
  static char big[100000];
  assert_true(file_write(p->a, &p->l, in(p, "f"), STR("precious"), 0600));
  struct rlimit before, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 5000;
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  bool ok = file_write(p->a, &p->l, in(p, "f"), (str){big, sizeof big}, 0600);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  assert_false(ok);
  expect_only(p, DIAG_ID_file_write, "File too large");
  assert_int_equal(n_entries(p), 1);
  assert_true(file_read(p->a, &p->l, in(p, "f"), 100, &got));
  assert_true(str_is(got, "precious"));
}

// A full file system, where the test may mount one of its own.
static void full_disk_is_reported(void **state) {
  place *p = *state;
  static char big[1 << 20];
  char script[400];
  const char *mount_point = in(p, "m");
  assert_int_equal(mkdir(mount_point, 0700), 0);
  snprintf(script, sizeof script, "mount -t tmpfs -o size=64k tmpfs '%s' 2>/dev/null", mount_point);
  if (system(script) != 0) {
    skip();
    return;
  }
  bool ok = file_write(p->a, &p->l, in(p, "m/f"), (str){big, sizeof big}, 0600);
  snprintf(script, sizeof script, "test -z \"$(ls -A '%s')\"; r=$?; umount '%s'; exit $r", mount_point, mount_point);
  int left_behind = system(script);
  assert_false(ok);
  expect_only(p, DIAG_ID_file_write, "No space left on device");
  assert_int_equal(left_behind, 0);
}

// Names as long as the system takes them, and somebody else's temporary files in the way.
static void temporary_names(void **state) {
  place *p = *state;
  char name[256];
  memset(name, 'n', 255);
  name[255] = '\0';
  str got;
  assert_true(file_write(p->a, &p->l, in(p, name), STR("x"), 0600));
  assert_true(file_read(p->a, &p->l, in(p, name), 10, &got));
  for (int i = 0; i < 5; i++) {
    FILE *f = fopen(in(p, str_fmt(p->a, ".nnc-%ld-%d.tmp", (long)getpid(), i)), "w");
    assert_non_null(f);
    fclose(f);
  }
  assert_true(file_write(p->a, &p->l, in(p, "f"), STR("x"), 0600));
  assert_int_equal(n_entries(p), 7);
}

typedef struct descriptor_watch {
  int most_open, not_closed_on_exec; // of descriptors 3 to 63
} descriptor_watch;

// An allocator that looks at the open descriptors at each request, so also while a file is being read.
static void *watching_alloc(void *user, size_t size_bytes) {
  descriptor_watch *w = user;
  int n_open = 0;
  for (int fd = 3; fd < 64; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0) continue;
    n_open++;
    if (!(flags & FD_CLOEXEC)) w->not_closed_on_exec++;
  }
  if (n_open > w->most_open) w->most_open = n_open;
  return malloc(size_bytes);
}

static void watching_release(void *user, void *block) {
  (void)user;
  free(block);
}

static void descriptors_do_not_pass_to_programs(void **state) {
  place *p = *state;
  static char big[3 << 20];
  str got;
  assert_true(file_write(p->a, &p->l, in(p, "f"), (str){big, sizeof big}, 0600));
  for (int fd = 3; fd < 64; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC); // those that the test was started with
  descriptor_watch w = {0, 0};
  mem_source source = {.alloc = watching_alloc, .release = watching_release, .user = &w};
  arena *a = arena_new(&source);
  int n_before = w.most_open;
  assert_true(file_read(a, &p->l, in(p, "f"), sizeof big, &got));
  assert_int_equal(w.most_open, n_before + 1); // it was seen while open
  assert_int_equal(w.not_closed_on_exec, 0);
  w.most_open = 0;
  arena_alloc(a, 2 << 20);
  assert_int_equal(w.most_open, n_before); // and is closed although the arena lives on
  arena_free(a);
}

static void paths_beside(void **state) {
  place *p = *state;
  assert_string_equal(path_beside(p->a, "a/b.yaml", "w.bin"), "a/w.bin");
  assert_string_equal(path_beside(p->a, "b.yaml", "w.bin"), "w.bin");
  assert_string_equal(path_beside(p->a, "/b.yaml", "w.bin"), "/w.bin");
  assert_string_equal(path_beside(p->a, "a/b.yaml", "/x/w.bin"), "/x/w.bin");
  assert_string_equal(path_beside(p->a, "a/b.yaml", "../w.bin"), "a/../w.bin");
}

int main(void) {
#define IN_PLACE(f) cmocka_unit_test_setup_teardown(f, place_open, place_close)
  const struct CMUnitTest tests[] = {
      IN_PLACE(round_trip),
      IN_PLACE(mode_respects_umask),
      IN_PLACE(limits_size),
      IN_PLACE(reads_past_the_stated_size),
      IN_PLACE(refuses_what_is_no_file),
      IN_PLACE(follows_links_when_writing),
      IN_PLACE(failed_write_changes_nothing),
      IN_PLACE(full_disk_is_reported),
      IN_PLACE(temporary_names),
      IN_PLACE(descriptors_do_not_pass_to_programs),
      IN_PLACE(paths_beside),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
