// The documents as tests see them: fenced blocks and code spans of README.md and docs/*.md.
#ifndef NNC_TESTS_DOCS_PAGES_H
#define NNC_TESTS_DOCS_PAGES_H

#include "base/str.h"
#include "base/vec.h"

typedef struct fence { // ```info, lines, ```
  const char *page;    // "docs/language.md"
  unsigned line;       // of the opening fence, from 1
  str info, text;      // the text ends in a newline
} fence;

typedef struct code_span { // `text` outside of fences
  const char *page;
  unsigned line;
  str text, after; // after: the rest of its line
} code_span;

typedef struct page {
  const char *name;
  str text;
} page;

typedef struct pages {
  VEC(page) pages;
  VEC(fence) fences;
  VEC(code_span) spans;
} pages;

// All pages of the source tree, in the arena. Fails the running test when a fence is not closed.
const pages *pages_read(arena *a);
const page *pages_find(const pages *p, const char *name); // fails the running test when absent
// The lines from the heading `heading` (with its #) to the next of the same or a higher level.
str page_section(const page *p, const char *heading);
bool next_line(str *rest, str *line); // false at the end
void find_spans(str line, void (*f)(void *user, str text, str after), void *user);
// A fence with this info string; the n-th of the page, from 0. Fails the running test when absent.
const fence *pages_fence(const pages *p, const char *name, const char *info, size_t n);

#endif
