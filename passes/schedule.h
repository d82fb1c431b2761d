// Schedules: from a fusion group to one kernel, reading the target description only. One file a kind of group; what
// they share is here: the loop nest of labels (nest), the splice of scalar DAGs into tiles (splice), and parameters.
#ifndef NNC_PASSES_SCHEDULE_H
#define NNC_PASSES_SCHEDULE_H

#include "ir/kir.h"
#include "passes/pass.h"
#include "passes/place.h"

typedef struct lower_param {
  const ir_value *value; // of the group's region: a parameter or a yield
  kir_buffer *buf;
} lower_param;

// A constant that lies in memory as panels of columns: what was [columns of all panels, inner] is [panels, inner,
// columns].
typedef struct lower_panels {
  const ir_value *value; // stands for it as a parameter of a kernel
  int64_t inner, columns;
} lower_panels;

// One group on its way to a kernel.
typedef struct lower_group {
  pass_context *c;
  ir_module *m;
  const ir_node *node; // the group
  const ir_region *region;
  domain dom;
  places place;
  form_ctx *form;
  kir_kernel *k;
  VEC(lower_param) params;  // in kernel parameter order
  VEC(const idx *) symbols; // what each fact of the kernel is, over the module's dims
  map *known;               // module index expression -> kernel index expression, for label-free ones
  int64_t (*fault_site)(void *user, op_code op, diag_span at); // registers a data-error site
  void *fault_user;
  // Weights for the contraction schedule: is this parameter constant, and if so take a packed copy instead.
  bool (*is_constant)(void *user, const ir_value *param);
  // Asks for `count` elements prepared by `pack` (a kernel with one input, `param`, and one output). Returns a fresh
  // value that stands for the packed buffer as a parameter of this kernel. `panels`: what the packed form is, when it
  // holds all of the constant, so that others can read it there; NULL when it is something else.
  const ir_value *(*pack)(void *user, struct lower_group *g, const ir_value *param, kir_kernel *pack, const idx *count,
                          const lower_panels *panels);
  // Does a constant lie in memory as panels only?
  bool (*panels)(void *user, const ir_value *param, lower_panels *out);
  // Is it a tensor of several alike, of which a constant picks one? Kernels for all of them are then the same: where
  // the one begins is a value that the plan supplies. May be NULL.
  bool (*is_stack)(void *user, const ir_value *v, kir_space space);
  void *user;
  const ir_value *parts; // of attention in two kernels: what the first leaves to the second; NULL where there is one
} lower_group;

bool schedule_elem(lower_group *g);
bool schedule_row(lower_group *g);
bool schedule_scan(lower_group *g);
bool schedule_contract(lower_group *g);
bool schedule_attention(lower_group *g);
bool schedule_attention_parts(lower_group *g); // the kernel before it, if there is to be one: then g->parts is set
// One store of the value of an `update` into the tensor, in place.
bool schedule_update(lower_group *g);

// Copies of memory that lowering asks for: all of a tensor; the elements that an update overwrites, put aside in
// `aside` or put back from it. The kernel's parameters are named by `from` and `to`, values without a definition or the
// group's.
bool schedule_copy(lower_group *g, const ir_value *from, const ir_value *to);
bool schedule_save(lower_group *g, const ir_value *aside);
bool schedule_restore(lower_group *g, const ir_value *aside);
// What stands around a yield that pads, whose inside the group's own kernel stores.
bool schedule_border(lower_group *g, const ir_value *padded);

// -- parameters and index translation --
kir_buffer *lower_in(lower_group *g, const ir_value *v);  // finds or adds an `in` parameter, flat
kir_buffer *lower_out(lower_group *g, const ir_value *v); // adds an `out` parameter, flat
const idx *lower_dim_expr(lower_group *g, const idx *e);  // an expression over dims only, in the kernel's context
const idx *lower_grid(lower_group *g, const char *prefix,
                      const idx *extent); // a new grid coordinate, or 0 where the extent is 1

// -- the nest: labels of the domain after merging --
enum {
  NEST_MAX_ROOTS = GROUP_MAX_NODES + 2 * GROUP_MAX_REDUCTIONS
}; // stores; reductions and their positions, or a contraction's operands
typedef struct nest_label {
  const sym *s; // module symbol that scalars and addresses mention
  const idx *extent;
  bool reduced;
} nest_label;

typedef struct nest {
  lower_group *g;
  uint32_t n_labels;
  nest_label label[IR_MAX_RANK * 2];
  uint32_t n_roots;
  const sx *root[NEST_MAX_ROOTS];         // scalars to compute
  const idx *store[NEST_MAX_ROOTS];       // flat address over labels, or NULL
  const ir_value *stored[NEST_MAX_ROOTS]; // where the elementwise schedule stores: a yield
} nest;

// The elementwise schedule of a nest whose roots are all stored.
bool schedule_stores(nest *n);

// Joins neighbouring labels wherever every address treats them as one contiguous run: fewer loops, longer vectors.
void nest_merge(nest *n);
// Joins labels i and i+1, whose extent is constant, all the same: addresses take the joined label apart by division.
void nest_join(nest *n, uint32_t i);
// How often label i is the unit-stride direction of an access; stores of the whole domain count double.
int nest_unit_score(const nest *n, uint32_t i);
// Does every load of the scalar that moves with the label step by one element?
bool nest_is_unit(lower_group *g, const sx *root, const sym *s);
// `at`, but never past the last of `extent`.
static inline const idx *idx_clamped(idx_ctx *c, const idx *at, const idx *extent) {
  return idx_min(c, at, idx_addi(c, extent, -1));
}
int64_t extent_hint(lower_group *g,
                    const idx *e); // a typical value: constants as they are, else a guess inside the range
int64_t extent_max(lower_group *g, const idx *e); // upper bound, INT64_MAX when unknown
bool nest_may_share(const nest *n, dtype extra);  // several workers, where its roots' dtypes and `extra` are computed
double nest_cost_per_element(const nest *n);      // nanoseconds of one element of the domain, roughly, for chunking

// -- splice: scalars to tiles --
typedef struct label_binding {
  const sym *label; // module symbol
  const idx *at;    // kernel expression, may mention r and c
} label_binding;

// Picks inside each other: fusion lets so many through (fuse_group.c). And two of the schedule's own.
enum { SPLICE_MAX_CONDS = 2 * GROUP_MAX_PICKS + 2 };

typedef struct splice {
  lower_group *g;
  kir_builder *b;
  uint32_t rows, cols; // r in 0..rows, c in 0..cols
  uint32_t n_bound;
  label_binding bound[IR_MAX_RANK * 2];
  const idx *row_tail, *col_tail; // conditions >= 0 that hold inside the domain, or NULL
  map *acc;                       // ir_value * -> kir_tile *: accumulators
  map *done;                      // sx * -> kir_tile *; NULL at first
  uint32_t n_conds;               // from picks
  const idx *cond[SPLICE_MAX_CONDS];
} splice;

void splice_bind(splice *s, const sym *label, const idx *at); // in place of what it was bound to
const idx *splice_index(splice *s, const idx *e);             // module index over labels and dims -> kernel index
kir_tile *splice_tile(splice *s, const sx *e);
void splice_prefetch(splice *s, const sx *e); // of a load
// A tile of rows x cols, or one row or column for all of them, that is 0 where `inside` < 0; NULL: nowhere.
kir_tile *splice_zero_behind(lower_group *g, kir_builder *b, kir_tile *t, uint32_t rows, uint32_t cols,
                             const idx *inside);
void splice_store(splice *s, const ir_value *yield, const idx *address, kir_tile *t);

// Batch labels on one grid axis, whose coordinate is taken apart by division, so that all but the first of them must
// have constant extents. Ordering puts those that share the axis first and returns how many; the rest become loops.
uint32_t nest_order_batch(uint32_t n, nest_label *batch);
void nest_bind_grid(splice *s, uint32_t n, const nest_label *batch); // adds the axis

// The kept labels of a nest: on the grid as far as there is room, the others in loops; a grid point has one tile of
// neighbouring columns of the vector label, if that is kept. What a grid point does is built at `b`. Sets the kernel's
// cost.
typedef struct nest_frame {
  kir_builder b;
  uint32_t n_loops;
  kir_stmt *loops[IR_MAX_RANK * 2];
} nest_frame;

void nest_enter(nest *n, splice *s, uint32_t vec, nest_frame *f);
void nest_leave(nest_frame *f);

// Loops over what is not in the grid: serial loops from `from` on, calling `body` inside. Binds labels in the splice.
typedef struct tile_shape {
  uint32_t cols; // elements of the vector label a tile holds
  bool exact;    // the extent is a multiple of cols: no masked remainder
} tile_shape;
tile_shape pick_cols(lower_group *g, const idx *extent);

#endif
