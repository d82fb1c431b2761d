// `--pin CPUS`: which CPU each thread of a run is bound to.
#ifndef NNC_TOOLS_PIN_H
#define NNC_TOOLS_PIN_H

#include "tools/nnc/cli.h"

typedef struct cpu_list {
  unsigned *at;
  size_t n; // 0: no thread is bound
} cpu_list;

// Reads `--pin` and binds the calling thread, which is thread 0, to the first CPU. Without `--threads` there are then
// as many as CPUs are named. false after a diagnostic.
bool pin_threads(cli *c, cpu_list *out);

#endif
