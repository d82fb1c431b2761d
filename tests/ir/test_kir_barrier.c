// Where barriers go: as few as are needed, outside inner loops, and none for one worker.
#include "kir_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

// `@` for each barrier, `{` and `}` for blocks, a letter for each access: L load, S store, C copy, M mma.
static const char *outline(kir_fixture *f, const kir_kernel *k) {
  strbuf b;
  sb_init(&b, f->a);
  const char *text = kir_text(f, k);
  for (const char *p = strchr(text, '{'); *p != '\0'; p++) {
    bool word = p[-1] == ' ';
    if (*p == '{' && strncmp(p, "{fma", 4) == 0) p += 4;
    else if (*p == '{' || *p == '}') sb_char(&b, *p);
    else if (word && strncmp(p, "load ", 5) == 0) sb_char(&b, 'L');
    else if (word && strncmp(p, "mma ", 4) == 0) sb_char(&b, 'M');
    else if (word && strncmp(p, "store ", 6) == 0) sb_char(&b, 'S');
    else if (word && strncmp(p, "copy ", 5) == 0) sb_char(&b, 'C');
    else if (word && strncmp(p, "barrier", 7) == 0) sb_char(&b, '@');
  }
  return sb_cstr(&b);
}

static void expect(kir_fixture *f, kir_kernel *k, const char *expected) {
  assert_non_null(k);
  kir_place_barriers(k);
  assert_true(kir_verify(k, &f->l));
  assert_string_equal(outline(f, k), expected);
  const char *once = kir_text(f, k);
  kir_place_barriers(k);
  assert_string_equal(kir_text(f, k), once);
}

// Both sides of the staged tiles, and nothing in the loop of products.
static void test_gemm(void **state) {
  kir_fixture *f = *state;
  expect(f, kir_from_file(f, "gemm_gpu"), "{{@CC@{LL}}LS}");
  expect(f, kir_from_file(f, "gemm_mma"), "{{@CC@M}S}");
}

static void test_attention(void **state) {
  kir_fixture *f = *state;
  expect(f, kir_from_file(f, "attention_gpu"), "{C{}@{C@C@{LL}S@{LL}}S}");
}

static void test_one_worker(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_from_file(f, "attention_cpu");
  const char *before = kir_text(f, k);
  kir_place_barriers(k);
  assert_string_equal(kir_text(f, k), before);
}

#define HEAD                                                                                                           \
  "kernel k in x f32[8] out y f32[8] inout z f32[8] workers w: 8 group s f32[8] fact n in 1..8\n{\n%0 = const 1 : "    \
  "f32 1x1\n"

static void test_small(void **state) {
  kir_fixture *f = *state;
  // own elements of `out` and inputs never clash
  expect(f, kir_from(f, HEAD "%1 = load x[w] : f32 1x1\nstore y[w] = %1\nstore y[w] = %0\n}\n"), "{LSS}");
  // a parameter that is read and written does
  expect(f, kir_from(f, HEAD "store z[w] = %0\n%1 = load z[7-w] : f32 1x1\nstore y[w] = %1\n}\n"), "{S@LS}");
  // a branch that writes what was read waits before it, and what follows waits for either arm
  expect(f,
         kir_from(f, HEAD "store s[w] = %0\n%1 = load s[7-w] : f32 1x1\nif n-4 >= 0 {\nstore s[w] = %1\n} else {\n"
                          "store y[w] = %0\n}\n%2 = load s[7-w] : f32 1x1\nstore y[w] = %2\n}\n"),
         "{S@L@{S}{S}@LS}");
  // a loop's own turns clash although its first does not clash with anything
  expect(
      f,
      kir_from(f, HEAD "for i in 0..n step 1 {\nstore s[w] = %0\n%1 = load s[7-w] : f32 1x1\nstore y[w] = %1\n}\n}\n"),
      "{{@S@LS}}");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_gemm, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_attention, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_one_worker, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_small, kir_setup, kir_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
