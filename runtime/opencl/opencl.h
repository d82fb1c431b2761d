// OpenCL devices for the runtime: what there is, programs built for one of them, and a module's device
// (runtime/device.h) made of such a program. Part of libnnc, and of AOT libraries that have kernels for a device.
//
//   rt_opencl (the library, its devices)  ->  rt_opencl_program (context, built kernels; one a module)  ->  rt_device
//
// No function prints, exits or aborts; errors are a status and one line.
#ifndef NNC_RUNTIME_OPENCL_OPENCL_H
#define NNC_RUNTIME_OPENCL_OPENCL_H

#include "runtime/device.h"
#include "runtime/rt.h"

typedef struct rt_opencl rt_opencl;

typedef enum rt_opencl_type { RT_OPENCL_cpu, RT_OPENCL_gpu, RT_OPENCL_accelerator, RT_OPENCL_other } rt_opencl_type;

typedef struct rt_opencl_device { // as the driver tells it; whoever checks a limit reads it here
  char platform[128], platform_version[128], name[128], vendor[128], driver[128];
  char c_version[64]; // "OpenCL C 1.2 ..."
  rt_opencl_type type;
  bool available, has_compiler, little_endian, fp16, fp64;
  bool nvidia_assembly;          // its driver is NVIDIA's, by its extensions: inline PTX may be tried
  bool matrices, matrices_tried; // see rt_opencl_has_matrices
  bool exact_division;           // correctly rounded f32 divisions and roots, when asked for
  uint32_t compute_units, clock_mhz, address_bits;
  uint32_t vector_f32;    // preferred width of float vectors
  uint32_t max_subgroups; // of a work-group; 0: no sub-groups
  uint64_t memory_bytes, max_alloc_bytes, local_bytes, constant_bytes;
  bool local_is_memory; // local memory is no faster than global memory
  uint64_t max_group;   // work-items of a work-group
  uint64_t max_items;   // of its first dimension
} rt_opencl_device;

// Opens the library and lists devices: platforms in their order, each one's devices in theirs. RT_E_DEVICE: there is no
// library, no driver or no device. *out: free with rt_opencl_close, after its programs.
rt_status rt_opencl_open(rt_opencl **out, rt_error *err);
void rt_opencl_close(rt_opencl *cl); // NULL is fine
uint32_t rt_opencl_count(const rt_opencl *cl);
const rt_opencl_device *rt_opencl_get(const rt_opencl *cl, uint32_t i);

// The device that "opencl" (the first GPU, else the first device) or "opencl:N" names. RT_E_INVALID: the text is none
// of these; RT_E_DEVICE: there is no such device, or it cannot be used.
rt_status rt_opencl_find(const rt_opencl *cl, const char *text, uint32_t *device, rt_error *err);
bool rt_opencl_names(const char *text);                         // "opencl", "opencl:N"
bool rt_opencl_find_gpu(const rt_opencl *cl, uint32_t *device); // the first that can be used; false: there is none

// Do the device's warps multiply bf16 by one instruction? Tried at the first question, which builds and runs a small
// program, and remembered.
bool rt_opencl_has_matrices(rt_opencl *cl, uint32_t device);

// The caller's cl_context and cl_device_id: programs built from here on are made in it. *device: which one it is.
// RT_E_INVALID: the context has no such device. Both must be of this machine's libOpenCL.
rt_status rt_opencl_adopt(rt_opencl *cl, void *context, void *id, uint32_t *device, rt_error *err);

const char *rt_opencl_type_name(rt_opencl_type t);
const char *rt_opencl_error_name(int code);     // "CL_INVALID_VALUE"; "an unknown code"
const char *rt_opencl_error_sentence(int code); // what it means for the user

// What the printer of OpenCL C says of a kernel.
typedef struct rt_opencl_kernel {
  uint32_t lanes;         // work-items of a grid point; 0: the device has no such kernel, the host runs it
  uint32_t flags;         // RT_OPENCL_NEEDS_FP64 …, below
  uint64_t local_bytes;   // local memory of a group
  uint64_t scratch_bytes; // global memory of each work-item (lanes = 1) or group that is launched
} rt_opencl_kernel;
enum {
  RT_OPENCL_NEEDS_FP64 = 1,
  RT_OPENCL_USES_MATRICES = 2, // and has a form for devices without
  RT_OPENCL_ROUTINE = 4        // the host has it too
};

// The text of all kernels of a plan, and a row for each.
typedef struct rt_opencl_source {
  const char *options; // for the driver's compiler
  const char *text;
  size_t text_bytes;
  const rt_opencl_kernel *kernels; // [n_kernels]: of the plan, in its order
  size_t n_kernels;
} rt_opencl_source;

// The same as bytes that may lie anywhere: this head, then at these distances from its begin the rows and the texts,
// each with a 0 behind it.
typedef struct rt_opencl_packed {
  uint64_t bytes; // of all
  uint64_t n_kernels, rows, options, text, text_bytes;
} rt_opencl_packed;
// Borrows the bytes. false: not all of it lies in the first `room` bytes.
bool rt_opencl_unpack(const rt_opencl_packed *p, uint64_t room, rt_opencl_source *out);

// Options for a device beside the source's own: a part of what its build depends on.
const char *rt_opencl_device_options(rt_opencl *cl, uint32_t device, const rt_opencl_source *source);

typedef struct rt_opencl_program rt_opencl_program;
enum { RT_OPENCL_LOG = 4096 };

// Builds a module's kernels for a device, from `binary` when there is one. Checks first that the device can run each:
// work-group, local memory, types; a driver may end the process when asked for more than it has. All borrowed, for the
// program's life. A routine that the device cannot run is no error: the host runs it. `log`: [RT_OPENCL_LOG], what the
// driver's compiler said, "" when nothing. RT_E_INVALID: the binary is not for this device or damaged: build from
// source.
rt_status rt_opencl_build(rt_opencl_program **out, rt_opencl *cl, uint32_t device, const rt_plan *plan,
                          const rt_opencl_source *source, const void *binary, size_t binary_bytes, char *log,
                          rt_error *err);
// Does the host run a kernel? Those that the text has not, and routines that the device cannot run.
bool rt_opencl_on_host(const rt_opencl_program *p, uint32_t kernel);
// Did the driver's compiler refuse the text until its routines were left out? `log` says why.
bool rt_opencl_lacks_routines(const rt_opencl_program *p);
void rt_opencl_program_free(rt_opencl_program *p); // after its sessions; NULL is fine
const rt_device *rt_opencl_program_device(const rt_opencl_program *p);

// -- a session's objects and the caller's: share.c --

// The session's cl_context, cl_device_id and cl_command_queue, borrowed; any may be NULL.
void rt_opencl_objects(const rt_session *s, void **context, void **id, void **queue);
// The caller's cl_command_queue for a session that has run nothing yet. RT_E_INVALID: it is of another context or
// device, or does not keep its commands in order.
rt_status rt_opencl_use_queue(rt_session *s, void *queue, rt_error *err);

typedef struct rt_opencl_tensor {
  rt_tensor tensor; // data NULL where `mem` is not
  void *mem;        // cl_mem of the session's context; NULL: the tensor's data
  uint64_t offset;  // of the first element, in bytes
} rt_opencl_tensor;

// rt_start with tensors in the caller's cl_mem. Outputs there stay there. RT_E_INVALID: one is of another context, or
// too small.
rt_status rt_opencl_start(rt_session *s, uint32_t program, const rt_opencl_tensor *in, const rt_opencl_tensor *out,
                          rt_error *err);

// The built program as the driver keeps it: its size, 0 where it has none; then its bytes.
size_t rt_opencl_binary_bytes(const rt_opencl_program *p);
bool rt_opencl_binary(const rt_opencl_program *p, void *to, size_t bytes);

#endif
