// Constant folding: a pure node whose operands are constants becomes a constant, evaluated by the interpreter's own row
// in the value's dtype.
//
// Limits: operands and results up to 64 KB, or one value for all elements. Larger ones stay: the back end computes them
// in `prepare`. Masks made of iota stay unfolded on purpose (a folded N x N mask is bytes and loses its facts); so do
// weights.
#include "passes/pass.h"

enum { FOLD_BYTES = 64 * 1024 };

typedef struct folding {
  pass_context *c;
  ir_module *m;
} folding;

// One value for all elements of every operand: so is the result of an elementwise operator.
static ir_value *fold_splat(ir_builder *b, const ir_node *n, ir_value *const *in) {
  scalar args[3];
  for (uint32_t i = 0; i < n->n_in; i++)
    if (!ir_is_splat(in[i], &args[i])) return NULL;
  ir_type t = n->out[0].type;
  return ir_const_scalar(b, op_eval_scalar(n->op, args, t.dt), t.rank, t.dim);
}

static ir_value *fold_movement_of_splat(ir_builder *b, const ir_node *n, ir_value *const *in) {
  scalar s;
  if (n->n_in != 1 || n->op == OP_pad || !ir_is_splat(in[0], &s)) return NULL;
  return ir_const_scalar(b, s, n->out[0].type.rank, n->out[0].type.dim);
}

static bool is_small(ir_module *m, ir_type t) {
  int64_t count;
  return idx_is_const(ir_type_count(m, t), &count) && count <= (int64_t)(FOLD_BYTES / dtype_size(t.dt));
}

// Small constant operands: the node alone is evaluated by the interpreter.
static ir_value *fold_array(folding *f, ir_builder *b, const ir_node *n, ir_value *const *in) {
  ir_type t = n->out[0].type;
  if (n->n_out != 1 || n->n_regions || !n->n_in || !op_has(n->op, OPF_PURE)) return NULL;
  if (!is_small(f->m, t)) return NULL;
  for (uint32_t i = 0; i < n->n_in; i++)
    if (!is_small(f->m, in[i]->type)) return NULL;
  ir_graph *g = ir_graph_new(f->m, "fold", false);
  ir_builder inner;
  ir_builder_init(&inner, f->m, g->body);
  map *values = map_new(f->c->a);
  ir_value *copies[256];
  if (n->n_in > 256) return NULL;
  for (uint32_t i = 0; i < n->n_in; i++) copies[i] = &ir_copy_node(&inner, in[i]->def, NULL, values)->out[0];
  ir_graph_output(g, "y", &ir_copy_node(&inner, n, copies, values)->out[0]);
  ir_tensor *out;
  return interp_run(f->c->a, g, NULL, &out, NULL) ? ir_const_data(b, t, out->data) : NULL;
}

static bool fold_node(void *user, ir_builder *b, const ir_node *n, map *values) {
  folding *f = user;
  ir_value *in[3], **all = in;
  if (!n->n_in || op_get(n->op)->cls == OPC_leaf) return false;
  if (n->n_in > 3) all = ARENA_ARRAY(f->c->a, ir_value *, n->n_in);
  for (uint32_t i = 0; i < n->n_in; i++) {
    all[i] = map_get_ptr(values, n->in[i]);
    if (!all[i]->def || all[i]->def->op != OP_const) return false;
  }
  b->scope = n->scope;
  b->spans = n->spans;
  ir_value *v = op_is_elementwise(n->op) ? fold_splat(b, n, all) : NULL;
  if (!v && op_get(n->op)->cls == OPC_movement) v = fold_movement_of_splat(b, n, all);
  if (!v) v = fold_array(f, b, n, all);
  if (v) map_put_ptr(values, &n->out[0], v);
  return v != NULL;
}

bool pass_fold(pass_context *c, ir_module *m) {
  folding f = {c, m};
  for (size_t g = 0; g < m->graphs.n; g++)
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], fold_node, &f));
  return true;
}
