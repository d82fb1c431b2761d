// The grammar of the scalars that are more than an expression: step keys, block headers, types, dims, signatures.
//
// Each function reads one whole scalar from the lexer and returns false after a report. Thread rule: as the arena's.
#ifndef NNC_FRONTEND_GRAMMAR_H
#define NNC_FRONTEND_GRAMMAR_H

#include "frontend/expr.h"

typedef enum step_word { STEP_plain, STEP_elif, STEP_else } step_word;

// The key of a step: kind, names, scope, expr (the iterable or condition), limit and target of `s` are set.
// *word tells the two keys that continue an `if` or `when`; of those, `s->expr` is the condition of `elif`.
bool grammar_step_key(lexer *x, ast_step *s, step_word *word);
bool grammar_block_header(lexer *x, ast_block *b);   // name(a, b=1)
bool grammar_type(lexer *x, ast_type *t);            // f32[batch, 3] = 0
bool grammar_dim(lexer *x, ast_dim *d);              // 1..64 step 8
bool grammar_signature(lexer *x, ast_custom_op *op); // (f32[n] x, i32 k=1) -> f32[n]

#endif
