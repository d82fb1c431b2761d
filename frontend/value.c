// Values of the model language: making, comparing and printing them.
#include "frontend/value.h"

value value_error(void) { return (value){.kind = V_error}; }
value value_none(void) { return (value){.kind = V_none}; }
value value_bool(bool b) { return (value){.kind = V_bool, .v.i = b}; }
value value_int(int64_t i) { return (value){.kind = V_int, .v.i = i}; }
value value_float(double f) { return (value){.kind = V_float, .v.f = f}; }
value value_str(str s) { return (value){.kind = V_string, .v.s = s}; }
value value_dtype(dtype dt) { return (value){.kind = V_dtype, .v.dt = dt}; }
value value_tensor(ir_value *t) { return t ? (value){.kind = V_tensor, .v.tensor = t} : value_error(); }

value value_size(const idx *e) {
  int64_t n;
  return idx_is_const(e, &n) ? value_int(n) : (value){.kind = V_size, .v.size = e};
}

value value_tuple_of(arena *a, size_t n, const value *at) {
  value_tuple *t = ARENA_NEW(a, value_tuple);
  t->n = n;
  t->at = arena_copy(a, at, n * sizeof *at);
  return (value){.kind = V_tuple, .v.tuple = t};
}

static value table_of(arena *a, dtype dt, size_t n, const int64_t *i, const double *f) {
  value_table *t = ARENA_NEW(a, value_table);
  t->dt = dt;
  t->n = n;
  if (i) t->i = arena_copy(a, i, n * sizeof *i);
  if (f) t->f = arena_copy(a, f, n * sizeof *f);
  return (value){.kind = V_table, .v.table = t};
}

value value_ints(arena *a, size_t n, const int64_t *at) { return table_of(a, DT_i64, n, at, NULL); }
value value_floats(arena *a, size_t n, const double *at) { return table_of(a, DT_f64, n, NULL, at); }
value value_bools(arena *a, size_t n, const int64_t *at) { return table_of(a, DT_bool, n, at, NULL); }

bool value_is_error(value v) { return v.kind == V_error; }
bool value_is_number(value v) { return v.kind == V_int || v.kind == V_float; }
bool value_is_integer(value v) { return v.kind == V_int || v.kind == V_size; }

const idx *value_idx(idx_ctx *c, value v) { return v.kind == V_int ? idx_int(c, v.v.i) : v.v.size; }

value value_table_at(const value_table *t, size_t i) {
  if (t->dt == DT_f64) return value_float(t->f[i]);
  return t->dt == DT_bool ? value_bool(t->i[i] != 0) : value_int(t->i[i]);
}

bool value_table_uniform(const value_table *t, int64_t *start, int64_t *step) {
  if (t->dt != DT_i64 || t->n < 2) return false;
  *start = t->i[0];
  if (__builtin_sub_overflow(t->i[1], t->i[0], step)) return false;
  for (size_t i = 2; i < t->n; i++) {
    int64_t d;
    if (__builtin_sub_overflow(t->i[i], t->i[i - 1], &d) || d != *step) return false;
  }
  return true;
}

static bool same_table(const value_table *a, const value_table *b) {
  if (a->dt != b->dt || a->n != b->n) return false;
  for (size_t i = 0; i < a->n; i++) {
    if (a->dt == DT_f64 ? !(a->f[i] == b->f[i]) : a->i[i] != b->i[i]) return false;
  }
  return true;
}

bool value_same(value a, value b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
  case V_error:
  case V_none: return true;
  case V_bool:
  case V_int: return a.v.i == b.v.i;
  case V_float: return a.v.f == b.v.f;
  case V_string: return str_eq(a.v.s, b.v.s);
  case V_dtype: return a.v.dt == b.v.dt;
  case V_table: return same_table(a.v.table, b.v.table);
  case V_size: return a.v.size == b.v.size;
  case V_tensor: return a.v.tensor == b.v.tensor;
  case V_tuple:
    if (a.v.tuple->n != b.v.tuple->n) return false;
    for (size_t i = 0; i < a.v.tuple->n; i++) {
      if (!value_same(a.v.tuple->at[i], b.v.tuple->at[i])) return false;
    }
    return true;
  }
  return false;
}

void value_print_shape(strbuf *b, uint32_t rank, const idx *const *dim) {
  sb_char(b, '[');
  for (uint32_t i = 0; i < rank; i++) {
    if (i) sb_z(b, ", ");
    idx_print(b, dim[i]);
  }
  sb_char(b, ']');
}

void value_print_type(strbuf *b, ir_type t) {
  sb_z(b, dtype_name(t.dt));
  if (t.rank) value_print_shape(b, t.rank, t.dim);
}

static void print_list(strbuf *b, const char *open, size_t n, const value_tuple *tuple, const value_table *table) {
  enum { SHOWN = 8 };
  sb_z(b, open);
  for (size_t i = 0; i < n && i < SHOWN; i++) {
    if (i) sb_z(b, ", ");
    value_print(b, tuple ? tuple->at[i] : value_table_at(table, i));
  }
  if (n > SHOWN) sb_fmt(b, ", ... %zu in all", n);
  if (tuple && n == 1) sb_char(b, ',');
  sb_char(b, ')');
}

void value_print(strbuf *b, value v) {
  switch (v.kind) {
  case V_error: sb_z(b, "an error"); break;
  case V_none: sb_z(b, "None"); break;
  case V_bool: sb_z(b, v.v.i ? "True" : "False"); break;
  case V_int: sb_fmt(b, "%lld", (long long)v.v.i); break;
  case V_float: sb_f64(b, v.v.f); break;
  case V_string: sb_fmt(b, "'" STR_FMT "'", STR_ARG(v.v.s)); break;
  case V_dtype: sb_z(b, dtype_name(v.v.dt)); break;
  case V_tuple: print_list(b, "(", v.v.tuple->n, v.v.tuple, NULL); break;
  case V_table: print_list(b, "table(", v.v.table->n, NULL, v.v.table); break;
  case V_size: idx_print(b, v.v.size); break;
  case V_tensor: value_print_type(b, v.v.tensor->type); break;
  }
}

const char *value_idx_text(arena *a, const idx *e) {
  strbuf b;
  sb_init(&b, a);
  idx_print(&b, e);
  return sb_cstr(&b);
}

const char *value_shape_text(arena *a, uint32_t rank, const idx *const *dim) {
  strbuf b;
  sb_init(&b, a);
  value_print_shape(&b, rank, dim);
  return sb_cstr(&b);
}

const char *value_describe(arena *a, value v) {
  strbuf b;
  sb_init(&b, a);
  switch (v.kind) {
  case V_bool:
  case V_int:
  case V_float:
  case V_string:
  case V_dtype: {
    static const char *const word[] = {
        [V_bool] = "", [V_int] = "integer ", [V_float] = "number ", [V_string] = "string ", [V_dtype] = "type "};
    sb_z(&b, word[v.kind]);
    value_print(&b, v);
    break;
  }
  case V_tuple: sb_fmt(&b, "a tuple of %zu", v.v.tuple->n); break;
  case V_table: sb_fmt(&b, "a table of %zu", v.v.table->n); break;
  case V_size:
    sb_z(&b, "size ");
    value_print(&b, v);
    break;
  case V_error:
  case V_none:
  case V_tensor: value_print(&b, v); break;
  }
  return sb_cstr(&b);
}
