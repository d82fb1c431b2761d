// The elaborator: runs a model's steps at compile time and leaves the graph IR that they describe. What its files
// share.
//
// It is an interpreter of the model language in which tensors are graph values: `for`, `if`, scopes and sizes are
// decided here, calls of blocks and entries are inlined, and every operation on tensors appends nodes to the current
// region. The prelude (frontend/prelude.yaml) is a unit like any model file; frontend/builtin.h is what it stands on.
//
//   unit      one loaded file: its config and `let` values, dims, blocks, entries, included units
//   dim_env   what the dims of a unit mean in one call of an entry
//   frame     one activation of a block or entry: its names, scope, dims
//   elab      everything else: where nodes go, which step is being elaborated
//
// Errors: a function that returns a value returns V_error after a diagnostic; V_error operands give V_error in silence.
#ifndef NNC_FRONTEND_ELAB_H
#define NNC_FRONTEND_ELAB_H

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "frontend/value.h"

typedef struct elab elab;
typedef struct unit unit;
typedef struct builtin builtin;

// -- units --
typedef enum lazy { LAZY_unset, LAZY_running, LAZY_set } lazy;

typedef struct unit_dim {
  const ast_dim *ast;
  int64_t lo, hi, step;
  bool pinned; // by --dim: `pin`
  int64_t pin;
  const idx *symbol; // the module's dim; NULL until the unit's own symbols are made
  bool in_state;     // a state's type mentions it
} unit_dim;

typedef struct unit_key { // a config key
  const ast_binding *ast;
  value v;
  bool known; // false while earlier keys are being evaluated
} unit_key;

struct unit {
  ast_model *ast;
  const char *path;
  unit *parent; // the file that includes this one
  bool is_prelude;
  map *keys;             // name -> unit_key *
  map *lets;             // name -> index + 1
  map *dims;             // name -> unit_dim *
  map *blocks;           // name -> ast_block *
  map *entries;          // name -> ast_entry *
  map *states;           // name -> ast_decl *
  map *ops;              // name -> ast_custom_op *
  map *includes;         // name -> unit *
  unit_dim *dim;         // [ast->dims.n]
  struct dim_env *plain; // of the prelude, which has no dims
};

// What the dims and `let` names of a unit are in one call of an entry.
typedef struct dim_env {
  unit *u;
  const idx **dim; // [n dims]; NULL: not bound (yet)
  value *let;
  lazy *let_state;
} dim_env;

// -- activations --
typedef struct binding {
  str name;
  value v;
} binding;

typedef struct frame {
  struct frame *caller;
  unit *u;
  dim_env *dims;
  const void *body; // the ast_block or ast_entry, to find recursion
  bool is_entry;
  const ast_expr *unscoped; // the call that made this frame, where its step names no scope: it may not make weights
  bool outside_step;        // and there is no step at all
  const char *scope;        // full scope of this activation
  const char *root_scope;   // full scope of its unit
  VEC(binding) names;
  bool returned;
  value result;
  unsigned runtime_depth; // inside how many run-time bodies
} frame;

typedef struct step_context { // the step being elaborated: weights need its scope
  const ast_step *step;
  const char *scope;
  unsigned n_weighted;
} step_context;

typedef struct state_slot {
  const char *name; // full
  ir_state *state;
  ir_value *now; // the newest version in the current graph; NULL before the first use
  bool wrong;    // its type makes no sense: neither does its value
  diag_span at;
} state_slot;

struct elab {
  arena *a;
  diag_list *l;
  ir_module *m;
  const frontend_options *opt;
  unit *root, *prelude;
  frame *frame;
  step_context *step;
  ir_graph *graph;
  ir_builder *region, *body; // where nodes go; the graph's own body
  ir_builder *scratch;       // where they go, and are lost, while something compile-time is evaluated
  const diag_span *at;       // the user's expression that nodes belong to
  const char *scope;         // and their scope; "" at the top
  VEC(state_slot *) states;
  map *sizes;            // i32 scalar ir_value * -> the idx it was made from
  map *opaque;           // i32 scalar ir_value * -> a symbol that stands for it
  map *origins;          // ir_value * that no node makes, value_table * -> its diag_span *
  map *builtins;         // name -> builtin_entry * (frontend/builtin.c)
  size_t steps_left;     // elaborating ends here, rather than never
  size_t n_approximated; // attentions, by --approx
  unsigned depth;        // of blocks and entries that are being elaborated
  unsigned compile_time; // inside something that the compiler must know
};

// -- elab.c: errors, places, names --
// Where an error in the current expression is shown: `span` itself, or the user's call when inside the prelude.
diag_span elab_span(const elab *e, diag_span span);
// A diagnostic at `span` (through elab_span), once for each place and message; adds "in <prelude function>" when inside
// it.
#define elab_error(e, span, ...) elab_once((e), diag_at((e)->l, elab_span((e), (span)), __VA_ARGS__))
diag *elab_once(elab *e, diag *d);
bool elab_repeats(elab *e, const diag *d); // the message was given before; then it is taken back
bool elab_may_make_weights(elab *e);       // every call on the way here has a scope; reports the one that has none
const char *elab_text(elab *e, str s);     // NUL-terminated copy
ir_builder *elab_nodes(elab *e);           // the builder, with scope and span set for what is built next
void elab_bind(frame *f, arena *a, str name, value v);             // binds or rebinds
value *elab_find_local(frame *f, str name);                        // NULL when absent
value elab_name(elab *e, str name, diag_span span);                // resolves, or reports
value elab_compile_time(elab *e, dim_env *env, const ast_expr *x); // in a frame of its own, without a step or a region
bool elab_default(elab *e, dim_env *env, const ast_type *t, scalar *out); // the `= value` of an input or a state
// The dim or `let` name in an environment; false when the unit has no such name.
bool elab_unit_name(elab *e, dim_env *env, str name, diag_span span, value *out);
state_slot *elab_state(elab *e, const char *root_scope, unit *u, str name); // NULL when the unit has no such state
ir_value *elab_state_now(elab *e, state_slot *s);
// Notes "did you mean" among the names visible here; `calls`: among functions.
void elab_suggest(elab *e, diag *d, str word, bool calls);
const char *elab_join_scope(elab *e, const char *outer, const char *inner);

// -- elab_origin.c: where values come from --
void elab_comes_from(elab *e, value v, diag_span at); // of a parameter, a state or a table; the first place stays
diag_span elab_origin(const elab *e, value v);        // NO_SPAN: nobody knows
// Notes under a clash: "f32[n, 8] comes from m.yaml:8:9, `linear(x, 8)`"; nothing for what has no origin.
void elab_note_origin(elab *e, diag *d, value v);
void elab_note_origins(elab *e, diag *d, value a, value b);
void elab_note_place(elab *e, diag *d, const char *what, diag_span at); // "<what> m.yaml:4:3, `x: f32[n, 8]`"
diag_span elab_decl_span(const ast_decl *x);                            // name and type
diag_span elab_dim_span(const ast_dim *x);                              // name and range

// -- elab_unit.c: files --
unit *unit_load(elab *e, unit *parent, uint32_t file, const char *path, const char *config_name);
unit *unit_prelude(elab *e);
dim_env *dim_env_new(elab *e, unit *u);
bool unit_dim_range(elab *e, unit *u, unit_dim *d);      // evaluates lo, hi, step once
void unit_symbols(elab *e, unit *u, const char *prefix); // a module dim for each dim of the unit that is not pinned
// Evaluates `config` with overrides from files and --set, then `require`.
void unit_configure(elab *e, unit *u, const char *name);

// -- elab_expr.c --
value elab_expr(elab *e, const ast_expr *x);
bool elab_condition(elab *e, const ast_expr *x, const char *word, bool *out); // a compile-time condition of `word`
bool elab_type(elab *e, const ast_type *t, ir_type *out);

// -- elab_const.c: constants and tables, in i64 and f64 --
typedef enum arith {
  AR_add,
  AR_sub,
  AR_mul,
  AR_div,
  AR_floordiv,
  AR_mod,
  AR_pow,
  AR_min,
  AR_max,
  AR_eq,
  AR_ne,
  AR_lt,
  AR_le,
  AR_gt,
  AR_ge,
  AR_and,
  AR_or,
  AR_COUNT
} arith;
bool arith_find(str text, arith *out);
const char *arith_text(arith op);
value const_binary(elab *e, arith op, value a, value b, diag_span span); // both numbers, bools or tables
value const_unary(elab *e, op_code op, value x, diag_span span);         // a number, bool or table
value const_where(elab *e, value c, value a, value b, diag_span span);   // c a table
bool const_equal(value a, value b);                                      // `==` of any two compile-time values

// -- elab_arith.c: every kind --
value elab_binary(elab *e, arith op, value a, value b, diag_span span);
value elab_unary(elab *e, op_code op, value x, const char *name, diag_span span);
value elab_not(elab *e, value x, diag_span span);
value elab_where(elab *e, value c, value a, value b, diag_span span);
value elab_cast(elab *e, value x, dtype to, diag_span span);
value elab_in(elab *e, value a, value b, bool negate, diag_span span);

// -- elab_tensor.c: tensors from other kinds; shapes --
// A number, bool, size or table as a tensor. `dt` DT_COUNT: i32, f32 or bool by kind. V_error stays NULL. NULL after a
// diagnostic.
ir_value *elab_tensor(elab *e, value v, dtype dt, diag_span span);
// A splat of the given shape from a number, bool or size.
ir_value *elab_splat(elab *e, value v, dtype dt, uint32_t rank, const idx *const *dim, diag_span span);
scalar elab_scalar(value v, dtype dt);
ir_value *elab_size_tensor(elab *e, const idx *size, dtype dt); // a scalar tensor that holds the size
const idx *elab_affine(elab *e, ir_value *v); // an i32 scalar as a polynomial over dims and opaque symbols
bool elab_is_opaque(elab *e, const idx *p);   // it mentions a symbol that is no dim
bool elab_is_data(value v);                   // an i32 scalar tensor
typedef struct shaped {                       // what takes part in broadcasting, and what it was made from
  ir_type type;
  value from;
} shaped;
// Broadcasts the shapes of `n` operands: rank and dims of the result. false after a diagnostic.
bool elab_broadcast(elab *e, size_t n, const shaped *x, diag_span span, uint32_t *rank, const idx **dim);
// Makes x have exactly this shape, by broadcasting and by dims known equal.
ir_value *elab_fit(elab *e, ir_value *x, uint32_t rank, const idx *const *dim);
// One dim two values must share: proved, or checked at run time (the left one is the result), or NULL after a
// diagnostic.
typedef enum same_dim { SAME_yes, SAME_no, SAME_checked } same_dim;
same_dim elab_same_dim(elab *e, const idx *a, const idx *b, const char *what);
void elab_check(elab *e, const idx *nonneg, const char *text); // a run-time guard unless proved; once per pair
ir_value *elab_axis_as(elab *e, ir_value *x, uint32_t axis,
                       const idx *dim); // the axis, known to have this extent, typed so

// -- elab_index.c --
value elab_index(elab *e, const ast_expr *x, value left);
value elab_update(elab *e, value target, const ast_expr *index, value v, diag_span span,
                  const char *name); // the new version

// -- elab_call.c --
typedef struct callee { // what a name in front of `(` means; one of fn, block, entry, op
  unit *u;              // where it is defined; NULL for a built-in
  const builtin *fn;
  const ast_block *block;
  const ast_entry *entry;
  const ast_custom_op *op;
} callee;
bool elab_find_callee(elab *e, unit *u, str name, callee *out);
bool elab_enter_call(elab *e, const ast_expr *x, const void *body); // neither recursive nor too deep; reports
value elab_call(elab *e, const ast_expr *x);
bool elab_callee_weighted(elab *e, const ast_expr *x); // a call of something with weights
const char *elab_block_signature(elab *e, const ast_block *b);
const ast_block *elab_prelude_block(elab *e, str name); // NULL when absent

// -- elab_entry.c --
void elab_entry_graph(elab *e, const ast_entry *x);
value elab_custom_call(elab *e, const unit *u, const ast_custom_op *op,
                       const ast_expr *call); // u: where op is declared
value elab_entry_call(elab *e, unit *u, const ast_entry *x, const ast_expr *call, const char *root_scope,
                      bool unscoped);
bool elab_set_dim(elab *e, str name, value v,
                  diag_span span);                   // a step that names a dim; false: it is no dim that a step sets
const idx *elab_own_dim(elab *e, const unit_dim *d); // its symbol, or what it is pinned to

// -- elab_step.c, elab_loop.c --
void elab_steps(elab *e, const ast_steps *steps);
void elab_poison(elab *e, const ast_steps *steps); // what these steps bind is V_error: their own mistakes come later
const char *elab_taken_by(elab *e, str name);      // "a dim": what the name means in this file; NULL: nothing
void elab_loop(elab *e, const ast_step *s);
void elab_while(elab *e, const ast_step *s);
void elab_when(elab *e, const ast_step *s);

// -- elab_scan.c: facts read off the syntax --
typedef struct name_set {
  VEC(str) at;
} name_set;
typedef struct slot_set {
  VEC(state_slot *) at;
} slot_set;
bool scan_weighted(const ast_steps *steps);                        // some step names a scope
bool scan_returns(const ast_steps *steps);                         // every path ends with return
void scan_rebound(elab *e, const ast_steps *steps, name_set *out); // names that steps of this body bind or update
void scan_states(elab *e, unit *u, const char *root_scope, const ast_steps *steps,
                 slot_set *out);                     // that they may update
bool scan_weighted_call(elab *e, const ast_expr *x); // some call in it may make weights
bool scan_sets(const ast_steps *steps, str name);    // some step binds the name
bool scan_mentions(const ast_expr *x, str name);
bool scan_type_mentions(const ast_type *t, str name);

#endif
