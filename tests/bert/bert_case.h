// The small BERT checkpoints of tests/bert, each with what BertModel of the transformers library computes from it
// (tests/ref/gen/bert.py), and models/transformer/bert.yaml compiled for one of them.
#ifndef NNC_TESTS_BERT_BERT_CASE_H
#define NNC_TESTS_BERT_BERT_CASE_H

#include "frontend/safetensors.h"
#include "nnc/nnc.h"

#define BERT_YAML NNC_SOURCE_DIR "/models/transformer/bert.yaml"

enum { BERT_MAX_CASES = 8, BERT_MAX_SEQ = 40 }; // max_position_embeddings of every checkpoint

// Token ids, mask and types are [batch, seq]; hidden is [batch, seq, width], pooled [batch, width].
typedef struct bert_case {
  const char *name;
  int64_t batch, seq;
  const int32_t *ids, *mask, *types;
  const float *hidden, *pooled;
} bert_case;

typedef struct bert_checkpoint {
  arena *a;
  const char *folder, *config, *weights;
  int64_t width;
  size_t n_cases;
  bert_case cases[BERT_MAX_CASES];
} bert_checkpoint;

// Every checkpoint by name; NULL at the end.
extern const char *const bert_checkpoints[];

// Opens tests/bert/<name>, failing the test when it cannot. Closed with bert_close.
void bert_open(bert_checkpoint *c, const char *name);
void bert_close(bert_checkpoint *c);

// The case of that name; fails the test when there is none.
const bert_case *bert_find(const bert_checkpoint *c, const char *name);

// Compiles the model for a checkpoint at a CPU level (NULL: native), failing the test with its messages.
nnc_module *bert_module(const bert_checkpoint *c, const char *cpu);

// Runs a case's inputs; either output may not be NULL. mask and types may be: they are then left to their defaults.
nnc_status bert_run(nnc_session *s, int64_t width, const bert_case *in, float *hidden, float *pooled);

// The largest |got - want| over the largest |want|; NaN where either is.
double bert_error(const float *got, const float *want, size_t n);

#endif
