// Memory that runs out: the N-th allocation is refused, for every N, while a model is compiled, saved, loaded, given a
// session and run. Two ways: an arena on a source that refuses, which all of the compiler lives on, LLVM's room
// included, by its blocks and by its single requests; and malloc, calloc, aligned_alloc and pthread_create of every
// object of nnc, wrapped by the linker (cmake/fuzz.cmake), under the public API. What is refused gives a status, leaks
// nothing (counted here, and by AddressSanitizer), and does no harm to the next try.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handles.h"
#include "unit/counting_source.h"
#include "unit/scratch.h"

#define DIGITS NNC_SOURCE_DIR "/models/vision/digits.yaml"

static const char model[] = "nnc: 1\nname: m\ndims:\n  n: 1..8\ninputs:\n  x: f32[n, 6]\n  s: f32 = 2\n"
                            "steps:\n- y@fc: linear(x, 5)\n- z: softmax(y * s)\n- t: sum(z, dim=0)\noutputs:\n"
                            "  z: z\n  t: t\n";

static const char *const random_weights[] = {"random:3"};

// -- what the linker puts between nnc and the C library --

static struct {
  atomic_size_t n_calls; // of any thread: kernels are compiled on a pool
  size_t fail_at;        // the call, from 1, that is refused; 0 = none
  bool for_good;         // and all after it
} wrapped;

static bool refused(void) {
  size_t n = atomic_fetch_add(&wrapped.n_calls, 1) + 1;
  return wrapped.fail_at && (wrapped.for_good ? n >= wrapped.fail_at : n == wrapped.fail_at);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *attributes, void *(*body)(void *), void *user);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attributes, void *(*body)(void *), void *user);

void *__wrap_malloc(size_t size) { return refused() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return refused() ? NULL : __real_calloc(n, size); }
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return refused() ? NULL : __real_aligned_alloc(alignment, size);
}
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attributes, void *(*body)(void *), void *user) {
  return refused() ? EAGAIN : __real_pthread_create(t, attributes, body, user);
}

static void refuse(size_t fail_at, bool for_good) {
  wrapped.n_calls = 0;
  wrapped.fail_at = fail_at;
  wrapped.for_good = for_good;
}

// The calls since `refuse`; nothing is refused any more.
static size_t calls_made(void) {
  size_t n = wrapped.n_calls;
  refuse(0, false);
  return n;
}

// -- the compiler, on an arena that is refused --

typedef struct compile_case {
  const char *path, *library;
  const char *weights;
  bool cached;
  bool no_code;    // ends where code generation would begin
  bool each_alone; // a block for each request of the arena
  size_t shift;    // bytes taken first, so that the arena's blocks end elsewhere
  bool ok;         // all steps came back true
  bool told;       // if not, a message says why
} compile_case;

static void compile_all(arena *a, void *user) {
  compile_case *c = user;
  arena_alloc(a, c->shift);
  compile_job *j = ARENA_NEW(a, compile_job);
  frontend_options front = {.weights = &c->weights, .n_weights = c->weights ? 1 : 0};
  rt_module rt;
  const void *block;
  c->ok = compile_begin(j, a, c->path, NULL, &front, NULL);
  if (c->ok && c->cached) compile_use_cache(j);
  if (c->no_code) {
    c->ok = c->ok && compile_frontend(j) && compile_passes(j) && compile_lower(j) && compile_weights(j);
    c->told = diag_failed(&j->diags);
    return;
  }
  c->ok = c->ok && compile_image(j, true) && compile_module(j, &rt, &block);
  c->ok = c->ok && (!c->library || aot_write(a, &j->diags, &j->image, false, block, AOT_weights_embed, c->library));
  c->told = diag_failed(&j->diags);
}

// One compile; the allocations it asked for. What was refused has unwound with 1, or (a tensor of the interpreter, with
// which `fold` works) was reported, or done without; nothing stays.
static size_t compile_once(compile_case *c, size_t fail_at) {
  counting_source source;
  counting_source_init(&source, fail_at);
  source.source.each_alone = c->each_alone;
  arena *a = arena_new(&source.source);
  if (!a) {
    assert_int_equal(fail_at, 1);
    return source.n_calls;
  }
  c->ok = false;
  int code = run_guarded(a, compile_all, c);
  if (fail_at ? code != 1 && !(code == 0 && c->ok != c->told) : code != 0 || !c->ok)
    fail_msg("%s, allocation %zu: unwound with %d", c->path, fail_at, code);
  arena_free(a);
  assert_int_equal(source.n_live, 0);
  return source.n_calls;
}

static void compile_without_memory(void **state) {
  scratch *s = *state;
  compile_case c = {
      .path = scratch_file(s, "m.yaml", STR(model)), .library = scratch_path(s, "m.so"), .weights = random_weights[0]};
  for (c.shift = 0; c.shift < 60000; c.shift += 20011) {
    size_t n_calls = compile_once(&c, 0);
    assert_true(n_calls > 3);
    for (size_t i = 1; i <= n_calls; i++) {
      unlink(c.library);
      compile_once(&c, i);
    }
  }
}

// The same by single requests of the arena, 13000 where there are 50 blocks: all of them up to code generation, which
// costs ten times as much as what goes before it and is sampled.
enum { CODE_STRIDE = 41 };

static void compile_without_one_request(void **state) {
  scratch *s = *state;
  compile_case c = {.path = scratch_file(s, "m.yaml", STR(model)), .weights = random_weights[0]};
  c.each_alone = c.no_code = true;
  size_t n_before = compile_once(&c, 0);
  assert_true(n_before > 5000);
  for (size_t i = 1; i <= n_before; i += REFUSAL_STRIDE) compile_once(&c, i);
  c.no_code = false;
  size_t n_calls = compile_once(&c, 0);
  assert_true(n_calls > n_before);
  for (size_t i = n_before; i <= n_calls; i += CODE_STRIDE) compile_once(&c, i);
}

static void compile_with_a_cache_without_memory(void **state) {
  scratch *s = *state;
  unsetenv("NNC_NO_CACHE");
  setenv("NNC_CACHE_DIR", scratch_path(s, "cache"), 1);
  compile_case c = {.path = scratch_file(s, "m.yaml", STR(model)), .weights = random_weights[0], .cached = true};
  size_t n_calls = compile_once(&c, 0);
  for (size_t i = 1; i <= n_calls; i++) {
    compile_once(&c, i); // warm
    assert_int_equal(system(str_fmt(s->a, "rm -r '%s'", scratch_path(s, "cache"))), 0);
    compile_once(&c, i); // cold: what this leaves may be nothing, but is not wrong
    compile_once(&c, 0);
  }
  setenv("NNC_NO_CACHE", "1", 1);
}

static void compile_digits_without_memory(void **state) {
  (void)state;
  compile_case c = {.path = DIGITS};
  size_t n_calls = compile_once(&c, 0);
  const size_t step = n_calls / 10 + 1; // a sample
  for (size_t i = 1; i <= n_calls; i += step) compile_once(&c, i);
  compile_once(&c, n_calls);
}

// -- the public API, on a C library that is refused --

typedef struct numbers {
  float z[3][5], t[5];
} numbers;

static nnc_status run_once(nnc_session *session, numbers *y) {
  float x[3][6] = {{1, 2, 3, 4, 5, 6}, {-1, 0.5f, 0, 2, 1, -3}, {0.25f, 1, -1, 0, 0, 7}};
  nnc_tensor in[] = {nnc_tensor_of(NNC_F32, x, 2, (const int64_t[]){3, 6}), nnc_tensor_of(NNC_F32, NULL, 0, NULL)};
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, y->z, 2, (const int64_t[]){3, 5}),
                      nnc_tensor_of(NNC_F32, y->t, 1, (const int64_t[]){5})};
  return nnc_run(session, 0, in, 2, out, 2);
}

static nnc_status open_once(nnc_module **m, const char *path) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  if (path[strlen(path) - 1] != 'o') o.weights = random_weights, o.n_weights = 1;
  nnc_diagnostics *d;
  nnc_status status = nnc_module_open(m, path, &o, &d);
  if (status && d) assert_true(nnc_diagnostics_count(d) > 0);
  nnc_diagnostics_free(d);
  return status;
}

// A refused call says NNC_E_ENVIRONMENT; one that could do without what it was refused (threads) gives the same bits.
static void expect_status(nnc_status status, size_t fail_at, const char *what) {
  if (status != NNC_OK && (status != NNC_E_ENVIRONMENT || !fail_at))
    fail_msg("%s, allocation %zu: status %d", what, fail_at, (int)status);
}

static void check_sessions(const nnc_module *m, const numbers *want, bool for_good) {
  nnc_session_options options = NNC_SESSION_OPTIONS_INIT;
  options.threads = 3;
  for (size_t fail_at = 1, n_calls = 1; fail_at <= n_calls; fail_at++) {
    nnc_session *session = NULL;
    numbers y = {0};
    refuse(fail_at, for_good);
    nnc_status opened = nnc_session_new(&session, m, &options);
    nnc_status ran = opened ? NNC_E_ENVIRONMENT : run_once(session, &y);
    n_calls = calls_made();
    expect_status(opened, fail_at, "session");
    expect_status(ran, fail_at, "run");
    assert_int_equal(opened == NNC_OK, session != NULL);
    if (opened) continue;
    if (ran) {
      assert_true(nnc_session_error(session)[0] != 0);
      assert_int_equal(run_once(session, &y), NNC_OK); // the session is as good as before
    }
    assert_memory_equal(&y, want, sizeof y);
    nnc_session_free(session);
  }
}

static void check_modules(scratch *s, const char *path, const numbers *want, bool for_good) {
  for (size_t fail_at = 1, n_calls = 1; fail_at <= n_calls; fail_at++) {
    nnc_module *m = NULL;
    refuse(fail_at, for_good);
    nnc_status status = open_once(&m, path);
    n_calls = calls_made();
    expect_status(status, fail_at, path);
    assert_int_equal(status == NNC_OK, m != NULL);
    if (status) continue;
    nnc_session *session;
    numbers y = {0};
    assert_int_equal(nnc_session_new(&session, m, NULL), NNC_OK);
    assert_int_equal(run_once(session, &y), NNC_OK);
    assert_memory_equal(&y, want, sizeof y);
    nnc_session_free(session);
    nnc_module_free(m);
  }
  (void)s;
}

static void check_saving(scratch *s, const nnc_module *m, bool for_good) {
  const char *path = scratch_path(s, "saved.so");
  for (size_t fail_at = 1, n_calls = 1; fail_at <= n_calls; fail_at++) {
    unlink(path);
    refuse(fail_at, for_good);
    nnc_status status = nnc_module_save(m, path, NULL);
    n_calls = calls_made();
    expect_status(status, fail_at, "save");
    assert_int_equal(status == NNC_OK, access(path, F_OK) == 0);
  }
}

static void api_without_memory(void **state) {
  scratch *s = *state;
  const char *path = scratch_file(s, "m.yaml", STR(model)), *library = scratch_path(s, "m.so");
  nnc_module *m;
  nnc_session *session;
  numbers want = {0};
  assert_int_equal(open_once(&m, path), NNC_OK);
  assert_int_equal(nnc_session_new(&session, m, NULL), NNC_OK);
  assert_int_equal(run_once(session, &want), NNC_OK);
  assert_true(want.t[0] > 0);
  nnc_session_free(session);
  assert_int_equal(nnc_module_save(m, library, NULL), NNC_OK);
  for (int for_good = 0; for_good < 2; for_good++) {
    check_sessions(m, &want, for_good);
    check_saving(s, m, for_good);
    check_modules(s, path, &want, for_good);
    check_modules(s, library, &want, for_good);
  }
  nnc_module_free(m);
}

// LLVM is kept open: opening it takes longer than all that is tested here.
static int keep_llvm(void **state) {
  (void)state;
  return dlopen(NNC_BINARY_DIR "/libnnc-llvm.so.0", RTLD_NOW | RTLD_LOCAL) ? 0 : -1;
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(compile_without_memory),        CASE(compile_without_one_request), CASE(compile_with_a_cache_without_memory),
      CASE(compile_digits_without_memory), CASE(api_without_memory),
  };
  return cmocka_run_group_tests(tests, keep_llvm, NULL);
}
