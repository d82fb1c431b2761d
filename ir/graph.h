// Graph IR: SSA over tensors. A module holds dims, weights, states and graphs (one an entry); a graph is a region with
// parameters and named outputs. Nodes are immutable once built; passes rebuild a graph into a new one of the same
// module. Text form: docs/graph-ir.md; `graph_print` and `graph_parse` round-trip exactly.
//
// Memory: everything lives in the module's arena. Thread rule: one thread at a time.
#ifndef NNC_IR_GRAPH_H
#define NNC_IR_GRAPH_H

#include "base/map.h"
#include "ir/dtype.h"
#include "ir/index.h"
#include "ir/op.h"

enum { IR_MAX_RANK = 12 };

typedef struct ir_type {
  dtype dt;
  uint32_t rank;
  const idx *const *dim; // [rank]
} ir_type;

typedef struct ir_node ir_node;
typedef struct ir_region ir_region;
typedef struct ir_graph ir_graph;
typedef struct ir_module ir_module;

typedef struct ir_value {
  ir_node *def;        // NULL for a region parameter
  ir_region *param_of; // the region whose parameter it is, else NULL
  uint32_t index;      // which result or parameter
  uint32_t id;         // unique in the module, creation order; printing renumbers
  ir_type type;
} ir_value;

typedef enum attr_kind {
  ATTR_int,
  ATTR_float,
  ATTR_str,
  ATTR_idx,
  ATTR_dtype,
  ATTR_ints,
  ATTR_floats,
  ATTR_idxs
} attr_kind;

typedef struct ir_attr {
  const char *key; // interned
  attr_kind kind;
  union {
    int64_t i;     // ATTR_int; also a bool
    double f;      // ATTR_float
    const char *s; // ATTR_str, interned
    const idx *x;  // ATTR_idx
    dtype dt;      // ATTR_dtype
    struct {
      const int64_t *at;
      size_t n;
    } is; // ATTR_ints
    struct {
      const double *at;
      size_t n;
    } fs; // ATTR_floats
    struct {
      const idx *const *at;
      size_t n;
    } xs; // ATTR_idxs (a list of plain integers is ATTR_ints; readers below accept both)
  } v;
} ir_attr;

typedef struct ir_spans {
  uint32_t n;
  const diag_span *at; // every YAML place that made this node (hash-consing merges nodes, never their spans)
} ir_spans;

struct ir_node {
  op_code op;
  uint32_t n_in, n_out, n_attrs, n_regions;
  ir_value **in;        // [n_in]
  ir_value *out;        // [n_out]
  const ir_attr *attrs; // sorted by key
  ir_region **regions;  // [n_regions]
  const char *scope;    // interned path such as "encoder.0.attention", "" at top
  ir_spans spans;
  ir_node *next; // in its region, topological order
  ir_region *parent;
};

struct ir_region {
  ir_graph *graph;
  ir_region *outer; // NULL for a graph's body
  uint32_t n_params, n_yields;
  ir_value *params;  // [n_params]
  ir_value **yields; // [n_yields]: graph outputs, or what the region gives
  ir_node *first, *last;
  uint32_t n_nodes;
};

struct ir_graph {
  const char *name; // entry name, interned
  ir_module *module;
  const char **param_names;      // [body->n_params], interned
  const scalar **param_defaults; // [n_params]: default value of an optional input (scalar, broadcast), or NULL
  const char **output_names;     // [body->n_yields], interned
  ir_region *body;
};

typedef struct ir_dim {
  sym *symbol;
  int64_t lo, hi, step; // declared range of the dim itself (64..1024 step 8); hi is the largest value when symbol->hi
                        // is an expression
  diag_span span;
} ir_dim;

typedef struct ir_weight {
  const char *name;  // full name, interned
  ir_type type;      // constant dims
  const char *init;  // "zeros" "ones" "normal" "orthogonal", or NULL for the layer's own default
  double init_scale; // standard deviation for "normal"
  const void *data;  // row-major elements once weights are bound, else NULL; borrowed for the module's life
  bool mapped;       // `data` lies in a file's read-only mapping: its pages can be dropped and come back
  bool is_buffer;    // running statistics: not counted as a parameter
  diag_span span;    // the first use
} ir_weight;

typedef struct ir_state {
  const char *name;
  ir_type type;
  scalar init;
  diag_span span;
} ir_state;

struct ir_module {
  arena *a;
  interner *names;
  idx_ctx *ix;
  diag_list *diags;
  const char *name;
  VEC(ir_dim *) dims;
  VEC(ir_weight *) weights; // first-use order
  VEC(ir_state *) states;
  VEC(ir_graph *) graphs;
  map *weight_by_name; // name -> ir_weight *
  map *node_maps;      // ir_node * -> its parsed ir_map: labels are unique to a node
  map *node_elems;     // const ir_node * -> its elements, once asked for
  uint32_t next_value_id;
};

ir_module *ir_module_new(arena *a, diag_list *l, const char *name);
ir_dim *ir_dim_add(ir_module *m, const char *name, int64_t lo, int64_t hi, int64_t step,
                   diag_span at); // sets the symbol's bounds
ir_weight *ir_weight_add(ir_module *m, const char *name, ir_type type,
                         diag_span at); // finds by name first (type is not compared)
ir_weight *ir_weight_find(const ir_module *m, const char *name);
ir_state *ir_state_add(ir_module *m, const char *name, ir_type type, scalar init, diag_span at);
ir_graph *ir_graph_find(const ir_module *m, const char *name);
// Takes a graph out of the module's list and puts `with` in its place (passes rebuild).
void ir_graph_replace(ir_module *m, ir_graph *old, ir_graph *with);

// -- types --
ir_type ir_type_make(ir_module *m, dtype dt, uint32_t rank, const idx *const *dim);
ir_type ir_type_ints(ir_module *m, dtype dt, uint32_t rank, const int64_t *dim);
bool ir_type_equal(ir_type a, ir_type b);          // same dtype, same dim pointers
const idx *ir_type_count(ir_module *m, ir_type t); // number of elements
bool ir_type_fits(
    ir_type t); // its constant dims, empty ones left out, multiply to at most 2^56: sizes in bytes are 64-bit numbers
void ir_type_print(strbuf *b, ir_type t); // f32[batch,seq,768]

// -- building --
// A builder appends to one region, hash-consing pure nodes. `scope` and `span` are given to what is built next.
typedef struct ir_builder {
  ir_module *m;
  ir_region *region;
  const char *scope;
  ir_spans spans;
  map *cse;    // by structural key; owned; NULL: equal nodes are not merged
  map *checks; // conditions (const idx *) already guarded by a `check` of this builder
} ir_builder;

ir_graph *ir_graph_new(ir_module *m, const char *name, bool add_to_module);
ir_region *ir_region_new(ir_graph *g, ir_region *outer,
                         uint32_t max_params); // parameters are added by ir_region_param, up to max_params
ir_value *ir_region_param(ir_region *r, ir_type type);
ir_value *ir_graph_param(ir_graph *g, const char *name, ir_type type, const scalar *dflt); // at most 256 parameters
void ir_graph_output(ir_graph *g, const char *name, ir_value *v);
void ir_region_yield(ir_region *r, uint32_t n, ir_value *const *v);
void ir_builder_init(ir_builder *b, ir_module *m, ir_region *r);
// For a region inside what `outer` has built so far: what that has checked need not be checked again.
void ir_builder_init_inner(ir_builder *b, const ir_builder *outer, ir_region *r);

// Infers result types by the operator's shape rule and appends, or returns the equal node. `attrs` need not be sorted;
// they are copied. NULL: the operands do not fit; a diagnostic at b->spans was added. `declared` gives result types
// where the rule is `declared` or `control`/`call`/`custom` (n_out of them), else NULL.
ir_node *ir_build(ir_builder *b, op_code op, uint32_t n_in, ir_value *const *in, uint32_t n_attrs, const ir_attr *attrs,
                  uint32_t n_out, const ir_type *declared, uint32_t n_regions, ir_region *const *regions);

// Short forms: each returns the (first) result, or NULL after a diagnostic.
ir_value *ir_unary(ir_builder *b, op_code op, ir_value *x);
ir_value *ir_binary(ir_builder *b, op_code op, ir_value *x, ir_value *y); // operand types must be equal
ir_value *ir_where(ir_builder *b, ir_value *c, ir_value *x, ir_value *y);
ir_value *ir_cast(ir_builder *b, ir_value *x, dtype to); // x itself when it has the dtype
ir_value *ir_const_scalar(ir_builder *b, scalar s, uint32_t rank, const idx *const *dim); // one value for all elements
ir_value *ir_const_data(ir_builder *b, ir_type t, const void *data);                      // copies; constant dims
ir_value *ir_weight_ref(ir_builder *b, const ir_weight *w);
ir_value *ir_iota(ir_builder *b, uint32_t rank, const idx *const *dim, uint32_t axis);
ir_value *ir_reduce(ir_builder *b, op_code op, ir_value *x, size_t n_axes, const int64_t *axes);
ir_value *ir_contract(ir_builder *b, ir_value *x, ir_value *y, const char *labels);
ir_value *ir_reshape(ir_builder *b, ir_value *x, uint32_t rank, const idx *const *dim);
ir_value *ir_transpose(ir_builder *b, ir_value *x, const int64_t *perm);
ir_value *ir_broadcast(ir_builder *b, ir_value *x, uint32_t rank, const idx *const *dim); // x itself when equal
ir_value *ir_slice(ir_builder *b, ir_value *x, uint32_t axis, const idx *lo, const idx *size, int64_t step);
ir_value *ir_pad(ir_builder *b, ir_value *x, const idx *const *lo, const idx *const *hi, scalar value);
ir_value *ir_concat(ir_builder *b, uint32_t n, ir_value *const *x, uint32_t axis);
ir_value *ir_gather(ir_builder *b, ir_value *x, ir_value *index, uint32_t axis, uint32_t batch);

// Attribute constructors.
ir_attr attr_int(ir_module *m, const char *key, int64_t v);
ir_attr attr_float(ir_module *m, const char *key, double v);
ir_attr attr_str(ir_module *m, const char *key, const char *v);
ir_attr attr_idx(ir_module *m, const char *key, const idx *v);
ir_attr attr_dtype(ir_module *m, const char *key, dtype v);
ir_attr attr_ints(ir_module *m, const char *key, size_t n, const int64_t *v);
ir_attr attr_floats(ir_module *m, const char *key, size_t n, const double *v);
ir_attr attr_idxs(ir_module *m, const char *key, size_t n, const idx *const *v);

// -- reading --
const ir_attr *ir_attr_find(const ir_node *n, const char *key);
int64_t ir_attr_int(const ir_node *n, const char *key, int64_t otherwise);
const char *ir_attr_str(const ir_node *n, const char *key, const char *otherwise);
scalar ir_attr_scalar(const ir_node *n, const char *key, dtype dt, double otherwise);          // a number, as one of dt
const idx *ir_attr_idx(ir_module *m, const ir_node *n, const char *key, const idx *otherwise); // accepts ATTR_int
size_t ir_attr_idxs(ir_module *m, const ir_node *n, const char *key,
                    const idx *const **out); // accepts ATTR_ints; 0 when absent
size_t ir_attr_ints(const ir_node *n, const char *key, const int64_t **out);
// Constant nodes: true and the scalar when every element is the same value.
bool ir_is_splat(const ir_value *v, scalar *out);
// Constant nodes with constant dims: the elements in row-major order (materialised in the arena on demand), else NULL.
const void *ir_const_elems(ir_module *m, const ir_value *v);

// -- copying: rebuild passes --
// Copies one node into a builder with operands given; attributes, scope and spans are kept. Regions are copied with
// `values` (old ir_value * -> new ir_value *), which must already hold every outer value they use; the results are put
// into it. NULL after a diagnostic.
ir_node *ir_copy_node(ir_builder *b, const ir_node *n, ir_value *const *in, map *values);
// A new graph with the same name, parameters and outputs, into which `f` copies each node in order. f maps n's results
// in `values`; the default (f returns false) is a plain copy. Nodes in the regions of loops and branches meet `f` too,
// those of groups do not.
ir_graph *ir_rebuild(ir_graph *g, bool (*f)(void *user, ir_builder *b, const ir_node *n, map *values), void *user);

// -- text --
void graph_print(strbuf *b, const ir_module *m, bool spans); // the whole module
void graph_print_one(strbuf *b, const ir_graph *g, bool spans);
// Parses a module. NULL after diagnostics. `file` is an index from diag_add_file; its text is parsed.
ir_module *graph_parse(arena *a, diag_list *l, uint32_t file);

// -- verification: every rule of docs/graph-ir.md; adds diagnostics (ids graph_*), returns true when sound --
bool graph_verify(const ir_module *m);

// -- contraction and window maps --
//   "b m k, b n k -> b m n"      "n c (y*2+ky-1) (x+kx), o c ky kx -> n o y x; y = height//2, x = width-2"
// An operand axis is a label, an affine sum of labels in parentheses, or (sum)/d: reads 0 unless d divides the sum. A
// label that stands alone on some axis takes that axis' extent; the others' extents follow the `;` as  label = idx over
// dims.
typedef struct ir_label {
  const char *name;  // interned
  const sym *symbol; // a symbol of the module's idx_ctx, unique to this map, bounds 0 .. extent-1
  const idx *extent;
  bool in_out; // occurs in the output: not reduced
} ir_label;

typedef struct ir_axis {
  const idx *at;     // over label symbols: the index along this axis
  int64_t exact_div; // 1, or d: reads 0 unless `at` is divisible by d, and then at/d ("transposed" convolution maps)
  bool may_miss;     // the index may fall outside the operand (windows): reads there give 0 (or `else`)
} ir_axis;

typedef struct ir_map {
  uint32_t n_labels, n_operands;
  ir_label *labels; // in order of first appearance
  struct {
    uint32_t rank;
    ir_axis *axes;
  } operand[2];
  uint32_t out_rank;
  uint32_t *out_label; // [out_rank]: index into labels
} ir_map;

// Parses the map of a contract, windowed reduce or window node against its operands' types; NULL after a diagnostic.
const ir_map *ir_map_parse(ir_module *m, const char *text, uint32_t n_operands, const ir_type *types, diag_span at);
const ir_map *ir_map_of(ir_module *m, const ir_node *n);
// Is the axis a window: a sum with a label in it that is reduced?
bool ir_axis_slides(uint32_t n_labels, const ir_label *labels, const ir_axis *axis);

// -- the interpreter: naive, double accumulation, the judge of everything --
typedef struct ir_tensor {
  dtype dt;
  uint32_t rank;
  int64_t dim[IR_MAX_RANK];
  void *data; // row-major
} ir_tensor;

int64_t ir_tensor_count(const ir_tensor *t);
ir_tensor *ir_tensor_new(arena *a, dtype dt, uint32_t rank, const int64_t *dim);

// Evaluates one graph. `in` in parameter order, NULL for an optional input that takes its default; `out` receives one
// tensor per output, allocated in `a`. false after a diagnostic in the module's list. Dims are bound from the inputs'
// shapes, and checked. `watch` (may be NULL) is called with every value, in order: parameters of
// graphs and regions (`def` NULL) as they are bound, and results as they are computed.
typedef struct interp_options {
  void (*watch)(void *user, const ir_value *v, const ir_tensor *t);
  void *user;
  size_t n_dims; // extra bindings for dims that no input binds
  const char *const *dim_names;
  const int64_t *dim_values;
  ir_tensor **states; // NULL, or one per state of the module: its value before the run (NULL: its initial value),
                      // replaced by its value after a run that succeeds
  // Calls a custom operator: fills `out`, whose shapes are set. false after a diagnostic. NULL: custom operators are
  // errors.
  bool (*custom)(void *custom_user, const ir_node *n, const ir_tensor *const *in, ir_tensor *const *out);
  void *custom_user;
} interp_options;
bool interp_run(arena *a, ir_graph *g, const ir_tensor *const *in, ir_tensor **out, const interp_options *opt);

// One elementwise operator on scalars (operands already of the operator's dtype); used by the interpreters and by
// constant folding.
scalar op_eval_scalar(op_code op, const scalar *in, dtype out);
uint32_t op_random_bits(uint64_t index, uint32_t seed); // 23 bits: Philox, see ir/scalar.c

#endif
