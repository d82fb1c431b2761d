// Kernels against the kernel interpreter, whatever runs them: kernels of tests/ir/kernels, sizes, memory, comparison.
#ifndef NNC_TESTS_SUPPORT_KERNEL_JUDGE_H
#define NNC_TESTS_SUPPORT_KERNEL_JUDGE_H

#include "ir/kir.h"

const char *messages_of(arena *a, const diag_list *l); // as text

// tests/ir/kernels/NAME.kir, verified, with or without the barriers that several workers need; NULL after diagnostics.
kir_kernel *kernel_file(arena *a, diag_list *l, const char *name, bool barriers);

// An expression over the kernel's facts, whose values are `symbols`; 0 where it has none.
int64_t kernel_eval(const kir_kernel *k, const int64_t *symbols, const idx *e);
size_t kernel_elements(const kir_kernel *k, const int64_t *symbols, const kir_buffer *b);

// What runs a kernel.
typedef struct kernel_engine {
  void *user;
  void *(*memory)(void *user, size_t bytes); // for a parameter; NULL: any
  // The whole grid on buffers[i], parameter i's memory. NULL, or what went wrong.
  const char *(*run)(void *user, const kir_kernel *k, void *const *buffers, const int64_t *symbols, int64_t *fault);
} kernel_engine;

// Runs the kernel by the engine and by the interpreter on the same random memory (floats in [-1, 1), integers in
// -2..11). All parameters, and whether a fault was recorded, must agree: floats to `tolerance`, relative to the largest
// of the parameter. NULL, or what differs.
const char *kernel_judge(arena *a, const kir_kernel *k, const int64_t *symbols, double tolerance,
                         const kernel_engine *e);

// Kernels of tests/ir/kernels for one worker, and sizes that leave ragged ends.
typedef struct kernel_example {
  const char *name;
  int64_t symbols[4];
  double tolerance; // order of summation and fused steps differ
} kernel_example;
extern const kernel_example kernel_examples[];
extern const size_t n_kernel_examples;

#endif
