// See device_case.h.
#include "device_case.h"
#include "api/handles.h"
#include "runtime/opencl/opencl.h"
#include "runtime/session.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void needs_device(void) {
  rt_opencl *cl;
  rt_error err;
  rt_status status = rt_opencl_open(&cl, &err);
  rt_opencl_close(cl);
  if (!status) return;
  if (getenv("NNC_NEEDS_OPENCL")) fail_msg("%s", err.text);
  print_message("skipped: %s\n", err.text);
  skip();
}

nnc_module *open_on(const char *device, const char *path, const char *text, const nnc_compile_options *options) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  nnc_module *m;
  nnc_diagnostics *d;
  if (options) o = *options;
  o.device = device;
  nnc_status status =
      path ? nnc_module_open(&m, path, &o, &d) : nnc_module_compile(&m, text, strlen(text), "text.yaml", &o, &d);
  for (size_t i = 0; i < nnc_diagnostics_count(d); i++)
    if (nnc_diagnostics_get(d, i)->severity == NNC_ERROR) print_error("%s", nnc_diagnostics_get(d, i)->text);
  nnc_diagnostics_free(d);
  assert_int_equal(status, NNC_OK);
  return m;
}

double error_of(const float *got, const float *want, size_t n) {
  double worst = 0, largest = 0;
  for (size_t i = 0; i < n; i++) {
    double e = got[i] == want[i] ? 0 : fabs((double)got[i] - (double)want[i]); // equal infinities too
    if (isnan(e)) return INFINITY;
    worst = fmax(worst, e);
    if (isfinite(want[i])) largest = fmax(largest, fabs((double)want[i]));
  }
  return worst == 0 ? 0 : worst / largest;
}

// -- both sides --

enum { MOST_TENSORS = 16 };

typedef struct side {
  nnc_session *session;
  nnc_tensor out[MOST_TENSORS];
} side;

static void read_dims(const rt_plan *p, const char *text, int64_t *dims) {
  const rt_dim *d = RT_ARRAY(p, rt_dim, dims);
  for (uint64_t i = 0; i < p->dims.count; i++) {
    char key[64];
    snprintf(key, sizeof key, "%s=", rt_string(p, d[i].name));
    const char *at = strstr(text, key);
    dims[i] = at && (at == text || at[-1] == ' ') ? strtoll(at + strlen(key), NULL, 10)
                                                  : (d[i].lo + d[i].step - 1) / d[i].step * d[i].step;
  }
}

static void fill(nnc_tensor *t, uint32_t *seed, int32_t below) {
  size_t n = nnc_tensor_bytes(t) / nnc_dtype_bytes(t->dtype);
  for (size_t i = 0; i < n; i++) {
    uint32_t r = (*seed = *seed * 1664525u + 1013904223u) >> 8;
    if (t->dtype == NNC_F32) ((float *)t->data)[i] = (float)r / (float)(1 << 23) - 1.0f;
    else if (t->dtype == NNC_I32) ((int32_t *)t->data)[i] = (int32_t)(r % (uint32_t)below);
    else ((uint8_t *)t->data)[i] = r & 1;
  }
}

static void make_inputs(const rt_plan *p, const rt_program *g, const char *text, nnc_tensor *in) {
  int64_t dims[64];
  assert_true(p->dims.count <= 64 && g->n_inputs <= MOST_TENSORS && g->n_outputs <= MOST_TENSORS);
  read_dims(p, text, dims);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const rt_tensor_info *info = RT_ARRAY(p, rt_tensor_info, tensors) + g->first_input + i;
    in[i] = (nnc_tensor){.dtype = (nnc_dtype)info->dtype, .rank = info->rank};
    for (uint32_t k = 0; k < info->rank; k++)
      assert_true(rt_eval(p, RT_ARRAY(p, uint32_t, words)[info->dims + k], dims, &in[i].dim[k]));
    if (!(info->flags & RT_OPTIONAL)) in[i].data = malloc(nnc_tensor_bytes(&in[i]) + 8);
  }
}

static void run_side(side *s, size_t entry, const rt_program *g, const nnc_tensor *in) {
  nnc_status status = nnc_shapes(s->session, entry, in, g->n_inputs, s->out, g->n_outputs);
  for (uint32_t i = 0; i < g->n_outputs && !status; i++) {
    free(s->out[i].data);
    s->out[i].data = malloc(nnc_tensor_bytes(&s->out[i]) + 8);
  }
  if (!status) status = nnc_run(s->session, entry, in, g->n_inputs, s->out, g->n_outputs);
  if (status) fail_msg("%s: %s", nnc_status_text(status), nnc_session_error(s->session));
}

static void compare_outputs(const side *got, const side *want, uint32_t n, int call) {
  for (uint32_t i = 0; i < n; i++) {
    const nnc_tensor *x = &got->out[i], *y = &want->out[i];
    size_t bytes = nnc_tensor_bytes(y);
    assert_memory_equal(x->dim, y->dim, sizeof x->dim);
    if (y->dtype != NNC_F32) {
      assert_memory_equal(x->data, y->data, bytes);
      continue;
    }
    double e = error_of(x->data, y->data, bytes / sizeof(float));
    if (!(e <= DEVICE_BOUND)) fail_msg("call %d, output %u: error %g", call, i, e);
  }
}

void compare_with_cpu(const nnc_module *device, const nnc_module *cpu, const char *entry, const char *dims, int calls,
                      int32_t below) {
  size_t e = 0;
  while (nnc_module_entry_name(cpu, e) && strcmp(nnc_module_entry_name(cpu, e), entry)) e++;
  const rt_program *g = module_program(cpu, e);
  assert_non_null(g);
  nnc_tensor in[MOST_TENSORS];
  side a = {0}, b = {0};
  uint32_t seed = 1;
  make_inputs(cpu->rt.plan, g, dims, in);
  assert_int_equal(nnc_session_new(&a.session, device, NULL), NNC_OK);
  assert_int_equal(nnc_session_new(&b.session, cpu, NULL), NNC_OK);
  for (int call = 0; call < calls; call++) {
    for (uint32_t i = 0; i < g->n_inputs; i++)
      if (in[i].data) fill(&in[i], &seed, below);
    run_side(&a, e, g, in);
    run_side(&b, e, g, in);
    compare_outputs(&a, &b, g->n_outputs, call);
  }
  for (uint32_t i = 0; i < g->n_inputs; i++) free(in[i].data);
  for (uint32_t i = 0; i < g->n_outputs; i++) free(a.out[i].data), free(b.out[i].data);
  nnc_session_free(a.session);
  nnc_session_free(b.session);
}
