// A tiny instance of every schedule under Oclgrind, a simulator that sees accesses out of bounds and data races which a
// device computes right by luck: its log must be empty. Skipped, with the reason, where it is not installed.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "op/agree.h"
#include "op/cl_agree.h"
#include "support/kernel_judge.h"
#include "support/routine_judge.h"
#include "op/random_graph.h"

#define ICD "/usr/lib/oclgrind/liboclgrind-rt-icd.so" // where Debian has it

// Sizes: heads, queries, keys, depth, width.
#define ATTENTION(H, M, N, D, E)                                                                                       \
  "graph forward(%0 u: f32[" #H "," #M "," #D "], %1 v: f32[" #H "," #N "," #D "], %2 w: f32[" #H "," #N "," #E        \
  "]) {\n"                                                                                                             \
  "  %3 = contract(%0, %1) {map=\"h m d, h n d -> h m n\"} : f32[" #H "," #M "," #N "]\n"                              \
  "  %4 = amax(%3) {axes=[2]} : f32[" #H "," #M "]\n"                                                                  \
  "  %5 = reshape(%4) {shape=[" #H "," #M ",1]} : f32[" #H "," #M ",1]\n"                                              \
  "  %6 = broadcast(%5) {shape=[" #H "," #M "," #N "]} : f32[" #H "," #M "," #N "]\n"                                  \
  "  %7 = sub(%3, %6) : f32[" #H "," #M "," #N "]\n"                                                                   \
  "  %8 = exp(%7) : f32[" #H "," #M "," #N "]\n"                                                                       \
  "  %9 = sum(%8) {axes=[2]} : f32[" #H "," #M "]\n"                                                                   \
  "  %10 = reshape(%9) {shape=[" #H "," #M ",1]} : f32[" #H "," #M ",1]\n"                                             \
  "  %11 = broadcast(%10) {shape=[" #H "," #M "," #N "]} : f32[" #H "," #M "," #N "]\n"                                \
  "  %12 = div(%8, %11) : f32[" #H "," #M "," #N "]\n"                                                                 \
  "  %13 = contract(%12, %2) {map=\"h m n, h n e -> h m e\"} : f32[" #H "," #M "," #E "]\n"                            \
  "  return y: %13\n}\n"

// Names of inputs and weights say what they hold: see random_graph.h.
static const struct {
  const char *schedule, *text;
} graphs[] = {
    {"elementwise, moved, f16", "graph forward(%0 u: f32[5,7], %1 v: f16[7,5]) {\n"
                                "  %2 = transpose(%1) {perm=[1,0]} : f16[5,7]\n"
                                "  %3 = cast(%2) {to=f32} : f32[5,7]\n"
                                "  %4 = add(%0, %3) : f32[5,7]\n"
                                "  return y: %4\n}\n"},
    {"contraction, packed", "weight u1 : f32[21,6]\n"
                            "graph forward(%0 u: f32[7,6]) {\n"
                            "  %1 = weight() {name=\"u1\"} : f32[21,6]\n"
                            "  %2 = contract(%0, %1) {map=\"s i, o i -> s o\"} : f32[7,21]\n"
                            "  %3 = exp(%2) : f32[7,21]\n"
                            "  return y: %3\n}\n"},
    {"contraction of bf16", "weight u1 : bf16[21,34]\n"
                            "graph forward(%0 u: bf16[19,34]) {\n"
                            "  %1 = weight() {name=\"u1\"} : bf16[21,34]\n"
                            "  %2 = contract(%0, %1) {map=\"s i, o i -> s o\"} : bf16[19,21]\n"
                            "  return y: %2\n}\n"},
    {"contraction of two inputs", "graph forward(%0 u: f32[2,5,9], %1 v: f32[2,9,11]) {\n"
                                  "  %2 = contract(%0, %1) {map=\"b s i, b i o -> b s o\"} : f32[2,5,11]\n"
                                  "  return y: %2\n}\n"},
    {"convolution and pool",
     "weight u1 : f32[5,3,3,3]\n"
     "graph forward(%0 u: f32[1,3,6,4]) {\n"
     "  %1 = weight() {name=\"u1\"} : f32[5,3,3,3]\n"
     "  %2 = contract(%0, %1) {map=\"n c (y+ky-1) (2*x+kx-1), o c ky kx -> n o y x; y = 6, x = 2\"} : f32[1,5,6,2]\n"
     "  %3 = amax(%2) {else=-inf, map=\"n c (2*y+ky-1) (x+kx) -> n c y x; y = 3, ky = 2, x = 1, kx = 2\"} : "
     "f32[1,5,3,1]\n"
     "  return y: %3\n}\n"},
    {"few rows with a weight", "dim n in 1..20\nweight u1 : f32[9,21]\n"
                               "graph forward(%0 u: f32[n,21]) {\n"
                               "  %1 = weight() {name=\"u1\"} : f32[9,21]\n"
                               "  %2 = contract(%0, %1) {map=\"s i, o i -> s o\"} : f32[n,9]\n"
                               "  return y: %2\n}\n"},
    {"a query with keys", "graph forward(%0 u: f32[2,21], %1 v: f32[2,5,21]) {\n"
                          "  %2 = contract(%0, %1) {map=\"b i, b o i -> b o\"} : f32[2,5]\n"
                          "  return y: %2\n}\n"},
    {"row", "graph forward(%0 u: f32[3,21]) {\n"
            "  %1 = amax(%0) {axes=[1]} : f32[3]\n"
            "  %2 = reshape(%1) {shape=[3,1]} : f32[3,1]\n"
            "  %3 = broadcast(%2) {shape=[3,21]} : f32[3,21]\n"
            "  %4 = sub(%0, %3) : f32[3,21]\n"
            "  %5 = exp(%4) : f32[3,21]\n"
            "  %6 = sum(%5) {axes=[1]} : f32[3]\n"
            "  %7 = argmax(%0) {axes=[1]} : i32[3]\n"
            "  %8 = sum(%5) {axes=[0]} : f32[21]\n"
            "  return s: %6, i: %7, t: %8\n}\n"},
    {"row of several workers", "graph forward(%0 u: f32[2,70]) {\n"
                               "  %1 = amax(%0) {axes=[1]} : f32[2]\n"
                               "  %2 = reshape(%1) {shape=[2,1]} : f32[2,1]\n"
                               "  %3 = broadcast(%2) {shape=[2,70]} : f32[2,70]\n"
                               "  %4 = sub(%0, %3) : f32[2,70]\n"
                               "  %5 = argmax(%0) {axes=[1]} : i32[2]\n"
                               "  return y: %4, i: %5\n}\n"},
    {"attention", ATTENTION(2, 9, 11, 5, 6)},
    {"attention, several blocks", ATTENTION(1, 18, 70, 17, 6)},
    {"attention, few queries", ATTENTION(1, 3, 70, 5, 6)},
    {"attention, one query, keys in parts", ATTENTION(1, 1, 520, 3, 2)},
    {"attention, linear and causal", "graph forward(%0 u: f32[1,70,2], %1 v: f32[1,70,2], %2 w: f32[1,70,2]) {\n"
                                     "  %3 = contract(%0, %1) {map=\"h m d, h n d -> h m n\"} : f32[1,70,70]\n"
                                     "  %4 = iota() {axis=2} : i32[1,70,70]\n"
                                     "  %5 = iota() {axis=1} : i32[1,70,70]\n"
                                     "  %6 = le(%4, %5) : bool[1,70,70]\n"
                                     "  %7 = const() {value=0} : f32[1,70,70]\n"
                                     "  %8 = where(%6, %3, %7) : f32[1,70,70]\n"
                                     "  %9 = sum(%8) {axes=[2]} : f32[1,70]\n"
                                     "  %10 = contract(%8, %2) {map=\"h m n, h n e -> h m e\"} : f32[1,70,2]\n"
                                     "  %11 = reshape(%9) {shape=[1,70,1]} : f32[1,70,1]\n"
                                     "  %12 = broadcast(%11) {shape=[1,70,2]} : f32[1,70,2]\n"
                                     "  %13 = div(%10, %12) : f32[1,70,2]\n"
                                     "  return y: %13\n}\n"},
    {"scan", "graph forward(%0 u: f32[6,9], %1 v: f32[3,7]) {\n"
             "  %2 = scan(%0) {axis=0, op=\"sum\"} : f32[6,9]\n"
             "  %3 = scan(%1) {axis=1, op=\"max\", reverse=1} : f32[3,7]\n"
             "  return a: %2, b: %3\n}\n"},
    {"scan of several workers", "graph forward(%0 u: f32[2,90]) {\n"
                                "  %1 = scan(%0) {axis=1, op=\"sum\"} : f32[2,90]\n"
                                "  return a: %1\n}\n"},
    {"gather", "graph forward(%0 u: f32[10,6], %1 g10_i: i32[7]) {\n"
               "  %2 = gather(%0, %1) {axis=0} : f32[7,6]\n"
               "  return y: %2\n}\n"},
    {"pad", "graph forward(%0 u: bf16[3,5]) {\n"
            "  %1 = pad(%0) {hi=[1,2], lo=[2,1], value=1} : bf16[6,8]\n"
            "  %2 = neg(%1) : bf16[6,8]\n"
            "  return y: %2\n}\n"},
};

static bool run_graph(cl_host *host, arena *a, const char *cpu, const char *text, strbuf *why) {
  diag_list l;
  agree_counts counts = {0};
  diag_init(&l, a);
  ir_module *m = graph_parse(a, &l, diag_add_file(&l, "graph", str_of(text)));
  if (m && graph_verify(m)) return engines_agree(a, m, 3, &(agree_device){cpu, cl_host_engine, host}, &counts, why);
  sb_z(why, messages_of(a, &l));
  return false;
}

// Several workers; without barriers they must be seen to race.
static const struct {
  const char *name;
  int64_t symbols[3];
} kernels[] = {{"gemm_gpu", {5, 3, 17}}, {"gemm_mma", {20, 11, 35}}, {"attention_gpu", {1, 1, 35}}};

static bool run_workers(cl_host *host, arena *a, bool barriers, strbuf *why) {
  for (size_t i = 0; i < (barriers ? sizeof kernels / sizeof *kernels : 1); i++) {
    const char *wrong = NULL;
    diag_list l;
    diag_init(&l, a);
    kir_kernel *k = kernel_file(a, &l, kernels[i].name, barriers);
    cl_host_kernel *c = k ? cl_host_compile(host, a, k, &wrong) : NULL;
    if (!k) wrong = messages_of(a, &l);
    if (c) wrong = cl_agree(a, c, k, kernels[i].symbols, 4e-6);
    if (c && !barriers) continue; // its numbers may be anything: the log is what counts
    if (wrong) sb_z(why, wrong);
    if (wrong) return false;
  }
  return true;
}

// Tiny, but an ordering longer than local memory holds.
static bool run_routines(cl_host *h, arena *a, strbuf *why) {
  static const char *const names[] = {"rt_order", "rt_scatter", "rt_compact", "rt_nms"};
  enum { ROUTINES = sizeof names / sizeof *names };
  routine_judge *j[ROUTINES];
  uint64_t seed = 1;
  const char *wrong = NULL;
  cl_host_set_target(h, "opencl-local-64");
  for (int i = 0; i < ROUTINES && !wrong; i++) j[i] = routine_judge_open(h, a, names[i], &wrong);
  if (!wrong) wrong = judge_order(j[0], a, DT_f16, 2, 9, 3, 4, true, &seed);
  if (!wrong) wrong = judge_order(j[0], a, DT_f32, 1, 1100, 1, 30, false, &seed);
  if (!wrong) wrong = judge_order(j[0], a, DT_i64, 1, 1100, 1, 1100, false, &seed);
  for (int mode = 0; mode < SCATTER_MODES && !wrong; mode++)
    wrong = judge_scatter(j[1], a, DT_f32, mode, 2, 5, 3 * mode + 1, 7, mode == 3, &seed);
  if (!wrong) wrong = judge_compact(j[2], a, DT_f32, 70, 3, 40, &seed);
  if (!wrong) wrong = judge_nms(j[3], a, 12, 9, &seed);
  if (wrong) sb_z(why, wrong);
  return !wrong;
}

// In a process of its own, which begins without OpenCL: the loader reads its environment once.
static int child(const char *log, bool barriers) {
  setenv("OCL_ICD_VENDORS", ICD, 1);
  setenv("OCLGRIND_DATA_RACES", "1", 1);
  setenv("OCLGRIND_LOG", log, 1);
  arena *a = arena_new(NULL);
  if (setjmp(*arena_guard(a))) return 1;
  strbuf why;
  sb_init(&why, a);
  const char *no_device = "";
  cl_host *host = cl_host_open(a, true, &no_device);
  bool ok = host && run_workers(host, a, barriers, &why) && (!barriers || run_routines(host, a, &why));
  static const char *const targets[] = {"opencl", "opencl-local-64", "opencl-local", "opencl-mma"};
  for (size_t t = 0; barriers && t < sizeof targets / sizeof *targets; t++)
    for (size_t i = 0; ok && i < sizeof graphs / sizeof *graphs; i++) {
      ok = run_graph(host, a, targets[t], graphs[i].text, &why);
      if (!ok) fprintf(stderr, "%s, %s: ", targets[t], graphs[i].schedule);
    }
  if (!ok) fprintf(stderr, "%s%s\n", no_device, sb_cstr(&why));
  arena_free(a);
  return ok ? 0 : 1;
}

// What Oclgrind wrote of the child's kernels.
static const char *simulate(arena *a, bool barriers) {
  diag_list l;
  str text;
  diag_init(&l, a);
  const char *log = str_fmt(a, NNC_BINARY_DIR "/oclgrind%d.log", (int)getpid());
  fflush(NULL);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) _exit(child(log, barriers));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) continue;
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_true(file_read(a, &l, log, 1 << 20, &text));
  unlink(log);
  return text.p;
}

static void no_races(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  if (access(ICD, R_OK) != 0) cl_host_skip(a, "there is no " ICD " (Debian: apt install oclgrind)");
  assert_string_equal(simulate(a, true), "");
  assert_non_null(strstr(simulate(a, false), "data race"));
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_races)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
