// UTF-8: how many bytes the next character takes. Internal to base/; Unicode 15, table 3-7.
#ifndef NNC_BASE_UTF8_H
#define NNC_BASE_UTF8_H

#include "base/str.h"

// Bytes of the character at the front of `s` (not empty); 1 for a byte that begins none, which then counts as one.
static inline size_t utf8_length(str s) {
  const unsigned char *p = (const unsigned char *)s.p;
  size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
  if (p[0] < 0xc2 || p[0] > 0xf4 || n > s.n) return 1;
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80) return 1;
  }
  // Forms longer than needed, surrogates, and numbers past 0x10ffff are not characters.
  bool outside = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
                 (p[0] == 0xf4 && p[1] > 0x8f);
  return outside ? 1 : n;
}

// Bytes of a byte order mark at the start of a file: no part of its first line.
static inline size_t utf8_bom(str text) { return str_starts(text, STR("\xef\xbb\xbf")) ? 3 : 0; }

#endif
