// Writes a compiled module as a shared library and its header.
#include "api/handles.h"
#include "base/file.h"
#include "codegen/aot/aot.h"
#include "runtime/aot.h"
#include <string.h>

// The constants block of the library: what entries read, each at its place.
static str gather_constants(compile_job *j, const void *const *constants) {
  char *block = arena_alloc(j->a, j->plan.constants_bytes);
  for (size_t i = 0; i < j->set->constants.n; i++)
    if (j->plan.constant_used[i]) memcpy(block + j->plan.constant_offset[i], constants[i], j->plan.constant_bytes[i]);
  return (str){block, j->plan.constants_bytes};
}

bool aot_write(compile_job *j, const void *const *constants, const char *library_path) {
  arena *a = j->a;
  const char *prefix = aot_prefix(a, j->source->name);
  const char **names = ARENA_ARRAY(a, const char *, j->set->kernels.n + 1);
  for (size_t i = 0; i < j->set->kernels.n; i++) names[i] = j->set->kernels.at[i]->name;
  llvm_object model;
  if (!j->llvm->model_object(a, &j->diags, j->target, RT_AOT_MAGIC, RT_AOT_ABI, j->set->kernels.n, names, j->plan.blob,
                             gather_constants(j, constants), &model))
    return false;
  str objects[] = {j->object.bytes, model.bytes};
  str library;
  if (!aot_link(a, &j->diags, prefix, 2, objects, library_path, &library)) return false;
  strbuf header;
  sb_init(&header, a);
  aot_header(&header, j->source, prefix);
  size_t stem = strlen(library_path);
  if (stem > 3 && !strcmp(library_path + stem - 3, ".so")) stem -= 3;
  const file_output files[] = {{library_path, library, 0755},
                               {str_fmt(a, "%.*s.h", (int)stem, library_path), sb_str(&header), 0644}};
  return file_write_all(a, &j->diags, 2, files);
}
