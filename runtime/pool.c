// Thread pool with dynamic chunks: see runtime/pool.h.
//
// Method. One 64-bit word, the ticket, holds the number of the current job and how many of its chunks are unclaimed. A
// thread claims a chunk by taking one off with a compare-and-swap. It reads the job's description before that: if the
// swap succeeds, the job was still open and the description was its own; if the job has changed meanwhile, so has the
// ticket, and the swap fails. So a late worker never touches a finished job, and nobody has to wait for late workers.
// `n_done` counts finished chunks; the caller returns when it equals the chunks of the job. The description consists
// of atomics because a late worker may read it while it is rewritten (and then throws it away).
//
// Sleeping is on futexes: workers on `bell`, which rings for each job; the caller on `n_done`. A thread that is about
// to sleep announces itself first and then looks again, the waking side changes the word first and then looks for
// sleepers, all in the one order of sequentially consistent operations, so no wake-up is lost.
#define _GNU_SOURCE
#include "runtime/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Long enough to span the pause between two kernels of a model, short against a time slice of the system.
enum { SPIN_NS = 30000, PAUSES_BETWEEN_LOOKS_AT_THE_CLOCK = 16, CACHE_LINE = 64, MOST_CHUNKS = 1 << 20 };

typedef void (*job_function)(void *user, int64_t begin, int64_t end, unsigned worker);

typedef struct worker {
  rt_pool *pool;
  pthread_t thread;
  unsigned index;
} worker;

struct rt_pool {
  _Alignas(CACHE_LINE) _Atomic uint64_t ticket; // job number << 32 | unclaimed chunks
  _Alignas(CACHE_LINE) _Atomic uint32_t n_done; // chunks finished; the caller sleeps on it
  atomic_bool caller_sleeps;
  _Alignas(CACHE_LINE) _Atomic uint32_t bell; // workers sleep on it
  _Atomic uint32_t n_sleepers;
  atomic_bool stop;
  _Alignas(CACHE_LINE) atomic_flag taken; // some thread's job is on the pool
  uint32_t job_number;                    // belongs to the thread that has taken the pool
  _Alignas(CACHE_LINE) _Atomic(job_function) fn;
  _Atomic(void *) user;
  _Atomic int64_t n_items, chunk;
  _Atomic uint32_t n_chunks;
  unsigned n_threads;
  rt_executor host; // `run` is NULL: threads are the pool's own
  worker workers[]; // n_threads - 1, of a pool that has its own
};

static void futex_wait(_Atomic uint32_t *word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int n_threads) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n_threads, NULL, NULL, 0);
}

static void cpu_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Waits actively until ready(pool) or SPIN_NS have passed; the last answer of `ready`.
static bool spin_until(rt_pool *p, bool (*ready)(rt_pool *)) {
  int64_t give_up_ns = now_ns() + SPIN_NS;
  do {
    for (int i = 0; i < PAUSES_BETWEEN_LOOKS_AT_THE_CLOCK; i++) {
      if (ready(p)) return true;
      cpu_pause();
    }
  } while (now_ns() < give_up_ns);
  return ready(p);
}

// Claims and runs chunks until none is unclaimed.
static void run_chunks(rt_pool *p, unsigned worker_index) {
  uint32_t n_run = 0, n_chunks = 0;
  for (uint64_t t = atomic_load(&p->ticket); (uint32_t)t > 0;) {
    job_function fn = atomic_load_explicit(&p->fn, memory_order_relaxed);
    void *user = atomic_load_explicit(&p->user, memory_order_relaxed);
    int64_t n_items = atomic_load_explicit(&p->n_items, memory_order_relaxed);
    int64_t chunk = atomic_load_explicit(&p->chunk, memory_order_relaxed);
    n_chunks = atomic_load_explicit(&p->n_chunks, memory_order_relaxed);
    if (!atomic_compare_exchange_weak(&p->ticket, &t, t - 1)) continue;
    int64_t begin = (int64_t)(n_chunks - (uint32_t)t) * chunk;
    fn(user, begin, n_items - begin > chunk ? begin + chunk : n_items, worker_index);
    n_run++;
    t--;
  }
  if (n_run == 0) return;
  // The job cannot end before its chunks are reported, so this one report covers them all and meets the right job.
  bool last = atomic_fetch_add(&p->n_done, n_run) + n_run == n_chunks;
  if (last && atomic_load(&p->caller_sleeps)) futex_wake(&p->n_done, 1);
}

static bool has_work(rt_pool *p) { return (uint32_t)atomic_load(&p->ticket) > 0 || atomic_load(&p->stop); }

static bool is_done(rt_pool *p) {
  return atomic_load(&p->n_done) == atomic_load_explicit(&p->n_chunks, memory_order_relaxed);
}

static void *worker_main(void *argument) {
  const worker *w = argument;
  rt_pool *p = w->pool;
  while (!atomic_load(&p->stop)) {
    uint32_t heard = atomic_load(&p->bell);
    if (!spin_until(p, has_work)) {
      atomic_fetch_add(&p->n_sleepers, 1);
      if (atomic_load(&p->bell) == heard) futex_wait(&p->bell, heard);
      atomic_fetch_sub(&p->n_sleepers, 1);
    }
    run_chunks(p, w->index);
  }
  return NULL;
}

static void wake_workers(rt_pool *p, uint32_t n_wanted) {
  atomic_fetch_add(&p->bell, 1);
  uint32_t n_sleepers = atomic_load(&p->n_sleepers);
  if (n_sleepers > 0) futex_wake(&p->bell, (int)(n_wanted < n_sleepers ? n_wanted : n_sleepers));
}

static unsigned usable_cpus(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return (unsigned)CPU_COUNT(&set);
  long n = sysconf(_SC_NPROCESSORS_ONLN); // more CPUs than a cpu_set_t holds
  return n > 0 ? (unsigned)n : 1;
}

static rt_pool *new_pool(unsigned n_workers) {
  size_t size = sizeof(rt_pool) + n_workers * sizeof(worker);
  rt_pool *p = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
  if (!p) return NULL;
  memset(p, 0, size);
  atomic_flag_clear(&p->taken);
  return p;
}

rt_pool *rt_pool_of(const rt_executor *host) {
  rt_pool *p = new_pool(0);
  if (!p) return NULL;
  p->host = *host;
  p->n_threads = host->threads ? host->threads : 1;
  return p;
}

rt_pool *rt_pool_new(unsigned n_threads) {
  if (n_threads == 0) n_threads = usable_cpus();
  rt_pool *p = new_pool(n_threads - 1);
  if (!p) return NULL;
  // Inherited: the host program's handlers run on its own threads, but for what a thread's own instructions raise,
  // which ends a process that blocks it before its crash handler has seen it.
  static const int own[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV};
  sigset_t others, before;
  sigfillset(&others);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&others, own[i]);
  pthread_sigmask(SIG_BLOCK, &others, &before);
  for (p->n_threads = 1; p->n_threads < n_threads; p->n_threads++) {
    worker *w = &p->workers[p->n_threads - 1];
    *w = (worker){.pool = p, .index = p->n_threads};
    if (pthread_create(&w->thread, NULL, worker_main, w) != 0) break;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return p;
}

bool rt_pool_bind(rt_pool *p, const unsigned *cpus, size_t n_cpus) {
  for (unsigned i = 1; p && !p->host.run && i < p->n_threads; i++) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpus[i % n_cpus] >= CPU_SETSIZE) return false;
    CPU_SET(cpus[i % n_cpus], &set);
    if (pthread_setaffinity_np(p->workers[i - 1].thread, sizeof set, &set)) return false;
  }
  return true;
}

void rt_pool_free(rt_pool *p) {
  if (!p) return;
  if (p->host.run) {
    free(p);
    return;
  }
  atomic_store(&p->stop, true);
  wake_workers(p, p->n_threads);
  for (unsigned i = 1; i < p->n_threads; i++) pthread_join(p->workers[i - 1].thread, NULL);
  free(p);
}

unsigned rt_pool_threads(const rt_pool *p) { return p ? p->n_threads : 1; }

static void work_of_host(void *pool, unsigned index) { run_chunks(pool, index); }

void rt_pool_run(rt_pool *p, int64_t n_items, int64_t chunk, job_function fn, void *user) {
  if (n_items <= 0) return;
  if (chunk < 1) chunk = 1;
  if (n_items <= chunk || rt_pool_threads(p) == 1 || atomic_flag_test_and_set(&p->taken)) {
    fn(user, 0, n_items, 0);
    return;
  }
  while ((n_items - 1) / chunk >= MOST_CHUNKS) chunk *= 2;
  uint32_t n_chunks = (uint32_t)((n_items - 1) / chunk + 1);
  atomic_store_explicit(&p->fn, fn, memory_order_relaxed);
  atomic_store_explicit(&p->user, user, memory_order_relaxed);
  atomic_store_explicit(&p->n_items, n_items, memory_order_relaxed);
  atomic_store_explicit(&p->chunk, chunk, memory_order_relaxed);
  atomic_store_explicit(&p->n_chunks, n_chunks, memory_order_relaxed);
  atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
  atomic_store(&p->ticket, (uint64_t)++p->job_number << 32 | n_chunks);
  if (p->host.run) p->host.run(p->host.user, n_chunks < p->n_threads ? n_chunks : p->n_threads, work_of_host, p);
  else wake_workers(p, n_chunks - 1);
  run_chunks(p, 0);
  if (!spin_until(p, is_done)) {
    atomic_store(&p->caller_sleeps, true);
    for (uint32_t n; (n = atomic_load(&p->n_done)) != n_chunks;) futex_wait(&p->n_done, n);
    atomic_store(&p->caller_sleeps, false);
  }
  atomic_flag_clear(&p->taken);
}
