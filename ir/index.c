// Interned polynomials: symbols, atoms, normal form, sums and products.
//
// A polynomial is built as a list of terms on a scratch stack, sorted, joined, freed of zero terms, folded
// (index_fold.c) and looked up in a table keyed by its terms; so equal polynomials are one pointer. Factor lists are
// interned too: within a context two monomials have the same factors when the arrays are the same. Cost: linear in the
// terms, one hash look-up.
//
// The order of terms and factors is structural (degree, kind, name), never by creation or address, so that text read
// back in any order prints the same. A symbol s with a step k is k * (s//k): the quotient is an ordinary atom, every
// walker of the tree sees true arithmetic, and exact divisions cancel by the rules for coefficients.
#include "ir/index_priv.h"

#include <stdlib.h>
#include <string.h>

idx_ctx *idx_ctx_new(arena *a, interner *names, diag_list *l) {
  idx_ctx *c = ARENA_NEW(a, idx_ctx);
  c->a = a;
  c->names = names;
  c->diags = l;
  c->symbols = map_new(a);
  c->atoms = map_new(a);
  c->products = map_new(a);
  c->exprs = map_new(a);
  c->proved = map_new(a);
  sb_init(&c->key, a);
  return c;
}

void idx_fail(idx_ctx *c, diag_id id) {
  if (c->proving > 0) {
    c->overflow = true;
  } else if (!c->reported) {
    c->reported = true;
    diag_report(c->diags, c->diags->here, id);
  }
}

int64_t idx_checked_add(idx_ctx *c, int64_t a, int64_t b) {
  int64_t r;
  if (!__builtin_add_overflow(a, b, &r) && r != INT64_MIN) return r; // every coefficient has a negative
  idx_fail(c, DIAG_ID_index_overflow);
  return 0;
}

int64_t idx_checked_mul(idx_ctx *c, int64_t a, int64_t b) {
  int64_t r;
  if (!__builtin_mul_overflow(a, b, &r) && r != INT64_MIN) return r;
  idx_fail(c, DIAG_ID_index_overflow);
  return 0;
}

// -- symbols --

sym *idx_symbol(idx_ctx *c, const char *name) {
  sym *s = map_get(c->symbols, str_of(name));
  if (s != NULL) return s;
  s = ARENA_NEW(c->a, sym);
  s->name = intern_z(c->names, name);
  s->step = 1;
  s->id = c->n_symbols++;
  map_put(c->symbols, str_of(name), s);
  vec_push(c->a, &c->of_symbol, NULL);
  return s;
}

sym *idx_fresh(idx_ctx *c, const char *prefix) {
  for (uint32_t n = c->n_symbols;; n++) {
    const char *name = str_fmt(c->a, "%s_%u", prefix, n);
    if (map_get(c->symbols, str_of(name)) == NULL) return idx_symbol(c, name);
  }
}

const sym *idx_find_symbol(const idx_ctx *c, const char *name) { return map_get(c->symbols, str_of(name)); }

const sym *idx_atom_symbol(const atom *t) {
  if (t->kind == ATOM_sym) return t->symbol;
  if (t->kind != ATOM_floordiv || t->a->n_terms != 1 || t->a->terms[0].n_factors != 1) return NULL;
  // The bare atom of a symbol with a step occurs under its own quotient and nowhere else.
  const atom *inner = t->a->terms[0].factors[0];
  return inner->kind == ATOM_sym && inner->symbol->step > 1 ? inner->symbol : NULL;
}

// -- the structural order --

static int order_factors(uint32_t nx, const atom *const *x, uint32_t ny, const atom *const *y) {
  if (x == y) return 0;
  if (nx != ny) return nx > ny ? -1 : 1; // higher degree first, the constant last
  for (uint32_t i = 0; i < nx; i++) {
    const int o = idx_order_atom(x[i], y[i]);
    if (o != 0) return o;
  }
  return 0;
}

int idx_order(const idx *x, const idx *y) {
  if (x == y) return 0;
  for (uint32_t i = 0; i < x->n_terms && i < y->n_terms; i++) {
    const monomial *p = &x->terms[i], *q = &y->terms[i];
    const int o = order_factors(p->n_factors, p->factors, q->n_factors, q->factors);
    if (o != 0) return o;
    if (p->coef != q->coef) return p->coef < q->coef ? -1 : 1;
  }
  return x->n_terms < y->n_terms ? -1 : x->n_terms > y->n_terms ? 1 : 0;
}

int idx_order_atom(const atom *x, const atom *y) {
  if (x == y) return 0;
  const sym *s = idx_atom_symbol(x), *t = idx_atom_symbol(y);
  if (s != NULL || t != NULL) {
    if (s == NULL || t == NULL) return s != NULL ? -1 : 1;
    const int o = strcmp(s->name, t->name);
    return o != 0 ? o : (int)x->kind - (int)y->kind;
  }
  if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
  if (x->buffer != y->buffer) return strcmp(x->buffer, y->buffer);
  const int o = idx_order(x->a, y->a);
  return o != 0 || x->b == NULL ? o : idx_order(x->b, y->b);
}

// -- interning --

static void key_bytes(idx_ctx *c, const void *p, size_t n) { sb_bytes(&c->key, p, n); }

static str key_done(idx_ctx *c) {
  const str k = sb_str(&c->key);
  c->key.n = 0;
  return k;
}

// Adds up the atoms below e, as a tree, and its depth: walkers recurse and do not remember.
static void measure(const idx *e, uint32_t *size, uint32_t *depth) {
  for (uint32_t i = 0; e != NULL && i < e->n_terms; i++) {
    for (uint32_t k = 0; k < e->terms[i].n_factors; k++) {
      const atom_node *t = (const atom_node *)e->terms[i].factors[k];
      *size += t->size;
      if (t->depth > *depth) *depth = t->depth;
    }
  }
}

const atom *idx_atom(idx_ctx *c, atom_kind kind, const sym *symbol, const char *buffer, const idx *a, const idx *b) {
  uint32_t size = 1, depth = 0;
  measure(a, &size, &depth);
  measure(b, &size, &depth);
  if (size > IDX_MAX_SIZE || depth > IDX_MAX_DEPTH) {
    idx_fail(c, DIAG_ID_index_size);
    return idx_atom(c, kind, symbol, buffer, idx_int(c, 1), b == NULL ? NULL : idx_int(c, 1));
  }
  const void *parts[] = {symbol, buffer, a, b};
  key_bytes(c, &kind, sizeof kind);
  key_bytes(c, parts, sizeof parts);
  const str k = key_done(c);
  atom_node *t = map_get(c->atoms, k);
  if (t != NULL) return &t->pub;
  t = ARENA_NEW(c->a, atom_node);
  t->pub = (atom){.kind = kind, .id = c->n_atoms++, .symbol = symbol, .buffer = buffer, .a = a, .b = b};
  t->size = size;
  t->depth = depth + 1;
  map_put(c->atoms, k, t);
  return &t->pub;
}

static const atom *const *intern_factors(idx_ctx *c, uint32_t n, const atom *const *factors) {
  if (n == 0) return NULL;
  const str k = {(const char *)factors, n * sizeof *factors};
  const atom **known = map_get(c->products, k);
  if (known == NULL) {
    known = arena_copy(c->a, factors, n * sizeof *factors);
    map_put(c->products, k, known);
  }
  return known;
}

const atom *const *idx_find_factors(const idx_ctx *c, uint32_t n, const atom *const *factors) {
  return map_get(c->products, (str){(const char *)factors, n * sizeof *factors});
}

static const idx *intern_terms(idx_ctx *c, uint32_t n, const monomial *terms) {
  const bool small = n <= 1 && (n == 0 || terms[0].n_factors == 0);
  const int64_t value = n == 0 ? 0 : terms[0].coef;
  const bool cached = small && value >= IDX_SMALL_LO && value < IDX_SMALL_LO + IDX_SMALL_N;
  if (cached && c->small[value - IDX_SMALL_LO] != NULL) return c->small[value - IDX_SMALL_LO];
  key_bytes(c, &n, sizeof n);
  for (uint32_t i = 0; i < n; i++) {
    key_bytes(c, &terms[i].coef, sizeof terms[i].coef);
    key_bytes(c, &terms[i].factors, sizeof terms[i].factors);
  }
  const str k = key_done(c);
  idx *e = map_get(c->exprs, k);
  if (e == NULL) {
    e = ARENA_NEW(c->a, idx);
    e->id = c->n_exprs++;
    e->n_terms = n;
    if (n > 0) e->terms = arena_copy(c->a, terms, n * sizeof *terms);
    map_put(c->exprs, k, e);
  }
  if (cached) c->small[value - IDX_SMALL_LO] = e;
  return e;
}

// -- building --

void idx_push(idx_ctx *c, int64_t coef, uint32_t n, const atom *const *factors) {
  vec_push(c->a, &c->scratch, ((monomial){.coef = coef, .n_factors = n, .factors = factors}));
}

void idx_push_product(idx_ctx *c, int64_t coef, uint32_t n, const atom *const *factors, const idx *e) {
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const monomial *t = &e->terms[i];
    const int64_t k = idx_checked_mul(c, coef, t->coef);
    if (n == 0 || t->n_factors == 0) {
      idx_push(c, k, n + t->n_factors, n == 0 ? t->factors : intern_factors(c, n, factors));
      continue;
    }
    const atom *both[IDX_MAX_DEGREE];
    const uint32_t m = idx_merge(n, factors, t->n_factors, t->factors, both);
    if (m == 0) {
      idx_fail(c, DIAG_ID_index_size);
      return;
    }
    idx_push(c, k, m, intern_factors(c, m, both));
  }
}

static int order_terms(const void *x, const void *y) {
  const monomial *p = x, *q = y;
  return order_factors(p->n_factors, p->factors, q->n_factors, q->factors);
}

static void sort_terms(monomial *t, size_t n) {
  if (n > 24) {
    qsort(t, n, sizeof *t, order_terms);
    return;
  }
  for (size_t i = 1; i < n; i++) { // mostly sorted already
    const monomial x = t[i];
    size_t j = i;
    for (; j > 0 && order_terms(&x, &t[j - 1]) < 0; j--) t[j] = t[j - 1];
    t[j] = x;
  }
}

static void join_terms(idx_ctx *c, size_t base) {
  const size_t n = c->scratch.n - base;
  if (n == 0) return;
  monomial *t = c->scratch.at + base;
  sort_terms(t, n);
  size_t kept = 0;
  for (size_t i = 0; i < n;) {
    monomial sum = t[i++];
    for (; i < n && t[i].factors == sum.factors; i++) sum.coef = idx_checked_add(c, sum.coef, t[i].coef);
    if (sum.coef != 0) t[kept++] = sum;
  }
  c->scratch.n = base + kept;
}

const idx *idx_finish(idx_ctx *c, size_t base) {
  join_terms(c, base);
  // Each fold removes a quotient or a remainder; the bound only guards against a cycle of rules.
  for (int i = 0; i < 64 && !c->no_fold && idx_fold(c, base); i++) join_terms(c, base);
  const size_t n = c->scratch.n - base;
  const bool too_large = n > IDX_MAX_TERMS;
  if (too_large) idx_fail(c, DIAG_ID_index_size);
  const idx *e = intern_terms(c, too_large ? 0 : (uint32_t)n, c->scratch.at == NULL ? NULL : c->scratch.at + base);
  c->scratch.n = base;
  return e;
}

const idx *idx_int(idx_ctx *c, int64_t v) {
  if (v == INT64_MIN) v = idx_checked_add(c, v, 0);
  const monomial m = {.coef = v, .n_factors = 0, .factors = NULL};
  return intern_terms(c, v != 0, &m);
}

const idx *idx_of_atom(idx_ctx *c, const atom *t) {
  const monomial m = {.coef = 1, .n_factors = 1, .factors = intern_factors(c, 1, &t)};
  return intern_terms(c, 1, &m);
}

const idx *idx_of(idx_ctx *c, const sym *s) {
  const idx **known = &c->of_symbol.at[s->id];
  if (*known == NULL) {
    const idx *bare = idx_of_atom(c, idx_atom(c, ATOM_sym, s, NULL, NULL, NULL));
    if (s->step > 1) {
      const atom *unit = idx_atom(c, ATOM_floordiv, NULL, NULL, bare, idx_int(c, s->step));
      bare = idx_scale(c, idx_of_atom(c, unit), s->step);
    }
    c->of_symbol.at[s->id] = bare;
  }
  return c->of_symbol.at[s->id];
}

const idx *idx_add(idx_ctx *c, const idx *a, const idx *b) {
  if (a->n_terms == 0) return b;
  if (b->n_terms == 0) return a;
  const size_t base = c->scratch.n;
  idx_push_product(c, 1, 0, NULL, a);
  idx_push_product(c, 1, 0, NULL, b);
  return idx_finish(c, base);
}

const idx *idx_sub(idx_ctx *c, const idx *a, const idx *b) {
  if (b->n_terms == 0) return a;
  if (a == b) return idx_int(c, 0);
  const size_t base = c->scratch.n;
  idx_push_product(c, 1, 0, NULL, a);
  idx_push_product(c, -1, 0, NULL, b);
  return idx_finish(c, base);
}

const idx *idx_scale(idx_ctx *c, const idx *a, int64_t k) {
  if (k == 1) return a;
  if (k == 0) return idx_int(c, 0);
  const size_t base = c->scratch.n;
  idx_push_product(c, k, 0, NULL, a);
  return idx_finish(c, base);
}

const idx *idx_addi(idx_ctx *c, const idx *a, int64_t k) { return idx_add(c, a, idx_int(c, k)); }

const idx *idx_mul(idx_ctx *c, const idx *a, const idx *b) {
  int64_t k;
  if (idx_is_const(a, &k)) return idx_scale(c, b, k);
  if (idx_is_const(b, &k)) return idx_scale(c, a, k);
  if ((uint64_t)a->n_terms * b->n_terms > IDX_MAX_TERMS) {
    idx_fail(c, DIAG_ID_index_size);
    return a;
  }
  const size_t base = c->scratch.n;
  for (uint32_t i = 0; i < a->n_terms; i++) {
    idx_push_product(c, a->terms[i].coef, a->terms[i].n_factors, a->terms[i].factors, b);
  }
  return idx_finish(c, base);
}

const idx *idx_product(idx_ctx *c, size_t n, const idx *const *f) {
  const idx *p = idx_int(c, 1);
  for (size_t i = 0; i < n; i++) p = idx_mul(c, p, f[i]);
  return p;
}

const idx *idx_read(idx_ctx *c, const char *buffer, const idx *at) {
  return idx_of_atom(c, idx_atom(c, ATOM_read, NULL, intern_z(c->names, buffer), at, NULL));
}

uint32_t idx_merge(uint32_t n, const atom *const *x, uint32_t m, const atom *const *y, const atom **out) {
  if (n + m > IDX_MAX_DEGREE) return 0;
  uint32_t k = 0, i = 0, j = 0;
  while (i < n || j < m) {
    const bool left = j == m || (i < n && idx_order_atom(x[i], y[j]) <= 0);
    out[k++] = left ? x[i++] : y[j++];
  }
  return k;
}

bool idx_has_factors(const monomial *m, uint32_t n, const atom *const *factors) {
  uint32_t i = 0;
  for (uint32_t j = 0; j < m->n_factors && i < n; j++) i += m->factors[j] == factors[i];
  return i == n;
}

uint32_t idx_without(const monomial *m, uint32_t n, const atom *const *factors, const atom **out) {
  uint32_t i = 0, left = 0;
  for (uint32_t j = 0; j < m->n_factors; j++) {
    if (i < n && m->factors[j] == factors[i]) i++;
    else out[left++] = m->factors[j];
  }
  return left;
}
