// Comparing and running: see compare.h.
#include "tools/nnc/compare.h"
#include "tools/nnc/pin.h"

#include <math.h>

// What rounding to the dtype alone may cost, relative to the largest magnitude.
static double rounding(dtype dt) {
  switch (dt) {
  case DT_f16: return 0x1p-10;
  case DT_bf16: return 0x1p-7;
  case DT_f32:
  case DT_f64:
  case DT_i8:
  case DT_u8:
  case DT_i32:
  case DT_i64:
  case DT_bool:
  case DT_COUNT: break;
  }
  return 0;
}

static double difference(double want, double got) {
  if (want == got || (isnan(want) && isnan(got))) return 0; // equal infinities too
  double d = fabs(got - want);
  return isnan(d) ? INFINITY : d;
}

static comparison compare_exact(const ir_tensor *want, const void *got) {
  comparison r = {.cosine = 1, .ok = true};
  double error = 0, size_of_all = 0;
  size_t size = dtype_size(want->dt);
  for (int64_t i = 0, n = ir_tensor_count(want); i < n; i++) {
    int64_t x = scalar_load(want->dt, (const char *)want->data + (size_t)i * size).v.i;
    int64_t y = scalar_load(want->dt, (const char *)got + (size_t)i * size).v.i;
    double d = fabs((double)y - (double)x);
    error += d, size_of_all += fabs((double)x);
    r.magnitude = fmax(r.magnitude, fabs((double)x));
    if (x == y) continue;
    r.ok = false;
    r.cosine = 0;
    if (d >= r.max_abs) r.max_abs = d, r.worst = i;
  }
  r.mean_rel = error > 0 ? error / size_of_all : 0;
  return r;
}

comparison tensors_compare(const ir_tensor *want, const void *got, double bound) {
  if (!dtype_is_float(want->dt)) return compare_exact(want, got);
  comparison r = {0};
  size_t size = dtype_size(want->dt);
  double xx = 0, yy = 0, xy = 0, error = 0, size_of_all = 0;
  for (int64_t i = 0, n = ir_tensor_count(want); i < n; i++) {
    double x = scalar_load(want->dt, (const char *)want->data + (size_t)i * size).v.f;
    double y = scalar_load(want->dt, (const char *)got + (size_t)i * size).v.f, d = difference(x, y);
    if (d > r.max_abs) r.max_abs = d, r.worst = i;
    if (!isfinite(x) || !isfinite(y)) continue;
    r.magnitude = fmax(r.magnitude, fabs(x));
    xx += x * x, yy += y * y, xy += x * y;
    error += d, size_of_all += fabs(x);
  }
  r.mean_rel = error > 0 ? error / size_of_all : 0;
  r.cosine = xx > 0 && yy > 0 ? xy / sqrt(xx) / sqrt(yy) : xx == yy;
  r.ok = r.max_abs <= (bound + rounding(want->dt)) * r.magnitude;
  return r;
}

// -- running --

static void free_pool(void *p) { rt_pool_free(p); }
static void free_session(void *s) { rt_session_free(s); }

static bool failed(cli *c, const rt_error *err) {
  diag_at(&c->diags, NO_SPAN, run_failed, err->text[0] ? err->text : "out of memory");
  return false;
}

bool run_prepare(cli *c, const rt_module *m, const signature *s, ir_tensor *const *in, compiled_run *r) {
  rt_error err = {""};
  cpu_list cpus;
  *r = (compiled_run){.program = (uint32_t)s->index + 1};
  if (!pin_threads(c, &cpus)) return false;
  if (c->opt.threads != 1) {
    r->pool = rt_pool_new((unsigned)c->opt.threads);
    arena_defer(c->a, free_pool, r->pool);
    if (cpus.n && !rt_pool_bind(r->pool, cpus.at, cpus.n)) return failed(c, &err);
  }
  if (rt_session_new(&r->session, m, r->pool, 0, &err)) return failed(c, &err);
  arena_defer(c->a, free_session, r->session);
  for (size_t i = 0; i < s->dims.n; i++)
    if (rt_session_set_dim(r->session, s->dims.at[i].symbol->name, s->dims.at[i].value, &err)) return failed(c, &err);
  r->in = ARENA_ARRAY(c->a, rt_tensor, s->inputs.n + 1);
  r->out = ARENA_ARRAY(c->a, rt_tensor, s->outputs.n + 1);
  r->results = ARENA_ARRAY(c->a, ir_tensor *, s->outputs.n + 1);
  for (size_t i = 0; i < s->inputs.n; i++) {
    r->in[i] = (rt_tensor){
        .dtype = (rt_dtype)s->inputs.at[i].dt, .rank = s->inputs.at[i].rank, .data = in[i] ? in[i]->data : NULL};
    for (uint32_t d = 0; in[i] && d < in[i]->rank; d++) r->in[i].dim[d] = in[i]->dim[d];
  }
  if (rt_shapes(r->session, r->program, r->in, r->out, &err)) return failed(c, &err);
  for (size_t i = 0; i < s->outputs.n; i++) {
    r->results[i] = ir_tensor_new(c->a, (dtype)r->out[i].dtype, r->out[i].rank, r->out[i].dim);
    r->out[i].data = r->results[i]->data;
  }
  return true;
}

bool run_once(cli *c, compiled_run *r) {
  rt_error err;
  return rt_run(r->session, r->program, r->in, r->out, &err) == RT_OK || failed(c, &err);
}
