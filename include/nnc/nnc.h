/* nnc: compiles a neural network, described in YAML, into machine code, and runs it.
 *
 *   nnc_module *m;  nnc_session *s;
 *   if (nnc_module_open(&m, "model.yaml", NULL, NULL)) ...
 *   nnc_session_new(&s, m, NULL);
 *   float image[64], scores[10];
 *   nnc_tensor in = nnc_tensor_of(NNC_F32, image, 3, (int64_t[]){1, 8, 8});
 *   nnc_tensor out = nnc_tensor_of(NNC_F32, scores, 2, (int64_t[]){1, 10});
 *   nnc_run(s, 0, &in, 1, &out, 1);
 *
 * Conventions. Functions that can fail return nnc_status: 0 is success. Out parameters come first. Handles are opaque;
 * what a function returns by pointer is borrowed until its owner is freed; what it stores through a `**` is owned by
 * the caller and freed by the function that the comment names. Options structs begin with their own size and grow at
 * the end: initialise them with NNC_*_INIT. The library never prints, exits or aborts; it has no global state. Shapes
 * are row-major; sizes are in bytes unless the name says otherwise.
 *
 * Threads. A module is immutable: any number of threads may use it at once. A session is used by one thread at a time.
 */
#ifndef NNC_NNC_H
#define NNC_NNC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NNC_API __attribute__((visibility("default")))
#else
#define NNC_API
#endif

#define NNC_VERSION_MAJOR 0
#define NNC_VERSION_MINOR 1
#define NNC_VERSION_PATCH 0

typedef enum nnc_status {
  NNC_OK = 0,
  NNC_E_MODEL = 1,       /* the model, its weights or an input is wrong: see the diagnostics */
  NNC_E_ARGUMENT = 2,    /* the call is wrong: a NULL, an index out of range, options that clash */
  NNC_E_ENVIRONMENT = 3, /* a file, memory or device failed */
  NNC_E_DATA = 4,        /* input values are wrong: an index out of range while running */
  NNC_E_INTERNAL = 5     /* a bug in nnc */
} nnc_status;

typedef enum nnc_dtype { NNC_F32, NNC_F16, NNC_BF16, NNC_F64, NNC_I8, NNC_U8, NNC_I32, NNC_I64, NNC_BOOL } nnc_dtype;

enum { NNC_MAX_RANK = 12 };

/* A tensor in the caller's memory: `data` holds the elements in row-major order, one byte for each bool. */
typedef struct nnc_tensor {
  nnc_dtype dtype;
  uint32_t rank;
  int64_t dim[NNC_MAX_RANK];
  void *data; /* borrowed during the call; an input that is optional may have NULL */
} nnc_tensor;

/* ---- diagnostics
 * ------------------------------------------------------------------------------------------------------------- */

typedef enum nnc_severity { NNC_NOTE, NNC_WARNING, NNC_ERROR } nnc_severity;

/* One message, rendered: `text` is the whole of it (place, source line, caret, notes), ending in a newline. */
typedef struct nnc_diagnostic {
  nnc_severity severity;
  const char *id;        /* stable name such as "unknown_name" */
  const char *file;      /* "" when the message has no place */
  uint32_t line, column; /* from 1; columns count characters; 0 when there is no place */
  const char *message;   /* one line, without place */
  const char *text;
} nnc_diagnostic;

/* A list of diagnostics; owned by the caller, freed with nnc_diagnostics_free (NULL is fine). Immutable. */
typedef struct nnc_diagnostics nnc_diagnostics;
NNC_API size_t nnc_diagnostics_count(const nnc_diagnostics *list);
NNC_API const nnc_diagnostic *nnc_diagnostics_get(const nnc_diagnostics *list,
                                                  size_t i); /* borrowed until the list is freed; NULL out of range */
NNC_API void nnc_diagnostics_free(nnc_diagnostics *list);

/* ---- modules
 * ------------------------------------------------------------------------------------------------------------------ */

typedef struct nnc_module nnc_module;

typedef struct nnc_setting {
  const char *key, *value;
} nnc_setting;

typedef struct nnc_compile_options {
  size_t size;                /* sizeof(nnc_compile_options) */
  const char *const *configs; /* config files, "FILE" or "INCLUDE=FILE" */
  size_t n_configs;
  const nnc_setting *sets; /* config keys: value is an expression of the language */
  size_t n_sets;
  const nnc_setting *dims; /* dims pinned to a number */
  size_t n_dims;
  const char *const *weights; /* safetensors files, or "random[:SEED]"; none: the model's own `weights:` section */
  size_t n_weights;           /* for a .so: its file of weights, when it has one and that is not beside it */
  const char *cpu;  /* "native" (NULL), "x86-64", "x86-64-v3", "x86-64-v4", "x86-64-v4-bf16", "x86-64-v4-amx" */
  unsigned threads; /* compile threads; 0 = one per core, at most 8 */
  void (*sink)(void *user, const nnc_diagnostic *d); /* called for each message as it is known; optional */
  void *sink_user;
  int no_cache; /* 1: neither read nor write the cache of compiled models and prepared weights (docs/runtime.md) */
  const char
      *approx; /* NULL, or "linear-attention=elu1": softmax attention becomes linear, other numbers, with warnings */
  const char *weights_dtype; /* how weights lie in memory: "f32" (NULL), "bf16", "f16", "q8", "q4" (docs/runtime.md) */
  /* What runs the model: "cpu" (NULL), "opencl" (the first GPU that OpenCL has, else its first device), "opencl:N" as
   * `nnc devices` counts; "auto": the first GPU when it can run the model, else the CPU, with a note that says
   * which and why. Sessions of such a module take and give tensors in the host's memory like any other; each has
   * memory of its own on the device, for weights too. With a device `cpu` must be NULL, and the module cannot be saved.
   * NNC_E_ENVIRONMENT: there is no such device, or it cannot run the model. */
  const char *device;
  /* How tensors between kernels lie in memory: "f32" (NULL) as the model declares them, "bf16": f32 ones rounded, and
   * weights too unless `weights_dtype` says otherwise, "int8": products with weights in bytes besides; sums, norms and
   * softmax stay f32 (docs/precision.md). */
  const char *precision;
  void *opencl_context, *opencl_device; /* the caller's own, instead of `device`: see nnc/nnc_opencl.h */
} nnc_compile_options;
#define NNC_COMPILE_OPTIONS_INIT                                                                                       \
  {                                                                                                                    \
    sizeof(nnc_compile_options), NULL, 0, NULL, 0, NULL, 0, NULL, 0, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL,   \
        NULL, NULL                                                                                                     \
  }

/* Opens a model: a `.yaml` is compiled in this process, a `.so` that nnc_module_save wrote is loaded. `options` and
 * `diagnostics` may be NULL. *out: owned, free with nnc_module_free; NULL on failure. *diagnostics: errors and
 * warnings, owned by the caller; NULL only where memory ran out before there was a list. */
NNC_API nnc_status nnc_module_open(nnc_module **out, const char *path, const nnc_compile_options *options,
                                   nnc_diagnostics **diagnostics);
/* The same for YAML text in memory; `name` stands for the file in messages, and relative paths start from its folder.
 * `text` is copied. */
NNC_API nnc_status nnc_module_compile(nnc_module **out, const char *text, size_t text_bytes, const char *name,
                                      const nnc_compile_options *options, nnc_diagnostics **diagnostics);
NNC_API void nnc_module_free(nnc_module *m); /* after its sessions; NULL is fine */

/* Writes a self-contained shared library and, beside it, a C header with typed entry points. `library_path` ends in
 * .so; the header has the same stem. Needs the system linker (`ld`). Only for modules compiled from YAML. */
NNC_API nnc_status nnc_module_save(const nnc_module *m, const char *library_path, nnc_diagnostics **diagnostics);
/* The same, with the weights where `mode` says: in the library (at most 1 GiB), or in a file of their own beside it,
 * with the same stem and the extension .weights. */
typedef enum nnc_weights_mode { NNC_WEIGHTS_EMBED, NNC_WEIGHTS_FILE } nnc_weights_mode;
NNC_API nnc_status nnc_module_save_as(const nnc_module *m, const char *library_path, nnc_weights_mode mode,
                                      nnc_diagnostics **diagnostics);

/* What a module offers. Strings and structs are borrowed until the module is freed. */
typedef struct nnc_tensor_info {
  const char *name;
  nnc_dtype dtype;
  uint32_t rank;
  const char *shape; /* "[batch, 8, 8]": each dim a number or an expression over named dims */
  int optional;      /* inputs: has a default, may be left out */
} nnc_tensor_info;
typedef struct nnc_dim_info {
  const char *name;
  int64_t lo, hi, step;
} nnc_dim_info;

NNC_API const char *nnc_module_name(const nnc_module *m);
NNC_API size_t nnc_module_entry_count(const nnc_module *m);
NNC_API const char *nnc_module_entry_name(const nnc_module *m,
                                          size_t entry); /* NULL out of range; entry 0 is `forward` when there is one */
NNC_API size_t nnc_module_input_count(const nnc_module *m, size_t entry);
NNC_API size_t nnc_module_output_count(const nnc_module *m, size_t entry);
NNC_API nnc_status nnc_module_input(const nnc_module *m, size_t entry, size_t i, nnc_tensor_info *info);
NNC_API nnc_status nnc_module_output(const nnc_module *m, size_t entry, size_t i, nnc_tensor_info *info);
NNC_API size_t nnc_module_dim_count(const nnc_module *m);
NNC_API nnc_status nnc_module_dim(const nnc_module *m, size_t i, nnc_dim_info *info);

typedef struct nnc_module_stats {
  double frontend_ms, passes_ms, codegen_ms, prepare_ms,
      total_ms; /* 0 for a loaded library; 0, or nearly, for what came from the cache */
  uint64_t kernels, code_bytes, constant_bytes, parameters;
} nnc_module_stats;
NNC_API nnc_status nnc_module_get_stats(const nnc_module *m, nnc_module_stats *stats);

/* ---- sessions
 * ----------------------------------------------------------------------------------------------------------------- */

typedef struct nnc_session nnc_session;

/* Threads of the host program, for sessions that shall have none of their own. `run` calls work(arg, i) once for each i
 * below n, in any threads, at the same time or one after another, and returns when all of these calls have; what they
 * wrote is then seen by its caller, as after any join. nnc_run calls it in its own thread, several times a run, n at
 * most `threads`; some memory is set aside for each of them. The calls take work as they come to it, so that one that
 * starts late delays nobody. */
typedef struct nnc_executor {
  unsigned threads;
  void (*run)(void *user, unsigned n, void (*work)(void *arg, unsigned i), void *arg);
  void *user;
} nnc_executor;

typedef struct nnc_session_options {
  size_t size;              /* sizeof(nnc_session_options) */
  unsigned threads;         /* threads that run a model, the caller included; 0 = one per core this process may use */
  uint64_t max_arena_bytes; /* refuse sizes that need more; 0 = no limit */
  const nnc_executor
      *executor; /* NULL: threads of the session's own; else `threads` is 0; copied, its `user` borrowed */
  const unsigned
      *cpus;     /* binds the session's thread i to CPU cpus[i % n_cpus]; thread 0 is the caller's, which binds */
  size_t n_cpus; /* itself. 0: the system places them. NNC_E_ENVIRONMENT: it refuses one of them */
} nnc_session_options;
#define NNC_SESSION_OPTIONS_INIT                                                                                       \
  { sizeof(nnc_session_options), 0, 0, NULL, NULL, 0 }

/* *out: owned, free with nnc_session_free, before the module. Results do not depend on the number of threads, bit for
 * bit. */
NNC_API nnc_status nnc_session_new(nnc_session **out, const nnc_module *m, const nnc_session_options *options);
NNC_API void nnc_session_free(nnc_session *s);
NNC_API nnc_status nnc_session_set_dim(nnc_session *s, const char *name,
                                       int64_t value); /* for dims that no input binds */
/* State of the model (caches, counters) lives in the session: the first run that uses it makes its memory and fixes the
 * dims in its type, and each run that succeeds leaves its new value; a run that fails leaves it as it was
 * (or, where a device fails in doing that, at the initial value). Reset gives
 * the initial value and frees the dims. */
NNC_API nnc_status nnc_session_reset(nnc_session *s);

/* Fills outputs' dtype, rank and dim for the given inputs (their data is not read). */
NNC_API nnc_status nnc_shapes(nnc_session *s, size_t entry, const nnc_tensor *inputs, size_t n_inputs,
                              nnc_tensor *outputs, size_t n_outputs);
/* Runs an entry on the caller's buffers. Each output's data must have room for its shape, and its dtype, rank and dim
 * must be that shape. No allocation once a set of sizes has been run. On failure nnc_session_error says why in one
 * line. */
NNC_API nnc_status nnc_run(nnc_session *s, size_t entry, const nnc_tensor *inputs, size_t n_inputs, nnc_tensor *outputs,
                           size_t n_outputs);
/* The same in two calls, between which the caller does something else. nnc_run_async checks the call as nnc_run does:
 * when it fails nothing runs. Else the run is under way, on a device enqueued, on the CPU in a thread that the session
 * makes for it, and nnc_wait returns when it is over, with its status. Of a device's model it waits only where a step
 * of the host needs what the device computes: the conditions of loops and branches, what the device cannot run.
 *
 * Until nnc_wait the data of inputs and outputs belong to the session: inputs may not change, outputs are not to be
 * read. The arrays of nnc_tensor themselves may go. Meanwhile every other call on the session is refused
 * (NNC_E_ARGUMENT), but for nnc_session_free, which waits, and nnc_session_error. nnc_wait without a run under way is
 * NNC_E_ARGUMENT. Either may be called by any thread, one at a time. A trace's function is called in whichever thread
 * runs the step. */
NNC_API nnc_status nnc_run_async(nnc_session *s, size_t entry, const nnc_tensor *inputs, size_t n_inputs,
                                 nnc_tensor *outputs, size_t n_outputs);
NNC_API nnc_status nnc_wait(nnc_session *s);
NNC_API const char *nnc_session_error(
    const nnc_session *s); /* of the last failed call on this session; borrowed until the next call */

/* Profiles: what a run did and when, as `nnc run --profile` writes it. */
typedef enum nnc_trace_kind {
  NNC_TRACE_KERNEL, /* one step of the entry, from its begin to its end */
  NNC_TRACE_SHARE,  /* what another thread did of that step, from its first piece to its last */
  NNC_TRACE_TURN    /* one turn of a loop, around the events of what ran in it */
} nnc_trace_kind;
typedef struct nnc_trace_event {
  nnc_trace_kind kind;
  uint32_t step;         /* its number in the entry's plan (`nnc show --stage plan`); for a turn, the loop's */
  uint32_t thread;       /* 0: the thread that called nnc_run; less than the session's threads */
  uint32_t yaml_line;    /* of what it computes, 0 if none */
  const char *label;     /* what it computes, "contract encoder.0.fc1"; strings: borrowed until the module is freed */
  const char *kernel;    /* the symbol of its code; "" for a turn */
  const char *yaml_file; /* without its folder */
  int64_t start_ns, end_ns; /* of CLOCK_MONOTONIC; events of one thread nest or lie apart */
  int64_t points;           /* pieces of work in the step, or in the thread's share of it */
  uint64_t macs;            /* NNC_TRACE_KERNEL: multiply-adds of contractions, as the model is written; of others 0 */
  uint64_t bytes_read, bytes_written; /* NNC_TRACE_KERNEL: of its operands, each once: a lower bound */
} nnc_trace_event;
typedef void (*nnc_trace_fn)(void *user, const nnc_trace_event *event);
/* `f` is called during nnc_run, in its thread, after each of them; `event` is borrowed during the call. It may not use
 * the session. NULL switches off; while a run is under way nothing changes. Cost: nothing but a branch a kernel when
 * off; when on, two readings of the clock for each kernel and each piece of some 20 us, and what `f` takes, which no
 * event contains. */
NNC_API void nnc_session_trace(nnc_session *s, nnc_trace_fn f, void *user);
NNC_API uint64_t nnc_session_arena_bytes(const nnc_session *s);

/* ---- helpers
 * ------------------------------------------------------------------------------------------------------------------ */

NNC_API nnc_tensor nnc_tensor_of(nnc_dtype dtype, void *data, uint32_t rank, const int64_t *dim);
NNC_API size_t nnc_tensor_bytes(const nnc_tensor *t); /* SIZE_MAX when the product overflows */
NNC_API size_t nnc_dtype_bytes(nnc_dtype dtype);
NNC_API const char *nnc_dtype_name(nnc_dtype dtype); /* "f32" */
NNC_API const char *nnc_status_text(nnc_status status);
NNC_API const char *nnc_version(void); /* "0.1.0" */

#ifdef __cplusplus
}
#endif
#endif
