// See counted_api.h.
#include "counted_api.h"

static cl_api real;
static int alive;

int objects_alive(void) { return alive; }

static cl_context CL_API_CALL new_context(const cl_context_properties *p, cl_uint n, const cl_device_id *ids,
                                          void(CL_CALLBACK *f)(const char *, const void *, size_t, void *), void *user,
                                          cl_int *code) {
  cl_context x = real.clCreateContext(p, n, ids, f, user, code);
  alive += x != NULL;
  return x;
}

static cl_command_queue CL_API_CALL new_queue(cl_context c, cl_device_id id, cl_command_queue_properties p,
                                              cl_int *code) {
  cl_command_queue x = real.clCreateCommandQueue(c, id, p, code);
  alive += x != NULL;
  return x;
}

static cl_program CL_API_CALL new_program(cl_context c, cl_uint n, const char **text, const size_t *bytes,
                                          cl_int *code) {
  cl_program x = real.clCreateProgramWithSource(c, n, text, bytes, code);
  alive += x != NULL;
  return x;
}

static cl_program CL_API_CALL load_program(cl_context c, cl_uint n, const cl_device_id *ids, const size_t *bytes,
                                           const unsigned char **binary, cl_int *status, cl_int *code) {
  cl_program x = real.clCreateProgramWithBinary(c, n, ids, bytes, binary, status, code);
  alive += x != NULL;
  return x;
}

static cl_kernel CL_API_CALL new_kernel(cl_program p, const char *name, cl_int *code) {
  cl_kernel x = real.clCreateKernel(p, name, code);
  alive += x != NULL;
  return x;
}

static cl_mem CL_API_CALL new_buffer(cl_context c, cl_mem_flags flags, size_t bytes, void *host, cl_int *code) {
  cl_mem x = real.clCreateBuffer(c, flags, bytes, host, code);
  alive += x != NULL;
  return x;
}

#define RELEASE(name, T, entry)                                                                                        \
  static cl_int CL_API_CALL name(T x) {                                                                                \
    alive--;                                                                                                           \
    return real.entry(x);                                                                                              \
  }
RELEASE(release_context, cl_context, clReleaseContext)
RELEASE(release_queue, cl_command_queue, clReleaseCommandQueue)
RELEASE(release_program, cl_program, clReleaseProgram)
RELEASE(release_kernel, cl_kernel, clReleaseKernel)
RELEASE(release_buffer, cl_mem, clReleaseMemObject)

void count_objects(cl_api *api) {
  real = *api;
  alive = 0;
  api->clCreateContext = new_context, api->clReleaseContext = release_context;
  api->clCreateCommandQueue = new_queue, api->clReleaseCommandQueue = release_queue;
  api->clCreateProgramWithSource = new_program, api->clReleaseProgram = release_program;
  api->clCreateProgramWithBinary = load_program;
  api->clCreateKernel = new_kernel, api->clReleaseKernel = release_kernel;
  api->clCreateBuffer = new_buffer, api->clReleaseMemObject = release_buffer;
}
