// Modules of the public API: compiled from YAML, or loaded from a library.
#include "api/handles.h"
#include "base/clock.h"
#include <stdio.h>
#include <string.h>

static nnc_status status_of(const diag_list *l) {
  for (size_t i = 0; i < l->items.n; i++) {
    if (l->items.at[i]->severity != DIAG_error) continue;
    switch ((int)l->items.at[i]->id) {
    case DIAG_ID_file_open:
    case DIAG_ID_file_read:
    case DIAG_ID_file_write:
    case DIAG_ID_file_too_large:
    case DIAG_ID_out_of_memory:
    case DIAG_ID_llvm_not_found:
    case DIAG_ID_linker_failed:
    case DIAG_ID_library_open:
    case DIAG_ID_library_weights:
    case DIAG_ID_weights_too_large:
    case DIAG_ID_device_failed:
    case DIAG_ID_cpu_too_old: return NNC_E_ENVIRONMENT;
    case DIAG_ID_approx_unknown:
    case DIAG_ID_weights_dtype_unknown:
    case DIAG_ID_precision_unknown:
    case DIAG_ID_device_unknown:
    case DIAG_ID_device_with_cpu:
    case DIAG_ID_device_library:
    case DIAG_ID_library_needs_device:
    case DIAG_ID_library_device_weights:
    case DIAG_ID_cpu_unknown: return NNC_E_ARGUMENT;
    case DIAG_ID_internal: return NNC_E_INTERNAL;
    default: return NNC_E_MODEL;
    }
  }
  return NNC_OK;
}

static frontend_options front_options(const nnc_compile_options *o) {
  return (frontend_options){.n_configs = o->n_configs,
                            .configs = o->configs,
                            .n_sets = o->n_sets,
                            .sets = (const frontend_pair *)(const void *)o->sets,
                            .n_dims = o->n_dims,
                            .dims = (const frontend_pair *)(const void *)o->dims,
                            .n_weights = o->n_weights,
                            .weights = o->weights,
                            .approx = o->approx};
}

_Static_assert(sizeof(frontend_pair) == sizeof(nnc_setting), "settings are passed on as they are");

// One attempt at opening a module, on an arena whose guard is set.
static bool compile_model(nnc_module *m, compile_job *j, bool cached) {
  int64_t start = clock_ns();
  if (cached) compile_use_cache(j);
  if (!compile_image(j, true) || !compile_module(j, &m->rt, NULL)) return false;
  m->job = j;
  m->stats = (nnc_module_stats){j->frontend_ms,
                                j->passes_ms,
                                j->codegen_ms,
                                j->prepare_ms,
                                (double)(clock_ns() - start) * 1e-6,
                                m->rt.plan->kernels.count,
                                j->image.object.n,
                                m->rt.plan->constants_bytes,
                                j->image.parameters};
  return true;
}

static bool is_library(const char *path) {
  size_t n = strlen(path);
  return n > 3 && !strcmp(path + n - 3, ".so");
}

typedef struct device_trial { // of a device that nnc has chosen
  bool failed;
  char why[256];
} device_trial;

// The device cannot run the model: the CPU is to.
static bool give_up_device(const compile_job *j, device_trial *t) {
  t->failed = false;
  for (size_t i = 0; j->device_auto && j->device && i < j->diags.items.n; i++) {
    const diag *d = j->diags.items.at[i];
    if (d->id != DIAG_ID_device_failed) continue;
    t->failed = true;
    snprintf(t->why, sizeof t->why, "%s", d->text);
  }
  return t->failed;
}

// Opens on an arena whose guard is set; frees it on failure. `trial`: of the attempt before, and of this one.
static nnc_status open_in(arena *a, nnc_module **out, const char *path, const str *text, const nnc_compile_options *o,
                          device_trial *trial, nnc_diagnostics **diagnostics) {
  nnc_module *m = ARENA_NEW(a, nnc_module);
  compile_job *j = ARENA_NEW(a, compile_job);
  frontend_options front = front_options(o);
  m->a = a;
  bool ok = compile_begin(j, a, str_dup(a, str_of(path)), text, &front, o->cpu) &&
            compile_set_dtypes(j, o->weights_dtype, o->precision) &&
            (o->opencl_context ? compile_set_opencl(j, o->opencl_context, o->opencl_device)
                               : compile_set_device(j, o->device));
  diagnostics_bridge(a, &j->diags, o->sink, o->sink_user);
  if (trial->failed) j->why_cpu = trial->why;
  if (ok && !text && is_library(path)) ok = library_load(m, j, path, o->n_weights ? o->weights[0] : NULL);
  else if (ok) ok = compile_model(m, j, !o->no_cache);
  if (ok) module_describe(m);
  if (!ok && give_up_device(j, trial)) {
    arena_free(a);
    return NNC_E_ENVIRONMENT;
  }
  diag_flush(&j->diags);
  nnc_status status = ok ? NNC_OK : status_of(&j->diags);
  if (diagnostics) *diagnostics = diagnostics_detach(&j->diags);
  if (ok) *out = m;
  else arena_free(a);
  return ok ? NNC_OK : status ? status : NNC_E_INTERNAL;
}

// What unwinding leaves behind may be half made: only the status tells.
static nnc_status unwound_status(int code) { return code == 2 ? NNC_E_INTERNAL : NNC_E_ENVIRONMENT; }

// The caller's options, those of an older header included: what it does not know is 0.
static bool read_options(nnc_compile_options *out, const nnc_compile_options *given) {
  *out = (nnc_compile_options)NNC_COMPILE_OPTIONS_INIT;
  if (!given) return true;
  if (given->size < offsetof(nnc_compile_options, no_cache) || given->size > sizeof *out) return false;
  memcpy(out, given, given->size);
  return true;
}

static nnc_status open_once(nnc_module **out, const char *path, const str *text, const nnc_compile_options *o,
                            device_trial *trial, nnc_diagnostics **diagnostics) {
  arena *a = arena_new(NULL);
  if (!a) return NNC_E_ENVIRONMENT;
  int code = setjmp(*arena_guard(a));
  if (!code) return open_in(a, out, path, text, o, trial, diagnostics);
  arena_free(a);
  return unwound_status(code);
}

static nnc_status open_module(nnc_module **out, const char *path, const str *text, const nnc_compile_options *given,
                              nnc_diagnostics **diagnostics) {
  nnc_compile_options o;
  device_trial trial = {.failed = false};
  if (!read_options(&o, given) || !o.opencl_context != !o.opencl_device || (o.opencl_context && o.device))
    return NNC_E_ARGUMENT;
  *out = NULL;
  if (diagnostics) *diagnostics = NULL;
  nnc_status status = open_once(out, path, text, &o, &trial, diagnostics);
  if (!trial.failed) return status;
  o.device = NULL;
  return open_once(out, path, text, &o, &trial, diagnostics);
}

nnc_status nnc_module_open(nnc_module **out, const char *path, const nnc_compile_options *options,
                           nnc_diagnostics **diagnostics) {
  if (!out || !path) return NNC_E_ARGUMENT;
  return open_module(out, path, NULL, options, diagnostics);
}

nnc_status nnc_module_compile(nnc_module **out, const char *text, size_t text_bytes, const char *name,
                              const nnc_compile_options *options, nnc_diagnostics **diagnostics) {
  if (!out || !text || !name) return NNC_E_ARGUMENT;
  str s = {text, text_bytes};
  return open_module(out, name, &s, options, diagnostics);
}

void nnc_module_free(nnc_module *m) {
  if (m) arena_free(m->a);
}

// Saves on an arena whose guard is set; the module stays as it is.
static nnc_status save_in(arena *a, const nnc_module *m, const char *library_path, nnc_weights_mode mode,
                          nnc_diagnostics **diagnostics) {
  diag_list *l = ARENA_NEW(a, diag_list);
  diag_init(l, a);
  const image *im = &m->job->image;
  char *gathered = m->job->block ? NULL : arena_alloc(a, (size_t)m->rt.plan->constants_bytes);
  for (size_t i = 0; gathered && i < im->n_constants; i++)
    if (im->constants[i].used) memcpy(gathered + im->constants[i].offset, m->rt.constants[i], im->constants[i].bytes);
  bool ok = aot_write(a, l, im, m->job->device != NULL, gathered ? gathered : m->job->block,
                      mode == NNC_WEIGHTS_FILE ? AOT_weights_file : AOT_weights_embed, library_path);
  if (diagnostics) *diagnostics = diagnostics_detach(l);
  return ok ? NNC_OK : status_of(l);
}

nnc_status nnc_module_save_as(const nnc_module *m, const char *library_path, nnc_weights_mode mode,
                              nnc_diagnostics **diagnostics) {
  if (diagnostics) *diagnostics = NULL;
  if (!m || !library_path || !m->job || (unsigned)mode > NNC_WEIGHTS_FILE) return NNC_E_ARGUMENT;
  arena *a = arena_new(NULL);
  if (!a) return NNC_E_ENVIRONMENT;
  int code = setjmp(*arena_guard(a));
  nnc_status status = code ? unwound_status(code) : save_in(a, m, library_path, mode, diagnostics);
  arena_free(a);
  return status;
}

nnc_status nnc_module_save(const nnc_module *m, const char *library_path, nnc_diagnostics **diagnostics) {
  return nnc_module_save_as(m, library_path, NNC_WEIGHTS_EMBED, diagnostics);
}

nnc_status nnc_module_get_stats(const nnc_module *m, nnc_module_stats *stats) {
  if (!m || !stats) return NNC_E_ARGUMENT;
  *stats = m->stats;
  return NNC_OK;
}
