// Opening OpenCL, and its errors in words: see opencl.h.
//
// The library stays in the process once it was opened (RTLD_NODELETE): drivers leave threads and exit handlers behind
// that must not lose their code.
#define _GNU_SOURCE // RTLD_NODELETE
#include "runtime/opencl/loader.h"
#include "runtime/session.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name, *sentence;
  int code;
} errors[] = {
#define R(code, name, sentence) {#name, sentence, code},
#include "runtime/opencl/errors.def"
#undef R
};

const char *rt_opencl_error_name(int code) {
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (errors[i].code == code) return errors[i].name;
  return "an unknown code";
}

const char *rt_opencl_error_sentence(int code) {
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (errors[i].code == code) return errors[i].sentence;
  return "the driver reports something that OpenCL does not define";
}

rt_status rt_cl_fail(rt_error *err, cl_int code, const char *what) {
  return rt_fail(err, code == CL_OUT_OF_HOST_MEMORY ? RT_E_MEMORY : RT_E_DEVICE, "%s: %s (%s, %d)", what,
                 rt_opencl_error_sentence(code), rt_opencl_error_name(code), code);
}

static rt_status find_entry_points(rt_opencl *cl, rt_error *err) {
  const struct {
    const char *name;
    void *at;
  } rows[] = {
#define E(name) {#name, &cl->api.name},
#include "runtime/opencl/entry_points.def"
#undef E
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    void *f = dlsym(cl->library, rows[i].name);
    if (!f) return rt_fail(err, RT_E_DEVICE, "libOpenCL.so.1 is older than OpenCL 1.2: it has no %s", rows[i].name);
    memcpy(rows[i].at, &f, sizeof f);
  }
  return RT_OK;
}

rt_status rt_opencl_open(rt_opencl **out, rt_error *err) {
  *out = NULL;
  if (err) err->text[0] = 0;
  rt_opencl *cl = calloc(1, sizeof *cl);
  if (!cl) return rt_fail(err, RT_E_MEMORY, "out of memory");
  cl->library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  rt_status status = cl->library ? find_entry_points(cl, err)
                                 : rt_fail(err, RT_E_DEVICE,
                                           "there is no OpenCL on this machine: libOpenCL.so.1 cannot be opened "
                                           "(Debian: ocl-icd-libopencl1, and a driver)");
  if (!status) status = rt_cl_list_devices(cl, err);
  if (status) rt_opencl_close(cl);
  else *out = cl;
  return status;
}

void rt_opencl_close(rt_opencl *cl) {
  if (!cl) return;
  free(cl->devices);
  free(cl->ids);
  if (cl->library) dlclose(cl->library);
  free(cl);
}
