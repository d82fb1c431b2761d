// Canonicalisation: the graph is rebuilt bottom-up through the hash-consing builder; each elementwise node meets the
// rewrite rules, movement that undoes or repeats movement is dropped, and an update of a part becomes one of the whole.
// No canonical order of movement is needed: the index form sees through any (graph-ir section 3).
#include "passes/pass.h"
#include "passes/rules.h"
#include "passes/update_part.h"
#include <string.h>

typedef struct canon {
  pass_context *c;
  const rule_set *rules;
} canon;

static bool is_identity(const ir_value *x, const ir_node *n) {
  const int64_t *perm;
  if (n->op == OP_reshape || n->op == OP_broadcast) return ir_type_equal(x->type, n->out[0].type);
  if (n->op != OP_transpose) return false;
  size_t rank = ir_attr_ints(n, "perm", &perm);
  for (size_t i = 0; i < rank; i++)
    if (perm[i] != (int64_t)i) return false;
  return true;
}

// reshape of reshape, transpose of transpose: one of them is enough.
static ir_value *movement(ir_builder *b, const ir_node *n, ir_value *x) {
  if (is_identity(x, n)) return x;
  const ir_node *d = x->def;
  if (n->op == OP_reshape && d && d->op == OP_reshape)
    return ir_reshape(b, d->in[0], n->out[0].type.rank, n->out[0].type.dim);
  if (n->op != OP_transpose || !d || d->op != OP_transpose) return NULL;
  const int64_t *outer, *inner;
  int64_t both[IR_MAX_RANK];
  size_t rank = ir_attr_ints(n, "perm", &outer);
  ir_attr_ints(d, "perm", &inner);
  bool identity = true;
  for (size_t i = 0; i < rank; i++) {
    both[i] = inner[outer[i]];
    identity = identity && both[i] == (int64_t)i;
  }
  return identity ? d->in[0] : ir_transpose(b, d->in[0], both);
}

// A parameter seen as a node is the parameter.
static ir_value *input(ir_builder *b, const ir_node *n) {
  ir_graph *g = b->region->graph;
  for (uint32_t i = 0; i < g->body->n_params; i++)
    if (!strcmp(g->param_names[i], ir_attr_str(n, "name", ""))) return &g->body->params[i];
  return NULL;
}

static bool rewrite(void *user, ir_builder *b, const ir_node *n, map *values) {
  canon *x = user;
  b->scope = n->scope;
  b->spans = n->spans;
  if (n->op == OP_input || (op_get(n->op)->cls == OPC_movement && n->n_in == 1)) {
    ir_value *v = n->op == OP_input ? input(b, n) : movement(b, n, map_get_ptr(values, n->in[0]));
    if (v) map_put_ptr(values, &n->out[0], v);
    return v != NULL;
  }
  ir_value *in[IR_MAX_RANK + 2];
  if (n->op != OP_update && !op_is_elementwise(n->op)) return false;
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = map_get_ptr(values, n->in[i]);
  if (n->op == OP_update) {
    ir_value *v = update_of_part(b, n, in);
    if (v) map_put_ptr(values, &n->out[0], v);
    return v != NULL;
  }
  ir_node *copy = ir_copy_node(b, n, in, values);
  map_put_ptr(values, &n->out[0], rules_apply(x->rules, b, &copy->out[0], x->c->explain));
  return true;
}

bool pass_canon(pass_context *c, ir_module *m) {
  canon x = {c, rules_parse(c->a, c->diags)};
  for (size_t g = 0; g < m->graphs.n; g++)
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], rewrite, &x));
  return true;
}
