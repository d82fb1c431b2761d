// The inside of the public handles.
#ifndef NNC_API_HANDLES_H
#define NNC_API_HANDLES_H

#include "api/compile.h"
#include "nnc/nnc.h"

struct nnc_module {
  arena *a; // owns the module, and the job of a compiled one
  rt_module rt;
  nnc_module_stats stats;
  compile_job *job;         // NULL for a loaded library
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

// Opens a library that aot_write wrote, into `m`; false after diagnostics.
bool library_load(nnc_module *m, diag_list *l, const char *path);

// Writes library and header of a compiled module; constants[i] is where its i-th constant lies (rt_module.constants).
bool aot_write(compile_job *j, const void *const *constants, const char *library_path);

#endif
