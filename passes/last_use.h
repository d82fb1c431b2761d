// Last uses: where in a fused graph a value is seen for the last time. The order of nodes is the order in which they
// run, so that "later" is a number. A use inside the bodies of a loop or a branch counts where the operator stands that
// has them; groups take everything by their operands. Linear in nodes.
#ifndef NNC_PASSES_LAST_USE_H
#define NNC_PASSES_LAST_USE_H

#include "ir/graph.h"

typedef struct last_uses {
  map *last;    // ir_value * -> number of the last node of its own region that reads it; yields come after all nodes
  map *number;  // ir_node * -> its number in its region, from 1
  map *carries; // ir_region * whose parameters hold carried values -> anything: the body of a loop, of a while
} last_uses;

last_uses last_uses_of(arena *a, const ir_region *body);

const ir_region *value_region(const ir_value *v);                             // the region that defines it
bool is_last_use(const last_uses *x, const ir_value *v, const ir_node *n);    // nothing after n reads v
bool is_used_before(const last_uses *x, const ir_value *v, const ir_node *n); // n and what follows do not read v

// Memory that the region may write: what its own operators stored, a carried value, a state in the graph's own body.
bool is_own_memory(const last_uses *x, const ir_value *v, const ir_region *r);

#endif
