// Products of few rows by a group of workers: a matrix times a vector or some, where memory is what everything waits
// for. A block of many rows would compute rows that there are not, in too few groups to ask for all of the memory.
//
//   group: columns n0.. of B, `width` of them       worker: a slice of the reduced range, a tile of some columns
//     for the other reduced labels
//       for k0 in 0..K step (slices x deep)          each worker: acc += A[rows, k] · B[k, its columns]
//     sums of slices through scratch, a half of them to the other half at a time
//   epilogue and store by the workers of the first slice
//
// Workers next to each other read what lies side by side: where that is columns (always in packed constants), a worker
// has four of them and one value of k, and the next worker the next four; where it is the reduced label, a worker has
// one column and four values of k, and the next worker the next four values. B is read once, from global memory: nobody
// else of the group needs it. Rows of A are short and stay in the cache.
//
// A schedule for many rows may share the kernel, which asks when it runs how many there are. Its blocks of columns are
// taken apart then, so that there are more groups: their number on the grid depends on the number of rows.
#include "passes/contract.h"

enum {
  TILE = 4,
  MOST_ROWS = 8,
  LEAST_WIDTH = 16,    // columns: two or four workers' neighbours still fill what memory hands out at once
  ALONG = 16,          // workers side by side along the reduced label
  ENOUGH_GROUPS = 256, // for a device of a hundred compute units
  UNROLL = 4           // loads in flight
};

// How many columns does a group have? As many as leave enough groups.
static uint32_t width_of(const contract *x) {
  int64_t points = 1;
  for (uint32_t i = 0; i < x->n_grid_batch; i++) points *= extent_hint(x->g, x->batch[i].extent);
  uint32_t width = x->cols;
  while (width > LEAST_WIDTH && extent_hint(x->g, x->nn) * points / width < ENOUGH_GROUPS) width /= 2;
  return width;
}

contract_few contract_plan_few(contract *x, int64_t workers) {
  int64_t least, most, rows = MOST_ROWS;
  contract_few f = {0};
  if (dtype_size(x->acc_dt) > 4) rows = 2; // of scratch there is as much
  if (!idx_range(x->g->m->ix, x->m, &least, &most)) least = 0, most = INT64_MAX;
  if (least > rows) return f;
  f.alone = most <= rows;
  f.most = f.alone ? most : rows;
  f.n_k = x->n_k;
  uint32_t unit = 0;
  while (unit < x->n_k && !contract_lies_along(x, x->n.root[1], x->k[unit].s)) unit++;
  for (uint32_t i = 0; i < x->n_k; i++) f.k[i] = x->k[i];
  f.along_k = !x->n_leaves && unit < x->n_k && !contract_lies_along(x, x->n.root[1], x->col) &&
              contract_label_in(x->n.root[0], x->k[unit].s);
  if (f.along_k) {
    f.k[0] = x->k[unit], f.k[unit] = x->k[0];
    f.n_split = 1;
    f.width = (uint32_t)(workers / ALONG);
    f.slices = ALONG;
  } else {
    f.n_split = nest_order_batch(f.n_k, f.k);
    f.width = width_of(x);
    f.slices = workers / (f.width / TILE);
  }
  f.parts = x->cols / f.width;
  f.sums = kir_group(x->g->k, "sums", x->acc_dt, 3, (int64_t[]){f.slices / 2, f.most, f.width});
  return f;
}

const idx *contract_is_few(const contract *x, const contract_few *f) {
  idx_ctx *kc = x->g->k->ix;
  const idx *room = idx_addi(kc, idx_scale(kc, lower_dim_expr(x->g, x->m), -1), f->most + 1);
  return idx_max(kc, idx_min(kc, room, idx_int(kc, 1)), idx_int(kc, 0));
}

typedef struct few_sum {
  contract *x;
  const contract_few *f;
  const idx *m, *panel, *in_panel, *n0; // the group's columns begin at in_panel of the panel, n0 of all
  const idx *slice, *col;               // of the worker; col: in the group, may mention c
  uint32_t rows, cols;                  // of the worker's tile
} few_sum;

// The products of one value of the split labels, or of four neighbours.
static kir_tile *multiply(const few_sum *q, const splice *outer, kir_builder *b, const idx *k_in, kir_tile *acc) {
  contract *x = q->x;
  kir_kernel *kernel = x->g->k;
  idx_ctx *kc = kernel->ix;
  scalar zero = scalar_i(DT_i64, 0);
  splice s[2] = {*outer, *outer};
  const idx *own = idx_add(kc, q->n0, q->col), *n = lower_dim_expr(x->g, x->nn);
  for (uint32_t o = 0; o < 2; o++) {
    s[o].b = b;
    s[o].rows = o ? 1 : q->rows;
    s[o].cols = o || q->f->along_k ? TILE : 1;
    s[o].col_tail = q->f->along_k ? k_in : NULL;
    s[o].done = map_new(x->g->c->a);
  }
  if (x->row) splice_bind(&s[0], x->row, q->rows == 1 ? idx_int(kc, 0) : idx_clamped(kc, idx_of(kc, kernel->r), q->m));
  splice_bind(&s[1], x->col, q->f->along_k ? idx_clamped(kc, own, n) : own);
  if (!q->f->along_k) s[1].col_tail = idx_addi(kc, idx_sub(kc, n, own), -1);
  for (uint32_t i = 0; i < x->n_leaves; i++) {
    const contract_leaf *leaf = &x->leaf[i];
    const idx *at = contract_packed_index(x, &s[1], leaf->load, q->panel, idx_add(kc, q->in_panel, q->col));
    map_put_ptr(s[1].done, leaf->load,
                kir_load(b, leaf->buf, &at, 1, TILE, kir_always, scalar_cast(zero, leaf->buf->dt)));
  }
  kir_tile *t[2];
  for (uint32_t o = 0; o < 2; o++) { // both, for zero times what is not finite is not zero
    t[o] = kir_convert(b, splice_tile(&s[o], x->n.root[o]), x->acc_dt);
    t[o] = kir_select(b, t[o], kir_conds(kernel, 1, &k_in), scalar_cast(zero, x->acc_dt));
  }
  return q->f->along_k ? kir_fma(b, t[0], t[1], acc) : kir_dot(b, acc, t[0], t[1], "fma");
}

// The loop over the split labels as one, each worker its slice of a turn.
static kir_tile *sum_slices(const few_sum *q, const splice *outer, kir_builder *b, kir_tile *acc) {
  const contract_few *f = q->f;
  lower_group *g = q->x->g;
  idx_ctx *kc = g->k->ix;
  const idx *extent = idx_int(kc, 1);
  for (uint32_t i = 0; i < f->n_split; i++) extent = idx_mul(kc, extent, lower_dim_expr(g, f->k[i].extent));
  int64_t deep = f->along_k ? TILE : 1;
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), extent, deep * f->slices, UNROLL, 1, &acc);
  kir_builder body = kir_for_body(b, loop);
  const idx *k = idx_add(kc, idx_of(kc, loop->var), idx_scale(kc, q->slice, deep));
  if (f->along_k) k = idx_add(kc, k, idx_of(kc, g->k->c));
  const idx *k_in = idx_addi(kc, idx_sub(kc, extent, k), -1);
  bool whole = kir_conds(g->k, 1, &k_in).n == 0;
  if (!f->along_k) k = kir_let(&body, "k", whole ? k : idx_clamped(kc, k, extent));
  splice s = *outer;
  for (uint32_t i = f->n_split; i-- > 0;) { // the last one fastest
    const idx *of_label = lower_dim_expr(g, f->k[i].extent);
    splice_bind(&s, f->k[i].s, i ? idx_mod(kc, k, of_label) : k);
    k = i ? idx_floordiv(kc, k, of_label) : k;
  }
  kir_tile *sum = multiply(q, &s, &body, k_in, loop->carry[0]);
  kir_for_end(loop, &sum);
  return loop->result[0];
}

static kir_tile *reduce(const few_sum *q, const splice *outer, kir_builder *b, uint32_t next, kir_tile *acc) {
  const contract_few *f = q->f;
  if (next == f->n_k) return sum_slices(q, outer, b, acc);
  idx_ctx *kc = q->x->g->k->ix;
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), lower_dim_expr(q->x->g, f->k[next].extent), 1, 1, 1, &acc);
  kir_builder body = kir_for_body(b, loop);
  splice s = *outer;
  splice_bind(&s, f->k[next].s, idx_of(kc, loop->var));
  kir_tile *sum = reduce(q, &s, &body, next + 1, loop->carry[0]);
  kir_for_end(loop, &sum);
  return loop->result[0];
}

// The first slice's workers get the sums of all slices, in an order that does not depend on when they come.
static kir_tile *add_slices(const few_sum *q, kir_builder *b, kir_tile *acc) {
  kir_kernel *k = q->x->g->k;
  idx_ctx *kc = k->ix;
  const kir_buffer *sums = q->f->sums;
  for (int64_t half = q->f->slices / 2; half > 0; half /= 2) {
    const idx *to = idx_addi(kc, q->slice, -half), *r = idx_of(kc, k->r);
    const idx *upper[] = {to, idx_addi(kc, idx_scale(kc, q->slice, -1), 2 * half - 1)};
    const idx *lower[] = {idx_addi(kc, idx_scale(kc, q->slice, -1), half - 1)};
    kir_store(b, sums, (const idx *[]){to, r, q->col}, acc, q->rows, q->cols, kir_conds(k, 2, upper));
    kir_tile *other = kir_load(b, sums, (const idx *[]){q->slice, r, q->col}, q->rows, q->cols, kir_conds(k, 1, lower),
                               scalar_cast(scalar_i(DT_i64, 0), q->x->acc_dt));
    acc = kir_op2(b, OP_add, acc, other);
  }
  return acc;
}

static void emit_rows(contract *x, const contract_few *f, const splice *outer, kir_builder *b, const few_group *at,
                      uint32_t rows) {
  kir_kernel *k = x->g->k;
  idx_ctx *kc = k->ix;
  const idx *worker = idx_of(kc, at->worker);
  few_sum q = {.x = x, .f = f, .m = lower_dim_expr(x->g, x->m), .panel = at->panel, .rows = rows};
  q.in_panel = idx_scale(kc, at->part, f->width);
  q.n0 = idx_add(kc, idx_scale(kc, at->panel, x->cols), q.in_panel);
  q.cols = f->along_k ? 1 : TILE;
  const idx *fast = idx_int(kc, f->along_k ? f->slices : f->width / TILE);
  const idx *slow_at = kir_let(b, "y", idx_floordiv(kc, worker, fast)),
            *fast_at = kir_let(b, "x", idx_mod(kc, worker, fast));
  q.slice = f->along_k ? fast_at : slow_at;
  q.col = f->along_k ? slow_at : idx_add(kc, idx_scale(kc, fast_at, TILE), idx_of(kc, k->c));
  kir_tile *acc = kir_const(b, scalar_cast(scalar_i(DT_i64, 0), x->acc_dt), rows, TILE);
  acc = reduce(&q, outer, b, f->n_split, acc);
  if (f->along_k) acc = kir_reduce(b, OP_sum, acc, NULL);
  acc = add_slices(&q, b, acc);
  splice out = *outer;
  out.rows = rows;
  out.cols = q.cols;
  const idx *row = rows == 1 ? idx_int(kc, 0) : idx_of(kc, k->r), *col = idx_add(kc, q.n0, q.col);
  if (x->row) splice_bind(&out, x->row, row);
  splice_bind(&out, x->col, col);
  out.row_tail = idx_addi(kc, idx_sub(kc, q.m, row), -1);
  out.col_tail = idx_addi(kc, idx_sub(kc, lower_dim_expr(x->g, x->nn), col), -1);
  out.cond[out.n_conds++] = idx_scale(kc, q.slice, -1);
  if (f->along_k) out.cond[out.n_conds++] = out.col_tail; // that is no tile's tail, for a tile has one column
  contract_epilogue(x, &out, b, acc);
}

void contract_emit_few(contract *x, const contract_few *f, const splice *s, kir_builder *b, const few_group *at) {
  idx_ctx *kc = x->g->k->ix;
  int64_t least, most;
  bool may_be_one = !idx_range(x->g->m->ix, x->m, &least, &most) || least <= 1;
  if (f->most == 1 || !may_be_one) {
    emit_rows(x, f, s, b, at, (uint32_t)f->most);
    return;
  }
  kir_stmt *one = kir_if(b, idx_addi(kc, idx_scale(kc, lower_dim_expr(x->g, x->m), -1), 1));
  kir_builder then = kir_then(b, one), otherwise = kir_else(b, one);
  emit_rows(x, f, s, &then, at, 1);
  emit_rows(x, f, s, &otherwise, at, (uint32_t)f->most);
}
