// Entries: one becomes a graph of its own; a call of one is inlined, with the dims of its inputs bound from the
// arguments.
#include "frontend/elab.h"

#include <string.h>

// -- dims --

static unit_dim *find_dim(const dim_env *env, str name) { return map_get(env->u->dims, name); }
static size_t dim_index(const dim_env *env, const unit_dim *d) { return (size_t)(d - env->u->dim); }

const idx *elab_own_dim(elab *e, const unit_dim *d) { return d->pinned ? idx_int(e->m->ix, d->pin) : d->symbol; }

// The dim's declared range holds for `v`: proved, checked at run time, or an error.
static bool dim_in_range(elab *e, const unit_dim *d, const idx *v, diag_span span) {
  idx_ctx *c = e->m->ix;
  const char *name = elab_text(e, d->ast->name.text);
  const idx *above = idx_addi(c, v, -d->lo), *below = idx_sub(c, idx_int(c, d->hi), v);
  if (idx_nonneg(c, above) == TRI_no || idx_nonneg(c, below) == TRI_no || idx_divides(c, d->step, v) == TRI_no) {
    diag *g = elab_error(e, span, dim_outside, name, value_idx_text(e->a, v), (long long)d->lo, (long long)d->hi,
                         (long long)d->step);
    elab_note_place(e, g, "it is declared at", elab_dim_span(d->ast));
    return false;
  }
  const char *text =
      str_fmt(e->a, "dim %s within %lld..%lld step %lld", name, (long long)d->lo, (long long)d->hi, (long long)d->step);
  elab_check(e, above, text);
  elab_check(e, below, text);
  if (idx_divides(c, d->step, v) == TRI_unknown)
    elab_check(e, idx_scale(c, idx_mod(c, v, idx_int(c, d->step)), -1), text);
  return true;
}

static bool input_mentions(const ast_entry *x, str name) {
  for (size_t i = 0; i < x->inputs.n; i++) {
    if (scan_type_mentions(&x->inputs.at[i].type, name)) return true;
  }
  return false;
}

// A dim set by a step: the i32 scalar is bound to the dim where the step stands.
static void bind_dim_at_run_time(elab *e, dim_env *env, unit_dim *d, ir_value *v) {
  bool outermost = !e->frame->caller;
  const idx *symbol = d->symbol;
  if (!outermost || d->pinned || !symbol) {
    const sym *fresh = idx_fresh(e->m->ix, elab_text(e, d->ast->name.text));
    ir_dim *made = ir_dim_add(e->m, fresh->name, d->lo, d->hi, d->step, d->ast->name.span);
    symbol = idx_of(e->m->ix, made->symbol);
  }
  env->dim[dim_index(env, d)] = symbol;
  ir_attr dim = attr_idx(e->m, "dim", symbol);
  ir_build(elab_nodes(e), OP_bind, 1, &v, 1, &dim, 0, NULL, 0, NULL);
}

bool elab_set_dim(elab *e, str name, value v, diag_span span) {
  dim_env *env = e->frame->dims;
  unit_dim *d = env ? find_dim(env, name) : NULL;
  if (!d || !e->frame->is_entry || env->dim[dim_index(env, d)]) return false;
  if (value_is_integer(v)) {
    const idx *size = value_idx(e->m->ix, v);
    if (dim_in_range(e, d, size, span)) env->dim[dim_index(env, d)] = size;
  } else if (elab_is_data(v)) {
    bind_dim_at_run_time(e, env, d, v.v.tensor);
  } else {
    if (!value_is_error(v)) elab_error(e, span, dim_value_kind, elab_text(e, name), value_describe(e->a, v));
    env->dim[dim_index(env, d)] = elab_own_dim(e, d); // so that what follows makes sense
  }
  return true;
}

// -- an entry of its own --

enum { MAX_INPUTS = 256 }; // of an ir_graph

static void entry_input(elab *e, const ast_decl *in) {
  ir_type type;
  scalar dflt;
  bool has_default = false, ok = elab_type(e, &in->type, &type);
  if (in->type.dflt) {
    has_default = elab_default(e, e->frame->dims, &in->type, &dflt);
    ok &= has_default;
  }
  if (elab_find_local(e->frame, in->name.text) || elab_taken_by(e, in->name.text)) {
    elab_error(e, in->name.span, name_twice, elab_text(e, in->name.text));
    ok = false;
  }
  ir_value *v = NULL;
  if (ok) v = ir_graph_param(e->graph, intern(e->m->names, in->name.text), type, has_default ? &dflt : NULL);
  elab_comes_from(e, value_tensor(v), elab_decl_span(in));
  elab_bind(e->frame, e->a, in->name.text, value_tensor(v));
}

static void entry_output(elab *e, const ast_binding *out) {
  value v = elab_expr(e, out->value);
  ir_value *t = value_is_error(v) ? NULL : elab_tensor(e, v, DT_COUNT, out->value->span);
  if (t) ir_graph_output(e->graph, intern(e->m->names, out->name.text), t);
}

void elab_entry_graph(elab *e, const ast_entry *x) {
  if (x->inputs.n > MAX_INPUTS) {
    diag_at(e->l, x->name.span, too_many_inputs, elab_text(e, x->name.text), x->inputs.n, (int)MAX_INPUTS);
    return;
  }
  unit *u = e->root;
  dim_env *env = dim_env_new(e, u);
  for (size_t i = 0; i < u->ast->dims.n; i++) {
    const unit_dim *d = &u->dim[i];
    bool step_sets = !d->in_state && scan_sets(&x->steps, d->ast->name.text);
    if (d->in_state || input_mentions(x, d->ast->name.text) || (d->pinned && !step_sets))
      env->dim[i] = elab_own_dim(e, d);
  }
  e->graph = ir_graph_new(e->m, intern(e->m->names, x->name.text), true);
  ir_builder body;
  ir_builder_init(&body, e->m, e->graph->body);
  frame f = {.u = u, .dims = env, .body = x, .is_entry = true, .scope = "", .root_scope = ""};
  e->region = e->body = &body;
  e->frame = &f;
  e->scope = "";
  e->step = NULL;
  for (size_t i = 0; i < e->states.n; i++) e->states.at[i]->now = NULL;
  for (size_t i = 0; i < x->inputs.n; i++) entry_input(e, &x->inputs.at[i]);
  elab_steps(e, &x->steps);
  for (size_t i = 0; i < x->outputs.n; i++) entry_output(e, &x->outputs.at[i]);
  e->frame = NULL;
  e->region = e->body = e->scratch;
}

// -- a call of one --

typedef struct entry_args {
  const ast_entry *x;
  value *v;
  diag_span *at;
  bool *given;
} entry_args;

static bool take_arg(elab *e, const ast_expr *call, entry_args *a, size_t i, value v, diag_span at) {
  if (a->given[i]) {
    elab_error(e, at, argument_twice, elab_text(e, call->text), elab_text(e, a->x->inputs.at[i].name.text));
    return false;
  }
  a->given[i] = true;
  a->v[i] = v;
  a->at[i] = at;
  return true;
}

static bool entry_bind_args(elab *e, const ast_expr *call, entry_args *a) {
  size_t n = a->x->inputs.n;
  bool ok = true;
  for (size_t i = 0; i < call->items.n; i++) {
    value v = elab_expr(e, call->items.at[i]);
    if (i < n) ok &= take_arg(e, call, a, i, v, call->items.at[i]->span);
  }
  if (call->items.n > n) {
    elab_error(e, call->items.at[n]->span, argument_count, elab_text(e, call->text), n, call->items.n);
    ok = false;
  }
  for (size_t k = 0; k < call->named.n; k++) {
    const ast_arg *arg = &call->named.at[k];
    value v = elab_expr(e, arg->value);
    size_t i = 0;
    while (i < n && !str_eq(a->x->inputs.at[i].name.text, arg->name)) i++;
    if (i < n) {
      ok &= take_arg(e, call, a, i, v, arg->name_span);
    } else {
      elab_error(e, arg->name_span, argument_unknown, elab_text(e, call->text), elab_text(e, arg->name));
      ok = false;
    }
  }
  for (size_t i = 0; i < n && ok; i++) {
    if (a->given[i] || a->x->inputs.at[i].type.dflt) continue;
    elab_error(e, call->op_span, argument_missing, elab_text(e, call->text),
               elab_text(e, a->x->inputs.at[i].name.text));
    ok = false;
  }
  return ok;
}

static bool bind_dim(elab *e, dim_env *env, unit_dim *d, const idx *v, diag_span at) {
  env->dim[dim_index(env, d)] = v;
  return dim_in_range(e, d, v, at);
}

// The one dim that a declared extent mentions and no argument has bound yet, else NULL.
static unit_dim *only_unbound(const dim_env *env, const ast_expr *x) {
  unit_dim *found = NULL;
  for (size_t i = 0; i < env->u->ast->dims.n; i++) {
    if (env->dim[i] || !scan_mentions(x, env->u->dim[i].ast->name.text)) continue;
    if (found) return NULL;
    found = &env->u->dim[i];
  }
  return found;
}

// `2 * batch` met by 2*b: solves for `batch`.
static void solve_dim(elab *e, dim_env *env, unit_dim *d, const ast_expr *x, const idx *given, diag_span at) {
  idx_ctx *c = e->m->ix;
  const sym *unknown = idx_fresh(c, "solve");
  env->dim[dim_index(env, d)] = idx_of(c, unknown);
  value v = elab_compile_time(e, env, x);
  env->dim[dim_index(env, d)] = NULL;
  const idx *coef, *rest;
  int64_t k;
  if (v.kind != V_size || !idx_linear(c, v.v.size, unknown, &coef, &rest) || !idx_is_const(coef, &k) || k < 1) return;
  const idx *left = idx_sub(c, given, rest);
  if (idx_divides(c, k, left) == TRI_yes) bind_dim(e, env, d, idx_floordiv(c, left, idx_int(c, k)), at);
}

// The argument that gives a dim of a declared type its value: the first that has it.
static value dim_giver(const entry_args *a, const ast_expr *dim) {
  for (size_t i = 0; i < a->x->inputs.n && dim->kind == EX_name; i++) {
    if (a->given[i] && scan_type_mentions(&a->x->inputs.at[i].type, dim->text)) return a->v[i];
  }
  return value_none();
}

// Argument i is not what is declared; with `want`, in the declared dim `dim`.
static bool type_mismatch(elab *e, const ast_expr *call, const entry_args *a, size_t i, const ir_type *want,
                          const ast_expr *dim) {
  const ast_decl *in = &a->x->inputs.at[i];
  value other = want ? dim_giver(a, dim) : value_none();
  strbuf b;
  sb_init(&b, e->a);
  if (want) value_print_type(&b, *want);
  else sb_fmt(&b, "%s with %zu dims", dtype_name(in->type.dt), in->type.dims.n);
  diag *d = elab_error(e, a->at[i], entry_argument, elab_text(e, call->text), elab_text(e, in->name.text), sb_cstr(&b),
                       value_describe(e->a, a->v[i]));
  elab_note_place(e, d, "the input is declared at", elab_decl_span(in));
  elab_note_origins(e, d, value_same(other, a->v[i]) ? value_none() : other, a->v[i]);
  return false;
}

static bool bind_dims_from(elab *e, const ast_expr *call, entry_args *a, dim_env *env) {
  bool ok = true;
  for (int pass = 0; pass < 2; pass++) { // plain names first, then what can be solved for
    for (size_t i = 0; i < a->x->inputs.n; i++) {
      const ast_decl *in = &a->x->inputs.at[i];
      if (!a->given[i]) continue;
      ir_value *v = a->v[i].v.tensor;
      if (v->type.dt != in->type.dt || v->type.rank != in->type.dims.n)
        return pass ? ok : type_mismatch(e, call, a, i, NULL, NULL);
      for (uint32_t k = 0; k < v->type.rank; k++) {
        const ast_expr *dim = in->type.dims.at[k];
        unit_dim *d = dim->kind == EX_name ? find_dim(env, dim->text) : only_unbound(env, dim);
        if (!d || env->dim[dim_index(env, d)]) continue;
        if (dim->kind == EX_name) ok &= bind_dim(e, env, d, v->type.dim[k], a->at[i]);
        else if (pass) solve_dim(e, env, d, dim, v->type.dim[k], a->at[i]);
      }
    }
  }
  return ok;
}

// Argument i, seen with exactly the declared type.
static value fit_arg(elab *e, const ast_expr *call, const entry_args *a, size_t i) {
  const ast_type *declared = &a->x->inputs.at[i].type;
  ir_value *v = a->v[i].v.tensor;
  ir_type want;
  if (!elab_type(e, declared, &want)) return value_error();
  for (uint32_t k = 0; k < want.rank && v; k++) {
    if (elab_same_dim(e, want.dim[k], v->type.dim[k], "argument") == SAME_no) {
      type_mismatch(e, call, a, i, &want, declared->dims.at[k]);
      return value_error();
    }
    v = elab_axis_as(e, v, k, want.dim[k]);
  }
  return value_tensor(v);
}

static bool args_as_tensors(elab *e, entry_args *a) {
  for (size_t i = 0; i < a->x->inputs.n; i++) {
    if (!a->given[i]) continue;
    dtype dt =
        a->v[i].kind == V_float && !dtype_is_float(a->x->inputs.at[i].type.dt) ? DT_COUNT : a->x->inputs.at[i].type.dt;
    ir_value *t = elab_tensor(e, a->v[i], dt, a->at[i]);
    if (!t) return false;
    a->v[i] = value_tensor(t);
  }
  return true;
}

static value default_arg(elab *e, const ast_decl *in) {
  ir_type type;
  scalar s;
  if (!elab_type(e, &in->type, &type) || !elab_default(e, e->frame->dims, &in->type, &s)) return value_error();
  return value_tensor(ir_const_scalar(elab_nodes(e), s, type.rank, type.dim));
}

static value entry_results(elab *e, const ast_entry *x) {
  value *out = ARENA_ARRAY(e->a, value, x->outputs.n);
  for (size_t i = 0; i < x->outputs.n; i++) out[i] = elab_expr(e, x->outputs.at[i].value);
  return x->outputs.n == 1 ? out[0] : value_tuple_of(e->a, x->outputs.n, out);
}

value elab_entry_call(elab *e, unit *u, const ast_entry *x, const ast_expr *call, const char *root_scope,
                      bool unscoped) {
  size_t n = x->inputs.n;
  entry_args a = {x, ARENA_ARRAY(e->a, value, n), ARENA_ARRAY(e->a, diag_span, n), ARENA_ARRAY(e->a, bool, n)};
  if (!entry_bind_args(e, call, &a) || !args_as_tensors(e, &a)) return value_error();
  if (!elab_enter_call(e, call, x)) return value_error();
  e->at = &call->span;
  dim_env *env = dim_env_new(e, u);
  for (size_t i = 0; i < u->ast->dims.n; i++) {
    if (u->dim[i].in_state) env->dim[i] = elab_own_dim(e, &u->dim[i]);
  }
  if (!bind_dims_from(e, call, &a, env)) return value_error();
  frame f = {.caller = e->frame,
             .u = u,
             .dims = env,
             .body = x,
             .is_entry = true,
             .scope = root_scope,
             .root_scope = root_scope};
  if (unscoped) f.unscoped = call;
  f.outside_step = !e->step;
  step_context *step = e->step;
  const char *scope = e->scope;
  e->frame = &f;
  e->step = NULL;
  e->scope = root_scope;
  for (size_t i = 0; i < n; i++) {
    const ast_decl *in = &x->inputs.at[i];
    elab_bind(&f, e->a, in->name.text, a.given[i] ? fit_arg(e, call, &a, i) : default_arg(e, in));
  }
  e->depth++;
  elab_steps(e, &x->steps);
  e->depth--;
  value result = entry_results(e, x);
  e->frame = f.caller;
  e->step = step;
  e->scope = scope;
  e->at = &call->span;
  return result;
}
