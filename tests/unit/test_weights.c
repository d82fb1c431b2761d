// Binding weights: what the elements are after each rename rule and conversion, where nothing is copied, and what
// random initialisation gives.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "counting_source.h"
#include "frontend/frontend.h"
#include "frontend/safetensors.h"
#include "scratch.h"

typedef struct stored {
  const char *name;
  dtype dt;
  uint32_t rank;
  int64_t dim[4];
  int64_t first; // element i is first + i
} stored;

static const char *write_file(scratch *s, const char *file, size_t n, const stored *tensors) {
  const char **names = ARENA_ARRAY(s->a, const char *, n);
  const ir_tensor **values = ARENA_ARRAY(s->a, const ir_tensor *, n);
  for (size_t i = 0; i < n; i++) {
    ir_tensor *t = ir_tensor_new(s->a, tensors[i].dt, tensors[i].rank, tensors[i].dim);
    for (int64_t k = 0; k < ir_tensor_count(t); k++) {
      unsigned char *p = (unsigned char *)t->data + (size_t)k * dtype_size(t->dt);
      scalar_store(p, scalar_cast(scalar_i(DT_i64, tensors[i].first + k), t->dt));
    }
    names[i] = tensors[i].name;
    values[i] = t;
  }
  const char *path = scratch_path(s, file);
  assert_true(st_write(s->a, &s->l, path, n, names, values, 0, NULL, NULL));
  return path;
}

static ir_module *load(scratch *s, const char *path, const char *model) {
  str text = str_of(model);
  ir_module *m = frontend_load(s->a, &s->l, path, &text, NULL);
  if (!m) {
    strbuf out;
    sb_init(&out, s->a);
    diag_render_all(&s->l, false, &out);
    fail_msg("%s", sb_cstr(&out));
  }
  return m;
}

// Loads `model`, binds it to one option (NULL: what the model says), expects no message.
static ir_module *bind(scratch *s, const char *model, const char *weights) {
  const char *path = scratch_path(s, "m.yaml");
  ir_module *m = load(s, path, model);
  frontend_options opt = {.weights = &weights, .n_weights = weights ? 1 : 0};
  bool ok = frontend_bind_weights(m, &s->l, path, &opt, NULL);
  scratch_expect_none(s);
  assert_true(ok);
  return m;
}

static double element(const ir_weight *w, size_t i) {
  return scalar_load(w->type.dt, (const char *)w->data + i * dtype_size(w->type.dt)).v.f;
}

static void expect(const ir_module *m, const char *name, size_t n, const double *values) {
  const ir_weight *w = ir_weight_find(m, name);
  assert_non_null(w);
  assert_non_null(w->data);
  for (size_t i = 0; i < n; i++) {
    if (element(w, i) != values[i]) fail_msg("%s[%zu] is %g, not %g", name, i, element(w, i), values[i]);
  }
}

#define EXPECT(m, name, ...)                                                                                           \
  expect((m), (name), sizeof((double[]){__VA_ARGS__}) / sizeof(double), (double[]){__VA_ARGS__})

// A model whose only purpose is its weights: `a: f32[2, 3]` and so on; `rename` and `steps` are texts.
static const char *model_of(scratch *s, const char *rename, const char *steps) {
  return str_fmt(s->a, "nnc: 1\nname: m\n%s%s\nsteps:\n%soutputs:\n  y: zeros(1)\n", *rename ? "rename:\n" : "", rename,
                 steps);
}

static void plain_names(void **state) {
  scratch *s = *state;
  const char *file =
      write_file(s, "w.safetensors", 2, (stored[]){{"a/w", DT_f32, 2, {2, 3}, 1}, {"b", DT_f32, 1, {2}, 10}});
  ir_module *m = bind(s, model_of(s, "", "- x@a.w: param(2, 3)\n- z@b: param(2)\n"), file);
  EXPECT(m, "a.w", 1, 2, 3, 4, 5, 6);
  EXPECT(m, "b", 10, 11);
}

static void conversions(void **state) {
  scratch *s = *state;
  static const dtype floats[] = {DT_f32, DT_f16, DT_bf16, DT_f64};
  for (size_t from = 0; from < 4; from++) {
    for (size_t to = 0; to < 4; to++) {
      const char *file = write_file(s, "w.safetensors", 1, (stored[]){{"a", floats[from], 1, {5}, -2}});
      const char *steps = str_fmt(s->a, "- x@a: param(5, dtype=%s)\n", dtype_name(floats[to]));
      ir_module *m = bind(s, model_of(s, "", steps), file);
      EXPECT(m, "a", -2, -1, 0, 1, 2);
    }
  }
  const char *file = write_file(s, "w.safetensors", 1, (stored[]){{"a", DT_i32, 1, {3}, 7}});
  ir_module *m = bind(s, model_of(s, "", "- x@a: param(3, dtype=i32)\n"), file);
  assert_int_equal(((const int32_t *)ir_weight_find(m, "a")->data)[2], 9);
}

// f64 to f16 is rounded once: 1 + 2^-11 + 2^-30 is above the middle of two halves, and through f32 it would be on it.
static void rounded_once(void **state) {
  scratch *s = *state;
  ir_tensor *t = ir_tensor_new(s->a, DT_f64, 1, (int64_t[]){1});
  *(double *)t->data = 1 + 0x1p-11 + 0x1p-30;
  const char *path = scratch_path(s, "w.safetensors"), *name = "a";
  const ir_tensor *tensors[] = {t};
  assert_true(st_write(s->a, &s->l, path, 1, &name, tensors, 0, NULL, NULL));
  ir_module *m = bind(s, model_of(s, "", "- x@a: param(1, dtype=f16)\n"), path);
  EXPECT(m, "a", 1 + 0x1p-10);
}

static void transformations(void **state) {
  scratch *s = *state;
  const char *file = write_file(s, "w.safetensors", 6,
                                (stored[]){{"t", DT_f32, 2, {2, 3}, 0},
                                           {"t3", DT_f16, 3, {2, 2, 2}, 0},
                                           {"p", DT_f32, 3, {2, 1, 3}, 0},
                                           {"s", DT_f32, 2, {2, 3}, 0},
                                           {"s0", DT_bf16, 2, {3, 2}, 0},
                                           {"gone", DT_f32, 1, {1}, 0}});
  const char *rename = "  t: transpose(a)\n"
                       "  t3: transpose(a3)\n"
                       "  p: permute(b, 2, 0, 1)\n"
                       "  s: split(c.left, c.right, dim=-1)\n"
                       "  s0: split(c.top, c.bottom)\n"
                       "  gone: ignore\n";
  const char *steps = "- x@a: param(3, 2)\n- x@a3: param(2, 2, 2)\n- x@b: param(3, 2, 1)\n- x@c.left: param(2, 1)\n"
                      "- x@c.right: param(2, 2)\n- x@c.top: param(1, 2)\n- x@c.bottom: param(2, 2)\n";
  ir_module *m = bind(s, model_of(s, rename, steps), file);
  EXPECT(m, "a", 0, 3, 1, 4, 2, 5);
  EXPECT(m, "a3", 0, 2, 1, 3, 4, 6, 5, 7);
  EXPECT(m, "b", 0, 3, 1, 4, 2, 5);
  EXPECT(m, "c.left", 0, 3);
  EXPECT(m, "c.right", 1, 2, 4, 5);
  EXPECT(m, "c.top", 0, 1);
  EXPECT(m, "c.bottom", 2, 3, 4, 5);
}

static void concatenation(void **state) {
  scratch *s = *state;
  const char *file = write_file(s, "w.safetensors", 5,
                                (stored[]){{"l.1.k", DT_f32, 2, {1, 2}, 10},
                                           {"l.1.q", DT_f32, 2, {2, 2}, 0},
                                           {"l.1.v", DT_f16, 2, {1, 2}, 20},
                                           {"x", DT_f32, 2, {2, 1}, 0},
                                           {"y", DT_f32, 2, {2, 2}, 10}});
  const char *rename = "  l.<i>.q, l.<i>.k, l.<i>.v: concat(m.<i - 1>.qkv)\n  x, y: concat(b, dim=1)\n";
  ir_module *m = bind(s, model_of(s, rename, "- x@m.0.qkv: param(4, 2)\n- x@b: param(2, 3)\n"), file);
  EXPECT(m, "m.0.qkv", 0, 1, 2, 3, 10, 11, 20, 21);
  EXPECT(m, "b", 0, 10, 11, 1, 12, 13);
}

static void patterns(void **state) {
  scratch *s = *state;
  const char *file = write_file(s, "w.safetensors", 6,
                                (stored[]){{"bert.e.gamma", DT_f32, 1, {1}, 1},
                                           {"bert.e.beta", DT_f32, 1, {1}, 2},
                                           {"bert.layer2.3.conv1.w", DT_f32, 1, {1}, 3},
                                           {"bert.layer2.x.conv1.w", DT_f32, 1, {1}, 4},
                                           {"bert.layer0.7.conv0.w", DT_f32, 1, {1}, 5},
                                           {"a-b_c.9", DT_f32, 1, {1}, 6}});
  const char *rename =
      "  bert.<p..>.gamma: <p>.weight\n"
      "  bert.layer<s>.<j + 0>.conv<k>.w: never.<j>\n"; // `+` belongs to targets: a mistake, seen below
  str text = str_of(model_of(s, rename, "- x@a: param(1)\n"));
  assert_null(frontend_load(s->a, &s->l, "m.yaml", &text, NULL));
  scratch_expect(s, DIAG_ID_syntax_expected, "expected `>` or `..>`");
  rename = "  bert.<p..>.gamma: <p>.weight\n"
           "  bert.layer<s>.<j>.conv<k>.w: stage.<s - 1>.<j + 10>.<k - 1>\n" // no number, or below 0: the next rule
           "  bert.<p..>: <p>\n"
           "  <p>.<i>: <p>.n.<i>\n";
  const char *steps =
      "- x@e.weight: param(1)\n- x@e.beta: param(1)\n- x@stage.1.13.0: param(1)\n- x@layer2.x.conv1.w: param(1)\n"
      "- x@layer0.7.conv0.w: param(1)\n- x@a-b_c.n.9: param(1)\n";
  ir_module *m = bind(s, model_of(s, rename, steps), file);
  EXPECT(m, "e.weight", 1);
  EXPECT(m, "e.beta", 2);
  EXPECT(m, "stage.1.13.0", 3);
  EXPECT(m, "layer2.x.conv1.w", 4);
  EXPECT(m, "layer0.7.conv0.w", 5);
  EXPECT(m, "a-b_c.n.9", 6);
}

static void scopes_and_sections(void **state) {
  scratch *s = *state;
  write_file(s, "one.safetensors", 2, (stored[]){{"w", DT_f32, 1, {1}, 1}, {"old.v", DT_f32, 1, {1}, 2}});
  write_file(s, "two.safetensors", 1, (stored[]){{"w", DT_f32, 1, {1}, 3}});
  scratch_file(s, "part.yaml",
               STR("nnc: 1\nname: part\nrename:\n  old.<p..>: new.<p>\nsteps:\n- x@w: param(1)\n- x@new.v: "
                   "param(1)\noutputs:\n  y: x\n"));
  const char *model =
      "nnc: 1\nname: m\ninclude:\n  part: part.yaml\nweights:\n  part: one.safetensors\n  b.c: two.safetensors\n"
      "steps:\n- x@part: part.forward()\n- x@b.c.w: param(1)\noutputs:\n  y: x\n";
  ir_module *m = bind(s, model, NULL);
  EXPECT(m, "part.w", 1);
  EXPECT(m, "part.new.v", 2);
  EXPECT(m, "b.c.w", 3);
  model = "nnc: 1\nname: m\nweights:\n- two.safetensors\n- one.safetensors\nrename:\n  w: ignore\n"
          "steps:\n- x@old.v: param(1)\noutputs:\n  y: x\n";
  m = bind(s, model, NULL);
  EXPECT(m, "old.v", 2);
}

// Elements that lie right in the file are not copied: they are in the file's own mapping, so their address is a
// page's start plus their offset in the file.
static void in_place(void **state) {
  scratch *s = *state;
  const char *file = write_file(s, "w.safetensors", 2, (stored[]){{"a", DT_f32, 1, {3}, 1}, {"b", DT_f32, 1, {4}, 5}});
  ir_module *m = bind(s, model_of(s, "", "- x@a: param(3)\n- x@b: param(4)\n"), file);
  const char *a = ir_weight_find(m, "a")->data, *b = ir_weight_find(m, "b")->data;
  str bytes = scratch_bytes(s, file);
  uint64_t header;
  memcpy(&header, bytes.p, sizeof header);
  assert_int_equal((uintptr_t)(a - 8 - header) % 4096, 0);
  assert_ptr_equal(b, a + 12);
  // One byte more in the header: nothing is aligned, and both are copied.
  strbuf moved;
  sb_init(&moved, s->a);
  header++;
  sb_bytes(&moved, &header, 8);
  sb_bytes(&moved, bytes.p + 8, (size_t)header - 1);
  sb_char(&moved, ' ');
  sb_bytes(&moved, bytes.p + 7 + header, bytes.n - 7 - (size_t)header);
  m = bind(s, model_of(s, "", "- x@a: param(3)\n- x@b: param(4)\n"),
           scratch_file(s, "moved.safetensors", sb_str(&moved)));
  assert_int_equal((uintptr_t)ir_weight_find(m, "a")->data % 4, 0);
  EXPECT(m, "a", 1, 2, 3);
  EXPECT(m, "b", 5, 6, 7, 8);
}

static void no_weights(void **state) {
  scratch *s = *state;
  bind(s, "nnc: 1\nname: m\ninputs:\n  x: f32[3]\noutputs:\n  y: x + 1.0\n", NULL);
}

// A whole model whose checkpoint carries a prefix: one message, with the rule that mends it.
static void proposed_rule(void **state) {
  scratch *s = *state;
  const char *path = scratch_path(s, "bert.yaml");
  str text = scratch_bytes(s, NNC_SOURCE_DIR "/tests/models/bert.yaml");
  char *model = str_dup(s->a, text), *rename = strstr(model, "rename:"), *config = strstr(model, "config:");
  assert_true(rename && config && rename < config);
  for (char *p = rename; p < config; p++) { // without its own rules, line for line
    if (*p != '\n') *p = ' ';
  }
  text.p = model;
  static const frontend_pair sets[] = {
      {"hidden_size", "12"}, {"vocab_size", "7"}, {"intermediate_size", "8"}, {"max_position_embeddings", "5"}};
  frontend_options opt = {.sets = sets, .n_sets = 4};
  ir_module *m = frontend_load(s->a, &s->l, path, &text, &opt);
  scratch_expect_none(s);
  assert_int_equal(m->weights.n, 199);
  stored *tensors = ARENA_ARRAY(s->a, stored, m->weights.n);
  for (size_t i = 0; i < m->weights.n; i++) {
    const ir_weight *w = m->weights.at[i];
    tensors[i] = (stored){str_fmt(s->a, "bert.%s", w->name), DT_f32, w->type.rank, {0}, (int64_t)i};
    for (uint32_t k = 0; k < w->type.rank; k++) assert_true(idx_is_const(w->type.dim[k], &tensors[i].dim[k]));
  }
  const char *file = write_file(s, "model.safetensors", m->weights.n, tensors);
  opt.weights = &file;
  opt.n_weights = 1;
  assert_false(frontend_bind_weights(m, &s->l, path, &opt, NULL));
  assert_int_equal(s->l.items.n, 1);
  const diag *d = s->l.items.at[0];
  const char *place = str_fmt(s->a, "(%s:34:", path);
  assert_non_null(strstr(d->text, "needs 199 weights, and "));
  assert_non_null(strstr(d->text, "lacks all of them; the first: embeddings.LayerNorm.bias f32[12] "));
  assert_non_null(strstr(d->text, place));
  assert_int_equal(d->notes.n, 1);
  assert_string_equal(
      d->notes.at[0],
      "the file has `bert.embeddings.LayerNorm.bias`: `bert.<p..>: <p>` under `rename:` would find all 199");
  // With the rule, everything is found.
  diag_init(&s->l, s->a);
  static const char rule[] = "rename:\n  bert.<p..>: <p>\n";
  memcpy(rename, rule, sizeof rule - 1);
  m = frontend_load(s->a, &s->l, path, &text, &opt);
  assert_true(frontend_bind_weights(m, &s->l, path, &opt, NULL));
  scratch_expect_none(s);
  for (size_t i = 0; i < m->weights.n; i++) assert_true(element(m->weights.at[i], 0) == (double)i);
}

typedef struct binding_job {
  const char *path, *file;
  str text;
  bool bind; // else it loads only
} binding_job;

static void load_and_bind(arena *a, void *user) {
  const binding_job *job = user;
  diag_list l;
  diag_init(&l, a);
  frontend_options opt = {.weights = &job->file, .n_weights = 1};
  ir_module *m = frontend_load(a, &l, job->path, &job->text, NULL);
  assert_non_null(m);
  if (job->bind) assert_true(frontend_bind_weights(m, &l, job->path, &opt, NULL));
}

// Runs the job with one request of memory refused, and all after it (0: none). Returns how many it made.
static size_t refuse(binding_job *job, size_t fail_at) {
  counting_source c;
  counting_source_init(&c, fail_at);
  arena *a = arena_new(&c.source);
  int code = a ? run_guarded(a, load_and_bind, job) : 1;
  assert_int_equal(code, fail_at ? 1 : 0);
  arena_free(a);
  assert_int_equal(c.n_live, 0);
  return c.n_calls;
}

// Binding alone: what loading asks for is refused in tests/fault/test_alloc.c.
static void refused_memory(void **state) {
  scratch *s = *state;
  binding_job job = {.path = scratch_path(s, "m.yaml")};
  job.file =
      write_file(s, "w.safetensors", 2, (stored[]){{"q", DT_f16, 2, {30, 30}, 1}, {"k", DT_f32, 2, {30, 30}, 5}});
  job.text = str_of(model_of(s, "  q, k: concat(a)\n", "- x@a: param(60, 30)\n"));
  size_t n_load = refuse(&job, 0);
  job.bind = true;
  size_t n_calls = refuse(&job, 0);
  for (size_t fail_at = n_load + 1; fail_at <= n_calls; fail_at++) refuse(&job, fail_at);
  assert_true(n_calls > n_load + 3);
}

// -- random --

static const char random_model[] =
    "nnc: 1\nname: m\nsteps:\n"
    "- x@zero: param(7, init='zeros')\n- x@one: param(7, init='ones', dtype=f16)\n"
    "- x@bias: param(7)\n- x@standard: param(300, 333, init='normal')\n"
    "- x@matrix: param(400, 256)\n- x@whole: param(5, dtype=i32)\n"
    "- x@wide: param(6, 40, init='orthogonal')\n- x@tall: param(40, 2, 3, init='orthogonal')\n"
    "outputs:\n  y: zeros(1)\n";

// Mean, deviation, and the share within one deviation, of n numbers that should be normal; bounds of five sigma.
static void expect_normal(const ir_weight *w, size_t n, double deviation) {
  double sum = 0, squares = 0, within = 0, products = 0;
  for (size_t i = 0; i < n; i++) {
    double v = element(w, i) / deviation;
    sum += v;
    squares += v * v;
    within += fabs(v) < 1;
    if (i) products += v * element(w, i - 1) / deviation;
  }
  double root = sqrt((double)n);
  assert_true(fabs(sum) < 5 * root);
  assert_true(fabs(squares - (double)n) < 5 * sqrt(2) * root);
  assert_true(fabs(within - 0.6826894921 * (double)n) < 5 * 0.4655 * root);
  assert_true(fabs(products) < 5 * root);
}

static void expect_orthonormal(const ir_weight *w, size_t n, size_t width, size_t step, size_t stride) {
  for (size_t r = 0; r < n; r++) {
    for (size_t c = 0; c <= r; c++) {
      double sum = 0;
      for (size_t i = 0; i < width; i++) sum += element(w, r * step + i * stride) * element(w, c * step + i * stride);
      assert_true(fabs(sum - (r == c)) < 1e-6);
    }
  }
}

static void random_values(void **state) {
  scratch *s = *state;
  ir_module *m = bind(s, random_model, "random:7");
  EXPECT(m, "zero", 0, 0, 0, 0, 0, 0, 0);
  EXPECT(m, "one", 1, 1, 1, 1, 1, 1, 1);
  EXPECT(m, "bias", 0, 0, 0, 0, 0, 0, 0);
  for (size_t i = 0; i < 5; i++) assert_int_equal(((const int32_t *)ir_weight_find(m, "whole")->data)[i], 0);
  expect_normal(ir_weight_find(m, "standard"), 300 * 333, 0.02);
  expect_normal(ir_weight_find(m, "matrix"), 400 * 256, 1.0 / 16);
  expect_orthonormal(ir_weight_find(m, "wide"), 6, 40, 40, 1);
  expect_orthonormal(ir_weight_find(m, "tall"), 6, 40, 1, 6);
}

static bool same_data(const ir_module *x, const ir_module *y, const char *name, size_t n) {
  return memcmp(ir_weight_find(x, name)->data, ir_weight_find(y, name)->data, n * sizeof(float)) == 0;
}

static void random_seeds(void **state) {
  scratch *s = *state;
  ir_module *m = bind(s, random_model, "random:7"), *again = bind(s, random_model, "random:7");
  assert_true(same_data(m, again, "standard", 300 * 333));
  assert_true(same_data(m, again, "wide", 240));
  assert_false(same_data(m, bind(s, random_model, "random:8"), "matrix", 400 * 256));
  ir_module *plain = bind(s, random_model, "random");
  assert_true(same_data(plain, bind(s, random_model, "random:0"), "matrix", 400 * 256));
  // What else the model holds does not matter; the name does.
  const char *other = "- x@first: param(3, 3)\n- x@matrix: param(400, 256)\n- x@matrix2: param(400, 256)\n";
  ir_module *o = bind(s, model_of(s, "", other), "random:7");
  assert_true(same_data(m, o, "matrix", 400 * 256));
  assert_memory_not_equal(ir_weight_find(o, "matrix")->data, ir_weight_find(o, "matrix2")->data, 400 * 256 * 4);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      TEST(plain_names),    TEST(conversions),         TEST(rounded_once), TEST(transformations), TEST(concatenation),
      TEST(patterns),       TEST(scopes_and_sections), TEST(in_place),     TEST(no_weights),      TEST(proposed_rule),
      TEST(refused_memory), TEST(random_values),       TEST(random_seeds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
