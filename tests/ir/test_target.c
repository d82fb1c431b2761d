// Target descriptions: names, the register budget that schedules rely on, and that this machine's level agrees with
// what the compiler's own run-time check says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ir/target.h"

static const char *const names[] = {"x86-64", "x86-64-v3", "x86-64-v4", "x86-64-v4-bf16", "x86-64-v4-amx"};
enum { NAMES = sizeof names / sizeof *names };

static void test_by_name(void **state) {
  (void)state;
  for (size_t i = 0; i < NAMES; i++) {
    const target *t = target_find(names[i]);
    assert_non_null(t);
    assert_string_equal(t->name, names[i]);
    assert_int_equal(t->level, i);
  }
  assert_null(target_find("x86-64-v2"));
  assert_null(target_find(""));
  assert_ptr_equal(target_find("native"), target_native());
  assert_ptr_equal(target_native(), target_native());
}

static void test_dot_tile_fits_the_registers(void **state) {
  (void)state;
  for (size_t i = 0; i < NAMES; i++) {
    const target *t = target_find(names[i]);
    uint32_t lanes = t->vector_bytes / 4, vectors = t->dot_cols / lanes;
    assert_int_equal(t->dot_cols % lanes, 0);
    uint32_t products = t->has_fma ? 0 : 2; // a separate product needs its own place, and so does the broadcast operand
    assert_true(t->dot_rows * vectors + vectors + 1 + products <= t->n_vector_regs);
    assert_true(t->l1_bytes >= 32 * 1024 && t->l2_bytes >= 256 * 1024);
    assert_true(t->fma_per_ns > 0 && t->bytes_per_ns > 0);
  }
}

// A work-item's tile fits its registers too, and its grid points are smaller than a core's.
static void test_opencl(void **state) {
  (void)state;
  const target *t = target_find("opencl"), *core = target_find("x86-64");
  assert_non_null(t);
  assert_string_equal(t->name, "opencl");
  assert_string_equal(target_level_name(t->level), "x86-64"); // its kernels run on any CPU
  uint32_t vectors = t->dot_cols / (t->vector_bytes / 4);
  assert_true(t->dot_rows * vectors + vectors + 1 <= t->n_vector_regs);
  assert_true(t->block_rows % t->dot_rows == 0 && t->block_rows < core->block_rows);
  assert_true(t->block_elements < core->block_elements);
  assert_int_equal(t->workers, 0);
  assert_ptr_equal(target_opencl(false, 1024, true, false), t); // local memory is memory like any other
  assert_ptr_equal(target_opencl(true, 63, true, false), t);
  assert_ptr_equal(target_opencl(true, 64, true, false), target_find("opencl-local-64"));
  assert_ptr_equal(target_opencl(true, 255, true, false), target_find("opencl-local-64"));
  assert_ptr_equal(target_opencl(true, 1024, true, false), target_find("opencl-local"));
  assert_ptr_equal(target_opencl(true, 64, false, false), target_find("opencl-local-64-f32"));
  assert_ptr_equal(target_opencl(true, 1024, false, false), target_find("opencl-local-f32"));
  assert_ptr_equal(target_opencl(true, 1024, true, true), target_find("opencl-mma")); // a probe has passed
  assert_ptr_equal(target_opencl(true, 255, true, true), target_find("opencl-local-64"));
  assert_ptr_equal(target_opencl(false, 1024, true, true), t);
  assert_ptr_equal(target_opencl(true, 1024, false, true), target_find("opencl-local-f32"));
  assert_int_equal(target_find("opencl-local")->workers, 256);
}

static void test_native(void **state) {
  (void)state;
  const target *t = target_native();
  assert_true(target_supported(t));
  for (size_t i = 0; i < NAMES; i++) assert_int_equal(target_supported(target_find(names[i])), i <= (size_t)t->level);
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
            __builtin_cpu_supports("bmi2");
  bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl");
  cpu_level level = t->level < CPU_x86_64_v4 ? t->level : CPU_x86_64_v4; // of what is beside it this test asks no other
  assert_int_equal(level, v4 ? CPU_x86_64_v4 : v3 ? CPU_x86_64_v3 : CPU_x86_64);
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_name),
      cmocka_unit_test(test_dot_tile_fits_the_registers),
      cmocka_unit_test(test_opencl),
      cmocka_unit_test(test_native),
  };
  return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
