// A stateful model through the public API, for the tests of this folder.
#ifndef NNC_TESTS_STATE_CASE_H
#define NNC_TESTS_STATE_CASE_H

#include "nnc/nnc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { VOCAB = 64 };

nnc_module *state_module(const char *text, const char *name); // compiled from text; weights random:1
nnc_module *decoder_module(void);                             // tests/models/decoder.yaml
nnc_session *state_session(const nnc_module *m, unsigned threads);
nnc_tensor ints(const int32_t *at, int64_t n);
nnc_tensor floats(const float *at, uint32_t rank, int64_t rows, int64_t columns);
// One call of an entry of the decoder: logits[n, VOCAB].
nnc_status decode(nnc_session *s, size_t entry, const int32_t *ids, int64_t n, float *logits);

#endif
