// From lowered programs to the plan blob (runtime/plan.h), and the layout of the constants block.
#ifndef NNC_CODEGEN_PLAN_WRITE_H
#define NNC_CODEGEN_PLAN_WRITE_H

#include "passes/program.h"

typedef struct plan_image {
  str blob;                 // the plan, in the arena, 8-byte aligned
  uint64_t constants_bytes; // of the constants block that entries read, a multiple of 4096
  uint64_t prepare_bytes; // of the block while `prepare` runs: what only its own steps read comes after constants_bytes
  const uint64_t *constant_offset; // [constants]: place of each in the block, 64-byte aligned
  const uint64_t *constant_bytes;  // [constants]
  const bool *constant_used;       // [constants]: does an entry read it?
} plan_image;

// `scratch_bytes`: the largest scratch any kernel needs. false after diagnostics (a size that overflows).
bool plan_write(arena *a, diag_list *l, const program_set *set, uint32_t scratch_bytes, plan_image *out);

#endif
