// Verification finds what is broken: each case damages a sound module in one way and names the message that must come.
#include "graph_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

// x, y -> z = x + y (node 0), w = sum z (node 1), loop (node 2) of one carried value, group (node 3)
typedef struct model {
  graph_fixture *f;
  ir_node *add, *sum, *loop, *group;
} model;

static model make(void **state) {
  graph_fixture *f = *state;
  model d = {.f = f};
  ir_value *x = graph_input(f, "x", DT_f32, "batch,seq"), *y = graph_input(f, "y", DT_f32, "batch,seq");
  ir_value *k = graph_input(f, "k", DT_i32, "");
  d.add = ir_binary(&f->b, OP_add, x, y)->def;
  d.sum = ir_reduce(&f->b, OP_sum, &d.add->out[0], 1, (const int64_t[]){1})->def;
  ir_region *body = ir_region_new(f->g, f->g->body, 2);
  ir_region_param(body, k->type);
  ir_builder inner;
  ir_builder_init(&inner, f->m, body);
  ir_value *turn = ir_unary(&inner, OP_neg, ir_region_param(body, d.sum->out[0].type));
  ir_region_yield(body, 1, &turn);
  d.loop = ir_build(&f->b, OP_loop, 2, (ir_value *const[]){k, &d.sum->out[0]}, 0, NULL, 0, NULL, 1, &body);
  ir_region *kernel = ir_region_new(f->g, f->g->body, 1);
  ir_builder_init(&inner, f->m, kernel);
  ir_value *e = ir_unary(&inner, OP_exp, ir_region_param(kernel, d.sum->out[0].type));
  ir_region_yield(kernel, 1, &e);
  const ir_attr attrs[] = {attr_str(f->m, "kind", "elem"), attr_str(f->m, "name", "exp")};
  d.group = ir_build(&f->b, OP_group, 1, (ir_value *const[]){&d.loop->out[0]}, 2, attrs, 0, NULL, 1, &kernel);
  ir_graph_output(f->g, "out", &d.group->out[0]);
  if (!graph_verify(f->m)) fail_msg("%s", graph_messages(f));
  return d;
}

static void expect(const model *d, const char *message) {
  assert_false(graph_verify(d->f->m));
  const char *text = graph_messages(d->f);
  if (strstr(text, message) == NULL) fail_msg("no `%s` in:\n%s", message, text);
}

static void undefined_operand(void **state) {
  model d = make(state);
  d.add->in[1] = &d.sum->out[0];
  expect(&d, "operand 1 is not defined here, in: %3 = add(%0, %4) : f32[batch,seq]");
}

static void null_operand(void **state) {
  model d = make(state);
  d.add->in[0] = NULL;
  expect(&d, "operand 0 is not defined here, in: %3 = add(%?, %1)");
}

static void value_of_an_ended_region(void **state) {
  model d = make(state);
  d.group->in[0] = &d.loop->regions[0]->first->out[0];
  expect(&d, "operand 0 is not defined here");
}

static void group_sees_only_its_own(void **state) {
  model d = make(state);
  d.group->regions[0]->first->in[0] = &d.sum->out[0];
  expect(&d, "operand 0 is not defined here, in: %11 = exp(%4)");
}

static void group_holds_compiled_operators(void **state) {
  model d = make(state);
  ir_builder b;
  ir_builder_init(&b, d.f->m, d.group->regions[0]);
  const ir_attr axis = attr_int(d.f->m, "axis", 0);
  ir_build(&b, OP_sort, 1, (ir_value *const[]){&d.group->regions[0]->params[0]}, 1, &axis, 0, NULL, 0, NULL);
  expect(&d, "a group cannot hold it, in: %12, %13 = sort(%10)");
}

static void wrong_type(void **state) {
  model d = make(state);
  d.sum->out[0].type.dt = DT_f16;
  expect(&d, "result 0 should be f32[batch], in: %4 = sum(%3) {axes=[1]} : f16[batch]");
}

static void wrong_dims(void **state) {
  model d = make(state);
  d.sum->out[0].type = ir_type_ints(d.f->m, DT_f32, 1, (const int64_t[]){100}); // batch is at most 64
  expect(&d, "result 0 should be f32[batch], in: %4 = sum(%3) {axes=[1]} : f32[100]");
}

static void foreign_symbol(void **state) {
  model d = make(state);
  d.sum->out[0].type = ir_type_make(d.f->m, DT_f32, 1, (const idx *const[]){graph_dim(d.f, "stray")});
  expect(&d, "`stray` is not a dim of the module");
}

static void rule_fails(void **state) {
  model d = make(state);
  const ir_attr axes = attr_ints(d.f->m, "axes", 1, (const int64_t[]){2});
  d.sum->attrs = &axes;
  expect(&d, "its `axes` holds 2; its operand has 2 dims, in: %4 = sum(%3) {axes=[2]}");
}

static void unknown_attribute(void **state) {
  model d = make(state);
  const ir_attr axes = attr_int(d.f->m, "sideways", 2);
  d.add->attrs = &axes;
  d.add->n_attrs = 1;
  expect(&d, "it has no attribute `sideways`");
}

static void attributes_out_of_order(void **state) {
  model d = make(state);
  const ir_attr swapped[] = {d.group->attrs[1], d.group->attrs[0]};
  d.group->attrs = swapped;
  expect(&d, "attribute `name` is not in the operator's form or order");
}

static void yield_not_visible(void **state) {
  model d = make(state);
  d.loop->regions[0]->yields[0] = &d.group->out[0];
  expect(&d, "yielded value 0 is not defined here, in: %5 = loop(%2, %4) {...}");
}

static void output_not_visible(void **state) {
  model d = make(state);
  d.f->g->body->yields[0] = &d.loop->regions[0]->params[1];
  expect(&d, "graph `forward`: yielded value 0 is not defined here");
}

static void region_of_another_place(void **state) {
  model d = make(state);
  d.loop->regions[0]->outer = d.group->regions[0];
  expect(&d, "a region does not know the one around it, in: %5 = loop");
}

static void node_of_another_place(void **state) {
  model d = make(state);
  d.add->parent = d.loop->regions[0];
  expect(&d, "its region is not where it stands, in: %3 = add");
}

static void results_point_back(void **state) {
  model d = make(state);
  d.add->out[0].index = 3;
  expect(&d, "result 0 does not point to its node");
}

static void wrong_count(void **state) {
  model d = make(state);
  d.f->g->body->n_nodes = 9;
  expect(&d, "a region counts 9 nodes and has 4");
}

static void cycle_of_nodes(void **state) {
  model d = make(state);
  d.group->next = d.add;
  expect(&d, "a region counts 4 nodes and has 5");
}

static void names_twice(void **state) {
  model d = make(state);
  d.f->g->param_names[1] = d.f->g->param_names[0];
  expect(&d, "two parameters are named `x`");
  ir_graph_new(d.f->m, "forward", true);
  expect(&d, "two graphs are named `forward`");
}

static void default_of_another_dtype(void **state) {
  model d = make(state);
  const scalar s = scalar_i(DT_i32, 1);
  d.f->g->param_defaults[0] = &s;
  expect(&d, "the default of `x` has another dtype");
}

static void symbolic_weight(void **state) {
  model d = make(state);
  ir_weight_add(d.f->m, "w", ir_type_make(d.f->m, DT_f32, 1, (const idx *const[]){graph_dim(d.f, "seq")}), NO_SPAN);
  expect(&d, "weight `w` has symbolic dims");
}

static void graph_calls_itself(void **state) {
  model d = make(state);
  graph_fixture *f = d.f;
  ir_graph *other = ir_graph_new(f->m, "other", true);
  const ir_attr to_forward = attr_str(f->m, "graph", "forward"), to_other = attr_str(f->m, "graph", "other");
  const ir_type t = ir_type_ints(f->m, DT_f32, 1, (const int64_t[]){4}), k = {.dt = DT_i32};
  const ir_type xy = ir_type_ints(f->m, DT_f32, 2, (const int64_t[]){4, 4});
  ir_builder b;
  ir_builder_init(&b, f->m, other->body);
  ir_value *in[] = {ir_graph_param(other, "x", xy, NULL), ir_graph_param(other, "y", xy, NULL),
                    ir_graph_param(other, "k", k, NULL)};
  const ir_node *back = ir_build(&b, OP_call, 3, in, 1, &to_forward, 1, &t, 0, NULL);
  ir_graph_output(other, "out", &back->out[0]);
  ir_value *args[] = {&f->g->body->params[0], &f->g->body->params[1], &f->g->body->params[2]};
  ir_build(&f->b, OP_call, 3, args, 1, &to_other, 1, &t, 0, NULL);
  expect(&d, "graph `forward`: it calls itself");
}

static void all_problems_are_reported(void **state) {
  model d = make(state);
  d.add->in[0] = NULL;
  d.sum->out[0].index = 1;
  d.f->g->body->yields[0] = NULL;
  assert_false(graph_verify(d.f->m));
  assert_int_equal(d.f->l.n_errors, 3);
  assert_int_equal(d.f->l.items.at[0]->id, DIAG_ID_graph_unsound);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, graph_setup, graph_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(undefined_operand),
                                     TEST(null_operand),
                                     TEST(value_of_an_ended_region),
                                     TEST(group_sees_only_its_own),
                                     TEST(group_holds_compiled_operators),
                                     TEST(wrong_type),
                                     TEST(wrong_dims),
                                     TEST(foreign_symbol),
                                     TEST(rule_fails),
                                     TEST(unknown_attribute),
                                     TEST(attributes_out_of_order),
                                     TEST(yield_not_visible),
                                     TEST(output_not_visible),
                                     TEST(region_of_another_place),
                                     TEST(node_of_another_place),
                                     TEST(results_point_back),
                                     TEST(wrong_count),
                                     TEST(cycle_of_nodes),
                                     TEST(names_twice),
                                     TEST(default_of_another_dtype),
                                     TEST(symbolic_weight),
                                     TEST(graph_calls_itself),
                                     TEST(all_problems_are_reported)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
