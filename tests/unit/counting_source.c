#include "unit/counting_source.h"

#include <stdlib.h>

static void *count_alloc(void *user, size_t size_bytes) {
  counting_source *c = user;
  c->n_calls++;
  // No machine has a terabyte; asking malloc for it is an error under AddressSanitizer.
  if (size_bytes >> 40 || (c->fail_at && c->n_calls >= c->fail_at)) return NULL;
  void *p = malloc(size_bytes);
  if (p) c->n_live++, c->bytes += size_bytes;
  return p;
}

static void count_release(void *user, void *block) {
  counting_source *c = user;
  c->n_live--;
  free(block);
}

void counting_source_init(counting_source *c, size_t fail_at) {
  *c = (counting_source){.source = {count_alloc, count_release, c, true}, .fail_at = fail_at};
}

int run_guarded(arena *a, void (*body)(arena *a, void *user), void *user) {
  switch (setjmp(*arena_guard(a))) {
  case 0: body(a, user); return 0;
  case 1: return 1;
  case 2: return 2;
  default: return -1;
  }
}
