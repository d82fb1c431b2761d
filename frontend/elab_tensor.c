// Tensors from the other kinds of value, and shapes that must agree: broadcasting, dims proved equal or checked at run
// time, and i32 scalars seen as polynomials (`past + t` less `past` is the size t).
#include "frontend/elab.h"

scalar elab_scalar(value v, dtype dt) {
  return v.kind == V_float    ? scalar_f(dt, v.v.f)
         : dtype_is_float(dt) ? scalar_f(dt, (double)v.v.i)
                              : scalar_i(dt, v.v.i);
}

// -- sizes as tensors --

enum { MAX_COUNT = 1 << 16 };

// The last element of 0, 1, ..., n: index polynomials live in shapes, and this is how one becomes data. It is never
// stored: a slice of an iota is its start.
static ir_value *count_tensor(elab *e, const idx *n) {
  idx_ctx *c = e->m->ix;
  int64_t known;
  if (idx_is_const(n, &known)) return ir_const_scalar(elab_nodes(e), scalar_i(DT_i32, known), 0, NULL);
  const idx *longer = idx_addi(c, n, 1);
  ir_value *v = ir_iota(elab_nodes(e), 1, &longer, 0);
  if (v) v = ir_slice(elab_nodes(e), v, 0, n, idx_int(c, 1), 1);
  return v ? ir_reshape(elab_nodes(e), v, 0, NULL) : NULL;
}

static const idx *idx_of_factor(idx_ctx *c, const atom *f) {
  switch (f->kind) {
  case ATOM_sym: return idx_of(c, f->symbol);
  case ATOM_floordiv: return idx_floordiv(c, f->a, f->b);
  case ATOM_mod: return idx_mod(c, f->a, f->b);
  case ATOM_min: return idx_min(c, f->a, f->b);
  case ATOM_max: return idx_max(c, f->a, f->b);
  case ATOM_read: return idx_read(c, f->buffer, f->a);
  }
  return NULL;
}

// Term by term: of a size that may be large, or negative, only the factors are counted.
static ir_value *polynomial_tensor(elab *e, const idx *p) {
  ir_value *sum = NULL;
  for (uint32_t i = 0; i < p->n_terms; i++) {
    const monomial *t = &p->terms[i];
    bool minus = t->coef < 0 && sum, bare = t->n_factors && (t->coef == 1 || (minus && t->coef == -1));
    ir_value *v = bare ? NULL : count_tensor(e, idx_int(e->m->ix, minus ? -t->coef : t->coef));
    for (uint32_t k = 0; k < t->n_factors; k++) {
      ir_value *f = count_tensor(e, idx_of_factor(e->m->ix, t->factors[k]));
      v = v ? ir_binary(elab_nodes(e), OP_mul, v, f) : f;
    }
    sum = sum ? ir_binary(elab_nodes(e), minus ? OP_sub : OP_add, sum, v) : v;
    if (!sum) return NULL;
  }
  return sum;
}

ir_value *elab_size_tensor(elab *e, const idx *size, dtype dt) {
  int64_t n, lo, hi;
  if (idx_is_const(size, &n)) return ir_const_scalar(elab_nodes(e), elab_scalar(value_int(n), dt), 0, NULL);
  bool small = idx_range(e->m->ix, size, &lo, &hi) && lo >= 0 && hi <= MAX_COUNT;
  elab_check(e, idx_sub(e->m->ix, idx_int(e->m->ix, INT32_MAX), size), "a size fits i32");
  ir_value *v = small || idx_is_symbol(size) ? count_tensor(e, size) : polynomial_tensor(e, size);
  if (!v) return NULL;
  map_put_ptr(e->sizes, v, (void *)(uintptr_t)size);
  return ir_cast(elab_nodes(e), v, dt);
}

// -- tensors from other kinds --

static ir_value *table_tensor(elab *e, const value_table *t, dtype dt) {
  const idx *n = idx_int(e->m->ix, (int64_t)t->n);
  int64_t start, step;
  // A row of evenly spaced integers stays an index: masks made of it keep their meaning, and nothing is stored.
  if (value_table_uniform(t, &start, &step) && step != 0 && start >= INT32_MIN && start <= INT32_MAX &&
      step >= INT32_MIN && step <= INT32_MAX) {
    ir_value *v = ir_iota(elab_nodes(e), 1, &n, 0);
    if (v && step != 1)
      v = ir_binary(elab_nodes(e), OP_mul, v, ir_const_scalar(elab_nodes(e), scalar_i(DT_i32, step), 1, &n));
    if (v && start)
      v = ir_binary(elab_nodes(e), OP_add, v, ir_const_scalar(elab_nodes(e), scalar_i(DT_i32, start), 1, &n));
    return v ? ir_cast(elab_nodes(e), v, dt) : NULL;
  }
  char *data = arena_alloc(e->a, t->n * dtype_size(dt));
  for (size_t i = 0; i < t->n; i++) scalar_store(data + i * dtype_size(dt), elab_scalar(value_table_at(t, i), dt));
  return ir_const_data(elab_nodes(e), ir_type_make(e->m, dt, 1, &n), data);
}

static dtype own_dtype(value v) {
  bool is_float = v.kind == V_float || (v.kind == V_table && v.v.table->dt == DT_f64);
  bool is_bool = v.kind == V_bool || (v.kind == V_table && v.v.table->dt == DT_bool);
  return is_float ? DT_f32 : is_bool ? DT_bool : DT_i32;
}

// An integer that the dtype cannot hold is an error, not a wrapped number.
static bool fits_dtype(elab *e, value v, dtype dt, diag_span span) {
  if (v.kind != V_int || !dtype_is_int(dt) || scalar_i(dt, v.v.i).v.i == v.v.i) return true;
  elab_error(e, span, integer_range, (long long)v.v.i, dtype_name(dt));
  return false;
}

ir_value *elab_tensor(elab *e, value v, dtype dt, diag_span span) {
  if (dt == DT_COUNT && v.kind != V_tensor) dt = own_dtype(v);
  switch (v.kind) {
  case V_tensor: return v.v.tensor;
  case V_size: return elab_size_tensor(e, v.v.size, dt);
  case V_table: return table_tensor(e, v.v.table, dt);
  case V_bool:
  case V_int:
  case V_float: return elab_splat(e, v, dt, 0, NULL, span);
  case V_none:
  case V_string:
  case V_dtype:
  case V_tuple: elab_error(e, span, tensor_wanted, value_describe(e->a, v)); return NULL;
  case V_error: return NULL;
  }
  return NULL;
}

ir_value *elab_splat(elab *e, value v, dtype dt, uint32_t rank, const idx *const *dim, diag_span span) {
  if (dt == DT_COUNT) dt = own_dtype(v);
  if (v.kind == V_size) {
    ir_value *x = elab_size_tensor(e, v.v.size, dt);
    return x ? ir_broadcast(elab_nodes(e), x, rank, dim) : NULL;
  }
  return fits_dtype(e, v, dt, span) ? ir_const_scalar(elab_nodes(e), elab_scalar(v, dt), rank, dim) : NULL;
}

// -- i32 scalars as polynomials --

bool elab_is_data(value v) { return v.kind == V_tensor && v.v.tensor->type.dt == DT_i32 && v.v.tensor->type.rank == 0; }

static const idx *opaque(elab *e, ir_value *v) {
  const sym *s = map_get_ptr(e->opaque, v);
  if (!s) {
    s = idx_fresh(e->m->ix, "value");
    map_put_ptr(e->opaque, v, (void *)(uintptr_t)s);
  }
  return idx_of(e->m->ix, s);
}

const idx *elab_affine(elab *e, ir_value *v) {
  const idx *known = map_get_ptr(e->sizes, v);
  scalar s;
  if (known) return known;
  if (ir_is_splat(v, &s)) return idx_int(e->m->ix, s.v.i);
  const ir_node *n = v->def;
  if (n && (n->op == OP_add || n->op == OP_sub || n->op == OP_mul)) {
    const idx *a = elab_affine(e, n->in[0]), *b = elab_affine(e, n->in[1]);
    return n->op == OP_add   ? idx_add(e->m->ix, a, b)
           : n->op == OP_sub ? idx_sub(e->m->ix, a, b)
                             : idx_mul(e->m->ix, a, b);
  }
  if (n && n->op == OP_neg) return idx_scale(e->m->ix, elab_affine(e, n->in[0]), -1);
  return opaque(e, v);
}

typedef struct opaque_search {
  elab *e;
  bool found;
} opaque_search;

static void look_for_opaque(void *user, const sym *s) {
  opaque_search *o = user;
  for (size_t i = 0; i < map_count(o->e->opaque) && !o->found; i++) o->found = map_value(o->e->opaque, i) == s;
}

bool elab_is_opaque(elab *e, const idx *p) {
  opaque_search o = {e, false};
  idx_symbols(p, look_for_opaque, &o);
  return o.found;
}

// -- dims that must agree --

void elab_check(elab *e, const idx *nonneg, const char *text) {
  if (idx_nonneg(e->m->ix, nonneg) == TRI_yes || map_get_ptr(e->region->checks, nonneg)) return;
  ir_attr attr[] = {attr_idx(e->m, "cond", nonneg), attr_str(e->m, "text", text)};
  ir_build(elab_nodes(e), OP_check, 0, NULL, 2, attr, 0, NULL, 0, NULL);
}

same_dim elab_same_dim(elab *e, const idx *a, const idx *b, const char *what) {
  idx_ctx *c = e->m->ix;
  tri t = idx_equal(c, a, b);
  if (t != TRI_unknown) return t == TRI_yes ? SAME_yes : SAME_no;
  const char *text = str_fmt(e->a, "%s: %s must equal %s", what, value_idx_text(e->a, a), value_idx_text(e->a, b));
  elab_check(e, idx_sub(c, a, b), text);
  elab_check(e, idx_sub(c, b, a), text);
  return SAME_checked;
}

ir_value *elab_axis_as(elab *e, ir_value *x, uint32_t axis, const idx *dim) {
  if (!x || x->type.dim[axis] == dim) return x;
  const idx *to[IR_MAX_RANK];
  for (uint32_t i = 0; i < x->type.rank; i++) to[i] = i == axis ? dim : x->type.dim[i];
  return ir_broadcast(elab_nodes(e), x, x->type.rank, to);
}

static void shape_error(elab *e, const shaped *a, const shaped *b, const idx *x, const idx *y, int axis,
                        diag_span span) {
  diag *d = elab_error(e, span, broadcast, value_shape_text(e->a, a->type.rank, a->type.dim),
                       value_shape_text(e->a, b->type.rank, b->type.dim), value_idx_text(e->a, x),
                       value_idx_text(e->a, y), axis);
  elab_note_origins(e, d, a->from, b->from);
}

bool elab_broadcast(elab *e, size_t n, const shaped *x, diag_span span, uint32_t *rank, const idx **dim) {
  *rank = 0;
  for (size_t i = 0; i < n; i++) *rank = x[i].type.rank > *rank ? x[i].type.rank : *rank;
  for (uint32_t back = 1; back <= *rank; back++) { // axes from the last one
    const idx *d = NULL;
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
      ir_type t = x[i].type;
      if (t.rank < back) continue;
      const idx *mine = t.dim[t.rank - back];
      if (!d || idx_equals_int(d, 1)) {
        if (!d || !idx_equals_int(mine, 1)) d = mine, from = i;
      } else if (!idx_equals_int(mine, 1) && mine != d && elab_same_dim(e, d, mine, "broadcast") == SAME_no) {
        shape_error(e, &x[from], &x[i], d, mine, -(int)back, span);
        return false;
      }
    }
    dim[*rank - back] = d;
  }
  return true;
}

ir_value *elab_fit(elab *e, ir_value *x, uint32_t rank, const idx *const *dim) {
  return x ? ir_broadcast(elab_nodes(e), x, rank, dim) : NULL;
}
