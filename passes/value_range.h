// What is certain of the elements of an i32 value, whatever the inputs are.
#ifndef NNC_PASSES_VALUE_RANGE_H
#define NNC_PASSES_VALUE_RANGE_H

#include "ir/graph.h"

// A group node, seen from inside of its region, and the one around it (NULL: none): behind a parameter of the region
// stands the node's operand.
typedef struct value_scope {
  const ir_node *group;
  const struct value_scope *outer;
} value_scope;

// Does every element lie in 0..last?
bool value_is_inside(ir_module *m, const ir_value *v, const value_scope *in, const idx *last);

#endif
