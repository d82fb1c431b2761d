// Shape rules of leaves and of what works element by element: declared, same, where, cast.
#include "ir/infer.h"

#include <string.h>

static bool check_const(infer *x, ir_type t) {
  const ir_attr *v = ir_attr_find(&x->n, "value");
  if (v->kind == ATTR_int || v->kind == ATTR_float) return true;
  const size_t n = v->kind == ATTR_ints ? v->v.is.n : v->v.fs.n;
  int64_t count;
  if (!idx_is_const(ir_type_count(x->m, t), &count)) {
    return infer_shape(x, "a list of elements needs constant dims, not %s", infer_type_text(x, t));
  }
  return count == (int64_t)n ? true : infer_shape(x, "%zu elements do not fill %s", n, infer_type_text(x, t));
}

static bool check_named(infer *x, ir_type is, const ir_type *should) {
  const char *name = ir_attr_str(&x->n, "name", "");
  if (should == NULL) return infer_attribute(x, "the module has none named `%s`", name);
  if (is.dt == should->dt && is.rank == should->rank && ir_type_equal(is, *should)) return true;
  return infer_shape(x, "`%s` is %s, not %s", name, infer_type_text(x, *should), infer_type_text(x, is));
}

static const ir_type *named_type(infer *x) {
  const char *name = ir_attr_str(&x->n, "name", "");
  if (x->n.op == OP_weight) {
    const ir_weight *w = ir_weight_find(x->m, name);
    return w != NULL ? &w->type : NULL;
  }
  for (size_t i = 0; i < x->m->states.n; i++) {
    if (strcmp(x->m->states.at[i]->name, name) == 0) return &x->m->states.at[i]->type;
  }
  return NULL;
}

bool infer_declared(infer *x) {
  const bool named = x->n.op == OP_weight || x->n.op == OP_state;
  const ir_type *known = named ? named_type(x) : NULL;
  if (x->n_declared != 1 && known == NULL) return infer_operand(x, "its type must be given");
  const ir_type t = x->n_declared == 1 ? x->declared[0] : *known;
  infer_out(x, 0, t);
  uint32_t axis;
  if (named) return check_named(x, t, known);
  if (x->n.op == OP_const) return check_const(x, t);
  if (x->n.op != OP_iota) return true;
  if (t.dt != DT_i32) return infer_operand(x, "its type must be i32, not %s", dtype_name(t.dt));
  return infer_axis(x, "axis", t.rank, &axis);
}

// Attributes of the few operators here that have any: reverse, scan, linrec.
static bool check_axes(infer *x, ir_type t) {
  static const char *const folds[] = {"sum", "prod", "max", "min"};
  bool has[IR_MAX_RANK];
  uint32_t axis;
  if (ir_attr_find(&x->n, "axes") != NULL && !infer_axes(x, "axes", t.rank, has)) return false;
  if (ir_attr_find(&x->n, "axis") != NULL && !infer_axis(x, "axis", t.rank, &axis)) return false;
  if (x->n.op != OP_scan) return true;
  if (t.dt == DT_bool) return infer_operand(x, "operand 0 is bool; it takes a number");
  return infer_one_of(x, "op", folds, 4);
}

bool infer_same(infer *x) {
  ir_type t = infer_in(x, 0);
  for (uint32_t i = 1; i < x->n.n_in; i++) {
    if (!infer_same_type(x, t, infer_in(x, i))) return false;
  }
  if (!check_axes(x, t)) return false;
  if ((x->info->flags & OPF_CMP) != 0) t.dt = DT_bool;
  infer_out(x, 0, t);
  return true;
}

bool infer_where(infer *x) {
  const ir_type c = infer_in(x, 0), t = infer_in(x, 1);
  if (c.dt != DT_bool) return infer_operand(x, "operand 0 is %s; it takes bool", dtype_name(c.dt));
  if (!infer_same_type(x, t, infer_in(x, 2)) || !infer_same_dims(x, c, t)) return false;
  infer_out(x, 0, t);
  return true;
}

bool infer_cast(infer *x) {
  ir_type t = infer_in(x, 0);
  t.dt = ir_attr_find(&x->n, "to")->v.dt;
  infer_out(x, 0, t);
  return true;
}
