// Where fuzzing starts: for each target, the files of tests/fuzz/seeds/TARGET, among them every input that once broke
// something, and what the other tests have in that format: golden texts, cases of diagnostics, tensor files, a plan.
#ifndef NNC_TESTS_FUZZ_SEEDS_H
#define NNC_TESTS_FUZZ_SEEDS_H

#include "base/arena.h"
#include "base/str.h"
#include "base/vec.h"

typedef struct fuzz_seed {
  const char *from; // a file, for messages
  str bytes;
} fuzz_seed;

typedef VEC(fuzz_seed) fuzz_seeds;

enum { FUZZ_SEED_MOST_BYTES = 8192 }; // longer ones are left out

void fuzz_seeds_of(arena *a, const char *name, fuzz_seeds *out);

#endif
