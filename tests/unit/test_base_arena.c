// Arenas: alignment, zeroing, failure by unwinding at every single allocation, cleanup order, growing arrays.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include "base/diag.h"
#include "base/file.h"
#include "base/map.h"
#include "unit/counting_source.h"

static void zeroed_and_aligned(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  assert_non_null(a);
  static const size_t sizes[] = {0, 1, 15, 16, 17, 100, 1023, 4096, 5000, 70000, 3 << 20, 24, 1};
  for (size_t round = 0; round < 50; round++) {
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      unsigned char *p = arena_alloc(a, sizes[i]);
      assert_non_null(p);
      assert_int_equal((uintptr_t)p % 16, 0);
      for (size_t k = 0; k < sizes[i]; k++) {
        if (p[k] != 0) fail_msg("byte %zu of %zu is %d", k, sizes[i], p[k]);
      }
      memset(p, 0xab, sizes[i]); // a later request must not see this
    }
  }
  arena_free(a);
}

static void blocks_do_not_overlap(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  enum { N = 3000 };
  unsigned char *at[N];
  size_t size[N];
  for (size_t i = 0; i < N; i++) {
    size[i] = (i * 2654435761u >> 7) % 700;
    at[i] = arena_alloc(a, size[i]);
    memset(at[i], (int)(i % 251), size[i]);
  }
  for (size_t i = 0; i < N; i++) {
    for (size_t k = 0; k < size[i]; k++) assert_int_equal(at[i][k], i % 251);
  }
  arena_free(a);
}

// Under AddressSanitizer what lies ahead of a request and behind it may not be touched, in whatever block it is.
static void red_zones_are_poisoned(void **state) {
  (void)state;
#ifdef __SANITIZE_ADDRESS__
  arena *a = arena_new(NULL);
  static const size_t sizes[] = {1, 8, 13, 16, 100, 4000, 5000, 7, 70000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    unsigned char *p = arena_alloc(a, sizes[i]);
    assert_null(__asan_region_is_poisoned(p, sizes[i]));
    assert_true(__asan_address_is_poisoned(p - 1));
    assert_true(__asan_address_is_poisoned(p + sizes[i]));
  }
  arena_free(a);
#else
  skip(); // memory is poisoned for AddressSanitizer only
#endif
}

static void counts_and_returns_everything(void **state) {
  (void)state;
  counting_source c;
  counting_source_init(&c, 0);
  arena *a = arena_new(&c.source);
  assert_ptr_equal(arena_source(a), &c.source);
  for (size_t i = 0; i < 1000; i++) arena_alloc(a, i * 7);
  assert_int_equal(arena_bytes(a), c.bytes);
  assert_true(c.bytes >= 999 * 1000 / 2 * 7);
  arena_free(a);
  assert_int_equal(c.n_live, 0);
  arena_free(NULL);
  mem_release(&c.source, NULL);
  assert_int_equal(c.n_live, 0);
}

static void ask_too_much(arena *a, void *user) {
  switch (*(int *)user) {
  case 0: arena_alloc(a, SIZE_MAX); break;
  case 1: arena_alloc(a, SIZE_MAX - 16); break;
  case 2: arena_array(a, SIZE_MAX / 8 + 1, 8); break;
  case 3: {
    VEC(int64_t) v = {0};
    vec_reserve(a, &v, SIZE_MAX / 4);
    break;
  }
  case 4: str_dup(a, (str){"", SIZE_MAX}); break;
  default: {
    strbuf b;
    sb_init(&b, a);
    sb_z(&b, "x");
    sb_bytes(&b, "", SIZE_MAX - 1);
  }
  }
}

static void impossible_sizes_unwind(void **state) {
  (void)state;
  for (int kind = 0; kind <= 5; kind++) {
    counting_source c;
    counting_source_init(&c, 0);
    arena *a = arena_new(&c.source);
    assert_int_equal(run_guarded(a, ask_too_much, &kind), 1);
    arena_free(a);
    assert_int_equal(c.n_live, 0);
  }
}

static char cleanup_order[8];

static void note_cleanup(void *handle) {
  size_t n = strlen(cleanup_order);
  cleanup_order[n] = *(const char *)handle;
  cleanup_order[n + 1] = '\0';
}

static void cleanups_run_last_first(void **state) {
  (void)state;
  cleanup_order[0] = '\0';
  arena *a = arena_new(NULL);
  static char names[] = "abc";
  for (int i = 0; i < 3; i++) arena_defer(a, note_cleanup, &names[i]);
  assert_string_equal(cleanup_order, "");
  arena_free(a);
  assert_string_equal(cleanup_order, "cba");
}

typedef struct handles {
  int open[1000]; // 1 = not yet released
  size_t n;
} handles;

static void close_handle(void *handle) { --*(int *)handle; }

static void defer_forever(arena *a, void *user) {
  for (handles *h = user; h->n < 1000;) {
    int *handle = &h->open[h->n++];
    *handle = 1;
    arena_defer(a, close_handle, handle);
  }
}

// The handle whose registration fails is released on the spot: the caller cannot do it, it has been jumped over.
static void failed_defer_releases(void **state) {
  (void)state;
  counting_source c;
  counting_source_init(&c, 3);
  arena *a = arena_new(&c.source);
  handles h = {0};
  assert_int_equal(run_guarded(a, defer_forever, &h), 1);
  assert_in_range(h.n, 2, 999);
  for (size_t i = 0; i < h.n; i++) assert_int_equal(h.open[i], i + 1 < h.n);
  arena_free(a);
  for (size_t i = 0; i < h.n; i++) assert_int_equal(h.open[i], 0);
  assert_int_equal(c.n_live, 0);
}

static void grow_an_array(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  VEC(uint32_t) v = {0};
  for (uint32_t i = 0; i < 100000; i++) vec_push(a, &v, i * 3);
  assert_int_equal(v.n, 100000);
  for (uint32_t i = 0; i < 100000; i++) assert_int_equal(v.at[i], i * 3);
  assert_int_equal(vec_last(&v), 99999 * 3);
  assert_int_equal(vec_pop(&v), 99999 * 3);
  assert_int_equal(v.n, 99999);
  uint32_t *before = v.at;
  vec_reserve(a, &v, 10);
  assert_ptr_equal(v.at, before);
  assert_true(v.cap <= 2 * 100000);
  uint32_t *copy = arena_copy(a, v.at, v.n * sizeof *v.at);
  assert_memory_equal(copy, v.at, v.n * sizeof *v.at);
  arena_free(a);
}

typedef struct scenario {
  const char *path;
  bool finished;
} scenario;

// A bit of everything in base that allocates.
static void use_everything(arena *a, void *user) {
  scenario *s = user;
  diag_list l;
  diag_init(&l, a);
  map *m = map_new(a);
  interner *t = interner_new(a);
  for (int i = 0; i < 300; i++) {
    const char *name = intern_z(t, str_fmt(a, "name%d", i % 150));
    map_put(m, str_of(name), m);
    diag *d = diag_at(&l, ((diag_span){diag_add_file(&l, name, str_of(name)), 1, 3}), file_open, name, "no reason");
    diag_note_to(&l, d, "did you mean `%s`?", name);
  }
  strbuf b;
  sb_init(&b, a);
  diag_render_all(&l, true, &b);
  str text;
  if (!file_write(a, &l, s->path, sb_str(&b), 0600) || !file_read(a, &l, s->path, 1 << 20, &text)) return;
  if (!str_eq(text, sb_str(&b)) || !file_map(a, &l, s->path, &text, NULL) || !str_eq(text, sb_str(&b))) return;
  s->finished = true;
}

static int n_temporaries(const char *folder) {
  char command[300];
  snprintf(command, sizeof command, "ls -A '%s' | grep -c tmp", folder);
  FILE *f = popen(command, "r");
  int n = -1;
  if (!f || fscanf(f, "%d", &n) != 1) n = -1;
  if (f) pclose(f);
  return n;
}

static int lowest_free_descriptor(void) {
  FILE *f = fopen("/dev/null", "r");
  assert_non_null(f);
  int fd = fileno(f);
  fclose(f);
  return fd;
}

// Refuses the first, then the second, ... allocation until the work gets through: each time the guard is reached,
// nothing leaks, no descriptor and no temporary file stays.
static void fail_each_allocation(void **state) {
  (void)state;
  char folder[] = "./nnc-arena-XXXXXX", path[64];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/out", folder);
  int fd_before = lowest_free_descriptor();
  size_t n = 1;
  for (bool through = false; !through; n++) {
    counting_source c;
    counting_source_init(&c, n);
    scenario s = {path, false};
    arena *a = arena_new(&c.source);
    if (!a) {
      assert_int_equal(n, 1);
      assert_int_equal(c.n_live, 0);
      continue;
    }
    int code = run_guarded(a, use_everything, &s);
    arena_free(a);
    assert_int_equal(c.n_live, 0);
    through = code == 0;
    assert_int_equal(code, c.n_calls >= n ? 1 : 0);
    assert_int_equal(s.finished, through);
  }
  assert_true(n > 5); // blocks; under AddressSanitizer every request is one
  assert_int_equal(n_temporaries(folder), 0);
  assert_int_equal(lowest_free_descriptor(), fd_before);
  remove(path);
  remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zeroed_and_aligned),      cmocka_unit_test(blocks_do_not_overlap),
      cmocka_unit_test(red_zones_are_poisoned),  cmocka_unit_test(counts_and_returns_everything),
      cmocka_unit_test(impossible_sizes_unwind), cmocka_unit_test(cleanups_run_last_first),
      cmocka_unit_test(failed_defer_releases),   cmocka_unit_test(grow_an_array),
      cmocka_unit_test(fail_each_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
