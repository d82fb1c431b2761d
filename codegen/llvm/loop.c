// Loops and branches.
//
// A loop is emitted in the form the machine wants: a guard, then a body with its test at the bottom; carried tiles are
// phis. `unroll U` gives a main loop of U bodies, in whose copies the variable is written `i`, `i + step`, … so that
// the differences become displacements, and a remainder loop unless the trip count is proved divisible. A loop of
// constant, few trips is its bodies in a row.
#include "codegen/llvm/cg.h"

typedef struct loop {
  const kir_stmt *s;
  const idx *lo, *hi;      // here
  const cg_tile **carried; // [s->n_carry]: the values so far
} loop;

static void set_carried(cg *g, const loop *w) {
  for (uint32_t i = 0; i < w->s->n_carry; i++)
    if (w->carried[i]) cg_set(g, w->s->carry[i], w->carried[i]);
}

// One copy of the body, its variable being `var`. All yields are read before any carried value changes.
static void body(cg *g, loop *w, const idx *var) {
  const kir_stmt *s = w->s;
  size_t outer = g->bound.n;
  if (idx_is_symbol(var) != s->var) vec_push(g->a, &g->bound, ((idx_binding){s->var, var}));
  set_carried(g, w);
  cg_stmts(g, &s->body);
  for (uint32_t i = 0; i < s->n_carry; i++)
    if (w->carried[i]) w->carried[i] = cg_get(g, s->yield[i]);
  g->bound.n = outer;
}

static size_t n_values(const cg_tile *t) { return (size_t)t->rows * t->n_chunks; }

// The carried tiles as phis in a new block, with their values from `from`.
static void phis_of(cg *g, loop *w, LLVMBasicBlockRef from) {
  for (uint32_t i = 0; i < w->s->n_carry; i++) {
    const cg_tile *t = w->carried[i];
    if (!t) continue; // it stays in its registers
    cg_tile *phi = cg_tile_new(g, t->dt, t->rows, t->cols);
    for (size_t v = 0; v < n_values(t); v++) {
      phi->v[v] = LLVMBuildPhi(g->b, LLVMTypeOf(t->v[v]), "");
      LLVMAddIncoming(phi->v[v], &t->v[v], &from, 1);
    }
    w->carried[i] = phi;
  }
}

static void add_incoming(const loop *w, const cg_tile *const *phi, LLVMBasicBlockRef from) {
  for (uint32_t i = 0; i < w->s->n_carry; i++) {
    for (size_t v = 0; phi[i] && v < n_values(phi[i]); v++)
      LLVMAddIncoming(phi[i]->v[v], &w->carried[i]->v[v], &from, 1);
  }
}

static bool has_loops(const kir_block *b) {
  for (const kir_stmt *s = b->first; s != NULL; s = s->next)
    if (s->kind == KIR_for || s->kind == KIR_copy || has_loops(&s->body) || has_loops(&s->other)) return true;
  return false;
}

// Runs `unroll` bodies a turn from `start` on, while all of them are below hi. Returns where it stopped.
static LLVMValueRef turns(cg *g, loop *w, LLVMValueRef start, int64_t unroll, bool at_least_once) {
  const kir_stmt *s = w->s;
  idx_ctx *ix = g->k->ix;
  const idx *last = idx_addi(ix, w->hi, -(unroll - 1) * s->step); // the first body of a turn must be below this
  cg_value limit = cg_index(g, last);
  LLVMBasicBlockRef before = LLVMGetInsertBlock(g->b), inside = cg_block(g, "loop"), after = cg_block(g, "done");
  LLVMValueRef enter = cg_icmp(g, LLVMIntSLT, start, limit.v);
  LLVMValueRef branch = at_least_once ? LLVMBuildBr(g->b, inside) : LLVMBuildCondBr(g->b, enter, inside, after);
  const cg_tile **init = arena_copy(g->a, w->carried, s->n_carry * sizeof *w->carried);

  LLVMPositionBuilderAtEnd(g->b, inside);
  phis_of(g, w, before);
  const cg_tile **phi = arena_copy(g->a, w->carried, s->n_carry * sizeof *w->carried);
  cg_counter *c = cg_count(g, s->var->name, branch, start, unroll * s->step, !has_loops(&s->body));
  cg_open_loop(g, c);
  cg_bind(g, s->var, (cg_value){c->value, (uint32_t)g->scopes.n - 1});
  for (int64_t u = 0; u < unroll; u++) body(g, w, idx_addi(ix, idx_of(ix, s->var), u * s->step));
  LLVMValueRef next = cg_count_on(g, c);
  LLVMValueRef more = cg_icmp(g, LLVMIntSLT, next, limit.v);
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(g->b);
  LLVMBuildCondBr(g->b, more, inside, after);
  add_incoming(w, phi, latch);
  cg_close_scope(g);

  LLVMPositionBuilderAtEnd(g->b, after);
  if (at_least_once) return next;
  LLVMValueRef stop = cg_phi(g, start, before, next, latch);
  for (uint32_t k = 0; k < s->n_carry; k++) {
    const cg_tile *t = w->carried[k];
    if (!t) continue;
    cg_tile *out = cg_tile_new(g, t->dt, t->rows, t->cols);
    for (size_t v = 0; v < n_values(t); v++) out->v[v] = cg_phi(g, init[k]->v[v], before, t->v[v], latch);
    w->carried[k] = out;
  }
  return stop;
}

void cg_for(cg *g, const kir_stmt *s) {
  cg_flush(g);
  idx_ctx *ix = g->k->ix;
  loop w = {s, cg_subst(g, s->lo), cg_subst(g, s->hi), ARENA_ARRAY(g->a, const cg_tile *, s->n_carry)};
  for (uint32_t i = 0; i < s->n_carry; i++) { // NULL: in tile registers
    if (cg_in_matrices(g, s->carry[i])) cg_matrix_begin(g, s->init[i]);
    else w.carried[i] = cg_get(g, s->init[i]);
  }
  const idx *distance = idx_sub(ix, w.hi, w.lo);
  int64_t n, unroll = s->unroll;
  bool fixed = idx_is_const(distance, &n);
  int64_t trips = !fixed || n <= 0 ? 0 : (n - 1) / s->step + 1;
  if (fixed && trips <= unroll) {
    for (int64_t t = 0; t < trips; t++) body(g, &w, idx_addi(ix, w.lo, t * s->step));
  } else {
    LLVMValueRef at = cg_index(g, w.lo).v;
    bool whole = idx_divides(ix, unroll * s->step, distance) == TRI_yes;
    if (unroll > 1) {
      bool some = idx_nonneg(ix, idx_addi(ix, distance, -(unroll - 1) * s->step - 1)) == TRI_yes;
      at = turns(g, &w, at, unroll, some);
    }
    if (unroll == 1 || !whole) {
      bool some = unroll == 1 && idx_nonneg(ix, idx_addi(ix, distance, -1)) == TRI_yes;
      (void)turns(g, &w, at, 1, some);
    }
  }
  for (uint32_t i = 0; i < s->n_carry; i++) {
    if (w.carried[i]) cg_set(g, s->result[i], w.carried[i]);
    else cg_matrix_end(g, s->result[i]);
  }
}

void cg_if(cg *g, const kir_stmt *s) {
  cg_flush(g);
  cg_value holds = cg_holds(g, cg_subst(g, s->index));
  LLVMBasicBlockRef yes = cg_block(g, "then"), after = cg_block(g, "after");
  LLVMBasicBlockRef no = s->other.first == NULL ? after : cg_block(g, "else");
  LLVMValueRef branch = LLVMBuildCondBr(g->b, holds.v, yes, no);
  const kir_block *arms[2] = {&s->body, &s->other};
  for (int i = 0; i < 2; i++) {
    LLVMBasicBlockRef arm = i == 0 ? yes : no;
    if (arm == after) continue;
    LLVMPositionBuilderAtEnd(g->b, arm);
    cg_open_scope(g, branch);
    cg_stmts(g, arms[i]);
    LLVMBuildBr(g->b, after);
    cg_close_scope(g);
  }
  LLVMPositionBuilderAtEnd(g->b, after);
}
