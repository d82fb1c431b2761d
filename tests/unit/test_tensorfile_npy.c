// .npy and .npz: numpy's own files are read, ours are read back, damage is refused.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "counting_source.h"
#include "frontend/tensorfile.h"
#include "scratch.h"

// Element i of the arrays that tests/data/tensorfile/make.py writes.
static void expect_made(const ir_tensor *t, dtype dt, uint32_t rank, const int64_t *dim) {
  assert_non_null(t);
  assert_int_equal(t->dt, dt);
  assert_int_equal(t->rank, rank);
  for (uint32_t i = 0; i < rank; i++) assert_int_equal(t->dim[i], dim[i]);
  for (int64_t i = 0; i < ir_tensor_count(t); i++) {
    int64_t v = i * 7 % 11, expected = dt == DT_bool ? v % 2 : dt == DT_u8 ? v : v - 3;
    scalar s = scalar_load(dt, (const char *)t->data + (size_t)i * dtype_size(dt));
    assert_true(dtype_is_float(dt) ? s.v.f == (double)expected : s.v.i == expected);
  }
}

static ir_tensor *data(scratch *s, const char *name) {
  return npy_read(s->a, &s->l, scratch_data(s, str_fmt(s->a, "tensorfile/%s.npy", name)));
}

static void reads_numpy(void **state) {
  scratch *s = *state;
  const int64_t cube[] = {2, 3, 4}, empty[] = {0, 5}, five[] = {5};
  for (int dt = 0; dt < DT_COUNT; dt++)
    if (dt != DT_bf16) expect_made(data(s, dtype_name((dtype)dt)), (dtype)dt, 3, cube);
  expect_made(data(s, "fortran"), DT_f32, 3, cube);
  expect_made(data(s, "scalar"), DT_f32, 0, NULL);
  expect_made(data(s, "empty"), DT_f32, 2, empty);
  expect_made(data(s, "version2"), DT_i32, 1, five);
  expect_made(data(s, "version3"), DT_i32, 1, five);
  scratch_expect_none(s);
  assert_null(data(s, "big_endian"));
  scratch_expect(s, DIAG_ID_tensor_file_dtype, "`npy` has dtype `>f4`");
  assert_null(data(s, "complex"));
  scratch_expect(s, DIAG_ID_tensor_file_dtype, "`<c8`");
}

static void writes_what_numpy_writes(void **state) {
  scratch *s = *state;
  static const char *const names[] = {"f32", "f16",  "f64",    "i8",    "u8",      "i32",
                                      "i64", "bool", "scalar", "empty", "version2"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *path = scratch_path(s, "x.npy");
    assert_true(npy_write(s->a, &s->l, path, data(s, names[i])));
    str ours = scratch_bytes(s, path),
        theirs = scratch_bytes(s, scratch_data(s, str_fmt(s->a, "tensorfile/%s.npy", names[i])));
    if (strcmp(names[i], "version2") == 0) {
      expect_made(npy_read(s->a, &s->l, path), DT_i32, 1, (const int64_t[]){5}); // written as version 1: other bytes
    } else {
      assert_int_equal(ours.n, theirs.n);
      assert_memory_equal(ours.p, theirs.p, ours.n);
    }
  }
  ir_tensor *brain = ir_tensor_new(s->a, DT_bf16, 0, NULL);
  assert_false(npy_write(s->a, &s->l, scratch_path(s, "y.npy"), brain));
  scratch_expect(s, DIAG_ID_file_write, "npy has no dtype bf16");
}

// An .npy of version 1 with this dict literal and n bytes of data, each 1.
static str crafted(scratch *s, const char *header, size_t n) {
  strbuf b;
  sb_init(&b, s->a);
  size_t length = strlen(header);
  sb_bytes(&b, "\x93NUMPY\x01\0", 8);
  sb_char(&b, (char)(length & 255));
  sb_char(&b, (char)(length >> 8));
  sb_z(&b, header);
  for (size_t i = 0; i < n; i++) sb_char(&b, 1);
  return (str){b.p, b.n};
}

static void refuses_lies(void **state) {
  scratch *s = *state;
  static const struct {
    const char *header;
    size_t n;
    const char *part;
  } lies[] = {
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n", 7,
       "byte 66: not a valid npy file: the shape and dtype do not take"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n", 9, "do not take"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2)}\n", 8, "a shape of one dim is written"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 1)}\n", 8, "expected `,` or `)`"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}\n", 8,
       "byte 61: not a valid npy file: expected a dim"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,)}\n", 8, "expected `,` or `)`"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}\n", 8, "expected a dim"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}\n", 0, "do not take"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4, 0)}\n", 0, "do not take"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1)}\n", 4, "too many dims"},
      {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}\n", 8, "expected `True` or `False`"},
      {"{'descr': '<f4', 'fortran_order': False}\n", 8, "lacks"},
      {"{'descr': '<f4', 'descr': '<f4', 'shape': (2,)}\n", 8,
       "byte 27: not a valid npy file: the header has an unknown or repeated key"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}\n", 8, "unknown or repeated"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8, "expected a newline"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}x\n", 8, "expected a newline"},
      {"{'descr': '<\\x664', 'fortran_order': False, 'shape': (2,)}\n", 8, "not plain"},
      {"{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}\n", 8, "dtype `<f4, `"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}\n", 8, "expected a string"},
      {"{descr: '<f4', 'fortran_order': False, 'shape': (2,)}\n", 8, "expected a string"},
      {"{'descr'; '<f4'}\n", 8, "expected `:`"},
      {"('descr', 1)\n", 8, "expected `{`"},
      {"", 8, "expected `{`"},
  };
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    assert_null(npy_parse(s->a, &s->l, "x.npy", 0, crafted(s, lies[i].header, lies[i].n)));
    bool by_dtype = strstr(lies[i].part, "dtype `") != NULL;
    scratch_expect(s, by_dtype ? DIAG_ID_tensor_file_dtype : DIAG_ID_tensor_file_format, lies[i].part);
  }
  str bools = crafted(s, "{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}\n", 1);
  strbuf b;
  sb_init(&b, s->a);
  sb_bytes(&b, bools.p, bools.n);
  sb_char(&b, 2);
  assert_null(npy_parse(s->a, &s->l, "x.npy", 0, sb_str(&b)));
  scratch_expect(s, DIAG_ID_tensor_file_format, "byte 67: not a valid npy file: a bool is neither 0 nor 1");
  assert_null(npy_parse(s->a, &s->l, "x.npy", 0, STR("\x93NUMPZ\x01\0\0\0")));
  scratch_expect(s, DIAG_ID_tensor_file_format, "does not begin as one");
  assert_null(npy_parse(s->a, &s->l, "x.npy", 0, STR("\x93NUMPY\x04\0\0\0\0\0")));
  scratch_expect(s, DIAG_ID_tensor_file_format, "version");
}

static void refuses_every_truncation(void **state) {
  scratch *s = *state;
  static const char *const names[] = {"f32.npy", "version2.npy", "stored.npz", "deflated.npz"};
  for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
    str all = scratch_bytes(s, scratch_data(s, str_fmt(s->a, "tensorfile/%s", names[k])));
    for (size_t n = 0; n < all.n; n++) {
      if (strstr(names[k], ".npy")) assert_null(npy_parse(s->a, &s->l, "x", 0, (str){all.p, n}));
      else assert_null(npz_open(s->a, &s->l, scratch_file(s, "cut.npz", (str){all.p, n})));
      assert_int_equal(s->l.items.n, 1);
      diag_init(&s->l, s->a);
    }
  }
}

static void reads_archives(void **state) {
  scratch *s = *state;
  for (int deflated = 0; deflated < 2; deflated++) {
    const char *path = scratch_data(s, deflated ? "tensorfile/deflated.npz" : "tensorfile/stored.npz");
    npz_file *z = npz_open(s->a, &s->l, path);
    scratch_expect_none(s);
    assert_int_equal(npz_count(z), 2);
    assert_string_equal(npz_name(z, 0), "a");
    assert_string_equal(npz_name(z, 1), "b");
    expect_made(npz_read(z, &s->l, "a"), DT_f32, 2, (const int64_t[]){3, 4});
    expect_made(npz_read(z, &s->l, "b"), DT_i32, 1, (const int64_t[]){deflated ? 400 : 40});
    assert_null(npz_read(z, &s->l, "c"));
    scratch_expect(s, DIAG_ID_tensor_file_absent, "has no tensor `c`");
    expect_made(tensor_file_read(s->a, &s->l, path, "b"), DT_i32, 1, (const int64_t[]){deflated ? 400 : 40});
    assert_null(tensor_file_read(s->a, &s->l, path, NULL));
    scratch_expect(s, DIAG_ID_tensor_file_choose, "holds 2 tensors");
  }
  expect_made(tensor_file_read(s->a, &s->l, scratch_data(s, "tensorfile/i8.npy"), NULL), DT_i8, 3,
              (const int64_t[]){2, 3, 4});
  assert_null(tensor_file_read(s->a, &s->l, scratch_data(s, "tensorfile/i8.npy"), "a"));
  scratch_expect(s, DIAG_ID_tensor_file_absent, "`a`");
}

static void archives_round_trip(void **state) {
  scratch *s = *state;
  const char *path = scratch_path(s, "x.npz"), *names[] = {"one", "two.x"};
  const ir_tensor *tensors[] = {data(s, "f64"), data(s, "bool")};
  assert_true(npz_write(s->a, &s->l, path, 2, names, tensors));
  npz_file *z = npz_open(s->a, &s->l, path);
  scratch_expect_none(s);
  expect_made(npz_read(z, &s->l, "one"), DT_f64, 3, (const int64_t[]){2, 3, 4});
  expect_made(npz_read(z, &s->l, "two.x"), DT_bool, 3, (const int64_t[]){2, 3, 4});
  names[1] = "one";
  assert_false(npz_write(s->a, &s->l, path, 2, names, tensors));
  scratch_expect(s, DIAG_ID_file_write, "two tensors are named `one`");
}

// A flipped bit anywhere is an error, or changes only what is not read (dates, attributes, unused header fields).
static void survives_damage(void **state) {
  scratch *s = *state;
  for (int deflated = 0; deflated < 2; deflated++) {
    str all = scratch_bytes(s, scratch_data(s, deflated ? "tensorfile/deflated.npz" : "tensorfile/stored.npz"));
    char *copy = arena_copy(s->a, all.p, all.n);
    for (size_t at = 0; at < all.n; at++) {
      copy[at] ^= (char)(1 << at % 8);
      npz_file *z = npz_open(s->a, &s->l, scratch_file(s, "damaged.npz", (str){copy, all.n}));
      for (size_t i = 0; z && i < npz_count(z); i++) {
        size_t before = s->l.items.n;
        ir_tensor *t = npz_read(z, &s->l, npz_name(z, i));
        assert_int_equal(t ? 0 : 1, s->l.items.n - before);
        if (t) expect_made(t, t->dt, t->rank, t->dim); // the checksum leaves no wrong element
      }
      assert_true(z || s->l.items.n == 1);
      diag_init(&s->l, s->a);
      copy[at] ^= (char)(1 << at % 8);
    }
  }
}

static void read_members(arena *a, void *user) {
  diag_list l;
  diag_init(&l, a);
  npz_file *z = npz_open(a, &l, user);
  for (size_t i = 0; i < npz_count(z); i++) npz_read(z, &l, npz_name(z, i));
}

static void out_of_memory_leaves_nothing(void **state) {
  scratch *s = *state;
  char user[512];
  strcpy(user, scratch_data(s, "tensorfile/deflated.npz"));
  counting_source c;
  for (size_t fail_at = 2;; fail_at++) {
    counting_source_init(&c, fail_at);
    arena *a = arena_new(&c.source);
    int code = run_guarded(a, read_members, user);
    arena_free(a);
    assert_int_equal(c.n_live, 0);
    if (code == 0) break;
    assert_int_equal(code, 1);
  }
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(reads_numpy),    CASE(writes_what_numpy_writes), CASE(refuses_lies),    CASE(refuses_every_truncation),
      CASE(reads_archives), CASE(archives_round_trip),      CASE(survives_damage), CASE(out_of_memory_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
