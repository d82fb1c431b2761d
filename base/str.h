// Strings: slices, interned names, and a growing buffer with printf. UTF-8 bytes; no locale anywhere.
#ifndef NNC_BASE_STR_H
#define NNC_BASE_STR_H

#include "base/arena.h"
#include <stdarg.h>
#include <stdbool.h>

typedef struct str {
  const char *p; // not NUL-terminated
  size_t n;
} str;

#define STR(literal) ((str){(literal), sizeof(literal) - 1})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   (int)(s).n, (s).p

str str_of(const char *z); // NUL-terminated -> slice; NULL -> empty
bool str_eq(str a, str b);
bool str_is(str a, const char *z);
bool str_starts(str a, str prefix);
uint64_t hash_bytes(const void *p, size_t n, uint64_t seed); // 64-bit content hash, for tables; the same on every run
char *str_dup(arena *a, str s);                              // NUL-terminated copy
char *str_fmt(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Interner: one NUL-terminated pointer per content, so pointer equality is string equality.
typedef struct interner interner;
interner *interner_new(arena *a);
const char *intern(interner *t, str s);
const char *intern_z(interner *t, const char *z);

// strbuf: text that grows in an arena.
typedef struct strbuf {
  arena *a;
  char *p; // always NUL-terminated once anything was written; may be NULL before
  size_t n, cap;
} strbuf;

void sb_init(strbuf *b, arena *a);
void sb_char(strbuf *b, char c);
void sb_bytes(strbuf *b, const void *p, size_t n);
void sb_z(strbuf *b, const char *z);
void sb_fmt(strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sb_vfmt(strbuf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
// Shortest decimal that reads back as the same double; inf -inf nan; always has '.', 'e', or a word.
void sb_f64(strbuf *b, double v);
void sb_f32(strbuf *b, float v);  // the same for float
void sb_quoted(strbuf *b, str s); // "…" with \" \\ \n \t \xNN escapes
str sb_str(const strbuf *b);      // borrowed until the next write
const char *sb_cstr(strbuf *b);   // "" when empty

// Numbers, locale-free. Each returns false unless the whole slice is one number in range.
bool parse_i64(str s, int64_t *out);
bool parse_f64(str s, double *out); // correctly rounded; accepts inf, -inf, nan

// The candidate closest to `word` (Damerau-Levenshtein, at most 1 + n/3 edits), or NULL: for "did you mean".
const char *str_suggest(str word, const char *const *candidates, size_t n);

#endif
