// The contraction schedule's own state, shared by its two files: schedule_contract.c (labels, tiles, loops) and
// contract_pack.c (where the column operand comes from).
#ifndef NNC_PASSES_CONTRACT_H
#define NNC_PASSES_CONTRACT_H

#include "passes/schedule.h"

enum { KC = 256, MAX_OUTER = 12 };

typedef struct contract {
  lower_group *g;
  nest n; // roots: 0 = A, 1 = B, then the yields
  const ir_value *anchor;
  const sym *row, *col;                // module labels, NULL when there is none
  const idx *m, *nn;                   // extents of row and column labels (module), 1 when absent
  uint32_t n_k, n_batch, n_grid_batch; // the first n_grid_batch of `batch` share a grid axis
  nest_label k[MAX_OUTER], batch[MAX_OUTER];
  uint32_t rows, cols;      // the register tile
  uint32_t mc;              // rows of a block
  const ir_value *packed_b; // the constant operand's packed form, or NULL
  kir_buffer *packed_buf, *panel, *partial;
  bool chunked; // partial sums go through scratch
  dtype acc_dt;
} contract;

typedef struct contract_block { // kernel expressions of the block being computed
  const idx *m0, *me;           // rows [m0, me)
  const idx *panel, *j;         // the column panel and its first column
  const idx *m, *nn;            // extents
} contract_block;

bool contract_label_in(const sx *root, const sym *s);            // does an operand depend on a label?
const idx *contract_label_at(const splice *s, const sym *label); // a label's binding, NULL if it has none
// Decides where B's operand comes from: packed by `prepare`, as it lies, or packed here a chunk at a time, with partial
// sums in scratch.
void contract_choose_operand(contract *x);
// The place of element (k, column) in the packed form [batch labels of B…, column panels, reduced labels…, C].
const idx *contract_packed_index(contract *x, splice *s, const idx *panel, const idx *c_at);
// Packs B's columns j.. for the reduced range [lo, hi) into the panel, with the operand's prologue applied.
void contract_pack_panel(contract *x, const splice *outer, kir_builder *b, const contract_block *blk, const idx *lo,
                         const idx *hi);

#endif
