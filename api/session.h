// The inside of a public session: a runtime session with its thread pool, the run under way, and the last error.
#ifndef NNC_API_SESSION_H
#define NNC_API_SESSION_H

#include "api/handles.h"
#include "api/runner.h"

struct nnc_session {
  const nnc_module *m;
  rt_pool *pool;
  rt_session *rt;
  rt_error error;
  runner *runner; // NULL until a run without a device goes on beside its caller
  bool running;   // between nnc_run_async and nnc_wait
  nnc_trace_fn trace;
  void *trace_user;
};

nnc_status session_status(rt_status s);
// An entry with so many tensors, and no run under way. false: the session's error says so if a run is.
bool session_fits(nnc_session *s, size_t entry, const void *in, size_t n_in, const void *out, size_t n_out);
bool session_is_idle(nnc_session *s); // false: with the session's error

#endif
