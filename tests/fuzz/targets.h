// What is fed with arbitrary bytes: one function an input format, shared by the libFuzzer programs (fuzz_main.c) and by
// the tests (test_corpus.c). Each ends soon, leaks nothing, and aborts when a promise of the code under test is broken.
#ifndef NNC_TESTS_FUZZ_TARGETS_H
#define NNC_TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

// T(name, what the bytes are)
#define FUZZ_TARGETS                                                                                                   \
  T(syntax, "a YAML model: parsed")                                                                                    \
  T(model, "a YAML model: parsed, elaborated, verified, printed and read back")                                        \
  T(config, "a config.json, laid over a model")                                                                        \
  T(expr, "an expression of the language")                                                                             \
  T(graph, "graph IR: parsed, verified, printed and read back")                                                        \
  T(passes, "graph IR: through all passes, lowering and the plan")                                                     \
  T(kernel, "kernel IR: parsed, verified, printed, read back, and run where it is small")                              \
  T(safetensors, "a safetensors file")                                                                                 \
  T(npy, "a .npy file")                                                                                                \
  T(npz, "a .npz file")                                                                                                \
  T(png, "a PNG file")                                                                                                 \
  T(plan, "a plan blob: checked, and run on kernels that do nothing")

#define T(name, what) int fuzz_##name(const uint8_t *data, size_t size); // returns 0
FUZZ_TARGETS
#undef T

#endif
