// Profiles of one run: a trace in the trace-event format that Perfetto and chrome://tracing open.
#ifndef NNC_TOOLS_PROFILE_H
#define NNC_TOOLS_PROFILE_H

#include "tools/nnc/compare.h"

typedef struct profile {
  arena *a;
  int64_t start_ns, end_ns; // of the run
  VEC(nnc_trace_event) events;
} profile;

profile *profile_new(cli *c);
void profile_note(void *profile, const nnc_trace_event *event); // an nnc_trace_fn
bool profile_run(cli *c, profile *p, compiled_run *r);          // one run, noted. false after a diagnostic

// false after a diagnostic.
bool profile_write(cli *c, const profile *p, const signature *s, const char *path);

#endif
