// Convolutions by Winograd's minimal filtering against the interpreter, which sums in f64: random images, channels,
// batches, epilogues and CPU levels, prime sizes among them.
//
//   NNC_SEED    first seed; else from the clock, printed
//
// The bound is what the pass states (passes/winograd.c): 5e-5 of the largest result. What is seen is printed. The first
// two cases have sizes for which F(4x4) and, for AVX2, F(2x2) are chosen; of the others some are direct.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "op/engines.h"
#include "op/random_graph.h"

enum { CASES = 12 };
static const double bound = 5e-5;

typedef struct sizes {
  uint32_t in, out, height, width;
} sizes;

static sizes sizes_of(uint32_t number, uint64_t *seed) {
  static const sizes chosen[] = {{48, 48, 24, 24}, {64, 64, 8, 8}};
  if (number < sizeof chosen / sizeof *chosen) return chosen[number];
  return (sizes){16 + random_below(seed, 50), 16 + random_below(seed, 50), 4 + random_below(seed, 20),
                 4 + random_below(seed, 20)};
}

// Images of any batch, and of any height where the model leaves it open.
static const char *model(arena *a, uint64_t *seed, sizes s, bool open_height) {
  static const char *const ends[] = {"  return y: %7\n}\n",
                                     "  %8 = const() {value=0.0} : f32[%s]\n  %9 = max(%7, %8) : f32[%s]\n"
                                     "  %10 = mul(%9, %9) : f32[%s]\n  return y: %9, z: %10\n}\n"};
  uint32_t in = s.in, out = s.out, width = s.width;
  const char *h = open_height ? "height" : str_fmt(a, "%u", s.height);
  const char *shape = str_fmt(a, "batch,%u,%s,%u", out, h, width);
  strbuf b;
  sb_init(&b, a);
  sb_fmt(&b, "dim batch in 1..3\n%sweight u1 : f32[%u,%u,3,3]\nweight u2 : f32[%u,1,1]\n",
         open_height ? "dim height in 6..24\n" : "", out, in, out);
  sb_fmt(&b, "graph forward(%%0 u: f32[batch,%u,%s,%u]) {\n  %%1 = weight() {name=\"u1\"} : f32[%u,%u,3,3]\n", in, h,
         width, out, in);
  sb_fmt(&b,
         "  %%2 = contract(%%0, %%1) {map=\"n c (y+ky-1) (x+kx-1), o c ky kx -> n o y x; y = %s, x = %u\"} : f32[%s]\n",
         h, width, shape);
  sb_fmt(&b, "  %%3 = weight() {name=\"u2\"} : f32[%u,1,1]\n  %%4 = broadcast(%%3) {shape=[%s]} : f32[%s]\n", out,
         shape, shape);
  sb_fmt(&b, "  %%7 = add(%%2, %%4) : f32[%s]\n", shape);
  const char *end = ends[random_below(seed, 2)];
  for (const char *p; (p = strstr(end, "%s")); end = p + 2) sb_fmt(&b, "%.*s%s", (int)(p - end), end, shape);
  sb_z(&b, end);
  return sb_cstr(&b);
}

static void count_forms(const ir_region *r, uint32_t *forms) {
  for (const ir_node *n = r->first; n; n = n->next) {
    if (n->op == OP_contract) forms[ir_attr_int(n, "winograd", 0)]++;
    for (uint32_t i = 0; i < n->n_regions; i++) count_forms(n->regions[i], forms);
  }
}

// The largest difference, in parts of the largest result.
static double worst(const ir_tensor *got, const ir_tensor *expected) {
  double error = 0, largest = 0;
  const float *g = got->data, *e = expected->data;
  for (int64_t i = 0; i < ir_tensor_count(expected); i++) {
    assert_true(isfinite(g[i]));
    error = fmax(error, fabs((double)g[i] - e[i]));
    largest = fmax(largest, fabs(e[i]));
  }
  return error / largest;
}

static double run_case(uint32_t number, uint64_t seed, uint32_t *forms) {
  static const char *const levels[] = {"native", "x86-64-v3", "x86-64", "x86-64-v4"};
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  uint64_t state = seed;
  const char *cpu = levels[number % 4], *text = model(a, &state, sizes_of(number, &state), number % 3 == 2);
  ir_module *m = graph_parse(a, &l, diag_add_file(&l, "graph", str_of(text)));
  assert_non_null(m);
  random_weights(a, m, seed);
  engines e;
  if (!engines_open(&e, a, m, cpu)) fail_msg("%s\n%s", engines_messages(&e), text);
  count_forms(e.job.m->graphs.at[0]->body, forms);
  int64_t *dims = ARENA_ARRAY(a, int64_t, m->dims.n + 1);
  uint32_t n = e.plain->graphs.at[0]->body->n_yields;
  double error = 0;
  for (uint32_t round = 0; round < 2; round++) {
    ir_tensor *expected[2], *got[2], *again[2];
    random_dims(m, seed + round, round, dims);
    const ir_tensor **in = random_inputs(a, m, dims, seed + round);
    assert_true(engines_interpret(&e, a, in, expected));
    if (round == 0) { // which checks every access, and that no two points write one place
      assert_true(engines_run_kernels(&e, a, in, got));
      for (uint32_t k = 0; k < n; k++) error = fmax(error, worst(got[k], expected[k]));
    }
    assert_true(engines_run_jit(&e, a, in, got, 1) && engines_run_jit(&e, a, in, again, 2));
    for (uint32_t k = 0; k < n; k++) {
      error = fmax(error, worst(got[k], expected[k]));
      assert_memory_equal(got[k]->data, again[k]->data, (size_t)ir_tensor_count(got[k]) * sizeof(float));
    }
    if (error > bound) fail_msg("seed %llu, cpu %s: error %g\n%s", (unsigned long long)seed, cpu, error, text);
  }
  arena_free(a);
  return error;
}

static void random_convolutions_agree(void **state) {
  (void)state;
  const char *z = getenv("NNC_SEED");
  uint64_t seed = z ? strtoull(z, NULL, 10) : (uint64_t)time(NULL) * 1000;
  uint32_t forms[5] = {0};
  double error = 0;
  print_message("NNC_SEED=%llu\n", (unsigned long long)seed);
  for (uint32_t i = 0; i < CASES; i++) error = fmax(error, run_case(i, seed + i, forms));
  print_message("%u direct, %u F(2x2), %u F(4x4); largest error %.2g of the largest result\n", forms[0], forms[2],
                forms[4], error);
  assert_true(forms[2] > 0 && forms[4] > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_convolutions_agree)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
