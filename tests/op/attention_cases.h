// Attention in every style: the cases of attention_cases.def, which says what the letters mean.
#ifndef NNC_TESTS_OP_ATTENTION_CASES_H
#define NNC_TESTS_OP_ATTENTION_CASES_H

#include "ir/graph.h"

typedef enum attention_how { TILED_T, TILED_C, TILED_W, TILED_L, TILED_LC, TILED_P, TILED_N } attention_how;

typedef struct attention_case {
  const char *name;
  attention_how tiled;
  const char *dims, *inputs, *steps;
} attention_case;

extern const attention_case attention_cases[];
extern const size_t attention_n_cases;

// Its model; NULL after a diagnostic.
ir_module *attention_case_load(arena *a, diag_list *l, const attention_case *t);

#endif
