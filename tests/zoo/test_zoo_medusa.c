// Medusa by steps: what each accepts, greedily and by typical acceptance, against the paper's rule computed path by
// path (tests/ref/gen/zoo_medusa.py); greedy steps give the tokens of plain greedy decoding; a step that fails.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "frontend/safetensors.h"
#include "nnc/nnc.h"
#include "zoo/zoo.h"

static const char *const checkpoints[] = {"medusa-mha", "medusa-gqa", "medusa-layers"};

typedef struct expected {
  int64_t batch, time, steps, depth, new;
  const int32_t *ids, *lengths, *tokens, *count, *greedy;
  const float *temperature;
} expected;

typedef struct reader {
  arena *a;
  nnc_module *m;
  nnc_session *s;
  expected e;
  int32_t *tokens, *count; // of the last step
} reader;

static const st_tensor *part(const st_file *f, const char *name) {
  const st_tensor *t = st_find(f, name);
  if (!t) fail_msg("no tensor %s", name);
  return t;
}

// The tree as an expression: "((0,), (0, 1))".
static const char *tree_text(arena *a, const st_tensor *choices) {
  const int32_t *at = st_copy(a, choices)->data;
  strbuf b;
  sb_init(&b, a);
  for (int64_t i = 0; i < choices->dim[0]; i++, at += choices->dim[1]) {
    sb_fmt(&b, "%s%d", i ? ", (" : "((", at[0]);
    for (int64_t k = 1; k < choices->dim[1] && at[k] >= 0; k++) sb_fmt(&b, ", %d", at[k]);
    sb_z(&b, choices->dim[1] == 1 || at[1] < 0 ? ",)" : ")");
  }
  sb_char(&b, ')');
  return sb_cstr(&b);
}

static const char *most_guesses(arena *a, const st_tensor *choices) {
  const int32_t *at = st_copy(a, choices)->data;
  int32_t most = 0;
  for (int64_t i = 0; i < choices->dim[0] * choices->dim[1]; i++) most = at[i] > most ? at[i] : most;
  return str_fmt(a, "%d", most + 1);
}

static void compile(reader *r, const char *folder, const st_tensor *choices) {
  arena *a = r->a;
  const char *configs[] = {str_fmt(a, "%s/config.json", folder), str_fmt(a, "base=%s/config.base.json", folder)};
  const char *weights[] = {str_fmt(a, "%s/model.safetensors", folder),
                           str_fmt(a, "%s/medusa_lm_head.safetensors", folder)};
  const nnc_setting sets[] = {{"medusa_choices", tree_text(a, choices)}, {"medusa_top_k", most_guesses(a, choices)}};
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.configs = configs, o.n_configs = 2;
  o.weights = weights, o.n_weights = 2;
  o.sets = sets, o.n_sets = 2;
  r->m = zoo_open(NNC_SOURCE_DIR "/models/transformer/medusa.yaml", &o);
  assert_int_equal(nnc_session_new(&r->s, r->m, NULL), NNC_OK);
}

static void read_checkpoint(reader *r, const char *name) {
  arena *a = r->a;
  diag_list d;
  diag_init(&d, a);
  const char *folder = str_fmt(a, "%s/tests/zoo/%s", NNC_SOURCE_DIR, name);
  const st_file *f = st_open(a, &d, str_fmt(a, "%s/steps.safetensors", folder));
  assert_non_null(f);
  const st_tensor *ids = part(f, "input_ids"), *tokens = part(f, "tokens"), *greedy = part(f, "greedy");
  r->e = (expected){.batch = ids->dim[0],
                    .time = ids->dim[1],
                    .steps = tokens->dim[0],
                    .depth = tokens->dim[2],
                    .new = greedy->dim[1],
                    .ids = st_copy(a, ids)->data,
                    .lengths = st_copy(a, part(f, "lengths"))->data,
                    .tokens = st_copy(a, tokens)->data,
                    .count = st_copy(a, part(f, "count"))->data,
                    .greedy = st_copy(a, greedy)->data,
                    .temperature = st_copy(a, part(f, "temperature"))->data};
  r->tokens = ARENA_ARRAY(a, int32_t, (size_t)(r->e.batch * r->e.depth));
  r->count = ARENA_ARRAY(a, int32_t, (size_t)r->e.batch);
  compile(r, folder, part(f, "choices"));
}

static size_t entry(const reader *r, const char *name) {
  size_t i = 0;
  while (strcmp(nnc_module_entry_name(r->m, i), name) != 0) i++;
  return i;
}

static nnc_tensor matrix(const void *at, nnc_dtype type, uint32_t rank, int64_t rows, int64_t columns) {
  const int64_t dim[] = {rows, columns};
  return nnc_tensor_of(type, (void *)(uintptr_t)at, rank, dim);
}

static void begin(reader *r) {
  nnc_session_reset(r->s);
  nnc_tensor in[] = {matrix(r->e.ids, NNC_I32, 2, r->e.batch, r->e.time),
                     matrix(r->e.lengths, NNC_I32, 1, r->e.batch, 0)};
  nnc_tensor out = matrix(r->count, NNC_I32, 1, r->e.batch, 0);
  if (nnc_run(r->s, entry(r, "begin"), in, 2, &out, 1)) fail_msg("%s", nnc_session_error(r->s));
}

static nnc_status step(reader *r, const float *temperature) {
  nnc_tensor in = matrix(temperature, NNC_F32, 1, r->e.batch, 0);
  nnc_tensor out[] = {matrix(r->tokens, NNC_I32, 2, r->e.batch, r->e.depth),
                      matrix(r->count, NNC_I32, 1, r->e.batch, 0)};
  return nnc_run(r->s, entry(r, "step"), &in, 1, out, 2);
}

// Sequences that are verified greedily and by several temperatures, in one batch.
static void accepts_what_the_paper_does(reader *r, const char *name) {
  const expected *e = &r->e;
  int64_t accepted = 0;
  begin(r);
  for (int64_t i = 0; i < e->steps; i++) {
    if (step(r, e->temperature)) fail_msg("%s", nnc_session_error(r->s));
    for (int64_t b = 0; b < e->batch; b++) {
      int64_t row = i * e->batch + b;
      bool same = r->count[b] == e->count[row] &&
                  !memcmp(r->tokens + b * e->depth, e->tokens + row * e->depth, (size_t)e->depth * sizeof *r->tokens);
      if (!same)
        fail_msg("%s, step %d, sequence %d: %d tokens, not %d, or others", name, (int)i, (int)b, r->count[b],
                 e->count[row]);
      accepted += r->count[b] - 1;
    }
  }
  assert_true(accepted > 0); // the tree was of use
}

static void greedy_steps_give_greedy_tokens(reader *r, const char *name) {
  const expected *e = &r->e;
  int64_t *n = ARENA_ARRAY(r->a, int64_t, (size_t)e->batch), behind = e->batch;
  begin(r);
  while (behind) {
    if (step(r, NULL)) fail_msg("%s", nnc_session_error(r->s));
    behind = 0;
    for (int64_t b = 0; b < e->batch; b++) {
      for (int64_t i = 0; i < r->count[b] && n[b] < e->new; i++, n[b]++)
        if (r->tokens[b * e->depth + i] != e->greedy[b * e->new + n[b]])
          fail_msg("%s, sequence %d: token %d is not that of greedy decoding", name, (int)b, (int)n[b]);
      behind += n[b] < e->new;
    }
  }
}

// The tree needs room for all of its nodes.
static void a_full_cache_is_a_data_error(reader *r) {
  const expected *e = &r->e;
  nnc_session_reset(r->s);
  assert_int_equal(nnc_session_set_dim(r->s, "base_capacity", e->time + 2), NNC_OK);
  nnc_tensor in[] = {matrix(e->ids, NNC_I32, 2, e->batch, e->time), matrix(e->lengths, NNC_I32, 1, e->batch, 0)};
  nnc_tensor out = matrix(r->count, NNC_I32, 1, e->batch, 0);
  assert_int_equal(nnc_run(r->s, entry(r, "begin"), in, 2, &out, 1), NNC_OK);
  assert_int_not_equal(step(r, NULL), NNC_OK);
  assert_non_null(strstr(nnc_session_error(r->s), "line "));
}

static void run_checkpoint(const char *name) {
  reader r = {.a = arena_new(NULL)};
  assert_non_null(r.a);
  if (setjmp(*arena_guard(r.a))) fail_msg("out of memory");
  read_checkpoint(&r, name);
  accepts_what_the_paper_does(&r, name);
  greedy_steps_give_greedy_tokens(&r, name);
  a_full_cache_is_a_data_error(&r);
  nnc_session_free(r.s);
  nnc_module_free(r.m);
  arena_free(r.a);
}

static void checkpoints_step(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof checkpoints / sizeof *checkpoints; i++) run_checkpoint(checkpoints[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(checkpoints_step)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
