// Values that are made of weights and constants alone, and therefore computed once.
#ifndef NNC_PASSES_FIXED_H
#define NNC_PASSES_FIXED_H

#include "ir/graph.h"

// `known` (ir_value * -> anything) keeps what was found out, so that each node is asked once.
bool value_is_fixed(map *known, const ir_value *v);

#endif
