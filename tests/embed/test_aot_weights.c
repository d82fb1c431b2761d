// Libraries whose weights are in a file: the same bits as one that holds them; found beside the library wherever that
// lies, or at a path; a missing, foreign or damaged file is told. Through the public API and from a C program.
#include "digits_case.h"
#include "api/handles.h"
#include "unit/scratch.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static int setup(void **state) {
  int rc = scratch_open(state);
  if (rc) return rc;
  scratch *s = *state;
  nnc_module *m = digits_module(NULL);
  assert_int_equal(nnc_module_save_as(m, scratch_path(s, "d.so"), NNC_WEIGHTS_FILE, NULL), NNC_OK);
  assert_int_equal(nnc_module_save(m, scratch_path(s, "e.so"), NULL), NNC_OK);
  nnc_module_free(m);
  return 0;
}

static void run(const nnc_module *m, float *logits) {
  digits_case d;
  nnc_session *session;
  float p[320];
  digits_case_open(&d);
  assert_int_equal(nnc_session_new(&session, m, NULL), NNC_OK);
  assert_int_equal(digits_run(session, DIGITS_CASES, d.images, logits, p), NNC_OK);
  nnc_session_free(session);
  digits_case_close(&d);
}

static void the_same_bits(void **state) {
  scratch *s = *state;
  float want[320], got[320];
  nnc_module *m;
  assert_int_equal(nnc_module_open(&m, scratch_path(s, "e.so"), NULL, NULL), NNC_OK);
  run(m, want);
  nnc_module_free(m);
  assert_int_equal(nnc_module_open(&m, scratch_path(s, "d.so"), NULL, NULL), NNC_OK);
  run(m, got);
  nnc_module_free(m);
  assert_memory_equal(got, want, sizeof want);
  struct stat library, whole, weights;
  assert_int_equal(stat(scratch_path(s, "d.so"), &library) | stat(scratch_path(s, "e.so"), &whole) |
                       stat(scratch_path(s, "d.weights"), &weights),
                   0);
  assert_int_equal(weights.st_size % 4096, 0);
  assert_true(library.st_size < 100000 && weights.st_size > 270000 && whole.st_size > weights.st_size);
}

static void expect_refused(scratch *s, const char *library, const char *weights, const char *part) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  nnc_module *m;
  nnc_diagnostics *d;
  o.weights = &weights, o.n_weights = weights != NULL;
  assert_int_equal(nnc_module_open(&m, scratch_path(s, library), &o, &d), NNC_E_ENVIRONMENT);
  assert_int_equal(nnc_diagnostics_count(d), 1);
  assert_string_equal(nnc_diagnostics_get(d, 0)->id, "library_weights");
  if (!strstr(nnc_diagnostics_get(d, 0)->message, part))
    fail_msg("no `%s` in: %s", part, nnc_diagnostics_get(d, 0)->message);
  nnc_diagnostics_free(d);
}

static void put(const char *path, const char *p, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(p, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

// The whole block of digits is among the samples: every damaged byte is seen.
static void wrong_files(void **state) {
  scratch *s = *state;
  const char *path = scratch_path(s, "d.weights");
  str good = scratch_bytes(s, path);
  for (size_t n = 0; n < good.n; n += n < 4200 ? 59 : 5003) {
    put(path, good.p, n);
    expect_refused(s, "d.so", NULL, n < 64 ? "it is no file of weights" : "it is not whole");
  }
  put(path, str_fmt(s->a, "%.*s", 0, ""), 0);
  expect_refused(s, "d.so", NULL, "it is no file of weights");
  for (size_t i = 0; i < good.n; i += i < 80 ? 1 : 1009) {
    char *bad = arena_copy(s->a, good.p, good.n);
    bad[i] = (char)(bad[i] ^ 0x10);
    put(path, bad, good.n);
    expect_refused(s, "d.so", NULL, i < 8 ? "it is no file of weights" : i < 12 ? "another version" : "it is");
  }
  char *longer = arena_alloc(s->a, good.n + 4096);
  memcpy(longer, good.p, good.n);
  put(path, longer, good.n + 4096);
  expect_refused(s, "d.so", NULL, "it is not whole");
  assert_int_equal(unlink(path), 0);
  expect_refused(s, "d.so", NULL, "No such file");
  assert_int_equal(mkfifo(path, 0600), 0);
  expect_refused(s, "d.so", NULL, "it is no file of weights"); // and no wait
  expect_refused(s, "e.so", path, "it holds its weights");
  nnc_module *m;
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  const char *random_weights = "random";
  static const char text[] = "nnc: 1\nname: o\ninputs:\n  x: f32[2]\nsteps:\n- y@l: linear(x, 3)\noutputs:\n  y: y\n";
  o.weights = &random_weights, o.n_weights = 1;
  assert_int_equal(nnc_module_compile(&m, text, sizeof text - 1, "o.yaml", &o, NULL), NNC_OK);
  assert_int_equal(nnc_module_save_as(m, scratch_path(s, "o.so"), NNC_WEIGHTS_FILE, NULL), NNC_OK);
  nnc_module_free(m);
  expect_refused(s, "d.so", scratch_path(s, "o.weights"), "it belongs to another model");
}

static void at_another_place(void **state) {
  scratch *s = *state;
  float want[320], got[320];
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  nnc_module *m;
  assert_int_equal(nnc_module_open(&m, scratch_path(s, "d.so"), NULL, NULL), NNC_OK);
  run(m, want);
  nnc_module_free(m);
  const char *moved = scratch_path(s, "elsewhere.bin");
  assert_int_equal(rename(scratch_path(s, "d.weights"), moved), 0);
  o.weights = &moved, o.n_weights = 1;
  assert_int_equal(nnc_module_open(&m, scratch_path(s, "d.so"), &o, NULL), NNC_OK);
  run(m, got);
  nnc_module_free(m);
  assert_memory_equal(got, want, sizeof want);
}

// Nothing is left when one of the three files cannot be written.
static void together_or_not_at_all(void **state) {
  scratch *s = *state;
  nnc_module *m = digits_module(NULL);
  assert_int_equal(mkdir(scratch_path(s, "n.weights"), 0700), 0);
  assert_int_equal(nnc_module_save_as(m, scratch_path(s, "n.so"), NNC_WEIGHTS_FILE, NULL), NNC_E_ENVIRONMENT);
  assert_int_not_equal(access(scratch_path(s, "n.so"), F_OK), 0);
  assert_int_not_equal(access(scratch_path(s, "n.h"), F_OK), 0);
  assert_int_equal(nnc_module_save_as(m, scratch_path(s, "q.so"), (nnc_weights_mode)2, NULL), NNC_E_ARGUMENT);
  nnc_module_free(m);
}

static void too_large_to_embed(void **state) {
  scratch *s = *state;
  rt_plan plan = {.constants_bytes = (UINT64_C(1) << 30) + 4096};
  image im = {.name = "m", .prefix = "m", .plan = {(const char *)&plan, sizeof plan}};
  assert_false(aot_write(s->a, &s->l, &im, false, NULL, AOT_weights_embed, scratch_path(s, "big.so")));
  assert_non_null(strstr(s->l.items.at[0]->notes.at[0], "--weights-mode file"));
  scratch_expect(s, DIAG_ID_weights_too_large, "1073745920 bytes");
}

static const char main_c[] =
    "#include \"d.h\"\n#include <stdio.h>\n#include <string.h>\n"
    "int main(int argc, char **argv) {\n  static float image[64], logits[10], p[10];\n  digits_session *s;\n"
    "  for (int i = 0; i < 64; i++) image[i] = (float)(i % 17) / 16;\n"
    "  int status = argc > 1 ? digits_open_file(&s, 1, argv[1]) : digits_open(&s, 1);\n"
    "  if (status) {\n    printf(\"%d %s\\n\", status, digits_error(s));\n"
    "    if (!digits_forward(s, 1, image, logits, p)) return 9;\n    digits_close(s);\n    return 1;\n  }\n"
    "  if (digits_forward(s, 1, image, logits, p)) return 2;\n"
    "  for (int i = 0; i < 10; i++) printf(\"%a\\n\", (double)logits[i]);\n  digits_close(s);\n  return 0;\n}\n";

static int shell(scratch *s, const char *line) { return system(str_fmt(s->a, "cd '%s' && %s", s->folder, line)); }

static void from_a_c_program(void **state) {
  scratch *s = *state;
  scratch_file(s, "main.c", STR(main_c));
  assert_int_equal(shell(s, "cc -std=c99 -Wall -Wextra -Wpedantic -Werror -o main main.c ./d.so -Wl,-rpath,'$ORIGIN'"),
                   0);
  assert_int_equal(shell(s, "./main > first"), 0);
  nnc_module *m;
  nnc_session *session;
  float pixels[64], logits[10], p[10];
  for (int i = 0; i < 64; i++) pixels[i] = (float)(i % 17) / 16;
  assert_int_equal(nnc_module_open(&m, scratch_path(s, "e.so"), NULL, NULL), NNC_OK);
  assert_int_equal(nnc_session_new(&session, m, NULL), NNC_OK);
  assert_int_equal(digits_run(session, 1, pixels, logits, p), NNC_OK);
  nnc_session_free(session);
  nnc_module_free(m);
  char *line = str_dup(s->a, scratch_bytes(s, scratch_path(s, "first")));
  for (int i = 0; i < 10; i++) assert_true(strtof(line, &line) == logits[i]);
  // from another folder; moved; by a link to the library; with the weights elsewhere
  assert_int_equal(
      shell(s, "mkdir a b && (cd a && ../main | cmp - ../first) && cp main d.so d.weights b && rm d.weights && "
               "(cd a && ../b/main | cmp - ../first)"),
      0);
  assert_int_equal(shell(s, "mkdir c && ln -s ../b/d.so c/d.so && cp main c && c/main | cmp - first"), 0);
  assert_int_equal(shell(s, "mv b/d.weights w && ./main w | cmp - first"), 0);
  assert_int_not_equal(shell(s, "./main > said"), 0);
  assert_non_null(strstr(str_dup(s->a, scratch_bytes(s, scratch_path(s, "said"))), "5 weights: cannot open "));
  assert_int_not_equal(shell(s, "./main main.c > said"), 0);
  assert_non_null(strstr(str_dup(s->a, scratch_bytes(s, scratch_path(s, "said"))), "it is no file of weights"));
  assert_int_equal(
      shell(s, "ldd d.so | grep -vE 'linux-vdso|libc.so.6|libm.so.6|libpthread|ld-linux' > needs; test ! -s needs"), 0);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(the_same_bits),          CASE(wrong_files),        CASE(at_another_place),
      CASE(together_or_not_at_all), CASE(too_large_to_embed), CASE(from_a_c_program),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
