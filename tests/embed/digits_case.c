// See digits_case.h.
#include "digits_case.h"
#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static const float *tensor(digits_case *d, const st_file *f, const char *name) {
  const st_tensor *t = st_find(f, name);
  assert_non_null(t);
  return st_copy(d->a, t)->data;
}

void digits_case_open(digits_case *d) {
  d->a = arena_new(NULL);
  assert_non_null(d->a);
  if (setjmp(*arena_guard(d->a))) fail_msg("out of memory");
  diag_list l;
  diag_init(&l, d->a);
  const st_file *f = st_open(d->a, &l, NNC_SOURCE_DIR "/tests/data/digits_expected.safetensors");
  assert_non_null(f);
  d->images = tensor(d, f, "image");
  d->logits = tensor(d, f, "logits");
  d->probabilities = tensor(d, f, "probabilities");
}

void digits_case_close(digits_case *d) { arena_free(d->a); }

double relative_error(const float *got, const float *want, size_t n) {
  double worst = 0, largest = 0;
  for (size_t i = 0; i < n; i++) {
    double e = fabs((double)got[i] - (double)want[i]);
    worst = e > worst || isnan(e) ? e : worst;
    largest = fmax(largest, fabs((double)want[i]));
  }
  return worst / largest;
}

nnc_module *digits_module(const char *cpu) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.cpu = cpu;
  nnc_module *m;
  nnc_diagnostics *d;
  nnc_status status = nnc_module_open(&m, DIGITS_YAML, &o, &d);
  for (size_t i = 0; i < nnc_diagnostics_count(d); i++) print_error("%s", nnc_diagnostics_get(d, i)->text);
  assert_int_equal(nnc_diagnostics_count(d), 0);
  nnc_diagnostics_free(d);
  assert_int_equal(status, NNC_OK);
  return m;
}

nnc_status digits_run(nnc_session *s, int64_t batch, const float *images, float *logits, float *probabilities) {
  nnc_tensor in = nnc_tensor_of(NNC_F32, (void *)(uintptr_t)images, 3, (const int64_t[]){batch, 8, 8});
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, logits, 2, (const int64_t[]){batch, 10}),
                      nnc_tensor_of(NNC_F32, probabilities, 2, (const int64_t[]){batch, 10})};
  return nnc_run(s, 0, &in, 1, out, 2);
}
