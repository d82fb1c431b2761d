// Whole kernels: machine code against the kernel interpreter, at every CPU level this machine runs, on sizes that leave
// ragged ends. Every buffer ends at a page that faults, so that one element read or written too far ends the test.
#include "llvm_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

enum { MOST_SYMBOLS = 4, MOST_BUFFERS = 8 };

typedef struct example {
  const char *name;
  int64_t symbols[MOST_SYMBOLS];
  double tolerance; // relative to the largest output: summation order and fused steps differ
} example;

static const example examples[] = {{"gemm_cpu", {1, 1, 1}, 2e-6},
                                   {"gemm_cpu", {6, 64, 256}, 4e-6},
                                   {"gemm_cpu", {13, 70, 300}, 4e-6},
                                   {"gemm_cpu", {7, 130, 5}, 2e-6},
                                   {"gemm_cpu", {193, 3, 2}, 2e-6},
                                   {"conv3x3", {1, 1, 64, 3}, 4e-6},
                                   {"conv3x3", {9, 7, 64, 70}, 4e-6},
                                   {"attention_cpu", {2, 1, 5}, 4e-6},
                                   {"attention_cpu", {4, 2, 130}, 4e-6},
                                   {"attention_cpu", {1, 1, 300}, 4e-6},
                                   {"layernorm", {3, 5}, 1e-5},
                                   {"layernorm", {2, 64}, 1e-5},
                                   {"layernorm", {2, 200}, 1e-5},
                                   {"softmax", {4, 1}, 2e-6},
                                   {"softmax", {3, 129}, 2e-6},
                                   {"argmax", {5, 1}, 0},
                                   {"argmax", {4, 37}, 0},
                                   {"gather", {10, 17, 6}, 0},
                                   {"gather", {1, 16, 40}, 0}};

enum { N_EXAMPLES = sizeof examples / sizeof *examples };

typedef struct values {
  const kir_kernel *k;
  const int64_t *symbols;
} values;

static int64_t value_of(void *user, const sym *s) {
  const values *v = user;
  for (size_t i = 0; i < v->k->facts.n; i++) {
    if (v->k->facts.at[i].symbol == s) return v->symbols[i];
  }
  return 0;
}

static size_t n_elements(const kir_kernel *k, const kir_buffer *b, const int64_t *symbols) {
  values v = {k, symbols};
  idx_env env = {value_of, NULL, &v};
  size_t n = 1;
  for (uint32_t d = 0; d < b->rank; d++) {
    int64_t extent = 0;
    assert_true(idx_eval(b->dim[d], &env, &extent));
    n *= (size_t)extent;
  }
  return n;
}

static void fill(void *p, dtype dt, size_t n, uint64_t *seed) {
  for (size_t i = 0; i < n; i++) {
    if (dt == DT_f32) ((float *)p)[i] = llvm_uniform(seed);
    else ((int32_t *)p)[i] = (int32_t)(llvm_random(seed) % 14) - 2; // some out of range
  }
}

static void compare(const example *e, const char *level, const kir_buffer *b, const void *got, const void *want,
                    size_t n) {
  double most = 1;
  for (size_t i = 0; b->dt == DT_f32 && i < n; i++) most = fmax(most, fabs((double)((const float *)want)[i]));
  for (size_t i = 0; i < n; i++) {
    double x = b->dt == DT_f32 ? (double)((const float *)got)[i] : ((const int32_t *)got)[i];
    double y = b->dt == DT_f32 ? (double)((const float *)want)[i] : ((const int32_t *)want)[i];
    if (fabs(x - y) <= e->tolerance * most) continue;
    fail_msg("%s at %s: %s[%zu] is %.9g, not %.9g", e->name, level, b->name, i, x, y);
  }
}

static void run(llvm_run *f, const example *e, const char *level) {
  kir_kernel *k = llvm_kernel_file(f, e->name);
  llvm_code code = llvm_load(f, level, k);
  void *got[MOST_BUFFERS], *want[MOST_BUFFERS];
  size_t n[MOST_BUFFERS];
  uint64_t seed = 7;
  assert_true(k->params.n <= MOST_BUFFERS);
  for (size_t i = 0; i < k->params.n; i++) {
    const kir_buffer *b = k->params.at[i];
    n[i] = n_elements(k, b, e->symbols);
    size_t bytes = n[i] * dtype_size(b->dt);
    got[i] = llvm_fenced(f, bytes);
    want[i] = llvm_fenced(f, bytes);
    if (b->space == KIR_in) fill(got[i], b->dt, n[i], &seed);
    else memset(got[i], 0xff, bytes);
    memcpy(want[i], got[i], bytes);
  }
  int64_t fault = 0;
  if (!kir_run(f->a, k, &f->l, want, e->symbols, &fault)) fail_msg("%s: %s", e->name, llvm_messages(f));
  assert_int_equal(llvm_call(f, code, got, e->symbols) != 0, fault != 0);
  for (size_t i = 0; i < k->params.n; i++) compare(e, level, k->params.at[i], got[i], want[i], n[i]);
}

static void run_all(llvm_run *f, const char *level) {
  if (!llvm_runnable(level)) skip();
  for (size_t i = 0; i < N_EXAMPLES; i++) run(f, &examples[i], level);
}

static void test_baseline(void **state) { run_all(*state, "x86-64"); }

static void test_v3(void **state) { run_all(*state, "x86-64-v3"); }

static void test_v4(void **state) { run_all(*state, "x86-64-v4"); }

// Any split of the grid gives the same bits as one call.
static void test_split_grid(void **state) {
  llvm_run *f = *state;
  const int64_t symbols[] = {13, 1030, 300};
  llvm_code c = llvm_load(f, target_native()->name, llvm_kernel_file(f, "gemm_cpu"));
  uint64_t seed = 3;
  float *a = llvm_fenced(f, 13 * 300 * 4), *b = llvm_fenced(f, 17 * 300 * 64 * 4), *bias = llvm_fenced(f, 1030 * 4);
  fill(a, DT_f32, 13 * 300, &seed);
  fill(b, DT_f32, 17 * 300 * 64, &seed);
  fill(bias, DT_f32, 1030, &seed);
  float *whole = llvm_fenced(f, 13 * 1030 * 4), *parts = llvm_fenced(f, 13 * 1030 * 4);
  llvm_call(f, c, (void *[]){a, b, bias, whole}, symbols);
  int64_t grid[3], fault = 0, n = llvm_points(f, c.k, symbols, grid);
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
