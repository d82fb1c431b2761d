// What the executor takes beside the driver: a model of many small kernels, against a loop that launches the same
// kernel objects with the same arguments, sizes and queue, and nothing else. And what makes it small: a run like the
// one before sets no argument and makes no object.
#include "device_case.h"
#include "api/compile.h"
#include "base/clock.h"
#include "counted_api.h"
#include "runtime/opencl/loader.h"
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 100, ROWS = 4, COLUMNS = 8, ROUNDS = 60, MOST_LAUNCHES = 4 * STEPS };

// The bound: 3 us a kernel above the driver's own, on PoCL.
#define BOUND_US 3.0

static cl_api real;
static int n_arguments, n_launches;
static struct {
  cl_command_queue queue;
  cl_kernel kernel;
  size_t items, group;
} launches[MOST_LAUNCHES];

static cl_int CL_API_CALL counted_argument(cl_kernel k, cl_uint i, size_t bytes, const void *value) {
  n_arguments++;
  return real.clSetKernelArg(k, i, bytes, value);
}

static cl_int CL_API_CALL recorded_launch(cl_command_queue q, cl_kernel k, cl_uint n, const size_t *offset,
                                          const size_t *items, const size_t *group, cl_uint n_events,
                                          const cl_event *events, cl_event *event) {
  assert_true(n_launches < MOST_LAUNCHES && n == 1 && !offset && !n_events && !events && !event);
  launches[n_launches].queue = q, launches[n_launches].kernel = k;
  launches[n_launches].items = *items, launches[n_launches++].group = *group;
  return real.clEnqueueNDRangeKernel(q, k, n, offset, items, group, n_events, events, event);
}

typedef struct many_kernels {
  arena *a;
  compile_job *j;
  rt_module m;
  rt_session *s;
  float x[2][ROWS * COLUMNS], y[2][ROWS * COLUMNS];
} many_kernels;

static const char *model_text(arena *a) {
  strbuf b;
  sb_init(&b, a);
  sb_z(&b, "nnc: 1\nname: many\ndims:\n  n: 1..64\ninputs:\n  x: f32[n, 8]\nsteps:\n- y: x\n");
  for (int i = 0; i < STEPS; i++) sb_z(&b, i % 2 ? "- y: softmax(y * 2, dim=0)\n" : "- y: softmax(y * 3, dim=1)\n");
  sb_z(&b, "outputs:\n  y: y\n");
  return sb_cstr(&b);
}

static void open_model(many_kernels *k) {
  rt_error err;
  *k = (many_kernels){.a = arena_new(NULL)};
  assert_non_null(k->a);
  if (setjmp(*arena_guard(k->a))) fail_msg("out of memory");
  k->j = ARENA_NEW(k->a, compile_job);
  str text = str_of(model_text(k->a));
  assert_true(compile_begin(k->j, k->a, "many.yaml", &text, NULL, NULL) && compile_set_device(k->j, "opencl"));
  assert_true(compile_image(k->j, true) && compile_module(k->j, &k->m, NULL));
  cl_api *api = &k->j->opencl->api;
  count_objects(api);
  real = *api;
  api->clSetKernelArg = counted_argument;
  api->clEnqueueNDRangeKernel = recorded_launch;
  assert_int_equal(rt_session_new(&k->s, &k->m, NULL, 0, &err), RT_OK);
  for (int i = 0; i < ROWS * COLUMNS; i++) k->x[0][i] = k->x[1][i] = (float)(i % 7);
}

static void close_model(many_kernels *k) {
  rt_session_free(k->s);
  arena_free(k->a);
}

static void run(many_kernels *k, int which, int64_t rows) {
  rt_error err;
  rt_tensor in = {.dtype = RT_f32, .rank = 2, .dim = {rows, COLUMNS}, .data = k->x[which]};
  rt_tensor out = {.dtype = RT_f32, .rank = 2, .dim = {rows, COLUMNS}, .data = k->y[which]};
  n_launches = n_arguments = 0;
  rt_status status = rt_run(k->s, 1, &in, &out, &err);
  if (status) fail_msg("%s", err.text);
}

static void arguments_are_set_once(void **state) {
  (void)state;
  needs_device();
  many_kernels k;
  open_model(&k);
  run(&k, 0, ROWS);
  assert_int_equal(n_launches, STEPS);
  assert_true(n_arguments >= 4 * STEPS); // two buffers with their offsets
  int alive = objects_alive();
  run(&k, 0, ROWS);
  assert_int_equal(n_arguments, 0);
  run(&k, 1, ROWS); // other memory of the caller's: the device's is the same
  assert_int_equal(n_arguments, 0);
  assert_memory_equal(k.y[0], k.y[1], sizeof k.y[0]);
  assert_int_equal(objects_alive(), alive);
  run(&k, 1, ROWS - 1); // fewer rows: other numbers, the same blocks
  assert_true(n_arguments >= STEPS && n_arguments < 4 * STEPS);
  run(&k, 1, ROWS);
  assert_memory_equal(k.y[0], k.y[1], sizeof k.y[0]);
  close_model(&k);
}

// What two ways of launching take: until all is enqueued, and until all is done.
typedef struct times {
  double enqueued_us, done_us;
} times;

static times bare(void) {
  int64_t start = clock_ns();
  for (int i = 0; i < n_launches; i++)
    if (real.clEnqueueNDRangeKernel(launches[i].queue, launches[i].kernel, 1, NULL, &launches[i].items,
                                    &launches[i].group, 0, NULL, NULL))
      fail_msg("the driver refuses what it took before");
  int64_t enqueued = clock_ns();
  real.clFinish(launches[0].queue);
  return (times){(double)(enqueued - start) * 1e-3, (double)(clock_ns() - start) * 1e-3};
}

static times own(many_kernels *k) {
  rt_error err;
  rt_tensor in = {.dtype = RT_f32, .rank = 2, .dim = {ROWS, COLUMNS}, .data = k->x[0]};
  rt_tensor out = {.dtype = RT_f32, .rank = 2, .dim = {ROWS, COLUMNS}, .data = k->y[0]};
  n_launches = 0;
  int64_t start = clock_ns();
  rt_status status = rt_start(k->s, 1, &in, &out, &err);
  int64_t enqueued = clock_ns();
  if (!status) status = rt_finish(k->s, &err);
  if (status) fail_msg("%s", err.text);
  return (times){(double)(enqueued - start) * 1e-3, (double)(clock_ns() - start) * 1e-3};
}

static int by_value(const void *x, const void *y) {
  double a = *(const double *)x, b = *(const double *)y;
  return (a > b) - (a < b);
}

static void tell(const char *what, double *us) {
  qsort(us, ROUNDS, sizeof *us, by_value);
  print_message("%s: %.2f us a kernel more than the driver alone (quartiles %.2f, %.2f)\n", what, us[ROUNDS / 2],
                us[ROUNDS / 4], us[3 * ROUNDS / 4]);
#if !defined(__SANITIZE_ADDRESS__) // whose checks are not the executor's
  assert_true(us[ROUNDS / 2] < BOUND_US);
#endif
}

// Both in turns, so that what else the machine does meets both; the median of the differences. The run's own copies and
// its end are in it: they count as the kernels'.
static void beside_the_driver(void **state) {
  (void)state;
  needs_device();
  many_kernels k;
  double enqueued[ROUNDS], done[ROUNDS];
  open_model(&k);
  run(&k, 0, ROWS);
  for (int i = 0; i < ROUNDS; i++) {
    times b = bare(), o = own(&k);
    enqueued[i] = (o.enqueued_us - b.enqueued_us) / STEPS;
    done[i] = (o.done_us - b.done_us) / STEPS;
  }
  tell("until enqueued", enqueued);
  tell("until done", done);
  close_model(&k);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(arguments_are_set_once), cmocka_unit_test(beside_the_driver)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
