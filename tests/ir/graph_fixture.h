// A module with two dims and one graph, and a builder on it, for tests of the graph IR.
#ifndef NNC_TESTS_GRAPH_FIXTURE_H
#define NNC_TESTS_GRAPH_FIXTURE_H

#include "ir/graph.h"

typedef struct graph_fixture {
  arena *a;
  diag_list l;
  ir_module *m;
  ir_dim *batch, *seq; // 1..64, 1..512
  ir_graph *g;
  ir_builder b;
} graph_fixture;

// cmocka set-up and tear-down; *state is the fixture.
int graph_setup(void **state);
int graph_teardown(void **state);

ir_value *graph_input(graph_fixture *f, const char *name, dtype dt, const char *dims); // dims "batch,seq,768"
const idx *graph_dim(graph_fixture *f, const char *text);
uint32_t graph_dims(graph_fixture *f, const char *dims, const idx **out); // returns the rank
const char *graph_text(graph_fixture *f);                                 // of the graph, without spans
const char *graph_messages(graph_fixture *f);                             // all diagnostics, rendered

#endif
