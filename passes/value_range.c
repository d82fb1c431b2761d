// Bounds of the elements of an i32 value, by interval arithmetic over the graph: see value_range.h.
//
// Bounds are index polynomials over dims, so that `min(place, width - 1)` is known to lie inside of a row whatever the
// width. Indices that are clamped, or that an operator makes (argmax, topk), then need no check where they are used. An
// operator whose result might wrap has no bounds. Cost: a walk of at most WALK nodes.
#include "passes/value_range.h"

enum { WALK = 128 };

typedef struct range { // NULL: unknown
  const idx *lo, *hi;
} range;

typedef struct walk {
  ir_module *m;
  uint32_t left; // nodes that may still be visited
} walk;

static range range_of(walk *w, const ir_value *v, const value_scope *in);

// Integers are mathematical in index expressions, and wrap in tensors.
static range fitting(walk *w, range r) {
  int64_t lo, hi;
  bool fits = r.lo && r.hi && idx_range(w->m->ix, r.lo, &lo, &hi) && lo >= INT32_MIN &&
              idx_range(w->m->ix, r.hi, &lo, &hi) && hi <= INT32_MAX;
  return fits ? r : (range){NULL, NULL};
}

static range counted(walk *w, const idx *n) { return (range){idx_int(w->m->ix, 0), idx_addi(w->m->ix, n, -1)}; }

static const idx *both(walk *w, const idx *(*f)(idx_ctx *c, const idx *a, const idx *b), const idx *a, const idx *b) {
  return a && b ? f(w->m->ix, a, b) : NULL;
}

// One of the two, where only one is known.
static const idx *either(walk *w, const idx *(*f)(idx_ctx *c, const idx *a, const idx *b), const idx *a, const idx *b) {
  return a && b ? f(w->m->ix, a, b) : a ? a : b;
}

static bool is_natural(walk *w, const idx *e) { return e && idx_nonneg(w->m->ix, e) == TRI_yes; }

static range of_two(walk *w, op_code op, range a, range b) {
  switch ((int)op) {
  case OP_min: return (range){both(w, idx_min, a.lo, b.lo), either(w, idx_min, a.hi, b.hi)};
  case OP_max: return (range){either(w, idx_max, a.lo, b.lo), both(w, idx_max, a.hi, b.hi)};
  case OP_where: return (range){both(w, idx_min, a.lo, b.lo), both(w, idx_max, a.hi, b.hi)};
  case OP_add: return fitting(w, (range){both(w, idx_add, a.lo, b.lo), both(w, idx_add, a.hi, b.hi)});
  case OP_sub: return fitting(w, (range){both(w, idx_sub, a.lo, b.hi), both(w, idx_sub, a.hi, b.lo)});
  case OP_mul:
    if (!is_natural(w, a.lo) || !is_natural(w, b.lo)) break;
    return fitting(w, (range){both(w, idx_mul, a.lo, b.lo), both(w, idx_mul, a.hi, b.hi)});
  default: break;
  }
  return (range){NULL, NULL};
}

static range of_elements(walk *w, const ir_value *v) {
  const int32_t *at = ir_const_elems(w->m, v);
  int64_t n, lo = INT32_MAX, hi = INT32_MIN;
  if (!at || !idx_is_const(ir_type_count(w->m, v->type), &n) || n < 1) return (range){NULL, NULL};
  for (int64_t i = 0; i < n; i++) {
    lo = at[i] < lo ? at[i] : lo;
    hi = at[i] > hi ? at[i] : hi;
  }
  return (range){idx_int(w->m->ix, lo), idx_int(w->m->ix, hi)};
}

// Part of an iota: how sizes become data.
static range of_slice(walk *w, const ir_node *n, const value_scope *in) {
  const ir_node *d = n->in[0]->def;
  int64_t axis = ir_attr_int(n, "axis", 0), step = ir_attr_int(n, "step", 1);
  if (n->n_in > 1 || !d || d->op != OP_iota || ir_attr_int(d, "axis", 0) != axis) return range_of(w, n->in[0], in);
  const idx *lo = ir_attr_idx(w->m, n, "lo", idx_int(w->m->ix, 0));
  return (range){lo,
                 idx_add(w->m->ix, lo, idx_scale(w->m->ix, idx_addi(w->m->ix, n->out[0].type.dim[axis], -1), step))};
}

static const idx *reduced_count(walk *w, const ir_node *n) {
  const int64_t *axes;
  size_t n_axes = ir_attr_ints(n, "axes", &axes);
  const idx *count = idx_int(w->m->ix, 1);
  for (size_t i = 0; i < n_axes; i++) count = idx_mul(w->m->ix, count, n->in[0]->type.dim[axes[i]]);
  return count;
}

static range of_node(walk *w, const ir_node *n, const ir_value *v, const value_scope *in) {
  scalar s;
  switch ((int)n->op) {
  case OP_const:
    if (!ir_is_splat(v, &s)) return of_elements(w, v);
    return (range){idx_int(w->m->ix, s.v.i), idx_int(w->m->ix, s.v.i)};
  case OP_iota: return counted(w, v->type.dim[ir_attr_int(n, "axis", 0)]);
  case OP_reshape:
  case OP_transpose:
  case OP_broadcast:
  case OP_reverse:
  case OP_gather: return range_of(w, n->in[0], in);
  case OP_slice: return of_slice(w, n, in);
  case OP_where: return of_two(w, OP_where, range_of(w, n->in[1], in), range_of(w, n->in[2], in));
  case OP_min:
  case OP_max:
  case OP_add:
  case OP_sub:
  case OP_mul: return of_two(w, n->op, range_of(w, n->in[0], in), range_of(w, n->in[1], in));
  case OP_argmax:
  case OP_argmin: return counted(w, reduced_count(w, n));
  case OP_nms: return v->index == 0 ? counted(w, n->in[0]->type.dim[0]) : (range){NULL, NULL};
  case OP_sort:
  case OP_topk: // their second result
    return v->index == 1 ? counted(w, n->in[0]->type.dim[ir_attr_int(n, "axis", 0)]) : (range){NULL, NULL};
  case OP_group: {
    const value_scope inner = {n, in};
    return range_of(w, n->regions[0]->yields[v->index], &inner);
  }
  default: return (range){NULL, NULL};
  }
}

static range range_of(walk *w, const ir_value *v, const value_scope *in) {
  if (v->type.dt != DT_i32 || w->left == 0) return (range){NULL, NULL};
  w->left--;
  if (v->def) return of_node(w, v->def, v, in);
  bool outer = in && v->param_of == in->group->regions[0];
  return outer ? range_of(w, in->group->in[v->index], in->outer) : (range){NULL, NULL};
}

bool value_is_inside(ir_module *m, const ir_value *v, const value_scope *in, const idx *last) {
  walk w = {m, WALK};
  range r = range_of(&w, v, in);
  bool some = is_natural(&w, last); // nothing lies inside of what is empty, whatever the bounds say
  return some && is_natural(&w, r.lo) && r.hi && is_natural(&w, idx_sub(m->ix, last, r.hi));
}
