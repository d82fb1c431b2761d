// The table of routines: see routines.h.
#include "runtime/routines.h"
#include <string.h>

rt_kernel rt_routine(const char *name) {
  static const struct {
    const char *name;
    rt_kernel routine;
  } rows[] = {{"rt_order", rt_order}, {"rt_scatter", rt_scatter}, {"rt_compact", rt_compact}, {"rt_nms", rt_nms}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (!strcmp(name, rows[i].name)) return rows[i].routine;
  return NULL;
}
