// The inside of a session, shared by the files of the executor.
#ifndef NNC_RUNTIME_SESSION_H
#define NNC_RUNTIME_SESSION_H

#include "runtime/rt.h"

typedef struct bound_step { // a step with its dims filled in
  rt_kernel kernel;
  void **buffers; // [n_buffers], patched where they are inputs or outputs
  int64_t *symbols, *grid;
  int64_t total, chunk; // grid points, and how many one claim takes
} bound_step;

typedef struct program_state {
  void *memory;  // one block for the arrays below
  int64_t *dims; // [plan dims]: what the steps are bound to
  bool bound;
  bound_step *steps;       // [n_steps]
  uint64_t *offset, *size; // [n_buffers]: arena offset, bytes
  uint32_t *order;         // [n_buffers]: scratch for placing
  uint64_t arena_bytes;
  char *defaults; // the optional inputs' default values, each as a whole tensor
  uint64_t defaults_bytes;
  uint64_t *default_offset; // [n_inputs]: place in `defaults`
} program_state;

struct rt_session {
  const rt_module *m;
  rt_pool *pool;
  uint64_t max_arena_bytes;
  int64_t *given; // [dims]: set by rt_session_set_dim, or INT64_MIN
  int64_t *next;  // [dims]: of the call being bound
  char *arena;    // grown to the largest program; 64-byte aligned
  uint64_t arena_bytes;
  char *scratch; // one slice a worker
  uint64_t scratch_stride;
  program_state *programs; // [plan programs]
  void (*trace)(void *user, uint32_t step, const char *label, uint32_t line, int64_t start_ns, int64_t end_ns);
  void *trace_user;
  int64_t fault;
};

#define RT_ARRAY(plan, T, range) ((const T *)(const void *)((const char *)(plan) + (plan)->range.offset))

rt_status rt_fail(rt_error *err, rt_status s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// Evaluates an expression over dims; false on overflow or division by zero.
bool rt_eval(const rt_plan *p, uint32_t expr, const int64_t *dims, int64_t *out);

// Binds s->next from the inputs' shapes and checks every input against the plan.
rt_status rt_bind_inputs(rt_session *s, uint32_t program, const rt_tensor *in, rt_error *err);

// Makes the program's steps ready for s->next: sizes, arena offsets, grids. Does nothing when they already are.
rt_status rt_bind_steps(rt_session *s, uint32_t program, rt_error *err);

#endif
