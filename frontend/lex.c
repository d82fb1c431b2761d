// The lexer: bytes of one scalar to tokens.
//
// Numbers are decimal only; a name may not follow one directly, so that `1e`, `1_000` and `0x10` are mistakes and never
// two tokens. Strings stay on one line and know the escapes \\ \' \" \n \t. What other languages would write (`&&`,
// `!`, `=`, `true`) is told apart from a mere typing error, and the message says what to write here.
#include "frontend/lex.h"
#include "base/utf8.h"

static const char *const language_words[] = {
    "and",   "or",   "not", "in",  "if", "elif", "else", "for", "loop", "while", "when", "update", "return", "True",
    "False", "None", "inf", "nan", "pi", "f64",  "f32",  "f16", "bf16", "i64",   "i32",  "i8",     "u8",     "bool"};

// Longest first: the first that fits is taken.
static const char *const punctuation[] = {"...", "**", "//", "==", "!=", "<=", ">=", "->", "..", "+", "-", "*", "/",
                                          "%",   "<",  ">",  "(",  ")",  "[",  "]",  "{",  "}",  ",", ":", "=", "@"};

typedef struct spelling {
  const char *found, *here;
} spelling;

// Operators and words of other languages.
static const spelling foreign_operators[] = {{"&&", "and"}, {"&", "and"}, {"||", "or"},
                                             {"|", "or"},   {"!", "not"}, {"^", "**"}};
static const spelling foreign_words[] = {{"true", "True"}, {"false", "False"}, {"null", "None"}, {"none", "None"}};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool lex_is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool lex_is_name_char(char c) { return lex_is_name_start(c) || is_digit(c); }

bool lex_is_word(str name) {
  for (size_t i = 0; i < COUNT(language_words); i++) {
    if (str_is(name, language_words[i])) return true;
  }
  return false;
}

int lex_open_brackets(str text) {
  int open = 0;
  for (size_t i = 0; i < text.n; i++) {
    char c = text.p[i];
    if (c == '\'' || c == '"') {
      size_t j = i + 1;
      while (j < text.n && text.p[j] != c && text.p[j] != '\n') j += text.p[j] == '\\' ? 2 : 1;
      i = j;
    } else if (c == '(' || c == '[' || c == '{') {
      open++;
    } else if (c == ')' || c == ']' || c == '}') {
      open--;
    }
  }
  return open;
}

bool lex_comment_after(str text, uint32_t at, uint32_t *hash) {
  uint32_t i = at;
  while (i < text.n && (text.p[i] == ' ' || text.p[i] == '\t')) i++;
  if (i == at || i >= text.n || text.p[i] != '#') return false;
  *hash = i;
  return true;
}

diag_span lex_span(const lexer *x, uint32_t begin, uint32_t end) { return (diag_span){x->file, begin, end}; }

static char *quote_text(lexer *x, str s) {
  enum { SHOWN = 40 };
  if (s.n <= SHOWN) return str_dup(x->a, s);
  size_t n = 0;
  while (n < SHOWN) n += utf8_length((str){s.p + n, s.n - n});
  return str_fmt(x->a, "%.*s...", (int)n, s.p);
}

void lex_stop(lexer *x) {
  x->failed = true;
  x->at = x->end;
  x->now = (token){TK_end, {x->file, x->end, x->end}, {x->p + x->end, 0}, 0, 0, {"", 0}};
}

void lex_expected(lexer *x, const char *what) {
  if (x->failed) return;
  const token *t = &x->now;
  uint32_t hash;
  if (t->kind == TK_end && x->open && lex_comment_after((str){x->p, x->size}, x->end, &hash)) {
    diag *d = diag_at(x->l, lex_span(x, hash, hash + 1), yaml_hash);
    diag_note_to(x->l, d, "YAML takes space-hash as a comment: put the comment after the whole expression");
  } else if (t->kind == TK_end) {
    diag_at(x->l, t->span, syntax_expected, what, "the end");
  } else if (lex_is(x, "=")) {
    diag_at(x->l, t->span, syntax_spelling, "=", "==");
  } else if (lex_is(x, "@")) {
    diag *d = diag_at(x->l, t->span, syntax_expected, what, "`@`");
    diag_note_to(x->l, d, "`@` means scope and stands before the colon; matrix products are `matmul(a, b)`");
  } else {
    const char *found = str_fmt(x->a, "`%s`", quote_text(x, t->text));
    diag_at(x->l, t->span, syntax_expected, what, found);
  }
  lex_stop(x);
}

static void read_number(lexer *x) {
  uint32_t i = x->at;
  bool whole = true;
  while (i < x->end && is_digit(x->p[i])) i++;
  if (i + 1 < x->end && x->p[i] == '.' && is_digit(x->p[i + 1])) {
    whole = false;
    for (i++; i < x->end && is_digit(x->p[i]);) i++;
  }
  if (i < x->end && (x->p[i] == 'e' || x->p[i] == 'E')) {
    uint32_t digits = i + 1;
    if (digits < x->end && (x->p[digits] == '+' || x->p[digits] == '-')) digits++;
    if (digits < x->end && is_digit(x->p[digits])) {
      whole = false;
      for (i = digits; i < x->end && is_digit(x->p[i]);) i++;
    }
  }
  uint32_t number_end = i;
  while (i < x->end && lex_is_name_char(x->p[i])) i++;
  diag_span span = lex_span(x, x->at, i);
  str text = {x->p + x->at, i - x->at};
  token t = {.kind = whole ? TK_int : TK_float, .span = span, .text = text};
  if (i != number_end) {
    diag_at(x->l, span, syntax_number, quote_text(x, text));
    lex_stop(x);
  } else if (whole ? !parse_i64(text, &t.i) : !parse_f64(text, &t.f)) {
    diag_at(x->l, span, syntax_number_range, quote_text(x, text), whole ? "64-bit integers" : "64-bit floats");
    lex_stop(x);
  } else {
    x->now = t;
    x->at = i;
  }
}

static char decode_escape(char c) {
  switch (c) {
  case '\\':
  case '\'':
  case '"': return c;
  case 'n': return '\n';
  case 't': return '\t';
  default: return 0;
  }
}

static void read_string(lexer *x) {
  uint32_t begin = x->at, i = begin + 1;
  char quote = x->p[begin];
  strbuf value;
  sb_init(&value, x->a);
  for (; i < x->end && x->p[i] != quote && x->p[i] != '\n' && x->p[i] != '\r'; i++) {
    char c = x->p[i];
    if (c == '\\') {
      c = i + 1 < x->end ? decode_escape(x->p[i + 1]) : 0;
      if (!c) {
        size_t left = x->end - i - 1;
        uint32_t n = left ? (uint32_t)utf8_length((str){x->p + i + 1, left}) : 0;
        diag *d = diag_at(x->l, lex_span(x, i, i + 1 + n), syntax_escape);
        diag_note_to(x->l, d, "a string knows `\\\\`, `\\'`, `\\\"`, `\\n` and `\\t`");
        lex_stop(x);
        return;
      }
      i++;
    }
    sb_char(&value, c);
  }
  if (i >= x->end || x->p[i] != quote) {
    diag_at(x->l, lex_span(x, begin, begin + 1), yaml_unclosed, quote == '\'' ? "'" : "\"");
    lex_stop(x);
    return;
  }
  i++;
  x->now = (token){
      .kind = TK_string, .span = lex_span(x, begin, i), .text = {x->p + begin, i - begin}, .value = sb_str(&value)};
  x->at = i;
}

static void read_name(lexer *x) {
  uint32_t begin = x->at, i = begin;
  for (;;) {
    while (i < x->end && lex_is_name_char(x->p[i])) i++;
    if (i + 1 >= x->end || x->p[i] != '.' || !lex_is_name_start(x->p[i + 1])) break;
    i++;
  }
  str text = {x->p + begin, i - begin};
  for (size_t k = 0; k < COUNT(foreign_words); k++) {
    if (!str_is(text, foreign_words[k].found)) continue;
    diag_at(x->l, lex_span(x, begin, i), syntax_spelling, foreign_words[k].found, foreign_words[k].here);
    lex_stop(x);
    return;
  }
  x->now = (token){.kind = TK_name, .span = lex_span(x, begin, i), .text = text};
  x->at = i;
}

static void read_punctuation(lexer *x) {
  str rest = {x->p + x->at, x->end - x->at};
  for (size_t k = 0; k < COUNT(punctuation); k++) {
    if (punctuation[k][0] != rest.p[0]) continue;
    str z = str_of(punctuation[k]);
    if (!str_starts(rest, z)) continue;
    x->now = (token){.kind = TK_punct, .span = lex_span(x, x->at, x->at + (uint32_t)z.n), .text = {rest.p, z.n}};
    x->at += (uint32_t)z.n;
    return;
  }
  for (size_t k = 0; k < COUNT(foreign_operators); k++) {
    str z = str_of(foreign_operators[k].found);
    if (!str_starts(rest, z)) continue;
    diag_span span = lex_span(x, x->at, x->at + (uint32_t)z.n);
    diag_at(x->l, span, syntax_spelling, foreign_operators[k].found, foreign_operators[k].here);
    lex_stop(x);
    return;
  }
  if (rest.p[0] == '.' && rest.n > 1 && lex_is_name_start(rest.p[1])) {
    diag *d = diag_at(x->l, lex_span(x, x->at, x->at + 1), syntax_method);
    diag_note_to(x->l, d, "functions are called as `f(x)`");
    lex_stop(x);
    return;
  }
  str one = {rest.p, utf8_length(rest)};
  diag *d = diag_at(x->l, lex_span(x, x->at, x->at + (uint32_t)one.n), syntax_character, str_dup(x->a, one));
  bool fraction = one.p[0] == '.' && rest.n > 1 && is_digit(rest.p[1]);
  if (fraction && x->last_end < x->at) diag_note_to(x->l, d, "a number begins with a digit: `0.5`");
  lex_stop(x);
}

static void read_token(lexer *x) {
  if (x->failed) return;
  while (x->at < x->end && is_blank(x->p[x->at])) x->at++;
  if (x->at >= x->end) {
    // The end stands right after the last token, not after blanks.
    uint32_t at = x->last_end > x->begin ? x->last_end : x->end;
    x->now = (token){TK_end, {x->file, at, at}, {x->p + at, 0}, 0, 0, {"", 0}};
    return;
  }
  char c = x->p[x->at];
  if (is_digit(c)) read_number(x);
  else if (lex_is_name_start(c)) read_name(x);
  else if (c == '\'' || c == '"') read_string(x);
  else read_punctuation(x);
}

void lex_init(lexer *x, arena *a, diag_list *l, uint32_t file, uint32_t begin, uint32_t end) {
  str text = l->files.at[file - 1].text;
  *x = (lexer){.a = a, .l = l, .file = file, .p = text.p, .size = (uint32_t)text.n};
  x->begin = x->at = x->last_end = begin;
  x->end = end;
  read_token(x);
}

void lex_next(lexer *x) {
  if (x->failed) return;
  if (lex_is(x, "(") || lex_is(x, "[")) x->open++;
  else if ((lex_is(x, ")") || lex_is(x, "]")) && x->open) x->open--;
  x->last_end = x->now.span.end;
  read_token(x);
}

void lex_resume(lexer *x, uint32_t at) {
  if (x->failed) return;
  x->at = x->last_end = at;
  read_token(x);
}

bool lex_is(const lexer *x, const char *z) {
  if (x->now.kind != TK_punct && x->now.kind != TK_name) return false;
  return x->now.text.p[0] == z[0] && str_is(x->now.text, z);
}

bool lex_take(lexer *x, const char *z) {
  if (!lex_is(x, z)) return false;
  lex_next(x);
  return true;
}

bool lex_want(lexer *x, const char *z) {
  if (lex_take(x, z)) return true;
  lex_expected(x, str_fmt(x->a, "`%s`", z));
  return false;
}

bool lex_want_end(lexer *x) {
  if (x->now.kind != TK_end) lex_expected(x, "the end");
  return !x->failed;
}

str lex_want_name(lexer *x, const char *what, diag_span *at) {
  token t = x->now;
  if (at) *at = t.span;
  if (t.kind != TK_name) {
    lex_expected(x, what);
    return (str){"", 0};
  }
  if (lex_is_word(t.text)) {
    diag_at(x->l, t.span, syntax_reserved, str_dup(x->a, t.text));
    lex_stop(x);
    return (str){"", 0};
  }
  for (size_t i = 0; i < t.text.n; i++) {
    if (t.text.p[i] != '.') continue;
    diag_at(x->l, t.span, syntax_dotted, str_dup(x->a, t.text), what);
    lex_stop(x);
    return (str){"", 0};
  }
  lex_next(x);
  return t.text;
}
