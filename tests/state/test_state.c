// State: what updates leave, what a failed run takes back, and which sizes are fixed until a reset.
#include "base/str.h"
#include "state_case.h"
#include <string.h>

static const char table_text[] = "nnc: 1\n"
                                 "name: table\n"
                                 "dims:\n"
                                 "  n: 1..4\n"
                                 "  rows: 4..64\n"
                                 "state:\n"
                                 "  table: f32[rows, 3] = 1\n"
                                 "  calls: i32 = 5\n"
                                 "entries:\n"
                                 "  write:\n"
                                 "    inputs:\n"
                                 "      x: f32[n, 3]\n"
                                 "      at: i32\n"
                                 "      pick: i32\n"
                                 "    steps:\n"
                                 "    - before: table\n"
                                 "    - update table[at:at + n]: x\n"
                                 "    - update table[0]: x[0] + table[1]\n"
                                 "    - update calls: calls + 1\n"
                                 "    outputs:\n"
                                 "      y: take(table, pick)\n"
                                 "  peek:\n"
                                 "    inputs:\n"
                                 "      pick: i32\n"
                                 "    outputs:\n"
                                 "      y: sum(table, dim=1)\n"
                                 "      calls: calls\n"
                                 "  swap:\n"
                                 "    inputs:\n"
                                 "      at: i32\n"
                                 "    steps:\n"
                                 "    - old: table\n"
                                 "    - update table[at]: 7.0\n"
                                 "    - update table[1:]: table[:-1]\n"
                                 "    outputs:\n"
                                 "      old: sum(old, dim=1)\n"
                                 "      new: sum(table, dim=1)\n";
enum { WRITE, PEEK, SWAP };

static nnc_tensor scalar(const int32_t *v) { return nnc_tensor_of(NNC_I32, (void *)(uintptr_t)v, 0, NULL); }

static nnc_status put(nnc_session *s, const float *x, int64_t n, int32_t at, int32_t pick) {
  float y[3];
  nnc_tensor in[] = {floats(x, 2, n, 3), scalar(&at), scalar(&pick)}, out = floats(y, 1, 0, 3);
  return nnc_run(s, WRITE, in, 3, &out, 1);
}

static void sees(nnc_session *s, const float *sums, int64_t rows, int32_t calls) {
  int32_t pick = 0, got_calls = -1;
  float got[64];
  nnc_tensor in = scalar(&pick), out[] = {floats(got, 1, 0, rows), scalar(&got_calls)};
  assert_int_equal(nnc_run(s, PEEK, &in, 1, out, 2), NNC_OK);
  assert_memory_equal(got, sums, (size_t)rows * sizeof *got);
  assert_int_equal(got_calls, calls);
}

static const float x[] = {1, 2, 3, 4, 5, 6};

static void updates_stay_and_failures_leave_nothing(void **state) {
  nnc_session *s = state_session(*state, 2);
  assert_int_equal(nnc_session_set_dim(s, "rows", 4), NNC_OK);
  sees(s, (float[]){3, 3, 3, 3}, 4, 5);
  assert_int_equal(put(s, x, 2, 1, 0), NNC_OK); // rows 1 and 2; row 0 = x[0] + row 1
  sees(s, (float[]){12, 6, 15, 3}, 4, 6);
  assert_int_equal(put(s, x + 3, 1, 1, 4), NNC_E_DATA); // found after both updates
  assert_non_null(strstr(nnc_session_error(s), "line 21: index out of range"));
  sees(s, (float[]){12, 6, 15, 3}, 4, 6);
  assert_int_equal(put(s, x, 2, 3, 0), NNC_E_DATA); // one row too many
  assert_non_null(strstr(nnc_session_error(s), "line 17: an update begins out of range"));
  sees(s, (float[]){12, 6, 15, 3}, 4, 6);
  assert_int_equal(put(s, x, 1, -1, 0), NNC_E_DATA);
  sees(s, (float[]){12, 6, 15, 3}, 4, 6);
  assert_int_equal(put(s, x, 1, 3, 0), NNC_OK);
  sees(s, (float[]){12, 6, 15, 6}, 4, 7);
  nnc_session_free(s);
}

// An old version that is read after the update, and a value that is moved from what it overwrites.
// A state that is filled is memory that is used: no more of it than the session may take.
static void filled_states_count_as_memory(void **state) {
  nnc_session_options o = NNC_SESSION_OPTIONS_INIT;
  o.threads = 1, o.max_arena_bytes = 512;
  nnc_session *s;
  assert_int_equal(nnc_session_new(&s, *state, &o), NNC_OK);
  int32_t pick = 0, calls;
  float sums[64];
  nnc_tensor in = scalar(&pick), out[] = {floats(sums, 1, 0, 64), scalar(&calls)};
  assert_int_equal(nnc_run(s, PEEK, &in, 1, out, 2), NNC_E_ENVIRONMENT);
  assert_string_equal(nnc_session_error(s), "state `table` needs 768 bytes; the limit is 512");
  assert_int_equal(nnc_session_set_dim(s, "rows", 4), NNC_OK);
  sees(s, (float[]){3, 3, 3, 3}, 4, 5);
  nnc_session_free(s);
}

static void old_versions_stay_readable(void **state) {
  nnc_session *s = state_session(*state, 1);
  assert_int_equal(nnc_session_set_dim(s, "rows", 4), NNC_OK);
  assert_int_equal(put(s, x, 2, 1, 0), NNC_OK);
  int32_t at = 0;
  float old[4], new[4];
  nnc_tensor in = scalar(&at), out[] = {floats(old, 1, 0, 4), floats(new, 1, 0, 4)};
  assert_int_equal(nnc_run(s, SWAP, &in, 1, out, 2), NNC_OK);
  assert_memory_equal(old, ((float[]){12, 6, 15, 3}), sizeof old);
  assert_memory_equal(new, ((float[]){21, 21, 6, 15}), sizeof new);
  sees(s, (float[]){21, 21, 6, 15}, 4, 6);
  at = 4;
  assert_int_equal(nnc_run(s, SWAP, &in, 1, out, 2), NNC_E_DATA);
  sees(s, (float[]){21, 21, 6, 15}, 4, 6);
  nnc_session_free(s);
}

static void sizes_are_fixed_until_a_reset(void **state) {
  nnc_session *s = state_session(*state, 1);
  assert_int_equal(put(s, x, 2, 62, 0), NNC_OK); // by default the top of the range
  assert_int_equal(put(s, x, 2, 63, 0), NNC_E_DATA);
  nnc_session_reset(s);
  assert_int_equal(nnc_session_set_dim(s, "rows", 5), NNC_OK);
  assert_int_equal(put(s, x, 2, 4, 0), NNC_E_DATA);
  assert_int_equal(put(s, x, 2, 3, 0), NNC_OK);
  sees(s, (float[]){9, 3, 3, 6, 15}, 5, 6);
  nnc_session_reset(s);
  sees(s, (float[]){3, 3, 3, 3, 3}, 5, 5);
  assert_int_equal(nnc_session_reset(NULL), NNC_E_ARGUMENT);
  nnc_session_free(s);
}

// A dim that a state and an input share.
static void a_shared_dim_is_fixed_by_the_first_call(void **state) {
  (void)state;
  nnc_module *m = state_module("nnc: 1\nname: memory\ndims:\n  batch: 1..8\nstate:\n  h: f32[batch] = 0\ninputs:\n"
                               "  x: f32[batch]\nsteps:\n- update h: h * 0.5 + x\noutputs:\n  h: h\n",
                               "memory.yaml");
  nnc_session *s = state_session(m, 1);
  float y[3];
  nnc_tensor in = floats(x, 1, 0, 2), out = floats(y, 1, 0, 2);
  assert_int_equal(nnc_run(s, 0, &in, 1, &out, 1), NNC_OK);
  assert_int_equal(nnc_run(s, 0, &in, 1, &out, 1), NNC_OK);
  assert_memory_equal(y, ((float[]){1.5f, 3}), 2 * sizeof *y);
  nnc_tensor in3 = floats(x, 1, 0, 3), out3 = floats(y, 1, 0, 3);
  assert_int_equal(nnc_run(s, 0, &in3, 1, &out3, 1), NNC_E_DATA);
  assert_non_null(strstr(nnc_session_error(s), "`batch` is 3, and 2 in the session's state"));
  assert_int_equal(nnc_session_reset(s), NNC_OK);
  assert_int_equal(nnc_run(s, 0, &in3, 1, &out3, 1), NNC_OK);
  assert_memory_equal(y, x, sizeof y);
  nnc_session_free(s);
  nnc_module_free(m);
}

// A dim that a step sets: sizes, checks and the range follow it.
static void a_step_binds_a_dim(void **state) {
  (void)state;
  nnc_module *m = state_module("nnc: 1\nname: kept\ndims:\n  n: 1..8\n  k: 0..6\ninputs:\n  x: f32[n]\nsteps:\n"
                               "- k: sum(cast(x > 2.5, i32))\noutputs:\n  y: sum(x[:k])\n  k: cast(k, f32)\n",
                               "kept.yaml");
  nnc_session *s = state_session(m, 1);
  float y, k;
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, &y, 0, NULL), nnc_tensor_of(NNC_F32, &k, 0, NULL)};
  for (int64_t n = 1; n <= 6; n++) {
    nnc_tensor in = floats(x, 1, 0, n);
    float kept = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) kept += x[i] > 2.5f;
    for (int64_t i = 0; i < (int64_t)kept; i++) sum += x[i];
    assert_int_equal(nnc_run(s, 0, &in, 1, out, 2), NNC_OK);
    assert_true(y == sum && k == kept);
  }
  float large[8] = {3, 3, 3, 3, 3, 3, 3, 3};
  nnc_tensor in = floats(large, 1, 0, 8);
  assert_int_equal(nnc_run(s, 0, &in, 1, out, 2), NNC_E_DATA);
  assert_non_null(strstr(nnc_session_error(s), "line 9: `k` is 8; it must lie in 0..6"));
  nnc_session_free(s);
  nnc_module_free(m);
}

// A stack of caches: whatever its layers, they share their kernels.
static uint64_t kernels_of(int layers, arena *a) {
  nnc_module *m = state_module(str_fmt(a,
                                       "nnc: 1\nname: stack\ndims:\n  batch: 1..4\n  t: 1..8\n  room: 8..64\nstate:\n"
                                       "  keys: f32[%d, batch, 2, room, 3] = 0\ninputs:\n  x: f32[batch, 2, t, 3]\n"
                                       "  at: i32[batch]\nsteps:\n- y: x\n- for i in range(%d):\n"
                                       "  - update keys[i]: cache_append(keys[i], y, at)\n"
                                       "  - y: y + sum(keys[i], dim=2, keepdim=True)\noutputs:\n  y: y\n",
                                       layers, layers),
                               "stack.yaml");
  nnc_module_stats stats;
  assert_int_equal(nnc_module_get_stats(m, &stats), NNC_OK);
  nnc_session *s = state_session(m, 2);
  // rows appended at 1 and at 4; each layer adds the sum of its rows, of which the others are 0
  int32_t at[] = {1, 4};
  float in_x[2 * 2 * 3], got[2 * 2 * 3];
  for (int i = 0; i < 12; i++) in_x[i] = (float)i;
  const int64_t dim[] = {2, 2, 1, 3};
  nnc_tensor in[] = {nnc_tensor_of(NNC_F32, in_x, 4, dim), ints(at, 2)}, out = nnc_tensor_of(NNC_F32, got, 4, dim);
  assert_int_equal(nnc_run(s, 0, in, 2, &out, 1), NNC_OK);
  for (int i = 0; i < 12; i++) assert_true(got[i] == (float)(i << layers));
  nnc_session_free(s);
  nnc_module_free(m);
  return stats.kernels;
}

static void layers_share_kernels(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  assert_non_null(a);
  if (setjmp(*arena_guard(a))) fail_msg("out of memory");
  assert_int_equal(kernels_of(3, a), kernels_of(6, a));
  arena_free(a);
}

// Callers give memory for outputs before a run: a size that only the run knows is refused, by name.
static void sizes_of_outputs_are_known_before(void **state) {
  (void)state;
  const char *text =
      "nnc: 1\nname: late\ndims:\n  k: 0..6\ninputs:\n  n: i32\nsteps:\n- k: n\noutputs:\n  y: zeros(k)\n";
  nnc_module *m;
  nnc_diagnostics *d;
  assert_int_equal(nnc_module_compile(&m, text, strlen(text), "late.yaml", NULL, &d), NNC_E_MODEL);
  assert_int_equal(nnc_diagnostics_count(d), 1);
  assert_string_equal(nnc_diagnostics_get(d, 0)->id, "output_size_late");
  nnc_diagnostics_free(d);
}

static int setup(void **state) {
  *state = state_module(table_text, "table.yaml");
  return 0;
}

static int teardown(void **state) {
  nnc_module_free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(updates_stay_and_failures_leave_nothing),
      cmocka_unit_test(filled_states_count_as_memory),
      cmocka_unit_test(old_versions_stay_readable),
      cmocka_unit_test(sizes_are_fixed_until_a_reset),
      cmocka_unit_test(a_shared_dim_is_fixed_by_the_first_call),
      cmocka_unit_test(a_step_binds_a_dim),
      cmocka_unit_test(layers_share_kernels),
      cmocka_unit_test(sizes_of_outputs_are_known_before),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
