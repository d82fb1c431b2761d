// The matcher of attention: see attention.h. The two contractions and their operands here; the weights between them in
// attention_softmax.c and attention_plain.c.
#include "passes/attention_terms.h"
#include <string.h>

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
  bool in[2] = {term_mentions(x, side[0], o->key), term_mentions(x, side[1], o->key)};
  if (in[0] == in[1]) return match_fails(why, "both operands of the scores, or none, run over the keys");
  o->q = side[in[0]];
  o->k = side[!in[0]];
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
  const char *unsaid = NULL, **reason = c->has_exp ? why : &unsaid; // else nothing says that a softmax is meant
  bool ok = false;
  for (uint32_t o = 0; o < 2 && !ok; o++) { // which operand holds the weights?
    const sx *weights = operand(&x, c->mix, o, labels, at);
    if (!weights || !term_has_dot(&x, weights)) continue;
    out->v = operand(&x, c->mix, 1 - o, labels, at);
    ok = out->v && !term_has_dot(&x, out->v) && find_operands(&x, reason) &&
         ((c->has_exp && match_softmax(&x, weights, why)) || match_plain(&x, weights));
  }
  form_check_acc(f, NULL, NULL);
  return ok;
}
