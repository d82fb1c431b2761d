// Names of a checkpoint to names of the model: the first rule that matches decides; without one the name stays.
#include "frontend/weights.h"

#include <string.h>

void weights_dotted(strbuf *out, const char *name) {
  for (const char *p = name; *p; p++) sb_char(out, *p == '/' ? '.' : *p);
}

void weights_add_rules(weight_binder *b, weight_source *s, const ast_model *model) {
  for (size_t i = 0; i < model->renames.n; i++) {
    const ast_rename *ast = &model->renames.at[i];
    weight_rule rule = {.ast = ast};
    name_pattern p;
    for (size_t k = 0; k < ast->patterns.n; k++) {
      if (name_pattern_parse(b->a, b->l, ast->patterns.at[k].span, false, &p)) vec_push(b->a, &rule.patterns, p);
    }
    for (size_t k = 0; k < ast->targets.n; k++) {
      if (name_pattern_parse(b->a, b->l, ast->targets.at[k].span, true, &p)) vec_push(b->a, &rule.targets, p);
    }
    vec_push(b->a, &s->rules, rule);
  }
}

// The same rule: a checkpoint in several files has it once for each.
static bool is_same_rule(const weight_rule *x, const weight_rule *y) {
  if (!x || !y) return x == y;
  return x->ast->span.file == y->ast->span.file && x->ast->span.begin == y->ast->span.begin;
}

static const weight_part *first_part(const weight_slot *s) {
  const weight_part *p = s->parts;
  while (!p->tensor) p++;
  return p;
}

static void assign(weight_binder *b, weight_slot *s, const weight_rule *rule, size_t part, weight_part found) {
  if (!s->n_parts) {
    s->rule = rule;
    s->n_parts = rule && rule->ast->kind == RN_concat ? rule->patterns.n : 1;
    s->parts = ARENA_ARRAY(b->a, weight_part, s->n_parts);
  } else if (!is_same_rule(s->rule, rule) || s->parts[part].tensor) {
    const weight_part *first = first_part(s);
    if (!s->reported) {
      diag_at(b->l, s->w->span, weight_found_twice, s->w->name, first->tensor->name, first->source->path,
              found.tensor->name, found.source->path);
    }
    s->reported = true;
    return;
  }
  s->parts[part] = found;
}

static weight_slot *find_slot(weight_binder *b, const weight_source *s, str name, strbuf *text) {
  text->n = 0;
  if (s->scope.n) sb_fmt(text, STR_FMT ".", STR_ARG(s->scope));
  sb_bytes(text, name.p, name.n);
  return map_get(b->slot_by_name, sb_str(text));
}

typedef enum verdict { MATCH_none, MATCH_used, MATCH_unused } verdict;

// Room used again for every name.
typedef struct workspace {
  name_matcher matcher;
  strbuf name, target, full;
} workspace;

// The weights that a rule's targets name, with what pattern `k` has captured. False: a counted capture is no number, so
// the rule does not match after all. *all: every target is a weight.
static bool find_targets(weight_binder *b, const weight_source *s, const weight_rule *rule, size_t k, workspace *w,
                         weight_slot **slots, bool *all) {
  *all = true;
  for (size_t i = 0; i < rule->targets.n; i++) {
    w->target.n = 0;
    if (!name_pattern_expand(&rule->targets.at[i], &rule->patterns.at[k], w->matcher.captured.at, &w->target))
      return false;
    slots[i] = find_slot(b, s, sb_str(&w->target), &w->full);
    *all = *all && slots[i];
  }
  return true;
}

static verdict try_rule(weight_binder *b, const weight_source *s, const weight_rule *rule, const st_tensor *t,
                        workspace *w) {
  for (size_t k = 0; k < rule->patterns.n; k++) {
    if (!name_pattern_match(b->a, &w->matcher, &rule->patterns.at[k], sb_str(&w->name))) continue;
    if (rule->ast->kind == RN_ignore) return MATCH_used;
    weight_slot **slots = ARENA_ARRAY(b->a, weight_slot *, rule->targets.n);
    bool all;
    if (!find_targets(b, s, rule, k, w, slots, &all)) continue;
    if (!all) return MATCH_unused;
    for (size_t i = 0; i < rule->targets.n; i++) {
      assign(b, slots[i], rule, k, (weight_part){t, s});
      slots[i]->split_index = i;
      slots[i]->split_into = slots;
    }
    return MATCH_used;
  }
  return MATCH_none;
}

static verdict match_tensor(weight_binder *b, const weight_source *s, const st_tensor *t, workspace *w) {
  w->name.n = 0;
  weights_dotted(&w->name, t->name);
  for (size_t i = 0; i < s->rules.n; i++) {
    verdict v = try_rule(b, s, &s->rules.at[i], t, w);
    if (v != MATCH_none) return v;
  }
  weight_slot *slot = find_slot(b, s, sb_str(&w->name), &w->full);
  if (!slot) return MATCH_unused;
  assign(b, slot, NULL, 0, (weight_part){t, s});
  return MATCH_used;
}

void weights_match(weight_binder *b, weight_source *s) {
  workspace w = {0};
  sb_init(&w.name, b->a);
  sb_init(&w.target, b->a);
  sb_init(&w.full, b->a);
  for (size_t i = 0; i < st_count(s->file); i++) {
    const st_tensor *t = st_at(s->file, i);
    if (match_tensor(b, s, t, &w) == MATCH_unused) vec_push(b->a, &s->unused, t);
  }
}
