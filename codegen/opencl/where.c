// Conditions of one row of a tile, as C.
//
// What does not depend on c is asked once for the row. The rest is asked lane by lane, but for the test that a whole
// vector holds: a condition that is linear in c holds for all lanes when it holds for the last (falling) or the first
// (rising). Conditions that read an index buffer come last and behind &&, so that they read only where the others hold.
#include "codegen/opencl/cl.h"

const char *cl_all(cl *g, const char *x, const char *y) {
  if (x == NULL || y == NULL) return x == NULL ? y : x;
  return str_fmt(g->a, "%s && %s", x, y);
}

cl_cond cl_where(cl *g, kir_where w, uint32_t row, uint32_t cols) {
  cl_cond out = {.lane = ARENA_ARRAY(g->a, const idx *, w.n)};
  for (int reads = 0; reads < 2; reads++) {
    for (uint32_t i = 0; i < w.n; i++) {
      if (idx_mentions_read(w.cond[i]) != (reads == 1)) continue;
      const idx *e = cl_at_row(g, w.cond[i], row);
      if (cols == 1) e = cl_at_col(g, e, 0);
      bool lanewise = idx_mentions(e, g->k->c) || (reads == 1 && out.n_lane > 0);
      if (lanewise) out.lane[out.n_lane++] = e;
      else out.row = cl_all(g, out.row, cl_holds(g, e));
    }
  }
  return out;
}

const char *cl_at_lane(cl *g, const cl_cond *w, uint32_t c) {
  const char *all = NULL;
  for (uint32_t i = 0; i < w->n_lane; i++) all = cl_all(g, all, cl_holds(g, cl_at_col(g, w->lane[i], c)));
  return all;
}

const char *cl_at_lanes(cl *g, const cl_cond *w, uint32_t first, uint32_t lanes) {
  const char *all = NULL;
  for (uint32_t i = 0; i < w->n_lane; i++) {
    const idx *coef, *rest;
    int64_t k;
    if (!idx_linear(g->k->ix, w->lane[i], g->k->c, &coef, &rest) || !idx_is_const(coef, &k)) return NULL;
    all = cl_all(g, all, cl_holds(g, cl_at_col(g, w->lane[i], k < 0 ? first + lanes - 1 : first)));
  }
  return all;
}

const char *cl_mask(cl *g, const cl_cond *w, uint32_t first, uint32_t lanes) {
  strbuf b;
  sb_init(&b, g->a);
  if (w->n_lane == 0) {
    sb_fmt(&b, "-(%s)", w->row == NULL ? "1" : w->row);
    return lanes == 1 ? sb_cstr(&b) : cl_splat(g, DT_bool, sb_cstr(&b), lanes).text;
  }
  for (uint32_t i = 0; i < lanes; i++)
    sb_fmt(&b, "%s-(%s)", i == 0 ? "" : ", ", cl_all(g, w->row, cl_at_lane(g, w, first + i)));
  return lanes == 1 ? sb_cstr(&b) : str_fmt(g->a, "(%s)(%s)", cl_type(g, DT_bool, lanes), sb_cstr(&b));
}
