// interp: images [n, c, h, w] read at places [n, oh, ow, 2] of (y, x) in pixels, as operators that have kernels.
#ifndef NNC_PASSES_RESAMPLE_H
#define NNC_PASSES_RESAMPLE_H

#include "ir/graph.h"

// The result of the interp `n` with operands `x` and `at`. NULL after a diagnostic.
ir_value *resample(ir_builder *b, const ir_node *n, ir_value *x, ir_value *at);

#endif
