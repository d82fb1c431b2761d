// The inside of an AOT session, shared by the files of the entry points.
#ifndef NNC_RUNTIME_AOT_SESSION_H
#define NNC_RUNTIME_AOT_SESSION_H

#include "runtime/aot.h"
#include "runtime/session.h"
#include "runtime/weights.h"

struct rt_aot_session {
  rt_module module;
  rt_pool *pool;
  rt_session *session; // NULL: opening failed, `error` says why
  rt_tensor *tensors;  // [most inputs + outputs of any program]
  const void **constants;
  rt_weights weights; // mapped, when they are in a file
  void *device;       // what runs its kernels beside the CPU, and how to close that; NULL: nothing
  void (*close_device)(void *device);
  rt_error error;
};

rt_aot_session *rt_aot_new(void); // NULL when out of memory
// Makes the session ready for a checked plan and its block of constants. An rt_status.
int rt_aot_start(rt_aot_session *s, unsigned threads, const void *block);

#endif
