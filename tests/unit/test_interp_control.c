// Control flow, calls, states and updates in the interpreter, on programs whose results are known.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "interp_run.h"

static const char fibonacci[] = "graph forward(%0 a: i32[]) {\n"
                                "  %1 = const() {value=0} : i64[]\n"
                                "  %2 = const() {value=1} : i64[]\n"
                                "  %3, %4 = loop(%0, %1, %2) {\n"
                                "    (%5: i32[], %6: i64[], %7: i64[])\n"
                                "    %8 = add(%6, %7) : i64[]\n"
                                "    yield %7, %8\n"
                                "  } : i64[], i64[]\n"
                                "  return y: %3\n"
                                "}\n";

static void loops(void **state) {
  scratch *s = *state;
  expect_tensor(run_text(s, fibonacci, 1, TENSORS(scalar_of(s, DT_i32, 50))), DT_i64, 0, NULL, VALUES(12586269025.0));
  expect_tensor(run_text(s, fibonacci, 1, TENSORS(scalar_of(s, DT_i32, 0))), DT_i64, 0, NULL, VALUES(0));
  expect_tensor(run_text(s, fibonacci, 1, TENSORS(scalar_of(s, DT_i32, -3))), DT_i64, 0, NULL, VALUES(0));
  // The index counts from 0, outer values are seen inside, and loops nest: sum over i < n of i * n.
  static const char nested[] = "graph forward(%0 a: i32[]) {\n"
                               "  %1 = const() {value=0} : i32[]\n"
                               "  %2 = loop(%0, %1) {\n"
                               "    (%3: i32[], %4: i32[])\n"
                               "    %5 = loop(%0, %4) {\n"
                               "      (%6: i32[], %7: i32[])\n"
                               "      %8 = add(%7, %3) : i32[]\n"
                               "      yield %8\n"
                               "    } : i32[]\n"
                               "    yield %5\n"
                               "  } : i32[]\n"
                               "  return y: %2\n"
                               "}\n";
  expect_tensor(run_text(s, nested, 1, TENSORS(scalar_of(s, DT_i32, 5))), DT_i32, 0, NULL, VALUES(50));
}

// Steps of the Collatz sequence until 1.
static const char collatz[] = "graph forward(%0 a: i64[]) {\n"
                              "  %1 = const() {value=0} : i64[]\n"
                              "  %2 = const() {value=1} : i64[]\n"
                              "  %3 = const() {value=2} : i64[]\n"
                              "  %4, %5 = while(%0, %1) {max=111} {\n"
                              "    (%6: i64[], %7: i64[])\n"
                              "    %8 = lt(%2, %6) : bool[]\n"
                              "    yield %8\n"
                              "  } {\n"
                              "    (%9: i64[], %10: i64[])\n"
                              "    %11 = mod(%9, %3) : i64[]\n"
                              "    %12 = eq(%11, %2) : bool[]\n"
                              "    %13 = if(%12) {\n"
                              "      ()\n"
                              "      %14 = add(%9, %9) : i64[]\n"
                              "      %15 = add(%14, %9) : i64[]\n"
                              "      %16 = add(%15, %2) : i64[]\n"
                              "      yield %16\n"
                              "    } {\n"
                              "      ()\n"
                              "      %17 = floordiv(%9, %3) : i64[]\n"
                              "      yield %17\n"
                              "    } : i64[]\n"
                              "    %18 = add(%10, %2) : i64[]\n"
                              "    yield %13, %18\n"
                              "  } : i64[], i64[]\n"
                              "  return steps: %5, last: %4\n"
                              "}\n";

static void whiles_and_ifs(void **state) {
  scratch *s = *state;
  expect_tensor(run_text(s, collatz, 1, TENSORS(scalar_of(s, DT_i64, 27))), DT_i64, 0, NULL,
                VALUES(111)); // just allowed
  expect_tensor(run_text(s, collatz, 1, TENSORS(scalar_of(s, DT_i64, 1))), DT_i64, 0, NULL, VALUES(0));
  assert_null(run_text(s, collatz, 1, TENSORS(scalar_of(s, DT_i64, 97)))); // needs 118
  scratch_expect(s, DIAG_ID_interp_while_bound, "still holds after 111 turns");
}

static void calls_bind_dims_afresh(void **state) {
  scratch *s = *state;
  static const char text[] = "dim n in 1..8\n"
                             "dim m in 1..8\n"
                             "graph double(%0 a: f32[n]) {\n"
                             "  %1 = concat(%0, %0) {axis=0} : f32[2*n]\n"
                             "  return y: %1\n"
                             "}\n"
                             "graph forward(%0 a: f32[n]) {\n"
                             "  %1 = call(%0) {graph=\"double\"} : f32[2*n]\n"
                             "  %2 = call(%1) {graph=\"double\"} : f32[4*n]\n"
                             "  return y: %2\n"
                             "}\n";
  const double x[] = {1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2};
  expect_vector(run_text(s, text, 1, TENSORS(vector_of(s, DT_f32, 2, x))), DT_f32, 8, x);
  assert_null(run_text(s, text, 1, TENSORS(vector_of(s, DT_f32, 5, x)))); // 10 in the second call
  scratch_expect(s, DIAG_ID_interp_dim_range, "dim `n` is 10");
}

// The text form cannot say it: only a builder can make a graph that calls itself.
static void recursion_is_refused(void **state) {
  scratch *s = *state;
  ir_module *m = ir_module_new(s->a, &s->l, "m");
  ir_graph *g = ir_graph_new(m, "forward", true);
  ir_value *x = ir_graph_param(g, "x", ir_type_ints(m, DT_f32, 0, NULL), NULL);
  ir_graph_output(g, "y", x);
  ir_builder b;
  ir_builder_init(&b, m, g->body);
  const ir_attr graph = attr_str(m, "graph", "forward");
  const ir_node *call = ir_build(&b, OP_call, 1, &x, 1, &graph, 1, &x->type, 0, NULL);
  assert_non_null(call);
  g->body->yields[0] = &call->out[0];
  ir_tensor *out[1];
  assert_false(run_module(m, s, TENSORS(scalar_of(s, DT_f32, 1)), out, NULL));
  scratch_expect(s, DIAG_ID_interp_recursion, "graph `forward` calls itself");
}

// A counter and a list kept between runs; `step` is called twice by `forward`.
static const char stateful[] = "state count : i32[] = 10\n"
                               "state list : f32[4] = -1\n"
                               "graph step(%0 a: f32[1]) {\n"
                               "  %1 = state() {name=\"count\"} : i32[]\n"
                               "  %2 = state() {name=\"list\"} : f32[4]\n"
                               "  %3 = const() {value=10} : i32[]\n"
                               "  %4 = sub(%1, %3) : i32[]\n"
                               "  %5 = update(%2, %0, %4) {axes=[0], sizes=[1]} : f32[4]\n"
                               "  %6 = const() {value=1} : i32[]\n"
                               "  %7 = add(%1, %6) : i32[]\n"
                               "  %8 = update(%1, %7) {axes=[], sizes=[]} : i32[]\n"
                               "  return y: %5\n"
                               "}\n"
                               "graph forward(%0 a: f32[1], %1 b: f32[1]) {\n"
                               "  %2 = call(%0) {graph=\"step\"} : f32[4]\n"
                               "  %3 = call(%1) {graph=\"step\"} : f32[4]\n"
                               "  return first: %2, second: %3\n"
                               "}\n";

static void states_persist(void **state) {
  scratch *s = *state;
  ir_module *m = module_of(s, stateful);
  ir_tensor *out[2], *kept[2] = {NULL, NULL};
  const interp_options opt = {.states = kept};
  const ir_tensor *a = vector_of(s, DT_f32, 1, VALUES(5)), *b = vector_of(s, DT_f32, 1, VALUES(6));
  assert_true(run_module(m, s, TENSORS(a, b), out, &opt));
  expect_vector(out[0], DT_f32, 4, VALUES(5, -1, -1, -1));
  expect_vector(out[1], DT_f32, 4, VALUES(5, 6, -1, -1));
  expect_tensor(kept[0], DT_i32, 0, NULL, VALUES(12));
  assert_true(run_module(m, s, TENSORS(b, a), out, &opt));
  expect_vector(out[1], DT_f32, 4, VALUES(5, 6, 6, 5));
  expect_vector(kept[1], DT_f32, 4, VALUES(5, 6, 6, 5));
  assert_false(run_module(m, s, TENSORS(a, a), out, &opt)); // the list is full
  scratch_expect(s, DIAG_ID_interp_index, "`update`: index 4 is out of range for size 4");
  expect_tensor(kept[0], DT_i32, 0, NULL, VALUES(14));     // a failed run leaves the states
  assert_true(run_module(m, s, TENSORS(a, b), out, NULL)); // without options: from the initial values again
  expect_vector(out[0], DT_f32, 4, VALUES(5, -1, -1, -1));
}

static void updates_write_where_told(void **state) {
  scratch *s = *state;
  static const char text[] = "graph forward(%0 a: f32[2,5], %1 b: f32[1,2], %2 c: i32[], %3 d: i32[]) {\n"
                             "  %4 = update(%0, %1, %2, %3) {axes=[0,1], sizes=[1,2], step=2} : f32[2,5]\n"
                             "  return y: %4, x: %0\n"
                             "}\n";
  const double x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  ir_module *m = module_of(s, text);
  ir_tensor *out[2];
  const ir_tensor *base = tensor_of(s, DT_f32, 2, DIMS(2, 5), x),
                  *value = tensor_of(s, DT_f32, 2, DIMS(1, 2), VALUES(70, 80));
  assert_true(run_module(m, s, TENSORS(base, value, scalar_of(s, DT_i32, 1), scalar_of(s, DT_i32, 2)), out, NULL));
  expect_tensor(out[0], DT_f32, 2, DIMS(2, 5), VALUES(0, 1, 2, 3, 4, 5, 6, 70, 8, 80));
  expect_tensor(out[1], DT_f32, 2, DIMS(2, 5), x); // the old version is untouched
  assert_false(run_module(m, s, TENSORS(base, value, scalar_of(s, DT_i32, 1), scalar_of(s, DT_i32, 3)), out, NULL));
  scratch_expect(s, DIAG_ID_interp_index, "`update`: index 5 is out of range for size 5");
  assert_false(run_module(m, s, TENSORS(base, value, scalar_of(s, DT_i32, -1), scalar_of(s, DT_i32, 0)), out, NULL));
  scratch_expect(s, DIAG_ID_interp_index, "index -1 is out of range");
}

static void what_is_missing(void **state) {
  scratch *s = *state;
  static const char weights[] = "weight w : f32[2]\n"
                                "graph forward(%0 a: f32[2]) {\n"
                                "  %1 = weight() {name=\"w\"} : f32[2]\n"
                                "  %2 = add(%0, %1) : f32[2]\n"
                                "  return y: %2\n"
                                "}\n";
  const float data[] = {0.5f, 0.25f};
  ir_module *m = module_of(s, weights);
  ir_tensor *out[1];
  const ir_tensor *const in[] = {vector_of(s, DT_f32, 2, VALUES(1, 2))};
  assert_false(run_module(m, s, in, out, NULL));
  scratch_expect(s, DIAG_ID_interp_weight, "weight `w` has no data");
  ir_weight_find(m, "w")->data = data;
  assert_true(run_module(m, s, in, out, NULL));
  expect_vector(out[0], DT_f32, 2, VALUES(1.5, 2.25));
  static const char custom[] = "graph forward(%0 a: f32[2]) {\n"
                               "  %1 = custom(%0) {name=\"mine\"} : f32[2]\n"
                               "  return y: %1\n"
                               "}\n";
  assert_null(run_text(s, custom, 1, in));
  scratch_expect(s, DIAG_ID_interp_custom, "custom operator `mine`");
}

static void groups_and_inputs(void **state) {
  scratch *s = *state;
  static const char text[] = "graph forward(%0 a: f32[3], %1 b: f32[3]) {\n"
                             "  %2 = input() {name=\"b\"} : f32[3]\n"
                             "  %3, %4 = group(%0, %2) {kind=\"elem\", name=\"g\"} {\n"
                             "    (%5: f32[3], %6: f32[3])\n"
                             "    %7 = sub(%5, %6) : f32[3]\n"
                             "    %8 = abs(%7) : f32[3]\n"
                             "    yield %8, %7\n"
                             "  } : f32[3], f32[3]\n"
                             "  %9 = add(%3, %4) : f32[3]\n"
                             "  return y: %9\n"
                             "}\n";
  const ir_tensor *a = vector_of(s, DT_f32, 3, VALUES(1, 5, 2)), *b = vector_of(s, DT_f32, 3, VALUES(3, 1, 2));
  expect_vector(run_text(s, text, 2, TENSORS(a, b)), DT_f32, 3, VALUES(0, 8, 0));
}

typedef struct log {
  size_t n;
  uint32_t ids[8];
} log;

static void note(void *user, const ir_value *v, const ir_tensor *t) {
  log *seen = user;
  assert_non_null(t->data);
  if (seen->n < 8) seen->ids[seen->n] = v->id;
  seen->n++;
}

static void every_value_is_watched(void **state) {
  scratch *s = *state;
  ir_module *m = module_of(s, fibonacci);
  log seen = {0};
  ir_tensor *out[1];
  const interp_options opt = {.watch = note, .user = &seen};
  assert_true(run_module(m, s, TENSORS(scalar_of(s, DT_i32, 3)), out, &opt));
  assert_int_equal(seen.n, 1 + 2 + 3 * (3 + 1) + 2); // input, constants, a turn's parameters and its sum, two results
  assert_int_equal(seen.ids[7], seen.ids[3]);        // the second turn's first parameter is the first turn's
}

// A source that knows how much is out.
typedef struct meter {
  mem_source source;
  size_t live, peak;
} meter;

static void *meter_alloc(void *user, size_t size_bytes) {
  meter *m = user;
  size_t *p = malloc(size_bytes + 16);
  if (!p) return NULL;
  *p = size_bytes;
  m->live += size_bytes;
  if (m->live > m->peak) m->peak = m->live;
  return p + 2;
}

static void meter_release(void *user, void *block) {
  meter *m = user;
  if (!block) return;
  size_t *p = (size_t *)block - 2;
  m->live -= *p;
  free(p);
}

// Values die after their last use: 200 turns over a megabyte need no more memory than two.
static void memory_is_what_is_alive(void **state) {
  (void)state;
  static const char text[] = "graph forward(%0 a: i32[]) {\n"
                             "  %1 = const() {value=1} : f32[262144]\n"
                             "  %2 = loop(%0, %1) {\n"
                             "    (%3: i32[], %4: f32[262144])\n"
                             "    %5 = neg(%4) : f32[262144]\n"
                             "    %6 = neg(%5) : f32[262144]\n"
                             "    yield %6\n"
                             "  } : f32[262144]\n"
                             "  %7 = sum(%2) {axes=[0]} : f32[]\n"
                             "  return y: %7\n"
                             "}\n";
  size_t peak[2];
  for (int i = 0; i < 2; i++) {
    meter m = {.source = {.alloc = meter_alloc, .release = meter_release, .user = &m}};
    arena *a = arena_new(&m.source);
    diag_list l;
    diag_init(&l, a);
    ir_module *module = graph_parse(a, &l, diag_add_file(&l, "loop", STR(text)));
    assert_non_null(module);
    ir_tensor *turns = ir_tensor_new(a, DT_i32, 0, NULL), *out[1];
    *(int32_t *)turns->data = i == 0 ? 2 : 20;
    assert_true(interp_run(a, module->graphs.at[0], TENSORS(turns), out, NULL));
    expect_tensor(out[0], DT_f32, 0, NULL, VALUES(262144));
    peak[i] = m.peak;
    arena_free(a);
    assert_int_equal(m.live, 0);
  }
  assert_true(peak[1] <= peak[0] + 65536);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(loops),
      CASE(whiles_and_ifs),
      CASE(calls_bind_dims_afresh),
      CASE(recursion_is_refused),
      CASE(states_persist),
      CASE(updates_write_where_told),
      CASE(what_is_missing),
      CASE(groups_and_inputs),
      CASE(every_value_is_watched),
      CASE(memory_is_what_is_alive),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
