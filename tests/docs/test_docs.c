// Keeps the documents honest: models load, wrong models give the messages shown, graphs read back, and what is named
// exists.
//
//   ```yaml        a whole model if some line begins with `nnc:`, which loads without a message; else a fragment, left
//   alone
//   ```yaml frame  a whole model; its steps are the place of the fragments of that page
//   ```yaml steps  steps of the frame, which then loads without a message
//   ```yaml error  a whole model that does not load; the next block, ```text, is all it says
//   ```ir          a module that reads, verifies and prints as it stands
#include "base/file.h"
#include "frontend/frontend.h"
#include "tests/docs/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static arena *memory;
static const pages *docs;

static int setup(void **state) {
  (void)state;
  memory = arena_new(NULL);
  if (!memory || chdir(NNC_SOURCE_DIR)) return -1;
  if (setjmp(*arena_guard(memory))) return -1;
  docs = pages_read(memory);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  arena_free(memory);
  return 0;
}

static bool has_line(str text, str beginning) {
  for (str line; next_line(&text, &line);)
    if (str_starts(line, beginning)) return true;
  return false;
}

// What the front end says of a model, as the command line shows it.
static str messages(str text, bool *loaded) {
  diag_list l;
  diag_init(&l, memory);
  *loaded = frontend_load(memory, &l, "m.yaml", &text, NULL) != NULL;
  strbuf out;
  sb_init(&out, memory);
  diag_render_all(&l, false, &out);
  return (str){sb_cstr(&out), out.n};
}

static void expect_silence(const fence *f, str model) {
  bool loaded;
  str said = messages(model, &loaded);
  if (!loaded || said.n) fail_msg("%s:%u: this model should load:\n%.*s", f->page, f->line, STR_ARG(said));
}

static void models_load(void **state) {
  (void)state;
  size_t n = 0;
  for (size_t i = 0; i < docs->fences.n; i++) {
    const fence *f = &docs->fences.at[i];
    bool frame = str_is(f->info, "yaml frame");
    if (!frame && !(str_is(f->info, "yaml") && has_line(f->text, STR("nnc:")))) continue;
    expect_silence(f, f->text);
    n++;
  }
  assert_in_range(n, 6, 1000); // the documents are found at all
}

// The frame of the page, with its steps replaced.
static str in_frame(const fence *fragment) {
  const fence *frame = pages_fence(docs, fragment->page, "yaml frame", 0);
  strbuf out;
  sb_init(&out, memory);
  bool inside = false;
  str rest = frame->text;
  for (str line; next_line(&rest, &line);) {
    bool step = str_starts(line, STR("- "));
    if (step && !inside) sb_bytes(&out, fragment->text.p, fragment->text.n);
    if (!step) sb_fmt(&out, STR_FMT "\n", STR_ARG(line));
    inside = step;
  }
  return sb_str(&out);
}

static void fragments_load(void **state) {
  (void)state;
  size_t n = 0;
  for (size_t i = 0; i < docs->fences.n; i++) {
    const fence *f = &docs->fences.at[i];
    if (!str_is(f->info, "yaml steps")) continue;
    expect_silence(f, in_frame(f));
    n++;
  }
  assert_in_range(n, 3, 1000);
}

static void errors_are_given(void **state) {
  (void)state;
  size_t n = 0;
  for (size_t i = 0; i < docs->fences.n; i++) {
    const fence *f = &docs->fences.at[i];
    if (!str_is(f->info, "yaml error")) continue;
    bool loaded;
    str said = messages(f->text, &loaded);
    if (loaded) fail_msg("%s:%u: this model should not load", f->page, f->line);
    const fence *next = i + 1 < docs->fences.n ? f + 1 : f;
    if (next->page != f->page || !str_is(next->info, "text"))
      fail_msg("%s:%u: the messages should follow, in a block ```text", f->page, f->line);
    if (!str_eq(next->text, said)) fail_msg("%s:%u: the front end says\n%.*s", next->page, next->line, STR_ARG(said));
    n++;
  }
  assert_in_range(n, 2, 1000);
}

static void graphs_read_back(void **state) {
  (void)state;
  size_t n = 0;
  for (size_t i = 0; i < docs->fences.n; i++) {
    const fence *f = &docs->fences.at[i];
    if (!str_is(f->info, "ir")) continue;
    diag_list l;
    diag_init(&l, memory);
    const ir_module *m = graph_parse(memory, &l, diag_add_file(&l, f->page, f->text));
    strbuf out;
    sb_init(&out, memory);
    if (m && graph_verify(m)) graph_print(&out, m, false);
    diag_render_all(&l, false, &out);
    if (!str_eq(sb_str(&out), f->text)) fail_msg("%s:%u: this prints as\n%s", f->page, f->line, sb_cstr(&out));
    n++;
  }
  assert_in_range(n, 3, 1000);
}

// A path of the source tree: one of its folders, then letters that a pattern, a placeholder (NAME) or a sentence does
// not have.
static bool is_path(str s) {
  static const char *const folders[] = {"api/",      "base/",     "cmake/",   "codegen/", "docs/",
                                        "examples/", "frontend/", "include/", "ir/",      "models/",
                                        "passes/",   "runtime/",  "tests/",   "tools/"};
  bool known = false;
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) known = known || str_starts(s, str_of(folders[i]));
  for (size_t i = 0; i < s.n && known; i++) {
    char c = s.p[i];
    known = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("_./-", c);
  }
  return known;
}

static void paths_exist(void **state) {
  (void)state;
  strbuf missing;
  sb_init(&missing, memory);
  size_t n = 0;
  for (size_t i = 0; i < docs->spans.n; i++) {
    const code_span *s = &docs->spans.at[i];
    if (!is_path(s->text)) continue;
    n++;
    if (access(str_dup(memory, s->text), F_OK)) sb_fmt(&missing, "\n%s:%u: `%.*s`", s->page, s->line, STR_ARG(s->text));
  }
  if (missing.n) fail_msg("no such file:%s", sb_cstr(&missing));
  assert_in_range(n, 20, 10000);
}

// [text](target): a page or file beside the page, perhaps with #anchor.
static void links_lead_somewhere(void **state) {
  (void)state;
  strbuf missing;
  sb_init(&missing, memory);
  for (size_t i = 0; i < docs->pages.n; i++) {
    const page *p = &docs->pages.at[i];
    for (size_t k = 0; k + 1 < p->text.n; k++) {
      if (p->text.p[k] != ']' || p->text.p[k + 1] != '(') continue;
      str target = {p->text.p + k + 2, 0};
      while (k + 2 + target.n < p->text.n && !strchr(")# \n", target.p[target.n])) target.n++;
      bool elsewhere = !target.n || str_starts(target, STR("http://")) || str_starts(target, STR("https://"));
      if (elsewhere || access(path_beside(memory, p->name, str_dup(memory, target)), F_OK) == 0) continue;
      sb_fmt(&missing, "\n%s: (%.*s)", p->name, STR_ARG(target));
    }
  }
  if (missing.n) fail_msg("no such file:%s", sb_cstr(&missing));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(models_load),      cmocka_unit_test(fragments_load), cmocka_unit_test(errors_are_given),
      cmocka_unit_test(graphs_read_back), cmocka_unit_test(paths_exist),    cmocka_unit_test(links_lead_somewhere),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
