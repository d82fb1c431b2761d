// Kernels on a device against the interpreter: see cl_agree.h.
#include "op/cl_agree.h"
#include "base/file.h"
#include "op/random_graph.h"

#include <math.h>
#include <string.h>

static const char *messages(arena *a, const diag_list *l) {
  strbuf b;
  sb_init(&b, a);
  diag_render_all(l, false, &b);
  return sb_cstr(&b);
}

kir_kernel *cl_kernel_file(arena *a, const char *name, bool barriers, const char **why) {
  str text;
  diag_list l;
  diag_init(&l, a);
  const char *path = str_fmt(a, NNC_SOURCE_DIR "/tests/ir/kernels/%s.kir", name);
  bool read = file_read(a, &l, path, 1 << 20, &text);
  kir_kernel *k = read ? kir_parse(a, &l, diag_add_file(&l, path, text)) : NULL;
  if (k != NULL && barriers) kir_place_barriers(k);
  if (k != NULL && kir_verify(k, &l)) return k;
  *why = messages(a, &l);
  return NULL;
}

typedef struct values {
  const kir_kernel *k;
  const int64_t *symbols;
} values;

static int64_t value_of(void *user, const sym *s) {
  const values *v = user;
  for (size_t i = 0; i < v->k->facts.n; i++)
    if (v->k->facts.at[i].symbol == s) return v->symbols[i];
  return 0; // kir_verify has seen that there are no others
}

static size_t n_elements(const kir_kernel *k, const kir_buffer *b, const int64_t *symbols) {
  values v = {k, symbols};
  idx_env env = {value_of, NULL, &v};
  size_t n = 1;
  for (uint32_t d = 0; d < b->rank; d++) {
    int64_t extent = 0;
    n *= idx_eval(b->dim[d], &env, &extent) ? (size_t)extent : 0;
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

static const char *compare(arena *a, const kir_buffer *b, const char *got, const char *want, size_t n,
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
    return str_fmt(a, "%s[%zu] is %.9g, not %.9g", b->name, i, as_double(x), as_double(y));
  }
  return NULL;
}

const char *cl_agree(arena *a, const cl_host_kernel *c, const kir_kernel *k, const int64_t *symbols, double tolerance) {
  void **got = ARENA_ARRAY(a, void *, k->params.n), **want = ARENA_ARRAY(a, void *, k->params.n);
  size_t *n = ARENA_ARRAY(a, size_t, k->params.n);
  uint64_t seed = 7;
  for (size_t i = 0; i < k->params.n; i++) {
    const kir_buffer *b = k->params.at[i];
    n[i] = n_elements(k, b, symbols);
    size_t bytes = n[i] * dtype_size(b->dt);
    got[i] = arena_alloc(a, bytes + 1);
    want[i] = arena_alloc(a, bytes + 1);
    if (b->space == KIR_out) memset(got[i], 0x7f, bytes);
    else fill(got[i], b->dt, n[i], &seed);
    memcpy(want[i], got[i], bytes);
  }
  int64_t fault = 0, device_fault = 0;
  diag_list l;
  diag_init(&l, a);
  if (!kir_run(a, k, &l, want, symbols, &fault)) return messages(a, &l);
  const char *why = cl_host_run(c, got, symbols, &device_fault);
  if (why == NULL && (device_fault != 0) != (fault != 0)) why = "one of them records a fault";
  for (size_t i = 0; i < k->params.n && why == NULL; i++)
    why = compare(a, k->params.at[i], got[i], want[i], n[i], tolerance);
  if (why == NULL) return NULL;
  strbuf b;
  sb_init(&b, a);
  sb_z(&b, k->name);
  for (size_t i = 0; i < k->facts.n; i++) sb_fmt(&b, ", %s = %lld", k->facts.at[i].symbol->name, (long long)symbols[i]);
  sb_fmt(&b, ": %s", why);
  return sb_cstr(&b);
}

bool cl_host_engine(void *host, engines *e, arena *a, kir_kernel *k, void *const *buffers, const int64_t *symbols,
                    int64_t *fault) {
  const char *why = NULL;
  cl_host_kernel *c = cl_host_compile(host, a, k, &why);
  if (c != NULL) why = cl_host_run(c, buffers, symbols, fault);
  if (why != NULL) diag_at(&e->job.diags, NO_SPAN, plan_refused, k->name, why);
  return why == NULL;
}
