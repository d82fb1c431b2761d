// Does a kernel on an OpenCL device give what the kernel interpreter gives?
#ifndef NNC_TESTS_OP_CL_AGREE_H
#define NNC_TESTS_OP_CL_AGREE_H

#include "op/engines.h"
#include "support/cl_host.h"

// kernel_judge of a built kernel: NULL, or what differs.
const char *cl_agree(arena *a, cl_host_kernel *c, const kir_kernel *k, const int64_t *symbols, double tolerance);

// An engines_kernel, whose user is the host: builds the kernel and runs it.
bool cl_host_engine(void *host, engines *e, arena *a, kir_kernel *k, void *const *buffers, const int64_t *symbols,
                    int64_t *fault);

#endif
