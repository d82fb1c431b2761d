// Units: model files with what they declare. Loads a file and the files it includes, evaluates `config` with the
// overrides of --config and --set, checks `require`, and gives dims their ranges.
#include "base/file.h"
#include "frontend/elab.h"
#include "frontend/builtin.h"
#include "prelude_text.h"

#include <string.h>

enum { MAX_INCLUDE_DEPTH = 16, MAX_FILES = 100 };

// -- loading --

static void declare(elab *e, map *m, ast_name name, void *what) {
  if (!map_add(m, name.text, what)) elab_error(e, name.span, name_twice, elab_text(e, name.text));
}

// Keys, `let` names, dims and states are one set of names.
static void declare_value(elab *e, unit *u, map *m, ast_name name, void *what) {
  const map *others[] = {u->keys, u->lets, u->dims, u->states};
  for (size_t i = 0; i < 4; i++) {
    if (others[i] != m && map_get(others[i], name.text)) elab_error(e, name.span, name_twice, elab_text(e, name.text));
  }
  declare(e, m, name, what);
}

static void check_block(elab *e, unit *u, const ast_block *b) {
  if (!u->is_prelude && (builtin_find(e, b->name) || elab_prelude_block(e, b->name)))
    elab_error(e, b->span, name_in_prelude, "a block", elab_text(e, b->name));
  if (!scan_returns(&b->steps)) elab_error(e, b->span, block_without_return, elab_text(e, b->name));
  for (size_t i = 0; i < b->params.n; i++) {
    for (size_t j = 0; j < i; j++) {
      if (str_eq(b->params.at[i].name, b->params.at[j].name))
        elab_error(e, b->params.at[i].span, name_twice, elab_text(e, b->params.at[i].name));
    }
  }
}

static void declare_all(elab *e, unit *u) {
  ast_model *m = u->ast;
  for (size_t i = 0; i < m->config.n; i++) {
    unit_key *k = ARENA_NEW(e->a, unit_key);
    k->ast = &m->config.at[i];
    declare_value(e, u, u->keys, k->ast->name, k);
  }
  for (size_t i = 0; i < m->let.n; i++) declare_value(e, u, u->lets, m->let.at[i].name, (void *)(uintptr_t)(i + 1));
  u->dim = ARENA_ARRAY(e->a, unit_dim, m->dims.n);
  for (size_t i = 0; i < m->dims.n; i++) {
    u->dim[i].ast = &m->dims.at[i];
    declare_value(e, u, u->dims, m->dims.at[i].name, &u->dim[i]);
  }
  for (size_t i = 0; i < m->states.n; i++) declare_value(e, u, u->states, m->states.at[i].name, &m->states.at[i]);
  for (size_t i = 0; i < m->ops.n; i++) declare(e, u->ops, m->ops.at[i].name, &m->ops.at[i]);
  for (size_t i = 0; i < m->blocks.n; i++) {
    ast_block *b = &m->blocks.at[i];
    declare(e, u->blocks, (ast_name){b->name, b->span}, b);
    check_block(e, u, b);
  }
  for (size_t i = 0; i < m->entries.n; i++) {
    ast_entry *x = &m->entries.at[i];
    declare(e, u->entries, x->name, x);
    if (!u->is_prelude && (builtin_find(e, x->name.text) || elab_prelude_block(e, x->name.text)))
      elab_error(e, x->name.span, name_in_prelude, "an entry", elab_text(e, x->name.text));
  }
}

static unit *unit_new(elab *e, unit *parent, ast_model *ast, const char *path) {
  unit *u = ARENA_NEW(e->a, unit);
  u->ast = ast;
  u->path = path;
  u->parent = parent;
  map **maps[] = {&u->keys, &u->lets, &u->dims, &u->blocks, &u->entries, &u->states, &u->ops, &u->includes};
  for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) *maps[i] = map_new(e->a);
  return u;
}

static void load_includes(elab *e, unit *u, const char *config_name) {
  for (size_t i = 0; i < u->ast->includes.n; i++) {
    const ast_include *inc = &u->ast->includes.at[i];
    const char *path = path_beside(e->a, u->path, elab_text(e, inc->file));
    int depth = 0;
    bool cyclic = false;
    for (const unit *p = u; p; p = p->parent, depth++) cyclic |= !strcmp(p->path, path) || file_same(p->path, path);
    if (cyclic || depth > MAX_INCLUDE_DEPTH) {
      elab_error(e, inc->file_span, include_cycle, elab_text(e, inc->file));
      continue;
    }
    if (e->l->files.n >= MAX_FILES) { // two includes of two each, and so on
      elab_error(e, inc->file_span, include_many, (int)MAX_FILES);
      return;
    }
    str text;
    if (!file_read(e->a, e->l, path, AST_MAX_FILE_BYTES, &text)) continue;
    const char *name = *config_name ? str_fmt(e->a, "%s." STR_FMT, config_name, STR_ARG(inc->name.text))
                                    : elab_text(e, inc->name.text);
    unit *inner = unit_load(e, u, diag_add_disk_file(e->l, path, text), path, name);
    if (inner) declare(e, u->includes, inc->name, inner);
  }
}

unit *unit_load(elab *e, unit *parent, uint32_t file, const char *path, const char *config_name) {
  ast_model *ast = ast_parse_model(e->a, e->l, file, path);
  if (!ast) return NULL;
  unit *u = unit_new(e, parent, ast, path);
  frame f = {.caller = e->frame, .u = u, .scope = "", .root_scope = ""};
  e->frame = &f;
  declare_all(e, u);
  load_includes(e, u, config_name);
  unit_configure(e, u, config_name);
  for (size_t i = 0; i < u->ast->dims.n; i++) {
    unit_dim *d = &u->dim[i];
    unit_dim_range(e, u, d);
    for (size_t s = 0; s < u->ast->states.n; s++)
      d->in_state |= scan_type_mentions(&u->ast->states.at[s].type, d->ast->name.text);
  }
  if (parent && u->ast->states.n) unit_symbols(e, u, config_name);
  e->frame = f.caller;
  return u;
}

unit *unit_prelude(elab *e) {
  uint32_t file = diag_add_file(e->l, "prelude", STR(prelude_text));
  ast_model *ast = ast_parse_model(e->a, e->l, file, "prelude");
  BUG_IF(e->l, !ast, "the prelude does not parse");
  unit *u = unit_new(e, NULL, ast, "prelude");
  u->is_prelude = true;
  e->prelude = u;
  declare_all(e, u);
  u->plain = dim_env_new(e, u);
  return u;
}

// -- evaluating what a file declares --

dim_env *dim_env_new(elab *e, unit *u) {
  dim_env *env = ARENA_NEW(e->a, dim_env);
  env->u = u;
  env->dim = ARENA_ARRAY(e->a, const idx *, u->ast->dims.n);
  env->let = ARENA_ARRAY(e->a, value, u->ast->let.n);
  env->let_state = ARENA_ARRAY(e->a, lazy, u->ast->let.n);
  return env;
}

static value unit_expr(elab *e, unit *u, const ast_expr *x) { return elab_compile_time(e, dim_env_new(e, u), x); }

static bool range_part(elab *e, unit *u, const ast_expr *x, int64_t *out) {
  value v = unit_expr(e, u, x);
  if (v.kind == V_int) {
    *out = v.v.i;
    return true;
  }
  if (!value_is_error(v)) elab_error(e, x->span, dim_bound_kind, value_describe(e->a, v));
  return false;
}

bool unit_dim_range(elab *e, unit *u, unit_dim *d) {
  d->lo = d->hi = d->step = 1;
  const char *name = elab_text(e, d->ast->name.text);
  if (!range_part(e, u, d->ast->lo, &d->lo) || !range_part(e, u, d->ast->hi, &d->hi)) return false;
  if (d->ast->step && !range_part(e, u, d->ast->step, &d->step)) return false;
  if (d->lo < 0 || d->hi < d->lo || d->step < 1 || d->lo % d->step || d->hi % d->step || d->hi > INT32_MAX) {
    elab_error(e, d->ast->name.span, dim_range, name, (long long)d->lo, (long long)d->hi, (long long)d->step);
    d->lo = d->hi = d->step = 1;
    return false;
  }
  return true;
}

void unit_symbols(elab *e, unit *u, const char *prefix) {
  for (size_t i = 0; i < u->ast->dims.n; i++) {
    unit_dim *d = &u->dim[i];
    if (d->pinned) continue;
    strbuf b;
    sb_init(&b, e->a);
    for (const char *p = prefix; *p; p++) sb_char(&b, *p == '.' ? '_' : *p);
    if (*prefix) sb_char(&b, '_');
    sb_bytes(&b, d->ast->name.text.p, d->ast->name.text.n);
    ir_dim *dim = ir_dim_add(e->m, intern_z(e->m->names, sb_cstr(&b)), d->lo, d->hi, d->step, d->ast->name.span);
    d->symbol = idx_of(e->m->ix, dim->symbol);
  }
}

// -- config --

typedef struct override {
  str key;
  const ast_expr *value;
  diag_span span;
  const char *file; // NULL: --set
} override;

typedef VEC(override) overrides;

// `NAME=FILE`: the part before `=` where it is a name, else empty.
static str config_target(const char *arg, const char **file) {
  const char *eq = strchr(arg, '=');
  *file = arg;
  if (!eq || memchr(arg, '/', (size_t)(eq - arg))) return STR("");
  *file = eq + 1;
  return (str){arg, (size_t)(eq - arg)};
}

static void read_configs(elab *e, unit *u, const char *name, overrides *out) {
  for (size_t i = 0; e->opt && i < e->opt->n_configs; i++) {
    const char *path;
    if (!str_is(config_target(e->opt->configs[i], &path), name)) continue;
    str text;
    if (!file_read(e->a, e->l, path, AST_MAX_FILE_BYTES, &text)) continue;
    ast_bindings found = {0};
    if (!ast_parse_config(e->a, e->l, diag_add_disk_file(e->l, path, text), &found)) continue;
    strbuf unknown;
    sb_init(&unknown, e->a);
    for (size_t k = 0; k < found.n; k++) {
      if (map_get(u->keys, found.at[k].name.text)) {
        if (found.at[k].value->kind != EX_none)
          vec_push(e->a, out, ((override){found.at[k].name.text, found.at[k].value, found.at[k].name.span, path}));
      } else {
        sb_fmt(&unknown, "%s" STR_FMT, unknown.n ? ", " : "", STR_ARG(found.at[k].name.text));
      }
    }
    if (unknown.n) diag_at(e->l, NO_SPAN, config_undeclared, path, u->path, sb_cstr(&unknown));
  }
}

static bool set_is_for(const char *key, const char *name, str *rest) {
  size_t n = strlen(name);
  if (n && (strncmp(key, name, n) != 0 || key[n] != '.')) return false;
  *rest = str_of(n ? key + n + 1 : key);
  return true;
}

static void read_sets(elab *e, unit *u, const char *name, overrides *out) {
  for (size_t i = 0; e->opt && i < e->opt->n_sets; i++) {
    const frontend_pair *set = &e->opt->sets[i];
    str key;
    if (!set_is_for(set->key, name, &key) || !map_get(u->keys, key)) continue;
    str text = str_of(set->value);
    uint32_t file = diag_add_file(e->l, str_fmt(e->a, "--set %s", set->key), text);
    const ast_expr *x = ast_parse_expr(e->a, e->l, file, 0, (uint32_t)text.n);
    if (x) vec_push(e->a, out, ((override){key, x, x->span, NULL}));
  }
}

static void note_values(elab *e, unit *u, diag *d, const ast_expr *x) {
  if (!x) return;
  if (x->kind == EX_name) {
    const unit_key *k = map_get(u->keys, x->text);
    if (!k) return;
    strbuf b;
    sb_init(&b, e->a);
    value_print(&b, k->v);
    diag_note_to(e->l, d, "%s is %s", elab_text(e, x->text), sb_cstr(&b));
    return;
  }
  const ast_expr *inner[] = {x->left, x->right, x->third};
  for (size_t i = 0; i < 3; i++) note_values(e, u, d, inner[i]);
  for (size_t i = 0; i < x->items.n; i++) note_values(e, u, d, x->items.at[i]);
}

void unit_configure(elab *e, unit *u, const char *name) {
  overrides given = {0};
  read_configs(e, u, name, &given);
  read_sets(e, u, name, &given);
  for (size_t i = 0; i < u->ast->config.n; i++) {
    unit_key *k = map_get(u->keys, u->ast->config.at[i].name.text);
    const override *o = NULL;
    for (size_t j = 0; j < given.n; j++) {
      if (str_eq(given.at[j].key, k->ast->name.text)) o = &given.at[j];
    }
    k->v = unit_expr(e, u, o ? o->value : k->ast->value);
    // A published 10000 for a key whose default is 10000.0.
    if (k->v.kind == V_int && k->ast->value->kind == EX_float) k->v = value_float((double)k->v.v.i);
    k->known = true;
    if (k->v.kind == V_tensor || k->v.kind == V_size) {
      elab_error(e, k->ast->value->span, config_kind, elab_text(e, k->ast->name.text), value_describe(e->a, k->v));
      k->v = value_error();
    }
  }
  for (size_t i = 0; i < u->ast->require.n; i++) {
    const ast_expr *x = u->ast->require.at[i];
    value v = unit_expr(e, u, x);
    if (value_is_error(v)) continue;
    if (v.kind != V_bool) {
      elab_error(e, x->span, require_kind, value_describe(e->a, v));
    } else if (!v.v.i) {
      diag *d = elab_error(e, x->span, require_false, u->path);
      note_values(e, u, d, x);
    }
  }
}
