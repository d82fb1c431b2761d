// The syntax tree as one line of text with the span of every node, for tests that compare it to the letter.
#ifndef NNC_TESTS_UNIT_SYNTAX_DUMP_H
#define NNC_TESTS_UNIT_SYNTAX_DUMP_H

#include "frontend/ast.h"

// Offsets are printed from `base` on. A node is  what[begin,end)  then !begin,end for an operator or callee span that
// is not the node's, then its children in parentheses.
void dump_expr(strbuf *out, const ast_expr *e, uint32_t base);
void dump_steps(strbuf *out, const ast_steps *steps, uint32_t base);

#endif
