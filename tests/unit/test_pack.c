// Packed values, and SHA-256 against the examples of its standard.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/pack.h"
#include "base/sha256.h"

static void values_come_back(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  strbuf b;
  sb_init(&b, a);
  pack_u64(&b, UINT64_MAX);
  for (size_t n = 0; n < 20; n++) pack_str(&b, (str){"0123456789abcdefghijk", n});
  pack_u64(&b, 3);
  unpacker u = unpack_begin(sb_str(&b));
  assert_true(unpack_u64(&u) == UINT64_MAX);
  for (size_t n = 0; n < 20; n++) {
    str s = unpack_str(&u);
    assert_true(str_eq(s, (str){"0123456789abcdefghijk", n}) && s.p[n] == 0 && (uintptr_t)s.p % 8 == 0);
  }
  assert_false(unpack_end(&u));
  assert_int_equal(unpack_u64(&u), 3);
  assert_true(unpack_end(&u));
  assert_int_equal(unpack_u64(&u), 0);
  assert_false(unpack_end(&u));
  arena_free(a);
}

// Every prefix, and every length word made huge: zeros and empty strings, never a byte outside.
static void short_bytes_are_safe(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  strbuf b;
  sb_init(&b, a);
  pack_str(&b, STR("some text"));
  pack_u64(&b, 5);
  pack_str(&b, STR(""));
  for (size_t n = 0; n < b.n; n++) {
    unpacker u = unpack_begin((str){arena_copy(a, b.p, n), n});
    unpack_str(&u);
    assert_int_equal(unpack_count(&u, 8), 0);
    unpack_str(&u);
    assert_true(u.broken && !unpack_end(&u));
  }
  for (uint64_t length = UINT64_MAX; length > 8; length /= 2) {
    char *p = arena_copy(a, b.p, b.n);
    memcpy(p, &length, sizeof length);
    unpacker u = unpack_begin((str){p, b.n});
    assert_true(length < b.n || (unpack_str(&u).n == 0 && u.broken));
  }
  arena_free(a);
}

// FIPS 180-4's examples, and a million times `a`.
static void sha256_of_the_standard(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  sha256_digest d = sha256_of(STR(""));
  assert_string_equal(sha256_hex(a, &d), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  d = sha256_of(STR("abc"));
  assert_string_equal(sha256_hex(a, &d), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  d = sha256_of(STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"));
  assert_string_equal(sha256_hex(a, &d), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  sha256 h;
  sha256_init(&h);
  for (int i = 0; i < 1000000; i += 1000 - i % 3) // pieces of several lengths
    for (int k = 0; k < (1000000 - i < 1000 - i % 3 ? 1000000 - i : 1000 - i % 3); k++) sha256_add(&h, "a", 1);
  d = sha256_end(&h);
  assert_string_equal(sha256_hex(a, &d), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  arena_free(a);
}

// However the bytes are cut, the digest is the same.
static void sha256_of_pieces(void **state) {
  (void)state;
  char text[300];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 31);
  for (size_t n = 0; n <= sizeof text; n++) {
    sha256_digest whole = sha256_of((str){text, n}), cut;
    sha256 h;
    sha256_init(&h);
    for (size_t at = 0, step = 1 + n % 77; at < n; at += step) sha256_add(&h, text + at, n - at < step ? n - at : step);
    cut = sha256_end(&h);
    assert_memory_equal(whole.at, cut.at, sizeof whole.at);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(values_come_back), cmocka_unit_test(short_bytes_are_safe),
                                     cmocka_unit_test(sha256_of_the_standard), cmocka_unit_test(sha256_of_pieces)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
