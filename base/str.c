// Strings: slices, content hash, growing buffers with printf, and the search for a similar name.
//
// Numbers live in base/strnum.c, the interner in base/map.c (it is a map). printf runs under the "C" locale, so that
// a decimal point is a point whatever the host program has set.
#define _POSIX_C_SOURCE 200809L
#include "base/str.h"
#include "base/c_locale.h"
#include "base/vec.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

str str_of(const char *z) { return z ? (str){z, strlen(z)} : (str){"", 0}; }

bool str_eq(str a, str b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }

bool str_is(str a, const char *z) { return str_eq(a, str_of(z)); }

bool str_starts(str a, str prefix) {
  return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

__extension__ typedef unsigned __int128 u128;

// Both halves of the 128-bit product, folded: every input bit reaches every output bit.
static uint64_t fold_multiply(uint64_t a, uint64_t b) {
  u128 product = (u128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed) {
  // Fractional bits of the golden ratio and of the square roots of 2 and 3.
  const uint64_t k0 = 0x9e3779b97f4a7c15u, k1 = 0x6a09e667f3bcc909u, k2 = 0xbb67ae8584caa73bu;
  const unsigned char *at = p;
  uint64_t h = seed ^ k0, w[2];
  size_t left = n;
  for (; left > sizeof w; left -= sizeof w, at += sizeof w) {
    memcpy(w, at, sizeof w);
    h = fold_multiply(w[0] ^ k1, w[1] ^ h);
  }
  memset(w, 0, sizeof w);
  if (left) memcpy(w, at, left);
  h = fold_multiply(w[0] ^ k1, w[1] ^ h);
  return fold_multiply(h ^ k2, (uint64_t)n ^ k1); // the length tells "a" from "a\0"
}

char *str_dup(arena *a, str s) {
  if (s.n == SIZE_MAX) arena_unwind(a, 1);
  char *p = arena_alloc(a, s.n + 1);
  if (s.n) memcpy(p, s.p, s.n);
  return p;
}

char *str_fmt(arena *a, const char *fmt, ...) {
  strbuf b;
  sb_init(&b, a);
  va_list ap;
  va_start(ap, fmt);
  sb_vfmt(&b, fmt, ap);
  va_end(ap);
  return b.p;
}

void sb_init(strbuf *b, arena *a) { *b = (strbuf){.a = a}; }

// Room for `extra` more bytes and the NUL.
static void sb_room(strbuf *b, size_t extra) {
  if (extra >= SIZE_MAX - b->n) arena_unwind(b->a, 1);
  size_t need = b->n + extra + 1;
  if (need > b->cap) b->p = vec_grow(b->a, b->p, b->n, &b->cap, need < 64 ? 64 : need, 1);
}

void sb_bytes(strbuf *b, const void *p, size_t n) {
  sb_room(b, n);
  if (n) memcpy(b->p + b->n, p, n);
  b->n += n;
  b->p[b->n] = '\0';
}

void sb_char(strbuf *b, char c) { sb_bytes(b, &c, 1); }

void sb_z(strbuf *b, const char *z) { sb_bytes(b, z, strlen(z)); }

void sb_fmt(strbuf *b, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  sb_vfmt(b, fmt, ap);
  va_end(ap);
}

void sb_vfmt(strbuf *b, const char *fmt, va_list ap) {
  sb_room(b, 0);
  size_t room = b->cap - b->n;
  va_list again;
  va_copy(again, ap);
  c_locale s = c_locale_enter();
  int n = vsnprintf(b->p + b->n, room, fmt, ap);
  c_locale_leave(s);
  assert(n >= 0); // only a text of 2 GB or a wide-character conversion fails
  if (n > 0 && (size_t)n >= room) {
    b->p[b->n] = '\0';
    sb_room(b, (size_t)n);
    s = c_locale_enter();
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
    c_locale_leave(s);
  }
  va_end(again);
  if (n > 0) b->n += (size_t)n;
  b->p[b->n] = '\0';
}

void sb_quoted(strbuf *b, str s) {
  sb_char(b, '"');
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c == '"' || c == '\\') {
      sb_char(b, '\\');
      sb_char(b, (char)c);
    } else if (c == '\n') {
      sb_z(b, "\\n");
    } else if (c == '\t') {
      sb_z(b, "\\t");
    } else if (c < 0x20 || c == 0x7f) {
      sb_fmt(b, "\\x%02x", c);
    } else {
      sb_char(b, (char)c);
    }
  }
  sb_char(b, '"');
}

str sb_str(const strbuf *b) { return (str){b->n ? b->p : "", b->n}; }

const char *sb_cstr(strbuf *b) { return b->p ? b->p : ""; }

enum { LONGEST_NAME = 64 };

// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`; both at most LONGEST_NAME bytes.
// Damerau 1964, in the restricted form that edits no piece twice: three rows of the usual table.
static size_t edit_distance(str a, str b) {
  size_t rows[3][LONGEST_NAME + 1];
  size_t *two_up = rows[0], *up = rows[1], *row = rows[2];
  for (size_t j = 0; j <= b.n; j++) row[j] = j;
  for (size_t i = 1; i <= a.n; i++) {
    size_t *oldest = two_up;
    two_up = up;
    up = row;
    row = oldest;
    row[0] = i;
    for (size_t j = 1; j <= b.n; j++) {
      size_t best = up[j - 1] + (a.p[i - 1] != b.p[j - 1]);
      if (up[j] + 1 < best) best = up[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
      if (swapped && two_up[j - 2] + 1 < best) best = two_up[j - 2] + 1;
      row[j] = best;
    }
  }
  return row[b.n];
}

const char *str_suggest(str word, const char *const *candidates, size_t n) {
  if (word.n > LONGEST_NAME) return NULL;
  const char *best = NULL;
  size_t allowed = 1 + word.n / 3; // falls to one less than the best so far: the first of equals wins
  for (size_t i = 0; i < n; i++) {
    str c = str_of(candidates[i]);
    size_t longer = c.n > word.n ? c.n : word.n, shorter = c.n > word.n ? word.n : c.n;
    if (c.n > LONGEST_NAME || longer - shorter > allowed) continue;
    size_t edits = edit_distance(word, c);
    if (edits > allowed || edits >= longer) continue; // all of it replaced is not the same name
    best = candidates[i];
    if (edits == 0) break;
    allowed = edits - 1;
  }
  return best;
}
