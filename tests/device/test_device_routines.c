// A routine (an ordering) on a device, and on the host where the device cannot run it: its groups are too small, or its
// compiler refuses the text. Bits of routines are compared in tests/op/test_opencl_routines.c.
#include "device_case.h"
#include "api/handles.h"
#include "counted_api.h"
#include "runtime/opencl/loader.h"
#include "runtime/session.h"
#include <math.h>
#include <string.h>

static const char ordered[] = "nnc: 1\nname: m\ninputs:\n  x: f32[4, 8]\nsteps:\n- y: exp(x)\n"
                              "- best, where: topk(y, 3)\noutputs:\n  z: best * 2\n  where: where\n";

static cl_api driver;
static int refusals; // builds that are still to be refused

static cl_int CL_API_CALL picky_compiler(cl_program p, cl_uint n, const cl_device_id *ids, const char *options,
                                         void(CL_CALLBACK *f)(cl_program, void *), void *user) {
  return refusals-- > 0 ? CL_BUILD_PROGRAM_FAILURE : driver.clBuildProgram(p, n, ids, options, f, user);
}

static bool is_noted(const compile_job *j, diag_id id, const char *part) {
  bool found = false;
  for (size_t i = 0; i < j->diags.items.n; i++) {
    strbuf text;
    sb_init(&text, j->a);
    diag_render(&j->diags, j->diags.items.at[i], false, &text);
    found = found || (j->diags.items.at[i]->id == id && strstr(sb_cstr(&text), part));
  }
  return found;
}

typedef enum device_kind { WHOLE, SMALL_GROUPS, PICKY_ONCE, PICKY } device_kind;

static void run_ordered(device_kind kind) {
  arena *a = arena_new(NULL);
  assert_non_null(a);
  if (setjmp(*arena_guard(a))) fail_msg("out of memory");
  compile_job *j = ARENA_NEW(a, compile_job);
  str source = str_of(ordered);
  rt_module m;
  rt_session *s;
  rt_error err;
  float x[32], z[12];
  int32_t where[12];
  assert_true(compile_begin(j, a, "m.yaml", &source, NULL, NULL) && compile_set_device(j, "opencl"));
  if (kind == SMALL_GROUPS) j->opencl->devices[j->device_number].max_group = 8;
  count_objects(&j->opencl->api);
  driver = j->opencl->api;
  refusals = kind == PICKY ? 2 : kind == PICKY_ONCE;
  j->opencl->api.clBuildProgram = picky_compiler;
  bool built = compile_image(j, true) && compile_module(j, &m, NULL);
  assert_int_equal(built, kind != PICKY);
  assert_int_equal(is_noted(j, DIAG_ID_device_host_steps, "m.yaml:7: `topk`"),
                   kind == SMALL_GROUPS || kind == PICKY_ONCE);
  assert_int_equal(is_noted(j, DIAG_ID_device_routines, "refuses"), kind == PICKY_ONCE);
  for (int i = 0; i < 32; i++) x[i] = (float)(i * 5 % 8);
  rt_tensor in = {.dtype = RT_f32, .rank = 2, .dim = {4, 8}, .data = x};
  rt_tensor out[] = {{.dtype = RT_f32, .rank = 2, .dim = {4, 3}, .data = z},
                     {.dtype = RT_i32, .rank = 2, .dim = {4, 3}, .data = where}};
  if (built) {
    assert_int_equal(rt_session_new(&s, &m, NULL, 0, &err), RT_OK);
    assert_int_equal(rt_run(s, 1, &in, out, &err), RT_OK);
    rt_session_free(s);
    static const int32_t place[] = {3, 6, 1}; // of 7, 6 and 5
    for (int i = 0; i < 12; i++)
      assert_true(where[i] == place[i % 3] && fabs((double)z[i] - 2 * exp(7 - i % 3)) < 1e-2);
  }
  arena_free(a);
  assert_int_equal(objects_alive(), 0);
}

static void routines_fall_to_the_host(void **state) {
  (void)state;
  needs_device();
  for (device_kind kind = WHOLE; kind <= PICKY; kind++) run_ordered(kind);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(routines_fall_to_the_host)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
