// Routines of the runtime (runtime/routines.h) as OpenCL C: the texts of routines/, of which a program gets those that
// its plan names. They give the bits that the host's give, whatever the size of their groups.
//
// A program that is built with NNC_HOST_ROUTINES has none of them: for a driver whose compiler takes all the rest.
#include "codegen/opencl/cl.h"
#include "compact_cl.h"
#include "memory_cl.h"
#include "nms_cl.h"
#include "order_cl.h"
#include "scatter_cl.h"

#include <string.h>

enum {
  LANES = 64, // where the target has no groups; limits are the host's matter
  LANES_MOST = 256,
  CHUNK = 1024 // elements that are sorted in local memory
};

static const struct {
  const char *name, *text;
  uint32_t local_bytes; // as declared in the text
  bool is_f64;          // whatever its operands are
} routines[] = {{"rt_order", order_cl, CHUNK *(8 + 4) + 4, false},
                {"rt_scatter", scatter_cl, 0, false},
                {"rt_compact", compact_cl, LANES_MOST * 8, false},
                {"rt_nms", nms_cl, 4, true}};
enum { ROUTINES = sizeof routines / sizeof *routines };

static size_t number_of(const kir_kernel *k) {
  size_t i = 0;
  while (i < ROUTINES && strcmp(routines[i].name, k->name) != 0) i++;
  return i;
}

opencl_kernel cl_routine(const kir_kernel *k, const target *t) {
  size_t i = number_of(k);
  if (i == ROUTINES) return (opencl_kernel){.name = k->name}; // the host's alone
  opencl_kernel info = {.name = k->name, .lanes = t->workers ? t->workers : LANES};
  info.local_bytes = routines[i].local_bytes;
  info.needs_fp64 = routines[i].is_f64;
  bool computes = strcmp(k->name, "rt_scatter") == 0; // the others move bits
  for (size_t p = 0; p < k->params.n; p++)
    info.needs_fp64 = info.needs_fp64 || (computes && k->params.at[p]->dt == DT_f64);
  return info;
}

void cl_print_routines(size_t n, kir_kernel *const *kernels, strbuf *source) {
  bool wanted[ROUTINES + 1] = {false}, any = false;
  for (size_t i = 0; i < n; i++)
    if (kernels[i]->routine && number_of(kernels[i]) < ROUTINES) any = wanted[number_of(kernels[i])] = true;
  if (!any) return;
  sb_z(source, "\n#ifndef NNC_HOST_ROUTINES\n");
  for (int dt = 0; dt < DT_COUNT; dt++) sb_fmt(source, "#define RT_%s %d\n", dtype_name((dtype)dt), dt);
  sb_fmt(source, "#define RT_LANES_MOST %d\n#define RT_CHUNK %d\n", (int)LANES_MOST, (int)CHUNK);
  sb_z(source, "#define RT_WIDTHS {");
  for (int dt = 0; dt < DT_COUNT; dt++) sb_fmt(source, "%s%zu", dt ? ", " : "", dtype_size((dtype)dt));
  sb_fmt(source, "}\n\n%s", memory_cl);
  for (size_t i = 0; i < ROUTINES; i++)
    if (wanted[i]) sb_fmt(source, "\n%s", routines[i].text);
  sb_z(source, "#endif\n");
}
