/* Uniform numbers for the example programs: SplitMix64 (Steele, Lea, Flood 2014, Fast Splittable Pseudorandom Number
 * Generators). */
#ifndef NOISE_H
#define NOISE_H

#include <stdint.h>

/* n numbers in (0, 1). */
static void uniform(uint64_t *state, float *out, int n) {
  for (int i = 0; i < n; i++) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    out[i] = ((float)((z ^ z >> 31) >> 41) + 0.5f) / 8388608.0f;
  }
}

#endif
