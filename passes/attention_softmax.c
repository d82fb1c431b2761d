// Softmax in attention: see attention.h. In words:
//
// 1. The factors of the weights, through products and quotients, are column factors, which depend on the key, and row
//    factors, which do not. One column factor is exp(T) with dot inside.
// 2. A row factor 1 / Σ_key exp(T) normalises, whose sum's operand has the same addends as T; or T has the addend
//    -log of that sum; or the division follows mix.
// 3. Addends of T that are free of the key cancel: the maximum need not be recognised, nor exist. The rest is the
//    score.
// 4. A condition on indices under which the score is -inf is a fact: tiles that it empties are never computed.
#include "passes/attention_terms.h"
#include <math.h>

bool match_fails(const char **why, const char *reason) {
  if (!*why) *why = reason;
  return false;
}

// Is e the sum over the key of exp(addends)? addend `skipped` of them is left out.
static bool is_sum_of(matcher *x, const sx *e, const terms *t, uint32_t skipped) {
  e = term_uncast(e);
  const sx *inner = term_reads_reduction(e, OP_sum) ? term_reduced(x, e->value) : NULL;
  if (!inner || !term_is_op(term_uncast(inner), OP_exp)) return false;
  terms inside = {.n = 0};
  term_addends(&inside, term_uncast(inner)->in[0], false);
  return term_same(t, &inside, skipped);
}

// Is v the maximum over the key of the addends that depend on it, but for a shift of the row?
static bool is_maximum_of(matcher *x, const ir_value *v, const terms *t) {
  const sx *inner = term_reduced(x, v);
  if (!inner) return false;
  terms inside = {.n = 0};
  term_addends(&inside, inner, false);
  terms a = term_over_keys(x, t), b = term_over_keys(x, &inside);
  return term_same(&a, &b, MAX_TERMS);
}

static bool is_minus_inf(const sx *e) {
  return e->kind == SX_const && dtype_is_float(e->dt) && e->imm.v.f == -INFINITY;
}

// Conditions under which a scalar is -inf, whatever the rest of it is (no sum with +inf or NaN is meant to occur).
static void facts(matcher *x, const sx *e) {
  e = term_uncast(e);
  if (term_is_op(e, OP_add) || term_is_op(e, OP_sub)) {
    facts(x, e->in[0]);
    if (e->op == OP_add) facts(x, e->in[1]);
  } else if (term_is_op(e, OP_where)) {
    if (is_minus_inf(e->in[2])) {
      term_conjuncts(x, e->in[0], true);
      facts(x, e->in[1]);
    } else if (is_minus_inf(e->in[1])) {
      term_conjuncts(x, e->in[0], false);
      facts(x, e->in[2]);
    }
  }
}

// -- the parts --

// Peels `where(a row sees nothing, 0, weights)`: the weights are NaN there, or their maximum is -inf.
static const sx *peel_empty(matcher *x, const sx *e) {
  e = term_uncast(e);
  if (!term_is_op(e, OP_where) || !term_is_const(e->in[1], 0)) return e;
  const sx *cond = e->in[0], *inner = e->in[2];
  bool nan = term_is_op(cond, OP_isnan) && term_uncast(cond->in[0]) == term_uncast(inner);
  const sx *top = !term_is_op(cond, OP_eq) ? NULL : is_minus_inf(cond->in[1]) ? cond->in[0] : cond->in[1];
  bool none = top && (is_minus_inf(cond->in[0]) || is_minus_inf(cond->in[1])) && term_reads_reduction(top, OP_amax);
  if (!nan && !none) return e;
  if (none) x->top = top->value;
  x->out->empty_is_zero = true;
  return term_uncast(inner);
}

// The score: what of T depends on the key. Addends keep their order.
static const sx *score_of(matcher *x, const terms *t, uint32_t skipped) {
  const sx *sum = NULL;
  for (uint32_t i = 0; i < t->n; i++) {
    term a = t->at[i];
    if (i == skipped || !term_depends(x, a.e)) continue; // the row maximum, among others
    const sx *in[] = {sum, a.e};
    if (!sum && a.inverse) sum = form_op(x->f, OP_neg, a.e->dt, 1, &a.e);
    else sum = sum ? form_op(x->f, a.inverse ? OP_sub : OP_add, a.e->dt, 2, in) : a.e;
  }
  return sum;
}

// exp(T), its normaliser, and other factors, from the weights.
bool match_softmax(matcher *x, const sx *weights, const char **why) {
  attention *o = x->out;
  terms f = {.n = 0}, t = {.n = 0};
  term_factors(&f, peel_empty(x, weights), false);
  uint32_t e = MAX_TERMS, none = MAX_TERMS, skipped = MAX_TERMS;
  for (uint32_t i = 0; i < f.n; i++)
    if (term_is_op(f.at[i].e, OP_exp) && !f.at[i].inverse && term_has_dot(x, f.at[i].e)) {
      if (e != none) return false;
      e = i;
    }
  if (e == none || f.overflow) return false; // no softmax
  term_addends(&t, f.at[e].e->in[0], false);
  if (t.overflow) return match_fails(why, "the scores have too many terms");
  if (x->top && !is_maximum_of(x, x->top, &t))
    return match_fails(why, "the maximum that is -inf is not that of its scores");
  bool normalised = false;
  for (uint32_t i = 0; i < t.n && !normalised; i++) { // exp(T - log Σ exp(T))
    const sx *a = t.at[i].e;
    if (t.at[i].inverse && term_is_op(a, OP_log) && is_sum_of(x, a->in[0], &t, i)) normalised = true, skipped = i;
  }
  for (uint32_t i = 0; i < f.n; i++) {
    if (i == e) continue;
    if (!normalised && f.at[i].inverse && is_sum_of(x, f.at[i].e, &t, MAX_TERMS)) {
      normalised = true;
      continue;
    }
    if (!term_reads_only(x, f.at[i].e, NULL) || term_has_dot(x, f.at[i].e))
      return match_fails(why, "the weights have a factor besides exp and its sum");
    const sx **part = term_depends(x, f.at[i].e) ? &o->columns : &o->rows;
    *part = term_product(x, *part, f.at[i]);
  }
  if (!normalised && x->c->after && x->c->after->op == OP_div) {
    const sx *divisor = form_at(x->f, x->c->after->in[1], map_get_ptr(x->places, &x->c->mix->out[0]));
    if (divisor && is_sum_of(x, divisor, &t, MAX_TERMS)) {
      normalised = true;
      o->sum = term_uncast(divisor)->value;
      o->with = x->c->after;
    }
  }
  if (!normalised) return match_fails(why, "the sum that divides is not that of the weights over the keys");
  o->score = score_of(x, &t, skipped);
  if (!o->score || !term_has_dot(x, o->score) || !term_reads_only(x, o->score, NULL))
    return match_fails(why, "the scores need a statistic of their row");
  facts(x, o->score);
  return true;
}
