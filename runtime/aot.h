// What an AOT library holds and offers. `nnc_aot_model` is written by codegen/aot; the functions are aliased under the
// model's name
// (`digits_open` …) and declared by the header that `nnc compile` writes. Plain C types only: that header must stand
// alone.
#ifndef NNC_RUNTIME_AOT_H
#define NNC_RUNTIME_AOT_H

#include "runtime/rt.h"

enum { RT_AOT_ABI = 3 };
#define RT_AOT_MAGIC UINT64_C(0x31746f61636e6e00) // "\0nncaot1"

typedef struct rt_aot_model {
  uint64_t magic;
  uint64_t abi;             // RT_AOT_ABI
  const void *plan;         // the plan blob
  const rt_kernel *kernels; // [plan kernels]; NULL: the device's
  const void *constants;    // the constants block, 4096-byte aligned; NULL: it is in a file (runtime/weights.h)
  uint64_t layout[2];       // which such a file must have
  const struct rt_opencl_packed *device; // kernels of an OpenCL device (runtime/opencl); NULL: the CPU has all
} rt_aot_model;

#define RT_AOT_API __attribute__((visibility("default"))) // the linker exports only what it is told to

extern RT_AOT_API const rt_aot_model nnc_aot_model;

typedef struct rt_aot_session rt_aot_session;

// Opens a session. threads: 0 = one per CPU this process may use. 0, or an rt_status: *out is then NULL (no memory), or
// a session that tells why (nnc_aot_error) and can only be closed.
RT_AOT_API int nnc_aot_open(rt_aot_session **out, unsigned threads);
// The same for a library whose weights are in a file: beside it under its own name, or at `path`.
RT_AOT_API int nnc_aot_open_beside(rt_aot_session **out, unsigned threads);
RT_AOT_API int nnc_aot_open_file(rt_aot_session **out, unsigned threads, const char *path);
// The same for a library with kernels of an OpenCL device, which holds its weights itself. `device`: "opencl", the
// first GPU, else the first device; "opencl:N". NULL: "opencl".
RT_AOT_API int nnc_aot_open_opencl(rt_aot_session **out, unsigned threads);
RT_AOT_API int nnc_aot_open_device(rt_aot_session **out, unsigned threads, const char *device);
RT_AOT_API void nnc_aot_close(rt_aot_session *s);
// Runs entry `entry` (0 = the first): dims[i] is the value of the i-th dim of the model, or -1 if the entry does not
// use it; args are the inputs' data, then the outputs' data. An optional input may be NULL.
RT_AOT_API int nnc_aot_call(rt_aot_session *s, unsigned entry, const int64_t *dims, void *const *args);
// States: initial values again, dims free again; the size of a dim that no input has.
RT_AOT_API void nnc_aot_reset(rt_aot_session *s);
RT_AOT_API int nnc_aot_set_dim(rt_aot_session *s, const char *name, int64_t value);
RT_AOT_API const char *nnc_aot_error(const rt_aot_session *s); // of the last failed call; borrowed until the next

#endif
