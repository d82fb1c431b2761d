// Tokens of the expression grammar, read from the raw bytes of a model file.
//
// A scalar is the byte range [at, end) of its file; whitespace and line ends between tokens are free. The first
// mistake of a scalar is reported with its exact span, and from then on the lexer stands at TK_end: one mistake gives
// one message. Names come dotted (`a.b.c` is one token). Thread rule: as the arena's.
#ifndef NNC_FRONTEND_LEX_H
#define NNC_FRONTEND_LEX_H

#include "base/diag.h"

typedef enum token_kind { TK_end, TK_name, TK_int, TK_float, TK_string, TK_punct } token_kind;

typedef struct token {
  token_kind kind;
  diag_span span;
  str text;  // raw bytes
  int64_t i; // TK_int
  double f;  // TK_float
  str value; // TK_string: without quotes, escapes decoded
} token;

typedef struct lexer {
  arena *a;
  diag_list *l;
  uint32_t file;
  const char *p;       // the file's bytes
  uint32_t size;       // of the file
  uint32_t begin, end; // the scalar
  uint32_t at;         // where the next token is looked for
  token now;           // the token not yet taken
  uint32_t last_end;   // where the last taken token ended
  uint32_t depth;      // of expressions being read
  uint32_t open;       // brackets taken and not closed
  bool failed;         // a mistake was reported
} lexer;

// Stands before the first token of the bytes [begin, end) of file `file` of `l`.
void lex_init(lexer *x, arena *a, diag_list *l, uint32_t file, uint32_t begin, uint32_t end);
void lex_next(lexer *x);                                      // takes `now` and reads the one after it
void lex_resume(lexer *x, uint32_t at);                       // reads `now` from byte `at` on
bool lex_is(const lexer *x, const char *z);                   // is `now` this punctuation or word?
bool lex_take(lexer *x, const char *z);                       // takes it if it is
bool lex_want(lexer *x, const char *z);                       // takes it, or reports what stands there instead
bool lex_want_end(lexer *x);                                  // the scalar ends here, or a report
str lex_want_name(lexer *x, const char *what, diag_span *at); // a plain name (no dots, no word of the language)
// "expected <what>, found <now>" (or the reason behind it); sets `failed`. `what` in words, names in `backquotes`.
void lex_expected(lexer *x, const char *what);
void lex_stop(lexer *x); // after a report: the scalar counts as read, and nothing more is said about it
diag_span lex_span(const lexer *x, uint32_t begin, uint32_t end);

bool lex_is_word(str name); // a word of the language: not free as a name
bool lex_is_name_start(char c);
bool lex_is_name_char(char c);
// Brackets that the text opens and does not close; strings are skipped. Negative: closes more than it opens.
int lex_open_brackets(str text);
// Is the text of file `l`.`file` from `at` on blanks and then a comment? *hash: where its `#` is.
bool lex_comment_after(str text, uint32_t at, uint32_t *hash);

#endif
