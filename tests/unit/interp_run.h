// Graphs given as text, run by the interpreter on small tensors.
#ifndef NNC_TESTS_INTERP_RUN_H
#define NNC_TESTS_INTERP_RUN_H

#include "ir/graph.h"
#include "scratch.h"

// A tensor of these values, each converted to the dtype. The number of values is the product of the dims.
ir_tensor *tensor_of(scratch *s, dtype dt, uint32_t rank, const int64_t *dim, const double *values);
ir_tensor *scalar_of(scratch *s, dtype dt, double value);
ir_tensor *vector_of(scratch *s, dtype dt, int64_t n, const double *values);

// Parses and verifies; the test fails if that does not succeed.
ir_module *module_of(scratch *s, const char *text);
// The graph `forward` of a module on these inputs; NULL results and a diagnostic when it fails.
bool run_module(ir_module *m, scratch *s, const ir_tensor *const *in, ir_tensor **out, const interp_options *opt);
// Parses, runs, and gives the first result; NULL after a diagnostic of the run.
ir_tensor *run_text(scratch *s, const char *text, size_t n, const ir_tensor *const *in);

// The tensor has exactly these dims and, as doubles, these elements.
void expect_tensor(const ir_tensor *t, dtype dt, uint32_t rank, const int64_t *dim, const double *values);
void expect_vector(const ir_tensor *t, dtype dt, int64_t n, const double *values);

#define VALUES(...)  ((const double[]){__VA_ARGS__})
#define DIMS(...)    ((const int64_t[]){__VA_ARGS__})
#define TENSORS(...) ((const ir_tensor *const[]){__VA_ARGS__})

#endif
