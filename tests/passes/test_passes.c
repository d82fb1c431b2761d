// Golden texts of passes and lowering. A file tests/passes/NAME.nnir is
//
//   // what it shows
//   passes canon dce …       the passes to run, in this order; `all` is the whole line
//   show graph kernels steps what to print; `graph` if the line is missing
//   weights q8               the form of weights that the pass `weights` gives; f32 if the line is missing
//   precision bf16           what the pass `precision` makes of tensors between groups; f32 if the line is missing
//   cpu x86-64-v4            the target (that one if the line is missing; it need not be this machine's)
//
//   the module
//   ----
//   the expected text, exactly
//
// The graph is verified after each pass. NNC_UPDATE_GOLDEN=1 writes what is found into the files; the difference is to
// be reviewed.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "passes/program.h"

enum { MAX_FILES = 128, MAX_PASSES = 16 };

typedef struct golden {
  const char *path;
  str header, input, expected;
  const pass_info *passes[MAX_PASSES];
  size_t n_passes;
  bool graph, kernels, steps;
  const target *cpu;
  weights_form weights;
  precision_form precision;
} golden;

static str first_line(str *rest) {
  const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
  str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
  size_t used = line.n + (end != NULL);
  *rest = (str){rest->p + used, rest->n - used};
  return line;
}

static bool next_word(str *line, str *word) {
  while (line->n && *line->p == ' ') line->p++, line->n--;
  size_t n = 0;
  while (n < line->n && line->p[n] != ' ') n++;
  *word = (str){line->p, n};
  *line = (str){line->p + n, line->n - n};
  return n > 0;
}

static void add_passes(golden *g, str line) {
  str word;
  while (next_word(&line, &word)) {
    for (size_t i = 0; i < pass_count(); i++)
      if (str_is(word, "all") || str_is(word, pass_at(i)->name)) g->passes[g->n_passes++] = pass_at(i);
  }
}

static void parse_header(golden *g, arena *a) {
  str rest = g->header, line, word;
  while (rest.n) {
    line = first_line(&rest);
    if (!next_word(&line, &word)) continue;
    if (str_is(word, "passes")) add_passes(g, line);
    else if (str_is(word, "cpu") && next_word(&line, &word)) g->cpu = target_find(str_dup(a, word));
    else if (str_is(word, "weights") && next_word(&line, &word))
      assert_true(weights_form_find(str_dup(a, word), &g->weights));
    else if (str_is(word, "precision") && next_word(&line, &word))
      assert_true(precision_find(str_dup(a, word), &g->precision));
    else if (str_is(word, "show"))
      while (next_word(&line, &word)) {
        g->graph = g->graph || str_is(word, "graph");
        g->kernels = g->kernels || str_is(word, "kernels");
        g->steps = g->steps || str_is(word, "steps");
      }
    else if (!str_starts(word, STR("//"))) fail_msg("%s: unknown line `" STR_FMT "`", g->path, STR_ARG(word));
  }
  if (!g->kernels && !g->steps) g->graph = true;
  if (!g->cpu) g->cpu = target_find("x86-64-v4");
  assert_true(g->n_passes > 0);
}

static golden read_golden(arena *a, diag_list *l, const char *path) {
  golden g = {.path = path};
  str text;
  if (!file_read(a, l, path, 1 << 20, &text)) fail_msg("%s cannot be read", path);
  str rest = text;
  while (rest.n && *rest.p != '\n') first_line(&rest);
  g.header = (str){text.p, (size_t)(rest.p - text.p)};
  const char *cut = strstr(rest.p, "\n----\n");
  if (!cut) fail_msg("%s: no line ----", path);
  g.input = (str){rest.p, (size_t)(cut + 1 - rest.p)};
  g.expected = (str){cut + 6, (size_t)(text.p + text.n - cut - 6)};
  parse_header(&g, a);
  return g;
}

// -- what is printed --

static void print_buffers(strbuf *b, const program_set *set, const program *p, const prog_step *s) {
  static const char *const classes[] = {"input", "output", "arena", "constant"};
  for (uint32_t i = 0; i < s->n_buffers; i++) {
    const prog_buffer *x = &p->buffers.at[s->buffers[i]];
    uint32_t index = x->cls == PROG_arena ? s->buffers[i] : x->index;
    if (p == &set->prepare) index = x->cls == PROG_input ? set->sources.at[x->index] : x->index; // both are constants
    sb_fmt(b, "%s%s %u", i ? ", " : "", p == &set->prepare ? "constant" : classes[x->cls], index);
  }
}

static void print_steps(strbuf *b, const program_set *set, const program *p, size_t first, size_t n, int indent) {
  static const char *const kinds[] = {[PROG_STEP_bind] = "bind",
                                      [PROG_STEP_check] = "check",
                                      [PROG_STEP_if] = "if",
                                      [PROG_STEP_loop] = "loop",
                                      [PROG_STEP_while] = "while"};
  for (size_t i = first; i < first + n;) {
    const prog_step *s = &p->steps.at[i];
    bool kernel = s->kind == PROG_STEP_kernel;
    sb_fmt(b, "%*s%s(", indent, "", kernel ? set->kernels.at[s->what]->name : kinds[s->kind]);
    print_buffers(b, set, p, s);
    sb_char(b, ')');
    if (kernel) sb_z(b, " grid ");
    for (uint32_t k = 0; k < s->n_grid; k++) {
      if (k) sb_z(b, " x ");
      idx_print(b, s->grid[k]);
    }
    sb_char(b, '\n');
    print_steps(b, set, p, i + 1, s->body[0], indent + 2);
    if (s->body[1]) sb_fmt(b, "%*s%s\n", indent, "", s->kind == PROG_STEP_if ? "else" : "do");
    print_steps(b, set, p, i + 1 + s->body[0], s->body[1], indent + 2);
    i += 1 + s->body[0] + s->body[1];
  }
}

static void print_program(strbuf *b, const program_set *set, const program *p) {
  sb_fmt(b, "program %s\n", p->name);
  print_steps(b, set, p, 0, p->steps.n, 2);
}

static void print_set(strbuf *b, const golden *g, const program_set *set) {
  for (size_t i = 0; g->steps && i < set->constants.n; i++) {
    const prog_constant *k = &set->constants.at[i];
    sb_fmt(b, "constant %zu: %s%s %s[", i, k->computed ? "computed " : "", k->name, dtype_name(k->dt));
    idx_print(b, k->count);
    sb_z(b, "]\n");
  }
  if (g->steps && set->prepare.steps.n) print_program(b, set, &set->prepare);
  for (size_t i = 0; g->steps && i < set->entries.n; i++) print_program(b, set, set->entries.at[i]);
  for (size_t i = 0; g->kernels && i < set->kernels.n; i++) kir_print(b, set->kernels.at[i]);
}

static const char *run_passes(arena *a, diag_list *l, const golden *g) {
  pass_context c = {.a = a, .diags = l, .target = g->cpu, .weights = g->weights, .precision = g->precision};
  strbuf b;
  sb_init(&b, a);
  ir_module *m = graph_parse(a, l, diag_add_file(l, "golden", g->input));
  bool ok = m && graph_verify(m);
  for (size_t i = 0; ok && i < g->n_passes; i++) ok = g->passes[i]->run(&c, m) && graph_verify(m);
  if (ok && g->graph) graph_print(&b, m, false);
  program_set *set = ok && (g->kernels || g->steps) ? lower_module(&c, m) : NULL;
  if (set) print_set(&b, g, set);
  diag_render_all(l, false, &b); // refusals are part of the text
  return sb_cstr(&b);
}

static void write_golden(diag_list *l, const golden *g, const char *found) {
  str text = str_of(str_fmt(l->a, STR_FMT STR_FMT "----\n%s", STR_ARG(g->header), STR_ARG(g->input), found));
  if (!file_write(l->a, l, g->path, text, 0644)) fail_msg("%s cannot be written", g->path);
}

// Prints the first line that differs.
static void complain(const golden *g, const char *found) {
  str want = g->expected, got = str_of(found);
  unsigned line = 1;
  for (; want.n && got.n; line++) {
    str w = first_line(&want), x = first_line(&got);
    if (str_eq(w, x)) continue;
    fprintf(stderr, "%s, line %u of what is expected:\n- " STR_FMT "\n+ " STR_FMT "\n", g->path, line, STR_ARG(w),
            STR_ARG(x));
    return;
  }
  fprintf(stderr, "%s: %s after line %u\n", g->path, want.n ? "the text ends" : "there is more", line - 1);
}

static bool is_text(const struct dirent *e) {
  size_t n = strlen(e->d_name);
  return n > 5 && strcmp(e->d_name + n - 5, ".nnir") == 0;
}

static int by_name(const void *x, const void *y) { return strcmp(*(const char *const *)x, *(const char *const *)y); }

static void texts_are_as_expected(void **state) {
  (void)state;
  const char *folder = NNC_SOURCE_DIR "/tests/passes", *update = getenv("NNC_UPDATE_GOLDEN");
  arena *names = arena_new(NULL);
  const char *file[MAX_FILES];
  size_t n = 0, wrong = 0;
  DIR *d = opendir(folder);
  assert_non_null(d);
  for (const struct dirent *e; (e = readdir(d));) {
    if (is_text(e) && n < MAX_FILES) file[n++] = str_fmt(names, "%s/%s", folder, e->d_name);
  }
  closedir(d);
  qsort(file, n, sizeof *file, by_name);
  for (size_t i = 0; i < n; i++) {
    arena *a = arena_new(NULL);
    diag_list l;
    diag_init(&l, a);
    golden g = read_golden(a, &l, file[i]);
    const char *found = run_passes(a, &l, &g);
    if (!str_eq(g.expected, str_of(found))) {
      if (update) write_golden(&l, &g, found);
      else complain(&g, found);
      wrong += !update;
    }
    arena_free(a);
  }
  arena_free(names);
  assert_int_equal(wrong, 0);
  assert_true(n > 15);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(texts_are_as_expected)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
