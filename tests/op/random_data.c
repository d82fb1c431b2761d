// What random graphs compute on: see random_graph.h.
#include "op/random_graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double nasty(uint64_t *state) {
  static const double values[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1.0, -1.0, 1e-3, -1e-3, 30, -30};
  uint32_t k = random_below(state, 2 * sizeof values / sizeof *values);
  return k < sizeof values / sizeof *values ? values[k] : 4 * random_unit(state) - 2;
}

static scalar pick(dtype dt, const char *name, uint64_t *state) {
  switch (name[0]) {
  case 'p': return scalar_f(dt, 0.5 + 3.5 * random_unit(state));
  case 'c': return scalar_f(dt, 0.25 * ((double)random_below(state, 33) - 16));
  case 'n': return scalar_f(dt, nasty(state));
  case 'i': return scalar_i(dt, (int64_t)random_below(state, 19) - 9);
  case 'j': return scalar_i(dt, (int64_t)random_next(state) >> random_below(state, 64));
  case 'b': return scalar_i(dt, random_below(state, 2));
  case 'g': return scalar_i(dt, random_below(state, (uint32_t)strtoul(name + 1, NULL, 10)));
  default: return scalar_f(dt, 4 * random_unit(state) - 2);
  }
}

void random_fill(ir_tensor *t, const char *name, uint64_t *state) {
  for (int64_t i = 0; i < ir_tensor_count(t); i++)
    scalar_store((char *)t->data + (size_t)i * dtype_size(t->dt), pick(t->dt, name, state));
}

// A name has its own stream, so that taking other inputs away does not change it.
static uint64_t stream(const char *name, uint64_t seed) { return hash_bytes(name, strlen(name), seed); }

void random_weights(arena *a, ir_module *m, uint64_t seed) {
  for (size_t i = 0; i < m->weights.n; i++) {
    ir_weight *w = m->weights.at[i];
    int64_t dim[IR_MAX_RANK];
    for (uint32_t d = 0; d < w->type.rank; d++) idx_is_const(w->type.dim[d], &dim[d]);
    ir_tensor *t = ir_tensor_new(a, w->type.dt, w->type.rank, dim);
    uint64_t state = stream(w->name, seed);
    random_fill(t, w->name, &state);
    w->data = t->data;
  }
}

void random_dims(const ir_module *m, uint64_t seed, uint32_t round, int64_t *value) {
  for (size_t i = 0; i < m->dims.n; i++) {
    const ir_dim *d = m->dims.at[i];
    int64_t lo = (d->lo + d->step - 1) / d->step, hi = d->hi / d->step;
    int64_t k = round == 0 ? lo : round == 1 ? hi : lo + (int64_t)random_below(&seed, (uint32_t)(hi - lo + 1));
    value[i] = k * d->step;
  }
}

typedef struct dim_values {
  const ir_module *m;
  const int64_t *value;
} dim_values;

static int64_t dim_value(void *user, const sym *s) {
  const dim_values *x = user;
  for (size_t i = 0; i < x->m->dims.n; i++)
    if (x->m->dims.at[i]->symbol == s) return x->value[i];
  return 0;
}

int64_t random_eval(const ir_module *m, const int64_t *dims, const idx *e) {
  dim_values x = {m, dims};
  idx_env env = {dim_value, NULL, &x};
  int64_t v;
  return idx_eval(e, &env, &v) ? v : -1;
}

const ir_tensor **random_inputs(arena *a, const ir_module *m, const int64_t *dims, uint64_t seed) {
  const ir_graph *g = m->graphs.at[0];
  const ir_tensor **in = ARENA_ARRAY(a, const ir_tensor *, g->body->n_params + 1);
  for (uint32_t i = 0; i < g->body->n_params; i++) {
    ir_type t = g->body->params[i].type;
    int64_t dim[IR_MAX_RANK];
    for (uint32_t d = 0; d < t.rank; d++)
      if ((dim[d] = random_eval(m, dims, t.dim[d])) < 0) return NULL;
    ir_tensor *x = ir_tensor_new(a, t.dt, t.rank, dim);
    uint64_t state = stream(g->param_names[i], seed);
    random_fill(x, g->param_names[i], &state);
    in[i] = x;
  }
  return in;
}
