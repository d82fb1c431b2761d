// Tensors in files: `.npy`, `.npz`, and one door for every format by the name of the file.
//
// Reading is strict: a header that numpy would not write, a size that differs from what the header says, a checksum
// that does not match, a bool that is neither 0 nor 1, is one diagnostic with the byte where it is. Big-endian files
// and dtypes without a counterpart here are refused by name. Writing is atomic.
#ifndef NNC_FRONTEND_TENSORFILE_H
#define NNC_FRONTEND_TENSORFILE_H

#include "ir/graph.h"

// -- .npy: format versions 1 to 3; Fortran order is turned into row-major --
ir_tensor *npy_read(arena *a, diag_list *l, const char *path); // NULL after a diagnostic
bool npy_write(arena *a, diag_list *l, const char *path,
               const ir_tensor *t); // version 1; bf16 has no spelling there: a diagnostic
// The same from and to memory. `path` and `offset` (of bytes.p in that file) serve messages.
ir_tensor *npy_parse(arena *a, diag_list *l, const char *path, size_t offset, str bytes);
bool npy_print(strbuf *b, diag_list *l, const char *path, const ir_tensor *t);

// -- .npz: a zip archive of .npy members, stored or deflated --
typedef struct npz_file npz_file;
npz_file *npz_open(arena *a, diag_list *l, const char *path); // reads the list of members; lives as long as the arena
size_t npz_count(const npz_file *z);
const char *npz_name(const npz_file *z, size_t i);                // without `.npy`, in the archive's order
ir_tensor *npz_read(npz_file *z, diag_list *l, const char *name); // NULL after a diagnostic
bool npz_write(arena *a, diag_list *l, const char *path, size_t n, const char *const *names,
               const ir_tensor *const *tensors);

// -- any format, by the ending of `path` --
// `key` names the tensor in an `.npz` or `.safetensors` and may be NULL when there is only one; an `.npy` takes none.
ir_tensor *tensor_file_read(arena *a, diag_list *l, const char *path, const char *key);
bool tensor_file_known(const char *path); // has one of these endings

#endif
