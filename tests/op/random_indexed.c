// Random reads and writes at computed places, and what is selected: see random_graph.h.
#include "op/random_gen.h"
#include <math.h>
#include <string.h>

static bool has_dims(gen *g, const rv *x) {
  (void)g;
  return x->v->type.rank > 0;
}

static bool is_image(gen *g, const rv *x) {
  (void)g;
  return x->v->type.rank == 4 && dtype_is_float(x->v->type.dt);
}

static bool is_ordered(gen *g, const rv *x) { return has_dims(g, x) && x->crisp && x->v->type.dt != DT_bool; }

static ir_value *index_param(gen *g, int64_t least, uint32_t rank, const idx *const *dim) {
  const char *name = str_fmt(g->a, "g%lld_%u", (long long)least, g->n_names++);
  return ir_graph_param(g->g, name, ir_type_make(g->m, DT_i32, rank, dim), NULL);
}

static ir_node *node(gen *g, op_code op, uint32_t n_in, ir_value *const *in, uint32_t n_attrs, const ir_attr *attrs) {
  return ir_build(&g->b, op, n_in, in, n_attrs, attrs, 0, NULL, 0, NULL);
}

bool step_gather(gen *g) {
  const rv *p = gen_pick(g, has_dims);
  if (!p) return false;
  rv x = *p;
  ir_type t = x.v->type;
  uint32_t axis = below(g, t.rank), batch = axis > 0 && chance(g, 30) ? 1 + below(g, axis) : 0, rank = batch;
  int64_t least = gen_extent(g, t.dim[axis], false);
  if (least < 1) return false;
  const idx *dim[IR_MAX_RANK];
  for (uint32_t i = 0; i < batch; i++) dim[i] = t.dim[i];
  for (uint32_t more = below(g, 3); more > 0; more--) dim[rank++] = gen_dim(g);
  if (t.rank - 1 + rank - batch > GEN_MAX_RANK) return false;
  if (gen_count(g, t) > g->big / 8 || gen_count(g, ir_type_make(g->m, DT_i32, rank, dim)) > 50) return false;
  ir_value *v = ir_gather(&g->b, x.v, index_param(g, least, rank, dim), axis, batch);
  gen_push(g, v, x.lo, x.hi, x.crisp, x.nasty);
  return true;
}

// Of several values for one place the last one counts, or all do.
bool step_scatter(gen *g) {
  static const char *const modes[] = {"set", "add", "max", "min"};
  const rv *p = gen_pick(g, has_dims);
  if (!p) return false;
  rv x = *p;
  ir_type t = x.v->type;
  uint32_t axis = below(g, t.rank), rank = 0, mode = t.dt == DT_bool ? 0 : below(g, 4);
  int64_t least = gen_extent(g, t.dim[axis], false);
  if (least < 1 || gen_count(g, t) > g->big) return false;
  const idx *index_dim[2], *dim[IR_MAX_RANK];
  for (uint32_t more = below(g, 3); more > 0; more--) index_dim[rank++] = gen_dim(g);
  int64_t places = gen_count(g, ir_type_make(g->m, DT_i32, rank, index_dim));
  if (places > 50) return false;
  memcpy(dim, t.dim, axis * sizeof *dim);
  memcpy(dim + axis, index_dim, rank * sizeof *dim);
  memcpy(dim + axis + rank, t.dim + axis + 1, (t.rank - axis - 1) * sizeof *dim);
  if (gen_count(g, ir_type_make(g->m, t.dt, t.rank - 1 + rank, dim)) > g->big) return false;
  rv src = gen_leaf_of(g, t.dt, t.rank - 1 + rank, dim);
  ir_value *in[] = {x.v, index_param(g, least, rank, index_dim), src.v};
  const ir_attr attr[] = {attr_int(g->m, "axis", axis), attr_str(g->m, "mode", modes[mode])};
  ir_node *n = node(g, OP_scatter, 3, in, 2, attr);
  double all = mode == 1 ? (double)places : 0; // sums of so many
  gen_push(g, n ? n->out : NULL, fmin(fmin(x.lo, src.lo), x.lo + all * fmin(src.lo, 0)),
           fmax(fmax(x.hi, src.hi), x.hi + all * fmax(src.hi, 0)),
           x.crisp && src.crisp && (mode != 1 || !dtype_is_float(t.dt)), x.nasty || src.nasty);
  return true;
}

// Places are multiples of a quarter: on pixels, between them, outside, and halfway; or nothing like a place.
bool step_interp(gen *g) {
  static const dtype dtypes[] = {DT_f32, DT_f32, DT_f32, DT_f16, DT_bf16, DT_f64};
  const rv *p = gen_pick(g, is_image);
  rv x;
  if (p) {
    x = *p;
  } else {
    const idx *dim[4];
    for (int i = 0; i < 4; i++) dim[i] = i < 2 ? idx_int(g->m->ix, 1 + below(g, 3)) : gen_dim(g);
    if (gen_count(g, ir_type_make(g->m, DT_f32, 4, dim)) > g->big) return false;
    x = gen_leaf_of(g, dtypes[below(g, 6)], 4, dim);
  }
  ir_type t = x.v->type;
  const idx *dim[] = {t.dim[0], gen_dim(g), gen_dim(g), idx_int(g->m->ix, 2)};
  const idx *count = idx_mul(g->m->ix, ir_type_count(g->m, ir_type_make(g->m, t.dt, 2, t.dim)), dim[1]);
  if (gen_extent(g, t.dim[2], false) < 1 || gen_extent(g, t.dim[3], false) < 1 ||
      gen_extent(g, idx_mul(g->m->ix, count, dim[2]), true) > g->big)
    return false;
  ir_value *in[] = {x.v, gen_leaf(g, chance(g, 75) ? 'c' : 'n', dtypes[below(g, 6)], 4, dim).v};
  bool nearest = chance(g, 40);
  const ir_attr attr[] = {attr_str(g->m, "mode", nearest ? "nearest" : "bilinear"),
                          attr_str(g->m, "border", chance(g, 50) ? "zeros" : "clamp")};
  ir_node *n = node(g, OP_interp, 2, in, 2, attr);
  gen_push(g, n ? n->out : NULL, fmin(x.lo, 0), fmax(x.hi, 0), x.crisp && nearest, x.nasty);
  return true;
}

// The largest elements, and what stands at their places: indices that need no check.
bool step_topk(gen *g) {
  const rv *p = gen_pick(g, is_ordered);
  if (!p) return false;
  rv x = *p;
  ir_type t = x.v->type;
  uint32_t axis = below(g, t.rank);
  int64_t least = gen_extent(g, t.dim[axis], false);
  if (least < 1 || gen_count(g, t) > g->big / 8) return false;
  const ir_attr k = attr_int(g->m, "k", 1 + below(g, (uint32_t)least)), at = attr_int(g->m, "axis", axis);
  bool sorts = chance(g, 40);
  ir_node *n = sorts ? node(g, OP_sort, 1, &x.v, 1, &at) : node(g, OP_topk, 1, &x.v, 2, (const ir_attr[]){k, at});
  gen_push(g, n ? &n->out[0] : NULL, x.lo, x.hi, true, x.nasty);
  if (!n) return true;
  gen_push(g, &n->out[1], 0, 130, true, false);
  if (t.rank == 1) gen_push(g, ir_gather(&g->b, x.v, &n->out[1], 0, 0), x.lo, x.hi, true, x.nasty);
  return true;
}

// Rows of a mask, or boxes that do not overlap.
bool step_select(gen *g) {
  const rv *p = gen_pick(g, has_dims);
  if (!p) return false;
  rv x = *p;
  const idx *rows = x.v->type.dim[0], *box[] = {rows, idx_int(g->m->ix, 4)};
  if (gen_count(g, x.v->type) > g->big) return false;
  ir_attr max = attr_idx(g->m, "max", chance(g, 50) ? rows : gen_dim(g));
  if (chance(g, 60)) {
    ir_value *in[] = {x.v, gen_leaf(g, 'b', DT_bool, 1, &rows).v};
    ir_node *n = node(g, OP_compact, 2, in, 1, &max);
    gen_push(g, n ? &n->out[0] : NULL, fmin(x.lo, 0), fmax(x.hi, 0), x.crisp, x.nasty);
    if (n) gen_push(g, &n->out[1], 0, 130, true, false);
    return true;
  }
  dtype dt = chance(g, 80) ? DT_f32 : chance(g, 50) ? DT_f16 : DT_f64;
  ir_value *in[] = {gen_leaf(g, 'c', dt, 2, box).v, gen_leaf(g, chance(g, 80) ? 'c' : 'n', dt, 1, &rows).v};
  ir_node *n = node(g, OP_nms, 2, in, 2, (const ir_attr[]){attr_float(g->m, "iou", 0.25 * below(g, 4)), max});
  gen_push(g, n ? &n->out[0] : NULL, 0, 130, true, false);
  if (n) gen_push(g, &n->out[1], 0, 130, true, false);
  return true;
}
