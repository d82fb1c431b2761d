// See watched_api.h.
#include "watched_api.h"
#include <string.h>

static cl_api real;
static int counts[WATCHED_ALL + 1], n_waits, left, at_entry;
static cl_int failure; // 0: nothing is to fail
static bool only_once, failed;

void count_from_here(void) {
  memset(counts, 0, sizeof counts);
  n_waits = 0, failure = 0, failed = false;
}
int calls_of(int entry) { return counts[entry]; }
int waits(void) { return n_waits; }
bool has_failed(void) { return failed; }

void fail_after(int entry, int n, cl_int code, bool once) {
  at_entry = entry, left = n, failure = code, only_once = once, failed = false;
}

static cl_int enter(int entry) {
  counts[entry]++;
  counts[WATCHED_ALL]++;
  if (!failure || (entry != at_entry && at_entry != WATCHED_ALL) || left-- > 0) return CL_SUCCESS;
  cl_int code = failure;
  failed = true;
  if (only_once) failure = 0;
  return code;
}

#define CALL(name, parameters, ...)                                                                                    \
  static cl_int CL_API_CALL my_##name parameters {                                                                     \
    cl_int code = enter(WATCHED_##name);                                                                               \
    return code ? code : real.name(__VA_ARGS__);                                                                       \
  }
#define CREATE(T, name, parameters, ...)                                                                               \
  static T CL_API_CALL my_##name parameters {                                                                          \
    cl_int failing = enter(WATCHED_##name);                                                                            \
    if (!failing) return real.name(__VA_ARGS__);                                                                       \
    *code = failing;                                                                                                   \
    return NULL;                                                                                                       \
  }
#define EVENTS cl_uint n_events, const cl_event *events, cl_event *event

CREATE(cl_context, clCreateContext,
       (const cl_context_properties *p, cl_uint n, const cl_device_id *ids,
        void(CL_CALLBACK *f)(const char *, const void *, size_t, void *), void *user, cl_int *code),
       p, n, ids, f, user, code)
CREATE(cl_command_queue, clCreateCommandQueue,
       (cl_context c, cl_device_id id, cl_command_queue_properties p, cl_int *code), c, id, p, code)
CREATE(cl_program, clCreateProgramWithSource,
       (cl_context c, cl_uint n, const char **text, const size_t *bytes, cl_int *code), c, n, text, bytes, code)
CREATE(cl_program, clCreateProgramWithBinary,
       (cl_context c, cl_uint n, const cl_device_id *ids, const size_t *bytes, const unsigned char **binary,
        cl_int *status, cl_int *code),
       c, n, ids, bytes, binary, status, code)
CREATE(cl_kernel, clCreateKernel, (cl_program p, const char *name, cl_int *code), p, name, code)
CREATE(cl_mem, clCreateBuffer, (cl_context c, cl_mem_flags flags, size_t bytes, void *host, cl_int *code), c, flags,
       bytes, host, code)
CALL(clBuildProgram,
     (cl_program p, cl_uint n, const cl_device_id *ids, const char *options, void(CL_CALLBACK *f)(cl_program, void *),
      void *user),
     p, n, ids, options, f, user)
CALL(clSetKernelArg, (cl_kernel k, cl_uint i, size_t bytes, const void *value), k, i, bytes, value)
CALL(clEnqueueFillBuffer,
     (cl_command_queue q, cl_mem m, const void *pattern, size_t n, size_t offset, size_t bytes, EVENTS), q, m, pattern,
     n, offset, bytes, n_events, events, event)
CALL(clEnqueueNDRangeKernel,
     (cl_command_queue q, cl_kernel k, cl_uint n, const size_t *offset, const size_t *items, const size_t *group,
      EVENTS),
     q, k, n, offset, items, group, n_events, events, event)
CALL(clFlush, (cl_command_queue q), q)

static cl_int CL_API_CALL my_clEnqueueWriteBuffer(cl_command_queue q, cl_mem m, cl_bool wait, size_t offset,
                                                  size_t bytes, const void *from, EVENTS) {
  cl_int code = enter(WATCHED_clEnqueueWriteBuffer);
  n_waits += wait != CL_FALSE;
  return code ? code : real.clEnqueueWriteBuffer(q, m, wait, offset, bytes, from, n_events, events, event);
}

static cl_int CL_API_CALL my_clEnqueueReadBuffer(cl_command_queue q, cl_mem m, cl_bool wait, size_t offset,
                                                 size_t bytes, void *to, EVENTS) {
  cl_int code = enter(WATCHED_clEnqueueReadBuffer);
  n_waits += wait != CL_FALSE;
  return code ? code : real.clEnqueueReadBuffer(q, m, wait, offset, bytes, to, n_events, events, event);
}

// A lost device: the call comes back, and says so; what was enqueued is over, as the test's memory is about to go.
static cl_int CL_API_CALL my_clFinish(cl_command_queue q) {
  cl_int code = enter(WATCHED_clFinish), done = real.clFinish(q);
  n_waits++;
  return code ? code : done;
}

static cl_int CL_API_CALL my_clWaitForEvents(cl_uint n, const cl_event *events) {
  cl_int code = enter(WATCHED_clWaitForEvents), done = real.clWaitForEvents(n, events);
  n_waits++;
  return code ? code : done;
}

void watch_calls(cl_api *api) {
  real = *api;
  count_from_here();
#define WATCH(name) api->name = my_##name;
  WATCH(clCreateContext)
  WATCH(clCreateCommandQueue)
  WATCH(clCreateProgramWithSource)
  WATCH(clCreateProgramWithBinary)
  WATCH(clCreateKernel)
  WATCH(clCreateBuffer)
  WATCH(clBuildProgram)
  WATCH(clSetKernelArg)
  WATCH(clEnqueueFillBuffer)
  WATCH(clEnqueueNDRangeKernel)
  WATCH(clEnqueueWriteBuffer)
  WATCH(clEnqueueReadBuffer)
  WATCH(clFlush)
  WATCH(clFinish)
  WATCH(clWaitForEvents)
#undef WATCH
}
