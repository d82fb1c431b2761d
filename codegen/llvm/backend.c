// The back end's entry points: kernels to objects, on several threads, or to text.
//
// Kernels fill modules, each in an LLVM context of its own; small ones share one, since LLVM takes as long to set up
// its passes for a module as to run them over a hundred instructions. All are filled by the calling thread (kernels
// share an arena, and filling is a tenth of the work); then threads take them one by one, the largest first, and make
// code. Everything of LLVM is released before a call returns, and also when the arena unwinds: the job is on the
// arena's cleanup list before anything foreign is made. No arena is touched inside LLVM's frames (its callbacks copy
// into fixed buffers) or outside the calling thread, so no jump ever crosses either.
#include "codegen/llvm/cg.h"
#include "codegen/llvm/module.h"

#include <llvm/Config/llvm-config.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ENOUGH = 500 }; // instructions of a module that takes no more kernels

typedef struct unit {
  llvm_module m;
  size_t n_instructions;
  bool ok;
} unit;

typedef struct job {
  arena *scratch; // what emission allocates
  const target *t;
  size_t n_units;
  unit *units;
  unit **largest_first;
  unsigned n_machines;
  LLVMTargetMachineRef *machines; // of each worker, made when it first needs one
  char *message;                  // of LLVM
} job;

static void release(void *p) {
  job *j = p;
  for (size_t i = 0; i < j->n_units; i++) module_release(&j->units[i].m);
  for (unsigned i = 0; i < j->n_machines; i++)
    if (j->machines[i] != NULL) LLVMDisposeTargetMachine(j->machines[i]);
  if (j->message != NULL) LLVMDisposeMessage(j->message);
  arena_free(j->scratch);
  memset(j, 0, sizeof *j);
}

// With one machine, the calling thread's. NULL after a diagnostic.
static job *open_job(arena *a, diag_list *l, const target *t, size_t most_units, unsigned n_machines) {
  job *j = ARENA_NEW(a, job);
  j->t = t;
  j->units = ARENA_ARRAY(a, unit, most_units + 1);
  j->largest_first = ARENA_ARRAY(a, unit *, most_units + 1);
  j->machines = ARENA_ARRAY(a, LLVMTargetMachineRef, n_machines);
  arena_defer(a, release, j);
  j->n_machines = n_machines;
  j->scratch = arena_new(arena_source(a));
  j->machines[0] = module_machine(t, &j->message);
  if (j->scratch != NULL && j->machines[0] != NULL) return j;
  if (j->scratch == NULL) diag_at(l, NO_SPAN, out_of_memory);
  else module_failed(l, "target machine", j->message);
  release(j);
  return NULL;
}

static size_t count_instructions(LLVMValueRef f) {
  size_t n = 0;
  for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(f); b; b = LLVMGetNextBasicBlock(b))
    for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i)) n++;
  return n;
}

// Emits kernels into units of `enough` instructions.
static bool emit(job *j, diag_list *l, size_t enough, size_t n, kir_kernel *const *kernels, size_t *scratch_bytes) {
  if (setjmp(*arena_guard(j->scratch)) != 0) {
    diag_at(l, NO_SPAN, out_of_memory);
    return false;
  }
  for (size_t i = 0; i < n; i++) {
    if (j->n_units == 0 || j->units[j->n_units - 1].n_instructions >= enough) j->n_units++;
    unit *u = &j->units[j->n_units - 1];
    if (!module_add(&u->m, j->scratch, l, j->t, j->machines[0], kernels[i], &scratch_bytes[i])) return false;
    u->n_instructions += count_instructions(LLVMGetNamedFunction(u->m.mod, kernels[i]->name));
  }
  for (size_t i = 0; i < j->n_units; i++)
    if (!module_check(&j->units[i].m, l)) return false;
  return true;
}

// -- threads --

static int by_size(const void *x, const void *y) {
  size_t a = (*(unit *const *)x)->n_instructions, b = (*(unit *const *)y)->n_instructions;
  return a > b ? -1 : a < b;
}

static void generate_some(void *user, int64_t begin, int64_t end, unsigned worker) {
  job *j = user;
  char *why = NULL;
  if (j->machines[worker] == NULL) j->machines[worker] = module_machine(j->t, &why);
  if (why != NULL) LLVMDisposeMessage(why); // the first machine could be made: so can this one
  for (int64_t i = begin; i < end; i++) {
    unit *u = j->largest_first[i];
    u->ok = j->machines[worker] != NULL && module_generate(&u->m, j->machines[worker], LLVMObjectFile);
  }
}

static bool generate_all(job *j, diag_list *l, const llvm_threads *threads) {
  for (size_t i = 0; i < j->n_units; i++) j->largest_first[i] = &j->units[i];
  qsort(j->largest_first, j->n_units, sizeof(unit *), by_size);
  if (threads != NULL) threads->run(threads->pool, (int64_t)j->n_units, 1, generate_some, j);
  else generate_some(j, 0, (int64_t)j->n_units, 0);
  for (size_t i = 0; i < j->n_units; i++) {
    const llvm_module *m = &j->units[i].m;
    if (!j->units[i].ok) return module_failed(l, "code generation", m->error[0] ? m->error : m->message);
  }
  return true;
}

static const str *take_objects(arena *a, const job *j) {
  str *objects = ARENA_ARRAY(a, str, j->n_units);
  for (size_t i = 0; i < j->n_units; i++) {
    LLVMMemoryBufferRef b = j->units[i].m.result;
    size_t size = LLVMGetBufferSize(b);
    objects[i] = (str){arena_copy(a, LLVMGetBufferStart(b), size), size};
  }
  return objects;
}

static bool backend_compile(arena *a, diag_list *l, const target *t, const llvm_threads *threads, size_t n,
                            kir_kernel *const *kernels, llvm_objects *out) {
  size_t *scratch_bytes = ARENA_ARRAY(a, size_t, n);
  job *j = open_job(a, l, t, n, threads == NULL ? 1 : threads->n_threads);
  bool ok = j != NULL && emit(j, l, ENOUGH, n, kernels, scratch_bytes) && generate_all(j, l, threads);
  if (ok) *out = (llvm_objects){j->n_units, take_objects(a, j), scratch_bytes};
  if (j != NULL) release(j);
  return ok;
}

// -- text --

static bool backend_dump(arena *a, diag_list *l, const target *t, size_t n, kir_kernel *const *kernels, bool assembly,
                         strbuf *out) {
  size_t *scratch_bytes = ARENA_ARRAY(a, size_t, n);
  job *j = open_job(a, l, t, 1, 1);
  if (j == NULL) return false;
  llvm_module *m = &j->units[0].m;
  bool ok = emit(j, l, SIZE_MAX, n, kernels, scratch_bytes);
  if (ok && assembly) {
    ok = module_generate(m, j->machines[0], LLVMAssemblyFile);
    if (ok) sb_bytes(out, LLVMGetBufferStart(m->result), LLVMGetBufferSize(m->result));
    else module_failed(l, "code generation", m->error[0] ? m->error : m->message);
  } else if (ok) {
    m->message = LLVMPrintModuleToString(m->mod);
    sb_z(out, m->message);
  }
  release(j);
  return ok;
}

__attribute__((visibility("default"))) const llvm_backend *nnc_llvm_backend(void) {
  static const llvm_backend table = {
      .abi = NNC_LLVM_ABI, .version = LLVM_VERSION_STRING, .compile = backend_compile, .dump = backend_dump};
  return &table;
}
