// The syntax tree of a model file: what the YAML layer and the expression grammar agree on, every node with its exact
// span. Built by frontend/yaml.c (structure) and frontend/expr.c (scalars); read by the elaborator. Lives in the
// caller's arena.
#ifndef NNC_FRONTEND_AST_H
#define NNC_FRONTEND_AST_H

#include "base/diag.h"
#include "ir/dtype.h"

// Limits, so that no file can make the reader or a recursive walk over the tree run away.
enum {
  AST_MAX_FILE_BYTES = 4 << 20, // of a model or config file
  AST_MAX_EXPR_HEIGHT = 200     // nodes on the longest path down an expression
};

typedef struct ast_expr ast_expr;
typedef struct ast_step ast_step;

typedef enum ast_expr_kind {
  EX_int,
  EX_float,
  EX_string,
  EX_bool,
  EX_none,
  EX_dtype,
  EX_name,  // text: `a` or dotted `a.b.c`
  EX_tuple, // items
  EX_list,  // items: only in data mode (JSON lists; read as tuples)
  EX_call,  // text: dotted callee; items: positional; keys/values: named
  EX_index, // left[items]: each item an expr, EX_slice, EX_ellipsis, or EX_none (new dim)
  EX_slice, // left:right:third, each may be NULL
  EX_ellipsis,
  EX_unary,  // text: "-" | "not"; left
  EX_binary, // text: + - * / // % ** == != < <= > >= in "not in" and or; left, right
  EX_if      // left if third else right  (left = value when true, third = condition)
} ast_expr_kind;

typedef struct ast_arg {
  str name;
  diag_span name_span;
  ast_expr *value;
} ast_arg;

struct ast_expr {
  ast_expr_kind kind;
  uint32_t height;   // 1 + that of the highest child, at most AST_MAX_EXPR_HEIGHT
  diag_span span;    // the whole expression
  diag_span op_span; // the operator, callee name or bracket
  int64_t i;         // EX_int, EX_bool
  double f;          // EX_float (inf, nan, pi included)
  str text;          // EX_string (decoded), EX_name, EX_call, operators
  dtype dt;          // EX_dtype
  ast_expr *left, *right, *third;
  VEC(ast_expr *) items;
  VEC(ast_arg) named;
};

// `name@layer.{i}.norm`: pieces of text and of expressions in braces, in order.
typedef struct ast_scope {
  bool present;
  bool own; // `@.`
  diag_span span;
  VEC(struct {
    str text;
    ast_expr *expr;
    diag_span span;
  })
  pieces; // expr NULL: text
} ast_scope;

typedef struct ast_name {
  str text;
  diag_span span;
} ast_name;

typedef enum ast_step_kind { ST_bind, ST_update, ST_return, ST_for, ST_if, ST_loop, ST_while, ST_when } ast_step_kind;

typedef VEC(ast_step *) ast_steps;

struct ast_step {
  ast_step_kind kind;
  diag_span span;      // the key
  VEC(ast_name) names; // bind targets, for/loop variables, update target (one)
  ast_scope scope;     // bind, return
  ast_expr *expr;      // bind/update/return value; for/loop iterable; if/while/when condition
  ast_expr *limit;     // while: `max`
  ast_expr *target;    // update with an index: an EX_index over the name; else NULL
  ast_steps body;
  VEC(struct {
    ast_expr *cond;
    ast_steps body;
    diag_span span;
  })
  elifs;
  bool has_else;
  ast_steps otherwise;
};

typedef struct ast_param { // of a block
  str name;
  diag_span span;
  ast_expr *dflt; // NULL: required
} ast_param;

typedef struct ast_block {
  str name;
  diag_span span;
  VEC(ast_param) params;
  ast_steps steps;
} ast_block;

typedef struct ast_type { // f32[batch, seq] = 1
  dtype dt;
  bool has_dims; // `f32` alone is a scalar too
  VEC(ast_expr *) dims;
  ast_expr *dflt; // NULL: none
  diag_span span;
} ast_type;

typedef struct ast_decl { // an input or a state: name: type
  ast_name name;
  ast_type type;
} ast_decl;

typedef struct ast_binding { // config, let, outputs, set: name: expr
  ast_name name;
  ast_expr *value; // NULL never
} ast_binding;

typedef struct ast_dim {
  ast_name name;
  ast_expr *lo, *hi, *step; // step NULL: 1
} ast_dim;

typedef struct ast_entry {
  ast_name name; // "forward" for the top-level inputs/steps/outputs
  VEC(ast_decl) inputs;
  ast_steps steps;
  VEC(ast_binding) outputs;
} ast_entry;

typedef struct ast_include {
  ast_name name;
  str file;
  diag_span file_span;
} ast_include;

typedef struct ast_custom_op {
  ast_name name;
  str library, symbol;
  VEC(struct {
    dtype dt;
    str dims;
    ast_name name;
    ast_expr *dflt;
  })
  params;
  VEC(struct {
    dtype dt;
    str dims;
  })
  results;
  diag_span span;
} ast_custom_op;

typedef enum ast_rename_kind { RN_target, RN_ignore, RN_transpose, RN_permute, RN_split, RN_concat } ast_rename_kind;

typedef struct ast_rename {
  VEC(ast_name) patterns;
  ast_rename_kind kind;
  VEC(ast_name) targets;
  VEC(int64_t) numbers; // permute axes
  int64_t dim;          // split, concat
  diag_span span;
} ast_rename;

typedef struct ast_weights { // the `weights:` section: scope (may be empty) -> file
  str scope;
  str file;
  diag_span span;
} ast_weights;

typedef struct ast_model {
  uint32_t file; // index into the diag_list's files
  const char *path;
  int64_t version; // `nnc:`
  str name, doc;
  VEC(ast_binding) config, let;
  VEC(ast_expr *) require;
  VEC(ast_include) includes;
  VEC(ast_dim) dims;
  VEC(ast_decl) states;
  VEC(ast_custom_op) ops;
  VEC(ast_rename) renames;
  VEC(ast_weights) weights;
  VEC(ast_block) blocks;
  VEC(ast_entry) entries;
} ast_model;

// Reads one model file (text already added to `l` as file `file`). Collects every syntax mistake; NULL when any was an
// error.
ast_model *ast_parse_model(arena *a, diag_list *l, uint32_t file, const char *path);
// Data mode: a published config.json or YAML config: nested maps become dotted keys; JSON words `true` `false` `null`
// are understood.
typedef VEC(ast_binding) ast_bindings;
bool ast_parse_config(arena *a, diag_list *l, uint32_t file, ast_bindings *out);
// One expression, as in `--set key=EXPR`; `file` holds just that text.
ast_expr *ast_parse_expr(arena *a, diag_list *l, uint32_t file, uint32_t begin, uint32_t end);

#endif
