// OpenCL with every call counted, and made to fail from a chosen one on: a driver that runs out of memory, or a device
// that is lost in the middle of a run.
#ifndef NNC_TESTS_WATCHED_API_H
#define NNC_TESTS_WATCHED_API_H

#include <stdbool.h>
#include "runtime/opencl/loader.h"

enum {
#define E(name) WATCHED_##name,
#include "runtime/opencl/entry_points.def"
#undef E
  WATCHED_ALL
};

// Wraps a table's entries; one table at a time.
void watch_calls(cl_api *api);
void count_from_here(void); // all counts are 0, nothing fails
int calls_of(int entry);    // since then; WATCHED_ALL: of all entries
int waits(void);            // of those, how many waited for the device: clFinish, events, blocking copies

// After `n` more calls of the entry (WATCHED_ALL: of any) each fails with `code`, or, `once`, only the next. Releasing
// never fails, and what asks about devices, programs and events does not either.
void fail_after(int entry, int n, cl_int code, bool once);
bool has_failed(void); // a call was made to

#endif
