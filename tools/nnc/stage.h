// Intermediate forms as text: what `show` prints and `compile --emit` writes.
#ifndef NNC_TOOLS_STAGE_H
#define NNC_TOOLS_STAGE_H

#include "passes/program.h"
#include "runtime/rt.h"
#include "tools/nnc/signature.h"

void stage_kernels(strbuf *b, const program_set *set);
void stage_plan(strbuf *b, const rt_plan *p);                     // a checked plan: programs, buffers, steps
void stage_dot(strbuf *b, const ir_module *m, const char *title); // Graphviz; a cluster a fused group

// Where each arena buffer of an entry lies for the dims of `s`; `m` lives as long as the arena. false after a
// diagnostic in c->diags.
bool stage_memory(cli *c, strbuf *b, const rt_module *m, const signature *s);

#endif
