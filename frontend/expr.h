// The expression grammar: tokens to ast_expr, with a span on every node.
//
// Each function reads from `x->now` on. NULL (or false) means that a mistake was reported; the lexer then stands at the
// end and stays silent, so callers may go on asking. Thread rule: as the arena's.
#ifndef NNC_FRONTEND_EXPR_H
#define NNC_FRONTEND_EXPR_H

#include "frontend/ast.h"
#include "frontend/lex.h"

ast_expr *expr_parse(lexer *x);       // one expression; what follows is the caller's
ast_expr *expr_parse_whole(lexer *x); // one expression and nothing after it
// `name[index, ...]` with the index already ahead: the target of `update`.
ast_expr *expr_parse_index(lexer *x, ast_expr *of);
ast_expr *expr_new(lexer *x, ast_expr_kind kind, diag_span span);

#endif
