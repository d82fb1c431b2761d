// Index expressions as i64 values.
//
// A polynomial is a sum of products of atoms. Each product is computed in the scope of its innermost symbol, outermost
// factors first, and the sum is taken outermost terms first; so all that does not change in a loop is computed before
// it, and partial sums are shared. Equal computations are found by value numbering: an operation on the same two
// operands, in a scope that is still open, is the same value.
//
// Hoisted code may run where its loop or branch does not. It has no effect and cannot trap: divisors are positive (the
// verifier's proof; where it needs facts, max(d, 1) stands in), and reads of index buffers stay where they are.
#include "codegen/llvm/cg.h"

#include <string.h>

// -- scopes --

void cg_open_scope(cg *g, LLVMValueRef outer_end) {
  if (g->scopes.n > 0) vec_last(&g->scopes).end = outer_end;
  vec_push(g->a, &g->scopes, ((cg_scope){.serial = g->serial++}));
}

void cg_open_loop(cg *g, cg_counter *c) {
  cg_open_scope(g, c->enter);
  vec_last(&g->scopes).counter = c;
}

void cg_close_scope(cg *g) {
  (void)vec_pop(&g->scopes);
  if (g->scopes.n > 0) vec_last(&g->scopes).end = NULL;
}

static LLVMBuilderRef builder_at(cg *g, uint32_t level) {
  if (level + 1 == g->scopes.n) return g->b;
  LLVMPositionBuilderBefore(g->hoist, g->scopes.at[level].end);
  return g->hoist;
}

// -- value numbering --

typedef enum operation {
  NUM_add,
  NUM_mul,
  NUM_udiv,
  NUM_urem,
  NUM_sdiv,
  NUM_ashr,
  NUM_and,
  NUM_smin,
  NUM_smax,
  NUM_le,
  NUM_both,
  NUM_read, // with the buffer above bit 8; operands: the element's index, the guard
  NUM_gep   // the last: NUM_gep + dtype
} operation;

typedef struct number_key {
  uint64_t op, n_stores;
  LLVMValueRef a, b;
} number_key;

typedef struct numbered {
  LLVMValueRef v;
  uint32_t level, serial;
} numbered;

static numbered *find_number(cg *g, const number_key *key) {
  str bytes = {(const char *)key, sizeof *key};
  numbered *n = map_get(g->numbers, bytes);
  if (n == NULL) {
    n = ARENA_NEW(g->a, numbered);
    map_put(g->numbers, bytes, n);
  } else if (n->v != NULL && n->level < g->scopes.n && g->scopes.at[n->level].serial == n->serial) {
    return n;
  }
  n->v = NULL;
  return n;
}

static LLVMValueRef compute(cg *g, LLVMBuilderRef b, operation op, LLVMValueRef x, LLVMValueRef y) {
  switch (op) {
  case NUM_add: return LLVMBuildNSWAdd(b, x, y, "");
  case NUM_mul: return LLVMBuildNSWMul(b, x, y, "");
  case NUM_udiv: return LLVMBuildUDiv(b, x, y, "");
  case NUM_urem: return LLVMBuildURem(b, x, y, "");
  case NUM_sdiv: return LLVMBuildSDiv(b, x, y, "");
  case NUM_ashr: return LLVMBuildAShr(b, x, y, "");
  case NUM_and:
  case NUM_both: return LLVMBuildAnd(b, x, y, "");
  case NUM_smin: return LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntSLT, x, y, ""), x, y, "");
  case NUM_smax: return LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntSGT, x, y, ""), x, y, "");
  case NUM_le: return LLVMBuildICmp(b, LLVMIntSLE, x, y, "");
  case NUM_read:
  case NUM_gep: break;
  }
  return LLVMBuildGEP2(b, cg_mem_type(g, (dtype)(op - NUM_gep)), x, &y, 1, "");
}

static cg_value number(cg *g, unsigned op, cg_value x, cg_value y) {
  uint32_t level = x.level > y.level ? x.level : y.level;
  numbered *n = find_number(g, &(number_key){op, 0, x.v, y.v});
  if (n->v == NULL) {
    cg_counter *c = op == NUM_mul && x.level < level ? g->scopes.at[level].counter : NULL;
    bool counted = c != NULL && c->innermost && y.v == c->value;
    n->v = counted ? cg_counted(g, c, x.v) : compute(g, builder_at(g, level), (operation)op, x.v, y.v);
    n->level = level;
    n->serial = g->scopes.at[level].serial;
  }
  return (cg_value){n->v, n->level};
}

cg_value cg_constant(cg *g, int64_t v) { return (cg_value){cg_i64(g, v), 0}; }

static bool is_int(cg_value x, int64_t v) {
  return LLVMIsAConstantInt(x.v) != NULL && LLVMConstIntGetSExtValue(x.v) == v;
}

cg_value cg_plus(cg *g, cg_value x, cg_value y) {
  if (is_int(x, 0)) return y;
  return is_int(y, 0) ? x : number(g, NUM_add, x, y);
}

static cg_value times(cg *g, cg_value x, cg_value y) {
  if (is_int(x, 1)) return y;
  return is_int(y, 1) ? x : number(g, NUM_mul, x, y);
}

cg_value cg_least(cg *g, cg_value x, cg_value y) { return number(g, NUM_smin, x, y); }

cg_value cg_most(cg *g, cg_value x, cg_value y) { return number(g, NUM_smax, x, y); }

cg_value cg_compare_le(cg *g, cg_value x, cg_value y) { return number(g, NUM_le, x, y); }

cg_value cg_holds(cg *g, const idx *e) { return cg_compare_le(g, cg_constant(g, 0), cg_index(g, e)); }

cg_value cg_both(cg *g, cg_value x, cg_value y) { return number(g, NUM_both, x, y); }

// -- atoms --

void cg_bind(cg *g, const sym *s, cg_value v) { map_put_ptr(g->symbols, s, arena_copy(g->a, &v, sizeof v)); }

// Symbols with facts are loaded from the kernel's arguments at their first use; the others were bound where they are
// defined.
static cg_value symbol_value(cg *g, const sym *s) {
  const cg_value *known = map_get_ptr(g->symbols, s);
  if (known != NULL) return *known;
  size_t i = 0;
  while (i < g->k->facts.n && g->k->facts.at[i].symbol != s) i++;
  BUG_IF(g->l, i == g->k->facts.n, "kernel %s: the symbol %s has no value", g->k->name, s->name);
  LLVMBuilderRef b = builder_at(g, 0);
  LLVMValueRef at = cg_i64(g, (int64_t)i);
  LLVMValueRef place = LLVMBuildGEP2(b, g->i64, g->arg[ARG_symbols], &at, 1, "");
  cg_bind(g, s, (cg_value){LLVMBuildLoad2(b, g->i64, place, s->name), 0});
  return symbol_value(g, s);
}

static cg_value base_address(cg *g, const kir_buffer *buf) {
  if (buf->space == KIR_group) {
    cg_value scratch = {g->arg[ARG_scratch], 0};
    size_t bytes = g->group_offset[buf->index];
    return bytes == 0 ? scratch : number(g, NUM_gep + DT_u8, scratch, cg_constant(g, (int64_t)bytes));
  }
  const cg_value *known = map_get_ptr(g->symbols, buf);
  if (known != NULL) return *known;
  LLVMBuilderRef b = builder_at(g, 0);
  LLVMValueRef at = cg_i64(g, buf->index);
  LLVMValueRef place = LLVMBuildGEP2(b, g->ptr, g->arg[ARG_buffers], &at, 1, "");
  cg_value base = {LLVMBuildLoad2(b, g->ptr, place, buf->name), 0};
  map_put_ptr(g->symbols, buf, arena_copy(g->a, &base, sizeof base));
  return base;
}

static const kir_buffer *find_buffer(cg *g, const char *name) {
  const kir_buffer *b = kir_buffer_find(g->k, name);
  BUG_IF(g->l, b == NULL, "kernel %s: no buffer %s", g->k->name, name);
  return b;
}

static cg_value read_value(cg *g, const atom *t) {
  const kir_buffer *buf = find_buffer(g, t->buffer);
  cg_value at = cg_index(g, t->a);
  uint32_t level = (uint32_t)g->scopes.n - 1; // memory may change: never hoisted
  uint64_t which = 2 * (uint64_t)buf->index + (buf->space == KIR_group);
  numbered *n = find_number(g, &(number_key){NUM_read | which << 8, g->n_stores, at.v, g->guard});
  if (n->v == NULL || n->level != level) {
    LLVMValueRef place = LLVMBuildGEP2(g->b, cg_mem_type(g, buf->dt), base_address(g, buf).v, &at.v, 1, "");
    if (g->guard != NULL) place = cg_select(g, g->guard, place, cg_dummy(g));
    LLVMValueRef v = LLVMBuildLoad2(g->b, cg_mem_type(g, buf->dt), place, "");
    LLVMSetAlignment(v, (unsigned)dtype_size(buf->dt));
    if (buf->dt != DT_i64) {
      v = buf->dt == DT_u8 ? LLVMBuildZExt(g->b, v, g->i64, "") : LLVMBuildSExt(g->b, v, g->i64, "");
    }
    *n = (numbered){v, level, g->scopes.at[level].serial};
  }
  return (cg_value){n->v, level};
}

static int log2_exact(int64_t d) {
  int n = 0;
  while (n < 62 && (int64_t)1 << n < d) n++;
  return (int64_t)1 << n == d ? n : -1;
}

// e//d or e%d, rounded towards -inf; d > 0.
static cg_value divide(cg *g, const atom *t) {
  bool quotient = t->kind == ATOM_floordiv;
  cg_value x = cg_index(g, t->a), d = cg_index(g, t->b);
  int64_t fixed;
  if (idx_is_const(t->b, &fixed) && log2_exact(fixed) >= 0) { // right for negative numbers too
    if (quotient) return number(g, NUM_ashr, x, cg_constant(g, log2_exact(fixed)));
    return number(g, NUM_and, x, cg_constant(g, fixed - 1));
  }
  if (idx_nonneg(g->k->ix, idx_addi(g->k->ix, t->b, -1)) != TRI_yes) d = cg_most(g, d, cg_constant(g, 1));
  if (idx_nonneg(g->k->ix, t->a) == TRI_yes) return number(g, quotient ? NUM_udiv : NUM_urem, x, d);
  cg_value q = number(g, NUM_sdiv, x, d);
  cg_value r = cg_plus(g, x, times(g, cg_constant(g, -1), times(g, q, d)));
  cg_value below = number(g, NUM_ashr, r, cg_constant(g, 63)); // -1 where truncation went up
  return quotient ? cg_plus(g, q, below) : cg_plus(g, r, number(g, NUM_and, d, below));
}

static cg_value atom_value(cg *g, const atom *t) {
  switch (t->kind) {
  case ATOM_sym: return symbol_value(g, t->symbol);
  case ATOM_floordiv:
  case ATOM_mod: return divide(g, t);
  case ATOM_min: return cg_least(g, cg_index(g, t->a), cg_index(g, t->b));
  case ATOM_max: return cg_most(g, cg_index(g, t->a), cg_index(g, t->b));
  case ATOM_read: return read_value(g, t);
  }
  return cg_constant(g, 0);
}

// -- polynomials --

static void sort_by_level(cg_value *v, uint32_t n) { // insertion: stable, and n is small
  for (uint32_t i = 1; i < n; i++) {
    cg_value x = v[i];
    uint32_t j = i;
    for (; j > 0 && v[j - 1].level > x.level; j--) v[j] = v[j - 1];
    v[j] = x;
  }
}

static cg_value product(cg *g, const monomial *m) {
  cg_value *f = ARENA_ARRAY(g->a, cg_value, m->n_factors);
  for (uint32_t i = 0; i < m->n_factors; i++) f[i] = atom_value(g, m->factors[i]);
  sort_by_level(f, m->n_factors);
  cg_value p = cg_constant(g, m->coef);
  for (uint32_t i = 0; i < m->n_factors; i++) p = times(g, p, f[i]);
  return p;
}

// The terms of e but for the constant one, outermost first; returns their number.
static uint32_t terms(cg *g, const idx *e, cg_value **out, int64_t *constant) {
  *out = ARENA_ARRAY(g->a, cg_value, e->n_terms);
  *constant = 0;
  uint32_t n = 0;
  for (uint32_t i = 0; i < e->n_terms; i++) {
    if (e->terms[i].n_factors == 0) *constant = e->terms[i].coef;
    else (*out)[n++] = product(g, &e->terms[i]);
  }
  sort_by_level(*out, n);
  return n;
}

cg_value cg_index(cg *g, const idx *e) {
  cg_value *v;
  int64_t constant;
  uint32_t n = terms(g, e, &v, &constant);
  cg_value sum = n == 0 ? cg_constant(g, 0) : v[0];
  for (uint32_t i = 1; i < n; i++) sum = cg_plus(g, sum, v[i]);
  return cg_plus(g, sum, cg_constant(g, constant));
}

// -- substitution --

const idx *cg_subst(cg *g, const idx *e) {
  return g->bound.n == 0 ? e : idx_subst(g->k->ix, e, g->bound.n, g->bound.at);
}

const idx *cg_at_row(cg *g, const idx *e, uint32_t row) {
  idx_ctx *ix = g->k->ix;
  e = cg_subst(g, e);
  const idx *r = idx_int(ix, row), *c = idx_of(ix, g->k->c);
  if (g->view.row != NULL) r = idx_add(ix, g->view.row, r);
  if (g->view.col != NULL) c = idx_add(ix, g->view.col, c);
  return idx_subst(ix, e, 2, (idx_binding[]){{g->k->r, r}, {g->k->c, c}});
}

// -- addresses --

LLVMValueRef cg_address(cg *g, const kir_buffer *buf, const idx *offset) {
  cg_value *v;
  int64_t constant;
  uint32_t n = terms(g, offset, &v, &constant);
  cg_value at = base_address(g, buf);
  for (uint32_t i = 0; i < n;) { // one pointer a scope
    cg_value sum = v[i++];
    while (i < n && v[i].level == sum.level) sum = cg_plus(g, sum, v[i++]);
    at = number(g, NUM_gep + (unsigned)buf->dt, at, sum);
  }
  if (constant == 0) return at.v;
  LLVMValueRef displacement = cg_i64(g, constant); // at the use, where it becomes part of the instruction
  return LLVMBuildGEP2(g->b, cg_mem_type(g, buf->dt), at.v, &displacement, 1, "");
}

LLVMValueRef cg_dummy(cg *g) {
  if (g->dummy == NULL) {
    LLVMPositionBuilderBefore(g->hoist, LLVMGetFirstInstruction(g->entry));
    g->dummy = LLVMBuildAlloca(g->hoist, LLVMArrayType2(g->i8, CG_DUMMY_BYTES), "dummy");
    LLVMSetAlignment(g->dummy, 64);
  }
  return g->dummy;
}
