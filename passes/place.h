// Places: where each value of a fusion group stands in the group's domain. The domain is a tuple of labels (index
// symbols); the place of a value is its index tuple as a function of them. A value may join a group only if every way
// from it to the group's values agrees on the place, so that one pass over the domain computes all of them.
#ifndef NNC_PASSES_PLACE_H
#define NNC_PASSES_PLACE_H

#include "passes/form.h"

typedef struct domain {
  uint32_t rank;
  const idx *dim[IR_MAX_RANK];   // extents
  const sym *label[IR_MAX_RANK]; // bounds 0 .. extent-1; an extent of 1 keeps its label but is indexed by 0
  const idx *at[IR_MAX_RANK];    // the index tuple of the domain itself: labels, or 0 where the extent is 1
  uint32_t n_reduced;            // row groups: how many labels are reduced
  bool reduced[IR_MAX_RANK];
} domain;

void domain_init(ir_module *m, domain *d, uint32_t rank, const idx *const *dim);

// The most members of a group, reductions among them, and picks (of pads, concatenations, gathers) inside each other
// under one operand of a member or in the member itself: what schedules have room for.
enum { GROUP_MAX_NODES = 128, GROUP_MAX_REDUCTIONS = 12, GROUP_MAX_PICKS = 2 * IR_MAX_RANK };

typedef struct places {
  arena *a;
  ir_module *m;
  map *at; // ir_value * -> const idx *[rank]
  const map
      *stored; // ir_node * -> anything: movement whose result lies in memory, so nothing is seen through it; or NULL
} places;

places places_new(arena *a, ir_module *m);
void place_set(places *p, const ir_value *v, const idx *const *at);
const idx *const *place_get(const places *p, const ir_value *v); // NULL: not in a group

// Whether `v`, read at `at`, meets members of the group only at their own places. `member(user, v)` tells members.
bool place_agrees(const places *p, const ir_value *v, const idx *const *at,
                  bool (*member)(void *user, const ir_value *v), void *user);

// The place that elementwise node `n` would take in a group with domain `d`; false if its operands do not agree on one.
bool place_elementwise(const places *p, const domain *d, const ir_node *n,
                       bool (*member)(void *user, const ir_value *v), void *user, const idx **at);

// The place of a reduction's operand, and whether its axes are labels: fills kept (the result's place) and marks the
// reduced labels.
bool place_reduction(const places *p, const domain *d, const ir_node *n, bool (*member)(void *user, const ir_value *v),
                     void *user, const idx **result_at, bool *reduced);

// The index of a place's label among the domain's, or -1 if the expression is not exactly one label.
int domain_label(const domain *d, const idx *at);

// The places of all values of a group's region, found from its root (see `group` in ir/ops.def). Fills the domain.
// false: not a group that lowering understands.
bool places_of_group(places *p, domain *d, const ir_node *group);

#endif
