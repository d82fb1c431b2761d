// Attention by structure: a contraction whose operand is made of the scores, another contraction, however it is written
// (graph-ir section 5).
//
//   scores = Σ_depth q · k        weights = f(scores)        out = Σ_key weights · v
//
// f is a softmax over the keys, or an elementwise function, perhaps with the sum of weights as divisor. The match is
// asked of the index form, so that layouts, reshapes, broadcasts of heads and the place of scales and masks make no
// difference. Fusion asks which nodes belong to it (fuse_attention.c); the schedule asks the same question of the
// group's region and gets the scalars to compute (schedule_attention.c).
#ifndef NNC_PASSES_ATTENTION_H
#define NNC_PASSES_ATTENTION_H

#include "passes/place.h"

enum { ATTENTION_MAX_FACTS = 4, ATTENTION_MAX_WIDTH = 512, ATTENTION_MAX_CONE = 64 };

typedef enum attention_kind {
  ATTENTION_softmax, // weights = exp(score) / Σ_key exp(score)
  ATTENTION_plain,   // weights = score, any function of the dot product
  ATTENTION_linear   // the same, a product of dot, factors of key or query, and facts: sums may be taken in the other
                     // order
} attention_kind;

typedef struct attention {
  attention_kind kind;
  const ir_node *dot, *mix, *with; // the two contractions; the product or quotient after mix, if it belongs to it
  const sym *key, *depth;          // reduced labels of mix and dot; their extents
  const idx *keys, *depths;        //
  const sx *q, *k, *v;             // operands: over the labels of mix's result, depth, key
  const sx *score;                 // over those labels and key; reads dot by SX_acc
  const sx *columns;               // softmax: a factor besides; linear: all of score but dot and masks. NULL: none
  const sx *rows;                  // factor of each row; NULL: none
  const ir_value *sum;  // read by what comes after: softmax: Σ_key exp(score), and mix is not normalised; otherwise
  const sx *sum_factor; // sum_factor (NULL: 1) · Σ_key score. NULL: nobody reads it
  bool empty_is_zero;   // softmax: a row that sees no key gives 0; else NaN, as 0 / 0
  uint32_t n_facts;     // the weight is 0 unless fact >= 0: affine in key with coefficient 1 or -1
  const idx *fact[ATTENTION_MAX_FACTS];
} attention;

// What lies between the two contractions: every node that depends on dot and that mix, or the product or quotient after
// it, depends on; in no order.
typedef struct attention_cone {
  const ir_node *dot, *mix, *after; // after: what may normalise mix, or NULL
  bool has_exp;
  uint32_t n;
  const ir_node *node[ATTENTION_MAX_CONE]; // without dot, mix and after
} attention_cone;

// Candidates for a mix: for each contraction under one of its operands, seen through elementwise operators, movement
// and reductions. Calls `each` until it returns true; returns what the last call did.
bool attention_cones(arena *a, const ir_node *mix, const ir_node *after,
                     bool (*each)(void *user, const attention_cone *c), void *user);

// What may normalise mix: the product or quotient with it that is its only reader.
bool attention_is_after(const ir_node *mix, const ir_node *reader);

bool attention_in_cone(const attention_cone *c, const ir_node *n); // dot and mix included

// Matches with `f`, whose classify opens the cone's elementwise operators and movement and makes its reductions and
// contractions accumulators. `at` is the place of mix's result. On failure *why is a short reason, or NULL when it does
// not look like a softmax at all.
bool attention_match(form_ctx *f, arena *a, ir_module *m, const attention_cone *c, const idx *const *at, attention *out,
                     const char **why);

// Has the schedule room for it? Otherwise *why may say what it lacks (NULL: there is no matrix to avoid).
bool attention_fits(form_ctx *f, const attention *a, const domain *d, const char **why);

#endif
