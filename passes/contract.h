// The contraction schedule's own state, shared by its files: schedule_contract.c (loops), contract_shape.c (labels,
// tiles), contract_pack.c (where the column operand comes from), contract_narrow.c (products of narrow values),
// contract_matrix.c (those in matrix registers) and contract_fetch.c (what memory is asked for ahead).
#ifndef NNC_PASSES_CONTRACT_H
#define NNC_PASSES_CONTRACT_H

#include "passes/schedule.h"

enum { KC = 256, MAX_OUTER = 12, MAX_LEAVES = 4, MAX_EACH = 8 };

// A constant that the column operand is made of, packed by `prepare` in the order in which the kernel reads it.
typedef struct contract_leaf {
  const sx *load;
  const ir_value *packed;
  kir_buffer *buf; // of the kernel
} contract_leaf;

typedef struct contract {
  lower_group *g;
  nest n; // roots: 0 = A, 1 = B, then the yields
  const ir_value *anchor;
  const sym *row, *col;                // module labels, NULL when there is none
  bool lanes;                          // the column label is A's as well (depthwise): products lane by lane
  const idx *m, *nn;                   // extents of row and column labels (module), 1 when absent
  uint32_t n_k, n_batch, n_grid_batch; // the first n_grid_batch of `batch` share a grid axis
  nest_label k[MAX_OUTER], batch[MAX_OUTER];
  int64_t n_each;      // > 1: the last reduced label has so few values that each is a step of its own, not a loop's
  uint32_t rows, cols; // the register tile
  uint32_t mc;         // rows of a block
  uint32_t n_leaves;   // of a constant B; 0: it is not packed beforehand
  contract_leaf leaf[MAX_LEAVES];
  kir_buffer *panel, *partial; // of B packed here, or widened here for many rows
  int64_t chunk; // values of the first reduced label that the panel holds, or that a packed B is read at a time
  bool chunked;  // a chunk of them at a time: partial sums go through scratch
  dtype acc_dt;
  uint32_t side;      // > 1: so many narrow values of the last reduced label are multiplied at once, and lie side by
                      // side for each column of the packed B
  kir_buffer *staged; // rows of A for matrix registers; NULL: products are made in vectors
  bool few_rows;      // and it is from there that they are read
} contract;

// A factor of B that loops further inside leave as it is, and its tile once it is made.
typedef struct contract_factor {
  const sx *of, *rest; // rest: the other factor; NULL: there is none
  kir_tile *tile;
} contract_factor;

typedef struct contract_block { // kernel expressions of the block being computed
  const idx *m0, *me;           // rows [m0, me)
  const idx *panel, *j;         // the column panel and its first column
  const idx *m, *nn;            // extents
} contract_block;

typedef struct contract_next { // what each tile asks for of the chunk that comes next
  const idx *lines;            // NULL: nothing
  int64_t per_line;            // elements
} contract_next;

bool contract_label_in(const sx *root, const sym *s);            // does an operand depend on a label?
const idx *contract_label_at(const splice *s, const sym *label); // a label's binding, NULL if it has none
bool contract_is_constant(const contract *x, const sx *root);    // made of constants alone, and of at least one
uint32_t contract_loops(const contract *x);                      // reduced labels that are loops
// The factor of `b` that the reduced labels from `depth` on leave as it is; `rest` is NULL when there is none.
contract_factor contract_find_factor(const contract *x, const sx *b, uint32_t depth);
// A scalar where the last reduced label has its value `which`; as it is where that label is a loop's.
const sx *contract_each(const contract *x, const sx *e, int64_t which);
// Decides where B's operand comes from: packed by `prepare`, as it lies, or packed here a chunk at a time, with partial
// sums in scratch.
void contract_choose_operand(contract *x);
// The group for which a constant's packing kernel is built: that of `g` with a kernel of its own.
lower_group contract_pack_group(const lower_group *g, const char *name);
// A constant B is packed, once, in panels of x->cols columns: its leaves. false: it stays where it lies.
bool contract_prepack(contract *x);
// Does a label lie side by side in all that an operand loads over it?
bool contract_is_unit(const contract *x, const sx *root, const sym *s);
bool contract_lies_along(const contract *x, const sx *root, const sym *s); // and does it load over it at all?
void contract_epilogue(contract *x, const splice *outer, kir_builder *b, kir_tile *acc); // and the stores
// The schedule for workers that share scratch (contract_group.c), once labels are classed. false: not for this one.
bool schedule_contract_group(contract *x);
double contract_panel_bytes(const contract *x); // of a packed B's constants, for one panel of columns
// The product of the constant extents of the reduced labels from `first` on.
int64_t contract_extent(const contract *x, uint32_t first);
// The place of an element in a leaf's packed form, whose labels are bound in `s`: column `c_at` of a panel. Where
// values lie side by side the last reduced label is bound to a multiple of x->side, and `c_at` runs over them too.
const idx *contract_packed_index(contract *x, splice *s, const sx *leaf, const idx *panel, const idx *c_at);
// Adds the tiles of the packed constants that `of` is made of to those that `s` knows.
void contract_load_leaves(contract *x, splice *s, const idx *panel, const sx *of);
// The panel's row for labels bound in `s`; `lo`: the first value of the first label in it.
const idx *contract_panel_row(contract *x, const splice *s, const idx *lo, int64_t which);
// Packs B's columns j.. for values [lo, hi) of the first reduced label into the panel, with the operand's prologue
// applied.
void contract_pack_panel(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *lo,
                         const idx *hi);

// -- contract_few.c --
// A product of few rows by a group of workers: of a block of columns that is x->cols wide each group has a part.
typedef struct contract_few {
  int64_t most;          // rows; 0: there are always more
  bool alone;            // there never are
  bool along_k;          // B's reduced label lies side by side, not its columns
  uint32_t n_k, n_split; // reduced labels; the first n_split as one are shared by the slices
  nest_label k[MAX_OUTER];
  uint32_t width, parts; // columns of a group; groups of a block of columns
  int64_t slices;        // of the reduced range, each of width workers, or of a quarter of that
  kir_buffer *sums;      // of half of the slices
} contract_few;

typedef struct few_group { // a group, in kernel expressions
  const sym *worker;
  const idx *panel, *part;
} few_group;

contract_few contract_plan_few(contract *x, int64_t workers);         // once B is packed, or stays where it lies
const idx *contract_is_few(const contract *x, const contract_few *f); // 1: there are so few rows, 0: there are more
void contract_emit_few(contract *x, const contract_few *f, const splice *s, kir_builder *b, const few_group *at);

// -- contract_shape.c --
// The positions of an image become one row label; then labels are classed, operands swapped if need be. false: no room.
void contract_join_rows(contract *x);
bool contract_classify(contract *x);
void contract_rows_are_columns(contract *x);       // of operands swapped, where there are no columns
void contract_choose_tile(contract *x);            // and the block
uint32_t contract_widened_rows(const contract *x); // of a tile that widens B itself

// -- contract_narrow.c --
// Can products of narrow values be made side by side in vectors? Then x->side says how many; tile and block are as
// ever.
void contract_choose_sides(contract *x);
// Are the operands `a` and `b` in memory, widened and nothing else: A side by side along the last reduced label, whose
// extent is a multiple of `step`, B to be packed?
bool contract_is_narrow(const contract *x, dtype a, dtype b, int64_t step);
const sx *contract_narrow_load(const contract *x, uint32_t operand, dtype dt); // widened, or as it is; else NULL
// The place of an element of a packed B whose values lie side by side, for any value of the last reduced label.
const idx *contract_packed_side(contract *x, splice *s, const sx *leaf, const idx *panel, const idx *c_at);
// acc + the products of x->side values, from the place to which `s` binds the last reduced label.
kir_tile *contract_multiply_sides(contract *x, splice *s, kir_builder *b, const idx *panel, kir_tile *acc);

// -- contract_matrix.c --
// Can the products be made in matrix registers? Then tile and block are theirs.
bool contract_choose_matrices(contract *x);
// `acc` and the products of a tile whose first row is `i`.
kir_tile *contract_matrix_sum(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *i,
                              kir_tile *acc);

// -- contract_fetch.c --
// Asks for what the next turns of a loop over `label` will read of the packed constants, `rows` values of it a turn.
void contract_prefetch(contract *x, splice *s, const idx *panel, const sym *label, int64_t rows);
// The same for many rows: what tiles will read of a constant after the first reduced label's value `at`, a part for
// the tile whose first row is `i`.
contract_next contract_plan_next(contract *x, kir_builder *b, const contract_block *blk); // before the loop over rows
void contract_fetch_next(contract *x, const splice *outer, kir_builder *b, const contract_block *blk,
                         const contract_next *next, const idx *at, const idx *i);
// Before the products of a tile whose first row is `i`, where that is worth it.
bool contract_fetches_epilogue(const contract *x);
void contract_fetch_epilogue(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *i);

#endif
