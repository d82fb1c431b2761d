// What the back end's table is made of besides compiling: the JIT and model objects. See llvm.h for their contracts.
#ifndef NNC_CODEGEN_LLVM_OBJECT_H
#define NNC_CODEGEN_LLVM_OBJECT_H

#include "codegen/llvm/llvm.h"

void cg_register_targets(void); // once a process; any thread, any number of times

bool cg_jit_new(diag_list *l, llvm_jit **out);
bool cg_jit_add(llvm_jit *j, diag_list *l, str object_bytes);
void *cg_jit_find(llvm_jit *j, diag_list *l, const char *symbol);
void cg_jit_free(llvm_jit *j);

bool cg_model_object(arena *a, diag_list *l, const target *t, uint64_t magic, uint64_t abi, size_t n_kernels,
                     const char *const *kernels, str plan, str constants, llvm_object *out);

#endif
