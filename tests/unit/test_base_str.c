// Slices, buffers, printf, quoting, suggestions.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static void slices(void **state) {
  (void)state;
  assert_int_equal(str_of(NULL).n, 0);
  assert_int_equal(str_of("abc").n, 3);
  assert_true(str_eq(STR("abc"), str_of("abc")));
  assert_false(str_eq(STR("abc"), STR("abd")));
  assert_false(str_eq(STR("abc"), STR("ab")));
  assert_true(str_eq((str){NULL, 0}, STR("")));
  assert_true(str_is(STR("x y"), "x y"));
  assert_false(str_is(STR("x y"), "x"));
  assert_false(str_is(STR("a\0b"), "a"));
  assert_true(str_starts(STR("abc"), STR("ab")));
  assert_true(str_starts(STR("abc"), STR("")));
  assert_true(str_starts((str){NULL, 0}, (str){NULL, 0}));
  assert_false(str_starts(STR("ab"), STR("abc")));
  assert_false(str_starts(STR("xabc"), STR("abc")));
  arena *a = arena_new(NULL);
  assert_string_equal(str_dup(a, (str){"hello", 4}), "hell");
  assert_string_equal(str_dup(a, (str){NULL, 0}), "");
  assert_string_equal(str_fmt(a, "%d-%s", 12, "x"), "12-x");
  assert_string_equal(str_fmt(a, "%s", ""), "");
  arena_free(a);
}

static void buffers_grow(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  strbuf b;
  sb_init(&b, a);
  assert_string_equal(sb_cstr(&b), "");
  assert_int_equal(sb_str(&b).n, 0);
  assert_non_null(sb_str(&b).p);
  static char expected[200000];
  size_t n = 0;
  for (int i = 0; n < sizeof expected - 100; i++) {
    char piece[80];
    int k = snprintf(piece, sizeof piece, "%d:%*s;", i, i % 60, "v");
    memcpy(expected + n, piece, (size_t)k);
    n += (size_t)k;
    if (i % 3 == 0) {
      sb_fmt(&b, "%d:%*s;", i, i % 60, "v");
    } else if (i % 3 == 1) {
      sb_bytes(&b, piece, (size_t)k);
    } else {
      for (int j = 0; j < k; j++) sb_char(&b, piece[j]);
    }
    assert_int_equal(b.n, n);
  }
  expected[n] = '\0';
  assert_string_equal(sb_cstr(&b), expected);
  sb_bytes(&b, "a\0b", 3);
  assert_int_equal(b.n, n + 3);
  arena_free(a);
}

// Texts one shorter than, equal to and one longer than the room that is left.
static void printf_at_the_edge(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  for (int n = 0; n < 300; n++) {
    strbuf b;
    sb_init(&b, a);
    sb_z(&b, "12345");
    sb_fmt(&b, "%0*d", n, 7);
    assert_int_equal(b.n, 5 + (n > 1 ? n : 1));
    assert_int_equal(strlen(sb_cstr(&b)), b.n);
    assert_int_equal(b.p[b.n - 1], '7');
  }
  arena_free(a);
}

static void quoting(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  strbuf b;
  sb_init(&b, a);
  sb_quoted(&b, STR("a\"b\\c\nd\te\001\177\0z é"));
  assert_string_equal(sb_cstr(&b), "\"a\\\"b\\\\c\\nd\\te\\x01\\x7f\\x00z é\"");
  sb_init(&b, a);
  sb_quoted(&b, (str){NULL, 0});
  assert_string_equal(sb_cstr(&b), "\"\"");
  arena_free(a);
}

static const char *suggest(const char *word) {
  static const char *const names[] = {"hidden_size", "num_layers", "linear", "layer_norm", "relu",
                                      "gelu",        "silu",       "x",      "h",          ""};
  return str_suggest(str_of(word), names, sizeof names / sizeof *names);
}

static void suggestions(void **state) {
  (void)state;
  assert_string_equal(suggest("hiden_size"), "hidden_size");   // one missing
  assert_string_equal(suggest("hidden_sizee"), "hidden_size"); // one too many
  assert_string_equal(suggest("hiddne_size"), "hidden_size");  // neighbours swapped
  assert_string_equal(suggest("lenear"), "linear");            // one wrong
  assert_string_equal(suggest("lienaer"), "linear");           // a swap and an insertion: 2 of 1 + 7/3 = 3
  assert_string_equal(suggest("delu"), "relu");                // the first of equals
  assert_string_equal(suggest("gleu"), "gelu");                // one edit beats two
  assert_string_equal(suggest("layernorm"), "layer_norm");
  assert_null(suggest("softmax"));
  assert_null(suggest("lnr")); // three edits of 2
  assert_null(suggest("q"));   // nothing in common with one-letter names
  assert_null(suggest("a_very_long_name_of_more_than_sixty_four_characters_that_nobody_has_ever_used_here"));
  assert_null(str_suggest(STR("x"), NULL, 0));
  char long_name[65];
  memset(long_name, 'a', 64);
  long_name[64] = '\0';
  const char *candidate[] = {long_name};
  assert_ptr_equal(str_suggest((str){long_name, 63}, candidate, 1), long_name);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(slices),  cmocka_unit_test(buffers_grow), cmocka_unit_test(printf_at_the_edge),
      cmocka_unit_test(quoting), cmocka_unit_test(suggestions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
