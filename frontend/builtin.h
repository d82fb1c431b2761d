// Built-in functions: the part of the prelude that is lowered here, in C, to the primitives of the graph IR.
//
// A row of frontend/builtin.def gives a name, its parameters as the user sees them, and the C function. Arguments are
// bound by the row's own text, which is also the note under a wrong call.
#ifndef NNC_FRONTEND_BUILTIN_H
#define NNC_FRONTEND_BUILTIN_H

#include "frontend/elab.h"

typedef struct call {
  elab *e;
  const builtin *fn;
  diag_span span;      // the whole call
  size_t n;            // parameters of the function
  const value *arg;    // [n], in the order of the parameters; a `*name` parameter is a tuple
  const diag_span *at; // [n]: where each is written; `span` for a default
  const bool *given;   // [n]
} call;

typedef value (*builtin_run)(call *c);

struct builtin {
  const char *name, *params;
  builtin_run run;
  bool weighted; // makes weights: its step needs a scope
};

const builtin *builtin_find(elab *e, str name); // NULL when absent
void builtin_names(elab *e, const char ***at, size_t *n, size_t *cap);
const char *builtin_signature(elab *e, const builtin *fn); // "reshape(x, *dims)"
value builtin_call(elab *e, const builtin *fn, const ast_expr *x);

// -- reading arguments: each reports and returns false where the argument does not fit --
value arg_fail(call *c, size_t i, const char *expected); // "`f` needs <expected> for `name`, found ..."; always V_error
bool arg_errors(const call *c);                          // some argument is V_error, or a tuple that holds one
bool arg_int(call *c, size_t i, int64_t *out);
bool arg_positive(call *c, size_t i, int64_t *out);
bool arg_float(call *c, size_t i, double *out);
bool arg_bool(call *c, size_t i, bool *out);
bool arg_string(call *c, size_t i, str *out);
bool arg_dtype(call *c, size_t i, dtype *out);
bool arg_tensor(call *c, size_t i, ir_value **out); // also a number, size or table, by its own type
bool arg_float_tensor(call *c, size_t i, ir_value **out);
bool arg_axis(call *c, size_t i, uint32_t rank, uint32_t *out);           // negative ones count from the end
bool arg_axes(call *c, size_t i, uint32_t rank, size_t *n, int64_t *out); // an integer or a tuple; None: all
bool arg_sizes(call *c, size_t i, uint32_t *n, const idx **out); // of a `*dims` tuple: given one by one or as one tuple
bool arg_ints(call *c, size_t i, size_t n, int64_t *out);        // an integer repeated, or a tuple of n
value call_fail(call *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); // an error in the call's own words
// The same for two values that clash, with where they come from; None: that side is written in the call.
value call_clash(call *c, value x, value y, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

// -- shared lowering --
value tensor_reduce(elab *e, op_code op, ir_value *x, size_t n, const int64_t *axes, bool keep);
ir_value *tensor_unsqueeze(elab *e, ir_value *x, uint32_t axis);
ir_value *tensor_swap(elab *e, ir_value *x, uint32_t a, uint32_t b); // two axes exchanged
value table_of_values(call *c, value xs);                            // a tuple of numbers as a table

#define B(id, name, params, weighted) value builtin_##id(call *c);
#include "frontend/builtin.def"
#undef B

#endif
