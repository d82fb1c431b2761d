// Opening OpenCL and choosing a device: what is listed, which names are taken, errors in words. A machine without a
// driver is for tests/cli, which can start a process with another environment.
#include "device_case.h"
#include "runtime/opencl/loader.h"
#include <string.h>

static void limits_are_listed(void **state) {
  (void)state;
  needs_device();
  rt_opencl *cl;
  rt_error err;
  assert_int_equal(rt_opencl_open(&cl, &err), RT_OK);
  assert_true(rt_opencl_count(cl) > 0);
  for (uint32_t i = 0; i < rt_opencl_count(cl); i++) {
    const rt_opencl_device *d = rt_opencl_get(cl, i);
    assert_true(d->name[0] && d->driver[0] && d->platform[0] && d->c_version[0]);
    assert_true(d->compute_units > 0 && d->max_group > 0 && d->max_items > 0);
    assert_true(d->memory_bytes > 0 && d->max_alloc_bytes > 0 && d->max_alloc_bytes <= d->memory_bytes);
    assert_true(d->local_bytes >= 16384 && d->vector_f32 > 0);
  }
  rt_opencl_close(cl);
}

static void names_of_devices(void **state) {
  (void)state;
  static const char *const bad[] = {"opencl:", "opencl:x", "opencl:-1", "opencl:1x", "opencl 0", "OpenCL", "", "cuda"};
  assert_true(rt_opencl_names("opencl") && rt_opencl_names("opencl:0") && rt_opencl_names("opencl:12"));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(rt_opencl_names(bad[i]));
}

// Devices made up: two platforms' worth, of which only some can be used.
static void choosing_one(void **state) {
  (void)state;
  rt_opencl_device devices[] = {
      {.name = "a cpu", .type = RT_OPENCL_cpu, .available = true, .has_compiler = true, .little_endian = true},
      {.name = "a lost gpu", .type = RT_OPENCL_gpu, .has_compiler = true, .little_endian = true},
      {.name = "a gpu", .type = RT_OPENCL_gpu, .available = true, .has_compiler = true, .little_endian = true},
      {.name = "a dsp", .type = RT_OPENCL_accelerator, .available = true, .little_endian = true},
      {.name = "a big one", .type = RT_OPENCL_other, .available = true, .has_compiler = true}};
  const rt_opencl cl = {.n_devices = 5, .devices = devices};
  uint32_t n = 9;
  rt_error err;
  assert_int_equal(rt_opencl_find(&cl, "opencl", &n, &err), RT_OK);
  assert_int_equal(n, 2); // the first GPU that is there
  assert_int_equal(rt_opencl_find(&cl, "opencl:0", &n, &err), RT_OK);
  assert_int_equal(n, 0);
  static const char *const refused[][2] = {{"opencl:1", "a lost gpu, is not available"},
                                           {"opencl:3", "its driver has no compiler"},
                                           {"opencl:4", "is not little-endian"},
                                           {"opencl:5", "there is no OpenCL device 5: the last one is 4"}};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(rt_opencl_find(&cl, refused[i][0], &n, &err), RT_E_DEVICE);
    assert_non_null(strstr(err.text, refused[i][1]));
  }
  assert_int_equal(rt_opencl_find(&cl, "vulkan", &n, &err), RT_E_INVALID);
  assert_true(rt_opencl_find_gpu(&cl, &n) && n == 2);
  devices[2].has_compiler = false; // none is left: "opencl" takes the first device, "auto" none
  assert_false(rt_opencl_find_gpu(&cl, &n));
  assert_int_equal(rt_opencl_find(&cl, "opencl", &n, &err), RT_OK);
  assert_int_equal(n, 0);
}

static void errors_in_words(void **state) {
  (void)state;
  rt_error err;
  assert_string_equal(rt_opencl_error_name(CL_INVALID_WORK_GROUP_SIZE), "CL_INVALID_WORK_GROUP_SIZE");
  assert_int_equal(rt_cl_fail(&err, CL_OUT_OF_RESOURCES, "doing it"), RT_E_DEVICE);
  assert_string_equal(err.text, "doing it: the device has not enough resources: memory, registers, or time "
                                "(CL_OUT_OF_RESOURCES, -5)");
  assert_int_equal(rt_cl_fail(&err, CL_OUT_OF_HOST_MEMORY, "doing it"), RT_E_MEMORY);
  rt_cl_fail(&err, -9999, "doing it");
  assert_non_null(strstr(err.text, "does not define (an unknown code, -9999)"));
  for (int code = -68; code < 0; code++) { // every code that OpenCL 1.2 defines
    if (code < -19 && code > -30) continue;
    assert_true(strncmp(rt_opencl_error_name(code), "CL_", 3) == 0);
    assert_true(rt_opencl_error_sentence(code)[0]);
  }
}

static void refused(const char *device, const char *cpu, nnc_status want, const char *id) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  nnc_module *m;
  nnc_diagnostics *d;
  o.device = device, o.cpu = cpu;
  assert_int_equal(nnc_module_open(&m, NNC_SOURCE_DIR "/models/vision/digits.yaml", &o, &d), want);
  assert_null(m);
  assert_int_equal(nnc_diagnostics_count(d), 1);
  assert_string_equal(nnc_diagnostics_get(d, 0)->id, id);
  nnc_diagnostics_free(d);
}

static void what_the_interface_refuses(void **state) {
  (void)state;
  refused("cuda", NULL, NNC_E_ARGUMENT, "device_unknown");
  refused("opencl", "x86-64", NNC_E_ARGUMENT, "device_with_cpu");
  refused("auto", "x86-64", NNC_E_ARGUMENT, "device_with_cpu");
  refused("opencl:999", NULL, NNC_E_ENVIRONMENT, "device_failed"); // also where there is no OpenCL at all
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(limits_are_listed), cmocka_unit_test(names_of_devices),
                                     cmocka_unit_test(choosing_one), cmocka_unit_test(errors_in_words),
                                     cmocka_unit_test(what_the_interface_refuses)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
