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

// base with rows of src written at index, or added, or the larger or smaller of both kept; of several for one place,
// set keeps the last. Buffers: base [before, n, after], index (i32) [places], src [before, places, after], the result.
// Symbols: n, after, places, elements of a block, `how`: 4 * dtype + (set, add, max, min; all but set of f32, f64, i32
// or i64 only), the fault site of an index out of range. Grid: before * (blocks of a row, 1 at least).
void rt_scatter(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
                void *scratch, int64_t *fault);

// The rows of x that a mask selects, moved to the front, and how many. Buffers: x [n, after], mask (bool) [n], rows
// [max, after], filled up with zeros, count (i32). Symbols: n, after, max, elements of a block, bytes of an element.
// Grid: blocks of a row, 1 at least.
void rt_compact(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
                void *scratch, int64_t *fault);

// Boxes in order, each kept unless its intersection over union with one kept before exceeds a limit. Buffers: boxes
// (f64) [n, 4] as (x1, y1, x2, y2), order (i32) [n], kept (i32) [max], filled up with zeros, count (i32). Symbols: n,
// max, the limit's bits as f64. Grid: 1.
void rt_nms(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
            void *scratch, int64_t *fault);

rt_kernel rt_routine(const char *name); // by its symbol; NULL: it is none

#endif
