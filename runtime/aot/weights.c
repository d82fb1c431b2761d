// Opening an AOT library whose weights are in a file. Only such libraries pull this file in.
#define _GNU_SOURCE // dladdr
#include "runtime/aot/session.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

int nnc_aot_open_file(rt_aot_session **out, unsigned threads, const char *path) {
  const rt_plan *p = nnc_aot_model.plan;
  rt_aot_session *s = *out = rt_aot_new();
  if (!s) return RT_E_MEMORY;
  rt_status st = rt_plan_check(p, p->size_bytes, &s->error);
  if (!st && !path) st = rt_fail(&s->error, RT_E_FILE, "weights: no path is given");
  if (!st) st = rt_weights_open(&s->weights, path, nnc_aot_model.layout, p->constants_bytes, &s->error);
  return st ? (int)st : rt_aot_start(s, threads, s->weights.block);
}

// Beside the library under the name that it was loaded by; else beside the file that this finally names.
int nnc_aot_open_beside(rt_aot_session **out, unsigned threads) {
  char library[PATH_MAX], path[PATH_MAX];
  Dl_info place;
  bool found =
      dladdr(&nnc_aot_model, &place) && place.dli_fname && rt_weights_beside(place.dli_fname, path, sizeof path);
  if (found && access(path, F_OK) != 0 && realpath(place.dli_fname, library)) {
    char other[PATH_MAX];
    if (rt_weights_beside(library, other, sizeof other) && access(other, F_OK) == 0)
      return nnc_aot_open_file(out, threads, other);
  }
  return nnc_aot_open_file(out, threads, found ? path : NULL);
}
