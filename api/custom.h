// Custom operators (`ops:` of a model) in the interpreter: functions of shared libraries, called with arguments known
// only at run time, by libffi.
//
// The C function has the operator's symbol and takes, in the order of the signature: a scalar argument by value; a
// tensor as a pointer to its row-major elements followed by its dims, each an int64_t; then for each result a pointer
// to where its elements go (their dims follow from the arguments). It returns int: 0, or anything else for a failure.
// bool is uint8_t, f16 and bf16 are uint16_t.
//
//   ops:                                                   int gate(const float *x, int64_t a, int64_t b, float scale,
//     gate: {library: libgate.so, …}                                float *out);
//       signature: (f32[a, b] x, f32 scale = 2) -> f32[b, a]
#ifndef NNC_API_CUSTOM_H
#define NNC_API_CUSTOM_H

#include "ir/graph.h"

typedef struct custom_host custom_host; // the libraries opened so far, closed with the arena

custom_host *custom_host_new(arena *a, diag_list *l);

// Calls `node`'s function; fits interp_options.custom with the host as user. false after a diagnostic with the call's
// place.
bool custom_host_call(void *host, const ir_node *node, const ir_tensor *const *in, ir_tensor *const *out);

#endif
