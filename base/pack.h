// Values as bytes and back: numbers of 8 bytes, strings with their length in front, everything at a multiple of 8. The
// bytes are of this machine: for files that stay on it. Reading is safe on any bytes: a reader that meets the end gives
// zeros and empty strings from there on, and says so.
#ifndef NNC_BASE_PACK_H
#define NNC_BASE_PACK_H

#include "base/str.h"

void pack_u64(strbuf *b, uint64_t v);
void pack_str(strbuf *b, str s); // and a NUL

typedef struct unpacker {
  const char *at; // 8-byte aligned
  size_t left;
  bool broken;
} unpacker;

unpacker unpack_begin(str bytes);
uint64_t unpack_u64(unpacker *u);
// How many values follow, each of at least `least_bytes`: never more than the bytes can hold.
uint64_t unpack_count(unpacker *u, size_t least_bytes);
str unpack_str(unpacker *u); // in the bytes, 8-byte aligned, NUL-terminated
const char *unpack_z(unpacker *u);
bool unpack_end(const unpacker *u); // nothing was missing, nothing is left

#endif
