// From libyaml's problem texts to messages in the terms of the model language, and masks to read on.
//
// libyaml says what its scanner could not do ("mapping values are not allowed in this context"); what the author did
// is seen in the line: a slice with a blank, a comment inside an expression, a missing colon. libyaml's texts are those
// of 0.2; a text not known here is passed on as it is.
#include "frontend/yaml_trap.h"
#include "base/utf8.h"
#include "frontend/lex.h"

#include <string.h>

enum { LONGEST_KEY = 1024 };

static const yaml_mask no_mask = {0, 0, 0};

static uint32_t line_begin(str t, uint32_t at) {
  while (at > 0 && t.p[at - 1] != '\n') at--;
  return at;
}

static uint32_t line_end(str t, uint32_t at) {
  while (at < t.n && t.p[at] != '\n') at++;
  return at > 0 && at <= t.n && t.p[at - 1] == '\r' ? at - 1 : at;
}

static uint32_t skip_spaces(str t, uint32_t at) {
  while (at < t.n && t.p[at] == ' ') at++;
  return at;
}

// Where the content of the line of `at` begins: after indentation and `- ` marks.
static uint32_t content_begin(str t, uint32_t at) {
  uint32_t i = skip_spaces(t, line_begin(t, at));
  while (i + 1 < t.n && t.p[i] == '-' && t.p[i + 1] == ' ') i = skip_spaces(t, i + 2);
  return i;
}

// The end of what is written on the line of `at`: before a comment and blanks.
static uint32_t content_end(str t, uint32_t at) {
  uint32_t end = line_end(t, at);
  for (uint32_t i = at + 1; i < end; i++) {
    if (t.p[i] == '#' && t.p[i - 1] == ' ') end = i;
  }
  while (end > at && (t.p[end - 1] == ' ' || t.p[end - 1] == '\t')) end--;
  return end;
}

static bool is_key_colon(str t, uint32_t i, uint32_t end) {
  return t.p[i] == ':' && (i + 1 >= end || t.p[i + 1] == ' ');
}

// The first `: ` of [begin, end) that is inside brackets, or outside all of them; `end` if there is none.
static uint32_t find_colon(str t, uint32_t begin, uint32_t end, bool inside) {
  int depth = 0;
  char quote = 0;
  for (uint32_t i = begin; i < end; i++) {
    char c = t.p[i];
    if (quote) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '(' || c == '[' || c == '{') {
      depth++;
    } else if (c == ')' || c == ']' || c == '}') {
      depth--;
    } else if (is_key_colon(t, i, end) && (depth > 0) == inside) {
      return i;
    }
  }
  return end;
}

// The value on the line of `at`, with the lines that go deeper: they would be read as its continuation.
static yaml_mask value_mask(str t, uint32_t at) {
  uint32_t begin = content_begin(t, at), end = line_end(t, at);
  uint32_t column = begin - line_begin(t, at);
  uint32_t colon = find_colon(t, begin, end, false);
  if (colon < at) begin = skip_spaces(t, colon + 1);
  for (;;) {
    uint32_t next = end;
    while (next < t.n && (t.p[next] == '\r' || t.p[next] == '\n')) next++;
    uint32_t first = skip_spaces(t, next);
    if (next == end || first >= t.n || first - next <= column) break;
    end = line_end(t, first);
  }
  return (yaml_mask){begin, end, 'x'};
}

static uint32_t next_written_line(str t, uint32_t at) {
  uint32_t i = line_end(t, at);
  while (i < t.n && strchr(" \r\n", t.p[i])) i++;
  return i;
}

// Is the line of `at` a key whose value is the lines below: deeper ones, or a list in the column of the key?
static bool holds_lines(str t, uint32_t at) {
  uint32_t key = content_begin(t, at), next = next_written_line(t, at);
  if (next >= t.n) return false;
  uint32_t key_column = key - line_begin(t, key), column = next - line_begin(t, next);
  return column > key_column || (column == key_column && t.p[next] == '-');
}

typedef struct yaml_mark_text {
  char c;
  const char *begins, *note;
} yaml_mark_text;

static const yaml_mark_text mark_texts[] = {
    {'&', "an anchor",
     "anchors are not read: write the value out, or name it under `let`; the logical operator is `and`"},
    {'*', "an alias", "aliases are not read: write the value out, or name it under `let`"},
    {'!', "a tag", "negation is `not`"},
    {'|', "a block of text", "an expression goes on in the next line, indented; the logical operator is `or`"},
    {'>', "a block of text", "an expression goes on in the next line, indented"},
    {'?', "a complex key", "write `key: value`"},
    {'%', "a directive", "directives are not read: leave the line out"},
    {'<', "a merge", "maps are not merged: write the keys out"},
};

yaml_mask yaml_reject_mark(diag_list *l, uint32_t file, uint32_t at) {
  str t = l->files.at[file - 1].text;
  const yaml_mark_text *m = mark_texts;
  for (size_t i = 0; i < sizeof mark_texts / sizeof *mark_texts; i++) {
    if (at < t.n && t.p[at] == mark_texts[i].c) m = &mark_texts[i];
  }
  uint32_t n = m->c == '<' ? 2 : 1;
  const char *shown = str_fmt(l->a, "%.*s", (int)n, m->c == '<' ? "<<" : &m->c);
  diag *d = diag_at(l, ((diag_span){file, at, at + n}), yaml_mark, shown, m->begins);
  diag_note_to(l, d, "%s", m->note);
  if (m->c == '%') return (yaml_mask){at, line_end(t, at), ' '};
  if (m->c == '<') return (yaml_mask){at, at + n, 'x'};
  if (m->c == '?' && at == content_begin(t, at)) return no_mask;
  uint32_t word_end = at;
  while (word_end < t.n && !strchr(" \t\r\n", t.p[word_end])) word_end++;
  bool alone = content_end(t, at) == word_end && holds_lines(t, at); // what is under it can still be read
  if (alone && (m->c == '&' || m->c == '!')) return (yaml_mask){at, word_end, ' '};
  return value_mask(t, at);
}

static bool is_step_word(str line) {
  static const char *const words[] = {"for", "if", "elif", "else", "loop", "while", "when"};
  size_t n = 0;
  while (n < line.n && lex_is_name_char(line.p[n])) n++;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (str_is((str){line.p, n}, words[i])) return true;
  }
  return false;
}

static yaml_mask no_colon(diag_list *l, diag_span line) {
  diag *d = diag_at(l, line, yaml_no_colon);
  diag_note_to(l, d, "what holds more lines ends in `:`, and a key stands on one line");
  return no_mask;
}

static yaml_mask colon(diag_list *l, uint32_t file, const yaml_problem *p) {
  str t = l->files.at[file - 1].text;
  uint32_t begin = p->scalar_begin;
  if (begin < line_begin(t, p->at) && begin == content_begin(t, begin)) {
    return no_colon(l, (diag_span){file, begin, content_end(t, begin)});
  }
  if (begin == content_begin(t, p->at) && p->at - begin > LONGEST_KEY) {
    diag *d = diag_at(l, ((diag_span){file, begin, begin + 1}), yaml_long_key, LONGEST_KEY);
    diag_note_to(l, d, "YAML reads no longer ones: give parts of it names in steps of their own");
    return no_mask;
  }
  uint32_t at = find_colon(t, content_begin(t, p->at), line_end(t, p->at), true);
  if (at > p->at) at = p->at;
  diag *d = diag_at(l, ((diag_span){file, at, at + 1}), yaml_colon);
  diag_note_to(l, d,
               "YAML takes colon-space as a key; write slices without spaces, `x[a:b]`, and check the indentation");
  return value_mask(t, p->at);
}

static yaml_mask flow(diag_list *l, uint32_t file, const yaml_problem *p) {
  str t = l->files.at[file - 1].text;
  const char *open = p->open == '{' ? "{" : "[";
  uint32_t begin = line_begin(t, p->at);
  bool at_margin = p->at >= t.n || (t.p[begin] != ' ' && begin > p->open_at);
  if (at_margin && line_begin(t, p->open_at) != p->open_at) {
    diag_at(l, ((diag_span){file, p->open_at, p->open_at + 1}), yaml_unclosed, open);
    return no_mask;
  }
  diag *d = diag_at(l, ((diag_span){file, p->at, p->at + 1}), yaml_flow_broken, p->open == '{' ? "{}" : "[]",
                    p->open == '{' ? "map" : "list");
  if (p->data) diag_note_to(l, d, "a comma or a bracket is missing, or one too many");
  else
    diag_note_to(l, d,
                 "types and expressions hold commas and brackets: write the section in block style, one entry a line");
  return no_mask;
}

// A key was expected and something else came: a value that went on after its end, or a line that stands askew.
static yaml_mask no_key(diag_list *l, uint32_t file, const yaml_problem *p) {
  str t = l->files.at[file - 1].text;
  uint32_t value = content_begin(t, p->at), end = content_end(t, p->at);
  uint32_t key_end = find_colon(t, value, end, false);
  if (key_end < end) value = skip_spaces(t, key_end + 1);
  if (value < p->at && (t.p[value] == '\'' || t.p[value] == '"')) {
    diag *d = diag_at(l, ((diag_span){file, p->at, end}), yaml_after_quote);
    diag_note_to(l, d, "YAML takes what begins with a quote as a string: put the expression in parentheses");
    return value_mask(t, p->at);
  }
  if (value < p->at && (t.p[value] == '[' || t.p[value] == '{')) {
    bool list = t.p[value] == '[';
    diag *d = diag_at(l, ((diag_span){file, value, value + 1}), syntax_expected, "an expression",
                      list ? "a YAML list" : "a YAML map");
    if (list) diag_note_to(l, d, "tuples are written `(a, b)`");
    return value_mask(t, p->at);
  }
  diag *d = diag_at(l, ((diag_span){file, p->at, end > p->at ? end : p->at + 1}), yaml_indent);
  diag_note_to(l, d, "entries of one list or map begin in the same column");
  return no_mask;
}

static yaml_mask no_pair(diag_list *l, uint32_t file, uint32_t at) {
  str t = l->files.at[file - 1].text;
  diag_span span = {file, at, content_end(t, at)};
  str line = {t.p + at, span.end - span.begin};
  if (is_step_word(line)) return no_colon(l, span);
  diag *d = diag_at(l, span, yaml_pair);
  if (memchr(line.p, ':', line.n)) diag_note_to(l, d, "there must be a space after the colon");
  return no_mask;
}

static yaml_mask no_token(diag_list *l, uint32_t file, uint32_t at) {
  str t = l->files.at[file - 1].text;
  if (at < t.n && t.p[at] == '\t') {
    diag *d = diag_at(l, ((diag_span){file, at, at + 1}), yaml_tab);
    diag_note_to(l, d, "indent with spaces");
    return no_mask;
  }
  diag *d = diag_at(l, ((diag_span){file, at, at + 1}), yaml_reserved, str_fmt(l->a, "%.*s", 1, t.p + at));
  if (t.p[at] == '@') diag_note_to(l, d, "a scope follows the name on the left: `name@scope: expression`");
  return value_mask(t, at);
}

yaml_mask yaml_explain(diag_list *l, uint32_t file, const yaml_problem *p) {
  str t = l->files.at[file - 1].text;
  str last = {t.p + p->scalar_begin, p->scalar_end - p->scalar_begin};
  uint32_t hash;
  if (lex_open_brackets(last) > 0 && !p->open && lex_comment_after(t, p->scalar_end, &hash)) {
    diag *d = diag_at(l, ((diag_span){file, hash, hash + 1}), yaml_hash);
    diag_note_to(l, d, "YAML takes space-hash as a comment: put the comment after the whole expression");
    return (yaml_mask){hash, line_end(t, hash), ' '};
  }
  if (strstr(p->context, "quoted scalar")) {
    diag_span quote = {file, p->context_at, p->context_at + 1};
    if (!strstr(p->problem, "unexpected")) {
      diag_at(l, ((diag_span){file, p->at, p->at + 2}), syntax_escape);
      return value_mask(t, p->at);
    }
    diag_at(l, quote, yaml_unclosed, t.p[quote.begin] == '\'' ? "'" : "\"");
    return no_mask;
  }
  static const char *const marks[] = {"alias", "anchor", "tag", "block scalar", "directive"};
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    if (strstr(p->context, marks[i])) return yaml_reject_mark(l, file, p->context_at);
  }
  if (strstr(p->problem, "undefined tag handle")) return yaml_reject_mark(l, file, p->at);
  if (strstr(p->problem, "mapping keys are not allowed")) return yaml_reject_mark(l, file, p->at);
  if (strstr(p->problem, "cannot start any token")) return no_token(l, file, p->at);
  if (p->open) return flow(l, file, p);
  if (strstr(p->problem, "mapping values are not allowed")) return colon(l, file, p);
  if (strstr(p->problem, "block sequence entries")) {
    diag *d = diag_at(l, ((diag_span){file, p->at, p->at + 1}), yaml_dash);
    diag_note_to(l, d, "a list item begins its line; a minus sign takes no space after it, `-x`");
    return value_mask(t, p->at);
  }
  if (strstr(p->problem, "expected ':'")) return no_pair(l, file, p->context_at);
  if (strstr(p->problem, "expected key") || strstr(p->problem, "'-' indicator")) return no_key(l, file, p);
  if (strstr(p->problem, "document start")) {
    diag *d = diag_at(l, ((diag_span){file, p->at, p->at + 1}), yaml_document);
    diag_note_to(l, d, "one file holds one model");
    return no_mask;
  }
  if (strstr(p->problem, "node content") && p->at < t.n) {
    diag_at(l, ((diag_span){file, p->at, p->at + 1}), syntax_character, str_fmt(l->a, "%.*s", 1, t.p + p->at));
    return value_mask(t, p->at);
  }
  diag_at(l, ((diag_span){file, p->at, p->at + 1}), yaml_other, p->problem);
  return no_mask;
}

static bool is_line_break_elsewhere(uint32_t c) { return c == 0x85 || c == 0x2028 || c == 0x2029 || c == 0xfeff; }

static uint32_t decode(str s) {
  const unsigned char *p = (const unsigned char *)s.p;
  if (s.n == 1) return p[0];
  uint32_t c = p[0] & (0xffu >> (s.n + 1));
  for (size_t i = 1; i < s.n; i++) c = c << 6 | (p[i] & 0x3fu);
  return c;
}

bool yaml_check_bytes(diag_list *l, uint32_t file, bool tabs) {
  str t = l->files.at[file - 1].text;
  bool indent = true;
  uint32_t tab = 0;
  for (uint32_t i = (uint32_t)utf8_bom(t), n; i < t.n; i += n) {
    n = (uint32_t)utf8_length((str){t.p + i, t.n - i});
    uint32_t c = decode((str){t.p + i, n});
    if (n == 1 && c >= 0x80) {
      diag_at(l, ((diag_span){file, i, i + 1}), yaml_utf8);
      return false;
    }
    bool line_feed = c == '\n' || (c == '\r' && i + 1 < t.n && t.p[i + 1] == '\n');
    bool text = c == '\t' || (c >= 0x20 && c < 0x7f) || (c >= 0xa0 && (c & 0xfffe) != 0xfffe);
    if (!line_feed && (!text || is_line_break_elsewhere(c))) {
      diag_at(l, ((diag_span){file, i, i + n}), yaml_control, c);
      return false;
    }
    if (line_feed) tab = 0, indent = true;
    else if (indent && c == '\t') tab = tab ? tab : i + 1;
    else if (c != ' ') {
      if (indent && tab && c != '#' && !tabs) {
        diag *d = diag_at(l, ((diag_span){file, tab - 1, tab}), yaml_tab);
        diag_note_to(l, d, "indent with spaces");
        return false;
      }
      indent = false;
    }
  }
  return true;
}
