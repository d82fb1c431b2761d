// AOT libraries that carry the kernels of a device: the same bits as the module they were made from, in nnc and in a C
// program that knows only the generated header; nothing but the C library is linked, and a missing driver is told.
#include "device_case.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS  NNC_SOURCE_DIR "/models/vision/digits.yaml"
#define FOLDER  NNC_BINARY_DIR "/aot-device-test"
#define LIBRARY FOLDER "/digits.so"

static void save(const nnc_module *m, const char *library) {
  nnc_diagnostics *d;
  assert_int_equal(system("mkdir -p " FOLDER), 0);
  nnc_status status = nnc_module_save(m, library, &d);
  if (status) fail_msg("%s", nnc_diagnostics_get(d, 0)->text);
  nnc_diagnostics_free(d);
}

static void save_digits(void) {
  nnc_module *m = open_on("opencl", DIGITS, NULL, NULL);
  save(m, LIBRARY);
  nnc_module_free(m);
}

// Two images.
static void run(const nnc_module *m, float *logits) {
  nnc_session *s;
  float image[128], p[20];
  for (int i = 0; i < 128; i++) image[i] = (float)(i % 17) / 16;
  nnc_tensor in = nnc_tensor_of(NNC_F32, image, 3, (const int64_t[]){2, 8, 8});
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, logits, 2, (const int64_t[]){2, 10}),
                      nnc_tensor_of(NNC_F32, p, 2, (const int64_t[]){2, 10})};
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  assert_int_equal(nnc_run(s, 0, &in, 1, out, 2), NNC_OK);
  nnc_session_free(s);
}

static void loads_with_the_same_bits(void **state) {
  (void)state;
  float want[20], got[20];
  nnc_diagnostics *l;
  nnc_module *never;
  needs_device();
  save_digits();
  nnc_module *jit = open_on("opencl", DIGITS, NULL, NULL), *aot = open_on("opencl", LIBRARY, NULL, NULL);
  run(jit, want);
  run(aot, got);
  assert_memory_equal(got, want, sizeof want);
  assert_int_equal(nnc_module_open(&never, LIBRARY, NULL, &l), NNC_E_ARGUMENT);
  assert_string_equal(nnc_diagnostics_get(l, 0)->id, "library_needs_device");
  nnc_diagnostics_free(l);
  nnc_module_free(jit);
  nnc_module_free(aot);
}

// A step that the CPU keeps is linked into the library.
static void runs_what_the_host_keeps(void **state) {
  (void)state;
  static const char text[] = "nnc: 1\nname: best\ndims:\n  n: 8..64\ninputs:\n  x: f32[n]\nsteps:\n"
                             "- v, i: topk(x * 2, 8)\noutputs:\n  v: v\n  i: i\n";
  needs_device();
  nnc_module *device = open_on("opencl", NULL, text, NULL), *cpu = open_on(NULL, NULL, text, NULL);
  save(device, FOLDER "/best.so");
  nnc_module *aot = open_on("opencl", FOLDER "/best.so", NULL, NULL);
  compare_with_cpu(aot, cpu, nnc_module_entry_name(aot, 0), "n=20", 2, 0);
  nnc_module_free(aot);
  nnc_module_free(device);
  nnc_module_free(cpu);
}

static const char program[] = "#include \"digits.h\"\n#include <stdio.h>\nint main(int n, char **v) {\n"
                              "  static float image[128], logits[20], p[20];\n  digits_session *s;\n"
                              "  for (int i = 0; i < 128; i++) image[i] = (float)(i % 17) / 16;\n"
                              "  int bad = n > 1 ? digits_open_device(&s, 1, v[1]) : digits_open(&s, 1);\n"
                              "  if (!bad) bad = digits_forward(s, 2, image, logits, p);\n"
                              "  if (bad) puts(digits_error(s));\n  else fwrite(logits, sizeof logits, 1, stdout);\n"
                              "  digits_close(s);\n  return bad != 0;\n}\n";

// What the program prints, and its exit status.
static int run_program(const char *command, char *said, size_t room, size_t *n) {
  FILE *f = popen(command, "r");
  assert_non_null(f);
  *n = fread(said, 1, room - 1, f);
  said[*n] = 0;
  return pclose(f);
}

static void serves_a_c_program(void **state) {
  (void)state;
  char said[512];
  float want[20];
  size_t n;
  needs_device();
  save_digits();
  FILE *f = fopen(FOLDER "/main.c", "w");
  assert_non_null(f);
  assert_true(fputs(program, f) >= 0);
  assert_int_equal(fclose(f), 0);
  assert_int_equal(system("cc -std=c99 -Wall -Wextra -Wpedantic -Werror -o " FOLDER "/main " FOLDER "/main.c " LIBRARY
                          " -Wl,-rpath," FOLDER),
                   0);
  nnc_module *m = open_on("opencl", DIGITS, NULL, NULL);
  run(m, want);
  nnc_module_free(m);
  assert_int_equal(run_program(FOLDER "/main", said, sizeof said, &n), 0);
  assert_int_equal(n, sizeof want);
  assert_memory_equal(said, want, sizeof want);
  assert_int_equal(run_program(FOLDER "/main opencl:0", said, sizeof said, &n), 0);
  assert_true(run_program(FOLDER "/main opencl:999", said, sizeof said, &n) != 0);
  assert_non_null(strstr(said, "there is no OpenCL device 999"));
  assert_true(run_program("OCL_ICD_VENDORS=/nonexistent/ " FOLDER "/main", said, sizeof said, &n) != 0);
  assert_non_null(strstr(said, "there is no OpenCL"));
}

static void needs_the_c_library_only(void **state) {
  (void)state;
  char said[512];
  size_t n;
  needs_device();
  save_digits();
  assert_int_equal(run_program("readelf -d " LIBRARY " | grep NEEDED", said, sizeof said, &n), 0);
  assert_non_null(strstr(said, "libc.so.6"));
  for (char *c = said; (c = strstr(c, "[lib")) != NULL; c++)
    assert_true(!strncmp(c, "[libc.", 6) || !strncmp(c, "[libm.", 6));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(loads_with_the_same_bits),
                                     cmocka_unit_test(runs_what_the_host_keeps), cmocka_unit_test(serves_a_c_program),
                                     cmocka_unit_test(needs_the_c_library_only)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
