// Does a kernel on an OpenCL device give what the kernel interpreter gives?
#ifndef NNC_TESTS_OP_CL_AGREE_H
#define NNC_TESTS_OP_CL_AGREE_H

#include "op/engines.h"
#include "support/cl_host.h"

// tests/ir/kernels/NAME.kir, with or without the barriers that several workers need; NULL after *why.
kir_kernel *cl_kernel_file(arena *a, const char *name, bool barriers, const char **why);

// Runs a built kernel and the interpreter on the same random memory (floats in [-1, 1), integers in -2..11). All
// parameters, and whether a fault was recorded, must agree: floats to `tolerance`, relative to the largest of the
// output. NULL, or what differs.
const char *cl_agree(arena *a, const cl_host_kernel *c, const kir_kernel *k, const int64_t *symbols, double tolerance);

// An engines_kernel, whose user is the host: builds the kernel and runs it.
bool cl_host_engine(void *host, engines *e, arena *a, kir_kernel *k, void *const *buffers, const int64_t *symbols,
                    int64_t *fault);

#endif
