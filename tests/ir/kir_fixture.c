#include "kir_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/file.h"

int kir_setup(void **state) {
  kir_fixture *f = calloc(1, sizeof *f);
  if (f == NULL) return -1;
  f->a = arena_new(NULL);
  diag_init(&f->l, f->a);
  *state = f;
  return 0;
}

int kir_teardown(void **state) {
  kir_fixture *f = *state;
  arena_free(f->a);
  free(f);
  return 0;
}

kir_kernel *kir_from(kir_fixture *f, const char *text) {
  return kir_parse(f->a, &f->l, diag_add_file(&f->l, "k.kir", str_of(text)));
}

kir_kernel *kir_from_file(kir_fixture *f, const char *name) {
  const char *path = str_fmt(f->a, "%s/tests/ir/kernels/%s.kir", NNC_SOURCE_DIR, name);
  str text;
  if (!file_read(f->a, &f->l, path, 1 << 20, &text)) fail_msg("cannot read %s", path);
  kir_kernel *k = kir_parse(f->a, &f->l, diag_add_file(&f->l, path, text));
  if (k == NULL || !kir_verify(k, &f->l)) fail_msg("%s", kir_messages(f));
  return k;
}

const char *kir_text(kir_fixture *f, const kir_kernel *k) {
  strbuf b;
  sb_init(&b, f->a);
  kir_print(&b, k);
  return sb_cstr(&b);
}

const char *kir_messages(kir_fixture *f) {
  strbuf b;
  sb_init(&b, f->a);
  diag_render_all(&f->l, false, &b);
  return sb_cstr(&b);
}

bool kir_reported(const kir_fixture *f, diag_id id) {
  for (size_t i = 0; i < f->l.items.n; i++) {
    if (f->l.items.at[i]->id == id) return true;
  }
  return false;
}

float kir_random(uint64_t *seed) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return (float)((double)(*seed >> 40) * 0x1p-23 - 1);
}
