// What the files of this room share: the state of one compilation, values in registers, index values, conditions.
//
// Flow: backend.c (module, target machine) -> kernel.c (function, grid loop) -> stmt.c, loop.c, copy.c (statements) ->
// access.c (memory), elementwise.c and math_*.c (operators), reduce.c. Everything emits final vector code through
// LLVM-C builders: no IR pass runs afterwards, so what later passes would do (hoisting, sharing of subexpressions,
// rotation of loops) is done while emitting.
//
// Tiles. A tile of R x C is R rows of chunks: VL lanes each (VL = vector bytes / 4, for every dtype, so that tiles of
// different dtypes line up), and one last chunk of C % VL lanes. A chunk of one lane is a scalar; so a column (C = 1)
// is R scalars, made vectors where used. In registers f16 and bf16 are their bits (i16), bool is i1, the rest is
// itself.
#ifndef NNC_CODEGEN_LLVM_CG_H
#define NNC_CODEGEN_LLVM_CG_H

#include "codegen/llvm/llvm.h"

#include <llvm-c/Core.h>

enum { CG_KERNEL_ARGS = 7, CG_DUMMY_BYTES = 256 };

// An index value: i64 (or a pointer, or an i1), and the scope that computes it: 0 is the function's entry, 1 the grid
// loop's body, and so on.
typedef struct cg_value {
  LLVMValueRef v;
  uint32_t level;
} cg_value;

typedef struct cg_multiple { // of a counter, by `factor`: see counter.c
  LLVMValueRef phi, value, step;
} cg_multiple;

typedef struct cg_counter {
  LLVMBasicBlockRef head;  // the loop's first block
  LLVMValueRef enter;      // the branch into it
  LLVMValueRef start, phi; // what it counts from; what it is
  LLVMValueRef value;      // what the loop sees
  int64_t step;
  bool innermost;
  VEC(cg_multiple) multiples;
} cg_counter;

typedef struct cg_scope {
  uint32_t serial;     // never used twice
  cg_counter *counter; // of the loop that it is the body of; NULL: of none
  LLVMValueRef
      end; // code hoisted into this scope goes before this instruction; NULL: the innermost scope, at the builder
} cg_scope;

// The values of an elementwise statement are computed when they are first used, so that a chain of such statements runs
// chunk by chunk and few vectors are live at a time. They belong to the block of code where the statement stands: see
// cg_flush.
typedef struct cg_tile {
  uint32_t rows, cols, n_chunks;
  dtype dt;
  LLVMValueRef *v;     // [rows * n_chunks]; NULL: not computed yet. Read by cg_chunk and cg_part
  const kir_stmt *def; // computes what is not there yet, from
  const struct cg_tile *in[3];
  LLVMValueRef memory; // values that are not there yet are read from here, row by row; NULL: from nowhere
} cg_tile;

// Where the statements of a copy's body are in the rectangle: its whole, or one piece of one row.
typedef struct cg_view {
  bool active;
  const idx *row, *col; // what r and c count from; NULL: 0
  uint32_t rows, cols;  // of the rectangle
  uint32_t part_rows, part_cols;
} cg_view;

typedef struct cg {
  arena *a; // until the end of the compilation
  diag_list *l;
  const target *t;
  LLVMContextRef ctx;
  LLVMModuleRef mod;
  LLVMBuilderRef b, hoist; // at the code being emitted; anywhere
  LLVMTypeRef i1, i8, i16, i32, i64, f32, f64, ptr, void_type;
  uint32_t vl;

  // the kernel at hand
  kir_kernel *k;
  LLVMValueRef fn, arg[CG_KERNEL_ARGS];
  LLVMBasicBlockRef entry;
  LLVMValueRef
      dummy;    // stack bytes that accesses touch instead of memory where their condition fails; NULL until needed
  map *symbols; // sym -> cg_value *
  map *tiles;   // kir_tile -> cg_tile *
  map *numbers; // value numbering of index arithmetic
  VEC(const cg_tile *) pending; // tiles with values still to be computed, in the order of their statements
  VEC(cg_scope) scopes;         // outermost first
  uint32_t serial;
  VEC(idx_binding) bound; // names that stand for expressions: lets, unrolled loop variables
  LLVMValueRef guard;     // reads of index buffers touch memory only where this i1 holds; NULL: always
  uint64_t n_stores;      // values read from memory are shared only between stores
  cg_view view;
  size_t *group_offset; // bytes, of each group buffer
  map *matrices;        // kir_tile -> anything: in tile registers (amx.c)
} cg;

// Positions of CG arguments in the kernel ABI.
enum { ARG_buffers, ARG_symbols, ARG_grid, ARG_begin, ARG_end, ARG_scratch, ARG_fault };

// -- emit.c: types, constants and operators; each works on scalars and on vectors alike --
LLVMTypeRef cg_vec(LLVMTypeRef element, uint32_t lanes);  // the element itself for one lane
LLVMTypeRef cg_like(LLVMValueRef x, LLVMTypeRef element); // with the lanes of x
uint32_t cg_lanes(LLVMValueRef x);
LLVMTypeRef cg_element(LLVMValueRef x);
bool cg_is_double(const cg *g, LLVMValueRef x);
LLVMValueRef cg_real(cg *g, LLVMValueRef like, double v); // a float constant of the type of `like`
LLVMValueRef cg_int(cg *g, LLVMValueRef like, int64_t v); // an integer constant of the type of `like`
LLVMValueRef cg_i64(cg *g, int64_t v);
LLVMValueRef cg_splat_const(LLVMValueRef one, uint32_t lanes);
LLVMValueRef cg_splat(cg *g, LLVMValueRef one, uint32_t lanes);
LLVMValueRef cg_lane_numbers(cg *g, uint32_t first, uint32_t lanes); // i32: first, first+1, …
LLVMValueRef cg_extract(cg *g, LLVMValueRef x, uint32_t lane);       // x itself when it is a scalar
LLVMValueRef cg_insert(cg *g, LLVMValueRef x, LLVMValueRef v, uint32_t lane);
LLVMValueRef cg_add(cg *g, LLVMValueRef x, LLVMValueRef y); // floats or integers
LLVMValueRef cg_sub(cg *g, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef cg_mul(cg *g, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef cg_div(cg *g, LLVMValueRef x, LLVMValueRef y);                 // floats
LLVMValueRef cg_fma(cg *g, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z); // one rounding with FMA, else two
LLVMValueRef cg_neg(cg *g, LLVMValueRef x);
LLVMValueRef cg_abs(cg *g, LLVMValueRef x); // floats
LLVMValueRef cg_sqrt(cg *g, LLVMValueRef x);
LLVMValueRef cg_copysign(cg *g, LLVMValueRef size, LLVMValueRef sign);
LLVMValueRef cg_and(cg *g, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef cg_or(cg *g, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef cg_shl(cg *g, LLVMValueRef x, int64_t n);
LLVMValueRef cg_lshr(cg *g, LLVMValueRef x, int64_t n);
LLVMValueRef cg_ashr(cg *g, LLVMValueRef x, int64_t n);
LLVMValueRef cg_fcmp(cg *g, LLVMRealPredicate p, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef cg_icmp(cg *g, LLVMIntPredicate p, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef cg_select(cg *g, LLVMValueRef c, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef cg_any(cg *g, LLVMValueRef c);       // i1: any lane
LLVMValueRef cg_bits(cg *g, LLVMValueRef x);      // a float's bits as an integer
LLVMValueRef cg_from_bits(cg *g, LLVMValueRef x); // i32 or i64 bits as a float
LLVMValueRef cg_to_f64(cg *g, LLVMValueRef x);    // from f32; f64 passes
LLVMValueRef cg_to_f32(cg *g, LLVMValueRef x);    // from f64; f32 passes
LLVMValueRef cg_intrinsic(cg *g, const char *name, uint32_t n_types, LLVMTypeRef *types, uint32_t n,
                          LLVMValueRef *args);
LLVMValueRef cg_unary_intrinsic(cg *g, const char *name, LLVMValueRef x);
LLVMBasicBlockRef cg_block(cg *g, const char *name); // a new block at the end of the function
LLVMValueRef cg_phi(cg *g, LLVMValueRef x, LLVMBasicBlockRef from_x, LLVMValueRef y, LLVMBasicBlockRef from_y); // here

// -- tile.c --
uint32_t cg_chunks(const cg *g, uint32_t cols);
uint32_t cg_chunk_lanes(const cg *g, uint32_t cols, uint32_t chunk);
LLVMTypeRef cg_reg_type(const cg *g, dtype dt); // of one element in a register
LLVMTypeRef cg_mem_type(const cg *g, dtype dt); // in memory
LLVMValueRef cg_from_mem(cg *g, dtype dt, LLVMValueRef x);
LLVMValueRef cg_to_mem(cg *g, dtype dt, LLVMValueRef x);
LLVMValueRef cg_scalar(cg *g, scalar s); // a constant as one element in a register
cg_tile *cg_tile_new(cg *g, dtype dt, uint32_t rows, uint32_t cols);
void cg_set(cg *g, const kir_tile *t, const cg_tile *value);
const cg_tile *cg_get(cg *g, const kir_tile *t);
LLVMValueRef cg_chunk(cg *g, const cg_tile *t, size_t i); // v[i], computed if need be
// The part of a broadcast tile at row r, chunk j of a row of `cols` columns.
LLVMValueRef cg_part(cg *g, const cg_tile *t, uint32_t r, uint32_t j, uint32_t cols);
// The shape of a statement here: in a copy's body, of the piece at hand.
void cg_shape(const cg *g, uint32_t *rows, uint32_t *cols);

// -- index.c: index expressions as i64 values, computed once and as far out as their symbols allow --
// A new innermost scope. What is hoisted into the one around it goes before `outer_end`, the branch that enters the new
// one.
void cg_open_scope(cg *g, LLVMValueRef outer_end);
void cg_open_loop(cg *g, cg_counter *c); // the scope of the loop's body
void cg_close_scope(cg *g);              // the scope around it continues at the builder
void cg_bind(cg *g, const sym *s, cg_value v);
const idx *cg_subst(cg *g, const idx *e);                // names of `bound` replaced
const idx *cg_at_row(cg *g, const idx *e, uint32_t row); // and r, and c shifted to the view
cg_value cg_index(cg *g, const idx *e);                  // e after the above: no r, no c
cg_value cg_compare_le(cg *g, cg_value a, cg_value b);   // i1: a <= b
cg_value cg_holds(cg *g, const idx *e);                  // i1: e >= 0
cg_value cg_both(cg *g, cg_value a, cg_value b);         // i1: and
cg_value cg_least(cg *g, cg_value a, cg_value b);
cg_value cg_most(cg *g, cg_value a, cg_value b);
cg_value cg_plus(cg *g, cg_value a, cg_value b);
cg_value cg_constant(cg *g, int64_t v);
LLVMValueRef cg_address(cg *g, const kir_buffer *buf, const idx *offset);
LLVMValueRef cg_dummy(cg *g);

// -- counter.c: loop counters, and what is counted up with them --
LLVMValueRef cg_hidden(cg *g, LLVMValueRef phi); // the same value, but not to LLVM's scalar evolution
// A counter at the builder, which is in the loop's first block, behind other phis only. `enter` branches there.
cg_counter *cg_count(cg *g, const char *name, LLVMValueRef enter, LLVMValueRef start, int64_t step, bool innermost);
LLVMValueRef cg_counted(cg *g, cg_counter *c, LLVMValueRef factor); // its value times one that is known outside
LLVMValueRef cg_count_on(cg *g, cg_counter *c);                     // at the loop's end: its value in the next turn

// -- where.c: conditions --
typedef struct cg_cond { // what the conditions say of one row
  bool has_all, has_upper, has_lower;
  cg_value all, upper, lower; // i1: those without c; i64: c <= upper, c >= lower
  LLVMValueRef row;           // i1: `all`, unless it is part of `last`; NULL: true
  LLVMValueRef last, first;   // i32: `upper` and `lower`, clamped; NULL: no such condition
  uint32_t cols, n_general;
  const idx **general; // the rest, evaluated for each c
} cg_cond;
cg_cond cg_where(cg *g, kir_where w, uint32_t row, uint32_t cols);
bool cg_lanewise(const cg_cond *w);                 // does any condition depend on c?
LLVMValueRef cg_somewhere(cg *g, const cg_cond *w); // i1: may they hold for some c?
LLVMValueRef cg_lane_mask(cg *g, const cg_cond *w, uint32_t first,
                          uint32_t lanes);                      // all conditions, i1 a lane; NULL: true
LLVMValueRef cg_lane_cond(cg *g, const cg_cond *w, uint32_t c); // all conditions at one c, i1; NULL: true

// -- access.c --
cg_tile *cg_load(cg *g, kir_access acc, uint32_t rows, uint32_t cols, kir_where w, scalar otherwise);
void cg_store(cg *g, kir_access acc, const cg_tile *x, uint32_t rows, uint32_t cols, kir_where w);

// -- convert.c: one element type to another, registers to registers --
LLVMValueRef cg_widen(cg *g, dtype dt, LLVMValueRef x);               // f16, bf16 -> f32; f32 and f64 pass
LLVMValueRef cg_round(cg *g, dtype dt, LLVMValueRef x);               // f32 or f64 value -> a float dtype, rounded once
LLVMValueRef cg_convert(cg *g, dtype from, dtype to, LLVMValueRef x); // as the `cast` operator

// -- elementwise.c --
LLVMValueRef cg_elementwise(cg *g, op_code op, dtype in, dtype out, LLVMValueRef *x); // x[0] is bool for `where`
LLVMValueRef cg_multiply_add(cg *g, dtype dt, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z);

// The chunks of an elementwise statement (KIR_op, KIR_fma) wait until they are used.
void cg_elementwise_stmt(cg *g, const kir_stmt *s);
LLVMValueRef cg_elementwise_chunk(cg *g, const cg_tile *t, size_t i);
void cg_flush(cg *g); // computes all that waits: before control flow, and at the end of a block

// -- reduce.c --
void cg_dot(cg *g, const kir_stmt *s);
void cg_reduce(cg *g, const kir_stmt *s);

// -- amx.c: sums of products of bf16 in tile registers --
void cg_find_matrices(cg *g); // which tiles of the kernel
bool cg_in_matrices(const cg *g, const kir_tile *t);
void cg_matrices_open(cg *g);                       // configures the registers, where the kernel uses them
void cg_matrices_close(cg *g);                      // releases them
void cg_matrix_begin(cg *g, const kir_tile *carry); // from the value that the tile has
void cg_matrix_dot(cg *g, const kir_stmt *s);
void cg_matrix_end(cg *g, const kir_tile *result); // the registers' value becomes the tile's

// -- stmt.c, loop.c, copy.c, kernel.c --
void cg_stmts(cg *g, const kir_block *b);
void cg_for(cg *g, const kir_stmt *s);
void cg_if(cg *g, const kir_stmt *s);
void cg_copy(cg *g, const kir_stmt *s);
bool cg_kernel(cg *g, kir_kernel *k, size_t *scratch_bytes); // false after a diagnostic

#endif
