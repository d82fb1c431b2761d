// Do all engines agree on a module? The graph interpreter judges; the fused graph (still in the interpreter), the
// kernels and machine code with one and two threads must follow it.
//
// How close floats must be is measured, not guessed: the interpreter runs again with every rounding operator's result
// disturbed by about what f32 (or the dtype's) arithmetic may lose there, and so are ordinary inputs. An element may
// differ by a few times what these disturbances did to it and to its tensor; so conditioning is accounted for, wherever
// it comes from. Elements that a disturbance makes infinite or NaN, or back, say nothing. Integers and bools are exact.
#ifndef NNC_TESTS_OP_AGREE_H
#define NNC_TESTS_OP_AGREE_H

#include "op/engines.h"

typedef struct agree_counts {
  uint64_t tensors, elements; // compared
  uint64_t vague;             // tensors whose bound is too wide to say much
  uint64_t silent;            // elements that say nothing
} agree_counts;

// One more engine: something that runs kernels of a target for OpenCL.
typedef struct agree_device {
  const char *target; // "opencl", …
  engines_kernel run;
  void *user;
} agree_device;

// `seed` chooses data, dims and the CPU level; with a device (may be NULL) the target is the device's.
// false: `why` says
// who differs where.
bool engines_agree(arena *a, ir_module *m, uint64_t seed, const agree_device *device, agree_counts *counts,
                   strbuf *why);

#endif
