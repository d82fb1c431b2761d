// DST: where outputs go (`--out NAME=DST`), and tensors as text and as statistics.
#ifndef NNC_TOOLS_SINK_H
#define NNC_TOOLS_SINK_H

#include "tools/nnc/signature.h"

// Are all --out names outputs, and all DSTs of a known kind? Called before running, so that a long run is not lost.
// false after a diagnostic.
bool sinks_check(cli *c, const signature *s);
// Writes outputs by --out; those without one are printed when `print_rest`. Outputs of one .npz or .safetensors share
// the file.
bool sinks_write(cli *c, const signature *s, ir_tensor *const *outputs, bool print_rest);

void tensor_print(strbuf *b, const char *name, const ir_tensor *t); // name, type and values, long axes shortened
json_t *tensor_stats(const char *name, const ir_tensor *t);         // dtype, shape, min, max, mean, nan

#endif
