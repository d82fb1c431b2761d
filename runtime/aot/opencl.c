// Opening an AOT library whose kernels are those of an OpenCL device. Only such libraries pull this file in, and
// runtime/opencl with it; libOpenCL itself is found when the library is opened.
#include "runtime/opencl/opencl.h"
#include "runtime/aot/session.h"
#include <stdlib.h>

typedef struct device {
  rt_opencl *cl;
  rt_opencl_program *program;
  rt_opencl_source source;
  char log[RT_OPENCL_LOG];
} device;

static void close_device(void *handle) {
  device *d = handle;
  rt_opencl_program_free(d->program);
  rt_opencl_close(d->cl);
  free(d);
}

static rt_status open_device(rt_aot_session *s, const char *name) {
  const rt_plan *p = nnc_aot_model.plan;
  uint32_t number = 0;
  device *d = s->device = calloc(1, sizeof *d);
  if (!d) return rt_fail(&s->error, RT_E_MEMORY, "out of memory");
  s->close_device = close_device;
  rt_status st = rt_plan_check(p, p->size_bytes, &s->error);
  if (!st) st = rt_opencl_open(&d->cl, &s->error);
  if (!st) st = rt_opencl_find(d->cl, name, &number, &s->error);
  if (st) return st;
  rt_opencl_unpack(nnc_aot_model.device, nnc_aot_model.device->bytes, &d->source); // the linker's own work
  st = rt_opencl_build(&d->program, d->cl, number, p, &d->source, NULL, 0, d->log, &s->error);
  if (!st) s->module.device = rt_opencl_program_device(d->program);
  return st;
}

int nnc_aot_open_device(rt_aot_session **out, unsigned threads, const char *name) {
  rt_aot_session *s = *out = rt_aot_new();
  if (!s) return RT_E_MEMORY;
  rt_status st = open_device(s, name ? name : "opencl");
  return st ? (int)st : rt_aot_start(s, threads, nnc_aot_model.constants);
}

int nnc_aot_open_opencl(rt_aot_session **out, unsigned threads) { return nnc_aot_open_device(out, threads, NULL); }
