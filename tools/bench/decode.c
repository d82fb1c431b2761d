/* The products of one token of a 1B Llama (decode.yaml), in nnc, in ggml, and beside a loop that only reads memory.
 *
 * usage: decode MODEL DTYPE THREADS ROUNDS LAYERS VOCAB ROWS     DTYPE f32, bf16, f16, q8 or q4
 *
 * In every round each of the three runs once, so that what else the machine does meets all of them; ratios are taken
 * inside a round, and their median is printed. Weights are random; the same sizes, not the same values: ggml's are one
 * block of rows again and again. Bytes are those of nnc's form: ggml's q8_0 and q4_0 have as many bits. */
#define _GNU_SOURCE
#include "ggml.h"
#include "ggml-cpu.h"
#include <immintrin.h>
#include <math.h>
#include <nnc/nnc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HIDDEN = 2048, KEYS = 512, INNER = 8192, MOST_THREADS = 64, READ_BYTES = 256 << 20, WARMUP = 2 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "decode: %s\n", what);
  exit(1);
}

/* -- reading -- */

typedef struct part {
  const char *at;
  size_t bytes;
  float sum; /* so that the reads are not dropped */
} part;

static void *read_part(void *user) {
  part *p = user;
  __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  for (size_t i = 0; i < p->bytes; i += sizeof sum)
    for (int k = 0; k < 4; k++)
      sum[k] = _mm256_add_ps(sum[k], _mm256_load_ps((const float *)(const void *)(p->at + i) + 8 * k));
  p->sum = _mm256_cvtss_f32(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
  return NULL;
}

static double read_time(const char *memory, int threads) {
  pthread_t thread[MOST_THREADS];
  part p[MOST_THREADS];
  size_t each = READ_BYTES / (size_t)threads / 4096 * 4096;
  double start = now();
  for (int i = threads - 1; i >= 0; i--) {
    p[i] = (part){memory + (size_t)i * each, each, 0};
    if (i == 0) read_part(&p[i]);
    else if (pthread_create(&thread[i], NULL, read_part, &p[i])) fail("no thread");
  }
  for (int i = 1; i < threads; i++) pthread_join(thread[i], NULL);
  return (now() - start) / (double)(each * (size_t)threads);
}

/* -- ggml -- */

static struct ggml_tensor *weight(struct ggml_context *c, enum ggml_type type, int64_t k, int64_t n) {
  struct ggml_tensor *t = ggml_new_tensor_2d(c, type, k, n);
  float row[INNER];
  size_t bytes = ggml_row_size(type, k);
  for (int64_t i = 0; i < n; i++) {
    char *to = (char *)t->data + (size_t)i * bytes;
    for (int64_t j = 0; i < 16 && j < k; j++)
      row[j] = ((float)rand() / (float)RAND_MAX - 0.5f) * 3.4f / sqrtf((float)k);
    if (i < 16) ggml_quantize_chunk(type, row, to, 0, 1, k, NULL);
    else memcpy(to, (char *)t->data + (size_t)(i % 16) * bytes, bytes);
  }
  return t;
}

static struct ggml_cgraph *token_graph(struct ggml_context *c, enum ggml_type type, int layers, int64_t vocab,
                                       int64_t rows) {
  struct ggml_tensor *h = ggml_new_tensor_2d(c, GGML_TYPE_F32, HIDDEN, rows);
  for (int64_t i = 0; i < HIDDEN * rows; i++) ((float *)h->data)[i] = 0.5f;
  for (int l = 0; l < layers; l++) {
    struct ggml_tensor *q = ggml_mul_mat(c, weight(c, type, HIDDEN, HIDDEN), h),
                       *k = ggml_mul_mat(c, weight(c, type, HIDDEN, KEYS), h),
                       *v = ggml_mul_mat(c, weight(c, type, HIDDEN, KEYS), h), *kv = ggml_concat(c, k, v, 0);
    q = ggml_add(c, q, ggml_concat(c, kv, kv, 0));
    struct ggml_tensor *o = ggml_mul_mat(c, weight(c, type, HIDDEN, HIDDEN), q),
                       *gate = ggml_mul_mat(c, weight(c, type, HIDDEN, INNER), o),
                       *up = ggml_mul_mat(c, weight(c, type, HIDDEN, INNER), o);
    h = ggml_mul_mat(c, weight(c, type, INNER, HIDDEN), ggml_mul(c, gate, up));
  }
  struct ggml_cgraph *g = ggml_new_graph(c);
  ggml_build_forward_expand(g, ggml_mul_mat(c, weight(c, type, HIDDEN, vocab), h));
  return g;
}

/* -- rounds -- */

static int by_value(const void *x, const void *y) {
  double a = *(const double *)x, b = *(const double *)y;
  return (a > b) - (a < b);
}

static double quantile(double *v, int n, double q) {
  qsort(v, (size_t)n, sizeof *v, by_value);
  return v[(int)(q * (n - 1))];
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    enum ggml_type type;
    double bits;
  } dtypes[] = {{"f32", GGML_TYPE_F32, 32},
                {"bf16", GGML_TYPE_BF16, 16},
                {"f16", GGML_TYPE_F16, 16},
                {"q8", GGML_TYPE_Q8_0, 8.5},
                {"q4", GGML_TYPE_Q4_0, 4.5}};
  if (argc != 8) fail("usage: decode MODEL DTYPE THREADS ROUNDS LAYERS VOCAB ROWS");
  size_t d = 0;
  while (d < 5 && strcmp(argv[2], dtypes[d].name)) d++;
  int threads = atoi(argv[3]), rounds = atoi(argv[4]), layers = atoi(argv[5]);
  int64_t vocab = atoi(argv[6]), rows = atoi(argv[7]);
  if (d == 5 || threads < 1 || threads > MOST_THREADS || rounds < 1) fail("an argument is out of range");
  double weights =
      layers * (2.0 * HIDDEN * HIDDEN + 2.0 * HIDDEN * KEYS + 3.0 * HIDDEN * INNER) + (double)HIDDEN * (double)vocab;
  double bytes = weights * dtypes[d].bits / 8;

  const nnc_setting sets[] = {{"layers", argv[5]}, {"vocab", argv[6]}};
  const char *const random_weights[] = {"random"};
  nnc_compile_options options = NNC_COMPILE_OPTIONS_INIT;
  options.weights = random_weights, options.n_weights = 1;
  options.sets = sets, options.n_sets = 2;
  options.weights_dtype = argv[2], options.no_cache = 1;
  nnc_session_options session_options = NNC_SESSION_OPTIONS_INIT;
  session_options.threads = (unsigned)threads;
  nnc_module *m;
  nnc_session *s;
  nnc_diagnostics *told;
  if (nnc_module_open(&m, argv[1], &options, &told))
    fail(told ? nnc_diagnostics_get(told, 0)->text : "nnc_module_open");
  if (nnc_session_new(&s, m, &session_options)) fail("nnc_session_new");
  float *x = malloc(sizeof(float) * HIDDEN * (size_t)rows), *y = malloc(sizeof(float) * (size_t)(vocab * rows));
  for (int64_t i = 0; i < HIDDEN * rows; i++) x[i] = 0.5f;
  nnc_tensor in = nnc_tensor_of(NNC_F32, x, 2, (const int64_t[]){rows, HIDDEN});
  nnc_tensor out = nnc_tensor_of(NNC_F32, y, 2, (const int64_t[]){rows, vocab});

  struct ggml_context *c =
      ggml_init((struct ggml_init_params){(size_t)(bytes * 1.02) + ((size_t)64 << 20) * (size_t)rows, NULL, false});
  struct ggml_cgraph *g = token_graph(c, dtypes[d].type, layers, vocab, rows);
  struct ggml_threadpool_params pool_params = ggml_threadpool_params_default(threads);
  pool_params.poll = 0; /* its threads would go on polling while nnc runs */
  struct ggml_threadpool *pool = ggml_threadpool_new(&pool_params);
  struct ggml_cplan plan = ggml_graph_plan(g, threads, pool);
  plan.work_data = malloc(plan.work_size + 64);
  char *memory = aligned_alloc(4096, READ_BYTES);
  memset(memory, 1, READ_BYTES);

  double *ours = calloc((size_t)rounds, sizeof(double)), *theirs = calloc((size_t)rounds, sizeof(double)),
         *reads = calloc((size_t)rounds, sizeof(double)), *share = calloc((size_t)rounds, sizeof(double)),
         *ratio = calloc((size_t)rounds, sizeof(double));
  for (int i = -WARMUP; i < rounds; i++) {
    double start = now();
    if (nnc_run(s, 0, &in, 1, &out, 1)) fail(nnc_session_error(s));
    double a = now() - start;
    start = now();
    ggml_graph_compute(g, &plan);
    double b = now() - start, r = read_time(memory, threads);
    if (i < 0) continue;
    ours[i] = a, theirs[i] = b, reads[i] = 1 / r, share[i] = bytes / a * r, ratio[i] = b / a;
  }
  printf("%-4s %d threads, %lld rows: nnc %.1f ms, ggml %.1f ms, ggml/nnc %.2f (%.2f to %.2f); nnc reads %.1f GB/s, "
         "%.0f%% "
         "(%.0f to %.0f) of the loop's %.1f\n",
         argv[2], threads, (long long)rows, 1e3 * quantile(ours, rounds, 0.5), 1e3 * quantile(theirs, rounds, 0.5),
         quantile(ratio, rounds, 0.5), quantile(ratio, rounds, 0.1), quantile(ratio, rounds, 0.9),
         1e-9 * bytes / quantile(ours, rounds, 0.5), 100 * quantile(share, rounds, 0.5),
         100 * quantile(share, rounds, 0.1), 100 * quantile(share, rounds, 0.9), 1e-9 * quantile(reads, rounds, 0.5));
  nnc_session_free(s);
  nnc_module_free(m);
  return 0;
}
