// The compile driver: the one place that sees the whole line, front end to runnable module. The public API and the
// command line both call it; the command line also stops it half-way, for `show`, `check` and `verify`.
#ifndef NNC_API_COMPILE_H
#define NNC_API_COMPILE_H

#include "codegen/llvm/llvm.h"
#include "codegen/plan/plan_write.h"
#include "frontend/frontend.h"
#include "runtime/rt.h"

typedef struct compile_job {
  arena *a; // owns everything below, the module's mapped weights included
  diag_list diags;
  const char *path;
  frontend_options front;
  const target *target;
  pass_options passes;
  pass_context context;
  pass_report report;
  ir_module *source; // as elaborated
  ir_module *m;      // after the passes (the same module, graphs replaced)
  program_set *set;
  const llvm_backend *llvm; // opened when first needed
  void *llvm_library;
  llvm_object object;
  plan_image plan;
  double frontend_ms, passes_ms, codegen_ms, prepare_ms;
} compile_job;

// Starts a job: `arena_guard(a)` must be set by the caller; options borrowed for the job's life. cpu NULL = native.
// false: no such cpu.
bool compile_begin(compile_job *j, arena *a, const char *path, const frontend_options *front, const char *cpu);

// Each step needs the ones before; false after diagnostics.
bool compile_frontend(compile_job *j, const str *text); // text NULL: read j->path. Weights are not bound yet
bool compile_weights(compile_job *j);                   // binds weight data; needed by prepare only
bool compile_passes(compile_job *j);
bool compile_lower(compile_job *j);  // kernels and programs
bool compile_object(compile_job *j); // machine code and plan
// Opens libnnc-llvm.so (found beside this library, or by the loader's rules). NULL after a diagnostic.
const llvm_backend *compile_open_llvm(compile_job *j);

// Loads j->object into the process: a jit (released with the arena) and one function a kernel.
bool compile_load(compile_job *j, rt_kernel **kernels);

// The last steps in one: object, load, prepare. What *out points to lives as long as the arena.
bool compile_module(compile_job *j, rt_module *out);
#endif
