// Loads and stores of tiles, and the conditions under which they and others happen.
//
// For each piece of a row the address is a polynomial in c. Its coefficient of c decides: 1 is vloadN or vstoreN, 0 one
// element for all lanes, anything else goes element by element, or by halves where these are vectors.
//
// Conditions are those of one row. What does not depend on c is asked once, by an `if` around the rows that ask the
// same. The rest is asked lane by lane, but for the test that a whole vector holds, which then moves as one: a
// condition that is linear in c holds for all lanes when it holds for the last (falling) or the first (rising).
// Conditions that read an index buffer come last and behind &&, so that they read only where the others hold. Memory is
// never touched where a condition fails.
#include "codegen/opencl/cl.h"

// -- conditions --

const char *cl_all(cl *g, const char *x, const char *y) {
  if (x == NULL || y == NULL) return x == NULL ? y : x;
  return str_fmt(g->a, "%s && %s", x, y);
}

cl_cond cl_where(cl *g, kir_where w, uint32_t row, uint32_t cols) {
  cl_cond out = {.lane = ARENA_ARRAY(g->a, const idx *, w.n)};
  for (int reads = 0; reads < 2; reads++) {
    for (uint32_t i = 0; i < w.n; i++) {
      if (idx_mentions_read(w.cond[i]) != (reads == 1)) continue;
      const idx *e = cl_at_row(g, w.cond[i], row);
      if (cols == 1) e = kir_at_col(g->k, e, 0);
      bool lanewise = idx_mentions(e, g->k->c) || (reads == 1 && out.n_lane > 0);
      if (lanewise) out.lane[out.n_lane++] = e;
      else out.row = cl_all(g, out.row, cl_holds(g, e));
    }
  }
  return out;
}

const char *cl_at_lane(cl *g, const cl_cond *w, uint32_t c) {
  const char *all = NULL;
  for (uint32_t i = 0; i < w->n_lane; i++) all = cl_all(g, all, cl_holds(g, kir_at_col(g->k, w->lane[i], c)));
  return all;
}

// What an expression grows by from lane to lane of a piece; NULL: it is not linear there. c//8 and c%8 may be, within
// few lanes.
static const idx *growth(cl *g, const idx *e, uint32_t first, uint32_t lanes) {
  idx_ctx *ix = g->k->ix;
  const idx *coef, *rest;
  if (idx_linear(ix, e, g->k->c, &coef, &rest)) return coef;
  sym *lane = idx_symbol(ix, str_fmt(g->a, "lane<%u", lanes));
  lane->lo = idx_int(ix, 0);
  lane->hi = idx_int(ix, lanes - 1);
  e = idx_subst1(ix, e, g->k->c, idx_addi(ix, idx_of(ix, lane), first));
  return idx_linear(ix, e, lane, &coef, &rest) ? coef : NULL;
}

const char *cl_at_lanes(cl *g, const cl_cond *w, uint32_t first, uint32_t lanes) {
  const char *all = NULL;
  for (uint32_t i = 0; i < w->n_lane; i++) {
    const idx *coef = growth(g, w->lane[i], first, lanes);
    int64_t k;
    if (coef == NULL || !idx_is_const(coef, &k)) return NULL;
    all = cl_all(g, all, cl_holds(g, kir_at_col(g->k, w->lane[i], k < 0 ? first + lanes - 1 : first)));
  }
  return all;
}

const char *cl_mask(cl *g, const cl_cond *w, uint32_t first, uint32_t lanes) {
  strbuf b;
  sb_init(&b, g->a);
  if (w->n_lane == 0) {
    sb_fmt(&b, "-(%s)", w->row == NULL ? "1" : w->row);
    return lanes == 1 ? sb_cstr(&b) : cl_splat(g, DT_bool, sb_cstr(&b), lanes).text;
  }
  for (uint32_t i = 0; i < lanes; i++)
    sb_fmt(&b, "%s-(%s)", i == 0 ? "" : ", ", cl_all(g, w->row, cl_at_lane(g, w, first + i)));
  return lanes == 1 ? sb_cstr(&b) : str_fmt(g->a, "(%s)(%s)", cl_type(g, DT_bool, lanes), sb_cstr(&b));
}

// -- one element, one vector: registers to memory and back --

static const char *load_element(cl *g, const kir_buffer *buf, const idx *at) {
  const char *p = cl_name(g, buf->name), *i = cl_index(g, at);
  switch ((int)buf->dt) {
  case DT_f16: return str_fmt(g->a, "vload_half(%s, %s)", i, p);
  case DT_bf16: return str_fmt(g->a, "as_float((uint)%s[%s] << 16)", p, i);
  case DT_bool: return str_fmt(g->a, "-(%s[%s] != 0)", p, i);
  default: return str_fmt(g->a, "%s[%s]", p, i);
  }
}

// Four bf16 at a multiple of four are 8 bytes of memory that begins, in all but callers' own buffers, at a multiple of
// 8: a device moves them at once when it knows. Kernels with workers are for devices, whose every access counts.
static const char *load_quad(cl *g, const char *p) {
  if (map_add(g->printed, STR("load_quad"), g))
    sb_z(&g->functions, "float4 load_quad(__global const ushort *p) {\n"
                        "  ushort4 x;\n"
                        "  if (((size_t)p & 7) == 0) x = *(__global const ushort4 *)p;\n"
                        "  else x = vload4(0, p);\n"
                        "  return as_float4(convert_uint4(x) << 16);\n"
                        "}\n\n");
  return str_fmt(g->a, "load_quad(%s)", p);
}

static const char *load_vector(cl *g, const kir_buffer *buf, const idx *at, uint32_t n) {
  const char *p = str_fmt(g->a, "%s + %s", cl_name(g, buf->name), cl_index(g, at));
  bool quad = buf->dt == DT_bf16 && n == 4 && g->lanes > 1 && buf->space != KIR_group;
  if (quad && kir_divides(g->k, 4, at)) return load_quad(g, p);
  switch ((int)buf->dt) {
  case DT_f16: return str_fmt(g->a, "vload_half%u(0, %s)", n, p);
  case DT_bf16: return str_fmt(g->a, "as_float%u(convert_uint%u(vload%u(0, %s)) << 16)", n, n, n, p);
  case DT_bool: return str_fmt(g->a, "convert_int%u(vload%u(0, %s) != (uchar%u)(0))", n, n, p, n);
  default: return str_fmt(g->a, "vload%u(0, %s)", n, p);
  }
}

static void store_element(cl *g, const kir_buffer *buf, const idx *at, const char *x) {
  const char *p = cl_name(g, buf->name), *i = cl_index(g, at);
  switch ((int)buf->dt) {
  case DT_f16: cl_line(g, "vstore_half_rte(%s, %s, %s);", x, i, p); break;
  case DT_bf16: cl_line(g, "%s[%s] = (ushort)(as_uint(%s) >> 16);", p, i, x); break;
  case DT_bool: cl_line(g, "%s[%s] = (uchar)((%s) & 1);", p, i, x); break;
  default: cl_line(g, "%s[%s] = %s;", p, i, x);
  }
}

static void store_vector(cl *g, const kir_buffer *buf, const idx *at, const char *x, uint32_t n) {
  const char *p = str_fmt(g->a, "%s + %s", cl_name(g, buf->name), cl_index(g, at));
  switch ((int)buf->dt) {
  case DT_f16: cl_line(g, "vstore_half%u_rte(%s, 0, %s);", n, x, p); break;
  case DT_bf16: cl_line(g, "vstore%u(convert_ushort%u(as_uint%u(%s) >> 16), 0, %s);", n, n, n, x, p); break;
  case DT_bool: cl_line(g, "vstore%u(convert_uchar%u((%s) & 1), 0, %s);", n, n, x, p); break;
  default: cl_line(g, "vstore%u(%s, 0, %s);", n, x, p);
  }
}

// -- how c enters the address --

typedef enum pattern { PATTERN_vector, PATTERN_same, PATTERN_elements } pattern;

static pattern pattern_of(cl *g, const idx *offset, uint32_t first, uint32_t lanes) {
  const idx *coef = lanes == 1 ? NULL : growth(g, offset, first, lanes);
  if (coef == NULL) return PATTERN_elements;
  if (idx_equals_int(coef, 1)) return PATTERN_vector;
  return idx_equals_int(coef, 0) ? PATTERN_same : PATTERN_elements;
}

static bool is_two_vectors(cl *g, const idx *offset, uint32_t first, uint32_t lanes) {
  uint32_t half = lanes / 2;
  return half > 1 && pattern_of(g, offset, first, lanes) == PATTERN_elements &&
         pattern_of(g, offset, first, half) == PATTERN_vector &&
         pattern_of(g, offset, first + half, half) == PATTERN_vector;
}

static cl_value half_of(cl *g, dtype dt, cl_value v, bool high, uint32_t lanes) {
  if (v.one != NULL) return cl_splat(g, dt, v.one, lanes / 2);
  return (cl_value){str_fmt(g->a, "%s.%s", v.text, high ? "hi" : "lo"), NULL};
}

// -- rows --

typedef struct row {
  const kir_buffer *buf;
  const idx *offset; // mentions c
  cl_cond where;
  uint32_t cols;
} row;

// All lanes of a piece, where they hold: an expression.
static const char *load_piece(cl *g, const row *x, uint32_t first, uint32_t lanes) {
  const idx *at = kir_at_col(g->k, x->offset, first);
  pattern p = pattern_of(g, x->offset, first, lanes);
  if (p == PATTERN_vector) return load_vector(g, x->buf, at, lanes);
  if (p == PATTERN_same || lanes == 1) return cl_splat(g, x->buf->dt, load_element(g, x->buf, at), lanes).text;
  strbuf b;
  sb_init(&b, g->a);
  if (is_two_vectors(g, x->offset, first, lanes)) {
    const char *low = load_vector(g, x->buf, at, lanes / 2);
    at = kir_at_col(g->k, x->offset, first + lanes / 2);
    return str_fmt(g->a, "(%s)(%s, %s)", cl_type(g, x->buf->dt, lanes), low, load_vector(g, x->buf, at, lanes / 2));
  }
  for (uint32_t i = 0; i < lanes; i++)
    sb_fmt(&b, "%s%s", i == 0 ? "" : ", ", load_element(g, x->buf, kir_at_col(g->k, x->offset, first + i)));
  return str_fmt(g->a, "(%s)(%s)", cl_type(g, x->buf->dt, lanes), sb_cstr(&b));
}

// Into a variable that holds what is loaded where a condition fails.
static void load_into(cl *g, const row *x, cl_value v, uint32_t first, uint32_t lanes) {
  if (x->where.n_lane == 0) {
    cl_line(g, "%s = %s;", v.text, load_piece(g, x, first, lanes));
    return;
  }
  if (is_two_vectors(g, x->offset, first, lanes)) {
    for (uint32_t i = 0; i < 2; i++)
      load_into(g, x, half_of(g, x->buf->dt, v, i, lanes), first + i * (lanes / 2), lanes / 2);
    return;
  }
  const char *whole = lanes == 1 ? NULL : cl_at_lanes(g, &x->where, first, lanes);
  bool vector = whole != NULL && pattern_of(g, x->offset, first, lanes) == PATTERN_vector;
  if (vector) {
    cl_open(g, "if (%s)", whole);
    cl_line(g, "%s = %s;", v.text, load_piece(g, x, first, lanes));
    cl_close(g);
    cl_open(g, "else");
  }
  for (uint32_t i = 0; i < lanes; i++) {
    const char *one = load_element(g, x->buf, kir_at_col(g->k, x->offset, first + i));
    cl_line(g, "if (%s) %s = %s;", cl_at_lane(g, &x->where, first + i), cl_lane(g, v, i, lanes), one);
  }
  if (vector) cl_close(g);
}

static void store_piece(cl *g, const row *x, cl_value v, uint32_t first, uint32_t lanes) {
  if (is_two_vectors(g, x->offset, first, lanes)) {
    for (uint32_t i = 0; i < 2; i++)
      store_piece(g, x, half_of(g, x->buf->dt, v, i, lanes), first + i * (lanes / 2), lanes / 2);
    return;
  }
  bool vector = pattern_of(g, x->offset, first, lanes) == PATTERN_vector;
  const char *whole = x->where.n_lane == 0 ? NULL : cl_at_lanes(g, &x->where, first, lanes);
  if (vector && x->where.n_lane > 0 && whole == NULL) vector = false;
  if (vector) {
    if (whole != NULL) cl_open(g, "if (%s)", whole);
    store_vector(g, x->buf, kir_at_col(g->k, x->offset, first), v.text, lanes);
    if (whole == NULL) return;
    cl_close(g);
    cl_open(g, "else");
  }
  for (uint32_t i = 0; i < lanes; i++) { // of equal places the last one stays
    const char *holds = cl_at_lane(g, &x->where, first + i);
    if (holds != NULL) cl_open(g, "if (%s)", holds);
    store_element(g, x->buf, kir_at_col(g->k, x->offset, first + i), cl_lane(g, v, i, lanes));
    if (holds != NULL) cl_close(g);
  }
  if (vector) cl_close(g);
}

// -- tiles --

// `if (what the row asks)` around the rows that ask the same: leaves the one before, enters the next.
static void enter(cl *g, const char **open, const char *wanted) {
  bool same = *open == NULL || wanted == NULL ? *open == wanted : str_is(str_of(*open), wanted);
  if (same) return;
  if (*open != NULL) cl_close(g);
  if (wanted != NULL) cl_open(g, "if (%s)", wanted);
  *open = wanted;
}

void cl_load(cl *g, const kir_tile *name, cl_tile *out, kir_access acc, kir_where w, scalar otherwise) {
  const idx *offset = kir_offset(g->k, acc);
  row *rows = ARENA_ARRAY(g->a, row, out->rows);
  for (uint32_t r = 0; r < out->rows; r++) {
    rows[r] = (row){acc.buf, cl_at_row(g, offset, r), cl_where(g, w, r, out->cols), out->cols};
    if (out->cols == 1) rows[r].offset = kir_at_col(g->k, rows[r].offset, 0);
    bool always = rows[r].where.row == NULL && rows[r].where.n_lane == 0;
    for (uint32_t j = 0; j < out->n_pieces; j++) {
      uint32_t first = cl_piece_first(g, out->cols, j), lanes = cl_piece_lanes(g, out->cols, j);
      cl_value v = out->v[(size_t)r * out->n_pieces + j] = cl_variable(g, name, out, r, j);
      cl_value fill = cl_splat(g, out->dt, cl_scalar(g, otherwise), lanes);
      cl_line(g, "%s %s = %s;", cl_type(g, out->dt, lanes), v.text,
              always ? load_piece(g, &rows[r], first, lanes) : fill.text);
    }
  }
  const char *open = NULL;
  for (uint32_t r = 0; r < out->rows; r++) {
    if (rows[r].where.row == NULL && rows[r].where.n_lane == 0) continue;
    enter(g, &open, rows[r].where.row);
    for (uint32_t j = 0; j < out->n_pieces; j++)
      load_into(g, &rows[r], out->v[(size_t)r * out->n_pieces + j], cl_piece_first(g, out->cols, j),
                cl_piece_lanes(g, out->cols, j));
  }
  enter(g, &open, NULL);
}

void cl_store(cl *g, kir_access acc, const cl_tile *x, uint32_t rows, uint32_t cols, kir_where w) {
  const idx *offset = kir_offset(g->k, acc);
  const char *open = NULL;
  for (uint32_t r = 0; r < rows; r++) {
    row here = {acc.buf, cl_at_row(g, offset, r), cl_where(g, w, r, cols), cols};
    if (cols == 1) here.offset = kir_at_col(g->k, here.offset, 0);
    enter(g, &open, here.where.row);
    for (uint32_t j = 0; j < cl_pieces(g, cols); j++)
      store_piece(g, &here, cl_part(g, x, r, j, cols), cl_piece_first(g, cols, j), cl_piece_lanes(g, cols, j));
  }
  enter(g, &open, NULL);
}
