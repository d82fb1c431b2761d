// Building a kernel's header: parameters, grid, workers, facts, scratch; and its symbols with their bounds.
//
// The bounds serve proofs. A name that a `let` defines has its value as both bounds, so that a proof may put the value
// in its place; a loop variable never reaches its end, and stays a whole step below where the step divides the
// distance.
#include "ir/kir_priv.h"

#include <string.h>

kir_kernel *kir_kernel_new(arena *a, diag_list *l, const char *name) {
  kir_kernel *k = ARENA_NEW(a, kir_kernel);
  k->a = a;
  k->diags = l;
  k->names = interner_new(a);
  k->ix = idx_ctx_new(a, k->names, l);
  k->name = intern_z(k->names, name);
  sym *r = idx_symbol(k->ix, "r"), *c = idx_symbol(k->ix, "c");
  r->lo = c->lo = idx_int(k->ix, 0); // the upper bound is the shape of the statement that mentions it
  k->r = r;
  k->c = c;
  return k;
}

kir_builder kir_begin(kir_kernel *k) { return (kir_builder){k, &k->body}; }

// -- names --

const idx *kir_offset(const kir_kernel *k, kir_access acc) { // Horner's scheme
  const idx *offset = idx_int(k->ix, 0);
  for (uint32_t i = 0; i < acc.buf->rank; i++)
    offset = idx_add(k->ix, idx_mul(k->ix, offset, acc.buf->dim[i]), acc.index[i]);
  return offset;
}

const idx *kir_at_col(const kir_kernel *k, const idx *e, int64_t col) {
  return idx_subst1(k->ix, e, k->c, idx_int(k->ix, col));
}

const kir_buffer *kir_buffer_find(const kir_kernel *k, const char *name) {
  for (size_t i = 0; i < k->params.n; i++) {
    if (strcmp(k->params.at[i]->name, name) == 0) return k->params.at[i];
  }
  for (size_t i = 0; i < k->group.n; i++) {
    if (strcmp(k->group.at[i]->name, name) == 0) return k->group.at[i];
  }
  return NULL;
}

bool kir_name_taken(const kir_kernel *k, const char *name) {
  return idx_find_symbol(k->ix, name) != NULL || kir_buffer_find(k, name) != NULL;
}

static sym *new_symbol(kir_kernel *k, const char *name) {
  BUG_IF(k->diags, kir_name_taken(k, name), "kernel %s: the name %s is in use", k->name, name);
  return idx_symbol(k->ix, name);
}

// -- bounds --

void kir_bound_let(sym *s, const idx *value) { s->lo = s->hi = value; }

void kir_bound_loop(kir_kernel *k, sym *s, const idx *lo, const idx *hi, int64_t step) {
  const idx *distance = kir_expand(k->ix, idx_sub(k->ix, hi, lo));
  bool whole = step > 1 && idx_divides(k->ix, step, distance) == TRI_yes;
  s->lo = lo;
  s->hi = idx_addi(k->ix, hi, whole ? -step : -1);
}

typedef struct known_values {
  idx_binding at[16];
  size_t n;
} known_values;

static void note_known(void *user, const sym *s) {
  known_values *known = user;
  bool room = known->n < sizeof known->at / sizeof *known->at;
  if (room && s->lo != NULL && s->lo == s->hi) known->at[known->n++] = (idx_binding){s, s->lo};
}

const idx *kir_expand(idx_ctx *ix, const idx *e) {
  for (;;) { // a value may mention earlier names; it never mentions its own, so this ends
    known_values known = {.n = 0};
    idx_symbols(e, note_known, &known);
    if (known.n == 0) return e;
    e = idx_subst(ix, e, known.n, known.at);
  }
}

bool kir_divides(const kir_kernel *k, int64_t d, const idx *e) {
  return idx_divides(k->ix, d, kir_expand(k->ix, e)) == TRI_yes;
}

// -- the header --

kir_buffer *kir_buffer_new(kir_kernel *k, const char *name, kir_space space, dtype dt, uint32_t rank,
                           const idx *const *dim) {
  kir_buffer *b = ARENA_NEW(k->a, kir_buffer);
  size_t position = space == KIR_group ? k->group.n : k->params.n;
  *b = (kir_buffer){
      intern_z(k->names, name), space, dt, rank, rank == 0 ? NULL : arena_copy(k->a, dim, rank * sizeof *dim),
      (uint32_t)position};
  if (space == KIR_group) vec_push(k->a, &k->group, b);
  else vec_push(k->a, &k->params, b);
  return b;
}

kir_buffer *kir_param(kir_kernel *k, const char *name, kir_space space, dtype dt, uint32_t rank,
                      const idx *const *dim) {
  BUG_IF(k->diags, kir_name_taken(k, name), "kernel %s: the name %s is in use", k->name, name);
  BUG_IF(k->diags, space == KIR_group, "kernel %s: %s is no parameter", k->name, name);
  return kir_buffer_new(k, name, space, dt, rank, dim);
}

kir_buffer *kir_group(kir_kernel *k, const char *name, dtype dt, uint32_t rank, const int64_t *dim) {
  BUG_IF(k->diags, kir_name_taken(k, name), "kernel %s: the name %s is in use", k->name, name);
  const idx **extent = ARENA_ARRAY(k->a, const idx *, rank);
  for (uint32_t i = 0; i < rank; i++) extent[i] = idx_int(k->ix, dim[i]);
  return kir_buffer_new(k, name, KIR_group, dt, rank, extent);
}

void kir_add_fact(kir_kernel *k, sym *s, int64_t lo, int64_t hi, int64_t multiple) {
  s->lo = idx_int(k->ix, lo);
  s->hi = idx_int(k->ix, hi);
  s->step = multiple;
  vec_push(k->a, &k->facts, ((kir_fact){s, lo, hi, multiple}));
}

const sym *kir_fact_add(kir_kernel *k, const char *name, int64_t lo, int64_t hi, int64_t multiple) {
  for (size_t i = 0; i < k->facts.n; i++) {
    if (strcmp(k->facts.at[i].symbol->name, name) == 0) return k->facts.at[i].symbol;
  }
  sym *s = new_symbol(k, name);
  kir_add_fact(k, s, lo, hi, multiple);
  return s;
}

void kir_add_grid(kir_kernel *k, sym *s, const idx *extent) {
  s->lo = idx_int(k->ix, 0);
  s->hi = idx_addi(k->ix, extent, -1);
  k->grid[k->n_grid] = s;
  k->grid_extent[k->n_grid++] = extent;
}

const sym *kir_grid(kir_kernel *k, const char *name, const idx *extent) {
  BUG_IF(k->diags, k->n_grid == 3, "kernel %s: more than three grid axes", k->name);
  sym *s = new_symbol(k, name);
  kir_add_grid(k, s, extent);
  return s;
}

void kir_add_worker(kir_kernel *k, sym *s, int64_t extent) {
  s->lo = idx_int(k->ix, 0);
  s->hi = idx_int(k->ix, extent - 1);
  k->workers[k->n_workers] = s;
  k->worker_extent[k->n_workers++] = extent;
}

const sym *kir_worker(kir_kernel *k, const char *name, int64_t extent) {
  BUG_IF(k->diags, k->n_workers == 2, "kernel %s: more than two worker axes", k->name);
  sym *s = new_symbol(k, name);
  kir_add_worker(k, s, extent);
  return s;
}

sym *kir_fresh_symbol(kir_kernel *k, const char *prefix) {
  sym *s = idx_fresh(k->ix, prefix);
  while (kir_buffer_find(k, s->name) != NULL) s = idx_fresh(k->ix, prefix);
  return s;
}

const sym *kir_fresh(kir_kernel *k, const char *prefix, const idx *lo, const idx *hi) {
  sym *s = kir_fresh_symbol(k, prefix);
  s->lo = lo;
  s->hi = hi;
  return s;
}
