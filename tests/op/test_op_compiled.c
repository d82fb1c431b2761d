// The compiled engines against the reference vectors: kernel IR on its interpreter (passes, schedules and lowering),
// then machine code at every CPU level that this machine has. Operators that the back end does not compile must say so,
// by name.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op/engines.h"
#include "op/ref_cases.h"

typedef struct tally {
  const char *cpu;
  bool kernels_too; // once is enough: kernels differ between CPU levels by tile sizes only, and machine code is judged
                    // at each
  size_t n_compiled, n_refused;
  bool op[OP_COUNT];
} tally;

static ref_verdict complain(const tally *t, const ref_case *c, const char *engine, const char *why) {
  fprintf(stderr, "%s/%s (%s, %s): %s: %s\n", c->file, c->name, engine, t->cpu, c->text, why);
  return REF_failed;
}

static bool reported(const engines *e, diag_id id) {
  for (size_t i = 0; i < e->job.diags.items.n; i++)
    if (e->job.diags.items.at[i]->id == id) return true;
  return false;
}

// Compiled code has the bounds of f32; and exp and sigmoid give 0 where the result would be subnormal
// (codegen/llvm/math_exp.c says why).
static ref_case widened(arena *a, const ref_case *c, op_code op) {
  ref_case w = ref_in_f32(c, op);
  if ((op != OP_exp && op != OP_sigmoid) || c->out[0]->dt != DT_f32) return w;
  ir_tensor *flushed = ir_tensor_new(a, DT_f32, c->out[0]->rank, c->out[0]->dim);
  const float *from = c->out[0]->data;
  for (int64_t i = 0; i < ir_tensor_count(flushed); i++)
    ((float *)flushed->data)[i] = fabsf(from[i]) < FLT_MIN ? 0 : from[i];
  w.out = arena_copy(a, &(const ir_tensor *){flushed}, sizeof flushed);
  return w;
}

static ref_verdict run_case(void *user, arena *a, const ref_case *c) {
  tally *t = user;
  op_code op;
  if (!ref_operator(c, &op)) return REF_skipped;
  diag_list l;
  diag_init(&l, a);
  ir_module *m = ref_module(a, &l, c);
  engines e;
  ir_tensor *out[64];
  strbuf why;
  sb_init(&why, a);
  if (!m) return complain(t, c, "text", "the case does not parse");
  if (!engines_open(&e, a, m, t->cpu)) {
    bool named = reported(&e, DIAG_ID_op_not_compiled);
    if (op_has(op, OPF_COMPILED) || !named) return complain(t, c, "compile", engines_messages(&e));
    t->n_refused++;
    return REF_skipped;
  }
  if (!op_has(op, OPF_COMPILED)) return complain(t, c, "compile", "it is said not to be compiled, and is");
  if (t->kernels_too) {
    if (!engines_run_kernels(&e, a, c->in, out)) return complain(t, c, "kernels", engines_messages(&e));
    ref_case sums = ref_in_f32(c, op);
    if (!ref_compare(&sums, (const ir_tensor *const *)out, &why)) return complain(t, c, "kernels", sb_cstr(&why));
  }
  if (!engines_run_jit(&e, a, c->in, out, 1)) return complain(t, c, "jit", engines_messages(&e));
  ref_case w = widened(a, c, op);
  if (!ref_compare(&w, (const ir_tensor *const *)out, &why)) return complain(t, c, "jit", sb_cstr(&why));
  t->op[op] = true;
  t->n_compiled++;
  return REF_passed;
}

static void references(const char *cpu, bool kernels_too) {
  tally t = {.cpu = cpu, .kernels_too = kernels_too};
  if (!kernels_too && strcmp(cpu, target_native()->name) == 0) { // "native" has the same code but for blocks of caches
    print_message("%s: meets_the_references_natively has judged it\n", cpu);
    return;
  }
  if (!target_supported(target_find(cpu))) {
    print_message("this machine has no %s\n", cpu);
    return;
  }
  ref_totals totals = ref_for_each(NNC_SOURCE_DIR "/tests/ref", run_case, &t);
  print_message("%s: %zu cases passed, %zu failed, %zu not compiled and saying so\n", cpu, totals.n_passed,
                totals.n_failed, t.n_refused);
  assert_int_equal(totals.n_failed, 0);
  if (getenv("NNC_CASE")) return;
  assert_true(t.n_compiled > 500);
  for (int op = 0; op < OP_COUNT; op++)
    if (op_has((op_code)op, OPF_COMPILED) && !t.op[op] && op != OP_input && op != OP_weight && op != OP_group &&
        op != OP_state && op_get((op_code)op)->cls != OPC_effect &&
        op_get((op_code)op)->cls != OPC_control) // tests/state has those
      fail_msg("no reference case compiles `%s`", op_get((op_code)op)->name);
}

static void meets_the_references_natively(void **state) {
  (void)state;
  references("native", true);
}

static void meets_the_references_on_v3(void **state) {
  (void)state;
  references("x86-64-v3", false);
}

static void meets_the_references_on_the_baseline(void **state) {
  (void)state;
  references("x86-64", false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(meets_the_references_natively),
      cmocka_unit_test(meets_the_references_on_v3),
      cmocka_unit_test(meets_the_references_on_the_baseline),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
