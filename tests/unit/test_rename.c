// Name patterns: what they match, what their targets become, and that no pattern is slow.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "frontend/rename.h"

typedef struct example {
  const char *pattern, *target, *name, *result; // result NULL: no match
} example;

static const example examples[] = {
    {"a.b", "c", "a.b", "c"},
    {"a.b", "c", "a.bc", NULL},
    {"a.b", "c", "xa.b", NULL},
    {"a.<i>", "<i>", "a.12", "12"},
    {"a.<i>", "<i>", "a.", NULL},
    {"a.<i>", "<i>", "a.b.c", NULL},
    {"a.<i>.c", "x.<i>", "a.b.c", "x.b"},
    {"<p..>", "x.<p>", "a.b.c", "x.a.b.c"},
    {"<p..>.w", "<p>.weight", "a.b.w", "a.b.weight"},
    {"<p..>.w", "<p>.weight", "a.w.w", "a.w.weight"},
    {"<p..>.w", "<p>.weight", ".w", NULL},
    {"<p..>.w.<s..>", "<p>", "a.w", NULL},
    {"<p..>.w.<s..>", "<s>.<p>", "a.w.b.w.c", "c.a.w.b"},
    {"<a>.<b>", "<b>.<a>", "x.y", "y.x"},
    {"<a>.<b>", "<b>.<a>", "x.y.z", NULL},
    {"layer<s>.<j>", "stages.<s - 1>.<j + 10>", "layer3.4", "stages.2.14"},
    {"layer<s>.<j>", "stages.<s - 1>.<j>", "layer0.4", NULL},
    {"layer<s>.<j>", "stages.<s - 1>.<j>", "layerx.4", NULL},
    {"l<s>", "<s+1>", "l99999999999999999999", NULL},
    {"l<s>", "<s+1>", "l-1", NULL},
    {"l< s >", "<s -1>", "l007", "6"},
    {"a-b_C.0<x>", "<x><x>", "a-b_C.0y", "yy"},
    {"a.<i>", "fixed", "a.b:0 c", "fixed"},
};

static bool apply(arena *a, const example *e, strbuf *out) {
  diag_list l;
  diag_init(&l, a);
  uint32_t left = diag_add_file(&l, "left", str_of(e->pattern)), right = diag_add_file(&l, "right", str_of(e->target));
  name_pattern pattern, target;
  name_matcher m = {0};
  bool read = name_pattern_parse(a, &l, (diag_span){left, 0, (uint32_t)strlen(e->pattern)}, false, &pattern) &&
              name_pattern_parse(a, &l, (diag_span){right, 0, (uint32_t)strlen(e->target)}, true, &target);
  return read && name_pattern_match(a, &m, &pattern, str_of(e->name)) &&
         name_pattern_expand(&target, &pattern, m.captured.at, out);
}

static void test_examples(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
    arena *a = arena_new(NULL);
    strbuf out;
    sb_init(&out, a);
    const char *found = apply(a, &examples[i], &out) ? sb_cstr(&out) : "no match";
    const char *expected = examples[i].result ? examples[i].result : "no match";
    if (strcmp(found, expected))
      fail_msg("%s: %s of %s is %s, not %s", examples[i].pattern, examples[i].target, examples[i].name, found,
               expected);
    arena_free(a);
  }
}

static void test_no_pattern_is_slow(void **state) {
  (void)state;
  char pattern[256] = "", name[1025];
  for (char c = 'a'; c <= 'z'; c++) strcat(pattern, (char[]){'<', c, '.', '.', '>', '\0'});
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  strcat(pattern, "y"); // never matches
  arena *a = arena_new(NULL);
  strbuf out;
  sb_init(&out, a);
  int64_t begin = clock_ns();
  assert_false(apply(a, &(example){pattern, "z", name, NULL}, &out));
  assert_true(clock_ns() - begin < INT64_C(5000000000)); // backtracking without memory: for ever
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples), cmocka_unit_test(test_no_pattern_is_slow)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
