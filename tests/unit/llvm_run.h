// What the tests of the LLVM back end share: kernels from text, compiled for a CPU level, loaded and run; and messages
// as text.
#ifndef NNC_TESTS_UNIT_LLVM_RUN_H
#define NNC_TESTS_UNIT_LLVM_RUN_H

#include "codegen/llvm/llvm.h"
#include "support/kernel_judge.h"

typedef struct llvm_run {
  arena *a;
  diag_list l;
  const llvm_backend *llvm;
} llvm_run;

int llvm_setup(void **state); // *state = llvm_run
int llvm_teardown(void **state);

enum { LLVM_N_LEVELS = 3 };
extern const char *const llvm_levels[LLVM_N_LEVELS]; // "x86-64", …
bool llvm_runnable(const char *level);               // by this machine

const char *llvm_messages(llvm_run *f);
kir_kernel *llvm_parse(llvm_run *f, const char *text);       // parsed and verified; fails the test on a diagnostic
kir_kernel *llvm_kernel_file(llvm_run *f, const char *name); // tests/ir/kernels/<name>.kir

typedef struct llvm_code {
  kir_kernel *k;
  const char *level;
  kernel_fn fn;
  void *scratch;
} llvm_code;

llvm_code llvm_load(llvm_run *f, const char *level,
                    kir_kernel *k); // compiles and loads; fails the test on a diagnostic
llvm_code llvm_load_for(llvm_run *f, const target *t, kir_kernel *k);
// Runs the whole grid in one call; returns the fault word.
int64_t llvm_call(llvm_code c, void *const *buffers, const int64_t *symbols);
// Grid extents and their product.
int64_t llvm_points(const kir_kernel *k, const int64_t *symbols, int64_t grid[3]);

// The kernel as machine code, its memory fenced, by kernel_judge; fails the test where it differs.
void llvm_agree(llvm_run *f, llvm_code c, const int64_t *symbols, double tolerance);

// A kernel's text, in which DT stands for a dtype and ELSE for 1 of it, to be run for n = lo, lo + step, … hi at every
// level.
typedef struct llvm_sweep {
  const char *text;
  int64_t lo, hi, step;
} llvm_sweep;
#define LLVM_N_OF(a) (sizeof(a) / sizeof *(a))
void llvm_sweep_one(llvm_run *f, const llvm_sweep *s, const char *dt, double tolerance);
void llvm_sweeps(llvm_run *f, const llvm_sweep *s, size_t n, double tolerance); // each with f32
void llvm_sweep_dtypes(llvm_run *f, const llvm_sweep *s);                       // with each dtype, exactly

extern const char llvm_add_one[];                              // the text of a kernel that adds 1 to x f32[n] into y
str llvm_bytes(llvm_run *f, const char *level, kir_kernel *k); // its object, or the test fails with the messages
bool llvm_reported(llvm_run *f, diag_id id, const char *part); // as the last message

// `bytes` of memory whose end is followed by a page that faults, and whose page before the first byte faults; freed
// with the arena.
void *llvm_fenced(llvm_run *f, size_t bytes);

#endif
