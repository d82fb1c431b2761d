// What passes that change the form of weights share (weights.c, quantize.c).
#ifndef NNC_PASSES_WEIGHTS_H
#define NNC_PASSES_WEIGHTS_H

#include "ir/graph.h"

// The weight that a value shows, moved or not, an f32 one of at least two axes; NULL: none, or a vector.
ir_value *weights_behind(ir_value *v);
// The axis of an operand that a label stands on alone, where it occurs nowhere else in it; -1: none.
int weights_lone_axis(const ir_map *m, uint32_t operand, uint32_t label);

#endif
