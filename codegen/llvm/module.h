// One LLVM module with all that LLVM keeps for it: a context, so that modules are independent of each other, and what
// must be released in the end. It may move from one thread to another between calls.
#ifndef NNC_CODEGEN_LLVM_MODULE_H
#define NNC_CODEGEN_LLVM_MODULE_H

#include "codegen/llvm/llvm.h"

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

typedef struct llvm_module {
  LLVMContextRef ctx;
  LLVMModuleRef mod;
  LLVMBuilderRef b, hoist;
  LLVMMemoryBufferRef result; // of module_generate
  char *message;              // of LLVM
  char error[512];            // the first error that LLVM reported to the context
} llvm_module;

// A machine that generates code; used by one thread at a time. NULL: *why (of LLVM, to be disposed of) says why.
LLVMTargetMachineRef module_machine(const target *t, char **why);

// Fills *m with these kernels. What emission allocates lives in `scratch`, whose guard must be set. false after
// diagnostics.
bool module_emit(llvm_module *m, arena *scratch, diag_list *l, const target *t, LLVMTargetMachineRef machine, size_t n,
                 kir_kernel *const *kernels, size_t *scratch_bytes);

// Object or assembly in m->result; no arena is touched, so any thread may call it. false: m->message or m->error.
bool module_generate(llvm_module *m, LLVMTargetMachineRef machine, LLVMCodeGenFileType kind);

void module_release(llvm_module *m);                                  // all of it; again is fine
bool module_failed(diag_list *l, const char *what, const char *text); // reports; false

#endif
