// Quotients, remainders, minimum and maximum in normal form.
//
// A division e // d is first reduced to  e = d*quot + scale*rest + shift,  d = scale*div,  0 <= shift < scale,  so that
//     e // d == quot + rest // div       e % d == scale * (rest % div) + shift
// by cancelling multiples of d's leading monomial, then taking out common factors whose remainder is proved to lie
// below them; a rest proved to lie in [0, div) ends it. What is left becomes an atom. Method: polynomial division in
// the graded order of index.c; proofs from symbol bounds (index_prove.c). All steps hold for every integer rest and
// every div > 0.
#include "ir/index_priv.h"

typedef struct division {
  const idx *quot, *rest, *div, *scale, *shift;
} division;

int64_t int_floordiv(int64_t a, int64_t d) { return a / d - (a % d < 0); }

int64_t int_gcd(int64_t a, int64_t b) {
  uint64_t x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a, y = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
  while (y != 0) {
    const uint64_t r = x % y;
    x = y;
    y = r;
  }
  return (int64_t)x;
}

static const idx *monomial_of(idx_ctx *c, int64_t coef, uint32_t n, const atom *const *factors) {
  const size_t base = c->scratch.n;
  idx_push_product(c, coef, n, factors, idx_int(c, 1));
  return idx_finish(c, base);
}

static void set_rest(idx_ctx *c, division *v, const idx *quotient) {
  v->quot = idx_add(c, v->quot, quotient);
  v->rest = idx_sub(c, v->rest, idx_mul(c, quotient, v->div));
}

// Constant divisor: whole multiples leave every coefficient (towards zero) and the constant (downwards).
static void cancel_const(idx_ctx *c, division *v, int64_t d) {
  const size_t base = c->scratch.n;
  for (uint32_t i = 0; i < v->rest->n_terms; i++) {
    const monomial *t = &v->rest->terms[i];
    idx_push(c, t->n_factors == 0 ? int_floordiv(t->coef, d) : t->coef / d, t->n_factors, t->factors);
  }
  const idx *q = idx_finish(c, base);
  if (q->n_terms > 0) set_rest(c, v, q);
}

static void cancel_lead(idx_ctx *c, division *v) {
  const monomial lead = v->div->terms[0];
  for (int guard = 0; guard < 64; guard++) {
    const idx *q = NULL;
    for (uint32_t i = 0; i < v->rest->n_terms && q == NULL; i++) {
      const monomial *t = &v->rest->terms[i];
      const atom *left[IDX_MAX_DEGREE];
      if (t->coef / lead.coef == 0 || !idx_has_factors(t, lead.n_factors, lead.factors)) continue;
      const uint32_t n = idx_without(t, lead.n_factors, lead.factors, left);
      q = monomial_of(c, t->coef / lead.coef, n, left);
    }
    if (q == NULL) return;
    set_rest(c, v, q);
  }
}

static bool lies_below(idx_ctx *c, const idx *e, const idx *d) { // 0 <= e < d, proved
  return idx_proves(c, e) && idx_proves(c, idx_sub(c, idx_addi(c, d, -1), e));
}

// Takes a common factor g out of div and of those terms of rest that have it, when the others lie in [0, g).
static bool take_factor(idx_ctx *c, division *v, int64_t coef, uint32_t n, const atom *const *factors) {
  const size_t base = c->scratch.n;
  for (uint32_t i = 0; i < v->rest->n_terms; i++) {
    const monomial *t = &v->rest->terms[i];
    const bool constant = n == 0 && t->n_factors == 0;
    const bool has = constant || (t->coef % coef == 0 && idx_has_factors(t, n, factors));
    const atom *left[IDX_MAX_DEGREE];
    if (has && constant) idx_push(c, int_floordiv(t->coef, coef), 0, NULL);
    else if (has) idx_push_product(c, t->coef / coef, idx_without(t, n, factors, left), left, idx_int(c, 1));
  }
  const idx *g = monomial_of(c, coef, n, factors), *part = idx_finish(c, base);
  const idx *others = idx_sub(c, v->rest, idx_mul(c, part, g));
  if (part->n_terms == 0 || !lies_below(c, others, g)) return false;
  division by_g = {.quot = idx_int(c, 0), .rest = v->div, .div = g};
  if (n == 0) cancel_const(c, &by_g, coef);
  else cancel_lead(c, &by_g);
  if (by_g.rest->n_terms > 0) return false;
  v->shift = idx_add(c, v->shift, idx_mul(c, v->scale, others));
  v->scale = idx_mul(c, v->scale, g);
  v->rest = part;
  v->div = by_g.quot;
  return true;
}

static bool take_any_factor(idx_ctx *c, division *v) {
  const monomial *lead = &v->div->terms[0];
  int64_t content = 0;
  for (uint32_t i = 0; i < v->div->n_terms; i++) content = int_gcd(content, v->div->terms[i].coef);
  int64_t tried_coef = 1;
  uint32_t tried_n = 0;
  for (uint32_t i = 0; i < v->rest->n_terms; i++) {
    const monomial *t = &v->rest->terms[i];
    const atom *common[IDX_MAX_DEGREE];
    uint32_t n = 0;
    for (uint32_t p = 0, q = 0; p < t->n_factors && q < lead->n_factors && v->div->n_terms == 1;) {
      const int o = idx_order_atom(t->factors[p], lead->factors[q]);
      if (o == 0) common[n++] = t->factors[p];
      p += o <= 0;
      q += o >= 0;
    }
    const int64_t g = int_gcd(t->coef, content);
    if ((g == 1 && n == 0) || t->n_factors == 0 || (g == tried_coef && n == 0 && tried_n == 0)) continue;
    if (take_factor(c, v, g, n, common)) return true;
    tried_coef = g;
    tried_n = n;
  }
  return false;
}

// True when the rest has become a remainder proper: 0 <= rest < div.
static bool rest_is_small(idx_ctx *c, division *v, bool constant, int64_t d) {
  if (v->rest->n_terms == 0) return true;
  if (constant) {
    const interval r = idx_interval(v->rest);
    if (r.has_lo && r.has_hi && int_floordiv(r.lo, d) == int_floordiv(r.hi, d)) {
      set_rest(c, v, idx_int(c, int_floordiv(r.lo, d)));
      return true;
    }
  }
  if (lies_below(c, v->rest, v->div)) return true;
  const idx *above = idx_add(c, v->rest, v->div);
  if (constant || !lies_below(c, above, v->div)) return false;
  set_rest(c, v, idx_int(c, -1));
  return true;
}

static division reduce(idx_ctx *c, const idx *e, const idx *d, bool *small) {
  division v = {.quot = idx_int(c, 0), .rest = e, .div = d, .scale = idx_int(c, 1), .shift = idx_int(c, 0)};
  *small = false;
  do {
    int64_t k = 0;
    const bool constant = idx_is_const(v.div, &k);
    if (constant) cancel_const(c, &v, k);
    else cancel_lead(c, &v);
    *small = rest_is_small(c, &v, constant, k);
  } while (!*small && take_any_factor(c, &v));
  return v;
}

static const atom *only_atom(const idx *e, atom_kind kind) {
  const bool one = e->n_terms == 1 && e->terms[0].coef == 1 && e->terms[0].n_factors == 1;
  return one && e->terms[0].factors[0]->kind == kind ? e->terms[0].factors[0] : NULL;
}

// n when m == n*d with both single terms, else NULL.
static const idx *exact_multiple(idx_ctx *c, const idx *m, const idx *d) {
  if (m->n_terms != 1 || d->n_terms != 1) return NULL;
  const monomial *p = &m->terms[0], *q = &d->terms[0];
  const atom *left[IDX_MAX_DEGREE];
  if (p->coef % q->coef != 0 || !idx_has_factors(p, q->n_factors, q->factors)) return NULL;
  const uint32_t n = idx_without(p, q->n_factors, q->factors, left);
  return monomial_of(c, p->coef / q->coef, n, left);
}

// rest // div, both reduced.
static const idx *quotient_atom(idx_ctx *c, const idx *e, const idx *d) {
  const atom *r = only_atom(e, ATOM_mod);
  const idx *n = r != NULL ? exact_multiple(c, r->b, d) : NULL;
  if (n != NULL) return idx_mod(c, idx_floordiv(c, r->a, d), n); // (e % (n*d)) // d == (e//d) % n
  for (uint32_t i = 0; i < e->n_terms; i++) {                    // (e//k + x) // d == (e + k*x) // (k*d)
    const monomial *t = &e->terms[i];
    if (t->coef != 1 || t->n_factors != 1 || t->factors[0]->kind != ATOM_floordiv) continue;
    const atom *q = t->factors[0];
    int64_t k = 1, m = 1, km;
    const bool constant = idx_is_const(q->b, &k) && idx_is_const(d, &m);
    if (idx_atom_symbol(q) != NULL || (e->n_terms > 1 && !constant)) continue;
    if (__builtin_mul_overflow(k, m, &km)) continue;
    const idx *others = idx_sub(c, e, idx_of_atom(c, q));
    return idx_floordiv(c, idx_add(c, q->a, idx_mul(c, q->b, others)), idx_mul(c, q->b, d));
  }
  return idx_of_atom(c, idx_atom(c, ATOM_floordiv, NULL, NULL, e, d));
}

// rest % div, both reduced.
static const idx *remainder_atom(idx_ctx *c, const idx *e, const idx *d) {
  const atom *r = only_atom(e, ATOM_mod);
  if (r != NULL && exact_multiple(c, r->b, d) != NULL) return idx_mod(c, r->a, d); // (e % (n*d)) % d == e % d
  int64_t k, m, p;
  for (uint32_t i = 0; idx_is_const(d, &k) && i < e->n_terms; i++) { // x*(e % m) == x*e (mod d) when d divides x*m
    const monomial *t = &e->terms[i];
    if (t->n_factors != 1 || t->factors[0]->kind != ATOM_mod || !idx_is_const(t->factors[0]->b, &m)) continue;
    if (__builtin_mul_overflow(t->coef, m, &p) || p % k != 0) continue;
    const idx *inner = idx_scale(c, idx_sub(c, t->factors[0]->a, idx_of_atom(c, t->factors[0])), t->coef);
    return idx_mod(c, idx_add(c, e, inner), d);
  }
  const atom *t = idx_atom(c, ATOM_mod, NULL, NULL, e, d);
  atom_node *node = (atom_node *)(uintptr_t)t; // the context's own atom, const only to others
  if (node->quotient == NULL) node->quotient = quotient_atom(c, e, d);
  return idx_of_atom(c, t);
}

static bool bad_divisor(idx_ctx *c, const idx *d) {
  int64_t k;
  if (!idx_is_const(d, &k) || k > 0) return false;
  idx_fail(c, DIAG_ID_index_division);
  return true;
}

const idx *idx_floordiv(idx_ctx *c, const idx *a, const idx *d) {
  if (bad_divisor(c, d)) return idx_int(c, 0);
  bool small;
  const division v = reduce(c, a, d, &small);
  return small ? v.quot : idx_add(c, v.quot, quotient_atom(c, v.rest, v.div));
}

const idx *idx_mod(idx_ctx *c, const idx *a, const idx *d) {
  if (bad_divisor(c, d)) return idx_int(c, 0);
  bool small;
  const division v = reduce(c, a, d, &small);
  const idx *r = small ? v.rest : remainder_atom(c, v.rest, v.div);
  return idx_add(c, idx_mul(c, v.scale, r), v.shift);
}

const idx *idx_ceildiv(idx_ctx *c, const idx *a, int64_t d) {
  return idx_floordiv(c, idx_addi(c, a, d - 1), idx_int(c, d));
}

// -- minimum and maximum --

enum { MAX_LEAVES = 16 };

// e, or the operands of which it is the extreme: k*max(a, b) with k > 0 is max(k*a, k*b).
static uint32_t add_leaves(idx_ctx *c, const idx *e, int64_t k, atom_kind kind, const idx **leaf, uint32_t n) {
  const monomial *t = e->n_terms == 1 ? &e->terms[0] : NULL;
  const bool extreme = t != NULL && t->n_factors == 1 && t->coef > 0 && t->factors[0]->kind == kind;
  if (!extreme || n + 2 > MAX_LEAVES) {
    leaf[n] = idx_scale(c, e, k);
    return n + 1;
  }
  k = idx_checked_mul(c, k, t->coef);
  n = add_leaves(c, t->factors[0]->a, k, kind, leaf, n);
  return add_leaves(c, t->factors[0]->b, k, kind, leaf, n);
}

static const idx *divide_exactly(idx_ctx *c, const idx *e, int64_t d) {
  const size_t base = c->scratch.n;
  for (uint32_t i = 0; i < e->n_terms; i++) {
    idx_push(c, e->terms[i].coef / d, e->terms[i].n_factors, e->terms[i].factors);
  }
  return idx_finish(c, base);
}

// Flattened, in order, without operands that another one covers, common integer factor in front.
static const idx *extreme(idx_ctx *c, atom_kind kind, const idx *a, const idx *b) {
  const idx *leaf[2 * MAX_LEAVES];
  const uint32_t n = add_leaves(c, b, 1, kind, leaf, add_leaves(c, a, 1, kind, leaf, 0));
  for (uint32_t i = 1; i < n; i++) {
    const idx *e = leaf[i];
    uint32_t j = i;
    for (; j > 0 && idx_order(e, leaf[j - 1]) < 0; j--) leaf[j] = leaf[j - 1];
    leaf[j] = e;
  }
  uint32_t kept = 0;
  int64_t g = 0;
  for (uint32_t i = 0; i < n; i++) {
    bool covered = false;
    for (uint32_t j = 0; j < n && !covered; j++) {
      if (j == i || (j < i && j >= kept)) continue; // leaf[kept .. i) are gone: of two equal operands one must stay
      const idx *over = kind == ATOM_min ? idx_sub(c, leaf[i], leaf[j]) : idx_sub(c, leaf[j], leaf[i]);
      covered = idx_proves(c, over);
    }
    if (covered) continue;
    leaf[kept++] = leaf[i];
    for (uint32_t k = 0; k < leaf[kept - 1]->n_terms; k++) g = int_gcd(g, leaf[kept - 1]->terms[k].coef);
  }
  for (uint32_t i = 0; i < kept && g > 1; i++) leaf[i] = divide_exactly(c, leaf[i], g); // keeps the order
  const idx *r = leaf[kept - 1];
  for (uint32_t i = kept - 1; i-- > 0;) r = idx_of_atom(c, idx_atom(c, kind, NULL, NULL, leaf[i], r));
  return g > 1 ? idx_scale(c, r, g) : r;
}

const idx *idx_min(idx_ctx *c, const idx *a, const idx *b) { return extreme(c, ATOM_min, a, b); }

const idx *idx_max(idx_ctx *c, const idx *a, const idx *b) { return extreme(c, ATOM_max, a, b); }
