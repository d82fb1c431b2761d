// The rules of kernels: what the printers may rely on. docs/kernel-ir.md lists them.
//
// In: a kernel whose statements have the operands of their kind. Out: a diagnostic for every broken rule, with the
// statement's text; nothing is changed. One walk in text order: a tile or a name is visible from its definition to the
// end of its block, and a name is `varying` when it may differ between workers of a group. All control flow must be
// uniform over a group, so that barriers and collectives may stand anywhere.
#include "ir/kir_priv.h"

typedef struct symbol_state {
  bool visible, varying;
} symbol_state;

typedef struct tile_state {
  const kir_tile *tile; // NULL: no definition seen
  bool visible, in_copy;
} tile_state;

typedef struct verifier {
  const kir_kernel *k;
  diag_list *l;
  const uint32_t *numbers;
  map *symbols; // sym -> symbol_state
  tile_state *tiles;
  VEC(tile_state *) tile_scope;
  VEC(symbol_state *) symbol_scope;
  const kir_stmt *s; // the statement being checked, or NULL in the header,
  const char *where; // which is named so
  bool in_copy;      // inside the body of a copy
  bool sound;
} verifier;

#define REPORT(v, ...) ((v)->sound = false, (void)diag_at((v)->l, NO_SPAN, __VA_ARGS__))

static const char *text(const verifier *v) {
  return v->s != NULL ? kir_stmt_text(v->k->a, v->k, v->numbers, v->s) : v->where;
}

// -- names --

static void define_symbol(verifier *v, const sym *s, bool varying) {
  symbol_state *state = map_get_ptr(v->symbols, s);
  if (state != NULL || kir_buffer_find(v->k, s->name) != NULL || s == v->k->r || s == v->k->c) {
    REPORT(v, kernel_name, s->name);
    return;
  }
  state = ARENA_NEW(v->k->a, symbol_state);
  *state = (symbol_state){true, varying};
  map_put_ptr(v->symbols, s, state);
  vec_push(v->k->a, &v->symbol_scope, state);
}

static void define_tile(verifier *v, const kir_tile *t) {
  tile_state *state = t->id < v->k->next_tile ? &v->tiles[t->id] : NULL;
  if (state == NULL || state->tile != NULL) {
    REPORT(v, kernel_defined, text(v));
    return;
  }
  *state = (tile_state){t, true, v->in_copy};
  vec_push(v->k->a, &v->tile_scope, state);
  if (!kir_shape_legal(t->rows, t->cols)) REPORT(v, kernel_shape, text(v));
}

static bool use_tile(verifier *v, const kir_tile *t) {
  const tile_state *state = t != NULL && t->id < v->k->next_tile ? &v->tiles[t->id] : NULL;
  bool good = state != NULL && state->tile == t && state->visible;
  if (!good) REPORT(v, kernel_dominance, text(v));
  else if (v->in_copy && !state->in_copy) REPORT(v, kernel_copy, text(v));
  return good;
}

// -- index expressions --

typedef struct index_use {
  verifier *v;
  bool may_tile;   // r and c have a meaning
  bool must_agree; // all workers must see one value
} index_use;

static void check_symbol(void *user, const sym *s) {
  const index_use *use = user;
  verifier *v = use->v;
  if (s == v->k->r || s == v->k->c) {
    if (!use->may_tile) REPORT(v, kernel_tile_place, text(v));
    return;
  }
  const symbol_state *state = map_get_ptr(v->symbols, s);
  if (state == NULL || !state->visible) REPORT(v, kernel_scope, s->name, text(v));
  else if (use->must_agree && state->varying) REPORT(v, kernel_varying, s->name, text(v));
}

static void check_atoms(verifier *v, const idx *e) {
  idx_ctx *ix = v->k->ix;
  for (uint32_t i = 0; i < e->n_terms; i++) {
    for (uint32_t j = 0; j < e->terms[i].n_factors; j++) {
      const atom *t = e->terms[i].factors[j];
      if (t->a != NULL) check_atoms(v, t->a);
      if (t->b != NULL) check_atoms(v, t->b);
      if (t->kind == ATOM_read) {
        const kir_buffer *b = kir_buffer_find(v->k, t->buffer);
        if (b == NULL || b->space != KIR_in || !dtype_is_int(b->dt)) REPORT(v, kernel_read, t->buffer, text(v));
      }
      bool divides = t->kind == ATOM_floordiv || t->kind == ATOM_mod;
      if (divides && idx_nonneg(ix, kir_expand(ix, idx_addi(ix, t->b, -1))) != TRI_yes) {
        strbuf b;
        sb_init(&b, v->k->a);
        idx_print(&b, t->b);
        REPORT(v, kernel_divisor, sb_cstr(&b), text(v));
      }
    }
  }
}

static void check_index(verifier *v, const idx *e, bool may_tile, bool must_agree) {
  index_use use = {v, may_tile, must_agree};
  idx_symbols(e, check_symbol, &use);
  check_atoms(v, e);
}

static void check_access(verifier *v, kir_access acc, bool may_tile, bool must_agree) {
  for (uint32_t i = 0; i < acc.buf->rank; i++) check_index(v, acc.index[i], may_tile, must_agree);
}

static void check_where(verifier *v, kir_where w, bool must_agree) {
  for (uint32_t i = 0; i < w.n; i++) check_index(v, w.cond[i], true, must_agree);
}

static void check_imm(verifier *v, scalar imm, dtype dt) {
  if (imm.dt != dt) REPORT(v, kernel_else, dtype_name(dt), text(v));
}

static void note_varying(void *user, const sym *s) {
  index_use *use = user;
  const symbol_state *state = map_get_ptr(use->v->symbols, s);
  use->must_agree = use->must_agree || (state != NULL && state->varying);
}

static bool is_varying(verifier *v, const idx *e) {
  index_use use = {v, false, false};
  idx_symbols(e, note_varying, &use);
  return use.must_agree;
}

// -- one statement --

static bool same_type(const kir_tile *a, const kir_tile *b) {
  return a->dt == b->dt && a->rows == b->rows && a->cols == b->cols;
}

static bool fits_shape(const kir_tile *t, uint32_t rows, uint32_t cols) {
  return kir_shape_legal(rows, cols) && (t->rows == 1 || t->rows == rows) && (t->cols == 1 || t->cols == cols);
}

static void check_operation(verifier *v, const kir_stmt *s) {
  bool three = s->kind == KIR_dot || s->kind == KIR_fma, any = s->kind == KIR_op || s->kind == KIR_zip;
  uint32_t wanted = three ? 3 : any ? s->n_in : 1;
  bool usable = s->n_in == wanted && wanted >= 1 && wanted <= 3;
  if (!usable) REPORT(v, kernel_operator, text(v));
  for (uint32_t i = 0; usable && i < s->n_in; i++) usable = use_tile(v, s->in[i]);
  if (!usable) return;
  kir_type t;
  diag_id wrong = kir_infer(s, s->out->dt, &t);
  if (wrong == DIAG_COUNT && t.dt != s->out->dt) wrong = DIAG_ID_kernel_dtype;
  if (wrong == DIAG_COUNT && (t.rows != s->out->rows || t.cols != s->out->cols)) wrong = DIAG_ID_kernel_shape;
  if (wrong != DIAG_COUNT) {
    v->sound = false;
    diag_report(v->l, NO_SPAN, wrong, text(v));
  }
  bool worker = s->across == NULL;
  for (uint32_t i = 0; i < v->k->n_workers; i++) worker = worker || s->across == v->k->workers[i];
  if (!worker) REPORT(v, kernel_across, s->across->name, text(v));
  check_where(v, s->where, v->in_copy);
  if (s->kind == KIR_select) check_imm(v, s->imm, s->out->dt);
}

// Workers of a warp hold one tile together, so that there must be whole warps.
static void check_mma(verifier *v, const kir_stmt *s) {
  const kir_access operands[] = {s->acc, s->from};
  bool good = v->k->n_workers == 1 && v->k->worker_extent[0] % KIR_WARP == 0;
  for (int i = 0; i < 2; i++) {
    const idx *first;
    int64_t stride;
    check_access(v, operands[i], true, false);
    good = good && operands[i].buf->space == KIR_group && kir_mma_operand(v->k, operands[i], &first, &stride);
  }
  if (!good) REPORT(v, kernel_mma, text(v));
  check_operation(v, s);
}

static void check_writable(verifier *v, const kir_buffer *b) {
  if (b->space == KIR_in) REPORT(v, kernel_access, kir_space_word(b->space), "written", text(v));
}

static void check_store(verifier *v, const kir_stmt *s) {
  check_access(v, s->acc, true, false);
  check_where(v, s->where, false);
  check_writable(v, s->acc.buf);
  if (!use_tile(v, s->in[0])) return;
  if (s->in[0]->dt != s->acc.buf->dt) REPORT(v, kernel_dtype, text(v));
  if (!fits_shape(s->in[0], s->rows, s->cols)) REPORT(v, kernel_shape, text(v));
}

static void check_block(verifier *v, const kir_block *block);

// Back to what was visible before: tiles and names defined since end here.
static void close_scope(verifier *v, size_t n_tiles, size_t n_symbols) {
  while (v->tile_scope.n > n_tiles) vec_pop(&v->tile_scope)->visible = false;
  while (v->symbol_scope.n > n_symbols) vec_pop(&v->symbol_scope)->visible = false;
}

static void check_copy(verifier *v, const kir_stmt *s) {
  check_access(v, s->acc, true, true);
  check_access(v, s->from, true, true);
  check_where(v, s->where, true);
  check_writable(v, s->acc.buf);
  check_imm(v, s->imm, s->from.buf->dt);
  if (!kir_shape_legal(s->rows, s->cols)) REPORT(v, kernel_shape, text(v));
  if (s->n_carry == 0) {
    if (s->acc.buf->dt != s->from.buf->dt) REPORT(v, kernel_dtype, text(v));
    return;
  }
  size_t n_tiles = v->tile_scope.n, n_symbols = v->symbol_scope.n;
  v->in_copy = true;
  define_tile(v, s->carry[0]);
  check_block(v, &s->body);
  v->s = s;
  if (use_tile(v, s->yield[0])) {
    if (s->yield[0]->dt != s->acc.buf->dt || s->carry[0]->dt != s->from.buf->dt) REPORT(v, kernel_dtype, text(v));
    if (!fits_shape(s->yield[0], s->rows, s->cols)) REPORT(v, kernel_shape, text(v));
  }
  v->in_copy = false;
  close_scope(v, n_tiles, n_symbols);
}

static void check_for(verifier *v, const kir_stmt *s) {
  check_index(v, s->lo, false, true);
  check_index(v, s->hi, false, true);
  if (s->step < 1 || s->unroll < 1 || s->unroll > KIR_MAX_UNROLL) REPORT(v, kernel_loop, KIR_MAX_UNROLL, text(v));
  bool same = true;
  for (uint32_t i = 0; i < s->n_carry; i++) {
    use_tile(v, s->init[i]);
    same = same && same_type(s->init[i], s->carry[i]) && same_type(s->carry[i], s->result[i]) && s->yield[i] != NULL &&
           same_type(s->yield[i], s->result[i]);
  }
  if (!same) REPORT(v, kernel_carry, text(v));
  size_t n_tiles = v->tile_scope.n, n_symbols = v->symbol_scope.n;
  define_symbol(v, s->var, false);
  for (uint32_t i = 0; i < s->n_carry; i++) define_tile(v, s->carry[i]);
  check_block(v, &s->body);
  v->s = s;
  for (uint32_t i = 0; i < s->n_carry; i++) use_tile(v, s->yield[i]);
  close_scope(v, n_tiles, n_symbols);
  for (uint32_t i = 0; i < s->n_carry; i++) define_tile(v, s->result[i]);
}

static void check_if(verifier *v, const kir_stmt *s) {
  check_index(v, s->index, false, true);
  size_t n_tiles = v->tile_scope.n, n_symbols = v->symbol_scope.n;
  check_block(v, &s->body);
  close_scope(v, n_tiles, n_symbols);
  check_block(v, &s->other);
  close_scope(v, n_tiles, n_symbols);
}

static bool allowed_in_copy(kir_kind kind) {
  return kind == KIR_load || kind == KIR_const || kind == KIR_index || kind == KIR_op || kind == KIR_fma ||
         kind == KIR_select;
}

static void check_stmt(verifier *v, const kir_stmt *s) {
  if (v->in_copy && !allowed_in_copy(s->kind)) {
    REPORT(v, kernel_copy, text(v));
    if (s->out != NULL) define_tile(v, s->out); // or its uses would be errors too
    return;
  }
  switch (s->kind) {
  case KIR_let:
    check_index(v, s->index, false, false);
    define_symbol(v, s->var, is_varying(v, s->index));
    break;
  case KIR_load:
    check_access(v, s->acc, true, v->in_copy);
    check_where(v, s->where, v->in_copy);
    check_imm(v, s->imm, s->out->dt);
    if (s->out->dt != s->acc.buf->dt) REPORT(v, kernel_dtype, text(v));
    break;
  case KIR_const: check_imm(v, s->imm, s->out->dt); break;
  case KIR_index:
    check_index(v, s->index, true, v->in_copy);
    if (s->out->dt != DT_i32 && s->out->dt != DT_i64) REPORT(v, kernel_dtype, text(v));
    break;
  case KIR_mma: check_mma(v, s); break;
  case KIR_dot:
  case KIR_op:
  case KIR_fma:
  case KIR_zip:
  case KIR_select:
  case KIR_reduce: check_operation(v, s); break;
  case KIR_store: check_store(v, s); break;
  case KIR_copy: check_copy(v, s); break;
  case KIR_prefetch: check_access(v, s->acc, false, false); break;
  case KIR_barrier: break;
  case KIR_fault:
    check_where(v, s->where, false);
    if (!kir_shape_legal(s->rows, s->cols)) REPORT(v, kernel_shape, text(v));
    break;
  case KIR_for: check_for(v, s); break;
  case KIR_if: check_if(v, s); break;
  }
  if (s->out != NULL) define_tile(v, s->out);
}

static void check_block(verifier *v, const kir_block *block) {
  for (const kir_stmt *s = block->first; s != NULL; s = s->next) {
    v->s = s;
    check_stmt(v, s);
  }
}

// -- the header --

static void check_buffer(verifier *v, const kir_buffer *b) {
  v->where = str_fmt(v->k->a, "%s %s", kir_space_word(b->space), b->name);
  if (kir_buffer_find(v->k, b->name) != b) REPORT(v, kernel_name, b->name);
  if (b->rank > KIR_MAX_RANK) REPORT(v, kernel_header, v->where, "too many axes");
  bool constant = true;
  for (uint32_t i = 0; i < b->rank; i++) {
    int64_t extent = 1;
    constant = constant && idx_is_const(b->dim[i], &extent) && extent >= 1;
    check_index(v, b->dim[i], false, true);
    if (idx_mentions_read(b->dim[i])) REPORT(v, kernel_header, v->where, "an extent reads a buffer");
  }
  if (b->space == KIR_group && !constant) {
    REPORT(v, kernel_header, v->where, "the extents of group scratch are constants of at least 1");
  }
}

static void check_header(verifier *v) {
  const kir_kernel *k = v->k;
  for (size_t i = 0; i < k->facts.n; i++) {
    const kir_fact *f = &k->facts.at[i];
    v->where = str_fmt(k->a, "fact %s", f->symbol->name);
    if (f->lo > f->hi || f->multiple < 1) REPORT(v, kernel_header, v->where, "no integer satisfies it");
    define_symbol(v, f->symbol, false);
  }
  for (size_t i = 0; i < k->params.n; i++) check_buffer(v, k->params.at[i]);
  for (size_t i = 0; i < k->group.n; i++) check_buffer(v, k->group.at[i]);
  for (uint32_t i = 0; i < k->n_grid; i++) {
    v->where = str_fmt(k->a, "grid %s", k->grid[i]->name);
    check_index(v, k->grid_extent[i], false, true);
    if (idx_mentions_read(k->grid_extent[i])) REPORT(v, kernel_header, v->where, "the extent reads a buffer");
  }
  for (uint32_t i = 0; i < k->n_grid; i++) define_symbol(v, k->grid[i], false);
  for (uint32_t i = 0; i < k->n_workers; i++) {
    v->where = str_fmt(k->a, "workers %s", k->workers[i]->name);
    bool legal = k->worker_extent[i] >= 1 && k->worker_extent[i] <= KIR_MAX_WORKERS;
    if (!legal) REPORT(v, kernel_header, v->where, "the number of workers is out of range");
    define_symbol(v, k->workers[i], k->worker_extent[i] > 1);
  }
}

bool kir_verify(const kir_kernel *k, diag_list *l) {
  verifier v = {.k = k, .l = l, .numbers = kir_number_tiles(k->a, k), .symbols = map_new(k->a), .sound = true};
  v.tiles = ARENA_ARRAY(k->a, tile_state, k->next_tile);
  check_header(&v);
  check_block(&v, &k->body);
  return v.sound;
}
