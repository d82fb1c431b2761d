// What an expression of the model language gives: constants, tuples, tables, sizes, tensors (docs/language.md), or
// `error`: the value of whatever could not be understood, which silences every consequence.
//
// Values are small and passed by value; what they point to is immutable and lives in the elaborator's arena. A size
// that is a plain number is always V_int, so that V_size means "known only at run time".
#ifndef NNC_FRONTEND_VALUE_H
#define NNC_FRONTEND_VALUE_H

#include "ir/graph.h"

typedef enum value_kind {
  V_error,
  V_none,
  V_bool,
  V_int,
  V_float,
  V_string,
  V_dtype,
  V_tuple,
  V_table,
  V_size,
  V_tensor
} value_kind;

typedef struct value_tuple value_tuple;
typedef struct value_table value_table;

typedef struct value {
  value_kind kind;
  union {
    int64_t i; // V_int, V_bool
    double f;
    str s;
    dtype dt;
    const value_tuple *tuple;
    const value_table *table;
    const idx *size;
    ir_value *tensor;
  } v;
} value;

struct value_tuple {
  size_t n;
  const value *at;
};

struct value_table { // a row of numbers the compiler knows
  dtype dt;          // DT_i64, DT_f64 or DT_bool
  size_t n;
  const double *f;  // DT_f64
  const int64_t *i; // DT_i64, DT_bool
};

enum { VALUE_TABLE_MAX = 1 << 20 };

value value_error(void);
value value_none(void);
value value_bool(bool b);
value value_int(int64_t i);
value value_float(double f);
value value_str(str s);
value value_dtype(dtype dt);
value value_tensor(ir_value *t); // NULL gives V_error: the diagnostic was made where the NULL was
value value_size(const idx *e);  // V_int where `e` is a number
value value_tuple_of(arena *a, size_t n, const value *at); // copies
value value_ints(arena *a, size_t n, const int64_t *at);   // a table; copies
value value_floats(arena *a, size_t n, const double *at);
value value_bools(arena *a, size_t n, const int64_t *at);

bool value_is_error(value v);
bool value_is_number(value v);             // V_int or V_float
bool value_is_integer(value v);            // V_int or V_size
const idx *value_idx(idx_ctx *c, value v); // of V_int or V_size
value value_table_at(const value_table *t, size_t i);
bool value_table_uniform(const value_table *t, int64_t *start, int64_t *step); // an integer row start + step*i

// Same kind and same content; tensors and sizes by address.
bool value_same(value a, value b);

void value_print(strbuf *b, value v); // as written in the language: 3, 'gelu', (1, 2), f32[batch, 64]
void value_print_shape(strbuf *b, uint32_t rank, const idx *const *dim); // [batch, 64]
void value_print_type(strbuf *b, ir_type t);                             // f32[batch, 64]; f32 for a scalar
const char *value_idx_text(arena *a, const idx *e);
const char *value_shape_text(arena *a, uint32_t rank, const idx *const *dim);
// For messages: "f32[batch, 64]", "integer 3", "a tuple of 3", "size 2*seq", "None".
const char *value_describe(arena *a, value v);

#endif
