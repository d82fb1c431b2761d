// Random legal graphs with ragged dims on an OpenCL device, judged as in agree.h; skipped, with the reason, where there
// is no device.
//
//   NNC_SEED    first seed (1)      NNC_GRAPHS  how many (16; under ASan 4; 30 with NNC_CASES=all)      NNC_GRAPH  a
//   file of one graph to run instead
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/file.h"
#include "op/agree.h"
#include "op/cl_agree.h"
#include "op/random_graph.h"

#ifdef __SANITIZE_ADDRESS__ // what takes the time, the driver's compiler, is not checked
enum { GRAPHS = 4 };
#else
enum { GRAPHS = 16 };
#endif

static uint64_t number(const char *name, uint64_t usual) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : usual;
}

static const char *const targets[] = {"opencl", "opencl-local", "opencl-local-64"};

static ir_module *graph_of(arena *a, diag_list *l, uint64_t seed) {
  const char *path = getenv("NNC_GRAPH");
  str text;
  if (!path) return random_graph(a, l, seed);
  return file_read(a, l, path, 1 << 20, &text) ? graph_parse(a, l, diag_add_file(l, path, text)) : NULL;
}

static void graphs_agree(void **state) {
  (void)state;
  arena *lasting = arena_new(NULL);
  cl_host *host = cl_host_or_skip(lasting, false);
  uint64_t first = number("NNC_SEED", 1),
           n = getenv("NNC_GRAPH") ? 1 : number("NNC_GRAPHS", getenv("NNC_CASES") ? 30 : GRAPHS), failed = 0;
  agree_counts counts = {0};
  for (uint64_t seed = first; seed < first + n; seed++) {
    arena *a = arena_new(NULL);
    diag_list l;
    strbuf why;
    diag_init(&l, a);
    sb_init(&why, a);
    ir_module *m = graph_of(a, &l, seed);
    assert_non_null(m);
    agree_device device = {targets[seed % (sizeof targets / sizeof *targets)], cl_host_engine, host};
    if (!engines_agree(a, m, seed, &device, &counts, &why)) {
      print_error("seed %llu: %s\n", (unsigned long long)seed, sb_cstr(&why));
      failed++;
    }
    arena_free(a);
  }
  print_message("%s: %llu graphs from seed %llu; %llu tensors, %llu of them vague\n", cl_host_device(host),
                (unsigned long long)n, (unsigned long long)first, (unsigned long long)counts.tensors,
                (unsigned long long)counts.vague);
  arena_free(lasting);
  assert_int_equal(failed, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(graphs_agree)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
