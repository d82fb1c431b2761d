// safetensors files: named tensors behind a JSON header. Reading maps the file; nothing is copied.
//
// Layout: u64 little-endian header length N; N bytes of JSON, {"name": {"dtype", "shape", "data_offsets": [begin,
// end]}, …,
// "__metadata__": {string: string}}; then the elements, row-major, little-endian, offsets counted from their first
// byte. Reading is strict: offsets lie in the file, each tensor's bytes are exactly its shape's, the tensors tile the
// data without gaps or overlaps, names are unique, bools are 0 or 1. A file that breaks a rule is one diagnostic with
// the byte where it does.
#ifndef NNC_FRONTEND_SAFETENSORS_H
#define NNC_FRONTEND_SAFETENSORS_H

#include "base/file.h"
#include "ir/graph.h"

typedef struct st_tensor {
  const char *name;
  dtype dt;
  uint32_t rank;      // at most IR_MAX_RANK
  const int64_t *dim; // [rank]
  const void *data;   // row-major; read-only, and not always aligned to the dtype
  size_t size_bytes;
} st_tensor;

typedef struct st_file st_file;

// Opens and checks a file. It, and all that it gives, live as long as the arena. NULL after a diagnostic.
st_file *st_open(arena *a, diag_list *l, const char *path);
// The same, or a checkpoint in several files when the name ends in `.json`: it is then their index (`weight_map`), and
// what index and files say must agree tensor by tensor. Its metadata is not read.
st_file *st_open_checkpoint(arena *a, diag_list *l, const char *path);
// Files as one, under the name `path` of their index: their tensors in order, without metadata. No name may be in two
// of them.
st_file *st_join(arena *a, const char *path, file_identity id, size_t n, st_file *const *parts);

// The files that it was read from, as they were then: one, or an index and what it lists.
typedef struct st_source {
  const char *path;
  file_identity id;
} st_source;
size_t st_source_count(const st_file *f);
st_source st_source_at(const st_file *f, size_t i);

const char *st_path(const st_file *f);
size_t st_count(const st_file *f);
const st_tensor *st_at(const st_file *f, size_t i);           // in the order of the header
const st_tensor *st_find(const st_file *f, const char *name); // NULL when absent
size_t st_meta_count(const st_file *f);
void st_meta_at(const st_file *f, size_t i, const char **key, const char **value);
const char *st_meta(const st_file *f, const char *key); // NULL when absent

// An aligned copy in the arena.
ir_tensor *st_copy(arena *a, const st_tensor *t);

// Writes n tensors and n_meta strings, atomically. Wide dtypes come first in the file, so that every tensor is aligned.
// Names and strings are UTF-8; names must differ. false after a diagnostic.
bool st_write(arena *a, diag_list *l, const char *path, size_t n, const char *const *names,
              const ir_tensor *const *tensors, size_t n_meta, const char *const *keys, const char *const *values);

#endif
