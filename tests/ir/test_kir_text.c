// Kernel text: every kernel of tests/ir/kernels reads, verifies and prints back to itself; what a builder makes reads
// back too; every broken text is one diagnostic at the right place; no prefix of a text is fatal.
#include "kir_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char *const kernels[] = {"gemm_cpu",      "gemm_bf16",  "gemm_gpu", "conv3x3", "attention_cpu",
                                      "attention_gpu", "layernorm",  "softmax",  "gather",  "argmax",
                                      "gemm_pairs",    "gemm_quads", "gemm_mma"};
enum { N_KERNELS = sizeof kernels / sizeof *kernels };

static void test_round_trip(void **state) {
  kir_fixture *f = *state;
  for (size_t i = 0; i < N_KERNELS; i++) {
    const char *once = kir_text(f, kir_from_file(f, kernels[i]));
    kir_kernel *again = kir_from(f, once);
    if (again == NULL) fail_msg("%s does not read back:\n%s\n%s", kernels[i], once, kir_messages(f));
    assert_string_equal(once, kir_text(f, again));
  }
}

// The text of one kernel, in full: the form that other tools may rely on.
static void test_golden(void **state) {
  kir_fixture *f = *state;
  const char *text = "kernel all_forms\n"
                     "  in p0 f32[4*n,64]  in ids i32[n]  out p1 f16[4*n,64]  inout p2 bool[]\n"
                     "  grid i: 4*n, j: 2\n"
                     "  workers wx: 16, wy: 2\n"
                     "  group S f32[8,64]  group T f16[8,64]\n"
                     "  fact n in 8..4096\n"
                     "  fact n % 8 == 0\n"
                     "{\n"
                     "  let m = i+4*wy\n"
                     "  %0 = load p0[i, c] : f32 1x64 where n-c-1 >= 0, c-1 >= 0 else -inf\n"
                     "  %1 = const 1e-7 : f32 1x64\n"
                     "  %2 = const true : bool 1x1\n"
                     "  %3 = const -5 : i8 1x1\n"
                     "  %4 = index 4*i+min(c,n//2)+ids[n-1] : i64 1x64\n"
                     "  %5 = fma %0, %0, %1\n"
                     "  %6 = pick %2, %5, %0\n"
                     "  %7 = convert %6 to f16\n"
                     "  %8 = select %6 where n-c-3 >= 0 else nan\n"
                     "  %9 = rowmax %8 across wx\n"
                     "  store p1[i, c] = %7 where 62-c >= 0\n"
                     "  store p2[] = %2\n"
                     "  store S[r, c] = %9 : 8x64\n"
                     "  copy S[r, c] = p0[r, c] : 8x64 where n-r-1 >= 0 else 0.0 then %10 {\n"
                     "    %11 = neg %10\n"
                     "    yield %11\n"
                     "  }\n"
                     "  copy S[r, c] = S[r, 63-c] : 8x64\n"
                     "  prefetch p0[i+1, 0]\n"
                     "  barrier\n"
                     "  fault 3 : 1x64 where ids[i]-c >= 0\n"
                     "  for k in 0..64 step 16 {\n"
                     "  }\n"
                     "  %12, %13 = for q in 0..ids[0] step 1 unroll 4 carry (%14 = %1, %15 = %6) {\n"
                     "    %16 = dot %14, %9, %15 {fma}\n"
                     "    yield %15, %16\n"
                     "  }\n"
                     "  if i-3 >= 0 {\n"
                     "    if j-1 >= 0 {\n"
                     "    }\n"
                     "  } else {\n"
                     "    %17 = abs %12\n"
                     "  }\n"
                     "}\n";
  kir_kernel *k = kir_from(f, text);
  if (k == NULL || !kir_verify(k, &f->l)) fail_msg("%s", kir_messages(f));
  assert_string_equal(kir_text(f, k), text);
}

static void test_comments_and_defaults(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_from(f, "# head\nkernel k # name\n in a f32[ n , 2 ] fact n in 1..9 grid i:n {\n"
                              " %x = load a[i, c] : f32 1x2  %y = add %x, %x # two on a line\n"
                              " %z = const 0 : f32 1x2 %w = dot %z, %s, %y }");
  assert_null(k);
  assert_true(kir_reported(f, DIAG_ID_kernel_unknown));
  k = kir_from(f, "# head\nkernel k # name\n in a f32[ n , 2 ] fact n in 1..9 grid i:n {\n"
                  " %x = load a[i, c] : f32 1x2  %s = load a[i, 0] : f32 1x1 # two on a line\n"
                  " %z = const 0 : f32 1x2 %w = dot %z, %s, %x }");
  assert_non_null(k);
  assert_string_equal(kir_text(f, k), "kernel k\n  in a f32[n,2]\n  grid i: n\n  fact n in 1..9\n{\n"
                                      "  %0 = load a[i, c] : f32 1x2\n  %1 = load a[i, 0] : f32 1x1\n"
                                      "  %2 = const 0.0 : f32 1x2\n  %3 = dot %2, %1, %0 {fma}\n}\n");
}

static void test_numbers_read_back(void **state) {
  kir_fixture *f = *state;
  uint64_t seed = 7;
  for (int i = 0; i < 20000; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    uint32_t bits = (uint32_t)(seed >> 32);
    float x;
    memcpy(&x, &bits, sizeof x);
    kir_kernel *k = kir_kernel_new(f->a, &f->l, "k");
    kir_builder b = kir_begin(k);
    dtype dt = (dtype[]){DT_f32, DT_f16, DT_bf16, DT_f64}[i % 4];
    scalar v = scalar_f(dt, dt == DT_f64 ? (double)x * 1.1 : (double)x);
    kir_const(&b, v, 1, 1);
    kir_kernel *back = kir_from(f, kir_text(f, k));
    assert_non_null(back);
    assert_true(scalar_same(back->body.first->imm, v));
  }
}

static void test_fingerprint(void **state) {
  kir_fixture *f = *state;
  kir_kernel *a = kir_from(f, "kernel one\n{\n}\n"), *b = kir_from(f, "kernel two\n{\n}\n");
  kir_kernel *c = kir_from(f, "kernel one\n{\n  barrier\n}\n");
  assert_true(str_eq(kir_fingerprint(a, f->a), kir_fingerprint(b, f->a)));
  assert_false(str_eq(kir_fingerprint(a, f->a), kir_fingerprint(c, f->a)));
  assert_true(str_is(kir_fingerprint(a, f->a), "{\n}\n"));
}

// -- broken texts: the id of the one message, and the text under the caret --

static const struct {
  const char *text, *id, *at;
} broken[] = {
    {"kernal k {}", "kernel_expected", "k"},
    {"kernel {}", "kernel_expected", "{"},
    {"kernel k\n grid i: 3\n", "kernel_expected", ""},
    {"kernel k\n{\n  frob\n}\n", "kernel_expected", "f"},
    {"kernel k\n{\n}\nmore", "kernel_expected", "m"},
    {"kernel k\n{\n  %0 = const 1 f32 1x1\n}\n", "kernel_expected", "f"},
    {"kernel k\n{\n  %0, %1 = const 1 : f32 1x1\n}\n", "kernel_expected", "c"},
    {"kernel k in a f32[4]\n{\n  %0 = load a[c] : f32 1x4 where 3-c >= 0\n}\n", "kernel_expected", "}"},
    {"kernel k\n{\n  %0 = const 1 : f32 1x1\n  %1 = for i in 0..3 step 1 carry (%2 = %0) {\n  }\n}\n",
     "kernel_expected", "}"},
    {"kernel k\n{\n  %0 = const 1 : f32 1x1\n  %1 = for i in 0..3 step 1 {\n  }\n}\n", "kernel_expected", "{"},
    {"kernel k in a f33[4] {}", "kernel_unknown", "f33"},
    {"kernel k in a f32[m] {}", "kernel_unknown", "m"},
    {"kernel k\n{\n  %0 = load b[c] : f32 1x4\n}\n", "kernel_unknown", "b"},
    {"kernel k\n{\n  %0 = neg %1\n}\n", "kernel_unknown", "%1"},
    {"kernel k\n{\n  %0 = ad %1, %2\n}\n", "kernel_unknown", "ad"},
    {"kernel k\n{\n  %0 = sum %1\n}\n", "kernel_unknown", "sum"},
    {"kernel k\n{\n  let x = y+1\n}\n", "kernel_unknown", "y"},
    {"kernel k\n{\n  for i in 0..3 step 1 {\n  }\n  let x = i\n}\n", "kernel_unknown", "i"},
    {"kernel k\n workers w: 2\n{\n  %0 = const 1 : f32 1x1\n  %1 = rowsum %0 across v\n}\n", "kernel_unknown", "v"},
    {"kernel k\n{\n  if 0 >= 0 {\n    %0 = const 1 : f32 1x1\n  }\n  %1 = neg %0\n}\n", "kernel_unknown", "%0"},
    {"kernel k in a f32[4] out a f32[4] {}", "kernel_duplicate", "a"},
    {"kernel k fact n in 1..2 fact n in 1..2 {}", "kernel_duplicate", "n"},
    {"kernel k fact c in 1..2 {}", "kernel_duplicate", "c"},
    {"kernel k fact n in 1..2 fact m % 2 == 0 {}", "kernel_unknown", "m"},
    {"kernel k grid i: 2, i: 3 {}", "kernel_duplicate", "i"},
    {"kernel k\n{\n  %0 = const 1 : f32 1x1\n  %0 = neg %0\n}\n", "kernel_duplicate", "%0"},
    {"kernel k\n{\n  for i in 0..3 step 1 {\n  }\n  for i in 0..3 step 1 {\n  }\n}\n", "kernel_duplicate", "i"},
    {"kernel k\n{\n  %0 = const 1 : f32 1x1\n  for i in 0..3 step 1 carry (%1 = %0) {\n  }\n}\n", "kernel_expected",
     "{"},
    {"kernel k\n{\n  let x = 3*\n}\n", "kernel_index", "\n"},
    {"kernel k\n{\n  let x = (1+2\n}\n", "kernel_index", "\n"},
    {"kernel k\n{\n  %0 = const 300 : u8 1x1\n}\n", "kernel_number", "300"},
    {"kernel k\n{\n  %0 = const maybe : bool 1x1\n}\n", "kernel_number", "maybe"},
    {"kernel k\n{\n  %0 = const 1.5.2 : f64 1x1\n}\n", "kernel_number", "1.5.2"},
    {"kernel k\n{\n  %0 = const 1 : f32 0x4\n}\n", "kernel_limit", "0"},
    {"kernel k\n{\n  %0 = const 1 : f32 4096x17\n}\n", "kernel_limit", "4096x17"},
    {"kernel k\n{\n  for i in 0..3 step 0 {\n  }\n}\n", "kernel_limit", "0"},
    {"kernel k\n{\n  for i in 0..3 step 99999999999999999999 {\n  }\n}\n", "kernel_limit", "99999999999999999999"},
    {"kernel k grid a: 1, b: 1, d: 1, e: 1 {}", "kernel_limit", " e: 1"},
    {"kernel k workers a: 1, b: 1, d: 1 {}", "kernel_limit", " d: 1"},
    {"kernel k in a f32[4]\n{\n  %0 = load a[0, c] : f32 1x4\n}\n", "kernel_rank", "a[0, c]"},
    {"kernel k\n{\n  %0 = const 1 : f32 1x4\n  %1 = const 1 : f32 1x5\n  %2 = add %0, %1\n}\n", "kernel_shape",
     "add %0, %1"},
    {"kernel k\n{\n  %0 = const 1 : f32 1x4\n  %1 = const 1 : i32 1x4\n  %2 = add %0, %1\n}\n", "kernel_dtype",
     "add %0, %1"},
    {"kernel k\n{\n  %0 = const 1 : i32 1x4\n  %1 = exp %0\n}\n", "kernel_dtype", "exp %0"},
    {"kernel k\n{\n  %0 = const 1 : f32 1x1\n  %1 = dot %0, %0, %0 {vnni}\n}\n", "kernel_variant",
     "dot %0, %0, %0 {vnni}"},
    {"kernel k group s bf16[16,16]\n{\n  %0 = const 1 : f32 1x2\n  %1 = mma %0, s[r, c], s[r, c] : 16\n}\n",
     "kernel_shape", "mma %0, s[r, c], s[r, c] : 16"},
    {"kernel k group s f32[16,16]\n{\n  %0 = const 1 : f32 2x2\n  %1 = mma %0, s[r, c], s[r, c] : 16\n}\n",
     "kernel_dtype", "mma %0, s[r, c], s[r, c] : 16"},
    {"kernel k\n{\n  %0 = const 1 : f32 1x1\n  %1 = const 1 : bf16 1x1\n  %2 = dot %0, %1, %1 {bf16}\n}\n", // no pair
     "kernel_shape", "dot %0, %1, %1 {bf16}"},
    {"kernel k\n{\n  %0 = const 1 : bf16 1x1\n  %1 = dot %0, %0, %0 {bf16}\n}\n", "kernel_dtype",
     "dot %0, %0, %0 {bf16}"},
};

static void test_broken_texts(void **state) {
  kir_fixture *f = *state;
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    size_t before = f->l.items.n;
    assert_null(kir_from(f, broken[i].text));
    if (f->l.items.n != before + 1) fail_msg("%zu messages for\n%s", f->l.items.n - before, broken[i].text);
    const diag *d = f->l.items.at[before];
    str text = f->l.files.at[d->span.file - 1].text;
    size_t n = strlen(broken[i].at);
    bool there = d->span.begin + n <= text.n && memcmp(text.p + d->span.begin, broken[i].at, n) == 0 &&
                 (n == 0 ? d->span.begin == text.n : d->span.end == d->span.begin + n);
    if (strcmp(diag_name(d->id), broken[i].id) != 0 || !there) {
      fail_msg("not %s at `%s` but:\n%s", broken[i].id, broken[i].at, kir_messages(f));
    }
    f->l.n_errors = f->l.items.n = 0; // the limit on kept messages is not what is tested
  }
}

static void test_deep_nesting_is_an_error(void **state) {
  kir_fixture *f = *state;
  strbuf b;
  sb_init(&b, f->a);
  sb_z(&b, "kernel k {");
  for (int i = 0; i < 100000; i++) sb_z(&b, " if 0 >= 0 {");
  assert_null(kir_from(f, sb_cstr(&b)));
  assert_true(kir_reported(f, DIAG_ID_kernel_limit));
}

static void test_suggestion(void **state) {
  kir_fixture *f = *state;
  assert_null(kir_from(f, "kernel k\n fact height in 1..9\n grid i: heigth\n{\n}\n"));
  assert_string_equal(kir_messages(f), "k.kir:3:10: error: unknown symbol `heigth`\n"
                                       "    3 |  grid i: heigth\n"
                                       "      |          ^~~~~~\n"
                                       "      = did you mean `height`?\n");
}

// Each prefix of a kernel either reads or gives exactly one message.
static void test_prefixes(void **state) {
  kir_fixture *f = *state;
  static const char *const names[] = {"gemm_gpu", "attention_gpu", "gather"};
  for (size_t i = 0; i < 3; i++) {
    const char *text = kir_text(f, kir_from_file(f, names[i]));
    for (size_t n = 0; n + 2 < strlen(text); n++) {
      arena *a = arena_new(NULL);
      diag_list l;
      diag_init(&l, a);
      char *cut = str_dup(a, (str){text, n});
      assert_null(kir_parse(a, &l, diag_add_file(&l, "cut.kir", str_of(cut))));
      assert_int_equal(l.n_errors, 1);
      arena_free(a);
    }
  }
}

// One byte changed: whatever comes of it, it reads back or is refused.
static void test_mutations(void **state) {
  kir_fixture *f = *state;
  const char *text = kir_text(f, kir_from_file(f, "attention_gpu"));
  static const char bytes[] = "0 9%[](){}=,.:>-*/abckrx\n#\"\x80";
  uint64_t seed = 3;
  for (int i = 0; i < 3000; i++) {
    arena *a = arena_new(NULL);
    diag_list l;
    diag_init(&l, a);
    char *changed = str_dup(a, str_of(text));
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    changed[(seed >> 33) % strlen(text)] = bytes[(seed >> 20) % (sizeof bytes - 1)];
    kir_kernel *k = kir_parse(a, &l, diag_add_file(&l, "changed.kir", str_of(changed)));
    assert_int_equal(k == NULL, l.n_errors != 0);
    if (k != NULL) {
      (void)kir_verify(k, &l);
      strbuf b;
      sb_init(&b, a);
      kir_print(&b, k);
      kir_kernel *again = kir_parse(a, &l, diag_add_file(&l, "again.kir", sb_str(&b)));
      assert_non_null(again);
      assert_true(str_eq(kir_fingerprint(k, a), kir_fingerprint(again, a)));
    }
    arena_free(a);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_round_trip, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_golden, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_comments_and_defaults, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_numbers_read_back, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_fingerprint, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_broken_texts, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_deep_nesting_is_an_error, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_suggestion, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_prefixes, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_mutations, kir_setup, kir_teardown),
  };
  return cmocka_run_group_tests_name("kir_text", tests, NULL, NULL);
}
