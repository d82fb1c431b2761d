// The command line itself: help to the letter, mistakes with their messages, exit statuses, completion, man page.
//
// help.expected holds what each --help prints, after a line `%%% arguments`. NNC_UPDATE_GOLDEN=1 writes what is found.
#include "spawn.h"
#include "base/file.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN NNC_SOURCE_DIR "/tests/cli/help.expected"

static const char *const commands[] = {"compile", "run",   "bench",   "verify", "check",
                                       "show",    "cache", "devices", "ops",    "version"};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void help_is_as_reviewed(void **state) {
  workplace *w = *state;
  strbuf all;
  sb_init(&all, w->a);
  sb_fmt(&all, "%%%%%% --help\n%s", expect_status(w, 0, "--help").out);
  for (size_t i = 0; i < N_COMMANDS; i++)
    sb_fmt(&all, "%%%%%% %s --help\n%s", commands[i], expect_status(w, 0, "%s --help", commands[i]).out);
  if (getenv("NNC_UPDATE_GOLDEN")) assert_true(file_write(w->a, &w->l, GOLDEN, sb_str(&all), 0644));
  str want;
  assert_true(file_read(w->a, &w->l, GOLDEN, 1 << 20, &want));
  assert_string_equal(sb_cstr(&all), want.p);
}

static void help_by_several_names(void **state) {
  workplace *w = *state;
  const char *help = expect_status(w, 0, "--help").out;
  assert_string_equal(expect_status(w, 0, "help").out, help);
  assert_string_equal(expect_status(w, 0, "-h").out, help);
  assert_string_equal(expect_status(w, 0, "help run").out, expect_status(w, 0, "run --help").out);
  assert_string_equal(expect_status(w, 0, "run -h").out, expect_status(w, 0, "run --help").out);
  for (size_t i = 0; i < N_COMMANDS; i++) assert_has(help, commands[i]);
}

static void commands_that_do_not_exist(void **state) {
  workplace *w = *state;
  expect_error(w, 2, "no command is given", " ");
  expect_error(w, 2, "there is no command `rum`\n      = did you mean `nnc run`?", "rum x.yaml");
  expect_error(w, 2, "there is no command `zzzzz`", "zzzzz");
  expect_error(w, 2, "there is no command `rn`", "help rn");
  expect_error(w, 2, "there is no command `import`", "import model.onnx"); // of a later version
}

static void options_that_do_not_exist(void **state) {
  workplace *w = *state;
  expect_error(w, 2, "`nnc run` has no option `--thread5`\n      = did you mean `--threads`?", "run %s --thread5",
               TINY);
  expect_error(w, 2, "`nnc run` has no option `--emit`", "run %s --emit so", TINY);
  expect_error(w, 2, "`nnc bench` has no option `-q`", "bench -q %s", TINY);
  expect_error(w, 2, "it may stand for `--config`", "compile --c=x %s", TINY);
  expect_error(w, 2, "it may stand for `--cpu`", "compile --c=x %s", TINY);
  expect_error(w, 2, "has no option `--fast`", "run %s --fast", TINY);
  expect_error(w, 2, "has no option `--json`", "show %s --json", TINY);
}

static void values_that_do_not_fit(void **state) {
  workplace *w = *state;
  expect_error(w, 2, "`--threads` does not take `two`", "run %s --threads two", TINY);
  expect_error(w, 2, "`--threads` does not take `-1`", "run %s --threads=-1", TINY);
  expect_error(w, 2, "`--emit` does not take `exe`: it is so|obj|graph|kernel|plan|llvm|asm|cl",
               "compile %s --emit exe", TINY);
  expect_error(w, 2, "`--bound` does not take `0`", "verify %s --bound 0", TINY);
  expect_error(w, 2, "`--in` does not take `x`: it is NAME=SRC", "run %s --in x", TINY);
  expect_error(w, 2, "`--in` does not take `=1`", "run %s --in =1", TINY);
  expect_error(w, 2, "`--cpu` needs a value: LEVEL", "run %s --cpu", TINY);
  expect_error(w, 2, "`--output` needs a value: FILE", "compile %s -o", TINY);
  expect_error(w, 2, "`--json` takes no value", "check %s --json=yes", TINY);
  expect_error(w, 2, "there is no CPU level `i386`", "run %s --cpu i386", TINY);
  expect_error(w, 2, "there is no CPU level `i386`", "check %s --cpu i386", TINY);
  expect_error(w, 2, "there is no pass `fusee`\n      = did you mean `fuse`?", "show %s --skip fusee", TINY);
  expect_error(w, 2, "there is no pass `last`", "check %s --stop-after last", TINY);
}

static void arguments_that_do_not_fit(void **state) {
  workplace *w = *state;
  expect_error(w, 2, "`nnc run` needs a MODEL\n      = usage: nnc run MODEL [options]", "run");
  expect_error(w, 2, "`nnc run` does not expect `b.yaml`", "run a.yaml b.yaml");
  expect_error(w, 2, "`nnc ops` does not expect `x`", "ops x");
  expect_error(w, 2, "`nnc help` does not expect `run`", "help run bench");
  expect_error(w, 2, "x.txt is no .yaml file", "compile x.txt");
  expect_error(w, 2, "FILE.so for a library", "compile %s -o x.dll", TINY);
  expect_error(w, 2, "name a file with -o", "compile %s --emit graph --json", TINY);
  // options and arguments that clash: cli_combination
  expect_error(w, 2, "needs the .yaml", "verify x.so");
  expect_error(w, 2, "a .so is compiled already", "check x.so");
  expect_error(w, 2, "a .so holds a plan only", "show x.so --stage kernel");
  expect_error(w, 2, "--format dot draws", "show %s --stage plan --format dot", TINY);
  expect_error(w, 2, "change how a .yaml is compiled", "run x.so --set hidden=3");
}

static void files_that_fail(void **state) {
  workplace *w = *state;
  expect_error(w, 3, "cannot open absent.yaml", "check absent.yaml");
  expect_error(w, 3, "cannot open absent.yaml", "run absent.yaml");
  expect_error(w, 3, "cannot open absent.so", "run absent.so");
  write_text(w, "text.so", "no library");
  expect_error(w, 3, "cannot load text.so", "bench text.so");
  expect_error(w, 3, "absent/out.so", "compile %s --weights random -o absent/out.so", TINY);
}

// What an installation may lack: the linker, the library that holds LLVM; and a library that is not ours.
static void surroundings_that_fail(void **state) {
  workplace *w = *state;
  w->path = "/nowhere";
  expect_error(w, 3, "the system linker failed: ", "compile %s --weights random -o out.so", TINY); // linker_failed
  assert_int_not_equal(access(in_folder(w, "out.so"), F_OK), 0);
  w->path = NULL;
  w->program = in_folder(w, "alone");
  assert_int_equal(system(str_fmt(w->a, "cp %s %s", NNC_BINARY, w->program)), 0);
  expect_error(w, 3, "cannot open libnnc-llvm.so.0, which compiles kernels", "compile %s --emit asm",
               TINY); // llvm_not_found
  assert_has(expect_status(w, 0, "version").out, "LLVM not found\n");
  w->program = NNC_BINARY;
  assert_int_equal(system(str_fmt(w->a, "cp %s/libnnc-llvm.so.0 %s", NNC_BINARY_DIR, in_folder(w, "other.so"))), 0);
  expect_error(w, 1, "other.so is not a library that `nnc compile` wrote", "run other.so"); // library_foreign
}

static void models_that_are_wrong(void **state) {
  workplace *w = *state;
  write_text(w, "wrong.yaml",
             "nnc: 1\nname: wrong\ninputs:\n  x: f32[4]\nsteps:\n- a: lineer(x, 3)\n- b: x + yy\noutputs:\n  b: b\n");
  nnc_run_result r = expect_status(w, 1, "check wrong.yaml");
  assert_has(r.err, "wrong.yaml:6:6: error:");
  assert_has(r.err, "did you mean `linear`?");
  assert_has(r.err, "wrong.yaml:7:10: error:"); // both in one go
  assert_not(r.err, "\033[");                   // no colour where nobody looks
  assert_string_equal(expect_status(w, 1, "run wrong.yaml --in x=0").err, r.err);
  assert_string_equal(expect_status(w, 1, "verify wrong.yaml").err, r.err);
}

static void version_and_operators(void **state) {
  workplace *w = *state;
  const char *text = expect_status(w, 0, "version").out;
  assert_has(text, "nnc 0.1.0\nLLVM 19.");
  assert_string_equal(expect_status(w, 0, "--version").out, text);
  json_t *v = parse_json(w, expect_status(w, 0, "version --json").out);
  assert_string_equal(json_string_value(json_object_get(v, "version")), "0.1.0");
  const json_t *ops = json_object_get(parse_json(w, expect_status(w, 0, "ops --json").out), "ops"), *op;
  size_t i, compiled = 0;
  assert_int_equal(json_array_size(ops), OP_COUNT);
  json_array_foreach(ops, i, op) {
    assert_string_equal(json_string_value(json_object_get(op, "name")), op_get((op_code)i)->name);
    compiled += json_is_true(json_object_get(op, "compiled"));
  }
  assert_in_range(compiled, 1, OP_COUNT - 1);
  const char *table = expect_status(w, 0, "ops").out;
  for (op_code k = 0; k < OP_COUNT; k++) assert_has(table, op_get(k)->name);
}

// Every long option of every help is in the man page, and the man page knows no other.
static void man_page_agrees(void **state) {
  workplace *w = *state;
  str page;
  assert_true(file_read(w->a, &w->l, NNC_SOURCE_DIR "/docs/nnc.1", 1 << 20, &page));
  strbuf plain, help;
  sb_init(&plain, w->a);
  sb_init(&help, w->a);
  for (size_t i = 0; i < page.n; i++)
    if (page.p[i] != '\\') sb_char(&plain, page.p[i]);
  for (size_t i = 0; i < N_COMMANDS; i++) sb_z(&help, expect_status(w, 0, "%s --help", commands[i]).out);
  const char *texts[] = {sb_cstr(&help), sb_cstr(&plain)};
  for (size_t k = 0; k < 2; k++)
    for (const char *p = strstr(texts[k], "--"); p; p = strstr(p + 2, "--")) {
      size_t n = strspn(p, "-abcdefghijklmnopqrstuvwxyz");
      if (n > 2) assert_has(texts[1 - k], str_fmt(w->a, "%.*s", (int)n, p));
    }
}

static void completion_completes(void **state) {
  workplace *w = *state;
  const char *out = in_folder(w, "completions");
  const char *script = str_fmt(w->a,
                               "PATH='%s':$PATH bash -c 'source %s/tools/completion/nnc.bash; "
                               "COMP_WORDS=(nnc run --thr); COMP_CWORD=2; _nnc; echo ${COMPREPLY[@]}; "
                               "COMP_WORDS=(nnc ver); COMP_CWORD=1; _nnc; echo ${COMPREPLY[@]}; "
                               "COMP_WORDS=(nnc compile --emit a); COMP_CWORD=3; _nnc; echo ${COMPREPLY[@]}' > '%s'",
                               NNC_BINARY_DIR, NNC_SOURCE_DIR, out);
  assert_int_equal(system(script), 0);
  str text;
  assert_true(file_read(w->a, &w->l, out, 1 << 16, &text));
  assert_string_equal(text.p, "--threads\nverify version\nasm\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(help_is_as_reviewed),
      cmocka_unit_test(help_by_several_names),
      cmocka_unit_test(commands_that_do_not_exist),
      cmocka_unit_test(options_that_do_not_exist),
      cmocka_unit_test(values_that_do_not_fit),
      cmocka_unit_test(arguments_that_do_not_fit),
      cmocka_unit_test(files_that_fail),
      cmocka_unit_test(surroundings_that_fail),
      cmocka_unit_test(models_that_are_wrong),
      cmocka_unit_test(version_and_operators),
      cmocka_unit_test(man_page_agrees),
      cmocka_unit_test(completion_completes),
  };
  return cmocka_run_group_tests(tests, workplace_open, workplace_close);
}
