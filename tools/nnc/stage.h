// Intermediate forms as text: what `show` prints and `compile --emit` writes.
#ifndef NNC_TOOLS_STAGE_H
#define NNC_TOOLS_STAGE_H

#include "passes/program.h"
#include "runtime/session.h"
#include "tools/nnc/signature.h"

void stage_kernels(strbuf *b, const program_set *set);
void stage_dot(strbuf *b, const ir_module *m, const char *title); // Graphviz; a cluster a fused group

// -- an entry at the sizes of its signature --
typedef struct sized_entry {
  const signature *s;
  rt_session *session; // its kernels are never called
  const rt_program *program;
  const program_state *state;
} sized_entry;

// Released with the arena, as `m` must be. false: *err says which sizes do not fit.
bool stage_bind(cli *c, const rt_module *m, const signature *s, sized_entry *out, rt_error *err);

// A checked plan: programs, buffers, steps. `e`: the entry whose steps are told with what they move; NULL: none.
// `on_host`: of a plan for a device, the kernels that the CPU runs all the same; NULL: it is for the CPU.
void stage_plan(strbuf *b, const rt_plan *p, const sized_entry *e, const bool *on_host);
void stage_totals(strbuf *b, const sized_entry *e); // what it moves and holds, beside their lower bounds
void stage_memory(strbuf *b, const sized_entry *e); // where each arena buffer lies

#endif
