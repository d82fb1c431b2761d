// Attention by groups of workers, shared by its files: attention_group.c (what a worker holds), attention_group_block.c
// (blocks of queries), attention_group_few.c (few queries).
#ifndef NNC_PASSES_FLASH_GROUP_H
#define NNC_PASSES_FLASH_GROUP_H

#include "passes/flash.h"
#include "passes/group_stage.h"

enum { TEAM_QUAD = 4, TEAM_TILES = 16, TEAM_REGISTERS = 64 }; // REGISTERS: elements of tiles that loops carry

// The workers of a group as `down` x `across` of them: a worker has `rows` queries, and columns in tiles of four, which
// lie 4·across apart.
typedef struct flash_team {
  flash *x;
  const splice *outer;
  uint32_t down, across, rows;
  const idx *y, *at;         // which of them this worker is
  const idx *query, *inside; // of row r: counted from the block's first; >= 0 where there is one
} flash_team;

void flash_team_layout(flash_team *t, kir_builder *b);                        // y and at
uint32_t flash_team_tiles(const flash_team *t, int64_t width);                // that cover so many columns
const idx *flash_team_column(const flash_team *t, uint32_t tile);             // mentions c
splice flash_team_splice(const flash_team *t, kir_builder *b, uint32_t cols); // bound to the worker's queries

// What a worker knows of its queries: the state of an online softmax.
typedef struct flash_state {
  kir_tile *top, *sum; // columns; NULL where nobody asks for them
  kir_tile *acc[TEAM_TILES];
  uint32_t tiles;
} flash_state;

enum { STATE_TILES = TEAM_TILES + 2 };

flash_state flash_state_new(const flash_team *t, kir_builder *b);
uint32_t flash_state_list(const flash_state *s, kir_tile **out); // what a loop carries
flash_state flash_state_of(const flash_state *like, kir_tile *const *in);
void flash_state_raise(flash_state *s, kir_builder *b, kir_tile *top); // to a higher maximum
// Weights of scores at the splice's keys, the maximum being known; adds to the sum.
kir_tile *flash_state_weigh(const flash_team *t, flash_state *s, splice *at, kir_tile *score);
void flash_state_write(const flash_team *t, const flash_state *s, kir_builder *b, const idx *only); // where only >= 0

// Workers and scratch of a kernel that has few queries, blocks of them, or both.
void flash_group_scratch(flash *x, bool few, bool block);

// -- attention_group_block.c --
enum { BLOCK_DEPTH = 16 };                                     // lines of scratch: depths or keys staged at a time
uint32_t flash_group_rows(const flash *x);                     // queries of a block
void flash_group_block_scratch(const flash *x, int64_t *size); // elements that each buffer has at least
void flash_group_block(flash *x, const splice *outer, kir_builder *b);

flash_team flash_block_team(flash *x, const splice *outer); // side x side workers
void flash_block_enter(flash_team *t);                      // the queries from x->m0 on, x->len of them
// The keys in [start, end) join a state, whose sum is then that of the group.
void flash_block_keys(const flash_team *t, flash_state *st, kir_builder *b);

enum { BLOCK_RIGHT, BLOCK_LEFT }; // the first buffers of scratch: see attention_group_block.c
// Lines of `left` have an element for each of the group's rows, those of `right` for its columns, a slab of tiles.
uint32_t flash_block_slab(const flash_team *t);
int64_t flash_block_stride(const flash_team *t);                                  // of right
const idx *flash_block_row(const flash_team *t, const idx *line);                 // where the worker's rows are
kir_tile *flash_block_load(const flash_team *t, kir_builder *b, const idx *line); // they themselves
// acc[i] += left's column of the worker's rows · right's row of its columns, for all lines.
void flash_block_multiply(const flash_team *t, kir_builder *b, uint32_t tiles, kir_tile **acc);
void flash_block_stage_left(const flash_team *t, kir_builder *b, group_stage s); // where to and how much is filled in
void flash_block_stage_queries(const flash_team *t, kir_builder *b, const idx *depth);
void flash_block_stage_values(const flash_team *t, kir_builder *b, uint32_t first, uint32_t tiles, const idx *key,
                              const idx *end);

// -- attention_group_linear.c --
bool flash_group_follows(const flash *x); // do registers hold the state?
void flash_group_linear(flash *x, const splice *outer, kir_builder *b);

// -- attention_group_few.c --
typedef enum flash_few_work {
  FEW_all,  // all keys
  FEW_part, // the keys of one part, whose states are left for another kernel
  FEW_merge // what parts left
} flash_few_work;
void flash_group_few_scratch(const flash *x, int64_t *size); // as for blocks
void flash_group_few(flash *x, const splice *outer, kir_builder *b, flash_few_work work);

#endif
