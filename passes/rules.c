// The rewrite engine: see rules.h.
#include "passes/rules.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct row {
  const char *name;
  rule_mark mark;
  rule_dtypes dtypes;
  const char *text, *condition;
} rows[] = {
#define R(name, mark, dtypes, text, condition, ends) {#name, RULE_##mark, RULE_##dtypes, text, condition},
#include "passes/rules.def"
#undef R
};

// -- parsing --

typedef struct rule_parser {
  arena *a;
  diag_list *l;
  const char *p;
  rule *r;
  char vars[RULE_MAX_VARS];
} rule_parser;

static void skip(rule_parser *x) {
  while (*x->p == ' ') x->p++;
}

static uint32_t variable(rule_parser *x) {
  x->p++; // '?'
  char name = *x->p++;
  for (uint32_t i = 0; i < x->r->n_vars; i++)
    if (x->vars[i] == name) return i;
  BUG_IF(x->l, x->r->n_vars == RULE_MAX_VARS, "rule %s has too many variables", x->r->name);
  x->vars[x->r->n_vars] = name;
  x->r->is_const[x->r->n_vars] = name == 'c';
  return x->r->n_vars++;
}

static const rule_term *parse_term(rule_parser *x) {
  rule_term *t = ARENA_NEW(x->a, rule_term);
  skip(x);
  if (*x->p == '?') {
    t->var = variable(x);
    t->kind = x->r->is_const[t->var] ? RT_CONST_VAR : RT_VAR;
    return t;
  }
  if (*x->p == '-' || (*x->p >= '0' && *x->p <= '9') || !strncmp(x->p, "nan", 3)) {
    char *end;
    t->kind = RT_NUMBER;
    t->number = strtod(x->p, &end);
    x->p = end;
    return t;
  }
  size_t n = strcspn(x->p, "(");
  str name = {x->p, n};
  t->kind = str_is(name, "inv") ? RT_INVERSE : RT_OP;
  BUG_IF(x->l, t->kind == RT_OP && !op_find(name, &t->op), "rule %s: no operator " STR_FMT, x->r->name, STR_ARG(name));
  x->p += n + 1;
  if (t->kind == RT_INVERSE) {
    skip(x);
    t->var = variable(x);
  }
  while (t->kind == RT_OP && t->n < 3 && *x->p && *x->p != ')') {
    t->arg[t->n++] = parse_term(x);
    skip(x);
    if (*x->p == ',') x->p++;
  }
  BUG_IF(x->l, *x->p != ')', "rule %s: `)` expected at `%s`", x->r->name, x->p);
  x->p++;
  return t;
}

rule_set *rules_parse(arena *a, diag_list *l) {
  rule_set *s = ARENA_NEW(a, rule_set);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    rule r = {.name = rows[i].name,
              .text = rows[i].text,
              .mark = rows[i].mark,
              .dtypes = rows[i].dtypes,
              .pow2 = rows[i].condition[0] != 0};
    rule_parser x = {.a = a, .l = l, .p = rows[i].text, .r = &r};
    r.left = parse_term(&x);
    skip(&x);
    BUG_IF(l, strncmp(x.p, "->", 2) != 0, "rule %s: `->` expected", r.name);
    x.p += 2;
    r.right = parse_term(&x);
    vec_push(a, &s->rules, r);
  }
  return s;
}

// -- matching --

// The one value of all elements, seen through broadcast and reshape.
static bool splat_of(const ir_value *v, scalar *out) {
  while (v->def && (v->def->op == OP_broadcast || v->def->op == OP_reshape)) v = v->def->in[0];
  return ir_is_splat(v, out);
}

static bool is_number(const ir_value *v, double number) {
  scalar s;
  if (!splat_of(v, &s)) return false;
  if (!dtype_is_float(s.dt)) return (double)s.v.i == number;
  return s.v.f == number && signbit(s.v.f) == signbit(number); // -0 is not 0
}

static bool match(const rule_term *t, ir_value *v, ir_value **vars) {
  scalar s;
  switch (t->kind) {
  case RT_NUMBER: return is_number(v, t->number);
  case RT_CONST_VAR:
    if (!splat_of(v, &s)) return false;
    break;
  case RT_OP: {
    const ir_node *n = v->def;
    if (!n || n->op != t->op || n->n_in != t->n) return false;
    ir_value *saved[RULE_MAX_VARS];
    memcpy(saved, vars, sizeof saved);
    bool ok = true;
    for (uint32_t i = 0; ok && i < t->n; i++) ok = match(t->arg[i], n->in[i], vars);
    if (ok || !op_has(t->op, OPF_COMM)) return ok;
    memcpy(vars, saved, sizeof saved);
    return match(t->arg[0], n->in[1], vars) && match(t->arg[1], n->in[0], vars);
  }
  case RT_INVERSE: return false;
  case RT_VAR:
  default: break;
  }
  if (vars[t->var]) return vars[t->var] == v;
  vars[t->var] = v;
  return true;
}

static bool fits_dtype(rule_dtypes want, dtype t) {
  switch (want) {
  case RULE_float: return dtype_is_float(t);
  case RULE_int: return dtype_is_int(t);
  case RULE_signed: return dtype_is_float(t) || (dtype_is_int(t) && t != DT_u8);
  case RULE_bool: return t == DT_bool;
  case RULE_any:
  default: return true;
  }
}

static bool is_pow2(double c) {
  int e;
  return isfinite(c) && c != 0 && fabs(frexp(c, &e)) == 0.5 && e > -120 && e < 120; // reciprocal normal in f32 and bf16
}

static bool holds(const rule *r, ir_value *const *vars) {
  scalar s;
  for (uint32_t i = 0; r->pow2 && i < r->n_vars; i++)
    if (r->is_const[i] && (!splat_of(vars[i], &s) || s.dt == DT_f16 || !is_pow2(s.v.f))) return false;
  return true;
}

ir_value *rules_build(ir_builder *b, const rule_term *t, ir_value *const *vars, ir_type like) {
  scalar s;
  switch (t->kind) {
  case RT_NUMBER: return ir_const_scalar(b, scalar_f(like.dt, t->number), like.rank, like.dim);
  case RT_INVERSE:
    return splat_of(vars[t->var], &s) ? ir_const_scalar(b, scalar_f(like.dt, 1 / s.v.f), like.rank, like.dim) : NULL;
  case RT_OP: {
    ir_value *in[3];
    ir_type inner = like;
    for (uint32_t i = 0; i < t->n; i++) { // numbers take the dtype of a sibling that is not a number
      if (t->arg[i]->kind != RT_VAR && t->arg[i]->kind != RT_CONST_VAR) continue;
      if (!(t->op == OP_where && i == 0)) inner = vars[t->arg[i]->var]->type;
    }
    for (uint32_t i = 0; i < t->n; i++) {
      ir_type arg = t->op == OP_where && i == 0 ? (ir_type){DT_bool, like.rank, like.dim} : inner;
      if (!(in[i] = rules_build(b, t->arg[i], vars, arg))) return NULL;
    }
    ir_node *n = ir_build(b, t->op, t->n, in, 0, NULL, 0, NULL, 0, NULL);
    return n ? &n->out[0] : NULL;
  }
  case RT_VAR:
  case RT_CONST_VAR:
  default: return vars[t->var];
  }
}

ir_value *rules_apply(const rule_set *s, ir_builder *b, ir_value *v, strbuf *explain) {
  for (int tries = 0; tries < RULES_MAX_TRIES; tries++) {
    bool fired = false;
    for (size_t i = 0; v->def && i < s->rules.n && !fired; i++) {
      const rule *r = &s->rules.at[i];
      ir_value *vars[RULE_MAX_VARS] = {0};
      if (v->def->op != r->left->op || !fits_dtype(r->dtypes, v->type.dt)) continue;
      if (!match(r->left, v, vars) || !holds(r, vars)) continue;
      ir_value *next = rules_build(b, r->right, vars, v->type);
      if (!next || next == v) continue;
      if (explain && r->mark == RULE_numeric) sb_fmt(explain, "%s: %s\n", r->name, r->text);
      v = next;
      fired = true;
    }
    if (!fired) break;
  }
  return v;
}
