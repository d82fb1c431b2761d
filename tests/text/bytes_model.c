// See bytes_model.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "frontend/safetensors.h"
#include "text/bytes_model.h"

#define MODELS NNC_SOURCE_DIR "/models"
#define FOLDER MODELS "/text/bytes"

static const void *stored(arena *a, const st_file *f, const char *name, int64_t n) {
  const st_tensor *t = st_find(f, name);
  if (!t || t->rank != 1 || t->dim[0] != n) fail_msg("no %s of %lld", name, (long long)n);
  return st_copy(a, t)->data;
}

static void read_expected(bytes_model *b) {
  diag_list d;
  if (setjmp(*arena_guard(b->a))) fail_msg("out of memory");
  diag_init(&d, b->a);
  const st_file *f = st_open(b->a, &d, NNC_SOURCE_DIR "/tests/data/bytes_expected.safetensors");
  assert_non_null(f);
  b->text = stored(b->a, f, "text", CONTEXT);
  b->bits = stored(b->a, f, "bits_per_byte", 3);
  b->prompt = *(const int32_t *)stored(b->a, f, "prompt", 1);
  assert_true(file_read(b->a, &d, FOLDER "/heldout.txt", 1 << 20, &b->heldout));
}

void bytes_model_open(bytes_model *b, bool heads) {
  b->a = arena_new(NULL);
  assert_non_null(b->a);
  read_expected(b);
  const char *path = heads ? MODELS "/transformer/medusa.yaml" : MODELS "/transformer/llama.yaml";
  const char *configs[] = {heads ? "base=" FOLDER "/config.json" : FOLDER "/config.json", FOLDER "/medusa/config.json"};
  const char *weights[] = {FOLDER "/model.safetensors", FOLDER "/medusa/medusa_lm_head.safetensors"};
  char new[8];
  snprintf(new, sizeof new, "%d", (int)(CONTEXT - b->prompt));
  const nnc_setting set = {"max_new_tokens", new};
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.configs = configs, o.n_configs = heads ? 2 : 1;
  o.weights = weights, o.n_weights = heads ? 2 : 1;
  o.sets = &set, o.n_sets = heads ? 0 : 1;
  nnc_diagnostics *d;
  nnc_status status = nnc_module_open(&b->m, path, &o, &d);
  for (size_t i = 0; i < nnc_diagnostics_count(d); i++) print_error("%s", nnc_diagnostics_get(d, i)->text);
  assert_int_equal(nnc_diagnostics_count(d), 0);
  nnc_diagnostics_free(d);
  assert_int_equal(status, NNC_OK);
  nnc_session_options options = NNC_SESSION_OPTIONS_INIT;
  options.threads = 2;
  assert_int_equal(nnc_session_new(&b->s, b->m, &options), NNC_OK);
}

void bytes_model_close(bytes_model *b) {
  nnc_session_free(b->s);
  nnc_module_free(b->m);
  arena_free(b->a);
}

void bytes_model_run(bytes_model *b, const char *entry, const nnc_tensor *in, size_t n_in, nnc_tensor *out,
                     size_t n_out) {
  size_t i = 0;
  while (i < nnc_module_entry_count(b->m) && strcmp(nnc_module_entry_name(b->m, i), entry) != 0) i++;
  if (nnc_run(b->s, i, in, n_in, out, n_out)) fail_msg("%s: %s", entry, nnc_session_error(b->s));
}

static void widen(const uint8_t *text, int64_t n, int32_t *ids) {
  assert_in_range(n, 1, CONTEXT);
  for (int64_t i = 0; i < n; i++) ids[i] = text[i];
}

void bytes_model_logits(bytes_model *b, const char *entry, const uint8_t *text, int64_t n, float *logits) {
  int32_t ids[CONTEXT];
  widen(text, n, ids);
  uint32_t rank = strcmp(entry, "forward") == 0 ? 2 : 1; // attention_mask [1, n], or lengths [1]: left out
  const nnc_tensor in[] = {nnc_tensor_of(NNC_I32, ids, 2, (const int64_t[]){1, n}),
                           nnc_tensor_of(NNC_I32, NULL, rank, (const int64_t[]){1, n})};
  nnc_tensor out = nnc_tensor_of(NNC_F32, logits, 3, (const int64_t[]){1, n, VOCABULARY});
  bytes_model_run(b, entry, in, 2, &out, 1);
}

void bytes_model_generate(bytes_model *b, const uint8_t *text, int64_t n, int32_t *following) {
  int32_t ids[CONTEXT];
  widen(text, n, ids);
  const nnc_tensor in[] = {nnc_tensor_of(NNC_I32, ids, 2, (const int64_t[]){1, n}),
                           nnc_tensor_of(NNC_I32, NULL, 1, (const int64_t[]){1}), nnc_tensor_of(NNC_F32, NULL, 0, NULL),
                           nnc_tensor_of(NNC_I32, NULL, 0, NULL)};
  nnc_tensor out = nnc_tensor_of(NNC_I32, following, 2, (const int64_t[]){1, CONTEXT - n});
  assert_int_equal(nnc_session_reset(b->s), NNC_OK);
  bytes_model_run(b, "generate", in, 4, &out, 1);
}
