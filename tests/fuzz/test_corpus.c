// The fuzz targets on their seeds, on every input that once broke something, and on seeds damaged at random: what
// libFuzzer does for minutes (tools/fuzz), for seconds and the same each time. NNC_FUZZ_SEED=N damages them otherwise,
// NNC_FUZZ_ROUNDS=N oftener. A target aborts where a promise is broken; what failed is then in the file that is named.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "seeds.h"
#include "support.h"

typedef int target_fn(const uint8_t *data, size_t size);

static uint32_t rng;

static uint32_t below(uint32_t n) {
  rng = rng * 1664525 + 1013904223;
  return (uint32_t)((uint64_t)(rng >> 4) * n >> 28);
}

static unsigned long setting(const char *name, unsigned long otherwise) {
  const char *value = getenv(name);
  return value && *value ? strtoul(value, NULL, 10) : otherwise;
}

static void flip(str b, char *at) { at[below((uint32_t)b.n)] ^= (char)(1u << below(8)); }

static void extreme(str b, char *at) {
  static const uint64_t values[] = {0, 1, UINT64_MAX, INT64_MAX, (uint64_t)1 << 32, 255, 0x7fffffff, 64};
  size_t width = (size_t)1 << below(4), from = below((uint32_t)b.n);
  uint64_t v = values[below(8)];
  if (from + width <= b.n) memcpy(at + from, &v, width);
}

static void swap(str b, char *at) {
  uint32_t n = 1 + below(8), from = below((uint32_t)b.n), to = below((uint32_t)b.n);
  if (from + n <= b.n && to + n <= b.n) memmove(at + to, at + from, n);
}

// A copy of exactly its size, so that AddressSanitizer sees what reads beyond it.
static void damaged(target_fn *f, str seed) {
  static void (*const damages[])(str b, char *at) = {flip, extreme, swap};
  char *at = malloc(seed.n);
  assert_non_null(at);
  memcpy(at, seed.p, seed.n);
  str b = {at, below(8) ? seed.n : below((uint32_t)seed.n)};
  for (uint32_t n = 1 + below(4); n > 0 && b.n > 0; n--) damages[below(3)](b, at);
  char *cut = b.n < seed.n && b.n ? realloc(at, b.n) : at;
  assert_non_null(cut);
  f((const uint8_t *)cut, b.n);
  free(cut);
}

static void replay(const char *name, target_fn *f) {
  arena *a = arena_new(NULL);
  assert_non_null(a);
  fuzz_seeds seeds = {0};
  fuzz_seeds_of(a, name, &seeds);
  assert_true(seeds.n > 0);
  rng = (uint32_t)setting("NNC_FUZZ_SEED", 1);
  const unsigned long rounds = setting("NNC_FUZZ_ROUNDS", 60);
  printf("%s: %zu seeds, %lu damaged, NNC_FUZZ_SEED=%lu\n", name, seeds.n, rounds, (unsigned long)rng);
  fflush(stdout);
  for (size_t i = 0; i < seeds.n; i++) f((const uint8_t *)seeds.at[i].bytes.p, seeds.at[i].bytes.n);
  for (unsigned long i = 0; i < rounds; i++) {
    str seed = seeds.at[below((uint32_t)seeds.n)].bytes;
    if (seed.n) damaged(f, seed);
  }
  arena_free(a);
}

#define T(name, what)                                                                                                  \
  static void name##_target(void **state) {                                                                            \
    (void)state;                                                                                                       \
    replay(#name, fuzz_##name);                                                                                        \
  }
FUZZ_TARGETS
#undef T

int main(void) {
  const struct CMUnitTest tests[] = {
#define T(name, what) cmocka_unit_test(name##_target),
      FUZZ_TARGETS
#undef T
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
