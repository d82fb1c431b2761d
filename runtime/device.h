// A device that runs kernels beside the host: what the executor asks of one. The runtime itself knows no device; who
// opens a module for one (runtime/opencl) hangs it into rt_module; AOT libraries have one when they hold kernels for
// it.
//
// The executor stays the same: it binds dims, places buffers, walks steps, branches and loops, takes back and commits.
// A device mirrors the buffers of a program in memory of its own and knows of each where its value is: on the host, on
// the device, or on both. A kernel that the device has runs there; any other runs on the host, and so do the scalars
// that steer branches and loops. Values are copied only when the side that needs them has not got them.
#ifndef NNC_RUNTIME_DEVICE_H
#define NNC_RUNTIME_DEVICE_H

#include "runtime/rt.h"

typedef struct rt_device_session rt_device_session;

// One for a module, used by any number of its sessions at once. Steps count from the program's first; the program is
// that of the last `begin`. Every function but `open` and `close` is called by one thread at a time.
typedef struct rt_device rt_device;
struct rt_device {
  rt_status (*open)(const rt_device *d, rt_session *s, rt_device_session **out, rt_error *err);
  void (*close)(rt_device_session *d); // NULL is fine
  // Before the first step of a run: dims are bound, buffers placed. `fresh_states`: those on the host have just been
  // given their initial values.
  rt_status (*begin)(rt_device_session *d, uint32_t program, const rt_tensor *in, const rt_tensor *out,
                     bool fresh_states, rt_error *err);
  // A kernel step whose dims are bound. *done: the device has taken it; else its operands are on the host, where it is
  // to run now. `wait`: return when the device has finished.
  rt_status (*kernel)(rt_device_session *d, uint32_t step, bool wait, bool *done, rt_error *err);
  // Brings the values of a step's buffers to the host, and the session's fault word; waits for the device.
  rt_status (*values)(rt_device_session *d, uint32_t step, rt_error *err);
  void (*written)(rt_device_session *d, uint32_t step, uint32_t buffer); // the host has written that one
  // After the last step: outputs and the fault word are on their way to the host. Does not wait.
  rt_status (*end)(rt_device_session *d, rt_error *err);
  // Waits for all that was asked of the device, tells what failed there, and brings the fault word.
  rt_status (*sync)(rt_device_session *d, rt_error *err);
};

#endif
