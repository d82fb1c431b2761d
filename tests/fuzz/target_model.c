// The front end: models, configs, expressions.
#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "ir/graph.h"
#include "support.h"

// A graph prints, and its text is sound and prints the same.
static void check_text(arena *a, ir_module *m) {
  strbuf first, second;
  sb_init(&first, a);
  sb_init(&second, a);
  graph_print(&first, m, false);
  diag_list l;
  diag_init(&l, a);
  ir_module *again = graph_parse(a, &l, diag_add_file(&l, "printed.ir", sb_str(&first)));
  FUZZ_CHECK(again && graph_verify(again));
  graph_print(&second, again, false);
  FUZZ_CHECK(str_eq(sb_str(&first), sb_str(&second)));
}

static void load(arena *a, diag_list *l, const str *text, const frontend_options *options) {
  ir_module *m = frontend_load(a, l, "m.yaml", text, options);
  FUZZ_CHECK((m != NULL) == !diag_failed(l));
  if (!m) return;
  FUZZ_CHECK(graph_verify(m));
  check_text(a, m);
  static const char *const random = "random";
  const frontend_options weights = {.weights = &random, .n_weights = 1};
  if (frontend_parameter_count(m) < 10000) FUZZ_CHECK(frontend_bind_weights(m, l, "m.yaml", &weights, NULL));
}

static void syntax(arena *a, diag_list *l, void *user) {
  const ast_model *m = ast_parse_model(a, l, diag_add_file(l, "m.yaml", *(const str *)user), "m.yaml");
  FUZZ_CHECK((m != NULL) == !diag_failed(l));
}

int fuzz_syntax(const uint8_t *data, size_t size) {
  str text = {(const char *)data, size};
  fuzz_guarded(syntax, &text);
  return 0;
}

static void model(arena *a, diag_list *l, void *user) { load(a, l, user, NULL); }

int fuzz_model(const uint8_t *data, size_t size) {
  str text = {(const char *)data, size};
  fuzz_guarded(model, &text);
  return 0;
}

static void config(arena *a, diag_list *l, void *user) {
  static const char model_text[] = "nnc: 1\nconfig:\n  a: 1\n  b: 2.0\n  c: 'x'\n  d: (1, 2)\n  e: True\ninputs:\n"
                                   "  x: f32[a]\nsteps:\n- y: x * b\noutputs:\n  y: y\n";
  const char *path = user;
  const frontend_options options = {.configs = &path, .n_configs = 1};
  str text = STR(model_text);
  load(a, l, &text, &options);
}

int fuzz_config(const uint8_t *data, size_t size) {
  fuzz_guarded(config, (void *)(uintptr_t)fuzz_file((str){(const char *)data, size}));
  return 0;
}

// As `--set x=EXPR`, and inside a step.
static void expr(arena *a, diag_list *l, void *user) {
  const str *text = user;
  strbuf b;
  sb_init(&b, a);
  sb_z(&b,
       "nnc: 1\nconfig: {c: 3, d: 0.5, s: 'gelu'}\nlet:\n  t: (2, 3)\ndims:\n  n: 2..8 step 2\n  m: 1..64\ninputs:\n"
       "  x: f32[n, 4]\n  i: i32[m]\n  q: bool\nsteps:\n- y@w: ");
  sb_bytes(&b, text->p, text->n);
  sb_z(&b, "\noutputs:\n  x: x\n");
  uint32_t file = diag_add_file(l, "expr", *text);
  ast_expr *e = ast_parse_expr(a, l, file, 0, (uint32_t)text->n);
  FUZZ_CHECK((e != NULL) == !diag_failed(l));
  diag_list second;
  diag_init(&second, a);
  str whole = sb_str(&b);
  load(a, &second, &whole, NULL);
  fuzz_render(&second);
}

int fuzz_expr(const uint8_t *data, size_t size) {
  str text = {(const char *)data, size};
  fuzz_guarded(expr, &text);
  return 0;
}
