// Programs for a device: limits that a kernel exceeds, builds that fail, a driver that fails at any call, built
// programs and the cache of them. Limits are injected into what the device tells; failures into the table of entry
// points.
#include "device_case.h"
#include "api/handles.h"
#include "base/file.h"
#include "counted_api.h"
#include "runtime/opencl/loader.h"
#include "runtime/session.h"
#include "unit/scratch.h"
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char model[] = "nnc: 1\nname: m\ndims:\n  n: 1..64\ninputs:\n  x: f32[n, 8]\nsteps:\n- y: softmax(x * 2)\n"
                            "- z: sum(y * x, dim=0)\noutputs:\n  y: y\n  z: z\n";

// A program that is about to be built.
typedef struct fixture {
  arena *a;
  compile_job *j;
  const rt_plan *plan;
  rt_opencl_source source;
  rt_opencl_kernel *rows;
  rt_opencl_device *device; // what it tells
  rt_opencl_program *program;
  rt_error err;
  char log[RT_OPENCL_LOG];
} fixture;

static void open_fixture(fixture *f) {
  *f = (fixture){.a = arena_new(NULL)};
  assert_non_null(f->a);
  if (setjmp(*arena_guard(f->a))) fail_msg("out of memory");
  f->j = ARENA_NEW(f->a, compile_job);
  str text = str_of(model);
  strbuf source;
  opencl_kernel *rows;
  sb_init(&source, f->a);
  assert_true(compile_begin(f->j, f->a, "m.yaml", &text, NULL, NULL) && compile_set_device(f->j, "opencl"));
  assert_true(compile_image(f->j, false) && compile_opencl(f->j, NULL, &rows, &source));
  f->plan = image_plan(&f->j->image);
  size_t n = f->plan->kernels.count;
  assert_true(n > 0);
  f->rows = ARENA_ARRAY(f->a, rt_opencl_kernel, n);
  for (size_t i = 0; i < n; i++)
    f->rows[i] = (rt_opencl_kernel){rows[i].lanes, rows[i].needs_fp64, rows[i].local_bytes, rows[i].scratch_bytes};
  f->source = (rt_opencl_source){OPENCL_BUILD_OPTIONS, sb_cstr(&source), source.n, f->rows, n};
  f->device = &f->j->opencl->devices[f->j->device_number];
  count_objects(&f->j->opencl->api);
}

static void close_fixture(fixture *f) {
  rt_opencl_program_free(f->program);
  assert_int_equal(objects_alive(), 0);
  arena_free(f->a);
}

static rt_status build_from(fixture *f, const void *binary, size_t bytes) {
  rt_opencl_program_free(f->program);
  return rt_opencl_build(&f->program, f->j->opencl, f->j->device_number, f->plan, &f->source, binary, bytes, f->log,
                         &f->err);
}

static rt_status build(fixture *f) { return build_from(f, NULL, 0); }

static void refused(fixture *f, const char *part) {
  assert_int_equal(build(f), RT_E_DEVICE);
  assert_null(f->program);
  if (!strstr(f->err.text, part)) fail_msg("no `%s` in: %s", part, f->err.text);
}

// One call on n rows; the sum of the second output.
static rt_status run(fixture *f, int64_t n, float *sum) {
  const rt_kernel *kernels = ARENA_ARRAY(f->a, rt_kernel, f->source.n_kernels);
  const void *const *constants =
      ARENA_ARRAY(f->a, const void *, RT_ARRAY(f->plan, rt_program, programs)->n_outputs + 1u);
  const rt_module m = {
      .plan = f->plan, .kernels = kernels, .constants = constants, .device = rt_opencl_program_device(f->program)};
  rt_session *s;
  float x[64 * 8], y[64 * 8], z[8] = {0};
  for (int i = 0; i < 64 * 8; i++) x[i] = (float)(i % 7);
  rt_tensor in = {.dtype = RT_f32, .rank = 2, .dim = {n, 8}, .data = x};
  rt_tensor out[] = {{.dtype = RT_f32, .rank = 2, .dim = {n, 8}, .data = y},
                     {.dtype = RT_f32, .rank = 1, .dim = {8}, .data = z}};
  int alive = objects_alive();
  rt_status status = rt_session_new(&s, &m, NULL, 0, &f->err);
  if (!status) {
    status = rt_run(s, 1, &in, out, &f->err);
    rt_session_free(s);
  }
  assert_int_equal(objects_alive(), alive);
  *sum = 0;
  for (int i = 0; i < 8; i++) *sum += z[i];
  return status;
}

static void limits_are_checked_before_the_driver_is_asked(void **state) {
  (void)state;
  needs_device();
  fixture f;
  open_fixture(&f);
  const rt_opencl_device told = *f.device;
  const rt_opencl_kernel row = f.rows[0];
  f.source.text = "no text that a driver may see", f.source.text_bytes = strlen(f.source.text);
  f.rows[0].lanes = 256, f.device->max_group = 64;
  refused(&f, "m.yaml:8: it needs work-groups of 256; the device has at most 64");
  f.device->max_group = 256, f.device->max_items = 128;
  refused(&f, "work-groups of 256; the device has at most 128");
  *f.device = told, f.rows[0] = row;
  f.rows[0].local_bytes = 32768, f.device->local_bytes = 16384;
  refused(&f, "it needs bytes of local memory: 32768; the device has at most 16384");
  *f.device = told, f.rows[0] = row;
  f.rows[0].scratch_bytes = 4096, f.device->max_alloc_bytes = 1024;
  refused(&f, "4096; the device has at most 1024");
  *f.device = told, f.rows[0] = row;
  f.rows[0].flags = RT_OPENCL_NEEDS_FP64, f.device->fp64 = false;
  refused(&f, "it computes in f64, which the device has not");
  f.source.n_kernels--;
  assert_int_equal(build(&f), RT_E_INVALID);
  close_fixture(&f);
}

static void what_a_compiler_refuses(void **state) {
  (void)state;
  needs_device();
  fixture f;
  open_fixture(&f);
  f.source.text = "__kernel void k(__global float *x) { x[0] = nothing_of_this_name; }";
  f.source.text_bytes = strlen(f.source.text);
  refused(&f, "the driver's compiler refuses the kernels (CL_BUILD_PROGRAM_FAILURE, -11)");
  assert_non_null(strstr(f.log, "nothing_of_this_name"));
  f.source.text = "__kernel void another(__global float *x) { x[0] = 1; }";
  f.source.text_bytes = strlen(f.source.text);
  float sum;
  assert_int_equal(build(&f), RT_OK);
  assert_int_equal(run(&f, 4, &sum), RT_E_DEVICE);
  assert_non_null(strstr(f.err.text, "the built program lacks a kernel"));
  close_fixture(&f);
}

static void built_programs(void **state) {
  (void)state;
  needs_device();
  fixture f;
  float want, got;
  open_fixture(&f);
  assert_int_equal(build(&f), RT_OK);
  assert_int_equal(run(&f, 5, &want), RT_OK);
  assert_true(want > 0);
  size_t n = rt_opencl_binary_bytes(f.program);
  char *binary = arena_alloc(f.a, n);
  assert_true(n > 0 && rt_opencl_binary(f.program, binary, n));
  assert_false(rt_opencl_binary(f.program, binary, n - 1));
  assert_int_equal(build_from(&f, binary, n), RT_OK);
  assert_int_equal(run(&f, 5, &got), RT_OK);
  assert_true(got == want);
  assert_int_equal(build_from(&f, "not what a driver wrote", 23), RT_E_INVALID);
  close_fixture(&f);
}

// A device without f64: kernels that need it become code for the CPU, the others stay.
static void what_the_device_has_not_runs_on_the_host(void **state) {
  (void)state;
  needs_device();
  static const char text[] = "nnc: 1\nname: m\ninputs:\n  x: f32[4, 8]\nsteps:\n- y: exp(x)\n"
                             "- s: cast(sum(cast(y, f64), dim=1) / 3, f32)\noutputs:\n  z: s * 2\n";
  for (int has = 0; has < 2; has++) {
    arena *a = arena_new(NULL);
    assert_non_null(a);
    if (setjmp(*arena_guard(a))) fail_msg("out of memory");
    compile_job *j = ARENA_NEW(a, compile_job);
    str source = str_of(text);
    rt_module m;
    rt_session *s;
    rt_error err;
    float x[32], z[4];
    assert_true(compile_begin(j, a, "m.yaml", &source, NULL, NULL) && compile_set_device(j, "opencl"));
    rt_opencl_device *device = &j->opencl->devices[j->device_number];
    if (has && !device->fp64) skip(); // a device without f64 cannot show what one with it does
    device->fp64 = has;
    assert_true(compile_image(j, true) && compile_module(j, &m, NULL));
    bool noted = false;
    for (size_t i = 0; i < j->diags.items.n; i++)
      noted = noted || j->diags.items.at[i]->id == DIAG_ID_device_host_steps;
    assert_int_equal(noted, !has);
    assert_int_equal(j->llvm != NULL, !has);
    for (int i = 0; i < 32; i++) x[i] = (float)(i % 5) / 4;
    rt_tensor in = {.dtype = RT_f32, .rank = 2, .dim = {4, 8}, .data = x};
    rt_tensor out = {.dtype = RT_f32, .rank = 1, .dim = {4}, .data = z};
    assert_int_equal(rt_session_new(&s, &m, NULL, 0, &err), RT_OK);
    assert_int_equal(rt_run(s, 1, &in, &out, &err), RT_OK);
    rt_session_free(s);
    for (int row = 0; row < 4; row++) {
      double want = 0;
      for (int i = 0; i < 8; i++) want += exp((double)x[8 * row + i]);
      assert_true(fabs((double)z[row] - want / 3 * 2) < 1e-5); // f32 sums of eight terms, below 10
    }
    arena_free(a);
  }
}

// -- a driver that fails --

static cl_context CL_API_CALL no_context(const cl_context_properties *p, cl_uint n, const cl_device_id *d,
                                         void(CL_CALLBACK *f)(const char *, const void *, size_t, void *), void *user,
                                         cl_int *code) {
  (void)p, (void)n, (void)d, (void)f, (void)user;
  *code = CL_DEVICE_NOT_AVAILABLE;
  return NULL;
}

static cl_command_queue CL_API_CALL no_queue(cl_context c, cl_device_id d, cl_command_queue_properties p,
                                             cl_int *code) {
  (void)c, (void)d, (void)p;
  *code = CL_OUT_OF_RESOURCES;
  return NULL;
}

static cl_kernel CL_API_CALL no_kernel(cl_program p, const char *name, cl_int *code) {
  (void)p, (void)name;
  *code = CL_INVALID_KERNEL_NAME;
  return NULL;
}

static int buffers_left;
static __typeof__(clCreateBuffer) *create_buffer;
static cl_mem CL_API_CALL no_buffer(cl_context c, cl_mem_flags flags, size_t bytes, void *host, cl_int *code) {
  if (buffers_left-- > 0) return create_buffer(c, flags, bytes, host, code);
  *code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
  return NULL;
}

static cl_int CL_API_CALL no_argument(cl_kernel k, cl_uint i, size_t bytes, const void *value) {
  (void)k, (void)i, (void)bytes, (void)value;
  return CL_INVALID_ARG_INDEX;
}

static cl_int CL_API_CALL no_launch(cl_command_queue q, cl_kernel k, cl_uint n, const size_t *offset,
                                    const size_t *items, const size_t *group, cl_uint n_events, const cl_event *events,
                                    cl_event *event) {
  (void)q, (void)k, (void)n, (void)offset, (void)items, (void)group, (void)n_events, (void)events, (void)event;
  return CL_INVALID_WORK_GROUP_SIZE;
}

static cl_int CL_API_CALL no_write(cl_command_queue q, cl_mem m, cl_bool wait, size_t offset, size_t bytes,
                                   const void *from, cl_uint n_events, const cl_event *events, cl_event *event) {
  (void)q, (void)m, (void)wait, (void)offset, (void)bytes, (void)from, (void)n_events, (void)events, (void)event;
  return CL_OUT_OF_RESOURCES;
}

static cl_int CL_API_CALL no_read(cl_command_queue q, cl_mem m, cl_bool wait, size_t offset, size_t bytes, void *to,
                                  cl_uint n_events, const cl_event *events, cl_event *event) {
  (void)q, (void)m, (void)wait, (void)offset, (void)bytes, (void)to, (void)n_events, (void)events, (void)event;
  return CL_INVALID_COMMAND_QUEUE;
}

static void fails(fixture *f, const char *part) {
  float sum;
  assert_int_equal(run(f, 4, &sum), RT_E_DEVICE);
  if (!strstr(f->err.text, part)) fail_msg("no `%s` in: %s", part, f->err.text);
}

static void a_driver_that_fails(void **state) {
  (void)state;
  needs_device();
  fixture f;
  float sum;
  open_fixture(&f);
  assert_int_equal(build(&f), RT_OK);
  cl_api *api = &f.j->opencl->api;
  const cl_api sound = *api;
  api->clCreateCommandQueue = no_queue;
  fails(&f, "opening a queue of the OpenCL device: the device has not enough resources");
  *api = sound, api->clCreateKernel = no_kernel;
  fails(&f, "lacks a kernel");
  *api = sound, api->clSetKernelArg = no_argument;
  fails(&f, "a kernel has fewer arguments than it is given");
  *api = sound, api->clEnqueueNDRangeKernel = no_launch;
  fails(&f, "CL_INVALID_WORK_GROUP_SIZE");
  *api = sound, api->clEnqueueWriteBuffer = no_write;
  fails(&f, "copying to the device");
  *api = sound, api->clEnqueueReadBuffer = no_read;
  fails(&f, "the device was lost");
  create_buffer = sound.clCreateBuffer;
  *api = sound, api->clCreateBuffer = no_buffer;
  int n = 0;
  for (;; n++) { // at the first buffer, the second, ...
    buffers_left = n;
    rt_status status = run(&f, 4, &sum);
    if (!status) break;
    assert_int_equal(status, RT_E_DEVICE);
    assert_non_null(strstr(f.err.text, "the device has not enough memory"));
  }
  assert_true(n >= 4); // the fault word, the arena, an input, an output
  *api = sound, api->clCreateContext = no_context;
  refused(&f, "opening the OpenCL device: the device is in use");
  *api = sound;
  assert_int_equal(build(&f), RT_OK);
  assert_int_equal(run(&f, 4, &sum), RT_OK); // nothing was left behind
  close_fixture(&f);
}

static void sizes_that_the_device_does_not_allocate(void **state) {
  (void)state;
  needs_device();
  fixture f;
  float sum;
  open_fixture(&f);
  assert_int_equal(build(&f), RT_OK);
  f.device->max_alloc_bytes = 1024;
  assert_int_equal(run(&f, 2, &sum), RT_OK);
  assert_int_equal(run(&f, 64, &sum), RT_E_MEMORY);
  assert_non_null(strstr(f.err.text, "bytes of the device; it gives at most 1024 at once"));
  close_fixture(&f);
}

// -- the cache --

static const char *program_file(scratch *s) {
  const char *found = NULL;
  DIR *d = opendir(scratch_path(s, "cache"));
  assert_non_null(d);
  for (const struct dirent *e; (e = readdir(d));)
    if (strstr(e->d_name, ".program")) found = str_fmt(s->a, "%s/%s", scratch_path(s, "cache"), e->d_name);
  closedir(d);
  assert_non_null(found);
  return found;
}

static bool opens_from_cache(void) { // and computes
  nnc_module *m = open_on("opencl", NULL, model, NULL);
  bool cached = m->job->program_from_cache;
  nnc_module *cpu = open_on(NULL, NULL, model, NULL);
  compare_with_cpu(m, cpu, "forward", "n=3", 1, 1);
  nnc_module_free(cpu);
  nnc_module_free(m);
  return cached;
}

static int cache_setup(void **state) {
  int rc = scratch_open(state);
  if (rc) return rc;
  unsetenv("NNC_NO_CACHE");
  return setenv("NNC_CACHE_DIR", scratch_path(*state, "cache"), 1);
}

static int cache_teardown(void **state) {
  setenv("NNC_NO_CACHE", "1", 1);
  return scratch_close(state);
}

// A file that is whole, under the right key, of a program that no driver wrote.
static void put_foreign(scratch *s, const char *file) {
  static const cache_format format = {UINT64_C(0x31706c636f636e6e), 1};
  sha256_digest key;
  const char *hex = strrchr(file, '/') + 1;
  for (size_t i = 0; i < sizeof key.at; i++) {
    const char digits[] = {hex[2 * i], hex[2 * i + 1], 0};
    key.at[i] = (unsigned char)strtoul(digits, NULL, 16);
  }
  cache *c = cache_open(s->a, &s->l, false);
  assert_true(cache_put_body(c, CACHE_program, &key, format, STR("not what a driver wrote")));
}

static void the_cache_of_built_programs(void **state) {
  scratch *s = *state;
  needs_device();
  assert_false(opens_from_cache());
  assert_true(opens_from_cache());
  const char *file = program_file(s);
  str whole = scratch_bytes(s, file);
  const size_t cuts[] = {0, 7, 24, 40, whole.n / 2, whole.n - 1};
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) { // cut short: built again, and kept again
    assert_true(file_write(s->a, &s->l, file, (str){whole.p, cuts[i]}, 0600));
    assert_false(opens_from_cache());
    assert_true(opens_from_cache());
  }
  const size_t places[] = {0, 9, 17, 30, 100, whole.n - 1};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char *bytes = arena_copy(s->a, whole.p, whole.n);
    bytes[places[i]] ^= 0x10;
    assert_true(file_write(s->a, &s->l, file, (str){bytes, whole.n}, 0600));
    assert_false(opens_from_cache());
  }
  put_foreign(s, file);
  assert_false(opens_from_cache());
  assert_true(opens_from_cache());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(limits_are_checked_before_the_driver_is_asked),
      cmocka_unit_test(what_a_compiler_refuses),
      cmocka_unit_test(built_programs),
      cmocka_unit_test(what_the_device_has_not_runs_on_the_host),
      cmocka_unit_test(a_driver_that_fails),
      cmocka_unit_test(sizes_that_the_device_does_not_allocate),
      cmocka_unit_test_setup_teardown(the_cache_of_built_programs, cache_setup, cache_teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
