// Any bytes may come as a model: the parser ends soon, crashes never, and its messages point into the file.
//
// The example models are cut at every byte, and single bytes of them are replaced, removed or doubled; then come texts
// made to be slow. Run under a sanitizer this is also a memory check.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "counting_source.h"
#include "frontend/ast.h"

static const char *const examples[] = {"bert",  "centernet_decode", "ddim",       "detr", "glow", "gru",
                                       "llama", "sd_unet",          "t5_encoder", "vqgan"};
enum { N_EXAMPLES = sizeof examples / sizeof *examples };

// Under a sanitizer, which takes six times as long, models are cut at every third byte: each example begins at another.
#ifdef __SANITIZE_ADDRESS__
enum { EVERY = 3 };
#else
enum { EVERY = 1 };
#endif

static str read_example(arena *a, size_t i) {
  diag_list l;
  diag_init(&l, a);
  str text;
  assert_true(file_read(a, &l, str_fmt(a, NNC_SOURCE_DIR "/tests/models/%s.yaml", examples[i]), 1 << 20, &text));
  return text;
}

// NULL comes with an error and only then, and every span lies in the text. Every text is parsed as a model; one in
// eight also as data, which shares the YAML reader.
static void parse(str text) {
  for (int mode = 0; mode < (text.n % 8 ? 1 : 2); mode++) {
    arena *a = arena_new(NULL);
    assert_non_null(a);
    diag_list l;
    diag_init(&l, a);
    uint32_t file = diag_add_file(&l, "m.yaml", text);
    ast_bindings config = {0};
    bool ok = mode == 0 ? ast_parse_model(a, &l, file, "m.yaml") != NULL : ast_parse_config(a, &l, file, &config);
    assert_int_equal(ok, !diag_failed(&l));
    for (size_t i = 0; i < l.items.n; i++) {
      diag_span s = l.items.at[i]->span;
      if (s.file) assert_true(s.begin <= s.end && s.end <= text.n + 1);
    }
    strbuf out;
    sb_init(&out, a);
    diag_render_all(&l, false, &out);
    arena_free(a);
  }
}

static void test_examples_are_right(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  for (size_t i = 0; i < N_EXAMPLES; i++) {
    diag_list l;
    diag_init(&l, a);
    assert_non_null(ast_parse_model(a, &l, diag_add_file(&l, "m.yaml", read_example(a, i)), "m.yaml"));
    assert_int_equal(l.items.n, 0);
  }
  arena_free(a);
}

static void test_prefixes(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  for (size_t i = 0; i < N_EXAMPLES; i++) {
    str text = read_example(a, i);
    for (size_t n = i % EVERY; n < text.n; n += EVERY) parse((str){text.p, n});
  }
  arena_free(a);
}

static uint32_t next_random(uint32_t *s) { // xorshift, Marsaglia 2003
  *s ^= *s << 13;
  *s ^= *s >> 17;
  return *s ^= *s << 5;
}

static void test_mutations(void **state) {
  (void)state;
  static const char bytes[] = " \t\n\r:-#,.?*&!|>%@`'\"[]{}()<=+/\\$~^;_0aZ\x01\x7f\x80\xc3\xe2\xff";
  arena *a = arena_new(NULL);
  uint32_t seed = 1;
  for (size_t i = 0; i < N_EXAMPLES; i++) {
    str text = read_example(a, i);
    char *copy = arena_alloc(a, text.n + 2);
    for (size_t at = 0; at < text.n; at += 1 + next_random(&seed) % 29) {
      char byte = bytes[next_random(&seed) % sizeof bytes];
      memcpy(copy, text.p, text.n);
      copy[at] = byte;
      parse((str){copy, text.n});
      memmove(copy + at + 1, text.p + at, text.n - at); // inserted
      parse((str){copy, text.n + 1});
      memmove(copy + at, text.p + at + 1, text.n - at - 1); // removed
      parse((str){copy, text.n - 1});
    }
  }
  arena_free(a);
}

// `front` and then `piece` over and over, about n bytes.
static str repeat(arena *a, const char *front, const char *piece, size_t n) {
  strbuf b;
  sb_init(&b, a);
  sb_z(&b, front);
  while (b.n < n) sb_z(&b, piece);
  return sb_str(&b);
}

static void test_slow_texts(void **state) {
  (void)state;
  static const char *const texts[][2] = {
      {"", "["},
      {"", "{"},
      {"", "- "},
      {"", "{a: "},
      {"nnc: 1\nconfig: {a: ", "["},
      {"", "? "},
      {"", "'"},
      {"", "\""},
      {"", "&a "},
      {"", "*a\n"},
      {"", "!a "},
      {"", "|\n"},
      {"", ": "},
      {"", "a: b: "},
      {"", "a: \n"},
      {"", "%"},
      {"", "%YAML 1.1\n"},
      {"", "---\n"},
      {"", "\t"},
      {"", "\n"},
      {"", "#"},
      {"", "- a\n"},
      {"", "- a: b\n"},
      {"", " "},
      {"", "x"},
      {"", "a\n"},
      {"", ","},
      {"", "]"},
      {"", "- y: x[0: 1]\n"},
      {"", "- - a: *b\n"},
      {"nnc: 1\nsteps:\n", "- y: x[0: 1]\n"},
      {"nnc: 1\nsteps:\n", "- y: f(a # b\n"},
      {"nnc: 1\nlet:\n  a: ", "a + "},
      {"nnc: 1\nlet:\n  a: f(", "a=1, "},
      {"nnc: 1\nlet:\n  a: (", "1, "},
      {"nnc: 1\nlet:\n  a: ", "a."},
      {"nnc: 1\nblocks:\n", "  f(x):\n  - return: x\n"},
      {"nnc: 1\nrename:\n", "  a.<p..>: b.<p>\n"},
      {"nnc: 1\nrename:\n  a: ", "x, "},
      {"nnc: 1\nrename:\n  a: permute(b", ", 1"},
      {"nnc: 1\nlet:\n  a: '", "''"},
      {"nnc: 1\nlet:\n  a: \"", "\\n"},
      {"nnc: 1\nlet:\n  a: ", "1"},
      {"nnc: 1\nlet:\n  a: ", "0."},
      {"nnc: 1\ndims:\n", " a: 1..2\n"},
      {"nnc: 1\nconfig: {", "a: {b: "},
      {"nnc: 1\nsteps:\n", "- if a:\n"},
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    arena *a = arena_new(NULL);
    int64_t begin = clock_ns();
    parse(repeat(a, texts[i][0], texts[i][1], 200000));
    int64_t ms = (clock_ns() - begin) / 1000000;
    // A few seconds leave room for a slow machine and a sanitizer; quadratic work on 200 kB would take minutes.
    if (ms > 10000) fail_msg("`%s` again and again takes %lld ms", texts[i][1], (long long)ms);
    arena_free(a);
  }
}

static void parse_model(arena *a, void *user) {
  diag_list l;
  diag_init(&l, a);
  assert_non_null(ast_parse_model(a, &l, diag_add_file(&l, "m.yaml", *(str *)user), "m.yaml"));
}

// Whichever allocation is refused, all memory comes back: ours by count, libyaml's by the leak check of a sanitizer.
static void test_refused_memory(void **state) {
  (void)state;
  arena *outer = arena_new(NULL);
  for (size_t i = 0; i < N_EXAMPLES; i += 4) {
    str text = read_example(outer, i);
    size_t n_calls = SIZE_MAX;
    for (size_t fail_at = 0; fail_at <= n_calls; fail_at += fail_at ? REFUSAL_STRIDE : 1) {
      counting_source c;
      counting_source_init(&c, fail_at);
      arena *a = arena_new(&c.source);
      int code = a ? run_guarded(a, parse_model, &text) : 1;
      assert_int_equal(code, fail_at ? 1 : 0);
      arena_free(a);
      assert_int_equal(c.n_live, 0);
      if (!fail_at) n_calls = c.n_calls;
    }
    assert_true(n_calls > 3);
  }
  arena_free(outer);
}

static void test_large_files_are_refused(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  str text = repeat(a, "", "a: b\n", AST_MAX_FILE_BYTES + 1);
  for (int mode = 0; mode < 2; mode++) {
    diag_list l;
    diag_init(&l, a);
    uint32_t file = diag_add_file(&l, "m.yaml", text);
    ast_bindings config = {0};
    if (mode == 0) assert_null(ast_parse_model(a, &l, file, "m.yaml"));
    else assert_false(ast_parse_config(a, &l, file, &config));
    assert_int_equal(l.items.n, 1);
    assert_int_equal(l.items.at[0]->id, DIAG_ID_file_too_large);
  }
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_examples_are_right), cmocka_unit_test(test_prefixes),
      cmocka_unit_test(test_mutations),          cmocka_unit_test(test_slow_texts),
      cmocka_unit_test(test_refused_memory),     cmocka_unit_test(test_large_files_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
