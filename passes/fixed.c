// Values that weights and constants alone decide: see fixed.h.
#include "passes/fixed.h"

enum { UNKNOWN, OPEN, FIXED };

bool value_is_fixed(map *known, const ir_value *v) {
  const ir_node *n = v->def;
  if (!n || n->n_regions || !op_has(n->op, OPF_PURE)) return false;
  if (n->op == OP_weight || n->op == OP_const) return true;
  uintptr_t found = (uintptr_t)map_get_ptr(known, v);
  if (found != UNKNOWN) return found == FIXED;
  bool all = n->n_in > 0;
  for (uint32_t i = 0; all && i < n->n_in; i++) all = value_is_fixed(known, n->in[i]);
  map_put_ptr(known, v, (void *)(uintptr_t)(all ? FIXED : OPEN));
  return all;
}
