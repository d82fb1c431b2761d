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
  bool on_disk; // read from the file of that name
} diag_file;

typedef struct diag {
  diag_id id;
  diag_severity severity;
  diag_span span;
  const char *text;        // formatted, without place: one line, no control characters, cut after some 8 KB
  VEC(const char *) notes; // each printed as a line "= ..."
} diag;

typedef struct diag_list {
  arena *a;
  VEC(diag_file) files; // files.at[span.file - 1]
  VEC(diag *) items;
  size_t n_errors;  // all of them, kept or not
  size_t n_dropped; // errors not kept
  size_t limit;     // errors kept; 0 = 20. An internal error is always kept
  void (*sink)(void *user, const struct diag_list *l, const diag *d); // optional; see diag_flush
  void *sink_user;
  size_t n_flushed; // items the sink has seen
  diag *scratch;    // stands for what was dropped
  diag_span here;   // what is being worked on: the place of a message whose room knows none (index expressions)
} diag_list;

void diag_init(diag_list *l, arena *a);
uint32_t diag_add_file(diag_list *l, const char *name, str text);      // name and text are borrowed for the list's life
uint32_t diag_add_disk_file(diag_list *l, const char *path, str text); // the same for what was read from `path`
// Adds a message; returns it, so that notes can be attached. Never NULL (dropped ones get a scratch diag).
// Called through diag_at, which checks the arguments against the row's format when compiled.
diag *diag_report(diag_list *l, diag_span at, diag_id id, ...);
void diag_note_to(diag_list *l, diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool diag_failed(const diag_list *l); // any error so far

// Use as: diag_at(l, span, unknown_name, "x"). The row's name comes first in the variable part, so that a message
// without arguments is still standard C; the branch never taken is where the compiler sees format and arguments.
#define diag_at(l, span, ...)                                                                                          \
  (1 ? diag_report((l), (span), DIAG_ID_##__VA_ARGS__) : diag_check_arguments(DIAG_FORMAT_##__VA_ARGS__))

#define D(id, severity, format) static const char DIAG_FORMAT_##id[] __attribute__((unused)) = format;
#include "base/diag.def"
#undef D
__attribute__((format(printf, 1, 2))) static inline diag *diag_check_arguments(const char *format, ...) {
  (void)format;
  return 0;
}

// Hands the items that the sink has not seen to it, in order. Without a sink nothing happens.
void diag_flush(diag_list *l);

const char *diag_name(diag_id id); // "unknown_name"
// Where a span begins: line and column from 1; *file NULL and zeros if nowhere. A place past the end is the end.
void diag_position(const diag_list *l, diag_span at, const char **file, uint32_t *line, uint32_t *column);
// The four-line form above. A span over several lines is underlined to the end of its first; tabs stay tabs in the
// caret line; control characters and broken UTF-8 are shown as '?'; of a very long line the part around the span.
void diag_render(const diag_list *l, const diag *d, bool colour, strbuf *out);
void diag_render_all(const diag_list *l, bool colour, strbuf *out); // all items, then how many errors were dropped

// An internal check: aborts in debug builds with the message; in release records DIAG_ID_internal and unwinds the
// arena's guard with code 2 (arena_alloc failure unwinds with code 1).
_Noreturn void base_bug(diag_list *l, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define BUG_IF(l, cond, ...)                                                                                           \
  do {                                                                                                                 \
    if (cond) base_bug((l), __FILE__, __LINE__, __VA_ARGS__);                                                          \
  } while (0)

#endif
