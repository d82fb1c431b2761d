// The transformer zoo by the public API, against what other libraries compute (tests/ref/gen/zoo.py).
#ifndef TESTS_ZOO_ZOO_H
#define TESTS_ZOO_ZOO_H

#include "nnc/nnc.h"

#include <stddef.h>

// The models with checkpoints in tests/zoo, by the program that runs them.
#define ZOO_DECODERS(M) M(gpt2) M(llama) M(medusa)
#define ZOO_ENCODERS(M) M(clip_text) M(oadtr) M(t5_encoder) M(vit)
#define ZOO_PAIRS(M)    M(marian) M(transformer)
#define ZOO_LINEAR(M)   M(flash) M(linear_transformer)

// Opens a model, whose every softmax must be one kernel.
nnc_module *zoo_open(const char *path, const nnc_compile_options *o);

// Every checkpoint of the model at every CPU level; no softmax may keep its scores in memory.
void zoo_check(const char *model);

// The largest |got - want| over the largest |want|; infinite where only one is NaN.
double zoo_error(const float *got, const float *want, size_t n);

// A program of one group: `ZOO_DECODERS(ZOO_TEST)`, and `ZOO_DECODERS(ZOO_ENTRY)` in its table.
#define ZOO_TEST(model)                                                                                                \
  static void model(void **state) {                                                                                    \
    (void)state;                                                                                                       \
    zoo_check(#model);                                                                                                 \
  }
#define ZOO_ENTRY(model) cmocka_unit_test(model),

#endif
