// The compile driver's side of OpenCL devices: from kernels to a program's text in the image, and from an image to a
// module's device.
#ifndef NNC_API_OPENCL_H
#define NNC_API_OPENCL_H

#include "api/compile.h"
#include "runtime/device.h"
#include "runtime/opencl/opencl.h"

// The kernels of j->set as OpenCL C, and as machine code where the device lacks what they need, packed with a row for
// each kernel of the plan: j->object. false after diagnostics.
bool opencl_object(compile_job *j, size_t *scratch_bytes);

// Builds the program of j->image for the job's device, or takes what was built before from the cache. `kernels`: those
// that the host has; NULL for the device's, but routines are both sides'. All of it lives as long as the arena. false
// after diagnostics.
bool opencl_load(compile_job *j, rt_kernel *kernels, const rt_device **device);

// The device's part of a module of that plan; `s` must live as long as the arena. NULL after a diagnostic.
const rt_device *opencl_build(compile_job *j, const rt_plan *plan, const rt_opencl_source *s);

// Which kernels of j->object the host runs: [kernels of the plan], false for the device's.
const bool *opencl_host_kernels(compile_job *j);

// What a library of such an image is made of.
typedef struct opencl_parts {
  str packed;           // an rt_opencl_packed
  str code;             // of the host's kernels; empty: there is none
  const bool *has_code; // [kernels of the plan]: for the host; of a routine also where the device runs it
} opencl_parts;
opencl_parts opencl_split(arena *a, const image *m);

bool opencl_program_file_is_whole(arena *a, int fd); // of a file in the cache: reads all of it

#endif
