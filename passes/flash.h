// The state of the attention schedule, shared by its files: schedule_attention.c (labels, scratch, bounds),
// attention_block.c (the loops of one block of queries), attention_few.c (the same for few queries), attention_linear.c
// (sums over keys taken first), and flash_group.h (the three by groups of workers).
#ifndef NNC_PASSES_FLASH_H
#define NNC_PASSES_FLASH_H

#include "passes/attention.h"
#include "passes/schedule.h"

enum { MB = 96, NB = 60, FEW = 8, FLASH_MAX_OUTER = 12, FEW_SCRATCH = 4 };
enum { STAT_top, STAT_sum, STAT_scale, STATS };
enum {
  ROOT_q,
  ROOT_k,
  ROOT_v,
  ROOT_score,
  ROOT_columns,
  ROOT_rows,
  ROOT_sum_factor,
  ROOT_facts
}; // then facts, then yields

static inline scalar flash_f32(double v) { return scalar_f(DT_f32, v); }
static inline kir_tile *flash_tile(splice *s, const sx *e) { return kir_convert(s->b, splice_tile(s, e), DT_f32); }

typedef struct flash {
  lower_group *g;
  attention a;
  nest n;
  uint32_t first_yield;
  bool few, many;              // may there be at most FEW queries? more?
  const nest_label *row, *col; // queries, columns of v
  nest_label single;           // row, where there is but one query
  uint32_t n_batch, n_grid_batch;
  nest_label batch[FLASH_MAX_OUTER];
  uint32_t rows, cols;                               // register tiles of scores: keys, queries
  uint32_t out_rows, out_cols;                       // and of results: queries, columns of v
  int64_t depth, width;                              // constants
  bool k_lies, v_lies;                               // in memory as f32, side by side
  kir_buffer *qt, *st, *acc, *ks, *vs, *stat[STATS]; // ks, vs: NULL where k and v are read as they lie
  kir_buffer *qs, *sq;                               // few queries, beside each other in no lane
  bool narrow;                                       // bf16 multiplied in pairs, as they lie
  kir_buffer *q2, *wt, *v2;  // pairs of a query's depths, of a query's weights, of a column's values
  kir_buffer *state, *total; // linear: Σ_key k · v [depth, width] and Σ_key k [depth] of the keys before the block
  const idx *m0, *len;       // the block's first query, and how many it has
  const idx *start, *end;    // its keys; linear: those that the state does not hold
  const idx *kb, *ke;        // the keys of the block being computed
  const sym *worker;         // of a group of them; their scratch
  kir_buffer *scratch[FEW_SCRATCH];
} flash;

// -- attention_block.c --
// Everything for one block of queries, once its labels are bound in `outer`: x->m0, len, start and end say for what.
void flash_block(flash *x, const splice *outer, kir_builder *b);

void flash_clear(flash *x, kir_builder *b); // acc and statistics
void flash_finish(flash *x, const splice *outer, kir_builder *b);
// A tile of scores, from one of products: what is masked, or not `inside`, weighs nothing. The splice has a builder.
kir_tile *flash_score(const flash *x, splice *s, kir_tile *dot, kir_where inside);
// The end of a tile of acc, at the splice's place: divides by the sums of its rows (NULL: nobody asks), and stores.
void flash_write(const flash *x, splice *s, kir_tile *t, kir_tile *sum);

// A matrix product in register tiles: to[i, e] = (fresh ? 0 : to[i, e]) · scale[i] + Σ_n left(n, i) · right(n, e).
typedef struct flash_product flash_product;
typedef kir_tile *flash_operand(const flash_product *p, kir_builder *b, const idx *n, const idx *at);
struct flash_product {
  flash *x;
  const splice *outer;
  kir_buffer *to;
  const idx *rows, *lo, *hi; // i in 0..rows, n in lo..hi
  bool fresh;
  kir_buffer *scale;           // or NULL
  flash_operand *left, *right; // at a column of rows i; at a row of columns e
  const char *variant;         // of the product
};

void flash_multiply(const flash_product *p, kir_builder *b);
flash_operand flash_value;                                                            // a `right`: v
kir_stmt *flash_loop(kir_builder *b, const char *name, const idx *hi, uint32_t step); // from 0
void flash_stage_keys(flash *x, const splice *outer, kir_builder *b); // ks and vs of kb..ke, where there are any
// All blocks of keys: `weigh` leaves the weights of one, which `weight_of` reads; acc takes them times v.
typedef void flash_weigh(flash *x, const splice *s, kir_builder *b);
void flash_all_keys(flash *x, const splice *s, kir_builder *b, flash_weigh *weigh, flash_operand *weight_of);

// -- attention_narrow.c --
// Products of bf16 in pairs (x->narrow), for blocks of many queries: may they be, and what scratch they take.
bool flash_is_narrow(const flash *x);
void flash_narrow_scratch(flash *x, int64_t padded);
void flash_narrow_queries(flash *x, splice *s, const idx *d, const idx *j); // the pairs of one tile of queries
void flash_narrow_values(flash *x, const splice *outer, kir_builder *b);    // of keys kb..ke
// Depths d, d + 1 of the keys and queries that `s` and `j` name.
kir_tile *flash_narrow_key(flash *x, const splice *s, kir_builder *b, const idx *d);
kir_tile *flash_narrow_query(flash *x, kir_builder *b, const idx *d, const idx *j);
void flash_narrow_weights(flash *x, kir_builder *b, const idx *key, const idx *j, kir_tile *const *w); // of two keys
flash_operand flash_narrow_weight, flash_narrow_value; // at pair n of the block's keys

// -- attention_few.c --
// The same for at most FEW queries, and the scratch it takes besides.
void flash_few(const flash *all, const splice *outer, kir_builder *b);
void flash_few_scratch(flash *x);
flash flash_for_few(const flash *all);                               // the same state with its tiles
void flash_few_weigh(flash *x, const splice *outer, kir_builder *b); // all but the end: leaves acc and statistics

// -- attention_parts.c --
bool flash_splits(const flash *x);               // may there be so many keys that few queries want them split?
const ir_value *flash_parts_new(const flash *x); // what the first kernel leaves to the second: a value of lowering's
// The bodies of the two, around g->parts: one part of the keys; the parts merged, and the end.
void flash_part(flash *x, const splice *outer, kir_builder *b);
void flash_merge(const flash *all, const splice *outer, kir_builder *b);
enum { FLASH_PART = 512, FLASH_STATISTICS = 2 }; // keys of a part; top and sum stand behind the columns of acc
const idx *flash_parts_count(const flash *x);    // over the module's dims
// The part as an axis of the grid; the keys are bounded to its own.
const idx *flash_part_enter(flash *x);
// Where a part keeps what it knows of a query: the address of its first column.
const idx *flash_place(const flash *x, const splice *outer, const idx *part, const idx *query);

// -- attention_linear.c --
// Can the bounds of the keys be followed by a state? They must rise with the query.
bool flash_state_follows(const flash *x);
// The kernel's body when sums over keys are taken first, where sizes make that cheaper.
void flash_linear(flash *x, const splice *outer, kir_builder *b);
// Keys that the state holds at the block of queries at x->m0; 0 where the other order of sums is cheaper.
const idx *flash_seen(const flash *x, const splice *outer);
// A block of queries: which they are, and their keys; returns the keys that the state held before.
const idx *flash_linear_enter(flash *x, const splice *outer, const idx *m0, int64_t block);
// What a block begins with: acc and sum from the state.
void flash_read_state(flash *x, kir_builder *b);

// -- schedule_attention.c --
// The bound that fact i puts on the keys of the queries of the block, the one of its first or last query, whichever
// leaves more (or fewer): NULL if it is not affine in the query. *from_above: key <= bound, else key >= bound.
const idx *flash_bound(const flash *x, const splice *outer, uint32_t i, bool loosest, bool *from_above);

#endif
