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

enum { NNC_LLVM_ABI = 4 };

typedef void (*kernel_fn)(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
                          void *scratch, int64_t *fault);

typedef struct llvm_objects {  // in the arena passed in
  size_t n_objects;            // at least one, unless there are no kernels
  const str *object;           // [n_objects]: ELF relocatables, each with the kernels that follow those of the last
  const size_t *scratch_bytes; // of each kernel given
} llvm_objects;

// Threads of the caller: `run` calls fn(user, begin, end, worker) until every item of [0, n_items) is done once, on up
// to n_threads threads at a time, worker < n_threads telling them apart.
typedef struct llvm_threads {
  void (*run)(void *pool, int64_t n_items, int64_t chunk,
              void (*fn)(void *user, int64_t begin, int64_t end, unsigned worker), void *user);
  void *pool;
  unsigned n_threads;
} llvm_threads;

typedef struct llvm_backend {
  uint32_t abi;        // NNC_LLVM_ABI
  const char *version; // "19.1.7"
  // Compiles kernels (verified; distinct names) for `t`; their symbols are hidden. Which share an object is
  // decided by their size, so the bytes do not depend on threads (NULL: the calling thread alone). false after
  // diagnostics.
  bool (*compile)(arena *a, diag_list *l, const target *t, const llvm_threads *threads, size_t n,
                  kir_kernel *const *kernels, llvm_objects *out);
  // Text of the same kernels, in one module: LLVM IR (assembly false) or target assembly (true).
  bool (*dump)(arena *a, diag_list *l, const target *t, size_t n, kir_kernel *const *kernels, bool assembly,
               strbuf *out);
} llvm_backend;

// The one exported symbol of libnnc-llvm.so.
const llvm_backend *nnc_llvm_backend(void);

#endif
