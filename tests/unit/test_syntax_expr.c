// The expression grammar: every production, with the exact span of every node.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "syntax_dump.h"

typedef struct example {
  const char *source, *tree; // NULL: a mistake
} example;

static void check(const example *examples, size_t n) {
  for (size_t i = 0; i < n; i++) {
    arena *a = arena_new(NULL);
    assert_non_null(a);
    diag_list l;
    diag_init(&l, a);
    str text = str_of(examples[i].source);
    uint32_t file = diag_add_file(&l, "m.yaml", text);
    ast_expr *e = ast_parse_expr(a, &l, file, 0, (uint32_t)text.n);
    assert_int_equal(e == NULL, diag_failed(&l));
    strbuf out;
    sb_init(&out, a);
    dump_expr(&out, e, 0);
    const char *expected = examples[i].tree ? examples[i].tree : "-";
    if (strcmp(sb_cstr(&out), expected))
      fail_msg("%s\n  is  %s\n  not %s", examples[i].source, sb_cstr(&out), expected);
    arena_free(a);
  }
}

#define CHECK(examples) check(examples, sizeof(examples) / sizeof *(examples))

static void test_atoms(void **state) {
  (void)state;
  static const example examples[] = {
      {"0", "0[0,1)"},
      {" 42 ", "42[1,3)"},
      {"007", "7[0,3)"},
      {"9223372036854775807", "9223372036854775807[0,19)"},
      {"1.5", "1.5[0,3)"},
      {"1e3", "1000.0[0,3)"},
      {"1E-2", "0.01[0,4)"},
      {"2.5e+1", "25.0[0,6)"},
      {"'a b'", "\"a b\"[0,5)"},
      {"\"a'b\"", "\"a'b\"[0,5)"},
      {"'it\\'s\\n\\t\\\\'", "\"it's\\n\\t\\\\\"[0,13)"},
      {"''", "\"\"[0,2)"},
      {"True", "True[0,4)"},
      {"False", "False[0,5)"},
      {"None", "None[0,4)"},
      {"inf", "inf[0,3)"},
      {"nan", "nan[0,3)"},
      {"pi", "3.141592653589793[0,2)"},
      {"bf16", "<bf16>[0,4)"},
      {"bool", "<bool>[0,4)"},
      {"name_1", "name_1[0,6)"},
      {"_", "_[0,1)"},
      {"a.b.c", "a.b.c[0,5)"},
      {"Truename", "Truename[0,8)"},
      {"", NULL},
      {"1e", NULL},
      {"1a", NULL},
      {"a.", NULL},
      {"a . b", NULL},
      {"'a", NULL},
      {"'a\nb'", NULL},
      {"'\\x'", NULL},
      {"if", NULL},
      {"9223372036854775808", NULL},
  };
  CHECK(examples);
}

static void test_parentheses_and_tuples(void **state) {
  (void)state;
  static const example examples[] = {
      {"()", "tuple[0,2)!0,1()"},
      {"(a)", "a[0,3)!1,2"},
      {"((a))", "a[0,5)!2,3"},
      {"(a,)", "tuple[0,4)!0,1(a[1,2))"},
      {"( a , b )", "tuple[0,9)!0,1(a[2,3) b[6,7))"},
      {"(a, (b, c))", "tuple[0,11)!0,1(a[1,2) tuple[4,10)!4,5(b[5,6) c[8,9)))"},
      {"(a", NULL},
      {"(a, b,)", NULL},
      {"(,)", NULL},
      {"[a, b]", NULL},
  };
  CHECK(examples);
}

static void test_calls(void **state) {
  (void)state;
  static const example examples[] = {
      {"f()", "call:f[0,3)!0,1()"},
      {"f (a)", "call:f[0,5)!0,1(a[3,4))"},
      {"m.f(a, 1)", "call:m.f[0,9)!0,3(a[4,5) 1[7,8))"},
      {"f(a, k=b + 1)", "call:f[0,13)!0,1(a[2,3) k[5,6)=`+`[7,12)!9,10(b[7,8) 1[11,12)))"},
      {"f(k=1, j = 2)", "call:f[0,13)!0,1(k[2,3)=1[4,5) j[7,8)=2[11,12))"},
      {"f(\n  a,\n  b)", "call:f[0,12)!0,1(a[5,6) b[10,11))"},
      {"f(x)[0]", "index[0,7)!4,7(call:f[0,4)!0,1(x[2,3)) 0[5,6))"},
      {"f(a", NULL},
      {"f(a,)", NULL},
      {"f(k=1, a)", NULL},
      {"f(k=1, k=2)", NULL},
      {"f(k=)", NULL},
      {"f(x)(y)", NULL},
      {"f32(x)", NULL},
      {"f(x).g", NULL},
  };
  CHECK(examples);
}

static void test_indexing(void **state) {
  (void)state;
  static const example examples[] = {
      {"x[0]", "index[0,4)!1,4(x[0,1) 0[2,3))"},
      {"x[0][1]", "index[0,7)!4,7(index[0,4)!1,4(x[0,1) 0[2,3)) 1[5,6))"},
      {"x[:]", "index[0,4)!1,4(x[0,1) slice[2,3)(- - -))"},
      {"x[:, 0]", "index[0,7)!1,7(x[0,1) slice[2,3)(- - -) 0[5,6))"},
      {"x[a:b]", "index[0,6)!1,6(x[0,1) slice[2,5)!2,3(a[2,3) b[4,5) -))"},
      {"x[::2]", "index[0,6)!1,6(x[0,1) slice[2,5)!2,3(- - 2[4,5)))"},
      {"x[::-1]", "index[0,7)!1,7(x[0,1) slice[2,6)!2,3(- - `-`[4,6)!4,5(1[5,6))))"},
      {"x[1:]", "index[0,5)!1,5(x[0,1) slice[2,4)!2,3(1[2,3) - -))"},
      {"x[:n]", "index[0,5)!1,5(x[0,1) slice[2,4)!2,3(- n[3,4) -))"},
      {"x[1:n:2]", "index[0,8)!1,8(x[0,1) slice[2,7)!2,3(1[2,3) n[4,5) 2[6,7)))"},
      {"x[1::]", "index[0,6)!1,6(x[0,1) slice[2,5)!2,3(1[2,3) - -))"},
      {"x[..., None]", "index[0,12)!1,12(x[0,1) ...[2,5) None[7,11))"},
      {"'ab'[0]", "index[0,7)!4,7(\"ab\"[0,4) 0[5,6))"},
      {"(a, b)[i]", "index[0,9)!6,9(tuple[0,6)!0,1(a[1,2) b[4,5)) i[7,8))"},
      {"x[]", NULL},
      {"x[0,]", NULL},
      {"x[0", NULL},
      {"x[1:2:3:4]", NULL},
  };
  CHECK(examples);
}

static void test_operators(void **state) {
  (void)state;
  static const example examples[] = {
      {"a + b", "`+`[0,5)!2,3(a[0,1) b[4,5))"},
      {"a - b - c", "`-`[0,9)!6,7(`-`[0,5)!2,3(a[0,1) b[4,5)) c[8,9))"},
      {"a + b*c", "`+`[0,7)!2,3(a[0,1) `*`[4,7)!5,6(b[4,5) c[6,7)))"},
      {"a*b + c", "`+`[0,7)!4,5(`*`[0,3)!1,2(a[0,1) b[2,3)) c[6,7))"},
      {"(a + b) * c", "`*`[0,11)!8,9(`+`[0,7)!3,4(a[1,2) b[5,6)) c[10,11))"},
      {"a / b // c % d", "`%`[0,14)!11,12(`//`[0,10)!6,8(`/`[0,5)!2,3(a[0,1) b[4,5)) c[9,10)) d[13,14))"},
      {"-a", "`-`[0,2)!0,1(a[1,2))"},
      {"- -a", "`-`[0,4)!0,1(`-`[2,4)!2,3(a[3,4)))"},
      {"-a ** b", "`-`[0,7)!0,1(`**`[1,7)!3,5(a[1,2) b[6,7)))"},
      {"a ** -b", "`**`[0,7)!2,4(a[0,1) `-`[5,7)!5,6(b[6,7)))"},
      {"a ** b ** c", "`**`[0,11)!2,4(a[0,1) `**`[5,11)!7,9(b[5,6) c[10,11)))"},
      {"-a * b", "`*`[0,6)!3,4(`-`[0,2)!0,1(a[1,2)) b[5,6))"},
      {"a == b", "`==`[0,6)!2,4(a[0,1) b[5,6))"},
      {"a != b", "`!=`[0,6)!2,4(a[0,1) b[5,6))"},
      {"a < b", "`<`[0,5)!2,3(a[0,1) b[4,5))"},
      {"a <= b", "`<=`[0,6)!2,4(a[0,1) b[5,6))"},
      {"a > b", "`>`[0,5)!2,3(a[0,1) b[4,5))"},
      {"a>=b", "`>=`[0,4)!1,3(a[0,1) b[3,4))"},
      {"a in b", "`in`[0,6)!2,4(a[0,1) b[5,6))"},
      {"a not in b", "`not in`[0,10)!2,8(a[0,1) b[9,10))"},
      {"a + 1 < b", "`<`[0,9)!6,7(`+`[0,5)!2,3(a[0,1) 1[4,5)) b[8,9))"},
      {"not a", "`not`[0,5)!0,3(a[4,5))"},
      {"not not a", "`not`[0,9)!0,3(`not`[4,9)!4,7(a[8,9)))"},
      {"not a == b", "`not`[0,10)!0,3(`==`[4,10)!6,8(a[4,5) b[9,10)))"},
      {"a and not b", "`and`[0,11)!2,5(a[0,1) `not`[6,11)!6,9(b[10,11)))"},
      {"a or b and c", "`or`[0,12)!2,4(a[0,1) `and`[5,12)!7,10(b[5,6) c[11,12)))"},
      {"a and b or c", "`or`[0,12)!8,10(`and`[0,7)!2,5(a[0,1) b[6,7)) c[11,12))"},
      {"a < b and c < d", "`and`[0,15)!6,9(`<`[0,5)!2,3(a[0,1) b[4,5)) `<`[10,15)!12,13(c[10,11) d[14,15)))"},
      {"a if c else b", "if[0,13)!2,4(a[0,1) b[12,13) c[5,6))"},
      {"a if c else b if d else e", "if[0,25)!2,4(a[0,1) if[12,25)!14,16(b[12,13) e[24,25) d[17,18)) c[5,6))"},
      {"a or b if c and d else e",
       "if[0,24)!7,9(`or`[0,6)!2,4(a[0,1) b[5,6)) e[23,24) `and`[10,17)!12,15(c[10,11) d[16,17)))"},
      {"2 if s > 0 and j == 0 else 1", "if[0,28)!2,4(2[0,1) 1[27,28) `and`[5,21)!11,14(`>`[5,10)!7,8(s[5,6) 0[9,10)) "
                                       "`==`[15,21)!17,19(j[15,16) 0[20,21))))"},
      {"a < b < c", NULL},
      {"a == b != c", NULL},
      {"a in b in c", NULL},
      {"a not b", NULL},
      {"a == not b", NULL},
      {"+a", NULL},
      {"a +", NULL},
      {"a b", NULL},
      {"a if b", NULL},
      {"a = b", NULL},
      {"a & b", NULL},
      {"a @ b", NULL},
  };
  CHECK(examples);
}

static ast_expr *parse_text(arena *a, diag_list *l, str text) {
  diag_init(l, a);
  return ast_parse_expr(a, l, diag_add_file(l, "m.yaml", text), 0, (uint32_t)text.n);
}

// n times `front`, then `1`, then n times `back`.
static str nest(arena *a, size_t n, const char *front, const char *back) {
  strbuf b;
  sb_init(&b, a);
  for (size_t i = 0; i < n; i++) sb_z(&b, front);
  sb_char(&b, '1');
  for (size_t i = 0; i < n; i++) sb_z(&b, back);
  return sb_str(&b);
}

// Nesting is bounded in every direction in which the grammar recurs, and far below the bound all is fine.
static void test_depth(void **state) {
  (void)state;
  static const char *const shapes[][2] = {
      {"(", ")"},           {"-", ""},    {"not ", ""}, {"f(", ")"},    {"x[", "]"},   {"(1, ", ")"}, {"1 ** ", ""},
      {"1 if c else ", ""}, {"", " + 1"}, {"", "[0]"},  {"", " and 1"}, {"f(k=", ")"}, {"x[1:", "]"}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    for (size_t n = 50; n <= 500000; n *= 100) {
      arena *a = arena_new(NULL);
      diag_list l;
      ast_expr *e = parse_text(a, &l, nest(a, n, shapes[i][0], shapes[i][1]));
      if (n == 50) {
        assert_non_null(e);
        assert_true(e->height <= AST_MAX_EXPR_HEIGHT);
      } else {
        assert_null(e);
        assert_int_equal(l.n_errors, 1);
        assert_int_equal(l.items.at[0]->id, DIAG_ID_syntax_height);
      }
      arena_free(a);
    }
  }
}

// A range inside a larger file, as `--set key=EXPR` has it: nothing outside is read.
static void test_range(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  uint32_t file = diag_add_file(&l, "m.yaml", STR("key=a + 12345"));
  strbuf out;
  sb_init(&out, a);
  dump_expr(&out, ast_parse_expr(a, &l, file, 4, 10), 0);
  assert_string_equal(sb_cstr(&out), "`+`[4,10)!6,7(a[4,5) 12[8,10))");
  assert_null(ast_parse_expr(a, &l, file, 4, 7));
  assert_int_equal(l.items.at[0]->span.begin, 7);
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_atoms),     cmocka_unit_test(test_parentheses_and_tuples),
      cmocka_unit_test(test_calls),     cmocka_unit_test(test_indexing),
      cmocka_unit_test(test_operators), cmocka_unit_test(test_depth),
      cmocka_unit_test(test_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
