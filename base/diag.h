// Diagnostics: what went wrong, where, which two facts clash, and what to write instead.
//
// Every message is a row of `base/diag.def` (id, severity, printf format). A diagnostic is collected in a
// `diag_list` together with its span and its notes ("did you mean ..."), and rendered by `diag_render`:
//
//   m.yaml:11:19: error: unknown name `hiden_size`
//      11 | - y@fc: linear(x, hiden_size)
//         |                   ^~~~~~~~~~
//         = did you mean `hidden_size`?
//
// The library never prints: a caller reads the list or installs a sink. At most `limit` (20) errors are kept; the
// rest are counted. Columns count characters (UTF-8 code points), from 1.
#ifndef NNC_BASE_DIAG_H
#define NNC_BASE_DIAG_H

#include "base/str.h"
#include "base/vec.h"

typedef enum diag_severity { DIAG_note, DIAG_warning, DIAG_error } diag_severity;

typedef enum diag_id {
#define D(id, severity, format) DIAG_ID_##id,
#include "base/diag.def"
#undef D
  DIAG_COUNT
} diag_id;

// A piece of a source file: bytes [begin, end) of file `file` (an index into the list's files, from 1; 0 = nowhere).
typedef struct diag_span {
  uint32_t file, begin, end;
} diag_span;

#define NO_SPAN ((diag_span){0, 0, 0})

typedef struct diag_file {
  const char *name; // as the user wrote it
  str text;
} diag_file;

typedef struct diag {
  diag_id id;
  diag_severity severity;
  diag_span span;
  const char *text;        // formatted, without place
  VEC(const char *) notes; // each printed as a line "= ..."
} diag;

typedef struct diag_list {
  arena *a;
  VEC(diag_file) files; // files.at[span.file - 1]
  VEC(diag *) items;
  size_t n_errors, n_dropped;
  size_t limit; // errors kept; 0 = 20
  void (*sink)(void *user, const struct diag_list *l, const diag *d); // optional; called by diag_flush for each item, in order
  void *sink_user;
} diag_list;

void diag_init(diag_list *l, arena *a);
uint32_t diag_add_file(diag_list *l, const char *name, str text); // name and text are borrowed for the list's life
// Adds a message; returns it, so that notes can be attached. Never NULL (dropped ones get a scratch diag).
diag *diag_report(diag_list *l, diag_id id, diag_span at, ...);
void diag_note_to(diag_list *l, diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool diag_failed(const diag_list *l); // any error so far

// Use as: diag_at(l, span, unknown_name, "x")
#define diag_at(l, span, id, ...) diag_report((l), DIAG_ID_##id, (span)__VA_OPT__(, ) __VA_ARGS__)

const char *diag_name(diag_id id); // "unknown_name"
void diag_position(const diag_list *l, diag_span at, const char **file, uint32_t *line, uint32_t *column); // line, column from 1; 0 if nowhere
void diag_render(const diag_list *l, const diag *d, bool colour, strbuf *out); // the four-line form above
void diag_render_all(const diag_list *l, bool colour, strbuf *out);

// An internal check: aborts in debug builds with the message; in release records DIAG_ID_internal and unwinds the
// arena's guard with code 2 (arena_alloc failure unwinds with code 1).
_Noreturn void base_bug(diag_list *l, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
#define BUG_IF(l, cond, ...)                                                                                           \
  do {                                                                                                                 \
    if (cond) base_bug((l), __FILE__, __LINE__, __VA_ARGS__);                                                          \
  } while (0)

#endif
