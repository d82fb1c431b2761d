/* Reading the images of models/vision/digits: a PNG of 8x8 grey pixels, and the held-out set. For the example programs;
 * the held-out reader knows its one file (a safetensors file: header length, JSON header, data) and nothing more. */
#ifndef DIGIT_FILES_H
#define DIGIT_FILES_H

#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10 };

/* Grey levels 0 to 1 into image[64]; 0 when the file is no 8x8 PNG. */
static int read_digit(const char *path, float *image) {
  png_image png = {.version = PNG_IMAGE_VERSION};
  unsigned char grey[PIXELS];
  if (!png_image_begin_read_from_file(&png, path)) return 0;
  png.format = PNG_FORMAT_GRAY;
  int ok = png.width == SIDE && png.height == SIDE && png_image_finish_read(&png, NULL, grey, 0, NULL);
  png_image_free(&png);
  for (int i = 0; ok && i < PIXELS; i++) image[i] = (float)grey[i] / 255.0f;
  return ok;
}

typedef struct heldout {
  size_t n;
  unsigned char *images; /* [n][64], ink 0 to 16 */
  int32_t *labels;       /* [n] */
} heldout;

static size_t data_offset(const char *header, const char *name, size_t *end) {
  const char *at = strstr(header, name);
  size_t begin = *end = 0;
  at = at ? strstr(at, "\"data_offsets\"") : NULL;
  at = at ? strchr(at, '[') : NULL;
  if (!at || sscanf(at, "[%zu,%zu]", &begin, end) != 2) return *end = 0;
  return begin;
}

static void *read_part(FILE *f, long at, size_t bytes) {
  void *p = malloc(bytes + 1);
  if (p && (fseek(f, at, SEEK_SET) || fread(p, 1, bytes, f) != bytes)) free(p), p = NULL;
  return p;
}

/* 0 when the file is not what it should be; else free images and labels. */
static int read_heldout(const char *path, heldout *out) {
  FILE *f = fopen(path, "rb");
  uint64_t header_bytes = 0;
  char *header = NULL;
  memset(out, 0, sizeof *out);
  if (f && fread(&header_bytes, sizeof header_bytes, 1, f) == 1 && header_bytes < 1 << 20)
    header = read_part(f, 8, (size_t)header_bytes);
  if (header) {
    header[header_bytes] = 0;
    size_t images_end, labels_end, images = data_offset(header, "\"images\"", &images_end),
                                   labels = data_offset(header, "\"labels\"", &labels_end);
    long data = 8 + (long)header_bytes;
    out->n = (images_end - images) / PIXELS;
    if (out->n && labels_end - labels == out->n * sizeof *out->labels) {
      out->images = read_part(f, data + (long)images, out->n * PIXELS);
      out->labels = read_part(f, data + (long)labels, out->n * sizeof *out->labels);
    }
  }
  free(header);
  if (f) fclose(f);
  return out->images && out->labels;
}

#endif
