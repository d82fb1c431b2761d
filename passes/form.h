// The index form: the value of a node at a tuple of index polynomials, as an interned scalar DAG (graph-ir section 3).
//
// `form_at` looks through movement, elementwise operators, constants, iota and gather, and stops at what `form_stop`
// names: values stored in memory (a load) and the anchors of the group being lowered (an accumulator). Matching,
// fusion, views, masks and the splice into kernel IR are all questions asked of this form.
//
//   scalar := load %v[flat idx] | const | idx | op(scalar…) | pick(idx >= 0, scalar, scalar) | acc %v | guard(scalar;
//   idx >= 0…)
#ifndef NNC_PASSES_FORM_H
#define NNC_PASSES_FORM_H

#include "ir/graph.h"

typedef enum sx_kind { SX_load, SX_const, SX_index, SX_op, SX_pick, SX_acc, SX_guard } sx_kind;

typedef struct sx sx;
struct sx {
  sx_kind kind;
  dtype dt;
  uint32_t id; // creation order in its form context: equal scalars are the same pointer
  op_code op;  // SX_op; SX_guard: the operator whose index it is
  uint32_t n_in;
  const sx *in[3];       // SX_op; SX_pick: value if at >= 0, value otherwise
  const ir_value *value; // SX_load: what is read; SX_acc: which anchor
  const idx *at;         // SX_load: flat element index; SX_index: the index; SX_pick: the condition (>= 0)
  scalar imm;            // SX_const
  uint32_t n_guards; // SX_guard (in[0] at a computed place): conditions that hold when the raw index was out of range
  const idx *const *guards;
  diag_span span; // of the operator, for the data error
};

typedef enum form_stop { FORM_OPEN, FORM_LOAD, FORM_ACC } form_stop;

typedef struct form_ctx form_ctx;

// `classify` says where the walk stops for a value; FORM_OPEN looks through its node.
form_ctx *form_new(arena *a, ir_module *m, form_stop (*classify)(void *user, const ir_value *v), void *user);

// The value at `at` (one index per dim of v's type). NULL: something on the way has no index form (the caller's
// classify was wrong).
const sx *form_at(form_ctx *f, const ir_value *v, const idx *const *at);

// Scalars made by hand, folded and interned like those that walks make.
const sx *form_const(form_ctx *f, scalar v);
const sx *form_op(form_ctx *f, op_code op, dtype dt, uint32_t n, const sx *const *in);

// `update` as a store: the scalar that is written for element `at` of its value, guarded against starts that are out of
// range, and where in the tensor it goes. NULL: a start has no index form.
const sx *form_update(form_ctx *f, const ir_node *n, const idx *const *at, const idx **store_at);

// What is `narrow` before it is widened, or is so itself; NULL: neither.
const sx *form_narrow(const sx *e, dtype narrow);

// An index expression as a scalar.
const sx *form_index(form_ctx *f, const idx *at);

// When the walk meets an accumulator, its index tuple is checked by this (may be NULL): false makes form_at return
// NULL.
void form_check_acc(form_ctx *f, bool (*check)(void *user, const ir_value *v, const idx *const *at), void *user);

// Indices in memory of which `inside` (may be NULL) is true lie in 0..last: they are read without a guard.
void form_trust_index(form_ctx *f, bool (*inside)(void *user, const ir_value *v, const idx *last), void *user);

// Every symbol `from` replaced by `to` in all index expressions below.
const sx *form_subst(form_ctx *f, const sx *e, size_t n, const idx_binding *b);

// Visits every distinct scalar below `e`, operands first.
void form_walk(form_ctx *f, const sx *e, void (*visit)(void *user, const sx *e), void *user);

// Index arithmetic of movement, shared with fusion.
// The flat row-major index of `at` in dims `dim`.
const idx *index_flatten(ir_module *m, uint32_t rank, const idx *const *dim, const idx *const *at);
// Row-major re-indexing between two shapes with equal products: `at` over `from` becomes an index over `to`. Matching
// groups of dims with equal products are treated apart, so that untouched dims stay as they are.
void index_reshape(ir_module *m, uint32_t from_rank, const idx *const *from, const idx *const *at, uint32_t to_rank,
                   const idx *const *to, const idx **out);
// The next such group: dims [*f, f') and [*t, t'); moves both on.
void index_reshape_block(ir_module *m, uint32_t from_rank, const idx *const *from, uint32_t *f, uint32_t to_rank,
                         const idx *const *to, uint32_t *t);
// The operand index of a movement node's result index (reshape, transpose, broadcast, slice with constant start,
// reverse, windows that never miss); false for the others.
bool index_through(ir_module *m, const ir_node *n, const idx *const *at, const idx **operand_at);
// The result index from the operand index, where the movement is one-to-one (reshape, transpose); false for the others.
bool index_forward(ir_module *m, const ir_node *n, const idx *const *at, const idx **result_at);

// The same for what a group may store in a value's stead, which pads beside: the inside of the padded value.
bool index_stored(ir_module *m, const ir_node *n, const idx *const *at, const idx **result_at);

// The name under which index expressions read the elements of a value: "%12" for the value with id 12 (see ATOM_read).
const char *form_read_name(ir_module *m, const ir_value *v);
const ir_value *form_read_value(form_ctx *f, const char *name); // NULL if the context never made that name

#endif
