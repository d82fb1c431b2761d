// Models on an OpenCL device beside the same on the CPU, for the tests of this folder. They need a device (Debian:
// pocl-opencl-icd) and are skipped without one, unless NNC_NEEDS_OPENCL is set: then they fail.
#ifndef NNC_TESTS_DEVICE_CASE_H
#define NNC_TESTS_DEVICE_CASE_H

#include "nnc/nnc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

void needs_device(void); // first in each test

// A model by path, or from text (path NULL); device NULL: the CPU. Fails the test with its messages.
nnc_module *open_on(const char *device, const char *path, const char *text, const nnc_compile_options *options);

// Runs an entry on both as many times, each call with new inputs (f32 in -1..1, integers in 0..below-1; `dims` is
// "seq=5 batch=2", others as low as they go), each with the state that the one before left, and compares every output.
void compare_with_cpu(const nnc_module *device, const nnc_module *cpu, const char *entry, const char *dims, int calls,
                      int32_t below);

// The largest |got - want| over the largest |want|; infinite where one is NaN.
double error_of(const float *got, const float *want, size_t n);

// What f32 on a device may differ by: sums in another order, and the driver's own exp, tanh and the like.
#define DEVICE_BOUND 5e-5

#endif
