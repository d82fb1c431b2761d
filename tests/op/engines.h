// The engines that must agree on a graph: the graph interpreter, the kernel interpreter (passes, schedules and lowering
// included), and machine code.
#ifndef NNC_TESTS_OP_ENGINES_H
#define NNC_TESTS_OP_ENGINES_H

#include "api/compile.h"

typedef struct engines {
  compile_job job;  // job.m: the module under test, as it was given
  ir_module *plain; // parsed again from text: stays unfused, for the interpreter
  rt_module module;
} engines;

// Prints `m`, parses two copies in `a` (weights keep their data), compiles one for `cpu` (NULL = native). The
// kernels of a level that this machine lacks become code for the baseline; those of a target whose kernels have several
// workers are for the kernel interpreter and for devices alone. false: job.diags says why.
bool engines_open(engines *e, arena *a, ir_module *m, const char *cpu);

// Runs entry 0 on three engines. Inputs in parameter order; outputs are allocated in `a`.
bool engines_interpret(engines *e, arena *a, const ir_tensor *const *in, ir_tensor **out);
bool engines_run_kernels(engines *e, arena *a, const ir_tensor *const *in, ir_tensor **out);
// The same as engines_run_kernels, with something else to run a kernel's whole grid on host memory; false after a
// message in job.diags.
typedef bool (*engines_kernel)(void *user, engines *e, arena *a, kir_kernel *k, void *const *buffers,
                               const int64_t *symbols, int64_t *fault);
bool engines_run_kernels_by(engines *e, arena *a, engines_kernel run, void *user, const ir_tensor *const *in,
                            ir_tensor **out);
bool engines_run_jit(engines *e, arena *a, const ir_tensor *const *in, ir_tensor **out, unsigned threads);

// Steps of entry 0 whose kernel's text holds `text`, each kernel as often as it runs.
uint32_t engines_count(const compile_job *j, const char *text);
// The largest error of an f32 tensor, of the largest magnitude wanted.
double engines_error(const ir_tensor *want, const ir_tensor *got);

// All messages of the job, for assertions.
const char *engines_messages(engines *e);

#endif
