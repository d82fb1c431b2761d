// Functions of the language that have no reference vectors, against C's mathematics, or against results worked out by
// hand.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model_run.h"

// The same function on a tensor and, by the compiler, on a table and a constant.
static void elementwise_functions(void **state) {
  scratch *s = *state;
  static const struct {
    const char *name;
    double (*f)(double);
  } functions[] = {{"exp", exp}, {"expm1", expm1}, {"log", log},   {"log1p", log1p},     {"sqrt", sqrt},
                   {"sin", sin}, {"cos", cos},     {"tan", tan},   {"atan", atan},       {"tanh", tanh},
                   {"erf", erf}, {"floor", floor}, {"ceil", ceil}, {"round", nearbyint}, {"abs", fabs}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    const char *name = functions[i].name;
    const char *text =
        str_fmt(s->a,
                HEAD "inputs:\n  x: f32[3]\nsteps:\n- y: %s(x)\n- z: %s(table((0.25, 1.5, 2.5)))\n- c: %s(1.5)\n"
                     "outputs:\n  y: y\n  z: z\n  c: c\n",
                name, name, name);
    ir_tensor **out = run_model(s, text, TENSORS(vector_of(s, DT_f32, 3, VALUES(0.25, 1.5, 2.5))));
    for (size_t k = 0; k < 3; k++) {
      float want = (float)functions[i].f((double[]){0.25, 1.5, 2.5}[k]);
      assert_float_equal(((const float *)out[0]->data)[k], want, 1e-6f * fabsf(want));
      assert_float_equal(((const float *)out[1]->data)[k], want, 0);
    }
    assert_float_equal(*(const float *)out[2]->data, (float)functions[i].f(1.5), 0);
  }
}

static void odd_elementwise(void **state) {
  scratch *s = *state;
  ir_tensor **out = run_model(
      s,
      HEAD "inputs:\n  x: f32[4]\nsteps:\n- y: x\noutputs:\n"
           "  sign: sign(x)\n  rsqrt: rsqrt(x)\n  odd: isnan(x)\n  isign: sign(cast(x, i32))\n  c: sign(-3)\n",
      TENSORS(vector_of(s, DT_f32, 4, VALUES(4, -2, 0, (double)NAN))));
  expect_vector(out[0], DT_f32, 4, VALUES(1, -1, 0, (double)NAN));
  expect_vector(out[1], DT_f32, 4, VALUES(0.5, (double)NAN, (double)INFINITY, (double)NAN));
  expect_vector(out[2], DT_bool, 4, VALUES(0, 0, 0, 1));
  expect_vector(out[3], DT_i32, 4, VALUES(1, -1, 0, 0));
  expect_tensor(out[4], DT_i32, 0, NULL, VALUES(-1));
}

static void numbers_of_the_compiler(void **state) {
  scratch *s = *state;
  ir_tensor **out = run_model(
      s,
      HEAD "inputs:\n  x: f32[1]\nsteps:\n- y: ones(2) * x\noutputs:\n"
           "  a: int(-2.75)\n  b: int(table((1.5, -1.5)))\n  c: make_divisible(30, 8)\n  d: make_divisible(11, 8)\n"
           "  e: len((1, 2)) + len('abc') + len(y)\n  f: as_tuple((9, 3))[1] + len(as_tuple(7)) - as_tuple(1, 2)[1] - "
           "2 ** 3 ** 1\n  g: 7 // -2\n  h: -7 % 3\n"
           "  i: 1e300 * 1e10\n  j: min(3, 2.5)\n  k: 2 ** -1\n  l: y\n",
      TENSORS(vector_of(s, DT_f32, 1, VALUES(3))));
  expect_tensor(out[0], DT_i32, 0, NULL, VALUES(-2));
  expect_vector(out[1], DT_i32, 2, VALUES(1, -1));
  expect_tensor(out[2], DT_i32, 0, NULL, VALUES(32));
  expect_tensor(out[3], DT_i32, 0, NULL, VALUES(16)); // 8 would be more than a tenth down
  expect_tensor(out[4], DT_i32, 0, NULL, VALUES(7));
  expect_tensor(out[5], DT_i32, 0, NULL, VALUES(-5));
  expect_tensor(out[6], DT_i32, 0, NULL, VALUES(-4));
  expect_tensor(out[7], DT_i32, 0, NULL, VALUES(2));
  expect_tensor(out[8], DT_f32, 0, NULL, VALUES((double)INFINITY));
  expect_tensor(out[9], DT_f32, 0, NULL, VALUES(2.5));
  expect_tensor(out[10], DT_f32, 0, NULL, VALUES(0.5));
  expect_vector(out[11], DT_f32, 2, VALUES(3, 3));
}

static void caches_grow(void **state) {
  scratch *s = *state;
  ir_tensor **out = run_model(s,
                              HEAD "inputs:\n  cache: f32[2, 1, 4, 1]\n  new: f32[2, 1, 2, 1]\n  at: i32[2]\nsteps:\n"
                                   "- y: cache_append(cache, new, at)\noutputs:\n  y: y\n",
                              TENSORS(tensor_of(s, DT_f32, 4, DIMS(2, 1, 4, 1), VALUES(1, 2, 3, 4, 5, 6, 7, 8)),
                                      tensor_of(s, DT_f32, 4, DIMS(2, 1, 2, 1), VALUES(10, 20, 30, 40)),
                                      vector_of(s, DT_i32, 2, VALUES(2, 0))));
  expect_tensor(out[0], DT_f32, 4, DIMS(2, 1, 4, 1), VALUES(1, 2, 10, 20, 30, 40, 7, 8));
}

// A kernel of ones doubles every place in each direction with stride 2.
static void transposed_in_three_dims(void **state) {
  scratch *s = *state;
  ir_module *m = elaborated(
      s,
      HEAD "inputs:\n  x: f32[1, 1, 1, 1, 2]\nsteps:\n- y@c: conv_transpose3d(x, 1, 2, stride=2)\noutputs:\n  y: y\n",
      NULL);
  assert_string_equal(m->weights.at[0]->name, "c.weight");
  m->weights.at[0]->data = vector_of(s, DT_f32, 8, VALUES(1, 1, 1, 1, 1, 1, 1, 2))->data;
  m->weights.at[1]->data = vector_of(s, DT_f32, 1, VALUES(0.5))->data;
  ir_tensor **out = run_entry(s, m, "forward", TENSORS(tensor_of(s, DT_f32, 5, DIMS(1, 1, 1, 1, 2), VALUES(3, 5))));
  assert_non_null(out);
  expect_tensor(out[0], DT_f32, 5, DIMS(1, 1, 2, 2, 4),
                VALUES(3.5, 3.5, 5.5, 5.5, 3.5, 3.5, 5.5, 5.5, 3.5, 3.5, 5.5, 5.5, 3.5, 6.5, 5.5, 10.5));
}

static void boxes_are_suppressed(void **state) {
  scratch *s = *state;
  ir_tensor **out =
      run_model(s,
                HEAD "dims:\n  n: 1..9\n  kept: 0..3\ninputs:\n  boxes: f32[n, 4]\n  scores: f32[n]\nsteps:\n"
                     "- order, kept: nms(boxes, scores, 0.5, 3)\n- best: take(boxes, order[:kept])\n"
                     "outputs:\n  best: best\n",
                TENSORS(tensor_of(s, DT_f32, 2, DIMS(3, 4), VALUES(0, 0, 4, 4, 0, 0, 4, 3, 5, 5, 6, 6)),
                        vector_of(s, DT_f32, 3, VALUES(0.5, 0.75, 0.25))));
  expect_tensor(out[0], DT_f32, 2, DIMS(2, 4), VALUES(0, 0, 4, 3, 5, 5, 6, 6)); // the first overlaps the second by 3/4
}

static void triangles_are_solved(void **state) {
  scratch *s = *state;
  ir_tensor **out = run_model(s,
                              HEAD "inputs:\n  a: f32[2, 2]\n  b: f32[2, 1]\nsteps:\n- y: b\noutputs:\n"
                                   "  low: triangular_solve(a, b)\n  up: triangular_solve(a, b, upper=True)\n"
                                   "  inv: matmul(matrix_inverse(a), a)\n",
                              TENSORS(tensor_of(s, DT_f32, 2, DIMS(2, 2), VALUES(2, 4, 1, 4)),
                                      tensor_of(s, DT_f32, 2, DIMS(2, 1), VALUES(2, 8))));
  expect_tensor(out[0], DT_f32, 2, DIMS(2, 1), VALUES(1, 1.75)); // entries beyond the triangle are not read
  expect_tensor(out[1], DT_f32, 2, DIMS(2, 1), VALUES(-3, 2));
  expect_tensor(out[2], DT_f32, 2, DIMS(2, 2), VALUES(1, 0, 0, 1));
}

// Mean 0 and variance 1, within five standard errors of 4,096 draws; a seed gives the same numbers again.
static void normal_numbers(void **state) {
  scratch *s = *state;
  ir_tensor **out = run_model(s,
                              HEAD "inputs:\n  seed: i32\nsteps:\n- x: normal(seed, 64, 64)\noutputs:\n"
                                   "  mean: mean(x)\n  var: var(x)\n  same: all(normal(seed, 64, 64) == x)\n"
                                   "  other: any(normal(seed + 1, 64, 64) == x)\n  inside: all(uniform(seed, 9) > 0)\n",
                              TENSORS(scalar_of(s, DT_i32, 7)));
  assert_true(fabsf(*(const float *)out[0]->data) < 5.0f / 64);
  assert_true(fabsf(*(const float *)out[1]->data - 1) < 5.0f * 1.4142f / 64);
  expect_tensor(out[2], DT_bool, 0, NULL, VALUES(1));
  expect_tensor(out[3], DT_bool, 0, NULL, VALUES(0));
  expect_tensor(out[4], DT_bool, 0, NULL, VALUES(1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(elementwise_functions),    TEST(odd_elementwise),      TEST(numbers_of_the_compiler), TEST(caches_grow),
      TEST(transposed_in_three_dims), TEST(boxes_are_suppressed), TEST(triangles_are_solved),    TEST(normal_numbers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
