// SHA-256 (FIPS 180-4): names content where a collision would give wrong results. About 200 MB/s: for sources and keys,
// not for weights.
#ifndef NNC_BASE_SHA256_H
#define NNC_BASE_SHA256_H

#include "base/str.h"

typedef struct sha256 {
  uint32_t state[8];
  uint64_t n; // bytes so far
  unsigned char block[64];
} sha256;

typedef struct sha256_digest {
  unsigned char at[32];
} sha256_digest;

void sha256_init(sha256 *h);
void sha256_add(sha256 *h, const void *p, size_t n);
// A value with its length in front, so that ("ab", "c") and ("a", "bc") differ.
void sha256_add_str(sha256 *h, str s);
void sha256_add_u64(sha256 *h, uint64_t v);
sha256_digest sha256_end(sha256 *h);
sha256_digest sha256_of(str s);
char *sha256_hex(arena *a, const sha256_digest *d); // 64 digits

#endif
