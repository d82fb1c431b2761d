// The rewrite engine: patterns of passes/rules.def matched bottom-up while a graph is rebuilt. Each rule lowers the
// measure named in its row, and a node is rewritten at most RULES_MAX_TRIES times, so rewriting ends.
#ifndef NNC_PASSES_RULES_H
#define NNC_PASSES_RULES_H

#include "ir/graph.h"

enum { RULES_MAX_TRIES = 6, RULE_MAX_VARS = 4 };

typedef enum rule_term_kind { RT_VAR, RT_CONST_VAR, RT_NUMBER, RT_OP, RT_INVERSE } rule_term_kind;

typedef struct rule_term rule_term;
struct rule_term {
  rule_term_kind kind;
  uint32_t var; // RT_VAR, RT_CONST_VAR, RT_INVERSE
  double number;
  op_code op;
  uint32_t n;
  const rule_term *arg[3];
};

typedef enum rule_mark { RULE_exact, RULE_numeric } rule_mark;
typedef enum rule_dtypes { RULE_any, RULE_float, RULE_int, RULE_signed, RULE_bool } rule_dtypes;

typedef struct rule {
  const char *name, *text;
  rule_mark mark;
  rule_dtypes dtypes;
  const rule_term *left, *right;
  bool pow2; // ?c must be a power of two with a normal reciprocal
  uint32_t n_vars;
  bool is_const[RULE_MAX_VARS];
} rule;

typedef struct rule_set {
  VEC(rule) rules;
} rule_set;

rule_set *rules_parse(arena *a, diag_list *l); // a broken row is an internal error
// The value that `v` becomes, by at most RULES_MAX_TRIES rewrites; `v` itself when no rule matches. New nodes get v's
// scope and spans. Names of numeric rules that fired go to `explain` (may be NULL).
ir_value *rules_apply(const rule_set *s, ir_builder *b, ir_value *v, strbuf *explain);
// Builds one side of a rule over given values: for tests. `like` gives shape and dtype of numbers.
ir_value *rules_build(ir_builder *b, const rule_term *t, ir_value *const *vars, ir_type like);

#endif
