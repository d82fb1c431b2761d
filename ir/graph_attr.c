// Attributes: constructors, readers, and what constant nodes hold.
#include "ir/graph.h"

#include <string.h>

static ir_attr named(ir_module *m, const char *key, attr_kind kind) {
  return (ir_attr){.key = intern_z(m->names, key), .kind = kind};
}

ir_attr attr_int(ir_module *m, const char *key, int64_t v) {
  ir_attr x = named(m, key, ATTR_int);
  x.v.i = v;
  return x;
}

ir_attr attr_float(ir_module *m, const char *key, double v) {
  ir_attr x = named(m, key, ATTR_float);
  x.v.f = v;
  return x;
}

ir_attr attr_str(ir_module *m, const char *key, const char *v) {
  ir_attr x = named(m, key, ATTR_str);
  x.v.s = intern_z(m->names, v);
  return x;
}

ir_attr attr_idx(ir_module *m, const char *key, const idx *v) {
  ir_attr x = named(m, key, ATTR_idx);
  x.v.x = v;
  return x;
}

ir_attr attr_dtype(ir_module *m, const char *key, dtype v) {
  ir_attr x = named(m, key, ATTR_dtype);
  x.v.dt = v;
  return x;
}

ir_attr attr_ints(ir_module *m, const char *key, size_t n, const int64_t *v) {
  ir_attr x = named(m, key, ATTR_ints);
  x.v.is.at = arena_copy(m->a, v, n * sizeof *v);
  x.v.is.n = n;
  return x;
}

ir_attr attr_floats(ir_module *m, const char *key, size_t n, const double *v) {
  ir_attr x = named(m, key, ATTR_floats);
  x.v.fs.at = arena_copy(m->a, v, n * sizeof *v);
  x.v.fs.n = n;
  return x;
}

ir_attr attr_idxs(ir_module *m, const char *key, size_t n, const idx *const *v) {
  ir_attr x = named(m, key, ATTR_idxs);
  x.v.xs.at = arena_copy(m->a, v, n * sizeof *v);
  x.v.xs.n = n;
  return x;
}

// -- readers --

const ir_attr *ir_attr_find(const ir_node *n, const char *key) {
  for (uint32_t i = 0; i < n->n_attrs; i++) {
    if (strcmp(n->attrs[i].key, key) == 0) return &n->attrs[i];
  }
  return NULL;
}

int64_t ir_attr_int(const ir_node *n, const char *key, int64_t otherwise) {
  const ir_attr *x = ir_attr_find(n, key);
  return x != NULL && x->kind == ATTR_int ? x->v.i : otherwise;
}

const char *ir_attr_str(const ir_node *n, const char *key, const char *otherwise) {
  const ir_attr *x = ir_attr_find(n, key);
  return x != NULL && x->kind == ATTR_str ? x->v.s : otherwise;
}

const idx *ir_attr_idx(ir_module *m, const ir_node *n, const char *key, const idx *otherwise) {
  const ir_attr *x = ir_attr_find(n, key);
  if (x != NULL && x->kind == ATTR_int) return idx_int(m->ix, x->v.i);
  return x != NULL && x->kind == ATTR_idx ? x->v.x : otherwise;
}

size_t ir_attr_idxs(ir_module *m, const ir_node *n, const char *key, const idx *const **out) {
  const ir_attr *x = ir_attr_find(n, key);
  *out = NULL;
  if (x == NULL || (x->kind != ATTR_idxs && x->kind != ATTR_ints)) return 0;
  if (x->kind == ATTR_idxs) {
    *out = x->v.xs.at;
    return x->v.xs.n;
  }
  const idx **at = ARENA_ARRAY(m->a, const idx *, x->v.is.n);
  for (size_t i = 0; i < x->v.is.n; i++) at[i] = idx_int(m->ix, x->v.is.at[i]);
  *out = at;
  return x->v.is.n;
}

size_t ir_attr_ints(const ir_node *n, const char *key, const int64_t **out) {
  const ir_attr *x = ir_attr_find(n, key);
  *out = NULL;
  if (x == NULL || x->kind != ATTR_ints) return 0;
  *out = x->v.is.at;
  return x->v.is.n;
}

scalar ir_attr_scalar(const ir_node *n, const char *key, dtype dt, double otherwise) {
  const ir_attr *x = ir_attr_find(n, key);
  if (x != NULL && x->kind == ATTR_int) return dtype_is_float(dt) ? scalar_f(dt, (double)x->v.i) : scalar_i(dt, x->v.i);
  return scalar_f(dt, x != NULL && x->kind == ATTR_float ? x->v.f : otherwise);
}

// -- constants --

bool ir_is_splat(const ir_value *v, scalar *out) {
  if (v->def == NULL || v->def->op != OP_const) return false;
  const ir_attr *x = ir_attr_find(v->def, "value");
  if (x == NULL || (x->kind != ATTR_int && x->kind != ATTR_float)) return false;
  *out = x->kind == ATTR_float ? scalar_f(v->type.dt, x->v.f) : scalar_i(v->type.dt, x->v.i);
  return true;
}

static bool constant_count(ir_type t, size_t *count) {
  *count = 1;
  for (uint32_t i = 0; i < t.rank; i++) {
    int64_t d;
    if (!idx_is_const(t.dim[i], &d) || d < 0 || __builtin_mul_overflow(*count, (size_t)d, count)) return false;
  }
  return true;
}

const void *ir_const_elems(ir_module *m, const ir_value *v) {
  size_t n;
  if (v->def == NULL || v->def->op != OP_const || !constant_count(v->type, &n)) return NULL;
  const void *known = map_get_ptr(m->node_elems, v->def);
  if (known != NULL) return known;
  const dtype dt = v->type.dt;
  const ir_attr *x = ir_attr_find(v->def, "value");
  scalar s;
  const bool splat = ir_is_splat(v, &s);
  const size_t given = x == NULL || splat       ? n
                       : x->kind == ATTR_ints   ? x->v.is.n
                       : x->kind == ATTR_floats ? x->v.fs.n
                                                : 0;
  if (x == NULL || given != n) return NULL;
  char *elems = arena_array(m->a, n, dtype_size(dt));
  for (size_t i = 0; i < n; i++) {
    if (!splat) s = x->kind == ATTR_ints ? scalar_i(dt, x->v.is.at[i]) : scalar_f(dt, x->v.fs.at[i]);
    scalar_store(elems + i * dtype_size(dt), s);
  }
  map_put_ptr(m->node_elems, v->def, elems);
  return elems;
}
