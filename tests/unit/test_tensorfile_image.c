// PNG: files of another encoder are read as they should, ours are read back, damage is refused without leaks.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "counting_source.h"
#include "frontend/image.h"
#include "scratch.h"

enum { H = 5, W = 7 };

// Byte (y, x, k) of the images that tests/data/tensorfile/make.py writes.
static int made(int y, int x, int k) { return (40 * y + 9 * x + 25 * k) % 256; }

static ir_tensor *read_data(scratch *s, const char *name, dtype dt) {
  return png_read(s->a, &s->l, scratch_data(s, str_fmt(s->a, "tensorfile/%s.png", name)), dt);
}

static void expect_shape(const ir_tensor *t, dtype dt, int64_t channels) {
  assert_non_null(t);
  assert_int_equal(t->dt, dt);
  assert_int_equal(t->rank, 3);
  assert_int_equal(t->dim[0], H);
  assert_int_equal(t->dim[1], W);
  assert_int_equal(t->dim[2], channels);
}

static void reads_other_encoders(void **state) {
  scratch *s = *state;
  static const char *const names[] = {"", "grey", "grey_alpha", "rgb", "rgba"};
  for (int c = 1; c <= 4; c++) {
    const ir_tensor *t = read_data(s, names[c], DT_u8), *f = read_data(s, names[c], DT_f32);
    expect_shape(t, DT_u8, c);
    expect_shape(f, DT_f32, c);
    for (int i = 0; i < H * W * c; i++) {
      int expected = made(i / c / W, i / c % W, i % c);
      assert_int_equal(((const unsigned char *)t->data)[i], expected);
      assert_true(((const float *)f->data)[i] == (float)expected / 255.0f);
    }
  }
}

static void expands_depths(void **state) {
  scratch *s = *state;
  const ir_tensor *bit = read_data(s, "one_bit", DT_u8), *deep = read_data(s, "deep", DT_u8),
                  *palette = read_data(s, "palette", DT_u8);
  expect_shape(bit, DT_u8, 1);
  expect_shape(deep, DT_u8, 1);
  expect_shape(palette, DT_u8, 3);
  for (int i = 0; i < H * W; i++) {
    int v = made(i / W, i % W, 0);
    assert_int_equal(((const unsigned char *)bit->data)[i], v % 2 ? 255 : 0);
    assert_int_equal(((const unsigned char *)deep->data)[i], v); // 257 v + 3 of 65535
    for (int k = 0; k < 3; k++)
      assert_int_equal(((const unsigned char *)palette->data)[3 * i + k], v % 4 * 30 + k * 10);
  }
}

static void round_trip(void **state) {
  scratch *s = *state;
  const char *path = scratch_path(s, "x.png");
  for (int64_t c = 1; c <= 4; c++) {
    ir_tensor *t = ir_tensor_new(s->a, DT_u8, 3, (const int64_t[]){H, W, c});
    for (int64_t i = 0; i < H * W * c; i++) ((unsigned char *)t->data)[i] = (unsigned char)(i * 89);
    assert_true(png_write(s->a, &s->l, path, t));
    const ir_tensor *back = png_read(s->a, &s->l, path, DT_u8);
    expect_shape(back, DT_u8, c);
    assert_memory_equal(back->data, t->data, (size_t)(H * W * c));
  }
  ir_tensor *f = ir_tensor_new(s->a, DT_f32, 3, (const int64_t[]){1, 7, 1});
  const float values[7] = {0, 1, -3, 7, NAN, 0.5f, 100.4f / 255};
  const unsigned char bytes[7] = {0, 255, 0, 255, 0, 128, 100};
  memcpy(f->data, values, sizeof values);
  assert_true(png_write(s->a, &s->l, path, f));
  assert_memory_equal(png_read(s->a, &s->l, path, DT_u8)->data, bytes, 7);
  scratch_expect_none(s);
}

static void refuses_other_shapes(void **state) {
  scratch *s = *state;
  const struct {
    dtype dt;
    uint32_t rank;
    int64_t dim[3];
  } wrong[] = {{DT_u8, 2, {4, 4, 0}},
               {DT_u8, 3, {4, 4, 5}},
               {DT_u8, 3, {0, 4, 1}},
               {DT_i32, 3, {4, 4, 1}},
               {DT_u8, 3, {4, 4, 0}}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_false(png_write(s->a, &s->l, scratch_path(s, "x.png"),
                           ir_tensor_new(s->a, wrong[i].dt, wrong[i].rank, wrong[i].dim)));
    scratch_expect(s, DIAG_ID_file_write, "a PNG is made from");
  }
}

static void refuses_every_truncation(void **state) {
  scratch *s = *state;
  str all = scratch_bytes(s, scratch_data(s, "tensorfile/palette.png"));
  for (size_t n = 0; n < all.n; n++) {
    assert_null(png_read(s->a, &s->l, scratch_file(s, "cut.png", (str){all.p, n}), DT_u8));
    scratch_expect(s, DIAG_ID_tensor_file_format, "not a valid png file");
  }
}

// Every chunk has a checksum: whatever bit changes is found, except in bytes that no reader looks at.
static void refuses_damage(void **state) {
  scratch *s = *state;
  static const char *const names[] = {"rgba", "palette", "deep"};
  for (size_t k = 0; k < 3; k++) {
    str all = scratch_bytes(s, scratch_data(s, str_fmt(s->a, "tensorfile/%s.png", names[k])));
    char *copy = arena_copy(s->a, all.p, all.n);
    for (size_t at = 0; at < all.n; at++) {
      copy[at] ^= (char)(1 << at % 8);
      assert_null(png_read(s->a, &s->l, scratch_file(s, "damaged.png", (str){copy, all.n}), DT_u8));
      scratch_expect(s, DIAG_ID_tensor_file_format, "not a valid png file: ");
      copy[at] ^= (char)(1 << at % 8);
    }
  }
}

// A header that promises 65536 x 4096 pixels over a hundred bytes must not make anyone allocate them.
static void refuses_a_bomb(void **state) {
  scratch *s = *state;
  static const unsigned char bomb[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0,    0, 0,    13,
                                       'I',  'H', 'D', 'R', 0,    1,    0,    0,    0,    0, 0x10, 0,
                                       8,    2,   0,   0,   0,    0x48, 0x92, 0x3b, 0xe4, 0, 0,    0,
                                       0,    'I', 'D', 'A', 'T',  0x35, 0xaf, 0x06, 0x1e};
  size_t before = arena_bytes(s->a);
  assert_null(png_read(s->a, &s->l, scratch_file(s, "bomb.png", (str){(const char *)bomb, sizeof bomb}), DT_u8));
  scratch_expect(s, DIAG_ID_tensor_file_format, "it is too small for the pixels it is said to have");
  assert_true(arena_bytes(s->a) - before < 1 << 20);
}

static void read_and_write(arena *a, void *user) {
  diag_list l;
  diag_init(&l, a);
  ir_tensor *t = png_read(a, &l, user, DT_f32);
  png_write(a, &l, "/nonexistent/x.png", t);
}

static void out_of_memory_leaves_nothing(void **state) {
  scratch *s = *state;
  char user[512];
  strcpy(user, scratch_data(s, "tensorfile/rgba.png"));
  counting_source c;
  for (size_t fail_at = 2;; fail_at++) {
    counting_source_init(&c, fail_at);
    arena *a = arena_new(&c.source);
    int code = run_guarded(a, read_and_write, user);
    arena_free(a);
    assert_int_equal(c.n_live, 0);
    if (code == 0) break;
    assert_int_equal(code, 1);
  }
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
  const struct CMUnitTest tests[] = {
      CASE(reads_other_encoders),     CASE(expands_depths), CASE(round_trip),     CASE(refuses_other_shapes),
      CASE(refuses_every_truncation), CASE(refuses_damage), CASE(refuses_a_bomb), CASE(out_of_memory_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
