// Routines: kernels that the runtime brings along, for operators whose work is branches rather than arithmetic. They
// have the kernels' ABI (runtime/rt.h), and a plan names them like kernels; `nnc` links them from here, a library from
// the runtime that is part of it.
#ifndef NNC_RUNTIME_ROUTINES_H
#define NNC_RUNTIME_ROUTINES_H

#include "runtime/rt.h"

// The first k of each line of x in order, and where they stood. Buffers: x, values, indices (i32). Symbols: elements n
// of a line, k <= n, elements between two of a line, `how`: 2 * dtype + (descending). Grid: lines. NaN comes after
// everything (so first in descending order), zeros of both signs are equal, and equal ones keep their order.
void rt_order(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
              void *scratch, int64_t *fault);

rt_kernel rt_routine(const char *name); // by its symbol; NULL: it is none

#endif
