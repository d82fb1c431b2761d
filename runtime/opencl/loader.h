// OpenCL as it is found when nnc runs: libOpenCL.so.1, the ICD loader, opened by dlopen. Its headers are needed to
// build, the library is not: without it everything but OpenCL devices works. Only runtime/opencl includes OpenCL's
// headers.
#ifndef NNC_RUNTIME_OPENCL_LOADER_H
#define NNC_RUNTIME_OPENCL_LOADER_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "runtime/opencl/opencl.h"

typedef struct cl_api {
#define E(name) __typeof__(name) *name;
#include "runtime/opencl/entry_points.def"
#undef E
} cl_api;

struct rt_opencl {
  void *library;
  cl_api api; // a test may replace entries
  uint32_t n_devices;
  rt_opencl_device *devices; // [n_devices]
  cl_device_id *ids;         // [n_devices]
  cl_context adopted;        // the caller's; NULL: each program makes its own
};

// RT_E_DEVICE with "WHAT: CL_NAME (CODE): sentence"; RT_E_MEMORY where the host has no memory.
rt_status rt_cl_fail(rt_error *err, cl_int code, const char *what);

// -- matrix.c --
// Builds the text of matrix_text.h with these options, multiplies, and compares every bit.
bool rt_cl_try_matrices(const rt_opencl *cl, uint32_t device, const char *options);

// -- devices.c --
rt_status rt_cl_list_devices(rt_opencl *cl, rt_error *err);

#endif
