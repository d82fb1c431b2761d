// Index expressions as C.
//
// Every name is a variable: symbols and grid coordinates at the kernel's head, `let` and loop variables where the
// kernel IR has them. Arithmetic is on int where the bounds of its names prove that nothing on the way leaves 32 bits,
// else on long: in each such product the first factor is made long. Sharing and hoisting is left to the device's
// compiler, which does both.
#include "codegen/opencl/cl.h"

#include <math.h>
#include <string.h>

// -- width --

static const double int_most = 2147483647.0;

static double most_of(cl *g, const idx *e);

// Of one atom and what it is made of: no value is larger in magnitude. Infinite: it is a long.
static double most_of_atom(cl *g, const atom *t) {
  idx_ctx *ix = g->k->ix;
  const idx *whole = NULL;
  double most = HUGE_VAL;
  if (t->kind == ATOM_sym) {
    whole = idx_of(ix, t->symbol);
  } else if (t->kind == ATOM_read) {
    dtype dt = cl_buffer(g, t->buffer)->dt;
    return dt == DT_i64 ? HUGE_VAL : dt == DT_i32 ? int_most + 1 : 255;
  } else {
    double x = most_of(g, t->a), y = most_of(g, t->b);
    if (!cl_fits_int(g, t->a) || !cl_fits_int(g, t->b)) return HUGE_VAL;
    most = t->kind == ATOM_floordiv ? x : t->kind == ATOM_mod ? y : fmax(x, y);
    bool divides = t->kind == ATOM_floordiv || t->kind == ATOM_mod;
    if (divides && idx_nonneg(ix, t->a) != TRI_yes) return HUGE_VAL; // by functions on long
    if (t->kind == ATOM_min) whole = idx_min(ix, t->a, t->b);
    if (t->kind == ATOM_max) whole = idx_max(ix, t->a, t->b);
  }
  int64_t lo, hi;
  if (whole != NULL && idx_range(ix, whole, &lo, &hi)) most = fmin(most, fmax(fabs((double)lo), fabs((double)hi)));
  return most;
}

// No partial sum or product is larger in magnitude.
static double most_of(cl *g, const idx *e) {
  double sum = 0;
  for (uint32_t i = 0; i < e->n_terms; i++) {
    double p = fabs((double)e->terms[i].coef);
    for (uint32_t f = 0; f < e->terms[i].n_factors; f++) p *= fmax(1, most_of_atom(g, e->terms[i].factors[f]));
    sum += p;
  }
  return sum;
}

bool cl_fits_int(cl *g, const idx *e) {
  double most = most_of(g, e);
  bool bare = e->n_terms == 1 && e->terms[0].n_factors == 1 && e->terms[0].coef == 1; // a read of an int is an int
  return most <= (bare ? int_most + 1 : int_most);
}

// -- atoms --

static const char *as_long(cl *g, const char *x) { return str_fmt(g->a, "(long)%s", x); }

static int log2_exact(const idx *d) {
  int64_t v;
  if (!idx_is_const(d, &v) || v <= 0 || (v & (v - 1)) != 0) return -1;
  return __builtin_ctzll((unsigned long long)v);
}

static const char *divide(cl *g, const atom *t) {
  bool quotient = t->kind == ATOM_floordiv;
  int64_t d;
  const char *x = cl_operand(g, t->a), *y = cl_operand(g, t->b);
  if (idx_nonneg(g->k->ix, t->a) == TRI_yes) return str_fmt(g->a, "(%s %c %s)", x, quotient ? '/' : '%', y);
  if (log2_exact(t->b) >= 0 && idx_is_const(t->b, &d)) { // right for negative numbers too
    x = as_long(g, x);
    return quotient ? str_fmt(g->a, "(%s >> %d)", x, log2_exact(t->b))
                    : str_fmt(g->a, "(%s & %lldL)", x, (long long)d - 1);
  }
  return cl_call(g, quotient ? "floordiv" : "mod", DT_i64, 1,
                 str_fmt(g->a, "%s, %s", cl_index(g, t->a), cl_index(g, t->b)));
}

static const char *least_or_most(cl *g, const atom *t) {
  const char *f = t->kind == ATOM_min ? "min" : "max", *x = cl_index(g, t->a), *y = cl_index(g, t->b);
  if (cl_fits_int(g, t->a) && cl_fits_int(g, t->b)) return str_fmt(g->a, "%s(%s, %s)", f, x, y);
  return str_fmt(g->a, "%s((long)(%s), (long)(%s))", f, x, y);
}

static const char *atom_text(cl *g, const atom *t) {
  switch (t->kind) {
  case ATOM_sym: return cl_name(g, t->symbol->name);
  case ATOM_floordiv:
  case ATOM_mod: return divide(g, t);
  case ATOM_min:
  case ATOM_max: return least_or_most(g, t);
  case ATOM_read: {
    const kir_buffer *buf = cl_buffer(g, t->buffer);
    const char *cast = dtype_size(buf->dt) < 4 ? "(int)" : ""; // min() and max() want equal types
    return str_fmt(g->a, "%s%s[%s]", cast, cl_name(g, buf->name), cl_index(g, t->a));
  }
  }
  return "0";
}

// -- polynomials --

static void print_term(cl *g, strbuf *b, const monomial *m, bool wide) {
  int64_t coef = m->coef;
  bool first = b->n == 0;
  sb_z(b, coef < 0 ? first ? "-" : " - " : first ? "" : " + ");
  uint64_t size = coef < 0 ? 0 - (uint64_t)coef : (uint64_t)coef;
  bool counts = size != 1 || m->n_factors == 0;
  if (counts) sb_fmt(b, "%llu%s", (unsigned long long)size, wide ? "L" : "");
  for (uint32_t i = 0; i < m->n_factors; i++) {
    const char *x = atom_text(g, m->factors[i]);
    if (counts || i > 0) sb_fmt(b, "*%s", x);
    else sb_z(b, wide ? as_long(g, x) : x);
  }
}

const char *cl_index(cl *g, const idx *e) {
  if (e->n_terms == 0) return "0";
  bool wide = !cl_fits_int(g, e);
  strbuf b;
  sb_init(&b, g->a);
  for (uint32_t i = 0; i < e->n_terms; i++) print_term(g, &b, &e->terms[i], wide);
  return sb_cstr(&b);
}

const char *cl_operand(cl *g, const idx *e) {
  const char *text = cl_index(g, e);
  return strpbrk(text, " -*(") == NULL ? text : str_fmt(g->a, "(%s)", text);
}

const char *cl_holds(cl *g, const idx *e) { return str_fmt(g->a, "%s >= 0", cl_index(g, e)); }

// -- substitution --

const idx *cl_at_row(cl *g, const idx *e, uint32_t row) {
  idx_ctx *ix = g->k->ix;
  const idx *r = idx_int(ix, row), *c = idx_of(ix, g->k->c);
  if (g->view.active) {
    r = idx_add(ix, g->view.row, r);
    c = idx_add(ix, g->view.col, c);
  }
  return idx_subst(ix, e, 2, (idx_binding[]){{g->k->r, r}, {g->k->c, c}});
}

// -- buffers --

const kir_buffer *cl_buffer(cl *g, const char *name) {
  const kir_buffer *b = kir_buffer_find(g->k, name);
  BUG_IF(g->l, b == NULL, "kernel %s: no buffer %s", g->k->name, name);
  return b;
}
