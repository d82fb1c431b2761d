// Conditions: index expressions that must be >= 0 for an element to exist.
//
// For one row of a tile a condition is linear in c, nearly always: then it bounds c from one side, and all such bounds
// together are two numbers, compared with the lane numbers. What does not mention c is one i1 for the row. Anything
// else is evaluated for each c. Conditions that read an index buffer come last, and read only where the others may
// hold.
#include "codegen/llvm/cg.h"

static void require(cg *g, cg_cond *w, cg_value holds) {
  w->all = w->has_all ? cg_both(g, w->all, holds) : holds;
  w->has_all = true;
}

static void bound_above(cg *g, cg_cond *w, cg_value v) {
  w->upper = w->has_upper ? cg_least(g, w->upper, v) : v;
  w->has_upper = true;
}

static void bound_below(cg *g, cg_cond *w, cg_value v) {
  w->lower = w->has_lower ? cg_most(g, w->lower, v) : v;
  w->has_lower = true;
}

// k*c + rest >= 0 is c >= ceil(-rest/k) for k > 0, and c <= floor(rest/-k) for k < 0.
static bool linear(cg *g, cg_cond *w, const idx *e) {
  idx_ctx *ix = g->k->ix;
  const idx *coef, *rest;
  int64_t k;
  if (!idx_linear(ix, e, g->k->c, &coef, &rest) || !idx_is_const(coef, &k)) return false;
  if (k == 0) require(g, w, cg_holds(g, rest));
  else if (k < 0) bound_above(g, w, cg_index(g, idx_floordiv(ix, rest, idx_int(ix, -k))));
  else bound_below(g, w, cg_index(g, idx_scale(ix, idx_floordiv(ix, rest, idx_int(ix, k)), -1)));
  return true;
}

LLVMValueRef cg_somewhere(cg *g, const cg_cond *w) {
  cg_value holds = w->has_all ? w->all : (cg_value){LLVMConstInt(g->i1, 1, false), 0};
  if (!w->has_lower && !w->has_upper) return holds.v;
  cg_value first = cg_constant(g, 0), last = cg_constant(g, (int64_t)w->cols - 1);
  if (w->has_lower) first = cg_most(g, first, w->lower);
  if (w->has_upper) last = cg_least(g, last, w->upper);
  return cg_both(g, holds, cg_compare_le(g, first, last)).v;
}

// A bound as a lane number, clamped to -1 … cols so that it fits any width.
static LLVMValueRef clamp(cg *g, cg_value v, uint32_t cols) {
  v = cg_most(g, cg_least(g, v, cg_constant(g, cols)), cg_constant(g, -1));
  return LLVMBuildTrunc(g->b, v.v, g->i32, "");
}

cg_cond cg_where(cg *g, kir_where c, uint32_t row, uint32_t cols) {
  cg_cond w = {.cols = cols, .general = ARENA_ARRAY(g->a, const idx *, c.n)};
  LLVMValueRef outer_guard = g->guard;
  bool any_read = false;
  for (int reads = 0; reads < 2; reads++) {
    if (reads == 1 && any_read) g->guard = cg_somewhere(g, &w);
    for (uint32_t i = 0; i < c.n; i++) {
      bool has_read = idx_mentions_read(c.cond[i]);
      any_read = any_read || has_read;
      if (has_read != (reads == 1)) continue;
      const idx *e = cg_at_row(g, c.cond[i], row);
      if (cols == 1) e = kir_at_col(g->k, e, 0);
      if (!linear(g, &w, e)) w.general[w.n_general++] = e;
    }
  }
  g->guard = outer_guard;
  if (w.has_all) w.row = w.all.v;
  if (w.has_lower) w.first = clamp(g, w.lower, cols);
  if (!w.has_upper) return w;
  w.last = clamp(g, w.upper, cols);
  if (w.row != NULL) { // one comparison serves both
    w.last = cg_select(g, w.row, w.last, LLVMConstInt(g->i32, (uint64_t)-1, true));
    w.row = NULL;
  }
  return w;
}

bool cg_lanewise(const cg_cond *w) { return w->last != NULL || w->first != NULL || w->n_general > 0; }

static LLVMValueRef both(cg *g, LLVMValueRef x, LLVMValueRef y) {
  return x == NULL ? y : y == NULL ? x : cg_and(g, x, y);
}

LLVMValueRef cg_lane_cond(cg *g, const cg_cond *w, uint32_t c) {
  LLVMValueRef at = LLVMConstInt(g->i32, c, false), holds = w->row, outer_guard = g->guard;
  if (w->last != NULL) holds = both(g, holds, cg_icmp(g, LLVMIntSLE, at, w->last));
  if (w->first != NULL) holds = both(g, holds, cg_icmp(g, LLVMIntSGE, at, w->first));
  for (uint32_t i = 0; i < w->n_general; i++) {
    g->guard = holds;
    holds = both(g, holds, cg_holds(g, kir_at_col(g->k, w->general[i], c)).v);
  }
  g->guard = outer_guard;
  return holds;
}

LLVMValueRef cg_lane_mask(cg *g, const cg_cond *w, uint32_t first, uint32_t lanes) {
  if (lanes == 1) return cg_lane_cond(g, w, first);
  if (w->n_general > 0) {
    LLVMValueRef mask = LLVMGetPoison(cg_vec(g->i1, lanes));
    for (uint32_t i = 0; i < lanes; i++) mask = cg_insert(g, mask, cg_lane_cond(g, w, first + i), i);
    return mask;
  }
  LLVMValueRef c = cg_lane_numbers(g, first, lanes), mask = w->row == NULL ? NULL : cg_splat(g, w->row, lanes);
  if (w->last != NULL) mask = both(g, mask, cg_icmp(g, LLVMIntSLE, c, cg_splat(g, w->last, lanes)));
  if (w->first != NULL) mask = both(g, mask, cg_icmp(g, LLVMIntSGE, c, cg_splat(g, w->first, lanes)));
  return mask;
}
