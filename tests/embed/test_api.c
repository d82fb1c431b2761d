// The public API on the digits model: numbers, sizes, threads, sessions, and every kind of wrong call.
#include "digits_case.h"
#include "ir/target.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

// f32 against the framework's f64 forward pass: some thirty dependent operations, each within a few ulp (6e-8).
static const double BOUND = 1e-5;

static void agrees_with_the_framework(void **state) {
  (void)state;
  static const char *const levels[] = {"x86-64", "x86-64-v3", "x86-64-v4"};
  digits_case d;
  digits_case_open(&d);
  for (size_t i = 0; i < 3; i++) {
    if (!target_supported(target_find(levels[i]))) continue;
    nnc_module *m = digits_module(levels[i]);
    nnc_session *s;
    float logits[DIGITS_CASES * DIGITS_CLASSES], probabilities[DIGITS_CASES * DIGITS_CLASSES];
    assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
    assert_int_equal(digits_run(s, DIGITS_CASES, d.images, logits, probabilities), NNC_OK);
    assert_true(relative_error(logits, d.logits, DIGITS_CASES * DIGITS_CLASSES) < BOUND);
    assert_true(relative_error(probabilities, d.probabilities, DIGITS_CASES * DIGITS_CLASSES) < BOUND);
    nnc_session_free(s);
    nnc_module_free(m);
  }
  digits_case_close(&d);
}

typedef struct host { // an executor that is one thread
  int calls;
  unsigned most;
} host;

static void run_in_turn(void *user, unsigned n, void (*work)(void *arg, unsigned i), void *arg) {
  host *h = user;
  h->calls++;
  if (n > h->most) h->most = n;
  for (unsigned i = 0; i < n; i++) work(arg, i);
}

// The same bits on threads of the host program, and on threads bound to a CPU; options that contradict each other.
static void runs_on_threads_of_the_host(void **state) {
  (void)state;
  digits_case d;
  digits_case_open(&d);
  nnc_module *m = digits_module(NULL);
  enum { BATCH = 64 };
  float images[BATCH * DIGITS_PIXELS], want[BATCH * 10], got[BATCH * 10], probabilities[BATCH * 10];
  for (size_t i = 0; i < BATCH; i++)
    memcpy(images + i * DIGITS_PIXELS, d.images + i % DIGITS_CASES * DIGITS_PIXELS, DIGITS_PIXELS * sizeof(float));
  host h = {0, 0};
  nnc_executor executor = {3, run_in_turn, &h};
  unsigned cpus[] = {0, 1u << 20};
  nnc_session_options own = NNC_SESSION_OPTIONS_INIT, hosted = own, bound = own;
  own.threads = 1;
  hosted.executor = &executor;
  bound.threads = 2;
  bound.cpus = cpus + 1;
  bound.n_cpus = 1;
  nnc_session *s[2], *none;
  assert_int_equal(nnc_session_new(&s[0], m, &own), NNC_OK);
  assert_int_equal(nnc_session_new(&s[1], m, &hosted), NNC_OK);
  assert_int_equal(digits_run(s[0], BATCH, images, want, probabilities), NNC_OK);
  assert_int_equal(digits_run(s[1], BATCH, images, got, probabilities), NNC_OK);
  assert_memory_equal(got, want, sizeof want);
  assert_true(h.calls > 0);
  assert_in_range(h.most, 2, 3);
  assert_int_equal(nnc_session_new(&none, m, &bound), NNC_E_ENVIRONMENT); // no such CPU
  bound.executor = &executor;
  assert_int_equal(nnc_session_new(&none, m, &bound), NNC_E_ARGUMENT);
  hosted.threads = 2;
  assert_int_equal(nnc_session_new(&none, m, &hosted), NNC_E_ARGUMENT);
  hosted.threads = 0;
  executor.run = NULL;
  assert_int_equal(nnc_session_new(&none, m, &hosted), NNC_E_ARGUMENT);
  assert_null(none);
  nnc_session_free(s[0]);
  nnc_session_free(s[1]);
  nnc_module_free(m);
  digits_case_close(&d);
}

// One compiled model serves batch 1..64, with the same bits for each image whatever its neighbours and the number of
// threads.
static void serves_every_batch(void **state) {
  (void)state;
  digits_case d;
  digits_case_open(&d);
  nnc_module *m = digits_module(NULL);
  float images[64 * DIGITS_PIXELS], alone[64 * 10], probabilities[64 * 10], logits[64 * 10], again[64 * 10];
  for (size_t i = 0; i < 64; i++) memcpy(images + i * 64, d.images + i % DIGITS_CASES * 64, 64 * sizeof(float));
  nnc_session_options one = NNC_SESSION_OPTIONS_INIT, two = NNC_SESSION_OPTIONS_INIT;
  one.threads = 1;
  two.threads = 2;
  nnc_session *s1, *s2;
  assert_int_equal(nnc_session_new(&s1, m, &one), NNC_OK);
  assert_int_equal(nnc_session_new(&s2, m, &two), NNC_OK);
  for (int64_t i = 0; i < 64; i++)
    assert_int_equal(digits_run(s1, 1, images + i * 64, alone + i * 10, probabilities), NNC_OK);
  for (int64_t batch = 1; batch <= 64; batch++) {
    assert_int_equal(digits_run(s1, batch, images, logits, probabilities), NNC_OK);
    assert_memory_equal(logits, alone, (size_t)batch * 10 * sizeof(float));
    assert_int_equal(digits_run(s2, batch, images, again, probabilities), NNC_OK);
    assert_memory_equal(again, logits, (size_t)batch * 10 * sizeof(float));
  }
  nnc_session_free(s1);
  nnc_session_free(s2);
  nnc_module_free(m);
  digits_case_close(&d);
}

typedef struct worker {
  const nnc_module *m;
  const digits_case *d;
  float logits[DIGITS_CASES * 10];
  nnc_status status;
} worker;

static void *run_worker(void *p) {
  worker *w = p;
  nnc_session *s = NULL;
  float probabilities[DIGITS_CASES * 10];
  w->status = nnc_session_new(&s, w->m, NULL);
  for (int i = 0; i < 50 && !w->status; i++)
    w->status = digits_run(s, DIGITS_CASES, w->d->images, w->logits, probabilities);
  nnc_session_free(s);
  return NULL;
}

static void sessions_in_two_threads_agree(void **state) {
  (void)state;
  digits_case d;
  digits_case_open(&d);
  nnc_module *m = digits_module(NULL);
  worker w[2] = {{.m = m, .d = &d}, {.m = m, .d = &d}};
  pthread_t t[2];
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&t[i], NULL, run_worker, &w[i]), 0);
  for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
  assert_int_equal(w[0].status, NNC_OK);
  assert_int_equal(w[1].status, NNC_OK);
  assert_memory_equal(w[0].logits, w[1].logits, sizeof w[0].logits);
  assert_true(relative_error(w[0].logits, d.logits, DIGITS_CASES * 10) < BOUND);
  nnc_module_free(m);
  digits_case_close(&d);
}

static void describes_itself(void **state) {
  (void)state;
  nnc_module *m = digits_module(NULL);
  nnc_tensor_info info;
  nnc_dim_info dim;
  nnc_module_stats stats;
  assert_string_equal(nnc_module_name(m), "digits");
  assert_int_equal(nnc_module_entry_count(m), 1);
  assert_string_equal(nnc_module_entry_name(m, 0), "forward");
  assert_null(nnc_module_entry_name(m, 1));
  assert_int_equal(nnc_module_input_count(m, 0), 1);
  assert_int_equal(nnc_module_output_count(m, 0), 2);
  assert_int_equal(nnc_module_input(m, 0, 0, &info), NNC_OK);
  assert_string_equal(info.name, "image");
  assert_string_equal(info.shape, "[batch, 8, 8]");
  assert_int_equal(info.dtype, NNC_F32);
  assert_int_equal(nnc_module_output(m, 0, 1, &info), NNC_OK);
  assert_string_equal(info.name, "probabilities");
  assert_int_equal(nnc_module_output(m, 0, 2, &info), NNC_E_ARGUMENT);
  assert_int_equal(nnc_module_dim_count(m), 1);
  assert_int_equal(nnc_module_dim(m, 0, &dim), NNC_OK);
  assert_int_equal(dim.lo, 1);
  assert_int_equal(dim.hi, 64);
  assert_int_equal(nnc_module_get_stats(m, &stats), NNC_OK);
  assert_int_equal(stats.parameters, 69066);
  assert_true(stats.kernels > 0 && stats.code_bytes > 0 && stats.total_ms > 0);
  nnc_module_free(m);
}

static void refuses_wrong_calls(void **state) {
  (void)state;
  nnc_module *m = digits_module(NULL);
  nnc_session *s;
  float images[65 * 64] = {0}, logits[65 * 10], probabilities[65 * 10];
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  nnc_tensor in = nnc_tensor_of(NNC_F32, images, 3, (const int64_t[]){65, 8, 8}), out[2] = {0};
  assert_int_equal(nnc_shapes(s, 0, &in, 1, out, 2), NNC_E_MODEL);
  assert_non_null(strstr(nnc_session_error(s), "batch"));
  assert_non_null(strstr(nnc_session_error(s), "1..64"));
  in.dim[0] = 2, in.dim[1] = 9;
  assert_int_equal(nnc_shapes(s, 0, &in, 1, out, 2), NNC_E_MODEL);
  in.dim[1] = 8, in.dtype = NNC_F64;
  assert_int_equal(nnc_shapes(s, 0, &in, 1, out, 2), NNC_E_MODEL);
  in.dtype = NNC_F32, in.rank = 2;
  assert_int_equal(nnc_shapes(s, 0, &in, 1, out, 2), NNC_E_MODEL);
  in.rank = 3;
  assert_int_equal(nnc_shapes(s, 0, &in, 1, out, 2), NNC_OK);
  assert_int_equal(out[0].dim[0], 2);
  assert_int_equal(out[1].dim[1], 10);
  assert_int_equal(nnc_run(s, 0, &in, 1, out, 2), NNC_E_MODEL); // no memory for outputs
  out[0].data = logits, out[1].data = probabilities;
  assert_int_equal(nnc_run(s, 0, &in, 1, out, 2), NNC_OK);
  assert_int_equal(nnc_run(s, 1, &in, 1, out, 2), NNC_E_ARGUMENT);
  assert_int_equal(nnc_run(s, 0, &in, 0, out, 2), NNC_E_ARGUMENT);
  assert_int_equal(nnc_run(s, 0, &in, 1, NULL, 2), NNC_E_ARGUMENT);
  out[0].dim[0] = 3;
  assert_int_equal(nnc_run(s, 0, &in, 1, out, 2), NNC_E_MODEL);
  in.data = NULL;
  assert_int_equal(nnc_run(s, 0, &in, 1, out, 2), NNC_E_MODEL);
  in.data = images, out[0].dim[0] = 2;
  assert_int_equal(nnc_session_set_dim(s, "batch", 3), NNC_OK);
  assert_int_equal(nnc_run(s, 0, &in, 1, out, 2), NNC_E_MODEL);
  assert_string_equal(nnc_session_error(s), "input `image`: `batch` is 2, and was set to 3");
  assert_int_equal(nnc_session_set_dim(s, "batch", 65), NNC_E_MODEL);
  assert_int_equal(nnc_session_set_dim(s, "nothing", 1), NNC_E_MODEL);
  assert_int_equal(nnc_run(NULL, 0, &in, 1, out, 2), NNC_E_ARGUMENT);
  nnc_session_free(s);
  nnc_session_options tight = NNC_SESSION_OPTIONS_INIT;
  tight.max_arena_bytes = 16;
  assert_int_equal(nnc_session_new(&s, m, &tight), NNC_OK);
  assert_int_equal(digits_run(s, 1, images, logits, probabilities), NNC_E_ENVIRONMENT);
  nnc_session_free(s);
  nnc_module_free(m);
}

// Two inputs that disagree about a dim: the message names both.
static void tells_which_inputs_clash(void **state) {
  (void)state;
  static const char text[] = "nnc: 1\nname: m\ndims:\n  n: 1..8\ninputs:\n  a: f32[n]\n  b: f32[2 * n]\nsteps:\n"
                             "- y: sum(a) + sum(b)\noutputs:\n  y: y\n";
  nnc_module *m;
  nnc_session *s;
  assert_int_equal(nnc_module_compile(&m, text, sizeof text - 1, "m.yaml", NULL, NULL), NNC_OK);
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  float a[3] = {1, 2, 3}, b[8] = {0}, y = 0;
  nnc_tensor in[] = {nnc_tensor_of(NNC_F32, a, 1, (const int64_t[]){3}),
                     nnc_tensor_of(NNC_F32, b, 1, (const int64_t[]){8})};
  nnc_tensor out = nnc_tensor_of(NNC_F32, &y, 0, NULL);
  assert_int_equal(nnc_run(s, 0, in, 2, &out, 1), NNC_E_MODEL);
  assert_string_equal(nnc_session_error(s), "input `b`: `n` is 4, and 3 in input `a`");
  in[1].dim[0] = 6;
  assert_int_equal(nnc_run(s, 0, in, 2, &out, 1), NNC_OK);
  assert_true(y == 6);
  nnc_session_free(s);
  nnc_module_free(m);
}

static void reports_model_errors(void **state) {
  (void)state;
  static const char text[] = "nnc: 1\nname: bad\ninputs:\n  x: f32[3]\nsteps:\n- y: relu(z)\noutputs:\n  y: y\n";
  nnc_module *m;
  nnc_diagnostics *d;
  assert_int_equal(nnc_module_compile(&m, text, sizeof text - 1, "bad.yaml", NULL, &d), NNC_E_MODEL);
  assert_null(m);
  assert_int_equal(nnc_diagnostics_count(d), 1);
  const nnc_diagnostic *e = nnc_diagnostics_get(d, 0);
  assert_string_equal(e->id, "unknown_name");
  assert_string_equal(e->file, "bad.yaml");
  assert_int_equal(e->line, 6);
  assert_int_equal(e->column, 11);
  assert_null(nnc_diagnostics_get(d, 1));
  nnc_diagnostics_free(d);
  assert_int_equal(nnc_module_open(&m, NNC_SOURCE_DIR "/no such file.yaml", NULL, &d), NNC_E_ENVIRONMENT);
  nnc_diagnostics_free(d);
  assert_int_equal(nnc_module_open(&m, NNC_SOURCE_DIR "/no such file.so", NULL, &d), NNC_E_ENVIRONMENT);
  nnc_diagnostics_free(d);
  assert_int_equal(nnc_module_open(NULL, DIGITS_YAML, NULL, NULL), NNC_E_ARGUMENT);
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.cpu = "z80";
  assert_int_equal(nnc_module_open(&m, DIGITS_YAML, &o, NULL), NNC_E_ARGUMENT);
  o.cpu = NULL, o.weights_dtype = "q5";
  assert_int_equal(nnc_module_open(&m, DIGITS_YAML, &o, &d), NNC_E_ARGUMENT);
  assert_string_equal(nnc_diagnostics_get(d, 0)->id, "weights_dtype_unknown");
  nnc_diagnostics_free(d);
  o.weights_dtype = NULL, o.precision = "f8";
  assert_int_equal(nnc_module_open(&m, DIGITS_YAML, &o, &d), NNC_E_ARGUMENT);
  assert_string_equal(nnc_diagnostics_get(d, 0)->id, "precision_unknown");
  nnc_diagnostics_free(d);
  o.precision = NULL, o.approx = "everything";
  assert_int_equal(nnc_module_open(&m, DIGITS_YAML, &o, &d), NNC_E_ARGUMENT);
  assert_string_equal(nnc_diagnostics_get(d, 0)->id, "approx_unknown");
  nnc_diagnostics_free(d);
  o.size = 3;
  assert_int_equal(nnc_module_open(&m, DIGITS_YAML, &o, NULL), NNC_E_ARGUMENT);
}

static void expect_error(const char *text, const char *cpu, nnc_status status, const char *id) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  const char *const random_weights[] = {"random"};
  nnc_module *m;
  nnc_diagnostics *d;
  o.cpu = cpu, o.weights = random_weights, o.n_weights = 1;
  assert_int_equal(nnc_module_compile(&m, text, strlen(text), "m.yaml", &o, &d), status);
  assert_true(nnc_diagnostics_count(d) > 0);
  assert_string_equal(nnc_diagnostics_get(d, 0)->id, id);
  nnc_diagnostics_free(d);
}

#define MODEL(steps) "nnc: 1\nname: m\ninputs:\n  x: f32[2, 2]\nsteps:\n" steps "outputs:\n  y: y\n"

// Weights alone can be wrong too: what they give is computed once, when the model is opened.
static void reports_what_prepare_meets(void **state) {
  (void)state;
  expect_error(MODEL("- w@w: param(3, 2)\n- y: matmul(x, take(w, iota(2) * 7))\n"), NULL, NNC_E_MODEL,
               "prepare_failed");
}

static void refuses_code_for_a_newer_cpu(void **state) {
  (void)state;
  static const char *const levels[] = {"x86-64", "x86-64-v3", "x86-64-v4"};
  for (size_t i = 0; i < 3; i++)
    if (!target_supported(target_find(levels[i])))
      expect_error(MODEL("- y: x\n"), levels[i], NNC_E_ENVIRONMENT, "cpu_too_old");
}

typedef struct trace {
  pthread_t caller;
  size_t n_kernels, n_shares, n_wrong;
  int64_t last_end_ns; // of thread 0
  uint64_t macs;
} trace;

static void note(void *user, const nnc_trace_event *e) {
  trace *t = user;
  bool kernel = e->kind == NNC_TRACE_KERNEL;
  t->n_kernels += kernel;
  t->n_shares += e->kind == NNC_TRACE_SHARE;
  t->macs += e->macs;
  if (!pthread_equal(t->caller, pthread_self()) || e->start_ns > e->end_ns || !e->label[0] || !e->kernel[0])
    t->n_wrong++;
  if (strcmp(e->yaml_file, "digits.yaml") != 0 || !e->yaml_line || e->points <= 0) t->n_wrong++;
  if (kernel && (e->thread || e->start_ns < t->last_end_ns || !e->bytes_read || !e->bytes_written)) t->n_wrong++;
  if (!kernel && (e->thread != 1 || e->macs || e->bytes_read)) t->n_wrong++;
  if (kernel) t->last_end_ns = e->end_ns;
}

static void traces_runs(void **state) {
  (void)state;
  digits_case d;
  digits_case_open(&d);
  nnc_module *m = digits_module(NULL);
  nnc_session *s;
  nnc_session_options two = NNC_SESSION_OPTIONS_INIT;
  two.threads = 2;
  float plain[DIGITS_CASES * 10], logits[DIGITS_CASES * 10], probabilities[DIGITS_CASES * 10];
  assert_int_equal(nnc_session_new(&s, m, &two), NNC_OK);
  assert_int_equal(digits_run(s, DIGITS_CASES, d.images, plain, probabilities), NNC_OK);
  trace one = {.caller = pthread_self()}, all;
  nnc_session_trace(s, note, &one);
  assert_int_equal(digits_run(s, 1, d.images, logits, probabilities), NNC_OK);
  all = one;
  nnc_session_trace(s, note, &all);
  assert_int_equal(digits_run(s, DIGITS_CASES, d.images, logits, probabilities), NNC_OK);
  assert_memory_equal(logits, plain, sizeof logits);
  assert_true(one.n_kernels > 10 && all.n_kernels == 2 * one.n_kernels && all.n_shares <= all.n_kernels);
  assert_int_equal(all.n_wrong, 0);
  assert_true(one.macs > 0 && all.macs == one.macs * (DIGITS_CASES + 1));
  trace before = all;
  nnc_session_trace(s, NULL, NULL);
  assert_int_equal(digits_run(s, DIGITS_CASES, d.images, logits, probabilities), NNC_OK);
  assert_memory_equal(&before, &all, sizeof all);
  nnc_session_trace(NULL, note, &all);
  nnc_session_free(s);
  nnc_module_free(m);
  digits_case_close(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_the_framework),
      cmocka_unit_test(serves_every_batch),
      cmocka_unit_test(runs_on_threads_of_the_host),
      cmocka_unit_test(sessions_in_two_threads_agree),
      cmocka_unit_test(describes_itself),
      cmocka_unit_test(refuses_wrong_calls),
      cmocka_unit_test(reports_model_errors),
      cmocka_unit_test(tells_which_inputs_clash),
      cmocka_unit_test(reports_what_prepare_meets),
      cmocka_unit_test(refuses_code_for_a_newer_cpu),
      cmocka_unit_test(traces_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
