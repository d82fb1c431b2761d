// A thread that finishes a session's runs beside its caller: without a device, all of a run but the binding of its
// sizes. It waits between two runs, and lives as long as its session.
#ifndef NNC_API_RUNNER_H
#define NNC_API_RUNNER_H

#include "runtime/rt.h"

typedef struct runner runner;

// RT_E_MEMORY: the system gives no thread. *out: NULL then.
rt_status runner_new(runner **out, rt_session *s, rt_error *err);
void runner_free(runner *r); // when no run is under way; NULL is fine

// After an rt_start that succeeded; then runner_wait, which gives what rt_finish gave.
void runner_start(runner *r);
rt_status runner_wait(runner *r, rt_error *err);

#endif
