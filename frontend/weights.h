// Binding weights: which tensor of which file each weight of a module is, and its elements. Internal to the frontend;
// the door is frontend_bind_weights of frontend/frontend.h.
//
//   weights.c         what files there are, and the order of the work
//   weights_match.c   names: rename rules applied to every tensor
//   weights_load.c    shapes and types checked, elements converted
//   weights_report.c  what is missing, what does not fit, what nobody uses
//   weights_init.c    random initialisation
#ifndef NNC_FRONTEND_WEIGHTS_H
#define NNC_FRONTEND_WEIGHTS_H

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "frontend/rename.h"
#include "frontend/safetensors.h"
#include "ir/graph.h"

typedef struct weight_rule {
  const ast_rename *ast;
  VEC(name_pattern) patterns, targets;
} weight_rule;

typedef struct weight_source {
  const char *path;
  str scope; // put before each of its names, with a dot; may be empty
  st_file *file;
  VEC(weight_rule) rules;
  VEC(const st_tensor *) unused;
} weight_source;

typedef struct weight_part {
  const st_tensor *tensor; // NULL: not found
  const weight_source *source;
} weight_part;

// One weight of the module and where it comes from.
typedef struct weight_slot {
  ir_weight *w;
  int64_t dim[IR_MAX_RANK];
  const weight_rule *rule;         // NULL: the tensor of the same name, as it is
  size_t n_parts;                  // patterns of the rule; 0: nothing found
  weight_part *parts;              // [n_parts]: concatenated in order
  size_t split_index;              // split: which target this weight is
  struct weight_slot **split_into; // split: all targets, in order
  bool reported;
} weight_slot;

typedef struct weight_binder {
  arena *a;
  diag_list *l;
  ir_module *m;
  const char *path; // of the model
  size_t n_slots;
  weight_slot *slots;
  map *slot_by_name;
  VEC(weight_source *) sources;
  weight_files *read; // every file opened; may be NULL
} weight_binder;

bool weight_slot_complete(const weight_slot *s); // every part found

// -- weights_match.c --
// Compiles the rename rules of a model file, already checked when it was parsed.
void weights_add_rules(weight_binder *b, weight_source *s, const ast_model *model);
void weights_match(weight_binder *b, weight_source *s); // every tensor of the source to its slot, or to `unused`
void weights_dotted(strbuf *out, const char *name);     // a checkpoint's name: `/` reads as `.`

// -- weights_load.c --
// Gives a complete slot its data. NULL, or why the tensors do not fit.
const char *weights_load(weight_binder *b, weight_slot *s);

// -- weights_report.c --
void weights_report_missing(weight_binder *b);
void weights_report_unused(weight_binder *b);
const char *weights_type_text(arena *a, dtype dt, uint32_t rank, const int64_t *dim); // f32[64, 3]
const char *weights_place_text(weight_binder *b, diag_span at);                       // m.yaml:12:9
const char *weights_sources_text(weight_binder *b);

// -- weights_init.c --
// The same elements for the same seed, name, shape and rule, whatever else the module holds.
void weights_init_random(weight_binder *b, weight_slot *s, uint64_t seed);

#endif
