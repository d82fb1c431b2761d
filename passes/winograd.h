// Winograd's minimal filtering for 3x3 windows at stride 1: m x m results of a tile come from p x p inputs, p = m + 2,
// by p·p products for each pair of channels instead of 9·m·m (Winograd 1980; Lavin & Gray 2016, arXiv:1509.09308).
//
//   Y = At [(G w Gt) * (Bt d B)] A      *: element by element, summed over channels as p·p products of matrices
#ifndef NNC_PASSES_WINOGRAD_H
#define NNC_PASSES_WINOGRAD_H

#include "passes/contract.h"

enum { WINOGRAD_TAPS = 3, WINOGRAD_MAX = 6 };

typedef struct winograd_form {
  uint32_t m, p;
  float bt[WINOGRAD_MAX][WINOGRAD_MAX], g[WINOGRAD_MAX][WINOGRAD_MAX], at[WINOGRAD_MAX][WINOGRAD_MAX];
} winograd_form;

const winograd_form *winograd_find(int64_t m); // F(m x m, 3x3); NULL: there is none

// The kernel of a contraction that pass winograd chose, once `collect` in schedule_contract.c has made its roots.
// false: what was fused into it since needs the direct schedule.
bool schedule_winograd(contract *x, const ir_node *dot);

#endif
