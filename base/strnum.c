// Numbers to text and back, the same under every locale.
//
// Printing: the fewest decimal digits that read back as the same value. For each count of digits the C library's
// correctly rounded digits are tried, then the next larger ones: just above a power of two the nearest decimal may fall
// outside the interval that reads back while its neighbour is inside (Steele & White 1990). At most 34 short strtod
// calls a number. Layout: positional from 1e-4 up to below 1e16, otherwise with an exponent.
//
// Reading: the slice is checked against the grammar by hand, and its digits are handed to strtod as an integer and an
// exponent, without a decimal point: strtod rounds correctly, and no locale can change the meaning. A double is decided
// by at most 767 digits; beyond DIGITS_KEPT a nonzero rest only matters as "a little more".
#define _POSIX_C_SOURCE 200809L
#include "base/str.h"
#include "base/c_locale.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_KEPT = 800 };

static bool reads_back(double v, bool is_f32, uint64_t digits, int exponent) {
  char text[40];
  snprintf(text, sizeof text, "%" PRIu64 "e%d", digits, exponent);
  return is_f32 ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v;
}

// Fewest digits, as an integer, with v = digits * 10^exponent after rounding. v is finite and positive.
static uint64_t shortest_digits(double v, bool is_f32, int *exponent) {
  int most = is_f32 ? 9 : 17;
  uint64_t digits = 0;
  for (int n = 1; n <= most; n++) {
    char text[40];
    snprintf(text, sizeof text, "%.*e", n - 1, v);
    const char *p = text;
    for (digits = 0; *p != 'e'; p++) {
      if (*p >= '0' && *p <= '9') digits = digits * 10 + (uint64_t)(*p - '0');
    }
    *exponent = atoi(p + 1) - (n - 1);
    if (reads_back(v, is_f32, digits, *exponent)) return digits;
    if (reads_back(v, is_f32, digits + 1, *exponent)) return digits + 1;
  }
  return digits;
}

static void sb_float(strbuf *b, double v, bool is_f32) {
  if (isnan(v)) {
    sb_z(b, "nan");
    return;
  }
  if (signbit(v)) sb_char(b, '-');
  v = fabs(v);
  if (isinf(v) || v == 0) {
    sb_z(b, v == 0 ? "0.0" : "inf");
    return;
  }
  c_locale s = c_locale_enter();
  int exponent;
  uint64_t digits = shortest_digits(v, is_f32, &exponent);
  c_locale_leave(s);
  while (digits % 10 == 0) {
    digits /= 10;
    exponent++;
  }
  char text[24];
  int n = snprintf(text, sizeof text, "%" PRIu64, digits);
  int point = n + exponent; // v = 0.text * 10^point
  if (point > 16 || point < -3) {
    sb_char(b, text[0]);
    if (n > 1) sb_fmt(b, ".%s", text + 1);
    sb_fmt(b, "e%d", point - 1);
  } else if (point <= 0) {
    sb_fmt(b, "0.%.*s%s", -point, "000", text);
  } else if (point >= n) {
    sb_fmt(b, "%s%.*s.0", text, point - n, "0000000000000000");
  } else {
    sb_fmt(b, "%.*s.%s", point, text, text + point);
  }
}

void sb_f64(strbuf *b, double v) { sb_float(b, v, false); }

void sb_f32(strbuf *b, float v) { sb_float(b, (double)v, true); }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes a sign off the front; true for '-'.
static bool take_sign(str *s) {
  if (s->n == 0 || (s->p[0] != '-' && s->p[0] != '+')) return false;
  bool negative = s->p[0] == '-';
  *s = (str){s->p + 1, s->n - 1};
  return negative;
}

bool parse_i64(str s, int64_t *out) {
  bool negative = take_sign(&s);
  if (s.n == 0) return false;
  const uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
  uint64_t v = 0;
  for (size_t i = 0; i < s.n; i++) {
    if (!is_digit(s.p[i])) return false;
    uint64_t digit = (uint64_t)(s.p[i] - '0');
    if (v > (limit - digit) / 10) return false;
    v = v * 10 + digit;
  }
  *out = negative ? (int64_t)(0 - v) : (int64_t)v;
  return true;
}

// "e-12" at the front of `s`, the whole rest of a number; saturates far outside what any count of digits can offset.
static bool parse_exponent(str s, int64_t *out) {
  const int64_t far = INT64_C(1) << 60;
  s = (str){s.p + 1, s.n - 1};
  bool negative = take_sign(&s);
  if (s.n == 0) return false;
  int64_t v = 0;
  for (size_t i = 0; i < s.n; i++) {
    if (!is_digit(s.p[i])) return false;
    if (v < far / 10) v = v * 10 + (s.p[i] - '0');
  }
  *out = negative ? -v : v;
  return true;
}

bool parse_f64(str s, double *out) {
  bool negative = take_sign(&s);
  if (str_is(s, "inf") || str_is(s, "nan")) {
    double v = s.p[0] == 'i' ? (double)INFINITY : (double)NAN;
    *out = negative ? -v : v;
    return true;
  }
  char text[DIGITS_KEPT + 40];
  size_t kept = 0, i = 0;
  int64_t exponent = 0; // of the last digit kept
  bool any_digit = false, after_point = false, rest = false;
  for (; i < s.n && (is_digit(s.p[i]) || (s.p[i] == '.' && !after_point)); i++) {
    char c = s.p[i];
    if (c == '.') {
      after_point = true;
      continue;
    }
    any_digit = true;
    bool keep = kept < DIGITS_KEPT;
    if (keep && (kept || c != '0')) text[kept++] = c;
    if (!keep && c != '0') rest = true;
    exponent += (after_point ? -1 : 0) + (keep ? 0 : 1);
  }
  if (!any_digit) return false;
  if (i < s.n) {
    int64_t written;
    if ((s.p[i] != 'e' && s.p[i] != 'E') || !parse_exponent((str){s.p + i, s.n - i}, &written)) return false;
    exponent += written;
  }
  double v = 0;
  if (kept) {
    if (rest) {
      text[kept++] = '1';
      exponent--;
    }
    // Past these bounds every count of kept digits is an overflow or a zero.
    int e = exponent > 100000 ? 100000 : exponent < -100000 ? -100000 : (int)exponent;
    snprintf(text + kept, sizeof text - kept, "e%d", e);
    v = strtod(text, NULL);
    if (isinf(v)) return false;
  }
  *out = negative ? -v : v;
  return true;
}
