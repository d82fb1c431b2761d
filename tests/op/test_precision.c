// bf16 between kernels (passes/precision.c): any graph still verifies, reads back, is scheduled and runs on every CPU
// level; compiled code meets the interpreter on the very graph that the pass made, where the same roundings stand; and
// what is lost against the graph as written is what one rounding of each tensor may lose.
#include "op/engines.h"
#include "op/random_graph.h"
#include <math.h>
#include <stdlib.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static const char *const levels[] = {"x86-64", "x86-64-v3", "x86-64-v4"};

static compile_job *bf16_job(arena *a, const char *level) {
  compile_job *j = ARENA_NEW(a, compile_job);
  bool runs = target_supported(target_find(level));
  assert_true(compile_begin(j, a, "graph", NULL, NULL, runs ? level : "x86-64"));
  j->context.target = runs ? j->target : target_find(level); // its schedules
  assert_true(compile_set_dtypes(j, NULL, "bf16"));
  j->passes.round_trip = true;
  return j;
}

static uint32_t narrow_tensors(const ir_graph *g) {
  uint32_t n = 0;
  for (const ir_node *q = g->body->first; q; q = q->next)
    for (uint32_t i = 0; q->op == OP_group && i < q->n_out; i++) n += q->out[i].type.dt == DT_bf16;
  return n;
}

static void any_graph_is_lowered(void **state) {
  (void)state;
  const char *given = getenv("NNC_SEED");
  uint64_t seed = given ? strtoull(given, NULL, 10) : 5100;
  uint32_t narrow = 0;
  for (uint64_t i = 0; i < 90; i++) {
    arena *a = arena_new(NULL);
    compile_job *j = bf16_job(a, levels[i % 3]);
    j->m = random_graph(a, &j->diags, seed + i);
    assert_non_null(j->m);
    if (!compile_passes(j) || !compile_lower(j))
      fail_msg("seed %llu: %s", (unsigned long long)(seed + i), engines_messages(&(engines){.job = *j}));
    narrow += narrow_tensors(j->m->graphs.at[0]);
    arena_free(a);
  }
  assert_true(narrow > 30); // or nothing was tried
}

// -- products, norms, attention, a padded convolution --

static const char layers[] =
    "dim n in 1..80\n"
    "weight w : f32[48,48]\nweight v : f32[40,48]\nweight c : f32[24,12,3,3]\n"
    "graph forward(%0 x: f32[n,48], %1 z: f32[1,12,7,7]) {\n"
    "  %2 = weight() {name=\"w\"} : f32[48,48]\n  %3 = weight() {name=\"v\"} : f32[40,48]\n"
    "  %4 = weight() {name=\"c\"} : f32[24,12,3,3]\n"
    "  %5 = contract(%0, %2) {map=\"m k, o k -> m o\"} : f32[n,48]\n"
    "  %6 = reshape(%5) {shape=[n,3,16]} : f32[n,3,16]\n"
    "  %7 = contract(%6, %6) {map=\"q h d, k h d -> h q k\"} : f32[3,n,n]\n"
    "  %8 = amax(%7) {axes=[2]} : f32[3,n]\n  %9 = reshape(%8) {shape=[3,n,1]} : f32[3,n,1]\n"
    "  %10 = broadcast(%9) {shape=[3,n,n]} : f32[3,n,n]\n  %11 = sub(%7, %10) : f32[3,n,n]\n"
    "  %12 = exp(%11) : f32[3,n,n]\n  %13 = sum(%12) {axes=[2]} : f32[3,n]\n"
    "  %14 = reshape(%13) {shape=[3,n,1]} : f32[3,n,1]\n  %15 = broadcast(%14) {shape=[3,n,n]} : f32[3,n,n]\n"
    "  %16 = div(%12, %15) : f32[3,n,n]\n"
    "  %17 = contract(%16, %6) {map=\"h q k, k h d -> q h d\"} : f32[n,3,16]\n"
    "  %18 = reshape(%17) {shape=[n,48]} : f32[n,48]\n"
    "  %19 = contract(%18, %2) {map=\"m k, o k -> m o\"} : f32[n,48]\n  %20 = add(%19, %0) : f32[n,48]\n"
    "  %21 = sum(%20) {axes=[1]} : f32[n]\n  %22 = reshape(%21) {shape=[n,1]} : f32[n,1]\n"
    "  %23 = broadcast(%22) {shape=[n,48]} : f32[n,48]\n  %24 = sub(%20, %23) : f32[n,48]\n"
    "  %25 = contract(%24, %3) {map=\"m k, o k -> m o\"} : f32[n,40]\n"
    "  %26 = contract(%1, %4) {map=\"n c (y+a-1) (x+b-1), o c a b -> n o y x; y = 7, x = 7, a = 3, b = 3\"} : "
    "f32[1,24,7,7]\n"
    "  %27 = tanh(%26) : f32[1,24,7,7]\n  %28 = sum(%27) {axes=[2,3]} : f32[1,24]\n"
    "  return y: %25, pooled: %28\n}\n";

typedef struct outputs {
  ir_tensor *at[2];
} outputs;

static double largest_error(const ir_tensor *want, const ir_tensor *got) {
  double error = 0, most = 0;
  for (int64_t i = 0; i < ir_tensor_count(want); i++) {
    double x = (double)((const float *)want->data)[i], y = (double)((const float *)got->data)[i];
    error = fmax(error, fabs(x - y));
    most = fmax(most, fabs(x));
  }
  return error / most;
}

static ir_tensor *uniform(arena *a, uint32_t rank, const int64_t *dim, double scale, uint64_t *state) {
  ir_tensor *t = ir_tensor_new(a, DT_f32, rank, dim);
  for (int64_t i = 0; i < ir_tensor_count(t); i++)
    ((float *)t->data)[i] = (float)(scale * (2 * random_unit(state) - 1));
  return t;
}

static ir_module *layers_with_weights(arena *a, diag_list *l) {
  ir_module *m = graph_parse(a, l, diag_add_file(l, "layers", str_of(layers)));
  assert_non_null(m);
  uint64_t state = 17;
  for (size_t i = 0; i < m->weights.n; i++) {
    int64_t dim[IR_MAX_RANK];
    for (uint32_t d = 0; d < m->weights.at[i]->type.rank; d++) idx_is_const(m->weights.at[i]->type.dim[d], &dim[d]);
    m->weights.at[i]->data = uniform(a, m->weights.at[i]->type.rank, dim, 0.2, &state)->data;
  }
  return m;
}

// Sums of the same products in another order differ little, but the difference may tip a rounding: by 2^-8 of one
// element, of which the sums behind it see a small part. What the pass itself loses is more: that much of each.
static void compiled_code_meets_the_narrow_graph(void **state) {
  (void)state;
  static const int64_t sizes[] = {1, 2, 7, 13, 31, 80};
  for (size_t level = 0; level < 3; level++) {
    if (!target_supported(target_find(levels[level]))) continue;
    arena *a = arena_new(NULL);
    engines e = {.job = *bf16_job(a, levels[level])};
    compile_job *j = &e.job;
    j->context.diags = &j->diags;
    e.plain = layers_with_weights(a, &j->diags);
    j->source = j->m = layers_with_weights(a, &j->diags);
    j->llvm = nnc_llvm_backend();
    j->weights_bound = true;
    if (!compile_passes(j) || !compile_lower(j) || !compile_object(j) || !compile_module(j, &e.module, NULL))
      fail_msg("%s", engines_messages(&e));
    assert_true(narrow_tensors(j->m->graphs.at[0]) >= 3);
    uint64_t seed = 3;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      const ir_tensor *const in[] = {uniform(a, 2, (const int64_t[]){sizes[s], 48}, 1, &seed),
                                     uniform(a, 4, (const int64_t[]){1, 12, 7, 7}, 1, &seed)};
      outputs exact, narrow, kernels, one, two;
      assert_true(interp_run(a, e.plain->graphs.at[0], in, exact.at, NULL));
      assert_true(interp_run(a, j->m->graphs.at[0], in, narrow.at, NULL));
      assert_true(engines_run_kernels(&e, a, in, kernels.at));
      assert_true(engines_run_jit(&e, a, in, one.at, 1) && engines_run_jit(&e, a, in, two.at, 2));
      for (int o = 0; o < 2; o++) {
        size_t bytes = (size_t)ir_tensor_count(one.at[o]) * sizeof(float);
        assert_memory_equal(one.at[o]->data, two.at[o]->data, bytes);
        assert_true(largest_error(narrow.at[o], kernels.at[o]) < 0x1p-10);
        assert_true(largest_error(narrow.at[o], one.at[o]) < 0x1p-10);
        double lost = largest_error(exact.at[o], one.at[o]);
        if (!(lost > 1e-6 && lost < 0x1p-6)) fail_msg("n = %lld, output %d: %g", (long long)sizes[s], o, lost);
      }
    }
    arena_free(a);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_graph_is_lowered),
      cmocka_unit_test(compiled_code_meets_the_narrow_graph),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
