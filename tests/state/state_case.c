// See state_case.h.
#include "state_case.h"
#include <string.h>

static nnc_module *opened(nnc_status status, nnc_module *m, nnc_diagnostics *d) {
  for (size_t i = 0; i < nnc_diagnostics_count(d); i++) print_error("%s", nnc_diagnostics_get(d, i)->text);
  nnc_diagnostics_free(d);
  assert_int_equal(status, NNC_OK);
  return m;
}

static const char *const random_weights[] = {"random:1"};

nnc_module *state_module(const char *text, const char *name) {
  nnc_compile_options options = NNC_COMPILE_OPTIONS_INIT;
  nnc_module *m;
  nnc_diagnostics *d;
  nnc_status status = nnc_module_compile(&m, text, strlen(text), name, &options, &d);
  return opened(status, m, d);
}

nnc_module *decoder_module(void) {
  nnc_compile_options options = NNC_COMPILE_OPTIONS_INIT;
  options.weights = random_weights;
  options.n_weights = 1;
  nnc_module *m;
  nnc_diagnostics *d;
  nnc_status status = nnc_module_open(&m, NNC_SOURCE_DIR "/tests/models/decoder.yaml", &options, &d);
  return opened(status, m, d);
}

nnc_session *state_session(const nnc_module *m, unsigned threads) {
  nnc_session_options options = NNC_SESSION_OPTIONS_INIT;
  options.threads = threads;
  nnc_session *s;
  assert_int_equal(nnc_session_new(&s, m, &options), NNC_OK);
  return s;
}

nnc_tensor ints(const int32_t *at, int64_t n) { return nnc_tensor_of(NNC_I32, (void *)(uintptr_t)at, 1, &n); }

nnc_tensor floats(const float *at, uint32_t rank, int64_t rows, int64_t columns) {
  const int64_t dim[] = {rows, columns};
  return nnc_tensor_of(NNC_F32, (void *)(uintptr_t)at, rank, dim + (rank < 2));
}

nnc_status decode(nnc_session *s, size_t entry, const int32_t *ids, int64_t n, float *logits) {
  nnc_tensor in = ints(ids, n), out = floats(logits, 2, n, VOCAB);
  return nnc_run(s, entry, &in, 1, &out, 1);
}
