// AOT libraries: object files, the embedded runtime, a typed C header, and one call of the system linker.
#ifndef NNC_CODEGEN_AOT_H
#define NNC_CODEGEN_AOT_H

#include "base/diag.h"
#include "passes/program.h"

// The C identifier that names a model's functions: the model's name, characters that C does not allow replaced by `_`.
const char *aot_prefix(arena *a, const char *model_name);

// The part of the header that declares the entries: one function each, whose parameters are the dims it uses, its
// inputs and its outputs.
void aot_header_entries(strbuf *b, const ir_module *m, const char *prefix);
// The whole header: an opaque session, how to open and close it, and the entries. With weights in a file there is a
// second way to open it; with kernels of a device, one that names the device.
void aot_header(strbuf *b, const char *model, const char *prefix, str entries, bool weights_in_file, bool on_device);

typedef struct aot_library {
  const char *prefix;
  const char *path; // where its bytes will stand
  size_t n_objects;
  const str *objects;
  bool weights_in_file; // else a page of .nnc.weights is among the objects, when there are weights at all
  bool on_device;       // it has kernels of an OpenCL device
} aot_library;

// Links objects and the runtime into a shared library that exports PREFIX_open, PREFIX_close, PREFIX_call,
// PREFIX_error, with weights in a file PREFIX_open_file, with kernels of a device PREFIX_open_device, and
// nnc_aot_model. *linked can be changed. false after diagnostics.
bool aot_link(arena *a, diag_list *l, const aot_library *lib, str *linked);

// The header of a file of weights (runtime/weights.h) around `block`; `extra` is kept behind it.
str aot_weights_head(arena *a, str extra, const uint64_t layout[2], str block);

#endif
