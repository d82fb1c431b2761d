// Shrinking: see shrink.h. Greedy: each edit that keeps the failure is kept, and the round of edits begins again until
// none helps.
#include "op/shrink.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct edit {
  enum { EDIT_drop_output, EDIT_to_input, EDIT_to_operand } kind;
  uint32_t at, which; // output; node, and which operand
} edit;

// -- edits of the graph --

typedef struct copying {
  const ir_graph *from;
  ir_graph *to;
  ir_builder b;
  map *live, *values;
} copying;

static const ir_node *node_at(const ir_graph *g, uint32_t at) {
  const ir_node *n = g->body->first;
  while (n && at--) n = n->next;
  return n;
}

static bool is_dropped(const edit *e, const ir_graph *g, uint32_t output) {
  return e->kind == EDIT_drop_output && output == e->at && g->body->n_yields > 1;
}

static const ir_value *replacement(const edit *e, const ir_node *n) { // NULL: a fresh input
  return e->kind == EDIT_to_operand ? n->in[e->which] : NULL;
}

static void mark(copying *c, const edit *e, const ir_node *target, const ir_value *v);

static void mark_body(copying *c, const edit *e, const ir_node *target, const ir_region *r) {
  for (const ir_node *n = r->first; n; n = n->next) {
    for (uint32_t i = 0; i < n->n_in; i++) mark(c, e, target, n->in[i]);
    for (uint32_t i = 0; i < n->n_regions; i++) mark_body(c, e, target, n->regions[i]);
  }
  for (uint32_t i = 0; i < r->n_yields; i++) mark(c, e, target, r->yields[i]);
}

// Marks what the outputs need after the edit, backwards.
static void mark(copying *c, const edit *e, const ir_node *target, const ir_value *v) {
  if (map_get_ptr(c->live, v)) return;
  map_put_ptr(c->live, v, c);
  if (!v->def) return;
  if (v->def == target) {
    if (replacement(e, target)) mark(c, e, target, replacement(e, target));
    return;
  }
  for (uint32_t i = 0; i < v->def->n_in; i++) mark(c, e, target, v->def->in[i]);
  for (uint32_t i = 0; i < v->def->n_regions; i++) mark_body(c, e, target, v->def->regions[i]);
}

static bool is_live(const copying *c, const ir_node *n) {
  for (uint32_t i = 0; i < n->n_out; i++)
    if (map_get_ptr(c->live, &n->out[i])) return true;
  return false;
}

static void copy_node(copying *c, const edit *e, const ir_node *n, const ir_node *target, uint32_t number) {
  ir_module *m = c->from->module;
  if (!is_live(c, n)) return;
  if (n == target) {
    const ir_value *v = replacement(e, n);
    char kind = n->out[0].type.dt == DT_bool ? 'b' : dtype_is_float(n->out[0].type.dt) ? 'u' : 'i';
    ir_value *with = v ? map_get_ptr(c->values, v)
                       : ir_graph_param(c->to, str_fmt(m->a, "%c_s%u_%u", kind, number, c->from->body->n_nodes),
                                        n->out[0].type, NULL);
    map_put_ptr(c->values, &n->out[0], with);
    return;
  }
  ir_value **in = ARENA_ARRAY(m->a, ir_value *, n->n_in + 1);
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = map_get_ptr(c->values, n->in[i]);
  ir_copy_node(&c->b, n, in, c->values);
}

static bool names_weight(const ir_region *r, const char *name) {
  for (const ir_node *n = r->first; n; n = n->next) {
    if (n->op == OP_weight && !strcmp(ir_attr_str(n, "name", ""), name)) return true;
    for (uint32_t i = 0; i < n->n_regions; i++)
      if (names_weight(n->regions[i], name)) return true;
  }
  return false;
}

static void drop_weights(ir_module *m, const ir_graph *g) {
  size_t n = 0;
  for (size_t i = 0; i < m->weights.n; i++) {
    if (names_weight(g->body, m->weights.at[i]->name)) m->weights.at[n++] = m->weights.at[i];
  }
  m->weights.n = n;
}

// NULL: the edit does not apply.
static const char *edited(arena *a, const char *text, const edit *e) {
  diag_list l;
  diag_init(&l, a);
  ir_module *m = graph_parse(a, &l, diag_add_file(&l, "shrunk", str_of(text)));
  if (!m) return NULL;
  const ir_graph *g = m->graphs.at[0];
  const ir_node *target = e->kind == EDIT_drop_output ? NULL : node_at(g, e->at);
  if (e->kind == EDIT_drop_output ? e->at >= g->body->n_yields || g->body->n_yields == 1
                                  : !target || target->n_out != 1)
    return NULL;
  if (e->kind == EDIT_to_operand &&
      (e->which >= target->n_in || !ir_type_equal(target->in[e->which]->type, target->out[0].type)))
    return NULL;
  if (e->kind == EDIT_to_input && op_get(target->op)->cls == OPC_leaf && target->op != OP_weight) return NULL;
  copying c = {.from = g, .to = ir_graph_new(m, g->name, false), .live = map_new(a), .values = map_new(a)};
  ir_builder_init(&c.b, m, c.to->body);
  c.b.cse = NULL;
  for (uint32_t i = 0; i < g->body->n_yields; i++)
    if (!is_dropped(e, g, i)) mark(&c, e, target, g->body->yields[i]);
  for (uint32_t i = 0; i < g->body->n_params; i++) {
    const ir_value *p = &g->body->params[i];
    bool names_dim = p->type.rank == 1 && idx_is_symbol(p->type.dim[0]);
    if (map_get_ptr(c.live, p) || names_dim)
      map_put_ptr(c.values, p, ir_graph_param(c.to, g->param_names[i], p->type, NULL));
  }
  uint32_t number = 0;
  for (const ir_node *n = g->body->first; n; n = n->next) copy_node(&c, e, n, target, number++);
  for (uint32_t i = 0; i < g->body->n_yields; i++)
    if (!is_dropped(e, g, i)) ir_graph_output(c.to, g->output_names[i], map_get_ptr(c.values, g->body->yields[i]));
  ir_graph_replace(m, m->graphs.at[0], c.to);
  drop_weights(m, c.to);
  strbuf out;
  sb_init(&out, a);
  graph_print(&out, m, false);
  return sb_cstr(&out);
}

// -- edits of the text --

static bool is_word(char ch) {
  return isalnum((unsigned char)ch) || ch == '_' || ch == '.' || ch == '%' || ch == '-' || ch == '"';
}

// The text with every whole number `from` replaced by `to`; NULL when there is none.
static const char *renumbered(arena *a, const char *text, int64_t from, int64_t to) {
  strbuf out;
  sb_init(&out, a);
  bool found = false;
  for (const char *p = text; *p;) {
    bool number =
        isdigit((unsigned char)*p) && (p == text || !is_word(p[-1]) || (p[-1] == '.' && p > text + 1 && p[-2] == '.'));
    size_t n = strspn(p, "0123456789");
    if (number && p[n] != '.' && strtoll(p, NULL, 10) == from) {
      sb_fmt(&out, "%lld", (long long)to);
      found = true;
      p += n;
    } else {
      size_t word = number ? n : 1;
      sb_bytes(&out, p, word);
      p += word;
    }
  }
  return found ? sb_cstr(&out) : NULL;
}

// The text with a dim replaced by a constant, and without its declaration.
static const char *fixed_dim(arena *a, const char *text, const char *dim, int64_t value) {
  strbuf out;
  sb_init(&out, a);
  size_t n = strlen(dim);
  for (const char *line = text; *line;) {
    size_t length = strcspn(line, "\n") + 1;
    if (strncmp(line, "dim ", 4) == 0 && strncmp(line + 4, dim, n) == 0) {
      line += length;
      continue;
    }
    for (const char *p = line; p < line + length; p++) {
      bool here = strncmp(p, dim, n) == 0 && !is_word(p[n]) && !is_word(p[-1]);
      if (here) sb_fmt(&out, "%lld", (long long)value);
      else sb_char(&out, *p);
      if (here) p += n - 1;
    }
    line += length;
  }
  return sb_cstr(&out);
}

// -- the search --

typedef struct search {
  arena *a;
  const char *best;
  bool (*fails)(void *user, const char *text);
  void *user;
  uint32_t budget;
} search;

static bool try_text(search *s, const char *text) {
  if (!text || s->budget == 0 || !strcmp(text, s->best)) return false;
  s->budget--;
  if (!s->fails(s->user, text)) return false;
  s->best = text;
  return true;
}

static bool try_edit(search *s, edit e) {
  arena *a = arena_new(NULL);
  if (setjmp(*arena_guard(a))) {
    arena_free(a);
    return false;
  }
  const char *text = edited(a, s->best, &e);
  if (text) text = str_dup(s->a, str_of(text));
  arena_free(a);
  return try_text(s, text);
}

static uint32_t count_lines(const char *text) {
  uint32_t n = 0;
  for (; *text; text++) n += *text == '\n';
  return n;
}

static bool smaller_graph(search *s) {
  bool any = false;
  for (uint32_t i = count_lines(s->best); i-- > 0;) any = try_edit(s, (edit){EDIT_drop_output, i, 0}) || any;
  for (uint32_t i = count_lines(s->best); i-- > 0;) {
    bool done = try_edit(s, (edit){EDIT_to_input, i, 0});
    for (uint32_t k = 0; k < 3 && !done; k++) done = try_edit(s, (edit){EDIT_to_operand, i, k});
    any = any || done;
  }
  return any;
}

static bool smaller_numbers(search *s) {
  static const char *const dims[] = {"batch", "seq", "width", "length"};
  bool any = false;
  for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
    if (strstr(s->best, dims[i]))
      any =
          try_text(s, fixed_dim(s->a, s->best, dims[i], 8)) || try_text(s, fixed_dim(s->a, s->best, dims[i], 1)) || any;
  for (int64_t from = 140; from > 1; from--) {
    const int64_t to[] = {1, 2, from / 2, from - 1};
    bool done = false;
    for (size_t i = 0; i < 4 && !done; i++)
      if (to[i] < from) done = try_text(s, renumbered(s->a, s->best, from, to[i]));
    any = any || done;
  }
  return any;
}

const char *shrink_graph(arena *a, const char *text, bool (*fails)(void *user, const char *text), void *user,
                         uint32_t budget) {
  search s = {a, text, fails, user, budget};
  while (s.budget > 0 && (smaller_graph(&s) || smaller_numbers(&s))) continue;
  return s.best;
}
