// SRC: where the values of an input come from (`--in NAME=SRC`).
//
//   FILE.npy  FILE.npz:KEY  FILE.safetensors:KEY    a tensor as it is; KEY may be left out when there is one tensor
//   FILE.png[:mean=M,std=S,layout=L]                an image, laid out for the input's type
//   a number, random[:SEED], zeros, iota            these take the input's shape
#ifndef NNC_TOOLS_SOURCE_H
#define NNC_TOOLS_SOURCE_H

#include "tools/nnc/signature.h"

typedef enum source_kind { SOURCE_tensor, SOURCE_fill, SOURCE_random, SOURCE_iota } source_kind;

typedef struct source {
  source_kind kind;
  const char *text;
  ir_tensor *tensor; // SOURCE_tensor: read already
  scalar fill;
  uint64_t seed;
} source;

// Reads SRC; files are read here. false after a diagnostic in c->diags.
bool source_read(cli *c, const char *text, const sig_tensor *input, source *out);
// The tensor of a source that takes the input's shape.
ir_tensor *source_make(cli *c, const source *s, const sig_tensor *input, const int64_t *dim);

// -- source_image.c --
// The image of `path` as a tensor for `input`; `options` such as "mean=0.5,std=0.5,layout=nchw", "" for none.
ir_tensor *image_for_input(cli *c, const char *path, str options, const sig_tensor *input);

// -- inputs.c --
// All inputs of an entry, by --in and --dim: [inputs], NULL for an optional one that is not given. Missing ones are
// random:0 when `fill_missing`. Binds the dims of `s`. NULL after a diagnostic that lists every input.
ir_tensor **inputs_make(cli *c, signature *s, bool fill_missing, bool strict_dims);

#endif
