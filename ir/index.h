// Index expressions: interned integer polynomials over symbols, shared by tensor shapes (graph IR) and by
// addresses, loop bounds and conditions (kernel IR). Equal expressions are the same pointer.
//
//   idx  := sum of  integer * product of atoms
//   atom := symbol | idx//idx | idx%idx | min(idx,idx) | max(idx,idx) | name[idx]      (the last: an integer read from
//   a buffer)
//
// `//` floors and `%` takes the sign of the divisor (Python's), on mathematical integers. Terms and factors are ordered
// by degree, kind and symbol name, never by creation or address: printing is deterministic and reads back to the same
// pointer. A symbol carries inclusive bounds that are themselves expressions; they serve `idx_nonneg`.
//
// A symbol s with a step k (set before its first idx_of) is held as k * (s//k): the quotient is an ordinary
// ATOM_floordiv whose operand is the bare symbol, so that walkers see true arithmetic, s//2 is exact, and 2*(s//2) == s
// by pointer. It prints as `s`, `s//2`, `s//k`; a symbol's value in evaluation and substitution is that of s itself.
//
// Coefficients beyond 64 bits, expressions beyond the limits of index_priv.h, and division by a constant <= 0 add one
// error to the diagnostics (index_overflow, index_size, index_division); the expression returned is then meaningless.
#ifndef NNC_IR_INDEX_H
#define NNC_IR_INDEX_H

#include "base/diag.h"

typedef struct idx idx;         // immutable
typedef struct idx_ctx idx_ctx; // owns every expression and symbol; lives in an arena; one thread at a time

typedef struct sym {
  const char *name;   // interned, unique in its context
  const idx *lo, *hi; // inclusive bounds; NULL = unknown
  int64_t step;       // the symbol is a multiple of `step` (dims `step k`); 1 for none; set before the first idx_of
  uint32_t id;        // creation order
} sym;

typedef enum atom_kind { ATOM_sym, ATOM_floordiv, ATOM_mod, ATOM_min, ATOM_max, ATOM_read } atom_kind;

typedef struct atom {
  atom_kind kind;
  uint32_t id;        // creation order
  const sym *symbol;  // ATOM_sym
  const char *buffer; // ATOM_read: interned name of an integer buffer (or "%12": a value)
  const idx *a, *b;   // operands; ATOM_read uses `a` (linear element index)
} atom;

typedef struct monomial {
  int64_t coef;               // never 0
  uint32_t n_factors;         // 0 for the constant term
  const atom *const *factors; // sorted by structure, repeats allowed (powers); equal factors are one array
} monomial;

struct idx {
  uint32_t id;           // creation order in its context
  uint32_t n_terms;      // 0 for the constant zero
  const monomial *terms; // sorted by factors; the constant term comes last
};

idx_ctx *idx_ctx_new(arena *a, interner *names, diag_list *l);

sym *idx_symbol(
    idx_ctx *c,
    const char *name); // finds or makes; bounds NULL at first, the caller may set them once, before using it
sym *idx_fresh(idx_ctx *c, const char *prefix); // a new symbol whose name begins with `prefix` and is not in use
const sym *idx_find_symbol(const idx_ctx *c, const char *name); // NULL when absent

const idx *idx_int(idx_ctx *c, int64_t v);
const idx *idx_of(idx_ctx *c, const sym *s);
const idx *idx_add(idx_ctx *c, const idx *a, const idx *b);
const idx *idx_sub(idx_ctx *c, const idx *a, const idx *b);
const idx *idx_mul(idx_ctx *c, const idx *a, const idx *b);
const idx *idx_scale(idx_ctx *c, const idx *a, int64_t k);
const idx *idx_addi(idx_ctx *c, const idx *a, int64_t k);
// Division cancels multiples of the divisor and drops a remainder proved to lie in [0, d).
// Also known to simplify: d*(e//d) + e%d == e;  (e//d1)//d2 == e//(d1*d2);  (e%(k*d))%d == e%d for constants.
const idx *idx_floordiv(idx_ctx *c, const idx *a, const idx *d); // d > 0 is the caller's promise
const idx *idx_mod(idx_ctx *c, const idx *a, const idx *d);
const idx *idx_min(idx_ctx *c, const idx *a, const idx *b);
const idx *idx_max(idx_ctx *c, const idx *a, const idx *b);
const idx *idx_read(idx_ctx *c, const char *buffer, const idx *at);
const idx *idx_ceildiv(idx_ctx *c, const idx *a, int64_t d); // (a + d-1)//d
const idx *idx_product(idx_ctx *c, size_t n, const idx *const *f);

bool idx_is_const(const idx *e, int64_t *value); // value may be NULL
bool idx_equals_int(const idx *e, int64_t v);
const sym *idx_is_symbol(const idx *e);        // the symbol when e is exactly one symbol, else NULL
bool idx_mentions(const idx *e, const sym *s); // inside div/mod/read too
bool idx_mentions_read(const idx *e);
// The sum of e's terms that mention none of the symbols and read nothing.
const idx *idx_invariant(idx_ctx *c, const idx *e, size_t n, const sym *const *symbols);
// Calls `f` once per distinct symbol mentioned, in id order.
void idx_symbols(const idx *e, void (*f)(void *user, const sym *s), void *user);

typedef struct idx_binding {
  const sym *from;
  const idx *to;
} idx_binding;

// Simultaneous substitution.
const idx *idx_subst(idx_ctx *c, const idx *e, size_t n, const idx_binding *b);
const idx *idx_subst1(idx_ctx *c, const idx *e, const sym *from, const idx *to);

// e == coef * s + rest with s in neither; false if s occurs in a product with itself or inside div, mod, min, max,
// read.
bool idx_linear(idx_ctx *c, const idx *e, const sym *s, const idx **coef, const idx **rest);

// Proofs from symbol bounds: yes, no (proved false for every value), or unknown.
typedef enum tri { TRI_no, TRI_yes, TRI_unknown } tri;
tri idx_nonneg(idx_ctx *c, const idx *e);                           // e >= 0 everywhere?
tri idx_equal(idx_ctx *c, const idx *a, const idx *b);              // a == b everywhere?
tri idx_divides(idx_ctx *c, int64_t d, const idx *e);               // e % d == 0 everywhere? (uses symbol steps)
bool idx_range(idx_ctx *c, const idx *e, int64_t *lo, int64_t *hi); // constant bounds when both are known

// Evaluation. `value` gives a symbol's value; `read` (may be NULL) an ATOM_read's. false on overflow or division by
// zero.
typedef struct idx_env {
  int64_t (*value)(void *user, const sym *s);
  int64_t (*read)(void *user, const char *buffer, int64_t at);
  void *user;
} idx_env;
bool idx_eval(const idx *e, const idx_env *env, int64_t *out);

void idx_print(strbuf *b, const idx *e); // "2*seq+1", "(m+7)//8", "min(a,b)", "ids[i+r]"
// Parses from *p up to what cannot continue an expression. Unknown names: `resolve` returns the symbol, or NULL
// (error); NULL `resolve` makes symbols freely. Returns NULL and sets *error to a static text on a syntax error.
const idx *idx_parse(idx_ctx *c, const char **p, const char *end, const sym *(*resolve)(void *user, str name),
                     void *user, const char **error);

#endif
