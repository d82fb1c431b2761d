// The front end: a YAML model description becomes a graph IR module; weight files become mmap'd constants.
#ifndef NNC_FRONTEND_FRONTEND_H
#define NNC_FRONTEND_FRONTEND_H

#include "frontend/safetensors.h"

typedef struct frontend_pair {
  const char *key, *value;
} frontend_pair;

typedef struct frontend_options {
  size_t n_configs;
  const char *const *configs; // --config FILE or NAME=FILE, in order
  size_t n_sets;
  const frontend_pair *sets; // --set K=V: V is an expression of the language
  size_t n_dims;
  const frontend_pair *dims;  // --dim NAME=N: pins a dim
  const char *const *weights; // --weights FILE... | SCOPE=FILE... | "random" | "random:SEED"; NULL or n_weights 0: the
                              // model's own `weights:` section
  size_t n_weights;
  const char *approx; // "linear-attention=elu1": `attention` becomes `linear_attention`, with warnings; NULL: nothing
} frontend_options;

// Parses and elaborates `path` (its text is read from disk; when `text` is not NULL it is used instead and `path` only
// names it). Every dim, weight (name, shape, no data yet), state and entry is in the module. NULL after diagnostics;
// every mistake found is listed.
ir_module *frontend_load(arena *a, diag_list *l, const char *path, const str *text, const frontend_options *opt);

// Fills `data` of every weight of the module: from safetensors (mmap'd for the arena's life; f32 f16 bf16 converted to
// the declared dtype when they differ), through the model's `rename:` rules, or by random initialisation. Missing,
// unexpected and misshapen tensors are listed together. Call after frontend_load on the same module. *files: what was
// read, none for random weights; may be NULL.
typedef VEC(st_source) weight_files;
bool frontend_bind_weights(ir_module *m, diag_list *l, const char *path, const frontend_options *opt,
                           weight_files *files);

// Exact number of parameters (buffers such as running statistics not counted).
uint64_t frontend_parameter_count(const ir_module *m);

#endif
