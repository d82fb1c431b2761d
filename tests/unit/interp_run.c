#include "interp_run.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

static void *element(const ir_tensor *t, int64_t i) { return (char *)t->data + (size_t)i * dtype_size(t->dt); }

ir_tensor *tensor_of(scratch *s, dtype dt, uint32_t rank, const int64_t *dim, const double *values) {
  ir_tensor *t = ir_tensor_new(s->a, dt, rank, dim);
  for (int64_t i = 0; i < ir_tensor_count(t); i++) scalar_store(element(t, i), scalar_f(dt, values[i]));
  return t;
}

ir_tensor *scalar_of(scratch *s, dtype dt, double value) { return tensor_of(s, dt, 0, NULL, &value); }

ir_tensor *vector_of(scratch *s, dtype dt, int64_t n, const double *values) { return tensor_of(s, dt, 1, &n, values); }

static void fail_with_diagnostics(scratch *s, const char *what) {
  strbuf b;
  sb_init(&b, s->a);
  diag_render_all(&s->l, false, &b);
  fail_msg("%s: %s", what, sb_cstr(&b));
}

ir_module *module_of(scratch *s, const char *text) {
  ir_module *m = graph_parse(s->a, &s->l, diag_add_file(&s->l, "test.graph", str_of(text)));
  if (!m || !graph_verify(m)) fail_with_diagnostics(s, "the graph is not sound");
  return m;
}

bool run_module(ir_module *m, scratch *s, const ir_tensor *const *in, ir_tensor **out, const interp_options *opt) {
  ir_graph *g = ir_graph_find(m, "forward");
  assert_non_null(g);
  bool ok = interp_run(s->a, g, in, out, opt);
  assert_int_equal(ok, s->l.items.n == 0);
  return ok;
}

ir_tensor *run_text(scratch *s, const char *text, size_t n, const ir_tensor *const *in) {
  ir_module *m = module_of(s, text);
  ir_graph *g = ir_graph_find(m, "forward");
  assert_int_equal(g->body->n_params, n);
  ir_tensor **out = ARENA_ARRAY(s->a, ir_tensor *, g->body->n_yields);
  return run_module(m, s, in, out, NULL) ? out[0] : NULL;
}

void expect_tensor(const ir_tensor *t, dtype dt, uint32_t rank, const int64_t *dim, const double *values) {
  assert_non_null(t);
  assert_int_equal(t->dt, dt);
  assert_int_equal(t->rank, rank);
  for (uint32_t i = 0; i < rank; i++) assert_int_equal(t->dim[i], dim[i]);
  for (int64_t i = 0; i < ir_tensor_count(t); i++) {
    scalar x = scalar_load(dt, element(t, i));
    double got = dtype_is_float(dt) ? x.v.f : (double)x.v.i;
    if (got != values[i] && !(isnan(got) && isnan(values[i])))
      fail_msg("element %lld is %.17g instead of %.17g", (long long)i, got, values[i]);
  }
}

void expect_vector(const ir_tensor *t, dtype dt, int64_t n, const double *values) {
  expect_tensor(t, dt, 1, &n, values);
}
