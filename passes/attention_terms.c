// Scalars of an attention taken apart: see attention_terms.h.
#include "passes/attention_terms.h"

// -- properties of scalars --

typedef struct dependence {
  const sym *label;
  const ir_value *acc, *other;
  bool found;
} dependence;

static void look_at(void *user, const sx *e) {
  dependence *d = user;
  if (e->kind == SX_acc && e->value == d->acc) d->found = true;
  if (d->label && e->at && idx_mentions(e->at, d->label)) d->found = true;
  for (uint32_t i = 0; d->label && i < e->n_guards; i++)
    if (idx_mentions(e->guards[i], d->label)) d->found = true;
}

bool term_has_dot(const matcher *x, const sx *e) {
  dependence d = {NULL, &x->c->dot->out[0], NULL, false};
  form_walk(x->f, e, look_at, &d);
  return d.found;
}

bool term_depends(const matcher *x, const sx *e) { // on the key
  dependence d = {x->out->key, &x->c->dot->out[0], NULL, false};
  form_walk(x->f, e, look_at, &d);
  return d.found;
}

bool term_is_op(const sx *e, op_code op) { return e->kind == SX_op && e->op == op; }

bool term_is_const(const sx *e, double v) {
  return e->kind == SX_const && (dtype_is_float(e->dt) ? e->imm.v.f == v : (double)e->imm.v.i == v);
}

const sx *term_uncast(const sx *e) { // between floats: accumulation is f32 here
  while (term_is_op(e, OP_cast) && dtype_is_float(e->dt) && dtype_is_float(e->in[0]->dt)) e = e->in[0];
  return e;
}

bool term_mentions(const matcher *x, const sx *e, const sym *label) {
  dependence d = {label, NULL, NULL, false};
  form_walk(x->f, e, look_at, &d);
  return d.found;
}

bool term_reads_reduction(const sx *e, op_code op) {
  return e->kind == SX_acc && e->value->def && e->value->def->op == op;
}

static void other_acc(void *user, const sx *e) {
  dependence *d = user;
  if (e->kind == SX_acc && e->value != d->acc && e->value != d->other) d->found = true;
}

bool term_reads_only(const matcher *x, const sx *e, const ir_value *other) {
  dependence d = {NULL, &x->c->dot->out[0], other, false};
  if (e) form_walk(x->f, e, other_acc, &d);
  return !d.found;
}

// -- products and sums taken apart --

static void add_term(terms *t, const sx *e, bool inverse) {
  if (t->n == MAX_TERMS) t->overflow = true;
  else t->at[t->n++] = (term){e, inverse};
}

void term_factors(terms *t, const sx *e, bool inverse) {
  e = term_uncast(e);
  if (term_is_op(e, OP_mul) || term_is_op(e, OP_div)) {
    term_factors(t, e->in[0], inverse);
    term_factors(t, e->in[1], inverse != (e->op == OP_div));
  } else if (!term_is_const(e, 1)) {
    add_term(t, e, inverse);
  }
}

void term_addends(terms *t, const sx *e, bool negative) {
  e = term_uncast(e);
  if (term_is_op(e, OP_add) || term_is_op(e, OP_sub)) {
    term_addends(t, e->in[0], negative);
    term_addends(t, e->in[1], negative != (e->op == OP_sub));
  } else if (term_is_op(e, OP_neg)) {
    term_addends(t, e->in[0], !negative);
  } else {
    add_term(t, e, negative);
  }
}

bool term_same(const terms *a, const terms *b, uint32_t skipped) {
  bool used[MAX_TERMS] = {false};
  if (a->n - (skipped < a->n) != b->n || a->overflow || b->overflow) return false;
  for (uint32_t i = 0; i < a->n; i++) {
    bool found = i == skipped;
    for (uint32_t k = 0; !found && k < b->n; k++)
      if (!used[k] && a->at[i].e == b->at[k].e && a->at[i].inverse == b->at[k].inverse) found = used[k] = true;
    if (!found) return false;
  }
  return true;
}

terms term_over_keys(const matcher *x, const terms *t) {
  terms kept = {.n = 0, .overflow = t->overflow};
  for (uint32_t i = 0; i < t->n; i++)
    if (term_depends(x, t->at[i].e)) kept.at[kept.n++] = t->at[i];
  return kept;
}

const sx *term_product(matcher *x, const sx *so_far, term t) {
  if (!so_far && !t.inverse) return term_uncast(t.e);
  if (!so_far) so_far = form_const(x->f, scalar_cast(scalar_i(DT_i64, 1), DT_f32));
  const sx *in[] = {so_far, t.e};
  return form_op(x->f, t.inverse ? OP_div : OP_mul, t.e->dt, 2, in);
}

// -- reductions --

const sx *term_reduced(matcher *x, const ir_value *v) {
  const idx *const *place = map_get_ptr(x->places, v), *full[IR_MAX_RANK];
  const int64_t *axes;
  if (ir_attr_ints(v->def, "axes", &axes) != 1 || !place) return NULL;
  ir_type in = v->def->in[0]->type;
  if (in.dim[axes[0]] != x->out->keys) return NULL;
  for (uint32_t i = 0, k = 0; i < in.rank; i++)
    full[i] = i == (uint32_t)axes[0] ? idx_of(x->m->ix, x->out->key) : place[k++];
  return form_at(x->f, v->def->in[0], full);
}

// -- facts --

static const idx *index_of(const matcher *x, const sx *e) {
  if (e->kind == SX_index) return e->at;
  return e->kind == SX_const && !dtype_is_float(e->dt) ? idx_int(x->m->ix, e->imm.v.i) : NULL;
}

bool term_conjuncts(matcher *x, const sx *cond, bool wanted) {
  attention *o = x->out;
  idx_ctx *c = x->m->ix;
  if (term_is_op(cond, OP_not)) return term_conjuncts(x, cond->in[0], !wanted);
  if (term_is_op(cond, wanted ? OP_and : OP_or)) {
    bool first = term_conjuncts(x, cond->in[0], wanted);
    return term_conjuncts(x, cond->in[1], wanted) && first;
  }
  const idx *fact = NULL;
  if (term_is_op(cond, OP_le) || term_is_op(cond, OP_lt)) {
    const idx *a = index_of(x, cond->in[0]), *b = index_of(x, cond->in[1]);
    bool strict = (cond->op == OP_lt) == wanted; // not(a < b) is b <= a: on integers
    if (a && b) fact = idx_addi(c, wanted ? idx_sub(c, b, a) : idx_sub(c, a, b), strict ? -1 : 0);
  }
  const idx *coef, *rest;
  if (!fact || o->n_facts == ATTENTION_MAX_FACTS || !idx_linear(c, fact, o->key, &coef, &rest)) return false;
  if (!idx_equals_int(coef, 1) && !idx_equals_int(coef, -1)) return false;
  o->fact[o->n_facts++] = fact;
  return true;
}
