// Tensor files and images: what opens can be read whole, and reads back after it is written.
#include "frontend/image.h"
#include "frontend/safetensors.h"
#include "frontend/tensorfile.h"
#include "support.h"

#include <string.h>

static size_t bytes_of(const ir_tensor *t) { return (size_t)ir_tensor_count(t) * dtype_size(t->dt); }

static bool same(const ir_tensor *x, const ir_tensor *y) {
  bool shapes = x->dt == y->dt && x->rank == y->rank && memcmp(x->dim, y->dim, x->rank * sizeof *x->dim) == 0;
  return shapes && (bytes_of(x) == 0 || memcmp(x->data, y->data, bytes_of(x)) == 0);
}

static void safetensors(arena *a, diag_list *l, void *user) {
  st_file *f = st_open(a, l, user);
  FUZZ_CHECK((f != NULL) == (l->n_errors == 0) && l->n_errors <= 1);
  for (size_t i = 0; f && i < st_count(f); i++) {
    ir_tensor *t = st_copy(a, st_at(f, i));
    FUZZ_CHECK(bytes_of(t) == st_at(f, i)->size_bytes && st_find(f, st_at(f, i)->name) == st_at(f, i));
  }
  for (size_t i = 0; f && i < st_meta_count(f); i++) {
    const char *key, *value;
    st_meta_at(f, i, &key, &value);
    FUZZ_CHECK(st_meta(f, key) == value);
  }
}

int fuzz_safetensors(const uint8_t *data, size_t size) {
  fuzz_guarded(safetensors, (void *)(uintptr_t)fuzz_file((str){(const char *)data, size}));
  return 0;
}

static void npy(arena *a, diag_list *l, void *user) {
  ir_tensor *t = npy_parse(a, l, "x.npy", 0, *(const str *)user);
  FUZZ_CHECK((t != NULL) == (l->n_errors == 0) && l->n_errors <= 1);
  if (!t) return;
  strbuf b;
  sb_init(&b, a);
  FUZZ_CHECK(npy_print(&b, l, "x.npy", t));
  const ir_tensor *again = npy_parse(a, l, "x.npy", 0, sb_str(&b));
  FUZZ_CHECK(again && same(t, again));
}

int fuzz_npy(const uint8_t *data, size_t size) {
  str bytes = {(const char *)data, size};
  fuzz_guarded(npy, &bytes);
  return 0;
}

static void npz(arena *a, diag_list *l, void *user) {
  npz_file *z = npz_open(a, l, user);
  FUZZ_CHECK((z != NULL) == (l->n_errors == 0) && l->n_errors <= 1);
  for (size_t i = 0; z && i < npz_count(z) && i < 100; i++) {
    size_t before = l->n_errors;
    const ir_tensor *t = npz_read(z, l, npz_name(z, i));
    FUZZ_CHECK((t != NULL) == (l->n_errors == before));
  }
}

int fuzz_npz(const uint8_t *data, size_t size) {
  fuzz_guarded(npz, (void *)(uintptr_t)fuzz_file((str){(const char *)data, size}));
  return 0;
}

static void png(arena *a, diag_list *l, void *user) {
  const ir_tensor *t = png_read(a, l, user, DT_f32);
  FUZZ_CHECK((t != NULL) == (l->n_errors == 0) && l->n_errors <= 1);
  const ir_tensor *u = t ? png_read(a, l, user, DT_u8) : NULL;
  FUZZ_CHECK((t != NULL) == (u != NULL));
}

int fuzz_png(const uint8_t *data, size_t size) {
  fuzz_guarded(png, (void *)(uintptr_t)fuzz_file((str){(const char *)data, size}));
  return 0;
}
