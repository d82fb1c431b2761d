// See generator.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/safetensors.h"
#include "zoo/generator.h"
#include "zoo/zoo.h"

static generator open_model(const char *path, nnc_compile_options o) {
  generator g = {.a = arena_new(NULL)};
  assert_non_null(g.a);
  g.m = zoo_open(path, &o);
  nnc_session_options options = NNC_SESSION_OPTIONS_INIT;
  options.threads = 2;
  assert_int_equal(nnc_session_new(&g.s, g.m, &options), NNC_OK);
  const int32_t id = 0;
  nnc_tensor in[] = {generator_ints(&id, 2, 1, 1), generator_ints(NULL, 2, 1, 1)}, out;
  assert_int_equal(nnc_shapes(g.s, generator_entry(&g, "decode"), in, 2, &out, 1), NNC_OK);
  g.vocab = out.dim[2];
  return g;
}

static arena *guarded(void) {
  arena *a = arena_new(NULL);
  assert_non_null(a);
  return a;
}

generator generator_open(const char *checkpoint, const nnc_setting *sets, size_t n_sets) {
  arena *a = guarded();
  if (setjmp(*arena_guard(a))) fail_msg("out of memory");
  const char *folder = str_fmt(a, "%s/tests/zoo/%s", NNC_SOURCE_DIR, checkpoint);
  const char *config = str_fmt(a, "%s/config.json", folder), *weights = str_fmt(a, "%s/model.safetensors", folder);
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.configs = &config, o.n_configs = 1;
  o.weights = &weights, o.n_weights = 1;
  o.sets = sets, o.n_sets = n_sets;
  const char *model =
      str_fmt(a, "%s/models/transformer/%.*s.yaml", NNC_SOURCE_DIR, (int)strcspn(checkpoint, "-"), checkpoint);
  generator g = open_model(model, o);
  arena_free(a);
  return g;
}

generator generator_random(const char *model, const nnc_setting *sets, size_t n_sets) {
  arena *a = guarded();
  if (setjmp(*arena_guard(a))) fail_msg("out of memory");
  const char *weights = "random:1";
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.weights = &weights, o.n_weights = 1;
  o.sets = sets, o.n_sets = n_sets;
  generator g = open_model(str_fmt(a, "%s/models/transformer/%s.yaml", NNC_SOURCE_DIR, model), o);
  arena_free(a);
  return g;
}

void generator_close(generator *g) {
  nnc_session_free(g->s);
  nnc_module_free(g->m);
  arena_free(g->a);
}

size_t generator_entry(const generator *g, const char *name) {
  for (size_t i = 0; i < nnc_module_entry_count(g->m); i++)
    if (strcmp(nnc_module_entry_name(g->m, i), name) == 0) return i;
  fail_msg("no entry %s", name);
  return 0;
}

nnc_tensor generator_ints(const int32_t *at, uint32_t rank, int64_t rows, int64_t columns) {
  const int64_t dim[] = {rows, columns};
  return nnc_tensor_of(NNC_I32, (void *)(uintptr_t)at, rank, dim);
}

nnc_status generator_decode(generator *g, int64_t batch, int64_t t, const int32_t *ids, const int32_t *lengths,
                            float *logits) {
  const int64_t dim[] = {batch, t, g->vocab};
  nnc_tensor in[] = {generator_ints(ids, 2, batch, t), generator_ints(lengths, 1, batch, 0)};
  nnc_tensor out = nnc_tensor_of(NNC_F32, logits, 3, dim);
  return nnc_run(g->s, generator_entry(g, "decode"), in, 2, &out, 1);
}

nnc_status generator_forward(generator *g, int64_t n, const int32_t *ids, float *logits) {
  const int64_t dim[] = {1, n, g->vocab};
  nnc_tensor in[] = {generator_ints(ids, 2, 1, n), generator_ints(NULL, 2, 1, n)};
  nnc_tensor out = nnc_tensor_of(NNC_F32, logits, 3, dim);
  return nnc_run(g->s, generator_entry(g, "forward"), in, 2, &out, 1);
}

nnc_status generator_generate(generator *g, const continuation *c, float temperature, int32_t seed,
                              int32_t *sequences) {
  nnc_tensor in[] = {generator_ints(c->ids, 2, c->batch, c->time), generator_ints(c->lengths, 1, c->batch, 0),
                     nnc_tensor_of(NNC_F32, &temperature, 0, NULL), generator_ints(&seed, 0, 0, 0)};
  nnc_tensor out = generator_ints(sequences, 2, c->batch, c->new);
  return nnc_run(g->s, generator_entry(g, "generate"), in, 4, &out, 1);
}

static const st_tensor *part(const st_file *f, const char *name) {
  const st_tensor *t = st_find(f, name);
  if (!t) fail_msg("no tensor %s", name);
  return t;
}

continuation generator_expected(arena *a, const char *checkpoint) {
  diag_list d;
  diag_init(&d, a);
  const st_file *f = st_open(a, &d, str_fmt(a, "%s/tests/zoo/%s/generated.safetensors", NNC_SOURCE_DIR, checkpoint));
  assert_non_null(f);
  const st_tensor *ids = part(f, "input_ids"), *sequences = part(f, "sequences"), *ends = part(f, "ends");
  const st_tensor *start = st_find(f, "start");
  assert_int_equal(ends->dim[0], 2);
  return (continuation){.batch = ids->dim[0],
                        .time = ids->dim[1],
                        .new = sequences->dim[1],
                        .ids = st_copy(a, ids)->data,
                        .lengths = st_copy(a, part(f, "lengths"))->data,
                        .sequences = st_copy(a, sequences)->data,
                        .ends = st_copy(a, ends)->data,
                        .start = start ? *(const int32_t *)st_copy(a, start)->data : 0};
}
