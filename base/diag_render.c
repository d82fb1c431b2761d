// Diagnostics as text: place, severity, message; the source line; the caret line; the notes.
//
// In: a diag and its list's files. Out: text in the form shown in base/diag.h. Every character takes one column here,
// as in the column number; characters that terminals draw two columns wide shift the caret.
#include "base/diag.h"
#include "base/utf8.h"

#include <string.h>

// Of a line longer than WHOLE_LINE characters, at most BEFORE_SPAN characters before the span and WHOLE_LINE in all.
enum { WHOLE_LINE = 240, BEFORE_SPAN = 80 };

typedef struct colours {
  const char *bold, *severity[3], *caret, *plain;
} colours;

static const colours no_colours = {"", {"", "", ""}, "", ""};
static const colours ansi_colours = {"\033[1m", {"\033[1;36m", "\033[1;35m", "\033[1;31m"}, "\033[1;32m", "\033[0m"};
static const char *const severity_names[] = {"note", "warning", "error"};

// The bytes [begin, end) of the line that holds byte `at`, without its line end.
static str line_around(str text, size_t at) {
  size_t begin = at, end = at, bom = utf8_bom(text);
  while (begin > bom && text.p[begin - 1] != '\n') begin--;
  while (end < text.n && text.p[end] != '\n') end++;
  if (begin < bom) begin = end < bom ? end : bom;
  if (end > begin && text.p[end - 1] == '\r') end--;
  return (str){text.p + begin, end - begin};
}

static void character(strbuf *out, str c) {
  unsigned char first = (unsigned char)c.p[0];
  bool shown = c.n > 1 || (first >= 0x20 && first < 0x7f) || first == '\t';
  if (shown) sb_bytes(out, c.p, c.n);
  else sb_char(out, '?');
}

// The source line into `out`, the caret line into `carets`. `begin` and `end` are byte offsets in `line`.
static void mark(str line, size_t begin, size_t end, strbuf *out, strbuf *carets) {
  size_t n_characters = 0, first = 0; // `first`: index of the character under the caret
  for (size_t i = 0; i < line.n; n_characters++) {
    if (i < begin) first = n_characters + 1;
    i += utf8_length((str){line.p + i, line.n - i});
  }
  size_t from = 0, to = n_characters;
  if (n_characters > WHOLE_LINE) {
    from = first > BEFORE_SPAN ? first - BEFORE_SPAN : 0;
    if (to - from > WHOLE_LINE) to = from + WHOLE_LINE;
  }
  if (from > 0) {
    sb_z(out, "...");
    sb_z(carets, "   ");
  }
  size_t k = 0;
  for (size_t i = 0; i < line.n; k++) {
    str c = {line.p + i, utf8_length((str){line.p + i, line.n - i})};
    if (k >= from && k < to) {
      character(out, c);
      bool tab = c.p[0] == '\t';
      if (k < first) sb_char(carets, tab ? '\t' : ' ');
      else if (k == first) sb_char(carets, '^');
      if (k >= first && i < end && (k > first || (tab && i + 1 < end))) sb_char(carets, tab ? '\t' : '~');
    }
    i += c.n;
  }
  if (first >= n_characters) sb_char(carets, '^');
  if (to < n_characters) sb_z(out, "...");
}

static void render_place(const diag_list *l, const diag *d, uint32_t line_number, const colours *c, strbuf *out) {
  str text = l->files.at[d->span.file - 1].text;
  size_t begin = d->span.begin < text.n ? d->span.begin : text.n;
  str line = line_around(text, begin);
  size_t line_at = (size_t)(line.p - text.p);
  begin = begin > line_at ? begin - line_at : 0;
  size_t end = d->span.end > line_at ? d->span.end - line_at : 0;
  strbuf carets;
  sb_init(&carets, l->a);
  size_t start = out->n;
  sb_fmt(out, "%5u | ", line_number);
  int gutter = (int)(out->n - start) - 2;
  mark(line, begin < line.n ? begin : line.n, end < line.n ? end : line.n, out, &carets);
  sb_fmt(out, "\n%*s| %s%s%s\n", gutter, "", c->caret, sb_cstr(&carets), c->plain);
}

void diag_render(const diag_list *l, const diag *d, bool colour, strbuf *out) {
  const colours *c = colour ? &ansi_colours : &no_colours;
  const char *file;
  uint32_t line, column;
  diag_position(l, d->span, &file, &line, &column);
  if (file) sb_fmt(out, "%s%s:%u:%u:%s ", c->bold, file, line, column, c->plain);
  sb_fmt(out, "%s%s:%s %s%s%s\n", c->severity[d->severity], severity_names[d->severity], c->plain, c->bold, d->text,
         c->plain);
  if (file) render_place(l, d, line, c, out);
  for (size_t i = 0; i < d->notes.n; i++) sb_fmt(out, "      = %s\n", d->notes.at[i]);
}

void diag_render_all(const diag_list *l, bool colour, strbuf *out) {
  for (size_t i = 0; i < l->items.n; i++) diag_render(l, l->items.at[i], colour, out);
  if (l->n_dropped) sb_fmt(out, "and %zu more error%s\n", l->n_dropped, l->n_dropped == 1 ? "" : "s");
}
