// Kernels of tests/ir/kernels, printed as OpenCL C and run on a device, against the kernel interpreter, on sizes that
// leave ragged ends. Every buffer lies between guards.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "op/cl_agree.h"

enum { MOST_SYMBOLS = 4 };

typedef struct example {
  const char *name;
  int64_t symbols[MOST_SYMBOLS];
  double tolerance; // relative to the largest output: summation order and fused steps differ
} example;

static const example examples[] = {{"gemm_cpu", {1, 1, 1}, 2e-6},
                                   {"gemm_cpu", {6, 64, 256}, 4e-6},
                                   {"gemm_cpu", {13, 70, 300}, 4e-6},
                                   {"conv3x3", {1, 1, 64, 3}, 4e-6},
                                   {"conv3x3", {9, 7, 64, 70}, 4e-6},
                                   {"attention_cpu", {2, 1, 5}, 4e-6},
                                   {"attention_cpu", {4, 2, 130}, 4e-6},
                                   {"layernorm", {3, 5}, 1e-5},
                                   {"layernorm", {2, 200}, 1e-5},
                                   {"softmax", {4, 1}, 2e-6},
                                   {"softmax", {3, 129}, 2e-6},
                                   {"argmax", {5, 1}, 0},
                                   {"argmax", {4, 37}, 0},
                                   {"gather", {10, 17, 6}, 0},
                                   {"gather", {1, 16, 40}, 0},
                                   {"gemm_gpu", {1, 1, 1}, 2e-6}, // several workers: local memory and barriers
                                   {"gemm_gpu", {70, 65, 37}, 4e-6},
                                   {"attention_gpu", {2, 1, 5}, 4e-6},
                                   {"attention_gpu", {2, 2, 70}, 4e-6}};

static void kernels_agree(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  const char *why = NULL;
  cl_host *host = cl_host_or_skip(a, false);
  print_message("on %s\n", cl_host_device(host));
  kir_kernel *k = NULL;
  cl_host_kernel *c = NULL;
  for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
    const example *e = &examples[i];
    if (k == NULL || strcmp(k->name, e->name) != 0) {
      k = cl_kernel_file(a, e->name, true, &why);
      c = k == NULL ? NULL : cl_host_compile(host, a, k, &why);
    }
    if (c != NULL) why = cl_agree(a, c, k, e->symbols, e->tolerance);
    if (why != NULL) fail_msg("%s", why);
  }
  arena_free(a);
}

// What a work-group does not hold is refused, by name.
static void too_many_workers(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  strbuf source;
  opencl_kernel info;
  diag_init(&l, a);
  sb_init(&source, a);
  kir_kernel *k = kir_parse(a, &l,
                            diag_add_file(&l, "wide",
                                          STR("kernel wide out y f32[1024] workers w: 512\n{\n"
                                              "%0 = const 1 : f32 1x1\nstore y[w] = %0\n}\n")));
  assert_non_null(k);
  assert_false(opencl_print(a, &l, target_find("opencl"), 1, &k, NULL, &info, &source));
  assert_int_equal(l.items.at[0]->id, DIAG_ID_opencl_workers);
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kernels_agree),
      cmocka_unit_test(too_many_workers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
