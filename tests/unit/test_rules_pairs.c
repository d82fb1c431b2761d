// Rewrite rules in company: each fires on its own pattern and on nothing that its row excludes; and where two rules can
// fire on one term, at the root and inside, either order leads to the same node once everything is rewritten (local
// confluence, Knuth & Bendix 1970). Operands of commutative operators are unified in the order of the row only.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "passes/rules.h"

enum { N_VARS = 2 * RULE_MAX_VARS };

typedef struct bench {
  arena *a;
  diag_list l;
  rule_set *set;
  ir_module *m;
  ir_graph *g;
  ir_builder b;
  ir_type type; // of the root
} bench;

static void bench_graph(bench *x, dtype dt) {
  x->m = ir_module_new(x->a, &x->l, "pairs");
  x->g = ir_graph_new(x->m, "g", true);
  ir_builder_init(&x->b, x->m, x->g->body);
  x->type = ir_type_ints(x->m, dt, 1, (const int64_t[]){5});
}

static bench bench_open(void) {
  bench x = {.a = arena_new(NULL)};
  diag_init(&x.l, x.a);
  x.set = rules_parse(x.a, &x.l);
  return x;
}

static void bench_close(bench *x) { arena_free(x->a); }

static rule_set only(const rule *r) { return (rule_set){.rules = {.at = (rule *)(uintptr_t)r, .n = 1}}; }

// -- terms of two rules: variables of the second are numbered from RULE_MAX_VARS --

typedef struct binding {
  const rule_term *term[N_VARS];
  uint32_t shift[N_VARS]; // what to add to the variables of that term
} binding;

typedef struct place {
  const rule_term *t;
  uint32_t shift;
} place;

static place resolve(const binding *b, place p) {
  while ((p.t->kind == RT_VAR || p.t->kind == RT_CONST_VAR) && b->term[p.t->var + p.shift])
    p = (place){b->term[p.t->var + p.shift], b->shift[p.t->var + p.shift]};
  return p;
}

static bool occurs(const binding *b, uint32_t var, place p) {
  p = resolve(b, p);
  if (p.t->kind == RT_VAR || p.t->kind == RT_CONST_VAR) return p.t->var + p.shift == var;
  for (uint32_t i = 0; i < p.t->n; i++)
    if (occurs(b, var, (place){p.t->arg[i], p.shift})) return true;
  return false;
}

static bool bind(binding *b, place var, place to) {
  uint32_t v = var.t->var + var.shift;
  bool only_constants = var.t->kind == RT_CONST_VAR,
       is_constant = to.t->kind == RT_NUMBER || to.t->kind == RT_CONST_VAR;
  if ((only_constants && !is_constant) || occurs(b, v, to)) return false;
  b->term[v] = to.t;
  b->shift[v] = to.shift;
  return true;
}

static bool unify(binding *b, place x, place y) {
  x = resolve(b, x), y = resolve(b, y);
  bool x_var = x.t->kind == RT_VAR || x.t->kind == RT_CONST_VAR,
       y_var = y.t->kind == RT_VAR || y.t->kind == RT_CONST_VAR;
  if (x_var && y_var && x.t->var + x.shift == y.t->var + y.shift) return true;
  if (x_var && !(x.t->kind == RT_CONST_VAR && y.t->kind == RT_VAR)) return bind(b, x, y);
  if (y_var) return bind(b, y, x);
  if (x.t->kind != y.t->kind) return false;
  if (x.t->kind == RT_NUMBER) return x.t->number == y.t->number;
  if (x.t->op != y.t->op || x.t->n != y.t->n) return false;
  for (uint32_t i = 0; i < x.t->n; i++)
    if (!unify(b, (place){x.t->arg[i], x.shift}, (place){y.t->arg[i], y.shift})) return false;
  return true;
}

// -- building --

typedef struct leaves {
  ir_value *var[N_VARS];
} leaves;

static dtype argument_dtype(const rule_term *t, uint32_t i, dtype dt) {
  return t->op == OP_where && i == 0 ? DT_bool : dt;
}

// The value of a term at dtype dt; NULL when an operator does not take it, or a variable would need two dtypes.
static ir_value *instance(bench *x, const binding *b, leaves *l, place p, dtype dt) {
  p = resolve(b, p);
  ir_type like = {dt, x->type.rank, x->type.dim};
  if (p.t->kind == RT_NUMBER) return ir_const_scalar(&x->b, scalar_f(dt, p.t->number), like.rank, like.dim);
  if (p.t->kind == RT_CONST_VAR) return ir_const_scalar(&x->b, scalar_f(dt, 4), like.rank, like.dim);
  if (p.t->kind == RT_VAR) {
    ir_value **v = &l->var[p.t->var + p.shift];
    if (!*v)
      *v = ir_graph_param(x->g, str_fmt(x->a, "x%u", p.t->var + p.shift), ir_type_make(x->m, dt, like.rank, like.dim),
                          NULL);
    return (*v)->type.dt == dt ? *v : NULL;
  }
  ir_value *in[3];
  if ((op_has(p.t->op, OPF_FLT) && !dtype_is_float(dt)) || (op_has(p.t->op, OPF_NUM) && dt == DT_bool) ||
      (op_has(p.t->op, OPF_BOOLEAN) && dt != DT_bool))
    return NULL;
  for (uint32_t i = 0; i < p.t->n; i++)
    if (!(in[i] = instance(x, b, l, (place){p.t->arg[i], p.shift}, argument_dtype(p.t, i, dt)))) return NULL;
  ir_node *n = ir_build(&x->b, p.t->op, p.t->n, in, 0, NULL, 0, NULL, 0, NULL);
  return n ? &n->out[0] : NULL;
}

// Everything below v rewritten by all rules, operands first, until nothing changes.
static ir_value *normal(bench *x, ir_value *v) {
  for (int round = 0; round < 8; round++) {
    ir_value *in[3], *to = v;
    if (!v->def || !op_is_elementwise(v->def->op)) return v;
    for (uint32_t i = 0; i < v->def->n_in; i++) in[i] = normal(x, v->def->in[i]);
    to = &ir_copy_node(&x->b, v->def, in, map_new(x->a))->out[0];
    to = rules_apply(x->set, &x->b, to, NULL);
    if (to == v) return v;
    v = to;
  }
  fail_msg("rewriting does not end");
  return v;
}

static const char *text_of(bench *x, ir_value *v) {
  strbuf b;
  sb_init(&b, x->a);
  if (!v->def) sb_fmt(&b, "%s", v->param_of ? x->g->param_names[v->index] : "?");
  else if (v->def->op == OP_const) sb_z(&b, "const");
  else {
    sb_fmt(&b, "%s(", op_get(v->def->op)->name);
    for (uint32_t i = 0; i < v->def->n_in; i++) sb_fmt(&b, "%s%s", i ? ", " : "", text_of(x, v->def->in[i]));
    sb_char(&b, ')');
  }
  return sb_cstr(&b);
}

// -- one rule alone --

static bool in_class(const rule *r, dtype t) {
  switch (r->dtypes) {
  case RULE_float: return dtype_is_float(t);
  case RULE_int: return dtype_is_int(t);
  case RULE_signed: return dtype_is_float(t) || (dtype_is_int(t) && t != DT_u8);
  case RULE_bool: return t == DT_bool;
  case RULE_any:
  default: return true;
  }
}

static void rules_fire_on_their_patterns_only(void **state) {
  (void)state;
  bench x = bench_open();
  for (size_t i = 0; i < x.set->rules.n; i++) {
    const rule *r = &x.set->rules.at[i];
    rule_set one = only(r);
    size_t fired = 0;
    for (int dt = 0; dt < DT_COUNT; dt++) {
      bench_graph(&x, (dtype)dt);
      binding b = {{0}, {0}};
      leaves l = {{0}};
      ir_value *left = instance(&x, &b, &l, (place){r->left, 0}, (dtype)dt);
      if (!left) continue;
      for (uint32_t v = 0; v < r->n_vars; v++)
        if (r->is_const[v]) l.var[v] = ir_const_scalar(&x.b, scalar_f((dtype)dt, 4), x.type.rank, x.type.dim);
      bool admitted = in_class(r, (dtype)dt) && !(r->pow2 && dt == DT_f16) && !(dt == DT_u8 && strstr(r->text, "-1)"));
      ir_value *to = rules_apply(&one, &x.b, left, NULL);
      if (admitted && to != rules_build(&x.b, r->right, l.var, left->type))
        fail_msg("rule %s does not fire on %s", r->name, dtype_name((dtype)dt));
      if (!admitted && to != left) fail_msg("rule %s fires on %s", r->name, dtype_name((dtype)dt));
      fired += admitted;
    }
    assert_true(fired > 0);
  }
  bench_close(&x);
}

static void conditions_and_numbers_are_exact(void **state) {
  (void)state;
  bench x = bench_open();
  bench_graph(&x, DT_f32);
  ir_value *v = ir_graph_param(x.g, "x", x.type, NULL);
  static const struct {
    op_code op;
    double c;
    bool rewritten;
  } trials[] = {
      {OP_div, 4, true},         {OP_div, -0.5, true},     {OP_div, 3, false},    {OP_div, 0, false},
      {OP_div, 0x1p-126, false}, {OP_div, 0x1p127, false}, {OP_mul, 1, true},     {OP_mul, 0, false},
      {OP_mul, -0.0, false},     {OP_sub, 0, true},        {OP_sub, -0.0, false}, {OP_add, 0, false},
      {OP_pow, 2, true},         {OP_pow, 1, true},        {OP_pow, 3, false},
  };
  for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
    ir_value *y =
        ir_binary(&x.b, trials[i].op, v, ir_const_scalar(&x.b, scalar_f(DT_f32, trials[i].c), x.type.rank, x.type.dim));
    if ((rules_apply(x.set, &x.b, y, NULL) != y) != trials[i].rewritten)
      fail_msg("%s by %g", op_get(trials[i].op)->name, trials[i].c);
  }
  bench_close(&x);
}

// -- pairs --

typedef struct pair {
  bench *x;
  const rule *outer, *inner;
  const rule_term *at; // the subterm of the outer pattern where the inner one fires
  dtype dt, inner_dt;
} pair;

// The root with the value `from` below it replaced.
static ir_value *with(bench *x, ir_value *v, ir_value *from, ir_value *to) {
  ir_value *in[3];
  if (v == from) return to;
  if (!v->def || !op_is_elementwise(v->def->op)) return v;
  for (uint32_t i = 0; i < v->def->n_in; i++) in[i] = with(x, v->def->in[i], from, to);
  return &ir_copy_node(&x->b, v->def, in, map_new(x->a))->out[0];
}

static bool try_pair(pair *p) {
  bench *x = p->x;
  binding b = {{0}, {0}};
  leaves l = {{0}};
  place at = {p->at, 0}, inner = {p->inner->left, RULE_MAX_VARS};
  bench_graph(x, p->dt);
  if (!in_class(p->outer, p->dt) || !in_class(p->inner, p->inner_dt) || !unify(&b, at, inner)) return false;
  ir_value *root = instance(x, &b, &l, (place){p->outer->left, 0}, p->dt);
  ir_value *below = root ? instance(x, &b, &l, at, p->inner_dt) : NULL;
  if (!below) return false;
  rule_set outer_set = only(p->outer), inner_set = only(p->inner);
  ir_value *outside = rules_apply(&outer_set, &x->b, root, NULL), *inside = rules_apply(&inner_set, &x->b, below, NULL);
  if (outside == root || inside == below) return false; // a condition refuses it
  ir_value *one = normal(x, outside), *other = normal(x, with(x, root, below, inside));
  if (one != other) {
    fail_msg("%s and %s on %s: %s becomes %s or %s", p->outer->name, p->inner->name, dtype_name(p->dt),
             text_of(x, root), text_of(x, one), text_of(x, other));
  }
  return true;
}

static size_t try_places(pair p, const rule_term *t, dtype dt) {
  size_t n = 0;
  if (t->kind != RT_OP) return 0;
  p.at = t;
  p.inner_dt = dt;
  if (t != p.outer->left || p.outer < p.inner) n += try_pair(&p);
  for (uint32_t i = 0; i < t->n; i++) n += try_places(p, t->arg[i], argument_dtype(t, i, dt));
  return n;
}

static void either_order_leads_to_the_same_node(void **state) {
  (void)state;
  static const dtype dtypes[] = {DT_f32, DT_i32, DT_u8, DT_bool};
  bench x = bench_open();
  size_t n = 0;
  for (size_t i = 0; i < x.set->rules.n; i++)
    for (size_t k = 0; k < x.set->rules.n; k++)
      for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        pair p = {.x = &x, .outer = &x.set->rules.at[i], .inner = &x.set->rules.at[k], .dt = dtypes[d]};
        n += try_places(p, p.outer->left, p.dt);
      }
  print_message("%zu overlaps\n", n);
  assert_true(n > 20);
  bench_close(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rules_fire_on_their_patterns_only),
      cmocka_unit_test(conditions_and_numbers_are_exact),
      cmocka_unit_test(either_order_leads_to_the_same_node),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
