// Values as bytes: see pack.h.
#include "base/pack.h"

#include <string.h>

void pack_u64(strbuf *b, uint64_t v) { sb_bytes(b, &v, sizeof v); }

void pack_str(strbuf *b, str s) {
  static const char zeros[8] = {0};
  pack_u64(b, s.n);
  sb_bytes(b, s.p, s.n);
  sb_bytes(b, zeros, 8 - s.n % 8);
}

unpacker unpack_begin(str bytes) { return (unpacker){bytes.p, bytes.n, (uintptr_t)bytes.p % 8 != 0}; }

static const char *take(unpacker *u, size_t n) {
  if (u->broken || n > u->left) {
    u->broken = true;
    return NULL;
  }
  const char *p = u->at;
  u->at += n;
  u->left -= n;
  return p;
}

uint64_t unpack_u64(unpacker *u) {
  uint64_t v = 0;
  const char *p = take(u, sizeof v);
  if (p) memcpy(&v, p, sizeof v);
  return v;
}

uint64_t unpack_count(unpacker *u, size_t least_bytes) {
  uint64_t n = unpack_u64(u);
  if (n > u->left / least_bytes) u->broken = true;
  return u->broken ? 0 : n;
}

str unpack_str(unpacker *u) {
  uint64_t n = unpack_u64(u);
  if (n >= u->left) u->broken = true; // a NUL follows
  const char *p = u->broken ? NULL : take(u, (size_t)n / 8 * 8 + 8);
  if (p && p[n]) u->broken = true;
  return p && !u->broken ? (str){p, (size_t)n} : STR("");
}

const char *unpack_z(unpacker *u) { return unpack_str(u).p; }

bool unpack_end(const unpacker *u) { return !u->broken && u->left == 0; }
