// Kernels of tests/ir/kernels, printed as OpenCL C and run on a device, against the kernel interpreter, on sizes that
// leave ragged ends. Every buffer lies between guards.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "op/cl_agree.h"
#include "support/kernel_judge.h"

// Several workers: local memory and barriers.
static const kernel_example of_groups[] = {{"gemm_gpu", {1, 1, 1}, 2e-6},      {"gemm_gpu", {70, 65, 37}, 4e-6},
                                           {"gemm_mma", {1, 1, 1}, 2e-6},      {"gemm_mma", {70, 75, 37}, 4e-6},
                                           {"attention_gpu", {2, 1, 5}, 4e-6}, {"attention_gpu", {2, 2, 70}, 4e-6}};

static void run_all(cl_host *host, arena *a, const kernel_example *e, size_t n) {
  kir_kernel *k = NULL;
  cl_host_kernel *c = NULL;
  for (size_t i = 0; i < n; i++, e++) {
    const char *why = NULL;
    diag_list l;
    diag_init(&l, a);
    if (k == NULL || strcmp(k->name, e->name) != 0) {
      k = kernel_file(a, &l, e->name, true);
      c = k ? cl_host_compile(host, a, k, &why) : NULL;
    }
    if (k == NULL) why = messages_of(a, &l);
    if (c != NULL) why = cl_agree(a, c, k, e->symbols, e->tolerance);
    if (why != NULL) fail_msg("%s", why);
  }
}

static void kernels_agree(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  cl_host *host = cl_host_or_skip(a, false);
  print_message("on %s\n", cl_host_device(host));
  run_all(host, a, kernel_examples, n_kernel_examples);
  run_all(host, a, of_groups, sizeof of_groups / sizeof *of_groups);
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
