// The compile driver: see compile.h.
#define _GNU_SOURCE // dladdr
#include "api/compile.h"
#include "api/compile_cache.h"
#include "api/opencl.h"
#include "api/prepare.h"
#include "base/clock.h"
#include "runtime/opencl/opencl.h"
#include "runtime/pool.h"
#include "runtime/routines.h"
#include "runtime/session.h"
#include <dlfcn.h>
#include <string.h>

static double ms_since(int64_t start) { return (double)(clock_ns() - start) * 1e-6; }

bool compile_begin(compile_job *j, arena *a, const char *path, const str *text, const frontend_options *front,
                   const char *cpu) {
  memset(j, 0, sizeof *j);
  j->a = a;
  j->path = path;
  j->text = text;
  if (front) j->front = *front;
  diag_init(&j->diags, a);
  j->passes = PASS_OPTIONS_INIT;
  j->cache = cache_none(a);
  j->cpu = cpu;
  j->target = cpu ? target_find(cpu) : target_native();
  if (!j->target) {
    diag_note_to(&j->diags, diag_at(&j->diags, NO_SPAN, cpu_unknown, cpu),
                 "known: native, x86-64, x86-64-v3, x86-64-v4, x86-64-v4-bf16, x86-64-v4-amx");
    return false;
  }
  if (!target_supported(j->target)) {
    diag_at(&j->diags, NO_SPAN, cpu_too_old, j->target->name, target_native()->name);
    return false;
  }
  j->context = (pass_context){.a = a, .diags = &j->diags, .target = j->target};
  return true;
}

static void close_opencl(void *cl) { rt_opencl_close(cl); }

// Devices and a CPU's level exclude each other. `name`: of what was asked for.
static bool open_opencl(compile_job *j, const char *name, rt_error *err) {
  if (j->cpu) {
    diag_at(&j->diags, NO_SPAN, device_with_cpu, j->cpu, name);
    return false;
  }
  if (!rt_opencl_open(&j->opencl, err)) {
    arena_defer(j->a, close_opencl, j->opencl);
    return true;
  }
  diag_at(&j->diags, NO_SPAN, device_failed, name, err->text);
  return false;
}

static bool choose(compile_job *j, const char *name, rt_status status, const rt_error *err) {
  if (status) {
    diag_at(&j->diags, NO_SPAN, device_failed, name, err->text);
    return false;
  }
  j->device = str_fmt(j->a, "opencl:%u", j->device_number);
  const rt_opencl_device *d = rt_opencl_get(j->opencl, j->device_number);
  j->target = j->context.target =
      target_opencl(!d->local_is_memory, d->max_group, d->fp64, rt_opencl_has_matrices(j->opencl, j->device_number));
  return true;
}

// A GPU, never the CPU by way of OpenCL: machine code for it is faster.
static bool choose_automatically(compile_job *j) {
  rt_opencl *cl;
  rt_error err;
  j->device_auto = true;
  if (j->cpu) {
    diag_at(&j->diags, NO_SPAN, device_with_cpu, j->cpu, "auto");
    return false;
  }
  if (rt_opencl_open(&cl, &err)) {
    j->why_cpu = str_dup(j->a, str_of(err.text));
    return true;
  }
  if (!rt_opencl_find_gpu(cl, &j->device_number)) {
    rt_opencl_close(cl);
    j->why_cpu = "OpenCL has no GPU here";
    return true;
  }
  j->opencl = cl;
  arena_defer(j->a, close_opencl, cl);
  return choose(j, "auto", RT_OK, NULL);
}

// What was chosen is told when it runs: not among the messages of the sources, which the cache keeps.
static void note_choice(compile_job *j) {
  if (j->why_cpu) diag_at(&j->diags, NO_SPAN, device_auto, "the CPU", j->why_cpu);
  else if (j->device_auto)
    diag_at(&j->diags, NO_SPAN, device_auto, j->device, rt_opencl_get(j->opencl, j->device_number)->name);
}

bool compile_set_device(compile_job *j, const char *device) {
  rt_error err;
  if (!device || !strcmp(device, "cpu")) return true;
  if (!strcmp(device, "auto")) return choose_automatically(j);
  if (!rt_opencl_names(device)) {
    diag_note_to(&j->diags, diag_at(&j->diags, NO_SPAN, device_unknown, device),
                 "known: cpu, auto, opencl, opencl:N; `nnc devices` lists them");
    return false;
  }
  return open_opencl(j, device, &err) &&
         choose(j, device, rt_opencl_find(j->opencl, device, &j->device_number, &err), &err);
}

bool compile_set_opencl(compile_job *j, void *context, void *device) {
  static const char name[] = "of the caller's OpenCL context";
  rt_error err;
  return open_opencl(j, name, &err) &&
         choose(j, name, rt_opencl_adopt(j->opencl, context, device, &j->device_number, &err), &err);
}

void compile_use_cache(compile_job *j) { j->cache = cache_open(j->a, &j->diags, true); }

bool compile_set_dtypes(compile_job *j, const char *weights, const char *precision) {
  if (precision && !precision_find(precision, &j->context.precision)) {
    diag_note_to(&j->diags, diag_at(&j->diags, NO_SPAN, precision_unknown, precision), "known: f32, bf16, int8");
    return false;
  }
  bool asked = j->cpu && strcmp(j->cpu, "native");
  if (j->context.precision == PRECISION_f32 && !asked) j->target = j->context.target = target_plain(j->target);
  if (!weights && j->context.precision != PRECISION_f32) weights = "bf16";
  if (!weights || weights_form_find(weights, &j->context.weights)) return true;
  diag_note_to(&j->diags, diag_at(&j->diags, NO_SPAN, weights_dtype_unknown, weights), "known: f32, bf16, f16, q8, q4");
  return false;
}

bool compile_frontend(compile_job *j) {
  int64_t start = clock_ns();
  j->source = j->m = frontend_load(j->a, &j->diags, j->path, j->text, &j->front);
  j->n_source_files = j->diags.files.n;
  j->n_source_messages = j->diags.items.n;
  j->frontend_ms += ms_since(start);
  return j->m && !diag_failed(&j->diags);
}

bool compile_weights(compile_job *j) {
  if (j->weights_bound) return true;
  if (!j->source) { // the image came from the cache, and with it the messages that the front end gives again
    j->diags.items.n = j->diags.files.n = 0;
    if (!compile_frontend(j)) return false;
    if (!compile_cache_same_sources(j)) {
      diag_at(&j->diags, NO_SPAN, file_read, j->path, "it, or a file that it names, changes while it is read");
      return false;
    }
  }
  int64_t start = clock_ns();
  j->weights_bound = frontend_bind_weights(j->source, &j->diags, j->path, &j->front, &j->weight_files);
  j->frontend_ms += ms_since(start);
  return j->weights_bound && !diag_failed(&j->diags);
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

static void run_on_pool(void *pool, int64_t n_items, int64_t chunk,
                        void (*fn)(void *user, int64_t begin, int64_t end, unsigned worker), void *user) {
  rt_pool_run(pool, n_items, chunk, fn, user);
}

static void free_pool(void *handle) {
  rt_pool **pool = handle;
  rt_pool_free(*pool);
  *pool = NULL;
}

kir_kernel **compile_bodies(compile_job *j, size_t *n) {
  kir_kernel **kernels = ARENA_ARRAY(j->a, kir_kernel *, j->set->kernels.n + 1);
  *n = 0;
  for (size_t i = 0; i < j->set->kernels.n; i++)
    if (!j->set->kernels.at[i]->routine) kernels[(*n)++] = j->set->kernels.at[i];
  return kernels;
}

bool compile_code(compile_job *j, size_t n, kir_kernel *const *kernels, str *object, size_t *scratch_bytes) {
  const llvm_backend *llvm = compile_open_llvm(j);
  if (!llvm) return false;
  rt_pool **pool = ARENA_NEW(j->a, rt_pool *); // freed here; by the arena when it unwinds
  arena_defer(j->a, free_pool, pool);
  *pool = rt_pool_new(0); // none: the calling thread does it
  const llvm_threads threads = {run_on_pool, *pool, rt_pool_threads(*pool)};
  llvm_objects o;
  bool ok = llvm->compile(j->a, &j->diags, j->target, &threads, n, kernels, &o);
  free_pool(pool);
  if (!ok) return false;
  *scratch_bytes = 0;
  for (size_t i = 0; i < n; i++)
    if (o.scratch_bytes[i] > *scratch_bytes) *scratch_bytes = o.scratch_bytes[i];
  if (elf_merge(j->a, o.n_objects, o.object, object)) return true;
  diag_at(&j->diags, NO_SPAN, codegen_llvm, "too many kernels for one object", j->path);
  return false;
}

bool compile_object(compile_job *j) {
  int64_t start = clock_ns();
  size_t scratch = 0, n;
  kir_kernel **kernels = compile_bodies(j, &n);
  bool ok = (j->opencl ? opencl_object(j, &scratch) : compile_code(j, n, kernels, &j->object, &scratch)) &&
            plan_write(j->a, &j->diags, j->set, (uint32_t)scratch, &j->plan);
  if (ok) image_make(j->a, &j->image, j->set, &j->plan, j->object, frontend_parameter_count(j->source));
  j->codegen_ms += ms_since(start);
  return ok;
}

bool compile_image(compile_job *j, bool weights) {
  j->image_from_cache = compile_cache_find(j);
  if (j->image_from_cache) return true;
  if (!compile_frontend(j) || !compile_passes(j) || !compile_lower(j)) return false;
  if ((weights && !compile_weights(j)) || !compile_object(j)) return false;
  compile_cache_keep(j);
  return true;
}

bool compile_functions(compile_job *j, str object, const bool *wanted, rt_kernel *kernels) {
  const rt_plan *plan = image_plan(&j->image);
  const rt_kernel_info *info = RT_ARRAY(plan, rt_kernel_info, kernels);
  const loaded_code *code = object.n ? code_load(j->a, &j->diags, object) : NULL;
  if (object.n && !code) return false;
  for (size_t i = 0; i < plan->kernels.count; i++) {
    const char *name = rt_string(plan, info[i].name);
    kernels[i] = !wanted || wanted[i] ? rt_routine(name) : NULL;
    if (kernels[i] || (wanted && !wanted[i])) continue;
    void *f = code ? code_find(code, &j->diags, name) : NULL;
    if (!f) return false;
    memcpy(&kernels[i], &f, sizeof f);
  }
  return true;
}

// The plan is sound, and the image is of this plan.
static bool check_plan(compile_job *j) {
  const rt_plan *plan = image_plan(&j->image);
  rt_error err;
  if (rt_plan_check(plan, j->image.plan.n, &err)) {
    diag_at(&j->diags, NO_SPAN, plan_refused, j->path, err.text);
    return false;
  }
  const rt_program *prepare = (const rt_program *)(const void *)((const char *)plan + plan->programs.offset);
  if (prepare->n_outputs == j->image.n_constants && prepare->n_inputs == j->image.n_sources) return true;
  diag_at(&j->diags, NO_SPAN, plan_refused, j->path, "its constants are not the image's");
  return false;
}

bool compile_module(compile_job *j, rt_module *out, const void **block) {
  if (!check_plan(j)) return false;
  int64_t start = clock_ns();
  const rt_plan *plan = image_plan(&j->image);
  rt_kernel *kernels = ARENA_ARRAY(j->a, rt_kernel, plan->kernels.count + 1);
  *out = (rt_module){.plan = plan, .kernels = kernels};
  bool ok = j->opencl ? opencl_load(j, kernels, &out->device) : compile_functions(j, j->image.object, NULL, kernels);
  j->codegen_ms += ms_since(start);
  ok = ok && prepare_constants(j, out, &out->constants, block);
  if (ok) note_choice(j);
  return ok;
}
