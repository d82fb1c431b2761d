// Convolutions and pools as what the schedules know: contractions and reductions whose reads never fall outside.
//
//   padding            x is padded, in memory; its axes then never miss
//   layout             channels last, for operand and result (layout.h): a register tile is then positions by channels,
//                      and the weights' packed panels are those of a matrix product, for every kernel, stride, dilation
//   transposed         oy + p = s·q + t, so ky = s·j + t: each of the s phases t is an ordinary convolution by the taps
//                      j, and together they are one with s times the channels, whose result is interleaved
//   windowed reduction a reduction over axes of a `window`, which is movement
//
// No matrix of windows (im2col) ever lies in memory: the index form sees through, and addresses stay affine.
//
// Rejected: blocked layouts (nChw8c), whose channels would have to divide by the block, or be padded everywhere; direct
// convolution with positions as columns, which wastes lanes at 14 or 7 columns and gathers at a stride; masks in the
// inner loop, which cost a third (kernel-ir.md).
#include "passes/fixed.h"
#include "passes/layout.h"
#include "passes/pass.h"
#include <string.h>

typedef struct phase { // of a division: q, t stand for a label y of the result
  uint32_t y, q, t;
  const idx *skip, *size; // the result is elements skip.. of q·s + t
} phase;

typedef struct windows {
  layout *l;
  ir_builder *b;
  axis_map x;
  uint32_t o; // the operand that is read through windows
  uint32_t n_phases;
  phase phase[IR_MAX_RANK];
} windows;

// More than a label, and not only other axes folded into one: it may miss, or slides.
static bool is_window(const axis_map *x, const ir_axis *a) {
  if (axis_map_label(x, a) >= 0) return false;
  return a->may_miss || a->exact_div != 1 || ir_axis_slides(x->n_labels, x->label, a);
}

static bool has_window(const axis_map *x, uint32_t o) {
  bool any = false;
  for (uint32_t i = 0; i < x->operand[o].rank; i++) any = any || is_window(x, &x->operand[o].axis[i]);
  return any;
}

// A convolution without a window: one label of operand o, not its last, is multiplied away, and weights put another one
// in its place.
static bool is_pointwise(const windows *w, uint32_t o) {
  const axis_map *x = &w->x;
  uint32_t rank = x->operand[o].rank, changed = 0;
  if (rank < 3 || x->out_rank != rank || x->operand[1 - o].rank != 2 ||
      !value_is_fixed(w->l->fixed, x->operand[1 - o].v))
    return false;
  for (uint32_t i = 0; i < rank; i++) {
    int label = axis_map_label(x, &x->operand[o].axis[i]);
    if (label < 0) return false;
    if ((uint32_t)label == x->out[i]) continue;
    changed++;
    if (x->label[label].in_out || i + 1 == rank || axis_map_mentions(x, o, x->out[i])) return false;
  }
  return changed == 1;
}

// -- padding --

// The least and the largest value of an axis.
static void axis_range(const axis_map *x, const ir_axis *a, const idx **lo, const idx **hi) {
  const idx *coef, *rest;
  int64_t k;
  *lo = *hi = a->at;
  for (uint32_t i = 0; i < x->n_labels; i++) {
    idx_linear(x->m->ix, a->at, x->label[i].symbol, &coef, &rest);
    if (!idx_is_const(coef, &k) || k == 0) continue;
    const idx *last = idx_addi(x->m->ix, x->label[i].extent, -1), *zero = idx_int(x->m->ix, 0);
    *lo = idx_subst1(x->m->ix, *lo, x->label[i].symbol, k < 0 ? last : zero);
    *hi = idx_subst1(x->m->ix, *hi, x->label[i].symbol, k < 0 ? zero : last);
  }
}

static const idx *positive(idx_ctx *c, const idx *e) { return idx_max(c, e, idx_int(c, 0)); }

// Pads operand o so that no read misses.
static bool pad_windows(windows *w, uint32_t o, scalar outside) {
  axis_map *x = &w->x;
  idx_ctx *c = x->m->ix;
  const idx *lo[IR_MAX_RANK], *hi[IR_MAX_RANK], *least, *most;
  bool any = false;
  for (uint32_t i = 0; i < x->operand[o].rank; i++) {
    ir_axis *a = &x->operand[o].axis[i];
    lo[i] = hi[i] = idx_int(c, 0);
    if (axis_map_label(x, a) >= 0 || !a->may_miss) continue;
    axis_range(x, a, &least, &most);
    lo[i] = positive(c, idx_scale(c, least, -1));
    hi[i] = positive(c, idx_addi(c, idx_sub(c, most, x->operand[o].v->type.dim[i]), 1));
    a->at = idx_add(c, a->at, lo[i]);
    a->may_miss = false;
    any = any || !idx_equals_int(lo[i], 0) || !idx_equals_int(hi[i], 0);
  }
  if (any) x->operand[o].v = ir_pad(w->b, x->operand[o].v, lo, hi, outside);
  return x->operand[o].v != NULL;
}

// -- transposed convolutions --

// The axis of the kernel that a label is, -1 if it stands elsewhere too.
static int kernel_axis(const windows *w, uint32_t label) {
  uint32_t k = 1 - w->o;
  int found = -1;
  for (uint32_t i = 0; i < w->x.operand[k].rank; i++) {
    if (!idx_mentions(w->x.operand[k].axis[i].at, w->x.label[label].symbol)) continue;
    if (found >= 0 || axis_map_label(&w->x, &w->x.operand[k].axis[i]) != (int)label) return -1;
    found = (int)i;
  }
  return found;
}

// (y + p - ky)/s: y of the result becomes q and t, ky becomes j and t. false: another form of division.
static bool split_division(windows *w, uint32_t i) {
  axis_map *x = &w->x;
  idx_ctx *c = x->m->ix;
  ir_axis *a = &x->operand[w->o].axis[i];
  const idx *coef, *rest = a->at;
  int64_t p, k, s = a->exact_div;
  int y = -1, ky = -1;
  for (uint32_t l = 0; l < x->n_labels; l++) {
    idx_linear(c, rest, x->label[l].symbol, &coef, &rest);
    if (!idx_is_const(coef, &k) || k == 0) continue;
    if (k == 1 && x->label[l].in_out && y < 0) y = (int)l;
    else if (k == -1 && !x->label[l].in_out && ky < 0) ky = (int)l;
    else return false;
  }
  int axis = ky < 0 ? -1 : kernel_axis(w, (uint32_t)ky);
  if (y < 0 || axis < 0 || !idx_is_const(rest, &p) || p < 0 || axis_map_mentions(x, 1 - w->o, (uint32_t)y))
    return false;
  uint32_t q, t, j, kernel = 1 - w->o, rank = x->operand[kernel].rank;
  int64_t q0 = p / s;
  const idx *size = x->label[y].extent, *taps = idx_ceildiv(c, x->label[ky].extent, s);
  const idx *steps = idx_addi(c, idx_floordiv(c, idx_addi(c, size, p - 1), idx_int(c, s)), 1 - q0);
  if (rank == IR_MAX_RANK || !axis_map_add(x, (uint32_t)y, steps, &q) ||
      !axis_map_add(x, (uint32_t)y, idx_int(c, s), &t) || !axis_map_add(x, (uint32_t)ky, taps, &j))
    return false;
  x->label[q].in_out = x->label[t].in_out = true;
  a->at = idx_addi(c, idx_sub(c, idx_of(c, x->label[q].symbol), idx_of(c, x->label[j].symbol)), q0);
  a->exact_div = 1;
  a->may_miss = true;
  // the kernel's axis: padded to whole phases, then taps by phases
  const idx *lo[IR_MAX_RANK], *hi[IR_MAX_RANK], *dim[IR_MAX_RANK + 1];
  ir_axis *of = x->operand[kernel].axis;
  ir_value *v = x->operand[kernel].v;
  for (uint32_t r = 0; r < rank; r++) lo[r] = hi[r] = idx_int(c, 0);
  hi[axis] = idx_sub(c, idx_scale(c, taps, s), x->label[ky].extent);
  if (!idx_equals_int(hi[axis], 0)) v = ir_pad(w->b, v, lo, hi, scalar_cast(scalar_i(DT_i64, 0), v->type.dt));
  if (!v) return false;
  for (uint32_t r = 0, k2 = 0; r < rank; r++) {
    dim[k2++] = (int)r == axis ? taps : v->type.dim[r];
    if ((int)r == axis) dim[k2++] = idx_int(c, s);
  }
  memmove(of + axis + 2, of + axis + 1, (rank - (uint32_t)axis - 1) * sizeof *of);
  of[axis] = (ir_axis){.at = idx_of(c, x->label[j].symbol), .exact_div = 1};
  of[axis + 1] = (ir_axis){.at = idx_of(c, x->label[t].symbol), .exact_div = 1};
  x->operand[kernel].v = ir_reshape(w->b, v, rank + 1, dim);
  x->operand[kernel].rank = rank + 1;
  w->phase[w->n_phases++] = (phase){(uint32_t)y, q, t, idx_int(c, p % s), size};
  return x->operand[kernel].v != NULL;
}

// Puts q and t back together as y, which is axis i of the result with t behind it.
static ir_value *interleave(windows *w, ir_value *v, uint32_t i, const phase *p) {
  const idx *dim[IR_MAX_RANK];
  uint32_t n = 0;
  for (uint32_t k = 0; k < v->type.rank; k++) {
    if (k == i + 1) dim[n - 1] = idx_mul(w->x.m->ix, dim[n - 1], v->type.dim[k]);
    else dim[n++] = v->type.dim[k];
  }
  v = ir_reshape(w->b, v, n, dim);
  if (!v || (v->type.dim[i] == p->size && idx_equals_int(p->skip, 0))) return v;
  return ir_slice(w->b, v, i, p->skip, p->size, 1);
}

// -- layout --

// Orders the windowed operand: its own labels, the windows, and at last what it shares with the kernel. Without a
// kernel, its last label of its own is the channel.
static void channels_last(windows *w) {
  axis_map *x = &w->x;
  uint32_t rank = x->operand[w->o].rank, n = 0;
  bool is_channel[IR_MAX_RANK] = {false};
  int64_t perm[IR_MAX_RANK];
  int own = -1;
  for (uint32_t i = 0; i < rank; i++) {
    int label = axis_map_label(x, &x->operand[w->o].axis[i]);
    if (label < 0) continue;
    own = (int)i;
    is_channel[i] = x->n_operands > 1 && axis_map_mentions(x, 1 - w->o, (uint32_t)label);
  }
  if (x->n_operands == 1 && own >= 0) is_channel[own] = true;
  for (uint32_t pass = 0; pass < 3; pass++)
    for (uint32_t i = 0; i < rank; i++) {
      bool window = axis_map_label(x, &x->operand[w->o].axis[i]) < 0;
      if ((window ? 1 : is_channel[i] ? 2 : 0) == pass) perm[n++] = i;
    }
  axis_map_permute(x, w->o, layout_permute(w->b, x->operand[w->o].v, perm), perm);
}

static const phase *phase_of(const windows *w, uint32_t y) {
  for (uint32_t i = 0; i < w->n_phases; i++)
    if (w->phase[i].y == y) return &w->phase[i];
  return NULL;
}

// Is a label of the result one of the windowed operand's, at its axis?
static bool stands_at(const windows *w, uint32_t axis, uint32_t label) {
  const phase *p = phase_of(w, label);
  return idx_mentions(w->x.operand[w->o].axis[axis].at, w->x.label[p ? p->q : label].symbol);
}

// The result's labels in the order of the windowed operand, those of the kernel at last; perm: where each one of the
// graph's order is.
static bool order_result(windows *w, int64_t *perm) {
  axis_map *x = &w->x;
  uint32_t n = 0, order[IR_MAX_RANK];
  bool placed[IR_MAX_RANK] = {false};
  for (uint32_t axis = 0; axis <= x->operand[w->o].rank; axis++)
    for (uint32_t i = 0; i < x->out_rank; i++) {
      bool shared = x->n_operands > 1 && axis_map_mentions(x, 1 - w->o, x->out[i]);
      bool here = axis < x->operand[w->o].rank ? !shared && stands_at(w, axis, x->out[i]) : true;
      if (placed[i] || !here) continue;
      placed[i] = true;
      perm[i] = n;
      order[n++] = x->out[i];
    }
  if (n + w->n_phases > IR_MAX_RANK) return false;
  x->out_rank = 0;
  for (uint32_t i = 0; i < n; i++) {
    const phase *p = phase_of(w, order[i]);
    x->out[x->out_rank++] = p ? p->q : order[i];
    if (p) x->out[x->out_rank++] = p->t;
  }
  return true;
}

// -- the pass --

static ir_value *plain_contraction(windows *w) {
  axis_map *x = &w->x;
  scalar zero = scalar_cast(scalar_i(DT_i64, 0), x->operand[0].v->type.dt);
  int64_t perm[IR_MAX_RANK];
  for (uint32_t i = 0; i < x->operand[w->o].rank; i++)
    if (x->operand[w->o].axis[i].exact_div != 1 && !split_division(w, i)) return NULL;
  channels_last(w);
  if (!pad_windows(w, w->o, zero) || (has_window(x, 1 - w->o) && !pad_windows(w, 1 - w->o, zero))) return NULL;
  uint32_t out[IR_MAX_RANK], n = x->out_rank;
  memcpy(out, x->out, n * sizeof *out);
  if (!order_result(w, perm)) return NULL;
  ir_value *y = ir_contract(w->b, x->operand[0].v, x->operand[1].v, axis_map_text(x));
  for (uint32_t i = 0; y && i < n; i++)
    for (uint32_t k = 0; y && k < n; k++)
      if (perm[k] == (int64_t)i && phase_of(w, out[k])) y = interleave(w, y, i, phase_of(w, out[k]));
  return y ? layout_image(w->l, w->b, y, perm) : NULL;
}

static ir_value *plain_reduction(windows *w, const ir_node *n) {
  axis_map *x = &w->x;
  ir_module *m = x->m;
  int64_t perm[IR_MAX_RANK], axes[IR_MAX_RANK];
  size_t n_axes = 0;
  for (uint32_t i = 0; i < x->operand[0].rank; i++)
    if (x->operand[0].axis[i].exact_div != 1) return NULL;
  channels_last(w);
  if (!pad_windows(w, 0, ir_attr_scalar(n, "else", n->in[0]->type.dt, 0)) || !order_result(w, perm)) return NULL;
  uint32_t kept = x->out_rank;
  for (uint32_t i = 0; i < x->n_labels; i++) {
    if (x->label[i].in_out) continue;
    if (x->out_rank == IR_MAX_RANK) return NULL;
    axes[n_axes++] = x->out_rank;
    x->out[x->out_rank++] = i;
    x->label[i].in_out = true;
  }
  ir_attr attr = attr_str(m, "map", axis_map_text(x));
  ir_node *seen = ir_build(w->b, OP_window, 1, &x->operand[0].v, 1, &attr, 0, NULL, 0, NULL);
  ir_value *y = seen ? ir_reduce(w->b, n->op, &seen->out[0], n_axes, axes) : NULL;
  return y && kept == y->type.rank ? layout_image(w->l, w->b, y, perm) : NULL;
}

// A window as a value stays one, and never misses.
static ir_value *plain_window(windows *w) {
  axis_map *x = &w->x;
  bool misses = false;
  for (uint32_t i = 0; i < x->operand[0].rank; i++) {
    if (x->operand[0].axis[i].exact_div != 1) return NULL;
    misses = misses || x->operand[0].axis[i].may_miss;
  }
  if (!misses || !pad_windows(w, 0, scalar_cast(scalar_i(DT_i64, 0), x->operand[0].v->type.dt))) return NULL;
  ir_attr attr = attr_str(x->m, "map", axis_map_text(x));
  ir_node *n = ir_build(w->b, OP_window, 1, &x->operand[0].v, 1, &attr, 0, NULL, 0, NULL);
  return n ? &n->out[0] : NULL;
}

static bool rewrite(void *user, ir_builder *b, const ir_node *n, map *values) {
  layout *l = user;
  windows w = {.l = l, .b = b};
  ir_value **in = ARENA_ARRAY(l->m->a, ir_value *, n->n_in + 1);
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = map_get_ptr(values, n->in[i]);
  bool by_map =
      n->op == OP_contract || n->op == OP_window || (op_get(n->op)->cls == OPC_reduce && ir_attr_find(n, "map"));
  ir_value *y = NULL;
  if (by_map && axis_map_read(&w.x, l->m, n, in)) {
    w.o = n->n_in > 1 && !has_window(&w.x, 0) && (has_window(&w.x, 1) || !is_pointwise(&w, 0));
    if (n->op == OP_window) y = plain_window(&w);
    else if (n->op != OP_contract) y = plain_reduction(&w, n);
    else if (has_window(&w.x, w.o) || is_pointwise(&w, w.o)) y = plain_contraction(&w);
  }
  if (y) map_put_ptr(values, &n->out[0], y);
  return y || layout_sink(l, b, n, in, values);
}

bool pass_windows(pass_context *c, ir_module *m) {
  for (size_t g = 0; g < m->graphs.n; g++) {
    layout l = {m, map_new(c->a), map_new(c->a)};
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], rewrite, &l));
  }
  return true;
}
