// The plan: one flat, offset-based, versioned blob that says what to run, the same for JIT and AOT. Little-endian;
// every offset counts bytes from the start of the blob; every array is 8-byte aligned. Written by codegen/plan, read by
// the executor, checked by `rt_plan_check` before anything in it is believed.
//
//   header · strings · dims · expressions · tensors · buffers · kernels · steps · programs
//
// A *program* is a list of steps with inputs and outputs: program 0 is `prepare` (inputs: raw weights, outputs:
// constants), the others are the model's entries, in order. All sizes are 64-bit expressions over the dims, in postfix
// code. *States* are tensors that the session keeps between runs.
#ifndef NNC_RUNTIME_PLAN_H
#define NNC_RUNTIME_PLAN_H

#include <stdint.h>

#define RT_PLAN_MAGIC 0x31306e616c706e6eULL // "nnplan01"
enum {
  RT_PLAN_VERSION = 4,
  RT_MAX_RANK = 12,
  RT_MAX_STACK = 640,
  RT_MAX_NESTING = 32
}; // stack of an expression; bodies

// Element types, in the order of ir/dtype.def (checked there by a static assertion).
typedef enum rt_dtype { RT_f32, RT_f16, RT_bf16, RT_f64, RT_i8, RT_u8, RT_i32, RT_i64, RT_bool, RT_DTYPES } rt_dtype;

typedef struct rt_range { // an array in the blob
  uint64_t offset;
  uint64_t count;
} rt_range;

typedef struct rt_plan {
  uint64_t magic;
  uint32_t version;
  uint32_t cpu_level;             // enum cpu_level of ir/target.h: refused at load on a lesser CPU
  uint64_t size_bytes;            // of the whole blob
  uint64_t checksum;              // rt_checksum of the blob with this field 0
  uint64_t weights_key;           // hash of weight names, shapes and the layout of the constants block
  uint64_t constants_bytes;       // size of the constants block (multiple of 4096)
  uint32_t name;                  // string
  uint32_t scratch_bytes;         // a worker's scratch, the largest of all kernels
  rt_range strings;               // bytes; a string is an offset into them, NUL-terminated
  rt_range dims;                  // rt_dim
  rt_range code;                  // int64_t: all expressions
  rt_range tensors;               // rt_tensor_info: inputs, outputs, weights, constants
  rt_range buffers;               // rt_buffer
  rt_range kernels;               // rt_kernel_info
  rt_range steps;                 // rt_step
  rt_range words;                 // uint32_t: operand lists, dim lists
  rt_range programs;              // rt_program
  rt_range faults;                // rt_fault_site
  rt_range checks;                // rt_check
  uint32_t first_state, n_states; // tensors; `dflt` is the initial value
} rt_plan;

typedef struct rt_dim {
  uint32_t name; // string
  uint32_t pad;
  int64_t lo, hi, step; // declared range: value in lo..hi and value % step == 0
} rt_dim;

// An expression: index of its first code word. Postfix: each word pair {op, argument}.
typedef enum rt_code {
  RT_PUSH,
  RT_DIM,
  RT_ADD,
  RT_SUB,
  RT_MUL,
  RT_FLOORDIV,
  RT_MOD,
  RT_MIN,
  RT_MAX,
  RT_END,
  RT_CODES
} rt_code;

typedef struct rt_tensor_info {
  uint32_t name;  // string
  uint32_t dtype; // rt_dtype
  uint32_t rank;
  uint32_t dims;  // words[dims .. dims+rank): expressions
  uint32_t flags; // RT_OPTIONAL
  uint32_t pad;
  uint64_t dflt; // of an optional input that was not given, of a state before its first run: the bytes of each element
} rt_tensor_info;
enum { RT_OPTIONAL = 1 };

typedef enum rt_buffer_class {
  RT_BUF_input,
  RT_BUF_output,
  RT_BUF_arena,
  RT_BUF_constant,
  RT_BUF_state,
  RT_BUF_CLASSES
} rt_buffer_class;

typedef struct rt_buffer {
  uint32_t cls;         // rt_buffer_class
  uint32_t index;       // input, output or state number; constant: tensor number of program 0's output
  uint32_t size;        // expression: bytes, at most; over dims that are known before the first step
  uint32_t first, last; // arena: steps of its program [first, last] in which it is live
  uint32_t pad;
  uint64_t offset; // constant: byte offset in the constants block
} rt_buffer;

typedef struct rt_kernel_info {
  uint32_t name; // string: the symbol
  uint32_t n_buffers, n_symbols, n_grid;
  uint32_t access; // words[access .. +n_buffers): what it does with each buffer, RT_READS | RT_WRITES
} rt_kernel_info;
enum { RT_READS = 1, RT_WRITES = 2 };

// Steps run in order. Those from `if` on have bodies: the body[0] steps that follow, then body[1] more; the next step
// comes after them.
typedef enum rt_step_kind {
  RT_STEP_kernel,
  RT_STEP_bind,  // the dim has the value of the i32 scalar in its buffer from here on
  RT_STEP_check, // a condition over dims that are bound by a step
  RT_STEP_if,    // the first body where the bool scalar in its buffer holds, else the second
  RT_STEP_loop,  // the first body as often as the i32 scalar in its first buffer says; the second takes the turn's
                 // number
  RT_STEP_while, // the second body while the bool scalar in its buffer holds after the first, at most symbols[0] times
  RT_STEP_KINDS
} rt_step_kind;

typedef struct rt_step {
  uint32_t kind;    // rt_step_kind
  uint32_t what;    // kernel: its number; bind: the dim; check: its number
  uint32_t buffers; // words[buffers .. +rt_step_buffers): buffer numbers
  uint32_t symbols; // words[symbols .. +n_symbols): expressions; while: one, the bound
  uint32_t grid;    // words[grid .. +n_grid): expressions
  uint32_t label;   // string: what it computes, for profiles ("contract encoder.0.fc1")
  uint32_t file;    // string: the YAML file's name without its folder, "" if none
  uint32_t line;    // YAML line, 0 if none
  uint32_t macs;    // kernel: expression, its multiply-adds
  uint32_t bytes;   // kernel: words[bytes .. +n_buffers): expressions, what it reads or writes of each at least
  uint32_t undoes;  // of an undo step: the step that it takes back, which is in no body
  uint32_t body[2]; // steps in the bodies
  uint32_t pad;
  double cost_ns; // estimate for one grid point
} rt_step;

typedef struct rt_program {
  uint32_t name;                    // string; "prepare" or the entry's name
  uint32_t first_step, n_steps;     // then n_undo steps, then n_commit steps, all kernels
  uint32_t n_undo;                  // what a run that fails takes back, in order
  uint32_t n_commit;                // what a run that succeeds does last: new versions of states go where states live
  uint32_t first_buffer, n_buffers; // its own buffers are contiguous
  uint32_t first_input, n_inputs;   // tensors
  uint32_t first_output, n_outputs; // tensors
  uint32_t first_check, n_checks;   // before the first step
  uint32_t pad;
} rt_program;

// A guard on dims that could not be proved when compiling: evaluated when dims bind; `expr` < 0 is an input error with
// this text.
typedef struct rt_check {
  uint32_t expr; // expression
  uint32_t text; // string
  uint32_t line;
  uint32_t pad;
} rt_check;

typedef struct rt_fault_site {
  uint32_t text; // string: "index out of range in `take`"
  uint32_t line;
} rt_fault_site;

#endif
