// PNG by libpng. Its errors come back by longjmp to the setjmp below; its structures hang on a holder that the arena
// releases, so that neither an error of libpng nor an allocation that fails here leaves anything behind.
#include "frontend/image.h"

#include "base/file.h"

#include <math.h>
#include <png.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 30, MAX_PIXELS = 1 << 28, MAX_CHANNELS = 4, MAX_DEFLATE_RATIO = 1032 };

typedef struct image {
  arena *a;
  diag_list *l;
  const char *path;
  png_struct *png;
  png_info *info;
  bool writing;
  str in;         // the file being read
  size_t at;      // how much of it libpng took
  strbuf out;     // the file being written
  char error[96]; // libpng's text
  uint32_t height, width, channels;
  unsigned char *pixels; // [height, width, channels]
} image;

static void release(void *handle) {
  image *m = handle;
  if (m->png && m->writing) png_destroy_write_struct(&m->png, &m->info);
  if (m->png) png_destroy_read_struct(&m->png, &m->info, NULL);
  m->png = NULL;
}

static image *image_new(arena *a, diag_list *l, const char *path, bool writing) {
  image *m = ARENA_NEW(a, image);
  *m = (image){.a = a, .l = l, .path = path, .writing = writing};
  sb_init(&m->out, a);
  arena_defer(a, release, m);
  return m;
}

_Noreturn static void on_error(png_struct *png, const char *text) {
  image *m = png_get_error_ptr(png);
  size_t n = strlen(text);
  if (n >= sizeof m->error) n = sizeof m->error - 1;
  memcpy(m->error, text, n);
  m->error[n] = '\0';
  png_longjmp(png, 1);
}

static void on_warning(png_struct *png, const char *text) { (void)png, (void)text; }

static void take_bytes(png_struct *png, unsigned char *to, size_t n) {
  image *m = png_get_io_ptr(png);
  if (n > m->in.n - m->at) {
    m->at = m->in.n;
    png_error(png, "the file ends too early");
  }
  memcpy(to, m->in.p + m->at, n);
  m->at += n;
}

// -- reading --

// Asks libpng for 8-bit grey or RGB, with or without alpha.
static void normalise(image *m) {
  uint64_t packed = (uint64_t)png_get_rowbytes(m->png, m->info) * png_get_image_height(m->png, m->info);
  if (packed / MAX_DEFLATE_RATIO > m->in.n) png_error(m->png, "it is too small for the pixels it is said to have");
  png_set_expand(m->png);
  png_set_scale_16(m->png);
  png_set_interlace_handling(m->png);
  png_read_update_info(m->png, m->info);
  m->width = png_get_image_width(m->png, m->info);
  m->height = png_get_image_height(m->png, m->info);
  m->channels = png_get_channels(m->png, m->info);
  if (png_get_bit_depth(m->png, m->info) != 8 || m->channels < 1 || m->channels > MAX_CHANNELS)
    png_error(m->png, "its pixels do not become 8-bit grey or RGB");
  if ((uint64_t)m->width * m->height > MAX_PIXELS) png_error(m->png, "it has more than 2^28 pixels");
}

// Up to where the pixels can be allocated; false after an error of libpng.
static bool read_header(image *m) {
  if (setjmp(png_jmpbuf(m->png))) return false;
  png_set_crc_action(m->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_read_fn(m->png, m, take_bytes);
  png_read_info(m->png, m->info);
  normalise(m);
  return true;
}

static bool read_pixels(image *m) {
  unsigned char **rows = ARENA_ARRAY(m->a, unsigned char *, m->height);
  size_t row = (size_t)m->width * m->channels;
  m->pixels = arena_array(m->a, m->height, row);
  for (uint32_t y = 0; y < m->height; y++) rows[y] = m->pixels + y * row;
  if (setjmp(png_jmpbuf(m->png))) return false;
  png_read_image(m->png, rows);
  png_read_end(m->png, NULL);
  return true;
}

static ir_tensor *to_tensor(image *m, dtype dt) {
  ir_tensor *t = ir_tensor_new(m->a, dt, 3, (const int64_t[]){m->height, m->width, m->channels});
  size_t n = (size_t)ir_tensor_count(t);
  if (dt == DT_u8) memcpy(t->data, m->pixels, n);
  else
    for (size_t i = 0; i < n; i++) ((float *)t->data)[i] = (float)m->pixels[i] / 255.0f;
  return t;
}

ir_tensor *png_read(arena *a, diag_list *l, const char *path, dtype dt) {
  image *m = image_new(a, l, path, false);
  if (!file_read(a, l, path, MAX_FILE_BYTES, &m->in)) return NULL;
  m->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, m, on_error, on_warning);
  if (m->png) m->info = png_create_info_struct(m->png);
  bool ok = m->info && read_header(m) && read_pixels(m);
  release(m);
  if (ok) return to_tensor(m, dt);
  const char *why = m->info || m->error[0] ? m->error : "libpng cannot start";
  diag_at(l, NO_SPAN, tensor_file_format, path, (unsigned long long)m->at, "png", why);
  return NULL;
}

// -- writing --

// libpng's rows reach the buffer only through its own copy, so that no arena call stands between its setjmp and its
// end.
typedef struct chunk {
  unsigned char *room; // holds any file of this size
  size_t n, size;
} chunk;

static void put_bytes(png_struct *png, unsigned char *from, size_t n) {
  chunk *c = png_get_io_ptr(png);
  if (n > c->size - c->n) png_error(png, "the file outgrows its bound");
  memcpy(c->room + c->n, from, n);
  c->n += n;
}

static void flush_nothing(png_struct *png) { (void)png; }

static bool write_pixels(image *m, chunk *c, unsigned char **rows) {
  static const int kinds[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                              PNG_COLOR_TYPE_RGB_ALPHA};
  if (setjmp(png_jmpbuf(m->png))) return false;
  png_set_write_fn(m->png, c, put_bytes, flush_nothing);
  png_set_IHDR(m->png, m->info, m->width, m->height, 8, kinds[m->channels], PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
  png_write_info(m->png, m->info);
  png_write_image(m->png, rows);
  png_write_end(m->png, m->info);
  return true;
}

static unsigned char byte_of(double v) { return (unsigned char)(v >= 1 ? 255 : v > 0 ? rint(v * 255) : 0); }

static bool refuse(diag_list *l, const char *path, const char *why) {
  diag_at(l, NO_SPAN, file_write, path, why);
  return false;
}

bool png_write(arena *a, diag_list *l, const char *path, const ir_tensor *t) {
  bool shape_ok = t->rank == 3 && t->dim[0] > 0 && t->dim[1] > 0 && t->dim[2] >= 1 && t->dim[2] <= MAX_CHANNELS;
  if (!shape_ok || (t->dt != DT_u8 && t->dt != DT_f32))
    return refuse(l, path, "a PNG is made from u8 or f32 [height, width, 1 to 4 channels]");
  if (t->dim[0] > MAX_PIXELS || t->dim[1] > MAX_PIXELS || t->dim[0] * t->dim[1] > MAX_PIXELS)
    return refuse(l, path, "it has more than 2^28 pixels");
  image *m = image_new(a, l, path, true);
  m->height = (uint32_t)t->dim[0], m->width = (uint32_t)t->dim[1], m->channels = (uint32_t)t->dim[2];
  size_t row = (size_t)m->width * m->channels, n = row * m->height;
  m->pixels = arena_alloc(a, n);
  for (size_t i = 0; i < n; i++)
    m->pixels[i] = t->dt == DT_u8 ? ((const unsigned char *)t->data)[i] : byte_of((double)((const float *)t->data)[i]);
  unsigned char **rows = ARENA_ARRAY(a, unsigned char *, m->height);
  for (uint32_t y = 0; y < m->height; y++) rows[y] = m->pixels + y * row;
  chunk c = {.size = 4096 + (n + m->height) * 2};
  c.room = arena_alloc(a, c.size);
  m->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, m, on_error, on_warning);
  if (m->png) m->info = png_create_info_struct(m->png);
  bool ok = m->info && write_pixels(m, &c, rows);
  release(m);
  if (!ok) return refuse(l, path, m->error[0] ? m->error : "libpng cannot start");
  return file_write(a, l, path, (str){(const char *)c.room, c.n}, 0644);
}
