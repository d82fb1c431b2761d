// Calls: what a name in front of `(` means, binding of arguments, and blocks, which are inlined where they are called.
#include "frontend/elab.h"
#include "frontend/builtin.h"

#include <string.h>

bool elab_find_callee(elab *e, unit *u, str name, callee *out) {
  *out = (callee){0};
  bool internal = name.n && name.p[0] == '_' && !u->is_prelude;
  if (!internal && (out->fn = builtin_find(e, name))) return true;
  if (!internal && (out->block = map_get(e->prelude->blocks, name))) {
    out->u = e->prelude;
    return true;
  }
  const char *dot = memchr(name.p, '.', name.n);
  if (dot) {
    unit *inner = map_get(u->includes, (str){name.p, (size_t)(dot - name.p)});
    return inner && elab_find_callee(e, inner, (str){dot + 1, name.n - (size_t)(dot + 1 - name.p)}, out) && out->u &&
           !out->u->is_prelude;
  }
  out->u = u;
  out->block = map_get(u->blocks, name);
  out->entry = map_get(u->entries, name);
  out->op = map_get(u->ops, name);
  return out->block || out->entry || out->op;
}

const ast_block *elab_prelude_block(elab *e, str name) { return map_get(e->prelude->blocks, name); }

static bool is_weighted(const callee *c, const unit *here) {
  if (c->fn) return c->fn->weighted;
  if (c->block) return scan_weighted(&c->block->steps);
  // An entry of the same file shares its weights; an included one takes a scope like a block.
  return c->entry && c->u != here && scan_weighted(&c->entry->steps);
}

bool elab_callee_weighted(elab *e, const ast_expr *x) {
  callee c;
  return elab_find_callee(e, e->frame->u, x->text, &c) && is_weighted(&c, e->frame->u);
}

const char *elab_block_signature(elab *e, const ast_block *b) {
  strbuf s;
  sb_init(&s, e->a);
  sb_fmt(&s, STR_FMT "(", STR_ARG(b->name));
  for (size_t i = 0; i < b->params.n; i++) {
    const ast_param *p = &b->params.at[i];
    sb_fmt(&s, "%s" STR_FMT, i ? ", " : "", STR_ARG(p->name));
    if (!p->dflt) continue;
    diag_span at = p->dflt->span;
    sb_fmt(&s, "=%.*s", (int)(at.end - at.begin), e->l->files.at[at.file - 1].text.p + at.begin);
  }
  sb_char(&s, ')');
  return sb_cstr(&s);
}

// The step that calls something with weights names a scope, and makes one such call. What merely could have weights (a
// norm without its affine part) needs no scope; `elab_may_make_weights` sees to the rest.
static bool enter_weighted(elab *e, const ast_expr *x) {
  if (!e->step || !e->step->step->scope.present || e->step->n_weighted++ == 0) return true;
  diag *d = elab_error(e, x->op_span, weights_twice, elab_text(e, x->text));
  diag_note_to(e->l, d, "a scope holds the weights of one call: give each call a step of its own");
  return false;
}

static bool is_unscoped(const elab *e) { return !e->step || !e->step->step->scope.present; }

bool elab_may_make_weights(elab *e) {
  const frame *outer = NULL;
  for (const frame *f = e->frame; f; f = f->caller) outer = f->unscoped ? f : outer;
  if (!outer) return true;
  const ast_expr *x = outer->unscoped;
  const char *name = elab_text(e, x->text);
  diag *d = outer->outside_step ? diag_at(e->l, x->op_span, weights_outside_step, name)
                                : diag_at(e->l, x->op_span, weights_need_scope, name);
  if (!elab_repeats(e, d) && !outer->outside_step)
    diag_note_to(e->l, d, "`x@name: ...`; `x@.: ...` puts them in the block's own scope");
  return false;
}

// -- blocks --

typedef struct block_args {
  size_t n;
  value *v;
  bool *given;
} block_args;

static bool bind_named(elab *e, const ast_expr *x, const ast_block *b, block_args *out) {
  bool ok = true;
  for (size_t i = 0; i < x->named.n; i++) {
    const ast_arg *arg = &x->named.at[i];
    value v = elab_expr(e, arg->value);
    size_t k = 0;
    while (k < b->params.n && !str_eq(b->params.at[k].name, arg->name)) k++;
    if (k == b->params.n) {
      const char **names = ARENA_ARRAY(e->a, const char *, b->params.n);
      for (size_t j = 0; j < b->params.n; j++) names[j] = elab_text(e, b->params.at[j].name);
      diag *d = elab_error(e, arg->name_span, argument_unknown, elab_text(e, x->text), elab_text(e, arg->name));
      const char *best = str_suggest(arg->name, names, b->params.n);
      if (best) diag_note_to(e->l, d, "did you mean `%s`?", best);
      diag_note_to(e->l, d, "%s", elab_block_signature(e, b));
      ok = false;
    } else if (out->given[k]) {
      elab_error(e, arg->name_span, argument_twice, elab_text(e, x->text), elab_text(e, arg->name));
      ok = false;
    } else {
      out->given[k] = true;
      out->v[k] = v;
    }
  }
  return ok;
}

static bool bind_block_args(elab *e, const ast_expr *x, const ast_block *b, block_args *out) {
  out->n = b->params.n;
  out->v = ARENA_ARRAY(e->a, value, b->params.n);
  out->given = ARENA_ARRAY(e->a, bool, b->params.n);
  bool ok = true;
  for (size_t i = 0; i < x->items.n; i++) {
    value v = elab_expr(e, x->items.at[i]);
    if (i >= b->params.n) continue;
    out->v[i] = v;
    out->given[i] = true;
  }
  if (x->items.n > b->params.n) {
    diag *d =
        elab_error(e, x->items.at[b->params.n]->span, argument_count, elab_text(e, x->text), b->params.n, x->items.n);
    diag_note_to(e->l, d, "%s", elab_block_signature(e, b));
    ok = false;
  }
  ok &= bind_named(e, x, b, out);
  for (size_t i = 0; i < b->params.n && ok; i++) {
    if (out->given[i] || b->params.at[i].dflt) continue;
    diag *d = elab_error(e, x->op_span, argument_missing, elab_text(e, x->text), elab_text(e, b->params.at[i].name));
    diag_note_to(e->l, d, "%s", elab_block_signature(e, b));
    ok = false;
  }
  return ok;
}

enum { MAX_DEPTH = 100 };

bool elab_enter_call(elab *e, const ast_expr *x, const void *body) {
  for (const frame *f = e->frame; f; f = f->caller) {
    if (f->body != body) continue;
    elab_error(e, x->op_span, recursion, elab_text(e, x->text));
    return false;
  }
  if (e->depth < MAX_DEPTH) return true;
  elab_error(e, x->op_span, calls_too_deep, (int)MAX_DEPTH);
  return false;
}

static value run_block(elab *e, unit *u, const ast_block *b, const char *root_scope, dim_env *dims,
                       const block_args *args, const ast_expr *unscoped) {
  frame f = {.caller = e->frame,
             .u = u,
             .dims = dims,
             .body = b,
             .unscoped = unscoped,
             .scope = e->scope,
             .root_scope = root_scope};
  f.outside_step = !e->step;
  step_context *step = e->step;
  const char *scope = e->scope;
  vec_reserve(e->a, &f.names, b->params.n + 4);
  e->frame = &f;
  for (size_t i = 0; i < b->params.n; i++) {
    value v = args->given[i] ? args->v[i] : elab_expr(e, b->params.at[i].dflt);
    elab_bind(&f, e->a, b->params.at[i].name, v);
  }
  e->depth++;
  elab_steps(e, &b->steps);
  e->depth--;
  e->frame = f.caller;
  e->step = step;
  e->scope = scope;
  return f.returned ? f.result : value_error();
}

static bool has_error(const block_args *args) {
  for (size_t i = 0; i < args->n; i++) {
    if (args->given[i] && value_is_error(args->v[i])) return true;
  }
  return false;
}

static value call_block(elab *e, const ast_expr *x, const callee *c, bool weighted) {
  block_args args;
  if (!bind_block_args(e, x, c->block, &args)) return value_error();
  if (!elab_enter_call(e, x, c->block)) return value_error();
  bool prelude = c->u->is_prelude, same = c->u == e->frame->u;
  if (prelude && has_error(&args)) return value_error(); // a consequence
  if (!e->frame->u->is_prelude) e->at = &x->span;
  dim_env *dims = prelude ? c->u->plain : same ? e->frame->dims : dim_env_new(e, c->u);
  return run_block(e, c->u, c->block, same ? e->frame->root_scope : e->scope, dims, &args,
                   weighted && is_unscoped(e) ? x : NULL);
}

value elab_call(elab *e, const ast_expr *x) {
  callee c;
  unit *here = e->frame->u;
  if (!elab_find_callee(e, here, x->text, &c)) {
    diag *d = elab_error(e, x->op_span, unknown_function, elab_text(e, x->text));
    elab_suggest(e, d, x->text, true);
    for (size_t i = 0; i < x->items.n; i++) elab_expr(e, x->items.at[i]);
    return value_error();
  }
  bool weighted = is_weighted(&c, here);
  if (weighted && !enter_weighted(e, x)) return value_error();
  if (c.fn) {
    frame *f = e->frame;
    const ast_expr *outer = f->unscoped;
    if (weighted && is_unscoped(e)) {
      f->unscoped = x;
      f->outside_step = !e->step;
    }
    value v = !weighted || elab_may_make_weights(e) ? builtin_call(e, c.fn, x) : value_error();
    f->unscoped = outer;
    return v;
  }
  if (c.block) return call_block(e, x, &c, weighted);
  if (c.op) return elab_custom_call(e, c.u, c.op, x);
  return elab_entry_call(e, c.u, c.entry, x, c.u == here ? e->frame->root_scope : e->scope, weighted && is_unscoped(e));
}
