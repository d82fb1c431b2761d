// OpenCL back end: kernel IR -> OpenCL C 1.2, as text. Needs nothing of OpenCL itself; who builds and launches the
// program is runtime/opencl.
//
// Arguments of a kernel, in order:
//   __global uchar *bN, ulong oN     of each parameter: memory, and where the parameter begins in it, in bytes (aligned
//                                    to its elements)
//   long                             value of each fact's symbol
//   long                             extent of each grid axis
//   __global ulong *fault            0 before; site + 1 of a check that failed (the low word is written, atomically)
//   __global uchar *scratch          where scratch_bytes > 0: that much for each launched group; aligned to 64
// Launched over one dimension:
//   lanes == 1  a work-item is a grid point: at least as many work-items as the grid has points (what is beyond
//               returns), work-groups of any size
//   lanes > 1   a work-group is a grid point: points * lanes work-items in groups of `lanes`
//   With scratch_bytes > 0 the kernel walks the grid by itself in strides, and any number of work-items (groups, for
//   lanes > 1) from 1 on does; each of them is a slot of the scratch.
#ifndef NNC_CODEGEN_OPENCL_H
#define NNC_CODEGEN_OPENCL_H

#include "ir/kir.h"
#include "ir/target.h"

// Nothing that gives up IEEE 754; no warnings, which are about loops that a compiler would not unroll. Where the device
// has CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT, the host adds -cl-fp32-correctly-rounded-divide-sqrt.
#define OPENCL_BUILD_OPTIONS "-cl-std=CL1.2 -w"

typedef struct opencl_kernel {
  const char *name;
  uint32_t lanes;         // work-items of a grid point
  uint64_t local_bytes;   // of local memory, declared inside the kernel
  uint64_t scratch_bytes; // of global memory, of each work-item (lanes == 1) or work-group that is launched
  bool needs_fp64;        // cl_khr_fp64
  bool uses_matrices;     // mma: the host may define MMA_PTX (runtime/opencl/matrix_text.h)
} opencl_kernel;

// One program of n kernels (verified, distinct names; those without a body are the runtime's routines, of which several
// may have one name) for `t`, whose vector width says how wide vectors are. comments[i] (NULL: none; each line of it)
// is printed above kernel i. false after diagnostics.
bool opencl_print(arena *a, diag_list *l, const target *t, size_t n, kir_kernel *const *kernels,
                  const char *const *comments, opencl_kernel *out, strbuf *source);

#endif
