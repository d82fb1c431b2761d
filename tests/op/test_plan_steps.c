// The check of a plan's branches and loops: bodies that do not nest, operands that are no scalars, undo steps of what
// lies in a body; counts of work that lie nowhere. The fuzz target `plan` looks for the rest.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "op/engines.h"
#include "runtime/session.h"

static const char text[] = "graph forward(%0 n: i32[], %1 c: bool[], %2 x: f32[3]) {\n"
                           "  %3 = loop(%0, %2) {\n"
                           "    (%4: i32[], %5: f32[3])\n"
                           "    %6 = if(%1) {\n"
                           "      ()\n"
                           "      %7 = exp(%5) : f32[3]\n"
                           "      yield %7\n"
                           "    } {\n"
                           "      ()\n"
                           "      %8 = tanh(%5) : f32[3]\n"
                           "      yield %8\n"
                           "    } : f32[3]\n"
                           "    yield %6\n"
                           "  } : f32[3]\n"
                           "  return y: %3\n"
                           "}\n";

typedef struct plan_copy {
  rt_plan *p;
  size_t bytes;
  rt_step *steps; // of the entry
  rt_program *entry;
} plan_copy;

static plan_copy copy_of(arena *a, str blob) {
  plan_copy c = {arena_copy(a, blob.p, blob.n), blob.n, NULL, NULL};
  c.entry = (rt_program *)(void *)((char *)c.p + c.p->programs.offset) + 1;
  c.steps = (rt_step *)(void *)((char *)c.p + c.p->steps.offset) + c.entry->first_step;
  return c;
}

static rt_step *step_of(const plan_copy *c, rt_step_kind kind) {
  rt_step *s = c->steps;
  while (s->kind != (uint32_t)kind) s++;
  return s;
}

static void expect_refused(plan_copy *c) {
  rt_error err;
  c->p->checksum = 0;
  c->p->checksum = rt_checksum(c->p, c->bytes);
  assert_int_equal(rt_plan_check(c->p, c->bytes, &err), RT_E_INVALID);
  assert_non_null(strstr(err.text, "plan: step "));
}

static int setup(void **state) {
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  engines *e = ARENA_NEW(a, engines);
  ir_module *m = graph_parse(a, &l, diag_add_file(&l, "graph", str_of(text)));
  assert_non_null(m);
  assert_true(engines_open(e, a, m, "x86-64"));
  *state = e;
  return 0;
}

static int teardown(void **state) {
  arena_free(((engines *)*state)->job.a);
  return 0;
}

static void broken_bodies_are_refused(void **state) {
  engines *e = *state;
  arena *a = e->job.a;
  str blob = e->job.plan.blob;
  plan_copy c = copy_of(a, blob);
  step_of(&c, RT_STEP_loop)->body[0] = c.entry->n_steps; // beyond the program
  expect_refused(&c);
  c = copy_of(a, blob);
  step_of(&c, RT_STEP_loop)->body[0] = UINT32_MAX;
  expect_refused(&c);
  c = copy_of(a, blob);
  step_of(&c, RT_STEP_loop)->body[1] = 1; // a loop has one
  expect_refused(&c);
  c = copy_of(a, blob);
  step_of(&c, RT_STEP_if)->body[1] += 3; // beyond the body around it
  expect_refused(&c);
  c = copy_of(a, blob);
  step_of(&c, RT_STEP_kernel)->body[0] = 1;
  expect_refused(&c);
  c = copy_of(a, blob);
  step_of(&c, RT_STEP_if)->kind = RT_STEP_KINDS;
  expect_refused(&c);
}

static void broken_operands_are_refused(void **state) {
  engines *e = *state;
  arena *a = e->job.a;
  str blob = e->job.plan.blob;
  plan_copy c = copy_of(a, blob);
  uint32_t *words = (uint32_t *)(void *)((char *)c.p + c.p->words.offset);
  rt_step *loop = step_of(&c, RT_STEP_loop), *branch = step_of(&c, RT_STEP_if);
  uint32_t count = words[loop->buffers], condition = words[branch->buffers];
  words[loop->buffers + 1] = count; // the turn's number into an input
  expect_refused(&c);
  c = copy_of(a, blob);
  words = (uint32_t *)(void *)((char *)c.p + c.p->words.offset);
  words[step_of(&c, RT_STEP_loop)->buffers] = condition; // a bool for a count
  expect_refused(&c);
  c = copy_of(a, blob);
  words = (uint32_t *)(void *)((char *)c.p + c.p->words.offset);
  words[step_of(&c, RT_STEP_if)->buffers] = count;
  expect_refused(&c);
}

static void broken_counts_are_refused(void **state) {
  engines *e = *state;
  arena *a = e->job.a;
  str blob = e->job.plan.blob;
  plan_copy c = copy_of(a, blob);
  step_of(&c, RT_STEP_kernel)->macs = (uint32_t)c.p->code.count;
  expect_refused(&c);
  c = copy_of(a, blob);
  step_of(&c, RT_STEP_kernel)->bytes = (uint32_t)c.p->words.count;
  expect_refused(&c);
  c = copy_of(a, blob);
  step_of(&c, RT_STEP_loop)->file = (uint32_t)c.p->strings.count;
  expect_refused(&c);
}

static void steps_of_bodies_are_not_undone(void **state) {
  engines *e = *state;
  plan_copy c = copy_of(e->job.a, e->job.plan.blob);
  rt_step *loop = step_of(&c, RT_STEP_loop);
  uint32_t last = c.entry->n_steps - 1;
  assert_int_equal(c.steps[last].kind, RT_STEP_kernel);
  c.entry->n_steps--, c.entry->n_undo++; // the last step undoes one in the loop's body
  c.steps[last].undoes = (uint32_t)(loop - c.steps) + 1;
  rt_buffer *b = (rt_buffer *)(void *)((char *)c.p + c.p->buffers.offset) + c.entry->first_buffer;
  for (uint32_t i = 0; i < c.entry->n_buffers; i++)
    if (b[i].last == last) b[i].last--;
  for (uint32_t i = 0; i < c.entry->n_buffers; i++)
    if (b[i].first > b[i].last) b[i].first = b[i].last;
  expect_refused(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(broken_bodies_are_refused),
      cmocka_unit_test(broken_operands_are_refused),
      cmocka_unit_test(broken_counts_are_refused),
      cmocka_unit_test(steps_of_bodies_are_not_undone),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
