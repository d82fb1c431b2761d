// A model file: its sections, each read by one function, and what must and must not stand together.
#include "base/map.h"
#include "frontend/ast_build.h"

#include <string.h>

static ast_entry *entry_add(builder *b, ast_name name) {
  vec_reserve(b->a, &b->m->entries, b->m->entries.n + 1);
  ast_entry *e = &b->m->entries.at[b->m->entries.n++];
  memset(e, 0, sizeof *e);
  e->name = name;
  return e;
}

static void section_nnc(builder *b, const ynode *key, const ynode *value) {
  ast_expr *e = build_expr(b, key, value, true);
  if (!e) return;
  if (e->kind == EX_int && e->i == 1) {
    b->m->version = 1;
    return;
  }
  diag *d = diag_at(b->l, e->span, section_version);
  diag_note_to(b->l, d, "this compiler reads `nnc: 1`");
  b->m->version = -1;
}

static void section_name(builder *b, const ynode *key, const ynode *value) {
  if (!build_text(b, key, value, "a name", &b->m->name)) return;
  str name = b->m->name;
  bool ok = name.n > 0;
  for (size_t i = 0; i < name.n; i++) ok = ok && (lex_is_name_char(name.p[i]) || (i && strchr("-.", name.p[i])));
  if (ok) return;
  diag *d = diag_at(b->l, value->span, section_name);
  diag_note_to(b->l, d, "a model's name is letters, digits, `_`, `-` and `.`");
}

static void section_doc(builder *b, const ynode *key, const ynode *value) {
  build_text(b, key, value, "a line of text", &b->m->doc);
}

static void section_require(builder *b, const ynode *key, const ynode *value) {
  if (!build_want(b, value, YN_list, key, "a list of conditions")) return;
  for (size_t i = 0; i < value->items.n; i++) {
    ast_expr *e = build_expr(b, NULL, value->items.at[i], false);
    if (e) vec_push(b->a, &b->m->require, e);
  }
}

// Calls `read` with each named entry of a block map.
static void named(builder *b, const ynode *key, const ynode *value, const char *what, void *into,
                  void (*read)(builder *b, void *into, ast_name name, const ynode *key, const ynode *value)) {
  if (!build_want(b, value, YN_map, key, what)) return;
  for (size_t i = 0; i < value->pairs.n; i++) {
    ast_name name;
    if (value->pairs.at[i].key->kind == YN_broken) continue;
    if (build_name(b, value->pairs.at[i].key, "a name", &name)) {
      read(b, into, name, value->pairs.at[i].key, value->pairs.at[i].value);
    }
  }
}

static void one_include(builder *b, void *into, ast_name name, const ynode *key, const ynode *value) {
  (void)into;
  ast_include include = {.name = name, .file_span = value->span};
  if (build_text(b, key, value, "a file name", &include.file)) vec_push(b->a, &b->m->includes, include);
}

static void section_include(builder *b, const ynode *key, const ynode *value) {
  named(b, key, value, "a map `name: file`", NULL, one_include);
}

static void one_let(builder *b, void *into, ast_name name, const ynode *key, const ynode *value) {
  (void)into;
  ast_binding binding = {.name = name, .value = build_expr(b, key, value, true)};
  if (binding.value) vec_push(b->a, &b->m->let, binding);
}

static void section_let(builder *b, const ynode *key, const ynode *value) {
  named(b, key, value, "a map `name: expression`", NULL, one_let);
}

// Types and dims in quotes are still not strings.
static bool scalar_in_grammar(builder *b, const ynode *key, const ynode *value, const char *what) {
  if (!build_want(b, value, YN_scalar, key, what)) return false;
  if (!value->quote) return true;
  diag *d = diag_at(b->l, value->span, yaml_quoted);
  diag_note_to(b->l, d, "write it without the quotes");
  return false;
}

static void one_dim(builder *b, void *into, ast_name name, const ynode *key, const ynode *value) {
  (void)into;
  ast_dim dim = {.name = name};
  if (!scalar_in_grammar(b, key, value, "a range `low..high`")) return;
  lexer x = build_lexer(b, value->span);
  if (grammar_dim(&x, &dim)) vec_push(b->a, &b->m->dims, dim);
}

static void section_dims(builder *b, const ynode *key, const ynode *value) {
  named(b, key, value, "a map `name: low..high`", NULL, one_dim);
}

typedef VEC(ast_decl) decls;

static void one_decl(builder *b, void *into, ast_name name, const ynode *key, const ynode *value) {
  ast_decl decl = {.name = name};
  if (!scalar_in_grammar(b, key, value, "a type")) return;
  lexer x = build_lexer(b, value->span);
  if (!grammar_type(&x, &decl.type)) return;
  decls *list = into;
  vec_push(b->a, list, decl);
}

static void declarations(builder *b, const ynode *key, const ynode *value, decls *out) {
  named(b, key, value, "a map `name: type`", out, one_decl);
}

static void section_state(builder *b, const ynode *key, const ynode *value) {
  decls list = {0};
  declarations(b, key, value, &list);
  b->m->states.at = list.at;
  b->m->states.n = list.n;
  b->m->states.cap = list.cap;
}

static void one_op(builder *b, void *into, ast_name name, const ynode *key, const ynode *value) {
  (void)into;
  static const char *const keys[] = {"library", "symbol", "signature"};
  if (!build_want(b, value, YN_map, key, "a map of `library`, `symbol` and `signature`")) return;
  ast_custom_op op = {.name = name, .symbol = name.text, .span = key->span};
  bool has_library = false, has_signature = false, ok = true;
  for (size_t i = 0; i < value->pairs.n; i++) {
    const ynode *k = value->pairs.at[i].key, *v = value->pairs.at[i].value;
    if (k->kind != YN_scalar) {
      ok = build_want(b, k, YN_scalar, NULL, "a name") && ok;
    } else if (str_is(k->text, "library")) {
      has_library = true;
      ok = build_text(b, k, v, "a file name", &op.library) && ok;
    } else if (str_is(k->text, "symbol")) {
      ok = build_text(b, k, v, "the name of a function", &op.symbol) && ok;
    } else if (str_is(k->text, "signature")) {
      has_signature = true;
      bool readable = scalar_in_grammar(b, k, v, "a signature");
      lexer x = build_lexer(b, v->span);
      ok = readable && grammar_signature(&x, &op) && ok;
    } else {
      build_unknown_key(b, k, str_dup(b->a, name.text), keys, 3);
      ok = false;
    }
  }
  if (b->complete && (!has_library || !has_signature)) {
    const char *lacks = has_library ? "signature" : "library";
    diag_at(b->l, key->span, section_missing, str_dup(b->a, name.text), lacks);
    ok = false;
  }
  if (ok) vec_push(b->a, &b->m->ops, op);
}

static void section_ops(builder *b, const ynode *key, const ynode *value) {
  named(b, key, value, "a map of operators", NULL, one_op);
}

static void add_weights(builder *b, str scope, const ynode *key, const ynode *value) {
  ast_weights w = {.scope = scope, .span = value->span};
  if (build_text(b, key, value, "a file name", &w.file)) vec_push(b->a, &b->m->weights, w);
}

static void section_weights(builder *b, const ynode *key, const ynode *value) {
  const str everywhere = {"", 0};
  if (value->kind == YN_list && build_want(b, value, YN_list, key, "a list of files")) {
    for (size_t i = 0; i < value->items.n; i++) add_weights(b, everywhere, key, value->items.at[i]);
  } else if (value->kind == YN_map && build_want(b, value, YN_map, key, "a map `scope: file`")) {
    for (size_t i = 0; i < value->pairs.n; i++) {
      const ynode *scope = value->pairs.at[i].key;
      if (build_want(b, scope, YN_scalar, NULL, "a scope"))
        add_weights(b, scope->text, scope, value->pairs.at[i].value);
    }
  } else if (value->kind == YN_scalar) {
    add_weights(b, everywhere, key, value);
  }
}

static void section_blocks(builder *b, const ynode *key, const ynode *value) {
  if (!build_want(b, value, YN_map, key, "a map of blocks")) return;
  map *names = map_new(b->a);
  for (size_t i = 0; i < value->pairs.n; i++) {
    const ynode *header = value->pairs.at[i].key;
    ast_block block = {0};
    if (header->kind == YN_broken || !build_want(b, header, YN_scalar, NULL, "`name(parameters)`")) continue;
    lexer x = build_lexer(b, header->span);
    bool ok = grammar_block_header(&x, &block);
    if (ok && !map_add(names, block.name, &names))
      diag_at(b->l, header->span, syntax_name_twice, str_dup(b->a, block.name));
    build_steps(b, header, value->pairs.at[i].value, &block.steps);
    if (ok) vec_push(b->a, &b->m->blocks, block);
  }
}

// -- entries --

typedef VEC(ast_binding) bindings;

static void one_output(builder *b, void *into, ast_name name, const ynode *key, const ynode *value) {
  bindings *list = into;
  ast_binding binding = {.name = name, .value = build_expr(b, key, value, false)};
  if (binding.value) vec_push(b->a, list, binding);
}

static bool entry_key(builder *b, ast_entry *e, const ynode *key, const ynode *value) {
  if (str_is(key->text, "inputs")) {
    decls list = {0};
    declarations(b, key, value, &list);
    e->inputs.at = list.at;
    e->inputs.n = list.n;
    e->inputs.cap = list.cap;
  } else if (str_is(key->text, "steps")) {
    build_steps(b, key, value, &e->steps);
  } else if (str_is(key->text, "outputs")) {
    bindings list = {0};
    named(b, key, value, "a map `name: expression`", &list, one_output);
    e->outputs.at = list.at;
    e->outputs.n = list.n;
    e->outputs.cap = list.cap;
  } else {
    return false;
  }
  return true;
}

static void section_forward(builder *b, const ynode *key, const ynode *value) {
  ast_entry *e = b->m->entries.n ? &b->m->entries.at[0] : entry_add(b, (ast_name){STR("forward"), key->span});
  entry_key(b, e, key, value);
}

static void one_entry(builder *b, void *into, ast_name name, const ynode *key, const ynode *value) {
  (void)into;
  static const char *const keys[] = {"inputs", "steps", "outputs"};
  bool has_outputs = false;
  if (!build_want(b, value, YN_map, key, "a map of `inputs`, `steps` and `outputs`")) return;
  ast_entry *e = entry_add(b, name);
  for (size_t i = 0; i < value->pairs.n; i++) {
    const ynode *k = value->pairs.at[i].key, *v = value->pairs.at[i].value;
    if (!build_want(b, k, YN_scalar, NULL, "`inputs`, `steps` or `outputs`")) continue;
    has_outputs = has_outputs || str_is(k->text, "outputs");
    if (!entry_key(b, e, k, v)) build_unknown_key(b, k, str_dup(b->a, name.text), keys, 3);
  }
  if (!has_outputs && b->complete) diag_at(b->l, key->span, section_missing, str_dup(b->a, name.text), "outputs");
}

static void section_entries(builder *b, const ynode *key, const ynode *value) {
  named(b, key, value, "a map of entries", NULL, one_entry);
}

// -- the file --

typedef struct section {
  const char *name;
  void (*read)(builder *b, const ynode *key, const ynode *value);
} section;

static const section sections[] = {
    {"nnc", section_nnc},         {"name", section_name},       {"doc", section_doc},
    {"config", build_config},     {"require", section_require}, {"include", section_include},
    {"let", section_let},         {"dims", section_dims},       {"state", section_state},
    {"ops", section_ops},         {"rename", build_renames},    {"weights", section_weights},
    {"blocks", section_blocks},   {"inputs", section_forward},  {"steps", section_forward},
    {"outputs", section_forward}, {"entries", section_entries},
};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

static const ynode *find_section(const ynode *root, const char *name) {
  for (size_t i = 0; i < root->pairs.n; i++) {
    const ynode *key = root->pairs.at[i].key;
    if (key->kind == YN_scalar && str_is(key->text, name)) return key;
  }
  return NULL;
}

// The three sections of the only entry stand together, and not beside `entries`.
static void check_entries(builder *b, const ynode *root) {
  static const char *const parts[] = {"inputs", "steps", "outputs"};
  bool entries = find_section(root, "entries") != NULL;
  const ynode *first = NULL;
  for (size_t i = 0; i < 3; i++) {
    const ynode *key = find_section(root, parts[i]);
    if (!key) continue;
    if (!first) first = key;
    if (!entries) continue;
    diag *d = diag_at(b->l, key->span, section_entries, parts[i]);
    diag_note_to(
        b->l, d,
        "`inputs`, `steps` and `outputs` are the only entry, `forward`; with several, each holds its own three");
    return;
  }
  if (first && b->complete && !find_section(root, "outputs"))
    diag_at(b->l, first->span, section_missing, "forward", "outputs");
}

static void read_sections(builder *b, const ynode *root) {
  const char *names[N_SECTIONS];
  for (size_t i = 0; i < N_SECTIONS; i++) names[i] = sections[i].name;
  if (b->complete && !find_section(root, "nnc")) {
    diag *d = diag_at(b->l, ((diag_span){b->file, root->span.begin, root->span.begin}), section_no_version);
    diag_note_to(b->l, d, "a model file says which version of the language it is written in");
    for (size_t i = 0; i < N_SECTIONS; i++) {
      if (find_section(root, names[i])) break;
      if (i + 1 == N_SECTIONS) return; // some other file: no use in naming every key
    }
  }
  for (size_t i = 0; i < root->pairs.n; i++) {
    const ynode *key = root->pairs.at[i].key;
    if (!build_want(b, key, YN_scalar, NULL, "a section")) continue;
    size_t k = 0;
    while (k < N_SECTIONS && !str_is(key->text, names[k])) k++;
    if (k == N_SECTIONS) build_unknown_key(b, key, NULL, names, N_SECTIONS);
    else sections[k].read(b, key, root->pairs.at[i].value);
  }
  check_entries(b, root);
}

// Structure and scalars are read one after the other; the reader of the messages goes through the file once.
static void sort_by_place(diag_list *l, size_t from, uint32_t file) {
  for (size_t i = from + 1; i < l->items.n; i++) {
    diag *d = l->items.at[i];
    size_t k = i;
    for (; k > from && l->items.at[k - 1]->span.file == file && l->items.at[k - 1]->span.begin > d->span.begin; k--) {
      l->items.at[k] = l->items.at[k - 1];
    }
    l->items.at[k] = d;
  }
}

ast_model *ast_parse_model(arena *a, diag_list *l, uint32_t file, const char *path) {
  ast_model *m = ARENA_NEW(a, ast_model);
  builder b = {.a = a, .l = l, .file = file, .text = l->files.at[file - 1].text, .m = m};
  m->file = file;
  m->path = path;
  size_t errors = l->n_errors, items = l->items.n;
  if (b.text.n > AST_MAX_FILE_BYTES) {
    diag_at(l, NO_SPAN, file_too_large, path, (unsigned long long)b.text.n, (unsigned long long)AST_MAX_FILE_BYTES);
    return NULL;
  }
  ytree t = yaml_read(a, l, file, false);
  b.complete = t.complete;
  if (t.root && build_want(&b, t.root, YN_map, NULL, "the sections of a model")) read_sections(&b, t.root);
  else if (l->n_errors == errors)
    diag_at(l, ((diag_span){file, 0, 0}), syntax_expected, "the sections of a model", "an empty file");
  sort_by_place(l, items, file);
  return l->n_errors == errors ? m : NULL;
}

ast_expr *ast_parse_expr(arena *a, diag_list *l, uint32_t file, uint32_t begin, uint32_t end) {
  lexer x;
  lex_init(&x, a, l, file, begin, end);
  return expr_parse_whole(&x);
}
