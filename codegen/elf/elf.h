// ELF files, read and written directly: objects of kernels put into this process, the object that makes a library of
// them, and the weights of a library, which no linker sees. x86-64 only. System V ABI, ch. 4 and 5, and its AMD64
// supplement.
#ifndef NNC_CODEGEN_ELF_H
#define NNC_CODEGEN_ELF_H

#include "base/diag.h"

#include <elf.h>

// -- load.c --
typedef struct loaded_code loaded_code;

// Puts the code of a relocatable object (codegen/llvm) into executable memory, which the arena releases. Its symbols
// see each other and the routines of ir/libm.h, nothing else of the process. NULL after a diagnostic: an object that is
// damaged, that needs another symbol, or holds what this loader does not know.
loaded_code *code_load(arena *a, diag_list *l, str object);
void *code_find(const loaded_code *code, diag_list *l, const char *symbol); // NULL after a diagnostic

// -- model_object.c --
typedef struct model_parts {
  uint64_t magic, abi;
  size_t n_kernels;
  const char *const *kernels; // symbols of other objects of the same library; NULL: a device has that kernel
  str plan;
  const uint64_t *layout; // [2]: what a file of weights must be of, see runtime/weights.h
  bool has_weights;       // the library holds them: room for elf_append_weights
  str device;             // an rt_opencl_packed (runtime/opencl); empty: no device has a part in it
} model_parts;

// The object that makes kernels and plan one library: the exported `nnc_aot_model` of runtime/aot.h and what it points
// to, all read-only.
str model_object(arena *a, const model_parts *m);

Elf64_Ehdr elf_object_head(uint64_t sections_at, uint16_t n_sections, uint16_t names); // of an x86-64 relocatable

// -- merge.c --
// One relocatable object of any number that an assembler has written (they are trusted). false: more sections than a
// file can have.
bool elf_merge(arena *a, size_t n, const str *objects, str *out);

// -- append.c --
// What the linker must be told so that the weights get a segment of their own, the last one: a linker
// script that adds to the usual one (-T).
extern const char elf_weights_script[];

// Makes room for `bytes` of weights at the end of a linked library: changes its headers so that the weights' section
// lies behind the bytes of `library`, and returns how long the file is before them (a multiple of a page; at least
// library.n), or 0 when the library is not as the script asks.
uint64_t elf_append_weights(char *library, size_t library_bytes, uint64_t bytes);

#endif
