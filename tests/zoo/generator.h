// A model of the zoo that generates, by the public API: its entries, and a session whose sequences grow.
#ifndef TESTS_ZOO_GENERATOR_H
#define TESTS_ZOO_GENERATOR_H

#include "base/str.h"
#include "nnc/nnc.h"

typedef struct generator {
  arena *a;
  nnc_module *m;
  nnc_session *s;
  int64_t vocab;
} generator;

// What transformers makes of prompts: tests/zoo/NAME/generated.safetensors.
typedef struct continuation {
  int64_t batch, time, new;
  const int32_t *ids, *lengths, *sequences; // [batch, time], [batch], [batch, new]
  const int32_t *ends;                      // [2]
  int32_t start;                            // of translations
} continuation;

// Compiles a checkpoint of the zoo, or with `model` that model with random weights, with more settings; opens a session
// of two threads.
generator generator_open(const char *checkpoint, const nnc_setting *sets, size_t n_sets);
generator generator_random(const char *model, const nnc_setting *sets, size_t n_sets);
void generator_close(generator *g);

continuation generator_expected(arena *a, const char *checkpoint);

size_t generator_entry(const generator *g, const char *name);
nnc_tensor generator_ints(const int32_t *at, uint32_t rank, int64_t rows, int64_t columns); // NULL: left out
// Runs an entry of token ids and lengths, with logits for each token.
nnc_status generator_decode(generator *g, int64_t batch, int64_t t, const int32_t *ids, const int32_t *lengths,
                            float *logits);
nnc_status generator_forward(generator *g, int64_t n, const int32_t *ids, float *logits); // of one sequence
// The tokens of `generate`, [batch, new].
nnc_status generator_generate(generator *g, const continuation *c, float temperature, int32_t seed, int32_t *sequences);

#endif
