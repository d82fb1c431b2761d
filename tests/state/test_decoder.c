// A decoder that keeps its keys and values, against the same model over the whole sequence: 2,000 tokens, one by one
// after a prompt, without an allocation; and the same from a library in a C program.
#include "state_case.h"
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 2000, PROMPT = 40, FORWARD = 0, DECODE = 1 };

static int32_t ids[TOKENS];
static float whole[TOKENS * VOCAB], step[TOKENS * VOCAB], again[TOKENS * VOCAB];

static int setup(void **state) {
  for (int i = 0; i < TOKENS; i++) ids[i] = (int32_t)((unsigned)i * 2654435761u >> 26);
  *state = decoder_module();
  return 0;
}

static int teardown(void **state) {
  nnc_module_free(*state);
  return 0;
}

static double largest_error(const float *got, const float *want, size_t n) {
  double error = 0, magnitude = 0;
  for (size_t i = 0; i < n; i++) {
    error = fmax(error, fabs((double)got[i] - (double)want[i]));
    magnitude = fmax(magnitude, fabs((double)want[i]));
    if (isnan(got[i])) return INFINITY;
  }
  return error / magnitude;
}

static size_t heap(void) {
  struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
}

static void generate(nnc_session *s, float *logits) {
  assert_int_equal(decode(s, DECODE, ids, PROMPT, logits), NNC_OK);
  for (int64_t i = PROMPT; i < TOKENS; i++) assert_int_equal(decode(s, DECODE, ids + i, 1, logits + i * VOCAB), NNC_OK);
}

static void equals_the_whole_sequence(void **state) {
  nnc_session *s = state_session(*state, 2);
  assert_int_equal(decode(s, FORWARD, ids, TOKENS, whole), NNC_OK);
  generate(s, step);
  double error = largest_error(step, whole, TOKENS * VOCAB);
  print_message("%d tokens: largest error %.3g of the largest magnitude\n", TOKENS, error);
  assert_true(error < 2e-5);
  nnc_session_reset(s); // begins again: the same bits, and nothing is allocated but the caches
  assert_int_equal(decode(s, DECODE, ids, PROMPT, again), NNC_OK);
  assert_int_equal(decode(s, DECODE, ids + PROMPT, 1, again + PROMPT * VOCAB), NNC_OK);
  size_t before = heap();
  for (int64_t i = PROMPT + 1; i < TOKENS; i++)
    assert_int_equal(decode(s, DECODE, ids + i, 1, again + i * VOCAB), NNC_OK);
  assert_int_equal(heap(), before);
  assert_memory_equal(again, step, sizeof step);
  nnc_session_free(s);
}

static void does_not_depend_on_threads(void **state) {
  nnc_session *s = state_session(*state, 1);
  generate(s, again);
  nnc_session_free(s);
  s = state_session(*state, 3);
  generate(s, step);
  nnc_session_free(s);
  assert_memory_equal(again, step, sizeof step);
}

// An id outside the vocabulary is found while running, after caches were written: nothing of it stays.
static void a_failed_call_changes_nothing(void **state) {
  nnc_session *s = state_session(*state, 2);
  int32_t bad[] = {1, 2, VOCAB, 3};
  float lost[4 * VOCAB];
  assert_int_equal(decode(s, DECODE, bad, 4, lost), NNC_E_DATA); // the first call: nothing is fixed either
  assert_int_equal(decode(s, DECODE, ids, PROMPT, again), NNC_OK);
  assert_int_equal(decode(s, DECODE, bad, 4, lost), NNC_E_DATA);
  assert_non_null(strstr(nnc_session_error(s), "line 50: index out of range"));
  assert_int_equal(decode(s, DECODE, ids + PROMPT, 1, again + PROMPT * VOCAB), NNC_OK);
  nnc_session_free(s);
  s = state_session(*state, 2);
  assert_int_equal(decode(s, DECODE, ids, PROMPT, step), NNC_OK);
  assert_int_equal(decode(s, DECODE, ids + PROMPT, 1, step + PROMPT * VOCAB), NNC_OK);
  assert_memory_equal(again, step, (PROMPT + 1) * VOCAB * sizeof *step);
  nnc_session_free(s);
}

static void a_full_cache_is_a_data_error(void **state) {
  nnc_session *s = state_session(*state, 1);
  assert_int_equal(nnc_session_set_dim(s, "capacity", 50), NNC_OK);
  assert_int_equal(decode(s, DECODE, ids, PROMPT, again), NNC_OK);
  assert_int_equal(decode(s, DECODE, ids, 11, step), NNC_E_DATA);
  print_message("%s\n", nnc_session_error(s));
  assert_non_null(strstr(nnc_session_error(s), "line 59: "));
  assert_int_equal(decode(s, DECODE, ids, 10, step), NNC_OK); // what fits still goes
  assert_int_equal(decode(s, DECODE, ids, 1, step), NNC_E_DATA);
  nnc_session_free(s);
}

static void write_text(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

#define FOLDER NNC_BINARY_DIR "/state-test"

static void serves_a_c_program(void **state) {
  assert_int_equal(system("mkdir -p " FOLDER), 0);
  nnc_diagnostics *d;
  assert_int_equal(nnc_module_save(*state, FOLDER "/decoder.so", &d), NNC_OK);
  nnc_diagnostics_free(d);
  write_text(FOLDER "/main.c",
             "#include \"decoder.h\"\n#include <stdio.h>\n#include <string.h>\nint main(void) {\n"
             "  static float logits[64 * 64];\n  int32_t ids[50], bad = 64;\n  decoder_session *s;\n"
             "  for (int i = 0; i < 50; i++) ids[i] = (int32_t)((unsigned)i * 2654435761u >> 26);\n"
             "  if (decoder_open(&s, 2) || decoder_set_dim(s, \"capacity\", 50)) return 1;\n"
             "  if (decoder_decode(s, 7, ids, logits)) return 2;\n  decoder_reset(s);\n"
             "  if (decoder_decode(s, 40, ids, logits)) return 3;\n"
             "  if (decoder_decode(s, 1, &bad, logits) != 3) return 4;\n"
             "  for (int i = 40; i < 50; i++)\n"
             "    if (decoder_decode(s, 1, ids + i, logits)) return 5;\n"
             "  for (int i = 0; i < 64; i++) printf(\"%a\\n\", (double)logits[i]);\n"
             "  if (decoder_decode(s, 1, ids, logits) != 3 || !strstr(decoder_error(s), \"line \")) return 6;\n"
             "  decoder_close(s);\n  return 0;\n}\n");
  assert_int_equal(system("cc -std=c99 -Wall -Wextra -Wpedantic -Werror -o " FOLDER "/main " FOLDER "/main.c " FOLDER
                          "/decoder.so -Wl,-rpath," FOLDER),
                   0);
  assert_int_equal(system("cd " FOLDER " && ./main > logits.txt"), 0);
  nnc_session *s = state_session(*state, 1);
  generate(s, step);
  nnc_session_free(s);
  FILE *f = fopen(FOLDER "/logits.txt", "r");
  assert_non_null(f);
  for (int i = 0; i < VOCAB; i++) {
    char line[64];
    assert_non_null(fgets(line, sizeof line, f));
    assert_true(strtof(line, NULL) == step[49 * VOCAB + i]);
  }
  assert_int_equal(fclose(f), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equals_the_whole_sequence),
      cmocka_unit_test(does_not_depend_on_threads),
      cmocka_unit_test(a_failed_call_changes_nothing),
      cmocka_unit_test(a_full_cache_is_a_data_error),
      cmocka_unit_test(serves_a_c_program),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
