// The thread pool: every item once, workers told apart, nobody waits for a late thread, no wake-up is lost.
#define _GNU_SOURCE // CPU_COUNT
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/pool.h"

enum { MAX_ITEMS = 4096, MAX_THREADS = 16 };

// What one run did. `seen` is plain memory on purpose: ThreadSanitizer then checks that a run's writes are ordered
// before its return, and that no two calls touch the same item.
typedef struct record {
  int seen[MAX_ITEMS];
  atomic_int in_use[MAX_THREADS]; // calls that run with this worker index right now
  atomic_int mistakes;
  int64_t n_items, chunk;
  unsigned n_threads;
} record;

static void mark_items(void *user, int64_t begin, int64_t end, unsigned worker) {
  record *r = user;
  bool ok = begin >= 0 && begin < end && end <= r->n_items && begin % r->chunk == 0 && worker < r->n_threads &&
            (end % r->chunk == 0 || end == r->n_items);
  if (!ok || atomic_fetch_add(&r->in_use[worker], 1) != 0) {
    atomic_fetch_add(&r->mistakes, 1);
    return;
  }
  for (int64_t i = begin; i < end; i++) r->seen[i]++;
  atomic_fetch_sub(&r->in_use[worker], 1);
}

static void run_and_check(rt_pool *pool, int64_t n_items, int64_t chunk) {
  record *r = calloc(1, sizeof *r);
  r->n_items = n_items;
  r->chunk = chunk;
  r->n_threads = rt_pool_threads(pool);
  rt_pool_run(pool, n_items, chunk, mark_items, r);
  int wrong = 0;
  for (int64_t i = 0; i < MAX_ITEMS; i++) wrong += r->seen[i] != (i < n_items);
  wrong += atomic_load(&r->mistakes);
  free(r); // a late worker that still touched it would be seen by the sanitizers
  assert_int_equal(wrong, 0);
}

static void every_item_once(void **state) {
  (void)state;
  for (unsigned n_threads = 1; n_threads <= 9; n_threads += 2) {
    rt_pool *pool = rt_pool_new(n_threads);
    assert_int_equal(rt_pool_threads(pool), n_threads);
    static const int64_t sizes[] = {1, 2, 3, 7, 64, 100, 1000, 4096};
    static const int64_t chunks[] = {1, 2, 3, 16, 999, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) run_and_check(pool, sizes[i], chunks[k]);
    }
    rt_pool_free(pool);
  }
}

static void count_call(void *user, int64_t begin, int64_t end, unsigned worker) {
  (void)begin, (void)end, (void)worker;
  atomic_fetch_add((atomic_int *)user, 1);
}

static void edges(void **state) {
  (void)state;
  rt_pool *pool = rt_pool_new(3);
  atomic_int n = 0;
  rt_pool_run(pool, 0, 1, count_call, &n);
  rt_pool_run(pool, -5, 1, count_call, &n);
  assert_int_equal(n, 0);
  rt_pool_run(pool, 10, 10, count_call, &n); // one chunk: one call, by the caller
  assert_int_equal(n, 1);
  rt_pool_run(NULL, 10, 1, count_call, &n); // no pool: the caller alone
  assert_int_equal(n, 2);
  n = 0;
  rt_pool_run(pool, 10, 0, count_call, &n); // a chunk of 0 counts as 1
  assert_int_equal(n, 10);
  n = 0;
  rt_pool_run(pool, INT64_MAX, INT64_MAX / 100, count_call, &n);
  assert_int_equal(n, 101);
  rt_pool_free(pool);
  rt_pool_free(NULL);
  assert_int_equal(rt_pool_threads(NULL), 1);
  pool = rt_pool_new(0);
  cpu_set_t set;
  assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
  assert_int_equal(rt_pool_threads(pool), CPU_COUNT(&set));
  rt_pool_free(pool);
}

typedef struct cover {
  _Atomic int64_t n_items, n_calls;
} cover;

static void add_length(void *user, int64_t begin, int64_t end, unsigned worker) {
  (void)worker;
  cover *c = user;
  atomic_fetch_add(&c->n_items, begin % 10 == 0 ? end - begin : 0);
  atomic_fetch_add(&c->n_calls, 1);
}

// More chunks than are worth handing out: several at a time, still on chunk boundaries.
static void very_many_chunks(void **state) {
  (void)state;
  rt_pool *pool = rt_pool_new(2);
  static const int64_t sizes[] = {20000000, INT64_MAX};
  for (int i = 0; i < 2; i++) {
    cover c = {0, 0};
    rt_pool_run(pool, sizes[i], 10, add_length, &c);
    assert_true(c.n_items == sizes[i]);
    assert_true(c.n_calls >= 1 << 19 && c.n_calls <= 1 << 20);
  }
  rt_pool_free(pool);
}

// Jobs with pauses from nothing to well past the spinning time, so that workers are met awake, on their way to sleep,
// and asleep.
static void no_wake_up_is_lost(void **state) {
  (void)state;
  rt_pool *pool = rt_pool_new(4);
  alarm(60); // a lost wake-up of the caller would hang here
  for (int i = 0; i < 3000; i++) {
    run_and_check(pool, 40, 1);
    struct timespec t = {0, i % 50 * 4000};
    if (i % 3 == 0) nanosleep(&t, NULL);
  }
  alarm(0);
  rt_pool_free(pool);
}

typedef struct meeting {
  atomic_int n_here;
  int n_wanted;
} meeting;

static void wait_for_all(void *user, int64_t begin, int64_t end, unsigned worker) {
  (void)begin, (void)end, (void)worker;
  meeting *m = user;
  atomic_fetch_add(&m->n_here, 1);
  while (atomic_load(&m->n_here) < m->n_wanted) sched_yield();
}

// Each of 4 chunks waits until all 4 run: only possible with 4 threads at work at once, sleeping ones included.
static void all_threads_take_part(void **state) {
  (void)state;
  rt_pool *pool = rt_pool_new(4);
  alarm(60);
  for (int i = 0; i < 200; i++) {
    meeting m = {0, 4};
    if (i % 10 == 0) nanosleep(&(struct timespec){0, 3000000}, NULL); // let them fall asleep
    rt_pool_run(pool, 4, 1, wait_for_all, &m);
    assert_int_equal(m.n_here, 4);
  }
  alarm(0);
  rt_pool_free(pool);
}

typedef struct slow_one {
  atomic_int n_done;
  int n_chunks;
} slow_one;

static void stuck_until_others_are_done(void *user, int64_t begin, int64_t end, unsigned worker) {
  (void)end, (void)worker;
  slow_one *s = user;
  if (begin == 0) {
    while (atomic_load(&s->n_done) < s->n_chunks - 1) sched_yield();
  }
  atomic_fetch_add(&s->n_done, 1);
}

// The thread with the first chunk is stuck until all the others are finished, which a fixed division could not do.
static void chunks_of_a_slow_thread_go_to_others(void **state) {
  (void)state;
  for (unsigned n_threads = 2; n_threads <= 4; n_threads++) {
    rt_pool *pool = rt_pool_new(n_threads);
    alarm(60);
    for (int i = 0; i < 100; i++) {
      slow_one s = {0, 64};
      rt_pool_run(pool, 64, 1, stuck_until_others_are_done, &s);
      assert_int_equal(s.n_done, 64);
    }
    alarm(0);
    rt_pool_free(pool);
  }
}

// In a forked child the workers do not exist: threads that never start. The caller does it all and does not wait.
static void nobody_waits_for_threads_that_never_start(void **state) {
  (void)state;
  rt_pool *pool = rt_pool_new(4);
  run_and_check(pool, 100, 1);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(20);
    signal(SIGALRM, SIG_DFL);
    atomic_int n = 0;
    for (int i = 0; i < 50; i++) rt_pool_run(pool, 100, 1, count_call, &n);
    _exit(n == 5000 ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  run_and_check(pool, 100, 1);
  rt_pool_free(pool);
}

typedef struct nest {
  rt_pool *pool;
  atomic_int n;
} nest;

static void run_inside(void *user, int64_t begin, int64_t end, unsigned worker) {
  (void)begin, (void)end, (void)worker;
  nest *n = user;
  run_and_check(n->pool, 33, 4);
  atomic_fetch_add(&n->n, 1);
}

static void calls_from_inside(void **state) {
  (void)state;
  nest n = {rt_pool_new(4), 0};
  for (int i = 0; i < 50; i++) rt_pool_run(n.pool, 20, 1, run_inside, &n);
  assert_int_equal(n.n, 1000);
  rt_pool_free(n.pool);
}

static void *session(void *pool) {
  for (int i = 0; i < 1500; i++) run_and_check(pool, 1 + i % 200, 1 + i % 7);
  return NULL;
}

static void sessions_share_a_pool(void **state) {
  (void)state;
  rt_pool *pool = rt_pool_new(3);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, session, pool), 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  rt_pool_free(pool);
}

static void pools_come_and_go(void **state) {
  (void)state;
  for (int i = 0; i < 200; i++) {
    rt_pool *pool = rt_pool_new(5);
    if (i % 3 == 0) run_and_check(pool, 50, 1); // freed busy, starting up, and never used
    if (i % 3 == 1) nanosleep(&(struct timespec){0, 500000}, NULL);
    rt_pool_free(pool);
  }
}

static int64_t cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void idle_pool_sleeps(void **state) {
  (void)state;
  rt_pool *pool = rt_pool_new(4);
  run_and_check(pool, 100, 1);
  nanosleep(&(struct timespec){0, 50000000}, NULL);
  int64_t before = cpu_ns();
  nanosleep(&(struct timespec){0, 300000000}, NULL);
  assert_true(cpu_ns() - before < 30000000); // three idle workers that spun would have used 10 to 30 times as much
  rt_pool_free(pool);
}

static atomic_int n_signals;

static void count_signal(int number) {
  (void)number;
  atomic_fetch_add(&n_signals, 1);
}

// A signal to the process that its own thread has blocked stays pending: no worker takes it.
static void signals_stay_with_the_host(void **state) {
  (void)state;
  sigset_t none, mine, before, after, pending;
  sigemptyset(&none);
  sigemptyset(&mine);
  sigaddset(&mine, SIGUSR1);
  pthread_sigmask(SIG_SETMASK, &none, &before);
  struct sigaction count = {.sa_handler = count_signal}, old;
  sigaction(SIGUSR1, &count, &old);
  rt_pool *pool = rt_pool_new(4);
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  for (int s = 1; s < 32; s++) assert_int_equal(sigismember(&after, s), 0);
  pthread_sigmask(SIG_SETMASK, &mine, NULL);
  kill(getpid(), SIGUSR1);
  for (int i = 0; i < 10; i++) run_and_check(pool, 1000, 1);
  nanosleep(&(struct timespec){0, 20000000}, NULL);
  assert_int_equal(n_signals, 0);
  sigpending(&pending);
  assert_true(sigismember(&pending, SIGUSR1));
  pthread_sigmask(SIG_SETMASK, &none, NULL);
  assert_int_equal(n_signals, 1);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  sigaction(SIGUSR1, &old, NULL);
  rt_pool_free(pool);
}

// -- threads of the host program --

typedef struct host_call {
  void (*work)(void *arg, unsigned i);
  void *arg;
  unsigned i;
} host_call;

static void *host_thread(void *call) {
  const host_call *h = call;
  h->work(h->arg, h->i);
  return NULL;
}

static void run_beside_each_other(void *user, unsigned n, void (*work)(void *arg, unsigned i), void *arg) {
  pthread_t thread[MAX_THREADS];
  host_call call[MAX_THREADS];
  unsigned *most = user;
  if (n > *most) *most = n;
  for (unsigned i = 0; i < n; i++) {
    call[i] = (host_call){work, arg, i};
    assert_int_equal(pthread_create(&thread[i], NULL, host_thread, &call[i]), 0);
  }
  for (unsigned i = 0; i < n; i++) pthread_join(thread[i], NULL);
}

static void run_backwards(void *user, unsigned n, void (*work)(void *arg, unsigned i), void *arg) {
  for (unsigned i = n; i-- > 0;) work(arg, i);
  (*(unsigned *)user)++;
}

static void threads_of_the_host(void **state) {
  (void)state;
  unsigned most = 0, calls = 0;
  rt_pool *beside = rt_pool_of(&(rt_executor){3, run_beside_each_other, &most});
  rt_pool *serial = rt_pool_of(&(rt_executor){4, run_backwards, &calls});
  assert_int_equal(rt_pool_threads(beside), 3);
  for (int64_t n = 1; n < 40; n++) {
    run_and_check(beside, n, 1);
    run_and_check(beside, n * 100, 64);
    run_and_check(serial, n, 3);
  }
  assert_int_equal(most, 3);
  assert_true(calls > 0 && calls <= 39); // what is one chunk needs no threads
  rt_pool_free(beside);
  rt_pool_free(serial);
}

typedef struct places {
  atomic_int wrong, bound;
  int cpu;
} places;

static void note_place(void *user, int64_t begin, int64_t end, unsigned worker) {
  places *p = user;
  (void)begin, (void)end;
  if (worker == 0) { // the caller's thread: leaves the rest to the others
    nanosleep(&(struct timespec){0, 1000000}, NULL);
    return;
  }
  atomic_fetch_add(&p->bound, 1);
  if (sched_getcpu() != p->cpu) atomic_fetch_add(&p->wrong, 1);
}

static void threads_are_bound(void **state) {
  (void)state;
  cpu_set_t usable;
  unsigned cpu = 0, absent = CPU_SETSIZE;
  assert_int_equal(sched_getaffinity(0, sizeof usable, &usable), 0);
  while (!CPU_ISSET(cpu, &usable)) cpu++;
  rt_pool *pool = rt_pool_new(3);
  assert_true(rt_pool_bind(pool, &cpu, 1));
  places p = {0, 0, (int)cpu};
  while (atomic_load(&p.bound) < 20) rt_pool_run(pool, 50, 1, note_place, &p);
  assert_int_equal(p.wrong, 0);
  assert_false(rt_pool_bind(pool, &absent, 1));
  assert_true(rt_pool_bind(NULL, &cpu, 1));
  rt_pool_free(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_item_once),
      cmocka_unit_test(edges),
      cmocka_unit_test(very_many_chunks),
      cmocka_unit_test(no_wake_up_is_lost),
      cmocka_unit_test(all_threads_take_part),
      cmocka_unit_test(chunks_of_a_slow_thread_go_to_others),
      cmocka_unit_test(nobody_waits_for_threads_that_never_start),
      cmocka_unit_test(calls_from_inside),
      cmocka_unit_test(sessions_share_a_pool),
      cmocka_unit_test(pools_come_and_go),
      cmocka_unit_test(idle_pool_sleeps),
      cmocka_unit_test(signals_stay_with_the_host),
      cmocka_unit_test(threads_of_the_host),
      cmocka_unit_test(threads_are_bound),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
