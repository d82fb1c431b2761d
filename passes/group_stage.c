// A block of an operand to the scratch of a group of workers. It is computed as it is staged, once a block: gathers,
// casts, windows. Four neighbours are taken along the label that lies side by side in memory, so that workers next to
// each other read what is next to each other.
#include "passes/group_stage.h"

static void stage_quad(const group_stage *x, const splice *outer, kir_builder *b, const idx *q, int64_t quads) {
  kir_kernel *kernel = x->g->k;
  idx_ctx *kc = kernel->ix;
  dtype dt = x->to->dt;
  const idx *in_line = idx_int(kc, (x->along_deep ? x->depth : x->width) / GROUP_QUAD);
  const idx *line = kir_let(b, "l", idx_floordiv(kc, q, in_line));
  const idx *at =
      idx_add(kc, kir_let(b, "q", idx_scale(kc, idx_mod(kc, q, in_line), GROUP_QUAD)), idx_of(kc, kernel->c));
  const idx *own = x->along_deep ? line : at, *deep = x->along_deep ? at : line;
  const idx *own_at = idx_add(kc, x->own_first, own), *deep_at = idx_add(kc, x->deep_first, deep);
  const idx *own_in = idx_addi(kc, idx_sub(kc, x->own_end, own_at), -1),
            *deep_in = idx_addi(kc, idx_sub(kc, x->deep_end, deep_at), -1);
  splice s = *outer;
  s.b = b;
  s.rows = 1;
  s.cols = GROUP_QUAD;
  s.done = NULL;
  s.row_tail = NULL;
  s.col_tail = x->along_deep ? deep_in : own_in;
  splice_bind(&s, x->own, x->along_deep ? idx_clamped(kc, own_at, x->own_end) : own_at);
  splice_bind(&s, x->deep, x->along_deep ? deep_at : idx_clamped(kc, deep_at, x->deep_end));
  kir_tile *t = kir_convert(b, splice_tile(&s, x->e), dt);
  t = splice_zero_behind(x->g, b, t, 1, GROUP_QUAD, deep_in);
  const idx *to[] = {idx_add(kc, idx_scale(kc, deep, x->stride), own)};
  const idx *has_work[] = {idx_sub(kc, idx_int(kc, quads - 1), q)};
  kir_store(b, x->to, to, t, 1, GROUP_QUAD, kir_conds(kernel, 1, has_work));
}

void group_stage_block(const group_stage *x, const splice *outer, kir_builder *b, const sym *worker, int64_t workers) {
  idx_ctx *kc = x->g->k->ix;
  int64_t quads = (int64_t)x->width * x->depth / GROUP_QUAD;
  for (int64_t from = 0; from < quads; from += workers)
    stage_quad(x, outer, b, idx_addi(kc, idx_of(kc, worker), from), quads);
}
