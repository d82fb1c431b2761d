// Fusion in two steps: who belongs together (fuse_group.c), and the graph rebuilt with one `group` node each (fuse.c).
#ifndef NNC_PASSES_FUSE_H
#define NNC_PASSES_FUSE_H

#include "passes/attention.h"
#include "passes/pass.h"
#include "passes/place.h"

typedef enum fuse_kind {
  FUSE_elem,
  FUSE_row,
  FUSE_contract,
  FUSE_attention,
  FUSE_scan,
  FUSE_update,
  FUSE_alone // one operator that is no kernel: control flow, in whose bodies there are groups of their own; a routine
} fuse_kind;

typedef struct fuse_set fuse_set; // the ids of groups that a group needs, directly or not: a bit set

typedef struct fuse_group {
  uint32_t id;
  fuse_kind kind;
  VEC(const ir_node *) nodes; // members in topological order, prologue first
  const ir_node *root;        // whose dims are the domain
  domain dom;
  uint64_t *needs; // bit i: group i must run before
  bool merged;     // became another group's prologue
} fuse_group;

typedef struct fuse_cone { // an attention
  attention_cone cone;
  attention_kind kind;
  const ir_node *last;        // mix, or the division after it
  VEC(const ir_node *) nodes; // met so far, in topological order
} fuse_cone;

typedef struct fuse_plan {
  arena *a;
  ir_module *m;
  const ir_graph *graph;
  uint32_t max_groups; // capacity of the bit sets
  VEC(fuse_group *) groups;
  map *group_of; // ir_node * -> fuse_group *
  map *uses;     // ir_value * -> number of uses, as an integer in the pointer
  map *user;     // ir_value * -> its last user node
  map *free;     // ir_node * -> what its readers compute again: movement, leaves, cheap arithmetic on positions
  map *pinned;   // ir_node * -> anything: of those, what is stored all the same: a gather reads its index from memory
  map *cones;    // ir_node * -> fuse_cone *
  map *remade;   // ir_node * of row groups -> anything: readers outside compute them again from what they are made of
  map *fixed;    // ir_value * of what depends on weights and constants alone -> anything
  places place;
} fuse_plan;

// Assigns every operator that the back end compiles to a group, whose members lie in one region. Movement, constants,
// iota and cheap arithmetic on them belong to nobody, and readers in the bodies of loops and branches compute them too.
fuse_plan *fuse_partition(arena *a, const ir_graph *g);

fuse_group *fuse_group_of(const fuse_plan *p, const ir_value *v); // NULL: a parameter, or belongs to nobody
bool fuse_is_free(const fuse_plan *p, const ir_node *n);          // recomputed by whoever reads it
bool fuse_reaches(const fuse_group *from, const fuse_group *to);  // must `from` run before `to`?
uintptr_t fuse_uses(const fuse_plan *p, const ir_value *v);

// Can lowering make a kernel of the operator? Not of operators without OPF_COMPILED, nor of windows.
bool fuse_has_schedule(ir_module *m, const ir_node *n);

// Is it lowered as it stands, without a kernel: states, guards, `bind`, control flow?
bool fuse_is_step(const ir_node *n);
bool fuse_is_control(const ir_node *n); // `if`, `loop`, `while`
bool fuse_is_alone(const ir_node *n);   // those, and what is a routine of the runtime
// An update of a part of a tensor, which is written in place.
bool fuse_is_store(const ir_node *n);

// -- fuse_uses.c --
void fuse_count_uses(fuse_plan *p);
// Calls f for every node of a region and of the bodies in it; an operator comes after its bodies.
void fuse_each_node(fuse_plan *p, const ir_region *r, void (*f)(fuse_plan *p, const ir_node *n));
// Calls f for every value of outer regions that the bodies of n read, perhaps more than once.
void fuse_captures(const ir_node *n, void (*f)(void *user, const ir_value *v), void *user);
uint32_t fuse_count_nodes(const ir_region *r); // with those of the bodies

// -- fuse_free.c --
bool fuse_is_cheap(op_code op);
void fuse_find_free(fuse_plan *p, const ir_node *n); // notes whether it is fixed, and whether it is free; in order
void fuse_make_free(fuse_plan *p, const ir_node *n); // readers compute it again

// The value behind movement that readers see through; `repeats` (may be NULL) is set where a broadcast is among it.
const ir_value *fuse_behind(const fuse_plan *p, const ir_value *v, bool *repeats);
bool fuse_reads(const fuse_plan *p, const ir_value *v,
                const ir_value *x); // does `v`, seen through what is free, read `x`?

// -- fuse_merge.c --
void fuse_merge_prologues(fuse_plan *p); // cheap elementwise groups into the only group that reads them
void fuse_find_remade(fuse_plan *p);

// What fuse_attention.c asks of fuse_group.c.
form_stop fuse_stops_at_memory(void *plan, const ir_value *v); // a classify of form.h: opens what is free
void fuse_find_attention(fuse_plan *p,
                         const ir_node *n); // fills cones from a contraction with the weights; every node, in order

#endif
