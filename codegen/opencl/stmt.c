// Statements, copies, loops and branches.
//
// copy: the workers of a group move one rectangle, padded where its conditions fail, through an optional elementwise
// body. The rectangle is cut in pieces, each as wide as the widest vector whose length divides the columns; worker w
// moves pieces w, w + workers, … The statements inside see one piece through `g->view`.
#include "codegen/opencl/cl.h"

static cl_tile *new_tile(cl *g, const kir_tile *t) {
  uint32_t rows = t->rows, cols = t->cols;
  cl_shape(g, &rows, &cols);
  return cl_tile_new(g, t->dt, rows, cols);
}

// Declares piece (r, j) of `t`.
static void define(cl *g, const kir_tile *t, cl_tile *out, uint32_t r, uint32_t j, const char *text) {
  cl_value *v = &out->v[(size_t)r * out->n_pieces + j];
  *v = cl_variable(g, t, out, r, j);
  cl_line(g, "%s %s = %s;", cl_type(g, out->dt, cl_piece_lanes(g, out->cols, j)), v->text, text);
}

static void print_let(cl *g, const kir_stmt *s) {
  const char *type = cl_fits_int(g, idx_of(g->k->ix, s->var)) ? "int" : "long";
  cl_line(g, "const %s %s = %s;", type, cl_name(g, s->var->name), cl_index(g, s->index));
}

static void print_load(cl *g, const kir_stmt *s) {
  cl_tile *out = new_tile(g, s->out);
  cl_load(g, s->out, out, s->acc, s->where, s->imm);
  cl_set(g, s->out, out);
}

static void print_const(cl *g, const kir_stmt *s) {
  cl_tile *out = new_tile(g, s->out);
  for (uint32_t i = 0; i < out->rows * out->n_pieces; i++)
    out->v[i] = cl_splat(g, out->dt, cl_scalar(g, s->imm), cl_piece_lanes(g, out->cols, i % out->n_pieces));
  cl_set(g, s->out, out);
}

static void print_index(cl *g, const kir_stmt *s) {
  cl_tile *out = new_tile(g, s->out);
  for (uint32_t i = 0; i < out->rows * out->n_pieces; i++) {
    uint32_t j = i % out->n_pieces, first = cl_piece_first(g, out->cols, j), lanes = cl_piece_lanes(g, out->cols, j);
    const idx *e = cl_at_row(g, s->index, i / out->n_pieces);
    strbuf b;
    sb_init(&b, g->a);
    for (uint32_t c = 0; c < lanes; c++)
      sb_fmt(&b, "%s%s", c == 0 ? "" : ", ", cl_index(g, kir_at_col(g->k, e, first + c)));
    define(g, s->out, out, i / out->n_pieces, j, str_fmt(g->a, "(%s)(%s)", cl_type(g, out->dt, lanes), sb_cstr(&b)));
  }
  cl_set(g, s->out, out);
}

static const kir_tile *operand(const kir_stmt *s) { return s->in[s->kind == KIR_op && s->op == OP_where]; }

static void print_elementwise(cl *g, const kir_stmt *s) {
  cl_tile *out = new_tile(g, s->out);
  for (uint32_t i = 0; i < out->rows * out->n_pieces; i++) {
    uint32_t r = i / out->n_pieces, j = i % out->n_pieces, lanes = cl_piece_lanes(g, out->cols, j);
    const char *x[3] = {NULL, NULL, NULL};
    for (uint32_t p = 0; p < s->n_in; p++) x[p] = cl_part(g, cl_get(g, s->in[p]), r, j, out->cols).text;
    const char *text = s->kind == KIR_fma ? cl_multiply_add(g, out->dt, lanes, x[0], x[1], x[2])
                                          : cl_elementwise(g, s->op, operand(s)->dt, out->dt, lanes, x);
    define(g, s->out, out, r, j, text);
  }
  cl_set(g, s->out, out);
}

static void print_select(cl *g, const kir_stmt *s) {
  const cl_tile *x = cl_get(g, s->in[0]);
  cl_tile *out = new_tile(g, s->out);
  for (uint32_t r = 0; r < out->rows; r++) {
    cl_cond w = cl_where(g, s->where, r, out->cols);
    for (uint32_t j = 0; j < out->n_pieces; j++) {
      uint32_t lanes = cl_piece_lanes(g, out->cols, j);
      cl_value kept = cl_part(g, x, r, j, out->cols), other = cl_splat(g, out->dt, cl_scalar(g, s->imm), lanes);
      const char *mask = cl_mask(g, &w, cl_piece_first(g, out->cols, j), lanes), *text = kept.text;
      if (w.n_lane > 0)
        text = cl_elementwise(g, OP_where, out->dt, out->dt, lanes, (const char *[]){mask, text, other.text});
      else if (w.row != NULL) text = str_fmt(g->a, "%s ? %s : %s", w.row, text, other.text);
      define(g, s->out, out, r, j, text);
    }
  }
  cl_set(g, s->out, out);
}

static const char *element(cl *g, const cl_tile *t, uint32_t r, uint32_t c) {
  uint32_t j = 0;
  while (cl_piece_first(g, t->cols, j) + cl_piece_lanes(g, t->cols, j) <= c) j++;
  return cl_lane(g, t->v[(size_t)r * t->n_pieces + j], c - cl_piece_first(g, t->cols, j),
                 cl_piece_lanes(g, t->cols, j));
}

static void print_zip(cl *g, const kir_stmt *s) {
  cl_tile *out = new_tile(g, s->out);
  for (uint32_t i = 0; i < out->rows * out->n_pieces; i++) {
    uint32_t r = i / out->n_pieces, j = i % out->n_pieces, first = cl_piece_first(g, out->cols, j);
    uint32_t lanes = cl_piece_lanes(g, out->cols, j);
    strbuf b;
    sb_init(&b, g->a);
    for (uint32_t c = first; c < first + lanes; c++) {
      bool rows = s->n_in == 1;
      const cl_tile *from = cl_get(g, s->in[rows ? 0 : c % 2]);
      sb_fmt(&b, "%s%s", c == first ? "" : ", ", element(g, from, rows ? 2 * r + c % 2 : r, c / 2));
    }
    define(g, s->out, out, r, j, str_fmt(g->a, "(%s)(%s)", cl_type(g, out->dt, lanes), sb_cstr(&b)));
  }
  cl_set(g, s->out, out);
}

static void print_store(cl *g, const kir_stmt *s) {
  uint32_t rows = s->rows, cols = s->cols;
  cl_shape(g, &rows, &cols);
  cl_store(g, s->acc, cl_get(g, s->in[0]), rows, cols, s->where);
}

// The low word of the fault word gets site + 1 if the conditions hold anywhere; any of several sites may stay.
static void print_fault(cl *g, const kir_stmt *s) {
  const char *any = NULL;
  for (uint32_t r = 0; r < s->rows; r++) {
    cl_cond w = cl_where(g, s->where, r, s->cols);
    for (uint32_t c = 0; c < (w.n_lane > 0 ? s->cols : 1); c++) {
      const char *here = cl_all(g, w.row, cl_at_lane(g, &w, c));
      if (here == NULL) here = "1";
      any = any == NULL ? here : str_fmt(g->a, "%s || %s", any, here);
    }
  }
  cl_line(g, "if (%s) atomic_xchg((volatile __global uint *)fault, %lluu);", any, (unsigned long long)s->site + 1);
}

// -- copy --

static uint32_t piece_cols(const cl *g, uint32_t cols) {
  uint32_t n = g->widest;
  while (cols % n != 0) n /= 2;
  return n;
}

static const idx *counted(cl *g, const char *name, int64_t most) {
  sym *s = idx_fresh(g->k->ix, name);
  s->lo = idx_int(g->k->ix, 0);
  s->hi = idx_int(g->k->ix, most);
  return idx_of(g->k->ix, s);
}

static void print_piece(cl *g, const kir_stmt *s) {
  cl_tile *x = cl_tile_new(g, s->from.buf->dt, 1, g->view.part_cols);
  cl_load(g, s->n_carry > 0 ? s->carry[0] : NULL, x, s->from, s->where, s->imm);
  if (s->n_carry > 0) {
    cl_set(g, s->carry[0], x);
    cl_stmts(g, &s->body);
  }
  cl_store(g, s->acc, s->n_carry > 0 ? cl_get(g, s->yield[0]) : x, 1, g->view.part_cols, (kir_where){0, NULL});
}

static void print_copy(cl *g, const kir_stmt *s) {
  uint32_t cols = piece_cols(g, s->cols), across = s->cols / cols, n = s->rows * across;
  const char *piece = cl_fresh(g, "piece");
  g->view = (cl_view){true, counted(g, "row", s->rows - 1), counted(g, "col", s->cols - cols), s->rows, s->cols, cols};
  cl_open(g, "for (int %s = %s; %s < %u; %s += %u)", piece, g->lanes == 1 ? "0" : "worker", piece, n, piece, g->lanes);
  const char *row = cl_index(g, g->view.row), *col = cl_index(g, g->view.col);
  cl_line(g, "const int %s = %s / %u, %s = %s %% %u * %u;", row, piece, across, col, piece, across, cols);
  print_piece(g, s);
  cl_close(g);
  g->view = (cl_view){0};
}

// -- control flow --

// Variables of their own for what a loop carries, from its first values.
static cl_tile *carried(cl *g, const kir_tile *name, const cl_tile *init) {
  cl_tile *out = cl_tile_new(g, init->dt, init->rows, init->cols);
  for (uint32_t i = 0; i < out->rows * out->n_pieces; i++)
    define(g, name, out, i / out->n_pieces, i % out->n_pieces, init->v[i].text);
  cl_set(g, name, out);
  return out;
}

static void assign(cl *g, const cl_tile *to, const cl_tile *from) {
  for (uint32_t i = 0; i < to->rows * to->n_pieces; i++) {
    if (to->v[i].text != from->v[i].text) cl_line(g, "%s = %s;", to->v[i].text, from->v[i].text);
  }
}

// All yields are read before a carried value changes: one that is itself carried by the loop goes through a copy.
static void print_yields(cl *g, const kir_stmt *s, cl_tile *const *carry) {
  const cl_tile **from = ARENA_ARRAY(g->a, const cl_tile *, s->n_carry);
  for (uint32_t i = 0; i < s->n_carry; i++) {
    from[i] = cl_get(g, s->yield[i]);
    bool is_carried = false;
    for (uint32_t c = 0; c < s->n_carry; c++) is_carried = is_carried || (c != i && s->yield[i] == s->carry[c]);
    if (!is_carried) continue;
    cl_tile *copy = cl_tile_new(g, from[i]->dt, from[i]->rows, from[i]->cols);
    for (uint32_t v = 0; v < copy->rows * copy->n_pieces; v++) {
      copy->v[v] = (cl_value){cl_fresh(g, "next"), NULL};
      cl_line(g, "%s %s = %s;", cl_type(g, copy->dt, cl_piece_lanes(g, copy->cols, v % copy->n_pieces)),
              copy->v[v].text, from[i]->v[v].text);
    }
    from[i] = copy;
  }
  for (uint32_t i = 0; i < s->n_carry; i++) assign(g, carry[i], from[i]);
}

static void print_for(cl *g, const kir_stmt *s) {
  cl_tile **carry = ARENA_ARRAY(g->a, cl_tile *, s->n_carry);
  for (uint32_t i = 0; i < s->n_carry; i++) carry[i] = carried(g, s->carry[i], cl_get(g, s->init[i]));
  const char *name = cl_name(g, s->var->name);
  bool fits = cl_fits_int(g, idx_of(g->k->ix, s->var));
  bool end_fits = cl_fits_int(g, idx_addi(g->k->ix, s->hi, s->step)); // it ends up to a step beyond its bound
  const char *counter = fits && !end_fits ? cl_fresh(g, "turn") : name;
  if (s->unroll > 1) cl_line(g, "#pragma unroll %lld", (long long)s->unroll);
  cl_open(g, "for (%s %s = %s; %s < %s; %s += %lld)", fits && end_fits ? "int" : "long", counter, cl_index(g, s->lo),
          counter, cl_index(g, s->hi), counter, (long long)s->step);
  if (counter != name) cl_line(g, "const int %s = (int)%s;", name, counter);
  cl_stmts(g, &s->body);
  print_yields(g, s, carry);
  cl_close(g);
  for (uint32_t i = 0; i < s->n_carry; i++) cl_set(g, s->result[i], carry[i]);
}

static void print_if(cl *g, const kir_stmt *s) {
  cl_open(g, "if (%s)", cl_holds(g, s->index));
  cl_stmts(g, &s->body);
  cl_close(g);
  if (s->other.first == NULL) return;
  cl_open(g, "else");
  cl_stmts(g, &s->other);
  cl_close(g);
}

static void number_tiles(cl *g, const kir_stmt *s) {
  if (s->out != NULL) cl_number(g, s->out);
  for (uint32_t i = 0; s->kind == KIR_for && i < s->n_carry; i++) cl_number(g, s->result[i]);
  for (uint32_t i = 0; i < s->n_carry; i++) cl_number(g, s->carry[i]);
}

static void print(cl *g, const kir_stmt *s) {
  number_tiles(g, s);
  switch (s->kind) {
  case KIR_let: print_let(g, s); break;
  case KIR_load: print_load(g, s); break;
  case KIR_const: print_const(g, s); break;
  case KIR_index: print_index(g, s); break;
  case KIR_dot: cl_dot(g, s); break;
  case KIR_mma: cl_mma(g, s); break;
  case KIR_op:
  case KIR_fma: print_elementwise(g, s); break;
  case KIR_zip: print_zip(g, s); break;
  case KIR_select: print_select(g, s); break;
  case KIR_reduce: cl_reduce(g, s); break;
  case KIR_store: print_store(g, s); break;
  case KIR_copy: print_copy(g, s); break;
  case KIR_prefetch: break;
  case KIR_barrier: cl_line(g, "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);"); break;
  case KIR_fault: print_fault(g, s); break;
  case KIR_for: print_for(g, s); break;
  case KIR_if: print_if(g, s); break;
  }
}

void cl_stmts(cl *g, const kir_block *b) {
  for (const kir_stmt *s = b->first; s != NULL; s = s->next) print(g, s);
}
