// The committed digits model and its expected outputs (tests/data/digits_expected.safetensors, from the framework that
// trained it), for tests of the public API and of AOT libraries.
#ifndef NNC_TESTS_EMBED_DIGITS_CASE_H
#define NNC_TESTS_EMBED_DIGITS_CASE_H

#include "frontend/safetensors.h"
#include "nnc/nnc.h"

#define DIGITS_YAML NNC_SOURCE_DIR "/models/vision/digits.yaml"

enum { DIGITS_CASES = 32, DIGITS_PIXELS = 64, DIGITS_CLASSES = 10 };

typedef struct digits_case {
  arena *a;
  const float *images;        // [32, 8, 8]
  const float *logits;        // [32, 10]
  const float *probabilities; // [32, 10]
} digits_case;

void digits_case_open(digits_case *d);
void digits_case_close(digits_case *d);

// The largest |got - want| over the largest |want|.
double relative_error(const float *got, const float *want, size_t n);

// Opens the model, failing the test with its messages.
nnc_module *digits_module(const char *cpu);
// Runs `batch` images; outputs are [batch, 10] each.
nnc_status digits_run(nnc_session *s, int64_t batch, const float *images, float *logits, float *probabilities);

#endif
