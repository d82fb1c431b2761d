// Facts read off the syntax, before anything is elaborated: does a block hold weights, does every path return, which
// names and states may a body change. Both branches of an `if` count, for the scan does not know which one is taken.
#include "frontend/elab.h"

// Calls `f` for each step, outermost first; true as soon as one call is.
static bool each_step(const ast_steps *steps, bool (*f)(void *user, const ast_step *s), void *user) {
  for (size_t i = 0; i < steps->n; i++) {
    const ast_step *s = steps->at[i];
    if (f(user, s) || each_step(&s->body, f, user) || each_step(&s->otherwise, f, user)) return true;
    for (size_t k = 0; k < s->elifs.n; k++) {
      if (each_step(&s->elifs.at[k].body, f, user)) return true;
    }
  }
  return false;
}

static bool has_scope(void *user, const ast_step *s) {
  (void)user;
  return s->scope.present;
}

bool scan_weighted(const ast_steps *steps) { return each_step(steps, has_scope, NULL); }

bool scan_returns(const ast_steps *steps) {
  for (size_t i = 0; i < steps->n; i++) {
    const ast_step *s = steps->at[i];
    if (s->kind == ST_return) return true;
    if (s->kind != ST_if || !s->has_else || !scan_returns(&s->body) || !scan_returns(&s->otherwise)) continue;
    bool all = true;
    for (size_t k = 0; k < s->elifs.n; k++) all &= scan_returns(&s->elifs.at[k].body);
    if (all) return true;
  }
  return false;
}

typedef struct name_scan {
  elab *e;
  name_set *out;
} name_scan;

static bool collect_names(void *user, const ast_step *s) {
  name_scan *scan = user;
  for (size_t i = 0; i < s->names.n; i++) {
    str name = s->names.at[i].text;
    bool known = false;
    for (size_t k = 0; k < scan->out->at.n && !known; k++) known = str_eq(scan->out->at.at[k], name);
    if (!known && !str_is(name, "_")) vec_push(scan->e->a, &scan->out->at, name);
  }
  return false;
}

void scan_rebound(elab *e, const ast_steps *steps, name_set *out) {
  name_scan scan = {e, out};
  each_step(steps, collect_names, &scan);
}

static bool binds_name(void *user, const ast_step *s) {
  const str *name = user;
  for (size_t i = 0; s->kind == ST_bind && i < s->names.n; i++) {
    if (str_eq(s->names.at[i].text, *name)) return true;
  }
  return false;
}

bool scan_sets(const ast_steps *steps, str name) { return each_step(steps, binds_name, &name); }

// -- expressions --

// Calls `f` for each expression inside `x` and itself; true as soon as one call is.
static bool each_expr(const ast_expr *x, bool (*f)(void *user, const ast_expr *x), void *user) {
  if (!x) return false;
  if (f(user, x) || each_expr(x->left, f, user) || each_expr(x->right, f, user) || each_expr(x->third, f, user))
    return true;
  for (size_t i = 0; i < x->items.n; i++) {
    if (each_expr(x->items.at[i], f, user)) return true;
  }
  for (size_t i = 0; i < x->named.n; i++) {
    if (each_expr(x->named.at[i].value, f, user)) return true;
  }
  return false;
}

static bool is_name(void *user, const ast_expr *x) { return x->kind == EX_name && str_eq(x->text, *(const str *)user); }

bool scan_mentions(const ast_expr *x, str name) { return each_expr(x, is_name, &name); }

bool scan_type_mentions(const ast_type *t, str name) {
  for (size_t i = 0; i < t->dims.n; i++) {
    if (scan_mentions(t->dims.at[i], name)) return true;
  }
  return false;
}

static bool is_weighted_call(void *user, const ast_expr *x) {
  return x->kind == EX_call && elab_callee_weighted(user, x);
}

bool scan_weighted_call(elab *e, const ast_expr *x) { return each_expr(x, is_weighted_call, e); }

// -- states that a body may update, here or in what it calls --

typedef struct state_scan {
  elab *e;
  unit *u;
  const char *root_scope;
  slot_set *out;
  map *seen;
} state_scan;

static bool state_step(void *user, const ast_step *s);

static void add_slot(state_scan *scan, str name) {
  state_slot *s = elab_state(scan->e, scan->root_scope, scan->u, name);
  for (size_t i = 0; s && i < scan->out->at.n; i++) {
    if (scan->out->at.at[i] == s) return;
  }
  if (s) vec_push(scan->e->a, &scan->out->at, s);
}

static bool state_expr(void *user, const ast_expr *x) {
  state_scan *scan = user;
  if (x->kind != EX_call) return false;
  callee c;
  if (!elab_find_callee(scan->e, scan->u, x->text, &c) || c.u != scan->u) return false;
  const void *body = c.block ? (const void *)c.block : (const void *)c.entry;
  if (!body || map_get_ptr(scan->seen, body)) return false;
  map_put_ptr(scan->seen, body, scan);
  return each_step(c.block ? &c.block->steps : &c.entry->steps, state_step, scan);
}

static bool state_step(void *user, const ast_step *s) {
  state_scan *scan = user;
  if (s->kind == ST_update && s->names.n) add_slot(scan, s->names.at[0].text);
  each_expr(s->expr, state_expr, scan);
  for (size_t i = 0; i < s->elifs.n; i++) each_expr(s->elifs.at[i].cond, state_expr, scan);
  return false;
}

void scan_states(elab *e, unit *u, const char *root_scope, const ast_steps *steps, slot_set *out) {
  if (!map_count(u->states)) return;
  state_scan scan = {e, u, root_scope, out, map_new(e->a)};
  each_step(steps, state_step, &scan);
}
