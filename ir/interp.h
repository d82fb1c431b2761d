// What the files of the graph interpreter (ir/interp*.c) share. Not for other rooms: they use interp_run of ir/graph.h.
//
// The interpreter is the judge of everything else, so it is naive: each operator is evaluated by a loop over its
// definition, in double or 64-bit integers, and each element is rounded once to its dtype. Values are reference-counted
// tensors in one list, so that memory is bounded by what is alive, and so that a failure at any point releases
// everything with the arena.
//
// Every evaluator returns false after a diagnostic; none trusts run-time shapes or indices.
#ifndef NNC_IR_INTERP_H
#define NNC_IR_INTERP_H

#include "ir/graph.h"

enum { INTERP_MAX_LABELS = 32, INTERP_MAX_DEPTH = 256 };

// A tensor owned by the run. `t` is first, so that an `ir_tensor *` made here can be turned back into its cell.
typedef struct interp_cell {
  ir_tensor t;
  struct interp_cell *prev, *next; // the run's list
  uint32_t refs;
  const ir_state *state; // the state of which this is a version, or NULL; carried through regions and updates
} interp_cell;

// One activation of a graph: what its dims and parameters are.
typedef struct interp_frame {
  ir_graph *graph;
  struct interp_frame *caller;
  ir_tensor *const *params; // [graph->body->n_params]; NULL: optional and not given
  int64_t *dim_value;       // [module->dims.n]
  bool *dim_bound;          // [module->dims.n]
} interp_frame;

typedef struct interp {
  arena *a;
  ir_module *m;
  diag_list *l;
  const interp_options *opt;
  interp_frame *frame;
  map *slots;         // ir_value * -> its tensor and its last use (ir/interp.c)
  map *work;          // ir_node * -> interp_work *
  map *prepared;      // graphs whose slots and work exist
  interp_cell *cells; // list of every live tensor
  ir_tensor **states; // [m->states.n]: newest version, NULL before the first use
  uint32_t depth;     // of nested regions
  const sym *unbound; // set when an index expression met an unbound dim
} interp;

// `in` is never written. Results with a declared shape are allocated before the call; those of control operators are
// set by it.
typedef bool (*interp_eval)(interp *it, const ir_node *n, ir_tensor *const *in, ir_tensor **out);

// -- tensors --
ir_tensor *interp_new(interp *it, dtype dt, uint32_t rank, const int64_t *dim); // one reference; elements not set
ir_tensor *interp_borrow(interp *it, const ir_tensor *t);                       // the same elements, not owned
ir_tensor *interp_retain(ir_tensor *t);
void interp_release(interp *it, ir_tensor *t);
// A working copy as f64, or as i64 for integers and bool.
ir_tensor *interp_widen(interp *it, const ir_tensor *t);
// Rounds the working tensor `wide` (f64 or i64) element by element into `out`.
void interp_narrow(const ir_tensor *wide, ir_tensor *out);

// -- running --
bool interp_region(interp *it, const ir_node *at, ir_region *r, uint32_t n_args, ir_tensor *const *args,
                   ir_tensor **yields);
bool interp_graph(interp *it, const ir_node *at, ir_graph *g, ir_tensor *const *args, ir_tensor **out);

// -- dims --
// Binds the frame's dims from the shapes of its parameters and from the options, and checks ranges, steps and the other
// dims.
bool interp_bind_dims(interp *it, const ir_node *call);
bool interp_bind_dim(interp *it, const ir_node *n, const sym *s, int64_t value); // anew; its range is checked
bool interp_index(interp *it, const ir_node *n, const idx *e, int64_t *out);     // evaluates over the frame's dims
bool interp_type_dims(interp *it, const ir_node *n, ir_type type, int64_t *dim); // dim[IR_MAX_RANK]; none is negative

// -- checks and errors --
#define interp_error(it, n, ...) (diag_at((it)->l, interp_span(n), __VA_ARGS__), false) // id, then its arguments
diag_span interp_span(const ir_node *n);                                                // n may be NULL
const char *interp_op_name(const ir_node *n);
bool interp_malformed(interp *it, const ir_node *n, const char *what); // an unverified graph: always false
// The tensor's dims are those given, else a diagnostic that names both.
bool interp_expect(interp *it, const ir_node *n, const ir_tensor *t, uint32_t rank, const int64_t *dim);
bool interp_same_shape(interp *it, const ir_node *n, const ir_tensor *a, const ir_tensor *b);
bool interp_in_range(interp *it, const ir_node *n, int64_t index, int64_t size); // 0 <= index < size, else a data error
// lo, lo+step, …: `count` indices, all in [0, size), else a data error.
bool interp_run_in_range(interp *it, const ir_node *n, int64_t lo, int64_t count, int64_t step, int64_t size);
bool interp_bounded(interp *it, const ir_node *n, int64_t v,
                    int64_t limit); // |v| <= limit, so that arithmetic on it is safe
bool interp_axis(interp *it, const ir_node *n, const char *key, uint32_t rank,
                 uint32_t *axis); // an attribute in [0, rank)

// -- elements --
static inline void *interp_at(const ir_tensor *t, int64_t i) { return (char *)t->data + (size_t)i * dtype_size(t->dt); }
static inline scalar interp_get(const ir_tensor *t, int64_t i) { return scalar_load(t->dt, interp_at(t, i)); }
static inline void interp_set(ir_tensor *t, int64_t i, scalar s) { scalar_store(interp_at(t, i), s); }
void interp_fill(ir_tensor *t, scalar s);
void interp_strides(uint32_t rank, const int64_t *dim, int64_t *stride); // row-major, in elements
bool interp_next(uint32_t rank, const int64_t *dim, int64_t *index);
// A tensor seen as [outer, n, inner] around one axis.
typedef struct interp_lines {
  int64_t outer, n, inner;
} interp_lines;
interp_lines interp_lines_of(const ir_tensor *t, uint32_t axis);
static inline int64_t interp_line_at(interp_lines x, int64_t outer, int64_t k, int64_t inner) {
  return (outer * x.n + k) * x.inner + inner;
}

// -- index maps (contract, windowed reduce, window) --
typedef struct interp_access {
  uint32_t rank;
  int64_t extent[IR_MAX_RANK], stride[IR_MAX_RANK], base[IR_MAX_RANK], exact_div[IR_MAX_RANK];
  int64_t coef[IR_MAX_RANK][INTERP_MAX_LABELS];
} interp_access;

typedef struct interp_map {
  uint32_t n_labels, n_out, n_reduced; // n_labels < INTERP_MAX_LABELS
  int64_t extent[INTERP_MAX_LABELS];
  uint32_t out[INTERP_MAX_LABELS];     // labels of the output's axes, in order
  uint32_t reduced[INTERP_MAX_LABELS]; // the other labels
  interp_access operand[2];
} interp_map;

// Evaluates the node's map for the operands at hand; checks them and the output's shape.
bool interp_map_bind(interp *it, const ir_node *n, ir_tensor *const *in, const ir_tensor *out, interp_map *im);
// The element that an operand gives for these labels; false where it reads outside, or a division is not exact.
bool interp_map_read(const interp_access *x, const int64_t *label, int64_t *offset, uint32_t n_labels);
// Steps the labels listed in `which` through their extents in row-major order; false after the last.
bool interp_map_next(const interp_map *im, uint32_t n, const uint32_t *which, int64_t *label);

// -- one evaluator an operator class, or an operator where a class shares no code --
#define EVALUATOR(name) bool interp_eval_##name(interp *it, const ir_node *n, ir_tensor *const *in, ir_tensor **out)
EVALUATOR(const);
EVALUATOR(input);
EVALUATOR(weight);
EVALUATOR(state);
EVALUATOR(iota);
EVALUATOR(elementwise);
EVALUATOR(reduce);
EVALUATOR(argreduce);
EVALUATOR(contract);
EVALUATOR(reshape);
EVALUATOR(transpose);
EVALUATOR(broadcast);
EVALUATOR(slice);
EVALUATOR(pad);
EVALUATOR(concat);
EVALUATOR(reverse);
EVALUATOR(window);
EVALUATOR(gather);
EVALUATOR(scatter);
EVALUATOR(interp);
EVALUATOR(scan);
EVALUATOR(linrec);
EVALUATOR(sort);
EVALUATOR(topk);
EVALUATOR(nms);
EVALUATOR(compact);
EVALUATOR(random);
EVALUATOR(inverse);
EVALUATOR(lu);
EVALUATOR(tri_solve);
EVALUATOR(if);
EVALUATOR(loop);
EVALUATOR(while);
EVALUATOR(call);
EVALUATOR(custom);
EVALUATOR(update);
EVALUATOR(check);
EVALUATOR(bind);
EVALUATOR(group);

#endif
