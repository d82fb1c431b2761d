// Chains of contractions in the cheaper order: (A·B)·C becomes A·(B·C) or (A·C)·B where that is proved to take fewer
// multiplications for every value of the dims (the matrix chain problem, Godbole 1973, for general labels, a pair at a
// time). What weights alone make costs nothing, since it is computed once.
//
// Rounding changes, as in any sum taken in another order; `--explain` lists each. Elementwise operators end a chain, so
// no softmax is ever crossed. Where the sizes leave it open which order is cheaper, the chain stays as it is written,
// unless it has the form of attention: that kernel has both orders and picks one when it runs (attention_linear.c),
// so chains of that form are left to it.
#include "passes/attention.h"
#include "passes/fixed.h"
#include "passes/pass.h"

enum { MAX_LABELS = 24, LEAVES = 3 };

typedef struct leaf {
  ir_value *value;
  uint32_t rank, label[IR_MAX_RANK];
  uint32_t labels; // bit set
  bool fixed;      // depends on weights alone
} leaf;

typedef struct chain {
  ir_module *m;
  uint32_t n_labels;
  const idx *extent[MAX_LABELS];
  leaf leaf[LEAVES]; // (0 · 1) · 2 as it is written
  uint32_t out_rank, out_label[IR_MAX_RANK], out;
} chain;

typedef struct reassociation {
  pass_context *c;
  ir_module *m;
  map *uses;  // old ir_value * -> times it is read
  map *fixed; // of new values: see fixed.h
} reassociation;

// -- reading a chain --

// Operand o of a contraction as a leaf, its labels renamed; false where an axis is more than a label.
static bool read_leaf(leaf *out, const ir_map *labels, uint32_t o, ir_value *v, const uint32_t *rename) {
  *out = (leaf){.value = v, .rank = labels->operand[o].rank};
  for (uint32_t i = 0; i < out->rank; i++) {
    const ir_axis *axis = &labels->operand[o].axes[i];
    const sym *s = idx_is_symbol(axis->at);
    if (!s || axis->may_miss || axis->exact_div != 1) return false;
    uint32_t l = 0;
    while (labels->labels[l].symbol != s) l++;
    out->label[i] = rename[l];
    if (out->labels & 1u << rename[l]) return false; // a diagonal
    out->labels |= 1u << rename[l];
  }
  return true;
}

// n reads the result of `inner` as operand o.
static bool read_chain(chain *x, const ir_node *n, const ir_node *inner, uint32_t o, ir_value *other) {
  const ir_map *a = ir_map_of(x->m, inner), *b = ir_map_of(x->m, n);
  if (!a || !b || a->n_labels + b->n_labels > MAX_LABELS) return false;
  uint32_t of_n[MAX_LABELS], of_inner[MAX_LABELS];
  for (uint32_t l = 0; l < b->n_labels; l++) {
    of_n[l] = x->n_labels;
    x->extent[x->n_labels++] = b->labels[l].extent;
  }
  leaf middle;
  if (!read_leaf(&middle, b, o, NULL, of_n)) return false;
  for (uint32_t l = 0; l < a->n_labels; l++) {
    of_inner[l] = x->n_labels;
    for (uint32_t i = 0; i < a->out_rank; i++)
      if (a->out_label[i] == l) of_inner[l] = middle.label[i];
    if (of_inner[l] == x->n_labels) x->extent[x->n_labels++] = a->labels[l].extent;
  }
  x->out_rank = b->out_rank;
  for (uint32_t i = 0; i < b->out_rank; i++) {
    x->out_label[i] = of_n[b->out_label[i]];
    x->out |= 1u << x->out_label[i];
  }
  return read_leaf(&x->leaf[0], a, 0, inner->in[0], of_inner) && read_leaf(&x->leaf[1], a, 1, inner->in[1], of_inner) &&
         read_leaf(&x->leaf[2], b, 1 - o, other, of_n);
}

// -- costs --

static const idx *extents(const chain *x, uint32_t labels) {
  const idx *n = idx_int(x->m->ix, 1);
  for (uint32_t l = 0; l < x->n_labels; l++)
    if (labels & 1u << l) n = idx_mul(x->m->ix, n, x->extent[l]);
  return n;
}

// Labels that the product of two leaves keeps.
static uint32_t kept(const chain *x, uint32_t i, uint32_t k) {
  return (x->leaf[i].labels | x->leaf[k].labels) & (x->out | x->leaf[LEAVES - i - k].labels);
}

// Multiplications of (i · k) · the third.
static const idx *cost(const chain *x, uint32_t i, uint32_t k) {
  const leaf *a = &x->leaf[i], *b = &x->leaf[k];
  const idx *inner = a->fixed && b->fixed ? idx_int(x->m->ix, 0) : extents(x, a->labels | b->labels);
  return idx_add(x->m->ix, inner, extents(x, kept(x, i, k) | x->leaf[LEAVES - i - k].labels));
}

static bool is_short(const chain *x, uint32_t labels) {
  int64_t n;
  return idx_is_const(extents(x, labels), &n) && n <= ATTENTION_MAX_WIDTH;
}

// Scores times values, all of them computed: with rows, columns and a depth that the attention kernel has room for.
static bool is_attention(const chain *x) {
  const leaf *c = &x->leaf[2];
  if (x->leaf[0].fixed || x->leaf[1].fixed || c->fixed) return false;
  uint32_t dot = x->leaf[0].labels | x->leaf[1].labels, depth = dot & ~x->out & ~c->labels;
  uint32_t columns = c->labels & x->out & ~dot;
  return depth && columns && is_short(x, depth) && is_short(x, columns);
}

// -- writing one --

static void write_labels(strbuf *b, uint32_t rank, const uint32_t *label) {
  for (uint32_t i = 0; i < rank; i++) sb_fmt(b, i ? " l%u" : "l%u", label[i]);
}

static leaf product(const chain *x, ir_builder *b, const leaf *p, const leaf *q, uint32_t rank, const uint32_t *label) {
  strbuf text;
  sb_init(&text, x->m->a);
  write_labels(&text, p->rank, p->label);
  sb_z(&text, ", ");
  write_labels(&text, q->rank, q->label);
  sb_z(&text, " -> ");
  write_labels(&text, rank, label);
  leaf out = {.value = ir_contract(b, p->value, q->value, sb_cstr(&text)), .rank = rank};
  for (uint32_t i = 0; i < rank; i++) out.label[i] = label[i];
  return out;
}

// (i · k) · the third, or NULL where the inner product has too many axes.
static ir_value *rewrite(const chain *x, ir_builder *b, uint32_t i, uint32_t k) {
  uint32_t rank = 0, label[MAX_LABELS], labels = kept(x, i, k);
  for (uint32_t l = 0; l < x->n_labels; l++)
    if (labels & 1u << l) label[rank++] = l;
  if (rank > IR_MAX_RANK) return NULL;
  leaf inner = product(x, b, &x->leaf[i], &x->leaf[k], rank, label);
  if (!inner.value) return NULL;
  const leaf *third = &x->leaf[LEAVES - i - k];
  bool first = i == 0; // operands stay in the order they are written in
  return product(x, b, first ? &inner : third, first ? third : &inner, x->out_rank, x->out_label).value;
}

// -- the pass --

static uintptr_t uses(const reassociation *r, const ir_value *v) { return (uintptr_t)map_get_ptr(r->uses, v); }

static void count_uses(reassociation *r, const ir_region *region) {
  for (const ir_node *n = region->first; n; n = n->next) {
    for (uint32_t i = 0; i < n->n_in; i++) map_put_ptr(r->uses, n->in[i], (void *)(uses(r, n->in[i]) + 1));
    for (uint32_t i = 0; i < n->n_regions; i++) count_uses(r, n->regions[i]);
  }
  for (uint32_t i = 0; i < region->n_yields; i++)
    map_put_ptr(r->uses, region->yields[i], (void *)(uses(r, region->yields[i]) + 1));
}

static ir_value *cheaper(reassociation *r, ir_builder *b, const ir_node *n, uint32_t o, map *values) {
  if (uses(r, n->in[o]) != 1) return NULL;
  const ir_value *v = map_get_ptr(values, n->in[o]);
  const ir_node *inner = v->def;
  dtype dt = n->out[0].type.dt;
  if (!inner || inner->op != OP_contract || (dt != DT_f32 && dt != DT_f64)) return NULL;
  chain x = {.m = r->m};
  if (!read_chain(&x, n, inner, o, map_get_ptr(values, n->in[1 - o]))) return NULL;
  for (uint32_t i = 0; i < LEAVES; i++) x.leaf[i].fixed = value_is_fixed(r->fixed, x.leaf[i].value);
  if (is_attention(&x)) return NULL;
  const idx *best = cost(&x, 0, 1);
  uint32_t first = 0, second = 1;
  static const uint32_t pairs[2][2] = {{1, 2}, {0, 2}};
  for (uint32_t p = 0; p < 2; p++) {
    if (!(x.leaf[pairs[p][0]].labels & x.leaf[pairs[p][1]].labels)) continue; // an outer product
    const idx *other = cost(&x, pairs[p][0], pairs[p][1]), *gain = idx_sub(r->m->ix, best, other);
    if (idx_nonneg(r->m->ix, idx_addi(r->m->ix, gain, -1)) == TRI_yes)
      best = other, first = pairs[p][0], second = pairs[p][1];
  }
  return second == 1 ? NULL : rewrite(&x, b, first, second);
}

static bool reassociate(void *user, ir_builder *b, const ir_node *n, map *values) {
  reassociation *r = user;
  if (n->op != OP_contract) return false;
  ir_value *v = cheaper(r, b, n, 0, values);
  if (!v) v = cheaper(r, b, n, 1, values);
  if (!v) return false;
  if (r->c->explain) sb_fmt(r->c->explain, "reassociate: %s\n", ir_attr_str(n, "map", ""));
  map_put_ptr(values, &n->out[0], v);
  return true;
}

bool pass_reassociate(pass_context *c, ir_module *m) {
  for (size_t g = 0; g < m->graphs.n; g++) {
    reassociation r = {c, m, map_new(c->a), map_new(c->a)};
    count_uses(&r, m->graphs.at[g]->body);
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], reassociate, &r));
  }
  return true;
}
