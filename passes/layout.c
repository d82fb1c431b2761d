// Transpositions sink below operators: see layout.h. Written as rules, one an operator class: given operands in the
// order of their memory, the operator's attributes in that order, and the order of its result.
#include "passes/layout.h"
#include "passes/fixed.h"
#include "passes/form.h"
#include <string.h>

typedef struct sinking { // one operator, the first image among its operands, and that image's order
  layout *l;
  ir_builder *b;
  const ir_node *n;
  ir_value *const *in;
  ir_value *u;
  uint32_t rank;
  int64_t perm[IR_MAX_RANK], inverse[IR_MAX_RANK]; // of the graph's axes in memory; and back
} sinking;

ir_value *layout_permute(ir_builder *b, ir_value *v, const int64_t *perm) {
  int64_t both[IR_MAX_RANK];
  const int64_t *inner;
  scalar s;
  if (v && ir_is_splat(v, &s)) {
    const idx *dim[IR_MAX_RANK];
    for (uint32_t i = 0; i < v->type.rank; i++) dim[i] = v->type.dim[perm[i]];
    return ir_const_scalar(b, s, v->type.rank, dim);
  }
  if (!v || !v->def || v->def->op != OP_transpose) return ir_transpose(b, v, perm);
  ir_attr_ints(v->def, "perm", &inner);
  for (uint32_t i = 0; i < v->type.rank; i++) both[i] = inner[perm[i]];
  return ir_transpose(b, v->def->in[0], both);
}

ir_value *layout_image(layout *l, ir_builder *b, ir_value *u, const int64_t *perm) {
  ir_value *v = layout_permute(b, u, perm);
  if (v && v != u) map_put_ptr(l->images, v, v);
  return v;
}

static bool is_image(const layout *l, const ir_value *v) { return map_get_ptr(l->images, v) != NULL; }

// A part of the channels that is so short that lanes would lie idle: groups of a group norm. Vectors then run over all
// channels.
enum { SHORT_PART = 64 };

static bool is_short(const idx *extent) {
  int64_t n;
  return idx_is_const(extent, &n) && n > 1 && n <= SHORT_PART;
}

// What is one for all of such a part is repeated for each channel, in memory (fuse_group.c pins a broadcast that
// another one reads), so that it is read as all else is.
static ir_value *for_each_channel(const sinking *s, ir_value *v) {
  ir_value *m = v->def && v->def->op == OP_broadcast ? v->def->in[0] : NULL;
  int64_t axis = s->inverse[s->rank - 1];
  if (!m || value_is_fixed(s->l->fixed, m) || !is_short(v->type.dim[axis])) return v;
  int64_t own = axis - (int64_t)(v->type.rank - m->type.rank);
  if (own < 0 || !idx_equals_int(m->type.dim[own], 1)) return v;
  const idx *dim[IR_MAX_RANK];
  for (uint32_t i = 0; i < m->type.rank; i++) dim[i] = i == own ? v->type.dim[axis] : m->type.dim[i];
  return ir_broadcast(s->b, ir_broadcast(s->b, m, m->type.rank, dim), v->type.rank, v->type.dim);
}

// Another operand of the same axes, in the order of the image's memory.
static ir_value *in_memory_order(const sinking *s, ir_value *v) {
  return layout_permute(s->b, for_each_channel(s, v), s->inverse);
}

static ir_value *built(const sinking *s, uint32_t n_in, ir_value *const *in, uint32_t n_attrs, const ir_attr *attrs) {
  ir_node *n = ir_build(s->b, s->n->op, n_in, in, n_attrs, attrs, 0, NULL, 0, NULL);
  return n ? &n->out[0] : NULL;
}

// Operators of operands with equal axes: elementwise ones and concatenations.
static ir_value *sink_alike(const sinking *s, uint32_t n_attrs, const ir_attr *attrs) {
  ir_value **in = ARENA_ARRAY(s->l->m->a, ir_value *, s->n->n_in);
  for (uint32_t i = 0; i < s->n->n_in; i++) in[i] = in_memory_order(s, s->in[i]);
  return built(s, s->n->n_in, in, n_attrs, attrs);
}

static ir_value *sink_concat(const sinking *s) {
  ir_attr axis = attr_int(s->l->m, "axis", s->perm[ir_attr_int(s->n, "axis", 0)]);
  return sink_alike(s, 1, &axis);
}

static ir_value *sink_slice(const sinking *s) {
  ir_module *m = s->l->m;
  ir_attr attrs[8];
  for (uint32_t i = 0; i < s->n->n_attrs; i++) attrs[i] = s->n->attrs[i];
  for (uint32_t i = 0; i < s->n->n_attrs; i++)
    if (!strcmp(attrs[i].key, "axis")) attrs[i] = attr_int(m, "axis", s->perm[attrs[i].v.i]);
  ir_value *in[2] = {s->u, s->n->n_in > 1 ? s->in[1] : NULL};
  return built(s, s->n->n_in, in, s->n->n_attrs, attrs);
}

static ir_value *sink_pad(const sinking *s) {
  const idx *const *lo, *const *hi, *to_lo[IR_MAX_RANK], *to_hi[IR_MAX_RANK];
  ir_module *m = s->l->m;
  ir_attr_idxs(m, s->n, "lo", &lo);
  ir_attr_idxs(m, s->n, "hi", &hi);
  for (uint32_t i = 0; i < s->rank; i++) to_lo[s->perm[i]] = lo[i], to_hi[s->perm[i]] = hi[i];
  ir_attr attrs[] = {attr_idxs(m, "lo", s->rank, to_lo), attr_idxs(m, "hi", s->rank, to_hi),
                     *ir_attr_find(s->n, "value")};
  return built(s, 1, &s->u, 3, attrs);
}

static ir_value *sink_broadcast(const sinking *s) {
  const idx *dim[IR_MAX_RANK];
  if (s->n->out[0].type.rank != s->rank) return NULL;
  for (uint32_t i = 0; i < s->rank; i++) dim[s->perm[i]] = s->n->out[0].type.dim[i];
  return ir_broadcast(s->b, s->u, s->rank, dim);
}

// Axes go; the order of the others stays. Not for positions among several axes, which the order decides.
static ir_value *sink_reduction(const sinking *s, int64_t *perm) {
  const int64_t *axes;
  bool drops[IR_MAX_RANK] = {false};
  int64_t in_memory[IR_MAX_RANK];
  size_t n = ir_attr_ints(s->n, "axes", &axes), k = 0;
  if (n > 1 && (s->n->op == OP_argmax || s->n->op == OP_argmin)) return NULL;
  for (size_t i = 0; i < n; i++) drops[s->perm[axes[i]]] = true;
  for (uint32_t i = 0; i < s->rank; i++)
    if (drops[i]) in_memory[k++] = i;
  k = 0;
  for (uint32_t i = 0; i < s->rank; i++) {
    if (drops[s->perm[i]]) continue;
    perm[k] = 0;
    for (int64_t j = 0; j < s->perm[i]; j++) perm[k] += !drops[j];
    k++;
  }
  bool both = n > 1 && drops[s->rank - 1] && is_short(s->u->type.dim[s->rank - 1]); // positions, and a part of channels
  if (!both) return ir_reduce(s->b, s->n->op, s->u, n, in_memory);
  ir_value *of_channels = ir_reduce(s->b, s->n->op, s->u, n - 1, in_memory);
  int64_t last = of_channels ? (int64_t)of_channels->type.rank - 1 : 0;
  return of_channels ? ir_reduce(s->b, s->n->op, of_channels, 1, &last) : NULL;
}

// Dims that are split or joined must stand side by side in memory as well.
static ir_value *sink_reshape(const sinking *s, int64_t *perm) {
  ir_type from = s->n->in[0]->type, to = s->n->out[0].type;
  struct {
    uint32_t to, n;
  } at[IR_MAX_RANK] = {{0, 0}}; // what becomes of the axes that begin at an axis of memory
  uint32_t f = 0, t = 0;
  while (f < from.rank || t < to.rank) {
    uint32_t f0 = f, t0 = t;
    index_reshape_block(s->l->m, from.rank, from.dim, &f, to.rank, to.dim, &t);
    if (f == f0) return NULL;
    for (uint32_t i = f0 + 1; i < f; i++)
      if (s->perm[i] != s->perm[i - 1] + 1) return NULL;
    at[s->perm[f0]].to = t0, at[s->perm[f0]].n = t - t0;
  }
  const idx *dim[IR_MAX_RANK];
  uint32_t rank = 0;
  for (uint32_t i = 0; i < from.rank; i++)
    for (uint32_t k = 0; k < at[i].n; k++) {
      perm[at[i].to + k] = rank;
      dim[rank++] = to.dim[at[i].to + k];
    }
  return ir_reshape(s->b, s->u, rank, dim);
}

// Axes are named, so that images are read in the order of their memory. A product with weights along the last of them,
// a convolution without a window, gives an image.
static ir_value *sink_contract(const sinking *s, int64_t *perm) {
  axis_map x;
  if (!axis_map_read(&x, s->l->m, s->n, s->in)) return NULL;
  uint32_t images = 0, o = 0;
  for (uint32_t i = 0; i < 2; i++) {
    if (!is_image(s->l, s->in[i])) continue;
    const int64_t *order;
    int64_t inverse[IR_MAX_RANK];
    ir_attr_ints(s->in[i]->def, "perm", &order);
    for (uint32_t k = 0; k < s->in[i]->type.rank; k++) inverse[order[k]] = k;
    axis_map_permute(&x, i, s->in[i]->def->in[0], inverse);
    images++, o = i;
  }
  for (uint32_t i = 0; i < x.out_rank; i++) perm[i] = i;
  int last = axis_map_label(&x, &x.operand[o].axis[x.operand[o].rank - 1]);
  if (images == 1 && last >= 0 && !x.label[last].in_out && value_is_fixed(s->l->fixed, s->in[1 - o])) {
    uint32_t out[IR_MAX_RANK], n = 0, from[IR_MAX_RANK];
    for (uint32_t k = 0; k < x.operand[o].rank; k++) // its own labels in its order, then the weights'
      for (uint32_t i = 0; i < x.out_rank; i++)
        if (axis_map_label(&x, &x.operand[o].axis[k]) == (int)x.out[i] && !axis_map_mentions(&x, 1 - o, x.out[i]))
          from[n] = i, out[n++] = x.out[i];
    for (uint32_t i = 0; i < x.out_rank; i++)
      if (axis_map_mentions(&x, 1 - o, x.out[i])) from[n] = i, out[n++] = x.out[i];
    if (n == x.out_rank) {
      memcpy(x.out, out, n * sizeof *out);
      for (uint32_t k = 0; k < n; k++) perm[from[k]] = k;
    }
  }
  return ir_contract(s->b, x.operand[0].v, x.operand[1].v, axis_map_text(&x));
}

bool layout_sink(layout *l, ir_builder *b, const ir_node *n, ir_value *const *in, map *values) {
  uint32_t first = 0;
  while (first < n->n_in && !is_image(l, in[first])) first++;
  if (first == n->n_in || n->n_out != 1 || (first && n->op == OP_slice)) return false;
  sinking s = {.l = l, .b = b, .n = n, .in = in, .u = in[first]->def->in[0], .rank = in[first]->type.rank};
  const int64_t *perm;
  int64_t to[IR_MAX_RANK];
  ir_attr_ints(in[first]->def, "perm", &perm);
  for (uint32_t i = 0; i < s.rank; i++) s.perm[i] = to[i] = perm[i], s.inverse[perm[i]] = i;
  op_class cls = op_get(n->op)->cls;
  ir_value *y = NULL;
  if (op_is_elementwise(n->op)) y = sink_alike(&s, n->n_attrs, n->attrs);
  else if (cls == OPC_reduce && ir_attr_find(n, "axes")) y = sink_reduction(&s, to);
  else if (n->op == OP_contract) y = sink_contract(&s, to);
  else if (n->op == OP_concat) y = sink_concat(&s);
  else if (n->op == OP_slice) y = sink_slice(&s);
  else if (n->op == OP_pad) y = sink_pad(&s);
  else if (n->op == OP_broadcast) y = sink_broadcast(&s);
  else if (n->op == OP_reshape) y = sink_reshape(&s, to);
  else if (n->op == OP_transpose) {
    ir_attr_ints(n, "perm", &perm);
    y = layout_permute(b, in[0], perm);
    if (y && y->def && y->def->op == OP_transpose) map_put_ptr(l->images, y, y);
    map_put_ptr(values, &n->out[0], y);
    return y != NULL;
  }
  if (!y) return false;
  map_put_ptr(values, &n->out[0], layout_image(l, b, y, to));
  return true;
}
