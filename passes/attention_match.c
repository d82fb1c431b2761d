// The matcher of attention: see attention.h. In words:
//
// 1. weights = form(operand of mix). Its factors, through products and quotients, are column factors, which depend on
// the
//    key, and row factors, which do not. One column factor is exp(T) with dot inside.
// 2. A row factor 1 / Σ_key exp(T) normalises, whose sum's operand has the same addends as T; or T has the addend
//    -log of that sum; or the division follows mix.
// 3. Addends of T that are free of the key cancel: the maximum need not be recognised, nor exist. The rest is the
// score.
// 4. A condition on indices under which the score is -inf is a fact: tiles that it empties are never computed.
#include "passes/attention.h"
#include <math.h>
#include <string.h>

enum { MAX_FACTORS = 16 };

typedef struct term { // a factor or an addend
  const sx *e;
  bool inverse; // divides, or is subtracted
} term;

typedef struct terms {
  uint32_t n;
  term at[MAX_FACTORS];
  bool overflow;
} terms;

typedef struct matcher {
  form_ctx *f;
  arena *a;
  ir_module *m;
  const attention_cone *c;
  attention *out;
  map *places;         // accumulator -> where it is read: const idx *[rank]
  const ir_value *top; // a row maximum that is -inf where weights are taken as 0; it must be that of the scores
} matcher;

// -- where accumulators are read --

static bool record_place(void *user, const ir_value *v, const idx *const *at) {
  matcher *x = user;
  const idx *const *known = map_get_ptr(x->places, v);
  if (!known) {
    map_put_ptr(x->places, v, arena_copy(x->a, at, (v->type.rank + 1u) * sizeof *at));
    return true;
  }
  for (uint32_t i = 0; i < v->type.rank; i++)
    if (known[i] != at[i]) return false;
  return true;
}

// -- properties of scalars --

typedef struct dependence {
  const sym *label;
  const ir_value *acc;
  bool found;
} dependence;

static void look_at(void *user, const sx *e) {
  dependence *d = user;
  if (e->kind == SX_acc && e->value == d->acc) d->found = true;
  if (d->label && e->at && idx_mentions(e->at, d->label)) d->found = true;
  for (uint32_t i = 0; d->label && i < e->n_guards; i++)
    if (idx_mentions(e->guards[i], d->label)) d->found = true;
}

static bool has_dot(const matcher *x, const sx *e) {
  dependence d = {NULL, &x->c->dot->out[0], false};
  form_walk(x->f, e, look_at, &d);
  return d.found;
}

static bool depends(const matcher *x, const sx *e) { // on the key
  dependence d = {x->out->key, &x->c->dot->out[0], false};
  form_walk(x->f, e, look_at, &d);
  return d.found;
}

static bool is_op(const sx *e, op_code op) { return e->kind == SX_op && e->op == op; }

static bool is_const(const sx *e, double v) {
  return e->kind == SX_const && (dtype_is_float(e->dt) ? e->imm.v.f == v : (double)e->imm.v.i == v);
}

static const sx *through_casts(const sx *e) { // between floats: accumulation is f32 here
  while (is_op(e, OP_cast) && dtype_is_float(e->dt) && dtype_is_float(e->in[0]->dt)) e = e->in[0];
  return e;
}

static bool reads_reduction(const sx *e, op_code op) {
  return e->kind == SX_acc && e->value->def && e->value->def->op == op;
}

// -- products and sums taken apart --

static void add_term(terms *t, const sx *e, bool inverse) {
  if (t->n == MAX_FACTORS) t->overflow = true;
  else t->at[t->n++] = (term){e, inverse};
}

static void factors(terms *t, const sx *e, bool inverse) {
  e = through_casts(e);
  if (is_op(e, OP_mul) || is_op(e, OP_div)) {
    factors(t, e->in[0], inverse);
    factors(t, e->in[1], inverse != (e->op == OP_div));
  } else if (!is_const(e, 1)) {
    add_term(t, e, inverse);
  }
}

static void addends(terms *t, const sx *e, bool negative) {
  e = through_casts(e);
  if (is_op(e, OP_add) || is_op(e, OP_sub)) {
    addends(t, e->in[0], negative);
    addends(t, e->in[1], negative != (e->op == OP_sub));
  } else if (is_op(e, OP_neg)) {
    addends(t, e->in[0], !negative);
  } else {
    add_term(t, e, negative);
  }
}

static bool same_terms(const terms *a, const terms *b, uint32_t skipped) {
  bool used[MAX_FACTORS] = {false};
  if (a->n - (skipped < a->n) != b->n || a->overflow || b->overflow) return false;
  for (uint32_t i = 0; i < a->n; i++) {
    bool found = i == skipped;
    for (uint32_t k = 0; !found && k < b->n; k++)
      if (!used[k] && a->at[i].e == b->at[k].e && a->at[i].inverse == b->at[k].inverse) found = used[k] = true;
    if (!found) return false;
  }
  return true;
}

// -- the normaliser --

// What a reduction over the keys reduces, at the key and where its result is read; NULL for other reductions.
static const sx *reduced_operand(matcher *x, const ir_value *v) {
  const idx *const *place = map_get_ptr(x->places, v), *full[IR_MAX_RANK];
  const int64_t *axes;
  if (ir_attr_ints(v->def, "axes", &axes) != 1 || !place) return NULL;
  ir_type in = v->def->in[0]->type;
  if (in.dim[axes[0]] != x->out->keys) return NULL;
  for (uint32_t i = 0, k = 0; i < in.rank; i++)
    full[i] = i == (uint32_t)axes[0] ? idx_of(x->m->ix, x->out->key) : place[k++];
  return form_at(x->f, v->def->in[0], full);
}

// Is e the sum over the key of exp(addends)? addend `skipped` of them is left out.
static bool is_sum_of(matcher *x, const sx *e, const terms *t, uint32_t skipped) {
  e = through_casts(e);
  const sx *inner = reads_reduction(e, OP_sum) ? reduced_operand(x, e->value) : NULL;
  if (!inner || !is_op(through_casts(inner), OP_exp)) return false;
  terms inside = {.n = 0};
  addends(&inside, through_casts(inner)->in[0], false);
  return same_terms(t, &inside, skipped);
}

static terms over_keys(const matcher *x, const terms *t) {
  terms kept = {.n = 0, .overflow = t->overflow};
  for (uint32_t i = 0; i < t->n; i++)
    if (depends(x, t->at[i].e)) kept.at[kept.n++] = t->at[i];
  return kept;
}

// Is v the maximum over the key of the addends that depend on it, but for a shift of the row?
static bool is_maximum_of(matcher *x, const ir_value *v, const terms *t) {
  const sx *inner = reduced_operand(x, v);
  if (!inner) return false;
  terms inside = {.n = 0};
  addends(&inside, inner, false);
  terms a = over_keys(x, t), b = over_keys(x, &inside);
  return same_terms(&a, &b, MAX_FACTORS);
}

// -- facts --

static const idx *index_of(const matcher *x, const sx *e) {
  if (e->kind == SX_index) return e->at;
  return e->kind == SX_const && !dtype_is_float(e->dt) ? idx_int(x->m->ix, e->imm.v.i) : NULL;
}

// Adds what holds wherever the condition is `wanted`; conditions that say nothing about indices add nothing.
static void conjuncts(matcher *x, const sx *cond, bool wanted) {
  attention *o = x->out;
  idx_ctx *c = x->m->ix;
  if (is_op(cond, OP_not)) {
    conjuncts(x, cond->in[0], !wanted);
    return;
  }
  if (is_op(cond, wanted ? OP_and : OP_or)) {
    conjuncts(x, cond->in[0], wanted);
    conjuncts(x, cond->in[1], wanted);
    return;
  }
  const idx *fact = NULL;
  if (is_op(cond, OP_le) || is_op(cond, OP_lt)) {
    const idx *a = index_of(x, cond->in[0]), *b = index_of(x, cond->in[1]);
    bool strict = (cond->op == OP_lt) == wanted; // not(a < b) is b <= a: on integers
    if (a && b) fact = idx_addi(c, wanted ? idx_sub(c, b, a) : idx_sub(c, a, b), strict ? -1 : 0);
  }
  const idx *coef, *rest;
  if (!fact || o->n_facts == ATTENTION_MAX_FACTS || !idx_linear(c, fact, o->key, &coef, &rest)) return;
  if (idx_equals_int(coef, 1) || idx_equals_int(coef, -1)) o->fact[o->n_facts++] = fact;
}

static bool is_minus_inf(const sx *e) {
  return e->kind == SX_const && dtype_is_float(e->dt) && e->imm.v.f == -INFINITY;
}

// Conditions under which a scalar is -inf, whatever the rest of it is (no sum with +inf or NaN is meant to occur).
static void facts(matcher *x, const sx *e) {
  e = through_casts(e);
  if (is_op(e, OP_add) || is_op(e, OP_sub)) {
    facts(x, e->in[0]);
    if (e->op == OP_add) facts(x, e->in[1]);
  } else if (is_op(e, OP_where)) {
    if (is_minus_inf(e->in[2])) {
      conjuncts(x, e->in[0], true);
      facts(x, e->in[1]);
    } else if (is_minus_inf(e->in[1])) {
      conjuncts(x, e->in[0], false);
      facts(x, e->in[2]);
    }
  }
}

// -- the parts --

// Peels `where(a row sees nothing, 0, weights)`: the weights are NaN there, or their maximum is -inf.
static const sx *peel_empty(matcher *x, const sx *e) {
  e = through_casts(e);
  if (!is_op(e, OP_where) || !is_const(e->in[1], 0)) return e;
  const sx *cond = e->in[0], *inner = e->in[2];
  bool nan = is_op(cond, OP_isnan) && through_casts(cond->in[0]) == through_casts(inner);
  const sx *top = !is_op(cond, OP_eq) ? NULL : is_minus_inf(cond->in[1]) ? cond->in[0] : cond->in[1];
  bool none = top && (is_minus_inf(cond->in[0]) || is_minus_inf(cond->in[1])) && reads_reduction(top, OP_amax);
  if (!nan && !none) return e;
  if (none) x->top = top->value;
  x->out->empty_is_zero = true;
  return through_casts(inner);
}

static const sx *product(matcher *x, const sx *so_far, term t) {
  if (!so_far) so_far = form_const(x->f, scalar_cast(scalar_i(DT_i64, 1), DT_f32));
  const sx *in[] = {so_far, t.e};
  return form_op(x->f, t.inverse ? OP_div : OP_mul, t.e->dt, 2, in);
}

// The score: what of T depends on the key. Addends keep their order.
static const sx *score_of(matcher *x, const terms *t, uint32_t skipped) {
  const sx *sum = NULL;
  for (uint32_t i = 0; i < t->n; i++) {
    term a = t->at[i];
    if (i == skipped || !depends(x, a.e)) continue; // the row maximum, among others
    const sx *in[] = {sum, a.e};
    if (!sum && a.inverse) sum = form_op(x->f, OP_neg, a.e->dt, 1, &a.e);
    else sum = sum ? form_op(x->f, a.inverse ? OP_sub : OP_add, a.e->dt, 2, in) : a.e;
  }
  return sum;
}

static void other_acc(void *user, const sx *e) {
  dependence *d = user;
  if (e->kind == SX_acc && e->value != d->acc) d->found = true;
}

static bool reads_only_dot(const matcher *x, const sx *e) {
  dependence d = {NULL, &x->c->dot->out[0], false};
  if (e) form_walk(x->f, e, other_acc, &d);
  return !d.found;
}

static bool fails(const char **why, const char *reason) {
  if (!*why) *why = reason;
  return false;
}

// The operand of a contraction at the places of its labels.
static const sx *operand(matcher *x, const ir_node *n, uint32_t o, const ir_map *labels, const idx *const *out_at) {
  idx_ctx *c = x->m->ix;
  idx_binding b[2 * IR_MAX_RANK];
  uint32_t k = 0;
  for (uint32_t i = 0; i < labels->out_rank; i++)
    b[k++] = (idx_binding){labels->labels[labels->out_label[i]].symbol, out_at[i]};
  for (uint32_t i = 0; i < labels->n_labels; i++)
    if (!labels->labels[i].in_out && idx_equals_int(labels->labels[i].extent, 1))
      b[k++] = (idx_binding){labels->labels[i].symbol, idx_int(c, 0)};
  const idx *at[IR_MAX_RANK];
  for (uint32_t i = 0; i < labels->operand[o].rank; i++) {
    const ir_axis *axis = &labels->operand[o].axes[i];
    if (axis->may_miss || axis->exact_div != 1) return NULL;
    at[i] = idx_subst(c, axis->at, k, b);
  }
  return form_at(x->f, n->in[o], at);
}

// The one reduced label of a contraction, or NULL.
static const ir_label *reduced_label(const ir_map *labels) {
  const ir_label *found = NULL;
  for (uint32_t i = 0; labels && i < labels->n_labels; i++) {
    if (labels->labels[i].in_out) continue;
    if (found) return NULL;
    found = &labels->labels[i];
  }
  return found && labels->out_rank + 1 < 2 * IR_MAX_RANK ? found : NULL;
}

static bool mentions(const matcher *x, const sx *e, const sym *label) {
  dependence d = {label, NULL, false};
  form_walk(x->f, e, look_at, &d);
  return d.found;
}

// Queries and keys: the operands of dot, as mix's labels see them.
static bool find_operands(matcher *x, const char **why) {
  attention *o = x->out;
  const ir_map *labels = ir_map_of(x->m, x->c->dot);
  const ir_label *depth = reduced_label(labels);
  const idx *const *place = map_get_ptr(x->places, &x->c->dot->out[0]);
  if (!depth || !place) return false;
  o->depth = depth->symbol;
  o->depths = depth->extent;
  const sx *side[2] = {operand(x, x->c->dot, 0, labels, place), operand(x, x->c->dot, 1, labels, place)};
  if (!side[0] || !side[1]) return false;
  bool in[2] = {mentions(x, side[0], o->key), mentions(x, side[1], o->key)};
  if (in[0] == in[1]) return fails(why, "both operands of the scores, or none, run over the keys");
  o->q = side[in[0]];
  o->k = side[!in[0]];
  return true;
}

// exp(T), its normaliser, and other factors, from the weights.
static bool find_score(matcher *x, const sx *weights, const char **why) {
  attention *o = x->out;
  terms f = {.n = 0}, t = {.n = 0};
  factors(&f, peel_empty(x, weights), false);
  uint32_t e = MAX_FACTORS, none = MAX_FACTORS, skipped = MAX_FACTORS;
  for (uint32_t i = 0; i < f.n; i++)
    if (is_op(f.at[i].e, OP_exp) && !f.at[i].inverse && has_dot(x, f.at[i].e)) {
      if (e != none) return false;
      e = i;
    }
  if (e == none || f.overflow) return false; // no softmax
  addends(&t, f.at[e].e->in[0], false);
  if (t.overflow) return fails(why, "the scores have too many terms");
  if (x->top && !is_maximum_of(x, x->top, &t)) return fails(why, "the maximum that is -inf is not that of its scores");
  bool normalised = false;
  for (uint32_t i = 0; i < t.n && !normalised; i++) { // exp(T - log Σ exp(T))
    const sx *a = t.at[i].e;
    if (t.at[i].inverse && is_op(a, OP_log) && is_sum_of(x, a->in[0], &t, i)) normalised = true, skipped = i;
  }
  for (uint32_t i = 0; i < f.n; i++) {
    if (i == e) continue;
    if (!normalised && f.at[i].inverse && is_sum_of(x, f.at[i].e, &t, MAX_FACTORS)) {
      normalised = true;
      continue;
    }
    if (!reads_only_dot(x, f.at[i].e) || has_dot(x, f.at[i].e))
      return fails(why, "the weights have a factor besides exp and its sum");
    const sx **part = depends(x, f.at[i].e) ? &o->columns : &o->rows;
    *part = product(x, *part, f.at[i]);
  }
  if (!normalised && x->c->after) {
    const sx *divisor = form_at(x->f, x->c->after->in[1], map_get_ptr(x->places, &x->c->mix->out[0]));
    if (divisor && is_sum_of(x, divisor, &t, MAX_FACTORS)) {
      normalised = true;
      o->sum = through_casts(divisor)->value;
    }
  }
  if (!normalised) return fails(why, "the sum that divides is not that of the weights over the keys");
  o->score = score_of(x, &t, skipped);
  if (!o->score || !has_dot(x, o->score) || !reads_only_dot(x, o->score))
    return fails(why, "the scores need a statistic of their row");
  facts(x, o->score);
  return true;
}

bool attention_match(form_ctx *f, arena *a, ir_module *m, const attention_cone *c, const idx *const *at, attention *out,
                     const char **why) {
  matcher x = {f, a, m, c, out, map_new(a), NULL};
  *out = (attention){.dot = c->dot, .mix = c->mix};
  *why = NULL;
  const ir_map *labels = ir_map_of(m, c->mix);
  const ir_label *key = reduced_label(labels);
  if (!key || idx_equals_int(key->extent, 1)) return false; // of one key there is nothing to sum
  out->key = key->symbol;
  out->keys = key->extent;
  form_check_acc(f, record_place, &x);
  record_place(&x, &c->mix->out[0], at);
  bool ok = false;
  for (uint32_t o = 0; o < 2 && !ok; o++) { // which operand holds the weights?
    const sx *weights = operand(&x, c->mix, o, labels, at);
    if (!weights || !has_dot(&x, weights)) continue;
    out->v = operand(&x, c->mix, 1 - o, labels, at);
    ok = out->v && !has_dot(&x, out->v) && find_score(&x, weights, why) && find_operands(&x, why);
  }
  form_check_acc(f, NULL, NULL);
  return ok;
}
