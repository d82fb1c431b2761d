// Shape rules: the dispatch derived from the operator table, checks that every operator shares, and helpers.
#include "ir/infer.h"

#include <string.h>

static const infer_rule rules[OP_COUNT] = {
#define OP(name, cls, min_in, max_in, outs, flags, shape, attrs, yaml, doc) infer_##shape,
#include "ir/ops.def"
#undef OP
};

bool infer_fails(infer *x, diag_id id, const char *fmt, ...) {
  strbuf b;
  sb_init(&b, x->m->a);
  va_list ap;
  va_start(ap, fmt);
  sb_vfmt(&b, fmt, ap);
  va_end(ap);
  x->problem_id = id;
  x->problem = sb_cstr(&b);
  return false;
}

const char *infer_type_text(infer *x, ir_type t) {
  strbuf b;
  sb_init(&b, x->m->a);
  ir_type_print(&b, t);
  return sb_cstr(&b);
}

const char *infer_idx_text(infer *x, const idx *e) {
  strbuf b;
  sb_init(&b, x->m->a);
  idx_print(&b, e);
  return sb_cstr(&b);
}

bool infer_mismatch(infer *x, ir_type a, ir_type b) {
  return infer_shape(x, "%s and %s do not fit", infer_type_text(x, a), infer_type_text(x, b));
}

ir_type infer_in(const infer *x, uint32_t i) { return x->n.in[i]->type; }

void infer_out(infer *x, uint32_t i, ir_type t) {
  if (x->out == NULL) x->out = ARENA_ARRAY(x->m->a, ir_type, x->n_out);
  x->out[i] = t;
}

ir_type infer_type(infer *x, dtype dt, uint32_t rank, const idx *const *dim) {
  return ir_type_make(x->m, dt, rank, dim);
}

ir_type infer_scalar(dtype dt) { return (ir_type){.dt = dt, .rank = 0, .dim = NULL}; }

// -- dims --

static void require(infer *x, const idx *nonneg, const char *text) {
  for (size_t i = 0; i < x->required.n; i++) {
    if (x->required.at[i].nonneg == nonneg) return;
  }
  vec_push(x->m->a, &x->required, ((requirement){nonneg, text}));
}

bool infer_requires(infer *x, const idx *nonneg, const char *fmt, ...) {
  const tri t = idx_nonneg(x->m->ix, nonneg);
  if (t != TRI_unknown) return t == TRI_yes;
  strbuf b;
  sb_init(&b, x->m->a);
  va_list ap;
  va_start(ap, fmt);
  sb_vfmt(&b, fmt, ap);
  va_end(ap);
  require(x, nonneg, sb_cstr(&b));
  return true;
}

bool infer_same_dim(infer *x, const idx *a, const idx *b) {
  if (a == b) return true;
  const tri t = idx_equal(x->m->ix, a, b);
  if (t != TRI_unknown) return t == TRI_yes;
  const char *text =
      str_fmt(x->m->a, "%s: %s must equal %s", x->info->name, infer_idx_text(x, a), infer_idx_text(x, b));
  const tri more = idx_nonneg(x->m->ix, idx_sub(x->m->ix, a, b)), less = idx_nonneg(x->m->ix, idx_sub(x->m->ix, b, a));
  if (more == TRI_unknown) require(x, idx_sub(x->m->ix, a, b), text);
  if (less == TRI_unknown) require(x, idx_sub(x->m->ix, b, a), text);
  return true;
}

bool infer_same_dims(infer *x, ir_type a, ir_type b) {
  if (a.rank != b.rank) return infer_mismatch(x, a, b);
  for (uint32_t i = 0; i < a.rank; i++) {
    if (!infer_same_dim(x, a.dim[i], b.dim[i])) return infer_mismatch(x, a, b);
  }
  return true;
}

bool infer_same_type(infer *x, ir_type a, ir_type b) {
  return a.dt == b.dt ? infer_same_dims(x, a, b) : infer_mismatch(x, a, b);
}

// -- attributes --

bool infer_axis(infer *x, const char *key, uint32_t rank, uint32_t *axis) {
  const int64_t v = ir_attr_int(&x->n, key, -1);
  if (v < 0 || v >= (int64_t)rank) {
    return infer_attribute(x, "its `%s` is %lld; its operand has %u dims", key, (long long)v, rank);
  }
  *axis = (uint32_t)v;
  return true;
}

bool infer_axes(infer *x, const char *key, uint32_t rank, bool *has) {
  const int64_t *axes;
  const size_t n = ir_attr_ints(&x->n, key, &axes);
  memset(has, 0, IR_MAX_RANK * sizeof *has);
  for (size_t i = 0; i < n; i++) {
    if (axes[i] < 0 || axes[i] >= (int64_t)rank) {
      return infer_attribute(x, "its `%s` holds %lld; its operand has %u dims", key, (long long)axes[i], rank);
    }
    if (has[axes[i]]) return infer_attribute(x, "its `%s` holds %lld twice", key, (long long)axes[i]);
    has[axes[i]] = true;
  }
  return true;
}

bool infer_is_scalar(infer *x, uint32_t operand, dtype dt) {
  const ir_type t = infer_in(x, operand);
  if (t.dt == dt && t.rank == 0) return true;
  return infer_operand(x, "operand %u must be %s[], not %s", operand, dtype_name(dt), infer_type_text(x, t));
}

bool infer_one_of(infer *x, const char *key, const char *const *names, size_t n) {
  const char *is = ir_attr_str(&x->n, key, "");
  strbuf b;
  sb_init(&b, x->m->a);
  for (size_t i = 0; i < n; i++) {
    if (strcmp(names[i], is) == 0) return true;
    sb_fmt(&b, "%s`%s`", i == 0 ? "" : i + 1 < n ? ", " : " or ", names[i]);
  }
  return infer_attribute(x, "its `%s` is `%s`, not %s", key, is, sb_cstr(&b));
}

// -- every operator --

static bool check_operands(infer *x) {
  const op_info *o = x->info;
  if (x->n.n_in < o->min_in || (o->max_in != OP_ANY && x->n.n_in > o->max_in)) {
    const char *plus = o->max_in == OP_ANY ? " or more" : "";
    if (o->max_in == o->min_in || o->max_in == OP_ANY) {
      return infer_operand(x, "it takes %u%s operands, not %u", o->min_in, plus, x->n.n_in);
    }
    return infer_operand(x, "it takes %u to %u operands, not %u", o->min_in, o->max_in, x->n.n_in);
  }
  for (uint32_t i = 0; i < x->n.n_in; i++) {
    const dtype dt = infer_in(x, i).dt;
    if (infer_in(x, i).rank > IR_MAX_RANK) {
      return infer_operand(x, "operand %u has %u dims; at most %d", i, infer_in(x, i).rank, IR_MAX_RANK);
    }
    const char *wants = NULL;
    if ((o->flags & OPF_FLT) != 0 && !dtype_is_float(dt)) wants = "a float";
    if ((o->flags & OPF_NUM) != 0 && dt == DT_bool) wants = "a number";
    if ((o->flags & OPF_BOOLEAN) != 0 && dt != DT_bool) wants = "bool";
    if ((o->flags & OPF_I32) != 0 && dt != DT_i32) wants = "i32";
    if (wants != NULL) return infer_operand(x, "operand %u is %s; it takes %s", i, dtype_name(dt), wants);
  }
  return true;
}

bool infer_node(infer *x) {
  x->info = op_get(x->n.op);
  if (!check_operands(x)) return false;
  if (x->n.n_regions > 0 && (x->info->flags & OPF_REGION) == 0) return infer_operand(x, "it has no regions");
  x->n_out = x->info->outs == OP_ANY ? x->n_declared : x->info->outs;
  if (!rules[x->n.op](x)) return false;
  for (uint32_t i = 0; i < x->n_out; i++) {
    if (x->out[i].rank > IR_MAX_RANK)
      return infer_shape(x, "its result has %u dims; at most %d", x->out[i].rank, IR_MAX_RANK);
    if (!ir_type_fits(x->out[i]))
      return infer_shape(x, "its result %s has too many elements", infer_type_text(x, x->out[i]));
    for (uint32_t k = 0; k < x->out[i].rank; k++) {
      if (idx_nonneg(x->m->ix, x->out[i].dim[k]) != TRI_no) continue;
      return infer_shape(x, "its result %s has a negative dim", infer_type_text(x, x->out[i]));
    }
  }
  return true;
}
