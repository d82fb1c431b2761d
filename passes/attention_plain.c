// Attention without a softmax: weights are any elementwise function of the scores, perhaps divided by their sum over
// the keys (relu² of GAU, sigmoid attention), in blocks of keys like a softmax, but without statistics to carry.
//
// Where that function is a product with the score as one factor, sums may be taken in the other order (Katharopoulos
// et al. 2020):   Σ_key (Σ_depth q·k) v = Σ_depth q (Σ_key k·v).   The other factors may depend on the key, or on the
// query, or be a mask that lets each query see the keys before a bound: then the sum over keys is a state that grows
// from block to block. The schedule makes both forms and chooses by size when the kernel runs.
#include "passes/attention_terms.h"

// -- the sum that normalises --

static void find_sum(void *user, const sx *e) {
  const ir_value **found = user;
  if (term_reads_reduction(e, OP_sum)) *found = e->value;
}

// Is v the sum over the keys of the weights, times what does not depend on the key? That becomes out->sum_factor.
static bool is_sum_of_weights(matcher *x, const ir_value *v, const terms *weights) {
  const sx *inner = term_reduced(x, v);
  terms inside = {.n = 0};
  if (!inner) return false;
  term_factors(&inside, inner, false);
  terms a = term_over_keys(x, weights), b = term_over_keys(x, &inside);
  if (inside.overflow || !term_same(&a, &b, MAX_TERMS)) return false;
  for (uint32_t i = 0; i < inside.n; i++) {
    if (term_depends(x, inside.at[i].e)) continue;
    if (!term_reads_only(x, inside.at[i].e, NULL)) return false;
    x->out->sum_factor = term_product(x, x->out->sum_factor, inside.at[i]);
  }
  return true;
}

// A scalar of the row, which may read one accumulator besides what is in memory: the sum of the weights.
static bool accepts_row(matcher *x, const sx *e, const terms *weights) {
  const ir_value *sum = NULL;
  form_walk(x->f, e, find_sum, &sum);
  if (term_has_dot(x, e) || !term_reads_only(x, e, sum)) return false;
  if (!sum || sum == x->out->sum) return true;
  if (x->out->sum || !is_sum_of_weights(x, sum, weights)) return false;
  x->out->sum = sum;
  return true;
}

// -- facts --

static const sx *masked(const sx *e) { // where(c, e, 0), or a condition as a number
  bool select = term_is_op(e, OP_where) && term_is_const(e->in[2], 0);
  bool number = term_is_op(e, OP_cast) && e->in[0]->dt == DT_bool;
  return select || number ? e->in[0] : NULL;
}

static void facts(matcher *x, const sx *e) {
  e = term_uncast(e);
  const sx *cond = masked(e);
  if (cond) term_conjuncts(x, cond, true);
  if (term_is_op(e, OP_mul) || term_is_op(e, OP_div)) facts(x, e->in[0]);
  if (term_is_op(e, OP_mul)) facts(x, e->in[1]);
  if (term_is_op(e, OP_where) && cond) facts(x, e->in[1]);
}

// -- linear in the score --

typedef struct linear {
  matcher *x;
  uint32_t n_scores; // factors that are the score itself
  const sx *columns;
} linear;

static bool is_row_label(const matcher *x, const sym *s) {
  return term_mentions(x, x->out->q, s) && !term_mentions(x, x->out->k, s) && !term_mentions(x, x->out->v, s);
}

// Free of the labels that only queries have?
static bool is_column(const matcher *x, const sx *e) {
  const ir_map *labels = ir_map_of(x->m, x->c->mix);
  const idx *const *at = map_get_ptr(x->places, &x->c->mix->out[0]);
  for (uint32_t i = 0; i < labels->out_rank; i++) {
    const sym *s = idx_is_symbol(at[i]);
    if (s && is_row_label(x, s) && term_mentions(x, e, s)) return false;
  }
  return true;
}

// A mask is a column factor (padding), or a bound, or both.
static bool takes_mask(linear *w, const sx *cond) {
  matcher *x = w->x;
  if (term_is_op(cond, OP_and)) return takes_mask(w, cond->in[0]) && takes_mask(w, cond->in[1]);
  if (term_has_dot(x, cond)) return false;
  if (!is_column(x, cond)) return term_conjuncts(x, cond, true);
  const sx *in[] = {cond, form_const(x->f, scalar_f(DT_f32, 1)), form_const(x->f, scalar_f(DT_f32, 0))};
  w->columns = term_product(x, w->columns, (term){form_op(x->f, OP_where, DT_f32, 3, in), false});
  return true;
}

static bool is_linear(linear *w, const sx *e, bool inverse) {
  matcher *x = w->x;
  e = term_uncast(e);
  if (term_is_op(e, OP_mul) || term_is_op(e, OP_div))
    return is_linear(w, e->in[0], inverse) && is_linear(w, e->in[1], inverse != (e->op == OP_div));
  if (e->kind == SX_acc && e->value == &x->c->dot->out[0] && !inverse) return ++w->n_scores == 1;
  const sx *cond = inverse ? NULL : masked(e);
  if (cond) return takes_mask(w, cond) && (e->op != OP_where || is_linear(w, e->in[1], false));
  if (term_has_dot(x, e) || !is_column(x, e)) return false;
  if (term_depends(x, e)) w->columns = term_product(x, w->columns, (term){e, inverse});
  return true;
}

// -- all of it --

bool match_plain(matcher *x, const sx *weights) {
  attention *o = x->out;
  terms f = {.n = 0};
  o->kind = ATTENTION_plain;
  o->columns = o->rows = o->score = NULL;
  o->sum = NULL;
  o->empty_is_zero = false;
  o->n_facts = 0;
  term_factors(&f, weights, false);
  if (f.overflow) return false;
  for (uint32_t i = 0; i < f.n; i++) {
    const sx *e = f.at[i].e;
    if (!term_depends(x, e)) {
      if (!accepts_row(x, e, &f)) return false;
      o->rows = term_product(x, o->rows, f.at[i]);
    } else {
      if (!term_reads_only(x, e, NULL)) return false;
      o->score = term_product(x, o->score, f.at[i]);
    }
  }
  if (!o->score || !term_has_dot(x, o->score)) return false;
  if (x->c->after) {
    const ir_value *other = x->c->after->in[x->c->after->in[0] == &x->c->mix->out[0]], *before = o->sum;
    const sx *e = form_at(x->f, other, map_get_ptr(x->places, &x->c->mix->out[0]));
    if (!e || !accepts_row(x, e, &f)) return false;
    if (o->sum != before) o->with = x->c->after;
  }
  linear w = {x, 0, NULL};
  if (is_linear(&w, o->score, false) && w.n_scores == 1) {
    o->kind = ATTENTION_linear;
    o->columns = w.columns;
    return true;
  }
  o->n_facts = 0;
  facts(x, o->score);
  return true;
}
