// Kernel IR as text; what is small enough is run by the interpreter, on memory of exactly its size.
#include "ir/kir.h"
#include "support.h"

static const int64_t MOST_WORK = 200000, MOST_BYTES = 1 << 22;

static int64_t most(kir_kernel *k, const idx *e) {
  int64_t lo, hi;
  return idx_range(k->ix, e, &lo, &hi) ? hi : INT64_MAX;
}

static int64_t times(int64_t a, int64_t b) {
  int64_t r;
  if (a <= 0 || b <= 0) return 0;
  return __builtin_mul_overflow(a, b, &r) ? INT64_MAX : r;
}

static int64_t plus(int64_t a, int64_t b) {
  int64_t r;
  return __builtin_add_overflow(a, b, &r) ? INT64_MAX : r;
}

// Tile elements that one run of a block computes, at most; INT64_MAX when unknown.
static int64_t work_of(kir_kernel *k, const kir_block *b) {
  int64_t sum = 0;
  for (const kir_stmt *s = b->first; s; s = s->next) {
    int64_t own = s->out ? times(s->out->rows, s->out->cols) : times(s->rows, s->cols);
    if (s->kind == KIR_dot) own = times(own, 64);
    if (s->kind == KIR_mma) own = times(own, s->cols);
    int64_t inner = plus(work_of(k, &s->body), work_of(k, &s->other));
    if (s->kind == KIR_for)
      inner = times(plus(inner, 1), most(k, idx_sub(k->ix, s->hi, s->lo)) / (s->step > 0 ? s->step : 1) + 1);
    sum = plus(sum, plus(plus(own, 1), inner));
  }
  return sum;
}

static void run(arena *a, diag_list *l, kir_kernel *k) {
  int64_t *symbols = ARENA_ARRAY(a, int64_t, k->facts.n), work = work_of(k, &k->body), fault = 0;
  for (uint32_t i = 0; i < k->n_workers; i++) work = times(work, k->worker_extent[i]);
  for (uint32_t i = 0; i < k->n_grid; i++) work = times(work, most(k, k->grid_extent[i]));
  if (work > MOST_WORK) return;
  for (size_t i = 0; i < k->facts.n; i++)
    symbols[i] = k->facts.at[i].hi / k->facts.at[i].multiple * k->facts.at[i].multiple;
  void **buffers = ARENA_ARRAY(a, void *, k->params.n);
  for (size_t i = 0; i < k->params.n; i++) {
    int64_t bytes = (int64_t)dtype_size(k->params.at[i]->dt);
    for (uint32_t d = 0; d < k->params.at[i]->rank; d++) bytes = times(bytes, most(k, k->params.at[i]->dim[d]));
    if (bytes > MOST_BYTES) return;
    buffers[i] = arena_alloc(a, (size_t)bytes);
  }
  for (size_t i = 0; i < k->group.n; i++) {
    int64_t bytes = 1;
    for (uint32_t d = 0; d < k->group.at[i]->rank; d++) bytes = times(bytes, most(k, k->group.at[i]->dim[d]));
    if (bytes > MOST_BYTES) return;
  }
  bool ok = kir_run(a, k, l, buffers, symbols, &fault);
  FUZZ_CHECK(ok == !diag_failed(l));
}

static void kernel(arena *a, diag_list *l, void *user) {
  kir_kernel *k = kir_parse(a, l, diag_add_file(l, "in.kir", *(const str *)user));
  FUZZ_CHECK((k != NULL) == !diag_failed(l));
  if (!k || !kir_verify(k, l)) return;
  strbuf first, second;
  sb_init(&first, a);
  sb_init(&second, a);
  kir_print(&first, k);
  diag_list inner;
  diag_init(&inner, a);
  kir_kernel *again = kir_parse(a, &inner, diag_add_file(&inner, "printed.kir", sb_str(&first)));
  FUZZ_CHECK(again && kir_verify(again, &inner));
  kir_print(&second, again);
  FUZZ_CHECK(str_eq(sb_str(&first), sb_str(&second)));
  FUZZ_CHECK(str_eq(kir_fingerprint(k, a), kir_fingerprint(again, a)));
  run(a, l, k);
}

int fuzz_kernel(const uint8_t *data, size_t size) {
  str text = {(const char *)data, size};
  fuzz_guarded(kernel, &text);
  return 0;
}
