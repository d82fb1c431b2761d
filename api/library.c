// Libraries that `nnc compile` wrote, as modules. A library is code, and is trusted like any other; but a file that was
// cut short or damaged is refused, not run into: the loader maps what program headers promise, whether the file has it
// or not. System V ABI, chapters 4 and 5.
#define _GNU_SOURCE // dladdr
#include "api/handles.h"
#include "api/opencl.h"
#include "base/file.h"
#include "runtime/aot.h"
#include "runtime/weights.h"
#include <dlfcn.h>
#include <elf.h>
#include <string.h>

// The file as it is on the disk, and where the loader put its addresses.
typedef struct library {
  str file;
  uintptr_t base;
} library;

static Elf64_Phdr segment(str file, const Elf64_Ehdr *h, size_t i) {
  Elf64_Phdr p;
  memcpy(&p, file.p + h->e_phoff + i * sizeof p, sizeof p);
  return p;
}

// An ELF file of this kind of machine that has all bytes of its segments.
static bool is_whole(str file, Elf64_Ehdr *h) {
  if (file.n < sizeof *h) return false;
  memcpy(h, file.p, sizeof *h);
  if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_type != ET_DYN)
    return false;
  if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phoff > file.n ||
      h->e_phnum > (file.n - h->e_phoff) / sizeof(Elf64_Phdr))
    return false;
  for (size_t i = 0; i < h->e_phnum; i++) {
    Elf64_Phdr p = segment(file, h, i);
    if (p.p_type != PT_NULL && (p.p_offset > file.n || p.p_filesz > file.n - p.p_offset)) return false;
  }
  return true;
}

// Where the first loaded segment begins, before the loader moves it: page by page.
static uint64_t first_address(str file, const Elf64_Ehdr *h) {
  for (size_t i = 0; i < h->e_phnum; i++) {
    Elf64_Phdr p = segment(file, h, i);
    if (p.p_type == PT_LOAD) return p.p_align > 1 ? p.p_vaddr - p.p_vaddr % p.p_align : p.p_vaddr;
  }
  return 0;
}

// How many bytes of the library's file lie in memory from `address` on; 0 when it is not the library's.
static uint64_t room_at(const library *lib, const void *address) {
  Elf64_Ehdr h;
  uint64_t at = (uintptr_t)address - lib->base;
  if (!is_whole(lib->file, &h)) return 0;
  for (size_t i = 0; i < h.e_phnum; i++) {
    Elf64_Phdr p = segment(lib->file, &h, i);
    if (p.p_type == PT_LOAD && at >= p.p_vaddr && at - p.p_vaddr < p.p_filesz) return p.p_filesz - (at - p.p_vaddr);
  }
  return 0;
}

static bool has_plan(const library *lib, const rt_aot_model *model) {
  return room_at(lib, model->plan) >= sizeof(rt_plan) &&
         room_at(lib, model->plan) >= ((const rt_plan *)model->plan)->size_bytes;
}

// What the plan counts on besides itself: as many kernels, as many bytes of constants.
static bool has_parts(const library *lib, const rt_aot_model *model) {
  const rt_plan *p = model->plan;
  return room_at(lib, model->kernels) / sizeof *model->kernels >= p->kernels.count &&
         (!model->constants || room_at(lib, model->constants) >= p->constants_bytes);
}

static void close_handle(void *handle) { dlclose(handle); }

static bool refuse(diag_list *l, const char *path, const char *why) {
  diag_at(l, NO_SPAN, library_open, path, why);
  return false;
}

static void close_weights(void *handle) { rt_weights_close(handle); }

// The block of constants: the library's own, or a file's, which the library does not hold itself. NULL after a
// diagnostic.
static const void *find_block(nnc_module *m, diag_list *l, const char *path, const rt_aot_model *model,
                              const char *weights) {
  static const char nothing[64];
  const rt_plan *plan = model->plan;
  if (model->constants || plan->constants_bytes == 0) {
    if (!weights) return model->constants ? model->constants : nothing;
    diag_at(l, NO_SPAN, library_weights, path, "it holds its weights, and takes no others");
    return NULL;
  }
  rt_weights *w = ARENA_NEW(m->a, rt_weights);
  rt_error err;
  size_t room = strlen(path) + sizeof ".weights";
  char *own = arena_alloc(m->a, room);
  if (!weights && rt_weights_beside(path, own, room)) weights = own;
  arena_defer(m->a, close_weights, w);
  if (rt_weights_open(w, weights, model->layout, plan->constants_bytes, &err)) {
    diag_at(l, NO_SPAN, library_weights, path, err.text);
    return NULL;
  }
  return w->block;
}

// The device that the caller has named is the one that the library has kernels for; one that nnc has chosen gives way.
static bool load_device(nnc_module *m, compile_job *j, const char *path, const library *lib,
                        const rt_aot_model *model) {
  rt_opencl_source *s = ARENA_NEW(m->a, rt_opencl_source);
  const rt_plan *plan = model->plan;
  if (!model->device) {
    if (!j->device || j->device_auto) return true;
    diag_at(&j->diags, NO_SPAN, device_library, path, j->device);
    return false;
  }
  if (!j->device) {
    diag_at(&j->diags, NO_SPAN, library_needs_device, path);
    return false;
  }
  if (!rt_opencl_unpack(model->device, room_at(lib, model->device), s) || s->n_kernels != plan->kernels.count)
    return refuse(&j->diags, path, "it is damaged: kernels of the device are missing");
  m->rt.device = opencl_build(j, plan, s);
  return m->rt.device != NULL;
}

bool library_load(nnc_module *m, compile_job *j, const char *path, const char *weights) {
  diag_list *l = &j->diags;
  const char *name = strchr(path, '/') ? path : str_fmt(m->a, "./%s", path);
  library lib = {.file = STR("")};
  Elf64_Ehdr header;
  Dl_info place;
  rt_error err;
  if (!file_map(m->a, l, path, &lib.file, NULL)) return false; // a missing file is reported like any other
  if (!is_whole(lib.file, &header)) return refuse(l, path, "it is no shared library, or was cut short");
  void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return refuse(l, path, dlerror());
  arena_defer(m->a, close_handle, handle);
  const rt_aot_model *model = dlsym(handle, "nnc_aot_model");
  if (model && dladdr(model, &place)) lib.base = (uintptr_t)place.dli_fbase - first_address(lib.file, &header);
  if (!model || room_at(&lib, model) < sizeof *model || model->magic != RT_AOT_MAGIC || model->abi != RT_AOT_ABI ||
      !has_plan(&lib, model)) {
    diag_at(l, NO_SPAN, library_foreign, path);
    return false;
  }
  const rt_plan *plan = model->plan;
  if (rt_plan_check(plan, plan->size_bytes, &err)) {
    diag_at(l, NO_SPAN, plan_refused, path, err.text);
    return false;
  }
  if (!has_parts(&lib, model)) return refuse(l, path, "it is damaged: kernels or constants are missing");
  const char *block = find_block(m, l, path, model, weights);
  if (!block) return false;
  if (!load_device(m, j, path, &lib, model)) return false;
  const rt_program *prepare = (const rt_program *)(const void *)((const char *)plan + plan->programs.offset);
  const rt_buffer *b = (const rt_buffer *)(const void *)((const char *)plan + plan->buffers.offset);
  const void **constants = ARENA_ARRAY(m->a, const void *, prepare->n_outputs + 1u);
  for (uint64_t i = 0; i < plan->buffers.count; i++)
    if (b[i].cls == RT_BUF_constant) constants[b[i].index] = block + b[i].offset;
  m->rt.plan = plan, m->rt.kernels = model->kernels, m->rt.constants = constants;
  m->stats = (nnc_module_stats){.kernels = plan->kernels.count, .constant_bytes = plan->constants_bytes};
  return true;
}
