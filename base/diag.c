// Diagnostics: collecting messages, finding their place, and the internal check.
//
// Texts come from the rows of base/diag.def; everything lives in the list's arena. Rendering is in diag_render.c.
#include "base/diag.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_LIMIT = 20, MAX_TEXT = 8192 };

static const diag_severity severities[] = {
#define D(id, severity, format) [DIAG_ID_##id] = DIAG_##severity,
#include "base/diag.def"
#undef D
};

static const char *const names[] = {
#define D(id, severity, format) [DIAG_ID_##id] = #id,
#include "base/diag.def"
#undef D
};

void diag_init(diag_list *l, arena *a) {
  *l = (diag_list){.a = a};
  l->scratch = ARENA_NEW(a, diag);
  l->scratch->text = "";
}

uint32_t diag_add_file(diag_list *l, const char *name, str text) {
  vec_push(l->a, &l->files, ((diag_file){name, text, false}));
  return (uint32_t)l->files.n;
}

uint32_t diag_add_disk_file(diag_list *l, const char *path, str text) {
  vec_push(l->a, &l->files, ((diag_file){path, text, true}));
  return (uint32_t)l->files.n;
}

// What a message quotes may come from any file: it stays one line of printable UTF-8, of bounded length.
static const char *one_line(arena *a, const strbuf *text) {
  strbuf out;
  sb_init(&out, a);
  for (size_t i = 0; i < text->n && out.n < MAX_TEXT;) {
    str c = {text->p + i, utf8_length((str){text->p + i, text->n - i})};
    unsigned char first = (unsigned char)c.p[0];
    bool c1 = c.n == 2 && first == 0xc2 && (unsigned char)c.p[1] < 0xa0; // control characters too
    if ((c.n > 1 && !c1) || (c.n == 1 && first >= 0x20 && first < 0x7f)) sb_bytes(&out, c.p, c.n);
    else sb_char(&out, first == '\n' || first == '\t' ? ' ' : '?');
    i += c.n;
  }
  if (out.n >= MAX_TEXT) sb_z(&out, "...");
  return sb_cstr(&out);
}

// The row's format is a literal in each case, so that the compiler checks it as one.
static void format_row(strbuf *out, diag_id id, va_list ap) {
  switch (id) {
#define D(name, severity, format)                                                                                      \
  case DIAG_ID_##name:                                                                                                 \
    sb_vfmt(out, format, ap);                                                                                          \
    break;
#include "base/diag.def"
#undef D
  case DIAG_COUNT: break;
  }
}

diag *diag_report(diag_list *l, diag_span at, diag_id id, ...) {
  diag_severity severity = severities[id];
  if (severity == DIAG_error) {
    size_t limit = l->limit ? l->limit : DEFAULT_LIMIT;
    l->n_errors++;
    if (l->n_errors - l->n_dropped > limit && id != DIAG_ID_internal) {
      l->n_dropped++;
      return l->scratch;
    }
  }
  strbuf text;
  sb_init(&text, l->a);
  va_list ap;
  va_start(ap, id);
  format_row(&text, id, ap);
  va_end(ap);
  diag *d = ARENA_NEW(l->a, diag);
  d->id = id;
  d->severity = severity;
  d->span = at;
  d->text = one_line(l->a, &text);
  vec_push(l->a, &l->items, d);
  return d;
}

void diag_note_to(diag_list *l, diag *d, const char *fmt, ...) {
  if (d == l->scratch) return;
  strbuf text;
  sb_init(&text, l->a);
  va_list ap;
  va_start(ap, fmt);
  sb_vfmt(&text, fmt, ap);
  va_end(ap);
  vec_push(l->a, &d->notes, one_line(l->a, &text));
}

bool diag_failed(const diag_list *l) { return l->n_errors > 0; }

const char *diag_name(diag_id id) { return names[id]; }

void diag_flush(diag_list *l) {
  while (l->sink && l->n_flushed < l->items.n) l->sink(l->sink_user, l, l->items.at[l->n_flushed++]);
}

void diag_position(const diag_list *l, diag_span at, const char **file, uint32_t *line, uint32_t *column) {
  *file = NULL;
  *line = *column = 0;
  if (at.file == 0 || at.file > l->files.n) return;
  const diag_file *f = &l->files.at[at.file - 1];
  size_t begin = at.begin < f->text.n ? at.begin : f->text.n;
  *file = f->name;
  *line = 1;
  size_t i = utf8_bom(f->text);
  for (size_t k = i; k < begin; k++) {
    if (f->text.p[k] != '\n') continue;
    ++*line;
    i = k + 1;
  }
  for (*column = 1; i < begin; ++*column) i += utf8_length((str){f->text.p + i, f->text.n - i});
}

void base_bug(diag_list *l, const char *file, int line, const char *fmt, ...) {
  strbuf text;
  sb_init(&text, l->a);
  va_list ap;
  va_start(ap, fmt);
  sb_vfmt(&text, fmt, ap);
  va_end(ap);
#ifndef NDEBUG
  fprintf(stderr, "%s:%d: internal error: %s\n", file, line, sb_cstr(&text));
  abort();
#else
  diag_at(l, NO_SPAN, internal, sb_cstr(&text), file, line);
  arena_unwind(l->a, 2);
#endif
}
