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

// What the interpreter keeps between calls: the values of the module's states, NULL for initial ones.
typedef struct call_history {
  int64_t calls;      // calls before the one that is looked at
  ir_tensor **states; // [states]: as they left them
} call_history;

// Runs the compiled entry once more, after as many calls as `h` says, and compares what each step stores with the
// interpreter's value of the same group. A step reads what compiled steps before it stored, so the first one found is
// where the difference enters. false after diagnostics in j->diags or c->diags.
bool find_divergence(cli *c, compile_job *j, const signature *s, compiled_run *r, const ir_tensor *const *in,
                     const call_history *h, divergence *out);

// The first pass after which the interpreted graph gives outputs that differ from `want`; NULL: none. false after
// diagnostics, reported.
bool find_pass(cli *c, const signature *s, const ir_tensor *const *in, const call_history *h, ir_tensor *const *want,
               const char **pass, exit_status *status);

// Interprets one graph with the dims of `s`; `states` as in interp_options.
bool interpret(cli *c, const signature *s, ir_graph *g, const ir_tensor *const *in, ir_tensor **out, ir_tensor **states,
               void (*watch)(void *user, const ir_value *v, const ir_tensor *t), void *user);

#endif
