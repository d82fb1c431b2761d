// Models on a device beside the CPU: encoders, decoding with state, loops and branches, routines, optional
// inputs, sizes that change, several sessions, threads.
#include "device_case.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ROOT NNC_SOURCE_DIR "/"

static nnc_session *session_of(const nnc_module *m) {
  nnc_session *s;
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  return s;
}

static float *noise(float *to, size_t n, uint32_t seed) {
  for (size_t i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    to[i] = (float)(seed >> 8) / (float)(1 << 23) - 1.0f;
  }
  return to;
}

// -- digits --

enum { PIXELS = 64, CLASSES = 10, MOST = 16 };

static void digits(nnc_session *s, int64_t batch, const float *images, float *logits) {
  float p[MOST * CLASSES];
  nnc_tensor in = nnc_tensor_of(NNC_F32, (void *)(uintptr_t)images, 3, (const int64_t[]){batch, 8, 8});
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, logits, 2, (const int64_t[]){batch, CLASSES}),
                      nnc_tensor_of(NNC_F32, p, 2, (const int64_t[]){batch, CLASSES})};
  nnc_status status = nnc_run(s, 0, &in, 1, out, 2);
  if (status) fail_msg("%s", nnc_session_error(s));
}

typedef struct digits_thread {
  const nnc_module *m;
  const float *images, *want;
  double error;
} digits_thread;

static void *run_digits(void *user) {
  digits_thread *t = user;
  nnc_session *s = NULL;
  float got[3 * CLASSES] = {0};
  t->error = 1;
  if (nnc_session_new(&s, t->m, NULL)) return NULL;
  for (int i = 0; i < 4; i++) digits(s, 3, t->images, got);
  t->error = error_of(got, t->want, 3 * CLASSES);
  nnc_session_free(s);
  return NULL;
}

static void sizes_sessions_and_threads(void **state) {
  (void)state;
  needs_device();
  static const int64_t batches[] = {1, MOST, 3, 1};
  nnc_module *cpu = open_on(NULL, ROOT "models/vision/digits.yaml", NULL, NULL),
             *device = open_on("opencl", ROOT "models/vision/digits.yaml", NULL, NULL);
  nnc_session *a = session_of(cpu), *b = session_of(device);
  float images[MOST * PIXELS], want[MOST * CLASSES], got[MOST * CLASSES];
  noise(images, MOST * PIXELS, 1);
  for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) { // the arena grows, and stays
    digits(a, batches[i], images, want);
    digits(b, batches[i], images, got);
    assert_true(error_of(got, want, (size_t)batches[i] * CLASSES) < DEVICE_BOUND);
  }
  digits(a, 3, images, want);
  digits_thread threads[3];
  pthread_t ids[3];
  for (int i = 0; i < 3; i++) {
    threads[i] = (digits_thread){device, images, want, 1};
    assert_int_equal(pthread_create(&ids[i], NULL, run_digits, &threads[i]), 0);
  }
  for (int i = 0; i < 3; i++) {
    pthread_join(ids[i], NULL);
    assert_true(threads[i].error < DEVICE_BOUND);
  }
  nnc_session_free(a);
  nnc_session_free(b);
  nnc_module_free(cpu);
  nnc_module_free(device);
}

static const char *const random_weights[] = {"random:1"};

static nnc_compile_options with_config(const char *const *config) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.configs = config, o.n_configs = config != NULL;
  o.weights = random_weights, o.n_weights = 1;
  return o;
}

static void compare(const char *path, const char *text, const char *config, const char *entry, const char *dims,
                    int calls, int32_t below) {
  nnc_compile_options o = with_config(config ? &config : NULL);
  nnc_module *device = open_on("opencl", path, text, &o), *cpu = open_on(NULL, path, text, &o);
  compare_with_cpu(device, cpu, entry, dims, calls, below);
  nnc_module_free(device);
  nnc_module_free(cpu);
}

static void transformers(void **state) {
  (void)state;
  needs_device();
  compare(ROOT "models/transformer/bert.yaml", NULL, ROOT "tests/bert/relu/config.json", "forward", "batch=2 seq=7", 1,
          2);
  compare(ROOT "models/transformer/gpt2.yaml", NULL, ROOT "tests/zoo/gpt2-plain/config.json", "forward",
          "batch=1 seq=9", 1, 16);
}

// Keys and values stay on the device between calls; the rows that a call overwrites are put aside there too.
static void decoding_with_state(void **state) {
  (void)state;
  needs_device();
  compare(ROOT "tests/models/decoder.yaml", NULL, NULL, "decode", "t=3 capacity=64", 5, 64);
}

static const char tables[] =
    "nnc: 1\nname: tables\ndims:\n  n: 1..64\nentries:\n"
    "  forward:\n    inputs:\n      x: f32[n, 8]\n      at: i32[4, 8]\n"
    "      rows: f32[4, 8]\n      scale: f32[n] = 3\n      bias: f32[2] = 1\n    steps:\n"
    "    - y: exp(x * scale[:, None])\n"
    "    - best, where: topk(y, 3)\n"
    "    - z: scatter_add(y, at, rows, dim=0)\n"
    "    outputs:\n      best: best * 2\n      where: where\n      z: z + 1\n      bias: bias\n";

// topk and scatter are routines, which the device has too: nothing is left to the host, and nothing is said.
static void routines(void **state) {
  (void)state;
  needs_device();
  compare(NULL, tables, NULL, "forward", "n=5", 2, 4);
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  nnc_module *m;
  nnc_diagnostics *d;
  o.device = "opencl";
  assert_int_equal(nnc_module_compile(&m, tables, strlen(tables), "tables.yaml", &o, &d), NNC_OK);
  assert_int_equal(nnc_diagnostics_count(d), 0);
  nnc_diagnostics_free(d);
  nnc_module_free(m);
}

static const char turns[] = "nnc: 1\nname: turns\nstate:\n  table: f32[8, 3] = 1\n  odd: i32 = 0\nentries:\n"
                            "  write:\n    inputs:\n      x: f32[3]\n      turns: i32\n    steps:\n"
                            "    - update table[0]: table[0] + 1\n"
                            "    - loop i in range(turns):\n"
                            "      - update table[1 + i]: x * cast(i, f32) + table[0]\n"
                            "      - when i % 2 == 1:\n        - update odd: odd + 1\n"
                            "    outputs:\n      sums: sum(table, dim=1)\n      odd: odd\n"
                            "  halve:\n    inputs:\n      x: f32[3]\n    steps:\n"
                            "    - turns: full(0, dtype=i32)\n"
                            "    - y: x * 20\n"
                            "    - while amax(y) > 1, max 9:\n      - y: y / 2\n      - turns: turns + 1\n"
                            "    outputs:\n      y: y\n      turns: turns\n";

static void loops_and_branches(void **state) {
  (void)state;
  needs_device();
  compare(NULL, turns, NULL, "write", "", 4, 7);
  compare(NULL, turns, NULL, "halve", "", 3, 7);
}

// A write out of range, in the third turn: the error has its line, and the rows written before it are put back.
static void a_run_that_fails_leaves_the_state(void **state) {
  (void)state;
  needs_device();
  nnc_module *m = open_on("opencl", NULL, turns, NULL);
  nnc_session *s = session_of(m);
  float x[3] = {1, 2, 3}, before[8], after[8];
  int32_t n = 2, odd;
  nnc_tensor in[] = {nnc_tensor_of(NNC_F32, x, 1, (const int64_t[]){3}), nnc_tensor_of(NNC_I32, &n, 0, NULL)};
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, before, 1, (const int64_t[]){8}), nnc_tensor_of(NNC_I32, &odd, 0, NULL)};
  assert_int_equal(nnc_run(s, 0, in, 2, out, 2), NNC_OK);
  n = 9;
  assert_int_equal(nnc_run(s, 0, in, 2, out, 2), NNC_E_DATA);
  assert_non_null(strstr(nnc_session_error(s), "line 14: "));
  n = 0;
  out[0].data = after;
  assert_int_equal(nnc_run(s, 0, in, 2, out, 2), NNC_OK);
  assert_true(after[0] == before[0] + 3); // one more in each of three columns, by the last run alone
  assert_memory_equal(after + 1, before + 1, 7 * sizeof(float));
  assert_int_equal(odd, 1);
  assert_int_equal(nnc_session_reset(s), NNC_OK);
  assert_int_equal(nnc_run(s, 0, in, 2, out, 2), NNC_OK);
  assert_true(after[0] == 6 && after[7] == 3 && odd == 0);
  nnc_session_free(s);
  nnc_module_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_sessions_and_threads), cmocka_unit_test(transformers),
      cmocka_unit_test(decoding_with_state),        cmocka_unit_test(routines),
      cmocka_unit_test(loops_and_branches),         cmocka_unit_test(a_run_that_fails_leaves_the_state)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
