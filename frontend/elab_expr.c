// Expressions: the syntax tree to a value. Operands first, left to right; then the operator, whose nodes carry the span
// of the user's expression.
#include "frontend/elab.h"

static value tuple_expr(elab *e, const ast_expr *x) {
  value *at = ARENA_ARRAY(e->a, value, x->items.n);
  for (size_t i = 0; i < x->items.n; i++) at[i] = elab_expr(e, x->items.at[i]);
  return value_tuple_of(e->a, x->items.n, at);
}

// Nodes built from here on belong to `x`, unless the prelude is at work: then they stay with the user's call.
static void belong_to(elab *e, const ast_expr *x) {
  if (!e->frame->u->is_prelude) e->at = &x->span;
  if (e->at) e->l->here = *e->at;
}

static value unary_expr(elab *e, const ast_expr *x) {
  value v = elab_expr(e, x->left);
  belong_to(e, x);
  return str_is(x->text, "not") ? elab_not(e, v, x->span) : elab_unary(e, OP_neg, v, "-", x->span);
}

// `and`, `or` of conditions the compiler knows do not look at the right side when the left one decides.
static value logic_expr(elab *e, const ast_expr *x, arith op) {
  value a = elab_expr(e, x->left);
  if (a.kind == V_bool && (a.v.i != 0) == (op == AR_or)) return a;
  value b = elab_expr(e, x->right);
  belong_to(e, x);
  return elab_binary(e, op, a, b, x->span);
}

static value binary_expr(elab *e, const ast_expr *x) {
  bool negate = str_is(x->text, "not in");
  arith op;
  if (negate || str_is(x->text, "in")) {
    value a = elab_expr(e, x->left), b = elab_expr(e, x->right);
    return elab_in(e, a, b, negate, x->span);
  }
  if (!arith_find(x->text, &op)) return value_error();
  if (op == AR_and || op == AR_or) return logic_expr(e, x, op);
  value a = elab_expr(e, x->left), b = elab_expr(e, x->right);
  belong_to(e, x);
  return elab_binary(e, op, a, b, x->span);
}

static value choice_expr(elab *e, const ast_expr *x) {
  bool c;
  if (!elab_condition(e, x->third, "if", &c)) return value_error();
  return elab_expr(e, c ? x->left : x->right);
}

static value evaluate(elab *e, const ast_expr *x) {
  switch (x->kind) {
  case EX_int: return value_int(x->i);
  case EX_bool: return value_bool(x->i != 0);
  case EX_float: return value_float(x->f);
  case EX_string: return value_str(x->text);
  case EX_none: return value_none();
  case EX_dtype: return value_dtype(x->dt);
  case EX_name: belong_to(e, x); return elab_name(e, x->text, x->span);
  case EX_tuple:
  case EX_list: return tuple_expr(e, x);
  case EX_call: return elab_call(e, x);
  case EX_index: {
    value left = elab_expr(e, x->left);
    return elab_index(e, x, left);
  }
  case EX_unary: return unary_expr(e, x);
  case EX_binary: return binary_expr(e, x);
  case EX_if: return choice_expr(e, x);
  case EX_slice:
  case EX_ellipsis: break; // the grammar has them inside an index only
  }
  return value_error();
}

value elab_expr(elab *e, const ast_expr *x) {
  value v = evaluate(e, x);
  if (v.kind == V_table) elab_comes_from(e, v, elab_span(e, x->span));
  return v;
}

bool elab_condition(elab *e, const ast_expr *x, const char *word, bool *out) {
  value v = elab_expr(e, x);
  if (v.kind == V_bool) {
    *out = v.v.i != 0;
    return true;
  }
  if (v.kind == V_tensor) {
    diag *d = elab_error(e, x->span, condition_tensor, word, value_describe(e->a, v));
    diag_note_to(e->l, d,
                 "at run time: `when` for a branch, `where(c, a, b)` for a choice, `loop` / `while` to repeat");
  } else if (!value_is_error(v)) {
    elab_error(e, x->span, condition_kind, word, value_describe(e->a, v));
  }
  return false;
}

bool elab_type(elab *e, const ast_type *t, ir_type *out) {
  if (t->dims.n > IR_MAX_RANK) {
    elab_error(e, t->span, too_many_dims, t->dims.n, (int)IR_MAX_RANK);
    return false;
  }
  const idx *dim[IR_MAX_RANK];
  bool ok = true;
  for (size_t i = 0; i < t->dims.n; i++) {
    value v = elab_expr(e, t->dims.at[i]);
    bool good = value_is_integer(v) && !(v.kind == V_int && v.v.i < 0);
    if (!good && !value_is_error(v)) elab_error(e, t->dims.at[i]->span, dim_kind, value_describe(e->a, v));
    dim[i] = good ? value_idx(e->m->ix, v) : NULL;
    ok &= good;
  }
  if (!ok) return false;
  *out = ir_type_make(e->m, t->dt, (uint32_t)t->dims.n, dim);
  if (ir_type_fits(*out)) return true;
  elab_error(e, t->span, type_size, value_shape_text(e->a, out->rank, out->dim));
  return false;
}
