// The engines: see engines.h.
#include "engines.h"
#include "runtime/routines.h"
#include "support/kernel_judge.h"
#include <stdlib.h>
#include <math.h>
#include <string.h>

uint32_t engines_count(const compile_job *j, const char *text) {
  const program *p = j->set->entries.at[0];
  uint32_t n = 0;
  for (size_t i = 0; i < p->steps.n; i++) {
    if (p->steps.at[i].kind != PROG_STEP_kernel) continue;
    str kernel = kir_fingerprint(j->set->kernels.at[p->steps.at[i].what], j->a);
    n += strstr(str_dup(j->a, kernel), text) != NULL;
  }
  return n;
}

double engines_error(const ir_tensor *want, const ir_tensor *got) {
  double error = 0, most = 0;
  for (int64_t i = 0; i < ir_tensor_count(want); i++) {
    double x = (double)((const float *)want->data)[i], y = (double)((const float *)got->data)[i];
    error = fmax(error, fabs(x - y));
    most = fmax(most, fabs(x));
  }
  return error / most;
}

const char *engines_messages(engines *e) { return messages_of(e->job.a, &e->job.diags); }

static ir_module *parse_copy(engines *e, arena *a, const ir_module *m) {
  strbuf text;
  sb_init(&text, a);
  graph_print(&text, m, false);
  ir_module *copy = graph_parse(a, &e->job.diags, diag_add_file(&e->job.diags, "graph", sb_str(&text)));
  for (size_t i = 0; copy && i < m->weights.n; i++)
    ir_weight_find(copy, m->weights.at[i]->name)->data = m->weights.at[i]->data;
  return copy;
}

bool engines_open(engines *e, arena *a, ir_module *m, const char *cpu) {
  memset(e, 0, sizeof *e);
  compile_job *j = &e->job;
  const target *t = target_find(cpu ? cpu : "native");
  bool runs = target_supported(t);
  if (!compile_begin(j, a, "graph", NULL, NULL, runs ? cpu : "x86-64")) return false;
  if (!runs) { // its schedules, for code that runs here
    target *shape = arena_copy(a, t, sizeof *t);
    shape->level = j->target->level;
    j->context.target = shape;
  }
  j->passes.round_trip = true;
  e->plain = parse_copy(e, a, m);
  j->source = j->m = parse_copy(e, a, m);
  if (!e->plain || !j->m || !compile_passes(j) || !compile_lower(j)) return false;
  if (t->workers) return true; // no code for a CPU
  j->llvm = nnc_llvm_backend();
  j->weights_bound = true;
  return compile_object(j) && compile_module(j, &e->module, NULL);
}

bool engines_interpret(engines *e, arena *a, const ir_tensor *const *in, ir_tensor **out) {
  return interp_run(a, e->plain->graphs.at[0], in, out, NULL);
}

typedef struct dim_env {
  const ir_module *m;
  int64_t value[64];
} dim_env;

static int64_t dim_value(void *user, const sym *s) {
  const dim_env *env = user;
  for (size_t i = 0; i < env->m->dims.n; i++)
    if (env->m->dims.at[i]->symbol == s) return env->value[i];
  return 0;
}

// Dims named alone by an input take its size; the others their lowest value.
static dim_env bind_dims(const ir_module *m, const ir_tensor *const *in) {
  dim_env env = {.m = m};
  const ir_region *body = m->graphs.at[0]->body;
  for (size_t i = 0; i < m->dims.n; i++) {
    env.value[i] = m->dims.at[i]->lo;
    for (uint32_t p = 0; p < body->n_params; p++)
      for (uint32_t d = 0; d < body->params[p].type.rank; d++)
        if (idx_is_symbol(body->params[p].type.dim[d]) == m->dims.at[i]->symbol) env.value[i] = in[p]->dim[d];
  }
  return env;
}

static int64_t value_of(const idx *e, dim_env *env) {
  int64_t v = -1;
  idx_env x = {dim_value, NULL, env};
  return idx_eval(e, &x, &v) ? v : -1;
}

typedef struct kernel_run {
  engines_kernel run;
  void *user;
  engines *e;
  arena *a;
  const program *p;
  dim_env *env;
  void *const *memory; // [buffers]
} kernel_run;

static bool run_steps(const kernel_run *r, uint32_t first, uint32_t n);

static bool run_kernel(const kernel_run *r, const prog_step *s) {
  void **buffers = ARENA_ARRAY(r->a, void *, s->n_buffers + 1);
  int64_t *symbols = ARENA_ARRAY(r->a, int64_t, s->n_symbols + 1), fault = 0;
  for (uint32_t k = 0; k < s->n_buffers; k++) buffers[k] = r->memory[s->buffers[k]];
  for (uint32_t k = 0; k < s->n_symbols; k++) symbols[k] = value_of(s->symbols[k], r->env);
  kir_kernel *k = r->e->job.set->kernels.at[s->what];
  if (!k->routine) return r->run(r->user, r->e, r->a, k, buffers, symbols, &fault);
  rt_routine(k->name)(buffers, symbols, NULL, 0, value_of(s->grid[0], r->env), NULL, &fault);
  return true;
}

static bool run_step(const kernel_run *r, uint32_t i) {
  const prog_step *s = &r->p->steps.at[i];
  uint32_t second = i + 1 + s->body[0];
  void *operand = s->kind == PROG_STEP_kernel || s->kind == PROG_STEP_check ? NULL : r->memory[s->buffers[0]];
  int32_t turns;
  switch (s->kind) {
  case PROG_STEP_kernel: return run_kernel(r, s);
  case PROG_STEP_if: return *(uint8_t *)operand ? run_steps(r, i + 1, s->body[0]) : run_steps(r, second, s->body[1]);
  case PROG_STEP_loop:
    memcpy(&turns, operand, sizeof turns);
    for (int32_t turn = 0; turn < turns; turn++) {
      memcpy(r->memory[s->buffers[1]], &turn, sizeof turn);
      if (!run_steps(r, i + 1, s->body[0])) return false;
    }
    return true;
  case PROG_STEP_while:
    for (;;) {
      if (!run_steps(r, i + 1, s->body[0])) return false;
      if (!*(uint8_t *)operand) return true;
      if (!run_steps(r, second, s->body[1])) return false;
    }
  case PROG_STEP_bind:
  case PROG_STEP_check:
  default: return true; // sizes that are bound while running are not for this engine
  }
}

static bool run_steps(const kernel_run *r, uint32_t first, uint32_t n) {
  for (uint32_t i = first; i < first + n; i += 1 + r->p->steps.at[i].body[0] + r->p->steps.at[i].body[1])
    if (!run_step(r, i)) return false;
  return true;
}

// Runs one program's steps over buffers laid out one by one.
static bool run_program(kernel_run r, const program *p, void *const *memory) {
  r.p = p;
  r.memory = memory;
  return run_steps(&r, 0, (uint32_t)p->steps.n);
}

static ir_tensor **output_tensors(engines *e, arena *a, dim_env *env, ir_tensor **out) {
  const ir_region *body = e->job.m->graphs.at[0]->body;
  for (uint32_t i = 0; i < body->n_yields; i++) {
    ir_type t = body->yields[i]->type;
    int64_t dim[IR_MAX_RANK];
    for (uint32_t d = 0; d < t.rank; d++) dim[d] = value_of(t.dim[d], env);
    out[i] = ir_tensor_new(a, t.dt, t.rank, dim);
  }
  return out;
}

// Memory of a constant: of its own where `prepare` computes it, else where the weight or the array lies.
static void *constant_memory(engines *e, arena *a, const prog_constant *c, dim_env *env) {
  if (c->computed) return arena_alloc(a, (size_t)value_of(c->count, env) * dtype_size(c->dt) + 64);
  return (void *)(uintptr_t)(c->weight ? c->weight->data : ir_const_elems(e->job.m, c->data));
}

bool engines_run_kernels_by(engines *e, arena *a, engines_kernel run, void *user, const ir_tensor *const *in,
                            ir_tensor **out) {
  const program_set *set = e->job.set;
  const program *entry = set->entries.at[0], *prepare = &set->prepare;
  dim_env env = bind_dims(e->job.m, in);
  kernel_run r = {.run = run, .user = user, .e = e, .a = a, .env = &env};
  void **constants = ARENA_ARRAY(a, void *, set->constants.n + 1);
  for (size_t i = 0; i < set->constants.n; i++) constants[i] = constant_memory(e, a, &set->constants.at[i], &env);
  void **memory = ARENA_ARRAY(a, void *, prepare->buffers.n + 1);
  for (size_t i = 0; i < prepare->buffers.n; i++) {
    const prog_buffer *b = &prepare->buffers.at[i];
    memory[i] = constants[b->cls == PROG_input ? set->sources.at[b->index] : b->index];
  }
  if (!run_program(r, prepare, memory)) return false;
  output_tensors(e, a, &env, out);
  memory = ARENA_ARRAY(a, void *, entry->buffers.n + 1);
  for (size_t i = 0; i < entry->buffers.n; i++) {
    const prog_buffer *b = &entry->buffers.at[i];
    switch (b->cls) {
    case PROG_input: memory[i] = in[b->index]->data; break;
    case PROG_output: memory[i] = out[b->index]->data; break;
    case PROG_constant: memory[i] = constants[b->index]; break;
    case PROG_state: // one call: nothing is kept
    case PROG_arena:
    default: memory[i] = arena_alloc(a, (size_t)value_of(b->count, &env) * dtype_size(b->dt) + 64);
    }
  }
  return run_program(r, entry, memory);
}

static bool interpret_kernel(void *user, engines *e, arena *a, kir_kernel *k, void *const *buffers,
                             const int64_t *symbols, int64_t *fault) {
  (void)user;
  return kir_run(a, k, &e->job.diags, buffers, symbols, fault);
}

bool engines_run_kernels(engines *e, arena *a, const ir_tensor *const *in, ir_tensor **out) {
  return engines_run_kernels_by(e, a, interpret_kernel, NULL, in, out);
}

static rt_tensor as_rt(const ir_tensor *t) {
  rt_tensor r = {.dtype = (rt_dtype)t->dt, .rank = t->rank, .data = t->data};
  memcpy(r.dim, t->dim, t->rank * sizeof *r.dim);
  return r;
}

bool engines_run_jit(engines *e, arena *a, const ir_tensor *const *in, ir_tensor **out, unsigned threads) {
  const ir_region *body = e->job.m->graphs.at[0]->body;
  dim_env env = bind_dims(e->job.m, in);
  output_tensors(e, a, &env, out);
  rt_tensor *ins = ARENA_ARRAY(a, rt_tensor, body->n_params + 1), *outs = ARENA_ARRAY(a, rt_tensor, body->n_yields + 1);
  for (uint32_t i = 0; i < body->n_params; i++) ins[i] = as_rt(in[i]);
  for (uint32_t i = 0; i < body->n_yields; i++) outs[i] = as_rt(out[i]);
  rt_pool *pool = threads == 1 ? NULL : rt_pool_new(threads);
  rt_session *s;
  rt_error err;
  rt_status status = rt_session_new(&s, &e->module, pool, 0, &err);
  if (!status) status = rt_run(s, 1, ins, outs, &err);
  if (status) diag_at(&e->job.diags, NO_SPAN, plan_refused, "run", err.text);
  rt_session_free(s);
  rt_pool_free(pool);
  return status == RT_OK;
}
