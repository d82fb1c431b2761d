// The runtime: executes plans. Small, needs libc, libm and pthread only; linked into libnnc and into every AOT library.
//
//   rt_module (borrowed plan + kernels + constants, immutable, shared)  ->  rt_session (arena, bound dims, one thread
//   at a time)
//
// No function prints, exits or aborts. Errors are a status and a text in the caller's rt_error.
#ifndef NNC_RUNTIME_RT_H
#define NNC_RUNTIME_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "runtime/plan.h"
#include "runtime/pool.h"

typedef enum rt_status {
  RT_OK,
  RT_E_INVALID,
  RT_E_MEMORY,
  RT_E_DATA,
  RT_E_UNSUPPORTED, // a CPU too old
  RT_E_FILE,        // the file of weights is missing or wrong
  RT_E_DEVICE       // a device is missing, too small, or has failed
} rt_status;

typedef struct rt_error {
  char text[256]; // one line, no newline; "" when all is well
} rt_error;

// The kernel ABI, see codegen/llvm/llvm.h.
typedef void (*rt_kernel)(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
                          void *scratch, int64_t *fault);

typedef struct rt_module {
  const rt_plan *plan;      // borrowed, 8-byte aligned
  const rt_kernel *kernels; // [plan->kernels.count], borrowed; NULL where only the device has it
  const void *const
      *constants; // [outputs of program 0]: where each constant lies, borrowed; may be NULL while program 0 itself runs
  const struct rt_device *device; // that runs kernels, borrowed (runtime/device.h); NULL: the host runs all
} rt_module;

// Checks a blob of `size` bytes through and through: every offset, count, index and expression. After RT_OK the
// executor trusts it.
rt_status rt_plan_check(const void *blob, size_t size, rt_error *err);
uint64_t rt_checksum(const void *p,
                     size_t n); // of the whole plan with `checksum` taken as 0: pass the header field zeroed
unsigned rt_cpu_level(void);    // enum cpu_level that this process may run

// A tensor given by the caller. `data`: row-major, borrowed during the call.
typedef struct rt_tensor {
  rt_dtype dtype;
  uint32_t rank;
  int64_t dim[RT_MAX_RANK];
  void *data; // inputs: NULL = not given (optional inputs)
} rt_tensor;

typedef struct rt_session rt_session;

// `pool` is borrowed and may be shared by sessions; NULL = the calling thread alone. `max_arena_bytes` 0 = no limit.
rt_status rt_session_new(rt_session **out, const rt_module *m, rt_pool *pool, uint64_t max_arena_bytes, rt_error *err);
void rt_session_free(rt_session *s);

// The value of a named dim for programs whose inputs do not bind it.
rt_status rt_session_set_dim(rt_session *s, const char *name, int64_t value, rt_error *err);

// Gives every state its initial value again, and frees the dims that states have fixed.
void rt_session_reset(rt_session *s);

// Binds dims from the inputs' shapes, checks every input, and fills the shapes of outputs (dtype, rank, dim; data is
// left alone).
rt_status rt_shapes(rt_session *s, uint32_t program, const rt_tensor *in, rt_tensor *out, rt_error *err);

// Runs a program. `in[n_inputs]`; `out[n_outputs]`: data points to room for the shape that rt_shapes gives; outputs may
// not overlap inputs or each other. No allocation once a set of dims has been run. RT_E_DATA: a kernel recorded a
// fault, or a step found a dim, a condition or a number of turns wrong; outputs are then unspecified. A run that fails
// leaves states as they were.
rt_status rt_run(rt_session *s, uint32_t program, const rt_tensor *in, rt_tensor *out, rt_error *err);

// The same in two: rt_start binds and checks, and gives a device all its work, waiting only where a step of the host
// needs what the device computes; rt_finish does the rest, which without a device is all of it, and may be called by
// another thread. After an rt_start that succeeds rt_finish comes next. In between the data of `in` and `out` belong to
// the session, and what happened is told by rt_finish.
rt_status rt_start(rt_session *s, uint32_t program, const rt_tensor *in, rt_tensor *out, rt_error *err);
rt_status rt_finish(rt_session *s, rt_error *err);

// The same with shapes given by dims: dims[i] is the value of the plan's i-th dim, or -1 where the program does not use
// it; args are the inputs' data, then the outputs'. `room` holds n_inputs + n_outputs tensors and is overwritten.
rt_status rt_call(rt_session *s, uint32_t program, const int64_t *dims, void *const *args, rt_tensor *room,
                  rt_error *err);

// What a run did: one event a step that is a kernel, one a thread that helped with it, one a turn of a loop.
typedef enum rt_trace_kind {
  RT_TRACE_kernel, // a step, from its begin to its end, by the caller's thread
  RT_TRACE_share,  // of another thread in that step, from its first chunk to its last
  RT_TRACE_turn    // a turn of a loop, around the events of what ran in it
} rt_trace_kind;

typedef struct rt_trace_event {
  rt_trace_kind kind;
  uint32_t step;                      // of its program; for a turn, the loop's
  uint32_t thread;                    // 0: the caller of rt_run; less than rt_pool_threads
  uint32_t line;                      // of the YAML file, 0 if none
  const char *label;                  // what it computes
  const char *kernel;                 // its symbol, "" for a turn
  const char *file;                   // the YAML file's name without its folder
  int64_t start_ns, end_ns;           // of CLOCK_MONOTONIC
  int64_t points;                     // of the grid: all, or those of the thread's share
  uint64_t macs;                      // RT_TRACE_kernel: multiply-adds of the step, as the graph is written
  uint64_t bytes_read, bytes_written; // RT_TRACE_kernel: of its operands, each once: at least
} rt_trace_event;

// Calls `f` after each of them, in the caller's thread, outside of what is timed; strings are borrowed from the plan.
// NULL switches off. Costs two readings of the clock for each step and each chunk; one branch a step when off.
void rt_session_trace(rt_session *s, void (*f)(void *user, const rt_trace_event *event), void *user);

typedef struct rt_work {
  uint64_t macs, bytes_read, bytes_written; // as in an event
} rt_work;
// Of a kernel step, for the dims that were bound last; 0 where it overflows.
rt_work rt_step_work(const rt_session *s, const rt_step *step);
uint64_t rt_operand_bytes(const rt_session *s, const rt_step *step, uint32_t i); // of its i-th buffer

// During a trace's event: brings what the step reads and wrote to where its host buffers are, from a device.
rt_status rt_step_values(rt_session *s, uint32_t step, rt_error *err);

uint64_t rt_session_arena_bytes(const rt_session *s); // for the last bound dims
const char *rt_string(const rt_plan *p, uint32_t offset);
size_t rt_dtype_size(rt_dtype t);

#endif
