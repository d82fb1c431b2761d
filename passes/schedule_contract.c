// Schedule of contractions: C[m, n] = Σ_k A[m, k] B[k, n] by register tiles, with a prologue on the loads and an
// epilogue on the stores.
//
// Labels are classed by where they occur: batch (a, b, out), row (a, out), column (b, out), reduced. One row label runs
// over the tile's rows, one column label over its columns; the other ones become grid dims or serial loops. Then:
//
//   grid: batch…, blocks of rows (target: block_rows), panels of C columns
//   for pc in 0..K step KC                       only when B goes through scratch, and K is long
//     pack B[pc.., j..] into group scratch       unless `prepare` packed it, or its columns lie side by side
//     for i in rows of the block step R
//       acc = 0, or scratch      for k in pc.. { acc += A[i+r, k] · B[k, j+c] }      epilogue and store, or scratch
//
// A grid point is one panel, so that few columns still make work for several threads.
//
// A constant B that must be computed from what is packed (a narrow weight, widened and scaled) is computed into scratch
// where a block has more rows than a tile, and in registers where it has not. One row is a matter of memory: it asks
// ahead for what it streams, keeps several sums in flight, and applies a factor that inner loops leave alone to their
// sum.
//
// Where the label that lies side by side is both operands' (a depthwise convolution), it is the columns' all the same:
// tiles of A have columns too, and products are made lane by lane.
//
// Where the target multiplies several narrow values at once (contract_narrow.c), a step takes so many, and what is said
// of B's widening does not apply. Where it has matrix registers, sums of bf16 are made there (contract_matrix.c), of 32
// rows and columns.
//
// Rows past the end are clamped (the address, not the result); stores are masked. Source: Goto & van de Geijn 2008, for
// the blocking.
#include "passes/winograd.h"

typedef struct block_range { // of the first reduced label
  const idx *lo, *hi, *end;  // [lo, hi) of [0, end)
  bool from_panel, chunked;  // is B in the panel? is that not all of it?
} block_range;

enum { SUMS = 8 };

// One tile's products: what the loops over reduced labels share.
typedef struct products {
  contract *x;
  const contract_block *blk;
  const block_range *k;
  int64_t in_flight; // sums beside each other, of neighbouring values of a label, so that none waits for itself
} products;

// One row of a widened operand has few sums, and much to do between two products: as many as hide the latency of a
// multiply-add, where the innermost labels' extents allow.
static int64_t in_flight(const contract *x, const block_range *k) {
  if (x->rows > 1 || k->from_panel || !x->n_leaves || x->n.root[1]->kind == SX_load) return 1;
  uint32_t vectors = x->cols * 4 / x->g->c->target->vector_bytes, depth = contract_loops(x);
  int64_t n = MAX_EACH;
  for (; n > 1; n /= 2) {
    if (n * vectors > SUMS) continue;
    if (x->n_each % n == 0) break;
    bool whole = n % x->n_each == 0 && depth;
    if (whole && idx_divides(x->g->m->ix, n / x->n_each * x->side, x->k[depth - 1].extent) == TRI_yes) break;
  }
  return n;
}

static kir_tile *zero_tile(contract *x, kir_builder *b, uint32_t rows) {
  return kir_const(b, scalar_cast(scalar_i(DT_i64, 0), x->acc_dt), rows, x->cols);
}

// acc[i] += A · B, with all labels bound but one that has few values.
static void multiply(const products *p, const splice *outer, kir_builder *b, const sx *b_root, const contract_factor *f,
                     kir_tile **acc, int64_t first) {
  contract *x = p->x;
  splice s = *outer;
  s.b = b;
  if (x->side > 1) {
    kir_tile **to = &acc[first % p->in_flight];
    *to = contract_multiply_sides(x, &s, b, p->blk->panel, *to);
    return;
  }
  s.done = map_new(x->g->c->a);
  if (f->tile) map_put_ptr(s.done, f->of, f->tile);
  for (int64_t e = 0; e < x->n_each; e++) {
    kir_tile *a_tile = splice_tile(&s, contract_each(x, x->n.root[0], e)), *b_tile;
    if (p->k->from_panel) {
      const idx *at[] = {contract_panel_row(x, &s, p->k->lo, e), idx_of(x->g->k->ix, x->g->k->c)};
      b_tile = kir_load(b, x->panel, at, 1, x->cols, kir_always, scalar_cast(scalar_i(DT_i64, 0), x->panel->dt));
    } else {
      contract_load_leaves(x, &s, p->blk->panel, contract_each(x, f->rest ? f->rest : b_root, e));
      b_tile = splice_tile(&s, contract_each(x, b_root, e));
    }
    kir_tile **to = &acc[(first + e) % p->in_flight];
    a_tile = kir_convert(b, a_tile, x->acc_dt);
    b_tile = kir_convert(b, b_tile, x->acc_dt);
    bool outer_product = !x->lanes && a_tile->rows == (*to)->rows && b_tile->cols == (*to)->cols; // not of one number
    *to = outer_product ? kir_dot(b, *to, a_tile, b_tile, "fma") : kir_fma(b, a_tile, b_tile, *to);
  }
}

// The innermost loop.
static kir_tile *sum_products(const products *p, const splice *outer, kir_builder *b, const sx *b_root,
                              const contract_factor *f, kir_tile *acc) {
  contract *x = p->x;
  idx_ctx *kc = x->g->k->ix;
  uint32_t depth = contract_loops(x);
  kir_tile *sum[MAX_EACH] = {acc};
  for (int64_t i = 1; i < p->in_flight; i++) sum[i] = zero_tile(x, b, outer->rows);
  if (depth == 0) {
    multiply(p, outer, b, b_root, f, sum, 0);
  } else {
    const nest_label *k = &x->k[depth - 1];
    int64_t turns_of = p->in_flight > x->n_each ? p->in_flight / x->n_each : 1, step = turns_of * x->side;
    const idx *from = depth == 1 ? p->k->lo : idx_int(kc, 0),
              *to = depth == 1 ? p->k->hi : lower_dim_expr(x->g, k->extent);
    int64_t turns;
    bool few = x->lanes && idx_is_const(k->extent, &turns) && turns > 0 &&
               turns <= MAX_EACH; // a product is a load and no more
    uint32_t unroll = few ? (uint32_t)turns : 2;
    kir_stmt *loop = kir_for(b, "k", from, to, step, unroll, (uint32_t)p->in_flight, sum);
    kir_builder body = kir_for_body(b, loop);
    kir_tile *inner[MAX_EACH];
    for (int64_t i = 0; i < p->in_flight; i++) inner[i] = loop->carry[i];
    if (x->rows == 1 && !p->k->from_panel) { // one row: nothing is read twice, and memory is what it waits for
      splice s = *outer;
      s.b = &body;
      splice_bind(&s, k->s, idx_of(kc, loop->var));
      contract_prefetch(x, &s, p->blk->panel, k->s, step);
    }
    for (int64_t i = 0; i < turns_of; i++) {
      splice s = *outer;
      splice_bind(&s, k->s, idx_addi(kc, idx_of(kc, loop->var), i * x->side));
      multiply(p, &s, &body, b_root, f, inner, i * x->n_each);
    }
    kir_for_end(loop, inner);
    for (int64_t i = 0; i < p->in_flight; i++) sum[i] = loop->result[i];
  }
  for (int64_t i = 1; i < p->in_flight; i++) sum[0] = kir_op2(b, OP_add, sum[0], sum[i]);
  return sum[0];
}

// The loops over reduced labels from `depth` on. A factor of B that they leave as it is multiplies the sum of one row
// once; for several rows there are no registers for a second sum, and it is only made once.
static kir_tile *dot_loops(const products *p, const splice *outer, kir_builder *b, uint32_t depth, const sx *b_root,
                           contract_factor f, kir_tile *acc) {
  contract *x = p->x;
  idx_ctx *kc = x->g->k->ix;
  if (x->n_leaves && !p->k->from_panel && !f.rest) {
    f = contract_find_factor(x, b_root, depth);
    if (f.rest) {
      splice s = *outer;
      s.b = b;
      s.done = NULL;
      contract_load_leaves(x, &s, p->blk->panel, f.of);
      f.tile = splice_tile(&s, f.of);
      if (outer->rows == 1) {
        kir_tile *part = dot_loops(p, outer, b, depth, f.rest, (contract_factor){.rest = f.rest}, zero_tile(x, b, 1));
        return kir_fma(b, part, kir_convert(b, f.tile, x->acc_dt), acc);
      }
    }
  }
  if (depth + 1 >= contract_loops(x)) return sum_products(p, outer, b, b_root, &f, acc);
  const idx *from = depth ? idx_int(kc, 0) : p->k->lo,
            *to = depth ? lower_dim_expr(x->g, x->k[depth].extent) : p->k->hi;
  kir_stmt *loop = kir_for(b, "k", from, to, 1, 1, 1, &acc);
  kir_builder body = kir_for_body(b, loop);
  splice s = *outer;
  splice_bind(&s, x->k[depth].s, idx_of(kc, loop->var));
  kir_tile *inner = dot_loops(p, &s, &body, depth + 1, b_root, f, loop->carry[0]);
  kir_for_end(loop, &inner);
  return loop->result[0];
}

void contract_epilogue(contract *x, const splice *outer, kir_builder *b, kir_tile *acc) {
  splice s = *outer;
  s.b = b;
  s.done = NULL;
  s.acc = map_new(x->g->c->a);
  map_put_ptr(s.acc, x->anchor, kir_convert(b, acc, x->anchor->type.dt));
  for (uint32_t i = 2; i < x->n.n_roots; i++)
    splice_store(&s, x->g->region->yields[i - 2], x->n.store[i], splice_tile(&s, x->n.root[i]));
}

// One register tile: rows i.., columns j.., reduced range [lo, hi) of the last reduced label.
static void emit_tile(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *i,
                      const block_range *k) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  const idx *r = idx_of(kc, g->k->r), *c = idx_of(kc, g->k->c);
  splice loads = *outer, stores = *outer;
  loads.rows = stores.rows = x->rows;
  loads.cols = stores.cols = x->cols;
  const idx *row = idx_add(kc, i, r), *col = idx_add(kc, blk->j, c);
  bool whole_rows = idx_divides(g->m->ix, x->rows, x->m) == TRI_yes || (x->staged && !x->few_rows);
  if (x->row) {
    splice_bind(&loads, x->row, whole_rows ? row : idx_min(kc, row, idx_addi(kc, blk->m, -1)));
    splice_bind(&stores, x->row, row);
    stores.row_tail = whole_rows ? NULL : idx_addi(kc, idx_sub(kc, blk->m, row), -1);
  }
  if (x->col) {
    splice_bind(&loads, x->col, col);
    splice_bind(&stores, x->col, col);
    stores.col_tail = loads.col_tail =
        idx_divides(g->m->ix, x->cols, x->nn) == TRI_yes ? NULL : idx_addi(kc, idx_sub(kc, blk->nn, col), -1);
  }
  kir_tile *acc;
  if (!k->chunked) {
    if (contract_fetches_epilogue(x)) contract_fetch_epilogue(x, outer, b, blk, i);
    acc = zero_tile(x, b, x->rows);
  } else {
    if (contract_fetches_epilogue(x)) {
      kir_builder then = kir_then(b, kir_if(b, idx_sub(kc, k->hi, k->end)));
      contract_fetch_epilogue(x, outer, &then, blk, i);
    }
    const idx *at[] = {idx_add(kc, idx_sub(kc, i, blk->m0), r), c}, *later[] = {idx_addi(kc, k->lo, -1)};
    acc = kir_load(b, x->partial, at, x->rows, x->cols, kir_conds(g->k, 1, later),
                   scalar_cast(scalar_i(DT_i64, 0), x->acc_dt));
  }
  products p = {x, blk, k, in_flight(x, k)};
  if (x->staged) acc = contract_matrix_sum(x, outer, b, blk, i, acc);
  else acc = dot_loops(&p, &loads, b, 0, x->n.root[1], (contract_factor){0}, acc);
  if (!k->chunked) {
    contract_epilogue(x, &stores, b, acc);
    return;
  }
  kir_stmt *done = kir_if(b, idx_sub(kc, k->hi, k->end));
  kir_builder then = kir_then(b, done), otherwise = kir_else(b, done);
  contract_epilogue(x, &stores, &then, acc);
  const idx *at[] = {idx_add(kc, idx_sub(kc, i, blk->m0), r), c};
  kir_store(&otherwise, x->partial, at, acc, x->rows, x->cols, kir_always);
}

// Rows of a whole tile are read where they lie, fewer from scratch.
static void emit_matrices(const contract *x, const splice *s, kir_builder *b, const contract_block *blk,
                          const block_range *k) {
  idx_ctx *kc = x->g->k->ix;
  contract whole = *x, few = *x;
  few.few_rows = true;
  kir_stmt *rows = kir_for(b, "i", blk->m0, blk->me, x->rows, 1, 0, NULL);
  kir_builder body = kir_for_body(b, rows);
  const idx *i = idx_of(kc, rows->var);
  if (!x->few_rows && idx_divides(x->g->m->ix, x->rows, x->m) == TRI_yes) {
    emit_tile(&whole, s, &body, blk, i, k);
  } else if (x->few_rows || extent_max(x->g, x->m) < (int64_t)x->rows) {
    emit_tile(&few, s, &body, blk, i, k);
  } else {
    kir_stmt *all = kir_if(&body, idx_addi(kc, idx_sub(kc, blk->me, i), -(int64_t)x->rows));
    kir_builder then = kir_then(&body, all), otherwise = kir_else(&body, all);
    emit_tile(&whole, s, &then, blk, i, k);
    emit_tile(&few, s, &otherwise, blk, i, k);
  }
  kir_for_end(rows, NULL);
}

static void emit_rows(contract *x, const splice *s, kir_builder *b, const contract_block *blk, const block_range *k) {
  idx_ctx *kc = x->g->k->ix;
  if (!x->row) {
    emit_tile(x, s, b, blk, idx_int(kc, 0), k);
    return;
  }
  if (x->staged) {
    emit_matrices(x, s, b, blk, k);
    return;
  }
  contract_next next = {0};
  if (x->n_leaves && !k->from_panel && x->rows > 1) next = contract_plan_next(x, b, blk);
  kir_stmt *rows = kir_for(b, "i", blk->m0, blk->me, x->rows, 1, 0, NULL);
  kir_builder body = kir_for_body(b, rows);
  const idx *i = idx_of(kc, rows->var);
  contract_fetch_next(x, s, &body, blk, &next, k->hi, i);
  int64_t least, most;
  bool may_be_one = !idx_range(x->g->m->ix, x->m, &least, &most) || (least <= 1 && most > 1);
  bool many = k->from_panel && x->n_leaves; // more than a tile
  if (!may_be_one || many || x->rows == 1) {
    emit_tile(x, s, &body, blk, i, k);
  } else { // all there may be is one row (one sequence, one token), clamped it would be computed x->rows times
    kir_stmt *several = kir_if(&body, idx_addi(kc, idx_sub(kc, blk->me, i), -2));
    kir_builder then = kir_then(&body, several), single = kir_else(&body, several);
    contract one = *x;
    one.rows = 1;
    emit_tile(x, s, &then, blk, i, k);
    emit_tile(&one, s, &single, blk, i, k);
  }
  kir_for_end(rows, NULL);
}

// All rows of the block with one chunk of B after the other, which is packed first where it comes from the panel.
static void emit_chunks(contract *x, const splice *s, kir_builder *b, const contract_block *blk, block_range k) {
  idx_ctx *kc = x->g->k->ix;
  k.chunked = x->chunked;
  if (!x->chunked) {
    if (k.from_panel) contract_pack_panel(x, s, b, blk, k.lo, k.end);
    emit_rows(x, s, b, blk, &k);
    return;
  }
  kir_stmt *chunks = kir_for(b, "pc", k.lo, k.end, x->chunk, 1, 0, NULL);
  kir_builder body = kir_for_body(b, chunks);
  k.lo = idx_of(kc, chunks->var);
  k.hi = idx_min(kc, k.end, idx_addi(kc, k.lo, x->chunk));
  if (k.from_panel) contract_pack_panel(x, s, &body, blk, k.lo, k.hi);
  emit_rows(x, s, &body, blk, &k);
  kir_for_end(chunks, NULL);
}

static void emit_column(contract *x, const splice *s, kir_builder *b, const contract_block *blk) {
  idx_ctx *kc = x->g->k->ix;
  const idx *end = x->n_k ? lower_dim_expr(x->g, x->k[0].extent) : idx_int(kc, 1);
  block_range k = {.lo = idx_int(kc, 0), .hi = end, .end = end};
  if (!x->panel) {
    contract y = *x;
    if (x->n_leaves && x->side == 1 && x->n.root[1]->kind != SX_load) y.rows = contract_widened_rows(x);
    emit_chunks(&y, s, b, blk, k);
  } else if (!x->n_leaves) {
    k.from_panel = true;
    emit_chunks(x, s, b, blk, k);
  } else { // rows of one tile widen in registers what they read once
    kir_stmt *many = kir_if(b, idx_addi(kc, idx_sub(kc, blk->me, blk->m0), -(int64_t)x->rows - 1));
    kir_builder then = kir_then(b, many), otherwise = kir_else(b, many);
    contract few = *x;
    few.rows = contract_widened_rows(x);
    block_range packed = k;
    packed.from_panel = true;
    emit_chunks(x, s, &then, blk, packed);
    emit_rows(&few, s, &otherwise, blk, &k);
  }
}

// Roots: the operands over the map's labels, then the yields; labels of the output come from the group's domain.
static bool collect(contract *x, const ir_node *dot) {
  lower_group *g = x->g;
  nest *n = &x->n;
  const ir_map *labels = ir_map_of(g->m, dot);
  if (!labels || labels->n_labels > IR_MAX_RANK * 2 - 1) return false;
  idx_binding to_domain[IR_MAX_RANK];
  for (uint32_t i = 0; i < labels->out_rank; i++)
    to_domain[i] = (idx_binding){labels->labels[labels->out_label[i]].symbol, g->dom.at[i]};
  for (uint32_t i = 0; i < labels->out_rank; i++)
    n->label[n->n_labels++] = (nest_label){g->dom.label[i], g->dom.dim[i], false};
  for (uint32_t i = 0; i < labels->n_labels; i++)
    if (!labels->labels[i].in_out)
      n->label[n->n_labels++] = (nest_label){labels->labels[i].symbol, labels->labels[i].extent, true};
  idx_binding unit[IR_MAX_RANK * 2];
  uint32_t n_unit = 0;
  for (uint32_t i = 0; i < labels->n_labels; i++) // reduced labels of extent 1 are indexed by 0, like the domain's
    if (!labels->labels[i].in_out && idx_equals_int(labels->labels[i].extent, 1))
      unit[n_unit++] = (idx_binding){labels->labels[i].symbol, idx_int(g->m->ix, 0)};
  for (uint32_t o = 0; o < 2; o++) {
    const idx *at[IR_MAX_RANK];
    for (uint32_t i = 0; i < labels->operand[o].rank; i++) {
      const ir_axis *axis = &labels->operand[o].axes[i];
      if (axis->may_miss || axis->exact_div != 1) return false;
      at[i] = idx_subst(g->m->ix, idx_subst(g->m->ix, axis->at, labels->out_rank, to_domain), n_unit, unit);
    }
    n->root[n->n_roots] = form_at(g->form, dot->in[o], at);
    n->store[n->n_roots] = NULL;
    if (!n->root[n->n_roots++]) return false;
  }
  if (g->region->n_yields > NEST_MAX_ROOTS - 2) return false;
  for (uint32_t i = 0; i < g->region->n_yields; i++) {
    const ir_value *y = g->region->yields[i];
    const idx *const *at = place_get(&g->place, y);
    n->root[n->n_roots] = form_at(g->form, y, at);
    n->store[n->n_roots] = index_flatten(g->m, y->type.rank, y->type.dim, at);
    if (!n->root[n->n_roots++]) return false;
  }
  return true;
}

bool schedule_contract(lower_group *g) {
  contract x = {.g = g, .n_each = 1, .side = 1};
  const ir_node *dot = g->region->first;
  while (dot && dot->op != OP_contract) dot = dot->next;
  if (!dot) return false;
  x.n.g = g;
  x.anchor = &dot->out[0];
  dtype dt = dot->in[0]->type.dt;
  x.acc_dt = dt == DT_f16 || dt == DT_bf16 ? DT_f32 : dt;
  if (!collect(&x, dot)) return false;
  if (schedule_winograd(&x, dot)) return true;
  nest_merge(&x.n);
  contract_join_rows(&x);
  if (!contract_classify(&x)) return false;
  x.n_grid_batch = nest_order_batch(x.n_batch, x.batch);
  if (schedule_contract_group(&x)) return true;
  if (!contract_choose_matrices(&x)) {
    contract_choose_sides(&x);
    contract_choose_tile(&x);
  }
  int64_t last;
  if (x.n_k > 1 && idx_is_const(x.k[x.n_k - 1].extent, &last) && last > 1 && last <= MAX_EACH) x.n_each = last;
  contract_choose_operand(&x);

  idx_ctx *kc = g->k->ix;
  splice s = {.g = g};
  contract_block blk = {.m = lower_dim_expr(g, x.m), .nn = lower_dim_expr(g, x.nn)};
  nest_bind_grid(&s, x.n_grid_batch, x.batch);
  blk.m0 = idx_scale(kc, lower_grid(g, "gm", idx_ceildiv(kc, blk.m, x.mc)), x.mc);
  blk.me = idx_min(kc, blk.m, idx_addi(kc, blk.m0, x.mc));
  blk.panel = lower_grid(g, "gn", idx_ceildiv(kc, blk.nn, x.cols));
  blk.j = idx_scale(kc, blk.panel, x.cols);
  for (uint32_t i = 0; i < x.n_leaves; i++) x.leaf[i].buf = lower_in(g, x.leaf[i].packed);

  if (g->k->n_grid == 0) kir_grid(g->k, "g", idx_int(kc, 1));
  kir_builder b = kir_begin(g->k);
  kir_stmt *loops[MAX_OUTER];
  uint32_t n_loops = 0;
  double outer = 1;
  for (uint32_t i = x.n_grid_batch; i < x.n_batch; i++) {
    kir_stmt *loop = kir_for(&b, "i", idx_int(kc, 0), lower_dim_expr(g, x.batch[i].extent), 1, 1, 0, NULL);
    splice_bind(&s, x.batch[i].s, idx_of(kc, loop->var));
    b = kir_for_body(&b, loop);
    loops[n_loops++] = loop;
    outer *= (double)extent_hint(g, x.batch[i].extent);
  }
  emit_column(&x, &s, &b, &blk);
  while (n_loops--) kir_for_end(loops[n_loops], NULL);

  double k = 1;
  for (uint32_t i = 0; i < x.n_k; i++) k *= (double)extent_hint(g, x.k[i].extent);
  int64_t m = extent_hint(g, x.m), nn = extent_hint(g, x.nn);
  double rows = (double)(m < x.mc ? m : x.mc), cols = (double)(nn < x.cols ? nn : x.cols);
  double work = rows * cols * (k / (g->c->target->fma_per_ns * x.side) + nest_cost_per_element(&x.n) / 4);
  double memory = contract_panel_bytes(&x) / g->c->target->bytes_per_ns;
  g->k->cost_ns = outer * (work > memory ? work : memory);
  return true;
}
