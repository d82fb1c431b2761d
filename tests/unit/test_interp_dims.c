// The interpreter binds dims from inputs, options and ranges, and refuses what does not fit.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "interp_run.h"

static const double zeros[64];

static ir_tensor *blank(scratch *s, uint32_t rank, const int64_t *dim) {
  return tensor_of(s, DT_f32, rank, dim, zeros);
}

static void binds_and_checks(void **state) {
  scratch *s = *state;
  static const char text[] = "dim n in 1..8\n"
                             "graph forward(%0 a: f32[2*n+1], %1 b: f32[n,3]) {\n"
                             "  %2 = iota() {axis=0} : i32[n]\n"
                             "  return y: %2\n"
                             "}\n";
  expect_vector(run_text(s, text, 2, TENSORS(blank(s, 1, DIMS(7)), blank(s, 2, DIMS(3, 3)))), DT_i32, 3,
                VALUES(0, 1, 2));
  scratch_expect_none(s);
  assert_null(run_text(s, text, 2, TENSORS(blank(s, 1, DIMS(7)), blank(s, 2, DIMS(4, 3)))));
  scratch_expect(s, DIAG_ID_interp_input_shape, "dim 0 is 4, but `n` = 3 was expected");
  assert_null(run_text(s, text, 2, TENSORS(blank(s, 1, DIMS(6)), blank(s, 2, DIMS(3, 3)))));
  scratch_expect(s, DIAG_ID_interp_input_dim, "dim 0 is 6, which `2*n+1` never equals");
  assert_null(run_text(s, text, 2, TENSORS(blank(s, 1, DIMS(7)), blank(s, 2, DIMS(3, 4)))));
  scratch_expect(s, DIAG_ID_interp_input_shape, "dim 1 is 4, but `3` = 3 was expected");
  assert_null(run_text(s, text, 2, TENSORS(blank(s, 1, DIMS(19)), blank(s, 2, DIMS(9, 3)))));
  scratch_expect(s, DIAG_ID_interp_dim_range, "dim `n` is 9; its range is 1..8 step 1");
  assert_null(run_text(s, text, 2, TENSORS(blank(s, 1, DIMS(1)), blank(s, 2, DIMS(0, 3)))));
  scratch_expect(s, DIAG_ID_interp_dim_range, "dim `n` is 0");
  assert_null(run_text(s, text, 2, TENSORS(blank(s, 0, NULL), blank(s, 2, DIMS(3, 3)))));
  scratch_expect(s, DIAG_ID_interp_input_type, "is f32 with 1 dims, but f32 with 0 dims was given");
  assert_null(run_text(s, text, 2, TENSORS(vector_of(s, DT_i32, 7, zeros), blank(s, 2, DIMS(3, 3)))));
  scratch_expect(s, DIAG_ID_interp_input_type, "but i32 with 1 dims was given");
  assert_null(run_text(s, text, 2, TENSORS(blank(s, 1, DIMS(7)), NULL)));
  scratch_expect(s, DIAG_ID_interp_input_missing, "has no default");
}

static void steps_and_late_bindings(void **state) {
  scratch *s = *state;
  // The first input is linear in w only once h is known.
  static const char text[] = "dim h in 8..64 step 8\n"
                             "dim w in 1..9\n"
                             "graph forward(%0 a: f32[h*w], %1 b: f32[h]) {\n"
                             "  %2 = iota() {axis=0} : i32[w]\n"
                             "  return y: %2\n"
                             "}\n";
  expect_vector(run_text(s, text, 2, TENSORS(blank(s, 1, DIMS(16)), blank(s, 1, DIMS(8)))), DT_i32, 2, VALUES(0, 1));
  assert_null(run_text(s, text, 2, TENSORS(blank(s, 1, DIMS(24)), blank(s, 1, DIMS(12)))));
  scratch_expect(s, DIAG_ID_interp_dim_range, "dim `h` is 12; its range is 8..64 step 8");
  assert_null(run_text(s, text, 2, TENSORS(blank(s, 1, DIMS(17)), blank(s, 1, DIMS(8)))));
  scratch_expect(s, DIAG_ID_interp_input_dim, "dim 0 is 17");
}

static void options_and_ranges(void **state) {
  scratch *s = *state;
  static const char text[] = "dim n in 1..8\n"
                             "dim fixed in 2..2\n"
                             "graph forward(%0 a: f32[fixed]) {\n"
                             "  %1 = iota() {axis=0} : i32[n+fixed]\n"
                             "  return y: %1\n"
                             "}\n";
  const ir_tensor *const in[] = {blank(s, 1, DIMS(2))};
  ir_tensor *out[1];
  assert_null(run_text(s, text, 1, in));
  scratch_expect(s, DIAG_ID_interp_dim_unbound, "dim `n` has no value");
  ir_module *m = module_of(s, text);
  const char *names[] = {"n", "fixed"};
  const int64_t values[] = {3, 2}, conflict[] = {3, 1};
  interp_options opt = {.n_dims = 2, .dim_names = names, .dim_values = values};
  assert_true(run_module(m, s, in, out, &opt));
  expect_vector(out[0], DT_i32, 5, VALUES(0, 1, 2, 3, 4));
  opt.dim_values = conflict;
  assert_false(run_module(m, s, in, out, &opt));
  scratch_expect(s, DIAG_ID_interp_dim_conflict, "dim `fixed` is 2 by the inputs, but 1 was asked for");
  names[1] = "m";
  assert_false(run_module(m, s, in, out, &opt));
  scratch_expect(s, DIAG_ID_interp_dim_unknown, "there is no dim `m`");
}

// A dim that only a state has is the top of its range, unless asked for.
static void dims_of_states(void **state) {
  scratch *s = *state;
  ir_module *m = module_of(s, "dim room in 1..4\n"
                              "state list : f32[room] = 7\n"
                              "graph forward() {\n"
                              "  %0 = state() {name=\"list\"} : f32[room]\n"
                              "  return y: %0\n"
                              "}\n");
  ir_tensor *out[1], *kept[1] = {NULL};
  assert_true(run_module(m, s, NULL, out, NULL));
  expect_vector(out[0], DT_f32, 4, VALUES(7, 7, 7, 7));
  const char *names[] = {"room"};
  const int64_t two[] = {2};
  interp_options opt = {.n_dims = 1, .dim_names = names, .dim_values = two, .states = kept};
  assert_true(run_module(m, s, NULL, out, &opt));
  expect_vector(kept[0], DT_f32, 2, VALUES(7, 7));
  opt.n_dims = 0; // the state was made with 2, now 4 are expected
  assert_false(run_module(m, s, NULL, out, &opt));
  scratch_expect(s, DIAG_ID_interp_shape, "`state` met a shape [2] where [4] was expected");
}

static void defaults_of_inputs(void **state) {
  scratch *s = *state;
  ir_module *m = module_of(s, "dim n in 1..8\n"
                              "graph forward(%0 a: f32[n], %1 b: f32[n]) {\n"
                              "  %2 = add(%0, %1) : f32[n]\n"
                              "  return y: %2\n"
                              "}\n");
  static const scalar one_half = {.dt = DT_f32, .v.f = 0.5};
  ir_graph_find(m, "forward")->param_defaults[1] = &one_half;
  ir_tensor *out[1];
  assert_true(run_module(m, s, TENSORS(vector_of(s, DT_f32, 2, VALUES(1, 2)), NULL), out, NULL));
  expect_vector(out[0], DT_f32, 2, VALUES(1.5, 2.5));
}

static void sizes_at_run_time(void **state) {
  scratch *s = *state;
  static const char negative[] = "dim n in 0..8\n"
                                 "graph forward(%0 a: f32[n]) {\n"
                                 "  %1 = iota() {axis=0} : i32[n-2]\n"
                                 "  return y: %1\n"
                                 "}\n";
  expect_vector(run_text(s, negative, 1, TENSORS(blank(s, 1, DIMS(3)))), DT_i32, 1, VALUES(0));
  assert_null(run_text(s, negative, 1, TENSORS(blank(s, 1, DIMS(1)))));
  scratch_expect(s, DIAG_ID_interp_size, "`n-2` is negative");
  static const char guarded[] = "dim n in 0..8\n"
                                "graph forward(%0 a: f32[n]) {\n"
                                "  check() {cond=n-2, text=\"n is at least 2\"}\n"
                                "  return y: %0\n"
                                "}\n";
  assert_non_null(run_text(s, guarded, 1, TENSORS(blank(s, 1, DIMS(2)))));
  assert_null(run_text(s, guarded, 1, TENSORS(blank(s, 1, DIMS(1)))));
  scratch_expect(s, DIAG_ID_interp_check, "a check on dims fails: n is at least 2");
}

static void dims_from_values(void **state) {
  scratch *s = *state;
  static const char text[] = "dim kept in 1..3\n"
                             "graph forward(%0 mask: bool[4]) {\n"
                             "  %1 = sum(%0) {axes=[0]} : i32[]\n"
                             "  bind(%1) {dim=kept}\n"
                             "  %2 = iota() {axis=0} : i32[2*kept]\n"
                             "  return y: %2\n"
                             "}\n";
  const ir_tensor *two = vector_of(s, DT_bool, 4, VALUES(1, 0, 1, 0)),
                  *four = vector_of(s, DT_bool, 4, VALUES(1, 1, 1, 1));
  expect_vector(run_text(s, text, 1, TENSORS(two)), DT_i32, 4, VALUES(0, 1, 2, 3));
  assert_null(run_text(s, text, 1, TENSORS(four)));
  scratch_expect(s, DIAG_ID_interp_dim_range, "dim `kept` is 4; its range is 1..3");
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(binds_and_checks), CASE(steps_and_late_bindings), CASE(options_and_ranges), CASE(dims_from_values),
      CASE(dims_of_states),   CASE(defaults_of_inputs),      CASE(sizes_at_run_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
