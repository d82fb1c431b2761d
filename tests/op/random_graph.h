// Random legal graphs, for comparing engines. A graph is a function of its seed alone; what its inputs hold is said by
// the first letter of their names, so that the text of a graph is enough to run it again:
//
//   u… ordinary floats in [-2, 2]      p… positive floats in [0.5, 4]     c… multiples of 1/4 in [-4, 4]: exact, with
//   ties n… zeros of both signs, infinities, NaN, small and large numbers      i… small integers       j… integers of
//   any size b… bool                            gN_… indices in 0..N-1
//
// Values that every engine must have bit for bit ("crisp": integers, bools, and floats that no operator has rounded)
// are told from others: only they are compared, floored, or searched for their maximum's place, so that no rounding can
// flip a discrete result.
#ifndef NNC_TESTS_OP_RANDOM_GRAPH_H
#define NNC_TESTS_OP_RANDOM_GRAPH_H

#include "ir/graph.h"
#include "support/random.h"

// A module of one graph; NULL after a diagnostic, which is a defect of the generator.
ir_module *random_graph(arena *a, diag_list *l, uint64_t seed);

// -- data --
void random_fill(ir_tensor *t, const char *name, uint64_t *state);
// Gives every weight of the module data.
void random_weights(arena *a, ir_module *m, uint64_t seed);
// Values for the dims: `round` 0 gives small ones, 1 the largest, others anything in range.
void random_dims(const ir_module *m, uint64_t seed, uint32_t round, int64_t *value);
// The value of an expression over the module's dims; -1 when it has none.
int64_t random_eval(const ir_module *m, const int64_t *dims, const idx *e);
// Inputs of graph 0 for these dims.
const ir_tensor **random_inputs(arena *a, const ir_module *m, const int64_t *dims, uint64_t seed);

#endif
