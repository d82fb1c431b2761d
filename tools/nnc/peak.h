// The rates that this machine reaches when nothing else limits it.
#ifndef NNC_TOOLS_PEAK_H
#define NNC_TOOLS_PEAK_H

#include "runtime/pool.h"
#include "tools/nnc/cli.h"

// f32 GFLOP/s on all threads of the pool (NULL: the caller alone), by the best CPU level of this machine. 0 when the
// back end is missing.
double measure_peak(cli *c, rt_pool *pool);

// GB/s that they read from memory, not from caches; 0 likewise.
double measure_reading(cli *c, rt_pool *pool);

#endif
