// A run of sizes that were run before allocates nothing: every allocation of the calling thread is counted. (The pool's
// threads run kernels, which can allocate nothing; what the system does when it starts a thread is not of interest.)
//
// The C library's allocator is reached through functions of this program that count first. Sanitizers bring their own
// allocator, which has hooks for this.
#include "bert_case.h"
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

// volatile: compilers know malloc, and would not read the counter again after it
static _Thread_local volatile size_t n_allocations;

#ifdef SANITIZED

int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void count(const volatile void *p, size_t n) {
  (void)p, (void)n;
  n_allocations++;
}
static void ignore(const volatile void *p) { (void)p; }
static void start_counting(void) { __sanitizer_install_malloc_and_free_hooks(count, ignore); }

#else

#define EXPORTED __attribute__((visibility("default")))

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

EXPORTED void *malloc(size_t n) {
  n_allocations++;
  return __libc_malloc(n);
}
EXPORTED void *calloc(size_t n, size_t size) {
  n_allocations++;
  return __libc_calloc(n, size);
}
EXPORTED void *realloc(void *p, size_t n) {
  n_allocations++;
  return __libc_realloc(p, n);
}
EXPORTED void *aligned_alloc(size_t alignment, size_t n) {
  n_allocations++;
  return __libc_memalign(alignment, n);
}
EXPORTED int posix_memalign(void **out, size_t alignment, size_t n) {
  n_allocations++;
  *out = __libc_memalign(alignment, n);
  return *out ? 0 : 12; // ENOMEM
}
static void start_counting(void) {}

#endif

enum { MAX_FLOATS = 4 * BERT_MAX_SEQ * 96 };

static float hidden[MAX_FLOATS], pooled[4 * 96];

// The counter counts: what it does not see would prove nothing.
static void allocations_are_counted(void **state) {
  (void)state;
  size_t before = n_allocations;
  void *volatile p = malloc(64), *volatile q = calloc(3, 5), *volatile r = aligned_alloc(64, 128);
  assert_true(n_allocations == before + 3);
  free(p);
  free(q);
  free(r);
}

static void check_session(const bert_checkpoint *c, nnc_session *s) {
  size_t before = n_allocations;
  for (size_t k = 0; k < c->n_cases; k++) assert_int_equal(bert_run(s, c->width, &c->cases[k], hidden, pooled), NNC_OK);
  assert_true(n_allocations > before); // the first run of each size makes its room
  before = n_allocations;
  for (size_t i = 0; i < 20; i++) {
    nnc_status status = bert_run(s, c->width, &c->cases[i % c->n_cases], hidden, pooled);
    if (status || n_allocations != before)
      fail_msg("run %zu: status %d, %zu allocations", i, (int)status, n_allocations - before);
  }
  bert_case bad = *bert_find(c, "2_ragged");
  static const int32_t ids[4 * BERT_MAX_SEQ] = {INT32_MAX};
  bad.ids = ids;
  assert_int_equal(bert_run(s, c->width, &bad, hidden, pooled), NNC_E_DATA);
  assert_true(n_allocations == before); // nor does a failure
}

static void runs_allocate_nothing(void **state) {
  (void)state;
  bert_checkpoint c;
  bert_open(&c, "gelu");
  nnc_module *m = bert_module(&c, NULL);
  for (unsigned threads = 1; threads <= 2; threads++) {
    nnc_session_options o = NNC_SESSION_OPTIONS_INIT;
    o.threads = threads;
    nnc_session *s;
    assert_int_equal(nnc_session_new(&s, m, &o), NNC_OK);
    check_session(&c, s);
    nnc_session_free(s);
  }
  nnc_module_free(m);
  bert_close(&c);
}

int main(void) {
  start_counting();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(allocations_are_counted),
      cmocka_unit_test(runs_allocate_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
