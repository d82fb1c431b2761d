// Makes a failing graph smaller while it still fails: fewer outputs, nodes replaced by inputs or operands, smaller
// numbers.
#ifndef NNC_TESTS_OP_SHRINK_H
#define NNC_TESTS_OP_SHRINK_H

#include "ir/graph.h"

// `fails` tells whether a module's text still shows the failure; it is called at most `budget` times. Returns the
// smallest text found, in `a`.
const char *shrink_graph(arena *a, const char *text, bool (*fails)(void *user, const char *text), void *user,
                         uint32_t budget);

#endif
