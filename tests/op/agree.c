// Agreement of engines: see agree.h.
#include "op/agree.h"
#include "op/random_graph.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DISTURBED = 3, MAX_OUTPUTS = 64 };

static scalar at(const ir_tensor *t, int64_t i) {
  return scalar_load(t->dt, (const char *)t->data + (size_t)i * dtype_size(t->dt));
}

static void put(ir_tensor *t, int64_t i, double v) {
  scalar_store((char *)t->data + (size_t)i * dtype_size(t->dt), scalar_f(t->dt, v));
}

static double last_place(dtype dt) {
  return dt == DT_f16 ? 0x1p-10 : dt == DT_bf16 ? 0x1p-7 : dt == DT_f64 ? 0x1p-52 : 0x1p-23;
}

// -- the disturbed interpreter --

typedef struct size_of_tensor {
  double largest;      // magnitude of its finite elements
  double count, terms; // elements; terms of the sum that each is
} size_of_tensor;

typedef struct disturbance {
  uint64_t state;
  map *seen; // ir_value * -> size_of_tensor *
  ir_module *m;
  const int64_t *dims;
  arena *a;
} disturbance;

static double largest_of(const ir_tensor *t) {
  double most = 0;
  for (int64_t i = 0; dtype_is_float(t->dt) && i < ir_tensor_count(t); i++)
    if (isfinite(at(t, i).v.f)) most = fmax(most, fabs(at(t, i).v.f));
  return most;
}

static size_of_tensor operand_size(const disturbance *d, const ir_value *v) {
  return *(const size_of_tensor *)map_get_ptr(d->seen, v);
}

static double noise(disturbance *d) { return 2 * random_unit(&d->state) - 1; }

static void disturb(disturbance *d, ir_tensor *t, double relative, double absolute) {
  for (int64_t i = 0; i < ir_tensor_count(t); i++) {
    double v = at(t, i).v.f;
    if (isfinite(v)) put(t, i, v + noise(d) * (relative * fabs(v) + absolute));
  }
}

// A sum of n terms of size x, added up in the dtype in any order: n partial sums are rounded, which grow as sqrt(n) or,
// when terms are alike, faster. A chain of contractions may be summed as one (passes/reassociate.c). Gives their
// number.
static double disturb_sum(disturbance *d, const ir_node *n, ir_tensor *t) {
  size_of_tensor x = operand_size(d, n->in[0]), y = n->n_in > 1 ? operand_size(d, n->in[1]) : (size_of_tensor){1, 1, 1};
  double terms = x.count / fmax(1, (double)ir_tensor_count(t)), last = last_place(t->dt);
  const ir_map *labels = n->op == OP_contract ? ir_map_of(d->m, n) : NULL;
  if (labels) terms = 1;
  for (uint32_t i = 0; labels && i < labels->n_labels; i++)
    if (!labels->labels[i].in_out) terms *= (double)random_eval(d->m, d->dims, labels->labels[i].extent);
  disturb(d, t, 2 * last, last * x.largest * y.largest * (4 + terms * sqrt(terms) / 2));
  double inner = n->op == OP_contract ? fmax(x.terms, y.terms) : 1;
  if (inner > 1) disturb(d, t, last * sqrt(terms * inner), 0);
  return terms * inner;
}

// Weights of interp are rounded, and so are the partial sums of scatter.
static void disturb_indexed(disturbance *d, const ir_node *n, ir_tensor *t) {
  size_of_tensor x = operand_size(d, n->in[0]);
  double last = last_place(t->dt);
  if (n->op == OP_interp) disturb(d, t, 2 * last, 4 * last_place(DT_f32) * x.largest);
  if (n->op != OP_scatter || strcmp(ir_attr_str(n, "mode", ""), "add") != 0) return;
  size_of_tensor places = operand_size(d, n->in[1]), src = operand_size(d, n->in[2]);
  disturb(d, t, 2 * last, last * (x.largest + places.count * src.largest));
}

static void watch(void *user, const ir_value *v, const ir_tensor *seen) {
  disturbance *d = user;
  ir_tensor *t = (ir_tensor *)(uintptr_t)seen; // fresh results of arithmetic: nobody else holds them
  const ir_node *n = v->def;
  double terms = n && op_get(n->op)->cls == OPC_movement && n->n_in == 1 ? operand_size(d, n->in[0]).terms : 1;
  if (n && dtype_is_float(t->dt)) {
    double last = last_place(t->dt);
    switch ((int)n->op) {
    case OP_neg:
    case OP_abs:
    case OP_sign:
    case OP_floor:
    case OP_ceil:
    case OP_round_even:
    case OP_round_away:
    case OP_min:
    case OP_max:
    case OP_where:
    case OP_floordiv:
    case OP_mod: break; // exact
    case OP_sum:
    case OP_contract: terms = disturb_sum(d, n, t); break;
    case OP_prod: disturb(d, t, 8 * last, 0); break;
    case OP_interp:
    case OP_scatter: disturb_indexed(d, n, t); break;
    case OP_cast: disturb(d, t, dtype_is_float(n->in[0]->type.dt) ? 2 * last : 0, 0); break;
    default:
      if (op_is_elementwise(n->op)) disturb(d, t, (op_get(n->op)->cls == OPC_unary ? 4 : 2) * last, 0);
    }
  }
  size_of_tensor size = {largest_of(t), (double)ir_tensor_count(t), terms};
  map_put_ptr(d->seen, v, arena_copy(d->a, &size, sizeof size));
}

static bool is_ordinary(const char *name) { return name[0] == 'u' || name[0] == 'p'; }

static ir_tensor *disturbed_copy(disturbance *d, const ir_tensor *t) {
  ir_tensor *copy = ir_tensor_new(d->a, t->dt, t->rank, t->dim);
  memcpy(copy->data, t->data, (size_t)ir_tensor_count(t) * dtype_size(t->dt));
  disturb(d, copy, last_place(t->dt), 0);
  return copy;
}

static bool run_disturbed(engines *e, arena *a, const ir_tensor *const *in, const int64_t *dims, uint64_t seed,
                          ir_tensor **out) {
  const ir_graph *g = e->plain->graphs.at[0];
  const ir_tensor **moved = ARENA_ARRAY(a, const ir_tensor *, g->body->n_params + 1);
  disturbance d = {seed, map_new(a), e->plain, dims, a};
  const void **weights = ARENA_ARRAY(a, const void *, e->plain->weights.n + 1);
  for (uint32_t i = 0; i < g->body->n_params; i++)
    moved[i] = is_ordinary(g->param_names[i]) && dtype_is_float(in[i]->dt) ? disturbed_copy(&d, in[i]) : in[i];
  for (size_t i = 0; i < e->plain->weights.n; i++) {
    ir_weight *w = e->plain->weights.at[i];
    ir_tensor t = {.dt = w->type.dt, .rank = w->type.rank, .data = (void *)(uintptr_t)w->data};
    for (uint32_t k = 0; k < t.rank; k++) idx_is_const(w->type.dim[k], &t.dim[k]);
    weights[i] = w->data;
    if (is_ordinary(w->name) && dtype_is_float(t.dt)) w->data = disturbed_copy(&d, &t)->data;
  }
  interp_options opt = {.watch = watch, .user = &d};
  bool ok = interp_run(a, e->plain->graphs.at[0], moved, out, &opt);
  for (size_t i = 0; i < e->plain->weights.n; i++) e->plain->weights.at[i]->data = weights[i];
  return ok;
}

// -- comparing --

typedef struct judge {
  uint32_t n_out;
  ir_tensor *expected[MAX_OUTPUTS];
  double *bound[MAX_OUTPUTS]; // by element; NaN: it says nothing
} judge;

static void measure(arena *a, judge *j, uint32_t k, ir_tensor *(*disturbed)[MAX_OUTPUTS], agree_counts *counts) {
  const ir_tensor *t = j->expected[k];
  int64_t n = ir_tensor_count(t);
  double *bound = j->bound[k] = arena_array(a, (size_t)n, sizeof *bound), most = 0, largest = largest_of(t);
  if (!dtype_is_float(t->dt)) return;
  for (int64_t i = 0; i < n; i++) {
    double v = at(t, i).v.f;
    for (int r = 0; r < DISTURBED; r++) {
      double w = at(disturbed[r][k], i).v.f;
      if (isfinite(v) && isfinite(w)) bound[i] = fmax(bound[i], fabs(v - w));
      else if (!(v == w || (isnan(v) && isnan(w)))) bound[i] = NAN;
    }
    if (isfinite(bound[i])) most = fmax(most, bound[i]);
    else counts->silent++;
  }
  // Three samples of an element may all be lucky, hence a share of what its neighbours saw.
  for (int64_t i = 0; i < n; i++)
    bound[i] = 8 * bound[i] + 2 * most + 2 * last_place(t->dt) * fabs(at(t, i).v.f) + FLT_MIN;
  counts->tensors++;
  counts->elements += (uint64_t)n;
  counts->vague += 10 * most > 0.01 * largest && largest > 0 && last_place(t->dt) < 1e-6;
}

static bool same(scalar got, scalar want, double bound) {
  if (!dtype_is_float(want.dt)) return got.v.i == want.v.i;
  if (isnan(bound)) return true;
  if (!isfinite(want.v.f) || !isfinite(got.v.f)) return got.v.f == want.v.f || (isnan(got.v.f) && isnan(want.v.f));
  return fabs(got.v.f - want.v.f) <= bound;
}

static bool compare(const judge *j, const char *engine, ir_tensor *const *out, strbuf *why) {
  for (uint32_t k = 0; k < j->n_out; k++)
    for (int64_t i = 0; i < ir_tensor_count(j->expected[k]); i++) {
      scalar got = at(out[k], i), want = at(j->expected[k], i);
      if (same(got, want, j->bound[k][i])) continue;
      bool is_float = dtype_is_float(want.dt);
      sb_fmt(why, "%s: output %u, element %lld of %lld: got %.9g, expected %.9g", engine, k, (long long)i,
             (long long)ir_tensor_count(j->expected[k]), is_float ? got.v.f : (double)got.v.i,
             is_float ? want.v.f : (double)want.v.i);
      if (is_float) sb_fmt(why, ", may differ by %.3g", j->bound[k][i]);
      return false;
    }
  return true;
}

static bool identical(const judge *j, ir_tensor *const *x, ir_tensor *const *y, strbuf *why) {
  for (uint32_t k = 0; k < j->n_out; k++)
    if (memcmp(x[k]->data, y[k]->data, (size_t)ir_tensor_count(x[k]) * dtype_size(x[k]->dt)) != 0) {
      sb_fmt(why, "output %u: two threads give other bits than one", k);
      return false;
    }
  return true;
}

static bool failed(engines *e, const char *engine, strbuf *why) {
  sb_fmt(why, "%s: %s", engine, engines_messages(e));
  return false;
}

static bool one_round(engines *e, arena *a, const ir_tensor *const *in, const int64_t *dims, uint64_t seed,
                      const agree_device *device, agree_counts *counts, strbuf *why) {
  judge j = {.n_out = e->plain->graphs.at[0]->body->n_yields};
  ir_tensor *disturbed[DISTURBED][MAX_OUTPUTS], *got[MAX_OUTPUTS], *again[MAX_OUTPUTS];
  if (!engines_interpret(e, a, in, j.expected)) return failed(e, "interpreter", why);
  for (int r = 0; r < DISTURBED; r++)
    if (!run_disturbed(e, a, in, dims, seed + (uint64_t)r, disturbed[r]))
      return failed(e, "interpreter, disturbed", why);
  for (uint32_t k = 0; k < j.n_out; k++) measure(a, &j, k, disturbed, counts);
  if (!interp_run(a, e->job.m->graphs.at[0], in, got, NULL)) return failed(e, "interpreter of the fused graph", why);
  if (!compare(&j, "interpreter of the fused graph", got, why)) return false;
  if (!engines_run_kernels(e, a, in, got)) return failed(e, "kernel interpreter", why);
  if (!compare(&j, "kernel interpreter", got, why)) return false;
  if (device && !engines_run_kernels_by(e, a, device->run, device->user, in, got)) return failed(e, "device", why);
  if (device && !compare(&j, "device", got, why)) return false;
  if (e->job.target->workers) return true;
  if (!engines_run_jit(e, a, in, got, 1)) return failed(e, "machine code", why);
  if (!compare(&j, "machine code", got, why)) return false;
  if (!engines_run_jit(e, a, in, again, 2)) return failed(e, "machine code, two threads", why);
  return identical(&j, got, again, why);
}

bool engines_agree(arena *a, ir_module *m, uint64_t seed, const agree_device *device, agree_counts *counts,
                   strbuf *why) {
  static const char *const levels[] = {"native", "native", "x86-64-v3", "x86-64"};
  const char *cpu = levels[seed % 4];
  engines e;
  if (device) cpu = device->target;
  else if (!target_supported(target_find(cpu))) cpu = "native";
  random_weights(a, m, seed);
  if (!engines_open(&e, a, m, cpu)) return failed(&e, "compile", why);
  uint32_t rounds = m->dims.n ? 3 : 1;
  int64_t *dims = ARENA_ARRAY(a, int64_t, m->dims.n + 1);
  for (uint32_t round = 0; round < rounds; round++) {
    random_dims(m, seed + round, round, dims);
    const ir_tensor **in = random_inputs(a, m, dims, seed + round);
    if (in && one_round(&e, a, in, dims, seed + 100 * round, device, counts, why)) continue;
    sb_fmt(why, " (cpu %s", cpu);
    for (size_t i = 0; i < m->dims.n; i++) sb_fmt(why, ", %s = %lld", m->dims.at[i]->symbol->name, (long long)dims[i]);
    sb_char(why, ')');
    return false;
  }
  return true;
}
