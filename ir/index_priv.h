// What the files ir/index*.c share: the context, the building of polynomials, the orders. Nobody else includes this.
#ifndef NNC_IR_INDEX_PRIV_H
#define NNC_IR_INDEX_PRIV_H

#include "base/map.h"
#include "ir/index.h"

enum {
  IDX_MAX_DEGREE = 32,
  IDX_MAX_TERMS = 1 << 12,
  IDX_MAX_SIZE = 1 << 14,
  IDX_MAX_DEPTH = 200,
  IDX_SMALL_LO = -16,
  IDX_SMALL_N = 256
};

// An atom and what only this room knows of it.
typedef struct atom_node {
  atom pub;             // first: `const atom *` and `const atom_node *` convert
  const idx *quotient;  // of e%d: e//d
  uint32_t size, depth; // atoms below it and itself, as a tree; its height
} atom_node;

struct idx_ctx {
  arena *a;
  interner *names;
  diag_list *diags;
  map *symbols;               // name -> sym
  map *atoms;                 // kind, operands -> atom
  map *products;              // factors -> the one array of these factors
  map *exprs;                 // terms -> idx
  map *proved;                // idx -> nonneg answer, for those that cannot change
  VEC(const idx *) of_symbol; // by symbol id: idx_of
  const idx *small[IDX_SMALL_N];
  VEC(monomial) scratch; // terms of polynomials under construction, used as a stack
  strbuf key;
  uint32_t n_atoms, n_exprs, n_symbols;
  int proving; // inside a proof: no nested proofs, and overflow only sets `overflow`
  bool overflow;
  bool no_fold;  // atoms stand for shifted variables: relations between them do not hold
  bool reported; // one diagnostic a context is enough
};

// -- index.c --
// Terms pushed on c->scratch since `base` become an interned polynomial; the stack is back at `base`.
const idx *idx_finish(idx_ctx *c, size_t base);
void idx_push(idx_ctx *c, int64_t coef, uint32_t n, const atom *const *factors);
// Pushes coef * (product of factors) * e.
void idx_push_product(idx_ctx *c, int64_t coef, uint32_t n, const atom *const *factors, const idx *e);
const idx *idx_of_atom(idx_ctx *c, const atom *t);
// Interns the atom as given, without simplifying.
const atom *idx_atom(idx_ctx *c, atom_kind kind, const sym *symbol, const char *buffer, const idx *a, const idx *b);
int64_t idx_checked_add(idx_ctx *c, int64_t a, int64_t b); // overflow: reported, and 0
int64_t idx_checked_mul(idx_ctx *c, int64_t a, int64_t b);
void idx_fail(idx_ctx *c, diag_id id); // the diagnostic, or c->overflow inside a proof

int idx_order(const idx *x, const idx *y); // structural, by names: the same in every context
int idx_order_atom(const atom *x, const atom *y);
// The symbol that an atom stands for: s itself, or s//step for a symbol with a step (see index.h); else NULL.
const sym *idx_atom_symbol(const atom *t);
// Two sorted factor lists as one; `out` holds IDX_MAX_DEGREE. 0 when there would be more.
uint32_t idx_merge(uint32_t n, const atom *const *x, uint32_t m, const atom *const *y, const atom **out);
// The interned array of these factors if any polynomial has them, else NULL.
const atom *const *idx_find_factors(const idx_ctx *c, uint32_t n, const atom *const *factors);
bool idx_has_factors(const monomial *m, uint32_t n, const atom *const *factors);
// The factors of m without those of (n, factors), which it must have; returns how many are left in `out`.
uint32_t idx_without(const monomial *m, uint32_t n, const atom *const *factors, const atom **out);

// -- index_fold.c: the relations between e//d, e%d and e inside one polynomial --
// Looks at the sorted terms from `base`; true when it rewrote some (they must be sorted and joined again).
bool idx_fold(idx_ctx *c, size_t base);

// -- index_div.c --
int64_t int_floordiv(int64_t a, int64_t d); // d > 0
int64_t int_gcd(int64_t a, int64_t b);      // >= 0

// -- index_prove.c --
typedef struct interval {
  bool has_lo, has_hi;
  int64_t lo, hi;
} interval;
interval idx_interval(const idx *e);
bool idx_proves(idx_ctx *c, const idx *e); // e >= 0 is proved; false inside a proof unless intervals settle it

#endif
