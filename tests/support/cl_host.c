// A small OpenCL host: see cl_host.h.
#define CL_TARGET_OPENCL_VERSION 120
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/cl_host.h"
#include "support/kernel_judge.h"

#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, GUARD_BYTE = 0xa5, SLOTS = 8, LOCAL = 8 };

#define ENTRIES                                                                                                        \
  E(clGetPlatformIDs)                                                                                                  \
  E(clGetDeviceIDs)                                                                                                    \
  E(clGetDeviceInfo)                                                                                                   \
  E(clCreateContext)                                                                                                   \
  E(clReleaseContext)                                                                                                  \
  E(clCreateCommandQueue)                                                                                              \
  E(clReleaseCommandQueue)                                                                                             \
  E(clCreateProgramWithSource)                                                                                         \
  E(clBuildProgram)                                                                                                    \
  E(clGetProgramBuildInfo)                                                                                             \
  E(clReleaseProgram)                                                                                                  \
  E(clCreateKernel)                                                                                                    \
  E(clSetKernelArg)                                                                                                    \
  E(clReleaseKernel)                                                                                                   \
  E(clCreateBuffer)                                                                                                    \
  E(clReleaseMemObject)                                                                                                \
  E(clEnqueueReadBuffer)                                                                                               \
  E(clEnqueueNDRangeKernel)                                                                                            \
  E(clFinish)

struct cl_host {
  arena *a;
#define E(name) __typeof__(name) *name;
  ENTRIES
#undef E
  cl_device_id device;
  cl_context context;
  cl_command_queue queue;
  char name[256];
  bool has_fp64;
  const char *options;
  const target *target;
};

struct cl_host_kernel {
  arena *a;
  cl_host *h;
  const kir_kernel *k;
  opencl_kernel info;
  cl_kernel kernel;
};

// -- device --

static void close_host(void *p) {
  cl_host *h = p;
  if (h->queue != NULL) h->clReleaseCommandQueue(h->queue);
  if (h->context != NULL) h->clReleaseContext(h->context);
}

static bool find_entries(cl_host *h, void *library) {
  bool all = true;
#define E(entry)                                                                                                       \
  *(void **)&h->entry = dlsym(library, #entry);                                                                        \
  all = all && h->entry != NULL;
  ENTRIES
#undef E
  return all;
}

static bool has_word(const char *text, const char *word) { return strstr(text, word) != NULL; }

static void ask_device(cl_host *h, bool optimised) {
  char extensions[8192] = {0};
  cl_device_fp_config single = 0;
  h->clGetDeviceInfo(h->device, CL_DEVICE_NAME, sizeof h->name - 1, h->name, NULL);
  h->clGetDeviceInfo(h->device, CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions, NULL);
  h->clGetDeviceInfo(h->device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof single, &single, NULL);
  h->has_fp64 = has_word(extensions, "cl_khr_fp64");
  bool rounds = (single & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT) != 0;
  h->options = str_fmt(h->a, "%s%s%s", OPENCL_BUILD_OPTIONS, rounds ? " -cl-fp32-correctly-rounded-divide-sqrt" : "",
                       optimised ? "" : " -cl-opt-disable");
}

cl_host *cl_host_open(arena *a, bool optimised, const char **why) {
  void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return *why = "there is no libOpenCL.so.1", NULL;
  cl_host *h = ARENA_NEW(a, cl_host);
  *h = (cl_host){.a = a, .target = target_find("opencl")};
  cl_platform_id platforms[8];
  cl_uint n = 0;
  cl_int error;
  if (!find_entries(h, library)) return *why = "libOpenCL.so.1 lacks functions of OpenCL 1.2", NULL;
  if (h->clGetPlatformIDs(8, platforms, &n) != CL_SUCCESS) n = 0;
  for (cl_uint i = 0; i < n && h->device == NULL; i++) {
    if (h->clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, &h->device, NULL) != CL_SUCCESS) h->device = NULL;
  }
  if (h->device == NULL) return *why = "there is no OpenCL device (Debian: apt install pocl-opencl-icd)", NULL;
  ask_device(h, optimised);
  arena_defer(a, close_host, h);
  h->context = h->clCreateContext(NULL, 1, &h->device, NULL, NULL, &error);
  if (error != CL_SUCCESS) return *why = str_fmt(a, "no context: %d", error), NULL;
  h->queue = h->clCreateCommandQueue(h->context, h->device, 0, &error);
  if (error != CL_SUCCESS) return *why = str_fmt(a, "no queue: %d", error), NULL;
  return h;
}

void cl_host_skip(arena *a, const char *why) {
  print_message("skipped: %s\n", why);
  arena_free(a);
  if (getenv("NNC_NEEDS_OPENCL")) fail_msg("NNC_NEEDS_OPENCL is set");
  skip();
}

cl_host *cl_host_or_skip(arena *a, bool optimised) {
  const char *why = NULL;
  cl_host *h = cl_host_open(a, optimised, &why);
  if (h == NULL) cl_host_skip(a, why);
  return h;
}

const char *cl_host_device(const cl_host *h) { return h->name; }

bool cl_host_has_fp64(const cl_host *h) { return h->has_fp64; }

void cl_host_set_target(cl_host *h, const char *name) { h->target = target_find(name); }

// -- build --

static void release_kernel(void *p) {
  cl_host_kernel *c = p;
  if (c->kernel != NULL) c->h->clReleaseKernel(c->kernel);
}

typedef struct built {
  cl_host *h;
  cl_program program;
} built;

static void release_program(void *p) {
  built *x = p;
  if (x->program != NULL) x->h->clReleaseProgram(x->program);
}

static const char *build_log(arena *a, const built *x, const char *source) {
  size_t n = 0;
  x->h->clGetProgramBuildInfo(x->program, x->h->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &n);
  char *log = arena_alloc(a, n + 1);
  x->h->clGetProgramBuildInfo(x->program, x->h->device, CL_PROGRAM_BUILD_LOG, n, log, NULL);
  log[n] = '\0';
  return str_fmt(a, "the build fails:\n%s\n%s", log, source);
}

static const char *print(const cl_host *h, arena *a, size_t n, kir_kernel *const *k, opencl_kernel *info,
                         const char **why) {
  diag_list l;
  strbuf source;
  diag_init(&l, a);
  sb_init(&source, a);
  if (opencl_print(a, &l, h->target, n, k, NULL, info, &source)) return sb_cstr(&source);
  *why = messages_of(a, &l);
  return NULL;
}

static bool build(arena *a, built *x, const char *source, const char **why) {
  cl_int error;
  arena_defer(a, release_program, x);
  x->program = x->h->clCreateProgramWithSource(x->h->context, 1, &source, NULL, &error);
  if (error != CL_SUCCESS) return *why = str_fmt(a, "no program: %d", error), false;
  error = x->h->clBuildProgram(x->program, 1, &x->h->device, x->h->options, NULL, NULL);
  if (error != CL_SUCCESS) *why = build_log(a, x, source);
  return error == CL_SUCCESS;
}

bool cl_host_compile_all(cl_host *h, arena *a, size_t n, kir_kernel *const *k, cl_host_kernel **out, const char **why) {
  opencl_kernel *info = ARENA_ARRAY(a, opencl_kernel, n);
  const char *source = print(h, a, n, k, info, why);
  built *x = ARENA_NEW(a, built);
  *x = (built){h, NULL};
  if (source == NULL || !build(a, x, source, why)) return false;
  for (size_t i = 0; i < n; i++) {
    cl_int error;
    cl_host_kernel *c = out[i] = ARENA_NEW(a, cl_host_kernel);
    *c = (cl_host_kernel){a, h, k[i], info[i], h->clCreateKernel(x->program, k[i]->name, &error)};
    if (error != CL_SUCCESS) return *why = str_fmt(a, "no kernel %s: %d", k[i]->name, error), false;
    arena_defer(a, release_kernel, c);
  }
  return true;
}

cl_host_kernel *cl_host_compile(cl_host *h, arena *a, kir_kernel *k, const char **why) {
  cl_host_kernel *c;
  return cl_host_compile_all(h, a, 1, &k, &c, why) ? c : NULL;
}

// -- run --

static size_t bytes_of(const kir_kernel *k, const int64_t *symbols, const kir_buffer *b) {
  return kernel_elements(k, symbols, b) * dtype_size(b->dt);
}

typedef struct launch {
  cl_host *h;
  const cl_host_kernel *c;
  cl_uint n_args;
  cl_int error; // the first
  cl_mem *memory;
  size_t n_memory;
} launch;

static void note(launch *w, cl_int error) {
  if (w->error == CL_SUCCESS) w->error = error;
}

static void argument(launch *w, size_t size, const void *value) {
  note(w, w->h->clSetKernelArg(w->c->kernel, w->n_args++, size, value));
}

static cl_mem make_buffer(launch *w, size_t bytes, void *content) {
  cl_int error;
  cl_mem_flags flags = CL_MEM_READ_WRITE | (content != NULL ? CL_MEM_COPY_HOST_PTR : 0);
  cl_mem m = w->h->clCreateBuffer(w->h->context, flags, bytes, content, &error);
  note(w, error);
  if (error == CL_SUCCESS) w->memory[w->n_memory++] = m;
  argument(w, sizeof m, &m);
  return m;
}

// PoCL compiles a kernel anew for each size of a work-group, and the faster the smaller it is.
static void enqueue(launch *w, int64_t points) {
  size_t local = w->c->info.lanes, n = (size_t)points;
  if (w->c->info.scratch_bytes > 0 && n > SLOTS) n = SLOTS; // fewer slots than points: the kernel strides
  else if (local == 1) n++;                                 // a work-item beyond the grid
  size_t global = n * local;
  note(w, w->h->clEnqueueNDRangeKernel(w->h->queue, w->c->kernel, 1, NULL, &global, &local, 0, NULL, NULL));
  note(w, w->h->clFinish(w->h->queue));
}

// Every other parameter begins where its elements may, and nothing larger.
static size_t begin_of(const kir_kernel *k, size_t param) {
  return GUARD + (param % 2 == 0 ? dtype_size(k->params.at[param]->dt) : 0);
}

static bool guards_are_whole(const unsigned char *p, size_t begin, size_t bytes) {
  for (size_t i = 0; i < begin; i++)
    if (p[i] != GUARD_BYTE) return false;
  for (size_t i = 0; i < GUARD; i++)
    if (p[begin + bytes + i] != GUARD_BYTE) return false;
  return true;
}

static const char *run(launch *w, void *const *buffers, const int64_t *symbols, int64_t *fault) {
  const kir_kernel *k = w->c->k;
  unsigned char **staged = ARENA_ARRAY(w->c->a, unsigned char *, k->params.n + 1);
  cl_mem *memory = ARENA_ARRAY(w->c->a, cl_mem, k->params.n + 1);
  for (size_t i = 0; i < k->params.n; i++) {
    size_t bytes = bytes_of(k, symbols, k->params.at[i]), begin = begin_of(k, i);
    staged[i] = arena_alloc(w->c->a, begin + bytes + GUARD);
    memset(staged[i], GUARD_BYTE, begin + bytes + GUARD);
    if (bytes > 0) memcpy(staged[i] + begin, buffers[i], bytes);
    memory[i] = make_buffer(w, begin + bytes + GUARD, staged[i]);
    argument(w, sizeof(cl_ulong), &(cl_ulong){begin});
  }
  for (size_t i = 0; i < k->facts.n; i++) argument(w, sizeof(cl_long), &(cl_long){symbols[i]});
  int64_t points = 1;
  for (uint32_t i = 0; i < k->n_grid; i++) {
    cl_long extent = kernel_eval(k, symbols, k->grid_extent[i]);
    argument(w, sizeof extent, &extent);
    points *= extent;
  }
  cl_ulong word = 0;
  cl_mem fault_word = make_buffer(w, sizeof word, &word);
  if (w->c->info.scratch_bytes > 0) make_buffer(w, SLOTS * w->c->info.scratch_bytes, NULL);
  if (w->error == CL_SUCCESS && points > 0) enqueue(w, points);
  note(w, w->h->clEnqueueReadBuffer(w->h->queue, fault_word, CL_TRUE, 0, sizeof word, &word, 0, NULL, NULL));
  *fault = (int64_t)word;
  for (size_t i = 0; i < k->params.n && w->error == CL_SUCCESS; i++) {
    size_t bytes = bytes_of(k, symbols, k->params.at[i]), begin = begin_of(k, i), all = begin + bytes + GUARD;
    note(w, w->h->clEnqueueReadBuffer(w->h->queue, memory[i], CL_TRUE, 0, all, staged[i], 0, NULL, NULL));
    if (!guards_are_whole(staged[i], begin, bytes))
      return str_fmt(w->c->a, "%s is written outside", k->params.at[i]->name);
    if (bytes > 0 && k->params.at[i]->space != KIR_in) memcpy(buffers[i], staged[i] + begin, bytes);
  }
  return w->error == CL_SUCCESS ? NULL : str_fmt(w->c->a, "%s: OpenCL error %d", k->name, w->error);
}

const char *cl_host_run(const cl_host_kernel *c, void *const *buffers, const int64_t *symbols, int64_t *fault) {
  cl_host *h = c->h;
  launch w = {.h = h, .c = c, .memory = ARENA_ARRAY(c->a, cl_mem, c->k->params.n + 2)};
  const char *why = run(&w, buffers, symbols, fault);
  for (size_t i = 0; i < w.n_memory; i++) h->clReleaseMemObject(w.memory[i]);
  return why;
}
