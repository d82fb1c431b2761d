// The built `nnc` as a child process: arguments in, texts and exit status out.
#ifndef NNC_TESTS_CLI_SPAWN_H
#define NNC_TESTS_CLI_SPAWN_H

#include "ir/graph.h"

#include <jansson.h>
#include <stdio.h>

#define NNC_BINARY NNC_BINARY_DIR "/nnc"
#define DIGITS     NNC_SOURCE_DIR "/models/vision/digits.yaml"
#define TINY       NNC_SOURCE_DIR "/tests/cli/tiny.yaml"

typedef struct nnc_run_result {
  char *out, *err; // what it printed; in the workplace's arena
  int status;      // exit status; -1 when a signal ended it
} nnc_run_result;

// A folder of the test's own, in which every child runs, and an arena; *state of cmocka.
typedef struct workplace {
  char folder[512];
  const char *program;   // what runs; NNC_BINARY unless a test sets another
  const char *path;      // PATH of the child; NULL: as it is
  const char *libraries; // LD_LIBRARY_PATH of the child; NULL: none
  arena *a;
  diag_list l;
} workplace;

int workplace_open(void **state);
int workplace_close(void **state);

// Runs nnc with the words of `line`, split at blanks (`%s` and the like are filled in).
nnc_run_result nnc_command(workplace *w, const char *line, ...) __attribute__((format(printf, 2, 3)));
// The same, and the exit status must be this; what was printed is shown when it is not.
nnc_run_result expect_status(workplace *w, int status, const char *line, ...) __attribute__((format(printf, 3, 4)));
// A failing command: this status, nothing on standard output, and `message` on standard error.
void expect_error(workplace *w, int status, const char *message, const char *line, ...)
    __attribute__((format(printf, 4, 5)));

const char *in_folder(workplace *w, const char *name);
void write_text(workplace *w, const char *name, const char *text);
ir_tensor *read_tensor(workplace *w, const char *name, const char *key);
json_t *parse_json(workplace *w, const char *text); // released with the workplace
void assert_has(const char *text, const char *part);
void assert_not(const char *text, const char *part);

#endif
