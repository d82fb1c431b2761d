// The builder: what it infers, what it leaves out because it is always true, and that its kernels verify, read back and
// run.
#include "kir_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

// Verified, and its text reads back to the same text.
static const char *sound_text(kir_fixture *f, const kir_kernel *k) {
  const char *text = kir_text(f, k);
  if (!kir_verify(k, &f->l)) fail_msg("%s\n%s", text, kir_messages(f));
  kir_kernel *again = kir_from(f, text);
  if (again == NULL || !kir_verify(again, &f->l)) fail_msg("%s\n%s", text, kir_messages(f));
  assert_string_equal(kir_text(f, again), text);
  return text;
}

static const idx *linear(kir_kernel *k, const idx *a, const idx *b) { return idx_add(k->ix, a, b); }

static const idx *of(kir_kernel *k, const sym *s) { return idx_of(k->ix, s); }

// The example at the head of ir/kir.h.
static void test_add_bias(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_kernel_new(f->a, &f->l, "add_bias");
  const idx *n = of(k, kir_fact_add(k, "n", 1, 4096, 1));
  assert_ptr_equal(of(k, kir_fact_add(k, "n", 1, 4096, 1)), n); // found by name
  const idx *rows = idx_scale(k->ix, n, 64), *width = idx_int(k->ix, 64);
  kir_buffer *x = kir_param(k, "p0", KIR_in, DT_f32, 1, &rows);
  kir_buffer *bias = kir_param(k, "p1", KIR_in, DT_f32, 1, &width);
  kir_buffer *y = kir_param(k, "p2", KIR_out, DT_f32, 1, &rows);
  const idx *i = of(k, kir_grid(k, "i", n)), *c = of(k, k->c);
  kir_builder b = kir_begin(k);
  kir_stmt *loop = kir_for(&b, "k", idx_int(k->ix, 0), width, 64, 1, 0, NULL);
  kir_builder body = kir_for_body(&b, loop);
  const idx *column = linear(k, of(k, loop->var), c), *at = linear(k, idx_scale(k->ix, i, 64), column);
  const idx *cond[] = {idx_sub(k->ix, idx_int(k->ix, 63), column)};
  kir_where w = kir_conds(k, 1, cond);
  assert_int_equal(w.n, 1); // without a shape nothing is known of c
  scalar zero = scalar_f(DT_f32, 0);
  kir_tile *a = kir_load(&body, x, &at, 1, 64, w, zero), *bb = kir_load(&body, bias, &column, 1, 64, w, zero);
  kir_store(&body, y, &at, kir_op2(&body, OP_add, a, bb), 1, 64, w);
  kir_for_end(loop, NULL);
  const char *name = loop->var->name;
  assert_string_equal(sound_text(f, k),
                      str_fmt(f->a,
                              "kernel add_bias\n  in p0 f32[64*n]  in p1 f32[64]  out p2 f32[64*n]\n  grid i: n\n"
                              "  fact n in 1..4096\n{\n  for %s in 0..64 step 64 {\n"
                              "    %%0 = load p0[c+64*i+%s] : f32 1x64\n    %%1 = load p1[c+%s] : f32 1x64\n"
                              "    %%2 = add %%0, %%1\n    store p2[c+64*i+%s] = %%2\n  }\n}\n",
                              name, name, name, name));
  float xs[192], bs[64], ys[192];
  for (int j = 0; j < 192; j++) xs[j] = (float)j;
  for (int j = 0; j < 64; j++) bs[j] = (float)(1000 * j);
  int64_t fault, three = 3;
  assert_true(kir_run(f->a, k, &f->l, (void *[]){xs, bs, ys}, &three, &fault));
  for (int j = 0; j < 192; j++) assert_true(ys[j] == (float)(j + 1000 * (j % 64)));
}

// -- conditions --

static size_t conditions_left(kir_fixture *f, int64_t multiple, bool rest) {
  kir_kernel *k = kir_kernel_new(f->a, &f->l, "k");
  const idx *d = of(k, kir_fact_add(k, "D", multiple, 4096, multiple)), *zero = idx_int(k->ix, 0);
  kir_buffer *x = kir_param(k, "X", KIR_in, DT_f32, 1, &d);
  kir_builder b = kir_begin(k);
  const idx *whole = kir_let(&b, "f", idx_scale(k->ix, idx_floordiv(k->ix, d, idx_int(k->ix, 64)), 64));
  kir_stmt *loop = rest ? kir_for(&b, "k", whole, d, 64, 1, 0, NULL) : kir_for(&b, "k", zero, whole, 64, 1, 0, NULL);
  kir_builder body = kir_for_body(&b, loop);
  const idx *at = linear(k, of(k, loop->var), of(k, k->c));
  const idx *cond = idx_addi(k->ix, idx_sub(k->ix, d, at), -1);
  kir_tile *t = kir_load(&body, x, &at, 1, 64, kir_conds(k, 1, &cond), scalar_f(DT_f32, 0));
  (void)sound_text(f, k);
  return t->def->where.n;
}

static void test_proved_conditions_are_dropped(void **state) {
  kir_fixture *f = *state;
  assert_int_equal(conditions_left(f, 1, false), 0); // the whole part, though D is anything
  assert_int_equal(conditions_left(f, 1, true), 1);  // the rest needs its mask
  assert_int_equal(conditions_left(f, 64, false), 0);
}

static void test_shape_bounds(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_kernel_new(f->a, &f->l, "k");
  kir_builder b = kir_begin(k);
  const idx *r = of(k, k->r), *c = of(k, k->c);
  const idx *conds[] = {idx_sub(k->ix, idx_int(k->ix, 5), r), idx_sub(k->ix, idx_int(k->ix, 7), c), c};
  kir_where all = kir_conds(k, 3, conds);
  assert_int_equal(all.n, 2); // c >= 0 holds in every shape
  scalar v = scalar_f(DT_f32, 1);
  kir_tile *small = kir_const(&b, v, 6, 8), *tall = kir_const(&b, v, 7, 8), *wide = kir_const(&b, v, 6, 9);
  assert_ptr_equal(kir_select(&b, small, all, v), small);
  kir_tile *t = kir_select(&b, tall, all, v), *w = kir_select(&b, wide, all, scalar_f(DT_f64, -2));
  assert_int_equal(t->def->where.n, 1);
  assert_ptr_equal(t->def->where.cond[0], conds[0]);
  assert_ptr_equal(w->def->where.cond[0], conds[1]);
  assert_true(scalar_same(w->def->imm, scalar_f(DT_f32, -2))); // the constant takes the tile's dtype
  kir_tile *row = kir_index(&b, linear(k, r, c), DT_i32, 1, 4), *column = kir_index(&b, linear(k, r, c), DT_i32, 4, 1);
  assert_ptr_equal(row->def->index, c); // one row: r is 0
  assert_ptr_equal(column->def->index, r);
  const idx *first[] = {conds[0]}, *both[] = {conds[0], conds[1]};
  assert_int_equal(kir_both(k, kir_conds(k, 1, first), kir_conds(k, 2, both)).n, 2);
  (void)sound_text(f, k);
}

// -- inference --

static void test_broadcasting(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_kernel_new(f->a, &f->l, "k");
  kir_builder b = kir_begin(k);
  kir_tile *row = kir_const(&b, scalar_f(DT_f32, 1), 1, 64), *column = kir_const(&b, scalar_f(DT_f32, 2), 6, 1);
  kir_tile *sum = kir_op2(&b, OP_add, row, column), *less = kir_op2(&b, OP_lt, column, row);
  assert_true(sum->rows == 6 && sum->cols == 64 && sum->dt == DT_f32);
  assert_true(less->rows == 6 && less->cols == 64 && less->dt == DT_bool);
  kir_tile *picked = kir_op(&b, OP_where, 3, (kir_tile *[]){less, column, row});
  assert_true(picked->rows == 6 && picked->cols == 64 && picked->dt == DT_f32);
  kir_tile *half = kir_convert(&b, sum, DT_f16);
  assert_true(half->dt == DT_f16 && kir_convert(&b, half, DT_f16) == half);
  kir_tile *total = kir_reduce(&b, OP_sum, picked, NULL), *fused = kir_fma(&b, total, row, column);
  assert_true(total->rows == 6 && total->cols == 1 && fused->cols == 64);
  kir_tile *dot = kir_dot(&b, sum, column, row, "fma");
  assert_true(dot->rows == 6 && dot->cols == 64);
  assert_true(kir_op1(&b, OP_not, less)->dt == DT_bool);
  (void)sound_text(f, k);
}

// A fresh name avoids the buffers': the second kernel has scratch of the name that the first one's symbol got.
static void test_names(void **state) {
  kir_fixture *f = *state;
  kir_kernel *plain = kir_kernel_new(f->a, &f->l, "k"), *k = kir_kernel_new(f->a, &f->l, "k");
  const idx *zero = idx_int(k->ix, 0);
  const char *name = kir_fresh(plain, "s", idx_int(plain->ix, 0), idx_int(plain->ix, 0))->name;
  (void)kir_group(k, name, DT_f32, 1, &(int64_t){4});
  const sym *s = kir_fresh(k, "s", zero, zero);
  assert_string_not_equal(s->name, name);
  kir_builder b = kir_begin(k);
  assert_ptr_equal(kir_let(&b, "x", zero), zero); // constants and symbols need no name
  assert_ptr_equal(kir_let(&b, "x", of(k, s)), of(k, s));
  assert_null(k->body.first);
}

// -- a contraction with staging: every kind of statement that holds a block --

static void test_contraction(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_kernel_new(f->a, &f->l, "gemm");
  idx_ctx *ix = k->ix;
  const idx *M = of(k, kir_fact_add(k, "M", 1, 100, 1)), *K = of(k, kir_fact_add(k, "K", 1, 100, 1));
  const idx *N = idx_int(ix, 8), *r = of(k, k->r), *c = of(k, k->c);
  kir_buffer *A = kir_param(k, "A", KIR_in, DT_f32, 2, (const idx *[]){M, K});
  kir_buffer *B = kir_param(k, "B", KIR_in, DT_f32, 2, (const idx *[]){K, N});
  kir_buffer *C = kir_param(k, "C", KIR_out, DT_f32, 2, (const idx *[]){M, N});
  kir_buffer *S = kir_group(k, "S", DT_f32, 2, (int64_t[]){4, 16});
  const idx *m0 = idx_scale(ix, of(k, kir_grid(k, "g", idx_ceildiv(ix, M, 4))), 4), *row = linear(k, m0, r);
  kir_where rows = kir_conds(k, 1, (const idx *[]){idx_addi(ix, idx_sub(ix, M, row), -1)});
  kir_builder b = kir_begin(k);
  scalar zero = scalar_f(DT_f32, 0);
  kir_tile *start = kir_const(&b, zero, 4, 8);
  kir_stmt *outer = kir_for(&b, "k0", idx_int(ix, 0), K, 16, 1, 1, &start);
  kir_builder in = kir_for_body(&b, outer);
  const idx *k0 = of(k, outer->var), *depth = linear(k, k0, c);
  kir_where both = kir_both(k, rows, kir_conds(k, 1, (const idx *[]){idx_addi(ix, idx_sub(ix, K, depth), -1)}));
  kir_stmt *copy = kir_copy(&in, S, (const idx *[]){r, c}, A, (const idx *[]){row, depth}, 4, 16, both, zero);
  kir_tile *loaded;
  kir_builder prologue = kir_copy_body(&in, copy, &loaded);
  kir_copy_yield(copy, kir_op2(&prologue, OP_mul, loaded, kir_const(&prologue, scalar_f(DT_f32, 2), 1, 1)));
  kir_stmt *inner = kir_for(&in, "k", k0, idx_min(ix, K, idx_addi(ix, k0, 16)), 1, 2, 1, outer->carry);
  kir_builder core = kir_for_body(&in, inner);
  const idx *kk = of(k, inner->var);
  kir_prefetch(&core, B, (const idx *[]){idx_addi(ix, kk, 1), idx_int(ix, 0)});
  kir_tile *a = kir_load(&core, S, (const idx *[]){r, idx_sub(ix, kk, k0)}, 4, 1, kir_always, zero);
  kir_tile *bb = kir_load(&core, B, (const idx *[]){kk, c}, 1, 8, kir_always, zero);
  kir_tile *acc = kir_dot(&core, inner->carry[0], a, bb, "fma");
  kir_for_end(inner, &acc);
  kir_for_end(outer, inner->result);
  kir_stmt *branch = kir_if(&b, idx_addi(ix, M, -2));
  kir_builder then = kir_then(&b, branch), otherwise = kir_else(&b, branch);
  kir_store(&then, C, (const idx *[]){row, c}, outer->result[0], 4, 8, rows);
  kir_fault(&otherwise, 5, 1, 1, kir_always);
  kir_store(&otherwise, C, (const idx *[]){row, c}, outer->result[0], 4, 8, rows);
  (void)sound_text(f, k);

  static float A_[9 * 37], B_[37 * 8], C_[9 * 8];
  uint64_t seed = 1;
  for (int i = 0; i < 9 * 37; i++) A_[i] = kir_random(&seed);
  for (int i = 0; i < 37 * 8; i++) B_[i] = kir_random(&seed);
  for (int64_t m = 1; m <= 9; m += 8) {
    int64_t fault = -1;
    bool ran = kir_run(f->a, k, &f->l, (void *[]){A_, B_, C_}, (int64_t[]){m, 37}, &fault);
    if (!ran) fail_msg("%s", kir_messages(f));
    assert_int_equal(fault, m == 1 ? 6 : 0);
    for (int i = 0; i < m * 8; i++) {
      double want = 0;
      for (int t = 0; t < 37; t++) want += 2 * (double)A_[i / 8 * 37 + t] * (double)B_[t * 8 + i % 8];
      double error = (double)C_[i] - want;
      assert_true(error < 1e-5 && error > -1e-5);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_add_bias, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_proved_conditions_are_dropped, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_shape_bounds, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_broadcasting, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_names, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_contraction, kir_setup, kir_teardown),
  };
  return cmocka_run_group_tests_name("kir_build", tests, NULL, NULL);
}
