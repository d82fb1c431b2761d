// A small OpenCL host for tests: finds a device, builds what codegen/opencl prints, and launches one kernel on host
// memory. libOpenCL.so.1 is opened when a test runs; without it, or without a device, tests skip and say why.
#ifndef NNC_TESTS_SUPPORT_CL_HOST_H
#define NNC_TESTS_SUPPORT_CL_HOST_H

#include "codegen/opencl/opencl.h"

typedef struct cl_host cl_host;

// NULL when there is no device; *why says so. `a` outlives the host; released with it.
// Not optimised, kernels build five times faster (PoCL).
cl_host *cl_host_open(arena *a, bool optimised, const char **why);
// The same; without a device it frees `a`, says why, and skips the test, or fails it where NNC_NEEDS_OPENCL is set.
cl_host *cl_host_or_skip(arena *a, bool optimised);
void cl_host_skip(arena *a, const char *why); // what it does then
const char *cl_host_device(const cl_host *h);
bool cl_host_has_fp64(const cl_host *h);
void cl_host_set_target(cl_host *h, const char *name); // what routines are printed for: "opencl" at first

// A kernel, printed and built as a program of its own; released with `a`. NULL: *why says what is wrong.
typedef struct cl_host_kernel cl_host_kernel;
cl_host_kernel *cl_host_compile(cl_host *h, arena *a, kir_kernel *k, const char **why);
// n kernels of distinct names as one program, which builds faster.
bool cl_host_compile_all(cl_host *h, arena *a, size_t n, kir_kernel *const *k, cl_host_kernel **out, const char **why);

// Runs the whole grid. buffers[i] is parameter i's memory: it is copied to the device and, unless it is `in`, back; its
// size follows from symbols. On the device each lies between guards that must stay as they were. The grid's size is
// evaluated from symbols. NULL, or what went wrong.
const char *cl_host_run(const cl_host_kernel *c, void *const *buffers, const int64_t *symbols, int64_t *fault);

#endif
