// What a step computes and moves, as sizes over the module's dims: for profiles, `nnc show` and `nnc bench`.
#ifndef NNC_CODEGEN_PLAN_WORK_H
#define NNC_CODEGEN_PLAN_WORK_H

#include "passes/program.h"

typedef struct plan_work {
  const idx *macs;         // multiply-adds of its contractions, as the graph is written
  const idx *const *bytes; // [n_buffers]: of each operand, at least: what must be read, and written, once
} plan_work;

plan_work plan_work_of(arena *a, const program_set *set, const program *p, const prog_step *s);

#endif
