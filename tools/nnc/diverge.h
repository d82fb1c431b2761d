// Where compiled code and the interpreter part: step by step over the fused graph, and pass by pass.
#ifndef NNC_TOOLS_DIVERGE_H
#define NNC_TOOLS_DIVERGE_H

#include "tools/nnc/compare.h"
#include "tools/nnc/job.h"

typedef struct divergence {
  bool found;
  uint32_t step;     // of the plan
  const char *label; // what the step computes
  const char *file;  // NULL: no YAML line
  uint32_t line;
  comparison by;
} divergence;

// Runs the compiled entry once more and compares what each step stores with the interpreter's value of the same group.
// A step reads what compiled steps before it stored, so the first one found is where the difference enters. false after
// diagnostics in j->diags or c->diags.
bool find_divergence(cli *c, compile_job *j, const signature *s, compiled_run *r, const ir_tensor *const *in,
                     divergence *out);

// The first pass after which the interpreted graph gives outputs that differ from `want`; NULL: none. false after
// diagnostics, reported.
bool find_pass(cli *c, const signature *s, const ir_tensor *const *in, ir_tensor *const *want, const char **pass,
               exit_status *status);

// Interprets one graph with the dims of `s`.
bool interpret(cli *c, const signature *s, ir_graph *g, const ir_tensor *const *in, ir_tensor **out,
               void (*watch)(void *user, const ir_value *v, const ir_tensor *t), void *user);

#endif
