// The text of graphs: golden files tests/ir/text/*.ir, round trips, and mutated text.
//
// A golden file is a list of cases parted by lines `====`; a case is a module, a line `----`, and what must come out:
// the module as printed (then it is also sound, and reads back to itself), or the diagnostics. NNC_UPDATE_GOLDEN=1 in
// the environment writes what came out into the files; the difference is for a person to review.
#include "base/file.h"
#include "ir/graph.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FOLDER NNC_SOURCE_DIR "/tests/ir/text/"

typedef struct outcome {
  ir_module *m; // NULL: `text` holds diagnostics
  str text;
} outcome;

static bool seen[DIAG_COUNT]; // messages that some text provoked

static outcome parse_and_print(arena *a, str text, bool spans) {
  diag_list *l = ARENA_NEW(a, diag_list);
  diag_init(l, a);
  outcome o = {.m = graph_parse(a, l, diag_add_file(l, "in.ir", text))};
  strbuf b;
  sb_init(&b, a);
  if (o.m != NULL && graph_verify(o.m)) graph_print(&b, o.m, spans);
  for (size_t i = 0; i < l->items.n; i++) seen[l->items.at[i]->id] = true;
  diag_render_all(l, false, &b);
  o.text = (str){sb_cstr(&b), b.n};
  return o;
}

static void check_round_trip(arena *a, str text, bool spans) {
  const outcome again = parse_and_print(a, text, spans);
  if (again.m == NULL || !str_eq(again.text, text)) {
    fail_msg("does not read back:\n%.*s\nbut gives\n%.*s", STR_ARG(text), STR_ARG(again.text));
  }
}

static size_t find(str text, size_t from, const char *z) {
  const size_t n = strlen(z);
  for (size_t i = from; i + n <= text.n; i++) {
    if (memcmp(text.p + i, z, n) == 0) return i;
  }
  return text.n;
}

static int run_case(arena *a, str c, strbuf *updated) {
  const size_t cut = find(c, 0, "----\n");
  assert_true(cut < c.n);
  const str in = {c.p, cut}, want = {c.p + cut + 5, c.n - cut - 5};
  const outcome got = parse_and_print(a, in, false);
  if (got.m != NULL) check_round_trip(a, got.text, false);
  sb_fmt(updated, STR_FMT "----\n" STR_FMT, STR_ARG(in), STR_ARG(got.text));
  if (str_eq(got.text, want)) return 0;
  print_error("----- input\n%.*s----- expected\n%.*s----- came out\n%.*s", STR_ARG(in), STR_ARG(want),
              STR_ARG(got.text));
  return 1;
}

static int run_file(const char *name) {
  arena *a = arena_new(NULL);
  diag_list l;
  str text;
  diag_init(&l, a);
  const char *path = str_fmt(a, "%s%s", FOLDER, name);
  assert_true(file_read(a, &l, path, 1 << 24, &text));
  strbuf updated;
  sb_init(&updated, a);
  int failed = 0;
  for (size_t at = 0; at < text.n;) {
    const size_t end = find(text, at, "====\n");
    if (at > 0) sb_z(&updated, "====\n");
    failed += run_case(a, (str){text.p + at, end - at}, &updated);
    at = end < text.n ? end + 5 : end;
  }
  if (getenv("NNC_UPDATE_GOLDEN") != NULL) assert_true(file_write(a, &l, path, sb_str(&updated), 0644));
  arena_free(a);
  return failed;
}

static void golden(void **state) {
  (void)state;
  DIR *d = opendir(FOLDER);
  assert_non_null(d);
  int files = 0, failed = 0;
  for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
    if (strstr(e->d_name, ".ir") == NULL) continue;
    files++;
    failed += run_file(e->d_name);
  }
  closedir(d);
  assert_true(files >= 4);
  assert_int_equal(failed, 0);
}

// Runs after the golden files, which provoke each message of text and rules; the id tells which, for texts may be
// alike.
static void gives_every_message(void **state) {
  (void)state;
  static const diag_id ids[] = {DIAG_ID_graph_operand,       DIAG_ID_graph_attribute,  DIAG_ID_graph_shape,
                                DIAG_ID_graph_syntax,        DIAG_ID_graph_index,      DIAG_ID_graph_duplicate,
                                DIAG_ID_graph_unknown_value, DIAG_ID_graph_unknown_op, DIAG_ID_graph_result_count,
                                DIAG_ID_graph_result_type};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
    if (!seen[ids[i]]) fail_msg("no case gives %s", diag_name(ids[i]));
}

static str operators_text(arena *a) {
  diag_list l;
  str text;
  diag_init(&l, a);
  assert_true(file_read(a, &l, FOLDER "operators.ir", 1 << 24, &text));
  text.n = find(text, 0, "----\n");
  return text;
}

static void names_every_operator(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  str all;
  diag_init(&l, a);
  strbuf text;
  sb_init(&text, a);
  DIR *d = opendir(FOLDER);
  for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
    if (strstr(e->d_name, ".ir") != NULL && file_read(a, &l, str_fmt(a, "%s%s", FOLDER, e->d_name), 1 << 24, &all)) {
      sb_bytes(&text, all.p, all.n);
    }
  }
  closedir(d);
  for (int op = 0; op < OP_COUNT; op++) {
    const char *call = str_fmt(a, " %s(", op_get((op_code)op)->name);
    if (op_is_elementwise((op_code)op)) continue; // those share two rules
    if (find(sb_str(&text), 0, call) == text.n) fail_msg("no golden text has `%s`", op_get((op_code)op)->name);
  }
  arena_free(a);
}

static void spans_round_trip(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  const char *model = "name: m\nsteps:\n  - \xc3\xa9t\xc3\xa9@q: linear(x)\n";
  const char *text = "graph g(%0 x: f32[4]) {\n"
                     "  %1 = neg(%0) : f32[4] @layer.0 !dir/m.yaml:3:9 !m-2.yaml:1:1\n"
                     "  %2 = neg(%1) : f32[4] !unknown.yaml:1:1\n"
                     "  return y: %2\n}\n";
  diag_list l;
  diag_init(&l, a);
  diag_add_file(&l, "dir/m.yaml", str_of(model));
  diag_add_file(&l, "m-2.yaml", str_of(model));
  const ir_module *m = graph_parse(a, &l, diag_add_file(&l, "in.ir", str_of(text)));
  assert_non_null(m);
  const ir_node *n = m->graphs.at[0]->body->first;
  assert_int_equal(n->spans.n, 2);
  assert_int_equal(n->spans.at[0].begin, strstr(model, "@q") - model + 1); // column 9 counts characters
  strbuf b;
  sb_init(&b, a);
  graph_print(&b, m, true);
  // A file that nobody knows leaves the place in the text itself.
  const char *want = "graph g(%0 x: f32[4]) {\n"
                     "  %1 = neg(%0) : f32[4] @layer.0 !dir/m.yaml:3:9 !m-2.yaml:1:1\n"
                     "  %2 = neg(%1) : f32[4] !in.ir:3:3\n"
                     "  return y: %2\n}\n";
  assert_string_equal(sb_cstr(&b), want);
  const ir_module *again = graph_parse(a, &l, diag_add_file(&l, "again.ir", (str){sb_cstr(&b), b.n}));
  strbuf c;
  sb_init(&c, a);
  graph_print(&c, again, true);
  assert_string_equal(sb_cstr(&c), want);
  arena_free(a);
}

static uint32_t dice(uint64_t *seed, size_t n) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((*seed >> 33) % n);
}

// Text damaged at random is an error or a module that reads back; never a crash.
static void mutations(void **state) {
  (void)state;
  arena *keep = arena_new(NULL);
  const str text = operators_text(keep);
  uint64_t seed = 1;
  int parsed = 0;
  for (int round = 0; round < 1500; round++) {
    arena *a = arena_new(NULL);
    char *p = str_dup(a, text);
    size_t n = text.n;
    for (uint32_t k = 0, edits = 1 + dice(&seed, 3); k < edits; k++) {
      const size_t at = dice(&seed, n - 8), len = 1 + dice(&seed, 6), from = dice(&seed, n - 8);
      switch (dice(&seed, 4)) {
      case 0: memmove(p + at, p + from, len); break;
      case 1: p[at] = "(){}[]%=,:@!0123456789-+*/ \n\"abf"[dice(&seed, 32)]; break;
      case 2:
        memmove(p + at, p + at + len, n - at - len);
        n -= len;
        break;
      default: n = dice(&seed, 40) == 0 ? at + 8 : n; break;
      }
    }
    const outcome o = parse_and_print(a, (str){p, n}, false);
    if (o.m != NULL && find(o.text, 0, "error:") == o.text.n) {
      parsed++;
      check_round_trip(a, o.text, false);
    }
    arena_free(a);
  }
  assert_true(parsed > 20);
  arena_free(keep);
}

static void nesting_is_bounded(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  strbuf b;
  sb_init(&b, a);
  sb_z(&b, "graph g(%0 c: bool[]) {\n");
  for (int i = 0; i < 20000; i++) sb_fmt(&b, "%%r%d = if(%%0) {() ", i);
  const outcome o = parse_and_print(a, sb_str(&b), false);
  assert_null(o.m);
  assert_true(find(o.text, 0, "expected less deeply nested regions") < o.text.n);
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(golden),           cmocka_unit_test(gives_every_message), cmocka_unit_test(names_every_operator),
      cmocka_unit_test(spans_round_trip), cmocka_unit_test(mutations),           cmocka_unit_test(nesting_is_bounded)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
