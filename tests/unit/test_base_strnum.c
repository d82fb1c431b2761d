// Numbers as text: printing is shortest and reads back, reading rounds correctly, and no locale changes either.
// Truth: Python's repr (Gay 1990) for the tables, the C library for random values.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const char *f64_text(double v) {
  static char text[64];
  arena *a = arena_new(NULL);
  strbuf b;
  sb_init(&b, a);
  sb_f64(&b, v);
  snprintf(text, sizeof text, "%s", sb_cstr(&b));
  arena_free(a);
  return text;
}

static const char *f32_text(float v) {
  static char text[64];
  arena *a = arena_new(NULL);
  strbuf b;
  sb_init(&b, a);
  sb_f32(&b, v);
  snprintf(text, sizeof text, "%s", sb_cstr(&b));
  arena_free(a);
  return text;
}

static const struct {
  double v;
  const char *text;
} known[] = {
    {0.0, "0.0"},
    {-0.0, "-0.0"},
    {1.0, "1.0"},
    {-2.5, "-2.5"},
    {64.0, "64.0"},
    {100.0, "100.0"},
    {0x1.999999999999ap-4, "0.1"},
    {0x1.5555555555555p-2, "0.3333333333333333"},
    {0x1.5555555555555p-1, "0.6666666666666666"},
    {0x1.0f0cf064dd592p+73, "1e22"},
    {0x1.52d02c7e14af6p+76, "1e23"},
    {0x0.0000000000001p-1022, "5e-324"},
    {0x0.0000000000003p-1022, "1.5e-323"},
    {0x1.0000000000000p-1022, "2.2250738585072014e-308"},
    {0x1.fffffffffffffp+1023, "1.7976931348623157e308"},
    {0x1.0000000000000p-44, "5.684341886080802e-14"}, // the nearest 16 digits, ...801, do not read back
    {0x1.0000000000000p+1023, "8.98846567431158e307"},
    {0x1.0000000000000p+53, "9007199254740992.0"},
    {0x1.b69b4ba630f35p+56, "1.2345678901234568e17"},
    {0x1.1666666666666p+2, "4.35"},
    {0x1.0000000000000p+60, "1.152921504606847e18"},
    {0x1.0000000000000p+100, "1.2676506002282294e30"},
    {0x1.374bc6a7ef9dbp-7, "0.0095"},
    {0x1.4f8b588e368f1p-17, "1e-5"},
    {0x1.a36e2eb1c432dp-14, "0.0001"},
    {0x1.e240c9fbe76c9p+16, "123456.789"},
    {0x1.c6bf526340000p+49, "1000000000000000.0"},
    {0x1.1c37937e08000p+53, "1e16"},
    {(double)INFINITY, "inf"},
    {-(double)INFINITY, "-inf"},
    {(double)NAN, "nan"},
};

static void prints_known(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) assert_string_equal(f64_text(known[i].v), known[i].text);
  assert_string_equal(f32_text(0.1f), "0.1");
  assert_string_equal(f32_text(16777216.0f), "16777216.0");
  assert_string_equal(f32_text(0x1p-149f), "1e-45");
  assert_string_equal(f32_text(0x1.fffffep127f), "3.4028235e38");
  assert_string_equal(f32_text(0x1p-126f), "1.1754944e-38");
  assert_string_equal(f32_text(1.0f / 3), "0.33333334");
  assert_string_equal(f32_text(-INFINITY), "-inf");
}

static uint64_t next_random(uint64_t *s) { // xorshift64*, Vigna 2016
  *s ^= *s >> 12;
  *s ^= *s << 25;
  *s ^= *s >> 27;
  return *s * 2685821657736338717u;
}

static int count_digits(const char *text) { // significant ones
  int n = 0, zeros = 0;
  for (const char *p = text; *p && *p != 'e'; p++) {
    if (*p < '0' || *p > '9' || (*p == '0' && n == 0)) continue;
    n++;
    zeros = *p == '0' ? zeros + 1 : 0;
  }
  return n - zeros;
}

static void prints_shortest(void **state) {
  (void)state;
  uint64_t seed = 1;
  for (int i = 0; i < 20000; i++) {
    uint64_t bits = next_random(&seed);
    double v;
    memcpy(&v, &bits, sizeof v);
    if (i % 2) v = (double)(int64_t)(bits >> 40) / 1000;
    if (!isfinite(v)) continue;
    const char *text = f64_text(v);
    double back = strtod(text, NULL);
    if (back != v) fail_msg("%a printed as %s", v, text);
    assert_non_null(strpbrk(text, ".e"));
    char shorter[40];
    int n = count_digits(text);
    if (n > 1) snprintf(shorter, sizeof shorter, "%.*e", n - 2, v);
    if (n > 1 && strtod(shorter, NULL) == v) fail_msg("%s is longer than %s", text, shorter);
  }
  for (int i = 0; i < 20000; i++) {
    uint32_t bits = (uint32_t)next_random(&seed);
    float v;
    memcpy(&v, &bits, sizeof v);
    if (!isfinite(v)) continue;
    const char *text = f32_text(v);
    if (strtof(text, NULL) != v) fail_msg("%a printed as %s", (double)v, text);
    char shorter[40];
    int n = count_digits(text);
    if (n > 1) snprintf(shorter, sizeof shorter, "%.*e", n - 2, (double)v);
    if (n > 1 && strtof(shorter, NULL) == v) fail_msg("%s is longer than %s", text, shorter);
  }
}

static void reads_f64(void **state) {
  (void)state;
  double v;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    assert_true(parse_f64(str_of(known[i].text), &v));
    if (isnan(known[i].v)) {
      assert_true(isnan(v));
    } else {
      assert_memory_equal(&v, &known[i].v, sizeof v); // also tells -0 from 0
    }
  }
  static const char *const good[] = {"1",
                                     "1.",
                                     "007.50",
                                     ".5",
                                     "+3",
                                     "-.25e+2",
                                     "1E5",
                                     "1e400000",
                                     "0e9",
                                     "0e999999999999999999999",
                                     "1e-400",
                                     "-1e-999999999999999999999",
                                     "12345678901234567890123456789",
                                     "0.000000000000000000000000000000000001"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    double expected = strtod(good[i], NULL);
    bool ok = parse_f64(str_of(good[i]), &v);
    assert_int_equal(ok, isfinite(expected)); // out of range is refused
    if (ok) assert_memory_equal(&v, &expected, sizeof v);
  }
  static const char *const bad[] = {"",      ".",    "-",   "+-1",   "1e",       "1e+",
                                    "1.2.3", "0x10", " 1",  "1 ",    "1,5",      "1_0",
                                    "e5",    ".e1",  "INF", "Nan",   "infinity", "nan(1)",
                                    "1e5.0", "--1",  "1f",  "1e309", "-1.8e308", "1e99999999999999999999"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    v = 7;
    if (parse_f64(str_of(bad[i]), &v)) fail_msg("`%s` was read as %g", bad[i], v);
    assert_true(v == 7);
  }
  assert_false(parse_f64(STR("1\0"), &v));
  assert_true(parse_f64((str){"123", 2}, &v)); // no byte past the slice counts
  assert_true(v == 12);
}

// Random texts, most of them with more digits than a double holds, against the C library.
static void reads_as_strtod(void **state) {
  (void)state;
  uint64_t seed = 42;
  for (int i = 0; i < 50000; i++) {
    char text[128];
    size_t n = 0;
    uint64_t shape = next_random(&seed);
    size_t n_digits = 1 + shape % 40;
    for (size_t k = 0; k < n_digits; k++) {
      if (k == (shape >> 8) % 40) text[n++] = '.';
      text[n++] = (char)('0' + next_random(&seed) % 10);
    }
    snprintf(text + n, sizeof text - n, "e%d", (int)((shape >> 16) % 720) - 360);
    double expected = strtod(text, NULL), v = 0;
    bool ok = parse_f64(str_of(text), &v);
    assert_int_equal(ok, isfinite(expected));
    if (ok && memcmp(&v, &expected, sizeof v) != 0) fail_msg("%s: %a for %a", text, v, expected);
  }
}

// 1 + 2^-53 lies half-way between two doubles: the tie goes to even, and one more digit, however far out, breaks it.
static void rounds_ties(void **state) {
  (void)state;
  static const char tie[] = "1.00000000000000011102230246251565404236316680908203125";
  static char text[20100];
  double v;
  assert_true(parse_f64(STR(tie), &v));
  assert_true(v == 1.0);
  for (size_t n_zeros = 0; n_zeros < 20000; n_zeros = n_zeros * 2 + 1) {
    memcpy(text, tie, sizeof tie - 1);
    memset(text + sizeof tie - 1, '0', n_zeros);
    text[sizeof tie - 1 + n_zeros] = '1';
    assert_true(parse_f64((str){text, sizeof tie - 1 + n_zeros}, &v)); // without the 1
    assert_true(v == 1.0);
    assert_true(parse_f64((str){text, sizeof tie + n_zeros}, &v));
    assert_true(v == 1.0 + 0x1p-52);
  }
  memset(text, '0', sizeof text); // 1 with twenty thousand zeros before and after, moved back by its exponent
  text[1] = '.';
  text[10000] = '1';
  memcpy(text + 20000, "e9999", 5);
  assert_true(parse_f64((str){text, 20005}, &v));
  assert_true(v == 1.0);
  text[1] = '0';
  memcpy(text + 20000, "e-9999", 6);
  assert_true(parse_f64((str){text, 20006}, &v));
  assert_true(v == 1.0);
}

static void reads_i64(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t v;
  } good[] = {{"0", 0},
              {"-0", 0},
              {"007", 7},
              {"+12", 12},
              {"-345", -345},
              {"9223372036854775807", INT64_MAX},
              {"-9223372036854775808", INT64_MIN},
              {"000000000000000000000000000000001", 1}};
  int64_t v;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_true(parse_i64(str_of(good[i].text), &v));
    assert_true(v == good[i].v);
  }
  static const char *const bad[] = {"",
                                    "-",
                                    "+",
                                    " 1",
                                    "1 ",
                                    "1.0",
                                    "1e3",
                                    "0x1",
                                    "1_000",
                                    "--1",
                                    "9223372036854775808",
                                    "-9223372036854775809",
                                    "18446744073709551616",
                                    "99999999999999999999999"};
  v = 5;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    if (parse_i64(str_of(bad[i]), &v)) fail_msg("`%s` was read as %lld", bad[i], (long long)v);
  }
  assert_true(v == 5);
}

// A process under a locale with a decimal comma. The locale is compiled on the spot, since few machines have it.
static void locale_changes_nothing(void **state) {
  (void)state;
  char folder[] = "./nnc-locale-XXXXXX", command[200];
  assert_non_null(mkdtemp(folder));
  snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 '%s/de_DE.UTF-8' 2>/dev/null", folder);
  int rc = system(command);
  setenv("LOCPATH", folder, 1);
  bool comma = rc == 0 && setlocale(LC_ALL, "de_DE.UTF-8") && *localeconv()->decimal_point == ',';
  if (comma) {
    char text[40];
    snprintf(text, sizeof text, "%.1f", 1.5);
    assert_string_equal(text, "1,5"); // the locale is at work
    prints_known(NULL);
    double v;
    assert_true(parse_f64(STR("2.5"), &v));
    assert_true(v == 2.5);
    assert_false(parse_f64(STR("2,5"), &v));
    arena *a = arena_new(NULL);
    assert_string_equal(str_fmt(a, "%.2f", 0.25), "0.25");
    arena_free(a);
    snprintf(text, sizeof text, "%.1f", 1.5);
    assert_string_equal(text, "1,5"); // and still is
    setlocale(LC_ALL, "C");
  }
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  rc = system(command);
  if (!comma) skip();
  assert_int_equal(rc, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(prints_known),           cmocka_unit_test(prints_shortest), cmocka_unit_test(reads_f64),
      cmocka_unit_test(reads_as_strtod),        cmocka_unit_test(rounds_ties),     cmocka_unit_test(reads_i64),
      cmocka_unit_test(locale_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
