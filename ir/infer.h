// Shape rules: what ir/build.c, ir/verify.c and the files ir/infer_*.c share. Nobody else includes this.
//
// Each value of the column `shape` of ir/ops.def names one function `infer_<shape>`. It checks operands and attributes
// of a node that does not exist yet (or of one under verification), and gives the result types. Dims whose equality is
// unknown are accepted: what must hold at run time is collected in `required`, and the builder makes `check` nodes of
// it.
#ifndef NNC_IR_INFER_H
#define NNC_IR_INFER_H

#include "ir/graph.h"

typedef struct requirement {
  const idx *nonneg; // must be >= 0
  const char *text;
} requirement;

typedef struct infer {
  ir_module *m;
  const op_info *info;
  ir_node n;           // op, operands, attributes, regions; no results yet
  uint32_t n_declared; // result types given by the caller, or 0
  const ir_type *declared;
  ir_type *out; // [n_out]: the answer
  uint32_t n_out;
  const ir_map *map; // when the operator has one
  VEC(requirement) required;
  diag_id problem_id; // set with `problem` when a rule returns false
  const char *problem;
} infer;

typedef bool (*infer_rule)(infer *x);

#define OP(name, cls, min_in, max_in, outs, flags, shape, attrs, yaml, doc) bool infer_##shape(infer *x);
#include "ir/ops.def"
#undef OP

// Checks arity, dtypes, attributes (x->n.attrs sorted and in the row's kinds), then runs the rule.
bool infer_node(infer *x);

// -- helpers of the rules (ir/infer.c) --
// Each returns false, with the problem noted.
bool infer_fails(infer *x, diag_id id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool infer_mismatch(infer *x, ir_type a, ir_type b); // "types %s and %s differ"
#define infer_operand(x, ...)   infer_fails((x), DIAG_ID_graph_operand, __VA_ARGS__)
#define infer_attribute(x, ...) infer_fails((x), DIAG_ID_graph_attribute, __VA_ARGS__)
#define infer_shape(x, ...)     infer_fails((x), DIAG_ID_graph_shape, __VA_ARGS__)

ir_type infer_in(const infer *x, uint32_t i);    // type of operand i
void infer_out(infer *x, uint32_t i, ir_type t); // sets result i
ir_type infer_type(infer *x, dtype dt, uint32_t rank, const idx *const *dim);
ir_type infer_scalar(dtype dt);

bool infer_same_dim(infer *x, const idx *a, const idx *b); // false only when they are proved different
bool infer_same_dims(infer *x, ir_type a, ir_type b);      // notes the mismatch
bool infer_same_type(infer *x, ir_type a, ir_type b);      // and dtype
bool infer_requires(infer *x, const idx *nonneg, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))); // false only when proved negative
bool infer_axis(infer *x, const char *key, uint32_t rank, uint32_t *axis);
bool infer_axes(infer *x, const char *key, uint32_t rank, bool *has); // has[rank] is filled
bool infer_is_scalar(infer *x, uint32_t operand, dtype dt);
bool infer_one_of(infer *x, const char *key, const char *const *names, size_t n);
const char *infer_type_text(infer *x, ir_type t);
const char *infer_idx_text(infer *x, const idx *e);

// -- maps (ir/map.c) --
// `same` decides whether two extents of one label agree. NULL: *problem says why, in words.
const ir_map *map_parse(ir_module *m, const char *text, uint32_t n_operands, const ir_type *types,
                        bool (*same)(void *user, const idx *a, const idx *b), void *user, const char **problem);

// -- attributes by schema (ir/schema.c) --
typedef enum schema_kind {
  SCHEMA_int,
  SCHEMA_float,
  SCHEMA_idx,
  SCHEMA_ints,
  SCHEMA_idxs,
  SCHEMA_str,
  SCHEMA_dtype,
  SCHEMA_any
} schema_kind;

typedef struct schema_item {
  str key;
  schema_kind kind;
  bool optional;
} schema_item;

bool schema_next(const char **p, schema_item *item); // walks a row's `attrs` column
bool schema_find(const op_info *info, str key, schema_item *item);
// Sorted copies in the kinds of the row; `any` in the kind that `dt` calls for. false: *problem says why.
bool schema_apply(ir_module *m, const op_info *info, dtype dt, uint32_t n, const ir_attr *given, const ir_attr **out,
                  const char **problem);

#endif
