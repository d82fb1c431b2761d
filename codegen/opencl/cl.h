// What the files of this room share: the state of one printing, tiles as variables, index expressions as C.
//
// Flow: program.c (program, signature, grid, scratch) -> stmt.c (statements) -> access.c (memory, conditions),
// elementwise.c (operators, through the functions of helper.c), reduce.c, mma.c. What is printed reads like the kernel
// IR: names, loops and branches are the same; only tiles are taken apart.
//
// Tiles. A tile of R x C is R rows of pieces, private variables of one work-item: as many vectors of W lanes as fit in
// C columns, W the target's (4: float4), and for what is left one piece for each power of two (7 columns: 4, 2, 1).
// Every piece is declared once and named after its tile: v12_3_0 is row 3, piece 0 of %12. Constants and broadcasts
// have no variable: they are written where they are used. Rows and columns are replaced by numbers while printing, so
// every index and condition is arithmetic on loop variables and symbols.
//   f16 and bf16 are held as float, rounded after each operator; bool as int, 0 or -1 in every lane, what comparisons
//   of vectors give and what select() takes.
//
// Rejected: *tiles as private arrays with loops over rows and columns*: shorter text, but where a device's compiler
// does not unroll all of them, arrays go to memory that is hundreds of cycles away, and nothing in the text says so.
// *One work item for each element of a tile*: a tile is private to a worker in the kernel IR; rows would have to be
// exchanged through local memory for every row reduction and every product, and kernels could no longer be compared
// with the CPU's. Work is given to more work-items by schedules (workers), not by the printer.
//
// Not printed: prefetch, a hint about caches that devices do not have in this form.
#ifndef NNC_CODEGEN_OPENCL_CL_H
#define NNC_CODEGEN_OPENCL_CL_H

#include "codegen/opencl/opencl.h"

// A piece: C text of one or more lanes.
typedef struct cl_value {
  const char *text; // with all lanes: a variable's name, or an expression in brackets
  const char *one;  // all lanes are alike: this scalar; else NULL
} cl_value;

typedef struct cl_tile {
  uint32_t rows, cols, n_pieces; // pieces of a row
  dtype dt;
  cl_value *v; // [rows * n_pieces]
} cl_tile;

// Where the statements of a copy's body are in the rectangle: at one piece of one row.
typedef struct cl_view {
  bool active;
  const idx *row, *col; // what r and c count from
  uint32_t rows, cols;  // of the rectangle
  uint32_t part_cols;   // of the piece
} cl_view;

typedef struct cl {
  arena *a;
  diag_list *l;
  uint32_t widest;  // lanes of the widest vector
  strbuf body;      // the lines of the kernel at hand
  strbuf functions; // that the kernels call
  map *printed;     // names of these
  bool needs_fp64;

  // the kernel at hand
  kir_kernel *k;
  uint32_t lanes; // workers of a group
  bool is_local;  // scratch lies in local memory
  bool uses_matrices;
  uint32_t depth; // of indentation
  uint32_t serial;
  map *tiles;   // kir_tile -> cl_tile *
  map *numbers; // kir_tile -> its number + 1
  cl_view view;
  uint32_t shared[DT_COUNT]; // elements of local memory that reductions across workers need
} cl;

// -- program.c: lines --
void cl_line(cl *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cl_open(cl *g, const char *fmt, ...) __attribute__((format(printf, 2, 3))); // a line, " {", and deeper
void cl_close(cl *g);
const char *cl_name(cl *g, const char *name);    // a name of the kernel IR as an identifier that is free in OpenCL C
const char *cl_fresh(cl *g, const char *prefix); // a name of the printer's own: see the list there

// -- tile.c --
uint32_t cl_pieces(const cl *g, uint32_t cols);
uint32_t cl_piece_first(const cl *g, uint32_t cols, uint32_t piece);
uint32_t cl_piece_lanes(const cl *g, uint32_t cols, uint32_t piece);
const char *cl_type(cl *g, dtype dt, uint32_t lanes);     // in a register: "float4"
const char *cl_mem_type(dtype dt);                        // of an element in memory: "half"
const char *cl_int_type(cl *g, dtype dt, uint32_t lanes); // signed integers as wide as the register
const char *cl_scalar(cl *g, scalar s);                   // a constant as one element
cl_value cl_splat(cl *g, dtype dt, const char *one, uint32_t lanes);
const char *cl_lane(cl *g, cl_value v, uint32_t lane, uint32_t lanes);
cl_tile *cl_tile_new(cl *g, dtype dt, uint32_t rows, uint32_t cols);
void cl_number(cl *g, const kir_tile *t); // in the order in which the kernel IR is printed, so that names agree
void cl_set(cl *g, const kir_tile *t, const cl_tile *value);
const cl_tile *cl_get(cl *g, const kir_tile *t);
// The name of a piece's variable.
cl_value cl_variable(cl *g, const kir_tile *t, const cl_tile *shape, uint32_t r, uint32_t j);
// The part of a broadcast tile at row r, piece j of a row of `cols` columns.
cl_value cl_part(cl *g, const cl_tile *t, uint32_t r, uint32_t j, uint32_t cols);
// The shape of a statement here: in a copy's body, of the piece at hand.
void cl_shape(const cl *g, uint32_t *rows, uint32_t *cols);

// -- index.c --
bool cl_fits_int(cl *g, const idx *e);                   // e and everything on the way to it fit 32 bits
const char *cl_index(cl *g, const idx *e);               // its text; an int where it fits, else a long
const char *cl_operand(cl *g, const idx *e);             // in brackets unless it is one word
const char *cl_holds(cl *g, const idx *e);               // e >= 0
const idx *cl_at_row(cl *g, const idx *e, uint32_t row); // r replaced, and c shifted to the view
const kir_buffer *cl_buffer(cl *g, const char *name);

// -- access.c: conditions, loads, stores --
typedef struct cl_cond { // of one row
  const char *row;       // what does not depend on c; NULL: true
  uint32_t n_lane;
  const idx **lane; // the rest; those that read a buffer come last
} cl_cond;
cl_cond cl_where(cl *g, kir_where w, uint32_t row, uint32_t cols);
const char *cl_at_lane(cl *g, const cl_cond *w, uint32_t c); // the rest at one c; NULL: true
const char *cl_all(cl *g, const char *x, const char *y);     // x && y; NULL is true
// All lanes of [first, first + lanes) hold; NULL: no simple expression says so.
const char *cl_at_lanes(cl *g, const cl_cond *w, uint32_t first, uint32_t lanes);
const char *cl_mask(cl *g, const cl_cond *w, uint32_t first, uint32_t lanes); // `row` and the rest, as a bool piece

void cl_load(cl *g, const kir_tile *name, cl_tile *out, kir_access acc, kir_where w, scalar otherwise);
void cl_store(cl *g, kir_access acc, const cl_tile *x, uint32_t rows, uint32_t cols, kir_where w);

// -- elementwise.c: text of an operator's result; x[i] are texts of `lanes` lanes --
const char *cl_elementwise(cl *g, op_code op, dtype in, dtype out, uint32_t lanes, const char *const *x);
const char *cl_multiply_add(cl *g, dtype dt, uint32_t lanes, const char *x, const char *y, const char *z);
const char *cl_convert(cl *g, dtype from, dtype to, uint32_t lanes, const char *x);
const char *cl_round(cl *g, dtype dt, uint32_t lanes, const char *x);         // a float to what the dtype can hold
const char *cl_bool(cl *g, dtype of, uint32_t lanes, const char *comparison); // as a bool piece

// -- helper.c --
// A call of the function `name` of the table there for a dtype and a number of lanes; prints it before its first use.
const char *cl_call(cl *g, const char *name, dtype dt, uint32_t lanes, const char *args);

// -- routine.c --
opencl_kernel cl_routine(const kir_kernel *k, const target *t); // how it is launched; lanes 0: the host runs it
void cl_print_routines(size_t n, kir_kernel *const *kernels, strbuf *source); // those of the kernels that are routines

// -- mma.c, reduce.c, stmt.c --
void cl_mma(cl *g, const kir_stmt *s);
void cl_dot(cl *g, const kir_stmt *s);
void cl_reduce(cl *g, const kir_stmt *s);
void cl_stmts(cl *g, const kir_block *b);

#endif
