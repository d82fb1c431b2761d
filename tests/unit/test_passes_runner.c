// The pass runner: what runs, in which order, what is printed, measured and refused.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "passes/pass.h"

// canon drops the product by 1, fold adds the constants, dce drops the exp, fuse makes one group.
static const char model[] = "graph forward(%0 x: f32[4]) {\n"
                            "  %1 = const() {value=1.0} : f32[4]\n"
                            "  %2 = mul(%0, %1) : f32[4]\n"
                            "  %3 = exp(%0) : f32[4]\n"
                            "  %4 = const() {value=2.0} : f32[4]\n"
                            "  %5 = add(%1, %4) : f32[4]\n"
                            "  %6 = add(%2, %5) : f32[4]\n"
                            "  return y: %6\n"
                            "}\n";

typedef struct bench {
  arena *a;
  diag_list l;
  ir_module *m;
  pass_context c;
  pass_options opt;
  pass_report report;
  strbuf dump;
} bench;

static void bench_open(bench *x) {
  memset(x, 0, sizeof *x);
  x->a = arena_new(NULL);
  diag_init(&x->l, x->a);
  x->m = graph_parse(x->a, &x->l, diag_add_file(&x->l, "model", str_of(model)));
  assert_non_null(x->m);
  x->c = (pass_context){.a = x->a, .diags = &x->l, .target = target_find("x86-64")};
  x->opt = PASS_OPTIONS_INIT;
  sb_init(&x->dump, x->a);
  x->opt.dump = &x->dump;
}

static bool has(const ir_module *m, op_code op) {
  for (const ir_node *n = m->graphs.at[0]->body->first; n; n = n->next)
    if (n->op == op) return true;
  return false;
}

static uint32_t nodes(const ir_module *m) { return m->graphs.at[0]->body->n_nodes; }

// The passes that ran, joined by blanks.
static const char *ran(bench *x) {
  strbuf b;
  sb_init(&b, x->a);
  for (size_t i = 0; i < x->report.times.n; i++) sb_fmt(&b, "%s%s", i ? " " : "", x->report.times.at[i].name);
  return sb_cstr(&b);
}

static void run(bench *x) {
  assert_true(pass_run_all(&x->c, x->m, &x->opt, &x->report));
  assert_false(diag_failed(&x->l));
  assert_true(graph_verify(x->m));
}

static size_t count(const char *text, const char *what) {
  size_t n = 0;
  for (; (text = strstr(text, what)); text++) n++;
  return n;
}

static void passes_are_found_by_name(void **state) {
  (void)state;
  assert_int_equal(pass_count(), 12);
  for (size_t i = 0; i < pass_count(); i++) {
    assert_ptr_equal(pass_find(pass_at(i)->name), pass_at(i));
    assert_true(strlen(pass_at(i)->doc) > 0);
  }
  assert_string_equal(pass_at(0)->name, "quantize");
  assert_null(pass_at(pass_count()));
  assert_null(pass_find("cannon"));
  assert_null(pass_find(""));
}

static void all_run_in_order_and_are_measured(void **state) {
  (void)state;
  bench x;
  bench_open(&x);
  run(&x);
  assert_string_equal(ran(&x),
                      "quantize weights canon fold reassociate expand windows winograd dce fuse precision versions");
  assert_int_equal(nodes(x.m), 1);
  assert_true(has(x.m, OP_group));
  for (size_t i = 0; i < x.report.times.n; i++) {
    assert_true(x.report.times.at[i].ms >= 0 && x.report.times.at[i].ms < 60000);
    assert_true(x.report.times.at[i].nodes > 0);
  }
  assert_int_equal(x.report.times.at[9].nodes, 1);
  assert_true(x.report.times.at[8].nodes < x.report.times.at[7].nodes); // dce
  assert_int_equal(x.dump.n, 0);
  arena_free(x.a);
}

static void skipped_passes_do_not_run(void **state) {
  (void)state;
  static const char *const skip[] = {"canon", "dce"};
  bench x;
  bench_open(&x);
  x.opt.skip = skip;
  x.opt.n_skip = 2;
  x.opt.stop_after = "dce"; // a pass that is skipped still ends the line
  run(&x);
  assert_string_equal(ran(&x), "quantize weights fold reassociate expand windows winograd");
  assert_true(has(x.m, OP_mul) && has(x.m, OP_exp));
  arena_free(x.a);
}

static void stop_after_ends_the_line(void **state) {
  (void)state;
  bench x;
  bench_open(&x);
  x.opt.stop_after = "canon";
  run(&x);
  assert_string_equal(ran(&x), "quantize weights canon");
  assert_true(has(x.m, OP_exp) && !has(x.m, OP_group));
  arena_free(x.a);
}

static void limit_counts_passes_that_run(void **state) {
  (void)state;
  static const char *const lines[] = {
      "",
      "quantize",
      "quantize weights",
      "quantize weights canon",
      "quantize weights canon reassociate",
      "quantize weights canon reassociate expand",
      "quantize weights canon reassociate expand windows",
      "quantize weights canon reassociate expand windows winograd",
      "quantize weights canon reassociate expand windows winograd dce",
      "quantize weights canon reassociate expand windows winograd dce fuse",
      "quantize weights canon reassociate expand windows winograd dce fuse precision",
      "quantize weights canon reassociate expand windows winograd dce fuse precision versions"};
  static const char *const skip[] = {"fold"};
  for (int64_t limit = 0; limit < 12; limit++) {
    bench x;
    bench_open(&x);
    x.opt.limit = limit;
    x.opt.skip = skip;
    x.opt.n_skip = 1;
    run(&x);
    assert_string_equal(ran(&x), lines[limit]);
    arena_free(x.a);
  }
}

static void print_after_dumps_the_module(void **state) {
  (void)state;
  static const char *const two[] = {"canon", "fuse"}, *const all[] = {"all"};
  bench x;
  bench_open(&x);
  x.opt.print_after = two;
  x.opt.n_print_after = 2;
  run(&x);
  const char *text = sb_cstr(&x.dump);
  assert_non_null(strstr(text, "// after canon\ngraph forward("));
  assert_non_null(strstr(text, "// after fuse\ngraph forward("));
  assert_int_equal(count(text, "// after "), 2);
  assert_int_equal(count(text, "group("), 1);
  arena_free(x.a);
  bench_open(&x);
  x.opt.print_after = all;
  x.opt.n_print_after = 1;
  run(&x);
  assert_int_equal(count(sb_cstr(&x.dump), "// after "), pass_count());
  arena_free(x.a);
}

static void modules_survive_the_round_trip_through_text(void **state) {
  (void)state;
  bench x;
  bench_open(&x);
  x.opt.round_trip = true;
  run(&x);
  assert_string_equal(ran(&x),
                      "quantize weights canon fold reassociate expand windows winograd dce fuse precision versions");
  arena_free(x.a);
}

static void unknown_passes_are_refused(void **state) {
  (void)state;
  bench x;
  bench_open(&x);
  x.opt.stop_after = "cannon";
  assert_false(pass_run_all(&x.c, x.m, &x.opt, &x.report));
  assert_int_equal(x.l.items.n, 1);
  assert_int_equal(x.l.items.at[0]->id, DIAG_ID_pass_unknown);
  assert_int_equal(x.report.times.n, 0);
  arena_free(x.a);
}

static void groups_of_others_are_refused(void **state) {
  (void)state;
  static const char text[] = "graph forward(%0 x: f32[4]) {\n"
                             "  %1 = group(%0) {kind=\"row\", name=\"exp\", root=0} {(%2: f32[4])\n"
                             "    %3 = exp(%2) : f32[4]\n"
                             "    yield %2\n"
                             "  } : f32[4]\n"
                             "  return y: %1\n"
                             "}\n";
  bench x;
  bench_open(&x);
  x.m = graph_parse(x.a, &x.l, diag_add_file(&x.l, "model", str_of(text)));
  assert_true(x.m && graph_verify(x.m));
  assert_false(pass_run_all(&x.c, x.m, &x.opt, &x.report));
  assert_int_equal(x.l.items.n, 1);
  assert_string_equal(x.l.items.at[0]->text, "graph `forward`: a `group` before fusion");
  arena_free(x.a);
}

static void numeric_rewrites_are_explained(void **state) {
  (void)state;
  static const char text[] = "graph forward(%0 x: f32[4]) {\n"
                             "  %1 = const() {value=2.0} : f32[4]\n"
                             "  %2 = pow(%0, %1) : f32[4]\n"
                             "  %3 = neg(%2) : f32[4]\n"
                             "  %4 = neg(%3) : f32[4]\n"
                             "  return y: %4\n"
                             "}\n";
  bench x;
  bench_open(&x);
  x.m = graph_parse(x.a, &x.l, diag_add_file(&x.l, "model", str_of(text)));
  x.c.explain = &x.dump;
  x.opt.dump = NULL;
  run(&x);
  assert_string_equal(sb_cstr(&x.dump), "pow_two: pow(?x, 2) -> mul(?x, ?x)\n"); // not the exact one
  arena_free(x.a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(passes_are_found_by_name),
      cmocka_unit_test(all_run_in_order_and_are_measured),
      cmocka_unit_test(skipped_passes_do_not_run),
      cmocka_unit_test(stop_after_ends_the_line),
      cmocka_unit_test(limit_counts_passes_that_run),
      cmocka_unit_test(print_after_dumps_the_module),
      cmocka_unit_test(modules_survive_the_round_trip_through_text),
      cmocka_unit_test(unknown_passes_are_refused),
      cmocka_unit_test(groups_of_others_are_refused),
      cmocka_unit_test(numeric_rewrites_are_explained),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
