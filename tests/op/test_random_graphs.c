// Random legal graphs on all engines: see random_graph.h and agree.h.
//
//   NNC_SEED    first seed; else from the clock, printed
//   NNC_GRAPHS  how many (450; under a sanitizer, which takes four times as long, 150)
//   NNC_GRAPH   a file of one graph to run instead
//
// Graphs run in a child process, so that a crash or a hang is a failure like any other: the failing graph is made
// smaller and written, with what was seen, to failures/ in the build folder.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "op/agree.h"
#include "op/random_graph.h"
#include "op/shrink.h"

#ifdef __SANITIZE_ADDRESS__
enum { GRAPHS = 150 };
#else
enum { GRAPHS = 450 };
#endif
enum { GRAPH_SECONDS = 60, TRY_SECONDS = 10, MAX_FAILURES = 3, SHRINK_TRIES = 400 };

typedef struct shared { // between the test and its children
  uint32_t next;        // the graph that is running
  agree_counts counts;
  char why[4096];
} shared;

static shared *page;

// 0 agree, 1 disagree, 2 not a graph to judge.
static int judge(const char *text, uint64_t seed) {
  arena *a = arena_new(NULL);
  int verdict = 1;
  if (setjmp(*arena_guard(a))) {
    snprintf(page->why, sizeof page->why, "internal error, or out of memory");
    return 1;
  }
  diag_list l;
  strbuf why;
  diag_init(&l, a);
  sb_init(&why, a);
  ir_module *m = text ? graph_parse(a, &l, diag_add_file(&l, "graph", str_of(text))) : random_graph(a, &l, seed);
  bool sound = m && graph_verify(m) && !diag_failed(&l);
  if (sound) verdict = engines_agree(a, m, seed, NULL, &page->counts, &why) ? 0 : 1;
  else diag_render_all(&l, false, &why);
  if (!sound && text) verdict = 2;
  snprintf(page->why, sizeof page->why, "%s%s", sound ? "" : "not a legal graph: ", sb_cstr(&why));
  arena_free(a);
  return verdict;
}

static bool clean(pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) < 3) return WEXITSTATUS(status) == 0;
  if (WIFSIGNALED(status))
    snprintf(page->why, sizeof page->why, "killed by signal %d%s", WTERMSIG(status),
             WTERMSIG(status) == SIGALRM ? " (it hung)" : "");
  else snprintf(page->why, sizeof page->why, "the process ended with status %d", WEXITSTATUS(status));
  return false;
}

// Runs graphs first … until one fails; true when none did.
static bool run_graphs(uint64_t seed, uint32_t n) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child) return clean(child);
  for (; page->next < n; page->next++) {
    alarm(GRAPH_SECONDS);
    if (judge(NULL, seed + page->next)) _exit(1);
  }
  _exit(0);
}

static bool still_fails(void *user, const char *text) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    if (!freopen("/dev/null", "w", stderr)) _exit(0);
    alarm(TRY_SECONDS);
    int verdict = judge(text, *(const uint64_t *)user);
    _exit(verdict == 1 && strncmp(page->why, "interpreter:", 12) != 0);
  }
  return !clean(child);
}

static const char *text_of(arena *a, uint64_t seed) {
  diag_list l;
  strbuf b;
  diag_init(&l, a);
  sb_init(&b, a);
  ir_module *m = random_graph(a, &l, seed);
  if (m) graph_print(&b, m, false);
  return m ? sb_cstr(&b) : NULL;
}

static void report(uint64_t seed) {
  arena *a = arena_new(NULL);
  fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, page->why);
  const char *text = text_of(a, seed);
  if (text && still_fails(&seed, text)) {
    text = shrink_graph(a, text, still_fails, &seed, SHRINK_TRIES);
    still_fails(&seed, text); // its own message
    mkdir(NNC_BINARY_DIR "/failures", 0777);
    const char *path = str_fmt(a, "%s/failures/random-%llu.nnir", NNC_BINARY_DIR, (unsigned long long)seed);
    FILE *f = fopen(path, "w");
    if (f) {
      fprintf(f, "%s", text);
      fclose(f);
    }
    fprintf(stderr, "smaller, in %s (NNC_SEED=%llu NNC_GRAPH=%s):\n%s%s\n", path, (unsigned long long)seed, path, text,
            page->why);
  }
  arena_free(a);
}

static uint64_t number(const char *variable, uint64_t otherwise) {
  const char *z = getenv(variable);
  return z ? strtoull(z, NULL, 10) : otherwise;
}

static void engines_agree_on_a_file(const char *path, uint64_t seed) {
  arena *a = arena_new(NULL);
  diag_list l;
  str text;
  diag_init(&l, a);
  assert_true(file_read(a, &l, path, 1 << 20, &text));
  int verdict = judge(text.p, seed);
  if (verdict) fprintf(stderr, "%s\n", page->why);
  arena_free(a);
  assert_int_equal(verdict, 0);
}

// What once failed, at each CPU level (the seed picks the level and the inputs).
static void engines_agree_on_kept_graphs(void **state) {
  (void)state;
  glob_t found;
  assert_int_equal(glob(NNC_SOURCE_DIR "/tests/op/graphs/*.nnir", 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++)
    for (uint64_t seed = 1; seed <= 6; seed++) {
      alarm(GRAPH_SECONDS);
      engines_agree_on_a_file(found.gl_pathv[i], seed);
    }
  alarm(0);
  globfree(&found);
}

static void engines_agree_on_random_graphs(void **state) {
  (void)state;
  uint64_t seed = number("NNC_SEED", (uint64_t)time(NULL) * 1000);
  uint32_t n = (uint32_t)number("NNC_GRAPHS", GRAPHS), failures = 0;
  if (getenv("NNC_GRAPH")) {
    engines_agree_on_a_file(getenv("NNC_GRAPH"), seed);
    return;
  }
  print_message("NNC_SEED=%llu, %u graphs\n", (unsigned long long)seed, n);
  while (!run_graphs(seed, n)) {
    report(seed + page->next);
    page->next++;
    if (++failures == MAX_FAILURES) break;
  }
  agree_counts c = page->counts;
  print_message("%llu float tensors, %llu elements; %llu tensors with a wide bound, %llu elements that say nothing\n",
                (unsigned long long)c.tensors, (unsigned long long)c.elements, (unsigned long long)c.vague,
                (unsigned long long)c.silent);
  assert_int_equal(failures, 0);
  if (n < 100) return;
  assert_true(c.vague * 10 < c.tensors); // else the comparison is empty talk
  assert_true(c.silent * 50 < c.elements);
}

int main(void) {
  page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(engines_agree_on_kept_graphs),
                                     cmocka_unit_test(engines_agree_on_random_graphs)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
