// Loads objects into this process, by LLVM's ORC.
//
// Objects see each other and a short list of libm routines, nothing else of the process. Memory of a jit lives until
// jit_free. Errors that ORC reports on the side are kept and become the text of the diagnostic.
#include "codegen/llvm/math.h"
#include "codegen/llvm/object.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct llvm_jit {
  LLVMOrcLLJITRef jit;
  LLVMOrcJITDylibRef code;
  char error[512]; // the first that was reported since the last diagnostic
};

static void keep_error(llvm_jit *j, LLVMErrorRef e) {
  if (e == NULL) return;
  char *text = LLVMGetErrorMessage(e); // consumes e
  if (j->error[0] == '\0') snprintf(j->error, sizeof j->error, "%s", text);
  LLVMDisposeErrorMessage(text);
}

static void on_error(void *user, LLVMErrorRef e) { keep_error(user, e); }

static bool failed(llvm_jit *j, diag_list *l, const char *what) {
  diag_at(l, NO_SPAN, codegen_jit, what, j->error[0] == '\0' ? "no reason given" : j->error);
  j->error[0] = '\0';
  return false;
}

// -- a jit --

static bool define_routines(llvm_jit *j) {
  LLVMOrcCSymbolMapPair pairs[CG_N_ROUTINES];
  for (size_t i = 0; i < CG_N_ROUTINES; i++) {
    const cg_routine *r = &cg_routines[i];
    pairs[i].Name = LLVMOrcLLJITMangleAndIntern(j->jit, r->name);
    pairs[i].Sym.Address = r->of_one != NULL ? (uintptr_t)r->of_one : (uintptr_t)r->of_two;
    pairs[i].Sym.Flags.GenericFlags = LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable;
    pairs[i].Sym.Flags.TargetFlags = 0;
  }
  LLVMOrcMaterializationUnitRef unit = LLVMOrcAbsoluteSymbols(pairs, CG_N_ROUTINES); // owns the names
  LLVMErrorRef e = LLVMOrcJITDylibDefine(j->code, unit);
  if (e != NULL) LLVMOrcDisposeMaterializationUnit(unit);
  keep_error(j, e);
  return e == NULL;
}

bool cg_jit_new(diag_list *l, llvm_jit **out) {
  *out = NULL;
  llvm_jit *j = calloc(1, sizeof *j);
  if (j == NULL) {
    diag_at(l, NO_SPAN, out_of_memory);
    return false;
  }
  cg_register_targets();
  LLVMErrorRef e = LLVMOrcCreateLLJIT(&j->jit, NULL);
  keep_error(j, e);
  if (e == NULL) {
    LLVMOrcExecutionSessionRef es = LLVMOrcLLJITGetExecutionSession(j->jit);
    LLVMOrcExecutionSessionSetErrorReporter(es, on_error, j);
    j->code = LLVMOrcExecutionSessionCreateBareJITDylib(es, "code"); // bare: the process stays out of sight
    if (define_routines(j)) {
      *out = j;
      return true;
    }
  }
  failed(j, l, "cannot start");
  cg_jit_free(j);
  return false;
}

void cg_jit_free(llvm_jit *j) {
  if (j == NULL) return;
  if (j->jit != NULL) keep_error(j, LLVMOrcDisposeLLJIT(j->jit));
  free(j);
}

// -- objects and symbols --

bool cg_jit_add(llvm_jit *j, diag_list *l, str object_bytes) {
  LLVMMemoryBufferRef copy = LLVMCreateMemoryBufferWithMemoryRangeCopy(object_bytes.p, object_bytes.n, "object");
  LLVMErrorRef e = LLVMOrcLLJITAddObjectFile(j->jit, j->code, copy); // takes the buffer
  keep_error(j, e);
  return e == NULL ? true : failed(j, l, "cannot add an object");
}

typedef struct found {
  llvm_jit *j;
  LLVMOrcExecutorAddress address;
} found;

static void on_found(LLVMErrorRef e, LLVMOrcCSymbolMapPairs pairs, size_t n, void *user) {
  found *f = user;
  keep_error(f->j, e);
  if (e == NULL && n == 1) f->address = pairs[0].Sym.Address;
}

void *cg_jit_find(llvm_jit *j, diag_list *l, const char *symbol) {
  LLVMOrcExecutionSessionRef es = LLVMOrcLLJITGetExecutionSession(j->jit);
  // kernels are hidden, in the sense of the object format
  LLVMOrcCJITDylibSearchOrderElement where = {j->code, LLVMOrcJITDylibLookupFlagsMatchAllSymbols};
  LLVMOrcCLookupSetElement what = {LLVMOrcLLJITMangleAndIntern(j->jit, symbol), LLVMOrcSymbolLookupFlagsRequiredSymbol};
  found f = {j, 0};
  LLVMOrcExecutionSessionLookup(es, LLVMOrcLookupKindStatic, &where, 1, &what, 1, on_found, &f); // takes the name
  if (f.address == 0) failed(j, l, symbol);
  return (void *)(uintptr_t)f.address;
}
