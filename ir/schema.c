// Attributes against the `attrs` column of the operator table: "key:kind" items, '?' for optional. In: attributes as a
// caller wrote them; out: sorted by key, one kind each, so that equal nodes have equal attributes and print the same.
#include "ir/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool schema_next(const char **p, schema_item *item) {
  static const char *const kinds[] = {
      [SCHEMA_int] = "int",   [SCHEMA_float] = "float", [SCHEMA_idx] = "idx",     [SCHEMA_ints] = "ints",
      [SCHEMA_idxs] = "idxs", [SCHEMA_str] = "str",     [SCHEMA_dtype] = "dtype", [SCHEMA_any] = "any"};
  const char *s = *p;
  while (*s == ' ' || *s == ',') s++;
  if (*s == '\0') return false;
  const char *colon = strchr(s, ':');
  item->key = (str){s, (size_t)(colon - s)};
  const size_t n = strcspn(colon + 1, ",?");
  const str kind = {colon + 1, n};
  item->kind = SCHEMA_any;
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    if (str_is(kind, kinds[k])) item->kind = (schema_kind)k;
  }
  item->optional = colon[1 + n] == '?';
  *p = colon + 1 + n + item->optional;
  return true;
}

bool schema_find(const op_info *info, str key, schema_item *item) {
  const char *p = info->attrs;
  while (schema_next(&p, item)) {
    if (str_eq(item->key, key)) return true;
  }
  return false;
}

static const double *doubles_of(ir_module *m, const ir_attr *x) {
  double *at = ARENA_ARRAY(m->a, double, x->v.is.n);
  for (size_t i = 0; i < x->v.is.n; i++) at[i] = (double)x->v.is.at[i];
  return at;
}

// One number or a list of them, as floats or as integers of the dtype; a list of one value throughout is that value.
static bool apply_any(ir_module *m, dtype dt, ir_attr *x, const char **problem) {
  const bool is_float = dtype_is_float(dt);
  if (is_float && x->kind == ATTR_int) *x = attr_float(m, x->key, (double)x->v.i);
  if (is_float && x->kind == ATTR_ints) *x = attr_floats(m, x->key, x->v.is.n, doubles_of(m, x));
  if (!is_float && x->kind != ATTR_int && x->kind != ATTR_ints) {
    *problem = "must be an integer or a list of integers";
    return false;
  }
  if (is_float && x->kind != ATTR_float && x->kind != ATTR_floats) {
    *problem = "must be a number or a list of numbers";
    return false;
  }
  const bool list = x->kind == ATTR_ints || x->kind == ATTR_floats;
  const size_t n = !list ? 1 : is_float ? x->v.fs.n : x->v.is.n;
  double *floats = is_float ? ARENA_ARRAY(m->a, double, n) : NULL;
  bool alike = n > 0;
  for (size_t i = 0; i < n; i++) {
    if (is_float) {
      floats[i] = scalar_f(dt, list ? x->v.fs.at[i] : x->v.f).v.f;
      alike = alike && scalar_same(scalar_f(DT_f64, floats[i]), scalar_f(DT_f64, floats[0]));
      continue;
    }
    const int64_t v = list ? x->v.is.at[i] : x->v.i;
    alike = alike && v == (list ? x->v.is.at[0] : v);
    if (scalar_i(dt, v).v.i == v) continue;
    *problem = str_fmt(m->a, "holds %lld, which is not a value of %s", (long long)v, dtype_name(dt));
    return false;
  }
  if (is_float) *x = alike ? attr_float(m, x->key, floats[0]) : attr_floats(m, x->key, n, floats);
  else if (alike && list) *x = attr_int(m, x->key, x->v.is.at[0]);
  return true;
}

static bool wants(bool good, const char *what, const char **problem) {
  if (!good) *problem = what;
  return good;
}

static bool apply(ir_module *m, schema_kind kind, dtype dt, ir_attr *x, const char **problem) {
  const idx *const *list;
  switch (kind) {
  case SCHEMA_int: return wants(x->kind == ATTR_int, "must be an integer", problem);
  case SCHEMA_float:
    if (x->kind == ATTR_int) *x = attr_float(m, x->key, (double)x->v.i);
    return wants(x->kind == ATTR_float, "must be a number", problem);
  case SCHEMA_idx:
    if (x->kind == ATTR_int) *x = attr_idx(m, x->key, idx_int(m->ix, x->v.i));
    return wants(x->kind == ATTR_idx, "must be an index expression", problem);
  case SCHEMA_ints: return wants(x->kind == ATTR_ints, "must be a list of integers", problem);
  case SCHEMA_idxs:
    if (x->kind == ATTR_ints) {
      const ir_node probe = {.n_attrs = 1, .attrs = x};
      const size_t n = ir_attr_idxs(m, &probe, x->key, &list);
      *x = attr_idxs(m, x->key, n, list);
    }
    return wants(x->kind == ATTR_idxs, "must be a list of index expressions", problem);
  case SCHEMA_str: return wants(x->kind == ATTR_str, "must be a string", problem);
  case SCHEMA_dtype: return wants(x->kind == ATTR_dtype, "must be a dtype", problem);
  case SCHEMA_any: return apply_any(m, dt, x, problem);
  }
  return false;
}

static int by_key(const void *a, const void *b) { return strcmp(((const ir_attr *)a)->key, ((const ir_attr *)b)->key); }

static int by_value(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

// The order of reduced or reversed axes means nothing: one order for equal nodes. Those of an update name its starts.
static void sort_axes(ir_module *m, const op_info *info, ir_attr *x) {
  if (strcmp(x->key, "axes") != 0 || info == op_get(OP_update)) return;
  int64_t *axes = arena_copy(m->a, x->v.is.at, x->v.is.n * sizeof *axes);
  if (x->v.is.n > 1) qsort(axes, x->v.is.n, sizeof *axes, by_value);
  x->v.is.at = axes;
}

bool schema_apply(ir_module *m, const op_info *info, dtype dt, uint32_t n, const ir_attr *given, const ir_attr **out,
                  const char **problem) {
  ir_attr *sorted = ARENA_ARRAY(m->a, ir_attr, n);
  schema_item item;
  for (uint32_t i = 0; i < n; i++) {
    sorted[i] = given[i];
    const char *why = NULL;
    if (!schema_find(info, str_of(given[i].key), &item)) {
      *problem = str_fmt(m->a, "it has no attribute `%s`", given[i].key);
      return false;
    }
    if (!apply(m, item.kind, dt, &sorted[i], &why)) {
      *problem = str_fmt(m->a, "its attribute `%s` %s", given[i].key, why);
      return false;
    }
    sort_axes(m, info, &sorted[i]);
  }
  if (n > 1) qsort(sorted, n, sizeof *sorted, by_key);
  for (uint32_t i = 1; i < n; i++) {
    if (strcmp(sorted[i].key, sorted[i - 1].key) != 0) continue;
    *problem = str_fmt(m->a, "its attribute `%s` is given twice", sorted[i].key);
    return false;
  }
  const ir_node probe = {.n_attrs = n, .attrs = sorted};
  for (const char *p = info->attrs; schema_next(&p, &item);) {
    const char *key = str_dup(m->a, item.key);
    if (item.optional || ir_attr_find(&probe, key) != NULL) continue;
    *problem = str_fmt(m->a, "its attribute `%s` is missing", key);
    return false;
  }
  *out = sorted;
  return true;
}
