// The elaborator's ground floor: errors and their places, the builder, names.
#include "frontend/elab.h"
#include "frontend/builtin.h"

#include <string.h>

// -- errors --

diag_span elab_span(const elab *e, diag_span span) {
  return e->frame && e->frame->u && e->frame->u->is_prelude && e->at ? *e->at : span;
}

// Blocks are inlined at every call and loops unrolled: the same mistake in the same place is one mistake.
bool elab_repeats(elab *e, const diag *d) {
  diag_list *l = e->l;
  if (!l->items.n || vec_last(&l->items) != d) return false;
  for (size_t i = 0; i + 1 < l->items.n; i++) {
    const diag *o = l->items.at[i];
    if (o->id != d->id || o->span.file != d->span.file || o->span.begin != d->span.begin || strcmp(o->text, d->text))
      continue;
    l->items.n--;
    if (d->severity == DIAG_error) l->n_errors--;
    return true;
  }
  return false;
}

diag *elab_once(elab *e, diag *d) {
  diag_list *l = e->l;
  if (elab_repeats(e, d)) return d;
  for (const frame *f = e->frame; f && f->u->is_prelude; f = f->caller) {
    if ((f->caller && f->caller->u->is_prelude) || !f->body) continue;
    diag_note_to(l, d, "in %s", elab_block_signature(e, f->body));
  }
  return d;
}

const char *elab_text(elab *e, str s) { return str_dup(e->a, s); }

ir_builder *elab_nodes(elab *e) {
  e->region->scope = e->scope;
  e->region->spans = (ir_spans){e->at ? 1 : 0, e->at};
  return e->region;
}

const char *elab_join_scope(elab *e, const char *outer, const char *inner) {
  if (!*outer) return inner;
  if (!*inner) return outer;
  size_t n = strlen(outer), k = strlen(inner);
  char *both = arena_alloc(e->a, n + k + 2);
  memcpy(both, outer, n);
  both[n] = '.';
  memcpy(both + n + 1, inner, k + 1);
  return intern(e->m->names, (str){both, n + k + 1});
}

// -- names --

value *elab_find_local(frame *f, str name) {
  for (size_t i = f->names.n; i-- > 0;) {
    if (str_eq(f->names.at[i].name, name)) return &f->names.at[i].v;
  }
  return NULL;
}

void elab_bind(frame *f, arena *a, str name, value v) {
  value *old = elab_find_local(f, name);
  if (old) *old = v;
  else vec_push(a, &f->names, ((binding){name, v}));
}

value elab_compile_time(elab *e, dim_env *env, const ast_expr *x) {
  frame f = {.caller = e->frame, .u = env->u, .dims = env, .scope = "", .root_scope = ""};
  ir_builder *region = e->region;
  ir_graph *graph = e->graph;
  step_context *step = e->step;
  const diag_span *at = e->at;
  e->frame = &f;
  e->region = e->scratch;
  e->graph = e->scratch->region->graph;
  e->step = NULL;
  e->compile_time++;
  value v = elab_expr(e, x);
  e->compile_time--;
  e->frame = f.caller;
  e->region = region;
  e->graph = graph;
  e->step = step;
  e->at = at;
  return v;
}

static value unit_let(elab *e, dim_env *env, size_t i, diag_span span) {
  const ast_binding *b = &env->u->ast->let.at[i];
  if (env->let_state[i] == LAZY_set) return env->let[i];
  if (env->let_state[i] == LAZY_running) {
    elab_error(e, span, let_cycle, elab_text(e, b->name.text));
    return value_error();
  }
  env->let_state[i] = LAZY_running;
  value v = elab_compile_time(e, env, b->value);
  if (v.kind == V_tensor) {
    elab_error(e, b->value->span, let_tensor, elab_text(e, b->name.text), value_describe(e->a, v));
    v = value_error();
  }
  env->let_state[i] = LAZY_set;
  return env->let[i] = v;
}

static value unit_dim_value(elab *e, dim_env *env, unit_dim *d, diag_span span) {
  const idx *x = env->dim[d - env->u->dim];
  if (x) return value_size(x);
  elab_error(e, span, dim_unbound, elab_text(e, d->ast->name.text));
  return value_error();
}

bool elab_unit_name(elab *e, dim_env *env, str name, diag_span span, value *out) {
  unit *u = env->u;
  void *let = map_get(u->lets, name);
  if (let) {
    *out = unit_let(e, env, (size_t)(uintptr_t)let - 1, span);
    return true;
  }
  const unit_key *key = map_get(u->keys, name);
  if (key && key->known) {
    *out = key->v;
    return true;
  }
  unit_dim *d = map_get(u->dims, name);
  if (d) {
    *out = unit_dim_value(e, env, d, span);
    return true;
  }
  // `unet.in_channels`: a key of an included file, or a dim of its state, which is the session's.
  const char *dot = memchr(name.p, '.', name.n);
  unit *inner = dot ? map_get(u->includes, (str){name.p, (size_t)(dot - name.p)}) : NULL;
  if (!inner) return false;
  str rest = {dot + 1, name.n - (size_t)(dot + 1 - name.p)};
  d = map_get(inner->dims, rest);
  if (d && d->in_state) *out = value_size(elab_own_dim(e, d));
  if (d) return d->in_state;
  return elab_unit_name(e, dim_env_new(e, inner), rest, span, out);
}

value elab_name(elab *e, str name, diag_span span) {
  frame *f = e->frame;
  value *local = elab_find_local(f, name);
  if (local) return *local;
  value v;
  state_slot *s = elab_state(e, f->root_scope, f->u, name);
  if (s) {
    if (!e->compile_time) return value_tensor(elab_state_now(e, s));
    elab_error(e, span, state_at_compile_time, elab_text(e, name));
    return value_error();
  }
  if (f->dims && elab_unit_name(e, f->dims, name, span, &v)) return v;
  diag *d = elab_error(e, span, unknown_name, elab_text(e, name));
  if (builtin_find(e, name) || elab_prelude_block(e, name)) {
    diag_note_to(e->l, d,
                 "`" STR_FMT "` is a function, `" STR_FMT "(...)`; a string is written in quotes, `'" STR_FMT "'`",
                 STR_ARG(name), STR_ARG(name), STR_ARG(name));
  } else {
    elab_suggest(e, d, name, false);
  }
  return value_error();
}

// -- suggestions --

typedef VEC(const char *) names;

static void add_keys(elab *e, names *v, const map *m) {
  for (size_t i = 0; i < map_count(m); i++) vec_push(e->a, v, elab_text(e, map_key(m, i)));
}

void elab_suggest(elab *e, diag *d, str word, bool calls) {
  names v = {0};
  unit *u = e->frame->u;
  if (calls) {
    builtin_names(e, &v.at, &v.n, &v.cap);
    add_keys(e, &v, e->prelude->blocks);
    add_keys(e, &v, u->blocks);
    add_keys(e, &v, u->entries);
    add_keys(e, &v, u->ops);
  } else {
    for (size_t i = 0; i < e->frame->names.n; i++) vec_push(e->a, &v, elab_text(e, e->frame->names.at[i].name));
    add_keys(e, &v, u->states);
    add_keys(e, &v, u->lets);
    add_keys(e, &v, u->keys);
    add_keys(e, &v, u->dims);
  }
  const char *best = str_suggest(word, v.at, v.n);
  if (best && best[0] != '_' && !str_is(word, best)) diag_note_to(e->l, d, "did you mean `%s`?", best);
}

bool elab_default(elab *e, dim_env *env, const ast_type *t, scalar *out) {
  value v = elab_compile_time(e, env, t->dflt);
  bool ok = v.kind == V_bool || v.kind == V_int || (v.kind == V_float && dtype_is_float(t->dt));
  if (ok) *out = elab_scalar(v, t->dt);
  else if (!value_is_error(v)) elab_error(e, t->dflt->span, default_kind, dtype_name(t->dt), value_describe(e->a, v));
  return ok;
}

// -- state --

state_slot *elab_state(elab *e, const char *root_scope, unit *u, str name) {
  if (map_count(u->states) == 0 || !map_get(u->states, name)) return NULL;
  const char *full = elab_join_scope(e, root_scope, elab_text(e, name));
  for (size_t i = 0; i < e->states.n; i++) {
    if (!strcmp(e->states.at[i]->name, full)) return e->states.at[i];
  }
  const ast_decl *decl = map_get(u->states, name);
  state_slot *s = ARENA_NEW(e->a, state_slot);
  *s = (state_slot){.name = intern_z(e->m->names, full), .at = elab_decl_span(decl)};
  dim_env *env = dim_env_new(e, u);
  for (size_t i = 0; i < u->ast->dims.n; i++) {
    unit_dim *d = &u->dim[i];
    env->dim[i] = d->pinned ? idx_int(e->m->ix, d->pin) : d->symbol;
  }
  frame f = {.caller = e->frame, .u = u, .dims = env, .scope = "", .root_scope = root_scope};
  e->frame = &f;
  ir_type type;
  scalar init = {.dt = decl->type.dt};
  bool ok = elab_type(e, &decl->type, &type);
  if (ok && decl->type.dflt) { elab_default(e, env, &decl->type, &init); }
  e->frame = f.caller;
  s->wrong = !ok;
  if (!ok) type = ir_type_make(e->m, decl->type.dt, 0, NULL);
  s->state = ir_state_add(e->m, s->name, type, init, s->at);
  vec_push(e->a, &e->states, s);
  return s;
}

ir_value *elab_state_now(elab *e, state_slot *s) {
  if (s->now || s->wrong) return s->now;
  // The first version is read in the graph's own body, ahead of any loop that is being built.
  ir_builder *b = e->body;
  b->scope = e->scope;
  b->spans = (ir_spans){e->at ? 1 : 0, e->at};
  ir_attr name = attr_str(e->m, "name", s->name);
  ir_node *n = ir_build(b, OP_state, 0, NULL, 1, &name, 1, &s->state->type, 0, NULL);
  s->now = n ? &n->out[0] : NULL;
  elab_comes_from(e, value_tensor(s->now), s->at);
  return s->now;
}
