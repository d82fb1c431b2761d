// Peak multiply-add rate: a kernel of independent chains, kept in registers, made by the same back end as every other
// kernel.
//
// One grid point repeats `acc = acc * x + y` on a tile as large as the contraction's register tile: enough chains to
// hide the latency of a multiply-add on two ports. One point a thread; the best of several runs counts, since what is
// asked is the machine's limit, not its load.
#include "tools/nnc/peak.h"
#include "api/compile.h"
#include "base/clock.h"

#include <string.h>

enum { TURNS = 200000, ATTEMPTS = 50 };

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
static kernel_fn compile_peak(cli *c, compile_job *j) {
  kir_kernel *k = peak_kernel(c->a, &j->diags, j->target);
  const llvm_backend *llvm = compile_open_llvm(j);
  llvm_objects o;
  if (!llvm || !kir_verify(k, &j->diags) || !llvm->compile(c->a, &j->diags, j->target, NULL, 1, &k, &o)) return NULL;
  const loaded_code *code = code_load(c->a, &j->diags, o.object[0]);
  void *f = code ? code_find(code, &j->diags, k->name) : NULL;
  kernel_fn kernel;
  memcpy(&kernel, &f, sizeof kernel);
  return kernel;
}

double measure_peak(cli *c, rt_pool *pool) {
  compile_job *j = ARENA_NEW(c->a, compile_job);
  if (!compile_begin(j, c->a, "", NULL, NULL, NULL)) return 0;
  peak_call p = {.f = compile_peak(c, j), .n = rt_pool_threads(pool)};
  if (!p.f) return 0;
  size_t tile = (size_t)j->target->dot_rows * j->target->dot_cols;
  float *factors = ARENA_ARRAY(c->a, float, 2);
  factors[0] = 0.5f, factors[1] = 1; // converges to 2: no overflow, no denormals
  p.buffers[0] = factors;
  p.buffers[1] = ARENA_ARRAY(c->a, float, tile *(size_t)p.n);
  double best = 0;
  for (int i = 0; i < ATTEMPTS; i++) {
    int64_t start = clock_ns();
    rt_pool_run(pool, p.n, 1, run_points, &p);
    double ns = (double)(clock_ns() - start), rate = 2.0 * TURNS * (double)tile * (double)p.n / ns;
    best = rate > best ? rate : best;
  }
  return best;
}
