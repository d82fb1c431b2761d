// The inner loop of a matrix product in assembly: at every CPU level the register tile that the target description
// names must stay in registers. Spills there cost up to half the speed, and no test of numbers sees them.
#include "llvm_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char core[] = "kernel core in A f32[M,K] in Bp f32[P,K,%u] out C f32[M,%u*P]\n  grid j: P\n"
                           "  fact M in 1..4096\n  fact P in 1..4096\n  fact K in 2..4096\n  fact K %% 2 == 0\n{\n"
                           "for i in 0..M step %u {\n  %%z = const 0 : f32 %ux%u\n"
                           "  %%s = for k in 0..K step 1 unroll 2 carry (%%acc = %%z) {\n"
                           "    %%a = load A[min(i+r, M-1), k] : f32 %ux1\n    %%b = load Bp[j, k, c] : f32 1x%u\n"
                           "    %%t = dot %%acc, %%a, %%b\n    yield %%t\n  }\n"
                           "  store C[i+r, %u*j+c] = %%s where M-1-i-r >= 0\n}\n}\n";

static bool has(const char *line, size_t n, const char *what) {
  size_t m = strlen(what);
  for (size_t i = 0; i + m <= n; i++) {
    if (memcmp(line + i, what, m) == 0) return true;
  }
  return false;
}

static size_t count_lines(const char *from, const char *to, const char *what) {
  size_t count = 0;
  while (from < to) {
    const char *end = memchr(from, '\n', (size_t)(to - from));
    size_t n = end == NULL ? (size_t)(to - from) : (size_t)(end - from);
    count += has(from, n, what);
    from += n + 1;
  }
  return count;
}

// The text between the last label and the jump back to it that holds the most lines with `product`.
static bool inner_loop(const char *text, const char *product, const char **from, const char **to) {
  const char *label = NULL;
  size_t label_bytes = 0, most = 0;
  for (const char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
    size_t n = (size_t)(end - line);
    if (n > 1 && line[0] == '.' && line[n - 1] == ':') {
      label = line;
      label_bytes = n - 1;
    } else if (label != NULL && n > label_bytes && line[0] == '\t' && line[1] == 'j' &&
               memcmp(end - label_bytes, label, label_bytes) == 0) {
      size_t found = count_lines(label, end, product);
      if (found > most) {
        most = found;
        *from = label;
        *to = end;
      }
    }
  }
  return most > 0;
}

static void check_core(llvm_run *f, const char *level) {
  const target *t = target_find(level);
  uint32_t r = t->dot_rows, c = t->dot_cols;
  kir_kernel *k = llvm_parse(f, str_fmt(f->a, core, c, c, r, r, c, r, c, c));
  strbuf b;
  sb_init(&b, f->a);
  if (!f->llvm->dump(f->a, &f->l, t, 1, &k, true, &b)) fail_msg("%s", llvm_messages(f));
  const char *product = t->has_fma ? "vfmadd231ps" : "mulps", *from = NULL, *to = NULL;
  assert_true(inner_loop(sb_cstr(&b), product, &from, &to));
  size_t products = count_lines(from, to, product),
         stack = count_lines(from, to, "(%rsp") + count_lines(from, to, "(%rbp");
  size_t allowed =
      t->has_fma ? 0 : 2; // separate products need registers of their own: one spill is what the scheduler leaves
  if (products != 2 * r * c / (t->vector_bytes / 4) || stack > allowed) {
    fail_msg("%s: %zu products, %zu accesses to the stack in\n%.*s", level, products, stack, (int)(to - from), from);
  }
  size_t lines = count_lines(from, to, "\t");
  assert_true(t->has_fma ? lines <= products + 2 * (r + c / (t->vector_bytes / 4)) + 4 : lines <= 3 * products + 24);
}

static void test_baseline(void **state) { check_core(*state, "x86-64"); }

static void test_v3(void **state) { check_core(*state, "x86-64-v3"); }

static void test_v4(void **state) { check_core(*state, "x86-64-v4"); }

#define TEST(f) cmocka_unit_test_setup_teardown(f, llvm_setup, llvm_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_baseline), TEST(test_v3), TEST(test_v4)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
