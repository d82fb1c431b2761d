#define _GNU_SOURCE // unshare
#include "child.h"

#include "base/clock.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static const double CHILD_SECONDS = 30;

static void to_file(const char *path, int fd) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || dup2(file, fd) < 0) _exit(126);
  close(file);
}

static void set_limit(int which, uint64_t value) {
  struct rlimit r = {value, value};
  if (value && setrlimit((__rlimit_resource_t)which, &r) != 0) _exit(126);
}

_Noreturn static void become_nnc(scratch *s, const child_limits *limits, char *const *argv) {
  if (chdir(s->folder) != 0) _exit(126);
  to_file(limits && limits->out ? limits->out : ".out", 1);
  to_file(".err", 2);
  signal(SIGXFSZ, SIG_IGN); // a write beyond the limit fails, as on a full disk
  // One allocation that no machine can serve is an answer of NULL, as it is without the sanitizer. The leak check
  // follows thread-local blocks of libraries that were closed (the back end's), unless it is kept from knowing them.
  setenv("ASAN_OPTIONS", "allocator_may_return_null=1:detect_leaks=1:exitcode=99:intercept_tls_get_addr=0", 1);
  setenv("UBSAN_OPTIONS", "print_stacktrace=1", 1);
  unsetenv("LD_LIBRARY_PATH"); // nnc finds what lies beside it by itself
  for (const char *const *v = limits ? limits->variables : NULL; v && *v; v += 2) setenv(v[0], v[1], 1);
  if (limits) set_limit(RLIMIT_FSIZE, limits->file_bytes);
  if (limits && !SANITIZED) set_limit(RLIMIT_AS, limits->memory_bytes);
  execv(argv[0], argv);
  _exit(127);
}

// Waits, and kills when the time is over.
static int wait_for(pid_t child, double seconds, struct rusage *usage) {
  int64_t begin = clock_ns();
  for (;;) {
    int status;
    pid_t ended = wait4(child, &status, WNOHANG, usage);
    if (ended < 0 && errno == EINTR) continue;
    if (ended == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if ((double)(clock_ns() - begin) * 1e-9 > seconds) {
      kill(child, SIGKILL);
      seconds = CHILD_SECONDS * 2;
    }
    usleep(200);
  }
}

static double seconds_of(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec * 1e-6; }

child_result child_run(scratch *s, const child_limits *limits, const char *const *words) {
  char *argv[CHILD_MAX_WORDS + 2] = {str_dup(s->a, STR(NNC_BINARY_DIR "/nnc"))};
  for (size_t i = 0; words[i]; i++) {
    assert_true(i < CHILD_MAX_WORDS);
    argv[i + 1] = str_dup(s->a, str_of(words[i]));
  }
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) become_nnc(s, limits, argv);
  struct rusage usage = {0};
  double seconds = limits && limits->kill_after_us ? limits->kill_after_us * 1e-6 : CHILD_SECONDS;
  child_result r = {.status = wait_for(child, seconds, &usage)};
  r.cpu_s = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  str err;
  assert_true(file_read(s->a, &s->l, scratch_path(s, ".err"), 1 << 24, &err));
  r.err = err.p;
  return r;
}

static const char *line_of(scratch *s, const char *const *words) {
  strbuf b;
  sb_init(&b, s->a);
  sb_z(&b, "nnc");
  for (size_t i = 0; words[i]; i++) sb_fmt(&b, " %s", words[i]);
  return sb_cstr(&b);
}

void child_expect(scratch *s, int status, const char *part, const char *const *words) {
  const child_limits limits = {.memory_bytes = UINT64_C(8) << 30}; // a request beyond it fails, on any machine
  child_result r = child_run(s, &limits, words);
  const double most = SANITIZED ? 8 : 1;
  bool reported = strstr(r.err, "Sanitizer:") || strstr(r.err, "runtime error:");
  if (r.status == status && strstr(r.err, part) && !reported && r.cpu_s <= most) return;
  fail_msg("%s\nexit status %d, expected %d with `%s`; %.2f s of processor time, at most %.0f\n%s", line_of(s, words),
           r.status, status, part, r.cpu_s, most, r.err);
}

static int by_name(const void *x, const void *y) { return strcmp(*(char *const *)x, *(char *const *)y); }

const char *child_files(scratch *s, const char *folder) {
  VEC(char *) names = {0};
  DIR *d = opendir(scratch_path(s, folder));
  assert_non_null(d);
  for (const struct dirent *e; (e = readdir(d));) {
    bool own =
        !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !strcmp(e->d_name, ".out") || !strcmp(e->d_name, ".err");
    if (!own) vec_push(s->a, &names, str_dup(s->a, str_of(e->d_name)));
  }
  closedir(d);
  strbuf b;
  sb_init(&b, s->a);
  if (names.n) qsort(names.at, names.n, sizeof *names.at, by_name);
  for (size_t i = 0; i < names.n; i++) sb_fmt(&b, "%s%s", i ? " " : "", names.at[i]);
  return sb_cstr(&b);
}

int child_on_disk(scratch *s, const char *options, int (*f)(scratch *s)) {
  pid_t child = fork();
  if (child == 0) {
    bool own = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    own = own && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    own = own && mount("nnc", scratch_path(s, "disk"), "tmpfs", 0, options) == 0;
    _exit(own ? f(s) : CHILD_NOT_PERMITTED);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
