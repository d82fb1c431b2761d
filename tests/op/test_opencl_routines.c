// Orderings, scatters and selections on a device beside the host's, bit for bit: every dtype, random data with ties,
// NaN and infinities, lines that fit local memory and longer ones, groups of 64 and of 256.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "support/random.h"
#include "support/routine_judge.h"

static const char *const targets[] = {"opencl-local-64", "opencl-local"};
enum { TARGETS = sizeof targets / sizeof *targets };

typedef const char *(*trial)(routine_judge *j, arena *a, int round, uint64_t *seed);

static void judge(const char *name, int rounds, trial one) {
  arena *lasting = arena_new(NULL);
  cl_host *h = cl_host_or_skip(lasting, false);
  const char *seed_text = getenv("NNC_SEED");
  uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 1;
  for (int t = 0; t < TARGETS; t++) {
    const char *why = "";
    cl_host_set_target(h, targets[t]);
    routine_judge *j = routine_judge_open(h, lasting, name, &why);
    if (!j) fail_msg("%s", why);
    for (int i = 0; i < rounds; i++) {
      arena *a = arena_new(NULL);
      why = one(j, a, i, &seed);
      if (why) fail_msg("%s, %s, round %d: %s", name, targets[t], i, why);
      arena_free(a);
    }
  }
  arena_free(lasting);
}

static int64_t below(uint64_t *seed, int64_t n) { return (int64_t)random_below(seed, (uint32_t)n); }

static const char *order_trial(routine_judge *j, arena *a, int round, uint64_t *seed) {
  static const struct { // a line, what is asked of it, lines before and after
    int64_t n, k, before, after;
  } large[] = {{1024, 1024, 1, 1}, {1025, 1025, 1, 2}, {1025, 600, 2, 1},  {5000, 5000, 1, 1}, {5000, 40, 1, 3},
               {5000, 1300, 1, 1}, {3000, 1, 2, 1},    {2048, 2048, 1, 1}, {2049, 2048, 1, 1}, {1500, 0, 2, 1}};
  enum { LARGE = sizeof large / sizeof *large };
  dtype dt = (dtype)(round % DT_COUNT);
  bool down = below(seed, 2);
  if (round < LARGE)
    return judge_order(j, a, dt, large[round].before, large[round].n, large[round].after, large[round].k, down, seed);
  int64_t n = below(seed, round % 2 ? 30 : 1400), k = below(seed, 2) ? n : below(seed, n + 1);
  return judge_order(j, a, dt, 1 + below(seed, 3), n, 1 + below(seed, 3), k, down, seed);
}

static const char *scatter_trial(routine_judge *j, arena *a, int round, uint64_t *seed) {
  static const dtype counted[] = {DT_f32, DT_f64, DT_i32, DT_i64};
  int mode = round % SCATTER_MODES;
  dtype dt = mode ? counted[below(seed, 4)] : (dtype)below(seed, DT_COUNT);
  int64_t after = round % 5 == 0 ? 1 : round % 5 == 1 ? 1000 + below(seed, 1200) : below(seed, 40);
  return judge_scatter(j, a, dt, mode, 1 + below(seed, 3), 1 + below(seed, 40), after, below(seed, 60),
                       below(seed, 4) == 0, seed);
}

static const char *compact_trial(routine_judge *j, arena *a, int round, uint64_t *seed) {
  int64_t after = round % 3 == 0 ? 1000 + below(seed, 1200) : below(seed, 20);
  int64_t n = below(seed, round % 2 ? 20 : 600);
  return judge_compact(j, a, (dtype)below(seed, DT_COUNT), n, after, below(seed, n + 3), seed);
}

static const char *nms_trial(routine_judge *j, arena *a, int round, uint64_t *seed) {
  int64_t n = below(seed, round % 2 ? 20 : 400);
  return judge_nms(j, a, n, below(seed, n + 3), seed);
}

static void order(void **state) {
  (void)state;
  judge("rt_order", 60, order_trial);
}

static void scatter(void **state) {
  (void)state;
  judge("rt_scatter", 80, scatter_trial);
}

static void compact(void **state) {
  (void)state;
  judge("rt_compact", 40, compact_trial);
}

static void nms(void **state) {
  (void)state;
  judge("rt_nms", 20, nms_trial);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(scatter), cmocka_unit_test(compact),
                                     cmocka_unit_test(nms)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
