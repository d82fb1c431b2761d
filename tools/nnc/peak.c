// What the machine reaches: kernels made by the same back end as every other kernel. The best of several runs counts,
// since what is asked is the machine's limit, not its load.
//
// Multiply-adds: one grid point repeats `acc = acc * x + y` on a tile as large as the contraction's register tile, kept
// in registers: enough chains to hide the latency of a multiply-add on two ports. One point a thread.
//
// Reading: one grid point adds up a block of a buffer that no cache holds. McCalpin 1995 (STREAM), reading alone.
#include "tools/nnc/peak.h"
#include "api/compile.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TURNS = 200000, ATTEMPTS = 50, READ_ATTEMPTS = 8 };
static const int64_t READ_BYTES = INT64_C(256) << 20, BLOCK_FLOATS = 1 << 16; // a block: 256 KiB

static kir_kernel *peak_kernel(arena *a, diag_list *l, const target *t) {
  kir_kernel *k = kir_kernel_new(a, l, "peak");
  const idx *one = idx_int(k->ix, 1), *zero = idx_int(k->ix, 0), *turns = idx_int(k->ix, TURNS);
  const idx *n = idx_of(k->ix, kir_fact_add(k, "n", 1, 1 << 16, 1));
  const idx *rows = idx_int(k->ix, t->dot_rows), *cols = idx_int(k->ix, t->dot_cols);
  const idx *in_dims[] = {idx_int(k->ix, 2)}, *out_dims[] = {n, rows, cols};
  const kir_buffer *in = kir_param(k, "x", KIR_in, DT_f32, 1, in_dims);
  const kir_buffer *out = kir_param(k, "y", KIR_out, DT_f32, 3, out_dims);
  const idx *point = idx_of(k->ix, kir_grid(k, "i", n));
  kir_builder b = kir_begin(k);
  kir_tile *x = kir_load(&b, in, &zero, 1, 1, kir_always, scalar_f(DT_f32, 0));
  kir_tile *y = kir_load(&b, in, &one, 1, 1, kir_always, scalar_f(DT_f32, 0));
  kir_tile *start = kir_const(&b, scalar_f(DT_f32, 1), t->dot_rows, t->dot_cols);
  kir_stmt *loop = kir_for(&b, "turn", zero, turns, 1, 1, 1, &start);
  kir_builder body = kir_for_body(&b, loop);
  kir_tile *next = kir_fma(&body, loop->carry[0], x, y);
  kir_for_end(loop, &next);
  const idx *place[] = {point, idx_of(k->ix, k->r), idx_of(k->ix, k->c)};
  kir_store(&b, out, place, loop->result[0], t->dot_rows, t->dot_cols, kir_always);
  return k;
}

// Of a block: a whole number of tiles.
static int64_t block_floats(const target *t) {
  int64_t tile = (int64_t)t->dot_rows * t->dot_cols;
  return BLOCK_FLOATS / tile * tile;
}

static kir_kernel *reading_kernel(arena *a, diag_list *l, const target *t) {
  kir_kernel *k = kir_kernel_new(a, l, "reading");
  const idx *n = idx_of(k->ix, kir_fact_add(k, "n", 1, 1 << 20, 1));
  const idx *rows = idx_int(k->ix, t->dot_rows), *cols = idx_int(k->ix, t->dot_cols);
  int64_t step = (int64_t)t->dot_rows * t->dot_cols, block = block_floats(t);
  const idx *in_dims[] = {idx_scale(k->ix, n, block)}, *out_dims[] = {n, rows, cols};
  const kir_buffer *in = kir_param(k, "x", KIR_in, DT_f32, 1, in_dims);
  const kir_buffer *out = kir_param(k, "y", KIR_out, DT_f32, 3, out_dims);
  const idx *point = idx_of(k->ix, kir_grid(k, "i", n)), *r = idx_of(k->ix, k->r), *c = idx_of(k->ix, k->c);
  kir_builder b = kir_begin(k);
  kir_tile *start = kir_const(&b, scalar_f(DT_f32, 0), t->dot_rows, t->dot_cols);
  kir_stmt *loop = kir_for(&b, "at", idx_int(k->ix, 0), idx_int(k->ix, block), step, 1, 1, &start);
  kir_builder body = kir_for_body(&b, loop);
  const idx *at = idx_add(k->ix, idx_of(k->ix, loop->var), idx_scale(k->ix, point, block));
  at = idx_add(k->ix, at, idx_add(k->ix, idx_scale(k->ix, r, t->dot_cols), c));
  kir_tile *x = kir_load(&body, in, &at, t->dot_rows, t->dot_cols, kir_always, scalar_f(DT_f32, 0));
  kir_tile *next = kir_op2(&body, OP_add, loop->carry[0], x);
  kir_for_end(loop, &next);
  const idx *place[] = {point, r, c};
  kir_store(&b, out, place, loop->result[0], t->dot_rows, t->dot_cols, kir_always);
  return k;
}

typedef struct peak_call {
  kernel_fn f;
  void *buffers[2];
  int64_t n, fault;
} peak_call;

static void run_points(void *user, int64_t begin, int64_t end, unsigned worker) {
  (void)worker;
  const peak_call *p = user;
  int64_t fault = 0;
  p->f(p->buffers, &p->n, &p->n, begin, end, NULL, &fault);
}

// The compiled kernel, released with the arena; NULL when there is no back end.
static kernel_fn compile_one(cli *c, compile_job *j, kir_kernel *k) {
  const llvm_backend *llvm = compile_open_llvm(j);
  llvm_objects o;
  if (!llvm || !kir_verify(k, &j->diags) || !llvm->compile(c->a, &j->diags, j->target, NULL, 1, &k, &o)) return NULL;
  const loaded_code *code = code_load(c->a, &j->diags, o.object[0]);
  void *f = code ? code_find(code, &j->diags, k->name) : NULL;
  kernel_fn kernel;
  memcpy(&kernel, &f, sizeof kernel);
  return kernel;
}

static double best_rate(rt_pool *pool, peak_call *p, double amount, int attempts) {
  double best = 0;
  for (int i = 0; i < attempts; i++) {
    int64_t start = clock_ns();
    rt_pool_run(pool, p->n, 1, run_points, p);
    double rate = amount / (double)(clock_ns() - start);
    best = rate > best ? rate : best;
  }
  return best;
}

double measure_peak(cli *c, rt_pool *pool) {
  compile_job *j = ARENA_NEW(c->a, compile_job);
  if (!compile_begin(j, c->a, "", NULL, NULL, NULL)) return 0;
  peak_call p = {.f = compile_one(c, j, peak_kernel(c->a, &j->diags, j->target)), .n = rt_pool_threads(pool)};
  if (!p.f) return 0;
  size_t tile = (size_t)j->target->dot_rows * j->target->dot_cols;
  float *factors = ARENA_ARRAY(c->a, float, 2);
  factors[0] = 0.5f, factors[1] = 1; // converges to 2: no overflow, no denormals
  p.buffers[0] = factors;
  p.buffers[1] = ARENA_ARRAY(c->a, float, tile *(size_t)p.n);
  return best_rate(pool, &p, 2.0 * TURNS * (double)tile * (double)p.n, ATTEMPTS);
}

// Twice what the caches hold together, as far as the system tells.
static int64_t bytes_to_read(void) {
  int64_t held = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return 2 * held > READ_BYTES && held <= INT64_C(1) << 30 ? 2 * held : READ_BYTES;
}

double measure_reading(cli *c, rt_pool *pool) {
  compile_job *j = ARENA_NEW(c->a, compile_job);
  if (!compile_begin(j, c->a, "", NULL, NULL, NULL)) return 0;
  peak_call p = {.f = compile_one(c, j, reading_kernel(c->a, &j->diags, j->target)),
                 .n = bytes_to_read() / BLOCK_FLOATS / (int64_t)sizeof(float)};
  int64_t tile = (int64_t)j->target->dot_rows * j->target->dot_cols, floats = p.n * block_floats(j->target);
  p.buffers[1] = ARENA_ARRAY(c->a, float, (size_t)(tile * p.n));
  float *x = malloc((size_t)floats * sizeof *x);
  if (!p.f || !x) {
    free(x);
    return 0;
  }
  for (int64_t i = 0; i < floats; i++) x[i] = 1; // pages of its own
  p.buffers[0] = x;
  double rate = best_rate(pool, &p, (double)floats * sizeof *x, READ_ATTEMPTS);
  free(x);
  return rate;
}
