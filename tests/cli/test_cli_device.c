// nnc devices, and --device of run, verify and bench: what they print, and what they say without a driver.
#include "spawn.h"
#include "base/file.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// No driver on this machine: nothing to test, unless tools/check has found one (NNC_NEEDS_OPENCL).
static void needs_device(workplace *w) {
  nnc_run_result r = nnc_command(w, "devices");
  if (r.status == 0) return;
  if (getenv("NNC_NEEDS_OPENCL")) fail_msg("%s", r.err);
  print_message("skipped: %s", r.err);
  skip();
}

static void the_command_lists_them(void **state) {
  workplace *w = *state;
  needs_device(w);
  json_t *list = json_object_get(parse_json(w, expect_status(w, 0, "devices --json").out), "devices");
  assert_true(json_array_size(list) > 0);
  const json_t *first = json_array_get(list, 0);
  static const char *const keys[] = {"max_alloc_bytes", "local_bytes", "max_group", "vector_f32", "max_subgroups"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) assert_true(json_is_integer(json_object_get(first, keys[i])));
  const char *text = expect_status(w, 0, "devices").out;
  assert_has(text, "opencl:0  ");
  assert_has(text, json_string_value(json_object_get(first, "name")));
}

static void without_a_driver(void **state) {
  workplace *w = *state;
  const char *drivers = getenv("OCL_ICD_VENDORS");
  setenv("OCL_ICD_VENDORS", "/nonexistent/", 1);
  static const char message[] = "there is no OpenCL"; // device, or library
  expect_error(w, 3, message, "devices");
  expect_error(w, 3, message, "devices --json");
  expect_error(w, 3, message, "run %s --device opencl", TINY);
  expect_error(w, 3, message, "verify %s --device opencl:0", TINY);
  expect_error(w, 3, message, "bench %s --device opencl:7", TINY);
  expect_status(w, 0, "run %s --weights random --in x=iota --device cpu", TINY);
  assert_has(expect_status(w, 0, "run %s --weights random --in x=iota --device auto", TINY).err,
             "note: device auto: the CPU runs the model: there is no OpenCL");
  if (drivers) setenv("OCL_ICD_VENDORS", drivers, 1);
  else unsetenv("OCL_ICD_VENDORS");
}

// A file of that name which is no library is found first, and hides the system's.
static void without_opencl(void **state) {
  workplace *w = *state;
  assert_int_equal(mkdir(in_folder(w, "lib"), 0700), 0);
  write_text(w, "lib/libOpenCL.so.1", "no library");
  w->libraries = in_folder(w, "lib");
  expect_error(w, 3, "libOpenCL.so.1 cannot be opened", "devices");
  expect_error(w, 3, "libOpenCL.so.1 cannot be opened", "run %s --device opencl", TINY);
  expect_status(w, 0, "run %s --weights random --in x=iota", TINY);
  w->libraries = NULL;
}

static void what_the_command_line_refuses(void **state) {
  workplace *w = *state;
  expect_error(w, 2, "there is no device `cuda`", "run %s --device cuda", TINY);
  expect_error(w, 2, "known: cpu, auto, opencl, opencl:N", "verify %s --device opencl:x", TINY);
  expect_error(w, 2, "exclude each other", "run %s --device opencl --cpu x86-64", TINY);
  expect_error(w, 2, "they do not go with --device", "bench %s --device opencl --roofline", TINY);
  expect_error(w, 2, "--device is for --emit so and cl", "compile %s --emit obj --device opencl", TINY);
  needs_device(w);
  expect_error(w, 3, "there is no OpenCL device 999", "run %s --device opencl:999", TINY);
  expect_status(w, 0, "compile %s -o d.so", DIGITS);
  expect_error(w, 2, "d.so: this library holds code for a CPU", "run d.so --device opencl"); // device_library
  expect_status(w, 0, "compile %s -o d.so --device opencl", DIGITS);
  expect_error(w, 2, "d.so: this library holds kernels of an OpenCL device", "run d.so"); // library_needs_device
  // library_device_weights
  expect_error(w, 2, "holds its weights itself", "compile %s -o e.so --device opencl --weights-mode file", DIGITS);
}

static void models_run_there(void **state) {
  workplace *w = *state;
  needs_device(w);
  static const char inputs[] = "--in image=random:3 --dim batch=2";
  expect_status(w, 0, "run %s %s --device opencl --out logits=device.npy --profile p.json", DIGITS, inputs);
  expect_status(w, 0, "run %s %s --out logits=cpu.npy", DIGITS, inputs);
  const float *got = read_tensor(w, "device.npy", NULL)->data, *want = read_tensor(w, "cpu.npy", NULL)->data;
  for (int i = 0; i < 20; i++)
    assert_true(fabsf(got[i] - want[i]) < 1e-4f); // logits of about 5, 5e-5 of which devices may differ by
  const char *judged = expect_status(w, 0, "verify %s %s --device opencl", DIGITS, inputs).out;
  assert_has(judged, "compiled for opencl:");
  assert_has(judged, "against code for this CPU");
  json_t *o = parse_json(w, expect_status(w, 0, "verify %s %s --device opencl --json", DIGITS, inputs).out);
  assert_true(json_is_true(json_object_get(o, "ok")));
  assert_has(json_string_value(json_object_get(o, "device")), "opencl:");
  json_t *beside = json_object_get(json_array_get(json_object_get(o, "outputs"), 0), "against_cpu");
  assert_true(json_real_value(json_object_get(beside, "max_rel")) < 5e-5);
  assert_true(json_real_value(json_object_get(beside, "cosine")) > 0.9999);
  o = parse_json(w, expect_status(w, 0, "bench %s %s --device opencl --runs 3 --json", DIGITS, inputs).out);
  assert_has(json_string_value(json_object_get(o, "device")), "opencl:");
  assert_true(json_real_value(json_object_get(o, "median_ms")) > 0);
  assert_true(json_is_null(json_object_get(o, "peak_gflops")));
}

static const char rows[] = "nnc: 1\nname: rows\ninputs:\n  x: f32[4, 3]\n  row: i32\nsteps:\n- y: x[row] * 2\n"
                           "outputs:\n  y: y\n";

// The device finds it as the CPU does; what stands in the trace until then is its.
static void data_errors_have_their_line(void **state) {
  workplace *w = *state;
  needs_device(w);
  write_text(w, "rows.yaml", rows);
  expect_error(w, 1, "line 7: a slice begins out of range", "run rows.yaml --in x=iota --in row=4 --device opencl");
  expect_status(w, 0, "run rows.yaml --in x=iota --in row=3 --device opencl");
}

// PoCL is OpenCL on the CPU: machine code does it better.
static void auto_takes_no_cpu_for_a_gpu(void **state) {
  workplace *w = *state;
  needs_device(w);
  static const char note[] = "note: device auto: the CPU runs the model: OpenCL has no GPU here";
  if (strstr(nnc_command(w, "devices").out, "gpu")) skip();
  assert_has(expect_status(w, 0, "run %s --weights random --in x=iota --device auto", TINY).err, note);
  json_t *o = parse_json(w, expect_status(w, 0, "verify %s --device auto --json", DIGITS).out);
  assert_string_equal(json_string_value(json_object_get(o, "device")), "cpu");
  expect_status(w, 0, "compile %s -o d.so", DIGITS);
  expect_status(w, 0, "run d.so --in image=random:3 --device auto");
}

// Two processes that find nothing in the cache, then two that find it damaged: both build, both are right, and what
// stays is whole.
static void two_processes_share_the_cache(void **state) {
  workplace *w = *state;
  needs_device(w);
  const char *run = str_fmt(w->a, "%s run %s --in image=random:3 --device opencl --out logits=", NNC_BINARY, DIGITS);
  write_text(w, "both.sh", str_fmt(w->a, "%sa.npy & first=$!\n%sb.npy || exit 1\nwait $first\n", run, run));
  const char *off = getenv("NNC_NO_CACHE"), *folder = getenv("NNC_CACHE_DIR");
  unsetenv("NNC_NO_CACHE");
  setenv("NNC_CACHE_DIR", in_folder(w, "cache"), 1);
  for (int turn = 0; turn < 2; turn++) {
    w->program = "/bin/sh";
    expect_status(w, 0, "both.sh");
    w->program = NNC_BINARY;
    const float *a = read_tensor(w, "a.npy", NULL)->data, *b = read_tensor(w, "b.npy", NULL)->data;
    assert_memory_equal(a, b, 10 * sizeof(float));
    const json_t *o = parse_json(w, expect_status(w, 0, "cache --verify --json").out);
    assert_int_equal(json_integer_value(json_object_get(o, "removed")), 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "programs"), "files")), 1);
    assert_int_equal(
        system(str_fmt(w->a, "for f in %s/*.program; do echo damage >\"$f\"; done", in_folder(w, "cache"))), 0);
  }
  if (off) setenv("NNC_NO_CACHE", off, 1);
  if (folder) setenv("NNC_CACHE_DIR", folder, 1);
  else unsetenv("NNC_CACHE_DIR");
}

static void a_plan_leaves_routines_to_the_device(void **state) {
  workplace *w = *state;
  needs_device(w);
  write_text(w, "nms.yaml",
             "nnc: 1\nname: m\ninputs:\n  x: f64[6, 4]\nsteps:\n- y: x * 2\n"
             "- kept, n: nms(y, x[:, 0], 0.5, max=3)\noutputs:\n  kept: kept\n  n: n\n");
  const char *text = expect_status(w, 0, "show nms.yaml --stage plan --device opencl").out;
  assert_has(text, "rt_nms(");
  assert_null(strstr(text, "on the CPU"));
}

#define SIMULATOR "/usr/lib/oclgrind/liboclgrind-rt-icd.so" // where Debian has it

// A whole model under Oclgrind, which calls itself a GPU: groups of many work-items, no access out of bounds, no race,
// no call of OpenCL that is not as its standard says.
static void a_simulator_has_nothing_to_say(void **state) {
  workplace *w = *state;
  if (access(SIMULATOR, R_OK) != 0) {
    if (getenv("NNC_NEEDS_OPENCL")) fail_msg("there is no " SIMULATOR);
    print_message("skipped: there is no " SIMULATOR " (Debian: oclgrind)\n");
    skip();
  }
  assert_int_equal(mkdir(in_folder(w, "vendors"), 0700), 0);
  write_text(w, "vendors/oclgrind.icd", SIMULATOR "\n");
  setenv("OCL_ICD_VENDORS", in_folder(w, "vendors"), 1);
  setenv("OCLGRIND_DATA_RACES", "1", 1);
  setenv("OCLGRIND_CHECK_API", "1", 1);
  setenv("OCLGRIND_LOG", in_folder(w, "simulator.log"), 1);
  assert_has(expect_status(w, 0, "devices").out, "Oclgrind");
  expect_status(w, 0, "verify %s --device opencl", DIGITS);
  // chosen by itself, with the least that OpenCL 1.2 lets a device have in local memory, and small work-groups
  setenv("OCLGRIND_LOCAL_MEM_SIZE", "16384", 1);
  setenv("OCLGRIND_MAX_WGSIZE", "64", 1);
  assert_has(expect_status(w, 0, "run %s --in image=random:3 --device auto", DIGITS).err,
             "note: device auto: opencl:0 runs the model: Oclgrind");
  unsetenv("OCLGRIND_LOCAL_MEM_SIZE");
  unsetenv("OCLGRIND_MAX_WGSIZE");
  str log;
  assert_true(file_read(w->a, &w->l, in_folder(w, "simulator.log"), 1 << 20, &log));
  assert_string_equal(log.p, "");
  // a driver whose compiler takes no kernel: who asked for it hears so, and who left the choice gets the CPU
  setenv("OCLGRIND_BUILD_OPTIONS", "-D__kernel=nonsense", 1);
  expect_error(w, 3, "the driver's compiler refuses the kernels", "run %s --device opencl", DIGITS);
  assert_has(expect_status(w, 0, "run %s --in image=random:3 --device auto", DIGITS).err,
             "note: device auto: the CPU runs the model: device opencl:0: building OpenCL kernels: ");
  unsetenv("OCLGRIND_BUILD_OPTIONS");
  unsetenv("OCL_ICD_VENDORS");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_command_lists_them),
                                     cmocka_unit_test(without_a_driver),
                                     cmocka_unit_test(without_opencl),
                                     cmocka_unit_test(what_the_command_line_refuses),
                                     cmocka_unit_test(models_run_there),
                                     cmocka_unit_test(data_errors_have_their_line),
                                     cmocka_unit_test(auto_takes_no_cpu_for_a_gpu),
                                     cmocka_unit_test(two_processes_share_the_cache),
                                     cmocka_unit_test(a_plan_leaves_routines_to_the_device),
                                     cmocka_unit_test(a_simulator_has_nothing_to_say)};
  return cmocka_run_group_tests(tests, workplace_open, workplace_close);
}
