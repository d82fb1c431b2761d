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
//
// Where the target has `mma` (ir/kir.h) and both operands are bf16, widened and nothing else, four warps share a
// block of 64 x 64, or eight one of 128 x 128 where such blocks fill the device: operands are then read half as often.
// A warp multiplies 32 x 32 (64 x 32) of it, of which each of its workers holds 4 x 8 (8 x 8). Operands then lie in
// scratch as bf16, a step of 32 reduced values of a row or column side by side, 8 of padding behind it, so that the
// eight rows which an instruction reads at a time are on different banks. Constants are read where they lie.
#include "passes/contract.h"
#include <math.h>

enum { TILE = 4, DEPTH = 16, PAD = 4, WARP_DEPTH = 32, WARP_PAD = 8, WARP_SIDE = 32 };

// Who computes what of a block.
typedef struct tiling {
  bool warps;                    // products are a warp's
  uint32_t workers;              // of the group
  uint32_t held_rows, held_cols; // of a worker's tile; of a warp's
  uint32_t step;                 // reduced values in scratch at a time
  const idx *row, *col;          // of the block: where that tile begins
} tiling;

typedef struct staging {
  contract *x;
  const sx *root;           // what is staged
  const sym *own;           // its row or column label
  const idx *first;         // of the block
  const idx *extent;        // of the label
  uint32_t width;           // of the block
  bool along_k;             // which of the two lies side by side in memory
  const idx *panel;         // of a packed B; NULL for A
  kir_buffer *to;           // [step, width + PAD]; warps: [width, step + WARP_PAD]
  uint32_t rows;            // of a worker's quads
  const idx *own_at, *k_at; // of their values, in the block and in the step
  const idx *has_work;      // >= 0: there are quads for this worker
} staging;

typedef struct depth { // of the longest reduced label
  uint32_t label;
  const idx *first, *end;
} depth;

// A block of few rows or columns would be mostly empty.
static bool is_for_warps(const contract *x) {
  enum { FEW = 16 };
  return x->g->c->target->has_mma && x->acc_dt == DT_f32 && form_narrow(x->n.root[0], DT_bf16) &&
         form_narrow(x->n.root[1], DT_bf16) && extent_max(x->g, x->m) > FEW && extent_max(x->g, x->nn) > FEW;
}

// Quads of neighbours of a block's operand: which of them are a worker's, as many rows of a tile as it takes.
static void place_quads(staging *g, const tiling *t, kir_builder *b, const sym *worker) {
  kir_kernel *kernel = g->x->g->k;
  idx_ctx *kc = kernel->ix;
  int64_t quads = (int64_t)g->width * t->step / TILE, in_line = (int64_t)(g->along_k ? t->step : g->width) / TILE;
  const idx *q = idx_of(kc, worker), *r = idx_scale(kc, idx_of(kc, kernel->r), t->workers / in_line);
  const idx *line = idx_add(kc, kir_let(b, "l", idx_floordiv(kc, q, idx_int(kc, in_line))), r);
  const idx *at = kir_let(b, "q", idx_scale(kc, idx_mod(kc, q, idx_int(kc, in_line)), TILE));
  at = idx_add(kc, at, idx_of(kc, kernel->c));
  g->rows = quads > t->workers ? (uint32_t)(quads / t->workers) : 1;
  g->own_at = g->along_k ? line : at;
  g->k_at = g->along_k ? at : line;
  g->has_work = idx_sub(kc, idx_int(kc, quads - 1), q);
}

// A worker's values of an operand: all are loaded before one is stored.
static kir_tile *fetch(const staging *g, const splice *outer, kir_builder *b, const depth *d) {
  contract *x = g->x;
  kir_kernel *kernel = x->g->k;
  idx_ctx *kc = kernel->ix;
  dtype dt = g->to->dt;
  const idx *own = idx_add(kc, g->first, g->own_at), *k = idx_add(kc, d->first, g->k_at);
  const idx *own_in = idx_addi(kc, idx_sub(kc, g->extent, own), -1), *k_in = idx_addi(kc, idx_sub(kc, d->end, k), -1);
  splice s = *outer;
  s.b = b;
  s.rows = g->rows;
  s.cols = TILE;
  s.done = map_new(x->g->c->a);
  s.row_tail = NULL;
  s.col_tail = g->along_k ? k_in : own_in;
  splice_bind(&s, g->own, g->along_k ? idx_clamped(kc, own, g->extent) : own);
  splice_bind(&s, x->k[d->label].s, g->along_k ? k : idx_clamped(kc, k, d->end));
  scalar zero = scalar_i(DT_i64, 0);
  for (uint32_t i = 0; g->panel && i < x->n_leaves; i++) {
    const contract_leaf *leaf = &x->leaf[i];
    const idx *place[] = {contract_packed_index(x, &s, leaf->load, g->panel, g->own_at)};
    kir_tile *loaded = kir_load(b, leaf->buf, place, g->rows, TILE, kir_always, scalar_cast(zero, leaf->buf->dt));
    map_put_ptr(s.done, leaf->load, loaded);
  }
  return splice_zero_behind(x->g, b, kir_convert(b, splice_tile(&s, g->root), dt), g->rows, TILE, k_in);
}

static void put(const staging *g, const tiling *t, kir_builder *b, kir_tile *values) {
  const idx *to[] = {t->warps ? g->own_at : g->k_at, t->warps ? g->k_at : g->own_at};
  kir_store(b, g->to, to, values, g->rows, TILE, kir_conds(g->x->g->k, 1, &g->has_work));
}

// Every worker's products of what is staged.
static kir_tile *multiply(const contract *x, const tiling *t, kir_builder *b, const staging *a, const staging *bs,
                          kir_tile *acc) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  if (t->warps) {
    const idx *a_at[] = {idx_add(kc, t->row, r), c}, *b_at[] = {idx_add(kc, t->col, r), c};
    return kir_mma(b, acc, a->to, a_at, bs->to, b_at, t->step);
  }
  scalar zero = scalar_cast(scalar_i(DT_i64, 0), x->acc_dt);
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), idx_int(kc, DEPTH), 1, TILE, 1, &acc);
  kir_builder body = kir_for_body(b, loop);
  const idx *k = idx_of(kc, loop->var);
  const idx *a_at[] = {k, idx_add(kc, t->row, r)}, *b_at[] = {k, idx_add(kc, t->col, c)};
  kir_tile *a_tile = kir_load(&body, a->to, a_at, t->held_rows, 1, kir_always, zero);
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

// The steps along the longest label. Those of warps load what the next one stages before they multiply, so that memory
// is waited for meanwhile; the last one loads its own again.
static kir_tile *reduce_ahead(contract *x, const tiling *t, const splice *outer, kir_builder *b, staging *const *of,
                              depth d, kir_tile *acc) {
  idx_ctx *kc = x->g->k->ix;
  const idx *steps = idx_ceildiv(kc, d.end, t->step), *last = idx_addi(kc, steps, -1);
  kir_tile *carry[3] = {acc};
  for (int o = 0; o < 2; o++) carry[1 + o] = fetch(of[o], outer, b, &d);
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), steps, 1, 1, 3, carry);
  kir_builder body = kir_for_body(b, loop);
  for (int o = 0; o < 2; o++) put(of[o], t, &body, loop->carry[1 + o]);
  d.first = idx_scale(kc, idx_min(kc, idx_addi(kc, idx_of(kc, loop->var), 1), last), t->step);
  for (int o = 0; o < 2; o++) carry[1 + o] = fetch(of[o], outer, &body, &d);
  carry[0] = multiply(x, t, &body, of[0], of[1], loop->carry[0]);
  kir_for_end(loop, carry);
  return loop->result[0];
}

static kir_tile *reduce_steps(contract *x, const tiling *t, const splice *outer, kir_builder *b, staging *const *of,
                              depth d, kir_tile *acc) {
  idx_ctx *kc = x->g->k->ix;
  bool several = extent_max(x->g, x->k[d.label].extent) > (int64_t)t->step;
  if (t->warps && several && idx_nonneg(kc, idx_addi(kc, d.end, -1)) == TRI_yes)
    return reduce_ahead(x, t, outer, b, of, d, acc);
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), d.end, t->step, 1, 1, &acc);
  kir_builder body = kir_for_body(b, loop);
  d.first = idx_of(kc, loop->var);
  kir_tile *values[2];
  for (int o = 0; o < 2; o++) values[o] = fetch(of[o], outer, &body, &d);
  for (int o = 0; o < 2; o++) put(of[o], t, &body, values[o]);
  kir_tile *sum = multiply(x, t, &body, of[0], of[1], loop->carry[0]);
  kir_for_end(loop, &sum);
  return loop->result[0];
}

// The loops over the other reduced labels, outermost first, around the one over the longest.
static kir_tile *reduce(contract *x, const tiling *t, const splice *outer, kir_builder *b, staging *const *of,
                        uint32_t label, uint32_t next, kir_tile *acc) {
  idx_ctx *kc = x->g->k->ix;
  while (next < x->n_k && next == label) next++;
  const idx *extent = lower_dim_expr(x->g, x->k[next < x->n_k ? next : label].extent);
  if (next >= x->n_k) return reduce_steps(x, t, outer, b, of, (depth){label, idx_int(kc, 0), extent}, acc);
  kir_stmt *loop = kir_for(b, "k", idx_int(kc, 0), extent, 1, 1, 1, &acc);
  kir_builder body = kir_for_body(b, loop);
  splice s = *outer;
  splice_bind(&s, x->k[next].s, idx_of(kc, loop->var));
  kir_tile *sum = reduce(x, t, &s, &body, of, label, next + 1, loop->carry[0]);
  kir_for_end(loop, &sum);
  return loop->result[0];
}

// Are there blocks of `side` x `side` enough to fill the device, and is the result more than half as wide and high?
static bool fills(const contract *x, uint32_t side) {
  double m = (double)extent_hint(x->g, x->m), n = (double)extent_hint(x->g, x->nn), blocks = 1;
  for (uint32_t i = 0; i < x->n_grid_batch; i++) blocks *= (double)extent_hint(x->g, x->batch[i].extent);
  blocks *= ceil(m / side) * ceil(n / side);
  return 2 * m > side && 2 * n > side && blocks >= x->g->c->target->busy_groups;
}

// And the size of the block.
static tiling choose_tiling(contract *x) {
  tiling t = {.warps = is_for_warps(x), .step = DEPTH, .held_rows = TILE, .held_cols = TILE};
  if (t.warps) {
    bool large = fills(x, 4 * WARP_SIDE);
    t.workers = large ? 8 * KIR_WARP : 4 * KIR_WARP;
    t.held_rows = large ? 2 * WARP_SIDE : WARP_SIDE;
    t.held_cols = WARP_SIDE;
    t.step = WARP_DEPTH;
    x->rows = x->cols = large ? 4 * WARP_SIDE : 2 * WARP_SIDE;
    return t;
  }
  uint32_t side = x->g->c->target->workers >= 256 ? 16 : 8;
  t.workers = side * side;
  if (extent_max(x->g, x->m) <= (int64_t)side) t.held_rows = 1;
  x->rows = t.held_rows * side;
  x->cols = t.held_cols * side;
  return t;
}

static void place_tiles(const contract *x, tiling *t, kir_builder *b, const idx *worker) {
  idx_ctx *kc = x->g->k->ix;
  const idx *across = idx_int(kc, x->cols / t->held_cols);
  const idx *holder = t->warps ? idx_floordiv(kc, worker, idx_int(kc, KIR_WARP)) : worker;
  t->row = kir_let(b, "y", idx_scale(kc, idx_floordiv(kc, holder, across), t->held_rows));
  t->col = kir_let(b, "x", idx_scale(kc, idx_mod(kc, holder, across), t->held_cols));
}

// Of a worker's tile.
static uint32_t tile_rows(const tiling *t) { return t->warps ? t->held_rows / 8 : t->held_rows; }
static uint32_t tile_cols(const tiling *t) { return t->warps ? t->held_cols / 4 : t->held_cols; }

// Where element (r, c) of a worker's tile is in the block.
static const idx *row_in_block(const contract *x, const tiling *t, const idx *worker) {
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r);
  if (!t->warps) return idx_add(kc, t->row, r);
  const idx *lane = idx_mod(kc, worker, idx_int(kc, KIR_WARP));
  return idx_add(kc, idx_add(kc, t->row, idx_floordiv(kc, lane, idx_int(kc, 4))), idx_scale(kc, r, 8));
}

static const idx *col_in_block(const contract *x, const tiling *t, const idx *worker) {
  idx_ctx *kc = x->g->k->ix;
  const idx *c = idx_of(kc, x->g->k->c), *two = idx_int(kc, 2);
  if (!t->warps) return idx_add(kc, t->col, c);
  const idx *of_lane = idx_scale(kc, idx_mod(kc, worker, idx_int(kc, 4)), 2);
  const idx *step = idx_add(kc, idx_scale(kc, idx_floordiv(kc, c, two), 8), idx_mod(kc, c, two));
  return idx_add(kc, idx_add(kc, t->col, of_lane), step);
}

static kir_buffer *scratch(const contract *x, const tiling *t, const char *name, uint32_t width) {
  if (t->warps) return kir_group(x->g->k, name, DT_bf16, 2, (int64_t[]){width, WARP_DEPTH + WARP_PAD});
  return kir_group(x->g->k, name, x->acc_dt, 2, (int64_t[]){DEPTH, width + PAD});
}

// The group's block: rows m0.., columns of a panel.
static void emit_block(contract *x, tiling t, const splice *s, kir_builder *b, const sym *worker, const idx *m0,
                       const idx *panel) {
  idx_ctx *kc = x->g->k->ix;
  const idx *m = lower_dim_expr(x->g, x->m), *n = lower_dim_expr(x->g, x->nn), *n0 = idx_scale(kc, panel, x->cols);
  uint32_t label = longest_label(x);
  staging a = {.x = x, .root = x->n.root[0], .own = x->row, .first = m0, .extent = m, .width = x->rows};
  staging bs = {
      .x = x, .root = x->n.root[1], .own = x->col, .first = n0, .extent = n, .width = x->cols, .panel = panel};
  a.along_k = contract_lies_along(x, a.root, x->k[label].s) && !contract_lies_along(x, a.root, x->row);
  bs.along_k = !x->n_leaves && contract_lies_along(x, bs.root, x->k[label].s);
  a.to = scratch(x, &t, "a", a.width);
  bs.to = scratch(x, &t, "b", bs.width);
  if (t.warps) a.root = form_narrow(a.root, DT_bf16), bs.root = form_narrow(bs.root, DT_bf16);
  place_tiles(x, &t, b, idx_of(kc, worker));
  place_quads(&a, &t, b, worker);
  place_quads(&bs, &t, b, worker);
  kir_tile *acc = kir_const(b, scalar_cast(scalar_i(DT_i64, 0), x->acc_dt), tile_rows(&t), tile_cols(&t));
  acc = reduce(x, &t, s, b, (staging *const[]){&a, &bs}, label, 0, acc);
  splice out = *s;
  out.rows = tile_rows(&t);
  out.cols = tile_cols(&t);
  const idx *row_at = idx_add(kc, m0, row_in_block(x, &t, idx_of(kc, worker)));
  const idx *col_at = idx_add(kc, n0, col_in_block(x, &t, idx_of(kc, worker)));
  splice_bind(&out, x->row, row_at);
  splice_bind(&out, x->col, col_at);
  out.row_tail = idx_addi(kc, idx_sub(kc, m, row_at), -1);
  out.col_tail = idx_addi(kc, idx_sub(kc, n, col_at), -1);
  contract_epilogue(x, &out, b, acc);
}

// What a group does: `at` is its place among panels, or parts of panels. Where there may be few rows and may be many,
// that is asked when it runs.
static void emit_group(contract *x, const tiling *t, const contract_few *few, const splice *s, kir_builder *b,
                       const sym *worker, const idx *m0, const idx *at, const idx *panels) {
  idx_ctx *kc = x->g->k->ix;
  if (!few->most) {
    emit_block(x, *t, s, b, worker, m0, at);
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
  emit_block(x, *t, s, &otherwise, worker, m0, kir_let(&otherwise, "panel", idx_clamped(kc, at, panels)));
}

bool schedule_contract_group(contract *x) {
  lower_group *g = x->g;
  if (!nest_may_share(&x->n, x->acc_dt) || x->lanes || !x->n_k) return false;
  if (!x->col && x->row) contract_rows_are_columns(x);
  if (!x->col) return false;
  idx_ctx *kc = g->k->ix;
  x->n_each = 1;
  tiling t = choose_tiling(x);
  if (!t.warps) (void)contract_prepack(x);
  for (uint32_t i = 0; i < x->n_leaves; i++) x->leaf[i].buf = lower_in(g, x->leaf[i].packed);

  contract_few few = contract_plan_few(x, t.workers);
  splice s = {.g = g};
  nest_bind_grid(&s, x->n_grid_batch, x->batch);
  const idx *m0 = idx_scale(kc, lower_grid(g, "gm", idx_ceildiv(kc, lower_dim_expr(g, x->m), x->rows)), x->rows);
  const idx *panels = idx_ceildiv(kc, lower_dim_expr(g, x->nn), x->cols), *parts = idx_int(kc, 1);
  if (few.alone) parts = idx_int(kc, few.parts);
  else if (few.most) parts = idx_addi(kc, idx_scale(kc, contract_is_few(x, &few), few.parts - 1), 1);
  const idx *at = lower_grid(g, "gn", idx_mul(kc, panels, parts));
  if (g->k->n_grid == 0) kir_grid(g->k, "g", idx_int(kc, 1));
  const sym *worker = kir_worker(g->k, "w", t.workers);

  kir_builder b = kir_begin(g->k);
  kir_stmt *loops[MAX_OUTER];
  uint32_t n_loops = 0;
  for (uint32_t i = x->n_grid_batch; i < x->n_batch; i++) {
    kir_stmt *loop = kir_for(&b, "i", idx_int(kc, 0), lower_dim_expr(g, x->batch[i].extent), 1, 1, 0, NULL);
    splice_bind(&s, x->batch[i].s, idx_of(kc, loop->var));
    b = kir_for_body(&b, loop);
    loops[n_loops++] = loop;
  }
  emit_group(x, &t, &few, &s, &b, worker, m0, at, panels);
  while (n_loops--) kir_for_end(loops[n_loops], NULL);
  kir_place_barriers(g->k);
  return true;
}
