/* nnc beside a program's own OpenCL: models that run in its context, read its memory and leave their outputs there.
 *
 *   nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
 *   o.opencl_context = context;  o.opencl_device = device;
 *   nnc_module_open(&m, "model.yaml", &o, NULL);
 *   nnc_session_new(&s, m, NULL);
 *   nnc_opencl_use_queue(s, queue);
 *   nnc_opencl_tensor in = {nnc_tensor_of(NNC_F32, NULL, 2, dims), x, 0};
 *   nnc_opencl_tensor out = {nnc_tensor_of(NNC_F32, NULL, 2, dims), y, 0};
 *   nnc_opencl_run_async(s, 0, &in, 1, &out, 1);
 *   ...
 *   nnc_wait(s);
 *
 * Objects of OpenCL are passed as `void *`, so that this header needs none of OpenCL's: cl_context, cl_device_id,
 * cl_command_queue and cl_mem are pointers. They must come from the libOpenCL.so.1 of this process, which nnc opens
 * too; a pointer that is no such object is not found out. With no context given, a session's objects are nnc's own:
 * nnc_opencl_objects tells them, and memory made in that context serves as well.
 *
 * Ownership. nnc retains the context and the queue while it uses them. Memory is the caller's: it must live, and inputs
 * may not change, until nnc_wait. Commands go into the session's queue, which keeps them in order: what the caller
 * enqueues there before a run is done before it, and what it enqueues after nnc_opencl_run_async sees the outputs,
 * without nnc_wait, but for errors of the data, which only nnc_wait tells.
 */
#ifndef NNC_NNC_OPENCL_H
#define NNC_NNC_OPENCL_H

#include "nnc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor in a cl_mem of the session's context, or, where `mem` is NULL, in host memory as ever. */
typedef struct nnc_opencl_tensor {
  nnc_tensor tensor; /* `data` is NULL where `mem` is not */
  void *mem;         /* a buffer; outputs may overlap neither inputs nor each other */
  uint64_t offset;   /* of the first element, in bytes: a multiple of an element's */
} nnc_opencl_tensor;

/* The objects of a session whose module is for an OpenCL device, borrowed until it is freed; any pointer may be NULL.
 * NNC_E_ARGUMENT: the module is not for such a device. */
NNC_API nnc_status nnc_opencl_objects(const nnc_session *s, void **context, void **device, void **queue);

/* Makes a session use the caller's queue, from its next run on. NNC_E_ARGUMENT: the queue is of another context or
 * device, or runs its commands out of order. */
NNC_API nnc_status nnc_opencl_use_queue(nnc_session *s, void *queue);

/* nnc_run_async with tensors on the device. Inputs there are not copied, and outputs there stay there: those of one run
 * may be inputs of the next, of any session of the same context, without the host. NNC_E_MODEL: a shape is wrong, or a
 * cl_mem too small or of another context. */
NNC_API nnc_status nnc_opencl_run_async(nnc_session *s, size_t entry, const nnc_opencl_tensor *inputs, size_t n_inputs,
                                        const nnc_opencl_tensor *outputs, size_t n_outputs);

#ifdef __cplusplus
}
#endif
#endif
