// --precision bf16: what groups leave to each other lies in memory as bf16. Arithmetic stays f32.
//
// After fusion every value in memory is a group's result. One that is f32, and read by groups alone, is rounded once
// where it is stored; each reader widens it where it reads. So products take bf16 operands and sum in f32, while norms,
// softmax, sums and residual additions see f32 inside of their group. Weights are narrow already (passes/weights.c).
//
// Kept as they are:
//   what the caller sees         outputs, states, what loops and branches carry
//   what may decide something    read by a group that gives integers or bools: two neighbours that become equal would
//                                change the place of a maximum
//   what must be exact           made of weights, integers and statistics alone, by elementwise operators: tables,
//   angles
//                                (positions times frequencies: rounded, they would be off by radians), means, variances
//   what is read serially        by scans and updates
//   operands of products         where neither is a weight, and the rows that weights are multiplied with: register
//                                tiles read them once for each panel of columns, and widening costs more each time than
//                                the f32 in the cache (MiniLM, 128 tokens, AVX2: 60 ms instead of 36). Not so where the
//                                target, or its warps, take bf16 as it lies
//
// Linear in nodes, but for the movement behind a group's root, which is short.
#include "passes/fuse.h"
#include <string.h>

bool precision_find(const char *name, precision_form *out) {
  static const char *const names[] = {[PRECISION_f32] = "f32", [PRECISION_bf16] = "bf16", [PRECISION_int8] = "int8"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(name, names[i])) continue;
    *out = (precision_form)i;
    return true;
  }
  return false;
}

typedef struct narrowing {
  pass_context *c;
  ir_module *m;
  map *exact; // ir_value * -> anything: made of weights, integers and statistics alone
  map *wide;  // ir_value * -> anything: a reader needs it as it is
} narrowing;

static bool has_kind(const ir_node *group, const char *kind) { return !strcmp(ir_attr_str(group, "kind", ""), kind); }

// -- who reads what --

static void keep(narrowing *x, const ir_value *v) { map_put_ptr(x->wide, v, x); }

static bool gives_floats(const ir_node *group) {
  for (uint32_t i = 0; i < group->n_out; i++)
    if (!dtype_is_float(group->out[i].type.dt)) return false;
  return true;
}

static bool is_exact(const narrowing *x, const ir_value *v) {
  bool leaf = v->def && (v->def->op == OP_weight || v->def->op == OP_const || v->def->op == OP_iota);
  return leaf || !dtype_is_float(v->type.dt) || map_get_ptr(x->exact, v);
}

// The values of outside that an operand of a product is made of.
static void keep_operand(narrowing *x, const ir_node *group, const ir_value *v) {
  const ir_region *r = group->regions[0];
  if (map_get_ptr(x->wide, v)) return; // seen
  keep(x, v);
  if (v->param_of == r) keep(x, group->in[v->index]);
  for (uint32_t i = 0; v->def && i < v->def->n_in; i++) keep_operand(x, group, v->def->in[i]);
}

// Is an operand made of weights and the like alone? `seen`: values that are, or are being asked.
static bool is_exact_inside(const narrowing *x, const ir_node *group, const ir_value *v, map *seen) {
  if (map_get_ptr(seen, v)) return true;
  map_put_ptr(seen, v, seen);
  if (v->param_of == group->regions[0]) return is_exact(x, group->in[v->index]);
  for (uint32_t i = 0; v->def && i < v->def->n_in; i++)
    if (!is_exact_inside(x, group, v->def->in[i], seen)) return false;
  return v->def != NULL;
}

// Products with weights that take bf16 as it lies (contract_narrow.c, contract_matrix.c): a reduced label lies side by
// side, and is long enough.
static bool takes_narrow(const narrowing *x, const ir_node *group, const ir_node *product) {
  const ir_map *labels = ir_map_of(x->m, product);
  const target *t = x->c->target;
  int64_t step = t->has_bf16 ? 2 : 32;
  if ((!t->has_bf16 && !t->has_amx) || !labels) return false;
  for (uint32_t o = 0; o < 2; o++) {
    const ir_axis *last = labels->operand[o].rank ? &labels->operand[o].axes[labels->operand[o].rank - 1] : NULL;
    if (!last || !is_exact_inside(x, group, product->in[1 - o], map_new(x->c->a))) continue;
    for (uint32_t i = 0; i < labels->n_labels; i++) {
      int64_t depth;
      const ir_label *l = &labels->labels[i];
      if (!l->in_out && idx_is_symbol(last->at) == l->symbol && idx_is_const(l->extent, &depth) && depth > 8 &&
          depth % step == 0)
        return true;
    }
  }
  return false;
}

static void keep_operands(narrowing *x, const ir_node *group) {
  const ir_node *product = group->regions[0]->first;
  while (product && product->op != OP_contract) product = product->next;
  if (product && (x->c->target->has_mma || takes_narrow(x, group, product))) return;
  for (uint32_t i = 0; product && i < product->n_in; i++) keep_operand(x, group, product->in[i]);
}

// Has a row of a group one such value, or less?
static bool is_statistic(const narrowing *x, const ir_node *group, const ir_value *yield) {
  int64_t root = ir_attr_int(group, "root", 0);
  const ir_node *q = group->regions[0]->first;
  while (q && root-- > 0) q = q->next;
  if (!has_kind(group, "row") || !q) return false;
  ir_type all = op_get(q->op)->cls == OPC_reduce ? q->in[0]->type : q->out[0].type;
  return ir_type_count(x->m, yield->type) != ir_type_count(x->m, all);
}

static void look_at(narrowing *x, const ir_node *n) {
  bool group = n->op == OP_group, serial = group && (has_kind(n, "scan") || has_kind(n, "update"));
  bool exact = group && (serial || has_kind(n, "elem"));
  for (uint32_t i = 0; i < n->n_in; i++) {
    exact = exact && is_exact(x, n->in[i]);
    if (!group || serial || !gives_floats(n)) keep(x, n->in[i]);
  }
  if (group && has_kind(n, "contract")) keep_operands(x, n);
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (exact || (group && is_statistic(x, n, n->regions[0]->yields[i]))) map_put_ptr(x->exact, &n->out[i], x);
    if (!group || serial) keep(x, &n->out[i]);
  }
}

static void look_in(narrowing *x, const ir_region *r) {
  for (const ir_node *n = r->first; n; n = n->next) {
    look_at(x, n);
    for (uint32_t i = 0; n->op != OP_group && i < n->n_regions; i++) look_in(x, n->regions[i]);
  }
  for (uint32_t i = 0; i < r->n_yields; i++) keep(x, r->yields[i]);
}

static bool is_narrowed(const narrowing *x, const ir_value *v) {
  return v->def && v->def->op == OP_group && v->type.dt == DT_f32 && !is_exact(x, v) && !map_get_ptr(x->wide, v);
}

// -- groups again --

typedef struct regroup {
  const ir_node *group;
  int64_t root;
  ir_builder b; // of the new region
  map *values;  // old value -> new value
} regroup;

static int64_t position(const regroup *g, const ir_node *n) {
  int64_t at = 0;
  for (const ir_node *q = g->group->regions[0]->first; q && q != n; q = q->next) at++;
  return at;
}

// Movement behind the root that nothing but yields reads: what is stored is rounded before it.
static bool is_sunk(const regroup *g, const ir_node *n) {
  if (op_get(n->op)->cls != OPC_movement || n->n_in != 1 || position(g, n) <= g->root) return false;
  for (const ir_node *q = n->next; q; q = q->next)
    for (uint32_t i = 0; i < q->n_in; i++)
      if (q->in[i] == &n->out[0] && !is_sunk(g, q)) return false;
  return true;
}

// What the region yields for an old value: as it is, or rounded.
static ir_value *yielded(regroup *g, const ir_value *v, bool narrow) {
  if (v->def && v->def->parent == g->group->regions[0] && is_sunk(g, v->def)) {
    ir_value *in[] = {yielded(g, v->def->in[0], narrow)};
    return &ir_copy_node(&g->b, v->def, in, map_new(g->b.m->a))->out[0];
  }
  ir_value *to = map_get_ptr(g->values, v);
  return narrow ? ir_cast(&g->b, to, DT_bf16) : to;
}

static bool narrow_group(void *user, ir_builder *b, const ir_node *n, map *values) {
  narrowing *x = user;
  bool any = false;
  for (uint32_t i = 0; n->op == OP_group && i < n->n_in; i++) any = any || is_narrowed(x, n->in[i]);
  for (uint32_t i = 0; n->op == OP_group && i < n->n_out; i++) any = any || is_narrowed(x, &n->out[i]);
  if (!any) return false;
  arena *a = x->c->a;
  const ir_region *r = n->regions[0];
  ir_region *to = ir_region_new(b->region->graph, b->region, r->n_params);
  regroup g = {.group = n, .root = ir_attr_int(n, "root", 0), .values = values};
  ir_builder_init_inner(&g.b, b, to);
  ir_value **in = ARENA_ARRAY(a, ir_value *, n->n_in + 1), **yields = ARENA_ARRAY(a, ir_value *, n->n_out + 1);
  ir_type *types = ARENA_ARRAY(a, ir_type, n->n_out + 1);
  for (uint32_t i = 0; i < n->n_in; i++) {
    in[i] = map_get_ptr(values, n->in[i]);
    map_put_ptr(values, &r->params[i], ir_region_param(to, in[i]->type));
  }
  for (uint32_t i = 0; i < n->n_in; i++)
    if (is_narrowed(x, n->in[i]))
      map_put_ptr(values, &r->params[i], ir_cast(&g.b, map_get_ptr(values, &r->params[i]), DT_f32));
  int64_t widened = to->n_nodes;
  for (const ir_node *q = r->first; q; q = q->next) {
    if (is_sunk(&g, q)) continue;
    ir_value **of = ARENA_ARRAY(a, ir_value *, q->n_in + 1);
    for (uint32_t i = 0; i < q->n_in; i++) of[i] = map_get_ptr(values, q->in[i]);
    ir_copy_node(&g.b, q, of, values);
  }
  for (uint32_t i = 0; i < n->n_out; i++) {
    bool narrow = is_narrowed(x, &n->out[i]);
    yields[i] = yielded(&g, r->yields[i], narrow);
    types[i] = yields[i]->type;
    if (narrow && x->c->explain) {
      sb_fmt(x->c->explain, "precision: %s%s%s stores ", ir_attr_str(n, "name", ""), *n->scope ? " " : "", n->scope);
      ir_type_print(x->c->explain, types[i]);
      sb_char(x->c->explain, '\n');
    }
  }
  ir_region_yield(to, n->n_out, yields);
  bool copies = g.root >= r->n_nodes; // of moved elements: no node is the root
  ir_attr attrs[] = {attr_str(x->m, "kind", ir_attr_str(n, "kind", "")),
                     attr_str(x->m, "name", ir_attr_str(n, "name", "")),
                     attr_int(x->m, "root", copies ? to->n_nodes : widened + g.root)};
  ir_node *made = ir_build(b, OP_group, n->n_in, in, 3, attrs, n->n_out, types, 1, &to);
  for (uint32_t i = 0; i < n->n_out; i++) map_put_ptr(values, &n->out[i], &made->out[i]);
  return true;
}

bool pass_precision(pass_context *c, ir_module *m) {
  for (size_t g = 0; c->precision != PRECISION_f32 && g < m->graphs.n; g++) {
    narrowing x = {c, m, map_new(c->a), map_new(c->a)};
    look_in(&x, m->graphs.at[g]->body);
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], narrow_group, &x));
  }
  return true;
}
