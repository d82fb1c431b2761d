// Products by warps, target opencl-mma: a whole model with --precision bf16, by the kernel interpreter and on a device
// beside the f32 interpreter; and its program with NVIDIA's instruction, made into machine code for two generations by
// clang and CUDA's assembler. Skipped, with the reason, where these are missing.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "op/cl_agree.h"
#include "op/random_graph.h"
#include "runtime/opencl/matrix_text.h"
#include "support/kernel_judge.h"
#include "support/random.h"

// Patches, six products in each of two layers, classes: all but the first, whose rows are the caller's f32, and the
// last, of few columns.
enum { PRODUCTS = 12 };

static void lower_digits(arena *a, engines *e, ir_tensor **in, ir_tensor **want) {
  compile_job *j = &e->job;
  assert_true(compile_begin(j, a, NNC_SOURCE_DIR "/models/vision/digits.yaml", NULL, NULL, "opencl-mma"));
  assert_true(compile_set_dtypes(j, NULL, "bf16") && compile_frontend(j) && compile_weights(j));
  uint64_t seed = 7;
  *in = ir_tensor_new(a, DT_f32, 3, (const int64_t[]){5, 8, 8});
  for (int64_t i = 0; i < ir_tensor_count(*in); i++)
    ((float *)(*in)->data)[i] = (float)(8 + 8 * (2 * random_unit(&seed) - 1));
  assert_true(interp_run(a, j->m->graphs.at[0], (const ir_tensor *const *)in, want, NULL));
  if (!compile_passes(j) || !compile_lower(j)) fail_msg("%s", engines_messages(e));
}

// The bound of docs/precision.md.
static double bound(const compile_job *j) {
  double n = 0;
  for (const ir_node *q = j->m->graphs.at[0]->body->first; q; q = q->next)
    for (uint32_t i = 0; q->op == OP_group && i < q->n_out; i++) n += q->out[i].type.dt == DT_bf16;
  return 1e-5 + 0x1p-7 * sqrt(n + 1);
}

static void a_model_is_multiplied_by_warps(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  cl_host *host = cl_host_or_skip(a, false);
  engines e = {0};
  ir_tensor *in, *want[2], *kernels[2], *device[2];
  lower_digits(a, &e, &in, want);
  assert_int_equal(engines_count(&e.job, " = mma "), PRODUCTS);
  const ir_tensor *const given[] = {in};
  if (!engines_run_kernels(&e, a, given, kernels)) fail_msg("%s", engines_messages(&e));
  if (!engines_run_kernels_by(&e, a, cl_host_engine, host, given, device)) fail_msg("%s", engines_messages(&e));
  double most = bound(&e.job);
  for (int i = 0; i < 2; i++) {
    print_message("output %d: kernels %.2g, device %.2g, of %.2g\n", i, engines_error(want[i], kernels[i]),
                  engines_error(want[i], device[i]), most);
    assert_true(engines_error(want[i], kernels[i]) < most && engines_error(want[i], device[i]) < most);
  }
  arena_free(a);
}

// Blocks of both sizes on ragged ends: of a target that is filled at once, and of one that never is.
static void blocks_of_both_sizes(void **state) {
  (void)state;
  arena *lasting = arena_new(NULL);
  cl_host *host = cl_host_or_skip(lasting, false);
  static const char *const heads[] = {"graph forward(%0 u: bf16[A,C], %1 v: bf16[B,C]) {\n"
                                      "  %2 = cast(%0) {to=f32} : f32[A,C]\n  %3 = cast(%1) {to=f32} : f32[B,C]\n",
                                      "graph forward(%0 u: bf16[C,A], %1 v: bf16[C,B]) {\n"
                                      "  %2 = cast(%0) {to=f32} : f32[C,A]\n  %3 = cast(%1) {to=f32} : f32[C,B]\n"};
  static const char *const maps[] = {"s i, o i -> s o", "i s, i o -> s o"};
  uint64_t seed = 11;
  for (uint32_t round = 0; round < 4; round++) {
    arena *a = arena_new(NULL);
    diag_list l;
    diag_init(&l, a);
    int64_t least = round % 2 ? 65 : 17; // smaller ones are never in large blocks
    const int64_t size[3] = {least + (int64_t)random_below(&seed, 130), least + (int64_t)random_below(&seed, 130),
                             1 + (int64_t)random_below(&seed, 70)};
    strbuf text;
    sb_init(&text, a);
    for (const char *p = heads[round / 2]; *p; p++) { // of capitals, these three alone stand there
      if (*p >= 'A' && *p <= 'C') sb_fmt(&text, "%lld", (long long)size[*p - 'A']);
      else sb_char(&text, *p);
    }
    sb_fmt(&text, "  %%4 = contract(%%2, %%3) {map=\"%s\"} : f32[%lld,%lld]\n  return y: %%4\n}\n", maps[round / 2],
           (long long)size[0], (long long)size[1]);
    engines e = {0};
    compile_job *j = &e.job;
    assert_true(compile_begin(j, a, "graph", NULL, NULL, "opencl-mma"));
    target *t = arena_copy(a, j->target, sizeof *t);
    t->busy_groups = round % 2 ? 1 : UINT32_MAX;
    j->target = j->context.target = t;
    j->m = graph_parse(a, &l, diag_add_file(&l, "graph", sb_str(&text)));
    if (!j->m) fail_msg("%s", messages_of(a, &l));
    ir_tensor *in[2], *want, *kernels, *device;
    for (int i = 0; i < 2; i++) {
      ir_type type = j->m->graphs.at[0]->body->params[i].type;
      int64_t dim[2];
      for (int d = 0; d < 2; d++) assert_true(idx_is_const(type.dim[d], &dim[d]));
      in[i] = ir_tensor_new(a, DT_bf16, 2, dim);
      random_fill(in[i], "u", &seed);
    }
    const ir_tensor *const given[] = {in[0], in[1]};
    assert_true(interp_run(a, j->m->graphs.at[0], given, &want, NULL));
    bool ok = compile_passes(j) && compile_lower(j) && engines_run_kernels(&e, a, given, &kernels) &&
              engines_run_kernels_by(&e, a, cl_host_engine, host, given, &device);
    if (!ok) fail_msg("%s", engines_messages(&e));
    assert_int_equal(engines_count(j, " = mma "), 1);
    str kernel = kir_fingerprint(j->set->kernels.at[j->set->entries.at[0]->steps.at[0].what], a);
    assert_non_null(strstr(str_dup(a, kernel), round % 2 ? "workers w: 256" : "workers w: 128"));
    if (!(engines_error(want, kernels) < 4e-6 && engines_error(want, device) < 4e-6)) // sums of exact products in f32
      fail_msg("%g, %g\n%s", engines_error(want, kernels), engines_error(want, device), sb_cstr(&text));
    arena_free(a);
  }
  arena_free(lasting);
}

// -- machine code --

static bool succeeds(const char *command) { return system(command) == 0; }

static const char *find_assembler(void) {
  static const char *const places[] = {"ptxas", "/usr/local/cuda/bin/ptxas"};
  for (size_t i = 0; i < 2; i++) {
    char command[128];
    snprintf(command, sizeof command, "%s --version >/dev/null 2>&1", places[i]);
    if (succeeds(command)) return places[i];
  }
  return NULL;
}

static uint32_t count(const char *text, const char *word) {
  uint32_t n = 0;
  for (const char *p = text; (p = strstr(p, word)); p += strlen(word)) n++;
  return n;
}

// Functions of OpenCL C stay calls to what the driver has; so the assembler is told not to look for them (-c).
static void the_instruction_assembles(void **state) {
  (void)state;
  const char *assembler = find_assembler();
  if (!assembler || !succeeds("clang --print-targets 2>/dev/null | grep -q nvptx64")) {
    print_message("skipped: %s\n", assembler ? "there is no clang for nvptx64" : "there is no ptxas of CUDA's");
    skip(); // no part of the project needs either: they assemble what a driver would
  }
  arena *a = arena_new(NULL);
  engines e = {0};
  ir_tensor *in, *want[2];
  strbuf source;
  str text;
  sb_init(&source, a);
  lower_digits(a, &e, &in, want);
  assert_true(compile_opencl(&e.job, NULL, NULL, &source));
  const char *name = str_fmt(a, NNC_BINARY_DIR "/mma%d", (int)getpid());
  assert_true(file_write(a, &e.job.diags, str_fmt(a, "%s.cl", name), sb_str(&source), 0600));
  const char *compile = str_fmt(
      a,
      "clang -x cl %s --target=nvptx64 -Xclang -finclude-default-header -march=sm_80 -O2 -S " RT_OPENCL_MATRIX_OPTION
      " -o %s.ptx %s.cl",
      OPENCL_BUILD_OPTIONS, name, name);
  if (!succeeds(compile)) fail_msg("%s", compile);
  assert_true(file_read(a, &e.job.diags, str_fmt(a, "%s.ptx", name), 1 << 24, &text));
  assert_true(count(text.p, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32") >= 16);  // 2 x 4 tiles, two steps
  assert_true(count(text.p, "ld.shared.u32") >= 16 && count(text.p, "ld.shared.u16") == 0); // pairs, as words
  static const char *const generations[] = {"sm_80", "sm_90"};
  for (size_t i = 0; i < 2; i++) {
    const char *assemble = str_fmt(a, "%s -c -arch=%s -o %s.cubin %s.ptx", assembler, generations[i], name, name);
    if (!succeeds(assemble)) fail_msg("%s", assemble);
  }
  static const char *const ends[] = {"cl", "ptx", "cubin"};
  for (size_t i = 0; i < 3; i++) unlink(str_fmt(a, "%s.%s", name, ends[i]));
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_model_is_multiplied_by_warps),
                                     cmocka_unit_test(blocks_of_both_sizes),
                                     cmocka_unit_test(the_instruction_assembles)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
