// Golden diagnostics: what the front end says about wrong models, compared to the letter.
//
// tests/diag/NAME.yaml holds small models, each after a line
//     %%% title
// and NAME.expected the messages they give, under the same lines. Each model is loaded as `m.yaml`, in this folder, so
// that `include:` finds the files of tests/diag/lib. Options may follow the title after ` | `:
//     --set K=V   --dim N=V   --config FILE   --weights FILE   --approx WHAT   as on the command line
//     --bind      binds the weights too, as --weights does
//     --data      the text is not a model but a published config
// NNC_UPDATE_GOLDEN=1 writes what is found to the .expected files; the difference is to be reviewed.
// The last test looks up that every message of the front end's sections in base/diag.def is given by some case.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>

#include "base/file.h"
#include "frontend/ast.h"
#include "frontend/frontend.h"

enum { MAX_FILES = 128, MAX_OPTIONS = 8 };

static bool seen[DIAG_COUNT];

static str next_line(str *rest) {
  size_t n = 0;
  while (n < rest->n && rest->p[n] != '\n') n++;
  str line = {rest->p, n};
  if (n < rest->n) n++;
  *rest = (str){rest->p + n, rest->n - n};
  return line;
}

static bool is_title(str line) { return str_starts(line, STR("%%% ")); }

// The text up to the next title.
static str next_body(str *rest) {
  str body = {rest->p, 0};
  for (str ahead = *rest; ahead.n && !str_starts(ahead, STR("%%% ")); *rest = ahead) {
    next_line(&ahead);
    body.n = (size_t)(ahead.p - body.p);
  }
  return body;
}

typedef struct case_options {
  frontend_options load;
  bool data, bind;
  const char *configs[MAX_OPTIONS], *weights[MAX_OPTIONS];
  frontend_pair sets[MAX_OPTIONS], dims[MAX_OPTIONS];
} case_options;

static frontend_pair split_pair(char *text) {
  char *eq = strchr(text, '=');
  assert_non_null(eq);
  *eq = '\0';
  return (frontend_pair){text, eq + 1};
}

static void read_options(char *text, case_options *o) {
  *o = (case_options){0};
  char *save = NULL;
  for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
    bool data = strcmp(word, "--data") == 0, bind = strcmp(word, "--bind") == 0;
    o->data = o->data || data;
    o->bind = o->bind || bind;
    if (data || bind) continue;
    char *value = strtok_r(NULL, " ", &save);
    assert_non_null(value);
    if (strcmp(word, "--set") == 0) o->sets[o->load.n_sets++] = split_pair(value);
    else if (strcmp(word, "--dim") == 0) o->dims[o->load.n_dims++] = split_pair(value);
    else if (strcmp(word, "--config") == 0) o->configs[o->load.n_configs++] = value;
    else if (strcmp(word, "--weights") == 0) o->weights[o->load.n_weights++] = value;
    else if (strcmp(word, "--approx") == 0) o->load.approx = value;
    else fail_msg("unknown option %s", word);
  }
  o->load.sets = o->sets;
  o->load.dims = o->dims;
  o->load.configs = o->configs;
  o->load.weights = o->weights;
}

static void load(arena *a, diag_list *l, str text, const case_options *o) {
  if (o->data) {
    ast_bindings out = {0};
    ast_parse_config(a, l, diag_add_file(l, "m.yaml", text), &out);
    return;
  }
  ir_module *m = frontend_load(a, l, "m.yaml", &text, &o->load);
  if (m && (o->bind || o->load.n_weights)) frontend_bind_weights(m, l, "m.yaml", &o->load, NULL);
}

// Everything that one case says, appended to `out`.
static void run_case(str title, str text, strbuf *out) {
  arena *a = arena_new(NULL);
  assert_non_null(a);
  if (setjmp(*arena_guard(a))) {
    arena_free(a);
    fail_msg("the arena unwound in %.*s", STR_ARG(title));
  }
  case_options o;
  char *words = str_dup(a, title), *bar = strstr(words, " | ");
  read_options(bar ? bar + 3 : words + title.n, &o);
  diag_list l;
  diag_init(&l, a);
  load(a, &l, text, &o);
  for (size_t i = 0; i < l.items.n; i++) seen[l.items.at[i]->id] = true;
  if (!l.items.n) sb_z(out, "(nothing)\n");
  strbuf rendered;
  sb_init(&rendered, a);
  diag_render_all(&l, false, &rendered);
  sb_bytes(out, sb_str(&rendered).p, sb_str(&rendered).n);
  arena_free(a);
}

static str run_file(arena *a, diag_list *l, const char *name) {
  str text;
  strbuf out;
  sb_init(&out, a);
  assert_true(file_read(a, l, name, 1 << 20, &text));
  while (text.n) {
    str title = next_line(&text);
    if (!is_title(title)) fail_msg("%s does not begin with a title line", name);
    sb_fmt(&out, STR_FMT "\n", STR_ARG(title));
    run_case(title, next_body(&text), &out);
  }
  return sb_str(&out);
}

// Prints the first case that differs, both ways.
static void fail_at_difference(const char *name, str found, str expected) {
  while (found.n || expected.n) {
    str title = next_line(&found), wanted_title = next_line(&expected);
    str body = next_body(&found), wanted = next_body(&expected);
    if (str_eq(title, wanted_title) && str_eq(body, wanted)) continue;
    fail_msg("%s, %.*s\n--- expected\n%.*s\n%.*s--- found\n%.*s", name, STR_ARG(title), STR_ARG(wanted_title),
             STR_ARG(wanted), STR_ARG(body));
  }
}

static void check_file(void **state) {
  const char *name = *state;
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  str found = run_file(a, &l, name), expected = {"", 0};
  const char *golden = str_fmt(a, "%.*s.expected", (int)(strlen(name) - strlen(".yaml")), name);
  if (getenv("NNC_UPDATE_GOLDEN")) assert_true(file_write(a, &l, golden, found, 0644));
  else if (access(golden, R_OK) == 0) assert_true(file_read(a, &l, golden, 1 << 20, &expected));
  if (!getenv("NNC_UPDATE_GOLDEN")) fail_at_difference(name, found, expected);
  arena_free(a);
}

// Every row D(id, ...) under a heading `// -- frontend: ...` of base/diag.def was given.
static void check_coverage(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  str text;
  assert_true(file_read(a, &l, NNC_SOURCE_DIR "/base/diag.def", 1 << 20, &text));
  strbuf missing;
  sb_init(&missing, a);
  bool ours = false;
  int id = 0;
  while (text.n) {
    str line = next_line(&text);
    if (str_starts(line, STR("// -- "))) ours = str_starts(line, STR("// -- frontend:"));
    if (!str_starts(line, STR("D("))) continue;
    assert_true(str_starts((str){line.p + 2, line.n - 2}, str_of(diag_name((diag_id)id))));
    if (ours && !seen[id]) sb_fmt(&missing, " %s", diag_name((diag_id)id));
    id++;
  }
  if (missing.n) fail_msg("no case gives:%s", sb_cstr(&missing));
  arena_free(a);
}

static int by_name(const void *x, const void *y) { return strcmp(*(char *const *)x, *(char *const *)y); }

int main(void) {
  static char *names[MAX_FILES];
  static struct CMUnitTest tests[MAX_FILES + 1];
  size_t n = 0;
  DIR *folder = chdir(NNC_SOURCE_DIR "/tests/diag") == 0 ? opendir(".") : NULL;
  if (!folder) return 1;
  for (struct dirent *f; (f = readdir(folder)) && n < MAX_FILES;) {
    size_t length = strlen(f->d_name);
    if (length > 5 && strcmp(f->d_name + length - 5, ".yaml") == 0) names[n++] = strdup(f->d_name);
  }
  closedir(folder);
  qsort(names, n, sizeof *names, by_name);
  for (size_t i = 0; i < n; i++) tests[i] = (struct CMUnitTest){names[i], check_file, NULL, NULL, names[i]};
  tests[n] = (struct CMUnitTest){"every message has a case", check_coverage, NULL, NULL, NULL};
  int failed = _cmocka_run_group_tests("diag", tests, n + 1, NULL, NULL);
  for (size_t i = 0; i < n; i++) free(names[i]);
  return failed;
}
