// The inside of a program and of its sessions, shared by program.c, memory.c and device.c.
#ifndef NNC_RUNTIME_OPENCL_PROGRAM_H
#define NNC_RUNTIME_OPENCL_PROGRAM_H

#include "runtime/opencl/loader.h"
#include "runtime/session.h"

struct rt_opencl_program {
  rt_device device; // first: what the executor holds is this program
  rt_opencl *cl;
  uint32_t number; // of the device
  const rt_plan *plan;
  rt_opencl_source source;
  cl_context context;
  cl_program program;
  bool *on_host;       // [plan kernels]
  bool lacks_routines; // the program was built without them, for its compiler refused them
};

// Memory of the device. A driver may give a new block the handle of one that is gone: versions tell them apart.
typedef struct block {
  cl_mem mem; // NULL until it is needed
  uint64_t bytes;
  uint64_t version; // of a session's blocks no two have the same
} block;

// A buffer of a program, a constant or a state: where its memory is on either side, and which of them holds its value.
// Neither does before the first write.
typedef struct mirror {
  block own;
  block given;     // the caller's, during a run
  block *in;       // one of these, or the session's arena
  uint64_t offset; // in that
  uint64_t bytes;
  void *host;
  bool on_host, on_device;
  bool steady; // nobody writes the host's memory before the run is over
} mirror;

// A step of the plan on the device: a kernel object of its own, so that arguments stay from one run to the next.
typedef struct launch {
  cl_kernel kernel;    // NULL until it first runs
  cl_uint n_known;     // arguments that have been set
  uint64_t *arguments; // what they are: numbers, and versions of blocks
} launch;

// The host's side of a tensor that lies in the caller's cl_mem: touched only where a step of the host needs it.
typedef struct shadow {
  void *at;
  uint64_t bytes;
} shadow;

struct rt_device_session {
  const rt_opencl_program *p;
  rt_session *s;
  cl_command_queue queue;
  cl_kernel *kernels; // [plan kernels]: made when the session opens, each taken by the first step that runs it
  launch *launches;   // [plan steps]
  uint64_t *arguments;
  block arena, scratch, fault;
  uint64_t versions;                  // of blocks, so far
  cl_ulong fault_word;                // on the host, as of the last `end`
  cl_event last;                      // of the run's last command; NULL before `end`
  uint32_t program;                   // that runs
  mirror *inputs, *outputs, *buffers; // [most of any program]
  mirror *constants, *states;         // [outputs of program 0], [plan n_states]
  shadow *shadows;                    // [most inputs and outputs of any program], made by the first rt_opencl_start
  rt_tensor *tensors;                 // the same
  const rt_opencl_tensor *given_in, *given_out; // of the run that begins; NULL: all is in host memory
};

typedef struct maxima { // of any program
  uint32_t inputs, outputs, buffers;
} maxima;
maxima rt_cl_most(const rt_plan *p);

// -- memory.c --
rt_status rt_cl_memory_open(rt_device_session *d, rt_error *err);
void rt_cl_memory_free(rt_device_session *d); // also of what `open` has left half made
// The mirrors of the program that begins: sizes, host memory, and what holds a value.
rt_status rt_cl_memory_begin(rt_device_session *d, const rt_tensor *in, const rt_tensor *out, bool fresh_states,
                             rt_error *err);
mirror *rt_cl_mirror_of(rt_device_session *d, const rt_step *step, uint32_t buffer); // of a step's operand
// The value on that side, copied there when it is only on the other; on the device, memory for it in any case.
rt_status rt_cl_to_device(rt_device_session *d, mirror *m, rt_error *err);
rt_status rt_cl_to_host(rt_device_session *d, mirror *m, rt_error *err);
// Outputs to where the caller wants them; does not wait.
rt_status rt_cl_outputs_home(rt_device_session *d, rt_error *err);
// Makes the block at least so large; what it held is gone when it grows. `what` names it in errors.
rt_status rt_cl_grow(rt_device_session *d, block *b, uint64_t bytes, const char *what, rt_error *err);

// Of a tensor's elements; false where that overflows.
bool rt_cl_tensor_bytes(const rt_tensor *t, uint64_t *bytes);

// -- share.c --
void rt_cl_shadows_free(rt_device_session *d);

// -- launch.c --
rt_status rt_cl_launches_open(rt_device_session *d, rt_error *err); // a kernel object for each kernel of the device
void rt_cl_launches_free(rt_device_session *d);
bool rt_cl_has_kernel(const rt_device_session *d, const rt_step *step);
// Enqueues a kernel step, whose operands are on the device.
rt_status rt_cl_launch(rt_device_session *d, const rt_step *step, const bound_step *b, rt_error *err);

// -- device.c --
extern const rt_device rt_opencl_functions;

#endif
