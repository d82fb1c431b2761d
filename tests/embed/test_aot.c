// AOT libraries: the same bits as the JIT, loaded by nnc and used from a C program that includes only the generated
// header; nothing but the C library behind them.
#include "digits_case.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#define FOLDER  NNC_BINARY_DIR "/aot-test"
#define LIBRARY FOLDER "/digits.so"

static int save(void **state) {
  (void)state;
  if (system("mkdir -p " FOLDER)) return -1;
  nnc_module *m = digits_module(NULL);
  nnc_diagnostics *d;
  nnc_status status = nnc_module_save(m, LIBRARY, &d);
  for (size_t i = 0; i < nnc_diagnostics_count(d); i++) print_error("%s", nnc_diagnostics_get(d, i)->text);
  nnc_diagnostics_free(d);
  nnc_module_free(m);
  return status == NNC_OK ? 0 : -1;
}

static void loads_with_the_same_bits(void **state) {
  (void)state;
  digits_case d;
  digits_case_open(&d);
  nnc_module *jit = digits_module(NULL), *aot;
  assert_int_equal(nnc_module_open(&aot, LIBRARY, NULL, NULL), NNC_OK);
  assert_string_equal(nnc_module_name(aot), "digits");
  nnc_session *s1, *s2;
  float l1[320], l2[320], p1[320], p2[320];
  assert_int_equal(nnc_session_new(&s1, jit, NULL), NNC_OK);
  assert_int_equal(nnc_session_new(&s2, aot, NULL), NNC_OK);
  assert_int_equal(digits_run(s1, DIGITS_CASES, d.images, l1, p1), NNC_OK);
  assert_int_equal(digits_run(s2, DIGITS_CASES, d.images, l2, p2), NNC_OK);
  assert_memory_equal(l1, l2, sizeof l1);
  assert_memory_equal(p1, p2, sizeof p1);
  assert_int_equal(nnc_module_save(aot, FOLDER "/again.so", NULL), NNC_E_ARGUMENT);
  nnc_session_free(s1);
  nnc_session_free(s2);
  nnc_module_free(jit);
  nnc_module_free(aot);
  digits_case_close(&d);
}

static void write_text(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

// A program that knows only digits.h prints the logits' bits; they are the JIT's.
static void serves_a_c_program(void **state) {
  (void)state;
  write_text(
      FOLDER "/main.c",
      "#include \"digits.h\"\n#include <stdio.h>\n#include <string.h>\nint main(void) {\n  static float image[2 * 64], "
      "logits[20], p[20];\n"
      "  digits_session *s;\n  for (int i = 0; i < 128; i++) image[i] = (float)(i % 17) / 16;\n  if (digits_open(&s, "
      "2)) return 1;\n"
      "  if (digits_forward(s, 2, image, logits, p)) return puts(digits_error(s)), 2;\n"
      "  if (!digits_forward(s, 65, image, logits, p) || !strstr(digits_error(s), \"batch\")) return 3;\n"
      "  for (int i = 0; i < 20; i++) printf(\"%a\\n\", (double)logits[i]);\n  digits_close(s);\n  return 0;\n}\n");
  assert_int_equal(system("cc -std=c99 -Wall -Wextra -Wpedantic -Werror -o " FOLDER "/main " FOLDER "/main.c " LIBRARY
                          " -Wl,-rpath," FOLDER),
                   0);
  assert_int_equal(system("cd " FOLDER " && ./main > logits.txt"), 0);
  nnc_module *m = digits_module(NULL);
  nnc_session *s;
  float image[128], logits[20], p[20];
  for (int i = 0; i < 128; i++) image[i] = (float)(i % 17) / 16;
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  assert_int_equal(digits_run(s, 2, image, logits, p), NNC_OK);
  FILE *f = fopen(FOLDER "/logits.txt", "r");
  assert_non_null(f);
  for (int i = 0; i < 20; i++) {
    char line[64];
    assert_non_null(fgets(line, sizeof line, f));
    assert_true(strtof(line, NULL) == logits[i]);
  }
  fclose(f);
  nnc_session_free(s);
  nnc_module_free(m);
}

static void needs_the_c_library_only(void **state) {
  (void)state;
  FILE *f = popen("ldd " LIBRARY, "r");
  assert_non_null(f);
  char line[512];
  while (fgets(line, sizeof line, f)) {
    bool known = strstr(line, "linux-vdso") || strstr(line, "libc.so.6") || strstr(line, "libm.so.6") ||
                 strstr(line, "libpthread") || strstr(line, "ld-linux");
    if (!known) fail_msg("the library needs: %s", line);
  }
  assert_int_equal(pclose(f), 0);
}

static void header_is_strict(void **state) {
  (void)state;
  write_text(FOLDER "/alone.c", "#include \"digits.h\"\nint alone(void);\nint alone(void) { return 0; }\n");
  assert_int_equal(
      system("cc -std=c99 -Wall -Wextra -Wpedantic -Wconversion -Werror -c -o " FOLDER "/alone.o " FOLDER "/alone.c"),
      0);
  assert_int_equal(
      system("c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -x c++ -c -o " FOLDER "/alone.o " FOLDER "/alone.c"), 0);
}

// Damage anywhere in the plan is refused, never believed.
static void refuses_foreign_and_damaged_libraries(void **state) {
  (void)state;
  nnc_module *m;
  assert_int_equal(system("cc -shared -o " FOLDER "/foreign.so -x c /dev/null"), 0);
  assert_int_equal(nnc_module_open(&m, FOLDER "/foreign.so", NULL, NULL), NNC_E_MODEL);
  write_text(FOLDER "/text.so", "not a library\n");
  assert_int_equal(nnc_module_open(&m, FOLDER "/text.so", NULL, NULL), NNC_E_ENVIRONMENT);
}

static void reports_a_place_that_cannot_be_written(void **state) {
  (void)state;
  nnc_module *m = digits_module(NULL);
  nnc_diagnostics *d;
  assert_int_equal(nnc_module_save(m, FOLDER "/missing/digits.so", &d), NNC_E_ENVIRONMENT);
  assert_int_equal(nnc_diagnostics_count(d), 1);
  nnc_diagnostics_free(d);
  nnc_module_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loads_with_the_same_bits),
      cmocka_unit_test(serves_a_c_program),
      cmocka_unit_test(needs_the_c_library_only),
      cmocka_unit_test(header_is_strict),
      cmocka_unit_test(refuses_foreign_and_damaged_libraries),
      cmocka_unit_test(reports_a_place_that_cannot_be_written),
  };
  return cmocka_run_group_tests(tests, save, NULL);
}
