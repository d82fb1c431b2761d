// Products of bf16 in AMX's tile registers, natively or emulated (tests/support/amx_emulate.c): the emulator by
// instructions that the C compiler writes; kernels by the kernel interpreter, on the level of this machine with AMX
// beside it; the machine code by its instructions.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "llvm_run.h"
#include "support/amx_emulate.h"
#include "support/random.h"

#define WITH_AMX __attribute__((target("amx-tile,amx-bf16,amx-int8"), noinline))

// -- instructions --

typedef struct tile_case {
  uint8_t config[64], a[16 * 64], b[16 * 64];
  int32_t sum[4][16 * 16];
  float product[16 * 16];
} tile_case;

static void configure(tile_case *x, int rows, int cols, int depth) { // of 4-byte elements
  const int shape[8][2] = {{rows, cols}, {rows, cols}, {rows, cols}, {rows, cols}, {rows, depth}, {depth, cols}};
  x->config[0] = 1;
  for (int t = 0; t < 8; t++)
    x->config[16 + 2 * t] = (uint8_t)(4 * shape[t][1]), x->config[48 + t] = (uint8_t)shape[t][0];
}

WITH_AMX static void multiply_bytes(tile_case *x) {
  _tile_loadconfig(x->config);
  _tile_loadd(4, x->a, 64);
  _tile_stream_loadd(5, x->b, 64);
  _tile_loadd(0, x->sum[0], 64);
  _tile_loadd(1, x->sum[1], 64);
  _tile_loadd(2, x->sum[2], 64);
  _tile_loadd(3, x->sum[3], 64);
  _tile_dpbssd(0, 4, 5);
  _tile_dpbsud(1, 4, 5);
  _tile_dpbusd(2, 4, 5);
  _tile_dpbuud(3, 4, 5);
  _tile_stored(0, x->sum[0], 64);
  _tile_stored(1, x->sum[1], 64);
  _tile_stored(2, x->sum[2], 64);
  _tile_stored(3, x->sum[3], 64);
  _tile_release();
}

WITH_AMX static void multiply_pairs(tile_case *x, uint8_t *config_after) {
  _tile_loadconfig(x->config);
  _tile_zero(0);
  _tile_loadd(4, x->a, 64);
  _tile_loadd(5, x->b, 64);
  _tile_dpbf16ps(0, 4, 5);
  _tile_dpbf16ps(0, 4, 5);
  _tile_stored(0, x->product, 64);
  _tile_storeconfig(config_after);
  _tile_release();
}

static int64_t of_byte(uint8_t b, bool is_signed) { return is_signed ? (int8_t)b : b; }

static void instructions_mean_what_the_manual_says(void **unused) {
  (void)unused;
  uint64_t seed = 41, before = amx_emulated();
  static const int shapes[][3] = {{16, 16, 16}, {1, 1, 1}, {7, 13, 5}, {16, 3, 11}};
  bool native = amx_make_ready();
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    int rows = shapes[s][0], cols = shapes[s][1], depth = shapes[s][2];
    tile_case x = {0}, given;
    uint8_t after[64];
    configure(&x, rows, cols, depth);
    for (int i = 0; i < 16 * 64; i++)
      x.a[i] = (uint8_t)random_below(&seed, 256), x.b[i] = (uint8_t)random_below(&seed, 256);
    for (int i = 0; i < 4 * 256; i++) x.sum[i / 256][i % 256] = (int32_t)random_below(&seed, 1000) - 500;
    given = x;
    multiply_bytes(&x);
    for (int kind = 0; kind < 4; kind++)
      for (int r = 0; r < 16; r++)
        for (int c = 0; c < 16; c++) {
          int64_t want = given.sum[kind][16 * r + c];
          for (int k = 0; r < rows && c < cols && k < 4 * depth; k++)
            want += of_byte(x.a[64 * r + k], kind < 2) * of_byte(x.b[64 * (k / 4) + 4 * c + k % 4], kind % 2 == 0);
          assert_int_equal(x.sum[kind][16 * r + c], want);
        }
    // Small integers: every sum is exact, in any order.
    for (int i = 0; i < 16 * 32; i++) {
      uint16_t bits[2] = {f32_to_bf16((float)random_below(&seed, 17) - 8),
                          f32_to_bf16((float)random_below(&seed, 17) - 8)};
      memcpy(x.a + 2 * i, &bits[0], 2);
      memcpy(x.b + 2 * i, &bits[1], 2);
    }
    multiply_pairs(&x, after);
    assert_memory_equal(after, x.config, 64);
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < cols; c++) {
        double want = 0;
        for (int k = 0; k < 2 * depth; k++) {
          uint16_t bits[2];
          memcpy(&bits[0], x.a + 64 * r + 2 * k, 2);
          memcpy(&bits[1], x.b + 64 * (k / 2) + 4 * c + 2 * (k % 2), 2);
          want += 2 * (double)bf16_to_f32(bits[0]) * (double)bf16_to_f32(bits[1]);
        }
        assert_true((double)x.product[16 * r + c] == want);
      }
  }
  assert_true(native || amx_emulated() == before + 4 * (16 + 9));
}

// -- kernels --

// Rows of a times pairs of rows of b, panels of ROWS x COLS; what is carried begins as START; END is done to the sum.
static const char product[] = "kernel product in a bf16[96,n] in b bf16[2,n//2,128] in z f32[96,64] out y f32[96,64]\n"
                              "grid i: 96//ROWS grid j: 64//COLS fact n in 32..160 fact n % 32 == 0\n{\n"
                              "%z = START : f32 ROWSxCOLS\n"
                              "%s = for q in 0..n//2 step 16 unroll UNROLL carry (%acc = %z) {\n"
                              "%a = load a[ROWS*i+r, 2*q+c] : bf16 ROWSx32\n"
                              "%b = load b[0, q+r//2, 2*COLS*j+2*c+r%2] : bf16 32xCOLS\n"
                              "%u = dot %acc, %a, %b {bf16}\nyield %u\n}\n"
                              "%e = END\nstore y[ROWS*i+r, COLS*j+c] = %e\n}\n";

// The same with a loop around: two windows of b.
static const char windows[] = "kernel windows in a bf16[32,n] in b bf16[2,n//2,64] in z f32[32,32] out y f32[32,32]\n"
                              "fact n in 32..160 fact n % 32 == 0\n{\n%z = const 0 : f32 32x32\n"
                              "%s = for w in 0..2 step 1 carry (%o = %z) {\n"
                              "%t = for q in 0..n//2 step 16 carry (%acc = %o) {\n"
                              "%a = load a[r, 2*q+c] : bf16 32x32\n%b = load b[w, q+r//2, 2*c+r%2] : bf16 32x32\n"
                              "%u = dot %acc, %a, %b {bf16}\nyield %u\n}\nyield %t\n}\nstore y[r, c] = %s\n}\n";

static const char *replaced(arena *a, const char *text, const char *what, const char *with) {
  strbuf b;
  sb_init(&b, a);
  for (const char *at; (at = strstr(text, what)); text = at + strlen(what)) {
    sb_bytes(&b, text, (size_t)(at - text));
    sb_z(&b, with);
  }
  sb_z(&b, text);
  return sb_cstr(&b);
}

static kir_kernel *product_of(llvm_run *f, const char *rows, const char *cols, const char *start, const char *unroll) {
  const char *text = replaced(f->a, product, "ROWS", rows);
  text = replaced(f->a, replaced(f->a, text, "COLS", cols), "UNROLL", unroll);
  text = replaced(f->a, replaced(f->a, text, "START", start), "END", "max %s, %z");
  return llvm_parse(f, text);
}

static target *with_amx(llvm_run *f, const char *level) {
  target *t = arena_copy(f->a, target_find(level), sizeof *t);
  t->has_amx = true;
  return t;
}

static size_t count_of(const char *text, const char *word) {
  size_t n = 0;
  for (; (text = strstr(text, word)); text++) n++;
  return n;
}

static const char *assembly_of(llvm_run *f, const target *t, kir_kernel *k) {
  strbuf b;
  sb_init(&b, f->a);
  if (!f->llvm->dump(f->a, &f->l, t, 1, &k, true, &b)) fail_msg("%s", llvm_messages(f));
  return sb_cstr(&b);
}

static void kernels_agree_with_the_interpreter(void **state) {
  llvm_run *f = *state;
  static const char *const sides[] = {"16", "32"}, *const starts[] = {"const 0", "load z[ROWS*i+r, COLS*j+c]"};
  const char *level = llvm_runnable("x86-64-v4") ? "x86-64-v4" : "x86-64-v3";
  if (!llvm_runnable(level)) skip();
  bool native = amx_make_ready();
  for (int i = 0; i < 16; i++) {
    const char *rows = sides[i & 1], *cols = sides[i >> 1 & 1];
    const char *start = replaced(f->a, replaced(f->a, starts[i >> 2 & 1], "ROWS", rows), "COLS", cols);
    kir_kernel *k = product_of(f, rows, cols, start, i >> 3 ? "2" : "1");
    llvm_code c = llvm_load_for(f, with_amx(f, level), k);
    for (int64_t n = 32; n <= 160; n += 64) {
      uint64_t before = amx_emulated();
      llvm_agree(f, c, &n, 1e-5); // of the largest value: sums of at most 160 products in f32
      assert_true(native || amx_emulated() > before);
    }
  }
}

static void a_sum_stays_in_registers_around_its_loop(void **state) {
  llvm_run *f = *state;
  const char *level = llvm_runnable("x86-64-v4") ? "x86-64-v4" : "x86-64-v3";
  if (!llvm_runnable(level)) skip();
  bool native = amx_make_ready();
  kir_kernel *k = llvm_parse(f, windows);
  const char *text = assembly_of(f, with_amx(f, level), k);
  assert_int_equal(count_of(text, "\ttdpbf16ps\t"), 4);
  assert_int_equal(count_of(text, "\ttileloadd\t"), 4);
  assert_int_equal(count_of(text, "\ttilezero\t"), 4);
  assert_int_equal(count_of(text, "\ttilestored\t"), 4);
  llvm_code c = llvm_load_for(f, with_amx(f, level), k);
  for (int64_t n = 32; n <= 160; n += 64) {
    uint64_t before = amx_emulated();
    llvm_agree(f, c, &n, 1e-5);
    assert_true(native || amx_emulated() > before);
  }
}

// A loop that computes anything else, or other places, stays with vectors, and is right there too.
static void what_does_not_fit_is_computed_in_vectors(void **state) {
  llvm_run *f = *state;
  const char *level = llvm_runnable("x86-64-v3") ? "x86-64-v3" : "x86-64";
  const char *text = "kernel other in a bf16[5,n] in b bf16[n,21] out y f32[5,21] fact n in 2..40 fact n % 2 == 0\n{\n"
                     "%z = const 1 : f32 5x21\n%s = for k in 0..n step 2 carry (%acc = %z) {\n"
                     "%a = load a[r, k+c] : bf16 5x2\n%b = load b[k+r, c] : bf16 2x21\n"
                     "%u = dot %acc, %a, %b {bf16}\nyield %u\n}\nstore y[r, c] = %s\n}\n";
  kir_kernel *k = llvm_parse(f, text);
  assert_null(strstr(assembly_of(f, with_amx(f, level), k), "tdpbf16ps"));
  llvm_code c = llvm_load_for(f, with_amx(f, level), k);
  for (int64_t n = 2; n <= 40; n += 6) llvm_agree(f, c, &n, 1e-5);
}

// 32 x 32 x 32 products are 4 instructions for 4 loads, and nothing else touches tiles in the loop: the sum is cleared
// before it and stored after it.
static void a_step_is_four_products_for_four_loads(void **state) {
  llvm_run *f = *state;
  static const char *const levels[] = {"x86-64-v3", "x86-64-v4"};
  for (int i = 0; i < 2; i++) {
    kir_kernel *k = product_of(f, "32", "32", "const 0", "1");
    const char *text = assembly_of(f, with_amx(f, levels[i]), k);
    assert_int_equal(count_of(text, "\ttdpbf16ps\t"), 4);
    assert_int_equal(count_of(text, "\ttileloadd\t"), 4);
    assert_int_equal(count_of(text, "\ttilezero\t"), 4);
    assert_int_equal(count_of(text, "\ttilestored\t"), 4);
    assert_int_equal(count_of(text, "\tldtilecfg\t"), 1);
    assert_int_equal(count_of(text, "\ttilerelease"), 1);
    const char *first = strstr(text, "\ttdpbf16ps\t"), *end = strstr(first, "\tj");
    const char *loop = strstr(text, "\ttileloadd\t");
    assert_true(loop < first && end && strstr(first, "\ttilestored\t") > end);
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, llvm_setup, llvm_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(instructions_mean_what_the_manual_says), TEST(kernels_agree_with_the_interpreter),
      TEST(a_sum_stays_in_registers_around_its_loop), TEST(what_does_not_fit_is_computed_in_vectors),
      TEST(a_step_is_four_products_for_four_loads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
