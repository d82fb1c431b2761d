// Printing modules: the text form of docs/graph-ir.md, which ir/graph_parse.c reads back to an equal module. Values are
// numbered in order of appearance; attributes are sorted already; floats are the shortest decimals that read back.
#include "ir/graph_text.h"

#include <math.h>
#include <string.h>

// -- numbers of values --

static void number_value(map *numbers, const ir_value *v) {
  map_put_ptr(numbers, v, (void *)(uintptr_t)(map_count(numbers) + 1));
}

static void number_region(map *numbers, const ir_region *r) {
  for (uint32_t i = 0; i < r->n_params; i++) number_value(numbers, &r->params[i]);
  uint32_t left = r->n_nodes; // a damaged list, of which the verifier speaks, may be a cycle
  for (const ir_node *n = r->first; n != NULL && left > 0; n = n->next, left--) {
    for (uint32_t i = 0; i < n->n_out; i++) number_value(numbers, &n->out[i]);
    for (uint32_t i = 0; i < n->n_regions; i++) number_region(numbers, n->regions[i]);
  }
}

map *graph_number(arena *a, const ir_graph *g) {
  map *numbers = map_new(a);
  number_region(numbers, g->body);
  return numbers;
}

typedef struct printer {
  strbuf *b;
  const map *numbers;
  const diag_list *l; // for spans; NULL: without
  bool regions;
} printer;

static void print_value(printer *p, const ir_value *v) {
  const uintptr_t n = v == NULL ? 0 : (uintptr_t)map_get_ptr(p->numbers, v);
  if (n == 0) sb_z(p->b, "%?");
  else sb_fmt(p->b, "%%%llu", (unsigned long long)(n - 1));
}

// -- names and numbers --

bool graph_bare_name(const char *z, const char *more) {
  if (*z == '\0') return false;
  for (; *z != '\0'; z++) {
    const bool word = (*z >= 'a' && *z <= 'z') || (*z >= 'A' && *z <= 'Z') || (*z >= '0' && *z <= '9');
    if (!word && strchr(more, *z) == NULL) return false;
  }
  return true;
}

static void print_name(strbuf *b, const char *z) {
  if (graph_bare_name(z, "_.-")) sb_z(b, z);
  else sb_quoted(b, str_of(z));
}

static void print_path(strbuf *b, const char *z) {
  if (graph_bare_name(z, "_.-/")) sb_z(b, z);
  else sb_quoted(b, str_of(z));
}

// The fewest digits that round to v in a 16-bit float.
static bool print_short(strbuf *b, dtype dt, double v) {
  for (int digits = 1; digits <= 9 && isfinite(v); digits++) {
    const char *text = str_fmt(b->a, "%.*g", digits, v);
    double back;
    if (!parse_f64(str_of(text), &back) || !scalar_same(scalar_f(dt, back), scalar_f(dt, v))) continue;
    sb_z(b, text);
    if (strpbrk(text, ".e") == NULL) sb_z(b, ".0");
    return true;
  }
  return false;
}

static void print_float(strbuf *b, dtype dt, double v) {
  if ((dt == DT_f16 || dt == DT_bf16) && print_short(b, dt, v)) return;
  if (dt == DT_f64) sb_f64(b, v);
  else sb_f32(b, (float)v);
}

static void print_scalar(strbuf *b, scalar s) {
  if (dtype_is_float(s.dt)) print_float(b, s.dt, s.v.f);
  else sb_fmt(b, "%lld", (long long)s.v.i);
}

// -- attributes --

static void comma(strbuf *b, size_t i) {
  if (i > 0) sb_char(b, ',');
}

static void print_attr(strbuf *b, const ir_attr *x, dtype value) {
  switch (x->kind) {
  case ATTR_int: sb_fmt(b, "%lld", (long long)x->v.i); return;
  case ATTR_float: print_float(b, value, x->v.f); return;
  case ATTR_str: sb_quoted(b, str_of(x->v.s)); return;
  case ATTR_idx: idx_print(b, x->v.x); return;
  case ATTR_dtype: sb_z(b, dtype_name(x->v.dt)); return;
  case ATTR_ints:
  case ATTR_floats:
  case ATTR_idxs: break;
  }
  sb_char(b, '[');
  for (size_t i = 0; x->kind == ATTR_ints && i < x->v.is.n; i++) {
    comma(b, i);
    sb_fmt(b, "%lld", (long long)x->v.is.at[i]);
  }
  for (size_t i = 0; x->kind == ATTR_floats && i < x->v.fs.n; i++) {
    comma(b, i);
    print_float(b, value, x->v.fs.at[i]);
  }
  for (size_t i = 0; x->kind == ATTR_idxs && i < x->v.xs.n; i++) {
    comma(b, i);
    idx_print(b, x->v.xs.at[i]);
  }
  sb_char(b, ']');
}

// The values of const and pad are rounded to the dtype; other floats are doubles.
static dtype attr_dtype_of(const ir_node *n, const ir_attr *x) {
  const bool rounded = (n->op == OP_const || n->op == OP_pad) && strcmp(x->key, "value") == 0;
  return rounded && n->n_out > 0 ? n->out[0].type.dt : DT_f64;
}

static void print_attrs(strbuf *b, const ir_node *n) {
  if (n->n_attrs == 0) return;
  sb_z(b, " {");
  for (uint32_t i = 0; i < n->n_attrs; i++) {
    if (i > 0) sb_z(b, ", ");
    sb_fmt(b, "%s=", n->attrs[i].key);
    print_attr(b, &n->attrs[i], attr_dtype_of(n, &n->attrs[i]));
  }
  sb_char(b, '}');
}

// -- nodes --

static void print_spans(printer *p, const ir_node *n) {
  for (uint32_t i = 0; i < n->spans.n; i++) {
    const char *file;
    uint32_t line, column;
    if (n->spans.at[i].file == 0) continue;
    diag_position(p->l, n->spans.at[i], &file, &line, &column);
    sb_z(p->b, " !");
    print_path(p->b, file);
    sb_fmt(p->b, ":%u:%u", line, column);
  }
}

static void print_region(printer *p, const ir_region *r, int indent);

static void print_node(printer *p, const ir_node *n, int indent) {
  strbuf *b = p->b;
  sb_fmt(b, "%*s", indent, "");
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (i > 0) sb_z(b, ", ");
    print_value(p, &n->out[i]);
  }
  sb_fmt(b, "%s%s(", n->n_out > 0 ? " = " : "", op_get(n->op)->name);
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (i > 0) sb_z(b, ", ");
    print_value(p, n->in[i]);
  }
  sb_char(b, ')');
  print_attrs(b, n);
  for (uint32_t i = 0; i < n->n_regions; i++) {
    if (p->regions) print_region(p, n->regions[i], indent);
    else sb_z(b, " {...}");
  }
  for (uint32_t i = 0; i < n->n_out; i++) {
    sb_z(b, i == 0 ? " : " : ", ");
    ir_type_print(b, n->out[i].type);
  }
  if (n->scope != NULL && n->scope[0] != '\0') {
    sb_z(b, " @");
    print_path(b, n->scope);
  }
  if (p->l != NULL) print_spans(p, n);
}

static void print_nodes(printer *p, const ir_region *r, int indent) {
  for (const ir_node *n = r->first; n != NULL; n = n->next) {
    print_node(p, n, indent);
    sb_char(p->b, '\n');
  }
}

static void print_region(printer *p, const ir_region *r, int indent) {
  sb_z(p->b, " {(");
  for (uint32_t i = 0; i < r->n_params; i++) {
    if (i > 0) sb_z(p->b, ", ");
    print_value(p, &r->params[i]);
    sb_z(p->b, ": ");
    ir_type_print(p->b, r->params[i].type);
  }
  sb_z(p->b, ")\n");
  print_nodes(p, r, indent + 2);
  sb_fmt(p->b, "%*syield", indent + 2, "");
  for (uint32_t i = 0; i < r->n_yields; i++) {
    sb_z(p->b, i == 0 ? " " : ", ");
    print_value(p, r->yields[i]);
  }
  sb_fmt(p->b, "\n%*s}", indent, "");
}

void graph_print_node(strbuf *b, const map *numbers, const ir_node *n) {
  printer p = {.b = b, .numbers = numbers};
  print_node(&p, n, 0);
}

void graph_print_one(strbuf *b, const ir_graph *g, bool spans) {
  printer p = {.b = b, .numbers = graph_number(b->a, g), .l = spans ? g->module->diags : NULL, .regions = true};
  const ir_region *r = g->body;
  sb_z(b, "graph ");
  print_name(b, g->name);
  sb_char(b, '(');
  for (uint32_t i = 0; i < r->n_params; i++) {
    if (i > 0) sb_z(b, ", ");
    print_value(&p, &r->params[i]);
    sb_char(b, ' ');
    print_name(b, g->param_names[i]);
    sb_z(b, ": ");
    ir_type_print(b, r->params[i].type);
    if (g->param_defaults[i] == NULL) continue;
    sb_z(b, " = ");
    print_scalar(b, *g->param_defaults[i]);
  }
  sb_z(b, ") {\n");
  print_nodes(&p, r, 2);
  sb_z(b, "  return");
  for (uint32_t i = 0; i < r->n_yields; i++) {
    sb_z(b, i == 0 ? " " : ", ");
    print_name(b, g->output_names[i]);
    sb_z(b, ": ");
    print_value(&p, r->yields[i]);
  }
  sb_z(b, "\n}\n");
}

// -- the module --

static void print_dim(strbuf *b, const ir_dim *d) {
  sb_fmt(b, "dim %s in %lld..", d->symbol->name, (long long)d->lo);
  if (d->symbol->hi != NULL && !idx_is_const(d->symbol->hi, NULL)) idx_print(b, d->symbol->hi);
  else sb_fmt(b, "%lld", (long long)d->hi);
  if (d->step > 1) sb_fmt(b, " step %lld", (long long)d->step);
  sb_char(b, '\n');
}

static void print_weight(strbuf *b, const ir_weight *w) {
  sb_z(b, "weight ");
  print_name(b, w->name);
  sb_z(b, " : ");
  ir_type_print(b, w->type);
  const char *before = " {";
  if (w->init != NULL) {
    sb_fmt(b, "%sinit=", before);
    sb_quoted(b, str_of(w->init));
    before = ", ";
  }
  if (w->init_scale != 0) {
    sb_fmt(b, "%sscale=", before);
    sb_f64(b, w->init_scale);
    before = ", ";
  }
  if (w->is_buffer) {
    sb_fmt(b, "%sbuffer=1", before);
    before = ", ";
  }
  sb_z(b, before[0] == ',' ? "}\n" : "\n");
}

void graph_print(strbuf *b, const ir_module *m, bool spans) {
  for (size_t i = 0; i < m->dims.n; i++) print_dim(b, m->dims.at[i]);
  for (size_t i = 0; i < m->weights.n; i++) print_weight(b, m->weights.at[i]);
  for (size_t i = 0; i < m->states.n; i++) {
    const ir_state *s = m->states.at[i];
    sb_z(b, "state ");
    print_name(b, s->name);
    sb_z(b, " : ");
    ir_type_print(b, s->type);
    sb_z(b, " = ");
    print_scalar(b, s->init);
    sb_char(b, '\n');
  }
  for (size_t i = 0; i < m->graphs.n; i++) graph_print_one(b, m->graphs.at[i], spans);
}
