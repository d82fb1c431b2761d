// Sections, steps, types, dims, signatures, renames and config values, with the exact span of every node.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "syntax_dump.h"

typedef struct fixture {
  arena *a;
  diag_list l;
  str text;
  ast_model *m;
} fixture;

static fixture parse(const char *source) {
  fixture f = {.a = arena_new(NULL), .text = str_of(source)};
  assert_non_null(f.a);
  diag_init(&f.l, f.a);
  f.m = ast_parse_model(f.a, &f.l, diag_add_file(&f.l, "m.yaml", f.text), "m.yaml");
  if (!f.m) {
    strbuf out;
    sb_init(&out, f.a);
    diag_render_all(&f.l, false, &out);
    fail_msg("%s", sb_cstr(&out));
  }
  return f;
}

// The span's bytes are this text.
static void check_span(const fixture *f, diag_span s, const char *text) {
  assert_int_equal(s.file, 1);
  assert_true(s.begin <= s.end && s.end <= f->text.n);
  str bytes = {f->text.p + s.begin, s.end - s.begin};
  if (!str_is(bytes, text)) fail_msg("the span holds `%.*s`, not `%s`", STR_ARG(bytes), text);
}

static void check_str(str s, const char *text) {
  if (!str_is(s, text)) fail_msg("`%.*s` is not `%s`", STR_ARG(s), text);
}

static void check_expr(const fixture *f, const ast_expr *e, const char *source, const char *tree) {
  check_span(f, e->span, source);
  strbuf out;
  sb_init(&out, f->a);
  dump_expr(&out, e, e->span.begin);
  assert_string_equal(sb_cstr(&out), tree);
}

typedef struct step_example {
  const char *source, *tree; // offsets count from the first `- `
} step_example;

static void test_steps(void **state) {
  (void)state;
  static const step_example examples[] = {
      {"- y: x", " {bind[2,3) y[2,3) = x[5,6)}"},
      {"- a, b: x", " {bind[2,6) a[2,3) b[5,6) = x[8,9)}"},
      {"- _, b: x", " {bind[2,6) _[2,3) b[5,6) = x[8,9)}"},
      {"- _, _: x", " {bind[2,6) _[2,3) _[5,6) = x[8,9)}"},
      {"- y@fc: x", " {bind[2,6) y[2,3) @[3,6)|fc[4,6) = x[8,9)}"},
      {"- y@.: x", " {bind[2,5) y[2,3) @own[3,5) = x[7,8)}"},
      {"- y@a.{i}.b-1_c: x", " {bind[2,15) y[2,3) @[3,15)|a.[4,6)|i[7,8)[6,9)|.b-1_c[9,15) = x[17,18)}"},
      {"- y@{i + 1}: x", " {bind[2,11) y[2,3) @[3,11)|`+`[5,10)!7,8(i[5,6) 1[9,10))[4,11) = x[13,14)}"},
      {"- y@p{i}{j}: x", " {bind[2,11) y[2,3) @[3,11)|p[4,5)|i[6,7)[5,8)|j[9,10)[8,11) = x[13,14)}"},
      {"- a, b@s: x", " {bind[2,8) a[2,3) b[5,6) @[6,8)|s[7,8) = x[10,11)}"},
      {"- update s: x", " {update[2,10) s[9,10) = x[12,13)}"},
      {"- update s[i, a:a + 1]: x", " {update[2,22) s[9,10) target=index[9,22)!10,22(s[9,10) i[11,12) "
                                    "slice[14,21)!14,15(a[14,15) `+`[16,21)!18,19(a[16,17) 1[20,21)) -)) = x[24,25)}"},
      {"- return: x", " {return[2,8) = x[10,11)}"},
      {"- return@out: x", " {return[2,12) @[8,12)|out[9,12) = x[14,15)}"},
      {"- return@.: x", " {return[2,10) @own[8,10) = x[12,13)}"},
      {"- for i in r:\n  - y: i", " {for[2,12) i[6,7) = r[11,12) {bind[18,19) y[18,19) = i[21,22)}}"},
      {"- for i, c in f(r):\n  - y: i",
       " {for[2,18) i[6,7) c[9,10) = call:f[14,18)!14,15(r[16,17)) {bind[24,25) y[24,25) = i[27,28)}}"},
      {"- loop i in range(3):\n  - y: i",
       " {loop[2,20) i[7,8) = call:range[12,20)!12,17(3[18,19)) {bind[26,27) y[26,27) = i[29,30)}}"},
      {"- while a and b, max 3:\n  - y: i",
       " {while[2,22) = `and`[8,15)!10,13(a[8,9) b[14,15)) max=3[21,22) {bind[28,29) y[28,29) = i[31,32)}}"},
      {"- if a:\n  - y: 1", " {if[2,6) = a[5,6) {bind[12,13) y[12,13) = 1[15,16)}}"},
      {"- if a:\n  - y: 1\n  elif b:\n  - y: 2\n  elif c:\n  - y: 3\n  else:\n  - y: 4",
       " {if[2,6) = a[5,6) {bind[12,13) y[12,13) = 1[15,16)}"
       " elif[19,25) b[24,25) {bind[31,32) y[31,32) = 2[34,35)}"
       " elif[38,44) c[43,44) {bind[50,51) y[50,51) = 3[53,54)}"
       " else {bind[67,68) y[67,68) = 4[70,71)}}"},
      {"- when a > 0:\n  - y: 1\n  else:\n  - y: 2", " {when[2,12) = `>`[7,12)!9,10(a[7,8) 0[11,12)) {bind[18,19) "
                                                     "y[18,19) = 1[21,22)} else {bind[35,36) y[35,36) = 2[38,39)}}"},
      {"- y: f(a,\n       b)\n- z: y",
       " {bind[2,3) y[2,3) = call:f[5,19)!5,6(a[7,8) b[17,18)); bind[22,23) z[22,23) = y[25,26)}"},
      {"- y:\n    f(a)", " {bind[2,3) y[2,3) = call:f[9,13)!9,10(a[11,12))}"},
      {"- y: 'gelu'\n- z: \"a\"", " {bind[2,3) y[2,3) = \"gelu\"[5,11); bind[14,15) z[14,15) = \"a\"[17,20)}"},
      {"- y: a # comment", " {bind[2,3) y[2,3) = a[5,6)}"},
      {"- y: -a", " {bind[2,3) y[2,3) = `-`[5,7)!5,6(a[6,7))}"},
      {"- for i in r:\n  - for j in r:\n    - y: x\n  - z: y",
       " {for[2,12) i[6,7) = r[11,12) {for[18,28) j[22,23) = r[27,28) {bind[36,37) y[36,37) = x[39,40)}; bind[45,46) "
       "z[45,46) = y[48,49)}}"},
  };
  for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
    char source[1024] = "nnc: 1\nsteps:\n";
    uint32_t base = (uint32_t)strlen(source);
    strcat(strcat(source, examples[i].source), "\noutputs:\n  y: y\n");
    fixture f = parse(source);
    strbuf out;
    sb_init(&out, f.a);
    dump_steps(&out, &f.m->entries.at[0].steps, base);
    assert_string_equal(sb_cstr(&out), examples[i].tree);
    arena_free(f.a);
  }
}

static void test_head(void **state) {
  (void)state;
  fixture f = parse("nnc: 1\nname: my-model.v2\ndoc: 'a: b'\nconfig: {}\n");
  assert_int_equal(f.m->version, 1);
  check_str(f.m->name, "my-model.v2");
  check_str(f.m->doc, "a: b");
  assert_int_equal(f.m->config.n, 0);
  assert_int_equal(f.m->entries.n, 0);
  assert_int_equal(f.m->file, 1);
  assert_string_equal(f.m->path, "m.yaml");
  arena_free(f.a);
}

static void test_config(void **state) {
  (void)state;
  fixture f = parse("nnc: 1\n"
                    "config: {a: 64, b: 4 * a, act: 'gelu', sizes: [1, [2, 3]], # a comment, with a comma\n"
                    "         deep: {x: True, y: {z: -1.5}}, last: 1e-5}\n");
  static const char *const names[] = {"a", "b", "act", "sizes", "deep.x", "deep.y.z", "last"};
  static const char *const sources[] = {"64", "4 * a", "'gelu'", "[1, [2, 3]]", "True", "-1.5", "1e-5"};
  static const char *const trees[] = {
      "64[0,2)",   "`*`[0,5)!2,3(4[0,1) a[4,5))", "\"gelu\"[0,6)", "tuple[0,11)(1[1,2) tuple[4,10)(2[5,6) 3[8,9)))",
      "True[0,4)", "`-`[0,4)!0,1(1.5[1,4))",      "1e-05[0,4)"};
  assert_int_equal(f.m->config.n, 7);
  for (size_t i = 0; i < 7; i++) {
    check_str(f.m->config.at[i].name.text, names[i]);
    if (i == 6) assert_true(f.m->config.at[i].value->f == 1e-5);
    else check_expr(&f, f.m->config.at[i].value, sources[i], trees[i]);
  }
  check_span(&f, f.m->config.at[5].name.span, "z");
  assert_int_equal(f.m->config.at[3].value->height, 3);
  arena_free(f.a);

  f = parse("nnc: 1\nconfig:\n  sizes:\n  - 1\n  - a + 1\n  deep:\n    x: (1, 2)\n");
  assert_int_equal(f.m->config.n, 2);
  check_str(f.m->config.at[0].name.text, "sizes");
  check_expr(&f, f.m->config.at[0].value, "- 1\n  - a + 1", "tuple[0,13)(1[2,3) `+`[8,13)!10,11(a[8,9) 1[12,13)))");
  check_str(f.m->config.at[1].name.text, "deep.x");
  arena_free(f.a);
}

static void test_small_sections(void **state) {
  (void)state;
  fixture f = parse("nnc: 1\n"
                    "require:\n- a == 1\n- b in ('x', 'y')\n"
                    "include:\n  unet: sd unet.yaml\n  vae: 'a#b.yaml'\n"
                    "let:\n  n: len(a)\n  s: 'f(x)'\n"
                    "weights:\n  a: a.safetensors\n  b.c: \"b.safetensors\"\n");
  assert_int_equal(f.m->require.n, 2);
  check_expr(&f, f.m->require.at[0], "a == 1", "`==`[0,6)!2,4(a[0,1) 1[5,6))");
  assert_int_equal(f.m->includes.n, 2);
  check_str(f.m->includes.at[0].name.text, "unet");
  check_str(f.m->includes.at[0].file, "sd unet.yaml");
  check_span(&f, f.m->includes.at[0].file_span, "sd unet.yaml");
  check_str(f.m->includes.at[1].file, "a#b.yaml");
  assert_int_equal(f.m->let.n, 2);
  check_expr(&f, f.m->let.at[0].value, "len(a)", "call:len[0,6)!0,3(a[4,5))");
  check_expr(&f, f.m->let.at[1].value, "'f(x)'", "\"f(x)\"[0,6)");
  assert_int_equal(f.m->weights.n, 2);
  check_str(f.m->weights.at[0].scope, "a");
  check_str(f.m->weights.at[1].scope, "b.c");
  check_str(f.m->weights.at[1].file, "b.safetensors");
  arena_free(f.a);

  f = parse("nnc: 1\nweights:\n- a.safetensors\n- b.safetensors\n");
  assert_int_equal(f.m->weights.n, 2);
  check_str(f.m->weights.at[1].scope, "");
  check_span(&f, f.m->weights.at[1].span, "b.safetensors");
  arena_free(f.a);

  f = parse("nnc: 1\nweights: a.safetensors\n");
  assert_int_equal(f.m->weights.n, 1);
  check_str(f.m->weights.at[0].file, "a.safetensors");
  arena_free(f.a);
}

static void test_dims_and_types(void **state) {
  (void)state;
  fixture f = parse("nnc: 1\n"
                    "dims:\n  batch: 1..8\n  height: 2 ** (n - 1)..1024 step 2 ** n\n"
                    "state:\n  cache: f16[batch, n + 1, 3] = 0\n  past: i32 = 0\n"
                    "inputs:\n  x: f32[batch]\n  n: i32[]\n"
                    "outputs:\n  y: x\n");
  assert_int_equal(f.m->dims.n, 2);
  check_str(f.m->dims.at[0].name.text, "batch");
  check_expr(&f, f.m->dims.at[0].lo, "1", "1[0,1)");
  check_expr(&f, f.m->dims.at[0].hi, "8", "8[0,1)");
  assert_null(f.m->dims.at[0].step);
  check_expr(&f, f.m->dims.at[1].lo, "2 ** (n - 1)", "`**`[0,12)!2,4(2[0,1) `-`[5,12)!8,9(n[6,7) 1[10,11)))");
  check_expr(&f, f.m->dims.at[1].hi, "1024", "1024[0,4)");
  check_expr(&f, f.m->dims.at[1].step, "2 ** n", "`**`[0,6)!2,4(2[0,1) n[5,6))");
  assert_int_equal(f.m->states.n, 2);
  const ast_type *t = &f.m->states.at[0].type;
  assert_int_equal(t->dt, DT_f16);
  assert_true(t->has_dims);
  assert_int_equal(t->dims.n, 3);
  check_span(&f, t->span, "f16[batch, n + 1, 3]");
  check_expr(&f, t->dims.at[1], "n + 1", "`+`[0,5)!2,3(n[0,1) 1[4,5))");
  check_expr(&f, t->dflt, "0", "0[0,1)");
  t = &f.m->states.at[1].type;
  assert_false(t->has_dims);
  assert_int_equal(t->dims.n, 0);
  check_span(&f, t->span, "i32");
  assert_int_equal(f.m->entries.n, 1);
  const ast_entry *e = &f.m->entries.at[0];
  check_str(e->name.text, "forward");
  check_span(&f, e->name.span, "inputs");
  assert_int_equal(e->inputs.n, 2);
  check_span(&f, e->inputs.at[0].name.span, "x");
  assert_null(e->inputs.at[0].type.dflt);
  assert_true(e->inputs.at[1].type.has_dims);
  assert_int_equal(e->inputs.at[1].type.dims.n, 0);
  check_str(e->outputs.at[0].name.text, "y");
  check_span(&f, e->outputs.at[0].value->span, "x");
  arena_free(f.a);
}

static void test_blocks_and_entries(void **state) {
  (void)state;
  fixture f =
      parse("nnc: 1\n"
            "blocks:\n"
            "  f():\n  - return: 1\n"
            "  g(x, n=3, t=(1, 2)):\n  - y: x\n  - return: y\n"
            "entries:\n"
            "  forward:\n    inputs:\n      x: f32\n    steps:\n    - y: x\n    outputs:\n      y: y\n      z: x\n"
            "  other:\n    outputs:\n      y: f()\n");
  assert_int_equal(f.m->blocks.n, 2);
  assert_int_equal(f.m->blocks.at[0].params.n, 0);
  assert_int_equal(f.m->blocks.at[0].steps.n, 1);
  const ast_block *g = &f.m->blocks.at[1];
  check_str(g->name, "g");
  check_span(&f, g->span, "g(x, n=3, t=(1, 2))");
  assert_int_equal(g->params.n, 3);
  check_str(g->params.at[1].name, "n");
  check_span(&f, g->params.at[1].span, "n");
  assert_null(g->params.at[0].dflt);
  check_expr(&f, g->params.at[2].dflt, "(1, 2)", "tuple[0,6)!0,1(1[1,2) 2[4,5))");
  assert_int_equal(g->steps.n, 2);
  assert_int_equal(f.m->entries.n, 2);
  check_str(f.m->entries.at[0].name.text, "forward");
  check_span(&f, f.m->entries.at[0].name.span, "forward");
  assert_int_equal(f.m->entries.at[0].outputs.n, 2);
  check_str(f.m->entries.at[1].name.text, "other");
  assert_int_equal(f.m->entries.at[1].steps.n, 0);
  arena_free(f.a);
}

static void test_custom_ops(void **state) {
  (void)state;
  fixture f = parse("nnc: 1\n"
                    "ops:\n"
                    "  scale:\n    library: libscale.so\n    signature: (f32[n, 4] x, i32 k=-3) -> f32[n], bool\n"
                    "  zero:\n    signature: () -> f32\n    library: 'l i b.so'\n    symbol: make_zero\n");
  assert_int_equal(f.m->ops.n, 2);
  const ast_custom_op *op = &f.m->ops.at[0];
  check_str(op->name.text, "scale");
  check_str(op->symbol, "scale");
  check_str(op->library, "libscale.so");
  check_span(&f, op->span, "(f32[n, 4] x, i32 k=-3) -> f32[n], bool");
  assert_int_equal(op->params.n, 2);
  assert_int_equal(op->params.at[0].dt, DT_f32);
  check_str(op->params.at[0].dims, "n, 4");
  check_str(op->params.at[0].name.text, "x");
  assert_null(op->params.at[0].dflt);
  assert_null(op->params.at[1].dims.p);
  check_expr(&f, op->params.at[1].dflt, "-3", "`-`[0,2)!0,1(3[1,2))");
  assert_int_equal(op->results.n, 2);
  check_str(op->results.at[0].dims, "n");
  assert_int_equal(op->results.at[1].dt, DT_bool);
  assert_null(op->results.at[1].dims.p);
  op = &f.m->ops.at[1];
  check_str(op->symbol, "make_zero");
  check_str(op->library, "l i b.so");
  assert_int_equal(op->params.n, 0);
  arena_free(f.a);
}

static void test_renames(void **state) {
  (void)state;
  fixture f = parse("nnc: 1\n"
                    "rename:\n"
                    "  bert.<p..>.gamma: <p>.weight\n"
                    "  a.<i>.q, a.<i>.k: concat(b.<i - 1>.w, dim=1)\n"
                    "  c.<w>: ignore\n"
                    "  d.<w>: transpose( <w> )\n"
                    "  e.<w>: permute(<w>, 2, 0, 1)\n"
                    "  f.<w>: split(<w>.a, <w>.b)\n");
  static const ast_rename_kind kinds[] = {RN_target, RN_concat, RN_ignore, RN_transpose, RN_permute, RN_split};
  static const size_t targets[] = {1, 1, 0, 1, 1, 2};
  assert_int_equal(f.m->renames.n, 6);
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(f.m->renames.at[i].kind, kinds[i]);
    assert_int_equal(f.m->renames.at[i].targets.n, targets[i]);
  }
  check_span(&f, f.m->renames.at[0].span, "bert.<p..>.gamma");
  check_span(&f, f.m->renames.at[0].targets.at[0].span, "<p>.weight");
  assert_int_equal(f.m->renames.at[1].patterns.n, 2);
  check_span(&f, f.m->renames.at[1].patterns.at[1].span, "a.<i>.k");
  check_str(f.m->renames.at[1].targets.at[0].text, "b.<i - 1>.w");
  assert_int_equal(f.m->renames.at[1].dim, 1);
  check_span(&f, f.m->renames.at[3].targets.at[0].span, "<w>");
  assert_int_equal(f.m->renames.at[4].numbers.n, 3);
  assert_int_equal(f.m->renames.at[4].numbers.at[0], 2);
  check_str(f.m->renames.at[5].targets.at[1].text, "<w>.b");
  arena_free(f.a);
}

// Byte offsets, whatever stands before: characters of several bytes, a byte order mark, line ends of two bytes.
static void test_spans_are_bytes(void **state) {
  (void)state;
  fixture f = parse(
      "\xef\xbb\xbfnnc: 1\r\ndoc: \xc3\xa9\xe2\x86\xa6\xf0\x9f\x98\x80 x\r\nlet:\r\n  s: '\xc3\xbc'   # \xc3\xbc\r\n"
      "  n: f(a,\r\n       b)\r\n");
  check_expr(&f, f.m->let.at[0].value, "'\xc3\xbc'", "\"\xc3\xbc\"[0,4)");
  check_expr(&f, f.m->let.at[1].value, "f(a,\r\n       b)", "call:f[0,15)!0,1(a[2,3) b[13,14))");
  const char *file;
  uint32_t line, column;
  diag_position(&f.l, f.m->let.at[1].value->items.at[1]->span, &file, &line, &column);
  assert_int_equal(line, 6);
  assert_int_equal(column, 8);
  arena_free(f.a);
}

static void test_data(void **state) {
  (void)state;
  static const char source[] =
      "{\"a\": 1, \"b\": -1.5e-3, \"c\": \"\\u00e9\\\"\", \"d\": [1, [2.0, \"x\"], {\"e\": 1}],\n"
      "\t\"f\": {\"g\": null, \"h\": {\"i\": true, \"0\": false}}, \"k\": NaN, \"l\": [], \"m\": {},\n"
      "  \"n\": -Infinity, \"if\": 1e-05, \"o\": 12345678901234567890}";
  arena *a = arena_new(NULL);
  diag_list l;
  diag_init(&l, a);
  ast_bindings out = {0};
  assert_true(ast_parse_config(a, &l, diag_add_file(&l, "config.json", str_of(source)), &out));
  strbuf text;
  sb_init(&text, a);
  for (size_t i = 0; i < out.n; i++) {
    sb_fmt(&text, STR_FMT " = ", STR_ARG(out.at[i].name.text));
    dump_expr(&text, out.at[i].value, out.at[i].value->span.begin);
    sb_char(&text, '\n');
  }
  assert_string_equal(sb_cstr(&text),
                      "a = 1[0,1)\n"
                      "b = -0.0015[0,7)\n"
                      "c = \"\xc3\xa9\\\"\"[0,10)\n"
                      "d = list[0,25)(1[1,2) list[4,14)(2.0[5,8) \"x\"[10,13)) \"{\\\"e\\\": 1}\"[16,24))\n"
                      "f.g = None[0,4)\n"
                      "f.h.i = True[0,4)\n"
                      "f.h.0 = False[0,5)\n"
                      "k = nan[0,3)\n"
                      "l = list[0,2)()\n"
                      "n = -inf[0,9)\n"
                      "if = 1e-5[0,5)\n"
                      "o = 1.2345678901234567e19[0,20)\n");
  out = (ast_bindings){0};
  static const char yaml[] =
      "---\nact: gelu_new\nflag: True\nnone: ~\nempty:\nneg: -3\nsizes:\n- 1\n- two\nnested:\n  yes: no\n";
  assert_true(ast_parse_config(a, &l, diag_add_file(&l, "config.yaml", str_of(yaml)), &out));
  text.n = 0;
  for (size_t i = 0; i < out.n; i++) {
    sb_fmt(&text, STR_FMT " = ", STR_ARG(out.at[i].name.text));
    dump_expr(&text, out.at[i].value, out.at[i].value->span.begin);
    sb_char(&text, '\n');
  }
  assert_string_equal(sb_cstr(&text), "act = \"gelu_new\"[0,8)\n"
                                      "flag = True[0,4)\n"
                                      "none = None[0,1)\n"
                                      "empty = None[0,0)\n"
                                      "neg = -3[0,2)\n"
                                      "sizes = list[0,9)(1[2,3) \"two\"[6,9))\n"
                                      "nested.yes = \"no\"[0,2)\n");
  arena_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_steps),           cmocka_unit_test(test_head),
      cmocka_unit_test(test_config),          cmocka_unit_test(test_small_sections),
      cmocka_unit_test(test_dims_and_types),  cmocka_unit_test(test_blocks_and_entries),
      cmocka_unit_test(test_custom_ops),      cmocka_unit_test(test_renames),
      cmocka_unit_test(test_spans_are_bytes), cmocka_unit_test(test_data),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
