// Random numbers for tests: splitmix64 (Steele, Lea & Flood 2014). The same state gives the same numbers.
#ifndef NNC_TESTS_SUPPORT_RANDOM_H
#define NNC_TESTS_SUPPORT_RANDOM_H

#include <stdint.h>

uint64_t random_next(uint64_t *state);
uint32_t random_below(uint64_t *state, uint32_t n); // 0 .. n-1
double random_unit(uint64_t *state);                // [0, 1)
float random_float(uint64_t *state);                // [-1, 1), a multiple of 2^-23

#endif
