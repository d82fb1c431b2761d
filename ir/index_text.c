// Index expressions as text: printing in normal form, and a recursive-descent parser. What is printed reads back to the
// same pointer. Grammar:  sum := ['-'] term (('+'|'-') term)*    term := unary (('*'|'//'|'%') unary)*
//   unary := '-' unary | number | name | (name | '%' digits) '[' sum ']' | ('min'|'max') '(' sum ',' sum ')' | '(' sum
//   ')'
#include "ir/index_priv.h"

#include <string.h>

enum { PARSE_DEPTH = 256 };

// -- printing --

static bool is_single(const atom *t) { return t->kind != ATOM_floordiv && t->kind != ATOM_mod; }

static void print_operand(strbuf *b, const idx *e, bool right) {
  const bool constant = idx_is_const(e, NULL) && (e->n_terms == 0 || e->terms[0].coef > 0);
  bool bare = constant || idx_is_symbol(e) != NULL;
  if (e->n_terms == 1 && e->terms[0].coef == 1 && e->terms[0].n_factors == 1) {
    bare = !right || is_single(e->terms[0].factors[0]); // a//b//c associates to the left
  }
  if (!bare) sb_char(b, '(');
  idx_print(b, e);
  if (!bare) sb_char(b, ')');
}

static void print_atom(strbuf *b, const atom *t) {
  switch (t->kind) {
  case ATOM_sym: sb_z(b, t->symbol->name); return;
  case ATOM_floordiv:
  case ATOM_mod:
    print_operand(b, t->a, false);
    sb_z(b, t->kind == ATOM_floordiv ? "//" : "%");
    print_operand(b, t->b, true);
    return;
  case ATOM_min:
  case ATOM_max:
    sb_z(b, t->kind == ATOM_min ? "min(" : "max(");
    idx_print(b, t->a);
    sb_char(b, ',');
    idx_print(b, t->b);
    sb_char(b, ')');
    return;
  case ATOM_read:
    sb_fmt(b, "%s[", t->buffer);
    idx_print(b, t->a);
    sb_char(b, ']');
    return;
  }
}

// 4*(h//8) of a symbol h with step 8 is h//2; true when the term was printed so.
static bool print_part_of_step(strbuf *b, const monomial *t, int64_t size) {
  const sym *s = t->n_factors == 1 ? idx_atom_symbol(t->factors[0]) : NULL;
  if (s == NULL || t->factors[0]->kind == ATOM_sym || s->step % size != 0 || s->step == size) return false;
  sb_fmt(b, "%s//%lld", s->name, (long long)(s->step / size));
  return true;
}

static void print_term(strbuf *b, const monomial *t, bool first) {
  const bool negative = t->coef < 0;
  int64_t size = negative ? -t->coef : t->coef;
  if (negative) sb_char(b, '-');
  else if (!first) sb_char(b, '+');
  // A unary minus binds tighter than `//`: the first term keeps its parentheses.
  const bool lead = first && negative;
  if (!lead && print_part_of_step(b, t, size)) return;
  bool whole[IDX_MAX_DEGREE]; // the factor h//step takes its step from the coefficient and prints as h
  for (uint32_t k = 0; k < t->n_factors; k++) {
    const sym *s = idx_atom_symbol(t->factors[k]);
    whole[k] = s != NULL && t->factors[k]->kind != ATOM_sym && size % s->step == 0;
    if (whole[k]) size /= s->step;
  }
  if (t->n_factors == 0 || size != 1) sb_fmt(b, "%lld", (long long)size);
  const bool alone = t->n_factors == 1 && size == 1 && !lead;
  for (uint32_t k = 0; k < t->n_factors; k++) {
    if (k > 0 || size != 1) sb_char(b, '*');
    if (whole[k]) {
      sb_z(b, idx_atom_symbol(t->factors[k])->name);
      continue;
    }
    const bool bare = alone || is_single(t->factors[k]);
    if (!bare) sb_char(b, '(');
    print_atom(b, t->factors[k]);
    if (!bare) sb_char(b, ')');
  }
}

// Terms with a positive coefficient first: `seq-m-1`, not `-m+seq-1`.
void idx_print(strbuf *b, const idx *e) {
  bool first = true;
  for (int negative = 0; negative <= 1; negative++) {
    for (uint32_t i = 0; i < e->n_terms; i++) {
      if ((e->terms[i].coef < 0) != (negative == 1)) continue;
      print_term(b, &e->terms[i], first);
      first = false;
    }
  }
  if (first) sb_char(b, '0');
}

// -- parsing --

typedef struct reader {
  idx_ctx *c;
  const char *p, *end;
  const sym *(*resolve)(void *user, str name);
  void *user;
  const char *error; // static text once something failed; p is the place
  int depth;
} reader;

static const idx *parse_sum(reader *r);

static const idx *fail(reader *r, const char *error) {
  if (r->error == NULL) r->error = error;
  return NULL;
}

static bool is_digit(char ch) { return ch >= '0' && ch <= '9'; }

static bool is_name(char ch) {
  return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' || is_digit(ch);
}

static void skip_blanks(reader *r) {
  while (r->p < r->end && (*r->p == ' ' || *r->p == '\t')) r->p++;
}

static bool looking_at(const reader *r, const char *z) {
  const size_t n = strlen(z);
  return (size_t)(r->end - r->p) >= n && memcmp(r->p, z, n) == 0;
}

static bool take(reader *r, const char *z) {
  skip_blanks(r);
  if (!looking_at(r, z)) return false;
  r->p += strlen(z);
  return true;
}

static str parse_word(reader *r) {
  const char *from = r->p;
  if (r->p < r->end && *r->p == '%') r->p++;
  while (r->p < r->end && is_name(*r->p)) r->p++;
  return (str){from, (size_t)(r->p - from)};
}

static const idx *parse_number(reader *r) {
  const char *from = r->p;
  while (r->p < r->end && is_digit(*r->p)) r->p++;
  int64_t v;
  if (parse_i64((str){from, (size_t)(r->p - from)}, &v)) return idx_int(r->c, v);
  r->p = from;
  return fail(r, "this number does not fit in 64 bits");
}

static const idx *parse_extreme(reader *r, bool least) {
  const idx *a = parse_sum(r);
  if (a == NULL) return NULL;
  if (!take(r, ",")) return fail(r, "expected `,`");
  const idx *b = parse_sum(r);
  if (b == NULL) return NULL;
  if (!take(r, ")")) return fail(r, "expected `)`");
  return least ? idx_min(r->c, a, b) : idx_max(r->c, a, b);
}

static const idx *parse_name(reader *r) {
  const char *from = r->p;
  const str word = parse_word(r);
  if (take(r, "[")) {
    const idx *at = parse_sum(r);
    if (at == NULL) return NULL;
    return take(r, "]") ? idx_read(r->c, str_dup(r->c->a, word), at) : fail(r, "expected `]`");
  }
  const char *after = r->p;
  if ((str_is(word, "min") || str_is(word, "max")) && take(r, "(")) return parse_extreme(r, str_is(word, "min"));
  r->p = after;
  if (*from == '%') {
    r->p = from;
    return fail(r, "a value here must be read at an index: `%value[index]`");
  }
  const sym *s = r->resolve != NULL ? r->resolve(r->user, word) : idx_symbol(r->c, str_dup(r->c->a, word));
  if (s != NULL) {
    r->p = from + word.n; // blanks after the name are not ours
    return idx_of(r->c, s);
  }
  r->p = from;
  return fail(r, "unknown name in an index expression");
}

static const idx *parse_unary(reader *r) {
  skip_blanks(r);
  if (r->p == r->end) return fail(r, "expected an index expression");
  if (++r->depth > PARSE_DEPTH) return fail(r, "this index expression is nested too deeply");
  const idx *e = NULL;
  if (is_digit(*r->p)) {
    e = parse_number(r);
  } else if (is_name(*r->p) || *r->p == '%') {
    e = parse_name(r);
  } else if (take(r, "-")) {
    e = parse_unary(r);
    if (e != NULL) e = idx_scale(r->c, e, -1);
  } else if (take(r, "(")) {
    e = parse_sum(r);
    if (e != NULL && !take(r, ")")) e = fail(r, "expected `)`");
  } else {
    fail(r, "expected an index expression");
  }
  r->depth--;
  return e;
}

static const idx *parse_term(reader *r) {
  const idx *e = parse_unary(r);
  while (e != NULL) {
    const char *before = r->p;
    const bool product = take(r, "*"), quotient = !product && take(r, "//");
    if (!product && !quotient && !take(r, "%")) {
      r->p = before;
      break;
    }
    skip_blanks(r);
    const char *at = r->p;
    const idx *f = parse_unary(r);
    if (f == NULL) return NULL;
    int64_t k;
    if (!product && idx_is_const(f, &k) && k <= 0) {
      r->p = at;
      return fail(r, "the divisor must be positive");
    }
    e = product ? idx_mul(r->c, e, f) : quotient ? idx_floordiv(r->c, e, f) : idx_mod(r->c, e, f);
  }
  return e;
}

static const idx *parse_sum(reader *r) {
  const idx *e = parse_term(r);
  while (e != NULL) {
    const char *before = r->p;
    skip_blanks(r);
    if (looking_at(r, "->") || (!looking_at(r, "+") && !looking_at(r, "-"))) { // an arrow is not ours
      r->p = before;
      break;
    }
    const bool plus = *r->p++ == '+';
    const idx *f = parse_term(r);
    if (f == NULL) return NULL;
    e = plus ? idx_add(r->c, e, f) : idx_sub(r->c, e, f);
  }
  return e;
}

const idx *idx_parse(idx_ctx *c, const char **p, const char *end, const sym *(*resolve)(void *user, str name),
                     void *user, const char **error) {
  reader r = {.c = c, .p = *p, .end = end, .resolve = resolve, .user = user};
  const idx *e = parse_sum(&r);
  *p = r.p;
  if (e == NULL) *error = r.error;
  return e;
}
