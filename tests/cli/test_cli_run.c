// nnc run: what sources make, what destinations hold, which inputs are refused; against values worked out by hand and
// the digits model's stored outputs.
#define _GNU_SOURCE // CPU_ISSET
#include "spawn.h"
#include "frontend/image.h"
#include "frontend/safetensors.h"
#include "frontend/tensorfile.h"

#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#define IMAGES   NNC_SOURCE_DIR "/tests/cli/images.yaml"
#define EXPECTED NNC_SOURCE_DIR "/tests/data/digits_expected.safetensors"

static void write_npy(workplace *w, const char *name, dtype dt, uint32_t rank, const int64_t *dim, const void *data) {
  ir_tensor t = {.dt = dt, .rank = rank, .data = (void *)(uintptr_t)data};
  memcpy(t.dim, dim, rank * sizeof *dim);
  assert_true(npy_write(w->a, &w->l, in_folder(w, name), &t));
}

static void write_image(workplace *w, const char *name, int64_t h, int64_t wide, int64_t c, const uint8_t *data) {
  ir_tensor t = {.dt = DT_u8, .rank = 3, .dim = {h, wide, c}, .data = (void *)(uintptr_t)data};
  assert_true(png_write(w->a, &w->l, in_folder(w, name), &t));
}

static const float *floats(const ir_tensor *t, uint32_t rank, const int64_t *dim) {
  assert_int_equal(t->dt, DT_f32);
  assert_int_equal(t->rank, rank);
  for (uint32_t i = 0; i < rank; i++) assert_int_equal(t->dim[i], dim[i]);
  return t->data;
}

static void the_stored_outputs_of_digits(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "run %s --in image=%s:image --out logits=l.npy --out probabilities=p.safetensors", DIGITS,
                EXPECTED);
  const char *const names[][2] = {{"l.npy", "logits"}, {"p.safetensors", "probabilities"}};
  for (int k = 0; k < 2; k++) {
    const ir_tensor *want = tensor_file_read(w->a, &w->l, EXPECTED, names[k][1]),
                    *got = read_tensor(w, names[k][0], NULL);
    const float *x = floats(got, 2, (int64_t[]){32, 10}), *y = floats(want, 2, (int64_t[]){32, 10});
    for (int i = 0; i < 320; i++) assert_true(fabsf(x[i] - y[i]) < 2e-5f);
  }
}

static void an_image_of_a_digit(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "run %s --in image=%s/models/vision/digits/7_2.png --out probabilities=p.npy", DIGITS,
                NNC_SOURCE_DIR);
  const float *p = floats(read_tensor(w, "p.npy", NULL), 2, (int64_t[]){1, 10});
  for (int i = 0; i < 10; i++) assert_true(i == 7 ? p[i] > 0.5f : p[i] < 0.5f);
}

// A library, a loaded one, and any number of threads: the same bits.
static void the_same_bits_everywhere(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "compile %s --weights random:3 -o tiny.so", TINY);
  expect_status(w, 0, "run %s --weights random:3 --in x=random:5 --dim batch=7 --dim time=12 --out y=a.npy --threads 1",
                TINY);
  expect_status(w, 0, "run %s --weights random:3 --in x=random:5 --dim batch=7 --dim time=12 --out y=b.npy --threads 3",
                TINY);
  expect_status(w, 0, "run tiny.so --in x=random:5 --dim batch=7 --dim time=12 --out y=c.npy");
  const ir_tensor *a = read_tensor(w, "a.npy", NULL), *b = read_tensor(w, "b.npy", NULL),
                  *c = read_tensor(w, "c.npy", NULL);
  floats(a, 3, (int64_t[]){7, 12, 8});
  assert_memory_equal(a->data, b->data, 7 * 12 * 8 * sizeof(float));
  assert_memory_equal(a->data, c->data, 7 * 12 * 8 * sizeof(float));
}

static void threads_on_named_cpus(void **state) {
  workplace *w = *state;
  cpu_set_t usable;
  unsigned cpu = 0;
  assert_int_equal(sched_getaffinity(0, sizeof usable, &usable), 0);
  while (!CPU_ISSET(cpu, &usable)) cpu++;
  json_t *o = parse_json(
      w, expect_status(w, 0, "bench %s --weights random:3 --dim batch=7 --dim time=12 --runs 3 --pin %u,%u --json",
                       TINY, cpu, cpu)
             .out);
  assert_int_equal(json_integer_value(json_object_get(o, "threads")), 2);
  expect_status(w, 0, "run %s --weights random:3 --in x=random:5 --dim batch=7 --dim time=12 --pin %u", TINY, cpu);
  expect_error(w, 2, "`--pin` does not take `0;1`", "run %s --weights random:3 --in x=zeros --pin 0;1", TINY);
  expect_error(w, 2, "`--pin` does not take `0,`", "run %s --weights random:3 --in x=zeros --pin 0,", TINY);
  expect_error(w, 1, "may not use CPU 1000", "bench %s --weights random:3 --pin 1000", TINY);
}

static void sources_that_fill(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "run %s --entry grey --in image=iota --dim height=3 --dim width=5 --out y=iota.npy", IMAGES);
  expect_status(w, 0, "run %s --entry grey --in image=-2.5e1 --dim height=3 --dim width=5 --out y=number.npy", IMAGES);
  expect_status(w, 0, "run %s --entry grey --in image=zeros --dim width=5 --out y=zeros.npy", IMAGES);
  const float *iota = floats(read_tensor(w, "iota.npy", NULL), 2, (int64_t[]){3, 5});
  const float *number = floats(read_tensor(w, "number.npy", NULL), 2, (int64_t[]){3, 5});
  const float *zeros =
      floats(read_tensor(w, "zeros.npy", NULL), 2, (int64_t[]){1, 5}); // height: the low end of its range
  for (int i = 0; i < 15; i++) {
    assert_true(iota[i] == (float)i);
    assert_true(number[i] == -25.0f);
  }
  for (int i = 0; i < 5; i++) assert_true(zeros[i] == 0);
}

static void random_is_normal_and_repeats(void **state) {
  workplace *w = *state;
  static const char line[] = "run %s --entry grey --in image=%s --dim height=64 --dim width=64 --out y=%s";
  expect_status(w, 0, line, IMAGES, "random", "a.npy");
  expect_status(w, 0, line, IMAGES, "random:0", "b.npy");
  expect_status(w, 0, line, IMAGES, "random:1", "c.npy");
  const float *a = floats(read_tensor(w, "a.npy", NULL), 2, (int64_t[]){64, 64});
  assert_memory_equal(a, read_tensor(w, "b.npy", NULL)->data, 4096 * sizeof(float));
  const float *c = read_tensor(w, "c.npy", NULL)->data;
  double sum = 0, squares = 0, product = 0, within = 0;
  for (int i = 0; i < 4096; i++) {
    sum += (double)a[i], squares += (double)a[i] * (double)a[i], product += (double)a[i] * (double)c[i];
    within += fabsf(a[i]) < 1;
  }
  assert_true(fabs(sum / 4096) < 0.08); // five standard errors each
  assert_true(fabs(squares / 4096 - 1) < 0.12);
  assert_true(fabs(product / 4096) < 0.08);         // another seed is another sequence
  assert_true(fabs(within / 4096 - 0.6827) < 0.04); // one standard deviation
}

static void integers_are_random_bits(void **state) {
  workplace *w = *state;
  expect_status(
      w, 0, "run %s --weights random --entry pick --in table=random --in flag=random:9 --dim batch=16 --out y=y.npy",
      TINY);
  const ir_tensor *t = read_tensor(w, "y.npy", NULL);
  const int32_t *y = t->data;
  int seen[4] = {0};
  assert_int_equal(t->dt, DT_i32);
  for (int i = 0; i < 48; i++) {
    assert_in_range(y[i], 0, 3);
    seen[y[i]]++;
  }
  for (int i = 0; i < 4; i++) assert_true(seen[i] > 0);
}

static void numbers_of_integers(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "run %s --weights random --entry pick --in table=-7 --in flag=1 --out y=y.npz", TINY);
  const int32_t *y = read_tensor(w, "y.npz", "y")->data;
  for (int i = 0; i < 3; i++) assert_int_equal(y[i], -13);
  expect_error(w, 2, "`2.5` is no source of a tensor: `table` is i32",
               "run %s --weights random --entry pick --in table=2.5 --in flag=1", TINY);
  expect_error(w, 2, "`2` is no source of a tensor: `flag` is bool",
               "run %s --weights random --entry pick --in table=1 --in flag=2", TINY);
  expect_error(w, 2, "`3000000000` is no source",
               "run %s --weights random --entry pick --in table=3000000000 --in flag=0", TINY);
}

static void an_optional_input_takes_its_default(void **state) {
  workplace *w = *state;
  static const char line[] = "run %s --weights random --in x=iota %s --out total=%s";
  expect_status(w, 0, line, TINY, "--json", "a.npy");
  expect_status(w, 0, line, TINY, "--in scale=2", "b.npy");
  expect_status(w, 0, line, TINY, "--in scale=4", "c.npy");
  const float *a = read_tensor(w, "a.npy", NULL)->data, *b = read_tensor(w, "b.npy", NULL)->data,
              *c = read_tensor(w, "c.npy", NULL)->data;
  assert_true(a[0] == b[0] && a[0] != 0);
  assert_true(fabsf(c[0] - 2 * a[0]) < 1e-4f * fabsf(c[0]));
}

// -- images --

static const uint8_t colours[2 * 2 * 3] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 51, 102, 153};

static void images_are_laid_out(void **state) {
  workplace *w = *state;
  write_image(w, "c.png", 2, 2, 3, colours);
  expect_status(w, 0, "run %s --entry nchw --in image=c.png --out y=a.npy", IMAGES);
  expect_status(w, 0, "run %s --entry nhwc --in image=c.png:mean=0.5,std=0.25/0.5/1 --out y=b.npy", IMAGES);
  expect_status(w, 0, "run %s --entry bytes --in image=c.png --out y=c.npy", IMAGES);
  const float *a = floats(read_tensor(w, "a.npy", NULL), 4, (int64_t[]){1, 3, 2, 2});
  const float *b = floats(read_tensor(w, "b.npy", NULL), 4, (int64_t[]){1, 2, 2, 3}), std[] = {0.25f, 0.5f, 1};
  assert_memory_equal(read_tensor(w, "c.npy", NULL)->data, colours, sizeof colours);
  for (int p = 0; p < 4; p++)
    for (int k = 0; k < 3; k++) {
      float v = (float)colours[3 * p + k] / 255.0f;
      assert_true(a[4 * k + p] == v);
      assert_true(fabsf(b[3 * p + k] - (v - 0.5f) / std[k]) < 1e-6f);
    }
}

static void colour_and_grey(void **state) {
  workplace *w = *state;
  static const uint8_t grey[] = {0, 51, 255};
  write_image(w, "c.png", 2, 2, 3, colours);
  write_image(w, "g.png", 1, 3, 1, grey);
  expect_status(w, 0, "run %s --entry grey --in image=c.png --out y=a.npy", IMAGES);
  expect_status(w, 0, "run %s --entry bytes --in image=g.png --out y=b.npy", IMAGES);
  expect_status(w, 0, "run %s --entry batch --in image=g.png --out y=c.npy", IMAGES);
  const float *a = floats(read_tensor(w, "a.npy", NULL), 2, (int64_t[]){2, 2}),
              *c = floats(read_tensor(w, "c.npy", NULL), 3, (int64_t[]){1, 1, 3});
  const float luma[] = {0.299f, 0.587f, 0.114f, 0.2f * 0.299f + 0.4f * 0.587f + 0.6f * 0.114f};
  for (int i = 0; i < 4; i++) assert_true(fabsf(a[i] - luma[i]) < 1e-6f);
  const uint8_t *b = read_tensor(w, "b.npy", NULL)->data;
  for (int i = 0; i < 9; i++) assert_int_equal(b[i], grey[i / 3]);
  assert_true(c[0] == 0 && c[1] == 0.2f && c[2] == 1);
}

static void images_that_do_not_fit(void **state) {
  workplace *w = *state;
  write_image(w, "c.png", 2, 2, 3, colours);
  expect_error(w, 1, "c.png does not become `image`, which is f32[width]: no layout of an image has its axes",
               "run %s --entry line --in image=c.png", IMAGES);
  expect_error(w, 1, "its dtype does not hold 0 to 255", "run %s --entry flags --in image=c.png", IMAGES);
  expect_error(w, 1, "mean and std are for floats", "run %s --entry bytes --in image=c.png:mean=1", IMAGES);
  expect_error(w, 1, "no layout of an image has its axes", "run %s --entry grey --in image=c.png:layout=nchw", IMAGES);
  expect_error(w, 2, "`size=3` is no source of a tensor: it is no option of an image",
               "run %s --entry grey --in image=c.png:size=3", IMAGES);
  expect_error(w, 2, "`mean=1/2/3/4/5` is no source", "run %s --entry nchw --in image=c.png:mean=1/2/3/4/5", IMAGES);
  expect_error(w, 1, "`image` is f32[1, 2, 2], not f32[batch, 8, 8]", "run %s --in image=c.png", DIGITS);
  write_text(w, "broken.png", "not a PNG");
  expect_error(w, 1, "broken.png: byte", "run %s --entry grey --in image=broken.png", IMAGES);
}

// -- inputs that are refused --

static void one_error_lists_every_input(void **state) {
  workplace *w = *state;
  static const float x[2 * 6 * 6];
  static const float scale[3];
  write_npy(w, "x.npy", DT_f32, 3, (int64_t[]){2, 6, 6}, x);
  write_npy(w, "s.npy", DT_f32, 1, (int64_t[]){3}, scale);
  nnc_run_result r = expect_status(w, 1, "run %s --weights random --in xx=1 --in scale=s.npy --in scale=s.npy", TINY);
  assert_has(r.err, "error: the inputs do not fit entry `forward`\n");
  assert_has(r.err, "= `xx` is no input; did you mean `x`?\n");
  assert_has(r.err, "= `scale` is given twice\n");
  assert_has(r.err, "= `x` is missing\n");
  assert_has(r.err, "= input x: f32[batch, time, 6]\n");
  assert_has(r.err, "= input scale: f32[batch], optional\n");
  assert_has(r.err, "= dim time: 4..32 step 4\n");
  r = expect_status(w, 1, "run %s --weights random --in x=x.npy --in scale=s.npy", TINY);
  assert_has(r.err, "`scale` is f32[3]: `batch` is 2 by input `x`");
  assert_has(r.err, "`time` is 6 by input `x`; its range is 4..32 step 4");
  r = expect_status(w, 1, "run %s --weights random --in x=s.npy", TINY);
  assert_has(r.err, "`x` is f32[3], not f32[batch, time, 6]");
  r = expect_status(w, 1, "run %s --weights random --entry pick --in table=x.npy --in flag=0", TINY);
  assert_has(r.err, "`table` is f32[2, 6, 6], not i32[batch, 3]");
}

static void dims_that_are_refused(void **state) {
  workplace *w = *state;
  expect_status(w, 0, "compile %s --weights random -o tiny.so", TINY);
  expect_error(w, 1, "dim `time` is 6", "run tiny.so --in x=0 --dim time=6");
  expect_error(w, 1, "there is no dim `tim`", "run tiny.so --in x=0 --dim tim=8");
  expect_error(w, 2, "`--dim` does not take `time=x`", "run tiny.so --in x=0 --dim time=x");
  nnc_run_result r = nnc_command(w, "run %s --weights random --in x=0 --dim time=6", TINY);
  assert_true(r.status == 1 && r.out[0] == 0);
  r = nnc_command(w, "run %s --weights random --in x=0 --dim tim=8", TINY);
  assert_true(r.status == 1 && r.out[0] == 0);
}

static void sources_that_are_refused(void **state) {
  workplace *w = *state;
  static const char line[] = "run %s --weights random --in x=%s";
  expect_error(w, 2, "`x.txt` is no source of a tensor", line, TINY, "x.txt");
  expect_error(w, 2, "`random:x` is no source of a tensor: the seed is a whole number", line, TINY, "random:x");
  expect_error(w, 3, "cannot open absent.npy", line, TINY, "absent.npy");
  write_text(w, "short.npy", "\x93NUMPY");
  expect_error(w, 1, "short.npy: byte", line, TINY, "short.npy");
  expect_error(w, 1, " has no tensor `nope`", line, TINY, EXPECTED ":nope");
  expect_error(w, 1, "name one", line, TINY, EXPECTED);
  expect_error(w, 1, "the model has no entry `forwards`\n      = did you mean `forward`?",
               "run %s --weights random --entry forwards", TINY);
}

// Values that are wrong are known only while running: run_failed, with the line that reads them.
static void values_that_are_refused(void **state) {
  workplace *w = *state;
  write_text(
      w, "rows.yaml",
      "nnc: 1\nname: rows\ninputs:\n  x: f32[4, 2]\n  row: i32[3]\nsteps:\n- y: take(x, row)\noutputs:\n  y: y\n");
  expect_status(w, 0, "run rows.yaml --in x=iota --in row=3 --out y=y.npy");
  const float *y = floats(read_tensor(w, "y.npy", NULL), 2, (int64_t[]){3, 2});
  assert_true(y[0] == 6 && y[5] == 7);
  expect_error(w, 1, "line 7: index out of range", "run rows.yaml --in x=iota --in row=4");
  expect_error(w, 1, "line 7: index out of range", "run rows.yaml --in x=iota --in row=-5 --out y=none.npy");
  assert_int_not_equal(access(in_folder(w, "none.npy"), F_OK), 0);
  write_text(w, "puts.yaml",
             "nnc: 1\nname: puts\ninputs:\n  x: f32[4, 2]\n  at: i32[1, 2]\nsteps:\n- y: scatter_add(x, at, 10.0, "
             "0)\noutputs:\n  y: y\n");
  expect_status(w, 0, "run puts.yaml --in x=iota --in at=3 --out y=y.npy");
  y = floats(read_tensor(w, "y.npy", NULL), 2, (int64_t[]){4, 2});
  assert_true(y[5] == 5 && y[6] == 16 && y[7] == 17);
  expect_error(w, 1, "line 7: index out of range", "run puts.yaml --in x=iota --in at=4");
  expect_error(w, 1, "line 7: index out of range", "run puts.yaml --in x=iota --in at=-1");
}

// -- destinations --

static void outputs_share_a_file(void **state) {
  workplace *w = *state;
  static const char line[] = "run %s --weights random:1 --in x=iota --dim batch=2 --out y=%s --out total=%s";
  expect_status(w, 0, line, TINY, "o.npz", "o.npz");
  expect_status(w, 0, line, TINY, "o.safetensors", "o.safetensors");
  const char *const files[] = {"o.npz", "o.safetensors"};
  for (int k = 0; k < 2; k++) {
    const float *y = floats(read_tensor(w, files[k], "y"), 3, (int64_t[]){2, 4, 8}),
                *total = floats(read_tensor(w, files[k], "total"), 1, (int64_t[]){2});
    for (int b = 0; b < 2; b++) {
      double sum = 0;
      for (int i = 0; i < 32; i++) sum += (double)y[32 * b + i];
      assert_true(fabs(sum - (double)total[b]) < 1e-3);
    }
  }
}

static void outputs_as_text(void **state) {
  workplace *w = *state;
  const char *text =
      expect_status(w, 0, "run %s --entry grey --in image=iota --dim height=2 --dim width=3", IMAGES).out;
  assert_string_equal(text,
                      "y f32[2, 3]\n[[          0          1          2]\n [          3          4          5]]\n");
  assert_string_equal(
      expect_status(w, 0, "run %s --entry grey --in image=iota --dim height=2 --dim width=3 --out y=-", IMAGES).out,
      text);
  text = expect_status(w, 0, "run %s --entry grey --in image=iota --dim height=20 --dim width=20", IMAGES).out;
  assert_has(text, "[[          0          1          2  ...         17         18         19]\n");
  assert_has(text, "\n ...\n");
  assert_not(text, " 200 ");
}

static void outputs_as_statistics(void **state) {
  workplace *w = *state;
  const json_t *o = parse_json(
      w, expect_status(w, 0, "run %s --entry grey --in image=iota --dim height=2 --dim width=3 --json", IMAGES).out);
  assert_true(json_number_value(json_object_get(o, "run_ms")) > 0);
  o = json_array_get(json_object_get(o, "outputs"), 0);
  assert_string_equal(json_string_value(json_object_get(o, "name")), "y");
  assert_string_equal(json_string_value(json_object_get(o, "dtype")), "f32");
  assert_int_equal(json_integer_value(json_array_get(json_object_get(o, "shape"), 1)), 3);
  assert_true(json_number_value(json_object_get(o, "min")) == 0 && json_number_value(json_object_get(o, "max")) == 5);
  assert_true(json_number_value(json_object_get(o, "mean")) == 2.5 &&
              json_integer_value(json_object_get(o, "nan")) == 0);
}

// A batch becomes a grid, nearly square; places without a picture are black.
static void outputs_as_images(void **state) {
  workplace *w = *state;
  static const float four[4][2] = {{0, 0.2f}, {0.4f, 0.6f}, {0.8f, 2}, {-1, 1}};
  static const uint8_t grid[] = {0, 51, 102, 153, 204, 255, 0, 255};
  write_npy(w, "four.npy", DT_f32, 3, (int64_t[]){4, 1, 2}, four);
  expect_status(w, 0, "run %s --entry batch --in image=four.npy --out y=y.png", IMAGES);
  const ir_tensor *t = png_read(w->a, &w->l, in_folder(w, "y.png"), DT_u8);
  assert_true(t && t->dim[0] == 2 && t->dim[1] == 4 && t->dim[2] == 1);
  assert_memory_equal(t->data, grid, sizeof grid);

  static const float three[3][3] = {{0, 0.2f, 0.4f}, {0.6f, 0.8f, 1}, {1, 0, 1}}; // one pixel each
  static const uint8_t colour_grid[] = {0, 51, 102, 153, 204, 255, 255, 0, 255, 0, 0, 0};
  write_npy(w, "three.npy", DT_f32, 4, (int64_t[]){3, 3, 1, 1}, three);
  expect_status(w, 0, "run %s --entry nchw --in image=three.npy --out y=y.png", IMAGES);
  t = png_read(w->a, &w->l, in_folder(w, "y.png"), DT_u8);
  assert_true(t && t->dim[0] == 2 && t->dim[1] == 2 && t->dim[2] == 3);
  assert_memory_equal(t->data, colour_grid, sizeof colour_grid);

  write_image(w, "c.png", 2, 2, 3, colours);
  expect_status(w, 0, "run %s --entry nhwc --in image=c.png --out y=again.png", IMAGES);
  t = png_read(w->a, &w->l, in_folder(w, "again.png"), DT_u8);
  assert_non_null(t);
  assert_memory_equal(t->data, colours, sizeof colours);
}

static void destinations_that_are_refused(void **state) {
  workplace *w = *state;
  static const char line[] = "run %s --weights random --in x=0 --out %s";
  expect_error(w, 1, "entry `forward` has no output `totl`\n      = did you mean `total`?", line, TINY, "totl=a.npy");
  expect_error(w, 2, "`a.txt` is no place for a tensor", line, TINY, "y=a.txt");
  expect_error(w, 2, "`a.png` is no place for a tensor: `total` is f32[batch]", line, TINY, "total=a.png");
  expect_error(w, 2, "it holds one tensor, and two outputs go there", line, TINY, "y=a.npy --out total=a.npy");
  expect_error(w, 2, "standard output holds the JSON text", line, TINY, "y=- --json");
  expect_error(w, 3, "cannot write", line, TINY, "y=absent/a.npy");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_stored_outputs_of_digits),
      cmocka_unit_test(an_image_of_a_digit),
      cmocka_unit_test(the_same_bits_everywhere),
      cmocka_unit_test(threads_on_named_cpus),
      cmocka_unit_test(sources_that_fill),
      cmocka_unit_test(random_is_normal_and_repeats),
      cmocka_unit_test(integers_are_random_bits),
      cmocka_unit_test(numbers_of_integers),
      cmocka_unit_test(an_optional_input_takes_its_default),
      cmocka_unit_test(images_are_laid_out),
      cmocka_unit_test(colour_and_grey),
      cmocka_unit_test(images_that_do_not_fit),
      cmocka_unit_test(one_error_lists_every_input),
      cmocka_unit_test(dims_that_are_refused),
      cmocka_unit_test(sources_that_are_refused),
      cmocka_unit_test(values_that_are_refused),
      cmocka_unit_test(outputs_share_a_file),
      cmocka_unit_test(outputs_as_text),
      cmocka_unit_test(outputs_as_statistics),
      cmocka_unit_test(outputs_as_images),
      cmocka_unit_test(destinations_that_are_refused),
  };
  return cmocka_run_group_tests(tests, workplace_open, workplace_close);
}
