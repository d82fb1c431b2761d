// Graph IR as text, alone and through the passes.
#include "codegen/plan/plan_write.h"
#include "ir/graph.h"
#include "passes/program.h"
#include "runtime/rt.h"
#include "support.h"

static void print(strbuf *b, arena *a, const ir_module *m) {
  sb_init(b, a);
  graph_print(b, m, false);
}

// The module when it is sound; its text reads back to the same text.
static ir_module *sound(arena *a, diag_list *l, str text) {
  ir_module *m = graph_parse(a, l, diag_add_file(l, "in.ir", text));
  FUZZ_CHECK((m != NULL) == !diag_failed(l));
  if (!m || !graph_verify(m)) return NULL;
  strbuf first, second;
  print(&first, a, m);
  diag_list inner;
  diag_init(&inner, a);
  ir_module *again = graph_parse(a, &inner, diag_add_file(&inner, "printed.ir", sb_str(&first)));
  FUZZ_CHECK(again && graph_verify(again));
  print(&second, a, again);
  FUZZ_CHECK(str_eq(sb_str(&first), sb_str(&second)));
  return m;
}

static void graph(arena *a, diag_list *l, void *user) { sound(a, l, *(const str *)user); }

int fuzz_graph(const uint8_t *data, size_t size) {
  str text = {(const char *)data, size};
  fuzz_guarded(graph, &text);
  return 0;
}

static void compile(arena *a, diag_list *l, void *user) {
  ir_module *m = sound(a, l, *(const str *)user);
  if (!m) return;
  pass_context c = {.a = a, .diags = l, .target = target_find("x86-64-v3")};
  pass_options options = PASS_OPTIONS_INIT;
  options.round_trip = true;
  bool ok = pass_run_all(&c, m, &options, NULL);
  FUZZ_CHECK(!fuzz_reported(l, DIAG_ID_pass_broke_graph) && !fuzz_reported(l, DIAG_ID_pass_round_trip));
  FUZZ_CHECK(ok || diag_failed(l));
  if (diag_failed(l)) return; // an index expression too large, for example
  program_set *set = lower_module(&c, m);
  FUZZ_CHECK(!fuzz_reported(l, DIAG_ID_group_not_lowered));
  FUZZ_CHECK((set != NULL) == !diag_failed(l));
  plan_image plan;
  rt_error err;
  if (set && plan_write(a, l, set, 0, &plan)) FUZZ_CHECK(rt_plan_check(plan.blob.p, plan.blob.n, &err) != RT_E_INVALID);
}

int fuzz_passes(const uint8_t *data, size_t size) {
  str text = {(const char *)data, size};
  fuzz_guarded(compile, &text);
  return 0;
}
