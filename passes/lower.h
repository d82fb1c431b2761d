// What the files of lowering share (passes/lower*.c). Not for other rooms: they use lower_module of passes/program.h.
#ifndef NNC_PASSES_LOWER_H
#define NNC_PASSES_LOWER_H

#include "passes/fuse.h"
#include "passes/last_use.h"
#include "passes/program.h"
#include "passes/schedule.h"

typedef struct lowering {
  pass_context *c;
  ir_module *m;
  program_set *out;
  map *kernel_by_text;   // fingerprint -> index + 1
  map *constant_by_name; // weight name or pack recipe -> index + 1
  program *p;            // the entry being lowered
  const ir_graph *graph;
  map *buffer_of;          // ir_value * -> buffer index + 1, of p
  map *wanted;             // ir_value * -> buffer index + 1: where a body's result goes, and may be made at once
  map *shared;             // buffer index + 1 of more than one value (updated in place, taken over) -> anything
  last_uses uses;          // in the entry
  map *constant_of;        // ir_value * -> constant index + 1
  map *panels_of;          // constant index + 1 (as a pointer) -> panels *: its packed form
  map *product_of;         // ir_value * -> the group of a product that may pack it, until it has
  map *prepare_buffer;     // constant index + 1 (as a pointer) -> buffer index + 1, of prepare
  map *written;            // ir_value * that an update writes in place -> anything
  map *late;               // sym * of dims that a step of the entry binds -> anything
  map *state_of;           // ir_value * -> state index + 1 of which it is a version
  const ir_value *parts;   // what the first kernel of the attention at work leaves to the second, or NULL
  const ir_value **newest; // [states]: the newest version, once there is one
  const ir_value **home;   // [states]: stands for the state's own memory, once it is used
} lowering;

static inline void *lower_pointer(size_t index) { return (void *)(uintptr_t)(index + 1); }
static inline size_t lower_index(const void *p) { return (size_t)(uintptr_t)p - 1; }

// What a kernel of a group's node does.
typedef enum lower_work { WORK_group, WORK_parts, WORK_save, WORK_restore, WORK_copy, WORK_border } lower_work;

// Schedules `n` and makes a step of the kernel; `from` and `to` are values of lowering's own: `from` of WORK_restore
// and WORK_copy, `to` of WORK_save and WORK_copy; `from` of WORK_border is a yield of the group's. n may be NULL for
// WORK_copy. false after a diagnostic. A step without buffers: a prepared group whose values an equal one gives.
bool lower_kernel(lowering *l, const ir_node *n, lower_work work, const ir_value *from, const ir_value *to,
                  prog_step *s);
void lower_add_step(lowering *l, program *p, prog_step s);
uint32_t lower_buffer(lowering *l, const ir_value *v); // the buffer of the entry that holds a value
const ir_value *lower_fresh(lowering *l, ir_type t, prog_class cls, uint32_t index); // a value with a buffer of its own
bool lower_node(lowering *l, const ir_node *n, bool nested);                         // any node of a fused graph

// A group while its kernel is made: the `user` of its lower_group.
typedef struct lower_user {
  lowering *l;
  const ir_node *node;
  bool prepared;  // it runs in `prepare`
  map *packed;    // value that stands for a packed constant -> constant index + 1
  map *in_panels; // parameter -> its lower_panels
} lower_user;

// The graph's value behind a value of the group's region: an operand or a result of the group node.
const ir_value *lower_outer(const lower_user *u, const ir_value *v, kir_space space);
uint32_t lower_add_buffer(lowering *l, program *p, prog_buffer b);
uint32_t lower_add_kernel(lowering *l, kir_kernel *k, const char *what); // an equal one is kept once

// -- lower_constant.c --
// Index of the constant that a value is, or false: weights and array constants become constants when first asked for.
bool lower_constant(lowering *l, const ir_value *v, uint32_t *index);
// The buffer of `prepare` that holds a constant: an input for plain ones, an output for computed ones.
uint32_t lower_prepare_buffer(lowering *l, uint32_t constant);
// May the group run in `prepare`? All operands constant, no dims, and nothing of it is an output of the entry, or
// written later.
bool lower_is_prepared(lowering *l, const ir_node *n);
// Constants for what a prepared group gives. false: an equal group gave them before (another entry's, or another
// reader's of the same weight), and nothing is left to do.
bool lower_make_constants(lowering *l, const lower_user *u, const lower_group *g, uint32_t kernel, const char *name);
bool lower_param_is_constant(void *user, const ir_value *param); // these three: see lower_group in schedule.h
const ir_value *lower_pack(void *user, lower_group *g, const ir_value *param, kir_kernel *pack, const idx *count,
                           const lower_panels *form);
bool lower_find_panels(void *user, const ir_value *param, lower_panels *out);

bool lower_refuse(lowering *l, const ir_node *n); // a diagnostic: not compiled. Returns false

// The number of a place where data may be found wrong by an operator.
int64_t lower_fault_site(lowering *l, op_code op, diag_span at);

const char *lower_label(const lowering *l, const ir_node *n, const char *what); // with the node's scope

// -- lower_control.c --
void lower_check(lowering *l, const ir_node *n, bool nested);
bool lower_bind(lowering *l, const ir_node *n);
bool lower_control(lowering *l, const ir_node *n); // `if`, `loop`, `while`

// -- lower_routine.c --
void lower_routine(lowering *l, const ir_node *n); // `sort`, `topk`, `scatter`, `compact`, `nms`

// -- lower_state.c --
// Notes states, updates and bound dims before the entry is lowered; false after diagnostics.
bool lower_states_begin(lowering *l);
bool lower_state(lowering *l, const ir_node *n, bool nested); // a `state` node
bool lower_update(lowering *l, const ir_node *n); // an update group: a store in place, with what takes it back
void lower_trace(lowering *l, const ir_node *n);  // which results of a group are versions of states
bool lower_states_end(lowering *l);               // commits new versions that are not where the state lives
// Elements that a value may have: exact where its dims are known before the first step, else an upper bound.
const idx *lower_count(lowering *l, ir_type t);
bool lower_is_late(const lowering *l, const idx *e);

#endif
