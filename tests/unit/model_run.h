// Models given as text, elaborated, verified and run by the interpreter.
#ifndef NNC_TESTS_MODEL_RUN_H
#define NNC_TESTS_MODEL_RUN_H

#include "frontend/frontend.h"
#include "interp_run.h"

#define HEAD "nnc: 1\nname: m\n"

// The module of a model that must be right: anything else fails the test.
ir_module *elaborated(scratch *s, const char *text, const frontend_options *opt);
// Runs an entry on these inputs; NULL after a diagnostic of the run.
ir_tensor **run_entry(scratch *s, ir_module *m, const char *entry, const ir_tensor *const *in);
// Elaborates and runs `forward`, which must succeed.
ir_tensor **run_model(scratch *s, const char *text, const ir_tensor *const *in);

#endif
