// Indexing and `update`: the items between brackets become one selector an axis, then slices and one reshape.
//
// Bounds are NumPy's. A constant bound beyond the end is cut; a size that may lie beyond the end is checked at run
// time. An i32 scalar may be a bound when the length that it leaves is still a size: `past:past + t` is `t` long
// whatever `past` is.
#include "frontend/elab.h"

typedef enum select_kind { SEL_all, SEL_at, SEL_slice } select_kind;

typedef struct selector {
  select_kind kind;
  const idx *lo;  // in the axis as it is read (reversed if `reverse`); NULL: `data`
  ir_value *data; // an i32 scalar
  const idx *size;
  int64_t step;
  bool reverse;
} selector;

typedef struct selection {
  uint32_t rank; // axes of the operand
  selector axis[IR_MAX_RANK];
  uint32_t n_out;               // axes of the result, before and between which new ones stand
  int32_t out[2 * IR_MAX_RANK]; // an operand axis, or -1: a new dim
} selection;

static bool complain_kind(elab *e, const ast_expr *x, value v) {
  if (value_is_error(v)) return false;
  diag *d = elab_error(e, x->span, index_kind, value_describe(e->a, v));
  if (v.kind == V_tensor) diag_note_to(e->l, d, "rows are gathered with `take(x, index, dim=0)`");
  return false;
}

// A bound or index that counts from the end where it is negative. Its sign must be known.
static const idx *from_start(elab *e, const ast_expr *x, value v, const idx *n) {
  const idx *p = value_idx(e->m->ix, v);
  if (idx_nonneg(e->m->ix, p) == TRI_yes) return p;
  if (idx_nonneg(e->m->ix, idx_addi(e->m->ix, idx_scale(e->m->ix, p, -1), -1)) == TRI_yes)
    return idx_add(e->m->ix, n, p);
  elab_error(e, x->span, index_sign, value_describe(e->a, v));
  return NULL;
}

static const char *within(elab *e, const idx *i, const idx *n) {
  return str_fmt(e->a, "index %s within %s", value_idx_text(e->a, i), value_idx_text(e->a, n));
}

static bool select_one(elab *e, const ast_expr *x, ir_value *of, uint32_t axis, selector *s) {
  value v = elab_expr(e, x);
  idx_ctx *c = e->m->ix;
  const idx *n = of->type.dim[axis];
  *s = (selector){.kind = SEL_at, .size = idx_int(c, 1), .step = 1};
  if (elab_is_data(v)) {
    s->data = v.v.tensor;
    return true;
  }
  if (!value_is_integer(v)) return complain_kind(e, x, v);
  s->lo = from_start(e, x, v, n);
  if (!s->lo) return false;
  const idx *room = idx_addi(c, idx_sub(c, n, s->lo), -1);
  if (idx_nonneg(c, room) == TRI_no || idx_nonneg(c, s->lo) == TRI_no) {
    diag *d = elab_error(e, x->span, index_range, value_describe(e->a, v), value_idx_text(e->a, n));
    elab_note_origin(e, d, value_tensor(of));
    return false;
  }
  elab_check(e, room, within(e, s->lo, n));
  elab_check(e, s->lo, within(e, s->lo, n));
  return true;
}

typedef struct bound {
  bool given, is_data, is_const;
  value v;
  const idx *at;
} bound;

static bool read_bound(elab *e, const ast_expr *x, const idx *n, bound *b) {
  *b = (bound){.given = x && x->kind != EX_none};
  if (!b->given) return true;
  b->v = elab_expr(e, x);
  b->is_data = elab_is_data(b->v);
  b->is_const = b->v.kind == V_int;
  if (b->is_data) {
    b->at = elab_affine(e, b->v.v.tensor);
    return true;
  }
  if (!value_is_integer(b->v)) return complain_kind(e, x, b->v);
  b->at = from_start(e, x, b->v, n);
  return b->at != NULL;
}

static bool data_slice(elab *e, const ast_expr *x, bound lo, bound hi, const idx *n, selector *s) {
  idx_ctx *c = e->m->ix;
  const idx *from = lo.given ? lo.at : idx_int(c, 0), *to = hi.given ? hi.at : n;
  const idx *length = idx_sub(c, to, from);
  if (elab_is_opaque(e, length)) {
    const ast_expr *end = hi.is_data ? x->right : x->left;
    diag *d = elab_error(e, x->span, slice_length);
    if (end->kind == EX_name)
      diag_note_to(e->l, d,
                   "declare it under `dims:` (`" STR_FMT ": 0..100`); the step that sets `" STR_FMT
                   "` then gives the size, or write `x[a:a + size]`",
                   STR_ARG(end->text), STR_ARG(end->text));
    else diag_note_to(e->l, d, "write `x[a:a + size]`, or declare the bound under `dims:` and set it in a step");
    return false;
  }
  elab_check(e, length, within(e, from, to));
  s->size = idx_ceildiv(c, length, s->step);
  if (lo.is_data) s->data = lo.v.v.tensor;
  else s->lo = from;
  return true;
}

// A bound brought into 0..n: what is known to fit stays, a constant is cut, a size is checked.
static const idx *cut(elab *e, bound b, const idx *n) {
  idx_ctx *c = e->m->ix;
  const idx *p = idx_nonneg(c, b.at) == TRI_yes ? b.at : idx_max(c, b.at, idx_int(c, 0));
  if (idx_nonneg(c, idx_sub(c, n, p)) == TRI_yes) return p;
  if (b.is_const) return idx_min(c, p, n);
  elab_check(e, idx_sub(c, n, p), within(e, p, n));
  return p;
}

static const idx *at_least_0(idx_ctx *c, const idx *p) {
  return idx_nonneg(c, p) == TRI_yes ? p : idx_max(c, p, idx_int(c, 0));
}

static bool select_slice(elab *e, const ast_expr *x, const idx *n, selector *s) {
  idx_ctx *c = e->m->ix;
  *s = (selector){.kind = SEL_slice, .step = 1};
  if (x->third && x->third->kind != EX_none) {
    value v = elab_expr(e, x->third);
    if (v.kind != V_int || v.v.i == 0 || v.v.i == INT64_MIN) {
      if (!value_is_error(v)) elab_error(e, x->third->span, slice_step, value_describe(e->a, v));
      return false;
    }
    s->step = v.v.i < 0 ? -v.v.i : v.v.i;
    s->reverse = v.v.i < 0;
  }
  bound lo, hi;
  if (!read_bound(e, x->left, n, &lo) || !read_bound(e, x->right, n, &hi)) return false;
  if (lo.is_data || hi.is_data) {
    if (!s->reverse) return data_slice(e, x, lo, hi, n, s);
    elab_error(e, x->span, slice_backwards);
    return false;
  }
  const idx *zero = idx_int(c, 0), *last = idx_addi(c, n, -1);
  if (!s->reverse) {
    s->lo = lo.given ? cut(e, lo, n) : zero;
    s->size = idx_ceildiv(c, at_least_0(c, idx_sub(c, hi.given ? cut(e, hi, n) : n, s->lo)), s->step);
  } else { // from `first` down to just above `stop`; read in the reversed axis
    const idx *first = lo.given ? idx_min(c, cut(e, lo, n), last) : last;
    const idx *stop = hi.given ? cut(e, hi, n) : idx_int(c, -1);
    s->lo = idx_sub(c, last, first);
    s->size = idx_ceildiv(c, at_least_0(c, idx_sub(c, first, stop)), s->step);
  }
  if (!s->reverse && s->step == 1 && s->lo == zero && s->size == n) s->kind = SEL_all;
  return true;
}

static bool select_axes(elab *e, const ast_expr *x, ir_value *of, bool new_dims, selection *out) {
  const uint32_t rank = of->type.rank;
  size_t taken = 0;
  for (size_t i = 0; i < x->items.n; i++)
    taken += x->items.at[i]->kind != EX_none && x->items.at[i]->kind != EX_ellipsis;
  if (taken > rank) {
    elab_note_origin(e, elab_error(e, x->op_span, index_count, taken, rank), value_tensor(of));
    return false;
  }
  uint32_t axis = 0;
  bool ellipsis = false;
  *out = (selection){.rank = rank};
  for (size_t i = 0; i < x->items.n; i++) {
    const ast_expr *it = x->items.at[i];
    if (it->kind == EX_none) {
      if (!new_dims || out->n_out >= 2 * IR_MAX_RANK) {
        elab_error(e, it->span, index_new_dim);
        return false;
      }
      out->out[out->n_out++] = -1;
    } else if (it->kind == EX_ellipsis) {
      if (ellipsis) {
        elab_error(e, it->span, index_ellipsis);
        return false;
      }
      ellipsis = true;
      for (uint32_t k = (uint32_t)(rank - taken); k > 0; k--) out->out[out->n_out++] = (int32_t)axis++;
    } else {
      selector *s = &out->axis[axis];
      bool ok = it->kind == EX_slice ? select_slice(e, it, of->type.dim[axis], s) : select_one(e, it, of, axis, s);
      if (!ok) return false;
      if (s->kind != SEL_at) out->out[out->n_out++] = (int32_t)axis;
      axis++;
    }
  }
  while (axis < rank) out->out[out->n_out++] = (int32_t)axis++;
  if (out->n_out > IR_MAX_RANK) {
    elab_error(e, x->op_span, too_many_dims, (size_t)out->n_out, (int)IR_MAX_RANK);
    return false;
  }
  return true;
}

// -- reading --

static ir_value *read_axis(elab *e, ir_value *x, uint32_t axis, const selector *s) {
  if (s->kind == SEL_all) return x;
  if (s->reverse) {
    int64_t a = axis;
    ir_attr axes = attr_ints(e->m, "axes", 1, &a);
    ir_node *n = ir_build(elab_nodes(e), OP_reverse, 1, &x, 1, &axes, 0, NULL, 0, NULL);
    if (!n) return NULL;
    x = &n->out[0];
    if (s->step == 1 && s->size == x->type.dim[axis]) return x;
  }
  if (!s->data) return ir_slice(elab_nodes(e), x, axis, s->lo, s->size, s->step);
  ir_value *in[2] = {x, s->data};
  ir_attr attr[] = {attr_int(e->m, "axis", axis), attr_idx(e->m, "size", s->size), attr_int(e->m, "step", s->step)};
  ir_node *n = ir_build(elab_nodes(e), OP_slice, 2, in, s->step == 1 ? 2 : 3, attr, 0, NULL, 0, NULL);
  return n ? &n->out[0] : NULL;
}

static value index_tensor(elab *e, const ast_expr *x, ir_value *t) {
  selection sel;
  if (!select_axes(e, x, t, true, &sel)) return value_error();
  if (!e->frame->u->is_prelude) e->at = &x->span;
  for (uint32_t i = 0; i < sel.rank && t; i++) t = read_axis(e, t, i, &sel.axis[i]);
  if (!t) return value_error();
  const idx *dim[2 * IR_MAX_RANK];
  bool same = sel.n_out == sel.rank;
  for (uint32_t i = 0; i < sel.n_out; i++) {
    dim[i] = sel.out[i] < 0 ? idx_int(e->m->ix, 1) : t->type.dim[sel.out[i]];
    same &= sel.out[i] == (int32_t)i;
  }
  return value_tensor(same ? t : ir_reshape(elab_nodes(e), t, sel.n_out, dim));
}

static value slice_row(elab *e, value left, int64_t lo, int64_t hi, int64_t step) {
  VEC(value) v = {0};
  for (int64_t i = lo; step > 0 ? i < hi : i > hi; i += step)
    vec_push(e->a, &v, left.kind == V_tuple ? left.v.tuple->at[i] : value_table_at(left.v.table, (size_t)i));
  if (left.kind == V_tuple) return value_tuple_of(e->a, v.n, v.at);
  double *f = ARENA_ARRAY(e->a, double, v.n);
  int64_t *k = ARENA_ARRAY(e->a, int64_t, v.n);
  for (size_t i = 0; i < v.n; i++) f[i] = v.at[i].v.f, k[i] = v.at[i].v.i;
  dtype dt = left.v.table->dt;
  return dt == DT_f64    ? value_floats(e->a, v.n, f)
         : dt == DT_bool ? value_bools(e->a, v.n, k)
                         : value_ints(e->a, v.n, k);
}

static bool row_bound(elab *e, const ast_expr *x, int64_t n, int64_t dflt, int64_t lo, int64_t hi, int64_t *out) {
  *out = dflt;
  if (!x || x->kind == EX_none) return true;
  value v = elab_expr(e, x);
  if (v.kind != V_int) return complain_kind(e, x, v);
  int64_t i = v.v.i < 0 ? v.v.i + n : v.v.i;
  *out = i < lo ? lo : i > hi ? hi : i;
  return true;
}

// A tuple, or a table, at a place the compiler knows. V_none: the place is known only at run time.
static value index_row(elab *e, const ast_expr *x, value left) {
  const ast_expr *it = x->items.at[0];
  int64_t n = (int64_t)(left.kind == V_tuple ? left.v.tuple->n : left.v.table->n);
  if (it->kind == EX_slice) {
    int64_t step, lo, hi;
    if (!row_bound(e, it->third, 0, 1, INT32_MIN, INT32_MAX, &step)) return value_error();
    if (step == 0) {
      elab_error(e, it->third->span, slice_step, "0");
      return value_error();
    }
    bool down = step < 0;
    if (!row_bound(e, it->left, n, down ? n - 1 : 0, down ? -1 : 0, down ? n - 1 : n, &lo) ||
        !row_bound(e, it->right, n, down ? -1 : n, down ? -1 : 0, n, &hi))
      return value_error();
    return slice_row(e, left, lo, hi, step);
  }
  value v = elab_expr(e, it);
  if (v.kind != V_int) {
    if (left.kind == V_table && (elab_is_data(v) || v.kind == V_size)) return value_none();
    complain_kind(e, it, v);
    return value_error();
  }
  int64_t i = v.v.i < 0 ? v.v.i + n : v.v.i;
  if (i < 0 || i >= n) {
    elab_error(e, it->span, index_range, value_describe(e->a, v), str_fmt(e->a, "%lld", (long long)n));
    return value_error();
  }
  return left.kind == V_tuple ? left.v.tuple->at[i] : value_table_at(left.v.table, (size_t)i);
}

value elab_index(elab *e, const ast_expr *x, value left) {
  if (value_is_error(left)) return left;
  if (left.kind == V_tensor) return index_tensor(e, x, left.v.tensor);
  bool plain = x->items.n == 1 && x->items.at[0]->kind != EX_none && x->items.at[0]->kind != EX_ellipsis;
  if (left.kind == V_tuple && plain) return index_row(e, x, left);
  if (left.kind == V_table) {
    value v = plain ? index_row(e, x, left) : value_none();
    if (v.kind != V_none) return v;
    ir_value *t = elab_tensor(e, left, DT_COUNT, x->span); // a table met by a run-time index
    return t ? index_tensor(e, x, t) : value_error();
  }
  elab_error(e, x->left->span, not_indexable, value_describe(e->a, left));
  return value_error();
}

// -- update --

value elab_update(elab *e, value target, const ast_expr *index, value v, diag_span span, const char *name) {
  if (value_is_error(target) || value_is_error(v)) return value_error();
  if (target.kind != V_tensor) {
    elab_error(e, span, update_target, name, value_describe(e->a, target));
    return value_error();
  }
  ir_value *x = target.v.tensor;
  selection sel = {.rank = x->type.rank, .n_out = x->type.rank};
  for (uint32_t i = 0; i < sel.rank; i++) sel.out[i] = (int32_t)i;
  if (index && !select_axes(e, index, x, false, &sel)) return value_error();
  const idx *region[IR_MAX_RANK], *shape[IR_MAX_RANK], *sizes[IR_MAX_RANK];
  int64_t axes[IR_MAX_RANK], step = 1;
  ir_value *in[IR_MAX_RANK + 2] = {x};
  uint32_t n = 0;
  for (uint32_t i = 0; i < sel.rank; i++) {
    const selector *s = &sel.axis[i];
    region[i] = s->kind == SEL_all ? x->type.dim[i] : s->size;
    if (s->kind == SEL_all) continue;
    if (s->reverse || (s->step != 1 && step != 1 && s->step != step)) {
      elab_error(e, index->span, update_step);
      return value_error();
    }
    if (s->step != 1) step = s->step;
    axes[n] = i;
    sizes[n] = s->size;
    in[2 + n] = s->data ? s->data : elab_size_tensor(e, s->lo, DT_i32);
    if (!in[2 + n++]) return value_error();
  }
  for (uint32_t i = 0; i < n && step != 1; i++) {
    if (sel.axis[axes[i]].step == 1 && !idx_equals_int(sizes[i], 1)) {
      elab_error(e, index->span, update_step);
      return value_error();
    }
  }
  for (uint32_t i = 0; i < sel.n_out; i++) shape[i] = region[sel.out[i]];
  if (v.kind == V_tensor && v.v.tensor->type.dt != x->type.dt) {
    diag *d = elab_error(e, span, update_type, name, value_describe(e->a, target), value_describe(e->a, v));
    elab_note_origins(e, d, target, v);
    return value_error();
  }
  ir_value *y;
  if (v.kind == V_tensor || v.kind == V_table) {
    y = elab_tensor(e, v, x->type.dt, span);
    uint32_t rank;
    const idx *got[IR_MAX_RANK];
    ir_type want = ir_type_make(e->m, x->type.dt, sel.n_out, shape);
    if (!y || !elab_broadcast(e, 2, (shaped[]){{want, target}, {y->type, v}}, span, &rank, got)) return value_error();
    bool fits = rank == sel.n_out;
    for (uint32_t i = 0; i < rank && fits; i++) fits = got[i] == shape[i];
    if (!fits) {
      strbuf b;
      sb_init(&b, e->a);
      value_print_type(&b, want);
      diag *d = elab_error(e, span, update_type, name, sb_cstr(&b), value_describe(e->a, v));
      elab_note_origins(e, d, target, v);
      return value_error();
    }
    y = elab_fit(e, y, sel.n_out, shape);
  } else {
    y = elab_splat(e, v, x->type.dt, sel.n_out, shape, span);
  }
  if (y && sel.n_out != sel.rank) y = ir_reshape(elab_nodes(e), y, sel.rank, region);
  if (!y) return value_error();
  in[1] = y;
  ir_attr attr[] = {attr_ints(e->m, "axes", n, axes), attr_idxs(e->m, "sizes", n, sizes), attr_int(e->m, "step", step)};
  ir_node *node = ir_build(elab_nodes(e), OP_update, n + 2, in, step == 1 ? 2 : 3, attr, 0, NULL, 0, NULL);
  return node ? value_tensor(&node->out[0]) : value_error();
}
