// The byte-level language model of models/text, compiled: it says what the framework that trained it says, it knows a
// text that it has never seen better than xz, and bytes that come one by one are those of a whole text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "text/bytes_model.h"

static bytes_model model;

static int open_model(void **state) {
  (void)state;
  bytes_model_open(&model, false);
  return 0;
}

static int close_model(void **state) {
  (void)state;
  bytes_model_close(&model);
  return 0;
}

// -log2 of the probability that the logits give to `byte`.
static double bits(const float *logits, uint8_t byte) {
  double largest = -INFINITY, sum = 0;
  for (int i = 0; i < VOCABULARY; i++) largest = fmax(largest, (double)logits[i]);
  for (int i = 0; i < VOCABULARY; i++) sum += exp((double)logits[i] - largest);
  return (log(sum) + largest - (double)logits[byte]) / log(2);
}

// Each byte after at least CONTEXT / 2 others, where there are so many, as the training script counts them.
static void held_out_bytes_cost_what_they_cost_where_it_was_trained(void **state) {
  (void)state;
  enum { HALF = CONTEXT / 2 };
  static float logits[CONTEXT * VOCABULARY];
  const uint8_t *text = (const uint8_t *)model.heldout.p;
  double sum = 0;
  int64_t counted = 0;
  for (size_t at = 0; at + CONTEXT < model.heldout.n; at += HALF) {
    bytes_model_logits(&model, "forward", text + at, CONTEXT, logits);
    for (int i = at ? HALF : 0; i < CONTEXT; i++, counted++)
      sum += bits(logits + (ptrdiff_t)i * VOCABULARY, text[at + (size_t)i + 1]);
  }
  double mean = sum / (double)counted;
  assert_true(counted > 30000);
  assert_float_equal(mean, (double)model.bits[0], 1e-5); // both from f32 logits
  assert_true(mean < (double)model.bits[1] &&
              mean < (double)model.bits[2]); // xz -9, also when it knows the training text
}

static void the_likeliest_continuation_is_that_of_the_reference(void **state) {
  (void)state;
  int32_t following[CONTEXT];
  int64_t n = model.prompt;
  bytes_model_generate(&model, model.text, n, following);
  for (int64_t i = n; i < CONTEXT; i++) assert_int_equal(following[i - n], model.text[i]);
}

static void bytes_one_by_one_are_those_of_the_whole(void **state) {
  (void)state;
  static float whole[CONTEXT * VOCABULARY], piece[CONTEXT * VOCABULARY];
  const uint8_t *text = (const uint8_t *)model.heldout.p;
  bytes_model_logits(&model, "forward", text, CONTEXT, whole);
  double largest = 0, worst = 0;
  for (int i = 0; i < CONTEXT * VOCABULARY; i++) largest = fmax(largest, fabs((double)whole[i]));
  assert_int_equal(nnc_session_reset(model.s), NNC_OK);
  for (int64_t at = 0, n; at < CONTEXT; at += n) {
    n = at == 0 ? 37 : at == 100 ? 19 : 1;
    bytes_model_logits(&model, "decode", text + at, n, piece);
    for (int64_t i = 0; i < n * VOCABULARY; i++)
      worst = fmax(worst, fabs((double)piece[i] - (double)whole[at * VOCABULARY + i]));
  }
  assert_true(largest > 1);
  assert_true(worst < 2e-5 * largest);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(held_out_bytes_cost_what_they_cost_where_it_was_trained),
      cmocka_unit_test(the_likeliest_continuation_is_that_of_the_reference),
      cmocka_unit_test(bytes_one_by_one_are_those_of_the_whole),
  };
  return cmocka_run_group_tests(tests, open_model, close_model);
}
