// Diagnostics: exact rendering, positions, limits, the sink, the internal check.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "unit/counting_source.h"

// Renders the message "cannot open X: Y" at the place of `needle` in `text` (of its first `length` bytes).
static const char *rendered(arena *a, str text, size_t begin, size_t end) {
  diag_list l;
  diag_init(&l, a);
  diag_add_file(&l, "first.yaml", STR("not this one\n"));
  uint32_t file = diag_add_file(&l, "m.yaml", text);
  diag_at(&l, ((diag_span){file, (uint32_t)begin, (uint32_t)end}), file_open, "X", "Y");
  strbuf b;
  sb_init(&b, a);
  diag_render_all(&l, false, &b);
  return sb_cstr(&b);
}

static const char *at(arena *a, const char *text, const char *needle) {
  const char *p = strstr(text, needle);
  assert_non_null(p);
  size_t begin = (size_t)(p - text);
  return rendered(a, str_of(text), begin, begin + strlen(needle));
}

static void four_lines(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  const char *text = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n- y@fc: linear(x, hiden_size)\n";
  uint32_t begin = (uint32_t)(strstr(text, "hiden") - text);
  uint32_t file = diag_add_file(&l, "m.yaml", str_of(text));
  diag *d = diag_at(&l, ((diag_span){file, begin, begin + 10}), file_open, "a", "b");
  diag_note_to(&l, d, "did you mean `%s`?", "hidden_size");
  diag_note_to(&l, d, "second note");
  diag_at(&l, NO_SPAN, out_of_memory);
  strbuf b;
  sb_init(&b, a);
  diag_render_all(&l, false, &b);
  assert_string_equal(sb_cstr(&b), "m.yaml:11:19: error: cannot open a: b\n"
                                   "   11 | - y@fc: linear(x, hiden_size)\n"
                                   "      |                   ^~~~~~~~~~\n"
                                   "      = did you mean `hidden_size`?\n"
                                   "      = second note\n"
                                   "error: out of memory\n");
  sb_init(&b, a);
  diag_render(&l, d, true, &b);
  assert_non_null(strstr(sb_cstr(&b), "\033["));
  strbuf plain; // without its colours it is the same text
  sb_init(&plain, a);
  for (const char *p = sb_cstr(&b); *p; p++) {
    if (*p == '\033') p = strchr(p, 'm');
    else sb_char(&plain, *p);
  }
  assert_string_equal(sb_cstr(&plain), "m.yaml:11:19: error: cannot open a: b\n"
                                       "   11 | - y@fc: linear(x, hiden_size)\n"
                                       "      |                   ^~~~~~~~~~\n"
                                       "      = did you mean `hidden_size`?\n"
                                       "      = second note\n");
  arena_free(a);
}

static void carets(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
#define HEAD ": error: cannot open X: Y\n"
  assert_string_equal(at(a, "abc", "b"), "m.yaml:1:2" HEAD "    1 | abc\n      |  ^\n"); // no newline at the end
  assert_string_equal(at(a, "abc\n", "abc"), "m.yaml:1:1" HEAD "    1 | abc\n      | ^~~\n");
  // Tabs: copied, before the span and inside it.
  assert_string_equal(at(a, "\ta\tbc d", "bc"), "m.yaml:1:4" HEAD "    1 | \ta\tbc d\n      | \t \t^~\n");
  assert_string_equal(at(a, "a b\tc", "b\tc"), "m.yaml:1:3" HEAD "    1 | a b\tc\n      |   ^\t~\n");
  // Characters, not bytes.
  assert_string_equal(at(a, "é→𝄞 größe!", "größe"), "m.yaml:1:5" HEAD "    1 | é→𝄞 größe!\n      |     ^~~~~\n");
  // Several lines: the first, to its end.
  assert_string_equal(at(a, "one two\nthree", "two\nthr"), "m.yaml:1:5" HEAD "    1 | one two\n      |     ^~~\n");
  assert_string_equal(at(a, "one two\r\nthree", "two\r\nt"), "m.yaml:1:5" HEAD "    1 | one two\n      |     ^~~\n");
  assert_string_equal(at(a, "x\none\n", "one\n"), "m.yaml:2:1" HEAD "    2 | one\n      | ^~~\n");
  // Empty spans: inside, at the end of a line, on an empty line, at the end of the file.
  assert_string_equal(rendered(a, STR("abc\n"), 1, 1), "m.yaml:1:2" HEAD "    1 | abc\n      |  ^\n");
  assert_string_equal(rendered(a, STR("abc\nd"), 3, 3), "m.yaml:1:4" HEAD "    1 | abc\n      |    ^\n");
  assert_string_equal(rendered(a, STR("abc\nd"), 3, 4), "m.yaml:1:4" HEAD "    1 | abc\n      |    ^\n");
  assert_string_equal(rendered(a, STR("a\n\nb"), 2, 2), "m.yaml:2:1" HEAD "    2 | \n      | ^\n");
  assert_string_equal(rendered(a, STR("abc"), 3, 3), "m.yaml:1:4" HEAD "    1 | abc\n      |    ^\n");
  assert_string_equal(rendered(a, STR("abc\n"), 4, 4), "m.yaml:2:1" HEAD "    2 | \n      | ^\n");
  assert_string_equal(rendered(a, STR(""), 0, 0), "m.yaml:1:1" HEAD "    1 | \n      | ^\n");
  // Spans that lie outside or are turned round do not get out of the text.
  assert_string_equal(rendered(a, STR("abc"), 100, 200), "m.yaml:1:4" HEAD "    1 | abc\n      |    ^\n");
  assert_string_equal(rendered(a, STR("abc"), 2, 1), "m.yaml:1:3" HEAD "    1 | abc\n      |   ^\n");
  // A byte order mark is no part of the line.
  assert_string_equal(at(a,
                         "\xef\xbb\xbf"
                         "abc",
                         "bc"),
                      "m.yaml:1:2" HEAD "    1 | abc\n      |  ^~\n");
  assert_string_equal(rendered(a, STR("\xef\xbb\xbf"), 0, 0), "m.yaml:1:1" HEAD "    1 | \n      | ^\n");
  assert_string_equal(rendered(a, STR("\xef\xbb\xbf\nx"), 0, 3), "m.yaml:1:1" HEAD "    1 | \n      | ^\n");
  // Broken UTF-8 and control characters: one column each, never sent to the terminal.
  assert_string_equal(at(a, "\xff\x1b[31m\xe2\x82 ab\x7f", "ab"),
                      "m.yaml:1:10" HEAD "    1 | ??[31m?? ab?\n      |          ^~\n");
  arena_free(a);
}

static void wide_line_numbers(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  strbuf b;
  sb_init(&b, a);
  for (int i = 1; i < 123456; i++) sb_char(&b, '\n');
  size_t begin = b.n;
  sb_z(&b, "here\n");
  assert_string_equal(rendered(a, sb_str(&b), begin, begin + 4),
                      "m.yaml:123456:1" HEAD "123456 | here\n       | ^~~~\n");
  arena_free(a);
}

// A file of one endless line: the part around the span.
static void long_lines_are_cut(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  strbuf b;
  sb_init(&b, a);
  for (int i = 0; i < 100000; i++) sb_char(&b, (char)('a' + i % 26));
  const char *text = rendered(a, sb_str(&b), 50000, 50010);
  assert_true(strlen(text) < 700);
  const char *source = strstr(text, " | ") + 3, *carets_at = strstr(source, " | ") + 3;
  assert_memory_equal(source, "...", 3);
  size_t column = strcspn(carets_at, "^");
  assert_int_equal(strspn(carets_at + column, "^~"), 10);
  assert_int_equal(source[column], 'a' + 50000 % 26);
  assert_int_equal(strcspn(source, "\n"), 3 + 240 + 3);
  text = rendered(a, sb_str(&b), 0, 100000); // a span far longer than what is shown
  assert_true(strlen(text) < 700);
  text = rendered(a, sb_str(&b), 100000, 100000); // at its end
  source = strstr(text, " | ") + 3, carets_at = strstr(source, " | ") + 3;
  assert_int_equal(strcspn(carets_at, "^"), strcspn(source, "\n"));
  arena_free(a);
}

static void positions(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  uint32_t f = diag_add_file(&l, "f", STR("ab\nüx\n\nend"));
  const struct {
    uint32_t begin, line, column;
  } expected[] = {{0, 1, 1}, {2, 1, 3}, {3, 2, 1}, {5, 2, 2}, {6, 2, 3}, {7, 3, 1}, {8, 4, 1}, {11, 4, 4}, {99, 4, 4}};
  const char *name;
  uint32_t line, column;
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    diag_position(&l, (diag_span){f, expected[i].begin, expected[i].begin}, &name, &line, &column);
    assert_string_equal(name, "f");
    assert_int_equal(line, expected[i].line);
    assert_int_equal(column, expected[i].column);
  }
  const diag_span nowhere[] = {NO_SPAN, {f + 1, 0, 0}};
  for (int i = 0; i < 2; i++) {
    diag_position(&l, nowhere[i], &name, &line, &column);
    assert_null(name);
    assert_int_equal(line, 0);
    assert_int_equal(column, 0);
  }
  arena_free(a);
}

static void limit_drops_and_counts(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  assert_false(diag_failed(&l));
  for (int i = 0; i < 33; i++) {
    diag *d = diag_at(&l, NO_SPAN, file_open, "x", i == 32 ? "last" : "y");
    assert_non_null(d);
    diag_note_to(&l, d, "note %d", i);
  }
  assert_true(diag_failed(&l));
  assert_int_equal(l.items.n, 20);
  assert_int_equal(l.n_errors, 33);
  assert_int_equal(l.n_dropped, 13);
  assert_int_equal(l.scratch->notes.n, 0); // dropped notes do not pile up
  diag_at(&l, NO_SPAN, internal, "broken", "file.c", 3);
  assert_int_equal(l.items.n, 21); // what must not be lost is not
  strbuf b;
  sb_init(&b, a);
  diag_render_all(&l, false, &b);
  assert_non_null(strstr(sb_cstr(&b), "internal error: broken (file.c:3)"));
  assert_non_null(strstr(sb_cstr(&b), "\nand 13 more errors\n"));
  diag_init(&l, a);
  l.limit = 1;
  diag_at(&l, NO_SPAN, out_of_memory);
  diag_at(&l, NO_SPAN, out_of_memory);
  sb_init(&b, a);
  diag_render_all(&l, false, &b);
  assert_string_equal(sb_cstr(&b), "error: out of memory\nand 1 more error\n");
  arena_free(a);
}

static void collect(void *user, const diag_list *l, const diag *d) {
  assert_non_null(l);
  sb_fmt(user, "%s;", diag_name(d->id));
}

static void sink_sees_each_once(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  strbuf b;
  diag_init(&l, a);
  sb_init(&b, a);
  diag_at(&l, NO_SPAN, out_of_memory);
  diag_flush(&l); // no sink: kept for later
  l.sink = collect;
  l.sink_user = &b;
  diag_at(&l, NO_SPAN, file_read, "x", "y");
  assert_int_equal(b.n, 0);
  diag_flush(&l);
  diag_flush(&l);
  assert_string_equal(sb_cstr(&b), "out_of_memory;file_read;");
  diag_at(&l, NO_SPAN, file_write, "x", "y");
  diag_flush(&l);
  assert_string_equal(sb_cstr(&b), "out_of_memory;file_read;file_write;");
  arena_free(a);
}

static void no_row_ends_in_a_full_stop(void **state) {
  (void)state;
  static const char *const formats[] = {
#define D(id, severity, format) format,
#include "base/diag.def"
#undef D
  };
  assert_int_equal(sizeof formats / sizeof *formats, DIAG_COUNT);
  for (size_t i = 0; i < DIAG_COUNT; i++) {
    assert_true(formats[i][0] != '\0' && formats[i][strlen(formats[i]) - 1] != '.');
    assert_null(strchr(formats[i], '\n'));
  }
}

#ifdef NDEBUG
static void run_into_a_bug(arena *a, void *user) {
  diag_list *l = user;
  diag_init(l, a);
  BUG_IF(l, false, "not this %d", 1);
  BUG_IF(l, true, "n is %d", 7);
}

static void bug_unwinds(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  assert_int_equal(run_guarded(a, run_into_a_bug, &l), 2);
  assert_int_equal(l.items.n, 1);
  assert_int_equal(l.items.at[0]->id, DIAG_ID_internal);
  assert_non_null(strstr(l.items.at[0]->text, "internal error: n is 7 ("));
  assert_non_null(strstr(l.items.at[0]->text, "test_base_diag.c:"));
  arena_free(a);
}
#else
static void bug_aborts(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGABRT, SIG_DFL);
    dup2(ends[1], 2);
    arena *a = arena_new(NULL);
    diag_list l;
    diag_init(&l, a);
    BUG_IF(&l, false, "not this %d", 1);
    BUG_IF(&l, true, "n is %d", 7);
    _exit(0);
  }
  close(ends[1]);
  char text[300] = "";
  ssize_t n = read(ends[0], text, sizeof text - 1);
  close(ends[0]);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), SIGABRT);
  assert_true(n > 0);
  assert_non_null(strstr(text, "test_base_diag.c:"));
  assert_non_null(strstr(text, "internal error: n is 7"));
}
#endif

// What a message quotes may hold anything.
static void messages_are_one_line(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  diag *d = diag_at(&l, NO_SPAN, unknown_name, "a\nb\x1b[2J\xc2\x9b\xff\xc3\xa9\t");
  diag_note_to(&l, d, "%s", "x\r\ny");
  assert_string_equal(d->text, "unknown name `a b?[2J??\xc3\xa9 `");
  assert_string_equal(d->notes.at[0], "x? y");
  char *words = arena_alloc(a, 100001);
  memset(words, 'w', 100000);
  d = diag_at(&l, NO_SPAN, unknown_name, words);
  assert_true(strlen(d->text) < 8200);
  assert_string_equal(d->text + strlen(d->text) - 4, "w...");
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_are_one_line),
      cmocka_unit_test(four_lines),
      cmocka_unit_test(carets),
      cmocka_unit_test(wide_line_numbers),
      cmocka_unit_test(long_lines_are_cut),
      cmocka_unit_test(positions),
      cmocka_unit_test(limit_drops_and_counts),
      cmocka_unit_test(sink_sees_each_once),
      cmocka_unit_test(no_row_ends_in_a_full_stop),
#ifdef NDEBUG
      cmocka_unit_test(bug_unwinds),
#else
      cmocka_unit_test(bug_aborts),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
