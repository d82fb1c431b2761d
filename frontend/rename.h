// Patterns over weight names: `bert.<p..>.gamma`, and targets built from what they captured: `<p>.weight`, `<s - 1>`.
//
// Text matches itself; `<i>` matches one or more characters within a segment (no dot), `<p..>` one or more characters
// whatever they are. Of several ways to match, the one with the longest early captures counts. Thread rule: none.
#ifndef NNC_FRONTEND_RENAME_H
#define NNC_FRONTEND_RENAME_H

#include "base/diag.h"

typedef struct name_piece {
  str text;    // itself, where `capture` is empty
  str capture; // its name
  bool dots;   // of a pattern: may match dots
  bool counts; // of a target: the captured number plus `add`
  int64_t add;
} name_piece;

typedef VEC(name_piece) name_pattern;

// Reads the bytes of `at`; false after a report. `target`: captures may count, and may not say `..`.
bool name_pattern_parse(arena *a, diag_list *l, diag_span at, bool target, name_pattern *out);
// Room for matching, used again for every name: what piece i captured, and which attempts have failed.
typedef struct name_matcher {
  VEC(str) captured;
  VEC(bool) failed;
} name_matcher;

// Matches the whole name (every `/` already a `.`); then m->captured.at[i] is what piece i took.
bool name_pattern_match(arena *a, name_matcher *m, const name_pattern *p, str name);
// Appends the target's name; false where a counted capture is no number, or falls below 0.
bool name_pattern_expand(const name_pattern *target, const name_pattern *source, const str *captured, strbuf *out);
const name_piece *name_pattern_find(const name_pattern *p, str capture); // NULL when absent

#endif
