// The pass runner: the one place that verifies, times, prints, skips, limits and round-trips.
#include "passes/pass.h"
#include "base/clock.h"
#include <string.h>

static const pass_info pipeline[] = {
#define P(name, doc) {#name, doc, pass_##name},
#include "passes/passes.def"
#undef P
};

size_t pass_count(void) { return sizeof pipeline / sizeof *pipeline; }

const pass_info *pass_at(size_t i) { return i < pass_count() ? &pipeline[i] : NULL; }

const pass_info *pass_find(const char *name) {
  for (size_t i = 0; i < pass_count(); i++)
    if (!strcmp(pipeline[i].name, name)) return &pipeline[i];
  return NULL;
}

static bool listed(const char *name, const char *const *list, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!strcmp(list[i], name) || !strcmp(list[i], "all")) return true;
  return false;
}

static uint32_t count_nodes(const ir_module *m) {
  uint32_t n = 0;
  for (size_t g = 0; g < m->graphs.n; g++) n += m->graphs.at[g]->body->n_nodes;
  return n;
}

// Prints the module, parses the text, prints again: the two texts must be equal.
static bool round_trips(pass_context *c, const ir_module *m, const char *after) {
  strbuf first, second;
  sb_init(&first, c->a);
  sb_init(&second, c->a);
  graph_print(&first, m, false);
  diag_list inner;
  diag_init(&inner, c->a);
  uint32_t file = diag_add_file(&inner, after, sb_str(&first));
  ir_module *again = graph_parse(c->a, &inner, file);
  if (again) graph_print(&second, again, false);
  if (again && str_eq(sb_str(&first), sb_str(&second))) return true;
  diag *d = diag_at(c->diags, NO_SPAN, pass_round_trip, after);
  for (size_t i = 0; i < inner.items.n && i < 3; i++) diag_note_to(c->diags, d, "%s", inner.items.at[i]->text);
  return false;
}

static bool holds_group(const ir_region *r) {
  for (const ir_node *n = r->first; n; n = n->next) {
    if (n->op == OP_group) return true;
    for (uint32_t i = 0; i < n->n_regions; i++)
      if (holds_group(n->regions[i])) return true;
  }
  return false;
}

// Groups are fusion's own: what it proved of one before it made it, no text can say and no verifier check.
static bool is_unfused(pass_context *c, const ir_module *m) {
  for (size_t i = 0; i < m->graphs.n; i++) {
    if (!holds_group(m->graphs.at[i]->body)) continue;
    diag_at(c->diags, NO_SPAN, graph_unsound, m->graphs.at[i]->name, "a `group` before fusion");
    return false;
  }
  return true;
}

bool pass_run_all(pass_context *c, ir_module *m, const pass_options *opt, pass_report *report) {
  if (opt->stop_after && !pass_find(opt->stop_after)) {
    diag_at(c->diags, NO_SPAN, pass_unknown, opt->stop_after);
    return false;
  }
  if (!is_unfused(c, m)) return false;
  int64_t done = 0;
  for (size_t i = 0; i < pass_count(); i++) {
    const pass_info *p = &pipeline[i];
    if (opt->limit >= 0 && done >= opt->limit) break;
    if (!listed(p->name, opt->skip, opt->n_skip)) {
      int64_t start = clock_ns();
      if (!p->run(c, m)) return false;
      done++;
      if (report)
        vec_push(c->a, &report->times, ((pass_time){p->name, (double)(clock_ns() - start) * 1e-6, count_nodes(m)}));
      if (opt->verify && !graph_verify(m)) {
        diag_at(c->diags, NO_SPAN, pass_broke_graph, p->name);
        return false;
      }
      if (opt->round_trip && !round_trips(c, m, p->name)) return false;
    }
    if (opt->dump && listed(p->name, opt->print_after, opt->n_print_after)) {
      sb_fmt(opt->dump, "// after %s\n", p->name);
      graph_print(opt->dump, m, false);
    }
    if (opt->stop_after && !strcmp(p->name, opt->stop_after)) break;
  }
  return true;
}
