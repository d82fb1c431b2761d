// What is wrong between a model and its checkpoint, once, with the rule that would mend it.
//
// The proposal: a missing name and an unused tensor of the same type that share their first or last segments give a
// rule
// (`bert.<p..>: <p>`); of the rules that a few missing names suggest, the one that finds the most is proposed.
#include "frontend/weights.h"

#include <stdlib.h>
#include <string.h>

enum { LISTED = 5, TRIED = 8 };

const char *weights_place_text(weight_binder *b, diag_span at) {
  const char *file;
  uint32_t line, column;
  diag_position(b->l, at, &file, &line, &column);
  return file ? str_fmt(b->a, "%s:%u:%u", file, line, column) : b->path;
}

const char *weights_sources_text(weight_binder *b) {
  return b->sources.n == 1 ? b->sources.at[0]->path : str_fmt(b->a, "the set of %zu weight files", b->sources.n);
}

static int by_name(const void *x, const void *y) {
  const weight_slot *const *p = x, *const *q = y;
  return strcmp((*p)->w->name, (*q)->w->name);
}

typedef struct proposal {
  const char *rule, *tensor;
  size_t found;
} proposal;

typedef struct shortage {
  weight_binder *b;
  weight_slot **missing; // sorted by name
  size_t n;
  map *by_name;
  name_matcher matcher;
  strbuf name, target;
} shortage;

static bool same_type(const weight_slot *s, const st_tensor *t) {
  if (t->rank != s->w->type.rank) return false;
  if (t->dt != s->w->type.dt && !(dtype_is_float(t->dt) && dtype_is_float(s->w->type.dt))) return false;
  return t->rank == 0 || memcmp(t->dim, s->dim, t->rank * sizeof *t->dim) == 0;
}

// Bytes of the longest common head of whole segments, its dot included; of the tail, its dot in front.
static size_t common_head(str a, str b) {
  size_t n = 0;
  for (size_t i = 0; i < a.n && i < b.n && a.p[i] == b.p[i]; i++) {
    if (a.p[i] == '.') n = i + 1;
  }
  return n;
}

static size_t common_tail(str a, str b) {
  size_t n = 0;
  for (size_t i = 1; i <= a.n && i <= b.n && a.p[a.n - i] == b.p[b.n - i]; i++) {
    bool edge = a.p[a.n - i] == '.';
    if (edge) n = i;
    if (!edge && (i == a.n || i == b.n)) { // one is all tail: the other goes on with a dot
      bool whole = (i == a.n || a.p[a.n - i - 1] == '.') && (i == b.n || b.p[b.n - i - 1] == '.');
      if (whole) n = i;
    }
  }
  return n;
}

// `<p..>.old.<s..>: <p>.new.<s>` without the parts that are empty.
static void write_side(strbuf *out, str name, size_t head, size_t tail, bool pattern) {
  const char *dots = pattern ? ".." : "";
  const char *last = head ? "s" : "p";
  str middle = {name.p + head, name.n - head - tail};
  while (middle.n && middle.p[0] == '.') middle = (str){middle.p + 1, middle.n - 1};
  while (middle.n && middle.p[middle.n - 1] == '.') middle.n--;
  if (head) sb_fmt(out, "<p%s>%s", dots, middle.n || tail ? "." : "");
  sb_bytes(out, middle.p, middle.n);
  if (tail) sb_fmt(out, "%s<%s%s>", middle.n ? "." : "", last, dots);
}

static bool parse_text(shortage *s, const char *text, bool target, name_pattern *out) {
  diag_list unheard;
  diag_init(&unheard, s->b->a);
  uint32_t file = diag_add_file(&unheard, "", str_of(text));
  return name_pattern_parse(s->b->a, &unheard, (diag_span){file, 0, (uint32_t)strlen(text)}, target, out);
}

// How many of the missing weights the rule would find.
static size_t count_found(shortage *s, const char *left, const char *right) {
  name_pattern pattern, target;
  size_t found = 0;
  if (!parse_text(s, left, false, &pattern) || !parse_text(s, right, true, &target)) return 0;
  for (size_t i = 0; i < s->b->sources.n; i++) {
    const weight_source *source = s->b->sources.at[i];
    for (size_t k = 0; k < source->unused.n; k++) {
      s->name.n = s->target.n = 0;
      weights_dotted(&s->name, source->unused.at[k]->name);
      if (source->scope.n) sb_fmt(&s->target, STR_FMT ".", STR_ARG(source->scope));
      if (!name_pattern_match(s->b->a, &s->matcher, &pattern, sb_str(&s->name))) continue;
      if (!name_pattern_expand(&target, &pattern, s->matcher.captured.at, &s->target)) continue;
      const weight_slot *slot = map_get(s->by_name, sb_str(&s->target));
      found += slot && same_type(slot, source->unused.at[k]);
    }
  }
  return found;
}

// The slot's name as the source would write it: without the source's scope. False when it is not in that scope.
static bool name_within(const weight_slot *slot, const weight_source *source, str *name) {
  *name = str_of(slot->w->name);
  size_t n = source->scope.n;
  if (!n) return true;
  if (name->n <= n + 1 || !str_starts(*name, source->scope) || name->p[n] != '.') return false;
  *name = (str){name->p + n + 1, name->n - n - 1};
  return true;
}

// The rule that makes `theirs` into `ours`, and others like it.
static void propose(shortage *s, str ours, str theirs, const char *tensor, proposal *best) {
  size_t tail = common_tail(ours, theirs);
  size_t head = common_head((str){ours.p, ours.n - tail}, (str){theirs.p, theirs.n - tail});
  strbuf left, right;
  sb_init(&left, s->b->a);
  sb_init(&right, s->b->a);
  write_side(&left, theirs, head, tail, true);
  write_side(&right, ours, head, tail, false);
  size_t found = count_found(s, sb_cstr(&left), sb_cstr(&right));
  if (found <= best->found) return;
  *best = (proposal){str_fmt(s->b->a, "%s: %s", sb_cstr(&left), sb_cstr(&right)), tensor, found};
}

// The unused tensor of the slot's type whose name shares the most with the slot's, and the rule between the two.
static void propose_for(shortage *s, const weight_slot *slot, proposal *best) {
  const char *tensor = NULL;
  size_t most = 0;
  str ours, nearest_ours = {"", 0};
  strbuf theirs, nearest;
  sb_init(&theirs, s->b->a);
  sb_init(&nearest, s->b->a);
  for (size_t i = 0; i < s->b->sources.n; i++) {
    const weight_source *source = s->b->sources.at[i];
    if (!name_within(slot, source, &ours)) continue;
    for (size_t k = 0; k < source->unused.n; k++) {
      if (!same_type(slot, source->unused.at[k])) continue;
      theirs.n = 0;
      weights_dotted(&theirs, source->unused.at[k]->name);
      size_t shared = common_head(ours, sb_str(&theirs)) + common_tail(ours, sb_str(&theirs));
      if (shared <= most) continue;
      most = shared;
      tensor = source->unused.at[k]->name;
      nearest_ours = ours;
      nearest.n = 0;
      sb_bytes(&nearest, theirs.p, theirs.n);
    }
  }
  if (tensor) propose(s, nearest_ours, sb_str(&nearest), tensor, best);
}

static void note_parts(weight_binder *b, diag *d, const weight_slot *s) {
  for (size_t i = 0; i < s->n_parts; i++) {
    if (s->parts[i].tensor) continue;
    const ast_name *pattern = &s->rule->ast->patterns.at[i];
    diag_note_to(b->l, d, "`%s` is joined from %zu tensors, and none matches `" STR_FMT "`", s->w->name, s->n_parts,
                 STR_ARG(pattern->text));
    return;
  }
}

void weights_report_missing(weight_binder *b) {
  shortage s = {.b = b, .missing = ARENA_ARRAY(b->a, weight_slot *, b->n_slots), .by_name = map_new(b->a)};
  sb_init(&s.name, b->a);
  sb_init(&s.target, b->a);
  for (size_t i = 0; i < b->n_slots; i++) {
    if (weight_slot_complete(&b->slots[i])) continue;
    s.missing[s.n++] = &b->slots[i];
    map_put(s.by_name, str_of(b->slots[i].w->name), &b->slots[i]);
  }
  if (!s.n) return;
  qsort(s.missing, s.n, sizeof *s.missing, by_name);
  const weight_slot *first = s.missing[0];
  const char *type = weights_type_text(b->a, first->w->type.dt, first->w->type.rank, first->dim);
  const char *count = s.n == b->n_slots ? "all" : str_fmt(b->a, "%zu", s.n);
  diag *d = diag_at(b->l, NO_SPAN, weights_missing, b->path, b->n_slots, weights_sources_text(b), count, first->w->name,
                    type, weights_place_text(b, first->w->span));
  if (s.n < b->n_slots) {
    for (size_t i = 1; i < s.n && i < LISTED; i++) {
      const weight_slot *m = s.missing[i];
      diag_note_to(b->l, d, "%s %s (%s)", m->w->name, weights_type_text(b->a, m->w->type.dt, m->w->type.rank, m->dim),
                   weights_place_text(b, m->w->span));
    }
    if (s.n > LISTED) diag_note_to(b->l, d, "and %zu more", s.n - LISTED);
  }
  for (size_t i = 0; i < s.n && i < LISTED; i++) note_parts(b, d, s.missing[i]);
  proposal best = {0};
  for (size_t i = 0; i < s.n && i < TRIED && best.found < s.n; i++)
    propose_for(&s, s.missing[i * s.n / (s.n < TRIED ? s.n : TRIED)], &best);
  if (!best.found) return;
  const char *of =
      best.found == s.n ? (s.n == 1 ? "it" : str_fmt(b->a, "all %zu", s.n)) : str_fmt(b->a, "%zu of them", best.found);
  diag_note_to(b->l, d, "the file has `%s`: `%s` under `rename:` would find %s", best.tensor, best.rule, of);
}

void weights_report_unused(weight_binder *b) {
  for (size_t i = 0; i < b->sources.n; i++) {
    const weight_source *s = b->sources.at[i];
    if (!s->unused.n) continue;
    strbuf names;
    sb_init(&names, b->a);
    for (size_t k = 0; k < s->unused.n && k < LISTED; k++) sb_fmt(&names, "%s%s", k ? ", " : "", s->unused.at[k]->name);
    if (s->unused.n > LISTED) sb_fmt(&names, ", and %zu more", s->unused.n - LISTED);
    diag *d = diag_at(b->l, NO_SPAN, weights_unused, s->path, s->unused.n, b->path, sb_cstr(&names));
    diag_note_to(b->l, d, "a rule `pattern: ignore` under `rename:` says that this is meant");
  }
}
