// Reference cases that are expressions of the model language (`prelude: …`), as small models.
#ifndef NNC_TESTS_PRELUDE_CASES_H
#define NNC_TESTS_PRELUDE_CASES_H

#include "op/ref_cases.h"

typedef enum extents { EXT_constant, EXT_first_open, EXT_all_open } extents; // which extents of the inputs are dims

// The YAML of a model with the case's inputs and one step. An extent of 7 is the dim n7, so that equal extents stay
// equal.
str prelude_case_text(arena *a, const ref_case *c, extents how);

// Gives every weight w of the module the tensor `<prefix>w` of the file. false: `why` says which is missing.
bool prelude_case_weights(ir_module *m, arena *a, const st_file *store, const char *prefix, const char **why);

#endif
