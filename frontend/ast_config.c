// `config`: of a model file, where values are expressions, and of published files, where they are data.
//
// In both, lists are tuples and a nested map becomes dotted keys. Data: numbers, quoted strings, true, false and null
// as JSON and Python write them; any other plain text is a string. A map inside a list has no meaning here and is kept
// as its text, so that a model that asks for it gets a string and a clear message.
#include "frontend/ast_build.h"

#include <math.h>
#include <string.h>

static ast_expr *config_value(builder *b, const ynode *key, const ynode *value);

static ast_expr *sequence(builder *b, ast_expr_kind kind, diag_span span) {
  ast_expr *e = ARENA_NEW(b->a, ast_expr);
  e->kind = kind;
  e->span = e->op_span = span;
  e->height = 1;
  return e;
}

static void sequence_add(builder *b, ast_expr *list, ast_expr *item) {
  vec_push(b->a, &list->items, item);
  if (item->height >= list->height) list->height = item->height + 1;
}

static str dotted(builder *b, str prefix, str name) {
  if (!prefix.n) return name;
  return str_of(str_fmt(b->a, STR_FMT "." STR_FMT, STR_ARG(prefix), STR_ARG(name)));
}

// -- model files --

// In flow style YAML ends a value at a comma: `(1, 2)` would be two entries.
static bool is_cut(builder *b, const ynode *n) {
  if (n->kind != YN_scalar || n->quote) return false;
  str t = {b->text.p + n->span.begin, n->span.end - n->span.begin};
  if (lex_open_brackets(t) <= 0) return false;
  uint32_t at = n->span.end;
  while (at < b->text.n && b->text.p[at] == ' ') at++;
  return at < b->text.n && strchr(",{}[]", b->text.p[at]);
}

static bool report_cut(builder *b, const ynode *holder, const ynode *n) {
  if (!holder->flow || !is_cut(b, n)) return false;
  bool map = holder->kind == YN_map;
  diag_span at = {b->file, n->span.end, n->span.end + 1};
  diag *d = diag_at(b->l, at, yaml_flow_broken, map ? "{}" : "[]", map ? "map" : "list");
  diag_note_to(b->l, d,
               "types and expressions hold commas and brackets: write the section in block style, one entry a line");
  return true;
}

static ast_expr *config_list(builder *b, const ynode *list) {
  ast_expr *e = sequence(b, EX_tuple, list->span);
  for (size_t i = 0; i < list->items.n; i++) {
    if (report_cut(b, list, list->items.at[i])) return NULL;
    ast_expr *item = config_value(b, NULL, list->items.at[i]);
    if (item) sequence_add(b, e, item);
  }
  return e;
}

static ast_expr *config_value(builder *b, const ynode *key, const ynode *value) {
  if (value->kind == YN_list) return config_list(b, value);
  return build_expr(b, key, value, true);
}

static void config_map(builder *b, const ynode *map, str prefix) {
  for (size_t i = 0; i < map->pairs.n; i++) {
    const ynode *key = map->pairs.at[i].key, *value = map->pairs.at[i].value;
    ast_binding binding;
    if (report_cut(b, map, value)) return;
    if (key->kind == YN_broken || !build_name(b, key, "a name", &binding.name)) continue;
    binding.name.text = dotted(b, prefix, binding.name.text);
    if (value->kind == YN_map) {
      config_map(b, value, binding.name.text);
    } else {
      binding.value = config_value(b, key, value);
      if (binding.value) vec_push(b->a, &b->m->config, binding);
    }
  }
}

void build_config(builder *b, const ynode *key, const ynode *value) {
  if (value->kind == YN_map || build_want(b, value, YN_map, key, "a map")) config_map(b, value, (str){"", 0});
}

// -- data --

typedef struct data_word {
  const char *text;
  ast_expr_kind kind;
  double v;
} data_word;

static const data_word data_words[] = {
    {"true", EX_bool, 1},
    {"True", EX_bool, 1},
    {"TRUE", EX_bool, 1},
    {"false", EX_bool, 0},
    {"False", EX_bool, 0},
    {"FALSE", EX_bool, 0},
    {"null", EX_none, 0},
    {"Null", EX_none, 0},
    {"NULL", EX_none, 0},
    {"None", EX_none, 0},
    {"~", EX_none, 0},
    {"", EX_none, 0},
    {".inf", EX_float, HUGE_VAL},
    {"-.inf", EX_float, -HUGE_VAL},
    {"Infinity", EX_float, HUGE_VAL},
    {"-Infinity", EX_float, -HUGE_VAL},
    {"NaN", EX_float, (double)NAN},
    {".nan", EX_float, (double)NAN},
};

static void data_plain(ast_expr *e, str t) {
  for (size_t i = 0; i < sizeof data_words / sizeof *data_words; i++) {
    const data_word *w = &data_words[i];
    if (!str_is(t, w->text)) continue;
    e->kind = w->kind;
    e->i = w->kind == EX_bool && w->v != 0;
    e->f = w->v;
    return;
  }
  bool number = t.n && strchr("+-.0123456789", t.p[0]);
  if (number && parse_i64(t, &e->i)) e->kind = EX_int;
  else if (number && parse_f64(t, &e->f)) e->kind = EX_float;
}

static ast_expr *data_value(builder *b, const ynode *n) {
  ast_expr *e = sequence(b, n->kind == YN_list ? EX_list : EX_string, n->span);
  if (n->kind == YN_list) {
    for (size_t i = 0; i < n->items.n; i++) sequence_add(b, e, data_value(b, n->items.at[i]));
  } else if (n->kind == YN_map) {
    e->text = (str){b->text.p + n->span.begin, n->span.end - n->span.begin};
  } else {
    e->text = n->text;
    if (!n->quote) data_plain(e, n->text);
  }
  return e;
}

static void data_map(builder *b, const ynode *map, str prefix, ast_bindings *out) {
  for (size_t i = 0; i < map->pairs.n; i++) {
    const ynode *key = map->pairs.at[i].key, *value = map->pairs.at[i].value;
    if (key->kind == YN_broken || value->kind == YN_broken) continue;
    if (key->kind != YN_scalar || !key->text.n) {
      diag_at(b->l, key->span, syntax_expected, "a key", key->kind == YN_scalar ? "nothing" : "a list or a map");
      continue;
    }
    ast_binding binding = {.name = {dotted(b, prefix, key->text), key->span}};
    if (value->kind == YN_map) {
      data_map(b, value, binding.name.text, out);
    } else {
      binding.value = data_value(b, value);
      vec_push(b->a, out, binding);
    }
  }
}

bool ast_parse_config(arena *a, diag_list *l, uint32_t file, ast_bindings *out) {
  builder b = {.a = a, .l = l, .file = file, .text = l->files.at[file - 1].text};
  size_t errors = l->n_errors;
  if (b.text.n > AST_MAX_FILE_BYTES) {
    diag_at(l, NO_SPAN, file_too_large, l->files.at[file - 1].name, (unsigned long long)b.text.n,
            (unsigned long long)AST_MAX_FILE_BYTES);
    return false;
  }
  ytree t = yaml_read(a, l, file, true);
  if (t.root && t.root->kind == YN_map) data_map(&b, t.root, (str){"", 0}, out);
  else if (l->n_errors == errors)
    diag_at(l, ((diag_span){file, 0, 0}), syntax_expected, "a map of keys and values",
            t.root ? "other data" : "an empty file");
  return l->n_errors == errors;
}
