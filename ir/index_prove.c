// Proofs of e >= 0 from symbol bounds.
//
// 1. Interval arithmetic with constant bounds. 2. With every atom x written as lo + x', no coefficient is negative.
// 3. One atom x with e == A*x + B is replaced by its lower or upper bound, as the proved sign of A allows, and the
// search goes on with the smaller claim: a symbol by its bound expression, e//d by the claim times d (d*(e//d) lies in
// e-d+1 .. e), e%d by 0 or d-1, min and max by their operands (both cases, or one that suffices). Atoms with bounds
// that are expressions go first: loop indices before the dims that bound them. Sound, not complete; `fuel` and depth
// bound the search.
#include "ir/index_priv.h"

enum { MAX_DEPTH = 12, FUEL = 48, BOUND_DEPTH = 8, MAX_ATOMS = 24 };

// -- intervals --

static interval interval_of(int64_t lo, int64_t hi) { return (interval){true, true, lo, hi}; }

static interval interval_add(interval x, interval y) {
  interval r = {0};
  r.has_lo = x.has_lo && y.has_lo && !__builtin_add_overflow(x.lo, y.lo, &r.lo);
  r.has_hi = x.has_hi && y.has_hi && !__builtin_add_overflow(x.hi, y.hi, &r.hi);
  return r;
}

static interval interval_scale(interval x, int64_t k) {
  interval r = {0};
  if (k == 0) return interval_of(0, 0);
  const bool swap = k < 0;
  r.has_lo = (swap ? x.has_hi : x.has_lo) && !__builtin_mul_overflow(swap ? x.hi : x.lo, k, &r.lo);
  r.has_hi = (swap ? x.has_lo : x.has_hi) && !__builtin_mul_overflow(swap ? x.lo : x.hi, k, &r.hi);
  return r;
}

static interval interval_mul(interval x, interval y) {
  interval r = {0};
  if (x.has_lo && y.has_lo && x.lo >= 0 && y.lo >= 0) {
    r.has_lo = !__builtin_mul_overflow(x.lo, y.lo, &r.lo);
    r.has_hi = x.has_hi && y.has_hi && !__builtin_mul_overflow(x.hi, y.hi, &r.hi);
    return r;
  }
  if (!x.has_lo || !x.has_hi || !y.has_lo || !y.has_hi) return r;
  int64_t p[4];
  if (__builtin_mul_overflow(x.lo, y.lo, &p[0]) || __builtin_mul_overflow(x.lo, y.hi, &p[1]) ||
      __builtin_mul_overflow(x.hi, y.lo, &p[2]) || __builtin_mul_overflow(x.hi, y.hi, &p[3])) {
    return r;
  }
  r = interval_of(p[0], p[0]);
  for (int i = 1; i < 4; i++) {
    if (p[i] < r.lo) r.lo = p[i];
    if (p[i] > r.hi) r.hi = p[i];
  }
  return r;
}

static interval interval_div(interval a, interval d) { // d > 0
  const int64_t d_lo = d.has_lo && d.lo > 1 ? d.lo : 1;
  interval r = {.has_lo = a.has_lo, .has_hi = a.has_hi};
  if (a.has_lo) r.lo = a.lo < 0 ? int_floordiv(a.lo, d_lo) : d.has_hi && d.hi > 0 ? a.lo / d.hi : 0;
  if (a.has_hi) r.hi = a.hi >= 0 ? a.hi / d_lo : d.has_hi && d.hi > 0 ? int_floordiv(a.hi, d.hi) : -1;
  return r;
}

static interval expr_interval(const idx *e, int depth);

static interval atom_interval(const atom *t, int depth) {
  interval r = {0};
  if (depth == 0) return r;
  if (t->kind == ATOM_read) return r;
  if (t->kind == ATOM_sym) {
    const interval lo = t->symbol->lo == NULL ? r : expr_interval(t->symbol->lo, depth - 1);
    const interval hi = t->symbol->hi == NULL ? r : expr_interval(t->symbol->hi, depth - 1);
    return (interval){lo.has_lo, hi.has_hi, lo.lo, hi.hi};
  }
  const interval a = expr_interval(t->a, depth - 1), b = expr_interval(t->b, depth - 1);
  if (t->kind == ATOM_floordiv) return interval_div(a, b);
  if (t->kind == ATOM_mod) {
    r = (interval){true, b.has_hi && b.hi > 0, 0, b.hi - (b.has_hi && b.hi > 0)};
    if (a.has_lo && a.lo >= 0 && a.has_hi && (!r.has_hi || a.hi < r.hi)) r = interval_of(0, a.hi);
    return r;
  }
  const bool least = t->kind == ATOM_min;
  r.has_lo = least ? a.has_lo && b.has_lo : a.has_lo || b.has_lo;
  r.has_hi = least ? a.has_hi || b.has_hi : a.has_hi && b.has_hi;
  if (r.has_lo) r.lo = !b.has_lo || (a.has_lo && (a.lo < b.lo) == least) ? a.lo : b.lo;
  if (r.has_hi) r.hi = !b.has_hi || (a.has_hi && (a.hi < b.hi) == least) ? a.hi : b.hi;
  return r;
}

static interval expr_interval(const idx *e, int depth) {
  interval sum = interval_of(0, 0);
  for (uint32_t i = 0; i < e->n_terms; i++) {
    interval p = interval_of(1, 1);
    for (uint32_t k = 0; k < e->terms[i].n_factors; k++)
      p = interval_mul(p, atom_interval(e->terms[i].factors[k], depth));
    sum = interval_add(sum, interval_scale(p, e->terms[i].coef));
  }
  return sum;
}

interval idx_interval(const idx *e) { return expr_interval(e, BOUND_DEPTH); }

bool idx_range(idx_ctx *c, const idx *e, int64_t *lo, int64_t *hi) {
  (void)c;
  const interval r = idx_interval(e);
  if (!r.has_lo || !r.has_hi) return false;
  *lo = r.lo;
  *hi = r.hi;
  return true;
}

// -- the search --

static bool prove(idx_ctx *c, const idx *e, int depth, int *fuel);

static bool shifted_nonneg(idx_ctx *c, const idx *e) {
  if (e->n_terms > MAX_ATOMS) return false;
  c->no_fold = true;
  const idx *sum = idx_int(c, 0);
  bool good = true;
  for (uint32_t i = 0; i < e->n_terms && good; i++) {
    const idx *p = idx_int(c, e->terms[i].coef);
    good = e->terms[i].n_factors <= 4;
    for (uint32_t k = 0; k < e->terms[i].n_factors && good; k++) {
      const atom *t = e->terms[i].factors[k];
      const interval r = atom_interval(t, BOUND_DEPTH);
      good = r.has_lo;
      if (good) p = idx_mul(c, p, idx_addi(c, idx_of_atom(c, t), r.lo));
    }
    sum = idx_add(c, sum, p);
  }
  for (uint32_t i = 0; i < sum->n_terms && good; i++) good = sum->terms[i].coef > 0;
  c->no_fold = false;
  return good;
}

// e == A*x + B with x in neither (at the top level); false when x occurs squared.
static bool split_atom(idx_ctx *c, const idx *e, const atom *x, const idx **coef, const idx **rest) {
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const atom *const twice[2] = {x, x};
    if (idx_has_factors(&e->terms[i], 2, twice)) return false;
  }
  const size_t base = c->scratch.n;
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const monomial *t = &e->terms[i];
    const atom *left[IDX_MAX_DEGREE];
    if (!idx_has_factors(t, 1, &x)) continue;
    idx_push_product(c, t->coef, idx_without(t, 1, &x, left), left, idx_int(c, 1));
  }
  *coef = idx_finish(c, base);
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const monomial *t = &e->terms[i];
    if (!idx_has_factors(t, 1, &x)) idx_push(c, t->coef, t->n_factors, t->factors);
  }
  *rest = idx_finish(c, base);
  return true;
}

static bool prove_with(idx_ctx *c, const idx *coef, const idx *bound, const idx *rest, int depth, int *fuel) {
  return bound != NULL && prove(c, idx_add(c, idx_mul(c, coef, bound), rest), depth, fuel);
}

// e with one symbol at the bound that makes e smallest (`down`) or largest: division is monotonic. NULL: nothing to
// replace.
static const idx *widen(idx_ctx *c, const idx *e, bool down) {
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const monomial *t = &e->terms[i];
    const idx *coef, *rest;
    if (t->n_factors != 1 || t->factors[0]->kind != ATOM_sym || !split_atom(c, e, t->factors[0], &coef, &rest))
      continue;
    const sym *s = t->factors[0]->symbol;
    const idx *bound = (t->coef > 0) == down ? s->lo : s->hi;
    if (!idx_is_const(coef, NULL) || bound == NULL || idx_is_const(bound, NULL)) continue;
    return idx_add(c, idx_mul(c, coef, bound), rest);
  }
  return NULL;
}

// Claims e >= 0 with x replaced; `up`: its coefficient is >= 0, so the lower bound is the worst case.
static bool prove_replaced(idx_ctx *c, const atom *x, const idx *coef, const idx *rest, bool up, int depth, int *fuel) {
  switch (x->kind) {
  case ATOM_sym: return prove_with(c, coef, up ? x->symbol->lo : x->symbol->hi, rest, depth, fuel);
  case ATOM_floordiv: {
    const idx *bound = up ? idx_addi(c, idx_sub(c, x->a, x->b), 1) : x->a;
    if (prove_with(c, coef, bound, idx_mul(c, rest, x->b), depth, fuel)) return true;
    const idx *inner = widen(c, x->a, up);
    return inner != NULL && prove_with(c, coef, idx_floordiv(c, inner, x->b), rest, depth, fuel);
  }
  case ATOM_mod: return prove_with(c, coef, up ? idx_int(c, 0) : idx_addi(c, x->b, -1), rest, depth, fuel);
  case ATOM_min:
  case ATOM_max: {
    const bool first = prove_with(c, coef, x->a, rest, depth, fuel), both = (x->kind == ATOM_min) == up;
    return first != both ? first : prove_with(c, coef, x->b, rest, depth, fuel);
  }
  case ATOM_read: break;
  }
  return false;
}

static bool bound_is_expression(const atom *x) {
  if (x->kind != ATOM_sym) return true;
  const idx *lo = x->symbol->lo, *hi = x->symbol->hi;
  return (lo != NULL && !idx_is_const(lo, NULL)) || (hi != NULL && !idx_is_const(hi, NULL));
}

// The distinct atoms, those with expressions for bounds first, the latest made first among equals.
static uint32_t collect_atoms(const idx *e, const atom **out) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < e->n_terms; i++) {
    for (uint32_t k = 0; k < e->terms[i].n_factors; k++) {
      const atom *x = e->terms[i].factors[k];
      uint32_t j = 0;
      while (j < n && out[j] != x) j++;
      if (j < n || n == MAX_ATOMS) continue;
      const bool symbolic = bound_is_expression(x);
      for (j = n++; j > 0; j--) {
        const bool before = bound_is_expression(out[j - 1]);
        if (before != symbolic ? before : out[j - 1]->id > x->id) break;
        out[j] = out[j - 1];
      }
      out[j] = x;
    }
  }
  return n;
}

static bool prove(idx_ctx *c, const idx *e, int depth, int *fuel) {
  const interval r = idx_interval(e);
  if (r.has_lo && r.lo >= 0) return true;
  if ((r.has_hi && r.hi < 0) || depth == 0 || (*fuel)-- <= 0 || c->overflow) return false;
  if (shifted_nonneg(c, e)) return true;
  const atom *x[MAX_ATOMS];
  const uint32_t n = collect_atoms(e, x);
  for (uint32_t i = 0; i<n && * fuel> 0; i++) {
    const idx *coef, *rest;
    if (!split_atom(c, e, x[i], &coef, &rest)) continue;
    int64_t k;
    const bool constant = idx_is_const(coef, &k);
    const bool up = constant ? k > 0 : prove(c, coef, depth - 1, fuel);
    if (!constant && !up && !prove(c, idx_scale(c, coef, -1), depth - 1, fuel)) continue;
    if (prove_replaced(c, x[i], coef, rest, up, depth - 1, fuel)) return true;
  }
  return false;
}

static void find_unbounded(void *found, const sym *s) {
  if (s->lo == NULL || s->hi == NULL) *(bool *)found = true;
}

bool idx_proves(idx_ctx *c, const idx *e) {
  static const char proved_yes = 1, proved_not = 0;
  const interval r = idx_interval(e);
  if (r.has_lo && r.lo >= 0) return true;
  if ((r.has_hi && r.hi < 0) || c->proving > 0) return false;
  const char *known = map_get_ptr(c->proved, e);
  if (known != NULL) return *known != 0;
  int fuel = FUEL;
  c->proving++;
  c->overflow = false;
  const bool yes = prove(c, e, MAX_DEPTH, &fuel) && !c->overflow;
  c->proving--;
  bool unbounded = false; // its bounds may still be set: ask again
  idx_symbols(e, find_unbounded, &unbounded);
  if (yes || !unbounded) map_put_ptr(c->proved, e, (void *)(uintptr_t)(yes ? &proved_yes : &proved_not));
  return yes;
}

tri idx_nonneg(idx_ctx *c, const idx *e) {
  if (idx_proves(c, e)) return TRI_yes;
  return idx_proves(c, idx_addi(c, idx_scale(c, e, -1), -1)) ? TRI_no : TRI_unknown;
}

// Whether e is zero once every remainder e%d is written e - d*(e//d): folding does not always meet in one form.
static bool is_zero_expanded(idx_ctx *c, const idx *e) {
  const bool folds = !c->no_fold;
  c->no_fold = true;
  const idx *sum = idx_int(c, 0);
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const idx *p = idx_int(c, e->terms[i].coef);
    for (uint32_t k = 0; k < e->terms[i].n_factors; k++) {
      const atom *t = e->terms[i].factors[k];
      const idx *f = idx_of_atom(c, t);
      if (t->kind == ATOM_mod) f = idx_sub(c, t->a, idx_mul(c, t->b, ((const atom_node *)t)->quotient));
      p = idx_mul(c, p, f);
    }
    sum = idx_add(c, sum, p);
  }
  c->no_fold = !folds;
  return sum->n_terms == 0;
}

tri idx_equal(idx_ctx *c, const idx *a, const idx *b) {
  const idx *d = idx_sub(c, a, b), *negated = idx_scale(c, d, -1);
  if (d->n_terms == 0) return TRI_yes;
  int64_t content = 0, constant = 0; // k*(...) + r is never 0 unless k divides r
  for (uint32_t i = 0; i < d->n_terms; i++) {
    if (d->terms[i].n_factors == 0) constant = d->terms[i].coef;
    else content = int_gcd(content, d->terms[i].coef);
  }
  if (content == 0 || constant % content != 0) return TRI_no;
  if (idx_proves(c, idx_addi(c, d, -1)) || idx_proves(c, idx_addi(c, negated, -1))) return TRI_no;
  return is_zero_expanded(c, d) || (idx_proves(c, d) && idx_proves(c, negated)) ? TRI_yes : TRI_unknown;
}

tri idx_divides(idx_ctx *c, int64_t d, const idx *e) {
  if (d <= 0) return TRI_unknown;
  const idx *r = idx_mod(c, e, idx_int(c, d));
  if (r->n_terms == 0) return TRI_yes;
  return idx_proves(c, idx_addi(c, r, -1)) ? TRI_no : TRI_unknown;
}
