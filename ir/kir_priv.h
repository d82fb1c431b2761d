// What the files ir/kir*.c share: making statements and symbols, operand rules, printing one statement.
// Nobody else includes this.
#ifndef NNC_IR_KIR_PRIV_H
#define NNC_IR_KIR_PRIV_H

#include "ir/kir.h"

enum {
  KIR_MAX_SIDE = 4096,        // rows or columns of one tile or copy
  KIR_MAX_ELEMENTS = 1 << 16, // rows * columns
  KIR_MAX_UNROLL = 1024,
  KIR_MAX_WORKERS = 1024, // along one axis
  KIR_MAX_RANK = 12,
  KIR_MAX_DEPTH = 64 // blocks inside blocks
};

// -- kir_build.c --
kir_stmt *kir_append(kir_kernel *k, kir_block *at, kir_kind kind);
kir_tile *kir_tile_new(kir_kernel *k, kir_stmt *def, dtype dt, uint32_t rows, uint32_t cols);
void kir_carry_new(kir_kernel *k, kir_stmt *loop, uint32_t n, kir_tile *const *init); // carried tiles and results
kir_tile *kir_loaded_new(kir_kernel *k, kir_stmt *copy);                              // `then`: the copied tile
bool kir_name_taken(const kir_kernel *k, const char *name);                           // by a buffer or a symbol
sym *kir_fresh_symbol(kir_kernel *k, const char *prefix);                             // without bounds
kir_buffer *kir_buffer_new(kir_kernel *k, const char *name, kir_space space, dtype dt, uint32_t rank,
                           const idx *const *dim);

// Symbols with the bounds that their role gives them: the builder and the parser must agree, or expressions would fold
// differently when read back.
void kir_bound_let(sym *s, const idx *value);
void kir_bound_loop(kir_kernel *k, sym *s, const idx *lo, const idx *hi, int64_t step);
void kir_add_grid(kir_kernel *k, sym *s, const idx *extent);
void kir_add_worker(kir_kernel *k, sym *s, int64_t extent);
void kir_add_fact(kir_kernel *k, sym *s, int64_t lo, int64_t hi, int64_t multiple);
const idx *kir_expand(idx_ctx *ix, const idx *e); // symbols of one possible value (let names) replaced by it

// -- kir_infer.c --
typedef struct kir_type {
  dtype dt;
  uint32_t rows, cols;
} kir_type;

// The type of what a dot, op (not cast), fma, select or reduce defines, from its operands; for a cast out->dt is `to`.
// DIAG_COUNT when the operands fit, otherwise the message that says what does not (its argument: the statement).
diag_id kir_infer(const kir_stmt *s, dtype to, kir_type *out);
bool kir_shape_legal(int64_t rows, int64_t cols);
bool kir_is_tile_op(op_code op);     // elementwise: what KIR_op may hold
const char *kir_op_word(op_code op); // the spelling in kernel text
bool kir_op_find(str word, op_code *op);
const char *kir_reduce_word(op_code op); // "rowsum", …; NULL when it is none
bool kir_reduce_find(str word, op_code *op);

// -- kir_print.c --
// Numbers of tiles by kir_tile.id, in order of appearance, from 1; 0: the tile is defined nowhere.
const uint32_t *kir_number_tiles(arena *a, const kir_kernel *k);
// The first line of a statement: for messages.
const char *kir_stmt_text(arena *a, const kir_kernel *k, const uint32_t *numbers, const kir_stmt *s);
const char *kir_space_word(kir_space s);

#endif
