// Index arithmetic of movement operators: what element of the operand stands at an element of the result, and back.
#include "passes/form.h"

const idx *index_flatten(ir_module *m, uint32_t rank, const idx *const *dim, const idx *const *at) {
  const idx *flat = idx_int(m->ix, 0);
  for (uint32_t i = 0; i < rank; i++) flat = idx_add(m->ix, idx_mul(m->ix, flat, dim[i]), at[i]);
  return flat;
}

// Splits a flat index over dims [0, rank) into one index a dim. The first takes what is left, without a remainder: it
// is in range.
static void unflatten(ir_module *m, const idx *flat, uint32_t rank, const idx *const *dim, const idx **out) {
  for (uint32_t i = rank; i-- > 0;) {
    if (i == 0) {
      out[i] = flat;
    } else {
      out[i] = idx_mod(m->ix, flat, dim[i]);
      flat = idx_floordiv(m->ix, flat, dim[i]);
    }
    if (idx_equals_int(dim[i], 1)) out[i] = idx_int(m->ix, 0);
  }
}

void index_reshape_block(ir_module *m, uint32_t from_rank, const idx *const *from, uint32_t *f, uint32_t to_rank,
                         const idx *const *to, uint32_t *t) {
  idx_ctx *c = m->ix;
  const idx *pf = idx_int(c, 1), *pt = idx_int(c, 1);
  if (*f < from_rank) pf = from[(*f)++];
  if (*t < to_rank) pt = to[(*t)++];
  // Grow the shorter side until both products agree. Sizes are compared by the pointers of their polynomials; when
  // constants tell which side is smaller that side grows, otherwise the side with fewer dims left behind does.
  while (pf != pt && (*f < from_rank || *t < to_rank)) {
    bool grow_from = *f < from_rank && (*t >= to_rank || idx_nonneg(c, idx_sub(c, pt, pf)) == TRI_yes);
    if (grow_from) pf = idx_mul(c, pf, from[(*f)++]);
    else if (*t < to_rank) pt = idx_mul(c, pt, to[(*t)++]);
    else pf = idx_mul(c, pf, from[(*f)++]);
  }
  while (*f < from_rank && idx_equals_int(from[*f], 1)) (*f)++;
  while (*t < to_rank && idx_equals_int(to[*t], 1)) (*t)++;
}

void index_reshape(ir_module *m, uint32_t from_rank, const idx *const *from, const idx *const *at, uint32_t to_rank,
                   const idx *const *to, const idx **out) {
  uint32_t f = 0, t = 0;
  while (f < from_rank || t < to_rank) {
    uint32_t f0 = f, t0 = t;
    index_reshape_block(m, from_rank, from, &f, to_rank, to, &t);
    if (f - f0 == 1 && t - t0 == 1) out[t0] = at[f0];
    else unflatten(m, index_flatten(m, f - f0, from + f0, at + f0), t - t0, to + t0, out + t0);
  }
}

bool index_through(ir_module *m, const ir_node *n, const idx *const *at, const idx **operand_at) {
  idx_ctx *c = m->ix;
  ir_type in = n->in[0]->type, out = n->out[0].type;
  const int64_t *axes;
  size_t n_axes;
  switch ((int)n->op) {
  case OP_reshape: index_reshape(m, out.rank, out.dim, at, in.rank, in.dim, operand_at); return true;
  case OP_transpose:
    n_axes = ir_attr_ints(n, "perm", &axes);
    for (size_t i = 0; i < n_axes; i++) operand_at[axes[i]] = at[i];
    return true;
  case OP_broadcast:
    for (uint32_t i = 0; i < in.rank; i++) {
      uint32_t o = out.rank - in.rank + i;
      operand_at[i] = idx_equals_int(in.dim[i], 1) ? idx_int(c, 0) : at[o];
    }
    return true;
  case OP_slice: {
    if (n->n_in > 1) return false;
    uint32_t axis = (uint32_t)ir_attr_int(n, "axis", 0);
    const idx *lo = ir_attr_idx(m, n, "lo", idx_int(c, 0));
    for (uint32_t i = 0; i < in.rank; i++) operand_at[i] = at[i];
    operand_at[axis] = idx_add(c, lo, idx_scale(c, at[axis], ir_attr_int(n, "step", 1)));
    return true;
  }
  case OP_reverse:
    for (uint32_t i = 0; i < in.rank; i++) operand_at[i] = at[i];
    n_axes = ir_attr_ints(n, "axes", &axes);
    for (size_t i = 0; i < n_axes; i++) operand_at[axes[i]] = idx_sub(c, idx_addi(c, in.dim[axes[i]], -1), at[axes[i]]);
    return true;
  case OP_window: {
    idx_binding labels[IR_MAX_RANK];
    const ir_map *w = ir_map_of(m, n);
    for (uint32_t i = 0; w && i < w->out_rank; i++) labels[i] = (idx_binding){w->labels[w->out_label[i]].symbol, at[i]};
    for (uint32_t i = 0; w && i < in.rank; i++) {
      const ir_axis *axis = &w->operand[0].axes[i];
      if (axis->may_miss || axis->exact_div != 1) return false;
      operand_at[i] = idx_subst(c, axis->at, w->out_rank, labels);
    }
    return w != NULL;
  }
  default: return false;
  }
}

bool index_forward(ir_module *m, const ir_node *n, const idx *const *at, const idx **result_at) {
  if (n->op != OP_reshape && n->op != OP_transpose) return false; // it may have no result
  ir_type in = n->in[0]->type, out = n->out[0].type;
  if (n->op == OP_reshape) {
    index_reshape(m, in.rank, in.dim, at, out.rank, out.dim, result_at);
    return true;
  }
  const int64_t *perm;
  size_t rank = ir_attr_ints(n, "perm", &perm);
  for (size_t i = 0; i < rank; i++) result_at[i] = at[perm[i]];
  return true;
}

bool index_stored(ir_module *m, const ir_node *n, const idx *const *at, const idx **result_at) {
  const idx *const *lo;
  if (n->op != OP_pad) return index_forward(m, n, at, result_at);
  size_t rank = ir_attr_idxs(m, n, "lo", &lo);
  for (size_t i = 0; i < rank; i++) result_at[i] = idx_add(m->ix, at[i], lo[i]);
  return true;
}
