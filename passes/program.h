// What lowering gives and the plan writer takes: kernels (each different one once) and, for `prepare` and for every
// entry, the steps that call them. Everything is expressed over the module's dims.
#ifndef NNC_PASSES_PROGRAM_H
#define NNC_PASSES_PROGRAM_H

#include "ir/kir.h"
#include "passes/pass.h"

typedef enum prog_class {
  PROG_input,
  PROG_output,
  PROG_arena,
  PROG_constant,
  PROG_state
} prog_class; // the order of rt_buffer_class

typedef struct prog_buffer {
  prog_class cls;
  uint32_t index; // input or output of its program; constant: index into program_set.constants; state: of the module
  dtype dt;
  const idx *count;     // elements
  uint32_t first, last; // arena: first and last step that touches it
} prog_buffer;

typedef enum prog_step_kind {
  PROG_STEP_kernel,
  PROG_STEP_bind,
  PROG_STEP_check,
  PROG_STEP_if,
  PROG_STEP_loop,
  PROG_STEP_while
} prog_step_kind; // the order of rt_step_kind

// What a kernel stores of results that are padded: all, or one of the two parts that two kernels share.
typedef enum prog_part { PROG_PART_all, PROG_PART_inside, PROG_PART_border } prog_part;

typedef struct prog_step {
  prog_step_kind kind;
  uint32_t what; // kernel: index into program_set.kernels; bind: the module's dim; check: index into `guards`
  uint32_t n_buffers, n_symbols, n_grid;
  const uint32_t *buffers;   // [n_buffers] into the program's buffers
  const idx *const *symbols; // [n_symbols] over the module's dims
  const idx *const *grid;    // [n_grid]
  const char *label;         // "contract_add encoder.0.fc1"
  diag_span span;
  const ir_node *group;          // whose values a kernel works on, or NULL: what the step computes and moves
  const ir_value *const *values; // [n_buffers]: what each operand is in the group's region; NULL: lowering's own
  const idx *share;              // of the group's work, 0 or 1: two kernels take turns by size; NULL: 1
  prog_part part;
  uint32_t undoes;  // of an undo step: the step that it takes back
  uint32_t body[2]; // steps in the bodies, which follow
  double cost_ns;   // of one grid point, for chunking
} prog_step;

typedef struct prog_check {
  const idx *cond; // >= 0
  const char *text;
  diag_span span;
} prog_check;

typedef struct program {
  const char *name;
  const ir_graph *graph; // NULL for `prepare`
  VEC(prog_buffer) buffers;
  VEC(prog_step) steps;
  VEC(prog_step) undo;    // kernels, in order: what a run that fails takes back
  VEC(prog_step) commit;  // kernels: what a run that succeeds does last
  VEC(prog_check) checks; // on dims that are known before the first step
  VEC(prog_check) guards; // of `check` steps
} program;

// A tensor that does not depend on inputs: a weight or array constant as it is, or something `prepare` computes.
typedef struct prog_constant {
  const char *name; // weight name, or what it is made of
  dtype dt;
  const idx *count;        // elements, constant
  const ir_weight *weight; // plain: the weight as it is
  const ir_value *data;    // plain: an array constant
  bool computed;           // an output of prepare
} prog_constant;

typedef struct prog_fault {
  const char *text;
  diag_span span;
} prog_fault;

typedef struct program_set {
  ir_module *m;
  const target *target;
  VEC(kir_kernel *) kernels;
  program prepare;       // inputs: the plain constants it reads, in `sources`; outputs: all constants
  VEC(uint32_t) sources; // prepare's inputs: constants (plain ones)
  VEC(program *) entries;
  VEC(prog_constant) constants;
  VEC(prog_fault) faults;
} program_set;

// Lowers every graph of a fused module. NULL after diagnostics: all operators that are not compiled are listed, each
// once with its line.
program_set *lower_module(pass_context *c, ir_module *m);

#endif
