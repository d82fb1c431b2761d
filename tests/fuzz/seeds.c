// See seeds.h.
#include "seeds.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "codegen/plan/plan_write.h"
#include "ir/graph.h"
#include "passes/program.h"
#include "support.h"

// SEED(target, folder below the source tree, ending of the name)
#define SEEDS                                                                                                          \
  SEED(syntax, "tests/diag", ".yaml")                                                                                  \
  SEED(model, "tests/diag", ".yaml")                                                                                   \
  SEED(model, "tests/diag/lib", ".yaml")                                                                               \
  SEED(config, "tests/diag/lib", ".json")                                                                              \
  SEED(config, "tests/bert/odd", ".json")                                                                              \
  SEED(expr, "tests/docs", "calls.txt")                                                                                \
  SEED(graph, "tests/ir/text", ".ir")                                                                                  \
  SEED(graph, "tests/passes", ".nnir")                                                                                 \
  SEED(passes, "tests/passes", ".nnir")                                                                                \
  SEED(kernel, "tests/ir/kernels", ".kir")                                                                             \
  SEED(safetensors, "tests/data/tensorfile", ".safetensors")                                                           \
  SEED(npy, "tests/data/tensorfile", ".npy")                                                                           \
  SEED(npz, "tests/data/tensorfile", ".npz")                                                                           \
  SEED(png, "tests/data/tensorfile", ".png")

static void add(arena *a, const char *from, str bytes, fuzz_seeds *out) {
  if (bytes.n <= FUZZ_SEED_MOST_BYTES) vec_push(a, out, ((fuzz_seed){from, bytes}));
}

static bool ends_with(const char *name, const char *end) {
  size_t n = strlen(name), m = strlen(end);
  return n >= m && strcmp(name + n - m, end) == 0;
}

// How texts of several cases are divided: `----`, `====`, `%%% name`, `passes name`; in a list of calls each line is a
// case.
static bool divides(const char *from, str line) {
  if (ends_with(from, "calls.txt")) return true;
  if (line.n > 7 && !memcmp(line.p, "passes ", 7)) return true;
  return line.n >= 3 && (!memcmp(line.p, "---", 3) || !memcmp(line.p, "===", 3) || !memcmp(line.p, "%%%", 3));
}

static void add_cases(arena *a, const char *from, str text, fuzz_seeds *out) {
  bool calls = ends_with(from, "calls.txt");
  for (size_t begin = 0, at = 0; at < text.n;) {
    const char *newline = memchr(text.p + at, '\n', text.n - at);
    size_t end = newline ? (size_t)(newline - text.p) : text.n;
    str line = {text.p + at, end - at};
    if (divides(from, line)) {
      const char *colon = calls ? memchr(line.p, ':', line.n) : NULL;
      if (colon) add(a, from, (str){colon + 1, (size_t)(line.p + line.n - colon) - 1}, out);
      else if (at > begin) add(a, from, (str){text.p + begin, at - begin}, out);
      begin = end + 1;
    }
    at = end + 1;
    if (at >= text.n && begin < text.n && !calls) add(a, from, (str){text.p + begin, text.n - begin}, out);
  }
}

static int by_name(const void *x, const void *y) { return strcmp(*(char *const *)x, *(char *const *)y); }

// The files of a folder in order; none when there is no such folder.
static void add_folder(arena *a, const char *folder, const char *end, bool texts, fuzz_seeds *out) {
  const char *path = str_fmt(a, "%s/%s", NNC_SOURCE_DIR, folder);
  VEC(char *) names = {0};
  DIR *d = opendir(path);
  for (const struct dirent *e; d && (e = readdir(d));)
    if (e->d_name[0] != '.' && ends_with(e->d_name, end)) vec_push(a, &names, str_dup(a, str_of(e->d_name)));
  if (d) closedir(d);
  if (names.n) qsort(names.at, names.n, sizeof *names.at, by_name);
  for (size_t i = 0; i < names.n; i++) {
    diag_list l;
    str bytes;
    diag_init(&l, a);
    const char *from = str_fmt(a, "%s/%s", folder, names.at[i]);
    FUZZ_CHECK(file_read(a, &l, str_fmt(a, "%s/%s", path, names.at[i]), 1 << 24, &bytes));
    if (texts) add_cases(a, from, bytes, out);
    else add(a, from, bytes, out);
  }
}

// Plans are not kept as files, since their format is free to change: these are of the graphs of tests/passes.
static void add_plan(arena *a, fuzz_seed *from, fuzz_seeds *out) {
  diag_list l;
  diag_init(&l, a);
  ir_module *m = graph_parse(a, &l, diag_add_file(&l, "seed.ir", from->bytes));
  if (!m || !graph_verify(m)) return;
  pass_context c = {.a = a, .diags = &l, .target = target_find("x86-64-v3")};
  pass_options options = PASS_OPTIONS_INIT;
  program_set *set = pass_run_all(&c, m, &options, NULL) ? lower_module(&c, m) : NULL;
  plan_image plan;
  if (set && plan_write(a, &l, set, 0, &plan)) add(a, from->from, plan.blob, out);
}

void fuzz_seeds_of(arena *a, const char *name, fuzz_seeds *out) {
  static const char *const texts[] = {".yaml", ".ir", ".nnir", ".txt"};
#define SEED(row, folder, end)                                                                                         \
  if (!strcmp(name, #row)) {                                                                                           \
    bool cases = false;                                                                                                \
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) cases = cases || ends_with(end, texts[i]);               \
    add_folder(a, folder, end, cases, out);                                                                            \
  }
  SEEDS
#undef SEED
  if (!strcmp(name, "plan")) {
    fuzz_seeds graphs = {0};
    add_folder(a, "tests/passes", ".nnir", true, &graphs);
    for (size_t i = 0; i < graphs.n; i++) add_plan(a, &graphs.at[i], out);
  }
  add_folder(a, str_fmt(a, "tests/fuzz/seeds/%s", name), "", false, out);
}
