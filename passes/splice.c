// Splice: scalar DAGs of the index form become tile operations of kernel IR. Loads keep the address of the tensor they
// came from, so that broadcasts, slices and transposes cost no instruction; a load whose index mentions neither r nor c
// is a scalar, one of them a row or column.
#include "passes/schedule.h"
#include <stdio.h>
#include <string.h>

static kir_buffer *add_param(lower_group *g, const ir_value *v, kir_space space) {
  char name[24];
  snprintf(name, sizeof name, "p%zu", g->params.n);
  const idx *count[] = {lower_dim_expr(g, ir_type_count(g->m, v->type))};
  kir_buffer *buf = kir_param(g->k, name, space, v->type.dt, 1, count);
  vec_push(g->c->a, &g->params, ((lower_param){v, buf}));
  return buf;
}

kir_buffer *lower_in(lower_group *g, const ir_value *v) {
  for (size_t i = 0; i < g->params.n; i++)
    if (g->params.at[i].value == v && g->params.at[i].buf->space == KIR_in) return g->params.at[i].buf;
  return add_param(g, v, KIR_in);
}

kir_buffer *lower_out(lower_group *g, const ir_value *v) {
  for (size_t i = 0; i < g->params.n; i++)
    if (g->params.at[i].value == v && g->params.at[i].buf->space == KIR_out) return g->params.at[i].buf;
  return add_param(g, v, KIR_out);
}

// The kernel's own symbol for an expression over dims: a fact, whose value the plan supplies.
static const idx *symbol_of(lower_group *g, const idx *e, int64_t lo, int64_t hi, int64_t step) {
  for (size_t i = 0; i < g->symbols.n; i++)
    if (g->symbols.at[i] == e) return idx_of(g->k->ix, g->k->facts.at[i].symbol);
  char name[24];
  snprintf(name, sizeof name, "n%zu", g->symbols.n);
  vec_push(g->c->a, &g->symbols, e);
  return idx_of(g->k->ix, kir_fact_add(g->k, name, lo, hi, step));
}

static const idx *dim_symbol(lower_group *g, const sym *s) {
  int64_t lo = 0, hi = INT64_MAX / 4;
  if (s->lo) idx_is_const(s->lo, &lo);
  if (s->hi) idx_is_const(s->hi, &hi);
  return symbol_of(g, idx_of(g->m->ix, s), lo, hi, s->step);
}

static const idx *translate(lower_group *g, const idx *e, uint32_t n, const label_binding *bound);

static const idx *translate_atom(lower_group *g, const atom *t, uint32_t n, const label_binding *bound) {
  idx_ctx *c = g->k->ix;
  if (t->kind == ATOM_sym) {
    for (uint32_t i = 0; i < n; i++)
      if (bound[i].label == t->symbol) return bound[i].at;
    return dim_symbol(g, t->symbol);
  }
  const idx *a = translate(g, t->a, n, bound);
  if (t->kind ==
      ATOM_read) { // conditions are evaluated for lanes past the end too: the place that is read stays inside
    kir_buffer *buf = lower_in(g, form_read_value(g->form, t->buffer));
    if (idx_mentions(a, g->k->r) || idx_mentions(a, g->k->c)) a = idx_min(c, a, idx_addi(c, buf->dim[0], -1));
    return idx_read(c, buf->name, a);
  }
  const idx *b = translate(g, t->b, n, bound);
  switch ((int)t->kind) {
  case ATOM_floordiv: return idx_floordiv(c, a, b);
  case ATOM_mod: return idx_mod(c, a, b);
  case ATOM_min: return idx_min(c, a, b);
  default: return idx_max(c, a, b);
  }
}

// Moves an index expression from the module's context into the kernel's, labels replaced by their bindings.
static const idx *translate(lower_group *g, const idx *e, uint32_t n, const label_binding *bound) {
  idx_ctx *c = g->k->ix;
  const idx *sum = idx_int(c, 0);
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const idx *term = idx_int(c, e->terms[i].coef);
    for (uint32_t k = 0; k < e->terms[i].n_factors; k++)
      term = idx_mul(c, term, translate_atom(g, e->terms[i].factors[k], n, bound));
    sum = idx_add(c, sum, term);
  }
  return sum;
}

const idx *lower_dim_expr(lower_group *g, const idx *e) {
  const idx *known = map_get_ptr(g->known, e);
  if (!known) {
    known = translate(g, e, 0, NULL);
    map_put_ptr(g->known, e, (void *)(uintptr_t)known);
  }
  return known;
}

const idx *lower_grid(lower_group *g, const char *prefix, const idx *extent) {
  if (idx_equals_int(extent, 1)) return idx_int(g->k->ix, 0);
  char name[24];
  snprintf(name, sizeof name, "%s%u", prefix, g->k->n_grid);
  return idx_of(g->k->ix, kir_grid(g->k, name, extent));
}

void splice_bind(splice *s, const sym *label, const idx *at) {
  uint32_t i = 0;
  while (i < s->n_bound && s->bound[i].label != label) i++;
  s->n_bound += i == s->n_bound;
  s->bound[i] = (label_binding){label, at};
}

const idx *splice_index(splice *s, const idx *e) { return translate(s->g, e, s->n_bound, s->bound); }

// A place in a parameter. What picks one of a stack is a symbol, also for the first, which begins at 0.
static const idx *splice_address(splice *s, const ir_value *v, kir_space space, const idx *e) {
  lower_group *g = s->g;
  if (!g->is_stack || !g->is_stack(g->user, v, space)) return splice_index(s, e);
  const sym *labels[IR_MAX_RANK * 2];
  for (uint32_t i = 0; i < s->n_bound; i++) labels[i] = s->bound[i].label;
  const idx *begin = idx_invariant(g->m->ix, e, s->n_bound, labels);
  return idx_add(g->k->ix, symbol_of(g, begin, 0, INT64_MAX / 4, 1), splice_index(s, idx_sub(g->m->ix, e, begin)));
}

static bool any_mentions(const idx *e, uint32_t n, const idx *const *more, const sym *x) {
  bool found = idx_mentions(e, x);
  for (uint32_t i = 0; i < n; i++) found = found || idx_mentions(more[i], x);
  return found;
}

// The conditions under which a tile of this extent may touch memory: those of picks, and the tails along the axes that
// it spans.
static kir_where conditions(splice *s, bool over_r, bool over_c) {
  const idx *cond[SPLICE_MAX_CONDS + 2];
  uint32_t n = 0;
  for (uint32_t i = 0; i < s->n_conds; i++) cond[n++] = s->cond[i];
  if (over_r && s->row_tail) cond[n++] = s->row_tail;
  if (over_c && s->col_tail) cond[n++] = s->col_tail;
  return kir_conds(s->g->k, n, cond);
}

// Where an element of a constant lies in its panels.
static const idx *place_in_panels(idx_ctx *c, const idx *at, const lower_panels *p) {
  const idx *inner = idx_int(c, p->inner), *columns = idx_int(c, p->columns), *column = idx_floordiv(c, at, inner);
  const idx *row = idx_add(c, idx_mul(c, idx_floordiv(c, column, columns), inner), idx_mod(c, at, inner));
  return idx_add(c, idx_mul(c, row, columns), idx_mod(c, column, columns));
}

// The address of a load in `from`: what it reads, or, of a constant that a product packs, its panels.
static const idx *load_address(splice *s, const sx *e, const ir_value **from) {
  lower_panels p = {.value = e->value};
  bool packed = s->g->panels(s->g->user, e->value, &p);
  *from = p.value;
  return packed ? splice_index(s, place_in_panels(s->g->m->ix, e->at, &p)) : splice_address(s, e->value, KIR_in, e->at);
}

void splice_prefetch(splice *s, const sx *e) {
  const ir_value *from;
  const idx *at[] = {load_address(s, e, &from)};
  kir_prefetch(s->b, lower_in(s->g, from), at);
}

static kir_tile *splice_load(splice *s, const sx *e) {
  kir_kernel *k = s->g->k;
  const ir_value *from;
  const idx *at = load_address(s, e, &from);
  bool over_r = any_mentions(at, s->n_conds, s->cond, k->r), over_c = any_mentions(at, s->n_conds, s->cond, k->c);
  uint32_t rows = over_r ? s->rows : 1, cols = over_c ? s->cols : 1;
  const idx *index[] = {at};
  return kir_load(s->b, lower_in(s->g, from), index, rows, cols, conditions(s, over_r, over_c),
                  scalar_cast(scalar_i(DT_i64, 0), e->dt));
}

// Records the misses of a gather; what is read then is its clamped element.
static kir_tile *splice_guard(splice *s, const sx *e) {
  kir_kernel *k = s->g->k;
  for (uint32_t i = 0; i < e->n_guards; i++) {
    const idx *miss[] = {splice_index(s, e->guards[i])};
    bool over_r = any_mentions(miss[0], s->n_conds, s->cond, k->r),
         over_c = any_mentions(miss[0], s->n_conds, s->cond, k->c);
    kir_fault(s->b, s->g->fault_site(s->g->fault_user, e->op, e->span), over_r ? s->rows : 1, over_c ? s->cols : 1,
              kir_both(k, conditions(s, over_r, over_c), kir_conds(k, 1, miss)));
  }
  return splice_tile(s, e->in[0]);
}

static kir_tile *splice_pick(splice *s, const sx *e) {
  idx_ctx *c = s->g->k->ix;
  const idx *cond = splice_index(s, e->at);
  uint32_t rows = idx_mentions(cond, s->g->k->r) ? s->rows : 1, cols = idx_mentions(cond, s->g->k->c) ? s->cols : 1;
  map *outer = s->done;
  kir_tile *side[2];
  for (int i = 0; i < 2; i++) { // each side is computed under its own condition, and remembered only there
    s->done = map_new(s->g->c->a);
    BUG_IF(s->g->c->diags, s->n_conds == SPLICE_MAX_CONDS, "concatenations nested too deeply in one kernel");
    s->cond[s->n_conds++] = i == 0 ? cond : idx_addi(c, idx_scale(c, cond, -1), -1);
    side[i] = splice_tile(s, e->in[i]);
    s->n_conds--;
  }
  s->done = outer;
  kir_tile *zero = kir_const(s->b, scalar_i(DT_i64, 0), 1, 1);
  kir_tile *holds = kir_op2(s->b, OP_le, zero, kir_index(s->b, cond, DT_i64, rows, cols));
  return kir_op(s->b, OP_where, 3, (kir_tile *[]){holds, side[0], side[1]});
}

kir_tile *splice_tile(splice *s, const sx *e) {
  if (!s->done) s->done = map_new(s->g->c->a);
  kir_tile *t = map_get_ptr(s->done, e);
  if (t) return t;
  kir_tile *in[3];
  switch (e->kind) {
  case SX_load: t = splice_load(s, e); break;
  case SX_guard: t = splice_guard(s, e); break;
  case SX_const: t = kir_const(s->b, e->imm, 1, 1); break;
  case SX_index: {
    const idx *at = splice_index(s, e->at);
    t = kir_index(s->b, at, e->dt, idx_mentions(at, s->g->k->r) ? s->rows : 1,
                  idx_mentions(at, s->g->k->c) ? s->cols : 1);
    break;
  }
  case SX_op:
    for (uint32_t i = 0; i < e->n_in; i++) in[i] = splice_tile(s, e->in[i]);
    t = e->op == OP_cast ? kir_convert(s->b, in[0], e->dt) : kir_op(s->b, e->op, e->n_in, in);
    break;
  case SX_pick: t = splice_pick(s, e); break;
  case SX_acc:
  default: t = map_get_ptr(s->acc, e->value); break;
  }
  map_put_ptr(s->done, e, t);
  return t;
}

void splice_store(splice *s, const ir_value *yield, const idx *address, kir_tile *t) {
  kir_kernel *k = s->g->k;
  const idx *at[] = {splice_address(s, yield, KIR_out, address)};
  bool over_r = idx_mentions(at[0], k->r), over_c = idx_mentions(at[0], k->c);
  kir_store(s->b, lower_out(s->g, yield), at, t, over_r ? s->rows : 1, over_c ? s->cols : 1,
            conditions(s, over_r, over_c));
}

kir_tile *splice_zero_behind(lower_group *g, kir_builder *b, kir_tile *t, uint32_t rows, uint32_t cols,
                             const idx *inside) {
  if (!inside) return t;
  kir_where w = kir_conds(g->k, 1, &inside);
  scalar zero = scalar_cast(scalar_i(DT_i64, 0), t->dt);
  // One number for all of them: some may be behind.
  if (w.n && (t->cols < cols || t->rows < rows)) t = kir_op2(b, OP_add, t, kir_const(b, zero, rows, cols));
  return kir_select(b, t, w, zero);
}
