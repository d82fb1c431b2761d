// Medusa heads trained on the byte-level language model of models/text: several bytes a step, and greedy decoding gives
// the text that the model gives by itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/bytes_model.h"

enum { PROMPTS = 12, NEW = 150, GUESSES = 3 };

// Continues n bytes by NEW; the number of steps.
static int decode(bytes_model *b, const uint8_t *text, int64_t n, int32_t *following) {
  int32_t ids[CONTEXT], token, tokens[GUESSES + 1], count;
  for (int64_t i = 0; i < n; i++) ids[i] = text[i];
  const nnc_tensor prompt[] = {nnc_tensor_of(NNC_I32, ids, 2, (const int64_t[]){1, n}),
                               nnc_tensor_of(NNC_I32, NULL, 1, (const int64_t[]){1})};
  const nnc_tensor cold = nnc_tensor_of(NNC_F32, NULL, 1, (const int64_t[]){1});
  nnc_tensor first = nnc_tensor_of(NNC_I32, &token, 1, (const int64_t[]){1});
  assert_int_equal(nnc_session_reset(b->s), NNC_OK);
  bytes_model_run(b, "begin", prompt, 2, &first, 1);
  int steps = 0;
  for (int made = 0; made < NEW; steps++) {
    nnc_tensor out[] = {nnc_tensor_of(NNC_I32, tokens, 2, (const int64_t[]){1, GUESSES + 1}),
                        nnc_tensor_of(NNC_I32, &count, 1, (const int64_t[]){1})};
    bytes_model_run(b, "step", &cold, 1, out, 2);
    assert_in_range(count, 1, GUESSES + 1);
    for (int i = 0; i < count && made < NEW; i++) following[made++] = tokens[i];
  }
  return steps;
}

static void heads_change_the_number_of_steps_and_not_the_text(void **state) {
  (void)state;
  bytes_model plain, medusa;
  bytes_model_open(&plain, false);
  bytes_model_open(&medusa, true);
  const uint8_t *text = (const uint8_t *)plain.heldout.p;
  int steps = 0;
  for (size_t k = 0; k < PROMPTS; k++) {
    int32_t expected[CONTEXT], made[NEW];
    const uint8_t *prompt = text + (plain.heldout.n - CONTEXT) * k / PROMPTS;
    bytes_model_generate(&plain, prompt, plain.prompt, expected);
    steps += decode(&medusa, prompt, plain.prompt, made);
    assert_memory_equal(made, expected, sizeof made);
  }
  double accepted = (double)(PROMPTS * NEW) / steps;
  print_message("%.2f bytes a step\n", accepted);
  assert_true(accepted > 2.2); // 2.65 as trained
  bytes_model_close(&plain);
  bytes_model_close(&medusa);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(heads_change_the_number_of_steps_and_not_the_text)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
