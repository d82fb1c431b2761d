// AOT libraries: object files, the embedded runtime, a typed C header, and one call of the system linker.
#ifndef NNC_CODEGEN_AOT_H
#define NNC_CODEGEN_AOT_H

#include "base/diag.h"
#include "passes/program.h"

// The C identifier that names a model's functions: the model's name, characters that C does not allow replaced by `_`.
const char *aot_prefix(arena *a, const char *model_name);

// The text of the header: an opaque session, and one function an entry whose parameters are the dims it uses, its
// inputs and its outputs.
void aot_header(strbuf *b, const ir_module *m, const char *prefix);

// Links objects and the runtime into a shared library that exports PREFIX_open, PREFIX_close, PREFIX_call, PREFIX_error
// and nnc_aot_model; `library_path` is where its bytes, *linked, will stand. false after diagnostics.
bool aot_link(arena *a, diag_list *l, const char *prefix, size_t n_objects, const str *objects,
              const char *library_path, str *linked);

#endif
