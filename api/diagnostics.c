// Diagnostics lists of the public API: messages detached from the compile that made them.
#include "api/handles.h"
#include <stdlib.h>
#include <string.h>

struct nnc_diagnostics {
  arena *a;
  size_t n;
  nnc_diagnostic *items;
};

static nnc_diagnostic convert(arena *a, const diag_list *l, const diag *d) {
  strbuf text;
  sb_init(&text, a);
  diag_render(l, d, false, &text);
  const char *file;
  nnc_diagnostic out = {.severity = d->severity == DIAG_error     ? NNC_ERROR
                                    : d->severity == DIAG_warning ? NNC_WARNING
                                                                  : NNC_NOTE,
                        .id = diag_name(d->id)};
  diag_position(l, d->span, &file, &out.line, &out.column);
  out.file = file ? str_dup(a, str_of(file)) : "";
  out.message = str_dup(a, str_of(d->text));
  out.text = str_dup(a, sb_str(&text));
  return out;
}

nnc_diagnostics *diagnostics_detach(const diag_list *l) {
  arena *a = arena_new(NULL);
  if (!a) return NULL;
  if (setjmp(*arena_guard(a))) {
    arena_free(a);
    return NULL;
  }
  nnc_diagnostics *out = ARENA_NEW(a, nnc_diagnostics);
  out->a = a;
  out->n = l->items.n;
  out->items = ARENA_ARRAY(a, nnc_diagnostic, l->items.n + 1);
  for (size_t i = 0; i < l->items.n; i++) out->items[i] = convert(a, l, l->items.at[i]);
  return out;
}

typedef struct sink_bridge {
  arena *a;
  void (*sink)(void *user, const nnc_diagnostic *d);
  void *user;
} sink_bridge;

static void forward(void *user, const diag_list *l, const diag *d) {
  sink_bridge *b = user;
  nnc_diagnostic item = convert(b->a, l, d);
  b->sink(b->user, &item);
}

void diagnostics_bridge(arena *a, diag_list *l, void (*sink)(void *user, const nnc_diagnostic *d), void *user) {
  if (!sink) return;
  sink_bridge *b = ARENA_NEW(a, sink_bridge);
  *b = (sink_bridge){a, sink, user};
  l->sink = forward;
  l->sink_user = b;
}

size_t nnc_diagnostics_count(const nnc_diagnostics *list) { return list ? list->n : 0; }

const nnc_diagnostic *nnc_diagnostics_get(const nnc_diagnostics *list, size_t i) {
  return list && i < list->n ? &list->items[i] : NULL;
}

void nnc_diagnostics_free(nnc_diagnostics *list) {
  if (list) arena_free(list->a);
}
