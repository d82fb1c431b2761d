// Where the column operand of a contraction comes from: packed once by `prepare` when it is constant, read as it lies
// when its columns stand side by side, else packed into group scratch, a chunk of the reduced label at a time.
//
// A constant operand may be an expression of several constants, as a narrow weight and its scales are: each is packed
// for itself, over the labels that it depends on. Few rows compute the expression in registers; for many it is computed
// into scratch first.
#include "passes/contract.h"

enum { FEW_TILES = 4 }; // so many read a panel as it comes

bool contract_label_in(const sx *root, const sym *s) {
  bool found = root->at && idx_mentions(root->at, s);
  for (uint32_t i = 0; i < root->n_in; i++) found = found || contract_label_in(root->in[i], s);
  return found;
}

const idx *contract_label_at(const splice *s, const sym *label) {
  for (uint32_t i = 0; i < s->n_bound; i++)
    if (s->bound[i].label == label) return s->bound[i].at;
  return NULL;
}

static bool is_unit_in(contract *x, const sx *e, const sym *s) {
  const idx *coef, *rest;
  return e->kind == SX_load && idx_linear(x->g->m->ix, e->at, s, &coef, &rest) && idx_equals_int(coef, 1);
}

uint32_t contract_loops(const contract *x) { return x->n_k - (x->n_each > 1); }

const sx *contract_each(const contract *x, const sx *e, int64_t which) {
  if (x->n_each <= 1) return e;
  idx_binding b[] = {{x->k[x->n_k - 1].s, idx_int(x->g->m->ix, which)}};
  return form_subst(x->g->form, e, 1, b);
}

static bool is_left_alone(const contract *x, const sx *e, uint32_t depth) {
  for (uint32_t i = depth; i < x->n_k; i++)
    if (contract_label_in(e, x->k[i].s)) return false;
  return true;
}

contract_factor contract_find_factor(const contract *x, const sx *b, uint32_t depth) {
  if (b->kind != SX_op || b->op != OP_mul || b->dt != DT_f32 || depth >= x->n_k) return (contract_factor){0};
  for (uint32_t i = 0; i < 2; i++)
    if (is_left_alone(x, b->in[i], depth)) return (contract_factor){.of = b->in[i], .rest = b->in[1 - i]};
  return (contract_factor){0};
}

int64_t contract_extent(const contract *x, uint32_t first) {
  int64_t product = 1, n;
  for (uint32_t i = first; i < x->n_k; i++) product *= idx_is_const(x->k[i].extent, &n) && n > 0 ? n : 1;
  return product;
}

// -- packing beforehand --

// The place of an element in a leaf's packed form: [its batch labels…, column panels, its reduced labels…, C].
const idx *contract_packed_index(contract *x, splice *s, const sx *leaf, const idx *panel, const idx *c_at) {
  idx_ctx *kc = x->g->k->ix;
  const idx *at = idx_int(kc, 0);
  for (uint32_t i = 0; i < x->n_batch; i++)
    if (contract_label_in(leaf, x->batch[i].s))
      at = idx_add(kc, idx_mul(kc, at, lower_dim_expr(s->g, x->batch[i].extent)), contract_label_at(s, x->batch[i].s));
  at = idx_add(kc, idx_mul(kc, at, idx_ceildiv(kc, lower_dim_expr(s->g, x->nn), x->cols)), panel);
  for (uint32_t i = 0; i < x->n_k; i++)
    if (contract_label_in(leaf, x->k[i].s))
      at = idx_add(kc, idx_mul(kc, at, lower_dim_expr(s->g, x->k[i].extent)), contract_label_at(s, x->k[i].s));
  return idx_add(kc, idx_scale(kc, at, x->cols), c_at);
}

// Is the packed form of a leaf all of its constant, column by column?
static bool is_in_panels(const contract *x, const sx *leaf, lower_panels *p) {
  idx_ctx *c = x->g->m->ix;
  const idx *inner = idx_int(c, 1), *at = idx_int(c, 0);
  if (x->side > 1) return false;
  for (uint32_t i = 0; i < x->n_k; i++) {
    if (!contract_label_in(leaf, x->k[i].s)) continue;
    at = idx_add(c, idx_mul(c, at, x->k[i].extent), idx_of(c, x->k[i].s));
    inner = idx_mul(c, inner, x->k[i].extent);
  }
  at = idx_add(c, idx_mul(c, idx_of(c, x->col), inner), at);
  *p = (lower_panels){.columns = x->cols};
  return at == leaf->at && idx_is_const(inner, &p->inner) &&
         idx_mul(c, x->nn, inner) == ir_type_count(x->g->m, leaf->value->type);
}

lower_group contract_pack_group(const lower_group *g, const char *name) {
  lower_group p = *g;
  p.k = kir_kernel_new(g->c->a, g->c->diags, name);
  p.params = (__typeof__(p.params)){0};
  p.symbols = (__typeof__(p.symbols)){0};
  p.known = map_new(g->c->a);
  return p;
}

// Builds the kernel that packs a constant, once, in `prepare`.
static void prepack(contract *x, contract_leaf *leaf) {
  lower_group *g = x->g, p = contract_pack_group(g, "pack");
  const sx *load = leaf->load;
  idx_ctx *kc = p.k->ix;
  contract y = *x;
  y.g = &p;
  splice s = {.g = &p, .rows = 1, .cols = x->cols};
  const nest_label *labels[2 * MAX_OUTER];
  uint32_t n_labels = 0;
  for (uint32_t i = 0; i < x->n_batch + x->n_k; i++) {
    const nest_label *l = i < x->n_batch ? &x->batch[i] : &x->k[i - x->n_batch];
    if (contract_label_in(load, l->s)) labels[n_labels++] = l;
  }
  const idx *panels = idx_ceildiv(g->m->ix, x->nn, x->cols);
  const idx *total = idx_scale(g->m->ix, panels, x->cols);
  for (uint32_t i = 0; i < n_labels; i++) total = idx_mul(g->m->ix, total, labels[i]->extent);
  const sym *panel = kir_grid(p.k, "panel", lower_dim_expr(&p, panels));
  kir_buffer *from = lower_in(&p, load->value);
  const idx *count[] = {lower_dim_expr(&p, total)};
  kir_buffer *to = kir_param(p.k, "packed", KIR_out, load->dt, 1, count);
  kir_builder b = kir_begin(p.k);
  kir_stmt *loops[2 * MAX_OUTER];
  for (uint32_t i = 0; i < n_labels; i++) {
    loops[i] = kir_for(&b, "k", idx_int(kc, 0), lower_dim_expr(&p, labels[i]->extent), 1, 1, 0, NULL);
    splice_bind(&s, labels[i]->s, idx_of(kc, loops[i]->var));
    b = kir_for_body(&b, loops[i]);
  }
  const idx *column = idx_add(kc, idx_scale(kc, idx_of(kc, panel), x->cols), idx_of(kc, p.k->c));
  splice_bind(&s, x->col, column);
  const idx *inside[] = {idx_addi(kc, idx_sub(kc, lower_dim_expr(&p, x->nn), column), -1)};
  const idx *p_at = idx_of(kc, panel), *c_at = idx_of(kc, p.k->c);
  const idx *to_at[] = {x->side > 1 ? contract_packed_side(&y, &s, load, p_at, c_at)
                                    : contract_packed_index(&y, &s, load, p_at, c_at)},
            *from_at[] = {splice_index(&s, load->at)};
  kir_copy(&b, to, to_at, from, from_at, 1, x->cols, kir_conds(p.k, 1, inside),
           scalar_cast(scalar_i(DT_i64, 0), load->dt));
  while (n_labels--) kir_for_end(loops[n_labels], NULL);
  lower_panels form;
  bool whole = is_in_panels(x, load, &form);
  leaf->packed = g->pack(g->user, g, load->value, p.k, total, whole ? &form : NULL);
}

typedef struct constant_search {
  const contract *x;
  bool ok;
  uint32_t n_loads, n_leaves; // leaves: loads that depend on the column
  const sx *leaf[MAX_LEAVES];
} constant_search;

static void visit_constant(void *user, const sx *e) {
  constant_search *q = user;
  const contract *x = q->x;
  // What stands under a pick may have no place in the constant where its condition fails: it is read where it lies.
  q->ok =
      q->ok && e->kind != SX_acc && e->kind != SX_guard && e->kind != SX_pick && (!e->at || !idx_mentions_read(e->at));
  if (!q->ok || e->kind != SX_load) return;
  q->ok = x->g->is_constant(x->g->user, e->value);
  q->n_loads++;
  if (!x->col || !contract_label_in(e, x->col)) return;
  for (uint32_t i = 0; i < q->n_leaves; i++)
    if (q->leaf[i] == e) return;
  if (q->n_leaves == MAX_LEAVES) q->ok = false;
  else q->leaf[q->n_leaves++] = e;
}

static constant_search look_for_constants(const contract *x, const sx *root) {
  constant_search q = {.x = x, .ok = true};
  for (int64_t e = 0; e < x->n_each; e++) form_walk(x->g->form, contract_each(x, root, e), visit_constant, &q);
  return q;
}

bool contract_is_constant(const contract *x, const sx *root) {
  constant_search q = look_for_constants(x, root);
  return q.ok && q.n_loads > 0;
}

// A constant operand is packed when that only reorders what it is made of: it has columns, and all its labels have
// constant extents.
bool contract_prepack(contract *x) {
  const sx *b = x->n.root[1];
  constant_search q = look_for_constants(x, b);
  bool ok = q.ok && q.n_leaves > 0 && idx_is_const(x->nn, NULL);
  for (uint32_t i = 0; i < x->n_k; i++)
    ok = ok && contract_label_in(b, x->k[i].s) && idx_is_const(x->k[i].extent, NULL);
  for (uint32_t i = 0; i < x->n_batch; i++)
    ok = ok && (!contract_label_in(b, x->batch[i].s) || idx_is_const(x->batch[i].extent, NULL));
  if (!ok) return false;
  for (uint32_t i = 0; i < q.n_leaves; i++) {
    x->leaf[i] = (contract_leaf){.load = q.leaf[i]};
    prepack(x, &x->leaf[i]);
  }
  x->n_leaves = q.n_leaves;
  return true;
}

double contract_panel_bytes(const contract *x) {
  double sum = 0;
  for (uint32_t i = 0; i < x->n_leaves; i++) {
    double bytes = (double)x->cols * (double)dtype_size(x->leaf[i].load->dt);
    for (uint32_t k = 0; k < x->n_k; k++)
      if (contract_label_in(x->leaf[i].load, x->k[k].s)) bytes *= (double)extent_max(x->g, x->k[k].extent);
    sum += bytes;
  }
  return sum;
}

static bool is_made_of(const sx *e, const sx *leaf) {
  bool found = e == leaf;
  for (uint32_t i = 0; i < e->n_in; i++) found = found || is_made_of(e->in[i], leaf);
  return found;
}

void contract_load_leaves(contract *x, splice *s, const idx *panel, const sx *of) {
  idx_ctx *kc = x->g->k->ix;
  if (!s->done) s->done = map_new(x->g->c->a);
  for (uint32_t i = 0; i < x->n_leaves; i++) {
    const contract_leaf *leaf = &x->leaf[i];
    if (!is_made_of(of, leaf->load) || map_get_ptr(s->done, leaf->load)) continue;
    const idx *at[] = {contract_packed_index(x, s, leaf->load, panel, idx_of(kc, x->g->k->c))};
    kir_tile *t =
        kir_load(s->b, leaf->buf, at, 1, x->cols, kir_always, scalar_cast(scalar_i(DT_i64, 0), leaf->buf->dt));
    map_put_ptr(s->done, leaf->load, t);
  }
}

// -- the panel in scratch --

// How many values of the first reduced label fill a panel; 0: the others alone are too many, or of unknown extent.
static int64_t chunk_of(const contract *x) {
  int64_t inner = 1, n;
  for (uint32_t i = 1; i < x->n_k; i++) {
    if (!idx_is_const(x->k[i].extent, &n) || n > KC) return 0;
    inner *= n > 0 ? n : 1;
    if (inner > KC) return 0;
  }
  return KC / inner;
}

static void make_panel(contract *x, int64_t k, bool chunked) {
  x->chunked = chunked;
  x->chunk = chunked ? chunk_of(x) : 0;
  int64_t rows = chunked ? x->chunk * contract_extent(x, 1) : k > 0 ? k : 1;
  x->panel = kir_group(x->g->k, "panel", x->n.root[1]->dt, 2, (int64_t[]){rows, x->cols});
  if (chunked) x->partial = kir_group(x->g->k, "partial", x->acc_dt, 2, (int64_t[]){x->mc, x->cols});
}

// A packed operand whose panel is larger than a cache that rows of tiles would have it in: each tile then takes a part
// of the reduced labels, and sums lie in scratch meanwhile. Parts stay in three eighths of the first cache, beside rows
// of A and the sums, where that leaves enough products between taking a sum and putting it back; else in a quarter of
// the second one. (AVX2, 4x24 tiles, 60 and 126 rows: parts of 12 KB are 16 and 7% faster than panels of 73.)
static void read_in_chunks(contract *x) {
  enum { LEAST_PRODUCTS = 48 };
  const target *t = x->g->c->target;
  int64_t n, inner = contract_extent(x, 1), value = inner * x->cols * (int64_t)dtype_size(x->leaf[0].load->dt);
  if (!x->n_k || !idx_is_const(x->k[0].extent, &n)) return;
  int64_t most = (int64_t)t->l1_bytes * 3 / 8 / value, far = (int64_t)t->l2_bytes / 4 / value;
  if (most * inner < LEAST_PRODUCTS) most = far;
  else if (n * value <= (int64_t)t->l1_bytes) return;
  int64_t parts = most > 1 ? (n + most - 1) / most : n;
  if (parts < 2) return;
  x->chunked = true;
  x->chunk = (n + parts - 1) / parts;
  if (x->n_k == 1) x->chunk += (x->side - x->chunk % x->side) % x->side;
  x->partial = kir_group(x->g->k, "partial", x->acc_dt, 2, (int64_t[]){x->mc, x->cols});
}

void contract_choose_operand(contract *x) {
  lower_group *g = x->g;
  const sx *b = x->n.root[1];
  int64_t k = 1;
  for (uint32_t i = 0; i < x->n_k; i++)
    k = extent_max(g, x->k[i].extent) < INT64_MAX / 4096 / k ? k * extent_max(g, x->k[i].extent) : INT64_MAX / 4096;
  bool fits = k <= KC || chunk_of(x) > 0;
  if (contract_prepack(x)) {
    if (x->staged) return;
    bool widened = b->kind != SX_load && x->side == 1, many_rows = extent_max(g, x->m) > (int64_t)x->rows;
    if (widened && many_rows && fits) make_panel(x, k, k > KC);
    else if (!widened && extent_max(g, x->m) > FEW_TILES * (int64_t)x->rows) read_in_chunks(x);
    return;
  }
  bool side_by_side = x->col && is_unit_in(x, b, x->col) && idx_divides(g->m->ix, x->cols, x->nn) == TRI_yes;
  // Several reduced labels that do not merge are packed whole, if they are short; else B is read where it lies.
  bool whole = x->n_k == 1 ? k <= KC : k <= 4 * KC;
  if (x->col && !side_by_side && (whole || fits)) make_panel(x, k, !whole);
}

// The row of the panel for labels bound in `s`, the first of them counted from `lo`.
const idx *contract_panel_row(contract *x, const splice *s, const idx *lo, int64_t which) {
  idx_ctx *kc = x->g->k->ix;
  const idx *row = idx_int(kc, 0);
  for (uint32_t i = 0; i < x->n_k; i++) {
    const idx *at = i + 1 == x->n_k && x->n_each > 1 ? idx_int(kc, which) : contract_label_at(s, x->k[i].s);
    row = idx_add(kc, idx_mul(kc, row, lower_dim_expr(x->g, x->k[i].extent)),
                  i == 0 && x->chunked ? idx_sub(kc, at, lo) : at);
  }
  return row;
}

// The loops over reduced labels from `depth` on, inside which rows of B are made and stored.
static void pack_loops(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, uint32_t depth,
                       const idx *lo, const idx *hi, contract_factor f) {
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  splice s = *outer;
  s.b = b;
  if (x->n_leaves && !f.rest) {
    f = contract_find_factor(x, x->n.root[1], depth);
    if (f.rest) {
      s.done = NULL;
      contract_load_leaves(x, &s, blk->panel, f.of);
      f.tile = splice_tile(&s, f.of);
    }
  }
  if (depth == contract_loops(x)) {
    s.done = map_new(g->c->a);
    if (f.tile) map_put_ptr(s.done, f.of, f.tile);
    for (int64_t e = 0; e < x->n_each; e++) {
      contract_load_leaves(x, &s, blk->panel, contract_each(x, f.rest ? f.rest : x->n.root[1], e));
      kir_tile *t = splice_tile(&s, contract_each(x, x->n.root[1], e));
      const idx *to[] = {contract_panel_row(x, &s, lo, e), idx_of(kc, g->k->c)};
      kir_store(b, x->panel, to, t, 1, x->cols, kir_always);
    }
    return;
  }
  kir_stmt *loop =
      kir_for(b, "k", depth ? idx_int(kc, 0) : lo, depth ? lower_dim_expr(g, x->k[depth].extent) : hi, 1, 1, 0, NULL);
  kir_builder body = kir_for_body(b, loop);
  splice_bind(&s, x->k[depth].s, idx_of(kc, loop->var));
  pack_loops(x, &s, &body, blk, depth + 1, lo, hi, f);
  kir_for_end(loop, NULL);
}

void contract_pack_panel(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *lo,
                         const idx *hi) {
  idx_ctx *kc = x->g->k->ix;
  splice s = *outer;
  s.rows = 1;
  s.cols = x->cols;
  const idx *col = idx_add(kc, blk->j, idx_of(kc, x->g->k->c));
  if (x->col) splice_bind(&s, x->col, col);
  s.col_tail = x->col && idx_divides(x->g->m->ix, x->cols, x->nn) != TRI_yes
                   ? idx_addi(kc, idx_sub(kc, blk->nn, col), -1)
                   : NULL;
  pack_loops(x, &s, b, blk, 0, lo, hi, (contract_factor){0});
}
