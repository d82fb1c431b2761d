// Calls of custom operators (`ops:`): arguments checked against the signature, dims of the signature bound from them.
#include "base/file.h"
#include "frontend/elab.h"

#include <string.h>

typedef struct dim_names { // names in a signature's brackets, and what they are in this call
  VEC(str) name;
  VEC(const idx *) size;
  VEC(value) from; // the arguments that have them
} dim_names;

static value refuse(elab *e, const ast_custom_op *op, diag_span at, const char *why) {
  elab_error(e, at, custom_argument, elab_text(e, op->name.text), why);
  return value_error();
}

// Argument i does not fit the signature, or another argument that has the same dim.
static value misfit(elab *e, const ast_custom_op *op, size_t i, diag_span at, value v, value other) {
  const char *name = elab_text(e, op->params.at[i].name.text), *dims = elab_text(e, op->params.at[i].dims);
  const char *why =
      str_fmt(e->a, "`%s` is %s[%s], found %s", name, dtype_name(op->params.at[i].dt), dims, value_describe(e->a, v));
  diag *d = elab_error(e, at, custom_argument, elab_text(e, op->name.text), why);
  elab_note_place(e, d, "it is declared at", op->span);
  elab_note_origins(e, d, other, v);
  return value_error();
}

// The k-th name of "a, b"; false past the last.
static bool nth_name(str list, size_t k, str *out) {
  if (!list.n) return false;
  const char *p = list.p, *end = list.p + list.n;
  for (;; k--) {
    const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
    const char *from = p;
    while (from < stop && *from == ' ') from++;
    const char *to = stop;
    while (to > from && to[-1] == ' ') to--;
    if (from == to) return false;
    *out = (str){from, (size_t)(to - from)};
    if (k == 0) return true;
    if (!comma) return false;
    p = comma + 1;
  }
}

static const idx *find_size(const dim_names *dims, str name, value *from) {
  for (size_t i = 0; i < dims->name.n; i++) {
    if (!str_eq(dims->name.at[i], name)) continue;
    *from = dims->from.at[i];
    return dims->size.at[i];
  }
  return NULL;
}

// A number in the brackets is itself, a name what the first argument that has it says. false: they differ; *other is
// that argument, if any.
static bool bind_size(elab *e, dim_names *dims, str name, const idx *got, value from, value *other) {
  int64_t n;
  const idx *want = parse_i64(name, &n) ? idx_int(e->m->ix, n) : find_size(dims, name, other);
  if (want) return elab_same_dim(e, want, got, "custom operator") != SAME_no;
  vec_push(e->a, &dims->name, name);
  vec_push(e->a, &dims->size, got);
  vec_push(e->a, &dims->from, from);
  return true;
}

value elab_custom_call(elab *e, const unit *u, const ast_custom_op *op, const ast_expr *call) {
  size_t n = op->params.n;
  ir_value **in = ARENA_ARRAY(e->a, ir_value *, n);
  diag_span *at = ARENA_ARRAY(e->a, diag_span, n);
  if (call->items.n > n) return refuse(e, op, call->items.at[n]->span, "too many arguments");
  const ast_expr **given = ARENA_ARRAY(e->a, const ast_expr *, n);
  for (size_t i = 0; i < call->items.n; i++) given[i] = call->items.at[i];
  for (size_t k = 0; k < call->named.n; k++) {
    size_t i = 0;
    while (i < n && !str_eq(op->params.at[i].name.text, call->named.at[k].name)) i++;
    if (i == n || given[i])
      return refuse(e, op, call->named.at[k].name_span, i == n ? "no such argument" : "given twice");
    given[i] = call->named.at[k].value;
  }
  dim_names dims = {0};
  for (size_t i = 0; i < n; i++) {
    const ast_expr *x = given[i] ? given[i] : op->params.at[i].dflt;
    if (!x) return refuse(e, op, call->op_span, str_fmt(e->a, "no `%s`", elab_text(e, op->params.at[i].name.text)));
    at[i] = given[i] ? x->span : call->span;
    value v = given[i] ? elab_expr(e, x) : elab_compile_time(e, e->frame->dims, x);
    in[i] = elab_tensor(e, v, op->params.at[i].dt, at[i]);
    if (!in[i]) return value_error();
    str name;
    uint32_t rank = 0;
    value tensor = value_tensor(in[i]), other = value_none();
    bool fits = in[i]->type.dt == op->params.at[i].dt;
    while (fits && nth_name(op->params.at[i].dims, rank, &name)) {
      fits = rank < in[i]->type.rank && bind_size(e, &dims, name, in[i]->type.dim[rank], tensor, &other);
      rank++;
    }
    if (!fits || rank != in[i]->type.rank) return misfit(e, op, i, at[i], tensor, other);
  }
  ir_type *out = ARENA_ARRAY(e->a, ir_type, op->results.n);
  for (size_t i = 0; i < op->results.n; i++) {
    const idx *dim[IR_MAX_RANK];
    str name;
    uint32_t rank = 0;
    for (; rank < IR_MAX_RANK && nth_name(op->results.at[i].dims, rank, &name); rank++) {
      int64_t number;
      value from;
      dim[rank] = parse_i64(name, &number) ? idx_int(e->m->ix, number) : find_size(&dims, name, &from);
      if (!dim[rank]) return refuse(e, op, op->span, str_fmt(e->a, "no argument has dim `%s`", elab_text(e, name)));
    }
    out[i] = ir_type_make(e->m, op->results.at[i].dt, rank, dim);
  }
  e->at = &call->span;
  const char *name = elab_text(e, op->name.text), *library = path_beside(e->a, u->path, elab_text(e, op->library));
  ir_attr attrs[] = {attr_str(e->m, "name", name), attr_str(e->m, "library", library),
                     attr_str(e->m, "symbol", op->symbol.n ? elab_text(e, op->symbol) : name)};
  ir_node *node = ir_build(elab_nodes(e), OP_custom, (uint32_t)n, in, 3, attrs, (uint32_t)op->results.n, out, 0, NULL);
  if (!node) return value_error();
  value *results = ARENA_ARRAY(e->a, value, op->results.n);
  for (size_t i = 0; i < op->results.n; i++) results[i] = value_tensor(&node->out[i]);
  return op->results.n == 1 ? results[0] : value_tuple_of(e->a, op->results.n, results);
}
