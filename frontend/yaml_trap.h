// What YAML says about a mistake, told in the terms of this language. Internal to the YAML reader.
#ifndef NNC_FRONTEND_YAML_TRAP_H
#define NNC_FRONTEND_YAML_TRAP_H

#include "base/diag.h"

// A mistake as the YAML parser reports it, its marks as byte offsets.
typedef struct yaml_problem {
  bool data;                     // the file is not a model
  const char *problem, *context; // libyaml's words; never NULL
  uint32_t at, context_at;
  uint32_t scalar_begin, scalar_end; // the last plain scalar before it
  char open;                         // innermost open flow bracket, or 0
  uint32_t open_at;
} yaml_problem;

// Bytes to hide before the text is read again; none: begin == end. `fill` keeps it a value (`x`) or empties it (` `).
typedef struct yaml_mask {
  uint32_t begin, end;
  char fill;
} yaml_mask;

// Characters that no text file holds, bytes that are not UTF-8, tabs that indent: false after a report.
bool yaml_check_bytes(diag_list *l, uint32_t file, bool tabs);
// Reports the problem; the mask that gets the reader past it.
yaml_mask yaml_explain(diag_list *l, uint32_t file, const yaml_problem *p);
// Reports one of YAML's own marks (`&` `*` `!` `|` `>` `?` `<<` `%`) at byte `at`; the mask is as above.
yaml_mask yaml_reject_mark(diag_list *l, uint32_t file, uint32_t at);

#endif
