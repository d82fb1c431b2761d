// Routines of the device beside those of the host: see routine_judge.h.
#include "support/routine_judge.h"
#include "runtime/routines.h"
#include "support/random.h"
#include <math.h>
#include <string.h>

enum { MOST_BUFFERS = 4, BLOCK = 1024 }; // of columns, as lowering asks for

struct routine_judge {
  kir_kernel *k; // its parameters change from call to call: what it is launched with follows from them
  cl_host_kernel *c;
  rt_kernel host;
};

static const struct {
  const char *name;
  uint32_t n_in, n_out, n_symbols;
} shapes[] = {{"rt_order", 1, 2, 4}, {"rt_scatter", 3, 1, 6}, {"rt_compact", 2, 2, 5}, {"rt_nms", 2, 2, 3}};

routine_judge *routine_judge_open(cl_host *h, arena *a, const char *name, const char **why) {
  diag_list *l = ARENA_NEW(a, diag_list);
  diag_init(l, a);
  size_t w = 0;
  while (strcmp(shapes[w].name, name) != 0) w++;
  kir_kernel *k = kir_kernel_new(a, l, name);
  k->routine = true;
  const idx *one[] = {idx_int(k->ix, 1)};
  for (uint32_t i = 0; i < shapes[w].n_in + shapes[w].n_out; i++)
    kir_param(k, str_fmt(a, "b%u", i), i < shapes[w].n_in ? KIR_in : KIR_out, strcmp(name, "rt_nms") ? DT_f32 : DT_f64,
              1, one);
  for (uint32_t i = 0; i < shapes[w].n_symbols; i++) kir_fact_add(k, str_fmt(a, "s%u", i), 0, INT64_MAX, 1);
  kir_grid(k, "line", one[0]);
  routine_judge *j = ARENA_NEW(a, routine_judge);
  *j = (routine_judge){k, cl_host_compile(h, a, k, why), rt_routine(name)};
  return j->c ? j : NULL;
}

typedef struct memory {
  dtype dt;
  int64_t count;
  void *at; // NULL: an output
} memory;

static const char *compare(routine_judge *j, arena *a, const memory *m, const int64_t *symbols, int64_t points) {
  void *mine[MOST_BUFFERS], *theirs[MOST_BUFFERS];
  size_t n = j->k->params.n;
  int64_t fault = 0, their_fault = 0;
  for (size_t i = 0; i < n; i++) {
    const idx *count = idx_int(j->k->ix, m[i].count);
    j->k->params.at[i]->dt = m[i].dt;
    j->k->params.at[i]->dim = arena_copy(a, &count, sizeof count);
    size_t bytes = (size_t)m[i].count * dtype_size(m[i].dt) + 8;
    mine[i] = m[i].at ? m[i].at : arena_alloc(a, bytes);
    theirs[i] = m[i].at ? m[i].at : arena_alloc(a, bytes);
  }
  j->k->grid_extent[0] = idx_int(j->k->ix, points);
  j->host(mine, symbols, &points, 0, points, NULL, &fault);
  const char *why = cl_host_run(j->c, theirs, symbols, &their_fault);
  if (why) return why;
  if (fault != their_fault) return str_fmt(a, "fault %lld, not %lld", (long long)their_fault, (long long)fault);
  for (size_t i = 0; i < n; i++) {
    size_t width = dtype_size(m[i].dt);
    for (size_t e = 0; e < (size_t)m[i].count * width && !m[i].at; e++)
      if (((char *)mine[i])[e] != ((char *)theirs[i])[e])
        return str_fmt(a, "output %zu differs at element %zu of %lld", i, e / width, (long long)m[i].count);
  }
  return NULL;
}

static scalar special(dtype dt, uint64_t *seed) {
  static const double values[] = {NAN, -NAN, INFINITY, -INFINITY, 0.0, -0.0};
  scalar s = {.dt = dt, .v.f = values[random_below(seed, sizeof values / sizeof *values)]};
  return s;
}

// Few values: ties. `plain`: what a sum takes without becoming NaN.
static void *fill(arena *a, dtype dt, int64_t n, bool plain, uint64_t *seed) {
  char *p = arena_alloc(a, (size_t)n * dtype_size(dt) + 8);
  uint32_t range = random_below(seed, 2) ? 5 : 200;
  for (int64_t i = 0; i < n; i++) {
    int64_t v = (int64_t)random_below(seed, range) - range / 2;
    scalar s = scalar_cast(dtype_is_float(dt) ? scalar_f(DT_f64, (double)v / 4) : scalar_i(DT_i64, v), dt);
    if (dtype_is_float(dt) && !plain && random_below(seed, 6) == 0) s = special(dt, seed);
    scalar_store(p + (size_t)i * dtype_size(dt), s);
  }
  return p;
}

const char *judge_order(routine_judge *j, arena *a, dtype dt, int64_t before, int64_t n, int64_t after, int64_t k,
                        bool down, uint64_t *seed) {
  int64_t lines = before * after;
  const memory m[] = {
      {dt, lines * n, fill(a, dt, lines * n, false, seed)}, {dt, lines * k, NULL}, {DT_i32, lines * k, NULL}};
  return compare(j, a, m, (const int64_t[]){n, k, after, 2 * (int64_t)dt + down}, lines);
}

static int64_t blocks_of(int64_t row) { return row > BLOCK ? (row + BLOCK - 1) / BLOCK : 1; }

const char *judge_scatter(routine_judge *j, arena *a, dtype dt, int mode, int64_t before, int64_t n, int64_t after,
                          int64_t places, bool stray, uint64_t *seed) {
  int32_t *index = arena_alloc(a, (size_t)places * sizeof *index + 8);
  for (int64_t i = 0; i < places; i++) index[i] = (int32_t)random_below(seed, (uint32_t)n);
  for (int64_t i = 0; i < places && stray; i += 3) index[i] = i % 2 ? -1 - (int32_t)i : (int32_t)n;
  bool plain = mode == 1;
  const memory m[] = {{dt, before * n * after, fill(a, dt, before * n * after, plain, seed)},
                      {DT_i32, places, index},
                      {dt, before * places * after, fill(a, dt, before * places * after, plain, seed)},
                      {dt, before * n * after, NULL}};
  const int64_t symbols[] = {n, after, places, BLOCK, 4 * (int64_t)dt + mode, 41};
  return compare(j, a, m, symbols, before * blocks_of(after));
}

const char *judge_compact(routine_judge *j, arena *a, dtype dt, int64_t n, int64_t after, int64_t most,
                          uint64_t *seed) {
  uint8_t *mask = arena_alloc(a, (size_t)n + 8);
  uint32_t of = 1 + random_below(seed, 4);
  for (int64_t i = 0; i < n; i++) mask[i] = random_below(seed, of) == 0;
  const memory m[] = {{dt, n * after, fill(a, dt, n * after, false, seed)},
                      {DT_bool, n, mask},
                      {dt, most * after, NULL},
                      {DT_i32, 1, NULL}};
  const int64_t symbols[] = {n, after, most, BLOCK, (int64_t)dtype_size(dt)};
  return compare(j, a, m, symbols, blocks_of(after));
}

const char *judge_nms(routine_judge *j, arena *a, int64_t n, int64_t most, uint64_t *seed) {
  double(*box)[4] = arena_alloc(a, (size_t)n * sizeof *box + 8), limit = 0.3;
  int32_t *order = arena_alloc(a, (size_t)n * sizeof *order + 8);
  for (int64_t i = 0; i < n; i++) {
    for (int c = 0; c < 2; c++) box[i][c] = random_below(seed, 60) / 3.0;
    for (int c = 2; c < 4; c++) box[i][c] = box[i][c - 2] + random_below(seed, 20) / 3.0; // some are empty: 0/0
    int64_t at = (int64_t)random_below(seed, (uint32_t)i + 1);
    order[i] = order[at], order[at] = (int32_t)i;
  }
  int64_t bits;
  memcpy(&bits, &limit, sizeof bits);
  const memory m[] = {{DT_f64, 4 * n, box}, {DT_i32, n, order}, {DT_i32, most, NULL}, {DT_i32, 1, NULL}};
  return compare(j, a, m, (const int64_t[]){n, most, bits}, 1);
}
