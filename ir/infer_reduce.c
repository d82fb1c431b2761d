// Shape rules of reductions and of what reads through an index map: reduce, argreduce, contract, window.
#include "ir/infer.h"

static bool same_extent(void *user, const idx *a, const idx *b) { return infer_same_dim(user, a, b); }

// The node's map over its operands; the result type has the extents of the labels after the arrow.
static bool through_map(infer *x, dtype dt) {
  ir_type in[2];
  const idx *dim[IR_MAX_RANK];
  const char *problem = NULL;
  for (uint32_t i = 0; i < x->n.n_in; i++) in[i] = infer_in(x, i);
  const char *text = ir_attr_str(&x->n, "map", "");
  x->map = map_parse(x->m, text, x->n.n_in, in, same_extent, x, &problem);
  if (x->map == NULL) {
    const char *with = x->n.n_in == 1 ? "" : infer_type_text(x, in[1]);
    return infer_shape(x, "map \"%s\" over %s%s%s: %s", text, infer_type_text(x, in[0]), *with ? ", " : "", with,
                       problem);
  }
  for (uint32_t i = 0; i < x->map->out_rank; i++) dim[i] = x->map->labels[x->map->out_label[i]].extent;
  infer_out(x, 0, infer_type(x, dt, x->map->out_rank, dim));
  return true;
}

static bool drop_axes(infer *x, dtype dt) {
  const ir_type t = infer_in(x, 0);
  bool has[IR_MAX_RANK];
  const idx *dim[IR_MAX_RANK];
  uint32_t rank = 0;
  if (!infer_axes(x, "axes", t.rank, has)) return false;
  for (uint32_t i = 0; i < t.rank; i++) {
    if (!has[i]) dim[rank++] = t.dim[i];
  }
  infer_out(x, 0, infer_type(x, dt, rank, dim));
  return true;
}

bool infer_reduce(infer *x) {
  const ir_type t = infer_in(x, 0);
  const dtype dt = x->n.op == OP_sum && t.dt == DT_bool ? DT_i32 : t.dt; // a count
  const bool by_map = ir_attr_find(&x->n, "map") != NULL;
  if (by_map == (ir_attr_find(&x->n, "axes") != NULL)) return infer_attribute(x, "it needs either `axes` or `map`");
  if (ir_attr_find(&x->n, "else") != NULL && !by_map) return infer_attribute(x, "`else` needs a `map`");
  return by_map ? through_map(x, dt) : drop_axes(x, dt);
}

bool infer_argreduce(infer *x) { return drop_axes(x, DT_i32); }

bool infer_contract(infer *x) {
  const ir_type a = infer_in(x, 0), b = infer_in(x, 1);
  if (a.dt != b.dt) return infer_operand(x, "its operands are %s and %s", dtype_name(a.dt), dtype_name(b.dt));
  return through_map(x, a.dt);
}

bool infer_window(infer *x) {
  if (!through_map(x, infer_in(x, 0).dt)) return false;
  for (uint32_t i = 0; i < x->map->n_labels; i++) {
    const ir_label *l = &x->map->labels[i];
    if (!l->in_out) return infer_attribute(x, "label `%s` of its map is not in the result", l->name);
  }
  return true;
}
