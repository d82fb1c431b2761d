// Kernel IR: structured loops over small register tiles; printed as LLVM IR and as OpenCL C. docs/kernel-ir.md is its
// reference.
//
// A kernel is a header (parameters, grid, workers, group scratch, symbols with facts) and the body of one worker. Every
// kernel owns its index context, so its text stands alone: `fact` lines declare its symbols, whose run-time values the
// plan supplies. Two kernels are equal when their texts are (apart from the name).
//
//   kernel add_bias
//     in p0 f32[64*n]  in p1 f32[64]  out p2 f32[64*n]
//     grid i: n
//     fact n in 1..4096
//   {
//     for k in 0..64 step 64 {
//       %0 = load p0[c+64*i+k] : f32 1x64
//       %1 = load p1[c+k] : f32 1x64
//       %2 = add %0, %1
//       store p2[c+64*i+k] = %2
//     }
//   }
//
// Stored text has one operation a line; equal kernels have equal texts: index expressions print in an order of their
// own, tiles are numbered as they appear. Tile coordinates are the symbols `r` and `c`; loop, grid and let names are
// unique in a kernel and never equal a symbol's, a buffer's, `r` or `c`.
#ifndef NNC_IR_KIR_H
#define NNC_IR_KIR_H

#include "base/map.h"
#include "ir/dtype.h"
#include "ir/index.h"
#include "ir/op.h"

typedef struct kir_kernel kir_kernel;
typedef struct kir_stmt kir_stmt;

typedef enum kir_space { KIR_in, KIR_out, KIR_inout, KIR_group } kir_space;

typedef struct kir_buffer {
  const char *name; // interned
  kir_space space;
  dtype dt;
  uint32_t rank;
  const idx *const *dim; // row-major extents; group scratch: constants
  uint32_t index;        // position among parameters, or among group buffers
} kir_buffer;

typedef struct kir_tile {
  uint32_t id; // printing renumbers
  dtype dt;
  uint32_t rows, cols; // constants; 1x1 scalar, Rx1 column, 1xC row; elementwise operations broadcast them
  kir_stmt *def;       // the statement that defines it (a `for` for carried tiles and results)
} kir_tile;

typedef struct kir_access {
  const kir_buffer *buf;   // NULL: none
  const idx *const *index; // [buf->rank], may mention r and c
} kir_access;

typedef struct kir_where { // every condition >= 0
  uint32_t n;
  const idx *const *cond;
} kir_where;

typedef struct kir_block {
  kir_stmt *first, *last;
} kir_block;

typedef enum kir_kind {
  KIR_let,   // let var = index                                 may mention workers, not r or c
  KIR_load,  // out = load acc : dt RxC [where … else imm]      never touches memory where a condition fails
  KIR_const, // out = const imm : dt RxC
  KIR_index, // out = index index : i32|i64 RxC
  KIR_dot,   // out = dot in0, in1, in2 {variant}:  acc[R,C] += a[R,Kt] · b[Kt,C]; by variant (docs/kernel-ir.md)
  KIR_mma,   // out = mma in0, acc, from : cols    a warp's product of bf16 from scratch: see docs/kernel-ir.md
  KIR_op, // out = <elementwise operator of ir/ops.def> in…   (`cast` prints as `convert … to dt`, `where` as `pick`)
  KIR_fma,      // out = fma in0, in1, in2: one rounding
  KIR_select,   // out = select in0 where … else imm
  KIR_zip,      // out = zip in0, in1: RxC and RxC to Rx2C, columns of both in turn; ziprows in0: 2RxC to Rx2C
  KIR_reduce,   // out = rowsum|rowmax|rowmin|rowprod in0 [across worker]: Rx1; op OP_sum OP_amax OP_amin OP_prod
  KIR_store,    // store acc = in0 [where]          in0 broadcasts to rows x cols of the statement's own shape
  KIR_copy,     // copy acc = from : RxC [where … else imm] [then %t { … yield }]   collective
  KIR_prefetch, // prefetch acc
  KIR_barrier,  // made by the barrier pass only
  KIR_fault,    // fault site where …: if the conditions hold at any (r, c) record `site` in the run's fault word
  KIR_for,      // [results =] for var in lo..hi step S [unroll U] [carry (%a = %init, …)] { … yield }
  KIR_if        // if index >= 0 { … } [else { … }]
} kir_kind;

struct kir_stmt {
  kir_kind kind;
  kir_stmt *next;
  op_code op;    // KIR_op, KIR_reduce
  kir_tile *out; // result, or NULL
  kir_tile *in[3];
  uint32_t n_in;
  kir_access acc, from; // load, store, copy (destination, source), prefetch; mma (A, B)
  uint32_t rows, cols;  // store, copy, fault: the shape that r and c run over; mma: cols is the depth
  kir_where where;
  scalar imm;           // const; `else` of load, copy, select
  const char *variant;  // dot: "fma", …
  const sym *across;    // reduce: a worker, or NULL
  const sym *var;       // let, for
  const idx *index;     // let, index, if
  const idx *lo, *hi;   // for
  int64_t step, unroll; // for: step >= 1; unroll 1 = none
  uint32_t n_carry;
  kir_tile **carry, **init, **yield,
      **result;          // for: [n_carry]; copy `then`: carry[0] is the loaded tile, yield[0] what is stored
  kir_block body, other; // for, if, copy-then / else
  int64_t site;          // fault
};

typedef struct kir_fact {
  sym *symbol;              // bounds are set on the symbol from lo and hi
  int64_t lo, hi, multiple; // multiple: 1, or the symbol is divisible by it
} kir_fact;

struct kir_kernel {
  arena *a;
  idx_ctx *ix;
  interner *names;
  diag_list *diags;
  const char *name;
  bool routine; // of the runtime, by this symbol: no body, nothing to compile
  VEC(kir_buffer *) params;
  VEC(kir_buffer *) group;
  uint32_t n_grid, n_workers;
  const sym *grid[3];        // row-major: the last runs fastest
  const idx *grid_extent[3]; // over facts' symbols
  const sym *workers[2];
  int64_t worker_extent[2];
  VEC(kir_fact) facts; // also the order in which symbol values are passed
  const sym *r, *c;
  kir_block body;
  uint32_t next_tile;
  double cost_ns; // estimate for one grid point: sizes the chunks; not part of the text
};

// -- building: a cursor appends to a block --
typedef struct kir_builder {
  kir_kernel *k;
  kir_block *at;
} kir_builder;

kir_kernel *kir_kernel_new(arena *a, diag_list *l, const char *name);
kir_builder kir_begin(kir_kernel *k); // at the end of the body
kir_buffer *kir_param(kir_kernel *k, const char *name, kir_space space, dtype dt, uint32_t rank, const idx *const *dim);
kir_buffer *kir_group(kir_kernel *k, const char *name, dtype dt, uint32_t rank, const int64_t *dim);
const sym *kir_fact_add(kir_kernel *k, const char *name, int64_t lo, int64_t hi, int64_t multiple); // finds by name
const sym *kir_grid(kir_kernel *k, const char *name, const idx *extent); // bounds 0..extent-1
const sym *kir_worker(kir_kernel *k, const char *name, int64_t extent);  // at most two; bounds 0..extent-1
const sym *kir_fresh(kir_kernel *k, const char *prefix, const idx *lo,
                     const idx *hi); // a name for a loop or let, inclusive bounds

extern const kir_where kir_always;
kir_where kir_conds(kir_kernel *k, uint32_t n, const idx *const *cond); // drops conditions proved true; copies
kir_where kir_both(kir_kernel *k, kir_where a, kir_where b);

const idx *kir_let(kir_builder *b, const char *prefix, const idx *e);
kir_tile *kir_load(kir_builder *b, const kir_buffer *buf, const idx *const *index, uint32_t rows, uint32_t cols,
                   kir_where w, scalar otherwise);
kir_tile *kir_const(kir_builder *b, scalar v, uint32_t rows, uint32_t cols);
kir_tile *kir_index(kir_builder *b, const idx *e, dtype dt, uint32_t rows, uint32_t cols);
kir_tile *kir_dot(kir_builder *b, kir_tile *acc, kir_tile *x, kir_tile *y, const char *variant);
// a, b: [rank] of their buffers; r counts rows of A, columns of B, c the reduced label from 0 to depth.
kir_tile *kir_mma(kir_builder *b, kir_tile *acc, const kir_buffer *a_buf, const idx *const *a, const kir_buffer *b_buf,
                  const idx *const *b_index, uint32_t depth);
kir_tile *kir_op(kir_builder *b, op_code op, uint32_t n,
                 kir_tile *const *in); // shapes broadcast; comparisons give bool
kir_tile *kir_op1(kir_builder *b, op_code op, kir_tile *x);
kir_tile *kir_op2(kir_builder *b, op_code op, kir_tile *x, kir_tile *y);
kir_tile *kir_convert(kir_builder *b, kir_tile *x, dtype to); // x itself when it has the dtype
kir_tile *kir_fma(kir_builder *b, kir_tile *x, kir_tile *y, kir_tile *z);
kir_tile *kir_zip(kir_builder *b, kir_tile *x, kir_tile *y); // y may be NULL: rows of x in pairs
kir_tile *kir_select(kir_builder *b, kir_tile *x, kir_where w, scalar otherwise);
kir_tile *kir_reduce(kir_builder *b, op_code op, kir_tile *x, const sym *across);
void kir_store(kir_builder *b, const kir_buffer *buf, const idx *const *index, kir_tile *x, uint32_t rows,
               uint32_t cols, kir_where w);
// Returns the statement; for a `then`, pass then = true and build into the returned block: *body is its cursor and
// *loaded its tile; finish with kir_copy_then.
kir_stmt *kir_copy(kir_builder *b, const kir_buffer *to, const idx *const *to_index, const kir_buffer *from,
                   const idx *const *from_index, uint32_t rows, uint32_t cols, kir_where w, scalar otherwise);
kir_builder kir_copy_body(kir_builder *b, kir_stmt *copy, kir_tile **loaded);
void kir_copy_yield(kir_stmt *copy, kir_tile *x);
void kir_prefetch(kir_builder *b, const kir_buffer *buf, const idx *const *index);
void kir_fault(kir_builder *b, int64_t site, uint32_t rows, uint32_t cols, kir_where w);
// A loop: `init` are the carried tiles' first values (n_carry may be 0). Build the body with the returned cursor, then
// kir_for_end with the yields; results are in stmt->result.
kir_stmt *kir_for(kir_builder *b, const char *prefix, const idx *lo, const idx *hi, int64_t step, int64_t unroll,
                  uint32_t n_carry, kir_tile *const *init);
kir_builder kir_for_body(kir_builder *b, kir_stmt *loop);
void kir_for_end(kir_stmt *loop, kir_tile *const *yield);
kir_stmt *kir_if(kir_builder *b, const idx *cond); // cond >= 0; build with kir_then / kir_else
kir_builder kir_then(kir_builder *b, kir_stmt *s);
kir_builder kir_else(kir_builder *b, kir_stmt *s);

// -- for printers and back ends --
bool kir_dot_is(const kir_stmt *s, const char *variant);
uint32_t kir_dot_interleaved(
    const kir_stmt *s); // values of a column that lie side by side in b; 0: b has rows for them
// An operand of mma: element (r, c) lies at first + r * stride + c of its buffer; first and stride are even, and first
// is the same for all workers of a warp. false: it is none.
enum { KIR_WARP = 32, KIR_MMA_ROWS = 16, KIR_MMA_COLS = 8, KIR_MMA_DEPTH = 16 };
bool kir_mma_operand(const kir_kernel *k, kir_access acc, const idx **first, int64_t *stride);
// The row-major element offset of an access in its buffer; may mention r and c.
const idx *kir_offset(const kir_kernel *k, kir_access acc);
bool kir_divides(const kir_kernel *k, int64_t d, const idx *e); // e % d == 0 is proved, from what let names stand for
const idx *kir_at_col(const kir_kernel *k, const idx *e, int64_t col); // c replaced by a constant

// -- text, checking, running --
void kir_print(strbuf *b, const kir_kernel *k);
str kir_fingerprint(const kir_kernel *k, arena *a); // the text without the kernel's name: equal kernels have equal ones
kir_kernel *kir_parse(arena *a, diag_list *l, uint32_t file);             // exactly one kernel; NULL after diagnostics
const kir_buffer *kir_buffer_find(const kir_kernel *k, const char *name); // parameters and scratch; NULL when absent
// Adds the barriers that several workers need: what a schedule with workers does last. One worker: nothing.
void kir_place_barriers(kir_kernel *k);
bool kir_verify(const kir_kernel *k, diag_list *l); // dominance, shapes, dtypes, uniformity, names, loop rules

// The interpreter: runs the whole grid, checks every access against its buffer, detects two grid points writing one
// element with different owners (races) and reads of group scratch never written. Slow, obvious; judge of schedules.
// `buffers[i]` is parameter i's memory (row-major), `symbols[i]` the value of facts.at[i]. `*fault` receives the last
// recorded fault site (+1), or 0.
bool kir_run(arena *a, const kir_kernel *k, diag_list *l, void *const *buffers, const int64_t *symbols, int64_t *fault);

#endif
