// Recursive descent for everything but binary operators, precedence climbing for those (Pratt 1973).
//
// Bounds: recursion and the height of the tree are at most AST_MAX_EXPR_HEIGHT, so that neither this parser nor a
// recursive walk over its result can exhaust the stack. A chain a + b + c leans left: its height is its length.
#include "frontend/expr.h"

#include <math.h>
#include <string.h>

typedef enum precedence { PREC_or = 1, PREC_and, PREC_not, PREC_compare, PREC_sum, PREC_term } precedence;

typedef struct binary_operator {
  const char *text;
  precedence level;
} binary_operator;

static const binary_operator operators[] = {
    {"or", PREC_or},      {"and", PREC_and},     {"==", PREC_compare}, {"!=", PREC_compare},
    {"<", PREC_compare},  {"<=", PREC_compare},  {">", PREC_compare},  {">=", PREC_compare},
    {"in", PREC_compare}, {"not", PREC_compare}, {"+", PREC_sum},      {"-", PREC_sum},
    {"*", PREC_term},     {"/", PREC_term},      {"//", PREC_term},    {"%", PREC_term},
};

static const double pi = 3.14159265358979323846;

ast_expr *expr_new(lexer *x, ast_expr_kind kind, diag_span span) {
  ast_expr *e = ARENA_NEW(x->a, ast_expr);
  e->kind = kind;
  e->span = e->op_span = span;
  e->height = 1;
  return e;
}

static void too_high(lexer *x, diag_span at) {
  if (x->failed) return;
  diag *d = diag_at(x->l, at, syntax_height, AST_MAX_EXPR_HEIGHT);
  diag_note_to(x->l, d, "give parts of it names in steps of their own");
  lex_stop(x);
}

static void child(ast_expr *e, const ast_expr *c) {
  if (c && c->height >= e->height) e->height = c->height + 1;
}

// The last act of every node with children: its end, its height.
static ast_expr *finish(lexer *x, ast_expr *e) {
  if (x->failed) return NULL;
  e->span.end = x->last_end;
  child(e, e->left);
  child(e, e->right);
  child(e, e->third);
  for (size_t i = 0; i < e->items.n; i++) child(e, e->items.at[i]);
  for (size_t i = 0; i < e->named.n; i++) child(e, e->named.at[i].value);
  if (e->height > AST_MAX_EXPR_HEIGHT) {
    too_high(x, e->op_span);
    return NULL;
  }
  return e;
}

static ast_expr *leaf(lexer *x, ast_expr_kind kind) {
  ast_expr *e = expr_new(x, kind, x->now.span);
  e->text = x->now.text;
  lex_next(x);
  return e;
}

static ast_expr *float_leaf(lexer *x, double v) {
  ast_expr *e = leaf(x, EX_float);
  e->f = v;
  return e;
}

// -- names, calls --

enum { MAX_NAMED = 64 }; // arguments with a name in one call; duplicates are looked for among them

static void argument(lexer *x, ast_expr *call) {
  ast_expr *e = expr_parse(x);
  if (!e) return;
  if (lex_is(x, "=")) {
    bool bare = e->kind == EX_name && e->span.begin == e->op_span.begin && !memchr(e->text.p, '.', e->text.n);
    if (!bare) {
      lex_expected(x, "`,` or `)`");
      return;
    }
    for (size_t i = 0; i < call->named.n; i++) {
      if (!str_eq(call->named.at[i].name, e->text)) continue;
      diag_at(x->l, e->span, syntax_argument_twice, str_dup(x->a, e->text));
      lex_stop(x);
      return;
    }
    if (call->named.n == MAX_NAMED) {
      diag_at(x->l, e->span, syntax_too_many, MAX_NAMED, "arguments with a name");
      lex_stop(x);
      return;
    }
    lex_next(x);
    ast_arg arg = {.name = e->text, .name_span = e->span, .value = expr_parse(x)};
    if (arg.value) vec_push(x->a, &call->named, arg);
  } else if (call->named.n) {
    diag *d = diag_at(x->l, e->span, syntax_argument_order);
    diag_note_to(x->l, d, "arguments without a name come first: f(x, y, name=z)");
    lex_stop(x);
  } else {
    vec_push(x->a, &call->items, e);
  }
}

static ast_expr *call(lexer *x, token name) {
  ast_expr *e = expr_new(x, EX_call, name.span);
  e->text = name.text;
  lex_next(x);
  if (!lex_is(x, ")")) {
    do argument(x, e);
    while (!x->failed && lex_take(x, ","));
  }
  if (!x->failed && !lex_is(x, ")")) lex_expected(x, "`,` or `)`");
  lex_next(x);
  return finish(x, e);
}

static ast_expr *word(lexer *x) {
  str text = x->now.text;
  if (str_is(text, "True") || str_is(text, "False")) {
    ast_expr *e = leaf(x, EX_bool);
    e->i = text.p[0] == 'T';
    return e;
  }
  if (str_is(text, "None")) return leaf(x, EX_none);
  if (str_is(text, "inf")) return float_leaf(x, HUGE_VAL);
  if (str_is(text, "nan")) return float_leaf(x, (double)NAN);
  if (str_is(text, "pi")) return float_leaf(x, pi);
  dtype dt;
  if (!dtype_parse(text, &dt)) {
    lex_expected(x, "an expression");
    return NULL;
  }
  ast_expr *e = leaf(x, EX_dtype);
  e->dt = dt;
  if (lex_is(x, "(")) {
    diag *d = diag_at(x->l, e->span, syntax_call_type, dtype_name(dt));
    diag_note_to(x->l, d, "write `cast(x, %s)`", dtype_name(dt));
    lex_stop(x);
  }
  return e;
}

static ast_expr *name_or_call(lexer *x) {
  if (lex_is_word(x->now.text)) return word(x);
  token name = x->now;
  lex_next(x);
  if (lex_is(x, "(")) return call(x, name);
  ast_expr *e = expr_new(x, EX_name, name.span);
  e->text = name.text;
  return e;
}

// -- atoms --

// `(`: nothing, one expression, or a tuple. Parentheses belong to the span.
static ast_expr *parenthesis(lexer *x) {
  uint32_t begin = x->now.span.begin;
  ast_expr *tuple = expr_new(x, EX_tuple, x->now.span);
  lex_next(x);
  if (lex_take(x, ")")) return finish(x, tuple);
  ast_expr *first = expr_parse(x);
  if (!first) return NULL;
  if (lex_take(x, ")")) {
    first->span.begin = begin;
    first->span.end = x->last_end;
    return first;
  }
  vec_push(x->a, &tuple->items, first);
  if (!lex_is(x, ",")) lex_expected(x, "`,` or `)`");
  lex_next(x);
  if (!lex_is(x, ")")) {
    do {
      ast_expr *e = expr_parse(x);
      if (!e) return NULL;
      vec_push(x->a, &tuple->items, e);
    } while (lex_take(x, ","));
  }
  if (!lex_is(x, ")")) lex_expected(x, "`,` or `)`");
  lex_next(x);
  return finish(x, tuple);
}

static ast_expr *atom(lexer *x) {
  token t = x->now;
  ast_expr *e;
  switch (t.kind) {
  case TK_int:
    e = leaf(x, EX_int);
    e->i = t.i;
    return e;
  case TK_float: return float_leaf(x, t.f);
  case TK_string:
    e = leaf(x, EX_string);
    e->text = t.value;
    return e;
  case TK_name: return name_or_call(x);
  case TK_punct:
    if (lex_is(x, "(")) return parenthesis(x);
    if (lex_is(x, "[")) {
      diag *d = diag_at(x->l, t.span, syntax_expected, "an expression", "`[`");
      diag_note_to(x->l, d, "tuples are written `(a, b)`");
      lex_stop(x);
      return NULL;
    }
    break;
  case TK_end: break;
  }
  lex_expected(x, "an expression");
  return NULL;
}

// -- indexing --

static bool ends_slice_part(lexer *x) { return lex_is(x, ":") || lex_is(x, ",") || lex_is(x, "]"); }

static ast_expr *index_item(lexer *x) {
  diag_span begin = x->now.span;
  if (lex_is(x, "...")) return leaf(x, EX_ellipsis);
  ast_expr *first = lex_is(x, ":") ? NULL : expr_parse(x);
  if (x->failed || !lex_is(x, ":")) return first;
  ast_expr *e = expr_new(x, EX_slice, begin);
  if (first) e->span.begin = first->span.begin;
  e->left = first;
  lex_next(x);
  if (!ends_slice_part(x)) e->right = expr_parse(x);
  if (lex_take(x, ":") && !ends_slice_part(x)) e->third = expr_parse(x);
  return finish(x, e);
}

ast_expr *expr_parse_index(lexer *x, ast_expr *of) {
  ast_expr *e = expr_new(x, EX_index, of->span);
  e->op_span = x->now.span;
  e->left = of;
  lex_next(x);
  do {
    ast_expr *item = index_item(x);
    if (!item) return NULL;
    vec_push(x->a, &e->items, item);
  } while (lex_take(x, ","));
  if (!lex_is(x, "]")) lex_expected(x, "`,` or `]`");
  lex_next(x);
  e->op_span.end = x->last_end;
  return finish(x, e);
}

static ast_expr *postfix(lexer *x) {
  ast_expr *e = atom(x);
  while (e && lex_is(x, "[")) e = expr_parse_index(x, e);
  if (e && lex_is(x, "(")) {
    diag *d = diag_at(x->l, x->now.span, syntax_call);
    diag_note_to(x->l, d, "a call is `name(arguments)`");
    lex_stop(x);
  }
  return x->failed ? NULL : e;
}

// -- operators --

static ast_expr *unary(lexer *x);

static ast_expr *binary(lexer *x, ast_expr *left, diag_span op_span, str op, ast_expr *right) {
  if (!left || !right) return NULL;
  ast_expr *e = expr_new(x, EX_binary, left->span);
  e->op_span = op_span;
  e->text = op;
  e->left = left;
  e->right = right;
  return finish(x, e);
}

static ast_expr *power(lexer *x) {
  ast_expr *e = postfix(x);
  if (!e || !lex_is(x, "**")) return e;
  diag_span op = x->now.span;
  lex_next(x);
  return binary(x, e, op, STR("**"), unary(x));
}

// Every recursion of the grammar passes here.
static ast_expr *unary(lexer *x) {
  if (x->depth >= AST_MAX_EXPR_HEIGHT) {
    too_high(x, x->now.span);
    return NULL;
  }
  x->depth++;
  ast_expr *e;
  if (lex_is(x, "-")) {
    e = expr_new(x, EX_unary, x->now.span);
    e->text = STR("-");
    lex_next(x);
    e->left = unary(x);
    e = finish(x, e);
  } else {
    e = power(x);
  }
  x->depth--;
  return e;
}

static const binary_operator *operator_ahead(const lexer *x) {
  if (x->now.kind != TK_punct && x->now.kind != TK_name) return NULL;
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
    if (lex_is(x, operators[i].text)) return &operators[i];
  }
  return NULL;
}

static ast_expr *climb(lexer *x, precedence least);

static ast_expr *operand(lexer *x, precedence least) {
  if (least > PREC_not || !lex_is(x, "not")) return unary(x);
  if (x->depth >= AST_MAX_EXPR_HEIGHT) {
    too_high(x, x->now.span);
    return NULL;
  }
  ast_expr *e = expr_new(x, EX_unary, x->now.span);
  e->text = STR("not");
  lex_next(x);
  x->depth++;
  e->left = climb(x, PREC_not);
  x->depth--;
  return finish(x, e);
}

static ast_expr *climb(lexer *x, precedence least) {
  ast_expr *left = operand(x, least);
  bool compared = false;
  for (const binary_operator *op; left && (op = operator_ahead(x)) && op->level >= least;) {
    diag_span op_span = x->now.span;
    str text = str_of(op->text);
    if (op->level == PREC_compare && compared) {
      diag *d = diag_at(x->l, op_span, syntax_chain);
      diag_note_to(x->l, d, "write `a < b and b < c`");
      lex_stop(x);
      return NULL;
    }
    compared = op->level == PREC_compare;
    lex_next(x);
    if (str_is(text, "not")) {
      op_span.end = x->now.span.end;
      if (!lex_want(x, "in")) return NULL;
      text = STR("not in");
    }
    left = binary(x, left, op_span, text, climb(x, (precedence)(op->level + 1)));
  }
  return x->failed ? NULL : left;
}

ast_expr *expr_parse(lexer *x) {
  ast_expr *value = climb(x, PREC_or);
  if (!value || !lex_is(x, "if")) return value;
  ast_expr *e = expr_new(x, EX_if, value->span);
  e->op_span = x->now.span;
  lex_next(x);
  e->left = value;
  e->third = climb(x, PREC_or);
  if (x->failed || !lex_want(x, "else")) return NULL;
  if (x->depth >= AST_MAX_EXPR_HEIGHT) {
    too_high(x, e->op_span);
    return NULL;
  }
  x->depth++;
  e->right = expr_parse(x);
  x->depth--;
  return finish(x, e);
}

// What an expression cannot go on with, where other languages can.
static void reject_rest(lexer *x) {
  if (x->failed || x->now.kind == TK_end) return;
  str text = x->now.text;
  if (str_is(text, "for")) {
    diag *d = diag_at(x->l, x->now.span, syntax_expected, "the end", "`for`");
    diag_note_to(x->l, d, "there are no comprehensions: use a `for` step");
    lex_stop(x);
    return;
  }
  lex_expected(x, "an operator or the end");
}

ast_expr *expr_parse_whole(lexer *x) {
  ast_expr *e = expr_parse(x);
  reject_rest(x);
  return x->failed ? NULL : e;
}
