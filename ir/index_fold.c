// Folding inside one polynomial: with q = e//d and r = e%d, the relation e = d*q + r is applied until it can be no
// more.
//
//   r with q present        r -> e - d*q                 so that d*q + r == e, in whatever order it was added
//   e - d*q, q alone        -> r                         when the leading term of e is there with the right coefficient
//   d*(q % n) + r           -> e % (d*n)                 remainders of a split index joined again
//
// Each applies to terms under a common factor too: (d*q + r)*m. In: sorted terms on the scratch stack; out: rewritten
// terms.
#include "ir/index_priv.h"

static bool is_division(const atom *t) { return t->kind == ATOM_floordiv && idx_atom_symbol(t) == NULL; }

// The place of the term with factors common * more, other than `self`; SIZE_MAX when there is none.
static size_t find_term(idx_ctx *c, size_t base, size_t self, uint32_t n, const atom *const *common, uint32_t m,
                        const atom *const *more) {
  const atom *both[IDX_MAX_DEGREE];
  const uint32_t k = idx_merge(n, common, m, more, both);
  const atom *const *wanted = k == 0 ? NULL : idx_find_factors(c, k, both);
  if (wanted == NULL) return SIZE_MAX;
  for (size_t j = base; j < c->scratch.n; j++) {
    if (j != self && c->scratch.at[j].factors == wanted) return j;
  }
  return SIZE_MAX;
}

static bool coefs_match(int64_t coef, int64_t a, int64_t b) {
  int64_t p;
  return !__builtin_mul_overflow(a, b, &p) && p == coef;
}

// Term i holds the remainder r. Is its quotient in the polynomial?
static bool expand_remainder(idx_ctx *c, size_t base, size_t i, const atom *r) {
  const monomial t = c->scratch.at[i];
  const idx *q = ((const atom_node *)r)->quotient, *d = r->b;
  const monomial lead = d->terms[0];
  const atom *common[IDX_MAX_DEGREE], *scaled[IDX_MAX_DEGREE];
  const uint32_t n = idx_without(&t, 1, &r, common);
  const uint32_t m = lead.n_factors == 0 ? n : idx_merge(n, common, lead.n_factors, lead.factors, scaled);
  const atom *const *with = lead.n_factors == 0 ? common : scaled;
  for (uint32_t k = 0; k < q->n_terms; k++) {
    const monomial *s = &q->terms[k];
    if (s->n_factors != 1 || (!is_division(s->factors[0]) && s->factors[0]->kind != ATOM_mod)) continue;
    if (find_term(c, base, i, m, with, 1, s->factors) == SIZE_MAX) continue;
    c->scratch.at[i].coef = 0;
    idx_push_product(c, t.coef, n, common, r->a);
    idx_push_product(c, idx_checked_mul(c, t.coef, -1), n, common, idx_mul(c, d, q));
    return true;
  }
  return false;
}

// Term i holds the remainder r = e%d; another term holds d*(q % n) with q = e//d.
static bool join_remainders(idx_ctx *c, size_t base, size_t i, const atom *r) {
  const monomial t = c->scratch.at[i];
  const idx *q = ((const atom_node *)r)->quotient, *d = r->b;
  const monomial lead = d->terms[0];
  if (d->n_terms != 1 || t.n_factors + lead.n_factors > IDX_MAX_DEGREE) return false;
  const atom *common[IDX_MAX_DEGREE], *with[IDX_MAX_DEGREE], *left[IDX_MAX_DEGREE];
  const uint32_t n = idx_without(&t, 1, &r, common);
  const uint32_t m = n + lead.n_factors == 0 ? 0 : idx_merge(n, common, lead.n_factors, lead.factors, with);
  for (size_t j = base; j < c->scratch.n; j++) {
    const monomial u = c->scratch.at[j];
    if (j == i || u.n_factors != m + 1 || !coefs_match(u.coef, t.coef, lead.coef) || !idx_has_factors(&u, m, with)) {
      continue;
    }
    idx_without(&u, m, with, left);
    if (left[0]->kind != ATOM_mod || left[0]->a != q) continue;
    c->scratch.at[i].coef = 0;
    c->scratch.at[j].coef = 0;
    idx_push_product(c, t.coef, n, common, idx_mod(c, r->a, idx_mul(c, d, left[0]->b)));
    return true;
  }
  return false;
}

// Term i holds the quotient q = e//d with a coefficient -k*d; another one k * (leading term of e).
static bool make_remainder(idx_ctx *c, size_t base, size_t i, const atom *q) {
  const monomial t = c->scratch.at[i];
  int64_t d;
  if (!idx_is_const(q->b, &d) || d <= 1 || t.coef % d != 0) return false;
  const int64_t k = -(t.coef / d);
  const monomial lead = q->a->terms[0];
  const atom *common[IDX_MAX_DEGREE];
  const uint32_t n = idx_without(&t, 1, &q, common);
  const size_t j = find_term(c, base, i, n, common, lead.n_factors, lead.factors);
  if (j == SIZE_MAX || !coefs_match(c->scratch.at[j].coef, k, lead.coef)) return false;
  c->scratch.at[i].coef = 0;
  idx_push_product(c, k, n, common, idx_mod(c, q->a, q->b));
  idx_push_product(c, -k, n, common, q->a);
  return true;
}

bool idx_fold(idx_ctx *c, size_t base) {
  if (c->scratch.n - base < 2) return false;
  for (size_t i = base; i < c->scratch.n; i++) {
    const monomial t = c->scratch.at[i];
    for (uint32_t k = 0; k < t.n_factors; k++) {
      const atom *f = t.factors[k];
      if (f->kind == ATOM_mod && (expand_remainder(c, base, i, f) || join_remainders(c, base, i, f))) return true;
      if (is_division(f) && make_remainder(c, base, i, f)) return true;
    }
  }
  return false;
}
