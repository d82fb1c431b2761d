// nnc compile, check, show, verify and bench on models: what they write, say and count.
#include "spawn.h"
#include "base/file.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

static double number(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  if (!json_is_number(v)) fail_msg("`%s` is no number", key);
  return json_number_value(v);
}

static void check_tells_what_a_model_is(void **state) {
  workplace *w = *state;
  const char *text = expect_status(w, 0, "check %s", DIGITS).out;
  assert_has(text, "digits: 69,066 parameters in 39 weights\n");
  assert_has(text, "  in   image                            f32[batch,8,8]\n");
  assert_has(text, "  out  probabilities                    f32[batch,10]\n");
  assert_has(text, "  batch                                 1..64\n");
  assert_has(text, "  layers.1.mlp.fc2.weight               f32[64,128]\n");
  assert_has(expect_status(w, 0, "check %s", TINY).out, "  time                                  4..32 step 4\n");
  // Another size by hand: patches 4*64+64, positions 16*64, 12 layers of 33,472, norm 2*64, head 650.
  assert_has(expect_status(w, 0, "check %s --set num_layers=12", DIGITS).out,
             "digits: 403,786 parameters in 199 weights\n");
}

static void check_as_json(void **state) {
  workplace *w = *state;
  const json_t *o = parse_json(w, expect_status(w, 0, "check %s --json", TINY).out), *t;
  assert_int_equal(number(o, "parameters"), 6 * 8 + 8);
  const json_t *entries = json_object_get(o, "entries"), *forward = json_array_get(entries, 0);
  assert_int_equal(json_array_size(entries), 2);
  assert_string_equal(json_string_value(json_object_get(forward, "name")), "forward");
  t = json_array_get(json_object_get(forward, "inputs"), 0);
  assert_string_equal(json_string_value(json_object_get(t, "name")), "x");
  assert_string_equal(json_string_value(json_object_get(t, "dtype")), "f32");
  assert_string_equal(json_string_value(json_array_get(json_object_get(t, "shape"), 1)), "time");
  assert_int_equal(json_integer_value(json_array_get(json_object_get(t, "shape"), 2)), 6);
  t = json_array_get(json_object_get(forward, "outputs"), 1);
  assert_string_equal(json_string_value(json_object_get(t, "name")), "total");
  assert_int_equal(json_array_size(json_object_get(t, "shape")), 1);
  assert_int_equal(json_array_size(json_object_get(o, "not_compiled")), 0);
}

static void check_names_what_is_not_compiled(void **state) {
  workplace *w = *state;
  write_text(w, "inverts.yaml",
             "nnc: 1\nname: inverts\ninputs:\n  x: f32[8, 8]\nsteps:\n- values: matrix_inverse(x)\noutputs:\n  "
             "values: values\n");
  nnc_run_result r = expect_status(w, 0, "check inverts.yaml");
  assert_has(r.out, "the CPU back end does not compile `inverse` yet (inverts.yaml:6)");
  const json_t *list =
      json_object_get(parse_json(w, expect_status(w, 0, "check inverts.yaml --json").out), "not_compiled");
  assert_int_equal(json_array_size(list), 1);
  assert_int_equal(number(json_array_get(list, 0), "line"), 6);
  expect_error(w, 1, "inverts.yaml:6:11: error: the CPU back end does not compile `inverse` yet",
               "run inverts.yaml --in x=iota");
}

static void check_reads_weights_when_asked(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "check %s --weights random", TINY);
  expect_error(w, 3, "cannot open absent.safetensors", "check %s --weights absent.safetensors", TINY);
  expect_error(w, 1, "lacks all of them", "check %s --weights %s/tests/data/digits_expected.safetensors", TINY,
               NNC_SOURCE_DIR);
}

static void compile_writes_a_library(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "compile %s", DIGITS); // digits.so and digits.h in this folder
  str header;
  assert_true(file_read(w->a, &w->l, in_folder(w, "digits.h"), 1 << 20, &header));
  assert_has(header.p, "digits_forward(");
  assert_has(expect_status(w, 0, "show digits.so --stage plan").out, "plan digits: version 4,");
  json_t *o = parse_json(w, expect_status(w, 0, "compile %s -o other.so --json", DIGITS).out);
  assert_string_equal(json_string_value(json_object_get(o, "output")), "other.so");
  assert_int_equal(number(o, "parameters"), 69066);
  assert_true(number(o, "kernels") >= 1 && number(o, "code_bytes") > 0 && number(o, "codegen_ms") > 0);
}

// A model without a kernel of its own: what it runs is a routine of the runtime, which the library brings along.
static void a_library_brings_routines(void **state) {
  workplace *w = *state;
  write_text(w, "order.yaml",
             "nnc: 1\nname: order\ndims:\n  n: 2..9\ninputs:\n  x: f32[3, n]\nsteps:\n- y, i: sort(x, 1)\n"
             "outputs:\n  y: y\n  i: i\n");
  expect_status(w, 0, "compile order.yaml -o order.so");
  expect_status(w, 0, "run order.so --in x=random:3 --dim n=7 --out y=y.npy --out i=i.npy");
  expect_status(w, 0, "run order.yaml --in x=random:3 --dim n=7 --out y=y_jit.npy --out i=i_jit.npy");
  const ir_tensor *y = read_tensor(w, "y.npy", NULL), *i = read_tensor(w, "i.npy", NULL);
  const float *v = y->data;
  for (int k = 0; k < 21; k++) assert_true(k % 7 == 0 || v[k - 1] <= v[k]);
  assert_memory_equal(v, read_tensor(w, "y_jit.npy", NULL)->data, 21 * sizeof *v);
  assert_memory_equal(i->data, read_tensor(w, "i_jit.npy", NULL)->data, 21 * sizeof(int32_t));
}

static void compile_emits_every_form(void **state) {
  workplace *w = *state;
  static const struct {
    const char *kind, *part;
  } forms[] = {{"graph", "graph forward("},
               {"kernel", "kernel k"},
               {"plan", "program forward("},
               {"llvm", "define "},
               {"asm", ".text"}};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    const char *text = expect_status(w, 0, "compile %s --emit %s", TINY, forms[i].kind).out;
    assert_has(text, forms[i].part);
    expect_status(w, 0, "compile %s --emit %s -o form.txt", TINY, forms[i].kind);
    str written;
    assert_true(file_read(w->a, &w->l, in_folder(w, "form.txt"), 1 << 24, &written));
    assert_string_equal(written.p, text);
  }
  str object;
  expect_status(w, 0, "compile %s --emit obj", TINY);
  assert_true(file_read(w->a, &w->l, in_folder(w, "tiny.o"), 1 << 24, &object));
  assert_memory_equal(object.p,
                      "\x7f"
                      "ELF",
                      4);
}

static void show_has_every_stage(void **state) {
  workplace *w = *state;
  const char *graph = expect_status(w, 0, "show %s", TINY).out;
  assert_has(graph, "dim time in 4..32 step 4\n");
  assert_has(graph, "= contract(");
  assert_not(graph, "= group(");
  assert_has(expect_status(w, 0, "show %s --stage fused", TINY).out, "= group(");
  assert_has(expect_status(w, 0, "show %s --stage kernel", TINY).out, "\nkernel k");
  const char *plan = expect_status(w, 0, "show %s --stage plan", TINY).out;
  assert_has(plan, "program prepare(");
  assert_has(
      plan,
      "program forward(x: f32[batch, time, 6], scale: f32[batch]) -> (y: f32[batch, time, 8], total: f32[batch])\n");
  assert_has(expect_status(w, 0, "show %s --format dot", TINY).out, "digraph \"tiny\" {");
  assert_has(expect_status(w, 0, "show %s --stage fused --format dot", TINY).out, "subgraph cluster_0 {");
}

// Buffers that live at the same time lie apart; all of them in the arena, at multiples of 64.
static void expect_apart(const char *table, unsigned long long arena_bytes) {
  unsigned long long offset[64], bytes[64];
  unsigned first[64], last[64];
  size_t n = 0;
  for (const char *row = strchr(strstr(table, "written by"), '\n') + 1; *row; row = strchr(row, '\n') + 1, n++) {
    assert_in_range(n, 0, 63);
    assert_int_equal(sscanf(row, "%llu %llu %u..%u", &offset[n], &bytes[n], &first[n], &last[n]), 4);
    assert_true(offset[n] % 64 == 0 && offset[n] + bytes[n] <= arena_bytes);
    for (size_t i = 0; i < n; i++) {
      bool together = first[i] <= last[n] && first[n] <= last[i];
      assert_true(!together || offset[i] + bytes[i] <= offset[n] || offset[n] + bytes[n] <= offset[i]);
    }
  }
  assert_true(n > 10);
}

static void show_memory_binds_dims(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "compile %s", DIGITS);
  unsigned long long one = 0, seven = 0, least_one = 0, least_seven = 0;
  const char *at = strstr(expect_status(w, 0, "show digits.so --stage memory").out, "arena ");
  assert_true(at && sscanf(at, "arena %llu bytes; no placement needs less than %llu", &one, &least_one) == 2);
  const char *table = expect_status(w, 0, "show digits.so --stage memory --dim batch=7").out;
  at = strstr(table, "arena ");
  assert_true(at && sscanf(at, "arena %llu bytes; no placement needs less than %llu", &seven, &least_seven) == 2);
  assert_true(one >= least_one && least_one > 0 && seven >= least_seven);
  expect_apart(table, seven);
  assert_true(least_seven == 7 * least_one); // every buffer grows with the batch
  expect_error(w, 1, "there is no dim `batches`", "show digits.so --stage memory --dim batches=7");
}

// By hand: y = h * scale reads x, weight, bias and scale; total reads y again, which is an output.
static void show_plan_counts_bytes(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "compile %s --weights random --cpu x86-64", TINY); // eight columns fill its tiles
  const char *text = expect_status(w, 0, "show tiny.so --stage plan --dim batch=3 --dim time=8").out;
  unsigned long long macs = 0, moved = 0, least = 0, placed = 0, least_placed = 0;
  const char *at = strstr(text, "  all steps once, at batch = 3, time = 8: ");
  if (!at) fail_msg("no totals:\n%s", text);
  assert_true(sscanf(at,
                     "  all steps once, at batch = 3, time = 8: %llu multiply-adds\n  moved %llu bytes, at least %llu",
                     &macs, &moved, &least) == 3);
  assert_int_equal(macs, 3 * 8 * 6 * 8);
  unsigned long long in = 4 * (3 * 8 * 6 + 6 * 8 + 8 + 3), out = 4 * (3 * 8 * 8 + 3);
  assert_int_equal(least, in + out);
  assert_int_equal(moved, in + out + 4 * 3 * 8 * 8);
  at = strstr(text, "  arena ");
  assert_true(at && sscanf(at, "  arena %llu bytes, at least %llu", &placed, &least_placed) == 2 &&
              placed >= least_placed);
  assert_has(text, "multiply-adds 1152  // ");
  assert_has(text, ", tiny.yaml:14\n");
  unsigned long long sum = 0, reads, writes;
  for (at = strstr(text, " reads "); at; at = strstr(at + 1, " reads ")) {
    assert_int_equal(sscanf(at, " reads %llu writes %llu", &reads, &writes), 2);
    sum += reads + writes;
  }
  assert_int_equal(sum, moved);
  assert_not(expect_status(w, 0, "compile %s --weights random --emit plan", TINY).out, " reads ");
}

// The smallest sizes do not fit each other: the plan is shown all the same.
static void show_plan_without_sizes(void **state) {
  workplace *w = *state;
  write_text(w, "cut.yaml",
             "nnc: 1\nname: cut\ndims:\n  n: 2..9\n  m: 3..9\ninputs:\n  x: f32[n]\n  z: f32[m]\nsteps:\n"
             "- y: x + z\noutputs:\n  y: y\n");
  const char *text = expect_status(w, 0, "show cut.yaml --stage plan").out;
  assert_has(text, "program forward(");
  assert_has(text, "// entry forward without sizes: line 10: broadcast: n must equal m\n");
  assert_not(text, "all steps once");
  assert_has(expect_status(w, 0, "show cut.yaml --stage plan --dim n=4 --dim m=4").out,
             "  moved 48 bytes, at least 48: 1.00 times\n");
}

static void pass_options_reach_the_passes(void **state) {
  workplace *w = *state;
  nnc_run_result r = expect_status(w, 0, "show %s --stage fused --pass-limit 0", TINY);
  assert_not(r.out, "= group(");
  assert_not(expect_status(w, 0, "show %s --stage fused --skip fuse", TINY).out, "= group(");
  assert_not(expect_status(w, 0, "show %s --stage fused --stop-after dce", TINY).out, "= group(");
  r = expect_status(w, 0, "show %s --stage fused --print-after dce --time-passes --round-trip", TINY);
  assert_has(r.err, "// after dce\n");
  assert_not(r.err, "// after fuse\n");
  assert_has(r.err, " nodes\n");
  r = expect_status(w, 0, "check %s --print-after all --explain", TINY);
  assert_has(r.err, "// after canon\n");
  assert_has(r.err, "// after fuse\n");
}

static void verify_agrees(void **state) {
  workplace *w = *state;
  const char *text = expect_status(w, 0, "verify %s --dim batch=3 --threads 2", DIGITS).out;
  assert_has(text, "verified: every output within 1e-05");
  assert_has(text, "  probabilities ");
  expect_status(w, 0, "verify %s --weights random --entry pick --dim batch=9", TINY);
  json_t *o = parse_json(w, expect_status(w, 0, "verify %s --json --bisect", DIGITS).out);
  assert_true(json_is_true(json_object_get(o, "ok")));
  assert_true(json_is_null(json_object_get(o, "first_difference")) && json_is_null(json_object_get(o, "pass")));
  assert_int_equal(json_array_size(json_object_get(o, "outputs")), 2);
  assert_true(number(json_array_get(json_object_get(o, "outputs"), 0), "max_rel") < 1e-5);
}

// A bound that no float arithmetic meets: the verdict is a failure with its place in the YAML.
static void verify_names_the_first_difference(void **state) {
  workplace *w = *state;
  nnc_run_result r = expect_status(w, 1, "verify %s --bound 1e-12 --bisect --in image=random:5 --dim batch=4", DIGITS);
  assert_has(r.out, "DIFFERS");
  assert_has(r.out, "FAILED: every output within 1e-12");
  assert_has(r.out, "first difference: step 0, `");
  assert_has(r.out, "patch_embedding`, " DIGITS ":34");
  json_t *o = parse_json(w, expect_status(w, 1, "verify %s --bound 1e-12 --json", DIGITS).out);
  assert_true(json_is_false(json_object_get(o, "ok")));
  assert_has(json_string_value(json_object_get(o, "first_difference")), "patch_embedding");
}

// Compiled code meets the interpreter on the narrow weights; what they cost grows as the bits go.
static void verify_tells_what_narrow_weights_cost(void **state) {
  workplace *w = *state;
  static const char *const dtypes[] = {"f16", "bf16", "q8", "q4"};
  static const double most[] = {1e-3, 1e-2, 3e-2, 0.3}; // of the mean, over two layers of random weights
  double before = 0;
  for (size_t i = 0; i < 4; i++) {
    const char *zoo = NNC_SOURCE_DIR "/tests/zoo/gpt2-plain", *model = NNC_SOURCE_DIR "/models/transformer/gpt2.yaml";
    nnc_run_result r = expect_status(w, 0,
                                     "verify %s --config %s/config.json --weights %s/model.safetensors --json "
                                     "--weights-dtype %s --threads 2",
                                     model, zoo, zoo, dtypes[i]);
    const json_t *o = parse_json(w, r.out), *one = json_array_get(json_object_get(o, "outputs"), 0);
    assert_string_equal(json_string_value(json_object_get(o, "weights_dtype")), dtypes[i]);
    assert_true(number(one, "max_rel") < 1e-5);
    const json_t *cost = json_object_get(one, "against_f32");
    double mean = number(cost, "mean_rel");
    if (!(mean > before && mean < most[i])) fail_msg("%s: mean error %g", dtypes[i], mean);
    assert_true(number(cost, "max_abs") > 0 && number(cost, "cosine") > 0.95 && number(cost, "cosine") < 1);
    before = mean;
  }
  const char *text = expect_status(w, 0, "verify %s --weights-dtype q8 --calls 2 --bisect", DIGITS).out;
  assert_has(text, "weights as q8, against the model as written\n");
  assert_has(text, "mean rel.");
  assert_not(expect_status(w, 0, "verify %s --weights-dtype f32", DIGITS).out, "as written");
}

static long long size_of_file(workplace *w, const char *name) {
  struct stat s;
  assert_int_equal(stat(in_folder(w, name), &s), 0);
  return (long long)s.st_size;
}

static void narrow_weights_make_small_libraries(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "compile %s -o f32.so --weights-mode file", DIGITS);
  expect_status(w, 0, "compile %s -o q8.so --weights-mode file --weights-dtype q8", DIGITS);
  expect_status(w, 0, "compile %s -o q4.so --weights-mode file --weights-dtype q4", DIGITS);
  long long f32 = size_of_file(w, "f32.weights"), q8 = size_of_file(w, "q8.weights");
  assert_true(q8 < f32 * 35 / 100 && q8 > f32 * 25 / 100); // most of digits are matrices
  assert_true(size_of_file(w, "q4.weights") < q8 * 3 / 4);
  expect_status(w, 0, "run q4.so --in image=random:1 --dim batch=2");
  expect_error(w, 2, "`--weights-dtype` does not take `q5`", "check %s --weights-dtype q5", DIGITS);
  expect_error(w, 2, "a .so is compiled already", "run q4.so --weights-dtype q4 --dim batch=2");
}

// What PyTorch 2 loses when the same weights and inputs are all bf16 (mean error of last_hidden_state relative to f32,
// tokens 0.. of tests/bert/gelu): 0.0098. Sums, norms and softmax in f32 must lose less.
static void bf16_loses_less_than_pytorch(void **state) {
  workplace *w = *state;
  const char *folder = NNC_SOURCE_DIR "/tests/bert/gelu", *model = NNC_SOURCE_DIR "/models/transformer/bert.yaml";
  nnc_run_result r = expect_status(w, 0,
                                   "verify %s --config %s/config.json --weights %s/model.safetensors --in "
                                   "input_ids=random:3 --dim seq=40 --dim batch=4 --precision bf16 --json",
                                   model, folder, folder);
  const json_t *o = parse_json(w, r.out), *one = json_array_get(json_object_get(o, "outputs"), 0);
  assert_string_equal(json_string_value(json_object_get(o, "precision")), "bf16");
  assert_true(number(one, "mean_rel") > 1e-3 && number(one, "mean_rel") < 0.0098);
  assert_true(number(one, "cosine") > 0.9999 && number(one, "cosine") < 1);
  assert_true(number(o, "bound") > 0.01 && number(o, "bound") < 0.05);
  const char *text = expect_status(w, 0, "verify %s --precision bf16", DIGITS).out;
  assert_has(text, "mean rel.");
  expect_status(w, 1, "verify %s --precision bf16 --bound 1e-4", DIGITS); // it is not f32
  assert_has(expect_status(w, 0, "check %s --precision bf16 --explain", DIGITS).err,
             "precision: contract_add_add layers.0.mlp.fc2 stores bf16[batch,16,64]\n");
  expect_error(w, 2, "`--precision` does not take `f16`", "run %s --precision f16", DIGITS);
}

// The bytes of a file of at most 4096.
static str bytes_of(workplace *w, const char *name) {
  char *at = ARENA_ARRAY(w->a, char, 4096);
  FILE *f = fopen(in_folder(w, name), "rb");
  assert_non_null(f);
  size_t n = fread(at, 1, 4096, f);
  fclose(f);
  return (str){at, n};
}

// In process on one thread, and as a library on two.
static void bf16_gives_the_same_bits_everywhere(void **state) {
  workplace *w = *state;
  const char *in = "--in image=random:9 --dim batch=5";
  expect_status(w, 0, "run %s %s --precision bf16 --threads 1 --out logits=a.npy", DIGITS, in);
  expect_status(w, 0, "compile %s -o bf16.so --precision bf16", DIGITS);
  expect_status(w, 0, "run bf16.so %s --threads 2 --out logits=b.npy", in);
  expect_status(w, 0, "run %s %s --threads 1 --out logits=c.npy", DIGITS, in);
  str a = bytes_of(w, "a.npy"), b = bytes_of(w, "b.npy"), c = bytes_of(w, "c.npy");
  assert_true(str_eq(a, b) && !str_eq(a, c));
  expect_error(w, 2, "a .so is compiled already", "run bf16.so --precision bf16 --dim batch=2");
}

// Another function, said at every attention, and computed as the interpreter computes it.
static void approximation_is_loud(void **state) {
  workplace *w = *state;
  nnc_run_result r = expect_status(w, 0, "verify %s --approx linear-attention=elu1", DIGITS);
  assert_has(r.err, "warning: approximated: this attention computes something else");
  const char *exact = expect_status(w, 0, "run %s --in image=random:1", DIGITS).out;
  r = expect_status(w, 0, "run %s --in image=random:1 --approx linear-attention=elu1", DIGITS);
  assert_has(r.err, "warning: approximated");
  assert_string_not_equal(r.out, exact);
  expect_error(w, 2, "`--approx` does not take `elu`", "run %s --approx elu", DIGITS);
}

static void bench_counts_and_measures(void **state) {
  workplace *w = *state;
  const json_t *o =
      parse_json(w, expect_status(w, 0, "bench %s --dim batch=3 --runs 20 --warmup 2 --threads 2 --json", DIGITS).out);
  // By hand, for one image: 16 tokens; patches 4*64; 2 layers of 4*64*64 + 2*64*128 a token and 2*16*16*64 for
  // attention; head 64*10.
  double products = 16.0 * 4 * 64 + 2 * (16.0 * (4 * 64 * 64 + 2 * 64 * 128) + 2 * 16 * 16 * 64) + 64 * 10;
  assert_true(number(o, "flops") == 3 * 2 * products);
  assert_int_equal(number(o, "runs"), 20);
  assert_int_equal(number(o, "threads"), 2);
  assert_true(number(o, "p10_ms") > 0 && number(o, "p10_ms") <= number(o, "median_ms") &&
              number(o, "median_ms") <= number(o, "p90_ms"));
  assert_true(fabs(number(o, "gflops") - number(o, "flops") / number(o, "median_ms") * 1e-6) <
              1e-3 * number(o, "gflops"));
  assert_true(number(o, "compile_ms") > 0 && number(o, "prepare_ms") > 0 && number(o, "kernels") >= 1);
  assert_true(number(o, "peak_rss_bytes") > 1 << 20 && number(o, "arena_bytes") > 0);
  assert_true(number(o, "bytes_moved") > 69066 * 4.0); // every weight at least once
  assert_true(number(o, "peak_gflops") > 0 && number(o, "percent_of_peak") > 0);
  assert_true(json_is_string(json_object_get(o, "cpu")));
}

// By hand, for a small MobileNet: images of 31 become 16 and 8 wide; borders of convolutions multiply nothing.
static void bench_counts_convolutions(void **state) {
  workplace *w = *state;
  const char *small = NNC_SOURCE_DIR "/tests/bench/mobilenet_v1";
  const json_t *o = parse_json(w, expect_status(w, 0,
                                                "bench %s.yaml --config %s/config.json --weights "
                                                "%s/model.safetensors --runs 1 --json",
                                                small, small, small)
                                      .out);
  double wide = 16 * 16 * (27 * 5 + 9 * 5 + 5 * 9), narrow = 8 * 8 * (9 * 9 + 9 * 17 + 9 * 17 + 17 * 17);
  assert_true(number(o, "flops") == 2 * (wide + narrow + 17 * 7));
}

static void bench_of_a_library(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "compile %s", DIGITS);
  const json_t *o = parse_json(w, expect_status(w, 0, "bench digits.so --dim batch=3 --runs 5 --json").out);
  assert_true(
      number(o, "flops") ==
      number(parse_json(w, expect_status(w, 0, "bench %s --dim batch=3 --runs 5 --json", DIGITS).out), "flops"));
  assert_true(number(o, "median_ms") > 0 && number(o, "bytes_moved") > 69066 * 4.0);
  assert_int_equal(number(json_object_get(o, "dims"), "batch"), 3);
  assert_has(expect_status(w, 0, "bench %s --runs 5", DIGITS).out, "% of the measured peak");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(check_tells_what_a_model_is),
      cmocka_unit_test(check_as_json),
      cmocka_unit_test(check_names_what_is_not_compiled),
      cmocka_unit_test(check_reads_weights_when_asked),
      cmocka_unit_test(compile_writes_a_library),
      cmocka_unit_test(a_library_brings_routines),
      cmocka_unit_test(compile_emits_every_form),
      cmocka_unit_test(show_has_every_stage),
      cmocka_unit_test(show_memory_binds_dims),
      cmocka_unit_test(show_plan_counts_bytes),
      cmocka_unit_test(show_plan_without_sizes),
      cmocka_unit_test(pass_options_reach_the_passes),
      cmocka_unit_test(verify_agrees),
      cmocka_unit_test(verify_names_the_first_difference),
      cmocka_unit_test(verify_tells_what_narrow_weights_cost),
      cmocka_unit_test(narrow_weights_make_small_libraries),
      cmocka_unit_test(bf16_loses_less_than_pytorch),
      cmocka_unit_test(bf16_gives_the_same_bits_everywhere),
      cmocka_unit_test(approximation_is_loud),
      cmocka_unit_test(bench_counts_and_measures),
      cmocka_unit_test(bench_counts_convolutions),
      cmocka_unit_test(bench_of_a_library),
  };
  return cmocka_run_group_tests(tests, workplace_open, workplace_close);
}
