#include "scratch.h"

#include "base/file.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int scratch_open(void **state) {
  scratch *s = calloc(1, sizeof *s);
  if (!s) return -1;
  strcpy(s->folder, "/tmp/nnc-test-XXXXXX");
  if (!mkdtemp(s->folder)) return -1;
  s->a = arena_new(NULL);
  diag_init(&s->l, s->a);
  *state = s;
  return 0;
}

int scratch_close(void **state) {
  scratch *s = *state;
  char command[64];
  snprintf(command, sizeof command, "rm -rf '%s'", s->folder);
  int rc = system(command);
  arena_free(s->a);
  free(s);
  return rc;
}

const char *scratch_path(scratch *s, const char *name) { return str_fmt(s->a, "%s/%s", s->folder, name); }

const char *scratch_file(scratch *s, const char *name, str bytes) {
  const char *path = scratch_path(s, name);
  FILE *f = fopen(path, "wb"); // not file_write: tests write thousands, and need none on the disk
  assert_non_null(f);
  assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
  assert_int_equal(fclose(f), 0);
  return path;
}

const char *scratch_data(scratch *s, const char *name) {
  return str_fmt(s->a, "%s/tests/data/%s", NNC_SOURCE_DIR, name);
}

str scratch_bytes(scratch *s, const char *path) {
  str bytes;
  assert_true(file_read(s->a, &s->l, path, 1 << 20, &bytes));
  return bytes;
}

void scratch_expect(scratch *s, diag_id id, const char *part) {
  if (s->l.items.n != 1) fail_msg("%zu diagnostics instead of one with `%s`", s->l.items.n, part);
  const diag *d = s->l.items.at[0];
  if (d->id != id || !strstr(d->text, part)) fail_msg("no `%s` (%s) in: %s", part, diag_name(id), d->text);
  diag_init(&s->l, s->a);
}

void scratch_expect_none(scratch *s) {
  if (s->l.items.n > 0) fail_msg("unexpected: %s", s->l.items.at[0]->text);
}
