// Channels-last layout: what windows.c makes of convolutions and pools has channels last in memory, and transpositions
// back to the order of the graph behind it. They sink below the operators that follow, as far as those do not mind the
// order of axes, and meet the transposition before the next convolution, where both vanish.
//
// An *image* is a value made so: transpose(u, perm) with u in memory as it shall be.
#ifndef NNC_PASSES_LAYOUT_H
#define NNC_PASSES_LAYOUT_H

#include "passes/axis_map.h"

typedef struct layout {
  ir_module *m;
  map *images; // ir_value * of the new graph -> anything
  map *fixed;  // see fixed.h
} layout;

// The value whose axis i is axis perm[i] of v; transpositions of transpositions become one, or none.
ir_value *layout_permute(ir_builder *b, ir_value *v, const int64_t *perm);
// The same, noted as an image.
ir_value *layout_image(layout *l, ir_builder *b, ir_value *u, const int64_t *perm);
// Builds `n` over images in the order of their memory, and puts the image of its result into `values`. false: no
// operand is an image, or the operator minds.
bool layout_sink(layout *l, ir_builder *b, const ir_node *n, ir_value *const *in, map *values);

#endif
