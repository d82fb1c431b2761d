// Maps and interners against plain arrays.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"

static void content_map(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  map *m = map_new(a);
  enum { N = 20000 };
  static int values[N], others[N];
  char key[32];
  assert_null(map_get(m, STR("key0")));
  assert_int_equal(map_count(m), 0);
  for (int i = 0; i < N; i++) {
    snprintf(key, sizeof key, "key%d", i * 7919 % N);
    assert_true(map_add(m, str_of(key), &values[i]));
    assert_false(map_add(m, str_of(key), &others[i])); // and the value stays
  }
  assert_int_equal(map_count(m), N);
  for (int i = 0; i < N; i++) {
    snprintf(key, sizeof key, "key%d", i * 7919 % N);
    assert_ptr_equal(map_get(m, str_of(key)), &values[i]);
    assert_true(str_is(map_key(m, (size_t)i), key)); // insertion order
    assert_ptr_equal(map_value(m, (size_t)i), &values[i]);
    map_put(m, str_of(key), &others[i]);
    assert_ptr_equal(map_get(m, str_of(key)), &others[i]);
  }
  assert_int_equal(map_count(m), N);
  for (int i = N; i < 2 * N; i++) {
    snprintf(key, sizeof key, "key%d", i);
    assert_null(map_get(m, str_of(key)));
  }
  arena_free(a);
}

static void keys_are_bytes(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  map *m = map_new(a);
  int v[4];
  char changing[] = "abc";
  map_put(m, str_of(changing), &v[0]);
  changing[0] = 'x'; // the map has its own copy
  assert_ptr_equal(map_get(m, STR("abc")), &v[0]);
  assert_null(map_get(m, STR("xbc")));
  map_put(m, STR(""), &v[1]);
  map_put(m, STR("a\0b"), &v[2]);
  map_put(m, STR("a\0"), &v[3]);
  assert_ptr_equal(map_get(m, (str){NULL, 0}), &v[1]);
  assert_ptr_equal(map_get(m, STR("a\0b")), &v[2]);
  assert_ptr_equal(map_get(m, STR("a\0")), &v[3]);
  assert_null(map_get(m, STR("a")));
  arena_free(a);
}

static void pointer_map(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  map *m = map_new(a);
  static char things[5000];
  assert_null(map_get_ptr(m, things));
  for (size_t i = 0; i < sizeof things; i++) map_put_ptr(m, &things[i * 13 % sizeof things], &things[i]);
  assert_int_equal(map_count(m), sizeof things);
  for (size_t i = 0; i < sizeof things; i++) {
    assert_ptr_equal(map_get_ptr(m, &things[i * 13 % sizeof things]), &things[i]);
    assert_ptr_equal(map_key_ptr(m, i), &things[i * 13 % sizeof things]);
  }
  map_put_ptr(m, NULL, things); // NULL is a key like any other
  assert_ptr_equal(map_get_ptr(m, NULL), things);
  arena_free(a);
}

static void interned(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  interner *t = interner_new(a);
  const char *first[1000];
  char text[32];
  for (int i = 0; i < 1000; i++) {
    snprintf(text, sizeof text, "n%d", i);
    first[i] = intern_z(t, text);
    assert_string_equal(first[i], text);
  }
  for (int i = 0; i < 1000; i++) {
    snprintf(text, sizeof text, "n%d tail", i);
    assert_ptr_equal(intern(t, (str){text, strlen(text) - 5}), first[i]);
  }
  assert_true(intern_z(t, "n1") != intern_z(t, "n10"));
  assert_string_equal(intern(t, STR("")), "");
  arena_free(a);
}

// Few bits of difference in, all buckets used out: 64K consecutive numbers in 64K buckets leave about 1/e empty when
// spread at random, for the low bits and for the high ones.
static void hash_spreads(void **state) {
  (void)state;
  enum { N = 1 << 16 };
  static unsigned char low[N], high[N];
  for (uint32_t i = 0; i < N; i++) {
    uint64_t h = hash_bytes(&i, sizeof i, 0);
    low[h % N] = 1;
    high[h >> 48] = 1;
    assert_int_equal(h, hash_bytes(&i, sizeof i, 0));
    assert_int_not_equal(h, hash_bytes(&i, sizeof i, 1));
  }
  int n_low = 0, n_high = 0;
  for (int i = 0; i < N; i++) n_low += low[i], n_high += high[i];
  assert_in_range(n_low, (int)(N * 0.62), (int)(N * 0.645)); // 1 - 1/e = 0.632
  assert_in_range(n_high, (int)(N * 0.62), (int)(N * 0.645));
  char zeros[64] = {0}; // every length is its own content
  for (size_t i = 0; i < sizeof zeros; i++) {
    for (size_t k = 0; k < i; k++) assert_int_not_equal(hash_bytes(zeros, i, 0), hash_bytes(zeros, k, 0));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(content_map), cmocka_unit_test(keys_are_bytes), cmocka_unit_test(pointer_map),
      cmocka_unit_test(interned),    cmocka_unit_test(hash_spreads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
