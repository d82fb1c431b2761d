// Entries' types as data: see signature.h.
#include "tools/nnc/signature.h"

#include <string.h>

static const char *wanted_entry(const cli *c) { return c->opt.entry ? c->opt.entry : "forward"; }

static void no_such_entry(cli *c, size_t n, const char *const *names) {
  diag *d = diag_at(&c->diags, NO_SPAN, cli_entry_unknown, wanted_entry(c));
  const char *near = str_suggest(str_of(wanted_entry(c)), names, n);
  if (near) diag_note_to(&c->diags, d, "did you mean `%s`?", near);
  for (size_t i = 0; i < n; i++) diag_note_to(&c->diags, d, "entry `%s`", names[i]);
}

// The index of the entry asked for; n when there is none.
static size_t find_entry(cli *c, size_t n, const char *const *names) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(names[i], wanted_entry(c)) == 0) return i;
  if (!c->opt.entry && n > 0) return 0; // a model without `forward`: its first entry
  no_such_entry(c, n, names);
  return n;
}

static void add_dim(cli *c, signature *s, sym *symbol, int64_t lo, int64_t hi, int64_t step) {
  symbol->step = step > 0 ? step : 1;
  vec_push(c->a, &s->dims, ((sig_dim){.symbol = symbol, .lo = lo, .hi = hi, .step = symbol->step}));
}

// -- from a module of the public API: shapes are text --

static const sym *resolve(void *user, str name) {
  const signature *s = user;
  for (size_t i = 0; i < s->dims.n; i++)
    if (str_is(name, s->dims.at[i].symbol->name)) return s->dims.at[i].symbol;
  return NULL;
}

static bool parse_info(cli *c, signature *s, const nnc_tensor_info *info, sig_tensor *t) {
  *t = (sig_tensor){.name = info->name, .dt = (dtype)info->dtype, .rank = info->rank, .optional = info->optional != 0};
  const char *p = info->shape + strspn(info->shape, "["), *end = info->shape + strlen(info->shape), *error = NULL;
  for (uint32_t i = 0; i < t->rank && !error; i++) {
    t->dim[i] = idx_parse(s->ix, &p, end, resolve, s, &error);
    p += strspn(p, ", ]");
  }
  if (error) diag_at(&c->diags, NO_SPAN, internal, error, __FILE__, __LINE__);
  return !error;
}

_Static_assert((int)NNC_F32 == (int)DT_f32 && (int)NNC_BF16 == (int)DT_bf16 && (int)NNC_BOOL == (int)DT_bool,
               "nnc_dtype follows ir/dtype.def");

signature *signature_of_module(cli *c, const nnc_module *m) {
  size_t n = nnc_module_entry_count(m);
  const char **names = ARENA_ARRAY(c->a, const char *, n + 1);
  for (size_t i = 0; i < n; i++) names[i] = nnc_module_entry_name(m, i);
  size_t entry = find_entry(c, n, names);
  if (entry == n) return NULL;
  signature *s = ARENA_NEW(c->a, signature);
  s->ix = idx_ctx_new(c->a, interner_new(c->a), &c->diags);
  s->entry = names[entry];
  s->index = entry;
  nnc_dim_info dim;
  for (size_t i = 0; nnc_module_dim(m, i, &dim) == NNC_OK; i++)
    add_dim(c, s, idx_symbol(s->ix, dim.name), dim.lo, dim.hi, dim.step);
  nnc_tensor_info info;
  sig_tensor t;
  for (size_t i = 0; nnc_module_input(m, entry, i, &info) == NNC_OK; i++) {
    if (!parse_info(c, s, &info, &t)) return NULL;
    vec_push(c->a, &s->inputs, t);
  }
  for (size_t i = 0; nnc_module_output(m, entry, i, &info) == NNC_OK; i++) {
    if (!parse_info(c, s, &info, &t)) return NULL;
    vec_push(c->a, &s->outputs, t);
  }
  return s;
}

// -- from a graph --

static sig_tensor of_type(const char *name, ir_type type, bool optional) {
  sig_tensor t = {.name = name, .dt = type.dt, .rank = type.rank, .optional = optional};
  for (uint32_t i = 0; i < type.rank; i++) t.dim[i] = type.dim[i];
  return t;
}

static bool mentions(ir_type t, const sym *dim) {
  for (uint32_t i = 0; i < t.rank; i++)
    if (idx_mentions(t.dim[i], dim)) return true;
  return false;
}

static void find_state_dims(signature *s, const ir_graph *g) {
  const ir_module *m = g->module;
  for (size_t i = 0; i < s->dims.n; i++) {
    sig_dim *d = &s->dims.at[i];
    for (size_t k = 0; k < m->states.n; k++) d->of_state = d->of_state || mentions(m->states.at[k]->type, d->symbol);
    for (uint32_t k = 0; k < g->body->n_params; k++)
      d->of_state = d->of_state && !mentions(g->body->params[k].type, d->symbol);
  }
}

signature *signature_of_graph(cli *c, const ir_graph *g, size_t index) {
  signature *s = ARENA_NEW(c->a, signature);
  const ir_module *m = g->module;
  s->ix = m->ix;
  s->entry = g->name;
  s->index = index;
  for (size_t i = 0; i < m->dims.n; i++) {
    const ir_dim *d = m->dims.at[i];
    vec_push(c->a, &s->dims, ((sig_dim){.symbol = d->symbol, .lo = d->lo, .hi = d->hi, .step = d->step}));
  }
  find_state_dims(s, g);
  const ir_region *body = g->body;
  for (uint32_t i = 0; i < body->n_params; i++)
    vec_push(c->a, &s->inputs, of_type(g->param_names[i], body->params[i].type, g->param_defaults[i] != NULL));
  for (uint32_t i = 0; i < body->n_yields; i++)
    vec_push(c->a, &s->outputs, of_type(g->output_names[i], body->yields[i]->type, false));
  return s;
}

signature *signature_of_graphs(cli *c, const ir_module *m) {
  const char **names = ARENA_ARRAY(c->a, const char *, m->graphs.n + 1);
  for (size_t i = 0; i < m->graphs.n; i++) names[i] = m->graphs.at[i]->name;
  size_t entry = find_entry(c, m->graphs.n, names);
  return entry == m->graphs.n ? NULL : signature_of_graph(c, m->graphs.at[entry], entry);
}

// -- shapes and dims --

const char *sig_type_text(arena *a, const sig_tensor *t) {
  strbuf b;
  sb_init(&b, a);
  sb_z(&b, dtype_name(t->dt));
  for (uint32_t i = 0; i < t->rank; i++) {
    sb_z(&b, i ? ", " : "[");
    idx_print(&b, t->dim[i]);
  }
  if (t->rank) sb_char(&b, ']');
  return sb_cstr(&b);
}

static int64_t dim_value(void *user, const sym *symbol) {
  const signature *s = user;
  for (size_t i = 0; i < s->dims.n; i++)
    if (s->dims.at[i].symbol == symbol) return s->dims.at[i].value;
  return 0;
}

bool sig_shape(const signature *s, const sig_tensor *t, int64_t *dim) {
  idx_env env = {dim_value, NULL, (void *)(uintptr_t)s};
  for (uint32_t i = 0; i < t->rank; i++)
    if (!idx_eval(t->dim[i], &env, &dim[i]) || dim[i] < 0) return false;
  return true;
}

bool sig_bind_options(cli *c, signature *s, bool strict) {
  for (size_t k = 0; k < c->opt.dims.n; k++) {
    frontend_pair p = c->opt.dims.at[k];
    sig_dim *d = NULL;
    for (size_t i = 0; i < s->dims.n; i++)
      if (strcmp(s->dims.at[i].symbol->name, p.key) == 0) d = &s->dims.at[i];
    int64_t value;
    if (!parse_i64(str_of(p.value), &value)) {
      diag_at(&c->diags, NO_SPAN, cli_option_value, "dim", str_fmt(c->a, "%s=%s", p.key, p.value),
              "NAME=N with a whole number N");
      return false;
    }
    if (!d && strict) {
      diag *e = diag_at(&c->diags, NO_SPAN, interp_dim_unknown, p.key);
      for (size_t i = 0; i < s->dims.n; i++) diag_note_to(&c->diags, e, "dim `%s`", s->dims.at[i].symbol->name);
      return false;
    }
    if (d && (value < d->lo || value > d->hi || value % d->step != 0)) {
      diag_at(&c->diags, NO_SPAN, interp_dim_range, p.key, (long long)value, (long long)d->lo, (long long)d->hi,
              (long long)d->step);
      return false;
    }
    if (d) d->value = value, d->bound = true, d->bound_by = "--dim";
  }
  return true;
}

// The value of dim `d` at which `e` equals `n`, where one exists.
static bool solve(const signature *s, const idx *e, const sig_dim *d, int64_t n, int64_t *value) {
  int64_t coef, rest;
  const idx *slope, *base;
  *value = n;
  if (e == idx_of(s->ix, d->symbol)) return true;
  if (!idx_mentions(e, d->symbol) || !idx_linear(s->ix, e, d->symbol, &slope, &base)) return false;
  if (!idx_is_const(slope, &coef) || !idx_is_const(base, &rest) || coef == 0 || (n - rest) % coef != 0) return false;
  *value = (n - rest) / coef;
  return true;
}

bool sig_bind_shape(signature *s, const sig_tensor *t, const int64_t *dim, const char *by, const sig_dim **clash) {
  for (uint32_t i = 0; i < t->rank; i++) {
    for (size_t k = 0; k < s->dims.n; k++) {
      sig_dim *d = &s->dims.at[k];
      int64_t value;
      if (!solve(s, t->dim[i], d, dim[i], &value)) continue;
      *clash = d;
      if (d->bound && d->value != value) return false;
      d->value = value, d->bound = true;
      if (!d->bound_by) d->bound_by = by;
    }
  }
  return true;
}

void sig_bind_rest(signature *s) {
  for (size_t i = 0; i < s->dims.n; i++) {
    sig_dim *d = &s->dims.at[i];
    int64_t least = d->lo % d->step == 0 ? d->lo : d->lo + d->step - d->lo % d->step;
    if (!d->bound) d->value = d->of_state ? d->hi / d->step * d->step : least;
  }
}
