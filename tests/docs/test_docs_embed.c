// The programs of docs/runtime.md, compiled and run as they stand, on the first model of docs/language.md: the one that
// compiles it in its own process and the one that uses the library print the same.
#include "base/file.h"
#include "nnc/nnc.h"
#include "tests/docs/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define FOLDER NNC_BINARY_DIR "/docs-test"
#define CC     "cc -std=c99 -Wall -Wextra -Wpedantic -Werror "

// The program runs in the company of libnnc.so, and is sanitized as that is.
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED "-fsanitize=address,undefined "
#elif defined(__SANITIZE_THREAD__)
#define SANITIZED "-fsanitize=thread "
#else
#define SANITIZED ""
#endif

static arena *memory;
static const pages *docs;

static void put(const char *name, str text) {
  diag_list l;
  diag_init(&l, memory);
  assert_true(file_write(memory, &l, str_fmt(memory, FOLDER "/%s", name), text, 0644));
}

static str get(const char *name) {
  diag_list l;
  diag_init(&l, memory);
  str text;
  assert_true(file_read(memory, &l, str_fmt(memory, FOLDER "/%s", name), 1 << 20, &text));
  return text;
}

static int setup(void **state) {
  (void)state;
  memory = arena_new(NULL);
  if (!memory || setjmp(*arena_guard(memory)) || system("mkdir -p " FOLDER)) return -1;
  docs = pages_read(memory);
  put("mlp.yaml", pages_fence(docs, "docs/language.md", "yaml", 0)->text);
  put("jit.c", pages_fence(docs, "docs/runtime.md", "c", 0)->text);
  put("aot.c", pages_fence(docs, "docs/runtime.md", "c", 1)->text);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  arena_free(memory);
  return 0;
}

// As `nnc compile mlp.yaml --weights random:7` does.
static void save_library(void) {
  const char *weights[] = {"random:7"};
  nnc_compile_options options = NNC_COMPILE_OPTIONS_INIT;
  options.weights = weights;
  options.n_weights = 1;
  nnc_module *m;
  assert_int_equal(nnc_module_open(&m, FOLDER "/mlp.yaml", &options, NULL), NNC_OK);
  assert_int_equal(nnc_module_save(m, FOLDER "/mlp.so", NULL), NNC_OK);
  nnc_module_free(m);
}

static void the_programs_agree(void **state) {
  (void)state;
  if (access(NNC_BINARY_DIR "/libnnc.so", R_OK))
    fail_msg("libnnc.so is not built: this test follows a build of everything");
  save_library();
  assert_int_equal(system("cd " FOLDER " && " CC "aot.c ./mlp.so -Wl,-rpath,'$ORIGIN' -o aot && ./aot > aot.txt"), 0);
  assert_int_equal(system("cd " FOLDER " && " CC SANITIZED "jit.c -I" NNC_SOURCE_DIR "/include -L" NNC_BINARY_DIR
                          " -lnnc -Wl,-rpath," NNC_BINARY_DIR " -o jit && ./jit > jit.txt"),
                   0);
  str jit = get("jit.txt"), aot = get("aot.txt"), line;
  assert_true(str_eq(jit, aot));
  size_t n = 0;
  for (; next_line(&jit, &line); n++) { // rows of probabilities
    char *at = str_dup(memory, line);
    double sum = 0;
    for (int i = 0; i < 3; i++) sum += strtod(at, &at);
    assert_true(sum > 0.99999 && sum < 1.00001);
  }
  assert_int_equal(n, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_programs_agree)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
