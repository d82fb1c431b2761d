// Built-ins: weights, and elementwise functions of any kind of value.
#include "frontend/builtin.h"

#include <string.h>

// -- weights --

static bool constant_dims(call *c, const char *name, uint32_t rank, const idx *const *dim) {
  int64_t bytes = (int64_t)sizeof(double), n;
  for (uint32_t i = 0; i < rank; i++) {
    if (!idx_is_const(dim[i], &n) || n < 0) {
      elab_error(c->e, c->span, weight_dims, name, value_shape_text(c->e->a, rank, dim));
      return false;
    }
    if (__builtin_mul_overflow(bytes, n, &bytes)) {
      elab_error(c->e, c->span, weight_size, name, value_shape_text(c->e->a, rank, dim));
      return false;
    }
  }
  return true;
}

static void weight_clash(call *c, const ir_weight *w, ir_type t) {
  elab *e = c->e;
  strbuf now, before;
  sb_init(&now, e->a);
  sb_init(&before, e->a);
  if (w->type.dt != t.dt) { // otherwise the shapes say it
    sb_z(&now, dtype_name(t.dt));
    sb_z(&before, dtype_name(w->type.dt));
  }
  value_print_shape(&now, t.rank, t.dim);
  value_print_shape(&before, w->type.rank, w->type.dim);
  diag *d = diag_at(e->l, elab_span(e, c->span), weight_clash, w->name, sb_cstr(&now), sb_cstr(&before));
  elab_note_place(e, d, "its first use is", w->span);
  diag_note_to(e->l, d, "the same scope twice shares one weight; give this step its own scope");
}

// The weight that the current step's scope names.
static value weight(call *c, dtype dt, const char *init, double scale, bool is_buffer) {
  elab *e = c->e;
  const char *name = e->step->scope;
  uint32_t rank;
  const idx *dim[IR_MAX_RANK];
  if (!*name) return call_fail(c, "`@.` names no weight here: the scope is empty");
  if (!arg_sizes(c, 0, &rank, dim) || !constant_dims(c, name, rank, dim)) return value_error();
  ir_type type = ir_type_make(e->m, dt, rank, dim);
  ir_weight *w = ir_weight_find(e->m, name);
  if (!w) {
    w = ir_weight_add(e->m, name, type, elab_span(e, c->span));
    w->init = init ? intern_z(e->m->names, init) : NULL;
    w->init_scale = scale;
    w->is_buffer = is_buffer;
  } else if (!ir_type_equal(w->type, type)) {
    weight_clash(c, w, type);
    return value_error();
  }
  return value_tensor(ir_weight_ref(elab_nodes(e), w));
}

static bool read_init(call *c, size_t i, const char **init) {
  static const char *const known[] = {"zeros", "ones", "normal", "orthogonal"};
  str s;
  *init = NULL;
  if (c->arg[i].kind == V_none) return true;
  if (!arg_string(c, i, &s)) return false;
  for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
    if (str_is(s, known[k])) *init = known[k];
  }
  if (!*init) arg_fail(c, i, "'zeros', 'ones', 'normal' or 'orthogonal'");
  return *init != NULL;
}

value builtin_param(call *c) {
  dtype dt;
  const char *init;
  return arg_dtype(c, 1, &dt) && read_init(c, 2, &init) ? weight(c, dt, init, 0.02, false) : value_error();
}

value builtin_layer_param(call *c) {
  const char *init;
  double scale = c->arg[2].kind == V_float ? c->arg[2].v.f : 0; // no number where a dim is a size: an error of its own
  if (!read_init(c, 1, &init)) return value_error();
  return weight(c, DT_f32, init, strcmp(init, "normal") == 0 ? scale : 0, false);
}

value builtin_buffer(call *c) {
  const char *init;
  return read_init(c, 1, &init) ? weight(c, DT_f32, init, 0, true) : value_error();
}

// -- elementwise --

typedef struct spelling {
  const char *name;
  op_code op;
} spelling;

static const spelling spellings[] = {
    // where the language's word is not the operator's
    {"round", OP_round_even},
    {"_isinf", OP_isinf},
    {"_erfinv", OP_erfinv},
};

static op_code operator_of(const char *name) {
  for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
    if (!strcmp(spellings[i].name, name)) return spellings[i].op;
  }
  op_code op = OP_neg;
  op_find(str_of(name), &op);
  return op;
}

value builtin_unary(call *c) { return elab_unary(c->e, operator_of(c->fn->name), c->arg[0], c->fn->name, c->span); }

value builtin_extreme(call *c) {
  return elab_binary(c->e, !strcmp(c->fn->name, "min") ? AR_min : AR_max, c->arg[0], c->arg[1], c->span);
}

value builtin_where(call *c) { return elab_where(c->e, c->arg[0], c->arg[1], c->arg[2], c->span); }

value builtin_cast(call *c) {
  dtype dt;
  return arg_dtype(c, 1, &dt) ? elab_cast(c->e, c->arg[0], dt, c->span) : value_error();
}

// To the dtype of another tensor.
value builtin_cast_like(call *c) {
  ir_value *x, *like;
  bool ok = arg_tensor(c, 0, &x) && arg_tensor(c, 1, &like);
  return ok ? value_tensor(ir_cast(elab_nodes(c->e), x, like->type.dt)) : value_error();
}

// Floats in the dtype that sums of them are taken in.
value builtin_wide(call *c) {
  ir_value *x;
  if (!arg_float_tensor(c, 0, &x)) return value_error();
  return value_tensor(x->type.dt == DT_f64 ? x : ir_cast(elab_nodes(c->e), x, DT_f32));
}

// -- questions that the prelude asks --

static bool is_truth(value v) {
  if (v.kind == V_tuple) {
    for (size_t i = 0; i < v.v.tuple->n; i++) {
      if (!is_truth(v.v.tuple->at[i])) return false;
    }
    return true;
  }
  if (v.kind == V_table) return v.v.table->dt == DT_bool;
  return v.kind == V_bool || (v.kind == V_tensor && v.v.tensor->type.dt == DT_bool);
}

value builtin_is_bool(call *c) { return value_bool(is_truth(c->arg[0])); }
value builtin_is_tensor(call *c) { return value_bool(c->arg[0].kind == V_tensor); }

// True where a >= b is certain.
value builtin_at_least(call *c) {
  if (!value_is_integer(c->arg[0])) return arg_fail(c, 0, "a size");
  if (!value_is_integer(c->arg[1])) return arg_fail(c, 1, "a size");
  idx_ctx *ix = c->e->m->ix;
  return value_bool(idx_nonneg(ix, idx_sub(ix, value_idx(ix, c->arg[0]), value_idx(ix, c->arg[1]))) == TRI_yes);
}
