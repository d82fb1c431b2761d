// bf16 between kernels (passes/precision.c), and bytes in products (passes/quantize.c): any graph still verifies, reads
// back, is scheduled and runs on every CPU level; compiled code meets the interpreter on the very graph that the pass
// made, where the same roundings stand; and what is lost against the graph as written is what one rounding of each
// tensor may lose.
#include "op/engines.h"
#include "op/random_graph.h"
#include "support/amx_emulate.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static const char *const precisions[] = {"bf16", "int8"};
static const char *const levels[] = {"x86-64", "x86-64-v3", "x86-64-v4", "x86-64-v4-bf16"};
enum { LEVELS = sizeof levels / sizeof *levels };

static compile_job *narrow_job(arena *a, const char *level, const char *precision) {
  compile_job *j = ARENA_NEW(a, compile_job);
  bool runs = target_supported(target_find(level));
  assert_true(compile_begin(j, a, "graph", NULL, NULL, runs ? level : "x86-64"));
  j->context.target = runs ? j->target : target_find(level); // its schedules
  assert_true(compile_set_dtypes(j, NULL, precision));
  j->passes.round_trip = true;
  return j;
}

static uint32_t narrow_tensors(const ir_graph *g) {
  uint32_t n = 0;
  for (const ir_node *q = g->body->first; q; q = q->next)
    for (uint32_t i = 0; q->op == OP_group && i < q->n_out; i++)
      n += q->out[i].type.dt == DT_bf16 || q->out[i].type.dt == DT_u8;
  return n;
}

static void any_graph_is_lowered(void **state) {
  (void)state;
  const char *given = getenv("NNC_SEED");
  uint64_t seed = given ? strtoull(given, NULL, 10) : 5100;
  uint32_t narrow = 0;
  for (uint64_t i = 0; i < 120; i++) {
    arena *a = arena_new(NULL);
    compile_job *j = narrow_job(a, levels[i % LEVELS], precisions[i / LEVELS % 2]);
    strbuf text; // as it reads back: the generator numbers values in an order of its own
    sb_init(&text, a);
    graph_print(&text, random_graph(a, &j->diags, seed + i), false);
    j->m = graph_parse(a, &j->diags, diag_add_file(&j->diags, "random", sb_str(&text)));
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

static ir_tensor *uniform(arena *a, uint32_t rank, const int64_t *dim, double scale, uint64_t *state) {
  ir_tensor *t = ir_tensor_new(a, DT_f32, rank, dim);
  for (int64_t i = 0; i < ir_tensor_count(t); i++)
    ((float *)t->data)[i] = (float)(scale * (2 * random_unit(state) - 1));
  return t;
}

static void give_weights(arena *a, ir_module *m, uint64_t seed) {
  for (size_t i = 0; i < m->weights.n; i++) {
    int64_t dim[IR_MAX_RANK];
    for (uint32_t d = 0; d < m->weights.at[i]->type.rank; d++) idx_is_const(m->weights.at[i]->type.dim[d], &dim[d]);
    m->weights.at[i]->data = uniform(a, m->weights.at[i]->type.rank, dim, 0.2, &seed)->data;
  }
}

static ir_module *layers_with_weights(arena *a, diag_list *l) {
  ir_module *m = graph_parse(a, l, diag_add_file(l, "layers", str_of(layers)));
  assert_non_null(m);
  give_weights(a, m, 17);
  return m;
}

// Sums of the same products in another order differ little, but the difference may tip a rounding: by 2^-8 of one
// element, of which the sums behind it see a small part. What the pass itself loses is more: that much of each.
static void compiled_code_meets_the_narrow_graph(void **state) {
  (void)state;
  static const int64_t sizes[] = {1, 2, 7, 13, 31, 80};
  for (size_t i = 0; i < 2 * LEVELS; i++) {
    size_t level = i / 2, p = i % 2;
    if (!target_supported(target_find(levels[level]))) continue;
    arena *a = arena_new(NULL);
    engines e = {.job = *narrow_job(a, levels[level], precisions[p])};
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
        double in_kernels = engines_error(narrow.at[o], kernels.at[o]),
               in_code = engines_error(narrow.at[o], one.at[o]);
        // Attention that multiplies pairs rounds its weights too, which the graph does not say: by 2^-9 of each.
        // Bytes: another rounding of a neighbour tips one by a 127th of its row's largest, of which sums see a small
        // part.
        double bound = p ? 0x1p-7 : e.job.target->has_bf16 ? 0x1p-8 : 0x1p-10;
        if (!(in_kernels < bound && in_code < bound))
          fail_msg("%s, n = %lld, output %d: kernels %g, code %g", levels[level], (long long)sizes[s], o, in_kernels,
                   in_code);
        double lost = engines_error(exact.at[o], one.at[o]);
        if (!(lost > 1e-6 && lost < (p ? 0x1p-5 : 0x1p-6)))
          fail_msg("n = %lld, output %d: %g", (long long)sizes[s], o, lost);
      }
    }
    arena_free(a);
  }
}

// -- matrix registers --

// A layer whose result is bf16 in memory, and one that multiplies it: with a bias, what is added in place, or neither;
// in batches, by heads, with rows that are known or open.
static const char *two_layers(arena *a, uint64_t *state) {
  static const int depths[] = {32, 64, 96, 160}, widths[] = {2, 7, 16, 17, 31, 32, 33, 64, 97},
                   rows[] = {5, 31, 32, 64, 77};
  int depth = depths[random_below(state, 4)], width = widths[random_below(state, 9)];
  const char *m = random_below(state, 2) ? "n" : str_fmt(a, "%d", rows[random_below(state, 5)]);
  const char *b = random_below(state, 3) ? "" : "3,", *label = *b ? "b " : "";
  bool adds = random_below(state, 2), turned = random_below(state, 2);
  const char *w = turned ? str_fmt(a, "%d,%d", width, depth) : str_fmt(a, "%d,%d", depth, width);
  return str_fmt(a,
                 "dim n in 1..100\nweight v : f32[%d,40]\nweight w : f32[%s]\nweight bias : f32[%d]\n"
                 "graph forward(%%0 x: f32[%s%s,40], %%1 old: f32[%s%s,%d]) {\n"
                 "  %%2 = weight() {name=\"v\"} : f32[%d,40]\n  %%3 = weight() {name=\"w\"} : f32[%s]\n"
                 "  %%4 = weight() {name=\"bias\"} : f32[%d]\n"
                 "  %%5 = contract(%%0, %%2) {map=\"%sm k, o k -> %sm o\"} : f32[%s%s,%d]\n"
                 "  %%6 = tanh(%%5) : f32[%s%s,%d]\n"
                 "  %%7 = contract(%%6, %%3) {map=\"%sm k, %s -> %sm o\"} : f32[%s%s,%d]\n"
                 "  %%8 = broadcast(%%4) {shape=[%s%s,%d]} : f32[%s%s,%d]\n"
                 "  %%9 = add(%%7, %%8) : f32[%s%s,%d]\n  %%10 = add(%%9, %s) : f32[%s%s,%d]\n  return y: %%10\n}\n",
                 depth, w, width, b, m, b, m, width, depth, w, width, label, label, b, m, depth, b, m, depth, label,
                 turned ? "o k" : "k o", label, b, m, width, b, m, width, b, m, width, b, m, width, adds ? "%1" : "%7",
                 b, m, width);
}

static ir_tensor *input(arena *a, const ir_module *m, uint32_t which, int64_t n, uint64_t *state) {
  ir_type t = m->graphs.at[0]->body->params[which].type;
  int64_t dim[IR_MAX_RANK];
  for (uint32_t i = 0; i < t.rank; i++)
    if (!idx_is_const(t.dim[i], &dim[i])) dim[i] = n;
  return uniform(a, t.rank, dim, 1, state);
}

// By the processor, or emulated; on the level of this machine with AMX beside it.
static void agrees_in_matrix_registers(const char *text, uint64_t *seed) {
  bool native = amx_make_ready();
  arena *a = arena_new(NULL);
  engines e = {.job = *narrow_job(a, target_supported(target_find("x86-64-v4")) ? "x86-64-v4" : "x86-64-v3", "bf16")};
  compile_job *j = &e.job;
  target *t = arena_copy(a, j->target, sizeof *t);
  t->has_amx = true;
  j->target = j->context.target = t;
  j->context.diags = &j->diags;
  j->source = j->m = graph_parse(a, &j->diags, diag_add_file(&j->diags, "layers", str_of(text)));
  if (!j->m) fail_msg("%s\n%s", engines_messages(&e), text);
  give_weights(a, j->m, random_below(seed, 1000));
  j->llvm = nnc_llvm_backend();
  j->weights_bound = true;
  if (!compile_passes(j) || !compile_lower(j) || !compile_object(j) || !compile_module(j, &e.module, NULL))
    fail_msg("%s\n%s", engines_messages(&e), text);
  assert_true(narrow_tensors(j->m->graphs.at[0]) >= 2 + 1); // both weights, and the layer between
  for (int64_t n = 1; n < 100; n += 20 + (int64_t)random_below(seed, 40)) {
    const ir_tensor *const in[] = {input(a, j->m, 0, n, seed), input(a, j->m, 1, n, seed)};
    ir_tensor *want, *kernels, *one = NULL, *two = NULL;
    uint64_t before = amx_emulated();
    assert_true(interp_run(a, j->m->graphs.at[0], in, &want, NULL) && engines_run_kernels(&e, a, in, &kernels));
    assert_true(engines_run_jit(&e, a, in, &one, 1) && engines_run_jit(&e, a, in, &two, 2));
    assert_memory_equal(one->data, two->data, (size_t)ir_tensor_count(one) * sizeof(float));
    if (!native && amx_emulated() == before) fail_msg("no product in matrix registers\n%s", text);
    double in_kernels = engines_error(want, kernels), in_code = engines_error(want, one);
    if (!(in_kernels < 0x1p-9 && in_code < 0x1p-9))
      fail_msg("n = %lld: kernels %g, code %g\n%s", (long long)n, in_kernels, in_code, text);
  }
  arena_free(a);
}

static void products_are_made_in_matrix_registers(void **state) {
  (void)state;
  if (!target_supported(target_find("x86-64-v3"))) skip();
  uint64_t seed = 77;
  arena *a = arena_new(NULL);
  for (int i = 0; i < 12; i++) agrees_in_matrix_registers(two_layers(a, &seed), &seed);
  arena_free(a);
}

// Windows: loops around the channels. Padding, stride, and one image or several.
static void convolutions_are_made_in_matrix_registers(void **state) {
  (void)state;
  if (!target_supported(target_find("x86-64-v3"))) skip();
  uint64_t seed = 5;
  arena *a = arena_new(NULL);
  for (int i = 0; i < 4; i++) {
    int stride = 1 + i % 2, pad = i / 2 % 2, channels = i < 2 ? 32 : 64, out = 3 + 14 * i;
    int height = (9 + 2 * pad - 3) / stride + 1, width = (11 + 2 * pad - 3) / stride + 1;
    agrees_in_matrix_registers(
        str_fmt(
            a,
            "dim n in 1..100\nweight v : f32[%d,5]\nweight w : f32[%d,%d,3,3]\n"
            "graph forward(%%0 x: f32[2,5,9,11], %%1 old: f32[n]) {\n  %%2 = weight() {name=\"v\"} : f32[%d,5]\n"
            "  %%3 = weight() {name=\"w\"} : f32[%d,%d,3,3]\n"
            "  %%4 = contract(%%0, %%2) {map=\"n c y x, o c -> n o y x\"} : f32[2,%d,9,11]\n"
            "  %%5 = tanh(%%4) : f32[2,%d,9,11]\n"
            "  %%6 = contract(%%5, %%3) {map=\"n c (y*%d+p-%d) (x*%d+q-%d), o c p q -> n o y x; y = %d, x = %d, p = 3, "
            "q = 3\"} : f32[2,%d,%d,%d]\n  return y: %%6\n}\n",
            channels, out, channels, channels, out, channels, channels, channels, stride, pad, stride, pad, height,
            width, out, height, width),
        &seed);
  }
  arena_free(a);
}

// A whole model: its two layers have six products each. Attention beside it stays in vectors.
static void a_model_runs_in_matrix_registers(void **state) {
  (void)state;
  if (!target_supported(target_find("x86-64-v3"))) skip();
  bool native = amx_make_ready();
  uint64_t seed = 6, before = amx_emulated();
  for (int amx = 0; amx < 2; amx++) {
    arena *a = arena_new(NULL);
    engines e = {0};
    compile_job *j = &e.job;
    assert_true(compile_begin(j, a, NNC_SOURCE_DIR "/models/vision/digits.yaml", NULL, NULL, "x86-64-v3"));
    assert_true(compile_set_dtypes(j, NULL, "bf16") && compile_frontend(j) && compile_weights(j));
    target *t = arena_copy(a, j->target, sizeof *t);
    t->has_amx = amx;
    j->target = j->context.target = t;
    j->llvm = nnc_llvm_backend();
    const ir_tensor *const in[] = {uniform(a, 3, (const int64_t[]){3, 8, 8}, 8, &seed)};
    outputs want, got;
    assert_true(interp_run(a, j->m->graphs.at[0], in, want.at, NULL));
    if (!compile_passes(j) || !compile_lower(j) || !compile_object(j) || !compile_module(j, &e.module, NULL))
      fail_msg("%s", engines_messages(&e));
    assert_int_equal(engines_count(j, "{bf16}"), amx ? 12 : 0);
    assert_true(engines_run_jit(&e, a, in, got.at, 1));
    assert_true(engines_error(want.at[0], got.at[0]) < 0x1p-5 && engines_error(want.at[1], got.at[1]) < 0x1p-5);
    assert_true(native || (amx_emulated() > before) == amx);
    arena_free(a);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_graph_is_lowered),
      cmocka_unit_test(compiled_code_meets_the_narrow_graph),
      cmocka_unit_test(products_are_made_in_matrix_registers),
      cmocka_unit_test(convolutions_are_made_in_matrix_registers),
      cmocka_unit_test(a_model_runs_in_matrix_registers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
