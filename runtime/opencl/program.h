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
};

// A buffer of a program, a constant or a state: where its memory is on either side, and which of them holds its value.
// Neither does before the first write.
typedef struct mirror {
  cl_mem mem;        // NULL until the device needs it
  uint64_t capacity; // of mem, when it is the mirror's own
  uint64_t offset;   // in mem: of an arena buffer in the arena
  uint64_t bytes;
  void *host;
  bool on_host, on_device;
  bool in_arena; // mem is the session's arena
} mirror;

struct rt_device_session {
  const rt_opencl_program *p;
  rt_session *s;
  cl_command_queue queue;
  cl_kernel *kernels; // [plan kernels]; NULL where the host runs it
  cl_mem arena, scratch, fault;
  uint64_t arena_capacity, scratch_capacity;
  uint32_t program;                   // that runs
  mirror *inputs, *outputs, *buffers; // [most of any program]
  mirror *constants, *states;         // [outputs of program 0], [plan n_states]
};

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
rt_status rt_cl_outputs_to_host(rt_device_session *d, rt_error *err);
// Makes *mem at least so large; what it held is gone when it grows. `what` names it in errors.
rt_status rt_cl_grow(const rt_device_session *d, cl_mem *mem, uint64_t *capacity, uint64_t bytes, const char *what,
                     rt_error *err);

// -- device.c --
extern const rt_device rt_opencl_functions;

#endif
