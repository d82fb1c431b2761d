// How far two tensors are apart, and runs of compiled code on the command line's tensors: what `verify` and `bench`
// share.
#ifndef NNC_TOOLS_COMPARE_H
#define NNC_TOOLS_COMPARE_H

#include "runtime/rt.h"
#include "tools/nnc/signature.h"

typedef struct comparison {
  double max_abs;   // largest |got - want|; infinite where one is NaN or infinite and the other is not the same
  double magnitude; // largest finite |want|
  double mean_rel;  // sum of |got - want| over the sum of |want|, where both are finite
  double cosine;    // of the two as vectors; 1 when both are zero
  int64_t worst;    // element of the largest difference
  bool ok;          // max_abs <= bound * magnitude; integers and bools: equal
} comparison;

// `got` has the dtype and shape of `want`. Half floats are allowed one unit in the last place more than `bound`.
comparison tensors_compare(const ir_tensor *want, const void *got, double bound);

typedef struct compiled_run { // an entry of a compiled module, ready to run again and again
  rt_session *session;
  rt_pool *pool;
  uint32_t program;
  rt_tensor *in, *out;
  ir_tensor **results; // [outputs]: where `out` points
} compiled_run;

// A session on --threads threads for inputs and dims as given; released with the arena, as `m` must be. false after a
// diagnostic.
bool run_prepare(cli *c, const rt_module *m, const signature *s, ir_tensor *const *in, compiled_run *out);
bool run_once(cli *c, compiled_run *r);

#endif
