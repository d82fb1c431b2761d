// dot and row reductions.
//
// Reductions combine in a fixed order, whatever the values: the row's whole vectors pairwise, the halves of the vector
// that is left, and last the shorter pieces. Across workers each of them combines the partial results in their order,
// so all get the same bits. Sums and products of f16 and bf16 are kept in f32 and rounded once.
#include "codegen/opencl/cl.h"

// Element k of row r, for all lanes.
static const char *repeated(cl *g, const cl_tile *t, uint32_t r, uint32_t k, uint32_t lanes) {
  uint32_t j = cl_pieces(g, t->cols) - 1;
  while (cl_piece_first(g, t->cols, j) > k) j--;
  uint32_t first = cl_piece_first(g, t->cols, j), n = cl_piece_lanes(g, t->cols, j);
  return cl_splat(g, t->dt, cl_lane(g, t->v[(size_t)r * t->n_pieces + j], k - first, n), lanes).text;
}

// Every `step`th element of a tile's one row, from `first` on.
static const char *every(cl *g, const cl_tile *t, uint32_t first, uint32_t step, uint32_t lanes) {
  strbuf b;
  sb_init(&b, g->a);
  sb_fmt(&b, "(%s)(", cl_type(g, t->dt, lanes));
  for (uint32_t i = 0; i < lanes; i++) sb_fmt(&b, "%s%s", i ? ", " : "", repeated(g, t, 0, first + i * step, 1));
  sb_char(&b, ')');
  return sb_cstr(&b);
}

static const char *widened(cl *g, const cl_tile *t, uint32_t lanes, const char *x) {
  return cl_elementwise(g, OP_cast, t->dt, DT_i32, lanes, &x);
}

// Small floats are f32 in registers: a sum of `bf16` or `pairs` is one of fused steps, in order; one of `quads` is
// exact.
static void sum_depth(cl *g, const kir_stmt *s, const cl_tile *acc, const cl_tile *a, const cl_tile *b) {
  cl_tile *out = cl_tile_new(g, acc->dt, acc->rows, acc->cols);
  uint32_t side = kir_dot_interleaved(s);
  for (uint32_t i = 0; i < out->rows * out->n_pieces; i++) {
    uint32_t r = i / out->n_pieces, j = i % out->n_pieces, lanes = cl_piece_lanes(g, out->cols, j);
    out->v[i] = cl_variable(g, s->out, out, r, j);
    cl_line(g, "%s %s = %s;", cl_type(g, out->dt, lanes), out->v[i].text, acc->v[i].text);
    for (uint32_t k = 0; k < a->cols; k++) {
      const char *x = repeated(g, a, r, k, lanes);
      const char *y = side ? every(g, b, cl_piece_first(g, out->cols, j) * side + k, side, lanes)
                           : b->v[(size_t)k * b->n_pieces + j].text;
      if (out->dt == DT_i32) x = widened(g, a, lanes, x), y = widened(g, b, lanes, y);
      cl_line(g, "%s = %s;", out->v[i].text, cl_multiply_add(g, out->dt, lanes, x, y, out->v[i].text));
    }
  }
  cl_set(g, s->out, out);
}

void cl_dot(cl *g, const kir_stmt *s) {
  const cl_tile *acc = cl_get(g, s->in[0]), *a = cl_get(g, s->in[1]), *b = cl_get(g, s->in[2]);
  if (!kir_dot_is(s, "fma")) {
    sum_depth(g, s, acc, a, b);
    return;
  }
  cl_tile *out = cl_tile_new(g, acc->dt, acc->rows, acc->cols);
  for (uint32_t i = 0; i < out->rows * out->n_pieces; i++) {
    uint32_t r = i / out->n_pieces, j = i % out->n_pieces, lanes = cl_piece_lanes(g, out->cols, j);
    const char *x = cl_part(g, a, r, j, out->cols).text, *y = cl_part(g, b, 0, j, out->cols).text;
    out->v[i] = cl_variable(g, s->out, out, r, j);
    cl_line(g, "%s %s = %s;", cl_type(g, out->dt, lanes), out->v[i].text,
            cl_multiply_add(g, out->dt, lanes, x, y, acc->v[i].text));
  }
  cl_set(g, s->out, out);
}

// -- within a row --

typedef struct reduction {
  op_code op; // of two values
  dtype dt;
} reduction;

static const char *named(cl *g, reduction k, uint32_t lanes, const char *text) {
  const char *name = cl_fresh(g, "part");
  cl_line(g, "%s %s = %s;", cl_type(g, k.dt, lanes), name, text);
  return name;
}

static const char *combine(cl *g, reduction k, uint32_t lanes, const char *x, const char *y) {
  return named(g, k, lanes, cl_elementwise(g, k.op, k.dt, k.dt, lanes, (const char *[]){x, y}));
}

static const char *reduce_lanes(cl *g, reduction k, uint32_t lanes, const char *x) {
  if (lanes == 1) return x;
  x = named(g, k, lanes, x);
  while ((lanes /= 2) > 0) x = combine(g, k, lanes, str_fmt(g->a, "%s.lo", x), str_fmt(g->a, "%s.hi", x));
  return x;
}

static const char *reduce_row(cl *g, reduction k, const cl_tile *x, uint32_t r) {
  const cl_value *v = x->v + (size_t)r * x->n_pieces;
  uint32_t lanes = cl_piece_lanes(g, x->cols, 0), n = 0;
  const char **part = ARENA_ARRAY(g->a, const char *, x->n_pieces);
  while (n < x->n_pieces && cl_piece_lanes(g, x->cols, n) == lanes) part[n] = v[n].text, n++;
  uint32_t whole = n;
  while (n > 1) {
    uint32_t half = n / 2;
    for (uint32_t i = 0; i < half; i++) part[i] = combine(g, k, lanes, part[i], part[i + n - half]);
    n -= half;
  }
  const char *total = reduce_lanes(g, k, lanes, part[0]);
  for (uint32_t j = whole; j < x->n_pieces; j++)
    total = combine(g, k, 1, total, reduce_lanes(g, k, cl_piece_lanes(g, x->cols, j), v[j].text));
  return total;
}

// -- across workers: through local memory, which all reductions of a dtype share --

static void across(cl *g, reduction k, const kir_stmt *s, cl_tile *out) {
  const kir_kernel *w = g->k;
  bool first = s->across == w->workers[0];
  uint32_t inner = w->n_workers == 2 ? (uint32_t)w->worker_extent[1] : 1, rows = out->rows;
  uint32_t n = (uint32_t)w->worker_extent[first ? 0 : 1], stride = first ? inner : 1;
  const char *shared = str_fmt(g->a, "shared_%s", dtype_name(k.dt)), *turn = cl_fresh(g, "turn");
  const char *leader = cl_fresh(g, "leader");
  if (g->shared[k.dt] < g->lanes * rows) g->shared[k.dt] = g->lanes * rows;
  for (uint32_t r = 0; r < rows; r++) cl_line(g, "%s[%u*worker + %u] = %s;", shared, rows, r, out->v[r].text);
  cl_line(g, "barrier(CLK_LOCAL_MEM_FENCE);");
  cl_line(g, "const int %s = worker - worker / %u %% %u * %u;", leader, stride, n, stride);
  for (uint32_t r = 0; r < rows; r++) cl_line(g, "%s = %s[%u*%s + %u];", out->v[r].text, shared, rows, leader, r);
  cl_open(g, "for (int %s = 1; %s < %u; %s++)", turn, turn, n, turn);
  for (uint32_t r = 0; r < rows; r++) {
    const char *other = str_fmt(g->a, "%s[%u*(%s + %u*%s) + %u]", shared, rows, leader, stride, turn, r);
    const char *x[2] = {out->v[r].text, other};
    cl_line(g, "%s = %s;", out->v[r].text, cl_elementwise(g, k.op, k.dt, k.dt, 1, x));
  }
  cl_close(g);
  cl_line(g, "barrier(CLK_LOCAL_MEM_FENCE);"); // the next reduction writes where this one reads
}

void cl_reduce(cl *g, const kir_stmt *s) {
  const cl_tile *x = cl_get(g, s->in[0]);
  bool narrow = x->dt == DT_f16 || x->dt == DT_bf16, joins = s->across != NULL && g->lanes > 1;
  op_code op = s->op == OP_sum ? OP_add : s->op == OP_prod ? OP_mul : s->op == OP_amax ? OP_max : OP_min;
  reduction k = {op, narrow ? DT_f32 : x->dt};
  cl_tile *out = cl_tile_new(g, x->dt, x->rows, 1);
  for (uint32_t r = 0; r < x->rows; r++) {
    const char *total = reduce_row(g, k, x, r);
    out->v[r] = cl_variable(g, s->out, out, r, 0);
    cl_line(g, "%s %s = %s;", cl_type(g, k.dt, 1), out->v[r].text, joins ? total : cl_round(g, x->dt, 1, total));
  }
  if (joins) {
    across(g, k, s, out);
    for (uint32_t r = 0; narrow && r < x->rows; r++)
      cl_line(g, "%s = %s;", out->v[r].text, cl_round(g, x->dt, 1, out->v[r].text));
  }
  cl_set(g, s->out, out);
}
