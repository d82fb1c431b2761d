// Accesses, conditions and copies: small kernels as machine code against the kernel interpreter, at every CPU level
// this machine runs. Each buffer lies between pages that fault, so one byte touched outside ends the test.
#include "llvm_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

// -- masks --

static void test_masked_row_end(void **state) { // every length around a vector, each dtype
  llvm_sweep_dtypes(
      *state,
      &(llvm_sweep){"kernel end in x DT[n] out y DT[n] fact n in 1..64\n{\n"
                    "%0 = load x[c] : DT 1x37 where n-1-c >= 0 else ELSE\nstore y[c] = %0 where n-1-c >= 0\n}\n",
                    1, 37, 5});
}

static void test_masked_row_start(void **state) { // the address of a masked lane lies before the buffer
  llvm_sweep_dtypes(
      *state, &(llvm_sweep){"kernel start in x DT[n] out y DT[40] fact n in 1..64\n{\n"
                            "%0 = load x[c-3] : DT 1x40 where c-3 >= 0, n+2-c >= 0 else ELSE\nstore y[c] = %0\n}\n",
                            1, 37, 9});
}

static void test_conditions(void **state) {
  static const llvm_sweep texts[] = {
      // of the row, of both, and of a whole tile
      {"kernel rows in x f32[n] out y f32[n] fact n in 1..16\n{\n"
       "%0 = load x[r] : f32 9x1 where n-1-r >= 0 else -1\n%1 = add %0, %0\nstore y[r] = %1 where n-1-r >= 0\n}\n",
       1, 9, 1},
      {"kernel both in x f32[n,n] out y f32[n,n] fact n in 1..40\n{\n"
       "%0 = load x[r, c] : f32 5x37 where n-1-r >= 0, n-1-c >= 0 else 7\n%1 = add %0, %0\n"
       "store y[r, c] = %1 where n-1-r >= 0, n-1-c >= 0\n}\n",
       1, 38, 4},
      {"kernel whole in x f32[n] out y f32[6,70] fact n in 1..420\n{\n"
       "%0 = load x[70*r+c] : f32 6x70 where n-420 >= 0 else 3\nstore y[r, c] = %0\n}\n",
       1, 420, 419},
      {"kernel never in x f32[n] inout y f32[4,40] fact n in 1..420\n{\n"
       "%0 = const 5 : f32 4x40\nstore y[r, c+n-100] = %0 where n-100 >= 0, 100-n >= 0\n}\n",
       50, 150, 50},
      // c scaled, divided, and in several conditions
      {"kernel scaled in x f32[2*n] out y f32[40] fact n in 1..100\n{\n"
       "%0 = load x[2*c+1] : f32 1x40 where 2*n-2-2*c >= 0 else 9\nstore y[c] = %0\n}\n",
       1, 41, 8},
      {"kernel thirds in x f32[n] out y f32[40] fact n in 1..100\n{\n"
       "%0 = load x[c//3] : f32 1x40 where 3*n-1-c >= 0, c%3-1 >= 0 else 9\nstore y[c] = %0\n}\n",
       1, 14, 3},
      {"kernel between in x f32[n] out y f32[40] fact n in 1..100\n{\n"
       "%0 = load x[c] : f32 1x40 where c-2 >= 0, n-1-c >= 0, 30-c >= 0, 3*c-10 >= 0, 70-2*c >= 0 else 9\nstore y[c] = "
       "%0\n}\n",
       1, 40, 3},
      {"kernel diagonal in x f32[n,n] out y f32[20,20] fact n in 1..30\n{\n" // causal
       "%0 = load x[r, c] : f32 20x20 where r-c >= 0, n-1-r >= 0 else -1\nstore y[r, c] = %0\n}\n",
       1, 20, 3},
      // transposed, one element for all columns, and by blocks
      {"kernel turned in x f32[n,20] out y f32[20,n] fact n in 1..30\n{\n"
       "%0 = load x[c, r] : f32 20x30 where n-1-c >= 0 else 0\nstore y[r, c] = %0 where n-1-c >= 0\n}\n",
       1, 30, 7},
      {"kernel same in x f32[n] out y f32[6,37] fact n in 1..6\n{\n"
       "%0 = load x[r] : f32 6x37 where n-1-r >= 0, 5*n-c >= 0 else 4\nstore y[r, c] = %0\n}\n",
       1, 6, 1},
      {"kernel blocks in x f32[n,8,16] out y f32[n,16,8] grid i: n fact n in 1..3\n{\n"
       "%0 = load x[i, c//16, c%16] : f32 1x128\nstore y[i, c//8, c%8] = %0\n}\n",
       1, 3, 2},
      {"kernel backwards in x f32[n] out y f32[n] fact n in 1..40\n{\n"
       "%0 = load x[n-1-c] : f32 1x40 where n-1-c >= 0 else 0\nstore y[n-1-c] = %0 where n-1-c >= 0\n}\n",
       1, 40, 13},
      // kept values
      {"kernel kept in x f32[37] out y f32[3,37] fact n in 1..40\n{\n"
       "%0 = load x[c] : f32 3x37\n%1 = select %0 where n-1-c-r >= 0, c%2+r-1 >= 0 else -inf\nstore y[r, c] = %1\n}\n",
       1, 40, 6},
      {"kernel stored in x f32[37] inout y f32[3,37] fact n in 1..40\n{\n"
       "%0 = load x[c] : f32 1x37\nstore y[r, c] = %0 : 3x37 where n-1-c-r >= 0, c%2+r-1 >= 0\n}\n",
       1, 40, 6},
      {"kernel spread in x f32[1] out y f32[3,21] fact n in 1..40\n{\n" // a scalar, and rows of one lane past a vector
       "%0 = load x[0] : f32 1x1\nstore y[r, c] = %0 : 3x17\nstore y[r, c+17] = %0 : 3x4\n}\n",
       1, 1, 1},
  };
  llvm_sweeps(*state, texts, LLVM_N_OF(texts), 0);
}

// -- gather --

static void test_gather(void **state) { // ids of a ragged row must not be read
  static const llvm_sweep texts[] = {
      {"kernel rows in t f32[14,20] in ids i32[n] out y f32[n,20] grid g: (n+5)//6 fact n in 1..40\n{\n"
       "fault 1 : 6x1 where n-1-6*g-r >= 0, -1-ids[min(n-1, 6*g+r)] >= 0\n"
       "%0 = load t[max(0, min(13, ids[6*g+r])), c] : f32 6x20 where n-1-6*g-r >= 0 else 0\n"
       "store y[6*g+r, c] = %0 where n-1-6*g-r >= 0\n}\n",
       1, 13, 1},
      {"kernel columns in t f32[14] in ids i64[n] out y f32[40] fact n in 1..40\n{\n"
       "%0 = load t[max(0, ids[c])] : f32 1x40 where n-1-c >= 0 else 0\nstore y[c] = %0\n}\n",
       1, 40, 13},
      {"kernel chosen in t f32[40] in ids i32[1] out y f32[40] fact n in 1..40\n{\n"
       "let at = ids[0]\n%0 = load t[c] : f32 1x40 where at-c >= 0, n-1-c >= 0 else 0\nstore y[c] = %0\n}\n",
       1, 40, 13},
      {"kernel bytes in t f32[270] in ids u8[n] out y i32[n] grid i: n fact n in 1..40\n{\n"
       "%0 = index ids[i] : i32 1x1\nstore y[i] = %0\n}\n",
       9, 9, 1},
  };
  llvm_sweeps(*state, texts, LLVM_N_OF(texts), 0);
}

// -- copies --

static void test_copies(void **state) {
  static const llvm_sweep texts[] = {
      {"kernel small in x f32[n,n] out y f32[5,20] group S f32[5,20] fact n in 1..30\n{\n"
       "copy S[r, c] = x[r-1, c-2] : 5x20 where r-1 >= 0, n-r >= 0, c-2 >= 0, n+1-c >= 0 else -3\n"
       "%0 = load S[r, c] : f32 5x20\nstore y[r, c] = %0\n}\n",
       1, 19, 3},
      {"kernel rows in x f32[n,n] out y f32[70,37] group S f32[70,37] fact n in 1..90\n{\n"
       "copy S[r, c] = x[r-1, c-2] : 70x37 where r-1 >= 0, n-r >= 0, c-2 >= 0, n+1-c >= 0 else -3 then %t {\n"
       "%u = add %t, %t\nyield %u\n}\n"
       "for i in 0..70 step 1 {\n%0 = load S[i, c] : f32 1x37\nstore y[i, c] = %0\n}\n}\n",
       1, 71, 35},
      {"kernel long in x f32[n] in b f32[300] in s f32[3] out y f32[3,300] fact n in 1..1000\n{\n" // by columns, with
                                                                                                   // rows and columns
                                                                                                   // of its own
       "copy y[r, c] = x[300*r+c] : 3x300 where n-1-300*r-c >= 0 else 1 then %t {\n"
       "%b = load b[c] : f32 1x300\n%s = load s[r] : f32 3x1\n%i = index r*1000+c : i32 3x300\n%j = convert %i to f32\n"
       "%k = const 0.5 : f32 3x300\n%u = mul %t, %s\n%v = add %u, %b\n%w = add %v, %j\n%z = mul %w, %k\nyield "
       "%z\n}\n}\n",
       1, 900, 299},
      {"kernel one in x f32[n] out y f32[1,2000] fact n in 1..3000\n{\n"
       "copy y[r, c] = x[c] : 1x2000 where n-1-c >= 0 else 0\n}\n",
       1, 2001, 1000},
      {"kernel packed in x f32[n,40] out y f32[40,70] fact n in 1..90\n{\n" // transposes
       "copy y[r, c] = x[c, r] : 40x70 where n-1-c >= 0 else 0\n}\n",
       1, 70, 23},
      {"kernel narrow in x f32[n] out y f32[100,1] fact n in 1..100\n{\n"
       "copy y[r, c] = x[r] : 100x1 where n-1-r >= 0 else 2\n}\n",
       1, 100, 33},
      {"kernel halves in x f32[n] out y f16[3,40] fact n in 1..200\n{\n"
       "copy y[r, c] = x[40*r+c] : 3x40 where n-1-40*r-c >= 0 else 2 then %t {\n%u = convert %t to f16\nyield "
       "%u\n}\n}\n",
       1, 120, 17},
  };
  llvm_sweeps(*state, texts, LLVM_N_OF(texts), 0);
}

// Whole blocks that lie turned in memory are transposed in registers; what is ragged goes element by element. Both must
// agree.
static void test_turned(void **state) {
  static const llvm_sweep texts[] = {
      {"kernel loaded in x f32[n,70] out y f32[32,48] fact n in 1..60\n{\n"
       "%0 = load x[c, r+3] : f32 32x48 where n-1-c >= 0, 30-r >= 0 else -2\nstore y[r, c] = %0\n}\n",
       1, 48, 47},
      {"kernel stored in x f32[16,32] inout y f32[n,70] fact n in 1..60\n{\n"
       "%0 = load x[r, c] : f32 16x32\n%1 = add %0, %0\nstore y[c, r+3] = %1 where n-1-c >= 0, 14-r >= 0\n}\n",
       1, 40, 13},
      {"kernel whole in x f32[n,64] out y f32[64,64] fact n in 64..64\n{\n"
       "copy y[r, c] = x[c, r] : 64x64 then %t {\n%u = neg %t\nyield %u\n}\n}\n",
       64, 64, 1},
      {"kernel padded in x f32[n,64] in b f32[80] out y f32[64,80] fact n in 1..90\n{\n"
       "copy y[r, c] = x[c, r] : 64x80 where n-1-c >= 0, r+c-5 >= 0 else 1 then %t {\n"
       "%b = load b[c] : f32 1x80\n%i = index r : i32 64x1\n%f = convert %i to f32\n%u = mul %t, %b\n%v = add %u, "
       "%f\nyield %v\n}\n}\n",
       1, 80, 39},
      {"kernel out in x f32[64,80] out y f32[80,n] fact n in 64..90\n{\n" // turned where it is written
       "copy y[c, r] = x[r, c] : 64x80\n}\n",
       64, 64, 1},
      {"kernel shared in x f32[n,16] out y f32[16,16] fact n in 1..60\n{\n"
       "%0 = load x[c, r] : f32 16x16 where n-16 >= 0 else 5\nstore y[r, c] = %0\n}\n",
       15, 16, 1},
      {"kernel stepped in x f32[n,n] out y f32[n,n] fact n in 1..60\n{\n" // in a loop, unrolled
       "for i in 0..n step 16 unroll 2 {\nfor j in 0..n step 16 {\n"
       "%0 = load x[j+c, i+r] : f32 16x16 where n-1-i-r >= 0, n-1-j-c >= 0 else 0\n"
       "store y[i+r, j+c] = %0 where n-1-i-r >= 0, n-1-j-c >= 0\n}\n}\n}\n",
       1, 52, 17},
  };
  llvm_sweeps(*state, texts, LLVM_N_OF(texts), 0);
  llvm_sweep_dtypes(*state,
                    &(llvm_sweep){"kernel kinds in x DT[n,16] out y DT[16,16] fact n in 1..60\n{\n"
                                  "%0 = load x[c, r] : DT 16x16 where n-1-c >= 0 else ELSE\nstore y[r, c] = %0\n}\n",
                                  3, 16, 13});
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, llvm_setup, llvm_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_masked_row_end), TEST(test_masked_row_start), TEST(test_conditions),
                                     TEST(test_gather),         TEST(test_copies),           TEST(test_turned)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
