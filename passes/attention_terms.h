// What the matchers of attention share: a softmax (attention_match.c) and weights without one (attention_plain.c) are
// both products and sums of scalars over the index form, taken apart.
#ifndef NNC_PASSES_ATTENTION_TERMS_H
#define NNC_PASSES_ATTENTION_TERMS_H

#include "passes/attention.h"

enum { MAX_TERMS = 16 };

typedef struct term { // a factor or an addend
  const sx *e;
  bool inverse; // divides, or is subtracted
} term;

typedef struct terms {
  uint32_t n;
  term at[MAX_TERMS];
  bool overflow;
} terms;

typedef struct matcher {
  form_ctx *f;
  arena *a;
  ir_module *m;
  const attention_cone *c;
  attention *out;
  map *places;         // accumulator -> where it is read: const idx *[rank]
  const ir_value *top; // a row maximum that is -inf where weights are taken as 0; it must be that of the scores
} matcher;

// -- properties of scalars --
bool term_has_dot(const matcher *x, const sx *e);
bool term_depends(const matcher *x, const sx *e); // on the key
bool term_mentions(const matcher *x, const sx *e, const sym *label);
bool term_is_op(const sx *e, op_code op);
bool term_is_const(const sx *e, double v);
const sx *term_uncast(const sx *e); // through casts between floats: accumulation is f32 here
bool term_reads_reduction(const sx *e, op_code op);
bool term_reads_only(const matcher *x, const sx *e, const ir_value *other); // no accumulator but dot and `other`

// -- products and sums taken apart, and put together again --
void term_factors(terms *t, const sx *e, bool inverse);
void term_addends(terms *t, const sx *e, bool negative);
bool term_same(const terms *a, const terms *b, uint32_t skipped); // as sets, without a's term `skipped`
terms term_over_keys(const matcher *x, const terms *t);           // those that depend on the key
const sx *term_product(matcher *x, const sx *so_far, term t);     // so_far NULL: 1

// What a reduction over the keys reduces, at the key and where its result is read; NULL for other reductions.
const sx *term_reduced(matcher *x, const ir_value *v);

// Adds to the facts what holds wherever the condition is `wanted`. Conditions that say nothing about indices add
// nothing; false: the facts added do not imply the condition.
bool term_conjuncts(matcher *x, const sx *cond, bool wanted);

bool match_fails(const char **why, const char *reason); // keeps the first reason; false

// From the weights to out->score and what goes with it, operands being known: with a softmax (*why: the first reason
// why not, if it looks like one); without one.
bool match_softmax(matcher *x, const sx *weights, const char **why);
bool match_plain(matcher *x, const sx *weights);

#endif
