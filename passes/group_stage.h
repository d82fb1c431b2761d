// A block of an operand in the scratch of a group of workers.
#ifndef NNC_PASSES_GROUP_STAGE_H
#define NNC_PASSES_GROUP_STAGE_H

#include "passes/schedule.h"

enum { GROUP_QUAD = 4, GROUP_PAD = 4 }; // PAD: columns of scratch that keep transposed stores off one bank

// to[deep - deep_first, own - own_first] = e, of `depth` lines of `width` places, `stride` apart in flat scratch. Lines
// from deep_end on are 0; places from own_end on are nothing that may be used.
typedef struct group_stage {
  lower_group *g;
  const sx *e;
  const sym *own, *deep; // its labels
  const idx *own_first, *own_end, *deep_first, *deep_end;
  uint32_t width, depth; // multiples of GROUP_QUAD
  bool along_deep;       // which of the two lies side by side in memory
  kir_buffer *to;
  int64_t stride;
} group_stage;

// By all workers: quads of neighbours, as many for each as it takes.
void group_stage_block(const group_stage *x, const splice *outer, kir_builder *b, const sym *worker, int64_t workers);

#endif
