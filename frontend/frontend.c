// The front end's door: one model file, its options, its module.
#include "frontend/frontend.h"

#include "base/file.h"
#include "frontend/elab.h"
#include "frontend/builtin.h"

#include <string.h>

enum { MAX_STEPS = 1 << 18 };

static void pin_dims(elab *e) {
  const frontend_options *opt = e->opt;
  for (size_t i = 0; opt && i < opt->n_dims; i++) {
    const char *name = opt->dims[i].key;
    unit_dim *d = map_get(e->root->dims, str_of(name));
    int64_t n;
    if (!d) {
      diag *m = diag_at(e->l, NO_SPAN, dim_option_unknown, name, e->root->path);
      const char **names = ARENA_ARRAY(e->a, const char *, map_count(e->root->dims));
      for (size_t k = 0; k < map_count(e->root->dims); k++) names[k] = elab_text(e, map_key(e->root->dims, k));
      const char *best = str_suggest(str_of(name), names, map_count(e->root->dims));
      if (best) diag_note_to(e->l, m, "did you mean `%s`?", best);
    } else if (!parse_i64(str_of(opt->dims[i].value), &n) || n < d->lo || n > d->hi || n % d->step) {
      diag_at(e->l, NO_SPAN, dim_option_range, name, opt->dims[i].value, (long long)d->lo, (long long)d->hi,
              (long long)d->step);
    } else {
      d->pinned = true;
      d->pin = n;
    }
  }
}

static const unit *unit_named(const unit *u, str name) {
  const char *dot = memchr(name.p, '.', name.n);
  if (!name.n) return u;
  str head = dot ? (str){name.p, (size_t)(dot - name.p)} : name;
  const unit *inner = map_get(u->includes, head);
  if (!inner || !dot) return inner;
  return unit_named(inner, (str){dot + 1, name.n - head.n - 1});
}

// Options that name nothing.
static void check_options(elab *e) {
  const frontend_options *opt = e->opt;
  for (size_t i = 0; opt && i < opt->n_configs; i++) {
    const char *eq = strchr(opt->configs[i], '=');
    if (!eq || memchr(opt->configs[i], '/', (size_t)(eq - opt->configs[i]))) continue;
    str name = {opt->configs[i], (size_t)(eq - opt->configs[i])};
    if (!unit_named(e->root, name)) diag_at(e->l, NO_SPAN, config_option_unknown, elab_text(e, name), e->root->path);
  }
  for (size_t i = 0; opt && i < opt->n_sets; i++) {
    const char *key = opt->sets[i].key;
    bool found = map_get(e->root->keys, str_of(key)) != NULL;
    for (const char *dot = strchr(key, '.'); dot && !found; dot = strchr(dot + 1, '.')) {
      const unit *u = unit_named(e->root, (str){key, (size_t)(dot - key)});
      found = u && map_get(u->keys, str_of(dot + 1));
    }
    if (found) continue;
    diag *d = diag_at(e->l, NO_SPAN, set_option_unknown, key, e->root->path);
    const char **names = ARENA_ARRAY(e->a, const char *, map_count(e->root->keys));
    for (size_t k = 0; k < map_count(e->root->keys); k++) names[k] = elab_text(e, map_key(e->root->keys, k));
    const char *best = str_suggest(str_of(key), names, map_count(e->root->keys));
    if (best) diag_note_to(e->l, d, "did you mean `%s`?", best);
  }
}

static void elaborate(elab *e) {
  unit *u = e->root;
  pin_dims(e);
  unit_symbols(e, u, "");
  frame f = {.u = u, .scope = "", .root_scope = ""};
  e->frame = &f;
  for (size_t i = 0; i < u->ast->states.n; i++) elab_state(e, "", u, u->ast->states.at[i].name.text);
  e->frame = NULL;
  for (size_t i = 0; i < u->ast->entries.n; i++) elab_entry_graph(e, &u->ast->entries.at[i]);
}

ir_module *frontend_load(arena *a, diag_list *l, const char *path, const str *text, const frontend_options *opt) {
  size_t errors = l->n_errors;
  str content;
  if (opt && opt->approx && strcmp(opt->approx, "linear-attention=elu1")) {
    diag_at(l, NO_SPAN, approx_unknown, opt->approx);
    return NULL;
  }
  if (text) content = *text;
  else if (!file_read(a, l, path, AST_MAX_FILE_BYTES, &content)) return NULL;
  elab *e = ARENA_NEW(a, elab);
  *e = (elab){.a = a, .l = l, .opt = opt, .steps_left = MAX_STEPS};
  e->m = ir_module_new(a, l, "");
  e->sizes = map_new(a);
  e->opaque = map_new(a);
  e->origins = map_new(a);
  e->scope = "";
  ir_builder scratch;
  ir_builder_init(&scratch, e->m, ir_graph_new(e->m, "scratch", false)->body);
  e->region = e->body = e->scratch = &scratch;
  unit_prelude(e);
  e->root = unit_load(e, NULL, text ? diag_add_file(l, path, content) : diag_add_disk_file(l, path, content), path, "");
  if (!e->root) return NULL;
  e->m->name = str_dup(a, e->root->ast->name);
  check_options(e);
  elaborate(e);
  if (e->opt && e->opt->approx && !e->n_approximated) diag_at(l, NO_SPAN, approx_nothing, e->opt->approx, path);
  l->here = NO_SPAN;
  return l->n_errors == errors ? e->m : NULL;
}

uint64_t frontend_parameter_count(const ir_module *m) {
  uint64_t sum = 0;
  for (size_t i = 0; i < m->weights.n; i++) {
    const ir_weight *w = m->weights.at[i];
    uint64_t n = 1;
    for (uint32_t k = 0; k < w->type.rank; k++) {
      int64_t d = 0;
      idx_is_const(w->type.dim[k], &d);
      n *= (uint64_t)d;
    }
    if (!w->is_buffer) sum += n;
  }
  return sum;
}
