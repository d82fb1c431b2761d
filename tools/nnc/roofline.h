// Kernels beside what the machine can do: the roofline model. Williams, Waterman, Patterson 2009.
#ifndef NNC_TOOLS_ROOFLINE_H
#define NNC_TOOLS_ROOFLINE_H

#include "base/map.h"
#include "tools/nnc/compare.h"

// All steps of a run that call one kernel.
typedef struct roof_kernel {
  const char *kernel, *label, *file; // of its first step; borrowed from the plan
  uint32_t line;
  uint64_t calls;      // a run
  double flops, bytes; // a run: two operations a multiply-add; what it must read and write at least
  double ms, share;    // a run, the median; of all kernels'
  VEC(double) times_ms;
} roof_kernel;

typedef struct roofline {
  arena *a;
  double peak_gflops, read_gbytes_per_s;
  VEC(roof_kernel *) kernels; // the one that takes longest first
  map *by_symbol;
} roofline;

// Runs the entry `runs` times. NULL after a diagnostic, or where the machine could not be measured.
roofline *roofline_measure(cli *c, compiled_run *r, int64_t runs, double peak_gflops);

double roof_intensity(const roof_kernel *k);                  // operations a byte
double roof_limit(const roofline *f, const roof_kernel *k);   // attainable GFLOP/s at its intensity
double roof_percent(const roofline *f, const roof_kernel *k); // of the limit: the least time that it could take
void roofline_print(const roofline *f);                       // a table on standard output
json_t *roofline_json(cli *c, const roofline *f);

// -- roofline_svg.c --
bool roofline_draw(cli *c, const roofline *f, const char *title, const char *path); // false after a diagnostic

#endif
