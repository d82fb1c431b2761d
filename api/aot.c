// Writes a compiled model as a shared library and its header, its weights in it or in a file beside it.
#include "api/handles.h"
#include "api/opencl.h"
#include "base/file.h"
#include "codegen/aot/aot.h"
#include "runtime/aot.h"
#include "runtime/weights.h"
#include <string.h>

static const char *beside(arena *a, const char *library, const char *extension) {
  size_t n = strlen(library);
  if (n > 3 && !strcmp(library + n - 3, ".so")) n -= 3;
  return str_fmt(a, "%.*s%s", (int)n, library, extension);
}

static str describe(arena *a, const image *m, const opencl_parts *device, bool has_weights) {
  const rt_plan *plan = image_plan(m);
  const rt_kernel_info *info = (const rt_kernel_info *)(const void *)((const char *)plan + plan->kernels.offset);
  const char **names = ARENA_ARRAY(a, const char *, plan->kernels.count + 1);
  for (size_t i = 0; i < plan->kernels.count; i++)
    if (!device->has_code || device->has_code[i]) names[i] = rt_string(plan, info[i].name);
  return model_object(a, &(model_parts){.magic = RT_AOT_MAGIC,
                                        .abi = RT_AOT_ABI,
                                        .n_kernels = (size_t)plan->kernels.count,
                                        .kernels = names,
                                        .plan = m->plan,
                                        .layout = m->layout,
                                        .has_weights = has_weights,
                                        .device = device->packed});
}

// Weights behind a linked library: the linker has left room for them in its headers.
static bool append(diag_list *l, arena *a, str *library, uint64_t bytes, str *padding) {
  char *file = arena_copy(a, library->p, library->n);
  uint64_t at = elf_append_weights(file, library->n, bytes);
  if (!at) {
    diag_at(l, NO_SPAN, linker_failed, "it has not given the weights a segment of their own");
    return false;
  }
  *library = (str){file, library->n};
  *padding = (str){arena_alloc(a, at - library->n), at - library->n};
  return true;
}

bool aot_write(arena *a, diag_list *l, const image *m, bool on_device, const void *block, aot_weights where,
               const char *library_path) {
  uint64_t bytes = image_plan(m)->constants_bytes;
  bool in_file = where == AOT_weights_file && bytes > 0, embed = !in_file && bytes > 0;
  if (embed && bytes > AOT_MOST_EMBEDDED) {
    diag_note_to(l, diag_at(l, NO_SPAN, weights_too_large, (unsigned long long)bytes),
                 "`--weights-mode file` puts them into %s", beside(a, library_path, ".weights"));
    return false;
  }
  if (in_file && on_device) {
    diag_at(l, NO_SPAN, library_device_weights, library_path);
    return false;
  }
  opencl_parts device = {.code = m->object};
  if (on_device) device = opencl_split(a, m);
  const str objects[] = {describe(a, m, &device, embed), device.code};
  const aot_library lib = {m->prefix, library_path, device.code.n ? 2 : 1, objects, in_file, on_device};
  str linked, padding = STR(""), content = {block, (size_t)bytes};
  strbuf header;
  if (!aot_link(a, l, &lib, &linked) || (embed && !append(l, a, &linked, bytes, &padding))) return false;
  sb_init(&header, a);
  aot_header(&header, m->name, m->prefix, m->entries, in_file, on_device);
  str library[] = {linked, padding, content}, declarations = sb_str(&header);
  str weights[] = {STR(""), content};
  if (in_file) weights[0] = aot_weights_head(a, STR(""), m->layout, content);
  const file_output files[] = {{library_path, 0755, embed ? 3 : 1, library},
                               {beside(a, library_path, ".h"), 0644, 1, &declarations},
                               {beside(a, library_path, ".weights"), 0644, 2, weights}};
  return file_write_all(a, l, in_file ? 3 : 2, files);
}
