// An update of a part that gives the part back where it was.
#ifndef NNC_PASSES_UPDATE_PART_H
#define NNC_PASSES_UPDATE_PART_H

#include "ir/graph.h"

// For an update `n` with operands `in`, the same as one update of the whole, or NULL where it is none:
//   update(x, update(part of x, rows, at), place)  is  update(x, rows, place and at)
ir_value *update_of_part(ir_builder *b, const ir_node *n, ir_value *const *in);

#endif
