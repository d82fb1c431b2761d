// Wrong weights, inputs and images: cut short, lying about themselves, of the wrong kind, no files at all. The readers
// are tested byte by byte in tests/unit; here the whole way is: each gives its message and status, in time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "child.h"
#include "nnc/nnc.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))
#define DIGITS      NNC_SOURCE_DIR "/models/vision/digits.yaml"
#define IMAGE       NNC_SOURCE_DIR "/models/vision/digits/7_2.png"

static str read_whole(scratch *s, const char *path) {
  str all;
  assert_true(file_read(s->a, &s->l, path, 1 << 24, &all));
  return all;
}

// -- weights, through the API: the first message must hold `part` --

static void check_weights(const char *model, const char *weights, const char *part) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  nnc_diagnostics *d = NULL;
  nnc_module *m = NULL;
  o.weights = &weights;
  o.n_weights = 1;
  int64_t begin = clock_ns();
  nnc_status status = nnc_module_open(&m, model, &o, &d);
  const nnc_diagnostic *first = nnc_diagnostics_get(d, 0);
  if (status != NNC_E_MODEL || m || !first || !strstr(first->text, part))
    fail_msg("status %d, expected `%s` in: %s", (int)status, part, first ? first->text : "");
  assert_true(clock_ns() - begin < INT64_C(10000000000)); // a second, were nobody else at work
  nnc_diagnostics_free(d);
}

static void weights_cut_at_every_hundredth(void **state) {
  scratch *s = *state;
  str all = read_whole(s, NNC_SOURCE_DIR "/models/vision/digits.safetensors");
  for (size_t i = 0; i < 100; i++)
    check_weights(DIGITS, scratch_file(s, "cut.safetensors", (str){all.p, all.n * i / 100}), ": byte ");
  check_weights(DIGITS, scratch_file(s, "cut.safetensors", (str){all.p, all.n - 1}), ": byte ");
  for (size_t i = 0; i < 3; i++) {
    scratch_file(s, "cut.safetensors", (str){all.p, all.n * i / 3});
    child_expect(s, 1, "error: cut.safetensors: byte ", NNC("compile", DIGITS, "--weights", "cut.safetensors"));
  }
}

// The header, as long as it is, then n bytes of data.
static const char *lying(scratch *s, const char *header, size_t n) {
  strbuf b;
  sb_init(&b, s->a);
  uint64_t length = strlen(header);
  sb_bytes(&b, &length, sizeof length);
  sb_z(&b, header);
  for (size_t i = 0; i < n; i++) sb_char(&b, 0);
  return scratch_file(s, "w.safetensors", sb_str(&b));
}

#define T(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const char model_of_two[] =
    "nnc: 1\ninputs:\n  x: f32[4]\nsteps:\n- a@a: param(4)\n- b@b: param(4)\n- y: x + a + b\n"
    "outputs:\n  y: y\n";

static void weights_that_lie(void **state) {
  scratch *s = *state;
  static const struct {
    const char *header;
    size_t n;
    const char *part;
  } lies[] = {
      {"{\"a\":" T("F32", "[4]", "[0,16]") ",\"b\":" T("F32", "[4]", "[0,16]") "}", 16, "overlap"},
      {"{\"a\":" T("F32", "[4]", "[0,16]") ",\"b\":" T("F32", "[4]", "[8,24]") "}", 24, "overlap"},
      {"{\"a\":" T("F32", "[4]", "[0,16]") ",\"b\":" T("F32", "[4]", "[32,48]") "}", 48, "unused bytes"},
      {"{\"a\":" T("F32", "[4]", "[0,16]") ",\"b\":" T("F32", "[4]", "[16,32]") "}", 16, "are not in the 16 bytes"},
      {"{\"a\":" T("F32", "[4]", "[16,0]") "}", 16, "are not in the 16 bytes"},
      {"{\"a\":" T("F32", "[4]", "[9223372036854775792,9223372036854775807]") "}", 16, "are not in the 16 bytes"},
      {"{\"a\":" T("F32", "[4611686018427387905]", "[0,4]") "}", 4, "do not take the bytes"},
      {"{\"a\":" T("F32", "[9223372036854775807,2]", "[0,8]") "}", 8, "do not take the bytes"},
      {"{\"a\":" T("F32", "[0,9223372036854775807]", "[0,0]") "}", 0, "w.yaml needs 2 weights"},
      {"{\"a\":" T("F8_E4M3", "[4]", "[0,4]") "}", 4, "has dtype `F8_E4M3`"},
      {"{\"a\":" T("BOOL", "[4]", "[0,4]") ",\"b\":" T("F32", "[4]", "[4,20]") "}", 20, "do not fit"},
      {"{\"a\":" T("I64", "[4]", "[0,32]") ",\"b\":" T("F32", "[4]", "[32,48]") "}", 48, "do not fit"},
      {"{\"a\":" T("F32", "[2,2]", "[0,16]") ",\"b\":" T("F32", "[4]", "[16,32]") "}", 32, "do not fit"},
      {"{\"a\":" T("F32", "[4]", "[0,16]") "}", 16, "lacks"},
      {"{}", 0, "lacks all"},
      {"{\"a\":null}", 0, "it must have"},
      {"{\"a\":{\"a\":{\"a\":[]}}}", 0, "it must have"},
      {"{\"__metadata__\":{\"a\":[[[]]]}}", 0, "is not a string"},
      {"\xff\xfe{}", 0, "its header: "},
      {"{\"\\u0000\":1}", 0, "its header: "},
      {"{\"a\":1e999}", 0, "its header: "},
      {"nothing", 0, "its header: "},
      {"", 0, "its header: "},
  };
  const char *model = scratch_file(s, "w.yaml", STR(model_of_two));
  for (size_t i = 0; i < N_OF(lies); i++) check_weights(model, lying(s, lies[i].header, lies[i].n), lies[i].part);
  str beyond = {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10};
  check_weights(model, scratch_file(s, "w.safetensors", beyond), "longer than 16 MiB");
  strbuf deep;
  sb_init(&deep, s->a);
  for (int i = 0; i < 1000000; i++) sb_z(&deep, "{\"a\":");
  check_weights(model, lying(s, sb_cstr(&deep), 0), "maximum parsing depth");
  strbuf name; // a name of a megabyte, with what a terminal would obey
  sb_init(&name, s->a);
  sb_z(&name, "{\"");
  for (int i = 0; i < 200000; i++) sb_z(&name, "\\u001b[");
  sb_z(&name, "\":1}");
  check_weights(model, lying(s, sb_cstr(&name), 0), "tensor `?[?[");
}

static void weights_that_are_no_files(void **state) {
  scratch *s = *state;
  scratch_file(s, "w.yaml", STR(model_of_two));
  assert_int_equal(mkdir(scratch_path(s, "folder.safetensors"), 0700), 0);
  assert_int_equal(mkfifo(scratch_path(s, "pipe.safetensors"), 0600), 0);
  static const char *const cases[][2] = {
      {"absent.safetensors", "cannot open absent.safetensors: No such file"},
      {"folder.safetensors", "it is a folder"},
      {"pipe.safetensors", "it is not a regular file"},
      {"/dev/zero", "it is not a regular file"},
      {"absent.safetensors.index.json", "cannot open absent.safetensors.index.json"}};
  for (size_t i = 0; i < N_OF(cases); i++)
    child_expect(s, 3, cases[i][1], NNC("run", "w.yaml", "--in", "x=zeros", "--weights", cases[i][0]));
  child_expect(s, 1, "no weight file is given", NNC("run", "w.yaml", "--in", "x=zeros"));
  child_expect(s, 1, "expected `random` or `random:SEED`",
               NNC("run", "w.yaml", "--in", "x=zeros", "--weights", "random:x"));
  scratch_file(s, "sparse.safetensors", STR(""));
  assert_int_equal(truncate(scratch_path(s, "sparse.safetensors"), INT64_C(1) << 32), 0);
  child_expect(
      s, 1, "sparse.safetensors: byte 8: ", NNC("run", "w.yaml", "--in", "x=zeros", "--weights", "sparse.safetensors"));
}

// -- inputs, through the command line --

static const char model_of_input[] =
    "nnc: 1\ndims:\n  n: 1..8\ninputs:\n  x: f32[n, 3, 4]\nsteps:\n- y: sum(x)\noutputs:\n  y: y\n";

static void check_input(scratch *s, int status, const char *source, const char *part) {
  child_expect(s, status, part, NNC("run", "x.yaml", "--in", str_fmt(s->a, "x=%s", source)));
}

static void inputs_cut_short(void **state) {
  scratch *s = *state;
  static const char *const names[] = {"f32.npy",      "version2.npy", "stored.npz",
                                      "deflated.npz", "rgb.png",      "all.safetensors"};
  scratch_file(s, "x.yaml", STR(model_of_input));
  for (size_t k = 0; k < N_OF(names); k++) {
    str all = read_whole(s, scratch_data(s, str_fmt(s->a, "tensorfile/%s", names[k])));
    for (size_t i = 0; i < 4; i++) {
      scratch_file(s, names[k], (str){all.p, all.n * i / 4});
      check_input(s, 1, names[k], str_fmt(s->a, "error: %s: byte ", names[k]));
    }
  }
}

static void inputs_of_the_wrong_kind(void **state) {
  scratch *s = *state;
  scratch_file(s, "x.yaml", STR(model_of_input));
  static const char *const data[] = {"f64.npy",
                                     "i32.npy",
                                     "scalar.npy",
                                     "empty.npy",
                                     "big_endian.npy",
                                     "complex.npy",
                                     "bool.npy",
                                     "rgba.png",
                                     "stored.npz",
                                     "all.safetensors",
                                     "deflated.npz:c",
                                     "f32.npy:a",
                                     "all.safetensors:absent"};
  for (size_t i = 0; i < N_OF(data); i++)
    check_input(s, 1, scratch_data(s, str_fmt(s->a, "tensorfile/%s", data[i])), "error: ");
  assert_int_equal(mkdir(scratch_path(s, "folder.npy"), 0700), 0);
  assert_int_equal(mkfifo(scratch_path(s, "pipe.png"), 0600), 0);
  check_input(s, 3, "absent.npy", "cannot open absent.npy");
  check_input(s, 3, "folder.npy", "it is a folder");
  check_input(s, 3, "pipe.png", "it is not a regular file");
  check_input(s, 2, "/dev/zero", "is no source of a tensor");
  check_input(s, 2, "nan(7)", "is no source of a tensor");
  check_input(s, 2, "random:99999999999999999999", "the seed is a whole number");
  scratch_file(s, "x.yaml", STR("nnc: 1\ninputs:\n  x: i8[4]\nsteps:\n- y: x\noutputs:\n  y: y\n"));
  check_input(s, 2, "300", "is no source of a tensor");
  check_input(s, 2, "0.5", "is no source of a tensor");
}

// Headers that promise what no file has, and files of 100 MB that hold nothing.
static void inputs_that_lie(void **state) {
  scratch *s = *state;
  scratch_file(s, "x.yaml", STR(model_of_input));
  static const char *const headers[] = {
      "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 3, 4), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 3, 4), }", // more than is there
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3, 4), }",
      "{'descr': '<f4', 'shape': (1, 3, 4), }",
      "{'descr': '<f4'",
      "",
  };
  for (size_t i = 0; i < N_OF(headers); i++) {
    const size_t n = strlen(headers[i]);
    char bytes[256] = "\x93NUMPY\x01"; // then 0, and the length of the header in two bytes
    bytes[8] = (char)(n + 1);
    memcpy(bytes + 10, headers[i], n);
    bytes[10 + n] = '\n';
    scratch_file(s, "lie.npy", (str){bytes, 11 + n});
    check_input(s, 1, "lie.npy", "error: lie.npy: byte ");
  }
  static const char *const names[] = {"large.npy", "large.npz", "large.png", "large.safetensors"};
  for (size_t i = 0; i < N_OF(names); i++) {
    scratch_file(s, names[i], STR(""));
    assert_int_equal(truncate(scratch_path(s, names[i]), 100 << 20), 0);
    check_input(s, 1, names[i], str_fmt(s->a, "error: %s: byte ", names[i]));
  }
}

// In range of the dtype, not of the table: known only while running, with the line that reads them; no output is left.
static void tokens_beyond_the_vocabulary(void **state) {
  scratch *s = *state;
  scratch_file(s, "x.yaml",
               STR("nnc: 1\ninputs:\n  x: i32[3]\nsteps:\n- y@e: embedding(x, 10, 4)\noutputs:\n  y: y\n"));
  static const char *const tokens[] = {"x=10", "x=-11", "x=2147483647", "x=-2147483648"};
  for (size_t i = 0; i < N_OF(tokens); i++) {
    child_expect(s, 1, "line 5: index out of range",
                 NNC("run", "x.yaml", "--weights", "random", "--in", tokens[i], "--out", "y=y.npy"));
    assert_int_not_equal(access(scratch_path(s, "y.npy"), F_OK), 0);
  }
  child_expect(s, 0, "", NNC("run", "x.yaml", "--weights", "random", "--in", "x=9", "--out", "y=y.npy"));
}

static void images(void **state) {
  scratch *s = *state;
  str all = read_whole(s, IMAGE);
  for (size_t i = 0; i < 8; i++) {
    scratch_file(s, "cut.png", (str){all.p, all.n * i / 8});
    child_expect(s, 1, "error: cut.png: byte ", NNC("run", DIGITS, "--in", "image=cut.png"));
  }
  child_expect(s, 2, "error: ", NNC("run", DIGITS, "--in", "image=" IMAGE ":mean=x"));
  child_expect(s, 2, "error: ", NNC("run", DIGITS, "--in", "image=" IMAGE ":nothing=1"));
  child_expect(s, 1, "error: ", NNC("run", DIGITS, "--in", "image=" IMAGE, "--dim", "batch=2"));
}

// -- libraries --

static void libraries_that_are_damaged(void **state) {
  scratch *s = *state;
  child_expect(s, 0, "", NNC("compile", DIGITS, "-o", "d.so"));
  str all = read_whole(s, scratch_path(s, "d.so"));
  scratch_file(s, "foreign.so", read_whole(s, NNC_BINARY_DIR "/libnnc-llvm.so.0"));
  child_expect(s, 1, "foreign.so is not a library that `nnc compile` wrote", NNC("run", "foreign.so"));
  for (size_t i = 0; i < 12; i++) {
    scratch_file(s, "cut.so", (str){all.p, all.n * i / 12});
    child_expect(s, 3, "cannot load cut.so: ", NNC("run", "cut.so", "--in", "image=zeros"));
  }
  char *copy = arena_copy(s->a, all.p, all.n);
  const char begin[] = "nnplan01\4\0\0"; // magic and version; code that compares the magic has other bytes after it
  size_t plan = 0;
  while (plan + 256 < all.n && memcmp(copy + plan, begin, sizeof begin) != 0) plan++;
  assert_true(plan + 256 < all.n);
  for (size_t i = 0; i < 256; i += 11) {
    copy[plan + i] ^= 0x10;
    scratch_file(s, "damaged.so", (str){copy, all.n});
    child_expect(s, 1, "damaged.so", NNC("run", "damaged.so", "--in", "image=zeros"));
    copy[plan + i] ^= 0x10;
  }
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(weights_cut_at_every_hundredth),
      CASE(weights_that_lie),
      CASE(weights_that_are_no_files),
      CASE(inputs_cut_short),
      CASE(inputs_of_the_wrong_kind),
      CASE(images),
      CASE(inputs_that_lie),
      CASE(tokens_beyond_the_vocabulary),
      CASE(libraries_that_are_damaged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
