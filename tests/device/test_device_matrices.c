// The probe for matrix instructions: who is asked, what counts as a pass, and that any failure is a no.
#include "device_case.h"
#include "watched_api.h"
#include "runtime/opencl/matrix_text.h"
#include <stdio.h>
#include <string.h>

static const char plain[] = "-cl-std=CL1.2 -w"; // the form of matrix_text.h that every device has

static rt_opencl *opened(void) {
  rt_opencl *cl;
  rt_error err;
  assert_int_equal(rt_opencl_open(&cl, &err), RT_OK);
  watch_calls(&cl->api);
  count_from_here();
  return cl;
}

// A driver that does not name NVIDIA's extensions is not asked to build anything.
static void others_are_not_asked(void **state) {
  (void)state;
  needs_device();
  rt_opencl *cl = opened();
  for (uint32_t i = 0; i < rt_opencl_count(cl); i++)
    if (!rt_opencl_get(cl, i)->nvidia_assembly) assert_false(rt_opencl_has_matrices(cl, i));
  if (!rt_opencl_get(cl, 0)->nvidia_assembly) assert_int_equal(calls_of(WATCHED_ALL), 0);
  rt_opencl_close(cl);
}

// The program of the probe is right: the plain form passes it.
static void what_is_right_passes(void **state) {
  (void)state;
  needs_device();
  rt_opencl *cl = opened();
  assert_true(rt_cl_try_matrices(cl, 0, plain));
  rt_opencl_close(cl);
}

// A driver whose compiler makes something else of the text: `wrong` in the place of `right`.
static __typeof__(clCreateProgramWithSource) *create_program;
static const char *right, *wrong;

static cl_program CL_API_CALL create_wrong_program(cl_context c, cl_uint n, const char **text, const size_t *bytes,
                                                   cl_int *code) {
  char changed[8192];
  const char *at = strstr(*text, right);
  assert_true(n == 1 && bytes == NULL && at != NULL);
  snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - *text), *text, wrong, at + strlen(right));
  return create_program(c, 1, (const char *[]){changed}, NULL, code);
}

// Rows of another lane, columns too near, a sum that is off by little, one product for two; changed in nothing, it
// passes.
static void what_is_wrong_fails(void **state) {
  (void)state;
  needs_device();
  static const char *const changes[][2] = {{"lane / 4 * stride;\n  mma_rows", "lane / 4 * stride;\n  mma_rows"},
                                           {"lane / 4 * stride;\n  mma_rows", "lane / 8 * stride;\n  mma_rows"},
                                           {"lane % 4 * 2 * stride", "lane % 4 * stride"},
                                           {"(z.s0 + z.s2)", "(z.s0 + z.s2 * 1.0001f)"},
                                           {"sum = mma_step(p, q, sum);", ""}};
  rt_opencl *cl = opened();
  create_program = cl->api.clCreateProgramWithSource;
  cl->api.clCreateProgramWithSource = create_wrong_program;
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    right = changes[i][0], wrong = changes[i][1];
    assert_int_equal(rt_cl_try_matrices(cl, 0, plain), i == 0);
  }
  rt_opencl_close(cl);
}

static void any_failure_is_a_no(void **state) {
  (void)state;
  needs_device();
  rt_opencl *cl = opened();
  int n = 0;
  for (; n < 100; n++) {
    fail_after(WATCHED_ALL, n, CL_OUT_OF_RESOURCES, true);
    if (rt_cl_try_matrices(cl, 0, plain)) break;
    assert_true(has_failed());
  }
  assert_true(n >= 8 && n < 100); // as many calls as can fail
  rt_opencl_close(cl);
}

// It is asked once, and remembered. Where every call fails, for PoCL's compiler would end the process.
static void the_answer_is_kept(void **state) {
  (void)state;
  needs_device();
  rt_opencl *cl = opened();
  cl->devices[0].nvidia_assembly = true;
  fail_after(WATCHED_ALL, 0, CL_OUT_OF_RESOURCES, false);
  assert_false(rt_opencl_has_matrices(cl, 0));
  assert_true(has_failed());
  int before = calls_of(WATCHED_ALL);
  assert_false(rt_opencl_has_matrices(cl, 0));
  assert_int_equal(calls_of(WATCHED_ALL), before);
  rt_opencl_close(cl);
}

// Programs with products of warps get the define where the device has the instruction, others never.
static void the_define_is_for_those_who_need_it(void **state) {
  (void)state;
  rt_opencl_device devices[2] = {{.matrices_tried = true, .matrices = true}, {.matrices_tried = true}};
  rt_opencl cl = {.n_devices = 2, .devices = devices};
  const rt_opencl_kernel kernels[] = {{.lanes = 1}, {.lanes = 128, .flags = RT_OPENCL_USES_MATRICES}};
  const rt_opencl_source with = {.kernels = kernels, .n_kernels = 2}, without = {.kernels = kernels, .n_kernels = 1};
  assert_string_equal(rt_opencl_device_options(&cl, 0, &with), " " RT_OPENCL_MATRIX_OPTION);
  assert_string_equal(rt_opencl_device_options(&cl, 0, &without), "");
  assert_string_equal(rt_opencl_device_options(&cl, 1, &with), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(others_are_not_asked), cmocka_unit_test(what_is_right_passes),
      cmocka_unit_test(what_is_wrong_fails),  cmocka_unit_test(any_failure_is_a_no),
      cmocka_unit_test(the_answer_is_kept),   cmocka_unit_test(the_define_is_for_those_who_need_it)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
