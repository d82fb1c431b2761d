// Building graphs: merging, operand order, spans, guards, short forms, constants, copying.
#include "graph_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void equal_nodes_merge(void **state) {
  graph_fixture *f = *state;
  ir_value *x = graph_input(f, "x", DT_f32, "batch,seq"), *y = graph_input(f, "y", DT_f32, "batch,seq");
  assert_ptr_equal(ir_binary(&f->b, OP_add, x, y), ir_binary(&f->b, OP_add, y, x)); // commutative
  assert_ptr_not_equal(ir_binary(&f->b, OP_sub, x, y), ir_binary(&f->b, OP_sub, y, x));
  assert_ptr_equal(ir_binary(&f->b, OP_sub, x, y), ir_binary(&f->b, OP_sub, x, y));
  assert_ptr_not_equal(ir_unary(&f->b, OP_neg, x), ir_unary(&f->b, OP_exp, x));
  assert_ptr_not_equal(ir_cast(&f->b, x, DT_f16), ir_cast(&f->b, x, DT_bf16));
  const int64_t ab[] = {0, 1}, ba[] = {1, 0};
  assert_ptr_equal(ir_reduce(&f->b, OP_sum, x, 2, ab), ir_reduce(&f->b, OP_sum, x, 2, ba)); // axes are a set
  const idx *dim[2];
  const uint32_t rank = graph_dims(f, "batch,seq", dim);
  const scalar one = scalar_f(DT_f32, 1), zero = scalar_f(DT_f32, 0), minus = scalar_f(DT_f32, -0.0);
  assert_ptr_equal(ir_const_scalar(&f->b, one, rank, dim), ir_const_scalar(&f->b, one, rank, dim));
  assert_ptr_not_equal(ir_const_scalar(&f->b, one, rank, dim), ir_const_scalar(&f->b, one, 1, dim));
  assert_ptr_not_equal(ir_const_scalar(&f->b, one, rank, dim), ir_const_scalar(&f->b, scalar_f(DT_f64, 1), rank, dim));
  assert_ptr_not_equal(ir_const_scalar(&f->b, zero, 0, NULL), ir_const_scalar(&f->b, minus, 0, NULL));
  const float same[] = {2, 2, 2};
  assert_ptr_equal(ir_const_data(&f->b, ir_type_ints(f->m, DT_f32, 1, (int64_t[]){3}), same),
                   ir_const_scalar(&f->b, scalar_f(DT_f32, 2), 1, (const idx *const[]){idx_int(f->m->ix, 3)}));
  assert_false(diag_failed(&f->l));
}

static void effects_do_not_merge(void **state) {
  graph_fixture *f = *state;
  const int64_t dim[] = {4};
  ir_state_add(f->m, "s", ir_type_ints(f->m, DT_f32, 1, dim), scalar_f(DT_f32, 0), NO_SPAN);
  const ir_attr name = attr_str(f->m, "name", "s");
  const ir_node *a = ir_build(&f->b, OP_state, 0, NULL, 1, &name, 0, NULL, 0, NULL);
  const ir_node *b = ir_build(&f->b, OP_state, 0, NULL, 1, &name, 0, NULL, 0, NULL);
  assert_ptr_not_equal(a, b);
  f->b.cse = NULL;
  ir_value *x = graph_input(f, "x", DT_f32, "seq");
  assert_ptr_not_equal(ir_unary(&f->b, OP_neg, x), ir_unary(&f->b, OP_neg, x));
}

static void spans_join(void **state) {
  graph_fixture *f = *state;
  ir_value *x = graph_input(f, "x", DT_f32, "seq");
  for (uint32_t i = 0; i < 40; i++) {
    const diag_span at[] = {{1, i / 2, i / 2 + 1}, {2, 7, 8}};
    f->b.spans = (ir_spans){i % 3 == 0 ? 2 : 1, at};
    ir_unary(&f->b, OP_neg, x);
  }
  const ir_node *n = f->g->body->first;
  assert_int_equal(f->g->body->n_nodes, 1);
  assert_int_equal(n->spans.n, 21); // 20 places, and one more
  for (uint32_t i = 0; i < n->spans.n; i++) {
    for (uint32_t k = 0; k < i; k++) assert_true(memcmp(&n->spans.at[i], &n->spans.at[k], sizeof *n->spans.at) != 0);
  }
}

static void dims_are_guarded_once(void **state) {
  graph_fixture *f = *state;
  ir_dim_add(f->m, "half", 1, 256, 1, NO_SPAN);
  ir_value *x = graph_input(f, "x", DT_f32, "seq"), *y = graph_input(f, "y", DT_f32, "2*half");
  ir_value *z = ir_binary(&f->b, OP_add, x, y);
  ir_binary(&f->b, OP_mul, x, y);
  ir_binary(&f->b, OP_mul, y, y); // nothing to guard
  ir_graph_output(f->g, "z", z);
  assert_string_equal(graph_text(f), "graph forward(%0 x: f32[seq], %1 y: f32[2*half]) {\n"
                                     "  check() {cond=seq-2*half, text=\"add: seq must equal 2*half\"}\n"
                                     "  check() {cond=2*half-seq, text=\"add: seq must equal 2*half\"}\n"
                                     "  %2 = add(%0, %1) : f32[seq]\n"
                                     "  %3 = mul(%0, %1) : f32[seq]\n"
                                     "  %4 = mul(%1, %1) : f32[2*half]\n"
                                     "  return z: %2\n"
                                     "}\n");
  assert_true(graph_verify(f->m));
}

static void failure_is_quiet_downstream(void **state) {
  graph_fixture *f = *state;
  f->b.spans = (ir_spans){1, (const diag_span[]){{0, 0, 0}}};
  ir_value *x = graph_input(f, "x", DT_f32, "seq,4"), *y = graph_input(f, "y", DT_f32, "seq,5");
  ir_value *bad = ir_binary(&f->b, OP_add, x, y);
  assert_null(bad);
  assert_null(ir_unary(&f->b, OP_neg, bad));
  assert_null(ir_transpose(&f->b, bad, (const int64_t[]){1, 0}));
  assert_null(ir_cast(&f->b, bad, DT_f16));
  assert_null(ir_concat(&f->b, 2, (ir_value *const[]){x, bad}, 0));
  assert_string_equal(graph_messages(f), "error: `add`: f32[seq,4] and f32[seq,5] do not fit\n");
}

static void short_forms(void **state) {
  graph_fixture *f = *state;
  ir_module *m = f->m;
  const idx *dim[IR_MAX_RANK], *lo[3], *hi[3];
  ir_value *x = graph_input(f, "x", DT_f32, "batch,seq,768"), *i = graph_input(f, "i", DT_i32, "7");
  ir_weight *w = ir_weight_add(m, "w", ir_type_ints(m, DT_f32, 2, (int64_t[]){64, 768}), NO_SPAN);
  assert_ptr_equal(ir_weight_add(m, "w", ir_type_ints(m, DT_f32, 1, (int64_t[]){1}), NO_SPAN), w);
  assert_ptr_equal(ir_cast(&f->b, x, DT_f32), x);
  assert_ptr_equal(ir_transpose(&f->b, x, (const int64_t[]){0, 1, 2}), x);
  assert_ptr_equal(ir_reshape(&f->b, x, graph_dims(f, "batch,seq,768", dim), dim), x);
  assert_ptr_equal(ir_broadcast(&f->b, x, 3, dim), x);
  assert_ptr_equal(ir_slice(&f->b, x, 1, idx_int(m->ix, 0), graph_dim(f, "seq"), 1), x);
  assert_ptr_equal(ir_concat(&f->b, 1, &x, 0), x);
  ir_value *y = ir_contract(&f->b, x, ir_weight_ref(&f->b, w), "b s i, o i -> b s o");
  y = ir_transpose(&f->b, ir_reshape(&f->b, y, graph_dims(f, "batch,seq,8,8", dim), dim),
                   (const int64_t[]){0, 2, 1, 3});
  y = ir_where(&f->b, ir_binary(&f->b, OP_lt, y, y), y, ir_unary(&f->b, OP_exp, y));
  graph_dims(f, "0,1,seq", lo);
  graph_dims(f, "0,0,2", hi);
  ir_value *p = ir_pad(&f->b, x, lo, hi, scalar_f(DT_f32, -INFINITY));
  p = ir_slice(&f->b, p, 2, graph_dim(f, "seq"), idx_int(m->ix, 768), 1);
  p = ir_slice(&f->b, p, 2, idx_int(m->ix, 1), idx_int(m->ix, 384), 2);
  p = ir_gather(&f->b, p, i, 1, 0);
  p = ir_concat(&f->b, 2, (ir_value *const[]){p, p}, 2);
  p = ir_broadcast(&f->b, ir_reduce(&f->b, OP_amax, p, 1, (const int64_t[]){1}), graph_dims(f, "3,batch,768", dim),
                   dim);
  ir_iota(&f->b, graph_dims(f, "seq,seq", dim), dim, 1);
  ir_graph_output(f->g, "y", y);
  ir_graph_output(f->g, "p", p);
  ir_graph_output(f->g, "x", x);
  assert_string_equal(graph_text(f),
                      "graph forward(%0 x: f32[batch,seq,768], %1 i: i32[7]) {\n"
                      "  %2 = weight() {name=\"w\"} : f32[64,768]\n"
                      "  %3 = contract(%0, %2) {map=\"b s i, o i -> b s o\"} : f32[batch,seq,64]\n"
                      "  %4 = reshape(%3) {shape=[batch,seq,8,8]} : f32[batch,seq,8,8]\n"
                      "  %5 = transpose(%4) {perm=[0,2,1,3]} : f32[batch,8,seq,8]\n"
                      "  %6 = exp(%5) : f32[batch,8,seq,8]\n"
                      "  %7 = lt(%5, %5) : bool[batch,8,seq,8]\n"
                      "  %8 = where(%7, %5, %6) : f32[batch,8,seq,8]\n"
                      "  %9 = pad(%0) {hi=[0,0,2], lo=[0,1,seq], value=-inf} : f32[batch,seq+1,seq+770]\n"
                      "  %10 = slice(%9) {axis=2, lo=seq, size=768} : f32[batch,seq+1,768]\n"
                      "  %11 = slice(%10) {axis=2, lo=1, size=384, step=2} : f32[batch,seq+1,384]\n"
                      "  %12 = gather(%11, %1) {axis=1} : f32[batch,7,384]\n"
                      "  %13 = concat(%12, %12) {axis=2} : f32[batch,7,768]\n"
                      "  %14 = amax(%13) {axes=[1]} : f32[batch,768]\n"
                      "  %15 = broadcast(%14) {shape=[3,batch,768]} : f32[3,batch,768]\n"
                      "  %16 = iota() {axis=1} : i32[seq,seq]\n"
                      "  return y: %8, p: %15, x: %0\n"
                      "}\n");
  assert_true(graph_verify(m));
}

static void constants(void **state) {
  graph_fixture *f = *state;
  const uint16_t half[] = {0x3c00, 0xbc00, 0x7e00, 0x0001}; // 1 -1 nan 2^-24
  const ir_type t = ir_type_ints(f->m, DT_f16, 2, (int64_t[]){2, 2});
  ir_value *v = ir_const_data(&f->b, t, half);
  scalar s;
  assert_false(ir_is_splat(v, &s));
  assert_memory_equal(ir_const_elems(f->m, v), half, sizeof half);
  assert_ptr_equal(ir_const_elems(f->m, v), ir_const_elems(f->m, v));
  const int64_t wide[] = {INT64_MIN, INT64_MAX, -1};
  v = ir_const_data(&f->b, ir_type_ints(f->m, DT_i64, 1, (int64_t[]){3}), wide);
  assert_memory_equal(ir_const_elems(f->m, v), wide, sizeof wide);
  const idx *dim[1];
  v = ir_const_scalar(&f->b, scalar_f(DT_bf16, 3), graph_dims(f, "seq", dim), dim);
  assert_true(ir_is_splat(v, &s) && s.v.f == 3 && s.dt == DT_bf16);
  assert_null(ir_const_elems(f->m, v)); // its size is not known
  v = ir_const_data(&f->b, ir_type_ints(f->m, DT_f32, 1, (int64_t[]){0}), NULL);
  assert_non_null(v);
  assert_false(ir_is_splat(ir_unary(&f->b, OP_neg, v), &s));
}

static bool drop_neg(void *user, ir_builder *b, const ir_node *n, map *values) {
  (void)b;
  if (n->op != OP_neg) return false;
  ++*(int *)user;
  map_put_ptr(values, &n->out[0], map_get_ptr(values, n->in[0]));
  return true;
}

// exp(-x) and exp(x) are one node once neg is dropped; regions and what they use of the outside are copied.
static void rebuilding(void **state) {
  graph_fixture *f = *state;
  ir_value *x = graph_input(f, "x", DT_f32, "seq"), *c = graph_input(f, "c", DT_bool, ""),
           *k = graph_input(f, "k", DT_i32, "");
  f->b.scope = "layer.1";
  ir_value *u = ir_unary(&f->b, OP_exp, ir_unary(&f->b, OP_neg, x)), *v = ir_unary(&f->b, OP_exp, x);
  ir_region *then = ir_region_new(f->g, f->g->body, 1), *other = ir_region_new(f->g, f->g->body, 1);
  ir_region *body = ir_region_new(f->g, then, 2);
  ir_builder inner;
  ir_region_param(body, k->type);
  ir_builder_init(&inner, f->m, body);
  ir_value *turn = ir_binary(&inner, OP_add, ir_region_param(body, x->type), u);
  ir_region_yield(body, 1, &turn);
  ir_builder_init(&inner, f->m, then);
  ir_value *const carried[] = {k, ir_region_param(then, x->type)};
  ir_node *loop = ir_build(&inner, OP_loop, 2, carried, 0, NULL, 0, NULL, 1, &body);
  ir_region_yield(then, 1, (ir_value *const[]){&loop->out[0]});
  ir_region_yield(other, 1, (ir_value *const[]){ir_region_param(other, x->type)});
  ir_region *const regions[] = {then, other};
  ir_node *cond = ir_build(&f->b, OP_if, 2, (ir_value *const[]){c, v}, 0, NULL, 0, NULL, 2, regions);
  ir_graph_output(f->g, "y", ir_binary(&f->b, OP_add, &cond->out[0], u));
  assert_true(graph_verify(f->m));
  int dropped = 0;
  ir_graph *with = ir_rebuild(f->g, drop_neg, &dropped);
  ir_graph_replace(f->m, f->g, with);
  assert_int_equal(dropped, 1);
  assert_ptr_equal(ir_graph_find(f->m, "forward"), with);
  assert_true(graph_verify(f->m));
  f->g = with;
  assert_string_equal(graph_text(f), "graph forward(%0 x: f32[seq], %1 c: bool[], %2 k: i32[]) {\n"
                                     "  %3 = exp(%0) : f32[seq] @layer.1\n"
                                     "  %4 = if(%1, %3) {(%5: f32[seq])\n"
                                     "    %6 = loop(%2, %5) {(%7: i32[], %8: f32[seq])\n"
                                     "      %9 = add(%3, %8) : f32[seq]\n"
                                     "      yield %9\n"
                                     "    } : f32[seq]\n"
                                     "    yield %6\n"
                                     "  } {(%10: f32[seq])\n"
                                     "    yield %10\n"
                                     "  } : f32[seq] @layer.1\n"
                                     "  %11 = add(%3, %4) : f32[seq] @layer.1\n"
                                     "  return y: %11\n"
                                     "}\n");
}

static void steps_of_dims(void **state) {
  graph_fixture *f = *state;
  const ir_dim *h = ir_dim_add(f->m, "height", 60, 1020, 8, NO_SPAN);
  int64_t lo, hi;
  assert_true(idx_range(f->m->ix, idx_of(f->m->ix, h->symbol), &lo, &hi));
  assert_int_equal(lo, 64); // the multiples inside the declared range
  assert_int_equal(hi, 1016);
  ir_value *x = graph_input(f, "x", DT_f32, "height//2"), *y = graph_input(f, "y", DT_f32, "(height-1)//2+1");
  assert_non_null(ir_binary(&f->b, OP_add, x, y));
  assert_int_equal(f->g->body->n_nodes, 1); // no guard
}

static void overflow_is_reported(void **state) {
  graph_fixture *f = *state;
  const int64_t big = (int64_t)1 << 40;
  ir_value *x = ir_graph_param(f->g, "x", ir_type_ints(f->m, DT_f32, 2, (int64_t[]){big, big}), NULL);
  const idx *dim[1] = {idx_int(f->m->ix, 4)};
  ir_reshape(&f->b, x, 1, dim);
  assert_true(diag_failed(&f->l));
  assert_string_equal(diag_name(f->l.items.at[0]->id), "index_overflow");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, graph_setup, graph_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(equal_nodes_merge),
                                     TEST(effects_do_not_merge),
                                     TEST(spans_join),
                                     TEST(dims_are_guarded_once),
                                     TEST(failure_is_quiet_downstream),
                                     TEST(short_forms),
                                     TEST(constants),
                                     TEST(rebuilding),
                                     TEST(steps_of_dims),
                                     TEST(overflow_is_reported)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
