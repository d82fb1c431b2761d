// The tables of functions and operators in the documents against the code.
//
// Functions: the first cells of the tables under "## The prelude" of docs/language.md hold signatures. They must be
// those of frontend/builtin.def and frontend/prelude.yaml, no more and no fewer; names that begin with `_` serve the
// prelude only. A dagger after a signature says that some call is not compiled: tests/docs/calls.txt has calls of every
// function, which are compiled here as far as kernels. Operators: the same for the table of docs/graph-ir.md and
// ir/ops.def.
#include "base/file.h"
#include "base/map.h"
#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "ir/op.h"
#include "passes/program.h"
#include "tests/docs/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DAGGER "\xe2\x80\xa0"

static arena *memory;
static const pages *docs;

static int setup(void **state) {
  (void)state;
  memory = arena_new(NULL);
  if (!memory || setjmp(*arena_guard(memory))) return -1;
  docs = pages_read(memory);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  arena_free(memory);
  return 0;
}

// -- first cells of tables --

typedef struct entry {
  str text;    // of the code span
  bool dagger; // right after it
} entry;

typedef VEC(entry) entries;

static void add_entry(void *user, str text, str after) {
  entries *out = user;
  vec_push(memory, out, ((entry){text, str_starts(after, STR(DAGGER))}));
}

static void first_cells(str section, entries *out) {
  for (str line; next_line(&section, &line);) {
    if (!str_starts(line, STR("| `"))) continue;
    size_t n = 2;
    for (bool code = false; n < line.n && (code || line.p[n] != '|'); n++) code ^= line.p[n] == '`';
    find_spans((str){line.p, n}, add_entry, out);
  }
}

static const entry *find_entry(const entries *list, str text) {
  for (size_t i = 0; i < list->n; i++)
    if (str_eq(list->at[i].text, text)) return &list->at[i];
  return NULL;
}

static str name_of(str signature) {
  size_t n = 0;
  while (n < signature.n && signature.p[n] != '(') n++;
  return (str){signature.p, n};
}

// -- signatures of the code --

typedef VEC(str) names;

static void add_signature(names *out, const char *text) {
  if (text[0] != '_') vec_push(memory, out, str_of(text));
}

static void prelude_signatures(names *out) {
  diag_list l;
  diag_init(&l, memory);
  str text;
  assert_true(file_read(memory, &l, NNC_SOURCE_DIR "/frontend/prelude.yaml", 1 << 20, &text));
  const ast_model *m = ast_parse_model(memory, &l, diag_add_file(&l, "prelude.yaml", text), "prelude.yaml");
  assert_non_null(m);
  for (size_t i = 0; i < m->blocks.n; i++) {
    const ast_block *b = &m->blocks.at[i];
    strbuf s;
    sb_init(&s, memory);
    sb_fmt(&s, STR_FMT "(", STR_ARG(b->name));
    for (size_t k = 0; k < b->params.n; k++) {
      const ast_param *p = &b->params.at[k];
      sb_fmt(&s, "%s" STR_FMT, k ? ", " : "", STR_ARG(p->name));
      if (p->dflt) sb_fmt(&s, "=%.*s", (int)(p->dflt->span.end - p->dflt->span.begin), text.p + p->dflt->span.begin);
    }
    sb_char(&s, ')');
    add_signature(out, sb_cstr(&s));
  }
}

static void all_signatures(names *out) {
#define B(id, name, params, weighted) add_signature(out, name "(" params ")");
#include "frontend/builtin.def"
#undef B
  prelude_signatures(out);
}

static void every_function_is_documented(void **state) {
  (void)state;
  entries written = {0};
  names real = {0};
  first_cells(page_section(pages_find(docs, "docs/language.md"), "## The prelude"), &written);
  all_signatures(&real);
  strbuf wrong;
  sb_init(&wrong, memory);
  for (size_t i = 0; i < real.n; i++)
    if (!find_entry(&written, real.at[i])) sb_fmt(&wrong, "\nlacks `%.*s`", STR_ARG(real.at[i]));
  for (size_t i = 0; i < written.n; i++) {
    bool known = false;
    for (size_t k = 0; k < real.n; k++) known = known || str_eq(real.at[k], written.at[i].text);
    if (!known) sb_fmt(&wrong, "\nhas `%.*s`, which is not in the code", STR_ARG(written.at[i].text));
    if (find_entry(&written, written.at[i].text) != &written.at[i])
      sb_fmt(&wrong, "\nhas `%.*s` twice", STR_ARG(written.at[i].text));
  }
  if (wrong.n) fail_msg("docs/language.md%s", sb_cstr(&wrong));
}

// -- what is compiled --

static const char frame[] = "nnc: 1\nname: call\n"
                            "dims:\n  batch: 2..8\n  seq: 8..512\n"
                            "inputs:\n  x: f32[batch, seq, 64]\n  ids: i32[batch, seq]\n  mask: bool[batch, seq, 64]\n"
                            "  q: f32[batch, 4, seq, 16]\n  image: f32[batch, 4, 8, 8]\n  signal: f32[batch, 4, seq]\n"
                            "  volume: f32[batch, 4, 8, 8, 8]\n  boxes: f32[4, 4]\n"
                            "steps:\n- y%s: %.*s\noutputs:\n  y: y\n";

// Whether a call becomes kernels. It is wrong when it does not load, or stops at anything but an operator that is
// not compiled.
static bool is_compiled(str call, bool weighted, strbuf *wrong) {
  arena *a = arena_new(NULL);
  assert_non_null(a);
  if (setjmp(*arena_guard(a))) fail_msg("the arena unwound at `%.*s`", STR_ARG(call));
  diag_list l;
  diag_init(&l, a);
  str text = str_of(str_fmt(a, frame, weighted ? "@w" : "", STR_ARG(call)));
  ir_module *m = frontend_load(a, &l, "call.yaml", &text, NULL);
  bool loaded = m && !l.items.n, compiled = false;
  pass_options options = PASS_OPTIONS_INIT;
  pass_context c = {.a = a, .diags = &l, .target = target_find("x86-64-v3")};
  if (loaded) compiled = pass_run_all(&c, m, &options, NULL) && lower_module(&c, m);
  bool honest = loaded;
  for (size_t i = 0; i < l.items.n; i++) honest = honest && l.items.at[i]->id == DIAG_ID_op_not_compiled;
  if (!honest) sb_fmt(wrong, "\n`%.*s` says\n", STR_ARG(call));
  if (!honest) diag_render_all(&l, false, wrong);
  arena_free(a);
  return compiled;
}

static void daggers_stand_where_calls_are_not_compiled(void **state) {
  (void)state;
  entries written = {0};
  first_cells(page_section(pages_find(docs, "docs/language.md"), "## The prelude"), &written);
  size_t *n_calls = ARENA_ARRAY(memory, size_t, written.n + 1),
         *n_compiled = ARENA_ARRAY(memory, size_t, written.n + 1);
  diag_list l;
  diag_init(&l, memory);
  str text;
  strbuf wrong;
  sb_init(&wrong, memory);
  assert_true(file_read(memory, &l, NNC_SOURCE_DIR "/tests/docs/calls.txt", 1 << 20, &text));
  for (str line; next_line(&text, &line);) {
    if (str_starts(line, STR("#"))) continue;
    const char *colon = memchr(line.p, ':', line.n);
    assert_non_null(colon);
    str name = {line.p, (size_t)(colon - line.p)}, call = {colon + 2, line.n - name.n - 2};
    bool weighted = name.p[name.n - 1] == '@';
    name.n -= weighted;
    size_t i = 0;
    while (i < written.n && !str_eq(name_of(written.at[i].text), name)) i++;
    if (i == written.n) fail_msg("tests/docs/calls.txt: docs/language.md has no `%.*s`", STR_ARG(name));
    n_calls[i]++;
    n_compiled[i] += is_compiled(call, weighted, &wrong);
  }
  for (size_t i = 0; i < written.n; i++) {
    str s = written.at[i].text;
    if (!n_calls[i]) sb_fmt(&wrong, "\n`%.*s` has no call in tests/docs/calls.txt", STR_ARG(s));
    else if (written.at[i].dagger && n_compiled[i] == n_calls[i]) sb_fmt(&wrong, "\n`%.*s` is compiled", STR_ARG(s));
    else if (!written.at[i].dagger && n_compiled[i] < n_calls[i])
      sb_fmt(&wrong, "\n`%.*s` is not compiled", STR_ARG(s));
  }
  if (wrong.n) fail_msg("docs/language.md%s", sb_cstr(&wrong));
}

// -- operators --

static void every_operator_is_documented(void **state) {
  (void)state;
  entries written = {0};
  first_cells(page_section(pages_find(docs, "docs/graph-ir.md"), "## Operators"), &written);
  strbuf wrong;
  sb_init(&wrong, memory);
  for (int o = 0; o < OP_COUNT; o++) {
    const entry *e = find_entry(&written, str_of(op_get((op_code)o)->name));
    bool compiled = op_has((op_code)o, OPF_COMPILED);
    if (!e) sb_fmt(&wrong, "\nlacks `%s`", op_get((op_code)o)->name);
    else if (e->dagger == compiled)
      sb_fmt(&wrong, "\n`%s` is %scompiled", op_get((op_code)o)->name, compiled ? "" : "not ");
  }
  for (size_t i = 0; i < written.n; i++) {
    op_code op;
    if (!op_find(written.at[i].text, &op))
      sb_fmt(&wrong, "\nhas `%.*s`, which is no operator", STR_ARG(written.at[i].text));
  }
  if (wrong.n) fail_msg("docs/graph-ir.md%s", sb_cstr(&wrong));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_function_is_documented),
      cmocka_unit_test(daggers_stand_where_calls_are_not_compiled),
      cmocka_unit_test(every_operator_is_documented),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
