// Steps: bindings, `update`, `return`, and what the compiler decides itself: `for` and `if`.
#include "frontend/elab.h"

#include <string.h>

// -- scopes --

static bool scope_piece(elab *e, const ast_expr *x, strbuf *b) {
  value v = elab_expr(e, x);
  if (v.kind == V_int) sb_fmt(b, "%lld", (long long)v.v.i);
  else if (v.kind == V_string) sb_bytes(b, v.v.s.p, v.v.s.n);
  else if (!value_is_error(v)) elab_error(e, x->span, scope_kind, value_describe(e->a, v));
  return v.kind == V_int || v.kind == V_string;
}

// The full scope that a step names; NULL after a diagnostic.
static const char *step_scope(elab *e, const ast_scope *s) {
  if (!s->present || s->own) return e->frame->scope;
  strbuf b;
  sb_init(&b, e->a);
  if (*e->frame->scope) sb_fmt(&b, "%s.", e->frame->scope);
  for (size_t i = 0; i < s->pieces.n; i++) {
    if (!s->pieces.at[i].expr) sb_bytes(&b, s->pieces.at[i].text.p, s->pieces.at[i].text.n);
    else if (!scope_piece(e, s->pieces.at[i].expr, &b)) return NULL;
  }
  return intern(e->m->names, sb_str(&b));
}

// The value of a step's expression, under the step's scope.
static value step_value(elab *e, const ast_step *s) {
  const char *scope = step_scope(e, &s->scope);
  if (!scope) return value_error();
  step_context ctx = {.step = s, .scope = scope};
  step_context *outer = e->step;
  const char *outer_scope = e->scope;
  e->step = &ctx;
  e->scope = scope;
  value v = elab_expr(e, s->expr);
  if (s->scope.present && ctx.n_weighted == 0 && !value_is_error(v) && !scan_weighted_call(e, s->expr))
    elab_error(e, s->scope.span, scope_without_weights);
  e->step = outer;
  e->scope = outer_scope;
  return v;
}

// -- binding --

const char *elab_taken_by(elab *e, str name) {
  unit *u = e->frame->u;
  if (map_get(u->keys, name)) return "a config key";
  if (map_get(u->lets, name)) return "a `let` name";
  if (map_get(u->dims, name)) return "a dim";
  return map_get(u->states, name) ? "a state" : NULL;
}

static void bind_name(elab *e, const ast_name *name, value v) {
  if (str_is(name->text, "_")) return;
  if (!elab_find_local(e->frame, name->text)) {
    if (elab_set_dim(e, name->text, v, name->span)) return;
    const char *what = elab_taken_by(e, name->text);
    if (what) {
      diag *d = elab_error(e, name->span, name_taken, elab_text(e, name->text), what);
      if (map_get(e->frame->u->states, name->text))
        diag_note_to(e->l, d, "`update " STR_FMT ": ...` writes a state", STR_ARG(name->text));
      return;
    }
  }
  elab_bind(e->frame, e->a, name->text, v);
}

// The tensor that `shape(name)` was asked of.
static void note_shaped(elab *e, diag *d, const ast_expr *call) {
  const ast_expr *x = call->items.n ? call->items.at[0] : NULL;
  const value *v = x && x->kind == EX_name ? elab_find_local(e->frame, x->text) : NULL;
  if (v) elab_note_origin(e, d, *v);
}

// Several names take a tuple apart; false after a diagnostic.
static bool bind_names(elab *e, const ast_name *names, size_t n, value v, const ast_expr *x) {
  if (n == 1) {
    bind_name(e, names, v);
    return true;
  }
  size_t have = v.kind == V_tuple ? v.v.tuple->n : v.kind == V_table ? v.v.table->n : 0;
  bool of_shape = v.kind == V_tuple && x->kind == EX_call && str_is(x->text, "shape");
  if (have != n && of_shape) note_shaped(e, elab_error(e, x->span, shape_rank, n, have), x);
  else if (have != n && !value_is_error(v)) elab_error(e, x->span, unpack_count, n, value_describe(e->a, v));
  for (size_t i = 0; i < n; i++) {
    value part = have != n ? value_error() : v.kind == V_tuple ? v.v.tuple->at[i] : value_table_at(v.v.table, i);
    bind_name(e, &names[i], part);
  }
  return have == n;
}

void elab_poison(elab *e, const ast_steps *steps) {
  name_set names = {0};
  scan_rebound(e, steps, &names);
  for (size_t i = 0; i < names.at.n; i++) {
    str name = names.at.at[i];
    if (elab_find_local(e->frame, name) || !elab_taken_by(e, name)) elab_bind(e->frame, e->a, name, value_error());
  }
}

// -- update --

static void update_step(elab *e, const ast_step *s) {
  const ast_name *name = &s->names.at[0];
  value v = step_value(e, s);
  if (s->target && !e->frame->u->is_prelude) e->at = &s->target->span;
  const char *text = elab_text(e, name->text);
  value *local = elab_find_local(e->frame, name->text);
  state_slot *slot = local ? NULL : elab_state(e, e->frame->root_scope, e->frame->u, name->text);
  const char *what = local || slot ? NULL : elab_taken_by(e, name->text);
  if (what) {
    elab_error(e, name->span, update_target, text, what);
    return;
  }
  if (!local && !slot) {
    diag *d = elab_error(e, name->span, unknown_name, text);
    elab_suggest(e, d, name->text, false);
    return;
  }
  if (slot && e->compile_time) {
    elab_error(e, name->span, state_at_compile_time, text);
    return;
  }
  value target = local ? *local : value_tensor(elab_state_now(e, slot));
  value next = elab_update(e, target, s->target, v, s->expr->span, text);
  if (slot) {
    if (next.kind == V_tensor) slot->now = next.v.tensor;
  } else {
    elab_bind(e->frame, e->a, name->text, next);
  }
}

// -- for, if --

enum { MAX_TURNS = 1 << 16 };

static void for_step(elab *e, const ast_step *s) {
  value rows = elab_expr(e, s->expr);
  if (value_is_error(rows)) {
    elab_poison(e, &s->body);
    return;
  }
  if (rows.kind != V_tuple && rows.kind != V_table) {
    diag *d = elab_error(e, s->expr->span, for_kind, value_describe(e->a, rows));
    if (rows.kind == V_tensor || rows.kind == V_size) diag_note_to(e->l, d, "use `loop`");
    elab_poison(e, &s->body);
    return;
  }
  size_t n = rows.kind == V_tuple ? rows.v.tuple->n : rows.v.table->n;
  if (n > MAX_TURNS) {
    elab_error(e, s->expr->span, for_too_long, n);
    elab_poison(e, &s->body);
    return;
  }
  for (size_t i = 0; i < n && !e->frame->returned && e->steps_left; i++) {
    value row = rows.kind == V_tuple ? rows.v.tuple->at[i] : value_table_at(rows.v.table, i);
    if (!bind_names(e, s->names.at, s->names.n, row, s->expr)) {
      elab_poison(e, &s->body);
      return;
    }
    elab_steps(e, &s->body);
  }
}

// A wrong condition leaves open what any branch binds, and whether the block goes on.
static void poison_branches(elab *e, const ast_step *s) {
  elab_poison(e, &s->body);
  elab_poison(e, &s->otherwise);
  bool returns = scan_returns(&s->body) || scan_returns(&s->otherwise);
  for (size_t i = 0; i < s->elifs.n; i++) {
    elab_poison(e, &s->elifs.at[i].body);
    returns |= scan_returns(&s->elifs.at[i].body);
  }
  e->frame->returned |= returns;
}

static void if_step(elab *e, const ast_step *s) {
  const ast_steps *taken = NULL;
  bool c = false, known = elab_condition(e, s->expr, "if", &c);
  if (c) taken = &s->body;
  for (size_t i = 0; i < s->elifs.n && known && !c; i++) {
    known = elab_condition(e, s->elifs.at[i].cond, "elif", &c);
    if (c) taken = &s->elifs.at[i].body;
  }
  if (!known) poison_branches(e, s);
  else if (taken) elab_steps(e, taken);
  else elab_steps(e, &s->otherwise);
}

static void return_step(elab *e, const ast_step *s) {
  frame *f = e->frame;
  value v = step_value(e, s);
  if (f->is_entry) {
    diag *d = elab_error(e, s->span, return_in_entry);
    diag_note_to(e->l, d, "an entry gives what its `outputs:` name");
  } else if (f->runtime_depth) {
    elab_error(e, s->span, return_at_run_time);
  }
  f->result = v;
  f->returned = true;
}

static void step(elab *e, const ast_step *s) {
  switch (s->kind) {
  case ST_bind: {
    value v = step_value(e, s);
    bind_names(e, s->names.at, s->names.n, v, s->expr);
    break;
  }
  case ST_update: update_step(e, s); break;
  case ST_return: return_step(e, s); break;
  case ST_for: for_step(e, s); break;
  case ST_if: if_step(e, s); break;
  case ST_loop: elab_loop(e, s); break;
  case ST_while: elab_while(e, s); break;
  case ST_when: elab_when(e, s); break;
  }
}

// Values of the graphs, some ten times those of an image generator: the passes take time that grows faster than they
// do.
enum { MAX_VALUES = 1 << 16 };

void elab_steps(elab *e, const ast_steps *steps) {
  e->scope = e->frame->scope;
  for (size_t i = 0; i < steps->n && !e->frame->returned; i++) {
    if (e->steps_left == 0) return;
    if (--e->steps_left == 0 || e->m->next_value_id > MAX_VALUES) {
      elab_error(e, steps->at[i]->span, model_too_large);
      e->steps_left = 0;
      return;
    }
    step(e, steps->at[i]);
  }
}
