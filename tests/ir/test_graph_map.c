// Index maps: labels, extents, which reads may miss, and every message.
#include "graph_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const ir_map *parse(graph_fixture *f, const char *text, const char *a, const char *b) {
  ir_type types[2];
  const idx *dim[IR_MAX_RANK];
  uint32_t rank = graph_dims(f, a, dim);
  types[0] = ir_type_make(f->m, DT_f32, rank, dim);
  if (b != NULL) {
    rank = graph_dims(f, b, dim);
    types[1] = ir_type_make(f->m, DT_f32, rank, dim);
  }
  return ir_map_parse(f->m, text, b == NULL ? 1 : 2, types, NO_SPAN);
}

// "label=extent[*]..." in order, '*' for those of the result, then the axes with '?' where a read may miss.
static const char *describe(graph_fixture *f, const ir_map *m) {
  strbuf b;
  sb_init(&b, f->a);
  if (m == NULL) return graph_messages(f);
  idx_binding names[32];
  for (uint32_t i = 0; i < m->n_labels; i++) {
    sb_fmt(&b, "%s%s%s=", i > 0 ? " " : "", m->labels[i].name, m->labels[i].in_out ? "*" : "");
    idx_print(&b, m->labels[i].extent);
    assert_true(idx_equals_int(m->labels[i].symbol->lo, 0));
    assert_ptr_equal(idx_addi(f->m->ix, m->labels[i].symbol->hi, 1), m->labels[i].extent);
    names[i] = (idx_binding){m->labels[i].symbol, idx_of(f->m->ix, idx_symbol(f->m->ix, m->labels[i].name))};
  }
  for (uint32_t k = 0; k < m->n_operands; k++) {
    sb_z(&b, " |");
    for (uint32_t i = 0; i < m->operand[k].rank; i++) {
      const ir_axis *x = &m->operand[k].axes[i];
      sb_char(&b, ' ');
      idx_print(&b, idx_subst(f->m->ix, x->at, m->n_labels, names));
      if (x->exact_div != 1) sb_fmt(&b, "/%d", (int)x->exact_div);
      if (x->may_miss) sb_char(&b, '?');
    }
  }
  sb_z(&b, " ->");
  for (uint32_t i = 0; i < m->out_rank; i++) sb_fmt(&b, " %s", m->labels[m->out_label[i]].name);
  return sb_cstr(&b);
}

static void good(void **state) {
  graph_fixture *f = *state;
  ir_dim_add(f->m, "height", 64, 1024, 8, NO_SPAN);
  static const struct {
    const char *map, *a, *b, *want;
  } cases[] = {
      {"b m k, b k n -> b m n", "batch,seq,64", "batch,64,seq", "b*=batch m*=seq k=64 n*=seq | b m k | b k n -> b m n"},
      {"m k,n k->n m", "3,4", "5,4", "m*=3 k=4 n*=5 | m k | n k -> n m"},
      {" , k -> k", "", "7", "k*=7 | | k -> k"},
      {"m, m -> ", "seq", "seq", "m=seq | m | m ->"},
      {"n c (y*2+ky-1) (x*2+kx-1), o c ky kx -> n o y x; y = height//2, x = 5", "batch,3,height,10", "8,3,3,3",
       "n*=batch c=3 y*=height//2 ky=3 x*=5 kx=3 o*=8 | n c ky+2*y-1? kx+2*x-1? | o c ky kx -> n o y x"},
      {"n (x+k) , k -> n x; x = seq-2", "batch,seq", "3", "n*=batch x*=seq-2 k=3 | n k+x | k -> n x"}, // stays inside
      {"n (x+k) , k -> n x; x = seq-1", "batch,seq", "3", "n*=batch x*=seq-1 k=3 | n k+x? | k -> n x"},
      {"b (g*4+r) m d, b g n d -> b g r m n; r = 4", "2,12,5,64", "2,3,7,64",
       "b*=2 g*=3 r*=4 m*=5 d=64 n*=7 | b 4*g+r m d | b g n d -> b g r m n"},
      {"n c ((y+1-ky)/2), c o ky -> n o y; y = 10", "1,2,5", "2,4,3",
       "n*=1 c=2 y*=10 ky=3 o*=4 | n c y+1-ky/2? | c o ky -> n o y"},
      {"(y-k)/3, k -> y; y = 9", "5", "2", "y*=9 k=2 | y-k/3? | k -> y"},
      {"((y)*2), y -> y", "9", "5", "y*=5 | 2*y | y -> y"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_string_equal(describe(f, parse(f, cases[i].map, cases[i].a, cases[i].b)), cases[i].want);
  }
  assert_string_equal(describe(f, parse(f, "n (x*2+k) -> n x k; x = seq//2, k = 2", "batch,seq", NULL)),
                      "n*=batch x*=seq//2 k*=2 | n k+2*x -> n x k"); // 2*(seq//2 - 1) + 1 <= seq - 1
}

static void bad(void **state) {
  graph_fixture *f = *state;
  static const struct {
    const char *map, *a, *b, *want;
  } cases[] = {
      {"m k, k n -> m n", "3,4", "5,6", "label `k` has extents 4 and 5"},
      {"m k k n -> m n", "3,4", "5,6", "operand 0 has 2 dims; the map names more"},
      {"m, k n -> m n", "3,4", "5,6", "operand 0 has 2 dims; the map names 1"},
      {"m k -> m", "3,4", "5,6", "it maps 1 operands, not 2"},
      {"m k, k n, n -> m", "3,4", "4,6", "expected `->` at `, n -> m`"},
      {"m k, k n", "3,4", "4,6", "expected `->` at ``"},
      {"m k, k n -> m m", "3,4", "4,6", "label `m` stands twice in the result"},
      {"m k, k n -> m (n)", "3,4", "4,6", "expected a label at `(n)`"},
      {"m (2*k), k n -> m n q", "3,8", "4,6", "label `q` has no extent: add `; q = ...`"},
      {"m (2*j), k n -> m n", "3,8", "4,6", "label `j` has no extent: add `; j = ...`"},
      {"m (j*k), k n -> m n; j = 2", "3,8", "4,6", "an axis is not an affine sum of labels"},
      {"m (k//2), k n -> m n", "3,8", "4,6", "an axis is not an affine sum of labels"},
      {"m (min(k,m)), k n -> m n", "3,8", "4,6", "an axis is not an affine sum of labels"},
      {"m (2*k, k n -> m n", "3,8", "4,6", "expected `)` at `, k n -> m n`"},
      {"m (2*), k n -> m n", "3,8", "4,6", "expected an index expression at `), k n -> m n`"},
      {"m (2*k)/0, k n -> m n", "3,8", "4,6", "expected a positive number after `/`"},
      {"m k, k n -> m n; k = 5", "3,4", "4,6", "label `k` has extents 4 and 5"},
      {"m k, k n -> m n; q = 5", "3,4", "4,6", "label `q` stands on no axis"},
      {"m k, k n -> m n; k 5", "3,4", "4,6", "expected `=` after label `k`"},
      {"m k, k n -> m n; = 5", "3,4", "4,6", "expected a label after `;`"},
      {"m k, k n -> m n; k = other", "3,4", "4,6", "unknown name in an index expression at `other`"},
      {"m k, k n -> m n; k = 4 x", "3,4", "4,6", "unexpected `x`"},
      {"m 3, k n -> m n", "3,4", "4,6", "expected a label or `(` at `3, k n -> m n`"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_null(parse(f, cases[i].map, cases[i].a, cases[i].b));
    const char *text = f->l.items.at[f->l.items.n - 1]->text;
    assert_int_equal(f->l.items.at[f->l.items.n - 1]->id, DIAG_ID_graph_map);
    const char *want = str_fmt(f->a, "map \"%s\": %s", cases[i].map, cases[i].want);
    assert_string_equal(text, want);
    f->l.items.n = f->l.n_errors = 0;
  }
  strbuf b;
  sb_init(&b, f->a);
  for (int i = 0; i < 40; i++) sb_fmt(&b, "%sl%d", i == 0 ? "(" : "+", i);
  sb_z(&b, ") -> l0");
  assert_null(parse(f, sb_cstr(&b), "9", NULL));
  assert_non_null(strstr(graph_messages(f), "more than 32 labels"));
}

// Labels belong to one node: two nodes with one map share none, and a node always has the same.
static void labels_are_unique(void **state) {
  graph_fixture *f = *state;
  ir_value *x = graph_input(f, "x", DT_f32, "8,8");
  ir_value *y = ir_contract(&f->b, x, x, "m k, k n -> m n"), *z = ir_contract(&f->b, y, x, "m k, k n -> m n");
  const ir_map *a = ir_map_of(f->m, y->def), *b = ir_map_of(f->m, z->def);
  assert_ptr_equal(ir_map_of(f->m, y->def), a);
  for (uint32_t i = 0; i < 3; i++) {
    for (uint32_t k = 0; k < 3; k++) assert_ptr_not_equal(a->labels[i].symbol, b->labels[k].symbol);
  }
  assert_null(ir_map_of(f->m, ir_unary(&f->b, OP_neg, x)->def));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, graph_setup, graph_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(good), TEST(bad), TEST(labels_are_unique)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
