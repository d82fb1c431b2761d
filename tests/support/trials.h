// Every elementwise operator, and every cast, at every dtype it takes: what the back ends' tests of operators share.
//
// A trial is a kernel that applies one operator to special values, random bits and ordinary numbers, in tiles with
// ragged ends and in scalars, judged by op_eval_scalar. Operators that IEEE 754 defines, and all integer ones, must
// agree to the bit (any NaN is a NaN; of min and max, any zero is a zero). The transcendental ones have bounds, the
// back end's own.
#ifndef NNC_TESTS_SUPPORT_TRIALS_H
#define NNC_TESTS_SUPPORT_TRIALS_H

#include "ir/graph.h"

enum { TRIAL_ROWS = 60, TRIAL_WIDE = 21, TRIAL_COLS = TRIAL_WIDE + 1, TRIAL_N = TRIAL_ROWS * TRIAL_COLS };

typedef struct trial {
  op_code op;
  dtype in[3], out;
  uint32_t n_in;
} trial;

typedef struct trial_bounds {
  double (*ulp)(op_code op, dtype dt); // of operators that are not exact: units in the last place of f64, f32, …
  bool (*flushes)(op_code op);         // may it give 0 for what would be subnormal in f32?
} trial_bounds;

void trials_of_operators(void (*run)(void *user, const trial *t), void *user);
void trials_of_casts(void (*run)(void *user, const trial *t), void *user);

// A kernel of that name: parameters are the operands and the result, each [TRIAL_ROWS, TRIAL_COLS].
const char *trial_text(arena *a, const trial *t, const char *name);
// Values for the operands p[0], …: TRIAL_N elements each.
void trial_fill(const trial *t, void *const *p);
// What is wrong with the result, p[t->n_in], or NULL.
const char *trial_judge(arena *a, const trial *t, const trial_bounds *bounds, void *const *p);

#endif
