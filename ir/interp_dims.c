// Dims in the interpreter: binding them from the shapes of inputs, evaluating index expressions, and the checks of
// shapes at run time.
//
// A dim is bound by the first input dim that is linear in it and mentions no other unbound dim (`seq`, `2*seq+1`); all
// other input dims are then compared with what was given. A dim that no input binds takes its value from the options,
// from a range of one value, or, when a state mentions it, from the top of its range.
#include "ir/interp.h"

diag_span interp_span(const ir_node *n) { return n && n->spans.n ? n->spans.at[0] : NO_SPAN; }

const char *interp_op_name(const ir_node *n) { return n ? op_get(n->op)->name : "graph"; }

bool interp_malformed(interp *it, const ir_node *n, const char *what) {
  return interp_error(it, n, interp_malformed, interp_op_name(n), what);
}

static size_t dim_slot(const interp *it, const sym *s) {
  size_t i = 0;
  while (i < it->m->dims.n && it->m->dims.at[i]->symbol != s) i++;
  return i;
}

static int64_t dim_value(void *user, const sym *s) {
  interp *it = user;
  size_t i = dim_slot(it, s);
  if (i < it->m->dims.n && it->frame->dim_bound[i]) return it->frame->dim_value[i];
  it->unbound = s;
  return 1;
}

// false when it overflows, divides by zero or (it->unbound is set) mentions an unbound dim.
static bool evaluate(interp *it, const idx *e, int64_t *out) {
  it->unbound = NULL;
  return idx_eval(e, &(idx_env){.value = dim_value, .user = it}, out) && !it->unbound;
}

static const char *idx_text(interp *it, const idx *e) {
  strbuf b;
  sb_init(&b, it->a);
  idx_print(&b, e);
  return sb_cstr(&b);
}

bool interp_index(interp *it, const ir_node *n, const idx *e, int64_t *out) {
  if (evaluate(it, e, out)) return true;
  if (it->unbound) return interp_error(it, n, interp_dim_unbound, it->unbound->name);
  return interp_error(it, n, interp_size, idx_text(it, e));
}

bool interp_type_dims(interp *it, const ir_node *n, ir_type type, int64_t *dim) {
  if (type.rank > IR_MAX_RANK) return interp_malformed(it, n, "it has too many dims");
  for (uint32_t i = 0; i < type.rank; i++) {
    if (!interp_index(it, n, type.dim[i], &dim[i])) return false;
    if (dim[i] < 0) return interp_error(it, n, interp_size, idx_text(it, type.dim[i]));
  }
  return true;
}

// -- binding --

typedef struct unbound_dims {
  const interp *it;
  size_t n, slot;
} unbound_dims;

static void count_unbound(void *user, const sym *s) {
  unbound_dims *u = user;
  size_t i = dim_slot(u->it, s);
  if (i < u->it->m->dims.n && u->it->frame->dim_bound[i]) return;
  u->n++;
  u->slot = i;
}

// Solves e == given for the one unbound dim of e. *bound tells whether it did; false after a diagnostic.
static bool bind_one(interp *it, const ir_node *call, const char *input, uint32_t axis, const idx *e, int64_t given,
                     bool *bound) {
  unbound_dims u = {.it = it};
  idx_symbols(e, count_unbound, &u);
  if (u.n != 1 || u.slot == it->m->dims.n) return true;
  const idx *coef, *rest;
  int64_t k, c;
  if (!idx_linear(it->m->ix, e, it->m->dims.at[u.slot]->symbol, &coef, &rest)) return true;
  if (!evaluate(it, coef, &k) || !evaluate(it, rest, &c) || k == 0) return true;
  int64_t value;
  if (__builtin_sub_overflow(given, c, &value) || value % k != 0)
    return interp_error(it, call, interp_input_dim, input, axis, (long long)given, idx_text(it, e));
  it->frame->dim_value[u.slot] = value / k;
  it->frame->dim_bound[u.slot] = *bound = true;
  return true;
}

static bool bind_from_inputs(interp *it, const ir_node *call) {
  const ir_graph *g = it->frame->graph;
  for (bool more = true; more;) {
    more = false;
    for (uint32_t p = 0; p < g->body->n_params; p++) {
      const ir_tensor *t = it->frame->params[p];
      ir_type type = g->body->params[p].type;
      for (uint32_t i = 0; t && i < type.rank; i++)
        if (!bind_one(it, call, g->param_names[p], i, type.dim[i], t->dim[i], &more)) return false;
    }
  }
  return true;
}

// Options serve the entry only: a called graph binds its dims afresh.
static bool bind_from_options(interp *it) {
  const interp_options *opt = it->frame->caller ? NULL : it->opt;
  for (size_t i = 0; opt && i < opt->n_dims; i++) {
    const sym *s = idx_find_symbol(it->m->ix, opt->dim_names[i]);
    size_t slot = s ? dim_slot(it, s) : it->m->dims.n;
    if (slot == it->m->dims.n) return interp_error(it, NULL, interp_dim_unknown, opt->dim_names[i]);
    if (it->frame->dim_bound[slot] && it->frame->dim_value[slot] != opt->dim_values[i])
      return interp_error(it, NULL, interp_dim_conflict, opt->dim_names[i], (long long)it->frame->dim_value[slot],
                          (long long)opt->dim_values[i]);
    it->frame->dim_value[slot] = opt->dim_values[i];
    it->frame->dim_bound[slot] = true;
  }
  return true;
}

static void bind_from_ranges(interp *it) {
  for (size_t i = 0; i < it->m->dims.n; i++) {
    const ir_dim *d = it->m->dims.at[i];
    bool wanted = d->lo == d->hi;
    for (size_t s = 0; s < it->m->states.n && !wanted; s++) {
      ir_type type = it->m->states.at[s]->type;
      for (uint32_t k = 0; k < type.rank; k++) wanted |= idx_mentions(type.dim[k], d->symbol);
    }
    if (!wanted || it->frame->dim_bound[i]) continue;
    it->frame->dim_value[i] = d->hi;
    it->frame->dim_bound[i] = true;
  }
}

static bool check_range(interp *it, const ir_node *at, size_t slot) {
  const ir_dim *d = it->m->dims.at[slot];
  int64_t v = it->frame->dim_value[slot];
  if (v >= d->lo && v <= d->hi && (d->step <= 1 || v % d->step == 0)) return true;
  return interp_error(it, at, interp_dim_range, d->symbol->name, (long long)v, (long long)d->lo, (long long)d->hi,
                      (long long)(d->step > 1 ? d->step : 1));
}

static bool check_ranges(interp *it, const ir_node *call) {
  for (size_t i = 0; i < it->m->dims.n; i++)
    if (it->frame->dim_bound[i] && !check_range(it, call, i)) return false;
  return true;
}

bool interp_bind_dim(interp *it, const ir_node *n, const sym *s, int64_t value) {
  size_t slot = dim_slot(it, s);
  if (slot == it->m->dims.n) return interp_malformed(it, n, "its dim is not one of the module's");
  it->frame->dim_value[slot] = value;
  it->frame->dim_bound[slot] = true;
  return check_range(it, n, slot);
}

static bool check_input_type(interp *it, const ir_node *call, uint32_t p) {
  const ir_graph *g = it->frame->graph;
  const ir_tensor *t = it->frame->params[p];
  ir_type type = g->body->params[p].type;
  if (!t) return g->param_defaults[p] ? true : interp_error(it, call, interp_input_missing, g->param_names[p]);
  if (t->dt == type.dt && t->rank == type.rank) return true;
  return interp_error(it, call, interp_input_type, g->param_names[p], dtype_name(type.dt), type.rank, dtype_name(t->dt),
                      t->rank);
}

static bool check_input_dims(interp *it, const ir_node *call, uint32_t p) {
  const ir_tensor *t = it->frame->params[p];
  ir_type type = it->frame->graph->body->params[p].type;
  const char *name = it->frame->graph->param_names[p];
  for (uint32_t i = 0; t && i < type.rank; i++) {
    int64_t expected;
    if (!interp_index(it, call, type.dim[i], &expected)) return false;
    if (t->dim[i] != expected)
      return interp_error(it, call, interp_input_shape, name, i, (long long)t->dim[i], idx_text(it, type.dim[i]),
                          (long long)expected);
  }
  return true;
}

bool interp_bind_dims(interp *it, const ir_node *call) {
  uint32_t n = it->frame->graph->body->n_params;
  for (uint32_t p = 0; p < n; p++)
    if (!check_input_type(it, call, p)) return false;
  if (!bind_from_inputs(it, call) || !bind_from_options(it) || !bind_from_inputs(it, call)) return false;
  bind_from_ranges(it);
  if (!check_ranges(it, call)) return false;
  for (uint32_t p = 0; p < n; p++)
    if (!check_input_dims(it, call, p)) return false;
  return true;
}

// -- shapes at run time --

static const char *shape_text(interp *it, uint32_t rank, const int64_t *dim) {
  strbuf b;
  sb_init(&b, it->a);
  for (uint32_t i = 0; i < rank; i++) sb_fmt(&b, "%s%lld", i ? "," : "", (long long)dim[i]);
  return sb_cstr(&b);
}

bool interp_expect(interp *it, const ir_node *n, const ir_tensor *t, uint32_t rank, const int64_t *dim) {
  bool same = t->rank == rank;
  for (uint32_t i = 0; i < rank && same; i++) same = t->dim[i] == dim[i];
  return same ? true
              : interp_error(it, n, interp_shape, interp_op_name(n), shape_text(it, t->rank, t->dim),
                             shape_text(it, rank, dim));
}

bool interp_same_shape(interp *it, const ir_node *n, const ir_tensor *a, const ir_tensor *b) {
  return interp_expect(it, n, a, b->rank, b->dim);
}

bool interp_in_range(interp *it, const ir_node *n, int64_t index, int64_t size) {
  return index >= 0 && index < size
             ? true
             : interp_error(it, n, interp_index, interp_op_name(n), (long long)index, (long long)size);
}

bool interp_run_in_range(interp *it, const ir_node *n, int64_t lo, int64_t count, int64_t step, int64_t size) {
  int64_t last;
  if (count <= 0) return true;
  if (__builtin_mul_overflow(count - 1, step, &last) || __builtin_add_overflow(last, lo, &last)) last = -1;
  return interp_in_range(it, n, lo, size) && interp_in_range(it, n, last, size);
}

bool interp_bounded(interp *it, const ir_node *n, int64_t v, int64_t limit) {
  return v >= -limit && v <= limit ? true : interp_malformed(it, n, "a number in it is too large");
}

bool interp_axis(interp *it, const ir_node *n, const char *key, uint32_t rank, uint32_t *axis) {
  int64_t v = ir_attr_int(n, key, -1);
  if (v < 0 || v >= (int64_t)rank) return interp_malformed(it, n, "its axis is not one of its operand's");
  *axis = (uint32_t)v;
  return true;
}
