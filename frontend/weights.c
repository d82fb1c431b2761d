// frontend_bind_weights: opens the files, matches names, loads, reports.
//
// The files are those of the options, else those of the model's `weights:` section, relative to the model. A file under
// a scope holds that scope's weights: its names get the scope in front, after the rename rules of the included model of
// that name, if there is one, and of this model. Every mistake is collected; one message a kind.
#include "frontend/weights.h"
#include "base/file.h"

#include <string.h>

// The syntax tree of a model file; its text is the one last loaded under this path, where there is one.
static const ast_model *parse_again(weight_binder *b, const char *path) {
  for (size_t i = b->l->files.n; i > 0; i--) {
    if (strcmp(b->l->files.at[i - 1].name, path) == 0) return ast_parse_model(b->a, b->l, (uint32_t)i, path);
  }
  str text;
  if (!file_read(b->a, b->l, path, AST_MAX_FILE_BYTES, &text)) return NULL;
  return ast_parse_model(b->a, b->l, diag_add_file(b->l, path, text), path);
}

static void add_source(weight_binder *b, const ast_model *model, const char *path, str scope) {
  weight_source *s = ARENA_NEW(b->a, weight_source);
  s->path = path;
  s->scope = scope;
  for (size_t i = 0; i < model->includes.n && scope.n; i++) {
    if (!str_eq(model->includes.at[i].name.text, scope)) continue;
    const ast_model *inner = parse_again(b, path_beside(b->a, b->path, str_dup(b->a, model->includes.at[i].file)));
    if (inner) weights_add_rules(b, s, inner);
  }
  weights_add_rules(b, s, model);
  s->file = st_open_checkpoint(b->a, b->l, path);
  if (!s->file) return;
  vec_push(b->a, &b->sources, s);
  for (size_t i = 0; b->read && i < st_source_count(s->file); i++) vec_push(b->a, b->read, st_source_at(s->file, i));
}

// `SCOPE=FILE`: a `=` before any `/`.
static void add_option(weight_binder *b, const ast_model *model, const char *text) {
  const char *eq = strchr(text, '='), *slash = strchr(text, '/');
  bool scoped = eq && (!slash || eq < slash);
  str scope = {text, scoped ? (size_t)(eq - text) : 0};
  add_source(b, model, scoped ? eq + 1 : text, scope);
}

static bool is_random(const char *option) {
  return strcmp(option, "random") == 0 || strncmp(option, "random:", 7) == 0;
}

static bool init_all(weight_binder *b, const char *option) {
  int64_t seed = 0;
  if (option[6] == ':' && !parse_i64(str_of(option + 7), &seed)) {
    diag_at(b->l, NO_SPAN, weights_seed, option);
    return false;
  }
  for (size_t i = 0; i < b->n_slots; i++) weights_init_random(b, &b->slots[i], (uint64_t)seed);
  return true;
}

static void make_slots(weight_binder *b) {
  b->n_slots = b->m->weights.n;
  b->slots = ARENA_ARRAY(b->a, weight_slot, b->n_slots);
  b->slot_by_name = map_new(b->a);
  for (size_t i = 0; i < b->n_slots; i++) {
    weight_slot *s = &b->slots[i];
    s->w = b->m->weights.at[i];
    for (uint32_t k = 0; k < s->w->type.rank; k++) {
      BUG_IF(b->l, !idx_is_const(s->w->type.dim[k], &s->dim[k]), "weight %s has an open dim", s->w->name);
    }
    map_put(b->slot_by_name, str_of(s->w->name), s);
  }
}

bool weight_slot_complete(const weight_slot *s) {
  for (size_t i = 0; i < s->n_parts; i++) {
    if (!s->parts[i].tensor) return false;
  }
  return s->n_parts > 0;
}

static void load_all(weight_binder *b) {
  enum { LISTED = 10 };
  size_t n_wrong = 0;
  const char *wrong[LISTED];
  for (size_t i = 0; i < b->n_slots; i++) {
    weight_slot *s = &b->slots[i];
    const char *problem = s->reported || !weight_slot_complete(s) ? NULL : weights_load(b, s);
    if (!problem) continue;
    if (n_wrong < LISTED) wrong[n_wrong] = problem;
    n_wrong++;
  }
  if (!n_wrong) return;
  diag *d = diag_at(b->l, NO_SPAN, weights_misfit, n_wrong, b->path, weights_sources_text(b));
  for (size_t i = 0; i < n_wrong && i < LISTED; i++) diag_note_to(b->l, d, "%s", wrong[i]);
  if (n_wrong > LISTED) diag_note_to(b->l, d, "and %zu more", n_wrong - LISTED);
}

bool frontend_bind_weights(ir_module *m, diag_list *l, const char *path, const frontend_options *opt,
                           weight_files *files) {
  weight_binder *b = ARENA_NEW(m->a, weight_binder);
  *b = (weight_binder){.a = m->a, .l = l, .m = m, .path = path, .read = files};
  if (files) *files = (weight_files){0};
  size_t errors = l->n_errors, n_options = opt ? opt->n_weights : 0;
  make_slots(b);
  for (size_t i = 0; i < n_options; i++) {
    if (!is_random(opt->weights[i])) continue;
    if (n_options == 1) return init_all(b, opt->weights[i]);
    diag_at(l, NO_SPAN, weights_random_mixed, opt->weights[i]);
    return false;
  }
  const ast_model *model = parse_again(b, path);
  if (!model) return false;
  for (size_t i = 0; i < n_options; i++) add_option(b, model, opt->weights[i]);
  for (size_t i = 0; i < model->weights.n && !n_options; i++) {
    const char *file = str_dup(b->a, model->weights.at[i].file);
    add_source(b, model, path_beside(b->a, path, file), model->weights.at[i].scope);
  }
  if (l->n_errors != errors) return false;
  if (!b->sources.n) {
    if (!b->n_slots) return true;
    diag *d = diag_at(l, NO_SPAN, weights_no_file, path, b->n_slots);
    diag_note_to(l, d, "`--weights FILE`, or `weights:` in the model; `--weights random` initialises them");
    return false;
  }
  for (size_t i = 0; i < b->sources.n; i++) weights_match(b, b->sources.at[i]);
  weights_report_missing(b);
  bool found_all = l->n_errors == errors;
  load_all(b);
  if (found_all) weights_report_unused(b); // else they are named in the proposal, or will be found by it
  return l->n_errors == errors;
}
