// Kernels against the kernel interpreter: see kernel_judge.h.
#include "support/kernel_judge.h"
#include "base/file.h"
#include "support/random.h"

#include <math.h>
#include <string.h>

const char *messages_of(arena *a, const diag_list *l) {
  strbuf b;
  sb_init(&b, a);
  diag_render_all(l, false, &b);
  return sb_cstr(&b);
}

kir_kernel *kernel_file(arena *a, diag_list *l, const char *name, bool barriers) {
  const char *path = str_fmt(a, NNC_SOURCE_DIR "/tests/ir/kernels/%s.kir", name);
  str text;
  kir_kernel *k = file_read(a, l, path, 1 << 20, &text) ? kir_parse(a, l, diag_add_file(l, path, text)) : NULL;
  if (k && barriers) kir_place_barriers(k);
  return k && kir_verify(k, l) ? k : NULL;
}

// -- sizes --

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

int64_t kernel_eval(const kir_kernel *k, const int64_t *symbols, const idx *e) {
  values v = {k, symbols};
  const idx_env env = {value_of, NULL, &v};
  int64_t out = 0;
  return idx_eval(e, &env, &out) ? out : 0;
}

size_t kernel_elements(const kir_kernel *k, const int64_t *symbols, const kir_buffer *b) {
  size_t n = 1;
  for (uint32_t d = 0; d < b->rank; d++) n *= (size_t)kernel_eval(k, symbols, b->dim[d]);
  return n;
}

// -- judging --

static void fill(char *p, dtype dt, size_t n, uint64_t *seed) {
  for (size_t i = 0; i < n; i++)
    scalar_store(p + i * dtype_size(dt), dtype_is_float(dt) ? scalar_f(dt, (double)random_float(seed))
                                                            : scalar_i(dt, (int64_t)random_below(seed, 14) - 2));
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

static const char *said_of(arena *a, const kir_kernel *k, const int64_t *symbols, const char *why) {
  strbuf b;
  sb_init(&b, a);
  sb_z(&b, k->name);
  for (size_t i = 0; i < k->facts.n; i++) sb_fmt(&b, ", %s = %lld", k->facts.at[i].symbol->name, (long long)symbols[i]);
  sb_fmt(&b, ": %s", why);
  return sb_cstr(&b);
}

const char *kernel_judge(arena *a, const kir_kernel *k, const int64_t *symbols, double tolerance,
                         const kernel_engine *e) {
  void **got = ARENA_ARRAY(a, void *, k->params.n + 1), **want = ARENA_ARRAY(a, void *, k->params.n + 1);
  size_t *n = ARENA_ARRAY(a, size_t, k->params.n + 1);
  uint64_t seed = 7;
  for (size_t i = 0; i < k->params.n; i++) {
    const kir_buffer *b = k->params.at[i];
    n[i] = kernel_elements(k, symbols, b);
    size_t bytes = n[i] * dtype_size(b->dt);
    got[i] = e->memory ? e->memory(e->user, bytes) : arena_alloc(a, bytes + 1);
    want[i] = arena_alloc(a, bytes + 1);
    if (b->space == KIR_out) memset(got[i], 0x7f, bytes);
    else fill(got[i], b->dt, n[i], &seed);
    memcpy(want[i], got[i], bytes);
  }
  int64_t expected = 0, fault = 0;
  diag_list l;
  diag_init(&l, a);
  if (!kir_run(a, k, &l, want, symbols, &expected)) return messages_of(a, &l);
  const char *why = e->run(e->user, k, got, symbols, &fault);
  if (!why && (fault != 0) != (expected != 0)) why = "one of them records a fault";
  for (size_t i = 0; i < k->params.n && !why; i++) why = compare(a, k->params.at[i], got[i], want[i], n[i], tolerance);
  return why ? said_of(a, k, symbols, why) : NULL;
}

const kernel_example kernel_examples[] = {{"gemm_cpu", {1, 1, 1}, 2e-6},
                                          {"gemm_cpu", {6, 64, 256}, 4e-6},
                                          {"gemm_cpu", {13, 70, 300}, 4e-6},
                                          {"gemm_cpu", {7, 130, 5}, 2e-6},
                                          {"gemm_cpu", {193, 3, 2}, 2e-6},
                                          {"gemm_bf16", {1, 1, 1}, 2e-6},
                                          {"gemm_bf16", {13, 70, 37}, 4e-6},
                                          {"gemm_pairs", {1, 1, 1}, 2e-6},
                                          {"gemm_pairs", {13, 70, 37}, 4e-6},
                                          {"gemm_quads", {1, 1, 1}, 0},
                                          {"gemm_quads", {13, 70, 37}, 0},
                                          {"conv3x3", {1, 1, 64, 3}, 4e-6},
                                          {"conv3x3", {9, 7, 64, 70}, 4e-6},
                                          {"attention_cpu", {2, 1, 5}, 4e-6},
                                          {"attention_cpu", {4, 2, 130}, 4e-6},
                                          {"attention_cpu", {1, 1, 300}, 4e-6},
                                          {"layernorm", {3, 5}, 1e-5},
                                          {"layernorm", {2, 64}, 1e-5},
                                          {"layernorm", {2, 200}, 1e-5},
                                          {"softmax", {4, 1}, 2e-6},
                                          {"softmax", {3, 129}, 2e-6},
                                          {"argmax", {5, 1}, 0},
                                          {"argmax", {4, 37}, 0},
                                          {"gather", {10, 17, 6}, 0},
                                          {"gather", {1, 16, 40}, 0}};
const size_t n_kernel_examples = sizeof kernel_examples / sizeof *kernel_examples;
