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

// Adds a kernel to *m, which is all zero before the first. What emission allocates lives in `scratch`, whose guard must
// be set. false after diagnostics.
bool module_add(llvm_module *m, arena *scratch, diag_list *l, const target *t, LLVMTargetMachineRef machine,
                kir_kernel *k, size_t *scratch_bytes);

bool module_check(llvm_module *m,
                  diag_list *l); // LLVM's verifier, where checks are compiled in; false after a diagnostic

// Object or assembly in m->result; no arena is touched, so any thread may call it. false: m->message or m->error.
bool module_generate(llvm_module *m, LLVMTargetMachineRef machine, LLVMCodeGenFileType kind);

void module_release(llvm_module *m);                                  // all of it; again is fine
bool module_failed(diag_list *l, const char *what, const char *text); // reports; false

#endif
