// Narrow weights (passes/weights.c): kernels and machine code follow the interpreter on random products of every form,
// on every CPU level that this machine has; what is lost is at most what the form's definition allows; the constants
// that a compiled module keeps are as small as the form says.
#include "op/engines.h"
#include "op/random_graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

enum { CASES = 10, GROUP = 32 };

static const weights_form forms[] = {WEIGHTS_bf16, WEIGHTS_f16, WEIGHTS_q8, WEIGHTS_q4};
static const char *const levels[] = {"x86-64", "x86-64-v3", "x86-64-v4"};

// -- random products --

typedef struct product {
  const char *text;         // the module
  int64_t reduced, columns; // what one result sums over; results beside each other
  bool gathers;             // rows of a table, not a product
} product;

// Weights as they occur: either way round, with heads, in batches, read by rows; reduced extents that can be grouped,
// and such that cannot.
static product random_product(arena *a, uint64_t *state) {
  static const int extents[] = {32, 64, 96, 160, 256, 288, 512, 1056, 20, 33, 48};
  int k = extents[random_below(state, sizeof extents / sizeof *extents)], n = 1 + (int)random_below(state, 70);
  int kind = (int)random_below(state, 5), heads = 1 + (int)random_below(state, 3);
  bool one_row = random_below(state, 4) == 0;
  const char *rows = one_row ? "1" : "rows";
  const char *x, *w, *y;
  switch (kind) {
  case 0: x = str_fmt(a, "%s,%d", rows, k), w = str_fmt(a, "%d,%d", n, k), y = str_fmt(a, "%s,%d", rows, n); break;
  case 1: x = str_fmt(a, "%s,%d", rows, k), w = str_fmt(a, "%d,%d", k, n), y = str_fmt(a, "%s,%d", rows, n); break;
  case 2:
    x = str_fmt(a, "%s,%d,%d", rows, heads, k), w = str_fmt(a, "%d,%d,%d", heads, k, n),
    y = str_fmt(a, "%s,%d", rows, n);
    break;
  case 3:
    x = str_fmt(a, "%d,%s,%d", heads, rows, k), w = str_fmt(a, "%d,%d,%d", heads, k, n),
    y = str_fmt(a, "%d,%s,%d", heads, rows, n);
    break;
  default: x = rows, w = str_fmt(a, "%d,%d", n, k), y = str_fmt(a, "%s,%d", rows, k);
  }
  static const char *const maps[] = {"m k, n k -> m n", "m k, k n -> m n", "m h k, h k n -> m n",
                                     "b m k, b k n -> b m n"};
  const char *how = kind < 4 ? maps[kind] : NULL;
  const char *node = how ? str_fmt(a, "contract(%%0, %%1) {map=\"%s\"}", how) : "gather(%1, %0) {axis=0}";
  const char *text = str_fmt(a,
                             "dim rows in 1..256\nweight w : f32[%s]\ngraph forward(%%0 x: %s[%s]) {\n"
                             "  %%1 = weight() {name=\"w\"} : f32[%s]\n  %%2 = %s : f32[%s]\n  return y: %%2\n}\n",
                             w, how ? "f32" : "i32", x, w, node, y);
  return (product){text, kind == 2 ? heads * k : k, n, !how};
}

static ir_tensor *random_input(arena *a, const ir_module *m, const product *p, int64_t rows, uint64_t *state) {
  ir_type t = m->graphs.at[0]->body->params[0].type;
  int64_t dim[IR_MAX_RANK];
  for (uint32_t i = 0; i < t.rank; i++)
    if (!idx_is_const(t.dim[i], &dim[i])) dim[i] = rows;
  ir_tensor *x = ir_tensor_new(a, t.dt, t.rank, dim);
  for (int64_t i = 0; i < ir_tensor_count(x); i++) {
    if (p->gathers) ((int32_t *)x->data)[i] = (int32_t)random_below(state, (uint32_t)p->columns);
    else ((float *)x->data)[i] = (float)(2 * random_unit(state) - 1);
  }
  return x;
}

static ir_tensor *give_weights(arena *a, ir_module *m, double (*element)(void *user, int64_t i), void *user) {
  ir_weight *w = m->weights.at[0];
  int64_t dim[IR_MAX_RANK];
  for (uint32_t d = 0; d < w->type.rank; d++) idx_is_const(w->type.dim[d], &dim[d]);
  ir_tensor *t = ir_tensor_new(a, DT_f32, w->type.rank, dim);
  for (int64_t i = 0; i < ir_tensor_count(t); i++) ((float *)t->data)[i] = (float)element(user, i);
  w->data = t->data;
  return t;
}

static double unit(void *user, int64_t i) {
  (void)i;
  return 2 * random_unit(user) - 1;
}

// What the module does to its weights in this form, as a module of its own.
static void narrow(arena *a, diag_list *l, ir_module *m, weights_form form) {
  pass_context c = {.a = a, .diags = l, .target = target_find("x86-64"), .weights = form};
  assert_true(pass_weights(&c, m) && graph_verify(m));
}

// Scales and narrow weights are the same bits in all engines; sums of |x| <= 1 times |w| <= 1 + a step differ by
// roundings.
static void compare(const product *p, const ir_tensor *want, const ir_tensor *got, const char *engine) {
  double bound = p->gathers ? 0 : (double)p->reduced * 1.2 * 0x1p-23;
  assert_int_equal(ir_tensor_count(want), ir_tensor_count(got));
  for (int64_t i = 0; i < ir_tensor_count(want); i++) {
    double d = fabs((double)((const float *)want->data)[i] - (double)((const float *)got->data)[i]);
    if (!(d <= bound)) fail_msg("%s: element %lld is off by %g\n%s", engine, (long long)i, d, p->text);
  }
}

static void engines_agree_on(uint64_t seed, weights_form form, const char *level) {
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  uint64_t state = seed;
  product p = random_product(a, &state);
  ir_module *m = graph_parse(a, &l, diag_add_file(&l, "product", str_of(p.text)));
  assert_non_null(m);
  give_weights(a, m, unit, &state);
  narrow(a, &l, m, form);
  engines e;
  if (!engines_open(&e, a, m, level)) fail_msg("%s\n%s", p.text, engines_messages(&e));
  int64_t rows[] = {1, 1 + random_below(&state, 12), 1 + random_below(&state, 250)};
  int kernels_at = (int)random_below(&state, 2);
  for (int i = 0; i < 3; i++) {
    ir_tensor *x = random_input(a, m, &p, rows[i], &state), *want, *got;
    const ir_tensor *const in[] = {x};
    assert_true(engines_interpret(&e, a, in, &want));
    if (i == kernels_at) {
      assert_true(engines_run_kernels(&e, a, in, &got));
      compare(&p, want, got, "kernels");
    }
    assert_true(engines_run_jit(&e, a, in, &got, 1 + (unsigned)i % 2));
    compare(&p, want, got, level);
  }
  arena_free(a);
}

static void engines_agree_on_random_products(void **state) {
  (void)state;
  const char *given = getenv("NNC_SEED");
  uint64_t seed = given ? strtoull(given, NULL, 10) : 20260;
  for (size_t level = 0; level < 3; level++) {
    if (!target_supported(target_find(levels[level]))) continue;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
      for (uint64_t i = 0; i < CASES; i++) engines_agree_on(seed + 1000 * i, forms[f], levels[level]);
  }
}

// -- what is lost --

typedef struct columns { // a weight [n, 64] whose groups are of all kinds
  uint64_t state;
} columns;

// Row 0: zeros; 1: far below one; 2: far above; 3: one extreme in each group, negative; 4: the same, positive; others:
// even.
static double of_all_kinds(void *user, int64_t i) {
  columns *c = user;
  double u = 2 * random_unit(&c->state) - 1;
  switch (i / (2 * GROUP)) {
  case 0: return 0;
  case 1: return u * 0x1p-90;
  case 2: return u * 1e30;
  case 3: return i % GROUP == 7 ? -3 : 0.1 * u;
  case 4: return i % GROUP == 9 ? 3 : 0.1 * u;
  default: return u;
  }
}

static ir_module *square(arena *a, diag_list *l) {
  ir_module *m = graph_parse(a, l,
                             diag_add_file(l, "square",
                                           STR("weight w : f32[16,64]\ngraph forward(%0 x: f32[64,64]) {\n"
                                               "  %1 = weight() {name=\"w\"} : f32[16,64]\n"
                                               "  %2 = contract(%0, %1) {map=\"m k, n k -> n m\"} : f32[16,64]\n"
                                               "  return y: %2\n}\n")));
  assert_non_null(m);
  return m;
}

// The identity times the weight: the weight itself, narrow and widened, by the interpreter.
static ir_tensor *widened(arena *a, ir_module *m) {
  const int64_t dim[] = {64, 64};
  ir_tensor *x = ir_tensor_new(a, DT_f32, 2, dim), *y;
  for (int i = 0; i < 64 * 64; i++) ((float *)x->data)[i] = i / 64 == i % 64;
  assert_true(interp_run(a, m->graphs.at[0], (const ir_tensor *const[]){x}, &y, NULL));
  return y;
}

// The largest error that the form allows an element of a group.
static double allowed(weights_form form, const float *group, double w) {
  double most = 0, rounded = 1 + 0x1p-8;
  for (int i = 0; i < GROUP; i++) most = fmax(most, fabs((double)group[i]));
  switch (form) {
  case WEIGHTS_bf16: return fabs(w) * 0x1p-8;
  case WEIGHTS_f16: return fabs(w) * 0x1p-11 + 0x1p-25;
  case WEIGHTS_q8: return most / 127 * rounded / 2;
  case WEIGHTS_q4: return most / (7.5 * (1 - 0x1p-8)) * rounded / 2;
  case WEIGHTS_f32:
  default: return 0;
  }
}

static void errors_are_within_half_a_step(void **state) {
  (void)state;
  for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
    arena *a = arena_new(NULL);
    diag_list l;
    diag_init(&l, a);
    ir_module *m = square(a, &l);
    columns c = {7};
    const ir_tensor *w = give_weights(a, m, of_all_kinds, &c);
    narrow(a, &l, m, forms[f]);
    const float *given = w->data, *got = widened(a, m)->data;
    size_t lossy = 0;
    for (int i = 0; i < 16 * 64; i++) {
      if (forms[f] == WEIGHTS_f16 && i / 64 == 2) continue; // beyond its range
      double error = fabs((double)got[i] - (double)given[i]);
      lossy += error > 0;
      if (!(error <= allowed(forms[f], given + i / GROUP * GROUP, (double)given[i]) * (1 + 1e-6)))
        fail_msg("form %d, element %d: %g became %g", (int)forms[f], i, (double)given[i], (double)got[i]);
    }
    assert_true(lossy > 500); // or nothing was narrowed
    arena_free(a);
  }
}

static double short_of_bits(void *user, int64_t i) {
  (void)i;
  return (double)bf16_to_f32(f32_to_bf16((float)(2 * random_unit(user) - 1)));
}

// What a bf16 checkpoint of f32 weights gives.
static void bf16_of_bf16_is_exact(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  ir_module *m = square(a, &l);
  uint64_t seed = 11;
  const ir_tensor *w = give_weights(a, m, short_of_bits, &seed);
  narrow(a, &l, m, WEIGHTS_bf16);
  assert_memory_equal(widened(a, m)->data, w->data, 16 * 64 * sizeof(float));
  arena_free(a);
}

static double with_nan_and_infinity(void *user, int64_t i) {
  (void)user;
  return i == 3 * 64 + 5 ? NAN : i == 5 * 64 + 40 ? INFINITY : 0.5;
}

// They stay where they are seen: in their own columns, which give no number.
static void no_number_hides_a_nan_or_an_infinity(void **state) {
  (void)state;
  for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
    arena *a = arena_new(NULL);
    diag_list l;
    diag_init(&l, a);
    ir_module *m = square(a, &l);
    give_weights(a, m, with_nan_and_infinity, NULL);
    narrow(a, &l, m, forms[f]);
    engines e;
    ir_tensor *x = ir_tensor_new(a, DT_f32, 2, (const int64_t[]){64, 64}), *y;
    for (int i = 0; i < 64 * 64; i++) ((float *)x->data)[i] = 1;
    if (!engines_open(&e, a, m, NULL)) fail_msg("%s", engines_messages(&e));
    assert_true(engines_run_jit(&e, a, (const ir_tensor *const[]){x}, &y, 1));
    for (int i = 0; i < 16 * 64; i++) {
      bool finite = isfinite(((const float *)y->data)[i]);
      assert_true(finite == (i / 64 != 3 && i / 64 != 5));
    }
    arena_free(a);
  }
}

// -- how much is kept, in whole pages --

static void constants_are_as_small_as_the_form_says(void **state) {
  (void)state;
  static const double bits[] = {16, 16, 8.5, 4.5};
  for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
    arena *a = arena_new(NULL);
    diag_list l;
    diag_init(&l, a);
    ir_module *m = graph_parse(a, &l,
                               diag_add_file(&l, "product",
                                             STR("dim rows in 1..64\nweight w : f32[480,512]\n"
                                                 "graph forward(%0 x: f32[rows,512]) {\n"
                                                 "  %1 = weight() {name=\"w\"} : f32[480,512]\n"
                                                 "  %2 = contract(%0, %1) {map=\"m k, n k -> m n\"} : f32[rows,480]\n"
                                                 "  return y: %2\n}\n")));
    uint64_t seed = 3;
    give_weights(a, m, unit, &seed);
    narrow(a, &l, m, forms[f]);
    engines e;
    if (!engines_open(&e, a, m, NULL)) fail_msg("%s", engines_messages(&e));
    double bytes = (double)image_plan(&e.job.image)->constants_bytes, want = 480 * 512 * bits[f] / 8;
    if (bytes < want || bytes > want + 4096) fail_msg("form %d keeps %g bytes, not %g", (int)forms[f], bytes, want);
    arena_free(a);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(engines_agree_on_random_products),
      cmocka_unit_test(errors_are_within_half_a_step),
      cmocka_unit_test(bf16_of_bf16_is_exact),
      cmocka_unit_test(no_number_hides_a_nan_or_an_infinity),
      cmocka_unit_test(constants_are_as_small_as_the_form_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
