// Marian by steps: encoded once, decoded token by token, against `forward` over the whole; translations against those
// of transformers; and calls that fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "zoo/generator.h"
#include "zoo/zoo.h"

static const double BOUND = 2e-5;

enum { BATCH = 2, SEQ = 9, DECODED = 8 };

static const int32_t sources[BATCH * SEQ] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 2, 7, 1, 8, 2, 0, 0, 0, 0};
static const int32_t seen[BATCH * SEQ] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
static const int32_t decoded[BATCH][DECODED] = {{7, 3, 0, 11, 12, 5, 6, 30}, {20, 9, 9, 1, 31, 2, 17, 8}};

static nnc_status encode(generator *g, int64_t width, float *hidden) {
  const int64_t dim[] = {BATCH, SEQ, width};
  nnc_tensor in[] = {generator_ints(sources, 2, BATCH, SEQ), generator_ints(seen, 2, BATCH, SEQ)};
  nnc_tensor out = nnc_tensor_of(NNC_F32, hidden, 3, dim);
  return nnc_run(g->s, generator_entry(g, "encode"), in, 2, &out, 1);
}

static int64_t width_of(generator *g) { // of a session that begins anew
  nnc_session_reset(g->s);
  nnc_tensor in[] = {generator_ints(sources, 2, BATCH, SEQ), generator_ints(seen, 2, BATCH, SEQ)}, out;
  assert_int_equal(nnc_shapes(g->s, generator_entry(g, "encode"), in, 2, &out, 1), NNC_OK);
  return out.dim[2];
}

// The first sequence in pieces of 3, 1, 1, 2 and 1 tokens; the second has one less in the first piece and none in the
// fourth.
static void steps_equal_the_whole(generator *g) {
  static const int32_t taken[][BATCH] = {{3, 2}, {1, 1}, {1, 1}, {2, 0}, {1, 1}};
  int64_t v = g->vocab, width = width_of(g), n[BATCH] = {0};
  float *hidden = ARENA_ARRAY(g->a, float, (size_t)(BATCH * SEQ * width));
  float *whole = ARENA_ARRAY(g->a, float, (size_t)(BATCH * DECODED * v));
  float *again = ARENA_ARRAY(g->a, float, (size_t)(BATCH * SEQ * width));
  float *steps = ARENA_ARRAY(g->a, float, (size_t)(BATCH * DECODED * v));
  float *logits = ARENA_ARRAY(g->a, float, (size_t)(BATCH * 3 * v));
  const int64_t dim[] = {BATCH, DECODED, v}, hidden_dim[] = {BATCH, SEQ, width};
  nnc_tensor in[] = {generator_ints(sources, 2, BATCH, SEQ), generator_ints(seen, 2, BATCH, SEQ),
                     generator_ints(decoded[0], 2, BATCH, DECODED), generator_ints(NULL, 2, BATCH, DECODED)};
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, whole, 3, dim), nnc_tensor_of(NNC_F32, again, 3, hidden_dim)};
  assert_int_equal(nnc_run(g->s, generator_entry(g, "forward"), in, 4, out, 2), NNC_OK);
  nnc_session_reset(g->s);
  assert_int_equal(encode(g, width, hidden), NNC_OK);
  assert_true(zoo_error(hidden, again, (size_t)(BATCH * SEQ * width)) < BOUND);
  for (size_t p = 0; p < sizeof taken / sizeof *taken; p++) {
    int32_t ids[BATCH * 3] = {0};
    int64_t t = taken[p][0];
    for (int64_t b = 0; b < BATCH; b++)
      for (int64_t i = 0; i < taken[p][b]; i++) ids[b * t + i] = decoded[b][n[b] + i];
    if (generator_decode(g, BATCH, t, ids, taken[p], logits)) fail_msg("%s", nnc_session_error(g->s));
    for (int64_t b = 0; b < BATCH; b++) {
      memcpy(steps + (b * DECODED + n[b]) * v, logits + b * t * v, (size_t)(taken[p][b] * v) * sizeof *steps);
      n[b] += taken[p][b];
    }
  }
  for (int64_t b = 0; b < BATCH; b++) {
    double e = zoo_error(steps + b * DECODED * v, whole + b * DECODED * v, (size_t)(n[b] * v));
    if (!(e < BOUND)) fail_msg("sequence %d errs by %g of the largest", (int)b, e);
  }
}

static void translates(generator *g, const continuation *c) {
  int32_t *mask = ARENA_ARRAY(g->a, int32_t, (size_t)(c->batch * c->time));
  int32_t *got = ARENA_ARRAY(g->a, int32_t, (size_t)(c->batch * c->new));
  for (int64_t i = 0; i < c->batch * c->time; i++) mask[i] = i % c->time < c->lengths[i / c->time];
  nnc_tensor in[] = {generator_ints(c->ids, 2, c->batch, c->time), generator_ints(mask, 2, c->batch, c->time)};
  nnc_tensor out = generator_ints(got, 2, c->batch, c->new);
  nnc_session_reset(g->s);
  for (int turn = 0; turn < 2; turn++) { // a second translation begins anew
    if (nnc_run(g->s, generator_entry(g, "generate"), in, 2, &out, 1)) fail_msg("%s", nnc_session_error(g->s));
    assert_memory_equal(got, c->sequences, (size_t)(c->batch * c->new) * sizeof *got);
  }
}

static void fails(generator *g, nnc_status status, const char *with) {
  assert_int_equal(status, NNC_E_DATA);
  if (!strstr(nnc_session_error(g->s), with)) fail_msg("`%s` does not say `%s`", nnc_session_error(g->s), with);
}

static void failures_leave_the_state(generator *g) {
  int64_t v = g->vocab, width = width_of(g);
  float *first = ARENA_ARRAY(g->a, float, (size_t)(BATCH * v)), *logits = ARENA_ARRAY(g->a, float, (size_t)(BATCH * v));
  float *hidden = ARENA_ARRAY(g->a, float, (size_t)(BATCH * SEQ * width));
  int32_t ids[BATCH] = {1, 2}, bad[BATCH] = {1, (int32_t)v};
  nnc_session_reset(g->s);
  fails(g, generator_decode(g, BATCH, 1, ids, NULL, logits),
        "`encoded` is 0; it must lie in 1.."); // nothing is encoded
  nnc_session_reset(g->s);
  assert_int_equal(nnc_session_set_dim(g->s, "room", SEQ - 1), NNC_OK);
  assert_int_not_equal(encode(g, width, hidden), NNC_OK);
  nnc_session_reset(g->s);
  assert_int_equal(nnc_session_set_dim(g->s, "room", SEQ), NNC_OK);
  assert_int_equal(nnc_session_set_dim(g->s, "capacity", 1), NNC_OK);
  assert_int_equal(encode(g, width, hidden), NNC_OK);
  fails(g, generator_decode(g, BATCH, 1, bad, NULL, logits), "index out of range");
  assert_int_equal(generator_decode(g, BATCH, 1, ids, NULL, first), NNC_OK);
  fails(g, generator_decode(g, BATCH, 1, ids, NULL, logits), "no room for it");
  assert_int_equal(encode(g, width, hidden), NNC_OK); // begins again
  assert_int_equal(generator_decode(g, BATCH, 1, ids, NULL, logits), NNC_OK);
  assert_memory_equal(logits, first, (size_t)(BATCH * v) * sizeof *first);
}

static void run_checkpoint(const char *name, bool fails) {
  arena *a = arena_new(NULL);
  assert_non_null(a);
  if (setjmp(*arena_guard(a))) fail_msg("out of memory");
  continuation c = generator_expected(a, name);
  const char *start = str_fmt(a, "%d", c.start);
  const nnc_setting sets[] = {{"eos_token_id", str_fmt(a, "(%d, %d)", c.ends[0], c.ends[1])},
                              {"max_new_tokens", str_fmt(a, "%d", (int)c.new)},
                              {"decoder_start_token_id", start},
                              {"bad_words_ids", str_fmt(a, "((%s,),)", start)}};
  generator g = generator_open(name, sets, sizeof sets / sizeof *sets);
  steps_equal_the_whole(&g);
  translates(&g, &c);
  if (fails) failures_leave_the_state(&g);
  generator_close(&g);
  arena_free(a);
}

static void checkpoints_translate(void **state) {
  (void)state;
  run_checkpoint("marian-apart", true);
  run_checkpoint("marian-deep", false);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(checkpoints_translate)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
