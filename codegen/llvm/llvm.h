// LLVM back end: kernel IR -> LLVM IR -> object code, through the LLVM-C API only. Lives in libnnc-llvm.so, which
// libnnc opens by dlopen when something must be compiled; this header is the whole interface (one function table,
// fetched by name).
//
// Kernel ABI (C calling convention):
//   void NAME(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end, void
//   *scratch, int64_t *fault)
// runs grid points begin <= g < end of the linearised grid (row-major over grid[0..n_grid-1], last fastest).
// buffers[i]: parameter i, 64-byte aligned or not (element alignment is assumed only); symbols[i]: value of fact i;
// scratch: 64-byte aligned group scratch of one worker of at least the object's scratch_bytes, contents undefined;
// *fault receives site+1 when a fault is recorded. Re-entrant.
#ifndef NNC_CODEGEN_LLVM_H
#define NNC_CODEGEN_LLVM_H

#include "ir/kir.h"
#include "ir/target.h"

enum { NNC_LLVM_ABI = 2 };

typedef void (*kernel_fn)(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
                          void *scratch, int64_t *fault);

typedef struct llvm_object { // in the arena passed in
  str bytes;                 // ELF relocatable
  size_t n_kernels;
  const size_t *scratch_bytes; // [n_kernels], in order of the kernels given
} llvm_object;

typedef struct llvm_backend {
  uint32_t abi;        // NNC_LLVM_ABI
  const char *version; // "19.1.7"
  // Compiles kernels (verified; distinct names) into one object for `t`. `hidden`: symbols get hidden visibility. false
  // after diagnostics.
  bool (*compile)(arena *a, diag_list *l, const target *t, size_t n, kir_kernel *const *kernels, llvm_object *out);
  // Text of the same module: LLVM IR (assembly false) or target assembly (true).
  bool (*dump)(arena *a, diag_list *l, const target *t, size_t n, kir_kernel *const *kernels, bool assembly,
               strbuf *out);
} llvm_backend;

// The one exported symbol of libnnc-llvm.so.
const llvm_backend *nnc_llvm_backend(void);

#endif
