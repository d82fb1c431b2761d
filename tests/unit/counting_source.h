// A memory source that counts what is out and refuses on demand, and a way to run code under an arena's guard. Each
// request of an arena is a call of its own, unless `source.each_alone` is taken back before the arena is made.
#ifndef NNC_TESTS_COUNTING_SOURCE_H
#define NNC_TESTS_COUNTING_SOURCE_H

#include "base/arena.h"

// From one refused request to the next, where all are tried in turn: under sanitizers, where what is refused takes five
// times as long, every seventh.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { REFUSAL_STRIDE = 7 };
#else
enum { REFUSAL_STRIDE = 1 };
#endif

typedef struct counting_source {
  mem_source source; // give &c.source to arena_new
  size_t n_calls;    // allocations asked for so far
  size_t fail_at;    // the call (from 1) that is refused, and all after it; 0 = none
  size_t n_live;     // blocks not released
  size_t bytes;      // handed out so far
} counting_source;

void counting_source_init(counting_source *c, size_t fail_at);

// Runs body(a, user); 0 when it came back, otherwise the code it unwound with.
int run_guarded(arena *a, void (*body)(arena *a, void *user), void *user);

#endif
