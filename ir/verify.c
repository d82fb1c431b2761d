// Verification of modules: every rule that builders keep, checked again on what passes made. In: a module; out: one
// diagnostic for each problem, with the node as text. Nothing is assumed of the nodes but that their pointers are
// valid.
//
//   names are unique · values are defined before use, in the region or one around it (a group sees its own only) ·
//   nodes and regions point back to where they are · attributes are as ir_build writes them · types are what the shape
//   rule gives, over dims of the module · yields are visible · a group holds compiled operators only · no graph calls
//   itself, over any number of calls
#include "ir/graph_text.h"
#include "ir/infer.h"

#include <string.h>

typedef struct verifier {
  ir_module *m;
  const ir_graph *g;
  map *visible; // ir_value * -> the verifier while it may be used, NULL after its region
  map *numbers; // for messages; made by the first
  size_t problems;
  int depth;
} verifier;

static void unsound(verifier *v, const ir_node *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void unsound(verifier *v, const ir_node *n, const char *fmt, ...) {
  strbuf b;
  sb_init(&b, v->m->a);
  va_list ap;
  va_start(ap, fmt);
  sb_vfmt(&b, fmt, ap);
  va_end(ap);
  if (n != NULL) {
    if (v->numbers == NULL) v->numbers = graph_number(v->m->a, v->g);
    sb_z(&b, ", in: ");
    graph_print_node(&b, v->numbers, n);
  }
  const diag_span at = n != NULL && n->spans.n > 0 ? n->spans.at[0] : NO_SPAN;
  diag_at(v->m->diags, at, graph_unsound, v->g == NULL ? "" : v->g->name, sb_cstr(&b));
  v->problems++;
}

// -- nodes --

static void check_operands(verifier *v, const ir_node *n) {
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (map_get_ptr(v->visible, n->in[i]) == NULL) unsound(v, n, "operand %u is not defined here", i);
  }
}

static void check_attrs(verifier *v, const ir_node *n) {
  const ir_attr *written;
  const char *problem;
  const dtype dt = n->op == OP_const && n->n_out > 0 ? n->out[0].type.dt : n->n_in > 0 ? n->in[0]->type.dt : DT_f32;
  if (!schema_apply(v->m, op_get(n->op), dt, n->n_attrs, n->attrs, &written, &problem)) {
    unsound(v, n, "%s", problem);
    return;
  }
  for (uint32_t i = 0; i < n->n_attrs; i++) {
    const bool same = strcmp(n->attrs[i].key, written[i].key) == 0 && n->attrs[i].kind == written[i].kind;
    if (!same) unsound(v, n, "attribute `%s` is not in the operator's form or order", n->attrs[i].key);
  }
}

static bool may_be_equal(verifier *v, ir_type a, ir_type b) {
  if (a.dt != b.dt || a.rank != b.rank) return false;
  for (uint32_t i = 0; i < a.rank; i++) {
    if (idx_equal(v->m->ix, a.dim[i], b.dim[i]) == TRI_no) return false;
  }
  return true;
}

static void check_types(verifier *v, const ir_node *n) {
  ir_type *types = ARENA_ARRAY(v->m->a, ir_type, n->n_out);
  for (uint32_t i = 0; i < n->n_out; i++) types[i] = n->out[i].type;
  infer x = {.m = v->m, .n = *n, .n_declared = n->n_out, .declared = types};
  if (!infer_node(&x)) {
    unsound(v, n, "%s", x.problem);
    return;
  }
  if (x.n_out != n->n_out) {
    unsound(v, n, "it has %u results, not %u", x.n_out, n->n_out);
    return;
  }
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (!may_be_equal(v, n->out[i].type, x.out[i]))
      unsound(v, n, "result %u should be %s", i, infer_type_text(&x, x.out[i]));
  }
}

typedef struct symbol_check {
  verifier *v;
  const ir_node *n; // NULL: outside of nodes
} symbol_check;

static void check_symbol(void *user, const sym *s) {
  const symbol_check *c = user;
  for (size_t i = 0; i < c->v->m->dims.n; i++) {
    if (c->v->m->dims.at[i]->symbol == s) return;
  }
  unsound(c->v, c->n, "`%s` is not a dim of the module", s->name);
}

static void check_symbols(verifier *v, const ir_node *n, size_t count, const idx *const *e) {
  symbol_check c = {v, n};
  for (size_t i = 0; i < count; i++) {
    idx_symbols(e[i], check_symbol, &c);
    if (idx_mentions_read(e[i])) unsound(v, n, "a size reads elements of a tensor");
  }
}

static void check_node_symbols(verifier *v, const ir_node *n) {
  for (uint32_t i = 0; i < n->n_out; i++) check_symbols(v, n, n->out[i].type.rank, n->out[i].type.dim);
  for (uint32_t i = 0; i < n->n_attrs; i++) {
    const ir_attr *x = &n->attrs[i];
    if (x->kind == ATTR_idx) check_symbols(v, n, 1, &x->v.x);
    if (x->kind == ATTR_idxs) check_symbols(v, n, x->v.xs.n, x->v.xs.at);
  }
}

static void check_region(verifier *v, const ir_region *r, const ir_region *outer, const ir_node *owner, bool in_group);

static void check_node(verifier *v, const ir_node *n, const ir_region *r, bool in_group) {
  const size_t before = v->problems;
  if ((unsigned)n->op >= OP_COUNT) {
    unsound(v, NULL, "a node has no operator");
    return;
  }
  if (n->parent != r) unsound(v, n, "its region is not where it stands");
  const op_class cls = op_get(n->op)->cls; // control flow and routines stand between groups
  if (in_group && (!op_has(n->op, OPF_COMPILED) || cls == OPC_control || op_is_routine(n->op)))
    unsound(v, n, "a group cannot hold it");
  check_operands(v, n);
  for (uint32_t i = 0; i < n->n_regions; i++) check_region(v, n->regions[i], r, n, n->op == OP_group);
  if (v->problems == before) check_attrs(v, n);
  check_node_symbols(v, n);
  if (v->problems == before) check_types(v, n); // rules trust operands and attributes
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (n->out[i].def != n || n->out[i].index != i) unsound(v, n, "result %u does not point to its node", i);
    if (map_get_ptr(v->visible, &n->out[i]) != NULL) unsound(v, n, "result %u is defined twice", i);
    map_put_ptr(v->visible, &n->out[i], v);
  }
}

static void hide(verifier *v, const ir_region *r) {
  for (uint32_t i = 0; i < r->n_params; i++) map_put_ptr(v->visible, &r->params[i], NULL);
  uint32_t left = r->n_nodes;
  for (const ir_node *n = r->first; n != NULL && left > 0; n = n->next, left--) {
    for (uint32_t i = 0; i < n->n_out; i++) map_put_ptr(v->visible, &n->out[i], NULL);
  }
}

static void check_region(verifier *v, const ir_region *r, const ir_region *outer, const ir_node *owner, bool in_group) {
  if (++v->depth > GRAPH_MAX_NESTING) {
    unsound(v, owner, "its regions are nested too deeply");
    v->depth--;
    return;
  }
  map *around = v->visible;
  if (in_group) v->visible = map_new(v->m->a); // a group takes everything by its parameters
  if (r->graph != v->g) unsound(v, owner, "a region belongs to another graph");
  if (r->outer != outer) unsound(v, owner, "a region does not know the one around it");
  for (uint32_t i = 0; i < r->n_params; i++) {
    if (r->params[i].param_of != r || r->params[i].index != i)
      unsound(v, owner, "parameter %u does not point to its region", i);
    map_put_ptr(v->visible, &r->params[i], v);
  }
  uint32_t count = 0;
  const ir_node *last = NULL;
  for (const ir_node *n = r->first; n != NULL && count <= r->n_nodes; n = n->next, count++) {
    check_node(v, n, r, in_group);
    last = n;
  }
  if (count != r->n_nodes || last != r->last)
    unsound(v, owner, "a region counts %u nodes and has %u", r->n_nodes, count);
  for (uint32_t i = 0; i < r->n_yields; i++) {
    if (map_get_ptr(v->visible, r->yields[i]) == NULL) unsound(v, owner, "yielded value %u is not defined here", i);
  }
  hide(v, r);
  v->visible = around;
  v->depth--;
}

// -- graphs --

static void check_names(verifier *v, const char *what, uint32_t n, const char *const *names) {
  map *seen = map_new(v->m->a);
  for (uint32_t i = 0; i < n; i++) {
    if (names[i] == NULL || names[i][0] == '\0') unsound(v, NULL, "%s %u has no name", what, i);
    else if (!map_add(seen, str_of(names[i]), v)) unsound(v, NULL, "two %ss are named `%s`", what, names[i]);
  }
}

static void check_params(verifier *v, const ir_graph *g) {
  for (uint32_t i = 0; i < g->body->n_params; i++) {
    check_symbols(v, NULL, g->body->params[i].type.rank, g->body->params[i].type.dim);
    const scalar *s = g->param_defaults[i];
    if (s != NULL && s->dt != g->body->params[i].type.dt)
      unsound(v, NULL, "the default of `%s` has another dtype", g->param_names[i]);
  }
}

static void check_declarations(verifier *v) {
  const size_t n_dims = v->m->dims.n, n_states = v->m->states.n, n_graphs = v->m->graphs.n;
  const char **names = ARENA_ARRAY(v->m->a, const char *, n_dims + n_states + n_graphs);
  for (size_t i = 0; i < n_dims; i++) names[i] = v->m->dims.at[i]->symbol->name;
  check_names(v, "dim", (uint32_t)n_dims, names);
  for (size_t i = 0; i < n_states; i++) names[i] = v->m->states.at[i]->name;
  check_names(v, "state", (uint32_t)n_states, names);
  for (size_t i = 0; i < n_graphs; i++) names[i] = v->m->graphs.at[i]->name;
  check_names(v, "graph", (uint32_t)n_graphs, names);
  for (size_t i = 0; i < v->m->weights.n; i++) {
    const ir_weight *w = v->m->weights.at[i];
    if (!idx_is_const(ir_type_count(v->m, w->type), NULL)) unsound(v, NULL, "weight `%s` has symbolic dims", w->name);
  }
  for (size_t i = 0; i < n_states; i++)
    check_symbols(v, NULL, v->m->states.at[i]->type.rank, v->m->states.at[i]->type.dim);
}

// -- calls --

typedef struct call_walk {
  verifier *v;
  map *state; // ir_graph * -> "open" while on the way, "done" after
} call_walk;

static void walk_calls(call_walk *w, const ir_graph *g);

static void walk_region_calls(call_walk *w, const ir_region *r) {
  for (const ir_node *n = r->first; n != NULL; n = n->next) {
    const ir_graph *to = n->op == OP_call ? ir_graph_find(w->v->m, ir_attr_str(n, "graph", "")) : NULL;
    if (to != NULL) walk_calls(w, to);
    for (uint32_t i = 0; i < n->n_regions; i++) walk_region_calls(w, n->regions[i]);
  }
}

static void walk_calls(call_walk *w, const ir_graph *g) {
  static const char open = 0, done = 0;
  const char *state = map_get_ptr(w->state, g);
  if (state == &open) {
    w->v->g = g;
    unsound(w->v, NULL, "it calls itself");
  }
  if (state != NULL) return;
  map_put_ptr(w->state, g, (void *)(uintptr_t)&open);
  walk_region_calls(w, g->body);
  map_put_ptr(w->state, g, (void *)(uintptr_t)&done);
}

bool graph_verify(const ir_module *m) {
  verifier v = {.m = (ir_module *)(uintptr_t)m,
                .problems = 0}; // only its arena, index context and diagnostics are written
  check_declarations(&v);
  for (size_t i = 0; i < m->graphs.n; i++) {
    const ir_graph *g = m->graphs.at[i];
    v.g = g;
    v.numbers = NULL;
    v.visible = map_new(m->a);
    check_names(&v, "parameter", g->body->n_params, g->param_names);
    check_names(&v, "output", g->body->n_yields, g->output_names);
    check_params(&v, g);
    check_region(&v, g->body, NULL, NULL, false);
  }
  if (v.problems == 0) { // the walk trusts nesting
    call_walk w = {.v = &v, .state = map_new(m->a)};
    for (size_t i = 0; i < m->graphs.n; i++) walk_calls(&w, m->graphs.at[i]);
  }
  return v.problems == 0;
}
