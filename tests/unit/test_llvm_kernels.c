// Whole kernels: machine code against the kernel interpreter, at every CPU level this machine runs, on sizes that leave
// ragged ends. Every buffer ends at a page that faults, so that one element read or written too far ends the test.
#include "llvm_run.h"
#include "support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void run_all(llvm_run *f, const char *level) {
  if (!llvm_runnable(level)) skip();
  llvm_code code = {0};
  for (size_t i = 0; i < n_kernel_examples; i++) {
    const kernel_example *e = &kernel_examples[i];
    bool known = i > 0 && strcmp(e->name, kernel_examples[i - 1].name) == 0;
    if (!known) code = llvm_load(f, level, llvm_kernel_file(f, e->name));
    llvm_agree(f, code, e->symbols, e->tolerance);
  }
}

static void test_baseline(void **state) { run_all(*state, "x86-64"); }

static void test_v3(void **state) { run_all(*state, "x86-64-v3"); }

static void test_v4(void **state) { run_all(*state, "x86-64-v4"); }

static float *random_floats(llvm_run *f, size_t n, uint64_t *seed) {
  float *x = llvm_fenced(f, n * sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = random_float(seed);
  return x;
}

// Any split of the grid gives the same bits as one call.
static void test_split_grid(void **state) {
  llvm_run *f = *state;
  const int64_t symbols[] = {13, 1030, 300};
  llvm_code c = llvm_load(f, target_native()->name, llvm_kernel_file(f, "gemm_cpu"));
  uint64_t seed = 3;
  float *a = random_floats(f, 13 * 300, &seed), *b = random_floats(f, 17 * 300 * 64, &seed),
        *bias = random_floats(f, 1030, &seed);
  float *whole = llvm_fenced(f, 13 * 1030 * 4), *parts = llvm_fenced(f, 13 * 1030 * 4);
  llvm_call(c, (void *[]){a, b, bias, whole}, symbols);
  int64_t grid[3], fault = 0, n = llvm_points(c.k, symbols, grid);
  assert_int_equal(n, 3);
  for (int64_t i = n; i-- > 0;) c.fn((void *[]){a, b, bias, parts}, symbols, grid, i, i + 1, c.scratch, &fault);
  assert_memory_equal(whole, parts, 13 * 1030 * 4);
  c.fn((void *[]){a, b, bias, NULL}, symbols, grid, 2, 2, c.scratch, &fault); // no points: nothing is touched
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_baseline, llvm_setup, llvm_teardown),
      cmocka_unit_test_setup_teardown(test_v3, llvm_setup, llvm_teardown),
      cmocka_unit_test_setup_teardown(test_v4, llvm_setup, llvm_teardown),
      cmocka_unit_test_setup_teardown(test_split_grid, llvm_setup, llvm_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
