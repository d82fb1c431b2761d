// The compile driver: the one place that sees the whole line, front end to runnable module. The public API and the
// command line both call it; the command line also stops it half-way, for `show`, `check` and `verify`.
#ifndef NNC_API_COMPILE_H
#define NNC_API_COMPILE_H

#include "api/cache.h"
#include "api/image.h"
#include "codegen/elf/elf.h"
#include "codegen/llvm/llvm.h"
#include "codegen/opencl/opencl.h"
#include "frontend/frontend.h"
#include "runtime/rt.h"

typedef struct compile_job {
  arena *a; // owns everything below, the module's mapped weights included
  diag_list diags;
  const char *path;
  const str *text; // of the model, when it is not on the disk
  frontend_options front;
  const target *target;
  const char *cpu;          // as asked for, NULL: native
  const char *device;       // "opencl:0"; NULL: the CPU
  struct rt_opencl *opencl; // opened, when the device is one of OpenCL's
  uint32_t device_number;
  bool device_auto;    // nnc chose it
  const char *why_cpu; // it chose the CPU, for this reason; else NULL
  pass_options passes;
  pass_context context;
  pass_report report;
  cache *cache;      // off unless compile_use_cache was called
  ir_module *source; // as elaborated; NULL while the image is from the cache and nothing else was needed
  ir_module *m;      // after the passes (the same module, graphs replaced)
  size_t n_source_files, n_source_messages; // of j->diags, when the front end was done
  sha256_digest sources; // hash of what was asked and of all files that the front end read; with a cache only
  bool weights_bound;
  weight_files weight_files;
  program_set *set;
  const llvm_backend *llvm; // opened when first needed
  void *llvm_library;
  str object; // ELF relocatable of all kernels
  plan_image plan;
  image image;
  bool image_from_cache, prepared_from_cache, program_from_cache;
  const void *block; // of constants in one piece, where they were put together or mapped; else NULL
  double frontend_ms, passes_ms, codegen_ms, prepare_ms;
} compile_job;

// Starts a job: `arena_guard(a)` must be set by the caller; path, text and options borrowed for the job's life. `text`
// NULL: read `path`. cpu NULL = native. false: no such cpu.
bool compile_begin(compile_job *j, arena *a, const char *path, const str *text, const frontend_options *front,
                   const char *cpu);
// How weights lie in memory: "f32" as the model declares them, "bf16", "f16", "q8", "q4"; NULL: as `precision` does
// tensors between kernels: "f32" (NULL), "bf16". false: no such form.
bool compile_set_dtypes(compile_job *j, const char *weights, const char *precision);
// What runs the kernels: "cpu" (NULL), or "opencl", "opencl:N", which is opened, or "auto": a GPU where there is one,
// else the CPU. false after a diagnostic.
bool compile_set_device(compile_job *j, const char *device);
// The caller's cl_context and cl_device_id.
bool compile_set_opencl(compile_job *j, void *context, void *device);
void compile_use_cache(compile_job *j); // for jobs whose passes run as they always do

// Each step needs the ones before; false after diagnostics.
bool compile_frontend(compile_job *j); // weights are not bound yet
bool compile_weights(compile_job *j);  // binds weight data, once; needed by prepare only
bool compile_passes(compile_job *j);
bool compile_lower(compile_job *j);  // kernels and programs
bool compile_object(compile_job *j); // machine code, or the program's text for a device; plan, image
// Opens libnnc-llvm.so (found beside this library, or by the loader's rules). NULL after a diagnostic.
const llvm_backend *compile_open_llvm(compile_job *j);
// The kernels that have bodies: all but the runtime's routines.
kir_kernel **compile_bodies(compile_job *j, size_t *n);
// One object of machine code, each kernel compiled by whichever CPU is free; the largest scratch that any needs.
bool compile_code(compile_job *j, size_t n, kir_kernel *const *kernels, str *object, size_t *scratch_bytes);
// One OpenCL program of all kernels, and (out may be NULL) how each is launched; `lanes` 0: the host runs it.
// left_out[i], where given: not kernel i, whose `lanes` is 0 then.
bool compile_opencl(compile_job *j, const bool *left_out, opencl_kernel **out, strbuf *source);

// Loads machine code into the process (it goes with the arena): a function for each kernel of j->image's plan, or for
// those that are `wanted`. An empty object: routines of the runtime alone.
bool compile_functions(compile_job *j, str object, const bool *wanted, rt_kernel *kernels);

// All of that in one, or j->image from the cache. With `weights`, they are bound before code is made: their mistakes
// are told first.
bool compile_image(compile_job *j, bool weights);

// From an image to a module: load, check, constants. What *out points to lives as long as the arena. `block`: also the
// block of constants as one piece; may be NULL.
bool compile_module(compile_job *j, rt_module *out, const void **block);
#endif
