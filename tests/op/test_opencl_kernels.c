// Kernels of tests/ir/kernels, printed as OpenCL C and run on a device, against the kernel interpreter, on sizes that
// leave ragged ends. Every buffer lies between guards.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "op/cl_host.h"
#include "op/random_graph.h"

enum { MOST_SYMBOLS = 4, MOST_BUFFERS = 8 };

typedef struct fixture {
  arena *a;
  diag_list l;
  cl_host *host; // NULL: no device
} fixture;

static int setup(void **state) {
  arena *a = arena_new(NULL);
  fixture *f = ARENA_NEW(a, fixture);
  const char *why = NULL;
  f->a = a;
  diag_init(&f->l, a);
  f->host = cl_host_open(a, false, &why);
  if (f->host == NULL) print_message("skipped: %s\n", why);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  arena_free(f->a);
  return 0;
}

static const char *messages(fixture *f) {
  strbuf b;
  sb_init(&b, f->a);
  diag_render_all(&f->l, false, &b);
  return sb_cstr(&b);
}

static kir_kernel *kernel_file(fixture *f, const char *name) {
  str text;
  const char *path = str_fmt(f->a, NNC_SOURCE_DIR "/tests/ir/kernels/%s.kir", name);
  if (!file_read(f->a, &f->l, path, 1 << 20, &text)) fail_msg("%s", messages(f));
  kir_kernel *k = kir_parse(f->a, &f->l, diag_add_file(&f->l, path, text));
  if (k == NULL || !kir_verify(k, &f->l)) fail_msg("%s", messages(f));
  return k;
}

typedef struct example {
  const char *name;
  int64_t symbols[MOST_SYMBOLS];
  double tolerance; // relative to the largest output: summation order and fused steps differ
} example;

static const example examples[] = {{"gemm_cpu", {1, 1, 1}, 2e-6},
                                   {"gemm_cpu", {6, 64, 256}, 4e-6},
                                   {"gemm_cpu", {13, 70, 300}, 4e-6},
                                   {"conv3x3", {1, 1, 64, 3}, 4e-6},
                                   {"conv3x3", {9, 7, 64, 70}, 4e-6},
                                   {"attention_cpu", {2, 1, 5}, 4e-6},
                                   {"attention_cpu", {4, 2, 130}, 4e-6},
                                   {"layernorm", {3, 5}, 1e-5},
                                   {"layernorm", {2, 200}, 1e-5},
                                   {"softmax", {4, 1}, 2e-6},
                                   {"softmax", {3, 129}, 2e-6},
                                   {"argmax", {5, 1}, 0},
                                   {"argmax", {4, 37}, 0},
                                   {"gather", {10, 17, 6}, 0},
                                   {"gather", {1, 16, 40}, 0}};

typedef struct values {
  const kir_kernel *k;
  const int64_t *symbols;
} values;

static int64_t value_of(void *user, const sym *s) {
  const values *v = user;
  for (size_t i = 0; i < v->k->facts.n; i++)
    if (v->k->facts.at[i].symbol == s) return v->symbols[i];
  fail_msg("no value for %s", s->name);
  return 0;
}

static size_t n_elements(const kir_kernel *k, const kir_buffer *b, const int64_t *symbols) {
  values v = {k, symbols};
  idx_env env = {value_of, NULL, &v};
  size_t n = 1;
  for (uint32_t d = 0; d < b->rank; d++) {
    int64_t extent = 0;
    assert_true(idx_eval(b->dim[d], &env, &extent));
    n *= (size_t)extent;
  }
  return n;
}

static void fill(char *p, dtype dt, size_t n, uint64_t *seed) {
  for (size_t i = 0; i < n; i++) {
    double u = random_unit(seed);
    scalar_store(p + i * dtype_size(dt),
                 dtype_is_float(dt) ? scalar_f(dt, 2 * u - 1) : scalar_i(dt, (int64_t)(14 * u) - 2));
  }
}

static double as_double(scalar s) { return dtype_is_float(s.dt) ? s.v.f : (double)s.v.i; }

static void compare(const char *what, const kir_buffer *b, const char *got, const char *want, size_t n,
                    double tolerance) {
  size_t bytes = dtype_size(b->dt);
  double most = 0;
  for (size_t i = 0; i < n; i++) {
    double v = fabs(as_double(scalar_load(b->dt, want + i * bytes)));
    if (v > most && v < HUGE_VAL) most = v;
  }
  for (size_t i = 0; i < n; i++) {
    scalar x = scalar_load(b->dt, got + i * bytes), y = scalar_load(b->dt, want + i * bytes);
    if (scalar_same(x, y) || fabs(as_double(x) - as_double(y)) <= tolerance * most) continue;
    fail_msg("%s: %s[%zu] is %.9g, not %.9g", what, b->name, i, as_double(x), as_double(y));
  }
}

static void agree(fixture *f, const cl_host_kernel *c, const kir_kernel *k, const int64_t *symbols, double tolerance) {
  void *got[MOST_BUFFERS], *want[MOST_BUFFERS];
  size_t n[MOST_BUFFERS];
  uint64_t seed = 7;
  assert_true(k->params.n <= MOST_BUFFERS);
  for (size_t i = 0; i < k->params.n; i++) {
    const kir_buffer *b = k->params.at[i];
    n[i] = n_elements(k, b, symbols);
    size_t bytes = n[i] * dtype_size(b->dt);
    got[i] = arena_alloc(f->a, bytes + 1);
    want[i] = arena_alloc(f->a, bytes + 1);
    if (b->space == KIR_out) memset(got[i], 0x7f, bytes);
    else fill(got[i], b->dt, n[i], &seed);
    memcpy(want[i], got[i], bytes);
  }
  int64_t fault = 0, device_fault = 0;
  if (!kir_run(f->a, k, &f->l, want, symbols, &fault)) fail_msg("%s", messages(f));
  const char *why = cl_host_run(c, got, symbols, &device_fault);
  if (why != NULL) fail_msg("%s", why);
  assert_int_equal(device_fault != 0, fault != 0);
  strbuf b;
  sb_init(&b, f->a);
  sb_z(&b, k->name);
  for (size_t i = 0; i < k->facts.n; i++) sb_fmt(&b, ", %s = %lld", k->facts.at[i].symbol->name, (long long)symbols[i]);
  for (size_t i = 0; i < k->params.n; i++) compare(sb_cstr(&b), k->params.at[i], got[i], want[i], n[i], tolerance);
}

static void kernels_agree(void **state) {
  fixture *f = *state;
  if (f->host == NULL) skip();
  print_message("on %s\n", cl_host_device(f->host));
  const cl_host_kernel *c = NULL;
  kir_kernel *k = NULL;
  for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
    const example *e = &examples[i];
    if (k == NULL || strcmp(k->name, e->name) != 0) {
      const char *why;
      k = kernel_file(f, e->name);
      c = cl_host_compile(f->host, f->a, k, &why);
      if (c == NULL) fail_msg("%s", why);
    }
    agree(f, c, k, e->symbols, e->tolerance);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(kernels_agree, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
