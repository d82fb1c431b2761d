// The inside of a session, shared by the files of the executor.
#ifndef NNC_RUNTIME_SESSION_H
#define NNC_RUNTIME_SESSION_H

#include "runtime/device.h"

typedef struct bound_step { // a step with its dims filled in
  rt_kernel kernel;         // NULL where it is none
  void **buffers;           // [n_buffers], patched where they are inputs, outputs or states
  int64_t *symbols, *grid;
  int64_t total, chunk; // grid points, and how many one claim takes
  bool late;            // over dims that another step binds: filled in anew after each bind
  uint64_t bound_at;    // rt_session.binds when it was
} bound_step;

typedef struct program_state {
  void *memory;  // one block for the arrays below
  int64_t *dims; // [plan dims]: what the steps are bound to
  bool bound;
  bool *late; // [plan dims]: bound by a step of the program
  bool uses_states;
  bound_step *steps;       // [n_steps + n_undo + n_commit]
  uint64_t *offset, *size; // [n_buffers]: arena offset, bytes
  uint32_t *order;         // [n_buffers]: scratch for placing, those of the arena by size
  uint32_t *placed;        // [n_buffers]: and by offset
  uint64_t arena_bytes;
  char *defaults; // the optional inputs' default values, each as a whole tensor
  uint64_t defaults_bytes;
  uint64_t *default_offset; // [n_inputs]: place in `defaults`
} program_state;

typedef struct state_memory {
  void *data; // NULL before the first run and after a reset: the initial value, with dims that are not yet fixed
  uint64_t bytes;
} state_memory;

typedef struct thread_share { // what one thread does of a traced step
  _Alignas(64) int64_t start_ns;
  int64_t end_ns, points;
} thread_share;

typedef struct started_run { // what rt_start leaves to rt_finish
  uint32_t program;
  bool fixes;       // it is the first run that uses states
  rt_status status; // of the steps that a device has been given
  uint32_t stopped; // the step that failed, else the number of steps
  rt_error error;
} started_run;

struct rt_session {
  const rt_module *m;
  rt_device_session *device; // NULL: the host runs all kernels
  rt_pool *pool;
  uint64_t max_arena_bytes;
  int64_t *given; // [dims]: set by rt_session_set_dim, or INT64_MIN
  int64_t *next;  // [dims]: of the call being bound
  char *arena;    // grown to the largest program; 64-byte aligned
  uint64_t arena_bytes;
  char *scratch; // one slice a worker
  uint64_t scratch_stride;
  program_state *programs; // [plan programs]
  state_memory *states;    // [plan n_states]
  bool *state_dims;        // [dims]: sizes of states, fixed by the first run that uses states until a reset
  int64_t *fixed;          // [dims]: their values, or INT64_MIN
  uint64_t binds;          // bind steps run so far
  void (*trace)(void *user, const rt_trace_event *event);
  void *trace_user;
  thread_share *shares; // [threads]
  int64_t fault;
  started_run run;
};

static inline uint32_t rt_all_steps(const rt_program *g) { return g->n_steps + g->n_undo + g->n_commit; }
uint32_t rt_step_buffers(const rt_plan *p, const rt_step *s); // how many it has

#define RT_MOST_BYTES (UINT64_C(1) << 46) // of an arena, of a state

#define RT_ARRAY(plan, T, range) ((const T *)(const void *)((const char *)(plan) + (plan)->range.offset))

rt_status rt_fail(rt_error *err, rt_status s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// Evaluates an expression over dims; false on overflow or division by zero.
bool rt_eval(const rt_plan *p, uint32_t expr, const int64_t *dims, int64_t *out);

// Binds s->next from the inputs' shapes and checks every input against the plan.
rt_status rt_bind_inputs(rt_session *s, uint32_t program, const rt_tensor *in, rt_error *err);

// Makes the program's steps ready for s->next: sizes, arena offsets, grids. Does nothing when they already are.
rt_status rt_bind_steps(rt_session *s, uint32_t program, rt_error *err);

// One step's symbols and grid for s->next; false when they overflow.
bool rt_bind_step(rt_session *s, const rt_step *step, bound_step *b);

// A dim's value from a step, from an input or from a state: RT_OK when it lies in the declared range.
rt_status rt_dim_in_range(const rt_session *s, const char *what, uint32_t dim, int64_t value, rt_error *err);

// -- state.c --
// Which dims belong to states; memory for the arrays.
bool rt_states_init(rt_session *s);
void rt_states_fini(rt_session *s);
// Dims of states that no input gives: the fixed value, or the top of the range.
void rt_states_bind(rt_session *s, const program_state *st);
// Memory and initial values for every state, with the dims of s->next, which are fixed from here on.
rt_status rt_states_open(rt_session *s, rt_error *err);

// -- run.c --
// The steps of s->run; then what takes them back or commits them.
void rt_run_steps(rt_session *s);
rt_status rt_close_run(rt_session *s, rt_error *err);

typedef struct step_call {
  rt_session *s;
  const bound_step *b;
} step_call;
void rt_run_chunk(void *user, int64_t begin, int64_t end, unsigned worker); // `user`: a step_call

// -- trace.c --
int64_t rt_now_ns(void);
void rt_run_traced(step_call *c, const rt_step *step, uint32_t index); // a kernel on the host
void rt_trace_kernel(rt_session *s, const rt_step *step, uint32_t index, int64_t start_ns, int64_t points);
void rt_trace_turn(rt_session *s, const rt_step *step, uint32_t index, int64_t start_ns);

#endif
