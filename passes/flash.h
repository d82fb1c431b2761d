// The state of the attention schedule, shared by its two files: schedule_attention.c (labels, scratch, bounds) and
// attention_block.c (the loops of one block of queries).
#ifndef NNC_PASSES_FLASH_H
#define NNC_PASSES_FLASH_H

#include "passes/attention.h"
#include "passes/schedule.h"

enum { MB = 96, NB = 60, FLASH_MAX_OUTER = 12 };
enum { STAT_top, STAT_sum, STAT_scale, STATS };
enum { ROOT_q, ROOT_k, ROOT_v, ROOT_score, ROOT_columns, ROOT_rows, ROOT_facts }; // then facts, then yields

typedef struct flash {
  lower_group *g;
  attention a;
  nest n;
  uint32_t first_yield;
  const nest_label *row, *col; // queries, columns of v
  uint32_t n_batch, n_grid_batch;
  nest_label batch[FLASH_MAX_OUTER];
  uint32_t rows, cols, out_cols;                     // register tiles: keys or queries, queries, columns of v
  int64_t depth, width;                              // constants
  kir_buffer *qt, *st, *acc, *ks, *vs, *stat[STATS]; // ks, vs: NULL where k and v are read as they lie
  const idx *m0, *len;                               // the block's first query, and how many it has
  const idx *start, *end;                            // its keys
  const idx *kb, *ke;                                // the keys of the block being computed
} flash;

// Everything a grid point does, once its labels are bound in `outer`: x->m0, len, start and end say for what.
void flash_block(flash *x, const splice *outer, kir_builder *b);

#endif
