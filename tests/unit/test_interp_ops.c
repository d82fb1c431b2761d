// Operators of the interpreter on hand-computed cases, and their data errors. The bulk of the numbers is judged by
// tests/op.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "counting_source.h"
#include "interp_run.h"

static void contractions(void **state) {
  scratch *s = *state;
  static const char matmul[] = "graph forward(%0 a: i8[2,3], %1 b: i8[3,2]) {\n"
                               "  %2 = contract(%0, %1) {map=\"m k, k n -> m n\"} : i8[2,2]\n"
                               "  return y: %2\n"
                               "}\n";
  const ir_tensor *a = tensor_of(s, DT_i8, 2, DIMS(2, 3), VALUES(1, 2, 3, 100, 100, 100));
  const ir_tensor *b = tensor_of(s, DT_i8, 2, DIMS(3, 2), VALUES(1, 10, 2, 20, 3, 30));
  expect_tensor(run_text(s, matmul, 2, TENSORS(a, b)), DT_i8, 2, DIMS(2, 2),
                VALUES(14, -116, 88, 112)); // 600, 6000 wrap

  // A window that hangs over both ends, and one that runs backwards.
  static const char conv[] = "graph forward(%0 a: f32[4], %1 b: f32[3]) {\n"
                             "  %2 = contract(%0, %1) {map=\"(x+k-1), k -> x; x = 4\"} : f32[4]\n"
                             "  %3 = contract(%0, %1) {map=\"(x-k), k -> x; x = 6\"} : f32[6]\n"
                             "  %4 = contract(%0, %1) {map=\"((x-k)/2), k -> x; x = 9\"} : f32[9]\n"
                             "  return same: %2, full: %3, transposed: %4\n"
                             "}\n";
  ir_tensor *out[3];
  ir_module *m = module_of(s, conv);
  const ir_tensor *const in[] = {vector_of(s, DT_f32, 4, VALUES(1, 2, 3, 4)),
                                 vector_of(s, DT_f32, 3, VALUES(1, 10, 100))};
  assert_true(run_module(m, s, in, out, NULL));
  expect_vector(out[0], DT_f32, 4, VALUES(210, 321, 432, 43));
  expect_vector(out[1], DT_f32, 6, VALUES(1, 12, 123, 234, 340, 400));
  expect_vector(out[2], DT_f32, 9, VALUES(1, 10, 102, 20, 203, 30, 304, 40, 400));

  static const char empty[] = "dim k in 0..4\n"
                              "graph forward(%0 a: f32[2,k], %1 b: f32[k]) {\n"
                              "  %2 = contract(%0, %1) {map=\"m k, k -> m\"} : f32[2]\n"
                              "  return y: %2\n"
                              "}\n";
  const ir_tensor *none = tensor_of(s, DT_f32, 2, DIMS(2, 0), NULL), *nothing = vector_of(s, DT_f32, 0, NULL);
  expect_vector(run_text(s, empty, 2, TENSORS(none, nothing)), DT_f32, 2, VALUES(0, 0));
}

static void reductions(void **state) {
  scratch *s = *state;
  static const char pools[] = "graph forward(%0 a: f32[5]) {\n"
                              "  %1 = amax(%0) {map=\"(x*2+k-1) -> x; x = 3, k = 3\", else=-inf} : f32[3]\n"
                              "  %2 = amax(%0) {map=\"(x*2+k-1) -> x; x = 3, k = 3\"} : f32[3]\n"
                              "  %3 = sum(%0) {map=\"(x*2+k-1) -> x; x = 3, k = 3\", else=10} : f32[3]\n"
                              "  return a: %1, b: %2, c: %3\n"
                              "}\n";
  ir_tensor *out[5];
  ir_module *m = module_of(s, pools);
  assert_true(run_module(m, s, TENSORS(vector_of(s, DT_f32, 5, VALUES(-5, -4, -3, -2, -1))), out, NULL));
  expect_vector(out[0], DT_f32, 3, VALUES(-4, -2, -1));
  expect_vector(out[1], DT_f32, 3, VALUES(0, -2, 0)); // outside is 0 unless said
  expect_vector(out[2], DT_f32, 3, VALUES(1, -9, 7));

  static const char empty[] = "dim n in 0..4\n"
                              "graph forward(%0 a: f32[n], %1 b: i32[n]) {\n"
                              "  %2 = sum(%0) {axes=[0]} : f32[]\n"
                              "  %3 = prod(%0) {axes=[0]} : f32[]\n"
                              "  %4 = amax(%0) {axes=[0]} : f32[]\n"
                              "  %5 = amin(%0) {axes=[0]} : f32[]\n"
                              "  %6 = amax(%1) {axes=[0]} : i32[]\n"
                              "  return a: %2, b: %3, c: %4, d: %5, e: %6\n"
                              "}\n";
  m = module_of(s, empty);
  assert_true(run_module(m, s, TENSORS(vector_of(s, DT_f32, 0, NULL), vector_of(s, DT_i32, 0, NULL)), out, NULL));
  const double expected[] = {0, 1, -INFINITY, INFINITY, INT32_MIN};
  for (int i = 0; i < 5; i++) expect_tensor(out[i], i == 4 ? DT_i32 : DT_f32, 0, NULL, &expected[i]);

  static const char best[] = "dim n in 0..4\n"
                             "graph forward(%0 a: f32[n]) {\n"
                             "  %1 = argmax(%0) {axes=[0]} : i32[]\n"
                             "  return y: %1\n"
                             "}\n";
  expect_tensor(run_text(s, best, 1, TENSORS(vector_of(s, DT_f32, 3, VALUES(1, NAN, NAN)))), DT_i32, 0, NULL,
                VALUES(1));
  assert_null(run_text(s, best, 1, TENSORS(vector_of(s, DT_f32, 0, NULL))));
  scratch_expect(s, DIAG_ID_interp_malformed, "`argmax` cannot be evaluated: it has no element to choose from");
}

static void data_errors(void **state) {
  scratch *s = *state;
  static const char gather[] = "graph forward(%0 a: f32[3], %1 b: i32[2]) {\n"
                               "  %2 = gather(%0, %1) {axis=0} : f32[2]\n"
                               "  return y: %2\n"
                               "}\n";
  const ir_tensor *x = vector_of(s, DT_f32, 3, VALUES(10, 20, 30));
  expect_vector(run_text(s, gather, 2, TENSORS(x, vector_of(s, DT_i32, 2, VALUES(2, 0)))), DT_f32, 2, VALUES(30, 10));
  assert_null(run_text(s, gather, 2, TENSORS(x, vector_of(s, DT_i32, 2, VALUES(0, 3)))));
  scratch_expect(s, DIAG_ID_interp_index, "`gather`: index 3 is out of range for size 3");
  assert_null(run_text(s, gather, 2, TENSORS(x, vector_of(s, DT_i32, 2, VALUES(-1, 0)))));
  scratch_expect(s, DIAG_ID_interp_index, "index -1");

  static const char scatter[] = "graph forward(%0 a: f32[3], %1 b: i32[2], %2 c: f32[2]) {\n"
                                "  %3 = scatter(%0, %1, %2) {axis=0, mode=\"set\"} : f32[3]\n"
                                "  return y: %3\n"
                                "}\n";
  const ir_tensor *v = vector_of(s, DT_f32, 2, VALUES(1, 2));
  expect_vector(run_text(s, scatter, 3, TENSORS(x, vector_of(s, DT_i32, 2, VALUES(1, 1)), v)), DT_f32, 3,
                VALUES(10, 2, 30));
  assert_null(run_text(s, scatter, 3, TENSORS(x, vector_of(s, DT_i32, 2, VALUES(1, 7)), v)));
  scratch_expect(s, DIAG_ID_interp_index, "`scatter`: index 7");

  static const char slice[] = "graph forward(%0 a: f32[3], %1 b: i32[]) {\n"
                              "  %2 = slice(%0, %1) {axis=0, size=2} : f32[2]\n"
                              "  return y: %2\n"
                              "}\n";
  expect_vector(run_text(s, slice, 2, TENSORS(x, scalar_of(s, DT_i32, 1))), DT_f32, 2, VALUES(20, 30));
  assert_null(run_text(s, slice, 2, TENSORS(x, scalar_of(s, DT_i32, 2))));
  scratch_expect(s, DIAG_ID_interp_index, "`slice`: index 3");
  assert_null(run_text(s, slice, 2, TENSORS(x, scalar_of(s, DT_i32, -1))));
  scratch_expect(s, DIAG_ID_interp_index, "`slice`: index -1");

  static const char topk[] = "dim n in 0..4\n"
                             "graph forward(%0 a: f32[n]) {\n"
                             "  %1, %2 = topk(%0) {k=2, axis=0} : f32[2], i32[2]\n"
                             "  return y: %1\n"
                             "}\n";
  expect_vector(run_text(s, topk, 1, TENSORS(x)), DT_f32, 2, VALUES(30, 20));
  assert_null(run_text(s, topk, 1, TENSORS(vector_of(s, DT_f32, 1, VALUES(1)))));
  scratch_expect(s, DIAG_ID_interp_check, "2 exceeds n"); // the builder's guard
}

// What the types of one graph cannot tell: the callee's dims are its own.
static void shapes_at_run_time(void **state) {
  scratch *s = *state;
  static const char text[] = "dim n in 1..9\n"
                             "dim m in 1..9\n"
                             "graph twice(%0 a: f32[n]) {\n"
                             "  %1 = concat(%0, %0) {axis=0} : f32[2*n]\n"
                             "  return y: %1\n"
                             "}\n"
                             "graph forward(%0 a: f32[n], %1 b: f32[m]) {\n"
                             "  %2 = call(%0) {graph=\"twice\"} : f32[m]\n"
                             "  %3 = add(%1, %2) : f32[m]\n"
                             "  return y: %3\n"
                             "}\n";
  const double x[] = {1, 2, 3, 4, 5};
  const ir_tensor *two = vector_of(s, DT_f32, 2, x);
  expect_vector(run_text(s, text, 2, TENSORS(two, vector_of(s, DT_f32, 4, x))), DT_f32, 4, VALUES(2, 4, 4, 6));
  assert_null(run_text(s, text, 2, TENSORS(two, vector_of(s, DT_f32, 5, x))));
  scratch_expect(s, DIAG_ID_interp_shape, "`call` met a shape [4] where [5] was expected");
}

static const char mixed[] = "dim n in 1..8\n"
                            "graph forward(%0 a: f32[n,n], %1 b: i32[]) {\n"
                            "  %2 = contract(%0, %0) {map=\"m k, k n -> m n\"} : f32[n,n]\n"
                            "  %3, %4 = lu(%2) : f32[n,n], i32[n]\n"
                            "  %5, %6 = sort(%3) {axis=1} : f32[n,n], i32[n,n]\n"
                            "  %7 = loop(%1, %5) {\n"
                            "    (%8: i32[], %9: f32[n,n])\n"
                            "    %10 = transpose(%9) {perm=[1,0]} : f32[n,n]\n"
                            "    yield %10\n"
                            "  } : f32[n,n]\n"
                            "  %11 = sum(%7) {axes=[0,1]} : f32[]\n"
                            "  return y: %11\n"
                            "}\n";

static void run_mixed(arena *a, void *user) {
  (void)user;
  diag_list l;
  diag_init(&l, a);
  ir_module *m = graph_parse(a, &l, diag_add_file(&l, "mixed", STR(mixed)));
  ir_tensor *x = ir_tensor_new(a, DT_f32, 2, DIMS(2, 2)), *turns = ir_tensor_new(a, DT_i32, 0, NULL), *out[1];
  const float values[4] = {1, 2, 3, 4};
  for (int i = 0; i < 4; i++) ((float *)x->data)[i] = values[i];
  *(int32_t *)turns->data = 2;
  assert_true(interp_run(a, m->graphs.at[0], TENSORS(x, turns), out, NULL));
  // [[7,10],[15,22]] = P L U with U = [[15,22],[0,10-22*7/15]], L = 7/15
  assert_true(fabsf(*(const float *)out[0]->data - (float)(15 + 22 + 10 - 22 * 7 / 15.0 + 7 / 15.0)) < 1e-5f);
}

static void out_of_memory_leaves_nothing(void **state) {
  (void)state;
  counting_source c;
  for (size_t fail_at = 2;; fail_at++) {
    counting_source_init(&c, fail_at);
    arena *a = arena_new(&c.source);
    int code = run_guarded(a, run_mixed, NULL);
    arena_free(a);
    assert_int_equal(c.n_live, 0);
    if (code == 0) break;
    assert_int_equal(code, 1);
  }
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(contractions),
      CASE(reductions),
      CASE(data_errors),
      CASE(shapes_at_run_time),
      CASE(out_of_memory_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
