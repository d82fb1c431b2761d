// Writes the seeds of every target as files DIR/TARGET/N, from which libFuzzer starts; DIR and its folders exist.
#include <stdio.h>
#include <stdlib.h>

#include "seeds.h"
#include "support.h"

static bool write_seed(const char *folder, const char *target, size_t i, str bytes) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s/seed-%03zu", folder, target, i);
  FILE *f = fopen(path, "wb");
  if (!f) return false;
  bool ok = fwrite(bytes.p, 1, bytes.n, f) == bytes.n;
  return fclose(f) == 0 && ok;
}

int main(int argc, char **argv) {
  static const char *const targets[] = {
#define T(name, what) #name,
      FUZZ_TARGETS
#undef T
  };
  bool ok = true;
  if (argc != 2) return 2;
  for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
    arena *a = arena_new(NULL);
    if (!a || setjmp(*arena_guard(a))) return 3;
    fuzz_seeds seeds = {0};
    fuzz_seeds_of(a, targets[t], &seeds);
    for (size_t i = 0; i < seeds.n; i++) ok = ok && write_seed(argv[1], targets[t], i, seeds.at[i].bytes);
    arena_free(a);
  }
  if (!ok) fprintf(stderr, "cannot write to the folders of %s\n", argv[1]);
  return ok ? 0 : 3;
}
