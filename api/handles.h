// The inside of the public handles.
#ifndef NNC_API_HANDLES_H
#define NNC_API_HANDLES_H

#include "api/compile.h"
#include "nnc/nnc.h"

struct nnc_module {
  arena *a; // owns the module, and the job of a compiled one
  rt_module rt;
  nnc_module_stats stats;
  compile_job *job;         // NULL for a loaded library; without graphs when it came from the cache
  nnc_tensor_info *tensors; // [plan tensors]: the plan's, with shapes as text
  nnc_dim_info *dims;       // [plan dims]
};

nnc_diagnostics *diagnostics_detach(const diag_list *l); // NULL when out of memory
// Calls `sink` for each message that diag_flush hands on.
void diagnostics_bridge(arena *a, diag_list *l, void (*sink)(void *user, const nnc_diagnostic *d), void *user);

// Fills m->tensors and m->dims from the plan.
void module_describe(nnc_module *m);
// An expression of a plan as infix text, such as `2*batch+1`.
const char *plan_expr_text(arena *a, const rt_plan *p, uint32_t expr);
// Finds entry `e`'s program; NULL out of range.
const rt_program *module_program(const nnc_module *m, size_t e);

// Opens a library that aot_write wrote, into `m`; on the job's device; `weights`: where its file of weights is, NULL:
// beside it. false after diagnostics.
bool library_load(nnc_module *m, compile_job *j, const char *path, const char *weights);

// Writes library and header of an image, for an OpenCL device if its kernels are of one; its block of constants goes
// into the library or into a third file.
typedef enum aot_weights { AOT_weights_embed, AOT_weights_file } aot_weights;
#define AOT_MOST_EMBEDDED (UINT64_C(1) << 30)
bool aot_write(arena *a, diag_list *l, const image *m, bool on_device, const void *block, aot_weights where,
               const char *library_path);

#endif
