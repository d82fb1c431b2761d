// Schedules of work-groups over random ragged sizes: products and convolutions through local memory, rows shared by
// workers. The graph interpreter and the kernel interpreter judge what a device computes (skipped, with the reason,
// where there is none).
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op/agree.h"
#include "op/cl_agree.h"
#include "op/random_graph.h"
#include "support/kernel_judge.h"

#ifdef __SANITIZE_ADDRESS__ // what takes the time, the driver's compiler, is not checked
enum { ROUNDS = 2 };
#else
enum { ROUNDS = 3 };
#endif

// A, B and C stand for sizes. Names of inputs and weights say what they hold: see random_graph.h.
static const struct {
  const char *what, *text;
  int64_t most_rows, most; // of A, and of the others
} graphs[] = {
    {"product with a weight, bias and residual",
     "weight u1 : f32[B,C]\nweight u2 : f32[B]\n"
     "graph forward(%0 u: f32[A,C], %1 v: f32[A,B]) {\n"
     "  %2 = weight() {name=\"u1\"} : f32[B,C]\n"
     "  %3 = contract(%0, %2) {map=\"s i, o i -> s o\"} : f32[A,B]\n"
     "  %4 = weight() {name=\"u2\"} : f32[B]\n"
     "  %5 = reshape(%4) {shape=[1,B]} : f32[1,B]\n"
     "  %6 = broadcast(%5) {shape=[A,B]} : f32[A,B]\n"
     "  %7 = add(%3, %6) : f32[A,B]\n"
     "  %8 = add(%7, %1) : f32[A,B]\n"
     "  return y: %8\n}\n",
     150, 150},
    {"products of turned operands",
     "graph forward(%0 u: f32[3,C,A], %1 v: bf16[3,B,C]) {\n"
     "  %2 = cast(%1) {to=f32} : f32[3,B,C]\n"
     "  %3 = contract(%0, %2) {map=\"b i s, b o i -> b o s\"} : f32[3,B,A]\n"
     "  return y: %3\n}\n",
     90, 90},
    {"product of bf16 with a weight, bias and residual",
     "weight u1 : bf16[B,C]\nweight u2 : f32[B]\n"
     "graph forward(%0 u: bf16[A,C], %1 v: f32[A,B]) {\n"
     "  %2 = cast(%0) {to=f32} : f32[A,C]\n"
     "  %3 = weight() {name=\"u1\"} : bf16[B,C]\n"
     "  %4 = cast(%3) {to=f32} : f32[B,C]\n"
     "  %5 = contract(%2, %4) {map=\"s i, o i -> s o\"} : f32[A,B]\n"
     "  %6 = weight() {name=\"u2\"} : f32[B]\n"
     "  %7 = reshape(%6) {shape=[1,B]} : f32[1,B]\n"
     "  %8 = broadcast(%7) {shape=[A,B]} : f32[A,B]\n"
     "  %9 = add(%5, %8) : f32[A,B]\n"
     "  %10 = add(%9, %1) : f32[A,B]\n"
     "  return y: %10\n}\n",
     150, 150},
    {"products of turned bf16",
     "graph forward(%0 u: bf16[3,C,A], %1 v: bf16[3,C,B]) {\n"
     "  %2 = cast(%0) {to=f32} : f32[3,C,A]\n"
     "  %3 = cast(%1) {to=f32} : f32[3,C,B]\n"
     "  %4 = contract(%2, %3) {map=\"b i s, b i o -> b o s\"} : f32[3,B,A]\n"
     "  %5 = cast(%4) {to=bf16} : bf16[3,B,A]\n"
     "  return y: %5\n}\n",
     90, 90},
    {"convolution of bf16",
     "weight u1 : bf16[B,C,3,3]\n"
     "graph forward(%0 u: bf16[1,C,A,9]) {\n"
     "  %1 = weight() {name=\"u1\"} : bf16[B,C,3,3]\n"
     "  %2 = cast(%0) {to=f32} : f32[1,C,A,9]\n"
     "  %3 = cast(%1) {to=f32} : f32[B,C,3,3]\n"
     "  %4 = contract(%2, %3) {map=\"n c (y+ky-1) (2*x+kx-1), o c ky kx -> n o y x; y = A, x = 5\"} : f32[1,B,A,5]\n"
     "  return y: %4\n}\n",
     40, 40},
    {"product of an expression",
     "graph forward(%0 u: f32[A,C], %1 v: f32[C,B]) {\n"
     "  %2 = exp(%0) : f32[A,C]\n"
     "  %3 = contract(%2, %1) {map=\"s i, i o -> s o\"} : f32[A,B]\n"
     "  return y: %3\n}\n",
     150, 150},
    {"convolution",
     "weight u1 : f32[B,C,3,3]\n"
     "graph forward(%0 u: f32[1,C,A,9]) {\n"
     "  %1 = weight() {name=\"u1\"} : f32[B,C,3,3]\n"
     "  %2 = contract(%0, %1) {map=\"n c (y+ky-1) (2*x+kx-1), o c ky kx -> n o y x; y = A, x = 5\"} : f32[1,B,A,5]\n"
     "  return y: %2\n}\n",
     40, 40},
    {"few rows with a weight, bias and residual",
     "weight u1 : f32[B,C]\nweight u2 : f32[B]\n"
     "graph forward(%0 u: f32[A,C], %1 v: f32[A,B]) {\n"
     "  %2 = weight() {name=\"u1\"} : f32[B,C]\n"
     "  %3 = contract(%0, %2) {map=\"s i, o i -> s o\"} : f32[A,B]\n"
     "  %4 = weight() {name=\"u2\"} : f32[B]\n"
     "  %5 = reshape(%4) {shape=[1,B]} : f32[1,B]\n"
     "  %6 = broadcast(%5) {shape=[A,B]} : f32[A,B]\n"
     "  %7 = add(%3, %6) : f32[A,B]\n"
     "  %8 = add(%7, %1) : f32[A,B]\n"
     "  return y: %8\n}\n",
     8, 700},
    {"few rows or many",
     "dim n in 1..A\nweight u1 : f32[B,C]\n"
     "graph forward(%0 u: f32[n,C], %1 v: f32[n,B]) {\n"
     "  %2 = weight() {name=\"u1\"} : f32[B,C]\n"
     "  %3 = exp(%2) : f32[B,C]\n"
     "  %4 = contract(%0, %3) {map=\"s i, o i -> s o\"} : f32[n,B]\n"
     "  %5 = mul(%4, %1) : f32[n,B]\n"
     "  return y: %5\n}\n",
     20, 300},
    {"queries with keys, weights with values",
     "dim n in 1..B\n"
     "graph forward(%0 u: f32[3,C], %1 v: f32[3,n,C], %2 w: f32[3,n], %3 z: f32[3,n,A]) {\n"
     "  %4 = contract(%0, %1) {map=\"b i, b o i -> b o\"} : f32[3,n]\n"
     "  %5 = contract(%2, %3) {map=\"b i, b i o -> b o\"} : f32[3,A]\n"
     "  return y: %4, x: %5\n}\n",
     200, 200},
    {"two reduced labels",
     "weight u1 : f32[A,5,C]\n"
     "graph forward(%0 u: f32[2,C,5], %1 v: f32[5,B,C]) {\n"
     "  %2 = weight() {name=\"u1\"} : f32[A,5,C]\n"
     "  %3 = contract(%0, %2) {map=\"s i j, o j i -> s o\"} : f32[2,A]\n"
     "  %4 = contract(%0, %1) {map=\"s i j, j o i -> s o\"} : f32[2,B]\n"
     "  return y: %3, x: %4\n}\n",
     90, 90},
    {"doubles, and a vector that is no row",
     "graph forward(%0 u: f64[A,C], %1 v: f64[C,B], %2 w: f64[C]) {\n"
     "  %3 = contract(%0, %1) {map=\"s i, i o -> s o\"} : f64[A,B]\n"
     "  %4 = contract(%0, %2) {map=\"s i, i -> s\"} : f64[A]\n"
     "  return y: %3, x: %4\n}\n",
     4, 300},
    {"running sums along lines, what comes before, from behind",
     "graph forward(%0 u: f32[A,B], %1 g9_i: i32[A,B], %2 v: f64[A,B]) {\n"
     "  %3 = exp(%0) : f32[A,B]\n"
     "  %4 = scan(%3) {axis=1, op=\"sum\"} : f32[A,B]\n"
     "  %5 = add(%4, %0) : f32[A,B]\n"
     "  %6 = scan(%1) {axis=1, exclusive=1, op=\"sum\"} : i32[A,B]\n"
     "  %7 = scan(%0) {axis=1, op=\"max\", reverse=1} : f32[A,B]\n"
     "  %8 = scan(%2) {axis=1, exclusive=1, op=\"sum\", reverse=1} : f64[A,B]\n"
     "  %9 = scan(%2) {axis=1, exclusive=1, op=\"max\"} : f64[A,B]\n"
     "  return a: %5, i: %6, b: %7, c: %8, d: %9\n}\n",
     4, 3000},
    {"running sums across lines",
     "graph forward(%0 u: f32[B,A], %1 v: f16[3,B,A]) {\n"
     "  %2 = scan(%0) {axis=0, op=\"sum\"} : f32[B,A]\n"
     "  %3 = scan(%1) {axis=1, op=\"min\"} : f16[3,B,A]\n"
     "  return a: %2, b: %3\n}\n",
     20, 400},
    {"softmax",
     "graph forward(%0 u: f32[A,B]) {\n"
     "  %1 = amax(%0) {axes=[1]} : f32[A]\n"
     "  %2 = reshape(%1) {shape=[A,1]} : f32[A,1]\n"
     "  %3 = broadcast(%2) {shape=[A,B]} : f32[A,B]\n"
     "  %4 = sub(%0, %3) : f32[A,B]\n"
     "  %5 = exp(%4) : f32[A,B]\n"
     "  %6 = sum(%5) {axes=[1]} : f32[A]\n"
     "  %7 = reshape(%6) {shape=[A,1]} : f32[A,1]\n"
     "  %8 = broadcast(%7) {shape=[A,B]} : f32[A,B]\n"
     "  %9 = div(%5, %8) : f32[A,B]\n"
     "  %10 = argmax(%0) {axes=[1]} : i32[A]\n"
     "  return y: %9, s: %6, i: %10\n}\n",
     5, 700},
    {"attention whose query is one number for all depths",
     "graph forward(%0 u: f32[2,A], %1 v: f32[2,B,5], %2 w: f32[2,B,C]) {\n"
     "  %3 = reshape(%0) {shape=[2,A,1]} : f32[2,A,1]\n"
     "  %4 = broadcast(%3) {shape=[2,A,5]} : f32[2,A,5]\n"
     "  %5 = exp(%1) : f32[2,B,5]\n"
     "  %6 = contract(%4, %5) {map=\"h m d, h n d -> h m n\"} : f32[2,A,B]\n"
     "  %7 = sigmoid(%6) : f32[2,A,B]\n"
     "  %8 = contract(%7, %2) {map=\"h m n, h n e -> h m e\"} : f32[2,A,C]\n"
     "  return y: %8\n}\n",
     30, 70},
    {"least values and where they are",
     "graph forward(%0 u: f32[A,3,B]) {\n"
     "  %1 = argmin(%0) {axes=[1,2]} : i32[A]\n"
     "  %2 = prod(%0) {axes=[2]} : f32[A,3]\n"
     "  return i: %1, p: %2\n}\n",
     5, 300},
};

static const char *with_sizes(arena *a, const char *text, const int64_t *size) {
  strbuf b;
  sb_init(&b, a);
  for (const char *p = text; *p; p++) { // of capitals, these three alone stand in the texts
    if (*p >= 'A' && *p <= 'C') sb_fmt(&b, "%lld", (long long)size[*p - 'A']);
    else sb_char(&b, *p);
  }
  return sb_cstr(&b);
}

static int64_t size_of(uint64_t *state, int64_t most) { // ones, and sizes around those of blocks, are frequent
  static const int64_t edges[] = {1, 15, 16, 17, 63, 64, 65};
  int64_t edge = edges[random_below(state, sizeof edges / sizeof *edges)];
  return random_below(state, 2) && edge <= most ? edge : 1 + (int64_t)random_below(state, (uint32_t)most);
}

static void groups_agree(void **state) {
  (void)state;
  static const char *const targets[] = {"opencl-local", "opencl-local-64", "opencl-mma"};
  arena *lasting = arena_new(NULL);
  cl_host *host = cl_host_or_skip(lasting, false);
  const char *seed_text = getenv("NNC_SEED");
  uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 1, failures = 0;
  agree_counts counts = {0};
  const char *cases = getenv("NNC_CASES");
  uint64_t rounds = cases && !strcmp(cases, "all") ? 9 : ROUNDS;
  for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++)
    for (uint64_t round = 0; round < rounds; round++) {
      arena *a = arena_new(NULL);
      uint64_t state_of_sizes = seed + 100 * i + round;
      int64_t size[3];
      diag_list l;
      strbuf why;
      diag_init(&l, a);
      sb_init(&why, a);
      for (int k = 0; k < 3; k++) size[k] = size_of(&state_of_sizes, k ? graphs[i].most : graphs[i].most_rows);
      ir_module *m = graph_parse(a, &l, diag_add_file(&l, "graph", str_of(with_sizes(a, graphs[i].text, size))));
      bool ok = m && graph_verify(m);
      if (!ok) sb_z(&why, messages_of(a, &l));
      agree_device device = {targets[(i + round) % 3], cl_host_engine, host};
      if (!ok || !engines_agree(a, m, seed + round, &device, &counts, &why)) {
        print_error("%s, sizes %lld %lld %lld: %s\n", graphs[i].what, (long long)size[0], (long long)size[1],
                    (long long)size[2], sb_cstr(&why));
        failures++;
      }
      arena_free(a);
    }
  print_message("%s: %llu tensors, %llu of them vague\n", cl_host_device(host), (unsigned long long)counts.tensors,
                (unsigned long long)counts.vague);
  arena_free(lasting);
  assert_int_equal(failures, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(groups_agree)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
