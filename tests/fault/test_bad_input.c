// Wrong models, through the command line: each is a diagnostic with its place and the exit status of the kind of
// mistake, within a second, without a leak. The letter of the messages is the business of tests/diag; here it is that
// nothing which a person or a program may feed breaks the program.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"
#include "frontend/ast.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

typedef struct bad_model {
  const char *text;
  const char *part; // of standard error
} bad_model;

static void check_model(scratch *s, const char *text, const char *part) {
  scratch_file(s, "m.yaml", str_of(text));
  child_expect(s, 1, part, NNC("check", "m.yaml"));
}

static void check_models(void **state, const bad_model *models, size_t n) {
  for (size_t i = 0; i < n; i++) check_model(*state, models[i].text, models[i].part);
}

static void texts_that_are_no_yaml(void **state) {
  static const bad_model models[] = {
      {"", "m.yaml:1:1: error: expected the sections of a model, found an empty file"},
      {"\n\n", "found an empty file"},
      {"# nothing\n", "found an empty file"},
      {"hello", "m.yaml:1:1: error: expected the sections"},
      {"- a\n- b\n", "m.yaml:1:1: error: expected the sections"},
      {"\x7f"
       "ELF",
       "m.yaml:1:1: error: character U+007F"},
      {"\xff\xfe\x01", "m.yaml:1:1: error: this byte is not UTF-8"},
      {"nnc: 1\nsteps:\n\t- y: x\n", "m.yaml:3:1: error: a tab in the indentation"},
      {"nnc: 1\nname: a\nname: b\n", "m.yaml:3:1: error: duplicate key `name`"},
      {"nnc: 1\nconfig: {a: 1, a: 2}\n", "m.yaml:2:16: error: duplicate key `a`"},
      {"nnc: 1\nname: &a b\n", "m.yaml:2:7: error: `&` begins an anchor"},
      {"nnc: 1\nconfig: {x: *a}\n", "m.yaml:2:13: error: `*` begins an alias"},
      {"nnc: 1\nconfig: {x: null}\n", "m.yaml:2:13: error: `null` is written `None`"},
      {"nnc: 1\nconfig: {x: ~}\n", "m.yaml:2:13: error: unexpected `~`"},
      {"nnc: 1\nconfig: {x: !!int 3}\n", "m.yaml:2:13: error: `!` begins"},
      {"nnc: 1\nname: |\n  a\n", "m.yaml:2:7: error: `|` begins"},
      {"nnc: 1\n<<: {a: 1}\n", "m.yaml:2:1: error: `<<` begins"},
      {"%YAML 1.1\n---\nnnc: 1\n", "m.yaml:1:1: error: `%` begins"},
      {"nnc: 1\n---\nnnc: 1\n", "m.yaml:2:1: error: a second document"},
      {"nnc: 1\nconfig: {a: [1\n", "is never closed"},
      {"nnc: 1\nname: 'a\n", "m.yaml:2:7: error: "},
      {"nnc: 1\nsteps:\n", "m.yaml:2:1: error: empty value: `steps`"},
      {"nnc: 9\n", "m.yaml:1:6: error: unknown version"},
      {"nnc: 1\nsteeps:\n- y: x\n", "m.yaml:2:1: error: unknown section `steeps`"},
  };
  check_models(state, models, N_OF(models));
  scratch *s = *state;
  scratch_file(s, "m.yaml", (str){"\0\0", 2});
  child_expect(s, 1, "m.yaml:1:1: error: character U+0000", NNC("check", "m.yaml"));
}

#define X    "nnc: 1\ninputs:\n  x: f32[4]\nsteps:\n"
#define Y    "outputs:\n  y: y\n"
#define IN   "nnc: 1\ninputs:\n  x: "
#define SAME "\nsteps:\n- y: x\noutputs:\n  y: y\n"
#define DIM  "nnc: 1\ndims:\n  n: "
#define OF_N "\ninputs:\n  x: f32[n]\nsteps:\n- y: x\noutputs:\n  y: y\n"

static void models_that_mean_nothing(void **state) {
  static const bad_model models[] = {
      {X "- y: rleu(x)\n" Y, "m.yaml:5:6: error: unknown function `rleu`"},
      {X "- y: rleu(x)\n" Y, "did you mean `relu`?"},
      {X "- y: rsqtr(x)\n" Y, "did you mean `rsqrt`?"},
      {X "- y: xx\n" Y, "m.yaml:5:6: error: unknown name `xx`"},
      {X "- y: relu(x, x, x)\n" Y, "m.yaml:5:14: error: `relu` takes at most 1 arguments, and 3 are given"},
      {X "- y: relu()\n" Y, "m.yaml:5:6: error: `relu` needs an argument `x`"},
      {X "- y: relu(z=x)\n" Y, "m.yaml:5:11: error: `relu` has no argument `z`"},
      {X "- y: x + zeros(5)\n" Y, "m.yaml:5:6: error: shapes [4] and [5] do not broadcast"},
      {X "- y: matmul(zeros(4, 5), zeros(6, 7))\n" Y,
       "m.yaml:5:6: error: `matmul`: the inner extents differ: 5 against 6"},
      {X "- y: linear(x, 3)\n" Y, "m.yaml:5:6: error: `linear` has weights: give this step a scope"},
      {X "- y: x\noutputs:\n  y: z\n", "m.yaml:7:6: error: unknown name `z`"},
      {X "- y: x\n", "error: `forward` lacks `outputs`"},
      {IN "f32[-4]" SAME, "m.yaml:3:10: error: a dim of a type is an integer or a size"},
      {IN "f33[4]" SAME, "m.yaml:3:6: error: unknown type `f33`"},
      {IN "f32[1,1,1,1,1,1,1,1,1,1,1,1,1]" SAME, "m.yaml:3:6: error: 13 dims; at most 12"},
      {IN "f32[99999999999999999999]" SAME, "m.yaml:3:10: error: number `99999999999999999999` is out of the range"},
      {IN "f32[9223372036854775807, 2]" SAME,
       "m.yaml:3:6: error: shape [9223372036854775807, 2] has too many elements"},
      {DIM "1..9223372036854775807" OF_N, "m.yaml:3:3: error: dim `n`: 1..9223372036854775807 step 1 is no range"},
      {DIM "1..99999999999999999999" OF_N, "m.yaml:3:9: error: number `99999999999999999999` is out of the range"},
      {DIM "8..1" OF_N, "m.yaml:3:3: error: dim `n`: 8..1"},
      {DIM "-8..8" OF_N, "m.yaml:3:3: error: dim `n`: -8..8"},
      {DIM "1..8 step 0" OF_N, "m.yaml:3:3: error: dim `n`"},
      {DIM "1..8 step 3" OF_N, "m.yaml:3:3: error: dim `n`"},
      {X "- y: zeros(1 // 0)\n" Y, "m.yaml:5:12: error: `//` by zero"},
      {X "- y: zeros((-9223372036854775807 - 1) // -1)\n" Y, "m.yaml:5:12: error: `//` does not fit in 64 bits"},
      {X "- y: zeros(9223372036854775807, 9223372036854775807)\n" Y, "m.yaml:5:6: error: `const`: its result"},
      {X "- y: x * 2 ** 1000\n" Y, "m.yaml:5:10: error: `**` does not fit in 64 bits"},
      {X "- y: x * 1e400\n" Y, "m.yaml:5:10: error: number `1e400` is out of the range"},
      {X "- y: x[5]\n" Y, "m.yaml:5:8: error: integer 5 is out of range for length 4"},
      {X "- y: x[-9223372036854775807]\n" Y, "is out of range for length 4"},
      {X "- y: sum(x, dim=9)\n" Y, "m.yaml:5:17: error: `sum`: axis 9 of a tensor with 1 dims"},
      {X "- y: permute(x, 7)\n" Y, "m.yaml:5:6: error: `permute`"},
      {X "- y: cast(x, f99)\n" Y, "m.yaml:5:14: error: "},
      {X "- y: f(x)\nblocks:\n  f(a):\n  - return: f(a)\n" Y, "error: `f` calls itself"},
      {"nnc: 1\nlet:\n  a: b\n  b: a\n" IN "f32[a]" SAME, "duplicate key `nnc`"},
      {"nnc: 1\nlet:\n  a: b\n  b: a\ninputs:\n  x: f32[a]" SAME, "is defined by itself"},
  };
  check_models(state, models, N_OF(models));
}

// Where two shapes clash, the message names the place and where both sides come from.
static void shapes_that_clash(void **state) {
  scratch *s = *state;
#define AB "nnc: 1\ndims:\n  n: 1..8\ninputs:\n  a: f32[n, 4]\n  b: f32[n, 5]\n"
#define C  "steps:\n- c: relu(b)\n"
  static const struct {
    const char *text, *parts[3];
  } clashes[] = {
      {AB C "- y: a + c\n" Y,
       {"m.yaml:9:6: error: shapes [n, 4] and [n, 5] do not broadcast",
        "f32[n, 4] comes from m.yaml:5:3, `a: f32[n, 4]`", "f32[n, 5] comes from m.yaml:8:6, `relu(b)`"}},
      {AB "steps:\n- c: permute(b, 1, 0)\n- y: matmul(a, c)\n" Y,
       {"m.yaml:9:6: error: `matmul`: the inner extents differ: 4 against 5", "comes from m.yaml:5:3",
        "comes from m.yaml:8:6"}},
      {AB C "- y: einsum('ij,ij->i', a, c)\n" Y,
       {"m.yaml:9:6: error: `einsum`: label j has two extents: 4 against 5", "comes from m.yaml:5:3",
        "comes from m.yaml:8:6"}},
      {AB C "- y: concat((a, c), dim=0)\n" Y,
       {"m.yaml:9:6: error: `concat`: f32[n, 4] and f32[n, 5] do not fit together", "comes from m.yaml:5:3",
        "comes from m.yaml:8:6"}},
      {AB C "- d@w: linear(a, 3)\n- y@w: linear(c, 3)\n" Y,
       {"m.yaml:10:8: error: weight `w.weight` is [3, 5] here and [3, 4] earlier",
        "its first use is m.yaml:9:8, `linear(a, 3)`", "the same scope twice"}},
      {AB C "- h: a\n- loop i in range(3):\n  - h: c\n- y: h\n" Y,
       {"m.yaml:10:3: error: `h` is f32[n, 4] before this loop and f32[n, 5] after a turn", "comes from m.yaml:5:3",
        "comes from m.yaml:8:6"}},
      {"nnc: 1\ndims:\n  n: 1..8\nentries:\n  f:\n    inputs:\n      x: f32[n, 4]\n    steps:\n    - y: x\n    "
       "outputs:\n"
       "      y: y\n  g:\n    inputs:\n      b: f32[n, 5]\n    steps:\n    - y: f(b)\n    outputs:\n      y: y\n",
       {"m.yaml:16:12: error: `f`: input `x` is f32[n, 4], found f32[n, 5]",
        "the input is declared at m.yaml:7:7, `x: f32[n, 4]`", "f32[n, 5] comes from m.yaml:14:7, `b: f32[n, 5]`"}},
  };
  for (size_t i = 0; i < N_OF(clashes); i++)
    for (size_t k = 0; k < N_OF(clashes[i].parts); k++) check_model(s, clashes[i].text, clashes[i].parts[k]);
#undef AB
#undef C
}

// `front`, then `piece` n times, then `back`.
static const char *repeat(scratch *s, const char *front, const char *piece, size_t n, const char *back) {
  strbuf b;
  sb_init(&b, s->a);
  sb_z(&b, front);
  for (size_t i = 0; i < n; i++) sb_z(&b, piece);
  sb_z(&b, back);
  return sb_cstr(&b);
}

static void models_without_end(void **state) {
  scratch *s = *state;
  check_model(s, repeat(s, "", "[", 200000, ""), "nested more than 64 levels deep");
  check_model(s, repeat(s, "", "{a: ", 50000, ""), "m.yaml:1:");
  check_model(s, repeat(s, "", "- ", 100000, ""), "nested more than 64 levels deep");
  check_model(s, repeat(s, "nnc: 1\nlet:\n  a: ", "(", 100000, ""),
              "m.yaml:3:206: error: an expression nested more than");
  check_model(s, repeat(s, X "- y: x", " + x", 100000, "\n" Y), "m.yaml:5:804: error: an expression nested more than");
  check_model(s, repeat(s, X "- y: ", "relu(", 10000, "x\n" Y), "an expression nested more than");
  check_model(s, repeat(s, X "- y: ", "-", 100000, "x\n" Y), "an expression nested more than");
  check_model(s, repeat(s, "", "a: b\n", 200000, ""), "error: ");
  static const bad_model models[] = {
      {X "- for i in range(10000):\n  - for j in range(10000):\n    - y: 0\n" Y, "takes too many steps"},
      {X "- for i in range(100000000):\n  - y: 0\n" Y, "m.yaml:5:12: error: "},
      {X "- z: 'a'\n- for i in range(70):\n  - z: z + z\n- y: x\n" Y, "m.yaml:7:8: error: "},
      {X "- z: (1, 2)\n- for i in range(70):\n  - z: z + z\n- y: x\n" Y, "m.yaml:7:8: error: "},
      {X "- z: (x, x)\n- for i in range(70):\n  - z: z + z\n- y: x\n" Y, "m.yaml:7:8: error: "},
      {X "- z: 2\n- for i in range(70):\n  - z: z * z\n- y: x\n" Y, "m.yaml:7:8: error: `*` does not fit in 64 bits"},
      {X "- z: x\n- for i in range(70):\n  - z: concat((z, z), dim=0)\n- y: z\n" Y,
       "m.yaml:7:8: error: `concat`: its result"},
  };
  check_models(state, models, N_OF(models));
}

// What is large but right stays right, and ends soon.
static void large_models(void **state) {
  scratch *s = *state;
  static const char *const texts[] = {
      X "- for i in range(3000):\n  - x: sin(x)\n- y: x\n" Y,
      X "- z: x\n- for i in range(30):\n  - z: concat((z, z), dim=0)\n- y: sum(z)\n" Y,
      X "- z: x\n- for i in range(60):\n  - z: z + permute(z, 0)\n- y: z\n" Y,
      X "- z: x\n- for i in range(40):\n  - z: pad(z, (1, 1))\n- y: z\n" Y,
      X "- z: x\n- for i in range(40):\n  - z: concat((z, sin(x)), dim=0)\n- y: z\n" Y,
      X "- z: (x, x)\n- for i in range(1000):\n  - z: (z, z)\n- y: x\n" Y,
  };
  for (size_t i = 0; i < N_OF(texts); i++) {
    scratch_file(s, "m.yaml", str_of(texts[i]));
    child_expect(s, 0, "", NNC("check", "m.yaml"));
  }
}

static void includes(void **state) {
  scratch *s = *state;
  const char *text = "nnc: 1\ninclude:\n  o: b.yaml\ninputs:\n  x: f32[4]\nsteps:\n- y: x\noutputs:\n  y: y\n";
  scratch_file(s, "a.yaml", str_of(text));
  child_expect(s, 3, "cannot open b.yaml", NNC("check", "a.yaml"));
  scratch_file(s, "b.yaml", str_of("nnc: 1\ninclude:\n  o: a.yaml\n"));
  child_expect(s, 1, "includes itself", NNC("check", "a.yaml"));
  scratch_file(s, "b.yaml", str_of("nnc: 1\ninclude:\n  o: b.yaml\n"));
  child_expect(s, 1, "b.yaml:3:6: error: b.yaml includes itself", NNC("check", "a.yaml"));
  scratch_file(s, "b.yaml", str_of("nonsense"));
  child_expect(s, 1, "b.yaml:1:1: error: ", NNC("check", "a.yaml"));
  assert_int_equal(unlink(scratch_path(s, "b.yaml")), 0);
  assert_int_equal(mkdir(scratch_path(s, "b.yaml"), 0700), 0);
  child_expect(s, 3, "cannot read b.yaml: it is a folder", NNC("check", "a.yaml"));
  // Two files that name each other by many links: the nesting is bounded, not the patience.
  scratch_file(s, "c.yaml", str_of("nnc: 1\ninclude:\n  a: ./c.yaml\n  b: ././c.yaml\n"));
  child_expect(s, 1, "includes itself", NNC("check", "c.yaml"));
}

static void files_that_are_no_models(void **state) {
  scratch *s = *state;
  child_expect(s, 3, "cannot open absent.yaml: No such file", NNC("check", "absent.yaml"));
  child_expect(s, 3, "cannot open : No such file", NNC("check", ""));
  child_expect(s, 3, "it is not a regular file", NNC("check", "/dev/zero"));
  child_expect(s, 3, "it is not a regular file", NNC("check", "/dev/null"));
  assert_int_equal(mkdir(scratch_path(s, "folder.yaml"), 0700), 0);
  child_expect(s, 3, "cannot read folder.yaml: it is a folder", NNC("run", "folder.yaml"));
  assert_int_equal(mkfifo(scratch_path(s, "pipe.yaml"), 0600), 0);
  child_expect(s, 3, "cannot read pipe.yaml: it is not a regular file", NNC("compile", "pipe.yaml"));
  assert_int_equal(symlink("loop.yaml", scratch_path(s, "loop.yaml")), 0);
  child_expect(s, 3, "cannot open loop.yaml", NNC("check", "loop.yaml"));
  scratch_file(s, "large.yaml", STR("nnc: 1\n"));
  assert_int_equal(truncate(scratch_path(s, "large.yaml"), 100 << 20), 0);
  child_expect(s, 3, "large.yaml has 104857600 bytes; at most", NNC("check", "large.yaml"));
  assert_int_equal(truncate(scratch_path(s, "large.yaml"), AST_MAX_FILE_BYTES), 0);
  child_expect(s, 1, "large.yaml:2:1: error: character U+0000", NNC("check", "large.yaml"));
  scratch_file(s, "bad.so",
               STR("\x7f"
                   "ELF"));
  child_expect(s, 3, "cannot load bad.so", NNC("run", "bad.so"));
  child_expect(s, 3, "cannot open absent.so", NNC("run", "absent.so"));
}

static void options(void **state) {
  scratch *s = *state;
  scratch_file(s, "m.yaml", str_of(DIM "1..8" OF_N));
  child_expect(s, 2, "no command is given", NNC(NULL));
  child_expect(s, 2, "there is no command `chek`", NNC("chek"));
  child_expect(s, 2, "needs a MODEL", NNC("check"));
  child_expect(s, 2, "has no option", NNC("check", "m.yaml", "--nothing"));
  child_expect(s, 2, "`--set` does not take `n`", NNC("check", "m.yaml", "--set", "n"));
  child_expect(s, 1, "error: --set: `k` is no config key", NNC("check", "m.yaml", "--set", "k=((((("));
  child_expect(s, 1, "outside its range 1..8", NNC("check", "m.yaml", "--dim", "n=9"));
  child_expect(s, 1, "outside its range 1..8", NNC("check", "m.yaml", "--dim", "n=99999999999999999999"));
  child_expect(s, 2, "`--dim` does not take `n=`", NNC("check", "m.yaml", "--dim", "n="));
  child_expect(s, 1, "`m` is no dim", NNC("check", "m.yaml", "--dim", "m=3"));
  child_expect(s, 2, "there is no CPU level `z80`", NNC("run", "m.yaml", "--cpu", "z80", "--in", "x=zeros"));
  child_expect(s, 2, "is no source of a tensor", NNC("run", "m.yaml", "--in", "x=nothing"));
  child_expect(s, 1, "`z` is no input", NNC("run", "m.yaml", "--in", "z=zeros"));
  child_expect(s, 3, "cannot open absent.npy", NNC("run", "m.yaml", "--in", "x=absent.npy"));
  child_expect(s, 3, "cannot open absent.json", NNC("check", "m.yaml", "--config", "absent.json"));
  scratch_file(s, "c.json", str_of(repeat(s, "", "[", 100000, "")));
  child_expect(s, 1, "c.json:1:", NNC("check", "m.yaml", "--config", "c.json"));
}

// Sizes that no machine has end as a message, not as a kill.
static void sizes_beyond_memory(void **state) {
  scratch *s = *state;
  scratch_file(s, "m.yaml", str_of(IN "f32[3000000000000]" SAME));
  child_expect(s, 3, "error: ", NNC("run", "m.yaml", "--in", "x=zeros"));
  scratch_file(s, "m.yaml", str_of(X "- y@p: sum(param(3000000, 1000000)) + x\n" Y));
  child_expect(s, 3, "error: ", NNC("run", "m.yaml", "--in", "x=zeros", "--weights", "random"));
  scratch_file(s, "m.yaml", str_of(X "- y: sin(x[:, None] * ones(300000000000))\n" Y));
  child_expect(s, 3, "error: ", NNC("run", "m.yaml", "--in", "x=zeros"));
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(texts_that_are_no_yaml),
      CASE(models_that_mean_nothing),
      CASE(shapes_that_clash),
      CASE(models_without_end),
      CASE(large_models),
      CASE(includes),
      CASE(files_that_are_no_models),
      CASE(options),
      CASE(sizes_beyond_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
