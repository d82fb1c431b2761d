// Thread pool: runs one range of items at a time on a fixed set of threads, the caller among them.
//
// Chunks are handed out one by one, so a thread that the system has put aside delays nobody by more than the chunk it
// holds; the caller takes every chunk that no other thread has claimed and never waits for one that has not started.
// Idle workers spin for some tens of microseconds and then sleep. Results must not depend on which worker runs what.
#ifndef NNC_RUNTIME_POOL_H
#define NNC_RUNTIME_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rt_pool rt_pool;

// Threads of the host program: calls work(arg, i) once for each i below n, in any threads and order, and returns when
// all of these calls have.
typedef struct rt_executor {
  unsigned threads; // the most calls at a time
  void (*run)(void *user, unsigned n, void (*work)(void *arg, unsigned i), void *arg);
  void *user;
} rt_executor;

// A pool of `n_threads` threads, the caller of rt_pool_run included; 0 = one per CPU that this process may use. When
// the system refuses threads the pool has fewer: ask rt_pool_threads. NULL when out of memory. Free with rt_pool_free.
// Workers block all signals and take over the floating-point environment (rounding, denormals) of this caller.
rt_pool *rt_pool_new(unsigned n_threads);
// A pool without threads of its own, on the host program's: chunks are claimed as elsewhere, and what no call of the
// host's has claimed is left to the caller. NULL when out of memory.
rt_pool *rt_pool_of(const rt_executor *host);
// Binds thread i of the pool to CPU cpus[i % n_cpus], except thread 0, which is the caller's. false: the system
// refuses.
bool rt_pool_bind(rt_pool *pool, const unsigned *cpus, size_t n_cpus);
void rt_pool_free(rt_pool *pool);              // not while rt_pool_run is running; NULL is fine
unsigned rt_pool_threads(const rt_pool *pool); // at least 1; NULL counts as a pool of 1

// Calls fn(user, begin, end, worker) until every item of [0, n_items) is done once, then returns; all that the calls
// wrote is then visible. Each `begin` is a multiple of `chunk`; a call covers one chunk, or several together where
// that costs no parallelism (one thread, one chunk, very many chunks). `worker` < rt_pool_threads, and no two calls
// that run at the same time for one rt_pool_run have the same: it indexes scratch memory that this run owns.
//
// Thread rule: any thread may call this at any time, also from inside `fn`. The pool helps one call at a time; a second
// one does not wait for it but runs all its items by itself, in the calling thread, with worker 0.
void rt_pool_run(rt_pool *pool, int64_t n_items, int64_t chunk,
                 void (*fn)(void *user, int64_t begin, int64_t end, unsigned worker), void *user);

#endif
