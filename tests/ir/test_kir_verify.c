// The verifier: each rule is broken once, by a text where the grammar permits it and by hand where it does not.
#include "kir_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

// Head and body are put together as: kernel k <head> fact n in 1..100 { <body> }
static const struct {
  const char *head, *body;
  const char *id; // NULL: sound
  const char *says;
} cases[] = {
    {"in a f32[n] grid i: n", "%0 = load a[i] : f32 1x1", NULL, NULL},
    // index expressions
    {"", "let x = r", "kernel_tile_place", "`let x = r`"},
    {"", "for i in 0..c step 1 {\n}", "kernel_tile_place", "`for i in 0..c step 1 {`"},
    {"", "if c >= 0 {\n}", "kernel_tile_place", NULL},
    {"in a f32[n]", "prefetch a[c]", "kernel_tile_place", NULL},
    {"grid i: r", "", "kernel_tile_place", "`grid i`"},
    {"in a f32[n] grid i: n", "%0 = load a[i//n] : f32 1x1", NULL, NULL},
    {"in a f32[n] grid i: n", "%0 = load a[i//(n-1)] : f32 1x1", "kernel_divisor", "the divisor `n-1`"},
    {"in a f32[n] grid i: n", "let d = n+1\n %0 = load a[i%d] : f32 1x1", NULL, NULL},
    {"in a f32[n] in t i32[n] grid i: n", "%0 = load a[t[i]] : f32 1x1", NULL, NULL},
    {"in a f32[n] grid i: n", "%0 = load a[t[i]] : f32 1x1", "kernel_read", "`t`"},
    {"in a f32[n] grid i: n", "%0 = load a[a[i]] : f32 1x1", "kernel_read", "`a`"},
    {"in a f32[n] inout t i32[n] grid i: n", "%0 = load a[t[i]] : f32 1x1", "kernel_read", "`t`"},
    // uniform control flow
    {"workers w: 4", "for i in 0..w step 1 {\n}", "kernel_varying", "depends on `w`"},
    {"workers w: 4", "let x = 3*w\n if x-1 >= 0 {\n}", "kernel_varying", "depends on `x`"},
    {"workers w: 4", "let x = 3*w\n let y = x+1\n for i in y..9 step 1 {\n}", "kernel_varying", "depends on `y`"},
    {"in t i32[n] workers w: 4", "if t[w] >= 0 {\n}", "kernel_varying", "depends on `w`"},
    {"in t i32[n] workers w: 4", "if t[0] >= 0 {\n}", NULL, NULL},
    {"workers w: 1", "if w-1 >= 0 {\n}", NULL, NULL},
    {"in a f32[n] group s f32[4] workers w: 4", "copy s[c] = a[c+w] : 1x4", "kernel_varying", "depends on `w`"},
    {"in a f32[n] group s f32[4] workers w: 4", "copy s[c] = a[c] : 1x4 where w-1 >= 0 else 0", "kernel_varying", NULL},
    {"in a f32[n] workers w: 4", "%0 = load a[w] : f32 1x1", NULL, NULL},
    // memory
    {"in a f32[n]", "%0 = const 1 : f32 1x1\n store a[0] = %0", "kernel_access", "kind `in` cannot be written"},
    {"in a f32[n] group s f32[4]", "copy a[c] = s[c] : 1x4", "kernel_access", NULL},
    {"inout a f32[n]", "%0 = load a[0] : f32 1x1\n store a[0] = %0", NULL, NULL},
    {"in a f32[n]", "%0 = load a[0] : i32 1x1", "kernel_dtype", "load a[0]"},
    {"out a f32[n]", "%0 = const 1 : i32 1x1\n store a[0] = %0", "kernel_dtype", NULL},
    {"out a f32[n]", "%0 = const 1 : f32 1x4\n store a[c] = %0 : 1x8", "kernel_shape", NULL},
    {"out a f32[n]", "%0 = const 1 : f32 1x1\n store a[c] = %0 : 1x8", NULL, NULL},
    {"in a f32[n] group s f16[4]", "copy s[c] = a[c] : 1x4", "kernel_dtype", NULL},
    {"", "%0 = index n : f32 1x1", "kernel_dtype", NULL},
    {"group s f32[n]", "", "kernel_header", "`group s`: the extents"},
    {"group s f32[0]", "", "kernel_header", NULL},
    {"in t i32[n] in a f32[t[0]]", "", "kernel_header", "`in a`"},
    {"in t i32[n] grid i: t[0]", "", "kernel_header", "`grid i`"},
    // products of a warp
    {"workers w: 64 group s bf16[64,18]", "%0 = const 1 : f32 2x2\n %1 = mma %0, s[w//32*16+r, c], s[r, c] : 16", NULL,
     NULL},
    {"workers w: 64 group s bf16[64,18]",
     "let x = w//32\n %0 = const 1 : f32 4x2\n for k in 0..1 step 1 {\n %1 = mma %0, s[16*x+r, 2*k+c], s[r, c] : 16\n}",
     NULL, NULL},
    {"workers w: 64 group s bf16[64,18]", "%0 = const 1 : f32 2x2\n %1 = mma %0, s[w//16*16+r, c], s[r, c] : 16",
     "kernel_mma", NULL},
    {"workers w: 64 group s bf16[64,18]", "%0 = const 1 : f32 2x2\n %1 = mma %0, s[r, c], s[r, c+1] : 16", "kernel_mma",
     NULL},
    {"workers w: 64 group s bf16[64,18]", "%0 = const 1 : f32 2x2\n %1 = mma %0, s[c, r], s[r, c] : 16", "kernel_mma",
     NULL},
    {"workers w: 32 group s bf16[16,17]", "%0 = const 1 : f32 2x2\n %1 = mma %0, s[r, c], s[r, c] : 16", "kernel_mma",
     NULL},
    {"workers w: 48 group s bf16[16,16]", "%0 = const 1 : f32 2x2\n %1 = mma %0, s[r, c], s[r, c] : 16", "kernel_mma",
     NULL},
    {"workers v: 2, w: 32 group s bf16[16,16]", "%0 = const 1 : f32 2x2\n %1 = mma %0, s[r, c], s[r, c] : 16",
     "kernel_mma", NULL},
    {"workers w: 32 in s bf16[16,16]", "%0 = const 1 : f32 2x2\n %1 = mma %0, s[r, c], s[r, c] : 16", "kernel_mma",
     NULL},
    // bodies of copies
    {"in a f32[n] group s f16[4]", "copy s[c] = a[c] : 1x4 then %0 {\n %1 = convert %0 to f16\n yield %1\n}", NULL,
     NULL},
    {"in a f32[n] group s f16[4]", "copy s[c] = a[c] : 1x4 then %0 {\n yield %0\n}", "kernel_dtype", NULL},
    {"in a f32[n] group s f32[4]", "copy s[c] = a[c] : 1x4 then %0 {\n %1 = const 1 : f32 1x2\n yield %1\n}",
     "kernel_shape", NULL},
    {"in a f32[n] group s f32[4]",
     "%2 = const 1 : f32 1x1\n copy s[c] = a[c] : 1x4 then %0 {\n %1 = mul %0, %2\n yield %1\n}", "kernel_copy",
     "`%2 = mul %1, %0`"},
    {"in a f32[n] group s f32[4]", "copy s[c] = a[c] : 1x4 then %0 {\n %1 = rowsum %0\n yield %1\n}", "kernel_copy",
     NULL},
    {"in a f32[n] group s f32[4]", "copy s[c] = a[c] : 1x4 then %0 {\n barrier\n yield %0\n}", "kernel_copy", NULL},
    {"in a f32[n] group s f32[4] workers w: 4",
     "copy s[c] = a[c] : 1x4 then %0 {\n %1 = load a[w] : f32 1x1\n %2 = add %0, %1\n yield %2\n}", "kernel_varying",
     NULL},
    // loops
    {"", "%0 = const 1 : f32 1x4\n %1 = for i in 0..3 step 1 carry (%2 = %0) {\n %3 = rowsum %2\n yield %3\n}",
     "kernel_carry", "for i in"},
    {"", "%0 = const 1 : f32 1x4\n %1 = for i in 0..3 step 1 carry (%2 = %0) {\n %3 = convert %2 to f16\n yield %3\n}",
     "kernel_carry", NULL},
};

static void test_cases(void **state) {
  kir_fixture *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *text = str_fmt(f->a, "kernel k %s fact n in 1..100 {\n%s\n}\n", cases[i].head, cases[i].body);
    kir_kernel *k = kir_from(f, text);
    if (k == NULL) fail_msg("%s\n%s", text, kir_messages(f));
    bool sound = kir_verify(k, &f->l);
    assert_int_equal(sound, f->l.n_errors == 0);
    if (sound != (cases[i].id == NULL)) fail_msg("verified wrongly:\n%s\n%s", text, kir_messages(f));
    if (sound) continue;
    const diag *d = f->l.items.at[f->l.items.n - 1];
    bool said = cases[i].says == NULL || strstr(d->text, cases[i].says) != NULL;
    if (f->l.n_errors != 1 || strcmp(diag_name(d->id), cases[i].id) != 0 || !said) {
      fail_msg("not %s (%s) for\n%s\nbut: %s", cases[i].id, cases[i].says, text, kir_messages(f));
    }
    f->l.n_errors = f->l.items.n = 0;
  }
}

// -- what no text can say --

static void expect(kir_fixture *f, const kir_kernel *k, const char *id) {
  assert_false(kir_verify(k, &f->l));
  if (f->l.n_errors != 1 || strcmp(diag_name(f->l.items.at[f->l.items.n - 1]->id), id) != 0) {
    fail_msg("not one %s but: %s", id, kir_messages(f));
  }
  f->l.n_errors = f->l.items.n = 0;
}

static void test_operands(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_from(f, "kernel k {\n%0 = const 1 : f32 1x4\n%1 = neg %0\n%2 = rowsum %1\n}");
  kir_stmt *neg = k->body.first->next, *sum = neg->next;
  neg->op = OP_add;
  expect(f, k, "kernel_operator");
  neg->op = OP_sum;
  expect(f, k, "kernel_operator");
  neg->op = OP_neg;
  sum->op = OP_neg;
  expect(f, k, "kernel_operator");
  sum->op = OP_sum;
  assert_true(kir_verify(k, &f->l));
  sum->out->cols = 4;
  expect(f, k, "kernel_shape");
  sum->out->cols = 1;
  sum->out->dt = DT_f16;
  expect(f, k, "kernel_dtype");
}

static void test_definitions(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_from(f, "kernel k {\n%0 = const 1 : f32 1x4\nif 0 >= 0 {\n%1 = neg %0\n}\n%2 = neg %0\n}");
  kir_stmt *one = k->body.first, *branch = one->next, *last = branch->next;
  last->in[0] = branch->body.first->out;
  expect(f, k, "kernel_dominance"); // defined in a branch that has ended
  last->in[0] = last->out;
  expect(f, k, "kernel_dominance"); // by itself
  kir_tile stranger = *one->out;
  last->in[0] = &stranger;
  expect(f, k, "kernel_dominance");
  last->in[0] = one->out;
  last->out = one->out;
  expect(f, k, "kernel_defined");
}

static void test_names(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_from(f, "kernel k {\nfor i in 0..3 step 1 {\nlet x = 2*i\n}\nfor j in 0..3 step 1 {\n}\n}");
  kir_stmt *first = k->body.first, *second = first->next;
  second->hi = idx_of(k->ix, first->var);
  expect(f, k, "kernel_scope"); // the first loop has ended
  second->hi = idx_of(k->ix, second->var);
  expect(f, k, "kernel_scope"); // a loop's own bounds
  second->hi = idx_int(k->ix, 3);
  second->var = first->var;
  expect(f, k, "kernel_name");
  second->var = k->r;
  expect(f, k, "kernel_name");
  second->var = idx_symbol(k->ix, "S");
  assert_true(kir_verify(k, &f->l));
  kir_buffer scratch = {intern_z(k->names, "S"), KIR_group, DT_f32, 1, &(const idx *){idx_int(k->ix, 4)}, 0};
  vec_push(f->a, &k->group, &scratch);
  expect(f, k, "kernel_name");
}

static void test_constants(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_from(f, "kernel k in a f32[4] group s f32[4] {\n%0 = load a[c] : f32 1x4 where 2-c >= 0 else 0\n"
                              "%1 = const 1 : f32 1x1\n%2 = select %0 where 1-c >= 0 else 0\n"
                              "copy s[c] = a[c] : 1x4 where 2-c >= 0 else 0\n}");
  for (kir_stmt *s = k->body.first; s != NULL; s = s->next) {
    s->imm.dt = DT_f64;
    expect(f, k, "kernel_else");
    s->imm.dt = DT_f32;
  }
}

static void test_loops_and_workers(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k =
      kir_from(f, "kernel k workers w: 4 {\nfor i in 0..3 step 1 {\n}\n%0 = const 1 : f32 1x1\n%1 = rowsum %0\n}");
  kir_stmt *loop = k->body.first, *sum = loop->next->next;
  loop->step = 0;
  expect(f, k, "kernel_loop");
  loop->step = 1;
  loop->unroll = 0;
  expect(f, k, "kernel_loop");
  loop->unroll = 1;
  sum->across = loop->var;
  expect(f, k, "kernel_across");
  sum->across = k->workers[0];
  assert_true(kir_verify(k, &f->l));
  k->worker_extent[0] = 0;
  expect(f, k, "kernel_header");
}

static void test_facts(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_from(f, "kernel k fact n in 1..4 {\n}");
  k->facts.at[0].lo = 5;
  expect(f, k, "kernel_header");
}

// Several broken rules are several messages.
static void test_all_errors_are_collected(void **state) {
  kir_fixture *f = *state;
  kir_kernel *k = kir_from(f, "kernel k in a f32[4] workers w: 4 {\n%0 = load a[0] : i32 1x1\nlet x = c\nif w >= 0 {\n"
                              "%1 = const 1 : f32 1x1\nstore a[0] = %1\n}\n}");
  assert_false(kir_verify(k, &f->l));
  assert_int_equal(f->l.n_errors, 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_cases, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_operands, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_definitions, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_names, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_constants, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_loops_and_workers, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_facts, kir_setup, kir_teardown),
      cmocka_unit_test_setup_teardown(test_all_errors_are_collected, kir_setup, kir_teardown),
  };
  return cmocka_run_group_tests_name("kir_verify", tests, NULL, NULL);
}
