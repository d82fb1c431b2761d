// Loops and branches in a compiled model: state that they write, what a turn that fails leaves, bounds, allocations,
// threads. That they compute what the interpreter does is for tests/op/graphs.
#include "state_case.h"
#include <malloc.h>
#include <math.h>
#include <string.h>

static const char text[] = "nnc: 1\n"
                           "name: turns\n"
                           "dims:\n"
                           "  rows: 4..64\n"
                           "state:\n"
                           "  table: f32[rows, 3] = 1\n"
                           "  odd: i32 = 0\n"
                           "entries:\n"
                           "  write:\n"
                           "    inputs:\n"
                           "      x: f32[3]\n"
                           "      turns: i32\n"
                           "      at: i32\n"
                           "    steps:\n"
                           "    - update table[0]: table[0] + 1\n"
                           "    - loop i in range(turns):\n"
                           "      - update table[at + i]: x * cast(i, f32) + table[0]\n"
                           "      - when i % 2 == 1:\n"
                           "        - update odd: odd + 1\n"
                           "    outputs:\n"
                           "      sums: sum(table, dim=1)\n"
                           "      odd: odd\n"
                           "  halve:\n"
                           "    inputs:\n"
                           "      x: f32[3]\n"
                           "    steps:\n"
                           "    - turns: full(0, dtype=i32)\n"
                           "    - while amax(x) > 1, max 5:\n"
                           "      - x: x / 2\n"
                           "      - turns: turns + 1\n"
                           "    - when turns > 2:\n"
                           "      - update table[1]: x\n"
                           "    outputs:\n"
                           "      x: x\n"
                           "      turns: turns\n"
                           "      row: table[1]\n";
enum { WRITE, HALVE, ROWS = 4 };

static int setup(void **state) {
  *state = state_module(text, "turns.yaml");
  return 0;
}

static int teardown(void **state) {
  nnc_module_free(*state);
  return 0;
}

static nnc_session *session(void *m, unsigned threads) {
  nnc_session *s = state_session(m, threads);
  assert_int_equal(nnc_session_set_dim(s, "rows", ROWS), NNC_OK);
  return s;
}

static nnc_tensor scalar(int32_t *v) { return nnc_tensor_of(NNC_I32, v, 0, NULL); }

static const float x[] = {1, 2, 3};

static nnc_status fill(nnc_session *s, int32_t turns, int32_t at, float *sums, int32_t *odd) {
  nnc_tensor in[] = {floats(x, 1, 0, 3), scalar(&turns), scalar(&at)}, out[] = {floats(sums, 1, 0, ROWS), scalar(odd)};
  return nnc_run(s, WRITE, in, 3, out, 2);
}

static nnc_status halve(nnc_session *s, const float *from, float *to, int32_t *turns, float *row) {
  nnc_tensor in = floats(from, 1, 0, 3), out[] = {floats(to, 1, 0, 3), scalar(turns), floats(row, 1, 0, 3)};
  return nnc_run(s, HALVE, &in, 1, out, 3);
}

static void states_are_carried(void **state) {
  nnc_session *s = session(*state, 2);
  float sums[ROWS];
  int32_t odd;
  assert_int_equal(fill(s, 3, 1, sums, &odd), NNC_OK);
  assert_memory_equal(sums, ((float[]){6, 6, 12, 18}), sizeof sums);
  assert_int_equal(odd, 1);
  assert_int_equal(fill(s, 0, 1, sums, &odd), NNC_OK);
  assert_memory_equal(sums, ((float[]){9, 6, 12, 18}), sizeof sums);
  assert_int_equal(fill(s, -1, 1, sums, &odd), NNC_OK);
  assert_memory_equal(sums, ((float[]){12, 6, 12, 18}), sizeof sums);
  assert_int_equal(odd, 1);
  nnc_session_free(s);
}

// The third turn writes beyond the table: the update before the loop, and those of the turns before, are not seen.
static void a_turn_that_fails_leaves_nothing(void **state) {
  nnc_session *s = session(*state, 2);
  float sums[ROWS];
  int32_t odd;
  assert_int_equal(fill(s, 3, 2, sums, &odd), NNC_E_DATA);
  assert_non_null(strstr(nnc_session_error(s), "line 17: an update begins out of range"));
  assert_int_equal(fill(s, 2, 2, sums, &odd), NNC_OK);
  assert_memory_equal(sums, ((float[]){6, 3, 6, 12}), sizeof sums);
  assert_int_equal(odd, 1);
  nnc_session_free(s);
}

static void a_while_is_bounded(void **state) {
  nnc_session *s = session(*state, 1);
  float y[3], row[3];
  int32_t turns;
  assert_int_equal(halve(s, (float[]){1, 1, 0.5f}, y, &turns, row), NNC_OK);
  assert_int_equal(turns, 0);
  assert_memory_equal(row, ((float[]){1, 1, 1}), sizeof row);                // the branch was not taken
  assert_int_equal(halve(s, (float[]){32, 16, -8}, y, &turns, row), NNC_OK); // as many turns as it may have
  assert_int_equal(turns, 5);
  assert_memory_equal(y, ((float[]){1, 0.5f, -0.25f}), sizeof y);
  assert_memory_equal(row, y, sizeof row);
  assert_int_equal(halve(s, (float[]){33, 16, -8}, y, &turns, row), NNC_E_DATA);
  assert_non_null(strstr(nnc_session_error(s), "line 28: the condition still holds after 5 turns"));
  assert_int_equal(halve(s, (float[]){NAN, 0, 0}, y, &turns, row), NNC_OK);
  assert_int_equal(turns, 0);
  assert_memory_equal(row, ((float[]){1, 0.5f, -0.25f}), sizeof row); // what the failed call had written is gone
  nnc_session_free(s);
}

static void turns_allocate_nothing(void **state) {
  nnc_session *s = session(*state, 2);
  float sums[ROWS];
  int32_t odd;
  assert_int_equal(fill(s, 3, 1, sums, &odd), NNC_OK);
  size_t before = mallinfo2().uordblks;
  assert_int_equal(fill(s, 3, 1, sums, &odd), NNC_OK);
  assert_int_equal(mallinfo2().uordblks, before);
  nnc_session_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(states_are_carried),
      cmocka_unit_test(a_turn_that_fails_leaves_nothing),
      cmocka_unit_test(a_while_is_bounded),
      cmocka_unit_test(turns_allocate_nothing),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
