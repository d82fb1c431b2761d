// Building statements at a cursor: shapes and dtypes are inferred, and what is always true is not written down.
//
// Operands that do not fit are a bug of the schedule. A condition is dropped where the bounds of its symbols prove it,
// with r and c ranging over the statement's shape; in a shape of one row, r is 0, and so is c in one column.
#include "ir/kir_priv.h"

const kir_where kir_always = {0, NULL};

kir_stmt *kir_append(kir_kernel *k, kir_block *at, kir_kind kind) {
  kir_stmt *s = ARENA_NEW(k->a, kir_stmt);
  s->kind = kind;
  s->step = s->unroll = 1;
  if (at->last == NULL) at->first = s;
  else at->last->next = s;
  at->last = s;
  return s;
}

kir_tile *kir_tile_new(kir_kernel *k, kir_stmt *def, dtype dt, uint32_t rows, uint32_t cols) {
  BUG_IF(k->diags, !kir_shape_legal(rows, cols), "kernel %s: a tile of %ux%u", k->name, rows, cols);
  kir_tile *t = ARENA_NEW(k->a, kir_tile);
  *t = (kir_tile){k->next_tile++, dt, rows, cols, def};
  return t;
}

// -- conditions and places --

// r or c over `side` places: 0 when there is one, otherwise a symbol of its own that no text can spell.
static const idx *coordinate(kir_kernel *k, const sym *rc, uint32_t side) {
  if (side == 1) return idx_int(k->ix, 0);
  sym *s = idx_symbol(k->ix, str_fmt(k->a, "%s<%u", rc->name, side));
  if (s->hi == NULL) {
    s->lo = idx_int(k->ix, 0);
    s->hi = idx_int(k->ix, side - 1);
  }
  return idx_of(k->ix, s);
}

static bool holds(kir_kernel *k, const idx *e, uint32_t rows, uint32_t cols) {
  const idx_binding over[2] = {{k->r, coordinate(k, k->r, rows)}, {k->c, coordinate(k, k->c, cols)}};
  return idx_nonneg(k->ix, kir_expand(k->ix, idx_subst(k->ix, e, 2, over))) == TRI_yes;
}

static const idx *at_shape(kir_kernel *k, const idx *e, uint32_t rows, uint32_t cols) {
  if (rows == 1) e = idx_subst1(k->ix, e, k->r, idx_int(k->ix, 0));
  return cols == 1 ? idx_subst1(k->ix, e, k->c, idx_int(k->ix, 0)) : e;
}

static kir_where where_of(kir_kernel *k, kir_where w, uint32_t rows, uint32_t cols) {
  const idx **kept = ARENA_ARRAY(k->a, const idx *, w.n);
  uint32_t n = 0;
  for (uint32_t i = 0; i < w.n; i++) {
    const idx *e = at_shape(k, w.cond[i], rows, cols);
    if (!holds(k, e, rows, cols)) kept[n++] = e;
  }
  return (kir_where){n, kept};
}

static kir_access access_of(kir_kernel *k, const kir_buffer *buf, const idx *const *index, uint32_t rows,
                            uint32_t cols) {
  const idx **at = ARENA_ARRAY(k->a, const idx *, buf->rank);
  for (uint32_t i = 0; i < buf->rank; i++) at[i] = at_shape(k, index[i], rows, cols);
  return (kir_access){buf, at};
}

kir_where kir_conds(kir_kernel *k, uint32_t n, const idx *const *cond) {
  const idx **kept = ARENA_ARRAY(k->a, const idx *, n);
  uint32_t m = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (idx_nonneg(k->ix, kir_expand(k->ix, cond[i])) != TRI_yes) kept[m++] = cond[i];
  }
  return (kir_where){m, kept};
}

kir_where kir_both(kir_kernel *k, kir_where a, kir_where b) {
  const idx **all = ARENA_ARRAY(k->a, const idx *, (size_t)a.n + b.n);
  uint32_t n = 0;
  for (uint32_t i = 0; i < a.n; i++) all[n++] = a.cond[i];
  for (uint32_t i = 0; i < b.n; i++) {
    bool known = false;
    for (uint32_t j = 0; j < a.n; j++) known = known || a.cond[j] == b.cond[i];
    if (!known) all[n++] = b.cond[i];
  }
  return (kir_where){n, all};
}

// -- tile operations --

// Infers what `s` defines from its operands.
static kir_tile *defined(kir_builder *b, kir_stmt *s, dtype to) {
  kir_type t;
  diag_id wrong = kir_infer(s, to, &t);
  BUG_IF(b->k->diags, wrong != DIAG_COUNT, "kernel %s: %s in a built statement", b->k->name, diag_name(wrong));
  return s->out = kir_tile_new(b->k, s, t.dt, t.rows, t.cols);
}

static kir_stmt *with_operands(kir_builder *b, kir_kind kind, uint32_t n, kir_tile *const *in) {
  kir_stmt *s = kir_append(b->k, b->at, kind);
  for (uint32_t i = 0; i < n; i++) s->in[i] = in[i];
  s->n_in = n;
  return s;
}

const idx *kir_let(kir_builder *b, const char *prefix, const idx *e) {
  if (idx_is_const(e, NULL) || idx_is_symbol(e) != NULL) return e;
  kir_stmt *s = kir_append(b->k, b->at, KIR_let);
  s->index = e;
  s->var = kir_fresh(b->k, prefix, e, e);
  return idx_of(b->k->ix, s->var);
}

kir_tile *kir_load(kir_builder *b, const kir_buffer *buf, const idx *const *index, uint32_t rows, uint32_t cols,
                   kir_where w, scalar otherwise) {
  kir_stmt *s = kir_append(b->k, b->at, KIR_load);
  s->acc = access_of(b->k, buf, index, rows, cols);
  s->where = where_of(b->k, w, rows, cols);
  s->imm = s->where.n == 0 ? scalar_i(buf->dt, 0) : scalar_cast(otherwise, buf->dt);
  return s->out = kir_tile_new(b->k, s, buf->dt, rows, cols);
}

kir_tile *kir_const(kir_builder *b, scalar v, uint32_t rows, uint32_t cols) {
  kir_stmt *s = kir_append(b->k, b->at, KIR_const);
  s->imm = v;
  return s->out = kir_tile_new(b->k, s, v.dt, rows, cols);
}

kir_tile *kir_index(kir_builder *b, const idx *e, dtype dt, uint32_t rows, uint32_t cols) {
  BUG_IF(b->k->diags, dt != DT_i32 && dt != DT_i64, "kernel %s: an index of %s", b->k->name, dtype_name(dt));
  kir_stmt *s = kir_append(b->k, b->at, KIR_index);
  s->index = at_shape(b->k, e, rows, cols);
  return s->out = kir_tile_new(b->k, s, dt, rows, cols);
}

kir_tile *kir_dot(kir_builder *b, kir_tile *acc, kir_tile *x, kir_tile *y, const char *variant) {
  kir_stmt *s = with_operands(b, KIR_dot, 3, (kir_tile *[]){acc, x, y});
  s->variant = intern_z(b->k->names, variant);
  return defined(b, s, acc->dt);
}

kir_tile *kir_mma(kir_builder *b, kir_tile *acc, const kir_buffer *a_buf, const idx *const *a, const kir_buffer *b_buf,
                  const idx *const *b_index, uint32_t depth) {
  kir_stmt *s = with_operands(b, KIR_mma, 1, &acc);
  s->acc = access_of(b->k, a_buf, a, 2, 2);
  s->from = access_of(b->k, b_buf, b_index, 2, 2);
  s->cols = depth;
  return defined(b, s, acc->dt);
}

kir_tile *kir_op(kir_builder *b, op_code op, uint32_t n, kir_tile *const *in) {
  BUG_IF(b->k->diags, n == 0 || n > 3 || op == OP_cast, "kernel %s: %s of %u tiles", b->k->name, op_get(op)->name, n);
  kir_stmt *s = with_operands(b, KIR_op, n, in);
  s->op = op;
  return defined(b, s, in[0]->dt);
}

kir_tile *kir_op1(kir_builder *b, op_code op, kir_tile *x) { return kir_op(b, op, 1, &x); }

kir_tile *kir_op2(kir_builder *b, op_code op, kir_tile *x, kir_tile *y) {
  return kir_op(b, op, 2, (kir_tile *[]){x, y});
}

kir_tile *kir_convert(kir_builder *b, kir_tile *x, dtype to) {
  if (x->dt == to) return x;
  kir_stmt *s = with_operands(b, KIR_op, 1, &x);
  s->op = OP_cast;
  return defined(b, s, to);
}

kir_tile *kir_fma(kir_builder *b, kir_tile *x, kir_tile *y, kir_tile *z) {
  return defined(b, with_operands(b, KIR_fma, 3, (kir_tile *[]){x, y, z}), x->dt);
}

kir_tile *kir_zip(kir_builder *b, kir_tile *x, kir_tile *y) {
  return defined(b, with_operands(b, KIR_zip, y ? 2 : 1, (kir_tile *[]){x, y}), x->dt);
}

kir_tile *kir_select(kir_builder *b, kir_tile *x, kir_where w, scalar otherwise) {
  kir_where left = where_of(b->k, w, x->rows, x->cols);
  if (left.n == 0) return x;
  kir_stmt *s = with_operands(b, KIR_select, 1, &x);
  s->where = left;
  s->imm = scalar_cast(otherwise, x->dt);
  return defined(b, s, x->dt);
}

kir_tile *kir_reduce(kir_builder *b, op_code op, kir_tile *x, const sym *across) {
  kir_stmt *s = with_operands(b, KIR_reduce, 1, &x);
  s->op = op;
  s->across = across;
  return defined(b, s, x->dt);
}

// -- memory --

void kir_store(kir_builder *b, const kir_buffer *buf, const idx *const *index, kir_tile *x, uint32_t rows,
               uint32_t cols, kir_where w) {
  kir_stmt *s = with_operands(b, KIR_store, 1, &x);
  s->rows = rows;
  s->cols = cols;
  s->acc = access_of(b->k, buf, index, rows, cols);
  s->where = where_of(b->k, w, rows, cols);
}

kir_stmt *kir_copy(kir_builder *b, const kir_buffer *to, const idx *const *to_index, const kir_buffer *from,
                   const idx *const *from_index, uint32_t rows, uint32_t cols, kir_where w, scalar otherwise) {
  kir_stmt *s = kir_append(b->k, b->at, KIR_copy);
  s->rows = rows;
  s->cols = cols;
  s->acc = access_of(b->k, to, to_index, rows, cols);
  s->from = access_of(b->k, from, from_index, rows, cols);
  s->where = where_of(b->k, w, rows, cols);
  s->imm = s->where.n == 0 ? scalar_i(from->dt, 0) : scalar_cast(otherwise, from->dt);
  return s;
}

kir_tile *kir_loaded_new(kir_kernel *k, kir_stmt *copy) {
  copy->n_carry = 1;
  copy->carry = ARENA_NEW(k->a, kir_tile *);
  copy->yield = ARENA_NEW(k->a, kir_tile *);
  return copy->carry[0] = kir_tile_new(k, copy, copy->from.buf->dt, copy->rows, copy->cols);
}

kir_builder kir_copy_body(kir_builder *b, kir_stmt *copy, kir_tile **loaded) {
  *loaded = kir_loaded_new(b->k, copy);
  return (kir_builder){b->k, &copy->body};
}

void kir_copy_yield(kir_stmt *copy, kir_tile *x) { copy->yield[0] = x; }

void kir_prefetch(kir_builder *b, const kir_buffer *buf, const idx *const *index) {
  kir_append(b->k, b->at, KIR_prefetch)->acc = access_of(b->k, buf, index, 1, 1);
}

void kir_fault(kir_builder *b, int64_t site, uint32_t rows, uint32_t cols, kir_where w) {
  kir_stmt *s = kir_append(b->k, b->at, KIR_fault);
  s->site = site;
  s->rows = rows;
  s->cols = cols;
  s->where = where_of(b->k, w, rows, cols);
}

// -- control flow --

void kir_carry_new(kir_kernel *k, kir_stmt *loop, uint32_t n, kir_tile *const *init) {
  loop->n_carry = n;
  loop->init = arena_copy(k->a, init, n * sizeof *init);
  loop->carry = ARENA_ARRAY(k->a, kir_tile *, n);
  loop->yield = ARENA_ARRAY(k->a, kir_tile *, n);
  loop->result = ARENA_ARRAY(k->a, kir_tile *, n);
  for (uint32_t i = 0; i < n; i++) {
    loop->carry[i] = kir_tile_new(k, loop, init[i]->dt, init[i]->rows, init[i]->cols);
    loop->result[i] = kir_tile_new(k, loop, init[i]->dt, init[i]->rows, init[i]->cols);
  }
}

kir_stmt *kir_for(kir_builder *b, const char *prefix, const idx *lo, const idx *hi, int64_t step, int64_t unroll,
                  uint32_t n_carry, kir_tile *const *init) {
  kir_stmt *s = kir_append(b->k, b->at, KIR_for);
  sym *var = kir_fresh_symbol(b->k, prefix);
  kir_bound_loop(b->k, var, lo, hi, step);
  s->var = var;
  s->lo = lo;
  s->hi = hi;
  s->step = step;
  s->unroll = unroll;
  if (n_carry > 0) kir_carry_new(b->k, s, n_carry, init);
  return s;
}

kir_builder kir_for_body(kir_builder *b, kir_stmt *loop) { return (kir_builder){b->k, &loop->body}; }

void kir_for_end(kir_stmt *loop, kir_tile *const *yield) {
  for (uint32_t i = 0; i < loop->n_carry; i++) loop->yield[i] = yield[i];
}

kir_stmt *kir_if(kir_builder *b, const idx *cond) {
  kir_stmt *s = kir_append(b->k, b->at, KIR_if);
  s->index = cond;
  return s;
}

kir_builder kir_then(kir_builder *b, kir_stmt *s) { return (kir_builder){b->k, &s->body}; }

kir_builder kir_else(kir_builder *b, kir_stmt *s) { return (kir_builder){b->k, &s->other}; }
