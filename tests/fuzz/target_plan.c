// Plans: what the check accepts can be bound and run without harm, whatever its kernels would do.
#include "runtime/rt.h"
#include "support.h"

#include <setjmp.h>
#include <string.h>

enum { MOST_CALLS = 2000, MOST_TENSORS = 4096 };

static struct {
  jmp_buf out;
  int calls;
} running; // libFuzzer and the tests run one input at a time

static void no_kernel(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
                      void *scratch, int64_t *fault) {
  (void)buffers, (void)symbols, (void)scratch, (void)fault;
  FUZZ_CHECK(begin < end && (!grid || end >= 0));
  if (++running.calls > MOST_CALLS) longjmp(running.out, 1);
}

static void no_trace(void *user, const rt_trace_event *event) {
  (void)user;
  FUZZ_CHECK(event->start_ns <= event->end_ns && strlen(event->label) < SIZE_MAX && strlen(event->file) < SIZE_MAX);
  if (++running.calls > MOST_CALLS) longjmp(running.out, 1); // a loop's turns, whatever is in them
}

// Inputs with dims at the low end of their ranges, as rt_call makes them.
static void run_program(rt_session *s, const rt_plan *p, uint32_t program, const int64_t *dims, void **args,
                        rt_tensor *room) {
  const rt_program *g = (const rt_program *)(const void *)((const char *)p + p->programs.offset) + program;
  rt_error err;
  if ((uint64_t)g->n_inputs + g->n_outputs > MOST_TENSORS) return;
  running.calls = 0;
  if (setjmp(running.out)) return;
  rt_status status = rt_call(s, program, dims, args, room, &err);
  FUZZ_CHECK(status == RT_OK || (err.text[0] && memchr(err.text, 0, sizeof err.text)));
  if (!status) FUZZ_CHECK(rt_shapes(s, program, room, room + g->n_inputs, &err) == RT_OK);
}

static void run(arena *a, const rt_plan *p) {
  static char somewhere[64];
  rt_kernel *kernels = ARENA_ARRAY(a, rt_kernel, p->kernels.count + 1);
  for (uint64_t i = 0; i < p->kernels.count; i++) kernels[i] = no_kernel;
  const rt_program *programs = (const rt_program *)(const void *)((const char *)p + p->programs.offset);
  const void **constants = ARENA_ARRAY(a, const void *, programs[0].n_outputs + (size_t)1);
  for (uint32_t i = 0; i < programs[0].n_outputs; i++) constants[i] = somewhere;
  void **args = ARENA_ARRAY(a, void *, MOST_TENSORS);
  for (uint32_t i = 0; i < MOST_TENSORS; i++) args[i] = i % 7 == 3 ? NULL : somewhere;
  rt_tensor *room = ARENA_ARRAY(a, rt_tensor, MOST_TENSORS);
  const rt_dim *d = (const rt_dim *)(const void *)((const char *)p + p->dims.offset);
  int64_t *dims = ARENA_ARRAY(a, int64_t, p->dims.count);
  rt_module m = {.plan = p, .kernels = kernels, .constants = constants};
  rt_session *s;
  rt_error err;
  if (rt_session_new(&s, &m, NULL, 64 << 20, &err)) return;
  rt_session_trace(s, no_trace, NULL);
  for (int end = 0; end < 2; end++) {
    for (uint64_t i = 0; i < p->dims.count; i++) {
      dims[i] = end ? d[i].hi : d[i].lo;
      rt_session_set_dim(s, rt_string(p, d[i].name), dims[i], &err);
    }
    for (uint32_t i = 0; i < p->programs.count && i < 8; i++) run_program(s, p, i, dims, args, room);
  }
  rt_session_free(s);
}

static void plan(arena *a, diag_list *l, void *user) {
  const str *bytes = user;
  (void)l;
  rt_plan *p = arena_copy(a, bytes->p, bytes->n);
  rt_error err;
  rt_status status = rt_plan_check(p, bytes->n, &err);
  if (bytes->n >= sizeof *p) { // what every file must have is put right, so that what follows is reached
    p->magic = RT_PLAN_MAGIC;
    p->version = RT_PLAN_VERSION;
    p->size_bytes = bytes->n;
    p->scratch_bytes %= 1 << 20;
    p->cpu_level %= 5;
    p->checksum = 0;
    p->checksum = rt_checksum(p, bytes->n);
    status = rt_plan_check(p, bytes->n, &err);
  }
  FUZZ_CHECK(status == RT_OK || (err.text[0] && memchr(err.text, 0, sizeof err.text)));
  if (!status) run(a, p);
}

int fuzz_plan(const uint8_t *data, size_t size) {
  str bytes = {(const char *)data, size};
  fuzz_guarded(plan, &bytes);
  return 0;
}
