// Kernels on a device against the interpreter: see cl_agree.h.
#include "op/cl_agree.h"
#include "support/kernel_judge.h"

static const char *run_on_device(void *c, const kir_kernel *k, void *const *buffers, const int64_t *symbols,
                                 int64_t *fault) {
  (void)k;
  return cl_host_run(c, buffers, symbols, fault);
}

const char *cl_agree(arena *a, cl_host_kernel *c, const kir_kernel *k, const int64_t *symbols, double tolerance) {
  const kernel_engine device = {.user = c, .run = run_on_device};
  return kernel_judge(a, k, symbols, tolerance, &device);
}

bool cl_host_engine(void *host, engines *e, arena *a, kir_kernel *k, void *const *buffers, const int64_t *symbols,
                    int64_t *fault) {
  const char *why = NULL;
  cl_host_kernel *c = cl_host_compile(host, a, k, &why);
  if (c != NULL) why = cl_host_run(c, buffers, symbols, fault);
  if (why != NULL) diag_at(&e->job.diags, NO_SPAN, plan_refused, k->name, why);
  return why == NULL;
}
