// `bind`: a dim that no input has takes the value of an i32 scalar computed in the graph (a count of kept boxes, a cache's
// length). From this node on, sizes and index expressions that mention the dim have that value; it is used by no node before,
// and inside a loop it is bound anew in each turn.
#include "ir/interp.h"

static const sym *bound_dim(ir_module *m, const ir_node *n) {
  const idx *dim = ir_attr_idx(m, n, "dim", NULL);
  return dim == NULL ? NULL : idx_is_symbol(dim);
}

EVALUATOR(bind) {
  (void)out;
  const sym *s = bound_dim(it->m, n);
  size_t i = 0;
  while (i < it->m->dims.n && it->m->dims.at[i]->symbol != s) i++;
  if (i == it->m->dims.n) return interp_malformed(it, n, "its dim is not one of the module's");
  const ir_dim *d = it->m->dims.at[i];
  if (!interp_expect(it, n, in[0], 0, NULL)) return false;
  int64_t v = interp_get(in[0], 0).v.i;
  if (v < d->lo || v > d->hi || (d->step > 1 && v % d->step != 0)) {
    return interp_error(it, n, interp_dim_range, d->symbol->name, (long long)v, (long long)d->lo, (long long)d->hi,
                        (long long)(d->step > 1 ? d->step : 1));
  }
  it->frame->dim_value[i] = v;
  it->frame->dim_bound[i] = true;
  return true;
}
