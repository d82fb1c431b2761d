// An image as an input: channels made to fit, laid out, scaled.
//
// Grey or colour from 0 to 1 for float inputs, then (x - mean) / std by channel; 0 to 255 for integers. A colour image
// becomes grey by luma (ITU-R BT.601), a grey one colour by repetition; alpha is kept only where the input has it. The
// size is never changed: an image of another size does not fit.
#include "frontend/image.h"
#include "tools/nnc/source.h"

#include <math.h>
#include <string.h>

typedef struct image_options {
  double mean[4], std[4];
  bool scaled; // mean or std was given
  const char *layout;
} image_options;

static bool misfit(cli *c, const char *path, const sig_tensor *input, const char *why) {
  diag_at(&c->diags, NO_SPAN, cli_image, path, input->name, sig_type_text(c->a, input), why);
  return false;
}

// "0.485/0.456/0.406": one number for all channels, or one each.
static bool read_numbers(str text, double *out) {
  size_t n = 0;
  for (;;) {
    const char *slash = memchr(text.p, '/', text.n);
    str part = {text.p, slash ? (size_t)(slash - text.p) : text.n};
    if (n == 4 || !parse_f64(part, &out[n])) return false;
    n++;
    if (!slash) break;
    text = (str){slash + 1, text.n - part.n - 1};
  }
  for (size_t i = n; i < 4; i++) out[i] = out[n - 1];
  return true;
}

static bool read_options(cli *c, const char *path, str text, const sig_tensor *input, image_options *o) {
  *o = (image_options){.std = {1, 1, 1, 1}};
  while (text.n) {
    const char *comma = memchr(text.p, ',', text.n);
    str part = {text.p, comma ? (size_t)(comma - text.p) : text.n};
    bool ok = false;
    if (str_starts(part, STR("mean="))) o->scaled = ok = read_numbers((str){part.p + 5, part.n - 5}, o->mean);
    else if (str_starts(part, STR("std="))) o->scaled = ok = read_numbers((str){part.p + 4, part.n - 4}, o->std);
    else if (str_starts(part, STR("layout="))) ok = (o->layout = str_dup(c->a, (str){part.p + 7, part.n - 7})) != NULL;
    if (!ok) {
      diag *d = diag_at(&c->diags, NO_SPAN, cli_source, str_dup(c->a, part), "it is no option of an image");
      diag_note_to(&c->diags, d,
                   "mean=M, std=S (one number, or one a channel: 0.485/0.456/0.406), layout=nchw|nhwc|chw|hwc|nhw|hw");
      return false;
    }
    text = comma ? (str){comma + 1, text.n - part.n - 1} : (str){"", 0};
  }
  if (o->scaled && !dtype_is_float(input->dt)) return misfit(c, path, input, "mean and std are for floats");
  return true;
}

static bool is_channels(const idx *dim) {
  int64_t n;
  return idx_is_const(dim, &n) && (n == 1 || n == 3 || n == 4);
}

// The layout that the input's type suggests: a constant axis of 1, 3 or 4 holds channels.
static const char *likely_layout(const sig_tensor *input) {
  switch (input->rank) {
  case 2: return "hw";
  case 3: return is_channels(input->dim[0]) ? "chw" : is_channels(input->dim[2]) ? "hwc" : "nhw";
  case 4: return !is_channels(input->dim[1]) && is_channels(input->dim[3]) ? "nhwc" : "nchw";
  default: return NULL;
  }
}

static bool known_layout(const char *layout) {
  static const char *const all[] = {"hw", "chw", "hwc", "nhw", "nchw", "nhwc"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i], layout) == 0) return true;
  return false;
}

// Channel `k` of `n` wanted ones, from the `have` of a pixel.
static double channel(const float *pixel, uint32_t have, uint32_t n, uint32_t k) {
  bool colour = have >= 3;
  if (k == n - 1 && (n == 2 || n == 4)) return have == 2 || have == 4 ? (double)pixel[have - 1] : 1;
  if (n >= 3) return (double)pixel[colour ? k : 0];
  return colour ? 0.299 * (double)pixel[0] + 0.587 * (double)pixel[1] + 0.114 * (double)pixel[2] : (double)pixel[0];
}

static scalar pixel_value(dtype dt, double v, const image_options *o, uint32_t k) {
  if (dtype_is_float(dt)) return scalar_f(dt, (v - o->mean[k]) / o->std[k]);
  return scalar_i(dt, (int64_t)floor(v * 255 + 0.5));
}

ir_tensor *image_for_input(cli *c, const char *path, str options, const sig_tensor *input) {
  image_options o;
  if (!read_options(c, path, options, input, &o)) return NULL;
  if (!o.layout) o.layout = likely_layout(input);
  if (!o.layout || strlen(o.layout) != input->rank || !known_layout(o.layout)) {
    misfit(c, path, input, "no layout of an image has its axes");
    return NULL;
  }
  if (input->dt == DT_bool || input->dt == DT_i8) {
    misfit(c, path, input, "its dtype does not hold 0 to 255");
    return NULL;
  }
  const ir_tensor *image = png_read(c->a, &c->diags, path, DT_f32);
  if (!image) return NULL;
  const char *at = strchr(o.layout, 'c');
  uint32_t have = (uint32_t)image->dim[2], want = at ? have : 1;
  int64_t fixed;
  if (at && idx_is_const(input->dim[at - o.layout], &fixed)) want = fixed >= 1 && fixed <= 4 ? (uint32_t)fixed : have;
  int64_t dim[4], step[3] = {0}, n = 1; // step: of h, w, c
  for (uint32_t i = input->rank; i-- > 0;) {
    char axis = o.layout[i];
    dim[i] = axis == 'n' ? 1 : axis == 'h' ? image->dim[0] : axis == 'w' ? image->dim[1] : want;
    if (axis != 'n') step[axis == 'h' ? 0 : axis == 'w' ? 1 : 2] = n;
    n *= dim[i];
  }
  ir_tensor *t = ir_tensor_new(c->a, input->dt, input->rank, dim);
  const float *pixel = image->data;
  for (int64_t y = 0; y < image->dim[0]; y++)
    for (int64_t x = 0; x < image->dim[1]; x++, pixel += have)
      for (uint32_t k = 0; k < want; k++) {
        int64_t place = y * step[0] + x * step[1] + k * step[2];
        scalar_store((char *)t->data + (size_t)place * dtype_size(t->dt),
                     pixel_value(t->dt, channel(pixel, have, want, k), &o, k));
      }
  return t;
}
