// Models that keep their keys and values: decoding by steps, of sequences of different lengths, against `forward` over
// the whole; the tokens that `generate` gives against those of transformers; sampling; 2,000 tokens without an
// allocation; and calls that fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <malloc.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "zoo/generator.h"
#include "zoo/zoo.h"

static const char *const checkpoints[] = {"llama-mha", "llama-gqa", "gpt2-scaled"};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STRIDE = 2 }; // compiling takes four times as long
#else
enum { STRIDE = 1 };
#endif
enum { N_CHECKPOINTS = sizeof checkpoints / sizeof *checkpoints };

static const double BOUND = 2e-5; // f32 twice, over two layers

// -- steps against the whole --

enum { BATCH = 3, LONGEST = 24 };

typedef struct history { // of one sequence
  int64_t n;
  int32_t ids[LONGEST];
  float *logits; // [n, vocab] by decode
} history;

static unsigned next_random(unsigned *state) { return *state = *state * 1664525u + 1013904223u, *state >> 8; }

// Appends new tokens to each sequence, as many as `lengths` says, in rows of t.
static void append(generator *g, history *h, int64_t t, const int32_t *lengths, unsigned *random) {
  int32_t ids[BATCH * LONGEST];
  float *logits = ARENA_ARRAY(g->a, float, (size_t)(BATCH * t * g->vocab));
  for (int64_t i = 0; i < BATCH * t; i++) ids[i] = (int32_t)(next_random(random) % (unsigned)g->vocab);
  if (generator_decode(g, BATCH, t, ids, lengths, logits)) fail_msg("%s", nnc_session_error(g->s));
  for (int64_t b = 0; b < BATCH; b++) {
    int64_t n = lengths ? lengths[b] : t;
    memcpy(h[b].ids + h[b].n, ids + b * t, (size_t)n * sizeof *ids);
    memcpy(h[b].logits + h[b].n * g->vocab, logits + b * t * g->vocab, (size_t)(n * g->vocab) * sizeof *logits);
    h[b].n += n;
  }
}

static void steps_equal_the_whole(generator *g, unsigned random) {
  history h[BATCH] = {{0}};
  for (int b = 0; b < BATCH; b++) h[b].logits = ARENA_ARRAY(g->a, float, (size_t)(LONGEST * g->vocab));
  nnc_session_reset(g->s);
  append(g, h, 11, (const int32_t[]){11, 4, 7}, &random); // a prompt
  append(g, h, 1, NULL, &random);
  append(g, h, 1, (const int32_t[]){1, 1, 0}, &random); // one is done
  append(g, h, 3, (const int32_t[]){2, 3, 0}, &random);
  append(g, h, 1, NULL, &random);
  append(g, h, 5, (const int32_t[]){5, 1, 4}, &random);
  for (int b = 0; b < BATCH; b++) {
    float *whole = ARENA_ARRAY(g->a, float, (size_t)(h[b].n * g->vocab));
    if (generator_forward(g, h[b].n, h[b].ids, whole)) fail_msg("%s", nnc_session_error(g->s));
    double e = zoo_error(h[b].logits, whole, (size_t)(h[b].n * g->vocab));
    if (!(e < BOUND)) fail_msg("sequence %d errs by %g of the largest", b, e);
  }
}

// -- generation --

typedef struct opened {
  generator g;
  continuation c;
  int32_t *got;
} opened;

static opened open_to_generate(arena *a, const char *name) {
  opened o = {.c = generator_expected(a, name)};
  const nnc_setting sets[] = {{"eos_token_id", str_fmt(a, "(%d, %d)", o.c.ends[0], o.c.ends[1])},
                              {"max_new_tokens", str_fmt(a, "%d", (int)o.c.new)},
                              {"top_k", "9"}, // at temperature 0 nothing is drawn
                              {"top_p", "0.8"}};
  o.g = generator_open(name, sets, sizeof sets / sizeof *sets);
  o.got = ARENA_ARRAY(a, int32_t, (size_t)(o.c.batch * o.c.new));
  return o;
}

static void generate(opened *o, float temperature, int32_t seed) {
  nnc_session_reset(o->g.s);
  if (generator_generate(&o->g, &o->c, temperature, seed, o->got)) fail_msg("%s", nnc_session_error(o->g.s));
}

static bool is_expected(const opened *o) {
  return memcmp(o->got, o->c.sequences, (size_t)(o->c.batch * o->c.new) * sizeof *o->got) == 0;
}

// The next token of each sequence.
static nnc_status next_tokens(opened *o, int64_t t, const int32_t *ids, const int32_t *lengths, float temperature,
                              const float *noise, int32_t *token) {
  const int64_t dim[] = {o->c.batch, o->g.vocab};
  nnc_tensor in[] = {generator_ints(ids, 2, o->c.batch, t), generator_ints(lengths, 1, o->c.batch, 0),
                     nnc_tensor_of(NNC_F32, &temperature, 0, NULL),
                     nnc_tensor_of(NNC_F32, (void *)(uintptr_t)noise, 2, dim)};
  nnc_tensor out = generator_ints(token, 1, o->c.batch, 0);
  return nnc_run(o->g.s, generator_entry(&o->g, "next"), in, 4, &out, 1);
}

// `uniform` as the model language has it: what `generate` draws before its token i is uniform(seed + i).
static nnc_module *uniform_module(int64_t batch, int64_t vocab, arena *a) {
  const char *text = str_fmt(a, "nnc: 1\nname: draw\ninputs:\n  seed: i32\noutputs:\n  u: uniform(seed, %d, %d)\n",
                             (int)batch, (int)vocab);
  nnc_module *m;
  nnc_diagnostics *d;
  assert_int_equal(nnc_module_compile(&m, text, strlen(text), "draw.yaml", NULL, &d), NNC_OK);
  nnc_diagnostics_free(d);
  return m;
}

static void draws_by_noise(arena *a, opened *o) {
  generate(o, 0.7f, 5);
  assert_false(is_expected(o));
  size_t bytes = (size_t)(o->c.batch * o->c.new) * sizeof *o->got;
  int32_t *first = arena_copy(a, o->got, bytes);
  generate(o, 0.7f, 6);
  assert_memory_not_equal(o->got, first, bytes);
  generate(o, 0.7f, 5);
  assert_memory_equal(o->got, first, bytes);
  // the same tokens step by step, with noise from outside
  nnc_module *m = uniform_module(o->c.batch, o->g.vocab, a);
  nnc_session *s;
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  float *noise = ARENA_ARRAY(a, float, (size_t)(o->c.batch * o->g.vocab));
  int32_t *token = ARENA_ARRAY(a, int32_t, (size_t)o->c.batch);
  nnc_session_reset(o->g.s);
  bool ended[BATCH] = {false};
  assert_int_equal(o->c.batch, BATCH);
  for (int32_t i = 0, seed = 5; i < o->c.new; i++, seed++) {
    const int64_t dim[] = {o->c.batch, o->g.vocab};
    nnc_tensor in = generator_ints(&seed, 0, 0, 0), out = nnc_tensor_of(NNC_F32, noise, 2, dim);
    assert_int_equal(nnc_run(s, 0, &in, 1, &out, 1), NNC_OK);
    nnc_status status = i ? next_tokens(o, 1, token, NULL, 0.7f, noise, token)
                          : next_tokens(o, o->c.time, o->c.ids, o->c.lengths, 0.7f, noise, token);
    if (status) fail_msg("%s", nnc_session_error(o->g.s));
    for (int64_t b = 0; b < BATCH; b++) {
      if (!ended[b]) assert_int_equal(token[b], first[b * o->c.new + i]);
      ended[b] = ended[b] || token[b] == o->c.ends[0] || token[b] == o->c.ends[1];
    }
  }
  assert_false(ended[0] && ended[1] && ended[2]); // some of it was compared to the last token
  nnc_session_free(s);
  nnc_module_free(m);
}

static void checkpoints_generate(void **state) {
  arena *a = *state;
  for (size_t i = 0; i < N_CHECKPOINTS; i += STRIDE) {
    opened o = open_to_generate(a, checkpoints[i]);
    steps_equal_the_whole(&o.g, (unsigned)i + 1);
    generate(&o, 0, 0);
    if (!is_expected(&o)) fail_msg("%s: other tokens", checkpoints[i]);
    int32_t *token = ARENA_ARRAY(a, int32_t, (size_t)o.c.batch); // and step by step, without looking for an end
    nnc_session_reset(o.g.s);
    assert_int_equal(next_tokens(&o, o.c.time, o.c.ids, o.c.lengths, 0, NULL, token), NNC_OK);
    for (int64_t b = 0; b < o.c.batch; b++) assert_int_equal(token[b], o.c.sequences[b * o.c.new]);
    assert_int_equal(next_tokens(&o, 1, token, NULL, 0, NULL, token), NNC_OK);
    if (i == 0) draws_by_noise(a, &o);
    generator_close(&o.g);
  }
}

// -- long sequences --

static const nnc_setting small_llama[] = {
    {"vocab_size", "64"},         {"hidden_size", "32"},        {"intermediate_size", "48"}, {"num_hidden_layers", "2"},
    {"num_attention_heads", "4"}, {"num_key_value_heads", "2"}, {"max_new_tokens", "8"}};

static const nnc_setting small_gpt2[] = {{"vocab_size", "64"}, {"n_embd", "32"},        {"n_layer", "2"},
                                         {"n_head", "4"},      {"n_positions", "2048"}, {"max_new_tokens", "8"}};

enum { TOKENS = 2000, PROMPT = 40, VOCAB = 64 };

static size_t heap(void) {
  struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
}

static int32_t ids[TOKENS];
static float whole[TOKENS * VOCAB], steps[TOKENS * VOCAB];

static void runs_long_without_allocation(generator *g) {
  for (int i = 0; i < TOKENS; i++) ids[i] = (int32_t)((unsigned)i * 2654435761u >> 26);
  assert_int_equal(g->vocab, VOCAB);
  assert_int_equal(generator_forward(g, TOKENS, ids, whole), NNC_OK);
  assert_int_equal(generator_decode(g, 1, PROMPT, ids, NULL, steps), NNC_OK);
  assert_int_equal(generator_decode(g, 1, 1, ids + PROMPT, NULL, steps + PROMPT * VOCAB), NNC_OK);
  size_t before = heap();
  for (int i = PROMPT + 1; i < TOKENS; i++)
    assert_int_equal(generator_decode(g, 1, 1, ids + i, NULL, steps + i * VOCAB), NNC_OK);
  assert_int_equal(heap(), before);
  double e = zoo_error(steps, whole, TOKENS * VOCAB);
  if (!(e < BOUND)) fail_msg("errs by %g of the largest", e);
}

// -- calls that fail --

static void fails(generator *g, nnc_status status, const char *with) {
  assert_int_equal(status, NNC_E_DATA);
  if (!strstr(nnc_session_error(g->s), with)) fail_msg("`%s` does not say `%s`", nnc_session_error(g->s), with);
}

static void failures_leave_the_state(generator *g) {
  nnc_session_reset(g->s);
  int32_t prompt[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, bad[] = {1, VOCAB, 3, 4};
  float first[10 * VOCAB], lost[2 * 10 * VOCAB];
  assert_int_equal(generator_decode(g, 1, 10, prompt, NULL, first), NNC_OK);
  nnc_session_reset(g->s);
  assert_int_equal(nnc_session_set_dim(g->s, "capacity", 10), NNC_OK);
  assert_int_equal(generator_decode(g, 2, 3, (const int32_t[]){1, 2, 3, 1, 2, 0}, (const int32_t[]){3, 2}, lost),
                   NNC_OK);
  // one sequence has 3, the other 2
  fails(g, generator_decode(g, 2, 2, bad, NULL, lost), "index out of range");
  fails(g, generator_decode(g, 2, 8, (const int32_t[16]){1}, NULL, lost), "no room for it");
  fails(g, generator_decode(g, 1, 1, prompt, NULL, lost), "`batch` is 1, and 2 in the session's state");
  assert_int_equal(generator_decode(g, 2, 7, (const int32_t[]){4, 5, 6, 7, 8, 9, 10, 3, 4, 5, 6, 7, 8, 9}, NULL, lost),
                   NNC_OK);
  assert_true(zoo_error(lost, first + 3 * VOCAB, 7 * VOCAB) < BOUND);
  assert_true(zoo_error(lost + 7 * VOCAB, first + 2 * VOCAB, 7 * VOCAB) < BOUND);
  fails(g, generator_decode(g, 2, 1, bad, NULL, lost), "no room for it"); // full
  nnc_session_reset(g->s);
  // in the middle of `generate`: the cache is full after three tokens
  continuation c = {.batch = 1, .time = 8, .new = 8, .ids = prompt, .lengths = (const int32_t[]){8}};
  int32_t got[8];
  assert_int_equal(nnc_session_set_dim(g->s, "capacity", 10), NNC_OK);
  fails(g, generator_generate(g, &c, 0, 0, got), "no room for it");
  assert_int_equal(generator_decode(g, 1, 10, prompt, NULL, lost), NNC_OK); // nothing is in it
  assert_memory_equal(lost, first, sizeof first);
}

static void bad_calls_are_refused(generator *g) {
  const int32_t prompt[] = {1, 2, 3}, bad[] = {1, VOCAB, 3};
  float logits[3 * VOCAB], again[3 * VOCAB];
  nnc_session_reset(g->s);
  fails(g, generator_forward(g, 3, bad, logits), "index out of range");
  const int64_t dim[] = {1, 3, VOCAB};
  nnc_tensor in[] = {generator_ints(prompt, 2, 1, 3), generator_ints(prompt, 1, 3, 0)};
  nnc_tensor out = nnc_tensor_of(NNC_F32, logits, 3, dim);
  assert_int_equal(nnc_run(g->s, generator_entry(g, "forward"), in, 2, &out, 1), NNC_E_MODEL);
  assert_non_null(strstr(nnc_session_error(g->s), "input `attention_mask` has the wrong type"));
  // lengths are of 0 to t
  assert_int_equal(generator_decode(g, 1, 3, prompt, (const int32_t[]){-7}, logits), NNC_OK);
  assert_int_equal(generator_decode(g, 1, 2, prompt, (const int32_t[]){99}, logits), NNC_OK);
  assert_int_equal(generator_decode(g, 1, 1, prompt + 2, NULL, logits + 2 * VOCAB), NNC_OK);
  assert_int_equal(generator_forward(g, 3, prompt, again), NNC_OK);
  assert_true(zoo_error(logits, again, 3 * VOCAB) < BOUND);
}

static void small_models(void **state) {
  (void)state;
  generator g = generator_random("llama", small_llama, sizeof small_llama / sizeof *small_llama);
  runs_long_without_allocation(&g);
  failures_leave_the_state(&g);
  bad_calls_are_refused(&g);
  generator_close(&g);
  g = generator_random("gpt2", small_gpt2, sizeof small_gpt2 / sizeof *small_gpt2);
  runs_long_without_allocation(&g);
  failures_leave_the_state(&g);
  bad_calls_are_refused(&g);
  generator_close(&g);
}

static void a_checkpoint_of_another_size_is_refused(void **state) {
  (void)state;
  const char *config = NNC_SOURCE_DIR "/tests/zoo/llama-gqa/config.json";
  const char *weights = NNC_SOURCE_DIR "/tests/zoo/llama-linear/model.safetensors";
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.configs = &config, o.n_configs = 1;
  o.weights = &weights, o.n_weights = 1;
  nnc_module *m;
  nnc_diagnostics *d;
  assert_int_equal(nnc_module_open(&m, NNC_SOURCE_DIR "/models/transformer/llama.yaml", &o, &d), NNC_E_MODEL);
  bool said = false;
  for (size_t i = 0; i < nnc_diagnostics_count(d); i++) {
    const nnc_diagnostic *e = nnc_diagnostics_get(d, i);
    said = said || (e->severity == NNC_ERROR && strstr(e->text, "`model.embed_tokens.weight` is f32[47, 48] (") &&
                    strstr(e->text, "llama.yaml:69:"));
  }
  assert_true(said);
  nnc_diagnostics_free(d);
}

static int setup(void **state) {
  arena *a = arena_new(NULL);
  assert_non_null(a);
  if (setjmp(*arena_guard(a))) fail_msg("out of memory");
  *state = a;
  return 0;
}

static int teardown(void **state) {
  arena_free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checkpoints_generate),
      cmocka_unit_test(small_models),
      cmocka_unit_test(a_checkpoint_of_another_size_is_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
