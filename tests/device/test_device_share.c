// A program's own OpenCL beside nnc: its context, queue and memory (nnc/nnc_opencl.h). That outputs feed the next run
// without the host is counted.
#include "device_case.h"
#include "api/handles.h"
#include "nnc/nnc_opencl.h"
#include "watched_api.h"
#include <string.h>

// The caller's objects, made as a program does that knows nothing of nnc.
typedef struct caller {
  rt_opencl *cl; // for the entry points of libOpenCL
  cl_context context;
  cl_device_id id;
  cl_command_queue queue;
} caller;

static caller open_program(void) {
  caller p;
  rt_error err;
  cl_int code;
  assert_int_equal(rt_opencl_open(&p.cl, &err), RT_OK);
  p.id = p.cl->ids[0];
  p.context = p.cl->api.clCreateContext(NULL, 1, &p.id, NULL, NULL, &code);
  assert_int_equal(code, CL_SUCCESS);
  p.queue = p.cl->api.clCreateCommandQueue(p.context, p.id, 0, &code);
  assert_int_equal(code, CL_SUCCESS);
  return p;
}

static void close_program(caller *p) {
  p->cl->api.clReleaseCommandQueue(p->queue);
  p->cl->api.clReleaseContext(p->context);
  rt_opencl_close(p->cl);
}

static cl_mem memory_of(const caller *p, size_t bytes) {
  cl_int code;
  cl_mem m = p->cl->api.clCreateBuffer(p->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
  assert_int_equal(code, CL_SUCCESS);
  return m;
}

static nnc_module *open_in(const caller *p, const char *text) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.opencl_context = p->context, o.opencl_device = p->id;
  return open_on(NULL, NULL, text, &o);
}

enum { ROWS = 5, COLUMNS = 8, COUNT = ROWS * COLUMNS };
static const char model[] =
    "nnc: 1\nname: m\ndims:\n  n: 1..64\ninputs:\n  x: f32[n, 8]\n  bias: f32[8] = 0.25\nsteps:\n"
    "- y: softmax(x * 2 + bias)\noutputs:\n  y: y * 4\n  rows: sum(y, dim=1)\n";

static nnc_opencl_tensor matrix(cl_mem m, uint64_t offset) {
  return (nnc_opencl_tensor){nnc_tensor_of(NNC_F32, NULL, 2, (const int64_t[]){ROWS, COLUMNS}), m, offset};
}

static void run_on_host(nnc_session *s, float *x, float *y, float *rows) {
  nnc_tensor in[] = {nnc_tensor_of(NNC_F32, x, 2, (const int64_t[]){ROWS, COLUMNS}),
                     nnc_tensor_of(NNC_F32, NULL, 1, (const int64_t[]){COLUMNS})};
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, y, 2, (const int64_t[]){ROWS, COLUMNS}),
                      nnc_tensor_of(NNC_F32, rows, 1, (const int64_t[]){ROWS})};
  nnc_status status = nnc_run(s, 0, in, 2, out, 2);
  if (status) fail_msg("%s", nnc_session_error(s));
}

// x -> y -> x -> y in the caller's memory, y at an offset; the second output comes to the host each time.
static void outputs_feed_the_next_run(void **state) {
  (void)state;
  needs_device();
  caller p = open_program();
  const cl_api *api = &p.cl->api;
  nnc_module *m = open_in(&p, model);
  watch_calls(&m->job->opencl->api);
  nnc_session *s;
  float x[COUNT], y[COUNT], want[COUNT], rows[ROWS], want_rows[ROWS];
  for (int i = 0; i < COUNT; i++) x[i] = (float)(i % 9) / 8;
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  run_on_host(s, x, y, rows);
  run_on_host(s, y, want, rows);
  run_on_host(s, want, want, want_rows);
  assert_int_equal(nnc_opencl_use_queue(s, p.queue), NNC_OK);
  cl_mem a = memory_of(&p, sizeof x), b = memory_of(&p, sizeof x + 64);
  nnc_opencl_tensor bias = {nnc_tensor_of(NNC_F32, NULL, 1, (const int64_t[]){COLUMNS}), NULL, 0};
  const nnc_opencl_tensor first = matrix(a, 0), second = matrix(b, 64);
  assert_int_equal(api->clEnqueueWriteBuffer(p.queue, a, CL_FALSE, 0, sizeof x, x, 0, NULL, NULL), CL_SUCCESS);
  for (int turn = 0; turn < 3; turn++) {
    const nnc_opencl_tensor in[] = {turn % 2 ? second : first, bias};
    const nnc_opencl_tensor out[] = {turn % 2 ? first : second,
                                     {nnc_tensor_of(NNC_F32, rows, 1, (const int64_t[]){ROWS}), NULL, 0}};
    count_from_here();
    assert_int_equal(nnc_opencl_run_async(s, 0, in, 2, out, 2), NNC_OK);
    assert_int_equal(waits(), 0);
    assert_int_equal(calls_of(WATCHED_clEnqueueWriteBuffer), 1); // the bias's default: not x
    assert_int_equal(calls_of(WATCHED_clEnqueueReadBuffer), 2);  // the rows, and the fault word: not y
    assert_int_equal(nnc_wait(s), NNC_OK);
  }
  assert_int_equal(api->clEnqueueReadBuffer(p.queue, b, CL_TRUE, 64, sizeof y, y, 0, NULL, NULL), CL_SUCCESS);
  assert_memory_equal(y, want, sizeof y);
  assert_memory_equal(rows, want_rows, sizeof rows);
  nnc_session_free(s);
  nnc_module_free(m);
  api->clReleaseMemObject(a);
  api->clReleaseMemObject(b);
  close_program(&p);
}

// The host runs topk: what it reads is in the caller's memory, and what it gives goes there.
static const char ordered[] = "nnc: 1\nname: m\ninputs:\n  x: f32[5, 8]\nsteps:\n- best, where: topk(x, 3)\n"
                              "outputs:\n  best: best\n";

static void steps_of_the_host(void **state) {
  (void)state;
  needs_device();
  caller p = open_program();
  const cl_api *api = &p.cl->api;
  nnc_module *m = open_in(&p, ordered);
  nnc_session *s;
  float x[COUNT], best[ROWS * 3];
  for (int i = 0; i < COUNT; i++) x[i] = (float)((i * 5) % 8 + 100 * (i / COLUMNS));
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  assert_int_equal(nnc_opencl_use_queue(s, p.queue), NNC_OK);
  cl_mem a = memory_of(&p, sizeof x), b = memory_of(&p, sizeof best);
  const nnc_opencl_tensor in = matrix(a, 0);
  const nnc_opencl_tensor out = {nnc_tensor_of(NNC_F32, NULL, 2, (const int64_t[]){ROWS, 3}), b, 0};
  assert_int_equal(api->clEnqueueWriteBuffer(p.queue, a, CL_TRUE, 0, sizeof x, x, 0, NULL, NULL), CL_SUCCESS);
  assert_int_equal(nnc_opencl_run_async(s, 0, &in, 1, &out, 1), NNC_OK);
  assert_int_equal(nnc_wait(s), NNC_OK);
  assert_int_equal(api->clEnqueueReadBuffer(p.queue, b, CL_TRUE, 0, sizeof best, best, 0, NULL, NULL), CL_SUCCESS);
  for (int i = 0; i < ROWS * 3; i++) assert_true(best[i] == (float)(7 - i % 3 + 100 * (i / 3)));
  nnc_session_free(s);
  nnc_module_free(m);
  api->clReleaseMemObject(a);
  api->clReleaseMemObject(b);
  close_program(&p);
}

static void nncs_own_objects(void **state) {
  (void)state;
  needs_device();
  nnc_module *m = open_on("opencl", NULL, model, NULL), *cpu = open_on(NULL, NULL, model, NULL);
  const cl_api *api = &m->job->opencl->api;
  nnc_session *s;
  void *context, *id, *queue;
  float x[COUNT] = {0}, y[COUNT], rows[ROWS];
  cl_int code;
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  assert_int_equal(nnc_opencl_objects(s, &context, &id, &queue), NNC_OK);
  assert_int_equal(nnc_opencl_objects(s, NULL, NULL, NULL), NNC_OK);
  cl_mem a = api->clCreateBuffer(context, CL_MEM_READ_WRITE, sizeof x, NULL, &code);
  assert_int_equal(code, CL_SUCCESS);
  nnc_tensor in = nnc_tensor_of(NNC_F32, x, 2, (const int64_t[]){ROWS, COLUMNS});
  const nnc_opencl_tensor ins[] = {{in, NULL, 0}, {nnc_tensor_of(NNC_F32, NULL, 1, (const int64_t[]){8}), NULL, 0}};
  const nnc_opencl_tensor outs[] = {matrix(a, 0), {nnc_tensor_of(NNC_F32, rows, 1, (const int64_t[]){ROWS}), NULL, 0}};
  assert_int_equal(nnc_opencl_run_async(s, 0, ins, 2, outs, 2), NNC_OK);
  assert_int_equal(api->clEnqueueReadBuffer(queue, a, CL_TRUE, 0, sizeof y, y, 0, NULL, NULL), CL_SUCCESS); // in order
  for (int i = 0; i < COUNT; i++) assert_true(y[i] == 0.5f);
  assert_int_equal(nnc_wait(s), NNC_OK);
  nnc_session_free(s);
  api->clReleaseMemObject(a);
  assert_int_equal(nnc_session_new(&s, cpu, NULL), NNC_OK);
  assert_int_equal(nnc_opencl_objects(s, &context, &id, &queue), NNC_E_ARGUMENT);
  assert_int_equal(nnc_opencl_run_async(s, 0, ins, 2, outs, 2), NNC_E_ARGUMENT);
  assert_string_equal(nnc_session_error(s), "the module is not for an OpenCL device");
  assert_int_equal(nnc_opencl_use_queue(s, &code), NNC_E_ARGUMENT);
  nnc_session_free(s);
  nnc_module_free(m);
  nnc_module_free(cpu);
}

static void wrong(nnc_session *s, nnc_opencl_tensor x, nnc_opencl_tensor y, const char *part) {
  float rows[ROWS];
  const nnc_opencl_tensor in[] = {x, {nnc_tensor_of(NNC_F32, NULL, 1, (const int64_t[]){COLUMNS}), NULL, 0}};
  const nnc_opencl_tensor out[] = {y, {nnc_tensor_of(NNC_F32, rows, 1, (const int64_t[]){ROWS}), NULL, 0}};
  assert_int_equal(nnc_opencl_run_async(s, 0, in, 2, out, 2), NNC_E_MODEL);
  if (!strstr(nnc_session_error(s), part)) fail_msg("no `%s` in: %s", part, nnc_session_error(s));
  assert_int_equal(nnc_wait(s), NNC_E_ARGUMENT);
}

static void what_does_not_fit(void **state) {
  (void)state;
  needs_device();
  caller p = open_program(), other = open_program();
  cl_int code;
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  nnc_module *m = NULL;
  o.opencl_context = p.context; // without its device; with another; with one that is named too
  assert_int_equal(nnc_module_compile(&m, model, strlen(model), "m.yaml", &o, NULL), NNC_E_ARGUMENT);
  o.opencl_device = p.id, o.device = "opencl";
  assert_int_equal(nnc_module_compile(&m, model, strlen(model), "m.yaml", &o, NULL), NNC_E_ARGUMENT);
  int nothing = 0;
  nnc_diagnostics *d;
  o.opencl_device = &nothing, o.device = NULL;
  assert_int_equal(nnc_module_compile(&m, model, strlen(model), "m.yaml", &o, &d), NNC_E_ENVIRONMENT);
  assert_non_null(strstr(nnc_diagnostics_get(d, 0)->text, "the device is not of the caller's OpenCL context"));
  nnc_diagnostics_free(d);
  m = open_in(&p, model);
  nnc_session *s;
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  cl_mem a = memory_of(&p, 4 * COUNT), b = memory_of(&p, 4 * COUNT), foreign = memory_of(&other, 4 * COUNT);
  assert_int_equal(nnc_opencl_use_queue(s, other.queue), NNC_E_ARGUMENT);
  assert_string_equal(nnc_session_error(s), "the queue is not of the module's OpenCL context and device");
  cl_command_queue unordered =
      p.cl->api.clCreateCommandQueue(p.context, p.id, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
  if (!code) {
    assert_int_equal(nnc_opencl_use_queue(s, unordered), NNC_E_ARGUMENT);
    assert_string_equal(nnc_session_error(s), "the queue does not keep its commands in order");
    p.cl->api.clReleaseCommandQueue(unordered);
  }
  wrong(s, matrix(foreign, 0), matrix(b, 0), "input 0: its cl_mem is no buffer of the session's OpenCL context");
  wrong(s, matrix(a, 4), matrix(b, 0), "input 0 needs 160 bytes from 4 on; its cl_mem has 160");
  wrong(s, matrix(a, UINT64_MAX - 3), matrix(b, 0), "its cl_mem has 160");
  wrong(s, matrix(a, 2), matrix(b, 0), "input 0: its offset is no multiple of 4");
  nnc_opencl_tensor t = matrix(b, 0);
  t.tensor.data = &nothing;
  wrong(s, matrix(a, 0), t, "output 0 has both data and a cl_mem");
  t = matrix(b, 0);
  t.tensor.dim[0] = ROWS - 1;
  wrong(s, matrix(a, 0), t, "output `y`: dim 0 is 4; expected 5");
  t.tensor.dim[0] = INT64_MAX;
  wrong(s, matrix(a, 0), t, "output 0: its shape overflows");
  nnc_session_free(s);
  nnc_module_free(m);
  const cl_mem all[] = {a, b, foreign};
  for (int i = 0; i < 3; i++) p.cl->api.clReleaseMemObject(all[i]);
  close_program(&p);
  close_program(&other);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(outputs_feed_the_next_run), cmocka_unit_test(steps_of_the_host),
                                     cmocka_unit_test(nncs_own_objects), cmocka_unit_test(what_does_not_fit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
