// The kernel interpreter: the kernels of tests/ir/kernels against plain loops in double, on sizes that leave ragged
// ends; and what it must refuse: accesses out of bounds, races between grid points, reads of what nobody wrote.
#include "kir_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

static float *random_floats(kir_fixture *f, size_t n) {
  static const uint64_t start = 11;
  uint64_t seed = start + n;
  float *x = ARENA_ARRAY(f->a, float, n);
  for (size_t i = 0; i < n; i++) x[i] = kir_random(&seed);
  return x;
}

// Memory that is never right when it is left unwritten.
static float *unwritten(kir_fixture *f, size_t n) {
  float *x = ARENA_ARRAY(f->a, float, n);
  for (size_t i = 0; i < n; i++) x[i] = NAN;
  return x;
}

static void run(kir_fixture *f, const char *name, void *const *buffers, const int64_t *symbols) {
  int64_t fault = -1;
  kir_kernel *k = kir_from_file(f, name);
  if (!kir_run(f->a, k, &f->l, buffers, symbols, &fault)) fail_msg("%s: %s", name, kir_messages(f));
  assert_int_equal(fault, 0);
}

static void close_to(const char *name, const float *got, const double *want, size_t n, double tolerance) {
  for (size_t i = 0; i < n; i++) {
    if (!(fabs((double)got[i] - want[i]) <= tolerance)) {
      fail_msg("%s: element %zu is %.9g, not %.9g", name, i, (double)got[i], want[i]);
    }
  }
}

// B [k, n] in panels of 64 columns, padded by zeros: [(n+63)/64, k, 64].
static float *packed(kir_fixture *f, const float *b, size_t k, size_t n) {
  float *p = ARENA_ARRAY(f->a, float, (n + 63) / 64 * k * 64);
  for (size_t i = 0; i < k; i++) {
    for (size_t j = 0; j < n; j++) p[(j / 64 * k + i) * 64 + j % 64] = b[i * n + j];
  }
  return p;
}

static double *product(kir_fixture *f, const float *a, const float *b, const float *bias, size_t m, size_t n,
                       size_t k) {
  double *c = ARENA_ARRAY(f->a, double, m *n);
  for (size_t i = 0; i < m; i++) {
    for (size_t j = 0; j < n; j++) {
      c[i * n + j] = (double)bias[j];
      for (size_t t = 0; t < k; t++) c[i * n + j] += (double)a[i * k + t] * (double)b[t * n + j];
    }
  }
  return c;
}

static void test_gemm_cpu(void **state) {
  kir_fixture *f = *state;
  static const size_t sizes[][3] = {{1, 1, 1}, {6, 64, 256}, {13, 70, 300}, {7, 130, 5}, {193, 3, 2}};
  for (size_t s = 0; s < 5; s++) {
    size_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
    float *a = random_floats(f, m * k), *b = random_floats(f, k * n), *bias = random_floats(f, n),
          *c = unwritten(f, m * n);
    double *want = product(f, a, b, bias, m, n, k);
    for (size_t i = 0; i < m * n; i++) want[i] = want[i] * 0.5 * (1 + erf(want[i] / sqrt(2)));
    run(f, "gemm_cpu", (void *[]){a, packed(f, b, k, n), bias, c}, (int64_t[]){(int64_t)m, (int64_t)n, (int64_t)k});
    close_to("gemm_cpu", c, want, m * n, 1e-4);
  }
}

static void test_gemm_gpu(void **state) {
  kir_fixture *f = *state;
  static const size_t sizes[][3] = {{1, 1, 1}, {64, 64, 16}, {70, 66, 19}};
  for (size_t s = 0; s < 3; s++) {
    size_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
    float *a = random_floats(f, m * k), *b = random_floats(f, k * n), *bias = random_floats(f, n),
          *c = unwritten(f, m * n);
    run(f, "gemm_gpu", (void *[]){a, b, bias, c}, (int64_t[]){(int64_t)m, (int64_t)n, (int64_t)k});
    close_to("gemm_gpu", c, product(f, a, b, bias, m, n, k), m * n, 1e-4);
  }
}

// Operands that bf16 holds exactly; B's columns lie as rows.
static void test_gemm_mma(void **state) {
  kir_fixture *f = *state;
  static const size_t sizes[][3] = {{1, 1, 1}, {64, 64, 32}, {70, 75, 37}};
  for (size_t s = 0; s < 3; s++) {
    size_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
    float *a = random_floats(f, m * k), *b = random_floats(f, k * n), *c = unwritten(f, m * n);
    uint16_t *as = ARENA_ARRAY(f->a, uint16_t, m * k), *bs = ARENA_ARRAY(f->a, uint16_t, n * k);
    for (size_t i = 0; i < m * k; i++) {
      scalar x = scalar_f(DT_bf16, (double)a[i]);
      scalar_store(&as[i], x);
      a[i] = (float)x.v.f;
    }
    for (size_t i = 0; i < k * n; i++) {
      scalar x = scalar_f(DT_bf16, (double)b[i]);
      scalar_store(&bs[i % n * k + i / n], x);
      b[i] = (float)x.v.f;
    }
    run(f, "gemm_mma", (void *[]){as, bs, c}, (int64_t[]){(int64_t)m, (int64_t)n, (int64_t)k});
    close_to("gemm_mma", c, product(f, a, b, ARENA_ARRAY(f->a, float, n), m, n, k), m * n, 1e-5);
  }
}

static void test_conv3x3(void **state) {
  kir_fixture *f = *state;
  enum { H = 9, W = 7, CI = 64, CO = 5 };
  float *x = random_floats(f, H * W * CI), *w = random_floats(f, 9 * CI * CO), *y = unwritten(f, H * W * CO);
  float *wp = ARENA_ARRAY(f->a, float, 9 * CI * 64);
  double *want = ARENA_ARRAY(f->a, double, H *W *CO);
  for (int t = 0; t < 9 * CI; t++) {
    for (int o = 0; o < CO; o++) wp[t * 64 + o] = w[t * CO + o];
  }
  for (int p = 0; p < H * W * CO; p++) {
    int row = p / CO / W, col = p / CO % W, o = p % CO;
    double sum = 0;
    for (int t = 0; t < 9 * CI; t++) {
      int i = row + t / CI / 3 - 1, j = col + t / CI % 3 - 1;
      if (i >= 0 && i < H && j >= 0 && j < W) sum += (double)x[(i * W + j) * CI + t % CI] * (double)w[t * CO + o];
    }
    want[p] = sum > 0 ? sum : 0;
  }
  run(f, "conv3x3", (void *[]){x, wp, y}, (int64_t[]){H, W, CI, CO});
  close_to("conv3x3", y, want, H * W * CO, 1e-4);
}

enum { HEAD = 64 };

static double *attention(kir_fixture *f, const float *q, const float *k, const float *v, size_t heads, size_t group,
                         size_t n) {
  double *o = ARENA_ARRAY(f->a, double, heads *n *HEAD), *p = ARENA_ARRAY(f->a, double, n);
  for (size_t h = 0; h < heads; h++) {
    const float *kh = k + h / group * n * HEAD, *vh = v + h / group * n * HEAD;
    for (size_t i = 0; i < n; i++) {
      double largest = -INFINITY, sum = 0;
      for (size_t j = 0; j <= i; j++) {
        p[j] = 0;
        for (size_t d = 0; d < HEAD; d++) p[j] += (double)q[(h * n + i) * HEAD + d] * (double)kh[j * HEAD + d] * 0.125;
        if (p[j] > largest) largest = p[j];
      }
      for (size_t j = 0; j <= i; j++) sum += p[j] = exp(p[j] - largest);
      for (size_t d = 0; d < HEAD; d++) {
        double *out = &o[(h * n + i) * HEAD + d];
        for (size_t j = 0; j <= i; j++) *out += p[j] / sum * (double)vh[j * HEAD + d];
      }
    }
  }
  return o;
}

static void test_attention_cpu(void **state) {
  kir_fixture *f = *state;
  static const size_t lengths[] = {1, 49, 70};
  for (size_t s = 0; s < 3; s++) {
    size_t h = 2, g = 2, n = lengths[s], blocks = (n + 63) / 64;
    float *q = random_floats(f, h * n * HEAD), *k = random_floats(f, h / g * n * HEAD);
    float *v = random_floats(f, h / g * n * HEAD + 1), *o = unwritten(f, h * n * HEAD);
    float *kt = ARENA_ARRAY(f->a, float, h / g * blocks * HEAD * 64);
    for (size_t j = 0; j < h / g * n; j++) {
      for (size_t d = 0; d < HEAD; d++)
        kt[((j / n * blocks + j % n / 64) * HEAD + d) * 64 + j % n % 64] = k[j * HEAD + d];
    }
    run(f, "attention_cpu", (void *[]){q, kt, v, o}, (int64_t[]){(int64_t)h, (int64_t)g, (int64_t)n});
    close_to("attention_cpu", o, attention(f, q, k, v, h, g, n), h * n * HEAD, 1e-5);
  }
}

static void test_attention_gpu(void **state) {
  kir_fixture *f = *state;
  size_t h = 2, g = 2, n = 41;
  float *q = random_floats(f, h * n * HEAD), *k = random_floats(f, h / g * n * HEAD);
  float *v = random_floats(f, h / g * n * HEAD + 1), *o = unwritten(f, h * n * HEAD);
  run(f, "attention_gpu", (void *[]){q, k, v, o}, (int64_t[]){(int64_t)h, (int64_t)g, (int64_t)n});
  close_to("attention_gpu", o, attention(f, q, k, v, h, g, n), h * n * HEAD, 1e-5);
}

static void test_layernorm(void **state) {
  kir_fixture *f = *state;
  static const size_t widths[] = {1, 63, 64, 65, 200};
  for (size_t s = 0; s < 5; s++) {
    size_t m = 3, d = widths[s];
    float *x = random_floats(f, m * d), *g = random_floats(f, d), *b = random_floats(f, d), *y = unwritten(f, m * d);
    double *want = ARENA_ARRAY(f->a, double, m *d);
    for (size_t i = 0; i < m; i++) {
      double mean = 0, var = 0;
      for (size_t j = 0; j < d; j++) mean += (double)x[i * d + j] / (double)d;
      for (size_t j = 0; j < d; j++) var += ((double)x[i * d + j] - mean) * ((double)x[i * d + j] - mean) / (double)d;
      for (size_t j = 0; j < d; j++) {
        want[i * d + j] = ((double)x[i * d + j] - mean) / sqrt(var + 1e-5) * (double)g[j] + (double)b[j];
      }
    }
    run(f, "layernorm", (void *[]){x, g, b, y}, (int64_t[]){(int64_t)m, (int64_t)d});
    close_to("layernorm", y, want, m * d, 2e-5);
  }
}

static void test_softmax(void **state) {
  kir_fixture *f = *state;
  static const size_t widths[] = {1, 64, 100};
  for (size_t s = 0; s < 3; s++) {
    size_t m = 3, d = widths[s];
    float *x = random_floats(f, m * d), *y = unwritten(f, m * d);
    double *want = ARENA_ARRAY(f->a, double, m *d);
    for (size_t i = 0; i < m * d; i++) x[i] *= 80;
    for (size_t i = 0; i < m; i++) {
      double largest = -INFINITY, sum = 0;
      for (size_t j = 0; j < d; j++) largest = fmax(largest, (double)x[i * d + j]);
      for (size_t j = 0; j < d; j++) sum += want[i * d + j] = exp((double)x[i * d + j] - largest);
      for (size_t j = 0; j < d; j++) want[i * d + j] /= sum;
    }
    run(f, "softmax", (void *[]){x, y}, (int64_t[]){(int64_t)m, (int64_t)d});
    close_to("softmax", y, want, m * d, 1e-6);
  }
}

static void test_gather_and_faults(void **state) {
  kir_fixture *f = *state;
  enum { V = 5, D = 19, N = 3 };
  float *t = random_floats(f, V * D), *y = unwritten(f, N * D);
  kir_kernel *k = kir_from_file(f, "gather");
  const int32_t all_ids[3][N] = {{4, 0, 2}, {1, -3, 2}, {0, 1, 5}};
  const int64_t faults[3] = {0, 8, 9}; // the site, plus one
  for (int run_no = 0; run_no < 3; run_no++) {
    int32_t ids[N];
    int64_t fault = -1;
    memcpy(ids, all_ids[run_no], sizeof ids);
    assert_true(kir_run(f->a, k, &f->l, (void *[]){t, ids, y}, (int64_t[]){V, D, N}, &fault));
    assert_int_equal(fault, faults[run_no]);
    for (int i = 0; i < N * D; i++) {
      int row = ids[i / D] < 0 ? 0 : ids[i / D] >= V ? V - 1 : ids[i / D];
      assert_true(y[i] == t[row * D + i % D]);
    }
  }
}

static void test_argmax(void **state) {
  kir_fixture *f = *state;
  float x[2][21] = {{0}};
  int32_t y[2] = {-1, -1};
  x[0][7] = x[0][18] = 2; // the lowest place wins, in different columns of the tile
  x[1][20] = 1;
  run(f, "argmax", (void *[]){x, y}, (int64_t[]){2, 21});
  assert_int_equal(y[0], 7);
  assert_int_equal(y[1], 20);
}

// -- single statements --

// Runs a kernel of one output f32 [n], nothing else.
static const float *floats_of(kir_fixture *f, const char *body, size_t n) {
  float *y = unwritten(f, n);
  kir_kernel *k = kir_from(f, str_fmt(f->a, "kernel k out y f32[%zu] workers w: 2, v: 3 {\n%s\n}", n, body));
  int64_t fault;
  if (k == NULL || !kir_run(f->a, k, &f->l, (void *[]){y}, NULL, &fault)) fail_msg("%s\n%s", body, kir_messages(f));
  return y;
}

static void test_reductions_across_workers(void **state) {
  kir_fixture *f = *state;
  const float *y = floats_of(f,
                             "%0 = index 10*w+v : i32 1x1\n%1 = convert %0 to f32\n%2 = rowsum %1 across w\n"
                             "store y[3*w+v] = %2",
                             6);
  for (int i = 0; i < 6; i++) assert_true(y[i] == (float)(10 + 2 * (i % 3)));
  y = floats_of(
      f, "%0 = index 10*w+v+c : i32 1x2\n%1 = convert %0 to f32\n%2 = rowmax %1 across v\nstore y[3*w+v] = %2", 6);
  for (int i = 0; i < 6; i++) assert_true(y[i] == (float)(10 * (i / 3) + 3));
  y = floats_of(f, "%0 = index 10*w+v+c+1 : i32 1x2\n%1 = convert %0 to f32\n%2 = rowprod %1\nstore y[3*w+v] = %2", 6);
  for (int i = 0; i < 6; i++) assert_true(y[i] == (float)((10 * (i / 3) + i % 3 + 1) * (10 * (i / 3) + i % 3 + 2)));
}

static void test_swapping_yields(void **state) {
  kir_fixture *f = *state;
  const float *y = floats_of(f,
                             "%0 = const 1 : f32 1x1\n%1 = const 2 : f32 1x1\n"
                             "%2, %3 = for i in 0..3 step 1 carry (%4 = %0, %5 = %1) {\nyield %5, %4\n}\n"
                             "store y[0] = %2 where -w-v >= 0\nstore y[1] = %3 where -w-v >= 0",
                             2);
  assert_true(y[0] == 2 && y[1] == 1);
  y = floats_of(f,
                "%0 = const 1 : f32 1x1\n%1 = const 2 : f32 1x1\n"
                "%2 = for i in 3..3 step 1 carry (%3 = %0) {\nyield %1\n}\nstore y[0] = %2 where -w-v >= 0",
                1);
  assert_true(y[0] == 1); // no trip: the first value
}

static void test_fma_rounds_once(void **state) {
  kir_fixture *f = *state;
  // (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 exactly; rounding the product first would give 0.
  const char *body =
      "%0 = const 1.000244140625 : f32 1x1\n%1 = const -1.00048828125 : f32 1x1\n%2 = fma %0, %0, %1\n"
      "%3 = dot %1, %0, %0 {fma}\n%4 = mul %0, %0\n%5 = add %4, %1\n"
      "store y[0] = %2 where -w-v >= 0\nstore y[1] = %3 where -w-v >= 0\nstore y[2] = %5 where -w-v >= 0";
  const float *y = floats_of(f, body, 3);
  assert_true(y[0] == 0x1p-24f && y[1] == 0x1p-24f && y[2] == 0);
}

// 1 + 2^-24 + 2^-24: rounded at each step it would stay 1.
static void test_pairs_round_once(void **state) {
  kir_fixture *f = *state;
  const char *body = "%0 = const 1 : f32 1x1\n%1 = const 0.000244140625 : bf16 1x2\n"
                     "%2 = const 0.000244140625 : bf16 2x1\n%3 = dot %0, %1, %2 {bf16}\n"
                     "store y[0] = %3 where -w-v >= 0";
  const float *y = floats_of(f, body, 1);
  assert_true(y[0] == 1 + 0x1p-23f);
}

static void test_conditions(void **state) {
  kir_fixture *f = *state;
  const float *y = floats_of(f,
                             "%0 = const 3 : f32 2x4\n%1 = select %0 where c-r-1 >= 0, 2-c >= 0 else -1\n"
                             "store y[4*r+c] = %1 where -w-v >= 0, 6-4*r-c >= 0\n"
                             "if w-w >= 0 {\n%2 = const 9 : f32 1x1\nstore y[7] = %2 where -w-v >= 0\n} else {\n"
                             "%3 = const 8 : f32 1x1\nstore y[0] = %3\n}",
                             8);
  const float want[8] = {-1, 3, 3, -1, -1, -1, 3, 9};
  for (int i = 0; i < 8; i++) assert_true(y[i] == want[i]);
}

// -- what must be refused --

static const struct {
  const char *text, *id, *says;
} refused[] = {
    {"in a f32[4] out y f32[4] grid i: 5 {\n%0 = load a[i] : f32 1x1\n}", "kernel_run_bounds",
     "kernel k, grid point i=4: index 4 on axis 0 of `a`, which has 4 places, in `%0 = load a[i] : f32 1x1`"},
    {"in a f32[4] out y f32[4] {\n%0 = load a[c-1] : f32 1x4\n}", "kernel_run_bounds", "index -1 on axis 0"},
    {"in a f32[4] out y f32[4] {\n%0 = load a[c] : f32 1x8 where 3-c >= 0 else 0\nstore y[c] = %0\n}",
     "kernel_run_bounds", "index 4 on axis 0 of `y`"},
    {"in a f32[4] out y f32[4] group s f32[2,2] {\ncopy s[0, c] = a[c] : 1x4\n}", "kernel_run_bounds",
     "index 2 on axis 1 of `s`"},
    {"in a f32[4] out y f32[4] group s f32[4] {\n%0 = load s[0] : f32 1x1\n}", "kernel_run_unwritten",
     "element 0 of `s`"},
    {"in a f32[4] out y f32[4] group s f32[4] grid i: 2 {\n%1 = const 1 : f32 1x1\nfor j in 0..1-i step 1 {\n"
     "store s[2] = %1\n}\n%0 = load s[2] : f32 1x1\n}",
     "kernel_run_unwritten", "grid point i=1: reads element 2"},
    {"in a f32[4] out y f32[4] {\n%0 = load y[3] : f32 1x1\n}", "kernel_run_unwritten", "element 3 of `y`"},
    {"in a f32[4] out y f32[4] grid i: 2, j: 3 {\n%0 = const 1 : f32 1x1\nstore y[j] = %0\n}", "kernel_run_race",
     "kernel k, grid point i=1, j=0: element 0 of `y` is also written by i=0, j=0, in `store y[j] = %0`"},
    {"in a f32[4] out y f32[4] grid i: 2 {\n%0 = const 1 : f32 1x1\nstore y[i] = %0\n%1 = load y[0] : f32 1x1\n}",
     "kernel_run_race", "written by i=0, in `%1 = load y[0]"},
    {"in a f32[4] inout y f32[4] grid i: 2 {\n%0 = load y[1] : f32 1x1\nstore y[i] = %0\n}", "kernel_run_race",
     "element 1 of `y` is also read by several others"},
    {"in a f32[4] inout y f32[4] grid i: 2 {\n%0 = load y[1-i] : f32 1x1\nstore y[i] = %0\n}", "kernel_run_race",
     "grid point i=1: element 0 of `y` is also written by i=0"},
    {"in a f32[4] out y f32[4] {\n%0 = const 1 : f32 1x2\nstore y[0] = %0\n}", "kernel_run_race",
     "by the same statement"},
    {"in a f32[4] out y f32[4] group s f32[4] workers w: 4 {\n%0 = const 1 : f32 1x1\nstore s[w//2] = %0\n}",
     "kernel_run_race", "by the same statement"},
    {"in a f32[4] out y f32[4] {\n%0 = index 9223372036854775807*c : i64 1x4\n}", "kernel_run_index", "index "},
    {"in a f32[4] out y f32[4] {\n%0 = index 2147483647+c : i32 1x4\n}", "kernel_run_index", "index c+2147483647"},
    {"in a f32[4] out y f32[n-4] fact n in 1..9 {\n}", "kernel_run_index", "`y`"},
    {"in a f32[4] out y f32[4] fact n in 4..9 {\n}", "kernel_run_symbol", "kernel k: `n` is 3, outside its fact"},
    {"in a f32[4] out y f32[4] fact n in 1..9 fact n % 2 == 0 {\n}", "kernel_run_symbol", "`n` is 3"},
    {"in t i32[2] out y f32[4] fact n in 1..9 {\n%0 = index t[c] : i32 1x4\n}", "kernel_run_bounds",
     "index 2 on axis 0 of `t`"},
    {"in a f32[4] out y f32[4] {\n%0 = load a[0] : i32 1x1\n}", "kernel_dtype", NULL}, // not a sound kernel
};

static void test_refused(void **state) {
  kir_fixture *f = *state;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    float a[4] = {0}, y[4] = {0};
    const int64_t n = 3;
    int64_t fault;
    kir_kernel *k = kir_from(f, str_fmt(f->a, "kernel k %s", refused[i].text));
    if (k == NULL) fail_msg("%s", kir_messages(f));
    if (kir_run(f->a, k, &f->l, (void *[]){a, y}, &n, &fault)) fail_msg("ran:\n%s", refused[i].text);
    assert_int_equal(f->l.n_errors, 1);
    const diag *d = f->l.items.at[f->l.items.n - 1];
    bool said = refused[i].says == NULL || strstr(d->text, refused[i].says) != NULL;
    if (strcmp(diag_name(d->id), refused[i].id) != 0 || !said) {
      fail_msg("not %s (%s) but: %s", refused[i].id, refused[i].says, kir_messages(f));
    }
    f->l.n_errors = f->l.items.n = 0;
  }
}

// In place, each grid point its own element: no race.
static void test_in_place(void **state) {
  kir_fixture *f = *state;
  float y[4] = {1, 2, 3, 4};
  int64_t fault;
  kir_kernel *k = kir_from(f, "kernel k inout y f32[4] grid i: 4 {\n%0 = load y[i] : f32 1x1\n%1 = add %0, %0\n"
                              "store y[i] = %1\n%2 = load y[i] : f32 1x1\n%3 = neg %2\nstore y[i] = %3\n}");
  assert_true(kir_run(f->a, k, &f->l, (void *[]){y}, NULL, &fault));
  for (int i = 0; i < 4; i++) assert_true(y[i] == (float)(-2 * (i + 1)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_gemm_cpu, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_gemm_gpu, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_gemm_mma, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_conv3x3, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_attention_cpu, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_attention_gpu, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_layernorm, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_softmax, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_gather_and_faults, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_argmax, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_reductions_across_workers, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_swapping_yields, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_fma_rounds_once, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_pairs_round_once, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_conditions, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_refused, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_in_place, kir_setup, kir_teardown),
  };
  return cmocka_run_group_tests_name("kir_interp", tests, NULL, NULL);
}
