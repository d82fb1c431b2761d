// Schedule of contractions: C[m, n] = Σ_k A[m, k] B[k, n] by register tiles, with a prologue on the loads and an
// epilogue on the stores.
//
// Labels are classed by where they occur: batch (a, b, out), row (a, out), column (b, out), reduced. One row label runs
// over the tile's rows, one column label over its columns; the other ones become grid dims or serial loops. Then:
//
//   grid: batch…, blocks of MC rows, panels of C columns
//   for pc in 0..K step KC                       only when B is packed here, and K is long
//     pack B[pc.., j..] into group scratch       unless B is constant: then `prepare` packed it; or its columns lie
//     side
//                                                by side
//     for i in rows of the block step R
//       acc = 0, or scratch      for k in pc.. { acc += A[i+r, k] · B[k, j+c] }      epilogue and store, or scratch
//
// A grid point is one panel, so that few columns still make work for several threads.
// Rows past the end are clamped (the address, not the result); stores are masked. Source: Goto & van de Geijn 2008, for
// the blocking.
#include "passes/contract.h"

// Tiles of three vectors instead of two need fewer loads for as many multiply-adds (AVX2: 4x24 against 6x16, 7 against
// 8), and their fewer rows clamp less at the end. Not where they would pad more columns.
static bool three_vectors_pay(const contract *x, uint32_t lanes) {
  const target *t = x->g->c->target;
  int64_t n, cols = 3 * (int64_t)lanes, narrower = 2 * (int64_t)lanes;
  if (!t->has_fma || t->n_vector_regs >= 32 || !idx_is_const(x->nn, &n)) return false;
  return (n + cols - 1) / cols * cols <= (n + narrower - 1) / narrower * narrower;
}

// The largest register tile that leaves room for one row of B and one broadcast.
static void choose_tile(contract *x) {
  const target *t = x->g->c->target;
  uint32_t lanes = t->vector_bytes / 4, widest = t->n_vector_regs >= 32 ? 4 : 2;
  int64_t n = extent_max(x->g, x->nn), m = extent_max(x->g, x->m);
  uint32_t vectors = widest;
  while (vectors > 1 && (int64_t)(vectors / 2 * lanes) >= n) vectors /= 2;
  if (vectors == 4 && n <= (int64_t)(3 * lanes)) vectors = 3;
  if (vectors == 2 && three_vectors_pay(x, lanes)) vectors = 3;
  uint32_t rows = (t->n_vector_regs - vectors - 1) / vectors;
  if (rows > 24) rows = 24;
  if (vectors == widest && rows > t->dot_rows) rows = t->dot_rows;
  if (m < 4 * (int64_t)rows && m > 0) { // few rows: tiles of equal height, so that little is clamped
    int64_t tiles = (m + rows - 1) / rows;
    rows = (uint32_t)((m + tiles - 1) / tiles);
  }
  x->rows = rows ? rows : 1;
  x->cols = x->col ? vectors * lanes : 1;
}

static void choose_block(contract *x) { x->mc = x->rows * (192 / x->rows ? 192 / x->rows : 1); }

// Classifies the merged labels; the row label is the longest of its class, the column label the one that the output
// stores side by side.
static bool classify(contract *x) {
  nest *n = &x->n;
  bool swapped = false;
  for (int attempt = 0; attempt < 2; attempt++) {
    x->row = x->col = NULL;
    x->n_k = x->n_batch = 0;
    int64_t best_row = -1;
    int best_col = -1;
    uint32_t row = 0, col = 0;
    for (uint32_t i = 0; i < n->n_labels; i++) {
      const sym *s = n->label[i].s;
      bool in_a = contract_label_in(n->root[0], s), in_b = contract_label_in(n->root[1], s);
      if (n->label[i].reduced || in_a == in_b) continue;
      if (in_a) {
        int64_t size = extent_hint(x->g, n->label[i].extent);
        if (size >= best_row) best_row = size, row = i, x->row = s;
      } else {
        int unit = 0;
        for (uint32_t k = 2; k < n->n_roots; k++) {
          const idx *coef, *rest;
          unit += n->store[k] && idx_linear(x->g->m->ix, n->store[k], s, &coef, &rest) && idx_equals_int(coef, 1);
        }
        if (unit >= best_col) best_col = unit, col = i, x->col = s;
      }
    }
    // The operand that owns the output's unit-stride label, or the constant one, gives the columns.
    bool a_const = n->root[0]->kind == SX_load && x->g->is_constant(x->g->user, n->root[0]->value);
    bool b_const = n->root[1]->kind == SX_load && x->g->is_constant(x->g->user, n->root[1]->value);
    bool want_swap = !swapped && x->row && (!x->col || best_col == 0) && !(b_const && !a_const);
    if (!want_swap) {
      if (n->n_labels > MAX_OUTER) return false;
      x->m = x->row ? n->label[row].extent : idx_int(x->g->m->ix, 1);
      x->nn = x->col ? n->label[col].extent : idx_int(x->g->m->ix, 1);
      for (uint32_t i = 0; i < n->n_labels; i++) {
        if (n->label[i].reduced) x->k[x->n_k++] = n->label[i];
        else if (n->label[i].s != x->row && n->label[i].s != x->col) x->batch[x->n_batch++] = n->label[i];
      }
      return true;
    }
    const sx *a = n->root[0];
    n->root[0] = n->root[1];
    n->root[1] = a;
    swapped = true;
  }
  return false;
}

// The loops over reduced labels from `depth` on; the innermost one runs over [lo, hi) of the last label.
static void dot_loops(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, uint32_t depth,
                      const idx *lo, const idx *hi, kir_tile **acc) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  if (depth == x->n_k) {
    splice s = *outer;
    s.b = b;
    s.done = NULL;
    kir_tile *a_tile = splice_tile(&s, x->n.root[0]), *b_tile;
    if (x->packed_b) {
      const idx *at[] = {contract_packed_index(x, &s, blk->panel, idx_of(kc, g->k->c))};
      b_tile =
          kir_load(b, x->packed_buf, at, 1, x->cols, kir_always, scalar_cast(scalar_i(DT_i64, 0), x->packed_buf->dt));
    } else if (x->panel) {
      const idx *row = idx_int(kc, 0);
      for (uint32_t i = 0; i < x->n_k; i++)
        row = idx_add(kc, idx_mul(kc, row, lower_dim_expr(g, x->k[i].extent)), contract_label_at(&s, x->k[i].s));
      const idx *at[] = {x->n_k == 1 ? idx_sub(kc, row, lo) : row, idx_of(kc, g->k->c)};
      b_tile = kir_load(b, x->panel, at, 1, x->cols, kir_always, scalar_cast(scalar_i(DT_i64, 0), x->panel->dt));
    } else {
      b_tile = splice_tile(&s, x->n.root[1]);
    }
    *acc = kir_dot(b, *acc, kir_convert(b, a_tile, x->acc_dt), kir_convert(b, b_tile, x->acc_dt), "fma");
    return;
  }
  bool last = depth + 1 == x->n_k;
  const idx *from = last ? lo : idx_int(kc, 0), *to = last ? hi : lower_dim_expr(g, x->k[depth].extent);
  kir_stmt *loop = kir_for(b, "k", from, to, 1, last ? 2 : 1, 1, acc);
  kir_builder body = kir_for_body(b, loop);
  splice s = *outer;
  splice_bind(&s, x->k[depth].s, idx_of(kc, loop->var));
  kir_tile *inner = loop->carry[0];
  dot_loops(x, &s, &body, blk, depth + 1, lo, hi, &inner);
  kir_for_end(loop, &inner);
  *acc = loop->result[0];
}

static void epilogue(contract *x, const splice *outer, kir_builder *b, kir_tile *acc) {
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
                      const idx *lo, const idx *hi, const idx *k_end) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  const idx *r = idx_of(kc, g->k->r), *c = idx_of(kc, g->k->c);
  splice loads = *outer, stores = *outer;
  loads.rows = stores.rows = x->rows;
  loads.cols = stores.cols = x->cols;
  const idx *row = idx_add(kc, i, r), *col = idx_add(kc, blk->j, c);
  bool whole_rows = idx_divides(g->m->ix, x->rows, x->m) == TRI_yes;
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
  scalar none = scalar_cast(scalar_i(DT_i64, 0), x->acc_dt);
  kir_tile *acc;
  if (x->chunked) {
    const idx *at[] = {idx_add(kc, idx_sub(kc, i, blk->m0), r), c}, *later[] = {idx_addi(kc, lo, -1)};
    acc = kir_load(b, x->partial, at, x->rows, x->cols, kir_conds(g->k, 1, later), none);
  } else {
    acc = kir_const(b, none, x->rows, x->cols);
  }
  dot_loops(x, &loads, b, blk, 0, lo, hi, &acc);
  if (!x->chunked) {
    epilogue(x, &stores, b, acc);
    return;
  }
  kir_stmt *done = kir_if(b, idx_sub(kc, hi, k_end));
  kir_builder then = kir_then(b, done), otherwise = kir_else(b, done);
  epilogue(x, &stores, &then, acc);
  const idx *at[] = {idx_add(kc, idx_sub(kc, i, blk->m0), r), c};
  kir_store(&otherwise, x->partial, at, acc, x->rows, x->cols, kir_always);
}

static void emit_rows(contract *x, const splice *s, kir_builder *b, const contract_block *blk, const idx *lo,
                      const idx *hi, const idx *k_end) {
  idx_ctx *kc = x->g->k->ix;
  if (!x->row) {
    emit_tile(x, s, b, blk, idx_int(kc, 0), lo, hi, k_end);
    return;
  }
  kir_stmt *rows = kir_for(b, "i", blk->m0, blk->me, x->rows, 1, 0, NULL);
  kir_builder body = kir_for_body(b, rows);
  const idx *i = idx_of(kc, rows->var);
  int64_t least, most;
  bool may_be_one = !idx_range(x->g->m->ix, x->m, &least, &most) || (least <= 1 && most > 1);
  if (!may_be_one || x->rows == 1) {
    emit_tile(x, s, &body, blk, i, lo, hi, k_end);
  } else { // all there may be is one row (one sequence, one token), clamped it would be computed x->rows times
    kir_stmt *several = kir_if(&body, idx_addi(kc, idx_sub(kc, blk->me, i), -2));
    kir_builder then = kir_then(&body, several), single = kir_else(&body, several);
    contract one = *x;
    one.rows = 1;
    emit_tile(x, s, &then, blk, i, lo, hi, k_end);
    emit_tile(&one, s, &single, blk, i, lo, hi, k_end);
  }
  kir_for_end(rows, NULL);
}

static void emit_column(contract *x, const splice *s, kir_builder *b, const contract_block *blk) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  const idx *lo = idx_int(kc, 0), *k_end = x->n_k ? lower_dim_expr(g, x->k[x->n_k - 1].extent) : idx_int(kc, 1);
  if (!x->chunked) {
    if (x->panel) contract_pack_panel(x, s, b, blk, lo, k_end);
    emit_rows(x, s, b, blk, lo, k_end, k_end);
    return;
  }
  kir_stmt *chunks = kir_for(b, "pc", lo, k_end, KC, 1, 0, NULL);
  kir_builder body = kir_for_body(b, chunks);
  const idx *pc = idx_of(kc, chunks->var), *pe = idx_min(kc, k_end, idx_addi(kc, pc, KC));
  contract_pack_panel(x, s, &body, blk, pc, pe);
  emit_rows(x, s, &body, blk, pc, pe, k_end);
  kir_for_end(chunks, NULL);
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
  contract x = {.g = g};
  const ir_node *dot = g->region->first;
  while (dot && dot->op != OP_contract) dot = dot->next;
  if (!dot) return false;
  x.n.g = g;
  x.anchor = &dot->out[0];
  dtype dt = dot->in[0]->type.dt;
  x.acc_dt = dt == DT_f16 || dt == DT_bf16 ? DT_f32 : dt;
  if (!collect(&x, dot)) return false;
  nest_merge(&x.n);
  if (!classify(&x)) return false;
  x.n_grid_batch = nest_order_batch(x.n_batch, x.batch);
  choose_tile(&x);
  choose_block(&x);
  contract_choose_operand(&x);

  idx_ctx *kc = g->k->ix;
  splice s = {.g = g};
  contract_block blk = {.m = lower_dim_expr(g, x.m), .nn = lower_dim_expr(g, x.nn)};
  nest_bind_grid(&s, x.n_grid_batch, x.batch);
  blk.m0 = idx_scale(kc, lower_grid(g, "gm", idx_ceildiv(kc, blk.m, x.mc)), x.mc);
  blk.me = idx_min(kc, blk.m, idx_addi(kc, blk.m0, x.mc));
  blk.panel = lower_grid(g, "gn", idx_ceildiv(kc, blk.nn, x.cols));
  blk.j = idx_scale(kc, blk.panel, x.cols);
  if (x.packed_b) x.packed_buf = lower_in(g, x.packed_b);

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
  g->k->cost_ns = outer * rows * cols * (k / g->c->target->fma_per_ns + nest_cost_per_element(&x.n) / 4);
  return true;
}
