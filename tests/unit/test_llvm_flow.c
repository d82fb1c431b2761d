// Index arithmetic, loops, branches, reductions and dot: small kernels as machine code against the kernel interpreter,
// at every CPU level this machine runs, between pages that fault.
#include "llvm_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

// -- index expressions --

static void test_index_arithmetic(void **state) { // negative numerators, constants and symbols as divisors
  static const llvm_sweep texts[] = {
      {"kernel ints out y i32[16] out z i64[3,37] fact n in 1..40\n{\n"
       "let a = (n-20)//7\nlet b = (n-20)%7\nlet d = (n-20)//8\nlet e = (n-20)%8\nlet f = 100//n\nlet g = (n*n-50)%n\n"
       "%0 = index a : i32 1x1\nstore y[0] = %0\n%1 = index b : i32 1x1\nstore y[1] = %1\n%2 = index d : i32 "
       "1x1\nstore y[2] = %2\n"
       "%3 = index e : i32 1x1\nstore y[3] = %3\n%4 = index f : i32 1x1\nstore y[4] = %4\n%5 = index g : i32 "
       "1x1\nstore y[5] = %5\n"
       "%6 = index min(n-3, 20-n) : i32 1x1\nstore y[6] = %6\n%7 = index max(n-3, min(20-n, 4)) : i32 1x1\nstore y[7] "
       "= %7\n"
       "%8 = index (n*n-17*n)//n : i32 1x1\nstore y[8] = %8\n%9 = index (n-20)//(n+2) : i32 1x1\nstore y[9] = %9\n"
       "%10 = index n*c-r : i32 1x6\nstore y[c+10] = %10\n%11 = index n*n*r-7*c : i64 3x37\nstore z[r, c] = %11\n}\n",
       1, 40, 3},
      {"kernel odd out y i64[5,37] fact n in 1..40\n{\n"
       "%0 = index (c+n)//3*r+(c*c)%5 : i64 5x37\nstore y[r, c] = %0\n}\n",
       1, 40, 13},
      {"kernel grids out y i32[n,3,n+1] grid i: n, j: 3, k: n+1 fact n in 1..9\n{\n"
       "%0 = index 100*i+10*j+k : i32 1x1\nstore y[i, j, k] = %0\n}\n",
       1, 5, 2},
  };
  llvm_sweeps(*state, texts, LLVM_N_OF(texts), 0);
}

// -- loops --

static void test_loops(void **state) {
  static const llvm_sweep texts[] = {
      // every trip count below and above the unrolling, a swap among the carried tiles, the variable used after shifts
      {"kernel swap in x f32[40] out y f32[2,20] fact n in 0..40\n{\n"
       "%a = load x[c] : f32 1x20\n%b = load x[c+20] : f32 1x20\n"
       "%p, %q = for i in 0..n step 1 unroll 3 carry (%s = %a, %t = %b) {\n"
       "%i = index i+1 : i32 1x1\n%f = convert %i to f32\n%u = add %s, %f\nyield %t, %u\n}\n"
       "store y[0, c] = %p\nstore y[1, c] = %q\n}\n",
       0, 10, 1},
      {"kernel steps in x f32[40] out y f32[1] fact n in 0..40\n{\n"
       "%z = const 0 : f32 1x1\n%s = for i in 2..n step 3 unroll 4 carry (%a = %z) {\n"
       "let j = i//2\n%v = load x[j] : f32 1x1\n%w = load x[i] : f32 1x1\n%t = add %v, %w\n%u = add %a, %t\nyield "
       "%u\n}\nstore y[0] = %s\n}\n",
       0, 40, 3},
      {"kernel few in x f32[40] out y f32[3,4] fact n in 1..40\n{\n" // constant trips: written out
       "for i in 0..3 step 1 unroll 4 {\nfor j in 0..4 step 2 unroll 2 {\n%0 = load x[4*i+j+c] : f32 1x2\nstore y[i, "
       "j+c] = %0\n}\n}\n}\n",
       1, 1, 1},
      {"kernel once in x f32[40] out y f32[5] fact n in 1..40\n{\n"
       "for i in n..n+1 step 1 {\n%0 = load x[i-1+c] : f32 1x5 where 39-i+1-c >= 0 else 0\nstore y[c] = %0\n}\nfor k "
       "in 3..3 step 1 {\n"
       "%1 = const 1 : f32 1x1\nstore y[k] = %1\n}\n}\n",
       1, 40, 13},
      {"kernel even in x f32[n] out y f32[1] fact n in 2..40\nfact n % 2 == 0\n{\n" // no remainder loop
       "%z = const 0 : f32 1x1\n%s = for i in 0..n step 1 unroll 2 carry (%a = %z) {\n%v = load x[i] : f32 1x1\n%u = "
       "add %a, %v\nyield %u\n}\n"
       "store y[0] = %s\n}\n",
       2, 40, 6},
      {"kernel nested in x f32[n,n] out y f32[n] grid i: n fact n in 1..40\n{\n"
       "%z = const 0 : f32 1x1\n%s = for j in 0..n step 1 unroll 2 carry (%a = %z) {\n"
       "%t = for k in j..n step 1 unroll 3 carry (%b = %a) {\n%v = load x[i, k] : f32 1x1\n%w = load x[j, k] : f32 "
       "1x1\n%u = fma %v, %w, %b\nyield %u\n}\n"
       "yield %t\n}\nstore y[i] = %s\n}\n",
       1, 13, 4},
      {"kernel branches in x f32[n] out y f32[n] grid i: n fact n in 1..40\n{\n"
       "%v = load x[i] : f32 1x1\n%w = add %v, %v\n"
       "if i-5 >= 0 {\n%t = neg %w\nstore y[i] = %t\n} else {\nif 2-i >= 0 {\nstore y[i] = %w\n} else {\n%u = mul %w, "
       "%w\nstore y[i] = %u\n}\n}\n}\n",
       1, 9, 1},
      {"kernel scratch in x f32[n] out y f32[n] group A f32[3,7] group B i32[5] group S f32[40] fact n in 1..40\n{\n"
       "copy S[c] = x[c] : 1x40 where n-1-c >= 0 else 1\n%k = index 3*c : i32 1x5\nstore B[c] = %k\n%b = load B[c] : "
       "i32 1x5\n"
       "%f = convert %b to f32\nstore A[1, c] = %f\n%g = load A[1, 2] : f32 1x1\n"
       "%0 = load S[c] : f32 1x40\n%1 = mul %0, %g\nstore y[c] = %1 where n-1-c >= 0\n}\n",
       1, 40, 13},
      {"kernel ahead in x f32[n] out y f32[n] fact n in 1..40\n{\n" // prefetches overrun
       "prefetch x[100000*n]\nprefetch x[-5000*n]\n%0 = load x[0] : f32 1x1\nstore y[c] = %0 : 1x1\n"
       "for i in 1..n step 1 unroll 2 {\nprefetch x[i+4096]\n%1 = load x[i] : f32 1x1\nstore y[i] = %1\n}\n}\n",
       1, 40, 13},
  };
  llvm_sweeps(*state, texts, LLVM_N_OF(texts), 2e-6);
}

// -- reductions --

static void test_reductions(void **state) {
  static const char *const dtypes[] = {"f32", "f64", "f16", "bf16", "i8", "u8", "i32", "i64"};
  static const double tolerances[] = {1e-6, 1e-15, 2e-3, 2e-2, 0, 0, 0, 0};
  static const int widths[] = {1, 2, 3, 4, 5, 16, 17, 31, 37, 64, 200};
  for (size_t d = 0; d < LLVM_N_OF(dtypes); d++) {
    for (size_t w = 0; w < LLVM_N_OF(widths); w++) {
      llvm_run *f = *state;
      const char *text =
          str_fmt(f->a,
                  "kernel sums in x DT[n,%d] out y DT[4,n] fact n in 1..10\n{\n%%0 = load x[r, c] : DT 3x%d\n"
                  "%%1 = rowsum %%0\nstore y[0, r] = %%1\n%%2 = rowmax %%0\nstore y[1, r] = %%2\n"
                  "%%3 = rowmin %%0\nstore y[2, r] = %%3\n%%4 = rowprod %%0\nstore y[3, r] = %%4\n}\n",
                  widths[w], widths[w]);
      llvm_sweep_one(f, &(llvm_sweep){text, 3, 3, 1}, dtypes[d], tolerances[d]);
    }
  }
}

static void test_nan_in_reductions(void **state) {
  llvm_run *f = *state;
  for (size_t l = 0; l < LLVM_N_LEVELS; l++) {
    if (!llvm_runnable(llvm_levels[l])) continue;
    llvm_code c = llvm_load(f, llvm_levels[l],
                            llvm_parse(f, "kernel nans in x f32[37] out y f32[2]\n{\n%0 = load x[c] : f32 1x37\n"
                                          "%1 = rowmax %0\nstore y[0] = %1\n%2 = rowmin %0\nstore y[1] = %2\n}\n"));
    for (size_t at = 0; at < 37; at++) {
      float x[37] = {0}, y[2] = {0, 0};
      uint32_t nan = 0x7fc00001;
      memcpy(&x[at], &nan, sizeof nan);
      llvm_call(c, (void *[]){x, y}, NULL);
      assert_true(y[0] != y[0] && y[1] != y[1]);
    }
  }
}

// -- dot --

static void test_dot(void **state) {
  static const char *const dtypes[] = {"f32", "f64", "f16", "bf16", "i32", "i64", "i8", "u8"};
  static const double tolerances[] = {1e-6, 1e-15, 4e-3, 4e-2, 0, 0, 0, 0};
  for (size_t d = 0; d < LLVM_N_OF(dtypes); d++) {
    llvm_sweep_one(
        *state,
        &(llvm_sweep){
            "kernel dots in a DT[5,n] in b DT[n,37] out y DT[5,37] fact n in 1..40\n{\n%z = const 1 : DT 5x37\n"
            "%s = for k in 0..n step 1 unroll 2 carry (%acc = %z) {\n%a = load a[r, k] : DT 5x1\n%b = load b[k, "
            "c] : DT 1x37\n"
            "%u = dot %acc, %a, %b {fma}\nyield %u\n}\nstore y[r, c] = %s\n}\n",
            1, 7, 3},
        dtypes[d], tolerances[d]);
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, llvm_setup, llvm_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_index_arithmetic), TEST(test_loops), TEST(test_reductions),
                                     TEST(test_nan_in_reductions), TEST(test_dot)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
