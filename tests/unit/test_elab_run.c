// What the steps of a model do, seen by running it: small models are elaborated, verified and interpreted, and their
// results compared with what the language says they are.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model_run.h"

// -- run-time control --

static void loop_carries(void **state) {
  scratch *s = *state;
  const char *text = HEAD "inputs:\n  x: f32[2]\n  n: i32\nsteps:\n"
                          "- h: x\n"
                          "- last: full(-1, dtype=i32)\n"
                          "- loop i in range(n):\n"
                          "  - h: 2 * h + cast(i, f32)\n"
                          "  - last: i\n"
                          "  - inside: h\n"
                          "outputs:\n  h: h\n  last: last\n";
  ir_tensor **out = run_model(s, text, TENSORS(vector_of(s, DT_f32, 2, VALUES(1, 3)), scalar_of(s, DT_i32, 3)));
  expect_vector(out[0], DT_f32, 2, VALUES(12, 28)); // ((1*2+0)*2+1)*2+2
  expect_tensor(out[1], DT_i32, 0, NULL, VALUES(2));
  out = run_model(s, text, TENSORS(vector_of(s, DT_f32, 2, VALUES(1, 3)), scalar_of(s, DT_i32, 0)));
  expect_vector(out[0], DT_f32, 2, VALUES(1, 3)); // no turn at all
  expect_tensor(out[1], DT_i32, 0, NULL, VALUES(-1));
}

static void loop_counts(void **state) {
  scratch *s = *state;
  const char *text = HEAD "dims:\n  n: 1..9\ninputs:\n  x: f32[n]\nsteps:\n"
                          "- out: zeros(n, dtype=i32)\n"
                          "- turns: full(0, dtype=i32)\n"
                          "- loop i in range(1, n, 3):\n"
                          "  - update out[i]: 10 * i\n"
                          "  - turns: turns + 1\n"
                          "outputs:\n  out: out\n  turns: turns\n";
  ir_tensor **out = run_model(s, text, TENSORS(vector_of(s, DT_f32, 8, VALUES(0, 0, 0, 0, 0, 0, 0, 0))));
  expect_vector(out[0], DT_i32, 8, VALUES(0, 10, 0, 0, 40, 0, 0, 70));
  expect_tensor(out[1], DT_i32, 0, NULL, VALUES(3));
}

static void loop_carries_tuples(void **state) {
  scratch *s = *state;
  ir_tensor **out = run_model(s,
                              HEAD "inputs:\n  x: f32\nsteps:\n"
                                   "- pair: (x, (2 * x, 'kept'))\n"
                                   "- loop i in range(2):\n"
                                   "  - a, b: pair\n"
                                   "  - pair: (b[0], (a + 1, b[1]))\n"
                                   "- good: pair[1][1] == 'kept'\n"
                                   "outputs:\n  a: pair[0]\n  b: pair[1][0]\n  good: good\n",
                              TENSORS(scalar_of(s, DT_f32, 5)));
  expect_tensor(out[0], DT_f32, 0, NULL, VALUES(6)); // (5, 10) -> (10, 6) -> (6, 11)
  expect_tensor(out[1], DT_f32, 0, NULL, VALUES(11));
  expect_tensor(out[2], DT_bool, 0, NULL, VALUES(1));
}

static const char *const halving = HEAD "inputs:\n  x: f32\nsteps:\n"
                                        "- n: full(0, dtype=i32)\n"
                                        "- while x > 1, max 6:\n"
                                        "  - x: x / 2\n"
                                        "  - n: n + 1\n"
                                        "outputs:\n  x: x\n  n: n\n";

static void while_stops(void **state) {
  scratch *s = *state;
  ir_tensor **out = run_model(s, halving, TENSORS(scalar_of(s, DT_f32, 12)));
  expect_tensor(out[0], DT_f32, 0, NULL, VALUES(0.75));
  expect_tensor(out[1], DT_i32, 0, NULL, VALUES(4));
}

static void while_is_bounded(void **state) {
  scratch *s = *state;
  assert_null(run_entry(s, elaborated(s, halving, NULL), "forward", TENSORS(scalar_of(s, DT_f32, 1000))));
  uint32_t line, column;
  const char *file;
  diag_position(&s->l, s->l.items.at[0]->span, &file, &line, &column);
  assert_int_equal(line, 7); // the `while` itself
  scratch_expect(s, DIAG_ID_interp_while_bound, "6");
}

static void when_chooses(void **state) {
  scratch *s = *state;
  const char *text = HEAD "inputs:\n  x: f32\nstate:\n  seen: i32 = 10\nsteps:\n"
                          "- y: x\n"
                          "- when x > 0:\n"
                          "  - y: x * 2\n"
                          "  - new: x + 1\n"
                          "  - only: x\n"
                          "  - update seen: seen + 1\n"
                          "  else:\n"
                          "  - new: x - 1\n"
                          "- z: y\n"
                          "- when x > 5:\n"
                          "  - z: z + 100\n"
                          "outputs:\n  y: y\n  new: new\n  z: z\n  seen: seen\n";
  ir_tensor **out = run_model(s, text, TENSORS(scalar_of(s, DT_f32, 3)));
  for (size_t i = 0; i < 3; i++) expect_tensor(out[i], DT_f32, 0, NULL, VALUES(i == 1 ? 4 : 6));
  expect_tensor(out[3], DT_i32, 0, NULL, VALUES(11));
  out = run_model(s, text, TENSORS(scalar_of(s, DT_f32, -3)));
  expect_tensor(out[0], DT_f32, 0, NULL, VALUES(-3));
  expect_tensor(out[1], DT_f32, 0, NULL, VALUES(-4));
  expect_tensor(out[2], DT_f32, 0, NULL, VALUES(-3));
  expect_tensor(out[3], DT_i32, 0, NULL, VALUES(10));
}

// -- state --

static void state_moves_on(void **state) {
  scratch *s = *state;
  ir_tensor **out = run_model(s,
                              HEAD "state:\n  cache: f32[4, 2] = 7\n  n: i32 = 1\ninputs:\n  x: f32[2, 2]\nsteps:\n"
                                   "- before: cache[1]\n"
                                   "- update cache[n:n + 2]: x\n"
                                   "- update n: n + 2\n"
                                   "- update cache[n, 0]: 9\n"
                                   "- n2: n\n"
                                   "outputs:\n  before: before\n  cache: cache\n  n: n2\n",
                              TENSORS(tensor_of(s, DT_f32, 2, DIMS(2, 2), VALUES(1, 2, 3, 4))));
  expect_vector(out[0], DT_f32, 2, VALUES(7, 7));
  expect_tensor(out[1], DT_f32, 2, DIMS(4, 2), VALUES(7, 7, 1, 2, 3, 4, 9, 7));
  expect_tensor(out[2], DT_i32, 0, NULL, VALUES(3));
}

// A loop whose body changes a state through a block, and an entry called from it.
static void state_goes_round_loops(void **state) {
  scratch *s = *state;
  const char *text = HEAD "state:\n  n: i32 = 0\nblocks:\n"
                          "  count(x):\n  - update n: n + 1\n  - return: x * cast(n, f32)\n"
                          "entries:\n"
                          "  one:\n    inputs:\n      x: f32\n    steps:\n    - y: count(x)\n    outputs:\n      y: y\n"
                          "  thrice:\n    inputs:\n      x: f32\n    steps:\n"
                          "    - y: x\n"
                          "    - loop i in range(3):\n"
                          "      - y: one(y)\n"
                          "    outputs:\n      y: y\n      n: n\n";
  ir_module *m = elaborated(s, text, NULL);
  ir_tensor **out = run_entry(s, m, "thrice", TENSORS(scalar_of(s, DT_f32, 1)));
  assert_non_null(out);
  expect_tensor(out[0], DT_f32, 0, NULL, VALUES(6)); // 1 * 1 * 2 * 3
  expect_tensor(out[1], DT_i32, 0, NULL, VALUES(3));
}

// -- sizes and dims --

static void dims_are_set_by_steps(void **state) {
  scratch *s = *state;
  const char *text = HEAD "dims:\n  n: 1..9\n  kept: 0..9\ninputs:\n  x: f32[n]\nsteps:\n"
                          "- kept: sum(x > 0)\n"
                          "- twice: concat((x[:kept], x[:kept]))\n"
                          "outputs:\n  first: x[:kept]\n  twice: twice\n  rest: x[kept:]\n  n: kept * 10\n";
  ir_tensor **out = run_model(s, text, TENSORS(vector_of(s, DT_f32, 4, VALUES(3, 2, -1, -5))));
  expect_vector(out[0], DT_f32, 2, VALUES(3, 2));
  expect_vector(out[1], DT_f32, 4, VALUES(3, 2, 3, 2));
  expect_vector(out[2], DT_f32, 2, VALUES(-1, -5));
  expect_tensor(out[3], DT_i32, 0, NULL, VALUES(20));
}

static void dim_set_outside_its_range(void **state) {
  scratch *s = *state;
  ir_module *m = elaborated(
      s, HEAD "dims:\n  kept: 0..3\ninputs:\n  x: f32[5]\nsteps:\n- kept: sum(x > 0)\noutputs:\n  y: zeros(kept)\n",
      NULL);
  assert_null(run_entry(s, m, "forward", TENSORS(vector_of(s, DT_f32, 5, VALUES(1, 1, 1, 1, 1)))));
  scratch_expect(s, DIAG_ID_interp_dim_range, "kept");
}

static void sizes_become_numbers(void **state) {
  scratch *s = *state;
  ir_tensor **out =
      run_model(s,
                HEAD "dims:\n  n: 1..9\n  m: 1..9\ninputs:\n  x: f32[n]\n  y: f32[m]\nsteps:\n"
                     "- a: x / n\n"
                     "- b: n * 0.5\n"
                     "- c: n - m\n"
                     "- d: full(n * m - 5, 2, dtype=i32)\n"
                     "- e: sqrt(n)\n"
                     "- f: n > m\n"
                     "- g: cast(2 * n, f32) / m\n"
                     "- k: min(n, m) + max(n, 3)\n"
                     "outputs:\n  a: a\n  b: b\n  c: c\n  d: d\n  e: e\n  f: f\n  g: g\n  k: k\n",
                TENSORS(vector_of(s, DT_f32, 4, VALUES(4, 8, 12, 16)), vector_of(s, DT_f32, 5, VALUES(0, 0, 0, 0, 0))));
  expect_vector(out[0], DT_f32, 4, VALUES(1, 2, 3, 4));
  expect_tensor(out[1], DT_f32, 0, NULL, VALUES(2));
  expect_tensor(out[2], DT_i32, 0, NULL, VALUES(-1));
  expect_vector(out[3], DT_i32, 2, VALUES(15, 15));
  expect_tensor(out[4], DT_f32, 0, NULL, VALUES(2));
  expect_tensor(out[5], DT_bool, 0, NULL, VALUES(0));
  expect_tensor(out[6], DT_f32, 0, NULL, VALUES((double)1.6f));
  expect_tensor(out[7], DT_i32, 0, NULL, VALUES(8));
}

static void slices_at_run_time(void **state) {
  scratch *s = *state;
  const char *text = HEAD "dims:\n  n: 1..9\ninputs:\n  x: f32[n]\n  at: i32\nsteps:\n"
                          "- a: x[at:at + 2]\n"
                          "- b: x[at]\n"
                          "- c: x[-2:]\n"
                          "- d: x[5:]\n"
                          "- e: x[::-2]\n"
                          "- f: x[:-1] + x[1:]\n"
                          "- t: linspace(0, 3, 4)[at]\n"
                          "- back: x[at - 1:at + 1]\n"
                          "outputs:\n  a: a\n  b: b\n  c: c\n  d: d\n  e: e\n  f: f\n  t: t\n  back: back\n";
  ir_module *m = elaborated(s, text, NULL);
  const ir_tensor *x = vector_of(s, DT_f32, 4, VALUES(1, 2, 3, 4));
  ir_tensor **out = run_entry(s, m, "forward", TENSORS(x, scalar_of(s, DT_i32, 1)));
  assert_non_null(out);
  expect_vector(out[0], DT_f32, 2, VALUES(2, 3));
  expect_tensor(out[1], DT_f32, 0, NULL, VALUES(2));
  expect_vector(out[2], DT_f32, 2, VALUES(3, 4));
  expect_vector(out[3], DT_f32, 0, NULL);
  expect_vector(out[4], DT_f32, 2, VALUES(4, 2));
  expect_vector(out[5], DT_f32, 3, VALUES(3, 5, 7));
  expect_tensor(out[6], DT_f32, 0, NULL, VALUES(1));
  expect_vector(out[7], DT_f32, 2, VALUES(1, 2));
  assert_null(run_entry(s, m, "forward", TENSORS(x, scalar_of(s, DT_i32, 3)))); // 3:5 of 4
  assert_int_equal(s->l.items.n, 1);
}

// Dims that nothing proves equal are compared when the model runs.
static void unknown_dims_are_checked(void **state) {
  scratch *s = *state;
  ir_module *m = elaborated(s,
                            HEAD "dims:\n  n: 1..9\n  m: 1..9\ninputs:\n  x: f32[n]\n  y: f32[m]\nsteps:\n"
                                 "- z: x + y\noutputs:\n  z: z\n",
                            NULL);
  ir_tensor **out =
      run_entry(s, m, "forward", TENSORS(vector_of(s, DT_f32, 2, VALUES(1, 2)), vector_of(s, DT_f32, 2, VALUES(3, 4))));
  assert_non_null(out);
  expect_vector(out[0], DT_f32, 2, VALUES(4, 6));
  assert_null(run_entry(s, m, "forward",
                        TENSORS(vector_of(s, DT_f32, 2, VALUES(1, 2)), vector_of(s, DT_f32, 3, VALUES(3, 4, 5)))));
  scratch_expect(s, DIAG_ID_interp_check, "n must equal m");
}

static void pinned_dims_are_constants(void **state) {
  scratch *s = *state;
  const frontend_pair pin = {"n", "3"};
  ir_module *m = elaborated(s,
                            HEAD "dims:\n  n: 1..9\n  m: 1..9\ninputs:\n  x: f32[n, m]\nsteps:\n"
                                 "- y: sum(x) if n == 3 else x\noutputs:\n  y: y\n",
                            &(frontend_options){.n_dims = 1, .dims = &pin});
  const ir_value *x = &m->graphs.at[0]->body->params[0];
  assert_true(idx_equals_int(x->type.dim[0], 3) && idx_is_symbol(x->type.dim[1]));
  assert_int_equal(m->graphs.at[0]->body->yields[0]->type.rank, 0);
  assert_int_equal(m->dims.n, 1);
}

// -- the compiler's own steps --

static void compile_time_steps(void **state) {
  scratch *s = *state;
  ir_tensor **out =
      run_model(s,
                HEAD "config:\n  sizes: (3, 1, 2)\n  mode: 'add'\n  deep: {er: {key: 5}}\n  half: sizes[0] // 2\n"
                     "require:\n- mode in ('add', 'mul') and half == 1\n"
                     "let:\n  total: sum(sizes)\n  ramp: linspace(0, 1, 3) * total\n"
                     "blocks:\n"
                     "  pick(x, n=2, m=n + 1):\n"
                     "  - if mode == 'mul':\n    - return: x * n\n"
                     "    elif mode == 'add':\n    - return: x + 10 * n + m\n"
                     "    else:\n    - return: nonsense(x)\n"
                     "inputs:\n  x: f32\nsteps:\n"
                     "- seen: ()\n"
                     "- for i, n in enumerate(reversed(sizes)):\n"
                     "  - seen: seen + (i * 100 + n,)\n"
                     "- for a, b in zip((1, 2), ('p', 'q')):\n"
                     "  - last: b\n"
                     "- k: len(seen) * 1000 + seen[1] + (1 if last == 'q' else 0)\n"
                     "- y: pick(x, m=4) + pick(x, 1) + deep.er.key\n"
                     "outputs:\n  k: k\n  y: y\n  ramp: ramp\n  i: i\n"
                     "  odd: table((7, 8, 9))[::-2]\n  down: cumsum(table((1, 2, 3))) % 4\n",
                TENSORS(scalar_of(s, DT_f32, 1)));
  expect_tensor(out[0], DT_i32, 0, NULL, VALUES(3102));
  expect_tensor(out[1], DT_f32, 0, NULL, VALUES(25 + 13 + 5)); // 1 + 20 + 4, 1 + 10 + 2, 5
  expect_vector(out[2], DT_f32, 3, VALUES(0, 3, 6));
  expect_tensor(out[3], DT_i32, 0, NULL, VALUES(2)); // names bound in `for` stay visible
  expect_vector(out[4], DT_i32, 2, VALUES(9, 7));
  expect_vector(out[5], DT_i32, 3, VALUES(1, 3, 2));
}

static void scopes_name_weights(void **state) {
  scratch *s = *state;
  ir_module *m = elaborated(s,
                            HEAD "blocks:\n"
                                 "  inner(x):\n  - y@a: linear(x, 3)\n  - return@.: layer_norm(y)\n"
                                 "inputs:\n  x: f32[2, 3]\nsteps:\n"
                                 "- for i in range(2):\n  - x@block.{i + 1}.{'in' + 'ner'}: inner(x)\n"
                                 "- t@tied: param(3, 3)\n"
                                 "- u@block.1.inner.a: linear(x, 3)\n"
                                 "- v: matmul(x, t) + matmul(u, transpose(t))\n"
                                 "outputs:\n  y: v\n",
                            NULL);
  static const char *const names[] = {"block.1.inner.a.weight", "block.1.inner.a.bias",   "block.1.inner.weight",
                                      "block.1.inner.bias",     "block.2.inner.a.weight", "block.2.inner.a.bias",
                                      "block.2.inner.weight",   "block.2.inner.bias",     "tied"};
  assert_int_equal(m->weights.n, sizeof names / sizeof *names);
  for (size_t i = 0; i < m->weights.n; i++) assert_string_equal(m->weights.at[i]->name, names[i]);
  const ir_node *last = m->graphs.at[0]->body->yields[0]->def;
  assert_string_equal(last->scope, "");
  uint32_t line, column;
  const char *file;
  diag_position(&s->l, last->spans.at[0], &file, &line, &column);
  assert_int_equal(line, 14);
  assert_int_equal(column, 6);
}

// -- entries and includes --

static const char *const included =
    HEAD "config: {width: 3, act: 'relu'}\n"
         "dims:\n  rows: 1..16\n"
         "let:\n  all: rows * width\n"
         "blocks:\n  twice(x):\n  - return: 2 * activation(x, act)\n"
         "entries:\n"
         "  forward:\n    inputs:\n      x: f32[2 * rows, width]\n      k: f32 = 10\n    steps:\n"
         "    - w@w: param(width)\n"
         "    - y: reshape(x, 2 * all) * k\n"
         "    outputs:\n      flat: y\n      half: rows + 0\n";

static void entries_bind_dims_afresh(void **state) {
  scratch *s = *state;
  ir_module *m =
      elaborated(s,
                 HEAD "config: {n: 1}\nentries:\n"
                      "  first:\n    inputs:\n      x: f32[a]\n      y: f32 = 3\n    steps:\n    - z: x * y\n"
                      "    outputs:\n      z: z\n      a: a + 0\n"
                      "  second:\n    inputs:\n      x: f32[a]\n    steps:\n"
                      "    - z, n2: first(concat((x, x)))\n    - w, _: first(y=1, x=x[:1])\n"
                      "    outputs:\n      z: z\n      n2: n2\n      w: w\n"
                      "dims:\n  a: 1..8\n",
                 NULL);
  ir_tensor **out = run_entry(s, m, "second", TENSORS(vector_of(s, DT_f32, 2, VALUES(1, 2))));
  assert_non_null(out);
  expect_vector(out[0], DT_f32, 4, VALUES(3, 6, 3, 6));
  expect_tensor(out[1], DT_i32, 0, NULL, VALUES(4));
  expect_vector(out[2], DT_f32, 1, VALUES(1));
}

static void includes_have_their_own_names(void **state) {
  scratch *s = *state;
  scratch_file(s, "inner.yaml", str_of(included));
  const char *text = HEAD "include:\n  inner: inner.yaml\nconfig: {act: 'tanh'}\ndims:\n  n: 1..4\n"
                          "inputs:\n  x: f32[4 * n, inner.width]\nsteps:\n"
                          "- y, half@one: inner.forward(x)\n"
                          "- z: inner.twice(x)\n"
                          "outputs:\n  y: y\n  half: half\n  z: z\n";
  const char *path = scratch_file(s, "outer.yaml", str_of(text));
  const frontend_pair set = {"inner.width", "2"};
  const char *config = str_fmt(s->a, "inner=%s", scratch_file(s, "c.json", STR("{\"act\": \"silu\", \"width\": 7}")));
  ir_module *m = frontend_load(s->a, &s->l, path, NULL,
                               &(frontend_options){.n_sets = 1, .sets = &set, .n_configs = 1, .configs = &config});
  scratch_expect_none(s);
  assert_non_null(m);
  assert_int_equal(m->weights.n, 1);
  assert_string_equal(m->weights.at[0]->name, "one.w");
  assert_true(idx_equals_int(m->weights.at[0]->type.dim[0], 2)); // --set is stronger than --config
  ir_tensor **out =
      run_entry(s, m, "forward", TENSORS(tensor_of(s, DT_f32, 2, DIMS(4, 2), VALUES(0, 1, 2, 3, 4, 5, 6, 7))));
  assert_null(out); // the weight has no data
  m->weights.at[0]->data = vector_of(s, DT_f32, 2, VALUES(0, 0))->data;
  s->l.items.n = s->l.n_errors = 0;
  out = run_entry(s, m, "forward", TENSORS(tensor_of(s, DT_f32, 2, DIMS(4, 2), VALUES(0, 1, 2, 3, 4, 5, 6, 7))));
  expect_vector(out[0], DT_f32, 8, VALUES(0, 10, 20, 30, 40, 50, 60, 70));
  expect_tensor(out[1], DT_i32, 0, NULL, VALUES(2));
  float got = ((const float *)out[2]->data)[1];
  assert_float_equal(got, 2.0f / (1.0f + 0.36787944f), 1e-6f); // 2 * silu(1)
}

static void inputs_have_defaults(void **state) {
  scratch *s = *state;
  ir_module *m = elaborated(s,
                            HEAD "dims:\n  n: 1..8\ninputs:\n  x: f32[n]\n  mask: i32[n] = 1\n  k: f32 = 0.5\nsteps:\n"
                                 "- y: where(mask > 0, x * k, 0)\noutputs:\n  y: y\n",
                            NULL);
  const ir_graph *g = m->graphs.at[0];
  assert_null(g->param_defaults[0]);
  assert_true(scalar_same(*g->param_defaults[1], scalar_i(DT_i32, 1)));
  ir_tensor **out = run_entry(s, m, "forward", TENSORS(vector_of(s, DT_f32, 2, VALUES(2, 4)), NULL, NULL));
  assert_non_null(out);
  expect_vector(out[0], DT_f32, 2, VALUES(1, 2));
}

static void custom_operators(void **state) {
  scratch *s = *state;
  ir_module *m = elaborated(s,
                            HEAD "dims:\n  n: 1..8\nops:\n  gate:\n    library: libgate.so\n"
                                 "    signature: (f32[a, b] x, f32 scale=2) -> f32[b, a], i32[3]\n"
                                 "inputs:\n  x: f32[n, 4]\nsteps:\n- y, z: gate(x)\noutputs:\n  y: y\n  z: z\n",
                            NULL);
  strbuf b;
  sb_init(&b, s->a);
  const ir_region *r = m->graphs.at[0]->body;
  for (uint32_t i = 0; i < 2; i++) ir_type_print(&b, r->yields[i]->type);
  assert_string_equal(sb_cstr(&b), "f32[4,n]i32[3]");
  assert_int_equal(r->yields[0]->def->op, OP_custom);
  assert_string_equal(ir_attr_str(r->yields[0]->def, "name", ""), "gate");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(loop_carries),
      TEST(loop_counts),
      TEST(loop_carries_tuples),
      TEST(while_stops),
      TEST(while_is_bounded),
      TEST(when_chooses),
      TEST(state_moves_on),
      TEST(state_goes_round_loops),
      TEST(dims_are_set_by_steps),
      TEST(dim_set_outside_its_range),
      TEST(sizes_become_numbers),
      TEST(slices_at_run_time),
      TEST(unknown_dims_are_checked),
      TEST(pinned_dims_are_constants),
      TEST(compile_time_steps),
      TEST(scopes_name_weights),
      TEST(entries_bind_dims_afresh),
      TEST(includes_have_their_own_names),
      TEST(inputs_have_defaults),
      TEST(custom_operators),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
