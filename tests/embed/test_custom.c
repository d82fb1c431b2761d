// Custom operators: a C function of a shared library, called by the interpreter with scalars by value and tensors with
// their dims.
#include "api/custom.h"
#include "frontend/frontend.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#define FOLDER NNC_BINARY_DIR "/custom-test"

static const char source[] =
    "#include <stdint.h>\n"
    "int gate(const float *x, int64_t a, int64_t b, float scale, int8_t shift, double bias, float *out, int32_t "
    "*count) {\n"
    "  if (scale == 0) return 7;\n"
    "  for (int64_t i = 0; i < a; i++)\n"
    "    for (int64_t j = 0; j < b; j++) out[j * a + i] = x[i * b + j] * scale + (float)(shift + bias);\n"
    "  count[0] = (int32_t)(a * b);\n"
    "  return 0;\n}\n";

static const char model[] =
    "nnc: 1\nname: custom\ndims:\n  n: 1..8\nops:\n  gate:\n    library: libgate.so\n"
    "    signature: (f32[a, b] x, f32 scale=2, i8 shift=-3, f64 bias=0.5) -> f32[b, a], i32[1]\n"
    "  lost:\n    library: libgate.so\n    symbol: no_such_function\n    signature: (f32[a, b] x) -> f32[a, b]\n"
    "inputs:\n  x: f32[n, 3]\n  scale: f32 = 2\nsteps:\n- y, z: gate(x, scale)\noutputs:\n  y: y\n  z: z\n";

static void write_text(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static int build_library(void **state) {
  (void)state;
  if (system("mkdir -p " FOLDER)) return -1;
  write_text(FOLDER "/gate.c", source);
  return system("cc -shared -fPIC -o " FOLDER "/libgate.so " FOLDER "/gate.c");
}

typedef struct bench {
  arena *a;
  diag_list l;
  ir_module *m;
} bench;

static void open_model(bench *b, const char *text) {
  b->a = arena_new(NULL);
  assert_non_null(b->a);
  if (setjmp(*arena_guard(b->a))) fail_msg("out of memory");
  diag_init(&b->l, b->a);
  str s = str_of(text);
  b->m = frontend_load(b->a, &b->l, FOLDER "/custom.yaml", &s, &(frontend_options){0});
  assert_non_null(b->m);
}

static bool run_model(bench *b, float scale, ir_tensor **out) {
  ir_tensor *x = ir_tensor_new(b->a, DT_f32, 2, (const int64_t[]){2, 3}), *k = ir_tensor_new(b->a, DT_f32, 0, NULL);
  for (int i = 0; i < 6; i++) ((float *)x->data)[i] = (float)i;
  *(float *)k->data = scale;
  interp_options o = {.custom = custom_host_call, .custom_user = custom_host_new(b->a, &b->l)};
  return interp_run(b->a, b->m->graphs.at[0], (const ir_tensor *const[]){x, k}, out, &o);
}

static void calls_the_function(void **state) {
  (void)state;
  bench b;
  ir_tensor *out[2];
  open_model(&b, model);
  assert_true(run_model(&b, 10, out));
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 3; j++) assert_true(((float *)out[0]->data)[j * 2 + i] == (float)(i * 3 + j) * 10 - 2.5f);
  assert_int_equal(*(int32_t *)out[1]->data, 6);
  arena_free(b.a);
}

static void reports_a_failure_with_its_line(void **state) {
  (void)state;
  bench b;
  ir_tensor *out[2];
  open_model(&b, model);
  assert_false(run_model(&b, 0, out));
  assert_int_equal(b.l.items.n, 1);
  assert_int_equal(b.l.items.at[0]->id, DIAG_ID_custom_call);
  assert_non_null(strstr(b.l.items.at[0]->text, "it returned 7"));
  const char *file;
  uint32_t line, column;
  diag_position(&b.l, b.l.items.at[0]->span, &file, &line, &column);
  assert_int_equal(line, 17);
  arena_free(b.a);
}

static void reports_what_is_missing(void **state) {
  (void)state;
  bench b;
  ir_tensor *out[2];
  strbuf text;
  arena *a = arena_new(NULL);
  if (setjmp(*arena_guard(a))) fail_msg("out of memory");
  sb_init(&text, a);
  const char *call = strstr(model, "- y, z:");
  sb_bytes(&text, model, (size_t)(call - model));
  sb_z(&text, "- y: lost(x)\noutputs:\n  y: y\n");
  open_model(&b, sb_cstr(&text));
  assert_false(run_model(&b, 1, out));
  assert_int_equal(b.l.items.at[0]->id, DIAG_ID_custom_call);
  assert_non_null(strstr(b.l.items.at[0]->text, "no_such_function"));
  arena_free(b.a);
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(calls_the_function),
                                     cmocka_unit_test(reports_a_failure_with_its_line),
                                     cmocka_unit_test(reports_what_is_missing)};
  return cmocka_run_group_tests(tests, build_library, NULL);
}
