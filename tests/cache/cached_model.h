// A small model in several files, opened through the public API with a cache folder of its own: whether it came from
// the cache, and what it computes.
#ifndef NNC_TESTS_CACHED_MODEL_H
#define NNC_TESTS_CACHED_MODEL_H

#include "nnc/nnc.h"
#include "unit/scratch.h"

// setup and teardown of cmocka: a scratch with m.yaml, inner.yaml, c.json, w.safetensors; the cache is its folder
// `cache`.
int cached_open(void **state);
int cached_close(void **state);

// y = x W + b with x = 1, 2, 3; inner.yaml multiplies by its constant, c.json gives `shift`.
typedef struct outcome {
  bool image, prepared; // from the cache
  size_t warnings;
  float y[2];
} outcome;

outcome cached_run(scratch *s, const nnc_compile_options *options); // fails the test on an error
nnc_compile_options cached_options(scratch *s);                     // with c.json and w.safetensors
void cached_weights(scratch *s, const char *name, float first);     // writes a file of weights that is not fresh
void settle(void);                                                  // until no file is fresh any more

size_t cached_files(scratch *s, const char *extension);     // in the cache folder
const char *cached_file(scratch *s, const char *extension); // the path of the only one

#endif
