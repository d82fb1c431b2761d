// Schedule of contractions for devices whose work-items share local memory: a group of workers computes one block of
// the result together.
//
//   grid: batch…, blocks of rows, blocks of columns      group: side x side workers, each a tile of 4 x 4
//   for the other reduced labels
//     for k0 in 0..K step 16                             K: the longest reduced label
//       A[rows of the block, k0..], B[k0.., columns of the block] into scratch, every worker four neighbours at a time
//       each worker: acc += A's column of its rows · B's row of its columns, 16 times
//   epilogue and store, every worker its own tile
//
// Operands are computed as they are staged, once a block: gathers, casts, windows, widened weights. Four neighbours are
// taken along the label that lies side by side in memory, so that workers next to each other read what is next to each
// other. Constant operands come packed, a block of columns side by side. Where a block has at most `side` rows, a
// worker has a tile of one row.
//
// Scratch is 16 x (64 + 4 + 64) values for 256 workers: less than the 16 KB that every device has. Source: Volkov and
// Demmel 2008, "Benchmarking GPUs to tune dense linear algebra", for tiles in registers over blocks in scratch.
#include "passes/contract.h"

enum { TILE = 4, DEPTH = 16, PAD = 4 }; // PAD: columns of scratch that keep transposed stores off one bank

typedef struct staging {
  contract *x;
  uint32_t o;        // 0: A, 1: B
  const sym *own;    // its row or column label
  const idx *first;  // of the block
  const idx *extent; // of the label
  uint32_t width;    // of the block
  bool along_k;      // which of the two lies side by side
  const idx *panel;  // of a packed B
  kir_buffer *to;    // [DEPTH, width + PAD]
} staging;

typedef struct depth { // of the longest reduced label
  uint32_t label;
  const idx *first, *end;
} depth;

static uint32_t side_of(const contract *x) { return x->g->c->target->workers >= 256 ? 16 : 8; }

static bool is_side_by_side(contract *x, const sx *root, const sym *s) {
  return s && contract_label_in(root, s) && contract_is_unit(x, root, s);
}

static const idx *clamped(idx_ctx *kc, const idx *at, const idx *extent) {
  return idx_min(kc, at, idx_addi(kc, extent, -1));
}

// Values of a block's operand to scratch: quads of neighbours, as many for each worker as it takes.
static void stage(const staging *g, const splice *outer, kir_builder *b, const sym *worker, const depth *d) {
  contract *x = g->x;
  kir_kernel *kernel = x->g->k;
  idx_ctx *kc = kernel->ix;
  int64_t workers = (int64_t)side_of(x) * side_of(x), quads = (int64_t)g->width * DEPTH / TILE;
  int64_t in_line = (g->along_k ? DEPTH : (int64_t)g->width) / TILE;
  for (int64_t from = 0; from < quads; from += workers) {
    const idx *q = idx_addi(kc, idx_of(kc, worker), from), *line_length = idx_int(kc, in_line);
    const idx *line = kir_let(b, "l", idx_floordiv(kc, q, line_length));
    const idx *at =
        idx_add(kc, kir_let(b, "q", idx_scale(kc, idx_mod(kc, q, line_length), TILE)), idx_of(kc, kernel->c));
    const idx *own = g->along_k ? line : at, *k = g->along_k ? at : line;
    const idx *own_at = idx_add(kc, g->first, own), *k_at = idx_add(kc, d->first, k);
    const idx *own_in = idx_addi(kc, idx_sub(kc, g->extent, own_at), -1),
              *k_in = idx_addi(kc, idx_sub(kc, d->end, k_at), -1);
    splice s = *outer;
    s.b = b;
    s.rows = 1;
    s.cols = TILE;
    s.done = map_new(x->g->c->a);
    s.row_tail = NULL;
    s.col_tail = g->along_k ? k_in : own_in;
    splice_bind(&s, g->own, g->along_k ? clamped(kc, own_at, g->extent) : own_at);
    splice_bind(&s, x->k[d->label].s, g->along_k ? k_at : clamped(kc, k_at, d->end));
    scalar zero = scalar_i(DT_i64, 0);
    for (uint32_t i = 0; g->o && i < x->n_leaves; i++) {
      const contract_leaf *leaf = &x->leaf[i];
      const idx *place[] = {contract_packed_index(x, &s, leaf->load, g->panel, own)};
      map_put_ptr(s.done, leaf->load,
                  kir_load(b, leaf->buf, place, 1, TILE, kir_always, scalar_cast(zero, leaf->buf->dt)));
    }
    kir_tile *t = kir_convert(b, splice_tile(&s, x->n.root[g->o]), x->acc_dt);
    t = kir_select(b, t, kir_conds(kernel, 1, &k_in), scalar_cast(zero, x->acc_dt));
    const idx *to[] = {k, own}, *has_work[] = {idx_sub(kc, idx_int(kc, quads - 1), q)};
    kir_store(b, g->to, to, t, 1, TILE, kir_conds(kernel, 1, has_work));
  }
}

// Every worker's products of what is staged.
static kir_tile *multiply(const contract *x, kir_builder *b, const staging *a, const staging *bs, const idx *row,
                          const idx *col, uint32_t rows, kir_tile *acc) {
  idx_ctx *kc = x->g->k->ix;
  scalar zero = scalar_cast(scalar_i(DT_i64, 0), x->acc_dt);
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), idx_int(kc, DEPTH), 1, TILE, 1, &acc);
  kir_builder body = kir_for_body(b, loop);
  const idx *k = idx_of(kc, loop->var);
  const idx *a_at[] = {k, idx_add(kc, row, idx_of(kc, x->g->k->r))},
            *b_at[] = {k, idx_add(kc, col, idx_of(kc, x->g->k->c))};
  kir_tile *a_tile = kir_load(&body, a->to, a_at, rows, 1, kir_always, zero);
  kir_tile *b_tile = kir_load(&body, bs->to, b_at, 1, TILE, kir_always, zero);
  kir_tile *sum = kir_dot(&body, loop->carry[0], a_tile, b_tile, "fma");
  kir_for_end(loop, &sum);
  return loop->result[0];
}

static uint32_t longest_label(const contract *x) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < x->n_k; i++)
    if (extent_hint(x->g, x->k[i].extent) >= extent_hint(x->g, x->k[best].extent)) best = i;
  return best;
}

// The loops over the other reduced labels, outermost first, around the one over the longest.
static kir_tile *reduce(contract *x, const splice *outer, kir_builder *b, staging *a, staging *bs, const sym *worker,
                        const idx *row, const idx *col, uint32_t rows, uint32_t label, uint32_t next, kir_tile *acc) {
  idx_ctx *kc = x->g->k->ix;
  while (next < x->n_k && next == label) next++;
  uint32_t which = next < x->n_k ? next : label;
  const idx *extent = lower_dim_expr(x->g, x->k[which].extent);
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), extent, which == label ? DEPTH : 1, 1, 1, &acc);
  kir_builder body = kir_for_body(b, loop);
  splice s = *outer;
  kir_tile *sum;
  if (which != label) {
    splice_bind(&s, x->k[which].s, idx_of(kc, loop->var));
    sum = reduce(x, &s, &body, a, bs, worker, row, col, rows, label, next + 1, loop->carry[0]);
  } else {
    depth d = {label, idx_of(kc, loop->var), extent};
    stage(a, &s, &body, worker, &d);
    stage(bs, &s, &body, worker, &d);
    sum = multiply(x, &body, a, bs, row, col, rows, loop->carry[0]);
  }
  kir_for_end(loop, &sum);
  return loop->result[0];
}

// The group's block: rows m0.., columns of a panel.
static void emit_block(contract *x, const splice *s, kir_builder *b, const sym *w, const idx *m0, const idx *panel) {
  kir_kernel *k = x->g->k;
  idx_ctx *kc = k->ix;
  uint32_t side = side_of(x), rows = x->rows / side, label = longest_label(x);
  const idx *m = lower_dim_expr(x->g, x->m), *n = lower_dim_expr(x->g, x->nn), *n0 = idx_scale(kc, panel, x->cols);
  staging a = {.x = x, .o = 0, .own = x->row, .first = m0, .extent = m, .width = x->rows};
  staging bs = {.x = x, .o = 1, .own = x->col, .first = n0, .extent = n, .width = x->cols, .panel = panel};
  a.along_k = is_side_by_side(x, x->n.root[0], x->k[label].s) && !is_side_by_side(x, x->n.root[0], x->row);
  bs.along_k = !x->n_leaves && is_side_by_side(x, x->n.root[1], x->k[label].s);
  a.to = kir_group(k, "a", x->acc_dt, 2, (int64_t[]){DEPTH, a.width + PAD});
  bs.to = kir_group(k, "b", x->acc_dt, 2, (int64_t[]){DEPTH, bs.width + PAD});
  const idx *worker = idx_of(kc, w), *of_worker = idx_int(kc, side);
  const idx *row = kir_let(b, "y", idx_scale(kc, idx_floordiv(kc, worker, of_worker), rows));
  const idx *col = kir_let(b, "x", idx_scale(kc, idx_mod(kc, worker, of_worker), TILE));
  kir_tile *acc = kir_const(b, scalar_cast(scalar_i(DT_i64, 0), x->acc_dt), rows, TILE);
  acc = reduce(x, s, b, &a, &bs, w, row, col, rows, label, 0, acc);
  splice out = *s;
  out.rows = rows;
  out.cols = TILE;
  const idx *row_at = idx_add(kc, m0, idx_add(kc, row, idx_of(kc, k->r)));
  const idx *col_at = idx_add(kc, n0, idx_add(kc, col, idx_of(kc, k->c)));
  splice_bind(&out, x->row, row_at);
  splice_bind(&out, x->col, col_at);
  out.row_tail = idx_addi(kc, idx_sub(kc, m, row_at), -1);
  out.col_tail = idx_addi(kc, idx_sub(kc, n, col_at), -1);
  contract_epilogue(x, &out, b, acc);
}

// What a group does: `at` is its place among panels, or parts of panels. Where there may be few rows and may be many,
// that is asked when it runs.
static void emit_group(contract *x, const contract_few *few, const splice *s, kir_builder *b, const sym *worker,
                       const idx *m0, const idx *at, const idx *panels) {
  idx_ctx *kc = x->g->k->ix;
  if (!few->most) {
    emit_block(x, s, b, worker, m0, at);
    return;
  }
  const idx *parts = idx_int(kc, few->parts);
  few_group group = {worker, idx_floordiv(kc, at, parts), idx_mod(kc, at, parts)};
  if (few->alone) {
    contract_emit_few(x, few, s, b, &group);
    return;
  }
  kir_stmt *is_few = kir_if(b, idx_addi(kc, contract_is_few(x, few), -1));
  kir_builder then = kir_then(b, is_few), otherwise = kir_else(b, is_few);
  contract_emit_few(x, few, s, &then, &group);
  emit_block(x, s, &otherwise, worker, m0, kir_let(&otherwise, "panel", clamped(kc, at, panels)));
}

bool schedule_contract_group(contract *x) {
  lower_group *g = x->g;
  if (!nest_may_share(&x->n, x->acc_dt) || x->lanes || !x->n_k) return false;
  if (!x->col && x->row) contract_rows_are_columns(x);
  if (!x->col) return false;
  idx_ctx *kc = g->k->ix;
  uint32_t side = side_of(x), workers = side * side;
  x->n_each = 1;
  x->rows = extent_max(g, x->m) <= (int64_t)side ? side : TILE * side;
  x->cols = TILE * side;
  (void)contract_prepack(x);
  for (uint32_t i = 0; i < x->n_leaves; i++) x->leaf[i].buf = lower_in(g, x->leaf[i].packed);

  contract_few few = contract_plan_few(x, workers);
  splice s = {.g = g};
  nest_bind_grid(&s, x->n_grid_batch, x->batch);
  const idx *m0 = idx_scale(kc, lower_grid(g, "gm", idx_ceildiv(kc, lower_dim_expr(g, x->m), x->rows)), x->rows);
  const idx *panels = idx_ceildiv(kc, lower_dim_expr(g, x->nn), x->cols), *parts = idx_int(kc, 1);
  if (few.alone) parts = idx_int(kc, few.parts);
  else if (few.most) parts = idx_addi(kc, idx_scale(kc, contract_is_few(x, &few), few.parts - 1), 1);
  const idx *at = lower_grid(g, "gn", idx_mul(kc, panels, parts));
  if (g->k->n_grid == 0) kir_grid(g->k, "g", idx_int(kc, 1));
  const sym *worker = kir_worker(g->k, "w", workers);

  kir_builder b = kir_begin(g->k);
  kir_stmt *loops[MAX_OUTER];
  uint32_t n_loops = 0;
  for (uint32_t i = x->n_grid_batch; i < x->n_batch; i++) {
    kir_stmt *loop = kir_for(&b, "i", idx_int(kc, 0), lower_dim_expr(g, x->batch[i].extent), 1, 1, 0, NULL);
    splice_bind(&s, x->batch[i].s, idx_of(kc, loop->var));
    b = kir_for_body(&b, loop);
    loops[n_loops++] = loop;
  }
  emit_group(x, &few, &s, &b, worker, m0, at, panels);
  while (n_loops--) kir_for_end(loops[n_loops], NULL);
  kir_place_barriers(g->k);
  return true;
}
