// The inside of the generator of random graphs: see random_graph.h.
#ifndef NNC_TESTS_OP_RANDOM_GEN_H
#define NNC_TESTS_OP_RANDOM_GEN_H

#include "op/random_graph.h"

// A value, and what is known of its elements.
typedef struct rv {
  ir_value *v;
  double lo, hi; // bounds of the finite elements of floats
  bool crisp;    // no operator has rounded it: all engines must agree on every bit
  bool nasty;    // may hold infinities and NaN: the bounds say nothing
} rv;

typedef struct gen {
  arena *a;
  ir_module *m;
  ir_graph *g;
  ir_builder b;
  uint64_t state;
  VEC(rv) pool;
  VEC(const idx *) symbols; // dims of this module
  int64_t big;              // elements that a value may have
  uint32_t n_names;
  uint32_t depth;         // bodies around the builder
  const uint32_t *weight; // of the steps, in this graph
  bool failed;            // an operator could not be built
} gen;

enum { GEN_MAX_RANK = 4 };

static inline bool chance(gen *g, uint32_t percent) { return random_below(&g->state, 100) < percent; }
static inline uint32_t below(gen *g, uint32_t n) { return random_below(&g->state, n); }

// Adds a value to the pool; NULL (an operator that could not be built) fails the generator.
void gen_push(gen *g, ir_value *v, double lo, double hi, bool crisp, bool nasty);
// A parameter, weight or constant: `kind` is the first letter of its name.
rv gen_leaf(gen *g, char kind, dtype dt, uint32_t rank, const idx *const *dim);
rv gen_leaf_of(gen *g, dtype dt, uint32_t rank, const idx *const *dim); // a kind that suits the dtype
const idx *gen_dim(gen *g);
// Some value for which `suits` holds, later ones more often; NULL when none was met.
const rv *gen_pick(gen *g, bool (*suits)(gen *g, const rv *x));
// A value of x's dtype that can be broadcast to x's dims, already broadcast: from the pool, or new.
rv gen_partner(gen *g, const rv *x, char kind);
ir_value *gen_broadcast(gen *g, ir_value *v, ir_type like);
ir_value *gen_transpose(gen *g, ir_value *v); // axes in random order
ir_value *gen_reverse(gen *g, ir_value *v);   // along some axes
int64_t gen_count(gen *g, ir_type t);         // elements when all dims are largest; INT64_MAX when unknown
int64_t gen_extent(gen *g, const idx *e, bool largest);

static inline bool gen_is_float(const rv *x) { return dtype_is_float(x->v->type.dt); }
static inline double gen_magnitude(const rv *x) { return x->hi > -x->lo ? x->hi : -x->lo; }

void gen_one_step(gen *g); // any, by weight

// -- one step each; false: nothing suited --
bool step_unary(gen *g);
bool step_binary(gen *g);
bool step_compare(gen *g);
bool step_logic(gen *g);
bool step_where(gen *g);
bool step_cast(gen *g);
bool step_reduce(gen *g);
bool step_contract(gen *g);
bool step_convolve(gen *g);
bool step_pool(gen *g);
bool step_reshape(gen *g);
bool step_transpose(gen *g);
bool step_broadcast(gen *g);
bool step_slice(gen *g);
bool step_concat(gen *g);
bool step_pad(gen *g);
bool step_reverse(gen *g);
bool step_gather(gen *g);
bool step_scatter(gen *g);
bool step_interp(gen *g);
bool step_topk(gen *g);
bool step_select(gen *g);
bool step_iota(gen *g);
bool step_leaf(gen *g);
bool step_loop(gen *g); // with steps in the body
bool step_branch(gen *g);
// Chains that models are made of.
bool step_softmax(gen *g);
bool step_norm(gen *g);
bool step_attention(gen *g);
bool step_linear(gen *g); // bias, activation, residual

#endif
