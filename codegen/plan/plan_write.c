// The plan writer: see plan_write.h. Two passes over nothing: arrays grow in the arena, then are laid out one after
// another.
#include "codegen/plan/plan_write.h"
#include "codegen/plan/plan_work.h"
#include "runtime/rt.h"
#include <string.h>

_Static_assert((int)RT_f32 == (int)DT_f32 && (int)RT_bool == (int)DT_bool && (int)RT_DTYPES == (int)DT_COUNT,
               "rt_dtype follows ir/dtype.def");
_Static_assert((int)RT_BUF_constant == (int)PROG_constant && (int)RT_BUF_state == (int)PROG_state,
               "rt_buffer_class follows prog_class");
_Static_assert((int)RT_STEP_kernel == (int)PROG_STEP_kernel && (int)RT_STEP_while == (int)PROG_STEP_while,
               "rt_step_kind follows prog_step_kind");

typedef struct writer {
  arena *a;
  diag_list *l;
  const program_set *set;
  strbuf strings;
  map *string_at; // text -> offset + 1
  map *expr_at;   // idx * -> code word + 1
  VEC(int64_t) code;
  VEC(rt_dim) dims;
  VEC(rt_tensor_info) tensors;
  VEC(rt_buffer) buffers;
  VEC(rt_kernel_info) kernels;
  VEC(rt_step) steps;
  VEC(uint32_t) words;
  VEC(rt_program) programs;
  VEC(rt_fault_site) faults;
  VEC(rt_check) checks;
} writer;

static uint32_t string_of(writer *w, const char *z) {
  const void *known = map_get(w->string_at, str_of(z));
  if (known) return (uint32_t)(uintptr_t)known - 1;
  uint32_t at = (uint32_t)w->strings.n;
  sb_bytes(&w->strings, z, strlen(z) + 1);
  map_put(w->string_at, str_of(z), (void *)(uintptr_t)(at + 1));
  return at;
}

static void emit(writer *w, rt_code op, int64_t argument) {
  vec_push(w->a, &w->code, (int64_t)op);
  vec_push(w->a, &w->code, argument);
}

static void emit_expr(writer *w, const idx *e);

static void emit_dim(writer *w, const sym *s) {
  for (size_t i = 0; i < w->set->m->dims.n; i++)
    if (w->set->m->dims.at[i]->symbol == s) {
      emit(w, RT_DIM, (int64_t)i);
      return;
    }
  base_bug(w->l, __FILE__, __LINE__, "size over `%s`, which is not a dim", s->name);
}

static void emit_atom(writer *w, const atom *t) {
  if (t->kind == ATOM_sym) {
    emit_dim(w, t->symbol);
    return;
  }
  BUG_IF(w->l, t->kind == ATOM_read, "a size reads a buffer");
  emit_expr(w, t->a);
  emit_expr(w, t->b);
  emit(w,
       t->kind == ATOM_floordiv ? RT_FLOORDIV
       : t->kind == ATOM_mod    ? RT_MOD
       : t->kind == ATOM_min    ? RT_MIN
                                : RT_MAX,
       0);
}

// A dim with a step is held as step * (dim//step) (see ir/index.h): the dim itself in the plan, so that inputs can bind
// it.
static const sym *stepped_dim(const monomial *t) {
  if (t->n_factors != 1 || t->factors[0]->kind != ATOM_floordiv || t->factors[0]->a->n_terms != 1) return NULL;
  const monomial *operand = &t->factors[0]->a->terms[0];
  const sym *s = operand->n_factors == 1 && operand->coef == 1 ? operand->factors[0]->symbol : NULL;
  return s && idx_equals_int(t->factors[0]->b, s->step) && t->coef % s->step == 0 ? s : NULL;
}

static void emit_expr(writer *w, const idx *e) {
  if (e->n_terms == 0) emit(w, RT_PUSH, 0);
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const monomial *t = &e->terms[i];
    const sym *stepped = stepped_dim(t);
    int64_t coef = stepped ? t->coef / stepped->step : t->coef;
    bool plain = coef == 1 && t->n_factors > 0;
    if (!plain) emit(w, RT_PUSH, coef);
    for (uint32_t k = 0; k < t->n_factors; k++) {
      if (stepped) emit_dim(w, stepped);
      else emit_atom(w, t->factors[k]);
      if (k > 0 || !plain) emit(w, RT_MUL, 0);
    }
    if (i > 0) emit(w, RT_ADD, 0);
  }
}

static uint32_t expr_of(writer *w, const idx *e) {
  const void *known = map_get_ptr(w->expr_at, e);
  if (known) return (uint32_t)(uintptr_t)known - 1;
  uint32_t at = (uint32_t)w->code.n;
  emit_expr(w, e);
  emit(w, RT_END, 0);
  map_put_ptr(w->expr_at, e, (void *)(uintptr_t)(at + 1));
  return at;
}

static uint32_t exprs_of(writer *w, uint32_t n, const idx *const *e) {
  uint32_t at = (uint32_t)w->words.n;
  for (uint32_t i = 0; i < n; i++) vec_push(w->a, &w->words, expr_of(w, e[i]));
  return at;
}

static uint32_t file_of(writer *w, diag_span span) {
  const char *file;
  uint32_t line, column;
  diag_position(w->l, span, &file, &line, &column);
  const char *slash = file ? strrchr(file, '/') : NULL;
  return string_of(w, slash ? slash + 1 : file ? file : "");
}

static uint32_t line_of(const writer *w, diag_span span) {
  const char *file;
  uint32_t line, column;
  diag_position(w->l, span, &file, &line, &column);
  return line;
}

// `dflt`: of an optional input, or a state's initial value.
static void add_tensor(writer *w, const char *name, ir_type t, const scalar *dflt) {
  rt_tensor_info info = {
      .name = string_of(w, name), .dtype = (uint32_t)t.dt, .rank = t.rank, .dims = exprs_of(w, t.rank, t.dim)};
  if (dflt) {
    info.flags = RT_OPTIONAL;
    scalar_store(&info.dflt, *dflt);
  }
  vec_push(w->a, &w->tensors, info);
}

static void add_constant_tensor(writer *w, const prog_constant *k) {
  add_tensor(w, k->name, (ir_type){k->dt, 1, &k->count}, NULL);
}

static void add_check(writer *w, const prog_check *k) {
  vec_push(w->a, &w->checks, ((rt_check){expr_of(w, k->cond), string_of(w, k->text), line_of(w, k->span), 0}));
}

static void add_kernel(writer *w, const kir_kernel *k) {
  rt_kernel_info info = {string_of(w, k->name), (uint32_t)k->params.n, (uint32_t)k->facts.n, k->n_grid,
                         (uint32_t)w->words.n};
  for (size_t i = 0; i < k->params.n; i++) {
    kir_space space = k->params.at[i]->space;
    vec_push(w->a, &w->words, (space == KIR_out ? 0u : RT_READS) | (space == KIR_in ? 0u : RT_WRITES));
  }
  vec_push(w->a, &w->kernels, info);
}

// `first_guard`: where the checks of check steps begin.
static void add_step(writer *w, const program *p, const prog_step *s, uint32_t first_buffer, uint32_t first_guard) {
  rt_step step = {.kind = (uint32_t)s->kind,
                  .what = s->kind == PROG_STEP_check ? first_guard + s->what : s->what,
                  .label = string_of(w, s->label),
                  .file = file_of(w, s->span),
                  .line = line_of(w, s->span),
                  .undoes = s->undoes,
                  .body = {s->body[0], s->body[1]},
                  .cost_ns = s->cost_ns};
  step.buffers = (uint32_t)w->words.n;
  for (uint32_t k = 0; k < s->n_buffers; k++) vec_push(w->a, &w->words, first_buffer + s->buffers[k]);
  step.symbols = exprs_of(w, s->n_symbols, s->symbols);
  step.grid = exprs_of(w, s->n_grid, s->grid);
  if (s->kind == PROG_STEP_kernel) {
    plan_work work = plan_work_of(w->a, w->set, p, s);
    step.macs = expr_of(w, work.macs);
    step.bytes = exprs_of(w, s->n_buffers, work.bytes);
  }
  vec_push(w->a, &w->steps, step);
}

static void add_program(writer *w, const program *p, const uint64_t *offsets) {
  idx_ctx *ix = w->set->m->ix;
  rt_program out = {.name = string_of(w, p->name),
                    .first_step = (uint32_t)w->steps.n,
                    .n_steps = (uint32_t)p->steps.n,
                    .first_buffer = (uint32_t)w->buffers.n,
                    .n_buffers = (uint32_t)p->buffers.n,
                    .first_input = (uint32_t)w->tensors.n};
  if (p->graph) {
    const ir_region *body = p->graph->body;
    out.n_inputs = body->n_params;
    for (uint32_t i = 0; i < body->n_params; i++)
      add_tensor(w, p->graph->param_names[i], body->params[i].type, p->graph->param_defaults[i]);
    out.first_output = (uint32_t)w->tensors.n;
    out.n_outputs = body->n_yields;
    for (uint32_t i = 0; i < body->n_yields; i++) add_tensor(w, p->graph->output_names[i], body->yields[i]->type, NULL);
  } else {
    out.n_inputs = (uint32_t)w->set->sources.n;
    for (size_t i = 0; i < w->set->sources.n; i++) add_constant_tensor(w, &w->set->constants.at[w->set->sources.at[i]]);
    out.first_output = (uint32_t)w->tensors.n;
    out.n_outputs = (uint32_t)w->set->constants.n;
    for (size_t i = 0; i < w->set->constants.n; i++) add_constant_tensor(w, &w->set->constants.at[i]);
  }
  for (size_t i = 0; i < p->buffers.n; i++) {
    const prog_buffer *b = &p->buffers.at[i];
    rt_buffer buffer = {.cls = (uint32_t)b->cls, .index = b->index, .first = b->first, .last = b->last};
    buffer.size = expr_of(w, idx_scale(ix, b->count, (int64_t)dtype_size(b->dt)));
    if (b->cls == PROG_constant) buffer.offset = offsets[b->index];
    vec_push(w->a, &w->buffers, buffer);
  }
  out.first_check = (uint32_t)w->checks.n;
  out.n_checks = (uint32_t)p->checks.n;
  for (size_t i = 0; i < p->checks.n; i++) add_check(w, &p->checks.at[i]);
  uint32_t first_guard = (uint32_t)w->checks.n;
  for (size_t i = 0; i < p->guards.n; i++) add_check(w, &p->guards.at[i]);
  for (size_t i = 0; i < p->steps.n; i++) add_step(w, p, &p->steps.at[i], out.first_buffer, first_guard);
  for (size_t i = 0; i < p->undo.n; i++) add_step(w, p, &p->undo.at[i], out.first_buffer, first_guard);
  for (size_t i = 0; i < p->commit.n; i++) add_step(w, p, &p->commit.at[i], out.first_buffer, first_guard);
  out.n_undo = (uint32_t)p->undo.n;
  out.n_commit = (uint32_t)p->commit.n;
  vec_push(w->a, &w->programs, out);
}

static uint64_t weights_key(const program_set *set, const uint64_t *offsets) {
  uint64_t h = RT_PLAN_VERSION;
  for (size_t i = 0; i < set->constants.n; i++) {
    h = hash_bytes(set->constants.at[i].name, strlen(set->constants.at[i].name), h);
    h = hash_bytes(&offsets[i], sizeof *offsets, h);
  }
  return h;
}

// Appends an array to the blob and says where it lies.
static rt_range place(strbuf *blob, const void *p, size_t n, size_t elem_bytes) {
  while (blob->n % 8) sb_char(blob, 0);
  rt_range r = {blob->n, n};
  sb_bytes(blob, p, n * elem_bytes);
  return r;
}
#define PLACE(blob, v) place((blob), (v).at, (v).n, sizeof *(v).at)

// Places constants in the block: first those that entries read, then what only `prepare` needs room for.
static const uint64_t *lay_out(arena *a, diag_list *l, const program_set *set, plan_image *out) {
  uint64_t *offsets = ARENA_ARRAY(a, uint64_t, set->constants.n + 1),
           *sizes = ARENA_ARRAY(a, uint64_t, set->constants.n + 1), at = 0;
  bool *used = ARENA_ARRAY(a, bool, set->constants.n + 1);
  for (size_t e = 0; e < set->entries.n; e++)
    for (size_t i = 0; i < set->entries.at[e]->buffers.n; i++)
      if (set->entries.at[e]->buffers.at[i].cls == PROG_constant) used[set->entries.at[e]->buffers.at[i].index] = true;
  for (int own = 0; own < 2; own++) {
    for (size_t i = 0; i < set->constants.n; i++) {
      const prog_constant *k = &set->constants.at[i];
      int64_t count = 0;
      BUG_IF(l, !idx_is_const(k->count, &count), "a constant without constant size");
      sizes[i] = (uint64_t)count * dtype_size(k->dt);
      if (used[i] == (own != 0) || (own && !k->computed)) continue;
      offsets[i] = at;
      at = (at + sizes[i] + 63) & ~UINT64_C(63);
    }
    at = (at + 4095) & ~UINT64_C(4095);
    if (!own) out->constants_bytes = at;
  }
  out->prepare_bytes = at;
  out->constant_offset = offsets;
  out->constant_bytes = sizes;
  out->constant_used = used;
  return offsets;
}

bool plan_write(arena *a, diag_list *l, const program_set *set, uint32_t scratch_bytes, plan_image *out) {
  writer w = {.a = a, .l = l, .set = set, .string_at = map_new(a), .expr_at = map_new(a)};
  sb_init(&w.strings, a);
  string_of(&w, "");
  const uint64_t *offsets = lay_out(a, l, set, out);
  for (size_t i = 0; i < set->m->dims.n; i++) {
    const ir_dim *d = set->m->dims.at[i];
    vec_push(a, &w.dims, ((rt_dim){string_of(&w, d->symbol->name), 0, d->lo, d->hi, d->step}));
  }
  for (size_t i = 0; i < set->kernels.n; i++) add_kernel(&w, set->kernels.at[i]);
  uint32_t first_state = (uint32_t)w.tensors.n;
  for (size_t i = 0; i < set->m->states.n; i++) {
    const ir_state *state = set->m->states.at[i];
    scalar init = scalar_cast(state->init, state->type.dt);
    add_tensor(&w, state->name, state->type, &init);
  }
  add_program(&w, &set->prepare, offsets);
  for (size_t i = 0; i < set->entries.n; i++) add_program(&w, set->entries.at[i], offsets);
  for (size_t i = 0; i < set->faults.n; i++)
    vec_push(a, &w.faults,
             ((rt_fault_site){string_of(&w, set->faults.at[i].text), line_of(&w, set->faults.at[i].span)}));

  rt_plan head = {.magic = RT_PLAN_MAGIC,
                  .version = RT_PLAN_VERSION,
                  .cpu_level = (uint32_t)set->target->level,
                  .scratch_bytes = scratch_bytes,
                  .first_state = first_state,
                  .n_states = (uint32_t)set->m->states.n};
  head.name = string_of(&w, set->m->name ? set->m->name : "model");
  head.weights_key = weights_key(set, offsets);
  head.constants_bytes = out->constants_bytes;
  strbuf blob;
  sb_init(&blob, a);
  sb_bytes(&blob, &head, sizeof head);
  head.strings = place(&blob, sb_cstr(&w.strings), w.strings.n, 1);
  head.dims = PLACE(&blob, w.dims);
  head.code = PLACE(&blob, w.code);
  head.tensors = PLACE(&blob, w.tensors);
  head.buffers = PLACE(&blob, w.buffers);
  head.kernels = PLACE(&blob, w.kernels);
  head.steps = PLACE(&blob, w.steps);
  head.words = PLACE(&blob, w.words);
  head.programs = PLACE(&blob, w.programs);
  head.faults = PLACE(&blob, w.faults);
  head.checks = PLACE(&blob, w.checks);
  while (blob.n % 8) sb_char(&blob, 0);
  head.size_bytes = blob.n;
  char *bytes = arena_copy(a, blob.p, blob.n);
  memcpy(bytes, &head, sizeof head);
  head.checksum = rt_checksum(bytes, blob.n);
  memcpy(bytes, &head, sizeof head);
  out->blob = (str){bytes, blob.n};
  return true;
}
