// Walking index expressions: questions about symbols, substitution, linear form, evaluation.
#include "ir/index_priv.h"

bool idx_is_const(const idx *e, int64_t *value) {
  if (e->n_terms > 1 || (e->n_terms == 1 && e->terms[0].n_factors > 0)) return false;
  if (value != NULL) *value = e->n_terms == 0 ? 0 : e->terms[0].coef;
  return true;
}

bool idx_equals_int(const idx *e, int64_t v) {
  int64_t k;
  return idx_is_const(e, &k) && k == v;
}

const sym *idx_is_symbol(const idx *e) {
  if (e->n_terms != 1 || e->terms[0].n_factors != 1) return NULL;
  const sym *s = idx_atom_symbol(e->terms[0].factors[0]);
  if (s == NULL) return NULL;
  const bool whole = e->terms[0].factors[0]->kind == ATOM_sym;
  return e->terms[0].coef == (whole ? 1 : s->step) ? s : NULL;
}

static bool atom_mentions(const atom *t, const sym *s) {
  if (t->kind == ATOM_sym) return t->symbol == s;
  return idx_mentions(t->a, s) || (t->b != NULL && idx_mentions(t->b, s));
}

bool idx_mentions(const idx *e, const sym *s) {
  for (uint32_t i = 0; i < e->n_terms; i++) {
    for (uint32_t k = 0; k < e->terms[i].n_factors; k++) {
      if (atom_mentions(e->terms[i].factors[k], s)) return true;
    }
  }
  return false;
}

bool idx_mentions_read(const idx *e) {
  for (uint32_t i = 0; i < e->n_terms; i++) {
    for (uint32_t k = 0; k < e->terms[i].n_factors; k++) {
      const atom *t = e->terms[i].factors[k];
      if (t->kind == ATOM_read) return true;
      if (t->kind != ATOM_sym && (idx_mentions_read(t->a) || idx_mentions_read(t->b))) return true;
    }
  }
  return false;
}

static bool varies(const atom *t, size_t n, const sym *const *symbols) {
  for (size_t i = 0; i < n; i++)
    if (atom_mentions(t, symbols[i])) return true;
  return t->kind == ATOM_read || (t->kind != ATOM_sym && (idx_mentions_read(t->a) || idx_mentions_read(t->b)));
}

const idx *idx_invariant(idx_ctx *c, const idx *e, size_t n, const sym *const *symbols) {
  const size_t base = c->scratch.n;
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const monomial *t = &e->terms[i];
    bool kept = true;
    for (uint32_t k = 0; k < t->n_factors && kept; k++) kept = !varies(t->factors[k], n, symbols);
    if (kept) idx_push(c, t->coef, t->n_factors, t->factors);
  }
  return idx_finish(c, base);
}

// The mentioned symbol with the smallest id that is at least `from`, or NULL.
static const sym *next_symbol(const idx *e, uint32_t from, const sym *best) {
  for (uint32_t i = 0; i < e->n_terms; i++) {
    for (uint32_t k = 0; k < e->terms[i].n_factors; k++) {
      const atom *t = e->terms[i].factors[k];
      if (t->kind == ATOM_sym) {
        if (t->symbol->id >= from && (best == NULL || t->symbol->id < best->id)) best = t->symbol;
        continue;
      }
      best = next_symbol(t->a, from, best);
      if (t->b != NULL) best = next_symbol(t->b, from, best);
    }
  }
  return best;
}

void idx_symbols(const idx *e, void (*f)(void *user, const sym *s), void *user) {
  for (const sym *s = next_symbol(e, 0, NULL); s != NULL; s = next_symbol(e, s->id + 1, NULL)) f(user, s);
}

// -- substitution --

static bool mentions_any(const atom *t, size_t n, const idx_binding *b) {
  for (size_t i = 0; i < n; i++) {
    if (atom_mentions(t, b[i].from)) return true;
  }
  return false;
}

static const idx *subst_atom(idx_ctx *c, const atom *t, size_t n, const idx_binding *b) {
  if (!mentions_any(t, n, b)) return idx_of_atom(c, t);
  if (t->kind == ATOM_sym) {
    for (size_t i = 0; i < n; i++) {
      if (b[i].from == t->symbol) return b[i].to;
    }
  }
  const idx *x = idx_subst(c, t->a, n, b), *y = t->b == NULL ? NULL : idx_subst(c, t->b, n, b);
  switch (t->kind) {
  case ATOM_floordiv: return idx_floordiv(c, x, y);
  case ATOM_mod: return idx_mod(c, x, y);
  case ATOM_min: return idx_min(c, x, y);
  case ATOM_max: return idx_max(c, x, y);
  case ATOM_read: return idx_read(c, t->buffer, x);
  case ATOM_sym: break;
  }
  return idx_of_atom(c, t);
}

const idx *idx_subst(idx_ctx *c, const idx *e, size_t n, const idx_binding *b) {
  const idx *sum = idx_int(c, 0);
  const size_t base = c->scratch.n; // the terms without any of the symbols stay as they are
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const monomial *t = &e->terms[i];
    const idx *p = NULL;
    for (uint32_t k = 0; k < t->n_factors; k++) {
      if (p == NULL && !mentions_any(t->factors[k], n, b)) continue;
      if (p == NULL) { // the factors before the first that changes
        const size_t inner = c->scratch.n;
        idx_push_product(c, t->coef, k, t->factors, idx_int(c, 1));
        p = idx_finish(c, inner);
      }
      p = idx_mul(c, p, subst_atom(c, t->factors[k], n, b));
    }
    if (p == NULL) idx_push(c, t->coef, t->n_factors, t->factors);
    else sum = idx_add(c, sum, p);
  }
  return idx_add(c, sum, idx_finish(c, base));
}

const idx *idx_subst1(idx_ctx *c, const idx *e, const sym *from, const idx *to) {
  return idx_subst(c, e, 1, &(idx_binding){from, to});
}

bool idx_linear(idx_ctx *c, const idx *e, const sym *s, const idx **coef, const idx **rest) {
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const monomial *t = &e->terms[i];
    uint32_t times = 0;
    for (uint32_t k = 0; k < t->n_factors; k++) {
      const bool is = idx_atom_symbol(t->factors[k]) == s;
      times += is;
      if (!is && atom_mentions(t->factors[k], s)) return false;
    }
    if (times > 1 || (times == 1 && t->coef % s->step != 0)) return false;
  }
  const size_t base = c->scratch.n;
  for (int with = 1; with >= 0; with--) {
    for (uint32_t i = 0; i < e->n_terms; i++) {
      const monomial *t = &e->terms[i];
      const atom *left[IDX_MAX_DEGREE];
      uint32_t n = 0;
      for (uint32_t k = 0; k < t->n_factors; k++) {
        if (idx_atom_symbol(t->factors[k]) != s) left[n++] = t->factors[k];
      }
      if ((n < t->n_factors) != (with == 1)) continue;
      idx_push_product(c, with == 1 ? t->coef / s->step : t->coef, n, left, idx_int(c, 1));
    }
    *(with == 1 ? coef : rest) = idx_finish(c, base);
  }
  return true;
}

// -- evaluation --

static bool eval_atom(const atom *t, const idx_env *env, int64_t *out) {
  int64_t a, b;
  if (t->kind == ATOM_sym) {
    *out = env->value(env->user, t->symbol);
    return true;
  }
  if (!idx_eval(t->a, env, &a)) return false;
  if (t->kind == ATOM_read) {
    if (env->read == NULL) return false;
    *out = env->read(env->user, t->buffer, a);
    return true;
  }
  if (!idx_eval(t->b, env, &b)) return false;
  if (t->kind == ATOM_min || t->kind == ATOM_max) {
    *out = (a < b) == (t->kind == ATOM_min) ? a : b;
    return true;
  }
  if (b <= 0) return false;
  const int64_t r = a % b < 0 ? a % b + b : a % b;
  *out = t->kind == ATOM_mod ? r : int_floordiv(a, b);
  return true;
}

bool idx_eval(const idx *e, const idx_env *env, int64_t *out) {
  int64_t sum = 0;
  for (uint32_t i = 0; i < e->n_terms; i++) {
    int64_t p = e->terms[i].coef, v;
    for (uint32_t k = 0; k < e->terms[i].n_factors; k++) {
      if (!eval_atom(e->terms[i].factors[k], env, &v) || __builtin_mul_overflow(p, v, &p)) return false;
    }
    if (__builtin_add_overflow(sum, p, &sum)) return false;
  }
  *out = sum;
  return true;
}
