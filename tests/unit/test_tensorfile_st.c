// safetensors: files of the reference library are read, ours are read back, and each kind of lie is refused with its
// place.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "counting_source.h"
#include "frontend/safetensors.h"
#include "frontend/tensorfile.h"
#include "scratch.h"

// Element i of the arrays that tests/data/tensorfile/make.py writes.
static int64_t made(dtype dt, int64_t i) {
  int64_t v = i * 7 % 11;
  return dt == DT_bool ? v % 2 : dt == DT_u8 ? v : v - 3;
}

static void expect_made(const st_tensor *t) {
  int64_t n = (int64_t)(t->size_bytes / dtype_size(t->dt));
  for (int64_t i = 0; i < n; i++) {
    scalar s = scalar_load(t->dt, (const char *)t->data + (size_t)i * dtype_size(t->dt));
    assert_true(dtype_is_float(t->dt) ? s.v.f == (double)made(t->dt, i) : s.v.i == made(t->dt, i));
  }
}

static void reads_the_library(void **state) {
  scratch *s = *state;
  st_file *f = st_open(s->a, &s->l, scratch_data(s, "tensorfile/all.safetensors"));
  scratch_expect_none(s);
  assert_non_null(f);
  assert_int_equal(st_count(f), DT_COUNT + 3);
  for (int dt = 0; dt < DT_COUNT; dt++) {
    const st_tensor *t = st_find(f, str_fmt(s->a, "%s.weight", dtype_name((dtype)dt)));
    assert_non_null(t);
    assert_int_equal(t->dt, dt);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->dim[0], 2);
    assert_int_equal(t->dim[1], 3);
    assert_int_equal(t->size_bytes, 6 * dtype_size((dtype)dt));
    expect_made(t);
  }
  assert_int_equal(st_find(f, "scalar")->rank, 0);
  assert_int_equal(st_find(f, "empty")->size_bytes, 0);
  assert_int_equal(st_find(f, "empty")->dim[1], 5);
  assert_int_equal(st_find(f, "quote\"d")->dim[0], 4);
  assert_null(st_find(f, "absent"));
  assert_int_equal(st_meta_count(f), 2);
  assert_string_equal(st_meta(f, "note"), "two\n\"lines\"");
  assert_null(st_meta(f, "absent"));
}

static ir_tensor *filled(arena *a, dtype dt, uint32_t rank, const int64_t *dim) {
  ir_tensor *t = ir_tensor_new(a, dt, rank, dim);
  for (int64_t i = 0; i < ir_tensor_count(t); i++)
    scalar_store((char *)t->data + (size_t)i * dtype_size(dt), scalar_i(dt, made(dt, i)));
  return t;
}

static void round_trip(void **state) {
  scratch *s = *state;
  const char *names[DT_COUNT + 2];
  const ir_tensor *tensors[DT_COUNT + 2];
  for (int dt = 0; dt < DT_COUNT; dt++) {
    names[dt] = str_fmt(s->a, "t\\%d\"\t", dt);
    tensors[dt] = filled(s->a, (dtype)dt, 1, (const int64_t[]){3 + dt});
  }
  names[DT_COUNT] = "scalar", names[DT_COUNT + 1] = "empty";
  tensors[DT_COUNT] = filled(s->a, DT_f32, 0, NULL);
  tensors[DT_COUNT + 1] = filled(s->a, DT_bool, 2, (const int64_t[]){0, 7});
  const char *path = scratch_path(s, "x.safetensors"), *keys[] = {"a", "b"}, *values[] = {"", "\"\\\n\x01"};
  assert_true(st_write(s->a, &s->l, path, DT_COUNT + 2, names, tensors, 2, keys, values));
  st_file *f = st_open(s->a, &s->l, path);
  scratch_expect_none(s);
  assert_int_equal(st_count(f), DT_COUNT + 2);
  for (int i = 0; i < DT_COUNT + 2; i++) {
    const st_tensor *t = st_find(f, names[i]);
    assert_non_null(t);
    assert_int_equal(t->dt, tensors[i]->dt);
    assert_int_equal(t->rank, tensors[i]->rank);
    assert_int_equal((uintptr_t)t->data % dtype_size(t->dt), 0);
    const ir_tensor *copy = st_copy(s->a, t);
    assert_int_equal(ir_tensor_count(copy), ir_tensor_count(tensors[i]));
    assert_memory_equal(copy->data, tensors[i]->data, t->size_bytes);
  }
  const char *key, *value;
  st_meta_at(f, 1, &key, &value);
  assert_string_equal(key, "b");
  assert_string_equal(value, values[1]);

  assert_true(st_write(s->a, &s->l, path, 0, NULL, NULL, 0, NULL, NULL));
  assert_int_equal(st_count(st_open(s->a, &s->l, path)), 0);
  names[1] = names[0];
  assert_false(st_write(s->a, &s->l, path, 2, names, tensors, 0, NULL, NULL));
  scratch_expect(s, DIAG_ID_file_write, "two tensors are named");
}

// A file with this header and n bytes of data, each 1.
static const char *crafted(scratch *s, const char *header, size_t n) {
  strbuf b;
  sb_init(&b, s->a);
  uint64_t length = strlen(header);
  sb_bytes(&b, &length, sizeof length);
  sb_z(&b, header);
  for (size_t i = 0; i < n; i++) sb_char(&b, 1);
  return scratch_file(s, "crafted.safetensors", sb_str(&b));
}

#define T(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void refuses_lies(void **state) {
  scratch *s = *state;
  static const struct {
    const char *header;
    size_t n;
    const char *part;
  } lies[] = {
      {"[]", 0, "byte 8: not a valid safetensors file: its header is not a JSON object"},
      {"{\"x\":}", 0, "its header: "},
      {"{\"x\":" T("F32", "[1]", "[0,4]") ",\"x\":" T("F32", "[1]", "[4,8]") "}", 8, "duplicate"},
      {"{\"x\":3}", 0, "it must have"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[]}}", 4, "it must have"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"more\":0}}", 4, "it must have"},
      {"{\"x\":" T("F32", "[1]", "[0,8]") "}", 4,
       "byte 9: not a valid safetensors file: tensor `x`: its bytes 0..8 are not in the 4"},
      {"{\"x\":" T("F32", "[1]", "[8,4]") "}", 8, "its bytes 8..4"},
      {"{\"x\":" T("F32", "[2]", "[0,4]") "}", 4, "do not take the bytes"},
      {"{\"x\":" T("F32", "[4611686018427387904,4]", "[0,0]") "}", 0, "do not take the bytes"},
      {"{\"x\":" T("F32", "[-1]", "[0,4]") "}", 4, "not a natural number"},
      {"{\"x\":" T("F32", "[1.0]", "[0,4]") "}", 4, "not a natural number"},
      {"{\"x\":" T("F32", "[18446744073709551617]", "[0,4]") "}", 4, "its header: "},
      {"{\"x\":" T("F32", "[1]", "[0,4,4]") "}", 4, "too long"},
      {"{\"x\":" T("F32", "[1]", "[0]") "}", 4, "does not hold two"},
      {"{\"x\":" T("F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "too long"},
      {"{\"x\":" T("F32", "4", "[0,4]") "}", 4, "is not a list"},
      {"{\"x\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,4]}}", 4, "`dtype` is not a string"},
      {"{\"x\":" T("BOOL", "[1]", "[0,1]") ",\"y\":" T("I8", "[1]", "[2,3]") "}", 3,
       "tensor `y`: unused bytes come before it"},
      {"{\"x\":" T("I8", "[2]", "[0,2]") ",\"y\":" T("I8", "[2]", "[1,3]") "}", 3, "tensor `y`: its bytes overlap"},
      {"{\"x\":" T("I8", "[2]", "[0,2]") "}", 3, "unused bytes after the last tensor"},
      {"{}", 1, "byte 10: not a valid safetensors file: unused bytes after the last tensor"},
      {"{\"__metadata__\":[]}", 0, "`__metadata__` is not an object"},
      {"{\"__metadata__\":{\"k\":1}}", 0,
       "byte 25: not a valid safetensors file: a value of `__metadata__` is not a string"},
  };
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    assert_null(st_open(s->a, &s->l, crafted(s, lies[i].header, lies[i].n)));
    scratch_expect(s, DIAG_ID_tensor_file_format, lies[i].part);
  }
  assert_null(st_open(s->a, &s->l, crafted(s, "{\"x\":" T("I16", "[1]", "[0,2]") "}", 2)));
  scratch_expect(s, DIAG_ID_tensor_file_dtype, "byte 9: `x` has dtype `I16`");
  str two = {"\x02\0\0\0\0\0\0\0{}", 10}, huge = {"\1\0\0\0\0\0\0\x10{}", 10}, beyond = {"\3\0\0\0\0\0\0\0{}", 10};
  assert_non_null(st_open(s->a, &s->l, scratch_file(s, "x", two)));
  assert_null(st_open(s->a, &s->l, scratch_file(s, "x", huge)));
  scratch_expect(s, DIAG_ID_tensor_file_format,
                 "byte 0: not a valid safetensors file: the header is said to be longer than 16 MiB");
  assert_null(st_open(s->a, &s->l, scratch_file(s, "x", beyond)));
  scratch_expect(s, DIAG_ID_tensor_file_format, "longer than the file");
  assert_null(st_open(s->a, &s->l, scratch_path(s, "absent")));
  scratch_expect(s, DIAG_ID_file_open, "absent");
}

static void refuses_wrong_bools(void **state) {
  scratch *s = *state;
  static const char header[] = "{\"x\":" T("BOOL", "[2]", "[0,2]") "}";
  strbuf b;
  sb_init(&b, s->a);
  uint64_t length = strlen(header);
  sb_bytes(&b, &length, sizeof length);
  sb_z(&b, header);
  sb_bytes(&b, "\1\2", 2);
  assert_null(st_open(s->a, &s->l, scratch_file(s, "x", sb_str(&b))));
  scratch_expect(s, DIAG_ID_tensor_file_format, "a bool is neither 0 nor 1");
}

static void refuses_every_truncation(void **state) {
  scratch *s = *state;
  str all = scratch_bytes(s, scratch_data(s, "tensorfile/all.safetensors"));
  for (size_t n = 0; n < all.n; n++) {
    assert_null(st_open(s->a, &s->l, scratch_file(s, "cut", (str){all.p, n})));
    assert_int_equal(s->l.items.n, 1);
    diag_init(&s->l, s->a);
  }
}

static void survives_damage(void **state) {
  scratch *s = *state;
  str all = scratch_bytes(s, scratch_data(s, "tensorfile/all.safetensors"));
  char *copy = arena_copy(s->a, all.p, all.n);
  uint64_t seed = 1;
  for (int turn = 0; turn < 2000; turn++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    size_t at = (size_t)(seed >> 33) % 760; // the length and the header
    char was = copy[at];
    copy[at] = (char)(seed >> 25);
    st_file *f = st_open(s->a, &s->l, scratch_file(s, "damaged", (str){copy, all.n}));
    assert_true(f ? s->l.items.n == 0 : s->l.items.n == 1); // a name may be damaged without harm
    diag_init(&s->l, s->a);
    copy[at] = was;
  }
}

static void open_and_copy(arena *a, void *user) {
  diag_list l;
  diag_init(&l, a);
  st_file *f = st_open(a, &l, user);
  for (size_t i = 0; i < st_count(f); i++) st_copy(a, st_at(f, i));
}

static void out_of_memory_leaves_nothing(void **state) {
  scratch *s = *state;
  const char *path = scratch_data(s, "tensorfile/all.safetensors");
  counting_source c;
  char user[512];
  strcpy(user, path);
  for (size_t fail_at = 2;; fail_at++) {
    counting_source_init(&c, fail_at);
    arena *a = arena_new(&c.source);
    int code = run_guarded(a, open_and_copy, user);
    arena_free(a);
    assert_int_equal(c.n_live, 0);
    if (code == 0) break;
    assert_int_equal(code, 1);
  }
}

static void by_ending(void **state) {
  scratch *s = *state;
  const char *path = scratch_data(s, "tensorfile/all.safetensors");
  ir_tensor *t = tensor_file_read(s->a, &s->l, path, "i32.weight");
  assert_non_null(t);
  assert_int_equal(((const int32_t *)t->data)[1], 4);
  assert_null(tensor_file_read(s->a, &s->l, path, "absent"));
  scratch_expect(s, DIAG_ID_tensor_file_absent, "has no tensor `absent`");
  assert_null(tensor_file_read(s->a, &s->l, path, NULL));
  scratch_expect(s, DIAG_ID_tensor_file_choose, "holds 12 tensors");
  assert_null(tensor_file_read(s->a, &s->l, "x.txt", NULL));
  scratch_expect(s, DIAG_ID_tensor_file_unknown, "x.txt");
  assert_false(tensor_file_known(".npy"));
  assert_true(tensor_file_known("a.npz"));
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(reads_the_library),
      CASE(round_trip),
      CASE(refuses_lies),
      CASE(refuses_wrong_bools),
      CASE(refuses_every_truncation),
      CASE(survives_damage),
      CASE(out_of_memory_leaves_nothing),
      CASE(by_ending),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
