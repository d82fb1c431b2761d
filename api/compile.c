// The compile driver: see compile.h.
#define _GNU_SOURCE // dladdr
#include "api/compile.h"
#include "base/clock.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static double ms_since(int64_t start) { return (double)(clock_ns() - start) * 1e-6; }

bool compile_begin(compile_job *j, arena *a, const char *path, const frontend_options *front, const char *cpu) {
  memset(j, 0, sizeof *j);
  j->a = a;
  j->path = path;
  if (front) j->front = *front;
  diag_init(&j->diags, a);
  j->passes = PASS_OPTIONS_INIT;
  j->target = cpu ? target_find(cpu) : target_native();
  if (!j->target) {
    diag_note_to(&j->diags, diag_at(&j->diags, NO_SPAN, cpu_unknown, cpu),
                 "known: native, x86-64, x86-64-v3, x86-64-v4");
    return false;
  }
  if (!target_supported(j->target)) {
    diag_at(&j->diags, NO_SPAN, cpu_too_old, j->target->name, target_native()->name);
    return false;
  }
  j->context = (pass_context){a, &j->diags, j->target, NULL};
  return true;
}

bool compile_frontend(compile_job *j, const str *text) {
  int64_t start = clock_ns();
  j->source = j->m = frontend_load(j->a, &j->diags, j->path, text, &j->front);
  j->frontend_ms += ms_since(start);
  return j->m && !diag_failed(&j->diags);
}

bool compile_weights(compile_job *j) {
  int64_t start = clock_ns();
  bool ok = frontend_bind_weights(j->source, &j->diags, j->path, &j->front);
  j->frontend_ms += ms_since(start);
  return ok && !diag_failed(&j->diags);
}

bool compile_passes(compile_job *j) {
  int64_t start = clock_ns();
  bool ok = pass_run_all(&j->context, j->m, &j->passes, &j->report);
  j->passes_ms += ms_since(start);
  return ok && !diag_failed(&j->diags);
}

bool compile_lower(compile_job *j) {
  int64_t start = clock_ns();
  j->set = lower_module(&j->context, j->m);
  j->passes_ms += ms_since(start);
  return j->set != NULL && !diag_failed(&j->diags);
}

static void close_library(void *handle) { dlclose(handle); }

// The folder of the object that holds this function, with a trailing slash; "" when unknown.
static const char *own_folder(arena *a) {
  static const char anchor = 0; // an address inside this object
  Dl_info info;
  if (!dladdr(&anchor, &info) || !info.dli_fname) return "";
  const char *slash = strrchr(info.dli_fname, '/');
  return slash ? str_dup(a, (str){info.dli_fname, (size_t)(slash - info.dli_fname) + 1}) : "";
}

const llvm_backend *compile_open_llvm(compile_job *j) {
  if (j->llvm) return j->llvm;
  const char *folder = own_folder(j->a);
  const char *tries[] = {str_fmt(j->a, "%slibnnc-llvm.so.0", folder),
                         str_fmt(j->a, "%s../lib/libnnc-llvm.so.0", folder), "libnnc-llvm.so.0"};
  for (size_t i = 0; i < 3 && !j->llvm_library; i++) j->llvm_library = dlopen(tries[i], RTLD_NOW | RTLD_LOCAL);
  if (!j->llvm_library) {
    diag_at(&j->diags, NO_SPAN, llvm_not_found, dlerror());
    return NULL;
  }
  arena_defer(j->a, close_library, j->llvm_library);
  const llvm_backend *(*get)(void);
  *(void **)(void *)&get = dlsym(j->llvm_library, "nnc_llvm_backend");
  if (get && get()->abi == NNC_LLVM_ABI) j->llvm = get();
  else diag_at(&j->diags, NO_SPAN, llvm_not_found, "it belongs to another version of nnc");
  return j->llvm;
}

bool compile_object(compile_job *j) {
  int64_t start = clock_ns();
  const llvm_backend *llvm = compile_open_llvm(j);
  if (!llvm || !llvm->compile(j->a, &j->diags, j->target, j->set->kernels.n, j->set->kernels.at, &j->object))
    return false;
  size_t scratch = 0;
  for (size_t i = 0; i < j->object.n_kernels; i++)
    if (j->object.scratch_bytes[i] > scratch) scratch = j->object.scratch_bytes[i];
  bool ok = plan_write(j->a, &j->diags, j->set, (uint32_t)scratch, &j->plan);
  j->codegen_ms += ms_since(start);
  return ok;
}

typedef struct jit_handle {
  const llvm_backend *llvm;
  llvm_jit *jit;
} jit_handle;

static void free_jit(void *handle) {
  jit_handle *h = handle;
  h->llvm->jit_free(h->jit);
}

bool compile_load(compile_job *j, rt_kernel **kernels) {
  int64_t start = clock_ns();
  jit_handle *h = ARENA_NEW(j->a, jit_handle);
  h->llvm = j->llvm;
  if (!j->llvm->jit_new(&j->diags, &h->jit)) return false;
  arena_defer(j->a, free_jit, h);
  if (!j->llvm->jit_add(h->jit, &j->diags, j->object.bytes)) return false;
  *kernels = ARENA_ARRAY(j->a, rt_kernel, j->set->kernels.n + 1);
  for (size_t i = 0; i < j->set->kernels.n; i++) {
    void *f = j->llvm->jit_find(h->jit, &j->diags, j->set->kernels.at[i]->name);
    if (!f) return false;
    *(void **)(void *)&(*kernels)[i] = f;
  }
  j->codegen_ms += ms_since(start);
  return true;
}

static const void *plain_data(compile_job *j, const prog_constant *k) {
  return k->weight ? k->weight->data : k->data ? ir_const_elems(j->m, k->data) : NULL;
}

// Runs `prepare`, whose inputs are plain constants and whose outputs are all constants: fills a block with the computed
// ones and says where each lies.
static bool prepare(compile_job *j, const rt_kernel *kernels, const void **constants) {
  int64_t start = clock_ns();
  const program_set *set = j->set;
  char *block = aligned_alloc(4096, j->plan.prepare_bytes + 4096);
  if (!block) {
    diag_at(&j->diags, NO_SPAN, out_of_memory);
    return false;
  }
  arena_defer(j->a, free, block);
  rt_tensor *in = ARENA_ARRAY(j->a, rt_tensor, set->sources.n + 1),
            *out = ARENA_ARRAY(j->a, rt_tensor, set->constants.n + 1);
  for (size_t i = 0; i < set->constants.n; i++) {
    const prog_constant *k = &set->constants.at[i];
    int64_t count = 0;
    idx_is_const(k->count, &count);
    constants[i] = k->computed ? block + j->plan.constant_offset[i] : plain_data(j, k);
    if (!constants[i]) {
      diag_at(&j->diags, NO_SPAN, weight_without_data, k->name);
      return false;
    }
    // plain ones are never written
    out[i] = (rt_tensor){.dtype = (rt_dtype)k->dt, .rank = 1, .dim = {count}, .data = (void *)(uintptr_t)constants[i]};
  }
  for (size_t i = 0; i < set->sources.n; i++) in[i] = out[set->sources.at[i]];
  rt_module m = {(const rt_plan *)(const void *)j->plan.blob.p, kernels, NULL};
  rt_session *s;
  rt_error err;
  rt_status status = rt_session_new(&s, &m, NULL, 0, &err);
  if (!status) {
    status = rt_run(s, 0, in, out, &err);
    rt_session_free(s);
  }
  if (status) diag_at(&j->diags, NO_SPAN, prepare_failed, err.text);
  j->prepare_ms += ms_since(start);
  return status == RT_OK;
}

bool compile_module(compile_job *j, rt_module *out) {
  rt_kernel *kernels;
  rt_error err;
  if (!compile_object(j) || !compile_load(j, &kernels)) return false;
  const rt_plan *plan = (const rt_plan *)(const void *)j->plan.blob.p;
  if (rt_plan_check(plan, j->plan.blob.n, &err)) {
    diag_at(&j->diags, NO_SPAN, plan_refused, j->path, err.text);
    return false;
  }
  const void **constants = ARENA_ARRAY(j->a, const void *, j->set->constants.n + 1);
  if (!prepare(j, kernels, constants)) return false;
  *out = (rt_module){plan, kernels, constants};
  return true;
}
