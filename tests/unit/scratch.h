// A test's own folder, arena and diagnostics list; removed and freed by its teardown.
#ifndef NNC_TESTS_SCRATCH_H
#define NNC_TESTS_SCRATCH_H

#include "base/diag.h"

typedef struct scratch {
  char folder[32];
  arena *a;
  diag_list l;
} scratch;

int scratch_open(void **state); // for cmocka's setup: *state becomes a scratch *
int scratch_close(void **state);

const char *scratch_path(scratch *s, const char *name);            // in the folder
const char *scratch_file(scratch *s, const char *name, str bytes); // writes it; its path
const char *scratch_data(scratch *s, const char *name);            // tests/data/<name>
str scratch_bytes(scratch *s, const char *path);                   // a file's content
// Exactly one diagnostic was added, with this id and this text in it; the list is emptied.
void scratch_expect(scratch *s, diag_id id, const char *part);
void scratch_expect_none(scratch *s);

#endif
