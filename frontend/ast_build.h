// Shared by the files that turn the YAML tree into the syntax tree. Internal to the frontend.
#ifndef NNC_FRONTEND_AST_BUILD_H
#define NNC_FRONTEND_AST_BUILD_H

#include "frontend/ast.h"
#include "frontend/grammar.h"
#include "frontend/yaml_tree.h"

typedef struct builder {
  arena *a;
  diag_list *l;
  uint32_t file;
  str text;      // of the file
  bool complete; // false: the tree is cut off, so what is missing is no mistake
  ast_model *m;
} builder;

// Is the value of this kind and in block style? If not, a report: "expected <what>, found ...". Broken nodes: false,
// silently.
bool build_want(builder *b, const ynode *value, ynode_kind kind, const ynode *key, const char *what);
lexer build_lexer(builder *b, diag_span of);
bool build_name(builder *b, const ynode *key, const char *what, ast_name *out); // a plain name as a key
// One expression. `strings`: a value in quotes is a string whatever it holds (config, let).
ast_expr *build_expr(builder *b, const ynode *key, const ynode *value, bool strings);
bool build_text(builder *b, const ynode *key, const ynode *value, const char *what,
                str *out); // free text, such as a file name
void build_steps(builder *b, const ynode *key, const ynode *value, ast_steps *out);
void build_config(builder *b, const ynode *key, const ynode *value);
void build_renames(builder *b, const ynode *key, const ynode *value);
// Reports a key that is none of `known`, with the nearest or all of them. `owner` NULL: a section.
void build_unknown_key(builder *b, const ynode *key, const char *owner, const char *const *known, size_t n);

#endif
