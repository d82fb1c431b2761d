// Routines of the runtime on an OpenCL device beside the same on the host: outputs must have the same bits.
#ifndef NNC_TESTS_SUPPORT_ROUTINE_JUDGE_H
#define NNC_TESTS_SUPPORT_ROUTINE_JUDGE_H

#include "support/cl_host.h"

typedef struct routine_judge routine_judge;
// A routine by its symbol, built for the host's target. NULL: *why says what is wrong. Released with `a`.
routine_judge *routine_judge_open(cl_host *h, arena *a, const char *name, const char **why);

// On random data with many ties, and NaN, infinities, zeros of both signs among floats. NULL, or what differs.
const char *judge_order(routine_judge *j, arena *a, dtype dt, int64_t before, int64_t n, int64_t after, int64_t k,
                        bool down, uint64_t *seed);
enum { SCATTER_MODES = 4 }; // set, add, max, min
// `stray`: some indices are out of range.
const char *judge_scatter(routine_judge *j, arena *a, dtype dt, int mode, int64_t before, int64_t n, int64_t after,
                          int64_t places, bool stray, uint64_t *seed);
const char *judge_compact(routine_judge *j, arena *a, dtype dt, int64_t n, int64_t after, int64_t most, uint64_t *seed);
const char *judge_nms(routine_judge *j, arena *a, int64_t n, int64_t most, uint64_t *seed);

#endif
