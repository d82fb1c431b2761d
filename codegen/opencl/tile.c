// Tiles as private variables: pieces, their types and names, constants, broadcasting.
#include "codegen/opencl/cl.h"

#include <math.h>
#include <string.h>

// -- pieces --

uint32_t cl_pieces(const cl *g, uint32_t cols) {
  return cols / g->widest + (uint32_t)__builtin_popcount(cols % g->widest);
}

uint32_t cl_piece_lanes(const cl *g, uint32_t cols, uint32_t piece) {
  uint32_t whole = cols / g->widest, left = cols % g->widest, lanes = g->widest / 2;
  if (piece < whole) return g->widest;
  for (uint32_t i = whole;; lanes /= 2) {
    if ((left & lanes) != 0 && i++ == piece) return lanes;
  }
}

uint32_t cl_piece_first(const cl *g, uint32_t cols, uint32_t piece) {
  uint32_t first = 0;
  for (uint32_t j = 0; j < piece; j++) first += cl_piece_lanes(g, cols, j);
  return first;
}

// -- types --

static const struct {
  const char *reg, *mem, *as_int; // in a register, in memory, signed integers as wide as the register
} types[DT_COUNT] = {
    [DT_f32] = {"float", "float", "int"},   [DT_f16] = {"float", "half", "int"},
    [DT_bf16] = {"float", "ushort", "int"}, [DT_f64] = {"double", "double", "long"},
    [DT_i8] = {"char", "char", "char"},     [DT_u8] = {"uchar", "uchar", "char"},
    [DT_i32] = {"int", "int", "int"},       [DT_i64] = {"long", "long", "long"},
    [DT_bool] = {"int", "uchar", "int"},
};

static const char *vector_of(cl *g, const char *type, uint32_t lanes) {
  return lanes == 1 ? type : str_fmt(g->a, "%s%u", type, lanes);
}

const char *cl_type(cl *g, dtype dt, uint32_t lanes) {
  if (dt == DT_f64) g->needs_fp64 = true;
  return vector_of(g, types[dt].reg, lanes);
}

const char *cl_mem_type(dtype dt) { return types[dt].mem; }

const char *cl_int_type(cl *g, dtype dt, uint32_t lanes) { return vector_of(g, types[dt].as_int, lanes); }

// -- constants --

static const char *float_text(cl *g, scalar s) {
  bool wide = s.dt == DT_f64;
  if (isnan(s.v.f)) return wide ? "(double)NAN" : "NAN";
  if (isinf(s.v.f)) return str_fmt(g->a, "(%s%sINFINITY)", s.v.f < 0 ? "-" : "", wide ? "(double)" : "");
  strbuf b;
  sb_init(&b, g->a);
  if (wide) sb_f64(&b, s.v.f);
  else sb_f32(&b, (float)s.v.f);
  const char *digits = sb_cstr(&b);
  const char *point = strpbrk(digits, ".e") == NULL ? ".0" : "";
  return str_fmt(g->a, signbit(s.v.f) ? "(%s%s%s)" : "%s%s%s", digits, point, wide ? "" : "f");
}

const char *cl_scalar(cl *g, scalar s) {
  if (dtype_is_float(s.dt)) return float_text(g, s);
  if (s.dt == DT_bool) return s.v.i != 0 ? "-1" : "0";
  if (s.dt == DT_i64 && s.v.i == INT64_MIN) return "(-9223372036854775807L - 1)";
  if (s.dt == DT_i32 && s.v.i == INT32_MIN) return "(-2147483647 - 1)";
  const char *suffix = s.dt == DT_i64 ? "L" : "";
  const char *text = str_fmt(g->a, s.v.i < 0 ? "(%lld%s)" : "%lld%s", (long long)s.v.i, suffix);
  return dtype_size(s.dt) > 1 ? text : str_fmt(g->a, "(%s)%s", types[s.dt].reg, text);
}

// -- values --

cl_value cl_splat(cl *g, dtype dt, const char *one, uint32_t lanes) {
  if (lanes == 1) return (cl_value){one, one};
  return (cl_value){str_fmt(g->a, "(%s)(%s)", cl_type(g, dt, lanes), one), one};
}

const char *cl_lane(cl *g, cl_value v, uint32_t lane, uint32_t lanes) {
  if (v.one != NULL) return v.one;
  return lanes == 1 ? v.text : str_fmt(g->a, "%s.s%x", v.text, lane);
}

cl_tile *cl_tile_new(cl *g, dtype dt, uint32_t rows, uint32_t cols) {
  cl_tile *t = ARENA_NEW(g->a, cl_tile);
  *t = (cl_tile){.rows = rows, .cols = cols, .n_pieces = cl_pieces(g, cols), .dt = dt};
  t->v = ARENA_ARRAY(g->a, cl_value, (size_t)rows * t->n_pieces);
  return t;
}

void cl_number(cl *g, const kir_tile *t) { map_put_ptr(g->numbers, t, (void *)(uintptr_t)(map_count(g->numbers) + 1)); }

void cl_set(cl *g, const kir_tile *t, const cl_tile *value) {
  map_put_ptr(g->tiles, t, arena_copy(g->a, value, sizeof *value));
}

const cl_tile *cl_get(cl *g, const kir_tile *t) {
  const cl_tile *value = map_get_ptr(g->tiles, t);
  BUG_IF(g->l, value == NULL, "kernel %s: tile %u has no value", g->k->name, t->id);
  return value;
}

cl_value cl_variable(cl *g, const kir_tile *t, const cl_tile *shape, uint32_t r, uint32_t j) {
  uintptr_t number = (uintptr_t)map_get_ptr(g->numbers, t);
  const char *name = number == 0 ? cl_fresh(g, "moved") : str_fmt(g->a, "v%zu", (size_t)number - 1); // 0: a copy's
  if (shape->rows == 1 && shape->n_pieces == 1) return (cl_value){name, NULL};
  name = str_fmt(g->a, shape->cols == 1 ? "%s_%u" : "%s_%u_%u", name, r, j);
  return (cl_value){name, NULL};
}

cl_value cl_part(cl *g, const cl_tile *t, uint32_t r, uint32_t j, uint32_t cols) {
  if (t->rows == 1) r = 0;
  if (t->cols > 1 || cols == 1) return t->v[(size_t)r * t->n_pieces + j];
  return cl_splat(g, t->dt, t->v[r].text, cl_piece_lanes(g, cols, j));
}

void cl_shape(const cl *g, uint32_t *rows, uint32_t *cols) {
  if (!g->view.active) return;
  if (*rows == g->view.rows) *rows = 1;
  if (*cols == g->view.cols) *cols = g->view.part_cols;
}
