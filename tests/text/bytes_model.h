// The byte-level language model of models/text and what its training script computed with it, for tests by the public
// API.
#ifndef NNC_TESTS_TEXT_BYTES_MODEL_H
#define NNC_TESTS_TEXT_BYTES_MODEL_H

#include "base/str.h"
#include "nnc/nnc.h"

enum { VOCABULARY = 256, CONTEXT = 256 };

typedef struct bytes_model {
  arena *a;
  nnc_module *m;
  nnc_session *s;
  const uint8_t *text; // [CONTEXT]: a prompt and its likeliest continuation
  int64_t prompt;      // its bytes
  const float *bits;   // a held-out byte in bits: the model, xz -9, xz -9 after the training text
  str heldout;
} bytes_model;

// The model by itself (`heads` false), or with its Medusa heads.
void bytes_model_open(bytes_model *b, bool heads);
void bytes_model_close(bytes_model *b);

// Runs an entry by name, failing the test with its message.
void bytes_model_run(bytes_model *b, const char *entry, const nnc_tensor *in, size_t n_in, nnc_tensor *out,
                     size_t n_out);
// Logits [n, VOCABULARY] of n bytes: as a whole (`forward`), or behind what the session holds (`decode`).
void bytes_model_logits(bytes_model *b, const char *entry, const uint8_t *text, int64_t n, float *logits);
// The likeliest continuation of n bytes, CONTEXT - n of them, by one call from an empty session.
void bytes_model_generate(bytes_model *b, const uint8_t *text, int64_t n, int32_t *following);

#endif
