// A graph for Graphviz: a box an operator, an ellipse an input or output, a cluster a fused group. Constants of one
// value and weights are written into the box that reads them, so that the picture shows the flow of data.
#include "tools/nnc/stage.h"

#include <string.h>

static void escaped(strbuf *b, const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') sb_char(b, '\\');
    sb_char(b, *text);
  }
}

static bool is_label(const ir_value *v) {
  scalar splat;
  return v->def && (v->def->op == OP_weight || ir_is_splat(v, &splat));
}

static void print_operand(strbuf *b, const ir_value *v) {
  scalar s;
  sb_z(b, "\\n");
  if (v->def->op == OP_weight) escaped(b, ir_attr_str(v->def, "name", ""));
  else if (!ir_is_splat(v, &s)) sb_z(b, "constant");
  else if (dtype_is_float(s.dt)) sb_f64(b, s.v.f);
  else sb_fmt(b, "%lld", (long long)s.v.i);
}

typedef struct drawing {
  strbuf *b;
  map *stands_for; // a group region's parameters and results -> the value that holds the data
  uint32_t n_clusters;
} drawing;

static const ir_value *origin(const drawing *d, const ir_value *v) {
  for (const ir_value *next; (next = map_get_ptr(d->stands_for, v)) != NULL;) v = next;
  return v;
}

static void draw_region(drawing *d, const ir_region *r);

static void draw_group(drawing *d, const ir_node *n) {
  const ir_region *r = n->regions[0];
  for (uint32_t i = 0; i < r->n_params && i < n->n_in; i++) map_put_ptr(d->stands_for, &r->params[i], n->in[i]);
  for (uint32_t i = 0; i < n->n_out; i++) map_put_ptr(d->stands_for, &n->out[i], r->yields[i]);
  sb_fmt(d->b, "  subgraph cluster_%u { color=gray; label=\"", d->n_clusters++);
  escaped(d->b, ir_attr_str(n, "name", "group"));
  if (n->scope[0]) sb_z(d->b, "\\n");
  escaped(d->b, n->scope);
  sb_z(d->b, "\";\n");
  draw_region(d, r);
  sb_z(d->b, "  }\n");
}

static void draw_node(drawing *d, const ir_node *n) {
  if (n->n_out == 1 && is_label(&n->out[0])) return;
  sb_fmt(d->b, "  n%u [label=\"%s", n->n_out ? n->out[0].id : 0, op_get(n->op)->name);
  for (uint32_t i = 0; i < n->n_in; i++)
    if (is_label(origin(d, n->in[i]))) print_operand(d->b, origin(d, n->in[i]));
  if (n->n_out) sb_z(d->b, "\\n"), ir_type_print(d->b, n->out[0].type);
  if (n->scope[0]) sb_z(d->b, "\\n"), escaped(d->b, n->scope);
  sb_z(d->b, "\"];\n");
}

static void draw_region(drawing *d, const ir_region *r) {
  for (const ir_node *n = r->first; n; n = n->next) {
    if (n->op == OP_group) draw_group(d, n);
    else if (n->n_out) draw_node(d, n);
  }
}

static void draw_name(strbuf *b, const ir_value *v) { // a node is named by its first result
  sb_fmt(b, "n%u", v->def ? v->def->out[0].id : v->id);
}

static void draw_edges(drawing *d, const ir_region *r) {
  for (const ir_node *n = r->first; n; n = n->next) {
    if (n->op == OP_group) {
      draw_edges(d, n->regions[0]);
      continue;
    }
    for (uint32_t i = 0; i < n->n_in && n->n_out; i++) {
      const ir_value *from = origin(d, n->in[i]);
      if (is_label(from)) continue;
      sb_z(d->b, "  ");
      draw_name(d->b, from);
      sb_fmt(d->b, " -> n%u;\n", n->out[0].id);
    }
  }
}

static void draw_graph(strbuf *b, const ir_graph *g, uint32_t number) {
  drawing d = {.b = b, .stands_for = map_new(b->a), .n_clusters = 1000 * number};
  for (uint32_t i = 0; i < g->body->n_params; i++) {
    sb_fmt(b, "  n%u [shape=ellipse, label=\"%s\\n", g->body->params[i].id, g->param_names[i]);
    ir_type_print(b, g->body->params[i].type);
    sb_z(b, "\"];\n");
  }
  draw_region(&d, g->body);
  draw_edges(&d, g->body);
  for (uint32_t i = 0; i < g->body->n_yields; i++) {
    const ir_value *v = origin(&d, g->body->yields[i]);
    sb_fmt(b, "  out%u_%u [shape=ellipse, label=\"%s\"];\n  ", number, i, g->output_names[i]);
    if (is_label(v)) sb_fmt(b, "out%u_%u_value [label=\"constant\"];\n  out%u_%u_value", number, i, number, i);
    else draw_name(b, v);
    sb_fmt(b, " -> out%u_%u;\n", number, i);
  }
}

void stage_dot(strbuf *b, const ir_module *m, const char *title) {
  sb_z(b, "digraph \"");
  escaped(b, title);
  sb_z(b, "\" {\n  node [shape=box, fontname=monospace, fontsize=10];\n");
  for (size_t i = 0; i < m->graphs.n; i++) draw_graph(b, m->graphs.at[i], (uint32_t)i);
  sb_z(b, "}\n");
}
